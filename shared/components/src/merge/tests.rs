use serde_json::json;

use domain::json::compact_bytes;
use domain::limits::EVENT_DATA_BYTES_MAX;

use super::*;
use crate::join::JoinedEvent;

const NOW: &str = "2026-11-25T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn events(names: &[&str]) -> Vec<JoinedEvent> {
    names
        .iter()
        .map(|name| JoinedEvent {
            source: (*name).to_owned(),
            data: Some(json!({ "from": name })),
            redactions: None,
        })
        .collect()
}

fn held(configuration: &Value) -> Value {
    Merge.arrive(configuration, now()).unwrap().held
}

/// The channel and reason of a merge of A, B and C with these arrivals; None: it waits.
fn decided(configuration: Value, arrived: &[&str], is_open: bool) -> Option<(&'static str, String)> {
    let events = events(arrived);
    let joined = Joined {
        now: now(),
        is_time: false,
        configuration: &configuration,
        sources: &["A", "B", "C"],
        events: &events,
        is_stopped: false,
        is_open,
    };
    outcome(&Merge.wake(&held(&configuration), &joined))
}

fn outcome(step: &Step) -> Option<(&'static str, String)> {
    let emission = step.emissions.first()?;
    let (EmissionData::Made(data) | EmissionData::Marked(data, _)) = &emission.data else { panic!() };
    Some((emission.channel, data["reason"].as_str().unwrap().to_owned()))
}

#[test]
fn a_merge_decides_by_what_arrived_and_never_while_something_could_arrive() {
    let check = |configuration: Value, arrived: &[&str], is_open, expected: Option<(&'static str, &str)>| {
        let found = decided(configuration.clone(), arrived, is_open);
        let expected = expected.map(|(channel, reason)| (channel, reason.to_owned()));
        assert_eq!(found, expected, "{configuration} {arrived:?} {is_open}");
    };
    let (success, dead) = (Some((SUCCESS, "arrived")), Some((FAIL, "dead_sources")));
    check(json!({}), &["A", "B", "C"], true, success);
    check(json!({}), &["A", "B"], true, None);
    check(json!({}), &["A", "B"], false, success);
    check(json!({ "dead_sources": "fail" }), &["A", "B"], true, None);
    check(json!({ "dead_sources": "fail" }), &["A", "B"], false, dead);
    check(json!({ "dead_sources": "fail" }), &["A", "B", "C"], false, success);
    check(json!({ "mode": "any" }), &["B"], true, success);
    check(json!({ "mode": "quorum", "quorum": 2 }), &["A"], true, None);
    check(json!({ "mode": "quorum", "quorum": 2 }), &["A"], false, dead);
    check(json!({ "mode": "quorum", "quorum": 2 }), &["A", "C"], true, success);
    check(json!({ "sources": ["A", "B"] }), &["A", "B"], true, success);
    check(json!({ "sources": ["A", "B"] }), &["C"], true, None);
    check(json!({ "sources": ["A", "B"] }), &["C"], false, dead);
    check(json!({ "sources": ["A", "B"], "mode": "any" }), &["C", "B"], true, success);
}

#[test]
fn the_data_has_each_source_by_its_name_and_those_that_are_missing() {
    let events = events(&["A", "B"]);
    let joined = Joined {
        now: now(),
        is_time: false,
        configuration: &json!({}),
        sources: &["A", "B", "C"],
        events: &events,
        is_stopped: false,
        is_open: false,
    };
    let step = Merge.wake(&held(&json!({})), &joined);
    let expected = json!({
        "reason": "arrived",
        "sources": { "A": { "from": "A" }, "B": { "from": "B" } },
        "missing": ["C"],
    });
    assert_eq!(step.emissions, [Emission { channel: SUCCESS, data: EmissionData::Made(expected) }]);
    assert_eq!(step.then, Then::Ended(Ok(())));
    assert_eq!(step.facts["merge"]["arrived"], json!(["A", "B"]));
    let strict = json!({ "dead_sources": "fail" });
    let failed = Merge.wake(&held(&strict), &Joined { configuration: &strict, ..joined });
    let Then::Ended(Err(failure)) = failed.then else { panic!("it passed") };
    assert_eq!(failure.reason, ResultReason::ComponentError);
    assert_eq!(failure.message, "branches ended before they came to the merge; missing: C");
}

#[test]
fn what_was_blanked_in_a_source_is_blanked_in_the_data() {
    let mut events = events(&["A/b"]);
    events[0].redactions = Some(Redactions { redacted: vec!["/from".into()], scrubbed: vec![String::new()] });
    let joined = Joined {
        now: now(),
        is_time: false,
        configuration: &json!({}),
        sources: &["A/b"],
        events: &events,
        is_stopped: false,
        is_open: false,
    };
    let step = Merge.wake(&held(&json!({})), &joined);
    let EmissionData::Marked(_, redactions) = &step.emissions[0].data else { panic!("unmarked") };
    assert_eq!(redactions.redacted, ["/sources/A~1b/from"]);
    assert_eq!(redactions.scrubbed, ["/sources/A~1b"]);
}

#[test]
fn more_data_than_an_event_may_have_is_left_out_and_said_so_i10() {
    let joined_with = |data: Option<Value>| {
        let events = [JoinedEvent { source: "A".to_owned(), data, redactions: None }];
        let joined = Joined {
            now: now(),
            is_time: false,
            configuration: &json!({}),
            sources: &["A"],
            events: &events,
            is_stopped: false,
            is_open: false,
        };
        let step = Merge.wake(&held(&json!({})), &joined);
        let EmissionData::Made(data) = step.emissions[0].data.clone() else { panic!("marked") };
        data
    };
    let around = compact_bytes(&joined_with(Some(json!("")))) - 2;
    let whole = joined_with(Some(json!("x".repeat(EVENT_DATA_BYTES_MAX - around - 2))));
    assert_eq!((compact_bytes(&whole), &whole["left_out"]), (EVENT_DATA_BYTES_MAX, &Value::Null));
    let cut = joined_with(Some(json!("x".repeat(EVENT_DATA_BYTES_MAX - around - 1))));
    assert_eq!(cut["left_out"], true);
    assert_eq!(cut["sources"], json!({ "A": null }));
    assert_eq!(joined_with(None)["left_out"], true);
}

#[test]
fn an_event_that_meets_stop_if_ends_the_merge_at_once() {
    let stops = |value: Value| Merge.arrive(&json!({ "stop_if": value }), now()).map(|arrival| arrival.stops);
    assert_eq!((stops(json!(true)), stops(json!(false))), (Ok(true), Ok(false)));
    let failure = stops(json!("yes")).unwrap_err();
    assert_eq!(failure.message, "`stop_if` must come to true or false, it came to text");
    let events = events(&["A", "B", "C"]);
    let joined = Joined {
        now: now(),
        is_time: false,
        configuration: &json!({}),
        sources: &["A", "B", "C"],
        events: &events,
        is_stopped: true,
        is_open: true,
    };
    assert_eq!(outcome(&Merge.wake(&held(&json!({})), &joined)), Some((FAIL, "stop_if".to_owned())));
}

#[test]
fn a_merge_that_waits_looks_again_and_times_out_when_it_should() {
    let events = events(&["A"]);
    let configuration = json!({});
    let at = |now: Timestamp| Joined {
        now,
        is_time: true,
        configuration: &configuration,
        sources: &["A", "B"],
        events: &events,
        is_stopped: false,
        is_open: true,
    };
    let opened = Merge.arrive(&json!({ "timeout": "10m" }), now()).unwrap();
    assert_eq!(opened.wake, WakeTime::After(LOOKS[0]));
    let (mut held, mut waits) = (opened.held, Vec::new());
    let mut time = now();
    loop {
        let step = Merge.wake(&held, &at(time));
        let Then::Held { held: next, wake: Some(wake) } = step.then else {
            assert_eq!(outcome(&step), Some((TIMEOUT, "timeout".to_owned())));
            let Then::Ended(Err(failure)) = step.then else { panic!("it passed") };
            assert_eq!(
                (failure.reason, failure.message.as_str()),
                (ResultReason::Timeout, "the merge timed out; missing: B")
            );
            break;
        };
        waits.push(wake.wait_from(time).as_secs());
        time = time.checked_add(wake.wait_from(time)).unwrap();
        held = next;
    }
    assert_eq!(waits, [120, 240, 240], "the last is the time-out's");
    let mut held = Merge.arrive(&json!({}), now()).unwrap().held;
    for expected in [120, 240, 480, 900, 900] {
        let Then::Held { held: next, wake: Some(wake) } = Merge.wake(&held, &at(now())).then else {
            panic!()
        };
        assert_eq!(wake.wait_from(now()).as_secs(), expected);
        held = next;
    }
}

#[test]
fn a_configuration_is_checked_while_applying() {
    let check = |configuration: Value, expected: &[(&str, &str)]| {
        let problems = Merge.check(&configuration);
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
        assert_eq!(found, expected, "{configuration}");
    };
    check(json!({}), &[]);
    check(json!({ "mode": "quorum", "quorum": 2, "sources": ["A", "B"], "timeout": "1h" }), &[]);
    check(json!({ "timeout": "{{ root().data.t }}", "stop_if": "previous().data.stop" }), &[]);
    check(json!({ "mode": "some" }), &[("/mode", "must be one of all, any, quorum")]);
    check(
        json!({ "mode": "{{ 1 }}" }),
        &[("/mode", "can't hold a template: it must be known when the workflow is applied")],
    );
    check(json!({ "mode": "quorum" }), &[("", "needs `quorum`, the number of sources that are enough")]);
    check(json!({ "quorum": 2 }), &[("/quorum", "goes with `mode: quorum` only")]);
    check(json!({ "mode": "quorum", "quorum": 0 }), &[("/quorum", "must be a number from 1 to 64")]);
    check(
        json!({ "mode": "quorum", "quorum": 3, "sources": ["A"] }),
        &[("/quorum", "is more than the 1 sources that are named")],
    );
    check(json!({ "sources": "A" }), &[("/sources", "must be a list of the names of nodes, not text")]);
    check(
        json!({ "sources": ["A", "A", 3] }),
        &[("/sources/1", "is named twice"), ("/sources/2", "must be the name of a node, not a number")],
    );
    check(
        json!({ "mode": "any", "dead_sources": "fail" }),
        &[(
            "/dead_sources",
            "`fail` goes with the mode `all`: the others fail when too few sources are left",
        )],
    );
    check(
        json!({ "timeout": 0 }),
        &[("/timeout", "must be seconds, or a text such as `4h` or `30 days`, from a second to 366 days")],
    );
    check(json!({ "stop_if": 3 }), &[("/stop_if", "must be an expression, not a number")]);
    check(json!({ "source": [] }), &[("/source", "unknown field `source`; did you mean `sources`?")]);
}

#[test]
fn a_merge_names_so_many_sources_and_no_more_i10() {
    use domain::limits::MERGE_SOURCES_MAX as LIMIT;
    let is_taken = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("N{index}")).collect();
        Merge.check(&json!({ "sources": names })).is_empty()
    };
    assert!(is_taken(LIMIT));
    assert!(!is_taken(LIMIT + 1));
    assert!(!is_taken(0));
}
