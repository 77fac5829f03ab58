//! Event source mappings: a queue is polled, its messages become an SQS event, and the messages
//! that the function did not report as failed are deleted. Visibility and dead letters are SQS's
//! own.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::folder::append_privately;
use crate::http::runtime;
use crate::invoke::Invoker;
use crate::lambda::Answer;
use crate::lineage;
use crate::sqs::{self, Message};
use crate::stack::REGION;

/// The pause after the first empty poll; each further one doubles it. ministack's long poll answers
/// 50 ms late.
const PAUSE_MS_MIN: u64 = 5;
/// The longest pause between two polls, and so the longest delay of the first message in an idle
/// queue.
const PAUSE_MS_MAX: u64 = 50;
/// The pause after an error, which is most likely a stand-in that a test has stopped.
const ERROR_PAUSE_MS: u64 = 200;

/// The polled queue, and the function for which it is polled.
#[derive(Debug, Clone)]
pub struct MappingOptions {
    /// The URL of SQS.
    pub endpoint: String,
    /// The queue.
    pub queue_url: String,
    /// The function.
    pub function: String,
    /// The most messages in one event, 1 to 10.
    pub batch_size: usize,
    /// The most invocations at one time; unless named, the function's most instances.
    pub concurrency: Option<usize>,
}

/// A running mapping. Dropped, it polls no more, and the deliveries in flight go on to their end.
#[derive(Debug)]
pub struct Mapping {
    is_polling: watch::Sender<bool>,
    counts: Arc<Counts>,
    task: AbortHandle,
}

/// The counts of a mapping so far.
#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    invocations: AtomicU64,
    failures: AtomicU64,
    in_flight: AtomicU64,
}

/// A file to which every message that passes is appended, one JSON object a line: for the leak
/// check.
#[derive(Debug)]
pub struct MessageRecord {
    file: Mutex<File>,
}

struct Poller {
    options: MappingOptions,
    invoker: Invoker,
    record: Arc<MessageRecord>,
    counts: Arc<Counts>,
}

impl MessageRecord {
    /// Appends to `path`.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = append_privately(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file: Mutex::new(file) })
    }

    fn add(&self, queue_url: &str, messages: &[Message]) -> Result<()> {
        let mut lines = String::new();
        for message in messages {
            let line = json!({
                "queue": queue_url.rsplit('/').next(),
                "message_id": message.message_id,
                "body": message.body,
                "attributes": message.attributes,
                "message_attributes": message.message_attributes,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(lines.as_bytes())?;
        Ok(())
    }
}

impl Mapping {
    /// Starts to poll.
    pub fn start(options: MappingOptions, invoker: Invoker, record: Arc<MessageRecord>) -> Self {
        let mapping = Self::start_paused(options, invoker, record);
        mapping.resume();
        mapping
    }

    /// Polls from the first [`Self::resume`] on.
    pub fn start_paused(options: MappingOptions, invoker: Invoker, record: Arc<MessageRecord>) -> Self {
        let (is_polling, polling) = watch::channel(false);
        let counts = Arc::new(Counts::default());
        let poller = Arc::new(Poller { options, invoker, record, counts: Arc::clone(&counts) });
        let task = runtime().spawn(poll(poller, polling)).abort_handle();
        Self { is_polling, counts, task }
    }

    /// Polls no more until [`Self::resume`]; the deliveries in flight go on to their end.
    pub fn pause(&self) {
        self.is_polling.send_replace(false);
    }

    /// Polls again.
    pub fn resume(&self) {
        self.is_polling.send_replace(true);
    }

    /// The number of messages received so far; a message that is received again counts again.
    pub fn messages(&self) -> u64 {
        self.counts.messages.load(Ordering::SeqCst)
    }

    /// The number of invocations made so far.
    pub fn invocations(&self) -> u64 {
        self.counts.invocations.load(Ordering::SeqCst)
    }

    /// The number of records that failed so far: reported by the function, or in an invocation that
    /// failed as a whole.
    pub fn failures(&self) -> u64 {
        self.counts.failures.load(Ordering::SeqCst)
    }

    /// The number of invocations that run now.
    pub fn in_flight(&self) -> u64 {
        self.counts.in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn poll(poller: Arc<Poller>, mut polling: watch::Receiver<bool>) {
    let options = &poller.options;
    let instances_max = poller.invoker.instances_max(&options.function);
    let slots = Arc::new(Semaphore::new(options.concurrency.unwrap_or(instances_max).max(1)));
    let mut pause_ms = PAUSE_MS_MIN;
    loop {
        if polling.wait_for(|is_polling| *is_polling).await.is_err() {
            return;
        }
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let received = sqs::receive(&options.endpoint, &options.queue_url, options.batch_size).await;
        let messages = match received {
            Ok(messages) => messages,
            Err(_) => {
                sleep(Duration::from_millis(ERROR_PAUSE_MS)).await;
                continue;
            }
        };
        if messages.is_empty() {
            drop(slot);
            sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
            continue;
        }
        pause_ms = PAUSE_MS_MIN;
        poller.counts.in_flight.fetch_add(1, Ordering::SeqCst);
        let poller = Arc::clone(&poller);
        // A delivery that has begun goes on to its end, even when the mapping is dropped.
        runtime().spawn(async move {
            poller.deliver(&messages).await;
            poller.counts.in_flight.fetch_sub(1, Ordering::SeqCst);
            drop(slot);
        });
    }
}

impl Poller {
    async fn deliver(&self, messages: &[Message]) {
        let options = &self.options;
        self.counts.messages.fetch_add(messages.len() as u64, Ordering::SeqCst);
        self.counts.invocations.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = self.record.add(&options.queue_url, messages) {
            // The leak check will miss these messages.
            eprintln!("local: cannot record messages: {error:#}");
        }
        let event = event(messages, &sqs::queue_arn(&options.queue_url)).to_string();
        let hops = messages.iter().filter_map(trace_of).map(lineage::hops).max().unwrap_or(0);
        let failed = match self.invoker.invoke_after(&options.function, event, hops).await {
            Ok(answer) => failed_records(&answer, messages),
            Err(_) => None,
        };
        let done: Vec<&str> = match &failed {
            None => Vec::new(),
            Some(failed) => messages
                .iter()
                .filter(|message| !failed.contains(&message.message_id))
                .map(|message| message.receipt_handle.as_str())
                .collect(),
        };
        self.counts.failures.fetch_add((messages.len() - done.len()) as u64, Ordering::SeqCst);
        if !done.is_empty() {
            // A message that isn't deleted comes again, which every function must bear.
            let _comes_again = sqs::delete(&options.endpoint, &options.queue_url, &done).await;
        }
    }
}

/// The sender's trace header, which SQS keeps as an attribute of the system. The proxy of a test
/// puts it among the sender's own attributes instead.
fn trace_of(message: &Message) -> Option<&str> {
    let name = lineage::MESSAGE_ATTRIBUTE;
    let kept = message.attributes.get(name).map(String::as_str);
    kept.or_else(|| message.message_attributes.get(name)?["StringValue"].as_str())
}

/// The event of Lambda's SQS integration.
fn event(messages: &[Message], queue_arn: &str) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": message.attributes,
                "messageAttributes": message_attributes(message),
                "md5OfBody": message.md5_of_body,
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": REGION,
            })
        })
        .collect();
    json!({ "Records": records })
}

/// The same attributes with the names of Lambda's event, which begin in lower case.
fn message_attributes(message: &Message) -> Value {
    let attributes = message.message_attributes.iter().map(|(name, value)| {
        let attribute = json!({
            "stringValue": value["StringValue"],
            "binaryValue": value["BinaryValue"],
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value["DataType"],
        });
        (name.clone(), attribute)
    });
    Value::Object(attributes.collect())
}

/// The ids that the function reported as failed (ReportBatchItemFailures). `None` means that the
/// whole batch failed: the function failed, its answer has another shape, or it names an id that
/// isn't in the batch.
fn failed_records(answer: &Answer, messages: &[Message]) -> Option<HashSet<String>> {
    if answer.is_error {
        return None;
    }
    let response: Value =
        if answer.payload.is_empty() { Value::Null } else { serde_json::from_slice(&answer.payload).ok()? };
    let failures = match &response["batchItemFailures"] {
        Value::Null => return Some(HashSet::new()),
        Value::Array(failures) => failures,
        _ => return None,
    };
    let known: HashSet<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
    failures
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().filter(|id| known.contains(id)).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Message {
        let message = json!({
            "MessageId": id, "ReceiptHandle": format!("r-{id}"), "Body": "{}", "MD5OfBody": "99",
            "Attributes": { "ApproximateReceiveCount": "2", "MessageGroupId": "g" },
            "MessageAttributes": { "a": { "StringValue": "b", "DataType": "String" } },
        });
        serde_json::from_value(message).unwrap()
    }

    #[track_caller]
    fn check(payload: &str, is_error: bool, expected: Option<&[&str]>) {
        let answer = Answer { payload: payload.to_owned().into(), is_error };
        let failed = failed_records(&answer, &[message("a"), message("b")]);
        let expected = expected.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(failed, expected, "{payload}");
    }

    #[test]
    fn only_what_is_reported_stays_in_the_queue() {
        check("", false, Some(&[]));
        check("null", false, Some(&[]));
        check("{}", false, Some(&[]));
        check(r#"{"batchItemFailures":null}"#, false, Some(&[]));
        check(r#"{"batchItemFailures":[]}"#, false, Some(&[]));
        check(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, false, Some(&["b"]));
    }

    #[test]
    fn the_whole_batch_stays_when_the_function_failed_or_its_answer_makes_no_sense() {
        check("{}", true, None);
        check("text", false, None);
        check(r#"{"batchItemFailures":"b"}"#, false, None);
        check(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, false, None);
        check(r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}"#, false, None);
        check(r#"{"batchItemFailures":[{}]}"#, false, None);
    }

    #[test]
    fn an_event_has_the_names_of_lambdas_integration() {
        let event = event(&[message("a")], "arn:aws:sqs:us-east-1:000000000000:q");
        let expected = json!({ "Records": [{
            "messageId": "a", "receiptHandle": "r-a", "body": "{}", "md5OfBody": "99",
            "attributes": { "ApproximateReceiveCount": "2", "MessageGroupId": "g" },
            "messageAttributes": { "a": {
                "stringValue": "b", "binaryValue": null, "stringListValues": [], "binaryListValues": [],
                "dataType": "String",
            } },
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q",
            "awsRegion": "us-east-1",
        }] });
        assert_eq!(event, expected);
    }
}
