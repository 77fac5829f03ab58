//! The messages of the queues: a version, a kind and ids, nothing else.
//!
//! A message is a hint to look into Postgres, never a claim. Its ids are looked up; the rows found,
//! not the message, decide the organization.

use crate::ids::{EventId, ExecutionId, RunId, WorkflowId};
use serde::{Deserialize, Serialize};

use crate::limits::MESSAGE_BYTES_MAX;

/// The content of a queue message's body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// An event was committed together with queue items: look at these items.
    Event {
        /// `workflow_events.id`
        event_id: EventId,
    },
    /// A node may have a free slot and items that wait: look at the node.
    Node {
        /// `workflow_nodes.workflow_id`
        workflow_id: WorkflowId,
        /// `workflow_nodes.node_id`
        node_id: String,
    },
    /// A held execution may be due: look at the execution.
    Wake {
        /// `workflow_node_executions.id`
        execution_id: ExecutionId,
    },
    /// A run's time-out or the rest of its stop may be due: look at the run.
    Run {
        /// `workflow_runs.id`
        run_id: RunId,
    },
    /// The time of a schedule may have come: look at the schedule.
    Schedule {
        /// `schedules.workflow_id`
        workflow_id: WorkflowId,
        /// `schedules.node_id`
        node_id: String,
    },
    /// An execution waits for the executor.
    Execution {
        /// `workflow_node_executions.id`
        execution_id: ExecutionId,
    },
}

/// The one version of the body that this code writes and reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    #[serde(flatten)]
    message: Message,
}

/// The fault of a body that is no message. Such a body goes to the dead-letter queue.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MessageError {
    /// The body is not the JSON of a message.
    #[error("the body is no sealflow message")]
    Malformed,
    /// The body is longer than any message of ours.
    #[error("the body is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// The body has a version that this code does not read.
    #[error("the message has version {0}, this is version {VERSION}")]
    Version(u64),
}

impl Message {
    /// The body as it is sent.
    #[must_use]
    pub fn to_body(&self) -> String {
        serde_json::to_string(&Body { v: VERSION, message: self.clone() })
            .expect("a message has only strings and ids, which always serialise")
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`] when the body is not one of ours; the caller moves it to the dead-letter
    /// queue.
    pub fn parse(body: &str) -> Result<Self, MessageError> {
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong);
        }
        let value: serde_json::Value = serde_json::from_str(body).map_err(|_| MessageError::Malformed)?;
        match value.get("v").and_then(serde_json::Value::as_u64) {
            Some(v) if v == u64::from(VERSION) => {}
            Some(v) => return Err(MessageError::Version(v)),
            None => return Err(MessageError::Malformed),
        }
        let mut value = value;
        if let Some(map) = value.as_object_mut() {
            map.remove("v");
        }
        serde_json::from_value(value).map_err(|_| MessageError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_as_the_message_it_was() {
        let (event_id, workflow_id) = (EventId::from_u128(7), WorkflowId::from_u128(7));
        let execution_id = ExecutionId::from_u128(7);
        for message in [
            Message::Event { event_id },
            Message::Node { workflow_id, node_id: "call \"x\"".into() },
            Message::Execution { execution_id },
            Message::Wake { execution_id },
            Message::Run { run_id: RunId::from_u128(7) },
            Message::Schedule { workflow_id, node_id: "nightly".into() },
        ] {
            assert_eq!(Message::parse(&message.to_body()), Ok(message));
        }
    }

    #[test]
    fn a_body_has_a_version_a_kind_and_ids() {
        let body = Message::Event { event_id: EventId::from_u128(1) }.to_body();
        assert_eq!(body, r#"{"v":1,"kind":"event","event_id":"00000000-0000-0000-0000-000000000001"}"#);
    }

    #[test]
    fn what_is_no_message_says_why() {
        let check = |body: &str, expected| assert_eq!(Message::parse(body), Err(expected), "{body}");
        check("", MessageError::Malformed);
        check("[]", MessageError::Malformed);
        check(r#"{"kind":"event"}"#, MessageError::Malformed);
        check(r#"{"v":2,"kind":"event"}"#, MessageError::Version(2));
        check(r#"{"v":1,"kind":"event","event_id":"x"}"#, MessageError::Malformed);
        check(
            r#"{"v":1,"kind":"execution","execution_id":"00000000-0000-0000-0000-000000000001","data":1}"#,
            MessageError::Malformed,
        );
        let longest = format!("{{{}}}", " ".repeat(MESSAGE_BYTES_MAX - 2));
        check(&longest, MessageError::Malformed);
        check(&format!("{longest} "), MessageError::TooLong);
    }
}
