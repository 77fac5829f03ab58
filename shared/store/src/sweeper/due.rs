use domain::ids::{ExecutionId, ItemId, OrganizationId};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::nodes::{NodeKey, node_key};
use crate::types::column;
use crate::{Store, StoreError};

/// A node whose waiting items get one wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueNode {
    /// The node.
    pub key: NodeKey,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The items on which the send was recorded.
    pub item_ids: Vec<ItemId>,
}

/// An execution that gets a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueExecution {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Seconds until it is to run; 0: at once.
    pub delay_seconds: i32,
}

/// Seconds by which a function's clock and the database's may differ. A row has the function's
/// time, a timer goes by the database's: the sweeper also sends a timer that was perhaps beyond a
/// queue's longest delay when it was set.
pub(super) const CLOCKS_SECONDS: u32 = 60;
/// SQL of the backoff in seconds, by `sent_count`: 1, 2, 4, 8, 15 minutes.
const BACKOFF: &str = "(ARRAY[0, 60, 120, 240, 480, 900])[least(sent_count, 5) + 1]";
/// SQL of the backoff in seconds, by [`SENT_IN_A_ROW`].
pub(super) const BACKOFF_IN_A_ROW: &str = "(ARRAY[0, 60, 120, 240, 480, 900])[CASE
    WHEN last_sent_at >= updated_at THEN least(sent_count, 5) ELSE 0 END + 1]";

/// SQL of the number of sends since the execution's state last changed: a claim shows that a
/// message arrived, so the count begins anew.
pub(super) const SENT_IN_A_ROW: &str = "CASE
    WHEN last_sent_at >= updated_at THEN sent_count ELSE 0 END";

/// The nodes that one search has looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSearch {
    /// The nodes that get a wake.
    pub due: Vec<DueNode>,
    /// The last node of the search, after which the next search goes on; None: there are no more.
    pub last: Option<NodeKey>,
}

/// Looks at nodes with waiting items, at most `nodes_max` of those after `after`, and records a
/// send where items are past their grace. A limited node has it recorded on the first item of a
/// concurrency key with a free slot, and on its first unresolved item. A node without a limit has
/// it recorded on each item of the wake. Items behind a limit cost nothing. An item that another
/// transaction holds, such as another sweeper's, is left out.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_nodes(
    store: &Store,
    grace_seconds: u32,
    after: &NodeKey,
    nodes_max: i64,
) -> Result<NodeSearch, StoreError> {
    let sql = format!(
        "/* find_due_nodes */
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
         node AS MATERIALIZED (
             SELECT seen.workflow_id, seen.node_id, w.organization_id,
                 n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL
                     OR w.deleted_at IS NOT NULL AS is_unlimited,
                 n.concurrency_key IS NOT NULL AS is_keyed
             FROM (SELECT workflow_id, node_id FROM waiting LIMIT $4::int8) seen
             -- A node without a row is sent like any other, until its items end as undeliverable.
             LEFT JOIN workflow_nodes n
               ON n.workflow_id = seen.workflow_id AND n.node_id = seen.node_id
             JOIN workflows w ON w.id = seen.workflow_id),
         due AS MATERIALIZED (
             SELECT i.id, i.last_sent_at
             FROM node CROSS JOIN LATERAL (
                 SELECT id, last_sent_at, sent_count FROM workflow_node_queue_items i
                 WHERE node.is_unlimited AND i.workflow_id = node.workflow_id
                   AND i.node_id = node.node_id
                 ORDER BY i.created_at, i.id LIMIT $5::int8) i
             WHERE i.last_sent_at <= now() - make_interval(secs => $1::float8 + {BACKOFF})
             UNION ALL
             SELECT i.id, i.last_sent_at
             FROM node CROSS JOIN LATERAL (
                 SELECT first.id, first.last_sent_at
                 FROM ready_keys(node.workflow_id, node.node_id) ready
                 CROSS JOIN LATERAL (
                     SELECT i.id, i.last_sent_at, i.sent_count FROM workflow_node_queue_items i
                     WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id
                       AND i.concurrency_key = ready.concurrency_key
                     ORDER BY i.created_at, i.id LIMIT 1) first
                 WHERE NOT node.is_unlimited
                   AND first.last_sent_at <= now() - make_interval(secs => $1 + {BACKOFF})
                 LIMIT 1) i
             UNION ALL
             SELECT i.id, i.last_sent_at
             FROM node CROSS JOIN LATERAL (
                 (SELECT id, last_sent_at, sent_count FROM workflow_node_queue_items i
                  WHERE NOT node.is_unlimited AND i.workflow_id = node.workflow_id
                    AND i.node_id = node.node_id AND i.concurrency_key IS NULL
                  ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1)
                 UNION ALL
                 (SELECT id, last_sent_at, sent_count FROM workflow_node_queue_items i
                  WHERE NOT node.is_unlimited AND node.is_keyed
                    AND i.workflow_id = node.workflow_id AND i.node_id = node.node_id
                    AND i.concurrency_key = ''
                  ORDER BY i.created_at, i.id LIMIT 1)) i
             WHERE i.last_sent_at <= now() - make_interval(secs => $1 + {BACKOFF})),
         locked AS MATERIALIZED (
             SELECT i.id FROM due
             JOIN workflow_node_queue_items i ON i.id = due.id AND i.last_sent_at = due.last_sent_at
             ORDER BY uuid_send(i.id) FOR NO KEY UPDATE OF i SKIP LOCKED),
         sent AS (
             UPDATE workflow_node_queue_items i
             SET last_sent_at = now(), sent_count = sent_count + 1
             FROM locked
             WHERE i.id = locked.id
             RETURNING i.id, i.workflow_id, i.node_id)
         SELECT node.workflow_id, node.node_id, node.organization_id,
             ARRAY(
                 SELECT sent.id FROM sent
                 WHERE sent.workflow_id = node.workflow_id
                   AND sent.node_id = node.node_id) AS item_ids
         FROM node
         ORDER BY node.workflow_id, node.node_id"
    );
    let rows = store
        .query(
            &sql,
            &[
                (&f64::from(grace_seconds), Type::FLOAT8),
                (&after.0, Type::UUID),
                (&after.1, Type::TEXT),
                (&nodes_max, Type::INT8),
                // One wake claims so many items; the builder wakes itself for the rest.
                (&domain::limits::CLAIM_ITEMS_MAX, Type::INT8),
            ],
        )
        .await?;
    let mut search = NodeSearch::default();
    for row in &rows {
        let key = node_key(row)?;
        let item_ids: Vec<ItemId> = column(row, "item_ids")?;
        search.last = Some(key.clone());
        if !item_ids.is_empty() {
            search.due.push(DueNode { key, item_ids, organization_id: column(row, "organization_id")? });
        }
    }
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) < nodes_max {
        search.last = None;
    }
    Ok(search)
}

/// SQL of pending executions past their grace. Executions that wait for their first claim and
/// executions whose time has come have a search each: many of one kind must not hide the other.
fn overdue(which: &str) -> String {
    format!(
        "(SELECT id, run_at, last_sent_at AS seen_at FROM workflow_node_executions
          WHERE state = 'pending' AND {which}
            AND coalesce(run_at, last_sent_at) <= now() - make_interval(secs => $1)
            AND greatest(last_sent_at, updated_at, run_at) + make_interval(secs => $1)
                <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
          ORDER BY coalesce(run_at, last_sent_at) LIMIT $2)"
    )
}

/// Finds pending executions past their grace, timers that come due within the queue's longest
/// delay, and expired leases, and records the send. A timer within a queue's longest delay was sent
/// when it was set, so it is looked at only once it is overdue.
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
         WITH due AS MATERIALIZED (
             {}
             UNION ALL
             {}
             UNION ALL
             (SELECT id, run_at, last_sent_at AS seen_at FROM workflow_node_executions
              WHERE state = 'pending' AND run_at IS NOT NULL
                AND coalesce(run_at, last_sent_at) > now()
                AND coalesce(run_at, last_sent_at) <= now() + make_interval(secs => $3)
                AND run_at - updated_at > make_interval(secs => $3 - {CLOCKS_SECONDS})
                AND {SENT_IN_A_ROW} = 0
              ORDER BY coalesce(run_at, last_sent_at) LIMIT $2)
             UNION ALL
             (SELECT id, NULL, last_sent_at FROM workflow_node_executions
              WHERE state IN ('started', 'cancelling') AND lease_until <= now()
                AND greatest(last_sent_at, lease_until)
                    <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY lease_until LIMIT $2)),
         locked AS MATERIALIZED (
             SELECT ex.id FROM due
             JOIN workflow_node_executions ex ON ex.id = due.id AND ex.last_sent_at = due.seen_at
             ORDER BY uuid_send(ex.id) FOR NO KEY UPDATE OF ex SKIP LOCKED),
         sent AS (
             UPDATE workflow_node_executions ex
             SET last_sent_at = now(), sent_count = {SENT_IN_A_ROW} + 1
             FROM locked
             WHERE ex.id = locked.id AND ex.state <> 'finished'
             RETURNING ex.id, ex.workflow_id)
         SELECT sent.id, w.organization_id,
             greatest(0, ceil(extract(epoch FROM due.run_at - now())))::int AS delay_seconds
         FROM sent
         JOIN due ON due.id = sent.id
         JOIN workflows w ON w.id = sent.workflow_id",
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
    rows.iter().map(due_execution).collect()
}

pub(super) fn due_execution(row: &Row) -> Result<DueExecution, StoreError> {
    let delay_seconds: Option<i32> = column(row, "delay_seconds")?;
    Ok(DueExecution {
        id: column(row, "id")?,
        organization_id: column(row, "organization_id")?,
        delay_seconds: delay_seconds.unwrap_or(0),
    })
}

/// Takes back sends that SQS refused: they count neither for the backoff nor for
/// [`domain::limits::SENDS_MAX`]. On a row that another transaction holds the send still counts.
///
/// # Errors
/// See [`StoreError`].
pub async fn take_back_sends(
    store: &Store,
    item_ids: &[ItemId],
    execution_ids: &[ExecutionId],
) -> Result<(), StoreError> {
    store
        .query_once(
            "/* take_back_sends */
             WITH item AS MATERIALIZED (
                 SELECT id FROM workflow_node_queue_items WHERE id = ANY($1::uuid[])
                 ORDER BY uuid_send(id) FOR NO KEY UPDATE SKIP LOCKED),
             execution AS MATERIALIZED (
                 SELECT id FROM workflow_node_executions WHERE id = ANY($2::uuid[])
                 ORDER BY uuid_send(id) FOR NO KEY UPDATE SKIP LOCKED),
             items AS (
                 UPDATE workflow_node_queue_items i SET sent_count = greatest(sent_count - 1, 0)
                 FROM item
                 WHERE i.id = item.id)
             UPDATE workflow_node_executions x SET sent_count = greatest(sent_count - 1, 0)
             FROM execution
             WHERE x.id = execution.id AND x.state <> 'finished'",
            &[(&item_ids, Type::UUID_ARRAY), (&execution_ids, Type::UUID_ARRAY)],
        )
        .await
        .map(drop)
}
