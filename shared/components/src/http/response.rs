//! From the answer of a target to an outcome.

use std::{borrow::Cow, collections::BTreeMap, ops::RangeInclusive};

use domain::{
    execution::ResultReason,
    json::{check_shape, parse_lenient, storable_text},
    limits::HTTP_STORED_BYTES_MAX,
    outcome::{Failure, Outcome, Output},
    retry::{RetryAfter, is_from_between},
};
use http_content::{Kind, kind};
use serde_json::{Value, json};

use super::SUCCESS;
use super::select::{Selection, Unselectable, select};
use crate::credential_names::is_credential;
use crate::headers::canonical_header_name;
use crate::host::{HttpBody, HttpHead, HttpResponse};

/// The outcome of an answer: `status`, `headers` and `body`, and on failure `error` too.
pub(super) fn outcome(
    answer: HttpResponse,
    success: &[RangeInclusive<u16>],
    selection: Option<&Selection>,
) -> Outcome {
    let HttpHead { status, headers } = answer.head;
    let content_type = header(&headers, "content-type").map(str::to_owned);
    let retry_after = RetryAfter::of(&headers);
    let is_success = success.iter().any(|range| range.contains(&status));
    // Only an answer that is a success has what its author selects.
    let selected = match (&answer.body, selection.filter(|_| is_success)) {
        (HttpBody::Text(text), Some(selection)) => Some(select(text, selection)),
        (HttpBody::Binary { .. }, Some(_)) => Some(Err(Unselectable::NoJson)),
        (_, None) => None,
    };
    let too_large = match &answer.body {
        _ if selected.is_some() => None,
        HttpBody::Text(text) => Some(text.len()).filter(|bytes| *bytes > HTTP_STORED_BYTES_MAX),
        HttpBody::Binary { .. } => None,
    };
    let unselectable = selected.as_ref().and_then(|selected| selected.as_ref().err().copied());
    let body = match (answer.body, too_large) {
        _ if selected.is_some() => selected.and_then(Result::ok).unwrap_or_default(),
        (_, Some(bytes)) => json!({ "bytes": bytes }),
        (HttpBody::Binary { sha256, base64, bytes }, None) => {
            let mut body = json!({ "bytes": bytes });
            if let Some(content_type) = content_type {
                body["type"] = Value::String(storable_text(content_type));
            }
            if let Some(sha256) = sha256 {
                body["sha256"] = Value::String(sha256);
            }
            if let Some(base64) = base64 {
                body["base64"] = Value::String(base64);
            }
            body
        }
        (HttpBody::Text(text), None) => {
            read_text(&text, content_type.as_deref()).unwrap_or_else(|| Value::String(storable_text(text)))
        }
    };
    // `json!` would copy the body.
    let mut data = json!({ "status": status, "headers": kept_headers(headers) });
    data["body"] = body;
    let failed = |code: &str, message: String, retryable| {
        Outcome::Failed(Failure {
            data: data.clone(),
            retryable,
            answered: !is_from_between(status),
            retry_after,
            ..Failure::new(ResultReason::ComponentError, code, message)
        })
    };
    if !is_success {
        return failed(
            "http_status",
            format!("the server answered with status {status}"),
            is_passing(status),
        );
    }
    if let Some(fault) = unselectable {
        let fault = match fault {
            Unselectable::NoJson => "no JSON, so nothing of it can be selected".to_owned(),
            Unselectable::TooLarge => {
                format!("more than {HTTP_STORED_BYTES_MAX} bytes of what is selected: name smaller values")
            }
        };
        let message = format!("the server answered with status {status} and {fault}");
        return failed("nothing_to_select", message, false);
    }
    if let Some(bytes) = too_large {
        let message = format!(
            "the server answered with status {status} and a body of {bytes} bytes; at most {HTTP_STORED_BYTES_MAX} can be stored"
        );
        return failed("response_too_large_to_store", message, false);
    }
    Outcome::Passed(Some(Output { channel: Cow::Borrowed(SUCCESS), data }))
}

/// The value of a text whose type says that it is JSON. Where the type says nothing, only a map or a
/// list is taken for JSON: `1.10` may be a version.
fn read_text(text: &str, content_type: Option<&str>) -> Option<Value> {
    match kind(content_type) {
        Kind::Json => parse_lenient(text),
        Kind::JsonLines => {
            // The limits of data hold for all lines together.
            check_shape(text.as_bytes()).ok()?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(parse_lenient).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Kind::Unsaid => parse_lenient(text).filter(|value| value.is_object() || value.is_array()),
        Kind::Form | Kind::Multipart(_) | Kind::Text => None,
    }
}

/// The data of a request whose answer broke off, or whose redirect could not be followed.
pub(super) fn head_data(head: HttpHead) -> Value {
    json!({ "status": head.status, "headers": kept_headers(head.headers) })
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether a later attempt may get another status: after time-outs, `Too Early`, `Too Many
/// Requests`, and errors of the server.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 499 | 500..=599)
}

fn kept_headers(headers: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !is_credential(&name) {
            kept.entry(canonical_header_name(&name)).or_default().push(storable_text(value));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&str, &str)], body: HttpBody) -> Outcome {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        outcome(HttpResponse { head: HttpHead { status, headers }, body }, &[200..=299], None)
    }

    #[test]
    fn of_a_large_answer_only_what_is_selected_is_kept() {
        let selection = Selection::from([("next".to_owned(), "/next".to_owned())]);
        let of = |status, text: String| {
            let head = HttpHead { status, headers: Vec::new() };
            outcome(HttpResponse { head, body: HttpBody::Text(text) }, &[200..=299], Some(&selection))
        };
        let large = format!("{{\"rows\": \"{}\", \"next\": 7}}", "x".repeat(HTTP_STORED_BYTES_MAX));
        let Outcome::Passed(Some(output)) = of(200, large.clone()) else { panic!("it passes") };
        assert_eq!(output.data["body"], json!({ "next": 7 }));
        let Outcome::Failed(failure) = of(200, "<p>".to_owned()) else { panic!("it is no JSON") };
        assert_eq!((failure.code.as_str(), &failure.data["status"]), ("nothing_to_select", &json!(200)));
        let Outcome::Failed(failure) = of(500, "{\"error\": 1}".to_owned()) else { panic!("it fails") };
        assert_eq!((failure.code.as_str(), &failure.data["body"]), ("http_status", &json!({ "error": 1 })));
    }

    fn body(content_type: &str, text: &str) -> Value {
        let headers = [("Content-Type", content_type)];
        let headers = if content_type.is_empty() { &[][..] } else { &headers };
        match of(200, headers, HttpBody::Text(text.to_owned())) {
            Outcome::Passed(Some(output)) => output.data["body"].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_is_text_and_json_is_json_where_the_type_says_so() {
        for text_type in ["text/plain", "text/html; charset=utf-8", "application/xml", "text/csv"] {
            for text in ["1.10", "007", "true", "null", "\"x\"", "{\"a\": 1}", "[1]"] {
                assert_eq!(body(text_type, text), json!(text), "{text_type}");
            }
        }
        for json_type in ["application/json", "application/problem+json; charset=utf-8", "text/json"] {
            assert_eq!(body(json_type, "1.10"), json!(1.1), "{json_type}");
            assert_eq!(body(json_type, "\"x\""), json!("x"));
            assert_eq!(body(json_type, "{\"a\": 1}"), json!({ "a": 1 }));
            assert_eq!(body(json_type, "{oops"), json!("{oops"));
        }
        for vague in ["", "application/octet-stream", "application/x-unknown"] {
            for text in ["1.10", "007", "true", "null", "\"x\"", "ok"] {
                assert_eq!(body(vague, text), json!(text), "{vague}");
            }
            assert_eq!(body(vague, " {\"a\": 1}\n"), json!({ "a": 1 }));
            assert_eq!(body(vague, "[1, 2]"), json!([1, 2]));
        }
    }

    #[test]
    fn lines_of_json_are_a_list() {
        let lines = "{\"a\": 1}\n\n{\"a\": 2}\r\n3";
        assert_eq!(body("application/x-ndjson", lines), json!([{ "a": 1 }, { "a": 2 }, 3]));
        assert_eq!(body("application/jsonl", ""), json!([]));
        assert_eq!(body("application/jsonl", "{\"a\": 1}\noops"), json!("{\"a\": 1}\noops"));
        let is_list = |count: usize| body("application/jsonl", &"{}\n".repeat(count)).is_array();
        assert!(is_list(1_000) && !is_list(65_000), "the lines have the limits of data together");
    }

    #[test]
    fn what_is_no_text_is_told_by_its_length_and_type() {
        let image = || HttpBody::Binary { sha256: None, base64: None, bytes: 7 };
        let Outcome::Passed(Some(output)) = of(200, &[("content-type", "image/png")], image()) else {
            panic!("a body that is no text is an answer");
        };
        assert_eq!(output.data["body"], json!({ "bytes": 7, "type": "image/png" }));
    }

    #[test]
    fn the_server_says_when() {
        let after = |status, value: &str| match of(
            status,
            &[("Retry-After", value)],
            HttpBody::Text(String::new()),
        ) {
            Outcome::Failed(failure) => failure.retry_after,
            passed @ Outcome::Passed(_) => panic!("{passed:?}"),
        };
        assert_eq!(after(429, "6"), Some(RetryAfter::Seconds(6)));
        assert!(matches!(after(503, "Sun, 06 Nov 1994 08:49:37 GMT"), Some(RetryAfter::At(_))));
        assert_eq!(after(500, "soon"), None);
    }
}
