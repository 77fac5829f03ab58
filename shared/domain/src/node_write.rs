//! The rows of a node that an apply writes.

use jiff::Timestamp;
use serde_json::Value;

use crate::definition::{CallRate, NodeType};
use crate::ids::WebhookId;

/// A row of `workflow_nodes`.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeWrite {
    /// The author's id of the node.
    pub node_id: String,
    /// The name that people see.
    pub name: String,
    /// The type of the node.
    pub node_type: NodeType,
    /// `{"component": "http"}`
    pub reference: Value,
    /// The template as the author wrote it.
    pub configuration: Value,
    /// The blueprint's node that it was expanded from.
    pub parent_node_id: Option<String>,
    /// Executions that may be active at once; None: no limit.
    pub concurrency_max: Option<i32>,
    /// Template of the concurrency key: the limit holds for each of its values by itself.
    pub concurrency_key: Option<String>,
    /// The calls that it may make in a second; None: any number.
    pub rate: Option<CallRate>,
    /// The place at which the console draws the node.
    pub position: Option<Value>,
    /// The node's webhook, for webhook triggers.
    pub webhook_id: Option<WebhookId>,
}

/// A row of `schedules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleWrite {
    /// The trigger.
    pub node_id: String,
    /// The next time, and the moment at which it is looked at. None: there is none.
    pub next: Option<(Timestamp, Timestamp)>,
    /// Whether its message is sent after the commit, so that the sweeper need not send it.
    pub is_sent: bool,
}

/// A row of `error_handlers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorHandlerWrite {
    /// The trigger.
    pub node_id: String,
    /// The name of the workflow that it watches; empty: all of the organization.
    pub workflow_name: String,
}

/// The joins that are reached from a node: `workflow_nodes.merges`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergesWrite {
    /// The node.
    pub node_id: String,
    /// The ids of the joins, itself among them.
    pub merges: Vec<String>,
}

/// A row of `workflow_node_secret_refs`, for the node's version that the apply makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRefWrite {
    /// The node.
    pub node_id: String,
    /// `secrets.name`
    pub secret_name: String,
    /// The key in the secret.
    pub secret_key: String,
    /// JSON pointer of the field that refers to it.
    pub field: String,
}
