//! Which headers of a request are sealflow's own: the same for who checks a definition and for who sends.

/// Headers that frame the message, choose the host, are for one connection or a proxy, or that sealflow sets itself; in lower case.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "sealflow-hops",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether an author can't choose the header of that name, in any case. All names for proxies are among them.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("proxy-") || OURS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

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
