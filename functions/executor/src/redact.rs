//! The node's `redact`: places of the output that are blanked before it is stored.

use serde_json::Value;

/// What stands in a blanked place.
const REDACTED: &str = "[redacted]";

/// Blanks the places (JSON pointers) that `policy.redact` names.
pub fn redact(data: &mut Value, policy: &Value) {
    let pointers = policy.get("redact").and_then(Value::as_array).into_iter().flatten();
    for pointer in pointers.filter_map(Value::as_str) {
        if let Some(place) = data.pointer_mut(pointer) {
            *place = Value::String(REDACTED.to_owned());
        }
    }
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
}
