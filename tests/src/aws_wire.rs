//! A wire to an AWS service that counts the calls of each operation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use local::http::{Request, Server, send};

const BODY_BYTES_MAX: usize = 1024 * 1024;
const CALL_MAX: Duration = Duration::from_secs(20);

/// A wire to an AWS service that counts the calls of each operation.
pub struct AwsWire {
    server: Server,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl AwsWire {
    /// A wire to `endpoint`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(endpoint: &str) -> Self {
        let calls: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let (shared, endpoint) = (Arc::clone(&calls), endpoint.to_owned());
        let handler = move |request: Request| {
            let (calls, endpoint) = (Arc::clone(&shared), endpoint.clone());
            async move {
                let (mut parts, body) = request.into_parts();
                let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
                let operation = target.unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned();
                *calls.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
                parts.uri = format!("{endpoint}/").parse().expect("an endpoint is a URL");
                parts.headers.remove("host");
                send(Request::from_parts(parts, body), CALL_MAX).await.expect("the service answers")
            }
        };
        Self { server: Server::start(BODY_BYTES_MAX, handler).await.expect("a port is free"), calls }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The calls since the last time that this was asked, by operation.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
