use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::page::{Page, PageRequest, read_page};
use crate::types::column;
use crate::{Store, StoreError};

/// Which queue items are listed. What is None does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueItemFilter {
    /// The workflow.
    pub workflow_id: Option<Uuid>,
    /// The node that they wait at.
    pub node_id: Option<String>,
    /// The run.
    pub root_event_id: Option<Uuid>,
}

/// A row of `workflow_node_queue_items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueItemRow {
    /// `workflow_node_queue_items.id`
    pub id: Uuid,
    /// The workflow.
    pub workflow_id: Uuid,
    /// The node that it waits at.
    pub node_id: String,
    /// The run.
    pub root_event_id: Uuid,
    /// The event that waits.
    pub event_id: Uuid,
    /// `workflow_nodes.generation` when it was routed.
    pub node_generation: i32,
    /// Times that a builder ended while it worked on this item alone.
    pub crashes: i32,
    /// When it was routed.
    pub created_at: Timestamp,
    /// When the sweeper last sent a wake; at first `created_at`.
    pub last_sent_at: Timestamp,
    /// Wakes that the sweeper sent.
    pub sent_count: i32,
}

impl QueueItemRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            root_event_id: column(row, "root_event_id")?,
            event_id: column(row, "event_id")?,
            node_generation: column(row, "node_generation")?,
            crashes: column(row, "crashes")?,
            created_at: column(row, "created_at")?,
            last_sent_at: column(row, "last_sent_at")?,
            sent_count: column(row, "sent_count")?,
        })
    }
}

/// Waiting items of the organization's workflows.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_queue_items(
    store: &Store,
    organization_id: Uuid,
    filter: &QueueItemFilter,
    page: PageRequest,
) -> Result<Page<QueueItemRow>, StoreError> {
    let rows = store
        .query(
            "/* list_queue_items */
             SELECT q.id, q.workflow_id, q.node_id, q.root_event_id, q.event_id, q.node_generation, q.crashes, q.created_at,
                    q.last_sent_at, q.sent_count, q.candidates
             FROM (SELECT c.*, count(*) OVER () AS candidates
                   FROM (SELECT i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.node_generation, i.crashes,
                                i.created_at, i.last_sent_at, i.sent_count
                         FROM workflow_node_queue_items i JOIN workflows w ON w.id = i.workflow_id
                         WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2) AND ($3::uuid IS NULL OR i.id < $3)
                           AND ($5::text IS NULL OR i.node_id = $5) AND ($6::uuid IS NULL OR i.root_event_id = $6)
                         ORDER BY i.id DESC LIMIT $4 + 1) c) q
             ORDER BY q.id DESC LIMIT $4",
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.root_event_id, Type::UUID),
            ],
        )
        .await?;
    read_page(&rows, QueueItemRow::from_row)
}
