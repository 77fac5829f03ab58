//! The operator's decisions about outgoing requests.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::{AllowedTarget, address};

/// Time to resolve, connect and shake hands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a whole request, redirects included. A longer time-out of a request is cut
/// to it.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(domain::limits::COMPONENT_SECONDS_MAX as u64);
/// Entries of the allow-list, and of the operator's ranges.
const ENTRIES_MAX: usize = 1_000;

/// A range of addresses, such as `10.1.0.0/16`; without a prefix a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    network: IpAddr,
    prefix: u8,
}

/// The operator's decisions about outgoing requests. The default allows the public internet and
/// nothing else.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// Hosts that may have special addresses and may be called by plain http, even with secrets; and
    /// ranges of addresses that may be called under any name, which are no leave for plain http.
    pub allow: Vec<AllowedTarget>,
    /// Ranges that are refused in addition to the special-purpose ones, except for the hosts in
    /// `allow`. Of a range in `allow` they take their part away.
    pub deny: Vec<IpRange>,
    /// Sockets that are refused even if `allow` names them: the Lambda runtime's API.
    pub never: Vec<SocketAddr>,
    /// Certificates of authorities that are trusted in addition to the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Time to resolve, connect and shake hands.
    pub connect_timeout: Duration,
}

/// The error of a variable that can't be read: the function can't start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// `SEALFLOW_HTTP_ALLOW`
    #[error(
        "SEALFLOW_HTTP_ALLOW is a list of host:port, *.name:port and range:port such as 10.1.0.0/16:443, with commas between (at most {ENTRIES_MAX}); the port * is every port"
    )]
    Allow,
    /// `SEALFLOW_HTTP_DENY`
    #[error(
        "SEALFLOW_HTTP_DENY is a list of addresses and ranges such as 10.0.0.0/8, with commas between (at most {ENTRIES_MAX})"
    )]
    Deny,
    /// `AWS_LAMBDA_RUNTIME_API`
    #[error("AWS_LAMBDA_RUNTIME_API is an address with a port")]
    RuntimeApi,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            never: Vec::new(),
            extra_roots: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// Whether the operator's allow-list names a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The list names the host.
    Allowed,
    /// The list does not name the host.
    No,
}

impl GuardSettings {
    /// The settings of the environment: `SEALFLOW_HTTP_ALLOW` (`host:port,…`), `SEALFLOW_HTTP_DENY`
    /// (ranges) and `AWS_LAMBDA_RUNTIME_API`, whose address is never connected to.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable that can't be read.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// [`GuardSettings::from_env`] with the environment passed in.
    ///
    /// # Errors
    /// As [`GuardSettings::from_env`].
    pub fn from_variables(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingsError> {
        let allow = list(variable("SEALFLOW_HTTP_ALLOW")).ok_or(SettingsError::Allow)?;
        let deny = list(variable("SEALFLOW_HTTP_DENY")).ok_or(SettingsError::Deny)?;
        let never = match variable("AWS_LAMBDA_RUNTIME_API").filter(|value| !value.is_empty()) {
            Some(value) => {
                // Lambda's value is host and port; `cargo lambda watch` adds a scheme and the
                // function's name.
                let value = value.strip_prefix("http://").unwrap_or(&value);
                let address = value.split('/').next().unwrap_or_default().replace("localhost:", "127.0.0.1:");
                vec![address.parse().map_err(|_| SettingsError::RuntimeApi)?]
            }
            None => Vec::new(),
        };
        Ok(Self { allow, deny, never, ..Self::default() })
    }

    /// Whether the operator's allow-list names this host and port, as a URL parser writes them.
    pub(crate) fn listed(&self, host: &str, port: u16) -> Listed {
        let is_named = self.allow.iter().any(|allowed| allowed.names(host, port));
        if is_named { Listed::Allowed } else { Listed::No }
    }

    /// Whether a connection to this socket is allowed. `host` says whether the allow-list names the
    /// host.
    pub(crate) fn admits(&self, socket: SocketAddr, host: Listed) -> bool {
        let ip = socket.ip();
        let never = self.never.iter().any(|endpoint| address::reaches(socket, *endpoint));
        if never || address::is_metadata(ip) {
            return false;
        }
        let is_open = |form| {
            !self.deny.iter().any(|range| range.contains(form))
                && (!address::is_special(form)
                    || self.allow.iter().any(|allowed| allowed.holds(form, socket.port())))
        };
        // A mapped address is special whatever it holds: nobody needs it. Others that hold an address
        // are open only where both are.
        let is_mapped = ip != ip.to_canonical();
        host == Listed::Allowed || !is_mapped && address::forms(ip).all(is_open)
    }
}

impl IpRange {
    pub(crate) fn is_v6(&self) -> bool {
        self.network.is_ipv6()
    }

    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (address, self.network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => address::in_v4(address, network, self.prefix),
            (IpAddr::V6(address), IpAddr::V6(network)) => address::in_v6(address, network, self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (network, prefix) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let network: IpAddr = network.parse().map_err(|_| SettingsError::Deny)?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| SettingsError::Deny)?;
        if prefix > longest { Err(SettingsError::Deny) } else { Ok(Self { network, prefix }) }
    }
}

/// A list with commas between the entries; empty entries are skipped.
fn list<T: FromStr>(text: Option<String>) -> Option<Vec<T>> {
    let text = text.unwrap_or_default();
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let list: Option<Vec<T>> = entries.map(|entry| entry.parse().ok()).collect();
    list.filter(|list| list.len() <= ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Result<GuardSettings, SettingsError> {
        GuardSettings::from_variables(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn the_environment_says_what_is_allowed_and_denied() {
        let allow = read("SEALFLOW_HTTP_ALLOW", "127.0.0.1:4000, Target.local:80,,[::1]:8443").unwrap();
        let allows = |host: &str, port| allow.listed(host, port) == Listed::Allowed;
        assert!(allows("127.0.0.1", 4000) && allows("target.local", 80) && allows("[::1]", 8443));
        assert!(!allows("127.0.0.1", 4001) && !allows("target.local", 443));
        let deny = read("SEALFLOW_HTTP_DENY", "52.0.0.0/8,2606:4700::/32,9.9.9.9").unwrap();
        let admits = |socket: &str| deny.admits(socket.parse().unwrap(), Listed::No);
        assert!(!admits("52.1.2.3:443") && !admits("[2606:4700::1]:443") && !admits("9.9.9.9:443"));
        assert!(admits("53.1.2.3:443") && admits("[2606:4701::1]:443") && admits("9.9.9.8:443"));
    }

    #[test]
    fn what_cannot_be_understood_stops_the_start() {
        let check = |name, value: &str, expected| {
            assert_eq!(read(name, value).err(), Some(expected), "{value}");
        };
        check("SEALFLOW_HTTP_ALLOW", "127.0.0.1", SettingsError::Allow);
        check("SEALFLOW_HTTP_ALLOW", "*:80", SettingsError::Allow);
        check("SEALFLOW_HTTP_ALLOW", &"a:1,".repeat(ENTRIES_MAX + 1), SettingsError::Allow);
        check("SEALFLOW_HTTP_DENY", "10.0.0.0/33", SettingsError::Deny);
        check("SEALFLOW_HTTP_DENY", "ten", SettingsError::Deny);
        check("AWS_LAMBDA_RUNTIME_API", "runtime", SettingsError::RuntimeApi);
        assert_eq!(
            read("SEALFLOW_HTTP_ALLOW", &"a:1,".repeat(ENTRIES_MAX)).unwrap().allow.len(),
            ENTRIES_MAX
        );
    }

    #[test]
    fn the_address_of_the_runtime_is_read_as_lambda_and_as_its_emulator_write_it() {
        for value in
            ["127.0.0.1:9001", "localhost:9001", "http://127.0.0.1:9001/executor", "127.0.0.1:9001/executor"]
        {
            let settings = read("AWS_LAMBDA_RUNTIME_API", value).unwrap();
            assert!(!settings.admits("127.0.0.1:9001".parse().unwrap(), Listed::Allowed), "{value}");
        }
    }

    #[test]
    fn the_allow_list_opens_special_and_denied_addresses_but_no_metadata_and_no_runtime() {
        let settings = GuardSettings {
            deny: vec!["52.0.0.0/8".parse().unwrap()],
            ..read("AWS_LAMBDA_RUNTIME_API", "localhost:9001").unwrap()
        };
        let check = |socket: &str, expected: bool| {
            assert_eq!(settings.admits(socket.parse().unwrap(), Listed::Allowed), expected, "{socket}");
            assert!(!settings.admits(socket.parse().unwrap(), Listed::No), "{socket}");
        };
        check("127.0.0.1:4000", true);
        check("52.1.1.1:443", true);
        check("127.0.0.1:9001", false);
        check("[::1]:9001", false);
        check("169.254.169.254:80", false);
        check("[::ffff:169.254.169.254]:80", false);
        check("[fd00:ec2::254]:80", false);
    }

    #[test]
    fn a_range_opens_its_addresses_but_neither_plain_http_nor_what_is_denied() {
        let settings = GuardSettings {
            deny: vec!["10.1.9.0/24".parse().unwrap()],
            ..read("SEALFLOW_HTTP_ALLOW", "10.1.0.0/16:443,169.254.0.0/16:*,*.corp.example:80").unwrap()
        };
        let admits = |socket: &str| settings.admits(socket.parse().unwrap(), Listed::No);
        assert!(admits("10.1.2.3:443") && admits("8.8.8.8:443"));
        assert!(!admits("10.1.2.3:80") && !admits("10.2.2.3:443") && !admits("10.1.9.3:443"));
        assert!(!admits("169.254.169.254:80"), "no entry opens a metadata service");
        let wide = GuardSettings {
            deny: vec!["10.0.0.0/8".parse().unwrap()],
            ..read("SEALFLOW_HTTP_ALLOW", "[::/0]:*").unwrap()
        };
        let admits = |socket: &str| wide.admits(socket.parse().unwrap(), Listed::No);
        assert!(admits("[64:ff9b::808:808]:443") && admits("[fd12::1]:443"));
        for socket in [
            "[64:ff9b::a00:1]:443",
            "[64:ff9b::7f00:1]:443",
            "[64:ff9b::a9fe:a9fe]:80",
            "[::ffff:10.0.0.1]:443",
            "[::ffff:8.8.8.8]:443",
            "[2002:a00:1::1]:443",
        ] {
            assert!(!admits(socket), "{socket}");
        }
        assert_eq!(settings.listed("10.1.2.3", 443), Listed::No);
        assert_eq!(settings.listed("git.corp.example", 80), Listed::Allowed);
    }

    #[test]
    fn a_range_without_bits_holds_everything() {
        let all: IpRange = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }
}
