use api_types::{
    AuditLine, Blueprint, BlueprintUser, Changes, DefinitionProblem, NodeChange, Organization, Token,
    Workflow,
};
use definition_check::Problem;
use domain::definition::Node;
use serde_json::{Value, json};
use store::api::{AuditRow, BlueprintRow, OrganizationRow, TokenRow, WorkflowRow};

use crate::auth::Payload;

/// A workflow as the API shows it.
pub(crate) fn workflow(row: WorkflowRow) -> Workflow {
    Workflow {
        id: row.id,
        name: row.name,
        description: row.description,
        timeout_seconds: row.timeout_seconds,
        version: row.version,
        created_by: row.created_by.into(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        deleted_at: row.deleted_at,
    }
}

/// A version of a blueprint as the API shows it.
pub(crate) fn blueprint(row: BlueprintRow) -> Blueprint {
    Blueprint {
        name: row.name,
        version: row.version,
        description: row.description,
        created_by: row.created_by.into(),
        created_at: row.created_at,
    }
}

/// A user of a blueprint as the API shows it.
pub(crate) fn blueprint_user(user: store::api::BlueprintUser) -> BlueprintUser {
    BlueprintUser { workflow_id: user.workflow_id, name: user.name, version: user.version }
}

/// The differences of an apply as the API shows them.
pub(crate) fn changes(changes: definition_check::Changes) -> Changes {
    let node = |change: definition_check::NodeChange| NodeChange { id: change.id, fields: change.fields };
    Changes {
        workflow: changes.workflow,
        added: changes.added,
        removed: changes.removed,
        changed: changes.changed.into_iter().map(node).collect(),
        edges_added: changes.edges_added.iter().map(|edge| json!(edge)).collect(),
        edges_removed: changes.edges_removed.iter().map(|edge| json!(edge)).collect(),
    }
}

/// An error or a warning as the API shows it.
pub(crate) fn definition_problem(problem: Problem) -> DefinitionProblem {
    DefinitionProblem {
        line: problem.line,
        column: problem.column,
        field: problem.field,
        message: problem.message,
        expression: problem.expression,
        span: problem.span,
    }
}

/// An organization as the API shows it.
pub(crate) fn organization(row: OrganizationRow, retention_days_max: Option<i32>) -> Organization {
    Organization {
        id: row.id,
        name: row.name,
        retention_days: row.retention_days,
        retention_days_max,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// A token as the API shows it, without itself.
pub(crate) fn token(row: TokenRow) -> Token {
    Token {
        id: row.id,
        name: row.name,
        role: row.role,
        grants: row.grants,
        created_at: row.created_at,
        created_by: row.created_by.map(Into::into),
        used_at: row.used_at,
        throttled: row.throttled,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    }
}

/// A node of a definition. What its author wrote into it may be as telling as what runs carry.
pub(crate) fn node(node: &Node, payload: Payload) -> Value {
    let mut shown = json!(node);
    if payload == Payload::Hidden {
        if let Some(fields) = shown.as_object_mut() {
            for field in ["configuration", "run_name", "keys", "redact"] {
                fields.remove(field);
            }
        }
        if shown["concurrency"].is_object() {
            shown["concurrency"] = json!({ "max": shown["concurrency"]["max"] });
        }
    }
    shown
}

/// A line of the audit log as the API shows it.
pub(crate) fn audit_line(row: AuditRow) -> AuditLine {
    AuditLine {
        id: row.id,
        created_at: row.created_at,
        actor: row.actor.into(),
        action: row.action,
        object_kind: row.object_kind,
        object_id: row.object_id,
        object_name: row.object_name,
        source_ip: row.source_ip,
    }
}
