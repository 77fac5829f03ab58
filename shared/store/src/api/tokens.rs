use domain::access::{Access, Grant, Grants, Role};
use domain::actor::{Actor, ActorKind};
use domain::ids::{OrganizationId, TokenId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Audited;
use super::callers::{TOKEN_CHAIN_MAX, access_now, check_covers};
use super::page::{Page, PageRequest, read_page};
use crate::audit::AuditLine;
use crate::types::{actor_if_any, column, word};
use crate::{Store, StoreError, Tx};

pub(super) fn access(row: &Row) -> Result<Access, StoreError> {
    Ok(Access::new(word(row, "role")?, Grants::of(&grants(row)?)))
}

fn grants(row: &Row) -> Result<Vec<Grant>, StoreError> {
    let words: Vec<&str> = column(row, "grants")?;
    words.into_iter().map(|word| word.parse().map_err(|_| StoreError::Corrupt("grants"))).collect()
}

/// A token as the API shows it: without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// `api_tokens.id`
    pub id: TokenId,
    /// A token for a program, or a member.
    pub kind: ActorKind,
    /// The token's purpose, in words; a member's e-mail address.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The rights that its role does not settle alone.
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; None for an organization's first one.
    pub created_by: Option<Actor>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
    /// Requests that were refused because they came too fast.
    pub throttled: i64,
    /// The time from which it is refused; None: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            kind: word(row, "kind")?,
            name: column(row, "name")?,
            role: word(row, "role")?,
            grants: grants(row)?,
            created_at: column(row, "created_at")?,
            created_by: actor_if_any(row, "created_by")?,
            used_at: column(row, "used_at")?,
            throttled: column(row, "throttled")?,
            expires_at: column(row, "expires_at")?,
            revoked_at: column(row, "revoked_at")?,
        })
    }
}

/// The columns of a [`TokenRow`].
macro_rules! columns {
    () => {
        "t.id, t.kind, t.name, t.role, t.grants, t.created_at, t.created_by, t.expires_at,
         t.revoked_at, t.used_at, t.throttled"
    };
}

/// The organization's tokens for programs, or its members, newest first, revoked ones too.
///
/// # Errors
/// See [`StoreError`].
pub async fn list_tokens(
    store: &Store,
    organization_id: OrganizationId,
    kind: ActorKind,
    page: PageRequest,
) -> Result<Page<TokenRow>, StoreError> {
    let rows = store
        .query(
            concat!(
                "/* list_tokens */
                 SELECT q.*, count(*) OVER () AS candidates FROM (
                     SELECT ",
                columns!(),
                " FROM api_tokens t
                     WHERE t.organization_id = $1 AND ($2::uuid IS NULL OR t.id < $2)
                       AND t.kind = $4
                     ORDER BY t.id DESC LIMIT $3 + 1) q
                 ORDER BY q.id DESC LIMIT $3"
            ),
            &[
                (&organization_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&kind.as_str(), Type::TEXT),
            ],
        )
        .await?;
    read_page(&rows, TokenRow::from_row)
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// `api_tokens.id`
    pub id: TokenId,
    /// A token for a program, or a member.
    pub kind: ActorKind,
    /// The token's purpose, in words; no other live token of the organization has the name.
    pub name: &'a str,
    /// Its role and grants. The maker has them itself.
    pub access: Access,
    /// SHA-256 of the token.
    pub token_sha256: &'a [u8],
    /// The time from which it is refused; None: never.
    pub expires_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: &'a Actor,
}

/// Makes a token.
///
/// # Errors
/// [`StoreError::Conflict`] when a live token has the name, or the organization has as many live
/// tokens as are allowed.
pub async fn create_token(
    store: Audited<'_>,
    organization_id: OrganizationId,
    token: &NewToken<'_>,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    let line = store.line();
    store.run_tx("create_token", |tx| create_in(tx, organization_id, token, line, now)).await
}

async fn create_in(
    tx: Tx,
    organization_id: OrganizationId,
    token: &NewToken<'_>,
    line: &AuditLine,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    lock_organization(&tx, organization_id).await?;
    check_covers(&tx, line, &[token.access]).await?;
    // A token for a program counts as its maker. A member is a person, and counts as itself.
    let made_by = token.created_by.id.filter(|_| token.kind == ActorKind::Token);
    check_chain(&tx, made_by).await?;
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
            concat!(
                "/* create_token */
             INSERT INTO api_tokens AS t
                 (id, organization_id, name, token_sha256, created_at, created_by, expires_at,
                  kind, role, grants, made_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             RETURNING ",
                columns!()
            ),
            &[
                (&token.id, Type::UUID),
                (&organization_id, Type::UUID),
                (&token.name, Type::TEXT),
                (&token.token_sha256, Type::BYTEA),
                (&now, Type::TIMESTAMPTZ),
                (&token.created_by.to_string(), Type::TEXT),
                (&token.expires_at, Type::TIMESTAMPTZ),
                (&token.kind.as_str(), Type::TEXT),
                (&token.access.role().as_str(), Type::TEXT),
                (&words(&token.access), Type::TEXT_ARRAY),
                (&made_by, Type::UUID),
            ],
        )
        .await?;
    rows.first().map_or(Err(StoreError::Corrupt("create_token")), TokenRow::from_row)
}

/// Each token counts as its maker, so that a chain of makers has to have an end that is near.
async fn check_chain(tx: &Tx, maker: Option<TokenId>) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* create_token: chain */
             WITH RECURSIVE chain (id, depth) AS (
                 SELECT $1::uuid, 1
                 UNION ALL
                 SELECT own.made_by, chain.depth + 1
                 FROM chain JOIN api_tokens own ON own.id = chain.id
                 WHERE own.made_by IS NOT NULL AND chain.depth <= $2)
             SELECT max(depth) AS makers FROM chain WHERE id IS NOT NULL",
            &[(&maker, Type::UUID), (&TOKEN_CHAIN_MAX, Type::INT4)],
        )
        .await?;
    let makers: Option<i32> = rows.first().map(|row| column(row, "makers")).transpose()?.flatten();
    if makers.unwrap_or(0) >= TOKEN_CHAIN_MAX {
        return Err(StoreError::Conflict(
            "this token was made by a token that was made by a token, and so on: let a member make the new one",
        ));
    }
    Ok(())
}

fn words(access: &Access) -> Vec<&'static str> {
    access.grants().list().into_iter().map(Grant::as_str).collect()
}

/// A token or member, by its id, or by its name while it lives.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn find_token(
    store: &Store,
    organization_id: OrganizationId,
    kind: ActorKind,
    reference: &str,
) -> Result<TokenRow, StoreError> {
    let rows = store
        .query(
            concat!(
                "/* find_token */ SELECT ",
                columns!(),
                " FROM api_tokens t
                  WHERE t.organization_id = $1 AND t.kind = $3
                    AND (t.id::text = $2 OR (t.name = $2 AND t.revoked_at IS NULL))
                  ORDER BY (t.id::text = $2) DESC LIMIT 1"
            ),
            &[(&organization_id, Type::UUID), (&reference, Type::TEXT), (&kind.as_str(), Type::TEXT)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), TokenRow::from_row)
}

/// Gives a member another role and grants.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it is the last owner that does not
/// expire.
pub async fn change_member(
    store: Audited<'_>,
    organization_id: OrganizationId,
    id: TokenId,
    access: Access,
) -> Result<TokenRow, StoreError> {
    let line = store.line();
    store
        .run_tx("change_member", |tx| async move {
            lock_organization(&tx, organization_id).await?;
            find_in(&tx, organization_id, id).await?;
            check_covers(&tx, line, &[access, access_now(&tx, id, line.at).await?]).await?;
            if access.role() != Role::Owner {
                check_other_owner(&tx, organization_id, id).await?;
            }
            let rows = tx
                .query(
                    concat!(
                        "/* change_member */ UPDATE api_tokens t SET role = $3, grants = $4
                         WHERE t.id = $1 AND t.organization_id = $2 AND t.kind = 'member'
                           AND t.revoked_at IS NULL
                         RETURNING ",
                        columns!()
                    ),
                    &[
                        (&id, Type::UUID),
                        (&organization_id, Type::UUID),
                        (&access.role().as_str(), Type::TEXT),
                        (&words(&access), Type::TEXT_ARRAY),
                    ],
                )
                .await?;
            rows.first().map_or(Err(StoreError::NotFound), TokenRow::from_row)
        })
        .await
}

/// Revokes a token, or removes a member, and with it what it has made. A second revocation is no
/// error.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it is the last owner that does not
/// expire.
pub async fn revoke_token(
    store: Audited<'_>,
    organization_id: OrganizationId,
    id: TokenId,
    now: Timestamp,
) -> Result<TokenRow, StoreError> {
    let line = store.line();
    store
        .run_tx_if(
            "revoke_token",
            |tx| revoke_in(tx, organization_id, id, line, now),
            |(_, is_written)| *is_written,
        )
        .await
        .map(|(row, _)| row)
}

/// Writes down that tokens were used, and how many of their requests came too fast.
///
/// # Errors
/// See [`StoreError`].
pub async fn note_use(
    store: &Store,
    token_id: TokenId,
    throttled: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .query_once(
            "/* note_token_use */ UPDATE api_tokens
             SET used_at = greatest(used_at, $2), throttled = throttled + $3
             WHERE id = $1",
            &[(&token_id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&throttled, Type::INT8)],
        )
        .await
        .map(drop)
}

/// Revokes; says whether the token was live until now.
async fn revoke_in(
    tx: Tx,
    organization_id: OrganizationId,
    id: TokenId,
    line: &AuditLine,
    now: Timestamp,
) -> Result<(TokenRow, bool), StoreError> {
    // One at a time in an organization: two calls could each revoke the token that the other counts
    // as left.
    lock_organization(&tx, organization_id).await?;
    let token = find_in(&tx, organization_id, id).await?;
    check_covers(&tx, line, &[access_now(&tx, id, now).await?]).await?;
    if token.revoked_at.is_some() {
        return Ok((token, false));
    }
    check_other_owner(&tx, organization_id, id).await?;
    let rows = tx
        .query(
            concat!(
                "/* revoke_token */ UPDATE api_tokens t SET revoked_at = $2
                 WHERE t.id = $1 AND t.revoked_at IS NULL
                 RETURNING ",
                columns!()
            ),
            &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok((rows.first().map_or(Err(StoreError::NotFound), TokenRow::from_row)?, true))
}

/// The token of an organization that is to be changed.
async fn find_in(tx: &Tx, organization_id: OrganizationId, id: TokenId) -> Result<TokenRow, StoreError> {
    let rows = tx
        .query(
            concat!(
                "/* find_token_to_change */ SELECT ",
                columns!(),
                " FROM api_tokens t WHERE t.organization_id = $1 AND t.id = $2"
            ),
            &[(&organization_id, Type::UUID), (&id, Type::UUID)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), TokenRow::from_row)
}

/// Refuses to end the last owner that does not expire: nobody would get in any more. Tokens that
/// expire end by themselves, those that it made end with it, and what an owner no longer is, its
/// tokens are no longer either.
async fn check_other_owner(
    tx: &Tx,
    organization_id: OrganizationId,
    ending: TokenId,
) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* check_other_owner */
             WITH RECURSIVE living (id) AS (
                 SELECT t.id FROM api_tokens t
                 WHERE t.organization_id = $1 AND t.made_by IS NULL AND t.revoked_at IS NULL
                   AND t.id <> $2 AND t.role = 'owner' AND t.expires_at IS NULL
                 UNION ALL
                 SELECT t.id FROM living JOIN api_tokens t ON t.made_by = living.id
                 WHERE t.revoked_at IS NULL
                   AND t.id <> $2 AND t.role = 'owner' AND t.expires_at IS NULL)
             SELECT (SELECT id FROM living LIMIT 1) IS NOT NULL AS has_other,
                 (SELECT own.role = 'owner' AND own.expires_at IS NULL
                  FROM api_tokens own WHERE own.id = $2) AS is_one",
            &[(&organization_id, Type::UUID), (&ending, Type::UUID)],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("check_other_owner"))?;
    let is_one = column::<Option<bool>>(row, "is_one")?.unwrap_or(false);
    if is_one && !column::<bool>(row, "has_other")? {
        return Err(StoreError::Conflict(
            "this is the last owner of the organization that does not expire, beside those that end with it: have the operator make another (`sealflow admin token`)",
        ));
    }
    Ok(())
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
