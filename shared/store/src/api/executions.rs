use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{PAGE_COLUMN_BYTES_MAX, Page, PageRequest, read_page};
use crate::types::{column, word, word_if_any};
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
    /// The run.
    pub run_id: Option<RunId>,
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
    pub cancelled_by: Option<String>,
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
            cancelled_by: column(row, "cancelled_by")?,
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
    // Each workflow gives its newest executions by the index (workflow_id, id), so rows of other
    // organizations are not read. Keys are looked up into an array: below an OR the planner makes
    // no join of an IN, and would walk over all executions.
    let rows = store
        .query(
            "/* list_executions */
             SELECT q.id, q.workflow_id, q.node_id, n.name AS node_name, q.run_id,
                    q.event_id, q.previous_execution_id, q.parent_execution_id, q.state, q.result,
                    q.result_reason, q.result_message, q.component, q.configuration, q.metadata,
                    q.workflow_version, q.attempt, q.crashes, q.run_at, q.wake_at, q.cancelled_by,
                    q.redriven_event_id, q.concurrency_key, q.created_at, q.updated_at,
                    q.started_at, q.finished_at, q.candidates,
                    (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}')
                     FROM workflow_node_execution_kvs k
                     WHERE k.execution_id = q.id) AS keys
             FROM (SELECT c.*, count(*) OVER () AS candidates,
                          row_number() OVER (ORDER BY c.id DESC) AS place,
                          sum(octet_length(c.configuration::text) + octet_length(c.metadata::text))
                            OVER (ORDER BY c.id DESC) AS bytes
                   FROM (SELECT e.*
                         FROM workflows w
                         CROSS JOIN LATERAL (
                             SELECT x.id, x.workflow_id, x.node_id, x.run_id, x.event_id,
                                    x.previous_execution_id, x.parent_execution_id, x.state,
                                    x.result, x.result_reason, x.result_message, x.component,
                                    x.configuration, x.metadata, x.workflow_version, x.attempt,
                                    x.crashes, x.run_at, x.wake_at, x.cancelled_by,
                                    x.redriven_event_id, x.concurrency_key, x.created_at,
                                    x.updated_at, x.started_at, x.finished_at
                             FROM workflow_node_executions x
                             WHERE x.workflow_id = w.id AND ($3::uuid IS NULL OR x.id < $3)
                               AND ($6::text IS NULL OR x.node_id = $6)
                               AND ($7::text IS NULL OR x.state = $7)
                               AND ($8::text IS NULL OR x.result = $8)
                               AND ($9::uuid IS NULL OR x.parent_execution_id = $9)
                               AND ($10::uuid IS NULL OR x.previous_execution_id = $10)
                               AND ($11::uuid IS NULL OR x.root_event_id = $11)
                               AND ($12::timestamptz IS NULL OR x.updated_at >= $12)
                               AND (($13::text IS NULL AND $14::text IS NULL) OR x.id = ANY (ARRAY(
                                   SELECT k.execution_id FROM workflow_node_execution_kvs k
                                   WHERE k.workflow_id = w.id AND ($13::text IS NULL OR k.key = $13)
                                     AND ($14::text IS NULL OR k.value = $14))))
                             ORDER BY x.id DESC LIMIT $4 + 1) e
                         WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
                         ORDER BY e.id DESC LIMIT $4 + 1) c) q
             JOIN workflow_nodes n ON n.workflow_id = q.workflow_id AND n.node_id = q.node_id
             WHERE q.place = 1 OR (q.place <= $4 AND q.bytes <= $5)
             ORDER BY q.id DESC",
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
            ],
        )
        .await?;
    read_page(&rows, ExecutionRow::from_row)
}

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
            "/* load_execution */
             SELECT x.id, x.workflow_id, x.node_id, n.name AS node_name, x.run_id,
                    x.event_id, x.previous_execution_id, x.parent_execution_id, x.state, x.result,
                    x.result_reason, x.result_message, x.component, x.configuration, x.metadata,
                    x.workflow_version, x.attempt, x.crashes, x.run_at, x.wake_at, x.cancelled_by,
                    x.redriven_event_id, x.concurrency_key, x.created_at, x.updated_at,
                    x.started_at, x.finished_at,
                    (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}')
                     FROM workflow_node_execution_kvs k
                     WHERE k.execution_id = x.id) AS keys
             FROM workflow_node_executions x
             JOIN workflows w ON w.id = x.workflow_id
             JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
             WHERE w.organization_id = $1 AND x.id = $2",
            &[(&organization_id, Type::UUID), (&execution_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), ExecutionRow::from_row)
}
