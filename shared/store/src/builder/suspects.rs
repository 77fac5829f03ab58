use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::claim::ended_heads_sql;
use super::lock::{NodeKey, Wakes, key_arrays, node_key};
use crate::types::column;
use crate::{StoreError, Tx};

/// An item that is to be built alone, for it, or its message, was at work before.
#[derive(Clone, Debug)]
pub struct SuspectItem {
    /// `workflow_node_queue_items.id`
    pub id: Uuid,
    /// The node that it waits at.
    pub node: NodeKey,
    /// Times that it took a process along.
    pub crashes: i32,
    /// Whether its concurrency key is not known yet.
    pub is_unseen: bool,
}

pub(super) fn suspect_item(row: &Row) -> Result<SuspectItem, StoreError> {
    Ok(SuspectItem {
        id: column(row, "id")?,
        node: node_key(row)?,
        crashes: column(row, "crashes")?,
        is_unseen: column(row, "is_unseen")?,
    })
}

/// Finds the items of the wakes that a batch leaves out, at most `items_max`.
///
/// Of limited nodes: the whole pick for the free slots, in order, when it holds a suspect. Of unlimited nodes: suspects of the events
/// and of the named nodes; those with a concurrency key have a search of their own. With `all`, every item counts as one, for its message was received before.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_suspects(
    tx: &Tx,
    wakes: &Wakes,
    all: bool,
    items_max: i64,
) -> Result<Vec<SuspectItem>, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&wakes.nodes);
    let rows = tx
        .query(
            FIND_SUSPECTS,
            &[
                (&wakes.event_ids, Type::UUID_ARRAY),
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&all, Type::BOOL),
                (&items_max, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(suspect_item).collect()
}

const FIND_SUSPECTS: &str = concat!(
    "/* find_suspects */
    WITH woken AS (
        SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($1)
        UNION
        SELECT * FROM unnest($2, $3) AS named (workflow_id, node_id)),
    limited AS (
        SELECT n.workflow_id, n.node_id, n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL AS is_removed,
            CASE WHEN n.concurrency_key IS NULL THEN n.concurrency_max ELSE 0 END - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE e.workflow_id = n.workflow_id AND e.node_id = n.node_id AND e.state <> 'finished') AS free,
            ",
    ended_heads_sql!("$5"),
    "
        FROM woken
        JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
        JOIN workflows w ON w.id = n.workflow_id
        WHERE n.concurrency_max IS NOT NULL),
    picked AS (
        SELECT i.*, bool_or(i.crashes > 0) OVER (PARTITION BY i.workflow_id, i.node_id) AS has_suspect
        FROM limited CROSS JOIN LATERAL (
            SELECT id, workflow_id, node_id, crashes, created_at FROM workflow_node_queue_items i
            WHERE i.workflow_id = limited.workflow_id AND i.node_id = limited.node_id
            ORDER BY created_at, id LIMIT CASE WHEN limited.is_removed THEN $5 ELSE least($5, greatest(0, limited.free) + limited.ended_heads) END) i),
    found AS (
        SELECT id, workflow_id, node_id, crashes, created_at FROM picked WHERE has_suspect OR $4
        UNION
        SELECT i.id, i.workflow_id, i.node_id, i.crashes, i.created_at
        FROM workflow_node_queue_items i
        CROSS JOIN LATERAL (
            SELECT FROM workflow_nodes n
            WHERE n.workflow_id = i.workflow_id AND n.node_id = i.node_id AND n.concurrency_max IS NULL OFFSET 0) n
        WHERE i.event_id = ANY($1) AND (i.crashes > 0 OR $4)
        UNION
        SELECT i.id, i.workflow_id, i.node_id, i.crashes, i.created_at
        FROM unnest($2, $3) AS named (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = named.workflow_id AND n.node_id = named.node_id AND n.concurrency_max IS NULL
        CROSS JOIN LATERAL (
            SELECT id, workflow_id, node_id, crashes, created_at FROM workflow_node_queue_items i
            WHERE i.workflow_id = named.workflow_id AND i.node_id = named.node_id AND (i.crashes > 0 OR $4)
            ORDER BY created_at, id LIMIT $5) i)
    SELECT id, workflow_id, node_id, crashes, false AS is_unseen FROM found ORDER BY workflow_id, node_id, created_at, id LIMIT $5"
);

/// What became of [`begin_suspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// One more crash is counted, for as long as the work takes; the times before this one.
    Begun(i32),
    /// Another builder works on it, or died over it a moment ago: look again later.
    Busy,
    /// It was built.
    Gone,
}

/// Seconds for which a builder that works on a suspect is taken to live: longer than its transaction can last.
pub const SUSPECT_SECONDS: u32 = 20;

/// Counts one more crash on the item before it is worked on, unless somebody works on it. Commit before going on.
///
/// # Errors
/// See [`StoreError`].
pub async fn begin_suspect(tx: &Tx, item_id: Uuid) -> Result<Begin, StoreError> {
    let rows = tx
        .query(
            "/* begin_suspect */
             WITH begun AS (
                 UPDATE workflow_node_queue_items
                 SET crashes = crashes + 1, suspect_until = now() + make_interval(secs => $2)
                 WHERE id = $1 AND coalesce(suspect_until <= now(), true) RETURNING crashes)
             SELECT (SELECT crashes FROM begun) AS crashes FROM workflow_node_queue_items WHERE id = $1",
            &[(&item_id, Type::UUID), (&f64::from(SUSPECT_SECONDS), Type::FLOAT8)],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(Begin::Gone) };
    let crashes: Option<i32> = column(row, "crashes")?;
    Ok(crashes.map_or(Begin::Busy, |crashes| Begin::Begun(crashes - 1)))
}

/// Takes the count of [`begin_suspect`] back: the process lived. An item that was built is gone, and nothing is written.
///
/// Without this, contention for a slot would be counted as crashes.
///
/// # Errors
/// See [`StoreError`].
pub async fn forgive_suspect(tx: &Tx, item_id: Uuid) -> Result<(), StoreError> {
    tx.query(
        "/* forgive_suspect */
         UPDATE workflow_node_queue_items SET crashes = crashes - 1, suspect_until = NULL WHERE id = $1 AND crashes > 0 RETURNING id",
        &[(&item_id, Type::UUID)],
    )
    .await?;
    Ok(())
}
