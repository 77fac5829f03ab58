//! Mistakes that authors make most often, and what they are told.

/// All problems of a node `a` with this component and configuration, as one text.
fn problems(node: &str) -> String {
    let text = format!(
        "name: w\nnodes:\n  - {{ id: s, name: S, trigger: start }}\n  - id: a\n    name: A\n{node}\nedges: [{{ from: s, to: a }}]\n"
    );
    let refused = definition_check::check(&text).err();
    let problems = refused.map(|refused| refused.problems).unwrap_or_default();
    problems
        .iter()
        .map(|problem| {
            format!("{}:{} {}: {}\n", problem.line, problem.column, problem.field, problem.message)
        })
        .collect()
}

/// A mistake, and a part of what is said about it.
const WRONG: [(&str, &str); 14] = [
    (
        "    component: if\n    configuration: { expression: '{{ root().data.x == 1 }}' }",
        "leave out `{{` and `}}`",
    ),
    (
        "    component: http\n    configuration:\n      url: {{ root().data.url }}",
        "a value that is a template must be quoted",
    ),
    (
        "    component: if\n    configuration:\n      expression: root().data.a ? 1 : 2",
        "a text with `: ` in it must be quoted",
    ),
    ("    component: if\n    configuration: { expression: 'root().data.a?[0] == 1' }", "`?.[…]`"),
    ("    component: if\n    configuration: { expression: 'root().data.a | upper == 1' }", "`| upper()`"),
    (
        "    component: if\n    configuration: { expression: 'root().data.a == null' }",
        "nothing is written `nil`",
    ),
    (
        "    component: zzz",
        "there is no component named `zzz`; there are approval, filter, for_each, http, if, loop, merge, noop, run_workflow, stop, switch, time_gate, transform, wait, wait_for_callback",
    ),
    ("    trigger: zzz", "there is no trigger named `zzz`; there are on_error, schedule, start, webhook"),
    ("    blueprint: mine", "must name a version, such as `mine@1`"),
    (
        "    component: http\n    configuration: { url: 'https://a.example/', header: { A: b } }",
        "did you mean `headers`?",
    ),
    (
        "    component: switch\n    configuration: { cases: [ { when: '{{ root().data.x }}', channel: a } ] }",
        "leave out `{{` and `}}`",
    ),
    (
        "    component: wait_for_callback\n    configuration: { accept: { schema: { $ref: 'https://a.example/' } } }",
        "`$ref` can't be used here: write the schema out",
    ),
    (
        "    component: wait_for_callback\n    configuration: { accept: { schema: { properties: { a: { type: text } } } } }",
        "is no schema: ",
    ),
    (
        "    component: http\n    configuration: { url: 'https://a.example/', redirects: no }",
        "must be one of follow, stop",
    ),
];

#[test]
fn who_writes_it_wrong_is_told_how_it_is_right() {
    for (node, said) in WRONG {
        let problems = problems(node);
        assert!(problems.contains(said), "{node}\n{problems}");
    }
}

#[test]
fn a_dollar_before_a_template_is_warned_of_and_conditionals_stay() {
    let text = "name: w\nnodes:\n  - { id: s, name: S, trigger: start }\n  - { id: a, name: A, component: http, configuration: { url: 'https://a.example/${{ root().data.x }}' } }\n  \
                - { id: b, name: B, component: if, configuration: { expression: 'root().data.a ? [1][0] == 1 : false' } }\nedges: [{ from: s, to: a }, { from: s, to: b }]\n";
    let checked = definition_check::check(text).unwrap();
    let warnings: Vec<_> = checked.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["the `$` before `{{` is sent as it stands; a template is written `{{ … }}`"]);
}

#[test]
fn edges_leave_on_the_channels_that_a_switch_names_and_none_leaves_a_stop() {
    let said = |edge: &str| {
        let text = format!(
            "name: w\nnodes:\n  - {{ id: s, name: S, trigger: start }}\n  - {{ id: a, name: A, component: switch, configuration: {{ cases: [ {{ when: '1 == 1', channel: red }} ] }} }}\n  \
             - {{ id: b, name: B, component: noop }}\n  - {{ id: e, name: E, component: stop, configuration: {{ result: failed }} }}\nedges:\n  \
             - {{ from: s, to: a }}\n  - {{ from: s, to: e }}\n  - {edge}\n"
        );
        let refused = definition_check::check(&text).err();
        refused
            .map(|refused| refused.problems.iter().map(|problem| problem.message.clone()).collect::<String>())
    };
    for channel in ["red", "otherwise", "error"] {
        assert_eq!(said(&format!("{{ from: a, channel: {channel}, to: b }}")), None, "{channel}");
    }
    assert!(
        said("{ from: a, channel: rde, to: b }")
            .unwrap()
            .contains("it has red, otherwise, error; did you mean `red`?")
    );
    assert!(
        said("{ from: a, to: b }")
            .unwrap()
            .contains("must name a channel: `switch` has red, otherwise, error")
    );
    for channel in ["default", "error", "failed"] {
        let said = said(&format!("{{ from: e, channel: {channel}, to: b }}")).unwrap();
        assert!(said.contains("`stop` ends its branch: no edge leaves it"), "{said}");
    }
}
