//! The causes, calls and times that wake held executions.

use std::time::Duration;

use jiff::Timestamp;

use crate::words::words;

words! {
    /// A cause for which a held execution is woken: `workflow_execution_wakes.cause`.
    pub enum WakeCause {
        /// The execution's run is to end.
        Stopped = "stopped",
        /// Somebody cancelled the execution.
        Cancelled = "cancelled",
        /// The execution's node was removed.
        NodeRemoved = "node_removed",
        /// An event has arrived at the join, or a branch before it has ended.
        Upstream = "upstream",
    }
}

words! {
    /// A call that people make of a held execution: `workflow_execution_calls.call`.
    pub enum Call {
        /// The execution is to go on now.
        Release = "release",
        /// A vote for what an approval asks.
        Approve = "approve",
        /// A vote against it.
        Reject = "reject",
        /// What somebody has sent to the address of the execution.
        Callback = "callback",
    }
}

/// A time at which a held execution is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeTime {
    /// This duration after the recording of the step, by the database's clock.
    After(Duration),
    /// At that time.
    At(Timestamp),
}

impl WakeTime {
    /// The time; None for a duration.
    #[must_use]
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::After(_) => None,
        }
    }

    /// Seconds from the recording of the step; None for a time.
    #[must_use]
    pub fn after_seconds(self) -> Option<f64> {
        match self {
            Self::After(wait) => Some(wait.as_secs_f64()),
            Self::At(_) => None,
        }
    }

    /// The duration from `now` to the wake; zero where the time is past.
    #[must_use]
    pub fn wait_from(self, now: Timestamp) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::At(at) => Duration::try_from(at.duration_since(now)).unwrap_or_default(),
        }
    }
}
