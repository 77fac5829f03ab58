//! `/v1/queue-items`: what waits.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::api::{QueueItemFilter, list_queue_items};

use super::{query_id, query_workflow};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{page_request, rows_answer};
use crate::error::ApiError;
use crate::query::ApiQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    workflow: Option<String>,
    node: Option<String>,
    run: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET`: waiting items, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = QueueItemFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id: query_id(query.run.as_deref(), "run")?,
        node_id: query.node,
    };
    let page = list_queue_items(&deps.store, caller.organization_id, &filter, page).await?;
    Ok(Json(rows_answer("queue_items", &page)?))
}
