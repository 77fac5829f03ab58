//! A hostile target: thousands of answers from a seed, with odd heads, encodings, lengths, chunks,
//! redirects, pauses and resets, through the client, the component and the scrubber. Nothing
//! panics, nothing takes longer than its time, the status is known whenever a head came, and no
//! secret is in what would be stored.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use components::{Call, Host, SecretPlace};
use domain::ids::{ExecutionId, OrganizationId};
use domain::outcome::Outcome;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use http_guard::{GuardSettings, GuardedClient};
use process::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

use crate::TokenCache;
use crate::host::{GuardedHost, SecretUse, Secrets};
use crate::outcome::{Ended, decide};
use crate::scrub_outcome::Scrubbed;

const ANSWERS: u64 = 10_000;
const SEED: u64 = 0x5ea1_f10e;
/// A secret that every encoding writes in a way of its own.
const SECRET: &str = "h0stile/secret+\"&<'%=\\canary-0123456789";
/// The time of one request, and what it may take longer on a busy machine.
const TIME: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(20);
/// The time of a request that is made again with nothing beside it.
const TIME_ALONE: Duration = Duration::from_secs(10);
/// The requests that may be made again: a client that loses what it read would make all again.
const AGAIN: usize = 1_000;

/// One answer on the wire.
struct Answer {
    bytes: Vec<u8>,
    /// The status, where a whole head of HTTP comes first.
    status: Option<u16>,
    /// The number of pauses between the writes of the bytes.
    pauses: usize,
    end: End,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Reset,
    Hang,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The secret in one of the forms in which a target may give it back.
fn echo(rng: &mut Rng) -> String {
    match rng.u8(0..7) {
        0 => SECRET.to_owned(),
        1 => json!(SECRET).to_string(),
        2 => json!({ "log": json!({ "sent": SECRET }).to_string() }).to_string(),
        3 => SECRET.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}")),
        4 => hex::encode(SECRET),
        5 => STANDARD.encode(SECRET),
        _ => SECRET.chars().fold(String::new(), |text, c| text + &format!("&#{};", u32::from(c))),
    }
}

fn body(rng: &mut Rng) -> Vec<u8> {
    let echoed = echo(rng);
    match rng.u8(0..40) % 9 {
        0 => Vec::new(),
        1 => format!("{{\"a\": {}, \"b\": [1, 2.5e3, null]}}", json!(echoed)).into_bytes(),
        2 => echoed.into_bytes(),
        3 => {
            let depth = rng.usize(1..200);
            format!("{}{}{}", "[".repeat(depth), json!(echoed), "]".repeat(depth)).into_bytes()
        }
        4 => (0..rng.usize(1..4_000)).map(|_| rng.u8(..)).collect(),
        5 => echoed.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        6 => format!("{{\"a\": 1}}\n{{\"a\": {}}}\n", json!(echoed)).into_bytes(),
        7 => [b"\xef\xbb\xbf".as_slice(), echoed.as_bytes()].concat(),
        _ if rng.u8(0..20) == 0 => format!("{echoed}{}", "x".repeat(rng.usize(0..300_000))).into_bytes(),
        _ => format!("{echoed}{}", "x".repeat(rng.usize(0..3_000))).into_bytes(),
    }
}

fn chunked(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let length = rng.usize(1..=rest.len().min(50_000));
        bytes.extend(format!("{length:x}{}\r\n", if rng.u8(0..9) == 0 { ";x=y" } else { "" }).into_bytes());
        bytes.extend_from_slice(&rest[..length]);
        bytes.extend_from_slice(b"\r\n");
        rest = &rest[length..];
    }
    bytes.extend_from_slice(match rng.u8(0..6) {
        0 => b"zz\r\n\r\n".as_slice(),
        1 => b"0\r\nx-trailer: t\r\n\r\n",
        2 => b"",
        _ => b"0\r\n\r\n",
    });
    bytes
}

fn answer(rng: &mut Rng, id: u64, hop: usize) -> Answer {
    let end = match rng.u8(0..100) {
        0 => End::Hang,
        1..=8 => End::Reset,
        _ => End::Close,
    };
    let pauses = if rng.u8(0..10) == 0 { rng.usize(1..5) } else { 0 };
    if rng.u8(0..20) == 0 {
        let garbage: [&[u8]; 6] = [
            b"",
            b"\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx",
        ];
        return Answer { bytes: garbage[rng.usize(..6)].to_vec(), status: None, pauses, end };
    }
    let statuses = [
        200, 200, 200, 201, 204, 206, 301, 302, 303, 307, 308, 304, 400, 401, 404, 408, 418, 429, 500, 502,
        503, 504, 599, 999,
    ];
    let status = statuses[rng.usize(..statuses.len())];
    let mut body = body(rng);
    let version = rng.u8(0..2);
    let mut head = format!("HTTP/1.{version} {status}{}\r\n", [" OK", " ", ""][rng.usize(..3)]);
    let coding =
        ["", "", "", "gzip", "gzip", "UTF-8", "br", "deflate", "gzip, gzip", "none"][rng.usize(..10)];
    if coding == "gzip" && rng.bool() {
        body = gzip(&body);
    }
    if !coding.is_empty() {
        head.push_str(&format!("Content-Encoding: {coding}\r\n"));
    }
    let types = [
        "",
        "application/json",
        "text/plain",
        "text/html; charset=iso-8859-1",
        "application/x-ndjson",
        "application/octet-stream",
        "image/png",
        "text/plain; charset=utf-16le",
        "application/json; charset=shift_jis",
        ";;;",
        "multipart/form-data",
    ];
    let content_type = types[rng.usize(..types.len())];
    if !content_type.is_empty() {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    if rng.u8(0..4) == 0 {
        head.push_str(&format!("X-Echo: {}\r\n", echo(rng)));
    }
    if rng.u8(0..6) == 0 {
        head.push_str(
            [
                "Retry-After: 6\r\n",
                "Retry-After: soon\r\n",
                "Retry-After: Wed, 06 Nov 2999 08:50:37 GMT\r\n",
                "Set-Cookie: a=b\r\n",
                "ETag: \"x\"\r\n",
            ][rng.usize(..5)],
        );
    }
    if matches!(status, 301..=308) && status != 304 && rng.u8(0..8) != 0 {
        let next = format!("/{id}/{}", hop + 1);
        let odd = format!("{next} annual report ü.pdf");
        let secret = format!(
            "{next}?key={}",
            SECRET.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"))
        );
        let locations = [
            next.as_str(),
            next.as_str(),
            odd.as_str(),
            secret.as_str(),
            "https://elsewhere.example/",
            "ftp://x/",
            "//",
            "\\\\x\\y",
            "http://[::1",
            "",
        ];
        head.push_str(&format!("Location: {}\r\n", locations[rng.usize(..locations.len())]));
    }
    if rng.u8(0..15) == 0 {
        (0..rng.usize(1..60))
            .for_each(|n| head.push_str(&format!("X-Many-{n}: {}\r\n", "v".repeat(rng.usize(0..400)))));
    }
    let body = match rng.u8(0..10) {
        0..=4 => {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            body
        }
        5 => {
            head.push_str(&format!("Content-Length: {}\r\n", body.len() + rng.usize(1..100)));
            body
        }
        6 => {
            head.push_str(&format!("Content-Length: {}\r\n", body.len() / 2));
            body
        }
        7 => body,
        _ => {
            head.push_str("Transfer-Encoding: chunked\r\n");
            chunked(rng, &body)
        }
    };
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    let whole_head = bytes.len();
    bytes.extend(body);
    // Chunks in HTTP/1.0 can be read in two ways, so such a head counts as none (RFC 9112, 6.1).
    let is_one_way = version == 1 || !bytes.windows(17).any(|window| window == b"Transfer-Encoding");
    let mut status = Some(status).filter(|_| is_one_way);
    if rng.u8(0..12) == 0 {
        bytes.truncate(rng.usize(..=bytes.len()));
        status = status.filter(|_| bytes.len() >= whole_head);
    }
    Answer { bytes, status, pauses, end }
}

/// The statuses that the target sent, by request.
type Sent = Arc<Mutex<HashMap<u64, Vec<(Option<u16>, End)>>>>;

/// The status that must be known: that of the last whole head. A reset throws away what has arrived
/// and was not read yet.
fn expected(sent: &HashMap<u64, Vec<(Option<u16>, End)>>, id: u64) -> Option<u16> {
    let answers = sent.get(&id)?;
    answers.iter().rev().find_map(|(status, end)| status.filter(|_| *end != End::Reset))
}

async fn serve(mut stream: TcpStream, sent: Sent) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let mut path = text.split(['/', ' ', '?', '%']).filter(|part| !part.is_empty()).skip(1);
    let (Some(Ok(id)), Some(Ok(hop))) = (path.next().map(str::parse), path.next().map(str::parse::<usize>))
    else {
        return;
    };
    let mut rng = Rng::with_seed(SEED ^ (id << 8) ^ hop as u64);
    let answer = answer(&mut rng, id, hop);
    sent.lock().unwrap().entry(id).or_default().push((answer.status, answer.end));
    let part = answer.bytes.len() / (answer.pauses + 1) + 1;
    for bytes in answer.bytes.chunks(part) {
        if stream.write_all(bytes).await.is_err() {
            return;
        }
        // A slow target: the client gets its answer in pieces.
        if answer.pauses > 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    match answer.end {
        End::Close => {
            let _ = stream.shutdown().await;
        }
        End::Reset => drop(stream.set_zero_linger()),
        // The target says no more and does not close: only the request's own time ends it.
        End::Hang => tokio::time::sleep(TIME * 2).await,
    }
}

fn host(client: &Arc<GuardedClient>) -> GuardedHost {
    let clock = Clock::system();
    let values = vec![("hostile.key".to_owned(), Zeroizing::new(SECRET.to_owned()))];
    GuardedHost {
        client: Arc::clone(client),
        tokens: Arc::new(TokenCache::default()),
        clock,
        organization_id: OrganizationId::from_u128(1),
        hop_count: 1,
        uses: vec![SecretUse {
            pointer: "/headers/0/value".to_owned(),
            label: "hostile.key".to_owned(),
            allowed_hosts: Vec::new(),
        }],
        late: None,
        secrets: Secrets { values, ..Secrets::default() },
        placed: vec![("/headers/0/value".to_owned(), SECRET.len())],
        started_at: clock.now(),
        is_whole_url: false,
    }
}

/// The parts of a record that would be stored, as one text.
async fn stored(url: &str, client: &Arc<GuardedClient>, time: Duration) -> (String, Option<Value>) {
    let guarded = host(client);
    let configuration = json!({ "url": url, "timeout_seconds": time.as_secs(), "headers": [{ "name": "X-Key", "value": SECRET }] });
    let labels = ["hostile.key".to_owned()];
    let places = [SecretPlace { pointer: "/headers/0/value", bytes_max: SECRET.len() }];
    let call = Call {
        execution_id: ExecutionId::from_u128(1),
        idempotency_key: "key",
        seconds_max: 30,
        secret_fields: &places,
        secret_labels: &labels,
    };
    let component = components::effect("http").unwrap();
    let outcome = component.execute(&Host::of(component.needs(), &guarded), configuration, &call).await;
    let status = match &outcome {
        Outcome::Passed(Some(output)) => output.data.get("status").cloned(),
        Outcome::Failed(failure) => failure.data.get("status").cloned(),
        Outcome::Passed(None) => panic!("an answer emits"),
    };
    let (scrubber, before) = guarded.into_scrubber();
    let scrubbed = Scrubbed::new(outcome, &scrubber, before, &json!({}), labels.to_vec());
    let now = Clock::system().now();
    let ended = Ended {
        execution: crate::outcome::claimed(1, json!({})),
        scrubbed,
        started_at: now,
        finished_at: now,
    };
    let decision = decide(ended, 0.0);
    let shown = json!({ "message": decision.message, "record": decision.record, "output": decision.output.map(|(_, data)| data) });
    assert!(!shown["output"].is_null(), "an answer or its failure emits: {shown}");
    (shown.to_string(), status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_hostile_answers_harm_nothing_i1_i9() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sent = Sent::default();
    let record = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&record)));
        }
    });
    let allow = vec![address.parse().unwrap()];
    let client = Arc::new(GuardedClient::new(GuardSettings { allow, ..GuardSettings::default() }));
    let mut ended: Vec<_> = iter(0..ANSWERS)
        .map(|id| {
            let (client, url) = (Arc::clone(&client), format!("http://{address}/{id}/0"));
            async move {
                let started = Instant::now();
                let (text, status) = stored(&url, &client, TIME).await;
                assert!(started.elapsed() < TIME + SLACK, "{id}: {:?}", started.elapsed());
                (id, text, status)
            }
        })
        .buffer_unordered(100)
        .collect()
        .await;
    assert_eq!(ended.len() as u64, ANSWERS);
    // On a busy machine a head can wait to be read for longer than the request has. Alone it can't.
    let mut again = 0;
    for (id, text, status) in &mut ended {
        let has_timed_out = text.contains("\"code\":\"timeout\"");
        if status.is_some() || !has_timed_out || expected(&sent.lock().unwrap(), *id).is_none() {
            continue;
        }
        again += 1;
        assert!(again <= AGAIN, "{again} statuses came and are not known: {text}");
        (*text, *status) = stored(&format!("http://{address}/{id}/0"), &client, TIME_ALONE).await;
    }
    let sent = sent.lock().unwrap();
    let (mut known, mut unknown) = (0, 0);
    for (id, text, status) in &ended {
        for form in
            [SECRET.to_owned(), hex::encode(SECRET), STANDARD.encode(SECRET), json!(SECRET).to_string()]
        {
            let inner = json!(form).to_string();
            assert!(!text.contains(&form) && !text.contains(&inner[1..inner.len() - 1]), "I1: {id}: {text}");
        }
        let answers = sent.get(id).map_or(&[][..], Vec::as_slice);
        let status = status.as_ref().and_then(Value::as_u64).map(|status| status as u16);
        match (expected(&sent, *id), status) {
            (Some(_), None) => panic!(
                "{id}: a status came and is not known: {answers:?}: {text}",
                answers = answers.iter().map(|(status, _)| status).collect::<Vec<_>>()
            ),
            (_, Some(status)) => {
                known += 1;
                assert!(
                    answers.iter().any(|(sent, _)| sent.is_none_or(|sent| sent == status)),
                    "{id}: {status} was never sent"
                );
            }
            (None, None) => unknown += 1,
        }
    }
    assert!(known > 8_000 && unknown > 100, "the answers are of all kinds: {known} known, {unknown} not");
}
