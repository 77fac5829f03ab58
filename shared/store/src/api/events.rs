use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{PAGE_COLUMN_BYTES_MAX, Page, PageRequest, read_page};
use crate::types::column;
use crate::{Store, StoreError};

/// The filter of a list of events. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node that they come from.
    pub node_id: Option<String>,
    /// The run.
    pub run_id: Option<RunId>,
    /// The channel that they left on.
    pub channel: Option<String>,
}

/// A row of `workflow_events`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// `workflow_events.id`
    pub id: EventId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node that it comes from.
    pub node_id: String,
    /// `workflow_runs.id`
    pub run_id: RunId,
    /// The channel that it left on.
    pub channel: String,
    /// The type of the event.
    pub r#type: String,
    /// The data of the event, after scrubbing.
    pub data: Value,
    /// The run's name, for root events.
    pub run_name: Option<String>,
    /// The nodes that it was routed to.
    pub targets: Vec<String>,
    /// Events from the root down to this one.
    pub depth: i32,
    /// The execution that emitted it.
    pub execution_id: Option<ExecutionId>,
    /// When it happened.
    pub created_at: Timestamp,
}

impl EventRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            run_id: column(row, "run_id")?,
            channel: column(row, "channel")?,
            r#type: column(row, "type")?,
            data: column(row, "data")?,
            run_name: column(row, "custom_name")?,
            targets: column(row, "targets")?,
            depth: column(row, "depth")?,
            execution_id: column(row, "execution_id")?,
            created_at: column(row, "created_at")?,
        })
    }
}

/// Events of the organization's workflows.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_events(
    store: &Store,
    organization_id: OrganizationId,
    filter: &EventFilter,
    page: PageRequest,
) -> Result<Page<EventRow>, StoreError> {
    // Each workflow gives its newest events by the index (workflow_id, id), so rows of other
    // organizations are not read.
    let rows = store
        .query(
            "/* list_events */
             SELECT q.id, q.workflow_id, q.node_id, q.run_id, q.channel, q.type, q.data,
                    q.custom_name, q.targets, q.depth, q.execution_id, q.created_at, q.candidates
             FROM (SELECT c.*, count(*) OVER () AS candidates,
                          row_number() OVER (ORDER BY c.id DESC) AS place,
                          sum(octet_length(c.data::text)) OVER (ORDER BY c.id DESC) AS bytes
                   FROM (SELECT e.*
                         FROM workflows w
                         CROSS JOIN LATERAL (
                             SELECT v.id, v.workflow_id, v.node_id, v.run_id, v.channel,
                                    v.type, v.data, v.custom_name, v.targets, v.depth,
                                    v.execution_id, v.created_at
                             FROM workflow_events v
                             WHERE v.workflow_id = w.id AND ($3::uuid IS NULL OR v.id < $3)
                               AND ($5::text IS NULL OR v.node_id = $5)
                               AND ($6::uuid IS NULL OR v.root_event_id = $6)
                               AND ($7::text IS NULL OR v.channel = $7)
                             ORDER BY v.id DESC LIMIT $4 + 1) e
                         WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
                         ORDER BY e.id DESC LIMIT $4 + 1) c) q
             WHERE q.place = 1 OR (q.place <= $4 AND q.bytes <= $8)
             ORDER BY q.id DESC",
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.run_id, Type::UUID),
                (&filter.channel, Type::TEXT),
                (&PAGE_COLUMN_BYTES_MAX, Type::INT8),
            ],
        )
        .await?;
    read_page(&rows, EventRow::from_row)
}
