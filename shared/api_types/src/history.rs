//! Events, and the items that wait.

use domain::ids::{EventId, ExecutionId, ItemId, RunId, WorkflowId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened: a trigger fired, or an execution emitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node that it comes from.
    pub node_id: String,
    /// Its run; for a root event this is its own id.
    pub run_id: RunId,
    /// The channel that it left on.
    pub channel: String,
    /// The kind of event, such as `webhook` or `http.success`.
    pub r#type: String,
    /// Its data, after scrubbing.
    pub data: Value,
    /// The run's name, for root events.
    pub run_name: Option<String>,
    /// The nodes that it was routed to.
    pub targets: Vec<String>,
    /// Events from the root down to this one, from 1.
    pub depth: i32,
    /// The execution that emitted it; null for a root event.
    pub execution_id: Option<ExecutionId>,
    /// The time at which it happened.
    pub created_at: Timestamp,
}

/// An event that waits at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QueueItem {
    /// Its id.
    pub id: ItemId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The node that it waits at.
    pub node_id: String,
    /// The run.
    pub run_id: RunId,
    /// The event that waits.
    pub event_id: EventId,
    /// The node's generation when it was routed.
    pub node_generation: i32,
    /// Times that a builder crashed with this item at work.
    pub crashes: i32,
    /// The time at which it was routed.
    pub created_at: Timestamp,
    /// The time at which the sweeper last sent a wake; at first `created_at`.
    pub last_sent_at: Timestamp,
    /// Wakes that the sweeper sent.
    pub sent_count: i32,
    /// The value of its node's concurrency key; null until the builder resolves it, or without a
    /// key.
    pub concurrency_key: Option<String>,
    /// The cause of its wait.
    pub waiting_for: WaitingFor,
}

/// The cause of an item's wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WaitingFor {
    /// Executions hold all slots of its node, or of its concurrency key.
    Concurrency {
        /// Executions that may be active at once.
        limit: i32,
        /// Up to ten of the executions that hold a slot.
        executions: Vec<ExecutionId>,
        /// The number of items before it, counted up to 1,000.
        ahead: i64,
    },
    /// The builder takes it when its wake arrives.
    Delivery,
}
