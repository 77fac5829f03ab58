//! Data keys: one KMS call for each, and the cache that an operator may switch on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use futures_util::StreamExt as _;
use futures_util::stream;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use vault_format::Scope;
use zeroize::Zeroizing;

use crate::OpenError;

/// Calls of KMS that are under way at the same time.
pub const DECRYPTS_AT_ONCE: usize = 8;
/// Data keys that a cache holds at most.
pub const CACHE_KEYS_MAX: usize = 256;

type OpenedKey = Result<Arc<LessSafeKey>, OpenError>;

/// Opens data keys.
pub(crate) struct DataKeys {
    client: Client,
    lifetime: Duration,
    cache: Mutex<HashMap<(Scope, Vec<u8>), Kept>>,
}

struct Kept {
    key: Arc<LessSafeKey>,
    until: Instant,
}

impl DataKeys {
    pub(crate) fn new(client: Client, lifetime: Duration) -> Self {
        Self { client, lifetime, cache: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// Opens each distinct key once. A wrapped key counts as another one in another place, for there KMS must refuse it.
    pub(crate) async fn open_all(
        &self,
        distinct: HashSet<(Scope, Vec<u8>)>,
    ) -> HashMap<(Scope, Vec<u8>), OpenedKey> {
        // Owned keys: a future that borrows them would be `Send` for one lifetime only, which handlers can't use.
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
        if let Some(key) = self.kept(scope, wrapped) {
            return Ok(key);
        }
        let key = Arc::new(self.decrypt(scope, wrapped).await?);
        self.keep(scope, wrapped, &key);
        Ok(key)
    }

    async fn decrypt(&self, scope: Scope, wrapped: &[u8]) -> Result<LessSafeKey, OpenError> {
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

    fn kept(&self, scope: Scope, wrapped: &[u8]) -> Option<Arc<LessSafeKey>> {
        if self.lifetime.is_zero() {
            return None;
        }
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = cache.get(&(scope, wrapped.to_vec())).filter(|kept| kept.until > Instant::now())?;
        Some(Arc::clone(&kept.key))
    }

    fn keep(&self, scope: Scope, wrapped: &[u8], key: &Arc<LessSafeKey>) {
        if self.lifetime.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, kept| kept.until > now);
        if cache.len() < CACHE_KEYS_MAX {
            cache
                .insert((scope, wrapped.to_vec()), Kept { key: Arc::clone(key), until: now + self.lifetime });
        }
    }
}
