//! Sealing: the half of the vault that the API may use. It can write values but read none back
//! (I7).

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use aws_types::SdkConfig;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use vault_format::{Bounds, Entry, EntryError, NONCE_BYTES, Scope, SecretValue};
use zeroize::Zeroizing;

/// The error of values that could not be sealed. No variant carries text of KMS, which names keys
/// and roles.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The values exceed a limit of the format: told to the person who sent them.
    #[error(transparent)]
    Invalid(#[from] EntryError),
    /// KMS refuses this function or this key: an operator must act.
    #[error("the vault's key may not be used")]
    Denied,
    /// Throttling, time-out or network: another attempt may help.
    #[error("the vault's key service could not be reached")]
    Unavailable,
    /// KMS answered something that is no data key, or the machine has no random numbers.
    #[error("the vault's key service gave no usable key")]
    Corrupt,
}

impl SealError {
    /// Whether the same call may succeed later without an operator's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

/// A value to be sealed.
pub struct SealRequest {
    /// The key, as `secrets("name").key` names it.
    pub key_name: String,
    /// The value.
    pub value: SecretValue,
    /// The allowed hosts and places of the value.
    pub bounds: Bounds,
}

/// Seals values under the customer's KMS key. Made once, in `main`.
#[derive(Clone)]
pub struct Sealer {
    client: Client,
    key_id: String,
}

impl Sealer {
    /// A sealer that wraps data keys with the KMS key `key_id` (an id, ARN or alias).
    #[must_use]
    pub fn new(config: &SdkConfig, key_id: impl Into<String>) -> Self {
        Self { client: Client::new(config), key_id: key_id.into() }
    }

    /// Seals values for one scope, all under one new data key. One call of KMS is enough for all of
    /// them; no value needs no call. The entries are in the order of the requests.
    ///
    /// # Errors
    /// [`SealError`]; nothing is sealed then. Limits are checked before KMS is called.
    pub async fn seal(&self, scope: &Scope, requests: Vec<SealRequest>) -> Result<Vec<Entry>, SealError> {
        for request in &requests {
            check(request)?;
        }
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (key, wrapped_data_key) = self.data_key(scope).await?;
        requests.into_iter().map(|request| seal_one(scope, request, &key, &wrapped_data_key)).collect()
    }

    async fn data_key(&self, scope: &Scope) -> Result<(LessSafeKey, Vec<u8>), SealError> {
        let answer = self
            .client
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(scope.encryption_context()))
            .send()
            .await
            .map_err(|error| classify(&error))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner).ok_or(SealError::Corrupt)?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).ok_or(SealError::Corrupt)?);
        let key = UnboundKey::new(&AES_256_GCM, &plain).map_err(|_| SealError::Corrupt)?;
        Ok((LessSafeKey::new(key), wrapped))
    }
}

/// Checks the limits by making an entry of the same size, so that one place has them all.
fn check(request: &SealRequest) -> Result<(), EntryError> {
    let sealed_bytes = request.value.len() + vault_format::TAG_BYTES;
    let (key_name, bounds) = (request.key_name.clone(), request.bounds.clone());
    Entry::new(key_name, bounds, vec![0], [0; NONCE_BYTES], vec![0; sealed_bytes]).map(drop)
}

fn seal_one(
    scope: &Scope,
    request: SealRequest,
    key: &LessSafeKey,
    wrapped_data_key: &[u8],
) -> Result<Entry, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Corrupt)?;
    let associated = scope.associated_data(&request.key_name, &request.bounds);
    let mut bytes = Zeroizing::new(request.value.expose().as_bytes().to_vec());
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut bytes)
        .map_err(|_| SealError::Corrupt)?;
    let ciphertext = [bytes.as_slice(), tag.as_ref()].concat();
    Ok(Entry::new(request.key_name, request.bounds, wrapped_data_key.to_vec(), nonce, ciphertext)?)
}

/// The caller's possible response to an error of KMS; by its kind and code, never by its text.
fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> SealError {
    match error {
        SdkError::ConstructionFailure(_) => SealError::Denied,
        SdkError::ServiceError(service) => match service.err().code() {
            Some(code) if code == "ValidationException" || vault_format::is_refusal(code) => {
                SealError::Denied
            }
            _ => SealError::Unavailable,
        },
        _ => SealError::Unavailable,
    }
}
