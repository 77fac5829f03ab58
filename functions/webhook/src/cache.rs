//! Webhooks that a warm instance knows. A cached webhook serves only while its versions hold: the statement that stores an event
//! checks them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use definition::Compiled;
use jiff::{SignedDuration, Timestamp};
use store::intake::StoredWebhook;

use crate::keys::OpenedKeys;

/// A webhook with what was made of it.
pub struct KnownWebhook {
    /// As it is stored, without the definition.
    pub stored: StoredWebhook,
    /// The workflow's definition; None when it can't be read.
    pub compiled: Option<Compiled>,
    /// Bytes of the definition's text.
    pub definition_bytes: usize,
    keys: Mutex<Option<Arc<OpenedKeys>>>,
}

impl KnownWebhook {
    /// A webhook, with the keys that are open already.
    pub fn new(
        stored: StoredWebhook,
        compiled: Option<Compiled>,
        definition_bytes: usize,
        keys: Option<Arc<OpenedKeys>>,
    ) -> Self {
        Self { stored, compiled, definition_bytes, keys: Mutex::new(keys) }
    }

    /// The keys that were opened last, whenever that was.
    pub fn opened_keys(&self) -> Option<Arc<OpenedKeys>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps keys that were opened.
    pub fn keep_keys(&self, keys: Arc<OpenedKeys>) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}

/// How long is kept what was loaded for an address, a webhook or none. Sealed keys that were moved to another KMS key keep their
/// webhook's version; so nothing that was loaded is kept for ever.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long nothing is reloaded for an address after it was.
const RELOAD_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Addresses that an instance keeps, so that made-up ones can't fill the memory: above it those without a webhook are forgotten,
/// and all only where that is not enough.
const ADDRESSES_MAX: usize = 2_000;
/// Bytes of definitions that an instance keeps; compiled they take some times as much. All are forgotten where there would be more.
const DEFINITIONS_BYTES_MAX: usize = 8 * 1024 * 1024;

struct Slot {
    loaded_at: Timestamp,
    webhook: Option<Arc<KnownWebhook>>,
}

impl Slot {
    fn is_kept(&self, now: Timestamp) -> bool {
        now.duration_since(self.loaded_at) < KEPT_FOR
    }

    fn definition_bytes(&self) -> usize {
        self.webhook.as_ref().map_or(0, |webhook| webhook.definition_bytes)
    }
}

/// A cache by address; a clone is the same one.
#[derive(Clone, Default)]
pub struct WebhookCache {
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

impl WebhookCache {
    /// What is known of an address: `None` for nothing, `Some(None)` that there is no webhook. Whatever was kept for too long goes, and
    /// opened keys with it.
    pub fn get(&self, address: &str, now: Timestamp) -> Option<Option<Arc<KnownWebhook>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.is_kept(now));
        Some(slots.get(address)?.webhook.clone())
    }

    /// Whether the address may be loaded again after its authentication failed: at most once a second.
    pub fn may_reload(&self, address: &str, now: Timestamp) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(address).is_none_or(|slot| now.duration_since(slot.loaded_at) >= RELOAD_PAUSE)
    }

    /// Keeps what was loaded.
    pub fn insert(&self, address: &str, webhook: Option<Arc<KnownWebhook>>, now: Timestamp) {
        let slot = Slot { loaded_at: now, webhook };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.remove(address);
        if slots.len() >= ADDRESSES_MAX {
            slots.retain(|_, slot| slot.webhook.is_some());
        }
        let bytes: usize = slots.values().map(Slot::definition_bytes).sum();
        if slots.len() >= ADDRESSES_MAX || bytes + slot.definition_bytes() > DEFINITIONS_BYTES_MAX {
            slots.clear();
        }
        slots.insert(address.to_owned(), slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(definition_bytes: usize) -> KnownWebhook {
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
        KnownWebhook::new(stored, None, definition_bytes, None)
    }

    #[test]
    fn an_address_is_asked_for_once_a_minute_with_a_webhook_or_without() {
        let cache = WebhookCache::default();
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(cache.get("none", now).is_none());
        cache.insert("none", None, now);
        cache.insert("real", Some(Arc::new(webhook(1))), now);
        let before = now + KEPT_FOR - SignedDuration::from_micros(1);
        assert!(matches!(cache.get("none", before), Some(None)));
        assert!(matches!(cache.get("real", before), Some(Some(_))));
        for address in ["none", "real"] {
            assert!(cache.get(address, now + KEPT_FOR).is_none());
        }
    }

    #[test]
    fn what_is_kept_no_more_is_not_in_memory_any_more_i1() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        let webhook = Arc::new(webhook(1));
        cache.insert("quiet", Some(Arc::clone(&webhook)), now);
        assert!(cache.get("other", now + KEPT_FOR - SignedDuration::from_micros(1)).is_none());
        assert_eq!(Arc::strong_count(&webhook), 2);
        assert!(cache.get("other", now + KEPT_FOR).is_none());
        assert_eq!(Arc::strong_count(&webhook), 1, "it goes with the next delivery, whoever's that is");
    }

    #[test]
    fn large_definitions_can_not_fill_the_memory_i10() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        let insert = |address: &str, bytes| cache.insert(address, Some(Arc::new(webhook(bytes))), now);
        let is_known = |address: &str| cache.get(address, now).is_some();
        insert("a", DEFINITIONS_BYTES_MAX - 1);
        insert("b", 1);
        assert!(is_known("a") && is_known("b"));
        insert("b", 1);
        assert!(is_known("a"), "what is replaced takes no room");
        insert("b", 2);
        assert!(!is_known("a") && is_known("b"), "DEFINITIONS_BYTES_MAX + 1");
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
        cache.insert("real", Some(Arc::new(webhook(1))), now);
        for address in 0..=ADDRESSES_MAX {
            cache.insert(&address.to_string(), None, now);
        }
        assert!(matches!(cache.get("real", now), Some(Some(_))));
    }
}
