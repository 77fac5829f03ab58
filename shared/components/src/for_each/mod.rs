//! `for_each`: works through a list, each item in a part of the run of its own.

mod read;

use std::time::Duration;

use domain::{
    execution::{ExecutionResult, ResultReason},
    held::WakeTime,
    json::check_output,
    limits::{SUB_RUNS_AT_ONCE, SUB_RUNS_MAX},
    outcome::Failure,
    redactions::Redactions,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::read::{OnItemFailure, Settings};
use crate::{
    component::{Component, Problem},
    held::{Emission, EmissionData, Step, Then},
    owner::{EndedSubRun, Owned, Owner, OwnerOpening, OwnerStep, Results, SubRunStart},
    shape::{Stage, texts},
};

/// The component.
pub(crate) struct ForEach;

const ITEM: &str = "item";
const DONE: &str = "done";
const FAILURE: &str = "failure";

/// The field of the number of failures.
const FAILED: &str = ExecutionResult::Failed.as_str();
/// The wait before more sub-runs are started than one transaction may.
const NEXT_CHUNK: Duration = Duration::from_millis(1);
/// The wait after which a stop of sub-runs is tried again.
const STOP_AGAIN: Duration = Duration::from_secs(60);

impl Component for ForEach {
    fn name(&self) -> &'static str {
        "for_each"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[ITEM, DONE, FAILURE]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read::read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Owner for ForEach {
    fn inner_channel(&self) -> Option<&'static str> {
        Some(ITEM)
    }

    fn results(&self) -> Results {
        Results::All
    }

    fn open(&self, configuration: &Value, opening: OwnerOpening<'_>) -> Result<OwnerStep, Failure> {
        let now = opening.now;
        let settings = settings(configuration)?;
        let count = settings.count();
        if count > SUB_RUNS_MAX {
            let message = format!(
                "the list makes {count} parts, and a `for_each` has at most {SUB_RUNS_MAX}: give it a larger `batch_size`"
            );
            return Err(Failure::new(ResultReason::Limit, "too_many_items", message));
        }
        let state = State { since: now, ..State::default() };
        let woken = Owned { now, is_time: false, configuration, ended: &[], running: 0, results: &[] };
        Ok(state.go_on(&settings, &woken, false))
    }

    fn wake(&self, held: &Value, woken: &Owned<'_>) -> OwnerStep {
        let (Some(mut state), Ok(settings)) = (State::from_held(held), settings(woken.configuration)) else {
            let failure =
                invalid("what the execution holds was written by a newer version of sealflow".into());
            let then = Then::Ended(Err(failure));
            return OwnerStep::of(Step { emissions: Vec::new(), facts: json!({}), then });
        };
        let was_stopping = state.is_stopping;
        state.ended += woken.ended.len();
        // Sub-runs that the owner itself stopped have not failed.
        let is_failure = |ended: &&EndedSubRun| match ended.result {
            ExecutionResult::Passed => false,
            ExecutionResult::Failed => true,
            ExecutionResult::Cancelled => !was_stopping,
        };
        state.failed += woken.ended.iter().filter(is_failure).count();
        let is_over = state.failed > settings.tolerated()
            || settings.on_item_failure == OnItemFailure::Stop && state.failed > 0;
        state.is_stopping |= is_over;
        let stops = state.is_stopping && (!was_stopping || woken.is_time);
        state.go_on(&settings, woken, stops)
    }
}

impl EndedSubRun {
    fn status(&self) -> &'static str {
        match (self.result, self.has_returned) {
            (ExecutionResult::Passed, false) => "ended",
            (result, _) => result.as_str(),
        }
    }

    fn shown(&self) -> Value {
        json!({ "index": self.iteration, "status": self.status(), "data": self.data, "error": self.error })
    }
}

/// The state of an open one.
#[derive(Clone, Copy, Default)]
struct State {
    since: Timestamp,
    /// Parts that were started.
    started: usize,
    /// Parts that have ended.
    ended: usize,
    /// Parts that have failed.
    failed: usize,
    /// Whether it ends as soon as no part runs.
    is_stopping: bool,
}

impl State {
    fn go_on(mut self, settings: &Settings<'_>, woken: &Owned<'_>, stops: bool) -> OwnerStep {
        let count = settings.count();
        if woken.running == 0 && (self.is_stopping || self.started == count) {
            if woken.results.len() == self.started {
                return OwnerStep::of(self.end(count, woken.results, woken.now));
            }
            // By what it holds now, the next wake reads all results.
            return self.hold(count, Vec::new(), Some(NEXT_CHUNK));
        }
        if self.is_stopping {
            return OwnerStep { stops, ..self.hold(count, Vec::new(), Some(STOP_AGAIN)) };
        }
        let left = count - self.started;
        let room = settings.max_parallel.saturating_sub(woken.running);
        let chunk = left.min(room).min(SUB_RUNS_AT_ONCE);
        let starts = (self.started..self.started + chunk).map(|index| settings.start(index, count)).collect();
        self.started += chunk;
        let is_more = chunk < left && chunk < room;
        self.hold(count, starts, is_more.then_some(NEXT_CHUNK))
    }

    fn hold(self, count: usize, starts: Vec<SubRunStart>, wait: Option<Duration>) -> OwnerStep {
        let then = Then::Held { held: self.to_held(count), wake: wait.map(WakeTime::After) };
        OwnerStep {
            starts,
            stops: false,
            step: Step { emissions: Vec::new(), facts: self.facts(count, None), then },
        }
    }

    fn end(self, count: usize, all: &[EndedSubRun], now: Timestamp) -> Step {
        let data = |results: Vec<Value>| json!({ "count": count, (FAILED): self.failed, "results": results });
        let is_cut = all.iter().any(|ended| ended.has_returned && ended.data.is_none());
        let whole = (!is_cut).then(|| data(all.iter().map(EndedSubRun::shown).collect()));
        // The event may have no more than any output.
        let data = match whole.and_then(|whole| check_output(whole).ok()) {
            Some(whole) => marked(whole, all),
            None => {
                let without =
                    |ended: &EndedSubRun| EndedSubRun { data: None, error: None, ..ended.clone() }.shown();
                let mut cut = data(all.iter().map(without).collect());
                cut["left_out"] = json!(true);
                EmissionData::Made(cut)
            }
        };
        let (channel, then) = if self.is_stopping {
            let message = format!("{} of {count} items failed", self.failed);
            (FAILURE, Err(Failure::new(ResultReason::ComponentError, "items_failed", message)))
        } else {
            (DONE, Ok(()))
        };
        Step {
            emissions: vec![Emission { channel, data }],
            facts: self.facts(count, Some(now)),
            then: Then::Ended(then),
        }
    }

    /// The facts for people.
    fn facts(self, count: usize, ended_at: Option<Timestamp>) -> Value {
        let mut facts = json!({
            "since": self.since.to_string(), "count": count, "begun": self.started, "ended": self.ended,
            (FAILED): self.failed,
        });
        if let Some(ended_at) = ended_at {
            facts["ended_at"] = json!(ended_at.to_string());
        }
        json!({ "for_each": facts })
    }

    fn to_held(self, count: usize) -> Value {
        json!({
            "since": self.since.to_string(), "count": count, "begun": self.started, "ended": self.ended, (FAILED): self.failed,
            "is_stopping": self.is_stopping,
        })
    }

    fn from_held(held: &Value) -> Option<Self> {
        let number = |name: &str| usize::try_from(held[name].as_u64()?).ok();
        Some(Self {
            since: held["since"].as_str()?.parse().ok()?,
            started: number("begun")?,
            ended: number("ended")?,
            failed: number(FAILED)?,
            is_stopping: held["is_stopping"].as_bool()?,
        })
    }
}

/// The data with the places that were blanked in the data of the items.
fn marked(data: Value, all: &[EndedSubRun]) -> EmissionData {
    let mut redactions = Redactions::default();
    for (index, ended) in all.iter().enumerate() {
        if let Some(of_item) = &ended.redactions {
            redactions.add_moved(&format!("/results/{index}/data"), of_item);
        }
    }
    match redactions.stored() {
        Some(redactions) => EmissionData::Marked(data, redactions),
        None => EmissionData::Made(data),
    }
}

fn settings(configuration: &Value) -> Result<Settings<'_>, Failure> {
    let read = read::read(configuration, Stage::Resolved)
        .map_err(|problems| invalid(format!("the configuration came to no list: {}", texts(&problems))))?;
    read.ok_or_else(|| invalid("the configuration came to no list".to_owned()))
}

fn invalid(what: String) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what)
}

#[cfg(test)]
mod tests;
