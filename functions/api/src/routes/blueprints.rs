//! `/v1/blueprints`: list, apply, show, delete, and upgrade of their users.

use std::sync::Arc;

use api_types::{
    AppliedBlueprint, BlueprintDetail, BlueprintInput, BlueprintList, BlueprintOutput, BlueprintUpgrade,
    CheckQuery, DeletedBlueprint, PageQuery, UpgradeQuery,
};
use axum::Json;
use axum::extract::{Path, State};
use definition_check::BlueprintRef;
use domain::ids::WorkflowId;
use serde_json::json;
use store::api::{
    AuditObject, Audited, DeletedBlueprints, delete_blueprints, find_blueprint, find_users, find_workflow,
    list_blueprints,
};

use crate::Deps;
use crate::apply::ApplyMode;
use crate::apply::blueprints::{Upgrade, apply_new, definition_of};
use crate::auth::{Caller, Payload};
use crate::body::DefinitionBody;
use crate::cursor::{name_cursor, next_cursor, page_request, page_rows, read_name_cursor};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: the newest version of each, by name.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<BlueprintList>, ApiError> {
    let rows = page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(read_name_cursor).transpose()?;
    let (rows, next) = list_blueprints(&deps.store, caller.organization_id, after.as_deref(), rows).await?;
    let rows: Vec<_> = rows.into_iter().map(views::blueprint).collect();
    Ok(Json((rows, next.map(|name| name_cursor(&name))).into()))
}

/// `PUT`: applies a blueprint as its next version; with `check=true` only says what is wrong.
pub(super) async fn apply(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<CheckQuery>,
    DefinitionBody(text): DefinitionBody,
) -> Result<Json<AppliedBlueprint>, ApiError> {
    Ok(Json(apply_new(&deps, &caller, &text, mode(query.check)).await?))
}

/// `GET` of one: with its definition, its versions and its users.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(blueprint): Path<String>,
) -> Result<Json<BlueprintDetail>, ApiError> {
    let (name, version) = reference(&blueprint)?;
    let found = find_blueprint(&deps.store, caller.organization_id, name, version).await;
    let (stored, versions) = found.not_found_as("blueprint")?;
    let id = format!("{name}@{}", stored.row.version);
    caller.note_read(&deps, AuditObject::new("blueprint", id).named(name)).await?;
    let users = find_users(&deps.store, caller.organization_id, name, None).await?;
    let definition = definition_of(stored.definition)?.authored();
    // A default is as telling as what a node's author wrote.
    let is_shown = caller.payload() == Payload::Shown;
    let input = |input: definition_check::Input| BlueprintInput {
        description: input.description,
        required: input.default.is_none(),
        default: input.default.filter(|_| is_shown),
    };
    let output = |output: definition_check::Output| BlueprintOutput {
        channel: output.channel,
        node: output.node,
        from_channel: output.from_channel,
    };
    Ok(Json(BlueprintDetail {
        blueprint: views::blueprint(stored.row),
        inputs: definition.inputs.into_iter().map(|(name, spec)| (name, input(spec))).collect(),
        nodes: definition.nodes.iter().map(|node| views::node(node, caller.payload())).collect(),
        edges: definition.edges.iter().map(|edge| json!(edge)).collect(),
        outputs: definition.outputs.into_iter().map(output).collect(),
        versions,
        used_by: users.into_iter().map(views::blueprint_user).collect(),
    }))
}

/// `DELETE`: a version, or all of them.
pub(super) async fn delete(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(blueprint): Path<String>,
) -> Result<Json<DeletedBlueprint>, ApiError> {
    let (name, version) = reference(&blueprint)?;
    let line = caller.line(&deps, AuditObject::new("blueprint", &blueprint).named(name));
    let store = Audited::new(&deps.store, &line);
    let deleted = delete_blueprints(store, caller.organization_id, name, version, deps.clock.now()).await;
    match deleted.not_found_as("blueprint")? {
        DeletedBlueprints::Deleted(versions) => {
            tracing::info!(blueprint, "blueprint deleted");
            Ok(Json(DeletedBlueprint { versions }))
        }
        DeletedBlueprints::InUse(users) => {
            let mut names: Vec<String> =
                users.iter().take(USERS_NAMED).map(|user| format!("`{}`", user.name)).collect();
            names.dedup();
            let more = if users.len() > USERS_NAMED { ", …" } else { "" };
            Err(ApiError::Conflict(format!("it is used by {}{more}", names.join(", "))))
        }
    }
}

/// The users that a refusal names.
const USERS_NAMED: usize = 5;

/// `POST …/upgrade`: applies the workflows that use another version with this one.
pub(super) async fn upgrade(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(blueprint): Path<String>,
    ApiQuery(query): ApiQuery<UpgradeQuery>,
) -> Result<Json<BlueprintUpgrade>, ApiError> {
    let (name, version) = reference(&blueprint)?;
    let workflow = match &query.workflow {
        Some(workflow) => {
            let found = find_workflow(&deps.store, caller.organization_id, workflow).await;
            Some(found.not_found_as("workflow")?)
        }
        None => None,
    };
    let after = page_request(query.cursor.as_deref(), None)?.before.map(WorkflowId);
    let only = workflow.map(|workflow| workflow.id);
    let options = Upgrade { name, version, only, after, mode: mode(query.check) };
    let (answer, last) = crate::apply::blueprints::upgrade(&deps, &caller, options).await?;
    Ok(Json(BlueprintUpgrade { next_cursor: next_cursor(last.map(|last| last.0)), ..answer }))
}

fn mode(is_check: bool) -> ApplyMode {
    if is_check { ApplyMode::Check } else { ApplyMode::Write }
}

/// The name in a path, and the version where it has one.
fn reference(text: &str) -> Result<(&str, Option<i64>), ApiError> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((name, _)) => {
            let reference = BlueprintRef::parse(text).ok_or(ApiError::NotFound("blueprint"))?;
            Ok((name, Some(reference.version)))
        }
    }
}
