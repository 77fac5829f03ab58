//! Postgres, the only truth: every statement of sealflow stands in this crate, inline beside its
//! function.
//!
//! The first line of each statement is a comment with the function's name (it shows in
//! pg_stat_statements). Each is prepared once for each connection, with its types, and kept.
//! [`Store::run_tx`] is the only way to a transaction.

pub mod builder;
mod connect;
mod error;
pub mod executor;
mod held_causes;
pub mod intake;
mod json_text;
mod migrate;
pub mod rewrap;
mod run_due;
mod run_stop;
mod settle;
pub mod sweeper;
mod tx;

pub mod api;
pub mod types;

pub use connect::{AskPassword, CONNECT_TIMEOUT, Login, NoPassword, Store, StoreSettings};
pub use error::StoreError;
pub use held_causes::HeldWake;
pub use json_text::JsonText;
pub use migrate::{
    BootstrapIds, FUNCTION_ROLES, NEWEST_MIGRATION, RoleLogin, bootstrap, migrate, set_passwords,
};
pub use run_due::{RunLook, find_runs_due_soon, look_at_run};
pub use run_stop::{StoppedRun, end_stopped_run, stop_run};
pub use settle::SettledRun;
pub use tx::Tx;
