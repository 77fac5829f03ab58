//! The headers of a request that sealflow sets itself, for the check of definitions and for the
//! client; and the count of hops.

use crate::limits::HTTP_HOPS_MAX;

/// The header in which the `http` component counts the calls from sealflow to sealflow.
pub const HOPS_HEADER: &str = "sealflow-hops";

/// The error of workflows that have called each other more than [`HTTP_HOPS_MAX`] times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("workflows have called each other more than {HTTP_HOPS_MAX} times")]
pub struct TooManyHops;

/// The count in a request's [`HOPS_HEADER`]. A value that can't be read counts as 0, because then
/// sealflow did not write the header.
///
/// # Errors
/// [`TooManyHops`].
pub fn hop_count(header: Option<&str>) -> Result<i32, TooManyHops> {
    let hops = header.and_then(|value| value.trim().parse::<u32>().ok()).unwrap_or(0);
    if hops > HTTP_HOPS_MAX { Err(TooManyHops) } else { i32::try_from(hops).map_err(|_| TooManyHops) }
}

/// Headers that frame the message, choose the host, are for one connection or a proxy, or that
/// sealflow sets itself; in lower case.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    HOPS_HEADER,
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether this header name, in any case, is one that an author may not set. This includes all
/// names that begin with `proxy-`.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("proxy-") || OURS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_up_to_their_limit_i10() {
        let count = |text: String| hop_count(Some(&text));
        assert_eq!(count(HTTP_HOPS_MAX.to_string()), Ok(10));
        assert_eq!(count((HTTP_HOPS_MAX + 1).to_string()), Err(TooManyHops));
        for unread in ["", "x", "-1", "99999999999"] {
            assert_eq!(hop_count(Some(unread)), Ok(0), "{unread}");
        }
        assert_eq!((hop_count(None), hop_count(Some(" 3 "))), (Ok(0), Ok(3)));
    }

    #[test]
    fn framing_hop_and_proxy_headers_are_ours_in_any_case() {
        for name in ["Host", "TE", "accept-encoding", "Proxy-Authorization", "PROXY-AUTHENTICATE", "proxy-x"]
        {
            assert!(is_ours(name), "{name}");
        }
        for name in ["Accept", "Authorization", "User-Agent", "X-Proxy-Id", "Idempotency-Key", "Hosts"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
