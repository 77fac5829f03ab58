//! Targets as they really answer, end to end: gateways, servers that say when, odd heads, redirects
//! that are the answer, and answers that can't be stored.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use domain::limits::EVENT_DATA_DEPTH_MAX as DEPTH;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tests::e2e::{Product, Reply, Shared, Story, make_secret, placed};

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder.rust_log("trace").http_allow(&COMPANY.host_port)).await
}

/// A site inside a company: its authority is known to nobody else, and it asks its callers for a
/// certificate. Each answer says who called.
struct Company {
    host_port: String,
    /// PEM of the authority.
    authority: String,
    /// PEM of a caller's certificate, and of its key.
    caller: (String, String),
}

static COMPANY: LazyLock<Company> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let issued = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let ((own, own_key), (caller, caller_key)) = (issued("127.0.0.1"), issued("caller.example"));
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(own_key.serialize_der().into()))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host_port = listener.local_addr().unwrap().to_string();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            // Without a certificate the handshake fails, and there is nobody to answer.
            if tls.read(&mut [0; 4096]).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ninside");
            }
        }
    });
    Company { host_port, authority: authority.pem(), caller: (caller.pem(), caller_key.serialize_pem()) }
});

/// `start → call → after`, and `call → failed` on the channel `failure`. The call has this
/// configuration and these fields of its node.
fn calling(name: &str, configuration: &str, more: &str) -> String {
    format!(
        "name: {name}\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n  - {{ id: call, name: Call, component: http, concurrency: unlimited, {more} configuration: {{ {configuration} }} }}\n  \
         - {{ id: after, name: After, component: noop }}\n  - {{ id: failed, name: Failed, component: noop }}\nedges:\n  - {{ from: start, to: call }}\n  - {{ from: call, channel: success, to: after }}\n  \
         - {{ from: call, channel: failure, to: failed }}\n"
    )
}

/// The data of the only event of a node.
async fn data(story: &Story<'_>, run: &str, node: &str) -> Value {
    story.event(run, node).await["data"].clone()
}

fn head(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Whole(status, headers, body.as_bytes().to_vec())
}

#[tokio::test]
async fn what_a_gateway_answers_keeps_the_idempotency_key_and_what_the_target_answers_does_not_i5() {
    let product = &product().await;
    let story = product.story("gateways").await;
    let retry = "retry: { max_attempts: 4, initial_interval: 0, max_interval: 0 },";
    story.apply(&placed(product, &calling("gateways", "method: POST, url: TARGET/gateways", retry))).await;
    product.target.script("/gateways", [Reply::Status(504), Reply::Status(500), Reply::Status(429)]);
    let run = story.start("gateways", json!({})).await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    let heard = product.target.requests("/gateways");
    let keys: Vec<&str> = heard.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(keys[0], keys[1], "I5: after 504 the target may have done the work");
    assert_ne!(keys[1], keys[2], "I5: a target replays its own 500");
    assert_eq!(keys[2], keys[3], "I5: after 429 nothing was done");
    story.end(&[]).await;
}

#[tokio::test]
async fn a_server_that_says_when_is_asked_then_and_not_before() {
    let product = &product().await;
    let story = product.story("when").await;
    let retry = "retry: { max_attempts: 2, initial_interval: 0, max_interval: 0 },";
    story.apply(&placed(product, &calling("when", "url: 'TARGET/when/{{ root().data.at }}'", retry))).await;
    let clock = process::Clock::system();
    let then = clock.now() + Duration::from_secs(4);
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (at, status, value) in [("seconds", 429, "3"), ("date", 503, date.as_str())] {
        product.target.script(&format!("/when/{at}"), [head(status, &[("retry-after", value)], "wait")]);
        let started = Instant::now();
        let run = story.run("when", json!({ "at": at })).await;
        assert_eq!(run["result"], "passed");
        let waited = started.elapsed();
        match at {
            "seconds" => assert!(waited >= Duration::from_secs(3), "{waited:?}"),
            _ => assert!(clock.now().as_second() >= then.as_second(), "asked too early"),
        }
        assert_eq!(product.target.requests(&format!("/when/{at}")).len(), 2);
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn answers_are_read_as_their_heads_say_and_odd_heads_lose_nothing() {
    let product = &product().await;
    let story = product.story("answers").await;
    story.apply(&placed(product, &calling("answers", "url: 'TARGET/answers/{{ root().data.n }}'", ""))).await;
    let latin = Reply::Whole(
        200,
        vec![("content-type", "text/plain; charset=ISO-8859-1".to_owned())],
        b"Gr\xfc\xdfe".to_vec(),
    );
    let with_mark = Reply::Whole(
        200,
        vec![("content-type", "application/json".to_owned())],
        b"\xef\xbb\xbf{\"a\": 1}".to_vec(),
    );
    let cases = [
        (head(200, &[("content-type", "text/plain")], "1.10"), json!("1.10")),
        (head(200, &[("content-type", "application/json")], "1.10"), json!(1.1)),
        (head(200, &[("content-encoding", "UTF-8")], "{\"a\": 1}"), json!({ "a": 1 })),
        (
            head(200, &[("content-type", "application/x-ndjson")], "{\"a\": 1}\n{\"a\": 2}\n"),
            json!([{ "a": 1 }, { "a": 2 }]),
        ),
        (latin, json!("Grüße")),
        (with_mark, json!({ "a": 1 })),
        (head(200, &[("content-type", "application/octet-stream")], "007"), json!("007")),
    ];
    for (n, (reply, expected)) in cases.into_iter().enumerate() {
        product.target.script(&format!("/answers/{n}"), [reply]);
        let run = story.start("answers", json!({ "n": n })).await;
        story.ended(&run).await;
        assert_eq!(data(&story, &run, "call").await["body"], expected, "{n}");
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn a_failure_takes_its_edge_whatever_the_answer_was() {
    let product = &product().await;
    let story = product.story("never-lost").await;
    story.apply(&placed(product, &calling("never-lost", "url: 'TARGET/lost/{{ root().data.n }}'", ""))).await;
    // The body is as deep as data may be, and stands within the data.
    let deep = format!("{}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let json = ("content-type", "application/json");
    for (n, (status, code)) in
        [(500, "http_status"), (200, "output_can_not_be_stored")].into_iter().enumerate()
    {
        product.target.script(&format!("/lost/{n}"), [head(status, &[json], &deep)]);
        let run = story.start("never-lost", json!({ "n": n })).await;
        story.ended(&run).await;
        let emitted = data(&story, &run, "failed").await;
        assert_eq!(
            (&emitted["status"], &emitted["error"]["code"]),
            (&json!(status), &json!(code)),
            "{emitted}"
        );
    }
    story.end(&[]).await;
}

/// A login answers 302 with a ticket in `Location`; a download answers with a file's name as it is.
#[tokio::test]
async fn a_company_is_called_with_a_client_certificate_that_is_a_secret_i1() {
    let product = &product().await;
    let story = product.story("company").await;
    let (chain, key) = &COMPANY.caller;
    story.set_secret("mtls", "key", key).await;
    let pem = |text: &str| json!(text).to_string();
    let configuration = |tls: &str| format!("url: 'https://{}/', tls: {{ {tls} }}", COMPANY.host_port);
    let authorities = format!("authorities: {}", pem(&COMPANY.authority));
    let client = format!("certificate: {}, key: '{{{{ secrets(\"mtls\").key }}}}'", pem(chain));
    let called = async |name: &str, tls: &str| {
        story.apply(&calling(name, &configuration(tls), "")).await;
        let run = story.start(name, json!({})).await;
        story.ended(&run).await;
        data(&story, &run, "call").await
    };
    let data = called("inside", &format!("{authorities}, {client}")).await;
    assert_eq!((&data["status"], &data["body"]), (&json!(200), &json!("inside")), "{data}");
    let alone = called("no-certificate", &authorities).await;
    assert!(alone["error"]["message"].as_str().unwrap().contains("certificate of the client"), "{alone}");
    let stranger = called("no-authority", &client).await;
    assert!(stranger["error"]["message"].as_str().unwrap().contains("not known here"), "{stranger}");
    let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with("---")).collect();
    story.end(&lines).await;
}

#[tokio::test]
async fn files_are_sent_and_kept() {
    let product = &product().await;
    let story = product.story("files").await;
    let configuration = "method: POST, url: TARGET/upload, binary_body: base64, body: { multipart: [ { name: note, value: '{{ root().data.note }}' }, { name: file, filename: a.bin, base64: AAH/ } ] }";
    story.apply(&placed(product, &calling("files", configuration, ""))).await;
    let image = Reply::Whole(200, vec![("content-type", "image/png".to_owned())], vec![0x89, 0, 0xff]);
    product.target.script("/upload", [image]);
    let run = story.run("files", json!({ "note": "hello" })).await;
    assert_eq!(run["result"], "passed", "{run}");
    let heard = &product.target.requests("/upload")[0];
    let content_type = heard.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect(content_type);
    let expected = [
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n").into_bytes(),
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes(),
        b"\x00\x01\xff\r\n".to_vec(),
        format!("--{boundary}--\r\n").into_bytes(),
    ];
    assert_eq!(heard.body, expected.concat());
    let body = data(&story, run["id"].as_str().unwrap(), "call").await["body"].clone();
    assert_eq!(
        (&body["bytes"], &body["base64"], &body["type"]),
        (&json!(3), &json!("iQD/"), &json!("image/png"))
    );
    story.end(&[]).await;
}

#[tokio::test]
async fn a_redirect_is_followed_or_is_the_answer_as_the_author_says_i1() {
    let product = &product().await;
    let story = product.story("redirects").await;
    let secret = make_secret("login");
    story.set_secret("login", "token", &secret).await;
    let key = "headers: { X-Key: '{{ secrets(\"login\").token }}' }";
    let stop = calling("ticket", &format!("url: TARGET/login, redirects: stop, {key}"), "");
    story.apply(&placed(product, &stop)).await;
    product
        .target
        .script("/login", [head(302, &[("location", "https://elsewhere.example/?ticket=ST-1")], "")]);
    let run = story.start("ticket", json!({})).await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    let answer = data(&story, &run, "call").await;
    assert_eq!(
        (&answer["status"], &answer["headers"]["Location"]),
        (&json!(302), &json!(["https://elsewhere.example/?ticket=ST-1"]))
    );
    assert_eq!(product.target.requests("/login")[0].header("x-key"), Some(secret.as_str()));

    story.apply(&placed(product, &calling("download", &format!("url: TARGET/download, {key}"), ""))).await;
    product.target.script("/download", [head(302, &[("location", "/files/annual report.pdf")], "")]);
    let run = story.start("download", json!({})).await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    assert_eq!(product.target.requests("/files/").last().unwrap().path, "/files/annual%20report.pdf");

    product.target.script("/download", [head(302, &[("location", "ftp://files.example/x")], "")]);
    let run = story.start("download", json!({})).await;
    story.ended(&run).await;
    let failure = data(&story, &run, "failed").await;
    assert_eq!((&failure["status"], &failure["error"]["code"]), (&json!(302), &json!("redirect_invalid")));
    assert!(failure["error"]["message"].as_str().unwrap().starts_with("the target redirected"), "{failure}");
    story.end(&[&secret]).await;
}
