//! `loop`: repeats a part of the graph until a condition holds, each turn in a part of the run of its
//! own.

mod read;

use std::time::Duration;

use domain::{
    execution::{ExecutionResult, ResultReason},
    held::WakeTime,
    json::check_output,
    outcome::Failure,
    redactions::Redactions,
};
use jiff::Timestamp;
use secret_text::FieldKind;
use serde_json::{Value, json};

use self::read::Settings;
use crate::{
    component::{Component, FieldSpec, Problem},
    held::{Emission, EmissionData, Step, Then},
    owner::{EndedSubRun, Owned, Owner, OwnerOpening, OwnerStep, Results, SubRunStart},
    shape::{Stage, texts},
};

/// The component.
pub(crate) struct Loop;

const NEXT: &str = "next";
const DONE: &str = "done";
const EXHAUSTED: &str = "exhausted";
const FAILURE: &str = "failure";

const UNTIL: &str = "/until";
/// The wait after which a stop of a turn is tried again.
const STOP_AGAIN: Duration = Duration::from_secs(60);

impl Component for Loop {
    fn name(&self) -> &'static str {
        "loop"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[NEXT, DONE, EXHAUSTED, FAILURE]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain(UNTIL, FieldKind::Expression)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read::read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Owner for Loop {
    fn inner_channel(&self) -> Option<&'static str> {
        Some(NEXT)
    }

    fn results(&self) -> Results {
        Results::Last
    }

    fn condition(&self) -> Option<&'static str> {
        Some(UNTIL)
    }

    fn open(&self, configuration: &Value, opening: OwnerOpening<'_>) -> Result<OwnerStep, Failure> {
        let settings = settings(configuration)?;
        let now = opening.now;
        let until = now
            .checked_add(settings.timeout)
            .map_err(|_| invalid("the loop would time out after the end of time".to_owned()))?;
        let state = State { since: now, until, turns: 0, next_at: None, is_stopping: false };
        if settings.checks_before && (opening.condition)()? {
            return Ok(OwnerStep::of(state.end(End::Until, None, now)));
        }
        Ok(state.start(&settings, None))
    }

    fn wake(&self, held: &Value, woken: &Owned<'_>) -> OwnerStep {
        match (State::from_held(held), settings(woken.configuration)) {
            (Some(state), Ok(settings)) => state.go_on(&settings, woken),
            _ => {
                let failure =
                    invalid("what the execution holds was written by a newer version of sealflow".into());
                let then = Then::Ended(Err(failure));
                OwnerStep::of(Step { emissions: Vec::new(), facts: json!({}), then })
            }
        }
    }
}

/// The end of a loop.
#[derive(Clone, Copy, Debug)]
enum End<'a> {
    /// The condition holds.
    Until,
    /// As many turns as are allowed have ended.
    MaxIterations,
    /// The last turn failed, or led to no edge back.
    BodyEnded(&'a EndedSubRun),
    /// The time is over.
    Timeout,
}

impl End<'_> {
    fn channel(self) -> &'static str {
        match self {
            Self::Until => DONE,
            Self::MaxIterations | Self::BodyEnded(_) => EXHAUSTED,
            Self::Timeout => FAILURE,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Until => "until",
            Self::MaxIterations => "max_iterations",
            Self::BodyEnded(_) => "body_ended",
            Self::Timeout => "timeout",
        }
    }

    fn message(self, turns: usize) -> Option<String> {
        Some(match self {
            Self::Until => return None,
            Self::MaxIterations => format!("`until` did not hold after {turns} turns (`max_iterations`)"),
            Self::BodyEnded(turn) => match turn.result {
                ExecutionResult::Passed => format!("turn {turns} ended without an edge back to the loop"),
                ExecutionResult::Failed => match turn.error.as_ref().map(|error| &error["message"]) {
                    Some(Value::String(message)) => format!("turn {turns} failed: {message}"),
                    _ => format!("turn {turns} failed"),
                },
                ExecutionResult::Cancelled => format!("turn {turns} was cancelled"),
            },
            Self::Timeout => format!("the loop timed out in turn {turns}"),
        })
    }
}

/// The state of an open loop.
#[derive(Clone, Copy)]
struct State {
    since: Timestamp,
    /// Its time-out.
    until: Timestamp,
    /// Turns that were begun.
    turns: usize,
    /// The time of the next turn, between two.
    next_at: Option<Timestamp>,
    /// Whether it ends as soon as its turn has ended.
    is_stopping: bool,
}

impl State {
    fn go_on(mut self, settings: &Settings, woken: &Owned<'_>) -> OwnerStep {
        let is_over =
            self.until <= woken.now || woken.is_time && self.next_at.is_none_or(|at| self.until <= at);
        if woken.running > 0 {
            // A wake by time is the time-out's, or that of a stop which may have been lost.
            let stops = is_over && (!self.is_stopping || woken.is_time);
            self.is_stopping |= is_over;
            return OwnerStep { stops, ..self.hold(settings, Vec::new()) };
        }
        let last = last_of(woken.results);
        if self.is_stopping || self.next_at.is_some() && is_over {
            return OwnerStep::of(self.end(End::Timeout, last, woken.now));
        }
        if let Some(next_at) = self.next_at {
            let is_due = woken.is_time || next_at <= woken.now;
            return if is_due { self.start(settings, last) } else { self.hold(settings, Vec::new()) };
        }
        let turn = woken.results.iter().find(|turn| usize::try_from(turn.iteration) == Ok(self.turns));
        let Some(turn) = turn else {
            let failure = Failure::new(ResultReason::Crashed, "no_turn", "the last turn is missing");
            let then = Then::Ended(Err(failure));
            return OwnerStep::of(Step { emissions: Vec::new(), facts: json!({}), then });
        };
        let is_alive = turn.result == ExecutionResult::Passed && turn.has_returned;
        let end = if !is_alive {
            Some(End::BodyEnded(turn))
        } else if turn.is_condition_met {
            Some(End::Until)
        } else if self.turns >= settings.max_iterations {
            Some(End::MaxIterations)
        } else {
            is_over.then_some(End::Timeout)
        };
        if let Some(end) = end {
            return OwnerStep::of(self.end(end, last, woken.now));
        }
        match settings.wait_after(self.turns).and_then(|wait| woken.now.checked_add(wait).ok()) {
            Some(next_at) => State { next_at: Some(next_at), ..self }.hold(settings, Vec::new()),
            None => self.start(settings, last),
        }
    }

    /// Begins the next turn.
    fn start(mut self, settings: &Settings, last: Option<&EndedSubRun>) -> OwnerStep {
        self.turns += 1;
        self.next_at = None;
        let (data, redactions) = with_last(json!({ "iteration": self.turns }), last);
        let iteration = i32::try_from(self.turns).unwrap_or(i32::MAX);
        self.hold(settings, vec![SubRunStart { iteration, data, redactions }])
    }

    fn hold(self, settings: &Settings, starts: Vec<SubRunStart>) -> OwnerStep {
        let wake = match self.next_at {
            _ if self.is_stopping => WakeTime::After(STOP_AGAIN),
            Some(next_at) => WakeTime::At(next_at.min(self.until)),
            None => WakeTime::At(self.until),
        };
        let then = Then::Held { held: self.to_held(), wake: Some(wake) };
        let facts = self.facts(Some(settings), None);
        OwnerStep { starts, stops: false, step: Step { emissions: Vec::new(), facts, then } }
    }

    fn end(&self, end: End<'_>, last: Option<&EndedSubRun>, now: Timestamp) -> Step {
        let data = json!({ "iterations": self.turns, "reason": end.reason() });
        let data = match with_last(data, last) {
            (data, None) => EmissionData::Made(data),
            (data, Some(redactions)) => EmissionData::Marked(data, redactions),
        };
        let then = match end.message(self.turns) {
            None => Ok(()),
            Some(message) => Err(Failure::new(ResultReason::ComponentError, end.reason(), message)),
        };
        Step {
            emissions: vec![Emission { channel: end.channel(), data }],
            facts: self.facts(None, Some((end.reason(), now))),
            then: Then::Ended(then),
        }
    }

    /// The facts for people.
    fn facts(&self, settings: Option<&Settings>, ended: Option<(&str, Timestamp)>) -> Value {
        let mut facts = json!({ "since": self.since.to_string(), "iterations": self.turns });
        if let Some(settings) = settings {
            facts["max_iterations"] = json!(settings.max_iterations);
            facts["until"] = json!(self.until.to_string());
        }
        if let Some(next_at) = self.next_at {
            facts["next_at"] = json!(next_at.to_string());
        }
        if let Some((reason, now)) = ended {
            facts["reason"] = json!(reason);
            facts["ended_at"] = json!(now.to_string());
        }
        json!({ "loop": facts })
    }

    fn to_held(self) -> Value {
        json!({
            "since": self.since.to_string(),
            "until": self.until.to_string(),
            "begun": self.turns,
            "next_at": self.next_at.map(|at| at.to_string()),
            "is_stopping": self.is_stopping,
        })
    }

    fn from_held(held: &Value) -> Option<Self> {
        let time = |name: &str| held[name].as_str()?.parse().ok();
        Some(Self {
            since: time("since")?,
            until: time("until")?,
            turns: usize::try_from(held["begun"].as_u64()?).ok()?,
            next_at: match &held["next_at"] {
                Value::Null => None,
                _ => Some(time("next_at")?),
            },
            is_stopping: held["is_stopping"].as_bool()?,
        })
    }
}

/// The last turn that returned.
fn last_of(turns: &[EndedSubRun]) -> Option<&EndedSubRun> {
    turns.iter().rev().find(|turn| turn.has_returned)
}

/// The data with what the last turn returned, and its blanked places. It is left out where it is more
/// than an event may have.
fn with_last(mut data: Value, last: Option<&EndedSubRun>) -> (Value, Option<Redactions>) {
    let Some(turn) = last else {
        data["last"] = Value::Null;
        return (data, None);
    };
    let mut whole = data.clone();
    whole["last"] = turn.data.clone().unwrap_or_default();
    match check_output(whole) {
        Ok(whole) if turn.data.is_some() => {
            let mut redactions = Redactions::default();
            if let Some(of_turn) = &turn.redactions {
                redactions.add_moved("/last", of_turn);
            }
            (whole, redactions.stored())
        }
        _ => {
            data["last"] = Value::Null;
            data["left_out"] = json!(true);
            (data, None)
        }
    }
}

fn settings(configuration: &Value) -> Result<Settings, Failure> {
    let read = read::read(configuration, Stage::Resolved)
        .map_err(|problems| invalid(format!("the configuration came to no loop: {}", texts(&problems))))?;
    read.ok_or_else(|| invalid("the configuration came to no loop".to_owned()))
}

fn invalid(what: String) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what)
}

#[cfg(test)]
mod tests;
