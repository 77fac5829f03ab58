use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::builder::NodeKey;
use crate::types::column;
use crate::{Store, StoreError};

/// A node whose waiting items get one wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueNode {
    /// The node.
    pub key: NodeKey,
    /// Its organization.
    pub organization_id: Uuid,
    /// The items on which the send was recorded.
    pub item_ids: Vec<Uuid>,
}

/// An execution that gets a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueExecution {
    /// `workflow_node_executions.id`
    pub id: Uuid,
    /// Its organization.
    pub organization_id: Uuid,
    /// Seconds until it is to run; 0: at once.
    pub delay_seconds: i32,
}

/// Seconds by which a function's clock, which says when a row was written, and the database's, by which timers go, may differ: a timer
/// that was perhaps too far away for a queue when it was made is sent by the sweeper too.
const CLOCKS_SECONDS: u32 = 60;
/// Seconds of the backoff after each send: 1, 2, 4, 8, 15 minutes. In SQL, by `sent_count`.
const BACKOFF: &str = "(ARRAY[0, 60, 120, 240, 480, 900])[least(sent_count, 5) + 1]";
/// The same by [`SENT_IN_A_ROW`].
const BACKOFF_IN_A_ROW: &str = "(ARRAY[0, 60, 120, 240, 480, 900])[CASE WHEN last_sent_at >= updated_at THEN least(sent_count, 5) ELSE 0 END + 1]";

/// Sends since the execution's state last changed: what was claimed meanwhile was delivered, and starts anew.
const SENT_IN_A_ROW: &str = "CASE WHEN last_sent_at >= updated_at THEN sent_count ELSE 0 END";

/// One item of `node` for which the builder has something to do: one whose concurrency key is not known yet, else the first of a key
/// with a free slot. Keys are walked over by a loose index scan, no further than to the first such.
const FIRST_OF_KEYED: &str = "
    SELECT ready.id, ready.last_sent_at, ready.sent_count FROM (
        (SELECT i.id, i.last_sent_at, i.sent_count FROM workflow_node_queue_items i
         WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key IS NULL
         ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1)
        UNION ALL
        (WITH RECURSIVE keys (key) AS (
             (SELECT i.concurrency_key FROM workflow_node_queue_items i
              WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key IS NOT NULL
              ORDER BY i.concurrency_key LIMIT 1)
             UNION ALL
             SELECT next.concurrency_key FROM keys CROSS JOIN LATERAL (
                 SELECT i.concurrency_key FROM workflow_node_queue_items i
                 WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key > keys.key
                 ORDER BY i.concurrency_key LIMIT 1) next)
         SELECT first.id, first.last_sent_at, first.sent_count FROM keys CROSS JOIN LATERAL (
             SELECT i.id, i.last_sent_at, i.sent_count FROM workflow_node_queue_items i
             WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key = keys.key
             ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1) first
         WHERE node.concurrency_max > (
             SELECT count(*) FROM workflow_node_executions e
             WHERE e.workflow_id = node.workflow_id AND e.node_id = node.node_id AND e.concurrency_key = keys.key
               AND e.state <> 'finished')
         LIMIT 1)) ready
    LIMIT 1";

/// Finds nodes with waiting items past their grace and records the send: a limited node with a free slot on its smallest item, an
/// unlimited one on each item of the send. Items behind a limit cost nothing. What another sweeper sends meanwhile is left to it.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_nodes(
    store: &Store,
    grace_seconds: u32,
    rows_max: i64,
) -> Result<Vec<DueNode>, StoreError> {
    let sql = format!(
        "/* find_due_nodes */
         WITH RECURSIVE waiting AS (
             (SELECT workflow_id, node_id FROM workflow_node_queue_items ORDER BY workflow_id, node_id LIMIT 1)
             UNION ALL
             SELECT next.workflow_id, next.node_id
             FROM waiting CROSS JOIN LATERAL (
                 SELECT i.workflow_id, i.node_id FROM workflow_node_queue_items i
                 WHERE (i.workflow_id, i.node_id) > (waiting.workflow_id, waiting.node_id)
                 ORDER BY i.workflow_id, i.node_id LIMIT 1) next),
         node AS (
             SELECT n.workflow_id, n.node_id, w.organization_id,
                 n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL AS is_unlimited,
                 n.concurrency_key IS NOT NULL AS is_keyed,
                 n.concurrency_max, n.concurrency_max > (
                     SELECT count(*) FROM workflow_node_executions e
                     WHERE e.workflow_id = n.workflow_id AND e.node_id = n.node_id AND e.state <> 'finished') AS has_room
             FROM waiting
             JOIN workflow_nodes n ON n.workflow_id = waiting.workflow_id AND n.node_id = waiting.node_id
             JOIN workflows w ON w.id = n.workflow_id),
         due AS (
             SELECT i.id, i.last_sent_at, node.workflow_id, node.node_id, node.organization_id
             FROM node CROSS JOIN LATERAL (
                 SELECT id, last_sent_at, sent_count FROM workflow_node_queue_items i
                 WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id
                 ORDER BY created_at, id LIMIT CASE WHEN node.is_unlimited THEN $3 ELSE 1 END) i
             WHERE (node.is_unlimited OR (node.has_room AND NOT node.is_keyed))
               AND i.last_sent_at <= now() - make_interval(secs => $1 + {BACKOFF})
             UNION ALL
             SELECT i.id, i.last_sent_at, node.workflow_id, node.node_id, node.organization_id
             FROM node CROSS JOIN LATERAL ({FIRST_OF_KEYED}) i
             WHERE node.is_keyed AND NOT node.is_unlimited AND i.last_sent_at <= now() - make_interval(secs => $1 + {BACKOFF})
             ORDER BY last_sent_at LIMIT $2),
         sent AS (
             UPDATE workflow_node_queue_items i SET last_sent_at = now(), sent_count = sent_count + 1
             FROM due WHERE i.id = due.id AND i.last_sent_at = due.last_sent_at RETURNING i.id)
         SELECT workflow_id, node_id, organization_id, array_agg(id) AS item_ids
         FROM due WHERE id IN (SELECT id FROM sent) GROUP BY workflow_id, node_id, organization_id"
    );
    let rows = store
        .query(
            &sql,
            &[
                (&f64::from(grace_seconds), Type::FLOAT8),
                (&rows_max, Type::INT8),
                // One wake takes as many, and the builder wakes itself for what is left.
                (&domain::limits::CLAIM_ITEMS_MAX, Type::INT8),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DueNode {
                key: (column(row, "workflow_id")?, column(row, "node_id")?),
                item_ids: column(row, "item_ids")?,
                organization_id: column(row, "organization_id")?,
            })
        })
        .collect()
}

/// Pending executions past their grace. Those that wait for their first claim and those whose time has come are searched by
/// themselves: many of the one must not keep the others from being found.
fn overdue(which: &str) -> String {
    format!(
        "(SELECT id, run_at, last_sent_at AS seen_at FROM workflow_node_executions
          WHERE state = 'pending' AND {which} AND coalesce(run_at, last_sent_at) <= now()
            AND greatest(last_sent_at, updated_at, run_at) + make_interval(secs => $1)
                <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
          ORDER BY coalesce(run_at, last_sent_at) LIMIT $2)"
    )
}

/// Finds pending executions past their grace, timers that come due within the queue's longest delay, and expired leases, and records
/// the send. A timer that whoever made it could send with a delay is looked at only once it is overdue.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_executions(
    store: &Store,
    grace_seconds: u32,
    rows_max: i64,
) -> Result<Vec<DueExecution>, StoreError> {
    let sql = format!(
        "/* find_due_executions */
         WITH due AS (
             {}
             UNION ALL
             {}
             UNION ALL
             (SELECT id, run_at, last_sent_at AS seen_at FROM workflow_node_executions
              WHERE state = 'pending' AND run_at > now() AND coalesce(run_at, last_sent_at) <= now() + make_interval(secs => $3)
                AND run_at - updated_at > make_interval(secs => $3 - {CLOCKS_SECONDS}) AND {SENT_IN_A_ROW} = 0
              ORDER BY coalesce(run_at, last_sent_at) LIMIT $2)
             UNION ALL
             (SELECT id, NULL, last_sent_at FROM workflow_node_executions
              WHERE state IN ('started', 'cancelling') AND lease_until <= now()
                AND greatest(last_sent_at, lease_until) <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY lease_until LIMIT $2)),
         sent AS (
             UPDATE workflow_node_executions ex SET last_sent_at = now(), sent_count = {SENT_IN_A_ROW} + 1
             FROM due WHERE ex.id = due.id AND ex.last_sent_at = due.seen_at AND ex.state <> 'finished'
             RETURNING ex.id, ex.workflow_id)
         SELECT sent.id, w.organization_id, greatest(0, ceil(extract(epoch FROM due.run_at - now())))::int AS delay_seconds
         FROM sent JOIN due ON due.id = sent.id JOIN workflows w ON w.id = sent.workflow_id",
        overdue("run_at IS NULL"),
        overdue("run_at IS NOT NULL"),
    );
    let longest = f64::from(domain::limits::QUEUE_DELAY_SECONDS_MAX);
    let rows = store
        .query(
            &sql,
            &[(&f64::from(grace_seconds), Type::FLOAT8), (&rows_max, Type::INT8), (&longest, Type::FLOAT8)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let delay_seconds: Option<i32> = column(row, "delay_seconds")?;
            Ok(DueExecution {
                id: column(row, "id")?,
                organization_id: column(row, "organization_id")?,
                delay_seconds: delay_seconds.unwrap_or(0),
            })
        })
        .collect()
}

/// Takes sends back that SQS did not take: they are due again at the same time, and count for nothing.
///
/// # Errors
/// See [`StoreError`].
pub async fn take_back_sends(
    store: &Store,
    item_ids: &[Uuid],
    execution_ids: &[Uuid],
) -> Result<(), StoreError> {
    store
        .query_once(
            "/* take_back_sends */
             WITH items AS (
                 UPDATE workflow_node_queue_items SET sent_count = greatest(sent_count - 1, 0) WHERE id = ANY($1))
             UPDATE workflow_node_executions SET sent_count = greatest(sent_count - 1, 0)
             WHERE id = ANY($2) AND state <> 'finished'",
            &[(&item_ids, Type::UUID_ARRAY), (&execution_ids, Type::UUID_ARRAY)],
        )
        .await
        .map(drop)
}
