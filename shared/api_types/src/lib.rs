//! The wire types of the management API: the queries that it reads and the answers that it gives.
//!
//! A type here is what people and machines rely on. Rows of the store are types of their own: a
//! column that is added or renamed changes no answer by itself. With the feature `openapi` the
//! crate describes itself as OpenAPI 3.1 (`docs/openapi.json`).

mod actor;
mod approval;
mod blueprint;
mod body;
mod execution;
mod history;
mod list;
#[cfg(feature = "openapi")]
pub mod openapi;
mod organization;
mod problem;
mod query;
mod run;
mod secret;
mod token;
mod webhook;
mod workflow;

pub use actor::{Actor, AuditLine, Me};
pub use approval::{Approval, ApprovalDecision, VoteDecision};
pub use blueprint::{
    AppliedBlueprint, Blueprint, BlueprintDetail, BlueprintInput, BlueprintOutput, BlueprintUpgrade,
    BlueprintUser, DeletedBlueprint, UpgradedWorkflow,
};
pub use body::{ChangeMember, NewMember, NewToken, RotateWebhook, kept_by_default};
pub use execution::{DeadLetter, Execution, ExecutionAnswer, Redriven};
pub use history::{Event, QueueItem, WaitingFor};
pub use list::{
    ApprovalList, AuditList, BlueprintList, DeadLetterList, EventList, ExecutionList, MemberList,
    QueueItemList, RunList, SecretList, TokenList, WorkflowList,
};
pub use organization::{ChangeOrganization, Health, Organization};
pub use problem::{DefinitionProblem, ProblemDetails};
pub use query::{
    ApplyQuery, AuditQuery, CheckQuery, DeadLetterQuery, DeleteOrganizationQuery, EventQuery, ExecutionQuery,
    PageQuery, QueueItemQuery, RunQuery, UpgradeQuery, WebhookQuery,
};
pub use run::{Run, RunAnswer, RunDetail, RunPage, StartedRun};
pub use secret::{Secret, SecretAnswer, SecretKey};
pub use token::{NewTokenAnswer, Token};
pub use webhook::{Deliveries, ShownOnce, Webhook, WebhookAnswer, WebhookList};
pub use workflow::{Applied, Changes, NodeChange, Workflow, WorkflowDetail};
