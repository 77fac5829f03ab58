use domain::ids::{EventId, ItemId, OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::lock::{LimitKey, LockedNodes, Wakes, limit_key_arrays};
use super::quarantine::{QuarantinedItem, Search, find_quarantined};
use super::slots::{Slots, read_slots};
use crate::nodes::{NodeKey, key_arrays, node_key};
use crate::types::column;
use crate::{StoreError, Tx};

/// A queue item that this transaction has claimed.
#[derive(Clone, Debug)]
pub struct ClaimedItem {
    /// `workflow_node_queue_items.id`
    pub id: ItemId,
    /// The node that it waited at.
    pub node: NodeKey,
    /// The run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The event that waited.
    pub event_id: EventId,
    /// When it was routed.
    pub created_at: Timestamp,
    /// Whether the node that the item was routed to is gone: removed, deleted with its workflow, or
    /// in a later generation.
    pub is_node_removed: bool,
    /// The component of the node's row, for items whose node is no longer in the definition.
    pub component: String,
    /// The value of the node's concurrency key, `""` at a node without one; None while it is not
    /// resolved.
    pub concurrency_key: Option<String>,
}

impl ClaimedItem {
    /// The concurrency key of which it takes a slot.
    #[must_use]
    pub fn limit_key(&self) -> Option<LimitKey> {
        let concurrency_key = self.concurrency_key.clone()?;
        Some(LimitKey { node: self.node.clone(), concurrency_key })
    }
}

/// A definition as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDefinition {
    /// `workflows.id`
    pub workflow_id: WorkflowId,
    /// `workflows.organization_id`
    pub organization_id: OrganizationId,
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
    /// `workflows.outputs`
    pub outputs: Option<Value>,
}

/// The result of a transaction's claim.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Claimed items: those of limited nodes in their order, then the others.
    pub items: Vec<ClaimedItem>,
    /// The slots of the wanted concurrency keys, read after the claim.
    pub slots: Vec<Slots>,
    /// Items that the claim left out: those that crashed a worker before, and the rest of their
    /// concurrency key's pick. They are built alone.
    pub quarantined: Vec<QuarantinedItem>,
    /// Definitions that were asked for.
    pub definitions: Vec<StoredDefinition>,
}

/// Claims items. Each of `keys`, whose nodes are locked, gives its first items for its free slots.
/// The wakes' events and named nodes give the items that need no slot. A concurrency key whose pick
/// holds a quarantined item is left out as a whole; a quarantined item that needs no slot is left
/// out by itself. Quarantined items are searched for only where some waited when the nodes were
/// locked: a later one belongs to the builder that quarantined it.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_items(
    tx: &Tx,
    nodes: &LockedNodes,
    keys: &[LimitKey],
    wakes: &Wakes,
    items_max: i64,
    definitions_of: &[WorkflowId],
) -> Result<Claims, StoreError> {
    let has_quarantined = nodes.woken.iter().any(|node| node.has_quarantined);
    let (workflow_ids, node_ids, concurrency_keys) = limit_key_arrays(keys);
    let (named_workflow_ids, named_node_ids) = key_arrays(&wakes.nodes);
    let (limited_rows, unlimited_rows, slots, quarantined, definitions) = futures_util::try_join!(
        tx.query_unless_empty(
            keys,
            CLAIM_LIMITED,
            [
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&concurrency_keys, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
            ],
        ),
        tx.query_with(
            CLAIM_UNLIMITED,
            [
                (&wakes.event_ids, Type::UUID_ARRAY),
                (&named_workflow_ids, Type::UUID_ARRAY),
                (&named_node_ids, Type::TEXT_ARRAY),
                (&items_max, Type::INT8),
            ],
        ),
        read_slots(tx, keys),
        async {
            if has_quarantined {
                find_quarantined(tx, wakes, keys, Search::Quarantined, items_max).await
            } else {
                Ok(Vec::new())
            }
        },
        load_definitions(tx, definitions_of),
    )?;
    Ok(Claims {
        items: limited_rows.iter().chain(&unlimited_rows).map(claimed_item).collect::<Result<_, _>>()?,
        slots,
        quarantined,
        definitions,
    })
}

/// Claims one quarantined item. An item that needs a slot has its node locked, and is claimed only
/// if it is the next of its concurrency key.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_one(
    tx: &Tx,
    item: &QuarantinedItem,
    definitions_of: &[WorkflowId],
) -> Result<Claims, StoreError> {
    let (rows, definitions) = futures_util::try_join!(
        tx.query_with(CLAIM_ONE, [(&item.id, Type::UUID)]),
        load_definitions(tx, definitions_of),
    )?;
    let items: Vec<ClaimedItem> = rows.iter().map(claimed_item).collect::<Result<_, _>>()?;
    let keys: Vec<LimitKey> = items.iter().filter_map(ClaimedItem::limit_key).collect();
    Ok(Claims { items, slots: read_slots(tx, &keys).await?, quarantined: Vec::new(), definitions })
}

const CLAIM_ONE: &str = "/* claim_one */
    WITH item AS (
        SELECT i.id,
            coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', n.ref ->> 'trigger', '')
                AS component,
            n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL
                OR i.node_generation <> n.generation AS is_node_removed,
            n.concurrency_max IS NULL
                OR (SELECT run.stop FROM workflow_runs run
                    WHERE run.id = i.run_id) IS NOT NULL AS is_unlimited,
            (SELECT next.id
             FROM next_items(i.workflow_id, i.node_id, i.concurrency_key, 1) next
             LIMIT 1) AS next_id
        FROM workflow_node_queue_items i
        JOIN workflow_nodes n ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id
        JOIN workflows w ON w.id = n.workflow_id
        WHERE i.id = $1::uuid
        FOR UPDATE OF i SKIP LOCKED)
    DELETE FROM workflow_node_queue_items i USING item
    WHERE i.id = item.id AND (item.is_unlimited OR item.is_node_removed OR item.next_id = item.id)
    RETURNING i.id, i.workflow_id, i.node_id, i.run_id, i.root_event_id, i.event_id, i.created_at,
        i.concurrency_key, item.component, item.is_node_removed";

/// An item that another transaction holds is not waited for, and no later item of its concurrency
/// key is claimed. The ids are ordered in a form that no index has: by the index a few items would
/// cost a walk over all.
const CLAIM_LIMITED: &str = "/* claim_limited */
    WITH wanted AS MATERIALIZED (
        SELECT t.workflow_id, t.node_id, t.concurrency_key,
            next.id, next.crashes, next.created_at, next.generation
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (workflow_id, node_id, concurrency_key)
        CROSS JOIN LATERAL next_items(t.workflow_id, t.node_id, t.concurrency_key, $4::int8) next),
    locked AS MATERIALIZED (
        SELECT i.id FROM wanted JOIN workflow_node_queue_items i ON i.id = wanted.id
        ORDER BY uuid_send(i.id) FOR UPDATE OF i SKIP LOCKED),
    picked AS MATERIALIZED (
        SELECT wanted.*, bool_or(wanted.crashes > 0) OVER whole_key AS has_quarantined,
            bool_and(wanted.id IN (SELECT id FROM locked))
                OVER (whole_key ORDER BY wanted.created_at, wanted.id) AS is_free
        FROM wanted
        WINDOW whole_key AS
            (PARTITION BY wanted.workflow_id, wanted.node_id, wanted.concurrency_key)),
    bounded AS (
        SELECT picked.id, picked.generation,
            coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', n.ref ->> 'trigger', '')
                AS component
        FROM picked
        JOIN workflow_nodes n ON n.workflow_id = picked.workflow_id AND n.node_id = picked.node_id
        WHERE picked.is_free AND NOT picked.has_quarantined
        ORDER BY picked.workflow_id, picked.node_id, picked.created_at, picked.id LIMIT $4::int8),
    taken AS (
        DELETE FROM workflow_node_queue_items i USING bounded
        WHERE i.id = bounded.id
        RETURNING i.id, i.workflow_id, i.node_id, i.run_id, i.root_event_id, i.event_id,
            i.created_at, i.concurrency_key,
            i.node_generation <> bounded.generation AS is_node_removed, bounded.component)
    SELECT id, workflow_id, node_id, run_id, root_event_id, event_id, created_at, concurrency_key,
        is_node_removed, component
    FROM taken
    ORDER BY workflow_id, node_id, created_at, id";

/// Claims items that need no slot: items of nodes without a limit, and items that only end, because
/// their node was removed or has a later generation, or their run was stopped.
const CLAIM_UNLIMITED: &str = "/* claim_unlimited */
    WITH wanted AS (
        SELECT i.id FROM workflow_node_queue_items i WHERE i.event_id = ANY($1::uuid[])
        UNION
        SELECT i.id FROM unnest($2::uuid[], $3::text[]) AS t (workflow_id, node_id)
        JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
        JOIN workflows w ON w.id = n.workflow_id
        CROSS JOIN LATERAL (
            SELECT i.id FROM workflow_node_queue_items i
            WHERE (n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL
                OR w.deleted_at IS NOT NULL)
              AND i.workflow_id = t.workflow_id AND i.node_id = t.node_id
            ORDER BY i.created_at, i.id LIMIT $4::int8) i),
    picked AS (
        SELECT i.id,
            coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', n.ref ->> 'trigger', '')
                AS component,
            n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL
                OR i.node_generation <> n.generation AS is_node_removed
        FROM wanted
        JOIN workflow_node_queue_items i ON i.id = wanted.id
        JOIN workflow_nodes n ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id
        JOIN workflows w ON w.id = n.workflow_id
        WHERE i.crashes = 0
          AND (n.concurrency_max IS NULL OR n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL
            OR i.node_generation <> n.generation
            OR (SELECT run.stop FROM workflow_runs run WHERE run.id = i.run_id) IS NOT NULL)
        -- The ids are ordered in a form that no index has: by the index a few items would cost a
        -- walk over all.
        ORDER BY uuid_send(i.id) LIMIT $4::int8
        FOR UPDATE OF i SKIP LOCKED)
    DELETE FROM workflow_node_queue_items i USING picked
    WHERE i.id = picked.id
    RETURNING i.id, i.workflow_id, i.node_id, i.run_id, i.root_event_id, i.event_id, i.created_at,
        i.concurrency_key, picked.is_node_removed, picked.component";

pub(super) async fn load_definitions(
    tx: &Tx,
    workflow_ids: &[WorkflowId],
) -> Result<Vec<StoredDefinition>, StoreError> {
    if workflow_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .query(
            "/* load_definitions */
             SELECT id, organization_id, version, name, description, nodes, edges, outputs
             FROM workflows WHERE id = ANY($1)",
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
        outputs: column(row, "outputs")?,
    })
}

pub(super) fn claimed_item(row: &Row) -> Result<ClaimedItem, StoreError> {
    Ok(ClaimedItem {
        id: column(row, "id")?,
        node: node_key(row)?,
        run_id: column(row, "run_id")?,
        root_event_id: column(row, "root_event_id")?,
        event_id: column(row, "event_id")?,
        created_at: column(row, "created_at")?,
        is_node_removed: column(row, "is_node_removed")?,
        component: column(row, "component")?,
        concurrency_key: column(row, "concurrency_key")?,
    })
}
