//! Signing keys of webhooks. The vault opens them, and they are kept for a while: otherwise each
//! anonymous POST would cost a call of KMS.

use std::sync::Arc;

use bounded_cache::Cache;
use domain::ids::WebhookId;
use jiff::{SignedDuration, Timestamp};
use store::intake::StoredWebhook;
use vault_format::{Entries, Entry, Purpose, Scope, SecretValue};
use vault_open::{OpenError, OpenRequest};

use crate::Deps;

/// The time for which opened keys are kept.
const KEYS_KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);
/// The time for which the failure to open a key is kept.
const FAILURE_KEPT_FOR: SignedDuration = SignedDuration::from_secs(1);
/// The most webhooks whose keys are kept.
const WEBHOOKS_MAX: usize = 2_000;

/// An opened signing key.
pub struct SigningKey {
    /// The key.
    pub value: SecretValue,
    /// The end of its acceptance; None: it is the current key.
    pub until: Option<Timestamp>,
}

/// The signing keys of a webhook that could be opened.
pub struct OpenedKeys {
    opened_at: Timestamp,
    keys: Vec<SigningKey>,
    /// False if a key is missing that may open later.
    is_complete: bool,
}

impl OpenedKeys {
    /// The opened keys.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Whether a signature is certainly wrong if it matches none of the opened keys. If the current
    /// key is not open, or another key may open later, the signature may match that key. A sender
    /// is not refused for sealflow's own trouble.
    pub fn tell_what_is_wrong(&self) -> bool {
        self.is_complete && self.keys.iter().any(|key| key.until.is_none())
    }

    fn are_kept(&self, now: Timestamp) -> bool {
        now.duration_since(self.opened_at) < if self.is_complete { KEYS_KEPT_FOR } else { FAILURE_KEPT_FOR }
    }
}

/// Opened keys by webhook. A clone shares the same cache.
#[derive(Clone)]
pub struct KeyCache(Arc<Cache<WebhookId, Kept>>);

impl Default for KeyCache {
    fn default() -> Self {
        Self(Arc::new(Cache::new(WEBHOOKS_MAX)))
    }
}

#[derive(Clone)]
struct Kept {
    sealed: Sealed,
    opened: Arc<OpenedKeys>,
}

/// The sealed form from which keys were opened. A rotation and a move to another KMS key change it.
#[derive(Clone, PartialEq, Eq)]
struct Sealed {
    version: i64,
    signing_keys: Option<Vec<u8>>,
    previous_signing_keys: Option<Vec<u8>>,
}

impl Sealed {
    fn of(stored: &StoredWebhook) -> Self {
        Self {
            version: stored.version,
            signing_keys: stored.signing_keys.clone(),
            previous_signing_keys: stored.previous_signing_keys.clone(),
        }
    }
}

impl KeyCache {
    /// The cached keys of a webhook, if they were opened from its stored form. Expired keys of all
    /// webhooks are dropped from memory.
    pub fn get(&self, stored: &StoredWebhook, now: Timestamp) -> Option<Arc<OpenedKeys>> {
        self.0.retain(|_, kept| kept.opened.are_kept(now));
        let kept = self.0.get(&stored.id).filter(|kept| kept.sealed == Sealed::of(stored))?;
        Some(kept.opened)
    }

    fn put(&self, stored: &StoredWebhook, opened: Arc<OpenedKeys>) {
        self.0.insert(stored.id, 1, Kept { sealed: Sealed::of(stored), opened });
    }
}

/// The signing keys of a webhook, from the cache or else opened now.
pub async fn signing_keys(stored: &StoredWebhook, now: Timestamp, deps: &Deps) -> Arc<OpenedKeys> {
    if let Some(kept) = deps.cache.keys.get(stored, now) {
        return kept;
    }
    let opened = Arc::new(open_keys(stored, now, deps).await);
    deps.cache.keys.put(stored, Arc::clone(&opened));
    opened
}

/// Opens the current key and, while it is accepted, the previous one.
async fn open_keys(stored: &StoredWebhook, now: Timestamp, deps: &Deps) -> OpenedKeys {
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
        Scope { organization_id: stored.organization_id, secret_id: stored.id.0, purpose: Purpose::Webhook };
    let entries = current.iter().chain(previous.iter());
    let taken = taken_keys(entries, stored.current_key_name.as_deref(), stored.previous_until, now);
    let requests: Vec<OpenRequest> =
        taken.iter().map(|(entry, _)| OpenRequest { scope, entry: (*entry).clone() }).collect();
    let answers = deps.opener.open(&requests).await;
    // The time is read after the vault's answer. The failure is kept from this time on. So after a
    // slow refusal, the next delivery does not ask the vault again right away.
    let mut opened = OpenedKeys { opened_at: deps.clock.now(), keys: Vec::new(), is_complete: true };
    for ((_, until), answer) in taken.iter().zip(answers) {
        match answer {
            Ok(value) => opened.keys.push(SigningKey { value, until: *until }),
            Err(error) => {
                if error == OpenError::Unavailable {
                    tracing::warn!(webhook_id = %stored.id, %error, "a signing key can't be opened at the moment");
                } else {
                    tracing::error!(webhook_id = %stored.id, %error, "a signing key can't be opened");
                }
                opened.is_complete &= !error.is_retryable();
            }
        }
    }
    opened
}

/// The entries that are accepted at `now`, each with the end of its acceptance.
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
    use crate::cache::tests::stored as webhook;

    fn opened(at: Timestamp, untils: &[Option<Timestamp>], is_complete: bool) -> OpenedKeys {
        let key = |until: &Option<Timestamp>| SigningKey {
            value: SecretValue::new("key".to_owned()),
            until: *until,
        };
        OpenedKeys { opened_at: at, keys: untils.iter().map(key).collect(), is_complete }
    }

    #[test]
    fn opened_keys_are_kept_for_a_minute_and_a_failure_for_a_second_i1() {
        let limits = (KEYS_KEPT_FOR, FAILURE_KEPT_FOR);
        assert_eq!(limits, (SignedDuration::from_secs(60), SignedDuration::from_secs(1)));
        let now = Timestamp::from_second(1_000).unwrap();
        for (is_complete, limit) in [(true, KEYS_KEPT_FOR), (false, FAILURE_KEPT_FOR)] {
            let opened = opened(now, &[], is_complete);
            assert!(opened.are_kept(now + limit - SignedDuration::from_micros(1)));
            assert!(!opened.are_kept(now + limit));
        }
    }

    #[test]
    fn what_is_kept_no_more_is_not_in_memory_any_more_i1() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_second(1_000).unwrap());
        let (quiet, other) = (webhook(1), webhook(2));
        let keys = Arc::new(opened(now, &[None], true));
        cache.put(&quiet, Arc::clone(&keys));
        assert!(cache.get(&other, now + KEYS_KEPT_FOR - SignedDuration::from_micros(1)).is_none());
        assert_eq!(Arc::strong_count(&keys), 2);
        assert!(cache.get(&other, now + KEYS_KEPT_FOR).is_none());
        assert_eq!(Arc::strong_count(&keys), 1, "they go with the next delivery, whoever's that is");
    }

    #[test]
    fn keys_are_those_of_the_sealed_bytes_that_they_were_opened_from() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_second(1_000).unwrap());
        let stored = webhook(1);
        cache.put(&stored, Arc::new(opened(now, &[None], true)));
        assert!(cache.get(&stored, now).is_some());
        for changed in [
            StoredWebhook { version: 2, ..stored.clone() },
            StoredWebhook { signing_keys: Some(vec![1]), ..stored.clone() },
            StoredWebhook { previous_signing_keys: Some(vec![1]), ..stored.clone() },
            webhook(2),
        ] {
            assert!(cache.get(&changed, now).is_none(), "{changed:?}");
        }
    }

    #[test]
    fn so_many_webhooks_keys_are_kept_and_no_more_i10() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_second(1_000).unwrap());
        let id = |at: usize| u128::try_from(at).unwrap();
        for at in 0..WEBHOOKS_MAX {
            cache.put(&webhook(id(at)), Arc::new(opened(now, &[None], true)));
        }
        assert!(cache.get(&webhook(0), now).is_some());
        cache.put(&webhook(id(WEBHOOKS_MAX + 1)), Arc::new(opened(now, &[None], true)));
        assert!(cache.get(&webhook(0), now).is_none());
        assert!(cache.get(&webhook(id(WEBHOOKS_MAX + 1)), now).is_some());
    }

    #[test]
    fn a_signature_is_wrong_only_where_no_key_is_missing() {
        let later = Some(Timestamp::MAX);
        let check = |untils: &[Option<Timestamp>], is_complete, expected| {
            assert_eq!(
                opened(Timestamp::UNIX_EPOCH, untils, is_complete).tell_what_is_wrong(),
                expected,
                "{untils:?}"
            );
        };
        check(&[None, later], true, true);
        check(&[None], true, true);
        check(&[None], false, false);
        // The current key is damaged for good, which is still no reason to refuse its sender.
        check(&[later], true, false);
        check(&[], true, false);
    }

    #[test]
    fn the_previous_key_is_opened_while_it_is_taken_and_the_current_one_always() {
        let entry = |name: &str| {
            Entry::new(name.into(), vault_format::Bounds::default(), vec![1], [1; 12], vec![1; 20]).unwrap()
        };
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
