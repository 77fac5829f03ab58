//! Intake, end to end: authentication, the accepted deliveries, and the refused ones, which leave
//! nothing stored (I1, I10).

use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use tests::e2e::{Product, Shared, Story, make_secret, placed, signature, until, word};

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    // Everything is logged: no log may hold a sender's credentials (I1).
    PRODUCT.get(|builder| builder.rust_log("trace")).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// A workflow with a webhook of this configuration; it calls `TARGET/NAME/taken`.
fn hooked(name: &str, configuration: &str) -> String {
    format!(
        "name: {name}\nnodes:\n  - {{ id: hook, name: Hook, trigger: webhook, configuration: {{ {configuration} }} }}\n  - {{ id: call, \
         name: Call, component: http, configuration: {{ url: TARGET/{name}/taken }} }}\nedges:\n  - {{ from: hook, to: call }}\n"
    )
}

/// Applies a workflow with one webhook; gives its address and its key or token (empty for none).
async fn apply(story: &Story<'_>, definition: &str) -> (String, String) {
    let answer = story.apply(&placed(story.product, definition)).await;
    let hook = &answer["webhooks"][0];
    let credential = hook["signing_key"].as_str().or(hook["token"].as_str()).unwrap_or_default();
    (word(&hook["url"]), credential.to_owned())
}

/// Posts, and checks that the post is refused with this status and problem details, and leaves
/// nothing stored.
async fn refused(
    story: &Story<'_>,
    status: u16,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) {
    let before = story.stored().await;
    let (found, answer) = story.post(url, headers, body).await;
    assert_eq!((found, &answer["status"]), (status, &json!(status)), "{headers:?}: {answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
    assert_eq!(story.stored().await, before, "{headers:?}");
}

/// Posts, and checks that the post is accepted; gives the run's id.
async fn taken(story: &Story<'_>, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> String {
    let (status, answer) = story.post(url, headers, body).await;
    assert_eq!(status, 202, "{headers:?}: {answer}");
    word(&answer["event_id"])
}

#[tokio::test]
async fn each_authentication_takes_its_credential_and_nothing_else() {
    let product = &product().await;
    let story = product.story("authentications").await;
    let body = r#"{"a": 1}"#;
    let mut credentials = Vec::new();

    let (url, key) = apply(&story, &hooked("signed", "authentication: signature")).await;
    let signed = signature(&key, body.as_bytes());
    let run = taken(&story, &url, &[JSON, ("X-Hub-Signature-256", &signed)], body).await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    let other = signature("another key of the same length as ours", body.as_bytes());
    let cut = &signed[..signed.len() - 2];
    for bad in [
        other.as_str(),
        cut,
        "sha256=",
        "",
        "sha1=abc",
        &signed.replace("sha256=", "sha512="),
        &format!("{signed}00"),
    ] {
        refused(&story, 401, &url, &[JSON, ("X-Hub-Signature-256", bad)], body).await;
    }
    refused(&story, 401, &url, &[JSON, ("X-Hub-Signature-256", &signed)], r#"{"a": 2}"#).await;
    refused(&story, 401, &url, &[JSON], body).await;
    refused(
        &story,
        401,
        &url,
        &[JSON, ("X-Hub-Signature-256", &signed), ("X-Hub-Signature-256", &signed)],
        body,
    )
    .await;
    credentials.push(key);

    let (url, key) =
        apply(&story, &hooked("gitea", "authentication: signature, header_name: X-Gitea-Signature")).await;
    let signed = signature(&key, body.as_bytes());
    taken(&story, &url, &[JSON, ("X-Gitea-Signature", signed.trim_start_matches("sha256="))], body).await;
    refused(&story, 401, &url, &[JSON, ("X-Hub-Signature-256", &signed)], body).await;
    credentials.push(key);

    let (url, token) = apply(&story, &hooked("bearer", "authentication: bearer")).await;
    taken(&story, &url, &[JSON, ("Authorization", &format!("Bearer {token}"))], body).await;
    taken(&story, &url, &[JSON, ("authorization", &format!("bearer {token}"))], body).await;
    for bad in
        ["", "Bearer", "Bearer ", "Bearer x", &format!("Basic {token}"), &token, &format!("Bearer {token}x")]
    {
        refused(&story, 401, &url, &[JSON, ("Authorization", bad)], body).await;
    }
    refused(&story, 401, &url, &[JSON], body).await;
    refused(&story, 401, &format!("{url}?access_token={token}"), &[JSON], body).await;
    credentials.push(token);

    let (url, token) = apply(&story, &hooked("default", "authentication: header_token")).await;
    taken(&story, &url, &[JSON, ("X-Token", &token)], body).await;
    refused(&story, 401, &url, &[JSON, ("X-Token", "wrong")], body).await;
    credentials.push(token);

    let (url, token) =
        apply(&story, &hooked("header", "authentication: header_token, header_name: X-Gitlab-Pass")).await;
    taken(&story, &url, &[JSON, ("x-gitlab-pass", &token)], body).await;
    refused(&story, 401, &url, &[JSON, ("x-gitlab-pass", "wrong")], body).await;
    refused(&story, 401, &url, &[JSON, ("x-token", &token)], body).await;
    refused(&story, 401, &url, &[JSON], body).await;
    credentials.push(token);

    let (url, none) = apply(&story, &hooked("open", "authentication: none")).await;
    assert_eq!(none, "");
    taken(&story, &url, &[JSON], body).await;

    // A key stands only in the answer that shows it.
    let credentials: Vec<&str> = credentials.iter().map(String::as_str).collect();
    let report = product.leaks(&credentials).await;
    let elsewhere: Vec<_> = report.findings.iter().filter(|finding| finding.place != "answers.txt").collect();
    assert!(elsewhere.is_empty() && report.places_found() == 1, "{report}");
    for workflow in ["signed", "bearer", "header"] {
        let shown = story.get(&format!("/v1/webhooks?workflow={workflow}")).await["webhooks"][0].take();
        assert!(shown["signing_key"].is_null() && shown["token"].is_null(), "{shown}");
    }
    until_done(&story).await;
    story.end(&[]).await;
}

#[tokio::test]
async fn credentials_are_not_in_the_stored_event_i1() {
    let product = &product().await;
    let story = product.story("stored").await;
    let (url, token) =
        apply(&story, &hooked("stored", "authentication: header_token, header_name: X-Entry")).await;
    let canary = make_secret("sent").replace(['"', '\\'], "");
    let names = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-my-signature",
        "x-gitlab-token",
        "client-secret",
        "x-api-key",
    ];
    let mut headers = vec![JSON, ("x-entry", token.as_str()), ("x-github-event", "push")];
    headers.extend(names.map(|name| (name, canary.as_str())));
    let query = format!("access_token={0}&api_key={0}&secret={0}&page=2", encode(&canary));
    let run = taken(&story, &format!("{url}?{query}"), &headers, "{}").await;
    let data = story.event(&run, "hook").await["data"].take();
    assert_eq!(data["query"], json!({ "page": "2" }));
    assert_eq!((&data["method"], &data["body"]), (&json!("POST"), &json!({})));
    let stored = data["headers"].as_object().unwrap();
    assert_eq!(stored["X-Github-Event"], json!(["push"]));
    assert!(
        !stored.keys().any(|name| names.contains(&name.to_lowercase().as_str()) || name == "X-Entry"),
        "{stored:?}"
    );
    assert_eq!(story.ended(&run).await["result"], "passed");
    let report = product.leaks(&[&token]).await;
    assert!(report.findings.iter().all(|finding| finding.place == "answers.txt"), "{report}");
    story.end(&[&canary]).await;
}

#[tokio::test]
async fn what_can_not_be_taken_is_refused_and_leaves_nothing_i10() {
    let product = &product().await;
    let story = product.story("refused").await;
    let (url, token) = apply(&story, &hooked("refused", "authentication: bearer")).await;
    let bearer = format!("Bearer {token}");
    let with =
        |content_type: &'static str| vec![("content-type", content_type), ("authorization", bearer.as_str())];
    let json = with("application/json");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let bad: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"{\"a\": 1,}".to_vec(),
        b"{} {}".to_vec(),
        b"NaN".to_vec(),
        br#"{"a": "\u0000"}"#.to_vec(),
        br#"{"\u0000": 1}"#.to_vec(),
        b"\"\0\"".to_vec(),
        br#"{"a": "\ud800"}"#.to_vec(),
        br#"["\udc00\ud800"]"#.to_vec(),
        b"1e131072".to_vec(),
        b"[1e131071]".to_vec(),
        b"1e309".to_vec(),
        "9".repeat(41).into_bytes(),
        b"[\"\xff\xfe\"]".to_vec(),
        nested(51).into_bytes(),
        nested(20_000).into_bytes(),
        "[".repeat(20_000).into_bytes(),
        "{\"a\":".repeat(20_000).into_bytes(),
    ];
    for body in bad {
        refused(&story, 400, &url, &json, body).await;
    }
    // A body that is no text is not lost: its length and its hash are kept.
    for bytes in [b"a\0b".to_vec(), vec![0xff, 0xfe, 0xff]] {
        let run = taken(&story, &url, &with("text/plain"), bytes).await;
        story.ended(&run).await;
        assert_eq!(story.event(&run, "hook").await["data"]["body"]["bytes"], 3);
    }
    refused(&story, 400, &url, &with("application/x-www-form-urlencoded"), "a=%00").await;
    refused(&story, 400, &format!("{url}?a=%00"), &json, "{}").await;
    // Authentication comes first: a sender without a credential learns nothing about the body.
    refused(&story, 401, &url, &[JSON], "{").await;

    let largest = 512 * 1024;
    let text = |bytes: usize| "x".repeat(bytes);
    refused(&story, 413, &url, &with("text/plain"), text(largest + 1)).await;
    refused(&story, 413, &url, &with("text/plain"), text(2 * largest)).await;
    refused(&story, 413, &url, &[("content-type", "text/plain")], text(largest + 1)).await;

    // The other side of the limits: bodies that are just small enough are accepted.
    let run = taken(&story, &url, &json, nested(48)).await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    taken(&story, &url, &with("text/plain"), text(largest - 4_096)).await;
    taken(&story, &url, &json, "9".repeat(40)).await;
    taken(&story, &url, &json, r#"{"a": "\ud83d\ude00", "b": 1e308, "c": -0, "d": 18446744073709551615}"#)
        .await;

    let base = product.sealflow.gateway_url();
    refused(&story, 404, &format!("{base}/hooks/{}", "0".repeat(32)), &json, "{}").await;
    refused(&story, 404, &format!("{base}/hooks/x"), &json, "{}").await;
    refused(&story, 404, &format!("{base}/hooks/%00"), &json, "{}").await;
    refused(&story, 404, &format!("{base}/hooks/a/b"), &json, "{}").await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let path = url.strip_prefix(&base).unwrap();
        let before = story.stored().await;
        let (status, answer) = story.call_with(method, path, "application/json", Bytes::from("{}")).await;
        assert_eq!((status, &answer["status"]), (405, &json!(405)), "{method}: {answer}");
        assert_eq!(story.stored().await, before);
    }
    let hops = |count: &'static str| vec![JSON, ("authorization", bearer.as_str()), ("sealflow-hops", count)];
    taken(&story, &url, &hops("10"), "{}").await;
    refused(&story, 508, &url, &hops("11"), "{}").await;
    refused(&story, 508, &url, &hops("4294967295"), "{}").await;
    until_done(&story).await;
    story.end(&[]).await;
}

#[tokio::test]
async fn each_call_counts_one_hop_more_and_the_eleventh_is_refused_i10() {
    let product = &product().await;
    let story = product.story("circle").await;
    let (url, _) = apply(&story, &hooked("circle", "authentication: none")).await;
    let circle = |to: &str| {
        hooked("circle", "authentication: none")
            .replace("TARGET/circle/taken", &format!("{to}, method: POST"))
    };
    // The product's calls can't reach its own front, so the test posts each hop, with the count
    // that the call before it has sent.
    story.apply(&placed(product, &circle("TARGET/circle/hop"))).await;
    for hops in 0..=10 {
        let count = hops.to_string();
        let before = product.target.requests("/circle/hop").len();
        let run = taken(&story, &url, &[JSON, ("sealflow-hops", &count)], "{}").await;
        story.ended(&run).await;
        let heard = product.target.heard("/circle/hop", before + 1).await;
        assert_eq!(heard[before].header("sealflow-hops"), Some((hops + 1).to_string().as_str()));
    }
    refused(&story, 508, &url, &[JSON, ("sealflow-hops", "11")], "{}").await;
    story.end(&[]).await;
}

#[tokio::test]
async fn a_run_that_a_workflow_starts_through_the_api_counts_its_hops_too_i10() {
    let product = &product().await;
    let story = product.story("api-circle").await;
    let definition = hooked("started", "authentication: none").replace(
        "{ id: hook, name: Hook, trigger: webhook, configuration: { authentication: none } }",
        "{ id: hook, name: Hook, trigger: start }",
    );
    story.apply(&placed(product, &definition)).await;
    let start = async |hops: &str| {
        let request =
            http::Request::post(format!("{}/v1/workflows/started/runs", product.sealflow.gateway_url()))
                .header("authorization", format!("Bearer {}", story.organization.token))
                .header("content-type", "application/json")
                .header("sealflow-hops", hops)
                .body(Bytes::from_static(b"{}"))
                .unwrap();
        let answer = product.send(request).await;
        (answer.status().as_u16(), serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap())
    };
    let (status, answer) = start("10").await;
    assert_eq!(status, 202, "{answer}");
    story.ended(&word(&answer["run_id"])).await;
    let heard = product.target.heard("/started/taken", 1).await;
    assert_eq!(heard[0].header("sealflow-hops"), Some("11"));
    let (status, answer) = start("11").await;
    assert_eq!((status, word(&answer["type"]).ends_with("loop_detected")), (508, true), "{answer}");
    story.end(&[]).await;
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_answered_with_the_first_event_i3() {
    let product = &product().await;
    let story = product.story("deduplication").await;
    let configuration = "authentication: bearer, deduplication_header: X-Delivery";
    let (url, token) = apply(&story, &hooked("first", configuration)).await;
    let (other_url, other_token) = apply(&story, &hooked("second", configuration)).await;
    let bearer = format!("Bearer {token}");
    let delivery = |id: &'static str| vec![JSON, ("authorization", bearer.as_str()), ("x-delivery", id)];
    let first = taken(&story, &url, &delivery("one"), r#"{"a": 1}"#).await;
    story.ended(&first).await;
    let rows = story.stored().await;
    for body in [r#"{"a": 1}"#, r#"{"a": 2}"#] {
        assert_eq!(taken(&story, &url, &delivery("one"), body).await, first);
    }
    assert_eq!(story.stored().await, rows);
    // Many deliveries with one key at once become one event.
    let delivered = delivery("together");
    let together =
        futures_util::future::join_all((0..8).map(|_| taken(&story, &url, &delivered, "{}"))).await;
    assert!(together.iter().all(|id| *id == together[0]), "{together:?}");
    // These deliveries are events of their own: with another key, without a key, with an empty key,
    // and with the same key at another webhook.
    let second = taken(&story, &url, &delivery("two"), "{}").await;
    let bare = taken(&story, &url, &[JSON, ("authorization", &bearer)], "{}").await;
    let (empty, again) =
        (taken(&story, &url, &delivery(""), "{}").await, taken(&story, &url, &delivery(""), "{}").await);
    let elsewhere = [JSON, ("authorization", &format!("Bearer {other_token}")), ("x-delivery", "one")];
    let other = taken(&story, &other_url, &elsewhere, "{}").await;
    let mut all = vec![first, together[0].clone(), second, bare, empty, again, other];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 7);
    // The key is read after authentication: an outsider can't find out the known keys.
    refused(&story, 401, &url, &[JSON, ("x-delivery", "one")], "{}").await;
    let long = "k".repeat(257);
    refused(&story, 400, &url, &[JSON, ("authorization", &bearer), ("x-delivery", &long)], "{}").await;
    taken(&story, &url, &[JSON, ("authorization", &bearer), ("x-delivery", &long[..256])], "{}").await;
    until_done(&story).await;
    story.end(&[]).await;
}

#[tokio::test]
async fn a_delivery_is_known_again_by_an_expression_and_one_that_says_nothing_refuses_none_i3() {
    let product = &product().await;
    let story = product.story("expression").await;
    let configuration = "authentication: bearer, deduplication_key: '{{ root().data.body.id }}'";
    let (url, token) = apply(&story, &hooked("by-id", configuration)).await;
    let (other_url, other_token) = apply(&story, &hooked("by-id-too", configuration)).await;
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("authorization", bearer.as_str())];
    let first = taken(&story, &url, &headers, r#"{"id": "one", "a": 1}"#).await;
    assert_eq!(taken(&story, &url, &headers, r#"{"id": "one", "a": 2}"#).await, first);
    let number = taken(&story, &url, &headers, r#"{"id": 7}"#).await;
    assert_eq!(taken(&story, &url, &headers, r#"{"id": 7, "a": 2}"#).await, number);
    // The key is read after authentication, and a key counts for its own webhook only.
    refused(&story, 401, &url, &[JSON], r#"{"id": "one"}"#).await;
    let elsewhere = [JSON, ("authorization", &format!("Bearer {other_token}"))];
    let mut all = vec![first, number, taken(&story, &other_url, &elsewhere, r#"{"id": "one"}"#).await];
    // A value at the limit of bytes is a key. A longer value, a failing expression, nil, an empty
    // text and a map are no keys, so each such delivery is an event of its own.
    let id = |bytes: usize| json!({ "id": "k".repeat(bytes) }).to_string();
    let longest = taken(&story, &url, &headers, id(256)).await;
    assert_eq!(taken(&story, &url, &headers, id(256)).await, longest);
    all.push(longest);
    for body in [&id(257), r#"{"id": null}"#, "{}", r#"{"id": ""}"#, r#"{"id": {"a": 1}}"#, r#""text""#] {
        for _ in 0..2 {
            all.push(taken(&story, &url, &headers, body.to_owned()).await);
        }
    }
    let events = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), events);
    // Another template counts at once.
    apply(&story, &hooked("by-id", &configuration.replace("body.id", "body.a"))).await;
    let again = taken(&story, &url, &headers, r#"{"id": "one", "a": 1}"#).await;
    assert!(!all.contains(&again));
    assert_eq!(taken(&story, &url, &headers, r#"{"id": "two", "a": 1}"#).await, again);
    until_done(&story).await;
    story.end(&[]).await;
}

#[tokio::test]
async fn a_warm_instance_follows_an_apply_at_once() {
    let product = &product().await;
    let story = product.story("warm").await;
    let (url, token) = apply(&story, &hooked("warm", "authentication: bearer")).await;
    let bearer = format!("Bearer {token}");
    let old = [JSON, ("authorization", bearer.as_str())];
    // Both instances have loaded the webhook.
    futures_util::future::join_all((0..4).map(|_| taken(&story, &url, &old, "{}"))).await;

    // The apply changes the path of the edges: the very next event takes it.
    let rerouted = hooked("warm", "authentication: bearer").replace("warm/taken", "warm/rerouted");
    apply(&story, &rerouted).await;
    let run = taken(&story, &url, &old, "{}").await;
    assert_eq!(story.ended(&run).await["result"], "passed");
    product.target.heard("/warm/rerouted", 1).await;
    let second = "  - { id: more, name: More, component: http, configuration: { url: TARGET/warm/more } }\nedges:\n  - { from: hook, to: more }\n";
    apply(&story, &rerouted.replace("edges:\n", second)).await;
    let run = taken(&story, &url, &old, "{}").await;
    assert_eq!(story.ended(&run).await["executions"], 2);
    product.target.heard("/warm/more", 1).await;

    // The apply changes the token's header. The token stays, and its old header fails at once. An
    // instance loads a webhook at most once a second, so the new header may take a second to work.
    let (same_url, shown) = apply(&story, &hooked("warm", "authentication: header_token")).await;
    assert_eq!((same_url, shown.as_str()), (url.clone(), ""), "a token that stays is not shown again");
    refused(&story, 401, &url, &old, "{}").await;
    let moved = [JSON, ("x-token", token.as_str())];
    until("the token's new place", || async { story.post(&url, &moved, "{}").await.0 == 202 }).await;

    // The apply changes the kind of credential: the same holds for the key.
    let (_, key) = apply(&story, &hooked("warm", "authentication: signature")).await;
    let signed = signature(&key, b"{}");
    refused(&story, 401, &url, &moved, "{}").await;
    let new = [JSON, ("x-hub-signature-256", signed.as_str())];
    until("the new key", || async { story.post(&url, &new, "{}").await.0 == 202 }).await;
    for _ in 0..4 {
        refused(&story, 401, &url, &old, "{}").await;
        refused(&story, 401, &url, &moved, "{}").await;
    }

    // The apply removes the authentication. Then the workflow and its webhook are deleted.
    apply(&story, &hooked("warm", "authentication: none")).await;
    until("no token is needed", || async { story.post(&url, &[JSON], "{}").await.0 == 202 }).await;
    let (status, _) = story.call("DELETE", "/v1/workflows/warm", None).await;
    assert_eq!(status, 204);
    // An instance that still has an old credential answers 401 for at most a second. No instance
    // accepts a delivery.
    let stored = story.stored().await;
    for _ in 0..4 {
        assert!([401, 404].contains(&story.post(&url, &[JSON], "{}").await.0));
    }
    until("there is no webhook", || async { story.post(&url, &[JSON], "{}").await.0 == 404 }).await;
    assert_eq!(story.stored().await, stored);
    until_done(&story).await;
    story.end(&[]).await;
}

#[tokio::test]
async fn a_rotated_key_works_beside_the_old_one_for_a_while_and_a_revoked_one_fails_at_once() {
    let product = &product().await;
    let story = product.story("rotation").await;
    let (url, old) = apply(&story, &hooked("rotation", "authentication: signature")).await;
    let body = "{}";
    let post = async |key: &str| {
        let signed = signature(key, body.as_bytes());
        story.post(&url, &[JSON, ("x-hub-signature-256", &signed)], body).await.0
    };
    let rotate = async |seconds: u32| {
        let body = json!({ "keep_previous_seconds": seconds });
        let (status, answer) = story.call("POST", "/v1/webhooks/rotation/hook/rotate", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        word(&answer["webhook"]["signing_key"])
    };
    assert_eq!(post(&old).await, 202);
    let second = rotate(3_600).await;
    until("the new key", || async { post(&second).await == 202 }).await;
    assert_eq!(post(&old).await, 202, "the old key is accepted for a while");
    let third = rotate(0).await;
    assert_eq!(
        [post(&old).await, post(&second).await],
        [401, 401],
        "both keys are revoked at once, on warm instances too"
    );
    until("the third key", || async { post(&third).await == 202 }).await;
    let given = make_secret("given");
    let set = json!({ "key": given, "keep_previous_seconds": 0 });
    let (status, answer) = story.call("PUT", "/v1/webhooks/rotation/hook/key", Some(&set)).await;
    assert_eq!((status, answer["webhook"].get("signing_key")), (200, None), "a given key is not shown");
    assert_eq!(post(&third).await, 401);
    until("the given key", || async { post(&given).await == 202 }).await;
    let keys = [old.as_str(), &second, &third];
    let report = product.leaks(&keys).await;
    assert!(report.findings.iter().all(|finding| finding.place == "answers.txt"), "{report}");
    until_done(&story).await;
    story.end(&[&given]).await;
}

#[tokio::test]
async fn a_body_is_read_as_its_sender_says() {
    let product = &product().await;
    let story = product.story("bodies").await;
    let (url, _) = apply(&story, &hooked("bodies", "authentication: none")).await;
    for (content_type, body, expected) in [
        ("application/json", r#"{"a": [1, 2.5, null]}"#, json!({ "a": [1, 2.5, null] })),
        ("application/cloudevents+json; charset=utf-8", "[]", json!([])),
        ("application/x-www-form-urlencoded", "a=1&b=x+y&a=%C3%A4", json!({ "a": ["1", "ä"], "b": "x y" })),
        ("text/plain", r#"{"a": 1}"#, json!(r#"{"a": 1}"#)),
        ("application/xml", "<a>ä</a>", json!("<a>ä</a>")),
    ] {
        let run = taken(&story, &url, &[("content-type", content_type)], body).await;
        let data = story.event(&run, "hook").await["data"].take();
        assert_eq!(data["body"], expected, "{content_type}");
    }
    until_done(&story).await;
    story.end(&[]).await;
}

/// Waits until no run of the organization is at work.
async fn until_done(story: &Story<'_>) {
    until("all runs have ended", || async {
        let runs = story.get("/v1/runs?limit=200").await;
        runs["runs"].as_array().unwrap().iter().all(|run| run["state"] != "running")
    })
    .await;
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
