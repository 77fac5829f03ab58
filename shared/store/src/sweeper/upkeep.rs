use domain::ids::WorkflowId;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::nodes::{NodeKey, node_key};
use crate::types::column;
use crate::{Store, StoreError};

/// Forgets expired deduplication keys, which are older than `DEDUPLICATION_HOURS`; returns their
/// number.
///
/// # Errors
/// See [`StoreError`].
pub async fn forget_deduplications(
    store: &Store,
    now: Timestamp,
    rows_max: i64,
) -> Result<usize, StoreError> {
    let rows = store
        .query(
            "/* forget_deduplications */
             DELETE FROM webhook_deduplications
             WHERE (webhook_id, key) IN (
                 SELECT webhook_id, key FROM webhook_deduplications
                 WHERE created_at < $1 - make_interval(secs => $2 * 3600)
                 ORDER BY created_at LIMIT $3)
             RETURNING webhook_id",
            &[
                (&now, Type::TIMESTAMPTZ),
                (&f64::from(domain::limits::DEDUPLICATION_HOURS), Type::FLOAT8),
                (&rows_max, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.len())
}

/// Forgets previous keys and tokens of webhooks that are no longer accepted; returns their number.
///
/// # Errors
/// See [`StoreError`].
pub async fn forget_previous_keys(store: &Store, now: Timestamp, rows_max: i64) -> Result<i64, StoreError> {
    let rows = store
        .query(
            "/* forget_previous_keys */ SELECT forget_previous_webhook_keys($1, $2) AS forgotten",
            &[(&now, Type::TIMESTAMPTZ), (&rows_max, Type::INT8)],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("forget_previous_keys"))?, "forgotten")
}

/// Ends lines of the audit log that are older than so many days, by the database's clock; returns
/// their number.
///
/// # Errors
/// See [`StoreError`].
pub async fn end_audit_lines(store: &Store, kept_days: i32, rows_max: i64) -> Result<i64, StoreError> {
    let rows = store
        .query(
            "/* end_audit_lines */ SELECT end_audit_lines($1, $2) AS ended",
            &[(&kept_days, Type::INT4), (&rows_max, Type::INT8)],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("end_audit_lines"))?, "ended")
}

/// Forgets the secret references of node versions that a newer version replaced more than a day
/// ago, at most `nodes_max` of the nodes after `after`. Returns their number, and the last node;
/// None: there are no more.
///
/// # Errors
/// See [`StoreError`].
pub async fn forget_secret_refs(
    store: &Store,
    now: Timestamp,
    after: &NodeKey,
    nodes_max: i64,
) -> Result<(i64, Option<NodeKey>), StoreError> {
    let rows = store
        .query(
            "/* forget_secret_refs */
             SELECT forgotten, last_workflow AS workflow_id, last_node AS node_id
             FROM forget_secret_refs_after($1 - make_interval(hours => $2), $3, $4, $5)",
            &[
                (&now, Type::TIMESTAMPTZ),
                (&SECRET_REFS_KEPT_HOURS, Type::INT4),
                (&after.0, Type::UUID),
                (&after.1, Type::TEXT),
                (&nodes_max, Type::INT8),
            ],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("forget_secret_refs"))?;
    let is_last = column::<Option<WorkflowId>>(row, "workflow_id")?.is_none();
    let last = if is_last { None } else { Some(node_key(row)?) };
    Ok((column(row, "forgotten")?, last))
}

/// Hours for which references of a superseded version are kept: a builder may still plan with it.
const SECRET_REFS_KEPT_HOURS: i32 = 24;

/// The seconds for which the oldest transaction of the database has been open; 0 where none is.
///
/// # Errors
/// See [`StoreError`].
pub async fn oldest_transaction_seconds(store: &Store) -> Result<f64, StoreError> {
    let rows = store
        .query(
            "/* oldest_transaction */
             SELECT oldest_transaction_seconds() AS seconds",
            &[],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("oldest_transaction"))?, "seconds")
}

/// Waiting items, for the operator's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitingItems {
    /// The number of queue items, counted up to the caller's limit.
    pub items: i64,
    /// Seconds for which the oldest item has waited.
    pub oldest_seconds: f64,
}

/// Counts the waiting items of all organizations together, up to `items_max`.
///
/// # Errors
/// See [`StoreError`].
pub async fn count_waiting_items(
    store: &Store,
    now: Timestamp,
    items_max: i64,
) -> Result<WaitingItems, StoreError> {
    let rows = store
        .query(
            "/* count_waiting_items */
             SELECT (SELECT count(*)
                     FROM (SELECT FROM workflow_node_queue_items LIMIT $2) counted) AS items,
                    coalesce(extract(epoch FROM $1 - (
                        SELECT created_at FROM workflow_node_queue_items
                        ORDER BY id LIMIT 1))::float8, 0) AS oldest_seconds",
            &[(&now, Type::TIMESTAMPTZ), (&items_max, Type::INT8)],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("count_waiting_items"))?;
    let oldest_seconds: f64 = column(row, "oldest_seconds")?;
    Ok(WaitingItems { items: column(row, "items")?, oldest_seconds: oldest_seconds.max(0.0) })
}

/// Sets or clears the mark `items_full`, which says that a node has as many waiting items as are
/// allowed. Looks at the marked nodes, and at most `nodes_max` of those with waiting items after
/// `after`. Returns the last of them; None: there are no more.
///
/// # Errors
/// See [`StoreError`].
pub async fn mark_full_nodes(
    store: &Store,
    after: &NodeKey,
    nodes_max: i64,
) -> Result<Option<NodeKey>, StoreError> {
    let rows = store
        .query(
            "/* mark_full_nodes */
             WITH RECURSIVE waiting AS (
                 (SELECT workflow_id, node_id FROM workflow_node_queue_items
                  WHERE (workflow_id, node_id) > ($2::uuid, $3::text)
                  ORDER BY workflow_id, node_id LIMIT 1)
                 UNION ALL
                 SELECT next.workflow_id, next.node_id
                 FROM waiting CROSS JOIN LATERAL (
                     SELECT i.workflow_id, i.node_id FROM workflow_node_queue_items i
                     WHERE (i.workflow_id, i.node_id) > (waiting.workflow_id, waiting.node_id)
                     ORDER BY i.workflow_id, i.node_id LIMIT 1) next),
             seen AS MATERIALIZED (SELECT workflow_id, node_id FROM waiting LIMIT $4::int8),
             known AS MATERIALIZED (
                 SELECT workflow_id, node_id FROM seen
                 UNION
                 SELECT workflow_id, node_id FROM workflow_nodes WHERE items_full),
             counted AS MATERIALIZED (
                 SELECT known.workflow_id, known.node_id, EXISTS (
                     SELECT FROM workflow_node_queue_items i
                     WHERE i.workflow_id = known.workflow_id AND i.node_id = known.node_id
                     ORDER BY created_at, id OFFSET $1 - 1 LIMIT 1) AS is_full
                 FROM known),
             -- A node that another transaction holds is marked by the next tick.
             changed AS MATERIALIZED (
                 SELECT n.workflow_id, n.node_id
                 FROM counted
                 JOIN workflow_nodes n
                   ON n.workflow_id = counted.workflow_id AND n.node_id = counted.node_id
                 WHERE n.items_full <> counted.is_full
                 ORDER BY n.workflow_id, n.node_id FOR NO KEY UPDATE OF n SKIP LOCKED),
             marked AS (
                 UPDATE workflow_nodes n SET items_full = NOT n.items_full
                 FROM changed
                 WHERE n.workflow_id = changed.workflow_id AND n.node_id = changed.node_id)
             SELECT workflow_id, node_id FROM seen
             WHERE (SELECT count(*) FROM seen) >= $4
             ORDER BY workflow_id DESC, node_id DESC LIMIT 1",
            &[
                (&domain::limits::NODE_ITEMS_MAX, Type::INT8),
                (&after.0, Type::UUID),
                (&after.1, Type::TEXT),
                (&nodes_max, Type::INT8),
            ],
        )
        .await?;
    rows.first().map(node_key).transpose()
}
