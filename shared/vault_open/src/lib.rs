//! Opening: the half of the vault that only the executor (purpose `secret`) and the webhook
//! function (purpose `webhook`) link (I7). `data_keys.rs` has the calls of KMS.

mod data_keys;
mod error;

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_types::SdkConfig;
use ring::aead::{Aad, Nonce};
use vault_format::{Entry, Scope, SecretValue};
use zeroize::Zeroize;

use data_keys::DataKeys;
pub use data_keys::{CACHE_KEYS_MAX, DECRYPTS_AT_ONCE};
pub use error::OpenError;

/// An entry to be opened, and its scope.
pub struct OpenRequest {
    /// The scope in which the entry was found: looked up, never taken from a message. The entry
    /// opens in no other scope.
    pub scope: Scope,
    /// The entry.
    pub entry: Entry,
}

/// Opens entries through KMS. Made once, in `main`.
pub struct Opener {
    data_keys: DataKeys,
}

impl Opener {
    /// An opener that keeps nothing between calls.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { data_keys: DataKeys::new(Client::new(config)) }
    }

    /// Keeps opened data keys (at most [`CACHE_KEYS_MAX`]) for `lifetime`: fewer calls of KMS, but
    /// a key that is disabled in KMS goes on opening for as long. Zero keeps nothing.
    #[must_use]
    pub fn keep_data_keys_for(mut self, lifetime: Duration) -> Self {
        self.data_keys.keep_for(lifetime);
        self
    }

    /// Calls of KMS since the last call of this function.
    pub fn take_calls(&self) -> u64 {
        self.data_keys.take_calls()
    }

    /// Opens entries, with one call of KMS for each distinct pair of scope and wrapped data key,
    /// [`DECRYPTS_AT_ONCE`] at a time. The results are in the order of the requests; a failed one
    /// does not affect the others.
    pub async fn open(&self, requests: &[OpenRequest]) -> Vec<Result<SecretValue, OpenError>> {
        let place = |request: &OpenRequest| (request.scope, request.entry.wrapped_data_key().to_vec());
        failpoint::step("decrypt", "before");
        let opened = self.data_keys.open_all(requests.iter().map(place).collect()).await;
        failpoint::step("decrypt", "after");
        requests
            .iter()
            .map(|request| match &opened[&place(request)] {
                Ok(key) => decrypt(request, key),
                Err(error) => Err(*error),
            })
            .collect()
    }
}

fn decrypt(request: &OpenRequest, key: &ring::aead::LessSafeKey) -> Result<SecretValue, OpenError> {
    let entry = &request.entry;
    let associated = request.scope.associated_data(entry.key_name(), entry.bounds());
    let nonce = Nonce::assume_unique_for_key(entry.nonce());
    let mut bytes = entry.ciphertext().to_vec();
    let length = match key.open_in_place(nonce, Aad::from(associated), &mut bytes) {
        Ok(plain) => plain.len(),
        Err(ring::error::Unspecified) => {
            bytes.zeroize();
            return Err(OpenError::Corrupt);
        }
    };
    bytes.truncate(length);
    SecretValue::from_bytes(bytes).map_err(|_| OpenError::Corrupt)
}
