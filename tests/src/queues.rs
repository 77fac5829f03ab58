//! SQS as far as sending goes: a server that remembers what it was sent, or fails when it is told
//! to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_client::Service;
use aws_types::SdkConfig;
use domain::message::Message;
use local::http::{Request, Response, Server, json};
use queue::Queue;
use serde_json::{Value, json};
use uuid::Uuid;

const NODES: &str = "http://queues.test/nodes";
const EXECUTIONS: &str = "http://queues.test/executions";
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Both queues.
pub struct FakeQueues {
    server: Server,
    record: Arc<Record>,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its content.
    pub message: Message,
    /// Its `DelaySeconds`; 0 where none was given.
    pub delay_seconds: u64,
    /// Its message group.
    pub group: String,
}

#[derive(Default)]
struct Record {
    sent: Mutex<Vec<Sent>>,
    calls: Mutex<usize>,
    is_down: AtomicBool,
}

impl FakeQueues {
    /// Starts them on a port of their own.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let record = Arc::clone(&shared);
            async move { record.answer(&request) }
        });
        Self { server: server.await.expect("a port is free"), record }
    }

    /// A client of them.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::new(&aws_config(Service::Sqs, &self.server.url()), NODES, EXECUTIONS)
    }

    /// Takes all messages that were sent, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.record.sent))
    }

    /// Calls since the start.
    #[must_use]
    pub fn calls(&self) -> usize {
        *lock(&self.record.calls)
    }

    /// Refuses every call from now on.
    pub fn go_down(&self) {
        self.record.is_down.store(true, Ordering::Release);
    }

    /// Takes messages again.
    pub fn come_up(&self) {
        self.record.is_down.store(false, Ordering::Release);
    }
}

impl Record {
    fn answer(&self, request: &Request) -> Response {
        *lock(&self.calls) += 1;
        if self.is_down.load(Ordering::Acquire) {
            return json(400, &json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "down" }));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let entries = body["Entries"].as_array().cloned().unwrap_or_default();
        let mut sent = lock(&self.sent);
        let successful: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let text = entry["MessageBody"].as_str().unwrap_or_default();
                sent.push(Sent {
                    message: Message::parse(text).expect("only our messages are sent"),
                    delay_seconds: entry["DelaySeconds"].as_u64().unwrap_or(0),
                    group: entry["MessageGroupId"].as_str().unwrap_or_default().to_owned(),
                });
                json!({ "Id": entry["Id"], "MessageId": Uuid::new_v4().to_string(), "MD5OfMessageBody": "" })
            })
            .collect();
        json(200, &json!({ "Successful": successful, "Failed": [] }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The configuration of a client for a stand-in at `endpoint`.
///
/// # Panics
/// Never: all that is needed is given.
#[must_use]
pub fn aws_config(service: Service, endpoint: &str) -> SdkConfig {
    aws_client::config_from(service, |name| match name {
        "AWS_REGION" => Some(local::stack::REGION.to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    })
    .expect("region and credentials are given")
}
