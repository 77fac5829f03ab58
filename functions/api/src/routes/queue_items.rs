//! `/v1/queue-items`: what waits.

use std::sync::Arc;

use api_types::{QueueItemList, QueueItemQuery};
use axum::Json;
use axum::extract::State;
use store::api::{QueueItemFilter, list_queue_items};

use super::{query_id, query_workflow, read_of_list};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{item_cursor, page_rows, read_item_cursor};
use crate::error::ApiError;
use crate::query::ApiQuery;
use crate::views;

/// `GET`: waiting items, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<QueueItemQuery>,
) -> Result<Json<QueueItemList>, ApiError> {
    let before = query.cursor.as_deref().map(read_item_cursor).transpose()?;
    let rows_max = page_rows(query.limit)?;
    let filter = QueueItemFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id: query_id(query.run.as_deref(), "run")?,
        node_id: query.node,
    };
    let payload = caller.payload();
    let page = list_queue_items(&deps.store, caller.organization_id, &filter, before, rows_max).await?;
    let read = read_of_list("queue_items", filter.run_id, filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    let rows =
        page.rows.into_iter().map(|row| views::queue_item(row, payload)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(QueueItemList::from((rows, page.next.map(item_cursor)))))
}
