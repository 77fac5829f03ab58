use domain::actor::Actor;
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{PAGE_COLUMN_BYTES_MAX, Page, PageRequest};
use super::search::{Along, Search, read_search};
use crate::types::{actor_if_any, column, word, word_if_any};
use crate::{Store, StoreError};

/// The filter of a list of executions. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node.
    pub node_id: Option<String>,
    /// Its state.
    pub state: Option<ExecutionState>,
    /// Its result.
    pub result: Option<ExecutionResult>,
    /// A key of `workflow_node_execution_kvs`; with a value, both must be of one row.
    pub key: Option<String>,
    /// A value of `workflow_node_execution_kvs`.
    pub value: Option<String>,
    /// The execution in which they run.
    pub parent_execution_id: Option<ExecutionId>,
    /// The execution that emitted their event.
    pub previous_execution_id: Option<ExecutionId>,
    /// The top run.
    pub run_id: Option<RunId>,
    /// A sub-run of the top run: only what is within it.
    pub sub_run_id: Option<RunId>,
    /// Only those whose state changed at this time or later.
    pub updated_since: Option<Timestamp>,
}

/// A row of `workflow_node_executions` as people see it: the configuration has references where
/// secrets go.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRow {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node.
    pub node_id: String,
    /// `workflow_nodes.name`, as it is now.
    pub node_name: String,
    /// `workflow_runs.id`
    pub run_id: RunId,
    /// The event that it works on.
    pub event_id: EventId,
    /// The execution that emitted that event.
    pub previous_execution_id: Option<ExecutionId>,
    /// The execution in which it runs.
    pub parent_execution_id: Option<ExecutionId>,
    /// Its state.
    pub state: ExecutionState,
    /// Its result.
    pub result: Option<ExecutionResult>,
    /// The reason where it did not pass.
    pub result_reason: Option<ResultReason>,
    /// A sentence for the person who wrote the workflow.
    pub result_message: Option<String>,
    /// The component that it was built with.
    pub component: String,
    /// The resolved configuration. A secret stands there as the author's reference.
    pub configuration: Value,
    /// Facts about its course.
    pub metadata: Value,
    /// The keys by which it is found, and their values.
    pub keys: Value,
    /// `workflows.version` that it was built with.
    pub workflow_version: i64,
    /// The attempt that is at work or comes next, from 1.
    pub attempt: i32,
    /// Claims in a row without a recorded outcome.
    pub crashes: i32,
    /// The earliest time of its next claim.
    pub run_at: Option<Timestamp>,
    /// The time of its wake, where it is held and has one.
    pub wake_at: Option<Timestamp>,
    /// The actor that cancelled it.
    pub cancelled_by: Option<Actor>,
    /// The copy of its event with which it was redriven.
    pub redriven_event_id: Option<EventId>,
    /// The value of its node's concurrency key.
    pub concurrency_key: Option<String>,
    /// When the builder made it.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Milliseconds from its first claim, or without one from its creation, to its end; None while
    /// it has not ended.
    pub duration_ms: Option<i64>,
}

impl ExecutionRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let (created_at, started_at): (Timestamp, Option<Timestamp>) =
            (column(row, "created_at")?, column(row, "started_at")?);
        let finished_at: Option<Timestamp> = column(row, "finished_at")?;
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            node_name: column(row, "node_name")?,
            run_id: column(row, "run_id")?,
            event_id: column(row, "event_id")?,
            previous_execution_id: column(row, "previous_execution_id")?,
            parent_execution_id: column(row, "parent_execution_id")?,
            state: word(row, "state")?,
            result: word_if_any(row, "result")?,
            result_reason: word_if_any(row, "result_reason")?,
            result_message: column(row, "result_message")?,
            component: column(row, "component")?,
            configuration: column(row, "configuration")?,
            metadata: column(row, "metadata")?,
            keys: column(row, "keys")?,
            workflow_version: column(row, "workflow_version")?,
            attempt: column(row, "attempt")?,
            crashes: column(row, "crashes")?,
            run_at: column(row, "run_at")?,
            wake_at: column(row, "wake_at")?,
            cancelled_by: actor_if_any(row, "cancelled_by")?,
            redriven_event_id: column(row, "redriven_event_id")?,
            concurrency_key: column(row, "concurrency_key")?,
            created_at,
            updated_at: column(row, "updated_at")?,
            started_at,
            finished_at,
            duration_ms: finished_at
                .map(|end| end.as_millisecond() - started_at.unwrap_or(created_at).as_millisecond()),
        })
    }
}

/// Executions of the organization's workflows.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_executions(
    store: &Store,
    organization_id: OrganizationId,
    filter: &ExecutionFilter,
    page: PageRequest,
) -> Result<Page<ExecutionRow>, StoreError> {
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
                (&filter.state.map(ExecutionState::as_str), Type::TEXT),
                (&filter.result.map(ExecutionResult::as_str), Type::TEXT),
                (&filter.parent_execution_id, Type::UUID),
                (&filter.previous_execution_id, Type::UUID),
                (&filter.run_id, Type::UUID),
                (&filter.updated_since, Type::TIMESTAMPTZ),
                (&filter.key, Type::TEXT),
                (&filter.value, Type::TEXT),
                (&filter.sub_run_id, Type::UUID),
            ],
        )
        .await?;
    read_search(&rows, ExecutionRow::from_row)
}

/// The search for executions: along the index that has the fewest rows beside the wanted ones.
fn search(filter: &ExecutionFilter, page: PageRequest) -> Search {
    let mut workflows = String::new();
    if filter.workflow_id.is_some() {
        workflows += " AND w.id = $2";
    }
    // The executions that an execution is followed by, or that run within it, are of its run.
    let of_run = if filter.run_id.is_some() {
        Some("$11")
    } else if filter.previous_execution_id.is_some() {
        Some("(SELECT root_event_id FROM workflow_node_executions WHERE id = $10)")
    } else if filter.parent_execution_id.is_some() {
        Some("(SELECT root_event_id FROM workflow_node_executions WHERE id = $9)")
    } else {
        None
    };
    // A condition that the index has already needs no filter.
    let (has_both, mut has_node) = (filter.key.is_some() && filter.value.is_some(), filter.node_id.is_some());
    let workflow = "w.id".to_owned();
    let newest = Along { from: "workflow_node_executions x", join: "", id: "x.id" };
    let (along, looked_at) = if let Some(run) = of_run {
        let of_run = format!("SELECT workflow_id FROM workflow_runs WHERE id = {run}");
        workflows += &format!(" AND w.id = ({of_run})");
        (newest, vec![("x.root_event_id", run.to_owned())])
    } else if has_both {
        let keys = Along {
            from: "workflow_node_execution_kvs k",
            join: "JOIN workflow_node_executions x ON x.id = k.execution_id",
            id: "k.execution_id",
        };
        (keys, vec![("k.workflow_id", workflow), ("k.key", "$13".to_owned()), ("k.value", "$14".to_owned())])
    } else if has_node {
        has_node = false;
        (newest, vec![("x.workflow_id", workflow), ("x.node_id", "$6".to_owned())])
    } else {
        (newest, vec![("x.workflow_id", workflow)])
    };
    let filters = [
        (has_node, " AND x.node_id = $6"),
        (filter.state.is_some(), " AND x.state = $7"),
        (filter.result.is_some(), " AND x.result = $8"),
        (filter.parent_execution_id.is_some(), " AND x.parent_execution_id = $9"),
        (filter.previous_execution_id.is_some(), " AND x.previous_execution_id = $10"),
        (filter.updated_since.is_some(), " AND x.updated_at >= $12"),
        (filter.key.is_some() && filter.value.is_none(), HAS_KEY),
        (filter.key.is_none() && filter.value.is_some(), HAS_VALUE),
        (has_both && of_run.is_some(), HAS_BOTH),
        (filter.sub_run_id.is_some(), OF_SUB_RUN),
    ];
    Search {
        name: "list_executions",
        table: "workflow_node_executions",
        columns: COLUMNS,
        bytes: "octet_length(x.configuration::text) + octet_length(x.metadata::text)",
        joins: "JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id",
        workflows,
        along,
        looked_at,
        filters: filters.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, filter)| *filter).collect(),
        has_before: page.before.is_some(),
    }
}

const OF_SUB_RUN: &str = " AND EXISTS (
    SELECT FROM workflow_runs r WHERE r.id = x.run_id AND $15 = ANY (r.path))";
const HAS_KEY: &str = " AND EXISTS (
    SELECT FROM workflow_node_execution_kvs k WHERE k.execution_id = x.id AND k.key = $13)";
const HAS_VALUE: &str = " AND EXISTS (
    SELECT FROM workflow_node_execution_kvs k WHERE k.execution_id = x.id AND k.value = $14)";
const HAS_BOTH: &str = " AND EXISTS (
    SELECT FROM workflow_node_execution_kvs k
    WHERE k.execution_id = x.id AND k.key = $13 AND k.value = $14)";

/// The columns of [`ExecutionRow`].
const COLUMNS: &str = "x.id, x.workflow_id, x.node_id, n.name AS node_name, x.run_id, x.event_id,
    x.previous_execution_id, x.parent_execution_id, x.state, x.result, x.result_reason,
    x.result_message, x.component, x.configuration, x.metadata, x.workflow_version, x.attempt,
    x.crashes, x.run_at, x.wake_at, x.cancelled_by, x.redriven_event_id, x.concurrency_key,
    x.created_at, x.updated_at, x.started_at, x.finished_at,
    (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}')
     FROM workflow_node_execution_kvs k
     WHERE k.execution_id = x.id) AS keys";

/// One execution.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none, or it is another organization's.
pub async fn load_execution(
    store: &Store,
    organization_id: OrganizationId,
    execution_id: ExecutionId,
) -> Result<ExecutionRow, StoreError> {
    let rows = store
        .query(
            &format!(
                "/* load_execution */
                 SELECT {COLUMNS}
                 FROM workflow_node_executions x
                 JOIN workflows w ON w.id = x.workflow_id
                 JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
                 WHERE w.organization_id = $1 AND x.id = $2"
            ),
            &[(&organization_id, Type::UUID), (&execution_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), ExecutionRow::from_row)
}
