//! `/v1/executions`: what ran, with references where secrets were; cancelling and releasing one.

use std::sync::Arc;

use api_types::{Execution, ExecutionAnswer, ExecutionList, ExecutionQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::Action;
use domain::execution::ExecutionState;
use domain::held::Call;
use store::api::{
    AuditObject, Audited, CallOutcome, ExecutionCall, ExecutionCancel, ExecutionFilter, call_execution,
    cancel_execution, list_executions, load_execution,
};

use super::{parse_id, query_id, query_run, query_time, query_word, query_workflow, read_of_list};
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: executions, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ExecutionQuery>,
) -> Result<Json<ExecutionList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let (run_id, sub_run_id) = query_run(&deps, &caller, query.run.as_deref()).await?;
    let filter = ExecutionFilter {
        workflow_id: query_workflow(&deps, &caller, query.workflow.as_deref()).await?,
        parent_execution_id: query_id(query.parent.as_deref(), "parent")?,
        previous_execution_id: query_id(query.previous.as_deref(), "previous")?,
        run_id,
        sub_run_id,
        updated_since: query_time(query.updated_since.as_deref(), "updated_since")?,
        node_id: query.node,
        state: query_word(query.state.as_deref(), "state")?,
        result: query_word(query.result.as_deref(), "result")?,
        key: query.key,
        value: query.value,
    };
    let payload = caller.payload();
    // A search by a value says what the value is.
    if filter.key.is_some() || filter.value.is_some() {
        caller.require(Action::DataRead)?;
    }
    let page = list_executions(&deps.store, caller.organization_id, &filter, page).await?;
    let read = read_of_list("executions", sub_run_id.or(run_id), filter.workflow_id);
    caller.note_rows_read(&deps, read, &page.rows).await?;
    Ok(list_answer(page, |row| views::execution(row, payload)))
}

/// `GET` of one.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<Json<Execution>, ApiError> {
    let id = parse_id(&execution, "execution")?;
    let found = load_execution(&deps.store, caller.organization_id, id).await.not_found_as("execution")?;
    caller.note_read(&deps, AuditObject::new("execution", id)).await?;
    Ok(Json(views::execution(found, caller.payload())))
}

/// `POST /v1/executions/{execution}/cancel`: tells one execution to end; the rest of its run goes
/// on.
pub(super) async fn cancel(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<(StatusCode, Json<ExecutionAnswer>), ApiError> {
    let organization_id = caller.organization_id;
    let execution_id = parse_id(&execution, "execution")?;
    let now = deps.clock.now();
    let line = caller.line(&deps, AuditObject::new("execution", execution_id));
    let payload = caller.payload();
    let cancel = ExecutionCancel { organization_id, execution_id, cancelled_by: caller.actor.clone(), now };
    let cancelled =
        cancel_execution(Audited::new(&deps.store, &line), &cancel).await.not_found_as("execution")?;
    tracing::info!(%execution_id, "execution cancelled");
    deps.wake(cancelled.wakes()).await;
    let execution =
        load_execution(&deps.store, organization_id, execution_id).await.not_found_as("execution")?;
    caller.note_read(&deps, AuditObject::new("execution", execution_id)).await?;
    Ok((StatusCode::ACCEPTED, Json(ExecutionAnswer { execution: views::execution(execution, payload) })))
}

/// `POST /v1/executions/{execution}/release`: a held execution goes on now.
pub(super) async fn release(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(execution): Path<String>,
) -> Result<(StatusCode, Json<ExecutionAnswer>), ApiError> {
    let organization_id = caller.organization_id;
    let execution_id = parse_id(&execution, "execution")?;
    let row = load_execution(&deps.store, organization_id, execution_id).await.not_found_as("execution")?;
    let may_be_released =
        components::held(&row.component).is_some_and(|held| held.calls().contains(&Call::Release));
    if !may_be_released {
        let message = format!("an execution of `{}` is not held: there is nothing to release", row.component);
        return Err(ApiError::Conflict(message));
    }
    let id = deps.ids.next(deps.clock.now());
    let line = caller.line(&deps, AuditObject::new("execution", execution_id));
    let payload = caller.payload();
    let call = ExecutionCall {
        id,
        organization_id,
        execution_id,
        call: Call::Release,
        called_by: caller.actor.clone(),
        data: None,
        voter: None,
    };
    match call_execution(Audited::new(&deps.store, &line), &call).await.not_found_as("execution")? {
        CallOutcome::Made(held) => {
            tracing::info!(%execution_id, "execution released");
            deps.wake(std::iter::once((organization_id, held.wake()))).await;
            let row =
                load_execution(&deps.store, organization_id, execution_id).await.not_found_as("execution")?;
            caller.note_read(&deps, AuditObject::new("execution", execution_id)).await?;
            Ok((StatusCode::ACCEPTED, Json(ExecutionAnswer { execution: views::execution(row, payload) })))
        }
        // A release is no vote.
        CallOutcome::Voted(_) => Err(ApiError::Internal),
        CallOutcome::Ending => Err(ApiError::Gone(
            "the execution is to end: its run was stopped, or its node removed".to_owned(),
        )),
        CallOutcome::NotHeld(ExecutionState::Finished) => {
            Err(ApiError::Gone("the execution has ended".to_owned()))
        }
        CallOutcome::NotHeld(state) => Err(ApiError::Conflict(format!(
            "the execution is {state}, not held: there is nothing to release"
        ))),
    }
}
