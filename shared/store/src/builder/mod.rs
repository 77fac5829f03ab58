//! The builder's statements, in the order of its transaction: lock, claim, load, write.
//!
//! Each function is one round trip however large the batch is; `suspects` stands beside them for items that took a process along.

mod claim;
mod load;
mod lock;
mod slots;
mod suspects;
mod unresolved;
mod write;

pub use claim::{ClaimedItem, Claims, StoredDefinition, claim_items, claim_one};
pub use load::{AncestorEvent, AncestorRequest, InputEvent, LoadRequest, Loaded, RunFacts, load_batch};
pub use lock::{
    LOCK_WAIT_MILLIS, LimitKey, LockMode, LockedNodes, NodeKey, Wakes, WokenNode, lock_woken_nodes,
};
pub(crate) use lock::{node_key, wait_briefly};
pub(crate) use slots::{FIND_FREED, freed_slot};
pub use slots::{FreedSlot, Slots, wake_of_slot};
pub use suspects::{
    Begin, SUSPECT_SECONDS, SuspectItem, begin_suspects, find_all_suspects, forgive_suspects,
};
pub use unresolved::{UnresolvedItems, find_unresolved_items, write_resolved};
pub(crate) use write::collect;
pub use write::{NewEvent, NewExecution, NewItem, NewKey, WriteBatch, write_batch};
