//! Redirects: which responses are redirects, which of them are followed, and the request that
//! follows.

use bytes::Bytes;
use domain::limits::HTTP_REDIRECTS_MAX;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use crate::allowed_hosts::Rules;
use crate::client::{GuardedClient, finish};
use crate::cookies::Cookies;
use crate::request::Outgoing;
use crate::target::Target;
use crate::{HOPS_HEADER, Head, HttpError, Redirects, Request, Response};

/// The origin that a redirect leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The same scheme, host and port.
    Same,
    /// Another origin.
    Other,
}

impl GuardedClient {
    /// Sends a request and follows its redirects. Each head is put in `seen` as it arrives.
    pub(crate) async fn follow(
        &self,
        request: Request,
        seen: &mut Option<Head>,
    ) -> Result<Response, HttpError> {
        let Request {
            method, url, headers, body, used_secret, allowed_hosts, redirects, hop_count, tls, ..
        } = request;
        let follows = match redirects {
            Redirects::Follow(most) => Some(most.min(HTTP_REDIRECTS_MAX)),
            Redirects::Stop => None,
        };
        let used_secret = used_secret || !allowed_hosts.is_empty() || tls.client.is_some();
        let tls = self.connector.tls_of(&tls)?;
        let rules = Rules { used_secret, allowed_hosts };
        let mut outgoing = Outgoing::prepare(&method, &headers, body, hop_count, redirects)?;
        let mut target = Target::parse(&url)?;
        let mut cookies = Cookies::default();
        let mut followed = 0;
        loop {
            let answer = self.hop(&rules, &target, &outgoing, &tls, seen).await?;
            let redirects_max = match follows {
                Some(most) if is_redirect(answer.status, &answer.headers) => most,
                _ => return finish(answer, target, followed),
            };
            if followed == redirects_max {
                return Err(HttpError::RedirectLimit);
            }
            let next = target.join(&location(&answer.headers)?)?;
            let origin = if next.has_origin_of(&target) { Origin::Same } else { Origin::Other };
            if rules.used_secret && origin == Origin::Other {
                return Err(HttpError::RedirectBlocked);
            }
            cookies.take(&answer.headers, &target);
            outgoing = outgoing.redirected(answer.status, origin);
            outgoing.chain_cookies = cookies.of(&next);
            target = next;
            followed += 1;
        }
    }
}

/// Whether the response is a redirect.
pub(crate) fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(header::LOCATION)
}

/// The URL or reference that a redirect leads to. Spaces and bytes that are not ASCII are
/// percent-encoded, as browsers do it: many servers send a file's name as it is.
pub(crate) fn location(headers: &HeaderMap) -> Result<String, HttpError> {
    let value = headers.get(header::LOCATION).ok_or(HttpError::RedirectInvalid("it names no target"))?;
    Ok(percent_encoding::percent_encode(value.as_bytes().trim_ascii(), SPACE).to_string())
}

/// The bytes percent-encoded in a redirect's target, beside those that are not ASCII. Control
/// characters are left, and refused.
const SPACE: &percent_encoding::AsciiSet = &percent_encoding::AsciiSet::EMPTY.add(b' ');

impl Outgoing {
    /// The request that a browser would send after a redirect. The method becomes GET after 303,
    /// and also after 301 or 302 if it was POST.
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
