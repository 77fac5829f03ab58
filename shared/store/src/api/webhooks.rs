use domain::ids::{OrganizationId, WebhookId, WorkflowId};
use domain::webhook::Authentication;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Audited;
use super::workflow_apply::WebhookCredential;
use crate::types::{column, word};
use crate::{Store, StoreError};

/// A live webhook, without its key or token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// `webhooks.id`
    pub id: WebhookId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The trigger node.
    pub node_id: String,
    /// The last part of its URL.
    pub address: String,
    /// The proof that a caller gives: `signature`, `bearer`, `header_token` or `none`.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value identifies a delivery, lower case.
    pub deduplication_header: Option<String>,
    /// The time until which the key or token before a rotation is accepted; None: none is.
    pub previous_until: Option<Timestamp>,
    /// The number that each change of its key or authentication raises.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its key or authentication last changed.
    pub updated_at: Timestamp,
}

/// A live webhook with the counts of its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedWebhook {
    /// The webhook.
    pub row: WebhookRow,
    /// `workflows.name`
    pub workflow_name: String,
    /// Deliveries that were taken.
    pub accepted: i64,
    /// Deliveries that were refused: a map from each reason to their number.
    pub refused: serde_json::Value,
    /// When one was refused last.
    pub refused_last_at: Option<Timestamp>,
    /// Why that was.
    pub refused_last_reason: Option<String>,
}

impl WebhookRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            address: column(row, "address")?,
            authentication: word(row, "authentication")?,
            header_name: column(row, "header_name")?,
            deduplication_header: column(row, "deduplication_header")?,
            previous_until: column(row, "previous_until")?,
            version: column(row, "version")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
        })
    }
}

/// A place in the list of webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPlace {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The trigger node.
    pub node_id: String,
}

/// The live webhooks after a place, of one workflow or of all: those of the newest workflow first,
/// by node id within a workflow; and the place after which there are more. It goes along the index
/// of the organization's workflows.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_webhooks(
    store: &Store,
    organization_id: OrganizationId,
    workflow_id: Option<WorkflowId>,
    after: Option<&WebhookPlace>,
    rows_max: u32,
) -> Result<(Vec<ListedWebhook>, Option<WebhookPlace>), StoreError> {
    let one_more = i64::from(rows_max) + 1;
    let rows_max = rows_max as usize;
    let after_workflow = after.map(|place| place.workflow_id);
    let after_node = after.map(|place| place.node_id.as_str());
    let rows = store
        .query(
            "/* list_webhooks */
             SELECT h.id, h.workflow_id, w.name AS workflow_name, h.node_id, h.address,
                    h.authentication, h.header_name,
                    h.deduplication_header, h.previous_until, h.version, h.created_at, h.updated_at,
                    coalesce(d.accepted, 0) AS accepted, coalesce(d.refused, '{}') AS refused,
                    d.refused_last_at, d.refused_last_reason
             FROM workflows w JOIN webhooks h ON h.workflow_id = w.id
             LEFT JOIN webhook_deliveries d ON d.webhook_id = h.id
             WHERE w.organization_id = $1
               AND w.id >= coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
               AND w.id <= least(coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
                   coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
               AND ($3::uuid IS NULL OR w.id < $3 OR h.node_id > $4)
               AND h.deleted_at IS NULL AND w.deleted_at IS NULL
             ORDER BY w.id DESC, h.node_id
             LIMIT $5",
            &[
                (&organization_id, Type::UUID),
                (&workflow_id, Type::UUID),
                (&after_workflow, Type::UUID),
                (&after_node, Type::TEXT),
                (&one_more, Type::INT8),
            ],
        )
        .await?;
    let listed = |row: &Row| {
        Ok(ListedWebhook {
            row: WebhookRow::from_row(row)?,
            workflow_name: column(row, "workflow_name")?,
            accepted: column(row, "accepted")?,
            refused: column(row, "refused")?,
            refused_last_at: column(row, "refused_last_at")?,
            refused_last_reason: column(row, "refused_last_reason")?,
        })
    };
    let mut rows: Vec<ListedWebhook> = rows.iter().map(listed).collect::<Result<_, StoreError>>()?;
    let has_more = rows.len() > rows_max;
    rows.truncate(rows_max);
    let last = rows.last().filter(|_| has_more).map(|last| &last.row);
    let next = last.map(|last| WebhookPlace { workflow_id: last.workflow_id, node_id: last.node_id.clone() });
    Ok((rows, next))
}

/// A way to name a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookReference<'a> {
    /// By its id.
    Id(WebhookId),
    /// By its node.
    Node {
        /// The workflow.
        workflow_id: WorkflowId,
        /// The trigger node.
        node_id: &'a str,
    },
}

/// A live webhook with its credential, as it is kept: sealed or hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookKeys {
    /// The part that may be shown.
    pub row: WebhookRow,
    /// The credential that its callers are checked with.
    pub credential: WebhookCredential,
}

/// The live webhook of a reference.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none, or it is another organization's.
pub async fn load_webhook_keys(
    store: &Store,
    organization_id: OrganizationId,
    reference: WebhookReference<'_>,
) -> Result<WebhookKeys, StoreError> {
    let (id, workflow_id, node_id) = match reference {
        WebhookReference::Id(id) => (Some(id), None, None),
        WebhookReference::Node { workflow_id, node_id } => (None, Some(workflow_id), Some(node_id)),
    };
    let rows = store
        .query(
            "/* load_webhook_keys */
             SELECT h.id, h.workflow_id, h.node_id, h.address, h.authentication, h.header_name,
                    h.deduplication_header, h.previous_until, h.version, h.created_at, h.updated_at,
                    h.signing_keys, h.current_key_name, h.token_sha256
             FROM webhooks h JOIN workflows w ON w.id = h.workflow_id
             WHERE w.organization_id = $1 AND (h.id = $2 OR (h.workflow_id = $3 AND h.node_id = $4))
               AND h.deleted_at IS NULL AND w.deleted_at IS NULL",
            &[
                (&organization_id, Type::UUID),
                (&id, Type::UUID),
                (&workflow_id, Type::UUID),
                (&node_id, Type::TEXT),
            ],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::NotFound)?;
    Ok(WebhookKeys {
        row: WebhookRow::from_row(row)?,
        credential: WebhookCredential {
            signing_keys: column(row, "signing_keys")?,
            current_key_name: column(row, "current_key_name")?,
            token_sha256: column(row, "token_sha256")?,
        },
    })
}

/// A new credential of a webhook, beside the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRotation {
    /// `webhooks.id`
    pub id: WebhookId,
    /// `webhooks.version`, as it was when the credential was made.
    pub version_planned: i64,
    /// `webhooks.signing_keys`, as they were when the credential was made. A move to another KMS
    /// key changes them and not the version.
    pub signing_keys_planned: Option<Vec<u8>>,
    /// The credential.
    pub credential: WebhookCredential,
    /// The sealed entry of the previous signing key, if that key is still accepted.
    pub previous_signing_keys: Option<Vec<u8>>,
    /// SHA-256 of the previous token, if that token is still accepted.
    pub previous_token_sha256: Option<Vec<u8>>,
    /// The time until which the previous key or token is accepted; None: it is not.
    pub previous_until: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Writes a new credential and raises the version, so that no instance goes on with the credential
/// in its memory.
///
/// # Errors
/// [`StoreError::Conflict`] when the webhook has another version or other sealed bytes by now, or
/// is gone: load it and decide again.
pub async fn rotate_webhook(
    store: Audited<'_>,
    organization_id: OrganizationId,
    rotation: &WebhookRotation,
) -> Result<WebhookRow, StoreError> {
    store
        .run_tx("rotate_webhook", |tx| async move {
            let rows = tx
                .query(
                    "/* rotate_webhook */
             UPDATE webhooks h
             SET signing_keys = $4, current_key_name = $5, token_sha256 = $6,
                 previous_token_sha256 = $7, previous_until = $8, previous_signing_keys = $10,
                 version = h.version + 1, updated_at = $9
             FROM workflows w
             WHERE h.id = $2 AND h.version = $3 AND h.signing_keys IS NOT DISTINCT FROM $11
               AND h.deleted_at IS NULL
               AND w.id = h.workflow_id AND w.organization_id = $1 AND w.deleted_at IS NULL
             RETURNING h.id, h.workflow_id, h.node_id, h.address, h.authentication, h.header_name,
                 h.deduplication_header, h.previous_until, h.version, h.created_at, h.updated_at",
                    &[
                        (&organization_id, Type::UUID),
                        (&rotation.id, Type::UUID),
                        (&rotation.version_planned, Type::INT8),
                        (&rotation.credential.signing_keys, Type::BYTEA),
                        (&rotation.credential.current_key_name, Type::TEXT),
                        (&rotation.credential.token_sha256, Type::BYTEA),
                        (&rotation.previous_token_sha256, Type::BYTEA),
                        (&rotation.previous_until, Type::TIMESTAMPTZ),
                        (&rotation.now, Type::TIMESTAMPTZ),
                        (&rotation.previous_signing_keys, Type::BYTEA),
                        (&rotation.signing_keys_planned, Type::BYTEA),
                    ],
                )
                .await?;
            let changed = StoreError::Conflict("the webhook was changed meanwhile");
            rows.first().map_or(Err(changed), WebhookRow::from_row)
        })
        .await
}
