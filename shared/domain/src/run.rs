//! The states of runs, and the reasons for which they are to end. The result of a run is an
//! [`crate::execution::ExecutionResult`].

use crate::words::words;

words! {
    /// The state of a run: `workflow_runs.state`.
    pub enum RunState {
        /// The run has a queue item or an unfinished execution.
        Running = "running",
        /// The run has no queue item and no unfinished execution.
        Finished = "finished",
    }
}

words! {
    /// The reason for which a run is to end: `workflow_runs.stop`.
    pub enum RunStop {
        /// Somebody cancelled the run.
        Cancelled = "cancelled",
        /// The run exceeds one of its limits.
        RunLimit = "run_limit",
        /// The run took longer than its workflow's time-out.
        Timeout = "timeout",
        /// The execution that owns the run ends.
        Owner = "owner",
    }
}
