//! The claims of the executor, and the ends of executions.

use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, LeaseToken};
use domain::limits::CRASHES_MAX;
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use store::LockMode;
use store::executor::{
    ClaimScope, ExecutionClaims, FinishKind, FinishRow, FinishedExecution, NewOutput, Refusal,
    claim_executions, finish_executions,
};
use tests::rows::{cancelled, failed, open, passed};
use tests::world::{build, event, execute, node};
use tests::{Workflow, World, wait_for};
use uuid::Uuid;

const LEASE_SECONDS: u32 = 60;

fn http(id: &str, url: &str, more: Value) -> Value {
    let mut node = json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url } });
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

/// `start` → `work`, an http node that calls `url`.
async fn one_node(world: &World, url: &str, more: Value) -> Workflow {
    world
        .workflow(json!([start(), http("work", url, more)]), json!([{ "from": "start", "to": "work" }]))
        .await
}

/// A run whose execution of `work` is pending.
async fn pending(world: &World, workflow: &Workflow) -> ExecutionId {
    let event_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(event_id)]).await;
    let sent = world.queues.take();
    match sent.as_slice() {
        [one] => match one.message {
            Message::Execution { execution_id } => execution_id,
            _ => panic!("{sent:?}"),
        },
        _ => panic!("{sent:?}"),
    }
}

async fn claim(world: &World, id: ExecutionId, scope: ClaimScope, token: LeaseToken) -> ExecutionClaims {
    let (store, now) = (world.database.store("executor"), world.now());
    let claims = store.run_tx("claim", |tx| async move {
        claim_executions(&tx, &[id], tests::world::terms(scope, token, LEASE_SECONDS), now).await
    });
    claims.await.unwrap()
}

async fn finish(world: &World, workflow: &Workflow, id: ExecutionId, token: LeaseToken) -> FinishedExecution {
    let output = NewOutput {
        redactions: None,
        event_id: world.id(),
        channel: "success".into(),
        event_type: "http.success".into(),
        data: json!({ "status": 200 }),
        targets: Vec::new(),
    };
    let row = FinishRow {
        may_have_limit: true,
        execution_id: id,
        token,
        workflow_version: workflow.version,
        kind: FinishKind::End { result: ExecutionResult::Passed, reason: None },
        message: None,
        attempt_record: None,
        facts: None,
        output: Some(output),
    };
    let (store, rows, now) = (world.database.store("executor"), &[row], world.now());
    let finished = store
        .run_tx("finish", |tx| async move { finish_executions(&tx, rows, LockMode::SkipLocked, now).await })
        .await
        .unwrap();
    finished.outcomes[0].clone()
}

/// Lets all leases expire. Leases go by the database's clock, so their times are moved.
async fn expire_leases(world: &World) {
    let sql = "UPDATE workflow_node_executions SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL";
    world.database.sql(sql).await;
}

fn refusals(claims: &ExecutionClaims) -> Vec<Refusal> {
    claims.refused.iter().map(|refused| refused.refusal).collect()
}

#[tokio::test]
async fn a_stale_lease_cannot_finish_i5() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    let (stale, fresh) = (LeaseToken(Uuid::new_v4()), LeaseToken(Uuid::new_v4()));
    assert_eq!(claim(&world, id, ClaimScope::Batch, stale).await.executions.len(), 1);
    expire_leases(&world).await;
    assert_eq!(claim(&world, id, ClaimScope::Alone, fresh).await.executions.len(), 1);
    assert_eq!(finish(&world, &workflow, id, stale).await, FinishedExecution::LeaseLost(id), "I5");
    let outputs = "SELECT count(*) FROM workflow_events WHERE execution_id IS NOT NULL";
    assert_eq!(world.database.count(outputs).await, 0, "I5: no output of the stale lease is kept");
    let recorded = finish(&world, &workflow, id, fresh).await;
    assert_eq!(recorded, FinishedExecution::Recorded { id, is_routed: false, error_event_ids: vec![] });
    assert_eq!(
        finish(&world, &workflow, id, fresh).await,
        FinishedExecution::LeaseLost(id),
        "I3: finished once"
    );
    assert_eq!(world.database.count(outputs).await, 1, "I3");
}

#[tokio::test]
async fn a_live_lease_keeps_others_away_i5() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    assert_eq!(claim(&world, id, ClaimScope::Batch, LeaseToken(Uuid::new_v4())).await.executions.len(), 1);
    for scope in [ClaimScope::Batch, ClaimScope::Alone] {
        let second = claim(&world, id, scope, LeaseToken(Uuid::new_v4())).await;
        assert!(second.executions.is_empty(), "I5");
        assert_eq!(refusals(&second), [Refusal::Settled], "the second claim's message is acked");
    }
}

#[tokio::test]
async fn claimed_by_many_at_once_it_is_one_claim_i3() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    let claims = (0..6).map(|_| claim(&world, id, ClaimScope::Batch, LeaseToken(Uuid::new_v4())));
    let claims = futures_util::future::join_all(claims).await;
    assert_eq!(claims.iter().map(|claims| claims.executions.len()).sum::<usize>(), 1, "I3");
}

#[tokio::test]
async fn crashes_are_counted_until_the_execution_is_given_up_i9() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    for crash in 1..=CRASHES_MAX {
        let scope = if crash == 1 { ClaimScope::Batch } else { ClaimScope::Alone };
        let claims = claim(&world, id, scope, LeaseToken(Uuid::new_v4())).await;
        assert_eq!(claims.executions.len(), 1, "claim {crash}");
        assert_eq!(claims.executions[0].key_attempt, 1, "I5: a crash keeps the attempt's key");
        expire_leases(&world).await;
        let batch = claim(&world, id, ClaimScope::Batch, LeaseToken(Uuid::new_v4())).await;
        let expected = if crash < CRASHES_MAX { Refusal::Quarantined } else { Refusal::Unstartable };
        assert_eq!(refusals(&batch), [expected], "a batch leaves the execution out after crash {crash}");
    }
    // The handler ends the execution and frees its slot for the next item.
    world.start(&workflow, "start", json!({})).await;
    execute(&world.executor("127.0.0.1:9"), &[Message::Execution { execution_id: id }]).await;
    assert_eq!(world.executions().await, [failed("work", ResultReason::Crashed)], "I9");
    let sent = world.queues.take();
    assert_eq!(sent.iter().map(|sent| &sent.message).collect::<Vec<_>>(), [&node(&workflow, "work")], "I4");
}

#[tokio::test]
async fn a_quarantined_execution_runs_after_its_batch_and_a_recorded_outcome_clears_it_i9() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let more = json!({ "concurrency": "unlimited", "retry": { "max_attempts": 2, "initial_interval": 60 } });
    let workflow = one_node(&world, &format!("{}/status/500", target.url()), more).await;
    let (quarantined, good) = (pending(&world, &workflow).await, pending(&world, &workflow).await);
    claim(&world, quarantined, ClaimScope::Batch, LeaseToken(Uuid::new_v4())).await;
    expire_leases(&world).await;
    let messages = [quarantined, good].map(|execution_id| Message::Execution { execution_id });
    execute(&world.executor(&target.host_port()), &messages).await;
    let keys: Vec<_> = target
        .requests()
        .iter()
        .map(|request| request.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys, [good.to_string(), quarantined.to_string()], "the quarantined execution comes last");
    let sql = "SELECT DISTINCT state, crashes, attempt, key_attempt FROM workflow_node_executions";
    assert_eq!(world.database.sql(sql).await, "pending|0|2|2", "a received outcome is no crash");
}

#[tokio::test]
async fn a_retry_gets_the_next_key_only_after_an_answer_i5() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let more = json!({ "concurrency": "unlimited", "retry": { "max_attempts": 3, "initial_interval": 60 } });
    let answered = one_node(&world, &format!("{}/status/500", target.url()), more.clone()).await;
    // No server listens at this port.
    let silent = one_node(&world, "http://127.0.0.1:9/", more).await;
    let (one, other) = (pending(&world, &answered).await, pending(&world, &silent).await);
    let messages = [one, other].map(|execution_id| Message::Execution { execution_id });
    let executor = world.executor(&format!("{},127.0.0.1:9", target.host_port()));
    execute(&executor, &messages).await;
    let sql = |id: ExecutionId| {
        format!("SELECT state, attempt, key_attempt FROM workflow_node_executions WHERE id = '{id}'")
    };
    assert_eq!(
        world.database.sql(&sql(one)).await,
        "pending|2|2",
        "I5: an answer needs a new key: a target that replays its 500 would never pass"
    );
    assert_eq!(
        world.database.sql(&sql(other)).await,
        "pending|2|1",
        "I5: without an answer the key stays: the request may have had an effect"
    );
    // Early messages are delayed again, by the time that is left.
    let _ = world.queues.take();
    execute(&executor, &messages).await;
    let delays: Vec<_> = world.queues.take().iter().map(|sent| sent.delay_seconds).collect();
    assert!(delays.len() == 2 && delays.iter().all(|delay| (50..=60).contains(delay)), "{delays:?}");
    // Once it is due, the second attempt carries the second key.
    world.database.sql("UPDATE workflow_node_executions SET run_at = now()").await;
    execute(&executor, &messages[..1]).await;
    let requests = target.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys, [one.to_string(), format!("{one}-2")], "I5");
}

#[tokio::test]
async fn attempts_end_with_the_policy_and_the_failure_is_emitted_once() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let more = json!({ "retry": { "max_attempts": 2, "initial_interval": 1 } });
    let nodes = json!([start(), http("work", &format!("{}/status/503", target.url()), more), { "id": "after", "name": "after", "component": "noop" }]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "failure", "to": "after" }]);
    let workflow = world.workflow(nodes, edges).await;
    let id = pending(&world, &workflow).await;
    let executor = world.executor(&target.host_port());
    for _ in 0..2 {
        execute(&executor, &[Message::Execution { execution_id: id }]).await;
        world
            .database
            .sql("UPDATE workflow_node_executions SET run_at = now() WHERE run_at IS NOT NULL")
            .await;
    }
    world.run_to_end(&world.builder(), &executor).await;
    let expected = [failed("work", ResultReason::ComponentError), passed("after")];
    assert_eq!(world.executions().await, expected);
    let sql = "SELECT jsonb_array_length(metadata -> 'attempts') FROM workflow_node_executions WHERE node_id = 'work'";
    assert_eq!(world.database.sql(sql).await, "2", "each attempt leaves its record");
    assert_eq!(target.requests().len(), 2);
}

#[tokio::test]
async fn a_cancelled_run_starts_nothing_any_more() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = one_node(&world, &target.url(), json!({})).await;
    // The second run's item still waits for the builder. The first run's execution is pending and
    // slipped past the cancel.
    let (first, second) =
        (world.start(&workflow, "start", json!({})).await, world.start(&workflow, "start", json!({})).await);
    build(&world.builder(), &[event(first)]).await;
    world.cancel(second).await;
    let sql =
        format!("UPDATE workflow_runs SET stop = 'cancelled', stopped_by = 'test' WHERE id = '{first}'");
    world.database.sql(&sql).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    world.run_to_end(&builder, &executor).await;
    assert_eq!(
        world.executions().await,
        [cancelled("work", ResultReason::Cancelled), cancelled("work", ResultReason::Cancelled)]
    );
    assert!(target.requests().is_empty(), "no component starts");
    assert_eq!(world.items().await, 0, "items of a cancelled run end");
}

#[tokio::test]
async fn a_cancel_ends_what_is_pending_and_frees_its_slot() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.cancel(run_id).await;
    assert_eq!(world.executions().await, [cancelled("work", ResultReason::Cancelled)]);
    assert_eq!(world.database.sql("SELECT cancelled_by FROM workflow_node_executions").await, "token:test");
}

#[tokio::test]
async fn outputs_of_a_cancelled_run_are_recorded_and_route_nothing() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([start(), http("work", &format!("{}/delay/400", target.url()), json!({})), { "id": "after", "name": "after", "component": "noop" }]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "after" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let (sent, executor) = (world.queues.take(), world.executor(&target.host_port()));
    let messages = tests::world::messages(&sent);
    tokio::join!(execute(&executor, &messages), async {
        target.await_requests(1, tests::WAIT_MAX).await.unwrap();
        world.cancel(run_id).await;
        assert_eq!(
            world.executions().await,
            [open("work", ExecutionState::Cancelling)],
            "the running execution is marked"
        );
    });
    assert_eq!(world.executions().await, [cancelled("work", ResultReason::Cancelled)]);
    let outputs = "SELECT channel, targets FROM workflow_events WHERE execution_id IS NOT NULL";
    assert_eq!(
        world.database.sql(outputs).await,
        "success|{}",
        "the output is recorded and routed to no node"
    );
    assert_eq!((world.items().await, world.queues.take()), (0, vec![]));
}

#[tokio::test]
async fn items_of_a_removed_node_end_and_a_re_added_id_does_not_revive_them() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let first = world.start(&workflow, "start", json!({})).await;
    let waiting = world.start(&workflow, "start", json!({})).await;
    let removed = world.apply_again(&workflow, json!([start()]), json!([])).await;
    build(&world.builder(), &[node(&workflow, "work")]).await;
    let ended = cancelled("work", ResultReason::NodeRemoved);
    assert_eq!(world.executions().await, [ended.clone(), ended], "both items end, whatever the limit");
    // `late` has an item of the removed node's generation. A transaction that did not know of the
    // removal committed it after the id was back.
    let nodes = json!([start(), http("work", "https://target.test", json!({}))]);
    let back = world.apply_again(&removed, nodes, json!([{ "from": "start", "to": "work" }])).await;
    let late = world.start(&back, "start", json!({})).await;
    world.database.sql("UPDATE workflow_node_queue_items SET node_generation = 1").await;
    let fresh = world.start(&back, "start", json!({})).await;
    let builder = world.builder();
    build(&builder, &[event(late), event(fresh)]).await;
    let sent = world.queues.take();
    build(&builder, &tests::world::messages(&sent)).await;
    let sql = |run: EventId| {
        format!("SELECT state, result_reason FROM workflow_node_executions WHERE root_event_id = '{run}'")
    };
    assert_eq!(
        world.database.sql(&sql(late)).await,
        "finished|node_removed",
        "an item of an earlier generation does not revive"
    );
    assert_eq!(world.database.sql(&sql(fresh)).await, "pending|");
    let _ = (first, waiting);
}

#[tokio::test]
async fn an_execution_of_a_removed_node_is_ended_before_its_start_and_a_running_one_routes_nothing() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let work =
        |path: &str| http("work", &format!("{}{path}", target.url()), json!({ "concurrency": "unlimited" }));
    let after = json!({ "id": "after", "name": "after", "component": "noop" });
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "after" }]);
    let workflow = world.workflow(json!([start(), work("/delay/400"), after]), edges).await;
    let (running, late) = (pending(&world, &workflow).await, pending(&world, &workflow).await);
    let executor = world.executor(&target.host_port());
    let running = [Message::Execution { execution_id: running }];
    tokio::join!(execute(&executor, &running), async {
        target.await_requests(1, tests::WAIT_MAX).await.unwrap();
        world.apply_again(&workflow, json!([start(), after]), json!([])).await;
    });
    execute(&executor, &[Message::Execution { execution_id: late }]).await;
    assert_eq!(world.executions().await, [passed("work"), cancelled("work", ResultReason::NodeRemoved)]);
    assert_eq!((target.requests().len(), world.items().await), (1, 0));
}

#[tokio::test]
async fn an_output_is_routed_with_the_edges_of_the_transaction_that_finishes() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let work = http("work", &format!("{}/delay/400", target.url()), json!({}));
    let noop = |id: &str| json!({ "id": id, "name": id, "component": "noop" });
    let nodes = json!([start(), work, noop("old"), noop("new")]);
    let edges = |to: &str| json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": to }]);
    let workflow = world.workflow(nodes.clone(), edges("old")).await;
    let id = pending(&world, &workflow).await;
    let executor = world.executor(&target.host_port());
    let messages = [Message::Execution { execution_id: id }];
    tokio::join!(execute(&executor, &messages), async {
        target.await_requests(1, tests::WAIT_MAX).await.unwrap();
        world.apply_again(&workflow, nodes.clone(), edges("new")).await;
    });
    let sql = "SELECT node_id FROM workflow_node_queue_items";
    assert_eq!(world.database.sql(sql).await, "new", "the output is planned again after the apply");
}

#[tokio::test]
async fn a_claim_whose_commit_was_not_answered_still_runs_i8() {
    let world = World::create().await;
    let (target, wire) =
        (Target::start().await.unwrap(), tests::PostgresWire::to(world.database.host_port()).await);
    let workflow = one_node(&world, &target.url(), json!({})).await;
    let id = pending(&world, &workflow).await;
    let executor = world.executor_at(
        wire.url(&world.database.url("executor")),
        &target.host_port(),
        "http://127.0.0.1:9",
    );
    wire.lose_next_commit();
    execute(&executor, &[Message::Execution { execution_id: id }]).await;
    assert_eq!(
        world.executions().await,
        [passed("work")],
        "the claim was committed, and the executor knows its token"
    );
    assert_eq!(target.requests().len(), 1);
}

#[tokio::test]
async fn an_outcome_whose_commit_was_not_answered_is_recorded_once_and_sent_i3() {
    let world = World::create().await;
    let (target, wire) =
        (Target::start().await.unwrap(), tests::PostgresWire::to(world.database.host_port()).await);
    let nodes = json!([start(), http("work", &format!("{}/delay/300", target.url()), json!({})), { "id": "after", "name": "after", "component": "noop" }]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "after" }]);
    let workflow = world.workflow(nodes, edges).await;
    let id = pending(&world, &workflow).await;
    let executor = world.executor_at(
        wire.url(&world.database.url("executor")),
        &target.host_port(),
        "http://127.0.0.1:9",
    );
    let messages = [Message::Execution { execution_id: id }];
    tokio::join!(execute(&executor, &messages), async {
        target.await_requests(1, tests::WAIT_MAX).await.unwrap();
        wire.lose_next_commit();
    });
    assert_eq!(world.executions().await, [passed("work")]);
    let outputs = "SELECT count(*) FROM workflow_events WHERE execution_id IS NOT NULL";
    assert_eq!((world.database.count(outputs).await, world.items().await), (1, 1), "I3");
    let sent = world.queues.take();
    assert!(
        matches!(sent.as_slice(), [one] if matches!(one.message, Message::Event { .. })),
        "the rerun finds its own rows and sends the wake: {sent:?}"
    );
}

#[tokio::test]
async fn a_poison_output_fails_alone() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let url = format!("{}/{{{{ previous().data.path }}}}", target.url());
    let workflow = one_node(&world, &url, json!({ "concurrency": "unlimited" })).await;
    let mut messages = Vec::new();
    for at in 0..10 {
        let path = if at == 5 { "poison" } else { "good" };
        let run = world.start(&workflow, "start", json!({ "path": path })).await;
        messages.push(event(run));
    }
    build(&world.builder(), &messages).await;
    // The target echoes the path, so its answer holds the poison.
    world.refuse("workflow_events", "data::text LIKE '%poison%'").await;
    let sent = world.queues.take();
    execute(&world.executor(&target.host_port()), &tests::world::messages(&sent)).await;
    let sql = "SELECT result, result_reason, count(*) FROM workflow_node_executions GROUP BY 1, 2 ORDER BY 1";
    assert_eq!(world.database.sql(sql).await, "failed|limit|1\npassed||9", "I9");
    wait_for("no lease is left", || async {
        (world
            .database
            .count("SELECT count(*) FROM workflow_node_executions WHERE lease_token IS NOT NULL")
            .await
            == 0)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn claims_of_a_deleted_organization_start_nothing() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    world.database.sql("UPDATE organizations SET deleted_at = now()").await;
    let claims = claim(&world, id, ClaimScope::Batch, LeaseToken(Uuid::new_v4())).await;
    assert_eq!((claims.executions.len(), refusals(&claims)), (0, vec![Refusal::Unstartable]));
}

#[tokio::test]
async fn without_time_left_nothing_is_claimed_and_the_message_comes_again() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({})).await;
    let id = pending(&world, &workflow).await;
    let message = [Message::Execution { execution_id: id }];
    let deadline = process::Deadline::after(std::time::Duration::from_secs(1));
    let response =
        executor::handle(tests::world::batch(&message, 1), deadline, &world.executor("127.0.0.1:9")).await;
    assert_eq!(response.failures().count(), 1);
    assert_eq!(world.executions().await, [open("work", ExecutionState::Pending)]);
}

#[tokio::test]
async fn what_another_transaction_holds_is_left_out_and_looked_at_again_a_second_later_i9() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = one_node(&world, &target.url(), json!({ "concurrency": "unlimited" })).await;
    let (held, free) = (pending(&world, &workflow).await, pending(&world, &workflow).await);
    let messages = [held, free].map(|execution_id| Message::Execution { execution_id });
    let holder = world.database.connect_admin().await;
    let lock = format!("BEGIN; SELECT FROM workflow_node_executions WHERE id = '{held}' FOR NO KEY UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    let executor = world.executor(&target.host_port());
    // A claim that waited for the lock would end by lock_timeout, and the batch would be delivered
    // again.
    execute(&executor, &messages).await;
    let sql = "SELECT state, result, crashes FROM workflow_node_executions ORDER BY id";
    assert_eq!(
        world.database.sql(sql).await,
        "pending||0\nfinished|passed|0",
        "I9: the locked execution has not failed and counts no crash"
    );
    let late: Vec<_> = world.queues.take().into_iter().filter(|sent| sent.message == messages[0]).collect();
    assert!(
        late.len() == 1 && late[0].delay_seconds == 1,
        "a fresh wake, and the message is acked: {late:?}"
    );
    let again = claim(&world, held, ClaimScope::Alone, LeaseToken(Uuid::new_v4())).await;
    assert_eq!(refusals(&again), [Refusal::Busy], "a claim alone is refused too");
    holder.batch_execute("COMMIT").await.unwrap();
    execute(&executor, &messages[..1]).await;
    assert_eq!(world.database.sql(sql).await, "finished|passed|0\nfinished|passed|0");
}

#[tokio::test]
async fn a_node_that_another_holds_makes_nothing_wait_but_what_is_to_end_there_i9() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let busy = one_node(&world, "https://target.test", json!({})).await;
    let unstartable = pending(&world, &busy).await;
    let free = one_node(&world, &target.url(), json!({ "concurrency": "unlimited" })).await;
    let startable = pending(&world, &free).await;
    let mark = "INSERT INTO workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
        SELECT root_event_id, workflow_id, 'cancelled', 'test', now() FROM workflow_node_executions WHERE id = ";
    world.database.sql(&format!("{mark} '{unstartable}'")).await;
    let holder = world.database.connect_admin().await;
    let lock =
        format!("BEGIN; SELECT FROM workflow_nodes WHERE workflow_id = '{}' FOR NO KEY UPDATE", busy.id);
    holder.batch_execute(&lock).await.unwrap();
    let messages = [unstartable, startable].map(|execution_id| Message::Execution { execution_id });
    let executor = world.executor(&target.host_port());
    execute(&executor, &messages).await;
    assert_eq!(world.executions().await, [open("work", ExecutionState::Pending), passed("work")]);
    let sent = world.queues.take();
    let late: Vec<_> = sent.iter().filter(|sent| sent.message == messages[0]).collect();
    assert!(late.len() == 1 && late[0].delay_seconds == 1, "{sent:?}");
    holder.batch_execute("COMMIT").await.unwrap();
    execute(&executor, &messages[..1]).await;
    assert_eq!(world.executions().await, [cancelled("work", ResultReason::Cancelled), passed("work")]);
}
