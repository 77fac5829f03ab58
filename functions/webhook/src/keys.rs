//! Signing keys of webhooks: opened through the vault, and kept for a while, or each anonymous POST would cost a call of KMS.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use vault_format::{Entries, Entry, Purpose, Scope, SecretValue};
use vault_open::{OpenRequest, Opener};

use crate::cache::{KEPT_FOR, KnownWebhook};

/// How long it counts that a key could not be opened.
const FAILURE_KEPT_FOR: SignedDuration = SignedDuration::from_secs(1);

/// An opened signing key.
pub struct SigningKey {
    /// The key.
    pub value: SecretValue,
    /// Until when it is taken; None: as long as it is there.
    pub until: Option<Timestamp>,
}

/// The signing keys of a webhook, as far as they could be opened.
pub struct OpenedKeys {
    opened_at: Timestamp,
    keys: Vec<SigningKey>,
    /// Whether none is missing that may open later.
    is_complete: bool,
}

impl OpenedKeys {
    /// Those that are open.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Whether a signature that is by none of them is wrong. Where a key could not be opened it may be by that one, and a sender is not
    /// refused for our trouble.
    pub fn are_all(&self) -> bool {
        self.is_complete && !self.keys.is_empty()
    }

    fn are_kept(&self, now: Timestamp) -> bool {
        now.duration_since(self.opened_at) < if self.is_complete { KEPT_FOR } else { FAILURE_KEPT_FOR }
    }
}

/// The signing keys of a webhook: those that are kept, else opened anew.
pub async fn signing_keys(webhook: &KnownWebhook, now: Timestamp, opener: &Opener) -> Arc<OpenedKeys> {
    if let Some(kept) = webhook.opened_keys().filter(|opened| opened.are_kept(now)) {
        return kept;
    }
    let opened = Arc::new(open_keys(webhook, now, opener).await);
    webhook.keep_keys(Arc::clone(&opened));
    opened
}

/// The current key and, while it is taken, the previous one.
async fn open_keys(webhook: &KnownWebhook, now: Timestamp, opener: &Opener) -> OpenedKeys {
    let stored = &webhook.stored;
    let read = |bytes: &Vec<u8>| {
        let entries = Entries::parse(bytes);
        if entries.is_err() {
            tracing::error!(webhook_id = %stored.id, "a signing key can't be read");
        }
        entries.unwrap_or_default()
    };
    let current = stored.signing_keys.as_ref().map(read).unwrap_or_default();
    let previous = stored.previous_signing_keys.as_ref().map(read).unwrap_or_default();
    let scope =
        Scope { organization_id: stored.organization_id, secret_id: stored.id, purpose: Purpose::Webhook };
    let entries = current.iter().chain(previous.iter());
    let taken = taken_keys(entries, stored.current_key_name.as_deref(), stored.previous_until, now);
    let requests: Vec<OpenRequest> =
        taken.iter().map(|(entry, _)| OpenRequest { scope, entry: (*entry).clone() }).collect();
    let mut opened = OpenedKeys { opened_at: now, keys: Vec::new(), is_complete: true };
    for ((_, until), one) in taken.iter().zip(opener.open(&requests).await) {
        match one {
            Ok(value) => opened.keys.push(SigningKey { value, until: *until }),
            Err(error) => {
                tracing::error!(webhook_id = %stored.id, %error, "a signing key can't be opened");
                opened.is_complete &= !error.is_retryable();
            }
        }
    }
    opened
}

/// The entries that are taken at a time, each with its end.
fn taken_keys<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    current: Option<&str>,
    previous_until: Option<Timestamp>,
    now: Timestamp,
) -> Vec<(&'a Entry, Option<Timestamp>)> {
    let until =
        |entry: &Entry| if Some(entry.key_name()) == current { Some(None) } else { previous_until.map(Some) };
    entries
        .filter_map(|entry| Some((entry, until(entry)?)))
        .filter(|(_, until)| until.is_none_or(|until| now < until))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_keys_are_kept_for_a_minute_and_a_failure_for_a_second_i1() {
        assert_eq!(
            (KEPT_FOR, FAILURE_KEPT_FOR),
            (SignedDuration::from_secs(60), SignedDuration::from_secs(1))
        );
        let now = Timestamp::from_second(1_000).unwrap();
        for (is_complete, limit) in [(true, KEPT_FOR), (false, FAILURE_KEPT_FOR)] {
            let opened = OpenedKeys { opened_at: now, keys: Vec::new(), is_complete };
            assert!(opened.are_kept(now + limit - SignedDuration::from_micros(1)));
            assert!(!opened.are_kept(now + limit));
        }
    }

    #[test]
    fn a_signature_is_wrong_only_where_every_key_is_open() {
        let check = |keys: usize, is_complete, expected| {
            let key = |_| SigningKey { value: SecretValue::new("key".to_owned()), until: None };
            let keys = (0..keys).map(key).collect();
            let opened = OpenedKeys { opened_at: Timestamp::UNIX_EPOCH, keys, is_complete };
            assert_eq!(opened.are_all(), expected);
        };
        check(2, true, true);
        check(1, false, false);
        check(0, true, false);
    }

    #[test]
    fn the_previous_key_is_opened_while_it_is_taken_and_the_current_one_always() {
        let entry = |name: &str| Entry::new(name.into(), Vec::new(), vec![1], [1; 12], vec![1; 20]).unwrap();
        let mut entries = Entries::new();
        entries.put(entry("old")).unwrap();
        entries.put(entry("new")).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let check = |current, until, now, expected: &[(&str, Option<Timestamp>)]| {
            let taken = taken_keys(entries.iter(), Some(current), until, now);
            let names: Vec<_> = taken.iter().map(|(entry, until)| (entry.key_name(), *until)).collect();
            assert_eq!(names, expected);
        };
        check("new", Some(at(100)), at(99), &[("new", None), ("old", Some(at(100)))]);
        check("new", Some(at(100)), at(100), &[("new", None)]);
        check("new", None, at(0), &[("new", None)]);
        check("old", None, at(0), &[("old", None)]);
    }
}
