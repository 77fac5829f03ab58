//! The webhooks that a warm instance has cached. A cached webhook is used only while its version
//! and its workflow's version are current. The statement that stores an event checks both.

use std::sync::Arc;

use bounded_cache::Cache;
use components::webhook::WebhookConfiguration;
use definition::Compiled;
use jiff::{SignedDuration, Timestamp};
use store::intake::StoredWebhook;

use crate::keys::KeyCache;

/// A webhook with its compiled definition.
pub struct KnownWebhook {
    /// The stored row, without the definition.
    pub stored: StoredWebhook,
    /// The workflow's definition; None when it can't be read.
    pub compiled: Option<Compiled>,
    /// The configuration of the trigger; None when it can't be read.
    pub configuration: Option<WebhookConfiguration>,
    /// Bytes of memory that the definition takes ([`domain::json::weight`]).
    pub definition_weight: usize,
}

/// The time for which the result of a load is kept, a webhook or none. A move of sealed keys to
/// another KMS key does not change the webhook's version, so no result is kept for ever.
const KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);
/// The shortest time between two loads of an address.
const RELOAD_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The most addresses without a webhook that an instance keeps.
const ABSENT_MAX: usize = 2_000;
/// Bytes of memory that the cached webhooks may weigh together. A compiled definition takes up to
/// twice its weight.
const WEBHOOKS_WEIGHT_MAX: usize = 32 * 1024 * 1024;
/// Bytes that a webhook weighs besides its definition.
const WEBHOOK_WEIGHT: usize = 4 * 1024;

#[derive(Clone)]
struct Loaded<T> {
    at: Timestamp,
    what: T,
}

impl<T> Loaded<T> {
    fn is_kept(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < KEPT_FOR
    }

    fn may_reload(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) >= RELOAD_PAUSE
    }
}

/// A cache of webhooks by address, and one of opened keys. A clone shares both.
#[derive(Clone)]
pub struct WebhookCache {
    webhooks: Arc<Cache<String, Loaded<Arc<KnownWebhook>>>>,
    /// Addresses without a webhook. They are kept apart, so that made-up ones push out no webhook.
    absent: Arc<Cache<String, Loaded<()>>>,
    /// Opened keys. Kept apart, so that a row that is forgotten or loaded again costs no call of
    /// KMS.
    pub(crate) keys: KeyCache,
}

impl Default for WebhookCache {
    fn default() -> Self {
        Self {
            webhooks: Arc::new(Cache::new(WEBHOOKS_WEIGHT_MAX)),
            absent: Arc::new(Cache::new(ABSENT_MAX)),
            keys: KeyCache::default(),
        }
    }
}

impl WebhookCache {
    /// The cached result for an address: `None` where nothing is cached, `Some(None)` where the
    /// address has no webhook.
    pub fn get(&self, address: &str, now: Timestamp) -> Option<Option<Arc<KnownWebhook>>> {
        match self.webhooks.get(address).filter(|loaded| loaded.is_kept(now)) {
            Some(loaded) => Some(Some(loaded.what)),
            None => self.absent.get(address).filter(|loaded| loaded.is_kept(now)).map(|_| None),
        }
    }

    /// Whether the address may be loaded again after a failed authentication: at most once a
    /// second.
    pub fn may_reload(&self, address: &str, now: Timestamp) -> bool {
        self.webhooks.get(address).is_none_or(|loaded| loaded.may_reload(now))
            && self.absent.get(address).is_none_or(|loaded| loaded.may_reload(now))
    }

    /// Keeps the result of a load: a webhook, or None.
    pub fn insert(&self, address: &str, webhook: Option<Arc<KnownWebhook>>, now: Timestamp) {
        let address = address.to_owned();
        match webhook {
            Some(what) => {
                self.absent.retain(|absent, _| *absent != address);
                self.webhooks.retain(|_, loaded| loaded.is_kept(now));
                let weight = WEBHOOK_WEIGHT + what.definition_weight;
                self.webhooks.insert(address, weight, Loaded { at: now, what });
            }
            None => {
                self.webhooks.retain(|known, loaded| *known != address && loaded.is_kept(now));
                self.absent.insert(address, 1, Loaded { at: now, what: () });
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A webhook as it might be stored.
    pub(crate) fn stored(id: u128) -> StoredWebhook {
        StoredWebhook {
            is_suspended: false,
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

    fn webhook(definition_weight: usize) -> KnownWebhook {
        KnownWebhook { stored: stored(0), compiled: None, configuration: None, definition_weight }
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
        let insert = |address: &str, weight| {
            cache.insert(address, Some(Arc::new(webhook(weight - WEBHOOK_WEIGHT))), now);
        };
        let is_known = |address: &str| cache.get(address, now).is_some();
        insert("small", WEBHOOK_WEIGHT);
        insert("large", WEBHOOKS_WEIGHT_MAX - 2 * WEBHOOK_WEIGHT);
        insert("other", WEBHOOK_WEIGHT);
        assert!(is_known("small") && is_known("large") && is_known("other"), "WEBHOOKS_WEIGHT_MAX");
        insert("other", WEBHOOK_WEIGHT);
        assert!(is_known("large"), "what is replaced takes no room");
        insert("other", WEBHOOK_WEIGHT + 1);
        assert!(!is_known("large") && is_known("small") && is_known("other"), "WEBHOOKS_WEIGHT_MAX + 1");
    }

    #[test]
    fn a_failed_authentication_reloads_at_most_once_a_second() {
        let now = Timestamp::from_second(1_000).unwrap();
        let address = "a";
        for loaded in [None, Some(Arc::new(webhook(0)))] {
            let cache = WebhookCache::default();
            assert!(cache.may_reload(address, now));
            cache.insert(address, loaded, now);
            assert!(!cache.may_reload(address, now + SignedDuration::from_millis(999)));
            assert!(cache.may_reload(address, now + SignedDuration::from_secs(1)));
        }
    }

    #[test]
    fn made_up_addresses_fill_no_memory_and_push_out_no_webhook_i10() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        cache.insert("real", Some(Arc::new(webhook(0))), now);
        for address in 0..=ABSENT_MAX {
            cache.insert(&address.to_string(), None, now);
            assert_eq!(cache.absent.count(), ABSENT_MAX.min(address + 1));
        }
        assert!(matches!(cache.get("real", now), Some(Some(_))));
    }

    #[test]
    fn a_webhook_that_came_or_went_is_known_as_such() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        let address = "a";
        for _ in 0..2 {
            cache.insert(address, None, now);
            assert!(matches!(cache.get(address, now), Some(None)));
            cache.insert(address, Some(Arc::new(webhook(0))), now);
            assert!(matches!(cache.get(address, now), Some(Some(_))));
        }
    }

    #[test]
    fn what_is_kept_no_more_is_not_in_memory_once_another_is_loaded() {
        let (cache, now) = (WebhookCache::default(), Timestamp::from_second(1_000).unwrap());
        let known = Arc::new(webhook(0));
        cache.insert("a", Some(Arc::clone(&known)), now);
        cache.insert("b", None, now + KEPT_FOR);
        assert_eq!(Arc::strong_count(&known), 1);
    }
}
