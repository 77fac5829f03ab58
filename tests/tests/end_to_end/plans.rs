//! The plan of every statement that the functions use, under the function's role. Plans are taken
//! on small and on larger tables, before and after statistics were gathered. No statement scans a
//! table that grows. Statements of the hot path take the indexes that `tests/data/plans.txt` names.

mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use local::stack::SUPERUSER;
use serde_json::Value;
use tests::PostgresWire;
use tests::database::connect;
use tests::e2e::{Product, stack};
use tests::wire::PreparedStatement;
use tokio_postgres::Client;

pub(super) use self::uses::{read_everything, use_everything};

/// Tables that grow with the work. A scan of one of them is a bug, even if the planner takes the
/// table for small.
pub(super) const GROWING: [&str; 18] = [
    "error_handlers",
    "execution_joins",
    "failed_runs",
    "schedules",
    "workflow_run_visits",
    "webhook_deduplications",
    "webhooks",
    "secrets",
    "workflow_events",
    "workflow_node_execution_kvs",
    "workflow_execution_calls",
    "workflow_execution_wakes",
    "workflow_node_executions",
    "workflow_node_queue_items",
    "workflow_node_secret_refs",
    "workflow_nodes",
    "workflow_runs",
    "workflows",
];

/// The least number of statements that the functions must have prepared. With fewer, the test would
/// check less than it says.
const STATEMENTS_MIN: usize = 60;

/// SQL that adds `rows` rows to each table that grows: workflows of other organizations, and work
/// of this workflow.
pub(super) fn fill(workflow: &str, rows: usize) -> String {
    format!(
        "SET session_replication_role = replica;
         CREATE TEMPORARY TABLE made AS SELECT gen_random_uuid() AS id, gen_random_uuid() AS workflow_id, n::text AS n FROM generate_series(1, {rows}) n;
         INSERT INTO workflows (id, organization_id, name, nodes, edges, version, created_by, created_at, updated_at)
             SELECT workflow_id, id, n, '[]', '[]', 1, 'test', now(), now() FROM made;
         INSERT INTO workflow_nodes (workflow_id, node_id, name, type, ref, configuration, concurrency_max, version, created_at, updated_at)
             SELECT workflow_id, 'call', 'Call', 'component', '{{\"component\": \"http\"}}', '{{}}', 1, 1, now(), now() FROM made;
         INSERT INTO workflow_node_secret_refs (workflow_id, node_id, node_version, secret_name, secret_key, field)
             SELECT workflow_id, 'call', 1, 'vault', 'key', '/url' FROM made;
         INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             SELECT id, 'vault', 'org', id, '\\x00', 'test', now(), now() FROM made;
         INSERT INTO webhooks (id, workflow_id, node_id, address, authentication, created_at, updated_at)
             SELECT id, workflow_id, 'hook', replace(id::text, '-', ''), 'none', now(), now() FROM made;
         INSERT INTO webhook_deduplications (webhook_id, key, event_id, created_at) SELECT id, n, id, now() FROM made;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state, result,
             stop, stopped_by, created_at, updated_at, finished_at)
             SELECT id, id, workflow_id, 1, 'start', id, ARRAY[id], n, 'finished', 'cancelled', 'cancelled', 'test', now(), now(), now() FROM made;
         INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{workflow}', 'start', id, id, 'default', 'start', '{{}}', '{{}}', 1, now() FROM made;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
             SELECT id, '{workflow}', 'call', id, id, id, 'finished', 'passed', 'http', '{{}}', 1, 1, now(), now(), now(), now(), now() FROM made;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at)
             SELECT gen_random_uuid(), workflow_id, 'call', id, id, id, 'pending', 'http', '{{}}', 1, 1, now(), now(), now() FROM made;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at, held, wake_at)
             SELECT gen_random_uuid(), workflow_id, 'wait', id, id, id, 'held', 'wait', '{{}}', 1, 1, now(), now(), now(), '{{}}', now() + interval '30 days'
             FROM made;
         INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause, handled_at) SELECT '{workflow}', id, 'stopped', now() FROM made;
         INSERT INTO workflow_execution_calls (id, workflow_id, execution_id, call, called_by, handled_at)
             SELECT id, '{workflow}', id, 'release', 'test', now() FROM made;
         INSERT INTO workflow_node_execution_kvs (id, execution_id, workflow_id, node_id, key, value) SELECT id, id, '{workflow}', 'call', 'k', n FROM made;
         INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
             SELECT id, '{workflow}', 'call', id, id, id, 1, now(), now() FROM made;
         INSERT INTO schedules (workflow_id, node_id, next_at, due_at, updated_at)
             SELECT workflow_id, 'call', now() + interval '30 days', now() + interval '30 days', now() FROM made;
         INSERT INTO error_handlers (organization_id, workflow_name, workflow_id, node_id) SELECT id, n, workflow_id, 'call' FROM made;
         INSERT INTO failed_runs (run_id, handler_workflow_id, handler_node_id, workflow_id, root_event_id, organization_id, created_at)
             SELECT id, workflow_id, 'call', workflow_id, id, id, now() FROM made;
         INSERT INTO workflow_run_visits (workflow_id, run_id, root_event_id, node_id, visits) SELECT workflow_id, id, id, 'call', 1 FROM made;
         INSERT INTO execution_joins (execution_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id, source_order, stops, is_late,
             created_at)
             SELECT id, id, '{workflow}', id, id, 'm', 'a', 0, false, false, now() FROM made;
         DROP TABLE made;
         SET session_replication_role = DEFAULT"
    )
}

/// Scans that are intended: the beginning of the statement's name, the index, and the reason.
const MEANT: [(&str, &str, &str); 13] = [
    (
        "sealflow_sweeper: ",
        "workflow_node_queue_items_order",
        "what waits is counted; nothing of what has ended is in it",
    ),
    ("sealflow_sweeper: ", "workflow_node_queue_items_keys", "the same, by the other index of what waits"),
    (
        "sealflow_sweeper: ",
        "workflows_held_full",
        "only workflows with as many held executions as are allowed",
    ),
    ("sealflow_sweeper: ", "workflow_execution_wakes_open", "only causes that no wake has handled"),
    ("sealflow_sweeper: ", "workflow_nodes_full", "only nodes with as many waiting items as are allowed"),
    (
        "sealflow_sweeper: ",
        "workflow_runs_stopped",
        "only runs that are to end and still have something open",
    ),
    (
        "sealflow_sweeper: cause_removed_lately",
        "workflow_node_executions_wakes",
        "where the table is known to have hardly a row: only held executions are in it",
    ),
    (
        "sealflow_sweeper: mark_full_workflows",
        "workflow_node_executions_wakes",
        "where the table is known to have hardly a row: only held executions are in it",
    ),
    (
        "sealflow_sweeper: mark_full_workflows",
        "workflows_pkey",
        "where the table is known to have hardly a row, until it is analysed",
    ),
    ("sealflow_sweeper: mark_full_nodes", "workflow_nodes_pkey", "the same"),
    ("sealflow_sweeper: find_due_nodes", "workflow_node_queue_items_pkey", "the same"),
    ("sealflow_api: redrive_execution", "workflow_runs_pkey", "the same"),
    ("", "workflow_node_queue_items_suspects", "only items that ended a process before"),
];

/// The columns of each index, in their order.
type Columns = BTreeMap<String, Vec<String>>;

async fn columns(product: &Product) -> Columns {
    let sql = "SELECT string_agg(indexrelid::regclass || '|' || (
            SELECT string_agg(pg_get_indexdef(indexrelid, n, true), '|' ORDER BY n) FROM generate_series(1, indnkeyatts) n), E'\\n')
        FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace";
    let lines = product.sealflow.sql(sql).await.unwrap();
    let indexes = lines.lines().map(|line| line.split('|').map(str::to_owned));
    indexes.filter_map(|mut parts| Some((parts.next()?, parts.collect()))).collect()
}

/// The columns of an index for which a condition gives values.
fn searched<'a>(columns: &'a [String], condition: &str) -> Vec<&'a str> {
    let is_in = |column: &&str| {
        [format!("({column} "), format!("ROW({column},"), format!(", {column})")]
            .iter()
            .any(|part| condition.contains(part))
    };
    columns.iter().map(String::as_str).filter(is_in).collect()
}

/// The growing tables that a plan scans from end to end: by themselves, or by an index without a
/// condition on its first column.
fn scans(statement: &str, plan: &Value, columns: &Columns, found: &mut Vec<String>) {
    let kind = plan["Node Type"].as_str().unwrap_or_default();
    let index = plan["Index Name"].as_str().unwrap_or_default();
    let condition = plan["Index Cond"].as_str().unwrap_or_default();
    let is_searched = columns.get(index).is_some_and(|columns| {
        searched(columns, condition).first() == columns.first().map(String::as_str).as_ref()
    });
    let is_walk = kind == "Seq Scan"
        || matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Index Scan")
            && !is_searched
            && !MEANT.iter().any(|(of, name, _)| statement.starts_with(of) && index.starts_with(name));
    // A bitmap scan of an index has no table name.
    let table = plan["Relation Name"].as_str().unwrap_or(index);
    if is_walk && GROWING.iter().any(|growing| table.starts_with(growing)) {
        found.push(format!("{table} {index} {condition}"));
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|plan| scans(statement, plan, columns, found));
}

/// The generic plan of a statement, on a connection of its role.
async fn plan(client: &Client, statement: &PreparedStatement) -> Value {
    let mut types = Vec::new();
    for oid in &statement.types {
        let name: String =
            client.query_one(&format!("SELECT {oid}::regtype::text"), &[]).await.unwrap().get(0);
        types.push(name);
    }
    let declared = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
    let values =
        if types.is_empty() { String::new() } else { format!(" ({})", vec!["NULL"; types.len()].join(", ")) };
    client
        .batch_execute(&format!("PREPARE looked_at{declared} AS {}", statement.text))
        .await
        .unwrap_or_else(|error| panic!("{error:?}: {}", statement.text));
    let explained = client.simple_query(&format!("EXPLAIN (FORMAT JSON) EXECUTE looked_at{values}")).await;
    let explained = explained.unwrap_or_else(|error| panic!("{error:?}: {}", statement.text));
    client.batch_execute("DEALLOCATE looked_at").await.unwrap();
    let text = explained.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    serde_json::from_str::<Value>(&text.expect("a plan")).unwrap()[0]["Plan"].take()
}

/// The indexes by which a plan reads growing tables, each with the columns that are searched for.
fn indexes(plan: &Value, columns: &Columns, found: &mut BTreeSet<String>) {
    if let Some(index) = plan["Index Name"].as_str()
        && GROWING.iter().any(|table| index.starts_with(table))
    {
        let condition = plan["Index Cond"].as_str().unwrap_or_default();
        let searched = columns.get(index).map(|columns| searched(columns, condition).join(", "));
        found.insert(format!("{index}({})", searched.unwrap_or_default()));
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|plan| indexes(plan, columns, found));
}

/// The name that a statement has in its first comment, or else its beginning.
fn name(statement: &PreparedStatement) -> String {
    let named = statement.text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */"));
    match named {
        Some((name, _)) => name.to_owned(),
        None => {
            statement.text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(NAME_MAX).collect()
        }
    }
}

/// The characters that identify a statement without a name.
const NAME_MAX: usize = 120;

/// A session with the rights and the settings of a role. It counts as one of the superuser: the few
/// connections that a role may have are those of the functions.
async fn as_role(product: &Product, role: &str) -> Client {
    let client = connect(&product.sealflow.database_url(SUPERUSER)).await;
    let settings = "SELECT count(set_config(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1), false))
         FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
         JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database(), unnest(s.setconfig) setting
         WHERE r.rolname = $1";
    let set: i64 = client.query_one(settings, &[&role]).await.unwrap().get(0);
    assert!(set >= 10, "{role} has {set} settings");
    client.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
    client
}

/// The plans of all statements, as `role: statement`.
async fn plans(product: &Product, statements: &[PreparedStatement]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut roles: Vec<&str> = statements.iter().map(|statement| statement.role.as_str()).collect();
    roles.dedup();
    for role in roles {
        let client = as_role(product, role).await;
        // Statements of one transaction pass these settings on. Planning calls stable functions,
        // which read them.
        let ids = vec![uuid::Uuid::nil().to_string(); 10].join(",");
        client
            .batch_execute(&format!("SET sealflow.locked = '{ids}'; SET sealflow.node_locked = '{ids}'"))
            .await
            .unwrap();
        // `store/src/connect/check.rs` gives its connections the same settings.
        let own = match role {
            "sealflow_api" => "SET enable_bitmapscan = off",
            _ => "SET join_collapse_limit = 1; SET from_collapse_limit = 1; SET enable_material = off",
        };
        client.batch_execute(own).await.unwrap();
        for statement in statements.iter().filter(|statement| statement.role == role) {
            found.push((format!("{role}: {}", name(statement)), plan(&client, statement).await));
        }
    }
    found
}

/// The roles with statements that are run for each event.
const HOT: [&str; 3] = ["sealflow_webhook", "sealflow_builder", "sealflow_executor"];

/// The lines of `tests/data/plans.txt`, by statement.
fn known() -> BTreeMap<String, String> {
    let lines = include_str!("../../data/plans.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once(" -> ").expect("statement -> indexes"))
        .map(|(statement, indexes)| (statement.to_owned(), indexes.to_owned()))
        .collect()
}

/// Statements that are prepared only sometimes: when transactions meet, when a message comes twice,
/// or when a run happens to end there. They must not scan either, but are not compared.
const SOMETIMES: [&str; 9] = [
    "begin_quarantined",
    "claim_one",
    "end_unstartable",
    "release_quarantined",
    "lock_ended_runs",
    "lock_executions",
    "lock_woken_nodes",
    "lock_nodes_of_executions",
    "settle_runs",
];

/// Compares each statement's indexes with the known ones. If they differ, the message names the
/// file with the new list.
fn compare(seen: &BTreeMap<String, BTreeSet<String>>) {
    let known = known();
    let mut differences = Vec::new();
    for (statement, plans) in seen {
        let indexes = plans.iter().map(String::as_str).collect::<Vec<_>>().join(" OR ");
        match known.get(statement) {
            Some(known) if *known == indexes => {}
            known => differences.push(format!("{statement}\n    was {known:?}\n    is  {indexes}")),
        }
    }
    let gone = known.keys().filter(|statement| !seen.contains_key(*statement));
    differences.extend(gone.map(|statement| format!("{statement}: not prepared")));
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plans.txt");
    let lines: String = seen
        .iter()
        .map(|(statement, plans)| {
            format!("{statement} -> {}\n", plans.iter().map(String::as_str).collect::<Vec<_>>().join(" OR "))
        })
        .collect();
    std::fs::write(&list, lines).unwrap();
    assert!(
        differences.is_empty(),
        "plans differ from tests/data/plans.txt; if that is intended, copy the lines of {}:\n{}",
        list.display(),
        differences.join("\n")
    );
}

/// The states of the statistics in which plans are taken, each with the SQL that leads to it.
/// Autovacuum analyses one table after the other. So at 1 k rows each table in turn first gets the
/// statistics of one row, and later those of its real size. Vacuum comes last.
fn steps(rows: usize) -> Vec<(String, Option<String>)> {
    let mut steps = vec![("before statistics".to_owned(), None)];
    if rows == 1_000 {
        for table in GROWING {
            let of_before = format!(
                "UPDATE pg_class SET reltuples = 1, relpages = 1, relallvisible = 1 WHERE oid = '{table}'::regclass
                 OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '{table}'::regclass)"
            );
            steps.push((format!("{table} as of one row"), Some(of_before)));
        }
        let known = GROWING.map(|table| (format!("{table} analysed"), Some(format!("ANALYZE {table}"))));
        steps.extend(known);
    } else if rows > 0 {
        steps.push(("just analysed".to_owned(), Some("ANALYZE".to_owned())));
    }
    if rows > 0 {
        // A sample sees only the workflow that has nearly all rows.
        let of_one_workflow =
            "UPDATE pg_statistic SET stadistinct = 1, stakind1 = 0, stakind2 = 0, stakind3 = 0
            WHERE (starelid, staattnum) IN (SELECT attrelid, attnum FROM pg_attribute
                WHERE attrelid IN ('workflow_events'::regclass, 'workflow_node_executions'::regclass)
                  AND attname = 'workflow_id')";
        steps.push(("as of one workflow".to_owned(), Some(of_one_workflow.to_owned())));
        // All pages are visible to everybody then, so indexes alone cost less.
        steps.push(("just vacuumed".to_owned(), Some("VACUUM".to_owned())));
    }
    steps
}

#[tokio::test]
async fn each_statement_takes_its_indexes_and_walks_over_no_table_that_grows() {
    let wire = PostgresWire::to(stack().await.postgres().host_port()).await;
    let endpoint = wire.host_port();
    let product = Product::start(move |builder| {
        // Rows of the test are never due: they would be worked off while plans are taken.
        builder.database_endpoint(endpoint).sweep_every(Duration::from_millis(500)).environment(
            "sweeper",
            "SEALFLOW_SWEEP_GRACE_SECONDS",
            "3600",
        )
    })
    .await;
    let story = product.story("plans").await;
    use_everything(&product, &story).await;
    // The statistics are the test's to choose, at no time the autovacuum's.
    for table in GROWING {
        let off = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
        product.sealflow.sql(&off).await.unwrap();
    }
    let statements = wire.statements();
    assert!(statements.len() >= STATEMENTS_MIN, "only {} statements were prepared", statements.len());
    for role in
        ["sealflow_api", "sealflow_webhook", "sealflow_builder", "sealflow_executor", "sealflow_sweeper"]
    {
        assert!(statements.iter().any(|statement| statement.role == role), "{role}");
    }
    let workflow = product.sealflow.sql("SELECT id FROM workflows WHERE name = 'plans'").await.unwrap();
    let (mut walks, mut seen) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new());
    let columns = columns(&product).await;
    for (rows, what) in [(0, "hardly a row"), (1_000, "1 k rows"), (49_000, "50 k rows")] {
        if rows > 0 {
            product.sealflow.sql(&fill(workflow.trim(), rows)).await.unwrap();
        }
        for (statistics, sql) in steps(rows) {
            if let Some(sql) = sql {
                product.sealflow.sql(&sql).await.unwrap();
            }
            for (statement, plan) in plans(&product, &statements).await {
                let (mut tables, mut used) = (Vec::new(), BTreeSet::new());
                scans(&statement, &plan, &columns, &mut tables);
                if !tables.is_empty() {
                    walks.push(format!("{what}, {statistics}: {statement}: {}", tables.join(", ")));
                }
                indexes(&plan, &columns, &mut used);
                let is_sometimes = SOMETIMES.iter().any(|name| statement.ends_with(&format!(": {name}")));
                if HOT.iter().any(|role| statement.starts_with(role)) && !is_sometimes && !used.is_empty() {
                    seen.entry(statement)
                        .or_default()
                        .insert(used.into_iter().collect::<Vec<_>>().join(", "));
                }
            }
        }
    }
    assert!(walks.is_empty(), "{walks:#?}");
    compare(&seen);
}
