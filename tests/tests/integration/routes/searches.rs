//! Lists of executions and events that filter: all pages together have each row that matches once,
//! newest first, and no page looks at more rows than it may.

use std::collections::BTreeSet;

use domain::execution::{ExecutionResult, ExecutionState};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::api::{EventFilter, ExecutionFilter, PageRequest, list_events, list_executions};
use tests::{PostgresWire, Workflow, World};
use uuid::Uuid;

/// Executions of the organization, and of another one.
const EXECUTIONS: usize = 50_000;
/// Rows that a page looks at ([`store`]'s `SEARCH_ROWS_MAX`).
const SEARCH_ROWS_MAX: usize = 10_000;
/// The most buffers of a page: rows that were written one after the other are read together, so
/// there are far fewer than rows.
const BUFFERS_MAX: i64 = SEARCH_ROWS_MAX as i64 / 10;
/// The most of one that looks a key up for each row.
const KEY_BUFFERS_MAX: i64 = 3 * SEARCH_ROWS_MAX as i64 + BUFFERS_MAX;
/// The most pages of a search through all there is.
const PAGES_MAX: usize = 100;

/// Executions, events and keys of a workflow, `n` from 1: of a thousand executions one failed, of
/// ten thousand one is at the node `rare`. All have the key `kind`, with the value `rare` for one of
/// a thousand.
fn fill(workflow: &Workflow, rows: usize) -> String {
    format!(
        "SET session_replication_role = replica;
         CREATE TEMP TABLE made AS SELECT n, (lpad(to_hex(1700000000000 + n), 12, '0') || '7000' || '8000' || substr(md5(n || '{0}'), 1, 12))::uuid AS id,
             (lpad(to_hex(1700000000000 + n), 12, '0') || '7000' || '9000' || substr(md5(n || '{0}'), 1, 12))::uuid AS event_id FROM generate_series(1, {rows}) n;
         INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
             SELECT event_id, '{0}', CASE WHEN n % 10000 = 7 THEN 'rare' ELSE 'work' END, event_id, event_id,
                 CASE WHEN n % 1000 = 5 THEN 'failure' ELSE 'default' END, 'start', '{{}}', '{{}}', 1, now() FROM made;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, state, result, created_at, updated_at, finished_at)
             SELECT event_id, w.organization_id, w.id, 1, 'start', event_id, ARRAY[event_id], 'finished', 'passed', now(), now(), now() FROM made, workflows w WHERE w.id = '{0}';
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, finished_at)
             SELECT id, '{0}', CASE WHEN n % 10000 = 7 THEN 'rare' ELSE 'work' END, event_id, event_id, event_id, 'finished',
                 CASE WHEN n % 1000 = 5 THEN 'failed' ELSE 'passed' END, 'noop', '{{}}', 1, 1, now(), now(),
                 CASE WHEN n % 5000 = 9 THEN now() ELSE now() - interval '1 day' END, now() FROM made;
         INSERT INTO workflow_node_execution_kvs (id, workflow_id, execution_id, node_id, key, value)
             SELECT gen_random_uuid(), '{0}', id, 'work', 'kind', CASE WHEN n % 1000 = 3 THEN 'rare' ELSE 'common' END FROM made;
         INSERT INTO workflow_node_execution_kvs (id, workflow_id, execution_id, node_id, key, value)
             SELECT gen_random_uuid(), '{0}', id, 'work', 'seldom', 'common' FROM made WHERE n % 2500 = 11;
         DROP TABLE made; SET session_replication_role = DEFAULT; ANALYZE",
        workflow.id
    )
}

/// Three workflows with rows, of which two have few, and one of another organization.
async fn filled() -> (World, Workflow) {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" }, { "id": "work", "name": "work", "component": "noop" },
        { "id": "rare", "name": "rare", "component": "noop" },
    ]);
    let large = world.workflow(nodes.clone(), json!([])).await;
    world.database.sql(&fill(&large, EXECUTIONS)).await;
    for rows in [1, 5_000] {
        let workflow = world.workflow(nodes.clone(), json!([])).await;
        world.database.sql(&fill(&workflow, rows)).await;
    }
    let other = world.workflow(nodes, json!([])).await;
    world.database.sql(&fill(&other, EXECUTIONS)).await;
    let sql = format!(
        "SET session_replication_role = replica;
         UPDATE workflows SET organization_id = '00000000-0000-0000-0000-000000000001' WHERE id = '{0}';
         SET session_replication_role = DEFAULT",
        other.id
    );
    world.database.sql(&sql).await;
    (world, large)
}

/// Follows the cursor to the end.
async fn pages(mut page: impl AsyncFnMut(PageRequest) -> (Vec<Uuid>, Option<Uuid>)) -> (Vec<Uuid>, usize) {
    let (mut all, mut before) = (Vec::new(), None);
    for number in 1..=PAGES_MAX {
        let (ids, next) = page(PageRequest { before, rows: 20 }).await;
        assert!(ids.len() <= 20);
        all.extend(ids);
        match next {
            Some(_) => before = next,
            None => return (all, number),
        }
    }
    panic!("the cursor comes to no end");
}

/// The ids that a condition has, newest first.
async fn expected(world: &World, table: &str, condition: &str) -> Vec<Uuid> {
    let sql = format!(
        "SELECT x.id FROM {table} x JOIN workflows w ON w.id = x.workflow_id
         WHERE w.organization_id = '{}' AND {condition} ORDER BY x.id DESC",
        world.organization_id
    );
    world.database.sql(&sql).await.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn each_page_of_a_search_is_bounded_and_all_pages_together_are_complete_i6() {
    let (world, large) = filled().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let store = tests::database::store_at(wire.url(&world.database.url("api")));
    let one: Uuid = expected(&world, "workflow_node_executions", "true").await[777];
    let run =
        world.database.sql(&format!("SELECT run_id FROM workflow_node_executions WHERE id = '{one}'")).await;
    let none = ExecutionFilter::default;
    let key = |key: Option<&str>, value: Option<&str>| ExecutionFilter {
        key: key.map(str::to_owned),
        value: value.map(str::to_owned),
        ..none()
    };
    let node = |id: &str| ExecutionFilter { node_id: Some(id.to_owned()), ..none() };
    let kv = |condition: &str| {
        format!(
            "EXISTS (SELECT FROM workflow_node_execution_kvs k WHERE k.execution_id = x.id AND {condition})"
        )
    };
    let since: Timestamp = world.now() - jiff::SignedDuration::from_hours(1);
    for (filter, condition) in [
        (
            ExecutionFilter { result: Some(ExecutionResult::Failed), ..none() },
            "x.result = 'failed'".to_owned(),
        ),
        (ExecutionFilter { result: Some(ExecutionResult::Cancelled), ..none() }, "false".to_owned()),
        (ExecutionFilter { state: Some(ExecutionState::Held), ..none() }, "false".to_owned()),
        (ExecutionFilter { updated_since: Some(since), ..none() }, format!("x.updated_at >= '{since}'")),
        (node("rare"), "x.node_id = 'rare'".to_owned()),
        (
            ExecutionFilter { result: Some(ExecutionResult::Failed), ..node("work") },
            "x.result = 'failed' AND x.node_id = 'work'".to_owned(),
        ),
        (key(Some("kind"), Some("rare")), kv("k.key = 'kind' AND k.value = 'rare'")),
        (key(Some("seldom"), None), kv("k.key = 'seldom'")),
        (key(None, Some("rare")), kv("k.value = 'rare'")),
        (
            ExecutionFilter { result: Some(ExecutionResult::Failed), ..key(Some("kind"), Some("common")) },
            format!("x.result = 'failed' AND {}", kv("k.key = 'kind' AND k.value = 'common'")),
        ),
        (
            ExecutionFilter { workflow_id: Some(large.id), result: Some(ExecutionResult::Failed), ..none() },
            format!("x.result = 'failed' AND w.id = '{}'", large.id),
        ),
        (
            ExecutionFilter { run_id: Some(run.parse().unwrap()), ..none() },
            format!("x.root_event_id = '{run}'"),
        ),
        (ExecutionFilter { previous_execution_id: Some(one.into()), ..none() }, "false".to_owned()),
        (ExecutionFilter { parent_execution_id: Some(one.into()), ..none() }, "false".to_owned()),
    ] {
        let (found, number) = pages(async |page| {
            let page = list_executions(&store, world.organization_id, &filter, page).await.unwrap();
            (page.rows.iter().map(|row| row.id.0).collect(), page.next)
        })
        .await;
        assert_eq!(found, expected(&world, "workflow_node_executions", &condition).await, "{filter:?}");
        println!("{number:>3} pages, {:>3} rows: {condition}", found.len());
    }
    let none = EventFilter::default;
    for (filter, condition) in [
        (EventFilter { node_id: Some("rare".to_owned()), ..none() }, "x.node_id = 'rare'".to_owned()),
        (EventFilter { channel: Some("failure".to_owned()), ..none() }, "x.channel = 'failure'".to_owned()),
        (EventFilter { channel: Some("no".to_owned()), ..none() }, "false".to_owned()),
        (EventFilter { run_id: Some(run.parse().unwrap()), ..none() }, format!("x.root_event_id = '{run}'")),
    ] {
        let (found, number) = pages(async |page| {
            let page = list_events(&store, world.organization_id, &filter, page).await.unwrap();
            (page.rows.iter().map(|row| row.id.0).collect(), page.next)
        })
        .await;
        assert_eq!(found, expected(&world, "workflow_events", &condition).await, "{filter:?}");
        println!("{number:>3} pages, {:>3} rows: events {condition}", found.len());
    }
    bounded(&world, &wire, &large, one, &run).await;
}

/// Explains each statement that was prepared, with values that match little.
async fn bounded(world: &World, wire: &PostgresWire, large: &Workflow, one: Uuid, run: &str) {
    let client = world.database.connect("api").await;
    let mut seen = BTreeSet::new();
    for statement in wire.statements() {
        let is_events = statement.text.contains("/* list_events */");
        if !is_events && !statement.text.contains("/* list_executions */")
            || !seen.insert(statement.text.clone())
        {
            continue;
        }
        let newest = "ffffffff-ffff-7fff-bfff-ffffffffffff";
        let (types, values) = if is_events {
            (
                "uuid, uuid, uuid, int8, int8, text, uuid, text",
                format!(
                    "'{}', '{}', '{newest}', 20, 4000000, 'rare', '{run}', 'no'",
                    world.organization_id, large.id
                ),
            )
        } else {
            (
                "uuid, uuid, uuid, int8, int8, text, text, text, uuid, uuid, uuid, timestamptz, text, text",
                format!(
                    "'{}', '{}', '{newest}', 20, 4000000, 'rare', 'held', 'failed', '{one}', '{one}', '{run}', now(), 'seldom', 'rare'",
                    world.organization_id, large.id
                ),
            )
        };
        let sql = format!(
            "PREPARE one ({types}) AS {}; EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE one ({values}); DEALLOCATE one",
            statement.text
        );
        let answers = client.simple_query(&sql).await.unwrap();
        let text = answers.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(text.expect("a plan")).unwrap();
        let number = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
        let buffers = number("Shared Hit Blocks") + number("Shared Read Blocks");
        println!("{buffers} buffers");
        let looks_up = statement.text.contains("WHERE k.execution_id = x.id AND k.");
        let most = if looks_up { KEY_BUFFERS_MAX } else { BUFFERS_MAX };
        assert!(buffers <= most, "{buffers} buffers: {}\n{plan:#}", statement.text);
    }
    assert!(seen.len() > 20, "with and without a cursor: {}", seen.len());
}

#[tokio::test]
async fn workflows_without_rows_take_nothing_from_a_search() {
    let world = World::create().await;
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }, { "id": "work", "name": "work", "component": "noop" }]);
    let busy = world.workflow(nodes, json!([])).await;
    world.database.sql(&fill(&busy, 20_000)).await;
    // As a deployment leaves them that applies and deletes for each branch.
    let sql = format!(
        "INSERT INTO workflows (id, organization_id, name, nodes, edges, version, created_by, created_at, updated_at, deleted_at)
         SELECT gen_random_uuid(), organization_id, 'old-' || n, nodes, edges, 1, created_by, created_at, updated_at, now()
         FROM workflows CROSS JOIN generate_series(1, 500) n WHERE id = '{}'",
        busy.id
    );
    world.database.sql(&sql).await;
    let filter = ExecutionFilter { result: Some(ExecutionResult::Cancelled), ..ExecutionFilter::default() };
    let (found, number) = pages(async |page| {
        let page = list_executions(world.api(), world.organization_id, &filter, page).await.unwrap();
        (page.rows.iter().map(|row| row.id.0).collect(), page.next)
    })
    .await;
    assert_eq!((found.len(), number), (0, 3), "20,000 rows are two pages, and the end");
}
