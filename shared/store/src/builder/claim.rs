use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::lock::{LockedNodes, NodeKey, Wakes, key_arrays, node_key};
use super::suspects::{SuspectItem, find_suspects};
use crate::types::column;
use crate::{StoreError, Tx};

/// A queue item that this transaction has taken.
#[derive(Clone, Debug)]
pub struct ClaimedItem {
    /// `workflow_node_queue_items.id`
    pub id: Uuid,
    /// The node that it waited at.
    pub node: NodeKey,
    /// The run.
    pub root_event_id: Uuid,
    /// The event that waited.
    pub event_id: Uuid,
    /// When it was routed.
    pub created_at: Timestamp,
    /// Whether the node is not the one that the item was routed to: removed, or removed and added again.
    pub is_node_removed: bool,
    /// The component of the node's row, for items whose node is no longer in the definition.
    pub component: String,
    /// What the node's concurrency key came to.
    pub concurrency_key: Option<String>,
}

/// The state of a limited node whose lock is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSlots {
    /// The node.
    pub key: NodeKey,
    /// Slots that are free once the claimed items have none: limit less active executions.
    pub free: i64,
    /// Whether items still wait.
    pub is_waiting: bool,
    /// Whether the limit holds for each value of a key: then `free` says nothing of any one of them.
    pub is_keyed: bool,
    /// Whether items wait whose key is not known yet.
    pub has_unseen: bool,
}

/// A definition as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDefinition {
    /// `workflows.id`
    pub workflow_id: Uuid,
    /// `workflows.organization_id`
    pub organization_id: Uuid,
    /// `workflows.version`
    pub version: i64,
    /// `workflows.name`
    pub name: String,
    /// `workflows.description`
    pub description: String,
    /// `workflows.nodes`
    pub nodes: Value,
    /// `workflows.edges`
    pub edges: Value,
}

/// What a transaction has taken.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Taken items: those of limited nodes in their order, then the others by id.
    pub items: Vec<ClaimedItem>,
    /// The limited nodes that were locked, after the claim.
    pub slots: Vec<NodeSlots>,
    /// Items that the claim left out for they took a process along before: they are built alone.
    pub suspects: Vec<SuspectItem>,
    /// Definitions that were asked for.
    pub definitions: Vec<StoredDefinition>,
}

impl Claims {
    /// `free` of a node whose limit is a key's counts its claimed items: what is left of it once they are planned are those that ended
    /// without taking a slot.
    pub(super) fn count_keyed(&mut self) {
        for slots in self.slots.iter_mut().filter(|slots| slots.is_keyed) {
            let claimed = self.items.iter().filter(|item| item.node == slots.key).count();
            slots.free = i64::try_from(claimed).unwrap_or(i64::MAX);
        }
    }
}

/// Takes items: of each locked limited node the smallest for all free slots, of unlimited nodes those of the wakes' events and named
/// nodes. A locked node whose pick holds a suspect is left out whole; so is each suspect of an unlimited node. Suspects are searched for
/// where some waited when the nodes were locked: whoever has made one since has it in hand.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_items(
    tx: &Tx,
    nodes: &LockedNodes,
    wakes: &Wakes,
    items_max: i64,
    definitions_of: &[Uuid],
) -> Result<Claims, StoreError> {
    let locked = &nodes.locked;
    let has_suspects = nodes.woken.iter().any(|node| node.has_suspects);
    let (workflow_ids, node_ids) = key_arrays(locked);
    let (unlimited_workflow_ids, unlimited_node_ids) = key_arrays(&wakes.nodes);
    let (limited_rows, unlimited_rows, slot_rows, suspects, definitions) = futures_util::try_join!(
        tx.query_unless_empty(
            locked,
            CLAIM_LIMITED,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&items_max, Type::INT8)],
        ),
        tx.query_with(
            CLAIM_UNLIMITED,
            [
                (&wakes.event_ids, Type::UUID_ARRAY),
                (&unlimited_workflow_ids, Type::UUID_ARRAY),
                (&unlimited_node_ids, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
            ],
        ),
        tx.query_unless_empty(
            locked,
            READ_SLOTS,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY)],
        ),
        async {
            if has_suspects { find_suspects(tx, wakes, false, items_max).await } else { Ok(Vec::new()) }
        },
        load_definitions(tx, definitions_of),
    )?;
    Ok(Claims {
        items: limited_rows.iter().chain(&unlimited_rows).map(claimed_item).collect::<Result<_, _>>()?,
        slots: slot_rows.iter().map(node_slots).collect::<Result<_, _>>()?,
        suspects,
        definitions,
    })
}

/// Takes one suspect: where its node is limited (and locked), only if a slot is free and no earlier item waits.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_one(tx: &Tx, item: &SuspectItem, definitions_of: &[Uuid]) -> Result<Claims, StoreError> {
    let (workflow_ids, node_ids) = (vec![item.node.0], vec![item.node.1.as_str()]);
    let (rows, slot_rows, definitions) = futures_util::try_join!(
        tx.query_with(
            CLAIM_ONE,
            [(&item.id, Type::UUID), (&item.node.0, Type::UUID), (&item.node.1, Type::TEXT)],
        ),
        tx.query_with(READ_SLOTS, [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY)]),
        load_definitions(tx, definitions_of),
    )?;
    let mut claims = Claims {
        items: rows.iter().map(claimed_item).collect::<Result<_, _>>()?,
        slots: slot_rows.iter().map(node_slots).collect::<Result<_, _>>()?,
        suspects: Vec::new(),
        definitions,
    };
    claims.count_keyed();
    Ok(claims)
}

const CLAIM_ONE: &str = "/* claim_one */
    WITH node AS (
        SELECT n.workflow_id, n.node_id, n.generation, n.concurrency_max,
            n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL AS is_removed,
            coalesce(n.ref ->> 'component', n.ref ->> 'trigger', '') AS component,
            n.concurrency_key IS NOT NULL AND item.concurrency_key IS NULL AS is_unseen,
            n.concurrency_max - (
                SELECT count(*) FROM workflow_node_executions e
                WHERE e.workflow_id = n.workflow_id AND e.node_id = n.node_id AND e.state <> 'finished'
                  AND (n.concurrency_key IS NULL OR e.concurrency_key = item.concurrency_key)) AS free,
            (SELECT i.id FROM workflow_node_queue_items i
             WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id
               AND (n.concurrency_key IS NULL OR i.concurrency_key IS NULL OR i.concurrency_key = item.concurrency_key)
             ORDER BY created_at, id LIMIT 1) AS first_id
        FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id JOIN workflow_node_queue_items item ON item.id = $1
        WHERE n.workflow_id = $2 AND n.node_id = $3)
    DELETE FROM workflow_node_queue_items i USING node
    WHERE i.id = $1 AND (node.concurrency_max IS NULL OR node.is_removed
        OR (node.free > 0 AND node.first_id = i.id AND NOT node.is_unseen))
    RETURNING i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.created_at, i.concurrency_key, node.component,
        node.is_removed OR i.node_generation <> node.generation AS is_node_removed";

/// Items at the head of a node's queue whose runs are to end, counted up to a parameter: they are ended and need no slot, so that what
/// a cancelled run has waiting is not looked at one slot after the other.
macro_rules! ended_heads_sql {
    ($max:literal) => {
        concat!(
            "CASE WHEN (
                SELECT true FROM workflow_run_marks mark WHERE mark.root_event_id = (
                    SELECT root_event_id FROM workflow_node_queue_items i
                    WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id ORDER BY created_at, id LIMIT 1)) IS NOT NULL
            THEN (
                SELECT count(*) FROM (
                    SELECT bool_and(is_ended) OVER (ORDER BY created_at, id) AS is_head FROM (
                        SELECT i.created_at, i.id, (
                            SELECT true FROM workflow_run_marks mark
                            WHERE mark.root_event_id = i.root_event_id) IS NOT NULL AS is_ended
                        FROM workflow_node_queue_items i
                        WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id
                        ORDER BY created_at, id LIMIT ",
            $max,
            ") items) heads
                WHERE is_head)
            ELSE 0 END AS ended_heads"
        )
    };
}
pub(super) use ended_heads_sql;

const CLAIM_LIMITED: &str = concat!(
    "/* claim_limited */
    WITH node AS (
        SELECT n.workflow_id, n.node_id, n.generation, n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL AS is_removed,
            coalesce(n.ref ->> 'component', n.ref ->> 'trigger', '') AS component,
            CASE WHEN n.concurrency_key IS NULL THEN n.concurrency_max ELSE 0 END - (
                SELECT count(*) FROM workflow_node_executions e
                WHERE e.workflow_id = n.workflow_id AND e.node_id = n.node_id AND e.state <> 'finished') AS free,
            ",
    ended_heads_sql!("$3"),
    "
        FROM unnest($1, $2) AS t (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
        JOIN workflows w ON w.id = n.workflow_id),
    picked AS (
        SELECT i.id, i.crashes, i.created_at, node.workflow_id, node.node_id, node.component,
            node.is_removed OR i.node_generation <> node.generation AS is_node_removed,
            bool_or(i.crashes > 0) OVER (PARTITION BY node.workflow_id, node.node_id) AS has_suspect
        FROM node CROSS JOIN LATERAL (
            SELECT id, crashes, created_at, node_generation FROM workflow_node_queue_items i
            WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id
            ORDER BY created_at, id
            LIMIT CASE WHEN node.is_removed THEN $3 ELSE least($3, greatest(0, node.free) + node.ended_heads) END) i),
    bounded AS (
        SELECT * FROM picked WHERE NOT has_suspect ORDER BY workflow_id, node_id, created_at, id LIMIT $3),
    taken AS (
        DELETE FROM workflow_node_queue_items i USING bounded AS picked
        WHERE i.id = picked.id
        RETURNING i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.created_at, i.concurrency_key,
            picked.is_node_removed, picked.component)
    SELECT id, workflow_id, node_id, root_event_id, event_id, created_at, concurrency_key, is_node_removed, component
    FROM taken ORDER BY workflow_id, node_id, created_at, id"
);

const CLAIM_UNLIMITED: &str = "/* claim_unlimited */
    WITH wanted AS (
        SELECT i.id FROM workflow_node_queue_items i WHERE i.event_id = ANY($1)
        UNION
        SELECT i.id FROM unnest($2, $3) AS t (workflow_id, node_id) CROSS JOIN LATERAL (
            SELECT id FROM workflow_node_queue_items i
            WHERE i.workflow_id = t.workflow_id AND i.node_id = t.node_id ORDER BY created_at, id LIMIT $4) i),
    picked AS (
        SELECT i.id, coalesce(n.ref ->> 'component', n.ref ->> 'trigger', '') AS component,
            n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL OR i.node_generation <> n.generation AS is_node_removed
        FROM wanted
        JOIN workflow_node_queue_items i ON i.id = wanted.id
        JOIN workflow_nodes n ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id
        JOIN workflows w ON w.id = n.workflow_id
        WHERE n.concurrency_max IS NULL AND i.crashes = 0
        -- The order of the ids, in a form that no index has: by the index, all items there are would be walked over for a few.
        ORDER BY uuid_send(i.id) LIMIT $4
        FOR UPDATE OF i SKIP LOCKED)
    DELETE FROM workflow_node_queue_items i USING picked
    WHERE i.id = picked.id
    RETURNING i.id, i.workflow_id, i.node_id, i.root_event_id, i.event_id, i.created_at, i.concurrency_key, picked.is_node_removed,
        picked.component";

/// Read after the claim: only rows of nodes whose lock is held may be decided on.
pub(super) const READ_SLOTS: &str = "/* read_slots */
    SELECT n.workflow_id, n.node_id,
        n.concurrency_max - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE e.workflow_id = n.workflow_id AND e.node_id = n.node_id AND e.state <> 'finished') AS free,
        EXISTS (
            SELECT FROM workflow_node_queue_items i
            WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id) AS is_waiting,
        n.concurrency_key IS NOT NULL AND n.concurrency_max IS NOT NULL AS is_keyed,
        n.concurrency_key IS NOT NULL AND n.concurrency_max IS NOT NULL AND EXISTS (
            SELECT FROM workflow_node_queue_items i
            WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id AND i.concurrency_key IS NULL) AS has_unseen
    FROM unnest($1, $2) AS t (workflow_id, node_id)
    JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id AND n.concurrency_max IS NOT NULL
    ORDER BY n.workflow_id, n.node_id";

pub(super) async fn load_definitions(
    tx: &Tx,
    workflow_ids: &[Uuid],
) -> Result<Vec<StoredDefinition>, StoreError> {
    if workflow_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .query(
            "/* load_definitions */
             SELECT id, organization_id, version, name, description, nodes, edges FROM workflows WHERE id = ANY($1)",
            &[(&workflow_ids, Type::UUID_ARRAY)],
        )
        .await?;
    rows.iter().map(stored_definition).collect()
}

pub(crate) fn stored_definition(row: &Row) -> Result<StoredDefinition, StoreError> {
    Ok(StoredDefinition {
        workflow_id: column(row, "id")?,
        organization_id: column(row, "organization_id")?,
        version: column(row, "version")?,
        name: column(row, "name")?,
        description: column(row, "description")?,
        nodes: column(row, "nodes")?,
        edges: column(row, "edges")?,
    })
}

pub(super) fn claimed_item(row: &Row) -> Result<ClaimedItem, StoreError> {
    Ok(ClaimedItem {
        id: column(row, "id")?,
        node: node_key(row)?,
        root_event_id: column(row, "root_event_id")?,
        event_id: column(row, "event_id")?,
        created_at: column(row, "created_at")?,
        is_node_removed: column(row, "is_node_removed")?,
        component: column(row, "component")?,
        concurrency_key: column(row, "concurrency_key")?,
    })
}

pub(super) fn node_slots(row: &Row) -> Result<NodeSlots, StoreError> {
    Ok(NodeSlots {
        key: node_key(row)?,
        free: column(row, "free")?,
        is_waiting: column(row, "is_waiting")?,
        is_keyed: column(row, "is_keyed")?,
        has_unseen: column(row, "has_unseen")?,
    })
}
