//! `/v1/dead-letters`: what failed for good, and trying it once more.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::api::{DeadLetterFilter, Redrive, RedriveOutcome, list_dead_letters, redrive_execution};

use super::{parse_id, query_id, query_word, query_workflow};
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
    reason: Option<String>,
    run: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET`: executions that failed for good, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = DeadLetterFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id: query_id(query.run.as_deref(), "run")?,
        node_id: query.node,
        reason: query_word(query.reason.as_deref(), "reason")?,
    };
    let page = list_dead_letters(&deps.store, caller.organization_id, &filter, page).await?;
    Ok(Json(rows_answer("dead_letters", &page)?))
}

/// `POST /v1/executions/{execution}/redrive`: routes a copy of a failed execution's event to its node once more.
pub(super) async fn redrive(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let organization_id = caller.organization_id;
    let execution_id = parse_id(&execution, "execution")?;
    let now = deps.clock.now();
    let (event_id, item_id) = (deps.ids.next(now), deps.ids.next(now));
    let redrive = Redrive { organization_id, execution_id, event_id, item_id, now };
    match redrive_execution(&deps.store, &redrive).await.not_found_as("execution")? {
        RedriveOutcome::Redriven { run_id } => {
            tracing::info!(%execution_id, %event_id, "execution redriven");
            deps.wake_events(organization_id, &[event_id]).await;
            let answer = json!({ "execution_id": execution_id, "run_id": run_id, "event_id": event_id });
            Ok((StatusCode::ACCEPTED, Json(answer)))
        }
        RedriveOutcome::Refused(why) => Err(ApiError::Conflict(why.to_owned())),
        RedriveOutcome::Full => Err(ApiError::QueueFull),
    }
}
