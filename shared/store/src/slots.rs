//! Slots that the end of work leaves free, and their wakes.

use domain::ids::{EventId, OrganizationId};
use domain::message::Message;
use tokio_postgres::Row;

use crate::StoreError;
use crate::nodes::{NodeKey, node_key};
use crate::types::column;

/// A concurrency key with a free slot and an item that waits: send its wake after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedSlot {
    /// The node.
    pub node: NodeKey,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// At a node with a concurrency key: the event of the first waiting item, for a message names
    /// ids and no key.
    pub event_id: Option<EventId>,
}

impl FreedSlot {
    /// The wake for the builder.
    #[must_use]
    pub fn wake(&self) -> Message {
        wake_of_slot(&self.node, self.event_id)
    }
}

/// The wake for a free slot of a node. For the slot of a concurrency key it names the event of the
/// first waiting item.
#[must_use]
pub fn wake_of_slot((workflow_id, node_id): &NodeKey, event_id: Option<EventId>) -> Message {
    match event_id {
        Some(event_id) => Message::Event { event_id },
        None => Message::Node { workflow_id: *workflow_id, node_id: node_id.clone() },
    }
}

/// Finds the slots that ended executions leave free. It comes after the nodes' locks and the end of
/// the executions.
pub(crate) const FIND_FREED: &str = "/* find_freed_slots */
    WITH freed AS MATERIALIZED (
        SELECT DISTINCT workflow_id, node_id, coalesce(concurrency_key, '') AS concurrency_key
        FROM workflow_node_executions WHERE id = ANY($1::uuid[]))
    SELECT freed.workflow_id, freed.node_id, w.organization_id,
        CASE WHEN slots.is_keyed THEN next.event_id END AS event_id
    FROM freed
    CROSS JOIN LATERAL node_slots(freed.workflow_id, freed.node_id, freed.concurrency_key) slots
    JOIN workflows w ON w.id = freed.workflow_id
    CROSS JOIN LATERAL (
        (SELECT i.event_id FROM workflow_node_queue_items i
         WHERE i.workflow_id = freed.workflow_id AND i.node_id = freed.node_id
           AND i.concurrency_key = freed.concurrency_key
         ORDER BY i.created_at, i.id LIMIT 1)
        UNION ALL
        (SELECT i.event_id FROM workflow_node_queue_items i
         WHERE NOT slots.is_keyed AND i.workflow_id = freed.workflow_id
           AND i.node_id = freed.node_id AND i.concurrency_key IS NULL
         ORDER BY i.concurrency_key, i.created_at, i.id LIMIT 1)
        LIMIT 1) next
    WHERE slots.free > 0
    ORDER BY freed.workflow_id, freed.node_id";

pub(crate) fn freed_slot(row: &Row) -> Result<FreedSlot, StoreError> {
    Ok(FreedSlot {
        node: node_key(row)?,
        organization_id: column(row, "organization_id")?,
        event_id: column(row, "event_id")?,
    })
}
