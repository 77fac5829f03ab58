//! From a configuration to the request that is sent.

use std::time::Duration;

use domain::limits::{HTTP_REQUEST_HEADERS_BYTES_MAX, HTTP_URL_BYTES_MAX};
use form_urlencoded::byte_serialize;

use super::authorization::{self, Authorization};
use super::configuration::{Body, Configuration, Pair};
use super::multipart;
use crate::{component::Problem, effect::Call, host::HttpRequest};

/// The header by which a target can recognise a repeated request (I5).
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Bytes of the headers that sealflow adds, and of the words around a credential.
const HEADERS_ADDED_BYTES: usize = 512;

/// Whether URL and headers with secrets keep to their limits. Each secret counts at the largest
/// size that it could have. A URL or headers without a secret are left to the client's limits,
/// whose errors can say more.
pub(super) fn fits(configuration: &Configuration, call: &Call<'_>) -> bool {
    let holds_secret = |pointer: &str| call.is_within_secret(pointer);
    let query = &configuration.query;
    if holds_secret("/url") || query.iter().any(|pair| holds_secret(&pair.pointer)) {
        let bytes =
            query.iter().fold(call.bytes_max("/url", configuration.url.as_str().len()), |sum, pair| {
                // `&`, `=`, and at most three bytes for each byte of name and value.
                sum + 2 + 3 * (pair.name.len() + call.bytes_max(&pair.pointer, pair.value.len()))
            });
        if bytes > HTTP_URL_BYTES_MAX {
            return false;
        }
    }
    let headers = &configuration.headers;
    if headers.iter().any(|pair| holds_secret(&pair.pointer)) || call.has_secret_below(authorization::AT) {
        let pairs: usize = headers
            .iter()
            .map(|pair| pair.name.len() + call.bytes_max(&pair.pointer, pair.value.len()))
            .sum();
        let authorization = configuration.authorization.as_ref().map_or(0, |given| given.bytes_max(call));
        return pairs + authorization + HEADERS_ADDED_BYTES <= HTTP_REQUEST_HEADERS_BYTES_MAX;
    }
    true
}

/// Builds the request.
pub(super) fn build(configuration: Configuration, call: &Call<'_>) -> Result<HttpRequest, Problem> {
    let mut headers: Vec<(String, String)> =
        configuration.headers.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
    headers.extend(configuration.authorization.as_ref().and_then(Authorization::header));
    let (content_type, body) = body_bytes(configuration.body.as_ref(), call)?;
    if let Some(content_type) = content_type {
        add_unless_given(&mut headers, "Content-Type", &content_type);
    }
    add_unless_given(&mut headers, IDEMPOTENCY_KEY, call.idempotency_key);
    let seconds = configuration.timeout_seconds.min(call.seconds_max);
    Ok(HttpRequest {
        method: configuration.method,
        url: url_with_query(&configuration),
        headers,
        body,
        timeout: Duration::from_secs(seconds.into()),
        follows_redirects: configuration.follows_redirects,
        keeps_binary: configuration.keeps_binary,
        tls: configuration.tls,
        credential: match configuration.authorization {
            Some(Authorization::Made(credential)) => Some(credential),
            _ => None,
        },
    })
}

fn add_unless_given(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn url_with_query(configuration: &Configuration) -> String {
    let mut url = configuration.url.clone();
    url.set_fragment(None);
    if !configuration.query.is_empty() {
        // The query in the URL stays byte for byte; only our own pairs are encoded.
        let added = encode_pairs(&configuration.query);
        let query = match url.query() {
            Some(given) if !given.is_empty() => format!("{given}&{added}"),
            _ => added,
        };
        url.set_query(Some(&query));
    }
    url.into()
}

/// `name=value&…`
fn encode_pairs(pairs: &[Pair]) -> String {
    let mut encoded = String::new();
    for pair in pairs {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        encoded.extend(byte_serialize(pair.name.as_bytes()));
        encoded.push('=');
        encoded.extend(byte_serialize(pair.value.as_bytes()));
    }
    encoded
}

fn body_bytes(body: Option<&Body>, call: &Call<'_>) -> Result<(Option<String>, Vec<u8>), Problem> {
    let (content_type, body) = match body {
        None => return Ok((None, Vec::new())),
        Some(Body::Json(value)) => (
            "application/json",
            serde_json::to_vec(value).map_err(|_| Problem {
                pointer: "/body/json".to_owned(),
                message: "can't be written as JSON".to_owned(),
            })?,
        ),
        Some(Body::Form(pairs)) => ("application/x-www-form-urlencoded", encode_pairs(pairs).into_bytes()),
        Some(Body::Text(text)) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        Some(Body::Xml(text)) => ("application/xml", text.clone().into_bytes()),
        Some(Body::Multipart(parts)) => {
            let (boundary, body) = multipart::write(parts, call.idempotency_key)?;
            return Ok((Some(format!("multipart/form-data; boundary={boundary}")), body));
        }
    };
    Ok((Some(content_type.to_owned()), body))
}
