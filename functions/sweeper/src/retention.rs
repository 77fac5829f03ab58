//! The end of history: a run that is older than its organization keeps runs expires, and is deleted
//! a minute later.

use std::sync::{Mutex, PoisonError};

use domain::ids::{OrganizationId, RunId};
use domain::limits::SWEEP_ROWS_MAX;
use jiff::SignedDuration;
use store::StoreError;
use store::sweeper::{delete_expired_run, expire_runs, find_expired_runs, find_retentions};

use crate::{Deps, Swept};

/// Seconds between the two steps: a redrive that began before the first has ended by then.
const EXPIRED_SECONDS: i64 = 60;
/// Organizations of one search.
const ORGANIZATIONS_A_SEARCH: i64 = 100;
/// Runs of one search, each of which takes a transaction of its own.
const RUNS_A_SEARCH: i64 = 100;

/// The place of the search for old runs, kept from tick to tick: where the time is not enough for
/// all, the next tick goes on behind the last run.
#[derive(Default)]
pub struct Place(Mutex<Option<(OrganizationId, RunId)>>);

impl Place {
    fn get(&self) -> (OrganizationId, RunId) {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.unwrap_or((OrganizationId::from_u128(0), RunId::from_u128(0)))
    }

    fn set(&self, place: Option<(OrganizationId, RunId)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

/// Has old runs expire, organization by organization.
///
/// # Errors
/// See [`StoreError`]; the next tick goes on.
pub(crate) async fn expire(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<(), StoreError> {
    loop {
        let (from, after) = deps.retention_place.get();
        let days_max = deps.retention_days_max;
        let retentions = find_retentions(&deps.store, from, days_max, ORGANIZATIONS_A_SEARCH).await?;
        let Some(last) = retentions.last() else {
            deps.retention_place.set(None);
            return Ok(());
        };
        let is_last = i64::try_from(retentions.len()).is_ok_and(|found| found < ORGANIZATIONS_A_SEARCH);
        let behind_last = OrganizationId::from_u128(last.organization_id.0.as_u128().saturating_add(1));
        for retention in retentions {
            let id = retention.organization_id;
            let mut after = if id == from { after } else { RunId::from_u128(0) };
            loop {
                if !is_time() {
                    deps.retention_place.set(Some((id, after)));
                    return Ok(());
                }
                let now = deps.clock.now();
                let found = expire_runs(&deps.store, retention, after, now, SWEEP_ROWS_MAX).await?;
                swept.runs_expired += found.expired;
                match found.last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        if is_last {
            deps.retention_place.set(None);
            return Ok(());
        }
        deps.retention_place.set(Some((behind_last, RunId::from_u128(0))));
    }
}

/// Deletes expired runs. One that can't be deleted now keeps none of the others from it.
///
/// # Errors
/// The first [`StoreError`], when all were tried.
pub(crate) async fn delete(
    swept: &mut Swept,
    is_time: &(dyn Fn() -> bool + Sync),
    deps: &Deps,
) -> Result<(), StoreError> {
    let before = deps.clock.now() - SignedDuration::from_secs(EXPIRED_SECONDS);
    let mut failure = None;
    while is_time() {
        let run_ids = find_expired_runs(&deps.store, before, RUNS_A_SEARCH).await?;
        let deleted_before = swept.runs_deleted;
        for run_id in &run_ids {
            if !is_time() {
                break;
            }
            match delete_expired_run(&deps.store, *run_id, deps.retention_days_max).await {
                Ok(Some(_)) => swept.runs_deleted += 1,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%run_id, %error, "the expired run was not deleted; the next tick tries again");
                    failure.get_or_insert(error);
                }
            }
        }
        let is_full = i64::try_from(run_ids.len()).is_ok_and(|found| found >= RUNS_A_SEARCH);
        if !is_full || swept.runs_deleted == deleted_before {
            break;
        }
    }
    failure.map_or(Ok(()), Err)
}
