//! I1: what anybody sees of an execution does not depend on a part of a secret's value. For two values of one length whose answers to the
//! questions that a value is asked are the same (a control character, a segment of dots, a colon, JSON, base64), all of it is the same:
//! parts, display, result, reason, message, attempts, counts of scrubbed places, events, and whether a request was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use local::http::{Request, Response, Server, json as json_answer};
use serde_json::{Value, json};
use tests::kms::FakeKms;
use tests::panicking::{COMPONENT_PANICS, executor_components};
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World};
use vault_format::{Purpose, Scope};

/// A world with a target that answers the same to all, and counts.
struct Stage {
    world: World,
    kms: FakeKms,
    target: Server,
    heard: Arc<AtomicUsize>,
}

impl Stage {
    async fn create() -> Self {
        Self::answering(|_| json_answer(200, &json!({ "taken": true }))).await
    }

    async fn answering(answer: fn(&Request) -> Response) -> Self {
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&heard);
        let target = Server::start(1024 * 1024, move |request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { answer(&request) }
        });
        Self {
            world: World::create().await,
            kms: FakeKms::start().await,
            target: target.await.unwrap(),
            heard,
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

    /// Runs a workflow of one call once; what is left of it, without ids and times, and the number of requests.
    async fn run(&self, workflow: &Workflow, executor: &executor::Deps) -> Value {
        let (mut left, requests) = self.run_all(workflow, executor).await;
        json!([left.remove(0), requests])
    }

    /// Runs a workflow once; what is left of each call, and the number of all requests.
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
// Both texts have eight bytes or more: whether one has fewer is told where it is signed together with a longer one.
const JSON: [&str; 2] = [r#"{"user":"ann-012345678","n":17}"#, r#"{"user":"bcd-ef\u002e0","n":99}"#];

/// Two secrets of one length and shape; what differs are their characters.
fn values(which: usize) -> [(&'static str, &'static str); 7] {
    [
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

/// Texts that hold a secret, each in its own way. Each is a template that apply takes.
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

/// Generated configurations.
const GENERATED: usize = 200;
/// Chooses them.
const SEED: u64 = 12;

/// A text of a random template: whatever an author may do with a secret, within each other.
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
        let shapes = shapes(target, &text);
        shapes[dice.usize(..shapes.len())].clone()
    };
    (0..GENERATED).map(make).collect()
}

/// Each kind of field with a text in it.
fn shapes(target: &str, text: &str) -> [Value; 7] {
    [
        json!({ "url": target, "headers": [{ "name": "X-A", "value": text }, { "name": "X-B", "value": "plain" }] }),
        json!({ "url": target, "method": "POST", "body": { "json": { "a": [text], "b": 1 } } }),
        json!({ "url": target, "method": "POST", "body": { "form": { "f": text } }, "query": { "q": text } }),
        json!({ "url": target, "method": "POST", "body": { "text": format!("t: {text}") } }),
        json!({ "url": target, "authorization": { "type": "basic", "username": text, "password": text } }),
        json!({ "url": format!("{target}/p/{text}?q={text}") }),
        json!({ "url": target, "authorization": { "type": "bearer", "token": text } }),
    ]
}

fn configurations(target: &str) -> Vec<Value> {
    let mut all = generated_configurations(target);
    for text in TEXTS {
        all.extend(shapes(target, text));
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
        assert_eq!(value.len(), other.len(), "{key}: of one length");
        assert_ne!(value, other);
    }
    let (mut sent, mut refused) = (0, 0);
    let configurations = configurations(&stage.target.url());
    let mut workflows = Vec::new();
    for some in configurations.chunks(10) {
        workflows.push(stage.workflow_of(some).await);
    }
    let mut left: [Vec<(Vec<Value>, usize)>; 2] = [Vec::new(), Vec::new()];
    for (which, left) in left.iter_mut().enumerate() {
        stage.set(&values(which)).await;
        for workflow in &workflows {
            left.push(stage.run_all(workflow, &executor).await);
        }
    }
    let [first, second] = left;
    for ((one, other), some) in first.iter().zip(&second).zip(configurations.chunks(10)) {
        for ((one, other), configuration) in one.0.iter().zip(&other.0).zip(some) {
            assert_eq!(one, other, "{configuration:#}");
        }
        assert_eq!((one.0.len(), one.1), (some.len(), other.1));
        let passed = one.0.iter().filter(|left| left[1] == "passed").count();
        assert_eq!(one.1, passed, "those that passed were sent, and no others");
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
        assert_eq!(left[1], 0, "nothing is sent: {configuration}");
        let message = left[0][3].as_str().unwrap();
        assert!(
            message.contains("was to be placed into something that can't be sent"),
            "{configuration}: {message}"
        );
        let secrets = left[0][7]["attempts"][0]["secrets"].clone();
        assert!(message.contains(secrets[0].as_str().unwrap()), "it names the secret: {message}");
        assert!(!message.contains("header") || !message.contains("X-A"), "and no field: {message}");
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
    // A port that nobody listens at, and one that speaks no TLS.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let allow = format!("127.0.0.1:{closed},127.0.0.1:{}", stage.target.port());
    let executor = stage.world.executor_at(stage.world.database.url("executor"), &allow, &stage.kms.url());
    let workflow =
        stage.workflow(&json!({ "url": r#"{{ secrets("vault").url }}"#, "timeout_seconds": 2 })).await;
    let mut told = Vec::new();
    for url in [
        format!("http://127.0.0.1:{closed}/a-path-that-is-secret"),
        format!("https://127.0.0.1:{}/a-path-that-is-secret", stage.target.port()),
        "https://no-such-host.invalid/a-path-that-is-secret".to_owned(),
    ] {
        stage.set(&[("url", &url)]).await;
        let left = stage.run(&workflow, &executor).await;
        told.push((left[0][2].clone(), left[0][3].clone(), left[0][8][0][2]["error"]["code"].clone()));
    }
    assert_eq!(told[0].2, "unreachable");
    assert!(told.iter().all(|other| *other == told[0]), "{told:#?}");
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_lists_the_secrets_that_were_opened_i1() {
    let stage = Stage::create().await;
    let executor = executor::Deps { components: executor_components(), ..stage.executor() };
    stage.set(&values(0)).await;
    let headers = json!([{ "name": "X-A", "value": format!(r#"{COMPONENT_PANICS} {{{{ secrets("vault").token }}}}"#) }]);
    let workflow = stage.workflow(&json!({ "url": stage.target.url(), "headers": headers })).await;
    let left = stage.run(&workflow, &executor).await;
    assert_eq!(left[0][2], "crashed");
    assert_eq!(left[0][7]["attempts"][0]["secrets"], json!(["vault.token"]));
}

/// What a target makes of a request: body and query, decoded.
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
        // A value that can't be searched for hides none that can.
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
