//! From a configuration to the request that is sent, and to the strings that were made of secrets on the way.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form_urlencoded::byte_serialize;

use super::configuration::{Authorization, Body, Configuration, Pair};
use crate::{
    component::{Call, Problem},
    host::HttpRequest,
};

/// The header by which a target can tell that it saw a request before (I5).
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Builds the request.
pub(super) fn build(configuration: &Configuration, call: &Call<'_>) -> Result<HttpRequest, Problem> {
    let mut derived = Vec::new();
    let url = url_with_query(configuration, call, &mut derived);
    let mut headers: Vec<(String, String)> =
        configuration.headers.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
    if let Some(authorization) = &configuration.authorization {
        headers.push(authorization_header(authorization, call, &mut derived));
    }
    let (content_type, body) = body_bytes(configuration.body.as_ref(), call, &mut derived)?;
    if let Some(content_type) = content_type {
        add_unless_given(&mut headers, "Content-Type", content_type);
    }
    add_unless_given(&mut headers, IDEMPOTENCY_KEY, call.idempotency_key);
    let seconds = configuration.timeout_seconds.min(call.seconds_max);
    Ok(HttpRequest {
        method: configuration.method,
        url,
        headers,
        body,
        timeout: Duration::from_secs(seconds.into()),
        derived,
    })
}

fn is_secret(call: &Call<'_>, pointer: &str) -> bool {
    call.secret_paths.contains(&pointer)
}

fn add_unless_given(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn url_with_query(configuration: &Configuration, call: &Call<'_>, derived: &mut Vec<String>) -> String {
    let mut url = configuration.url.clone();
    url.set_fragment(None);
    if !configuration.query.is_empty() {
        // What the URL has stays byte for byte; only our own pairs are encoded.
        let added = encode_pairs(&configuration.query, call, derived);
        let query = match url.query() {
            Some(given) if !given.is_empty() => format!("{given}&{added}"),
            _ => added,
        };
        url.set_query(Some(&query));
    }
    if is_secret(call, "/url") || configuration.query.iter().any(|pair| is_secret(call, &pair.pointer)) {
        derived.extend(url.query().map(str::to_owned));
        derived.push(url.as_str().to_owned());
    }
    url.into()
}

/// `name=value&…`; what was made of secrets is noted, alone and with its name.
fn encode_pairs(pairs: &[Pair], call: &Call<'_>, derived: &mut Vec<String>) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let mut encoded = String::new();
    for pair in pairs {
        let value = encode(&pair.value);
        let whole = format!("{}={value}", encode(&pair.name));
        if !encoded.is_empty() {
            encoded.push('&');
        }
        encoded.push_str(&whole);
        if is_secret(call, &pair.pointer) {
            derived.extend([value, whole]);
        }
    }
    encoded
}

fn authorization_header(
    authorization: &Authorization,
    call: &Call<'_>,
    derived: &mut Vec<String>,
) -> (String, String) {
    let standard = |value: String| ("Authorization".to_owned(), value);
    match authorization {
        Authorization::Bearer { token } => standard(format!("Bearer {token}")),
        Authorization::Basic { username, password } => {
            let pair = format!("{username}:{password}");
            let encoded = STANDARD.encode(&pair);
            if is_secret(call, "/authorization/username") || is_secret(call, "/authorization/password") {
                derived.extend([pair, encoded.clone()]);
            }
            standard(format!("Basic {encoded}"))
        }
        Authorization::Header { name, value } => (name.clone(), value.clone()),
    }
}

fn body_bytes(
    body: Option<&Body>,
    call: &Call<'_>,
    derived: &mut Vec<String>,
) -> Result<(Option<&'static str>, Vec<u8>), Problem> {
    let (content_type, body) = match body {
        None => return Ok((None, Vec::new())),
        Some(Body::Json(value)) => (
            "application/json",
            serde_json::to_vec(value).map_err(|_| Problem {
                pointer: "/body/json".to_owned(),
                message: "can't be written as JSON".to_owned(),
            })?,
        ),
        Some(Body::Form(pairs)) => {
            let form = encode_pairs(pairs, call, derived);
            if pairs.iter().any(|pair| is_secret(call, &pair.pointer)) {
                derived.push(form.clone());
            }
            ("application/x-www-form-urlencoded", form.into_bytes())
        }
        Some(Body::Text(text)) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        Some(Body::Xml(text)) => ("application/xml", text.clone().into_bytes()),
    };
    Ok((Some(content_type), body))
}
