//! `max_visits`: so many executions of a node in one run, and no more.

use domain::ids::EventId;
use domain::limits::VISITS_MAX;
use serde_json::{Value, json};
use tests::World;
use tests::world::{Workflow, build, event, messages};

/// A counter that goes round through a noop, and a node behind it that cannot be resolved.
fn nodes(max_visits: u32) -> Value {
    json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "turn", "name": "turn", "component": "noop", "max_visits": max_visits },
        { "id": "back", "name": "back", "component": "noop" },
    ])
}

fn edges() -> Value {
    json!([
        { "from": "start", "to": "turn" }, { "from": "turn", "to": "back" }, { "from": "back", "to": "turn" },
    ])
}

/// Results and reasons of a node's executions in a run, with their numbers.
async fn ends(world: &World, run_id: EventId, node_id: &str) -> String {
    let sql = format!(
        "SELECT string_agg(line, ', ') FROM (
            SELECT concat_ws(' ', result, result_reason, count(*)) AS line FROM workflow_node_executions
            WHERE run_id = '{run_id}' AND node_id = '{node_id}' GROUP BY result, result_reason ORDER BY result DESC) lines"
    );
    world.database.sql(&sql).await
}

async fn run(world: &World, workflow: &Workflow) -> EventId {
    let run_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    run_id
}

#[tokio::test]
async fn a_node_has_as_many_visits_in_each_run_as_it_may_have_and_then_fails_i10() {
    let world = World::create().await;
    let workflow = world.workflow(nodes(7), edges()).await;
    for _ in 0..2 {
        let run_id = run(&world, &workflow).await;
        assert_eq!(ends(&world, run_id, "turn").await, "passed 7, failed limit 1");
        assert_eq!(ends(&world, run_id, "back").await, "passed 7");
        let message = "SELECT result_message FROM workflow_node_executions WHERE result = 'failed' LIMIT 1";
        let message = world.database.sql(message).await;
        assert_eq!(message, "the run has visited this node 7 times, as often as its `max_visits` allows");
        assert_eq!(world.run_state(run_id).await, "failed");
    }
    // An apply may change the number while a run goes on: what has been visited stays counted.
    let workflow = world.apply_again(&workflow, nodes(1), edges()).await;
    let run_id = run(&world, &workflow).await;
    assert_eq!(ends(&world, run_id, "turn").await, "passed 1, failed limit 1");
}

/// The depth of a run ends a cycle of two nodes before that.
#[tokio::test]
async fn a_node_that_begins_each_turn_anew_may_have_the_most_visits_i10() {
    let world = World::create().await;
    let edges = json!([{ "from": "start", "to": "turn" }, { "from": "turn", "to": "turn" }]);
    let workflow = world.workflow(nodes(VISITS_MAX - 2), edges).await;
    let run_id = run(&world, &workflow).await;
    assert_eq!(ends(&world, run_id, "turn").await, format!("passed {}, failed limit 1", VISITS_MAX - 2));
}

#[tokio::test]
async fn visits_of_builders_at_the_same_time_are_all_counted_i10() {
    let world = World::create().await;
    let many: Vec<String> = (0..20).map(|n| format!("branch{n}")).collect();
    let mut nodes = vec![
        json!({ "id": "start", "name": "start", "trigger": "start" }),
        json!({ "id": "few", "name": "few", "component": "noop", "max_visits": 5 }),
    ];
    nodes.extend(many.iter().map(|id| json!({ "id": id, "name": id, "component": "noop" })));
    let mut edges: Vec<Value> = many.iter().map(|id| json!({ "from": "start", "to": id })).collect();
    edges.extend(many.iter().map(|id| json!({ "from": id, "to": "few" })));
    let workflow = world.workflow(json!(nodes), json!(edges)).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builders: Vec<_> = (0..4).map(|_| world.builder()).collect();
    let messages: Vec<_> = many
        .iter()
        .map(|id| domain::message::Message::Node { workflow_id: workflow.id, node_id: id.clone() })
        .collect();
    futures_util::future::join_all(
        builders.iter().zip(messages.chunks(5)).map(|(builder, messages)| build(builder, messages)),
    )
    .await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(ends(&world, run_id, "few").await, "passed 5, failed limit 15");
}

#[tokio::test]
async fn a_visit_that_fails_is_one_too_i10() {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "turn", "name": "turn", "component": "if", "max_visits": 3, "configuration": { "expression": "root().data.none.at.all" } },
        { "id": "back", "name": "back", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "turn" }, { "from": "turn", "channel": "error", "to": "back" }, { "from": "back", "to": "turn" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    for _ in 0..8 {
        build(&world.builder(), &messages(&world.queues.take())).await;
    }
    let sql = "SELECT result_reason, count(*) FROM workflow_node_executions
        WHERE node_id = 'turn' AND result_reason <> 'limit' GROUP BY 1";
    assert_eq!(world.database.sql(sql).await, "template_error|3");
}

/// What is more than going on carries is left to a message. The visit is that of the later step.
#[tokio::test]
async fn a_visit_that_is_left_to_a_message_is_counted_once_i10() {
    let world = World::create().await;
    // Each node has a configuration and an output of 250 KiB. The first output and 65 nodes are nearly
    // as much as goes on, so that the next configuration is too much.
    let ids: Vec<String> = (0..80).map(|n| format!("turn{n}")).collect();
    let node = |id: &String| json!({ "id": id, "name": id, "component": "transform", "max_visits": 1, "configuration": { "output": "{{ root().data }}" } });
    let mut nodes: Vec<Value> = ids.iter().map(node).collect();
    nodes.push(json!({ "id": "start", "name": "start", "trigger": "start" }));
    let mut edges = vec![json!({ "from": "start", "to": "turn0" })];
    edges.extend(ids.windows(2).map(|pair| json!({ "from": pair[0], "to": pair[1] })));
    let workflow = world.workflow(json!(nodes), json!(edges)).await;
    let run_id = world.start(&workflow, "start", json!("x".repeat(250 * 1024))).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sent = world.queues.take();
    assert!(!sent.is_empty(), "not everything goes on in one transaction");
    build(&world.builder(), &messages(&sent)).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let sql = "SELECT count(*), min(visits), max(visits) FROM workflow_run_visits";
    assert_eq!(world.database.sql(sql).await, "80|1|1");
}
