//! The check of a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use components::webhook::{MacEncoding, SignatureScheme, Signed, TimestampAt, TimestampRule};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::hmac;
use url::Url;

use crate::{hmac_key, signed};

/// Signatures in one header that are tried.
const SIGNATURES_MAX: usize = 10;

/// A delivery, as far as its signature depends on it.
#[derive(Clone, Copy)]
pub struct Delivery<'d> {
    /// The only value of a header, by its lower-case name; None where it is missing or stands more
    /// than once: two values could be read in two ways.
    pub header: &'d dyn Fn(&str) -> Option<&'d str>,
    /// The raw body.
    pub body: &'d [u8],
    /// The URL that the sender called.
    pub url: &'d str,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A signature is that of the delivery, and its time is now.
    Good,
    /// None is.
    Bad,
    /// A signature is the delivery's, but its time is too long ago, or in the future.
    Old,
}

/// Checks the signature in `header` (lower-case name) by any of the keys.
pub fn check<'k>(
    scheme: &SignatureScheme,
    header: &str,
    delivery: &Delivery<'_>,
    keys: impl IntoIterator<Item = &'k [u8]>,
    now: Timestamp,
) -> Verdict {
    let Some(value) = (delivery.header)(header) else { return Verdict::Bad };
    let timestamp = match &scheme.timestamp {
        None => None,
        Some(rule) => match read_timestamp(rule, value, delivery) {
            Some(timestamp) => Some((rule, timestamp)),
            None => return Verdict::Bad,
        },
    };
    let text = timestamp.as_ref().map_or("", |(_, timestamp)| timestamp.text.as_str());
    let texts = signed_texts(scheme, delivery, text);
    let sent = read_signatures(scheme, value);
    let is_signed = keys.into_iter().any(|key| {
        let key = hmac_key(scheme, key);
        texts.iter().any(|text| sent.iter().any(|code| hmac::verify(&key, text, code).is_ok()))
    });
    if !is_signed {
        return Verdict::Bad;
    }
    let is_now = timestamp.is_none_or(|(rule, timestamp)| {
        let apart = now.as_millisecond().abs_diff(timestamp.milliseconds);
        apart <= u64::from(rule.tolerance_seconds) * 1000
    });
    if is_now { Verdict::Good } else { Verdict::Old }
}

/// The codes that a key makes over a delivery. They prove the sender, and are stored nowhere.
#[must_use]
pub fn codes(scheme: &SignatureScheme, header: &str, delivery: &Delivery<'_>, key: &[u8]) -> Vec<Vec<u8>> {
    let value = (delivery.header)(header).unwrap_or_default();
    let timestamp = scheme.timestamp.as_ref().and_then(|rule| read_timestamp(rule, value, delivery));
    let text = timestamp.map(|timestamp| timestamp.text).unwrap_or_default();
    let key = hmac_key(scheme, key);
    let texts = signed_texts(scheme, delivery, &text);
    texts.iter().map(|text| hmac::sign(&key, text).as_ref().to_vec()).collect()
}

/// The code in a text, with its prefix or without.
#[must_use]
pub fn read_code(scheme: &SignatureScheme, text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let bare = text.strip_prefix(&scheme.prefix).unwrap_or(text);
    match scheme.encoding {
        MacEncoding::Hex => hex::decode(bare).ok(),
        MacEncoding::Base64 => STANDARD.decode(bare).ok(),
    }
}

fn read_signatures(scheme: &SignatureScheme, value: &str) -> Vec<Vec<u8>> {
    let items: Vec<&str> = match scheme.separator {
        Some(separator) => value.split(separator).collect(),
        None => vec![value],
    };
    let items = items.into_iter().map(str::trim);
    let items = items.filter(|item| scheme.is_prefix_optional || item.starts_with(&scheme.prefix));
    items.filter_map(|item| read_code(scheme, item)).take(SIGNATURES_MAX).collect()
}

struct Time {
    /// As it was sent.
    text: String,
    milliseconds: i64,
}

fn read_timestamp(rule: &TimestampRule, signature: &str, delivery: &Delivery<'_>) -> Option<Time> {
    let seconds = |text: &str| {
        let text = text.trim();
        let seconds: i64 = text.parse().ok()?;
        Some(Time { text: text.to_owned(), milliseconds: seconds.checked_mul(1000)? })
    };
    let written = |text: &str| {
        let time: Timestamp = text.trim().parse().ok()?;
        Some(Time { text: text.trim().to_owned(), milliseconds: time.as_millisecond() })
    };
    match &rule.at {
        TimestampAt::Header(name) => {
            let text = (delivery.header)(name)?;
            seconds(text).or_else(|| written(text))
        }
        TimestampAt::Field(name) => {
            let mut fields = signature.split(',').filter_map(|item| item.trim().split_once('='));
            seconds(fields.find(|(found, _)| found == name)?.1)
        }
        TimestampAt::BodyMilliseconds(field) => {
            let body: serde_json::Value = serde_json::from_slice(delivery.body).ok()?;
            Some(Time { text: String::new(), milliseconds: body.get(field)?.as_i64()? })
        }
    }
}

/// The texts of which one must be signed.
fn signed_texts(scheme: &SignatureScheme, delivery: &Delivery<'_>, timestamp: &str) -> Vec<Vec<u8>> {
    match &scheme.signed {
        // Without a header that is signed nothing is.
        Signed::Parts(parts) => {
            signed::parts(parts, timestamp, delivery.body, delivery.header).into_iter().collect()
        }
        Signed::UrlAndForm => {
            let content_type = (delivery.header)("content-type").unwrap_or_default();
            let is_form =
                content_type.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
            if !is_form && !is_hashed_in_url(delivery) {
                return Vec::new();
            }
            let urls = signed::with_and_without_port(delivery.url);
            urls.iter().map(|url| signed::url_and_form(url, delivery.body, is_form)).collect()
        }
    }
}

/// Whether the URL has the hash of a body that is no form, so that the signature proves it too.
fn is_hashed_in_url(delivery: &Delivery<'_>) -> bool {
    let Ok(url) = Url::parse(delivery.url) else { return false };
    let hash = hex::encode(digest(&SHA256, delivery.body));
    url.query_pairs().any(|(name, value)| name == "bodySHA256" && value.eq_ignore_ascii_case(&hash))
}

#[cfg(test)]
mod tests;
