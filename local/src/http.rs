//! The little HTTP that a local stack needs: a loopback server with one handler, and a client that
//! keeps connections.

use std::convert::Infallible;
use std::future::Future;
pub use std::net::TcpListener as Listener;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinSet};

/// The most that is read of an answer: six Lambda payloads, more than any honest answer has.
const ANSWER_BYTES_MAX: usize = 36 * 1024 * 1024;

/// The longest time of a request whose caller sets no limit, seconds.
const REQUEST_SECONDS_MAX: u64 = 120;

/// A request whose body was read.
pub type Request = http::Request<Bytes>;

/// An answer whose body was read.
pub type Response = http::Response<Bytes>;

/// The runtime that everything in this crate runs on.
///
/// It belongs to no test. Servers and pollers go on while a test blocks its thread, and those of a
/// shared stack outlive the test that started them.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("local")
            .enable_all()
            .build()
            .expect("the operating system gives threads")
    })
}

/// A server on a loopback port of its own; dropped, it stops and closes its connections.
#[derive(Debug)]
pub struct Server {
    port: u16,
    task: AbortHandle,
}

impl Server {
    /// Listens on a free loopback port and answers every request with `handler`. A body above
    /// `body_bytes_max` is answered 413 and never reaches `handler`.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub async fn start<Handler, Answer>(body_bytes_max: usize, handler: Handler) -> Result<Self>
    where
        Handler: Fn(Request) -> Answer + Clone + Send + Sync + 'static,
        Answer: Future<Output = Response> + Send + 'static,
    {
        Self::start_on(listen(0)?, body_bytes_max, handler)
    }

    /// Like [`Self::start`], on a port that is listened on already.
    ///
    /// # Errors
    ///
    /// When the listener is broken.
    pub fn start_on<Handler, Answer>(
        listener: Listener,
        body_bytes_max: usize,
        handler: Handler,
    ) -> Result<Self>
    where
        Handler: Fn(Request) -> Answer + Clone + Send + Sync + 'static,
        Answer: Future<Output = Response> + Send + 'static,
    {
        let port = listener.local_addr()?.port();
        let _on_runtime = runtime().enter();
        let listener = TcpListener::from_std(listener)?;
        let task = runtime().spawn(accept(listener, body_bytes_max, handler)).abort_handle();
        Ok(Self { port, task })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn host_port(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host_port())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a loopback port (0: any free one) for a server that is started later. Its address is
/// known at once.
///
/// # Errors
///
/// When the port is taken.
pub fn listen(port: u16) -> Result<Listener> {
    let listener =
        Listener::bind(("127.0.0.1", port)).with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// An answer with a body of some type.
pub fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response {
    http::Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, content_type)
        .body(body.into())
        .expect("the callers' statuses and types are literals")
}

/// A JSON answer.
pub fn json(status: u16, value: &serde_json::Value) -> Response {
    answer(status, "application/json", value.to_string())
}

/// Sends a request over plain HTTP, on a kept connection where there is one.
///
/// # Errors
///
/// When no answer comes within `limit`, or the answer is larger than any honest one.
pub async fn send(request: Request, limit: Duration) -> Result<Response> {
    static CLIENT: OnceLock<Client<HttpConnector, Full<Bytes>>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let _on_runtime = runtime().enter();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client::builder(TokioExecutor::new()).build(connector)
    });
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let pending = client.request(request.map(Full::new));
    // Connections belong to our runtime: a connection of a test's runtime would break when that
    // test ends.
    let work = runtime().spawn(async move {
        let (parts, body) = pending.await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| anyhow::anyhow!("an answer was cut off, or too large"))?;
        anyhow::Ok(Response::from_parts(parts, body.to_bytes()))
    });
    let abort = work.abort_handle();
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer?.with_context(|| format!("no answer from {host}")),
        Err(_) => {
            abort.abort();
            bail!("no answer from {host} within {} ms", limit.as_millis())
        }
    }
}

/// Posts JSON and reads the answer, whatever its status.
///
/// # Errors
///
/// As [`send`].
pub async fn post_json(url: &str, body: &serde_json::Value) -> Result<Response> {
    let request = http::Request::post(url)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))?;
    send(request, Duration::from_secs(REQUEST_SECONDS_MAX)).await
}

/// Gets a page, whatever its status.
///
/// # Errors
///
/// As [`send`].
pub async fn get(url: &str) -> Result<Response> {
    send(http::Request::get(url).body(Bytes::new())?, Duration::from_secs(REQUEST_SECONDS_MAX)).await
}

async fn accept<Handler, Answer>(listener: TcpListener, body_bytes_max: usize, handler: Handler)
where
    Handler: Fn(Request) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Response> + Send + 'static,
{
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = stream else {
            // Most likely there is no free file descriptor; without the pause this loop would spin.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Without TCP_NODELAY each small answer waits for the other side's delayed ACK.
        let _slower = stream.set_nodelay(true);
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let handler = handler.clone();
            async move { Ok::<_, Infallible>(handle(request, body_bytes_max, &handler).await.map(Full::new)) }
        });
        connections.spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn handle<Handler, Answer>(
    request: http::Request<Incoming>,
    body_bytes_max: usize,
    handler: &Handler,
) -> Response
where
    Handler: Fn(Request) -> Answer,
    Answer: Future<Output = Response>,
{
    let (parts, body) = request.into_parts();
    match Limited::new(body, body_bytes_max).collect().await {
        Ok(body) => handler(Request::from_parts(parts, body.to_bytes())).await,
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {body_bytes_max} bytes");
            json(413, &serde_json::json!({ "message": message }))
        }
        Err(_) => json(400, &serde_json::json!({ "message": "the body was cut off" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> Server {
        Server::start(10, |request: Request| async move { answer(200, "text/plain", request.into_body()) })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_body_at_the_limit_passes_and_one_above_it_is_413() {
        let server = echo().await;
        for (body, status) in [("x".repeat(10), 200), ("x".repeat(11), 413)] {
            let request = http::Request::post(server.url()).body(Bytes::from(body)).unwrap();
            assert_eq!(send(request, Duration::from_secs(5)).await.unwrap().status(), status);
        }
    }

    #[tokio::test]
    async fn a_dropped_server_answers_no_more() {
        let server = echo().await;
        let url = server.url();
        assert_eq!(get(&url).await.unwrap().status(), 200);
        drop(server);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(get(&url).await.is_err());
    }

    #[test]
    fn a_server_outlives_the_runtime_that_started_it() {
        let short = || Builder::new_current_thread().enable_all().build().unwrap();
        let server = short().block_on(echo());
        for _ in 0..3 {
            assert_eq!(short().block_on(get(&server.url())).unwrap().status(), 200);
        }
    }
}
