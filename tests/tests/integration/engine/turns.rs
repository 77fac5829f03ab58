//! Turns: a node with a rate makes so many calls a second, whichever instances make them.

use std::time::Instant;

use domain::ids::ExecutionId;
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use store::executor::{SOON_MILLIS, Turn, take_turns};
use tests::world::{build, event, execute};
use tests::{Workflow, World};

/// `start` → `work`, an http node with that rate.
async fn one_node(world: &World, url: &str, rate: Value) -> Workflow {
    let work = json!({
        "id": "work", "name": "work", "component": "http", "configuration": { "url": url },
        "concurrency": "unlimited", "rate": rate,
    });
    let start = json!({ "id": "start", "name": "start", "trigger": "start" });
    world.workflow(json!([start, work]), json!([{ "from": "start", "to": "work" }])).await
}

/// So many pending executions of the node.
async fn pending(world: &World, workflow: &Workflow, count: usize) -> Vec<ExecutionId> {
    let mut wakes = Vec::new();
    for _ in 0..count {
        wakes.push(event(world.start(workflow, "start", json!({})).await));
    }
    build(&world.builder(), &wakes).await;
    let _ = world.queues.take();
    let ids = world.database.sql("SELECT id FROM workflow_node_executions ORDER BY created_at, id").await;
    ids.lines().filter_map(|id| id.parse().ok()).collect()
}

/// So many seconds go by: all times are moved back.
async fn turn_back(world: &World, seconds: u32) {
    for (table, columns) in
        [("workflow_node_executions", &["run_at"][..]), ("workflow_node_turns", &["starts_at", "next_at"])]
    {
        let sets: Vec<_> =
            columns.iter().map(|column| format!("{column} = {column} - interval '{seconds} s'")).collect();
        world.database.sql(&format!("UPDATE {table} SET {}", sets.join(", "))).await;
    }
}

async fn take(world: &World, ids: &[ExecutionId]) -> Vec<Turn> {
    let now = world.now();
    let store = world.database.store("executor");
    store.run_tx("turns", |tx| async move { take_turns(&tx, ids, now).await }).await.unwrap()
}

/// All of these ask, and ask again until their node is free.
async fn take_all(world: &World, ids: &[ExecutionId]) -> Vec<Turn> {
    let mut left = ids.to_vec();
    let mut turns = Vec::new();
    while !left.is_empty() {
        let asked =
            futures_util::future::join_all(left.iter().map(|id| take(world, std::slice::from_ref(id))));
        turns.extend(asked.await.into_iter().flatten());
        left.retain(|id| turns.iter().all(|turn| turn.id != *id));
    }
    turns
}

/// The times of all turns in tenths of a second, from the first on.
async fn tenths(world: &World) -> Vec<i64> {
    let sql = "SELECT round(extract(epoch FROM run_at - min(run_at) OVER ()) * 10)
               FROM workflow_node_executions WHERE run_at IS NOT NULL ORDER BY run_at";
    world.database.sql(sql).await.lines().filter_map(|line| line.parse().ok()).collect()
}

#[tokio::test]
async fn turns_keep_the_rate_in_one_claim_and_over_many() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({ "per_second": 0.1, "burst": 3 })).await;
    let ids = pending(&world, &workflow, 8).await;
    let first = take(&world, &ids[0..5]).await;
    let due = |turns: &[Turn]| turns.iter().filter(|turn| turn.due_in_millis <= 0).count();
    assert_eq!((first.len(), due(&first)), (5, 3), "the burst may begin");
    assert_eq!(due(&take(&world, &ids[5..8]).await), 0, "the burst is used up");
    let times = tenths(&world).await;
    // The second claim comes a moment after the first, and no turn before its place.
    assert_eq!(times[0..3], [0, 0, 0]);
    assert_eq!(times[3..8], [100, 200, 300, 400, 500], "one in ten seconds");
    assert_eq!(take(&world, &ids).await, [], "nobody asks before its time, and nobody twice");
    // Ten seconds later one may begin, and it is the one whose time it is.
    turn_back(&world, 10).await;
    let asked = take(&world, &ids).await;
    assert_eq!(asked.iter().map(|turn| (turn.id, turn.due_in_millis)).collect::<Vec<_>>(), [(ids[3], 0)]);
}

#[tokio::test]
async fn claims_at_one_moment_share_the_rate() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({ "per_second": 0.1, "burst": 2 })).await;
    let ids = pending(&world, &workflow, 6).await;
    let began = Instant::now();
    let turns = take_all(&world, &ids).await;
    // Their transactions did not begin at the same instant: `now()` differs by no more than they took.
    let apart = i64::try_from(began.elapsed().as_millis()).unwrap();
    let due = turns.iter().filter(|turn| turn.due_in_millis <= apart.min(5_000)).count();
    assert_eq!(due, 2, "six instances asked at once");
    let times = tenths(&world).await;
    assert_eq!(times.len(), 6);
    assert!((395..=405 + apart / 100).contains(&times[5]), "{times:?}");
}

#[tokio::test]
async fn attempts_that_come_late_all_together_are_held_to_the_rate() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({ "per_second": 0.1, "burst": 1 })).await;
    let ids = pending(&world, &workflow, 6).await;
    take(&world, &ids).await;
    // Nobody could execute for ten minutes: the times of all have come.
    turn_back(&world, 600).await;
    let late = take(&world, &ids).await;
    let go = |turns: &[Turn]| turns.iter().filter(|turn| turn.due_in_millis == 0).count();
    assert_eq!((late.len(), go(&late)), (5, 1), "one has begun before, one may now");
    turn_back(&world, 10).await;
    assert_eq!(go(&take(&world, &ids).await), 1, "and the next in ten seconds");
}

#[tokio::test]
async fn another_rate_begins_anew() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({ "per_second": 0.01, "burst": 1 })).await;
    let ids = pending(&world, &workflow, 4).await;
    take(&world, &ids[0..3]).await;
    world.database.sql("UPDATE workflow_nodes SET rate_per_second = 100 WHERE node_id = 'work'").await;
    assert_eq!(
        take(&world, &ids[3..4]).await[0].due_in_millis,
        0,
        "what waits for the old rate holds up nobody"
    );
}

#[tokio::test]
async fn a_node_that_another_transaction_asks_about_holds_up_no_other() {
    let world = World::create().await;
    let workflow = one_node(&world, "https://target.test", json!({ "per_second": 1 })).await;
    let ids = pending(&world, &workflow, 2).await;
    take(&world, &ids[0..1]).await;
    let (store, held) = (world.database.store("executor"), std::slice::from_ref(&ids[1]));
    let (world, now) = (&world, world.now());
    turn_back(world, 60).await;
    let asked_meanwhile = store.run_tx("turns", |tx| async move {
        take_turns(&tx, held, now).await?;
        Ok(take(world, held).await)
    });
    assert_eq!(asked_meanwhile.await.unwrap(), [], "it is left out at once");
}

#[tokio::test]
async fn only_whose_turn_has_come_is_called_and_a_retry_takes_another() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let url = format!("{}/status/503", target.url());
    let workflow = {
        let work = json!({
            "id": "work", "name": "work", "component": "http", "configuration": { "url": url },
            "concurrency": "unlimited", "rate": { "per_second": 0.01, "burst": 2 },
            "retry": { "max_attempts": 2, "initial_interval": 1 },
        });
        let start = json!({ "id": "start", "name": "start", "trigger": "start" });
        world.workflow(json!([start, work]), json!([{ "from": "start", "to": "work" }])).await
    };
    let ids = pending(&world, &workflow, 3).await;
    let executor = world.executor(&target.host_port());
    let messages: Vec<Message> = ids.iter().map(|id| Message::Execution { execution_id: *id }).collect();
    execute(&executor, &messages).await;
    assert_eq!(target.requests().len(), 2, "the burst, and no call before its time");
    let later: Vec<_> = world.queues.take();
    assert_eq!(later.len(), 3, "two retries, and one that waits for its turn: {later:?}");
    // Its retry is due by its interval, but not by its turn.
    world.database.sql("UPDATE workflow_node_executions SET run_at = now() WHERE attempt = 2").await;
    execute(&executor, &messages).await;
    assert_eq!(target.requests().len(), 2, "a retry is a call as well");
    let waiting = "SELECT count(*) FROM workflow_node_executions
                   WHERE state = 'pending' AND run_at > now() + interval '90 seconds'";
    assert_eq!(world.database.count(waiting).await, 3);
}

#[tokio::test]
async fn a_turn_that_comes_soon_is_given_with_its_time_and_a_fast_node_reaches_its_rate() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let url = format!("{}/", target.url());
    let workflow = one_node(&world, &url, json!({ "per_second": 20, "burst": 1 })).await;
    let ids = pending(&world, &workflow, 30).await;
    let turns = take(&world, &ids).await;
    let with_turn: Vec<i64> =
        turns.iter().filter(|turn| turn.has_turn).map(|turn| turn.due_in_millis).collect();
    assert_eq!(with_turn.len(), 21, "those of the next second: {turns:?}");
    let mut sorted = with_turn;
    sorted.sort_unstable();
    let expected: Vec<i64> = (0..21).map(|turn| turn * 50).collect();
    assert_eq!(sorted, expected, "each has a moment of its own");
    assert!(turns.iter().filter(|turn| !turn.has_turn).all(|turn| turn.due_in_millis > SOON_MILLIS));
    // An executor waits for the moments, and nothing begins before its own.
    turn_back(&world, 60).await;
    world.database.sql("UPDATE workflow_node_executions SET run_at = NULL, turn_attempt = 0").await;
    let executor = world.executor(&target.host_port());
    let messages: Vec<Message> =
        ids[..10].iter().map(|id| Message::Execution { execution_id: *id }).collect();
    execute(&executor, &messages).await;
    assert_eq!(target.requests().len(), 10, "none of them is put off");
    let early = "SELECT count(*) FROM (
            SELECT ex.started_at, row_number() OVER (ORDER BY ex.created_at, ex.id) AS number,
                turns.starts_at - interval '500 ms' AS first
            FROM workflow_node_executions ex JOIN workflow_node_turns turns USING (workflow_id, node_id)
            WHERE ex.started_at IS NOT NULL) begun
        WHERE started_at < first + (number - 1) * interval '50 ms'";
    assert_eq!(world.database.count(early).await, 0, "none begins before its moment");
}
