//! A host of the outside world: it remembers what it was sent, echoes it in many forms, and answers
//! as it was told to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use local::http::{Request, Response, Server, answer, json as json_answer};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::wait_for;

const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A running host; dropped, it stops.
pub struct Outside {
    server: Server,
    record: Arc<Record>,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Lower-case names with their raw values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The raw body.
    pub body: Bytes,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status and the echo of the request.
    Status(u16),
    /// The echo, after so long a time.
    Late(Duration),
    /// A redirect.
    Redirect(u16, String),
    /// 200 with a body of this type.
    Body(&'static str, Vec<u8>),
    /// This status with these headers and this body, and nothing of the request.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// 200 with these headers and the echo of the request.
    Headers(Vec<(&'static str, String)>),
}

#[derive(Default)]
struct Record {
    requests: Mutex<Vec<Received>>,
    scripts: Mutex<BTreeMap<String, VecDeque<Reply>>>,
}

impl Received {
    /// The first value of a header, by its lower-case name.
    ///
    /// # Panics
    /// When it is no UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| std::str::from_utf8(value).expect("a header of UTF-8"))
    }

    /// The body's JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

impl Outside {
    /// Starts a host on a free loopback port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let record = Arc::clone(&shared);
            async move { record.answer(request).await }
        });
        Self { server: server.await.expect("a port is free"), record }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.server.host_port()
    }

    /// Answers the next requests whose path begins with `prefix` with these, one each, and later
    /// ones with an echo.
    pub fn script(&self, prefix: &str, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.record.scripts).insert(prefix.to_owned(), replies.into_iter().collect());
    }

    /// The requests so far whose path begins with `prefix`, in the order in which they came.
    #[must_use]
    pub fn requests(&self, prefix: &str) -> Vec<Received> {
        let requests = lock(&self.record.requests);
        requests.iter().filter(|request| request.path.starts_with(prefix)).cloned().collect()
    }

    /// Waits until at least `count` requests whose path begins with `prefix` have come.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn heard(&self, prefix: &str, count: usize) -> Vec<Received> {
        wait_for(&format!("{count} requests to {prefix}"), || async {
            Some(self.requests(prefix)).filter(|requests| requests.len() >= count)
        })
        .await
    }
}

impl Record {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let headers =
            parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let received = Received { method: parts.method.to_string(), path, headers: headers.collect(), body };
        lock(&self.requests).push(received.clone());
        let reply = self.scripted(&received.path);
        match reply {
            None => echo(&received, 200),
            Some(Reply::Status(status)) => echo(&received, status),
            Some(Reply::Late(time)) => {
                tokio::time::sleep(time).await;
                echo(&received, 200)
            }
            Some(Reply::Redirect(status, to)) => {
                with_headers(answer(status, "text/plain", "moved"), &[("location", to)])
            }
            Some(Reply::Body(content_type, body)) => answer(200, content_type, body),
            Some(Reply::Whole(status, headers, body)) => {
                let mut response = answer(status, "text/plain", body);
                response.headers_mut().clear();
                with_headers(response, &headers)
            }
            Some(Reply::Headers(headers)) => with_headers(echo(&received, 200), &headers),
        }
    }

    fn scripted(&self, path: &str) -> Option<Reply> {
        let mut scripts = lock(&self.scripts);
        let (_, replies) = scripts.iter_mut().find(|(prefix, _)| path.starts_with(prefix.as_str()))?;
        replies.pop_front()
    }
}

fn with_headers(mut response: Response, headers: &[(&'static str, String)]) -> Response {
    for (name, value) in headers {
        let value = http::HeaderValue::from_str(value).expect("a header's value");
        response.headers_mut().append(*name, value);
    }
    response
}

/// `/echo/FORM` gives the first `X-Echo` header (else `Authorization`) back in that form; all else
/// gives the whole request as JSON.
fn echo(received: &Received, status: u16) -> Response {
    let form = received.path.strip_prefix("/echo/").map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
    let value = received.header("x-echo").or(received.header("authorization")).unwrap_or_default();
    match form {
        Some(form) => answer(status, "text/plain", encoded(form, value)),
        None => json_answer(status, &whole(received)),
    }
}

fn whole(received: &Received) -> Value {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &received.headers {
        headers.entry(name).or_default().push(String::from_utf8_lossy(value).into_owned());
    }
    let body = serde_json::from_slice(&received.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&received.body).into_owned()));
    json!({ "method": received.method, "path": received.path, "headers": headers, "body": body })
}

/// The forms in which a host can echo a value.
pub const FORMS: [&str; 13] = [
    "raw",
    "json",
    "json-in-json",
    "json-u",
    "url",
    "url-lower",
    "form",
    "html",
    "hex",
    "base64-0",
    "base64-1",
    "base64-2",
    "base64url-1",
];

/// A value in one of [`FORMS`]; in any other word it is as it was.
#[must_use]
pub fn encoded(form: &str, value: &str) -> Vec<u8> {
    let percent = |keep: &str, upper: bool| {
        value.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                byte if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) => {
                    text.push(char::from(byte))
                }
                byte if upper => write!(text, "%{byte:02X}").expect("a string takes all"),
                byte => write!(text, "%{byte:02x}").expect("a string takes all"),
            }
            text
        })
    };
    let text = match form {
        "json" => json!(value).to_string(),
        "json-in-json" => json!({ "log": json!({ "sent": value }).to_string() }).to_string(),
        "json-u" => {
            value.encode_utf16().fold("\"".to_owned(), |text, unit| format!("{text}\\u{unit:04x}")) + "\""
        }
        "url" => percent("-._~", true),
        "url-lower" => percent("-._~", false),
        "form" => percent("*-._ ", true).replace(' ', "+"),
        "html" => value.chars().fold(String::new(), |text, c| match c {
            '&' => text + "&amp;",
            '<' => text + "&lt;",
            '"' => text + "&quot;",
            '\'' => text + "&#x27;",
            c => text + &c.to_string(),
        }),
        "hex" => hex::encode(value),
        "sha256" => hex::encode(digest(&SHA256, value.as_bytes())),
        form if form.starts_with("base64") => {
            let before = "~~"
                .get(..form.bytes().last().map_or(0, |digit| usize::from(digit - b'0')))
                .unwrap_or_default();
            let text = base64(format!("{before}{value} and more").as_bytes());
            if form.starts_with("base64url") { text.replace('+', "-").replace('/', "_") } else { text }
        }
        _ => value.to_owned(),
    };
    text.into_bytes()
}

/// RFC 4648, written out: what checks the scrubber shares no code with it.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = usize::try_from(bits >> (18 - 6 * place) & 63).expect("six bits");
            text.push(if place <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
