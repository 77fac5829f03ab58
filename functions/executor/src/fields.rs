//! The fields of an execution's configuration that hold secrets: read, and held against what the component and apply allow.
//!
//! The row is not trusted for where a secret goes: a value that became the method, or that chose the host of a URL, would be told in a
//! message or sent where nobody looked (I7).

use components::{Component, FieldRule, field_rule};
use model::outcome::ResultReason;
use secret_text::{Encoding, FieldKind, Part, SecretField, Unreadable, read_fields, read_residuals};
use serde_json::Value;
use store::executor::ClaimedExecution;

use crate::secrets::{SecretProblem, fails};

/// The fields of one execution that hold secrets, and the configuration that they stand in.
pub struct Fields {
    /// The fields.
    pub fields: Vec<SecretField>,
    /// The configuration as people see it, with a text in the place of each field.
    pub configuration: Value,
}

impl Fields {
    /// Reads an execution's fields, as this version stores them or as the one before did.
    ///
    /// # Errors
    /// [`SecretProblem::Unreadable`] when they are not what a builder writes; [`SecretProblem::Fails`] when a secret stands where none may.
    pub fn read(execution: &ClaimedExecution, component: &dyn Component) -> Result<Self, SecretProblem> {
        let mut configuration = execution.configuration.clone();
        let fields = read_fields(&execution.residuals)
            .or_else(|Unreadable| read_residuals(&execution.residuals, &mut configuration))
            .map_err(|Unreadable| SecretProblem::Unreadable)?;
        for field in &fields {
            let rule = field_rule(component, &field.path);
            if field.path.is_empty() || rule.secret.is_none() {
                let message =
                    "the stored configuration has a secret in a field that may hold none".to_owned();
                return Err(fails(ResultReason::SecretDenied, message));
            }
            if !is_bounded(field, rule) {
                let message = "a URL that uses a secret begins with a literal scheme and host, or is one secret as a whole";
                return Err(fails(ResultReason::SecretDenied, message.to_owned()));
            }
        }
        Ok(Self { fields, configuration })
    }

    /// The references as (name, key, path of the field), each once and in order.
    pub fn references(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for field in &self.fields {
            for part in &field.parts {
                part.each_reference(&mut |reference| {
                    found.push((reference.name.clone(), reference.key.clone(), field.path.clone()));
                });
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Whether no secret chooses scheme, host and port of a URL together with something else. Fields of other kinds have none.
fn is_bounded(field: &SecretField, rule: FieldRule) -> bool {
    if rule.kind != FieldKind::Url {
        return true;
    }
    match field.parts.as_slice() {
        [Part::Secret(reference)] => reference.is_whole(),
        [Part::Text(head), rest @ ..] => has_origin(head) && rest.iter().all(is_encoded),
        _ => false,
    }
}

/// Whether a text has a URL's scheme, host and port, and where they end.
fn has_origin(head: &str) -> bool {
    head.split_once("://").is_some_and(|(_, rest)| rest.find(['/', '?', '#']).is_some_and(|end| end > 0))
}

/// Whether a part of a URL stays in its place.
fn is_encoded(part: &Part) -> bool {
    matches!(part, Part::Text(_) | Part::Encoded(Encoding::Segment | Encoding::UrlPath | Encoding::Query, _))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_chooses_no_host_beside_other_text_i7() {
        let component = components::component("http").unwrap();
        let check = |parts: Value, expected: bool| {
            let field: SecretField =
                serde_json::from_value(json!({ "path": "/url", "parts": parts })).unwrap();
            assert_eq!(is_bounded(&field, field_rule(component, "/url")), expected, "{parts}");
        };
        let secret = json!({ "secret": ["a", "b"] });
        let encoded = |op: &str| json!({ "op": op, "parts": [secret] });
        check(json!([secret]), true);
        check(json!(["https://a.example/", encoded("segment"), "?q=", encoded("query")]), true);
        check(json!(["https://a.example?", encoded("query")]), true);
        for parts in [
            json!([]),
            json!([secret, secret]),
            json!(["https://", secret]),
            json!(["https://a.example", encoded("segment")]),
            json!(["https:///", encoded("segment")]),
            json!(["https://a.example/", secret]),
            json!(["https://a.example/", encoded("base64")]),
            json!([encoded("url")]),
            json!([{ "secret": ["a", "b"], "path": ["c"] }]),
            json!([{ "sent_at": "unix" }]),
        ] {
            check(parts, false);
        }
    }
}
