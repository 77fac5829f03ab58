use domain::ids::{EventId, ItemId, OrganizationId, RunId, WorkflowId};
use domain::limits::PAGE_ROWS_MAX;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{Store, StoreError};

/// The filter of a list of queue items. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueItemFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node that they wait at.
    pub node_id: Option<String>,
    /// The run; a top run with its sub-runs.
    pub run_id: Option<RunId>,
}

/// The number of named executions that hold the slots for which an item waits.
const HOLDERS_MAX: i64 = 10;
/// The number of items before an item up to which they are counted.
const AHEAD_MAX: i64 = 1_000;

/// A row of `workflow_node_queue_items`, with the reason of its wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItemRow {
    /// `workflow_node_queue_items.id`
    pub id: ItemId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node that it waits at.
    pub node_id: String,
    /// `workflow_runs.id`
    pub run_id: RunId,
    /// The event that waits.
    pub event_id: EventId,
    /// `workflow_nodes.generation` when it was routed.
    pub node_generation: i32,
    /// Times that a builder crashed at work on this item: alone, or in a batch of redelivered
    /// items.
    pub crashes: i32,
    /// When it was routed.
    pub created_at: Timestamp,
    /// When the sweeper last sent a wake; at first `created_at`.
    pub last_sent_at: Timestamp,
    /// Wakes that the sweeper sent.
    pub sent_count: i32,
    /// The value of its node's concurrency key; None until the builder resolves it, or without a
    /// key.
    pub concurrency_key: Option<String>,
    /// `{"reason": "concurrency", "limit", "executions", "ahead"}` while executions hold all slots
    /// of its node, or of its key. Up to ten executions are named, and the items before it are
    /// counted up to 1,000. Else `{"reason": "delivery"}`: the builder takes the item when its wake
    /// arrives.
    pub waiting_for: Value,
}

impl QueueItemRow {
    fn place(&self) -> QueueItemPlace {
        QueueItemPlace { created_at: self.created_at, id: self.id }
    }

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            run_id: column(row, "run_id")?,
            event_id: column(row, "event_id")?,
            node_generation: column(row, "node_generation")?,
            crashes: column(row, "crashes")?,
            created_at: column(row, "created_at")?,
            last_sent_at: column(row, "last_sent_at")?,
            sent_count: column(row, "sent_count")?,
            concurrency_key: column(row, "concurrency_key")?,
            waiting_for: column(row, "waiting_for")?,
        })
    }
}

/// An item's place in the list, which is ordered as the builder takes items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueItemPlace {
    /// [`QueueItemRow::created_at`].
    pub created_at: Timestamp,
    /// [`QueueItemRow::id`].
    pub id: ItemId,
}

/// A page of waiting items.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueItemPage {
    /// The items, newest first.
    pub rows: Vec<QueueItemRow>,
    /// The place before which the next page begins; None: this is the last one.
    pub next: Option<QueueItemPlace>,
}

/// The items of a run and of its sub-runs: by the run's index.
const OF_RUN: &str = "
    SELECT i.* FROM workflow_node_queue_items i
    JOIN workflows w ON w.id = i.workflow_id
    WHERE i.run_id = ANY(ARRAY(
            SELECT $7::uuid UNION ALL
            SELECT r.id FROM workflow_runs r
            WHERE r.root_event_id = $7 AND r.parent_run_id IS NOT NULL AND r.state = 'running'))
        AND w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
      AND ($6::text IS NULL OR i.node_id = $6)
      AND ($3::timestamptz IS NULL OR (i.created_at, i.id) < ($3, $4))
    ORDER BY i.created_at DESC, i.id DESC LIMIT $5 + 1";

/// The newest items of each node at which items wait, by the builder's index. The nodes are found
/// by steps along it, for a node's own row can be gone.
const OF_NODES: &str = "
    SELECT i.*
    FROM workflows w
    CROSS JOIN LATERAL (
        WITH RECURSIVE nodes (node_id) AS (
            SELECT (SELECT min(i.node_id) FROM workflow_node_queue_items i
                    WHERE i.workflow_id = w.id AND i.node_id >= coalesce($6, ''))
            UNION ALL
            SELECT (SELECT min(i.node_id) FROM workflow_node_queue_items i
                    WHERE i.workflow_id = w.id AND i.node_id > nodes.node_id)
            FROM nodes WHERE nodes.node_id IS NOT NULL AND $6::text IS NULL)
        SELECT node_id FROM nodes WHERE node_id = coalesce($6, node_id)) nodes
    CROSS JOIN LATERAL (
        SELECT i.* FROM workflow_node_queue_items i
        WHERE i.workflow_id = w.id AND i.node_id = nodes.node_id
          AND (i.created_at, i.id) < (coalesce($3::timestamptz, 'infinity'),
              coalesce($4::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY i.created_at DESC, i.id DESC LIMIT $5 + 1) i
    WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2) AND $7::uuid IS NULL
    ORDER BY i.created_at DESC, i.id DESC LIMIT $5 + 1";

/// Waiting items of the organization's workflows: at most `rows_max`, from `before` on.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_queue_items(
    store: &Store,
    organization_id: OrganizationId,
    filter: &QueueItemFilter,
    before: Option<QueueItemPlace>,
    rows_max: u32,
) -> Result<QueueItemPage, StoreError> {
    let found = if filter.run_id.is_some() { OF_RUN } else { OF_NODES };
    let rows_max = rows_max.clamp(1, PAGE_ROWS_MAX);
    // One statement, so one snapshot. Slots are counted once for each node and key of the page. The
    // items before an item are walked over in the order of the builder's indexes, no further than
    // they are counted.
    let rows = store
        .query(
            &format!(
                "/* list_queue_items */
             WITH found AS MATERIALIZED ({found}),
             page AS MATERIALIZED (
                 SELECT i.id, i.workflow_id, i.node_id, i.run_id, i.event_id,
                        i.node_generation, i.crashes, i.created_at, i.last_sent_at,
                        i.sent_count, i.concurrency_key,
                        CASE WHEN n.deleted_at IS NULL AND w.deleted_at IS NULL
                               AND i.node_generation = n.generation
                             THEN n.concurrency_max END AS concurrency_max,
                        CASE WHEN n.concurrency_key IS NULL THEN ''
                             ELSE i.concurrency_key END AS limit_key
                 FROM found i
                 JOIN workflows w ON w.id = i.workflow_id
                 LEFT JOIN workflow_nodes n
                   ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id),
             slots AS MATERIALIZED (
                 SELECT wanted.*, ARRAY(
                     SELECT x.id FROM workflow_node_executions x
                     WHERE x.workflow_id = wanted.workflow_id AND x.node_id = wanted.node_id
                       AND x.state <> 'finished'
                       AND coalesce(x.concurrency_key, '') = wanted.limit_key
                     ORDER BY x.id LIMIT $8) AS executions
                 FROM (SELECT DISTINCT workflow_id, node_id, limit_key, concurrency_max FROM page
                       WHERE concurrency_max IS NOT NULL AND limit_key IS NOT NULL) wanted
                 CROSS JOIN LATERAL
                     node_slots(wanted.workflow_id, wanted.node_id, wanted.limit_key) slots
                 WHERE slots.free <= 0)
             SELECT q.id, q.workflow_id, q.node_id, q.run_id, q.event_id, q.node_generation,
                    q.crashes, q.created_at, q.last_sent_at, q.sent_count,
                    nullif(q.concurrency_key, '') AS concurrency_key,
                    CASE WHEN slots.node_id IS NULL THEN jsonb_build_object('reason', 'delivery')
                         ELSE jsonb_build_object('reason', 'concurrency',
                             'limit', slots.concurrency_max,
                             'executions', to_jsonb(slots.executions),
                             'ahead', CASE WHEN slots.limit_key = '' THEN (
                                 SELECT count(*) FROM (
                                     SELECT FROM workflow_node_queue_items i
                                     WHERE i.workflow_id = q.workflow_id AND i.node_id = q.node_id
                                       AND (i.created_at, i.id) < (q.created_at, q.id)
                                       AND coalesce(i.concurrency_key, '') = ''
                                     LIMIT $9) ahead)
                             ELSE (
                                 SELECT count(*) FROM (
                                     SELECT FROM workflow_node_queue_items i
                                     WHERE i.workflow_id = q.workflow_id AND i.node_id = q.node_id
                                       AND i.concurrency_key = slots.limit_key
                                       AND (i.created_at, i.id) < (q.created_at, q.id)
                                     LIMIT $9) ahead) END)
                    END AS waiting_for
             FROM page q
             LEFT JOIN slots
               ON slots.workflow_id = q.workflow_id AND slots.node_id = q.node_id
                 AND slots.limit_key = q.limit_key
             ORDER BY q.created_at DESC, q.id DESC"
            ),
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&before.map(|place| place.created_at), Type::TIMESTAMPTZ),
                (&before.map(|place| place.id), Type::UUID),
                (&i64::from(rows_max), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.run_id, Type::UUID),
                (&HOLDERS_MAX, Type::INT8),
                (&AHEAD_MAX, Type::INT8),
            ],
        )
        .await?;
    let mut items = rows.iter().map(QueueItemRow::from_row).collect::<Result<Vec<_>, _>>()?;
    let asked = usize::try_from(rows_max).unwrap_or(usize::MAX);
    let more = items.len() > asked;
    items.truncate(asked);
    let next = items.last().filter(|_| more).map(QueueItemRow::place);
    Ok(QueueItemPage { rows: items, next })
}
