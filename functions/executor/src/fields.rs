//! The fields of an execution's configuration that hold secrets: read, and held against what the component and apply allow.
//!
//! The row is not trusted for where a secret goes: a value that became the method, or that chose the host of a URL, would be told in a
//! message or sent where nobody looked (I7).

use components::{Component, FieldRule, field_rule};
use definition::ResidualAt;
use model::outcome::ResultReason;
use secret_text::{Encoding, FieldKind, Part, SecretField};
use store::executor::ClaimedExecution;

use crate::secrets::{SecretProblem, fails};

/// The fields of one execution that hold secrets.
pub enum Fields {
    /// As this version writes them.
    Parts(Vec<SecretField>),
    /// As the version before wrote them.
    Residuals(Vec<ResidualAt>),
}

impl Fields {
    /// Reads an execution's fields.
    ///
    /// # Errors
    /// [`SecretProblem::Unreadable`] when they are not what a builder writes; [`SecretProblem::Fails`] when a secret stands where none may.
    pub fn read(execution: &ClaimedExecution, component: &dyn Component) -> Result<Self, SecretProblem> {
        let fields = match secret_text::read_fields(&execution.residuals) {
            Ok(fields) => Self::Parts(fields),
            Err(secret_text::Unreadable) => {
                let residuals = serde_json::from_value(execution.residuals.clone());
                Self::Residuals(residuals.map_err(|_| SecretProblem::Unreadable)?)
            }
        };
        let may_hold_secret = |path: &str| !path.is_empty() && field_rule(component, path).secret.is_some();
        if !fields.paths().all(may_hold_secret) {
            let message = "the stored configuration has a secret in a field that may hold none".to_owned();
            return Err(fails(ResultReason::SecretDenied, message));
        }
        if let Self::Parts(fields) = &fields
            && fields.iter().any(|field| !is_bounded(field, field_rule(component, &field.path)))
        {
            let message =
                "a URL that uses a secret begins with a literal scheme and host, or is one secret as a whole"
                    .to_owned();
            return Err(fails(ResultReason::SecretDenied, message));
        }
        Ok(fields)
    }

    /// JSON pointers of the fields.
    pub fn paths(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Parts(fields) => Box::new(fields.iter().map(|field| field.path.as_str())),
            Self::Residuals(residuals) => Box::new(residuals.iter().map(|at| at.path.as_str())),
        }
    }

    /// The references as (name, key, path of the field), each once and in order.
    pub fn references(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        match self {
            Self::Parts(fields) => {
                for field in fields {
                    for part in &field.parts {
                        part.each_reference(&mut |reference| {
                            found.push((reference.name.clone(), reference.key.clone(), field.path.clone()));
                        });
                    }
                }
            }
            Self::Residuals(residuals) => {
                for at in residuals {
                    let refs = at.residual.refs().iter();
                    found.extend(refs.map(|(name, key)| (name.clone(), key.clone(), at.path.clone())));
                }
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
    use serde_json::{Value, json};

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
