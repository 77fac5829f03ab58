use domain::actor::Actor;
use domain::function::Function;
use domain::ids::{OrganizationId, RunId};
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::runs::{EndedWork, SettledRun, settle_runs, stop_and_settle_runs};
use crate::types::column;
use crate::{Store, StoreError, Tx};

/// Runs whose time-out has come, the longest overdue first.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_runs(store: &Store, rows_max: i64) -> Result<Vec<RunId>, StoreError> {
    let rows = store
        .query(
            "/* find_due_runs */
             SELECT id FROM workflow_runs
             WHERE state = 'running' AND due_at IS NOT NULL AND stop IS NULL AND due_at <= now()
             ORDER BY due_at LIMIT $1::int8",
            &[(&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// Stops running runs of deleted organizations, and returns them.
///
/// # Errors
/// See [`StoreError`].
pub async fn stop_runs_of_deleted(tx: &Tx, rows_max: i64, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
    let rows = tx
        .query(
            "/* find_runs_of_deleted */
             SELECT r.id FROM organizations o CROSS JOIN LATERAL (
                 SELECT r.id FROM workflow_runs r
                 WHERE r.organization_id = o.id AND r.state = 'running' AND r.stop IS NULL
                 LIMIT $1::int8) r
             WHERE o.deleted_at IS NOT NULL
             LIMIT $1",
            &[(&rows_max, Type::INT8)],
        )
        .await?;
    let run_ids: Vec<RunId> = rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    if !run_ids.is_empty() {
        let by = Actor::function(Function::Sweeper);
        let _ =
            stop_and_settle_runs(tx, &run_ids, RunStop::Cancelled, &by, &EndedWork::default(), now).await?;
    }
    Ok(run_ids)
}

/// Stopped runs that still run, whose stop and last look are older than the grace; the one with the
/// oldest look first. The search counts as a look.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_stopped_runs(
    store: &Store,
    grace_seconds: u32,
    rows_max: i64,
    now: Timestamp,
) -> Result<Vec<RunId>, StoreError> {
    let rows = store
        .query(
            "/* find_stopped_runs */
             WITH found AS MATERIALIZED (
                 SELECT id FROM workflow_runs
                 WHERE state = 'running' AND stop IS NOT NULL
                   AND coalesce(looked_at, created_at)
                       < $1::timestamptz - make_interval(secs => $2::float8)
                   AND updated_at < $1::timestamptz - make_interval(secs => $2::float8)
                 ORDER BY coalesce(looked_at, created_at) LIMIT $3::int8
                 FOR NO KEY UPDATE SKIP LOCKED)
             UPDATE workflow_runs r SET looked_at = $1
             FROM found
             WHERE r.id = found.id
             RETURNING r.id",
            &[(&now, Type::TIMESTAMPTZ), (&f64::from(grace_seconds), Type::FLOAT8), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// The runs that one search has looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSearch {
    /// The runs that had nothing open, and are ended now.
    pub settled: Vec<SettledRun>,
    /// The last run of the search, after which the next search goes on; None: there are no more.
    pub last: Option<(OrganizationId, RunId)>,
}

/// Ends running runs without open work, which older code leaves: it ends work and knows no rows of
/// runs. It looks at running runs past their grace, at most `rows_max` of those after `after`, in
/// the order of their organizations.
///
/// # Errors
/// See [`StoreError`].
pub async fn settle_left_runs(
    tx: &Tx,
    grace_seconds: u32,
    after: (OrganizationId, RunId),
    rows_max: i64,
    now: Timestamp,
) -> Result<RunSearch, StoreError> {
    // A run that another transaction holds is being ended. No lock is waited for, so their order
    // does not matter.
    let rows = tx
        .query(
            "/* look_at_runs */
             SELECT organization_id, id FROM workflow_runs
             WHERE state = 'running' AND (organization_id, id) > ($1::uuid, $2::uuid)
               AND created_at < $3::timestamptz - make_interval(secs => $4::float8)
             ORDER BY organization_id, id LIMIT $5::int8 FOR NO KEY UPDATE SKIP LOCKED",
            &[
                (&after.0, Type::UUID),
                (&after.1, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&f64::from(grace_seconds), Type::FLOAT8),
                (&rows_max, Type::INT8),
            ],
        )
        .await?;
    let run_ids: Vec<RunId> = rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= rows_max;
    let last = match rows.last().filter(|_| is_full) {
        Some(row) => Some((column(row, "organization_id")?, column(row, "id")?)),
        None => None,
    };
    Ok(RunSearch { settled: settle_runs(tx, &run_ids.into(), now).await?.runs, last })
}
