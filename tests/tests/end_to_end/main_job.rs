//! The main job, end to end: a webhook becomes a run that calls the outside world with a secret,
//! branches and retries. Its history can be searched and holds no secret (I1, I5).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::e2e::{Product, Reply, Shared, Story, make_secret, outside::FORMS, placed, signature, word};
use tests::wait_for;

const EXAMPLE: &str = include_str!("../../../examples/notify-on-push.yaml");
const PUSH: &str = include_str!("../../../examples/github-push.json");

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

/// Applies the example with a secret; gives the webhook's address and key.
async fn example(story: &Story<'_>, secret: &str) -> (String, String) {
    story.set_secret("github", "token", secret).await;
    let definition = EXAMPLE.replace("https://api.example.com", &story.product.target.url());
    let answer = story.apply(&definition).await;
    // The only warning is about plain http, which the operator allows for the target. The secret
    // exists, so no other warning is due.
    let warnings = answer["warnings"].as_array().unwrap();
    assert!(warnings.iter().all(|warning| word(&warning["message"]).contains("plain http")), "{warnings:?}");
    (word(&answer["webhooks"][0]["url"]), word(&answer["webhooks"][0]["signing_key"]))
}

/// Posts a signed push of a commit; gives the run's id.
async fn push(story: &Story<'_>, (url, key): &(String, String), commit: &str) -> String {
    let body = PUSH.replace("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c", commit);
    let signed = signature(key, body.as_bytes());
    let headers =
        [("content-type", "application/json"), ("x-hub-signature-256", &signed), ("x-github-event", "push")];
    let (status, answer) = story.post(url, &headers, body.clone()).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(answer["event_id"], answer["run_id"]);
    word(&answer["run_id"])
}

#[tokio::test]
async fn a_push_goes_down_the_success_branch_and_leaves_a_history_without_the_secret_i1() {
    let product = &product().await;
    let story = product.story("success").await;
    let secret = make_secret("example");
    let webhook = example(&story, &secret).await;
    let commit = "aaaa000000000000000000000000000000000001";
    let run_id = push(&story, &webhook, commit).await;
    let run = story.ended(&run_id).await;
    assert_eq!((&run["result"], &run["name"]), (&json!("passed"), &json!("Greet the whole world")));
    assert_eq!((&run["executions"], &run["failures_unrouted"]), (&json!(3), &json!(0)));

    let call = product.target.requests(&format!("/builds/{commit}"));
    assert_eq!(call.len(), 1);
    assert_eq!(call[0].header("authorization"), Some(format!("Bearer {secret}").as_str()));
    let body = call[0].json();
    assert_eq!((&body["branch"], &body["commits"]), (&json!("main"), &json!(1)));
    assert_eq!(body["pusher"], json!({ "name": "octocat", "email": "mona@example.com" }));

    let [call, ok, done] = <[Value; 3]>::try_from(story.executions(&run_id).await).unwrap();
    assert_eq!([&call["node_id"], &ok["node_id"], &done["node_id"]], ["call", "ok", "done"]);
    for execution in [&call, &ok, &done] {
        assert_eq!((&execution["state"], &execution["result"]), (&json!("finished"), &json!("passed")));
    }
    assert_eq!(call["previous_execution_id"], Value::Null);
    assert_eq!((&ok["previous_execution_id"], &done["previous_execution_id"]), (&call["id"], &ok["id"]));
    assert_eq!(
        call["configuration"]["headers"][0]["value"], r#"Bearer {{ secrets("github").token }}"#,
        "the reference stands as its author wrote it"
    );
    assert_eq!(call["metadata"]["attempts"][0]["secrets"], json!(["github.token"]));
    assert!(call["metadata"]["attempts"][0]["scrubbed"].as_i64().unwrap() > 0);
    let event = story.event(&run_id, "call").await;
    assert_eq!(event["data"]["body"]["headers"]["authorization"], json!(["Bearer [secret:github.token]"]));

    let by_key = story.get(&format!("/v1/executions?key=commit&value={commit}")).await;
    assert_eq!(
        (by_key["executions"].as_array().unwrap().len(), &by_key["executions"][0]["id"]),
        (1, &call["id"])
    );
    assert_eq!(story.get("/v1/executions?key=commit&value=other").await["executions"], json!([]));
    let after = story.get(&format!("/v1/executions?previous={}", word(&call["id"]))).await;
    assert_eq!(after["executions"][0]["node_id"], "ok");
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn what_the_target_answers_chooses_the_branch() {
    let product = &product().await;
    let story = product.story("branches").await;
    let secret = make_secret("branches");
    let webhook = example(&story, &secret).await;
    let commit = "bbbb000000000000000000000000000000000002";
    product.target.script(&format!("/builds/{commit}"), [Reply::Status(202)]);
    let run_id = push(&story, &webhook, commit).await;
    assert_eq!(story.ended(&run_id).await["result"], "passed");
    assert_eq!(story.execution(&run_id, "alarm").await["result"], "passed");
    assert!(story.executions(&run_id).await.iter().all(|execution| execution["node_id"] != "done"));
    let heard = product.target.requests("/alarms");
    assert!(
        heard.iter().any(|request| request.json()["text"] == "The build server answered 202 to bbbb000."),
        "{heard:?}"
    );
    story.end(&[&secret]).await;
}

const FAILING: &str = r#"
name: failing
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: call, name: Call, component: http, configuration: { url: 'TARGET/failing/{{ root().data.path }}' } }
  - id: told
    name: Told
    component: http
    configuration:
      method: POST
      url: TARGET/told
      body: { json: { code: '{{ $["Call"].data.error.code }}', status: '{{ $["Call"].data.status }}', body: '{{ previous().data.body.path }}' } }
edges:
  - { from: start, to: call }
"#;

#[tokio::test]
async fn a_failure_that_is_routed_does_not_fail_the_run_and_one_that_goes_nowhere_does() {
    let product = &product().await;
    let story = product.story("failures").await;
    product.target.script("/failing/", [500, 500, 404].map(Reply::Status));
    let unrouted = placed(product, FAILING);
    story.apply(&unrouted).await;
    let run = story.run("failing", json!({ "path": "1" })).await;
    assert_eq!((&run["result"], &run["failures_unrouted"]), (&json!("failed"), &json!(1)));
    let call = story.execution(&word(&run["id"]), "call").await;
    assert_eq!((&call["result"], &call["result_reason"]), (&json!("failed"), &json!("component_error")));
    assert_eq!(call["result_message"], "the server answered with status 500");

    story.apply(&format!("{unrouted}  - {{ from: call, channel: failure, to: told }}\n")).await;
    for status in [500, 404] {
        let run = story.run("failing", json!({ "path": "2" })).await;
        assert_eq!((&run["result"], &run["failures_unrouted"]), (&json!("passed"), &json!(0)));
        let told = product.target.requests("/told").pop().unwrap().json();
        assert_eq!(told, json!({ "code": "http_status", "status": status, "body": "/failing/2" }));
    }
    let results = story.get("/v1/runs?workflow=failing").await;
    let results: Vec<_> =
        results["runs"].as_array().unwrap().iter().map(|run| word(&run["result"])).collect();
    assert_eq!(results, ["passed", "passed", "failed"], "the newest run comes first");
    story.end(&[]).await;
}

#[tokio::test]
async fn a_retry_repeats_the_key_after_no_answer_and_takes_the_next_after_an_answer_i5() {
    let product = &product().await;
    let story = product.story("retries").await;
    let replies =
        [Reply::Late(Duration::from_secs(3)), Reply::Status(500), Reply::Status(501), Reply::Status(200)];
    product.target.script("/retried", replies);
    story
        .apply(&placed(
            product,
            "{ name: retried, nodes: [ { id: start, name: Start, trigger: start }, { id: call, name: Call, component: http, \
             configuration: { url: 'TARGET/retried', timeout_seconds: 1 }, \
             retry: { max_attempts: 5, initial_interval: 1, backoff: fixed } } ], edges: [ { from: start, to: call } ] }",
        ))
        .await;
    let run = story.run("retried", json!({})).await;
    assert_eq!(run["result"], "passed");
    let call = story.execution(&word(&run["id"]), "call").await;
    let id = word(&call["id"]);
    let heard = product.target.requests("/retried");
    let keys: Vec<_> =
        heard.iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys, [id.clone(), id.clone(), format!("{id}-2"), format!("{id}-3")]);
    assert_eq!((&call["attempt"], &call["crashes"]), (&json!(4), &json!(0)));
    let attempts: Vec<_> = call["metadata"]["attempts"].as_array().unwrap().iter().collect();
    let codes: Vec<_> = attempts.iter().map(|attempt| &attempt["error"]["code"]).collect();
    assert_eq!(codes, [&json!("timeout"), &json!("http_status"), &json!("http_status"), &Value::Null]);
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt["attempt"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    story.end(&[]).await;
}

#[tokio::test]
async fn attempts_are_used_up_and_a_failure_that_no_attempt_would_mend_is_not_tried_again() {
    let product = &product().await;
    let story = product.story("attempts").await;
    let definition = "{ name: NAME, nodes: [ { id: start, name: Start, trigger: start }, { id: call, name: Call, component: http, \
        configuration: { url: 'TARGET/NAME' }, retry: { max_attempts: 2, initial_interval: 1 } } ], \
        edges: [ { from: start, to: call } ] }";
    for (name, status, heard) in [("used-up", 503, 2), ("not-mended", 400, 1)] {
        product.target.script(&format!("/{name}"), [status; 5].map(Reply::Status));
        story.apply(&placed(product, &definition.replace("NAME", name))).await;
        let run = story.run(name, json!({})).await;
        assert_eq!(run["result"], "failed", "{name}");
        assert_eq!(product.target.requests(&format!("/{name}")).len(), heard, "{name}");
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn while_a_retry_waits_its_slot_is_taken_and_the_run_runs_i4() {
    let product = &product().await;
    let story = product.story("waiting").await;
    product.target.script("/waiting/first", [Reply::Status(500), Reply::Status(200)]);
    story
        .apply(&placed(
            product,
            "{ name: waiting, nodes: [ { id: start, name: Start, trigger: start }, { id: call, name: Call, component: http, \
             configuration: { url: 'TARGET/waiting/{{ root().data.path }}' }, retry: { max_attempts: 3, initial_interval: 1 } } ], \
             edges: [ { from: start, to: call } ] }",
        ))
        .await;
    let first = story.start("waiting", json!({ "path": "first" })).await;
    product.target.heard("/waiting/first", 1).await;
    let second = story.start("waiting", json!({ "path": "second" })).await;
    let item = wait_for("the second waits behind the first", || async {
        let items = story.get(&format!("/v1/queue-items?run={second}")).await;
        items["queue_items"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(item["node_id"], "call");
    for run in [first, second] {
        assert_eq!(story.ended(&run).await["result"], "passed");
    }
    let paths: Vec<_> =
        product.target.requests("/waiting/").into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/waiting/first", "/waiting/first", "/waiting/second"]);
    story.end(&[]).await;
}

#[tokio::test]
async fn what_a_target_echoes_is_scrubbed_in_every_form_i1() {
    let product = &product().await;
    let story = product.story("echo").await;
    let secret = make_secret("echo");
    story.set_secret("github", "token", &secret).await;
    let node = |form: &str| {
        format!(
            "  - {{ id: {form}, name: '{form}', component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/echo/{form}', \
             headers: [ {{ name: X-Echo, value: '{{{{ secrets(\"github\").token }}}}' }} ] }} }}\n"
        )
    };
    let nodes: String = FORMS.iter().map(|form| node(form)).collect();
    let edges: String = FORMS.iter().map(|form| format!("  - {{ from: start, to: {form} }}\n")).collect();
    let definition = format!(
        "name: echo\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n{nodes}edges:\n{edges}"
    );
    story.apply(&placed(product, &definition)).await;
    let run = story.run("echo", json!({})).await;
    assert_eq!((&run["result"], &run["executions"]), (&json!("passed"), &json!(FORMS.len())));
    let run_id = word(&run["id"]);
    for form in FORMS {
        let data = story.event(&run_id, form).await["data"].to_string();
        assert!(data.contains("[secret:github.token]"), "{form}: {data}");
    }
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn basic_form_and_query_are_scrubbed_too_and_redacted_places_are_blank_i1() {
    let product = &product().await;
    let story = product.story("derived").await;
    let (secret, issued) = (make_secret("derived"), make_secret("issued"));
    story.set_secret("github", "token", &secret).await;
    let hook_path: String = make_secret("hook").chars().filter(char::is_ascii_alphanumeric).collect();
    let hook = format!("{}/derived/{hook_path}", product.target.url());
    story.set_secret("hook", "url", &hook).await;
    product.target.script(
        "/issues",
        [Reply::Body(
            "application/json",
            json!({ "access_token": issued, "user": "u", "list": [{ "key": issued }] }).to_string().into(),
        )],
    );
    product.target.script(
        "/cookies",
        [Reply::Headers(vec![
            ("set-cookie", format!("session={issued}").replace(['"', '\\'], "")),
            ("x-kept", "yes".to_owned()),
            ("x-echo", secret.clone()),
        ])],
    );
    let reference = r#"{{ secrets("github").token }}"#;
    let definition = r#"
name: derived
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: basic, name: Basic, component: http, configuration: { url: 'TARGET/derived', authorization: { type: basic, username: me, password: 'REF' } } }
  - { id: form, name: Form, component: http, configuration: { method: POST, url: 'TARGET/derived', body: { form: { token: 'REF', b: c } } } }
  - { id: query, name: Query, component: http, configuration: { url: 'TARGET/derived', query: { token: 'REF' } } }
  - { id: path, name: Path, component: http, configuration: { url: 'TARGET/derived/REF/x' } }
  - { id: json, name: Json, component: http, configuration: { method: POST, url: 'TARGET/derived', body: { json: { deep: [ 'a REF b' ] } } } }
  - { id: issues, name: Issues, component: http, configuration: { url: 'TARGET/issues' }, redact: [ /body/access_token, /body/list/0/key ] }
  - { id: hook, name: Hook, component: http, configuration: { method: POST, url: '{{ secrets("hook").url }}' } }
  - { id: cookies, name: Cookies, component: http, configuration: { url: 'TARGET/cookies', headers: [ { name: X-A, value: 'REF' } ] } }
edges:
"#;
    let nodes = ["basic", "form", "query", "path", "json", "hook", "issues", "cookies"];
    let edges: String = nodes.iter().map(|node| format!("  - {{ from: start, to: {node} }}\n")).collect();
    story.apply(&placed(product, &format!("{}{edges}", definition.replace("REF", reference)))).await;
    let run = story.run("derived", json!({})).await;
    assert_eq!((&run["result"], &run["executions"]), (&json!("passed"), &json!(nodes.len())));
    let run_id = word(&run["id"]);
    // A URL that is wholly a secret is called, and neither the URL nor its path is stored.
    product.target.heard(&format!("/derived/{hook_path}"), 1).await;
    let data = story.event(&run_id, "hook").await["data"].to_string();
    assert!(!data.contains(&hook_path), "{data}");
    for node in ["basic", "form", "query", "path", "json"] {
        let data = story.event(&run_id, node).await["data"].to_string();
        assert!(data.contains("[secret:"), "{node}: {data}");
    }
    let issued_data = story.event(&run_id, "issues").await["data"]["body"].take();
    assert_eq!(
        issued_data,
        json!({ "access_token": "[redacted]", "user": "u", "list": [{ "key": "[redacted]" }] })
    );
    let headers = story.event(&run_id, "cookies").await["data"]["headers"].take();
    assert_eq!(headers["X-Kept"], json!(["yes"]));
    assert_eq!(headers["X-Echo"], json!(["[secret:github.token]"]));
    assert!(headers.get("Set-Cookie").is_none(), "{headers}");
    // The target did get the values that the author meant.
    let basic = tests::e2e::outside::base64(format!("me:{secret}").as_bytes());
    let heard = product.target.requests("/derived");
    assert!(heard.iter().any(|request| request.header("authorization") == Some(&format!("Basic {basic}"))));
    story.end(&[&secret, &issued, &hook_path]).await;
}

#[tokio::test]
async fn a_wait_lets_the_run_go_on_no_earlier_than_it_says_i8() {
    let product = &product().await;
    let story = product.story("pause").await;
    let definition = r#"
name: pause
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: wait, name: Wait, component: wait, configuration: { until: '{{ now() + duration(root().data.pause) }}' } }
  - { id: after, name: After, component: http, configuration: { url: 'TARGET/pause/{{ $["Start"].data.pause }}' } }
edges:
  - { from: start, to: wait }
  - { from: wait, to: after }
"#;
    story.apply(&placed(product, definition)).await;
    let run = story.run("pause", json!({ "pause": "2s" })).await;
    assert_eq!((&run["result"], &run["executions"]), (&json!("passed"), &json!(2)));
    assert_eq!(product.target.heard("/pause/2s", 1).await.len(), 1);
    let waits = |what: &str| {
        format!(
            "SELECT count(*) FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
               JOIN workflow_runs r ON r.id = x.run_id WHERE w.name = 'pause' AND x.component = 'wait' AND x.finished_at {what}"
        )
    };
    let until = "(x.configuration ->> 'until')::timestamptz";
    assert_eq!(product.sealflow.sql(&waits(&format!(">= {until}"))).await.unwrap(), "1");
    assert_eq!(product.sealflow.sql(&waits(">= r.created_at + interval '2 seconds'")).await.unwrap(), "1");
    story.end(&[]).await;
}
