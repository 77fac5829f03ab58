use jiff::Timestamp;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::claim::{ClaimedItem, Claims, StoredDefinition, claim_items, claimed_item, load_definitions};
use super::lock::{LockedNodes, NodeKey, Wakes, key_arrays};
use super::suspects::{SuspectItem, find_suspects, suspect_item};
use super::write::{WriteBatch, write_batch};
use crate::types::column;
use crate::{StoreError, Tx};

/// Items whose concurrency key is not known yet, of nodes whose lock is held.
#[derive(Clone, Debug, Default)]
pub struct UnseenItems {
    /// The items, in their order; they still wait.
    pub items: Vec<ClaimedItem>,
    /// Those of nodes whose first items hold one that took a process along before: they are seen alone.
    pub suspects: Vec<SuspectItem>,
    /// Definitions that were asked for.
    pub definitions: Vec<StoredDefinition>,
}

/// [`claim_items`] where nodes with a concurrency key are among the locked ones (`keyed`): of each key the smallest items for its free
/// slots, as far as no item before them is unseen, for that may be of the same key. A key whose pick holds a
/// suspect is left out whole.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_with_keys(
    tx: &Tx,
    nodes: &LockedNodes,
    keyed: &[NodeKey],
    wakes: &Wakes,
    items_max: i64,
    definitions_of: &[Uuid],
) -> Result<Claims, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(keyed);
    // Polled, and so sent, in this order: slots are read once all is claimed.
    let (rows, suspects, mut claims) = futures_util::try_join!(
        tx.query_with(
            CLAIM_KEYED,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&items_max, Type::INT8)],
        ),
        find_keyed_suspects(tx, keyed, items_max),
        claim_items(tx, nodes, wakes, items_max, definitions_of),
    )?;
    for row in &rows {
        claims.items.push(claimed_item(row)?);
    }
    claims.suspects.extend(suspects);
    claims.count_keyed();
    Ok(claims)
}

/// All items that a claim of the wakes might take, each as a suspect: their message was received before, or the batch was refused.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_all_suspects(
    tx: &Tx,
    wakes: &Wakes,
    items_max: i64,
) -> Result<Vec<SuspectItem>, StoreError> {
    let (mut items, keyed) = futures_util::try_join!(
        find_suspects(tx, wakes, true, items_max),
        find_keyed(tx, wakes, items_max),
    )?;
    items.extend(keyed);
    Ok(items)
}

/// Finds the items of nodes with a concurrency key that a batch leaves out.
async fn find_keyed_suspects(
    tx: &Tx,
    nodes: &[NodeKey],
    items_max: i64,
) -> Result<Vec<SuspectItem>, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(nodes);
    let rows = tx
        .query(
            FIND_KEYED_SUSPECTS,
            &[(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&items_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(suspect_item).collect()
}

/// Finds what a claim might take of nodes with a concurrency key, and what waits there unseen.
async fn find_keyed(tx: &Tx, wakes: &Wakes, items_max: i64) -> Result<Vec<SuspectItem>, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&wakes.nodes);
    let rows = tx
        .query(
            FIND_KEYED,
            &[
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
                (&wakes.event_ids, Type::UUID_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(suspect_item).collect()
}

/// Finds unseen items of locked nodes, at most `items_max`; or the one that is named, whatever it did before.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_unseen_items(
    tx: &Tx,
    locked: &[NodeKey],
    only: Option<Uuid>,
    items_max: i64,
    definitions_of: &[Uuid],
) -> Result<UnseenItems, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(locked);
    let (rows, definitions) = futures_util::try_join!(
        tx.query_with(
            FIND_UNSEEN,
            [
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
                (&only, Type::UUID),
            ],
        ),
        load_definitions(tx, definitions_of),
    )?;
    let mut unseen = UnseenItems { definitions, ..UnseenItems::default() };
    for row in &rows {
        if only.is_none() && column(row, "has_suspect")? {
            unseen.suspects.push(suspect_item(row)?);
        } else {
            unseen.items.push(claimed_item(row)?);
        }
    }
    Ok(unseen)
}

/// Stores what keys came to, and takes the items that end instead, whose executions are in `batch`; in one round trip.
///
/// # Errors
/// [`StoreError::Conflict`] when one of the items is gone, and those of [`write_batch`].
pub async fn write_keys(
    tx: &Tx,
    keys: &[(Uuid, String)],
    ended: &[Uuid],
    batch: &WriteBatch,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (ids, values): (Vec<Uuid>, Vec<&str>) = keys.iter().map(|(id, key)| (*id, key.as_str())).unzip();
    let (stored, taken, ()) = futures_util::try_join!(
        tx.query_with(
            "/* store_keys */
             UPDATE workflow_node_queue_items i SET concurrency_key = t.key
             FROM unnest($1, $2) AS t (id, key) WHERE i.id = t.id RETURNING i.id",
            [(&ids, Type::UUID_ARRAY), (&values, Type::TEXT_ARRAY)],
        ),
        tx.query_with(
            "/* take_unseen_items */ DELETE FROM workflow_node_queue_items WHERE id = ANY($1) RETURNING id",
            [(&ended, Type::UUID_ARRAY)],
        ),
        write_batch(tx, batch, now),
    )?;
    if (stored.len(), taken.len()) == (keys.len(), ended.len()) {
        Ok(())
    } else {
        Err(StoreError::Conflict("an item was taken meanwhile"))
    }
}

/// What a claim would take of the nodes with a key among `woken`: `picked`, of the keys in `waiting`.
macro_rules! keyed_pick_sql {
    ($name:literal, $woken:literal, $waiting:ident, $rest:literal) => {
        concat!(
            "/* ",
            $name,
            " */
    WITH RECURSIVE woken AS (",
            $woken,
            "),
    node AS (
        SELECT n.workflow_id, n.node_id, n.generation, n.concurrency_max, coalesce(n.ref ->> 'component', '') AS component,
            unseen.created_at AS unseen_at, unseen.id AS unseen_id
        FROM woken
        JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
        JOIN workflows w ON w.id = n.workflow_id
        LEFT JOIN LATERAL (
            SELECT i.created_at, i.id FROM workflow_node_queue_items i
            WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id AND i.concurrency_key IS NULL
            ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1) unseen ON true
        WHERE n.concurrency_key IS NOT NULL AND n.concurrency_max IS NOT NULL
          AND coalesce(n.deleted_at, 'infinity') = 'infinity' AND coalesce(w.deleted_at, 'infinity') = 'infinity'),
    waiting AS (",
            $waiting!(),
            "),
    picked AS (
        SELECT i.id, waiting.workflow_id, waiting.node_id, i.crashes, i.created_at, waiting.component,
            i.node_generation <> waiting.generation AS is_node_removed, i.has_suspect
        FROM waiting CROSS JOIN LATERAL (
            SELECT first.*, bool_or(first.crashes > 0) OVER () AS has_suspect FROM (
                SELECT i.id, i.crashes, i.created_at, i.node_generation FROM workflow_node_queue_items i
                WHERE i.workflow_id = waiting.workflow_id AND i.node_id = waiting.node_id AND i.concurrency_key = waiting.key
                ORDER BY i.concurrency_key, i.created_at, i.id
                LIMIT least($3, greatest(0, waiting.concurrency_max - (
                    SELECT count(*) FROM workflow_node_executions e
                    WHERE e.workflow_id = waiting.workflow_id AND e.node_id = waiting.node_id AND e.concurrency_key = waiting.key
                      AND e.state <> 'finished')))) first) i
        WHERE waiting.unseen_id IS NULL OR (i.created_at, i.id) < (waiting.unseen_at, waiting.unseen_id))",
            $rest
        )
    };
}

/// All keys, by a loose index scan that goes no further than rows are asked of it: items behind one key cost nothing to the others, and
/// a claim costs what it takes and the keys without a free slot, however many keys wait.
macro_rules! all_keys {
    () => {
        "
        SELECT node.*, first.concurrency_key AS key FROM node CROSS JOIN LATERAL (
            SELECT i.concurrency_key FROM workflow_node_queue_items i
            WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key IS NOT NULL
            ORDER BY i.concurrency_key LIMIT 1) first
        UNION ALL
        SELECT waiting.workflow_id, waiting.node_id, waiting.generation, waiting.concurrency_max, waiting.component, waiting.unseen_at,
            waiting.unseen_id, next.concurrency_key
        FROM waiting CROSS JOIN LATERAL (
            SELECT i.concurrency_key FROM workflow_node_queue_items i
            WHERE i.workflow_id = waiting.workflow_id AND i.node_id = waiting.node_id AND i.concurrency_key > waiting.key
            ORDER BY i.concurrency_key LIMIT 1) next"
    };
}

/// The keys of suspects.
macro_rules! suspect_keys {
    () => {
        "
        SELECT DISTINCT node.*, i.concurrency_key AS key FROM node JOIN workflow_node_queue_items i
          ON i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.crashes > 0 AND i.concurrency_key IS NOT NULL"
    };
}

const CLAIM_KEYED: &str = keyed_pick_sql!(
    "claim_keyed",
    "SELECT * FROM unnest($1, $2) AS t (workflow_id, node_id)",
    all_keys,
    ",
    bounded AS (SELECT * FROM picked WHERE NOT has_suspect LIMIT $3),
    taken AS (
        DELETE FROM workflow_node_queue_items i USING bounded AS picked
        WHERE i.id = picked.id
        RETURNING i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.created_at, i.concurrency_key,
            picked.is_node_removed, picked.component)
    SELECT id, workflow_id, node_id, root_event_id, event_id, created_at, concurrency_key, is_node_removed, component
    FROM taken ORDER BY workflow_id, node_id, created_at, id"
);

const FIND_KEYED_SUSPECTS: &str = keyed_pick_sql!(
    "find_keyed_suspects",
    "SELECT * FROM unnest($1, $2) AS named (workflow_id, node_id)",
    suspect_keys,
    "
    SELECT id, workflow_id, node_id, crashes, created_at, false AS is_unseen FROM picked WHERE has_suspect
    ORDER BY workflow_id, node_id, created_at, id LIMIT $3"
);

const FIND_KEYED: &str = keyed_pick_sql!(
    "find_keyed",
    "SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($4)
     UNION
     SELECT * FROM unnest($1, $2) AS named (workflow_id, node_id)",
    all_keys,
    "
    (SELECT id, workflow_id, node_id, crashes, created_at, false AS is_unseen FROM picked LIMIT $3)
    UNION ALL
    (SELECT i.id, i.workflow_id, i.node_id, i.crashes, i.created_at, true
     FROM node CROSS JOIN LATERAL (
         SELECT i.* FROM workflow_node_queue_items i
         WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key IS NULL
         ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3) i
     LIMIT $3)
    ORDER BY workflow_id, node_id, created_at, id LIMIT $3"
);

const FIND_UNSEEN: &str = "/* find_unseen_items */
    SELECT i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.created_at, i.crashes, i.concurrency_key, true AS is_unseen,
        coalesce(n.ref ->> 'component', '') AS component, i.node_generation <> n.generation AS is_node_removed,
        bool_or(i.crashes > 0) OVER (PARTITION BY i.workflow_id, i.node_id) AS has_suspect
    FROM unnest($1, $2) AS t (workflow_id, node_id)
    JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
    JOIN workflows w ON w.id = n.workflow_id
    CROSS JOIN LATERAL (
        SELECT i.* FROM workflow_node_queue_items i
        WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id AND i.concurrency_key IS NULL AND ($4 IS NULL OR i.id = $4)
        ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3) i
    WHERE n.concurrency_key IS NOT NULL AND coalesce(n.deleted_at, 'infinity') = 'infinity' AND coalesce(w.deleted_at, 'infinity') = 'infinity'
    ORDER BY i.workflow_id, i.node_id, i.created_at, i.id LIMIT $3";
