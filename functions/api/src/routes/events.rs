//! `/v1/events`.

use std::sync::Arc;

use api_types::{EventList, EventQuery};
use axum::Json;
use axum::extract::State;
use store::api::{EventFilter, list_events};

use super::{query_run, query_workflow, read_of_list};
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
    let (run_id, sub_run_id) = query_run(&deps, &caller, query.run.as_deref()).await?;
    let filter = EventFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id,
        sub_run_id,
        node_id: query.node,
        channel: query.channel,
    };
    let payload = caller.payload();
    let page = list_events(&deps.store, caller.organization_id, &filter, page).await?;
    let read = read_of_list("events", sub_run_id.or(run_id), filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    Ok(list_answer(page, |row| views::event(row, payload)))
}
