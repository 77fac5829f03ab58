//! One exchange: framing, limits, time, TLS, and errors that say nothing of the request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::time::Duration;

use common::{World, allowing, get, ok, send};
use domain::limits::HTTP_RESPONSE_BYTES_MAX;
use http_guard::{GuardSettings, HttpError, Request, TIMEOUT_MAX};

async fn answering(answer: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> World {
    let world = World::new();
    world.name("a.example", &[&["8.8.8.8"]]);
    world.site("8.8.8.8:80", move |_| answer()).await;
    world
}

fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for part in body.chunks(chunk) {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

#[tokio::test]
async fn the_target_hears_what_was_asked_and_headers_of_ours() {
    let world = answering(|| ok("")).await;
    let request = Request {
        method: "POST".into(),
        headers: vec![("X-Name".into(), "one".into()), ("x-name".into(), "two".into())],
        body: b"body".to_vec().into(),
        hop_count: 3,
        ..get("http://a.example/p%20q?x=%26#part")
    };
    world.send(request).await.unwrap();
    let heard = &world.heard("8.8.8.8:80")[0];
    assert_eq!(heard.head.lines().next(), Some("POST /p%20q?x=%26 HTTP/1.1"));
    let header = |name| heard.header(name).unwrap_or_default();
    assert_eq!(
        (header("host"), header("content-length"), header("sealflow-hops")),
        ("a.example".into(), "4".into(), "3".into())
    );
    assert_eq!(header("user-agent"), concat!("sealflow/", env!("CARGO_PKG_VERSION")));
    assert_eq!(header("accept-encoding"), "gzip, deflate");
    assert_eq!(heard.head.matches("x-name: ").count(), 2);
    assert_eq!(heard.body, b"body");
}

#[tokio::test]
async fn bodies_are_whole_however_they_are_framed() {
    let body: Vec<u8> = (0..100_000_u32).map(|i| (i % 251).try_into().unwrap()).collect();
    for chunk in [1, 7, 4096, body.len()] {
        let sent = chunked(&body, chunk);
        let world = answering(move || sent.clone()).await;
        assert_eq!(world.send(get("http://a.example/")).await.unwrap().body, body, "chunks of {chunk}");
    }
    let until_close = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &body].concat();
    let world = answering(move || until_close.clone()).await;
    assert_eq!(world.send(get("http://a.example/")).await.unwrap().body, body);
}

#[tokio::test]
async fn a_header_that_is_not_utf_8_is_left_out_i1() {
    let world = answering(|| {
        b"HTTP/1.1 200 OK\r\nx-latin: canary-\xfc\r\nx-utf-8: \xc3\xbc\r\ncontent-length: 0\r\n\r\n".to_vec()
    })
    .await;
    let headers = world.send(get("http://a.example/")).await.unwrap().head.headers;
    assert_eq!(
        headers,
        [("x-utf-8".to_owned(), "ü".to_owned()), ("content-length".to_owned(), "0".to_owned())]
    );
}

#[tokio::test]
async fn a_response_has_a_limit_on_the_wire_i10() {
    let check = async |sent: Vec<u8>, expected: Result<usize, HttpError>| {
        let world = answering(move || sent.clone()).await;
        let result = world.send(get("http://a.example/")).await.map(|response| response.body.len());
        assert_eq!(result, expected);
    };
    let sized = |bytes: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; bytes]].concat()
    };
    let body = |bytes: usize| vec![b'x'; bytes];
    let max = HTTP_RESPONSE_BYTES_MAX;
    check(sized(max), Ok(max)).await;
    check(sized(max + 1), Err(HttpError::ResponseTooLarge)).await;
    check(chunked(&body(max), 65_536), Ok(max)).await;
    check(chunked(&body(max + 1), 65_536), Err(HttpError::ResponseTooLarge)).await;
    // A response that announces too many bytes is refused before its body arrives.
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    check(announced, Err(HttpError::ResponseTooLarge)).await;
}

#[tokio::test]
async fn a_compressed_response_has_the_same_limit_when_decoded_i10() {
    let check = async |bytes: usize, expected: Result<usize, HttpError>| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![0; bytes]).unwrap();
        let body = encoder.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
        let sent = [head.as_bytes(), &body].concat();
        let world = answering(move || sent.clone()).await;
        let result = world.send(get("http://a.example/")).await;
        let result = result.map(|response| {
            assert!(response.head.headers.iter().all(|(name, _)| !name.starts_with("content-")));
            response.body.len()
        });
        assert_eq!(result, expected);
    };
    check(HTTP_RESPONSE_BYTES_MAX, Ok(HTTP_RESPONSE_BYTES_MAX)).await;
    check(HTTP_RESPONSE_BYTES_MAX + 1, Err(HttpError::ResponseTooLarge)).await;
    check(64 * HTTP_RESPONSE_BYTES_MAX / 8, Err(HttpError::ResponseTooLarge)).await;
}

#[tokio::test]
async fn the_head_of_a_response_has_a_limit_i10() {
    let check = async |header_bytes: usize, headers: usize, expected: bool| {
        let mut head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec();
        for _ in 0..headers {
            head.extend(format!("x-filler: {}\r\n", "f".repeat(header_bytes)).into_bytes());
        }
        head.extend(b"\r\n");
        let world = answering(move || head.clone()).await;
        let result = world.send(get("http://a.example/")).await;
        assert_eq!(result.is_ok(), expected, "{header_bytes} × {headers}: {:?}", result.err());
    };
    // `content-length`, its value `0` and the name `x-filler` count too.
    let exact = 64 * 1024 - 15 - 8;
    check(exact, 1, true).await;
    check(exact + 1, 1, false).await;
    check(1_000_000, 1, false).await;
    check(10, 99, true).await;
    check(10, 100, false).await;
}

#[tokio::test]
async fn what_is_no_response_is_told_apart() {
    let check = async |sent: &'static [u8], expected: HttpError| {
        let world = answering(move || sent.to_vec()).await;
        assert_eq!(world.send(get("http://a.example/")).await.err(), Some(expected), "{sent:?}");
    };
    check(b"", HttpError::ConnectionLost).await;
    check(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", HttpError::ResponseInvalid).await;
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", HttpError::ConnectionLost).await;
    check(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",
        HttpError::ResponseInvalid,
    )
    .await;
    check(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", HttpError::ResponseInvalid)
        .await;
}

/// The status of an answer is known as soon as it has arrived, whatever comes after it.
#[tokio::test]
async fn what_breaks_off_after_its_head_still_has_its_status() {
    let check = async |sent: &[u8], expected: HttpError| {
        let answer = sent.to_vec();
        let world = answering(move || answer.clone()).await;
        let request = Request { timeout: Duration::from_secs(5), ..get("http://a.example/") };
        let failed = world.client(GuardSettings::default()).send(request).await.err().unwrap();
        assert_eq!(failed.error, expected, "{sent:?}");
        let head = failed.head.unwrap();
        assert_eq!(head.status, 207);
        assert!(head.headers.contains(&("x-request-id".to_owned(), "r1".to_owned())));
    };
    let after = |rest: &str| format!("HTTP/1.1 207 Multi\r\nx-request-id: r1\r\n{rest}").into_bytes();
    check(&after("content-length: 10\r\n\r\nshort"), HttpError::ConnectionLost).await;
    check(&after("content-length: 99999999\r\n\r\n"), HttpError::ResponseTooLarge).await;
    check(&after("transfer-encoding: chunked\r\n\r\nzz\r\n"), HttpError::ConnectionLost).await;
    check(&after("content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"), HttpError::ResponseInvalid).await;
    check(&after("content-encoding: zstd\r\ncontent-length: 3\r\n\r\nabc"), HttpError::ResponseInvalid).await;
}

#[tokio::test]
async fn a_slow_body_ends_with_the_requests_time_and_its_status_is_known() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 202 Accepted\r\ncontent-length: 9\r\n\r\nnot";
        tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
        std::future::pending::<()>().await;
    });
    let client = http_guard::GuardedClient::new(allowing(&[&address]));
    let request = Request { timeout: Duration::from_millis(300), ..get(&format!("http://{address}/")) };
    let failed = client.send(request).await.err().unwrap();
    assert_eq!((failed.error, failed.head.map(|head| head.status)), (HttpError::Timeout, Some(202)));
}

/// Servers put a charset, or a word of their own, where the content coding belongs.
#[tokio::test]
async fn a_content_encoding_that_is_none_leaves_the_body_as_it_is() {
    for word in ["UTF-8", "none", "iso-8859-1", "x-custom"] {
        let sent = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {word}\r\ncontent-length: 2\r\n\r\nok");
        let world = answering(move || sent.clone().into_bytes()).await;
        let response = world.send(get("http://a.example/")).await.unwrap();
        assert_eq!((response.head.status, response.body.as_slice()), (200, b"ok".as_slice()), "{word}");
    }
}

#[tokio::test]
async fn waiting_ends_for_the_connection_the_head_and_the_whole_i10() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let world = World::new();
    let client = |settings: GuardSettings| http_guard::GuardedClient::new(settings);
    let short = Duration::from_millis(50);
    let request = |scheme: &str| get(&format!("{scheme}://{address}/"));

    let started = std::time::Instant::now();
    let whole = Request { timeout: short, ..request("http") };
    assert_eq!(send(&client(allowing(&[&address])), whole).await.err(), Some(HttpError::Timeout));
    // The listener accepts and never shakes hands.
    let connecting = GuardSettings { connect_timeout: short, ..allowing(&[&address]) };
    assert_eq!(send(&client(connecting), request("https")).await.err(), Some(HttpError::Timeout));
    assert!(started.elapsed() < Duration::from_secs(4), "a longer limit ended it");
    assert_eq!(world.connected(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn no_request_asks_for_more_time_than_a_component_has_i10() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let second = Duration::from_secs(1);
    let settings = GuardSettings { connect_timeout: 2 * TIMEOUT_MAX, ..allowing(&[&address]) };
    let client = http_guard::GuardedClient::new(settings);
    for (asked, expected) in
        [(TIMEOUT_MAX - second, TIMEOUT_MAX - second), (TIMEOUT_MAX + second, TIMEOUT_MAX)]
    {
        let started = tokio::time::Instant::now();
        let request = Request { timeout: asked, ..get(&format!("http://{address}/")) };
        assert_eq!(send(&client, request).await.err(), Some(HttpError::Timeout));
        // Timers count whole milliseconds, and round up.
        let late = started.elapsed() - expected;
        assert!(late < Duration::from_millis(5), "{late:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_for_its_name_and_from_a_known_authority() {
    let world = World::new();
    for name in ["a.example", "b.example"] {
        world.name(name, &[&["8.8.8.8"]]);
    }
    world.secure_site("8.8.8.8:443", "a.example", |_| ok("secure")).await;
    assert_eq!(world.send(get("https://a.example/")).await.unwrap().body, b"secure");
    assert_eq!(
        world.send(get("https://b.example/")).await.err(),
        Some(HttpError::Tls("the target's certificate is for other names than the URL's host"))
    );
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    assert_eq!(
        send(&http_guard::GuardedClient::new(allowing(&[&address])), get(&format!("https://{address}/")))
            .await
            .err(),
        Some(HttpError::Tls(
            "the target does not speak TLS at this port; perhaps the URL has to begin with http://"
        ))
    );
    let stranger =
        http_guard::GuardedClient::with_network(GuardSettings::default(), std::sync::Arc::new(world.clone()));
    assert_eq!(
        send(&stranger, get("https://a.example/")).await.err(),
        Some(HttpError::Tls(
            "the target's certificate is from an authority that is not known here, or the target leaves out a certificate of its chain"
        ))
    );
}

#[tokio::test]
async fn no_error_repeats_a_part_of_the_request_i1() {
    const CANARY: &str = "canary0123456789";
    let world = World::new();
    world.name("dead.example", &[&["8.8.8.8"]]);
    let with = |url: String, header: String| Request { headers: vec![("x-a".into(), header)], ..get(&url) };
    let requests = [
        with(format!("https://{CANARY}.example/"), String::new()),
        with(format!("https://dead.example/{CANARY}"), CANARY.into()),
        with(format!("https://127.0.0.1/{CANARY}"), CANARY.into()),
        with(format!("https://user:{CANARY}@dead.example/"), CANARY.into()),
        with(format!("{CANARY}://dead.example/"), CANARY.into()),
        with(format!("https://dead.example/ {CANARY}"), CANARY.into()),
        with("https://dead.example/".into(), format!("{CANARY}\n")),
        Request { method: CANARY.into(), ..get("https://dead.example/") },
        Request { headers: vec![(format!("{CANARY} "), "x".into())], ..get("https://dead.example/") },
    ];
    for request in requests {
        let error = world.send(request).await.err().unwrap();
        let shown = format!("{error} {error:?} {}", error.code());
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[tokio::test]
async fn a_request_may_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let world = answering(|| ok("")).await;
    let client = world.client(GuardSettings::default());
    let sending = send(&client, get("http://a.example/"));
    check(&sending);
    assert!(sending.await.is_ok());
}
