//! Text fields take a scalar as it is written: `+15551234567` and `1.10` are no numbers there.

use components::{component, field_rule, trigger, trigger_template_kind};
use expression::FieldKind;

use definition::pointer::escape;

use crate::source::{Content, Tree};

/// Replaces the numbers and booleans in text fields of configurations, and in keys, by their
/// spelling.
pub(super) fn keep(tree: &mut Tree) {
    for field in ["name", "description"] {
        if let Some(text) = tree.get_mut(field) {
            spell(text);
        }
    }
    if let Some(Content::List(edges)) = tree.get_mut("edges").map(|edges| &mut edges.content) {
        let ends = edges.iter_mut().filter_map(|edge| match &mut edge.content {
            Content::Map(ends) => Some(ends),
            _ => None,
        });
        ends.flatten().filter(|end| end.key != "channel").for_each(|end| spell(&mut end.value));
    }
    let Some(Content::List(nodes)) = tree.get_mut("nodes").map(|nodes| &mut nodes.content) else { return };
    for node in nodes {
        if let Some(Content::Map(keys)) = node.get_mut("keys").map(|keys| &mut keys.content) {
            keys.iter_mut().for_each(|entry| spell(&mut entry.value));
        }
        for field in ["id", "name", "run_name"] {
            if let Some(text) = node.get_mut(field) {
                spell(text);
            }
        }
        if let Some(key) = node.get_mut("concurrency").and_then(|concurrency| concurrency.get_mut("key")) {
            spell(key);
        }
        let named = |node: &Tree, kind: &str| match node.get(kind).map(|name| &name.content) {
            Some(Content::Text(name)) => Some(name.clone()),
            _ => None,
        };
        let component = named(node, "component").and_then(|name| component(&name));
        let trigger = named(node, "trigger").and_then(|name| trigger(&name));
        let Some(tree) = node.get_mut("configuration") else { continue };
        if let Some(component) = component {
            walk(
                tree,
                &|pointer| field_rule(component.base(), pointer).kind == FieldKind::Text,
                &mut String::new(),
            );
        }
        if let Some(trigger) = trigger {
            let is_text = |pointer: &str| trigger_template_kind(trigger, pointer) == Some(FieldKind::Text);
            walk(tree, &is_text, &mut String::new());
        }
    }
}

// The recursion is bounded: a tree is at most DEFINITION_DEPTH_MAX deep.
fn walk(tree: &mut Tree, is_text: &dyn Fn(&str) -> bool, pointer: &mut String) {
    let length = pointer.len();
    match &mut tree.content {
        Content::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk(item, is_text, pointer);
                pointer.truncate(length);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                pointer.push('/');
                pointer.push_str(&escape(&entry.key));
                walk(&mut entry.value, is_text, pointer);
                pointer.truncate(length);
            }
        }
        _ if is_text(pointer) => spell(tree),
        _ => {}
    }
}

fn spell(tree: &mut Tree) {
    let is_scalar = matches!(tree.content, Content::Bool(_) | Content::Integer(_) | Content::Float(_));
    if let Some(spelling) = tree.spelling.take_if(|_| is_scalar) {
        tree.content = Content::Text(spelling);
    }
}

#[cfg(test)]
mod tests {
    use crate::check;

    /// A text field takes a scalar as it is written, in YAML and in JSON; other fields take its value.
    #[test]
    fn names_and_what_looks_like_a_number_are_taken_as_they_are_written() {
        let yaml = "name: 2024\ndescription: 1.10\nnodes:\n  - { id: 007, name: 404, trigger: start }\n  - id: a\n    name: 0x1F\n    \
                    component: http\n    concurrency: { max: 1, key: 5 }\n    configuration:\n      url: https://a.example\n      \
                    headers: [ { name: X-Commit, value: 12e4567 }, { name: X-Version, value: 1.10 } ]\n      \
                    body: { form: { wallet: 0xdAC17F958D2ee523a2206206994597C13D831ec7, big: 1234567890123456789012345678901234567890 } }\n\
                    edges:\n  - { from: 007, to: a }\n";
        let definition = check(yaml).unwrap_or_else(|refused| panic!("{:#?}", refused.problems)).definition;
        assert_eq!((definition.name.as_str(), definition.description.as_str()), ("2024", "1.10"));
        let ids: Vec<_> =
            definition.nodes.iter().map(|node| (node.id.as_str(), node.name.as_str())).collect();
        assert_eq!(ids, [("007", "404"), ("a", "0x1F")]);
        assert_eq!(definition.nodes[1].concurrency_key(), Some("5"));
        assert_eq!(definition.edges[0].from, "007");
        let configuration = &definition.nodes[1].configuration;
        assert_eq!(configuration["headers"][0]["value"], "12e4567");
        assert_eq!(configuration["headers"][1]["value"], "1.10");
        assert_eq!(configuration["body"]["form"]["wallet"], "0xdAC17F958D2ee523a2206206994597C13D831ec7");
        assert_eq!(configuration["body"]["form"]["big"], "1234567890123456789012345678901234567890");
    }

    #[test]
    fn a_text_field_takes_the_spelling_of_a_scalar() {
        let yaml = "
name: w
nodes:
  - { id: s, name: S, trigger: start, run_name: 007 }
  - id: a
    name: A
    component: http
    keys: { order: 0012, ok: true }
    configuration:
      url: https://a.example/
      method: POST
      query: { version: 1.10, list: 1e3 }
      headers: { X-Id: +49, X-Flag: True }
      authorization: { type: basic, username: 0123, password: 0x1F }
      body: { form: { To: +15551234567, big: 12345678901234567890, on: yes } }
      timeout_seconds: 9
      success_codes: [200]
edges: [{ from: s, to: a }]
    ";
        let checked = check(yaml).unwrap();
        let node = &checked.definition.nodes[1];
        let texts = [
            ("/query/version", "1.10"),
            ("/query/list", "1e3"),
            ("/headers/X-Id", "+49"),
            ("/headers/X-Flag", "True"),
            ("/authorization/username", "0123"),
            ("/authorization/password", "0x1F"),
            ("/body/form/To", "+15551234567"),
            ("/body/form/big", "12345678901234567890"),
            ("/body/form/on", "yes"),
        ];
        for (pointer, expected) in texts {
            assert_eq!(node.configuration.pointer(pointer).unwrap(), expected, "{pointer}");
        }
        assert_eq!(node.configuration["timeout_seconds"], 9);
        assert_eq!(node.configuration["success_codes"], serde_json::json!([200]));
        assert_eq!((node.keys["order"].as_str(), node.keys["ok"].as_str()), ("0012", "true"));
        assert_eq!(checked.definition.nodes[0].run_name.as_deref(), Some("007"));
        let json = r#"{"name":"w","nodes":[{"id":"s","name":"S","trigger":"start"},{"id":"a","name":"A","component":"http",
        "configuration":{"url":"https://a.example/","query":{"v":1.10},"body":{"json":{"v":1.10,"f":true}}}}],"edges":[{"from":"s","to":"a"}]}"#;
        let configuration = &check(json).unwrap().definition.nodes[1].configuration;
        assert_eq!(configuration["query"]["v"], "1.10");
        assert_eq!(
            configuration["body"]["json"],
            serde_json::json!({ "v": 1.1, "f": true }),
            "JSON keeps types"
        );
    }

    #[test]
    fn a_text_of_an_answer_takes_the_spelling_too() {
        let text = "name: w\nnodes:\n  - { id: h, name: H, trigger: webhook, configuration: { authentication: none, response: { status: 201, headers: { X-Version: 1.10, X-Id: 007 }, body: { n: 1.10 } } } }\n";
        let response = &check(text).unwrap().definition.nodes[0].configuration["response"];
        let expected = serde_json::json!({ "status": 201, "headers": { "X-Version": "1.10", "X-Id": "007" }, "body": { "n": 1.1 } });
        assert_eq!(*response, expected);
    }
}
