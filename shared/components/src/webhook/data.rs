//! From a delivery to the data of its event.

use std::collections::BTreeMap;

use domain::json::{JsonError, check_shape, parse_strict};
use http_content::{CodingError, Kind, kind, text, without_byte_order_mark};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::WebhookConfiguration;
use super::multipart::multipart;
use crate::credential_names::is_credential;
use crate::headers::canonical_header_name;

/// A request whose credential is already checked.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Names and values, as they arrived.
    pub headers: &'a [(String, String)],
    /// The text after the `?`, still encoded; empty for none.
    pub query: &'a str,
    /// The body, without its content coding.
    pub body: &'a [u8],
    /// Whether a text holds a credential of the webhook: a sender may put one anywhere, for example
    /// in a renamed header.
    pub holds_credential: &'a dyn Fn(&str) -> bool,
}

/// The fault of a request that was refused; nothing of the request is stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// The request declares its body as JSON, and the JSON was refused.
    #[error("the body can't be taken: {0}")]
    Json(#[source] JsonError),
    /// The body is not the form that its content type declares.
    #[error("the body is not the multipart form that its content type says")]
    Multipart,
    /// The body is not in the content encoding that the request names.
    #[error("{0}")]
    Coding(#[from] CodingError),
    /// The form has too many parts.
    #[error("the multipart form has more than {} parts", super::multipart::PARTS_MAX)]
    MultipartParts,
    /// A form, query, header or text holds NUL, which Postgres can't keep.
    #[error("the request holds the character U+0000")]
    Nul,
}

/// The data of the event that a request becomes: `body`, `headers`, `query`, `method`.
///
/// The body is JSON if its content type says so; if that says nothing of the form, a map or a list
/// is JSON. A form becomes a map, other text stays text in its charset, and of what is no text
/// length, type and SHA-256 are kept. Header names are canonical (`X-Github-Event`), each
/// with the list of its values. A name in the form or the query has its text, or a list where it
/// stands more than once. Headers and query parameters with credentials are left out, by their
/// names and by their values. The body is the sender's and stays whole.
///
/// # Errors
/// [`BodyError`]; the caller answers 400.
pub fn event_data(
    configuration: &WebhookConfiguration,
    request: &WebhookRequest<'_>,
) -> Result<Value, BodyError> {
    let mut headers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in request.headers {
        let name = name.to_ascii_lowercase();
        let is_left_out = is_credential(&name)
            || Some(&name) == configuration.header_name.as_ref()
            || (request.holds_credential)(value);
        if !is_left_out {
            headers
                .entry(canonical_header_name(&name))
                .or_default()
                .push(Value::String(no_nul(value.clone())?));
        }
    }
    let holds_credential =
        |value: &Value| value.as_str().is_some_and(|text| (request.holds_credential)(text));
    let mut query = form_map(request.query.as_bytes())?;
    query.retain(|name, value| {
        let holds_credential = match value {
            Value::Array(values) => values.iter().any(holds_credential),
            value => holds_credential(value),
        };
        !is_credential(name) && !holds_credential && !(request.holds_credential)(name)
    });
    let body = body_data(request)?;
    Ok(json!({ "body": body, "headers": headers, "query": query, "method": request.method }))
}

fn body_data(request: &WebhookRequest<'_>) -> Result<Value, BodyError> {
    let content_type = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|(_, value)| value.as_str());
    match kind(content_type) {
        Kind::Json => match text(content_type, request.body.to_vec()) {
            Ok(text) => parse_strict(text.as_bytes()).map_err(BodyError::Json),
            // A body that is no text is no JSON: the parser says where.
            Err(body) => parse_strict(&body).map_err(BodyError::Json),
        },
        Kind::JsonLines => {
            // The limits of data hold for all lines together.
            check_shape(request.body).map_err(BodyError::Json)?;
            let lines = without_byte_order_mark(request.body).split(|byte| *byte == b'\n');
            let lines = lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
            let values = lines.map(parse_strict).collect::<Result<_, _>>().map_err(BodyError::Json)?;
            Ok(Value::Array(values))
        }
        Kind::Form => Ok(Value::Object(form_map(without_byte_order_mark(request.body))?)),
        Kind::Multipart(boundary) => multipart(boundary, request.body),
        Kind::Text => text_data(content_type, request.body),
        Kind::Unsaid => unsaid_data(content_type, request.body),
    }
}

/// A body whose type says nothing of its form: a map or a list is JSON, anything else text.
fn unsaid_data(content_type: Option<&str>, body: &[u8]) -> Result<Value, BodyError> {
    let text = match text(content_type, body.to_vec()) {
        Ok(text) => text,
        Err(bytes) => return Ok(file_data(content_type, &bytes)),
    };
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(Value::String(text));
    }
    // Nobody said that it is JSON: what can't be taken for it is text.
    Ok(parse_strict(text.as_bytes()).unwrap_or(Value::String(text)))
}

fn text_data(content_type: Option<&str>, body: &[u8]) -> Result<Value, BodyError> {
    Ok(match text(content_type, body.to_vec()) {
        Ok(text) => Value::String(text),
        Err(bytes) => file_data(content_type, &bytes),
    })
}

/// The data of bytes that are no text: their length, type and SHA-256.
pub(super) fn file_data(content_type: Option<&str>, bytes: &[u8]) -> Value {
    let sha256 = digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut hex, byte| {
        hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or_default());
        hex.push(char::from_digit(u32::from(byte & 0xf), 16).unwrap_or_default());
        hex
    });
    let content_type = content_type.map(|value| value.replace('\0', "\u{fffd}"));
    json!({ "bytes": bytes.len(), "type": content_type, "sha256": sha256 })
}

/// A map from each name to its text, or to a list where the name stands more than once.
fn form_map(form: &[u8]) -> Result<Map<String, Value>, BodyError> {
    let mut map = Map::new();
    for (name, value) in form_urlencoded::parse(form) {
        add(&mut map, no_nul(name.into_owned())?, Value::String(no_nul(value.into_owned())?));
    }
    Ok(map)
}

/// Adds a value to a form: a name that stands more than once has the list of its values.
pub(super) fn add(map: &mut Map<String, Value>, name: String, value: Value) {
    match map.get_mut(&name) {
        None => {
            map.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

pub(super) fn no_nul(text: String) -> Result<String, BodyError> {
    if text.contains('\0') { Err(BodyError::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(headers: &[(&str, &str)], query: &str, body: &[u8]) -> Result<Value, BodyError> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let configuration =
            WebhookConfiguration::read(&json!({ "authentication": "header_token", "header_name": "X-Pass" }))
                .unwrap();
        let holds_credential = &|text: &str| text.contains("known-credential");
        let request = WebhookRequest { method: "POST", headers: &headers, query, body, holds_credential };
        event_data(&configuration, &request)
    }

    #[test]
    fn a_body_is_json_a_form_or_text_as_the_sender_says() {
        let check = |content_type: &str, body: &str, expected: Value| {
            let headers = [("Content-Type", content_type)];
            assert_eq!(data(&headers, "", body.as_bytes()).unwrap()["body"], expected, "{content_type}");
        };
        check("application/json; charset=utf-8", r#"{"a": 1}"#, json!({ "a": 1 }));
        check("application/vnd.x+json", "[]", json!([]));
        check(
            "application/x-www-form-urlencoded",
            "a=1&b=x+y&a=2&a=3",
            json!({ "a": ["1", "2", "3"], "b": "x y" }),
        );
        check("text/plain", r#"{"a": 1}"#, json!(r#"{"a": 1}"#));
        check("text/plain", "1.10", json!("1.10"));
        check("application/json", "1.10", json!(1.1));
        check("application/x-ndjson", "{\"a\": 1}\r\n\n[2]\n", json!([{ "a": 1 }, [2]]));
        for unsaid in ["", "application/octet-stream", "application/x-unknown"] {
            for text in ["1.10", "007", "true", "null", "\"x\"", "hello", ""] {
                check(unsaid, text, json!(text));
            }
            check(unsaid, " [1]", json!([1]));
            check(unsaid, "{\"a\": 1}", json!({ "a": 1 }));
            check(unsaid, "{oops", json!("{oops"));
        }
        assert_eq!(data(&[], "", b"[1]").unwrap()["body"], json!([1]));
        assert_eq!(data(&[], "", b"hello").unwrap()["body"], json!("hello"));
    }

    #[test]
    fn a_byte_order_mark_and_a_charset_are_understood() {
        let check = |content_type: &str, body: &[u8], expected: Value| {
            let headers = [("Content-Type", content_type)];
            assert_eq!(data(&headers, "", body).unwrap()["body"], expected, "{content_type}");
        };
        for json_type in ["application/json", "application/vnd.x+json", ""] {
            check(json_type, b"\xef\xbb\xbf{\"a\": 1}", json!({ "a": 1 }));
        }
        check("application/x-www-form-urlencoded", b"\xef\xbb\xbfa=1", json!({ "a": "1" }));
        check("application/x-ndjson", b"\xef\xbb\xbf[1]", json!([[1]]));
        check("text/plain", b"\xef\xbb\xbfhello", json!("hello"));
        check("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe", json!("Gr\u{fc}\u{df}e"));
        check("application/json; charset=utf-16le", b"[\x001\0]\0", json!([1]));
    }

    #[test]
    fn of_what_is_no_text_length_type_and_hash_are_kept() {
        let headers = [("content-type", "image/png")];
        let sha256 = "ba778c0261008c8f71ae4061ad0162ffcbe63b52c91f89f236738131d1217ec7";
        let body = data(&headers, "", &[0xff, 0xfe, 0x00]).unwrap()["body"].clone();
        assert_eq!((&body["bytes"], &body["type"]), (&json!(3), &json!("image/png")));
        assert_eq!(body["sha256"], sha256);
        assert_eq!(data(&[("content-type", "text/plain")], "", b"a\0").unwrap()["body"]["bytes"], 2);
    }

    #[test]
    fn what_can_not_be_kept_is_refused() {
        let json = [("content-type", "application/json")];
        assert_eq!(data(&json, "", b"{"), Err(BodyError::Json(JsonError::Syntax { line: 1, column: 1 })));
        assert_eq!(data(&json, "", br#""\u0000""#), Err(BodyError::Json(JsonError::Character)));
        assert_eq!(data(&json, "", &b"[".repeat(20_000)), Err(BodyError::Json(JsonError::Depth)));
        assert_eq!(data(&[], "", &b"[".repeat(20_000)).unwrap()["body"].as_str().map(str::len), Some(20_000));
        let lines = [("content-type", "application/x-ndjson")];
        let many = |count: usize| data(&lines, "", &b"{\"\":0}\n".repeat(count)).is_ok();
        assert!(many(1_000) && !many(65_000), "the lines have the limits of data together");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(data(&form, "", b"a%00=1"), Err(BodyError::Nul));
        assert_eq!(data(&[], "a=%00", b""), Err(BodyError::Nul));
    }

    #[test]
    fn credentials_are_left_out_of_headers_and_query_i1() {
        let headers = [
            ("Authorization", "Bearer x"),
            ("Cookie", "x"),
            ("Proxy-Authorization", "x"),
            ("X-Pass", "x"),
            ("X-Hub-Signature", "x"),
            ("X-Gitlab-Token", "x"),
            ("Client-Secret", "x"),
            ("X-API-Key", "x"),
            ("X-GitHub-Event", "push"),
            ("x-github-event", "again"),
        ];
        let query =
            "access_token=x&api_key=x&Secret=x&password=x&access_key=x&client_credential=x&page=1&page=2";
        let found = data(&headers, query, b"{}").unwrap();
        assert_eq!(found["headers"], json!({ "X-Github-Event": ["push", "again"] }));
        assert_eq!(found["query"], json!({ "page": ["1", "2"] }));
        assert_eq!(found["method"], "POST");
    }

    #[test]
    fn a_known_credential_is_left_out_wherever_in_headers_and_query_it_stands_i1() {
        let headers = [("X-Old", "known-credential"), ("Referer", "/x?known-credential"), ("X-Kept", "x")];
        let query = "old=known-credential&known-credential=1&two=x&two=a+known-credential&page=1";
        let found = data(&headers, query, br#""known-credential""#).unwrap();
        assert_eq!(found["headers"], json!({ "X-Kept": ["x"] }));
        assert_eq!(found["query"], json!({ "page": "1" }));
        assert_eq!(found["body"], "\"known-credential\"", "the body is the sender's");
    }

    #[test]
    fn a_template_in_a_body_stays_text_i2() {
        let body = br#"{"{{ secrets(\"a\").b }}": "{{ secrets(\"a\").b }}"}"#;
        let found = data(&[], "", body).unwrap();
        assert_eq!(found["body"], json!({ "{{ secrets(\"a\").b }}": "{{ secrets(\"a\").b }}" }));
    }
}
