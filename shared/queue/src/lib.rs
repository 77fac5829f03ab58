//! Sending messages: the one user of the SQS SDK.
//!
//! Sends come after the commit. Unsent messages are reported and left to the sweeper; they never
//! fail the caller.

mod send;
mod sqs;

use std::time::Duration;

use aws_types::SdkConfig;
use domain::ids::OrganizationId;
use domain::limits::{MESSAGE_BYTES_MAX, QUEUE_DELAY_SECONDS_MAX};
use domain::message::Message;

pub use send::{ATTEMPTS_MAX, BATCH_MAX, BATCHES_AT_ONCE};

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outgoing {
    /// The organization that the message works for: its message group, so that one busy
    /// organization can't starve the others.
    pub organization_id: OrganizationId,
    /// The content of the message.
    pub message: Message,
    /// Seconds before the message can be received. More than 900 (SQS's limit) are sent as 900, for
    /// a message that arrives early is delayed again.
    pub delay_seconds: u16,
}

impl Outgoing {
    /// A message to be received at once.
    #[must_use]
    pub fn now(organization_id: OrganizationId, message: Message) -> Self {
        Self { organization_id, message, delay_seconds: 0 }
    }

    /// A message to be received after `wait`, never earlier; None where SQS can't hold it that
    /// long; the sweeper sends it later.
    #[must_use]
    pub fn after(organization_id: OrganizationId, message: Message, wait: Duration) -> Option<Self> {
        let seconds = u16::try_from(wait.as_millis().div_ceil(1000)).ok()?;
        (u32::from(seconds) <= QUEUE_DELAY_SECONDS_MAX).then_some(Self {
            organization_id,
            message,
            delay_seconds: seconds,
        })
    }

    fn delay(&self) -> i32 {
        let seconds_max = u16::try_from(QUEUE_DELAY_SECONDS_MAX).expect("900 fits");
        i32::from(self.delay_seconds.min(seconds_max))
    }
}

/// The outcome of a send. The caller need not handle it: the sweeper resends the unsent messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Messages that SQS accepted.
    pub sent: usize,
    /// Messages that SQS did not accept, or that are too long.
    pub unsent: Vec<Outgoing>,
    /// Calls of SQS, retries of single entries included.
    pub calls: usize,
}

/// The two queues. Made once, in `main`.
pub struct Queue {
    sender: send::Sender<sqs::Sqs>,
}

impl Queue {
    /// Queues by their URLs: the builder's and the executor's.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        node_queue_url: impl Into<String>,
        execution_queue_url: impl Into<String>,
    ) -> Self {
        Self {
            sender: send::Sender {
                transport: sqs::Sqs::new(config),
                node_queue_url: node_queue_url.into(),
                execution_queue_url: execution_queue_url.into(),
            },
        }
    }

    /// Sends messages: events and nodes to the builder's queue, executions to the executor's. Equal
    /// messages are sent once; ten go in one call. Entries that fail are tried up to
    /// [`ATTEMPTS_MAX`] times in all. Unsent messages are counted in the log and reported.
    pub async fn send(&self, messages: Vec<Outgoing>) -> SendReport {
        self.sender.send(messages).await
    }

    /// Sends received messages anew, each with the id of its delivery, and returns the ids of those
    /// that were not sent. A caller sends them anew because a redelivery would raise their receive
    /// count, as if they had crashed a worker.
    pub async fn send_again(&self, received: Vec<(String, Outgoing)>) -> Vec<String> {
        let report = self.send(received.iter().map(|(_, outgoing)| outgoing.clone()).collect()).await;
        let unsent = received.into_iter().filter(|(_, outgoing)| report.unsent.contains(outgoing));
        unsent.map(|(id, _)| id).collect()
    }
}

/// Whether a body may be sent: messages have ids only, so a longer one is a bug of ours.
fn fits(body: &str) -> bool {
    body.len() <= MESSAGE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use domain::ids::ExecutionId;

    use super::*;

    #[test]
    fn a_delayed_message_is_never_early_and_never_too_long_for_the_queue() {
        let check = |millis, expected: Option<u16>| {
            let message = Message::Execution { execution_id: ExecutionId::from_u128(0) };
            let delayed =
                Outgoing::after(OrganizationId::from_u128(0), message, Duration::from_millis(millis));
            assert_eq!(delayed.map(|message| message.delay_seconds), expected, "{millis}");
        };
        check(0, Some(0));
        check(1, Some(1));
        check(1000, Some(1));
        check(1001, Some(2));
        check(900_000, Some(900));
        check(900_001, None);
    }

    #[tokio::test]
    async fn a_send_may_move_between_threads() {
        fn check<T: Send>(future: T) -> T {
            future
        }
        let queue = Queue::new(&SdkConfig::builder().build(), "nodes", "executions");
        assert_eq!(check(queue.send(vec![])).await, SendReport::default());
    }
}
