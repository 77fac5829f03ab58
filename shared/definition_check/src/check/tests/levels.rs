//! Levels: what is repeated, and the edges into it and back.

use serde_json::{Value, json};

use crate::{check, check_blueprint};

fn node(id: &str, component: &str, configuration: Value) -> Value {
    json!({ "id": id, "name": id, "component": component, "configuration": configuration })
}

fn list(id: &str) -> Value {
    node(id, "for_each", json!({ "items": [1] }))
}

fn found(nodes: &[Value], edges: &[(&str, &str, &str)]) -> Vec<String> {
    let start = json!({ "id": "s", "name": "s", "trigger": "start" });
    let nodes: Vec<Value> = [start].into_iter().chain(nodes.iter().cloned()).collect();
    let edge =
        |(from, channel, to): &(&str, &str, &str)| json!({ "from": from, "channel": channel, "to": to });
    let edges: Vec<Value> = edges.iter().map(edge).collect();
    let text = json!({ "name": "W", "nodes": nodes, "edges": edges }).to_string();
    let problems = match check(&text) {
        Ok(checked) => checked.warnings,
        Err(refused) => refused.problems,
    };
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

#[test]
fn edges_lead_into_a_body_by_its_channel_and_out_of_it_by_the_way_back() {
    let (a, b, end) =
        (node("a", "noop", json!({})), node("b", "noop", json!({})), node("end", "noop", json!({})));
    let nodes = [list("f"), a, b, end];
    let whole = [
        ("s", "default", "f"),
        ("f", "item", "a"),
        ("a", "default", "b"),
        ("b", "default", "f"),
        ("f", "done", "end"),
    ];
    assert_eq!(found(&nodes, &whole), [""; 0], "a cycle through an owner needs no limit of visits");
    let with =
        |more: (&'static str, &'static str, &'static str)| found(&nodes, &[&whole[..], &[more]].concat());
    let both =
        "is reached both within what `f` repeats and without it: lead the edge from inside back to `f`";
    assert_eq!(with(("a", "default", "end")), [format!("nodes[4]: `end` {both}")]);
    assert_eq!(with(("s", "default", "b")), [format!("nodes[3]: `b` {both}")]);
    assert_eq!(with(("f", "item", "f")), ["nodes[1]: an edge leads from `f` to itself: put a node between"]);
    assert_eq!(
        found(&nodes[..2], &whole[..2]),
        ["nodes[1]: no edge leads back to `f`: it gets no result of what it repeats"]
    );
    assert_eq!(
        found(&nodes[..1], &whole[..1]),
        ["nodes[1]: no edge leaves `f` on `item`: it repeats nothing"]
    );
}

#[test]
fn a_way_back_leads_to_the_nearest_owner() {
    let nodes = [list("f"), list("g"), node("a", "noop", json!({}))];
    let inside = [
        ("s", "default", "f"),
        ("f", "item", "g"),
        ("g", "item", "a"),
        ("a", "default", "g"),
        ("g", "done", "f"),
    ];
    assert_eq!(found(&nodes, &inside), [""; 0]);
    let past = [&inside[..], &[("a", "default", "f")]].concat();
    let refused = found(&nodes, &past);
    assert!(
        refused.iter().any(|problem| problem.starts_with("nodes[3]: an edge leads from `a` past ")),
        "{refused:?}"
    );
}

#[test]
fn merges_stand_in_bodies_and_names_inside_are_not_seen_outside() {
    let nodes = [
        list("f"),
        node("a", "noop", json!({})),
        node("b", "noop", json!({})),
        node("m", "merge", json!({})),
        node("end", "transform", json!({ "output": "{{ $[\"a\"].data }}" })),
    ];
    let edges = [
        ("s", "default", "f"),
        ("f", "item", "a"),
        ("f", "item", "b"),
        ("a", "default", "m"),
        ("b", "default", "m"),
        ("m", "success", "f"),
        ("f", "done", "end"),
    ];
    assert_eq!(
        found(&nodes, &edges),
        ["nodes[5].configuration.output: `a` never comes before this node, so this is always nil"]
    );
}

#[test]
fn an_item_and_an_iteration_are_named_within_what_is_repeated_alone() {
    let output = |text: &str| node("a", "transform", json!({ "output": text }));
    let list = |text: &str| {
        found(&[list("f"), output(text)], &[("s", "default", "f"), ("f", "item", "a"), ("a", "default", "f")])
    };
    assert_eq!(list("{{ [item(), iteration()] }}"), [""; 0]);
    let turns = |until: &str, text: &str| {
        let turns = node("l", "loop", json!({ "until": until }));
        found(&[turns, output(text)], &[("s", "default", "l"), ("l", "next", "a"), ("a", "default", "l")])
    };
    assert_eq!(turns("iteration() > 2", "{{ iteration() }}"), [""; 0]);
    let seen = "$[\"a\"].data.x == 1 && $[\"l\"].data.iteration > 1";
    assert_eq!(turns(seen, "{{ $[\"l\"].data.last }}"), [""; 0], "a condition sees the turn");
    let item = "`item()` is that of a `for_each`, and no one repeats this";
    assert_eq!(turns("true", "{{ item() }}"), [format!("nodes[2].configuration.output: {item}")]);
    let alone = found(&[output("{{ [item(), iteration()] }}")], &[("s", "default", "a")]);
    assert!(alone.iter().any(|problem| problem.ends_with(item)), "{alone:?}");
    let iteration = "`iteration()` is that of a `for_each` or a `loop`, and neither repeats this";
    assert!(alone.iter().any(|problem| problem.ends_with(iteration)), "{alone:?}");
}

#[test]
fn an_owner_has_no_concurrency_and_no_output_of_a_blueprint_is_within_it() {
    let mut limited = list("f");
    limited["concurrency"] = json!(1);
    let refused = found(
        &[limited, node("a", "noop", json!({}))],
        &[("s", "default", "f"), ("f", "item", "a"), ("a", "default", "f")],
    );
    assert!(refused[0].contains("it has no concurrency"), "{refused:?}");
    let mut calling = node("f", "run_workflow", json!({ "workflow": "w" }));
    calling["concurrency"] = json!(1);
    assert_eq!(found(&[calling.clone()], &[("s", "default", "f")]), [""; 0], "nothing returns to it");
    calling["configuration"]["workflow"] = json!("W");
    let refused = found(&[calling], &[("s", "default", "f")]);
    assert!(refused[0].contains("the inner one would wait for the outer one"), "{refused:?}");
    let blueprint = json!({ "name": "x", "nodes": [list("f"), node("a", "noop", json!({}))],
        "edges": [{ "from": "f", "channel": "item", "to": "a" }, { "from": "a", "to": "f" }],
        "outputs": [{ "node": "a" }, { "node": "f", "channel": "i", "from_channel": "item" }, { "node": "f", "channel": "d", "from_channel": "done" }] });
    let refused =
        check_blueprint(&blueprint.to_string(), crate::Deployment::default(), &crate::Library::default());
    let problems = refused.unwrap_err().problems;
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["outputs[0].node", "outputs[1].node"], "{problems:?}");
}
