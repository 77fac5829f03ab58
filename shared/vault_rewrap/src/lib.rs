//! The move of sealed values from one KMS key to another: the third part of the vault, which only
//! `rewrap` links (I7).
//!
//! KMS re-encrypts the wrapped data keys
//! ([`ReEncrypt`](https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html)); neither
//! a data key nor a value leaves KMS in the clear, and ciphertexts stay unchanged. Each call names
//! both keys and both encryption contexts, so values that were sealed under a third key, or for
//! another scope, are not moved.

use std::collections::{HashMap, HashSet};

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_types::SdkConfig;
use futures_util::StreamExt as _;
use futures_util::stream;
use vault_format::{Entries, Scope};

/// Calls of KMS in progress at the same time: few, for the executor shares the quota.
pub const REENCRYPTS_AT_ONCE: usize = 8;

/// The error of a move that could not be made. No variant carries text of KMS, which names keys and
/// roles.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RewrapError {
    /// KMS refuses this function or one of the keys: an operator must act.
    #[error(
        "KMS refuses to move data keys: both keys must be there and enabled, and the rewrap function's role needs kms:ReEncryptFrom on the one and kms:ReEncryptTo on the other"
    )]
    Denied,
    /// Throttling, time-out or network: another attempt may help.
    #[error("the vault's key service could not be reached; run it again")]
    Unavailable,
}

/// Both keys are the same: every value would be moved for ever, from the key to itself.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the key that values are to be moved from is the one that they are sealed under already")]
pub struct SameKey;

/// The sealed entries of one column of a row, and their scope.
pub struct RewrapRequest {
    /// The scope in which the entries were found: looked up, never taken from a message.
    pub scope: Scope,
    /// The entries.
    pub entries: Entries,
}

/// The outcome for the entries of one [`RewrapRequest`].
#[derive(Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// All entries; those that could be moved are under the new key.
    pub entries: Entries,
    /// Values that were moved.
    pub moved: usize,
    /// Values whose data key is not under the old key: moved before, sealed under the new key, or
    /// under a third key.
    pub elsewhere: usize,
    /// Names of the keys whose values do not open in this scope: damaged, or put here from another
    /// one.
    pub unreadable: Vec<String>,
}

/// Moves data keys from one KMS key to another. Made once, in `main`.
pub struct Rewrapper {
    client: Client,
    source_key_id: String,
    destination_key_id: String,
}

/// One wrapped data key and its scope.
type Place = (Scope, Vec<u8>);

/// The answer of KMS about one data key.
enum Reencrypted {
    Moved(Vec<u8>),
    Elsewhere,
    Unreadable,
}

impl Rewrapper {
    /// A rewrapper from the KMS key `source_key_id` to `destination_key_id` (ids or ARNs).
    ///
    /// # Errors
    /// [`SameKey`].
    pub fn new(
        config: &SdkConfig,
        source_key_id: impl Into<String>,
        destination_key_id: impl Into<String>,
    ) -> Result<Self, SameKey> {
        let (source_key_id, destination_key_id) = (source_key_id.into(), destination_key_id.into());
        if source_key_id == destination_key_id {
            return Err(SameKey);
        }
        Ok(Self { client: Client::new(config), source_key_id, destination_key_id })
    }

    /// Moves the values that are under the old key, with one call of KMS for each distinct pair of
    /// scope and wrapped data key, [`REENCRYPTS_AT_ONCE`] at a time. The results are in the order
    /// of the requests. The caller stores them.
    ///
    /// # Errors
    /// [`RewrapError`], when KMS can't be asked. A value that does not open is no error:
    /// [`Rewrapped::unreadable`] names it.
    pub async fn rewrap(&self, requests: Vec<RewrapRequest>) -> Result<Vec<Rewrapped>, RewrapError> {
        let places = requests.iter().flat_map(|request| {
            request.entries.iter().map(|entry| (request.scope, entry.wrapped_data_key().to_vec()))
        });
        let answers = self.reencrypt_all(places.collect()).await?;
        Ok(requests.into_iter().map(|request| put_together(request, &answers)).collect())
    }

    async fn reencrypt_all(
        &self,
        distinct: HashSet<Place>,
    ) -> Result<HashMap<Place, Reencrypted>, RewrapError> {
        let mut answers = stream::iter(distinct)
            .map(|(scope, wrapped)| async move {
                let answer = self.reencrypt(scope, &wrapped).await?;
                Ok(((scope, wrapped), answer))
            })
            .buffer_unordered(REENCRYPTS_AT_ONCE);
        let mut found = HashMap::new();
        while let Some(answer) = answers.next().await {
            let (place, answer) = answer?;
            found.insert(place, answer);
        }
        Ok(found)
    }

    async fn reencrypt(&self, scope: Scope, wrapped: &[u8]) -> Result<Reencrypted, RewrapError> {
        let answer = self
            .client
            .re_encrypt()
            .ciphertext_blob(Blob::new(wrapped))
            .source_key_id(&self.source_key_id)
            .set_source_encryption_context(Some(scope.encryption_context()))
            .destination_key_id(&self.destination_key_id)
            .set_destination_encryption_context(Some(scope.encryption_context()))
            .send()
            .await;
        match answer {
            // An answer of KMS without a ciphertext can't be trusted, so nothing is written.
            Ok(answer) => answer
                .ciphertext_blob
                .map(|blob| Reencrypted::Moved(blob.into_inner()))
                .ok_or(RewrapError::Unavailable),
            Err(error) => of_error(&error),
        }
    }
}

/// The meaning of an error of KMS; by its kind and code, never by its text.
fn of_error<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Result<Reencrypted, RewrapError> {
    match error {
        SdkError::ConstructionFailure(_) => Err(RewrapError::Denied),
        SdkError::ServiceError(service) => match service.err().code() {
            Some("IncorrectKeyException") => Ok(Reencrypted::Elsewhere),
            Some("InvalidCiphertextException") => Ok(Reencrypted::Unreadable),
            Some(code) if code == "ValidationException" || vault_format::is_refusal(code) => {
                Err(RewrapError::Denied)
            }
            _ => Err(RewrapError::Unavailable),
        },
        _ => Err(RewrapError::Unavailable),
    }
}

fn put_together(request: RewrapRequest, answers: &HashMap<Place, Reencrypted>) -> Rewrapped {
    let RewrapRequest { scope, entries } = request;
    let mut rewrapped = Rewrapped { entries, moved: 0, elsewhere: 0, unreadable: Vec::new() };
    for entry in rewrapped.entries.clone().iter() {
        let moved = match &answers[&(scope, entry.wrapped_data_key().to_vec())] {
            Reencrypted::Moved(wrapped) => entry.clone().with_wrapped_data_key(wrapped.clone()),
            Reencrypted::Elsewhere => {
                rewrapped.elsewhere += 1;
                continue;
            }
            Reencrypted::Unreadable => {
                rewrapped.unreadable.push(entry.key_name().to_owned());
                continue;
            }
        };
        match moved.and_then(|entry| rewrapped.entries.put(entry)) {
            Ok(()) => rewrapped.moved += 1,
            Err(_) => rewrapped.unreadable.push(entry.key_name().to_owned()),
        }
    }
    rewrapped
}
