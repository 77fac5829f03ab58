//! Cancelling a run beside functions that are at work on it, and beside other runs.

use domain::execution::ResultReason;
use domain::limits::STOP_ROUND_ROWS_MAX;
use serde_json::{Value, json};
use store::FreedSlot;
use tests::rows::{cancelled, passed};
use tests::world::{build, event};
use tests::{PostgresWire, Workflow, World};

async fn one_node(world: &World) -> Workflow {
    let nodes: Value = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test" } },
    ]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

#[tokio::test]
async fn a_run_that_ends_while_its_cancel_waits_stays_as_it_ended() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let holder = world.database.connect_admin().await;
    let finish = "BEGIN;
        UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now();
        UPDATE workflow_runs SET state = 'finished', result = 'passed', finished_at = now()";
    holder.batch_execute(finish).await.unwrap();
    tokio::join!(world.cancel(run_id), async {
        world.database.wait_for_blocked(1).await;
        holder.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(world.executions().await, [passed("work")]);
    assert_eq!(world.database.sql("SELECT result, stop FROM workflow_runs").await, "passed|");
}

#[tokio::test]
async fn a_cancel_waits_for_no_lock_of_an_item() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let holder = world.database.connect_admin().await;
    holder.batch_execute("BEGIN; SELECT FROM workflow_node_queue_items FOR UPDATE").await.unwrap();
    world.cancel(run_id).await;
    // ✗✗ Without items among the open work, the stopped run is over, and its item is left.
    let naive = format!(
        "BEGIN; UPDATE workflow_runs r SET state = 'finished', result = 'cancelled', finished_at = now()
         WHERE r.id = '{run_id}' AND r.stop IS NOT NULL AND NOT EXISTS (
             SELECT FROM workflow_node_executions x WHERE x.run_id = r.id AND x.state <> 'finished')"
    );
    let admin = world.database.connect_admin().await;
    admin.batch_execute(&naive).await.unwrap();
    let left = "SELECT count(*) FROM workflow_node_queue_items i JOIN workflow_runs r ON r.id = i.run_id WHERE r.state = 'finished'";
    let left: i64 = admin.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, 1, "the naive form leaves work in a run that has ended");
    admin.batch_execute("ROLLBACK").await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(world.run_state(run_id).await, "running", "an item is open work, also of a stopped run");
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(world.executions().await, [cancelled("work", ResultReason::Cancelled)]);
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

/// ✗✗ A cancel that waits for items by their ids waits in a circle with a builder, which claims them by age. Ours
/// waits for none, as the test before shows.
#[tokio::test]
async fn items_that_are_waited_for_in_two_orders_are_a_deadlock() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    for _ in 0..2 {
        world.start(&workflow, "start", json!({})).await;
    }
    let ids = world
        .database
        .sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM workflow_node_queue_items")
        .await;
    let (smaller, larger) = ids.split_once(' ').expect("two items");
    let lock = |id: &str| format!("SELECT FROM workflow_node_queue_items WHERE id = '{id}' FOR UPDATE");
    let (cancel, builder) = (world.database.connect_admin().await, world.database.connect_admin().await);
    cancel.batch_execute(&format!("BEGIN; {}", lock(smaller))).await.unwrap();
    // The item with the larger id may be the older one: ids are made before their transactions.
    builder.batch_execute(&format!("BEGIN; {}", lock(larger))).await.unwrap();
    let (larger, smaller) = (lock(larger), lock(smaller));
    let (first, second) = tokio::join!(cancel.batch_execute(&larger), async {
        world.database.wait_for_blocked(1).await;
        builder.batch_execute(&smaller).await
    });
    let codes = [first, second]
        .map(|result| result.err().and_then(|error| error.code().map(|code| code.code().to_owned())));
    assert!(codes.iter().flatten().any(|code| code == "40P01"), "{codes:?}");
}

#[tokio::test]
async fn a_cancel_ends_all_that_waits_in_rounds_i10() {
    for items in [STOP_ROUND_ROWS_MAX - 1, STOP_ROUND_ROWS_MAX, STOP_ROUND_ROWS_MAX + 1] {
        let world = World::create().await;
        let workflow = one_node(&world).await;
        let run_id = world.start(&workflow, "start", json!({})).await;
        let sql = format!(
            "WITH made AS (
                 INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
                 SELECT gen_random_uuid(), '{0}', 'start', '{run_id}', 'default', 'redrive', '{{}}', '{{}}', 1, now()
                 FROM generate_series(2, {items}) RETURNING id)
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
             SELECT gen_random_uuid(), '{0}', 'work', '{run_id}', id, 1, now(), now() FROM made",
            workflow.id
        );
        world.database.sql(&sql).await;
        world.cancel(run_id).await;
        let sql = "SELECT count(*), count(DISTINCT xmin::text) FROM workflow_node_executions";
        let rounds = if items > STOP_ROUND_ROWS_MAX { 2 } else { 1 };
        assert_eq!(world.database.sql(sql).await, format!("{items}|{rounds}"), "I10");
        assert_eq!((world.items().await, world.run_state(run_id).await), (0, "cancelled"));
    }
}

#[tokio::test]
async fn a_cancel_wakes_what_waits_of_other_runs_i4() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let next = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(next)]).await;
    let freed = world.cancel(run_id).await;
    let freed: Vec<&str> = freed.iter().map(|slot| slot.node.1.as_str()).collect();
    assert_eq!(freed, ["work"], "I4: the next one is woken");
    assert_eq!(world.cancel(next).await, [], "its item ends, and frees nothing");
    assert_eq!((world.items().await, world.run_state(next).await), (0, "cancelled"));
}

#[tokio::test]
async fn a_cancel_waits_for_a_builder_that_has_read_the_run_and_not_written_yet_i8() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "work", "name": "Work", "component": "http", "configuration": { "url": "https://target.test/" } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    // The reads are answered; the write is on its way.
    let (gate, wakes) = (wire.hold("insert_executions"), [event(run_id)]);
    let cancel_meanwhile = async {
        gate.wait_for_arrival().await;
        world.cancel(run_id).await;
    };
    tokio::join!(build(&builder, &wakes), cancel_meanwhile, async {
        world.database.wait_for_blocked(1).await;
        gate.let_through();
    });
    assert_eq!(
        world.executions().await,
        [cancelled("work", ResultReason::Cancelled)],
        "I8: nothing lives on"
    );
}

#[tokio::test]
async fn a_cancel_takes_the_item_that_a_wake_names_and_the_next_of_the_key_is_woken_i4() {
    let world = World::create().await;
    let nodes: Value = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test" },
          "concurrency": { "max": 1, "key": "{{ root().data.key }}" } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(world.start(&workflow, "start", json!({ "key": "a" })).await);
    }
    let builder = world.builder();
    let wakes: Vec<_> = runs.iter().map(|run| event(*run)).collect();
    build(&builder, &wakes).await;
    // The slot's wake names the second run's event, for a message has no key.
    let freed = world.cancel(runs[0]).await;
    assert_eq!(freed.iter().map(FreedSlot::wake).collect::<Vec<_>>(), [event(runs[1])]);
    let freed = world.cancel(runs[1]).await;
    build(&builder, &[event(runs[1])]).await;
    assert_eq!(world.run_state(runs[2]).await, "running");
    build(&builder, &freed.iter().map(FreedSlot::wake).collect::<Vec<_>>()).await;
    assert_eq!((world.items().await, freed.len()), (0, 1), "I4: the third has its slot");
}
