//! I7: each function's role has the rights that the function needs and no others. Its time-outs and
//! connection limits are set.

use domain::ids::WorkflowId;
use std::collections::BTreeMap;

use serde_json::json;
use store::builder::{Wakes, lock_woken_nodes};
use store::{LockMode, StoreError};
use tests::{Database, Gate, World, wait_for};
use tokio_postgres::error::SqlState;

const ROLES: [&str; 6] = ["api", "webhook", "builder", "executor", "sweeper", "rewrap"];

/// The privileges of each role on each table, in the order of [`ROLES`]: Select, Insert, Update of
/// at least one column, Delete.
const PRIVILEGES: [(&str, [&str; 6]); 28] = [
    ("api_tokens", ["SIU", "", "", "", "", ""]),
    ("audit_log", ["SI", "", "", "", "", ""]),
    ("blueprints", ["SIU", "", "", "", "", ""]),
    ("error_handlers", ["SID", "", "", "", "", ""]),
    ("execution_joins", ["S", "", "SI", "S", "S", ""]),
    ("failed_runs", ["", "", "SUD", "", "SU", ""]),
    ("function_heartbeats", ["", "", "SIU", "SIU", "S", ""]),
    ("organizations", ["SU", "S", "S", "S", "S", ""]),
    ("refinery_schema_history", ["", "", "", "", "", ""]),
    ("schedules", ["SIUD", "", "SU", "", "SU", ""]),
    ("schema_facts", ["S", "S", "S", "S", "S", "S"]),
    ("secrets", ["SIUD", "", "", "S", "", "SU"]),
    ("webhook_deduplications", ["", "SIU", "", "", "SD", ""]),
    ("webhook_deliveries", ["S", "SIU", "", "", "", ""]),
    ("webhooks", ["SIU", "S", "", "", "", "SU"]),
    ("workflow_events", ["SIU", "SI", "SIU", "SI", "S", ""]),
    ("workflow_execution_calls", ["SI", "", "SU", "", "S", ""]),
    ("workflow_execution_wakes", ["SI", "", "SU", "", "SIU", ""]),
    ("workflow_node_execution_kvs", ["S", "", "SI", "", "", ""]),
    ("workflow_node_executions", ["SIU", "", "SIU", "SIU", "SIU", ""]),
    ("workflow_node_queue_items", ["SIUD", "SI", "SIUD", "SI", "SUD", ""]),
    ("workflow_node_secret_refs", ["SI", "", "", "S", "", ""]),
    ("workflow_node_turns", ["", "", "", "SIU", "", ""]),
    ("workflow_nodes", ["SIU", "S", "SU", "SU", "SU", ""]),
    ("workflow_run_marks", ["SI", "", "SI", "S", "S", ""]),
    ("workflow_run_visits", ["", "", "SIU", "", "", ""]),
    ("workflow_runs", ["SIU", "I", "SU", "SU", "SU", ""]),
    ("workflow_versions", ["SI", "", "", "", "", ""]),
];
/// The privileges on `workflows`, as a further row of [`PRIVILEGES`].
const WORKFLOWS: [&str; 6] = ["SIU", "S", "S", "S", "SU", "S"];

/// Statements that a role is refused, by role.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    (
        "api",
        &[
            "DELETE FROM workflow_events",
            "DELETE FROM workflow_node_executions",
            "INSERT INTO workflow_node_executions (residuals) VALUES ('[]')",
            "INSERT INTO workflow_node_executions (policy) VALUES ('{}')",
            "INSERT INTO workflow_node_executions (lease_token) VALUES (gen_random_uuid())",
            "DELETE FROM workflow_runs",
            "UPDATE workflow_runs SET organization_id = gen_random_uuid()",
            "DELETE FROM api_tokens",
            "UPDATE api_tokens SET made_by = NULL",
            "UPDATE api_tokens SET kind = 'member'",
            "UPDATE audit_log SET actor = 'somebody'",
            "DELETE FROM audit_log",
            "UPDATE organizations SET suspended_at = NULL",
            "SELECT end_audit_lines(30, 1)",
            "UPDATE api_tokens SET token_sha256 = ''",
            "UPDATE api_tokens SET expires_at = NULL",
            "UPDATE schema_facts SET oldest_code = 1",
            "UPDATE workflow_node_executions SET residuals = '[]'",
            "UPDATE workflow_node_executions SET configuration = '{}'",
            "UPDATE workflows SET organization_id = gen_random_uuid()",
            "UPDATE secrets SET domain_id = gen_random_uuid()",
            "UPDATE secrets SET name = 'other'",
            "UPDATE webhooks SET workflow_id = gen_random_uuid()",
            "UPDATE workflow_events SET data = '{}'",
            "CREATE TABLE mine (id int)",
        ],
    ),
    (
        "webhook",
        &[
            "SELECT data FROM workflow_events",
            "SELECT name FROM workflow_runs",
            "UPDATE workflow_runs SET state = 'finished'",
            "SELECT custom_name FROM workflow_events",
            "SELECT data FROM secrets",
            "SELECT id FROM secrets",
            "SELECT id FROM workflow_node_executions",
            "SELECT configuration FROM workflow_nodes",
            "SELECT token_sha256 FROM api_tokens",
            "SELECT secret_name FROM workflow_node_secret_refs",
            "UPDATE webhooks SET version = 2",
            "UPDATE workflow_events SET data = '{}'",
            "DELETE FROM workflow_node_queue_items",
            "SELECT FROM workflow_nodes FOR NO KEY UPDATE",
        ],
    ),
    (
        "builder",
        &[
            "SELECT data FROM secrets",
            "SELECT id FROM secrets",
            "SELECT signing_keys FROM webhooks",
            "SELECT id FROM webhooks",
            "SELECT token_sha256 FROM api_tokens",
            "SELECT secret_name FROM workflow_node_secret_refs",
            "UPDATE workflow_node_executions SET configuration = '{}'",
            "UPDATE workflow_node_executions SET residuals = '[]'",
            "INSERT INTO workflow_execution_calls (id) VALUES (gen_random_uuid())",
            "INSERT INTO workflow_execution_wakes (cause) VALUES ('cancelled')",
            "UPDATE workflow_execution_calls SET called_by = 'another'",
            "UPDATE workflow_nodes SET configuration = '{}'",
            "UPDATE workflow_nodes SET concurrency_max = NULL",
            "UPDATE workflow_node_queue_items SET node_id = 'other'",
            "UPDATE workflow_events SET data = '{}'",
            "UPDATE workflows SET version = 1",
            "DELETE FROM workflow_events",
        ],
    ),
    (
        "executor",
        &[
            "SELECT data FROM workflow_events",
            "SELECT signing_keys FROM webhooks",
            "SELECT token_sha256 FROM api_tokens",
            "UPDATE workflow_node_executions SET configuration = '{}'",
            "UPDATE workflow_node_executions SET residuals = '[]'",
            "UPDATE workflow_node_executions SET policy = '{}'",
            "UPDATE workflow_node_executions SET component = 'noop'",
            "UPDATE workflow_node_executions SET workflow_id = gen_random_uuid()",
            "UPDATE workflow_node_executions SET node_id = 'other'",
            "UPDATE workflow_node_executions SET node_version = 1",
            "UPDATE workflows SET organization_id = gen_random_uuid()",
            "UPDATE workflow_node_secret_refs SET secret_name = 'other'",
            "INSERT INTO workflow_node_secret_refs DEFAULT VALUES",
            "INSERT INTO workflow_node_executions (residuals) VALUES ('[]')",
            "INSERT INTO workflow_node_executions (policy) VALUES ('{}')",
            "INSERT INTO workflow_node_executions (lease_token, lease_until) VALUES (gen_random_uuid(), now())",
            "UPDATE workflow_node_executions SET redriven_event_id = NULL",
            "UPDATE secrets SET data = ''",
            "DELETE FROM secrets",
            "DELETE FROM workflow_node_queue_items",
        ],
    ),
    (
        "sweeper",
        &[
            "SELECT data FROM secrets",
            "SELECT signing_keys FROM webhooks",
            "SELECT previous_until FROM webhooks",
            "UPDATE webhooks SET previous_token_sha256 = NULL",
            "SELECT token_sha256 FROM api_tokens",
            "UPDATE workflow_node_executions SET configuration = '{}'",
            "UPDATE workflow_node_executions SET attempt = 2",
            "UPDATE workflow_node_executions SET residuals = '[]'",
            "UPDATE workflow_node_executions SET component = 'http'",
            "UPDATE workflow_node_executions SET node_version = 1",
            "UPDATE workflow_node_executions SET lease_token = gen_random_uuid()",
            "UPDATE workflow_node_executions SET lease_until = now()",
            "INSERT INTO workflow_node_executions (residuals) VALUES ('[]')",
            "INSERT INTO workflow_node_executions (policy) VALUES ('{}')",
            "INSERT INTO workflow_node_executions (lease_token, lease_until) VALUES (gen_random_uuid(), now())",
            "UPDATE workflow_node_queue_items SET created_at = now()",
            "INSERT INTO workflow_events DEFAULT VALUES",
            "INSERT INTO workflow_node_queue_items DEFAULT VALUES",
            "UPDATE workflow_nodes SET concurrency_max = NULL",
        ],
    ),
    (
        "rewrap",
        &[
            "SELECT name FROM secrets",
            "UPDATE secrets SET domain_id = gen_random_uuid()",
            "UPDATE secrets SET updated_at = now()",
            "INSERT INTO secrets DEFAULT VALUES",
            "DELETE FROM secrets",
            "SELECT address FROM webhooks",
            "SELECT token_sha256 FROM webhooks",
            "UPDATE webhooks SET version = 2",
            "UPDATE webhooks SET authentication = 'none'",
            "SELECT nodes FROM workflows",
            "SELECT id FROM workflow_node_executions",
            "SELECT data FROM workflow_events",
            "SELECT token_sha256 FROM api_tokens",
        ],
    ),
];

#[tokio::test]
async fn each_role_has_these_privileges_and_no_other_i7() {
    let database = Database::create().await;
    let roles = ROLES.map(|role| {
        let role = format!("sealflow_{role}");
        format!(
            "CASE WHEN has_any_column_privilege('{role}', c.oid, 'SELECT') THEN 'S' ELSE '' END
             || CASE WHEN has_any_column_privilege('{role}', c.oid, 'INSERT') THEN 'I' ELSE '' END
             || CASE WHEN has_any_column_privilege('{role}', c.oid, 'UPDATE') THEN 'U' ELSE '' END
             || CASE WHEN has_table_privilege('{role}', c.oid, 'DELETE, TRUNCATE, REFERENCES, TRIGGER') THEN 'D' ELSE '' END"
        )
    });
    let sql = format!(
        "SELECT c.relname, {} FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace",
        roles.join(", ")
    );
    let rows = database.sql(&sql).await;
    let found: BTreeMap<&str, Vec<&str>> = rows
        .lines()
        .map(|line| {
            let mut parts = line.split('|');
            (parts.next().unwrap(), parts.collect())
        })
        .collect();
    let expected = PRIVILEGES.iter().chain([&("workflows", WORKFLOWS)]);
    let expected: BTreeMap<&str, Vec<&str>> =
        expected.map(|(table, roles)| (*table, roles.to_vec())).collect();
    assert_eq!(found, expected, "I7");
}

/// The columns that each role may see and change in the tables that hold credentials: `TABLE
/// PRIVILEGE: columns`, `*` for all of them.
const CREDENTIAL_COLUMNS: [(&str, &[&str]); 6] = [
    (
        "api",
        &[
            "api_tokens INSERT: *",
            "api_tokens SELECT: *",
            "api_tokens UPDATE: grants,revoked_at,role,throttled,used_at",
            "secrets INSERT: *",
            "secrets SELECT: *",
            "secrets UPDATE: data,updated_at",
            "webhooks INSERT: *",
            "webhooks SELECT: *",
            "webhooks UPDATE: authentication,current_key_name,deduplication_header,deleted_at,header_name,previous_signing_keys,\
             previous_token_sha256,previous_until,signing_keys,token_sha256,updated_at,version",
        ],
    ),
    ("webhook", &["webhooks SELECT: *"]),
    ("builder", &[]),
    ("executor", &["secrets SELECT: data,domain_id,domain_type,id,name,provider"]),
    ("sweeper", &[]),
    (
        "rewrap",
        &[
            "secrets SELECT: data,domain_id,domain_type,id",
            "secrets UPDATE: data",
            "webhooks SELECT: id,previous_signing_keys,signing_keys,workflow_id",
            "webhooks UPDATE: previous_signing_keys,signing_keys",
        ],
    ),
];

#[tokio::test]
async fn each_role_sees_and_changes_these_columns_of_credentials_and_no_other_i7() {
    let database = Database::create().await;
    for (role, expected) in CREDENTIAL_COLUMNS {
        let sql = format!(
            "SELECT c.relname || ' ' || p.privilege || ': ' ||
                 CASE WHEN count(*) = (SELECT count(*) FROM pg_attribute x WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped)
                      THEN '*' ELSE string_agg(a.attname, ',' ORDER BY a.attname) END AS line
             FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS p (privilege)
             WHERE c.oid IN ('api_tokens'::regclass, 'secrets'::regclass, 'webhooks'::regclass)
               AND has_column_privilege('sealflow_{role}', c.oid, a.attnum, p.privilege)
             GROUP BY c.oid, c.relname, p.privilege ORDER BY 1"
        );
        let found = database.sql(&sql).await;
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "I7: {role}");
    }
}

#[tokio::test]
async fn a_function_of_its_owners_rights_is_run_by_one_role_i7() {
    let database = Database::create().await;
    let sql = "SELECT p.proname, p.proconfig::text, string_agg(r.rolname, ',' ORDER BY r.rolname)
        FROM pg_proc p LEFT JOIN pg_roles r ON r.rolname LIKE 'sealflow\\_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
        WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace GROUP BY 1, 2";
    // Functions of triggers run without a right to call them, so no role has one.
    let all = "sealflow_api,sealflow_builder,sealflow_executor,sealflow_sweeper";
    let expected = [
        ("begin_sub_runs", "sealflow_builder"),
        ("cause_joins", all),
        ("end_audit_lines", "sealflow_sweeper"),
        ("forget_previous_webhook_keys", "sealflow_sweeper"),
        ("forget_secret_refs", "sealflow_sweeper"),
        ("forget_secret_refs_after", "sealflow_sweeper"),
        ("give_run", ""),
        ("has_error_handler", all),
        ("mark_stopped_run", ""),
        ("note_failed_run", ""),
        ("oldest_transaction_seconds", "sealflow_sweeper"),
        ("route_error", ""),
        ("stop_marked_run", ""),
        ("take_callback", "sealflow_webhook"),
    ]
    .map(|(name, role)| format!("{name}|{{\"search_path=pg_catalog, pg_temp\"}}|{role}"));
    let deletes =
        "delete_expired_run|{\"search_path=pg_catalog, pg_temp\",lock_timeout=100ms}|sealflow_sweeper";
    let begins = ["begin_called_run", "begin_error_run", "begin_scheduled_run"]
        .map(|name| format!("{name}|{{\"search_path=pg_catalog, public, pg_temp\"}}|sealflow_builder"));
    let mut lines: Vec<String> = expected.into_iter().chain(begins).chain([deletes.to_owned()]).collect();
    lines.sort_unstable();
    let found = database.sql(sql).await;
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, lines, "I7");
    let intake = "SELECT string_agg(r.rolname, ',' ORDER BY r.rolname) FROM pg_roles r
        WHERE r.rolname LIKE 'sealflow\\_%' AND has_function_privilege(r.oid, 'begin_run'::regproc, 'EXECUTE')";
    assert_eq!(database.sql(intake).await, "sealflow_api,sealflow_webhook", "I7");
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused_i7() {
    let database = Database::create().await;
    for (role, statements) in FORBIDDEN {
        let client = database.connect(role).await;
        for statement in statements {
            let code = client.batch_execute(statement).await.err().and_then(|error| error.code().cloned());
            assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "I7: {role}: {statement}");
        }
    }
}

#[tokio::test]
async fn the_builder_changes_held_executions_alone_i7() {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "work", "name": "Work", "component": "http", "configuration": { "url": "https://a.test" } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    tests::world::build(&world.builder(), &[tests::world::event(run_id)]).await;
    let builder = world.database.connect("builder").await;
    let end =
        "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()";
    let code = builder.batch_execute(end).await.err().and_then(|error| error.code().cloned());
    assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "I7");
}

#[tokio::test]
async fn no_role_is_more_than_a_login_i7() {
    let database = Database::create().await;
    let sql = "SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls), bool_and(rolcanlogin), count(*)
        FROM pg_roles WHERE rolname LIKE 'sealflow\\_%'";
    assert_eq!(database.sql(sql).await, "f|t|6", "I7");
    let sql = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname LIKE 'sealflow\\_%'";
    assert_eq!(database.count(sql).await, 0, "I7: no role is a member of another");
}

#[tokio::test]
async fn every_role_has_its_time_outs() {
    // The database is migrated and not copied, as the one of the functions is.
    let database = Database::create_empty().await;
    store::migrate(&database.admin_store(), store::RoleLogin::Url).await.unwrap();
    for role in ROLES {
        let client = database.connect(role).await;
        let expected = [
            ("idle_in_transaction_session_timeout", "5s"),
            ("statement_timeout", "10s"),
            ("lock_timeout", "3s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "3"),
            ("tcp_keepalives_count", "3"),
            // Postgres gives the socket's value, in milliseconds.
            ("tcp_user_timeout", "15000"),
        ];
        for (name, value) in expected {
            let row = client.query_one(&format!("SELECT current_setting('{name}')"), &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), value, "{role}: {name}");
        }
    }
}

#[tokio::test]
async fn a_role_without_a_time_out_is_refused_at_the_start() {
    let database = Database::create().await;
    let first = (WorkflowId::from_u128(0), String::new());
    for setting in ["idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"] {
        let name = &database.name;
        database.sql(&format!("ALTER ROLE sealflow_sweeper IN DATABASE \"{name}\" SET {setting} = 0")).await;
        let error = store::sweeper::mark_full_nodes(&database.store("sweeper"), &first, 1).await.unwrap_err();
        assert!(matches!(&error, StoreError::Setup(text) if text.contains(setting)), "{error}");
        database
            .sql(&format!("ALTER ROLE sealflow_sweeper IN DATABASE \"{name}\" SET {setting} = '5s'"))
            .await;
    }
    store::sweeper::mark_full_nodes(&database.store("sweeper"), &first, 1).await.unwrap();
}

#[tokio::test]
async fn a_frozen_builder_lets_go_of_its_locks() {
    let world = World::create().await;
    let node = json!({ "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test" } });
    let workflow = world.workflow(json!([node]), json!([])).await;
    let database = &world.database;
    let sql = format!(
        "ALTER ROLE sealflow_builder IN DATABASE \"{}\" SET idle_in_transaction_session_timeout = '300ms'",
        database.name
    );
    database.sql(&sql).await;
    let (store, gate) = (database.store("builder"), Gate::closed());
    let wakes = &Wakes { event_ids: Vec::new(), nodes: vec![(workflow.id, "work".into())] };
    let frozen = store.run_tx("frozen", |tx| {
        let gate = &gate;
        async move {
            let locked = lock_woken_nodes(&tx, wakes, LockMode::SkipLocked).await?;
            gate.pass().await;
            Ok(locked.locked.len())
        }
    });
    let (frozen, ()) = tokio::join!(frozen, async {
        gate.wait_for_arrival().await;
        wait_for("the node's lock", || async {
            let sql = "SELECT node_id FROM workflow_nodes FOR NO KEY UPDATE SKIP LOCKED";
            (database.sql(sql).await == "work").then_some(())
        })
        .await;
        // The thawed transaction learns at its COMMIT that the server had ended it. It runs again
        // on a new connection.
        gate.let_through();
        gate.wait_for_arrival().await;
        gate.let_through();
    });
    assert_eq!(frozen.unwrap(), 1);
}

#[tokio::test]
async fn connection_limits_leave_room_below_the_servers() {
    /// The default of Postgres. [`RESERVE`] of them are for the superuser, migrations and people.
    const CONNECTIONS_MAX: i64 = 100;
    const RESERVE: i64 = 10;
    let database = Database::create().await;
    let sql = "SELECT sum(rolconnlimit), min(rolconnlimit) FROM pg_roles WHERE rolname LIKE 'sealflow\\_%'";
    let limits = database.sql(sql).await;
    let (sum, least) = limits.split_once('|').unwrap();
    assert!(sum.parse::<i64>().unwrap() <= CONNECTIONS_MAX - RESERVE, "{limits}");
    assert!(least.parse::<i64>().unwrap() > 0, "no role is without a limit: {limits}");
}
