use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{Store, StoreError};

/// A live webhook, without its key or token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookRow {
    /// `webhooks.id`
    pub id: Uuid,
    /// The workflow.
    pub workflow_id: Uuid,
    /// The trigger node.
    pub node_id: String,
    /// The last part of its URL.
    pub address: String,
    /// How a caller shows that it may post: `signature`, `bearer`, `header_token` or `none`.
    pub authentication: String,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value makes deliveries the same, lower case.
    pub deduplication_header: Option<String>,
    /// Raised by each change of its key or authentication.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its key or authentication last changed.
    pub updated_at: Timestamp,
}

impl WebhookRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            node_id: column(row, "node_id")?,
            address: column(row, "address")?,
            authentication: column(row, "authentication")?,
            header_name: column(row, "header_name")?,
            deduplication_header: column(row, "deduplication_header")?,
            version: column(row, "version")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
        })
    }
}

/// The live webhooks of one workflow, by node id. A workflow has no more of them than nodes, so there are no pages.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_webhooks(
    store: &Store,
    organization_id: Uuid,
    workflow_id: Uuid,
) -> Result<Vec<WebhookRow>, StoreError> {
    let rows = store
        .query(
            "/* list_webhooks */
             SELECT h.id, h.workflow_id, h.node_id, h.address, h.authentication, h.header_name, h.deduplication_header,
                    h.version, h.created_at, h.updated_at
             FROM webhooks h JOIN workflows w ON w.id = h.workflow_id
             WHERE w.organization_id = $1 AND h.workflow_id = $2 AND h.deleted_at IS NULL AND w.deleted_at IS NULL
             ORDER BY h.node_id",
            &[(&organization_id, Type::UUID), (&workflow_id, Type::UUID)],
        )
        .await?;
    rows.iter().map(WebhookRow::from_row).collect()
}
