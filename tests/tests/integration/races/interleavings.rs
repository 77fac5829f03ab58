//! Interleavings of transactions, step by step on real Postgres. The tests come in pairs: the naive
//! form shows an anomaly, and our form does not.

use domain::execution::ExecutionResult;
use domain::ids::{ExecutionId, LeaseToken};
use domain::message::Message;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::builder::{
    ClaimedItem, NewExecution, NewItem, Wakes, WriteBatch, claim_items, lock_woken_nodes, write_batch,
};
use store::executor::{ClaimScope, FinishKind, FinishRow, claim_executions, finish_executions};
use store::{FreedSlot, JsonText, LockMode, Store, StoreError};
use tests::world::{build, event, node};
use tests::{Gate, Workflow, World, wait_for};
use tokio_postgres::Client;
use uuid::Uuid;

fn http(id: &str, concurrency: Value) -> Value {
    let configuration = json!({ "url": "https://target.test/a" });
    json!({ "id": id, "name": id, "component": "http", "configuration": configuration, "concurrency": concurrency })
}

/// A trigger `start` with an edge to one http node `work`.
async fn one_node(world: &World, concurrency: Value) -> Workflow {
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }, http("work", concurrency)]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

fn executions_of(items: &[ClaimedItem], workflow: &Workflow) -> Vec<NewExecution> {
    let execution = |item: &ClaimedItem| NewExecution {
        id: ExecutionId(Uuid::new_v4()),
        node: item.node.clone(),
        run_id: item.run_id,
        root_event_id: item.root_event_id,
        event_id: item.event_id,
        previous_execution_id: None,
        state: domain::execution::ExecutionState::Pending,
        result: None,
        result_reason: None,
        result_message: None,
        component: "http".into(),
        configuration: JsonText::of(&json!({})),
        residuals: JsonText::of(&json!([])),
        policy: JsonText::of(&json!({})),
        concurrency_key: None,
        metadata: JsonText::of(&json!({})),
        held: None,
        workflow_version: workflow.version,
    };
    items.iter().map(execution).collect()
}

/// The builder's statements, with a gate before the commit.
async fn build_at_gate(
    store: &Store,
    workflow: &Workflow,
    wakes: &Wakes,
    mode: LockMode,
    gate: &Gate,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let work = |tx| async move {
        let nodes = lock_woken_nodes(&tx, wakes, mode).await?;
        let keys = nodes.limit_keys(Vec::new());
        let claims = claim_items(&tx, &nodes, &keys, wakes, 50, &[]).await?;
        let executions = executions_of(&claims.items, workflow);
        write_batch(&tx, &WriteBatch { executions, ..WriteBatch::default() }, now).await?;
        gate.pass().await;
        Ok(claims.items.len())
    };
    store.run_tx("build_at_gate", work).await
}

fn wakes_of(workflow: &Workflow, node_id: &str) -> Wakes {
    Wakes { event_ids: Vec::new(), nodes: vec![(workflow.id, node_id.to_owned())] }
}

async fn active(world: &World) -> i64 {
    world.database.count("SELECT count(*) FROM workflow_node_executions WHERE state <> 'finished'").await
}

// Rule 2: a statement after the lock reads the rows that a decision needs.

/// One statement that waits for the lock, reads the items, and makes executions of those that it
/// took.
const NAIVE_CLAIM: &str = "
    WITH node AS (
        SELECT workflow_id, node_id, concurrency_max FROM workflow_nodes WHERE workflow_id = 'WORKFLOW' AND node_id = 'work' FOR NO KEY UPDATE),
    free AS (
        SELECT concurrency_max - (
            SELECT count(*) FROM workflow_node_executions e WHERE e.workflow_id = node.workflow_id AND e.state <> 'finished') AS slots
        FROM node),
    taken AS (
        DELETE FROM workflow_node_queue_items WHERE id IN (
            SELECT id FROM workflow_node_queue_items WHERE workflow_id = 'WORKFLOW' AND node_id = 'work'
            ORDER BY created_at, id LIMIT (SELECT greatest(0, slots) FROM free) FOR UPDATE SKIP LOCKED)
        RETURNING *)
    INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
        workflow_version, node_version, last_sent_at, created_at, updated_at)
    SELECT gen_random_uuid(), workflow_id, node_id, root_event_id, event_id, 'pending', 'http', '{}', 1, 1, now(), now(), now()
    FROM taken";

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
}

#[tokio::test]
async fn naive_a_statement_that_waits_for_the_lock_and_reads_in_one_go_starts_two_at_limit_one_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    for _ in 0..2 {
        world.start(&workflow, "start", json!({})).await;
    }
    let claim = NAIVE_CLAIM.replace("WORKFLOW", &workflow.id.to_string());
    let (first, second) = (world.database.connect_admin().await, world.database.connect_admin().await);
    run(&first, "BEGIN").await;
    run(&first, &claim).await;
    let (sql, waiting) = (claim.clone(), async { world.database.wait_for_blocked(1).await });
    let blocked = tokio::spawn(async move { run(&second, &sql).await });
    waiting.await;
    run(&first, "COMMIT").await;
    blocked.await.unwrap();
    assert_eq!(active(&world).await, 2, "the anomaly: two active at limit 1");
}

#[tokio::test]
async fn a_builder_that_waited_for_the_lock_sees_the_slot_taken_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    for _ in 0..2 {
        world.start(&workflow, "start", json!({})).await;
    }
    let (first, second) = (world.database.store("builder"), world.database.store("builder"));
    let (wakes, gate, open, now) = (wakes_of(&workflow, "work"), Gate::closed(), Gate::open(), world.now());
    let (one, other, ()) = tokio::join!(
        build_at_gate(&first, &workflow, &wakes, LockMode::SkipLocked, &gate, now),
        async {
            gate.wait_for_arrival().await;
            build_at_gate(&second, &workflow, &wakes, LockMode::Wait, &open, now).await
        },
        async {
            world.database.wait_for_blocked(1).await;
            gate.let_through();
        },
    );
    assert_eq!(one.unwrap(), 1);
    match other {
        Ok(taken) => assert_eq!(taken, 0, "I4: the slot is taken"),
        // On a very busy machine the short wait for the lock may end first. Then no item is taken
        // either.
        Err(error) => assert!(error.is_lock_timeout(), "{error}"),
    }
    assert_eq!((active(&world).await, world.items().await), (1, 1), "I4");
}

#[tokio::test]
async fn a_builder_leaves_out_a_node_that_another_holds_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    for _ in 0..2 {
        world.start(&workflow, "start", json!({})).await;
    }
    let (first, second) = (world.database.store("builder"), world.database.store("builder"));
    let (wakes, gate, open, now) = (wakes_of(&workflow, "work"), Gate::closed(), Gate::open(), world.now());
    let (one, other) =
        tokio::join!(build_at_gate(&first, &workflow, &wakes, LockMode::SkipLocked, &gate, now), async {
            gate.wait_for_arrival().await;
            let taken = build_at_gate(&second, &workflow, &wakes, LockMode::SkipLocked, &open, now).await;
            gate.let_through();
            taken
        });
    assert_eq!((one.unwrap(), other.unwrap()), (1, 0), "I4");
    assert_eq!(active(&world).await, 1);
}

// Rule 3: node locks are FOR NO KEY UPDATE, in order.

async fn two_nodes(world: &World) -> Workflow {
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }, http("a", json!(1)), http("b", json!(1))]);
    let edges = json!([{ "from": "start", "to": "a" }, { "from": "start", "to": "b" }]);
    world.workflow(nodes, edges).await
}

fn strongest_lock(workflow: &Workflow, node_id: &str) -> String {
    format!(
        "SELECT FROM workflow_nodes WHERE workflow_id = '{}' AND node_id = '{node_id}' FOR UPDATE",
        workflow.id
    )
}

#[tokio::test]
async fn the_intake_waits_for_no_lock_of_a_node() {
    let world = World::create().await;
    let workflow = two_nodes(&world).await;
    let holder = world.database.connect_admin().await;
    run(&holder, "BEGIN").await;
    run(&holder, &strongest_lock(&workflow, "a")).await;
    let started = tokio::time::timeout(tests::WAIT_MAX, world.start(&workflow, "start", json!({}))).await;
    assert!(started.is_ok(), "no row of an event or item points at its node by a foreign key");
    run(&holder, "ROLLBACK").await;
}

#[tokio::test]
async fn a_builder_at_work_on_a_node_never_blocks_the_intake() {
    let world = World::create().await;
    let workflow = two_nodes(&world).await;
    world.start(&workflow, "start", json!({})).await;
    let (store, gate, wakes) = (world.database.store("builder"), Gate::closed(), wakes_of(&workflow, "a"));
    let (built, ()) = tokio::join!(
        build_at_gate(&store, &workflow, &wakes, LockMode::SkipLocked, &gate, world.now()),
        async {
            gate.wait_for_arrival().await;
            let start = world.start(&workflow, "start", json!({}));
            tokio::time::timeout(tests::WAIT_MAX, start).await.expect("the intake goes on");
            gate.let_through();
        }
    );
    assert_eq!(built.unwrap(), 1);
    assert_eq!(world.items().await, 3);
}

#[tokio::test]
async fn builders_that_route_to_each_others_nodes_both_commit() {
    let world = World::create().await;
    let workflow = two_nodes(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    world.database.sql("DELETE FROM workflow_node_queue_items").await;
    let (a, b, now) = (Gate::closed(), Gate::closed(), world.now());
    let hold_and_route = async |hold: &str, to: &str, gate: &Gate| {
        let store = world.database.store("builder");
        let item = NewItem {
            id: world.id(),
            node: (workflow.id, to.to_owned()),
            run_id: run_id.into(),
            root_event_id: run_id,
            event_id: run_id,
        };
        let (wakes, batch) =
            (wakes_of(&workflow, hold), WriteBatch { items: vec![item], ..WriteBatch::default() });
        let (wakes, batch) = (&wakes, &batch);
        let work = |tx| async move {
            let nodes = lock_woken_nodes(&tx, wakes, LockMode::SkipLocked).await?;
            gate.pass().await;
            write_batch(&tx, batch, now).await?;
            Ok(nodes.locked.len())
        };
        store.run_tx("hold_and_route", work).await
    };
    let (one, other, ()) = tokio::join!(hold_and_route("a", "b", &a), hold_and_route("b", "a", &b), async {
        a.wait_for_arrival().await;
        b.wait_for_arrival().await;
        a.let_through();
        b.let_through();
    });
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    assert_eq!(world.items().await, 2);
}

// Rule 7: claims come before plans.

#[tokio::test]
async fn naive_planning_first_and_deleting_after_makes_two_executions_of_one_item_i3() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    world.start(&workflow, "start", json!({})).await;
    let plan = "INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
            workflow_version, node_version, last_sent_at, created_at, updated_at)
        SELECT gen_random_uuid(), workflow_id, node_id, root_event_id, event_id, 'pending', 'http', '{}', 1, 1, now(), now(), now()
        FROM workflow_node_queue_items";
    let delete = "DELETE FROM workflow_node_queue_items";
    let constraint = "workflow_node_executions_event_id_workflow_id_node_id_key";
    // With the constraint that is I3's backstop, the second builder fails. Without it the anomaly
    // shows.
    for (has_backstop, executions) in [(true, 1), (false, 2)] {
        let (first, second) = (world.database.connect_admin().await, world.database.connect_admin().await);
        if !has_backstop {
            world
                .database
                .sql(&format!("ALTER TABLE workflow_node_executions DROP CONSTRAINT {constraint}"))
                .await;
            world.database.sql("DELETE FROM workflow_node_executions").await;
            world.start(&workflow, "start", json!({})).await;
        }
        run(&first, &format!("BEGIN; {plan}")).await;
        run(&second, "BEGIN").await;
        let planned = tokio::spawn(async move {
            let planned = second.batch_execute(plan).await;
            (second, planned)
        });
        if has_backstop {
            world.database.wait_for_blocked(1).await;
        } else {
            wait_for("the second plan", || async { planned.is_finished().then_some(()) }).await;
        }
        run(&first, &format!("{delete}; COMMIT")).await;
        let (second, planned) = planned.await.unwrap();
        assert_eq!(planned.is_err(), has_backstop);
        run(&second, if has_backstop { "ROLLBACK" } else { "DELETE FROM workflow_node_queue_items; COMMIT" })
            .await;
        assert_eq!(
            active(&world).await,
            executions,
            "the anomaly: two executions of one item, unless the backstop is there"
        );
    }
}

#[tokio::test]
async fn an_item_that_one_builder_claimed_is_no_other_builders_i3() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    world.start(&workflow, "start", json!({})).await;
    let (first, second) = (world.database.store("builder"), world.database.store("builder"));
    let (wakes, gate, open, now) = (wakes_of(&workflow, "work"), Gate::closed(), Gate::open(), world.now());
    let (one, other) =
        tokio::join!(build_at_gate(&first, &workflow, &wakes, LockMode::SkipLocked, &gate, now), async {
            gate.wait_for_arrival().await;
            let taken = build_at_gate(&second, &workflow, &wakes, LockMode::SkipLocked, &open, now).await;
            gate.let_through();
            taken
        });
    assert_eq!((one.unwrap(), other.unwrap()), (1, 0), "I3");
    assert_eq!((active(&world).await, world.items().await), (1, 0), "I3");
}

#[tokio::test]
async fn many_builders_woken_for_the_same_make_each_execution_once_i3() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let mut wakes = Vec::new();
    for _ in 0..20 {
        wakes.push(event(world.start(&workflow, "start", json!({})).await));
    }
    let builders: Vec<_> = (0..4).map(|_| world.builder()).collect();
    let wakes: &[Message] = &wakes;
    futures_util::future::join_all(builders.iter().map(|deps| async move {
        for some in wakes.chunks(5) {
            build(deps, some).await;
        }
    }))
    .await;
    assert_eq!((active(&world).await, world.items().await), (20, 0), "I3");
}

// Rule 9: a transaction that frees a slot locks the node first, and looks for waiting items in a
// later statement.

/// One active execution of `work`, claimed with the token.
async fn claimed_execution(world: &World, workflow: &Workflow, token: LeaseToken) -> ExecutionId {
    let event_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(event_id)]).await;
    let _ = world.queues.take();
    let id: ExecutionId =
        world.database.sql("SELECT id FROM workflow_node_executions").await.parse().unwrap();
    let (store, now) = (world.database.store("executor"), world.now());
    let claimed = store
        .run_tx("claim", |tx| async move {
            claim_executions(&tx, &[id], tests::world::terms(ClaimScope::Batch, token, 60), now).await
        })
        .await
        .unwrap();
    assert_eq!(claimed.executions.len(), 1);
    id
}

#[tokio::test]
async fn naive_a_finisher_without_the_nodes_lock_lets_an_item_sleep_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    claimed_execution(&world, &workflow, LeaseToken(Uuid::new_v4())).await;
    let finisher = world.database.connect_admin().await;
    run(
        &finisher,
        "BEGIN; UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now(), lease_token = NULL,
            lease_until = NULL",
    )
    .await;
    let waiting = finisher.query("SELECT FROM workflow_node_queue_items", &[]).await.unwrap();
    assert!(waiting.is_empty(), "the finisher sees no waiting item and will send no wake");
    // An item comes. The builder still sees the slot taken.
    let event_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(event_id)]).await;
    run(&finisher, "COMMIT").await;
    assert_eq!(
        (active(&world).await, world.items().await),
        (0, 1),
        "the anomaly: a slot is free and an item waits"
    );
    assert_eq!(world.queues.take(), [], "the anomaly: no wake is sent");
}

async fn finish_at_gate(
    store: &Store,
    execution_id: ExecutionId,
    token: LeaseToken,
    gate: &Gate,
    now: Timestamp,
) -> Result<Vec<FreedSlot>, StoreError> {
    let row = FinishRow {
        may_have_limit: true,
        execution_id,
        token,
        workflow_version: 1,
        kind: FinishKind::End { result: ExecutionResult::Passed, reason: None },
        message: None,
        attempt_record: None,
        facts: None,
        output: None,
    };
    let rows = &[row];
    let work = |tx| async move {
        let freed = finish_executions(&tx, rows, LockMode::Wait, now).await?.freed;
        gate.pass().await;
        Ok(freed)
    };
    store.run_tx("finish_at_gate", work).await
}

#[tokio::test]
async fn an_item_that_comes_while_a_slot_is_being_freed_does_not_sleep_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    let token = LeaseToken(Uuid::new_v4());
    let execution_id = claimed_execution(&world, &workflow, token).await;
    let (store, gate, builder) = (world.database.store("executor"), Gate::closed(), world.builder());
    let (freed, ()) = tokio::join!(finish_at_gate(&store, execution_id, token, &gate, world.now()), async {
        gate.wait_for_arrival().await;
        let event_id = world.start(&workflow, "start", json!({})).await;
        // The finisher holds the node: the builder waits a moment for it, then sends a fresh wake
        // for later.
        build(&builder, &[event(event_id)]).await;
        gate.let_through();
    });
    assert_eq!(freed.unwrap(), [], "no item waited when the finisher looked");
    let sent = world.queues.take();
    let wakes: Vec<_> = sent.iter().map(|sent| (sent.message.clone(), sent.delay_seconds)).collect();
    assert_eq!(
        wakes,
        [(node(&workflow, "work"), 1)],
        "I4: after contention a fresh wake comes a second later, and the message is acked"
    );
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!((active(&world).await, world.items().await), (1, 0), "I4");
}

#[tokio::test]
async fn a_freed_slot_wakes_the_item_that_waits_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    let token = LeaseToken(Uuid::new_v4());
    let execution_id = claimed_execution(&world, &workflow, token).await;
    world.start(&workflow, "start", json!({})).await;
    let store = world.database.store("executor");
    let freed = finish_at_gate(&store, execution_id, token, &Gate::open(), world.now()).await.unwrap();
    let expected = FreedSlot {
        node: (workflow.id, "work".into()),
        organization_id: world.organization_id,
        event_id: None,
    };
    assert_eq!(freed, [expected], "I4");
}
