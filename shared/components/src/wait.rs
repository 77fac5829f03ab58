//! `wait`: lets the run go on later, after a duration or at a time.

use std::borrow::Cow;

use std::time::Duration;

use domain::{
    definition::DEFAULT_CHANNEL,
    execution::ResultReason,
    held::{Call, WakeTime},
    limits::WAIT_SECONDS_MAX,
    outcome::{Failure, Outcome, Output},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    civil::duration,
    component::{Component, Problem},
    effect::{Call as EffectCall, Effect},
    held::{Emission, EmissionData, Held, Opening, Step, Then, Woken},
    host::{BoxFuture, Capability, Host},
    shape::{Reader, Stage, texts, type_name},
};

/// The component; its configuration is `for` or `until`. It passes its input on when its time has
/// come, or when somebody releases the execution.
pub(crate) struct Wait;

impl Component for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Held for Wait {
    fn open(&self, configuration: &Value, Opening { now, .. }: Opening<'_>) -> Result<Step, Failure> {
        let (until, wake) = match read_time(configuration)? {
            WakeTime::After(wait) => (now.checked_add(wait).unwrap_or(Timestamp::MAX), WakeTime::After(wait)),
            WakeTime::At(until) => (until, WakeTime::At(until)),
        };
        if Duration::try_from(until.duration_since(now)).is_ok_and(is_too_long) {
            return Err(invalid(format!("until: {}", too_long())));
        }
        // A time in the past counts as now.
        if until <= now {
            return Ok(over(json!({ "since": now.to_string(), "until": until.to_string() }), now, None));
        }
        let held = json!({ "since": now.to_string(), "until": until.to_string() });
        let facts = json!({ "wait": held });
        Ok(Step { emissions: Vec::new(), facts, then: Then::Held { held, wake: Some(wake) } })
    }

    fn calls(&self) -> &'static [Call] {
        &[Call::Release]
    }

    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step {
        // A release counts even if the time has passed too, so the facts name the caller who
        // released.
        let released = woken.calls.iter().find(|call| call.call == Call::Release);
        over(held.clone(), woken.now, released.map(|call| call.called_by.as_str()))
    }
}

/// The step that ends the wait and emits the execution's input.
fn over(mut facts: Value, now: Timestamp, released_by: Option<&str>) -> Step {
    facts["ended_at"] = json!(now.to_string());
    if let Some(released_by) = released_by {
        facts["released_by"] = json!(released_by);
    }
    Step {
        emissions: vec![Emission { channel: DEFAULT_CHANNEL, data: EmissionData::Input }],
        facts: json!({ "wait": facts }),
        then: Then::Ended(Ok(())),
    }
}

/// A `wait` that older code made as a pending execution. The executor ends it when its time has
/// come, with its configuration as output.
pub(crate) struct PendingWait;

impl Component for PendingWait {
    fn name(&self) -> &'static str {
        Wait.name()
    }

    fn channels(&self) -> &'static [&'static str] {
        Wait.channels()
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        Wait.check(configuration)
    }
}

impl Effect for PendingWait {
    fn needs(&self) -> &'static [Capability] {
        &[]
    }

    fn execute<'a>(
        &'a self,
        _host: &'a Host<'a>,
        configuration: Value,
        _call: &'a EffectCall<'a>,
    ) -> BoxFuture<'a, Outcome> {
        let output = Output { channel: Cow::Borrowed(DEFAULT_CHANNEL), data: configuration };
        Box::pin(async { Outcome::Passed(Some(output)) })
    }
}

/// The time that a resolved configuration names.
fn read_time(configuration: &Value) -> Result<WakeTime, Failure> {
    let read = read(configuration, Stage::Resolved).map_err(|problems| invalid(texts(&problems)))?;
    Ok(read.unwrap_or(WakeTime::After(Duration::ZERO)))
}

fn invalid(what: String) -> Failure {
    let message = format!("the configuration came to no time: {what}");
    Failure::new(ResultReason::ComponentError, "invalid_configuration", message)
}

fn is_too_long(wait: Duration) -> bool {
    wait > Duration::from_secs(WAIT_SECONDS_MAX)
}

fn too_long() -> String {
    format!("must not be more than {} days away", WAIT_SECONDS_MAX / 86_400)
}

/// Reads the time of the wait; None while a template leaves it open.
fn read(configuration: &Value, stage: Stage) -> Result<Option<WakeTime>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let mut time = None;
    if let Some(map) = reader.object("", configuration, &["for", "until"]) {
        match (map.get("for"), map.get("until")) {
            (Some(value), None) => time = read_duration(&mut reader, value).map(WakeTime::After),
            (None, Some(value)) => time = read_timestamp(&mut reader, value).map(WakeTime::At),
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
    if reader.is_open(value) {
        return None;
    }
    if !matches!(value, Value::Number(_) | Value::String(_)) {
        reader.problem("/for", format!("{FOR}, not {}", type_name(value)));
        return None;
    }
    match duration(value).map(Duration::try_from) {
        Some(Ok(duration)) if !is_too_long(duration) => Some(duration),
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

    use domain::ids::ExecutionId;
    use jiff::SignedDuration;

    use super::*;

    fn opening(now: Timestamp) -> Opening<'static> {
        Opening { execution_id: ExecutionId::from_u128(1), now, address: "", public_url: "" }
    }
    use crate::held::HeldCall;

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn seconds(configuration: &Value) -> Result<f64, String> {
        let now = NOW.parse().expect("a time");
        let step = Wait.open(configuration, opening(now)).map_err(|failure| failure.message)?;
        Ok(match step.then {
            Then::Held { wake: Some(wake), .. } => wake.wait_from(now).as_secs_f64(),
            Then::Held { wake: None, .. } => panic!("it has a time"),
            Then::Ended(_) => 0.0,
        })
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
    fn its_input_goes_on_when_it_is_over_and_who_released_it_is_said() {
        let (opened, later): (Timestamp, Timestamp) =
            (NOW.parse().unwrap(), "2026-11-25T12:30:00Z".parse().unwrap());
        let step = Wait.open(&json!({ "for": "1h" }), opening(opened)).unwrap();
        assert_eq!(step.emissions, []);
        let Then::Held { held, .. } = step.then else { panic!("{:?}", step.then) };
        assert_eq!(held, json!({ "since": NOW, "until": "2026-11-25T13:00:00Z" }));
        let over = |calls: &[HeldCall]| Wait.wake(&held, &Woken { now: later, is_time: true, calls });
        let on = [Emission { channel: "default", data: EmissionData::Input }];
        let waited =
            json!({ "since": NOW, "until": "2026-11-25T13:00:00Z", "ended_at": "2026-11-25T12:30:00Z" });
        let step = over(&[]);
        assert_eq!((step.emissions.as_slice(), &step.then), (on.as_slice(), &Then::Ended(Ok(()))));
        assert_eq!(step.facts, json!({ "wait": waited }));
        let call = |by: &str| HeldCall {
            call: Call::Release,
            called_by: by.to_owned(),
            called_at: later,
            data: Value::Null,
        };
        let step = over(&[call("token:first"), call("token:second")]);
        assert_eq!(step.facts["wait"]["released_by"], "token:first");
        assert_eq!(step.emissions, on);
    }

    #[test]
    fn what_is_past_goes_on_at_once() {
        for configuration in
            [json!({ "for": 0 }), json!({ "until": NOW }), json!({ "until": "2020-01-01T00:00:00Z" })]
        {
            let step = Wait.open(&configuration, opening(NOW.parse().unwrap())).unwrap();
            assert_eq!(step.then, Then::Ended(Ok(())), "{configuration}");
            assert_eq!(step.emissions.len(), 1, "{configuration}");
        }
    }

    #[test]
    fn a_template_is_left_to_run_time() {
        assert_eq!(Wait.check(&json!({ "for": "{{ root().data.pause }}" })), []);
        assert!(seconds(&json!({ "for": "{{ root().data.pause }}" })).is_err());
    }
}
