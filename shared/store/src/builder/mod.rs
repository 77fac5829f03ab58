//! The builder's statements, in the order of its transaction: lock, claim, load, write.
//!
//! Each function is one round trip however large the batch is; `quarantine` stands beside them for
//! items that crashed a worker.

mod calls;
mod claim;
mod concurrency_keys;
mod failed_runs;
mod held;
mod joins;
mod load;
mod lock;
mod quarantine;
mod schedules;
mod slots;
mod sub_runs;
mod write;

pub use calls::{
    CallTarget, CalledRun, FoundCall, LastEvent, LockedCall, load_called_runs, load_last_events, lock_call,
};
pub use claim::{ClaimedItem, Claims, StoredDefinition, claim_items, claim_one};
pub use concurrency_keys::{UnresolvedItems, find_unresolved_items, write_resolved};
pub use failed_runs::{
    FailedRun, FoundFailure, RunFailure, find_handlers, forget_failed_run, lock_failed_run,
    put_off_failed_run,
};
pub use held::{
    BegunWake, FoundWoken, RecordedWake, StoredCall, StoredCause, WokenExecution, begin_wake, forgive_wake,
    load_routes, lock_woken, record_wakes,
};
pub use joins::{ArrivedEvent, NewArrival, WokenJoin};
pub use load::{AncestorEvent, AncestorRequest, InputEvent, LoadRequest, Loaded, RunFacts, load_batch};
pub use lock::{LimitKey, LockedNodes, Wakes, WokenNode, lock_woken_nodes};
pub use quarantine::{
    Begin, QUARANTINE_SECONDS, QuarantinedItem, begin_quarantined, find_all_quarantined, release_quarantined,
};
pub use schedules::{FoundSchedule, LockedSchedule, NextTime, lock_schedule, write_schedule};
pub use slots::Slots;
pub use sub_runs::{NewReturn, NewSubRun, OwnerNames, RunOwner, StoredSubRun, WokenOwner};
pub use write::{
    ErrorEvent, NewEvent, NewExecution, NewHeld, NewItem, NewKey, WriteBatch, WrittenBatch, write_batch,
};
