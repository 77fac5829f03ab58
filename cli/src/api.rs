//! The API over HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use ureq::http::{Method, Request, StatusCode, Uri};
use ureq::{Agent, Proxy};

use crate::failure::{Failure, Problem};

/// Bytes of an answer: a page of the API has fewer.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The longest time of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// Rows of a page of the API.
const PAGE_ROWS_MAX: u32 = 200;
/// Pages without a row, after which a search through very much ends with its cursor.
const EMPTY_PAGES_TRIED: usize = 200;
/// The variable that holds the token.
const TOKEN_VARIABLE: &str = "SEALFLOW_TOKEN";

/// The characters that are percent-encoded in a query's value: all but letters, digits, `-`, `.`,
/// `_` and `~`.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of the API.
pub(crate) struct Api {
    agent: Agent,
    base: String,
    token: String,
}

/// A body with its content type.
pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: zeroize::Zeroizing<Vec<u8>>,
}

impl Body {
    /// A body of JSON.
    pub(crate) fn json(value: &Value) -> Self {
        Self {
            content_type: "application/json",
            bytes: zeroize::Zeroizing::new(value.to_string().into_bytes()),
        }
    }
}

impl Api {
    /// A client with the settings of the command line and the environment.
    pub(crate) fn new(api_url: Option<&str>) -> Result<Self, Failure> {
        let base = api_url.ok_or_else(|| {
            Failure::Usage(
                "where the API is must be known: set SEALFLOW_API_URL, or give --api-url".to_owned(),
            )
        })?;
        let token =
            std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).ok_or_else(|| {
                Failure::NoToken(format!(
                    "a token is needed: set {TOKEN_VARIABLE} (`sealflow admin bootstrap` makes the first)"
                ))
            })?;
        let base = base.trim_end_matches('/').to_owned();
        let uri = parse_base(&base, "SEALFLOW_API_URL")?;
        if base.ends_with("/v1") {
            return Err(Failure::Usage("the API's address ends before `/v1`: leave that out".to_owned()));
        }
        if uri.scheme_str() != Some("https") && !is_loopback(&uri) {
            return Err(Failure::Usage(
                "the API is reached over https, unless it is on this machine".to_owned(),
            ));
        }
        Ok(Self { agent: agent(&uri, REQUEST_TIMEOUT), base, token })
    }

    /// `GET` of a path with a query.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.request(Method::GET, path, query, None)
    }

    /// `PUT` of a body.
    pub(crate) fn put(&self, path: &str, query: &[(&str, String)], body: &Body) -> Result<Value, Failure> {
        self.request(Method::PUT, path, query, Some(body))
    }

    /// `PATCH` of a body.
    pub(crate) fn patch(&self, path: &str, body: &Body) -> Result<Value, Failure> {
        self.request(Method::PATCH, path, &[], Some(body))
    }

    /// `POST` of a body.
    pub(crate) fn post(&self, path: &str, body: &Body) -> Result<Value, Failure> {
        self.request(Method::POST, path, &[], Some(body))
    }

    /// `POST` without a body.
    pub(crate) fn post_query(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.request(Method::POST, path, query, None)
    }

    /// `DELETE` of a path; null where there is no answer.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.request(Method::DELETE, path, &[], None)
    }

    /// Up to `limit` rows of a list, newest first, from as many pages as they need; and the cursor
    /// of the rows that are left.
    pub(crate) fn list(
        &self,
        path: &str,
        resource: &str,
        query: &[(&str, String)],
        limit: u32,
    ) -> Result<(Vec<Value>, Value), Failure> {
        let (mut rows, mut empty_pages) = (Vec::new(), 0);
        let mut cursor = Value::Null;
        // A page of a search may be empty and still have a cursor: it looked at as many rows as it
        // may.
        while empty_pages < EMPTY_PAGES_TRIED {
            let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            let mut query = query.to_vec();
            query.push(("limit", left.min(PAGE_ROWS_MAX).to_string()));
            if let Some(cursor) = cursor.as_str() {
                query.push(("cursor", cursor.to_owned()));
            }
            let mut answer = self.get(path, &query)?;
            let Value::Array(page) = answer[resource].take() else {
                return Err(Failure::Failed(format!(
                    "the answer has no `{resource}`, so it is not of sealflow's API: is SEALFLOW_API_URL right?"
                )));
            };
            empty_pages += usize::from(page.is_empty());
            rows.extend(page);
            cursor = answer["next_cursor"].take();
            if cursor.is_null() || rows.len() >= limit as usize {
                break;
            }
        }
        Ok((rows, cursor))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Body>,
    ) -> Result<Value, Failure> {
        let mut uri = format!("{}{path}", self.base);
        for (place, (name, value)) in query.iter().enumerate() {
            uri.push(if place == 0 { '?' } else { '&' });
            uri.push_str(&format!("{name}={}", utf8_percent_encode(value, QUERY_VALUE)));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request.header("content-type", body.content_type);
        }
        let bytes = body.map(|body| body.bytes.as_slice()).unwrap_or_default();
        let request = request.body(bytes).map_err(|_| {
            Failure::Usage("the token or the URL has characters that it can't have".to_owned())
        })?;
        let (status, bytes) = send(&self.agent, request, &self.base)?;
        if status.is_success() {
            return read_json(&bytes);
        }
        Err(refusal(&self.base, status, &bytes))
    }
}

fn send(agent: &Agent, request: Request<&[u8]>, base: &str) -> Result<(StatusCode, Vec<u8>), Failure> {
    let unreachable = |error: ureq::Error| not_reached(base, &error);
    let mut response = agent.run(request).map_err(unreachable)?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    Ok((response.status(), body.map_err(unreachable)?))
}

fn read_json(bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|_| {
        Failure::Failed(
            "the answer is not JSON, so it is not sealflow's API: is SEALFLOW_API_URL right?".to_owned(),
        )
    })
}

/// The failure that an answer tells of. A gateway before the API answers for it when it can't.
fn refusal(base: &str, status: StatusCode, bytes: &[u8]) -> Failure {
    let mut problem: Problem = serde_json::from_slice(bytes).unwrap_or_default();
    problem.status = status.as_u16();
    if problem.detail.is_empty() {
        let is_from_gateway = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        if !is_from_gateway {
            // Its status says nothing about what the command names.
            return Failure::Failed(format!(
                "{base} answers {status}, and not as sealflow's API does: is SEALFLOW_API_URL right?"
            ));
        }
        problem.detail = format!("the API answers {status}");
    }
    Failure::refused(problem)
}

/// A request to a webhook.
pub(crate) struct Delivery<'d> {
    pub(crate) url: &'d str,
    pub(crate) headers: &'d [(String, String)],
    pub(crate) body: &'d [u8],
}

/// The answer to a delivery.
pub(crate) struct Delivered {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Posts to a webhook.
pub(crate) fn deliver(delivery: &Delivery<'_>) -> Result<Delivered, Failure> {
    let uri = parse_base(delivery.url, "the webhook's address")?;
    let mut request = Request::post(&uri);
    for (name, value) in delivery.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(delivery.body)
        .map_err(|_| Failure::Usage("the key or a header has characters that it can't have".to_owned()))?;
    let (status, body) = send(&agent(&uri, REQUEST_TIMEOUT), request, delivery.url)?;
    Ok(Delivered { status: status.as_u16(), body: String::from_utf8_lossy(&body).into_owned() })
}

/// Invokes a function through Lambda's own path, as the local stack offers it.
pub(crate) fn invoke(
    invoke_url: &str,
    function: &str,
    payload: &Value,
    timeout: Duration,
) -> Result<Value, Failure> {
    let base = invoke_url.trim_end_matches('/');
    let uri = parse_base(base, "SEALFLOW_INVOKE_URL")?;
    let request = Request::post(format!("{base}/2015-03-31/functions/{function}/invocations"))
        .header("content-type", "application/json");
    let bytes = Body::json(payload).bytes;
    let request = request.body(bytes.as_slice());
    let request = request.map_err(|_| Failure::Usage("SEALFLOW_INVOKE_URL is no URL".to_owned()))?;
    let unreachable = |error: ureq::Error| not_reached(base, &error);
    let mut response = agent(&uri, timeout).run(request).map_err(unreachable)?;
    let failed = response.headers().contains_key("x-amz-function-error") || !response.status().is_success();
    let body =
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
    let answer = read_json(&body).unwrap_or_else(|_| json!({}));
    if !failed {
        return Ok(answer);
    }
    let message = ["errorMessage", "Message", "message"].iter().find_map(|field| answer[field].as_str());
    Err(Failure::Failed(format!("the function {function} failed: {}", message.unwrap_or("it says no more"))))
}

/// One segment of a path. A gateway decodes paths and cuts them at a `?`: a name that it would
/// change is sent as `~` and the name's base64url.
pub(crate) fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_dots = text.bytes().all(|byte| byte == b'.');
    if text.bytes().all(is_plain) && !is_dots {
        text.to_owned()
    } else {
        format!("~{}", URL_SAFE_NO_PAD.encode(text))
    }
}

fn parse_base(base: &str, variable: &str) -> Result<Uri, Failure> {
    let uri = base.parse::<Uri>().ok();
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| Failure::Usage(format!("{variable} is no URL such as https://api.example.com")))
}

/// The failure of a request that got no answer. After a time-out the request may have been carried
/// out, and the message says so.
fn not_reached(base: impl std::fmt::Display, error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut(format!(
            "{base} did not answer in time; the request may have been carried out: look before you repeat it (a webhook's key that \
             was lost with the answer is replaced by `sealflow webhook rotate`)"
        )),
        error => {
            let text = error.to_string();
            let is_plain = text.contains("InvalidContentType") || text.contains("corrupt message");
            let hint = if is_plain {
                " (it does not speak TLS there; perhaps the URL begins with http://)"
            } else {
                ""
            };
            Failure::Unreachable(format!("{base} can't be reached: {text}{hint}"))
        }
    }
}

/// A client of one address. It follows no redirect, because the token would go along, and uses no
/// proxy of the environment towards this machine.
fn agent(uri: &Uri, timeout: Duration) -> Agent {
    let proxy = if is_loopback(uri) { None } else { Proxy::try_from_env() };
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .timeout_global(Some(timeout))
        .user_agent(concat!("sealflow-cli/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        let check = |uri: &str, expected| assert_eq!(is_loopback(&uri.parse().unwrap()), expected, "{uri}");
        check("http://127.0.0.1:8080", true);
        check("http://localhost:8080/x", true);
        check("http://[::1]:1", true);
        check("http://localhost.example.com", false);
        check("http://10.0.0.1", false);
    }

    #[test]
    fn a_segment_can_not_leave_its_place() {
        assert_eq!(segment("notify-on-push_1.2"), "notify-on-push_1.2");
        for name in ["a b/../c?d#e", "..", ".", "", "~x", "50%", "größe"] {
            let encoded = segment(name);
            let name_again = URL_SAFE_NO_PAD.decode(encoded.strip_prefix('~').unwrap()).unwrap();
            assert_eq!(name_again, name.as_bytes());
            assert!(
                encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"~-_".contains(&byte)),
                "{encoded}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_no_problem_still_says_something() {
        let refused = |status, bytes: &[u8]| match refusal("https://a", status, bytes) {
            Failure::Refused(refusal) => refusal.problem,
            other => panic!("{}", other.render()),
        };
        let problem = refused(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(problem.detail, "the API answers 502 Bad Gateway");
        let conflict = br#"{"detail": "d", "errors": [{"line": 3}]}"#;
        let problem = refused(StatusCode::CONFLICT, conflict);
        assert_eq!((problem.detail.as_str(), problem.errors[0].line), ("d", 3));
        // Another server's 404 says nothing of a workflow.
        match refusal("https://a", StatusCode::NOT_FOUND, b"<html>") {
            Failure::Failed(text) => assert!(text.ends_with("is SEALFLOW_API_URL right?"), "{text}"),
            other => panic!("{}", other.render()),
        }
    }

    #[test]
    fn a_base_is_a_url() {
        for base in ["", "example.com", "ftp://x", "http://"] {
            assert!(parse_base(base, "V").is_err(), "{base}");
        }
        assert!(parse_base("https://api.example.com/stage", "V").is_ok());
    }
}
