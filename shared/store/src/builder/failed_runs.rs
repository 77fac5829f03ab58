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
use crate::types::{column, word, word_if_any};
use crate::{StoreError, Tx};

/// A failed run with its failures, and the triggers that watch its workflow.
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
    /// The triggers that watch its workflow.
    pub handlers: Vec<StoredHandler>,
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
    /// The sentence for the author.
    pub message: String,
    /// The data of the event that it worked on; None where it is larger than
    /// [`FAILURE_DATA_BYTES_MAX`], or places of it were blanked.
    pub data: Option<Value>,
}

/// A trigger of the type `on_error`, with the definition of its workflow.
#[derive(Clone, Debug)]
pub struct StoredHandler {
    /// The workflow of the trigger.
    pub workflow_id: WorkflowId,
    /// `workflows.version`
    pub workflow_version: i64,
    /// The trigger.
    pub node_id: String,
    /// `workflows.nodes`
    pub nodes: Value,
    /// `workflows.edges`
    pub edges: Value,
}

/// Locks what is noted of a failed run, and reads it in later statements. None: everybody was told.
///
/// # Errors
/// See [`StoreError`]. The wait for another transaction is short: then see
/// [`StoreError::is_lock_timeout`].
pub async fn lock_failed_run(tx: &Tx, run_id: RunId) -> Result<Option<FailedRun>, StoreError> {
    let (_, _, runs, failures, handlers) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(LOCK, [(&run_id, Type::UUID)]),
        tx.query_with(READ, [(&run_id, Type::UUID)]),
        tx.query_with(
            FAILURES,
            [(&run_id, Type::UUID), (&FAILURES_TOLD_MAX, Type::INT8), (&FAILURE_DATA_BYTES_MAX, Type::INT8),],
        ),
        tx.query_with(HANDLERS, [(&run_id, Type::UUID)]),
    )?;
    let Some(row) = runs.first() else { return Ok(None) };
    Ok(Some(FailedRun {
        organization_id: column(row, "organization_id")?,
        is_suspended: column(row, "is_suspended")?,
        workflow_name: column(row, "workflow_name")?,
        name: column(row, "name")?,
        node_id: column(row, "node_id")?,
        started_at: column(row, "created_at")?,
        finished_at: column(row, "finished_at")?,
        stop: word_if_any(row, "stop")?,
        failures: failures.iter().map(failure).collect::<Result<_, _>>()?,
        handlers: handlers.iter().map(handler).collect::<Result<_, _>>()?,
        now: column(row, "now")?,
    }))
}

const LOCK: &str = "/* lock_failed_run */
    SELECT run_id FROM failed_runs WHERE run_id = $1::uuid FOR UPDATE";

/// A run that was redriven meanwhile has not failed: it is told of when it fails again.
const READ: &str = "/* read_failed_run */
    SELECT r.organization_id, o.suspended_at IS NOT NULL AS is_suspended, w.name AS workflow_name,
        r.name, r.node_id, r.created_at, r.finished_at, r.stop, statement_timestamp() AS now
    FROM failed_runs f
    JOIN workflow_runs r ON r.id = f.run_id AND coalesce(r.state, '') = 'finished'
    JOIN workflows w ON w.id = r.workflow_id
    JOIN organizations o ON o.id = r.organization_id AND o.deleted_at IS NULL
    WHERE f.run_id = $1::uuid";

const FAILURES: &str = "/* read_failures */
    SELECT x.id, x.node_id, n.name AS node_name, x.result_reason,
        coalesce(x.result_message, '') AS message,
        CASE WHEN ev.redactions IS NULL AND octet_length(ev.data::text) <= $3::int8
             THEN ev.data END AS data
    FROM workflow_node_executions x
    JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
    JOIN workflow_events ev ON ev.id = x.event_id
    WHERE x.run_id = $1::uuid AND x.result = 'failed'
      AND coalesce(x.redriven_event_id, x.id) = x.id AND NOT x.failure_routed
      AND (SELECT true FROM workflow_events o
           WHERE o.execution_id = x.id AND o.channel = 'failure' AND cardinality(o.targets) > 0
           LIMIT 1) IS NULL
    ORDER BY x.id LIMIT $2::int8";

const HANDLERS: &str = "/* read_error_handlers */
    SELECT DISTINCT ON (h.workflow_id, h.node_id) w.id AS workflow_id, w.version, h.node_id,
        w.nodes, w.edges
    FROM failed_runs f
    JOIN workflows of_run ON of_run.id = f.workflow_id
    JOIN error_handlers h
      ON h.organization_id = f.organization_id AND h.workflow_name IN (of_run.name, '')
    JOIN workflows w
      ON w.id = h.workflow_id AND coalesce(w.deleted_at, 'infinity') = 'infinity'
    WHERE f.run_id = $1::uuid
    ORDER BY h.workflow_id, h.node_id";

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

fn handler(row: &Row) -> Result<StoredHandler, StoreError> {
    Ok(StoredHandler {
        workflow_id: column(row, "workflow_id")?,
        workflow_version: column(row, "version")?,
        node_id: column(row, "node_id")?,
        nodes: column(row, "nodes")?,
        edges: column(row, "edges")?,
    })
}

/// Notes that everybody was told of a run.
///
/// # Errors
/// See [`StoreError`].
pub async fn forget_failed_run(tx: &Tx, run_id: RunId) -> Result<(), StoreError> {
    let forget = "/* forget_failed_run */ DELETE FROM failed_runs WHERE run_id = $1::uuid";
    tx.query(forget, &[(&run_id, Type::UUID)]).await.map(drop)
}

/// Puts a failed run off: the sweeper sends its message after the grace.
///
/// # Errors
/// See [`StoreError`].
pub async fn put_off_failed_run(tx: &Tx, run_id: RunId) -> Result<(), StoreError> {
    tx.query(
        "/* put_off_failed_run */
         UPDATE failed_runs SET sent_at = statement_timestamp() WHERE run_id = $1::uuid",
        &[(&run_id, Type::UUID)],
    )
    .await
    .map(drop)
}
