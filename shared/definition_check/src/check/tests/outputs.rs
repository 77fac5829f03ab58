//! The outputs of a workflow.

use domain::limits::OUTPUTS_MAX;
use serde_json::{Map, Value, json};

use crate::check;

fn workflow(outputs: &Value) -> String {
    let nodes = json!([
        { "id": "s", "name": "S", "trigger": "start" },
        { "id": "a", "name": "A", "component": "noop" },
    ]);
    json!({ "name": "w", "nodes": nodes, "edges": [{ "from": "s", "to": "a" }], "outputs": outputs })
        .to_string()
}

fn problems(outputs: &Value) -> Vec<String> {
    let refused = check(&workflow(outputs)).err();
    let problems = refused.map(|refused| refused.problems).unwrap_or_default();
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

#[test]
fn they_are_templates_by_name_which_see_nodes_and_no_secrets() {
    let outputs = json!({ "a": "{{ $[\"A\"].data.x }}", "b": { "list": ["{{ root().data }}", 7, "text"] } });
    let checked = check(&workflow(&outputs)).unwrap();
    assert_eq!(Value::Object(checked.definition.outputs), outputs);
    assert_eq!(problems(&json!([])), ["outputs: must be a map, not a list"]);
    let name =
        "outputs: the name of an output must be 1 to 64 letters, digits or `_`, and begin with no digit";
    assert_eq!(problems(&json!({ "a-b": 1 })), [name]);
    assert_eq!(
        problems(&json!({ "a": ["{{ $[\"B\"].data }}"] })),
        ["outputs.a[0]: there is no node named `B`"]
    );
    assert_eq!(
        problems(&json!({ "a": "{{ previous().data }}" })),
        ["outputs.a: an output comes after no single event: name a node, `$[\"Name\"]`"]
    );
    let secret = "outputs.a: a secret can't stand in an output: it would be stored";
    assert_eq!(problems(&json!({ "a": "{{ secrets(\"x\").y }}" })), [secret]);
}

#[test]
fn what_is_repeated_is_no_output() {
    let nodes = json!([
        { "id": "s", "name": "S", "trigger": "start" },
        { "id": "l", "name": "L", "component": "loop", "configuration": { "until": "true" } },
        { "id": "a", "name": "A", "component": "noop" },
    ]);
    let edges = json!([{ "from": "s", "to": "l" }, { "from": "l", "channel": "next", "to": "a" }, { "from": "a", "to": "l" }]);
    let check = |output: &str| {
        let text = json!({ "name": "w", "nodes": nodes, "edges": edges, "outputs": { "o": output } });
        check(&text.to_string()).map_err(|refused| refused.problems[0].message.clone()).err()
    };
    assert_eq!(check("{{ $[\"L\"].data.last }}"), None);
    let message = "`A` is repeated by `l`: an output sees the data of that alone";
    assert_eq!(check("{{ $[\"A\"].data }}").as_deref(), Some(message));
}

#[test]
fn there_are_so_many_and_no_more_i10() {
    let outputs = |count: usize| -> Value {
        let named: Map<String, Value> = (0..count).map(|at| (format!("o{at}"), json!(at))).collect();
        Value::Object(named)
    };
    assert_eq!(problems(&outputs(OUTPUTS_MAX)), [""; 0]);
    assert_eq!(problems(&outputs(OUTPUTS_MAX + 1)), ["outputs: at most 50, there are 51"]);
}
