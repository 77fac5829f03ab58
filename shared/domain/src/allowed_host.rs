//! Hosts that a secret may be sent to.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Bytes of a DNS name.
const NAME_BYTES_MAX: usize = 253;
/// Bytes of one label of a DNS name.
const LABEL_BYTES_MAX: usize = 63;

/// A host that a secret may be sent to: an exact name or address, and optionally a port.
///
/// Names are in their ASCII form and lower case; a name without a port stands for every port. There
/// are no wildcards: a wildcard would trust everybody who can make a name below it.
///
/// ```
/// let host: domain::allowed_host::AllowedHost = "API.example.com:8443".parse().unwrap();
/// assert_eq!(host.to_string(), "api.example.com:8443");
/// assert!(host.matches("api.example.com", 8443));
/// assert!(!host.matches("api.example.com", 443));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllowedHost {
    /// As a URL parser writes it: lower case, an IPv6 address in brackets.
    name: String,
    port: Option<u16>,
}

/// The fault of a text that is no allowed host, told to its author.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AllowedHostError {
    /// Not a name or an address, or not in the one spelling that is compared.
    #[error(
        "not a host: write it as `api.example.com`, in ASCII, without scheme, path or wildcard; an IPv6 address in brackets, as `[2001:db8::1]`"
    )]
    Name,
    /// The port is not a number from 1 to 65535.
    #[error("the port of a host is a number from 1 to 65535")]
    Port,
}

impl AllowedHost {
    /// The name, in lower case; an IPv6 address has brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port; none means every port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a connection to `host` and `port` is allowed. `host` is the URL's host as a URL
    /// parser gives it: ASCII, an IPv6 address in brackets.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.name.eq_ignore_ascii_case(host) && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for AllowedHost {
    type Err = AllowedHostError;

    fn from_str(text: &str) -> Result<Self, AllowedHostError> {
        if text.contains('/') || text.parse::<Ipv6Addr>().is_ok() {
            return Err(AllowedHostError::Name);
        }
        let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
        let (name, port) = match text[after_brackets..].rfind(':') {
            Some(colon) => {
                let colon = after_brackets + colon;
                (&text[..colon], Some(parse_port(&text[colon + 1..])?))
            }
            None => (text, None),
        };
        let name = name.to_ascii_lowercase();
        if is_address(&name) || is_name(&name) {
            Ok(Self { name, port })
        } else {
            Err(AllowedHostError::Name)
        }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn parse_port(text: &str) -> Result<u16, AllowedHostError> {
    let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or(AllowedHostError::Port)
}

/// Whether the name is an address in the spelling of URL parsers. Only that spelling can match, for
/// names are compared as text.
fn is_address(name: &str) -> bool {
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok_and(|address| url_text(address) == inner);
    }
    name.parse::<Ipv4Addr>().is_ok()
}

/// IPv6 as WHATWG's URL standard writes it: never with a dotted IPv4 tail, which Rust's `Display`
/// uses for mapped addresses.
fn url_text(address: Ipv6Addr) -> String {
    match address.to_ipv4_mapped() {
        Some(_) => {
            let [.., high, low] = address.segments();
            format!("::ffff:{high:x}:{low:x}")
        }
        None => address.to_string(),
    }
}

fn is_name(name: &str) -> bool {
    // A last label of digits (or 0x…) is read as an IPv4 address by URL parsers and would never
    // match.
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    name.len() <= NAME_BYTES_MAX && !numeric && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_back_as_they_are_shown() {
        let check = |text: &str, shown: &str| {
            let host: AllowedHost = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(host.to_string(), shown);
            assert_eq!(shown.parse(), Ok(host));
        };
        check("api.example.com", "api.example.com");
        check("API.Example.COM:443", "api.example.com:443");
        check("localhost:8080", "localhost:8080");
        check("xn--bcher-kva.example", "xn--bcher-kva.example");
        check("127.0.0.1:4000", "127.0.0.1:4000");
        check("[2001:DB8::1]", "[2001:db8::1]");
        check("[2001:db8::1]:65535", "[2001:db8::1]:65535");
        check("[::ffff:7f00:1]:1", "[::ffff:7f00:1]:1");
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let check = |text: &str, expected| assert_eq!(text.parse::<AllowedHost>(), Err(expected), "{text}");
        for text in [
            "",
            ".",
            "a..b",
            "a.example.",
            "*.example.com",
            "https://a.example",
            "a.example/x",
            "user@a.example",
            "a example",
            "bücher.example",
            "-a.example",
            "a-.example",
            "2130706433",
            "0x7f.1",
            "127.1",
            "1.2.3.4.5",
            "[::1",
            "::1",
            "[::01]",
            "[::ffff:127.0.0.1]",
            "[::1]x",
            "a.example\n",
            "a%2eexample",
            "[a.example]",
        ] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text:?} was taken");
        }
        check("a_b$.example", AllowedHostError::Name);
        check("https://api.example.com", AllowedHostError::Name);
        check("https://api.example.com:8443/x", AllowedHostError::Name);
        check("::1", AllowedHostError::Name);
        for text in
            ["a.example:", "a.example:0", "a.example:65536", "a.example:+1", "a.example:01", "a.example:x"]
        {
            check(text, AllowedHostError::Port);
        }
    }

    #[test]
    fn names_have_a_longest_length() {
        let check = |text: String, ok: bool| assert_eq!(text.parse::<AllowedHost>().is_ok(), ok, "{text}");
        let label = "a".repeat(LABEL_BYTES_MAX);
        let name = |last: usize| format!("{label}.{label}.{label}.{}", "a".repeat(last));
        assert_eq!(name(61).len(), NAME_BYTES_MAX);
        check(name(61), true);
        check(name(62), false);
        check("a".repeat(LABEL_BYTES_MAX), true);
        check("a".repeat(LABEL_BYTES_MAX + 1), false);
    }

    #[test]
    fn a_host_matches_itself_alone() {
        let check = |allowed: &str, host: &str, port: u16, expected: bool| {
            assert_eq!(
                allowed.parse::<AllowedHost>().unwrap().matches(host, port),
                expected,
                "{allowed} {host}:{port}"
            );
        };
        check("a.example", "a.example", 443, true);
        check("a.example", "A.EXAMPLE", 8443, true);
        check("a.example", "b.a.example", 443, false);
        check("a.example", "a.example.evil.test", 443, false);
        check("a.example", "a.example.", 443, false);
        check("a.example:8443", "a.example", 443, false);
        check("a.example:8443", "a.example", 8443, true);
        check("[2001:db8::1]:443", "[2001:db8::1]", 443, true);
        check("[2001:db8::1]:443", "2001:db8::1", 443, false);
    }
}
