//! Workflows, and applying them.

use domain::ids::WorkflowId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Actor, DefinitionProblem, Webhook};

/// A workflow, without its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// Its name, unique in the organization among live workflows.
    pub name: String,
    /// Its purpose, in words.
    pub description: String,
    /// The seconds after which a run of it is stopped; null: never.
    pub timeout_seconds: Option<i64>,
    /// Its version, raised by each apply that changes something.
    pub version: i64,
    /// The actor that made it.
    pub created_by: Actor,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time at which it was last applied with a change.
    pub updated_at: Timestamp,
    /// The time at which it was deleted; null for a live one.
    pub deleted_at: Option<Timestamp>,
}

/// A workflow with its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WorkflowDetail {
    /// The workflow.
    #[serde(flatten)]
    pub workflow: Workflow,
    /// Its outputs, as applied; null without any, and for who may not read data.
    pub outputs: Option<Value>,
    /// Its nodes, as applied.
    pub nodes: Vec<Value>,
    /// Its edges, as applied.
    pub edges: Vec<Value>,
}

/// The answer of an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Applied {
    /// The workflow as it is now; null when a check finds that there is none yet.
    pub workflow: Option<Workflow>,
    /// Whether something was written.
    pub applied: bool,
    /// The differences from the version before.
    pub changes: Changes,
    /// Warnings about the definition.
    pub warnings: Vec<DefinitionProblem>,
    /// Its webhooks.
    pub webhooks: Vec<Webhook>,
}

/// The differences between two versions of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Changes {
    /// The fields of the workflow itself that differ: `name`, `description`, `timeout`.
    pub workflow: Vec<String>,
    /// Ids of the nodes that are new.
    pub added: Vec<String>,
    /// Ids of the nodes that are no longer there.
    pub removed: Vec<String>,
    /// The nodes that differ.
    pub changed: Vec<NodeChange>,
    /// Edges that are new, as in a definition.
    pub edges_added: Vec<Value>,
    /// Edges that are no longer there, as in a definition.
    pub edges_removed: Vec<Value>,
}

/// A node that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NodeChange {
    /// The node.
    pub id: String,
    /// The fields that differ.
    pub fields: Vec<String>,
}
