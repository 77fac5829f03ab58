//! Messages that make a builder look at rows, now or a moment later.

use domain::ids::{OrganizationId, RunId};
use domain::limits::CLAIM_ITEMS_MAX;
use domain::message::Message;
use queue::Outgoing;
use store::builder::{Claims, ErrorEvent, LimitKey, LockedNodes, QuarantinedItem, WokenNode};
use store::{NodeKey, Settled};

use crate::definitions::Workflows;

/// Seconds until the builder looks again at rows that it could not lock.
pub(crate) const LOCKED_WAKE_SECONDS: u16 = 1;

/// The messages by which a builder looks at the node again a moment later. For a node with a
/// concurrency key they name the same items.
pub(crate) fn wakes_again(node: &WokenNode) -> impl Iterator<Item = Outgoing> {
    let is_whole = node.is_named || node.has_no_key();
    let named = is_whole.then(|| node_message(&node.key));
    let events = node.event_ids.iter().filter(move |_| !is_whole);
    let events = events.map(|event_id| Message::Event { event_id: *event_id });
    named.into_iter().chain(events).map(|message| again(node.organization_id, message))
}

/// A message that is delivered a moment later, so that a builder looks again.
pub(crate) fn again(organization_id: OrganizationId, message: Message) -> Outgoing {
    Outgoing { delay_seconds: LOCKED_WAKE_SECONDS, ..Outgoing::now(organization_id, message) }
}

/// Wakes for nodes where a slot is free and an item waits, but the item was not taken and no item
/// of its key is in quarantine. Another transaction has locked that item: claims skip locked items.
pub(crate) fn held_by_others(
    nodes: &LockedNodes,
    slots: &[store::builder::Slots],
    quarantined: &[QuarantinedItem],
) -> Vec<Outgoing> {
    let is_quarantined = |key: &LimitKey| {
        let is_of_key = |of: &String| *of == key.concurrency_key;
        quarantined
            .iter()
            .any(|item| item.node == key.node && item.concurrency_key.as_ref().is_none_or(is_of_key))
    };
    let is_held = |slots: &&store::builder::Slots| {
        slots.free > 0 && slots.next_event_id.is_some() && !is_quarantined(&slots.key)
    };
    let node = |slots: &store::builder::Slots| nodes.woken.iter().find(|node| node.key == slots.key.node);
    let held = slots.iter().filter(is_held).filter_map(node);
    held.map(|node| again(node.organization_id, node_message(&node.key))).collect()
}

/// Wakes for nodes that may have more items than one claim takes: nodes without a limit, and nodes
/// with concurrency keys. For other nodes the plan makes the wakes.
pub(crate) fn leftover_wakes(nodes: &LockedNodes, claims: &Claims) -> Vec<Outgoing> {
    if i64::try_from(claims.items.len()).unwrap_or(i64::MAX) < CLAIM_ITEMS_MAX {
        return Vec::new();
    }
    let is_open =
        |node: &&WokenNode| !node.is_limited || node.concurrency_keys.iter().any(|key| !key.is_empty());
    let open = nodes.woken.iter().filter(is_open);
    open.map(|node| Outgoing::now(node.organization_id, node_message(&node.key))).collect()
}

/// The message that wakes a node.
pub(crate) fn node_message((workflow_id, node_id): &NodeKey) -> Message {
    Message::Node { workflow_id: *workflow_id, node_id: node_id.clone() }
}

/// The messages for runs past their limit. They make the builder end the open work of these runs at
/// once.
pub(crate) fn stopped_wakes(run_ids: &[RunId], claims: &Claims, workflows: &Workflows) -> Vec<Outgoing> {
    let wake = |run_id: &RunId| {
        let item = claims.items.iter().find(|item| item.root_event_id.0 == run_id.0)?;
        let workflow = workflows.get(&item.node.0)?;
        Some(Outgoing::now(workflow.organization_id, Message::Run { run_id: *run_id }))
    };
    run_ids.iter().filter_map(wake).collect()
}

/// The wakes for failures that were routed along an edge on `error`. If a definition can't be read,
/// the sweeper sends that wake.
pub(crate) fn error_wakes<'a>(
    errors: &'a [ErrorEvent],
    workflows: &'a Workflows,
) -> impl Iterator<Item = Outgoing> + 'a {
    errors.iter().filter_map(|error| {
        let workflow = workflows.get(&error.workflow_id)?;
        Some(Outgoing::now(workflow.organization_id, Message::Event { event_id: error.id }))
    })
}

/// The messages for failed runs of which triggers of the type `on_error` are to be told, and for joins
/// that may decide.
pub(crate) fn settled_wakes(settled: &Settled) -> impl Iterator<Item = Outgoing> + '_ {
    settled.wakes().map(|(organization_id, message)| Outgoing::now(organization_id, message))
}
