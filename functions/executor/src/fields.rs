//! The fields of an execution's configuration that hold secrets. They are read, and checked against
//! the rules of the component and of apply.
//!
//! The stored row is not trusted with the place of a secret. If a secret stood in the field
//! `method`, a message would repeat it. A secret that chose the host of a URL would be sent to a
//! host that no check approved (I7).

use components::{Component, FieldRule, field_rule};
use domain::execution::ResultReason;
use secret_text::{Context, Encoding, FieldKind, Part, SecretField, Unreadable, read_fields, read_residuals};
use serde_json::Value;
use store::JsonText;
use store::executor::ClaimedExecution;

use crate::secret_problem::{SecretProblem, fails};

/// The fields of one execution that hold secrets, and the configuration that they stand in.
pub struct Fields {
    /// The fields.
    pub fields: Vec<SecretField>,
    /// The configuration for display, with a text in the place of each field.
    pub configuration: Value,
}

impl Fields {
    /// Reads an execution's fields, in the form of this version or the older form.
    ///
    /// # Errors
    /// [`SecretProblem::Unreadable`] when they have neither form; [`SecretProblem::Fails`] when a
    /// secret stands in a place where none may.
    pub fn read(execution: &ClaimedExecution, component: &dyn Component) -> Result<Self, SecretProblem> {
        let read = |text: &JsonText| text.read().map_err(|_| SecretProblem::Unreadable);
        let (mut configuration, residuals) = (read(&execution.configuration)?, read(&execution.residuals)?);
        let fields = read_fields(&residuals)
            .or_else(|Unreadable| read_residuals(&residuals, &mut configuration))
            .map_err(|Unreadable| SecretProblem::Unreadable)?;
        for field in &fields {
            let rule = field_rule(component, &field.path);
            if field.path.is_empty() || rule.secret.is_none() {
                let message =
                    "the stored configuration has a secret in a field that may hold none".to_owned();
                return Err(fails(ResultReason::SecretDenied, message));
            }
            if !field.parts.iter().all(has_secret_keys) {
                let message = "the stored configuration has a code whose key is no secret";
                return Err(fails(ResultReason::SecretDenied, message.to_owned()));
            }
            let may_sign = rule.secret == Some(Context::Signature);
            if field.parts.iter().any(|part| has_loose_request(part) || (!may_sign && has_request(part))) {
                let message =
                    "the stored configuration has a part of the request outside of a signature of it";
                return Err(fails(ResultReason::SecretDenied, message.to_owned()));
            }
            if rule.secret == Some(Context::Key) && !is_one_secret(&field.parts) {
                let message = "a key is one secret as it is, or a text in its JSON, without text beside it or an encoding";
                return Err(fails(ResultReason::SecretDenied, message.to_owned()));
            }
            if !is_bounded(field, rule) {
                let message = "a URL that uses a secret begins with a literal scheme and host, or is one secret as a whole";
                return Err(fails(ResultReason::SecretDenied, message.to_owned()));
            }
        }
        Ok(Self { fields, configuration })
    }

    /// True if the whole URL is one secret.
    pub fn has_whole_url(&self, component: &dyn Component) -> bool {
        let is_url = |field: &SecretField| field_rule(component, &field.path).kind == FieldKind::Url;
        self.fields.iter().any(|field| is_url(field) && matches!(field.parts.as_slice(), [Part::Secret(_)]))
    }

    /// The references as (name, key, path of the field), each once and in order.
    pub fn references(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for field in &self.fields {
            for part in &field.parts {
                part.each_reference(&mut |reference| {
                    found.push((reference.name.to_string(), reference.key.to_string(), field.path.clone()));
                });
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Whether the whole URL is one secret, or the URL has a literal scheme, host and port before parts
/// that are encoded for their places. True for fields of other kinds.
fn is_bounded(field: &SecretField, rule: FieldRule) -> bool {
    if rule.kind != FieldKind::Url {
        return true;
    }
    match field.parts.as_slice() {
        [Part::Secret(reference)] => reference.is_whole(),
        [Part::Text(head), rest @ ..] => has_origin(head) && is_encoded(head, rest),
        _ => false,
    }
}

/// Whether each authentication code has a secret in its key. A code under a known key would reveal
/// something about its data.
fn has_secret_keys(part: &Part) -> bool {
    match part {
        Part::Text(_) | Part::Secret(_) | Part::SentAt(_) | Part::Request(_) => true,
        Part::Encoded(_, parts) => parts.iter().all(has_secret_keys),
        Part::Mac { key, data, .. } => {
            let is_secret = |part: &Part| matches!(part, Part::Secret(_) | Part::Mac { .. });
            key.iter().any(is_secret) && key.iter().chain(data).all(has_secret_keys)
        }
    }
}

/// True if the parts are one unchanged secret, or one text in its JSON. With other text beside the
/// secret, the check whether the whole is a valid key would reveal something about the secret.
fn is_one_secret(parts: &[Part]) -> bool {
    matches!(parts, [Part::Secret(reference)] if !reference.is_base64 || !reference.path.is_empty())
}

/// True if a part of the request stands in `part`.
fn has_request(part: &Part) -> bool {
    match part {
        Part::Request(_) => true,
        Part::Text(_) | Part::Secret(_) | Part::SentAt(_) => false,
        Part::Encoded(_, parts) => parts.iter().any(has_request),
        Part::Mac { key, data, .. } => key.iter().chain(data).any(has_request),
    }
}

/// True if a part of the request stands in `part` outside the data of an authentication code, its
/// only allowed place.
fn has_loose_request(part: &Part) -> bool {
    match part {
        Part::Request(_) => true,
        Part::Text(_) | Part::Secret(_) | Part::SentAt(_) => false,
        Part::Encoded(_, parts) => parts.iter().any(has_loose_request),
        Part::Mac { key, data, .. } => {
            let in_data = |part: &Part| !matches!(part, Part::Request(_)) && has_loose_request(part);
            key.iter().any(has_request) || data.iter().any(in_data)
        }
    }
}

/// Whether a text has a URL's scheme, host and port, and the character that ends them.
fn has_origin(head: &str) -> bool {
    head.split_once("://").is_some_and(|(_, rest)| rest.find(['/', '?', '#']).is_some_and(|end| end > 0))
}

/// Whether each part of a URL after its beginning stands in the place for which it is encoded: a
/// part for the path must not stand in the query.
fn is_encoded(head: &str, rest: &[Part]) -> bool {
    let mut is_path = !head.contains(['?', '#']);
    rest.iter().all(|part| match part {
        Part::Text(text) => {
            is_path &= !text.contains(['?', '#']);
            true
        }
        Part::Encoded(Encoding::Segment | Encoding::UrlPath, _) => is_path,
        Part::Encoded(Encoding::Query, _) => !is_path,
        Part::Encoded(Encoding::Base64 | Encoding::Url | Encoding::Xml | Encoding::Json, _)
        | Part::Secret(_)
        | Part::SentAt(_)
        | Part::Request(_)
        | Part::Mac { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_chooses_no_host_beside_other_text_i7() {
        let component = components::effect("http").unwrap();
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
        check(json!(["https://a.example/#", encoded("query")]), true);
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
            json!(["https://a.example/?q=", encoded("segment")]),
            json!(["https://a.example/", encoded("query")]),
            json!(["https://a.example/", encoded("segment"), "?", encoded("urlPath")]),
        ] {
            check(parts, false);
        }
    }

    #[test]
    fn a_key_is_one_secret_and_nothing_else_i1() {
        let check = |parts: Value, expected: bool| {
            let parts: Vec<Part> = serde_json::from_value(parts).unwrap();
            assert_eq!(is_one_secret(&parts), expected, "{parts:?}");
        };
        let secret = json!({ "secret": ["a", "b"] });
        check(json!([secret]), true);
        check(json!([{ "secret": ["a", "b"], "path": ["key"] }]), true);
        check(json!([{ "secret": ["a", "b"], "from": "base64", "path": ["key"] }]), true);
        check(json!([{ "secret": ["a", "b"], "from": "base64" }]), false);
        check(json!(["-----BEGIN", secret]), false);
        check(json!([secret, "\n"]), false);
        check(json!([{ "op": "base64", "parts": [secret] }]), false);
        check(json!([]), false);
    }

    #[test]
    fn a_part_of_the_request_stands_in_the_data_of_a_code_alone_i1() {
        let body = json!({ "request": "body" });
        let code = |key: Value, data: Value| json!({ "op": "hmac", "algorithm": "sha256", "format": "bytes", "key": key, "parts": data });
        let secret = || json!([{ "secret": ["a", "b"] }]);
        let check = |part: Value, loose: bool| {
            let part: Part = serde_json::from_value(part).unwrap();
            assert!(has_request(&part), "{part:?}");
            assert_eq!(has_loose_request(&part), loose, "{part:?}");
        };
        check(code(secret(), json!(["v0:", body])), false);
        check(code(json!([code(secret(), json!([body]))]), json!(["x"])), true);
        check(body.clone(), true);
        check(json!({ "op": "base64", "parts": [body] }), true);
        check(code(json!([body]), json!(["x"])), true);
        check(code(secret(), json!([{ "op": "base64", "parts": [body] }])), true);
        check(code(secret(), json!([code(secret(), json!([body]))])), false);
    }

    #[test]
    fn a_code_has_a_secret_as_its_key_i1() {
        let check = |key: Value, expected: bool| {
            let code = json!({ "op": "hmac", "algorithm": "sha256", "format": "bytes", "key": key, "parts": [{ "secret": ["a", "b"] }] });
            let outer =
                json!({ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": [code], "parts": [] });
            for part in [code, json!({ "op": "base64", "parts": [outer] })] {
                let part: Part = serde_json::from_value(part).unwrap();
                assert_eq!(has_secret_keys(&part), expected, "{part:?}");
            }
        };
        check(json!([{ "secret": ["a", "b"] }]), true);
        check(json!(["prefix", { "secret": ["a", "b"], "from": "base64" }]), true);
        check(json!(["known"]), false);
        check(json!([]), false);
        check(json!([{ "sent_at": "unix" }]), false);
    }
}
