use domain::ids::{EventId, ItemId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::column;
use crate::{Store, StoreError};

/// The filter of a list of queue items. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueItemFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node that they wait at.
    pub node_id: Option<String>,
    /// The run.
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

/// Waiting items of the organization's workflows.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_queue_items(
    store: &Store,
    organization_id: OrganizationId,
    filter: &QueueItemFilter,
    page: PageRequest,
) -> Result<Page<QueueItemRow>, StoreError> {
    // One statement, so one snapshot. Slots are counted once for each node and key of the page. The
    // items before an item are walked over in the order of the builder's index, no further than
    // they are counted.
    let rows = store
        .query(
            "/* list_queue_items */
             WITH page AS MATERIALIZED (
                 SELECT i.id, i.workflow_id, i.node_id, i.run_id, i.event_id,
                        i.node_generation, i.crashes, i.created_at, i.last_sent_at,
                        i.sent_count, i.concurrency_key,
                        CASE WHEN n.deleted_at IS NULL AND w.deleted_at IS NULL
                               AND i.node_generation = n.generation
                             THEN n.concurrency_max END AS concurrency_max,
                        CASE WHEN n.concurrency_key IS NULL THEN ''
                             ELSE i.concurrency_key END AS limit_key
                 FROM workflow_node_queue_items i
                 JOIN workflows w ON w.id = i.workflow_id
                 LEFT JOIN workflow_nodes n
                   ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id
                 WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
                   AND ($3::uuid IS NULL OR i.id < $3)
                   AND ($5::text IS NULL OR i.node_id = $5) AND ($6::uuid IS NULL OR i.run_id = $6)
                 ORDER BY i.id DESC LIMIT $4 + 1),
             slots AS MATERIALIZED (
                 SELECT wanted.*, ARRAY(
                     SELECT x.id FROM workflow_node_executions x
                     WHERE x.workflow_id = wanted.workflow_id AND x.node_id = wanted.node_id
                       AND x.state <> 'finished'
                       AND coalesce(x.concurrency_key, '') = wanted.limit_key
                     ORDER BY x.id LIMIT $7) AS executions
                 FROM (SELECT DISTINCT workflow_id, node_id, limit_key, concurrency_max FROM page
                       WHERE concurrency_max IS NOT NULL AND limit_key IS NOT NULL) wanted
                 CROSS JOIN LATERAL
                     node_slots(wanted.workflow_id, wanted.node_id, wanted.limit_key) slots
                 WHERE slots.free <= 0)
             SELECT q.id, q.workflow_id, q.node_id, q.run_id, q.event_id, q.node_generation,
                    q.crashes, q.created_at, q.last_sent_at, q.sent_count,
                    nullif(q.concurrency_key, '') AS concurrency_key,
                    (SELECT count(*) FROM page) AS candidates,
                    CASE WHEN slots.node_id IS NULL THEN jsonb_build_object('reason', 'delivery')
                         ELSE jsonb_build_object('reason', 'concurrency',
                             'limit', slots.concurrency_max,
                             'executions', to_jsonb(slots.executions),
                             'ahead', (SELECT count(*) FROM (
                                 SELECT FROM workflow_node_queue_items i
                                 WHERE i.workflow_id = q.workflow_id AND i.node_id = q.node_id
                                   AND (i.created_at, i.id) < (q.created_at, q.id)
                                   AND coalesce(i.concurrency_key, '') = slots.limit_key
                                 LIMIT $8) ahead))
                    END AS waiting_for
             FROM page q
             LEFT JOIN slots
               ON slots.workflow_id = q.workflow_id AND slots.node_id = q.node_id
                 AND slots.limit_key = q.limit_key
             ORDER BY q.id DESC LIMIT $4",
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.run_id, Type::UUID),
                (&HOLDERS_MAX, Type::INT8),
                (&AHEAD_MAX, Type::INT8),
            ],
        )
        .await?;
    read_page(&rows, QueueItemRow::from_row)
}
