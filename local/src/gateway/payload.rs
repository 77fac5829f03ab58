//! API Gateway's payload 2.0: a request as the event of a function, and its answer as a response.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::http::{Request, Response};
use crate::{clock, random};

/// The event for a request, as the HTTP API's `$default` route and stage send it.
pub(super) fn event(request: &Request) -> Value {
    let uri = request.uri();
    let headers = request.headers();
    let (body, is_base64) = encode_body(request.body());
    let now = clock::now();
    let host = header(headers, &HOST).unwrap_or("localhost");
    let path = decoded_path(uri.path());
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": joined_headers(headers),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split(['.', ':']).next(),
            "http": {
                "method": request.method().as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": header(headers, &USER_AGENT).unwrap_or_default(),
            },
            "requestId": random::uuid(),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": is_base64,
    });
    let cookies: Vec<&str> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';').map(str::trim))
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if let Some(query) = uri.query().filter(|query| !query.is_empty()) {
        event["queryStringParameters"] = joined_query(query);
    }
    if let Some(body) = body {
        event["body"] = Value::String(body);
    }
    event
}

/// The response for a function's answer. `None` when the function's answer is not a valid response;
/// then the gateway answers 500.
pub(super) fn response(answer: &[u8]) -> Option<Response> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    // Without a status the whole answer is the body (payload 2.0's short form).
    let Some(status) = answer.get("statusCode") else {
        return Some(crate::http::json(200, &answer));
    };
    let status = u16::try_from(status.as_u64()?).ok()?;
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => Bytes::from(STANDARD.decode(body).ok()?),
        _ => Bytes::copy_from_slice(body.as_bytes()),
    };
    let mut response = http::Response::builder().status(status).body(body).ok()?;
    let headers = response.headers_mut();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        headers.insert(HeaderName::try_from(name).ok()?, header_value(value)?);
    }
    for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name).ok()?;
        headers.remove(&name);
        for value in values.as_array()? {
            headers.append(&name, header_value(value)?);
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append(http::header::SET_COOKIE, header_value(cookie)?);
    }
    // The connection is ours: its framing is made from the body.
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(http::header::TRANSFER_ENCODING);
    headers.entry(http::header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=utf-8"));
    Some(response)
}

/// The gateway decodes the path and cuts off what follows a decoded `?`; the query stays as it was
/// sent.
fn decoded_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
    decoded.split('?').next().unwrap_or_default().to_owned()
}

fn encode_body(body: &Bytes) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    match std::str::from_utf8(body) {
        Ok(text) => (Some(text.to_owned()), false),
        Err(_) => (Some(STANDARD.encode(body)), true),
    }
}

/// Names are lower-case; values of one name are joined with commas; cookies stand apart.
fn joined_headers(headers: &HeaderMap) -> Value {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| **name != COOKIE) {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let values: Vec<_> = values.collect();
        joined.insert(name.as_str().to_owned(), json!(values.join(",")));
    }
    Value::Object(joined)
}

fn joined_query(query: &str) -> Value {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut joined: Map<String, Value> = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value);
        match joined.get_mut(&decode(name)) {
            Some(Value::String(known)) => {
                known.push(',');
                known.push_str(&value);
            }
            _ => {
                joined.insert(decode(name), Value::String(value));
            }
        }
    }
    Value::Object(joined)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn header_value(value: &Value) -> Option<HeaderValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::copy_from_slice(body)).unwrap()
    }

    #[test]
    fn an_event_has_lower_case_joined_headers_and_cookies_apart() {
        let headers = [("Host", "h.local:1"), ("X-A", "1"), ("x-a", "2"), ("Cookie", "a=b; c=d")];
        let event = event(&request("POST", "/v1/a%20b?x=1&x=2&y=%2B", &headers, b"{}"));
        assert_eq!(event["headers"], json!({ "host": "h.local:1", "x-a": "1,2" }));
        assert_eq!(event["cookies"], json!(["a=b", "c=d"]));
        assert_eq!(event["rawPath"], "/v1/a b");
        assert_eq!(event["rawQueryString"], "x=1&x=2&y=%2B");
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "+" }));
        assert_eq!(event["requestContext"]["http"]["method"], "POST");
        assert_eq!(event["requestContext"]["domainPrefix"], "h");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    }

    #[test]
    fn a_path_is_decoded_once_and_cut_at_a_question_mark() {
        let raw_path = |uri: &str| event(&request("GET", uri, &[], b""))["rawPath"].clone();
        assert_eq!(raw_path("/v1/a%2523"), "/v1/a%23");
        assert_eq!(raw_path("/v1/bug%3F2/runs"), "/v1/bug");
    }

    #[test]
    fn a_body_that_is_no_text_is_base64() {
        let event = event(&request("POST", "/", &[], &[0xff, 0x00]));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }

    #[test]
    fn a_request_without_a_body_has_none() {
        assert_eq!(event(&request("GET", "/", &[], b"")).get("body"), None);
    }

    #[test]
    fn an_answer_keeps_status_headers_cookies_and_bytes() {
        let answer = json!({
            "statusCode": 201, "headers": { "content-type": "application/json", "content-length": "99" },
            "multiValueHeaders": { "x-a": ["1", "2"] }, "cookies": ["a=b", "c=d"],
            "body": "/wA=", "isBase64Encoded": true,
        });
        let response = response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers().get_all("x-a").iter().count(), 2);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(response.body().as_ref(), [0xff, 0x00]);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for answer in ["text", r#"{"statusCode":"ok"}"#, r#"{"statusCode":200,"headers":{"a b":"c"}}"#] {
            assert!(response(answer.as_bytes()).is_none(), "{answer}");
        }
    }
}
