//! Runs from before runs were rows: each gets a row with the state that the old query gives, while
//! older functions go on.

use serde_json::json;
use store::RoleLogin;
use tests::older_schema::{BEFORE_V13, BEFORE_V27};
use tests::{Database, Workflow, World, wait_for};

/// The state of each run by the query before V14: the counts of its items and executions.
const STATES_BEFORE: &str = "
    SELECT string_agg(e.data ->> 'what' || '=' || CASE
        WHEN EXISTS (SELECT FROM workflow_node_queue_items i WHERE i.root_event_id = e.id) AND m.reason IS NULL OR c.active THEN 'running'
        WHEN m.reason = 'run_limit' THEN 'failed' WHEN m.reason = 'cancelled' THEN 'cancelled'
        WHEN c.failed THEN 'failed' WHEN c.cancelled THEN 'cancelled' ELSE 'passed' END, ' ' ORDER BY e.data ->> 'what')
    FROM workflow_events e LEFT JOIN workflow_run_marks m ON m.root_event_id = e.id
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(x.state <> 'finished'), false) AS active, coalesce(bool_or(x.result = 'cancelled'), false) AS cancelled,
            coalesce(bool_or(x.result = 'failed' AND x.redriven_event_id IS NULL AND NOT EXISTS (
                SELECT FROM workflow_events o WHERE o.execution_id = x.id AND o.channel = 'failure' AND cardinality(o.targets) > 0)), false) AS failed
        FROM workflow_node_executions x WHERE x.root_event_id = e.id) c
    WHERE e.root_event_id = e.id";

const STATES_NOW: &str = "
    SELECT string_agg(e.data ->> 'what' || '=' || coalesce(r.result, r.state), ' ' ORDER BY e.data ->> 'what')
    FROM workflow_runs r JOIN workflow_events e ON e.id = r.id";

/// SQL that starts a run as code before V14 does: without a row and an id for the run.
fn start(workflow: &Workflow, what: &str) -> String {
    format!(
        "INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
         SELECT id, '{}', 'start', id, 'default', 'start', '{{\"what\": \"{what}\"}}', '{{work}}', 1, now() FROM (SELECT gen_random_uuid() AS id) new;",
        workflow.id
    )
}

/// SQL that makes an execution of the run as code before V14 does. `columns` are the state, the
/// result and the columns that belong to them.
fn execution(workflow: &Workflow, what: &str, columns: &str, values: &str) -> String {
    format!(
        "INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, component, configuration, workflow_version,
             node_version, last_sent_at, created_at, updated_at, {columns})
         SELECT gen_random_uuid(), '{}', 'work', id, id, 'noop', '{{}}', 1, 1, now(), now(), now(), {values}
         FROM workflow_events WHERE data ->> 'what' = '{what}';",
        workflow.id
    )
}

fn item(workflow: &Workflow, what: &str) -> String {
    format!(
        "INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
         SELECT gen_random_uuid(), '{}', 'work', id, id, 1, now(), now() FROM workflow_events WHERE data ->> 'what' = '{what}';",
        workflow.id
    )
}

fn mark(what: &str, reason: &str) -> String {
    format!(
        "INSERT INTO workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
         SELECT id, workflow_id, '{reason}', 'test', now() FROM workflow_events WHERE data ->> 'what' = '{what}';"
    )
}

/// SQL that makes the event of a failure of the run's execution, with an edge that took the
/// failure.
fn failure_event(workflow: &Workflow, what: &str) -> String {
    format!(
        "INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, execution_id, created_at)
         SELECT gen_random_uuid(), x.workflow_id, 'work', x.root_event_id, 'failure', 'http.failure', '{{}}', '{{told}}', 2, x.id, now()
         FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.root_event_id
         WHERE e.data ->> 'what' = '{what}' AND x.workflow_id = '{}';",
        workflow.id
    )
}

const FINISHED: &str = "state, result, finished_at";

/// Makes a run in each of the states before V14.
async fn runs_of_before(world: &World) -> Workflow {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "noop" },
        { "id": "told", "name": "told", "component": "noop" },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    world.database.sql(BEFORE_V27).await;
    world.database.sql(BEFORE_V13).await;
    let passed = "'finished', 'passed', now()";
    let failed = "'finished', 'failed', now()";
    let all = [
        ("empty", vec![]),
        ("waiting", vec![item(&workflow, "waiting")]),
        ("pending", vec![execution(&workflow, "pending", "state", "'pending'")]),
        (
            "started",
            vec![execution(
                &workflow,
                "started",
                "state, started_at, lease_token, lease_until",
                "'started', now(), gen_random_uuid(), now() + interval '1 hour'",
            )],
        ),
        (
            "retrying",
            vec![execution(
                &workflow,
                "retrying",
                "state, started_at, attempt, run_at",
                "'pending', now(), 2, now() + interval '1 hour'",
            )],
        ),
        ("passed", vec![execution(&workflow, "passed", FINISHED, passed)]),
        ("failed", vec![execution(&workflow, "failed", FINISHED, failed)]),
        (
            "routed",
            vec![execution(&workflow, "routed", FINISHED, failed), failure_event(&workflow, "routed")],
        ),
        ("ended", vec![execution(&workflow, "ended", FINISHED, "'finished', 'cancelled', now()")]),
        (
            "cancelled",
            vec![execution(&workflow, "cancelled", FINISHED, failed), mark("cancelled", "cancelled")],
        ),
        ("limit", vec![execution(&workflow, "limit", FINISHED, failed), mark("limit", "run_limit")]),
    ];
    for (what, rows) in all {
        world.database.sql(&format!("{}{}", start(&workflow, what), rows.concat())).await;
    }
    workflow
}

async fn migrate(database: &Database) {
    store::migrate(&database.admin_store(), RoleLogin::Url).await.expect("it migrates");
}

#[tokio::test]
async fn every_run_has_the_state_that_it_had_before() {
    let world = World::create().await;
    let workflow = runs_of_before(&world).await;
    let before = world.database.sql(STATES_BEFORE).await;
    assert!(
        before.starts_with("cancelled=cancelled empty=passed ended=cancelled failed=failed limit=failed"),
        "{before}"
    );
    migrate(&world.database).await;
    assert_eq!(world.database.sql(STATES_NOW).await, before);
    let without = "SELECT (SELECT count(*) FROM workflow_events WHERE run_id IS DISTINCT FROM root_event_id)
        + (SELECT count(*) FROM workflow_node_queue_items WHERE run_id IS DISTINCT FROM root_event_id)
        + (SELECT count(*) FROM workflow_node_executions WHERE run_id IS DISTINCT FROM root_event_id)";
    assert_eq!(world.database.count(without).await, 0);
    let routed = "SELECT string_agg(e.data ->> 'what', ' ') FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.root_event_id
        WHERE x.failure_routed";
    assert_eq!(world.database.sql(routed).await, "routed");
    // Only one state differs: the item of a stopped run counts as open work now, and the sweeper
    // ends it.
    world
        .database
        .sql(&format!(
            "{}{}{}",
            start(&workflow, "stopped"),
            item(&workflow, "stopped"),
            mark("stopped", "cancelled")
        ))
        .await;
    let state = "SELECT r.state FROM workflow_runs r JOIN workflow_events e ON e.id = r.id WHERE e.data ->> 'what' = 'stopped'";
    assert_eq!(world.database.sql(state).await, "running");
    world.database.sql("UPDATE workflow_runs SET updated_at = now() - interval '5 minutes', created_at = now() - interval '5 minutes'").await;
    sweeper::sweep(&world.sweeper(60), tests::tick()).await.unwrap();
    assert_eq!(world.database.sql(&state.replace("r.state", "r.result")).await, "cancelled");
}

#[tokio::test]
async fn functions_of_before_write_on_while_runs_become_rows() {
    let world = World::create().await;
    let workflow = runs_of_before(&world).await;
    // An older function is in the middle of the start of a run. The migration waits for its commit,
    // and then gives the run its row.
    let writer = world.database.connect_admin().await;
    let begun = format!("BEGIN;{}{}", start(&workflow, "meanwhile"), item(&workflow, "meanwhile"));
    writer.batch_execute(&begun).await.unwrap();
    let store = world.database.admin_store();
    let migration = tokio::spawn(async move { store::migrate(&store, RoleLogin::Url).await });
    world.database.wait_for_blocked(1).await;
    writer.batch_execute("COMMIT").await.unwrap();
    migration.await.unwrap().expect("it migrates");
    // Older functions write on after the migration: a start of a run, a cancel and a redrive, all
    // as before V14.
    world.database.sql(&format!("{}{}", start(&workflow, "late"), item(&workflow, "late"))).await;
    world
        .database
        .sql(&format!("{}{}", start(&workflow, "stopped late"), mark("stopped late", "cancelled")))
        .await;
    let redrive = format!(
        "WITH copy AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT gen_random_uuid(), '{0}', 'start', id, 'default', 'redrive', '{{}}', '{{work}}', 1, now() FROM workflow_events
             WHERE data ->> 'what' = 'failed' RETURNING id, root_event_id)
         INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
         SELECT gen_random_uuid(), '{0}', 'work', root_event_id, id, 1, now(), now() FROM copy",
        workflow.id
    );
    world.database.sql(&redrive).await;
    // An edge took this failure, and the older code doesn't note that in the execution. The sweeper
    // still ends the run as passed.
    let routed = format!(
        "{}{}",
        start(&workflow, "routed late"),
        execution(&workflow, "routed late", FINISHED, "'finished', 'failed', now()")
    );
    world.database.sql(&routed).await;
    world.database.sql(&failure_event(&workflow, "routed late")).await;
    world.database.sql("UPDATE workflow_runs SET created_at = now() - interval '5 minutes' WHERE id = (SELECT id FROM workflow_events WHERE data ->> 'what' = 'routed late')").await;
    sweeper::sweep(&world.sweeper(60), tests::tick()).await.unwrap();
    let runs = "SELECT string_agg(e.data ->> 'what' || '=' || coalesce(r.result, r.state) || coalesce(' by ' || r.stop, ''), ', ' ORDER BY e.data ->> 'what')
        FROM workflow_runs r JOIN workflow_events e ON e.id = r.id WHERE e.data ->> 'what' IN ('meanwhile', 'late', 'stopped late', 'failed', 'routed late')";
    assert_eq!(
        world.database.sql(runs).await,
        "failed=running, late=running, meanwhile=running, routed late=passed, stopped late=running by cancelled"
    );
    // A stop by today's code leaves a mark for older code.
    world.database.sql("UPDATE workflow_runs SET stop = 'timeout', stopped_by = 'test' WHERE id = (SELECT id FROM workflow_events WHERE data ->> 'what' = 'late')").await;
    let marks = "SELECT m.reason FROM workflow_run_marks m JOIN workflow_events e ON e.id = m.root_event_id WHERE e.data ->> 'what' = 'late'";
    assert_eq!(world.database.sql(marks).await, "run_limit");
}

#[tokio::test]
async fn an_index_whose_build_was_broken_off_is_built_again() {
    let world = World::create().await;
    runs_of_before(&world).await;
    // A transaction with an older snapshot holds up the concurrent build of an index, for longer
    // than the migration waits for a lock.
    let reader = world.database.connect_admin().await;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM api_tokens").await.unwrap();
    let store = world.database.admin_store();
    let migration = tokio::spawn(async move { store::migrate(&store, RoleLogin::Url).await });
    world.database.wait_for_blocked(1).await;
    let gave_up = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for("the build is broken off", || async {
        (world.database.count(gave_up).await == 0).then_some(())
    })
    .await;
    reader.batch_execute("COMMIT").await.unwrap();
    migration.await.unwrap().expect("it migrates");
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    let there = "SELECT count(*) FROM pg_class WHERE relname IN ('workflow_node_executions_open_run', 'workflow_node_executions_not_passed',
        'workflow_node_queue_items_of_run')";
    assert_eq!((world.database.count(invalid).await, world.database.count(there).await), (0, 3));
}
