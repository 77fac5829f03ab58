//! Postgres, the only truth: every statement of sealflow stands in this crate, inline beside its
//! function.
//!
//! The first line of each statement is a comment with the function's name (it shows in
//! pg_stat_statements). Each statement is prepared once for each connection, with its types, and
//! kept. [`Store::run_tx`] is the only way to a transaction.
//!
//! Two layers: a module of this folder is about one thing of the domain (runs, slots, locks) and is
//! used by several functions; a folder named after a function has the transactions of that function
//! alone, and knows no other function's.

pub mod builder;
pub mod callbacks;
mod connect;
pub mod deliveries;
mod error;
pub mod executor;
mod heartbeat;
mod held_causes;
pub mod intake;
mod json_text;
mod locks;
mod migrate;
mod nodes;
pub mod operate;
pub mod rewrap;
mod runs;
mod slots;
pub mod sweeper;
mod tx;

pub mod api;
pub mod audit;
pub mod types;

pub use connect::{AskPassword, CONNECT_TIMEOUT, Login, NoPassword, Store, StoreSettings};
pub use error::StoreError;
pub use heartbeat::record_heartbeat;
pub use held_causes::HeldWake;
pub use json_text::JsonText;
pub use locks::{LOCK_WAIT_MILLIS, LockMode};
pub use migrate::{
    BootstrapIds, FUNCTION_ROLES, NEWEST_MIGRATION, RoleLogin, bootstrap, migrate, set_passwords,
};
pub use nodes::NodeKey;
pub use runs::{
    AskedJoin, EndedWork, RunLook, Settled, SettledRun, StoppedRun, end_stopped_run, find_runs_due_soon,
    look_at_run, stop_run, stop_sub_runs,
};
pub use slots::{FreedSlot, wake_of_slot};
pub use tx::Tx;
