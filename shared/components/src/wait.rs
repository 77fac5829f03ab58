//! `wait`: lets the run go on later, after a time or at a time.

use std::time::Duration;

use domain::{
    definition::DEFAULT_CHANNEL,
    execution::ResultReason,
    limits::WAIT_SECONDS_MAX,
    outcome::{Failure, Outcome, Output},
};
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use serde_json::Value;

use crate::{
    component::{Call, Component, Kind, Problem},
    host::{BoxFuture, Host},
    shape::{Reader, Stage, type_name},
};

/// The component; its configuration is `for` or `until`.
pub(crate) struct Wait;

/// What a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    After(Duration),
    At(Timestamp),
}

impl Component for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    /// It calls nobody, but it is active for a while: it holds a slot, and can be cancelled.
    fn kind(&self) -> Kind {
        Kind::Effect
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration, Stage::Template).err().unwrap_or_default()
    }

    fn starts_after(&self, configuration: &Value, now: Timestamp) -> Result<Duration, Failure> {
        let time = read(configuration, Stage::Resolved).map_err(|problems| {
            let texts: Vec<_> = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.pointer.trim_start_matches('/'), problem.message))
                .collect();
            invalid(texts.join("; "))
        })?;
        Ok(match time {
            Some(Time::After(duration)) => duration,
            // What is past is now.
            Some(Time::At(time)) => {
                let duration = Duration::try_from(time.duration_since(now)).unwrap_or_default();
                if duration > Duration::from_secs(WAIT_SECONDS_MAX) {
                    return Err(invalid(format!("until: {}", too_long())));
                }
                duration
            }
            None => Duration::ZERO,
        })
    }

    fn execute<'a>(
        &'a self,
        _host: &'a dyn Host,
        configuration: &'a Value,
        _call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        // Not its input: the executor's role does not read the data of events.
        let data = configuration.clone();
        Box::pin(async { Outcome::Passed(Some(Output { channel: DEFAULT_CHANNEL, data })) })
    }
}

fn invalid(what: String) -> Failure {
    let message = format!("the configuration came to no time: {what}");
    Failure::new(ResultReason::ComponentError, "invalid_configuration", message)
}

fn too_long() -> String {
    format!("must not be more than {} days away", WAIT_SECONDS_MAX / 86_400)
}

/// None where a template stands.
fn read(configuration: &Value, stage: Stage) -> Result<Option<Time>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let mut time = None;
    if let Some(map) = reader.object("", configuration, &["for", "until"]) {
        match (map.get("for"), map.get("until")) {
            (Some(value), None) => time = read_duration(&mut reader, value).map(Time::After),
            (None, Some(value)) => time = read_timestamp(&mut reader, value).map(Time::At),
            _ => reader.problem("", "needs exactly one of `for` and `until`"),
        }
    }
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(time) } else { Err(problems) }
}

const FOR: &str = "must be seconds, or a text such as `90s`, `1h30m` or `2 days`, and at most 366 days";
const UNTIL: &str =
    "must be a time with its offset, such as `2027-01-31T09:00:00+01:00`, and at most 366 days away";

fn read_duration(reader: &mut Reader, value: &Value) -> Option<Duration> {
    let duration = match value {
        _ if reader.is_open(value) => return None,
        Value::Number(seconds) => {
            seconds.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        }
        Value::String(text) => text
            .trim()
            .parse::<jiff::Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()),
        other => {
            reader.problem("/for", format!("{FOR}, not {}", type_name(other)));
            return None;
        }
    };
    match duration.map(Duration::try_from) {
        Some(Ok(duration)) if duration <= Duration::from_secs(WAIT_SECONDS_MAX) => Some(duration),
        Some(Ok(_)) => {
            reader.problem("/for", too_long());
            None
        }
        Some(Err(_)) => {
            reader.problem("/for", "must not be negative");
            None
        }
        None => {
            reader.problem("/for", FOR);
            None
        }
    }
}

fn read_timestamp(reader: &mut Reader, value: &Value) -> Option<Timestamp> {
    if reader.is_open(value) {
        return None;
    }
    let time = value.as_str().and_then(|text| text.trim().parse().ok());
    if time.is_none() {
        reader.problem("/until", UNTIL);
    }
    time
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn seconds(configuration: &Value) -> Result<f64, String> {
        let now = NOW.parse().expect("a time");
        Wait.starts_after(configuration, now)
            .map(|duration| duration.as_secs_f64())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn a_time_is_read_in_all_its_forms() {
        let check = |configuration: Value, expected: f64| {
            assert_eq!(seconds(&configuration), Ok(expected), "{configuration}");
            assert_eq!(Wait.check(&configuration), [], "{configuration}");
        };
        check(json!({ "for": 90 }), 90.0);
        check(json!({ "for": 0.5 }), 0.5);
        check(json!({ "for": "90s" }), 90.0);
        check(json!({ "for": "1h30m" }), 5_400.0);
        check(json!({ "for": "1h30m0s" }), 5_400.0);
        check(json!({ "for": "2 days" }), 172_800.0);
        check(json!({ "for": "PT15M" }), 900.0);
        check(json!({ "until": "2026-11-25T12:01:00Z" }), 60.0);
        check(json!({ "until": "2026-11-25T14:00:00+01:00" }), 3_600.0);
        check(json!({ "until": "2020-01-01T00:00:00Z" }), 0.0);
    }

    #[test]
    fn what_is_no_time_is_told_with_its_place() {
        let check = |configuration: Value, pointer: &str, message: &str| {
            let problems = Wait.check(&configuration);
            assert_eq!(
                (problems[0].pointer.as_str(), problems[0].message.as_str()),
                (pointer, message),
                "{configuration}"
            );
            let failure = seconds(&configuration).unwrap_err();
            assert!(failure.contains(message), "{failure}");
        };
        check(json!({}), "", "needs exactly one of `for` and `until`");
        check(json!({ "for": 1, "until": NOW }), "", "needs exactly one of `for` and `until`");
        check(json!({ "for": "soon" }), "/for", FOR);
        check(json!({ "for": "-5s" }), "/for", "must not be negative");
        check(json!({ "for": 1e300 }), "/for", FOR);
        check(json!({ "for": [1] }), "/for", &format!("{FOR}, not a list"));
        check(json!({ "until": "tomorrow" }), "/until", UNTIL);
        check(json!({ "until": "2026-11-25T12:00:00" }), "/until", UNTIL);
        check(json!({ "until": 5 }), "/until", UNTIL);
        check(json!({ "fro": 5 }), "/fro", "unknown field `fro`; did you mean `for`?");
    }

    #[test]
    fn a_wait_has_a_limit_on_both_sides_i10() {
        assert_eq!(seconds(&json!({ "for": WAIT_SECONDS_MAX })), Ok(WAIT_SECONDS_MAX as f64));
        assert!(seconds(&json!({ "for": WAIT_SECONDS_MAX + 1 })).is_err());
        let until = |past: i64| {
            let limit = SignedDuration::from_secs(i64::try_from(WAIT_SECONDS_MAX).expect("it fits") + past);
            let now: Timestamp = NOW.parse().expect("a time");
            seconds(&json!({ "until": (now + limit).to_string() }))
        };
        assert!(until(0).is_ok());
        assert!(until(1).unwrap_err().contains("366 days"));
    }

    #[test]
    fn a_template_is_left_to_run_time() {
        assert_eq!(Wait.check(&json!({ "for": "{{ root().data.pause }}" })), []);
        assert!(seconds(&json!({ "for": "{{ root().data.pause }}" })).is_err());
    }
}
