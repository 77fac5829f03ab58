use domain::definition::Definition;
use domain::limits::{
    BLUEPRINT_INPUTS_MAX, BLUEPRINT_NESTING_MAX, BLUEPRINT_OUTPUTS_MAX, EDGES_MAX, EXPANDED_BYTES_MAX,
    EXPANDED_NAME_BYTES_MAX, NODES_MAX, WORKFLOW_TEMPLATES_MAX,
};
use serde_json::{Value, json};

use super::*;
use crate::{Checked, Deployment, Problem, Refused, check, check_blueprint, check_within, difference};

/// Calls out, and leaves on `done` or, by two ways, on `failed`.
const DEPLOY: &str = r#"
name: deploy
description: one region
inputs:
  region: { description: such as eu-west-1 }
  replicas: { default: 2 }
nodes:
  - { id: call, name: Call, component: http, configuration: { url: "https://deploy.example/{{ inputs.region }}", headers: [{ name: X-Key, value: '{{ secrets("deploy").key }}' }] } }
  - { id: look, name: Look, component: if, configuration: { expression: '$["Call"].data.body.ok && inputs.replicas > 1' } }
edges:
  - { from: call, channel: success, to: look }
outputs:
  - { channel: done, node: look, from_channel: true }
  - { channel: failed, node: look, from_channel: false }
  - { channel: failed, node: call, from_channel: failure }
"#;

/// Uses `deploy`, and passes its outputs on.
const TWICE: &str = r#"
name: twice
inputs: { one: {} }
nodes:
  - { id: d, name: D, blueprint: deploy@1, configuration: { inputs: { region: "{{ inputs.one }}" } } }
  - { id: n, name: N, component: noop }
edges:
  - { from: d, channel: done, to: n }
outputs:
  - { channel: done, node: n }
  - { channel: failed, node: d, from_channel: failed }
"#;

fn read(text: &str, library: &Library) -> Blueprint {
    check_blueprint(text, Deployment::default(), library)
        .unwrap_or_else(|refused| panic!("{:?}", refused.problems))
        .blueprint
}

fn at(name: &str, version: i64) -> BlueprintRef {
    BlueprintRef { name: name.to_owned(), version }
}

fn library() -> Library {
    let deploy = read(DEPLOY, &Library::default());
    let newest = || [("deploy".to_owned(), 1)];
    let twice = read(TWICE, &Library::of([(at("deploy", 1), deploy.clone())], newest()));
    let newest = newest().into_iter().chain([("twice".to_owned(), 4)]);
    Library::of([(at("deploy", 1), deploy), (at("twice", 4), twice)], newest)
}

fn workflow(nodes: &Value, edges: &Value) -> Result<Checked, Refused> {
    let text = json!({ "name": "W", "nodes": nodes, "edges": edges }).to_string();
    check_within(&text, Deployment::default(), &library())
}

fn start() -> Value {
    json!({ "id": "s", "name": "S", "trigger": "start" })
}

fn node(uses: &str, inputs: Value) -> Value {
    json!({ "id": "p", "name": "P", "blueprint": uses, "configuration": { "inputs": inputs } })
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

fn edges_of(definition: &Definition) -> Vec<String> {
    definition.edges.iter().map(|edge| format!("{} {} {}", edge.from, edge.channel, edge.to)).collect()
}

fn used() -> Checked {
    workflow(
        &json!([start(), node("twice@4", json!({ "one": "eu" })), { "id": "e", "name": "E", "component": "noop" }]),
        &json!([{ "from": "s", "to": "p" }, { "from": "p", "channel": "failed", "to": "e" },
            { "from": "p", "channel": "error", "to": "e" }]),
    )
    .unwrap_or_else(|refused| panic!("{:?}", lines(&refused.problems)))
}

#[test]
fn a_blueprint_is_expanded_into_ordinary_nodes_and_edges() {
    let checked = used();
    let nodes: Vec<_> = checked
        .definition
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.name.as_str(), node.parent.as_deref()))
        .collect();
    assert_eq!(
        nodes,
        [
            ("s", "S", None),
            ("p", "P", None),
            ("p/d", "P / D", Some("p")),
            ("p/d/call", "P / D / Call", Some("p/d")),
            ("p/d/look", "P / D / Look", Some("p/d")),
            ("p/n", "P / N", Some("p")),
            ("e", "E", None),
        ]
    );
    // No edge leaves the node of a blueprint but to what is inside, and on `error`.
    assert_eq!(
        edges_of(&checked.definition),
        [
            "s default p",
            "p/d/look false e",
            "p/d/call failure e",
            "p error e",
            "p default p/d",
            "p/d/look true p/n",
            "p/d default p/d/call",
            "p/d/call success p/d/look",
        ]
    );
}

#[test]
fn what_the_author_wrote_is_kept() {
    let checked = used();
    let authored = checked.definition.authored();
    let ids: Vec<_> = authored.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["s", "p", "e"]);
    assert_eq!(edges_of(&authored), ["s default p", "p failed e", "p error e"]);
    assert!(difference(Some(&authored), &checked.definition.authored()).is_empty());
    let blueprint = read(TWICE, &library()).authored();
    assert_eq!((blueprint.nodes.len(), blueprint.edges.len()), (2, 1));
}

#[test]
fn defaults_are_those_of_the_version_and_not_of_the_author() {
    let definition = used().definition;
    let inner = definition.nodes.iter().find(|node| node.id == "p/d").unwrap();
    assert_eq!(json!(inner.defaults), json!({ "replicas": 2 }));
    let compiled = definition::compile(&definition);
    let entry = compiled.node("p/d").unwrap().unwrap();
    assert_eq!(entry.node.configuration["inputs"], json!({ "region": "{{ inputs.one }}", "replicas": 2 }));
    assert!(definition.authored().nodes.iter().all(|node| node.defaults.is_empty()));
}

#[test]
fn names_inside_are_those_of_the_blueprint_and_inputs_are_its_nodes_i2() {
    let compiled = definition::compile(&used().definition);
    let mentions = &compiled.node("p/d/look").unwrap().unwrap().mentions;
    assert_eq!(mentions.node_ids, ["p/d", "p/d/call"]);
    assert!(mentions.inputs);
    assert_eq!(compiled.node("p/d").unwrap().unwrap().mentions.node_ids, ["p"]);
}

#[test]
fn the_secrets_inside_are_the_workflows_i2() {
    let checked = used();
    let refs: Vec<_> = checked
        .secret_refs
        .iter()
        .map(|found| {
            (found.node_id.as_str(), found.name.as_str(), found.pointer.as_str(), found.field.as_str())
        })
        .collect();
    assert_eq!(refs, [("p/d/call", "deploy", "/headers/0/value", "nodes[1].blueprint")]);
    assert_eq!(checked.secret_refs[0].targets[0].host, "deploy.example");
    assert_eq!(checked.secret_refs[0].place, Some(domain::placement::Placement::header("x-key")));
    // They are kept with the blueprint.
    let stored = json!(read(DEPLOY, &Library::default()));
    let again: Blueprint = serde_json::from_value(stored).unwrap();
    assert_eq!(again, read(DEPLOY, &Library::default()));
}

#[test]
fn a_workflow_that_uses_one_wrongly_is_told_what_to_do() {
    let check = |uses: &str, inputs: Value, channel: &str, expected: &[&str]| {
        let nodes = json!([start(), node(uses, inputs), { "id": "e", "name": "E", "component": "noop" }]);
        let edges = json!([{ "from": "s", "to": "p" }, { "from": "p", "channel": channel, "to": "e" }]);
        let found = workflow(&nodes, &edges);
        let found = found.map(|_| Vec::new()).unwrap_or_else(|refused| lines(&refused.problems));
        assert_eq!(found, expected, "{uses}");
    };
    let eu = || json!({ "region": "eu" });
    check("deploy@1", eu(), "done", &[]);
    check("deploy", eu(), "done", &["nodes[1].blueprint: must name a version: the newest is `deploy@1`"]);
    check(
        "deploy@2",
        eu(),
        "done",
        &["nodes[1].blueprint: there is no version 2 of the blueprint `deploy`; the newest is 1"],
    );
    check(
        "deplyo@1",
        eu(),
        "done",
        &["nodes[1].blueprint: there is no blueprint named `deplyo`; did you mean `deploy`?"],
    );
    check(
        "deploy@1",
        json!({ "regoin": "eu" }),
        "done",
        &[
            "nodes[1].blueprint: `deploy@1` needs the input `region`: give it as `configuration: { inputs: { region: … } }`",
            "nodes[1].configuration.inputs.regoin: `deploy@1` has no input of that name; did you mean `region`?",
        ],
    );
    check(
        "deploy@1",
        json!(["eu"]),
        "done",
        &[
            "nodes[1].blueprint: `deploy@1` needs the input `region`: give it as `configuration: { inputs: { region: … } }`",
            "nodes[1].configuration.inputs: must be a map from the names of inputs to their values, not a list",
        ],
    );
    check(
        "deploy@1",
        eu(),
        "default",
        &["edges[1].channel: `deploy@1` has no channel `default`, it has done, failed, error"],
    );
    check(
        "deploy@1",
        json!({ "region": "{{ secrets(\"a\").b }}" }),
        "done",
        &[
            "nodes[1].configuration.inputs.region: a secret can't stand in a `blueprint`: what it comes to would be stored or choose a channel",
        ],
    );
    check(
        "deploy@1",
        json!({ "region": "{{ inputs.region }}" }),
        "done",
        &[
            "nodes[1].configuration.inputs.region: `inputs` are a blueprint's: there are none in a workflow; see root()",
        ],
    );
}

#[test]
fn a_check_without_an_api_takes_each_blueprint() {
    let nodes = json!([start(), node("any@7", json!({ "x": 1 }))]);
    let edges = json!([{ "from": "s", "to": "p" }]);
    let text = json!({ "name": "W", "nodes": nodes, "edges": edges }).to_string();
    assert!(check(&text).is_ok());
    assert_eq!(crate::blueprints_in(&text).into_iter().collect::<Vec<_>>(), ["any@7"]);
}

#[test]
fn a_blueprint_that_is_wrong_says_where() {
    let check = |text: &str, expected: &[&str]| {
        let found = check_blueprint(text, Deployment::default(), &Library::default());
        let found = found.map(|_| Vec::new()).unwrap_or_else(|refused| lines(&refused.problems));
        assert_eq!(found, expected, "{text}");
    };
    check(
        "name: x\nnodes: [{ id: a, name: A, component: noop }]\noutputs: [{ channel: done, node: a }]",
        &[],
    );
    check("name: x\nnodes: [{ id: a, name: A, component: noop }]\n", &[": `outputs` is missing"]);
    check(
        "name: a b\nnodes: [{ id: a, name: A, trigger: start }]\noutputs: []\ntimeout: 3",
        &[
            "name: must be 1 to 64 letters, digits, `_` or `-`",
            "nodes[0].trigger: a blueprint has no trigger: its first nodes get the event of the node that uses it",
            "outputs: must have at least one output: nothing would leave the blueprint",
            "timeout: unknown field `timeout`",
        ],
    );
    check(
        "name: x\nnodes: [{ id: a, name: A, component: if, configuration: { expression: \"inputs.n > 1\" } }]\nedges: [{ from: a, channel: true, to: a }]\noutputs:\n  - { channel: error, node: a, from_channel: yes }\n  - { channel: x, node: b }\ninputs: { m: { default: \"{{ 1 }}\" }, 3x: {} }",
        &[
            "nodes: an edge enters each node, so the blueprint begins nowhere: put a `noop` before the first node",
            "nodes[0].configuration.expression: the blueprint has no input `n`",
            "outputs[0].channel: `error` is the channel of a blueprint whose inputs fail; give the output another name",
            "outputs[0].from_channel: `if` has no channel `yes`, it has true, false, error",
            "outputs[1].node: there is no node with the id `b`",
            "inputs.m.default: a default can't hold a template",
            "inputs: the name of an input must be 1 to 64 letters, digits or `_`, and begin with no digit",
        ],
    );
}

#[test]
fn names_that_would_be_taken_are_refused() {
    let nodes = json!([start(), node("deploy@1", json!({ "region": "eu" })),
        { "id": "e", "name": "P / Call", "component": "noop" }]);
    let refused =
        workflow(&nodes, &json!([{ "from": "s", "to": "p" }, { "from": "p", "channel": "done", "to": "e" }]));
    assert_eq!(
        lines(&refused.unwrap_err().problems),
        ["nodes[2]: the name `P / Call` is that of `p/call` and of `e`"]
    );
}

/// A blueprint of so many nodes and edges, each node with a template.
fn large(name: &str, nodes: usize, edges: usize, templates: usize) -> Blueprint {
    let fields: Vec<String> = (0..templates).map(|_| "{{ root().data.x }}".to_owned()).collect();
    let node = |index: usize| json!({ "id": format!("n{index}"), "name": format!("N{index}"), "component": "transform", "configuration": { "output": fields } });
    let nodes: Vec<Value> = (0..nodes).map(node).collect();
    let channels = ["default", "error"];
    let edge = |index: usize| {
        let others = nodes.len() - 1;
        let (from, to) = (index / 2 / others, 1 + index / 2 % others);
        json!({ "from": format!("n{from}"), "channel": channels[index % 2], "to": format!("n{to}") })
    };
    let edges: Vec<Value> = (0..edges).map(edge).collect();
    let text = json!({ "name": name, "nodes": nodes, "edges": edges, "outputs": [{ "node": "n0" }] });
    read(&text.to_string(), &Library::default())
}

#[test]
fn what_blueprints_stand_for_has_limits_on_both_sides_i10() {
    let check = |blueprint: Blueprint, uses: usize, expected: Option<&str>| {
        let library = Library::of([(at("x", 1), blueprint)], [("x".to_owned(), 1)]);
        let use_of = |index: usize| json!({ "id": format!("p{index}"), "name": format!("P{index}"), "blueprint": "x@1" });
        let nodes: Vec<Value> = std::iter::once(start()).chain((0..uses).map(use_of)).collect();
        let edges: Vec<Value> =
            (0..uses).map(|index| json!({ "from": "s", "to": format!("p{index}") })).collect();
        let text = json!({ "name": "W", "nodes": nodes, "edges": edges }).to_string();
        let found = check_within(&text, Deployment::default(), &library);
        let found = found.err().map(|refused| lines(&refused.problems).join("; "));
        assert!(found.as_deref().unwrap_or_default().contains(expected.unwrap_or_default()), "{found:?}");
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
    };
    // The trigger, the node itself, and what it stands for.
    check(large("x", NODES_MAX - 2, 0, 0), 1, None);
    check(large("x", NODES_MAX + 1 - 2, 0, 0), 1, Some("it has 501 nodes"));
    // It is counted and not copied: this would be some 200,000 nodes.
    check(large("x", NODES_MAX - 2, 0, 0), NODES_MAX - 1, Some("it has"));
    // One edge enters it; the entry has one for each node that none enters.
    let entries = 70 - 69;
    check(large("x", 70, EDGES_MAX - 1 - entries, 0), 1, None);
    check(large("x", 70, EDGES_MAX + 1 - 1 - entries, 0), 1, Some("has 2001 edges"));
    check(large("x", 100, 0, WORKFLOW_TEMPLATES_MAX / 200), 2, None);
    check(large("x", 100, 0, (WORKFLOW_TEMPLATES_MAX + 1).div_ceil(200)), 2, Some("templates"));
}

/// A blueprint of a node with a literal text and a name of so many bytes.
fn heavy(text: usize, name: usize) -> Blueprint {
    let node = json!({ "id": "a", "name": "n".repeat(name), "component": "transform", "configuration": { "output": "x".repeat(text) } });
    let text = json!({ "name": "x", "nodes": [node], "outputs": [{ "node": "a" }] }).to_string();
    read(&text, &Library::default())
}

fn uses_of(blueprint: Blueprint, uses: usize) -> Option<String> {
    let library = Library::of([(at("x", 1), blueprint)], [("x".to_owned(), 1)]);
    let use_of =
        |index: usize| json!({ "id": format!("p{index}"), "name": format!("P{index}"), "blueprint": "x@1" });
    let nodes: Vec<Value> = std::iter::once(start()).chain((0..uses).map(use_of)).collect();
    let edges: Vec<Value> =
        (0..uses).map(|index| json!({ "from": "s", "to": format!("p{index}") })).collect();
    let text = json!({ "name": "W", "nodes": nodes, "edges": edges }).to_string();
    let found = check_within(&text, Deployment::default(), &library);
    found.err().map(|refused| lines(&refused.problems).join("; "))
}

#[test]
fn the_bytes_of_what_blueprints_stand_for_have_a_limit_i10() {
    // EXPANDED_BYTES_MAX, and EXPANDED_BYTES_MAX + 1
    let text = 200_000;
    let one = heavy(text, 1).size().bytes;
    let uses = EXPANDED_BYTES_MAX / one;
    assert_eq!(uses_of(heavy(text, 1), uses), None);
    let refused = uses_of(heavy(text, 1), uses + 1).unwrap();
    assert!(refused.contains("bytes, and at most 4194304 are allowed"), "{refused}");
}

#[test]
fn the_names_of_nodes_in_nodes_have_a_limit_i10() {
    // EXPANDED_NAME_BYTES_MAX and EXPANDED_NAME_BYTES_MAX + 1: a character of four bytes, at most 128 of them.
    let name = |bytes: usize| {
        let mut blueprint = heavy(1, 1);
        blueprint.nodes[0].name = "n".repeat(bytes - "P0 / ".len());
        uses_of(blueprint, 1)
    };
    assert_eq!(name(EXPANDED_NAME_BYTES_MAX), None);
    assert!(name(EXPANDED_NAME_BYTES_MAX + 1).unwrap().contains("more than 2000 bytes together"));
}

#[test]
fn outputs_do_not_multiply_with_the_nesting_i10() {
    let outputs = |node: &str, from: &dyn Fn(usize) -> String| -> Vec<Value> {
        let output = |index: usize| json!({ "channel": format!("c{index}"), "node": node, "from_channel": from(index) });
        (0..BLUEPRINT_OUTPUTS_MAX).map(output).collect()
    };
    let first = json!({ "name": "b1", "nodes": [{ "id": "a", "name": "A", "component": "noop" }],
        "outputs": outputs("a", &|_| "default".to_owned()) });
    let mut known = vec![(at("b1", 1), read(&first.to_string(), &Library::default()))];
    for level in 2..=BLUEPRINT_NESTING_MAX {
        let text = json!({ "name": format!("b{level}"),
            "nodes": [{ "id": "a", "name": "A", "blueprint": format!("b{}@1", level - 1) }],
            "outputs": outputs("a", &|index| format!("c{index}")) });
        let library = Library::of(known.clone(), [("b1".to_owned(), 1)]);
        known.push((at(&format!("b{level}"), 1), read(&text.to_string(), &library)));
    }
    assert_eq!(known.last().unwrap().1.exits.len(), BLUEPRINT_OUTPUTS_MAX);
    let twice = json!({ "name": "x", "nodes": [{ "id": "a", "name": "A", "component": "noop" }],
        "outputs": [{ "node": "a" }, { "node": "a" }] });
    let refused =
        check_blueprint(&twice.to_string(), Deployment::default(), &Library::default()).unwrap_err();
    assert_eq!(lines(&refused.problems), ["outputs[1].node: the same output stands there already"]);
}

/// ✗ Two merges in two blueprints on a circle would wait for each other.
#[test]
fn a_merge_inside_is_on_no_cycle_of_the_workflow() {
    let joined = json!({ "name": "x", "outputs": [{ "node": "m", "channel": "done", "from_channel": "success" }],
        "nodes": [{ "id": "a", "name": "A", "component": "noop" }, { "id": "b", "name": "B", "component": "noop" },
            { "id": "m", "name": "M", "component": "merge" }],
        "edges": [{ "from": "a", "to": "m" }, { "from": "b", "to": "m" }] });
    let library = || {
        let blueprint = read(&joined.to_string(), &Library::default());
        Library::of([(at("x", 1), blueprint)], [("x".to_owned(), 1)])
    };
    let check = |more: Value, expected: &[&str]| {
        let one = |id: &str| json!({ "id": id, "name": id, "blueprint": "x@1" });
        let mut edges =
            vec![json!({ "from": "s", "to": "p" }), json!({ "from": "p", "channel": "done", "to": "q" })];
        edges.extend(more.as_array().cloned().unwrap_or_default());
        let text = json!({ "name": "W", "nodes": [start(), one("p"), one("q")], "edges": edges }).to_string();
        let found = check_within(&text, Deployment::default(), &library());
        let found = found.map(|_| Vec::new()).unwrap_or_else(|refused| lines(&refused.problems));
        assert_eq!(found, expected, "{more}");
    };
    check(json!([]), &[]);
    check(
        json!([{ "from": "q", "channel": "done", "to": "p" }]),
        &[
            "nodes[1]: its `p/m` is on a cycle: it would wait for what comes after it",
            "nodes[2]: its `q/m` is on a cycle: it would wait for what comes after it",
        ],
    );
    check(
        json!([{ "from": "q", "channel": "done", "to": "q" }]),
        &["nodes[2]: its `q/m` is on a cycle: it would wait for what comes after it"],
    );
}

#[test]
fn warnings_name_credentials_in_defaults_and_nodes_that_never_run() {
    let text = r#"{ "name": "x", "inputs": { "t": { "default": "ghp_0123456789abcdefghijABCDEFGHIJ012345" } },
        "nodes": [{ "id": "a", "name": "A", "component": "noop" }, { "id": "b", "name": "B", "component": "noop", "max_visits": 2 },
            { "id": "c", "name": "C", "component": "noop" }],
        "edges": [{ "from": "b", "to": "c" }, { "from": "c", "to": "b" }], "outputs": [{ "node": "a" }] }"#;
    let checked = check_blueprint(text, Deployment::default(), &Library::default()).unwrap();
    let found = lines(&checked.warnings);
    assert!(found[0].starts_with("inputs.t.default: this looks like "), "{found:?}");
    assert_eq!(
        found[1..],
        [
            "nodes[1]: `b` is reached from no first node: it never runs",
            "nodes[2]: `c` is reached from no first node: it never runs"
        ]
    );
}

#[test]
fn blueprints_within_each_other_have_a_limit_i10() {
    let mut known = vec![(at("b1", 1), large("b1", 1, 0, 0))];
    let nested = |known: &Vec<(BlueprintRef, Blueprint)>, level: usize| {
        let text = json!({ "name": format!("b{level}"), "outputs": [{ "node": "q" }],
            "nodes": [{ "id": "q", "name": "Q", "blueprint": format!("b{}@1", level - 1) }] });
        let mut text = text;
        text["outputs"][0]["from_channel"] = json!("default");
        let newest = known.iter().map(|(reference, _)| (reference.name.clone(), 1));
        check_blueprint(
            &text.to_string(),
            Deployment::default(),
            &Library::of(known.clone(), newest.collect::<Vec<_>>()),
        )
    };
    for level in 2..=BLUEPRINT_NESTING_MAX {
        let blueprint =
            nested(&known, level).unwrap_or_else(|refused| panic!("{:?}", refused.problems)).blueprint;
        known.push((at(&format!("b{level}"), 1), blueprint));
    }
    let uses = |name: &str| {
        let text = json!({ "name": "W", "nodes": [start(), { "id": "p", "name": "P", "blueprint": name }],
            "edges": [{ "from": "s", "to": "p" }] });
        let newest: Vec<_> = known.iter().map(|(reference, _)| (reference.name.clone(), 1)).collect();
        check_within(&text.to_string(), Deployment::default(), &Library::of(known.clone(), newest))
    };
    let checked = uses(&format!("b{BLUEPRINT_NESTING_MAX}@1")).unwrap();
    let longest = checked.definition.nodes.iter().map(|node| node.id.len()).max().unwrap();
    assert!(longest <= 400, "workflow_nodes.node_id takes no more");
    let deeper = nested(&known, BLUEPRINT_NESTING_MAX + 1).unwrap().blueprint;
    known.push((at(&format!("b{}", BLUEPRINT_NESTING_MAX + 1), 1), deeper));
    let refused = {
        let text = json!({ "name": "W", "nodes": [start(), { "id": "p", "name": "P", "blueprint": format!("b{}@1", BLUEPRINT_NESTING_MAX + 1) }],
            "edges": [{ "from": "s", "to": "p" }] });
        let newest: Vec<_> = known.iter().map(|(reference, _)| (reference.name.clone(), 1)).collect();
        check_within(&text.to_string(), Deployment::default(), &Library::of(known.clone(), newest))
            .unwrap_err()
    };
    assert!(lines(&refused.problems)[0].contains("inside of 5 other blueprints"), "{:?}", refused.problems);
}

#[test]
fn inputs_and_outputs_have_limits_on_both_sides_i10() {
    let check = |inputs: usize, outputs: usize, expected: &[&str]| {
        let inputs: serde_json::Map<String, Value> =
            (0..inputs).map(|index| (format!("i{index}"), json!({}))).collect();
        let outputs: Vec<Value> =
            (0..outputs).map(|index| json!({ "channel": format!("c{index}"), "node": "a" })).collect();
        let text = json!({ "name": "x", "inputs": inputs, "outputs": outputs,
            "nodes": [{ "id": "a", "name": "A", "component": "noop" }] });
        let found = check_blueprint(&text.to_string(), Deployment::default(), &Library::default());
        let found = found.map(|_| Vec::new()).unwrap_or_else(|refused| lines(&refused.problems));
        assert_eq!(found, expected);
    };
    check(BLUEPRINT_INPUTS_MAX, BLUEPRINT_OUTPUTS_MAX, &[]);
    check(BLUEPRINT_INPUTS_MAX + 1, 1, &["inputs: at most 50, there are 51"]);
    check(0, BLUEPRINT_OUTPUTS_MAX + 1, &["outputs: at most 50, there are 51"]);
}

#[test]
fn a_reference_has_a_name_and_a_version() {
    assert_eq!(BlueprintRef::parse("deploy@12"), Some(at("deploy", 12)));
    assert_eq!(at("deploy", 12).to_string(), "deploy@12");
    for text in
        ["deploy", "deploy@", "deploy@0", "deploy@-1", "deploy@+1", "deploy@01", "deploy@1@2", "deploy@x"]
    {
        assert_eq!(BlueprintRef::parse(text), None, "{text}");
    }
}
