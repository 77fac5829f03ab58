//! The forms of signatures that senders give.

use domain::webhook::{MacAlgorithm, MacEncoding};
use serde_json::{Map, Value};

use super::{is_header_name, read_header_name};
use crate::shape::{Reader, child};

/// Seconds by which the timestamp of a delivery may differ from now, if nothing is said.
pub(super) const TOLERANCE_SECONDS_DEFAULT: u32 = 300;
/// The most such seconds.
const TOLERANCE_SECONDS_MAX: u32 = 86_400;
/// Bytes of a prefix and of a text that is signed around the body.
const TEXT_BYTES_MAX: usize = 256;

/// A form of signature: an HMAC in a header, over the body and what else the sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureScheme {
    /// The hash.
    pub algorithm: MacAlgorithm,
    /// The text form.
    pub encoding: MacEncoding,
    /// The text before each signature, such as `v1=`.
    pub prefix: String,
    /// The character between the signatures of one header, which may hold several. None: two could
    /// be read in two ways, so neither is accepted.
    pub separator: Option<char>,
    /// Whether the prefix may be left out.
    pub is_prefix_optional: bool,
    /// The text that is signed.
    pub signed: Signed,
    /// How the key is written.
    pub key_form: KeyForm,
    /// The time of the delivery; None: it has none that is checked.
    pub timestamp: Option<TimestampRule>,
}

/// How a signing key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The bytes of the text are the key.
    Text,
    /// The text is the key in base64, after `whsec_` or not.
    Base64,
}

/// The text that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// These parts, one after the other.
    Parts(Vec<SignedPart>),
    /// Twilio's: the URL, then the names and values of the form by name; for other bodies the URL
    /// alone, whose parameter `bodySHA256` is the body's hash.
    UrlAndForm,
}

/// A part of the text that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedPart {
    /// This text.
    Text(String),
    /// The delivery's timestamp as it was sent.
    Timestamp,
    /// The value of this header (lower-case name).
    Header(String),
    /// The raw body.
    Body,
}

/// The place of a delivery's time, and how old it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRule {
    /// Its place.
    pub at: TimestampAt,
    /// Seconds by which it may differ from now, to either side.
    pub tolerance_seconds: u32,
}

/// The place of a delivery's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimestampAt {
    /// In a header of its own (lower-case name): seconds since 1970, or as RFC 3339 writes it.
    Header(String),
    /// Seconds since 1970 in a field of the signature's header: `t` of `t=1,v1=…`.
    Field(String),
    /// Milliseconds since 1970 in a field of the JSON body, which is signed.
    BodyMilliseconds(&'static str),
}

impl Default for SignatureScheme {
    /// As GitHub signs: HMAC-SHA256 of the raw body in hex, `sha256=` before it or not.
    fn default() -> Self {
        Self {
            algorithm: MacAlgorithm::Sha256,
            encoding: MacEncoding::Hex,
            prefix: "sha256=".to_owned(),
            separator: None,
            is_prefix_optional: true,
            signed: Signed::Parts(vec![SignedPart::Body]),
            key_form: KeyForm::Text,
            timestamp: None,
        }
    }
}

const AT: &str = "/signature";

impl SignatureScheme {
    /// Reads the field `signature` of a webhook's configuration.
    pub(super) fn read(reader: &mut Reader, value: &Value) -> Option<Self> {
        let fields = ["algorithm", "encoding", "prefix", "signed", "timestamp", "tolerance_seconds"];
        let map = reader.object(AT, value, &fields)?;
        let words = |all: Vec<&'static str>, field: &str, reader: &mut Reader| match map.get(field) {
            None => Some(None),
            Some(word) => reader.word(&child(AT, field), word, &all).map(Some),
        };
        let algorithm = words(MacAlgorithm::ALL.iter().map(|it| it.as_str()).collect(), "algorithm", reader);
        let encoding = words(MacEncoding::ALL.iter().map(|it| it.as_str()).collect(), "encoding", reader);
        let prefix = read_text(reader, map, "prefix");
        if prefix.iter().flatten().any(|prefix| prefix.contains(',')) {
            reader.problem("/signature/prefix", "must have no comma, which separates signatures; `v1,` is that of `sender: standard_webhooks`");
        }
        let signed = read_text(reader, map, "signed").and_then(|text| match text {
            None => Some(vec![SignedPart::Body]),
            Some(text) => read_signed(reader, &text),
        });
        let timestamp = read_timestamp(reader, map);
        let signed = signed?;
        let timestamp = timestamp?;
        if signed.contains(&SignedPart::Timestamp) != timestamp.is_some() {
            reader.problem(AT, "`timestamp` says where the time stands, and `signed` has {timestamp} in it: both or neither, for a time that is not signed proves nothing");
            return None;
        }
        let plain = Self::default();
        let is_prefix_given = map.contains_key("prefix");
        let is_list = map.get("prefix").is_some_and(|prefix| prefix != "")
            || matches!(&timestamp, Some(TimestampRule { at: TimestampAt::Field(_), .. }));
        Some(Self {
            algorithm: algorithm?.and_then(|word| word.parse().ok()).unwrap_or(plain.algorithm),
            encoding: encoding?.and_then(|word| word.parse().ok()).unwrap_or(plain.encoding),
            prefix: prefix?.unwrap_or(plain.prefix),
            separator: is_list.then_some(','),
            is_prefix_optional: !is_prefix_given,
            signed: Signed::Parts(signed),
            key_form: KeyForm::Text,
            timestamp,
        })
    }
}

fn read_text(reader: &mut Reader, map: &Map<String, Value>, field: &str) -> Option<Option<String>> {
    let Some(value) = map.get(field) else { return Some(None) };
    let at = child(AT, field);
    let text = reader.text(&at, value)?;
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        reader.problem(
            &at,
            format!("must be text of at most {TEXT_BYTES_MAX} bytes without control characters"),
        );
        return None;
    }
    Some(Some(text))
}

/// `v0:{timestamp}:{body}`
fn read_signed(reader: &mut Reader, text: &str) -> Option<Vec<SignedPart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let part = match name {
            "timestamp" => SignedPart::Timestamp,
            "body" => SignedPart::Body,
            _ => match name.strip_prefix("header:").filter(|name| is_header_name(name)) {
                Some(name) => SignedPart::Header(name.to_ascii_lowercase()),
                None => {
                    reader.problem("/signature/signed", "knows {timestamp}, {body} and {header:NAME} only");
                    return None;
                }
            },
        };
        if !before.is_empty() {
            parts.push(SignedPart::Text(before.to_owned()));
        }
        parts.push(part);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(SignedPart::Text(rest.to_owned()));
    }
    let bodies = parts.iter().filter(|part| **part == SignedPart::Body).count();
    let timestamps = parts.iter().filter(|part| **part == SignedPart::Timestamp).count();
    if bodies != 1 || timestamps > 1 {
        reader.problem("/signature/signed", "must have {body} in it once, and {timestamp} at most once");
        return None;
    }
    Some(parts)
}

fn read_timestamp(reader: &mut Reader, map: &Map<String, Value>) -> Option<Option<TimestampRule>> {
    const TIMESTAMP: &str = "/signature/timestamp";
    let tolerance_seconds = match map.get("tolerance_seconds") {
        None => Some(TOLERANCE_SECONDS_DEFAULT),
        Some(value) => {
            let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| (1..=TOLERANCE_SECONDS_MAX).contains(seconds));
            if seconds.is_none() {
                reader.problem(
                    "/signature/tolerance_seconds",
                    format!("must be a whole number of seconds from 1 to {TOLERANCE_SECONDS_MAX}"),
                );
            }
            seconds
        }
    };
    let Some(value) = map.get("timestamp") else {
        if map.contains_key("tolerance_seconds") {
            reader.problem("/signature/tolerance_seconds", "is for a scheme with a `timestamp`");
        }
        return tolerance_seconds.map(|_| None);
    };
    let place = reader.object(TIMESTAMP, value, &["header", "field"])?;
    let at = match (place.contains_key("header"), place.get("field")) {
        (true, None) => read_header_name(reader, place, TIMESTAMP, "header").map(TimestampAt::Header),
        (false, Some(field)) => {
            let name = field.as_str().filter(|name| is_header_name(name));
            if name.is_none() {
                reader.problem(
                    &child(TIMESTAMP, "field"),
                    "must be the name of a field of the signature's header, such as `t`",
                );
            }
            name.map(|name| TimestampAt::Field(name.to_owned()))
        }
        _ => {
            reader.problem(TIMESTAMP, "must have exactly one of header, field");
            None
        }
    };
    Some(Some(TimestampRule { at: at?, tolerance_seconds: tolerance_seconds? }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shape::Stage;

    fn read(value: &Value) -> Result<SignatureScheme, Vec<String>> {
        let mut reader = Reader::new(Stage::Resolved);
        let read = SignatureScheme::read(&mut reader, value);
        let problems = reader.into_problems();
        if problems.is_empty() {
            Ok(read.unwrap())
        } else {
            Err(problems.into_iter().map(|problem| problem.pointer).collect())
        }
    }

    #[test]
    fn a_scheme_is_written_by_hand() {
        let scheme = read(&json!({ "algorithm": "sha1", "encoding": "base64", "prefix": "v1=",
            "signed": "v0:{timestamp}:{body}", "timestamp": { "header": "X-Time" }, "tolerance_seconds": 60 }))
        .unwrap();
        assert_eq!((scheme.algorithm, scheme.encoding), (MacAlgorithm::Sha1, MacEncoding::Base64));
        assert_eq!((scheme.prefix.as_str(), scheme.is_prefix_optional), ("v1=", false));
        let text = |text: &str| SignedPart::Text(text.to_owned());
        let parts = vec![text("v0:"), SignedPart::Timestamp, text(":"), SignedPart::Body];
        assert_eq!(scheme.signed, Signed::Parts(parts));
        let timestamp = scheme.timestamp.unwrap();
        assert_eq!(
            timestamp,
            TimestampRule { at: TimestampAt::Header("x-time".into()), tolerance_seconds: 60 }
        );
        assert_eq!(read(&json!({})), Ok(SignatureScheme::default()));
        let field = read(&json!({ "signed": "{timestamp}.{body}", "timestamp": { "field": "t" } })).unwrap();
        let expected = TimestampRule {
            at: TimestampAt::Field("t".into()),
            tolerance_seconds: TOLERANCE_SECONDS_DEFAULT,
        };
        assert_eq!(field.timestamp, Some(expected));
    }

    #[test]
    fn what_is_wrong_with_a_scheme_is_said_at_its_place() {
        let check = |value: Value, pointers: &[&str]| {
            let found = read(&value).unwrap_err();
            assert_eq!(found, pointers, "{value}");
        };
        check(json!({ "algorithm": "md5" }), &["/signature/algorithm"]);
        check(json!({ "signed": "{url}{body}" }), &["/signature/signed"]);
        check(json!({ "signed": "constant" }), &["/signature/signed"]);
        check(json!({ "signed": "{body}{body}" }), &["/signature/signed"]);
        check(json!({ "signed": "{timestamp}{body}" }), &["/signature"]);
        check(json!({ "timestamp": { "header": "x-t" } }), &["/signature"]);
        check(json!({ "timestamp": {} }), &["/signature/timestamp"]);
        check(json!({ "timestamp": { "header": "x-t", "field": "t" } }), &["/signature/timestamp"]);
        check(json!({ "tolerance_seconds": 60 }), &["/signature/tolerance_seconds"]);
        check(json!({ "prefix": "a\nb" }), &["/signature/prefix"]);
    }

    #[test]
    fn texts_and_tolerances_have_limits_on_both_sides() {
        let prefix = |bytes: usize| read(&json!({ "prefix": "x".repeat(bytes) })).is_ok();
        assert!(prefix(TEXT_BYTES_MAX) && !prefix(TEXT_BYTES_MAX + 1));
        let tolerance = |seconds: u32| {
            let scheme = json!({ "signed": "{timestamp}{body}", "timestamp": { "field": "t" }, "tolerance_seconds": seconds });
            read(&scheme).is_ok()
        };
        assert!(tolerance(1) && !tolerance(0));
        assert!(tolerance(TOLERANCE_SECONDS_MAX) && !tolerance(TOLERANCE_SECONDS_MAX + 1));
    }
}
