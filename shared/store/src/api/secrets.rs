use domain::actor::Actor;
use domain::ids::OrganizationId;
use domain::limits::SECRETS_MAX;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::Audited;
use super::page::{PAGE_COLUMN_BYTES_MAX, Page, PageRequest, read_page};
use super::workflow_apply::share_organization;
use crate::types::{actor, column};
use crate::{Store, StoreError, Tx};

/// A row of `secrets`. `data` is sealed: key names and hosts can be read out of it, values can't.
#[derive(Clone)]
pub struct SecretRow {
    /// `secrets.id`
    pub id: Uuid,
    /// The name that expressions use.
    pub name: String,
    /// The keeper of the values.
    pub provider: String,
    /// Sealed entries.
    pub data: Vec<u8>,
    /// The token or user that made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a value last changed.
    pub updated_at: Timestamp,
}

impl SecretRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            name: column(row, "name")?,
            provider: column(row, "provider")?,
            data: column(row, "data")?,
            created_by: actor(row, "created_by")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
        })
    }
}

/// The secret that a change was sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretIdentity<'a> {
    /// The owner.
    pub organization_id: OrganizationId,
    /// The name.
    pub name: &'a str,
    /// The id in the encryption context: that of the row, or a new one where there is no row.
    pub id: Uuid,
}

/// The decision about the row in [`change_secret`].
pub enum SecretWrite {
    /// The row shall hold these sealed entries.
    Data(Vec<u8>),
    /// The caller's knowledge is out of date.
    Stale,
}

/// The secrets of the organization.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_secrets(
    store: &Store,
    organization_id: OrganizationId,
    page: PageRequest,
) -> Result<Page<SecretRow>, StoreError> {
    let rows = store
        .query(
            "/* list_secrets */
             SELECT q.id, q.name, q.provider, q.data,
                    q.created_by, q.created_at, q.updated_at, q.candidates
             FROM (SELECT c.*, count(*) OVER () AS candidates,
                          row_number() OVER (ORDER BY c.id DESC) AS place,
                          sum(octet_length(c.data)) OVER (ORDER BY c.id DESC) AS bytes
                   FROM (SELECT s.id, s.name, s.provider, s.data,
                                s.created_by, s.created_at, s.updated_at
                         FROM secrets s
                         WHERE s.domain_type = 'org' AND s.domain_id = $1
                           AND ($2::uuid IS NULL OR s.id < $2)
                         ORDER BY s.id DESC LIMIT $3 + 1) c) q
             WHERE q.place = 1 OR (q.place <= $3 AND q.bytes <= $4)
             ORDER BY q.id DESC",
            &[
                (&organization_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&PAGE_COLUMN_BYTES_MAX, Type::INT8),
            ],
        )
        .await?;
    read_page(&rows, SecretRow::from_row)
}

/// One secret, if it is there.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn load_secret(
    store: &Store,
    organization_id: OrganizationId,
    name: &str,
) -> Result<Option<SecretRow>, StoreError> {
    Ok(load_secrets_named(store, organization_id, &[name]).await?.pop())
}

/// The named secrets, as far as they are there.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn load_secrets_named(
    store: &Store,
    organization_id: OrganizationId,
    names: &[&str],
) -> Result<Vec<SecretRow>, StoreError> {
    let rows = store
        .query(
            "/* load_secrets_named */
             SELECT id, name, provider, data, created_by, created_at, updated_at FROM secrets
             WHERE domain_type = 'org' AND domain_id = $1 AND name = ANY($2)",
            &[(&organization_id, Type::UUID), (&names, Type::TEXT_ARRAY)],
        )
        .await?;
    rows.iter().map(SecretRow::from_row).collect()
}

/// Changes the sealed entries of one secret under the lock of its row. `change` gets the present
/// bytes (None: no row yet) and returns the new ones. These were sealed before: `change` makes no
/// network call.
///
/// # Errors
/// [`StoreError::Conflict`] when the bytes were sealed for another row, or `change` returned
/// [`SecretWrite::Stale`]: load and seal again. [`StoreError::NotFound`] when the organization was
/// deleted; [`StoreError::Rejected`] with the constraint `secrets_max` when the organization has as
/// many secrets as it may have.
pub async fn change_secret(
    store: Audited<'_>,
    secret: SecretIdentity<'_>,
    changed_by: &Actor,
    now: Timestamp,
    change: impl Fn(Option<&[u8]>) -> Result<SecretWrite, StoreError> + Sync,
) -> Result<(), StoreError> {
    let changed = store.run_tx("change_secret", |tx| change_in(tx, secret, changed_by, now, &change)).await;
    match changed {
        Err(StoreError::Rejected { sqlstate: Some(code), .. }) if code == "23505" => {
            Err(StoreError::Conflict("a secret of that name was made meanwhile"))
        }
        changed => changed,
    }
}

async fn change_in(
    tx: Tx,
    secret: SecretIdentity<'_>,
    changed_by: &Actor,
    now: Timestamp,
    change: &(impl Fn(Option<&[u8]>) -> Result<SecretWrite, StoreError> + Sync),
) -> Result<(), StoreError> {
    share_organization(&tx, secret.organization_id).await?;
    let rows = tx
        .query(
            "/* change_secret: lock */
             SELECT id, data FROM secrets
             WHERE domain_type = 'org' AND domain_id = $1 AND name = $2
             FOR NO KEY UPDATE",
            &[(&secret.organization_id, Type::UUID), (&secret.name, Type::TEXT)],
        )
        .await?;
    let current = match rows.first() {
        Some(row) => Some((column::<Uuid>(row, "id")?, column::<Vec<u8>>(row, "data")?)),
        None => None,
    };
    if current.as_ref().is_some_and(|(id, _)| *id != secret.id) {
        return Err(StoreError::Conflict("the secret was made anew meanwhile"));
    }
    let data = match change(current.as_ref().map(|(_, data)| data.as_slice()))? {
        SecretWrite::Data(data) => data,
        SecretWrite::Stale => return Err(StoreError::Conflict("the secret was changed meanwhile")),
    };
    match current {
        Some(_) => update_secret(&tx, secret.id, &data, now).await,
        None => insert_secret(&tx, secret, &data, changed_by, now).await,
    }
}

async fn update_secret(tx: &Tx, id: Uuid, data: &[u8], now: Timestamp) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* change_secret: update */ UPDATE secrets SET data = $2, updated_at = $3
             WHERE id = $1
             RETURNING id",
            &[(&id, Type::UUID), (&data, Type::BYTEA), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    if rows.is_empty() { Err(StoreError::Conflict("the secret was deleted meanwhile")) } else { Ok(()) }
}

async fn insert_secret(
    tx: &Tx,
    secret: SecretIdentity<'_>,
    data: &[u8],
    created_by: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* change_secret: insert */
             INSERT INTO secrets
                 (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             SELECT $1, $2, 'org', $3, $4, $5, $6, $6
             WHERE (SELECT count(*) FROM secrets WHERE domain_type = 'org' AND domain_id = $3) < $7
             RETURNING id",
            &[
                (&secret.id, Type::UUID),
                (&secret.name, Type::TEXT),
                (&secret.organization_id, Type::UUID),
                (&data, Type::BYTEA),
                (&created_by.to_string(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&SECRETS_MAX, Type::INT8),
            ],
        )
        .await?;
    if rows.is_empty() {
        return Err(StoreError::Rejected { sqlstate: None, constraint: Some("secrets_max".to_owned()) });
    }
    Ok(())
}

/// Deletes a secret with all its keys.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of that name.
pub async fn delete_secret(
    store: Audited<'_>,
    organization_id: OrganizationId,
    name: &str,
) -> Result<(), StoreError> {
    store
        .run_tx("delete_secret", |tx| async move {
            let rows = tx
                .query(
                    "/* delete_secret */
                     DELETE FROM secrets
                     WHERE domain_type = 'org' AND domain_id = $1 AND name = $2
                     RETURNING id",
                    &[(&organization_id, Type::UUID), (&name, Type::TEXT)],
                )
                .await?;
            if rows.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
        })
        .await
}
