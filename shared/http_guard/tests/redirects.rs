//! Redirects, and what a request with a secret may do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{World, allowing, get, ok, redirect, send};
use http_guard::{HttpError, Request};

const SECRET: &str = "hunter2-hunter2-hunter2";

/// Every name and port there is answers; `https://a.example/start` redirects.
async fn redirecting(status: u16, location: &'static str) -> World {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    world.name("b.example", &[&["9.9.9.9"]]);
    world
        .secure_site("8.8.8.8:443", "a.example", move |heard| {
            let path = heard.line().split(['/', '?']).nth(1);
            if path == Some("start") { redirect(status, location) } else { ok("arrived") }
        })
        .await;
    world.secure_site("8.8.8.8:8443", "a.example", |_| ok("other port")).await;
    world.site("8.8.8.8:80", |_| ok("plain")).await;
    world.secure_site("9.9.9.9:443", "b.example", |_| ok("other host")).await;
    world.site("9.9.9.9:80", |_| ok("other host, plain")).await;
    world
}

fn with_secret(place: &str) -> Request {
    let mut request = get("https://a.example/start");
    request.used_secret = true;
    match place {
        "header" => request.headers.push(("Authorization".into(), format!("Bearer {SECRET}"))),
        "query" => request.url = format!("https://a.example/start?token={SECRET}"),
        "body" => {
            request.method = "POST".into();
            request.body = SECRET.into();
        }
        other => panic!("{other}"),
    }
    request
}

#[tokio::test]
async fn a_request_with_a_secret_is_not_redirected_to_another_origin_i1() {
    let elsewhere = [
        ("https://b.example/start2", "9.9.9.9:443"),
        ("//b.example/start2", "9.9.9.9:443"),
        ("https://a.example:8443/start2", "8.8.8.8:8443"),
        ("http://a.example/start2", "8.8.8.8:80"),
        ("http://b.example/start2", "9.9.9.9:80"),
        ("http://a.example:443/start2", "8.8.8.8:443"),
    ];
    for status in [301, 302, 303, 307, 308] {
        for (location, other) in elsewhere {
            for place in ["header", "query", "body"] {
                let world = redirecting(status, location).await;
                let error = world.send(with_secret(place)).await.err();
                assert_eq!(error, Some(HttpError::RedirectBlocked), "{status} {location} {place}");
                let heard = usize::from(other == "8.8.8.8:443");
                assert_eq!(world.heard(other).len(), heard, "{status} {location} {place}");
                assert_eq!(world.connected(), ["8.8.8.8:443"], "{status} {location} {place}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_with_a_secret_follows_within_its_origin() {
    for location in ["/next", "next", "https://a.example/next", "https://A.EXAMPLE:443/next#part"] {
        let world = redirecting(307, location).await;
        let response = world.send(with_secret("header")).await.unwrap();
        assert_eq!((response.body.as_slice(), response.redirects), (b"arrived".as_slice(), 1), "{location}");
        assert_eq!(response.url, "https://a.example/next");
        let heard = world.heard("8.8.8.8:443");
        assert_eq!(heard[1].header("authorization"), Some(format!("Bearer {SECRET}")));
    }
}

#[tokio::test]
async fn a_request_without_secrets_follows_elsewhere_and_leaves_its_credentials_behind() {
    let world = redirecting(302, "http://b.example/there").await;
    let mut request = get("https://a.example/start");
    let left_behind =
        ["Authorization", "Cookie", "X-Api-Key", "Ocp-Apim-Subscription-Key", "X-Jwt", "X-Custom"];
    let kept = ["Accept", "Content-Type", "Idempotency-Key", "User-Agent"];
    for name in left_behind.into_iter().chain(kept) {
        request.headers.push((name.into(), "kept".into()));
    }
    assert_eq!(world.send(request).await.unwrap().body, b"other host, plain");
    let heard = &world.heard("9.9.9.9:80")[0];
    for name in kept {
        assert_eq!(heard.header(&name.to_ascii_lowercase()).as_deref(), Some("kept"), "{name}");
    }
    assert!(heard.header("sealflow-hops").is_some(), "a circle of sealflows ends");
    for name in left_behind {
        assert_eq!(heard.header(&name.to_ascii_lowercase()), None, "{name}");
    }
    assert_eq!(heard.header("host").as_deref(), Some("b.example"));
}

#[tokio::test]
async fn method_and_body_change_as_the_status_says() {
    let check = async |status: u16, method: &str, expected: &str| {
        let world = redirecting(status, "/next").await;
        let mut request = get("https://a.example/start");
        request.method = method.into();
        request.headers.push(("Content-Type".into(), "text/plain".into()));
        if !matches!(method, "GET" | "HEAD") {
            request.body = b"body".to_vec().into();
        }
        world.send(request).await.unwrap();
        let heard = &world.heard("8.8.8.8:443")[1];
        assert_eq!(heard.line(), format!("{expected} /next"), "{status} {method}");
        let rewritten = expected != method;
        assert_eq!(heard.body.is_empty(), rewritten || matches!(method, "GET" | "HEAD"), "{status} {method}");
        assert_eq!(heard.header("content-type").is_none(), rewritten, "{status} {method}");
    };
    for status in [301, 302] {
        check(status, "POST", "GET").await;
        check(status, "PUT", "PUT").await;
        check(status, "HEAD", "HEAD").await;
    }
    check(303, "POST", "GET").await;
    check(303, "DELETE", "GET").await;
    check(303, "HEAD", "HEAD").await;
    check(307, "POST", "POST").await;
    check(308, "PATCH", "PATCH").await;
}

#[tokio::test]
async fn five_redirects_are_followed_and_not_six_i10() {
    let chain = async |length: usize| {
        let world = World::new();
        world.name("a.example", &[&["8.8.8.8"]]);
        world
            .site("8.8.8.8:80", move |heard| {
                let step: usize = heard.line().strip_prefix("GET /").unwrap().parse().unwrap();
                if step == length { ok("end") } else { redirect(302, &format!("/{}", step + 1)) }
            })
            .await;
        world.send(get("http://a.example/0")).await.map(|response| response.redirects)
    };
    assert_eq!(chain(5).await, Ok(5));
    assert_eq!(chain(6).await, Err(HttpError::RedirectLimit));
}

#[tokio::test]
async fn a_redirect_to_what_is_no_url_is_an_error() {
    for location in
        ["ftp://b.example/", "https://user@b.example/", "https://b.example\\x", "javascript:1", "http://[::1"]
    {
        let world = redirecting(302, location).await;
        let error = world.send(get("https://a.example/start")).await.err();
        assert!(matches!(error, Some(HttpError::RedirectInvalid(_))), "{location}: {error:?}");
    }
}

#[tokio::test]
async fn a_status_without_location_is_a_response_like_any_other() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    for status in [300, 301, 304, 305, 404, 500] {
        world
            .site("8.8.8.8:80", move |_| {
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").into_bytes()
            })
            .await;
        assert_eq!(world.send(get("http://a.example/")).await.unwrap().head.status, status);
    }
}

#[tokio::test]
async fn a_secret_goes_over_plain_http_to_allowed_hosts_alone_i1() {
    let world = redirecting(302, "/next").await;
    let request = || Request { used_secret: true, ..get("http://a.example/") };
    assert_eq!(world.send(request()).await.err(), Some(HttpError::PlainHttpWithSecret));
    assert_eq!(world.connected(), [""; 0]);
    let client = world.client(allowing(&["a.example:80"]));
    assert_eq!(send(&client, request()).await.unwrap().body, b"plain");
    let elsewhere = Request { url: "http://b.example/".into(), ..request() };
    assert_eq!(send(&client, elsewhere).await.err(), Some(HttpError::PlainHttpWithSecret));
}

#[tokio::test]
async fn every_secret_must_allow_the_host_of_every_hop_i1() {
    let hosts = |lists: &[&[&str]]| -> Vec<Vec<_>> {
        lists.iter().map(|list| list.iter().map(|host| host.parse().unwrap()).collect()).collect()
    };
    let check = async |lists: &[&[&str]], expected: Option<HttpError>| {
        let world = redirecting(307, "/next").await;
        let request = Request { allowed_hosts: hosts(lists), ..get("https://a.example/start") };
        assert_eq!(world.send(request).await.err(), expected, "{lists:?}");
        assert_eq!(world.connected().is_empty(), expected.is_some(), "{lists:?}");
    };
    let refused = Some(HttpError::HostNotAllowed);
    check(&[&["a.example"]], None).await;
    check(&[&["b.example", "a.example:443"], &["a.example"]], None).await;
    check(&[&["b.example"]], refused).await;
    check(&[&["a.example"], &["b.example"]], refused).await;
    check(&[&["a.example:8443"]], refused).await;
    check(&[&["example"], &["le"]], refused).await;
    check(&[&[]], refused).await;
}

#[tokio::test]
async fn a_secret_with_hosts_counts_as_used_whatever_the_caller_says_i1() {
    let world = redirecting(302, "https://b.example/").await;
    let hosts = vec![vec!["a.example".parse().unwrap(), "b.example".parse().unwrap()]];
    let request = Request { allowed_hosts: hosts, ..get("https://a.example/start") };
    assert_eq!(world.send(request).await.err(), Some(HttpError::RedirectBlocked));
    assert_eq!(world.heard("9.9.9.9:443").len(), 0);
}

/// Many servers send a file's name in `Location` as it is.
#[tokio::test]
async fn odd_but_usable_redirects_are_followed() {
    for (location, line) in [
        ("/files/annual report.pdf", "GET /files/annual%20report.pdf"),
        ("/files/jährlich.pdf", "GET /files/j%C3%A4hrlich.pdf"),
        (" /files/a%20b.pdf ", "GET /files/a%20b.pdf"),
        ("/search?q=a b&r=ü", "GET /search?q=a%20b&r=%C3%BC"),
        ("?page=2", "GET /start?page=2"),
    ] {
        let world = redirecting(302, location).await;
        let mut request = get("https://a.example/start");
        request.used_secret = true;
        let sent = world.send(request).await;
        // `?page=2` leads to the start, which redirects again.
        assert!(sent.is_ok() || location.starts_with('?'), "{location}");
        assert_eq!(world.heard("8.8.8.8:443")[1].line(), line, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_that_can_not_be_requested_is_the_targets_fault_and_its_status_is_known() {
    for location in [
        "ftp://a.example/x",
        "https://user:pass@a.example/",
        "https://a.example:0/",
        "\\\\b.example\\x",
        "https://",
    ] {
        let world = redirecting(302, location).await;
        let client = world.client(http_guard::GuardSettings::default());
        let failed = client.send(with_secret("header")).await.err().unwrap();
        assert!(matches!(failed.error, HttpError::RedirectInvalid(_)), "{location}: {:?}", failed.error);
        assert_eq!(failed.head.unwrap().status, 302, "{location}");
    }
}

/// A login answers with its ticket in `Location`.
#[tokio::test]
async fn a_redirect_can_be_the_answer() {
    for location in ["https://b.example/?ticket=1", "/next", "nowhere:"] {
        let world = redirecting(302, location).await;
        let mut request = with_secret("header");
        request.redirects = http_guard::Redirects::Stop;
        let response = world.send(request).await.unwrap();
        assert_eq!((response.head.status, response.redirects), (302, 0));
        assert!(response.head.headers.contains(&("location".to_owned(), location.to_owned())));
        assert_eq!(world.connected(), ["8.8.8.8:443"]);
    }
}

#[tokio::test]
async fn a_redirect_of_any_kind_can_be_the_answer_and_sends_nothing_again() {
    for (status, location) in [
        (301, "/l/abc"),
        (303, "/orders/7"),
        (307, "https://b.example/next"),
        (308, "/moved"),
        (302, "myapp://callback?code=abc"),
        (302, "https://b.example/#access_token=abc"),
    ] {
        let world = redirecting(status, location).await;
        let mut request = with_secret("body");
        request.redirects = http_guard::Redirects::Stop;
        let response = world.send(request).await.unwrap();
        assert_eq!((response.head.status, response.redirects), (status, 0), "{location}");
        assert!(response.head.headers.contains(&("location".to_owned(), location.to_owned())));
        assert_eq!(world.heard("8.8.8.8:443").len(), 1, "{location}");
    }
}

#[tokio::test]
async fn cookies_go_along_within_one_chain_and_no_further() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    world.name("b.example", &[&["9.9.9.9"]]);
    let set = |status: u16, location: &str, cookies: &[&str]| {
        let cookies: String = cookies.iter().map(|cookie| format!("set-cookie: {cookie}\r\n")).collect();
        format!("HTTP/1.1 {status} Found\r\nlocation: {location}\r\n{cookies}content-length: 0\r\n\r\n")
            .into_bytes()
    };
    world
        .secure_site("8.8.8.8:443", "a.example", move |heard| match heard.line() {
            "GET /login" => {
                set(302, "/next", &["session=s1; Path=/; Secure; HttpOnly", "deep=d; Path=/deep"])
            }
            "GET /next" => set(302, "https://b.example/other", &["session=s2; Path=/", "gone=g; Max-Age=0"]),
            "GET /back" => ok("arrived"),
            _ => ok("?"),
        })
        .await;
    world
        .secure_site("9.9.9.9:443", "b.example", move |_| {
            set(302, "https://a.example/back", &["session=b; Domain=a.example", "own=b"])
        })
        .await;
    let client = world.client(http_guard::GuardSettings::default());
    let mut request = get("https://a.example/login");
    request.headers.push(("Cookie".into(), "mine=1".into()));
    assert_eq!(send(&client, request).await.unwrap().body, b"arrived");
    let cookies: Vec<_> = world.heard("8.8.8.8:443").iter().map(|heard| heard.header("cookie")).collect();
    let shown: Vec<_> = cookies.iter().map(Option::as_deref).collect();
    assert_eq!(shown, [Some("mine=1"), Some("mine=1; session=s1"), Some("session=s2")]);
    assert_eq!(world.heard("9.9.9.9:443")[0].header("cookie"), None, "another site's");
    send(&client, get("https://a.example/back")).await.unwrap();
    assert_eq!(world.heard("8.8.8.8:443").last().unwrap().header("cookie"), None, "the next request's");
}

#[tokio::test]
async fn cookies_that_no_request_has_room_for_are_left_out_i10() {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    world
        .secure_site("8.8.8.8:443", "a.example", |heard| {
            if heard.line() != "GET /start" {
                return ok("arrived");
            }
            let cookies: String =
                (0..20).map(|n| format!("set-cookie: c{n}={}; Path=/\r\n", "x".repeat(3_000))).collect();
            format!("HTTP/1.1 302 Found\r\nlocation: /next\r\n{cookies}content-length: 0\r\n\r\n")
                .into_bytes()
        })
        .await;
    assert_eq!(world.send(get("https://a.example/start")).await.unwrap().body, b"arrived");
    let cookie = world.heard("8.8.8.8:443")[1].header("cookie").unwrap();
    assert!(
        (30_000..=domain::limits::HTTP_REQUEST_HEADERS_BYTES_MAX).contains(&cookie.len()),
        "{}",
        cookie.len()
    );
}
