//! A wire to Postgres that reads the traffic. It counts round trips and commits, holds a statement
//! back, breaks around a COMMIT, removes guards from statements, or is down.

mod message;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::Gate;

use message::{contains, is_write, message_length, rename_statement, role_of, types_of};

/// A proxy in front of a server.
pub struct PostgresWire {
    port: u16,
    record: Arc<Record>,
    is_down: watch::Sender<bool>,
    /// The number of times that the sandboxes at this end were put to sleep, and the behaviour of
    /// their connections after it.
    sleep: watch::Sender<(u64, Asleep)>,
}

/// The behaviour of a connection that the server ended while the client's sandbox slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asleep {
    /// The connection is reset at its first bytes, as by a host or a proxy that has forgotten it.
    #[default]
    Reset,
    /// The connection's bytes get no answer, as behind a firewall that has forgotten it.
    Silent,
}

/// The traffic over the wire since the last look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The statements of each round trip, by the names in their comments. A round trip begins with
    /// the first statement after all earlier ones were answered.
    pub round_trips: Vec<Vec<String>>,
    /// Commits of transactions that wrote.
    pub commits: usize,
    /// Statements that were prepared: once for each connection. They are in none of the round
    /// trips.
    pub prepared: usize,
}

impl Traffic {
    /// The traffic without the heartbeat, which an instance writes at most once in ten seconds.
    #[must_use]
    pub fn without_heartbeat(mut self) -> Self {
        let all = self.round_trips.len();
        self.round_trips.retain(|trip| trip.as_slice() != ["record_heartbeat"]);
        self.commits -= all - self.round_trips.len();
        self
    }
}

/// A statement that a client prepared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PreparedStatement {
    /// The role that prepared it.
    pub role: String,
    /// Its text.
    pub text: String,
    /// The types of its parameters, by their OIDs.
    pub types: Vec<u32>,
}

/// The fate of a COMMIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitFate {
    /// The COMMIT is carried.
    #[default]
    Carried,
    /// The connection breaks before the COMMIT reaches the server: the transaction is rolled back.
    LostBefore,
    /// The server commits, and the connection breaks before its answer arrives.
    LostAfter,
}

type ChooseFate = dyn Fn() -> CommitFate + Send + Sync;

#[derive(Default)]
struct Record {
    traffic: Mutex<Traffic>,
    held: Mutex<Option<(String, Arc<Gate>)>>,
    cut_commit: Mutex<bool>,
    fate: Mutex<Option<Arc<ChooseFate>>>,
    replaced: Mutex<Vec<(&'static str, &'static str)>>,
    removals: AtomicUsize,
    commit_late: Mutex<Option<Duration>>,
    commit_pause: Mutex<Duration>,
    sent_asleep: Mutex<Vec<String>>,
    lost_answer: Mutex<Option<String>>,
    statements: Mutex<BTreeSet<PreparedStatement>>,
    /// The number of times that the server has forgotten all prepared statements.
    forgotten: AtomicUsize,
}

/// The state of one connection.
#[derive(Default)]
struct Session {
    /// Answers that have not come yet.
    outstanding: usize,
    /// Whether a statement was sent, but not yet its Sync.
    is_group_open: bool,
    in_transaction: bool,
    is_writing: bool,
    /// Set once a COMMIT was sent, if its answer must not arrive.
    is_cutting: bool,
    /// Answers that the wire has given in the server's place: the server's own are dropped.
    answered_early: usize,
    /// The value of [`Record::forgotten`] when the connection began.
    forgotten_before: usize,
    /// The role that has logged in.
    role: String,
    /// The texts of prepared statements, by the names that the client gave them.
    prepared: HashMap<String, String>,
}

/// The effect of a client's message.
enum Ask {
    /// The message prepares this text and runs nothing.
    Prepares(String),
    /// The message runs this text.
    Runs(String),
    Other,
}

impl Session {
    fn ask(&self, message: &[u8]) -> Ask {
        let content = String::from_utf8_lossy(&message[5..]);
        match message[0] {
            b'Q' => Ask::Runs(content.into_owned()),
            // Parse: the statement's name, its text, the types of its parameters.
            b'P' => match content.split_once('\0') {
                Some(("", text)) => Ask::Runs(text.to_owned()),
                _ => Ask::Prepares(content.into_owned()),
            },
            // Bind: the portal's name, the statement's name, values.
            b'B' => {
                let text = content.split('\0').nth(1).and_then(|name| self.prepared.get(name));
                text.map_or(Ask::Other, |text| Ask::Runs(text.clone()))
            }
            _ => Ask::Other,
        }
    }

    /// Whether the connection waits for an answer or is in a transaction. Then its sandbox is
    /// awake, and the connection ends like any that breaks.
    fn is_at_work(&self) -> bool {
        self.outstanding > 0 || self.in_transaction
    }
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
        let (is_down, downs) = watch::channel(false);
        let (sleep, sleeps) = watch::channel((0, Asleep::default()));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut down = downs.clone();
                if *down.borrow() {
                    continue;
                }
                // Without the server, the client's connection ends too.
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let shared = Arc::clone(&shared);
                let mut sleeps = sleeps.clone();
                let before = sleeps.borrow().0;
                tokio::spawn(async move {
                    let (mut from_client, to_client) = client.into_split();
                    let session = Mutex::new(Session::default());
                    tokio::select! {
                        () = carry(&mut from_client, &to_client, server, &shared, &session) => return,
                        _ = down.wait_for(|is_down| *is_down) => return,
                        slept = sleeps.wait_for(|(count, _)| *count > before) => if slept.is_err() { return },
                    }
                    if lock(&session).is_at_work() {
                        return;
                    }
                    let how = sleeps.borrow().1;
                    let client = from_client.reunite(to_client).expect("they are halves of one");
                    stay_asleep(client, how, &shared, &session).await;
                });
            }
        });
        Self { port, record, is_down, sleep }
    }

    /// `127.0.0.1:PORT`, this end of the wire.
    #[must_use]
    pub fn host_port(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Breaks all connections and accepts none from now on.
    pub fn go_down(&self) {
        self.is_down.send_replace(true);
    }

    /// Accepts connections again.
    pub fn come_up(&self) {
        self.is_down.send_replace(false);
    }

    /// Does to the sandboxes at this end what a minute of sleep does: the server ends all their
    /// connections, and the sandboxes get no notice.
    pub fn put_to_sleep(&self, how: Asleep) {
        self.sleep.send_modify(|(count, asleep)| {
            *count += 1;
            *asleep = how;
        });
    }

    /// Names of the statements that were sent on connections after their sleep, each at most once
    /// for each connection.
    #[must_use]
    pub fn sent_asleep(&self) -> Vec<String> {
        lock(&self.record.sent_asleep).clone()
    }

    /// Lets `choose` decide the fate of each COMMIT.
    pub fn choose_fate(&self, choose: impl Fn() -> CommitFate + Send + Sync + 'static) {
        *lock(&self.record.fate) = Some(Arc::new(choose));
    }

    /// Carries every COMMIT from now on.
    pub fn carry_commits(&self) {
        *lock(&self.record.fate) = None;
    }

    /// Holds each COMMIT back so long.
    pub fn hold_commits(&self, by: Duration) {
        *lock(&self.record.commit_pause) = by;
    }

    /// Removes a text from all statements from now on. The text is a guard, and a suite must notice
    /// that it is missing.
    pub fn remove_from_statements(&self, text: &'static str) {
        self.replace_in_statements(text, "");
    }

    /// Puts another text, which is no longer, in the place of `text` in all statements.
    pub fn replace_in_statements(&self, text: &'static str, other: &'static str) {
        lock(&self.record.replaced).push((text, other));
    }

    /// The number of statements from which a text was removed.
    #[must_use]
    pub fn removals(&self) -> usize {
        self.record.removals.load(Ordering::Relaxed)
    }

    /// Answers each COMMIT at once and carries it only later, so that the client's next steps come
    /// before its commit.
    pub fn commit_late(&self, by: Duration) {
        *lock(&self.record.commit_late) = Some(by);
    }

    /// The same address through this wire.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (start, rest) = url.split_once('@').unwrap_or(("", url));
        let (_, database) = rest.split_once('/').unwrap_or((rest, ""));
        format!("{start}@127.0.0.1:{}/{database}", self.port)
    }

    /// The traffic over it since the last look.
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

    /// Breaks the connection after the server has carried out the next statement that contains
    /// `text`, before its answer arrives.
    pub fn lose_answer(&self, text: &str) {
        *lock(&self.record.lost_answer) = Some(text.to_owned());
    }

    /// Makes the server forget all statements that were prepared so far, as behind a pooler that
    /// changed servers.
    pub fn forget_statements(&self) {
        self.record.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    /// Every statement that was prepared through this wire, by all its clients.
    #[must_use]
    pub fn statements(&self) -> Vec<PreparedStatement> {
        lock(&self.record.statements).iter().cloned().collect()
    }

    /// Whether the answer of [`Self::lose_answer`] is lost already.
    #[must_use]
    pub fn has_lost_answer(&self) -> bool {
        lock(&self.record.lost_answer).is_none()
    }

    /// Breaks the connection after the server has answered the next COMMIT, before the answer
    /// arrives.
    pub fn lose_next_commit(&self) {
        *lock(&self.record.cut_commit) = true;
    }
}

async fn carry(
    from_client: &mut OwnedReadHalf,
    to_client: &OwnedWriteHalf,
    server: TcpStream,
    record: &Record,
    session: &Mutex<Session>,
) {
    let (from_server, to_server) = server.into_split();
    let to_client = tokio::sync::Mutex::new(ToClient(to_client));
    tokio::select! {
        () = carry_requests(from_client, to_server, &to_client, record, session) => {}
        () = carry_answers(from_server, &to_client, session) => {}
    }
}

/// Writes to a borrowed half, so that the connection outlives `carry`.
struct ToClient<'a>(&'a OwnedWriteHalf);

impl ToClient<'_> {
    async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Keeps the client's connection after the server's end. The client notices that end only when it
/// sends something.
async fn stay_asleep(mut client: TcpStream, how: Asleep, record: &Record, session: &Mutex<Session>) {
    let mut bytes = Vec::with_capacity(64 * 1024);
    let mut is_named = false;
    while matches!(client.read_buf(&mut bytes).await, Ok(1..)) {
        if !is_named {
            is_named = true;
            lock(&record.sent_asleep).push(first_name(&bytes, session));
        }
        if how == Asleep::Reset {
            // With a linger of zero, the close sends a reset.
            let _ = client.set_zero_linger();
            return;
        }
    }
}

/// The server's answer to a COMMIT: CommandComplete and ReadyForQuery.
const COMMITTED: &[u8] = b"C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05I";

async fn carry_requests(
    from: &mut OwnedReadHalf,
    mut to: OwnedWriteHalf,
    to_client: &tokio::sync::Mutex<ToClient<'_>>,
    record: &Record,
    session: &Mutex<Session>,
) {
    let (mut bytes, mut is_started) = (Vec::new(), false);
    while read_all(from, &mut bytes).await {
        let (mut sent, mut carried) = (0, 0);
        while let Some(length) = message_length(&bytes[sent..], is_started) {
            if is_started {
                let ask = lock(session).ask(&bytes[sent..sent + length]);
                let held = lock(&record.held)
                    .take_if(|(text, _)| matches!(&ask, Ask::Runs(run) if run.contains(text.as_str())));
                if let Some((_, gate)) = held {
                    // The messages before the held one go on to the server.
                    if to.write_all(&bytes[carried..sent]).await.is_err() {
                        return;
                    }
                    carried = sent;
                    gate.pass().await;
                }
                let message = &mut bytes[sent..sent + length];
                if contains(message, "COMMIT\0") {
                    let fate = lock(&record.fate).clone().map_or(CommitFate::Carried, |choose| choose());
                    match fate {
                        CommitFate::LostBefore => return,
                        CommitFate::LostAfter => *lock(&record.cut_commit) = true,
                        CommitFate::Carried => {}
                    }
                    let pause = *lock(&record.commit_pause);
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    let late = *lock(&record.commit_late);
                    if let Some(by) = late {
                        lock(session).answered_early += 1;
                        if to_client.lock().await.write_all(COMMITTED).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(by).await;
                    }
                }
                take_guards_out(message, record);
                note(message, record, session);
                if lock(session).forgotten_before < record.forgotten.load(Ordering::Relaxed) {
                    rename_statement(message);
                }
            } else {
                is_started = true;
                let mut session = lock(session);
                session.outstanding = 1;
                session.role = role_of(&bytes[sent..sent + length]);
                session.forgotten_before = record.forgotten.load(Ordering::Relaxed);
            }
            sent += length;
        }
        if to.write_all(&bytes[carried..sent]).await.is_err() {
            return;
        }
        bytes.drain(..sent);
    }
}

async fn carry_answers(
    mut from: OwnedReadHalf,
    to: &tokio::sync::Mutex<ToClient<'_>>,
    session: &Mutex<Session>,
) {
    let mut bytes = Vec::new();
    while read_all(&mut from, &mut bytes).await {
        let (mut seen, mut carried) = (0, Vec::new());
        while let Some(length) = message_length(&bytes[seen..], true) {
            let message = &bytes[seen..seen + length];
            seen += length;
            let mut session = lock(session);
            // Nothing else was outstanding when a COMMIT was answered early, so the server's next
            // answer belongs to that COMMIT.
            let is_known = session.answered_early > 0 && matches!(message[0], b'C' | b'Z');
            if message[0] == b'Z' {
                session.outstanding -= 1;
                if session.is_cutting && session.outstanding == 0 {
                    return;
                }
                session.answered_early -= usize::from(is_known);
            }
            if !is_known {
                carried.extend_from_slice(message);
            }
        }
        let is_cutting = lock(session).is_cutting;
        if !is_cutting && to.lock().await.write_all(&carried).await.is_err() {
            return;
        }
        bytes.drain(..seen);
    }
}

/// The name of the first named statement in the bytes.
fn first_name(mut bytes: &[u8], session: &Mutex<Session>) -> String {
    while let Some(length) = message_length(bytes, true) {
        if let Ask::Runs(text) | Ask::Prepares(text) = lock(session).ask(&bytes[..length])
            && let Some((name, _)) = text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */"))
        {
            return name.to_owned();
        }
        bytes = &bytes[length..];
    }
    "unnamed".to_owned()
}

/// Puts another text and spaces in a guard's place, so that the message keeps its length.
fn take_guards_out(message: &mut [u8], record: &Record) {
    for (text, other) in lock(&record.replaced).iter() {
        while contains(message, text) {
            let place = message.windows(text.len()).position(|window| window == text.as_bytes());
            let place = &mut message[place.expect("it is contained")..][..text.len()];
            place.fill(b' ');
            place[..other.len()].copy_from_slice(other.as_bytes());
            record.removals.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads the bytes that are there; false at the end of the stream.
async fn read_all(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> bool {
    if !matches!(from.read_buf(bytes).await, Ok(1..)) {
        return false;
    }
    while matches!(from.try_read_buf(bytes), Ok(1..)) {}
    true
}

fn note(message: &[u8], record: &Record, session: &Mutex<Session>) {
    let mut session = lock(session);
    let mut traffic = lock(&record.traffic);
    match session.ask(message) {
        Ask::Runs(text) => {
            if session.outstanding == 0 && !session.is_group_open {
                traffic.round_trips.push(Vec::new());
            }
            push_name(&mut traffic, &text);
            let is_extended = message[0] != b'Q';
            if is_extended {
                session.is_group_open = true;
                session.is_cutting |=
                    lock(&record.lost_answer).take_if(|lost| text.contains(lost.as_str())).is_some();
                let is_write = is_write(&text);
                session.is_writing |= is_write;
                traffic.commits += usize::from(is_write && !session.in_transaction);
            } else {
                session.outstanding += 1;
                if text.starts_with("COMMIT") {
                    traffic.commits += usize::from(session.is_writing);
                    session.is_cutting = std::mem::take(&mut *lock(&record.cut_commit));
                }
                session.in_transaction = text.starts_with("BEGIN");
                session.is_writing = false;
            }
        }
        Ask::Prepares(content) => {
            if let Some((name, text)) = content.split_once('\0') {
                let text = text.split('\0').next().unwrap_or(text).to_owned();
                let types = types_of(message, name.len() + text.len());
                let statement = PreparedStatement { role: session.role.clone(), text: text.clone(), types };
                lock(&record.statements).insert(statement);
                session.prepared.insert(name.to_owned(), text);
            }
            traffic.prepared += 1;
        }
        Ask::Other if message[0] == b'S' => {
            session.is_group_open = false;
            session.outstanding += 1;
        }
        Ask::Other => {}
    }
}

fn push_name(traffic: &mut Traffic, text: &str) {
    let name = text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */")).map(|(name, _)| name);
    let word = text.split([' ', '\0']).find(|word| !word.is_empty()).unwrap_or_default();
    if let Some(trip) = traffic.round_trips.last_mut() {
        trip.push(name.unwrap_or(word).to_owned());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
