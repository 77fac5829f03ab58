//! The older stored form of fields with secrets: expressions that the executor was to evaluate.
//!
//! Texts, references, `+`, encodings, base64, lists and maps are read as parts, so that executions
//! that are pending during an upgrade go on. Every other expression is refused: it would have to
//! look at a secret. This module is to be deleted one release after the release that brought parts.

use serde_json::{Map, Value};

use crate::field::{SecretField, Unreadable};
use crate::part::{Encoding, NESTING_MAX, Part, Reference, append};

/// Nodes of one field.
const NODES_MAX: usize = 5_000;

/// Reads residuals, `[{"path", "expr", "refs"}]`, and puts the structures that hold secrets into
/// the configuration.
///
/// # Errors
/// [`Unreadable`] where they are no residuals, or would have to look at a secret.
pub fn read_residuals(stored: &Value, configuration: &mut Value) -> Result<Vec<SecretField>, Unreadable> {
    let mut fields = Vec::new();
    for residual in stored.as_array().ok_or(Unreadable)? {
        let path = residual.get("path").and_then(Value::as_str).ok_or(Unreadable)?;
        let made = read_one(residual).ok_or(Unreadable)?;
        let place = configuration.pointer_mut(path).ok_or(Unreadable)?;
        *place = put(made, path, &mut fields);
    }
    let paths = |field: &SecretField| field.path.clone();
    let stored: Vec<String> = fields.iter().map(paths).collect();
    let is_twice = |at: usize| stored[..at].contains(&stored[at]);
    if (0..stored.len()).any(is_twice) { Err(Unreadable) } else { Ok(fields) }
}

/// The result of a node.
enum Made {
    Known(Value),
    Parts(Vec<Part>),
    List(Vec<Made>),
    Map(Vec<(String, Made)>),
}

/// The value as people see it; the texts that hold secrets become fields.
fn put(made: Made, path: &str, fields: &mut Vec<SecretField>) -> Value {
    match made {
        Made::Known(value) => value,
        Made::Parts(parts) => {
            let shown = crate::show(&parts);
            fields.push(SecretField { path: path.to_owned(), parts });
            Value::String(shown)
        }
        Made::List(items) => {
            let items = items.into_iter().enumerate();
            Value::Array(items.map(|(index, item)| put(item, &format!("{path}/{index}"), fields)).collect())
        }
        Made::Map(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let at = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                let value = put(item, &at, fields);
                map.insert(key, value);
            }
            Value::Object(map)
        }
    }
}

fn read_one(residual: &Value) -> Option<Made> {
    let (nodes, refs) = (residual.get("expr")?.as_array()?, residual.get("refs")?.as_array()?);
    if nodes.is_empty() || nodes.len() > NODES_MAX {
        return None;
    }
    // Children come before their parents, and each child has one parent.
    let mut made: Vec<Option<Made>> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let next = read_node(node, refs, &mut made)?;
        made.push(Some(next));
    }
    made.pop()?
}

fn read_node(node: &Value, refs: &[Value], made: &mut [Option<Made>]) -> Option<Made> {
    let content = node.get("v").unwrap_or(&Value::Null);
    let mut child = |id: &Value| made.get_mut(usize::try_from(id.as_u64()?).ok()?)?.take();
    match node.get("op")?.as_str()? {
        "literal" => read_literal(content).map(Made::Known),
        "secret" => {
            let reference = refs.get(usize::try_from(content.as_u64()?).ok()?)?;
            let (name, key) = (reference.get(0)?.as_str()?, reference.get(1)?.as_str()?);
            Some(Made::Parts(vec![Part::Secret(Reference::to(name, key))]))
        }
        "text" => {
            let parts = content.as_array()?.iter().map(&mut child).collect::<Option<Vec<_>>>()?;
            joined(parts)
        }
        "binary" if content.get(0)?.as_str()? == "add" => {
            let (left, right) = (child(content.get(1)?)?, child(content.get(2)?)?);
            joined(vec![left, right])
        }
        "encode" => {
            let encoding = match content.get(0)?.as_str()? {
                "path" => Encoding::Segment,
                "segments" => Encoding::UrlPath,
                "query" => Encoding::Query,
                _ => return None,
            };
            encoded(encoding, child(content.get(1)?)?)
        }
        "builtin" => {
            let encoding = match content.get(0)?.as_str()? {
                "toBase64" => Encoding::Base64,
                "escapeURL" => Encoding::Url,
                "urlPath" => Encoding::UrlPath,
                "escapeXML" => Encoding::Xml,
                _ => return None,
            };
            encoded(encoding, child(content.get(1)?.get(0)?)?)
        }
        "list" => {
            let items = content.as_array()?.iter().map(&mut child).collect::<Option<_>>()?;
            Some(Made::List(items))
        }
        "map" => {
            let mut entries: Vec<(String, Made)> = Vec::new();
            for pair in content.as_array()? {
                let (key, value) = (child(pair.get(0)?)?, child(pair.get(1)?)?);
                let Made::Known(Value::String(key)) = key else { return None };
                // The first of two equal keys wins.
                if !entries.iter().any(|(known, _)| *known == key) {
                    entries.push((key, value));
                }
            }
            Some(Made::Map(entries))
        }
        "chain" => child(content),
        _ => None,
    }
}

fn joined(made: Vec<Made>) -> Option<Made> {
    let mut parts = Vec::new();
    for one in made {
        text_parts(one)?.into_iter().for_each(|part| append(&mut parts, part));
    }
    Some(Made::Parts(parts))
}

fn text_parts(made: Made) -> Option<Vec<Part>> {
    match made {
        Made::Known(Value::String(text)) => Some(vec![Part::Text(text)]),
        Made::Parts(parts) => Some(parts),
        Made::Known(_) | Made::List(_) | Made::Map(_) => None,
    }
}

fn encoded(encoding: Encoding, made: Made) -> Option<Made> {
    let part = Part::Encoded(encoding, text_parts(made)?);
    (part.nesting() <= NESTING_MAX).then(|| Made::Parts(vec![part]))
}

/// Constants are JSON, with tags where JSON has no type.
fn read_literal(stored: &Value) -> Option<Value> {
    match stored {
        Value::Array(items) => items.iter().map(read_literal).collect::<Option<_>>().map(Value::Array),
        Value::Object(tagged) => {
            let (tag, inner) = tagged.iter().next().filter(|_| tagged.len() == 1)?;
            match tag.as_str() {
                "float" => {
                    let number = serde_json::Number::from_f64(inner.as_str()?.parse().ok()?)?;
                    Some(Value::Number(number))
                }
                "map" => {
                    let entries = inner.as_object()?.iter();
                    let entries = entries.map(|(key, item)| Some((key.clone(), read_literal(item)?)));
                    entries.collect::<Option<_>>().map(Value::Object)
                }
                _ => None,
            }
        }
        plain => Some(plain.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(op: &str, content: Value) -> Value {
        json!({ "op": op, "v": content, "at": [0, 1] })
    }

    fn residual(path: &str, nodes: Vec<Value>) -> Value {
        json!([{ "path": path, "expr": nodes, "refs": [["github", "token"], ["db", "pass"]] }])
    }

    fn read(nodes: Vec<Value>) -> Option<(Value, Value)> {
        let mut configuration = json!({ "a": "shown" });
        let fields = read_residuals(&residual("/a", nodes), &mut configuration).ok()?;
        Some((configuration["a"].clone(), serde_json::to_value(fields).unwrap()))
    }

    #[test]
    fn texts_references_and_encodings_are_parts_as_they_were() {
        let nodes = vec![
            node("literal", json!("Basic ")),
            node("literal", json!("user:")),
            node("secret", json!(1)),
            node("binary", json!(["add", 1, 2])),
            node("builtin", json!(["toBase64", [3]])),
            node("text", json!([0, 4])),
        ];
        let (shown, fields) = read(nodes).unwrap();
        assert_eq!(shown, r#"Basic {{ toBase64("user:" + secrets("db").pass) }}"#);
        let parts = json!(["Basic ", { "op": "base64", "parts": ["user:", { "secret": ["db", "pass"] }] }]);
        assert_eq!(fields, json!([{ "path": "/a", "parts": parts }]));
        for (place, op) in [("path", "segment"), ("segments", "urlPath"), ("query", "query")] {
            let nodes = vec![
                node("literal", json!("https://a/")),
                node("secret", json!(0)),
                node("encode", json!([place, 1])),
                node("text", json!([0, 2])),
            ];
            let (_, fields) = read(nodes).unwrap();
            assert_eq!(fields[0]["parts"][1]["op"], op);
        }
    }

    #[test]
    fn a_structure_that_holds_secrets_is_one_field_for_each_text() {
        let children = [
            node("literal", json!("t/1")),
            node("secret", json!(0)),
            node("literal", json!("known")),
            node("literal", json!({ "map": { "n": { "float": "1.5" }, "l": [1, null] } })),
            node("list", json!([1, 3])),
        ];
        let nodes = [&children[..], &[node("map", json!([[0, 4], [2, 2]]))]].concat();
        assert_eq!(read(nodes), None, "a node has one parent");
        let own = [node("literal", json!(true)), node("map", json!([[0, 4], [2, 5]]))];
        let nodes = [&children[..], &own].concat();
        let (shown, fields) = read(nodes).unwrap();
        assert_eq!(
            shown,
            json!({ "t/1": ["{{ secrets(\"github\").token }}", { "n": 1.5, "l": [1, null] }], "known": true })
        );
        assert_eq!(fields, json!([{ "path": "/a/t~11/0", "parts": [{ "secret": ["github", "token"] }] }]));
    }

    #[test]
    fn what_would_have_to_look_at_a_secret_is_not_read() {
        let secret = || node("secret", json!(0));
        for rest in [
            vec![node("slice", json!([0, null, null]))],
            vec![node("builtin", json!(["upper", [0]]))],
            vec![node("literal", json!("x")), node("binary", json!(["equal", 0, 1]))],
            vec![node("literal", json!(1)), node("text", json!([0, 1]))],
            vec![node("choose", json!([0, 0, 0]))],
            vec![node("text", json!([7]))],
            vec![node("raise", json!(["other", "message"]))],
        ] {
            assert_eq!(read([vec![secret()], rest].concat()), None);
        }
        assert_eq!(read(vec![]), None);
        assert_eq!(read(vec![node("secret", json!(9))]), None);
        let deep = (0..=NESTING_MAX).map(|at| node("builtin", json!(["toBase64", [at]])));
        assert_eq!(read(std::iter::once(secret()).chain(deep).collect()), None);
        let mut configuration = json!({ "a": "shown" });
        for stored in [
            json!({}),
            residual("/none", vec![secret()]),
            json!([residual("/a", vec![secret()])[0], residual("/a", vec![secret()])[0]]),
        ] {
            assert!(read_residuals(&stored, &mut configuration).is_err(), "{stored}");
        }
    }

    #[test]
    fn a_field_has_so_many_nodes_and_no_more_i10() {
        let nodes = |count: usize| {
            let mut nodes = vec![node("literal", json!("x")); count - 1];
            nodes.push(node("secret", json!(0)));
            read(nodes).is_some()
        };
        assert!(nodes(NODES_MAX) && !nodes(NODES_MAX + 1));
    }
}
