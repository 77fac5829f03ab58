//! Special addresses: the IANA special-purpose registries of IPv4 and IPv6, and metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The IANA IPv4 Special-Purpose Address Registry, multicast and reserved space. The registry's
/// globally reachable blocks are included, for nobody serves an API from them.
const SPECIAL_V4: [(Ipv4Addr, u8); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's platform service
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// The one block of IPv6 that is handed out for global use. All else (loopback, mapped, NAT64,
/// unique local, link-local, multicast, segment routing, …) lies outside.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The blocks that the registry takes out of the global block.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarking, ORCHID, …
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// The addresses at which clouds serve credentials and settings to everybody who asks. Not even the
/// allow-list opens them.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), // EC2, Azure, Google
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),   // ECS credentials
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),  // EKS credentials
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure's platform service
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // EC2
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), // EKS credentials
];

/// Whether an address is outside of the public internet.
pub(crate) fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => SPECIAL_V4.iter().any(|&(network, prefix)| in_v4(v4, network, prefix)),
        IpAddr::V6(v6) => {
            !in_v6(v6, GLOBAL_V6.0, GLOBAL_V6.1)
                || SPECIAL_V6.iter().any(|&(network, prefix)| in_v6(v6, network, prefix))
        }
    }
}

/// Whether an address is a metadata service's, in whatever form.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    forms(address).any(|form| METADATA.contains(&form))
}

/// The addresses that one stands for: itself, and the IPv4 address within it. A mapped address
/// (RFC 4291) is its IPv4 address and nothing else; one of NAT64 (RFC 6052) or 6to4 (RFC 3056) leads
/// to its own.
pub(crate) fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let address = address.to_canonical();
    let within = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            match v6.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
                [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
                _ => None,
            }
        }
    };
    std::iter::once(address).chain(within.map(IpAddr::V4))
}

/// Whether a connection to `address` reaches the listener on `endpoint`. The addresses are equal,
/// or both are loopback or unspecified ones; the ports are equal.
pub(crate) fn reaches(address: SocketAddr, endpoint: SocketAddr) -> bool {
    let (ip, other) = (address.ip().to_canonical(), endpoint.ip().to_canonical());
    let own = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    address.port() == endpoint.port() && (ip == other || (own(ip) && own(other)))
}

pub(crate) fn in_v4(address: Ipv4Addr, network: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

pub(crate) fn in_v6(address: Ipv6Addr, network: Ipv6Addr, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: bool, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(is_special(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn every_special_range_is_refused_to_its_ends() {
        check(
            true,
            &["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"],
        );
        check(true, &["127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.255.255"]);
        check(
            true,
            &["172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1", "192.31.196.1"],
        );
        check(true, &["192.52.193.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1"]);
        check(
            true,
            &["198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.0", "239.1.1.1"],
        );
        check(true, &["240.0.0.0", "255.255.255.255"]);
        check(true, &["::", "::1", "::127.0.0.1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::ffff:0:1.2.3.4"]);
        check(true, &["64:ff9b::1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "1fff::1"]);
        check(true, &["2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1"]);
        check(true, &["2001:db8:ffff:ffff::1", "2002::1", "2002:7f00:1::1", "2620:4f:8000::1", "3fff::1"]);
        check(
            true,
            &["3fff:fff:ffff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1"],
        );
        check(true, &["ff02::1", "ffff::1"]);
    }

    #[test]
    fn an_address_within_an_address_is_looked_at_too() {
        let within =
            |address: &str| forms(address.parse().unwrap()).map(|form| form.to_string()).collect::<Vec<_>>();
        assert_eq!(within("8.8.8.8"), ["8.8.8.8"]);
        assert_eq!(within("::ffff:10.0.0.1"), ["10.0.0.1"]);
        assert_eq!(within("64:ff9b::a00:1"), ["64:ff9b::a00:1", "10.0.0.1"]);
        assert_eq!(within("2002:a00:1::5"), ["2002:a00:1::5", "10.0.0.1"]);
        assert_eq!(within("2606:4700::1111"), ["2606:4700::1111"]);
        for address in ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:169.254.169.254"] {
            assert!(is_metadata(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn public_addresses_beside_the_ranges_are_not() {
        check(
            false,
            &["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"],
        );
        check(false, &["128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255"]);
        check(false, &["172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"]);
        check(false, &["198.20.0.0", "223.255.255.255", "8.8.8.8"]);
        check(false, &["2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111"]);
        check(false, &["2001:db7:ffff::1", "2001:db9::1", "2620:4f:8001::1", "3ffe::1"]);
    }

    #[test]
    fn an_endpoint_on_loopback_is_reached_by_every_loopback_address() {
        let check = |address: &str, expected: bool| {
            let endpoint = "127.0.0.1:9001".parse().unwrap();
            assert_eq!(reaches(address.parse().unwrap(), endpoint), expected, "{address}");
        };
        check("127.0.0.1:9001", true);
        check("127.8.8.8:9001", true);
        check("0.0.0.0:9001", true);
        check("[::1]:9001", true);
        check("[::ffff:127.0.0.1]:9001", true);
        check("127.0.0.1:9002", false);
        check("8.8.8.8:9001", false);
    }
}
