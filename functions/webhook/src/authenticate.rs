//! The check that a delivery carries its webhook's credential. It reads the raw bytes, before
//! anything is parsed.

use std::sync::Arc;

use domain::limits::WEBHOOK_KEY_BYTES_MIN;
use domain::webhook::Authentication;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::hmac;
use store::intake::StoredWebhook;

use crate::cache::KnownWebhook;
use crate::keys::{OpenedKeys, SigningKey, signing_keys};
use crate::{Delivery, Deps};

/// The result of checking a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The credential is the webhook's.
    Good,
    /// The credential is missing or not the webhook's.
    Bad,
    /// The check is not possible: the vault can't be reached or a key can't be opened.
    Unknown,
}

/// Checks the credential of a delivery.
pub async fn authenticate(
    delivery: &Delivery,
    webhook: &KnownWebhook,
    now: Timestamp,
    deps: &Deps,
) -> Credential {
    let stored = &webhook.stored;
    let is_good = match stored.authentication {
        Authentication::None => true,
        Authentication::Bearer | Authentication::HeaderToken => {
            sent_token(delivery, stored).is_some_and(|token| is_token(token, webhook, now))
        }
        Authentication::Signature => {
            let Some(signature) = only_header(delivery, stored.header_name.as_deref()) else {
                return Credential::Bad;
            };
            let opened = signing_keys(stored, now, deps).await;
            let is_good = is_signature(signature, &delivery.body, opened.keys(), now);
            if !is_good && !opened.tell_what_is_wrong() {
                return Credential::Unknown;
            }
            is_good
        }
    };
    if is_good { Credential::Good } else { Credential::Bad }
}

/// The credentials of a webhook that may stand elsewhere in an authenticated delivery. A sender
/// that changes to another header sends both headers for a while, and neither credential may be
/// stored (I1).
pub struct KnownCredentials<'d> {
    sent_token: Option<&'d str>,
    token_hashes: Vec<&'d [u8]>,
    opened: Option<Arc<OpenedKeys>>,
    /// The signature of the body by each key.
    signatures: Vec<hmac::Tag>,
}

impl<'d> KnownCredentials<'d> {
    /// The credentials for an authenticated delivery, with the opened signing keys.
    pub fn of(delivery: &'d Delivery, stored: &'d StoredWebhook, opened: Option<Arc<OpenedKeys>>) -> Self {
        let is_signed = stored.authentication == Authentication::Signature;
        let has_token = matches!(stored.authentication, Authentication::Bearer | Authentication::HeaderToken);
        let opened = opened.filter(|_| is_signed);
        let sign = |key: &SigningKey| hmac::sign(&hmac_key(key), &delivery.body);
        let hashes = stored.token_sha256.iter().chain(&stored.previous_token_sha256);
        Self {
            sent_token: sent_token(delivery, stored).filter(|_| has_token),
            token_hashes: hashes.map(Vec::as_slice).collect(),
            signatures: opened.iter().flat_map(|opened| opened.keys()).map(sign).collect(),
            opened,
        }
    }

    /// Whether one of the credentials stands in a text.
    pub fn stand_in(&self, text: &str) -> bool {
        self.sent_token.is_some_and(|token| text.contains(token))
            || self
                .opened
                .iter()
                .flat_map(|opened| opened.keys())
                .any(|key| text.contains(key.value.expose()))
            || pieces(text).any(|piece| self.are(piece))
    }

    fn are(&self, piece: &str) -> bool {
        let hash = digest(&SHA256, piece.as_bytes());
        let tag = read_signature(piece).unwrap_or_default();
        self.token_hashes.iter().any(|known| is_equal(hash.as_ref(), known))
            || self.signatures.iter().any(|known| is_equal(&tag, known.as_ref()))
    }
}

/// The words of a text, and its pieces between the characters that join names and values.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let joined = |letter: char| letter.is_whitespace() || ",;=&\"".contains(letter);
    text.split_whitespace().chain(text.split(joined)).filter(|piece| piece.len() >= WEBHOOK_KEY_BYTES_MIN)
}

/// The only value of a header. Two values could be read in two ways, so neither is accepted.
fn only_header<'d>(delivery: &'d Delivery, name: Option<&str>) -> Option<&'d str> {
    let mut values = delivery.headers.get_all(name?).iter();
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}

fn sent_token<'d>(delivery: &'d Delivery, stored: &StoredWebhook) -> Option<&'d str> {
    match stored.authentication {
        Authentication::Bearer => only_header(delivery, Some("authorization")).and_then(bearer),
        Authentication::Signature | Authentication::HeaderToken | Authentication::None => {
            only_header(delivery, stored.header_name.as_deref())
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a token is the webhook's. Hashes are compared in constant time, and an attacker who
/// measures the time learns something of a hash only.
fn is_token(token: &str, webhook: &KnownWebhook, now: Timestamp) -> bool {
    let stored = &webhook.stored;
    let hash = digest(&SHA256, token.as_bytes());
    let previous = stored
        .previous_token_sha256
        .as_ref()
        .filter(|_| stored.previous_until.is_some_and(|until| now < until));
    let known = stored.token_sha256.iter().chain(previous);
    known.fold(false, |is_good, known| is_good | is_equal(hash.as_ref(), known))
}

fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
}

/// `sha256=<hex>`, as GitHub sends it.
fn read_signature(signature: &str) -> Option<Vec<u8>> {
    let signature = signature.trim();
    hex::decode(signature.strip_prefix("sha256=").unwrap_or(signature)).ok()
}

fn hmac_key(key: &SigningKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.value.expose().as_bytes())
}

/// Whether a signature is that of the raw body by an accepted key.
fn is_signature(signature: &str, body: &[u8], keys: &[SigningKey], now: Timestamp) -> bool {
    let Some(tag) = read_signature(signature) else { return false };
    keys.iter()
        .filter(|key| key.until.is_none_or(|until| now < until))
        .any(|key| hmac::verify(&hmac_key(key), body, &tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, until: Option<Timestamp>) -> SigningKey {
        SigningKey { value: vault_format::SecretValue::new(text.to_owned()), until }
    }

    fn signed(text: &str, body: &[u8]) -> String {
        format!(
            "sha256={}",
            hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()), body))
        )
    }

    #[test]
    fn a_signature_is_taken_as_github_sends_it() {
        // The example of GitHub's documentation, "Validating webhook deliveries".
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let keys = [key("It's a Secret to Everybody", None)];
        let now = Timestamp::UNIX_EPOCH;
        assert!(is_signature(signature, b"Hello, World!", &keys, now));
        assert!(!is_signature(signature, b"Hello, World?", &keys, now));
        assert!(!is_signature("sha256=zz", b"Hello, World!", &keys, now));
        assert!(!is_signature("", b"Hello, World!", &keys, now));
        assert!(!is_signature(&signature[..40], b"Hello, World!", &keys, now));
    }

    #[test]
    fn while_a_key_is_rotated_both_are_taken_and_then_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let keys = [key("new", None), key("old", Some(at(100)))];
        assert!(is_signature(&signed("old", b"x"), b"x", &keys, at(99)));
        assert!(!is_signature(&signed("old", b"x"), b"x", &keys, at(100)));
        assert!(is_signature(&signed("new", b"x"), b"x", &keys, at(100)));
    }

    #[test]
    fn a_bearer_token_needs_its_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
