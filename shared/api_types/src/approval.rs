//! Approvals: what people are asked, and their votes.

use domain::execution::ExecutionState;
use domain::ids::{ExecutionId, RunId, WorkflowId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Approval {
    /// The id of its execution.
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
    /// The run's name; null where the caller may not see it.
    pub run_name: Option<String>,
    /// `held` while it waits, `finished` after its end.
    pub state: ExecutionState,
    /// The question; null where the caller may not see it, and after the end.
    pub message: Option<String>,
    /// Those who may vote: `{"user"}`, `{"role"}` or `"anyone"`. Empty where the caller may not see
    /// it, and after the end.
    pub approvers: Vec<Value>,
    /// The fields that an approver fills in: `{"name", "label", "type", "required", "options"}`. Empty
    /// as `approvers`.
    pub form: Vec<Value>,
    /// The approvals that it takes; null after the end.
    pub needed: Option<u32>,
    /// The votes so far.
    pub votes: i64,
    /// The caller's own vote; null: none.
    pub own_vote: Option<VoteDecision>,
    /// Whether the caller may vote now.
    pub may_decide: bool,
    /// The time from which no vote counts; null after the end.
    pub expires_at: Option<Timestamp>,
    /// The time at which it was opened.
    pub created_at: Timestamp,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VoteDecision {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// The body of a vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// The decision.
    pub decision: VoteDecision,
    /// The voter's comment; with the form up to 1,000 bytes.
    #[serde(default)]
    pub comment: Option<String>,
    /// The fields of the form, by their names.
    #[serde(default)]
    pub form: Option<Map<String, Value>>,
}
