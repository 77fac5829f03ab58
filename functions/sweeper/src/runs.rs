//! What runs are due: their time-out, the rest of a stop, and an end that nobody wrote.

use domain::function::{Actor, Function};
use domain::ids::RunId;
use domain::limits::SWEEP_ROWS_MAX;
use domain::run::RunStop;
use queue::Outgoing;
use store::sweeper::{find_due_runs, find_stopped_runs, settle_left_runs};
use store::{StoreError, end_stopped_run, stop_run};

use crate::{Deps, Swept, is_full};

/// Stops runs whose time-out is over; whether there may be more.
pub(crate) async fn stop_due(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let by = Actor::Function(Function::Sweeper);
    let due = find_due_runs(&deps.store, SWEEP_ROWS_MAX).await?;
    for run_id in &due {
        stop_run(&deps.store, *run_id, RunStop::Timeout, &by, deps.clock.now()).await?;
        tracing::info!(%run_id, "the run took longer than its time-out");
        end_open(*run_id, swept, deps).await?;
    }
    swept.runs_stopped += due.len();
    Ok(is_full(due.len()))
}

/// Goes on with stops that were not carried to their end; whether there may be more.
pub(crate) async fn end_stopped(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let now = deps.clock.now();
    let stopped = find_stopped_runs(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX, now).await?;
    for run_id in &stopped {
        end_open(*run_id, swept, deps).await?;
    }
    Ok(is_full(stopped.len()))
}

async fn end_open(run_id: RunId, swept: &mut Swept, deps: &Deps) -> Result<(), StoreError> {
    let now = deps.clock.now();
    let freed = end_stopped_run(&deps.store, run_id, &|| deps.ids.next(now), now).await?;
    let wakes = freed.into_iter().map(|slot| Outgoing::now(slot.organization_id, slot.wake()));
    swept.unsent += deps.queue.send(wakes.collect()).await.unsent.len();
    Ok(())
}

/// Ends runs that have nothing open; whether there may be more.
pub(crate) async fn settle_left(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let (now, grace_seconds) = (deps.clock.now(), deps.grace_seconds);
    let work = |tx| async move { settle_left_runs(&tx, grace_seconds, SWEEP_ROWS_MAX, now).await };
    let settled = deps.store.run_tx("settle_left_runs", work).await?;
    for run in &settled {
        tracing::warn!(run_id = %run.id, result = %run.result, "the run had nothing open and was not ended");
    }
    swept.runs_settled += settled.len();
    Ok(!settled.is_empty())
}
