//! The state of a run, decided from what one query counted.

use crate::words::words;

words! {
    /// The state of a run: a root event and all that came of it.
    pub enum RunState {
        /// Something waits or is at work.
        Running = "running",
        /// All ended, and no failure went unhandled.
        Passed = "passed",
        /// All ended, and a failure was routed nowhere.
        Failed = "failed",
        /// All ended, and the run, or a part of it, was cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// Why a run was told to end: `workflow_run_marks.reason`.
    pub enum RunMark {
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// It is past one of its limits.
        RunLimit = "run_limit",
    }
}

/// What one snapshot of the database says of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Queue items that wait; those of a cancelled run are no open work and are not counted.
    pub items_waiting: i64,
    /// Executions that are not finished.
    pub executions_active: i64,
    /// Failed executions whose failure no edge took and that were not redriven.
    pub failures_unrouted: i64,
    /// Cancelled executions.
    pub executions_cancelled: i64,
    /// Why the run was told to end, if it was.
    pub mark: Option<RunMark>,
}

/// The state that the counts say.
#[must_use]
pub fn decide_run_state(counts: RunCounts) -> RunState {
    if counts.items_waiting > 0 || counts.executions_active > 0 {
        RunState::Running
    } else if counts.mark == Some(RunMark::RunLimit) {
        RunState::Failed
    } else if counts.mark == Some(RunMark::Cancelled) {
        RunState::Cancelled
    } else if counts.failures_unrouted > 0 {
        RunState::Failed
    } else if counts.executions_cancelled > 0 {
        RunState::Cancelled
    } else {
        RunState::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_what_its_rows_say() {
        let check = |counts, expected| assert_eq!(decide_run_state(counts), expected, "{counts:?}");
        let none = RunCounts::default();
        check(none, RunState::Passed);
        check(RunCounts { items_waiting: 1, failures_unrouted: 1, ..none }, RunState::Running);
        check(RunCounts { executions_active: 1, mark: Some(RunMark::Cancelled), ..none }, RunState::Running);
        check(RunCounts { failures_unrouted: 1, executions_cancelled: 1, ..none }, RunState::Failed);
        check(
            RunCounts { failures_unrouted: 1, mark: Some(RunMark::Cancelled), ..none },
            RunState::Cancelled,
        );
        check(RunCounts { mark: Some(RunMark::RunLimit), failures_unrouted: 0, ..none }, RunState::Failed);
        check(RunCounts { executions_cancelled: 1, ..none }, RunState::Cancelled);
    }
}
