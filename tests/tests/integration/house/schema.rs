//! The schema: names and relations, rows that the database itself refuses, migrations, and the
//! plans of hot statements.

use serde_json::{Value, json};
use tests::release::schema;
use tests::world::{build, event};
use tests::{Database, Workflow, World, wait_for};
use tokio_postgres::error::SqlState;

const TABLES: [(&str, &[&str]); 8] = [
    ("organizations", &["id", "name", "created_at", "updated_at", "deleted_at"]),
    (
        "workflows",
        &[
            "id",
            "organization_id",
            "name",
            "nodes",
            "edges",
            "version",
            "created_by",
            "created_at",
            "updated_at",
            "deleted_at",
        ],
    ),
    (
        "workflow_nodes",
        &[
            "workflow_id",
            "node_id",
            "name",
            "type",
            "state",
            "state_reason",
            "ref",
            "configuration",
            "parent_node_id",
            "webhook_id",
            "app_installation_id",
            "concurrency_max",
            "metadata",
            "position",
            "deleted_at",
        ],
    ),
    (
        "workflow_events",
        &[
            "id",
            "workflow_id",
            "node_id",
            "channel",
            "type",
            "data",
            "custom_name",
            "targets",
            "depth",
            "execution_id",
            "created_at",
        ],
    ),
    (
        "workflow_node_queue_items",
        &["id", "workflow_id", "node_id", "root_event_id", "event_id", "created_at"],
    ),
    (
        "workflow_node_executions",
        &[
            "id",
            "workflow_id",
            "node_id",
            "root_event_id",
            "event_id",
            "previous_execution_id",
            "parent_execution_id",
            "state",
            "result",
            "result_reason",
            "result_message",
            "configuration",
            "metadata",
            "cancelled_by",
            "created_at",
            "updated_at",
            "started_at",
            "finished_at",
        ],
    ),
    ("workflow_node_execution_kvs", &["id", "execution_id", "workflow_id", "node_id", "key", "value"]),
    (
        "secrets",
        &[
            "id",
            "name",
            "domain_type",
            "domain_id",
            "provider",
            "data",
            "created_by",
            "created_at",
            "updated_at",
        ],
    ),
];

#[tokio::test]
async fn the_eight_tables_have_the_contracts_names() {
    let database = Database::create().await;
    for (table, columns) in TABLES {
        let sql = format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"
        );
        let found = database.sql(&sql).await;
        let found: Vec<&str> = found.lines().collect();
        let missing: Vec<_> = columns.iter().filter(|column| !found.contains(column)).collect();
        assert!(missing.is_empty(), "{table} has no {missing:?}");
    }
    let sql = "SELECT confrelid::regclass FROM pg_constraint WHERE contype = 'f' AND conrelid = 'secrets'::regclass";
    assert_eq!(database.sql(sql).await, "", "a secret's owner has no foreign key");
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let database = Database::create().await;
    let sql = "SELECT c.relname, a.attname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'refinery_schema_history'
          AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)";
    assert_eq!(database.sql(sql).await, "");
}

#[tokio::test]
async fn there_are_no_enums_and_no_domains() {
    let database = Database::create().await;
    let sql =
        "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')";
    assert_eq!(database.sql(sql).await, "");
}

#[tokio::test]
async fn foreign_keys_among_a_workflows_rows_carry_the_workflow_i6() {
    let database = Database::create().await;
    let sql = "SELECT con.conrelid::regclass || ' → ' || con.confrelid::regclass FROM pg_constraint con
        WHERE con.contype = 'f'
          AND con.conrelid::regclass::text LIKE 'workflow\\_%' AND con.confrelid::regclass::text LIKE 'workflow\\_%'
          AND NOT EXISTS (
              SELECT FROM pg_attribute a
              WHERE a.attrelid = con.conrelid AND a.attnum = ANY(con.conkey) AND a.attname = 'workflow_id')";
    assert_eq!(database.sql(sql).await, "", "I6");
}

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

fn http(id: &str, concurrency: Value) -> Value {
    json!({ "id": id, "name": id, "component": "http", "configuration": { "url": "https://target.test/" }, "concurrency": concurrency })
}

async fn workflow(world: &World) -> Workflow {
    let nodes = json!([start(), http("work", json!(1))]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

async fn refusal(world: &World, sql: &str) -> Option<SqlState> {
    let client = world.database.connect_admin().await;
    client
        .batch_execute(sql)
        .await
        .err()
        .map(|error| error.code().cloned().unwrap_or_else(|| panic!("{error:?}")))
}

#[tokio::test]
async fn no_row_can_point_into_another_workflow_i6() {
    let world = World::create().await;
    let (mine, other) = (workflow(&world).await, workflow(&world).await);
    let run = async |workflow: &Workflow| {
        let run_id = world.start(workflow, "start", json!({})).await;
        build(&world.builder(), &[event(run_id)]).await;
        let sql = format!("SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}'");
        (run_id, world.database.sql(&sql).await)
    };
    let ((my_event, my_execution), (their_event, their_execution)) = (run(&mine).await, run(&other).await);
    let (next_run, _) = run(&mine).await;
    let mine = mine.id;
    let event = |columns: &str, values: &str| {
        format!("INSERT INTO workflow_events (id, workflow_id, node_id, channel, type, data, targets, depth, created_at, {columns})
            VALUES (gen_random_uuid(), '{mine}', 'start', 'default', 'start', '{{}}', '{{}}', 1, now(), {values})")
    };
    let item = |root: &str, event: &str| {
        format!("INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
            VALUES (gen_random_uuid(), '{mine}', 'start', '{root}', '{event}', 1, now(), now())")
    };
    let execution = |root: &str, event: &str, previous: &str| {
        format!("INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, previous_execution_id, state, component,
                configuration, workflow_version, node_version, last_sent_at, created_at, updated_at)
            VALUES (gen_random_uuid(), '{mine}', 'start', '{root}', '{event}', {previous}, 'pending', 'http', '{{}}', 1, 1, now(), now(), now())")
    };
    let key = |execution: &str| {
        format!(
            "INSERT INTO workflow_node_execution_kvs (id, execution_id, workflow_id, node_id, key, value)
            VALUES (gen_random_uuid(), '{execution}', '{mine}', 'work', 'k', 'v')"
        )
    };
    let redriven = |event: &str| {
        format!(
            "UPDATE workflow_node_executions SET state = 'finished', result = 'failed', finished_at = now(), redriven_event_id = '{event}'
            WHERE id = '{my_execution}'"
        )
    };
    let (my_event, their_event) = (my_event.to_string(), their_event.to_string());
    let next_run = next_run.to_string();
    let cases = [
        (item(&my_event, &my_event), item(&their_event, &my_event)),
        (item(&my_event, &my_event), item(&my_event, &their_event)),
        // Nor into another run: a row's run is that of its event.
        (item(&my_event, &my_event), item(&next_run, &my_event)),
        (execution(&my_event, &my_event, "NULL"), execution(&next_run, &my_event, "NULL")),
        (execution(&my_event, &my_event, "NULL"), execution(&their_event, &my_event, "NULL")),
        (execution(&my_event, &my_event, "NULL"), execution(&my_event, &their_event, "NULL")),
        (
            execution(&my_event, &my_event, &format!("'{my_execution}'")),
            execution(&my_event, &my_event, &format!("'{their_execution}'")),
        ),
        (key(&my_execution), key(&their_execution)),
        (redriven(&my_event), redriven(&next_run)),
        (
            event("root_event_id, execution_id", &format!("'{my_event}', '{my_execution}'")),
            event("root_event_id, execution_id", &format!("'{their_event}', '{my_execution}'")),
        ),
        (
            event("root_event_id, execution_id", &format!("'{my_event}', '{my_execution}'")),
            event("root_event_id, execution_id", &format!("'{my_event}', '{their_execution}'")),
        ),
        (
            format!(
                "INSERT INTO workflow_run_marks VALUES ('{my_event}', '{mine}', 'cancelled', 'test', now())"
            ),
            format!(
                "INSERT INTO workflow_run_marks VALUES ('{their_event}', '{mine}', 'cancelled', 'test', now())"
            ),
        ),
    ];
    for (mine, theirs) in cases {
        // Deferred foreign keys are checked too, as at the end of the transaction.
        let check = |sql: &str, end: &str| format!("BEGIN; {sql}; SET CONSTRAINTS ALL IMMEDIATE; {end}");
        assert_eq!(refusal(&world, &check(&mine, "ROLLBACK")).await, None, "{mine}");
        let refused = refusal(&world, &check(&theirs, "COMMIT")).await;
        assert_eq!(refused, Some(SqlState::FOREIGN_KEY_VIOLATION), "I6: {theirs}");
    }
}

#[tokio::test]
async fn an_event_waits_and_is_worked_on_once_at_a_node_i3() {
    let world = World::create().await;
    let workflow = workflow(&world).await;
    world.start(&workflow, "start", json!({})).await;
    let again = "INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
        SELECT gen_random_uuid(), workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at
        FROM workflow_node_queue_items";
    assert_eq!(refusal(&world, again).await, Some(SqlState::UNIQUE_VIOLATION), "I3");
    build(&world.builder(), &[tests::world::node(&workflow, "work")]).await;
    let again = "INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
            workflow_version, node_version, last_sent_at, created_at, updated_at)
        SELECT gen_random_uuid(), workflow_id, node_id, root_event_id, event_id, state, component, configuration, workflow_version,
            node_version, last_sent_at, created_at, updated_at FROM workflow_node_executions";
    assert_eq!(refusal(&world, again).await, Some(SqlState::UNIQUE_VIOLATION), "I3");
}

#[tokio::test]
async fn checks_tie_an_executions_state_to_its_columns() {
    let world = World::create().await;
    let workflow = workflow(&world).await;
    world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[tests::world::node(&workflow, "work")]).await;
    let lease = "lease_token = gen_random_uuid(), lease_until = now()";
    let started = format!("state = 'started', {lease}");
    let cases = [
        (started.as_str(), true),
        ("state = 'started'", false),
        (lease, false),
        ("state = 'started', lease_token = gen_random_uuid()", false),
        ("state = 'started', lease_until = now()", false),
        ("state = 'finished', result = 'passed', finished_at = now()", true),
        ("state = 'finished', result = 'passed'", false),
        ("state = 'finished', finished_at = now()", false),
        ("result = 'passed', finished_at = now()", false),
        ("state = 'finished', result = 'failed', result_reason = 'limit', finished_at = now()", true),
        ("state = 'finished', result = 'passed', result_reason = 'limit', finished_at = now()", false),
        ("state = 'finished', result = 'failed', result_reason = 'bad luck', finished_at = now()", false),
        ("state = 'waiting'", false),
        ("attempt = 30", true),
        ("attempt = 31", false),
        ("attempt = 0", false),
        ("residuals = '{}'", false),
        ("crashes = -1", false),
    ];
    for (set, is_allowed) in cases {
        let sql = format!("BEGIN; UPDATE workflow_node_executions SET {set}; ROLLBACK");
        let expected = (!is_allowed).then_some(SqlState::CHECK_VIOLATION);
        assert_eq!(refusal(&world, &sql).await, expected, "{set}");
    }
}

#[tokio::test]
async fn checks_tie_the_columns_of_runs_events_and_items() {
    let world = World::create().await;
    let workflow = workflow(&world).await;
    world.start(&workflow, "start", json!({})).await;
    let cases = [
        ("workflow_runs", "state = 'finished', result = 'passed', finished_at = now()", true),
        ("workflow_runs", "state = 'finished', result = 'passed'", false),
        ("workflow_runs", "result = 'passed', finished_at = now()", false),
        ("workflow_runs", "state = 'waiting'", false),
        ("workflow_runs", "stop = 'cancelled', stopped_by = 'test'", true),
        ("workflow_runs", "stop = 'cancelled'", false),
        ("workflow_runs", "stop = 'bored', stopped_by = 'test'", false),
        ("workflow_runs", "path = '{}'", false),
        ("workflow_runs", "iteration = 1", false),
        ("workflow_events", "depth = 1001", true),
        ("workflow_events", "depth = 1002", false),
        ("workflow_events", "hops = 11", false),
        ("workflow_events", "channel = ''", false),
        ("workflow_events", "type = ''", false),
        ("workflow_events", "custom_name = repeat('n', 257)", false),
        ("workflow_events", "redactions = '[]'", false),
        ("workflow_node_queue_items", "crashes = 1, sent_count = 1", true),
        ("workflow_node_queue_items", "crashes = -1", false),
        ("workflow_node_queue_items", "sent_count = -1", false),
        ("workflow_node_queue_items", "concurrency_key = repeat('k', 1025)", false),
    ];
    for (table, set, is_allowed) in cases {
        let sql = format!("BEGIN; UPDATE {table} SET {set}; ROLLBACK");
        let expected = (!is_allowed).then_some(SqlState::CHECK_VIOLATION);
        assert_eq!(refusal(&world, &sql).await, expected, "{table}: {set}");
    }
}

/// A statement that writes reads the text of each CHECK of its table anew.
#[tokio::test]
async fn a_table_of_the_work_has_one_check_which_calls_a_function() {
    let database = Database::create().await;
    for table in ["workflow_runs", "workflow_events", "workflow_node_executions", "workflow_node_queue_items"]
    {
        let sql = format!(
            "SELECT count(*) || ' ' || bool_and(convalidated) || ' ' || bool_and(pg_get_constraintdef(oid) LIKE 'CHECK (is\\_%')
             FROM pg_constraint WHERE contype = 'c' AND conrelid = '{table}'::regclass"
        );
        assert_eq!(database.sql(&sql).await, "1 true true", "{table}");
    }
}

#[tokio::test]
async fn names_are_unique_among_what_lives() {
    let world = World::create().await;
    let workflow = workflow(&world).await;
    let copy = "INSERT INTO workflows (id, organization_id, name, nodes, edges, version, created_by, created_at, updated_at)
        SELECT gen_random_uuid(), organization_id, name, nodes, edges, 1, 'test', now(), now() FROM workflows LIMIT 1";
    assert_eq!(refusal(&world, copy).await, Some(SqlState::UNIQUE_VIOLATION));
    world.database.sql("UPDATE workflows SET deleted_at = now()").await;
    assert_eq!(refusal(&world, copy).await, None);
    let rename = "UPDATE workflow_nodes SET name = 'start' WHERE node_id = 'work'";
    assert_eq!(refusal(&world, rename).await, Some(SqlState::UNIQUE_VIOLATION));
    let sql = format!(
        "UPDATE workflow_nodes SET deleted_at = now() WHERE node_id = 'start' AND workflow_id = '{}'",
        workflow.id
    );
    world.database.sql(&sql).await;
    assert_eq!(refusal(&world, rename).await, None);
}

#[tokio::test]
async fn migrating_twice_at_once_runs_each_migration_once() {
    let database = Database::create_empty().await;
    let (first, second) = (database.admin_store(), database.admin_store());
    let (one, other) = tokio::join!(
        store::migrate(&first, store::RoleLogin::Url),
        store::migrate(&second, store::RoleLogin::Url)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.len().min(other.len()), 0, "one of the two migrations finds nothing to do");
    assert!(one.len().max(other.len()) >= 2);
    assert_eq!(store::migrate(&first, store::RoleLogin::Url).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_databases_of_one_cluster_can_be_migrated_at_once() {
    let databases = futures_util::future::join_all((0..4).map(|_| Database::create_empty())).await;
    for round in 0..3 {
        let migrations = databases.iter().map(|database| async {
            // Roles belong to the whole cluster: migrations that write them at the same time must
            // not collide.
            database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public").await;
            store::migrate(&database.admin_store(), store::RoleLogin::Url).await
        });
        for migrated in futures_util::future::join_all(migrations).await {
            assert!(migrated.is_ok(), "round {round}: {migrated:?}");
        }
    }
}

#[tokio::test]
async fn psql_in_order_and_the_migrate_function_make_the_same_schema() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort_by_key(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name[1..name.find("__").unwrap()].parse::<u32>().unwrap()
    });
    let (by_hand, migrated) = (Database::create_empty().await, Database::create_empty().await);
    for file in files {
        let sql = std::fs::read_to_string(&file).unwrap();
        by_hand.server().sql(&by_hand.name, &sql).await.unwrap();
    }
    store::migrate(&migrated.admin_store(), store::RoleLogin::Url).await.unwrap();
    let (by_hand, migrated) = (schema(&by_hand), schema(&migrated));
    assert!(by_hand.contains("CREATE TABLE public.workflow_node_executions"));
    assert_eq!(by_hand, migrated);
}

/// The tables that grow with the work. The others have at most one row for each node.
const LARGE_TABLES: [&str; 4] = [
    "workflow_events",
    "workflow_node_queue_items",
    "workflow_node_executions",
    "workflow_node_execution_kvs",
];
/// The indexes that hot statements need.
const HOT_INDEXES: [&str; 4] = [
    "workflow_node_queue_items_order",
    "workflow_node_executions_unfinished",
    "workflow_node_executions_pending",
    "workflow_node_executions_leases",
];

/// Fills a database as after some months: much ended work and some open work. Foreign keys are not
/// checked while loading.
async fn load(world: &World) {
    world
        .database
        .sql(&format!(
            "SET session_replication_role = replica;
             CREATE TEMP TABLE w AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, 200) n;
             INSERT INTO workflows (id, organization_id, name, nodes, edges, version, created_by, created_at, updated_at)
                 SELECT id, '{}', 'load ' || n, '[]', '[]', 1, 'test', now(), now() FROM w;
             INSERT INTO workflow_nodes (workflow_id, node_id, name, type, ref, configuration, concurrency_max, version, created_at, updated_at)
                 SELECT id, 'n' || k, 'n' || k, 'component', '{{\"component\": \"http\"}}', '{{}}', CASE WHEN k % 2 = 0 THEN 1 END, 1, now(), now()
                 FROM w, generate_series(1, 10) k;
             CREATE TEMP TABLE e AS
                 SELECT gen_random_uuid() AS id, w.id AS workflow_id, 'n' || (k % 10 + 1) AS node_id, k FROM w, generate_series(1, 200) k;
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
                 SELECT id, workflow_id, node_id, id, id, 'default', 'start', '{{}}', '{{}}', 1, now() - make_interval(mins => k) FROM e;
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component, configuration,
                     workflow_version, node_version, last_sent_at, created_at, updated_at, finished_at, lease_token, lease_until)
                 SELECT gen_random_uuid(), workflow_id, node_id, id, id, id,
                     CASE WHEN k <= 196 THEN 'finished' WHEN k <= 198 THEN 'pending' ELSE 'started' END, CASE WHEN k <= 196 THEN 'passed' END,
                     'http', '{{}}', 1, 1, now(), now(), now(), CASE WHEN k <= 196 THEN now() END,
                     CASE WHEN k > 198 THEN gen_random_uuid() END, CASE WHEN k > 198 THEN now() + interval '1 hour' END FROM e;
             INSERT INTO workflow_node_execution_kvs (id, execution_id, workflow_id, node_id, key, value)
                 SELECT gen_random_uuid(), id, workflow_id, node_id, 'commit', id::text FROM workflow_node_executions;
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
                 SELECT gen_random_uuid(), workflow_id, 'n2', id, id, id, 1, now(), now() FROM e;
             SET session_replication_role = DEFAULT;
             DROP TABLE w, e;
             ANALYZE",
            world.organization_id
        ))
        .await;
}

/// The statistics of a table or index. The functions' sessions are ended first, because a session
/// reports its statistics at its end.
async fn scans(world: &World, sql: &str) -> String {
    let sessions = "FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'sealflow\\_%'";
    wait_for("the end of the functions' sessions", || async {
        world.database.sql(&format!("SELECT pg_terminate_backend(pid) {sessions}")).await;
        (world.database.count(&format!("SELECT count(*) {sessions}")).await == 0).then_some(())
    })
    .await;
    world.database.sql("SELECT pg_stat_clear_snapshot()").await;
    world.database.sql(sql).await
}

/// Makes the server log the plans of sessions that begin later; false if it can't.
async fn log_plans(database: &Database) -> bool {
    let client = database.connect_admin().await;
    if client.batch_execute("LOAD 'auto_explain'").await.is_err() {
        return false;
    }
    for setting in ["session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0"] {
        database.sql(&format!("ALTER DATABASE \"{}\" SET {setting}", database.name)).await;
    }
    true
}

/// The logged plans of a database that scan a large table.
fn plans_with_scans(database: &Database) -> String {
    let log = database.server().log().map(|log| std::fs::read_to_string(log).unwrap()).unwrap_or_default();
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match entries.last_mut() {
            Some(entry) if line.starts_with('\t') => *entry += &format!("\n{line}"),
            _ => entries.push(line.to_owned()),
        }
    }
    let is_meant = |entry: &&String| {
        entry.contains(&format!("@{} ", database.name))
            && LARGE_TABLES.iter().any(|table| entry.contains(&format!("Seq Scan on {table}")))
    };
    entries.iter().filter(is_meant).cloned().collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn hot_statements_walk_over_no_large_table() {
    let world = World::create().await;
    let target = local::target::Target::start().await.unwrap();
    let mut work = http("work", json!(2));
    work["configuration"]["url"] = json!(format!("{}/{{{{ $[\"start\"].data.n }}}}", target.url()));
    work["keys"] = json!({ "commit": "{{ root().data.n }}" });
    let noop = |id: &str| json!({ "id": id, "name": id, "component": "noop" });
    let nodes = json!([start(), noop("first"), work, noop("last")]);
    let edges = json!([
        { "from": "start", "to": "first" }, { "from": "first", "to": "work" }, { "from": "work", "channel": "success", "to": "last" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    load(&world).await;
    let has_plans = log_plans(&world.database).await;
    // Loading and ANALYZE have scanned the tables; the counts begin after them.
    world.database.sql("SELECT pg_stat_force_next_flush()").await;
    world.database.sql("SELECT pg_stat_reset()").await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    let mut wakes = Vec::new();
    for n in 0..6 {
        wakes.push(event(world.start(&workflow, "start", json!({ "n": n })).await));
    }
    build(&builder, &wakes).await;
    world.run_to_end(&builder, &executor).await;
    sweeper::sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    let tables = LARGE_TABLES.map(|table| format!("'{table}'")).join(", ");
    let sql = format!(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE seq_scan > 0 AND relname IN ({tables})"
    );
    let scanned = scans(&world, &sql).await;
    let plans =
        if has_plans && !scanned.is_empty() { plans_with_scans(&world.database) } else { String::new() };
    assert_eq!(scanned, "", "large tables that were scanned, and how often: {plans}");
    for index in HOT_INDEXES {
        let sql = format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        assert_ne!(scans(&world, &sql).await, "0", "{index} is not used");
    }
    let sql = "SELECT count(*) FROM workflow_node_executions WHERE node_id = 'last' AND result = 'passed'";
    assert_eq!(world.database.count(sql).await, 6);
}
