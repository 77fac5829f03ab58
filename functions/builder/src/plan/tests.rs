use domain::execution::{ExecutionResult, ResultReason};
use std::collections::HashMap;
use std::sync::Arc;

use domain::ids::{EventId, ItemId, OrganizationId, WorkflowId};
use domain::json::weight;
use domain::limits::{GO_ON_BYTES_MAX, LOOKED_AT_WEIGHT_MAX};
use domain::message::Message;
use domain::run::RunStop;
use serde_json::{Value, json};
use store::builder::{AncestorEvent, InputEvent, LimitKey, NewEvent};
use store::{JsonText, NodeKey};

use super::*;
use crate::definitions::Definitions;

const WORKFLOW: WorkflowId = WorkflowId::from_u128(1);
const RUN: EventId = EventId::from_u128(2);

/// A batch of items of one workflow, each with an event of its own from the trigger `start`.
struct World {
    workflow: Arc<Workflow>,
    items: Vec<ClaimedItem>,
    loaded: Loaded,
    slots: Vec<store::builder::Slots>,
    downstream: Vec<store::builder::Slots>,
    fallback: Fallback,
    components: ComponentSet,
}

fn world(nodes: Value, edges: Value, waiting_at: &[&str]) -> World {
    let stored = store::builder::StoredDefinition {
        workflow_id: WORKFLOW,
        organization_id: OrganizationId::from_u128(9),
        version: 7,
        name: "w".into(),
        description: String::new(),
        nodes,
        edges,
        outputs: None,
    };
    let workflow = Definitions::default().insert(stored).unwrap();
    let time = Timestamp::from_second(1_000).unwrap();
    let ids = |index: usize, kind: u128| Uuid::from_u128(kind * 1000 + u128::try_from(index).unwrap());
    let items: Vec<ClaimedItem> = waiting_at
        .iter()
        .enumerate()
        .map(|(index, node_id)| ClaimedItem {
            id: ItemId(ids(index, 3)),
            node: key(node_id),
            run_id: RUN.into(),
            root_event_id: RUN,
            event_id: EventId(ids(index, 4)),
            created_at: time,
            is_node_removed: false,
            component: "noop".into(),
            concurrency_key: None,
        })
        .collect();
    let events = items.iter().enumerate().map(|(index, item)| InputEvent {
        id: item.event_id,
        node_id: "start".into(),
        event_type: "start".into(),
        data: JsonText::of(&json!({ "n": index })),
        depth: 1,
        execution_id: None,
        configuration: None,
        redactions: None,
        created_at: time,
    });
    let run = RunFacts {
        id: RUN.into(),
        root_event_id: RUN,
        started_at: time,
        node_id: "start".into(),
        event_type: "start".into(),
        data: None,
        stop: None,
        executions: 0,
        is_organization_deleted: false,
        is_held_full: false,
        owner: None,
        nesting: 0,
    };
    let loaded = Loaded { events: events.collect(), runs: vec![run], ..Loaded::default() };
    World {
        workflow,
        items,
        loaded,
        slots: Vec::new(),
        downstream: Vec::new(),
        fallback: Fallback::None,
        components: ComponentSet::default(),
    }
}

fn key(node_id: &str) -> NodeKey {
    (WORKFLOW, node_id.to_owned())
}

fn slots(node_id: &str, free: i64, is_waiting: bool) -> store::builder::Slots {
    let key = LimitKey { node: key(node_id), concurrency_key: String::new() };
    store::builder::Slots { key, free, next_event_id: is_waiting.then(|| EventId::from_u128(0)) }
}

impl World {
    fn plan(&self) -> Plan {
        let mut next = 10_000;
        let workflows = HashMap::from([(WORKFLOW, Arc::clone(&self.workflow))]);
        let input = PlanInput {
            items: &self.items,
            loaded: &self.loaded,
            workflows: &workflows,
            now: Timestamp::from_second(2_000).unwrap(),
            public_url: "https://sealflow.test",
            token: &|| Uuid::from_u128(7),
            fallback: self.fallback,
            components: self.components,
        };
        plan(&input, Slots::new(&self.slots, &self.downstream), &mut || {
            next += 1;
            Uuid::from_u128(next)
        })
    }
}

/// Node, state, result and reason of each execution.
fn executions(plan: &Plan) -> Vec<(&str, &str, Option<&str>, Option<&str>)> {
    let rows = plan.rows.executions.iter();
    rows.map(|row| {
        let (result, reason) =
            (row.result.map(ExecutionResult::as_str), row.result_reason.map(ResultReason::as_str));
        (row.node.1.as_str(), row.state.as_str(), result, reason)
    })
    .collect()
}

fn messages(plan: &Plan) -> Vec<&'static str> {
    let kind = |message: &Outgoing| match message.message {
        Message::Event { .. } => "event",
        Message::Node { .. } => "node",
        Message::Execution { .. } => "execution",
        Message::Wake { .. } => "wake",
        Message::Run { .. } => "run",
        Message::Schedule { .. } => "schedule",
    };
    plan.messages.iter().map(kind).collect()
}

fn http(id: &str) -> Value {
    json!({ "id": id, "name": id, "component": "http", "configuration": { "url": "https://x.test/a" } })
}

fn noop(id: &str) -> Value {
    json!({ "id": id, "name": id, "component": "noop" })
}

const PASSED: (&str, Option<&str>, Option<&str>) = ("finished", Some("passed"), None);

#[test]
fn a_chain_of_pure_nodes_is_planned_whole() {
    let world = world(
        json!([noop("a"), noop("b"), noop("c"), noop("d"), noop("e")]),
        json!([{ "from": "a", "to": "b" }, { "from": "b", "to": "c" }, { "from": "c", "to": "d" }, { "from": "d", "to": "e" }]),
        &["a"],
    );
    let plan = world.plan();
    let nodes: Vec<_> = executions(&plan).iter().map(|row| row.0).collect();
    assert_eq!(nodes, ["a", "b", "c", "d", "e"]);
    assert!(executions(&plan).iter().all(|row| (row.1, row.2, row.3) == PASSED));
    assert_eq!(plan.rows.events.len(), 5);
    assert!(plan.rows.items.is_empty() && plan.messages.is_empty());
    let depths: Vec<_> = plan.rows.events.iter().map(|event| event.depth).collect();
    assert_eq!(depths, [2, 3, 4, 5, 6]);
    for (execution, event) in plan.rows.executions.iter().skip(1).zip(&plan.rows.events) {
        assert_eq!(execution.event_id, event.id, "each works on the event of the one before");
        assert_eq!(execution.previous_execution_id, Some(event.execution_id));
    }
}

#[test]
fn an_effect_becomes_a_pending_execution_and_a_message() {
    let mut world = world(json!([http("a")]), json!([]), &["a"]);
    world.slots = vec![slots("a", 1, false)];
    let plan = world.plan();
    assert_eq!(executions(&plan), [("a", "pending", None, None)]);
    assert_eq!(messages(&plan), ["execution"]);
}

#[test]
fn going_on_never_jumps_a_queue() {
    let plan_with = |downstream| {
        let mut world = world(json!([noop("a"), http("b")]), json!([{ "from": "a", "to": "b" }]), &["a"]);
        world.downstream = downstream;
        let plan = world.plan();
        let nodes: Vec<_> = executions(&plan).iter().map(|row| row.0.to_owned()).collect();
        (nodes, plan.rows.items.len(), messages(&plan))
    };
    let both = vec!["a".to_owned(), "b".to_owned()];
    let one = vec!["a".to_owned()];
    // I4: taken where a slot is free and no item waits; else an item, with a wake only where its
    // lock is not held.
    assert_eq!(plan_with(vec![slots("b", 1, false)]), (both, 0, vec!["execution"]));
    assert_eq!(plan_with(vec![slots("b", 0, false)]), (one.clone(), 1, vec![]));
    assert_eq!(plan_with(vec![slots("b", 1, true)]), (one.clone(), 1, vec!["node"]));
    assert_eq!(plan_with(vec![]), (one, 1, vec!["event"]));
}

#[test]
fn slots_are_shared_by_the_records_of_a_batch() {
    let mut world =
        world(json!([noop("a"), http("b")]), json!([{ "from": "a", "to": "b" }]), &["a", "a", "a"]);
    world.downstream = vec![slots("b", 2, false)];
    let plan = world.plan();
    let pending = executions(&plan).iter().filter(|row| row.1 == "pending").count();
    assert_eq!((pending, plan.rows.items.len()), (2, 1), "I4: two free slots, three events");
}

#[test]
fn a_slot_that_was_kept_and_not_taken_is_another_s() {
    // Behind two pure nodes; only the event of `y` can be resolved.
    let url = |condition: &str| format!("{{{{ {condition} ? \"https://x.test/a\" : 1 + {{}} }}}}");
    let b =
        |url: String| json!({ "id": "b", "name": "b", "component": "http", "configuration": { "url": url } });
    let open = |plan: &Plan| {
        let rows = executions(plan);
        let at_b: Vec<_> = rows.iter().filter(|row| row.0 == "b").map(|row| row.1.to_owned()).collect();
        (at_b, plan.rows.items.len(), messages(plan))
    };
    let nodes = json!([noop("p"), noop("x"), noop("y"), b(url("previous().node == \"y\""))]);
    let edges = json!([{ "from": "p", "to": "x" }, { "from": "p", "to": "y" }, { "from": "x", "to": "b" }, { "from": "y", "to": "b" }]);
    let mut one_record = world(nodes, edges, &["p"]);
    one_record.downstream = vec![slots("b", 1, false)];
    let finished = || vec!["finished".to_owned()];
    assert_eq!(open(&one_record.plan()), (finished(), 1, vec!["node"]), "I4: the item behind it is woken");

    let nodes = json!([noop("p"), b(url("previous().data.n == 1"))]);
    let mut two_records = world(nodes, json!([{ "from": "p", "to": "b" }]), &["p", "p"]);
    two_records.downstream = vec![slots("b", 1, false)];
    let both = vec!["finished".to_owned(), "pending".to_owned()];
    assert_eq!(open(&two_records.plan()), (both, 0, vec!["execution"]), "I4: the next record takes it");

    // A wait that is over at once is no longer open either.
    let wait = json!({ "id": "b", "name": "b", "component": "wait", "concurrency": 1, "configuration": { "for": 0 } });
    let nodes = json!([noop("p"), noop("x"), noop("y"), wait]);
    let edges = json!([{ "from": "p", "to": "x" }, { "from": "p", "to": "y" }, { "from": "x", "to": "b" }, { "from": "y", "to": "b" }]);
    let mut waits = world(nodes, edges, &["p"]);
    waits.downstream = vec![slots("b", 1, false)];
    assert_eq!(open(&waits.plan()), (finished(), 1, vec!["node"]));
}

#[test]
fn a_bad_template_fails_its_record_and_its_neighbours_go_on() {
    let bad = json!({ "id": "bad", "name": "bad", "component": "if",
        "configuration": { "expression": "previous().data.n + {}" } });
    let world = world(json!([noop("a"), bad]), json!([]), &["a", "bad", "a"]);
    let plan = world.plan();
    let rows = executions(&plan);
    assert_eq!(rows[0], ("a", "finished", Some("passed"), None));
    assert_eq!(rows[1], ("bad", "finished", Some("failed"), Some("template_error")), "I9");
    assert_eq!(rows[2], ("a", "finished", Some("passed"), None));
    let message = plan.rows.executions[1].result_message.as_deref().unwrap();
    assert!(message.starts_with("configuration.expression: ") && message.contains('^'), "{message}");
    assert!(plan.rows.events.iter().all(|event| event.node.1 == "a"), "a template error emits nothing");
}

#[test]
fn a_slot_that_a_failed_record_did_not_take_wakes_the_next_item() {
    let bad =
        json!({ "id": "a", "name": "a", "component": "http", "configuration": { "url": "{{ 1 + {} }}" } });
    let mut world = world(json!([bad]), json!([]), &["a"]);
    world.slots = vec![slots("a", 1, true)];
    assert_eq!(messages(&world.plan()), ["node"], "I4: the freed slot wakes the next item at once");
}

#[test]
fn data_is_never_read_as_a_template() {
    let text = r#"{{ secrets("github").token }}"#;
    let node = json!({ "id": "a", "name": "a", "component": "http", "concurrency": "unlimited",
        "configuration": { "url": "https://x.test/a", "method": "POST", "body": { "json": "{{ previous().data.x }}" } } });
    let mut world = world(json!([node]), json!([]), &["a"]);
    world.loaded.events[0].data = JsonText::of(&json!({ "x": text }));
    let plan = world.plan();
    let execution = &plan.rows.executions[0];
    assert_eq!(execution.configuration.read().unwrap()["body"]["json"], text, "I2");
    assert_eq!(execution.residuals.read().unwrap(), json!([]), "I2: no reference comes from data");
}

#[test]
fn only_references_are_stored() {
    let node = json!({ "id": "a", "name": "a", "component": "http", "concurrency": "unlimited",
        "configuration": { "url": "https://x.test/a",
            "headers": [{ "name": "Authorization", "value": "Bearer {{ secrets(\"github\").token }}" }] },
        "keys": { "n": "{{ previous().data.n }}" } });
    let plan = world(json!([node]), json!([]), &["a"]).plan();
    let execution = &plan.rows.executions[0];
    assert_eq!(
        execution.configuration.read().unwrap()["headers"][0]["value"],
        "Bearer {{ secrets(\"github\").token }}",
        "I1"
    );
    assert_eq!(execution.residuals.read().unwrap()[0]["path"], "/headers/0/value");
    assert_eq!(execution.residuals.read().unwrap()[0]["parts"][1], json!({ "secret": ["github", "token"] }));
    assert_eq!((plan.rows.keys[0].key.as_str(), plan.rows.keys[0].value.as_str()), ("n", "0"));
}

#[test]
fn what_may_not_run_ends_with_its_reason() {
    let check = |change: fn(&mut World), expected: (&str, &str)| {
        let mut world = world(json!([noop("a")]), json!([]), &["a"]);
        change(&mut world);
        let plan = world.plan();
        assert_eq!(executions(&plan), [("a", "finished", Some(expected.0), Some(expected.1))]);
        assert!(plan.rows.events.is_empty() && plan.messages.is_empty());
    };
    check(|world| world.items[0].is_node_removed = true, ("cancelled", "node_removed"));
    check(|world| world.loaded.runs[0].stop = Some(RunStop::Cancelled), ("cancelled", "cancelled"));
    check(|world| world.loaded.runs[0].is_organization_deleted = true, ("cancelled", "cancelled"));
    check(|world| world.loaded.runs[0].stop = Some(RunStop::RunLimit), ("failed", "run_limit"));
    check(|world| world.fallback = Fallback::Crashed, ("failed", "crashed"));
    check(|world| world.fallback = Fallback::Refused, ("failed", "limit"));
}

#[test]
fn a_run_has_limits_on_both_sides() {
    let marks = |executions: i64, depth: i32| {
        let mut world = world(json!([noop("a")]), json!([]), &["a"]);
        world.loaded.runs[0].executions = executions;
        world.loaded.events[0].depth = depth;
        world.plan().rows.run_limits.len()
    };
    // I10
    assert_eq!(marks(RUN_EXECUTIONS_MAX - 1, 1), 0);
    assert_eq!(marks(RUN_EXECUTIONS_MAX, 1), 1);
    assert_eq!(marks(0, domain::limits::RUN_DEPTH_MAX - 1), 0);
    assert_eq!(marks(0, domain::limits::RUN_DEPTH_MAX), 1);
}

#[test]
fn a_loop_of_pure_nodes_stops_at_the_limit_and_goes_on_by_message() {
    let world = world(
        json!([noop("a"), noop("b")]),
        json!([{ "from": "a", "to": "b" }, { "from": "b", "to": "a" }]),
        &["a"],
    );
    let plan = world.plan();
    assert_eq!(plan.rows.executions.len(), domain::limits::GO_ON_EXECUTIONS_MAX, "I10");
    assert_eq!(plan.rows.items.len(), 1);
    assert_eq!(messages(&plan), ["event"]);
}

#[test]
fn what_lies_behind_is_seen_by_name_and_by_distance() {
    let last = json!({ "id": "c", "name": "Last", "component": "http", "concurrency": "unlimited", "configuration": {
        "url": "https://x.test/{{ $[\"First\"].data.n }}/{{ previous(2).type }}/{{ previous(3).type }}/{{ previous(4) == nil }}" } });
    let world = world(
        json!([{ "id": "a", "name": "First", "component": "noop" }, noop("b"), last]),
        json!([{ "from": "a", "to": "b" }, { "from": "b", "to": "c" }]),
        &["a"],
    );
    let plan = world.plan();
    assert_eq!(
        plan.rows.executions[2].configuration.read().unwrap()["url"],
        "https://x.test/0/noop.default/start/true"
    );
}

#[test]
fn what_a_record_looks_at_has_a_limit_of_weight_on_both_sides_i10() {
    let http = json!({ "id": "a", "name": "a", "component": "http", "concurrency": "unlimited",
        "configuration": { "url": "https://x.test/{{ previous(2).type }}" } });
    let heavy = |total: usize| {
        let mut world = world(json!([http]), json!([]), &["a"]);
        let event = &world.loaded.events[0];
        let rest = total - weight(&event.data.read().unwrap()) - weight(&json!(""));
        world.loaded.ancestors.push(AncestorEvent {
            of_event_id: event.id,
            distance: 2,
            is_on_the_way: true,
            node_id: "b".into(),
            event_type: "far".into(),
            data: JsonText::of(&"x".repeat(rest)),
            redactions: None,
            configuration: None,
            created_at: event.created_at,
        });
        world.plan().rows.executions.remove(0)
    };
    assert_eq!(heavy(LOOKED_AT_WEIGHT_MAX).configuration.read().unwrap()["url"], "https://x.test/far");
    let refused = heavy(LOOKED_AT_WEIGHT_MAX + 1);
    assert_eq!(
        (refused.result, refused.result_reason),
        (Some(ExecutionResult::Failed), Some(ResultReason::Limit))
    );
    assert!(refused.result_message.unwrap().contains("more than 64 MiB"));
}

#[test]
fn marks_count_towards_what_a_record_looks_at_i10() {
    let http = json!({ "id": "a", "name": "a", "component": "http", "concurrency": "unlimited",
        "configuration": { "url": "https://x.test/{{ previous(2).type }}" } });
    let pointers: Vec<String> = (0..64).map(|at| format!("/{at}{}", "/x".repeat(120))).collect();
    let reason = |ancestors: i32| {
        let mut world = world(json!([http]), json!([]), &["a"]);
        let (of_event_id, created_at) = (world.loaded.events[0].id, world.loaded.events[0].created_at);
        world.loaded.ancestors.extend((2..ancestors + 2).map(|distance| AncestorEvent {
            of_event_id,
            distance,
            is_on_the_way: true,
            node_id: "b".into(),
            event_type: "far".into(),
            data: JsonText::of(&json!({})),
            redactions: Some(JsonText::of(&json!({ "redacted": pointers }))),
            configuration: None,
            created_at,
        }));
        world.plan().rows.executions.remove(0).result_reason
    };
    assert_eq!((reason(1), reason(8)), (None, Some(ResultReason::Limit)));
}

#[test]
fn configurations_count_towards_what_a_transaction_goes_on_with_i10() {
    let pass = json!({ "id": "pass", "name": "pass", "component": "noop" });
    let call = |n: usize| {
        json!({ "id": format!("c{n}"), "name": format!("c{n}"), "component": "http", "concurrency": "unlimited",
            "configuration": { "url": "https://x.test/", "method": "POST", "body": { "text": "x".repeat(256 * 1024 - 200) } } })
    };
    let count = 90;
    let nodes: Vec<Value> = std::iter::once(pass).chain((0..count).map(call)).collect();
    let edges: Vec<Value> = (0..count).map(|n| json!({ "from": "pass", "to": format!("c{n}") })).collect();
    let waiting = ["pass"; 3];
    let plan = world(json!(nodes), json!(edges), &waiting).plan();
    let bytes: usize = plan.rows.executions.iter().map(|execution| execution.configuration.bytes()).sum();
    assert!(bytes <= GO_ON_BYTES_MAX + 1024 && bytes > GO_ON_BYTES_MAX / 2, "{bytes}");
    assert_eq!(plan.rows.executions.len() + plan.rows.items.len(), 3 * (count + 1), "nothing is lost");
    assert_eq!(plan.messages.len(), 3 * count, "each has a wake");
}

#[test]
fn an_event_that_can_not_be_read_ends_its_record_alone_i9() {
    let mut world = world(json!([noop("a")]), json!([]), &["a", "a"]);
    let number = serde_json::value::RawValue::from_string("1e999".to_owned()).unwrap();
    world.loaded.events[0].data = JsonText::of(&number);
    let plan = world.plan();
    let results: Vec<_> = plan.rows.executions.iter().map(|execution| execution.result_reason).collect();
    assert_eq!(results, [Some(ResultReason::TemplateError), None]);
}

/// A world in which the item's event has `data` with a redacted and a scrubbed place.
fn with_redactions(nodes: Value, edges: Value) -> World {
    let mut world = world(nodes, edges, &["a"]);
    let event = &mut world.loaded.events[0];
    event.data = JsonText::of(
        &json!({ "body": { "token": "[redacted]", "echo": "got [secret:idp.id]", "n": 1 }, "list": [1, "[redacted]", 3] }),
    );
    event.redactions =
        Some(JsonText::of(&json!({ "redacted": ["/body/token", "/list/1"], "scrubbed": ["/body/echo"] })));
    world
}

/// The end of a node with this configuration whose event has blanked places: `pending`, or reason
/// and message.
fn with_marks(component: &str, configuration: &Value) -> String {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "a", "name": "A", "component": component, "configuration": configuration },
    ]);
    let plan = with_redactions(nodes, json!([])).plan();
    let row = &plan.rows.executions[0];
    match row.result {
        None => row.configuration.read().unwrap().to_string(),
        Some(result) => format!(
            "{result} {} {}",
            row.result_reason.map_or("", ResultReason::as_str),
            row.result_message.clone().unwrap_or_default()
        ),
    }
}

#[test]
fn a_place_that_was_redacted_is_neither_read_nor_copied_i1() {
    let http = |value: &str| {
        with_marks("http", &json!({ "url": "https://x.test/", "headers": [{ "name": "A", "value": value }] }))
    };
    for (value, said) in [
        ("Bearer {{ previous().data.body.token }}", "the data of `start` at /body/token was redacted"),
        ("{{ previous().data.body.token[0:3] }}", "the data of `start` at /body/token was redacted"),
        ("{{ len(previous().data.body.token) }}", "the data of `start` at /body/token was redacted"),
        ("{{ previous().data.list[1] }}", "the data of `start` at /list/1 was redacted"),
        ("{{ last(previous().data.list[0:2]) }}", "the data of `start` at /list/1 was redacted"),
        (
            "{{ join(map(previous().data.list, string(#)), \"\") }}",
            "the data of `start` at /list/1 was redacted",
        ),
        ("{{ toJSON(previous().data.body) }}", "was redacted"),
        ("{{ toJSON(previous()) }}", "was redacted"),
        ("{{ toJSON($) }}", "was redacted"),
        ("{{ $ == $ }}", "of which a place was redacted"),
        ("{{ previous().data.list[1:2][0] }}", "the data of `start` at /list/1 was redacted"),
        ("{{ string(previous().data) }}", "of which a place was redacted"),
        ("{{ previous().data.body == $[\"start\"].data.body }}", "of which a place was redacted"),
        // In a field that may hold a secret, a text with a mark in it is no data either.
        ("{{ previous().data.body.echo }}", "the data of `start` at /body/echo was redacted"),
    ] {
        let ended = http(value);
        assert!(ended.starts_with("failed redacted ") && ended.contains(said), "{value}: {ended}");
    }
    for value in [
        "{{ previous().data.body.n }}",
        "{{ len(previous().data.list) }}{{ previous().data.list[2] }}",
        "{{ toJSON(take(previous().data.list, 1)) }}",
        "{{ join(keys(previous().data.body), \",\") }}",
    ] {
        assert!(http(value).starts_with('{'), "{value}: {}", http(value));
    }
    let body =
        with_marks("http", &json!({ "url": "https://x.test/", "body": { "json": "{{ previous().data }}" } }));
    assert!(body.starts_with("failed redacted "), "{body}");
}

#[test]
fn a_text_with_a_mark_counts_where_a_secret_may_stand_alone() {
    let condition = |expression: &str| with_marks("if", &json!({ "expression": expression }));
    assert!(condition("previous().data.body.echo contains \"secret\"").starts_with("passed"));
    assert!(condition("previous().data.body.token == \"x\"").starts_with("failed redacted "));
    assert!(condition("previous().data.body.n == 1").starts_with("passed"));
}

#[test]
fn what_is_passed_on_keeps_its_marks_i1() {
    let nodes = json!([
        { "id": "a", "name": "A", "component": "noop" },
        { "id": "b", "name": "B", "component": "if", "configuration": { "expression": "true" } },
        { "id": "c", "name": "C", "component": "if", "configuration": { "expression": "$[\"B\"].data.body.token == \"x\"" } },
        { "id": "d", "name": "D", "component": "if", "configuration": { "expression": "$[\"A\"].data.body.n == 1" } },
    ]);
    let edges = json!([{ "from": "a", "to": "b" }, { "from": "b", "channel": "true", "to": "c" }, { "from": "b", "channel": "true", "to": "d" }]);
    let plan = with_redactions(nodes, edges).plan();
    assert_eq!(
        executions(&plan),
        [
            ("a", "finished", Some("passed"), None),
            ("b", "finished", Some("passed"), None),
            ("c", "finished", Some("failed"), Some("redacted")),
            ("d", "finished", Some("passed"), None),
        ]
    );
    assert!(
        plan.rows.executions[2].result_message.as_ref().unwrap().contains("the data of `B` at /body/token")
    );
    let stored =
        |row: &NewEvent| row.redactions.as_ref().map(|text| text.read().unwrap()["redacted"][0].clone());
    assert!(plan.rows.events.iter().all(|row| stored(row) == Some(json!("/body/token"))));
}
