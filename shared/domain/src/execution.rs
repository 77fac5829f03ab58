//! The words of an execution: its state, its result, and the reason for which it did not pass.

use crate::words::words;

words! {
    /// The state of an execution: `workflow_node_executions.state`.
    pub enum ExecutionState {
        /// The execution waits for the executor.
        Pending = "pending",
        /// A claim of the executor holds its lease.
        Started = "started",
        /// It stays open without a lease: a time, a call or a cause wakes it.
        Held = "held",
        /// A claim holds its lease, and the execution is to end.
        Cancelling = "cancelling",
        /// The execution has a result, and never changes again.
        Finished = "finished",
    }
}

words! {
    /// The result of an execution: `workflow_node_executions.result`.
    pub enum ExecutionResult {
        /// The component did its work.
        Passed = "passed",
        /// The execution failed; [`ResultReason`] has the reason.
        Failed = "failed",
        /// The execution was ended before its work was done.
        Cancelled = "cancelled",
    }
}

words! {
    /// The reason for which an execution did not pass: `workflow_node_executions.result_reason`.
    pub enum ResultReason {
        /// A template or expression of the configuration could not be resolved.
        TemplateError = "template_error",
        /// A template read a place that was redacted before it was stored.
        Redacted = "redacted",
        /// A secret or one of its keys does not exist.
        SecretMissing = "secret_missing",
        /// The secret may not be sent to this host, be used by this component or stand in this
        /// place, or the node does not refer to it.
        SecretDenied = "secret_denied",
        /// The component itself failed.
        ComponentError = "component_error",
        /// The component took too long.
        Timeout = "timeout",
        /// A limit of the engine is exceeded.
        Limit = "limit",
        /// The run's limit of depth or executions is exceeded.
        RunLimit = "run_limit",
        /// The run or the execution was cancelled.
        Cancelled = "cancelled",
        /// The node is no longer part of the workflow.
        NodeRemoved = "node_removed",
        /// The process crashed during this execution as often as is allowed.
        Crashed = "crashed",
        /// The sweeper's sends were used up.
        Undeliverable = "undeliverable",
    }
}

impl ResultReason {
    /// Whether an execution with this reason emits on `failure`: only a component's own failure
    /// does.
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
