//! Failed runs of which nobody was told yet.

use domain::ids::{OrganizationId, RunId};
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{Store, StoreError};

/// Finds failed runs that were noted, or whose message was sent, `grace_seconds` ago. Their messages
/// count as sent.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_failed_runs(
    store: &Store,
    grace_seconds: u32,
    rows_max: i64,
) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let rows = store
        .query(
            "/* find_failed_runs */
             UPDATE failed_runs f SET sent_at = statement_timestamp()
             FROM (
                 SELECT run_id, handler_workflow_id, handler_node_id FROM failed_runs
                 WHERE coalesce(sent_at, created_at) < now() - make_interval(secs => $1::float8)
                 ORDER BY coalesce(sent_at, created_at) LIMIT $2::int8
                 FOR NO KEY UPDATE SKIP LOCKED) due
             WHERE f.run_id = due.run_id AND f.handler_workflow_id = due.handler_workflow_id
               AND f.handler_node_id = due.handler_node_id
             RETURNING f.organization_id, f.run_id",
            &[(&f64::from(grace_seconds), Type::FLOAT8), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "organization_id")?, column(row, "run_id")?))).collect()
}
