//! Webhooks that a warm instance knows. A cached webhook serves only while its versions hold: the
//! statement that stores an event checks them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use definition::Compiled;
use jiff::{SignedDuration, Timestamp};
use store::intake::StoredWebhook;

use crate::keys::KeyCache;

/// A webhook with what was made of it.
pub struct KnownWebhook {
    /// As it is stored, without the definition.
    pub stored: StoredWebhook,
    /// The workflow's definition; None when it can't be read.
    pub compiled: Option<Compiled>,
    /// Bytes of the definition's text.
    pub definition_bytes: usize,
}

/// How long is kept what was loaded for an address, a webhook or none. Sealed keys that were moved
/// to another KMS key keep their webhook's version; so nothing that was loaded is kept for ever.
const KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long nothing is reloaded for an address after it was.
const RELOAD_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Addresses that an instance keeps, so that made-up ones can't fill the memory: above it those
/// without a webhook are forgotten, and all only where that is not enough.
const ADDRESSES_MAX: usize = 2_000;
/// Bytes of definitions that an instance keeps; compiled they take some times as much. The largest
/// are forgotten where there would be more, so that somebody's large ones push out nobody's small
/// ones.
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

/// A cache by address, and one of opened keys; a clone is the same one.
#[derive(Clone, Default)]
pub struct WebhookCache {
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    /// Opened keys. Kept apart, so that a row that is forgotten or loaded again costs no call of
    /// KMS.
    pub(crate) keys: KeyCache,
}

impl WebhookCache {
    /// The known webhook of an address: `None` where nothing is known, `Some(None)` where there is
    /// no webhook.
    pub fn get(&self, address: &str, now: Timestamp) -> Option<Option<Arc<KnownWebhook>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.is_kept(now));
        Some(slots.get(address)?.webhook.clone())
    }

    /// Whether the address may be loaded again after its authentication failed: at most once a
    /// second.
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
        if slots.len() >= ADDRESSES_MAX {
            slots.clear();
        }
        while slots.values().map(Slot::definition_bytes).sum::<usize>() + slot.definition_bytes()
            > DEFINITIONS_BYTES_MAX
        {
            let with_definition = slots.iter().filter(|(_, slot)| slot.definition_bytes() > 0);
            let largest = with_definition.max_by_key(|(_, slot)| slot.definition_bytes());
            let Some(largest) = largest.map(|(address, _)| address.clone()) else { break };
            slots.remove(&largest);
        }
        slots.insert(address.to_owned(), slot);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A webhook as it might be stored.
    pub(crate) fn stored(id: u128) -> StoredWebhook {
        StoredWebhook {
            id: domain::ids::WebhookId::from_u128(id),
            version: 1,
            workflow_id: domain::ids::WorkflowId::from_u128(0),
            workflow_version: 1,
            organization_id: domain::ids::OrganizationId::from_u128(0),
            node_id: "push".into(),
            authentication: domain::webhook::Authentication::None,
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
        }
    }

    fn webhook(definition_bytes: usize) -> KnownWebhook {
        KnownWebhook { stored: stored(0), compiled: None, definition_bytes }
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
    fn large_definitions_push_out_large_ones_alone_i10() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        let insert = |address: &str, bytes| cache.insert(address, Some(Arc::new(webhook(bytes))), now);
        let is_known = |address: &str| cache.get(address, now).is_some();
        insert("small", 1);
        insert("large", DEFINITIONS_BYTES_MAX - 2);
        insert("other", 1);
        assert!(is_known("small") && is_known("large") && is_known("other"));
        insert("other", 1);
        assert!(is_known("large"), "what is replaced takes no room");
        insert("other", 2);
        assert!(!is_known("large") && is_known("small") && is_known("other"), "DEFINITIONS_BYTES_MAX + 1");
        cache.insert("none", None, now);
        insert("huge", DEFINITIONS_BYTES_MAX + 1);
        assert!(is_known("huge") && is_known("none"), "one alone is kept whatever it has");
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
