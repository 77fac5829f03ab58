//! Signatures of webhook deliveries: checked as a receiver, and made as a sender would make them.

mod check;
mod signed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use components::webhook::{MacAlgorithm, MacEncoding, SignatureScheme, Signed, TimestampAt};
use jiff::Timestamp;
use ring::hmac;

pub use check::{Delivery, Verdict, check, codes, read_code};

/// A request as a sender sends it.
#[derive(Clone, Copy)]
pub struct SentRequest<'r> {
    /// The whole URL.
    pub url: &'r str,
    /// The raw body.
    pub body: &'r [u8],
    /// Whether the body is a form.
    pub is_form: bool,
}

/// The headers that a sender adds to its request: the signature's, and the timestamp's.
#[must_use]
pub fn sign(
    scheme: &SignatureScheme,
    header: &str,
    key: &[u8],
    request: SentRequest<'_>,
    now: Timestamp,
) -> Vec<(String, String)> {
    let timestamp = now.as_second().to_string();
    let text = match &scheme.signed {
        Signed::Parts(parts) => signed::parts(parts, &timestamp, request.body),
        Signed::UrlAndForm => signed::url_and_form(request.url, request.body, request.is_form),
    };
    let code = hmac::sign(&hmac_key(scheme.algorithm, key), &text);
    let code = match scheme.encoding {
        MacEncoding::Hex => hex::encode(code),
        MacEncoding::Base64 => STANDARD.encode(code),
    };
    let signature = format!("{}{code}", scheme.prefix);
    match scheme.timestamp.as_ref().map(|rule| &rule.at) {
        Some(TimestampAt::Field(name)) => {
            vec![(header.to_owned(), format!("{name}={timestamp},{signature}"))]
        }
        Some(TimestampAt::Header(name)) => {
            vec![(name.clone(), timestamp), (header.to_owned(), signature)]
        }
        Some(TimestampAt::BodyMilliseconds(_)) | None => vec![(header.to_owned(), signature)],
    }
}

/// The URL and the body that a sender sends for these: the time that its body has is now, and a body
/// that is no form has its hash in the URL, where the scheme wants that. None where the body is no
/// JSON in which the time could stand.
#[must_use]
pub fn prepare(
    scheme: &SignatureScheme,
    request: SentRequest<'_>,
    now: Timestamp,
) -> Option<(String, Vec<u8>)> {
    let (mut url, mut body) = (request.url.to_owned(), request.body.to_vec());
    if let Some(TimestampAt::BodyMilliseconds(field)) = scheme.timestamp.as_ref().map(|rule| &rule.at) {
        let mut json: serde_json::Value = serde_json::from_slice(&body).ok()?;
        json.as_object_mut()?.insert((*field).to_owned(), now.as_millisecond().into());
        body = serde_json::to_vec(&json).ok()?;
    }
    if scheme.signed == Signed::UrlAndForm && !request.is_form {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("bodySHA256=");
        url.push_str(&hex::encode(ring::digest::digest(&ring::digest::SHA256, &body)));
    }
    Some((url, body))
}

fn hmac_key(algorithm: MacAlgorithm, key: &[u8]) -> hmac::Key {
    let algorithm = match algorithm {
        MacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        MacAlgorithm::Sha512 => hmac::HMAC_SHA512,
        MacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    };
    hmac::Key::new(algorithm, key)
}
