//! The node's `redact`: places of the output that are blanked before it is stored.

use domain::redactions::{REDACTIONS_BYTES_MAX, REDACTIONS_MAX};
use serde_json::Value;

/// The text in a blanked place.
const REDACTED: &str = "[redacted]";

/// The beginning of the text that the scrubber writes in the place of a secret.
pub const SCRUBBED: &str = "[secret:";

/// Blanks the places (JSON pointers) that `policy.redact` names, and tells which there were.
pub fn redact(data: &mut Value, policy: &Value) -> Vec<String> {
    let pointers = policy.get("redact").and_then(Value::as_array).into_iter().flatten();
    let mut redacted = Vec::new();
    for pointer in pointers.filter_map(Value::as_str) {
        let pointer = place_of(data, pointer);
        if let Some(place) = data.pointer_mut(pointer) {
            *place = Value::String(REDACTED.to_owned());
            redacted.push(pointer.to_owned());
        }
    }
    redacted
}

/// The places at which a secret was scrubbed, no more than are told apart.
pub fn scrubbed_places(data: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(data, &mut String::new(), &mut found);
    found
}

fn collect(value: &Value, pointer: &mut String, found: &mut Vec<String>) {
    let length = pointer.len();
    let mut below = |key: &str, item: &Value, found: &mut Vec<String>| {
        // Enough to tell that there are too many; their names may be long.
        if found.len() > REDACTIONS_MAX || found.iter().map(String::len).sum::<usize>() > REDACTIONS_BYTES_MAX
        {
            return;
        }
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        if key.contains(SCRUBBED) {
            found.push(pointer.clone());
        } else {
            collect(item, pointer, found);
        }
        pointer.truncate(length);
    };
    match value {
        Value::String(text) if text.contains(SCRUBBED) => found.push(pointer.clone()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| below(&at.to_string(), item, found))
        }
        Value::Object(map) => map.iter().for_each(|(key, item)| below(key, item, found)),
        _ => {}
    }
}

/// The pointer itself, or that of the text which stands on its way: a body that could not be read
/// as JSON, mostly because something in it was scrubbed, holds the place somewhere inside.
fn place_of<'p>(data: &Value, pointer: &'p str) -> &'p str {
    let mut above = pointer;
    while data.pointer(above).is_none()
        && let Some((parent, _)) = above.rsplit_once('/')
    {
        above = parent;
    }
    if data.pointer(above).is_some_and(Value::is_string) { above } else { pointer }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_places_are_blanked_and_others_stay() {
        let mut data = json!({ "body": { "access_token": "abc", "user": "u" } });
        let redacted = redact(&mut data, &json!({ "redact": ["/body/access_token", "/missing"] }));
        assert_eq!(redacted, ["/body/access_token"]);
        assert_eq!(data, json!({ "body": { "access_token": "[redacted]", "user": "u" } }));
    }

    #[test]
    fn places_where_a_secret_was_scrubbed_are_found_by_texts_and_keys() {
        let data =
            json!({ "a": ["x", "y [secret:a.b] z"], "b/c": { "[secret:a.b]": { "d": 1 } }, "e": "secret" });
        assert_eq!(scrubbed_places(&data), ["/a/1", "/b~1c/[secret:a.b]"]);
        assert_eq!(scrubbed_places(&json!("[secret:a.b]")), [""]);
        let many = vec!["[secret:a.b]"; 2 * REDACTIONS_MAX];
        let long = json!({ "k".repeat(REDACTIONS_BYTES_MAX): many });
        assert_eq!(scrubbed_places(&long).len(), 1, "nor are long names gathered");
        assert_eq!(
            scrubbed_places(&json!(many)).len(),
            REDACTIONS_MAX + 1,
            "enough to tell that there are too many"
        );
    }

    #[test]
    fn a_text_on_the_way_to_a_named_place_is_blanked_whole_i1() {
        let check = |data: Value, expected: Value| {
            let mut redacted = data.clone();
            redact(&mut redacted, &json!({ "redact": ["/body/a~1b/0/token"] }));
            assert_eq!(redacted, expected, "{data}");
        };
        check(json!({ "body": "{\"token\": canary", "x": "x" }), json!({ "body": "[redacted]", "x": "x" }));
        check(json!({ "body": { "a/b": "canary" } }), json!({ "body": { "a/b": "[redacted]" } }));
        check(json!({ "body": { "a/b": ["canary"] } }), json!({ "body": { "a/b": ["[redacted]"] } }));
        for other in
            [json!({}), json!({ "body": [] }), json!({ "body": { "a": "kept" } }), json!({ "body": 1 })]
        {
            check(other.clone(), other);
        }
    }
}
