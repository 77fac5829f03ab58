//! The options of a local product, and the search for its binaries.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{FUNCTIONS, Prepared, Sealflow};
use crate::lambda::FunctionOptions;
use crate::stack::{PostgresOptions, Stack, StackOptions};

/// The variable that names the folder of the function binaries and so replaces the search.
pub const BINARIES_VARIABLE: &str = "SEALFLOW_BIN_DIR";

/// The default of a component's longest time, seconds. It is short, because all other times derive
/// from it.
const COMPONENT_SECONDS_DEFAULT: u32 = 20;

/// The default time between two starts of the sweeper, seconds. On AWS it is a minute.
const SWEEP_SECONDS_DEFAULT: u64 = 5;

/// The default number of receipts after which a message becomes a dead letter.
const RECEIVES_MAX_DEFAULT: u32 = 5;

type Change = Box<dyn FnOnce(&mut FunctionOptions) + Send>;

/// The options of a product that is not started yet.
pub struct Builder {
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) stack: Option<Arc<Stack>>,
    pub(super) stack_options: StackOptions,
    pub(super) organization: Option<String>,
    pub(super) http_allow: Vec<String>,
    pub(super) component_seconds_max: u32,
    pub(super) visibility_timeout_seconds: Option<u32>,
    pub(super) receives_max: u32,
    pub(super) sweep_period: Option<Duration>,
    pub(super) rust_log: String,
    pub(super) gateway_port: u16,
    pub(super) is_nodes_paused: bool,
    pub(super) is_executions_paused: bool,
    pub(super) database_endpoint: Option<String>,
    pub(super) sqs_endpoint: Option<String>,
    pub(super) kms_endpoint: Option<String>,
    pub(super) environment: Vec<(Option<String>, String, String)>,
    pub(super) changes: BTreeMap<String, Vec<Change>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            bin_dir: None,
            stack: None,
            stack_options: StackOptions::new().postgres().ministack(),
            organization: Some("demo".to_owned()),
            http_allow: Vec::new(),
            component_seconds_max: COMPONENT_SECONDS_DEFAULT,
            visibility_timeout_seconds: None,
            receives_max: RECEIVES_MAX_DEFAULT,
            sweep_period: Some(Duration::from_secs(SWEEP_SECONDS_DEFAULT)),
            rust_log: "info".to_owned(),
            gateway_port: 0,
            is_nodes_paused: false,
            is_executions_paused: false,
            database_endpoint: None,
            sqs_endpoint: None,
            kms_endpoint: None,
            environment: Vec::new(),
            changes: BTreeMap::new(),
        }
    }
}

impl Builder {
    /// Takes the function binaries of this folder, instead of those beside the running program.
    pub fn bin_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(folder.into());
        self
    }

    /// Uses stand-ins that are there already: Postgres and ministack. A test that puts a proxy in
    /// front of Postgres or ministack has to start these first.
    pub fn stack(mut self, stack: Arc<Stack>) -> Self {
        self.stack = Some(stack);
        self
    }

    /// Starts stand-ins of its own, even if the environment names others.
    pub fn own_stack(mut self) -> Self {
        self.stack_options = self.stack_options.own();
        self
    }

    /// Starts a Postgres of its own with these options.
    pub fn postgres(mut self, options: PostgresOptions) -> Self {
        self.stack_options = self.stack_options.postgres_with(options).own();
        self
    }

    /// The name of the organization that is bootstrapped: `demo` unless named.
    pub fn organization(mut self, name: &str) -> Self {
        self.organization = Some(name.to_owned());
        self
    }

    /// Bootstraps no organization.
    pub fn no_organization(mut self) -> Self {
        self.organization = None;
        self
    }

    /// Lets the `http` component reach `HOST:PORT`, loopback and plain HTTP included. May be called
    /// again.
    pub fn http_allow(mut self, host_port: impl Into<String>) -> Self {
        self.http_allow.push(host_port.into());
        self
    }

    /// Sets a component's longest time, 1 to 300 seconds. Lease, timeouts and visibility derive
    /// from it.
    pub fn component_seconds_max(mut self, seconds: u32) -> Self {
        self.component_seconds_max = seconds;
        self
    }

    /// Sets for how long a received message is hidden, on both queues. Unless named, it is derived.
    pub fn visibility_timeout_seconds(mut self, seconds: u32) -> Self {
        self.visibility_timeout_seconds = Some(seconds);
        self
    }

    /// Receipts after which a message becomes a dead letter: 5 unless named.
    pub fn receives_max(mut self, count: u32) -> Self {
        self.receives_max = count;
        self
    }

    /// Sets the time between two starts of the sweeper: 5 seconds unless named.
    pub fn sweep_every(mut self, period: Duration) -> Self {
        self.sweep_period = Some(period);
        self
    }

    /// Runs the sweeper only when it is invoked.
    pub fn no_sweeps(mut self) -> Self {
        self.sweep_period = None;
        self
    }

    /// The functions' `RUST_LOG`: `info` unless named.
    pub fn rust_log(mut self, filter: &str) -> Self {
        self.rust_log = filter.to_owned();
        self
    }

    /// The front's port: any free one unless named.
    pub fn gateway_port(mut self, port: u16) -> Self {
        self.gateway_port = port;
        self
    }

    /// Does not poll the node queue until [`crate::mapping::Mapping::resume`].
    pub fn pause_nodes(mut self) -> Self {
        self.is_nodes_paused = true;
        self
    }

    /// Does not poll the execution queue until [`crate::mapping::Mapping::resume`].
    pub fn pause_executions(mut self) -> Self {
        self.is_executions_paused = true;
        self
    }

    /// Sends the functions (not `migrate`) through a proxy at `HOST:PORT` to Postgres.
    pub fn database_endpoint(mut self, host_port: impl Into<String>) -> Self {
        self.database_endpoint = Some(host_port.into());
        self
    }

    /// Sends the functions through a proxy at `http://HOST:PORT` to SQS; the pollers go straight.
    pub fn sqs_endpoint(mut self, url: impl Into<String>) -> Self {
        self.sqs_endpoint = Some(url.into());
        self
    }

    /// Sends the functions through a proxy at `http://HOST:PORT` to KMS.
    pub fn kms_endpoint(mut self, url: impl Into<String>) -> Self {
        self.kms_endpoint = Some(url.into());
        self
    }

    /// Sets a variable in the environment of one function; it wins over ours.
    pub fn environment(mut self, function: &str, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((Some(function.to_owned()), name.to_owned(), value.into()));
        self
    }

    /// Sets a variable in the environment of all functions; it wins over ours.
    pub fn environment_of_all(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((None, name.to_owned(), value.into()));
        self
    }

    /// Changes a function's options: instances, timeout, binary, …
    pub fn function(
        mut self,
        name: &str,
        change: impl FnOnce(&mut FunctionOptions) + Send + 'static,
    ) -> Self {
        self.changes.entry(name.to_owned()).or_default().push(Box::new(change));
        self
    }

    /// Starts the stand-ins, makes database, queues and key, and works out the functions'
    /// environments; it starts no function.
    ///
    /// # Errors
    ///
    /// When something is missing or a setting makes no sense.
    pub async fn prepare(self) -> Result<Prepared> {
        Prepared::new(self).await
    }

    /// Starts everything. The database is migrated, and an organization is bootstrapped unless the
    /// options say otherwise.
    ///
    /// # Errors
    ///
    /// When a binary is missing, or `migrate` fails (the end of its log).
    pub async fn start(self) -> Result<Sealflow> {
        // The binaries come first, because without them nothing else is worth starting.
        let bin_dir = find_binaries(self.bin_dir.clone())?;
        self.prepare().await?.start_functions(&bin_dir).await
    }
}

/// The folder with the function binaries: the one given, `SEALFLOW_BIN_DIR`, that of the running
/// program, or for a test binary (in `deps/`) the one above it.
///
/// # Errors
///
/// When one is missing there: says how to build them.
pub fn find_binaries(given: Option<PathBuf>) -> Result<PathBuf> {
    let folder = match given.or_else(|| std::env::var_os(BINARIES_VARIABLE).map(PathBuf::from)) {
        Some(folder) => folder,
        None => beside_ourselves()?,
    };
    let missing: Vec<&str> = FUNCTIONS.into_iter().filter(|name| !folder.join(name).is_file()).collect();
    if !missing.is_empty() {
        bail!(
            "no binaries of {} in {}: cargo build --workspace --bins ({BINARIES_VARIABLE}=FOLDER names another)",
            missing.join(", "),
            folder.display()
        );
    }
    Ok(folder)
}

fn beside_ourselves() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program is in a folder")?;
    let is_test = matches!(folder.file_name().and_then(OsStr::to_str), Some("deps" | "examples"));
    Ok(if is_test { folder.parent().context("deps is in a folder")? } else { folder }.to_owned())
}
