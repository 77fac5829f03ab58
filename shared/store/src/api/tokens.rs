use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{Store, StoreError};

/// Who calls the API: a token that may be used, of an organization that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The one organization that the token reaches.
    pub organization_id: Uuid,
    /// `api_tokens.id`
    pub token_id: Uuid,
    /// `api_tokens.name`
    pub token_name: String,
}

/// The caller whose token has this SHA-256; None: no such token, revoked, or its organization was deleted.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn authenticate_token(store: &Store, token_sha256: &[u8]) -> Result<Option<Caller>, StoreError> {
    let rows = store
        .query(
            "/* authenticate_token */
             SELECT t.id, t.name, t.organization_id
             FROM api_tokens t JOIN organizations o ON o.id = t.organization_id
             WHERE t.token_sha256 = $1 AND t.revoked_at IS NULL AND o.deleted_at IS NULL",
            &[(&token_sha256, Type::BYTEA)],
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
