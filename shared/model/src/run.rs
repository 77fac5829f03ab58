//! The state of a run, decided from what one query counted.

use serde::{Deserialize, Serialize};

/// The state of a run: a root event and all that came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Something waits or is at work.
    Running,
    /// All ended, and no failure went unhandled.
    Passed,
    /// All ended, and a failure was routed nowhere.
    Failed,
    /// All ended, and the run, or a part of it, was cancelled.
    Cancelled,
}

impl RunState {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
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
    /// Whether the run carries the cancel mark.
    pub cancel_marked: bool,
    /// Whether the run was ended for one of its limits.
    pub limit_marked: bool,
}

/// The state that the counts say.
#[must_use]
pub fn decide_run_state(counts: RunCounts) -> RunState {
    if counts.items_waiting > 0 || counts.executions_active > 0 {
        RunState::Running
    } else if counts.limit_marked {
        RunState::Failed
    } else if counts.cancel_marked {
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
        check(RunCounts { executions_active: 1, cancel_marked: true, ..none }, RunState::Running);
        check(RunCounts { failures_unrouted: 1, executions_cancelled: 1, ..none }, RunState::Failed);
        check(RunCounts { failures_unrouted: 1, cancel_marked: true, ..none }, RunState::Cancelled);
        check(RunCounts { limit_marked: true, cancel_marked: true, ..none }, RunState::Failed);
        check(RunCounts { executions_cancelled: 1, ..none }, RunState::Cancelled);
    }
}
