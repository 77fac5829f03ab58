use domain::{
    definition::{Concurrency, Unlimited, Uses},
    limits::{
        CALL_RATE_MAX, CALL_RATE_MIN, CONCURRENCY_MAX, DESCRIPTION_CHARS_MAX, EDGES_MAX, KEY_BYTES_MAX,
        KEYS_MAX, NAME_CHARS_MAX, NODE_ID_CHARS_MAX, NODE_TEMPLATES_MAX, NODES_MAX, RUN_TIMEOUT_SECONDS_MAX,
        WORKFLOW_TEMPLATES_MAX,
    },
    retry::Backoff,
};

use super::*;

mod authorization;
mod cycles;
mod joins;
mod levels;
mod outputs;
mod rates;
mod secrets;

fn check(text: &str) -> Result<Checked, Vec<Problem>> {
    super::check(text).map_err(|refused| refused.problems)
}

fn shown(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{}:{} {}: {}", p.line, p.column, p.field, p.message)).collect()
}

/// The errors of a definition as `line:column field: message`.
fn errors(text: &str) -> Vec<String> {
    check(text).err().map(|problems| shown(&problems)).unwrap_or_default()
}

/// The warnings of a definition that has no errors.
fn warnings(text: &str) -> Vec<String> {
    match check(text) {
        Ok(checked) => shown(&checked.warnings),
        Err(problems) => panic!("{:#?}", shown(&problems)),
    }
}

/// A definition of a `start` and the given nodes (YAML, two spaces in), with edges from `start` to
/// `a` only.
fn workflow(nodes: &str) -> String {
    format!(
        "name: w\nnodes:\n  - {{ id: s, name: S, trigger: start }}\n{nodes}edges:\n  - {{ from: s, to: a }}\n"
    )
}

/// The same with one `http` node that has these fields of a configuration (YAML flow, one line,
/// line 4 column 55).
fn http(configuration: &str) -> String {
    workflow(&format!("  - {{ id: a, name: A, component: http, configuration: {{ {configuration} }} }}\n"))
}

const URL: &str = "url: 'https://api.example.com/x'";

#[test]
fn the_examples_have_neither_errors_nor_warnings() {
    for text in [
        include_str!("../../../../examples/notify-on-push.yaml"),
        include_str!("../../../../examples/hello.yaml"),
    ] {
        assert_eq!(warnings(text), [""; 0]);
    }
    let checked = check(include_str!("../../../../examples/notify-on-push.yaml")).unwrap();
    assert_eq!(checked.definition.nodes.len(), 5);
    assert_eq!(
        checked.secret_refs,
        [NodeSecretRef {
            node_id: "call".into(),
            name: "github".into(),
            key: "token".into(),
            field: "nodes[1].configuration.headers[0].value".into(),
            pointer: "/headers/0/value".into(),
            line: 27,
            column: 52,
            targets: vec![UrlTarget { scheme: "https".into(), host: "api.example.com".into(), port: 443 }],
            place: Some(Placement::Authorization),
        }]
    );
}

#[test]
fn everything_that_an_author_can_write_is_read() {
    let checked = check(
        "name: w\ndescription: d\nnodes:\n  - { id: s, name: S, trigger: start }\n  - id: a\n    name: A b\n    \
         component: http\n    configuration: { url: 'https://a.example' }\n    keys: { k: v }\n    concurrency: 7\n    \
         retry: { max_attempts: 3, backoff: fixed }\n    redact: [/body/token]\n    position: { x: 1, y: -2.5 }\n  \
         - { id: b, name: B, component: http, configuration: { url: 'https://a.example' }, concurrency: unlimited }\n\
         edges: [{ from: s, to: a }, { from: a, channel: success, to: b }]\n",
    )
    .unwrap();
    assert_eq!(checked.warnings, []);
    let definition = checked.definition;
    assert_eq!((definition.name.as_str(), definition.description.as_str()), ("w", "d"));
    let node = &definition.nodes[1];
    assert_eq!((node.id.as_str(), node.name.as_str()), ("a", "A b"));
    assert_eq!(node.uses, Uses::Component("http".into()));
    assert_eq!(node.configuration, serde_json::json!({ "url": "https://a.example" }));
    assert_eq!(node.keys["k"], "v");
    assert_eq!(node.concurrency, Some(Concurrency::Limited(7)));
    let retry = node.retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.initial_interval, retry.max_interval), (3, 5, 300));
    assert_eq!(retry.backoff, Backoff::Fixed);
    assert_eq!(node.redact, ["/body/token"]);
    assert_eq!(node.position.map(|at| (at.x, at.y)), Some((1.0, -2.5)));
    assert_eq!(definition.nodes[2].concurrency, Some(Concurrency::Unlimited(Unlimited::Unlimited)));
    assert_eq!(definition.edges[0].channel, "default");
    assert_eq!(definition.edges[1].channel, "success");
}

#[test]
fn json_says_the_same_as_yaml() {
    let json = r#"{"name": "w", "nodes": [{"id": "s", "name": "S", "trigger": "start"},
        {"id": "a", "name": "A", "component": "if", "configuration": {"expression": true}}],
        "edges": [{"from": "s", "to": "a"}, {"from": "a", "channel": true, "to": "a"}]}"#;
    let checked = check(json).unwrap();
    assert_eq!(checked.definition.edges[1].channel, "true");
    assert_eq!(
        errors(&json.replace("\"if\"", "\"iff\"")),
        ["2:47 nodes[1].component: there is no component named `iff`; did you mean `if`?"]
    );
}

#[test]
fn a_bad_file_gets_all_its_errors_at_once() {
    let text = r#"nmae: w
nodes:
  - id: push now
    name: Push
    trigger: webhok
    concurrency: 2
  - id: call
    name: Push
    component: http
    configuration:
      methd: POST
      url: api.example.com
      url: again
    run_name: 'x'
    retry: { max_attempts: 0 }
  - id: call
    component: if
    configuration: { expression: 5 }
    concurrency: none
    redact: body
  - name: X
    trigger: start
    component: noop
edges:
  - { from: push, to: Push }
  - { from: call, channel: sucess, to: cal }
  - { from: call, to: }
extra: 1
"#;
    assert_eq!(
        errors(text),
        [
            "1:1 nmae: unknown field `nmae`; did you mean `name`?",
            "1:1 : `name` is missing",
            "3:9 nodes[0].id: must be 1 to 64 letters, digits, `_` or `-`",
            "5:14 nodes[0].trigger: there is no trigger named `webhok`; did you mean `webhook`?",
            "8:11 nodes[1].name: the name `Push` is taken by the node on line 4",
            "11:14 nodes[1].configuration.methd: unknown field `methd`; did you mean `method`?",
            "12:12 nodes[1].configuration.url: is not a whole URL (such as https://api.example.com/path)",
            "13:7 nodes[1].configuration: `url` is given twice, first on line 12",
            "14:15 nodes[1].run_name: only a trigger names the run",
            "15:28 nodes[1].retry.max_attempts: must be 1 to 30",
            "16:5 nodes[2]: `name` is missing",
            "16:9 nodes[2].id: the id `call` is taken by the node on line 7",
            "18:34 nodes[2].configuration.expression: must be an expression, not a number",
            "19:18 nodes[2].concurrency: must be a number from 1 to 1000, `unlimited`, or { max, key }",
            "20:13 nodes[2].redact: must be a list, not text",
            "21:5 nodes[3]: `id` is missing",
            "21:5 nodes[3]: must be one of trigger, component and blueprint, not several",
            "25:13 edges[0].from: there is no node with the id `push`; edges name nodes by their id, which is `call`",
            "25:23 edges[0].to: there is no node with the id `Push`; edges name nodes by their id, which is `call`",
            "26:28 edges[1].channel: `http` has no channel `sucess`, it has success, failure, error; did you mean `success`?",
            "26:40 edges[1].to: there is no node with the id `cal`; did you mean `call`?",
            "27:5 edges[2]: must name a channel: `http` has success, failure, error",
            "27:21 edges[2].to: must be text, not nothing",
            "28:1 extra: unknown field `extra`",
        ]
    );
}

#[test]
fn edges_must_make_sense() {
    let text = |edges: &str| {
        format!(
            "name: w\nnodes:\n  - {{ id: s, name: S, trigger: start }}\n  - {{ id: a, name: A, component: noop }}\nedges:\n{edges}"
        )
    };
    let check = |edges: &str, expected: &[&str]| assert_eq!(errors(&text(edges)), expected);
    check("  - { from: s, to: a }\n  - { from: a, to: a }\n", &[]);
    check(
        "  - { from: s, to: a }\n  - { from: s, channel: default, to: a }\n",
        &["7:5 edges[1]: the same edge as on line 6"],
    );
    check("  - { from: a, to: s }\n", &["6:20 edges[0].to: `s` is a trigger: no edge enters it"]);
    check(
        "  - { from: s, channel: success, to: a }\n",
        &["6:25 edges[0].channel: `start` has no channel `success`, it has default"],
    );
    check(
        "  - { from: s, chanel: success, to: a }\n",
        &["6:16 edges[0].chanel: unknown field `chanel`; did you mean `channel`?"],
    );
}

#[test]
fn what_a_node_may_say_depends_on_what_it_uses() {
    let check = |node: &str, expected: &[&str]| assert_eq!(errors(&workflow(node)), expected, "{node}");
    check(
        "  - { id: a, name: A, component: noop, concurrency: 1, retry: { max_attempts: 2 }, redact: [/x], keys: { k: v } }\n",
        &[
            "4:53 nodes[1].concurrency: `noop` is finished at once, within the builder: it has no concurrency",
            "4:63 nodes[1].retry: `noop` is finished at once, within the builder: there is nothing to try again",
            "4:92 nodes[1].redact: `noop` is finished at once, within the builder: its output comes from no target",
        ],
    );
    check(
        "  - { id: t, name: T, trigger: start, concurrency: 1, keys: { k: v }, configuration: { a: '{{ 1 }}' } }\n  - { id: a, name: A, component: noop }\n",
        &[
            "4:52 nodes[1].concurrency: a trigger has no concurrency",
            "4:61 nodes[1].keys: keys belong to executions, and a trigger has none",
            "4:91 nodes[1].configuration.a: unknown field `a`",
            "4:91 nodes[1].configuration.a: a trigger's configuration can't hold templates here",
        ],
    );
    check(
        "  - { id: a, name: A, blueprint: x }\n",
        &["4:34 nodes[1].blueprint: must name a version, such as `x@1`"],
    );
    check(
        "  - { id: a, name: A, component: webhook }\n",
        &["4:34 nodes[1].component: there is no component named `webhook`; it is a trigger"],
    );
    check(
        "  - { id: a, name: A }\n",
        &["4:5 nodes[1]: must say what it is: `trigger`, `component` or `blueprint`"],
    );
}

#[test]
fn templates_are_counted_by_node_and_by_workflow_i10() {
    let node = |id: usize, templates: usize| {
        let list = vec!["'{{ 1 }}'"; templates].join(", ");
        let id = if id == 0 { "a".to_owned() } else { format!("n{id}") };
        format!(
            "  - {{ id: {id}, name: N{id}, component: http, configuration: {{ {URL}, body: {{ json: [{list}] }} }} }}\n"
        )
    };
    assert_eq!(errors(&workflow(&node(0, NODE_TEMPLATES_MAX))), Vec::<String>::new());
    let found = errors(&workflow(&node(0, NODE_TEMPLATES_MAX + 1)));
    assert!(found.len() == 1 && found[0].contains("at most 2000 templates, not 2001"), "{found:?}");
    let nodes = |all: usize| {
        let full = all / NODE_TEMPLATES_MAX;
        let mut text: String = (0..full).map(|id| node(id, NODE_TEMPLATES_MAX)).collect();
        text.push_str(&node(full, all % NODE_TEMPLATES_MAX));
        errors(&workflow(&text))
    };
    assert_eq!(nodes(WORKFLOW_TEMPLATES_MAX), Vec::<String>::new());
    let found = nodes(WORKFLOW_TEMPLATES_MAX + 1);
    assert!(
        found.len() == 1 && found[0].contains("a workflow can have at most 20000 templates"),
        "{found:?}"
    );
}

#[test]
fn a_target_is_spelled_as_the_connection_is_checked() {
    let target = |origin: &str| {
        let header = r#"headers: [{ name: A, value: '{{ secrets("a").b }}' }]"#;
        let checked = check(&http(&format!("url: '{origin}/x', {header}"))).unwrap();
        let target = checked.secret_refs[0].targets[0].clone();
        format!("{}:{}", target.host, target.port)
    };
    for (origin, expected) in [
        ("https://API.example.com", "api.example.com:443"),
        ("https://bücher.example", "xn--bcher-kva.example:443"),
        ("https://ａpi.example.com", "api.example.com:443"),
        // A final sigma is another letter once it is small.
        ("https://ΟΔΟΣ-1.example", "xn---1-k9b7bby.example:443"),
        ("http://127.1:8080", "127.0.0.1:8080"),
        ("http://0x7f.1", "127.0.0.1:80"),
        ("https://[0:0::1]:8443", "[::1]:8443"),
        ("https://[::ffff:1.2.3.4]", "[::ffff:102:304]:443"),
    ] {
        assert_eq!(target(origin), expected, "{origin}");
    }
}

#[test]
fn what_somebody_else_finds_wrong_is_in_the_same_answer() {
    let text = "nodes:\n  - { id: call, name: Call, component: http, configuration: { url: 'https://a.example/{{ secrets(\"a\").b }}' } }\n";
    let refused = super::check(text).unwrap_err();
    assert_eq!((refused.problems.len(), refused.secret_refs.len()), (1, 1), "{refused:#?}");
    let found = refused.secret_refs[0].problem("not there");
    let all = refused.clone().with_found(vec![found.clone()]);
    assert_eq!(all.len(), 2);
    assert_eq!(all.last(), Some(&found), "in the order of the lines");
    let many = Refused { problems: vec![found.clone(); PROBLEMS_MAX + 1], ..refused.clone() };
    assert_eq!(many.with_found(vec![found.clone()]).len(), PROBLEMS_MAX + 1);
    let full = Refused { problems: vec![found.clone(); PROBLEMS_MAX], ..refused };
    assert_eq!(full.with_found(vec![found]).last().unwrap().message, "and 1 more");
}

#[test]
fn expressions_are_checked_with_their_place() {
    let text = http(&format!("{URL}, body: {{ text: 'ä {{{{ previuos().data }}}}' }}"));
    let found = check(&text).unwrap_err();
    assert_eq!(found.len(), 1, "{:#?}", shown(&found));
    assert_eq!(found[0].message, "there is no `previuos`; did you mean `previous`?");
    assert_eq!(found[0].field, "nodes[1].configuration.body.text");
    let line = text.lines().nth(3).unwrap();
    assert_eq!(found[0].column, line[..line.find("previuos").unwrap()].chars().count() + 1);
    let (start, end) = found[0].span.unwrap();
    assert_eq!(&"ä {{ previuos().data }}"[start..end], "previuos()");
    let excerpt = found[0].expression.as_deref().unwrap();
    assert!(excerpt.contains("previuos().data") && excerpt.contains("^^^^^^^^"), "{excerpt}");
}

#[test]
fn names_of_nodes_are_checked() {
    let with = |text: &str| http(&format!("{URL}, body: {{ text: '{text}' }}"));
    let one = |text: &str, expected: &str| {
        let found = errors(&with(text));
        assert!(found.len() == 1 && found[0].ends_with(expected), "{found:#?}");
    };
    assert_eq!(warnings(&with(r#"{{ $["S"].data }}"#)), [""; 0]);
    assert_eq!(warnings(&with("{{ $.S.data }}")), [""; 0]);
    one(r#"{{ $["s"].data }}"#, "there is no node named `s`; expressions use names, this node's is `S`");
    one(r#"{{ $["Start"].data }}"#, "there is no node named `Start`");
    one("{{ secret }}", "there is no `secret`; did you mean `secrets`?");
    one("{{ 1 + }}", "");
    one("{{ trimPrefx(root().data.x, 1) }}", "did you mean `trimPrefix`?");
    one("{{ previous(0).data }}", "n must be at least 1");
    one("{{ previous( -1 ).data }}", "n must be at least 1");
    assert_eq!(warnings(&with("{{ previous(1).data }}{{ previous().data }}")), [""; 0]);
    let itself = warnings(&with(r#"{{ $["A"].data }}"#));
    assert!(itself.len() == 1 && itself[0].contains("`A` never comes before this node"), "{itself:#?}");
}

#[test]
fn the_name_of_a_run_rests_on_its_root_event_only() {
    let with = |template: &str| {
        errors(&workflow(&format!(
            "  - {{ id: t, name: T, trigger: start, run_name: '{template}' }}\n  - {{ id: a, name: A, component: noop }}\n"
        )))
    };
    assert_eq!(with("Run {{ root().data.x }}"), [""; 0]);
    for template in ["{{ previous().data }}", r#"{{ $["A"].data }}"#, "{{ run().id }}", "{{ now() }}"] {
        let found = with(template);
        assert!(
            found.len() == 1 && found[0].contains("the name of a run can use root() only"),
            "{template}: {found:#?}"
        );
    }
}

#[test]
fn a_deduplication_key_rests_on_its_root_event_only_and_holds_no_secret() {
    let with = |template: &str| {
        errors(&workflow(&format!(
            "  - {{ id: h, name: H, trigger: webhook, configuration: {{ authentication: none, deduplication_key: '{template}' }} }}\n  \
             - {{ id: a, name: A, component: noop }}\n"
        )))
    };
    assert_eq!(with("{{ root().data.body.id }}"), [""; 0]);
    let field = "nodes[1].configuration.deduplication_key: ";
    for (template, expected) in [
        ("{{ previous().data }}", "`deduplication_key` can use root() only, not previous()"),
        (r#"{{ $["A"].data }}"#, "`deduplication_key` can use root() only, not other nodes"),
        (
            r#"{{ secrets("github").token }}"#,
            "a secret can't stand in `deduplication_key`: it would be stored",
        ),
        ("{{ rot() }}", "there is no `rot`"),
        ("{{ 1 + }}", ""),
        ("always", "must be a template such as"),
    ] {
        let found = with(template);
        assert!(
            found.len() == 1 && found[0].contains(&format!("{field}{expected}")),
            "{template}: {found:#?}"
        );
    }
}

#[test]
fn what_may_be_a_mistake_is_a_warning() {
    let check = |text: &str, expected: &[&str]| assert_eq!(warnings(text), expected);
    check(
        "name: w\nnodes:\n  - { id: a, name: A, component: noop }\n",
        &["1:1 nodes: no node is a trigger: nothing can start this workflow"],
    );
    check(
        "name: w\nnodes:\n  - { id: s, name: S, trigger: start }\n  - { id: a, name: A, component: noop }\n",
        &["4:5 nodes[1]: `a` is reached from no trigger: it never runs"],
    );
    check(
        &http(&format!("{URL}, authorization: {{ type: bearer, token: abc }}")),
        &[
            "4:129 nodes[1].configuration.authorization.token: a credential stands here in plain text and will be stored so; keep it in a secret",
        ],
    );
    check(
        &http(&format!("{URL}, headers: [{{ name: X, value: 'ghp_abcdefghijklmnopqrstuvwxyz0123456789' }}]")),
        &[
            "4:119 nodes[1].configuration.headers[0].value: this looks like a GitHub token; it will be stored in plain text, keep it in a secret",
        ],
    );
    let plain = warnings(&http(r#"url: 'http://api.example.com/', body: { text: '{{ secrets("a").b }}' }"#));
    assert!(plain.len() == 1 && plain[0].contains("plain http is refused"), "{plain:#?}");
}

#[test]
fn limits_of_a_definition_hold_on_both_sides_i10() {
    let nodes = |count: usize| -> String {
        (0..count).map(|n| format!("  - {{ id: n{n}, name: N{n}, component: noop }}\n")).collect()
    };
    let with_nodes = |count: usize| errors(&format!("name: w\nnodes:\n{}", nodes(count)));
    assert_eq!(with_nodes(NODES_MAX), [""; 0]);
    assert_eq!(with_nodes(NODES_MAX + 1), ["3:3 nodes: at most 500, there are 501"]);
    assert_eq!(errors("name: w\nnodes: []\n"), ["2:8 nodes: must have at least one node"]);
    let with_edges = |count: usize| {
        let edges: String =
            (0..count).map(|n| format!("  - {{ from: n{}, to: n{} }}\n", n % 50, n / 50)).collect();
        errors(&format!("name: w\nnodes:\n{}edges:\n{edges}", nodes(50)))
    };
    assert_eq!(with_edges(EDGES_MAX), [""; 0]);
    assert_eq!(with_edges(EDGES_MAX + 1).len(), 1);

    let node = |field: &str| {
        errors(&workflow(&format!(
            "  - {{ id: a, name: A, component: http, configuration: {{ {URL} }}, {field} }}\n"
        )))
        .len()
    };
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| format!("k{n}: v")).collect();
        node(&format!("keys: {{ {} }}", keys.join(", ")))
    };
    assert_eq!((keys(KEYS_MAX), keys(KEYS_MAX + 1)), (0, 1));
    let key = |bytes: usize| node(&format!("keys: {{ ? {} : v }}", "k".repeat(bytes)));
    assert_eq!((key(KEY_BYTES_MAX), key(KEY_BYTES_MAX + 1)), (0, 1));
    let concurrency = |number: u32| node(&format!("concurrency: {number}"));
    assert_eq!(
        (concurrency(0), concurrency(1), concurrency(CONCURRENCY_MAX), concurrency(CONCURRENCY_MAX + 1)),
        (1, 0, 0, 1)
    );
    let keyed = |number: u32| node(&format!("concurrency: {{ max: {number}, key: x }}"));
    assert_eq!((keyed(0), keyed(1), keyed(CONCURRENCY_MAX), keyed(CONCURRENCY_MAX + 1)), (1, 0, 0, 1));
    let redact = |count: usize| node(&format!("redact: [{}]", vec!["/a"; count].join(", ")));
    assert_eq!((redact(50), redact(51)), (0, 1));
    let path = |bytes: usize| node(&format!("redact: [/{}]", "a".repeat(bytes - 1)));
    assert_eq!((path(512), path(513)), (0, 1));

    let named =
        |name: &str| errors(&format!("name: {name}\nnodes: [{{ id: a, name: A, trigger: start }}]\n")).len();
    assert_eq!((named(&"n".repeat(NAME_CHARS_MAX)), named(&"n".repeat(NAME_CHARS_MAX + 1))), (0, 1));
    assert_eq!((named("\"\""), named("\" a\""), named("\"a\\nb\"")), (1, 1, 1));
    let id =
        |id: &str| errors(&format!("name: w\nnodes: [{{ id: '{id}', name: A, trigger: start }}]\n")).len();
    assert_eq!((id(&"n".repeat(NODE_ID_CHARS_MAX)), id(&"n".repeat(NODE_ID_CHARS_MAX + 1))), (0, 1));
    assert_eq!((id("a-B_9"), id(""), id("a.b"), id("ä")), (0, 1, 1, 1));
    let described = |chars: usize| {
        errors(&format!(
            "name: w\ndescription: {}\nnodes: [{{ id: a, name: A, trigger: start }}]\n",
            "d".repeat(chars)
        ))
        .len()
    };
    assert_eq!((described(DESCRIPTION_CHARS_MAX), described(DESCRIPTION_CHARS_MAX + 1)), (0, 1));
    let timeout = |seconds: u32| timeout_errors(&seconds.to_string()).len();
    assert_eq!(
        (timeout(0), timeout(1), timeout(RUN_TIMEOUT_SECONDS_MAX), timeout(RUN_TIMEOUT_SECONDS_MAX + 1)),
        (1, 0, 0, 1)
    );
}

fn timeout_errors(timeout: &str) -> Vec<String> {
    errors(&format!("name: w\ntimeout: {timeout}\nnodes: [{{ id: a, name: A, trigger: start }}]\n"))
}

#[test]
fn the_time_out_of_runs_is_seconds_or_a_length_of_time() {
    let read = |timeout: &str| {
        let text = format!("name: w\ntimeout: {timeout}\nnodes: [{{ id: a, name: A, trigger: start }}]\n");
        check(&text).unwrap().definition.timeout_seconds
    };
    assert_eq!(
        (read("90"), read("90s"), read("1h30m"), read("2 days")),
        (Some(90), Some(90), Some(5_400), Some(172_800))
    );
    for timeout in ["soon", "-1h", "1.5", "[]", "true", "1 month"] {
        let expected = "2:10 timeout: must be whole seconds, or a text such as `90s`, `1h30m` or `2 days`; from a second to 366 days";
        assert_eq!(timeout_errors(timeout), [expected], "{timeout}");
    }
}

#[test]
fn an_answer_lists_a_limited_number_of_problems_i10() {
    let unknown = |count: usize| -> Vec<String> {
        let fields: String = (0..count).map(|n| format!("field{n}: 1\n")).collect();
        errors(&format!("name: w\nnodes: [{{ id: a, name: A, trigger: start }}]\n{fields}"))
    };
    assert_eq!(unknown(PROBLEMS_MAX).len(), PROBLEMS_MAX);
    let found = unknown(PROBLEMS_MAX + 5);
    assert_eq!(found.len(), PROBLEMS_MAX + 1);
    assert_eq!(found.last().map(String::as_str), Some("0:0 : and 5 more"));
}

#[test]
fn text_that_is_no_definition_is_refused() {
    assert_eq!(errors(""), ["0:0 : the definition is empty"]);
    assert_eq!(errors("5"), ["1:1 : must be a map, not a number"]);
    assert_eq!(errors("[]"), ["1:1 : must be a map, not a list"]);
    assert_eq!(errors("name: w\nnodes: 5\n"), ["2:8 nodes: must be a list, not a number"]);
    assert_eq!(errors("name: w\nnodes: [5]\n"), ["2:9 nodes[0]: must be a map, not a number"]);
}

#[test]
fn no_text_makes_the_checker_panic_i10() {
    let example = include_str!("../../../../examples/notify-on-push.yaml");
    for (at, _) in example.char_indices().step_by(29) {
        let _ = check(&example[..at]);
        for letter in ["\t", "{", "]", ":", "'", "*", "\0", "é", "\n\n", "- ", "? ", "%"] {
            let _ = check(&format!("{}{letter}{}", &example[..at], &example[at..]));
        }
    }
    for piece in [
        "a", "[]", "- ", "[1,", "{a: ", "? ", "&a ", "k: v\n", "'", "{{ 1 }} ", "\"\\n", "|\n", "  - a\n",
        "!a ",
    ] {
        let _ = check(&piece.repeat(65_536 / piece.len()));
    }
}

#[test]
fn a_concurrency_key_is_a_template_without_secrets() {
    let with = |concurrency: &str| {
        workflow(&format!(
            "  - {{ id: a, name: A, component: http, configuration: {{ {URL} }}, concurrency: {concurrency} }}\n"
        ))
    };
    let checked = check(&with("{ max: 2, key: '{{ root().data.repo }}/{{ previous().data.x }}' }")).unwrap();
    let node = checked.definition.nodes.iter().find(|node| node.id == "a").unwrap();
    assert_eq!(node.concurrency_key(), Some("{{ root().data.repo }}/{{ previous().data.x }}"));
    let check_one = |concurrency: &str, expected: &str| {
        let found = errors(&with(concurrency));
        assert!(found.len() == 1 && found[0].ends_with(expected), "{concurrency}: {found:?}");
    };
    check_one(
        "{ max: 1, key: '{{ secrets(\"github\").token }}' }",
        "a secret can't stand in a concurrency key: it would be stored",
    );
    check_one("{ max: 1, key: '{{ $[\"Gone\"].data }}' }", "there is no node named `Gone`");
    check_one("{ max: 1 }", "`key` is missing");
    check_one("{ key: x }", "`max` is missing");
    check_one("{ max: 1, key: [5] }", "concurrency.key: must be text, not a list");
    check_one("{ max: one, key: x }", "concurrency.max: must be a number from 1 to 1000");
    check_one("{ max: 1, key: x, min: 1 }", "unknown field `min`");
    check_one("{ max: 1, key: '{{ 1 + }}' }", "");
}
