//! `wait_for_callback`: an address is used once, and ends with its execution (I3).

use domain::ids::ExecutionId;
use serde_json::{Value, json};
use store::Store;
use store::callbacks::{CallbackOutcome, NewCallback, take_callback};
use sweeper::sweep;
use tests::World;
use tests::world::{build, event};

/// An execution that waits, and its address.
async fn waiting(world: &World) -> (ExecutionId, String) {
    waiting_for(world, json!({ "expires": "60s" })).await
}

async fn waiting_for(world: &World, configuration: Value) -> (ExecutionId, String) {
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait_for_callback", "configuration": configuration },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "wait" },
        { "from": "wait", "channel": "received", "to": "end" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let url = "SELECT data ->> 'callback_url' FROM workflow_events WHERE channel = 'waiting'";
    let url = world.database.sql(url).await;
    let id = "SELECT id FROM workflow_node_executions WHERE node_id = 'wait'";
    (world.database.sql(id).await.parse().unwrap(), url.rsplit('/').next().unwrap().to_owned())
}

fn callback(world: &World, execution_id: ExecutionId, address: &str, n: i32) -> NewCallback {
    NewCallback {
        id: world.id(),
        execution_id,
        address_sha256: components::address_digest(address),
        method: "POST".into(),
        data: Some(json!({ "body": { "n": n } })),
    }
}

async fn take(store: &Store, callback: &NewCallback) -> &'static str {
    match take_callback(store, callback).await.unwrap() {
        CallbackOutcome::Taken(_) => "taken",
        CallbackOutcome::Open { schema: None } => "open",
        CallbackOutcome::Open { schema: Some(_) } => "open, by a schema",
        CallbackOutcome::Gone => "gone",
        CallbackOutcome::WrongMethod => "method",
        CallbackOutcome::Suspended => "suspended",
    }
}

async fn channels(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(channel || ' ' || (data #>> '{body,n}'), ', '), 'none') FROM workflow_events WHERE channel = 'received'";
    world.database.sql(sql).await
}

#[tokio::test]
async fn one_of_all_that_come_at_once_is_taken_and_guesses_are_not_i3() {
    let world = World::create().await;
    let (id, address) = waiting(&world).await;
    let store = world.database.store("webhook");
    let guess = callback(&world, id, &address.replace(['a', '1'], "b"), 0);
    assert_eq!(take(&store, &guess).await, "gone");
    let look = NewCallback { data: None, ..callback(&world, id, &address, 0) };
    assert_eq!(take(&store, &look).await, "open");
    // Whoever guesses waits for nobody's lock, and holds none.
    let admin = world.database.connect_admin().await;
    admin.batch_execute("BEGIN; SELECT FROM workflow_node_executions FOR UPDATE").await.unwrap();
    assert_eq!(take(&store, &guess).await, "gone");
    admin.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(take(&store, &callback(&world, world.id(), &address, 0)).await, "gone");
    let other = NewCallback { method: "GET".into(), ..callback(&world, id, &address, 0) };
    assert_eq!(take(&store, &other).await, "method");
    let callbacks: Vec<NewCallback> = (1..=8).map(|n| callback(&world, id, &address, n)).collect();
    let taken = futures_util::future::join_all(callbacks.iter().map(|callback| take(&store, callback))).await;
    assert_eq!(taken.iter().filter(|taken| **taken == "taken").count(), 1, "{taken:?}");
    // The same again, as after a lost answer: it is the one that was taken.
    let first = taken.iter().position(|taken| *taken == "taken").unwrap();
    assert_eq!(take(&store, &callbacks[first]).await, "taken");
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(channels(&world).await, format!("received {}", first + 1));
    assert_eq!(take(&store, &callbacks[(first + 1) % 8]).await, "gone");
}

#[tokio::test]
async fn an_address_ends_with_its_time_its_run_and_its_organization() {
    for end in ["time", "run", "suspended", "execution"] {
        let world = World::create().await;
        let (id, address) = waiting(&world).await;
        let store = world.database.store("webhook");
        let expected = match end {
            "time" => {
                world.pass(60).await;
                "gone"
            }
            "run" => {
                world.database.sql("UPDATE workflow_runs SET stop = 'cancelled', stopped_by = 'test'").await;
                "gone"
            }
            "execution" => {
                world.database.sql("INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause) SELECT workflow_id, id, 'cancelled' FROM workflow_node_executions WHERE state = 'held'").await;
                "gone"
            }
            _ => {
                world.database.sql("UPDATE organizations SET suspended_at = now()").await;
                "suspended"
            }
        };
        assert_eq!(take(&store, &callback(&world, id, &address, 1)).await, expected, "{end}");
        assert_eq!(world.database.count("SELECT count(*) FROM workflow_execution_calls").await, 0);
    }
}

/// ✗✗ A call that gets its answer after the expiry has ended the execution: it found the address open,
/// waits for the row, and reads it again.
#[tokio::test]
async fn a_callback_that_waited_for_the_row_reads_it_again() {
    for (ends, expected) in [(true, "gone"), (false, "taken")] {
        let world = World::create().await;
        let (id, address) = waiting(&world).await;
        let store = world.database.store("webhook");
        let callback = callback(&world, id, &address, 1);
        let wake = world.database.connect_admin().await;
        let lock = "BEGIN; SELECT FROM workflow_node_executions WHERE state = 'held' FOR NO KEY UPDATE";
        wake.batch_execute(lock).await.unwrap();
        let (taken, ()) = tokio::join!(take(&store, &callback), async {
            world.database.wait_for_blocked(1).await;
            if ends {
                let end = "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', held = NULL, wake_at = NULL, finished_at = now() WHERE state = 'held'";
                wake.batch_execute(end).await.unwrap();
            }
            wake.batch_execute("COMMIT").await.unwrap();
        });
        assert_eq!(taken, expected);
        let calls = world.database.count("SELECT count(*) FROM workflow_execution_calls").await;
        assert_eq!(calls, i64::from(!ends));
    }
}

#[tokio::test]
async fn the_look_at_an_address_tells_the_schema_of_the_body() {
    let world = World::create().await;
    let schema = json!({ "required": ["state"] });
    let (id, address) = waiting_for(&world, json!({ "accept": { "schema": schema } })).await;
    let store = world.database.store("webhook");
    let look = NewCallback { data: None, ..callback(&world, id, &address, 0) };
    let looked = take_callback(&store, &look).await.unwrap();
    assert_eq!(looked, CallbackOutcome::Open { schema: Some(schema) });
    let guess = NewCallback { address_sha256: components::address_digest("other"), ..look };
    assert_eq!(take(&store, &guess).await, "gone");
}
