//! Items whose concurrency key is not resolved: their search, and the record of their keys. The
//! builder's `plan/record.rs` evaluates the keys.

use domain::ids::{ItemId, WorkflowId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::claim::{ClaimedItem, StoredDefinition, claimed_item, load_definitions};
use super::lock::{LimitKey, sorted};
use super::quarantine::{QuarantinedItem, quarantined_item};
use super::write::{ErrorEvent, WriteBatch, write_batch};
use crate::nodes::{NodeKey, key_arrays, node_key};
use crate::types::column;
use crate::{StoreError, Tx};

/// Items with an unresolved concurrency key, of nodes whose lock is held.
#[derive(Clone, Debug, Default)]
pub struct UnresolvedItems {
    /// The items, in their order; they still wait.
    pub items: Vec<ClaimedItem>,
    /// Items of nodes whose first items hold one that crashed a worker before: they are resolved
    /// alone.
    pub quarantined: Vec<QuarantinedItem>,
    /// Definitions that were asked for.
    pub definitions: Vec<StoredDefinition>,
    /// Nodes without a key, whose items have the key `""` now.
    pub plain: Vec<LimitKey>,
    /// The number of those items.
    pub plain_items: usize,
}

/// Finds unresolved items of locked nodes, at most `items_max`; or only the item of `only`, even if
/// it crashed a worker before. Unresolved items of a node without a key get the key `""`: older
/// code made them, or the node had a key.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_unresolved_items(
    tx: &Tx,
    locked: &[NodeKey],
    only: Option<ItemId>,
    items_max: i64,
    definitions_of: &[WorkflowId],
) -> Result<UnresolvedItems, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(locked);
    let (plain, rows, definitions) = futures_util::try_join!(
        tx.query_with(
            RESOLVE_PLAIN,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&items_max, Type::INT8)],
        ),
        tx.query_with(
            FIND_UNRESOLVED,
            [
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
                (&only, Type::UUID),
            ],
        ),
        load_definitions(tx, definitions_of),
    )?;
    let mut unresolved =
        UnresolvedItems { definitions, plain_items: plain.len(), ..UnresolvedItems::default() };
    for row in &plain {
        let node = node_key(row)?;
        unresolved.plain.push(LimitKey { node, concurrency_key: String::new() });
    }
    unresolved.plain = sorted(unresolved.plain);
    for row in &rows {
        if only.is_none() && column(row, "has_quarantined")? {
            unresolved.quarantined.push(quarantined_item(row)?);
        } else {
            unresolved.items.push(claimed_item(row)?);
        }
    }
    Ok(unresolved)
}

/// Stores resolved concurrency keys, and takes the items that end instead, whose executions are in
/// `batch`; in one round trip.
///
/// # Errors
/// [`StoreError::Conflict`] when one of the items is gone, and those of [`write_batch`].
pub async fn write_resolved(
    tx: &Tx,
    keys: &[(ItemId, String)],
    ended: &[ItemId],
    batch: &WriteBatch,
    now: Timestamp,
) -> Result<Vec<ErrorEvent>, StoreError> {
    let (ids, values): (Vec<ItemId>, Vec<&str>) = keys.iter().map(|(id, key)| (*id, key.as_str())).unzip();
    let (stored, taken, written) = futures_util::try_join!(
        tx.query_with(STORE_KEYS, [(&ids, Type::UUID_ARRAY), (&values, Type::TEXT_ARRAY)]),
        tx.query_with(
            "/* take_unresolved_items */ DELETE FROM workflow_node_queue_items
             WHERE id = ANY($1::uuid[])
             RETURNING id",
            [(&ended, Type::UUID_ARRAY)],
        ),
        write_batch(tx, batch, now),
    )?;
    if (stored.len(), taken.len()) == (keys.len(), ended.len()) {
        Ok(written.errors)
    } else {
        Err(StoreError::Conflict("an item was taken meanwhile"))
    }
}

const STORE_KEYS: &str = "/* store_keys */
    UPDATE workflow_node_queue_items i SET concurrency_key = t.concurrency_key
    FROM unnest($1::uuid[], $2::text[]) AS t (id, concurrency_key)
    WHERE i.id = t.id
    RETURNING i.id";

/// Finds items of nodes without a key: with a null of code before the key `''`, or with a value
/// from the time when the node had a key.
const RESOLVE_PLAIN: &str = "/* resolve_plain_items */
    WITH found AS MATERIALIZED (
        SELECT i.id FROM unnest($1::uuid[], $2::text[]) AS t (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
        CROSS JOIN LATERAL (
            (SELECT i.id FROM workflow_node_queue_items i
             WHERE n.concurrency_key IS NULL AND i.workflow_id = t.workflow_id
               AND i.node_id = t.node_id AND i.concurrency_key IS NULL
             ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3::int8)
            UNION ALL
            (SELECT i.id FROM workflow_node_queue_items i
             WHERE n.concurrency_key IS NULL AND i.workflow_id = t.workflow_id
               AND i.node_id = t.node_id AND i.concurrency_key > ''
             ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3)) i),
    locked AS MATERIALIZED (
        SELECT i.id FROM found JOIN workflow_node_queue_items i ON i.id = found.id
        ORDER BY uuid_send(i.id) FOR UPDATE OF i SKIP LOCKED)
    UPDATE workflow_node_queue_items i SET concurrency_key = ''
    FROM locked
    WHERE i.id = locked.id
    RETURNING i.workflow_id, i.node_id";

/// Leaves out items that another transaction holds: no transaction waits for an item's lock. An
/// item with `''` is from the time when the node had no key.
const FIND_UNRESOLVED: &str = "/* find_unresolved_items */
    WITH found AS MATERIALIZED (
        SELECT i.id, coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', '') AS component,
            i.node_generation <> n.generation AS is_node_removed, w.organization_id
        FROM unnest($1::uuid[], $2::text[]) AS t (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
        JOIN workflows w ON w.id = n.workflow_id
        CROSS JOIN LATERAL (
            (SELECT i.id, i.node_generation FROM workflow_node_queue_items i
             WHERE n.concurrency_key IS NOT NULL AND i.workflow_id = t.workflow_id
               AND i.node_id = t.node_id AND i.concurrency_key IS NULL
               AND ($4::uuid IS NULL OR i.id = $4)
             ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3::int8)
            UNION ALL
            (SELECT i.id, i.node_generation FROM workflow_node_queue_items i
             WHERE n.concurrency_key IS NOT NULL AND i.workflow_id = t.workflow_id
               AND i.node_id = t.node_id AND i.concurrency_key = ''
               AND ($4 IS NULL OR i.id = $4)
             ORDER BY i.created_at, i.id LIMIT $3)) i),
    locked AS MATERIALIZED (
        SELECT i.id, i.workflow_id, i.node_id, i.run_id, i.root_event_id, i.event_id, i.created_at,
            i.crashes, NULL::text AS concurrency_key,
            found.component, found.is_node_removed, found.organization_id
        FROM found JOIN workflow_node_queue_items i ON i.id = found.id
        ORDER BY uuid_send(i.id) FOR UPDATE OF i SKIP LOCKED)
    SELECT locked.*,
        bool_or(crashes > 0) OVER (PARTITION BY workflow_id, node_id) AS has_quarantined
    FROM locked
    ORDER BY workflow_id, node_id, created_at, id LIMIT $3";
