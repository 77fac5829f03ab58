use domain::ids::{EventId, OrganizationId, WorkflowId};
use domain::limits::CLAIM_ITEMS_MAX;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::locks::{LOCK_WAIT_MILLIS, LockMode};
use crate::nodes::{NodeKey, key_arrays, node_key};
use crate::types::column;
use crate::{StoreError, Tx};

/// The events and nodes that a batch of messages asks to look at.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// Events whose queue items wait.
    pub event_ids: Vec<EventId>,
    /// Nodes that may have a free slot.
    pub nodes: Vec<NodeKey>,
}

/// A concurrency key of a node with a limit; a node without one has the key `""`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitKey {
    /// The node.
    pub node: NodeKey,
    /// The value of the node's template for the key.
    pub concurrency_key: String,
}

/// A node at which a woken event waits, or that a message names.
#[derive(Clone, Debug)]
pub struct WokenNode {
    /// Its key.
    pub key: NodeKey,
    /// Whether it has a limit, and so needs its lock. A removed node needs no lock: its items only
    /// end.
    pub is_limited: bool,
    /// Whether an item that crashed a worker before waits.
    pub has_quarantined: bool,
    /// Whether an item with an unresolved concurrency key waits.
    pub has_unresolved: bool,
    /// The concurrency keys that the wakes ask to look at; none at a node without a limit.
    pub concurrency_keys: Vec<String>,
    /// The woken events that wait at the node.
    pub event_ids: Vec<EventId>,
    /// Whether a message names it.
    pub is_named: bool,
    /// `workflows.version`.
    pub workflow_version: i64,
    /// `workflows.organization_id`.
    pub organization_id: OrganizationId,
}

impl WokenNode {
    /// Whether it has a limit that holds for the node as a whole.
    #[must_use]
    pub fn has_no_key(&self) -> bool {
        self.concurrency_keys == [""]
    }

    /// The concurrency keys that the wakes ask to look at, with the node.
    pub(super) fn limit_keys(&self) -> impl Iterator<Item = LimitKey> {
        let key = |concurrency_key: &String| LimitKey {
            node: self.key.clone(),
            concurrency_key: concurrency_key.clone(),
        };
        self.concurrency_keys.iter().map(key)
    }
}

/// The nodes of a batch, and which of the limited ones this transaction holds.
#[derive(Clone, Debug, Default)]
pub struct LockedNodes {
    /// All nodes.
    pub woken: Vec<WokenNode>,
    /// Limited nodes whose lock this transaction holds.
    pub locked: Vec<NodeKey>,
}

impl LockedNodes {
    /// Limited nodes that another transaction holds.
    pub fn skipped(&self) -> impl Iterator<Item = &WokenNode> {
        self.woken.iter().filter(|node| node.is_limited && !self.locked.contains(&node.key))
    }

    /// Limited nodes whose lock this transaction holds.
    fn held(&self) -> impl Iterator<Item = &WokenNode> {
        self.woken.iter().filter(|node| node.is_limited && self.locked.contains(&node.key))
    }

    /// Limited nodes whose lock this transaction holds, and where items with an unresolved
    /// concurrency key wait.
    #[must_use]
    pub fn unresolved(&self) -> Vec<NodeKey> {
        self.held().filter(|node| node.has_unresolved).map(|node| node.key.clone()).collect()
    }

    /// The concurrency keys that a claim looks at: those of the wakes, and the `resolved` ones.
    #[must_use]
    pub fn limit_keys(&self, resolved: Vec<LimitKey>) -> Vec<LimitKey> {
        sorted(self.held().flat_map(WokenNode::limit_keys).chain(resolved).collect())
    }
}

pub(super) fn sorted(mut keys: Vec<LimitKey>) -> Vec<LimitKey> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Concurrency keys as the three arrays that `unnest` takes.
pub(super) fn limit_key_arrays(keys: &[LimitKey]) -> (Vec<WorkflowId>, Vec<&str>, Vec<&str>) {
    let workflow_ids = keys.iter().map(|key| key.node.0).collect();
    let node_ids = keys.iter().map(|key| key.node.1.as_str()).collect();
    (workflow_ids, node_ids, keys.iter().map(|key| key.concurrency_key.as_str()).collect())
}

/// Finds the nodes of the wakes and locks the limited ones.
///
/// The lock is a statement of its own: later statements read the rows that decisions rest on.
///
/// # Errors
/// See [`StoreError`].
pub async fn lock_woken_nodes(tx: &Tx, wakes: &Wakes, mode: LockMode) -> Result<LockedNodes, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&wakes.nodes);
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&wakes.event_ids, Type::UUID_ARRAY),
        (&workflow_ids, Type::UUID_ARRAY),
        (&node_ids, Type::TEXT_ARRAY),
    ];
    let (woken, (), locked) = futures_util::try_join!(
        find_woken_nodes(tx, wakes),
        mode.limit_wait(tx, LOCK_WAIT_MILLIS),
        tx.query(if mode == LockMode::Wait { LOCK_WAITING } else { LOCK_SKIPPING }, &params),
    )?;
    Ok(LockedNodes { woken, locked: locked.iter().map(node_key).collect::<Result<_, _>>()? })
}

/// Finds the nodes of the wakes, with the concurrency keys and events of each.
pub(super) async fn find_woken_nodes(tx: &Tx, wakes: &Wakes) -> Result<Vec<WokenNode>, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&wakes.nodes);
    let rows = tx
        .query(
            FIND_WOKEN,
            &[
                (&wakes.event_ids, Type::UUID_ARRAY),
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&CLAIM_ITEMS_MAX, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(woken_node).collect()
}

const FIND_WOKEN: &str = "/* find_woken_nodes */
    WITH item AS MATERIALIZED (
        SELECT workflow_id, node_id, event_id, concurrency_key FROM workflow_node_queue_items
        WHERE event_id = ANY($1::uuid[])),
    woken AS (
        SELECT workflow_id, node_id, bool_or(is_named) AS is_named FROM (
            SELECT workflow_id, node_id, false AS is_named FROM item
            UNION ALL
            SELECT workflow_id, node_id, true
            FROM unnest($2::uuid[], $3::text[]) AS named (workflow_id, node_id)) nodes
        GROUP BY workflow_id, node_id)
    SELECT n.workflow_id, n.node_id, w.version, w.organization_id,
        woken.is_named, limited.is_limited,
        (SELECT true FROM workflow_node_queue_items i
         WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id AND i.crashes > 0
         LIMIT 1) IS NOT NULL AS has_quarantined,
        (SELECT true FROM workflow_node_queue_items i
         WHERE limited.is_limited AND i.workflow_id = n.workflow_id AND i.node_id = n.node_id
           AND i.concurrency_key IS NULL
         ORDER BY i.concurrency_key LIMIT 1) IS NOT NULL
            OR (SELECT true FROM workflow_node_queue_items i
                WHERE limited.is_limited AND n.concurrency_key IS NOT NULL
                  AND i.workflow_id = n.workflow_id AND i.node_id = n.node_id
                  AND i.concurrency_key = ''
                ORDER BY i.concurrency_key LIMIT 1) IS NOT NULL
            OR (SELECT true FROM workflow_node_queue_items i
                WHERE limited.is_limited AND n.concurrency_key IS NULL
                  AND i.workflow_id = n.workflow_id AND i.node_id = n.node_id
                  AND i.concurrency_key > ''
                ORDER BY i.concurrency_key LIMIT 1) IS NOT NULL AS has_unresolved,
        CASE WHEN NOT limited.is_limited THEN '{}'::text[]
             WHEN n.concurrency_key IS NULL THEN ARRAY['']
             ELSE ARRAY(
                     SELECT item.concurrency_key FROM item
                     WHERE item.workflow_id = n.workflow_id AND item.node_id = n.node_id
                       AND item.concurrency_key > '')
                 || ARRAY(
                     SELECT ready.concurrency_key FROM ready_keys(n.workflow_id, n.node_id) ready
                     WHERE woken.is_named
                     LIMIT $4::int8)
        END AS concurrency_keys,
        ARRAY(
            SELECT item.event_id FROM item
            WHERE item.workflow_id = n.workflow_id AND item.node_id = n.node_id) AS event_ids
    FROM woken
    JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
    JOIN workflows w ON w.id = n.workflow_id
    CROSS JOIN LATERAL (
        SELECT n.concurrency_max IS NOT NULL AND n.deleted_at IS NULL
            AND w.deleted_at IS NULL AS is_limited
        OFFSET 0) limited
    ORDER BY n.workflow_id, n.node_id";

const LOCK_WAITING: &str = "/* lock_woken_nodes */
    WITH woken AS MATERIALIZED (
        SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($1::uuid[])
        UNION
        SELECT workflow_id, node_id
        FROM unnest($2::uuid[], $3::text[]) AS named (workflow_id, node_id))
    SELECT n.workflow_id, n.node_id
    FROM woken
    JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
    WHERE n.concurrency_max IS NOT NULL
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n";

const LOCK_SKIPPING: &str = "/* lock_free_woken_nodes */
    WITH woken AS MATERIALIZED (
        SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($1::uuid[])
        UNION
        SELECT workflow_id, node_id
        FROM unnest($2::uuid[], $3::text[]) AS named (workflow_id, node_id))
    SELECT n.workflow_id, n.node_id
    FROM woken
    JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
    WHERE n.concurrency_max IS NOT NULL
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n SKIP LOCKED";

fn woken_node(row: &Row) -> Result<WokenNode, StoreError> {
    Ok(WokenNode {
        key: node_key(row)?,
        is_limited: column(row, "is_limited")?,
        has_quarantined: column(row, "has_quarantined")?,
        has_unresolved: column(row, "has_unresolved")?,
        concurrency_keys: column(row, "concurrency_keys")?,
        event_ids: column(row, "event_ids")?,
        is_named: column(row, "is_named")?,
        workflow_version: column(row, "version")?,
        organization_id: column(row, "organization_id")?,
    })
}
