use api_types::{Approval, VoteDecision};
use components::approval::Request;
use domain::held::Call;
use serde_json::{Value, json};
use store::api::ApprovalRow;

use crate::auth::Payload;

/// An approval as the API shows it; `asked`: whether it shows what is asked, of whom, and the form;
/// `payload`: whether it shows what runs carry.
pub(crate) fn approval(
    row: ApprovalRow,
    request: Option<Request>,
    may_decide: bool,
    asked: Payload,
    payload: Payload,
) -> Approval {
    let list = |of: fn(&Request) -> Value| {
        let list = asked.of(request.as_ref().map(of)).flatten().unwrap_or_default();
        list.as_array().cloned().unwrap_or_default()
    };
    Approval {
        id: row.id,
        workflow_id: row.workflow_id,
        workflow_name: row.workflow_name,
        node_id: row.node_id,
        node_name: row.node_name,
        run_id: row.run_id,
        run_name: payload.of(row.run_name).flatten(),
        state: row.state,
        message: asked.of(request.as_ref().map(|request| request.message.clone())).flatten(),
        approvers: list(|request| json!(request.approvers)),
        form: list(|request| json!(request.form)),
        needed: request.as_ref().map(Request::needed),
        votes: row.votes,
        own_vote: match row.own_vote {
            Some(Call::Approve) => Some(VoteDecision::Approve),
            Some(Call::Reject) => Some(VoteDecision::Reject),
            Some(Call::Release | Call::Callback) | None => None,
        },
        may_decide,
        expires_at: request.map(|request| request.expires_at),
        created_at: row.created_at,
    }
}
