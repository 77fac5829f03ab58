use tokio_postgres::types::Type;

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

/// Sets the password of one of [`FUNCTION_ROLES`]. What is sent is its SCRAM verifier, so that a server that logs statements never has
/// the password itself.
///
/// # Errors
/// See [`StoreError`]; the role then has the password of before.
pub async fn set_password(store: &Store, role: &str, password: &str) -> Result<(), StoreError> {
    if !FUNCTION_ROLES.contains(&role) {
        return Err(StoreError::NotFound);
    }
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let client = store.connect_to_migrate().await?;
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
