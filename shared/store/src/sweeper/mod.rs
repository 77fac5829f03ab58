//! The sweeper's statements: they find committed work that was not delivered, so that it is sent
//! again, and end work that can't be delivered. Each search is bounded and runs on an index;
//! running two at once does no harm.

mod due;
mod failed_runs;
mod held;
mod retention;
mod runs;
mod schedules;
mod undeliverable;
mod upkeep;

pub use crate::held_causes::{cause_removed_lately, mark_late_causes};
pub use due::{DueExecution, DueNode, NodeSearch, find_due_executions, find_due_nodes, take_back_sends};
pub use failed_runs::find_failed_runs;
pub use held::{find_due_held, mark_full_workflows};
pub use retention::{
    Deletion, ExpiredRuns, Retention, delete_expired_run, expire_runs, find_expired_runs, find_retentions,
    has_many_expired, put_off_expired_run,
};
pub use runs::{RunSearch, find_due_runs, find_stopped_runs, settle_left_runs, stop_runs_of_deleted};
pub use schedules::{DueSchedule, find_due_schedules};
pub use undeliverable::{end_undeliverable_executions, end_undeliverable_items};
pub use upkeep::{
    WaitingItems, count_waiting_items, end_audit_lines, forget_deduplications, forget_previous_keys,
    forget_secret_refs, mark_full_nodes, oldest_transaction_seconds,
};
