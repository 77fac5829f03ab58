//! The step between V14 and V15: events, items and executions from before V14 get the rows of their
//! runs, in batches, while functions go on.

use domain::ids::{EventId, WorkflowId};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::LockTries;
use super::indexes::build_index;
use crate::StoreError;

/// The migration after which rows get their runs.
pub(super) const RUNS_BEGIN: i32 = 14;

/// Indexes that are built while others write. Each is a statement of its own, for none may stand in
/// a transaction.
const INDEXES: [(&str, &str); 3] = [
    (
        "workflow_node_executions_open_run",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_open_run
         ON workflow_node_executions (run_id)
         WHERE state <> 'finished'",
    ),
    (
        "workflow_node_executions_not_passed",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_not_passed
         ON workflow_node_executions (run_id)
         WHERE result IN ('failed', 'cancelled')",
    ),
    (
        "workflow_node_queue_items_of_run",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_queue_items_of_run
         ON workflow_node_queue_items (run_id)",
    ),
];

/// The most runs that get their rows in one transaction, and the most executions of these runs
/// together; one run alone may have more.
const TOGETHER: [i64; 2] = [200, 5_000];

/// Builds the indexes of runs, gives each root event without a run the row of its run, and gives
/// all rows of the run its id. A failure keeps the finished batches, and the next call goes on
/// after them.
///
/// # Errors
/// [`StoreError::Setup`] when another session holds a lock for long, [`StoreError::Unavailable`]
/// when the database can't be reached.
pub(super) async fn give_runs(client: &Client) -> Result<(), StoreError> {
    for (name, create) in INDEXES {
        build_index(client, name, create).await?;
    }
    let mut after = (WorkflowId::from_u128(0), EventId::from_u128(0));
    let (mut given, mut tries) = (0, LockTries::default());
    loop {
        let found = client
            .query_typed(
                FIND,
                &[
                    (&after.0, Type::UUID),
                    (&after.1, Type::UUID),
                    (&TOGETHER[0], Type::INT8),
                    (&TOGETHER[1], Type::INT8),
                ],
            )
            .await?;
        let ids: Vec<EventId> = found.iter().map(|row| row.get(1)).collect();
        let Some(last) = found.last() else { break };
        match give(client, &ids).await {
            Ok(()) => {
                (after, tries) = ((last.get(0), last.get(1)), LockTries::default());
                given += ids.len();
                tracing::info!(given, "runs have their rows");
            }
            Err(error) => {
                tries.wait_or_fail("giving runs", error.code().map(|code| code.code().to_owned())).await?;
            }
        }
    }
    Ok(())
}

/// The lock keeps out every insert of a row of the run, for such a row points at the root event. So
/// the counts after it stay true.
async fn give(client: &Client, ids: &[EventId]) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    for statement in [LOCK, INSERT, GIVE_EVENTS, GIVE_ITEMS, GIVE_EXECUTIONS] {
        if let Err(error) = client.query_typed(statement, &[(&ids, Type::UUID_ARRAY)]).await {
            client.batch_execute("ROLLBACK").await?;
            return Err(error);
        }
    }
    client.batch_execute("COMMIT").await
}

const FIND: &str = "/* give_runs: find */
    SELECT workflow_id, id FROM (
        SELECT e.workflow_id, e.id,
            sum(x.executions) OVER (ORDER BY e.workflow_id, e.id) - x.executions
                AS executions_before
        FROM (SELECT workflow_id, id FROM workflow_events
              WHERE (workflow_id, id) > ($1, $2)
                AND execution_id IS NULL AND root_event_id = id AND run_id IS NULL
              ORDER BY workflow_id, id LIMIT $3) e
        CROSS JOIN LATERAL (
            SELECT count(*) AS executions FROM workflow_node_executions x
            WHERE x.root_event_id = e.id) x) found
    WHERE executions_before < $4
    ORDER BY workflow_id, id";

const LOCK: &str = "/* give_runs: lock */
    SELECT id FROM workflow_events WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// The state follows from the counts, as before V14. Only the items of a stopped run are open work
/// now: the sweeper ends them, and the run.
const INSERT: &str = "/* give_runs: insert */
    WITH counted AS (
        SELECT e.*, w.organization_id, w.version, m.reason, m.created_by AS marked_by,
            EXISTS (SELECT FROM workflow_node_queue_items i WHERE i.root_event_id = e.id)
                OR x.has_open AS is_open,
            x.has_failed, x.has_cancelled, x.ended_at, x.workflow_version
        FROM workflow_events e
        JOIN workflows w ON w.id = e.workflow_id
        LEFT JOIN workflow_run_marks m ON m.root_event_id = e.id
        CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(x.state <> 'finished'), false) AS has_open,
                coalesce(bool_or(
                    x.result = 'failed' AND x.redriven_event_id IS NULL AND NOT EXISTS (
                        SELECT FROM workflow_events o
                        WHERE o.execution_id = x.id AND o.channel = 'failure'
                          AND cardinality(o.targets) > 0)), false) AS has_failed,
                coalesce(bool_or(x.result = 'cancelled'), false) AS has_cancelled,
                max(x.finished_at) AS ended_at, min(x.workflow_version) AS workflow_version
            FROM workflow_node_executions x WHERE x.root_event_id = e.id) x
        WHERE e.id = ANY($1))
    INSERT INTO workflow_runs
        (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name,
         state, result, stop, stopped_by, created_at, updated_at, finished_at)
    SELECT id, organization_id, workflow_id, coalesce(workflow_version, version), node_id, id,
        ARRAY[id], custom_name,
        CASE WHEN is_open THEN 'running' ELSE 'finished' END,
        CASE WHEN NOT is_open THEN
            CASE WHEN reason = 'run_limit' THEN 'failed'
                 WHEN reason = 'cancelled' THEN 'cancelled'
                 WHEN has_failed THEN 'failed'
                 WHEN has_cancelled THEN 'cancelled'
                 ELSE 'passed' END END,
        reason, marked_by, created_at, coalesce(ended_at, created_at),
        CASE WHEN NOT is_open THEN coalesce(ended_at, created_at) END
    FROM counted
    ON CONFLICT (id) DO NOTHING";

const GIVE_EVENTS: &str = "/* give_runs: events */
    UPDATE workflow_events SET run_id = root_event_id
    WHERE root_event_id = ANY($1) AND run_id IS NULL";

const GIVE_ITEMS: &str = "/* give_runs: items */
    UPDATE workflow_node_queue_items SET run_id = root_event_id
    WHERE root_event_id = ANY($1) AND run_id IS NULL";

const GIVE_EXECUTIONS: &str = "/* give_runs: executions */
    UPDATE workflow_node_executions x
    SET run_id = root_event_id,
        failure_routed = x.result IS NOT NULL AND x.result = 'failed' AND EXISTS (
            SELECT FROM workflow_events o
            WHERE o.execution_id = x.id AND o.channel = 'failure' AND cardinality(o.targets) > 0)
    WHERE x.root_event_id = ANY($1) AND x.run_id IS NULL";
