//! The request and its response.

use std::time::Duration;

use bytes::Bytes;
use domain::allowed_host::AllowedHost;
use domain::limits::HTTP_REQUEST_HEADERS_BYTES_MAX;
use domain::request_headers::is_ours;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::{Head, HttpError, RequestTls};

/// Bytes of a request's body.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 100;
/// The header that counts the calls from sealflow to sealflow.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static(domain::request_headers::HOPS_HEADER);

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("sealflow/", env!("CARGO_PKG_VERSION")));

/// A request. It may hold secret values, so it can't be printed.
pub struct Request {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`.
    pub method: String,
    /// An absolute http or https URL.
    pub url: String,
    /// Names and values, as the author wrote them. Framing, hop and proxy headers, `Host` and
    /// `Accept-Encoding` are refused.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// Time for the whole exchange, redirects included; at most [`crate::TIMEOUT_MAX`].
    pub timeout: Duration,
    /// Whether the execution used a secret. If so, only https is allowed, and no redirect to
    /// another origin.
    pub used_secret: bool,
    /// The host lists of the secrets that name hosts. Every list must name the host of each
    /// connection. Empty: no secret names hosts.
    pub allowed_hosts: Vec<Vec<AllowedHost>>,
    /// The treatment of a redirect.
    pub redirects: Redirects,
    /// TLS, where the target is not served by a public authority or asks for a certificate.
    pub tls: RequestTls,
    /// The value of `Sealflow-Hops`: the number of calls from sealflow to sealflow, this call
    /// included.
    pub hop_count: u32,
}

/// The treatment of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// So many are followed, at most [`domain::limits::HTTP_REDIRECTS_MAX`]; one more is an error.
    Follow(usize),
    /// None is followed: the redirect is the response.
    Stop,
}

/// A response. It may echo secret values, so it can't be printed before it is scrubbed.
pub struct Response {
    /// Status and headers. `content-encoding` and `content-length` are removed where the body was
    /// decoded.
    pub head: Head,
    /// The body after content-decoding, at most 4 MiB.
    pub body: Vec<u8>,
    /// The URL that answered, after redirects. It may hold secrets, as the request's URL may.
    pub url: String,
    /// Redirects that were followed.
    pub redirects: usize,
}

/// The request that is sent at each hop.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The cookies that the targets before set for this one, as they stand in a `Cookie` header.
    pub(crate) chain_cookies: Vec<u8>,
    /// Whether a redirect is followed; then its body is not read.
    pub(crate) follows: bool,
}

impl Outgoing {
    pub(crate) fn prepare(
        method: &str,
        headers: &[(String, String)],
        body: Bytes,
        hop_count: u32,
        redirects: Redirects,
    ) -> Result<Self, HttpError> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(HttpError::RequestTooLarge);
        }
        let mut headers = prepare_headers(headers)?;
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        headers.insert(HOPS_HEADER, HeaderValue::from(hop_count));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        let follows = redirects != Redirects::Stop;
        Ok(Self { method: parse_method(method)?, headers, body, chain_cookies: Vec::new(), follows })
    }
}

fn parse_method(text: &str) -> Result<Method, HttpError> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    known.into_iter().find(|method| method.as_str() == text).ok_or(HttpError::InvalidMethod)
}

fn prepare_headers(headers: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::with_capacity(headers.len() + 4);
    let mut bytes = 0;
    for (index, (name, value)) in headers.iter().enumerate() {
        let refuse = |reason| HttpError::InvalidHeader { index, reason };
        bytes += name.len() + value.len();
        if index >= HEADERS_MAX || bytes > HTTP_REQUEST_HEADERS_BYTES_MAX {
            return Err(refuse("there are too many or too large headers"));
        }
        let name: HeaderName = name.parse().map_err(|_| refuse("its name is no header name"))?;
        if is_ours(name.as_str()) {
            return Err(refuse("sealflow sets it, or it is for proxies and connections"));
        }
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| refuse("its value has a line break or another control character"))?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(headers: &[(&str, &str)]) -> Result<Outgoing, HttpError> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Outgoing::prepare("GET", &headers, Bytes::new(), 1, Redirects::Follow(0))
    }

    #[test]
    fn headers_cannot_break_out_of_their_line_i2() {
        let check = |name: &str, value: &str| {
            let result = prepare(&[("Accept", "*/*"), (name, value)]);
            assert!(matches!(result, Err(HttpError::InvalidHeader { index: 1, .. })), "{name:?}: {value:?}");
        };
        for bad in ["a\rb", "a\nb", "a\r\nX: y", "a\0b", "\u{1}", "\u{7f}"] {
            check("x-name", bad);
            check(bad, "value");
        }
        for name in ["", "a b", "a:b", "näme", "x(y)"] {
            check(name, "value");
        }
        assert!(prepare(&[("x-name", "tab\there, ümläut, \"quotes\"")]).is_ok());
    }

    #[test]
    fn framing_and_hop_headers_are_ours() {
        for name in [
            "Host",
            "Content-Length",
            "TRANSFER-ENCODING",
            "connection",
            "Keep-Alive",
            "Proxy-Connection",
            "Proxy-Authorization",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Accept-Encoding",
            "Sealflow-Hops",
        ] {
            let result = prepare(&[(name, "x")]);
            assert!(matches!(result, Err(HttpError::InvalidHeader { index: 0, .. })), "{name}");
        }
    }

    #[test]
    fn only_known_methods_are_sent() {
        let check = |method: &str, expected: bool| {
            assert_eq!(
                Outgoing::prepare(method, &[], Bytes::new(), 1, Redirects::Stop).is_ok(),
                expected,
                "{method:?}"
            );
        };
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            check(method, true);
        }
        for method in ["", "get", "CONNECT", "TRACE", "GET / HTTP/1.1\r\nX: y", "PURGE"] {
            check(method, false);
        }
    }

    #[test]
    fn the_authors_user_agent_stays() {
        let agent = |headers: &[(&str, &str)]| prepare(headers).unwrap().headers[header::USER_AGENT].clone();
        assert_eq!(agent(&[]), USER_AGENT);
        assert_eq!(agent(&[("User-Agent", "mine")]), "mine");
    }

    #[test]
    fn requests_have_limits_on_both_sides_i10() {
        let many = |count| prepare(&vec![("x-a", "b"); count]).is_ok();
        assert!(many(HEADERS_MAX) && !many(HEADERS_MAX + 1));
        let large = |bytes: usize| prepare(&[("x-a", &"b".repeat(bytes - 3))]).is_ok();
        assert!(large(HTTP_REQUEST_HEADERS_BYTES_MAX) && !large(HTTP_REQUEST_HEADERS_BYTES_MAX + 1));
        let body =
            |bytes: usize| Outgoing::prepare("POST", &[], vec![0; bytes].into(), 1, Redirects::Stop).err();
        assert_eq!(body(REQUEST_BYTES_MAX), None);
        assert_eq!(body(REQUEST_BYTES_MAX + 1), Some(HttpError::RequestTooLarge));
    }
}
