//! `wait`: the timer's row decides. A wait is never too short, costs nothing while it lasts, and
//! ends when it is cancelled (I8).

use domain::execution::{ExecutionState, ResultReason};
use std::slice::from_ref;

use domain::actor::Actor;
use domain::ids::{EventId, ExecutionId};
use domain::limits::REMOVED_EXECUTIONS_MAX;
use domain::message::Message;
use serde_json::{Value, json};
use store::api::{delete_organization, delete_workflow};
use sweeper::sweep;
use tests::rows::{cancelled, open, passed};
use tests::world::{build, event, execute};
use tests::{PostgresWire, Workflow, World};

const GRACE: u32 = 30;

fn start() -> Value {
    json!({ "id": "start", "name": "Start", "trigger": "start" })
}

fn wait(configuration: Value) -> Value {
    json!({ "id": "wait", "name": "Wait", "component": "wait", "configuration": configuration })
}

/// The workflow `start` → `wait` → `end`, and a run of it that has come to the wait.
async fn waiting_at(world: &World, node: Value) -> (Workflow, EventId) {
    let nodes = json!([start(), node, { "id": "end", "name": "End", "component": "noop" }]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "wait", "to": "end" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({ "pause": "90s", "a": [1] })).await;
    build(&world.builder(), &[event(run_id)]).await;
    (workflow, run_id)
}

async fn waiting(world: &World, configuration: Value) -> (Workflow, EventId) {
    waiting_at(world, wait(configuration)).await
}

async fn id_of(world: &World, node: &str) -> ExecutionId {
    let sql = format!("SELECT id FROM workflow_node_executions WHERE node_id = '{node}'");
    world.database.sql(&sql).await.parse().expect("an execution")
}

/// Delivers the sent messages, until no message is sent any more.
async fn deliver(world: &World) {
    world.run_to_end(&world.builder(), &world.executor("")).await;
}

#[tokio::test]
async fn a_wait_ends_no_earlier_than_it_says_and_hands_its_input_on_i8() {
    let world = World::create().await;
    let (_, run_id) = waiting(&world, json!({ "for": "{{ root().data.pause }}" })).await;
    let message = Message::Wake { execution_id: id_of(&world, "wait").await };
    let sent = world.queues.take();
    assert_eq!(
        sent.iter().map(|sent| (sent.message.clone(), sent.delay_seconds)).collect::<Vec<_>>(),
        [(message.clone(), 90)]
    );
    build(&world.builder(), from_ref(&message)).await;
    assert_eq!(
        world.executions().await,
        [open("wait", ExecutionState::Held)],
        "an early message changes nothing"
    );
    let again = world.queues.take();
    assert!(
        again.len() == 1 && (89..=90).contains(&again[0].delay_seconds),
        "an early message is delayed again: {again:?}"
    );
    assert_eq!(world.run_state(run_id).await, "running");

    world.pass(91).await;
    build(&world.builder(), from_ref(&message)).await;
    assert_eq!(world.executions().await, [passed("wait")]);
    deliver(&world).await;
    assert_eq!(world.executions().await, [passed("wait"), passed("end")]);
    let data = "SELECT node_id, type, data FROM workflow_events WHERE node_id IN ('wait', 'end') ORDER BY id";
    let input = r#"{"a": [1], "pause": "90s"}"#;
    assert_eq!(
        world.database.sql(data).await,
        format!("wait|wait.default|{input}\nend|noop.default|{input}")
    );
    assert_eq!(world.run_state(run_id).await, "passed");
    let facts = "SELECT metadata -> 'wait' ? 'since', metadata -> 'wait' ? 'until', metadata -> 'wait' ? 'ended_at', metadata -> 'wait' ? 'released_by'
        FROM workflow_node_executions WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(facts).await, "t|t|t|f");
    build(&world.builder(), from_ref(&message)).await;
    assert_eq!(world.queues.take(), [], "a message for an ended execution causes no other");
}

#[tokio::test]
async fn a_time_is_kept_as_it_is_given_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "until": "2027-01-31T09:00:00.123456+01:00" })).await;
    let sql =
        "SELECT wake_at = '2027-01-31T08:00:00.123456Z' FROM workflow_node_executions WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(sql).await, "t");
}

#[tokio::test]
async fn what_is_not_to_wait_goes_on_in_the_same_transaction() {
    for configuration in [json!({ "for": 0 }), json!({ "until": "2020-01-01T00:00:00Z" })] {
        let world = World::create().await;
        let (_, run_id) = waiting(&world, configuration).await;
        assert_eq!(world.executions().await, [passed("wait"), passed("end")]);
        assert_eq!((world.run_state(run_id).await, world.queues.take()), ("passed", vec![]));
    }
}

#[tokio::test]
async fn what_comes_behind_a_wait_that_is_over_sees_what_it_mentions() {
    let world = World::create().await;
    let seen = r#"root().data.n == 7 && $["Before"].data.n == 7 && previous(3).data.n == 7"#;
    let nodes = json!([
        start(),
        { "id": "before", "name": "Before", "component": "noop" },
        wait(json!({ "for": 0 })),
        { "id": "check", "name": "Check", "component": "filter", "configuration": { "expression": seen } },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "before" }, { "from": "before", "to": "wait" },
        { "from": "wait", "to": "check" }, { "from": "check", "to": "end" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({ "n": 7 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert!(world.executions().await.ends_with(&[passed("check"), passed("end")]));

    let world = World::create().await;
    let nodes = json!([
        start(),
        wait(json!({ "for": 0 })),
        { "id": "check", "name": "Check", "component": "filter", "configuration": { "expression": "root().data.n == 7" } },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "wait", "to": "check" }, { "from": "check", "to": "end" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({ "n": 7 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert!(
        world.executions().await.ends_with(&[passed("end")]),
        "the builder claims the wait and goes on to the end"
    );
}

#[tokio::test]
async fn a_long_wait_costs_no_message_until_it_comes_within_fifteen_minutes_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "until": "{{ now() + duration(\"48h\") }}" })).await;
    let id = id_of(&world, "wait").await;
    assert_eq!(world.queues.take(), [], "SQS can't hold a message so long");
    for _ in 0..3 {
        world.pass(50_000).await;
        sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
        assert_eq!(world.queues.take(), []);
    }
    world.pass(22_000).await;
    sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
    let sent = world.queues.take();
    assert!(sent.len() == 1 && sent[0].message == Message::Wake { execution_id: id }, "{sent:?}");
    assert!((795..=800).contains(&sent[0].delay_seconds), "never early, at most 2 s late: {sent:?}");
    sweep(&world.sweeper(GRACE), tests::tick()).await.expect("a sweep");
    assert_eq!(world.queues.take(), [], "once");
}

#[tokio::test]
async fn a_timer_at_the_edge_of_what_a_queue_holds_is_sent_in_time_whoever_s_clock_is_ahead_i8() {
    let world = World::create().await;
    waiting(&world, json!({ "for": 901 })).await;
    assert_eq!(world.queues.take(), []);
    // The function's clock was five seconds ahead. The timer goes by the database's clock.
    let ahead = "UPDATE workflow_node_executions SET updated_at = updated_at + interval '5 seconds'";
    world.database.sql(ahead).await;
    world.pass(2).await;
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
async fn a_wait_holds_no_slot_unless_its_node_says_so_i4() {
    let world = World::create().await;
    let (workflow, _) = waiting(&world, json!({ "for": "30 days" })).await;
    let next = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(next)]).await;
    assert_eq!(
        (world.executions().await, world.items().await),
        (vec![open("wait", ExecutionState::Held), open("wait", ExecutionState::Held)], 0)
    );

    let world = World::create().await;
    let mut limited = wait(json!({ "for": "30 days" }));
    limited["concurrency"] = json!(1);
    let (workflow, run_id) = waiting_at(&world, limited).await;
    let next = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(next)]).await;
    assert_eq!(
        (world.executions().await, world.items().await),
        (vec![open("wait", ExecutionState::Held)], 1)
    );
    let _ = world.queues.take();
    world.cancel(run_id).await;
    let held = Message::Wake { execution_id: id_of(&world, "wait").await };
    build(&world.builder(), &[held]).await;
    assert_eq!(world.run_state(run_id).await, "cancelled");
    deliver(&world).await;
    assert_eq!(
        (world.executions().await, world.items().await),
        (vec![cancelled("wait", ResultReason::Cancelled), open("wait", ExecutionState::Held)], 0),
        "the freed slot wakes the next item"
    );
}

#[tokio::test]
async fn a_wait_of_what_is_removed_ends_with_it_i4() {
    let world = World::create().await;
    let ended = async || {
        let sql = "SELECT state, result, result_reason FROM workflow_node_executions WHERE component = 'wait' ORDER BY id DESC LIMIT 1";
        world.database.sql(sql).await
    };
    let wake_all = async || {
        sweep(&world.sweeper(0), tests::tick()).await.expect("a sweep");
        deliver(&world).await;
    };
    let (workflow, run_id) = waiting(&world, json!({ "for": "30 days" })).await;
    let workflow = world.apply_again(&workflow, json!([start()]), json!([])).await;
    wake_all().await;
    assert_eq!(ended().await, "finished|cancelled|node_removed", "the node was removed");
    assert_eq!(world.run_state(run_id).await, "cancelled");
    let nodes = json!([start(), wait(json!({ "for": "30 days" }))]);
    let workflow = world.apply_again(&workflow, nodes, json!([{ "from": "start", "to": "wait" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(ended().await, "held||", "the node is back, and its wait is held");

    let by = Actor::token_named("test");
    let deleted =
        delete_workflow(world.audited(), world.organization_id, workflow.id, &by, world.now()).await;
    assert_eq!(deleted.expect("it is deleted").held.len(), 1);
    wake_all().await;
    assert_eq!(ended().await, "finished|cancelled|node_removed", "the workflow was deleted");

    let (_, run_id) = waiting(&world, json!({ "for": "30 days" })).await;
    delete_organization(world.audited(), world.organization_id, world.now()).await.expect("it is deleted");
    wake_all().await;
    assert_eq!(ended().await, "finished|cancelled|cancelled", "the organization was deleted");
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

#[tokio::test]
async fn a_wait_that_is_made_while_its_run_is_cancelled_does_not_live_on_i8() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let nodes = json!([start(), wait(json!({ "for": "30 days" }))]);
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
    let held = Message::Wake { execution_id: id_of(&world, "wait").await };
    build(&world.builder(), &[held]).await;
    assert_eq!(world.executions().await, [cancelled("wait", ResultReason::Cancelled)]);
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

#[tokio::test]
async fn a_removal_tells_so_many_waits_and_the_sweeper_the_others_i10() {
    let world = World::create().await;
    let (workflow, _) = waiting(&world, json!({ "for": "30 days" })).await;
    // One held execution is there already.
    let insert = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {REMOVED_EXECUTIONS_MAX})) ids RETURNING id)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, held, wake_at)
         SELECT gen_random_uuid(), '{0}', 'wait', id, id, 'held', 'wait', '{{}}', 1, 1, now(), now(), now(), '{{}}', now() + interval '30 days'
         FROM event",
        workflow.id
    );
    world.database.sql(&insert).await;
    let caused = "SELECT count(*) FROM workflow_execution_wakes WHERE cause = 'node_removed'";
    world.apply_again(&workflow, json!([start()]), json!([])).await;
    assert_eq!(world.database.count(caused).await, REMOVED_EXECUTIONS_MAX, "I10");
    sweep(&world.sweeper(60), tests::tick()).await.unwrap();
    assert_eq!(world.database.count(caused).await, REMOVED_EXECUTIONS_MAX + 1);
}

#[tokio::test]
async fn a_wait_that_code_of_before_made_ends_as_it_did() {
    let world = World::create().await;
    let (_, run_id) = waiting(&world, json!({ "for": "30 days" })).await;
    let pending = "UPDATE workflow_node_executions SET state = 'pending', held = NULL, run_at = wake_at, wake_at = NULL, started_at = NULL
        WHERE node_id = 'wait'";
    world.database.sql(pending).await;
    world.pass(31 * 86_400).await;
    let message = Message::Execution { execution_id: id_of(&world, "wait").await };
    execute(&world.executor(""), &[message]).await;
    deliver(&world).await;
    assert_eq!(world.executions().await, [passed("wait"), passed("end")]);
    let data = "SELECT data FROM workflow_events WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(data).await, r#"{"for": "30 days"}"#);
    assert_eq!(world.run_state(run_id).await, "passed");
}

#[tokio::test]
async fn a_migration_takes_the_limit_that_no_definition_gave_i4() {
    let world = World::create().await;
    let mut limited = wait(json!({ "for": "30 days" }));
    limited["id"] = json!("limited");
    limited["name"] = json!("Limited");
    limited["concurrency"] = json!(1);
    let call = json!({ "id": "call", "name": "Call", "component": "http", "configuration": { "url": "https://a.test" } });
    let nodes = json!([start(), wait(json!({ "for": "30 days" })), limited, call]);
    world.workflow(nodes, json!([])).await;
    // The schema and the rows are made as the release before V25 had them.
    world.database.sql(tests::older_schema::BEFORE_V27).await;
    let before = "UPDATE workflow_nodes SET concurrency_max = 1 WHERE node_id = 'wait';
        UPDATE schema_facts SET version = 24;
        CREATE INDEX workflow_events_roots ON workflow_events (workflow_id);
        CREATE INDEX workflow_node_queue_items_run ON workflow_node_queue_items (root_event_id);
        CREATE INDEX workflow_runs_looked_at ON workflow_runs (created_at);
        DELETE FROM refinery_schema_history WHERE version >= 25";
    world.database.sql(before).await;
    let applied = store::migrate(&world.database.admin_store(), store::RoleLogin::Url).await.unwrap();
    assert_eq!(applied[0], "V25__waits_are_held");
    let limits = "SELECT string_agg(format('%s %s', node_id, coalesce(concurrency_max::text, 'none')), ',' ORDER BY node_id)
        FROM workflow_nodes WHERE type = 'component'";
    assert_eq!(world.database.sql(limits).await, "call 1,limited 1,wait none");
    // An API of that release applies the old limit again, and the next migrate removes it.
    world.database.sql("UPDATE workflow_nodes SET concurrency_max = 1 WHERE node_id = 'wait'").await;
    store::migrate(&world.database.admin_store(), store::RoleLogin::Url).await.unwrap();
    assert_eq!(world.database.sql(limits).await, "call 1,limited 1,wait none");
}
