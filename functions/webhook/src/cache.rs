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
    /// Its signing keys and when they were opened.
    pub keys: Mutex<Option<(Timestamp, Arc<Vec<SigningKey>>)>>,
}

/// An opened signing key.
pub struct SigningKey {
    /// The key.
    pub value: SecretValue,
    /// Until when it is taken; None: as long as it is there.
    pub until: Option<Timestamp>,
}

/// How long opened keys, and addresses that do not exist, are kept.
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
        let slot = slots.get(address)?;
        match &slot.webhook {
            Some(webhook) => Some(Some(Arc::clone(webhook))),
            None if now.duration_since(slot.loaded_at) < KEPT_FOR => Some(None),
            None => None,
        }
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

    #[test]
    fn an_address_without_webhook_is_asked_for_once_a_minute() {
        let cache = WebhookCache::default();
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(cache.get("a", now).is_none());
        cache.insert("a", None, now);
        assert!(matches!(cache.get("a", now + SignedDuration::from_secs(59)), Some(None)));
        assert!(cache.get("a", now + SignedDuration::from_secs(60)).is_none());
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
        let webhook = KnownWebhook { stored, compiled: None, keys: Mutex::new(None) };
        cache.insert("real", Some(Arc::new(webhook)), now);
        for address in 0..=ADDRESSES_MAX {
            cache.insert(&address.to_string(), None, now);
        }
        assert!(matches!(cache.get("real", now), Some(Some(_))));
    }
}
