//! `/v1/runs` and `/v1/workflows/{workflow}/runs`: start, list, show, cancel.

use domain::access::Action;
use domain::execution::ExecutionResult;
use domain::ids::{EventId, RunId};
use std::sync::Arc;

use api_types::{PageQuery, RunAnswer, RunList, RunPage, RunQuery, StartedRun};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::request_headers::{HOPS_HEADER, hop_count};
use store::api::{
    AuditObject, Audited, ExecutionFilter, RunCancel, RunFilter, cancel_run, find_top_run, list_executions,
    list_runs, load_run,
};

use super::{parse_id, query_id, query_time, query_word, query_workflow, read_of_list};
use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::cursor::{list_answer, next_cursor, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::start::start_workflow;
use crate::views;

/// `POST /v1/workflows/{workflow}/runs`: starts a run.
pub(super) async fn start(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<(StatusCode, Json<StartedRun>), ApiError> {
    let hops = hop_count(headers.get(HOPS_HEADER).and_then(|value| value.to_str().ok()))?;
    let run_id = start_workflow(&deps, &caller, &workflow, body.bytes(), hops).await?;
    Ok((StatusCode::ACCEPTED, Json(StartedRun { run_id, event_id: EventId(run_id.0) })))
}

/// `GET /v1/runs`: runs with their states, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<RunQuery>,
) -> Result<Json<RunList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let workflow_id = query_workflow(&deps, &caller, query.workflow.as_deref()).await?;
    let filter = RunFilter {
        workflow_id,
        node_id: query.node,
        state: query_word(query.state.as_deref(), "state")?,
        result: query_word(query.result.as_deref(), "result")?,
        name_prefix: query.name,
        since: query_time(query.since.as_deref(), "since")?,
        parent_execution_id: query_id(query.parent.as_deref(), "parent")?,
    };
    let payload = caller.payload();
    // A search by a name says how the name begins.
    if filter.name_prefix.is_some() {
        caller.require(Action::DataRead)?;
    }
    let page = list_runs(&deps.store, caller.organization_id, &filter, page).await?;
    let read = read_of_list("runs", None, filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    Ok(list_answer(page, |row| views::run(row, payload)))
}

/// `GET /v1/runs/{run}`: one run with a page of its executions, newest first.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(run): Path<String>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<RunPage>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let id: RunId = parse_id(&run, "run")?;
    // The state first: executions that come after it was read are in a later answer of a run that
    // still runs.
    let run = load_run(&deps.store, caller.organization_id, id).await.not_found_as("run")?;
    caller.note_read(&deps, AuditObject::new("run", id)).await?;
    let payload = caller.payload();
    let filter = ExecutionFilter {
        workflow_id: Some(run.run.workflow_id),
        run_id: Some(run.top_run_id),
        sub_run_id: run.run.parent_run_id.map(|_| id),
        ..ExecutionFilter::default()
    };
    let page = list_executions(&deps.store, caller.organization_id, &filter, page).await?;
    let executions = page.rows.into_iter().map(|row| views::execution(row, payload)).collect();
    Ok(Json(RunPage {
        run: views::run_detail(run, payload),
        executions,
        next_cursor: next_cursor(page.next),
    }))
}

/// `POST /v1/runs/{run}/cancel`: tells a run to end.
pub(super) async fn cancel(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<RunAnswer>), ApiError> {
    let organization_id = caller.organization_id;
    let run_id = parse_id(&run, "run")?;
    let line = caller.line(&deps, AuditObject::new("run", run_id));
    let payload = caller.payload();
    let cancel =
        RunCancel { organization_id, run_id, cancelled_by: caller.actor.clone(), now: deps.clock.now() };
    let next_id = || deps.ids.next(deps.clock.now());
    if let Some(top) = find_top_run(&deps.store, organization_id, run_id).await? {
        return Err(ApiError::Conflict(format!(
            "the run is a part of the run {top}: cancel that run, or the execution that started this part"
        )));
    }
    let stopped =
        cancel_run(Audited::new(&deps.store, &line), &cancel, &next_id).await.not_found_as("run")?;
    tracing::info!(%run_id, "run cancelled");
    deps.wake(stopped.wakes()).await;
    let run = load_run(&deps.store, organization_id, run_id).await.not_found_as("run")?;
    if let Some(result) = run.run.result.filter(|result| *result != ExecutionResult::Cancelled) {
        return Err(ApiError::Conflict(format!("the run has ended already: {result}")));
    }
    caller.note_read(&deps, AuditObject::new("run", run_id)).await?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer { run: views::run_detail(run, payload) })))
}
