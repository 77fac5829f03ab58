//! The search for what can't be delivered: its cost grows with what was tried in vain, and not with
//! what has ended before.

use domain::limits::SENDS_MAX;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::database::store_at;
use tests::{PostgresWire, World};

const HISTORY: usize = 50_000;
const TRIED: usize = 100;

/// Buffers that the search may read for [`TRIED`] executions over a history of [`HISTORY`]: four
/// pages or fewer for each of the tried, and the newest hundred of each node.
const BUFFERS_MAX: i64 = 2_000;

/// Finished executions of a node whose component the builder runs, and pending ones of another that
/// were sent in vain.
fn fill(workflow_id: &str) -> String {
    let columns = "id, workflow_id, node_id, root_event_id, run_id, event_id, component, configuration, workflow_version, node_version, created_at,
        updated_at, last_sent_at, state";
    let row = format!(
        "gen_random_uuid(), '{workflow_id}', 'NODE', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'COMPONENT', '{{}}', 1, 1, now() - interval '2 hours',
        now() - interval '2 hours', now() - interval '1 hour'"
    );
    let row = |node: &str, component: &str| row.replace("NODE", node).replace("COMPONENT", component);
    format!(
        "SET session_replication_role = replica;
         INSERT INTO workflow_node_executions ({columns}, result, started_at, finished_at)
             SELECT {}, 'finished', 'passed', now() - interval '2 hours', now() FROM generate_series(1, {HISTORY});
         INSERT INTO workflow_node_executions ({columns}, sent_count)
             SELECT {}, 'pending', {SENDS_MAX} FROM generate_series(1, {TRIED});
         SET session_replication_role = DEFAULT;
         INSERT INTO function_heartbeats (function, committed_at) VALUES ('executor', now())
             ON CONFLICT (function) DO UPDATE SET committed_at = excluded.committed_at",
        row("plain", "noop"),
        row("work", "http")
    )
}

fn buffers(explained: &str) -> i64 {
    let plan: Value = serde_json::from_str(explained).unwrap();
    let number = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

#[tokio::test]
async fn the_search_for_what_cant_be_delivered_does_not_walk_over_history() {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "plain", "name": "plain", "component": "noop" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test/" } },
    ]);
    let edges = json!([{ "from": "start", "to": "plain" }, { "from": "start", "to": "work" }]);
    let workflow = world.workflow(nodes, edges).await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let url = world.database.url("sweeper").replace(world.database.host_port(), &wire.host_port());
    let sweeper = sweeper::Deps { store: store_at(url), ..world.sweeper(30) };
    sweep(&sweeper, tests::tick()).await.unwrap();
    // Only now: what was tried in vain is sent once more by a sweep.
    world.database.sql(&fill(&workflow.id.to_string())).await;
    let statements = wire.statements();
    let search =
        statements.iter().find(|statement| statement.text.contains("/* find_undeliverable_executions */"));
    let client = world.database.connect("sweeper").await;
    client
        .batch_execute(&format!("PREPARE search (int, bigint) AS {}", search.expect("it is searched").text))
        .await
        .unwrap();
    let sql =
        format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE search ({SENDS_MAX}, 500)");
    let explained = client.simple_query(&sql).await.unwrap();
    let text = explained.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let buffers = buffers(text.expect("a plan"));
    assert!(buffers <= BUFFERS_MAX, "{buffers} buffers for {TRIED} executions over a history of {HISTORY}");
}
