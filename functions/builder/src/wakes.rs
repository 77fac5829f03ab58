//! Messages that make somebody look, now or a moment later.

use domain::ids::{OrganizationId, RunId};
use domain::limits::CLAIM_ITEMS_MAX;
use domain::message::Message;
use queue::Outgoing;
use store::NodeKey;
use store::builder::{Claims, ErrorEvent, LimitKey, LockedNodes, QuarantinedItem, WokenNode};

use crate::definitions::Workflows;

/// Seconds after which what could not be locked is looked at again.
pub(crate) const LOCKED_WAKE_SECONDS: u16 = 1;

/// The messages that make somebody look at the node again a moment later: where it has a
/// concurrency key, at the same items.
pub(crate) fn wakes_again(node: &WokenNode) -> impl Iterator<Item = Outgoing> {
    let is_whole = node.is_named || node.has_no_key();
    let named = is_whole.then(|| node_message(&node.key));
    let events = node.event_ids.iter().filter(move |_| !is_whole);
    let events = events.map(|event_id| Message::Event { event_id: *event_id });
    named.into_iter().chain(events).map(|message| again(node.organization_id, message))
}

/// A message that makes somebody look again a moment later.
pub(crate) fn again(organization_id: OrganizationId, message: Message) -> Outgoing {
    Outgoing { delay_seconds: LOCKED_WAKE_SECONDS, ..Outgoing::now(organization_id, message) }
}

/// A slot is free and an item waits that was not taken, though nothing of its key is in quarantine:
/// somebody holds the item, for no transaction waits for an item's lock.
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

/// Nodes of which one claim could not take all are looked at again: those that need no slot, and
/// those with a concurrency key, of which there may be more than were looked at; of the others the
/// plan knows.
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

/// The messages for runs that are past their limit: what is open of them ends at once.
pub(crate) fn stopped_wakes(run_ids: &[RunId], claims: &Claims, workflows: &Workflows) -> Vec<Outgoing> {
    let wake = |run_id: &RunId| {
        let item = claims.items.iter().find(|item| item.run_id == *run_id)?;
        let workflow = workflows.get(&item.node.0)?;
        Some(Outgoing::now(workflow.organization_id, Message::Run { run_id: *run_id }))
    };
    run_ids.iter().filter_map(wake).collect()
}

/// The wakes for failures that edges on `error` take. Where the definition can't be read, the
/// sweeper sends it.
pub(crate) fn error_wakes<'a>(
    errors: &'a [ErrorEvent],
    workflows: &'a Workflows,
) -> impl Iterator<Item = Outgoing> + 'a {
    errors.iter().filter_map(|error| {
        let workflow = workflows.get(&error.workflow_id)?;
        Some(Outgoing::now(workflow.organization_id, Message::Event { event_id: error.id }))
    })
}
