//! The whole product as users use it, so that its functions prepare all their statements.

use serde_json::json;
use tests::e2e::{Product, Story, placed, word};

const WORKFLOW: &str = r#"
name: plans
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: none } }
  - { id: start, name: Start, trigger: start }
  - { id: check, name: Check, component: if, configuration: { expression: 'true' } }
  - id: call
    name: Call
    component: http
    concurrency: 2
    keys: { k: '{{ root().data.n }}' }
    retry: { max_attempts: 2, initial_interval: 1 }
    configuration: { url: TARGET/x, headers: [ { name: A, value: '{{ secrets("vault").key }}{{ $["Start"].type }}' } ] }
  - { id: keyed, name: Keyed, component: http, concurrency: { max: 1, key: '{{ run().id }}' }, configuration: { url: TARGET/y } }
  - { id: fails, name: Fails, component: http, configuration: { url: 'TARGET/status', success_codes: [418] } }
  - { id: wait, name: Wait, component: wait, configuration: { for: 2 } }
edges:
  - { from: hook, to: check }
  - { from: start, to: check }
  - { from: check, channel: 'true', to: call }
  - { from: check, channel: 'true', to: keyed }
  - { from: check, channel: 'true', to: fails }
  - { from: call, channel: success, to: wait }
"#;

const PARKED: &str = r#"
name: parked
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: park, name: Park, component: wait, concurrency: 9, configuration: { for: 30 days } }
edges:
  - { from: start, to: park }
"#;

const ASKED: &str = "
name: asked
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: clock, name: Clock, trigger: schedule, configuration: { at: [TIME] } }
  - { id: failed, name: Failed, trigger: on_error, configuration: { workflows: [plans] } }
  - { id: ask, name: Ask, component: approval, configuration: { approvers: [{ anyone: true }], self: allow } }
  - { id: end, name: End, component: noop, max_visits: 3 }
edges:
  - { from: start, to: ask }
  - { from: clock, to: end }
  - { from: failed, to: end }
  - { from: ask, channel: approved, to: end }
";

/// A run that asks, one that begins at its time, and one for a run that fails.
async fn ask(story: &Story<'_>) {
    let soon = process::Clock::system().now().checked_add(jiff::SignedDuration::from_secs(2)).unwrap();
    story.apply(&ASKED.replace("TIME", &format!("'{soon}'"))).await;
    let run = story.start("asked", json!({})).await;
    let id = tests::wait_for("it asks", || async {
        let (_, answer) = story.call("GET", "/v1/approvals", None).await;
        answer["approvals"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/v1/approvals/{id}");
    story.call("GET", &path, None).await;
    let (status, answer) = story.call("POST", &path, Some(&json!({ "decision": "approve" }))).await;
    assert_eq!(status, 200, "{answer}");
    story.ended(&run).await;
    story.run("plans", json!({ "n": 3 })).await;
    for trigger in ["clock", "failed"] {
        let path = format!("/v1/runs?workflow=asked&node={trigger}&state=finished");
        tests::wait_for("its run ends", || async {
            let (_, answer) = story.call("GET", &path, None).await;
            answer["runs"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
    }
}

/// Starts three runs that wait. In the first the execution is released, in the second it is
/// cancelled, and the third run is cancelled.
async fn park(story: &Story<'_>) {
    story.apply(PARKED).await;
    for what in ["release", "cancel", "run"] {
        let run = story.start("parked", json!({})).await;
        let held = tests::wait_for("it is held", || async {
            let (_, answer) = story.call("GET", &format!("/v1/executions?run={run}&state=held"), None).await;
            answer["executions"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        let path = match what {
            "run" => format!("/v1/runs/{run}/cancel"),
            what => format!("/v1/executions/{held}/{what}"),
        };
        let (status, answer) = story.call("POST", &path, None).await;
        assert_eq!(status, 202, "{answer}");
        story.ended(&run).await;
    }
}

/// Branches that come together, and one that comes too late.
async fn join(story: &Story<'_>) {
    story
        .apply(
            r#"
name: joined
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: a, name: A, component: noop }
  - { id: b, name: B, component: noop }
  - { id: c, name: C, component: wait, configuration: { for: 1 } }
  - { id: m, name: M, component: merge, configuration: { mode: any } }
  - { id: end, name: End, component: transform, configuration: { output: '{{ $["A"].data }}' } }
edges:
  - { from: start, to: a }
  - { from: start, to: b }
  - { from: start, to: c }
  - { from: a, to: m }
  - { from: b, to: m }
  - { from: c, to: m }
  - { from: m, channel: success, to: end }
"#,
        )
        .await;
    story.run("joined", json!({})).await;
}

/// A request to an address that waits for it.
async fn call_back(story: &Story<'_>) {
    story
        .apply(
            r#"
name: called
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: wait, name: Wait, component: wait_for_callback }
edges:
  - { from: start, to: wait }
"#,
        )
        .await;
    let run = story.start("called", json!({})).await;
    let url = tests::wait_for("the address is told", || async {
        let (_, answer) = story.call("GET", &format!("/v1/events?run={run}"), None).await;
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        events.iter().find_map(|event| event["data"]["callback_url"].as_str().map(str::to_owned))
    })
    .await;
    let (status, answer) = story.post(&url, &[("content-type", "application/json")], "{}").await;
    assert_eq!(status, 202, "{answer}");
    story.ended(&run).await;
}

/// Reads every list, and looks up what has an id.
pub async fn read_everything(story: &Story<'_>, run: &str, execution: &str) {
    for path in [
        "/v1/workflows".to_owned(),
        "/v1/workflows/plans".to_owned(),
        "/v1/workflows/plans/webhooks".to_owned(),
        "/v1/runs".to_owned(),
        "/v1/runs?workflow=plans".to_owned(),
        format!("/v1/runs/{run}"),
        "/v1/executions".to_owned(),
        "/v1/executions?workflow=plans&state=finished".to_owned(),
        "/v1/executions?workflow=plans&node=call".to_owned(),
        "/v1/executions?key=k&value=1".to_owned(),
        format!("/v1/executions?run={run}"),
        format!("/v1/executions/{execution}"),
        "/v1/events".to_owned(),
        format!("/v1/events?run={run}"),
        "/v1/queue-items".to_owned(),
        "/v1/dead-letters".to_owned(),
        "/v1/approvals".to_owned(),
        "/v1/secrets".to_owned(),
        "/v1/tokens".to_owned(),
        "/v1/organization".to_owned(),
    ] {
        let (status, answer) = story.call("GET", &path, None).await;
        assert!(matches!(status, 200 | 404), "{path}: {status} {answer}");
    }
}

/// Uses the whole product as users do, so that the functions prepare all statements.
pub async fn use_everything(product: &Product, story: &Story<'_>) {
    story.set_secret("vault", "key", "a-value-of-the-vault").await;
    let applied = story.apply(&placed(product, WORKFLOW)).await;
    let hook = word(&applied["webhooks"][0]["url"]);
    for delivery in 0..3 {
        let (status, answer) =
            story.post(&hook, &[("content-type", "application/json")], format!("{{\"n\":{delivery}}}")).await;
        assert_eq!(status, 202, "{answer}");
    }
    let run = story.run("plans", json!({ "n": 1 })).await;
    let id = word(&run["id"]);
    let failed = story.execution(&id, "fails").await;
    read_everything(story, &id, &word(&failed["id"])).await;
    story.call("POST", &format!("/v1/executions/{}/redrive", word(&failed["id"])), None).await;
    park(story).await;
    ask(story).await;
    join(story).await;
    call_back(story).await;
    let running = story.start("plans", json!({ "n": 2 })).await;
    story.call("POST", &format!("/v1/runs/{running}/cancel"), None).await;
    story.ended(&running).await;
    product.sealflow.invoke("sweeper", &json!({})).await.expect("the sweeper sweeps");
}
