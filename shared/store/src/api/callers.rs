//! Callers of the API: what a token and its makers may do, looked up by the token or, within a write, by its id.

use domain::access::Access;
use domain::actor::Actor;
use domain::ids::{OrganizationId, TokenId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::tokens::access;
use crate::audit::AuditLine;
use crate::types::{column, word};
use crate::{Store, StoreError, Tx};

/// The caller of the API: a live token of a live organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The one organization that the token reaches.
    pub organization_id: OrganizationId,
    /// Whose token it is.
    pub actor: Actor,
    /// Its role and grants: no more than any of its makers may.
    pub access: Access,
    /// The token that made it; None for a member, and for what the operator made.
    pub made_by: Option<TokenId>,
    /// The person, or the program that nobody's token made: the first of its makers, by whom all
    /// that it does is counted once.
    pub person: Person,
    /// The time from which the token is refused; None: never.
    pub expires_at: Option<Timestamp>,
    /// Whether the operator has suspended the organization.
    pub is_suspended: bool,
    /// Requests a second of the organization that an instance takes; None: there is no such limit.
    pub requests_per_second_max: Option<i32>,
}

/// The first maker of a token: itself, where no token made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// `api_tokens.id`
    pub id: TokenId,
    /// Its name.
    pub name: String,
}

/// The caller whose token has this SHA-256. None: there is no such token, it was revoked or has
/// expired, one of its makers was revoked, or its organization was deleted.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn authenticate_token(
    store: &Store,
    token_sha256: &[u8],
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let rows = store.query(BY_HASH, &[(&token_sha256, Type::BYTEA), (&now, Type::TIMESTAMPTZ)]).await?;
    let Some(own) = rows.first() else {
        return Ok(None);
    };
    let chain = Chain::from_rows(&rows)?;
    if !chain.is_live {
        return Ok(None);
    }
    let kind = word(own, "kind")?;
    let first = rows.last().unwrap_or(own);
    Ok(Some(Caller {
        organization_id: column(own, "organization_id")?,
        actor: Actor { kind, id: Some(column(own, "id")?), name: column(own, "name")? },
        access: chain.access,
        made_by: column(own, "made_by")?,
        person: Person { id: column(first, "id")?, name: column(first, "name")? },
        expires_at: column(own, "expires_at")?,
        is_suspended: column(own, "is_suspended")?,
        requests_per_second_max: column(own, "requests_per_second_max")?,
    }))
}

/// A token with all its makers.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// The access that all of them have.
    access: Access,
    /// Whether none was revoked, and the token has not expired.
    is_live: bool,
}

impl Chain {
    /// The chain of at least one row, the token's own first.
    fn from_rows(rows: &[Row]) -> Result<Self, StoreError> {
        let (own, makers) = rows.split_first().ok_or(StoreError::NotFound)?;
        let mut chain = Self { access: access(own)?, is_live: !column::<bool>(own, "is_dead")? };
        for maker in makers {
            chain.access = chain.access.and(access(maker)?);
            chain.is_live &= !column::<bool>(maker, "is_dead")?;
        }
        // A chain that is longer than any that can be made does not end in a maker that is known.
        let last = makers.last().unwrap_or(own);
        chain.is_live &= column::<Option<TokenId>>(last, "made_by")?.is_none();
        Ok(chain)
    }
}

/// Checks within a write that its actor is still live and may do all that the accesses say: it may
/// have been demoted or revoked while the request waited for the organization's lock.
///
/// # Errors
/// [`StoreError::Escalation`].
pub(super) async fn check_covers(tx: &Tx, line: &AuditLine, asked: &[Access]) -> Result<(), StoreError> {
    // The operator has no token.
    let Some(id) = line.actor.id else { return Ok(()) };
    let actor = chain_of(tx, id, line.at).await?;
    if !actor.is_live {
        return Err(StoreError::Escalation("the token was revoked meanwhile"));
    }
    // The action too: who is no admin any more may still cover what they ask for.
    if actor.access.can(line.action) && asked.iter().all(|asked| actor.access.covers(*asked)) {
        return Ok(());
    }
    Err(StoreError::Escalation(
        "nobody gives more than they have, nor ends or changes who may do more than themselves",
    ))
}

/// The access of a token as it stands now, with its makers.
pub(super) async fn access_now(tx: &Tx, id: TokenId, now: Timestamp) -> Result<Access, StoreError> {
    Ok(chain_of(tx, id, now).await?.access)
}

async fn chain_of(tx: &Tx, id: TokenId, now: Timestamp) -> Result<Chain, StoreError> {
    let rows = tx.query(BY_ID, &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ)]).await?;
    Chain::from_rows(&rows)
}

/// The token and its makers, from the token on. An expired token is dead; a maker is only when it
/// was revoked.
macro_rules! chain {
    ($name:literal, $token:literal) => {
        concat!(
            "/* ",
            $name,
            " */
    WITH RECURSIVE chain (id, depth) AS (
        SELECT t.id, 1 FROM api_tokens t WHERE ",
            $token,
            "
        UNION ALL
        SELECT own.made_by, chain.depth + 1
        FROM chain JOIN api_tokens own ON own.id = chain.id
        WHERE own.made_by IS NOT NULL AND chain.depth < 10)
    SELECT t.id, t.kind, t.name, t.organization_id, t.role, t.grants, t.made_by,
        t.expires_at, coalesce(t.revoked_at, 'infinity') <> 'infinity'
            OR o.deleted_at IS NOT NULL
            OR chain.depth = 1 AND t.expires_at IS NOT NULL AND t.expires_at <= $2 AS is_dead,
        o.suspended_at IS NOT NULL AS is_suspended, o.requests_per_second_max
    FROM chain
    JOIN api_tokens t ON t.id = chain.id
    JOIN organizations o ON o.id = t.organization_id
    ORDER BY chain.depth"
        )
    };
}

const BY_HASH: &str = chain!("authenticate_token", "t.token_sha256 = $1");
const BY_ID: &str = chain!("token_chain", "t.id = $1");

/// The most tokens of which each was made by the next. A look at a chain follows no more.
pub const TOKEN_CHAIN_MAX: i32 = 10;
