use crate::{Store, StoreError};
use domain::function::Function;
use jiff::Timestamp;
use tokio_postgres::types::Type;

/// Notes that a function has committed work. By this the sweeper ends nothing as undeliverable
/// while the function itself is down.
///
/// An instance writes it at most once every ten seconds, so the call may follow every commit.
///
/// # Errors
/// See [`StoreError`].
pub async fn record_heartbeat(store: &Store, function: Function, now: Timestamp) -> Result<(), StoreError> {
    if !store.is_heartbeat_due(now) {
        return Ok(());
    }
    store
        .query(
            "/* record_heartbeat */
             INSERT INTO function_heartbeats (function, committed_at) VALUES ($1, $2)
             ON CONFLICT (function) DO UPDATE SET committed_at = excluded.committed_at
             WHERE function_heartbeats.committed_at < excluded.committed_at",
            &[(&function.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(())
}
