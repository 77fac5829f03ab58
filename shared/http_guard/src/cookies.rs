//! Cookies within one chain of redirects: what a hop sets goes along to the next ones that it is
//! for (RFC 6265, section 5). They end with the chain, so nothing is kept between executions.

use cookie_store::CookieStore;
use domain::limits::HTTP_REQUEST_HEADERS_BYTES_MAX;
use http::header::{self, HeaderMap, HeaderValue};

use crate::request::Outgoing;
use crate::target::Target;

/// The cookies of one chain.
#[derive(Default)]
pub(crate) struct Cookies {
    store: CookieStore,
}

impl Cookies {
    /// Takes the cookies that a target sets. What can't be read is left out, as browsers do it.
    pub(crate) fn take(&mut self, headers: &HeaderMap, target: &Target) {
        for value in headers.get_all(header::SET_COOKIE) {
            if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
                // A refused cookie, such as one for another site, is not sent.
                let _ = self.store.parse(text, target.url());
            }
        }
    }

    /// The cookies for a target, as they stand in a `Cookie` header. Those that would not fit into a
    /// request are left out.
    pub(crate) fn of(&self, target: &Target) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, value) in self.store.get_request_values(target.url()) {
            if text.len() + name.len() + value.len() + 3 > HTTP_REQUEST_HEADERS_BYTES_MAX {
                break;
            }
            if !text.is_empty() {
                text.extend_from_slice(SEPARATOR);
            }
            text.extend_from_slice(format!("{name}={value}").as_bytes());
        }
        text
    }
}

const SEPARATOR: &[u8] = b"; ";

/// The `Cookie` header of a hop: the author's own cookies, and then the chain's. None: the request
/// stays as it is.
pub(crate) fn header(outgoing: &Outgoing) -> Option<HeaderValue> {
    if outgoing.chain_cookies.is_empty() {
        return None;
    }
    let own = outgoing.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let all: Vec<&[u8]> = own.chain([outgoing.chain_cookies.as_slice()]).collect();
    let mut value = HeaderValue::from_bytes(&all.join(SEPARATOR)).ok()?;
    value.set_sensitive(true);
    Some(value)
}
