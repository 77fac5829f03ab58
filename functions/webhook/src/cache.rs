//! Webhooks that a warm instance knows. A cached webhook serves only while its versions hold: the statement that stores an event
//! checks them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use definition::Compiled;
use jiff::{SignedDuration, Timestamp};
use store::intake::StoredWebhook;
use vault_format::SecretValue;

/// A webhook with what was made of it.
pub struct KnownWebhook {
    /// As it is stored.
    pub stored: StoredWebhook,
    /// The workflow's definition; None when it can't be read.
    pub compiled: Option<Compiled>,
    keys: Mutex<Option<OpenedKeys>>,
}

/// Signing keys and when they were opened.
#[derive(Clone)]
pub struct OpenedKeys {
    opened_at: Timestamp,
    keys: Arc<Vec<SigningKey>>,
}

impl KnownWebhook {
    /// A webhook, with the keys that are open already.
    pub fn new(stored: StoredWebhook, compiled: Option<Compiled>, keys: Option<OpenedKeys>) -> Self {
        Self { stored, compiled, keys: Mutex::new(keys) }
    }

    /// The keys that were opened last, whenever that was.
    pub fn opened_keys(&self) -> Option<OpenedKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that were opened, unless that is too long ago.
    pub fn kept_keys(&self, now: Timestamp) -> Option<Arc<Vec<SigningKey>>> {
        let opened = self.opened_keys()?;
        (now.duration_since(opened.opened_at) < KEPT_FOR).then_some(opened.keys)
    }

    /// Keeps keys that were opened now.
    pub fn keep_keys(&self, keys: Arc<Vec<SigningKey>>, now: Timestamp) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(OpenedKeys { opened_at: now, keys });
    }
}

impl OpenedKeys {
    /// The keys.
    pub fn into_keys(self) -> Arc<Vec<SigningKey>> {
        self.keys
    }
}

/// An opened signing key.
pub struct SigningKey {
    /// The key.
    pub value: SecretValue,
    /// Until when it is taken; None: as long as it is there.
    pub until: Option<Timestamp>,
}

/// How long opened keys are kept, and what was loaded for an address, a webhook or none. Sealed keys that were moved to another KMS key
/// keep their webhook's version; so what is loaded is not kept for ever.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long nothing is reloaded for an address after it was.
const RELOAD_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Addresses that an instance keeps, so that made-up ones can't fill the memory: above it those without a webhook are forgotten,
/// and all only where that is not enough.
const ADDRESSES_MAX: usize = 2_000;

struct Slot {
    loaded_at: Timestamp,
    webhook: Option<Arc<KnownWebhook>>,
}

/// A cache by address.
#[derive(Default)]
pub struct WebhookCache {
    slots: Mutex<HashMap<String, Slot>>,
}

impl WebhookCache {
    /// What is known of an address: `None` for nothing, `Some(None)` that there is no webhook.
    pub fn get(&self, address: &str, now: Timestamp) -> Option<Option<Arc<KnownWebhook>>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(address).filter(|slot| now.duration_since(slot.loaded_at) < KEPT_FOR)?;
        Some(slot.webhook.clone())
    }

    /// Whether the address may be loaded again after its authentication failed: at most once a second.
    pub fn may_reload(&self, address: &str, now: Timestamp) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(address).is_none_or(|slot| now.duration_since(slot.loaded_at) >= RELOAD_PAUSE)
    }

    /// Keeps what was loaded.
    pub fn insert(&self, address: &str, webhook: Option<Arc<KnownWebhook>>, now: Timestamp) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= ADDRESSES_MAX {
            slots.retain(|_, slot| slot.webhook.is_some());
        }
        if slots.len() >= ADDRESSES_MAX {
            slots.clear();
        }
        slots.insert(address.to_owned(), Slot { loaded_at: now, webhook });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> KnownWebhook {
        let stored = StoredWebhook {
            id: uuid::Uuid::nil(),
            version: 1,
            workflow_id: uuid::Uuid::nil(),
            workflow_version: 1,
            organization_id: uuid::Uuid::nil(),
            node_id: "push".into(),
            authentication: "none".into(),
            header_name: None,
            deduplication_header: None,
            signing_keys: None,
            current_key_name: None,
            previous_signing_keys: None,
            token_sha256: None,
            previous_token_sha256: None,
            previous_until: None,
            workflow_name: "w".into(),
            workflow_description: String::new(),
            nodes: serde_json::Value::Null,
            edges: serde_json::Value::Null,
        };
        KnownWebhook::new(stored, None, None)
    }

    #[test]
    fn an_address_is_asked_for_once_a_minute_with_a_webhook_or_without() {
        let cache = WebhookCache::default();
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(cache.get("none", now).is_none());
        cache.insert("none", None, now);
        cache.insert("real", Some(Arc::new(webhook())), now);
        let before = now + KEPT_FOR - SignedDuration::from_micros(1);
        assert!(matches!(cache.get("none", before), Some(None)));
        assert!(matches!(cache.get("real", before), Some(Some(_))));
        for address in ["none", "real"] {
            assert!(cache.get(address, now + KEPT_FOR).is_none());
        }
    }

    #[test]
    fn opened_keys_are_kept_for_a_minute_i1() {
        assert_eq!(KEPT_FOR, SignedDuration::from_secs(60));
        let (webhook, now) = (webhook(), Timestamp::from_second(1_000).unwrap());
        assert!(webhook.kept_keys(now).is_none());
        webhook.keep_keys(Arc::default(), now);
        assert!(webhook.kept_keys(now + KEPT_FOR - SignedDuration::from_micros(1)).is_some());
        assert!(webhook.kept_keys(now + KEPT_FOR).is_none());
        // Taken over into what is loaded next, they grow no younger.
        let next = KnownWebhook::new(webhook.stored.clone(), None, webhook.opened_keys());
        assert!(next.kept_keys(now + KEPT_FOR - SignedDuration::from_micros(1)).is_some());
        assert!(next.kept_keys(now + KEPT_FOR).is_none());
    }

    #[test]
    fn a_failed_authentication_reloads_at_most_once_a_second() {
        let cache = WebhookCache::default();
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(cache.may_reload("a", now));
        cache.insert("a", None, now);
        assert!(!cache.may_reload("a", now + SignedDuration::from_millis(999)));
        assert!(cache.may_reload("a", now + SignedDuration::from_secs(1)));
    }

    #[test]
    fn made_up_addresses_can_not_fill_the_memory() {
        let cache = WebhookCache::default();
        let now = Timestamp::from_second(1_000).unwrap();
        for address in 0..=ADDRESSES_MAX {
            cache.insert(&address.to_string(), None, now);
        }
        assert_eq!(cache.slots.lock().unwrap().len(), 1);
    }

    #[test]
    fn made_up_addresses_do_not_push_out_a_webhook() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        cache.insert("real", Some(Arc::new(webhook())), now);
        for address in 0..=ADDRESSES_MAX {
            cache.insert(&address.to_string(), None, now);
        }
        assert!(matches!(cache.get("real", now), Some(Some(_))));
    }
}
