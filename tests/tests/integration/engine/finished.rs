//! A finished execution never changes again, for any function's role; and references of versions
//! that are over are forgotten.

use domain::ids::{ExecutionId, WorkflowId};
use serde_json::json;
use store::sweeper::forget_secret_refs;
use tests::World;
use tests::world::build;
use tests::world::event;

/// Runs one `noop`; the finished execution.
async fn finished(world: &World) -> ExecutionId {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "noop" },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let event_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(event_id)]).await;
    let id = world.database.sql("SELECT id FROM workflow_node_executions WHERE state = 'finished'").await;
    id.parse().unwrap()
}

#[tokio::test]
async fn what_is_finished_changes_for_no_functions_role_i7() {
    let world = World::create().await;
    let id = finished(&world).await;
    let before = world.database.sql("SELECT to_jsonb(x) FROM workflow_node_executions x").await;
    let changes = [
        "state = 'pending', result = NULL, result_reason = NULL, finished_at = NULL",
        "result = 'failed', result_reason = 'crashed'",
        "result_message = 'other'",
        "metadata = '{\"x\": 1}'",
        "last_sent_at = now(), sent_count = 0",
        "updated_at = now()",
        "lease_token = gen_random_uuid(), lease_until = now()",
        "configuration = '{\"x\": 1}'",
        "residuals = '[{}]'",
    ];
    let (mut refused, mut forbidden) = (0, 0);
    for role in ["api", "builder", "executor", "sweeper", "webhook", "rewrap"] {
        let client = world.database.connect(role).await;
        for change in changes {
            let sql = format!("UPDATE workflow_node_executions SET {change} WHERE id = '{id}'");
            let error = client.batch_execute(&sql).await.expect_err(&format!("{role}: {change}"));
            match error.code().map(|code| code.code()) {
                Some("23000") => refused += 1,
                Some("42501") => forbidden += 1,
                other => panic!("{role}: {change}: {other:?}"),
            }
        }
    }
    assert!(refused >= 10 && forbidden >= 20, "{refused} refused, {forbidden} forbidden");
    assert_eq!(world.database.sql("SELECT to_jsonb(x) FROM workflow_node_executions x").await, before);
    // A redrive notes its copy, and the owner may fill a new column.
    let fail = "UPDATE workflow_node_executions SET result = 'failed', result_reason = 'crashed'";
    world.database.sql(fail).await;
    let event_id = world.database.sql("SELECT id FROM workflow_events LIMIT 1").await;
    let note =
        format!("UPDATE workflow_node_executions SET redriven_event_id = '{event_id}' WHERE id = '{id}'");
    world.database.connect("api").await.batch_execute(&note).await.unwrap();
    world.database.sql("UPDATE workflow_node_executions SET metadata = '{\"filled\": true}'").await;
}

#[tokio::test]
async fn references_of_a_version_that_is_over_are_forgotten_a_day_later() {
    let world = World::create().await;
    let nodes = |key: &str| {
        let value = format!("{{{{ secrets(\"github\").{key} }}}}");
        json!([
            { "id": "start", "name": "start", "trigger": "start" },
            { "id": "call", "name": "call", "component": "http",
                "configuration": { "url": "https://a.example/", "headers": [{ "name": "X", "value": value }] } },
        ])
    };
    let edges = json!([{ "from": "start", "to": "call" }]);
    let first = world.workflow(nodes("first"), edges.clone()).await;
    let event_id = world.start(&first, "start", json!({})).await;
    build(&world.builder(), &[event(event_id)]).await;
    let second = world.apply_again(&first, nodes("second"), edges.clone()).await;
    world.apply_again(&second, nodes("third"), edges).await;
    let store = world.database.store("sweeper");
    let first = (WorkflowId::from_u128(0), String::new());
    let forget = async || forget_secret_refs(&store, world.now(), &first, 100).await.unwrap().0;
    let left = async || {
        let sql = "SELECT string_agg(secret_key, ',' ORDER BY secret_key) FROM workflow_node_secret_refs";
        world.database.sql(sql).await
    };
    assert_eq!(
        (forget().await, left().await.as_str()),
        (0, "first,second,third"),
        "a builder may still plan with them"
    );
    let node = "UPDATE workflow_nodes SET updated_at = updated_at - interval '25 hours'";
    world.database.sql(node).await;
    assert_eq!(
        (forget().await, left().await.as_str()),
        (1, "first,third"),
        "an execution of the first is pending"
    );
    let end = "UPDATE workflow_node_executions SET state = 'finished', result = 'cancelled', result_reason = 'cancelled', finished_at = now()";
    world.database.sql(end).await;
    assert_eq!((forget().await, left().await.as_str()), (1, "third"));
    assert_eq!(forget().await, 0);
    let node = (second.id, "call".to_owned());
    let some = forget_secret_refs(&store, world.now(), &first, 1).await.unwrap();
    assert_eq!(some, (0, Some(node.clone())), "a search that found as many as it may goes on");
    assert_eq!(forget_secret_refs(&store, world.now(), &node, 1).await.unwrap(), (0, None));
    // The sweeper's role has no other way to the table.
    let role = world.database.connect("sweeper").await;
    for sql in [
        "DELETE FROM workflow_node_secret_refs",
        "INSERT INTO workflow_node_secret_refs SELECT * FROM workflow_node_secret_refs",
    ] {
        assert_eq!(role.batch_execute(sql).await.unwrap_err().code().unwrap().code(), "42501", "I7: {sql}");
    }
}
