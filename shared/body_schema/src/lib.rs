//! The JSON Schema of a body that somebody else sends: an author writes it, and the intake checks what
//! comes by it ([JSON Schema 2020-12](https://json-schema.org/draft/2020-12)).
//!
//! A schema can't make a check long: it is small and flat, refers to nothing, and its patterns are
//! matched in linear time.

use domain::limits::{SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Problems of one body that are told.
const PROBLEMS_SHOWN: usize = 5;
/// Bytes of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// Keywords by which a schema refers to a schema.
const REFERENCES: [&str; 4] = ["$ref", "$dynamicRef", "$recursiveRef", "$id"];

/// A compiled schema.
#[derive(Debug)]
pub struct Schema(Validator);

/// The reason for which a schema is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// The JSON pointer of the place in the schema.
    pub pointer: String,
    /// The message, as `must …` or a sentence.
    pub message: String,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is no schema, refers to another, or is too large.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        let at = |pointer: &str, message: String| SchemaError { pointer: pointer.to_owned(), message };
        if !schema.is_object() {
            return Err(at("", "must be a map of JSON Schema".to_owned()));
        }
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(at("", format!("must have at most {SCHEMA_BYTES_MAX} bytes as JSON, not {bytes}")));
        }
        check_place(schema, "", 1)?;
        let options = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        let built = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(options)
            .should_validate_formats(false)
            .build(schema);
        match built {
            Ok(validator) => Ok(Self(validator)),
            Err(error) => Err(at(&error.instance_path().to_string(), format!("is no schema: {error}"))),
        }
    }

    /// The problems of a body, at most five. They name places and rules of the schema, and no value of the body.
    #[must_use]
    pub fn problems(&self, body: &Value) -> Vec<String> {
        self.0
            .iter_errors(body)
            .take(PROBLEMS_SHOWN)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the body".to_owned() } else { format!("body{place}") };
                format!("{place}: {}", error.masked())
            })
            .collect()
    }
}

/// Refuses references and what is nested too deep.
fn check_place(value: &Value, pointer: &str, depth: usize) -> Result<(), SchemaError> {
    let refused = |pointer: String, message: String| Err(SchemaError { pointer, message });
    if depth > SCHEMA_DEPTH_MAX {
        return refused(pointer.to_owned(), format!("is nested deeper than {SCHEMA_DEPTH_MAX} levels"));
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let inner_pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                // Under `properties` the same word is the name of a field.
                if REFERENCES.contains(&key.as_str()) && inner.is_string() {
                    return refused(
                        inner_pointer,
                        format!("`{key}` can't be used here: write the schema out"),
                    );
                }
                check_place(inner, &inner_pointer, depth + 1)?;
            }
            Ok(())
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(nth, inner)| check_place(inner, &format!("{pointer}/{nth}"), depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> (String, String) {
        let error = Schema::new(schema).unwrap_err();
        (error.pointer, error.message)
    }

    #[test]
    fn a_body_is_checked_and_its_values_are_not_repeated() {
        let schema = json!({
            "type": "object",
            "required": ["state"],
            "properties": {
                "state": { "enum": ["done", "broken"] },
                "seconds": { "type": "number", "minimum": 0 },
                "build": { "type": "string", "pattern": "^b[0-9]+$" },
            },
        });
        let schema = Schema::new(&schema).unwrap();
        assert_eq!(schema.problems(&json!({ "state": "done", "seconds": 3, "build": "b7" })), [""; 0]);
        let body = json!({ "state": "canary-state", "seconds": "canary-seconds", "build": "canary-build" });
        let problems = schema.problems(&body).join("\n");
        assert!(!problems.contains("canary"), "{problems}");
        for place in ["body/state: ", "body/seconds: ", "body/build: "] {
            assert!(problems.contains(place), "{problems}");
        }
        assert!(schema.problems(&json!({})).join("").contains("state"));
        assert!(schema.problems(&json!([1]))[0].starts_with("the body: "));
    }

    #[test]
    fn what_is_no_schema_or_refers_to_one_is_refused() {
        assert_eq!(refused(&json!([])).1, "must be a map of JSON Schema");
        let (pointer, message) = refused(&json!({ "properties": { "a": { "type": "text" } } }));
        assert!(
            pointer.starts_with("/properties/a") && message.starts_with("is no schema: "),
            "{pointer} {message}"
        );
        let (pointer, message) =
            refused(&json!({ "properties": { "a": { "$ref": "https://example.com" } } }));
        assert_eq!(
            (pointer.as_str(), message.as_str()),
            ("/properties/a/$ref", "`$ref` can't be used here: write the schema out")
        );
        assert!(Schema::new(&json!({ "properties": { "$ref": { "type": "string" } } })).is_ok());
        // A pattern that looks back can't be matched in linear time.
        assert!(refused(&json!({ "pattern": "(a)\\1" })).1.starts_with("is no schema: "));
    }

    #[test]
    fn compiled_patterns_are_small_i10() {
        // A repetition within a repetition is written out.
        let of_letters =
            |count: usize| Schema::new(&json!({ "pattern": format!("^(a{{1,100}}){{1,{count}}}$") }));
        let most = (1..500).take_while(|count| of_letters(*count).is_ok()).count();
        assert!((1..499).contains(&most), "{most} times have {PATTERN_BYTES_MAX} bytes");
        assert!(Schema::new(&json!({ "pattern": "^[0-9]{40}$" })).is_ok());
        assert!(refused(&json!({ "pattern": "(a{1,1000}){1,1000}" })).1.starts_with("is no schema: "));
    }

    #[test]
    fn a_schema_is_small_and_flat_i10() {
        let of_bytes = |bytes: usize| {
            let empty = json!({ "title": "" }).to_string().len();
            Schema::new(&json!({ "title": "a".repeat(bytes - empty) }))
        };
        assert!(of_bytes(SCHEMA_BYTES_MAX).is_ok() && of_bytes(SCHEMA_BYTES_MAX + 1).is_err());
        let deep = |depth: usize| {
            let inner = (2..depth).fold(json!({}), |inner, _| json!({ "not": inner }));
            Schema::new(&json!({ "not": inner }))
        };
        assert!(deep(SCHEMA_DEPTH_MAX).is_ok() && deep(SCHEMA_DEPTH_MAX + 1).is_err());
    }
}
