//! The one connection of an instance. It is made at its first use, probed after it was idle, and
//! made again after it was lost.

mod check;
mod diagnosis;
mod login;
mod statements;
mod tls;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::diagnosis::ConnectFailure;
pub use self::login::{AskPassword, Login, NoPassword};
use self::statements::Statements;
use crate::StoreError;
use crate::error::statement_name;

/// A statement's parameter with its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The settings with which a function reaches Postgres.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `postgres://role@host:port/database`. Its `sslmode` decides about TLS; without one, loopback
    /// has no TLS and every other host has it. With TLS, the server's certificate and name are
    /// verified.
    pub url: String,
    /// The name that the server shows for the connection.
    pub application_name: &'static str,
    /// The credential that the role logs in with.
    pub login: Login,
    /// The one authority whose certificates are trusted, in PEM; empty for the public ones and
    /// those of RDS.
    pub own_root: String,
    /// The time that connecting may take: address, TLS and login.
    pub connect_timeout: Duration,
}

impl StoreSettings {
    /// Settings for a database on this machine, from its URL alone.
    #[must_use]
    pub fn local(url: impl Into<String>, application_name: &'static str) -> Self {
        Self {
            url: url.into(),
            application_name,
            login: Login::Url,
            own_root: String::new(),
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// One connection to Postgres.
///
/// A function's instance handles one invocation at a time, so one connection is enough.
pub struct Store {
    config: Config,
    /// None where the connection goes without TLS.
    tls: Option<MakeRustlsConnect>,
    login: Login,
    connect_timeout: Duration,
    connection: Mutex<Option<Arc<Connection>>>,
    /// Tries to connect since the last [`Store::take_connects`], failed ones included.
    connects: AtomicU64,
    /// The last failure that was logged as an error, and the time.
    told: std::sync::Mutex<Option<(ConnectFailure, Instant)>>,
    /// The time of this instance's last heartbeat.
    heartbeat_at: std::sync::Mutex<Option<Timestamp>>,
}

pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) statements: Statements,
    /// Set while a transaction is open: a connection whose transaction was abandoned (a dropped
    /// future) is not used again.
    pub(crate) in_transaction: AtomicBool,
    /// The time of the server's last answer.
    used_at: std::sync::Mutex<Instant>,
}

/// The connection, held for one caller alone.
pub(crate) struct Held<'a> {
    pub(crate) connection: Arc<Connection>,
    /// Whether it was open before: then the server may have ended it since.
    pub(crate) is_reused: bool,
    _guard: MutexGuard<'a, Option<Arc<Connection>>>,
}

/// The time that connecting may take, unless the operator sets another.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this silence of the network a connection is given up.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is probed before it is used: a sandbox that slept does not
/// know whether the server ended the connection. The server does so after 14 seconds at the
/// earliest.
const PROBED_AFTER: Duration = Duration::from_secs(5);
/// The time that the probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time in which the same failure to connect is one error in the log: an invocation may try
/// more than once.
const TELL_PAUSE: Duration = Duration::from_secs(30);
const PROBE: &str = "/* probe */ SELECT 1";
/// The time between two heartbeats of one instance.
const HEARTBEAT_PAUSE: SignedDuration = SignedDuration::from_secs(10);

impl Connection {
    fn new(client: Client) -> Self {
        Self {
            client,
            statements: Statements::default(),
            in_transaction: AtomicBool::new(false),
            used_at: std::sync::Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn note_use(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.in_transaction.load(Ordering::Acquire)
    }

    /// Whether the server is still there. It is asked only after [`PROBED_AFTER`] without an
    /// answer.
    async fn is_alive(&self) -> bool {
        if self.used_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed() <= PROBED_AFTER {
            return true;
        }
        matches!(timeout(PROBE_TIMEOUT, self.client.batch_execute(PROBE)).await, Ok(Ok(())))
    }
}

impl Store {
    /// A store for the database at `settings.url`. Connects when first used.
    ///
    /// # Errors
    /// [`StoreError::Setup`] when the URL or the authority can't be read, or a password would go in
    /// the clear.
    pub fn new(settings: StoreSettings) -> Result<Self, StoreError> {
        let mut config: Config = settings
            .url
            // TLS always verifies here. Postgres's own clients verify with these words alone.
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require")
            .parse()
            .map_err(|_| StoreError::Setup("SEALFLOW_DATABASE_URL is no Postgres URL".into()))?;
        let is_here = is_loopback(&config);
        let is_tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Require => true,
            _ => !is_here,
        };
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(StoreError::Setup(
                "SEALFLOW_DATABASE_URL has an @ too many: one in a password is written %40".into(),
            ));
        }
        if !is_tls && !is_here && config.get_password().is_some() {
            return Err(StoreError::Setup(
                "SEALFLOW_DATABASE_URL would send its password in the clear: take sslmode=disable out".into(),
            ));
        }
        if !is_tls && matches!(settings.login, Login::Asked(_)) {
            return Err(StoreError::Setup(
                "SEALFLOW_DATABASE_LOGIN needs TLS: say sslmode=verify-full in SEALFLOW_DATABASE_URL".into(),
            ));
        }
        config
            .application_name(settings.application_name)
            .connect_timeout(settings.connect_timeout)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable });
        Ok(Self {
            config,
            tls: if is_tls { Some(tls::connector(&settings.own_root)?) } else { None },
            login: settings.login,
            connect_timeout: settings.connect_timeout,
            connection: Mutex::new(None),
            connects: AtomicU64::new(0),
            told: std::sync::Mutex::default(),
            heartbeat_at: std::sync::Mutex::default(),
        })
    }

    /// Connects where there is no connection, for work that is of no use without one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Setup`]; the log says why.
    pub async fn connect_if_needed(&self) -> Result<(), StoreError> {
        self.hold().await.map(drop)
    }

    /// The cause of the last failure to connect, as the log has it.
    pub fn last_failure(&self) -> Option<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().map(|(failure, _)| failure.to_string())
    }

    /// Tries to connect since the last call, failed ones included.
    pub fn take_connects(&self) -> u64 {
        self.connects.swap(0, Ordering::Relaxed)
    }

    /// Whether a heartbeat is due; if so, `now` is noted as its time.
    pub(crate) fn is_heartbeat_due(&self, now: Timestamp) -> bool {
        let mut last = self.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= HEARTBEAT_PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Runs one statement in a transaction of its own. Where a reused connection turns out to be
    /// lost, the statement runs once more. The first try may have passed all the same, so the
    /// statement only reads, or recognises its own rows.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let held = self.hold().await?;
        match held.query(sql, params).await {
            Err(error) if held.is_reused && (error.is_lost_connection() || error.is_stale_statement()) => {
                drop(held);
                tracing::info!(
                    statement = statement_name(sql),
                    "the connection was lost; the statement runs again"
                );
                self.hold_new().await?.query(sql, params).await
            }
            result => result,
        }
    }

    /// As [`Store::query`], for a statement that must not run twice: a lost connection is an error.
    /// A statement that the server no longer knows has not run, so it runs once more.
    pub(crate) async fn query_once(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let held = self.hold().await?;
        match held.query(sql, params).await {
            Err(error) if held.is_reused && error.is_stale_statement() => {
                drop(held);
                self.hold_new().await?.query(sql, params).await
            }
            result => result,
        }
    }

    /// The connection, held for the caller alone: the present one if it is alive, else a new one.
    pub(crate) async fn hold(&self) -> Result<Held<'_>, StoreError> {
        let guard = self.connection.lock().await;
        if let Some(connection) = guard.as_ref().filter(|connection| connection.is_usable())
            && connection.is_alive().await
        {
            return Ok(Held { connection: Arc::clone(connection), is_reused: true, _guard: guard });
        }
        self.replace(guard).await
    }

    /// A new connection in the place of the one that was lost.
    pub(crate) async fn hold_new(&self) -> Result<Held<'_>, StoreError> {
        self.replace(self.connection.lock().await).await
    }

    async fn replace<'a>(
        &self,
        mut guard: MutexGuard<'a, Option<Arc<Connection>>>,
    ) -> Result<Held<'a>, StoreError> {
        *guard = None;
        let connection = Arc::new(self.connect().await?);
        *guard = Some(Arc::clone(&connection));
        Ok(Held { connection, is_reused: false, _guard: guard })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, StoreError> {
        let connecting = async {
            let client = self.log_in().await?;
            check::check(&client).await?;
            Ok(client)
        };
        Ok(Connection::new(self.within_time(connecting).await?))
    }

    /// A connection of its own for migrations, without the check of role and schema.
    pub(crate) async fn connect_to_migrate(&self) -> Result<Client, StoreError> {
        self.within_time(self.log_in()).await
    }

    /// Connects within the time-out. A failure is one line of level ERROR, which raises the
    /// operator's alarm: nothing works without the database.
    async fn within_time(
        &self,
        connecting: impl Future<Output = Result<Client, ConnectFailure>>,
    ) -> Result<Client, StoreError> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        // Boxed: connecting is deep, rare, and part of every future of every function.
        let made = timeout(self.connect_timeout, Box::pin(connecting))
            .await
            .unwrap_or(Err(ConnectFailure::TimedOut));
        made.map_err(|failure| {
            self.tell(&failure);
            failure.into()
        })
    }

    fn tell(&self, failure: &ConnectFailure) {
        let (host, port) = self.address();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = told.as_ref().is_some_and(|(known, at)| known == failure && at.elapsed() < TELL_PAUSE);
        if is_known {
            tracing::info!(host, port, "still no connection to the database");
            return;
        }
        tracing::error!(host, port, role = self.role(), cause = %failure, "no connection to the database");
        *told = Some((failure.clone(), Instant::now()));
    }

    async fn log_in(&self) -> Result<Client, ConnectFailure> {
        let mut config = self.config.clone();
        if let Login::Asked(login) = &self.login {
            let (host, port) = self.address();
            let password = login.password(self.role(), host, port).await;
            config.password(password.map_err(ConnectFailure::NoPassword)?.as_str());
        }
        let made = match &self.tls {
            Some(tls) => config.connect(tls.clone()).await.map(|(client, connection)| {
                tokio::spawn(drive(connection));
                client
            }),
            None => config.connect(NoTls).await.map(|(client, connection)| {
                tokio::spawn(drive(connection));
                client
            }),
        };
        made.map_err(|error| {
            let advice = match &self.login {
                Login::Url => None,
                Login::Asked(login) => Some(login.advice()),
            };
            let failure = ConnectFailure::of(&error, advice);
            if let Login::Asked(login) = &self.login
                && failure.is_refused_login()
            {
                login.refused();
            }
            failure
        })
    }

    fn address(&self) -> (&str, u16) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name,
            _ => "localhost",
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    fn role(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }
}

impl Held<'_> {
    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        failpoint::step(statement_name(sql), "before_statement");
        let Connection { client, statements, .. } = &*self.connection;
        let result = statements.query(client, sql, params).await;
        failpoint::step(statement_name(sql), "after_statement");
        if result.is_ok() {
            self.connection.note_use();
        }
        result.map_err(|error| StoreError::of_statement(sql, error))
    }
}

async fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if connection.await.is_err() {
        // The error's text may quote sent values, so it is not logged.
        tracing::warn!("the database connection was lost");
    }
}

/// Whether the server is on this machine, by its names and by the addresses that are given beside
/// them.
fn is_loopback(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    !hosts.is_empty() && hosts.iter().all(is_here) && addresses.iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_goes_without_tls() {
        let check = |url: &str, expected: Option<bool>| {
            let store = Store::new(StoreSettings::local(url, "test"));
            assert_eq!(store.ok().map(|store| store.tls.is_some()), expected, "{url}");
        };
        check("postgres://r@127.0.0.1:1/d", Some(false));
        check("postgres://r:p@localhost/d", Some(false));
        check("postgres://r@%2Ftmp%2Fx/d", Some(false));
        check("postgres://r@localhost/d?sslmode=verify-full", Some(true));
        check("postgres://r:p@db.test/d", Some(true));
        check("postgres://r:p@localhost/d?hostaddr=10.0.0.1", Some(true));
        check("postgres://r@db.test/d?hostaddr=127.0.0.1", Some(true));
        check("postgres://r@db.test/d?sslmode=disable", Some(false));
        check("postgres://r:p@db.test/d?sslmode=disable", None);
        check("postgres://r:a@b@db.test/d", None);
        check("text", None);
    }
}
