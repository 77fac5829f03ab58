//! The sweeper's statements: what was committed and not delivered is found and sent again, what
//! can't be delivered is ended. Each search is bounded and runs on an index; running two at once
//! does no harm.

mod due;
mod held;
mod runs;
mod undeliverable;
mod upkeep;

pub use crate::held_causes::{cause_removed_lately, mark_late_causes};
pub use due::{DueExecution, DueNode, NodeSearch, find_due_executions, find_due_nodes, take_back_sends};
pub use held::{find_due_held, mark_full_workflows};
pub use runs::{RunSearch, find_due_runs, find_stopped_runs, settle_left_runs, stop_runs_of_deleted};
pub use undeliverable::{end_undeliverable_executions, end_undeliverable_items};
pub use upkeep::{
    WaitingItems, count_waiting_items, forget_deduplications, forget_previous_keys, forget_secret_refs,
    mark_full_nodes,
};
