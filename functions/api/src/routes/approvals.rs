//! `/v1/approvals`: what people are asked, and their decisions. Reading changes nothing; only a `POST`
//! decides.

use std::sync::Arc;

use api_types::{Approval, ApprovalDecision, ApprovalList, PageQuery, VoteDecision};
use axum::Json;
use axum::extract::{Path, State};
use components::approval::{Request, Vote, Voter};
use domain::execution::ExecutionState;
use domain::held::Call;
use domain::ids::ExecutionId;
use store::StoreError;
use store::api::{
    ApprovalRow, AuditObject, Audited, CallOutcome, ExecutionCall, call_execution, list_approvals,
    load_approval,
};

use super::parse_id;
use crate::Deps;
use crate::auth::{Caller, Payload};
use crate::body::JsonBody;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// The constraint by which each voter has one vote.
const ONE_VOTE: &str = "workflow_execution_calls_votes";

fn may_vote(caller: &Caller, row: &ApprovalRow, request: &Request) -> Result<(), &'static str> {
    let id = caller.person.id.to_string();
    let is_starter = row.started_by == Some(caller.person.id)
        || row.starter.as_deref() == Some(caller.person.name.as_str());
    request.may_vote(Voter { id: &id, name: &caller.person.name, role: caller.access.role(), is_starter })
}

/// `GET`: approvals that wait, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<ApprovalList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let page = list_approvals(&deps.store, caller.organization_id, caller.person.id, page).await?;
    let answer: Json<ApprovalList> = list_answer(page, |row| view(&caller, row));
    if answer.approvals.iter().any(shows_data) {
        caller.note_shown(&deps, AuditObject::new("approvals", "all")).await?;
    }
    Ok(answer)
}

/// `GET /v1/approvals/{approval}`: one approval.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(approval): Path<String>,
) -> Result<Json<Approval>, ApiError> {
    let id = parse_id(&approval, "approval")?;
    let row = load_approval(&deps.store, caller.organization_id, caller.person.id, id)
        .await
        .not_found_as("approval")?;
    shown(&deps, &caller, row).await
}

/// `POST /v1/approvals/{approval}`: a vote.
pub(super) async fn decide(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(approval): Path<String>,
    body: JsonBody,
) -> Result<Json<Approval>, ApiError> {
    let decision: ApprovalDecision = body.read()?;
    let id: ExecutionId = parse_id(&approval, "approval")?;
    let organization_id = caller.organization_id;
    let row =
        load_approval(&deps.store, organization_id, caller.person.id, id).await.not_found_as("approval")?;
    let request = open_request(&row)?;
    may_vote(&caller, &row, &request).map_err(ApiError::Escalation)?;
    let call = match decision.decision {
        VoteDecision::Approve => Call::Approve,
        VoteDecision::Reject => Call::Reject,
    };
    let form = decision.form.unwrap_or_default();
    let comment = decision.comment.as_deref().filter(|comment| !comment.is_empty());
    let form = request
        .check_vote(comment, &form, call == Call::Approve)
        .map_err(|problems| ApiError::Invalid(problems.join("; ")))?;
    let voter = caller.person.id.to_string();
    let voter =
        Voter { id: &voter, name: &caller.person.name, role: caller.access.role(), is_starter: false };
    let vote = ExecutionCall {
        id: deps.ids.next(deps.clock.now()),
        organization_id,
        execution_id: id,
        call,
        called_by: caller.actor.clone(),
        data: Some(Vote::call_data(voter, comment, &form)),
        voter: Some(caller.person.id),
    };
    let line = caller.line(&deps, AuditObject::new("execution", id));
    let made = match call_execution(Audited::new(&deps.store, &line), &vote).await {
        // The same person votes twice at the same moment: the other vote is there now.
        Err(StoreError::Rejected { constraint: Some(name), .. }) if name == ONE_VOTE => {
            call_execution(Audited::new(&deps.store, &line), &vote).await
        }
        made => made,
    };
    match made.not_found_as("approval")? {
        CallOutcome::Made(held) => {
            tracing::info!(execution_id = %id, decision = %call, "vote");
            deps.wake(std::iter::once((organization_id, held.wake()))).await;
        }
        CallOutcome::Voted(before) if before == call => {}
        CallOutcome::Voted(before) => {
            return Err(ApiError::Conflict(format!("this voter has decided already: {before}")));
        }
        CallOutcome::Ending => {
            return Err(ApiError::Gone(
                "the approval is to end: its time is over, its run was stopped, or its node removed"
                    .to_owned(),
            ));
        }
        CallOutcome::NotHeld(_) => return Err(ApiError::Gone(ENDED.to_owned())),
    }
    let row =
        load_approval(&deps.store, organization_id, caller.person.id, id).await.not_found_as("approval")?;
    shown(&deps, &caller, row).await
}

const ENDED: &str = "the approval has ended";

/// The request of an approval that still waits.
fn open_request(row: &ApprovalRow) -> Result<Request, ApiError> {
    if row.state != ExecutionState::Held {
        return Err(ApiError::Gone(ENDED.to_owned()));
    }
    Request::from_held(&row.request).ok_or(ApiError::Internal)
}

/// The answer with one approval. It is noted as read, where it shows what the run carries.
async fn shown(deps: &Deps, caller: &Caller, row: ApprovalRow) -> Result<Json<Approval>, ApiError> {
    let answer = view(caller, row);
    if shows_data(&answer) {
        caller.note_shown(deps, AuditObject::new("execution", answer.id)).await?;
    }
    Ok(Json(answer))
}

fn shows_data(approval: &Approval) -> bool {
    approval.message.is_some() || approval.run_name.is_some() || !approval.approvers.is_empty()
}

/// An approval for the caller: the question is shown to those who decide, and to those who see what
/// runs carry.
fn view(caller: &Caller, row: ApprovalRow) -> Approval {
    let request = Request::from_held(&row.request);
    let may_decide = request.as_ref().is_some_and(|request| {
        row.state == ExecutionState::Held && row.own_vote.is_none() && may_vote(caller, &row, request).is_ok()
    });
    let payload = caller.payload();
    let asked = if may_decide { Payload::Shown } else { payload };
    views::approval(row, request, may_decide, asked, payload)
}
