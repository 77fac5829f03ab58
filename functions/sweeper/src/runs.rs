//! Runs are given what they are due: their time-out, the rest of a stop, and an end that nobody wrote.

use domain::function::{Actor, Function};
use domain::ids::RunId;
use domain::limits::SWEEP_ROWS_MAX;
use domain::run::RunStop;
use queue::Outgoing;
use store::sweeper::{find_due_runs, find_stopped_runs, settle_left_runs, stop_runs_of_deleted};
use store::{StoreError, end_stopped_run, stop_run};

use crate::{Deps, Swept, is_full};

/// Passes over the running runs in one tick: where many run for long, each tick looks at those that were not looked at for the longest time.
pub(crate) const PASSES: usize = 4;

/// Stops runs whose time-out is over; whether there may be more. One that can't be stopped now keeps none of the others from it.
///
/// # Errors
/// The first [`StoreError`], when all were tried.
pub(crate) async fn stop_due(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<bool, StoreError> {
    let by = Actor::Function(Function::Sweeper);
    let due = find_due_runs(&deps.store, SWEEP_ROWS_MAX).await?;
    let mut failure = None;
    for run_id in &due {
        if !is_time() {
            break;
        }
        let stopped = async {
            stop_run(&deps.store, *run_id, RunStop::Timeout, &by, deps.clock.now()).await?;
            end_open(*run_id, swept, deps).await
        };
        match stopped.await {
            Ok(()) => {
                tracing::info!(%run_id, "the run took longer than its time-out");
                swept.runs_stopped += 1;
            }
            Err(error) => failure = note(*run_id, error, failure),
        }
    }
    failure.map_or(Ok(is_full(due.len())), Err)
}

/// Stops runs of organizations that were deleted, and goes on with stops that were not carried to their end; whether there may be more.
///
/// # Errors
/// The first [`StoreError`], when all were tried.
pub(crate) async fn end_stopped(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<bool, StoreError> {
    let now = deps.clock.now();
    let work = |tx| async move { stop_runs_of_deleted(&tx, SWEEP_ROWS_MAX, now).await };
    let mut stopped = deps.store.run_tx("stop_runs_of_deleted", work).await?;
    swept.runs_stopped += stopped.len();
    let may_be_more = is_full(stopped.len());
    let found = find_stopped_runs(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX, now).await?;
    let is_cut = is_full(found.len());
    stopped.extend(found);
    let mut failure = None;
    for run_id in stopped {
        if !is_time() {
            break;
        }
        if let Err(error) = end_open(run_id, swept, deps).await {
            failure = note(run_id, error, failure);
        }
    }
    failure.map_or(Ok(may_be_more || is_cut), Err)
}

fn note(run_id: RunId, error: StoreError, first: Option<StoreError>) -> Option<StoreError> {
    tracing::warn!(%run_id, %error, "the run could not be stopped; the next tick tries again");
    first.or(Some(error))
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
    let (looked_at, settled) = deps.store.run_tx("settle_left_runs", work).await?;
    for run in &settled {
        tracing::warn!(run_id = %run.id, result = %run.result, "the run had nothing open and was not ended");
    }
    swept.runs_settled += settled.len();
    Ok(is_full(looked_at))
}
