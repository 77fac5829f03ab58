//! Between the functions and SQS or KMS: messages are lost, doubled, delayed and refused, by the
//! seed; or the service is down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use local::http::{self, Request, Response, Server};
use local::lineage::MESSAGE_ATTRIBUTE;
use serde_json::{Value, json};

const BODY_BYTES_MAX: usize = 1024 * 1024;
const CALL_MAX: Duration = Duration::from_secs(10);

/// The faults in a hundred messages, and in a hundred calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFaults {
    /// Messages that are taken and never arrive.
    pub lost_percent: u32,
    /// Messages that arrive twice.
    pub doubled_percent: u32,
    /// Messages that arrive one to four seconds late, and so in another order.
    pub late_percent: u32,
    /// Messages of a call that are answered as failed.
    pub refused_percent: u32,
    /// Calls that SQS carries out and answers with an error.
    pub broken_percent: u32,
}

impl QueueFaults {
    /// The faults that the suite gives a queue.
    pub const USUAL: Self =
        Self { lost_percent: 4, doubled_percent: 6, late_percent: 8, refused_percent: 2, broken_percent: 2 };
}

/// A proxy between the functions and an AWS service.
pub struct AwsProxy {
    server: Server,
    state: Arc<State>,
}

struct State {
    target: String,
    faults: Mutex<QueueFaults>,
    dice: Mutex<fastrand::Rng>,
    is_down: AtomicBool,
    struck: AtomicUsize,
    sent: AtomicUsize,
}

impl AwsProxy {
    /// A proxy in front of `target`, with no faults yet.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(target: &str, seed: u64) -> Self {
        let state = Arc::new(State {
            target: target.to_owned(),
            faults: Mutex::default(),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            is_down: AtomicBool::new(false),
            struck: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let state = Arc::clone(&shared);
            async move { state.answer(request).await }
        });
        Self { server: server.await.expect("a port is free"), state }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The faults from now on.
    pub fn set_faults(&self, faults: QueueFaults) {
        *lock(&self.state.faults) = faults;
    }

    /// Answers nothing but errors from now on, or carries again.
    pub fn set_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Messages and calls that something was done to.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.state.struck.load(Ordering::SeqCst)
    }

    /// Messages that functions sent, those that were lost or refused included.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }
}

impl State {
    async fn answer(&self, request: Request) -> Response {
        if self.is_down.load(Ordering::SeqCst) {
            return unavailable();
        }
        let action = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        if action != Some("AmazonSQS.SendMessageBatch") {
            return self.carry(&request, request.body().clone()).await;
        }
        let mut body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let entries = body["Entries"].as_array().cloned().unwrap_or_default();
        self.sent.fetch_add(entries.len(), Ordering::SeqCst);
        let (mut carried, mut doubled, mut successful, mut failed) = (vec![], vec![], vec![], vec![]);
        for mut entry in entries {
            keep_trace(&request, &mut entry);
            let answer = json!({ "Id": entry["Id"], "MessageId": "00000000-0000-4000-8000-000000000000", "MD5OfMessageBody": "" });
            let faults = *lock(&self.faults);
            if self.strikes(faults.refused_percent) {
                failed.push(json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError" }));
                continue;
            }
            successful.push(answer);
            if self.strikes(faults.lost_percent) {
                continue;
            }
            if self.strikes(faults.late_percent) {
                let seconds = entry["DelaySeconds"].as_u64().unwrap_or(0) + lock(&self.dice).u64(1..=4);
                entry["DelaySeconds"] = json!(seconds.min(900));
            }
            if self.strikes(faults.doubled_percent) {
                doubled.push(entry.clone());
            }
            carried.push(entry);
        }
        for part in [carried, doubled] {
            if part.is_empty() {
                continue;
            }
            body["Entries"] = Value::Array(part);
            let answer = self.carry(&request, Bytes::from(body.to_string())).await;
            if answer.status() != 200 {
                return answer;
            }
        }
        let broken = lock(&self.faults).broken_percent;
        if self.strikes(broken) {
            return unavailable();
        }
        http::json(200, &json!({ "Successful": successful, "Failed": failed }))
    }

    async fn carry(&self, request: &Request, body: Bytes) -> Response {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut carried =
            ::http::Request::builder().method(request.method()).uri(format!("{}{path}", self.target));
        for name in ["authorization", "content-type", "x-amz-target"] {
            if let Some(value) = request.headers().get(name) {
                carried = carried.header(name, value);
            }
        }
        let carried = carried.body(body).expect("it came as a request");
        http::send(carried, CALL_MAX).await.unwrap_or_else(|_| unavailable())
    }

    fn strikes(&self, percent: u32) -> bool {
        let strikes = percent > 0 && lock(&self.dice).u32(..100) < percent;
        self.struck.fetch_add(usize::from(strikes), Ordering::SeqCst);
        strikes
    }
}

/// Puts the sender's trace header among the message's own attributes. SQS keeps the header as an
/// attribute of the system, but for messages of a batch the stand-in keeps only their own
/// attributes.
fn keep_trace(request: &Request, entry: &mut Value) {
    if let Some(trace) = request.headers().get("x-amzn-trace-id").and_then(|value| value.to_str().ok()) {
        entry["MessageAttributes"] =
            json!({ MESSAGE_ATTRIBUTE: { "DataType": "String", "StringValue": trace } });
    }
}

fn unavailable() -> Response {
    http::json(503, &json!({ "__type": "ServiceUnavailable", "message": "the suite says so" }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
