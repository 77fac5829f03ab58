//! `/v1/queue-items`: what waits.

use std::sync::Arc;

use api_types::{QueueItemList, QueueItemQuery};
use axum::Json;
use axum::extract::State;
use store::api::{QueueItemFilter, list_queue_items};

use super::{query_id, query_workflow};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{page_request, read_list_answer};
use crate::error::ApiError;
use crate::query::ApiQuery;
use crate::views;

/// `GET`: waiting items, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<QueueItemQuery>,
) -> Result<Json<QueueItemList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = QueueItemFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id: query_id(query.run.as_deref(), "run")?,
        node_id: query.node,
    };
    let page = list_queue_items(&deps.store, caller.organization_id, &filter, page).await?;
    read_list_answer(page, views::queue_item)
}
