//! Batches, retries and unsent messages, separate from the SDK so that tests need none.

use std::collections::HashSet;
use std::time::Duration;

use domain::message::Message;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::{Outgoing, SendReport, fits};

/// Messages in one call of SQS.
pub const BATCH_MAX: usize = 10;
/// Calls of SQS in progress at the same time, for each queue.
pub const BATCHES_AT_ONCE: usize = 4;
/// Attempts to send an entry. A call that fails as a whole is not tried again here, for the SDK has
/// already retried it.
pub const ATTEMPTS_MAX: usize = 3;
/// The wait before the second attempt; it doubles for each later one.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// One message of a batch.
#[derive(Clone, Debug)]
pub(crate) struct BatchEntry {
    pub(crate) outgoing: Outgoing,
    pub(crate) body: String,
}

/// The answer of SQS about one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryResult {
    Sent,
    /// A fault of SQS: another attempt may help.
    Failed,
    /// A fault of ours: SQS would refuse the same message again.
    Refused,
}

/// A call that failed as a whole.
#[derive(Debug)]
pub(crate) struct CallFailed {
    /// The error's code, never its text.
    pub(crate) code: String,
}

/// The sender of one batch.
pub(crate) trait Transport: Sync {
    /// Sends up to [`BATCH_MAX`] entries; the results come in their order.
    fn send_batch(
        &self,
        queue_url: &str,
        entries: &[BatchEntry],
    ) -> impl Future<Output = Result<Vec<EntryResult>, CallFailed>> + Send;
}

pub(crate) struct Sender<T> {
    pub(crate) transport: T,
    pub(crate) node_queue_url: String,
    pub(crate) execution_queue_url: String,
}

impl<T: Transport> Sender<T> {
    pub(crate) async fn send(&self, messages: Vec<Outgoing>) -> SendReport {
        let mut report = SendReport::default();
        let mut seen = HashSet::new();
        let (mut nodes, mut executions) = (Vec::new(), Vec::new());
        for outgoing in messages {
            if !seen.insert(outgoing.clone()) {
                continue;
            }
            let body = outgoing.message.to_body();
            if !fits(&body) {
                report.unsent.push(outgoing);
                continue;
            }
            let queue = match outgoing.message {
                Message::Event { .. }
                | Message::Node { .. }
                | Message::Wake { .. }
                | Message::Run { .. }
                | Message::Schedule { .. } => &mut nodes,
                Message::Execution { .. } => &mut executions,
            };
            queue.push(BatchEntry { outgoing, body });
        }
        let (to_builder, to_executor) = futures_util::join!(
            self.send_to(&self.node_queue_url, nodes),
            self.send_to(&self.execution_queue_url, executions)
        );
        for part in [to_builder, to_executor] {
            report.sent += part.sent;
            report.calls += part.calls;
            report.unsent.extend(part.unsent);
        }
        if !report.unsent.is_empty() {
            tracing::warn!(unsent = report.unsent.len(), sent = report.sent, "messages left to the sweeper");
        }
        report
    }

    async fn send_to(&self, queue_url: &str, mut entries: Vec<BatchEntry>) -> SendReport {
        let mut batches = Vec::with_capacity(entries.len().div_ceil(BATCH_MAX));
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH_MAX));
            batches.push(std::mem::replace(&mut entries, rest));
        }
        stream::iter(batches)
            .map(|batch| self.send_batch(queue_url, batch))
            .buffered(BATCHES_AT_ONCE)
            .fold(SendReport::default(), |mut all, one| async move {
                all.sent += one.sent;
                all.calls += one.calls;
                all.unsent.extend(one.unsent);
                all
            })
            .await
    }

    async fn send_batch(&self, queue_url: &str, mut entries: Vec<BatchEntry>) -> SendReport {
        let mut report = SendReport::default();
        let mut wait = RETRY_WAIT;
        for attempt in 1..=ATTEMPTS_MAX {
            report.calls += 1;
            failpoint::step("send", "before");
            let answer = self.transport.send_batch(queue_url, &entries).await;
            failpoint::step("send", "after");
            let results = match answer {
                Ok(results) => results,
                Err(CallFailed { code }) => {
                    tracing::warn!(code, messages = entries.len(), "SQS did not take a batch");
                    break;
                }
            };
            let mut failed = Vec::new();
            for (entry, result) in entries.into_iter().zip(results) {
                match result {
                    EntryResult::Sent => report.sent += 1,
                    EntryResult::Failed => failed.push(entry),
                    EntryResult::Refused => report.unsent.push(entry.outgoing),
                }
            }
            entries = failed;
            if entries.is_empty() {
                break;
            }
            if attempt < ATTEMPTS_MAX {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        report.unsent.extend(entries.into_iter().map(|entry| entry.outgoing));
        report
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{EventId, ExecutionId, OrganizationId, WorkflowId};
    use std::sync::Mutex;

    use domain::limits::MESSAGE_BYTES_MAX;

    use super::*;

    /// Answers each call from a script. Calls beyond the script are sent.
    #[derive(Default)]
    struct Script {
        answers: Vec<Option<Vec<EntryResult>>>,
        calls: Mutex<Vec<(String, Vec<BatchEntry>)>>,
    }

    impl Transport for Script {
        async fn send_batch(
            &self,
            queue_url: &str,
            entries: &[BatchEntry],
        ) -> Result<Vec<EntryResult>, CallFailed> {
            let mut calls = self.calls.lock().unwrap();
            let answer = self.answers.get(calls.len()).cloned();
            calls.push((queue_url.to_owned(), entries.to_vec()));
            match answer {
                Some(None) => Err(CallFailed { code: "Down".to_owned() }),
                Some(Some(results)) => Ok(results),
                None => Ok(vec![EntryResult::Sent; entries.len()]),
            }
        }
    }

    fn sender(answers: Vec<Option<Vec<EntryResult>>>) -> Sender<Script> {
        Sender {
            transport: Script { answers, calls: Mutex::default() },
            node_queue_url: "nodes".into(),
            execution_queue_url: "executions".into(),
        }
    }

    fn execution(id: u128) -> Outgoing {
        Outgoing::now(
            OrganizationId::from_u128(1),
            Message::Execution { execution_id: ExecutionId::from_u128(id) },
        )
    }

    fn node(node_id: &str) -> Outgoing {
        let message = Message::Node { workflow_id: WorkflowId::from_u128(2), node_id: node_id.into() };
        Outgoing::now(OrganizationId::from_u128(1), message)
    }

    impl Sender<Script> {
        fn calls(&self) -> Vec<(String, usize)> {
            let calls = self.transport.calls.lock().unwrap();
            let mut calls: Vec<_> = calls.iter().map(|(url, entries)| (url.clone(), entries.len())).collect();
            calls.sort();
            calls
        }
    }

    #[tokio::test]
    async fn ten_messages_are_one_call_and_each_kind_finds_its_queue() {
        let sender = sender(vec![]);
        let event =
            Outgoing::now(OrganizationId::from_u128(1), Message::Event { event_id: EventId::from_u128(3) });
        let mut messages: Vec<_> = (0..21).map(execution).collect();
        messages.extend([node("call"), event]);
        let report = sender.send(messages).await;
        assert_eq!((report.sent, report.calls, report.unsent), (23, 4, vec![]));
        let executions = |count| ("executions".to_owned(), count);
        assert_eq!(sender.calls(), [executions(1), executions(10), executions(10), ("nodes".to_owned(), 2)]);
    }

    #[tokio::test]
    async fn nothing_to_send_is_no_call() {
        let sender = sender(vec![]);
        assert_eq!(sender.send(vec![]).await, SendReport::default());
        assert_eq!(sender.calls(), []);
    }

    #[tokio::test]
    async fn equal_messages_are_sent_once_and_a_later_one_is_not_equal() {
        let sender = sender(vec![]);
        let late = Outgoing { delay_seconds: 1, ..node("a") };
        let report = sender.send(vec![node("a"), node("b"), node("a"), late.clone(), late]).await;
        assert_eq!((report.sent, report.calls), (3, 1));
    }

    #[tokio::test]
    async fn failed_entries_alone_are_tried_again() {
        use EntryResult::{Failed, Sent};
        let sender = sender(vec![Some(vec![Sent, Failed, Failed]), Some(vec![Sent, Failed])]);
        let report = sender.send((0..3).map(execution).collect()).await;
        assert_eq!((report.sent, report.calls, report.unsent), (3, 3, vec![]));
        let calls = sender.transport.calls.lock().unwrap();
        assert_eq!(calls[2].1[0].outgoing, execution(2));
    }

    #[tokio::test]
    async fn what_fails_every_time_is_reported_and_left_to_the_sweeper() {
        let failing = || Some(vec![EntryResult::Failed]);
        let sender = sender(vec![failing(), failing(), failing()]);
        let report = sender.send(vec![execution(1)]).await;
        assert_eq!((report.sent, report.calls, report.unsent), (0, ATTEMPTS_MAX, vec![execution(1)]));
    }

    #[tokio::test]
    async fn what_sqs_refuses_is_not_tried_again() {
        let sender = sender(vec![Some(vec![EntryResult::Sent, EntryResult::Refused])]);
        let report = sender.send(vec![execution(1), execution(2)]).await;
        assert_eq!((report.sent, report.calls, report.unsent), (1, 1, vec![execution(2)]));
    }

    #[tokio::test]
    async fn a_failed_call_leaves_the_other_batches_alone() {
        let sender = sender(vec![None]);
        let report = sender.send((0..15).map(execution).collect()).await;
        assert_eq!((report.sent, report.calls, report.unsent.len()), (5, 2, 10));
    }

    #[tokio::test]
    async fn a_body_longer_than_a_message_may_be_is_never_sent_i10() {
        let longest = MESSAGE_BYTES_MAX - node("").message.to_body().len();
        let sender = sender(vec![]);
        let report = sender.send(vec![node(&"n".repeat(longest)), node(&"n".repeat(longest + 1))]).await;
        assert_eq!((report.sent, report.unsent), (1, vec![node(&"n".repeat(longest + 1))]));
    }

    #[test]
    fn a_delay_ends_where_sqs_does_i10() {
        let delay = |delay_seconds| Outgoing { delay_seconds, ..execution(1) }.delay();
        assert_eq!((delay(0), delay(900), delay(901), delay(u16::MAX)), (0, 900, 900, 900));
    }

    /// Counts the calls in progress. Each call yields once, so that all calls that may run at the
    /// same time do.
    #[derive(Default)]
    struct Crowd {
        now: Mutex<usize>,
        most: Mutex<usize>,
    }

    impl Transport for Crowd {
        async fn send_batch(&self, _: &str, entries: &[BatchEntry]) -> Result<Vec<EntryResult>, CallFailed> {
            let now = {
                let mut now = self.now.lock().unwrap();
                *now += 1;
                *now
            };
            let most = (*self.most.lock().unwrap()).max(now);
            *self.most.lock().unwrap() = most;
            tokio::task::yield_now().await;
            *self.now.lock().unwrap() -= 1;
            Ok(vec![EntryResult::Sent; entries.len()])
        }
    }

    #[tokio::test]
    async fn so_many_calls_are_under_way_at_once_and_no_more_i10() {
        let check = async |batches: usize, expected: usize| {
            let sender = Sender {
                transport: Crowd::default(),
                node_queue_url: "nodes".into(),
                execution_queue_url: "executions".into(),
            };
            let ids = 0..u128::try_from(batches * BATCH_MAX).unwrap();
            let report = sender.send(ids.map(execution).collect()).await;
            assert_eq!(report.calls, batches);
            assert_eq!(*sender.transport.most.lock().unwrap(), expected);
        };
        check(BATCHES_AT_ONCE, BATCHES_AT_ONCE).await;
        check(2 * BATCHES_AT_ONCE + 1, BATCHES_AT_ONCE).await;
    }
}
