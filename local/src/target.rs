//! The outside world: a server that remembers what it was sent and echoes it, headers included.
//!
//! Because it echoes the request's headers, a secret that was sent to it comes back in its answer:
//! scrubbing must be seen to work. `/status/NNN…` answers with that status, `/delay/MS…` after that
//! time, all else with 200.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::http::{Request, Response, Server, json as json_answer};

/// The most bytes of a request's body.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest pause that a path can ask for.
const DELAY_MS_MAX: u64 = 600_000;

/// The most requests that are remembered; later ones are answered and counted only.
const REQUESTS_MAX: usize = 100_000;

/// A running target; dropped, it stops.
#[derive(Debug)]
pub struct Target {
    server: Server,
    record: Arc<Record>,
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Lower-case names with their values, in order.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct Record {
    requests: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

impl Received {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Target {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub async fn start() -> Result<Self> {
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let record = Arc::clone(&shared);
            async move { answer(request, &record).await }
        });
        Ok(Self { server: server.await?, record })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `127.0.0.1:PORT`, for `SEALFLOW_HTTP_ALLOW`.
    pub fn host_port(&self) -> String {
        self.server.host_port()
    }

    /// All requests so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<Received> {
        self.requests_after(0)
    }

    /// The requests that arrived after the first `known` ones.
    pub fn requests_after(&self, known: usize) -> Vec<Received> {
        let requests = self.record.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.get(known..).unwrap_or_default().to_vec()
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        self.record.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.record.count.send_replace(0);
    }

    /// Waits until at least `count` requests have arrived, and gives all of them.
    ///
    /// # Errors
    ///
    /// When fewer arrive within `limit`.
    pub async fn await_requests(&self, count: usize, limit: Duration) -> Result<Vec<Received>> {
        let mut arrived = self.record.count.subscribe();
        let enough = timeout(limit, arrived.wait_for(|arrived| *arrived >= count)).await;
        if enough.is_err() {
            bail!("{} of {count} requests arrived within {} ms", self.requests().len(), limit.as_millis());
        }
        Ok(self.requests())
    }
}

async fn answer(request: Request, record: &Record) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let received = Received { method: parts.method.to_string(), path: path.clone(), headers, body };
    let echo = json_answer(parameter(&path, "/status/").unwrap_or(200), &echo(&received));
    let count = {
        let mut requests = record.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < REQUESTS_MAX {
            requests.push(received);
        }
        requests.len()
    };
    record.count.send_replace(count);
    if let Some(delay_ms) = parameter::<u64>(&path, "/delay/") {
        tokio::time::sleep(Duration::from_millis(delay_ms.min(DELAY_MS_MAX))).await;
    }
    echo
}

fn echo(received: &Received) -> Value {
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &received.headers {
        headers.entry(name).or_default().push(value);
    }
    let body = serde_json::from_slice(&received.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&received.body).into_owned()));
    json!({ "method": received.method, "path": received.path, "headers": headers, "body": body })
}

/// The number after `name` anywhere in the path: `/status/500`, `/builds/status/500?x`. A number
/// after `/status/` counts only if it is a valid HTTP status (200 to 599).
fn parameter<Number: std::str::FromStr + PartialOrd + From<u16>>(path: &str, name: &str) -> Option<Number> {
    let (_, after) = path.split_once(name)?;
    let digits = after.split(|character: char| !character.is_ascii_digit()).next()?;
    let number: Number = digits.parse().ok()?;
    let is_status = number >= Number::from(200) && number <= Number::from(599);
    (name != "/status/" || is_status).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn post(url: String) -> Response {
        let request =
            http::Request::post(url).header("Authorization", "Bearer abc").body("hello".into()).unwrap();
        crate::http::send(request, Duration::from_secs(5)).await.unwrap()
    }

    #[tokio::test]
    async fn it_echoes_headers_and_body_and_remembers_them() {
        let target = Target::start().await.unwrap();
        let answer = post(format!("{}/builds/1?x=y", target.url())).await;
        let echo: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(echo["headers"]["authorization"], json!(["Bearer abc"]));
        assert_eq!((&echo["path"], &echo["body"]), (&json!("/builds/1?x=y"), &json!("hello")));
        let received = target.await_requests(1, Duration::from_secs(1)).await.unwrap();
        assert_eq!(received[0].header("authorization"), Some("Bearer abc"));
        assert!(target.await_requests(2, Duration::from_millis(20)).await.is_err());
    }

    #[tokio::test]
    async fn the_path_chooses_the_status() {
        let target = Target::start().await.unwrap();
        for (path, status) in
            [("/status/500", 500), ("/a/status/404?b", 404), ("/status/99", 200), ("/a", 200)]
        {
            assert_eq!(post(format!("{}{path}", target.url())).await.status(), status, "{path}");
        }
    }
}
