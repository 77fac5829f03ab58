//! The answer that a delivery gets at once, as its author wrote it.

use domain::request_headers::is_ours;
use serde_json::{Map, Value};

use super::is_header_name;
use crate::shape::{Reader, child};

const AT: &str = "/response";
/// Bytes of an answer's body.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Headers of an answer.
const HEADERS_MAX: usize = 20;
const STATUS_DEFAULT: u16 = 200;

/// An answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// 200 to 599.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl WebhookResponse {
    /// Reads the answer of a resolved `response`. None where its templates came to something that
    /// can't be sent.
    #[must_use]
    pub fn of(resolved: &Value) -> Option<Self> {
        let map = resolved.as_object()?;
        let status = map.get("status").map_or(Some(STATUS_DEFAULT), read_status)?;
        let (kind, body) = match map.get("body") {
            None | Some(Value::Null) => (None, String::new()),
            Some(Value::String(text)) => (Some("text/plain; charset=utf-8"), text.clone()),
            Some(other) => (Some("application/json"), other.to_string()),
        };
        let mut headers = Vec::new();
        for (name, value) in map.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return None,
            };
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return None;
            }
            headers.push((name.to_ascii_lowercase(), value));
        }
        if let Some(kind) = kind.filter(|_| !headers.iter().any(|(name, _)| name == "content-type")) {
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        (body.len() <= BODY_BYTES_MAX).then_some(Self { status, headers, body })
    }
}

fn read_status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (200..=599).contains(status))
}

/// Checks the field as the author wrote it.
pub(super) fn check(reader: &mut Reader, map: &Map<String, Value>) {
    let Some(value) = map.get("response") else { return };
    let Some(map) = reader.object(AT, value, &["status", "body", "headers"]) else { return };
    if map.get("status").is_some_and(|status| read_status(status).is_none()) {
        reader.problem(&child(AT, "status"), "must be a status code from 200 to 599");
    }
    let Some(headers) = map.get("headers") else { return };
    let at = child(AT, "headers");
    let Some(headers) = reader.map(&at, headers) else { return };
    if headers.len() > HEADERS_MAX {
        reader.problem(&at, format!("must have at most {HEADERS_MAX} entries"));
    }
    for (name, value) in headers {
        let at = child(&at, name);
        if !is_header_name(name) || is_ours(name) {
            reader.problem(&at, "must be the name of a header that an answer can have");
        }
        reader.text(&at, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::webhook::WebhookConfiguration;

    #[test]
    fn an_answer_is_text_or_json() {
        let of = |value: Value| WebhookResponse::of(&value).unwrap();
        let plain = of(json!({ "body": "hi" }));
        assert_eq!((plain.status, plain.body.as_str()), (200, "hi"));
        assert_eq!(plain.headers, [("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())]);
        let typed = of(json!({ "status": 201, "body": { "text": "hi" }, "headers": { "X-A": 1 } }));
        assert_eq!((typed.status, typed.body.as_str()), (201, r#"{"text":"hi"}"#));
        assert!(typed.headers.contains(&("x-a".to_owned(), "1".to_owned())));
        assert!(typed.headers.contains(&("content-type".to_owned(), "application/json".to_owned())));
        let html = of(json!({ "body": "<p>", "headers": { "Content-Type": "text/html" } }));
        assert_eq!(html.headers, [("content-type".to_owned(), "text/html".to_owned())]);
        assert_eq!(of(json!({ "status": 204 })).headers, []);
    }

    #[test]
    fn what_can_not_be_sent_is_no_answer_i2_i10() {
        let of = |value: Value| WebhookResponse::of(&value).is_some();
        assert!(of(json!({ "body": "x".repeat(BODY_BYTES_MAX) })));
        assert!(!of(json!({ "body": "x".repeat(BODY_BYTES_MAX + 1) })));
        assert!(!of(json!({ "headers": { "X-A": "a\r\nX-B: c" } })), "I2");
        assert!(!of(json!({ "headers": { "X-A": ["a"] } })));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_said_at_apply() {
        let pointers = |response: Value| {
            let problems =
                WebhookConfiguration::read(&json!({ "authentication": "none", "response": response })).err();
            problems.unwrap_or_default().into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers(json!({ "status": 200, "body": "x", "headers": { "X-A": "y" } })), [""; 0]);
        assert_eq!(pointers(json!({ "status": 100 })), ["/response/status"]);
        assert_eq!(pointers(json!({ "status": "200" })), ["/response/status"]);
        assert_eq!(pointers(json!({ "bdy": "x" })), ["/response/bdy"]);
        assert_eq!(pointers(json!({ "headers": { "a b": "x" } })), ["/response/headers/a b"]);
        assert_eq!(
            pointers(json!({ "headers": { "Transfer-Encoding": "x" } })),
            ["/response/headers/Transfer-Encoding"]
        );
        assert_eq!(pointers(json!("hi")), ["/response"]);
        let many: Map<String, Value> = (0..=HEADERS_MAX).map(|n| (format!("x-{n}"), json!("v"))).collect();
        assert_eq!(pointers(json!({ "headers": many })), ["/response/headers"]);
    }
}
