//! The check that a delivery carries its webhook's credential. It reads the raw bytes, before
//! anything is parsed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use components::webhook::{SignatureScheme, TokenForm, WebhookConfiguration};
use domain::limits::WEBHOOK_KEY_BYTES_MIN;
use domain::webhook::Authentication;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use store::intake::StoredWebhook;
use webhook_signature::{Verdict, check, codes, read_code};

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
    /// The signature is right, and its time is too long ago or in the future.
    Old,
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
    let Some(configuration) = &webhook.configuration else { return Credential::Unknown };
    match stored.authentication {
        Authentication::None => Credential::Good,
        Authentication::Bearer | Authentication::HeaderToken => {
            let sent = SentToken::of(delivery, stored, configuration);
            let is_good = sent.is_some_and(|sent| is_token(&sent.token, webhook, now));
            if is_good { Credential::Good } else { Credential::Bad }
        }
        Authentication::Signature => {
            let header = signature_header(configuration);
            if only_header(delivery, header).is_none() {
                return Credential::Bad;
            }
            let opened = signing_keys(stored, now, deps).await;
            let keys = accepted(opened.keys(), now);
            match with_signed(delivery, |signed| check(&configuration.scheme, header, signed, keys, now)) {
                Verdict::Good => Credential::Good,
                Verdict::Old => Credential::Old,
                Verdict::Bad if opened.tell_what_is_wrong() => Credential::Bad,
                Verdict::Bad => Credential::Unknown,
            }
        }
    }
}

/// The keys that are accepted now.
fn accepted(keys: &[SigningKey], now: Timestamp) -> impl Iterator<Item = &[u8]> {
    let accepted = keys.iter().filter(move |key| key.until.is_none_or(|until| now < until));
    accepted.map(|key| key.value.expose().as_bytes())
}

fn signature_header(configuration: &WebhookConfiguration) -> &str {
    configuration.header_name.as_deref().unwrap_or_default()
}

/// Hands on the delivery as its signature depends on it.
fn with_signed<T>(delivery: &Delivery, then: impl FnOnce(&webhook_signature::Delivery<'_>) -> T) -> T {
    let header = |name: &str| only_header(delivery, name);
    then(&webhook_signature::Delivery { header: &header, body: &delivery.body, url: &delivery.url })
}

/// The credentials of a webhook that may stand elsewhere in an authenticated delivery. A sender
/// that changes to another header sends both headers for a while, and neither credential may be
/// stored (I1).
pub struct KnownCredentials<'d> {
    sent: Option<SentToken>,
    token_hashes: Vec<&'d [u8]>,
    opened: Option<Arc<OpenedKeys>>,
    scheme: &'d SignatureScheme,
    /// The signatures of the delivery by each key.
    signatures: Vec<Vec<u8>>,
}

impl<'d> KnownCredentials<'d> {
    /// The credentials for an authenticated delivery, with the opened signing keys.
    pub fn of(
        delivery: &Delivery,
        stored: &'d StoredWebhook,
        configuration: &'d WebhookConfiguration,
        opened: Option<Arc<OpenedKeys>>,
    ) -> Self {
        let is_signed = stored.authentication == Authentication::Signature;
        let has_token = matches!(stored.authentication, Authentication::Bearer | Authentication::HeaderToken);
        let opened = opened.filter(|_| is_signed);
        let (scheme, header) = (&configuration.scheme, signature_header(configuration));
        let sign = |key: &SigningKey| {
            with_signed(delivery, |signed| codes(scheme, header, signed, key.value.expose().as_bytes()))
        };
        let hashes = stored.token_sha256.iter().chain(&stored.previous_token_sha256);
        Self {
            sent: SentToken::of(delivery, stored, configuration).filter(|_| has_token),
            token_hashes: hashes.map(Vec::as_slice).collect(),
            signatures: opened.iter().flat_map(|opened| opened.keys()).flat_map(sign).collect(),
            opened,
            scheme,
        }
    }

    /// Whether one of the credentials stands in a text.
    pub fn stand_in(&self, text: &str) -> bool {
        self.sent.as_ref().is_some_and(|sent| text.contains(&sent.token) || text.contains(&sent.written))
            || self
                .opened
                .iter()
                .flat_map(|opened| opened.keys())
                .any(|key| text.contains(key.value.expose()))
            || pieces(text).any(|piece| self.are(piece))
    }

    fn are(&self, piece: &str) -> bool {
        let hash = digest(&SHA256, piece.as_bytes());
        let code = read_code(self.scheme, piece).unwrap_or_default();
        self.token_hashes.iter().any(|known| is_equal(hash.as_ref(), known))
            || self.signatures.iter().any(|known| is_equal(&code, known))
    }
}

/// The words of a text, and its pieces between the characters that join names and values.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let joined = |letter: char| letter.is_whitespace() || ",;&\"".contains(letter);
    let named = move |letter: char| letter == '=' || joined(letter);
    let pieces = text.split_whitespace().chain(text.split(joined)).chain(text.split(named));
    pieces.filter(|piece| piece.len() >= WEBHOOK_KEY_BYTES_MIN)
}

/// The only value of a header. Two values could be read in two ways, so neither is accepted.
fn only_header<'d>(delivery: &'d Delivery, name: &str) -> Option<&'d str> {
    let mut values = delivery.headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}

/// The token that a sender sent.
struct SentToken {
    token: String,
    /// As it stands in the header.
    written: String,
}

impl SentToken {
    fn of(delivery: &Delivery, stored: &StoredWebhook, configuration: &WebhookConfiguration) -> Option<Self> {
        if stored.authentication == Authentication::Bearer {
            let token = only_header(delivery, "authorization").and_then(bearer)?;
            return Some(Self { token: token.to_owned(), written: token.to_owned() });
        }
        let written = only_header(delivery, stored.header_name.as_deref()?)?;
        Some(match configuration.token_form {
            TokenForm::Plain => Self { token: written.to_owned(), written: written.to_owned() },
            TokenForm::Basic => {
                let (token, written) = basic(written)?;
                Self { token, written: written.to_owned() }
            }
        })
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The password of basic authentication (RFC 7617), and the text that it was sent as.
fn basic(header: &str) -> Option<(String, &str)> {
    let (scheme, written) = header.split_once(' ')?;
    let written = written.trim();
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(written).ok())??;
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((password.to_owned(), written))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, until: Option<Timestamp>) -> SigningKey {
        SigningKey { value: vault_format::SecretValue::new(text.to_owned()), until }
    }

    #[test]
    fn while_a_key_is_rotated_both_are_taken_and_then_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let keys = [key("new", None), key("old", Some(at(100)))];
        let taken = |now| accepted(&keys, now).collect::<Vec<_>>();
        assert_eq!(taken(at(99)), [b"new", b"old"]);
        assert_eq!(taken(at(100)), [b"new"]);
    }

    #[test]
    fn a_bearer_token_needs_its_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn a_basic_token_is_the_password_of_any_user() {
        let sent = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let password = |header: &str| basic(header).map(|(password, _)| password);
        assert_eq!(password(&sent("user:the:word")).as_deref(), Some("the:word"));
        assert_eq!(password(&sent(":word").replace("Basic", "basic")).as_deref(), Some("word"));
        assert_eq!(password(&sent("word")), None);
        assert_eq!(password("Basic *"), None);
        assert_eq!(password("Bearer abc"), None);
    }

    #[test]
    fn a_text_is_searched_in_words_and_between_names_and_values() {
        let found: Vec<_> = pieces("a t=1234567890123456,v1=abcdefghijklmnopqrst== x").collect();
        for piece in [
            "t=1234567890123456,v1=abcdefghijklmnopqrst==",
            "v1=abcdefghijklmnopqrst==",
            "abcdefghijklmnopqrst",
        ] {
            assert!(found.contains(&piece), "{piece}: {found:?}");
        }
    }
}
