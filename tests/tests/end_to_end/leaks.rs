//! I1 under the hardest conditions: all functions log at `RUST_LOG=trace`, and every step that
//! handles a secret fails. Afterwards no secret is found anywhere. The check itself is tested with
//! a planted secret, which it finds.

use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use local::sealflow::Builder;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tests::e2e::issuer::{IssuerWorld, KEY_PKCS1, KEY_PKCS8};
use tests::e2e::{Product, Reply, Shared, Story, make_secret, placed, word};
use tokio::sync::OnceCell;

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    let issuer = issuer().await.host_port();
    let choose = |builder: Builder| {
        let builder = builder.rust_log("trace").component_seconds_max(5);
        builder.http_allow(&STRANGER.host_port).http_allow(issuer)
    };
    PRODUCT.get(choose).await
}

/// An issuer of tokens with the API behind it.
async fn issuer() -> &'static IssuerWorld {
    static ISSUER: OnceCell<IssuerWorld> = OnceCell::const_new();
    ISSUER.get_or_init(IssuerWorld::start).await
}

/// A site that workflows may call. Its certificate is for its address, but no known authority has
/// signed it.
struct Stranger {
    host_port: String,
    /// The bytes of requests that the site could decrypt.
    heard: Arc<Mutex<Vec<u8>>>,
}

static STRANGER: LazyLock<Stranger> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host_port = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&heard);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut bytes = Vec::new();
            // The connection ends with the client's alert.
            let _ = rustls::Stream::new(&mut connection, &mut stream).read_to_end(&mut bytes);
            shared.lock().unwrap().extend(bytes);
        }
    });
    Stranger { host_port, heard }
});

const REFERENCE: &str = r#"{{ secrets("github").token }}"#;

/// The workflow `start → call`, with this configuration of the call.
fn calling(product: &Product, name: &str, configuration: &str) -> String {
    let definition = format!(
        "name: {name}\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n  - id: call\n    name: Call\n    component: http\n    \
         configuration: {{ {configuration} }}\nedges:\n  - {{ from: start, to: call }}\n"
    );
    placed(product, &definition).replace("REF", REFERENCE)
}

/// Applies a [`calling`] workflow, runs it once and gives the execution of the call.
async fn called(story: &Story<'_>, name: &str, configuration: &str) -> Value {
    story.apply(&calling(story.product, name, configuration)).await;
    let run = story.run(name, json!({})).await;
    story.execution(&word(&run["id"]), "call").await
}

/// The code of an execution's failure, or the reason if no component ran.
fn code(execution: &Value) -> String {
    let code = execution["metadata"]["attempts"][0]["error"]["code"].as_str();
    code.or(execution["result_reason"].as_str()).unwrap_or("passed").to_owned()
}

#[tokio::test]
async fn failures_with_a_secret_in_their_hands_do_not_tell_it_i1() {
    let product = &product().await;
    let story = product.story("failures").await;
    let secret = make_secret("trace");
    story.set_secret("github", "token", &secret).await;
    product.target.script("/late", [Reply::Late(Duration::from_secs(3))]);
    product.target.script("/garbage", [Reply::Body("application/json", b"{\"a\": ".to_vec())]);
    let header = "headers: [ { name: Authorization, value: 'Bearer REF' } ]";
    let in_path = "/x/REF?q=REF";
    for (name, configuration, expected) in [
        ("dns", format!("url: 'https://no-such-host.invalid{in_path}', {header}"), "dns"),
        ("refused", format!("url: 'https://127.0.0.1:1{in_path}', {header}"), "address_refused"),
        ("metadata", format!("url: 'http://169.254.169.254{in_path}', {header}"), "plain_http_with_secret"),
        ("plain", format!("url: 'http://api.example.com{in_path}', {header}"), "plain_http_with_secret"),
        (
            "tls",
            format!("url: '{}{in_path}', {header}", product.target.url().replace("http:", "https:")),
            "tls",
        ),
        ("certificate", format!("url: 'https://{}{in_path}', {header}", STRANGER.host_port), "tls"),
        ("late", format!("url: 'TARGET/late{in_path}', {header}, timeout_seconds: 1"), "timeout"),
        ("status", format!("url: 'TARGET/status{in_path}', {header}, success_codes: [ 418 ]"), "http_status"),
        ("garbage", format!("url: 'TARGET/garbage{in_path}', {header}"), "passed"),
        (
            "missing",
            "url: 'TARGET/missing', headers: [ { name: A, value: '{{ secrets(\"github\").none }} REF' } ]"
                .into(),
            "secret_missing",
        ),
        (
            "twice",
            format!(
                "url: 'TARGET/twice', {}, authorization: {{ type: bearer, token: 'REF' }}",
                header.replace("name: Authorization", "name: '{{ \"Authorization\" }}'")
            ),
            "invalid_configuration",
        ),
    ] {
        let execution = called(&story, name, &configuration).await;
        assert_eq!(code(&execution), expected, "{name}: {execution:#}");
    }
    assert!(
        STRANGER.heard.lock().unwrap().is_empty(),
        "a site without a trusted certificate gets no request"
    );
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn short_lived_credentials_are_not_told_i1() {
    let (product, issuer) = (&product().await, issuer().await);
    let story = product.story("credentials").await;
    let (url, record) = (issuer.url(), issuer.record());
    let account = json!({ "client_email": "robot@project.example", "private_key": KEY_PKCS8 }).to_string();
    for (key, value, places) in [
        ("client_id", record.client_id.as_str(), json!(["authorization"])),
        ("client_secret", &record.client_secret, json!(["authorization"])),
        ("account", &account, json!(["signing", "body"])),
        ("key", KEY_PKCS1, json!(["signing"])),
        ("signing", &record.signing_key, json!(["signing"])),
        ("aws", &record.aws_key, json!(["signing"])),
        ("wrong", "wrong-client-secret", json!(["authorization"])),
    ] {
        let body = json!({ "value": value, "hosts": [issuer.host_port()], "in": places });
        let (status, answer) = story.call("PUT", &format!("/v1/secrets/idp/{key}"), Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let client = |secret: &str| {
        format!(
            "{{ type: oauth2_client_credentials, token_url: '{url}/oauth/token', client_id: '{{{{ secrets(\"idp\").client_id }}}}',
               client_secret: '{{{{ secrets(\"idp\").{secret} }}}}' }}"
        )
    };
    let google = format!(
        "{{ type: jwt_bearer, token_url: '{url}/jwt/token', key: '{{{{ fromJSON(secrets(\"idp\").account).private_key }}}}',
           issuer: '{{{{ fromJSON(secrets(\"idp\").account).client_email }}}}', scope: read write }}"
    );
    let aws = "{ type: aws_sigv4, access_key_id: AKIDCANARY, secret_access_key: '{{ secrets(\"idp\").aws }}', region: eu-central-1, service: execute-api }";
    let github = format!(
        "{{ type: github_app, app_id: 4711, installation_id: 77, key: '{{{{ secrets(\"idp\").key }}}}', api_url: '{url}' }}"
    );
    let sent = "{ type: jwt_bearer, key: '{{ secrets(\"idp\").key }}', issuer: ACCOUNT.USER }";
    let over = r#"sent_at("unix") + "." + request("method") + "." + request("path") + "." + request("query") + "." + request("body")"#;
    let signed = format!(
        "{{ type: hmac, name: X-Signature, template: 't={{{{ sent_at(\"unix\") }}}},v1={{{{ hmac(\"sha256\", secrets(\"idp\").signing, {over}, \"hex\") }}}}' }}"
    );
    let at = |path: &str| client("client_secret").replace("/oauth/token", path);
    for (name, path, authorization, expected) in [
        ("github", "/api/e2e", github, "passed"),
        ("sent", "/jwt-api/e2e", sent.to_owned(), "passed"),
        ("signed", "/signed/e2e", signed, "passed"),
        ("expired", "/api/e2e", at("/oauth/expired"), "credential_refused"),
        ("down", "/api/e2e", at("/oauth/down"), "credential_unavailable"),
        ("client", "/api/e2e", client("client_secret"), "passed"),
        ("wrong", "/api/e2e", client("wrong"), "credential_refused"),
        ("google", "/api/e2e", google, "passed"),
        ("aws", "/aws/e2e", aws.to_owned(), "passed"),
    ] {
        let execution =
            called(&story, name, &format!("url: '{url}{path}', authorization: {authorization}")).await;
        assert_eq!(code(&execution), expected, "{name}: {execution:#}");
    }
    // Apply refuses a credential for a host that it may not go to.
    let elsewhere = format!("url: 'TARGET/x', authorization: {}", client("client_secret"));
    let (status, answer) = story.try_apply(&calling(product, "elsewhere", &elsewhere)).await;
    assert_eq!(status, 422, "{answer:#}");
    assert!(answer.to_string().contains("idp.client_secret` may be sent to"), "{answer:#}");
    let given = issuer.given();
    assert!(given.len() >= 3, "the issuer gave tokens");
    let lines = [KEY_PKCS8, KEY_PKCS1].map(|key| key.lines().nth(3).unwrap());
    let signatures: Vec<String> = issuer
        .requests("/signed/e2e")
        .iter()
        .filter_map(|request| {
            Some(request["headers"]["x-signature"].as_str()?.split_once("v1=")?.1.to_owned())
        })
        .collect();
    assert!(!signatures.is_empty());
    let mut secrets: Vec<&str> = given.iter().chain(&signatures).map(String::as_str).chain(lines).collect();
    secrets.extend([record.client_id.as_str(), &record.client_secret, &record.aws_key, &record.signing_key]);
    story.end(&secrets).await;
}

#[tokio::test]
async fn a_secret_that_fits_nowhere_is_not_told_i1() {
    let product = &product().await;
    let story = product.story("shapes").await;
    let line_break = make_secret("line").replace('"', "") + "\r\nX-Evil: 1";
    let address = format!(
        "https://user:{}@no-such-host.invalid/",
        make_secret("url").replace(['/', '%', '#', '?'], "")
    );
    let text = make_secret("text");
    for (key, value) in [("line", &line_break), ("address", &address), ("text", &text)] {
        story.set_secret("odd", key, value).await;
    }
    let reference = |key: &str| format!("{{{{ secrets(\"odd\").{key} }}}}");
    for (name, configuration, expected) in [
        (
            "header",
            format!("url: 'TARGET/odd', headers: [ {{ name: X-A, value: '{}' }} ]", reference("line")),
            "invalid_configuration",
        ),
        (
            "bearer",
            format!("url: 'TARGET/odd', authorization: {{ type: bearer, token: '{}' }}", reference("line")),
            "invalid_configuration",
        ),
        (
            "basic",
            format!(
                "url: 'TARGET/odd', authorization: {{ type: basic, username: '{}:', password: p }}",
                reference("text")
            ),
            "invalid_configuration",
        ),
        ("whole", format!("url: '{}'", reference("address")), ""),
        ("no-url", format!("url: '{}'", reference("text")), ""),
        (
            "json",
            "url: 'TARGET/odd', query: { a: '{{ fromJSON(secrets(\"odd\").text).x }}' }".to_owned(),
            "invalid_configuration",
        ),
    ] {
        let execution = called(&story, name, &configuration).await;
        assert_eq!(execution["result"], "failed", "{name}: {execution:#}");
        assert!(expected.is_empty() || code(&execution) == expected, "{name}: {execution:#}");
    }
    assert_eq!(product.target.requests("/odd").len(), 0);
    story.end(&[&line_break, &address, &text]).await;
}

#[tokio::test]
async fn a_redirect_takes_no_secret_to_another_origin_i1_i2() {
    let product = &product().await;
    let story = product.story("redirects").await;
    let secret = make_secret("redirect");
    story.set_secret("github", "token", &secret).await;
    let elsewhere =
        format!("{}/stolen?{}", product.other.url(), secret.replace(['"', '<', '\\', '%', '&'], ""));
    let places = [
        ("header", "url: 'TARGET/redirect/header', headers: [ { name: A, value: 'REF' } ]"),
        ("query", "url: 'TARGET/redirect/query', query: { a: 'REF' }"),
        ("path", "url: 'TARGET/redirect/path/REF'"),
        (
            "basic",
            "url: 'TARGET/redirect/basic', authorization: { type: basic, username: u, password: 'REF' }",
        ),
        ("body", "method: POST, url: 'TARGET/redirect/body', body: { json: { a: 'REF' } }"),
    ];
    for (place, configuration) in places {
        for status in [301, 302, 303, 307, 308] {
            product
                .target
                .script(&format!("/redirect/{place}"), [Reply::Redirect(status, elsewhere.clone())]);
            let execution = called(&story, place, configuration).await;
            assert_eq!(code(&execution), "redirect_blocked", "{place} {status}: {execution:#}");
        }
    }
    assert_eq!(product.other.requests("/stolen").len(), 0);
    // Within one origin a redirect is followed, with the secret. Without a secret, a redirect to
    // another origin is followed too.
    product.target.script("/redirect/header", [Reply::Redirect(307, "/redirected?to=here".to_owned())]);
    assert_eq!(code(&called(&story, "header", places[0].1).await), "passed");
    assert_eq!(product.target.requests("/redirected")[0].header("a"), Some(secret.as_str()));
    product.target.script("/redirect/bare", [Reply::Redirect(302, format!("{}/bare", product.other.url()))]);
    assert_eq!(code(&called(&story, "bare", "url: 'TARGET/redirect/bare'").await), "passed");
    assert_eq!(product.other.requests("/bare").len(), 1);
    product.target.script("/redirect/circle", vec![Reply::Redirect(302, "/redirect/circle".to_owned()); 9]);
    assert_eq!(code(&called(&story, "circle", "url: 'TARGET/redirect/circle'").await), "redirect_limit");
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn a_secret_goes_to_its_allowed_hosts_only_i1() {
    let product = &product().await;
    let story = product.story("hosts").await;
    let secret = make_secret("hosts");
    let set = async |hosts: Value| {
        let body = json!({ "value": secret, "hosts": hosts, "in": [] });
        let (status, answer) = story.call("PUT", "/v1/secrets/github/token", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
    };
    let configuration = "url: 'TARGET/hosts', headers: [ { name: A, value: 'REF' } ]";
    // Apply refuses the host, because it is literal.
    set(json!(["api.example.com", product.other.host_port()])).await;
    let definition = calling(product, "hosts", configuration);
    let (status, answer) = story.try_apply(&definition).await;
    let said = format!("only, not to {}", product.target.host_port());
    assert!(status == 422 && word(&answer["errors"][0]["message"]).contains(&said), "{answer:#}");
    let column = definition.lines().nth(6).and_then(|line| line.find("secrets(")).unwrap() + 1;
    let error = &answer["errors"][0];
    assert_eq!((&error["line"], &error["column"]), (&json!(7), &json!(column)), "{answer:#}");
    let (_, answer) = story.try_apply(&definition.replace("trigger: start", "trigger: strat")).await;
    let all = answer["errors"].to_string();
    assert!(all.contains("strat") && all.contains(&said), "one answer has all errors: {answer:#}");
    assert_eq!(story.get("/v1/workflows").await["workflows"], json!([]), "nothing was applied");
    set(json!([product.target.host_port()])).await;
    assert_eq!(code(&called(&story, "hosts", configuration).await), "passed");
    assert_eq!(product.target.requests("/hosts").len(), 1);
    // Each connection is checked too, because the allowed hosts may change after apply.
    set(json!(["api.example.com", product.other.host_port()])).await;
    let run = story.run("hosts", json!({})).await;
    let denied = story.execution(&word(&run["id"]), "call").await;
    assert_eq!(
        (code(&denied).as_str(), &denied["result_reason"]),
        ("host_not_allowed", &json!("secret_denied")),
        "{denied:#}"
    );
    assert_eq!(product.target.requests("/hosts").len(), 1);
    assert_eq!(product.other.requests("/hosts").len(), 0);
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn credentials_of_senders_and_callers_are_not_logged_i1() {
    let product = &product().await;
    let story = product.story("senders").await;
    let canary = make_secret("sender").replace(['"', '\\'], "");
    let hook = "name: NAME\nnodes:\n  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: KIND } }\n";
    for kind in ["signature", "bearer", "header_token", "none"] {
        let answer = story.apply(&hook.replace("NAME", kind).replace("KIND", kind)).await;
        let url = word(&answer["webhooks"][0]["url"]);
        let bearer = format!("Bearer {canary}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("x-token", &canary),
            ("x-hub-signature-256", &canary),
            ("cookie", &canary),
        ];
        let encoded: String = canary.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, _) = story.post(&format!("{url}?token={encoded}"), &headers, "{}").await;
        assert_eq!(status, if kind == "none" { 202 } else { 401 }, "{kind}");
        if kind != "none" {
            let (status, _) = story.post(&url, &[("x-token", "wrong")], canary.clone()).await;
            assert_eq!(status, 401, "the post is refused, and its body must not be logged");
        }
    }
    for (path, body) in
        [("/v1/secrets/a/b", canary.clone()), ("/v1/workflows/none/runs", format!("{{\"data\": {canary}}}"))]
    {
        let method = if path.contains("secrets") { "PUT" } else { "POST" };
        let (status, _) = story.call_with(method, path, "application/json", body.into()).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    story.end(&[&canary]).await;
}

#[tokio::test]
async fn the_leak_check_finds_what_is_planted() {
    let product = &product().await;
    let story = product.story("planted").await;
    let planted = make_secret("planted");
    // The secret stands in plain configuration, as if a user had typed it there: it is stored and
    // shown.
    let definition = format!(
        "{{ name: planted, nodes: [ {{ id: start, name: Start, trigger: start }}, {{ id: call, name: Call, component: http, \
         configuration: {{ url: TARGET/planted, headers: [ {{ name: A, value: {} }} ] }} }} ], edges: [ {{ from: start, to: call }} ] }}",
        json!(planted)
    );
    story.apply(&placed(product, &definition)).await;
    assert_eq!(story.run("planted", json!({})).await["result"], "passed");
    let report = product.leaks(&[&planted]).await;
    let found = |place: &str| report.findings.iter().any(|finding| finding.place == place);
    assert!(found("database dump"), "{report}");
    // The API's answers and every log are searched too.
    story.get("/v1/workflows/planted").await;
    let report = product.leaks(&[&planted]).await;
    assert!(report.findings.iter().any(|finding| finding.place == "answers.txt"), "{report}");
    for place in [
        "messages.jsonl",
        "messages still in the queues",
        "executor.log",
        "builder.log",
        "api.log",
        "migrate.log",
    ] {
        assert!(report.places.iter().any(|known| known == place), "{place}: {:?}", report.places);
    }
    assert!(report.places.iter().any(|place| place.contains("postgres")), "{:?}", report.places);
    story.end(&[]).await;
}
