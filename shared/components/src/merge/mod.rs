//! `merge`: joins branches of a run, and goes on with what came of them.

mod read;

use std::time::Duration;

use domain::{
    execution::ResultReason, held::WakeTime, json::check_output, outcome::Failure, redactions::Redactions,
};
use jiff::Timestamp;
use secret_text::FieldKind;
use serde_json::{Map, Value, json};

use self::read::{DeadSources, Settings};
use crate::{
    component::{Component, FieldSpec, Problem},
    held::{Emission, EmissionData, Step, Then},
    join::{Arrival, Join, Joined},
    shape::{Stage, child, texts, type_name},
};

/// The component.
pub(crate) struct Merge;

const SUCCESS: &str = "success";
const TIMEOUT: &str = "timeout";
const FAIL: &str = "fail";

/// The times after which a merge that waits looks again. They are a net: whatever arrives or ends
/// before it wakes it.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(2 * 60),
    Duration::from_secs(4 * 60),
    Duration::from_secs(8 * 60),
    Duration::from_secs(15 * 60),
];

impl Component for Merge {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[SUCCESS, TIMEOUT, FAIL]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/stop_if", FieldKind::Expression)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read::read_timeout_of(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Join for Merge {
    fn arrive(&self, configuration: &Value, now: Timestamp) -> Result<Arrival, Failure> {
        let timeout = read::read_timeout_of(configuration, Stage::Resolved).map_err(|problems| {
            invalid(format!("the configuration came to no merge: {}", texts(&problems)))
        })?;
        let stops = match configuration.get("stop_if") {
            None => false,
            Some(Value::Bool(stops)) => *stops,
            Some(other) => {
                return Err(invalid(format!(
                    "`stop_if` must come to true or false, it came to {}",
                    type_name(other)
                )));
            }
        };
        let until = timeout
            .flatten()
            .map(|timeout| now.checked_add(timeout))
            .transpose()
            .map_err(|_| invalid("the merge would time out after the end of time".to_owned()))?;
        let mut state = State { since: now, until, looks: 0, is_last: false };
        let wake = state.next_wake(now);
        Ok(Arrival { held: state.to_held(), wake, stops })
    }

    fn wake(&self, held: &Value, joined: &Joined<'_>) -> Step {
        let Some(mut state) = State::from_held(held) else {
            let failure =
                invalid("what the merge holds was written by a newer version of sealflow".to_owned());
            return Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) };
        };
        // The configuration that was applied last holds. It was checked then, so it can be read.
        let Some(settings) = read::settings(joined.configuration) else {
            let failure = invalid("the configuration of the merge can't be read".to_owned());
            return Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) };
        };
        match settings.decide(joined, state.is_over(joined)) {
            Some(decision) => state.end(&settings, joined, decision),
            None => {
                state.looks += usize::from(joined.is_time);
                let wake = state.next_wake(joined.now);
                Step {
                    emissions: Vec::new(),
                    facts: state.facts(&settings, joined, None),
                    then: Then::Held { held: state.to_held(), wake: Some(wake) },
                }
            }
        }
    }
}

/// The state of an open merge.
struct State {
    since: Timestamp,
    /// Its time-out.
    until: Option<Timestamp>,
    /// The number of looks of its own that decided nothing.
    looks: usize,
    /// Whether the next wake is the time-out's.
    is_last: bool,
}

/// The end of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// As many have arrived as it waits for, or all that still could.
    Success,
    /// The time is over.
    Timeout,
    /// An event has ended it.
    Stopped,
    /// Branches ended without an event, and too few are left.
    DeadSources,
}

impl Decision {
    fn channel(self) -> &'static str {
        match self {
            Self::Success => SUCCESS,
            Self::Timeout => TIMEOUT,
            Self::Stopped | Self::DeadSources => FAIL,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Success => "arrived",
            Self::Timeout => "timeout",
            Self::Stopped => "stop_if",
            Self::DeadSources => "dead_sources",
        }
    }
}

impl Settings {
    /// The names of the nodes that the merge waits for.
    fn waited<'a>(&'a self, joined: &Joined<'a>) -> Vec<&'a str> {
        match &self.sources {
            Some(named) => named.iter().map(String::as_str).collect(),
            None => joined.sources.to_vec(),
        }
    }

    /// The decision by what has arrived; None: it waits.
    fn decide(&self, joined: &Joined<'_>, is_over: bool) -> Option<Decision> {
        if joined.is_stopped {
            return Some(Decision::Stopped);
        }
        let waited = self.waited(joined);
        let arrived = waited.iter().filter(|name| joined.has(name)).count();
        if arrived >= self.mode.needed(waited.len()) {
            return Some(Decision::Success);
        }
        if joined.is_open {
            return is_over.then_some(Decision::Timeout);
        }
        // Nothing arrives any more: the sources that are missing are dead.
        let is_skipped = self.mode.skips_dead() && self.dead_sources == DeadSources::Skip && arrived > 0;
        Some(if is_skipped { Decision::Success } else { Decision::DeadSources })
    }
}

impl Joined<'_> {
    fn has(&self, name: &str) -> bool {
        self.events.iter().any(|event| event.source == name)
    }
}

impl State {
    /// The next wake: a look, or the time-out where that comes first.
    fn next_wake(&mut self, now: Timestamp) -> WakeTime {
        let look = LOOKS[self.looks.min(LOOKS.len() - 1)];
        let last = self.until.filter(|until| now.checked_add(look).is_ok_and(|at| *until <= at));
        self.is_last = last.is_some();
        last.map_or(WakeTime::After(look), WakeTime::At)
    }

    fn is_over(&self, joined: &Joined<'_>) -> bool {
        self.is_last && joined.is_time || self.until.is_some_and(|until| until <= joined.now)
    }

    fn end(&self, settings: &Settings, joined: &Joined<'_>, decision: Decision) -> Step {
        let waited = settings.waited(joined);
        let missing: Vec<&str> = waited.into_iter().filter(|name| !joined.has(name)).collect();
        let then = match decision {
            Decision::Success => Ok(()),
            Decision::Timeout => Err((ResultReason::Timeout, "the merge timed out")),
            Decision::Stopped => Err((ResultReason::ComponentError, "an event met the merge's `stop_if`")),
            Decision::DeadSources => {
                Err((ResultReason::ComponentError, "branches ended before they came to the merge"))
            }
        };
        let then = then.map_err(|(reason, what)| {
            let message = if missing.is_empty() {
                what.to_owned()
            } else {
                format!("{what}; missing: {}", missing.join(", "))
            };
            Failure::new(reason, decision.reason(), message)
        });
        Step {
            emissions: vec![Emission {
                channel: decision.channel(),
                data: data_of(joined, decision, &missing),
            }],
            facts: self.facts(settings, joined, Some(decision)),
            then: Then::Ended(then),
        }
    }

    /// The facts for people.
    fn facts(&self, settings: &Settings, joined: &Joined<'_>, decision: Option<Decision>) -> Value {
        let waited = settings.waited(joined);
        let missing: Vec<&str> = waited.into_iter().filter(|name| !joined.has(name)).collect();
        let arrived: Vec<&str> = joined.events.iter().map(|event| event.source.as_str()).collect();
        let mut facts = json!({ "since": self.since.to_string(), "arrived": arrived, "missing": missing });
        if let Some(until) = self.until {
            facts["until"] = json!(until.to_string());
        }
        if let Some(decision) = decision {
            facts["reason"] = json!(decision.reason());
            facts["ended_at"] = json!(joined.now.to_string());
        }
        json!({ "merge": facts })
    }

    fn to_held(&self) -> Value {
        json!({
            "since": self.since.to_string(),
            "until": self.until.map(|until| until.to_string()),
            "looks": self.looks,
            "is_last": self.is_last,
        })
    }

    fn from_held(held: &Value) -> Option<Self> {
        let time = |name: &str| held[name].as_str()?.parse().ok();
        Some(Self {
            since: time("since")?,
            until: match &held["until"] {
                Value::Null => None,
                _ => Some(time("until")?),
            },
            looks: usize::try_from(held["looks"].as_u64()?).ok()?,
            is_last: held["is_last"].as_bool()?,
        })
    }
}

/// The data of the event. The data of the sources is left out where it is more than an event may
/// have.
fn data_of(joined: &Joined<'_>, decision: Decision, missing: &[&str]) -> EmissionData {
    let with = |sources: Map<String, Value>| json!({ "reason": decision.reason(), "sources": sources, "missing": missing });
    let sources: Option<Map<String, Value>> =
        joined.events.iter().map(|event| Some((event.source.clone(), event.data.clone()?))).collect();
    // The event may have no more than any output: neither bytes nor depth nor values.
    let whole = sources.map(&with).and_then(|data| check_output(data).ok());
    let Some(data) = whole else {
        let mut data = with(joined.events.iter().map(|event| (event.source.clone(), Value::Null)).collect());
        data["left_out"] = json!(true);
        return EmissionData::Made(data);
    };
    // A place that was blanked in a source's event counts as blanked here.
    let mut redactions = Redactions::default();
    for event in joined.events {
        if let Some(of_event) = &event.redactions {
            redactions.add_moved(&child("/sources", &event.source), of_event);
        }
    }
    match redactions.stored() {
        Some(redactions) => EmissionData::Marked(data, redactions),
        None => EmissionData::Made(data),
    }
}

fn invalid(what: String) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what)
}

#[cfg(test)]
mod tests;
