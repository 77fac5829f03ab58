use domain::function::Actor;
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::builder::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::column;
use crate::{Store, StoreError, Tx};

/// A run that is to end.
#[derive(Clone, Debug)]
pub struct RunCancel {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The id of the root event.
    pub run_id: RunId,
    /// The actor that cancels.
    pub cancelled_by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// What a cancel did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelOutcome {
    /// Slots that are free now and that somebody waits for: the caller wakes the builder for them after the commit.
    pub freed: Vec<FreedSlot>,
    /// Events of the run of which items wait, as many as are woken for: the builder ends those, and they need no slot. The others end
    /// when they come to the head of their queue.
    pub waiting_event_ids: Vec<EventId>,
}

/// Cancels a run: marks it, ends what is pending and not started, and marks what runs `cancelling`.
///
/// What slips past (an execution made at this moment, one on a node that was not locked) is ended at the next step, for builder,
/// claim and finish read the mark again. A run that has ended gets no mark.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such run in the organization.
pub async fn cancel_run(store: &Store, cancel: &RunCancel) -> Result<CancelOutcome, StoreError> {
    let (mut outcome, mut is_left) = store.run_tx("cancel_run", |tx| cancel_in(tx, cancel)).await?;
    // What was made while the locks were waited for is seen by a second look; its claim would see the mark, but a timer's may be far off.
    if is_left {
        let again;
        (again, is_left) = store.run_tx("cancel_run", |tx| cancel_in(tx, cancel)).await?;
        outcome.freed.extend(again.freed);
        outcome.waiting_event_ids = again.waiting_event_ids;
    }
    if is_left {
        tracing::warn!(run_id = %cancel.run_id, "something of a cancelled run is still pending; it ends when it is due");
    }
    Ok(outcome)
}

/// What a cancel did, and whether something of the run is still pending.
async fn cancel_in(tx: Tx, cancel: &RunCancel) -> Result<(CancelOutcome, bool), StoreError> {
    let workflow_id = find_run(&tx, cancel).await?;
    let locked = lock_limited_nodes(&tx, workflow_id, cancel).await?;
    let executions = lock_executions(&tx, workflow_id, cancel, &locked).await?;
    lock_run(&tx, cancel).await?;
    mark_run(&tx, workflow_id, cancel).await?;
    end_executions(&tx, cancel, &executions).await?;
    let (freed, waiting) = futures_util::try_join!(
        tx.query_unless_empty(&executions, FIND_FREED, [(&executions, Type::UUID_ARRAY)]),
        tx.query_with(FIND_WAITING, [(&cancel.run_id, Type::UUID), (&WOKEN_EVENTS_MAX, Type::INT8)]),
    )?;
    let mut freed: Vec<FreedSlot> = freed.iter().map(freed_slot).collect::<Result<_, _>>()?;
    // A node that was looked at without its lock may have no slot free any more.
    freed.retain(|slot| locked.contains(&slot.node.1));
    let waiting_event_ids = waiting.iter().map(|row| column(row, "event_id")).collect::<Result<_, _>>()?;
    Ok((CancelOutcome { freed, waiting_event_ids }, has_pending(&tx, cancel).await?))
}

/// Events whose items the builder is told to end at once.
pub const WOKEN_EVENTS_MAX: i64 = 500;

const FIND_WAITING: &str = "/* cancel_run: waiting */
    SELECT DISTINCT event_id FROM (
        SELECT i.event_id FROM workflow_node_queue_items i WHERE i.root_event_id = $1::uuid LIMIT $2::int8) waiting";

async fn has_pending(tx: &Tx, cancel: &RunCancel) -> Result<bool, StoreError> {
    let rows = tx
        .query(
            "/* cancel_run: pending */
             SELECT EXISTS (
                 SELECT FROM workflow_node_executions x WHERE x.root_event_id = $1 AND coalesce(x.state, '') = 'pending') AS has_pending",
            &[(&cancel.run_id, Type::UUID)],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("cancel_run"))?, "has_pending")
}

async fn find_run(tx: &Tx, cancel: &RunCancel) -> Result<WorkflowId, StoreError> {
    let rows = tx
        .query(
            "/* cancel_run: find */
             SELECT e.workflow_id FROM workflow_events e JOIN workflows w ON w.id = e.workflow_id
             WHERE w.organization_id = $1 AND e.id = $2 AND coalesce(e.execution_id, e.id) = e.id AND e.root_event_id = e.id",
            &[(&cancel.organization_id, Type::UUID), (&cancel.run_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), |row| column(row, "workflow_id"))
}

/// Nodes first, then executions: a pending execution that ends frees a slot of its node.
async fn lock_limited_nodes(
    tx: &Tx,
    workflow_id: WorkflowId,
    cancel: &RunCancel,
) -> Result<Vec<String>, StoreError> {
    let rows = tx
        .query(
            "/* cancel_run: lock nodes */
             SELECT n.node_id FROM workflow_nodes n
             WHERE n.workflow_id = $1 AND n.concurrency_max IS NOT NULL AND n.node_id IN (
                 SELECT x.node_id FROM workflow_node_executions x
                 WHERE x.workflow_id = $1 AND x.root_event_id = $2 AND coalesce(x.state, '') = 'pending')
             ORDER BY n.node_id FOR NO KEY UPDATE",
            &[(&workflow_id, Type::UUID), (&cancel.run_id, Type::UUID)],
        )
        .await?;
    rows.iter().map(|row| column(row, "node_id")).collect()
}

/// A pending execution of a limited node that is not locked is left alone: it was made since, and its claim sees the mark.
async fn lock_executions(
    tx: &Tx,
    workflow_id: WorkflowId,
    cancel: &RunCancel,
    locked: &[String],
) -> Result<Vec<ExecutionId>, StoreError> {
    let rows = tx
        .query(
            "/* cancel_run: lock executions */
             SELECT x.id FROM workflow_node_executions x
             WHERE x.workflow_id = $1 AND x.root_event_id = $2
               AND (x.state = 'started' OR (x.state = 'pending' AND (x.node_id = ANY($3) OR EXISTS (
                   SELECT FROM workflow_nodes n
                   WHERE n.workflow_id = x.workflow_id AND n.node_id = x.node_id AND n.concurrency_max IS NULL))))
             ORDER BY x.id FOR NO KEY UPDATE OF x",
            &[(&workflow_id, Type::UUID), (&cancel.run_id, Type::UUID), (&locked, Type::TEXT_ARRAY)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// A builder that has read the run's mark holds the lock of its root event that a foreign key takes: its rows are seen once it is given, and
/// one that reads after this sees the mark.
async fn lock_run(tx: &Tx, cancel: &RunCancel) -> Result<(), StoreError> {
    tx.query(
        "/* cancel_run: lock run */ SELECT id FROM workflow_events WHERE id = $1::uuid FOR UPDATE",
        &[(&cancel.run_id, Type::UUID)],
    )
    .await
    .map(drop)
}

/// A later statement than the locks: a run that ended while they were waited for stays as it ended.
async fn mark_run(tx: &Tx, workflow_id: WorkflowId, cancel: &RunCancel) -> Result<(), StoreError> {
    tx.query(
        "/* cancel_run: mark */
         INSERT INTO workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
         SELECT $1, $2, 'cancelled', $3, $4
         WHERE EXISTS (SELECT FROM workflow_node_queue_items i WHERE i.root_event_id = $1)
            OR EXISTS (SELECT FROM workflow_node_executions x WHERE x.root_event_id = $1 AND x.state <> 'finished')
         ON CONFLICT (root_event_id) DO NOTHING",
        &[
            (&cancel.run_id, Type::UUID),
            (&workflow_id, Type::UUID),
            (&cancel.cancelled_by.to_string(), Type::TEXT),
            (&cancel.now, Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map(drop)
}

/// Ends what is pending and marks what runs.
async fn end_executions(tx: &Tx, cancel: &RunCancel, executions: &[ExecutionId]) -> Result<(), StoreError> {
    if executions.is_empty() {
        return Ok(());
    }
    tx.query(
            "/* cancel_run: executions */
             UPDATE workflow_node_executions SET
                 state = CASE state WHEN 'pending' THEN 'finished' ELSE 'cancelling' END,
                 result = CASE state WHEN 'pending' THEN 'cancelled' END,
                 result_reason = CASE state WHEN 'pending' THEN 'cancelled' END,
                 result_message = CASE state WHEN 'pending' THEN 'The run was cancelled before this execution started.' END,
                 finished_at = CASE state WHEN 'pending' THEN $2::timestamptz END,
                 cancelled_by = $3, updated_at = $2
             WHERE id = ANY($1) AND state IN ('pending', 'started')",
        &[
            (&executions, Type::UUID_ARRAY),
            (&cancel.now, Type::TIMESTAMPTZ),
            (&cancel.cancelled_by.to_string(), Type::TEXT),
        ],
    )
    .await
    .map(drop)
}
