//! The words of an execution: its state, its result, and why it did not pass.

use crate::words::words;

words! {
    /// The state of an execution: `workflow_node_executions.state`.
    pub enum ExecutionState {
        /// It waits for the executor.
        Pending = "pending",
        /// A claim of the executor has its lease.
        Started = "started",
        /// It stays open without a lease: a time, a call or a cause wakes it.
        Held = "held",
        /// A claim has its lease, and it is to end.
        Cancelling = "cancelling",
        /// It has a result, and never changes again.
        Finished = "finished",
    }
}

words! {
    /// How an execution ended: `workflow_node_executions.result`.
    pub enum ExecutionResult {
        /// It did what it was to do.
        Passed = "passed",
        /// It did not; the reason tells why.
        Failed = "failed",
        /// It was ended before.
        Cancelled = "cancelled",
    }
}

words! {
    /// Why an execution did not pass: `workflow_node_executions.result_reason`.
    pub enum ResultReason {
        /// A template or expression of the configuration could not be resolved.
        TemplateError = "template_error",
        /// A template would have taken a place for data that was redacted before it was stored.
        Redacted = "redacted",
        /// A secret or one of its keys is not there.
        SecretMissing = "secret_missing",
        /// A secret may not be used in this way: host, component, or not known to the node.
        SecretDenied = "secret_denied",
        /// The component itself failed.
        ComponentError = "component_error",
        /// The component took too long.
        Timeout = "timeout",
        /// A limit of the engine.
        Limit = "limit",
        /// The run's limit of depth or executions.
        RunLimit = "run_limit",
        /// The run or the execution was cancelled.
        Cancelled = "cancelled",
        /// The node is no longer part of the workflow.
        NodeRemoved = "node_removed",
        /// The process ended while it worked on this, as often as is allowed.
        Crashed = "crashed",
        /// The sweeper's sends were used up.
        Undeliverable = "undeliverable",
    }
}

impl ResultReason {
    /// Whether an execution that ended so emits on `failure`: only a component's own failure does.
    #[must_use]
    pub fn emits(self) -> bool {
        match self {
            Self::ComponentError | Self::Timeout => true,
            Self::TemplateError
            | Self::Redacted
            | Self::SecretMissing
            | Self::SecretDenied
            | Self::Limit
            | Self::RunLimit
            | Self::Cancelled
            | Self::NodeRemoved
            | Self::Crashed
            | Self::Undeliverable => false,
        }
    }

    /// The result of an execution that did not pass for this reason.
    #[must_use]
    pub fn result(self) -> ExecutionResult {
        match self {
            Self::Cancelled | Self::NodeRemoved => ExecutionResult::Cancelled,
            Self::TemplateError
            | Self::Redacted
            | Self::SecretMissing
            | Self::SecretDenied
            | Self::ComponentError
            | Self::Timeout
            | Self::Limit
            | Self::RunLimit
            | Self::Crashed
            | Self::Undeliverable => ExecutionResult::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_components_own_failure_emits() {
        let emitting: Vec<_> = ResultReason::ALL.iter().filter(|reason| reason.emits()).collect();
        assert_eq!(emitting, [&ResultReason::ComponentError, &ResultReason::Timeout]);
    }

    #[test]
    fn what_somebody_ended_is_cancelled_and_the_rest_has_failed() {
        let cancelled: Vec<_> =
            ResultReason::ALL.iter().filter(|reason| reason.result() == ExecutionResult::Cancelled).collect();
        assert_eq!(cancelled, [&ResultReason::Cancelled, &ResultReason::NodeRemoved]);
    }
}
