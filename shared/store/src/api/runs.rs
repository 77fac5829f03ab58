use domain::ids::{OrganizationId, RunId, WorkflowId};
use domain::run::{RunCounts, RunMark, RunState, decide_run_state};
use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::{column, word_if_any};
use crate::{Store, StoreError};

/// Which runs are listed. What is None does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The trigger node.
    pub node_id: Option<String>,
}

/// A run: its root event, and what became of it as of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The id of the root event.
    pub id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.name`
    pub workflow_name: String,
    /// The trigger node.
    pub node_id: String,
    /// What kind of event the root event is.
    pub r#type: String,
    /// The run's name.
    pub custom_name: Option<String>,
    /// `running`, `passed`, `failed` or `cancelled`.
    pub state: RunState,
    /// Why the run was told to end, if it was.
    pub mark_reason: Option<RunMark>,
    /// Items that wait, those of a marked run not counted.
    pub items_waiting: i64,
    /// Executions so far.
    pub executions: i64,
    /// Executions that are not finished.
    pub executions_active: i64,
    /// Executions that failed, whose failure no edge took, and that were not redriven: of those counts what the redrive came to.
    pub failures_unrouted: i64,
    /// Executions that were cancelled.
    pub executions_cancelled: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When the last of its executions ended; None while it runs, or where it had none.
    pub finished_at: Option<Timestamp>,
}

impl RunRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let mark_reason = word_if_any(row, "mark_reason")?;
        let counts = RunCounts {
            items_waiting: column(row, "items_waiting")?,
            executions_active: column(row, "executions_active")?,
            failures_unrouted: column(row, "failures_unrouted")?,
            executions_cancelled: column(row, "executions_cancelled")?,
            mark: mark_reason,
        };
        let state = decide_run_state(counts);
        let finished_at: Option<Timestamp> = column(row, "finished_at")?;
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            workflow_name: column(row, "workflow_name")?,
            node_id: column(row, "node_id")?,
            r#type: column(row, "type")?,
            custom_name: column(row, "custom_name")?,
            state,
            mark_reason,
            items_waiting: counts.items_waiting,
            executions: column(row, "executions")?,
            executions_active: counts.executions_active,
            failures_unrouted: counts.failures_unrouted,
            executions_cancelled: counts.executions_cancelled,
            created_at: column(row, "created_at")?,
            finished_at: finished_at.filter(|_| state != RunState::Running),
        })
    }
}

/// Runs of the organization's workflows, each with its state.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_runs(
    store: &Store,
    organization_id: OrganizationId,
    filter: &RunFilter,
    page: PageRequest,
) -> Result<Page<RunRow>, StoreError> {
    // One statement, so one snapshot: an execution that ends while this runs is counted with its outputs or without both.
    let rows = store
        .query(
            "/* list_runs */
             SELECT r.id, r.workflow_id, r.workflow_name, r.node_id, r.type, r.custom_name, r.created_at, r.candidates,
                    m.reason AS mark_reason, c.executions, c.executions_active, c.failures_unrouted, c.executions_cancelled,
                    c.finished_at,
                    (SELECT count(*) FROM workflow_node_queue_items i
                     WHERE i.root_event_id = r.id AND m.root_event_id IS NULL) AS items_waiting
             FROM (SELECT p.*, count(*) OVER () AS candidates, row_number() OVER (ORDER BY p.id DESC) AS place
                   FROM (SELECT e.*, w.name AS workflow_name
                         FROM workflows w
                         CROSS JOIN LATERAL (
                             SELECT v.id, v.workflow_id, v.node_id, v.type, v.custom_name, v.created_at
                             FROM workflow_events v
                             WHERE v.workflow_id = w.id AND v.execution_id IS NULL AND v.root_event_id = v.id
                               AND ($3::uuid IS NULL OR v.id < $3) AND ($5::text IS NULL OR v.node_id = $5)
                             ORDER BY v.id DESC LIMIT $4 + 1) e
                         WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
                         ORDER BY e.id DESC LIMIT $4 + 1) p) r
             LEFT JOIN workflow_run_marks m ON m.root_event_id = r.id
             CROSS JOIN LATERAL (
                 SELECT count(*) AS executions,
                        count(*) FILTER (WHERE x.state <> 'finished') AS executions_active,
                        count(*) FILTER (WHERE x.result = 'cancelled') AS executions_cancelled,
                        count(*) FILTER (WHERE x.result = 'failed' AND x.redriven_event_id IS NULL AND NOT EXISTS (
                            SELECT FROM workflow_events o
                            WHERE o.execution_id = x.id AND o.channel = 'failure' AND cardinality(o.targets) > 0))
                            AS failures_unrouted,
                        max(x.finished_at) AS finished_at
                 FROM workflow_node_executions x WHERE x.root_event_id = r.id) c
             WHERE r.place <= $4
             ORDER BY r.id DESC",
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
            ],
        )
        .await?;
    read_page(&rows, RunRow::from_row)
}

/// One run with its state, decided from one snapshot.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such run in the organization.
pub async fn load_run(
    store: &Store,
    organization_id: OrganizationId,
    run_id: RunId,
) -> Result<RunRow, StoreError> {
    let rows = store
        .query(
            "/* load_run */
             SELECT r.id, r.workflow_id, w.name AS workflow_name, r.node_id, r.type, r.custom_name, r.created_at,
                    m.reason AS mark_reason, c.executions, c.executions_active, c.failures_unrouted, c.executions_cancelled,
                    c.finished_at,
                    (SELECT count(*) FROM workflow_node_queue_items i
                     WHERE i.root_event_id = r.id AND m.root_event_id IS NULL) AS items_waiting
             FROM workflow_events r
             JOIN workflows w ON w.id = r.workflow_id
             LEFT JOIN workflow_run_marks m ON m.root_event_id = r.id
             CROSS JOIN LATERAL (
                 SELECT count(*) AS executions,
                        count(*) FILTER (WHERE x.state <> 'finished') AS executions_active,
                        count(*) FILTER (WHERE x.result = 'cancelled') AS executions_cancelled,
                        count(*) FILTER (WHERE x.result = 'failed' AND x.redriven_event_id IS NULL AND NOT EXISTS (
                            SELECT FROM workflow_events o
                            WHERE o.execution_id = x.id AND o.channel = 'failure' AND cardinality(o.targets) > 0))
                            AS failures_unrouted,
                        max(x.finished_at) AS finished_at
                 FROM workflow_node_executions x WHERE x.root_event_id = r.id) c
             WHERE w.organization_id = $1 AND r.id = $2 AND coalesce(r.execution_id, r.id) = r.id AND r.root_event_id = r.id",
            &[(&organization_id, Type::UUID), (&run_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), RunRow::from_row)
}
