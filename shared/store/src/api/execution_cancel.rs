use domain::actor::Actor;
use domain::ids::{ExecutionId, OrganizationId};
use domain::message::Message;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::Audited;
use crate::held_causes::{HeldWake, cause_cancelled};
use crate::locks::{LOCK_EXECUTIONS, LOCK_NODES};
use crate::runs::{settle_runs_of, wakes_of};
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::{StoreError, Tx};

/// An execution that is to end.
#[derive(Clone, Debug)]
pub struct ExecutionCancel {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// `workflow_node_executions.id`
    pub execution_id: ExecutionId,
    /// The actor that cancels.
    pub cancelled_by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// The wakes that a cancel leaves to its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelledExecution {
    /// A slot of its node that is free now and that an item waits for.
    pub freed: Option<FreedSlot>,
    /// The execution itself, where it is held, as it ends by its wake; and joins behind it.
    pub held: Vec<HeldWake>,
}

impl CancelledExecution {
    /// The wakes, each with its organization.
    pub fn wakes(&self) -> impl Iterator<Item = (OrganizationId, Message)> {
        wakes_of(self.freed.as_slice(), &self.held)
    }
}

/// Cancels one execution and nothing else of its run. A pending execution ends at once. A started
/// one becomes `cancelling`: its output is recorded and goes nowhere. A held one gets a cause, and
/// ends by its wake. One that is `cancelling` already stays so.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such execution in the organization,
/// [`StoreError::Conflict`] when it has ended.
pub async fn cancel_execution(
    store: Audited<'_>,
    cancel: &ExecutionCancel,
) -> Result<CancelledExecution, StoreError> {
    store.run_tx("cancel_execution", |tx| cancel_in(tx, cancel)).await
}

async fn cancel_in(tx: Tx, cancel: &ExecutionCancel) -> Result<CancelledExecution, StoreError> {
    let ids = &vec![cancel.execution_id];
    let cancelled_by = cancel.cancelled_by.to_string();
    let found = tx
        .query(
            "/* cancel_execution: find */
             SELECT x.id FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
             WHERE w.organization_id = $1 AND x.id = $2",
            &[(&cancel.organization_id, Type::UUID), (&cancel.execution_id, Type::UUID)],
        )
        .await?;
    if found.is_empty() {
        return Err(StoreError::NotFound);
    }
    // The node is locked before the execution: the end of a pending execution frees a slot.
    let (_, _, cancelled, held, freed, settled) = futures_util::try_join!(
        tx.query_with(LOCK_NODES, [(ids, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_EXECUTIONS, [(ids, Type::UUID_ARRAY)]),
        tx.query_with(
            CANCEL,
            [
                (&cancel.execution_id, Type::UUID),
                (&cancel.now, Type::TIMESTAMPTZ),
                (&cancelled_by, Type::TEXT)
            ],
        ),
        cause_cancelled(&tx, cancel.execution_id, &cancel.cancelled_by),
        tx.query_with(FIND_FREED, [(ids, Type::UUID_ARRAY)]),
        settle_runs_of(&tx, ids, cancel.now),
    )?;
    if cancelled.is_empty() && held.is_none() {
        return Err(StoreError::Conflict("the execution has ended"));
    }
    let held = held.into_iter().chain(settled.held()).collect();
    Ok(CancelledExecution { freed: freed.first().map(freed_slot).transpose()?, held })
}

const CANCEL: &str = "/* cancel_execution */
    UPDATE workflow_node_executions SET
        state = CASE state WHEN 'pending' THEN 'finished' ELSE 'cancelling' END,
        result = CASE state WHEN 'pending' THEN 'cancelled' END,
        result_reason = CASE state WHEN 'pending' THEN 'cancelled' END,
        result_message = CASE state
            WHEN 'pending' THEN 'The execution was cancelled before it started.' END,
        finished_at = CASE state WHEN 'pending' THEN $2 END,
        cancelled_by = coalesce(cancelled_by, $3),
        updated_at = CASE state WHEN 'cancelling' THEN updated_at ELSE $2 END
    WHERE id = $1 AND state <> 'finished' AND state <> 'held'
    RETURNING id";
