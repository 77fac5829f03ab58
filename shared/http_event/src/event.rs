use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::COOKIE;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::path::routed_path;

/// Characters that are not allowed in a query, though a sender may write them. Percent-encoded
/// characters stay.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'\\')
    .add(b'^');

/// A request as the gateway sends it: the fields that we read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpEvent {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    /// Lower-case names; values of one name are joined with commas.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    request_context: RequestContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext {
    http: HttpContext,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    #[serde(default)]
    source_ip: String,
}

/// The address that a request came from, as the gateway tells it: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceIp(pub IpAddr);

/// The error of an event that is no request: it has another payload format, or is not the
/// gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is no request of an HTTP API with payload format 2.0")]
pub struct BadEvent;

impl HttpEvent {
    /// The request of the event.
    ///
    /// # Errors
    /// [`BadEvent`] when a part of the event can't stand in a request.
    pub fn into_request(self) -> Result<Request, BadEvent> {
        let mut uri =
            if self.raw_path.starts_with('/') { routed_path(&self.raw_path) } else { "/".to_owned() };
        if !self.raw_query_string.is_empty() {
            uri.push('?');
            uri.extend(utf8_percent_encode(&self.raw_query_string, QUERY));
        }
        let body = match self.body {
            Some(text) if self.is_base64_encoded => Body::from(STANDARD.decode(text).map_err(|_| BadEvent)?),
            Some(text) => Body::from(text),
            None => Body::empty(),
        };
        let mut request = http::Request::builder()
            .method(self.request_context.http.method.as_str())
            .uri(uri)
            .body(body)
            .map_err(|_| BadEvent)?;
        if let Ok(address) = self.request_context.http.source_ip.parse() {
            request.extensions_mut().insert(SourceIp(address));
        }
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| BadEvent)?;
            headers.append(name, HeaderValue::try_from(value).map_err(|_| BadEvent)?);
        }
        if !self.cookies.is_empty() {
            headers.insert(COOKIE, HeaderValue::try_from(self.cookies.join("; ")).map_err(|_| BadEvent)?);
        }
        Ok(request)
    }
}
