//! `/v1/events`.

use std::sync::Arc;

use api_types::{EventList, EventQuery};
use axum::Json;
use axum::extract::State;
use store::api::{EventFilter, list_events};

use super::{query_id, query_workflow, read_of_list};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{list_answer, page_request};
use crate::error::ApiError;
use crate::query::ApiQuery;
use crate::views;

/// `GET`: events, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Json<EventList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = EventFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id: query_id(query.run.as_deref(), "run")?,
        node_id: query.node,
        channel: query.channel,
    };
    let payload = caller.payload();
    let page = list_events(&deps.store, caller.organization_id, &filter, page).await?;
    let read = read_of_list("events", filter.run_id, filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    Ok(list_answer(page, |row| views::event(row, payload)))
}
