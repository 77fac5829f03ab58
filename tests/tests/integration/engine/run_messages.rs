//! Messages of kind `run`: a run's time-out to the second, and the rest of a stop.

use std::time::Duration;

use domain::actor::Actor;
use domain::ids::EventId;
use domain::limits::{RUN_EXECUTIONS_MAX, STOP_ROUND_ROWS_MAX};
use domain::message::Message;
use domain::run::RunStop;
use local::target::Target;
use process::{BatchResponse, Deadline};
use serde_json::{Value, json};
use store::intake::BeginOutcome;
use sweeper::sweep;
use tests::world::{batch, build, event};
use tests::{Workflow, World};

/// `start` → `wait` and `call`.
async fn workflow(world: &World, target: &Target) -> Workflow {
    let node = |id: &str, component: &str, configuration: Value| json!({ "id": id, "name": id, "component": component, "configuration": configuration });
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        node("wait", "wait", json!({ "for": "30 days" })),
        node("call", "http", json!({ "url": target.url() })),
    ]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "start", "to": "call" }]);
    world.workflow(nodes, edges).await
}

fn run(run_id: EventId) -> Message {
    Message::Run { run_id: run_id.into() }
}

/// Two runs: the first has a held and a pending execution, the second a held one and an item behind
/// the first's.
async fn two_runs(world: &World, workflow: &Workflow) -> [EventId; 2] {
    let mut runs = [EventId::from_u128(0); 2];
    for run_id in &mut runs {
        *run_id = world.start(workflow, "start", json!({})).await;
        build(&world.builder(), &[event(*run_id)]).await;
    }
    let _ = world.queues.take();
    runs
}

async fn set_due(world: &World, run_id: EventId, after: &str) {
    let sql = format!("UPDATE workflow_runs SET due_at = now() + interval '{after}' WHERE id = '{run_id}'");
    world.database.sql(&sql).await;
}

#[tokio::test]
async fn a_time_out_is_carried_by_a_message_and_ends_all_that_is_open_i8() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [first, second] = two_runs(&world, &workflow).await;
    for run_id in [second, first] {
        set_due(&world, run_id, "90 seconds").await;
        build(&world.builder(), &[run(run_id)]).await;
        let sent = world.queues.take();
        assert!(
            sent.len() == 1 && sent[0].message == run(run_id) && (89..=90).contains(&sent[0].delay_seconds),
            "an early message is delayed again: {sent:?}"
        );
        assert_eq!(world.run_state(run_id).await, "running");
        set_due(&world, run_id, "-1 second").await;
        build(&world.builder(), &[run(run_id)]).await;
        world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
        assert_eq!(world.run_state(run_id).await, "failed", "I8: the item, the pending and the held one end");
    }
    assert_eq!((world.items().await, target.requests().len()), (0, 0));
    let stopped = "SELECT string_agg(DISTINCT stop || ' ' || stopped_by, ',') FROM workflow_runs";
    assert_eq!(world.database.sql(stopped).await, "timeout builder");
    let told = "SELECT count(*) FROM workflow_node_executions WHERE result_message LIKE 'the run took longer than its time-out%'";
    assert_eq!(world.database.count(told).await, 4, "each says why it ended");
    build(&world.builder(), &[run(first)]).await;
    assert_eq!(world.queues.take(), [], "of a run that has ended nothing is due");
}

#[tokio::test]
async fn a_run_without_a_time_out_is_left_alone() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [run_id, _] = two_runs(&world, &workflow).await;
    build(&world.builder(), &[run(run_id), run(world.id())]).await;
    assert_eq!((world.run_state(run_id).await, world.queues.take()), ("running", vec![]));
}

#[tokio::test]
async fn the_rest_of_a_stop_is_woken_for_i8() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [run_id, _] = two_runs(&world, &workflow).await;
    // The first transaction of a cancel, after which its API died.
    let by = Actor::token_named("anna");
    store::stop_run(world.api(), run_id.into(), RunStop::Cancelled, &by, world.now()).await.unwrap();
    build(&world.builder(), &[run(run_id)]).await;
    world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

#[tokio::test]
async fn a_run_past_its_limit_ends_what_is_open_at_once_i10() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "wait", "name": "wait", "component": "wait", "configuration": { "for": "30 days" } },
        { "id": "again", "name": "again", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "wait" }, { "from": "start", "to": "again" }, { "from": "again", "to": "again" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
    assert_eq!(world.run_state(run_id).await, "failed", "without a sweep");
    let held = "SELECT state, result, result_reason FROM workflow_node_executions WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(held).await, "finished|failed|run_limit");
    let executions = "SELECT count(*) FROM workflow_node_executions";
    assert!(world.database.count(executions).await < RUN_EXECUTIONS_MAX);
}

#[tokio::test]
async fn the_sweeper_sends_for_runs_that_are_due_before_it_comes_again() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [soon, later] = two_runs(&world, &workflow).await;
    set_due(&world, soon, "60 seconds").await;
    set_due(&world, later, "2 minutes").await;
    sweep(&world.sweeper(300), tests::tick()).await.unwrap();
    let sent = world.queues.take();
    assert!(
        sent.len() == 1 && sent[0].message == run(soon) && (59..=60).contains(&sent[0].delay_seconds),
        "{sent:?}"
    );
}

#[tokio::test]
async fn whoever_begins_a_run_knows_its_time_out() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    world.database.sql("UPDATE workflows SET timeout_seconds = 600").await;
    let begun = world.begin(world.api(), &workflow, "start", world.id(), json!({})).await.unwrap();
    let BeginOutcome::Begun(Some(due)) = begun else { panic!("{begun:?}") };
    assert!((Duration::from_secs(599)..=Duration::from_secs(600)).contains(&due), "{due:?}");
}

#[tokio::test]
async fn a_run_that_somebody_holds_is_looked_at_again() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [run_id, other] = two_runs(&world, &workflow).await;
    set_due(&world, run_id, "-1 second").await;
    set_due(&world, other, "90 seconds").await;
    let holder = world.database.connect_admin().await;
    let lock = format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{run_id}' FOR UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    let response = builder::handle(batch(&[run(other), run(run_id)], 1), deadline, &world.builder()).await;
    let mut again: Vec<(Message, u64)> =
        world.queues.take().into_iter().map(|sent| (sent.message, sent.delay_seconds)).collect();
    again.sort_by_key(|(_, delay_seconds)| *delay_seconds);
    assert_eq!(response, BatchResponse::default(), "contention is no failure");
    let [(first, _), (second, later)] = again.as_slice() else { panic!("each once: {again:?}") };
    assert_eq!((first, second), (&run(run_id), &run(other)));
    assert!(*later >= 80, "the other run's message keeps its own delay: {again:?}");
    assert_eq!(world.run_state(run_id).await, "running");
    // The other run is not due, so the builder does not wait for its lock.
    holder
        .batch_execute(&format!("SELECT FROM workflow_runs WHERE id = '{other}' FOR UPDATE"))
        .await
        .unwrap();
    build(&world.builder(), &[run(other)]).await;
    assert!(matches!(world.queues.take().as_slice(), [sent] if sent.delay_seconds >= 80));
}

#[tokio::test]
async fn a_run_with_more_open_than_one_look_finds_is_looked_at_again_i10() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let [run_id, _] = two_runs(&world, &workflow).await;
    let copies = async |count: i64| {
        let sql = format!(
            "WITH copied AS (
                 INSERT INTO workflow_events
                 SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(), 'execution_id', x.id))).*
                 FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.event_id, generate_series(1, {count})
                 WHERE x.run_id = '{run_id}' AND x.node_id = 'call' RETURNING id)
             INSERT INTO workflow_node_executions
             SELECT (jsonb_populate_record(x, jsonb_build_object('id', gen_random_uuid(), 'event_id', copied.id))).*
             FROM workflow_node_executions x, copied
             WHERE x.id = (SELECT id FROM workflow_node_executions WHERE run_id = '{run_id}' AND node_id = 'wait' LIMIT 1)"
        );
        world.database.sql(&sql).await;
    };
    let look = async || {
        build(&world.builder(), &[run(run_id)]).await;
        let (again, wakes): (Vec<_>, Vec<_>) =
            world.queues.take().into_iter().partition(|sent| sent.message == run(run_id));
        (wakes.len(), again.len())
    };
    set_due(&world, run_id, "-1 second").await;
    copies(STOP_ROUND_ROWS_MAX - 3).await;
    assert_eq!(look().await, (499, 0));
    copies(1).await;
    assert_eq!(look().await, (500, 1));
    copies(1).await;
    assert_eq!(look().await, (500, 1));
}
