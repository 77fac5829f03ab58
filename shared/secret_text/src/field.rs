//! The fields of a configuration that hold secrets, as they are stored beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::part::Part;

/// A field of a configuration that holds secrets: `{"path": "/headers/0/value", "parts": ["Bearer
/// ", {"secret": ["github", "token"]}]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretField {
    /// JSON pointer into the configuration; the place of one text.
    pub path: String,
    /// The parts of the text.
    pub parts: Vec<Part>,
}

/// The error of stored parts that this version can't read. Another version may read them: the
/// execution is given back, not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored parts can't be read by this version of sealflow")]
pub struct Unreadable;

/// Reads the stored list. Nothing in the list is trusted: two fields for one place, or a field
/// within another, are refused.
///
/// # Errors
/// [`Unreadable`].
pub fn read_fields(stored: &Value) -> Result<Vec<SecretField>, Unreadable> {
    let fields = Vec::<SecretField>::deserialize(stored).map_err(|_| Unreadable)?;
    let mut paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
    paths.sort_unstable();
    let overlap = |pair: &[&str]| {
        pair[1].strip_prefix(pair[0]).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // A path below another does not always come right after it in the order: `/a`, `/a-b`, `/a/b`.
    let is_within = |path: &str| {
        path.match_indices('/').any(|(at, _)| at > 0 && paths.binary_search(&&path[..at]).is_ok())
    };
    if paths.windows(2).any(overlap) || paths.iter().any(|path| is_within(path)) {
        return Err(Unreadable);
    }
    Ok(fields)
}

/// The secrets that fields refer to, as (name, key), each once and in order.
#[must_use]
pub fn references(fields: &[SecretField]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in fields.iter().flat_map(|field| &field.parts) {
        part.each_reference(&mut |reference| {
            found.push((reference.name.to_string(), reference.key.to_string()))
        });
    }
    found.sort();
    found.dedup();
    found
}

/// Puts a text in the place of a field. False where the configuration has no text there.
#[must_use]
pub fn put(configuration: &mut Value, path: &str, text: String) -> bool {
    match configuration.pointer_mut(path) {
        Some(place) if place.is_string() => {
            *place = Value::String(text);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_and_their_references_gathered_once() {
        let stored = json!([
            { "path": "/a", "parts": ["x", { "secret": ["z", "y"] }] },
            { "path": "/a-b", "parts": [{ "op": "hmac", "algorithm": "sha1", "format": "hex", "key": [{ "secret": ["b", "k"] }],
                "parts": [{ "secret": ["z", "y"], "path": ["p"] }] }] },
        ]);
        let fields = read_fields(&stored).unwrap();
        assert_eq!(serde_json::to_value(&fields).unwrap(), stored);
        assert_eq!(references(&fields), [("b".into(), "k".into()), ("z".into(), "y".into())]);
        assert_eq!(read_fields(&json!([])), Ok(vec![]));
    }

    #[test]
    fn two_fields_for_one_place_are_not_read_i7() {
        let read = |paths: &[&str]| {
            let stored: Vec<_> = paths.iter().map(|path| json!({ "path": path, "parts": [] })).collect();
            read_fields(&json!(stored)).is_ok()
        };
        assert!(read(&["/a", "/a-b", "/ab", "/b/0", "/b/00"]));
        for paths in [
            &["/a", "/a"][..],
            &["/a/b", "/a"],
            &["/a", "/a-b", "/a/b"],
            &["", "/a"],
            &["/a", "/b", "/a/c/d"],
        ] {
            assert!(!read(paths), "{paths:?}");
        }
    }

    #[test]
    fn anything_else_is_not_read() {
        for stored in [
            json!(null),
            json!({}),
            json!([1]),
            json!([{ "path": "/a" }]),
            json!([{ "path": "/a", "parts": [], "refs": [] }]),
            json!([{ "path": "/a", "expr": [], "refs": [] }]),
            json!([{ "path": "/a", "parts": [{ "op": "new" }] }]),
        ] {
            assert_eq!(read_fields(&stored), Err(Unreadable), "{stored}");
        }
    }

    #[test]
    fn a_text_is_put_in_the_place_of_a_text_alone() {
        let mut configuration = json!({ "a": ["shown"], "b": {} });
        assert!(put(&mut configuration, "/a/0", "value".into()));
        assert_eq!(configuration, json!({ "a": ["value"], "b": {} }));
        for path in ["", "/a", "/b", "/a/1", "/none"] {
            assert!(!put(&mut configuration, path, "value".into()), "{path}");
        }
    }
}
