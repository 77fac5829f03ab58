//! The reads and writes of the API. Every statement takes the organization and reaches rows only
//! through its workflows (I6).
//!
//! The API answers with these rows: their fields have the names of the columns. They must not have
//! `workflow_node_executions.residuals`, leases, or sealed bytes on their way to an answer.

mod approvals;
mod audit;
mod blueprints;
mod callers;
mod dead_letters;
mod events;
mod execution_call;
mod execution_cancel;
mod executions;
mod organizations;
mod page;
mod queue_items;
mod redrive;
mod removed;
mod run_cancel;
mod runs;
mod search;
mod secrets;
mod tokens;
mod trigger_writes;
mod webhook_writes;
mod webhooks;
mod workflow_apply;
mod workflow_delete;
mod workflows;

pub use crate::audit::{AuditLine, AuditObject, Audited, note_read};
pub use approvals::{ApprovalRow, list_approvals, load_approval};
pub use audit::{AuditFilter, AuditRow, list_audit_lines};
pub use blueprints::{
    BlueprintRow, BlueprintUser, DeletedBlueprints, NewBlueprint, StoredBlueprint, apply_blueprint,
    delete_blueprints, find_blueprint, find_users, list_blueprints, load_blueprints, newest_blueprints,
    next_version,
};
pub use callers::{Caller, Person, TOKEN_CHAIN_MAX, authenticate_token};
pub use dead_letters::{DeadLetterFilter, DeadLetterRow, list_dead_letters};
pub use events::{EventFilter, EventRow, list_events};
pub use execution_call::{CallOutcome, ExecutionCall, call_execution};
pub use execution_cancel::{CancelledExecution, ExecutionCancel, cancel_execution};
pub use executions::{ExecutionFilter, ExecutionRow, list_executions, load_execution};
pub use organizations::{OrganizationRow, delete_organization, load_organization, set_retention};
pub use page::{Page, PageRequest};
pub use queue_items::{QueueItemFilter, QueueItemPage, QueueItemPlace, QueueItemRow, list_queue_items};
pub use redrive::{Redrive, RedriveOutcome, redrive_execution};
pub use run_cancel::{RunCancel, cancel_run};
pub use runs::{RunDetail, RunFilter, RunRow, find_top_run, list_runs, load_run};
pub use secrets::{
    SecretIdentity, SecretRow, SecretWrite, change_secret, delete_secret, list_secrets, load_secret,
    load_secrets_named,
};
pub use tokens::{
    NewToken, TokenRow, change_member, create_token, find_token, list_tokens, note_use, revoke_token,
};
pub use webhooks::{
    ListedWebhook, WebhookKeys, WebhookPlace, WebhookReference, WebhookRotation, WebhookRow, list_webhooks,
    load_webhook_keys, rotate_webhook,
};
pub use workflow_apply::{
    AppliedWorkflow, WebhookChange, WebhookCredential, WebhookWrite, WorkflowWrite, apply_workflow,
};
pub use workflow_delete::{DeletedWorkflow, delete_workflow};
pub use workflows::{WorkflowRow, find_workflow, list_workflows, load_workflow, load_workflow_named};
