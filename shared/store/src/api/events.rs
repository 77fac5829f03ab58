use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{PAGE_COLUMN_BYTES_MAX, Page, PageRequest};
use super::search::{Along, Search, read_search};
use crate::types::column;
use crate::{Store, StoreError};

/// The filter of a list of events. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node that they come from.
    pub node_id: Option<String>,
    /// The top run.
    pub run_id: Option<RunId>,
    /// A sub-run of the top run: only what is within it.
    pub sub_run_id: Option<RunId>,
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
    let rows = store
        .query(
            &search(filter, page).statement(),
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&PAGE_COLUMN_BYTES_MAX, Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.run_id, Type::UUID),
                (&filter.channel, Type::TEXT),
                (&filter.sub_run_id, Type::UUID),
            ],
        )
        .await?;
    read_search(&rows, EventRow::from_row)
}

const OF_SUB_RUN: &str = " AND EXISTS (
    SELECT FROM workflow_runs r WHERE r.id = x.run_id AND $9 = ANY (r.path))";

/// The search for events: along those of the run, or along the newest.
fn search(filter: &EventFilter, page: PageRequest) -> Search {
    let mut workflows = String::new();
    if filter.workflow_id.is_some() {
        workflows += " AND w.id = $2";
    }
    let looked_at = if filter.run_id.is_some() {
        workflows += " AND w.id = (SELECT workflow_id FROM workflow_runs WHERE id = $7)";
        ("x.root_event_id", "$7")
    } else {
        ("x.workflow_id", "w.id")
    };
    let filters = [
        (filter.node_id.is_some(), " AND x.node_id = $6"),
        (filter.channel.is_some(), " AND x.channel = $8"),
        (filter.sub_run_id.is_some(), OF_SUB_RUN),
    ];
    Search {
        name: "list_events",
        table: "workflow_events",
        columns: "x.id, x.workflow_id, x.node_id, x.run_id, x.channel, x.type, x.data,
            x.custom_name, x.targets, x.depth, x.execution_id, x.created_at",
        bytes: "octet_length(x.data::text)",
        joins: "",
        workflows,
        along: Along { from: "workflow_events x", join: "", id: "x.id" },
        looked_at: vec![(looked_at.0, looked_at.1.to_owned())],
        filters: filters.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, filter)| *filter).collect(),
        has_before: page.before.is_some(),
    }
}
