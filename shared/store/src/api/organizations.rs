use domain::ids::OrganizationId;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Audited;
use super::removed::end_pending_of_organization;
use crate::types::column;
use crate::{Store, StoreError, Tx};

/// An organization, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationRow {
    /// `organizations.id`
    pub id: OrganizationId,
    /// The name that people use.
    pub name: String,
    /// Days for which a finished run is kept; None: for ever.
    pub retention_days: Option<i32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl OrganizationRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            name: column(row, "name")?,
            retention_days: column(row, "retention_days")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
        })
    }
}

/// The organization itself.
///
/// # Errors
/// [`StoreError::NotFound`] when it was deleted.
pub async fn load_organization(
    store: &Store,
    organization_id: OrganizationId,
) -> Result<OrganizationRow, StoreError> {
    let rows = store
        .query(
            "/* load_organization */
             SELECT id, name, retention_days, created_at, updated_at FROM organizations
             WHERE id = $1 AND deleted_at IS NULL",
            &[(&organization_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), OrganizationRow::from_row)
}

/// Sets the days for which the organization keeps its finished runs; None: for ever.
///
/// # Errors
/// [`StoreError::NotFound`] when it was deleted.
pub async fn set_retention(
    store: Audited<'_>,
    organization_id: OrganizationId,
    days: Option<i32>,
    now: Timestamp,
) -> Result<OrganizationRow, StoreError> {
    store
        .run_tx("set_retention", |tx| async move {
            let rows = tx
                .query(
                    "/* set_retention */
                     UPDATE organizations SET retention_days = $2, updated_at = $3
                     WHERE id = $1 AND deleted_at IS NULL
                     RETURNING id, name, retention_days, created_at, updated_at",
                    &[(&organization_id, Type::UUID), (&days, Type::INT4), (&now, Type::TIMESTAMPTZ)],
                )
                .await?;
            rows.first().map_or(Err(StoreError::NotFound), OrganizationRow::from_row)
        })
        .await
}

/// Deletes the organization, its secrets and its webhooks in one transaction. The sweeper stops its
/// runs, 500 at a time. Builder and executor read `deleted_at` and start nothing of these runs.
///
/// # Errors
/// [`StoreError::NotFound`] when it was deleted before.
pub async fn delete_organization(
    store: Audited<'_>,
    organization_id: OrganizationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    store.run_tx("delete_organization", |tx| delete_in(tx, organization_id, now)).await
}

/// What begins runs by itself.
const DELETE_TRIGGERS: [&str; 2] = [
    "/* delete_organization: schedules */ DELETE FROM schedules s USING workflows w
     WHERE w.organization_id = $1::uuid AND s.workflow_id = w.id",
    "/* delete_organization: error handlers */
     DELETE FROM error_handlers WHERE organization_id = $1::uuid",
];

async fn delete_in(tx: Tx, organization_id: OrganizationId, now: Timestamp) -> Result<(), StoreError> {
    // The row's lock keeps out writes of secrets and definitions, which hold the row FOR SHARE.
    let deleted = tx
        .query(
            "/* delete_organization: organization */
             UPDATE organizations SET deleted_at = $2, updated_at = $2
             WHERE id = $1 AND deleted_at IS NULL
             RETURNING id",
            &[(&organization_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    if deleted.is_empty() {
        return Err(StoreError::NotFound);
    }
    tx.query(
        "/* delete_organization: secrets */ DELETE FROM secrets
         WHERE domain_type = 'org' AND domain_id = $1",
        &[(&organization_id, Type::UUID)],
    )
    .await?;
    tx.query(
        "/* delete_organization: webhooks */
         UPDATE webhooks h SET deleted_at = $2, updated_at = $2, version = h.version + 1
         FROM workflows w
         WHERE w.organization_id = $1 AND h.workflow_id = w.id AND h.deleted_at IS NULL",
        &[(&organization_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    for delete in DELETE_TRIGGERS {
        tx.query(delete, &[(&organization_id, Type::UUID)]).await?;
    }
    // Ends the first pending executions; the sweeper stops the runs, in batches.
    end_pending_of_organization(&tx, organization_id, now).await
}
