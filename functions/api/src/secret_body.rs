//! Request bodies with secrets. They are read into types that wipe themselves and can't be printed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use domain::allowed_host::AllowedHost;
use domain::limits::SECRET_VALUE_BYTES_MIN;
use domain::placement::Placement;
use serde::{Deserialize, Deserializer};
use vault_format::SecretValue;

use crate::error::ApiError;

/// The body of `PUT /v1/secrets/{name}`: replaces all keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretMapBody {
    /// Keys and their values.
    pub(crate) values: BTreeMap<String, SecretValueBody>,
}

/// The body of `PUT /v1/secrets/{name}/{key}`, and one value of a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretValueBody {
    /// The value.
    #[serde(deserialize_with = "read_value")]
    pub(crate) value: SecretValue,
    /// The hosts to which the value may be sent; not given: the present entry's hosts stay.
    #[serde(default)]
    hosts: Option<Vec<String>>,
    /// The places in a request where the value may stand; not given: the present entry's places
    /// stay.
    #[serde(default, rename = "in")]
    placements: Option<Vec<String>>,
    /// Whether a value that is too short to be scrubbed is accepted all the same.
    #[serde(default)]
    allow_short: bool,
}

/// Reads a value into a type that wipes itself.
pub(crate) fn read_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretValue, D::Error> {
    String::deserialize(deserializer).map(SecretValue::new)
}

impl SecretValueBody {
    /// The given hosts, parsed.
    pub(crate) fn hosts(&self, key: &str) -> Result<Option<Vec<AllowedHost>>, ApiError> {
        read_all(self.hosts.as_deref(), &format!("the hosts of `{key}`"))
    }

    /// The given places, parsed.
    pub(crate) fn placements(&self, key: &str) -> Result<Option<Vec<Placement>>, ApiError> {
        read_all(self.placements.as_deref(), &format!("the places of `{key}` (`in`)"))
    }

    /// Refuses a value that is too short to be scrubbed from outputs, unless it is allowed.
    pub(crate) fn check_length(&self, key: &str) -> Result<(), ApiError> {
        if self.value.len() >= SECRET_VALUE_BYTES_MIN || self.allow_short {
            return Ok(());
        }
        Err(ApiError::Invalid(format!(
            "the value of `{key}` has fewer than {SECRET_VALUE_BYTES_MIN} bytes, so it can't be scrubbed from outputs; \
             `allow_short` (`--allow-short`) takes it all the same"
        )))
    }
}

fn read_all<T>(texts: Option<&[String]>, what: &str) -> Result<Option<Vec<T>>, ApiError>
where
    T: FromStr<Err: Display>,
{
    let Some(texts) = texts else { return Ok(None) };
    let read =
        texts.iter().map(|text| text.parse().map_err(|error| ApiError::Invalid(format!("{what}: {error}"))));
    read.collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SecretValueBody, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_short_value_has_a_limit_on_both_sides() {
        let check = |text: &str, expected: bool| {
            assert_eq!(read(text).unwrap().check_length("k").is_ok(), expected, "{text}");
        };
        check(r#"{"value": "12345678"}"#, true);
        check(r#"{"value": "1234567"}"#, false);
        check(r#"{"value": "1234567", "allow_short": true}"#, true);
        check(r#"{"value": "äöüß"}"#, true);
    }

    #[test]
    fn hosts_that_are_not_given_differ_from_none() {
        assert!(read(r#"{"value": "x"}"#).unwrap().hosts("k").unwrap().is_none());
        assert_eq!(read(r#"{"value": "x", "hosts": []}"#).unwrap().hosts("k").unwrap(), Some(vec![]));
        assert!(read(r#"{"value": "x", "hosts": ["not a host"]}"#).unwrap().hosts("k").is_err());
    }

    #[test]
    fn places_that_are_not_given_differ_from_none() {
        assert!(read(r#"{"value": "x"}"#).unwrap().placements("k").unwrap().is_none());
        assert_eq!(read(r#"{"value": "x", "in": []}"#).unwrap().placements("k").unwrap(), Some(vec![]));
        let given = read(r#"{"value": "x", "in": ["body"]}"#).unwrap().placements("k").unwrap();
        assert_eq!(given, Some(vec![Placement::Body]));
        let Err(ApiError::Invalid(said)) =
            read(r#"{"value": "x", "in": ["cookie"]}"#).unwrap().placements("k")
        else {
            panic!("taken")
        };
        assert!(said.starts_with("the places of `k` (`in`): not a place in a request"), "{said}");
    }

    #[test]
    fn unknown_fields_and_other_types_are_refused() {
        for text in [r#"{"value": 12345678}"#, r#"{"value": "x", "host": []}"#, r#"{}"#, r#""x""#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
