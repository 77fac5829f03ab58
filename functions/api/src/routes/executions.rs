//! `/v1/executions`: what ran, with references where secrets were; cancelling one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::api::{
    ExecutionCancel, ExecutionFilter, ExecutionRow, cancel_execution, list_executions, load_execution,
};

use super::{parse_id, query_id, query_time, query_word, query_workflow};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{page_request, rows_answer};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    workflow: Option<String>,
    node: Option<String>,
    state: Option<String>,
    result: Option<String>,
    key: Option<String>,
    value: Option<String>,
    parent: Option<String>,
    previous: Option<String>,
    run: Option<String>,
    updated_since: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET`: executions, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = ExecutionFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        parent_execution_id: query_id(query.parent.as_deref(), "parent")?,
        previous_execution_id: query_id(query.previous.as_deref(), "previous")?,
        run_id: query_id(query.run.as_deref(), "run")?,
        updated_since: query_time(query.updated_since.as_deref(), "updated_since")?,
        node_id: query.node,
        state: query_word(query.state.as_deref(), "state")?,
        result: query_word(query.result.as_deref(), "result")?,
        key: query.key,
        value: query.value,
    };
    let page = list_executions(&deps.store, caller.organization_id, &filter, page).await?;
    Ok(Json(rows_answer("executions", &page)?))
}

/// `GET` of one.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<Json<ExecutionRow>, ApiError> {
    let id = parse_id(&execution, "execution")?;
    let found = load_execution(&deps.store, caller.organization_id, id).await;
    Ok(Json(found.not_found_as("execution")?))
}

/// `POST /v1/executions/{execution}/cancel`: tells one execution to end; the rest of its run goes on.
pub(super) async fn cancel(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let organization_id = caller.organization_id;
    let execution_id = parse_id(&execution, "execution")?;
    let now = deps.clock.now();
    let cancel = ExecutionCancel { organization_id, execution_id, cancelled_by: caller.actor, now };
    let freed = cancel_execution(&deps.store, &cancel).await.not_found_as("execution")?;
    tracing::info!(%execution_id, "execution cancelled");
    deps.wake_slots(freed.as_slice()).await;
    let execution =
        load_execution(&deps.store, organization_id, execution_id).await.not_found_as("execution")?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "execution": execution }))))
}
