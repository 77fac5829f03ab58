//! Which addresses are reached: none that is special, in whatever spelling, by whatever way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use common::{World, allowing, get, ok, redirect, send};
use http_guard::{GuardSettings, GuardedClient, HttpError};

/// Hosts that mean an address which is not to be reached.
const FORBIDDEN: [&str; 62] = [
    // Loopback: dotted, short, decimal, octal, hexadecimal, mixed, with a trailing dot, full-width,
    // percent-encoded.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0x0.0.01",
    "127.0.0.1.",
    "\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "%31%32%37.0.0.1",
    "%32130706433",
    // This network.
    "0",
    "0.0.0.0",
    "0x0",
    "00.0.0.1",
    // Private and shared.
    "10.0.0.1",
    "0xa.1",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "3232235777",
    "0xc0.0xa8.1.1",
    "100.64.0.1",
    // Metadata.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "[fd00:ec2::254]",
    // Documentation, benchmarking, relays, multicast, reserved.
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "255.255.255.255",
    "4294967295",
    // IPv6: loopback, unspecified, mapped, compatible, NAT64, 6to4, Teredo, local, documentation.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0000:0000:0000:0000:0000:FFFF:169.254.169.254]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::1]",
    "[fc00::1]",
    "[fe80::1]",
    "[2001:db8::1]",
];

#[tokio::test]
async fn no_spelling_of_a_special_address_is_connected_to() {
    for host in FORBIDDEN {
        for url in [format!("http://{host}/"), format!("https://{host}:8443/path?query")] {
            let world = World::new();
            let error = world.send(get(&url)).await.err();
            assert_eq!(error, Some(HttpError::AddressRefused), "{url}");
            assert_eq!(world.connected(), [""; 0], "{url}");
        }
    }
}

#[tokio::test]
async fn no_redirect_leads_to_a_special_address() {
    for host in FORBIDDEN {
        if !host.is_ascii() {
            continue; // Location is ASCII.
        }
        let world = World::new();
        world.name("a.example", &[&["8.8.8.8"]]);
        world.site("8.8.8.8:80", move |_| redirect(302, &format!("http://{host}/"))).await;
        let error = world.send(get("http://a.example/")).await.err();
        assert_eq!(error, Some(HttpError::AddressRefused), "{host}");
        assert_eq!(world.connected(), ["8.8.8.8:80"], "{host}");
    }
}

#[tokio::test]
async fn a_name_with_special_addresses_alone_is_refused_like_a_literal() {
    let world = World::new();
    world.name("a.example", &[&["127.0.0.1", "::1", "10.0.0.1", "64:ff9b::7f00:1"]]);
    let by_name = world.send(get("https://a.example/")).await.err().unwrap();
    let by_address = world.send(get("https://127.0.0.1/")).await.err().unwrap();
    assert_eq!(world.connected(), [""; 0]);
    assert_eq!((by_name.code(), by_name.to_string()), (by_address.code(), by_address.to_string()));
}

#[tokio::test]
async fn every_answer_of_dns_is_checked_and_only_checked_ones_are_tried() {
    let world = World::new();
    world.name("a.example", &[&["10.0.0.1", "9.9.9.9", "127.0.0.1", "8.8.8.8", "::1"]]);
    world.site("8.8.8.8:80", |_| ok("here")).await;
    world.site("127.0.0.1:80", |_| ok("inside")).await;
    let response = world.send(get("http://a.example/")).await.unwrap();
    assert_eq!(response.body, b"here");
    assert_eq!(world.connected(), ["9.9.9.9:80", "8.8.8.8:80"]);
}

#[tokio::test]
async fn so_many_addresses_of_a_name_are_tried_and_no_more_i10() {
    const ADDRESSES_MAX: usize = 8;
    const DEAD: [&str; ADDRESSES_MAX] =
        ["9.9.9.1", "9.9.9.2", "9.9.9.3", "9.9.9.4", "9.9.9.5", "9.9.9.6", "9.9.9.7", "9.9.9.8"];
    let tried = async |dead: usize| {
        let world = World::new();
        let answer: Vec<&'static str> = DEAD[..dead].iter().copied().chain(["8.8.8.8"]).collect();
        world.name("a.example", &[&answer]);
        world.site("8.8.8.8:80", |_| ok("here")).await;
        (world.send(get("http://a.example/")).await.err(), world.connected().len())
    };
    assert_eq!(tried(ADDRESSES_MAX - 1).await, (None, ADDRESSES_MAX));
    assert_eq!(tried(ADDRESSES_MAX).await, (Some(HttpError::Connect), ADDRESSES_MAX));
}

#[tokio::test]
async fn an_answer_that_changes_after_the_check_changes_nothing() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"], &["127.0.0.1"]]);
    world.site("8.8.8.8:80", |_| ok("outside")).await;
    world.site("127.0.0.1:80", |_| ok("inside")).await;
    assert_eq!(world.send(get("http://a.example/")).await.unwrap().body, b"outside");
    assert_eq!((world.resolved().len(), world.connected()), (1, vec!["8.8.8.8:80".to_owned()]));
    // The next connection asks again, and sees the change.
    let error = world.send(get("http://a.example/")).await.err();
    assert_eq!((error, world.connected().len()), (Some(HttpError::AddressRefused), 1));
}

#[tokio::test]
async fn an_answer_that_changes_between_two_hops_is_checked_again() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"], &["169.254.169.254"]]);
    world.site("8.8.8.8:80", |_| redirect(307, "/again")).await;
    assert_eq!(world.send(get("http://a.example/")).await.err(), Some(HttpError::AddressRefused));
    assert_eq!(world.connected(), ["8.8.8.8:80"]);
}

#[tokio::test]
async fn the_operators_ranges_are_refused_and_the_allow_list_opens_one_port_of_one_host() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    world.site("127.0.0.1:4000", |_| ok("allowed")).await;
    let settings =
        GuardSettings { deny: vec!["8.0.0.0/8".parse().unwrap()], ..allowing(&["127.0.0.1:4000"]) };
    let client = world.client(settings);
    let error = async |url: &str| send(&client, get(url)).await.err();
    assert_eq!(error("http://127.0.0.1:4000/").await, None);
    assert_eq!(error("http://2130706433:4000/").await, None);
    for url in ["http://127.0.0.1:4001/", "http://localhost.example:4000/", "http://127.0.0.2:4000/"] {
        world.name("localhost.example", &[&["127.0.0.1"]]);
        assert_eq!(error(url).await, Some(HttpError::AddressRefused), "{url}");
    }
    assert_eq!(error("http://a.example/").await, Some(HttpError::AddressRefused));
    assert_eq!(world.connected().len(), 2);
}

#[tokio::test]
async fn the_runtime_api_and_metadata_stay_closed_on_an_allowed_host() {
    let world = World::new();
    world.name("a.example", &[&["127.0.0.1", "169.254.169.254", "fd00:ec2::254", "::1"]]);
    let settings =
        GuardSettings { never: vec!["127.0.0.1:9001".parse().unwrap()], ..allowing(&["a.example:9001"]) };
    let error = send(&world.client(settings), get("http://a.example:9001/")).await.err();
    assert_eq!((error, world.connected().len()), (Some(HttpError::AddressRefused), 0));
}

#[tokio::test]
async fn a_name_without_address_and_a_dead_address_say_so() {
    let world = World::new();
    world.name("empty.example", &[&[]]);
    world.name("dead.example", &[&["8.8.8.8"]]);
    assert_eq!(world.send(get("http://none.example/")).await.err(), Some(HttpError::Dns));
    assert_eq!(world.send(get("http://empty.example/")).await.err(), Some(HttpError::Dns));
    assert_eq!(world.send(get("http://dead.example/")).await.err(), Some(HttpError::Connect));
}

const CHILD_TARGET: &str = "HTTP_GUARD_TEST_TARGET";

/// Runs itself again with proxies set, for a process can't set its own environment safely.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_of_the_environment_are_ignored() {
    let Ok(target) = std::env::var(CHILD_TARGET) else { return run_with_proxies() };
    let client = GuardedClient::new(allowing(&[&target]));
    let request = get(&format!("http://{target}/"));
    assert_eq!(send(&client, request).await.unwrap().body, b"direct");
    for url in FORBIDDEN.iter().map(|host| format!("https://{host}/")).chain(["https://10.1.2.3/".to_owned()])
    {
        let mut request = get(&url);
        request.timeout = Duration::from_secs(2);
        assert_eq!(send(&client, request).await.err(), Some(HttpError::AddressRefused), "{url}");
    }
}

fn run_with_proxies() {
    use std::io::{Read, Write};
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = target.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(&ok("direct")).unwrap();
    });
    let proxy = format!("http://{}", trap.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxies_of_the_environment_are_ignored"]).env(CHILD_TARGET, address);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, &proxy);
    }
    let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serving.join().unwrap();
    assert_eq!(trap.accept().err().unwrap().kind(), std::io::ErrorKind::WouldBlock, "the proxy was called");
}
