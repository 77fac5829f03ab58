//! A wire to Postgres that reads along: counts round trips and commits, holds a statement back, or breaks after a COMMIT.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Gate;

/// A proxy in front of a server.
pub struct PostgresWire {
    port: u16,
    record: Arc<Record>,
}

/// What went over the wire since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The statements of each round trip by the names in their comments: what was sent after all that was outstanding was answered.
    pub round_trips: Vec<Vec<String>>,
    /// Commits of transactions that wrote.
    pub commits: usize,
}

impl Traffic {
    /// The same but for the heartbeat, which an instance notes at most once in ten seconds.
    #[must_use]
    pub fn without_heartbeat(mut self) -> Self {
        let all = self.round_trips.len();
        self.round_trips.retain(|trip| trip.as_slice() != ["record_heartbeat"]);
        self.commits -= all - self.round_trips.len();
        self
    }
}

#[derive(Default)]
struct Record {
    traffic: Mutex<Traffic>,
    held: Mutex<Option<(String, Arc<Gate>)>>,
    cut_commit: Mutex<bool>,
}

/// One connection's course.
#[derive(Default)]
struct Session {
    /// Answers that have not come yet.
    outstanding: usize,
    /// Whether a statement was sent whose Sync was not.
    is_group_open: bool,
    in_transaction: bool,
    is_writing: bool,
    /// Set once a COMMIT was sent whose answer must not arrive.
    is_cutting: bool,
}

impl PostgresWire {
    /// A wire to `host_port`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(host_port: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let record = Arc::new(Record::default());
        let (shared, target) = (Arc::clone(&record), host_port.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.expect("the server is there");
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                tokio::spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, record }
    }

    /// The same address by way of this wire.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (start, rest) = url.split_once('@').unwrap_or(("", url));
        let (_, database) = rest.split_once('/').unwrap_or((rest, ""));
        format!("{start}@127.0.0.1:{}/{database}", self.port)
    }

    /// What went over it since the last look.
    #[must_use]
    pub fn take(&self) -> Traffic {
        std::mem::take(&mut *lock(&self.record.traffic))
    }

    /// Holds back the next statement that contains `text` at a gate, once.
    #[must_use]
    pub fn hold(&self, text: &str) -> Arc<Gate> {
        let gate = Arc::new(Gate::closed());
        *lock(&self.record.held) = Some((text.to_owned(), Arc::clone(&gate)));
        gate
    }

    /// Breaks the connection after the server has answered the next COMMIT, before the answer arrives.
    pub fn lose_next_commit(&self) {
        *lock(&self.record.cut_commit) = true;
    }
}

async fn carry(client: TcpStream, server: TcpStream, record: Arc<Record>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let session = Arc::new(Mutex::new(Session::default()));
    tokio::select! {
        () = carry_requests(from_client, to_server, &record, &session) => {}
        () = carry_answers(from_server, to_client, &session) => {}
    }
}

async fn carry_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    record: &Record,
    session: &Mutex<Session>,
) {
    let (mut bytes, mut is_started) = (Vec::new(), false);
    while read_all(&mut from, &mut bytes).await {
        let mut sent = 0;
        while let Some(length) = message_length(&bytes[sent..], is_started) {
            let message = &bytes[sent..sent + length];
            if is_started {
                let held = lock(&record.held).take_if(|(text, _)| contains(message, text));
                if let Some((_, gate)) = held {
                    gate.pass().await;
                }
                note(message, record, session);
            } else {
                is_started = true;
                lock(session).outstanding = 1;
            }
            sent += length;
        }
        if to.write_all(&bytes[..sent]).await.is_err() {
            return;
        }
        bytes.drain(..sent);
    }
}

async fn carry_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, session: &Mutex<Session>) {
    let mut bytes = Vec::new();
    while read_all(&mut from, &mut bytes).await {
        let mut sent = 0;
        while let Some(length) = message_length(&bytes[sent..], true) {
            if bytes[sent] == b'Z' {
                let mut session = lock(session);
                session.outstanding -= 1;
                if session.is_cutting && session.outstanding == 0 {
                    return;
                }
            }
            sent += length;
        }
        let is_cutting = lock(session).is_cutting;
        if !is_cutting && to.write_all(&bytes[..sent]).await.is_err() {
            return;
        }
        bytes.drain(..sent);
    }
}

/// Reads what is there; false at the end.
async fn read_all(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> bool {
    if !matches!(from.read_buf(bytes).await, Ok(1..)) {
        return false;
    }
    while matches!(from.try_read_buf(bytes), Ok(1..)) {}
    true
}

/// The length of the message at the start of `bytes` when it is whole; the first one of a session has no type.
fn message_length(bytes: &[u8], has_type: bool) -> Option<usize> {
    let start = usize::from(has_type);
    let length = bytes.get(start..start + 4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()? + start;
    (bytes.len() >= length).then_some(length)
}

fn note(message: &[u8], record: &Record, session: &Mutex<Session>) {
    let text = String::from_utf8_lossy(&message[5..]);
    let mut session = lock(session);
    let mut traffic = lock(&record.traffic);
    if matches!(message[0], b'P' | b'Q') {
        if session.outstanding == 0 && !session.is_group_open {
            traffic.round_trips.push(Vec::new());
        }
        push_name(&mut traffic, &text);
    }
    match message[0] {
        b'P' => {
            session.is_group_open = true;
            let is_write = is_write(&text);
            session.is_writing |= is_write;
            traffic.commits += usize::from(is_write && !session.in_transaction);
        }
        b'S' => {
            session.is_group_open = false;
            session.outstanding += 1;
        }
        b'Q' => {
            session.outstanding += 1;
            if text.starts_with("COMMIT") {
                traffic.commits += usize::from(session.is_writing);
                session.is_cutting = std::mem::take(&mut *lock(&record.cut_commit));
            }
            session.in_transaction = text.starts_with("BEGIN");
            session.is_writing = false;
        }
        _ => {}
    }
}

fn push_name(traffic: &mut Traffic, text: &str) {
    let name = text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */")).map(|(name, _)| name);
    let word = text.split([' ', '\0']).find(|word| !word.is_empty()).unwrap_or_default();
    if let Some(trip) = traffic.round_trips.last_mut() {
        trip.push(name.unwrap_or(word).to_owned());
    }
}

fn is_write(text: &str) -> bool {
    ["INSERT INTO", "DELETE FROM", "UPDATE workflow", "UPDATE function"]
        .iter()
        .any(|word| text.contains(word))
}

fn contains(message: &[u8], text: &str) -> bool {
    matches!(message[0], b'P' | b'Q') && message.windows(text.len()).any(|window| window == text.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
