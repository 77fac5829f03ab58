//! The entries of the operator's allow-list.

use std::net::IpAddr;
use std::str::FromStr;

use domain::allowed_host::AllowedHost;

use crate::settings::{IpRange, SettingsError};

/// An entry of the operator's allow-list: a host, the hosts below a name, or a range of addresses,
/// each with a port. The port `*` is every port.
///
/// ```
/// use http_guard::AllowedTarget;
/// for entry in ["jenkins.corp.example:8080", "*.corp.example:443", "10.1.0.0/16:*", "[fd00::/8]:443"] {
///     assert!(entry.parse::<AllowedTarget>().is_ok(), "{entry}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTarget {
    kind: Kind,
    /// None: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Host(AllowedHost),
    /// The hosts below this one; the name itself is none of them.
    Below(AllowedHost),
    Range(IpRange),
}

impl AllowedTarget {
    /// Whether the entry names this host, as a URL parser writes it. A range names the addresses in
    /// it, where a URL has one in place of a name.
    pub(crate) fn names(&self, host: &str, port: u16) -> bool {
        self.has_port(port)
            && match &self.kind {
                Kind::Host(own) => own.matches(host, port),
                Kind::Below(own) => {
                    let label = host.len().checked_sub(own.name().len() + 1);
                    label.is_some_and(|end| {
                        end > 0
                            && host.is_char_boundary(end)
                            && host.as_bytes()[end] == b'.'
                            && own.matches(&host[end + 1..], port)
                    })
                }
                Kind::Range(_) => false,
            }
    }

    /// Whether the address lies in the range of the entry.
    pub(crate) fn holds(&self, address: IpAddr, port: u16) -> bool {
        self.has_port(port) && matches!(&self.kind, Kind::Range(range) if range.contains(address))
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for AllowedTarget {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (target, port) = text.rsplit_once(':').ok_or(SettingsError::Allow)?;
        let port = match port {
            "*" => None,
            // The host's own parser knows which spellings of a port are plain.
            number => {
                let host: AllowedHost = format!("a:{number}").parse().map_err(|_| SettingsError::Allow)?;
                Some(host.port().ok_or(SettingsError::Allow)?)
            }
        };
        let host = |name: &str| -> Result<AllowedHost, SettingsError> {
            let host: AllowedHost = name.parse().map_err(|_| SettingsError::Allow)?;
            // An address without brackets would end in what looks like a port.
            if host.port().is_some() { Err(SettingsError::Allow) } else { Ok(host) }
        };
        let kind = if target.contains('/') {
            let is_v6 = target.starts_with('[');
            let inner = target.strip_prefix('[').map_or(Some(target), |rest| rest.strip_suffix(']'));
            let range: IpRange = inner.and_then(|inner| inner.parse().ok()).ok_or(SettingsError::Allow)?;
            if range.is_v6() != is_v6 {
                return Err(SettingsError::Allow);
            }
            Kind::Range(range)
        } else if let Some(name) = target.strip_prefix("*.") {
            let below = host(name)?;
            if below.name().parse::<IpAddr>().is_ok() || below.name().starts_with('[') {
                return Err(SettingsError::Allow);
            }
            Kind::Below(below)
        } else {
            Kind::Host(host(target)?)
        };
        Ok(Self { kind, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> AllowedTarget {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_wildcard_names_what_is_below_it_and_nothing_beside() {
        let check = |entry: &str, host: &str, port, expected| {
            assert_eq!(read(entry).names(host, port), expected, "{entry} {host}:{port}");
        };
        check("*.corp.example:443", "git.corp.example", 443, true);
        check("*.corp.example:443", "a.b.CORP.example", 443, true);
        check("*.corp.example:443", "corp.example", 443, false);
        check("*.corp.example:443", ".corp.example", 443, false);
        check("*.corp.example:443", "evilcorp.example", 443, false);
        check("*.corp.example:443", "git.corp.example.evil.test", 443, false);
        check("*.corp.example:443", "git.corp.example", 80, false);
        check("*.corp.example:*", "git.corp.example", 8080, true);
        check("localhost:*", "localhost", 9, true);
        check("a.example:80", "a.example", 81, false);
    }

    #[test]
    fn a_range_holds_its_addresses_at_its_port() {
        let check = |entry: &str, address: &str, port, expected| {
            assert_eq!(read(entry).holds(address.parse().unwrap(), port), expected, "{entry} {address}");
        };
        check("10.1.0.0/16:443", "10.1.2.3", 443, true);
        check("10.1.0.0/16:443", "10.2.2.3", 443, false);
        check("10.1.0.0/16:443", "10.1.2.3", 80, false);
        check("10.1.0.0/16:*", "10.1.2.3", 80, true);
        check("[fd00::/8]:443", "fd12::1", 443, true);
        check("10.0.0.1:443", "10.0.0.1", 443, false);
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for entry in [
            "",
            "*:80",
            "*.:80",
            "a.example",
            "a.example:",
            "a.example:0",
            "a.example:080",
            "a.*.example:80",
            "*a.example:80",
            "10.0.0.0/33:80",
            "10.0.0.0/8",
            "fd00::/8:443",
            "[10.0.0.0/8]:443",
            "*.10.0.0.1:80",
            "*.[::1]:80",
            "::1:80",
            "https://a.example/x:80",
            "*.corp.example:443:80",
        ] {
            assert_eq!(entry.parse::<AllowedTarget>(), Err(SettingsError::Allow), "{entry}");
        }
    }
}
