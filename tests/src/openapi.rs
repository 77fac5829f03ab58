//! The API's answers, held against `docs/openapi.json`: each status and each field must be
//! described there.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::Response;
use jsonschema::Validator;
use serde_json::{Value, json};

/// An operation of the document, with a validator for each status; None for an answer without a
/// body.
struct Described {
    method: String,
    segments: Vec<String>,
    answers: HashMap<String, Option<(String, Validator)>>,
}

static OPERATIONS: LazyLock<Vec<Described>> = LazyLock::new(|| {
    let mut document: Value =
        serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the document is JSON");
    close(&mut document["components"]["schemas"]);
    let paths = document["paths"].as_object().expect("it has paths").clone();
    paths.iter().flat_map(|(path, methods)| described(path, methods, &document)).collect()
});

/// A field that is not described is a mistake here. For callers the document leaves room: an answer
/// may get new fields.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The operations of one path.
fn described(path: &str, methods: &Value, document: &Value) -> Vec<Described> {
    let operations = methods.as_object().expect("a path has methods").iter();
    operations
        .map(|(method, operation)| {
            let responses = operation["responses"].as_object().expect("an operation has answers").iter();
            let answers = responses.map(|(status, response)| {
                let shared = response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
                let response = shared.map_or(Some(response), |pointer| document.pointer(pointer));
                let response = response.expect("a shared answer is there");
                let content = response["content"].as_object().and_then(|content| content.iter().next());
                let validator = content.map(|(media_type, content)| {
                    let schema = json!({
                        "allOf": [content["schema"]],
                        "components": document["components"],
                    });
                    let options = jsonschema::options().should_validate_formats(true);
                    (media_type.clone(), options.build(&schema).expect("the document's schemas are schemas"))
                });
                (status.clone(), validator)
            });
            Described {
                method: method.to_uppercase(),
                segments: path.split('/').map(str::to_owned).collect(),
                answers: answers.collect(),
            }
        })
        .collect()
}

/// Holds an answer against the document. A path or method that the API does not have needs no
/// description.
///
/// # Panics
/// When the document does not describe it.
pub fn check(method: &str, path: &str, status: u16, media_type: &str, body: &Value) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let is_path = |operation: &&Described| {
        operation.segments.len() == segments.len()
            && operation
                .segments
                .iter()
                .zip(&segments)
                .all(|(wanted, given)| wanted.starts_with('{') && !given.is_empty() || wanted == given)
    };
    let mut operations = OPERATIONS.iter().filter(is_path).filter(|operation| operation.method == method);
    let Some(operation) = operations.next() else {
        assert!(
            matches!(status, 401 | 404 | 405),
            "docs/openapi.json has no {method} {path}: {status} {body}"
        );
        return;
    };
    let Some(answer) = operation.answers.get(&status.to_string()) else {
        panic!("docs/openapi.json has no {status} for {method} {path}: {body}");
    };
    match answer {
        None => assert!(body.is_null(), "docs/openapi.json has no body for {method} {path} {status}: {body}"),
        Some((described, validator)) => {
            assert_eq!(media_type, described, "{method} {path} {status}");
            let errors: Vec<String> = validator
                .iter_errors(body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(
                errors.is_empty(),
                "{method} {path} {status} is not as docs/openapi.json has it:\n{}\n{body:#}",
                errors.join("\n")
            );
        }
    }
}

/// [`check`] of a whole answer.
///
/// # Panics
/// When the document does not describe it.
pub fn check_response(method: &str, path: &str, answer: &Response<Bytes>) {
    let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    check(method, path, answer.status().as_u16(), media_type.unwrap_or_default(), &body);
}
