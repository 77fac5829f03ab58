//! Runs: their end, stop and time-out, for all functions.

mod settle;
mod stop;
mod time_out;

pub use settle::{AskedJoin, EndedWork, Settled, SettledRun};
pub(crate) use settle::{LOCK_ENDED_RUNS, settle_runs, settle_runs_of, stop_and_settle_runs};
pub use stop::{StoppedRun, end_stopped_run, stop_run, stop_sub_runs};
pub(crate) use stop::{stop_in, wakes_of};
pub use time_out::{RunLook, find_runs_due_soon, look_at_run};
