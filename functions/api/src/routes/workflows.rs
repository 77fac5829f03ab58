//! `/v1/workflows`: list, apply, show, delete.

use std::sync::Arc;

use api_types::{Applied, ApplyQuery, PageQuery, WorkflowDetail, WorkflowList};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use store::api::{AuditObject, Audited, delete_workflow, find_workflow, list_workflows, load_workflow};

use crate::Deps;
use crate::apply::{ApplyMode, ApplyOptions};
use crate::auth::Caller;
use crate::body::DefinitionBody;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: the live workflows, without their definitions.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<WorkflowList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let page = list_workflows(&deps.store, caller.organization_id, page).await?;
    Ok(list_answer(page, views::workflow))
}

/// `PUT`: applies a definition; with `check=true` only says what would change.
pub(super) async fn apply(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ApplyQuery>,
    DefinitionBody(text): DefinitionBody,
) -> Result<Json<Applied>, ApiError> {
    let mode = if query.check { ApplyMode::Check } else { ApplyMode::Write };
    let options = ApplyOptions { expected_version: query.expected_version, mode };
    Ok(Json(crate::apply::apply(&deps, &caller, &text, options).await?))
}

/// `GET` of one: with its definition.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(workflow): Path<String>,
) -> Result<Json<WorkflowDetail>, ApiError> {
    let found = load_workflow(&deps.store, caller.organization_id, &workflow).await;
    let (row, definition) = found.not_found_as("workflow")?;
    caller.note_read(&deps, AuditObject::new("workflow", row.id).named(&row.name)).await?;
    let definition = definition.authored();
    Ok(Json(WorkflowDetail {
        workflow: views::workflow(row),
        outputs: Some(Value::Object(definition.outputs))
            .filter(|outputs| *outputs != json!({}))
            .and_then(|outputs| caller.payload().of(outputs)),
        nodes: definition.nodes.iter().map(|node| views::node(node, caller.payload())).collect(),
        edges: definition.edges.iter().map(|edge| json!(edge)).collect(),
    }))
}

/// `DELETE` of one.
pub(super) async fn delete(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(workflow): Path<String>,
) -> Result<StatusCode, ApiError> {
    let organization_id = caller.organization_id;
    let found = find_workflow(&deps.store, organization_id, &workflow).await.not_found_as("workflow")?;
    let workflow_id = found.id;
    let line = caller.line(&deps, AuditObject::new("workflow", workflow_id).named(found.name));
    let deleted = delete_workflow(
        Audited::new(&deps.store, &line),
        organization_id,
        workflow_id,
        &caller.actor,
        deps.clock.now(),
    )
    .await;
    let deleted = deleted.not_found_as("workflow")?;
    tracing::info!(%workflow_id, "workflow deleted");
    deps.wake_held(&deleted.held).await;
    deps.wake_nodes(organization_id, workflow_id, deleted.node_ids).await;
    Ok(StatusCode::NO_CONTENT)
}
