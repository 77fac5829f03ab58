//! The builder's statements, in the order of its transaction: lock, claim, load, write.
//!
//! Each function is one round trip however large the batch is; `quarantine` stands beside them for
//! items that crashed a worker.

mod claim;
mod held;
mod load;
mod lock;
mod quarantine;
mod slots;
mod unresolved;
mod write;

pub use claim::{ClaimedItem, Claims, StoredDefinition, claim_items, claim_one};
pub use held::{
    BegunWake, FoundWoken, RecordedWake, StoredCall, StoredCause, WokenExecution, begin_wake, forgive_wake,
    load_routes, lock_woken, record_wakes,
};
pub use load::{AncestorEvent, AncestorRequest, InputEvent, LoadRequest, Loaded, RunFacts, load_batch};
pub use lock::{
    LOCK_WAIT_MILLIS, LimitKey, LockMode, LockedNodes, NodeKey, Wakes, WokenNode, lock_woken_nodes,
};
pub(crate) use lock::{node_key, wait_briefly};
pub use quarantine::{
    Begin, QUARANTINE_SECONDS, QuarantinedItem, begin_quarantined, find_all_quarantined, release_quarantined,
};
pub(crate) use slots::{FIND_FREED, freed_slot};
pub use slots::{FreedSlot, Slots, wake_of_slot};
pub use unresolved::{UnresolvedItems, find_unresolved_items, write_resolved};
pub(crate) use write::collect;
pub use write::{ErrorEvent, NewEvent, NewExecution, NewHeld, NewItem, NewKey, WriteBatch, write_batch};
