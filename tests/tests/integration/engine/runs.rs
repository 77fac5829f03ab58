//! Runs: the transaction that ends the last open work of a run ends the run, even beside other
//! transactions on the same run.

use std::time::Duration;

use domain::actor::Actor;
use domain::execution::ExecutionResult;
use domain::ids::{EventId, ExecutionId};
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use store::StoreError;
use store::api::{ExecutionCancel, RedriveOutcome, cancel_execution, delete_organization, delete_workflow};
use sweeper::sweep;
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World};

fn http(id: &str, url: &str) -> Value {
    json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url }, "concurrency": "unlimited" })
}

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

/// Two branches of one node each.
async fn two_branches(world: &World, url: &str) -> Workflow {
    let nodes = json!([start(), http("left", url), http("right", url)]);
    let edges = json!([{ "from": "start", "to": "left" }, { "from": "start", "to": "right" }]);
    world.workflow(nodes, edges).await
}

/// A run of the workflow with two pending executions, and their wakes: the left one's comes first.
async fn two_pending(world: &World, workflow: &Workflow) -> (EventId, Vec<Message>) {
    let run_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let mut wakes = Vec::new();
    for node in ["left", "right"] {
        let sql = format!(
            "SELECT id FROM workflow_node_executions WHERE node_id = '{node}' AND root_event_id = '{run_id}'"
        );
        let execution_id: ExecutionId = world.database.sql(&sql).await.parse().unwrap();
        wakes.push(Message::Execution { execution_id });
    }
    let _ = world.queues.take();
    (run_id, wakes)
}

fn id_of(wake: &Message) -> ExecutionId {
    match wake {
        Message::Execution { execution_id } => *execution_id,
        other => panic!("{other:?}"),
    }
}

/// The naive form: one statement ends an execution, looks for other open work, and ends the run if
/// there is none.
fn end_and_count(execution: &str, run: EventId) -> String {
    format!(
        "WITH ended AS (
             UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()
             WHERE node_id = '{execution}' AND root_event_id = '{run}' RETURNING id)
         UPDATE workflow_runs r SET state = 'finished', result = 'passed', finished_at = now()
         WHERE r.id = '{run}' AND NOT EXISTS (
             SELECT FROM workflow_node_executions x WHERE x.run_id = r.id AND x.state <> 'finished' AND x.id NOT IN (SELECT id FROM ended))"
    )
}

#[tokio::test]
async fn two_that_end_the_last_two_things_of_a_run_end_it_i8() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = two_branches(&world, &target.url()).await;
    // The naive form: each transaction sees the other's execution still open, because that end is
    // not committed yet.
    let (naive, _) = two_pending(&world, &workflow).await;
    let (one, other) = (world.database.connect_admin().await, world.database.connect_admin().await);
    one.batch_execute("BEGIN").await.unwrap();
    one.batch_execute(&end_and_count("left", naive)).await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    other.batch_execute(&end_and_count("right", naive)).await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    let open = format!(
        "SELECT count(*) FROM workflow_node_executions WHERE run_id = '{naive}' AND state <> 'finished'"
    );
    assert_eq!(
        (world.database.count(&open).await, world.run_state(naive).await),
        (0, "running"),
        "the run never ends"
    );
    // A look before the lock is naive too: each sees the other's work, and leaves the run to it.
    let (naive, _) = two_pending(&world, &workflow).await;
    let others = |mine: &str| {
        format!(
            "SELECT count(*) FROM workflow_node_executions WHERE run_id = '{naive}' AND state <> 'finished' AND node_id <> '{mine}'"
        )
    };
    for (session, mine) in [(&one, "left"), (&other, "right")] {
        session.batch_execute("BEGIN").await.unwrap();
        let seen: i64 = session.query_one(&others(mine), &[]).await.unwrap().get(0);
        assert_eq!(seen, 1, "it is not the last");
    }
    for (session, mine) in [(&one, "left"), (&other, "right")] {
        let end = format!(
            "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()
             WHERE node_id = '{mine}' AND run_id = '{naive}'"
        );
        session.batch_execute(&format!("{end}; COMMIT")).await.unwrap();
    }
    assert_eq!((world.database.count(&others("")).await, world.run_state(naive).await), (0, "running"));
    // Ours: the second transaction waits for the run's row, and then sees the end that the first
    // has committed.
    let (run_id, wakes) = two_pending(&world, &workflow).await;
    let first = format!(
        "BEGIN; UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()
         WHERE node_id = 'left' AND root_event_id = '{run_id}';
         SELECT FROM workflow_runs WHERE id = '{run_id}' FOR NO KEY UPDATE"
    );
    one.batch_execute(&first).await.unwrap();
    let second = world.executor(&target.host_port());
    tokio::join!(execute(&second, &wakes[1..]), async {
        world.database.wait_for_blocked(1).await;
        one.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(world.run_state(run_id).await, "passed", "I8");
}

#[tokio::test]
async fn items_and_executions_are_counted_by_one_statement_i8() {
    let world = World::create().await;
    let workflow = two_branches(&world, "https://target.test/").await;
    // The naive form: the item becomes an execution between the two counts, and neither sees it.
    let run_id = world.start(&workflow, "start", json!({})).await;
    let executions = format!(
        "SELECT count(*) FROM workflow_node_executions WHERE run_id = '{run_id}' AND state <> 'finished'"
    );
    let items = format!("SELECT count(*) FROM workflow_node_queue_items WHERE run_id = '{run_id}'");
    let before = world.database.count(&executions).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!((before, world.database.count(&items).await), (0, 0), "by two counts no work is open");
    // Ours, while another transaction holds the item of the other branch, as a builder does before
    // it commits the execution.
    let world = World::create().await;
    let workflow = two_branches(&world, "https://target.test/").await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let later =
        "UPDATE workflow_node_queue_items SET created_at = now() WHERE node_id = 'right' RETURNING id";
    let right = world.database.sql(later).await;
    let holder = world.database.connect_admin().await;
    holder
        .batch_execute(&format!(
            "BEGIN; SELECT FROM workflow_node_queue_items WHERE id = '{right}' FOR UPDATE"
        ))
        .await
        .unwrap();
    build(&world.builder(), &[event(run_id)]).await;
    let left: ExecutionId =
        world.database.sql("SELECT id FROM workflow_node_executions").await.parse().unwrap();
    cancel(&world, left).await.unwrap();
    assert_eq!(world.run_state(run_id).await, "running", "I8: the item waits");
    holder.batch_execute("COMMIT").await.unwrap();
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(world.run_state(run_id).await, "running", "I8: the execution is pending");
    let right = "SELECT id FROM workflow_node_executions WHERE node_id = 'right'";
    cancel(&world, world.database.sql(right).await.parse().unwrap()).await.unwrap();
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

async fn cancel(world: &World, execution_id: ExecutionId) -> Result<(), StoreError> {
    let cancel = ExecutionCancel {
        organization_id: world.organization_id,
        execution_id,
        cancelled_by: Actor::token_named("test"),
        now: world.now(),
    };
    cancel_execution(world.audited(), &cancel).await.map(drop)
}

async fn redrive(world: &World, execution_id: ExecutionId) -> RedriveOutcome {
    world.redrive(execution_id).await.1
}

#[tokio::test]
async fn a_run_that_leads_nowhere_has_ended_when_it_begins() {
    let world = World::create().await;
    let workflow = world.workflow(json!([start()]), json!([])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    assert_eq!(world.run_state(run_id).await, "passed");
}

#[tokio::test]
async fn every_way_in_which_work_ends_ends_its_run_i8() {
    let target = Target::start().await.unwrap();
    let by = Actor::token_named("test");
    let ways = [
        ("passed", "passed"),
        ("failed", "failed"),
        ("template", "failed"),
        ("execution cancelled", "cancelled"),
        ("run cancelled", "cancelled"),
        ("node removed", "cancelled"),
        ("workflow deleted", "cancelled"),
        ("organization deleted", "cancelled"),
        ("organization deleted, the rest", "cancelled"),
        ("crashed", "failed"),
        ("undeliverable item", "failed"),
        ("undeliverable execution", "failed"),
        ("full target", "failed"),
        ("timeout", "failed"),
    ];
    for (way, expected) in ways {
        let world = World::create().await;
        let url = match way {
            "failed" => format!("{}/status/404", target.url()),
            "template" => "{{ previous().data.none.none }}".to_owned(),
            _ => target.url(),
        };
        let nodes =
            json!([start(), http("work", &url), { "id": "next", "name": "next", "component": "noop" }]);
        let edges = json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "next" }]);
        let workflow = world.workflow(nodes, edges).await;
        let run_id = world.start(&workflow, "start", json!({})).await;
        let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
        if way != "undeliverable item" {
            build(&builder, &[event(run_id)]).await;
        }
        let pending = "SELECT id FROM workflow_node_executions WHERE state = 'pending'";
        let sent_in_vain = "sent_count = 100, last_sent_at = now() - interval '1 hour'";
        let heartbeats = "INSERT INTO function_heartbeats (function, committed_at) VALUES ('builder', now()), ('executor', now())
            ON CONFLICT (function) DO UPDATE SET committed_at = excluded.committed_at";
        match way {
            "template" => {}
            "execution cancelled" => {
                cancel(&world, world.database.sql(pending).await.parse().unwrap()).await.unwrap()
            }
            "run cancelled" => drop(world.cancel(run_id).await),
            "node removed" => drop(world.apply_again(&workflow, json!([start()]), json!([])).await),
            "workflow deleted" => {
                delete_workflow(world.audited(), world.organization_id, workflow.id, &by, world.now())
                    .await
                    .unwrap();
            }
            "organization deleted" => {
                delete_organization(world.audited(), world.organization_id, world.now()).await.unwrap();
            }
            "organization deleted, the rest" => {
                world.database.sql("UPDATE organizations SET deleted_at = now()").await;
                let swept = sweep(&world.sweeper(3_600), tests::tick()).await.unwrap();
                assert_eq!(swept.runs_stopped, 1);
            }
            "crashed" => {
                world.database.sql("UPDATE workflow_node_executions SET crashes = 5").await;
                let wakes = messages(&world.queues.take());
                execute(&executor, &wakes).await;
            }
            "undeliverable item" | "undeliverable execution" => {
                // Newer work has passed both functions since.
                let newer = world.start(&workflow, "start", json!({})).await;
                build(&builder, &[event(newer)]).await;
                world.run_to_end(&builder, &executor).await;
                world.database.sql(heartbeats).await;
                let table = if way == "undeliverable item" {
                    "workflow_node_queue_items"
                } else {
                    "workflow_node_executions"
                };
                let sql = format!("UPDATE {table} SET {sent_in_vain} WHERE run_id = '{run_id}'");
                world.database.sql(&sql).await;
                if way == "undeliverable execution" {
                    // The execution is made pending again, and older than the newer work.
                    let sql = format!("UPDATE workflow_node_executions SET state = 'pending', result = NULL, result_reason = NULL, result_message = NULL,
                        finished_at = NULL, updated_at = now() - interval '2 hours', created_at = now() - interval '2 hours' WHERE run_id = '{run_id}' AND node_id = 'work';
                        UPDATE workflow_runs SET state = 'running', result = NULL, finished_at = NULL WHERE id = '{run_id}'");
                    world.database.sql(&sql).await;
                }
                sweep(&world.sweeper(3_600), tests::tick()).await.unwrap();
            }
            "full target" => {
                world
                    .database
                    .sql("UPDATE workflow_nodes SET items_full = true WHERE node_id = 'next'")
                    .await;
                let wakes = messages(&world.queues.take());
                execute(&executor, &wakes).await;
            }
            "timeout" => {
                world.database.sql("UPDATE workflow_runs SET due_at = now()").await;
                let swept = sweep(&world.sweeper(3_600), tests::tick()).await.unwrap();
                assert_eq!(swept.runs_stopped, 1);
            }
            _ => world.run_to_end(&builder, &executor).await,
        }
        assert_eq!(world.run_state(run_id).await, expected, "{way}: {:?}", world.executions().await);
    }
}

#[tokio::test]
async fn a_redrive_runs_its_run_on_and_the_run_ends_again() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([start(), http("work", &format!("{}/status/404", target.url()))]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(run_id)]).await;
    world.run_to_end(&builder, &executor).await;
    assert_eq!(world.run_state(run_id).await, "failed");
    let failed: ExecutionId =
        world.database.sql("SELECT id FROM workflow_node_executions").await.parse().unwrap();
    assert_eq!(redrive(&world, failed).await, RedriveOutcome::Redriven { run_id: run_id.into(), due: None });
    assert_eq!(world.run_state(run_id).await, "running");
    let item = "SELECT event_id FROM workflow_node_queue_items";
    let copy: EventId = world.database.sql(item).await.parse().unwrap();
    let nodes = json!([start(), http("work", &target.url())]);
    world.apply_again(&workflow, nodes, json!([{ "from": "start", "to": "work" }])).await;
    build(&builder, &[event(copy)]).await;
    world.run_to_end(&builder, &executor).await;
    assert_eq!(world.run_state(run_id).await, "passed", "the result of the copy counts");
}

#[tokio::test]
async fn each_redrive_has_the_whole_time_out() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([start(), http("work", &format!("{}/status/404", target.url()))]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    world.database.sql("UPDATE workflows SET timeout_seconds = 3600").await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    let due = "SELECT count(*) FROM workflow_runs WHERE due_at BETWEEN now() + interval '50 minutes' AND now() + interval '70 minutes'";
    assert_eq!(world.database.count(due).await, 1);
    let mut wake = run_id;
    for _ in 0..2 {
        build(&builder, &[event(wake)]).await;
        world.run_to_end(&builder, &executor).await;
        let old = "UPDATE workflow_runs SET created_at = created_at - interval '30 days', due_at = due_at - interval '30 days'";
        world.database.sql(old).await;
        let failed =
            "SELECT id FROM workflow_node_executions WHERE result = 'failed' AND redriven_event_id IS NULL";
        let failed: ExecutionId = world.database.sql(failed).await.parse().unwrap();
        let due_in = Some(Duration::from_secs(3600));
        let redriven = RedriveOutcome::Redriven { run_id: run_id.into(), due: due_in };
        assert_eq!(redrive(&world, failed).await, redriven, "the redrive gives the time-out for a message");
        assert_eq!(world.database.count(due).await, 1);
        wake = world.database.sql("SELECT event_id FROM workflow_node_queue_items").await.parse().unwrap();
    }
}

#[tokio::test]
async fn a_redrive_and_the_end_of_the_run_wait_for_each_other_i8() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = two_branches(&world, &format!("{}/status/404", target.url())).await;
    let (run_id, wakes) = two_pending(&world, &workflow).await;
    let executor = world.executor(&target.host_port());
    execute(&executor, &wakes[..1]).await;
    // The last open execution ends. Its transaction holds the run while the failure of the other
    // branch is redriven.
    let last = world.database.connect_admin().await;
    let end = format!(
        "BEGIN; UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now() WHERE id = '{}';
         SELECT FROM workflow_runs FOR NO KEY UPDATE; UPDATE workflow_runs SET state = 'finished', result = 'failed', finished_at = now()",
        id_of(&wakes[1])
    );
    last.batch_execute(&end).await.unwrap();
    let (outcome, ()) = tokio::join!(redrive(&world, id_of(&wakes[0])), async {
        world.database.wait_for_blocked(1).await;
        last.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(outcome, RedriveOutcome::Redriven { run_id: run_id.into(), due: None });
    assert_eq!(
        (world.run_state(run_id).await, world.items().await),
        ("running", 1),
        "I8: the run has work again"
    );
}

#[tokio::test]
async fn the_sweeper_ends_a_run_that_code_of_before_left_open() {
    let world = World::create().await;
    let workflow = two_branches(&world, "https://target.test/").await;
    let (run_id, _) = two_pending(&world, &workflow).await;
    // Code before V14 ends executions but does not know runs.
    let end =
        "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()";
    world.database.sql(end).await;
    let sweeper = world.sweeper(60);
    assert_eq!(
        sweep(&sweeper, tests::tick()).await.unwrap().runs_settled,
        0,
        "within the grace a function may be at work on the run"
    );
    world.database.sql("UPDATE workflow_runs SET created_at = created_at - interval '2 minutes'").await;
    assert_eq!(sweep(&sweeper, tests::tick()).await.unwrap().runs_settled, 1);
    assert_eq!(world.run_state(run_id).await, ExecutionResult::Passed.as_str());
}

#[tokio::test]
async fn the_sweeper_goes_on_with_a_stop_that_was_not_carried_to_its_end() {
    let world = World::create().await;
    let workflow = two_branches(&world, "https://target.test/").await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    // The stop is recorded, but none of its rounds was carried out.
    world.database.sql("UPDATE workflow_runs SET stop = 'cancelled', stopped_by = 'test', updated_at = now() - interval '2 minutes', created_at = now() - interval '2 minutes'").await;
    sweep(&world.sweeper(60), tests::tick()).await.unwrap();
    assert_eq!((world.items().await, world.run_state(run_id).await), (0, "cancelled"));
    assert_eq!(
        world.database.sql("SELECT DISTINCT cancelled_by FROM workflow_node_executions").await,
        "test"
    );
}

#[tokio::test]
async fn a_run_that_somebody_holds_keeps_no_other_from_its_time_out_i9() {
    let world = World::create().await;
    let workflow = two_branches(&world, "https://target.test/").await;
    let (held, other) =
        (world.start(&workflow, "start", json!({})).await, world.start(&workflow, "start", json!({})).await);
    // The held run is due first.
    let due = format!(
        "UPDATE workflow_runs SET due_at = now() - make_interval(secs => CASE id WHEN '{held}' THEN 60 ELSE 30 END)"
    );
    world.database.sql(&due).await;
    let holder = world.database.connect_admin().await;
    holder
        .batch_execute(&format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{held}' FOR KEY SHARE"))
        .await
        .unwrap();
    assert!(sweep(&world.sweeper(3_600), tests::tick()).await.is_err(), "the sweep reports the held run");
    assert_eq!((world.run_state(held).await, world.run_state(other).await), ("running", "failed"), "I9");
    holder.batch_execute("COMMIT").await.unwrap();
    sweep(&world.sweeper(3_600), tests::tick()).await.unwrap();
    assert_eq!(world.run_state(held).await, "failed");
}
