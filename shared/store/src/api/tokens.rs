use domain::function::Actor;
use domain::ids::{OrganizationId, TokenId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::column;
use crate::{Store, StoreError, Tx};

/// The caller of the API: a live token of a live organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The one organization that the token reaches.
    pub organization_id: OrganizationId,
    /// `api_tokens.id`
    pub token_id: TokenId,
    /// `api_tokens.name`
    pub token_name: String,
}

/// The caller whose token has this SHA-256. None: there is no such token, it was revoked or has
/// expired, or its organization was deleted.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn authenticate_token(
    store: &Store,
    token_sha256: &[u8],
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let rows = store
        .query(
            "/* authenticate_token */
             SELECT t.id, t.name, t.organization_id
             FROM api_tokens t JOIN organizations o ON o.id = t.organization_id
             WHERE t.token_sha256 = $1 AND coalesce(t.revoked_at, 'infinity') = 'infinity'
               AND o.deleted_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)",
            &[(&token_sha256, Type::BYTEA), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Caller {
        organization_id: column(row, "organization_id")?,
        token_id: column(row, "id")?,
        token_name: column(row, "name")?,
    }))
}

/// A token as the API shows it: without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// `api_tokens.id`
    pub id: TokenId,
    /// The token's purpose, in words.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The name of the token that made it; None for an organization's first one.
    pub created_by: Option<String>,
    /// The time from which it is refused; None: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            name: column(row, "name")?,
            created_at: column(row, "created_at")?,
            created_by: column(row, "created_by")?,
            expires_at: column(row, "expires_at")?,
            revoked_at: column(row, "revoked_at")?,
        })
    }
}

/// The organization's tokens, newest first, revoked ones too.
///
/// # Errors
/// See [`StoreError`].
pub async fn list_tokens(
    store: &Store,
    organization_id: OrganizationId,
    page: PageRequest,
) -> Result<Page<TokenRow>, StoreError> {
    let rows = store
        .query(
            "/* list_tokens */
             SELECT q.*, count(*) OVER () AS candidates FROM (
                 SELECT id, name, created_at, created_by, expires_at, revoked_at FROM api_tokens
                 WHERE organization_id = $1 AND ($2::uuid IS NULL OR id < $2)
                 ORDER BY id DESC LIMIT $3 + 1) q
             ORDER BY q.id DESC LIMIT $3",
            &[(&organization_id, Type::UUID), (&page.before, Type::UUID), (&page.rows_max(), Type::INT8)],
        )
        .await?;
    read_page(&rows, TokenRow::from_row)
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// `api_tokens.id`
    pub id: TokenId,
    /// The token's purpose, in words; no other live token of the organization has the name.
    pub name: &'a str,
    /// SHA-256 of the token.
    pub token_sha256: &'a [u8],
    /// The time from which it is refused; None: never.
    pub expires_at: Option<Timestamp>,
    /// The name of the token that makes it.
    pub created_by: &'a Actor,
}

/// Makes a token.
///
/// # Errors
/// [`StoreError::Conflict`] when a live token has the name, or the organization has as many live
/// tokens as are allowed.
pub async fn create_token(
    store: &Store,
    organization_id: OrganizationId,
    token: &NewToken<'_>,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    store.run_tx("create_token", |tx| create_in(tx, organization_id, token, now)).await
}

async fn create_in(
    tx: Tx,
    organization_id: OrganizationId,
    token: &NewToken<'_>,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    lock_organization(&tx, organization_id).await?;
    let live = tx
        .query(
            "/* create_token: live */
             SELECT count(*) AS live, coalesce(bool_or(name = $2), false) AS is_taken
             FROM api_tokens
             WHERE organization_id = $1 AND revoked_at IS NULL",
            &[(&organization_id, Type::UUID), (&token.name, Type::TEXT)],
        )
        .await?;
    let live = live.first().ok_or(StoreError::Corrupt("create_token"))?;
    if column(live, "is_taken")? {
        return Err(StoreError::Conflict("a token that is not revoked has this name"));
    }
    if column::<i64>(live, "live")? >= domain::limits::TOKENS_MAX {
        return Err(StoreError::Conflict("the organization has as many tokens as it may: revoke some"));
    }
    let rows = tx
        .query(
            "/* create_token */
             INSERT INTO api_tokens
                 (id, organization_id, name, token_sha256, created_at, created_by, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             RETURNING id, name, created_at, created_by, expires_at, revoked_at",
            &[
                (&token.id, Type::UUID),
                (&organization_id, Type::UUID),
                (&token.name, Type::TEXT),
                (&token.token_sha256, Type::BYTEA),
                (&now, Type::TIMESTAMPTZ),
                (&token.created_by.to_string(), Type::TEXT),
                (&token.expires_at, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    rows.first().map_or(Err(StoreError::Corrupt("create_token")), TokenRow::from_row)
}

/// Revokes a token, by its id, or by its name while it lives.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it is the last one that does not expire.
pub async fn revoke_token(
    store: &Store,
    organization_id: OrganizationId,
    reference: &str,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    store.run_tx("revoke_token", |tx| revoke_in(tx, organization_id, reference, now)).await
}

async fn revoke_in(
    tx: Tx,
    organization_id: OrganizationId,
    reference: &str,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    // One at a time in an organization: two calls could each revoke the token that the other counts
    // as left.
    lock_organization(&tx, organization_id).await?;
    let found = tx
        .query(
            "/* revoke_token: find */
             SELECT id, name, created_at, created_by, expires_at, revoked_at,
                    EXISTS (SELECT FROM api_tokens other
                            WHERE other.organization_id = $1 AND other.id <> t.id
                              AND other.revoked_at IS NULL
                              AND other.expires_at IS NULL) AS has_other
             FROM api_tokens t
             WHERE organization_id = $1 AND (id::text = $2 OR (name = $2 AND revoked_at IS NULL))
             ORDER BY (id::text = $2) DESC LIMIT 1",
            &[(&organization_id, Type::UUID), (&reference, Type::TEXT)],
        )
        .await?;
    let found = found.first().ok_or(StoreError::NotFound)?;
    let token = TokenRow::from_row(found)?;
    if token.revoked_at.is_some() {
        return Ok(token);
    }
    // Tokens that expire end by themselves: without this one nobody would get in any more.
    if token.expires_at.is_none() && !column::<bool>(found, "has_other")? {
        return Err(StoreError::Conflict(
            "this is the last token of the organization that does not expire: make another such one first, then revoke this",
        ));
    }
    let rows = tx
        .query(
            "/* revoke_token */
             UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL
             RETURNING id, name, created_at, created_by, expires_at, revoked_at",
            &[(&token.id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), TokenRow::from_row)
}

async fn lock_organization(tx: &Tx, organization_id: OrganizationId) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* lock_organization */ SELECT id FROM organizations
             WHERE id = $1 AND deleted_at IS NULL
             FOR NO KEY UPDATE",
            &[(&organization_id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), |_| Ok(()))
}
