use domain::actor::Actor;
use domain::execution::ExecutionResult;
use domain::ids::{ExecutionId, OrganizationId, RunId, WorkflowId};
use domain::run::{RunState, RunStop};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::{actor_if_any, column, word, word_if_any};
use crate::{Store, StoreError};

/// The filter of a list of runs. A field that is None filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// The trigger node.
    pub node_id: Option<String>,
    /// Their state.
    pub state: Option<RunState>,
    /// Their result.
    pub result: Option<ExecutionResult>,
    /// The beginning of their name.
    pub name_prefix: Option<String>,
    /// The earliest time of their beginning.
    pub since: Option<Timestamp>,
    /// The owner: its sub-runs, in place of top runs.
    pub parent_execution_id: Option<ExecutionId>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// `workflow_runs.id`
    pub id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.name`
    pub workflow_name: String,
    /// `workflows.version` when it began.
    pub workflow_version: i64,
    /// The trigger node; the node of the owner of a sub-run.
    pub node_id: String,
    /// Of a sub-run: the run that it is within.
    pub parent_run_id: Option<RunId>,
    /// Of a sub-run: its owner.
    pub parent_execution_id: Option<ExecutionId>,
    /// Of a sub-run: its number among those of its owner.
    pub iteration: Option<i32>,
    /// `workflow_runs.caller_execution_id`
    pub caller_execution_id: Option<ExecutionId>,
    /// The type of the root event.
    pub r#type: String,
    /// The run's name.
    pub name: Option<String>,
    /// `running` or `finished`.
    pub state: RunState,
    /// `passed`, `failed` or `cancelled`.
    pub result: Option<ExecutionResult>,
    /// The reason of its stop.
    pub stop: Option<RunStop>,
    /// The actor that stopped it.
    pub stopped_by: Option<Actor>,
    /// When its time-out stops it.
    pub due_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A run with its counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDetail {
    /// The run.
    pub run: RunRow,
    /// The top run that it is within; its own id for a top run.
    pub top_run_id: RunId,
    /// Items that wait.
    pub items_waiting: i64,
    /// Executions so far.
    pub executions: i64,
    /// Executions that are not finished.
    pub executions_active: i64,
    /// Executions that failed, whose failure no edge took, and that were not redriven. A redriven
    /// one counts by the execution of its copy.
    pub failures_unrouted: i64,
    /// Executions that were cancelled.
    pub executions_cancelled: i64,
    /// Sub-runs within it, at all levels.
    pub sub_runs: i64,
    /// Those that are running.
    pub sub_runs_running: i64,
    /// Those that failed.
    pub sub_runs_failed: i64,
}

impl RunRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            workflow_name: column(row, "workflow_name")?,
            workflow_version: column(row, "workflow_version")?,
            node_id: column(row, "node_id")?,
            parent_run_id: column(row, "parent_run_id")?,
            parent_execution_id: column(row, "parent_execution_id")?,
            iteration: column(row, "iteration")?,
            caller_execution_id: column(row, "caller_execution_id")?,
            r#type: column(row, "type")?,
            name: column(row, "name")?,
            state: word(row, "state")?,
            result: word_if_any(row, "result")?,
            stop: word_if_any(row, "stop")?,
            stopped_by: actor_if_any(row, "stopped_by")?,
            due_at: column(row, "due_at")?,
            created_at: column(row, "created_at")?,
            finished_at: column(row, "finished_at")?,
        })
    }
}

/// The index that a list goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    Owner,
    Organization,
    Workflow,
    Running,
    NotPassed,
    Name,
}

impl Along {
    /// The index with the fewest rows beside the wanted ones. `by_name` is [`Self::Name`] where few
    /// runs have the name.
    fn of(filter: &RunFilter, by_name: Option<Self>) -> Self {
        if filter.parent_execution_id.is_some() {
            Self::Owner
        } else if filter.state == Some(RunState::Running) {
            Self::Running
        } else if filter.result.is_some_and(|result| result != ExecutionResult::Passed) {
            Self::NotPassed
        } else if let Some(by_name) = by_name {
            by_name
        } else if filter.workflow_id.is_some() {
            Self::Workflow
        } else {
            Self::Organization
        }
    }

    /// The rows that the list looks at. Those of an owner are found first: a walk through the newest
    /// runs, which Postgres may think shorter, could come to them last.
    fn rows(self) -> &'static str {
        match self {
            Self::Owner => {
                "(SELECT * FROM workflow_runs WHERE parent_execution_id = $10::uuid
                  UNION ALL
                  SELECT * FROM workflow_runs WHERE caller_execution_id = $10 OFFSET 0)"
            }
            Self::Organization | Self::Workflow | Self::Running | Self::NotPassed | Self::Name => {
                "workflow_runs"
            }
        }
    }

    /// The condition of the index, in the index's own form.
    fn condition(self) -> &'static str {
        match self {
            Self::Owner => "r.organization_id = $1",
            Self::Organization => "r.organization_id = $1 AND r.parent_run_id IS NULL",
            Self::Workflow => "r.workflow_id = $2 AND r.parent_run_id IS NULL",
            Self::Running => {
                "r.organization_id = $1 AND r.state = 'running'
                 AND r.parent_run_id IS NULL"
            }
            Self::NotPassed => {
                "r.organization_id = $1 AND r.result IN ('failed', 'cancelled') AND r.result = $6
                 AND r.parent_run_id IS NULL"
            }
            Self::Name => {
                "r.organization_id = $1 AND r.name IS NOT NULL AND r.name ^@ $7
                 AND r.name ~>=~ $7 AND r.name ~<~ ($7 || chr(1114111))
                 AND r.parent_run_id IS NULL"
            }
        }
    }
}

/// The number of names above which a prefix is no narrow search: the list then goes through the
/// newest runs.
const NAMES_FEW: i64 = 1_000;

/// Top runs of the organization, or the sub-runs of an owner or the run that it called, newest first.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_runs(
    store: &Store,
    organization_id: OrganizationId,
    filter: &RunFilter,
    page: PageRequest,
) -> Result<Page<RunRow>, StoreError> {
    let by_name = match &filter.name_prefix {
        Some(prefix) if has_few_of_the_name(store, organization_id, prefix).await? => Some(Along::Name),
        Some(_) | None => None,
    };
    let rows = store
        .query(
            &list_statement(Along::of(filter, by_name), &conditions(filter, page)),
            &[
                (&organization_id, Type::UUID),
                (&filter.workflow_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.node_id, Type::TEXT),
                (&filter.result.map(ExecutionResult::as_str), Type::TEXT),
                (&filter.name_prefix, Type::TEXT),
                (&filter.state.map(RunState::as_str), Type::TEXT),
                (&filter.since.map(first_id_of), Type::UUID),
                (&filter.parent_execution_id, Type::UUID),
            ],
        )
        .await?;
    read_page(&rows, RunRow::from_row)
}

/// The conditions of the fields that filter, and no others: a condition that a NULL switches off
/// hides from Postgres how many rows it leaves.
fn conditions(filter: &RunFilter, page: PageRequest) -> String {
    let conditions = [
        (filter.workflow_id.is_some(), " AND r.workflow_id = $2"),
        (page.before.is_some(), " AND r.id < $3"),
        (filter.node_id.is_some(), " AND r.node_id = $5"),
        (filter.result.is_some(), " AND r.result = $6"),
        (filter.name_prefix.is_some(), " AND r.name ^@ $7"),
        (filter.state.is_some(), " AND r.state = $8"),
        (filter.since.is_some(), " AND r.id >= $9"),
    ];
    conditions.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, condition)| *condition).collect()
}

fn list_statement(along: Along, conditions: &str) -> String {
    format!(
        "/* list_runs */
         SELECT r.*, w.name AS workflow_name, e.type
         FROM (SELECT p.*, count(*) OVER () AS candidates,
                      row_number() OVER (ORDER BY p.id DESC) AS place
               FROM (SELECT r.id, r.workflow_id, r.workflow_version, r.node_id, r.root_event_id,
                            r.parent_run_id, r.parent_execution_id, r.iteration,
                            r.caller_execution_id, r.name, r.state, r.result, r.stop, r.stopped_by,
                            r.due_at, r.created_at, r.finished_at
                     FROM {} r
                     WHERE {}{conditions}
                     ORDER BY r.id DESC LIMIT $4::int8 + 1) p) r
         JOIN workflows w ON w.id = r.workflow_id AND w.organization_id = $1
         JOIN workflow_events e ON e.id = r.root_event_id
         WHERE r.place <= $4
         ORDER BY r.id DESC",
        along.rows(),
        along.condition()
    )
}

async fn has_few_of_the_name(
    store: &Store,
    organization_id: OrganizationId,
    prefix: &str,
) -> Result<bool, StoreError> {
    let rows = store
        .query(
            "/* count_run_names */
             SELECT count(*) <= $3::int8 AS is_few FROM (
                 SELECT FROM workflow_runs r
                 WHERE r.organization_id = $1 AND r.name IS NOT NULL
                   AND r.name ~>=~ $2 AND r.name ~<~ ($2 || chr(1114111))
                 LIMIT $3 + 1) found",
            &[(&organization_id, Type::UUID), (&prefix, Type::TEXT), (&NAMES_FEW, Type::INT8)],
        )
        .await?;
    column(rows.first().ok_or(StoreError::Corrupt("count_run_names"))?, "is_few")
}

/// The smallest UUIDv7 of the time's millisecond.
fn first_id_of(time: Timestamp) -> RunId {
    let millis = u128::try_from(time.as_millisecond()).unwrap_or(0);
    RunId::from_u128(millis << 80)
}

/// One run with its counts, of one snapshot.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such run in the organization.
pub async fn load_run(
    store: &Store,
    organization_id: OrganizationId,
    run_id: RunId,
) -> Result<RunDetail, StoreError> {
    let rows = store
        .query(
            "/* load_run */
             SELECT r.id, r.root_event_id AS top_run_id, r.workflow_id, w.name AS workflow_name,
                    r.workflow_version, r.node_id,
                    r.parent_run_id, r.parent_execution_id, r.iteration, r.caller_execution_id, e.type, r.name, r.state, r.result, r.stop, r.stopped_by,
                    r.due_at, r.created_at, r.finished_at,
                    c.executions, c.executions_active, c.failures_unrouted, c.executions_cancelled,
                    s.sub_runs, s.sub_runs_running, s.sub_runs_failed,
                    (SELECT count(*) FROM workflow_node_queue_items i
                     WHERE i.run_id = r.id) AS items_waiting
             FROM workflow_runs r
             JOIN workflows w ON w.id = r.workflow_id AND w.organization_id = r.organization_id
             JOIN workflow_events e ON e.id = r.root_event_id
             CROSS JOIN LATERAL (
                 SELECT count(*) AS executions,
                        count(*) FILTER (WHERE x.state <> 'finished') AS executions_active,
                        count(*) FILTER (WHERE x.result = 'cancelled') AS executions_cancelled,
                        count(*) FILTER (
                            WHERE x.result = 'failed' AND x.redriven_event_id IS NULL
                              AND NOT x.failure_routed
                              AND NOT (x.component = 'merge' AND EXISTS (
                                  SELECT FROM execution_joins own
                                  JOIN execution_joins j
                                    ON j.run_id = own.run_id AND j.node_id = own.node_id
                                      AND j.execution_id > own.execution_id
                                  WHERE own.execution_id = x.id))
                              AND NOT EXISTS (
                                  SELECT FROM workflow_events o
                                  WHERE o.execution_id = x.id AND o.channel = 'failure'
                                    AND cardinality(o.targets) > 0)) AS failures_unrouted
                 FROM workflow_node_executions x
                 WHERE x.root_event_id = r.root_event_id AND x.run_id = r.id) c
             CROSS JOIN LATERAL (
                 SELECT count(*) AS sub_runs,
                        count(*) FILTER (WHERE s.state = 'running') AS sub_runs_running,
                        count(*) FILTER (WHERE s.result = 'failed') AS sub_runs_failed
                 FROM workflow_runs s
                 WHERE s.root_event_id = r.root_event_id AND s.parent_run_id IS NOT NULL
                   AND s.id <> r.id AND r.id = ANY (s.path)) s
             WHERE r.organization_id = $1 AND r.id = $2",
            &[(&organization_id, Type::UUID), (&run_id, Type::UUID)],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::NotFound)?;
    Ok(RunDetail {
        run: RunRow::from_row(row)?,
        top_run_id: column(row, "top_run_id")?,
        items_waiting: column(row, "items_waiting")?,
        executions: column(row, "executions")?,
        executions_active: column(row, "executions_active")?,
        failures_unrouted: column(row, "failures_unrouted")?,
        executions_cancelled: column(row, "executions_cancelled")?,
        sub_runs: column(row, "sub_runs")?,
        sub_runs_running: column(row, "sub_runs_running")?,
        sub_runs_failed: column(row, "sub_runs_failed")?,
    })
}

/// The top run of a sub-run; None for a top run, and for a run that is not of the organization.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn find_top_run(
    store: &Store,
    organization_id: OrganizationId,
    run_id: RunId,
) -> Result<Option<RunId>, StoreError> {
    let rows = store
        .query(
            "/* find_top_run */ SELECT root_event_id FROM workflow_runs
             WHERE organization_id = $1 AND id = $2",
            &[(&organization_id, Type::UUID), (&run_id, Type::UUID)],
        )
        .await?;
    let top: Option<RunId> = rows.first().map(|row| column(row, "root_event_id")).transpose()?;
    Ok(top.filter(|top| *top != run_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_time_is_before_each_that_is_made_then() {
        let time: Timestamp = "2026-11-28T20:00:00.123Z".parse().unwrap();
        let seconds = u64::try_from(time.as_second()).unwrap();
        let at = |nanoseconds| {
            RunId(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds)))
        };
        assert!(first_id_of(time) < at(123_000_000));
        assert!(first_id_of(time) > at(122_000_000));
    }

    #[test]
    fn a_list_goes_along_the_index_with_the_fewest_rows() {
        let none = RunFilter::default;
        let check = |filter: &RunFilter, few, along| assert_eq!(Along::of(filter, few), along, "{filter:?}");
        let workflow_id = Some(WorkflowId::from_u128(1));
        check(&none(), None, Along::Organization);
        let parent_execution_id = Some(ExecutionId::from_u128(1));
        let running = Some(RunState::Running);
        check(&RunFilter { parent_execution_id, state: running, ..none() }, None, Along::Owner);
        check(&RunFilter { workflow_id, ..none() }, None, Along::Workflow);
        check(
            &RunFilter { workflow_id, state: Some(RunState::Running), ..none() },
            Some(Along::Name),
            Along::Running,
        );
        check(&RunFilter { state: Some(RunState::Finished), ..none() }, None, Along::Organization);
        check(
            &RunFilter { workflow_id, result: Some(ExecutionResult::Failed), ..none() },
            Some(Along::Name),
            Along::NotPassed,
        );
        check(&RunFilter { result: Some(ExecutionResult::Passed), ..none() }, None, Along::Organization);
        check(&RunFilter { workflow_id, ..none() }, Some(Along::Name), Along::Name);
    }
}
