//! The outcome of an execution, as its component reports it.

use std::borrow::Cow;

use crate::ids::ExecutionId;
use serde_json::Value;

use crate::execution::ResultReason;
use crate::retry::RetryAfter;

/// The answer of a component: output to emit, or a failure.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It passed. None emits nothing (a filter that holds the event back).
    Passed(Option<Output>),
    /// It failed.
    Failed(Failure),
}

/// The output of an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The channel; one that the component declares, or that its author names.
    pub channel: Cow<'static, str>,
    /// The event's data.
    pub data: Value,
}

/// The failure of a component. The texts are our own and hold no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// [`ResultReason::ComponentError`] or [`ResultReason::Timeout`] for a component's own failure.
    pub reason: ResultReason,
    /// A stable code such as `redirect_blocked`.
    pub code: String,
    /// A sentence for the author of the workflow.
    pub message: String,
    /// The data that is emitted on `failure`, beside `error`; an object.
    pub data: Value,
    /// Whether another attempt might pass.
    pub retryable: bool,
    /// Whether the target answered, and not something between: if so, the next attempt gets the
    /// next idempotency key.
    pub answered: bool,
    /// The time before which the target asks not to be asked again.
    pub retry_after: Option<RetryAfter>,
}

impl Failure {
    /// A failure that another attempt would not mend.
    #[must_use]
    pub fn new(reason: ResultReason, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: code.into(),
            message: message.into(),
            data: Value::Object(serde_json::Map::new()),
            retryable: false,
            answered: false,
            retry_after: None,
        }
    }

    /// The data of the event on `failure`: the failure's own with `error: {code, message}`.
    #[must_use]
    pub fn event_data(&self) -> Value {
        let mut data = self.data.as_object().cloned().unwrap_or_default();
        data.insert("error".to_owned(), serde_json::json!({ "code": self.code, "message": self.message }));
        Value::Object(data)
    }
}

/// `result_message` of an execution whose item found its node full.
pub const NODE_FULL: &str =
    "the node has as many waiting items as are allowed (100000): this event was not taken";

/// `result_message` of an execution whose workflow has no room for a further held execution.
pub const HELD_FULL: &str =
    "the workflow has as many held executions as are allowed (100000): this one was not opened";

/// The idempotency key of an execution. `attempt` counts from 1: it stays after a crash and rises
/// after an answer.
#[must_use]
pub fn idempotency_key(execution_id: ExecutionId, attempt: i32) -> String {
    if attempt <= 1 { execution_id.to_string() } else { format!("{execution_id}-{attempt}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_full_node_has_its_number() {
        assert!(NODE_FULL.contains(&crate::limits::NODE_ITEMS_MAX.to_string()));
        assert!(HELD_FULL.contains(&crate::limits::HELD_EXECUTIONS_MAX.to_string()));
    }

    #[test]
    fn the_first_attempt_has_the_execution_id_as_its_key() {
        let id = ExecutionId::from_u128(1);
        assert_eq!(idempotency_key(id, 1), id.to_string());
        assert_eq!(idempotency_key(id, 3), format!("{id}-3"));
    }
}
