//! `wait_for_callback`: makes an address, and goes on with what somebody sends to it.

use domain::{
    execution::ResultReason,
    held::{Call, WakeTime},
    outcome::Failure,
};
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::{
    civil::read_length,
    component::{Component, Problem},
    held::{Emission, EmissionData, Held, Opening, Step, Then, Woken},
    shape::{Reader, Stage, child, holds_template, texts, type_name},
};

/// The component. The address is used once, and ends with its execution.
pub(crate) struct WaitForCallback;

const WAITING: &str = "waiting";
const RECEIVED: &str = "received";
const EXPIRED: &str = "expired";

/// The methods that an address may take.
const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "GET", "DELETE"];
/// If the author says nothing.
const EXPIRES: SignedDuration = SignedDuration::from_hours(24);

/// The form in which an address is kept: whoever reads what an execution holds can't call it.
#[must_use]
pub fn address_digest(address: &str) -> String {
    digest(&SHA256, address.as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The place of the schema of the body in a configuration.
pub const CALLBACK_SCHEMA: &str = "/accept/schema";

impl Component for WaitForCallback {
    fn name(&self) -> &'static str {
        "wait_for_callback"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[WAITING, RECEIVED, EXPIRED]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Held for WaitForCallback {
    fn open(&self, configuration: &Value, opening: Opening<'_>) -> Result<Step, Failure> {
        let asked = read(configuration, Stage::Resolved).map_err(|problems| {
            invalid(format!("the configuration came to no callback: {}", texts(&problems)))
        })?;
        let asked = asked.ok_or_else(|| invalid("the configuration came to no callback".to_owned()))?;
        let expires_at = opening
            .now
            .checked_add(asked.expires)
            .map_err(|_| invalid("the callback would expire after the end of time".to_owned()))?;
        let held = json!({
            "address_sha256": address_digest(opening.address),
            "methods": asked.methods,
            "schema": asked.schema,
            "since": opening.now.to_string(),
            "expires_at": expires_at.to_string(),
        });
        let url = format!("{}/hooks/{}", opening.public_url, opening.address);
        let data = json!({ "callback_url": url, "expires_at": expires_at.to_string() });
        Ok(Step {
            emissions: vec![Emission { channel: WAITING, data: EmissionData::Made(data) }],
            facts: facts(&held, None),
            then: Then::Held { held, wake: Some(WakeTime::At(expires_at)) },
        })
    }

    fn calls(&self) -> &'static [Call] {
        &[Call::Callback]
    }

    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step {
        let Some(expires_at) = held["expires_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok())
        else {
            let failure =
                invalid("what the execution holds was written by a newer version of sealflow".to_owned());
            return Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) };
        };
        // A request that came before the end counts, whenever it is read.
        let received =
            woken.calls.iter().find(|call| call.call == Call::Callback && call.called_at < expires_at);
        let (channel, data) = match received {
            Some(call) => (RECEIVED, call.data.clone()),
            None if woken.is_time || woken.now >= expires_at => {
                (EXPIRED, json!({ "expires_at": expires_at.to_string() }))
            }
            None => {
                return Step {
                    emissions: Vec::new(),
                    facts: facts(held, None),
                    then: Then::Held { held: held.clone(), wake: Some(WakeTime::At(expires_at)) },
                };
            }
        };
        Step {
            emissions: vec![Emission { channel, data: EmissionData::Made(data) }],
            facts: facts(held, Some((channel, woken.now))),
            then: Then::Ended(Ok(())),
        }
    }
}

/// The facts for people: no address.
fn facts(held: &Value, end: Option<(&str, Timestamp)>) -> Value {
    let mut facts = json!({ "since": held["since"], "expires_at": held["expires_at"] });
    if let Some((result, now)) = end {
        facts["result"] = json!(result);
        facts["ended_at"] = json!(now.to_string());
    }
    json!({ "callback": facts })
}

/// The requests that an address takes.
struct Asked {
    methods: Vec<&'static str>,
    /// The JSON Schema of the body; its check is not this crate's.
    schema: Option<Value>,
    expires: SignedDuration,
}

/// Reads a configuration; None while a template leaves a part of it open.
fn read(configuration: &Value, stage: Stage) -> Result<Option<Asked>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let asked = reader.object("", configuration, &["expires", "accept"]).and_then(|map| {
        let expires = read_length(&mut reader, map, "expires");
        let (methods, schema) = read_accept(&mut reader, map)?;
        Some(Asked { expires: expires?.unwrap_or(EXPIRES), methods, schema })
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(asked) } else { Err(problems) }
}

type Accept = (Vec<&'static str>, Option<Value>);

fn read_accept(reader: &mut Reader, map: &Map<String, Value>) -> Option<Accept> {
    let Some(accept) = map.get("accept") else { return Some((vec![METHODS[0]], None)) };
    let accept = reader.object("/accept", accept, &["method", "schema"])?;
    let schema = accept.get("schema");
    if schema.is_some_and(has_template) {
        reader.problem(
            CALLBACK_SCHEMA,
            "holds no templates: it is checked when the workflow is applied".to_owned(),
        );
    }
    Some((read_methods(reader, accept)?, schema.cloned()))
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => holds_template(text),
        Value::Array(list) => list.iter().any(has_template),
        Value::Object(map) => map.iter().any(|(key, value)| holds_template(key) || has_template(value)),
        _ => false,
    }
}

fn read_methods(reader: &mut Reader, accept: &Map<String, Value>) -> Option<Vec<&'static str>> {
    let at = child("/accept", "method");
    match accept.get("method") {
        None => Some(vec![METHODS[0]]),
        Some(Value::Array(list)) if !list.is_empty() && list.len() <= METHODS.len() => {
            list.iter().map(|value| reader.word(&at, value, &METHODS)).collect()
        }
        Some(Value::Array(_)) => {
            reader.problem(&at, format!("must be a list of 1 to {} methods", METHODS.len()));
            None
        }
        Some(value @ Value::String(_)) => reader.word(&at, value, &METHODS).map(|method| vec![method]),
        Some(other) => {
            reader.problem(&at, format!("must be a method or a list of methods, not {}", type_name(other)));
            None
        }
    }
}

fn invalid(what: String) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what)
}

#[cfg(test)]
mod tests {
    use domain::ids::ExecutionId;

    use super::*;
    use crate::held::HeldCall;

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn open(configuration: Value) -> Step {
        let opening = Opening {
            execution_id: ExecutionId::from_u128(1),
            now: now(),
            address: "the-address",
            public_url: "https://flow.example",
        };
        WaitForCallback.open(&configuration, opening).unwrap()
    }

    fn wake(held: &Value, called_at: Option<Timestamp>, now: Timestamp, is_time: bool) -> Step {
        let call = |called_at| HeldCall {
            call: Call::Callback,
            called_by: "function:webhook".into(),
            called_at,
            data: json!({ "body": { "a": 1 } }),
        };
        let calls: Vec<HeldCall> = called_at.into_iter().map(call).collect();
        WaitForCallback.wake(held, &Woken { now, is_time, calls: &calls })
    }

    #[test]
    fn an_address_is_told_once_and_kept_nowhere() {
        let step = open(json!({}));
        let EmissionData::Made(data) = &step.emissions[0].data else { panic!("no data of its own") };
        assert_eq!(step.emissions[0].channel, "waiting");
        assert_eq!(data["callback_url"], "https://flow.example/hooks/the-address");
        assert_eq!(data["expires_at"], "2026-11-26T12:00:00Z");
        let Then::Held { held, wake } = step.then else { panic!("it ended") };
        assert_eq!(wake, Some(WakeTime::At("2026-11-26T12:00:00Z".parse().unwrap())));
        assert_eq!(held["address_sha256"], address_digest("the-address"));
        assert!(!held.to_string().contains("the-address") && !step.facts.to_string().contains("sha256"));
    }

    #[test]
    fn what_comes_in_time_counts_whenever_it_is_read_and_nothing_after_it() {
        let Then::Held { held, .. } = open(json!({ "expires": "1h" })).then else { panic!("it ended") };
        let end: Timestamp = "2026-11-25T13:00:00Z".parse().unwrap();
        let before = end.checked_sub(SignedDuration::from_nanos(1)).unwrap();
        let channel = |step: &Step| step.emissions.first().map(|emission| emission.channel);
        let late = end.checked_add(SignedDuration::from_hours(1)).unwrap();
        let received = wake(&held, Some(before), late, true);
        assert_eq!(channel(&received), Some("received"));
        assert_eq!(received.emissions[0].data, EmissionData::Made(json!({ "body": { "a": 1 } })));
        assert_eq!(channel(&wake(&held, Some(end), end, false)), Some("expired"));
        assert_eq!(channel(&wake(&held, None, before, true)), Some("expired"));
        assert_eq!(channel(&wake(&held, None, before, false)), None);
    }

    #[test]
    fn a_configuration_is_checked_while_applying() {
        let check = |configuration: Value, expected: &[(&str, &str)]| {
            let problems = WaitForCallback.check(&configuration);
            let found: Vec<_> =
                problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
            assert_eq!(found, expected, "{configuration}");
        };
        check(json!({}), &[]);
        check(json!({ "expires": "{{ root().data.t }}", "accept": { "method": "GET" } }), &[]);
        check(json!({ "accept": { "method": ["POST", "PUT"] } }), &[]);
        check(
            json!({ "accept": { "method": "post" } }),
            &[("/accept/method", "must be one of POST, PUT, PATCH, GET, DELETE; did you mean `POST`?")],
        );
        check(json!({ "accept": { "schema": { "type": "object" } } }), &[]);
        check(
            json!({ "accept": { "schema": { "const": "{{ run().id }}" } } }),
            &[("/accept/schema", "holds no templates: it is checked when the workflow is applied")],
        );
        check(
            json!({ "accept": { "method": [] } }),
            &[("/accept/method", "must be a list of 1 to 5 methods")],
        );
        check(
            json!({ "accept": { "method": 3 } }),
            &[("/accept/method", "must be a method or a list of methods, not a number")],
        );
        check(
            json!({ "expires": 0 }),
            &[(
                "/expires",
                "must be seconds, or a text such as `4h` or `30 days`, from a second to 366 days",
            )],
        );
    }
}
