//! I1: nothing visible of an execution depends on a part of a secret's value. The code asks few
//! questions about a value: whether it has a control character, a segment of dots or a colon, and
//! whether it is JSON or base64. Two values of one length with the same answers leave the same
//! traces: parts, display, result, reason, message, attempts, counts of scrubbed places, events,
//! and whether a request was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::limits::{HTTP_REQUEST_HEADERS_BYTES_MAX, HTTP_URL_BYTES_MAX};
use domain::times::Times;
use local::http::{Request, Response, Server, json as json_answer};
use serde_json::{Value, json};
use tests::kms::FakeKms;
use tests::panicking::{COMPONENT_PANICS, executor_components};
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World};
use tokio::io::AsyncReadExt as _;
use vault_format::{Purpose, Scope};

/// A world with a target that answers every request in the same way and counts the requests. The
/// target is the issuer of tokens too.
struct Stage {
    world: World,
    kms: FakeKms,
    target: Server,
    heard: Arc<AtomicUsize>,
    /// Requests for a token.
    asked: Arc<AtomicUsize>,
}

/// The beginning of the issuer's paths.
const ISSUER: &str = "/issuer";
/// The one token that the issuer gives.
const TOKEN: &str = "token-of-the-issuer-0123";

impl Stage {
    async fn create() -> Self {
        let answer = json!({ "taken": true, "access_token": TOKEN, "token_type": "Bearer", "token": TOKEN });
        Self::answering(move |_| json_answer(200, &answer)).await
    }

    async fn answering(answer: impl Fn(&Request) -> Response + Clone + Send + Sync + 'static) -> Self {
        let (heard, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = (Arc::clone(&heard), Arc::clone(&asked));
        let target = Server::start(1024 * 1024, move |request: Request| {
            let is_asked = request.uri().path().starts_with(ISSUER);
            let count = if is_asked { &counted.1 } else { &counted.0 };
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            async move { answer(&request) }
        });
        Self {
            world: World::create().await,
            kms: FakeKms::start().await,
            target: target.await.unwrap(),
            heard,
            asked,
        }
    }

    /// A workflow of one `http` node.
    async fn workflow(&self, configuration: &Value) -> Workflow {
        self.workflow_of(std::slice::from_ref(configuration)).await
    }

    /// A workflow of several `http` nodes, which one batch executes.
    async fn workflow_of(&self, configurations: &[Value]) -> Workflow {
        let mut nodes = vec![json!({ "id": "start", "name": "start", "trigger": "start" })];
        let mut edges = Vec::new();
        for (at, configuration) in configurations.iter().enumerate() {
            let id = format!("call{at:02}");
            nodes.push(json!({ "id": id, "name": id, "component": "http", "configuration": configuration }));
            edges.push(json!({ "from": "start", "to": id }));
        }
        self.world.workflow(json!(nodes), json!(edges)).await
    }

    async fn set(&self, values: &[(&str, &str)]) {
        let (id, organization_id) = (self.world.id(), self.world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let values: Vec<(&str, &str, &[&str])> =
            values.iter().map(|(key, value)| (*key, *value, &[][..])).collect();
        let data = hex::encode(self.kms.sealed(&scope, &values).await);
        let sql = format!(
            "DELETE FROM secrets;
             INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'vault', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        self.world.database.sql(&sql).await;
    }

    /// Runs a workflow of one call once; gives the stored traces of the call, without ids and
    /// times, and the number of requests.
    async fn run(&self, workflow: &Workflow, executor: &executor::Deps) -> Value {
        let (mut left, requests) = self.run_all(workflow, executor).await;
        json!([left.remove(0), requests])
    }

    /// Runs a workflow once; gives the stored traces of each call, and the number of all requests.
    async fn run_all(&self, workflow: &Workflow, executor: &executor::Deps) -> (Vec<Value>, usize) {
        let run = self.world.start(workflow, "start", json!({ "n": 1 })).await;
        build(&self.world.builder(), &[event(run)]).await;
        execute(executor, &messages(&self.world.queues.take())).await;
        let sql = format!(
            "SELECT jsonb_agg(jsonb_build_array(x.state, x.result, x.result_reason, x.result_message, x.configuration, x.residuals, x.attempt,
                 (x.metadata #- '{{attempts,0,started_at}}') #- '{{attempts,0,finished_at}}',
                 (SELECT jsonb_agg(jsonb_build_array(e.channel, e.type, e.data #- '{{headers,Date}}')) FROM workflow_events e WHERE e.execution_id = x.id)) ORDER BY x.node_id)
             FROM workflow_node_executions x WHERE x.root_event_id = '{run}'"
        );
        let left: Vec<Value> = serde_json::from_str(&self.world.database.sql(&sql).await).unwrap();
        (left, self.heard.swap(0, Ordering::SeqCst))
    }

    fn executor(&self) -> executor::Deps {
        self.world.executor_at(self.world.database.url("executor"), &self.target.host_port(), &self.kms.url())
    }
}

const PLAIN: [&str; 2] = ["first-value-0123", "second/?&%+<\"'>."];
// Both users have eight bytes or more. A text of fewer bytes is refused where it is signed together
// with a longer one, so its length would show.
const JSON: [&str; 2] = [r#"{"user":"ann-012345678","n":17}"#, r#"{"user":"bcd-ef\u002e0","n":99}"#];

/// Two sets of secrets. The values of a key have one length and one shape, and differ in their
/// characters.
fn values(which: usize) -> [(&'static str, &'static str); 8] {
    [
        (
            "pem",
            [include_str!("../../../keys/ec_pkcs8.pem"), include_str!("../../../keys/ec_other_pkcs8.pem")]
                [which],
        ),
        ("token", PLAIN[which]),
        ("json", JSON[which]),
        ("base64", ["Zmlyc3QtdmFsdWU=", "c2Vjb25kIHZhbHU="][which]),
        ("lines", ["first\nline-0123456", "second\u{b}line-123456"][which]),
        ("dots", ["a/../first-value", "./b/second-value"][which]),
        (
            "person",
            ["https://first-name:first-word@127.0.0.1:1/", "https://other-name:other-word@127.0.0.1:1/"]
                [which],
        ),
        ("scheme", ["ftp://127.0.0.1:1/first-path", "wss://127.0.0.1:1/other-path"][which]),
    ]
}

/// Texts that hold a secret, each in its own way. Each is a template that apply accepts.
const TEXTS: &[&str] = &[
    r#"{{ secrets("vault").token }}"#,
    r#"Bearer {{ secrets("vault").token }} and {{ root().data.n }}"#,
    r#"{{ toBase64("user:" + secrets("vault").token) }}"#,
    r#"{{ escapeURL(toBase64(secrets("vault").token)) }}"#,
    r#"{{ escapeXML(secrets("vault").token) }}"#,
    r#"{{ toJSON({"a": secrets("vault").token, "b": root().data.n}) }}"#,
    r#"{{ urlPath(secrets("vault").token) }}"#,
    r#"{{ urlPath("x/" + secrets("vault").dots) }}"#,
    r#"{{ fromJSON(secrets("vault").json).user }}"#,
    r#"{{ fromJSON(secrets("vault").json).n }}"#,
    r#"{{ fromJSON(secrets("vault").json).none }}"#,
    r#"{{ fromJSON(secrets("vault").token).user }}"#,
    r#"{{ fromJSON(fromBase64(secrets("vault").token)).user }}"#,
    r#"{{ hmac("sha256", secrets("vault").token, "data", "hex") }}"#,
    r#"{{ hmac("sha512", fromBase64(secrets("vault").base64), secrets("vault").token, "base64") }}"#,
    r#"{{ hmac("sha1", fromBase64(secrets("vault").token), "data", "hex") }}"#,
    r#"{{ join(["a", secrets("vault").token, secrets("vault").lines], "-") }}"#,
    r#"{{ toBase64(secrets("vault").lines) }}"#,
    r#"{{ {"x": secrets("vault").token, "y": secrets("vault").lines}[root().data.n == 1 ? "x" : "y"] }}"#,
    r#"{{ map(["p", "q"], # + secrets("vault").token)[1] }}"#,
    r#"{{ secrets("vault").token }}{{ secrets("vault").gone }}"#,
];

/// The number of generated configurations.
const GENERATED: usize = 200;
/// The seed that generates them.
const SEED: u64 = 12;

/// The text of a random template: the operations that an author may use on a secret, nested in each
/// other.
fn generated(dice: &mut fastrand::Rng, depth: usize) -> String {
    let leaves = [
        r#"secrets("vault").token"#,
        r#"secrets("vault").token"#,
        r#"secrets("vault").lines"#,
        r#"secrets("vault").dots"#,
        r#"fromJSON(secrets("vault").json).user"#,
        r#"fromJSON(secrets("vault").json).n"#,
        r#"fromJSON(secrets("vault").token).user"#,
        r#"secrets("vault").gone"#,
        r#""known""#,
        r#""""#,
        "string(root().data.n)",
        r#"sent_at("date")"#,
    ];
    if depth == 0 {
        return leaves[dice.usize(..leaves.len())].to_owned();
    }
    let mut inner = || generated(dice, depth - 1);
    let (one, other) = (inner(), inner());
    match dice.usize(..12) {
        0 | 1 => format!("({one} + {other})"),
        2 => format!("toBase64({one})"),
        3 => format!("escapeURL({one})"),
        4 => format!("escapeXML({one})"),
        5 => format!("urlPath({one})"),
        6 => format!(r#"toJSON({{"a": [{one}], "b": {other}}})"#),
        7 => format!(r#"join([{one}, "x", {other}], "-")"#),
        8 => format!("(root().data.n == 1 ? {one} : {other})"),
        9 => format!(r#"{{"x": {one}, "y": {other}}}["x"]"#),
        10 => format!(r#"(let v = {one}; v + {other})"#),
        _ => format!(r#"hmac("sha256", secrets("vault").token, {one}, "hex")"#),
    }
}

fn generated_configurations(target: &str) -> Vec<Value> {
    let mut dice = fastrand::Rng::with_seed(SEED);
    let make = |_| {
        let depth = dice.usize(1..4);
        let text = format!("{{{{ {} }}}}", generated(&mut dice, depth));
        let shapes = [shapes(target, &text), credentials(target, &text)].concat();
        shapes[dice.usize(..shapes.len())].clone()
    };
    (0..GENERATED).map(make).collect()
}

/// Each kind of field with a text in it.
fn shapes(target: &str, text: &str) -> Vec<Value> {
    vec![
        json!({ "url": target, "headers": [{ "name": "X-A", "value": text }, { "name": "X-B", "value": "plain" }] }),
        json!({ "url": target, "method": "POST", "body": { "json": { "a": [text], "b": 1 } } }),
        json!({ "url": target, "method": "POST", "body": { "form": { "f": text } }, "query": { "q": text } }),
        json!({ "url": target, "method": "POST", "body": { "text": format!("t: {text}") } }),
        json!({ "url": target, "authorization": { "type": "basic", "username": text, "password": text } }),
        json!({ "url": format!("{target}/p/{text}?q={text}") }),
        json!({ "url": target, "authorization": { "type": "bearer", "token": text } }),
    ]
}

/// Each kind of credential with a text in it. Some of its keys are valid keys, others are not.
fn credentials(target: &str, text: &str) -> Vec<Value> {
    let issuer = format!("{target}{ISSUER}/token");
    let made = [
        json!({ "type": "oauth2_client_credentials", "token_url": issuer, "client_id": text, "client_secret": text }),
        json!({ "type": "oauth2_client_credentials", "token_url": issuer, "client_id": "id", "client_secret": text,
            "auth_method": "client_secret_post" }),
        json!({ "type": "jwt_bearer", "algorithm": "ES256", "key": r#"{{ secrets("vault").pem }}"#, "issuer": text }),
        json!({ "type": "jwt_bearer", "algorithm": "ES256", "key": r#"{{ secrets("vault").pem }}"#, "issuer": "a",
            "key_id": text, "token_url": issuer }),
        json!({ "type": "jwt_bearer", "key": r#"{{ secrets("vault").token }}"#, "issuer": text, "token_url": issuer }),
        json!({ "type": "github_app", "key": r#"{{ secrets("vault").pem }}"#, "app_id": text, "installation_id": 7,
            "api_url": format!("{target}{ISSUER}") }),
        json!({ "type": "aws_sigv4", "access_key_id": text, "secret_access_key": r#"{{ secrets("vault").token }}"#,
            "region": "eu-central-1", "service": "s3", "session_token": text }),
        json!({ "type": "hmac", "name": "X-Signature",
            "template": format!(r#"{{{{ hmac("sha256", secrets("vault").token, request("body"), "hex") }}}}{text}"#) }),
    ];
    made.into_iter()
        .map(|authorization| json!({ "url": target, "method": "POST", "body": { "text": "b" }, "authorization": authorization }))
        .collect()
}

/// Texts whose length depends on the characters of a secret. They are padded to lengths on both
/// sides of the limits of a URL and of the headers.
fn at_the_limits(target: &str) -> Vec<Value> {
    type Place = (usize, usize, &'static str, fn(&str, String) -> Value);
    let places: [Place; 3] = [
        (
            HTTP_URL_BYTES_MAX,
            0,
            r#"{{ escapeURL(secrets("vault").token) }}"#,
            |target, text| json!({ "url": target, "query": { "q": text } }),
        ),
        (
            HTTP_URL_BYTES_MAX,
            0,
            r#"{{ escapeURL(hmac("sha256", secrets("vault").token, "data", "base64")) }}"#,
            |target, text| json!({ "url": target, "query": { "q": text } }),
        ),
        // 500 bytes are left for the headers that the client adds.
        (
            HTTP_REQUEST_HEADERS_BYTES_MAX,
            500,
            r#"{{ escapeURL(toBase64(secrets("vault").token)) }}"#,
            |target, text| json!({ "url": target, "headers": [{ "name": "X-A", "value": text }] }),
        ),
    ];
    let mut all = Vec::new();
    for (limit, least, text, configuration) in places {
        // The padding goes from a length that never fits to one that always fits.
        for less in (least..least + 200).step_by(5) {
            all.push(configuration(target, format!("{}{text}", "x".repeat(limit - less))));
        }
    }
    all
}

fn configurations(target: &str) -> Vec<Value> {
    let mut all = generated_configurations(target);
    all.extend(at_the_limits(target));
    for text in TEXTS {
        all.extend(shapes(target, text));
        all.extend(credentials(target, text));
    }
    for key in ["token", "person", "scheme"] {
        all.push(json!({ "url": format!(r#"{{{{ secrets("vault").{key} }}}}"#) }));
    }
    all
}

#[tokio::test]
async fn nothing_that_anybody_sees_depends_on_a_part_of_a_value_i1() {
    let stage = Stage::create().await;
    let executor = stage.executor();
    for (key, value) in values(0) {
        let other = values(1).into_iter().find(|(name, _)| *name == key).unwrap().1;
        assert_eq!(value.len(), other.len(), "{key}: both values have one length");
        assert_ne!(value, other);
    }
    let (mut sent, mut refused) = (0, 0);
    let configurations = configurations(&stage.target.url());
    let mut workflows = Vec::new();
    for some in configurations.chunks(10) {
        workflows.push(stage.workflow_of(some).await);
    }
    let mut left: [Vec<(Vec<Value>, usize)>; 2] = [Vec::new(), Vec::new()];
    let mut asked = [0; 2];
    for (which, left) in left.iter_mut().enumerate() {
        stage.set(&values(which)).await;
        for workflow in &workflows {
            left.push(stage.run_all(workflow, &executor).await);
        }
        asked[which] = stage.asked.swap(0, Ordering::SeqCst);
    }
    // A value may make two texts equal, and then they share a token: so only the issuer's count may
    // differ.
    assert!(asked.iter().all(|asked| *asked > 20), "{asked:?}");
    let [first, second] = left;
    for ((one, other), some) in first.iter().zip(&second).zip(configurations.chunks(10)) {
        for ((one, other), configuration) in one.0.iter().zip(&other.0).zip(some) {
            assert_eq!(one, other, "{configuration:#}");
        }
        assert_eq!((one.0.len(), one.1), (some.len(), other.1));
        let passed = one.0.iter().filter(|left| left[1] == "passed").count();
        assert_eq!(one.1, passed, "exactly the calls that passed were sent");
        sent += passed;
        refused += some.len() - passed;
    }
    assert!(sent > 120 && refused > 60, "{sent} sent, {refused} refused");
}

#[tokio::test]
async fn all_that_is_refused_before_a_connection_is_refused_in_one_way_i1() {
    let stage = Stage::create().await;
    let executor = stage.executor();
    stage.set(&values(0)).await;
    let target = stage.target.url();
    let header = |text: &str| json!({ "url": target, "headers": [{ "name": "X-A", "value": text }] });
    let causes = [
        header(r#"{{ secrets("vault").lines }}"#),
        header("{{ secrets(\"vault\").token + \"\\n\" }}"),
        header(r#"{{ fromJSON(secrets("vault").token).x }}"#),
        header(r#"{{ fromJSON(secrets("vault").json).none }}"#),
        header(r#"{{ fromJSON(fromBase64(secrets("vault").token)).x }}"#),
        header(r#"{{ hmac("sha1", fromBase64(secrets("vault").token), "x", "hex") }}"#),
        json!({ "url": format!(r#"{target}/{{{{ urlPath(secrets("vault").dots) }}}}"#) }),
        json!({ "url": target, "authorization": { "type": "basic", "username": r#"{{ fromJSON(secrets("vault").json).user }}:"#, "password": "p" } }),
        json!({ "url": r#"{{ secrets("vault").token }}"# }),
        json!({ "url": r#"{{ secrets("vault").person }}"# }),
        json!({ "url": r#"{{ secrets("vault").scheme }}"# }),
        json!({ "url": target, "query": { "q": format!(r#"{{{{ secrets("vault").token }}}}{}"#, "x".repeat(16 * 1024)) } }),
    ];
    let mut seen = Vec::new();
    for configuration in causes {
        let workflow = stage.workflow(&configuration).await;
        let left = stage.run(&workflow, &executor).await;
        assert_eq!(left[1], 0, "no request is sent: {configuration}");
        let message = left[0][3].as_str().unwrap();
        assert!(
            message.contains("was to be placed into something that can't be sent"),
            "{configuration}: {message}"
        );
        let secrets = left[0][7]["attempts"][0]["secrets"].clone();
        assert!(message.contains(secrets[0].as_str().unwrap()), "the message names the secret: {message}");
        assert!(
            !message.contains("header") || !message.contains("X-A"),
            "the message names no field: {message}"
        );
        let channel = left[0][8][0][0].clone();
        let code = left[0][8][0][2]["error"]["code"].clone();
        seen.push(json!([
            left[0][1],
            left[0][2],
            channel,
            code,
            message.replace(secrets[0].as_str().unwrap(), "S")
        ]));
    }
    assert_eq!((&seen[0][2], &seen[0][3]), (&json!("failure"), &json!("invalid_configuration")));
    for other in &seen {
        assert_eq!(other, &seen[0]);
    }
}

#[tokio::test]
async fn a_url_that_is_one_secret_and_leads_nowhere_is_told_in_one_way_i1() {
    let stage = Stage::create().await;
    // Four ports: one without a server, one without TLS, one that never answers, and one that ends
    // each connection.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ending = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent_port, ending_port) =
        (silent.local_addr().unwrap().port(), ending.local_addr().unwrap().port());
    let ends = tokio::spawn(async move {
        while let Ok((mut connection, _)) = ending.accept().await {
            // The port reads first, so that the request is sent.
            let _ = connection.read(&mut [0; 16]).await;
        }
    });
    let ports =
        [closed, stage.target.port(), silent_port, ending_port].map(|port| format!("127.0.0.1:{port}"));
    let allow = ports.join(",");
    let url = stage.world.database.url("executor");
    // The component's time limit lies between the two time-outs of the request. Both limits are
    // reported in the same way.
    let mut executor = stage.world.executor_at(url, &allow, &stage.kms.url());
    executor.run.times = Times::derive(1).unwrap();
    let mut told = Vec::new();
    for timeout_seconds in [1, 2] {
        let configuration =
            json!({ "url": r#"{{ secrets("vault").url }}"#, "timeout_seconds": timeout_seconds });
        let workflow = stage.workflow(&configuration).await;
        for origin in [
            format!("http://127.0.0.1:{closed}"),
            format!("https://127.0.0.1:{}", stage.target.port()),
            format!("http://127.0.0.1:{silent_port}"),
            format!("http://127.0.0.1:{ending_port}"),
            "https://no-such-host.invalid".to_owned(),
            "https://10.0.0.1".to_owned(),
        ] {
            stage.set(&[("url", &format!("{origin}/a-path-that-is-secret"))]).await;
            let left = stage.run(&workflow, &executor).await;
            let code = &left[0][8][0][2]["error"]["code"];
            let secrets = &left[0][7]["attempts"][0]["secrets"];
            told.push(json!([left[0][2], left[0][3], code, secrets]));
            assert_eq!(told[0], *told.last().unwrap(), "{origin}");
        }
    }
    assert_eq!((&told[0][2], &told[0][3]), (&json!("unreachable"), &json!(["vault.url"])));
    ends.abort();
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_lists_the_secrets_that_were_opened_i1() {
    let stage = Stage::create().await;
    let mut executor = stage.executor();
    executor.run.components = executor_components();
    stage.set(&values(0)).await;
    let headers = json!([{ "name": "X-A", "value": format!(r#"{COMPONENT_PANICS} {{{{ secrets("vault").token }}}}"#) }]);
    let workflow = stage.workflow(&json!({ "url": stage.target.url(), "headers": headers })).await;
    let left = stage.run(&workflow, &executor).await;
    assert_eq!(left[0][2], "crashed");
    assert_eq!(left[0][7]["attempts"][0]["secrets"], json!(["vault.token"]));
}

/// The answer of a target to a request: its body and query, decoded.
fn echo(request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    json_answer(200, &json!({ "body": String::from_utf8_lossy(request.body()), "query": query }))
}

#[tokio::test]
async fn what_is_made_of_secrets_or_taken_out_of_them_comes_back_scrubbed_i1() {
    let stage = Stage::answering(echo).await;
    let executor = stage.executor();
    let (leaf, number, key) =
        ("leaf-of-json-0123", "123456789012345678901234567890", "private-key-0123456789");
    let account = BASE64.encode(json!({ "key": key }).to_string());
    let odd = format!(r#"{{"leaf":"{leaf}","number":{number},"half":123456789.50,"odd":1e999}}"#);
    let token = "token-of-the-vault-0123";
    stage.set(&[("token", token), ("short", "a"), ("odd", &odd), ("account", &account)]).await;
    let target = stage.target.url();
    let body = |text: &str| json!({ "url": target, "method": "POST", "body": { "text": text } });
    let triple = |text: &str| (0..3).fold(text.to_owned(), |text, _| BASE64.encode(text));
    let code = |key: &str, data: &str| {
        hex::encode(ring::hmac::sign(
            &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes()),
            data.as_bytes(),
        ))
    };
    for (configuration, is_sent, never) in [
        (body(r#"{{ fromJSON(secrets("vault").odd).leaf }}"#), true, leaf.to_owned()),
        (body(r#"{{ fromJSON(secrets("vault").odd).number }}"#), true, number.to_owned()),
        (body(r#"{{ fromJSON(secrets("vault").odd).half }}"#), true, "123456789.5".to_owned()),
        (body(r#"{{ fromJSON(fromBase64(secrets("vault").account)).key }}"#), true, key.to_owned()),
        (
            body(r#"{{ toBase64(toBase64(toBase64(secrets("vault").token + "z"))) }}"#),
            true,
            triple(&format!("{token}z")),
        ),
        (
            json!({ "url": format!(r#"{target}?q={{{{ toBase64(toBase64(toBase64(secrets("vault").token + "z"))) }}}}"#) }),
            true,
            triple(&format!("{token}z")),
        ),
        (body(r#"{{ hmac("sha256", secrets("vault").token, "data", "hex") }}"#), true, code(token, "data")),
        // A value that is too short to be searched for hides no other value from the search.
        (
            body(r#"{{ toBase64(toBase64(toBase64(secrets("vault").token + secrets("vault").short))) }}"#),
            false,
            triple(&format!("{token}a")),
        ),
        (
            body(r#"{{ hmac("sha256", secrets("vault").token, "data" + secrets("vault").short, "hex") }}"#),
            false,
            code(token, "dataa"),
        ),
        (
            body(r#"{{ hmac("sha256", secrets("vault").short, secrets("vault").token, "hex") }}"#),
            false,
            code("a", token),
        ),
    ] {
        let workflow = stage.workflow(&configuration).await;
        let left = stage.run(&workflow, &executor).await;
        assert_eq!(left[1], i32::from(is_sent), "{configuration}: {left:#}");
        assert_eq!(left[0][1], if is_sent { "passed" } else { "failed" }, "{configuration}");
        let text = left.to_string();
        assert_eq!(text.contains("[secret:vault."), is_sent, "{configuration}: {text}");
        let found = text.contains(&never) || text.contains(never.trim_end_matches('='));
        assert!(!found, "{configuration}: {text}");
    }
}

/// The letters that a target tries behind a known beginning.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789-";

#[tokio::test]
async fn a_mark_stands_for_a_whole_value_and_never_for_the_beginning_of_one_i1() {
    let known = "A".repeat(127);
    // The target answers with the body that it received, and with the known text before each
    // letter.
    let guesses: Vec<String> = LETTERS.chars().map(|letter| format!("{known}{letter}")).collect();
    let stage = Stage::answering(move |request| {
        json_answer(200, &json!({ "sent": String::from_utf8_lossy(request.body()), "guesses": guesses }))
    })
    .await;
    stage.set(&[("token", "token-of-the-vault-0123")]).await;
    let target = stage.target.url();
    let token = r#"{{ secrets("vault").token }}"#;
    for body in [
        json!({ "text": format!("{known}{token}") }),
        json!({ "json": { "user": "author-text-0123", "n": 123456789012345678_u64, "t": format!("{known}{token}") } }),
    ] {
        let workflow = stage.workflow(&json!({ "url": target, "method": "POST", "body": body })).await;
        let left = stage.run(&workflow, &stage.executor()).await;
        let answer = &left[0][8][0][2]["body"];
        for (guess, letter) in answer["guesses"].as_array().unwrap().iter().zip(LETTERS.chars()) {
            assert_eq!(*guess, format!("{known}{letter}"), "{body}");
        }
        let sent = answer["sent"].as_str().unwrap();
        assert!(!sent.contains("token-of-the-vault"), "{sent}");
        if body.get("json").is_some() {
            let sent: Value = serde_json::from_str(sent).unwrap();
            // The author's own texts beside a secret are no secrets.
            assert_eq!(
                (&sent["user"], &sent["n"]),
                (&json!("author-text-0123"), &json!(123456789012345678_u64))
            );
        }
    }
}
