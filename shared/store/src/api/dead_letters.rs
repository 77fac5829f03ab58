use domain::execution::ResultReason;
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::{column, word_if_any};
use crate::{Store, StoreError};

/// The filter of a list of dead letters. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The node.
    pub node_id: Option<String>,
    /// `result_reason`
    pub reason: Option<ResultReason>,
    /// The top run.
    pub run_id: Option<RunId>,
    /// A sub-run of that run.
    pub sub_run_id: Option<RunId>,
}

/// A dead letter: an execution that failed, whose failure was routed nowhere, and that was not
/// redriven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.name`
    pub workflow_name: String,
    /// The node.
    pub node_id: String,
    /// `workflow_nodes.name`, as it is now.
    pub node_name: String,
    /// `workflow_runs.id`
    pub run_id: RunId,
    /// The event that it worked on.
    pub event_id: EventId,
    /// The component that it was built with.
    pub component: String,
    /// The reason of its failure.
    pub result_reason: Option<ResultReason>,
    /// A sentence for the person who wrote the workflow.
    pub result_message: Option<String>,
    /// Its last attempt.
    pub attempt: i32,
    /// When the builder made it.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl DeadLetterRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            workflow_name: column(row, "workflow_name")?,
            node_id: column(row, "node_id")?,
            node_name: column(row, "node_name")?,
            run_id: column(row, "run_id")?,
            event_id: column(row, "event_id")?,
            component: column(row, "component")?,
            result_reason: word_if_any(row, "result_reason")?,
            result_message: column(row, "result_message")?,
            attempt: column(row, "attempt")?,
            created_at: column(row, "created_at")?,
            finished_at: column(row, "finished_at")?,
        })
    }
}

/// The dead letters of the organization's workflows. They make a run failed. What failed in a
/// sub-run that has ended is none: its owner counts it.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_dead_letters(
    store: &Store,
    organization_id: OrganizationId,
    filter: &DeadLetterFilter,
    page: PageRequest,
) -> Result<Page<DeadLetterRow>, StoreError> {
    // Each workflow gives its newest failures by their partial index, so executions that passed are
    // not read. Rows are compared as a whole and ordered by both columns, as in a search
    // (`search.rs`): no other index can give that order.
    let rows = store
        .query(
            "/* list_dead_letters */
             SELECT q.id, q.workflow_id, q.workflow_name, q.node_id, n.name AS node_name,
                    q.run_id, q.event_id, q.component, q.result_reason, q.result_message,
                    q.attempt, q.created_at, q.finished_at, q.candidates
             FROM (SELECT c.*, count(*) OVER () AS candidates
                   FROM (SELECT e.*, w.name AS workflow_name
                         FROM workflows w
                         CROSS JOIN LATERAL (
                             SELECT x.id, x.workflow_id, x.node_id, x.run_id, x.event_id,
                                    x.component, x.result_reason, x.result_message, x.attempt,
                                    x.created_at, x.finished_at
                             FROM workflow_node_executions x
                             WHERE (x.workflow_id, x.id)
                                   >= (w.id, '00000000-0000-0000-0000-000000000000')
                               AND (x.workflow_id, x.id) < (w.id,
                                   coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                               AND x.result = 'failed'
                               AND x.redriven_event_id IS NULL AND NOT x.failure_routed
                               AND NOT (x.component = 'merge' AND EXISTS (
                                   SELECT FROM execution_joins own
                                   JOIN execution_joins j
                                     ON j.run_id = own.run_id AND j.node_id = own.node_id
                                       AND j.execution_id > own.execution_id
                                   WHERE own.execution_id = x.id))
                               AND (SELECT true FROM workflow_runs r
                                    WHERE r.id = x.run_id
                                      AND (coalesce(r.parent_run_id, r.id) <> r.id
                                          OR r.taken_at >= r.finished_at)
                                      AND coalesce(r.state, '') = 'finished'
                                    LIMIT 1) IS NULL
                               AND ($5::text IS NULL OR x.node_id = $5)
                               AND ($6::text IS NULL OR x.result_reason = $6)
                               AND ($7::uuid IS NULL OR x.root_event_id = $7)
                               AND ($8::uuid IS NULL OR x.run_id = $8)
                               AND NOT EXISTS (
                                   SELECT FROM workflow_events o
                                   WHERE o.execution_id = x.id AND o.channel = 'failure'
                                     AND cardinality(o.targets) > 0
                                   OFFSET 0)
                             ORDER BY x.workflow_id DESC, x.id DESC LIMIT $4 + 1) e
                         WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
                         ORDER BY e.id DESC LIMIT $4 + 1) c) q
             JOIN workflow_nodes n ON n.workflow_id = q.workflow_id AND n.node_id = q.node_id
             ORDER BY q.id DESC LIMIT $4",
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.reason.map(ResultReason::as_str), Type::TEXT),
                (&filter.run_id, Type::UUID),
                (&filter.sub_run_id, Type::UUID),
            ],
        )
        .await?;
    read_page(&rows, DeadLetterRow::from_row)
}
