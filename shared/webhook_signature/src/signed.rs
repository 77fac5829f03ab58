//! The texts that senders sign.

use std::collections::{BTreeMap, BTreeSet};

use components::webhook::SignedPart;
use url::Url;

/// The parts, one after the other; None where a header is missing.
pub(crate) fn parts<'h>(
    parts: &[SignedPart],
    timestamp: &str,
    body: &[u8],
    header: impl Fn(&str) -> Option<&'h str>,
) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(body.len() + 64);
    for part in parts {
        text.extend_from_slice(match part {
            SignedPart::Text(fixed) => fixed.as_bytes(),
            SignedPart::Timestamp => timestamp.as_bytes(),
            SignedPart::Body => body,
            SignedPart::Header(name) => header(name).filter(|value| is_id(value))?.as_bytes(),
        });
    }
    Some(text)
}

/// Bytes of a header that is signed.
const ID_BYTES_MAX: usize = 256;

/// Whether a header has the form of an id. Nothing else is taken for one: a value with the
/// characters that separate the parts could move the boundary between it and the body.
fn is_id(value: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The URL, then the names and values of a form by name, without anything between; the values of
/// one name once each, in order. Another body is not in the text.
pub(crate) fn url_and_form(url: &str, body: &[u8], is_form: bool) -> Vec<u8> {
    let mut text = url.as_bytes().to_vec();
    if is_form {
        let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            fields.entry(name.into_owned()).or_default().insert(value.into_owned());
        }
        for (name, values) in fields {
            for value in values {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(value.as_bytes());
            }
        }
    }
    text
}

/// The URL as it is written, and with its port added or left out: Twilio signs one or the other.
pub(crate) fn with_and_without_port(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Ok(parsed) = Url::parse(url) else { return spellings };
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
        return spellings;
    };
    let Some((scheme, rest)) = url.split_once("://") else { return spellings };
    let path = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
    for authority in [host.to_owned(), format!("{host}:{port}")] {
        let spelling = format!("{scheme}://{authority}{path}");
        if !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_signed_is_an_id_within_its_limit_i10() {
        assert!(is_id("msg_p5jXN8AQM9LWM0D4loKWxJek") && is_id(&"a".repeat(ID_BYTES_MAX)));
        for value in ["", "msg_1.1614265330.{}", "a b", "a:b", &"a".repeat(ID_BYTES_MAX + 1)] {
            assert!(!is_id(value), "{value}");
        }
    }

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        let check = |url: &str, expected: &[&str]| assert_eq!(with_and_without_port(url), expected);
        check("https://a.example/x?y=1", &["https://a.example/x?y=1", "https://a.example:443/x?y=1"]);
        check("https://a.example:1234/x", &["https://a.example:1234/x", "https://a.example/x"]);
        check("http://a.example", &["http://a.example", "http://a.example:80"]);
        check("no url", &["no url"]);
    }
}
