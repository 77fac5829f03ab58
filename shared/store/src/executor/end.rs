use domain::execution::ResultReason;
use domain::ids::{EventId, ExecutionId, OrganizationId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::locks::{LOCK_EXECUTIONS, LOCK_NODES, wait_briefly};
use crate::runs::{Settled, settle_runs_of};
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::{column, word};
use crate::{StoreError, Tx};

/// An execution that [`end_unstartable`] has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedExecution {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The reason.
    pub reason: ResultReason,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its event on the channel `error`, if that became queue items.
    pub error_event_id: Option<EventId>,
}

/// Ends executions that a claim may not start: cancelled ones, those of a stopped run, of a removed
/// node or an earlier generation, of a deleted workflow or organization, and those with all their
/// crashes used up. Nodes are locked before executions. A freed slot that an item waits for gets a
/// wake.
///
/// # Errors
/// The wait for locks is short. If it runs out, [`StoreError::is_lock_timeout`] is true.
pub async fn end_unstartable(
    tx: &Tx,
    ids: &[ExecutionId],
    now: Timestamp,
) -> Result<(Vec<EndedExecution>, Vec<FreedSlot>, Settled), StoreError> {
    let ((), _, _, ended, freed, settled) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(LOCK_NODES, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_EXECUTIONS, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(
            END,
            [(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&domain::limits::CRASHES_MAX, Type::INT4)],
        ),
        tx.query_with(FIND_FREED, [(&ids, Type::UUID_ARRAY)]),
        settle_runs_of(tx, ids, now),
    )?;
    let ended = ended
        .iter()
        .map(|row| {
            Ok(EndedExecution {
                id: column(row, "id")?,
                reason: word(row, "result_reason")?,
                organization_id: column(row, "organization_id")?,
                error_event_id: column(row, "error_event_id")?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok((ended, freed.iter().map(freed_slot).collect::<Result<_, _>>()?, settled))
}

const END: &str = "/* end_unstartable */
    WITH ending AS (
        SELECT ex.id,
            CASE WHEN run.stop = 'run_limit' THEN 'run_limit'
                 WHEN run.stop IS NOT NULL OR ex.state = 'cancelling' OR o.deleted_at IS NOT NULL
                 THEN 'cancelled'
                 WHEN n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL
                   OR ex.node_generation <> n.generation
                 THEN 'node_removed'
                 WHEN ex.crashes >= $3 THEN 'crashed' END AS reason,
            run.stop IS NULL AND o.deleted_at IS NULL AS is_alone,
            coalesce(run.stop = 'timeout', false) AS is_timed_out, o.id AS organization_id
        FROM workflow_node_executions ex
        JOIN workflows w ON w.id = ex.workflow_id
        JOIN organizations o ON o.id = w.organization_id
        JOIN workflow_nodes n ON n.workflow_id = ex.workflow_id AND n.node_id = ex.node_id
        JOIN workflow_runs run ON run.id = ex.run_id
        WHERE ex.id = ANY($1)
          AND (coalesce(ex.state, '') = 'pending'
            OR coalesce(ex.state, '') IN ('started', 'cancelling') AND ex.lease_until <= now()))
    UPDATE workflow_node_executions ex
    SET state = 'finished',
        result = CASE WHEN ending.reason IN ('cancelled', 'node_removed') THEN 'cancelled'
                      ELSE 'failed' END,
        result_reason = ending.reason,
        result_message = CASE ending.reason
            WHEN 'crashed' THEN
              'the process ended several times while it worked on this execution, which was ended'
            WHEN 'node_removed' THEN 'the node was removed from the workflow'
            WHEN 'run_limit' THEN 'the run is past its limit'
            ELSE CASE
                WHEN ending.is_alone THEN 'the execution was cancelled'
                WHEN ending.is_timed_out THEN 'the run took longer than its time-out'
                ELSE 'the run was cancelled' END END,
        lease_token = NULL, lease_until = NULL, finished_at = $2, updated_at = $2
    FROM ending
    WHERE ex.id = ending.id AND ending.reason IS NOT NULL AND ex.state <> 'finished'
    RETURNING ex.id, ex.result_reason, ending.organization_id,
        CASE WHEN ex.failure_routed THEN derived_id(ex.id, 'error') END AS error_event_id";
