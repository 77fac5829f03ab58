//! The node's `redact`: places of the output that are blanked before it is stored.

use serde_json::Value;

/// What stands in a blanked place.
const REDACTED: &str = "[redacted]";

/// Blanks the places (JSON pointers) that `policy.redact` names.
pub fn redact(data: &mut Value, policy: &Value) {
    let pointers = policy.get("redact").and_then(Value::as_array).into_iter().flatten();
    for pointer in pointers.filter_map(Value::as_str) {
        if let Some(place) = data.pointer_mut(place_of(data, pointer)) {
            *place = Value::String(REDACTED.to_owned());
        }
    }
}

/// The pointer itself, or that of the text which stands on its way: a body that could not be read as JSON, mostly because something in
/// it was scrubbed, holds the place somewhere inside.
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
        redact(&mut data, &json!({ "redact": ["/body/access_token", "/missing"] }));
        assert_eq!(data, json!({ "body": { "access_token": "[redacted]", "user": "u" } }));
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
