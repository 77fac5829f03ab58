use std::time::Duration;

use domain::ids::{EventId, ExecutionId, ItemId, OrganizationId, RunId};
use domain::limits::RUN_EXECUTIONS_MAX;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::Audited;
use crate::types::column;
use crate::{StoreError, Tx};

/// A failed execution whose event is to be tried once more.
#[derive(Clone, Copy, Debug)]
pub struct Redrive {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The failed execution.
    pub execution_id: ExecutionId,
    /// The id of the event's copy.
    pub event_id: EventId,
    /// The id of the item that it becomes.
    pub item_id: ItemId,
    /// Now.
    pub now: Timestamp,
}

/// The outcome of a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// The copy is committed with its item.
    Redriven {
        /// The run.
        run_id: RunId,
        /// Its time-out comes after so long at most, if it has one.
        due: Option<Duration>,
    },
    /// The execution can't be redriven, for this reason.
    Refused(&'static str),
    /// The node has as many waiting items as are allowed.
    Full,
}

/// Routes a copy of a failed execution's event to its node alone. The failed execution stays and
/// has the copy's id, so that a second redrive is refused. The result of its run counts the copy's
/// execution in its place.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such execution in the organization.
pub async fn redrive_execution(store: Audited<'_>, redrive: &Redrive) -> Result<RedriveOutcome, StoreError> {
    store
        .run_tx_if(
            "redrive_execution",
            |tx| redrive_in(tx, redrive),
            |outcome| matches!(outcome, RedriveOutcome::Redriven { .. }),
        )
        .await
}

async fn redrive_in(tx: Tx, redrive: &Redrive) -> Result<RedriveOutcome, StoreError> {
    // The locks are statements of their own: a second redrive reads what the first has left, and
    // the run is as it stands now.
    let (_, _, found) = futures_util::try_join!(
        tx.query_with(LOCK, [(&redrive.organization_id, Type::UUID), (&redrive.execution_id, Type::UUID)]),
        tx.query_with(
            LOCK_RUN,
            [(&redrive.organization_id, Type::UUID), (&redrive.execution_id, Type::UUID)]
        ),
        tx.query_with(
            FIND,
            [
                (&redrive.organization_id, Type::UUID),
                (&redrive.execution_id, Type::UUID),
                (&RUN_EXECUTIONS_MAX, Type::INT8)
            ],
        ),
    )?;
    let row = found.first().ok_or(StoreError::NotFound)?;
    let refusals = [
        ("is_redriven", "the execution was redriven already"),
        ("is_no_failure", "the execution didn't fail"),
        ("is_routed", "the failure was routed: what followed it has dealt with it"),
        ("is_followed", "another join of this node has followed it in its run"),
        ("is_workflow_deleted", "the workflow was deleted"),
        ("is_node_removed", "the node was removed from the workflow"),
        ("is_part_over", "its part of the run has ended: redrive the execution that owns it"),
        (
            "is_taken",
            "the run that called its run has taken the failure: redrive the execution that called it",
        ),
        ("is_run_expired", "the run is older than the organization keeps runs, and is being deleted"),
        ("is_run_cancelled", "the run was cancelled"),
        ("is_run_timed_out", "the run took longer than its time-out"),
        ("is_run_at_limit", "the run is at its limit"),
    ];
    for (name, why) in refusals {
        if column(row, name)? {
            return Ok(RedriveOutcome::Refused(why));
        }
    }
    if column(row, "is_full")? {
        return Ok(RedriveOutcome::Full);
    }
    let written = tx
        .query(
            WRITE,
            &[
                (&redrive.execution_id, Type::UUID),
                (&redrive.event_id, Type::UUID),
                (&redrive.item_id, Type::UUID),
                (&redrive.now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    let row = written.first().ok_or(StoreError::Corrupt("redrive_execution"))?;
    let seconds_left: Option<f64> = column(row, "seconds_left")?;
    let due = seconds_left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(RedriveOutcome::Redriven { run_id: column(row, "run_id")?, due })
}

/// Locks the row only if it is of the caller's organization: a request can't hold up another
/// tenant's row.
const LOCK: &str = "/* redrive_execution: lock */
    SELECT x.id FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
    WHERE w.organization_id = $1 AND x.id = $2 FOR NO KEY UPDATE OF x";

/// Locks the run's row, as a transaction that settles the run does: a redrive adds work to a run
/// that may have ended.
const LOCK_RUN: &str = "/* redrive_execution: lock run */
    SELECT run.id FROM workflow_runs run
    WHERE run.organization_id = $1
      AND run.id = (SELECT x.run_id FROM workflow_node_executions x WHERE x.id = $2)
    FOR NO KEY UPDATE OF run";

const FIND: &str = "/* redrive_execution: find */
    SELECT x.redriven_event_id IS NOT NULL AS is_redriven,
        x.result IS DISTINCT FROM 'failed' AS is_no_failure,
        x.failure_routed OR EXISTS (
            SELECT FROM workflow_events o
            WHERE o.execution_id = x.id AND o.channel = 'failure'
              AND cardinality(o.targets) > 0) AS is_routed,
        (SELECT true FROM execution_joins own
         CROSS JOIN LATERAL (
             SELECT true FROM execution_joins j
             WHERE j.run_id = own.run_id AND j.node_id = own.node_id
               AND j.execution_id > own.execution_id LIMIT 1) j
         WHERE own.execution_id = x.id LIMIT 1) IS NOT NULL AS is_followed,
        w.deleted_at IS NOT NULL AS is_workflow_deleted,
        n.deleted_at IS NOT NULL AS is_node_removed,
        run.parent_run_id IS NOT NULL AND run.state = 'finished' AS is_part_over,
        coalesce(run.caller_execution_id IS NOT NULL AND run.state = 'finished'
            AND run.taken_at >= run.finished_at, false) AS is_taken,
        run.expired_at IS NOT NULL AS is_run_expired,
        coalesce(run.stop IN ('cancelled', 'owner'), false) AS is_run_cancelled,
        coalesce(run.stop = 'timeout', false) AS is_run_timed_out,
        coalesce(run.stop = 'run_limit', false) OR $3 <= (
            SELECT count(*) FROM (
                SELECT FROM workflow_node_executions r
                WHERE r.root_event_id = x.root_event_id
                LIMIT $3) counted) AS is_run_at_limit,
        n.items_full AS is_full
    FROM workflow_node_executions x
    JOIN workflows w ON w.id = x.workflow_id
    JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
    JOIN workflow_runs run ON run.id = x.run_id
    WHERE w.organization_id = $1 AND x.id = $2";

/// The copy has the execution that emitted the event, and so the same ancestors. Its time is one after
/// the wait for the lock: a join that ended meanwhile ended before it. A run that had
/// ended runs again, for as long as it may.
const WRITE: &str = "/* redrive_execution: write */
    WITH failed AS (
        SELECT x.id, x.workflow_id, x.node_id, x.root_event_id, x.run_id, n.generation,
            n.concurrency_key, e.node_id AS from_node_id, e.channel, e.data, e.depth,
            e.execution_id, e.redactions, w.timeout_seconds
        FROM workflow_node_executions x
        JOIN workflows w ON w.id = x.workflow_id
        JOIN workflow_events e ON e.id = x.event_id
        JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
        WHERE x.id = $1),
    run AS (
        UPDATE workflow_runs run
        SET state = 'running', result = NULL, finished_at = NULL, updated_at = $4,
            due_at = now() + make_interval(secs => failed.timeout_seconds)
        FROM failed
        WHERE run.id = failed.run_id AND coalesce(run.state, '') = 'finished'),
    event AS (
        INSERT INTO workflow_events
            (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth,
             execution_id, redactions, created_at)
        SELECT $2, workflow_id, from_node_id, root_event_id, run_id, channel, 'redrive', data,
            ARRAY[node_id], depth, execution_id, redactions, greatest($4, clock_timestamp())
        FROM failed),
    item AS (
        INSERT INTO workflow_node_queue_items
            (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
             concurrency_key, created_at, last_sent_at)
        SELECT $3, workflow_id, node_id, root_event_id, run_id, $2, generation,
            CASE WHEN concurrency_key IS NULL THEN '' END, $4, $4
        FROM failed)
    UPDATE workflow_node_executions x SET redriven_event_id = $2
    FROM failed
    WHERE x.id = failed.id AND x.state = 'finished'
    RETURNING x.run_id, failed.timeout_seconds::float8 AS seconds_left";
