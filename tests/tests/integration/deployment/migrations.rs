//! Migrations: they run beside working functions, refuse a schema that others may write into, and
//! give every role its settings.

use std::time::Duration;

use store::RoleLogin;
use tests::older_schema::{BEFORE_V13, BEFORE_V27};
use tests::{Database, WAIT_MAX, wait_for};
use tokio_postgres::error::SqlState;

/// SQL that restores the schema before V9 from that before V13, as far as possible.
const BEFORE_V9: &str =
    "ALTER TABLE workflow_node_secret_refs DROP CONSTRAINT workflow_node_secret_refs_pkey, DROP COLUMN field,
        ADD PRIMARY KEY (workflow_id, node_id, node_version, secret_name, secret_key);
    DROP TRIGGER workflow_node_executions_finished ON workflow_node_executions;
    DROP FUNCTION refuse_change_of_finished, forget_secret_refs;
    ALTER TABLE workflow_events DROP COLUMN redactions, DROP COLUMN locked;
    ALTER TABLE workflow_node_executions DROP COLUMN node_generation;
    DROP FUNCTION ready_keys, next_items, node_slots, due_organizations;
    UPDATE schema_facts SET version = 8;
    DELETE FROM refinery_schema_history WHERE version >= 9";

#[tokio::test]
async fn a_migration_behind_an_open_reader_stops_no_function() {
    let database = Database::create().await;
    database.sql(BEFORE_V27).await;
    database.sql(BEFORE_V13).await;
    database.sql(BEFORE_V9).await;
    let reader = database.connect_admin().await;
    reader.batch_execute("BEGIN; SELECT FROM workflow_node_secret_refs").await.unwrap();
    let store = database.admin_store();
    let migration = tokio::spawn(async move { store::migrate(&store, RoleLogin::Url).await });
    let waits = || async {
        let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'workflow_node_secret_refs'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted";
        (database.sql(waiting).await == "t").then_some(())
    };
    // The migration waits for the lock and gives up, twice. A function behind it in the queue of
    // the lock waits only that long.
    let function = database.connect("api").await;
    for _ in 0..2 {
        wait_for("the migration waits", waits).await;
        let answer =
            tokio::time::timeout(WAIT_MAX, function.batch_execute("SELECT FROM workflow_node_secret_refs"))
                .await;
        let answer = answer.expect("it gets through while the reader still reads");
        assert_eq!(
            answer.err().and_then(|error| error.code().cloned()),
            None,
            "not {:?}",
            SqlState::LOCK_NOT_AVAILABLE
        );
    }
    assert!(!migration.is_finished());
    reader.batch_execute("COMMIT").await.unwrap();
    let applied = tokio::time::timeout(Duration::from_secs(60), migration).await.unwrap().unwrap().unwrap();
    assert_eq!(
        applied,
        [
            "V9__secret_ref_fields",
            "V10__finished_is_finished",
            "V11__redactions",
            "V12__one_path_for_limits",
            "V13__time_outs_of_runs",
            "V14__runs_are_rows",
            "V15__every_row_has_a_run",
            "V16__events_are_checked",
            "V17__executions_are_checked",
            "V18__one_way_to_the_root",
            "V19__one_intake",
            "V20__errors_are_routed",
            "V21__room_for_held",
            "V22__held_executions",
            "V23__held_indexes",
            "V24__held_executions_are_checked",
            "V25__waits_are_held",
            "V26__fewer_indexes",
            "V27__cheaper_executions",
            "V28__cheaper_items",
            "V29__cheaper_events",
            "V30__cheaper_keys",
            "V31__cheaper_runs",
            "V32__executions_are_checked_again",
            "V33__items_are_checked_again",
            "V34__runs_are_checked_again",
            "V35__due_organizations_by_key",
            "V36__organizations_keep_runs_for_days",
            "V37__runs_expire",
            "V38__expired_runs_are_deleted",
            "V39__runs_are_checked_by_a_function",
            "V40__events_are_checked_by_a_function",
            "V41__items_belong_to_their_events_run",
            "V42__executions_belong_to_their_events_run",
            "V43__events_are_known_with_their_run",
            "V44__deliveries_lock_no_webhook",
            "V45__runs_are_held_to_it",
            "V46__events_are_held_to_it",
            "V47__items_are_held_to_it",
            "V48__executions_are_held_to_it",
            "V49__executions_are_held_to_their_event",
            "V50__executions_are_held_to_their_redrive",
            "V51__marks_are_held_to_it",
            "V52__sweeps_look_at_some",
            "V53__the_oldest_transaction",
            "V54__deliveries_are_counted",
            "V55__calls_a_second",
            "V56__who_did_what",
            "V57__visits",
            "V58__schedules",
            "V59__error_handlers",
            "V60__approvals",
            "V61__joins",
            "V62__callbacks",
            "V63__blueprints",
            "V64__sub_runs",
            "V65__sub_runs_are_found",
            "V66__called_runs",
            "V67__called_runs_are_found",
            "V68__schemas_of_callbacks",
        ]
    );
    assert_eq!(store::migrate(&database.admin_store(), RoleLogin::Url).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_lost_its_settings_has_them_again_after_migrate() {
    let database = Database::create().await;
    let settings = "SELECT string_agg(s, ',' ORDER BY s) FROM pg_db_role_setting r, unnest(setconfig) AS s
        WHERE setrole = 'sealflow_executor'::regrole AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let before = database.sql(settings).await;
    assert!(
        before.contains("idle_in_transaction_session_timeout=5s") && before.contains("lock_timeout=3s"),
        "{before}"
    );
    database
        .sql(&format!("ALTER ROLE sealflow_executor IN DATABASE \"{}\" RESET ALL", database.name()))
        .await;
    database.sql(&format!("REVOKE CONNECT ON DATABASE \"{}\" FROM sealflow_executor", database.name())).await;
    assert_eq!(database.sql(settings).await, "");
    assert_eq!(store::migrate(&database.admin_store(), RoleLogin::Url).await.unwrap(), Vec::<String>::new());
    assert_eq!(database.sql(settings).await, before);
    database.connect("executor").await;
}

#[tokio::test]
async fn migrate_runs_nothing_where_others_may_have_put_something_i7() {
    let refused = async |database: &Database| {
        let migrated = store::migrate(&database.admin_store(), RoleLogin::Url).await;
        migrated.err().map(|error| error.to_string()).unwrap_or_default()
    };
    // A function's role may create objects in the schema: migrate names the role and runs nothing.
    let database = Database::create().await;
    database.sql("GRANT CREATE ON SCHEMA public TO sealflow_webhook").await;
    assert!(refused(&database).await.starts_with("sealflow_webhook may create in the schema public"));
    // The role has created a function. Postgres would prefer it to the function that migrations
    // mean.
    let evil = "CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run by %', current_user; END $$";
    database.connect("webhook").await.batch_execute(evil).await.unwrap();
    database.sql("REVOKE CREATE ON SCHEMA public FROM sealflow_webhook").await;
    assert_eq!(
        refused(&database).await,
        "the function format(text,name) in the schema public is sealflow_webhook's: look at it, then drop it or make it the migrating role's"
    );
    database.sql("DROP FUNCTION public.format(text, name)").await;
    assert_eq!(refused(&database).await, "");
    // A foreign role has created a table that migrations would write into, so its triggers would
    // run.
    let mallory = "GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory; CREATE TABLE public.refinery_note (x int); RESET ROLE;";
    database
        .sql(&format!(
            "DO $$ BEGIN CREATE ROLE mallory; EXCEPTION WHEN duplicate_object THEN NULL; END $$; {mallory}"
        ))
        .await;
    assert!(refused(&database).await.starts_with("mallory may create in the schema public"));
    database.sql("REVOKE CREATE ON SCHEMA public FROM mallory").await;
    assert!(
        refused(&database).await.starts_with("the relation refinery_note in the schema public is mallory's")
    );
    database.sql("DROP TABLE public.refinery_note").await;
    assert_eq!(refused(&database).await, "");
    // Rights of PUBLIC, as they were before Postgres 15, are taken back without a question.
    database.sql("GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    assert_eq!(refused(&database).await, "");
    let may_create = "SELECT has_schema_privilege('sealflow_webhook', 'public', 'CREATE')";
    assert_eq!(database.sql(may_create).await, "f");
    let may_connect = "SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() AND a.grantee = 0";
    assert_eq!(database.sql(may_connect).await, "0", "PUBLIC may not even connect");
}

#[tokio::test]
async fn an_older_migrate_leaves_a_newer_schema_alone() {
    let database = Database::create().await;
    database
        .sql("INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'later', '2030-01-01T00:00:00Z', '1')")
        .await;
    // A deployment that is rolled back invokes the older migrate function.
    assert_eq!(store::migrate(&database.admin_store(), RoleLogin::Url).await.unwrap(), Vec::<String>::new());
    // A migration that is missing below a newer one would never run.
    database.sql("DELETE FROM refinery_schema_history WHERE version = 6").await;
    let refused = store::migrate(&database.admin_store(), RoleLogin::Url).await.unwrap_err().to_string();
    assert!(refused.starts_with("the history has V999 and not V6, which would never run"), "{refused}");
}

#[tokio::test]
async fn roles_are_made_without_rds_iam_and_get_it_only_for_a_login_by_token() {
    // The test has a cluster of its own: the migrations of all tests in one cluster would find
    // rds_iam.
    let stack = local::stack::StackOptions::new().postgres().own().start().await.unwrap();
    let server = stack.postgres();
    let name = server.create_database("rds").await.unwrap();
    let run = async |sql: &str| server.sql(&name, sql).await.unwrap();
    // rds_iam is a superuser, so the database's owner may not grant it. From Postgres 16 on, this
    // holds for any role without the admin option.
    run("CREATE ROLE rds_iam SUPERUSER; CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'owner'").await;
    run(&format!("ALTER DATABASE \"{name}\" OWNER TO owner; ALTER SCHEMA public OWNER TO owner")).await;
    for role in store::FUNCTION_ROLES {
        run(&format!("DROP ROLE {role}")).await;
    }
    let url = server.url("owner", &name);
    let (before, after) = url.split_once("owner:").unwrap();
    let (_, place) = after.split_once('@').unwrap();
    let store =
        store::Store::new(store::StoreSettings::local(format!("{before}owner:owner@{place}"), "test"))
            .unwrap();
    let holders = "SELECT coalesce(string_agg(rolname, ',' ORDER BY rolname), '') FROM pg_roles
        WHERE rolname LIKE 'sealflow\\_%' AND pg_has_role(oid, 'rds_iam', 'MEMBER')";
    // The owner may not grant rds_iam. Logins by password do not need it.
    store::migrate(&store, RoleLogin::Password).await.unwrap();
    assert_eq!(run(holders).await, "");
    run("ALTER ROLE rds_iam NOSUPERUSER; GRANT rds_iam TO owner WITH ADMIN OPTION").await;
    store::migrate(&store, RoleLogin::Iam).await.unwrap();
    let all =
        "sealflow_api,sealflow_builder,sealflow_executor,sealflow_rewrap,sealflow_sweeper,sealflow_webhook";
    assert_eq!(run(holders).await, all);
    store::migrate(&store, RoleLogin::Password).await.unwrap();
    assert_eq!(run(holders).await, "");
    // The error names the grant that the owner may not revoke, and the role that may revoke it.
    run("REVOKE rds_iam FROM owner CASCADE; GRANT rds_iam TO sealflow_api; ALTER ROLE owner NOCREATEROLE")
        .await;
    let refused = store::migrate(&store, RoleLogin::Password).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "RDS takes no password from a role that has rds_iam: as the master, REVOKE rds_iam FROM sealflow_api CASCADE; then migrate again"
    );
}
