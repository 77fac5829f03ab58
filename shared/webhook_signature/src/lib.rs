//! Signatures of webhook deliveries: checked as a receiver, and made as a sender would make them.

mod check;
mod signed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use components::webhook::{
    KeyForm, MacAlgorithm, MacEncoding, SignatureScheme, Signed, SignedPart, TimestampAt,
};
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
    /// The value of the headers that are signed beside the timestamp: the delivery's id.
    pub id: &'r str,
}

/// The headers that a sender adds to its request: the signature's, and those that are signed.
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
        Signed::Parts(parts) => {
            let id = |_: &str| Some(request.id);
            signed::parts(parts, &timestamp, request.body, id).unwrap_or_default()
        }
        Signed::UrlAndForm => signed::url_and_form(request.url, request.body, request.is_form),
    };
    let code = hmac::sign(&hmac_key(scheme, key), &text);
    let code = match scheme.encoding {
        MacEncoding::Hex => hex::encode(code),
        MacEncoding::Base64 => STANDARD.encode(code),
    };
    let signature = format!("{}{code}", scheme.prefix);
    let mut headers = signed_headers(scheme, request.id);
    match scheme.timestamp.as_ref().map(|rule| &rule.at) {
        Some(TimestampAt::Field(name)) => {
            headers.push((header.to_owned(), format!("{name}={timestamp},{signature}")));
        }
        Some(TimestampAt::Header(name)) => {
            headers.extend([(name.clone(), timestamp), (header.to_owned(), signature)]);
        }
        Some(TimestampAt::BodyMilliseconds(_)) | None => headers.push((header.to_owned(), signature)),
    }
    headers
}

/// The headers that are signed beside the timestamp, with the delivery's id.
fn signed_headers(scheme: &SignatureScheme, id: &str) -> Vec<(String, String)> {
    let Signed::Parts(parts) = &scheme.signed else { return Vec::new() };
    let names = parts.iter().filter_map(|part| match part {
        SignedPart::Header(name) => Some(name.clone()),
        SignedPart::Text(_) | SignedPart::Timestamp | SignedPart::Body => None,
    });
    names.map(|name| (name, id.to_owned())).collect()
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

/// The key of a scheme. One that is not in the form of its scheme is taken as it is written.
fn hmac_key(scheme: &SignatureScheme, key: &[u8]) -> hmac::Key {
    let algorithm = match scheme.algorithm {
        MacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        MacAlgorithm::Sha512 => hmac::HMAC_SHA512,
        MacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    };
    let decoded = match scheme.key_form {
        KeyForm::Text => None,
        KeyForm::Base64 => STANDARD.decode(key.strip_prefix(b"whsec_").unwrap_or(key)).ok(),
    };
    hmac::Key::new(algorithm, decoded.as_deref().unwrap_or(key))
}
