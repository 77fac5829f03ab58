//! The builder's statements, in the order of its transaction: lock, claim, load, write.
//!
//! Each function is one round trip however large the batch is; `suspects` stands beside them for items that took a process along.

mod claim;
mod keys;
mod load;
mod lock;
mod suspects;
mod write;

pub use claim::{ClaimedItem, Claims, NodeSlots, StoredDefinition, claim_items, claim_one};
pub use keys::{UnseenItems, claim_with_keys, find_all_suspects, find_unseen_items, write_keys};
pub use load::{AncestorEvent, AncestorRequest, InputEvent, LoadRequest, Loaded, RunFacts, load_batch};
pub use lock::{LOCK_WAIT_MILLIS, LockMode, LockedNodes, NodeKey, Wakes, WokenNode, lock_woken_nodes};
pub(crate) use lock::{node_key, wait_briefly};
pub use suspects::{Begin, SUSPECT_SECONDS, SuspectItem, begin_suspect, find_suspects, forgive_suspect};
pub(crate) use write::collect;
pub use write::{NewEvent, NewExecution, NewItem, NewKey, WriteBatch, write_batch};
