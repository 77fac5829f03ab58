//! `/v1/dead-letters`: executions that failed, whose failure no edge took; redriving them.

use std::sync::Arc;

use api_types::{DeadLetterList, DeadLetterQuery, Redriven};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use store::api::{
    AuditObject, Audited, DeadLetterFilter, Redrive, RedriveOutcome, list_dead_letters, redrive_execution,
};

use super::{parse_id, query_run, query_word, query_workflow, read_of_list};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: dead letters, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<DeadLetterQuery>,
) -> Result<Json<DeadLetterList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let (run_id, sub_run_id) = query_run(&deps, &caller, query.run.as_deref()).await?;
    let filter = DeadLetterFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        run_id,
        sub_run_id,
        node_id: query.node,
        reason: query_word(query.reason.as_deref(), "reason")?,
    };
    let payload = caller.payload();
    let page = list_dead_letters(&deps.store, caller.organization_id, &filter, page).await?;
    let read = read_of_list("dead_letters", filter.run_id, filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    Ok(list_answer(page, |row| views::dead_letter(row, payload)))
}

/// `POST /v1/executions/{execution}/redrive`: routes a copy of a failed execution's event to its
/// node once more.
pub(super) async fn redrive(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<(StatusCode, Json<Redriven>), ApiError> {
    let organization_id = caller.organization_id;
    let execution_id = parse_id(&execution, "execution")?;
    let now = deps.clock.now();
    let (event_id, item_id) = (deps.ids.next(now), deps.ids.next(now));
    let line = caller.line(&deps, AuditObject::new("execution", execution_id));
    let redrive = Redrive { organization_id, execution_id, event_id, item_id, now };
    match redrive_execution(Audited::new(&deps.store, &line), &redrive).await.not_found_as("execution")? {
        RedriveOutcome::Redriven { run_id, due } => {
            tracing::info!(%execution_id, %event_id, "execution redriven");
            deps.wake_events(organization_id, &[event_id]).await;
            deps.wake_run_later(organization_id, run_id, due).await;
            Ok((StatusCode::ACCEPTED, Json(Redriven { execution_id, run_id, event_id })))
        }
        RedriveOutcome::Refused(why) => Err(ApiError::Conflict(why.to_owned())),
        RedriveOutcome::Full => Err(ApiError::QueueFull),
    }
}
