use std::collections::BTreeMap;

use domain::limits::GO_ON_BYTES_MAX;
use store::builder::{NodeKey, NodeSlots};

/// What the records of a batch share: limited nodes whose lock this transaction holds, with their free slots, and the bytes that
/// may still be written by going on.
#[derive(Clone, Debug)]
pub struct Slots {
    nodes: BTreeMap<NodeKey, (i64, bool)>,
    bytes_left: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self { nodes: BTreeMap::new(), bytes_left: GO_ON_BYTES_MAX }
    }
}

impl Slots {
    /// The nodes of the claim and those that lie downstream.
    #[must_use]
    pub fn new(claimed: &[NodeSlots], downstream: &[NodeSlots]) -> Self {
        let nodes = claimed.iter().chain(downstream);
        let nodes = nodes.map(|slots| (slots.key.clone(), (slots.free, slots.is_waiting))).collect();
        Self { nodes, ..Self::default() }
    }

    /// Whether the transaction may go on with an event of so many bytes; if so they are used up.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> bool {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                true
            }
            None => false,
        }
    }

    /// Whether the node's lock is held.
    #[must_use]
    pub fn is_locked(&self, key: &NodeKey) -> bool {
        self.nodes.contains_key(key)
    }

    /// A claimed item becomes an active execution: it takes a slot.
    pub(super) fn take_claimed(&mut self, key: &NodeKey) {
        if let Some((free, _)) = self.nodes.get_mut(key) {
            *free -= 1;
        }
    }

    /// Takes a slot for an event that just came, if one is free and nobody waits: going on never jumps a queue.
    pub(super) fn take_new(&mut self, key: &NodeKey) -> bool {
        match self.nodes.get_mut(key) {
            Some((free, false)) if *free > 0 => {
                *free -= 1;
                true
            }
            _ => false,
        }
    }

    /// An item is put behind the others.
    pub(super) fn wait(&mut self, key: &NodeKey) {
        if let Some((_, is_waiting)) = self.nodes.get_mut(key) {
            *is_waiting = true;
        }
    }

    /// Nodes that have both a free slot and items that wait.
    pub fn with_room_and_waiting(&self) -> impl Iterator<Item = &NodeKey> {
        self.nodes.iter().filter(|(_, (free, is_waiting))| *free > 0 && *is_waiting).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn bytes_have_a_limit_on_both_sides() {
        let mut slots = Slots::default();
        assert!(slots.take_bytes(GO_ON_BYTES_MAX), "I10");
        assert!(!slots.take_bytes(1), "I10");
    }

    #[test]
    fn going_on_takes_a_slot_only_where_nobody_waits() {
        let key = (Uuid::nil(), "n".to_owned());
        let slots = |free, is_waiting| {
            Slots::new(
                &[NodeSlots { key: key.clone(), free, is_waiting, is_keyed: false, has_unseen: false }],
                &[],
            )
        };
        assert!(slots(1, false).take_new(&key), "I4");
        assert!(!slots(1, true).take_new(&key), "I4: somebody waits");
        assert!(!slots(0, false).take_new(&key), "I4: no slot is free");
        assert!(!Slots::default().take_new(&key), "I4: the lock is not held");
        let mut two = slots(2, false);
        assert!(two.take_new(&key) && two.take_new(&key) && !two.take_new(&key), "I4");
    }
}
