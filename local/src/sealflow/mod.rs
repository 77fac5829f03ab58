//! The whole product on one machine: the stand-ins, the functions, the mappings and the schedule
//! that invoke them, and a front.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use local::sealflow::Sealflow;
//! let target = local::target::Target::start().await?;
//! let sealflow = Sealflow::builder().http_allow(target.host_port()).start().await?;
//! let (status, workflows) = sealflow.get("/v1/workflows").await?;
//! assert_eq!(status, 200, "{workflows}");
//! sealflow.stop().await
//! # }
//! ```

mod builder;
mod prepared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::Value;

pub use builder::{BINARIES_VARIABLE, Builder, find_binaries};
pub use prepared::{Environments, Prepared};

use crate::folder::Folder;
use crate::gateway::Gateway;
use crate::http;
use crate::invoke::Invoker;
use crate::lambda::Lambda;
use crate::mapping::Mapping;
use crate::schedule::Schedule;
use crate::sqs::{self, QueuePair};
use crate::stack::{SUPERUSER, Stack};

/// The functions, which are also the names of their binaries and, behind `sealflow_`, of their
/// database roles.
pub const FUNCTIONS: [&str; 7] = ["api", "webhook", "builder", "executor", "sweeper", "migrate", "rewrap"];

/// The longest time of a request to the front.
const REQUEST_SECONDS_MAX: u64 = 60;

/// The pause between two checks while waiting for a state.
const LOOK_MS: u64 = 20;

/// A running product; dropped, everything stops and its files go.
#[derive(Debug)]
pub struct Sealflow {
    // Dropped in this order: the invokers, the functions, and the stores that both write to.
    _schedule: Option<Schedule>,
    nodes_mapping: Mapping,
    executions_mapping: Mapping,
    gateway: Gateway,
    lambda: Option<Arc<Lambda>>,
    invoker: Invoker,
    stack: Arc<Stack>,
    folder: Folder,
    database: String,
    queues: Queues,
    kms_key_id: String,
    organization: Organization,
}

/// The two queues with their dead-letter queues.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Wakes the builder.
    pub nodes: QueuePair,
    /// Wakes the executor.
    pub executions: QueuePair,
}

/// An organization with its first token, as `bootstrap` gave them.
#[derive(Debug, Clone, Default)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// The token that its requests to the API carry.
    pub token: String,
}

impl Sealflow {
    /// Everything at its default: see [`Builder`] for what can be chosen.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address of the API and the webhooks: `http://127.0.0.1:PORT`.
    pub fn gateway_url(&self) -> String {
        self.gateway.url()
    }

    /// The token of the organization that was bootstrapped; empty when none was.
    pub fn token(&self) -> &str {
        &self.organization.token
    }

    /// The id of the organization that was bootstrapped; empty when none was.
    pub fn organization_id(&self) -> &str {
        &self.organization.id
    }

    /// Makes another organization.
    ///
    /// # Errors
    ///
    /// When `migrate` fails.
    pub async fn bootstrap(&self, name: &str) -> Result<Organization> {
        prepared::bootstrap(&self.invoker, name).await
    }

    /// Invokes a function: its JSON answer.
    ///
    /// # Errors
    ///
    /// When there is no such function, or it failed.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        self.invoker.invoke(function, event.to_string()).await?.json()
    }

    /// The runner with the functions' instances.
    ///
    /// # Panics
    ///
    /// When another process runs the functions, as the caller chose.
    pub fn lambda(&self) -> &Arc<Lambda> {
        self.lambda.as_ref().expect("the functions run in this process unless another was named")
    }

    /// The mapping that polls the node queue for the builder.
    pub fn nodes_mapping(&self) -> &Mapping {
        &self.nodes_mapping
    }

    /// The mapping that polls the execution queue for the executor.
    pub fn executions_mapping(&self) -> &Mapping {
        &self.executions_mapping
    }

    /// The stand-ins.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The queues.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// The key that seals.
    pub fn kms_key_id(&self) -> &str {
        &self.kms_key_id
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// `postgres://ROLE@127.0.0.1:PORT/DATABASE`, without any proxy that the functions go through.
    pub fn database_url(&self, role: &str) -> String {
        self.stack.postgres().url(role, &self.database)
    }

    /// The folder with one log for each function.
    pub fn logs_dir(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// The file with every message that was received, one JSON object a line.
    pub fn messages_file(&self) -> PathBuf {
        self.folder.path().join("messages.jsonl")
    }

    /// The file with every answer of the front.
    pub fn answers_file(&self) -> PathBuf {
        self.folder.path().join("answers.txt")
    }

    /// A folder for the caller's own files, which goes with everything else.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs SQL as the superuser: the rows as text, columns separated by `|`.
    ///
    /// # Errors
    ///
    /// When `psql` fails: its message.
    pub async fn sql(&self, sql: &str) -> Result<String> {
        self.stack.postgres().sql(&self.database, sql).await
    }

    /// Gets a path of the API with the organization's token: status and JSON body.
    ///
    /// # Errors
    ///
    /// When the front does not answer, or answers no JSON.
    pub async fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.request("GET", path, None).await
    }

    /// Posts JSON to a path of the API with the organization's token: status and JSON body.
    ///
    /// # Errors
    ///
    /// When the front does not answer, or answers no JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.request("POST", path, Some(body)).await
    }

    /// Any request to the API with the organization's token: status and JSON body, `null` when
    /// there is none.
    ///
    /// # Errors
    ///
    /// When the front does not answer, or answers no JSON.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = ::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.gateway_url()))
            .header("authorization", format!("Bearer {}", self.token()))
            .header("content-type", "application/json")
            .body(body)?;
        let answer = http::send(request, Duration::from_secs(REQUEST_SECONDS_MAX)).await?;
        let value = if answer.body().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(answer.body())
                .with_context(|| format!("{method} {path}: the answer is no JSON"))?
        };
        Ok((answer.status().as_u16(), value))
    }

    /// Waits until a query gives `expected` (rows as [`Self::sql`] shows them).
    ///
    /// # Errors
    ///
    /// When the query still gives something else after `limit`; the error shows its last rows.
    pub async fn await_sql(&self, sql: &str, expected: &str, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            let rows = self.sql(sql).await?;
            if rows == expected {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("after {} ms: {rows:?}, not {expected:?}: {sql}", limit.as_millis());
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// Waits until both queues have no message, visible, delayed or in flight, and nothing is being
    /// delivered.
    ///
    /// # Errors
    ///
    /// When a message or a delivery is still there after `limit`; the error shows their numbers.
    pub async fn await_empty_queues(&self, limit: Duration) -> Result<()> {
        let endpoint = self.stack.ministack().url();
        let until = Instant::now() + limit;
        loop {
            let nodes = sqs::count(endpoint, &self.queues.nodes.url).await?;
            let executions = sqs::count(endpoint, &self.queues.executions.url).await?;
            let in_flight = self.nodes_mapping.in_flight() + self.executions_mapping.in_flight();
            if in_flight == 0 && nodes.iter().chain(&executions).all(|count| *count == 0) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "after {} ms [visible, in flight, delayed]: nodes {nodes:?}, executions {executions:?}, \
                     and {in_flight} deliveries",
                    limit.as_millis()
                );
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// The last lines of a function's log, for the message of a failed test.
    pub fn end_of_log(&self, function: &str) -> String {
        crate::stack::end_of(&self.logs_dir().join(format!("{function}.log")))
    }

    /// Stops everything; on shared stand-ins, removes the database and the queues.
    ///
    /// # Errors
    ///
    /// When the database can't be dropped.
    pub async fn stop(self) -> Result<()> {
        self.nodes_mapping.pause();
        self.executions_mapping.pause();
        if let Some(lambda) = &self.lambda {
            lambda.stop();
        }
        let endpoint = self.stack.ministack().url();
        for pair in [&self.queues.nodes, &self.queues.executions] {
            for url in [&pair.url, &pair.dead_letter_url] {
                sqs::delete_queue(endpoint, url).await?;
            }
        }
        self.stack.postgres().drop_database(&self.database).await
    }

    /// The superuser's address of the database, as `migrate` gets it.
    pub fn superuser_url(&self) -> String {
        self.database_url(SUPERUSER)
    }
}
