//! The sweeper's searches for runs: those past their time-out, those whose stop is not complete,
//! and those with nothing open and no end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::actor::Actor;
use domain::function::Function;
use domain::ids::{OrganizationId, RunId};
use domain::limits::SWEEP_ROWS_MAX;
use domain::message::Message;
use domain::run::RunStop;
use queue::Outgoing;
use store::sweeper::{
    find_due_runs, find_failed_runs, find_stopped_runs, settle_left_runs, stop_runs_of_deleted,
};
use store::{StoreError, end_stopped_run, find_runs_due_soon, stop_run};

use crate::{Deps, Swept};

/// The most searches among the running runs in one tick.
const PASSES: usize = 4;

/// Runs of one search, after which the other searches have their turn. Each run takes transactions
/// of its own.
const RUNS_A_TURN: i64 = 50;

/// Stops runs whose time-out is over. A run that can't be stopped now does not keep the others from
/// being stopped. Returns whether there may be more.
///
/// # Errors
/// The first [`StoreError`], after all runs were tried.
pub(crate) async fn stop_due(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<bool, StoreError> {
    let by = Actor::function(Function::Sweeper);
    let due = find_due_runs(&deps.store, RUNS_A_TURN).await?;
    let mut failure = None;
    for (at, run_id) in due.iter().enumerate() {
        // The first run is stopped however little time is left.
        if at > 0 && !is_time() {
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
    failure.map_or(Ok(is_many(due.len())), Err)
}

/// Seconds for which a tick looks ahead: until the next tick, even if that is late.
pub(crate) const DUE_SOON_SECONDS: u32 = 90;

/// Sends messages for runs whose time-out comes before the next tick.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn send_due_soon(swept: &mut Swept, deps: &Deps) -> Result<(), StoreError> {
    let due = find_runs_due_soon(&deps.store, DUE_SOON_SECONDS, SWEEP_ROWS_MAX).await?;
    let messages = due.into_iter().filter_map(|(organization_id, run_id, seconds)| {
        let wait = Duration::try_from_secs_f64(seconds).ok()?;
        Outgoing::after(organization_id, Message::Run { run_id }, wait)
    });
    swept.unsent += deps.queue.send(messages.collect()).await.unsent.len();
    Ok(())
}

/// Sends messages for failed runs of which triggers are to be told, where the message was lost.
/// Returns whether there may be more.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn send_failed(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let found = find_failed_runs(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    let is_full = crate::is_full(found.len());
    let messages = found
        .into_iter()
        .map(|(organization_id, run_id)| Outgoing::now(organization_id, Message::Run { run_id }));
    let report = deps.queue.send(messages.collect()).await;
    swept.unsent += report.unsent.len();
    Ok(is_full && report.unsent.is_empty())
}

/// Stops runs of deleted organizations, and completes stops that were begun. Returns whether there
/// may be more.
///
/// # Errors
/// The first [`StoreError`], after all runs were tried.
pub(crate) async fn end_stopped(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<bool, StoreError> {
    let now = deps.clock.now();
    let work = |tx| async move { stop_runs_of_deleted(&tx, RUNS_A_TURN, now).await };
    // Another transaction may hold one of these runs. The begun stops are completed all the same.
    let (of_deleted, mut failure) = match deps.store.run_tx("stop_runs_of_deleted", work).await {
        Ok(of_deleted) => (of_deleted, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    swept.runs_stopped += of_deleted.len();
    let found = find_stopped_runs(&deps.store, deps.grace_seconds, RUNS_A_TURN, now).await?;
    let may_be_more = is_many(of_deleted.len()) || is_many(found.len());
    for (at, run_id) in of_deleted.into_iter().chain(found).enumerate() {
        if at > 0 && !is_time() {
            break;
        }
        if let Err(error) = end_open(run_id, swept, deps).await {
            failure = note(run_id, error, failure);
        }
    }
    failure.map_or(Ok(may_be_more), Err)
}

/// Whether a search of runs found as many as it may.
fn is_many(runs: usize) -> bool {
    i64::try_from(runs).unwrap_or(i64::MAX) >= RUNS_A_TURN
}

fn note(run_id: RunId, error: StoreError, first: Option<StoreError>) -> Option<StoreError> {
    tracing::warn!(%run_id, %error, "the run could not be stopped; the next tick tries again");
    first.or(Some(error))
}

async fn end_open(run_id: RunId, swept: &mut Swept, deps: &Deps) -> Result<(), StoreError> {
    let now = deps.clock.now();
    let stopped = end_stopped_run(&deps.store, run_id, &|| deps.ids.next(now), now).await?;
    let wakes = stopped.wakes().map(|(organization_id, message)| Outgoing::now(organization_id, message));
    swept.unsent += deps.queue.send(wakes.collect()).await.unsent.len();
    Ok(())
}

/// Ends runs that have nothing open. Each tick goes on where the previous one ended, and begins
/// anew after the last running run. With thousands of long runs it takes several ticks to search
/// all of them.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn settle_left(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<(), StoreError> {
    let (now, grace_seconds) = (deps.clock.now(), deps.grace_seconds);
    for _ in 0..PASSES {
        let after = deps.net.get();
        let work = |tx| async move { settle_left_runs(&tx, grace_seconds, after, SWEEP_ROWS_MAX, now).await };
        let search = deps.store.run_tx("settle_left_runs", work).await?;
        for run in &search.settled {
            tracing::warn!(run_id = %run.id, result = %run.result, "the run had nothing open and was not ended");
        }
        swept.runs_settled += search.settled.len();
        deps.net.set(search.last.unwrap_or(BEFORE_ALL));
        if !is_time() || search.last.is_none() && after == BEFORE_ALL {
            break;
        }
    }
    Ok(())
}

/// The position of the search for runs that were not ended. A warm instance keeps it.
pub struct Net(Mutex<RunPlace>);

type RunPlace = (OrganizationId, RunId);

const BEFORE_ALL: RunPlace = (OrganizationId::from_u128(0), RunId::from_u128(0));

impl Default for Net {
    fn default() -> Self {
        Self(Mutex::new(BEFORE_ALL))
    }
}

impl Net {
    fn get(&self) -> RunPlace {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, place: RunPlace) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}
