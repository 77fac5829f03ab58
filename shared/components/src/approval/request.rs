//! A request for approval, as an execution holds it: who may vote, and what the votes come to.

use domain::access::Role;
use domain::held::Call;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::form::FormField;
use crate::held::HeldCall;

/// A request, with the votes so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Those who may vote.
    pub approvers: Vec<Approver>,
    /// The approvals that it takes.
    pub requires: Requires,
    /// Whether the first rejection decides; else more than half of the needed votes do.
    pub is_rejected_by_one: bool,
    /// Whether who started the run may vote.
    pub is_self_allowed: bool,
    /// The fields that an approver fills in.
    pub form: Vec<FormField>,
    /// The question.
    pub message: String,
    /// When it was opened.
    pub since: Timestamp,
    /// From then on no vote counts.
    pub expires_at: Timestamp,
    /// The votes that were read, in the order in which they were made.
    pub votes: Vec<Vote>,
}

/// One who may vote, or many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// The member or token of this name.
    User(String),
    /// Everybody with at least this role.
    Role(Role),
    /// Every member, and every token.
    Anyone,
}

/// The approvals that a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requires {
    /// One for each line of the approvers, by as many people.
    All,
    /// So many, by as many people.
    Some(u32),
}

/// Somebody who votes, or would.
#[derive(Clone, Copy, Debug)]
pub struct Voter<'a> {
    /// The member or token, or the maker of the token.
    pub id: &'a str,
    /// Their name.
    pub name: &'a str,
    /// Their role at this moment.
    pub role: Role,
    /// Whether they started the run.
    pub is_starter: bool,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// The decision.
    pub decision: Decision,
    /// The id of the voter.
    pub voter: String,
    /// Their name.
    pub name: String,
    /// Their role when they voted.
    pub role: Role,
    /// When.
    pub at: Timestamp,
    /// Their comment.
    pub comment: Option<String>,
    /// The fields that they filled in.
    pub form: Map<String, Value>,
}

/// A decision of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Enough have approved.
    Approved,
    /// Enough have rejected.
    Rejected,
}

impl Outcome {
    /// The channel of the result.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl Approver {
    fn takes(&self, name: &str, role: Role) -> bool {
        match self {
            Self::User(user) => user == name,
            Self::Role(needed) => role >= *needed,
            Self::Anyone => true,
        }
    }
}

impl Request {
    /// Reads what an execution holds; None: another version wrote it.
    #[must_use]
    pub fn from_held(held: &Value) -> Option<Self> {
        serde_json::from_value(held.clone()).ok()
    }

    pub(super) fn to_held(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The number of approvals that it takes.
    #[must_use]
    pub fn needed(&self) -> u32 {
        match self.requires {
            Requires::All => u32::try_from(self.approvers.len()).unwrap_or(u32::MAX),
            Requires::Some(count) => count,
        }
    }

    /// Adds a vote. One of a name that has voted is left out: somebody who was invited anew is nobody
    /// else. Of approvals for `all` those are kept that bring it nearer, so that what is held stays
    /// small.
    pub(super) fn take(&mut self, vote: Option<Vote>) {
        let Some(vote) = vote.filter(|vote| self.votes.iter().all(|known| known.name != vote.name)) else {
            return;
        };
        let before = self.lines_with_one();
        let is_for_all = self.requires == Requires::All && vote.decision == Decision::Approve;
        self.votes.push(vote);
        if is_for_all && self.lines_with_one() == before {
            self.votes.pop();
        }
    }

    /// Whether somebody may vote.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn may_vote(&self, voter: Voter<'_>) -> Result<(), &'static str> {
        if voter.is_starter && !self.is_self_allowed {
            return Err(
                "who started the run does not decide about it (`self: allow` in the definition lets them)",
            );
        }
        if self.approvers.iter().any(|approver| approver.takes(voter.name, voter.role)) {
            Ok(())
        } else {
            Err("this approval asks others: neither the name nor the role is among its approvers")
        }
    }

    /// The result of the votes; None: they decide nothing yet.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let of = |decision: Decision| self.votes.iter().filter(move |vote| vote.decision == decision);
        let rejections = u32::try_from(of(Decision::Reject).count()).unwrap_or(u32::MAX);
        let is_rejected = if self.is_rejected_by_one {
            rejections > 0
        } else {
            rejections.saturating_mul(2) > self.needed()
        };
        if is_rejected {
            return Some(Outcome::Rejected);
        }
        let approvals: Vec<&Vote> = of(Decision::Approve).collect();
        let is_approved = match self.requires {
            Requires::All => self.lines_with_one() == self.approvers.len(),
            Requires::Some(count) => u32::try_from(approvals.len()).unwrap_or(u32::MAX) >= count,
        };
        is_approved.then_some(Outcome::Approved)
    }

    /// The most lines of the approvers that have an approval, each by another person: a matching, by
    /// augmenting paths.
    fn lines_with_one(&self) -> usize {
        let approvals: Vec<&Vote> =
            self.votes.iter().filter(|vote| vote.decision == Decision::Approve).collect();
        let mut line_of: Vec<Option<usize>> = vec![None; approvals.len()];
        let mut lines = 0;
        for line in 0..self.approvers.len() {
            let mut seen = vec![false; approvals.len()];
            lines += usize::from(self.assign(line, &approvals, &mut seen, &mut line_of));
        }
        lines
    }

    fn assign(
        &self,
        line: usize,
        approvals: &[&Vote],
        seen: &mut [bool],
        line_of: &mut [Option<usize>],
    ) -> bool {
        for (index, vote) in approvals.iter().enumerate() {
            if seen[index] || !self.approvers[line].takes(&vote.name, vote.role) {
                continue;
            }
            seen[index] = true;
            let is_free = match line_of[index] {
                None => true,
                Some(other) => self.assign(other, approvals, seen, line_of),
            };
            if is_free {
                line_of[index] = Some(line);
                return true;
            }
        }
        false
    }
}

impl Vote {
    /// The vote that a call is. None for another call, or one whose data another version wrote.
    pub(super) fn of(call: &HeldCall) -> Option<Self> {
        let decision = match call.call {
            Call::Approve => Decision::Approve,
            Call::Reject => Decision::Reject,
            Call::Release | Call::Callback => return None,
        };
        Some(Self {
            decision,
            voter: call.data["voter"].as_str()?.to_owned(),
            name: call.data["name"].as_str()?.to_owned(),
            role: call.data["role"].as_str()?.parse().ok()?,
            at: call.called_at,
            comment: call.data["comment"].as_str().map(str::to_owned),
            form: call.data["form"].as_object().cloned().unwrap_or_default(),
        })
    }

    /// The data of the call that a vote is made by.
    #[must_use]
    pub fn call_data(voter: Voter<'_>, comment: Option<&str>, form: &Map<String, Value>) -> Value {
        json!({ "voter": voter.id, "name": voter.name, "role": voter.role.as_str(), "comment": comment, "form": form })
    }

    pub(super) fn to_value(&self) -> Value {
        json!({ "decision": self.decision, "by": self.name, "at": self.at.to_string(), "comment": self.comment })
    }
}
