//! Held executions: only their own wake changes them, committed rows wake them, and none is lost.

mod poison;

use std::time::Duration;

use domain::actor::Actor;
use domain::execution::{ExecutionState, ResultReason};
use domain::held::Call;
use domain::ids::{EventId, ExecutionId, WorkflowId};
use domain::limits::{CRASHES_MAX, HELD_EXECUTIONS_MAX};
use domain::message::Message;
use process::{BatchResponse, Deadline};
use serde_json::{Value, json};
use store::StoreError;
use store::api::{CallOutcome, ExecutionCall, ExecutionCancel, call_execution, cancel_execution};
use store::sweeper::mark_full_workflows;
use sweeper::sweep;
use tests::rows::{cancelled, passed};
use tests::world::{batch, batch_of_group, build, event};
use tests::{PostgresWire, Workflow, World, wait_for};

/// `start` → `wait` for 30 days → `end`, and a run of it that has come to the wait.
async fn held(world: &World) -> (Workflow, EventId, ExecutionId) {
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "30 days" } },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "wait", "to": "end" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({ "a": 1 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = format!("SELECT id FROM workflow_node_executions WHERE run_id = '{run_id}'");
    let id = world.database.sql(&sql).await.parse().expect("an execution");
    let _ = world.queues.take();
    (workflow, run_id, id)
}

fn wake(execution_id: ExecutionId) -> Message {
    Message::Wake { execution_id }
}

async fn build_one(builder: &builder::Deps, id: ExecutionId) {
    build(builder, &[wake(id)]).await;
}

/// Makes the execution's wake due.
async fn make_due(world: &World, id: ExecutionId) {
    let sql = format!(
        "UPDATE workflow_node_executions SET wake_at = now() - interval '1 second' WHERE id = '{id}'"
    );
    world.database.sql(&sql).await;
}

async fn release(world: &World, execution_id: ExecutionId, by: &str) -> Result<CallOutcome, StoreError> {
    let call = ExecutionCall {
        id: world.id(),
        organization_id: world.organization_id,
        execution_id,
        call: Call::Release,
        called_by: Actor::token_named(by),
        data: None,
        voter: None,
    };
    call_execution(world.audited(), &call).await
}

async fn state(world: &World, id: ExecutionId) -> String {
    let sql = format!("SELECT state, result, result_reason FROM workflow_node_executions WHERE id = '{id}'");
    world.database.sql(&sql).await
}

/// Causes and calls that no wake has handled.
async fn open(world: &World) -> (i64, i64) {
    let count = async |table: &str| {
        world.database.count(&format!("SELECT count(*) FROM {table} WHERE handled_at IS NULL")).await
    };
    (count("workflow_execution_wakes").await, count("workflow_execution_calls").await)
}

#[tokio::test]
async fn a_release_ends_a_wait_once_and_says_who_it_was() {
    let world = World::create().await;
    let (_, run_id, id) = held(&world).await;
    for by in ["anna", "anna", "ben"] {
        assert!(matches!(release(&world, id, by).await, Ok(CallOutcome::Made(_))));
    }
    assert_eq!(open(&world).await, (0, 2), "the same call of the same actor is made once");
    build(&world.builder(), &[wake(id)]).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(world.executions().await, [passed("wait"), passed("end")], "I3: once");
    assert_eq!((world.run_state(run_id).await, open(&world).await), ("passed", (0, 0)));
    let by =
        "SELECT metadata -> 'wait' ->> 'released_by' FROM workflow_node_executions WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(by).await, "token:anna");
    assert_eq!(release(&world, id, "anna").await.unwrap(), CallOutcome::NotHeld(ExecutionState::Finished));
    let foreign = ExecutionCall {
        id: world.id(),
        organization_id: world.id(),
        execution_id: id,
        call: Call::Release,
        called_by: Actor::token_named("anna"),
        data: None,
        voter: None,
    };
    assert!(matches!(call_execution(world.audited(), &foreign).await, Err(StoreError::NotFound)), "I6");
}

#[tokio::test]
async fn what_is_due_is_judged_by_the_statements_time_and_not_the_transactions_i8() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    // The naive form compares with now(). The transaction began before the time came, so its now()
    // never reaches that time.
    let naive = world.database.connect_admin().await;
    naive.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let soon = format!(
        "UPDATE workflow_node_executions SET wake_at = clock_timestamp() + interval '400 milliseconds' WHERE id = '{id}'"
    );
    let wire = PostgresWire::to(world.database.host_port()).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    world.database.sql(&soon).await;
    let gate = wire.hold("/* read_woken */");
    tokio::join!(build_one(&builder, id), async {
        gate.wait_for_arrival().await;
        let is_past =
            format!("SELECT wake_at < clock_timestamp() FROM workflow_node_executions WHERE id = '{id}'");
        wait_for("its time comes", || async { (world.database.sql(&is_past).await == "t").then_some(()) })
            .await;
        let sql = format!(
            "SELECT wake_at <= now(), wake_at <= statement_timestamp() FROM workflow_node_executions WHERE id = '{id}'"
        );
        let row = naive.query_one(&sql, &[]).await.unwrap();
        assert_eq!(
            (row.get(0), row.get(1)),
            (false, true),
            "by now() the message would be acked, and no other would come"
        );
        gate.let_through();
    });
    assert_eq!(state(&world, id).await, "finished|passed|", "I8");
}

#[tokio::test]
async fn a_wake_whose_row_is_locked_comes_again_and_is_never_acked_i8() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    make_due(&world, id).await;
    let holder = world.database.connect_admin().await;
    holder
        .batch_execute(&format!("BEGIN; SELECT FROM workflow_node_executions WHERE id = '{id}' FOR UPDATE"))
        .await
        .unwrap();
    build(&world.builder(), &[wake(id)]).await;
    let sent: Vec<_> =
        world.queues.take().into_iter().map(|sent| (sent.message, sent.delay_seconds)).collect();
    assert_eq!(sent, [(wake(id), 1)], "a fresh wake comes a second later");
    holder.batch_execute("COMMIT").await.unwrap();
    build(&world.builder(), &[wake(id)]).await;
    assert_eq!(state(&world, id).await, "finished|passed|");
}

#[tokio::test]
async fn a_run_that_somebody_holds_keeps_no_other_wake_waiting_i8() {
    // A stop of a run takes the first lock, an end the second.
    for lock in ["FOR UPDATE", "FOR NO KEY UPDATE"] {
        let world = World::create().await;
        let ((_, busy_run, busy), (_, _, free)) = (held(&world).await, held(&world).await);
        for id in [busy, free] {
            make_due(&world, id).await;
        }
        let holder = world.database.connect_admin().await;
        let lock_run = format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{busy_run}' {lock}");
        holder.batch_execute(&lock_run).await.unwrap();
        build(&world.builder(), &[wake(busy), wake(free)]).await;
        assert_eq!(state(&world, free).await, "finished|passed|", "{lock}");
        let sent: Vec<_> =
            world.queues.take().into_iter().map(|sent| (sent.message, sent.delay_seconds)).collect();
        assert_eq!(
            state(&world, busy).await == "held||",
            sent.contains(&(wake(busy), 1)),
            "{lock}: {sent:?}"
        );
        holder.batch_execute("COMMIT").await.unwrap();
        world.run_to_end(&world.builder(), &world.executor("")).await;
        if state(&world, busy).await == "held||" {
            build(&world.builder(), &[wake(busy)]).await;
        }
        assert_eq!(state(&world, busy).await, "finished|passed|", "{lock}");
    }
}

#[tokio::test]
async fn a_wake_without_a_group_is_no_less_i8() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    make_due(&world, id).await;
    let deliver = async |receives| {
        let deadline = Deadline::after(Duration::from_secs(60));
        builder::handle(batch_of_group(&[wake(id)], receives, None), deadline, &world.builder()).await
    };
    // The execution is locked and its organization is not known, so no fresh wake can be sent: the
    // message itself comes again.
    let holder = world.database.connect_admin().await;
    let lock = format!("BEGIN; SELECT FROM workflow_node_executions WHERE id = '{id}' FOR UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    let mut again = BatchResponse::default();
    again.fail("0");
    assert_eq!(deliver(2).await, again);
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(deliver(1).await, BatchResponse::default());
    assert_eq!(state(&world, id).await, "finished|passed|");
}

#[tokio::test]
async fn what_another_version_wrote_waits_for_it_and_keeps_no_other_wake_waiting_i9() {
    let world = World::create().await;
    let ((_, _, unreadable), (_, _, good)) = (held(&world).await, held(&world).await);
    for id in [unreadable, good] {
        make_due(&world, id).await;
    }
    let sql = format!(
        "ALTER TABLE workflow_execution_calls DROP CONSTRAINT workflow_execution_calls_call_check;
         INSERT INTO workflow_execution_calls (id, workflow_id, execution_id, call, called_by)
         SELECT gen_random_uuid(), workflow_id, id, 'a_later_call', 'token:anna' FROM workflow_node_executions WHERE id = '{unreadable}'"
    );
    world.database.sql(&sql).await;
    build(&world.builder(), &[wake(unreadable), wake(good)]).await;
    assert_eq!(state(&world, good).await, "finished|passed|", "I9");
    let left = format!("SELECT state, crashes FROM workflow_node_executions WHERE id = '{unreadable}'");
    assert_eq!(world.database.sql(&left).await, "held|0");
    // The builder sends no wake for it each second: the sweeper does, at growing intervals.
    let sent: Vec<Message> = world.queues.take().into_iter().map(|sent| sent.message).collect();
    assert!(!sent.contains(&wake(unreadable)), "{sent:?}");
    assert_eq!(sweep(&world.sweeper(0), tests::tick()).await.unwrap().held, 1);
    assert_eq!(
        sweep(&world.sweeper(0), tests::tick()).await.unwrap().held,
        0,
        "the next message comes after a backoff"
    );
}

#[tokio::test]
async fn exactly_the_causes_that_were_read_are_marked_i3() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    let insert = format!(
        "INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause) SELECT workflow_id, id, 'stopped' FROM workflow_node_executions WHERE id = '{id}'"
    );
    // The naive form marks all causes that are unhandled at that time, and with them one that was
    // never read.
    let naive = world.database.connect_admin().await;
    naive.batch_execute("BEGIN").await.unwrap();
    let read =
        naive.query("SELECT id FROM workflow_execution_wakes WHERE handled_at IS NULL", &[]).await.unwrap();
    world.database.sql(&insert).await;
    let marked = naive
        .execute("UPDATE workflow_execution_wakes SET handled_at = now() WHERE handled_at IS NULL", &[])
        .await
        .unwrap();
    assert_eq!((read.len(), marked), (0, 1), "a cause is marked without having been read");
    naive.batch_execute("ROLLBACK").await.unwrap();
    // Ours: one cause is read, and another one is inserted before the mark.
    let (wire, is_marked) = (
        PostgresWire::to(world.database.host_port()).await,
        "SELECT count(*) FROM workflow_execution_wakes WHERE handled_at IS NOT NULL",
    );
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    make_due(&world, id).await;
    let gate = wire.hold("/* record_wakes */");
    tokio::join!(build_one(&builder, id), async {
        gate.wait_for_arrival().await;
        world.database.sql(&insert).await;
        gate.let_through();
    });
    assert_eq!(state(&world, id).await, "finished|passed|");
    assert_eq!((world.database.count(is_marked).await, open(&world).await.0), (1, 1), "I3");
    // And a call that comes between.
    let (_, _, id) = held(&world).await;
    make_due(&world, id).await;
    let gate = wire.hold("/* record_wakes */");
    let call = format!(
        "INSERT INTO workflow_execution_calls (id, workflow_id, execution_id, call, called_by)
         SELECT gen_random_uuid(), workflow_id, id, 'release', 'member:anna' FROM workflow_node_executions WHERE id = '{id}'"
    );
    tokio::join!(build_one(&builder, id), async {
        gate.wait_for_arrival().await;
        world.database.sql(&call).await;
        gate.let_through();
    });
    assert_eq!((state(&world, id).await.as_str(), open(&world).await.1), ("finished|passed|", 1));
}

#[tokio::test]
async fn a_call_that_comes_while_the_execution_ends_is_told_so() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    make_due(&world, id).await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let gate = wire.hold("COMMIT\0");
    let (_, outcome, ()) = tokio::join!(
        build_one(&builder, id),
        async {
            gate.wait_for_arrival().await;
            // Without the lock the call would be accepted here: the committed state is still
            // `held`.
            assert_eq!(state(&world, id).await, "held||");
            release(&world, id, "anna").await
        },
        async {
            world.database.wait_for_blocked(1).await;
            gate.let_through();
        }
    );
    assert_eq!(outcome.unwrap(), CallOutcome::NotHeld(ExecutionState::Finished));
    assert_eq!(open(&world).await, (0, 0), "no call was made");
}

#[tokio::test]
async fn a_call_before_the_end_is_read_by_it() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    make_due(&world, id).await;
    assert!(matches!(release(&world, id, "anna").await, Ok(CallOutcome::Made(_))));
    build(&world.builder(), &[wake(id)]).await;
    let by =
        "SELECT metadata -> 'wait' ->> 'released_by' FROM workflow_node_executions WHERE node_id = 'wait'";
    assert_eq!(world.database.sql(by).await, "token:anna", "calls come before timers");
    assert_eq!(open(&world).await, (0, 0));
}

#[tokio::test]
async fn a_cancel_and_a_wake_of_one_run_never_wait_for_each_other_in_a_circle() {
    let world = World::create().await;
    let (_, run_id, id) = held(&world).await;
    // The naive form: a cancel writes the run and then the execution, while a wake writes the
    // execution and then the run.
    let (cancel, woken) = (world.database.connect_admin().await, world.database.connect_admin().await);
    let (run, execution) = (
        format!("UPDATE workflow_runs SET updated_at = now() WHERE id = '{run_id}'"),
        format!("UPDATE workflow_node_executions SET updated_at = now() WHERE id = '{id}'"),
    );
    cancel.batch_execute(&format!("BEGIN; {run}")).await.unwrap();
    woken.batch_execute(&format!("BEGIN; {execution}")).await.unwrap();
    let (first, second) = tokio::join!(cancel.batch_execute(&execution), async {
        world.database.wait_for_blocked(1).await;
        woken.batch_execute(&run).await
    });
    let codes = [first, second]
        .map(|result| result.err().and_then(|error| error.code().map(|code| code.code().to_owned())));
    assert!(codes.iter().flatten().any(|code| code == "40P01"), "a deadlock: {codes:?}");
    for session in [&cancel, &woken] {
        session.batch_execute("ROLLBACK").await.unwrap();
    }
    // Ours: the cancel inserts a cause, while the wake holds the execution and has not committed.
    make_due(&world, id).await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let gate = wire.hold("COMMIT\0");
    tokio::join!(
        build_one(&builder, id),
        async {
            gate.wait_for_arrival().await;
            world.cancel(run_id).await;
        },
        async {
            world.database.wait_for_blocked(1).await;
            gate.let_through();
        }
    );
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(world.executions().await, [passed("wait"), cancelled("end", ResultReason::Cancelled)]);
    assert_eq!(world.run_state(run_id).await, "cancelled");
    // And while the wake has the execution alone, and the run not yet.
    let (_, run_id, id) = held(&world).await;
    make_due(&world, id).await;
    let gate = wire.hold("/* lock_runs_of_woken */");
    tokio::join!(build_one(&builder, id), async {
        gate.wait_for_arrival().await;
        world.cancel(run_id).await;
        gate.let_through();
    });
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

#[tokio::test]
async fn a_call_after_a_cancel_is_told_that_the_execution_is_to_end() {
    let world = World::create().await;
    let (_, _, id) = held(&world).await;
    let cancel = ExecutionCancel {
        organization_id: world.organization_id,
        execution_id: id,
        cancelled_by: Actor::token_named("anna"),
        now: world.now(),
    };
    cancel_execution(world.audited(), &cancel).await.unwrap();
    assert_eq!(release(&world, id, "berta").await.unwrap(), CallOutcome::Ending);
    build_one(&world.builder(), id).await;
    assert_eq!(state(&world, id).await, "finished|cancelled|cancelled");
    assert_eq!(open(&world).await.0, 0);
}

#[tokio::test]
async fn cancelling_one_execution_ends_it_by_its_wake_and_names_who_did() {
    let world = World::create().await;
    let (_, run_id, id) = held(&world).await;
    let cancel = ExecutionCancel {
        organization_id: world.organization_id,
        execution_id: id,
        cancelled_by: Actor::token_named("anna"),
        now: world.now(),
    };
    let cancelled = cancel_execution(world.audited(), &cancel).await.unwrap();
    assert_eq!(state(&world, id).await, "held||", "only its wake changes the execution");
    assert_eq!(cancelled.wakes().map(|(_, message)| message).collect::<Vec<_>>(), [wake(id)]);
    build(&world.builder(), &[wake(id)]).await;
    assert_eq!(state(&world, id).await, "finished|cancelled|cancelled");
    let by = format!("SELECT cancelled_by FROM workflow_node_executions WHERE id = '{id}'");
    assert_eq!(world.database.sql(&by).await, "token:anna");
    assert_eq!((world.run_state(run_id).await, open(&world).await), ("cancelled", (0, 0)));
    assert!(matches!(cancel_execution(world.audited(), &cancel).await, Err(StoreError::Conflict(_))));
}

#[tokio::test]
async fn whatever_wake_is_lost_the_sweeper_sends_it_again_i8() {
    let causes = ["time", "call", "cancel", "stop"];
    for cause in causes {
        let world = World::create().await;
        let (_, run_id, id) = held(&world).await;
        match cause {
            "time" => make_due(&world, id).await,
            "call" => drop(release(&world, id, "anna").await.unwrap()),
            "cancel" => {
                let sql = format!(
                    "INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause, caused_by)
                     SELECT workflow_id, id, 'cancelled', 'token:anna' FROM workflow_node_executions WHERE id = '{id}'"
                );
                world.database.sql(&sql).await;
            }
            _ => drop(world.cancel(run_id).await),
        }
        let swept = sweep(&world.sweeper(60), tests::tick()).await.unwrap();
        assert_eq!(
            (swept.held, world.queues.take()),
            (0, vec![]),
            "{cause}: within the grace the wake is on its way"
        );
        assert_eq!(sweep(&world.sweeper(0), tests::tick()).await.unwrap().held, 1, "{cause}");
        let sent = world.queues.take();
        assert_eq!(sent.iter().map(|sent| sent.message.clone()).collect::<Vec<_>>(), [wake(id)], "{cause}");
        assert_eq!(
            sweep(&world.sweeper(0), tests::tick()).await.unwrap().held,
            0,
            "{cause}: the next message comes after a backoff"
        );
        world.pass(61).await;
        assert_eq!(
            sweep(&world.sweeper(0), tests::tick()).await.unwrap().held,
            1,
            "{cause}: once more after the backoff"
        );
        world.run_to_end(&world.builder(), &world.executor("")).await;
        assert_ne!(world.run_state(run_id).await, "running", "{cause}: I8");
    }
}

#[tokio::test]
async fn a_workflow_holds_so_many_and_no_more_i10() {
    let world = World::create().await;
    let (workflow, _, _) = held(&world).await;
    // One held execution is there already. Only the number of rows matters, so all of them share
    // one event.
    let fill = format!(
        "ALTER TABLE workflow_node_executions DROP CONSTRAINT workflow_node_executions_event_id_workflow_id_node_id_key;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, held)
         SELECT gen_random_uuid(), workflow_id, node_id, root_event_id, run_id, event_id, 'held', 'wait', '{{}}', 1, 1, now(), now(), now(), '{{}}'
         FROM workflow_node_executions CROSS JOIN generate_series(1, {HELD_EXECUTIONS_MAX} - 2)"
    );
    world.database.sql(&fill).await;
    let opened = async || {
        let run_id = world.start(&workflow, "start", json!({})).await;
        build(&world.builder(), &[event(run_id)]).await;
        let sql =
            format!("SELECT state, result_reason FROM workflow_node_executions WHERE run_id = '{run_id}'");
        world.database.sql(&sql).await
    };
    let sweeper = world.database.store("sweeper");
    let first = WorkflowId::from_u128(0);
    let marked = async |after: WorkflowId| {
        let last = mark_full_workflows(&sweeper, after, 1).await.unwrap();
        (last, world.database.count("SELECT count(*) FROM workflows WHERE held_full").await)
    };
    assert_eq!(marked(first).await, (Some(workflow.id), 0), "a search that found as many as it may goes on");
    assert_eq!(opened().await, "held|");
    assert_eq!(marked(workflow.id).await, (None, 0), "there is none after it");
    assert_eq!(marked(first).await, (Some(workflow.id), 1));
    assert_eq!(opened().await, "finished|limit", "I10");
    world.database.sql("UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now(), held = NULL, wake_at = NULL WHERE state = 'held'").await;
    // A marked workflow is looked at wherever the search is.
    assert_eq!(marked(workflow.id).await, (None, 0));
    assert_eq!(opened().await, "held|", "the workflow is open again");
}

#[tokio::test]
async fn a_gate_lets_through_at_once_or_holds_until_it_opens_even_if_its_wake_comes_too_late() {
    let world = World::create().await;
    let gate = |id: &str, configuration: Value| json!({ "id": id, "name": id, "component": "time_gate", "configuration": configuration });
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        gate("open", json!({ "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] })),
        gate("closed", json!({ "except": "{{ root().data.closed }}" })),
        { "id": "end", "name": "end", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "open" }, { "from": "open", "to": "closed" }, { "from": "closed", "to": "end" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let today = world.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let closed: Vec<String> =
        (-1..3).map(|day| today.checked_add(jiff::Span::new().days(day)).unwrap().to_string()).collect();
    let run_id = world.start(&workflow, "start", json!({ "closed": closed, "a": 1 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    let sql = "SELECT id FROM workflow_node_executions WHERE node_id = 'closed'";
    let id: ExecutionId = world.database.sql(sql).await.parse().unwrap();
    assert_eq!(state(&world, id).await, "held||", "the open one let it through");
    let opens = today.checked_add(jiff::Span::new().days(3)).unwrap();
    let wake_at =
        format!("SELECT wake_at = '{opens} 00:00:00+00' FROM workflow_node_executions WHERE id = '{id}'");
    assert_eq!(world.database.sql(&wake_at).await, "t");
    make_due(&world, id).await;
    build(&world.builder(), &[wake(id)]).await;
    assert_eq!(state(&world, id).await, "held||", "it is closed when its wake comes");
    assert_eq!(world.database.sql(&wake_at).await, "t");
    assert!(matches!(release(&world, id, "anna").await, Ok(CallOutcome::Made(_))));
    build(&world.builder(), &[wake(id)]).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let data = "SELECT data ->> 'a' FROM workflow_events WHERE node_id = 'closed'";
    assert_eq!(world.database.sql(data).await, "1", "its input goes on");
}
