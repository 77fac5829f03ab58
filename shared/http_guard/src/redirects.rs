//! Redirects: which answers are one, and the request that follows.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use crate::request::Outgoing;
use crate::{HOPS_HEADER, HttpError};

/// The origin that a redirect leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The same scheme, host and port.
    Same,
    /// Another origin.
    Other,
}

/// Whether the response is a redirect.
pub(crate) fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(header::LOCATION)
}

/// The URL or reference that a redirect leads to.
pub(crate) fn location(headers: &HeaderMap) -> Result<&str, HttpError> {
    let value = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    value.ok_or(HttpError::InvalidUrl("a redirect can't be read"))
}

impl Outgoing {
    /// The request that a browser would send after a redirect. After 303 the method becomes GET, as
    /// after 301 and 302 to a POST.
    pub(crate) fn redirected(mut self, status: StatusCode, origin: Origin) -> Self {
        let moved = matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
        let other = status == StatusCode::SEE_OTHER;
        if (moved && self.method == Method::POST) || (other && self.method != Method::HEAD) {
            self.method = Method::GET;
            self.body = Bytes::new();
            for name in [
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::CONTENT_LANGUAGE,
                header::CONTENT_LOCATION,
            ] {
                self.headers.remove(name);
            }
        }
        if origin == Origin::Other {
            let names: Vec<_> = self.headers.keys().filter(|name| !goes_along(name)).cloned().collect();
            for name in names {
                self.headers.remove(name);
            }
        }
        self
    }
}

/// Whether a header is sent to another origin too. A header outside of this list may hold a
/// credential of the author's.
fn goes_along(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 17] = [
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::RANGE,
        header::USER_AGENT,
        HOPS_HEADER,
        HeaderName::from_static("idempotency-key"),
    ];
    NAMES.contains(name)
}
