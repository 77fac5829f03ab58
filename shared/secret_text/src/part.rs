//! The parts of a text, and their form as JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, MacFormat, RequestPart, TimeFormat};

/// Deepest nesting of encodings.
pub const NESTING_MAX: usize = 4;
/// Steps of a path into a secret's JSON.
pub const PATH_STEPS_MAX: usize = 20;

/// A part of a text. It holds references and known text, never a value.
///
/// As JSON: `"text"`, `{"secret": ["name", "key"]}`, `{"sent_at": "unix"}`, `{"request": "body"}`,
/// `{"op": "base64", "parts": […]}`, and `{"op": "hmac", "algorithm": "sha256", "format": "hex",
/// "key": […], "parts": […]}`. A reference may have `"from": "base64"` and a `"path"` into its
/// JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub enum Part {
    /// Known text.
    Text(String),
    /// A secret's value.
    Secret(Reference),
    /// The instant of the attempt.
    SentAt(TimeFormat),
    /// A part of the request that the text belongs to; in the data of a MAC only.
    Request(RequestPart),
    /// Parts under an encoding.
    Encoded(Encoding, Vec<Part>),
    /// The message authentication code (MAC) of parts.
    Mac {
        /// The hash.
        algorithm: Algorithm,
        /// The written form of the MAC.
        format: MacFormat,
        /// The key.
        key: Vec<Part>,
        /// The message.
        data: Vec<Part>,
    },
}

/// One key of one secret, or a place in its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The secret's name.
    pub name: Arc<str>,
    /// The key in the secret.
    pub key: Arc<str>,
    /// Whether the value is base64, to be decoded first.
    pub is_base64: bool,
    /// The steps into the value's JSON; empty for the value itself.
    pub path: Vec<Step>,
}

/// One step into JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// An element of a list; negative from its end.
    Index(i64),
    /// A key of a map.
    Key(String),
}

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// Base64, padded.
    Base64,
    /// Percent-encoded, by the author's `escapeURL`.
    Url,
    /// Several segments of a URL's path, by the author's `urlPath`.
    UrlPath,
    /// One segment of a URL's path.
    Segment,
    /// A place in a URL's query or fragment.
    Query,
    /// Entities of XML.
    Xml,
    /// A JSON text in quotes.
    Json,
}

impl Part {
    /// Levels of encodings, this one included.
    #[must_use]
    pub fn nesting(&self) -> usize {
        match self {
            Part::Text(_) | Part::Secret(_) | Part::SentAt(_) | Part::Request(_) => 0,
            Part::Encoded(_, parts) => 1 + nesting(parts),
            Part::Mac { key, data, .. } => 1 + nesting(key).max(nesting(data)),
        }
    }

    /// Calls `each` with every reference to a secret, keys of MACs included.
    pub fn each_reference<'p>(&'p self, each: &mut dyn FnMut(&'p Reference)) {
        match self {
            Part::Text(_) | Part::SentAt(_) | Part::Request(_) => {}
            Part::Secret(reference) => each(reference),
            Part::Encoded(_, parts) => parts.iter().for_each(|part| part.each_reference(each)),
            Part::Mac { key, data, .. } => key.iter().chain(data).for_each(|part| part.each_reference(each)),
        }
    }
}

impl Reference {
    /// A reference to the whole value of a key.
    pub fn to(name: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), key: key.into(), is_base64: false, path: Vec::new() }
    }

    /// Whether the reference is to the unchanged value.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.is_base64 && self.path.is_empty()
    }
}

fn nesting(parts: &[Part]) -> usize {
    parts.iter().map(Part::nesting).max().unwrap_or(0)
}

/// Adds a part after others. Text after text is joined.
pub fn append(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (_, Part::Text(text)) if text.is_empty() => {}
        (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
        (_, part) => parts.push(part),
    }
}

/// The form in which a part is stored.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Secret(SecretWire),
    SentAt(SentAtWire),
    Request(RequestWire),
    Mac(MacWire),
    Encoded(EncodedWire),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretWire {
    secret: (String, String),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<From64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From64 {
    Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentAtWire {
    sent_at: TimeFormat,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestWire {
    request: RequestPart,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodedWire {
    op: Encoding,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MacWord {
    Hmac,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MacWire {
    op: MacWord,
    algorithm: Algorithm,
    format: MacFormat,
    key: Vec<Part>,
    parts: Vec<Part>,
}

impl From<Part> for Wire {
    fn from(part: Part) -> Wire {
        match part {
            Part::Text(text) => Wire::Text(text),
            Part::Secret(Reference { name, key, is_base64, path }) => {
                let from = is_base64.then_some(From64::Base64);
                Wire::Secret(SecretWire { secret: (name.to_string(), key.to_string()), from, path })
            }
            Part::SentAt(sent_at) => Wire::SentAt(SentAtWire { sent_at }),
            Part::Request(request) => Wire::Request(RequestWire { request }),
            Part::Encoded(op, parts) => Wire::Encoded(EncodedWire { op, parts }),
            Part::Mac { algorithm, format, key, data } => {
                Wire::Mac(MacWire { op: MacWord::Hmac, algorithm, format, key, parts: data })
            }
        }
    }
}

impl TryFrom<Wire> for Part {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Part, &'static str> {
        let part = match wire {
            Wire::Text(text) => Part::Text(text),
            Wire::Secret(SecretWire { secret: (name, key), from, path }) => {
                if path.len() > PATH_STEPS_MAX {
                    return Err("a path into a secret has too many steps");
                }
                Part::Secret(Reference {
                    name: name.into(),
                    key: key.into(),
                    is_base64: from.is_some(),
                    path,
                })
            }
            Wire::SentAt(SentAtWire { sent_at }) => Part::SentAt(sent_at),
            Wire::Request(RequestWire { request }) => Part::Request(request),
            Wire::Encoded(EncodedWire { op, parts }) => Part::Encoded(op, parts),
            Wire::Mac(MacWire { algorithm, format, key, parts, .. }) => {
                Part::Mac { algorithm, format, key, data: parts }
            }
        };
        if part.nesting() > NESTING_MAX {
            return Err("encodings of a part are nested too deeply");
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(stored: &Value) -> Option<Part> {
        serde_json::from_value(stored.clone()).ok()
    }

    #[test]
    fn every_part_comes_back_as_it_was_stored() {
        for stored in [
            json!("text"),
            json!({ "secret": ["github", "token"] }),
            json!({ "secret": ["gcp", "account"], "from": "base64", "path": ["keys", 0, "id", -1] }),
            json!({ "sent_at": "unix_ms" }),
            json!({ "request": "body_sha256" }),
            json!({ "op": "base64", "parts": ["user:", { "secret": ["a", "b"] }] }),
            json!({ "op": "urlPath", "parts": [] }),
            json!({ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": [{ "secret": ["a", "b"] }], "parts": ["x"] }),
        ] {
            let part = read(&stored).unwrap_or_else(|| panic!("{stored}"));
            assert_eq!(serde_json::to_value(&part).unwrap(), stored);
        }
    }

    #[test]
    fn anything_else_is_not_read() {
        for stored in [
            json!(1),
            json!(["text"]),
            json!({}),
            json!({ "secret": ["a"] }),
            json!({ "secret": ["a", "b", "c"] }),
            json!({ "secret": ["a", "b"], "more": 1 }),
            json!({ "secret": ["a", "b"], "from": "hex" }),
            json!({ "sent_at": "tomorrow" }),
            json!({ "request": "headers" }),
            json!({ "op": "upper", "parts": [] }),
            json!({ "op": "base64" }),
            json!({ "op": "base64", "parts": [], "key": [] }),
            json!({ "op": "hmac", "parts": [] }),
        ] {
            assert_eq!(read(&stored), None, "{stored}");
        }
    }

    #[test]
    fn encodings_and_paths_have_their_limits_i10() {
        let nested = |levels: usize| {
            (0..levels).fold(json!("x"), |inner, _| json!({ "op": "base64", "parts": [inner] }))
        };
        assert_eq!(read(&nested(NESTING_MAX)).unwrap().nesting(), NESTING_MAX);
        assert_eq!(read(&nested(NESTING_MAX + 1)), None);
        let path = |steps: usize| read(&json!({ "secret": ["a", "b"], "path": vec!["c"; steps] })).is_some();
        assert!(path(PATH_STEPS_MAX) && !path(PATH_STEPS_MAX + 1));
    }

    #[test]
    fn texts_that_meet_become_one() {
        let mut parts = Vec::new();
        for text in ["a", "", "b"] {
            append(&mut parts, Part::Text(text.to_owned()));
        }
        append(&mut parts, Part::SentAt(TimeFormat::Unix));
        append(&mut parts, Part::Text("c".to_owned()));
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(parts, [text("ab"), Part::SentAt(TimeFormat::Unix), text("c")]);
    }
}
