use domain::definition::Definition;
use expression::Value as Seen;
use serde_json::json;

use super::*;
use crate::compile::{Compiled, compile};

/// `$` holds one node, `X`; `root()` is what is given.
struct World {
    nodes: Value,
    root: Value,
}

impl World {
    fn new(data: Value) -> Self {
        Self { nodes: json!({ "X": { "data": data.clone() } }), root: json!({ "data": data }) }
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<Seen<'_>> {
        (name == "$").then(|| Seen::json(&self.nodes))
    }

    fn call(&self, name: &str, _args: &[Seen<'_>]) -> Option<Result<Seen<'_>, String>> {
        (name == "root").then(|| Ok(Seen::json(&self.root)))
    }
}

fn compiled(node: Value) -> Compiled {
    let mut whole = json!({ "id": "a", "name": "A" });
    whole.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    let definition: Definition = serde_json::from_value(json!({ "name": "w", "nodes": [whole] })).unwrap();
    compile(&definition)
}

fn resolved(node: Value, data: Value) -> Result<Resolved, ResolveError> {
    let compiled = compiled(node);
    let node = compiled.node("a").unwrap().unwrap_or_else(|error| panic!("{error}"));
    resolve(node, &World::new(data), &mut Budget::default())
}

fn http(configuration: Value) -> Value {
    json!({ "component": "http", "configuration": configuration })
}

fn error(result: Result<Resolved, ResolveError>) -> ResolveError {
    result.err().expect("it could not be resolved")
}

#[test]
fn data_is_folded_in_with_its_type() {
    let found = resolved(
        http(json!({
            "url": "https://a.example/{{ $[\"X\"].data.path }}?q={{ root().data.q }}",
            "body": { "json": { "whole": "{{ root().data.list }}", "mixed": "n={{ root().data.n }}", "plain": ["x", 1] } },
        })),
        json!({ "path": "a/b", "q": "c d&e", "list": [1, 2.5, null], "n": 7 }),
    )
    .ok()
    .unwrap();
    assert_eq!(
        found.display["body"]["json"],
        json!({ "whole": [1, 2.5, null], "mixed": "n=7", "plain": ["x", 1] })
    );
    let url = found.display["url"].as_str().unwrap();
    assert!(url.starts_with("https://a.example/a%2Fb?q=c"), "{url}");
    assert!(!url.contains('&'), "{url}");
    assert!(found.fields.is_empty() && found.refs.is_empty() && found.keys.is_empty());
}

#[test]
fn a_secret_shows_as_its_reference_and_is_left_to_the_executor_i1() {
    let found = resolved(
        http(json!({
            "url": "https://a.example/",
            "headers": [{ "name": "Authorization", "value": "Bearer {{ root().data.kind }} {{ secrets(\"github\").token }}" }],
        })),
        json!({ "kind": "ci" }),
    )
    .ok()
    .unwrap();
    assert_eq!(found.display["headers"][0]["value"], "Bearer ci {{ secrets(\"github\").token }}");
    assert_eq!(found.refs, [("github".to_owned(), "token".to_owned())]);
    let stored = serde_json::to_value(&found.fields).unwrap();
    let parts = json!(["Bearer ci ", { "secret": ["github", "token"] }]);
    assert_eq!(stored, json!([{ "path": "/headers/0/value", "parts": parts }]));
}

#[test]
fn a_structure_that_holds_secrets_has_a_field_for_each_text_i1() {
    let found = resolved(
        http(json!({
            "url": "https://a.example/",
            "body": { "json": "{{ {\"a/b\": [1, secrets(\"github\").token], \"c\": root().data} }}" },
        })),
        json!({ "n": 1.5 }),
    )
    .ok()
    .unwrap();
    let shown = json!({ "a/b": [1, "{{ secrets(\"github\").token }}"], "c": { "n": 1.5 } });
    assert_eq!(found.display["body"]["json"], shown);
    let stored = serde_json::to_value(&found.fields).unwrap();
    assert_eq!(
        stored,
        json!([{ "path": "/body/json/a~1b/1", "parts": [{ "secret": ["github", "token"] }] }])
    );
    assert!(found.display.pointer("/body/json/a~1b/1").is_some());
}

#[test]
fn data_that_looks_like_a_template_stays_text_i2() {
    let like = "{{ secrets(\"github\").token }}";
    let found = resolved(
        json!({ "component": "http", "keys": { "k": "{{ root().data.x }}" },
            "configuration": { "url": "https://a.example/", "body": { "text": "{{ root().data.x }}", "json": "{{ root().data }}" } } }),
        json!({ "x": like, like: like }),
    )
    .ok()
    .unwrap();
    assert_eq!(found.display["body"]["text"], like);
    assert_eq!(found.display["body"]["json"], json!({ "x": like, like: like }));
    assert_eq!(found.keys, [("k".to_owned(), like.to_owned())]);
    assert!(found.fields.is_empty());
}

#[test]
fn a_condition_keeps_its_type() {
    let condition = |expression: &str| {
        let node = json!({ "component": "if", "configuration": { "expression": expression } });
        resolved(node, json!({ "status": 200 })).ok().unwrap().display
    };
    assert_eq!(condition("$[\"X\"].data.status == 200"), json!({ "expression": true }));
    assert_eq!(condition("root().data.none"), json!({ "expression": null }));
}

#[test]
fn keys_are_text_and_have_a_limit_on_both_sides() {
    let keyed = |value: Value| {
        let node =
            json!({ "component": "noop", "configuration": {}, "keys": { "commit": "{{ root().data.x }}" } });
        resolved(node, json!({ "x": value }))
    };
    assert_eq!(keyed(json!(7)).ok().unwrap().keys, [("commit".to_owned(), "7".to_owned())]);
    assert!(keyed(json!("k".repeat(KEY_BYTES_MAX))).is_ok());
    let error = error(keyed(json!("k".repeat(KEY_BYTES_MAX + 1))));
    assert_eq!((error.reason, error.field.as_str()), (ResultReason::Limit, "keys.commit"));
}

#[test]
fn a_resolved_configuration_has_a_limit_on_both_sides_i10() {
    let sized = |bytes: usize| {
        let node = http(json!({ "url": "https://a.example/", "body": { "text": "{{ root().data.x }}" } }));
        resolved(node, json!({ "x": "x".repeat(bytes) }))
    };
    let frame = r#"{"url":"https://a.example/","body":{"text":""}}"#.len();
    assert!(sized(CONFIGURATION_BYTES_MAX - frame).is_ok());
    let error = error(sized(CONFIGURATION_BYTES_MAX - frame + 1));
    assert_eq!((error.reason, error.field.as_str()), (ResultReason::Limit, "configuration"));
}

#[test]
fn the_weight_of_a_configuration_has_a_limit_on_both_sides_i10() {
    let frame = weight(&json!({ "url": "https://a.example/", "body": { "json": [""] } }));
    let map = weight(&json!({}));
    let heavy = |weight: usize| {
        let (maps, filling) = ((weight - frame) / map, (weight - frame) % map);
        let mut items = vec![json!({}); maps];
        items.push(json!("x".repeat(filling)));
        let node = http(json!({ "url": "https://a.example/", "body": { "json": "{{ root().data.x }}" } }));
        resolved(node, json!({ "x": items }))
    };
    assert!(heavy(CONFIGURATION_WEIGHT_MAX).is_ok());
    let error = error(heavy(CONFIGURATION_WEIGHT_MAX + 1));
    assert_eq!((error.reason, error.message.contains("too many maps")), (ResultReason::Limit, true));
}

#[test]
fn the_templates_of_a_record_share_one_budget_i10() {
    let counted = |times: usize| {
        let fields: Vec<_> = (0..times).map(|_| json!("{{ count(1..200000, # > 0) }}")).collect();
        http(json!({ "url": "https://a.example/", "body": { "json": fields } }))
    };
    assert!(resolved(counted(1), json!({})).is_ok());
    let error = error(resolved(counted(8), json!({})));
    assert!(error.message.contains("take too many steps"), "{}", error.message);
}

#[test]
fn what_postgres_can_not_keep_is_settled_here_i9() {
    let node =
        http(json!({ "url": "https://a.example/", "body": { "text": "{{ fromBase64(root().data.x) }}" } }));
    let found = resolved(node, json!({ "x": "AGE=" })).ok().unwrap();
    assert_eq!(found.display["body"]["text"], "\u{fffd}a");
    let node = http(json!({
        "url": "https://a.example/",
        "body": { "text": "{{ fromBase64(root().data.x) + secrets(\"github\").token }}" },
    }));
    let found = resolved(node, json!({ "x": "AGE=" })).ok().unwrap();
    let stored = serde_json::to_string(&(&found.display, &found.fields)).unwrap();
    assert!(!stored.contains("\\u0000"), "{stored}");
}

#[test]
fn an_error_names_the_field_and_shows_the_expression_without_data() {
    let node = http(json!({ "url": "https://a.example/",
        "headers": [{ "name": "X", "value": "a {{ root().data.x.y.z }}" }] }));
    let error = error(resolved(node, json!({ "x": { "y": "private" } })));
    assert_eq!(error.reason, ResultReason::TemplateError);
    assert_eq!(error.field, "configuration.headers[0].value");
    assert!(
        error.rendered.contains("root().data.x.y.z") && error.rendered.contains('^'),
        "{}",
        error.rendered
    );
    assert!(!error.rendered.contains("private"), "{}", error.rendered);
}

#[test]
fn the_name_of_a_run_is_cut_to_its_limit() {
    let name = |template: &str, data: Value| {
        let compiled = compiled(json!({ "trigger": "start", "run_name": template }));
        resolve_run_name(compiled.node("a").unwrap().unwrap(), &World::new(data)).unwrap()
    };
    assert_eq!(name("Run of {{ root().data.x }}", json!({ "x": 5 })).unwrap(), "Run of 5");
    let chars = |count: usize| {
        name("{{ root().data.x }}", json!({ "x": "ü".repeat(count) })).unwrap().chars().count()
    };
    assert_eq!(chars(CUSTOM_NAME_CHARS_MAX), CUSTOM_NAME_CHARS_MAX);
    assert_eq!(chars(CUSTOM_NAME_CHARS_MAX + 1), CUSTOM_NAME_CHARS_MAX);
    assert_eq!(name("{{ root().data.x.y.z }}", json!({ "x": "s" })).unwrap_err().field, "run_name");
    let unnamed = compiled(json!({ "trigger": "start" }));
    assert!(resolve_run_name(unnamed.node("a").unwrap().unwrap(), &World::new(json!(null))).is_none());
}

#[test]
fn a_deduplication_key_is_text_within_its_limit_on_both_sides_or_none_i10() {
    let key = |template: &str, data: Value| {
        let configuration = json!({ "authentication": "none", "deduplication_key": template });
        let compiled = compiled(json!({ "trigger": "webhook", "configuration": configuration }));
        resolve_deduplication_key(compiled.node("a").unwrap().unwrap(), &World::new(data))
    };
    let id = "{{ root().data.id }}";
    let check = |template, data, expected: Option<&str>| {
        assert_eq!(key(template, data).unwrap(), expected.map(str::to_owned), "{template}");
    };
    check(id, json!({ "id": "one" }), Some("one"));
    check(id, json!({ "id": 7 }), Some("7"));
    check("{{ root().data.a }}/{{ root().data.id }}", json!({ "a": "x", "id": 7 }), Some("x/7"));
    check(id, json!({ "id": null }), None);
    check(id, json!({}), None);
    check(id, json!({ "id": "" }), None);
    let longest = "k".repeat(DEDUPLICATION_KEY_BYTES_MAX);
    check(id, json!({ "id": longest }), Some(&longest));
    let error = key(id, json!({ "id": "k".repeat(DEDUPLICATION_KEY_BYTES_MAX + 1) })).unwrap_err();
    assert_eq!(
        (error.reason, error.field.as_str()),
        (ResultReason::Limit, "configuration.deduplication_key")
    );
    assert_eq!(key(id, json!({ "id": [1] })).unwrap_err().reason, ResultReason::TemplateError);
    assert_eq!(key(id, json!("text")).unwrap_err().reason, ResultReason::TemplateError);
    let header = compiled(json!({ "trigger": "webhook", "configuration": { "authentication": "none" } }));
    let none = resolve_deduplication_key(header.node("a").unwrap().unwrap(), &World::new(json!({})));
    assert_eq!(none.unwrap(), None);
}
