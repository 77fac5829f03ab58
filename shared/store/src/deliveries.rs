//! Counts of deliveries, by webhook: `webhook_deliveries`.

use std::collections::BTreeMap;

use domain::ids::WebhookId;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::types::Type;

use crate::{Store, StoreError};

/// The deliveries that one instance counted of one webhook since it last wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Those that were taken, repeated ones too.
    pub accepted: i64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<&'static str, i64>,
    /// When one was refused last, and why.
    pub refused_last: Option<(Timestamp, &'static str)>,
}

/// Adds what an instance counted. Two instances add to each other, in whichever order.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached: nothing was added.
pub async fn add_deliveries(
    store: &Store,
    webhook_id: WebhookId,
    counts: &DeliveryCounts,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (last_at, last_reason) = counts.refused_last.unzip();
    store
        .query(
            "/* add_deliveries */
             INSERT INTO webhook_deliveries AS known
                 (webhook_id, accepted, refused, refused_last_at, refused_last_reason, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (webhook_id) DO UPDATE SET
                 accepted = known.accepted + excluded.accepted,
                 refused = (
                     SELECT coalesce(jsonb_object_agg(reason, count), '{}')
                     FROM (SELECT reason, sum(count::int8) AS count
                           FROM (SELECT key AS reason, value AS count
                                 FROM jsonb_each_text(known.refused)
                                 UNION ALL
                                 SELECT key, value FROM jsonb_each_text(excluded.refused)) pairs
                           GROUP BY reason) sums),
                 refused_last_at = greatest(known.refused_last_at, excluded.refused_last_at),
                 refused_last_reason = CASE
                     WHEN excluded.refused_last_at IS NULL
                       OR known.refused_last_at > excluded.refused_last_at
                     THEN known.refused_last_reason ELSE excluded.refused_last_reason END,
                 updated_at = greatest(known.updated_at, excluded.updated_at)",
            &[
                (&webhook_id, Type::UUID),
                (&counts.accepted, Type::INT8),
                (&json!(counts.refused), Type::JSONB),
                (&last_at, Type::TIMESTAMPTZ),
                (&last_reason, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    Ok(())
}
