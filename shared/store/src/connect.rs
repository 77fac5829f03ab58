use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::StoreError;
use crate::error::statement_name;

/// A statement's parameter with its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// How a function reaches Postgres.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `postgres://role@host:port/database`. Loopback goes without TLS, everything else with verified TLS.
    pub url: String,
    /// The name that the server shows for the connection.
    pub application_name: &'static str,
}

/// One connection to Postgres, made when first needed and again when it is lost.
///
/// A function's instance handles one invocation at a time, so one connection is enough.
pub struct Store {
    config: Config,
    tls: bool,
    connection: Mutex<Option<Arc<Connection>>>,
    /// When this instance last noted that it works.
    heartbeat_at: std::sync::Mutex<Option<Timestamp>>,
}

pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Set while a transaction is open: a connection whose transaction was abandoned (a dropped future) is not used again.
    pub(crate) in_transaction: AtomicBool,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this silence of the network a connection is given up (transactions.md 5).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// The time between two heartbeats of one instance.
const HEARTBEAT_PAUSE: SignedDuration = SignedDuration::from_secs(10);

impl Store {
    /// A store for the database at `settings.url`. Connects when first used.
    ///
    /// # Errors
    /// [`StoreError::Setup`] when the URL can't be read.
    pub fn new(settings: StoreSettings) -> Result<Self, StoreError> {
        let mut config: Config = settings
            .url
            .parse()
            .map_err(|_| StoreError::Setup("SEALFLOW_DATABASE_URL is no Postgres URL".into()))?;
        let loopback = config.get_hosts().iter().all(is_loopback);
        config
            .application_name(settings.application_name)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .ssl_mode(if loopback { SslMode::Disable } else { SslMode::Require });
        Ok(Self {
            config,
            tls: !loopback,
            connection: Mutex::new(None),
            heartbeat_at: std::sync::Mutex::default(),
        })
    }

    /// Whether the last heartbeat is long enough ago; if so, this is the next one.
    pub(crate) fn is_heartbeat_due(&self, now: Timestamp) -> bool {
        let mut last = self.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= HEARTBEAT_PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Runs one statement in a transaction of its own. A connection that is known to be lost is made again first.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let connection = self.connected().await?;
        failpoint::step(statement_name(sql), "before_statement");
        let result = connection.1.client.query_typed(sql, params).await;
        failpoint::step(statement_name(sql), "after_statement");
        result.map_err(|error| StoreError::of_statement(sql, error))
    }

    /// The connection, held for the caller alone.
    pub(crate) async fn connected(
        &self,
    ) -> Result<(MutexGuard<'_, Option<Arc<Connection>>>, Arc<Connection>), StoreError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref()
            && !connection.client.is_closed()
            && !connection.in_transaction.load(Ordering::Acquire)
        {
            let connection = Arc::clone(connection);
            return Ok((held, connection));
        }
        *held = None;
        let connection = Arc::new(self.connect().await?);
        *held = Some(Arc::clone(&connection));
        Ok((held, connection))
    }

    pub(crate) async fn connect(&self) -> Result<Connection, StoreError> {
        let client = if self.tls {
            let (client, connection) = self.config.connect(tls()?).await?;
            tokio::spawn(drive(connection));
            client
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(drive(connection));
            client
        };
        check_role(&client).await?;
        Ok(Connection { client, in_transaction: AtomicBool::new(false) })
    }

    /// A connection of its own, outside of the one that is shared; for migrations.
    pub(crate) async fn connect_alone(&self) -> Result<Client, StoreError> {
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(drive(connection));
        Ok(client)
    }

    pub(crate) fn needs_tls(&self) -> bool {
        self.tls
    }

    pub(crate) async fn connect_alone_tls(&self) -> Result<Client, StoreError> {
        let (client, connection) = self.config.connect(tls()?).await?;
        tokio::spawn(drive(connection));
        Ok(client)
    }
}

async fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if connection.await.is_err() {
        // The text may quote what was sent; that the connection is gone is all that matters.
        tracing::warn!("the database connection was lost");
    }
}

fn tls() -> Result<tokio_postgres_rustls::MakeRustlsConnect, StoreError> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| StoreError::Setup("TLS can't be set up".into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// A function's role must have the time-outs of transactions.md 5, or a frozen sandbox would hold its locks for ever.
async fn check_role(client: &Client) -> Result<(), StoreError> {
    let rows = client
        .query_typed(
            "/* check_role */ SELECT name, current_user::text FROM pg_settings
             WHERE name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout') AND setting = '0'
               AND NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)",
            &[],
        )
        .await?;
    match rows.first() {
        None => Ok(()),
        Some(row) => {
            let (name, role): (&str, &str) = (row.get(0), row.get(1));
            Err(StoreError::Setup(format!(
                "role {role} has no {name}: run the migrations, or ALTER ROLE {role} SET {name}"
            )))
        }
    }
}
