//! Addresses, signing keys and tokens of webhooks: made and sealed before the transaction.

use components::webhook::Authentication;
use store::api::{WebhookChange, WebhookCredential, WebhookWrite};
use uuid::Uuid;
use vault_format::{Entries, Purpose, Scope, SecretValue};
use vault_seal::SealRequest;

use super::ShownOnce;
use super::plan::{Plan, WebhookWanted, stored_header};
use crate::Deps;
use crate::error::ApiError;
use crate::token::{random_address, random_key, sha256};

/// The name of a webhook's signing key among its sealed entries.
const SIGNING_KEY_NAME: &str = "current";

/// The webhooks of an apply with what was made for them.
pub(super) struct Credentials {
    pub(super) webhooks: Vec<WebhookWrite>,
    pub(super) webhooks_changed: Vec<WebhookChange>,
    shown: Vec<(Uuid, Shown)>,
}

#[derive(Clone)]
enum Shown {
    SigningKey(ShownOnce),
    Token(ShownOnce),
}

impl Credentials {
    /// The signing key and the token that were made for a webhook.
    pub(super) fn shown(&self, webhook_id: Uuid) -> (Option<ShownOnce>, Option<ShownOnce>) {
        match self.shown.iter().find(|(id, _)| *id == webhook_id) {
            Some((_, Shown::SigningKey(key))) => (Some(key.clone()), None),
            Some((_, Shown::Token(token))) => (None, Some(token.clone())),
            None => (None, None),
        }
    }
}

/// Makes what the plan's webhooks need.
pub(super) async fn make_credentials(
    deps: &Deps,
    organization_id: Uuid,
    plan: &Plan,
) -> Result<Credentials, ApiError> {
    let mut made = Credentials { webhooks: Vec::new(), webhooks_changed: Vec::new(), shown: Vec::new() };
    for wanted in &plan.webhooks {
        let credential = make_credential(deps, organization_id, wanted, &mut made.shown).await?;
        made.webhooks.push(WebhookWrite {
            id: wanted.id,
            node_id: wanted.node_id.clone(),
            address: random_address()?,
            authentication: wanted.configuration.authentication.as_str(),
            header_name: stored_header(&wanted.configuration),
            deduplication_header: wanted.configuration.deduplication_header.clone(),
            signing_keys: credential.signing_keys,
            token_sha256: credential.token_sha256,
        });
    }
    for wanted in &plan.webhooks_changed {
        let credential = match wanted.needs_credential {
            true => Some(make_credential(deps, organization_id, wanted, &mut made.shown).await?),
            false => None,
        };
        made.webhooks_changed.push(WebhookChange {
            id: wanted.id,
            authentication: wanted.configuration.authentication.as_str(),
            header_name: stored_header(&wanted.configuration),
            deduplication_header: wanted.configuration.deduplication_header.clone(),
            credential,
        });
    }
    Ok(made)
}

async fn make_credential(
    deps: &Deps,
    organization_id: Uuid,
    wanted: &WebhookWanted,
    shown: &mut Vec<(Uuid, Shown)>,
) -> Result<WebhookCredential, ApiError> {
    match wanted.configuration.authentication {
        Authentication::None => Ok(WebhookCredential::default()),
        Authentication::Bearer | Authentication::HeaderToken => {
            let token = random_key()?;
            let token_sha256 = Some(sha256(&token));
            shown.push((wanted.id, Shown::Token(ShownOnce(token))));
            Ok(WebhookCredential { signing_keys: None, token_sha256 })
        }
        Authentication::Signature => {
            let key = random_key()?;
            let signing_keys = Some(seal_signing_key(deps, organization_id, wanted.id, key.clone()).await?);
            shown.push((wanted.id, Shown::SigningKey(ShownOnce(key))));
            Ok(WebhookCredential { signing_keys, token_sha256: None })
        }
    }
}

async fn seal_signing_key(
    deps: &Deps,
    organization_id: Uuid,
    webhook_id: Uuid,
    key: String,
) -> Result<Vec<u8>, ApiError> {
    let scope = Scope { organization_id, secret_id: webhook_id, purpose: Purpose::Webhook };
    let request = SealRequest {
        key_name: SIGNING_KEY_NAME.to_owned(),
        value: SecretValue::new(key),
        allowed_hosts: Vec::new(),
    };
    let mut entries = Entries::new();
    for entry in deps.sealer.seal(&scope, vec![request]).await? {
        entries.put(entry).map_err(|error| ApiError::Invalid(error.to_string()))?;
    }
    Ok(entries.to_bytes())
}
