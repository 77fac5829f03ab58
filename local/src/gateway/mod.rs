//! The HTTP front: what API Gateway (HTTP API, payload 2.0) and Lambda's own endpoint are on AWS.
//!
//! `/hooks/…` goes to the function `webhook`, `POST /2015-03-31/functions/NAME/invocations` invokes
//! NAME, all else goes to the function `api`.

mod payload;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::json;

use crate::folder::append_privately;
use crate::http::{Listener, Request, Response, Server, json as json_answer};
use crate::invoke::Invoker;
use crate::lambda::PAYLOAD_BYTES_MAX;

/// A running front; dropped, it stops.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
}

impl Gateway {
    /// Answers on `listener`; every answer's body is appended to the file `answers`, for the leak
    /// check.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn start(listener: Listener, invoker: Invoker, answers: &Path) -> Result<Self> {
        let record = Arc::new(AnswerRecord::open(answers)?);
        let handler = move |request: Request| {
            let (invoker, record) = (invoker.clone(), Arc::clone(&record));
            async move {
                let path = request.uri().path().to_owned();
                let response = answer(request, &invoker).await;
                record.add(&path, &response);
                response
            }
        };
        Ok(Self { server: Server::start_on(listener, PAYLOAD_BYTES_MAX, handler)? })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.server.port()
    }
}

/// A file with every answer: a line with path and status, the headers, the body as it was sent.
#[derive(Debug)]
struct AnswerRecord {
    file: Mutex<File>,
}

impl AnswerRecord {
    fn open(path: &Path) -> Result<Self> {
        let file = append_privately(path);
        Ok(Self { file: Mutex::new(file.with_context(|| format!("cannot write {}", path.display()))?) })
    }

    fn add(&self, path: &str, response: &Response) {
        let mut lines = format!("\n{path} {}\n", response.status()).into_bytes();
        for (name, value) in response.headers() {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        lines.extend_from_slice(response.body());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&lines) {
            // The leak check would search less than it says.
            eprintln!("local: cannot record answers: {error}");
        }
    }
}

async fn answer(request: Request, invoker: &Invoker) -> Response {
    if !is_from_here(&request) {
        return json_answer(
            403,
            &json!({ "message": "the front of a development machine takes no page's requests" }),
        );
    }
    let path = request.uri().path();
    if let Some(function) = invoked_function(path) {
        if request.method() != http::Method::POST {
            return json_answer(405, &json!({ "message": "invoke with POST" }));
        }
        return invoke(function, request.body().clone(), invoker).await;
    }
    let function = if path.starts_with("/hooks/") { "webhook" } else { "api" };
    let event = payload::event(&request).to_string();
    if event.len() > PAYLOAD_BYTES_MAX {
        return json_answer(413, &json!({ "message": "Request Entity Too Large" }));
    }
    let answer = match invoker.invoke(function, event).await {
        Ok(answer) if !answer.is_error => payload::response(&answer.payload),
        _ => None,
    };
    // API Gateway's own words for a function that failed or answered something else.
    answer.unwrap_or_else(|| json_answer(500, &json!({ "message": "Internal Server Error" })))
}

/// Whether a program of this machine asks: a page that a browser shows sends its origin, or a name
/// of its own that resolves to us.
fn is_from_here(request: &Request) -> bool {
    let host =
        request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    !request.headers().contains_key(http::header::ORIGIN)
        && matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn invoked_function(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

async fn invoke(function: &str, payload: bytes::Bytes, invoker: &Invoker) -> Response {
    let payload = if payload.is_empty() { bytes::Bytes::from_static(b"{}") } else { payload };
    match invoker.invoke(function, payload).await {
        Ok(answer) => {
            let mut response = crate::http::answer(200, "application/json", answer.payload);
            if answer.is_error {
                let unhandled = http::HeaderValue::from_static("Unhandled");
                response.headers_mut().insert("x-amz-function-error", unhandled);
            }
            response
        }
        Err(error) => json_answer(404, &json!({ "Type": "User", "Message": format!("{error:#}") })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_browser_is_refused() {
        let check = |host: &str, origin: Option<&str>, expected: bool| {
            let mut request = http::Request::get("/v1/workflows").header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let request = request.body(bytes::Bytes::new()).unwrap();
            assert_eq!(is_from_here(&request), expected, "{host} {origin:?}");
        };
        check("127.0.0.1:4747", None, true);
        check("localhost", None, true);
        check("[::1]:4747", None, true);
        check("evil.test:4747", None, false);
        check("127.0.0.1.evil.test", None, false);
        check("", None, false);
        check("127.0.0.1:4747", Some("http://127.0.0.1:4747"), false);
        check("127.0.0.1:4747", Some("null"), false);
    }

    #[test]
    fn the_invoke_path_names_the_function() {
        assert_eq!(invoked_function("/2015-03-31/functions/builder/invocations"), Some("builder"));
        assert_eq!(invoked_function("/2015-03-31/functions//invocations"), None);
        assert_eq!(invoked_function("/2015-03-31/functions/a/b/invocations"), None);
        assert_eq!(invoked_function("/v1/workflows"), None);
    }
}
