//! Failed runs of which triggers of the type `on_error` are to be told.

use domain::execution::ResultReason;
use domain::ids::{ExecutionId, OrganizationId, RunId, WorkflowId};
use domain::limits::{FAILURE_DATA_BYTES_MAX, FAILURES_TOLD_MAX};
use domain::run::RunStop;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::locks::wait_briefly;
use crate::nodes::NodeKey;
use crate::types::{column, word, word_if_any};
use crate::{Store, StoreError, Tx};

/// The triggers that are to be told of a run.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_handlers(store: &Store, run_id: RunId) -> Result<Vec<NodeKey>, StoreError> {
    let rows = store
        .query(
            "/* find_handlers */
             SELECT handler_workflow_id, handler_node_id FROM failed_runs
             WHERE run_id = $1::uuid ORDER BY handler_workflow_id, handler_node_id",
            &[(&run_id, Type::UUID)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((column(row, "handler_workflow_id")?, column(row, "handler_node_id")?)))
        .collect()
}

/// The result of [`lock_failed_run`].
#[derive(Clone, Debug)]
pub enum FoundFailure {
    /// The trigger was told.
    None,
    /// Nobody is to be told any more: the run goes on again, the trigger or the organization is gone,
    /// or it failed a day ago.
    Over,
    /// The trigger is to be told.
    Due(Box<FailedRun>),
}

/// A failed run with its failures, and a trigger that is to be told of it.
#[derive(Clone, Debug)]
pub struct FailedRun {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Whether the operator has suspended the organization.
    pub is_suspended: bool,
    /// `workflows.name`
    pub workflow_name: String,
    /// The run's name.
    pub name: Option<String>,
    /// The node of its root event.
    pub node_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The reason for its stop, if it was stopped.
    pub stop: Option<RunStop>,
    /// The failures that no edge took, oldest first, at most [`FAILURES_TOLD_MAX`].
    pub failures: Vec<RunFailure>,
    /// The workflow of the trigger.
    pub handler_workflow_id: WorkflowId,
    /// Its version.
    pub handler_version: i64,
    /// The trigger, as `workflows.nodes` has it.
    pub handler: Value,
    /// The edges that leave it, a list.
    pub edges: Value,
    /// Now, by the database's clock.
    pub now: Timestamp,
}

/// A failed execution.
#[derive(Clone, Debug)]
pub struct RunFailure {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The node.
    pub node_id: String,
    /// `workflow_nodes.name`
    pub node_name: String,
    /// The reason.
    pub reason: ResultReason,
    /// The sentence for the author; None where it names a secret.
    pub message: Option<String>,
    /// The data of the event that it worked on; None where it is larger than
    /// [`FAILURE_DATA_BYTES_MAX`], or places of it were blanked.
    pub data: Option<Value>,
}

/// Locks what is noted of a failed run for a trigger, and reads it in later statements.
///
/// # Errors
/// See [`StoreError`]. The wait for another transaction is short: then see
/// [`StoreError::is_lock_timeout`].
pub async fn lock_failed_run(tx: &Tx, run_id: RunId, handler: &NodeKey) -> Result<FoundFailure, StoreError> {
    let key = [(&run_id as _, Type::UUID), (&handler.0 as _, Type::UUID), (&handler.1 as _, Type::TEXT)];
    let (_, locked, runs, failures) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(LOCK, key.clone()),
        tx.query_with(READ, key),
        tx.query_with(
            FAILURES,
            [(&run_id, Type::UUID), (&FAILURES_TOLD_MAX, Type::INT8), (&FAILURE_DATA_BYTES_MAX, Type::INT8),],
        ),
    )?;
    if locked.is_empty() {
        return Ok(FoundFailure::None);
    }
    let Some(row) = runs.first() else { return Ok(FoundFailure::Over) };
    Ok(FoundFailure::Due(Box::new(FailedRun {
        organization_id: column(row, "organization_id")?,
        is_suspended: column(row, "is_suspended")?,
        workflow_name: column(row, "workflow_name")?,
        name: column(row, "name")?,
        node_id: column(row, "node_id")?,
        started_at: column(row, "created_at")?,
        finished_at: column(row, "finished_at")?,
        stop: word_if_any(row, "stop")?,
        failures: failures.iter().map(failure).collect::<Result<_, _>>()?,
        handler_workflow_id: handler.0,
        handler_version: column(row, "version")?,
        handler: column(row, "handler")?,
        edges: column(row, "edges")?,
        now: column(row, "now")?,
    })))
}

const LOCK: &str = "/* lock_failed_run */
    SELECT run_id FROM failed_runs
    WHERE run_id = $1::uuid AND handler_workflow_id = $2::uuid AND handler_node_id = $3::text
    FOR UPDATE";

/// A run that was redriven meanwhile has not failed: it is told of when it fails again. Of the
/// handler's definition only the trigger and its edges are read.
const READ: &str = "/* read_failed_run */
    SELECT r.organization_id, o.suspended_at IS NOT NULL AS is_suspended, w.name AS workflow_name,
        r.name, r.node_id, r.created_at, r.finished_at, r.stop, handling.version, n.node AS handler,
        (SELECT coalesce(jsonb_agg(edge), '[]')
         FROM jsonb_array_elements(handling.edges) AS edge
         WHERE edge ->> 'from' = f.handler_node_id) AS edges,
        statement_timestamp() AS now
    FROM failed_runs f
    JOIN workflow_runs r ON r.id = f.run_id AND coalesce(r.state, '') = 'finished'
    JOIN workflows w ON w.id = r.workflow_id
    JOIN organizations o ON o.id = r.organization_id AND o.deleted_at IS NULL
    JOIN workflows handling
      ON handling.id = f.handler_workflow_id
        AND coalesce(handling.deleted_at, 'infinity') = 'infinity'
    CROSS JOIN LATERAL (
        SELECT node FROM jsonb_array_elements(handling.nodes) AS node
        WHERE node ->> 'id' = f.handler_node_id AND node ->> 'trigger' = 'on_error') n
    WHERE f.run_id = $1::uuid AND f.handler_workflow_id = $2::uuid
      AND f.handler_node_id = $3::text AND f.created_at > now() - interval '1 day'";

/// The message of a failure that names a secret is left out: in the handler it would be a text like
/// any other.
const FAILURES: &str = "/* read_failures */
    WITH failed AS MATERIALIZED (
        SELECT x.id, x.workflow_id, x.node_id, x.event_id, x.result_reason,
            CASE WHEN NOT x.metadata @> '{\"message_scrubbed\": true}'
                 THEN coalesce(x.result_message, '') END AS message
        FROM workflow_node_executions x
        WHERE x.run_id = $1::uuid AND x.result = 'failed'
          AND coalesce(x.redriven_event_id, x.id) = x.id AND NOT x.failure_routed
          AND NOT (x.component = 'merge' AND EXISTS (
              SELECT FROM execution_joins own
              JOIN execution_joins j
                ON j.run_id = own.run_id AND j.node_id = own.node_id
                  AND j.execution_id > own.execution_id
              WHERE own.execution_id = x.id))
          AND (SELECT true FROM workflow_events o
               WHERE o.execution_id = x.id AND o.channel = 'failure'
                 AND cardinality(o.targets) > 0
               LIMIT 1) IS NULL)
    SELECT failed.id, failed.node_id, n.name AS node_name, failed.result_reason, failed.message,
        CASE WHEN ev.redactions IS NULL AND octet_length(ev.data::text) <= $3::int8
             THEN ev.data END AS data
    FROM (SELECT * FROM failed ORDER BY id LIMIT $2::int8) failed
    JOIN workflow_nodes n ON n.workflow_id = failed.workflow_id AND n.node_id = failed.node_id
    JOIN workflow_events ev ON ev.id = failed.event_id
    ORDER BY failed.id";

fn failure(row: &Row) -> Result<RunFailure, StoreError> {
    Ok(RunFailure {
        execution_id: column(row, "id")?,
        node_id: column(row, "node_id")?,
        node_name: column(row, "node_name")?,
        reason: word(row, "result_reason")?,
        message: column(row, "message")?,
        data: column(row, "data")?,
    })
}

/// Notes that a trigger was told of a run, or is not to be told any more. The note must be locked.
///
/// # Errors
/// See [`StoreError`].
pub async fn forget_failed_run(tx: &Tx, run_id: RunId, handler: &NodeKey) -> Result<(), StoreError> {
    tx.query(
        "/* forget_failed_run */
         DELETE FROM failed_runs
         WHERE run_id = $1::uuid AND handler_workflow_id = $2::uuid AND handler_node_id = $3::text",
        &[(&run_id, Type::UUID), (&handler.0, Type::UUID), (&handler.1, Type::TEXT)],
    )
    .await
    .map(drop)
}

/// Puts a note off, the longer the older it is: the sweeper sends its message then.
///
/// # Errors
/// See [`StoreError`].
pub async fn put_off_failed_run(store: &Store, run_id: RunId, handler: &NodeKey) -> Result<(), StoreError> {
    store
        .query(
            "/* put_off_failed_run */
             UPDATE failed_runs
             SET sent_at = statement_timestamp()
                 + least(statement_timestamp() - created_at, interval '1 hour')
             WHERE run_id = $1::uuid AND handler_workflow_id = $2::uuid
               AND handler_node_id = $3::text",
            &[(&run_id, Type::UUID), (&handler.0, Type::UUID), (&handler.1, Type::TEXT)],
        )
        .await
        .map(drop)
}
