//! Executions and dead letters.

use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, RunId, WorkflowId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Actor;

/// One run of a node over one event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node.
    pub node_id: String,
    /// The node's name, as it is now.
    pub node_name: String,
    /// The run.
    pub run_id: RunId,
    /// The event that it works on.
    pub event_id: EventId,
    /// The execution that emitted that event; null after a trigger.
    pub previous_execution_id: Option<ExecutionId>,
    /// The execution that it runs inside of.
    pub parent_execution_id: Option<ExecutionId>,
    /// Its state.
    pub state: ExecutionState,
    /// Its end; null while it is not finished.
    pub result: Option<ExecutionResult>,
    /// The reason where it did not pass.
    pub result_reason: Option<ResultReason>,
    /// A sentence for the person who wrote the workflow.
    pub result_message: Option<String>,
    /// The component that it was built with.
    pub component: String,
    /// Everything resolved; a secret stands there as the reference that the author wrote.
    pub configuration: Value,
    /// Facts about its course: attempts with their errors, secrets used, places scrubbed.
    pub metadata: Value,
    /// The search keys by which it is found, and their values.
    pub keys: Value,
    /// The version of the workflow that it was built with.
    pub workflow_version: i64,
    /// The attempt that is at work or comes next, from 1.
    pub attempt: i32,
    /// Claims in a row without a recorded outcome.
    pub crashes: i32,
    /// The time before which it does not start (a retry).
    pub run_at: Option<Timestamp>,
    /// The time of its wake, where it is held and asked for one.
    pub wake_at: Option<Timestamp>,
    /// The actor that cancelled it.
    pub cancelled_by: Option<Actor>,
    /// The copy of its event with which it was redriven.
    pub redriven_event_id: Option<EventId>,
    /// The value of its node's concurrency key.
    pub concurrency_key: Option<String>,
    /// The time at which the builder made it.
    pub created_at: Timestamp,
    /// The time at which its state last changed.
    pub updated_at: Timestamp,
    /// The time of its first claim.
    pub started_at: Option<Timestamp>,
    /// The time of its end.
    pub finished_at: Option<Timestamp>,
    /// Milliseconds from its first claim (without one: from its making) to its end.
    pub duration_ms: Option<i64>,
}

/// The answer of a cancel or a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExecutionAnswer {
    /// The execution as it is now.
    pub execution: Execution,
}

/// A dead letter: an execution that failed, whose failure no edge took, and that was not redriven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeadLetter {
    /// The execution.
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow_name: String,
    /// The node.
    pub node_id: String,
    /// The node's name, as it is now.
    pub node_name: String,
    /// The run.
    pub run_id: RunId,
    /// The event that it worked on.
    pub event_id: EventId,
    /// The component that it was built with.
    pub component: String,
    /// The reason.
    pub result_reason: Option<ResultReason>,
    /// A sentence for the person who wrote the workflow.
    pub result_message: Option<String>,
    /// The attempt that was the last.
    pub attempt: i32,
    /// The time at which the builder made it.
    pub created_at: Timestamp,
    /// The time of its end.
    pub finished_at: Option<Timestamp>,
}

/// The answer of a redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Redriven {
    /// The failed execution.
    pub execution_id: ExecutionId,
    /// Its run, which goes on.
    pub run_id: RunId,
    /// The copy of its event.
    pub event_id: EventId,
}
