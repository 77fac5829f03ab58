//! A real Postgres server for one stack: fresh data folder, a free loopback port, gone at the end.
//!
//! It binds loopback only and asks for a random password, the same for the superuser and the
//! functions' roles: other users of the machine reach the port too. `max_connections` is 200.
//! Unless it is durable, `fsync` and `full_page_writes` are off: nothing here has to survive a
//! crash of the machine. `synchronous_commit` stays on, so that the events of a commit have their
//! real order.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::tools;
use crate::child::{self, Process, Signal};

/// The longest time from the server's start to its first accepted connection.
const START_SECONDS_MAX: u64 = 30;

/// The most attempts to start on a free port: another process may take the port first.
const PORT_ATTEMPTS_MAX: u32 = 3;

/// The cluster's superuser.
pub const SUPERUSER: &str = "postgres";

/// The functions' roles are there before the migrations, so that they have a password.
const CREATE_ROLES: &str = "DO $$ DECLARE role_name text; BEGIN
    FOREACH role_name IN ARRAY ARRAY['api', 'webhook', 'builder', 'executor', 'sweeper', 'rewrap'] LOOP
        EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', 'sealflow_' || role_name, 'PASSWORD');
    END LOOP; END $$";

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Further settings, as `postgres -c NAME=VALUE`; they win over ours. `log_statement=all` is
    /// one.
    pub settings: Vec<(String, String)>,
    /// Flushes to disk as in production.
    pub is_durable: bool,
    /// The binaries to use instead of those found.
    pub bin_dir: Option<PathBuf>,
}

/// A server to test against: our own, or one that ran before.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    bin_dir: PathBuf,
    host_port: String,
    password: String,
    log: Option<PathBuf>,
}

/// The user that a server runs as. Postgres refuses to run as root.
enum RunAs {
    Ourselves,
    User {
        uid: u32,
        gid: u32,
    },
    /// Root, with another user id in a namespace of its own: for binaries or a temp directory that
    /// only root can reach.
    Namespace,
}

impl Postgres {
    /// Makes a cluster in `folder` and starts a server on it; its log goes to `log`.
    ///
    /// # Errors
    ///
    /// When there are no binaries (says how to get them), or the server doesn't come up (the end of
    /// its log).
    pub async fn start(folder: &Path, log: &Path, options: &PostgresOptions) -> Result<Self> {
        let bin_dir = match &options.bin_dir {
            Some(folder) => folder.clone(),
            None => tools::find_postgres()?,
        };
        let run_as = RunAs::choose(&bin_dir, folder)?;
        let data = folder.join("postgres");
        fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
        if let RunAs::User { uid, gid } = run_as {
            chown(&data, Some(uid), Some(gid))?;
        }
        let password = crate::random::hex(16);
        make_cluster(&bin_dir, &run_as, &data, &password, log).await?;
        let mut attempts = 1;
        let server = loop {
            match Self::start_server(&bin_dir, &run_as, &data, &password, log, options).await {
                Err(_) if attempts < PORT_ATTEMPTS_MAX => attempts += 1,
                result => break result?,
            }
        };
        server.sql("postgres", &CREATE_ROLES.replace("'PASSWORD'", &format!("'{password}'"))).await?;
        Ok(server)
    }

    /// A server that runs already, at `postgres://USER:PASSWORD@HOST:PORT/…`. The password is that
    /// of all roles.
    ///
    /// # Errors
    ///
    /// When the address can't be read, or this machine has no `psql`.
    pub fn existing(url: &str, log: Option<PathBuf>) -> Result<Self> {
        let (user, rest) = url.split_once('@').unwrap_or_default();
        let host_port = rest.split('/').next().unwrap_or_default();
        let password = user.rsplit_once("//").and_then(|(_, user)| user.split_once(':'));
        let password = password.map(|(_, password)| password).unwrap_or_default();
        if host_port.is_empty() || !url.starts_with("postgres") {
            bail!("not an address of the shape postgres://{SUPERUSER}:PASSWORD@HOST:PORT/postgres");
        }
        Ok(Self {
            process: None,
            bin_dir: tools::find_postgres()?,
            host_port: host_port.to_owned(),
            password: password.to_owned(),
            log,
        })
    }

    /// `HOST:PORT`.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The server's log, when it is known.
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// The process id of our own server.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Process::pid)
    }

    /// `postgres://ROLE:PASSWORD@HOST:PORT/DATABASE`.
    pub fn url(&self, role: &str, database: &str) -> String {
        self.url_through(&self.host_port, role, database)
    }

    /// The same address through a proxy at `HOST:PORT`.
    pub fn url_through(&self, host_port: &str, role: &str, database: &str) -> String {
        match self.password.as_str() {
            "" => format!("postgres://{role}@{host_port}/{database}"),
            password => format!("postgres://{role}:{password}@{host_port}/{database}"),
        }
    }

    /// Makes an empty database `PREFIX_RANDOM`, owned by the superuser, and gives its name.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn create_database(&self, prefix: &str) -> Result<String> {
        self.create_database_from(prefix, "template0").await
    }

    /// Like [`Self::create_database`], as a copy of the database `template`. No session may be
    /// connected to the template.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn create_database_from(&self, prefix: &str, template: &str) -> Result<String> {
        let name = format!("{prefix}_{}", crate::random::hex(6));
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")).await?;
        Ok(name)
    }

    /// Drops a database and ends the sessions that are connected to it.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await.map(drop)
    }

    /// Runs SQL as the superuser with `psql`: the rows as text, columns separated by `|`.
    ///
    /// # Errors
    ///
    /// When `psql` fails: its message.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.client("psql", database);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = run_to_end(command).await?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    /// The whole database as `pg_dump --inserts` writes it.
    ///
    /// # Errors
    ///
    /// When `pg_dump` fails: its message.
    pub async fn dump(&self, database: &str) -> Result<Vec<u8>> {
        let mut command = self.client("pg_dump", database);
        command.arg("--inserts");
        run_to_end(command).await
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(program));
        // The password goes by the environment, which other users of the machine don't see.
        let url = format!("postgres://{SUPERUSER}@{}/{database}", self.host_port);
        command.arg("--dbname").arg(url).env("PGPASSWORD", &self.password).env("PGCONNECT_TIMEOUT", "10");
        command.env_remove("PGOPTIONS").env_remove("PGSERVICE");
        command
    }

    async fn start_server(
        bin_dir: &Path,
        run_as: &RunAs,
        data: &Path,
        password: &str,
        log: &Path,
        options: &PostgresOptions,
    ) -> Result<Self> {
        let port = crate::net::free_port()?;
        let mut command = run_as.command(&bin_dir.join("postgres"), "INT");
        command.arg("-D").arg(data).current_dir("/");
        for (name, value) in settings(port, options) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        clean_environment(&mut command);
        log_to(&mut command, log)?;
        // SIGINT is the fast shutdown: sessions are ended, not waited for.
        let process = Process::start("postgres", command, Signal::INT)?;
        await_ready(&process, data, log).await?;
        let host_port = format!("127.0.0.1:{port}");
        let (bin_dir, password) = (bin_dir.to_owned(), password.to_owned());
        Ok(Self { process: Some(process), bin_dir, host_port, password, log: Some(log.to_owned()) })
    }
}

impl RunAs {
    fn choose(bin_dir: &Path, folder: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        let is_reachable = [bin_dir, folder].into_iter().all(tools::is_reachable_by_others);
        if child::setpriv().is_some() && is_reachable {
            let (uid, gid) = other_user();
            return Ok(Self::User { uid, gid });
        }
        if child::find_program("unshare").is_some() {
            return Ok(Self::Namespace);
        }
        bail!("Postgres refuses to run as root, and `setpriv` or `unshare` (util-linux) isn't there")
    }

    /// The program as that user; it gets `signal` when we die.
    fn command(&self, program: &Path, signal: &str) -> Command {
        let Some(setpriv) = child::setpriv() else { return self.in_namespace(program) };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", signal]);
        match self {
            Self::Ourselves => command.arg("--").arg(program),
            Self::User { uid, gid } => {
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
                command.arg("--").arg(program)
            }
            Self::Namespace => command
                .args(["--", "unshare", "--user", "--map-user=1000", "--map-group=1000", "--"])
                .arg(program),
        };
        command
    }

    fn in_namespace(&self, program: &Path) -> Command {
        if !matches!(self, Self::Namespace) {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(program);
        command
    }
}

/// The ids of the machine's `postgres` user, which are those of its home; without one, the ids of
/// `nobody`.
fn other_user() -> (u32, u32) {
    const NOBODY: (u32, u32) = (65_534, 65_534);
    fs::metadata("/var/lib/postgresql")
        .map(|home| (home.uid(), home.gid()))
        .ok()
        .filter(|(uid, _)| *uid != 0)
        .unwrap_or(NOBODY)
}

async fn make_cluster(bin_dir: &Path, run_as: &RunAs, data: &Path, password: &str, log: &Path) -> Result<()> {
    let password_file = data.with_extension("password");
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&password_file)?
        .write_all(password.as_bytes())?;
    if let RunAs::User { uid, gid } = run_as {
        chown(&password_file, Some(*uid), Some(*gid))?;
    }
    let mut command = run_as.command(&bin_dir.join("initdb"), "TERM");
    command.arg("-D").arg(data).args([
        "--username",
        SUPERUSER,
        "--auth",
        "password",
        "--no-sync",
        "--pwfile",
    ]);
    command.arg(&password_file);
    command.args(["--encoding", "UTF8", "--locale", "C"]).current_dir("/");
    clean_environment(&mut command);
    log_to(&mut command, log)?;
    let status = Process::start("initdb", command, Signal::TERM)?.wait().await;
    fs::remove_file(&password_file)?;
    if !status.success() {
        bail!("initdb failed ({status}): {}", end_of(log));
    }
    Ok(())
}

fn settings(port: u16, options: &PostgresOptions) -> Vec<(String, String)> {
    let flush = if options.is_durable { "on" } else { "off" };
    let port = port.to_string();
    let ours = [
        ("listen_addresses", "127.0.0.1"),
        ("port", port.as_str()),
        ("unix_socket_directories", ""),
        ("max_connections", "200"),
        ("shared_buffers", "64MB"),
        ("fsync", flush),
        ("full_page_writes", flush),
        ("synchronous_commit", "on"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_line_prefix", "%m [%p] %u@%d "),
        ("log_statement", "none"),
        ("log_min_duration_statement", "-1"),
        ("log_parameter_max_length_on_error", "0"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Postgres takes the last value of a setting.
    ours.chain(options.settings.iter().cloned()).collect()
}

/// Waits until the postmaster has written into line 8 of `postmaster.pid` that it is ready.
/// Attempts to log in would fill the log with failures.
async fn await_ready(process: &Process, data: &Path, log: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        if status.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
            return Ok(());
        }
        if let Some(status) = process.exit_status() {
            bail!("postgres ended at its start ({status}): {}", end_of(log));
        }
        if started.elapsed() > Duration::from_secs(START_SECONDS_MAX) {
            bail!("postgres was not ready after {START_SECONDS_MAX} s: {}", end_of(log));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A whole database, wherever it is, as `pg_dump --inserts` writes it.
///
/// # Errors
///
/// When this machine has no `pg_dump`, or `pg_dump` fails: its message.
pub async fn dump_database(url: &str) -> Result<Vec<u8>> {
    let mut command = Command::new(tools::find_postgres()?.join("pg_dump"));
    command.args(["--inserts", "--dbname"]).arg(url).env("PGCONNECT_TIMEOUT", "10");
    run_to_end(command).await
}

async fn run_to_end(mut command: Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await?
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

fn clean_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
}

/// Appends both outputs of a command to a file, so that no thread of ours has to read them.
pub(super) fn log_to(command: &mut Command, log: &Path) -> Result<()> {
    let file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    command.stderr(file.try_clone()?).stdout(file);
    Ok(())
}

/// The last lines of a log, for an error.
pub(crate) fn end_of(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2_000)..]).into_owned();
    if text.trim().is_empty() { format!("nothing in {}", log.display()) } else { text.trim().to_owned() }
}
