//! `approval`: asks people, and goes on by their answer.
//!
//! The votes are calls. Who may vote is decided when the vote is made ([`Request::may_vote`], which the
//! API asks), and what they come to when the builder reads them ([`Request::outcome`]): both are plain
//! functions of what the execution holds.

mod form;
mod read;
mod request;

use domain::{
    execution::ResultReason,
    held::{Call, WakeTime},
    json::compact_bytes,
    limits::APPROVAL_BYTES_MAX,
    outcome::Failure,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    component::{Component, FieldSpec, Problem},
    held::{Emission, EmissionData, Held, Opening, Step, Then, Woken},
    shape::{Stage, texts},
};
use secret_text::FieldKind;

pub use form::FormField;
pub use request::{Approver, Decision, Outcome, Request, Requires, Vote, Voter};

/// The component.
pub(crate) struct Approval;

const REQUESTED: &str = "requested";
const EXPIRED: &str = "expired";

impl Component for Approval {
    fn name(&self) -> &'static str {
        "approval"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[REQUESTED, "approved", "rejected", EXPIRED]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const FIELDS: &[FieldSpec] = &[FieldSpec::plain("/message", FieldKind::Text)];
        FIELDS
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        match read::read(configuration, Stage::Template) {
            Err(problems) => problems,
            Ok(Some(asked)) if compact_bytes(&asked.request.to_held()) > APPROVAL_BYTES_MAX => {
                vec![Problem { pointer: String::new(), message: too_large() }]
            }
            Ok(_) => Vec::new(),
        }
    }
}

impl Held for Approval {
    fn open(&self, configuration: &Value, opening: Opening<'_>) -> Result<Step, Failure> {
        let asked = read::read(configuration, Stage::Resolved).map_err(|problems| {
            invalid(&format!("the configuration came to no approval: {}", texts(&problems)))
        })?;
        let asked = asked.ok_or_else(|| invalid("the configuration came to no approval"))?;
        let expires_at = opening
            .now
            .checked_add(asked.expires)
            .map_err(|_| invalid("the approval would expire after the end of time"))?;
        let request = Request { expires_at, since: opening.now, votes: Vec::new(), ..asked.request };
        let held = request.to_held();
        if compact_bytes(&held) > APPROVAL_BYTES_MAX {
            return Err(invalid(&too_large()));
        }
        let emission = Emission {
            channel: REQUESTED,
            data: EmissionData::Made(json!({
                "id": opening.execution_id.to_string(),
                "message": request.message,
                "expires_at": expires_at.to_string(),
            })),
        };
        Ok(Step {
            emissions: vec![emission],
            facts: facts(&request, None),
            then: Then::Held { held, wake: Some(WakeTime::At(expires_at)) },
        })
    }

    fn calls(&self) -> &'static [Call] {
        &[Call::Approve, Call::Reject]
    }

    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step {
        let Some(mut request) = Request::from_held(held) else {
            let failure = invalid("what the approval holds was written by a newer version of sealflow");
            return Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) };
        };
        for call in woken.calls {
            // A vote counts if it was made before the end, whenever it is read. The first decision ends
            // it: what comes behind counts no more.
            if request.outcome().is_none() && call.called_at < request.expires_at {
                request.take(Vote::of(call));
            }
        }
        match request.outcome() {
            Some(outcome) => over(&request, outcome.as_str(), woken.now),
            // The wake may have begun a moment before.
            None if woken.is_time || woken.now >= request.expires_at => over(&request, EXPIRED, woken.now),
            None => Step {
                emissions: Vec::new(),
                facts: facts(&request, None),
                then: Then::Held { held: request.to_held(), wake: Some(WakeTime::At(request.expires_at)) },
            },
        }
    }
}

/// The step that ends the approval.
fn over(request: &Request, channel: &'static str, now: Timestamp) -> Step {
    let mut form = Map::new();
    for vote in &request.votes {
        form.extend(vote.form.clone());
    }
    let decisions: Vec<Value> = request.votes.iter().map(Vote::to_value).collect();
    let data = json!({ "result": channel, "decisions": decisions, "form": form });
    Step {
        emissions: vec![Emission { channel, data: EmissionData::Made(data) }],
        facts: facts(request, Some((channel, now))),
        then: Then::Ended(Ok(())),
    }
}

/// The facts for people: no message and no comment, which may be read by those alone who may read data.
fn facts(request: &Request, end: Option<(&str, Timestamp)>) -> Value {
    let count = |decision: Decision| request.votes.iter().filter(|vote| vote.decision == decision).count();
    let mut facts = json!({
        "since": request.since.to_string(),
        "expires_at": request.expires_at.to_string(),
        "approvals": count(Decision::Approve),
        "rejections": count(Decision::Reject),
        "needed": request.needed(),
    });
    if let Some((result, now)) = end {
        facts["result"] = json!(result);
        facts["ended_at"] = json!(now.to_string());
    }
    json!({ "approval": facts })
}

fn too_large() -> String {
    format!("message, approvers and form have more than {APPROVAL_BYTES_MAX} bytes together")
}

fn invalid(what: &str) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what.to_owned())
}

#[cfg(test)]
mod tests;
