//! `/v1/webhooks`: the webhooks of workflows, and their keys and tokens.
//!
//! A webhook is named by its id, or by workflow and node. Sealing calls KMS, so it comes before the
//! write. The write is refused if the webhook's version has changed since it was read.

use std::sync::Arc;

use api_types::{RotateWebhook, ShownOnce, WebhookAnswer, WebhookList, WebhookQuery, kept_by_default};
use axum::Json;
use axum::extract::{Path, State};
use domain::limits::WEBHOOK_KEY_KEPT_SECONDS_MAX;
use domain::webhook::CredentialKind;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use store::StoreError;
use store::api::{
    AuditObject, Audited, WebhookKeys, WebhookReference, WebhookRotation, find_workflow, list_webhooks,
    load_webhook_keys, rotate_webhook,
};
use vault_format::{Entries, Entry, SecretValue};

use super::{parse_id, query_workflow};
use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::cursor::{page_rows, read_webhook_cursor, webhook_cursor};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::secret_body::read_value;
use crate::token::random_key;
use crate::views;
use crate::webhook_credential::{KeptCredential, alone, check_credential};

/// The most tries of one rotation: another change of the webhook makes a new try necessary.
const ROTATIONS_MAX: u32 = 2;

/// `GET`: the live webhooks, of the newest workflow first, without keys and tokens.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<WebhookQuery>,
) -> Result<Json<WebhookList>, ApiError> {
    let rows_max = page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(read_webhook_cursor).transpose()?;
    let workflow_id = query_workflow(&deps, &caller, query.workflow.as_deref()).await?;
    let (rows, next) =
        list_webhooks(&deps.store, caller.organization_id, workflow_id, after.as_ref(), rows_max).await?;
    let webhooks = rows.into_iter().map(|row| views::listed_webhook(row, &deps.public_url)).collect();
    Ok(Json(WebhookList { webhooks, next_cursor: next.as_ref().map(webhook_cursor) }))
}

/// The body that sets a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody {
    /// The signing key or token.
    #[serde(deserialize_with = "read_value")]
    key: SecretValue,
    /// Seconds for which the previous key is accepted, as in a rotation.
    #[serde(default = "kept_by_default")]
    keep_previous_seconds: u32,
}

/// `POST /v1/webhooks/{webhook}/rotate`: makes a new key or token and shows it in this answer only.
pub(super) async fn rotate(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(webhook): Path<String>,
    body: JsonBody,
) -> Result<Json<WebhookAnswer>, ApiError> {
    let webhook = parse_id(&webhook, "webhook")?;
    let body: RotateWebhook = body.read()?;
    change(&deps, &caller, WebhookReference::Id(webhook), None, body.keep_previous_seconds).await
}

/// `POST /v1/webhooks/{workflow}/{node}/rotate`: as [`rotate`].
pub(super) async fn rotate_of_node(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path((workflow, node)): Path<(String, String)>,
    body: JsonBody,
) -> Result<Json<WebhookAnswer>, ApiError> {
    let body: RotateWebhook = body.read()?;
    let workflow =
        find_workflow(&deps.store, caller.organization_id, &workflow).await.not_found_as("workflow")?;
    let webhook = WebhookReference::Node { workflow_id: workflow.id, node_id: &node };
    change(&deps, &caller, webhook, None, body.keep_previous_seconds).await
}

/// `PUT /v1/webhooks/{webhook}/key`: sets a key or token that was made elsewhere.
pub(super) async fn set(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(webhook): Path<String>,
    body: JsonBody,
) -> Result<Json<WebhookAnswer>, ApiError> {
    let webhook = parse_id(&webhook, "webhook")?;
    let body: SetBody = body.read()?;
    change(&deps, &caller, WebhookReference::Id(webhook), Some(body.key), body.keep_previous_seconds).await
}

/// `PUT /v1/webhooks/{workflow}/{node}/key`: as [`set`].
pub(super) async fn set_of_node(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path((workflow, node)): Path<(String, String)>,
    body: JsonBody,
) -> Result<Json<WebhookAnswer>, ApiError> {
    let body: SetBody = body.read()?;
    let workflow =
        find_workflow(&deps.store, caller.organization_id, &workflow).await.not_found_as("workflow")?;
    let webhook = WebhookReference::Node { workflow_id: workflow.id, node_id: &node };
    change(&deps, &caller, webhook, Some(body.key), body.keep_previous_seconds).await
}

/// Sets the given key, or a new one, beside the present one.
async fn change(
    deps: &Deps,
    caller: &Caller,
    webhook: WebhookReference<'_>,
    given: Option<SecretValue>,
    keep_previous_seconds: u32,
) -> Result<Json<WebhookAnswer>, ApiError> {
    check_kept(keep_previous_seconds)?;
    let organization_id = caller.organization_id;
    for _ in 0..ROTATIONS_MAX {
        let keys = load_webhook_keys(&deps.store, organization_id, webhook).await.not_found_as("webhook")?;
        let kind = keys.row.authentication.credential_kind().ok_or_else(|| {
            ApiError::Invalid("this webhook has no key: its authentication is `none`".to_owned())
        })?;
        let (key, shown) = match &given {
            Some(key) => (SecretValue::new(key.expose().to_owned()), None),
            None => {
                let key = random_key()?;
                (SecretValue::new(key.clone()), Some(ShownOnce(key)))
            }
        };
        check_credential(kind, &key)?;
        let kept = KeptCredential::keep(deps, kind, organization_id, keys.row.id, key).await?;
        let line = caller.line(deps, AuditObject::new("webhook", keys.row.id));
        let rotation = rotation(&keys, kept, keep_previous_seconds, deps.clock.now())?;
        match rotate_webhook(Audited::new(&deps.store, &line), organization_id, &rotation).await {
            Err(StoreError::Conflict(_)) => {}
            rotated => {
                let row = rotated?;
                tracing::info!(webhook_id = %row.id, keep_previous_seconds, "webhook key changed");
                let mut view = views::webhook(row, &deps.public_url);
                match kind {
                    CredentialKind::SigningKey => view.signing_key = shown,
                    CredentialKind::Token => view.token = shown,
                }
                return Ok(Json(WebhookAnswer { webhook: view }));
            }
        }
    }
    Err(ApiError::Conflict("another request is changing the webhook: try again".to_owned()))
}

fn check_kept(seconds: u32) -> Result<(), ApiError> {
    if seconds <= WEBHOOK_KEY_KEPT_SECONDS_MAX {
        return Ok(());
    }
    let days = WEBHOOK_KEY_KEPT_SECONDS_MAX / 86_400;
    Err(ApiError::Invalid(format!(
        "`keep_previous_seconds` is at most {WEBHOOK_KEY_KEPT_SECONDS_MAX} ({days} days)"
    )))
}

/// The rotation that puts the new credential beside the present one. An older credential is
/// dropped: two are accepted, never three.
fn rotation(
    keys: &WebhookKeys,
    kept: KeptCredential,
    keep_previous_seconds: u32,
    now: Timestamp,
) -> Result<WebhookRotation, ApiError> {
    let is_kept = keep_previous_seconds > 0;
    let until = now + SignedDuration::from_secs(i64::from(keep_previous_seconds));
    let previous = if is_kept { current_entry(keys)? } else { None };
    let previous_token = keys.credential.token_sha256.clone().filter(|_| is_kept);
    Ok(WebhookRotation {
        id: keys.row.id,
        version_planned: keys.row.version,
        signing_keys_planned: keys.credential.signing_keys.clone(),
        credential: kept.into_columns()?,
        previous_signing_keys: previous.map(alone).transpose()?,
        previous_token_sha256: previous_token,
        previous_until: is_kept.then_some(until),
        now,
    })
}

/// The sealed entry of the present signing key. It is kept without being opened.
fn current_entry(keys: &WebhookKeys) -> Result<Option<Entry>, ApiError> {
    let (Some(bytes), Some(name)) = (&keys.credential.signing_keys, &keys.credential.current_key_name) else {
        return Ok(None);
    };
    let entries = Entries::parse(bytes).map_err(|_| StoreError::Corrupt("webhooks.signing_keys"))?;
    Ok(entries.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use domain::ids::{WebhookId, WorkflowId};
    use store::api::{WebhookCredential, WebhookRow};
    use vault_format::{Bounds, NONCE_BYTES, TAG_BYTES};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn entry(name: &str, mark: u8) -> Entry {
        Entry::new(name.into(), Bounds::default(), vec![mark], [mark; NONCE_BYTES], vec![mark; TAG_BYTES + 4])
            .unwrap()
    }

    fn keys(credential: WebhookCredential) -> WebhookKeys {
        let row = WebhookRow {
            id: WebhookId::from_u128(1),
            workflow_id: WorkflowId::from_u128(2),
            node_id: "push".into(),
            address: "a".repeat(32),
            authentication: domain::webhook::Authentication::Signature,
            header_name: None,
            deduplication_header: None,
            previous_until: None,
            version: 7,
            created_at: NOW,
            updated_at: NOW,
        };
        WebhookKeys { row, credential }
    }

    fn signing(entries: &[Entry], current: &str) -> WebhookKeys {
        let mut all = Entries::new();
        entries.iter().for_each(|entry| all.put(entry.clone()).unwrap());
        keys(WebhookCredential {
            signing_keys: Some(all.to_bytes()),
            current_key_name: Some(current.into()),
            token_sha256: None,
        })
    }

    #[test]
    fn the_present_signing_key_stays_beside_the_new_one_byte_by_byte_and_an_older_one_goes() {
        // The older stored form, in which both keys stand in one column.
        let before = signing(&[entry("m", 1), entry("z", 2)], "z");
        let rotated = rotation(&before, KeptCredential::SigningKey(entry("a", 3)), 60, NOW).unwrap();
        let entries = |bytes: Option<&Vec<u8>>| {
            Entries::parse(bytes.unwrap()).unwrap().iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(entries(rotated.credential.signing_keys.as_ref()), [entry("a", 3)]);
        assert_eq!(entries(rotated.previous_signing_keys.as_ref()), [entry("z", 2)]);
        assert_eq!(rotated.credential.current_key_name.as_deref(), Some("a"));
        assert_eq!(rotated.previous_until, Some(Timestamp::from_second(60).unwrap()));
        assert_eq!(rotated.version_planned, 7);
    }

    #[test]
    fn a_key_that_is_not_kept_is_gone_at_once() {
        let rotated =
            rotation(&signing(&[entry("z", 2)], "z"), KeptCredential::SigningKey(entry("a", 3)), 0, NOW)
                .unwrap();
        let entries = Entries::parse(rotated.credential.signing_keys.as_deref().unwrap()).unwrap();
        assert_eq!((entries.len(), rotated.previous_signing_keys, rotated.previous_until), (1, None, None));
        let token =
            keys(WebhookCredential { token_sha256: Some(vec![1; 32]), ..WebhookCredential::default() });
        let rotated = rotation(&token, KeptCredential::Token(vec![2; 32]), 0, NOW).unwrap();
        assert_eq!((rotated.previous_token_sha256, rotated.previous_until), (None, None));
    }

    #[test]
    fn a_tokens_hash_moves_to_the_previous_one() {
        let token =
            keys(WebhookCredential { token_sha256: Some(vec![1; 32]), ..WebhookCredential::default() });
        let rotated = rotation(&token, KeptCredential::Token(vec![2; 32]), 1, NOW).unwrap();
        assert_eq!(rotated.previous_token_sha256, Some(vec![1; 32]));
        assert_eq!(rotated.credential.token_sha256, Some(vec![2; 32]));
        assert_eq!(rotated.credential.signing_keys, None);
    }

    #[test]
    fn a_key_is_kept_for_so_long_and_no_longer_i10() {
        assert!(check_kept(WEBHOOK_KEY_KEPT_SECONDS_MAX).is_ok());
        assert!(check_kept(WEBHOOK_KEY_KEPT_SECONDS_MAX + 1).is_err());
        let body: RotateWebhook = serde_json::from_str("{}").unwrap();
        assert_eq!(body.keep_previous_seconds, domain::limits::WEBHOOK_KEY_KEPT_SECONDS_DEFAULT);
        let null = serde_json::from_str::<RotateWebhook>(r#"{ "keep_previous_seconds": null }"#);
        assert!(null.is_err(), "null is no number of seconds");
    }
}
