//! `run_workflow`: starts a run of another workflow of the organization, and waits for its end.

use std::time::Duration;

use domain::{
    execution::{ExecutionResult, ResultReason},
    held::WakeTime,
    ids::RunId,
    outcome::Failure,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{
    civil::read_length,
    component::{Component, FieldSpec, Problem},
    held::{Emission, EmissionData, Step, Then},
    owner::{EndedSubRun, Owned, Owner, OwnerOpening, OwnerStep, Results},
    shape::{Reader, Stage, texts, type_name},
};
use secret_text::FieldKind;

/// The component.
pub(crate) struct RunWorkflow;

const PASSED: &str = ExecutionResult::Passed.as_str();
const FAILED: &str = ExecutionResult::Failed.as_str();
const CANCELLED: &str = ExecutionResult::Cancelled.as_str();

const FIELDS: [&str; 5] = ["workflow", "node", "data", "timeout", "wait"];
/// The wait before a wake that is due at once.
const AT_ONCE: Duration = Duration::from_millis(1);
/// The wait after which a stop of the called run is tried again, and a call that was put off.
const AGAIN: Duration = Duration::from_secs(60);

/// A call, as the resolved configuration describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name of the workflow.
    pub workflow: String,
    /// The id or name of the trigger; None: its only one.
    pub node: Option<String>,
    /// The data of the run's first event.
    pub data: Value,
    /// Whether the caller waits for the end.
    pub waits: bool,
    timeout: Option<SignedDuration>,
}

impl Call {
    /// Reads the resolved configuration of an execution.
    ///
    /// # Errors
    /// [`Failure`] where it is none.
    pub fn read(configuration: &Value) -> Result<Self, Failure> {
        let read = read(configuration, Stage::Resolved).map_err(|problems| {
            invalid(format!("the configuration came to no call: {}", texts(&problems)))
        })?;
        read.ok_or_else(|| invalid("the configuration came to no call".to_owned()))
    }
}

/// A run that an execution has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledRun {
    /// The run.
    pub id: RunId,
    /// Whether it has ended already, for it leads nowhere.
    pub has_ended: bool,
}

/// The step of an open execution after its call, or after one that was refused.
///
/// # Errors
/// [`Failure`] where what it holds was written by a newer version.
pub fn called(
    held: &Value,
    call: &Call,
    outcome: Result<CalledRun, String>,
    now: Timestamp,
) -> Result<Step, Failure> {
    let mut state = State::from_held(held).ok_or_else(newer)?;
    let mut wake = Some(WakeTime::After(AT_ONCE));
    match outcome {
        Ok(run) => {
            state.run_id = Some(run.id);
            if call.waits && !run.has_ended {
                wake = state.timeout_wake(now);
            }
        }
        Err(refusal) => state.refusal = Some(refusal),
    }
    Ok(state.hold(&call.workflow, wake))
}

/// The step of an open execution whose call was put off.
///
/// # Errors
/// As [`called`].
pub fn put_off(held: &Value, call: &Call, now: Timestamp) -> Result<Step, Failure> {
    let state = State::from_held(held).ok_or_else(newer)?;
    let again = now.checked_add(AGAIN).ok().filter(|again| state.until.is_none_or(|until| *again <= until));
    let wake = again.map_or_else(|| state.timeout_wake(now), |_| Some(WakeTime::After(AGAIN)));
    Ok(state.hold(&call.workflow, wake))
}

/// Whether the time-out of an open execution is over: then it calls nobody any more.
#[must_use]
pub fn is_over(held: &Value, now: Timestamp) -> bool {
    State::from_held(held).is_some_and(|state| state.until.is_some_and(|until| until <= now))
}

impl Component for RunWorkflow {
    fn name(&self) -> &'static str {
        "run_workflow"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[PASSED, FAILED, CANCELLED]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/workflow", FieldKind::Text), FieldSpec::plain("/node", FieldKind::Text)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Owner for RunWorkflow {
    fn inner_channel(&self) -> Option<&'static str> {
        None
    }

    fn results(&self) -> Results {
        Results::Called
    }

    fn is_to_call(&self, held: &Value) -> bool {
        State::from_held(held).is_some_and(|state| state.run_id.is_none() && state.refusal.is_none())
    }

    fn open(&self, configuration: &Value, opening: OwnerOpening<'_>) -> Result<OwnerStep, Failure> {
        let call = Call::read(configuration)?;
        let until = call.timeout.map(|timeout| opening.now.checked_add(timeout)).transpose();
        let until = until.map_err(|_| invalid("the call would time out after the end of time".to_owned()))?;
        let state = State { since: opening.now, until, run_id: None, refusal: None, is_stopping: false };
        Ok(OwnerStep::of(state.hold(&call.workflow, Some(WakeTime::After(AT_ONCE)))))
    }

    fn wake(&self, held: &Value, woken: &Owned<'_>) -> OwnerStep {
        match (State::from_held(held), Call::read(woken.configuration)) {
            (Some(state), Ok(call)) => state.go_on(&call, woken),
            (None, _) => OwnerStep::of(ended(newer())),
            (_, Err(failure)) => OwnerStep::of(ended(failure)),
        }
    }
}

/// The state of an open execution.
#[derive(Clone, Debug)]
struct State {
    since: Timestamp,
    /// Its time-out.
    until: Option<Timestamp>,
    /// The run that it called.
    run_id: Option<RunId>,
    /// The sentence for which its call was refused.
    refusal: Option<String>,
    /// Whether it fails for its time-out as soon as the run has ended.
    is_stopping: bool,
}

impl State {
    fn go_on(mut self, call: &Call, woken: &Owned<'_>) -> OwnerStep {
        if let Some(refusal) = self.refusal.clone() {
            return OwnerStep::of(self.end(call, (FAILED, Some(refusal)), None, woken.now));
        }
        if !call.waits {
            return OwnerStep::of(self.end(call, (PASSED, None), None, woken.now));
        }
        if woken.running > 0 {
            let is_over = woken.is_time || self.until.is_some_and(|until| until <= woken.now);
            let stops = is_over && (!self.is_stopping || woken.is_time);
            self.is_stopping |= is_over;
            let wake =
                if self.is_stopping { Some(WakeTime::After(AGAIN)) } else { self.timeout_wake(woken.now) };
            return OwnerStep { stops, ..OwnerStep::of(self.hold(&call.workflow, wake)) };
        }
        if self.run_id.is_none() {
            return OwnerStep::of(self.hold(&call.workflow, Some(WakeTime::After(AT_ONCE))));
        }
        let run = woken.results.first();
        let name = &call.workflow;
        let end = match run {
            _ if self.is_stopping => (FAILED, Some(format!("the run of `{name}` timed out"))),
            None => (FAILED, Some(format!("the run of `{name}` is gone"))),
            Some(run) => match run.result {
                ExecutionResult::Passed => match run.error.as_ref().map(|error| &error["message"]) {
                    None => (PASSED, None),
                    Some(why) => {
                        let why = why.as_str().unwrap_or_default();
                        (FAILED, Some(format!("the run of `{name}` passed, but its outputs fail: {why}")))
                    }
                },
                ExecutionResult::Cancelled => (CANCELLED, Some(format!("the run of `{name}` was cancelled"))),
                ExecutionResult::Failed => {
                    let message = match run.error.as_ref().map(|error| &error["message"]) {
                        Some(Value::String(message)) => format!("the run of `{name}` failed: {message}"),
                        _ => format!("the run of `{name}` failed"),
                    };
                    (FAILED, Some(message))
                }
            },
        };
        OwnerStep::of(self.end(call, end, run, woken.now))
    }

    fn timeout_wake(&self, now: Timestamp) -> Option<WakeTime> {
        let is_over = self.until.is_some_and(|until| until <= now);
        if is_over { Some(WakeTime::After(AT_ONCE)) } else { self.until.map(WakeTime::At) }
    }

    fn hold(&self, workflow: &str, wake: Option<WakeTime>) -> Step {
        let then = Then::Held { held: self.to_held(), wake };
        Step { emissions: Vec::new(), facts: self.facts(workflow, None), then }
    }

    fn end(
        &self,
        call: &Call,
        (channel, message): (&'static str, Option<String>),
        run: Option<&EndedSubRun>,
        now: Timestamp,
    ) -> Step {
        let output = run.and_then(|run| run.data.clone());
        let mut data = json!({ "run_id": self.run_id.map(|id| id.to_string()), "output": output });
        if channel != PASSED {
            // Outputs that fail, and the time-out, are no failure of an execution in the run.
            let failed = run.filter(|run| run.result != ExecutionResult::Passed && !self.is_stopping);
            let error = failed.and_then(|run| run.error.clone());
            data["error"] = error.unwrap_or_else(|| json!({ "message": message }));
        }
        let then = match message {
            None => Ok(()),
            Some(message) => Err(Failure::new(ResultReason::ComponentError, channel, message)),
        };
        Step {
            emissions: vec![Emission { channel, data: EmissionData::Made(data) }],
            facts: self.facts(&call.workflow, Some(now)),
            then: Then::Ended(then),
        }
    }

    /// The facts for people.
    fn facts(&self, workflow: &str, ended_at: Option<Timestamp>) -> Value {
        let mut facts = json!({ "since": self.since.to_string(), "workflow": workflow });
        let fields = [
            ("run_id", self.run_id.map(|id| id.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("ended_at", ended_at.map(|at| at.to_string())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                facts[name] = json!(value);
            }
        }
        json!({ "run_workflow": facts })
    }

    fn to_held(&self) -> Value {
        json!({
            "since": self.since.to_string(),
            "until": self.until.map(|until| until.to_string()),
            "run_id": self.run_id.map(|id| id.to_string()),
            "refusal": self.refusal,
            "is_stopping": self.is_stopping,
        })
    }

    fn from_held(held: &Value) -> Option<Self> {
        // The outer None: it is of a form that is not known.
        let text = |name: &str| match held.get(name)? {
            Value::Null => Some(None),
            value => Some(Some(value.as_str()?)),
        };
        Some(Self {
            since: text("since")??.parse().ok()?,
            until: text("until")?.map(str::parse).transpose().ok()?,
            run_id: text("run_id")?.map(str::parse).transpose().ok()?,
            refusal: text("refusal")?.map(str::to_owned),
            is_stopping: held["is_stopping"].as_bool()?,
        })
    }
}

fn ended(failure: Failure) -> Step {
    Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) }
}

fn newer() -> Failure {
    invalid("what the execution holds was written by a newer version of sealflow".to_owned())
}

fn invalid(what: String) -> Failure {
    Failure::new(ResultReason::ComponentError, "invalid_configuration", what)
}

/// Reads a configuration; None while a template leaves a part of it open.
fn read(configuration: &Value, stage: Stage) -> Result<Option<Call>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let call = reader.object("", configuration, &FIELDS).and_then(|map| {
        let workflow = reader.required("", map, "workflow");
        let workflow = workflow.and_then(|value| name(&mut reader, "/workflow", value));
        let node = match map.get("node") {
            None => Some(None),
            Some(value) => name(&mut reader, "/node", value).map(Some),
        };
        let timeout = read_length(&mut reader, map, "timeout");
        let waits = read_wait(&mut reader, map);
        if waits == Some(false) && map.contains_key("timeout") {
            reader.problem("/timeout", "an execution that does not wait has no time-out");
        }
        let data = map.get("data").cloned().unwrap_or_else(|| json!({}));
        Some(Call { workflow: workflow?, node: node?, data, waits: waits?, timeout: timeout? })
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(call) } else { Err(problems) }
}

fn name(reader: &mut Reader, at: &str, value: &Value) -> Option<String> {
    let text = reader.text(at, value)?;
    if text.is_empty() {
        reader.problem(at, "must not be empty");
        return None;
    }
    Some(text)
}

fn read_wait(reader: &mut Reader, map: &Map<String, Value>) -> Option<bool> {
    match map.get("wait") {
        None => Some(true),
        Some(Value::Bool(waits)) => Some(*waits),
        Some(value) if reader.is_open(value) => None,
        Some(other) => {
            reader.problem("/wait", format!("must be true or false, not {}", type_name(other)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-12-01T12:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn run_id() -> RunId {
        RunId::from_u128(7)
    }

    fn open(configuration: &Value) -> Value {
        let mut condition = || unreachable!("there is none");
        let opening = OwnerOpening { now: at(0), condition: &mut condition };
        let step = RunWorkflow.open(configuration, opening).unwrap().step;
        assert_eq!(wake_of(&step), Some(WakeTime::After(AT_ONCE)));
        let held = held(step);
        assert!(RunWorkflow.is_to_call(&held));
        held
    }

    fn held(step: Step) -> Value {
        match step.then {
            Then::Held { held, .. } => held,
            Then::Ended(result) => panic!("it ended: {result:?}"),
        }
    }

    fn wake_of(step: &Step) -> Option<WakeTime> {
        match step.then {
            Then::Held { wake, .. } => wake,
            Then::Ended(ref result) => panic!("it ended: {result:?}"),
        }
    }

    /// An execution whose run has begun.
    fn begun(configuration: &Value) -> Step {
        let call = Call::read(configuration).unwrap();
        let run = CalledRun { id: run_id(), has_ended: false };
        let step = called(&open(configuration), &call, Ok(run), at(1)).unwrap();
        assert!(!RunWorkflow.is_to_call(&held(step.clone())));
        step
    }

    fn wake(
        configuration: &Value,
        held: &Value,
        is_time: bool,
        result: Option<(ExecutionResult, Option<Value>)>,
    ) -> OwnerStep {
        let runs: Vec<EndedSubRun> = result
            .into_iter()
            .map(|(result, error)| EndedSubRun {
                iteration: 0,
                result,
                has_returned: false,
                is_condition_met: false,
                data: None,
                redactions: None,
                error,
            })
            .collect();
        let woken = Owned {
            now: at(60),
            is_time,
            configuration,
            ended: &runs,
            running: usize::from(runs.is_empty()),
            results: &runs,
        };
        RunWorkflow.wake(held, &woken)
    }

    /// The channel, the data and the message of an end.
    fn end(step: OwnerStep) -> (&'static str, Value, Option<String>) {
        let Then::Ended(result) = step.step.then else { panic!("it is open") };
        let [Emission { channel, data: EmissionData::Made(data) }] = step.step.emissions.as_slice() else {
            panic!("no event")
        };
        (*channel, data.clone(), result.err().map(|failure| failure.message))
    }

    #[test]
    fn it_goes_on_by_the_end_of_the_called_run() {
        let configuration = json!({ "workflow": "other" });
        let step = begun(&configuration);
        assert_eq!(wake_of(&step), None, "nothing but its end wakes it");
        let held = held(step);
        let id = run_id().to_string();
        let passed = end(wake(&configuration, &held, false, Some((ExecutionResult::Passed, None))));
        assert_eq!(passed, (PASSED, json!({ "run_id": id, "output": null }), None));
        let error = json!({ "reason": "component_error", "message": "no", "node": "N" });
        let failed =
            end(wake(&configuration, &held, false, Some((ExecutionResult::Failed, Some(error.clone())))));
        let message = "the run of `other` failed: no".to_owned();
        assert_eq!(failed, (FAILED, json!({ "run_id": id, "output": null, "error": error }), Some(message)));
        let cancelled = end(wake(&configuration, &held, false, Some((ExecutionResult::Cancelled, None))));
        let message = "the run of `other` was cancelled";
        let data = json!({ "run_id": id, "output": null, "error": { "message": message } });
        assert_eq!(cancelled, (CANCELLED, data, Some(message.into())));
    }

    #[test]
    fn its_time_out_stops_the_called_run_first() {
        let configuration = json!({ "workflow": "other", "timeout": "1m" });
        let step = begun(&configuration);
        assert_eq!(wake_of(&step), Some(WakeTime::At(at(60))));
        let stopping = wake(&configuration, &held(step), true, None);
        assert!(stopping.stops && stopping.step.emissions.is_empty());
        let kept = held(stopping.step);
        assert!(!wake(&configuration, &kept, false, None).stops, "once");
        assert!(wake(&configuration, &kept, true, None).stops, "a stop may be lost");
        let (channel, _, message) =
            end(wake(&configuration, &kept, false, Some((ExecutionResult::Cancelled, None))));
        assert_eq!((channel, message.as_deref()), (FAILED, Some("the run of `other` timed out")));
    }

    #[test]
    fn one_that_does_not_wait_passes_at_once() {
        let configuration = json!({ "workflow": "other", "wait": false });
        let step = begun(&configuration);
        assert_eq!(wake_of(&step), Some(WakeTime::After(AT_ONCE)));
        let (channel, data, _) = end(wake(&configuration, &held(step), true, None));
        assert_eq!((channel, data), (PASSED, json!({ "run_id": run_id().to_string(), "output": null })));
    }

    #[test]
    fn a_call_that_is_refused_fails_with_the_sentence() {
        let configuration = json!({ "workflow": "other" });
        let call = Call::read(&configuration).unwrap();
        let step = called(&open(&configuration), &call, Err("there is none".into()), at(1)).unwrap();
        let (channel, data, message) = end(wake(&configuration, &held(step), true, None));
        assert_eq!((channel, message.as_deref()), (FAILED, Some("there is none")));
        assert_eq!(data, json!({ "run_id": null, "output": null, "error": { "message": "there is none" } }));
        let later = put_off(&open(&configuration), &call, at(1)).unwrap();
        assert_eq!(wake_of(&later), Some(WakeTime::After(AGAIN)));
        assert!(RunWorkflow.is_to_call(&held(later)));
        let short = json!({ "workflow": "other", "timeout": "30s" });
        let later = put_off(&open(&short), &call, at(1)).unwrap();
        assert_eq!(wake_of(&later), Some(WakeTime::At(at(30))), "its time-out comes first");
        let kept = held(later);
        assert_eq!((is_over(&kept, at(29)), is_over(&kept, at(30))), (false, true));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let check = |configuration: Value, expected: &[(&str, &str)]| {
            let problems = RunWorkflow.check(&configuration);
            let found: Vec<_> =
                problems.iter().map(|problem| (&*problem.pointer, &*problem.message)).collect();
            assert_eq!(found, expected, "{configuration}");
        };
        check(json!({}), &[("", "`workflow` is missing")]);
        check(json!({ "workflow": "" }), &[("/workflow", "must not be empty")]);
        let timeout = "an execution that does not wait has no time-out";
        check(json!({ "workflow": "w", "wait": false, "timeout": "1m" }), &[("/timeout", timeout)]);
        check(json!({ "workflow": "w", "wait": "no" }), &[("/wait", "must be true or false, not text")]);
        check(
            json!({ "workflow": "{{ root().data.w }}", "node": "N", "data": { "a": "{{ 1 }}" }, "timeout": "4h" }),
            &[],
        );
    }
}
