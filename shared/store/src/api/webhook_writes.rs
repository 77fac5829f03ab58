//! The rows of webhooks, as an apply writes them.

use tokio_postgres::types::Type;

use super::{WebhookChange, WebhookCredential, WorkflowWrite};
use crate::{StoreError, Tx};

/// Ends webhooks whose node is no longer a webhook trigger.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn remove_webhooks(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if write.webhooks_removed.is_empty() {
        return Ok(());
    }
    tx.query(
        "/* apply_workflow: remove webhooks */
         UPDATE webhooks SET deleted_at = $3, updated_at = $3, version = version + 1
         WHERE workflow_id = $1 AND id = ANY($2) AND deleted_at IS NULL",
        &[
            (&write.workflow_id, Type::UUID),
            (&write.webhooks_removed, Type::UUID_ARRAY),
            (&write.now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Inserts the new webhooks.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn insert_webhooks(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if write.webhooks.is_empty() {
        return Ok(());
    }
    let hooks = &write.webhooks;
    let credentials = |bytes: fn(&WebhookCredential) -> Option<&[u8]>| -> Vec<Option<&[u8]>> {
        hooks.iter().map(|hook| bytes(&hook.credential)).collect()
    };
    let names: Vec<_> = hooks.iter().map(|hook| hook.credential.current_key_name.as_deref()).collect();
    tx.query(
        "/* apply_workflow: webhooks */
         INSERT INTO webhooks
             (id, workflow_id, node_id, address, authentication, header_name, deduplication_header,
              signing_keys, current_key_name, token_sha256, created_at, updated_at)
         SELECT new.id, $1, new.node_id, new.address, new.authentication, new.header_name,
             new.deduplication_header, new.signing_keys, new.current_key_name, new.token_sha256,
             $11, $11
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::bytea[], $9::text[], $10::bytea[])
             AS new (id, node_id, address, authentication, header_name, deduplication_header,
                     signing_keys, current_key_name, token_sha256)",
        &[
            (&write.workflow_id, Type::UUID),
            (&hooks.iter().map(|hook| hook.id).collect::<Vec<_>>(), Type::UUID_ARRAY),
            (&hooks.iter().map(|hook| hook.node_id.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&hooks.iter().map(|hook| hook.address.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&hooks.iter().map(|hook| hook.authentication.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&hooks.iter().map(|hook| hook.header_name.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (
                &hooks.iter().map(|hook| hook.deduplication_header.as_deref()).collect::<Vec<_>>(),
                Type::TEXT_ARRAY,
            ),
            (&credentials(|credential| credential.signing_keys.as_deref()), Type::BYTEA_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&credentials(|credential| credential.token_sha256.as_deref()), Type::BYTEA_ARRAY),
            (&write.now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// A new credential takes the place of the old one at once. A rotation, with two valid credentials
/// for a while, is another operation.
///
/// # Errors
/// [`StoreError::Conflict`] when the webhook was removed meanwhile.
pub(super) async fn change_webhook(
    tx: &Tx,
    write: &WorkflowWrite,
    change: &WebhookChange,
) -> Result<(), StoreError> {
    let credential = change.credential.clone().unwrap_or_default();
    let rows = tx
        .query(
            "/* apply_workflow: change webhook */
             UPDATE webhooks
             SET authentication = $3, header_name = $4, deduplication_header = $5,
                 signing_keys = CASE WHEN $6 THEN $7 ELSE signing_keys END,
                 current_key_name = CASE WHEN $6 THEN $10 ELSE current_key_name END,
                 token_sha256 = CASE WHEN $6 THEN $8 ELSE token_sha256 END,
                 previous_token_sha256 = CASE WHEN $6 THEN NULL ELSE previous_token_sha256 END,
                 previous_signing_keys = CASE WHEN $6 THEN NULL ELSE previous_signing_keys END,
                 previous_until = CASE WHEN $6 THEN NULL ELSE previous_until END,
                 version = version + 1, updated_at = $9
             WHERE workflow_id = $1 AND id = $2 AND deleted_at IS NULL
             RETURNING id",
            &[
                (&write.workflow_id, Type::UUID),
                (&change.id, Type::UUID),
                (&change.authentication.as_str(), Type::TEXT),
                (&change.header_name, Type::TEXT),
                (&change.deduplication_header, Type::TEXT),
                (&change.credential.is_some(), Type::BOOL),
                (&credential.signing_keys, Type::BYTEA),
                (&credential.token_sha256, Type::BYTEA),
                (&write.now, Type::TIMESTAMPTZ),
                (&credential.current_key_name, Type::TEXT),
            ],
        )
        .await?;
    if rows.is_empty() {
        Err(StoreError::Conflict("a webhook of the workflow was removed meanwhile"))
    } else {
        Ok(())
    }
}
