use domain::actor::Actor;
use domain::execution::ExecutionState;
use domain::held::Call;
use domain::ids::{CallId, ExecutionId, OrganizationId, TokenId};
use serde_json::Value;
use tokio_postgres::types::Type;

use super::Audited;
use crate::types::{column, word, word_if_any};
use crate::{HeldWake, StoreError, Tx};

/// A person's call of a held execution.
#[derive(Clone, Debug)]
pub struct ExecutionCall {
    /// `workflow_execution_calls.id`
    pub id: CallId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// `workflow_node_executions.id`
    pub execution_id: ExecutionId,
    /// The call.
    pub call: Call,
    /// The actor that makes it.
    pub called_by: Actor,
    /// The actor's words with it.
    pub data: Option<Value>,
    /// Of a vote: the person whose vote it is. Each person has one, and a name in `data` too: somebody
    /// who was removed and invited anew is nobody else.
    pub voter: Option<TokenId>,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call is committed, or was before: the caller sends the wake.
    Made(HeldWake),
    /// The voter has voted before, with this call. Nothing is written.
    Voted(Call),
    /// The execution is not held; this is its state.
    NotHeld(ExecutionState),
    /// The execution is held, and is to end: it was cancelled, its run stopped, its node removed, or
    /// the time of a vote is over.
    Ending,
}

/// Makes a call of a held execution, by the database's clock. The execution's row is locked before
/// its state is read: a wake reads the call before it ends the execution, or the call comes too
/// late and the result says so. The same call of the same actor is inserted once until it is
/// handled.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such execution in the organization.
pub async fn call_execution(store: Audited<'_>, call: &ExecutionCall) -> Result<CallOutcome, StoreError> {
    store
        .run_tx_if("call_execution", |tx| call_in(tx, call), |made| matches!(made, CallOutcome::Made(_)))
        .await
}

async fn call_in(tx: Tx, call: &ExecutionCall) -> Result<CallOutcome, StoreError> {
    let (word_of_call, called_by) = (call.call.as_str(), call.called_by.to_string());
    let (locked, state, inserted) = futures_util::try_join!(
        tx.query_with(
            "/* call_execution: lock */
             SELECT x.id FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
             WHERE w.organization_id = $1::uuid AND x.id = $2::uuid FOR SHARE OF x",
            [(&call.organization_id, Type::UUID), (&call.execution_id, Type::UUID)],
        ),
        tx.query_with(
            "/* call_execution: read */
             SELECT x.state,
                    run.stop IS NOT NULL OR n.deleted_at IS NOT NULL
                      OR coalesce(x.node_generation, n.generation) <> n.generation
                      OR (SELECT true FROM workflow_execution_wakes c
                          WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                            AND coalesce(c.handled_at, 'infinity') = 'infinity'
                          LIMIT 1) IS NOT NULL AS is_ending,
                    (SELECT c.call FROM workflow_execution_calls c
                     WHERE c.execution_id = x.id AND c.voter IS NOT NULL
                       AND (c.voter = $3::uuid OR c.data ->> 'name' = $4::jsonb ->> 'name')
                     LIMIT 1) AS voted
             FROM workflow_node_executions x
             JOIN workflows w ON w.id = x.workflow_id
             JOIN workflow_runs run ON run.id = x.run_id
             JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
             WHERE w.organization_id = $1::uuid AND x.id = $2::uuid",
            [
                (&call.organization_id, Type::UUID),
                (&call.execution_id, Type::UUID),
                (&call.voter, Type::UUID),
                (&call.data, Type::JSONB),
            ],
        ),
        tx.query_with(
            "/* call_execution */
             INSERT INTO workflow_execution_calls
                 (id, workflow_id, execution_id, call, called_by, data, voter)
             SELECT $1::uuid, x.workflow_id, x.id, $4::text, $5::text, $6::jsonb, $7::uuid
             FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
             WHERE w.organization_id = $2::uuid AND x.id = $3::uuid
               AND coalesce(x.state, '') = 'held'
               AND (SELECT true FROM workflow_execution_calls c
                    WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                      AND c.call = $4 AND c.called_by = $5
                      AND coalesce(c.handled_at, 'infinity') = 'infinity'
                    LIMIT 1) IS NULL
               AND (SELECT true FROM workflow_execution_calls c
                    WHERE c.execution_id = x.id AND c.voter IS NOT NULL
                      AND (c.voter = $7 OR c.data ->> 'name' = $6 ->> 'name')
                    LIMIT 1) IS NULL
               AND ($7::uuid IS NULL OR statement_timestamp() < x.wake_at)
             RETURNING id",
            [
                (&call.id, Type::UUID),
                (&call.organization_id, Type::UUID),
                (&call.execution_id, Type::UUID),
                (&word_of_call, Type::TEXT),
                (&called_by, Type::TEXT),
                (&call.data, Type::JSONB),
                (&call.voter, Type::UUID),
            ],
        ),
    )?;
    if locked.is_empty() {
        return Err(StoreError::NotFound);
    }
    let row = state.first().ok_or(StoreError::NotFound)?;
    let voted: Option<Call> = word_if_any(row, "voted")?;
    Ok(match word(row, "state")? {
        ExecutionState::Held if let Some(before) = voted => CallOutcome::Voted(before),
        ExecutionState::Held if column(row, "is_ending")? => CallOutcome::Ending,
        // The time of a vote is over, although its wake has not come.
        ExecutionState::Held if call.voter.is_some() && inserted.is_empty() => CallOutcome::Ending,
        ExecutionState::Held => CallOutcome::Made(HeldWake {
            execution_id: call.execution_id,
            organization_id: call.organization_id,
        }),
        state => CallOutcome::NotHeld(state),
    })
}
