use jiff::Timestamp;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{Store, StoreError};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Advisory lock that one migration at a time holds ("sealflow" in ASCII).
const MIGRATION_LOCK: i64 = 0x7365_616C_666C_6F77;

/// Brings the schema up to date and returns the names of the migrations that ran.
///
/// Two at once wait for each other: refinery itself takes no lock.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached, [`StoreError::Setup`] when a migration fails.
pub async fn migrate(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut client =
        if store.needs_tls() { store.connect_alone_tls().await? } else { store.connect_alone().await? };
    client.query_typed("/* migrate */ SELECT pg_advisory_lock($1)", &[(&MIGRATION_LOCK, Type::INT8)]).await?;
    let report = embedded::migrations::runner().run_async(&mut client).await;
    // The lock ends with the connection, whatever happened.
    let report = report.map_err(|error| {
        let sqlstate = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<tokio_postgres::Error>())
            .and_then(|source| source.code().map(|code| code.code().to_owned()));
        StoreError::Setup(format!(
            "a migration failed (SQLSTATE {})",
            sqlstate.as_deref().unwrap_or("unknown")
        ))
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Ids that [`bootstrap`] writes.
#[derive(Clone, Copy, Debug)]
pub struct BootstrapIds {
    /// `organizations.id`
    pub organization_id: Uuid,
    /// `api_tokens.id`
    pub token_id: Uuid,
}

/// Makes an organization and its first token.
///
/// # Errors
/// [`StoreError::Rejected`] when the name is not allowed.
pub async fn bootstrap(
    store: &Store,
    ids: BootstrapIds,
    name: &str,
    token_sha256: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .query(
            "/* bootstrap */
             WITH organization AS (
                 INSERT INTO organizations (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING id)
             INSERT INTO api_tokens (id, organization_id, name, token_sha256, created_at)
             SELECT $4, organization.id, 'bootstrap', $5, $3 FROM organization",
            &[
                (&ids.organization_id, Type::UUID),
                (&name, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&ids.token_id, Type::UUID),
                (&token_sha256, Type::BYTEA),
            ],
        )
        .await?;
    Ok(())
}
