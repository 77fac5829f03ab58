use std::collections::HashMap;

use domain::ids::{EventId, ItemId, OrganizationId};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::lock::{LimitKey, Wakes, WokenNode, find_woken_nodes, limit_key_arrays, sorted};
use crate::nodes::{NodeKey, key_arrays, node_key};
use crate::types::column;
use crate::{StoreError, Tx};

/// An item that crashed a worker before, or whose message was received before.
#[derive(Clone, Debug)]
pub struct QuarantinedItem {
    /// `workflow_node_queue_items.id`
    pub id: ItemId,
    /// The node that it waits at.
    pub node: NodeKey,
    /// The event that waits.
    pub event_id: EventId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Times that it crashed a worker.
    pub crashes: i32,
    /// The value of the node's concurrency key; None while it is not resolved.
    pub concurrency_key: Option<String>,
}

pub(super) fn quarantined_item(row: &Row) -> Result<QuarantinedItem, StoreError> {
    Ok(QuarantinedItem {
        id: column(row, "id")?,
        node: node_key(row)?,
        event_id: column(row, "event_id")?,
        organization_id: column(row, "organization_id")?,
        crashes: column(row, "crashes")?,
        concurrency_key: column(row, "concurrency_key")?,
    })
}

/// The items that a search for quarantined items finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Items that crashed a worker before, and the other items of a limited node's pick that holds
    /// one.
    Quarantined,
    /// All items that a claim might take.
    All,
}

/// All items that a claim of the wakes might take, for a message that was received before or a
/// batch that was refused.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_all_quarantined(
    tx: &Tx,
    wakes: &Wakes,
    items_max: i64,
) -> Result<Vec<QuarantinedItem>, StoreError> {
    let woken = find_woken_nodes(tx, wakes).await?;
    let keys = sorted(woken.iter().flat_map(WokenNode::limit_keys).collect());
    let unresolved: Vec<NodeKey> =
        woken.iter().filter(|node| node.has_unresolved).map(|node| node.key.clone()).collect();
    let (workflow_ids, node_ids) = key_arrays(&unresolved);
    let (mut items, rows) = futures_util::try_join!(
        find_quarantined(tx, wakes, &keys, Search::All, items_max),
        tx.query_unless_empty(
            &unresolved,
            FIND_UNRESOLVED_QUARANTINED,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&items_max, Type::INT8)],
        ),
    )?;
    for row in &rows {
        items.push(quarantined_item(row)?);
    }
    Ok(items)
}

/// Finds the items of the wakes that a batch leaves out, at most `items_max`. Each of `keys` gives
/// its whole pick for the free slots, in order, if the pick holds a quarantined item. Quarantined
/// items that need no slot are found too.
pub(super) async fn find_quarantined(
    tx: &Tx,
    wakes: &Wakes,
    keys: &[LimitKey],
    search: Search,
    items_max: i64,
) -> Result<Vec<QuarantinedItem>, StoreError> {
    let (workflow_ids, node_ids, concurrency_keys) = limit_key_arrays(keys);
    let (named_workflow_ids, named_node_ids) = key_arrays(&wakes.nodes);
    let rows = tx
        .query(
            FIND_QUARANTINED,
            &[
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&concurrency_keys, Type::TEXT_ARRAY),
                (&wakes.event_ids, Type::UUID_ARRAY),
                (&named_workflow_ids, Type::UUID_ARRAY),
                (&named_node_ids, Type::TEXT_ARRAY),
                (&(search == Search::All), Type::BOOL),
                (&items_max, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(quarantined_item).collect()
}

const FIND_QUARANTINED: &str = "/* find_quarantined */
    WITH picked AS (
        SELECT next.id,
            bool_or(next.crashes > 0)
                OVER (PARTITION BY t.workflow_id, t.node_id, t.concurrency_key) AS has_quarantined
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (workflow_id, node_id, concurrency_key)
        CROSS JOIN LATERAL next_items(t.workflow_id, t.node_id, t.concurrency_key, $8::int8) next),
    found AS (
        SELECT id FROM picked WHERE has_quarantined OR $7::bool
        UNION
        SELECT i.id FROM workflow_node_queue_items i
        CROSS JOIN LATERAL (
            SELECT FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id
            WHERE n.workflow_id = i.workflow_id AND n.node_id = i.node_id
              AND (n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL
                OR w.deleted_at IS NOT NULL)
            OFFSET 0) n
        WHERE i.event_id = ANY($4::uuid[]) AND (i.crashes > 0 OR $7)
        UNION
        SELECT i.id FROM unnest($5::uuid[], $6::text[]) AS named (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = named.workflow_id AND n.node_id = named.node_id
        JOIN workflows w ON w.id = n.workflow_id
        CROSS JOIN LATERAL (
            SELECT i.id FROM workflow_node_queue_items i
            WHERE (n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL
                OR w.deleted_at IS NOT NULL)
              AND i.workflow_id = named.workflow_id AND i.node_id = named.node_id
              AND (i.crashes > 0 OR $7)
            ORDER BY i.created_at, i.id LIMIT $8) i)
    SELECT i.id, i.workflow_id, i.node_id, i.event_id, i.crashes,
        i.concurrency_key, w.organization_id
    FROM found
    JOIN workflow_node_queue_items i ON i.id = found.id
    JOIN workflows w ON w.id = i.workflow_id
    ORDER BY i.workflow_id, i.node_id, i.created_at, i.id LIMIT $8";

const FIND_UNRESOLVED_QUARANTINED: &str = "/* find_unresolved_quarantined */
    SELECT i.id, i.workflow_id, i.node_id, i.event_id, i.crashes,
        NULL::text AS concurrency_key, w.organization_id
    FROM unnest($1::uuid[], $2::text[]) AS t (workflow_id, node_id)
    JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
    JOIN workflows w ON w.id = t.workflow_id
    CROSS JOIN LATERAL (
        (SELECT i.* FROM workflow_node_queue_items i
         WHERE i.workflow_id = t.workflow_id AND i.node_id = t.node_id AND i.concurrency_key IS NULL
         ORDER BY i.concurrency_key, i.created_at, i.id LIMIT $3::int8)
        UNION ALL
        (SELECT i.* FROM workflow_node_queue_items i
         WHERE n.concurrency_key IS NOT NULL AND i.workflow_id = t.workflow_id
           AND i.node_id = t.node_id AND i.concurrency_key = ''
         ORDER BY i.created_at, i.id LIMIT $3)) i
    ORDER BY i.workflow_id, i.node_id, i.created_at, i.id LIMIT $3";

/// The outcome for an item in [`begin_quarantined`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// One more crash is counted for the time of the work; the number is that of the crashes before
    /// it.
    Begun(i32),
    /// Another builder works on it, or died over it a moment ago: look again later.
    Busy,
    /// It was built.
    Gone,
}

/// Seconds for which a quarantined item belongs to the builder that works on it: longer than the
/// builder's transaction can last.
pub const QUARANTINE_SECONDS: u32 = 20;

/// Counts one more crash on each item before the work on it, except where another builder works on
/// it. Commit before the work begins. Returns an outcome for each item, in the order of `item_ids`.
///
/// # Errors
/// See [`StoreError`].
pub async fn begin_quarantined(tx: &Tx, item_ids: &[ItemId]) -> Result<Vec<Begin>, StoreError> {
    let rows = tx
        .query(
            "/* begin_quarantined */
             WITH begun AS (
                 UPDATE workflow_node_queue_items
                 SET crashes = crashes + 1,
                     suspect_until = now() + make_interval(secs => $2::float8)
                 WHERE id IN (
                     SELECT i.id FROM workflow_node_queue_items i WHERE i.id = ANY($1::uuid[])
                     ORDER BY uuid_send(i.id) FOR NO KEY UPDATE SKIP LOCKED)
                   AND coalesce(suspect_until <= now(), true)
                 RETURNING id, crashes)
             SELECT i.id, begun.crashes
             FROM workflow_node_queue_items i LEFT JOIN begun ON begun.id = i.id
             WHERE i.id = ANY($1)",
            &[(&item_ids, Type::UUID_ARRAY), (&f64::from(QUARANTINE_SECONDS), Type::FLOAT8)],
        )
        .await?;
    let mut found: HashMap<ItemId, Begin> = HashMap::new();
    for row in &rows {
        let crashes: Option<i32> = column(row, "crashes")?;
        found.insert(column(row, "id")?, crashes.map_or(Begin::Busy, |crashes| Begin::Begun(crashes - 1)));
    }
    Ok(item_ids.iter().map(|id| found.get(id).copied().unwrap_or(Begin::Gone)).collect())
}

/// Takes back the crash that [`begin_quarantined`] counted: the process lived. For an item that was
/// built nothing is written. In the transaction that builds the items, the crash still counts if
/// the process ends before the commit.
///
/// Without this, contention for a slot would count as crashes.
///
/// # Errors
/// See [`StoreError`].
pub async fn release_quarantined(tx: &Tx, item_ids: &[ItemId]) -> Result<(), StoreError> {
    tx.query(
        "/* release_quarantined */
         UPDATE workflow_node_queue_items SET crashes = crashes - 1, suspect_until = NULL
         WHERE crashes > 0 AND id IN (
             SELECT i.id FROM workflow_node_queue_items i WHERE i.id = ANY($1::uuid[])
             ORDER BY uuid_send(i.id) FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING id",
        &[(&item_ids, Type::UUID_ARRAY)],
    )
    .await?;
    Ok(())
}
