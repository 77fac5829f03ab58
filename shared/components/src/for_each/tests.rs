use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn try_open(configuration: &Value) -> Result<OwnerStep, Failure> {
    let mut condition = || unreachable!("there is none");
    ForEach.open(configuration, OwnerOpening { now: now(), condition: &mut condition })
}

fn open(configuration: &Value) -> OwnerStep {
    try_open(configuration).unwrap()
}

fn held(step: &OwnerStep) -> Value {
    match &step.step.then {
        Then::Held { held, .. } => held.clone(),
        Then::Ended(result) => panic!("it ended: {result:?}"),
    }
}

fn ended(iteration: i32, result: ExecutionResult) -> EndedSubRun {
    EndedSubRun {
        iteration,
        result,
        has_returned: result == ExecutionResult::Passed,
        is_condition_met: false,
        data: Some(json!({ "n": iteration })),
        redactions: None,
        error: None,
    }
}

fn wake(
    configuration: &Value,
    held: &Value,
    ended: &[EndedSubRun],
    running: usize,
    all: &[EndedSubRun],
) -> OwnerStep {
    ForEach.wake(held, &Owned { now: now(), is_time: false, configuration, ended, running, results: all })
}

fn indexes(step: &OwnerStep) -> Vec<i32> {
    step.starts.iter().map(|start| start.iteration).collect()
}

#[test]
fn so_many_are_under_way_and_each_end_makes_room_for_the_next() {
    let configuration = json!({ "items": ["a", "b", "c", "d"], "max_parallel": 2 });
    let opened = open(&configuration);
    assert_eq!(indexes(&opened), [0, 1]);
    assert_eq!(opened.starts[1].data, json!({ "item": "b", "index": 1, "count": 4 }));
    let one = [ended(1, ExecutionResult::Passed)];
    let second = wake(&configuration, &held(&opened), &one, 1, &[]);
    assert_eq!(indexes(&second), [2]);
    let two = [ended(0, ExecutionResult::Passed), ended(2, ExecutionResult::Passed)];
    let third = wake(&configuration, &held(&second), &two, 0, &two);
    assert_eq!(indexes(&third), [3], "not all were started");
    let all: Vec<_> = (0..4).map(|index| ended(index, ExecutionResult::Passed)).collect();
    let last = wake(&configuration, &held(&third), &all[3..], 0, &all);
    assert_eq!((last.step.then.clone(), last.step.emissions[0].channel), (Then::Ended(Ok(())), "done"));
    let EmissionData::Made(data) = &last.step.emissions[0].data else { panic!("no data") };
    assert_eq!((&data["count"], &data["failed"]), (&json!(4), &json!(0)));
    assert_eq!(
        data["results"][2],
        json!({ "index": 2, "status": "passed", "data": { "n": 2 }, "error": null })
    );
}

#[test]
fn an_empty_list_is_done_at_once() {
    let step = open(&json!({ "items": [] }));
    assert_eq!((step.step.emissions[0].channel, step.step.then), ("done", Then::Ended(Ok(()))));
}

#[test]
fn items_come_in_batches_where_the_author_wants_it() {
    let step = open(&json!({ "items": [1, 2, 3, 4, 5], "batch_size": 2 }));
    let items: Vec<_> = step.starts.iter().map(|start| start.data["item"].clone()).collect();
    assert_eq!(items, [json!([1, 2]), json!([3, 4]), json!([5])]);
    assert_eq!(step.starts[0].data["count"], 3);
}

#[test]
fn more_failures_than_are_tolerated_stop_the_rest() {
    let check = |more: Value, failures: usize, is_stopped: bool| {
        let mut configuration = json!({ "items": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "max_parallel": 4 });
        configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let failed: Vec<_> =
            (0..failures).map(|index| ended(index as i32, ExecutionResult::Failed)).collect();
        let step = wake(&configuration, &held(&open(&configuration)), &failed, 4 - failures, &[]);
        assert_eq!((step.stops, step.starts.is_empty()), (is_stopped, is_stopped), "{more} {failures}");
        if is_stopped {
            // Nothing is told before the last one has ended, and they are stopped once.
            assert!(step.step.emissions.is_empty());
            let rest: Vec<_> =
                (failures..4).map(|index| ended(index as i32, ExecutionResult::Cancelled)).collect();
            let one = wake(&configuration, &held(&step), &rest[..1], rest.len() - 1, &[]);
            let all: Vec<_> = failed.iter().chain(&rest).cloned().collect();
            assert!(!one.stops);
            let end = wake(&configuration, &held(&one), &rest[1..], 0, &all);
            assert_eq!(end.step.emissions[0].channel, "failure");
            let EmissionData::Made(data) = &end.step.emissions[0].data else { panic!("no data") };
            assert_eq!(data["failed"], failures, "what was stopped has not failed");
            let Then::Ended(Err(failure)) = end.step.then else { panic!("it passed") };
            assert_eq!(failure.reason, ResultReason::ComponentError);
        }
    };
    check(json!({}), 1, true);
    check(json!({ "tolerate": 1 }), 1, false);
    check(json!({ "tolerate": 1 }), 2, true);
    check(json!({ "tolerate": "20%" }), 2, false);
    check(json!({ "tolerate": "19.9%" }), 2, true);
    check(json!({ "tolerate": 5, "on_item_failure": "stop" }), 1, true);
}

#[test]
fn a_transaction_starts_so_many_and_the_list_has_a_limit_i10() {
    let list = |items: usize| json!({ "items": vec![0; items], "max_parallel": SUB_RUNS_MAX });
    let wake_of = |step: &OwnerStep| match step.step.then {
        Then::Held { wake, .. } => wake,
        Then::Ended(_) => panic!("it ended"),
    };
    let all = open(&list(SUB_RUNS_AT_ONCE));
    assert_eq!((all.starts.len(), wake_of(&all)), (SUB_RUNS_AT_ONCE, None));
    let some = open(&list(SUB_RUNS_AT_ONCE + 1));
    assert_eq!((some.starts.len(), wake_of(&some)), (SUB_RUNS_AT_ONCE, Some(WakeTime::After(NEXT_CHUNK))));
    let rest = wake(&list(SUB_RUNS_AT_ONCE + 1), &held(&some), &[], SUB_RUNS_AT_ONCE, &[]);
    assert_eq!((indexes(&rest), wake_of(&rest)), (vec![SUB_RUNS_AT_ONCE as i32], None));
    assert_eq!(open(&list(SUB_RUNS_MAX)).starts.len(), SUB_RUNS_AT_ONCE);
    let failure = try_open(&list(SUB_RUNS_MAX + 1)).unwrap_err();
    assert_eq!(failure.reason, ResultReason::Limit);
}

#[test]
fn the_results_are_read_by_a_wake_that_may_end_and_keep_their_marks() {
    let configuration = json!({ "items": ["a"] });
    let opened = open(&configuration);
    let one = [EndedSubRun {
        redactions: Some(Redactions { redacted: vec!["/n".to_owned()], ..Redactions::default() }),
        ..ended(0, ExecutionResult::Passed)
    }];
    let waits = wake(&configuration, &held(&opened), &one, 0, &[]);
    assert!(matches!(waits.step.then, Then::Held { wake: Some(WakeTime::After(NEXT_CHUNK)), .. }));
    let end = wake(&configuration, &held(&waits), &[], 0, &one);
    let EmissionData::Marked(_, marks) = &end.step.emissions[0].data else { panic!("no marks") };
    assert_eq!(marks.redacted, ["/results/0/data/n"]);
    let lost = [EndedSubRun { data: None, ..ended(0, ExecutionResult::Passed) }];
    let end = wake(&configuration, &held(&waits), &[], 0, &lost);
    let EmissionData::Made(data) = &end.step.emissions[0].data else { panic!("marks") };
    assert_eq!(data["left_out"], true);
}

#[test]
fn what_is_too_much_for_an_event_is_left_out() {
    let all: Vec<_> = (0..2)
        .map(|index| EndedSubRun {
            data: Some(json!("x".repeat(400_000))),
            ..ended(index, ExecutionResult::Passed)
        })
        .collect();
    let state = State { started: 2, ended: 2, ..State::default() };
    let step = state.end(2, &all, now());
    let EmissionData::Made(data) = &step.emissions[0].data else { panic!("no data") };
    assert_eq!((&data["left_out"], &data["results"][1]["data"]), (&json!(true), &Value::Null));
}

#[test]
fn a_configuration_is_checked_while_applying() {
    let check = |configuration: Value, expected: &[(&str, &str)]| {
        let problems = ForEach.check(&configuration);
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
        assert_eq!(found, expected, "{configuration}");
    };
    check(
        json!({ "items": "{{ root().data.list }}", "tolerate": "5%", "max_parallel": "{{ root().data.n }}" }),
        &[],
    );
    check(json!({}), &[("", "`items` is missing")]);
    check(json!({ "items": "a" }), &[("/items", "must be a list, not text")]);
    check(
        json!({ "items": [], "batch_size": 0 }),
        &[("/batch_size", "must be a whole number from 1 to 1000")],
    );
    check(
        json!({ "items": [], "max_parallel": 1001 }),
        &[("/max_parallel", "must be a whole number from 1 to 1000")],
    );
    check(
        json!({ "items": [], "tolerate": "101%" }),
        &[("/tolerate", "must be a number of items, or a part of them such as \"5%\", not another text")],
    );
    check(
        json!({ "items": [], "on_item_failure": "halt" }),
        &[("/on_item_failure", "must be one of continue, stop")],
    );
}
