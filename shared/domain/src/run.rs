//! Runs: how they stand, and why they are to end. How one ended is an
//! [`crate::execution::ExecutionResult`].

use crate::words::words;

words! {
    /// How a run stands: `workflow_runs.state`.
    pub enum RunState {
        /// Something of it waits or is at work.
        Running = "running",
        /// It has no queue item and no unfinished execution.
        Finished = "finished",
    }
}

words! {
    /// Why a run is to end: `workflow_runs.stop`.
    pub enum RunStop {
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// It is past one of its limits.
        RunLimit = "run_limit",
        /// It took longer than its workflow's time-out.
        Timeout = "timeout",
        /// The execution that it is a part of ends.
        Owner = "owner",
    }
}
