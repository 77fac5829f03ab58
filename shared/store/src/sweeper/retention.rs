//! The search for old runs, and their deletion by the function `delete_expired_run` of the database
//! (`migrations/V38__expired_runs_are_deleted.sql`).

use domain::ids::{OrganizationId, RunId};
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{Store, StoreError};

/// The days for which an organization keeps its finished runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Days after the end of a run, 1 or more.
    pub days: i32,
}

/// The organizations that don't keep their runs for ever, from `from` on, in the order of their
/// ids. The operator's maximum holds for each of them.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_retentions(
    store: &Store,
    from: OrganizationId,
    operators_days: Option<i32>,
    rows_max: i64,
) -> Result<Vec<Retention>, StoreError> {
    let rows = store
        .query(
            "/* find_retentions */
             SELECT id, runs_kept_days(retention_days, $2, deleted_at) AS days FROM organizations
             WHERE id >= $1 AND runs_kept_days(retention_days, $2, deleted_at) IS NOT NULL
             ORDER BY id LIMIT $3",
            &[(&from, Type::UUID), (&operators_days, Type::INT4), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(Retention { organization_id: column(row, "id")?, days: column(row, "days")? }))
        .collect()
}

/// The outcome of a look at old runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiredRuns {
    /// Runs that expired.
    pub expired: i64,
    /// The last run of the look; None: no further run is old enough.
    pub last: Option<RunId>,
}

/// Looks at the runs of an organization after `after` that are old enough by their ids, and marks
/// those as expired that ended so many days ago. A run that another transaction holds has its turn
/// later.
///
/// # Errors
/// See [`StoreError`].
pub async fn expire_runs(
    store: &Store,
    retention: Retention,
    after: RunId,
    now: Timestamp,
    rows_max: i64,
) -> Result<ExpiredRuns, StoreError> {
    let ended_before = now - SignedDuration::from_hours(24 * i64::from(retention.days));
    let rows = store
        .query(
            "/* expire_runs */
             WITH looked_at AS MATERIALIZED (
                 SELECT id, coalesce(state, '') = 'finished' AND expired_at IS NULL
                     AND parent_run_id IS NULL AND finished_at < $4 AS is_old
                 FROM workflow_runs
                 WHERE organization_id = $1 AND id > $2 AND id < $3
                 ORDER BY organization_id, id LIMIT $6),
             old AS MATERIALIZED (
                 SELECT r.id FROM looked_at JOIN workflow_runs r ON r.id = looked_at.id
                 WHERE looked_at.is_old
                 ORDER BY uuid_send(r.id) FOR NO KEY UPDATE OF r SKIP LOCKED),
             expired AS (
                 UPDATE workflow_runs r SET expired_at = $5
                 FROM old
                 WHERE r.id = old.id AND coalesce(r.state, '') = 'finished'
                 RETURNING r.id)
             SELECT (SELECT count(*) FROM expired) AS expired,
                    (SELECT id FROM looked_at ORDER BY id DESC LIMIT 1) AS last,
                    (SELECT count(*) FROM looked_at) >= $6 AS has_more",
            &[
                (&retention.organization_id, Type::UUID),
                (&after, Type::UUID),
                (&first_id_at(ended_before), Type::UUID),
                (&ended_before, Type::TIMESTAMPTZ),
                (&now, Type::TIMESTAMPTZ),
                (&rows_max, Type::INT8),
            ],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("expire_runs"))?;
    let last = if column(row, "has_more")? { column(row, "last")? } else { None };
    Ok(ExpiredRuns { expired: column(row, "expired")?, last })
}

/// The smallest id of version 7 of a moment (RFC 9562, section 5.7): the milliseconds come first.
fn first_id_at(moment: Timestamp) -> RunId {
    let milliseconds = u64::try_from(moment.as_millisecond()).unwrap_or_default();
    RunId(Uuid::from_u128(u128::from(milliseconds) << 80))
}

/// Runs that expired before a moment, the earliest first.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_expired_runs(
    store: &Store,
    before: Timestamp,
    rows_max: i64,
) -> Result<Vec<RunId>, StoreError> {
    let rows = store
        .query(
            "/* find_expired_runs */
             SELECT id FROM workflow_runs
             WHERE expired_at IS NOT NULL AND expired_at <= $1
             ORDER BY expired_at LIMIT $2",
            &[(&before, Type::TIMESTAMPTZ), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// The outcome of the deletion of an expired run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The run is gone, with all that belonged to it.
    Deleted,
    /// The run stays, and is not expired any more: it runs again, or its organization keeps runs
    /// for longer now.
    Kept,
    /// Another transaction holds the run or an execution of it.
    Locked,
}

/// Deletes an expired run with all that belongs to it.
///
/// # Errors
/// See [`StoreError`].
pub async fn delete_expired_run(
    store: &Store,
    run_id: RunId,
    operators_days: Option<i32>,
) -> Result<Deletion, StoreError> {
    let rows = store
        .query(
            "/* delete_expired_run */ SELECT delete_expired_run($1, $2) AS outcome",
            &[(&run_id, Type::UUID), (&operators_days, Type::INT4)],
        )
        .await;
    let rows = match rows {
        Err(error) if error.is_lock_timeout() => return Ok(Deletion::Locked),
        rows => rows?,
    };
    match column(rows.first().ok_or(StoreError::Corrupt("delete_expired_run"))?, "outcome")? {
        "deleted" => Ok(Deletion::Deleted),
        "kept" => Ok(Deletion::Kept),
        _ => Ok(Deletion::Locked),
    }
}

/// Puts an expired run off to `until`, so that it holds up no other run.
///
/// # Errors
/// See [`StoreError`].
pub async fn put_off_expired_run(store: &Store, run_id: RunId, until: Timestamp) -> Result<(), StoreError> {
    store
        .query(
            "/* put_off_expired_run */
             UPDATE workflow_runs SET expired_at = $2
             WHERE id = (SELECT id FROM workflow_runs WHERE id = $1 AND expired_at IS NOT NULL
                         FOR NO KEY UPDATE SKIP LOCKED)",
            &[(&run_id, Type::UUID), (&until, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(())
}

/// Whether as many runs as `most` have expired and are not deleted yet.
///
/// # Errors
/// See [`StoreError`].
pub async fn has_many_expired(store: &Store, most: i64) -> Result<bool, StoreError> {
    let rows = store
        .query(
            "/* has_many_expired */
             SELECT EXISTS (
                 SELECT FROM workflow_runs
                 WHERE expired_at IS NOT NULL AND expired_at > '-infinity'
                 ORDER BY expired_at OFFSET $1 - 1 LIMIT 1) AS has_many",
            &[(&most, Type::INT8)],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("has_many_expired"))?, "has_many")
}

/// A sender's key is known for so long; the answer to it names a run, which must be there.
const _: () = assert!(domain::limits::DEDUPLICATION_HOURS <= 24, "a run is kept for a day at least");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_moment_comes_before_all_that_are_made_then_and_after_those_before() {
        let moment = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let version_7 =
            |milliseconds: u128, random: u128| RunId(Uuid::from_u128(milliseconds << 80 | 7 << 76 | random));
        let (last_before, first) =
            (version_7(1_700_000_000_122, (1 << 76) - 1), version_7(1_700_000_000_123, 0));
        assert!(last_before < first_id_at(moment) && first_id_at(moment) < first);
    }
}
