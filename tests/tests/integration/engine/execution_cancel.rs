//! Cancelling one execution: it ends, and the rest of its run goes on.

use domain::actor::Actor;
use domain::execution::{ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, LeaseToken};
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use store::api::{ExecutionCancel, cancel_execution};
use store::executor::{ClaimScope, claim_executions};
use store::{FreedSlot, StoreError};
use tests::rows::{cancelled, open, passed};
use tests::world::{build, event, execute, messages, node};
use tests::{WAIT_MAX, Workflow, World};
use uuid::Uuid;

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

fn http(id: &str, url: &str) -> Value {
    json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url } })
}

async fn one_node(world: &World, url: &str) -> Workflow {
    world.workflow(json!([start(), http("work", url)]), json!([{ "from": "start", "to": "work" }])).await
}

/// A run whose execution of `node_id` is pending, with that execution's id.
async fn pending(world: &World, workflow: &Workflow, node_id: &str) -> (EventId, ExecutionId) {
    let run_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = format!(
        "SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}' AND node_id = '{node_id}'"
    );
    (run_id, world.database.sql(&sql).await.parse().unwrap())
}

async fn cancel(world: &World, execution_id: ExecutionId) -> Result<Option<FreedSlot>, StoreError> {
    let cancel = ExecutionCancel {
        organization_id: world.organization_id,
        execution_id,
        cancelled_by: Actor::token_named("test"),
        now: world.now(),
    };
    cancel_execution(world.audited(), &cancel).await.map(|cancelled| cancelled.freed)
}

#[tokio::test]
async fn a_pending_execution_ends_at_once_and_its_slot_wakes_the_next_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test").await;
    let (run_id, first) = pending(&world, &workflow, "work").await;
    let second = world.start(&workflow, "start", json!({})).await;
    let _ = world.queues.take();
    let freed = cancel(&world, first).await.unwrap();
    let expected = FreedSlot {
        node: (workflow.id, "work".into()),
        organization_id: world.organization_id,
        event_id: None,
    };
    assert_eq!(freed, Some(expected), "I4: the caller wakes the node");
    let sql = "SELECT state, result, result_reason, cancelled_by, finished_at IS NOT NULL FROM workflow_node_executions";
    assert_eq!(world.database.sql(sql).await, "finished|cancelled|cancelled|token:test|t");
    assert_eq!((world.run_state(run_id).await, world.run_state(second).await), ("cancelled", "running"));
    build(&world.builder(), &[node(&workflow, "work")]).await;
    assert_eq!(
        world.executions().await,
        [cancelled("work", ResultReason::Cancelled), open("work", ExecutionState::Pending)]
    );
    // Its message comes late: nothing starts.
    execute(&world.executor("127.0.0.1:9"), &[Message::Execution { execution_id: first }]).await;
    assert_eq!(
        world.executions().await,
        [cancelled("work", ResultReason::Cancelled), open("work", ExecutionState::Pending)]
    );
}

#[tokio::test]
async fn a_running_execution_is_marked_and_its_output_is_recorded_and_routed_nowhere() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([
        start(),
        http("work", &format!("{}/delay/400", target.url())),
        http("beside", &format!("{}/beside", target.url())),
        { "id": "after", "name": "after", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "work" }, { "from": "start", "to": "beside" },
        { "from": "work", "channel": "success", "to": "after" }, { "from": "beside", "channel": "success", "to": "after" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let (run_id, work) = pending(&world, &workflow, "work").await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    let claimed = [Message::Execution { execution_id: work }];
    tokio::join!(execute(&executor, &claimed), async {
        target.await_requests(1, WAIT_MAX).await.unwrap();
        assert_eq!(cancel(&world, work).await.unwrap(), None, "no slot is free while it runs");
        let sql = format!("SELECT state, cancelled_by FROM workflow_node_executions WHERE id = '{work}'");
        assert_eq!(world.database.sql(&sql).await, "cancelling|token:test");
        assert_eq!(cancel(&world, work).await.unwrap(), None, "once more says the same");
    });
    world.run_to_end(&builder, &executor).await;
    let mut executions = world.executions().await;
    executions.sort_unstable_by(|one, other| one.node_id.cmp(&other.node_id));
    assert_eq!(
        executions,
        [passed("after"), passed("beside"), cancelled("work", ResultReason::Cancelled)],
        "the rest of the run goes on"
    );
    let sql = format!("SELECT channel, targets FROM workflow_events WHERE execution_id = '{work}'");
    assert_eq!(world.database.sql(&sql).await, "success|{}", "recorded, and routed to nobody");
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

#[tokio::test]
async fn a_cancelling_execution_whose_lease_lapses_ends_cancelled_and_frees_its_slot() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test").await;
    let (_, id) = pending(&world, &workflow, "work").await;
    let (store, now) = (world.database.store("executor"), world.now());
    let claimed = store.run_tx("claim", |tx| async move {
        claim_executions(
            &tx,
            &[id],
            tests::world::terms(ClaimScope::Batch, LeaseToken(Uuid::new_v4()), 60),
            now,
        )
        .await
    });
    assert_eq!(claimed.await.unwrap().executions.len(), 1);
    world.start(&workflow, "start", json!({})).await;
    cancel(&world, id).await.unwrap();
    let _ = world.queues.take();
    world.database.sql("UPDATE workflow_node_executions SET lease_until = now() - interval '1 second'").await;
    execute(&world.executor("127.0.0.1:9"), &[Message::Execution { execution_id: id }]).await;
    let sql =
        "SELECT state, result, result_reason, result_message, cancelled_by FROM workflow_node_executions";
    assert_eq!(
        world.database.sql(sql).await,
        "finished|cancelled|cancelled|the execution was cancelled|token:test"
    );
    assert_eq!(messages(&world.queues.take()), [node(&workflow, "work")], "I4");
}

#[tokio::test]
async fn what_has_ended_or_is_anothers_is_not_cancelled_i6() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test").await;
    let (_, id) = pending(&world, &workflow, "work").await;
    let foreign = ExecutionCancel {
        organization_id: domain::ids::OrganizationId(Uuid::new_v4()),
        execution_id: id,
        cancelled_by: Actor::token_named("other"),
        now: world.now(),
    };
    let refused = cancel_execution(world.audited(), &foreign).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "I6: {refused:?}");
    assert!(matches!(cancel(&world, ExecutionId(Uuid::new_v4())).await, Err(StoreError::NotFound)));
    assert_eq!(world.executions().await, [open("work", ExecutionState::Pending)], "I6");
    cancel(&world, id).await.unwrap();
    let again = cancel(&world, id).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn a_cancel_locks_the_node_before_the_execution() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test").await;
    let (_, id) = pending(&world, &workflow, "work").await;
    let holder = world.database.connect_admin().await;
    let lock = "BEGIN; SELECT FROM workflow_nodes WHERE node_id = 'work' FOR NO KEY UPDATE";
    holder.batch_execute(lock).await.unwrap();
    let (ended, ()) = tokio::join!(cancel(&world, id), async {
        world.database.wait_for_blocked(1).await;
        let free = "SELECT count(*) FROM (SELECT FROM workflow_node_executions FOR UPDATE SKIP LOCKED) free";
        assert_eq!(world.database.count(free).await, 1, "whoever holds the node may go on to its executions");
        holder.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(ended.unwrap(), None);
    assert_eq!(world.executions().await, [cancelled("work", ResultReason::Cancelled)]);
}
