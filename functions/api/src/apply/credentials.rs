//! Addresses, signing keys and tokens of webhooks: made and sealed before the transaction.

use api_types::ShownOnce;
use apply_plan::{Plan, WebhookWanted};
use domain::ids::{OrganizationId, WebhookId};
use domain::webhook::CredentialKind;
use store::api::{WebhookChange, WebhookCredential, WebhookWrite};
use vault_format::SecretValue;

use crate::Deps;
use crate::error::ApiError;
use crate::token::{random_address, random_key};
use crate::webhook_credential::KeptCredential;

/// The webhooks of an apply with what was made for them.
pub(super) struct Credentials {
    pub(super) webhooks: Vec<WebhookWrite>,
    pub(super) webhooks_changed: Vec<WebhookChange>,
    shown: Vec<(WebhookId, Shown)>,
}

#[derive(Clone)]
enum Shown {
    SigningKey(ShownOnce),
    Token(ShownOnce),
}

impl Credentials {
    /// The signing key and the token that were made for a webhook.
    pub(super) fn shown(&self, webhook_id: WebhookId) -> (Option<ShownOnce>, Option<ShownOnce>) {
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
    organization_id: OrganizationId,
    plan: &Plan,
) -> Result<Credentials, ApiError> {
    let mut made = Credentials { webhooks: Vec::new(), webhooks_changed: Vec::new(), shown: Vec::new() };
    for wanted in &plan.webhooks {
        let credential = make_credential(deps, organization_id, wanted, &mut made.shown).await?;
        made.webhooks.push(WebhookWrite {
            id: wanted.id,
            node_id: wanted.node_id.clone(),
            address: random_address()?,
            authentication: wanted.configuration.authentication,
            header_name: wanted.configuration.stored_header(),
            deduplication_header: wanted.configuration.deduplication_header.clone(),
            credential,
        });
    }
    for wanted in &plan.webhooks_changed {
        let credential = match wanted.needs_credential {
            true => Some(make_credential(deps, organization_id, wanted, &mut made.shown).await?),
            false => None,
        };
        made.webhooks_changed.push(WebhookChange {
            id: wanted.id,
            authentication: wanted.configuration.authentication,
            header_name: wanted.configuration.stored_header(),
            deduplication_header: wanted.configuration.deduplication_header.clone(),
            credential,
        });
    }
    Ok(made)
}

async fn make_credential(
    deps: &Deps,
    organization_id: OrganizationId,
    wanted: &WebhookWanted,
    shown: &mut Vec<(WebhookId, Shown)>,
) -> Result<WebhookCredential, ApiError> {
    let Some(kind) = wanted.configuration.authentication.credential_kind() else {
        return Ok(WebhookCredential::default());
    };
    let key = random_key()?;
    let value = SecretValue::new(key.clone());
    let kept = KeptCredential::keep(deps, kind, organization_id, wanted.id, value).await?;
    let once = ShownOnce(key);
    let once = match kind {
        CredentialKind::SigningKey => Shown::SigningKey(once),
        CredentialKind::Token => Shown::Token(once),
    };
    shown.push((wanted.id, once));
    kept.into_columns()
}
