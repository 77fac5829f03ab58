//! The credentials that a webhook's callers are checked with: signing keys are sealed, tokens are
//! kept by their hash.

use domain::ids::{OrganizationId, WebhookId};
use domain::limits::{WEBHOOK_KEY_BYTES_MAX, WEBHOOK_KEY_BYTES_MIN};
use domain::webhook::CredentialKind;
use store::api::WebhookCredential;
use vault_format::{Bounds, Entries, Entry, Purpose, Scope, SecretValue};
use vault_seal::SealRequest;

use crate::Deps;
use crate::error::ApiError;
use crate::token::sha256;

/// Checks a credential that somebody gives; those that are made here need no check.
pub(crate) fn check_credential(kind: CredentialKind, key: &SecretValue) -> Result<(), ApiError> {
    if !(WEBHOOK_KEY_BYTES_MIN..=WEBHOOK_KEY_BYTES_MAX).contains(&key.len()) {
        return Err(ApiError::Invalid(format!(
            "a webhook's key or token has {WEBHOOK_KEY_BYTES_MIN} to {WEBHOOK_KEY_BYTES_MAX} bytes"
        )));
    }
    if kind == CredentialKind::Token && !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "a webhook's token stands in a header: letters, digits and signs of ASCII, no spaces";
        return Err(ApiError::Invalid(why.to_owned()));
    }
    Ok(())
}

/// A credential as it is to be kept.
pub(crate) enum KeptCredential {
    /// A sealed signing key, under a name of its own.
    SigningKey(Entry),
    /// The SHA-256 of a token.
    Token(Vec<u8>),
}

impl KeptCredential {
    /// Seals or hashes a credential.
    ///
    /// # Errors
    /// Those of sealing.
    pub(crate) async fn keep(
        deps: &Deps,
        kind: CredentialKind,
        organization_id: OrganizationId,
        webhook_id: WebhookId,
        key: SecretValue,
    ) -> Result<Self, ApiError> {
        if kind == CredentialKind::Token {
            return Ok(Self::Token(sha256(key.expose()).to_vec()));
        }
        let scope = Scope { organization_id, secret_id: webhook_id.0, purpose: Purpose::Webhook };
        // The sealed bytes are bound to the name, so that it can't say `current`: what is current
        // now is previous later.
        let key_name = deps.ids.random::<uuid::Uuid>().to_string();
        let request = SealRequest { key_name, value: key, bounds: Bounds::default() };
        let sealed = deps.sealer.seal(&scope, vec![request]).await?;
        sealed.into_iter().next().map(Self::SigningKey).ok_or(ApiError::Internal)
    }

    /// The credential's columns.
    pub(crate) fn into_columns(self) -> Result<WebhookCredential, ApiError> {
        match self {
            Self::Token(hash) => {
                Ok(WebhookCredential { token_sha256: Some(hash), ..WebhookCredential::default() })
            }
            Self::SigningKey(key) => Ok(WebhookCredential {
                current_key_name: Some(key.key_name().to_owned()),
                signing_keys: Some(alone(key)?),
                token_sha256: None,
            }),
        }
    }
}

/// One entry as it is stored.
pub(crate) fn alone(entry: Entry) -> Result<Vec<u8>, ApiError> {
    let mut entries = Entries::new();
    entries.put(entry).map_err(|_| ApiError::Internal)?;
    Ok(entries.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(kind: CredentialKind, key: &str) -> bool {
        check_credential(kind, &SecretValue::new(key.to_owned())).is_ok()
    }

    #[test]
    fn a_given_key_has_a_length_with_limits_on_both_sides_i10() {
        for kind in [CredentialKind::SigningKey, CredentialKind::Token] {
            let check =
                |bytes: usize, expected| assert_eq!(is_taken(kind, &"k".repeat(bytes)), expected, "{bytes}");
            check(WEBHOOK_KEY_BYTES_MIN - 1, false);
            check(WEBHOOK_KEY_BYTES_MIN, true);
            check(WEBHOOK_KEY_BYTES_MAX, true);
            check(WEBHOOK_KEY_BYTES_MAX + 1, false);
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        for key in ["0123456789 0123456789", "0123456789012345ä", "0123456789012345\n"] {
            assert!(!is_taken(CredentialKind::Token, key), "{key}");
            assert!(is_taken(CredentialKind::SigningKey, key), "{key}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_key_i1() {
        let error = check_credential(CredentialKind::Token, &SecretValue::new("hunter2".into())).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
