//! A slow vault: executions without secrets do not wait for it, and an execution that waited too
//! long for its lease is given back.

use std::time::Duration;

use domain::message::Message;
use local::target::Target;
use serde_json::json;
use tests::World;
use tests::kms::FakeKms;
use tests::world::{build, event, execute};
use vault_format::{Purpose, Scope};

/// Longer than what of a lease is left over for the vault, shorter than the vault is waited for.
const SLOW: Duration = Duration::from_millis(5_500);

#[tokio::test]
async fn a_slow_vault_holds_up_nobody_else_and_no_component_outlives_its_lease_i5() {
    let (world, kms, target) =
        (World::create().await, FakeKms::start().await, Target::start().await.expect("a port is free"));
    let node = |id: &str, value: &str| {
        json!({ "id": id, "name": id, "component": "http",
            "configuration": { "url": format!("{}/{id}", target.url()), "headers": [{ "name": "X-Value", "value": value }] } })
    };
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        node("secret", r#"{{ secrets("github").token }}"#),
        node("plain", "no secret"),
    ]);
    let edges = json!([{ "from": "start", "to": "secret" }, { "from": "start", "to": "plain" }]);
    let workflow = world.workflow(nodes, edges).await;
    let id = world.id();
    let scope = Scope { organization_id: world.organization_id, secret_id: id, purpose: Purpose::Secret };
    let data = hex::encode(kms.sealed(&scope, &[("token", "canary-of-the-slow-vault", &[])]).await);
    let insert = format!(
        "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
         VALUES ('{id}', 'github', 'org', '{}', '\\x{data}', 'test', now(), now())",
        world.organization_id
    );
    world.database.sql(&insert).await;
    let run = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run)]).await;
    let ids = world.database.sql("SELECT id FROM workflow_node_executions ORDER BY id").await;
    let messages: Vec<Message> =
        ids.lines().map(|id| Message::Execution { execution_id: id.parse().expect("an id") }).collect();
    assert_eq!(messages.len(), 2);

    let gate = kms.hold();
    let executor = world.executor_at(world.database.url("executor"), &target.host_port(), &kms.url());
    tokio::join!(execute(&executor, &messages), async {
        gate.wait_for_arrival().await;
        target.await_requests(1, Duration::from_secs(4)).await.expect("the other one runs meanwhile");
        tokio::time::sleep(SLOW).await;
        gate.let_through();
    });
    let paths: Vec<String> = target.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/plain"], "its lease could have ended before it did");
    let rows = "SELECT node_id, state, result, attempt, crashes, run_at > now() FROM workflow_node_executions ORDER BY node_id";
    assert_eq!(
        world.database.sql(rows).await,
        "plain|finished|passed|1|0|\nsecret|pending||1|0|t",
        "given back, uncounted"
    );
}
