//! JSON pointers (RFC 6901), and the form of a place for people.

use serde_json::Value;

/// Calls `visit` with the pointer and the text of every string value, in order. Keys of maps are
/// not visited.
pub fn strings<'v>(value: &'v Value, visit: &mut dyn FnMut(&str, &'v str)) {
    walk(value, &mut String::new(), visit);
}

// The recursion is bounded: definitions are at most DEFINITION_DEPTH_MAX deep, and were checked
// before they were stored.
fn walk<'v>(value: &'v Value, pointer: &mut String, visit: &mut dyn FnMut(&str, &'v str)) {
    let length = pointer.len();
    match value {
        Value::String(text) => visit(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk(item, pointer, visit);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                pointer.push('/');
                pointer.push_str(&escape(key));
                walk(item, pointer, visit);
                pointer.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The place of a pointer for people: `/headers/0/value` of a configuration is
/// `configuration.headers[0].value`. The values in `root` show which segments are indexes.
pub fn field_path(prefix: &str, root: &Value, pointer: &str) -> String {
    let mut path = prefix.to_owned();
    let mut here = Some(root);
    for segment in segments(pointer) {
        if here.is_some_and(Value::is_array) {
            path.push_str(&format!("[{segment}]"));
            here = segment.parse::<usize>().ok().and_then(|index| here?.get(index));
        } else {
            path.push_str(&key_path(&segment));
            here = here.and_then(|here| here.get(&segment));
        }
    }
    path
}

/// A key as part of a place: `.key`, or `["a key"]` where it is no plain word.
pub fn key_path(key: &str) -> String {
    let plain = !key.is_empty()
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
    if plain { format!(".{key}") } else { format!("[{key:?}]") }
}

/// The keys and indexes of a pointer, unescaped.
pub fn segments(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

/// A key as a segment of a pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_string_is_found_with_a_pointer_that_leads_to_it() {
        let value = json!({ "a/b": ["x", 1, { "c~d": "y" }], "e": "z", "f": null });
        let mut found = Vec::new();
        strings(&value, &mut |pointer, text| found.push((pointer.to_owned(), text)));
        assert_eq!(
            found,
            [("/a~1b/0".to_owned(), "x"), ("/a~1b/2/c~0d".to_owned(), "y"), ("/e".to_owned(), "z")]
        );
        for (pointer, text) in found {
            assert_eq!(value.pointer(&pointer), Some(&json!(text)));
        }
    }

    #[test]
    fn a_path_reads_as_the_author_wrote() {
        let root = json!({ "headers": [{ "value": 1 }], "map": { "0": 1 } });
        let check = |pointer: &str, expected: &str| {
            assert_eq!(field_path("configuration", &root, pointer), expected);
        };
        check("", "configuration");
        check("/headers/0/value", "configuration.headers[0].value");
        check("/map/0", "configuration.map.0");
        check("/a~1b/c", "configuration[\"a/b\"].c");
    }
}
