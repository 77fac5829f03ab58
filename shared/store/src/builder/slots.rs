use domain::ids::EventId;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::lock::{LimitKey, limit_key_arrays};
use crate::nodes::node_key;
use crate::types::column;
use crate::{StoreError, Tx};

/// The slots of one concurrency key of a limited node whose lock is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The node and the concurrency key.
    pub key: LimitKey,
    /// The limit minus active executions; items that this transaction has claimed are not counted.
    pub free: i64,
    /// The event of the first waiting item.
    pub next_event_id: Option<EventId>,
}

/// Slots of concurrency keys of nodes whose lock is held. A node that was removed or has no limit
/// has none. At a node without a key an unresolved item waits like any other.
pub(super) async fn read_slots(tx: &Tx, keys: &[LimitKey]) -> Result<Vec<Slots>, StoreError> {
    let (workflow_ids, node_ids, concurrency_keys) = limit_key_arrays(keys);
    let rows = tx
        .query_unless_empty(
            keys,
            READ_SLOTS,
            [
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&concurrency_keys, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(slots).collect()
}

const READ_SLOTS: &str = "/* read_slots */
    SELECT t.workflow_id, t.node_id, t.concurrency_key, slots.free,
        coalesce((
            SELECT i.event_id FROM workflow_node_queue_items i
            WHERE i.workflow_id = t.workflow_id AND i.node_id = t.node_id
              AND i.concurrency_key = t.concurrency_key
            ORDER BY i.created_at, i.id LIMIT 1), (
            SELECT i.event_id FROM workflow_node_queue_items i
            WHERE NOT slots.is_keyed AND i.workflow_id = t.workflow_id AND i.node_id = t.node_id
              AND i.concurrency_key IS NULL
            ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1)) AS next_event_id
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (workflow_id, node_id, concurrency_key)
    CROSS JOIN LATERAL node_slots(t.workflow_id, t.node_id, t.concurrency_key) slots";

fn slots(row: &Row) -> Result<Slots, StoreError> {
    Ok(Slots {
        key: LimitKey { node: node_key(row)?, concurrency_key: column(row, "concurrency_key")? },
        free: column(row, "free")?,
        next_event_id: column(row, "next_event_id")?,
    })
}
