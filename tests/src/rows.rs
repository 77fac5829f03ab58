//! Rows of executions, as far as tests compare them.

use domain::execution::{ExecutionResult, ExecutionState, ResultReason};

/// An execution's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Its node.
    pub node_id: String,
    /// Its state.
    pub state: ExecutionState,
    /// Its result, once it is finished.
    pub result: Option<ExecutionResult>,
    /// The reason if it did not pass.
    pub reason: Option<ResultReason>,
}

/// One that is not finished.
#[must_use]
pub fn open(node_id: &str, state: ExecutionState) -> Execution {
    Execution { node_id: node_id.to_owned(), state, result: None, reason: None }
}

/// One that passed.
#[must_use]
pub fn passed(node_id: &str) -> Execution {
    finished(node_id, ExecutionResult::Passed, None)
}

/// One that failed.
#[must_use]
pub fn failed(node_id: &str, reason: ResultReason) -> Execution {
    finished(node_id, ExecutionResult::Failed, Some(reason))
}

/// One that was ended.
#[must_use]
pub fn cancelled(node_id: &str, reason: ResultReason) -> Execution {
    finished(node_id, ExecutionResult::Cancelled, Some(reason))
}

fn finished(node_id: &str, result: ExecutionResult, reason: Option<ResultReason>) -> Execution {
    Execution { node_id: node_id.to_owned(), state: ExecutionState::Finished, result: Some(result), reason }
}
