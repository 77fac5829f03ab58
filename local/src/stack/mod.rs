//! The stand-ins for what runs outside of our functions: Postgres, SQS and KMS.
//!
//! A test binary that was started by `cargo xtask test` uses the stack that it was told of in the
//! environment; alone, it starts its own. Either way a test gets a database, queues and keys of its
//! own.

mod emulator;
mod postgres;
mod tools;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

pub use emulator::{Emulator, Kind, REGION};
pub(crate) use postgres::end_of;
pub use postgres::{Postgres, PostgresOptions, SUPERUSER, dump_database};
pub use tools::{ENVIRONMENTS_VARIABLE, POSTGRES_VARIABLE, find_in_environment, find_pgbench, find_postgres};

use crate::folder::Folder;

/// Names a running server: `postgres://postgres@127.0.0.1:PORT/postgres`.
pub const SHARED_POSTGRES: &str = "SEALFLOW_TEST_POSTGRES";
/// Names that server's log, which the leak check reads.
pub const SHARED_POSTGRES_LOG: &str = "SEALFLOW_TEST_POSTGRES_LOG";
/// Names a running ministack: `http://127.0.0.1:PORT`.
pub const SHARED_MINISTACK: &str = "SEALFLOW_TEST_MINISTACK";
/// Names a running moto: `http://127.0.0.1:PORT`.
pub const SHARED_MOTO: &str = "SEALFLOW_TEST_MOTO";

/// The stand-ins to start, with their options.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    postgres: Option<PostgresOptions>,
    has_ministack: bool,
    has_moto: bool,
    is_own: bool,
}

/// Running stand-ins; dropped, those that are ours stop and their folder goes.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: the processes before the folder that they write to.
    postgres: Option<Postgres>,
    ministack: Option<Emulator>,
    moto: Option<Emulator>,
    folder: Folder,
}

impl StackOptions {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With Postgres, as fast as can be.
    pub fn postgres(self) -> Self {
        self.postgres_with(PostgresOptions::default())
    }

    /// With Postgres, with these options. Options that a shared server can't have need
    /// [`Self::own`].
    pub fn postgres_with(mut self, options: PostgresOptions) -> Self {
        self.postgres = Some(options);
        self
    }

    /// With ministack: SQS, and KMS for running things.
    pub fn ministack(mut self) -> Self {
        self.has_ministack = true;
        self
    }

    /// With moto: KMS that refuses what it should.
    pub fn moto(mut self) -> Self {
        self.has_moto = true;
        self
    }

    /// Starts its own whatever the environment says: for tests that stop servers, or read their
    /// logs.
    pub fn own(mut self) -> Self {
        self.is_own = true;
        self
    }

    /// Starts them, all at once.
    ///
    /// # Errors
    ///
    /// When something is missing (says how to get it) or doesn't come up (says what its log says).
    pub async fn start(self) -> Result<Stack> {
        let folder = Folder::create("stack")?;
        let logs = folder.subfolder("logs")?;
        let (postgres, ministack, moto) = tokio::try_join!(
            self.start_postgres(folder.path(), &logs),
            self.start_emulator(Kind::Ministack, folder.path(), &logs),
            self.start_emulator(Kind::Moto, folder.path(), &logs),
        )?;
        Ok(Stack { postgres, ministack, moto, folder })
    }

    async fn start_postgres(&self, folder: &Path, logs: &Path) -> Result<Option<Postgres>> {
        let Some(options) = &self.postgres else { return Ok(None) };
        if let Some(url) = self.shared(SHARED_POSTGRES) {
            let log = self.shared(SHARED_POSTGRES_LOG).map(PathBuf::from);
            return Postgres::existing(&url, log).with_context(|| SHARED_POSTGRES).map(Some);
        }
        Postgres::start(folder, &logs.join("postgres.log"), options).await.map(Some)
    }

    async fn start_emulator(&self, kind: Kind, folder: &Path, logs: &Path) -> Result<Option<Emulator>> {
        let (is_wanted, variable) = match kind {
            Kind::Ministack => (self.has_ministack, SHARED_MINISTACK),
            Kind::Moto => (self.has_moto, SHARED_MOTO),
        };
        if !is_wanted {
            return Ok(None);
        }
        if let Some(url) = self.shared(variable) {
            return Ok(Some(Emulator::existing(&url)));
        }
        Emulator::start(kind, folder, &logs.join(format!("{}.log", kind.name()))).await.map(Some)
    }

    fn shared(&self, variable: &str) -> Option<String> {
        if self.is_own {
            return None;
        }
        std::env::var(variable).ok().filter(|value| !value.is_empty())
    }
}

impl Stack {
    /// Postgres alone, for tests of the store: the shared one, or its own.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn postgres_only() -> Result<Self> {
        StackOptions::new().postgres().start().await
    }

    /// moto alone, for tests of the vault: the shared one, or its own.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn moto_only() -> Result<Self> {
        StackOptions::new().moto().start().await
    }

    /// ministack alone, for tests of queues: the shared one, or its own.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn ministack_only() -> Result<Self> {
        StackOptions::new().ministack().start().await
    }

    /// One Postgres for all tests of this binary, started by the first that asks; the janitor stops
    /// it at the end.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn of_this_process_with_postgres() -> Result<&'static Self> {
        static STACK: OnceCell<Stack> = OnceCell::const_new();
        STACK.get_or_try_init(Self::postgres_only).await
    }

    /// One moto for all tests of this binary, started by the first that asks; the janitor stops it
    /// at the end.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn of_this_process_with_moto() -> Result<&'static Self> {
        static STACK: OnceCell<Stack> = OnceCell::const_new();
        STACK.get_or_try_init(Self::moto_only).await
    }

    /// One Postgres and one ministack for all tests of this binary, started by the first that asks.
    ///
    /// # Errors
    ///
    /// As [`StackOptions::start`].
    pub async fn of_this_process() -> Result<&'static Self> {
        static STACK: OnceCell<Stack> = OnceCell::const_new();
        STACK.get_or_try_init(|| StackOptions::new().postgres().ministack().start()).await
    }

    /// Postgres.
    ///
    /// # Panics
    ///
    /// When it wasn't asked for, a mistake of the caller's.
    pub fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("a stack has Postgres where StackOptions::postgres was called")
    }

    /// ministack.
    ///
    /// # Panics
    ///
    /// When it wasn't asked for, a mistake of the caller's.
    pub fn ministack(&self) -> &Emulator {
        self.ministack.as_ref().expect("a stack has ministack where StackOptions::ministack was called")
    }

    /// moto.
    ///
    /// # Panics
    ///
    /// When it wasn't asked for, a mistake of the caller's.
    pub fn moto(&self) -> &Emulator {
        self.moto.as_ref().expect("a stack has moto where StackOptions::moto was called")
    }

    /// The folder that goes with this stack.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The environment variables that another process needs to share this stack, as names and
    /// values.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if let Some(postgres) = &self.postgres {
            pairs.push((SHARED_POSTGRES, postgres.url(SUPERUSER, "postgres")));
            pairs.extend(postgres.log().map(|log| (SHARED_POSTGRES_LOG, log.display().to_string())));
        }
        pairs.extend(self.ministack.iter().map(|emulator| (SHARED_MINISTACK, emulator.url().to_owned())));
        pairs.extend(self.moto.iter().map(|emulator| (SHARED_MOTO, emulator.url().to_owned())));
        pairs
    }
}
