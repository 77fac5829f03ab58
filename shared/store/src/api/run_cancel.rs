//! The cancel of a run by a caller of the API; its effect is that of a stop (`runs/stop.rs`).

use domain::actor::Actor;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::Audited;
use crate::runs::stop_in;
use crate::{StoppedRun, StoreError, end_stopped_run};

/// A run that is to end.
#[derive(Clone, Debug)]
pub struct RunCancel {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The run.
    pub run_id: RunId,
    /// The actor that cancels.
    pub cancelled_by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// Cancels a run: stops it, ends its waiting items and pending executions, and makes its started
/// executions `cancelling`. A run that has ended stays as it is. The caller sends the returned
/// wakes.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such run in the organization.
pub async fn cancel_run(
    store: Audited<'_>,
    cancel: &RunCancel,
    next_id: &(dyn Fn() -> ExecutionId + Sync),
) -> Result<StoppedRun, StoreError> {
    let found = store
        .store()
        .query(
            "/* cancel_run: find */ SELECT id FROM workflow_runs
             WHERE organization_id = $1 AND id = $2 AND parent_run_id IS NULL",
            &[(&cancel.organization_id, Type::UUID), (&cancel.run_id, Type::UUID)],
        )
        .await?;
    if found.is_empty() {
        return Err(StoreError::NotFound);
    }
    store
        .run_tx_if(
            "stop_run",
            |tx| stop_in(tx, cancel.run_id, RunStop::Cancelled, &cancel.cancelled_by, cancel.now),
            |is_stopped| *is_stopped,
        )
        .await?;
    end_stopped_run(store.store(), cancel.run_id, next_id, cancel.now).await
}
