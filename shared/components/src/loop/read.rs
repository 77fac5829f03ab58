//! Reads the configuration of a `loop`.

use domain::limits::{SUB_RUNS_MAX, WAIT_SECONDS_MAX};
use jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::{
    civil::{read_length, read_length_of},
    component::Problem,
    shape::{Reader, Stage, type_name},
};

/// The settings of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Whether the condition is asked before the first turn.
    pub(super) checks_before: bool,
    pub(super) max_iterations: usize,
    pub(super) timeout: SignedDuration,
    delay: Option<Delay>,
}

/// The wait between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delay {
    strategy: Strategy,
    interval: SignedDuration,
    cap: SignedDuration,
}

/// The growth of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// The same wait each time.
    Fixed,
    /// Longer by the interval each time.
    Linear,
    /// Twice as long each time.
    Exponential,
}

const FIELDS: [&str; 5] = ["until", "check", "max_iterations", "timeout", "delay"];
const DELAY_FIELDS: [&str; 3] = ["strategy", "interval", "cap"];
/// If the author says nothing.
const ITERATIONS: usize = 10;
/// If the author says nothing.
const TIMEOUT: SignedDuration = SignedDuration::from_hours(1);

impl Settings {
    /// The wait after so many turns; None: the next one begins at once.
    pub(super) fn wait_after(&self, turns: usize) -> Option<SignedDuration> {
        let Delay { strategy, interval, cap } = self.delay?;
        let turns = u32::try_from(turns).unwrap_or(u32::MAX).max(1);
        let times = match strategy {
            Strategy::Fixed => 1,
            Strategy::Linear => turns,
            // More doublings are past the longest wait, even of a second.
            Strategy::Exponential => 1 << (turns - 1).min(30),
        };
        let wait = interval.checked_mul(i32::try_from(times).unwrap_or(i32::MAX)).unwrap_or(cap);
        Some(wait.min(cap))
    }
}

/// Reads a configuration; None while a template leaves a part of it open.
pub(super) fn read(configuration: &Value, stage: Stage) -> Result<Option<Settings>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let settings = reader.object("", configuration, &FIELDS).and_then(|map| {
        check_until(&mut reader, map);
        let check = match map.get("check") {
            None => Some("after"),
            Some(value) => reader.word("/check", value, &["after", "before"]),
        };
        let max_iterations = reader.count(map, "max_iterations", SUB_RUNS_MAX);
        let timeout = read_length(&mut reader, map, "timeout");
        let delay = read_delay(&mut reader, map);
        Some(Settings {
            checks_before: check? == "before",
            max_iterations: max_iterations?.unwrap_or(ITERATIONS),
            timeout: timeout?.unwrap_or(TIMEOUT),
            delay: delay?,
        })
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

/// The condition stays as the author wrote it.
fn check_until(reader: &mut Reader, map: &Map<String, Value>) {
    match map.get("until") {
        None => {
            reader.problem("", "`until` is missing: the expression that is true when no more turn is needed");
        }
        Some(Value::String(_)) => {}
        Some(other) => {
            let message = format!("must be an expression, not {}", type_name(other));
            reader.problem("/until", message);
        }
    }
}

fn read_delay(reader: &mut Reader, map: &Map<String, Value>) -> Option<Option<Delay>> {
    let Some(value) = map.get("delay") else { return Some(None) };
    // A length alone is the same wait each time.
    if !value.is_object() {
        let interval = read_length_of(reader, "/delay", value)?;
        return Some(Some(Delay { strategy: Strategy::Fixed, interval, cap: interval }));
    }
    let map = reader.object("/delay", value, &DELAY_FIELDS)?;
    let strategy = match map.get("strategy") {
        None => Some("fixed"),
        Some(value) => reader.word("/delay/strategy", value, &["fixed", "linear", "exponential"]),
    };
    let interval = reader.required("/delay", map, "interval");
    let interval = interval.and_then(|value| read_length_of(reader, "/delay/interval", value));
    let cap = map.get("cap").map(|value| read_length_of(reader, "/delay/cap", value));
    let most = SignedDuration::from_secs(i64::try_from(WAIT_SECONDS_MAX).ok()?);
    let strategy = match strategy? {
        "linear" => Strategy::Linear,
        "exponential" => Strategy::Exponential,
        _ => Strategy::Fixed,
    };
    let cap = match cap {
        None => most,
        Some(cap) => cap?,
    };
    Some(Some(Delay { strategy, interval: interval?, cap }))
}
