//! One organization's locks and the outcomes of others: an outcome of free rows is recorded at
//! once, an outcome of locked rows once their lock ends.

use domain::ids::WorkflowId;
use local::target::Target;
use serde_json::{Value, json};
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World, wait_for};

/// The workflow `start` → `work`: an http node that calls `url`, with or without a limit.
async fn one_node(world: &World, url: &str, concurrency: Value) -> Workflow {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "concurrency": concurrency, "configuration": { "url": url } },
    ]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

/// The number of executions of a workflow in a state.
async fn in_state(world: &World, workflow: &Workflow, state: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM workflow_node_executions WHERE workflow_id = '{}' AND state = '{state}'",
        workflow.id
    );
    world.database.count(&sql).await
}

/// Whether a workflow's execution is finished, and whether the executor waits for a lock for more
/// than a second. That is many times [`store::executor::FINISH_WAIT_MILLIS`], the longest wait that
/// it allows itself.
async fn looked_at(world: &World, workflow: &Workflow) -> (bool, bool) {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM workflow_node_executions WHERE workflow_id = '{}' AND state = 'finished'),
             EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename = 'sealflow_executor'
                 AND wait_event_type = 'Lock' AND now() - query_start > interval '1 second')",
        workflow.id
    );
    let found = world.database.sql(&sql).await;
    (found.starts_with('t'), found.ends_with('t'))
}

/// Runs two workflows in one batch of the executor. `lock` locks rows of the first workflow while
/// the outcome of the second one is to be recorded.
async fn hold(concurrency: Value, lock: &str) {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let held = one_node(&world, &format!("{}{SLOW}", target.url()), concurrency).await;
    let free = one_node(&world, &format!("{}{SLOW}", target.url()), json!(1)).await;
    for workflow in [&held, &free] {
        let event_id = world.start(workflow, "start", json!({})).await;
        build(&world.builder(), &[event(event_id)]).await;
    }
    let batch = messages(&world.queues.take());
    assert_eq!(batch.len(), 2);
    let holder = world.database.connect_admin().await;
    let executor = world.executor(&target.host_port());
    tokio::join!(execute(&executor, &batch), async {
        wait_for("both are claimed", async || {
            (in_state(&world, &held, "started").await == 1 && in_state(&world, &free, "started").await == 1)
                .then_some(())
        })
        .await;
        holder.batch_execute(&format!("BEGIN; {}", lock.replace("ID", &held.id.to_string()))).await.unwrap();
        wait_for("the free one is recorded", async || {
            let (is_recorded, is_waiting) = looked_at(&world, &free).await;
            assert!(
                is_recorded || !is_waiting,
                "I5: the executor waits for a lock before it has recorded the free outcome"
            );
            is_recorded.then_some(())
        })
        .await;
        assert_eq!(in_state(&world, &held, "started").await, 1, "I5: the locked outcome is not recorded yet");
        holder.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(
        in_state(&world, &held, "finished").await,
        1,
        "I5: the locked outcome is recorded, and its call not repeated"
    );
    assert_eq!(target.requests().len(), 2, "I5: each workflow called the target once");
}

#[tokio::test]
async fn a_run_that_somebody_holds_keeps_no_other_item_of_its_batch_waiting_i9() {
    let world = World::create().await;
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }, { "id": "end", "name": "end", "component": "noop" }]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "end" }])).await;
    let (held, free) =
        (world.start(&workflow, "start", json!({})).await, world.start(&workflow, "start", json!({})).await);
    drop(world.queues.take());
    let holder = world.database.connect_admin().await;
    let lock = format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{held}' FOR UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    build(&world.builder(), &[event(held), event(free)]).await;
    assert_eq!(world.run_state(free).await, "passed");
    assert_eq!(world.run_state(held).await, "running");
    holder.batch_execute("COMMIT").await.unwrap();
    let again = messages(&world.queues.take());
    assert!(!again.is_empty(), "I8: the locked run is woken again");
    build(&world.builder(), &again).await;
    assert_eq!(world.run_state(held).await, "passed");
    let crashes = "SELECT count(*) FROM workflow_node_queue_items WHERE crashes > 0";
    assert_eq!(world.database.count(crashes).await, 0, "contention is no crash");
}

#[tokio::test]
async fn marks_and_sends_that_are_taken_back_wait_for_nobody_s_lock() {
    let world = World::create().await;
    let (held, free) = (
        one_node(&world, "http://127.0.0.1:1/", json!(1)).await,
        one_node(&world, "http://127.0.0.1:1/", json!(1)).await,
    );
    let run_id = world.start(&held, "start", json!({})).await;
    world.database.sql("UPDATE workflow_nodes SET items_full = true; UPDATE workflow_node_queue_items SET sent_count = 2").await;
    let holder = world.database.connect_admin().await;
    let lock = format!(
        "BEGIN; SELECT FROM workflow_nodes WHERE workflow_id = '{}' FOR NO KEY UPDATE; SELECT FROM workflow_node_queue_items FOR UPDATE",
        held.id
    );
    holder.batch_execute(&lock).await.unwrap();
    let store = world.database.store("sweeper");
    store::sweeper::mark_full_nodes(&store, &(WorkflowId::from_u128(0), String::new()), 100).await.unwrap();
    let marked = "SELECT DISTINCT workflow_id FROM workflow_nodes WHERE items_full";
    assert_eq!(
        world.database.sql(marked).await,
        held.id.to_string(),
        "only the locked node keeps its old mark"
    );
    let items = world.database.sql("SELECT id FROM workflow_node_queue_items").await.parse().unwrap();
    store::sweeper::take_back_sends(&store, &[items], &[]).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    store::sweeper::mark_full_nodes(&store, &(WorkflowId::from_u128(0), String::new()), 100).await.unwrap();
    assert_eq!(world.database.sql(marked).await, "");
    let _ = (free, run_id);
}

/// The path of a slow answer: it leaves time for a lock between the claim and the answer.
const SLOW: &str = "/delay/2000";

#[tokio::test]
async fn a_locked_node_holds_nobody_elses_outcome_i5() {
    let lock = "SELECT FROM workflow_nodes WHERE workflow_id = 'ID' AND node_id = 'work' FOR NO KEY UPDATE";
    hold(json!(1), lock).await;
}

#[tokio::test]
async fn a_locked_execution_holds_nobody_elses_outcome_i5() {
    let lock = "SELECT FROM workflow_node_executions WHERE workflow_id = 'ID' FOR NO KEY UPDATE";
    hold(json!("unlimited"), lock).await;
}
