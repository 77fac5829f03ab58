//! Requests to the address of a `wait_for_callback`: each is a call, inserted by the function `take_callback` of
//! the database (`migrations/V62__callbacks.sql`). The role of the intake writes none by itself.

use domain::ids::{CallId, ExecutionId, OrganizationId};
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{HeldWake, Store, StoreError};

/// A request at an address.
#[derive(Clone, Debug)]
pub struct NewCallback {
    /// The id of the call that it becomes.
    pub id: CallId,
    /// The execution that the address names.
    pub execution_id: ExecutionId,
    /// SHA-256 of the address, in hex.
    pub address_sha256: String,
    /// Its method.
    pub method: String,
    /// Its data; None: it is looked only whether the address is open.
    pub data: Option<Value>,
}

/// The outcome of a callback.
#[derive(Clone, Debug, PartialEq)]
pub enum CallbackOutcome {
    /// It is stored: the caller sends the wake.
    Taken(HeldWake),
    /// Something waits at the address. The body has the schema that the author of the workflow wrote.
    Open {
        /// A JSON Schema.
        schema: Option<Value>,
    },
    /// Nothing waits at the address: it was never told, it was used, or its execution is to end.
    Gone,
    /// The address takes another method.
    WrongMethod,
    /// The operator has suspended the organization.
    Suspended,
}

/// Stores the request to an address, once. Without data it looks only, and locks nothing.
///
/// # Errors
/// See [`StoreError`].
pub async fn take_callback(store: &Store, callback: &NewCallback) -> Result<CallbackOutcome, StoreError> {
    let rows = store
        .run_tx("take_callback", |tx| async move {
            tx.query(
                "/* take_callback */
                 SELECT outcome, organization_id, body_schema
                 FROM take_callback($1, $2, $3, $4, $5)",
                &[
                    (&callback.execution_id, Type::UUID),
                    (&callback.address_sha256, Type::TEXT),
                    (&callback.method, Type::TEXT),
                    (&callback.id, Type::UUID),
                    (&callback.data, Type::JSONB),
                ],
            )
            .await
        })
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("take_callback"))?;
    Ok(match column::<&str>(row, "outcome")? {
        "taken" => {
            let organization_id: OrganizationId = column(row, "organization_id")?;
            CallbackOutcome::Taken(HeldWake { execution_id: callback.execution_id, organization_id })
        }
        "open" => CallbackOutcome::Open { schema: column(row, "body_schema")? },
        "gone" => CallbackOutcome::Gone,
        "method" => CallbackOutcome::WrongMethod,
        "suspended" => CallbackOutcome::Suspended,
        _ => return Err(StoreError::Corrupt("take_callback")),
    })
}
