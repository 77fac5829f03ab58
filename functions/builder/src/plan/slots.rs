use domain::ids::EventId;
use std::collections::BTreeMap;

use domain::limits::GO_ON_BYTES_MAX;
use domain::message::Message;
use store::builder::{self, ClaimedItem, LimitKey};
use store::{NodeKey, wake_of_slot};

/// The state that a batch's records share: the free slots of limited nodes whose lock this
/// transaction holds, and the bytes that may still be written for going on.
#[derive(Clone, Debug)]
pub struct Slots {
    keys: BTreeMap<LimitKey, Free>,
    bytes_left: usize,
}

/// The free slots of a concurrency key, and the items that wait for them.
#[derive(Clone, Debug)]
struct Free {
    slots: i64,
    is_waiting: bool,
    next_event_id: Option<EventId>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), bytes_left: GO_ON_BYTES_MAX }
    }
}

fn without_key(node: &NodeKey) -> LimitKey {
    LimitKey { node: node.clone(), concurrency_key: String::new() }
}

impl Slots {
    /// The slots of the claim's concurrency keys and of the nodes downstream.
    #[must_use]
    pub fn new(claimed: &[builder::Slots], downstream: &[builder::Slots]) -> Self {
        let free = |slots: &builder::Slots| Free {
            slots: slots.free,
            is_waiting: slots.next_event_id.is_some(),
            next_event_id: slots.next_event_id,
        };
        let keys = claimed.iter().chain(downstream).map(|slots| (slots.key.clone(), free(slots)));
        Self { keys: keys.collect(), ..Self::default() }
    }

    /// Takes the bytes of an event out of the limit for going on. False, with nothing taken, if
    /// fewer are left.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> bool {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                true
            }
            None => false,
        }
    }

    /// Whether this transaction holds the node's lock.
    #[must_use]
    pub fn is_locked(&self, node: &NodeKey) -> bool {
        self.keys.contains_key(&without_key(node))
    }

    /// Takes a slot of a claimed item's concurrency key: the item becomes an active execution.
    pub(super) fn take_claimed(&mut self, item: &ClaimedItem) {
        if let Some(free) = item.limit_key().and_then(|key| self.keys.get_mut(&key)) {
            free.slots -= 1;
        }
    }

    /// Keeps a free slot for a step that going on adds, but only if no item waits: such a step
    /// never passes a waiting item. At the step's turn the slot is given back, and taken again if
    /// the step's execution stays open.
    pub(super) fn keep(&mut self, node: &NodeKey) -> bool {
        match self.keys.get_mut(&without_key(node)) {
            Some(free) if free.slots > 0 && !free.is_waiting => {
                free.slots -= 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Gives back a kept slot.
    pub(super) fn give_back(&mut self, node: &NodeKey) {
        if let Some(free) = self.keys.get_mut(&without_key(node)) {
            free.slots += 1;
        }
    }

    /// Takes again the slot that was kept, and was given back at the step's turn.
    pub(super) fn take_kept(&mut self, node: &NodeKey) {
        if let Some(free) = self.keys.get_mut(&without_key(node)) {
            free.slots -= 1;
        }
    }

    /// Notes that an item waits at the node.
    pub(super) fn wait(&mut self, node: &NodeKey) {
        if let Some(free) = self.keys.get_mut(&without_key(node)) {
            free.is_waiting = true;
        }
    }

    /// Nodes that have both a free slot and items that wait, each with the wake for it.
    pub fn with_room_and_waiting(&self) -> impl Iterator<Item = (&NodeKey, Message)> {
        let open = self.keys.iter().filter(|(_, free)| free.slots > 0 && free.is_waiting);
        open.map(|(key, free)| {
            let event_id = free.next_event_id.filter(|_| !key.concurrency_key.is_empty());
            (&key.node, wake_of_slot(&key.node, event_id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::WorkflowId;

    #[test]
    fn bytes_have_a_limit_on_both_sides() {
        let mut slots = Slots::default();
        assert!(slots.take_bytes(GO_ON_BYTES_MAX), "I10");
        assert!(!slots.take_bytes(1), "I10");
    }

    #[test]
    fn going_on_takes_a_slot_only_where_nobody_waits() {
        let key = (WorkflowId::from_u128(0), "n".to_owned());
        let slots = |free, is_waiting: bool| {
            let next_event_id = is_waiting.then(|| EventId::from_u128(0));
            Slots::new(&[builder::Slots { key: without_key(&key), free, next_event_id }], &[])
        };
        assert!(slots(1, false).keep(&key), "I4");
        assert!(!slots(1, true).keep(&key), "I4: somebody waits");
        assert!(!slots(0, false).keep(&key), "I4: no slot is free");
        assert!(!Slots::default().keep(&key), "I4: the lock is not held");
        let mut two = slots(2, false);
        assert!(two.keep(&key) && two.keep(&key) && !two.keep(&key), "I4");
    }
}
