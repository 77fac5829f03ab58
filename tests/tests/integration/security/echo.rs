//! I1 over random secrets: a target echoes a secret in many forms, in answers that are cut in many
//! places, and nothing of the secret is found in the database. Executor, guarded client and
//! database are the real ones. The target writes exactly the bytes that a test gives it.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use domain::limits::{HTTP_RESPONSE_BYTES_MAX, HTTP_STORED_BYTES_MAX};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use local::leaks::{self, Place};
use serde_json::json;
use tests::e2e::outside::{FORMS, base64, encoded};
use tests::kms::FakeKms;
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vault_format::{Purpose, Scope};

const MARK: &str = "[secret:vault.value]";
/// The number of random secrets of each kind.
const ROUNDS: usize = 4;

/// The pieces of a target's answer; each is written and flushed by itself.
type Answer = Vec<Vec<u8>>;

/// A target that has one answer for each path and keeps the received requests.
struct Echo {
    address: String,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    answers: Mutex<HashMap<String, Answer>>,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let record = Arc::clone(&shared);
                tokio::spawn(async move { answer(stream, &record).await });
            }
        });
        Self { address, record }
    }
}

async fn answer(mut stream: TcpStream, record: &Record) {
    stream.set_nodelay(true).unwrap();
    let (mut request, mut buffer) = (Vec::new(), [0; 65_536]);
    let (path, pieces) = loop {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request is whole");
        request.extend_from_slice(&buffer[..read]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(request[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if request.len() >= end + 4 + length.parse::<usize>().unwrap() {
            let path = head.split([' ', '/']).nth(2).unwrap().to_owned();
            let pieces = record.answers.lock().unwrap()[&path].clone();
            break (path, pieces);
        }
    };
    assert!(!path.is_empty());
    record.heard.lock().unwrap().push(request);
    for piece in pieces {
        stream.write_all(&piece).await.ok();
        stream.flush().await.ok();
        tokio::task::yield_now().await;
    }
}

fn whole(headers: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    vec![[head.as_bytes(), body].concat()]
}

/// An answer with the body in chunks that end at these places. Each chunk is written by itself.
fn chunked(body: &[u8], ends: &[usize]) -> Answer {
    let mut pieces =
        vec![b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec()];
    let mut start = 0;
    for end in ends.iter().copied().chain([body.len()]).filter(|end| *end > 0) {
        let part = &body[start..end];
        if !part.is_empty() {
            pieces.push([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
        }
        start = end;
    }
    pieces.push(b"0\r\n\r\n".to_vec());
    pieces
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Answers with a part of a secret in every form. A part is the value, one of its lines or a leaf
/// of its JSON.
fn forms(part: &str) -> Vec<(String, Answer)> {
    let mut forms: Vec<(String, Answer)> =
        FORMS.iter().map(|form| ((*form).to_owned(), whole("", &encoded(form, part)))).collect();
    let text = format!("before {part} after");
    let mut more = |name: &str, answer: Answer| forms.push((name.to_owned(), answer));
    more("gzip", whole("content-encoding: gzip\r\n", &gzip(text.as_bytes())));
    more("zlib", whole("content-encoding: deflate\r\n", &zlib(text.as_bytes())));
    more("gzip-of-base64", whole("content-encoding: gzip\r\n", &gzip(base64(text.as_bytes()).as_bytes())));
    more("base64-of-json", whole("", base64(json!({ "sent": part }).to_string().as_bytes()).as_bytes()));
    more(
        "json-key",
        whole(
            "content-type: application/json\r\n",
            json!({ part: [part, { "x": part }] }).to_string().as_bytes(),
        ),
    );
    more("hex-upper", whole("", hex::encode_upper(part).as_bytes()));
    for alignment in 0..3 {
        let padded = format!("{}{part}", &"~~"[..alignment]);
        let url_safe = base64(padded.as_bytes()).replace('+', "-").replace('/', "_");
        more(&format!("base64url-bare-{alignment}"), whole("", url_safe.trim_end_matches('=').as_bytes()));
    }
    if part.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        more(
            "header",
            whole(&format!("x-echo: {part}\r\nx-{}: 1\r\n", base64(b"x").trim_end_matches('=')), b"{}"),
        );
        more(
            "header-base64",
            whole(&format!("x-echo: Basic {}\r\n", base64(format!("me:{part}").as_bytes())), b"{}"),
        );
    }
    // A border between two chunks at every offset, and a chunk for every byte.
    for offset in 0..=part.len() {
        let border = "before ".len() + offset;
        more(&format!("chunks-{offset}"), chunked(text.as_bytes(), &[border]));
    }
    more("chunks-of-one", chunked(text.as_bytes(), &(1..text.len()).collect::<Vec<_>>()));
    let wire = gzip(text.as_bytes());
    more("gzip-chunks", {
        let mut pieces = chunked(&wire, &(1..wire.len()).collect::<Vec<_>>());
        pieces[0] = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
        pieces
    });
    forms
}

/// Random numbers, repeatable by their seed.
struct Random(u64);

impl Random {
    /// Below `bound`; xorshift64*.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap() % bound
    }

    fn text(&mut self, alphabet: &str, chars: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..chars).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    /// Takes the seed that `SEALFLOW_TEST_SEED` names, or else a random one.
    fn new() -> Self {
        let named = std::env::var("SEALFLOW_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = named.unwrap_or_else(|| process::Ids::new().random::<uuid::Uuid>().as_u64_pair().0 | 1);
        println!("SEALFLOW_TEST_SEED={seed}");
        Self(seed)
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ODD: &str = "aZ9+/=-_.~%&<>\"'\\{}[]();:,?#@!$^*| ";

/// A world in which `call` sends the secret `vault.value` to the target.
struct Bench {
    world: World,
    workflow: Workflow,
    kms: FakeKms,
    echo: Echo,
    executor: executor::Deps,
    builder: builder::Deps,
}

impl Bench {
    async fn create() -> Self {
        Self::redacting(&[]).await
    }

    async fn redacting(redact: &[&str]) -> Self {
        let (world, kms, echo) = (World::create().await, FakeKms::start().await, Echo::start().await);
        let configuration = json!({
            "method": "POST",
            "url": format!("http://{}/{{{{ root().data.path }}}}", echo.address),
            "body": { "text": r#"{{ secrets("vault").value }}"# },
        });
        let nodes = json!([
            { "id": "start", "name": "start", "trigger": "start" },
            { "id": "call", "name": "call", "component": "http", "concurrency": "unlimited", "redact": redact,
                "configuration": configuration },
        ]);
        let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "call" }])).await;
        let executor = world.executor_at(world.database.url("executor"), &echo.address, &kms.url());
        let builder = world.builder();
        Self { world, workflow, kms, echo, executor, builder }
    }

    async fn set_secret(&self, value: &str) {
        let (id, organization_id) = (self.world.id(), self.world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let data = hex::encode(self.kms.sealed(&scope, &[("value", value, &[])]).await);
        let sql = format!(
            "DELETE FROM secrets;
             INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'vault', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        self.world.database.sql(&sql).await;
    }

    /// Calls the target once for each answer, with this secret; gives the stored text of each call,
    /// which is its output or its failure.
    async fn stored(&self, secret: &str, answers: Vec<(String, Answer)>) -> Vec<(String, String)> {
        self.set_secret(secret).await;
        self.echo.record.heard.lock().unwrap().clear();
        let mut runs = Vec::new();
        for (place, (name, answer)) in answers.into_iter().enumerate() {
            let path = format!("{place}-{name}").to_lowercase();
            self.echo.record.answers.lock().unwrap().insert(path.clone(), answer);
            runs.push((self.world.start(&self.workflow, "start", json!({ "path": path })).await, name));
        }
        for some in runs.chunks(10) {
            build(&self.builder, &some.iter().map(|(run, _)| event(*run)).collect::<Vec<_>>()).await;
            execute(&self.executor, &messages(&self.world.queues.take())).await;
        }
        let heard = self.echo.record.heard.lock().unwrap().clone();
        assert_eq!(heard.len(), runs.len());
        assert!(
            heard.iter().all(|request| request.ends_with(secret.as_bytes())),
            "each request carries the secret"
        );
        let mut stored = Vec::new();
        for (run, name) in runs {
            let sql = format!(
                "SELECT coalesce(string_agg(e.data::text, ' '), '') FROM workflow_events e
                 WHERE e.root_event_id = '{run}' AND e.execution_id IS NOT NULL"
            );
            stored.push((name, self.world.database.sql(&sql).await));
        }
        stored
    }

    /// Asserts that none of these parts is in a row that an execution leaves.
    async fn assert_nothing_left(&self, parts: &[&str], what: &str) {
        let sql = "SELECT row_to_json(e)::text FROM workflow_events e WHERE execution_id IS NOT NULL
             UNION ALL SELECT row_to_json(x)::text FROM workflow_node_executions x";
        let rows = self.world.database.sql(sql).await;
        let report = leaks::check(parts, vec![Place::new("rows", rows)]);
        assert!(report.is_clean(), "{what}: {report}");
        self.world
            .database
            .sql("TRUNCATE workflow_events, workflow_node_executions, workflow_node_execution_kvs CASCADE")
            .await;
    }

    /// Checks a secret: the target echoes each of its parts in every form.
    async fn check(&self, secret: &str, parts: &[&str]) {
        for part in parts {
            for (form, data) in self.stored(secret, forms(part)).await {
                assert!(data.contains(MARK), "{form} of {part:?} in {secret:?}: {data}");
            }
            self.assert_nothing_left(parts, &format!("{part:?} in {secret:?}")).await;
        }
    }
}

#[tokio::test]
async fn random_secrets_are_scrubbed_in_every_form_and_across_every_border_i1() {
    let (bench, mut random) = (Bench::create().await, Random::new());
    for _ in 0..ROUNDS {
        let chars = 8 + random.below(30);
        // The secret neither begins nor ends with a blank, which would be lost at the end of a
        // line.
        let odd = format!("x{}x", random.text(ODD, chars - 2));
        bench.check(&odd, &[&odd]).await;
        let plain = random.text(LETTERS, chars);
        bench.check(&plain, &[&plain]).await;
        let wide = format!("{}{}", random.text("äöüß€漢字😀é", chars), random.text(LETTERS, 4));
        bench.check(&wide, &[&wide]).await;
    }
}

#[tokio::test]
async fn lines_of_keys_and_leaves_of_json_are_scrubbed_in_every_form_i1() {
    let (bench, mut random) = (Bench::create().await, Random::new());
    let lines: Vec<String> = (0..3).map(|_| random.text(LETTERS, 64)).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let parts: Vec<&str> = lines.iter().map(String::as_str).chain([pem.as_str()]).collect();
    bench.check(&pem, &parts[..1]).await;
    bench.check(&pem, &parts[3..]).await;
    let (password, token) = (random.text(ODD, 20).replace(' ', "_"), random.text(LETTERS, 30));
    let account = json!({ "user": "u", "password": password, "deep": [{ "token": token }] }).to_string();
    bench.check(&account, &[&password]).await;
    bench.check(&account, &[&token]).await;
}

#[tokio::test]
async fn numbers_are_scrubbed_however_they_are_written_i1() {
    let (bench, mut random) = (Bench::create().await, Random::new());
    for _ in 0..ROUNDS {
        let digits = format!("{}{}", 1 + random.below(9), random.text("123456789", 14));
        let exponent = format!("{}.{}e14", &digits[..1], &digits[1..]);
        let bodies = [
            format!("{{\"n\": {digits}}}"),
            format!("[{digits}.0, -{digits}]"),
            format!("{{\"n\": {exponent}}}"),
            format!("{{\"{digits}\": \"{digits}\"}}"),
            format!("card {digits}."),
        ];
        let answers = bodies.iter().enumerate().map(|(place, body)| {
            (format!("number-{place}"), whole("content-type: application/json\r\n", body.as_bytes()))
        });
        for (form, data) in bench.stored(&digits, answers.collect()).await {
            assert!(data.contains(MARK), "{form} of {digits}: {data}");
            assert!(!data.contains(&digits[1..]), "{form} of {digits}: {data}");
        }
        bench.assert_nothing_left(&[&digits], &digits).await;
    }
}

#[tokio::test]
async fn what_is_echoed_in_other_encodings_of_characters_is_not_kept_as_text_i1() {
    let bench = Bench::create().await;
    let secret = "canary-of-ütf-16-0123456789";
    let text = format!("before {secret} after");
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let latin_1: Vec<u8> = text.chars().map(|letter| u8::try_from(letter).unwrap()).collect();
    let header =
        [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-echo: ".as_slice(), &latin_1, b"\r\n\r\n"].concat();
    let ascii = "canary-of-ascii-0123456789";
    let answers = vec![
        ("utf-16-le".to_owned(), whole("", &utf_16(u16::to_le_bytes))),
        ("utf-16-be".to_owned(), whole("", &utf_16(u16::to_be_bytes))),
        ("latin-1".to_owned(), whole("", &latin_1)),
        ("header".to_owned(), vec![header]),
    ];
    for (form, data) in bench.stored(secret, answers).await {
        assert!(data.contains("\"bytes\"") || form == "header", "{form}: {data}");
        assert!(!data.contains("sha256"), "a digest would confirm a guess: {form}: {data}");
        assert!(
            !data.contains("canary") && !data.contains('\u{fffd}') && !data.contains("0123"),
            "{form}: {data}"
        );
    }
    // This UTF-16 is valid UTF-8 too: every second byte is NUL.
    let utf_16: Vec<u8> = ascii.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (_, data) = bench.stored(ascii, vec![("ascii".to_owned(), whole("", &utf_16))]).await.remove(0);
    assert!(data.contains("\"bytes\"") && !data.contains("sha256"), "{data}");
}

#[tokio::test]
async fn digests_of_an_answer_with_a_secret_in_it_are_not_kept_i1() {
    let bench = Bench::create().await;
    let secret = "canary-of-digests-0123456789";
    let names = [
        "ETag",
        "Digest",
        "Content-Digest",
        "Repr-Digest",
        "Content-MD5",
        "x-amz-checksum-sha256",
        "X-Goog-Hash",
    ];
    let headers: String =
        names.map(|name| format!("{name}: hash-of-the-body\r\n")).concat() + "X-Kept: kept\r\n";
    let stored = bench.stored(secret, vec![("digests".to_owned(), whole(&headers, b"body"))]).await;
    let (_, data) = &stored[0];
    assert!(data.contains("kept") && !data.contains("hash-of-the-body"), "{data}");
    assert!(!data.contains("Content-Length"), "the header would tell the length of the body: {data}");
}

#[tokio::test]
async fn a_redacted_place_stays_blank_where_scrubbing_a_number_leaves_no_json_i1() {
    let bench = Bench::redacting(&["/body/access_token"]).await;
    let (secret, issued) = ("1234567890123", "canary-issued-by-the-target");
    let body = format!("{{\"card\": {secret}, \"access_token\": \"{issued}\"}}");
    let answer = whole("content-type: application/json\r\n", body.as_bytes());
    let stored = bench.stored(secret, vec![("json".to_owned(), answer)]).await;
    assert!(stored[0].1.contains("[redacted]"), "{stored:?}");
    bench.assert_nothing_left(&[secret, issued], "redacted").await;
}

#[tokio::test]
async fn a_secret_across_a_limit_of_ours_is_not_cut_in_two_i1() {
    let (bench, mut random) = (Bench::create().await, Random::new());
    let secret = random.text(LETTERS, 12);
    let around = |before: usize, after: usize| format!("{}{secret}{}", " ".repeat(before), " ".repeat(after));
    // At the limit of the bytes that are stored: bodies that end at it and bodies that go past it,
    // with the secret at each place around it.
    let stored: Vec<(String, Answer)> = (0..=secret.len())
        .flat_map(|offset| {
            let body = around(HTTP_STORED_BYTES_MAX - offset, 0);
            let longer = around(HTTP_STORED_BYTES_MAX - offset, 1_000);
            [
                (format!("end-{offset}"), whole("", body.as_bytes())),
                (format!("past-{offset}"), whole("", longer.as_bytes())),
            ]
        })
        .collect();
    for (form, data) in bench.stored(&secret, stored).await {
        assert!(data.contains(MARK) || data.contains("can be stored"), "{form}: {} bytes", data.len());
    }
    bench.assert_nothing_left(&[&secret], &secret).await;
    // At the limit of the bytes that are read.
    let read: Vec<(String, Answer)> = [0, 5, secret.len()]
        .into_iter()
        .map(|offset| {
            let body = around(HTTP_RESPONSE_BYTES_MAX - offset, 0);
            (format!("read-{offset}"), whole("", body.as_bytes()))
        })
        .collect();
    for (form, data) in bench.stored(&secret, read).await {
        assert!(data.contains("error"), "{form}: {} bytes", data.len());
    }
    bench.assert_nothing_left(&[&secret], &secret).await;
}
