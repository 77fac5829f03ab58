use tokio_postgres::Client;
use tokio_postgres::types::Type;
use zeroize::Zeroizing;

use crate::{Store, StoreError};

/// The roles of the functions.
pub const FUNCTION_ROLES: [&str; 6] = [
    "sealflow_api",
    "sealflow_webhook",
    "sealflow_builder",
    "sealflow_executor",
    "sealflow_sweeper",
    "sealflow_rewrap",
];

/// Sets passwords of [`FUNCTION_ROLES`], each given with its role. Their SCRAM verifiers are sent,
/// so that a server that logs statements never has a password itself.
///
/// # Errors
/// See [`StoreError`]; the failed role and those after it keep their passwords.
pub async fn set_passwords(store: &Store, passwords: &[(&str, Zeroizing<String>)]) -> Result<(), StoreError> {
    let client = store.connect_to_migrate().await?;
    for (role, password) in passwords {
        set_password(&client, role, password).await?;
    }
    Ok(())
}

async fn set_password(client: &Client, role: &str, password: &str) -> Result<(), StoreError> {
    if !FUNCTION_ROLES.contains(&role) {
        return Err(StoreError::NotFound);
    }
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let rows = client
        .query_typed(
            "/* set_password */ SELECT format('ALTER ROLE %I PASSWORD %L', $1, $2)",
            &[(&role, Type::TEXT), (&verifier, Type::TEXT)],
        )
        .await?;
    let statement: &str = rows.first().ok_or(StoreError::Corrupt("set_password"))?.get(0);
    client
        .batch_execute(statement)
        .await
        .map_err(|error| StoreError::of_statement("/* set_password */", error))
}
