//! Schedules that are due before the next tick.

use domain::ids::OrganizationId;
use tokio_postgres::types::Type;

use crate::nodes::{NodeKey, node_key};
use crate::types::column;
use crate::{Store, StoreError};

/// A schedule that is due soon.
#[derive(Clone, Debug, PartialEq)]
pub struct DueSchedule {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The trigger.
    pub key: NodeKey,
    /// Seconds until then; 0 where the moment has passed.
    pub seconds_left: f64,
}

/// Finds schedules that are due within `ahead_seconds` and have no message yet, and those that were
/// due `grace_seconds` ago and have none that is younger. Their messages count as sent.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_schedules(
    store: &Store,
    ahead_seconds: u32,
    grace_seconds: u32,
    rows_max: i64,
) -> Result<Vec<DueSchedule>, StoreError> {
    let rows = store
        .query(
            "/* find_due_schedules */
             UPDATE schedules s SET sent_at = statement_timestamp()
             FROM (
                 SELECT d.workflow_id, d.node_id FROM schedules d
                 WHERE d.due_at <= now() + make_interval(secs => $1::float8)
                   AND (d.sent_at IS NULL
                        OR greatest(d.due_at, d.sent_at)
                            < now() - make_interval(secs => $2::float8))
                 ORDER BY d.due_at LIMIT $3::int8 FOR NO KEY UPDATE SKIP LOCKED) due
             JOIN workflows w ON w.id = due.workflow_id
             WHERE s.workflow_id = due.workflow_id AND s.node_id = due.node_id
             RETURNING w.organization_id, s.workflow_id, s.node_id,
                 greatest(extract(epoch FROM s.due_at - now()), 0)::float8 AS seconds_left",
            &[
                (&f64::from(ahead_seconds), Type::FLOAT8),
                (&f64::from(grace_seconds), Type::FLOAT8),
                (&rows_max, Type::INT8),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DueSchedule {
                organization_id: column(row, "organization_id")?,
                key: node_key(row)?,
                seconds_left: column(row, "seconds_left")?,
            })
        })
        .collect()
}
