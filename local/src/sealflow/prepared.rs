//! The things between the stand-ins and the functions: a database, queues, a key, and the
//! environment in which each function finds them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::times::Times;
use serde_json::json;

use super::builder::Builder;
use super::{FUNCTIONS, Organization, Queues, Sealflow};
use crate::folder::Folder;
use crate::gateway::Gateway;
use crate::http::{Listener, listen};
use crate::invoke::Invoker;
use crate::lambda::{FunctionOptions, Lambda};
use crate::mapping::{Mapping, MappingOptions, MessageRecord};
use crate::schedule::Schedule;
use crate::sqs::{self, BATCH_MAX, QueueOptions};
use crate::stack::{REGION, SUPERUSER, Stack};

/// The timeout of functions that run no component, seconds.
const TIMEOUT_SECONDS: u64 = 30;

/// The timeout of `migrate` and `rewrap`, seconds: a large table takes its time.
const BY_HAND_TIMEOUT_SECONDS: u64 = 300;

/// AWS asks that a message stays hidden for at least so many timeouts of the queue's function.
const VISIBILITY_TIMEOUTS: u32 = 6;

/// The environment of each function, by its name.
pub type Environments = BTreeMap<String, BTreeMap<String, String>>;

/// A product without its functions: everything that they need is there.
pub struct Prepared {
    builder: Builder,
    stack: Arc<Stack>,
    folder: Folder,
    listener: Listener,
    database: String,
    queues: Queues,
    kms_key_id: String,
    times: Times,
    environments: Environments,
}

impl Prepared {
    pub(super) async fn new(mut builder: Builder) -> Result<Self> {
        let times = Times::derive(builder.component_seconds_max)?;
        let folder = Folder::create("run")?;
        folder.subfolder("logs")?;
        let listener = listen(builder.gateway_port)?;
        let stack = match builder.stack.take() {
            Some(stack) => stack,
            None => Arc::new(std::mem::take(&mut builder.stack_options).start().await?),
        };
        let endpoint = stack.ministack().url();
        let (database, nodes, executions, kms_key_id) = tokio::try_join!(
            stack.postgres().create_database("sealflow"),
            create_queues(&builder, endpoint, "nodes", nodes_visibility_seconds()),
            create_queues(&builder, endpoint, "executions", times.visibility_timeout_seconds),
            stack.ministack().create_key(),
        )?;
        let mut prepared = Self {
            builder,
            stack,
            folder,
            listener,
            database,
            queues: Queues { nodes, executions },
            kms_key_id,
            times,
            environments: Environments::new(),
        };
        prepared.environments = FUNCTIONS
            .iter()
            .map(|name| Ok(((*name).to_owned(), prepared.environment(name)?)))
            .collect::<Result<_>>()?;
        Ok(prepared)
    }

    /// The environment of each function, for a caller that starts them itself.
    pub fn environments(&self) -> &Environments {
        &self.environments
    }

    /// The folder with the logs and records of this run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts everything, with the functions of `bin_dir` in our runner.
    ///
    /// # Errors
    ///
    /// When a binary is missing, or `migrate` fails.
    pub async fn start_functions(mut self, bin_dir: &Path) -> Result<Sealflow> {
        let lambda = Arc::new(Lambda::new(&self.folder.path().join("logs")));
        for name in FUNCTIONS {
            let mut options = FunctionOptions::new(bin_dir.join(name));
            options.environment = self.environments.remove(name).unwrap_or_default();
            options.timeout = self.timeout(name);
            for change in self.builder.changes.remove(name).unwrap_or_default() {
                change(&mut options);
            }
            if name == "executor" {
                let instances = options.instances_max.to_string();
                options.environment.entry("SEALFLOW_EXECUTOR_INSTANCES".to_owned()).or_insert(instances);
            }
            lambda.add(name, options)?;
        }
        let invoker = Invoker::Runner(Arc::clone(&lambda));
        self.start(invoker, Some(lambda)).await
    }

    /// Starts all but the functions, which run elsewhere behind Lambda's invoke path at
    /// `http://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// When nothing answers there, or `migrate` fails.
    pub async fn start_remote(self, url: &str) -> Result<Sealflow> {
        self.start(Invoker::Remote(url.to_owned()), None).await
    }

    async fn start(self, invoker: Invoker, lambda: Option<Arc<Lambda>>) -> Result<Sealflow> {
        let log = self.folder.path().join("logs/migrate.log");
        let migrated = invoker.invoke("migrate", json!({ "migrate": {} }).to_string()).await?.json();
        migrated.with_context(|| format!("migrate: {}", crate::stack::end_of(&log)))?;
        let organization = match &self.builder.organization {
            Some(name) => bootstrap(&invoker, name).await?,
            None => Organization::default(),
        };
        let record = Arc::new(MessageRecord::open(&self.folder.path().join("messages.jsonl"))?);
        let map = |queue_url: &str, function: &str, is_paused: bool| {
            let options = MappingOptions {
                endpoint: self.stack.ministack().url().to_owned(),
                queue_url: queue_url.to_owned(),
                function: function.to_owned(),
                batch_size: BATCH_MAX,
                concurrency: None,
            };
            let start = if is_paused { Mapping::start_paused } else { Mapping::start };
            start(options, invoker.clone(), Arc::clone(&record))
        };
        let nodes_mapping = map(&self.queues.nodes.url, "builder", self.builder.is_nodes_paused);
        let executions_mapping =
            map(&self.queues.executions.url, "executor", self.builder.is_executions_paused);
        let schedule =
            self.builder.sweep_period.map(|period| Schedule::start(invoker.clone(), "sweeper", period));
        let gateway =
            Gateway::start(self.listener, invoker.clone(), &self.folder.path().join("answers.txt"))?;
        Ok(Sealflow {
            _schedule: schedule,
            nodes_mapping,
            executions_mapping,
            gateway,
            lambda,
            invoker,
            stack: self.stack,
            folder: self.folder,
            database: self.database,
            queues: self.queues,
            kms_key_id: self.kms_key_id,
            organization,
        })
    }

    fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let builder = &self.builder;
        let aws = self.stack.ministack().url();
        let database_url = if function == "migrate" {
            self.stack.postgres().url(SUPERUSER, &self.database)
        } else {
            let host_port = builder.database_endpoint.as_deref().unwrap_or(self.stack.postgres().host_port());
            self.stack.postgres().url_through(host_port, &format!("sealflow_{function}"), &self.database)
        };
        let public_url = format!("http://127.0.0.1:{}", self.listener.local_addr()?.port());
        let http_allow = builder.http_allow.join(",");
        let seconds = builder.component_seconds_max.to_string();
        let ours = [
            ("SEALFLOW_DATABASE_URL", database_url.as_str()),
            ("SEALFLOW_NODE_QUEUE_URL", &self.queues.nodes.url),
            ("SEALFLOW_EXECUTION_QUEUE_URL", &self.queues.executions.url),
            ("SEALFLOW_KMS_KEY_ID", &self.kms_key_id),
            ("SEALFLOW_PUBLIC_URL", &public_url),
            ("SEALFLOW_HTTP_ALLOW", &http_allow),
            ("SEALFLOW_COMPONENT_SECONDS_MAX", &seconds),
            // There is one instance here, for all who poll it.
            ("SEALFLOW_TOKEN_RATE_MAX", "10000"),
            ("AWS_ENDPOINT_URL", aws),
            ("AWS_ENDPOINT_URL_SQS", builder.sqs_endpoint.as_deref().unwrap_or(aws)),
            ("AWS_ENDPOINT_URL_KMS", builder.kms_endpoint.as_deref().unwrap_or(aws)),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("RUST_LOG", &builder.rust_log),
        ];
        let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let theirs = builder
            .environment
            .iter()
            .filter(|(only, ..)| only.as_deref().is_none_or(|only| only == function));
        Ok(ours.chain(theirs.map(|(_, name, value)| (name.clone(), value.clone()))).collect())
    }

    fn timeout(&self, function: &str) -> Duration {
        Duration::from_secs(match function {
            "executor" => u64::from(self.times.function_timeout_seconds),
            "migrate" | "rewrap" => BY_HAND_TIMEOUT_SECONDS,
            _ => TIMEOUT_SECONDS,
        })
    }
}

pub(super) async fn bootstrap(invoker: &Invoker, name: &str) -> Result<Organization> {
    let event = json!({ "bootstrap": { "organization": name } });
    let answer = invoker.invoke("migrate", event.to_string()).await?.json().context("bootstrap")?;
    let part = |name: &str| {
        let part = answer[name].as_str().map(str::to_owned);
        part.with_context(|| format!("bootstrap gave no {name}"))
    };
    Ok(Organization { id: part("organization_id")?, token: part("token")? })
}

fn nodes_visibility_seconds() -> u32 {
    VISIBILITY_TIMEOUTS * u32::try_from(TIMEOUT_SECONDS).unwrap_or(u32::MAX / VISIBILITY_TIMEOUTS)
}

/// Creates queues with a random name, because other runs may use the same stand-in.
async fn create_queues(
    builder: &Builder,
    endpoint: &str,
    what: &str,
    visibility: u32,
) -> Result<sqs::QueuePair> {
    let options = QueueOptions {
        visibility_timeout_seconds: builder.visibility_timeout_seconds.unwrap_or(visibility),
        receives_max: builder.receives_max,
    };
    let name = format!("sealflow-{what}-{}", crate::random::hex(3));
    sqs::create_queue_pair(endpoint, &name, options).await
}
