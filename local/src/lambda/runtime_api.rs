//! Lambda's runtime API (version 2018-06-01) towards one instance.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::HeaderValue;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use crate::http::{Request, Response, answer, json as json_answer};

/// The beginning of all paths.
const PREFIX: &str = "/2018-06-01/runtime/";

/// One invocation on its way into the instance.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: String,
    pub(super) payload: Bytes,
    /// When the instance is killed, milliseconds since 1970.
    pub(super) deadline_ms: i64,
    /// The function's ARN.
    pub(super) function: String,
    /// The trace header.
    pub(super) trace: String,
}

/// The function's answer.
#[derive(Debug)]
pub(super) enum Outcome {
    Response(Bytes),
    Error(Bytes),
}

/// The work and the phase of the instance, and the ways to talk to it.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    give: mpsc::UnboundedSender<Work>,
    take: tokio::sync::Mutex<mpsc::UnboundedReceiver<Work>>,
    running: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone)]
enum Phase {
    Busy,
    Asking,
    InitFailed(Bytes),
}

impl Default for RuntimeApi {
    fn default() -> Self {
        let (give, take) = mpsc::unbounded_channel();
        Self {
            give,
            take: tokio::sync::Mutex::new(take),
            running: Mutex::default(),
            phase: watch::Sender::new(Phase::Busy),
        }
    }
}

impl RuntimeApi {
    /// Waits until the instance asks for work.
    ///
    /// # Errors
    ///
    /// When it reports instead that it could not initialise: its error object.
    pub(super) async fn await_asking(&self) -> Result<(), Bytes> {
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| !matches!(phase, Phase::Busy)).await.as_deref() {
            Ok(Phase::InitFailed(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Hands work to the instance; the receiver gets its outcome, or is closed when another
    /// invocation replaces it.
    pub(super) fn give(&self, work: Work) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some((work.id.clone(), reply));
        self.phase.send_replace(Phase::Busy);
        self.give.send(work).expect("the receiver lives in the same value");
        outcome
    }

    /// Answers one request of the instance.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix(PREFIX) else { return not_found() };
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["invocation", "next"]) => self.next().await,
            ("POST", ["invocation", id, "response"]) => self.respond(id, request.into_body()),
            ("POST", ["invocation", id, "error"]) => self.finish(id, Outcome::Error(request.into_body())),
            ("POST", ["init", "error"]) => {
                self.phase.send_replace(Phase::InitFailed(request.into_body()));
                accepted()
            }
            _ => not_found(),
        }
    }

    async fn next(&self) -> Response {
        let mut take = self.take.lock().await;
        self.phase.send_replace(Phase::Asking);
        let Some(work) = take.recv().await else { return not_found() };
        let mut response = answer(200, "application/json", work.payload);
        let text = |text: &str| HeaderValue::from_str(text).expect("ids and numbers are visible ASCII");
        let headers = response.headers_mut();
        headers.insert("Lambda-Runtime-Aws-Request-Id", text(&work.id));
        headers.insert("Lambda-Runtime-Deadline-Ms", text(&work.deadline_ms.to_string()));
        headers.insert("Lambda-Runtime-Invoked-Function-Arn", text(&work.function));
        headers.insert("Lambda-Runtime-Trace-Id", text(&work.trace));
        response
    }

    fn respond(&self, id: &str, payload: Bytes) -> Response {
        if payload.len() <= super::PAYLOAD_BYTES_MAX {
            return self.finish(id, Outcome::Response(payload));
        }
        let limit = super::PAYLOAD_BYTES_MAX;
        let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
        let error = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
        self.finish(id, Outcome::Error(error.to_string().into()));
        json_answer(413, &json!({ "errorType": "RequestEntityTooLarge", "errorMessage": message }))
    }

    fn finish(&self, id: &str, outcome: Outcome) -> Response {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_none_or(|(running, _)| running != id) {
            return json_answer(
                400,
                &json!({ "errorType": "InvalidRequestID", "errorMessage": "Invalid request ID" }),
            );
        }
        if let Some((_, reply)) = running.take() {
            // A failed send means that the invocation ran out of time just before.
            let _nobody_waits = reply.send(outcome);
        }
        accepted()
    }
}

fn accepted() -> Response {
    json_answer(202, &json!({ "status": "OK" }))
}

fn not_found() -> Response {
    json_answer(404, &json!({ "errorType": "NotFound", "errorMessage": "no such path" }))
}
