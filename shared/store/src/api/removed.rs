use domain::ids::{ExecutionId, OrganizationId, WorkflowId};
use domain::limits::REMOVED_EXECUTIONS_MAX;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::held_causes::{HeldWake, cause_removed};
use crate::runs::settle_runs_of;
use crate::types::column;
use crate::{StoreError, Tx};

/// Ends pending executions of nodes that the transaction removes and has locked: otherwise a retry
/// would live on until it is due, with its slot. A started execution ends by its finish. A held one
/// gets a cause, and ends by its wake. The sweeper inserts the causes for which one transaction has
/// no room.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn end_pending_of_nodes(
    tx: &Tx,
    workflow_id: WorkflowId,
    node_ids: &[String],
    now: Timestamp,
) -> Result<RemovedWork, StoreError> {
    let rows = tx
        .query(
            "/* end_pending_of_nodes */
             UPDATE workflow_node_executions
             SET state = 'finished', result = 'cancelled', result_reason = 'node_removed',
                 result_message = 'the node was removed from the workflow',
                 finished_at = $3, updated_at = $3
             WHERE id IN (
                 SELECT id FROM workflow_node_executions
                 WHERE workflow_id = $1 AND node_id = ANY($2) AND state = 'pending'
                 ORDER BY id LIMIT $4 FOR NO KEY UPDATE)
               AND state = 'pending'
             RETURNING id",
            &[
                (&workflow_id, Type::UUID),
                (&node_ids, Type::TEXT_ARRAY),
                (&now, Type::TIMESTAMPTZ),
                (&REMOVED_EXECUTIONS_MAX, Type::INT8),
            ],
        )
        .await?;
    Ok(RemovedWork {
        ended: rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?,
        held: cause_removed(tx, workflow_id, node_ids).await?,
    })
}

/// The work that a removal of nodes leaves.
#[derive(Default)]
pub(super) struct RemovedWork {
    /// The ended executions. Their runs are settled at the end of the transaction, for runs come last
    /// in the order of locks.
    pub ended: Vec<ExecutionId>,
    /// Held executions that are to end.
    pub held: Vec<HeldWake>,
}

/// Ends pending executions of an organization that the transaction deletes. Their free slots need
/// no wake: the waiting items end as well.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn end_pending_of_organization(
    tx: &Tx,
    organization_id: OrganizationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* end_pending_of_organization */
             UPDATE workflow_node_executions
             SET state = 'finished', result = 'cancelled', result_reason = 'cancelled',
                 result_message = 'the organization was deleted',
                 finished_at = $2, updated_at = $2
             WHERE id IN (
                 SELECT x.id
                 FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
                 WHERE w.organization_id = $1 AND x.state = 'pending'
                 ORDER BY x.id LIMIT $3 FOR NO KEY UPDATE OF x SKIP LOCKED)
               AND state = 'pending'
             RETURNING id",
            &[
                (&organization_id, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&REMOVED_EXECUTIONS_MAX, Type::INT8),
            ],
        )
        .await?;
    let ids: Vec<ExecutionId> = rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    settle_runs_of(tx, &ids, now).await.map(drop)
}
