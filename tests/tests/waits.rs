//! `wait`: a timer's row is the truth; it is never early, costs nothing while it waits, and ends when it is cancelled (I8).

use domain::ids::{EventId, ExecutionId};
use std::slice::from_ref;

use domain::function::Actor;
use domain::limits::REMOVED_EXECUTIONS_MAX;
use domain::message::Message;
use serde_json::{Value, json};
use store::api::{delete_organization, delete_workflow};
use sweeper::sweep;
use tests::world::{build, event, execute};
use tests::{PostgresWire, Workflow, World};

const GRACE: u32 = 30;

async fn waiting(world: &World, configuration: Value) -> (Workflow, EventId) {
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": configuration },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "wait", "to": "end" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({ "pause": "90s", "a": [1] })).await;
    build(&world.builder(), &[event(run_id)]).await;
    (workflow, run_id)
}

async fn id_of(world: &World, node: &str) -> ExecutionId {
    let sql = format!("SELECT id FROM workflow_node_executions WHERE node_id = '{node}'");
    world.database.sql(&sql).await.parse().expect("an execution")
}

async fn pass(world: &World, seconds: u32) {
    let sql = format!(
        "UPDATE workflow_node_executions SET run_at = run_at - interval '{seconds} seconds',
             updated_at = updated_at - interval '{seconds} seconds', last_sent_at = last_sent_at - interval '{seconds} seconds'"
    );
    world.database.sql(&sql).await;
}

#[tokio::test]
async fn a_wait_starts_no_earlier_than_it_says_and_says_for_what_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "for": "{{ root().data.pause }}" })).await;
    let id = id_of(&world, "wait").await;
    let message = Message::Execution { execution_id: id };
    let sent = world.queues.take();
    assert_eq!(
        sent.iter().map(|sent| (sent.message.clone(), sent.delay_seconds)).collect::<Vec<_>>(),
        [(message.clone(), 90)]
    );

    execute(&world.executor(""), from_ref(&message)).await;
    assert_eq!(world.executions().await, "wait|pending||", "an early message changes nothing");
    let again = world.queues.take();
    assert!(
        again.len() == 1 && (89..=90).contains(&again[0].delay_seconds),
        "and is delayed again: {again:?}"
    );

    pass(&world, 91).await;
    execute(&world.executor(""), from_ref(&message)).await;
    assert_eq!(world.executions().await, "wait|finished|passed|");
    let data = "SELECT data FROM workflow_events WHERE node_id = 'wait'";
    let data: Value = serde_json::from_str(&world.database.sql(data).await).expect("JSON");
    assert_eq!(data, json!({ "for": "90s" }), "what it waited for");
}

#[tokio::test]
async fn a_long_wait_costs_no_message_until_it_comes_within_fifteen_minutes_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "until": "{{ now() + duration(\"48h\") }}" })).await;
    let id = id_of(&world, "wait").await;
    assert_eq!(world.queues.take(), [], "SQS can't hold a message so long");
    for _ in 0..3 {
        pass(&world, 50_000).await;
        sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
        assert_eq!(world.queues.take(), []);
    }
    pass(&world, 22_000).await;
    sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
    let sent = world.queues.take();
    assert!(sent.len() == 1 && sent[0].message == Message::Execution { execution_id: id }, "{sent:?}");
    assert!((795..=800).contains(&sent[0].delay_seconds), "never early, at most 2 s late: {sent:?}");
}

#[tokio::test]
async fn a_timer_at_the_edge_of_what_a_queue_holds_is_sent_in_time_whoever_s_clock_is_ahead_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "for": 901 })).await;
    assert_eq!(world.queues.take(), []);
    // The function's clock was five seconds ahead of the database's, by which the timer goes.
    let ahead = "UPDATE workflow_node_executions SET updated_at = updated_at + interval '5 seconds'";
    world.database.sql(ahead).await;
    pass(&world, 2).await;
    sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
    assert_eq!(world.queues.take().len(), 1);
}

#[tokio::test]
async fn a_wait_that_comes_to_no_time_fails_and_says_where_i9() {
    let world = World::create().await;
    waiting(&world, json!({ "for": "{{ root().data.a }}" })).await;
    let sql = "SELECT result_reason, result_message FROM workflow_node_executions";
    let row = world.database.sql(sql).await;
    assert!(
        row.starts_with("component_error|the configuration came to no time: for: must be seconds"),
        "{row}"
    );
}

#[tokio::test]
async fn a_wait_that_is_cancelled_ends_at_once_and_the_next_one_begins_i4() {
    let world = World::create().await;
    let (workflow, run_id) = waiting(&world, json!({ "for": "30 days" })).await;
    let next = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(next)]).await;
    assert_eq!(world.items().await, 1, "one at a time, unless the node says otherwise");
    let _ = world.queues.take();
    let freed = world.cancel(run_id).await;
    let freed: Vec<&str> = freed.iter().map(|slot| slot.node.1.as_str()).collect();
    assert_eq!(freed, ["wait"], "somebody waits");
    assert_eq!(world.executions().await, "wait|finished|cancelled|cancelled");
}

#[tokio::test]
async fn a_wait_of_what_is_removed_ends_with_it_and_holds_no_slot_i4() {
    let world = World::create().await;
    let ended = async || {
        let sql = "SELECT state, result, result_reason FROM workflow_node_executions WHERE component = 'wait' ORDER BY id DESC LIMIT 1";
        world.database.sql(sql).await
    };
    let (workflow, _) = waiting(&world, json!({ "for": "30 days" })).await;
    let start = json!([{ "id": "start", "name": "Start", "trigger": "start" }]);
    let workflow = world.apply_again(&workflow, start, json!([])).await;
    assert_eq!(ended().await, "finished|cancelled|node_removed", "its node");
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "30 days" } },
    ]);
    let workflow = world.apply_again(&workflow, nodes, json!([{ "from": "start", "to": "wait" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(world.items().await, 0, "the slot of the node that is back is free");

    delete_workflow(
        world.api(),
        world.organization_id,
        workflow.id,
        &Actor::Token("test".into()),
        world.now(),
    )
    .await
    .expect("it is deleted");
    assert_eq!(ended().await, "finished|cancelled|node_removed", "its workflow");

    waiting(&world, json!({ "for": "30 days" })).await;
    delete_organization(world.api(), world.organization_id, world.now()).await.expect("it is deleted");
    assert_eq!(ended().await, "finished|cancelled|cancelled", "its organization");
}

#[tokio::test]
async fn a_wait_that_is_made_while_its_run_is_cancelled_does_not_live_on_i8() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "30 days" } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "wait" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let (gate, wakes) = (wire.hold("COMMIT\0"), [event(run_id)]);
    tokio::join!(
        build(&builder, &wakes),
        async {
            gate.wait_for_arrival().await;
            world.cancel(run_id).await;
        },
        async {
            world.database.wait_for_blocked(1).await;
            gate.let_through();
        }
    );
    assert_eq!(world.executions().await, "wait|finished|cancelled|cancelled");
}

#[tokio::test]
async fn a_removal_ends_so_many_waits_and_the_others_when_they_are_due_i10() {
    let world = World::create().await;
    let (workflow, _) = waiting(&world, json!({ "for": "30 days" })).await;
    // One is there already.
    let insert = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {REMOVED_EXECUTIONS_MAX})) ids RETURNING id)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, run_at)
         SELECT gen_random_uuid(), '{0}', 'wait', id, id, 'pending', 'wait', '{{}}', 1, 1, now(), now(), now(), now() + interval '30 days'
         FROM event",
        workflow.id
    );
    world.database.sql(&insert).await;
    let pending = "SELECT count(*) FROM workflow_node_executions WHERE state = 'pending'";
    assert_eq!(world.database.count(pending).await, REMOVED_EXECUTIONS_MAX + 1);
    let start = json!([{ "id": "start", "name": "Start", "trigger": "start" }]);
    world.apply_again(&workflow, start, json!([])).await;
    assert_eq!(world.database.count(pending).await, 1, "I10");
    pass(&world, 31 * 86_400).await;
    let id = id_of_pending(&world).await;
    execute(&world.executor(""), &[Message::Execution { execution_id: id }]).await;
    assert_eq!(world.database.count(pending).await, 0);
}

async fn id_of_pending(world: &World) -> ExecutionId {
    let sql = "SELECT id FROM workflow_node_executions WHERE state = 'pending'";
    world.database.sql(sql).await.parse().expect("an execution")
}
