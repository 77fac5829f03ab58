use domain::limits::SUB_RUNS_MAX;
use jiff::SignedDuration;

use super::*;

const NOW: &str = "2026-12-01T12:00:00Z";

fn at(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn configuration(more: &Value) -> Value {
    let mut configuration = json!({ "until": "previous().data.ok" });
    configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    configuration
}

fn open(configuration: &Value, holds: bool) -> OwnerStep {
    Loop.open(configuration, OwnerOpening { now: at(0), condition: &mut || Ok(holds) }).unwrap()
}

fn held(step: &OwnerStep) -> Value {
    match &step.step.then {
        Then::Held { held, .. } => held.clone(),
        Then::Ended(result) => panic!("it ended: {result:?}"),
    }
}

fn wake_time(step: &OwnerStep) -> Timestamp {
    match step.step.then {
        Then::Held { wake: Some(WakeTime::At(at)), .. } => at,
        ref other => panic!("{other:?}"),
    }
}

fn turn(iteration: i32, is_condition_met: bool) -> EndedSubRun {
    EndedSubRun {
        iteration,
        result: ExecutionResult::Passed,
        has_returned: true,
        is_condition_met,
        data: Some(json!({ "n": iteration })),
        redactions: None,
        error: None,
    }
}

fn wake(configuration: &Value, held: &Value, turns: &[EndedSubRun], seconds: i64) -> OwnerStep {
    let woken =
        Owned { now: at(seconds), is_time: false, configuration, ended: turns, running: 0, results: turns };
    Loop.wake(held, &woken)
}

/// The channel, the reason, the turns and the last data of an end.
fn end(step: &OwnerStep) -> (&'static str, String, u64, Value) {
    let [Emission { channel, data: EmissionData::Made(data) }] = step.step.emissions.as_slice() else {
        panic!("no end: {step:?}")
    };
    let reason = data["reason"].as_str().unwrap().to_owned();
    (*channel, reason, data["iterations"].as_u64().unwrap(), data["last"].clone())
}

fn failure(step: &OwnerStep) -> String {
    match &step.step.then {
        Then::Ended(Err(failure)) => failure.message.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn turns_follow_each_other_until_the_condition_holds() {
    let configuration = configuration(&json!({}));
    let first = open(&configuration, true);
    assert_eq!(first.starts.len(), 1, "the condition is asked after the first turn");
    assert_eq!(first.starts[0].data, json!({ "iteration": 1, "last": null }));
    let second = wake(&configuration, &held(&first), &[turn(1, false)], 1);
    assert_eq!(second.starts[0].iteration, 2);
    assert_eq!(second.starts[0].data, json!({ "iteration": 2, "last": { "n": 1 } }));
    let done = wake(&configuration, &held(&second), &[turn(1, false), turn(2, true)], 2);
    assert_eq!(end(&done), ("done", "until".into(), 2, json!({ "n": 2 })));
    assert_eq!(done.step.then, Then::Ended(Ok(())));
}

#[test]
fn the_condition_may_be_asked_before_the_first_turn() {
    let before = configuration(&json!({ "check": "before" }));
    assert_eq!(end(&open(&before, true)), ("done", "until".into(), 0, Value::Null));
    assert_eq!(open(&before, false).starts.len(), 1);
    let mut refused = || Err(invalid("no such thing".to_owned()));
    let opening = OwnerOpening { now: at(0), condition: &mut refused };
    assert_eq!(Loop.open(&before, opening).unwrap_err().message, "no such thing");
}

#[test]
fn as_many_turns_as_are_allowed_exhaust_it_i10() {
    let configuration = configuration(&json!({ "max_iterations": 2 }));
    let second = wake(&configuration, &held(&open(&configuration, false)), &[turn(1, false)], 1);
    let step = wake(&configuration, &held(&second), &[turn(1, false), turn(2, false)], 2);
    assert_eq!(end(&step), ("exhausted", "max_iterations".into(), 2, json!({ "n": 2 })));
    assert_eq!(failure(&step), "`until` did not hold after 2 turns (`max_iterations`)");
    let met = wake(&configuration, &held(&second), &[turn(1, false), turn(2, true)], 2);
    assert_eq!(end(&met).0, "done", "the last turn counts");
}

#[test]
fn a_turn_whose_body_dies_ends_it_at_once() {
    let check = |ended: EndedSubRun, message: &str| {
        let configuration = configuration(&json!({ "delay": "1h" }));
        let opened = held(&open(&configuration, false));
        let waits = wake(&configuration, &opened, &[turn(1, false)], 1);
        let woken = Owned {
            now: wake_time(&waits),
            is_time: true,
            configuration: &configuration,
            ended: &[],
            running: 0,
            results: &[turn(1, false)],
        };
        // The loop's hour is over with the delay's.
        assert_eq!(end(&Loop.wake(&held(&waits), &woken)).1, "timeout");
        let configuration = configuration_without_delay();
        let second = wake(&configuration, &opened, &[turn(1, false)], 1);
        let step = wake(&configuration, &held(&second), &[turn(1, false), ended], 2);
        assert_eq!(end(&step), ("exhausted", "body_ended".into(), 2, json!({ "n": 1 })));
        assert_eq!(failure(&step), message);
    };
    let lost = EndedSubRun { has_returned: false, data: None, ..turn(2, false) };
    check(lost.clone(), "turn 2 ended without an edge back to the loop");
    let error = Some(json!({ "reason": "template_error", "message": "no such name", "node": "B" }));
    check(
        EndedSubRun { result: ExecutionResult::Failed, error, ..lost.clone() },
        "turn 2 failed: no such name",
    );
    check(EndedSubRun { result: ExecutionResult::Cancelled, ..lost }, "turn 2 was cancelled");
}

fn configuration_without_delay() -> Value {
    configuration(&json!({}))
}

#[test]
fn the_wait_between_turns_grows_as_the_author_says_i10() {
    let check = |delay: Value, expected: [i64; 4]| {
        let configuration = configuration(&json!({ "delay": delay, "timeout": "366 days" }));
        let mut state = held(&open(&configuration, false));
        let mut now = 0;
        for (index, seconds) in expected.into_iter().enumerate() {
            let turns = [turn(i32::try_from(index).unwrap() + 1, false)];
            let waits = wake(&configuration, &state, &turns, now);
            assert!(waits.starts.is_empty(), "{delay}");
            assert_eq!(wake_time(&waits), at(now + seconds), "{delay} after turn {}", index + 1);
            // A wake that comes early changes nothing.
            let early = wake(&configuration, &held(&waits), &turns, now + seconds - 1);
            assert_eq!((early.starts.len(), wake_time(&early)), (0, at(now + seconds)));
            now += seconds;
            let next = wake(&configuration, &held(&waits), &turns, now);
            assert_eq!(next.starts[0].data["last"], json!({ "n": index + 1 }));
            state = held(&next);
        }
    };
    check(json!("10s"), [10, 10, 10, 10]);
    check(json!({ "interval": 10 }), [10, 10, 10, 10]);
    check(json!({ "strategy": "linear", "interval": 10, "cap": 25 }), [10, 20, 25, 25]);
    check(json!({ "strategy": "exponential", "interval": "10s", "cap": "1m" }), [10, 20, 40, 60]);
}

#[test]
fn the_time_out_stops_the_turn_and_then_fails() {
    let configuration = configuration(&json!({ "timeout": "1m" }));
    let first = open(&configuration, false);
    assert_eq!(wake_time(&first), at(60));
    let woken = |held: &Value, is_time: bool, running: usize, turns: &[EndedSubRun]| {
        let owned = Owned {
            now: at(60),
            is_time,
            configuration: &configuration,
            ended: turns,
            running,
            results: turns,
        };
        Loop.wake(held, &owned)
    };
    let stopping = woken(&held(&first), true, 1, &[]);
    assert!(stopping.stops && stopping.step.emissions.is_empty());
    assert!(!woken(&held(&stopping), false, 1, &[]).stops, "once");
    assert!(woken(&held(&stopping), true, 1, &[]).stops, "a stop may be lost");
    let stopped = EndedSubRun { result: ExecutionResult::Cancelled, has_returned: false, ..turn(1, false) };
    let step = woken(&held(&stopping), false, 0, &[stopped]);
    assert_eq!(end(&step), ("failure", "timeout".into(), 1, Value::Null));
    assert_eq!(failure(&step), "the loop timed out in turn 1");
}

#[test]
fn what_a_turn_returned_keeps_its_marks_and_has_a_limit_i10() {
    let configuration = configuration(&json!({}));
    let redactions = Redactions { redacted: vec!["/a".into()], scrubbed: vec!["/b".into()] };
    let marked = EndedSubRun { redactions: Some(redactions), ..turn(1, false) };
    let step = wake(&configuration, &held(&open(&configuration, false)), &[marked], 1);
    let moved = Redactions { redacted: vec!["/last/a".into()], scrubbed: vec!["/last/b".into()] };
    assert_eq!(step.starts[0].redactions, Some(moved));
    let bytes = domain::limits::EVENT_DATA_BYTES_MAX;
    let data = |bytes: usize| {
        let large = EndedSubRun { data: Some(json!("x".repeat(bytes))), ..turn(1, false) };
        wake(&configuration, &held(&open(&configuration, false)), &[large], 1).starts[0].data.clone()
    };
    let around = json!({ "iteration": 2, "last": "" }).to_string().len();
    assert!(data(bytes - around)["left_out"].is_null());
    assert_eq!(data(bytes - around + 1), json!({ "iteration": 2, "last": null, "left_out": true }));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |more: Value, expected: &[(&str, &str)]| {
        let problems = Loop.check(&more);
        let found: Vec<_> = problems.iter().map(|problem| (&*problem.pointer, &*problem.message)).collect();
        assert_eq!(found, expected, "{more}");
    };
    check(json!({}), &[("", "`until` is missing: the expression that is true when no more turn is needed")]);
    check(json!({ "until": true }), &[("/until", "must be an expression, not a boolean")]);
    let length = "must be seconds, or a text such as `4h` or `30 days`, from a second to 366 days";
    check(configuration(&json!({ "timeout": 0 })), &[("/timeout", length)]);
    check(configuration(&json!({ "delay": "soon" })), &[("/delay", length)]);
    check(configuration(&json!({ "delay": {} })), &[("/delay", "`interval` is missing")]);
    check(
        configuration(&json!({ "delay": { "interval": 1, "strategy": "liner" } })),
        &[("/delay/strategy", "must be one of fixed, linear, exponential; did you mean `linear`?")],
    );
    check(configuration(&json!({ "max_iterations": "{{ root().data.n }}", "check": "before" })), &[]);
    for (turns, is_taken) in [(1, true), (SUB_RUNS_MAX, true), (0, false), (SUB_RUNS_MAX + 1, false)] {
        let problems = Loop.check(&configuration(&json!({ "max_iterations": turns })));
        assert_eq!(problems.is_empty(), is_taken, "{turns}: {problems:?}");
    }
}
