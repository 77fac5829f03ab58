//! The rewrap function's statements: they read sealed bytes in order, and replace the bytes that
//! did not change meanwhile.

use domain::ids::OrganizationId;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{Store, StoreError};

/// The number of rows that are read at once.
pub const REWRAP_ROWS_MAX: i64 = 32;
/// Sealed bytes that are read at once; a single row may have more.
pub const REWRAP_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// A column with sealed entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedColumn {
    /// `secrets.data`
    Secrets,
    /// `webhooks.signing_keys`
    SigningKeys,
    /// `webhooks.previous_signing_keys`
    PreviousSigningKeys,
}

/// The sealed entries of one row.
#[derive(Clone)]
pub struct SealedRow {
    /// `secrets.id` or `webhooks.id`.
    pub id: Uuid,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The bytes.
    pub data: Vec<u8>,
}

/// The next rows by id, after `after` (None: the first ones); empty when there are no more. Deleted
/// webhooks that still have keys are among them.
///
/// # Errors
/// See [`StoreError`].
pub async fn next_sealed_rows(
    store: &Store,
    sealed: SealedColumn,
    after: Option<Uuid>,
) -> Result<Vec<SealedRow>, StoreError> {
    let rows = store
        .query(
            select(sealed),
            &[(&after, Type::UUID), (&REWRAP_ROWS_MAX, Type::INT8), (&REWRAP_BYTES_MAX, Type::INT8)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SealedRow {
                id: column(row, "id")?,
                organization_id: column(row, "organization_id")?,
                data: column(row, "data")?,
            })
        })
        .collect()
}

/// A statement that reads `id`, `organization_id`, `data` of the rows after $1 by id: $2 rows at
/// most, and $3 bytes at most, but always one row.
macro_rules! next_sealed_sql {
    ($name:literal, $candidates:literal) => {
        concat!(
            "/* next_sealed_rows: ",
            $name,
            " */
             SELECT q.id, q.organization_id, q.data
             FROM (SELECT c.*, row_number() OVER (ORDER BY c.id) AS place,
                          sum(octet_length(c.data)) OVER (ORDER BY c.id) AS bytes
                   FROM (",
            $candidates,
            " LIMIT $2) c) q
             WHERE q.place = 1 OR q.bytes <= $3
             ORDER BY q.id"
        )
    };
}

fn select(sealed: SealedColumn) -> &'static str {
    match sealed {
        SealedColumn::Secrets => next_sealed_sql!(
            "secrets",
            "SELECT s.id, s.domain_id AS organization_id, s.data FROM secrets s
             WHERE s.domain_type = 'org' AND ($1::uuid IS NULL OR s.id > $1)
             ORDER BY s.id"
        ),
        SealedColumn::SigningKeys => next_sealed_sql!(
            "signing_keys",
            "SELECT h.id, w.organization_id, h.signing_keys AS data
             FROM webhooks h JOIN workflows w ON w.id = h.workflow_id
             WHERE h.signing_keys IS NOT NULL AND ($1::uuid IS NULL OR h.id > $1)
             ORDER BY h.id"
        ),
        SealedColumn::PreviousSigningKeys => next_sealed_sql!(
            "previous_signing_keys",
            "SELECT h.id, w.organization_id, h.previous_signing_keys AS data
             FROM webhooks h JOIN workflows w ON w.id = h.workflow_id
             WHERE h.previous_signing_keys IS NOT NULL AND ($1::uuid IS NULL OR h.id > $1)
             ORDER BY h.id"
        ),
    }
}

/// Replaces the sealed bytes of a row if they are still `row.data`, and returns whether it did.
/// Times and versions stay, because the values stay.
///
/// # Errors
/// See [`StoreError`].
pub async fn replace_sealed(
    store: &Store,
    sealed: SealedColumn,
    row: &SealedRow,
    data: &[u8],
) -> Result<bool, StoreError> {
    let sql = match sealed {
        SealedColumn::Secrets => {
            "/* replace_sealed: secrets */ UPDATE secrets SET data = $3
             WHERE id = $1 AND data = $2
             RETURNING id"
        }
        SealedColumn::SigningKeys => {
            "/* replace_sealed: signing_keys */
             UPDATE webhooks SET signing_keys = $3
             WHERE id = $1 AND signing_keys = $2
             RETURNING id"
        }
        SealedColumn::PreviousSigningKeys => {
            "/* replace_sealed: previous_signing_keys */
             UPDATE webhooks SET previous_signing_keys = $3
             WHERE id = $1 AND previous_signing_keys = $2
             RETURNING id"
        }
    };
    let rows = store
        .query_once(sql, &[(&row.id, Type::UUID), (&row.data, Type::BYTEA), (&data, Type::BYTEA)])
        .await?;
    Ok(!rows.is_empty())
}
