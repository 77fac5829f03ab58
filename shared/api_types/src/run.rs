//! Runs.

use domain::execution::ExecutionResult;
use domain::ids::{EventId, ExecutionId, RunId, WorkflowId};
use domain::run::{RunState, RunStop};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Actor, Execution};

/// All that began with one event of a trigger; or a sub-run, which is a part of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Run {
    /// Its id: that of its root event, unless it is a sub-run.
    pub id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow_name: String,
    /// The workflow's version when it began.
    pub workflow_version: i64,
    /// The trigger node; the node of the owner of a sub-run.
    pub node_id: String,
    /// Of a sub-run: the run that it is within.
    pub parent_run_id: Option<RunId>,
    /// Of a sub-run: its owner, the execution that began it.
    pub parent_execution_id: Option<ExecutionId>,
    /// Of a sub-run: its number among those of its owner: the index of an item, the number of a turn.
    pub iteration: Option<i32>,
    /// Of a run that another called: the execution that called it.
    pub caller_execution_id: Option<ExecutionId>,
    /// The kind of its root event.
    pub r#type: String,
    /// Its name.
    pub name: Option<String>,
    /// Its state.
    pub state: RunState,
    /// Its end; null while it is running.
    pub result: Option<ExecutionResult>,
    /// The reason for which it is to end, or was.
    pub stop: Option<RunStop>,
    /// The actor that stopped it.
    pub stopped_by: Option<Actor>,
    /// The time at which its time-out stops it.
    pub due_at: Option<Timestamp>,
    /// The time at which it began.
    pub created_at: Timestamp,
    /// The time of its end.
    pub finished_at: Option<Timestamp>,
}

/// A run with counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Items that wait.
    pub items_waiting: i64,
    /// Executions so far, without those of its sub-runs.
    pub executions: i64,
    /// Executions that are not finished.
    pub executions_active: i64,
    /// Executions that failed, whose failure no edge took, and that were not redriven.
    pub failures_unrouted: i64,
    /// Executions that were cancelled.
    pub executions_cancelled: i64,
    /// Sub-runs within it, at all levels.
    pub sub_runs: i64,
    /// Those of them that are running.
    pub sub_runs_running: i64,
    /// Those of them that failed.
    pub sub_runs_failed: i64,
}

/// A run with a page of its executions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunPage {
    /// The run.
    pub run: RunDetail,
    /// Its executions and those of its sub-runs, newest first.
    pub executions: Vec<Execution>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// The answer of a cancel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunAnswer {
    /// The run as it is now.
    pub run: RunDetail,
}

/// The answer of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartedRun {
    /// The run.
    pub run_id: RunId,
    /// Its root event.
    pub event_id: EventId,
}
