//! The end of history: a run that is older than its organization's retention is marked as expired,
//! and is deleted a minute later.

use std::collections::HashMap;
use std::time::Duration;

use domain::ids::{OrganizationId, RunId};
use domain::limits::SWEEP_ROWS_MAX;
use jiff::SignedDuration;
use process::Deadline;
use store::StoreError;
use store::sweeper::{
    Deletion, Retention, delete_expired_run, expire_runs, find_expired_runs, find_retentions,
    has_many_expired, put_off_expired_run,
};
use tokio::sync::Mutex;

use crate::{Deps, Swept};

/// Seconds between expiry and deletion. A redrive that began before the expiry has ended by then.
const EXPIRED_SECONDS: i64 = 60;
/// If this many expired runs wait for deletion, no more runs expire in this tick.
const EXPIRED_MANY: i64 = 10_000;
/// Organizations of one search.
const ORGANIZATIONS_A_SEARCH: i64 = 100;
/// Runs of one search, each of which takes a transaction of its own.
const RUNS_A_SEARCH: i64 = 100;
/// The time that a tick must have left for one deletion and the rest of the tick: the database ends
/// a statement of the sweeper's role after ten seconds.
const TIME_FOR_A_DELETION: Duration = Duration::from_secs(15);
/// Hours after which a deletion that failed is tried again.
const FAILED_HOURS: i64 = 1;
/// Pages of an organization in one turn, while no run of them expires.
const PAGES_A_TURN: usize = 10;
/// Organizations whose place is kept; beyond that all places are forgotten.
const PLACES_MANY: usize = 10_000;
/// The smallest id of an organization.
const FIRST: OrganizationId = OrganizationId::from_u128(0);

/// The place of the search for old runs. It is kept from tick to tick: where the time is not enough
/// for all organizations, the next tick goes on.
#[derive(Default)]
pub struct Place(Mutex<Places>);

struct Places {
    /// The next organization.
    next: OrganizationId,
    /// For each organization with more than one page of old runs: the last run of its previous
    /// page.
    runs: HashMap<OrganizationId, RunId>,
}

impl Default for Places {
    fn default() -> Self {
        Self { next: FIRST, runs: HashMap::new() }
    }
}

/// Deletes expired runs. A run that can't be deleted now is put off, and holds up no other run.
///
/// # Errors
/// The first [`StoreError`], after all runs were tried.
pub(crate) async fn delete(swept: &mut Swept, deadline: Deadline, deps: &Deps) -> Result<(), StoreError> {
    let is_time = || deadline.left() > TIME_FOR_A_DELETION;
    let before = deps.clock.now() - SignedDuration::from_secs(EXPIRED_SECONDS);
    let mut failure = None;
    let mut has_more = true;
    while has_more && is_time() {
        let run_ids = find_expired_runs(&deps.store, before, RUNS_A_SEARCH).await?;
        has_more = i64::try_from(run_ids.len()).is_ok_and(|found| found >= RUNS_A_SEARCH);
        let mut locked = 0;
        for run_id in &run_ids {
            if !is_time() {
                break;
            }
            let deletion = delete_expired_run(&deps.store, *run_id, deps.retention_days_max).await;
            let until = match &deletion {
                Ok(Deletion::Deleted) => {
                    swept.runs_deleted += 1;
                    continue;
                }
                Ok(Deletion::Kept) => continue,
                Ok(Deletion::Locked) => {
                    locked += 1;
                    deps.clock.now()
                }
                Err(_) => deps.clock.now() + SignedDuration::from_hours(FAILED_HOURS),
            };
            let put_off = put_off_expired_run(&deps.store, *run_id, until).await;
            for error in [deletion.err(), put_off.err()].into_iter().flatten() {
                tracing::error!(%run_id, %error, "the expired run was not deleted; it is tried again");
                failure.get_or_insert(error);
            }
        }
        // A run that another transaction has locked can't be put off. If all runs of a page are
        // locked, the rest is left to the next tick.
        has_more &= locked < run_ids.len();
    }
    failure.map_or(Ok(()), Err)
}

/// Marks old runs as expired. Each round gives each organization a turn. Rounds go on as long as one
/// of them marks a run.
///
/// # Errors
/// The first [`StoreError`], after all organizations had their turn or the time was used up.
pub(crate) async fn expire(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<(), StoreError> {
    let mut places = deps.retention_place.0.lock().await;
    let (mut failure, mut has_expired, mut rounds) = (None, false, 0);
    while is_time() && !has_many_expired(&deps.store, EXPIRED_MANY).await? {
        let (from, days_max) = (places.next, deps.retention_days_max);
        let retentions = find_retentions(&deps.store, from, days_max, ORGANIZATIONS_A_SEARCH).await?;
        let Some(last) = retentions.last() else {
            places.next = FIRST;
            rounds += 1;
            // The first round began wherever the tick before had ended.
            if rounds > 1 && !has_expired {
                break;
            }
            has_expired = false;
            continue;
        };
        places.next = OrganizationId::from_u128(last.organization_id.0.as_u128().saturating_add(1));
        let expired_before = swept.runs_expired;
        for retention in retentions {
            if !is_time() || swept.runs_expired - expired_before >= EXPIRED_MANY {
                places.next = retention.organization_id;
                break;
            }
            match expire_turn(retention, &mut places, deps).await {
                Ok(expired) => {
                    swept.runs_expired += expired;
                    has_expired |= expired > 0;
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Looks at the next pages of an organization's old runs, until some expire, and returns their
/// number.
async fn expire_turn(retention: Retention, places: &mut Places, deps: &Deps) -> Result<i64, StoreError> {
    let id = retention.organization_id;
    let mut after = places.runs.remove(&id).unwrap_or(RunId::from_u128(0));
    for _ in 0..PAGES_A_TURN {
        let found = expire_runs(&deps.store, retention, after, deps.clock.now(), SWEEP_ROWS_MAX).await?;
        let Some(last) = found.last else { return Ok(found.expired) };
        after = last;
        if found.expired > 0 {
            keep_place(places, id, after);
            return Ok(found.expired);
        }
    }
    keep_place(places, id, after);
    Ok(0)
}

fn keep_place(places: &mut Places, id: OrganizationId, after: RunId) {
    if places.runs.len() >= PLACES_MANY {
        places.runs.clear();
    }
    places.runs.insert(id, after);
}
