//! Nodes with as many waiting items as are allowed: routing to one ends as a failed execution. The
//! number at which the sweeper marks a node as full is tested in `sweeper.rs`.

use local::target::Target;
use serde_json::{Value, json};
use tests::World;
use tests::world::{build, event};

fn nodes(url: &str) -> Value {
    let http = |id: &str, url: &str| json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url } });
    json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "first", "name": "first", "component": "noop" },
        http("call", url),
        http("crowded", "https://target.test/"),
        { "id": "other", "name": "other", "component": "noop" },
    ])
}

async fn set_full(world: &World, is_full: bool) {
    let sql = format!("UPDATE workflow_nodes SET items_full = {is_full} WHERE node_id = 'crowded'");
    world.database.sql(&sql).await;
}

/// The crowded node's executions with all that the author sees of them.
async fn crowded(world: &World) -> String {
    let sql = "SELECT x.state, x.result, x.result_reason, x.component, x.finished_at IS NOT NULL, p.node_id, x.result_message
        FROM workflow_node_executions x JOIN workflow_node_executions p ON p.id = x.previous_execution_id WHERE x.node_id = 'crowded'";
    world.database.sql(sql).await
}

const REFUSED: &str = "finished|failed|limit|http|t";
const MESSAGE: &str = "the node has as many waiting items as are allowed (100000): this event was not taken";

#[tokio::test]
async fn the_builder_puts_nothing_more_into_a_full_node_and_its_other_targets_go_on_i10() {
    let world = World::create().await;
    let edges = json!([
        { "from": "start", "to": "first" }, { "from": "first", "to": "crowded" }, { "from": "first", "to": "other" },
    ]);
    let workflow = world.workflow(nodes("https://target.test/"), edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    set_full(&world, true).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(crowded(&world).await, format!("{REFUSED}|first|{MESSAGE}"), "I10");
    assert_eq!((world.items().await, world.queues.take()), (0, vec![]));
    let sql = "SELECT result FROM workflow_node_executions WHERE node_id = 'other'";
    assert_eq!(world.database.sql(sql).await, "passed", "I9");
    assert_eq!(world.run_state(run_id).await, "failed");
    // There is room again.
    set_full(&world, false).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = format!(
        "SELECT state FROM workflow_node_executions WHERE node_id = 'crowded' AND root_event_id = '{run_id}'"
    );
    assert_eq!(world.database.sql(&sql).await, "pending");
}

#[tokio::test]
async fn the_executor_puts_nothing_more_into_a_full_node_and_its_other_targets_go_on_i10() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let edges = json!([
        { "from": "start", "to": "call" },
        { "from": "call", "channel": "success", "to": "crowded" }, { "from": "call", "channel": "success", "to": "other" },
    ]);
    let workflow = world.workflow(nodes(&target.url()), edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    set_full(&world, true).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(run_id)]).await;
    world.run_to_end(&builder, &executor).await;
    assert_eq!(crowded(&world).await, format!("{REFUSED}|call|{MESSAGE}"), "I10");
    let sql = "SELECT result FROM workflow_node_executions WHERE node_id IN ('call', 'other')";
    assert_eq!(world.database.sql(sql).await, "passed\npassed", "I9: what was done stays done");
    let sql = "SELECT targets FROM workflow_events WHERE node_id = 'call'";
    assert_eq!(world.database.sql(sql).await, "{crowded,other}");
    assert_eq!((world.items().await, world.run_state(run_id).await), (0, "failed"));
}

#[tokio::test]
async fn an_output_with_full_targets_only_is_recorded_and_wakes_nobody_i10() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let edges =
        json!([{ "from": "start", "to": "call" }, { "from": "call", "channel": "success", "to": "crowded" }]);
    let workflow = world.workflow(nodes(&target.url()), edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    set_full(&world, true).await;
    let sent = world.queues.take();
    tests::world::execute(&world.executor(&target.host_port()), &tests::world::messages(&sent)).await;
    assert_eq!(crowded(&world).await, format!("{REFUSED}|call|{MESSAGE}"), "I10");
    assert_eq!(world.queues.take(), []);
}
