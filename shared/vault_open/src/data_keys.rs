//! Data keys: one KMS call for each, and the cache that an operator may switch on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use bounded_cache::Cache;
use futures_util::StreamExt as _;
use futures_util::stream;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use vault_format::Scope;
use zeroize::Zeroizing;

use crate::OpenError;

/// Calls of KMS in progress at the same time.
pub const DECRYPTS_AT_ONCE: usize = 8;
/// The most data keys of a cache.
pub const CACHE_KEYS_MAX: usize = 256;

type OpenedKey = Result<Arc<LessSafeKey>, OpenError>;

/// Opens data keys.
pub(crate) struct DataKeys {
    client: Client,
    /// None, and no key is kept, unless the operator sets a lifetime.
    cache: Option<KeyCache>,
    calls: AtomicU64,
}

struct KeyCache {
    lifetime: Duration,
    kept: Cache<(Scope, Vec<u8>), Kept>,
}

#[derive(Clone)]
struct Kept {
    key: Arc<LessSafeKey>,
    until: Instant,
}

impl DataKeys {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, cache: None, calls: AtomicU64::new(0) }
    }

    pub(crate) fn keep_for(&mut self, lifetime: Duration) {
        self.cache = (!lifetime.is_zero()).then(|| KeyCache::new(lifetime));
    }

    pub(crate) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Opens each distinct key once. The same wrapped key in another scope counts as another key,
    /// for KMS must refuse it there.
    pub(crate) async fn open_all(
        &self,
        distinct: HashSet<(Scope, Vec<u8>)>,
    ) -> HashMap<(Scope, Vec<u8>), OpenedKey> {
        // Owned keys: a future that borrows them would be `Send` for one lifetime only, which
        // handlers can't use.
        stream::iter(distinct)
            .map(|(scope, wrapped)| async move {
                let opened = self.open(scope, &wrapped).await;
                ((scope, wrapped), opened)
            })
            .buffer_unordered(DECRYPTS_AT_ONCE)
            .collect()
            .await
    }

    async fn open(&self, scope: Scope, wrapped: &[u8]) -> OpenedKey {
        let Some(cache) = &self.cache else { return Ok(Arc::new(self.decrypt(scope, wrapped).await?)) };
        if let Some(key) = cache.get(scope, wrapped) {
            return Ok(key);
        }
        let key = Arc::new(self.decrypt(scope, wrapped).await?);
        cache.put(scope, wrapped, &key);
        Ok(key)
    }

    async fn decrypt(&self, scope: Scope, wrapped: &[u8]) -> Result<LessSafeKey, OpenError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self
            .client
            .decrypt()
            .ciphertext_blob(Blob::new(wrapped))
            .set_encryption_context(Some(scope.encryption_context()))
            .send()
            .await
            .map_err(|error| OpenError::classify(&error))?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).ok_or(OpenError::Corrupt)?);
        UnboundKey::new(&AES_256_GCM, &plain).map(LessSafeKey::new).map_err(|_| OpenError::Corrupt)
    }
}

impl KeyCache {
    fn new(lifetime: Duration) -> Self {
        Self { lifetime, kept: Cache::new(CACHE_KEYS_MAX) }
    }

    fn get(&self, scope: Scope, wrapped: &[u8]) -> Option<Arc<LessSafeKey>> {
        let kept = self.kept.get(&(scope, wrapped.to_vec()))?;
        (kept.until > Instant::now()).then_some(kept.key)
    }

    fn put(&self, scope: Scope, wrapped: &[u8], key: &Arc<LessSafeKey>) {
        let now = Instant::now();
        // A key whose time is over goes from memory.
        self.kept.retain(|_, kept| kept.until > now);
        let kept = Kept { key: Arc::clone(key), until: now + self.lifetime };
        self.kept.insert((scope, wrapped.to_vec()), 1, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_holds_so_many_keys_and_no_more_i10() {
        let scope = Scope {
            organization_id: domain::ids::OrganizationId::from_u128(0),
            secret_id: uuid::Uuid::nil(),
            purpose: vault_format::Purpose::Secret,
        };
        let key = UnboundKey::new(&AES_256_GCM, &[0; 32]).map(LessSafeKey::new).unwrap();
        let key = Arc::new(key);
        let cache = KeyCache::new(Duration::from_secs(60));
        let wrapped = |at: usize| at.to_be_bytes();
        for at in 0..=CACHE_KEYS_MAX {
            cache.put(scope, &wrapped(at), &key);
        }
        assert_eq!(cache.kept.count(), CACHE_KEYS_MAX);
        assert!(cache.get(scope, &wrapped(0)).is_none(), "the oldest went");
        assert!(cache.get(scope, &wrapped(CACHE_KEYS_MAX)).is_some(), "CACHE_KEYS_MAX + 1");
    }
}
