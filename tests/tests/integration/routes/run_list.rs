//! Lists of runs: each filter goes along an index, even among many other runs.

use domain::execution::ExecutionResult;
use domain::ids::ExecutionId;
use domain::run::RunState;
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::api::{PageRequest, RunFilter, list_runs};
use tests::{PostgresWire, Workflow, World};

/// The number of runs of each of two organizations. Nearly all of them passed.
const RUNS: usize = 50_000;
/// The most buffers that a page of ten runs may read: a few for each row, and some for the way
/// through the index.
const BUFFERS_MAX: i64 = 400;

/// SQL that makes the runs of an organization. Of a thousand runs one failed, of five thousand one
/// still runs, and each has a name. They began within the last hundred hours. A thousand sub-runs,
/// older than all, are of an owner that has the workflow's id.
fn fill(organization: &str, workflow: &str) -> String {
    format!(
        "SET session_replication_role = replica;
         CREATE TEMPORARY TABLE made AS SELECT (lpad(to_hex((extract(epoch FROM now() - make_interval(hours => n % 100)) * 1000)::bigint), 12, '0')
             || '70008000' || substr(md5(n::text || '{workflow}'), 1, 12))::uuid AS id, n FROM generate_series(1, {RUNS}) n;
         INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{workflow}', 'start', id, id, 'default', 'start', '{{}}', '{{}}', 1, now() FROM made;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state, result,
             created_at, updated_at, finished_at)
         SELECT id, '{organization}', '{workflow}', 1, 'start', id, ARRAY[id], 'order ' || n,
             CASE WHEN n % 5000 = 1 THEN 'running' ELSE 'finished' END,
             CASE WHEN n % 5000 = 1 THEN NULL WHEN n % 1000 = 2 THEN 'failed' ELSE 'passed' END, now(), now(),
             CASE WHEN n % 5000 <> 1 THEN now() END
         FROM made;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, parent_run_id,
             parent_execution_id, iteration, path, state, result, created_at, updated_at, finished_at)
         SELECT part.id, '{organization}', '{workflow}', 1, 'each', top.id, top.id, '{workflow}', n, ARRAY[top.id, part.id],
             'finished', 'passed', now(), now(), now()
         FROM (SELECT id FROM made ORDER BY id LIMIT 1) top, generate_series(0, 999) n,
             LATERAL (SELECT ('00000000000070008000' || substr(md5(n::text || '{workflow}'), 1, 12))::uuid AS id) part;
         DROP TABLE made;
         UPDATE workflows SET organization_id = '{organization}' WHERE id = '{workflow}';
         SET session_replication_role = DEFAULT; ANALYZE"
    )
}

fn buffers(explained: &str) -> i64 {
    let plan: Value = serde_json::from_str(explained).unwrap();
    let number = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

#[tokio::test]
async fn each_filter_of_runs_goes_along_an_index() {
    let world = World::create().await;
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }]);
    let (mine, other) =
        (world.workflow(nodes.clone(), json!([])).await, world.workflow(nodes, json!([])).await);
    let organization = world.organization_id;
    world.database.sql(&fill(&organization.to_string(), &mine.id.to_string())).await;
    world.database.sql(&fill("00000000-0000-0000-0000-000000000001", &other.id.to_string())).await;
    let none = RunFilter::default;
    let name = |prefix: &str| RunFilter { name_prefix: Some(prefix.to_owned()), ..none() };
    let of_owner =
        |workflow: &Workflow| RunFilter { parent_execution_id: Some(ExecutionId(workflow.id.0)), ..none() };
    let result = |result| RunFilter { result: Some(result), ..none() };
    let checks = [
        ("all", none(), 10),
        ("running", RunFilter { state: Some(RunState::Running), ..none() }, 10),
        ("failed", result(ExecutionResult::Failed), 10),
        ("cancelled", result(ExecutionResult::Cancelled), 0),
        ("passed", result(ExecutionResult::Passed), 10),
        ("a rare name", name("order 4999"), 10),
        ("a name that is not there", name("orders"), 0),
        ("a common name", name("order"), 10),
        ("of a workflow", RunFilter { workflow_id: Some(mine.id), ..none() }, 10),
        ("of a workflow of others", RunFilter { workflow_id: Some(other.id), ..none() }, 0),
        (
            "failed, of a rare name",
            RunFilter { result: Some(ExecutionResult::Failed), ..name("order 4900") },
            1,
        ),
        ("of an owner", of_owner(&mine), 10),
        ("of an owner of others", of_owner(&other), 0),
        ("since", RunFilter { since: Some(world.now() - SignedDuration::from_mins(90)), ..none() }, 10),
        (
            "since a while to come",
            RunFilter { since: Some(world.now() + SignedDuration::from_hours(1)), ..none() },
            0,
        ),
        (
            "failed, since",
            RunFilter {
                since: Some(world.now() - SignedDuration::from_mins(150)),
                ..result(ExecutionResult::Failed)
            },
            10,
        ),
    ];
    let client = world.database.connect("api").await;
    for (at, (what, filter, rows)) in checks.into_iter().enumerate() {
        let wire = PostgresWire::to(world.database.host_port()).await;
        let store = tests::database::store_at(wire.url(&world.database.url("api")));
        let page = PageRequest { before: None, rows: 10 };
        let found = list_runs(&store, organization, &filter, page).await.unwrap();
        assert_eq!(found.rows.len(), rows, "{what}");
        let since = filter.since.map(|since| format!("{:012x}70000000000000000000", since.as_millisecond()));
        let since = since.map(|id| id.parse::<uuid::Uuid>().unwrap());
        assert!(found.rows.iter().all(|row| since.is_none_or(|since| row.id.0 >= since)), "{what}");
        let statements = wire.statements();
        let list = statements.iter().find(|statement| statement.text.contains("/* list_runs */"));
        let text = &list.expect("it is listed").text;
        let prepare = format!(
            "PREPARE list{at} (uuid, uuid, uuid, bigint, text, text, text, text, uuid, uuid) AS {text}"
        );
        client.batch_execute(&prepare).await.unwrap();
        let text_of = |value: Option<&str>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
        let sql = format!(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE list{at} ('{organization}', {}, NULL, 10, NULL, {}, {}, {}, {}, {})",
            text_of(filter.workflow_id.map(|id| id.to_string()).as_deref()),
            text_of(filter.result.map(ExecutionResult::as_str)),
            text_of(filter.name_prefix.as_deref()),
            text_of(filter.state.map(RunState::as_str)),
            text_of(since.map(|since| since.to_string()).as_deref()),
            text_of(filter.parent_execution_id.map(|id| id.to_string()).as_deref()),
        );
        let explained = client.simple_query(&sql).await.unwrap();
        let explained = explained.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let read = buffers(explained.expect("a plan"));
        assert!(read <= BUFFERS_MAX, "{what}: {read} buffers");
    }
}
