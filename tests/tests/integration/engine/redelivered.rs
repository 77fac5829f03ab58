//! Messages that were received before: one batch of their own, with a crash counted on each of
//! their items beforehand.

use std::time::Duration;

use domain::message::Message;
use process::{BatchResponse, Deadline};
use serde_json::{Value, json};
use tests::world::{batch, event};
use tests::{PostgresWire, World};

const ITEMS: usize = 10;

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Starts runs with one node; gives their wakes, for a test to deliver as received before.
async fn redelivered(world: &World, concurrency: Value) -> Vec<Message> {
    let configuration = json!({ "url": "https://target.test/" });
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": configuration, "concurrency": concurrency },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let mut wakes = Vec::new();
    for _ in 0..ITEMS {
        wakes.push(event(world.start(&workflow, "start", json!({})).await));
    }
    wakes
}

/// The transactions that made executions.
async fn transactions(world: &World) -> i64 {
    world.database.count("SELECT count(DISTINCT xmin::text) FROM workflow_node_executions").await
}

/// The number of waiting items for each number of crashes.
async fn crashes(world: &World) -> String {
    let sql = "SELECT string_agg(crashes || ':' || items, ',') FROM (
        SELECT crashes, count(*) AS items FROM workflow_node_queue_items GROUP BY crashes ORDER BY crashes) found";
    world.database.sql(sql).await
}

#[tokio::test]
async fn what_was_received_before_is_one_batch_with_a_crash_committed_on_each_item_first_i9() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let wakes = redelivered(&world, json!("unlimited")).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let response = builder::handle(batch(&wakes, 2), deadline(), &builder).await;
    assert_eq!(response, BatchResponse::default());
    assert_eq!((world.items().await, transactions(&world).await), (0, 1), "one batch");
    let names: Vec<String> = wire.take().round_trips.into_iter().flatten().collect();
    let at = |name: &str| names.iter().position(|known| known == name);
    assert!(at("begin_quarantined").unwrap() < at("claim_unlimited").unwrap(), "{names:?}");
    assert_eq!(
        (at("claim_one"), names.iter().filter(|name| *name == "begin_quarantined").count()),
        (None, 1)
    );
}

#[tokio::test]
async fn a_batch_of_what_was_received_before_that_dies_leaves_each_item_to_go_alone_i9() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let wakes = redelivered(&world, json!("unlimited")).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let gate = wire.hold("claim_unlimited");
    let dying = async {
        builder::handle(batch(&wakes, 2), deadline(), &builder).await;
    };
    tokio::select! {
        () = dying => panic!("it was held"),
        () = gate.wait_for_arrival() => {}
    }
    drop((builder, gate));
    let end = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = 'sealflow_builder' AND datname = current_database()";
    world.database.sql(end).await;
    assert_eq!(crashes(&world).await, format!("1:{ITEMS}"), "I9: counted before the work");
    world.database.sql("UPDATE workflow_node_queue_items SET suspect_until = now() - interval '1 s'").await;
    let response = builder::handle(batch(&wakes, 2), deadline(), &world.builder()).await;
    assert_eq!(response, BatchResponse::default());
    let expected = i64::try_from(ITEMS).unwrap();
    assert_eq!((world.items().await, transactions(&world).await), (0, expected), "I9: each alone");
}

#[tokio::test]
async fn what_was_received_before_and_waits_for_a_slot_counts_no_crash_i9() {
    let world = World::create().await;
    let wakes = redelivered(&world, json!(2)).await;
    let response = builder::handle(batch(&wakes, 2), deadline(), &world.builder()).await;
    assert_eq!(response, BatchResponse::default());
    assert_eq!(crashes(&world).await, format!("0:{}", ITEMS - 2), "I9: the transaction takes the count back");
    assert_eq!(transactions(&world).await, 1);
}

#[tokio::test]
async fn what_was_received_before_and_is_refused_goes_one_by_one_i9() {
    let world = World::create().await;
    let wakes = redelivered(&world, json!("unlimited")).await;
    let mut builder = world.builder();
    builder.plan.time_max = Duration::ZERO;
    let response = builder::handle(batch(&wakes, 2), deadline(), &builder).await;
    assert_eq!(response, BatchResponse::default());
    let expected = i64::try_from(ITEMS).unwrap();
    assert_eq!((world.items().await, transactions(&world).await), (0, expected), "I9");
}
