//! Senders as they really send, end to end: their signatures, their retries, their handshakes, and
//! bodies that are compressed, marked, or forms with files.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use components::webhook::{Sender, WebhookConfiguration};
use domain::webhook::Authentication;
use local::sealflow::Builder;
use serde_json::{Value, json};
use tests::e2e::{Product, Shared, Story, word};
use webhook_signature::{SentRequest, sign};

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    // One instance counts all deliveries.
    let one = |builder: Builder| builder.function("webhook", |options| options.instances_max = 1);
    PRODUCT.get(move |builder| one(builder.rust_log("trace"))).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A workflow that keeps what its webhook was sent; gives its address and its key or token.
async fn hook(story: &Story<'_>, name: &str, configuration: &str) -> (String, String) {
    let definition = format!(
        "name: {name}\nnodes:\n  - {{ id: hook, name: Hook, trigger: webhook, configuration: {{ {configuration} }} }}\n  - {{ id: kept, name: Kept, component: noop }}\nedges:\n  - {{ from: hook, to: kept }}\n"
    );
    let answer = story.apply(&definition).await;
    let hook = &answer["webhooks"][0];
    let credential = hook["signing_key"].as_str().or(hook["token"].as_str()).unwrap_or_default();
    (word(&hook["url"]), credential.to_owned())
}

/// The headers of a delivery as this sender would make them at this time.
fn headers(sender: Sender, key: &str, url: &str, body: &[u8], at: jiff::Timestamp) -> Vec<(String, String)> {
    let configuration = WebhookConfiguration::read(&json!({ "sender": sender.as_str() })).unwrap();
    let header = configuration.header_name.clone().unwrap();
    let mut headers = match configuration.authentication {
        Authentication::Bearer => vec![(header, format!("Bearer {key}"))],
        Authentication::HeaderToken => vec![(header, key.to_owned())],
        _ => sign(
            &configuration.scheme,
            &header,
            key.as_bytes(),
            SentRequest { url, body, is_form: sender == Sender::Twilio, id: "delivery-1" },
            at,
        ),
    };
    let known =
        configuration.deduplication_header.filter(|name| headers.iter().all(|(sent, _)| sent != name));
    headers.extend(known.map(|name| (name, "delivery-1".to_owned())));
    let content_type = if sender == Sender::Twilio { FORM } else { JSON };
    headers.push((content_type.0.to_owned(), content_type.1.to_owned()));
    headers
}

async fn post(story: &Story<'_>, url: &str, headers: &[(String, String)], body: &[u8]) -> (u16, Value) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    story.post(url, &headers, Bytes::copy_from_slice(body)).await
}

#[tokio::test]
async fn each_sender_is_taken_as_it_signs_and_its_retry_makes_no_second_run_i3() {
    let product = &product().await;
    let story = product.story("senders").await;
    let clock = process::Clock::system();
    let mut keys = Vec::new();
    for sender in Sender::ALL.iter().copied().filter(|sender| *sender != Sender::Generic) {
        let (url, key) = hook(&story, sender.as_str(), &format!("sender: {sender}")).await;
        let now = clock.now();
        let body = match sender {
            Sender::Twilio => "Body=hello&From=%2B15551234567".to_owned(),
            _ => json!({ "id": "evt_1", "event_id": "Ev1", "webhookTimestamp": now.as_millisecond() })
                .to_string(),
        };
        let body = body.as_bytes();
        let good = headers(sender, &key, &url, body, now);
        let (status, first) = post(&story, &url, &good, body).await;
        assert_eq!(status, 202, "{sender}: {first}");
        if sender != Sender::Alertmanager {
            let (status, again) = post(&story, &url, &good, body).await;
            assert_eq!(
                (status, &again["event_id"]),
                (202, &first["event_id"]),
                "{sender}: the same delivery"
            );
        }
        let wrong = headers(sender, "another key of the same sender", &url, body, now);
        assert_eq!(post(&story, &url, &wrong, body).await.0, 401, "{sender}: another key");
        let configuration = WebhookConfiguration::read(&json!({ "sender": sender.as_str() })).unwrap();
        if configuration.authentication == Authentication::Signature {
            let other = [body, b" "].concat();
            assert_eq!(post(&story, &url, &good, &other).await.0, 401, "{sender}: another body");
        }
        if configuration.scheme.timestamp.is_some() {
            let before = now - std::time::Duration::from_secs(600);
            let old = json!({ "webhookTimestamp": before.as_millisecond() }).to_string();
            let late = headers(sender, &key, &url, old.as_bytes(), before);
            let (status, answer) = post(&story, &url, &late, old.as_bytes()).await;
            assert_eq!(status, 401, "{sender}: old");
            assert!(answer["detail"].as_str().unwrap().contains("too long ago"), "{answer}");
        }
        story.ended(&word(&first["event_id"])).await;
        let data = story.event(&word(&first["event_id"]), "hook").await["data"].to_string();
        let name = configuration.header_name.as_deref().unwrap();
        let signature = &good.iter().find(|(sent, _)| sent == name).unwrap().1;
        assert!(
            !data.contains(&key) && (signature.len() < 16 || !data.contains(signature.as_str())),
            "I1: {sender}: {data}"
        );
        keys.push(key);
    }
    let report = product.leaks(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let elsewhere: Vec<_> = report.findings.iter().filter(|finding| finding.place != "answers.txt").collect();
    assert!(elsewhere.is_empty(), "I1: {report}");
    story.end(&[]).await;
}

#[tokio::test]
async fn handshakes_are_answered_at_once_and_make_no_run() {
    let product = &product().await;
    let story = product.story("handshakes").await;
    let now = process::Clock::system().now();
    let get = async |method: &str, url: &str| {
        let request = http::Request::builder().method(method).uri(url).body(Bytes::new()).unwrap();
        let answer = product.send(request).await;
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            kind.unwrap_or_default(),
            String::from_utf8(answer.body().to_vec()).unwrap(),
        )
    };
    let text = |text: &str| (200, "text/plain; charset=utf-8".to_owned(), text.to_owned());

    let (slack, key) = hook(&story, "slack-events", "sender: slack").await;
    let challenge = br#"{"type":"url_verification","token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let before = story.stored().await;
    let signed = headers(Sender::Slack, &key, &slack, challenge, now);
    let mut request = http::Request::post(&slack);
    for (name, value) in &signed {
        request = request.header(name, value);
    }
    let answer = product.send(request.body(Bytes::from_static(challenge)).unwrap()).await;
    assert_eq!(answer.body().as_ref(), b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(story.post(&slack, &[JSON], &challenge[..]).await.0, 401, "only its sender is answered");
    // The signature is of the bytes on the wire, and the challenge within them.
    let packed = gzip(challenge);
    let mut request = http::Request::post(&slack).header("content-encoding", "gzip");
    for (name, value) in &headers(Sender::Slack, &key, &slack, &packed, now) {
        request = request.header(name, value);
    }
    let answer = product.send(request.body(packed.into()).unwrap()).await;
    assert_eq!(answer.body().as_ref(), b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
    assert_eq!(get("GET", &slack).await.0, 405);

    let (open, _) =
        hook(&story, "open", "authentication: none, handshake: [probe, hub_challenge, validation_token]")
            .await;
    assert_eq!(
        get("GET", &format!("{open}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=x")).await,
        text("1158201444")
    );
    assert_eq!(get("GET", &open).await, text(""));
    assert_eq!(get("HEAD", &open).await.0, 200);
    assert_eq!(
        get("POST", &format!("{open}?validationToken=Validation%3A%20a%2Bb")).await,
        text("Validation: a+b")
    );
    assert_eq!(get("PUT", &open).await.0, 405);
    let (strava, _) = hook(
        &story,
        "strava",
        "authentication: none, handshake: { query: hub.challenge, json: hub.challenge }",
    )
    .await;
    assert_eq!(
        get("GET", &format!("{strava}?hub.verify_token=S&hub.challenge=15f7d1a91c1f40f8&hub.mode=subscribe"))
            .await,
        (200, "application/json".to_owned(), r#"{"hub.challenge":"15f7d1a91c1f40f8"}"#.to_owned())
    );
    let (okta, _) = hook(
        &story,
        "okta",
        "authentication: none, handshake: { header: X-Okta-Verification-Challenge, json: verification }",
    )
    .await;
    let request = http::Request::get(&okta).header("x-okta-verification-challenge", "my-challenge");
    let answer = product.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.body().as_ref(), br#"{"verification":"my-challenge"}"#);
    assert_eq!(get("GET", &okta).await.0, 405);
    assert_eq!(get("GET", &format!("{}0000", &open[..open.len() - 4])).await.0, 404);
    assert_eq!(story.stored().await, before, "a handshake makes no run");
    story.end(&[]).await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The data's body of the event that a delivery made.
async fn body_of(story: &Story<'_>, answer: &Value) -> Value {
    story.event(&word(&answer["event_id"]), "hook").await["data"]["body"].clone()
}

/// Whoever has only the workflow sees what its senders were told.
#[tokio::test]
async fn what_was_taken_and_refused_is_counted_by_reason() {
    let product = &product().await;
    let story = product.story("counted").await;
    let (url, token) = hook(&story, "counted", "authentication: bearer").await;
    let list = async || story.get("/v1/webhooks?workflow=counted").await["webhooks"][0]["deliveries"].clone();
    let none = json!({ "accepted": 0, "refused": {}, "refused_last_at": null, "refused_last_reason": null });
    assert_eq!(list().await, none);
    let bearer = format!("Bearer {token}");
    // The first is written at once, whatever it is; the next go with the first delivery a minute later.
    assert_eq!(story.post(&url, &[JSON, ("authorization", "Bearer wrong")], "{}").await.0, 401);
    let first = list().await;
    assert_eq!(
        (&first["refused"], &first["refused_last_reason"]),
        (&json!({ "unauthorized": 1 }), &json!("unauthorized"))
    );
    assert!(first["refused_last_at"].is_string());
    for (headers, body, status) in [
        (vec![JSON, ("authorization", bearer.as_str())], "{}", 202),
        (vec![JSON, ("authorization", bearer.as_str())], "{", 400),
        (vec![JSON], "{}", 401),
    ] {
        assert_eq!(story.post(&url, &headers, body).await.0, status);
    }
    assert_eq!(list().await, first, "at most once a minute");
    let shown = tests::e2e::cli::Cli::of(&story).run("webhook list --workflow counted").await.passed();
    assert!(shown.contains("unauthorized=1") && shown.contains("unauthorized"), "{shown}");
    story.end(&[]).await;
}

#[tokio::test]
async fn bodies_are_taken_compressed_marked_and_as_forms_with_files_i10() {
    let product = &product().await;
    let story = product.story("bodies").await;
    let (url, key) = hook(&story, "bodies", "authentication: signature").await;
    let send = async |content_type: &str, encoding: Option<&str>, body: Vec<u8>| {
        let signature = tests::e2e::signature(&key, &body);
        let mut headers = vec![("content-type", content_type), ("x-hub-signature-256", signature.as_str())];
        headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
        story.post(&url, &headers, body).await
    };
    // The signature is over the bytes on the wire.
    let (status, answer) = send("application/json", Some("gzip"), gzip(b"{\"a\": 1}")).await;
    assert_eq!((status, body_of(&story, &answer).await), (202, json!({ "a": 1 })));
    let (status, answer) = send("application/json", Some("UTF-8"), b"\xef\xbb\xbf{\"a\": 2}".to_vec()).await;
    assert_eq!((status, body_of(&story, &answer).await), (202, json!({ "a": 2 })));
    let most = domain::limits::WEBHOOK_BODY_BYTES_MAX;
    assert_eq!(send("text/plain", Some("gzip"), gzip(&vec![b'x'; most + 1])).await.0, 413, "a bomb");
    assert_eq!(
        send("text/plain", Some("gzip"), gzip(&gzip(&vec![b'x'; 8 * most]))).await.0,
        202,
        "one layer"
    );
    assert_eq!(send("text/plain", Some("gzip, gzip"), gzip(&gzip(&vec![b'x'; 8 * most]))).await.0, 413);
    assert_eq!(send("application/json", Some("gzip"), b"no gzip".to_vec()).await.0, 400);
    assert_eq!(send("application/json", Some("br"), b"no br".to_vec()).await.0, 400);

    let form = b"--b\r\nContent-Disposition: form-data; name=\"subject\"\r\n\r\nInvoice\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n";
    let (status, answer) = send("multipart/form-data; boundary=b", None, form.to_vec()).await;
    let body = body_of(&story, &answer).await;
    assert_eq!((status, &body["subject"]), (202, &json!("Invoice")));
    assert_eq!(
        (&body["file"]["name"], &body["file"]["type"], &body["file"]["bytes"]),
        (&json!("a.png"), &json!("image/png"), &json!(4))
    );
    assert_eq!(send("multipart/form-data; boundary=other", None, form.to_vec()).await.0, 400);
    story.end(&[]).await;
}

/// A slash command wants its answer at once; what is not wanted makes no run.
#[tokio::test]
async fn a_delivery_is_answered_and_filtered_as_its_author_says() {
    let product = &product().await;
    let story = product.story("answers").await;
    let now = process::Clock::system().now();
    let configuration = "sender: slack, when: 'root().data.body.command == \"/deploy\"', rate: { per_second: 1, burst: 3 }, \
        response: { body: { response_type: ephemeral, text: 'deploying {{ root().data.body.text }} (no {{ root().data.headers[\"X-Slack-Request-Timestamp\"][0] }})' }, headers: { X-Who: '{{ root().data.body.user_name }}' } }";
    let (url, key) = hook(&story, "slash", configuration).await;
    let send = async |body: &str| {
        let mut signed = headers(Sender::Slack, &key, &url, body.as_bytes(), now);
        signed.retain(|(name, _)| name != "content-type");
        let mut request = http::Request::post(&url).header(FORM.0, FORM.1);
        for (name, value) in &signed {
            request = request.header(name, value);
        }
        product.send(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()).await
    };
    let answer = send("command=%2Fdeploy&text=api+%7B%7B+1+%7D%7D&user_name=ada").await;
    let said: Value = serde_json::from_slice(answer.body()).unwrap();
    let text = format!("deploying api {{{{ 1 }}}} (no {})", now.as_second());
    assert_eq!(said, json!({ "response_type": "ephemeral", "text": text }), "I2: data is no template");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-who"]),
        (200, &http::HeaderValue::from_static("ada"))
    );
    assert_eq!(answer.headers()["content-type"], "application/json");
    let runs = async || story.get("/v1/runs?workflow=slash").await["runs"].as_array().map_or(0, Vec::len);
    assert_eq!(runs().await, 1);
    let other = send("command=%2Fother&text=x&user_name=ada").await;
    assert_eq!((other.status().as_u16(), other.body().len(), runs().await), (200, 0, 1), "it is not wanted");
    let injected = send("command=%2Fdeploy&text=x&user_name=a%0D%0AX-B:c").await;
    assert_eq!(injected.status().as_u16(), 202, "I2: there is no such header");
    // Its own rate: so many at once are more than a slow machine could spread over seconds.
    let many = futures_util::future::join_all((0..30).map(|_| send("command=%2Fother"))).await;
    let limited: Vec<_> = many.iter().filter(|answer| answer.status().as_u16() == 429).collect();
    assert!(!limited.is_empty(), "{many:?}");
    assert!(limited.iter().all(|answer| answer.headers().contains_key("retry-after")));

    let (url, _) = hook(&story, "filtered", "authentication: none, when: 'root().data.body.n > 1'").await;
    assert_eq!(story.post(&url, &[JSON], "{\"n\": 1}").await, (202, json!({ "filtered": true })));
    let (status, taken) = story.post(&url, &[JSON], "{\"n\": 2}").await;
    assert_eq!((status, taken["run_id"].is_string()), (202, true));
    // A warm instance follows an apply. It trusts a webhook for a second after it has loaded it; after
    // that it looks again before it says that an event is not wanted.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let taking_all = "name: filtered\nnodes:\n  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: none } }\n  - { id: kept, name: Kept, component: noop }\nedges:\n  - { from: hook, to: kept }\n";
    story.apply(taking_all).await;
    assert_eq!(story.post(&url, &[JSON], "{\"n\": 1}").await.1["filtered"], json!(null));
    story.end(&[]).await;
}
