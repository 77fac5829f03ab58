//! One instance of a function: a process, and a runtime API of its own that tells it what to do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::time::timeout;

use super::runtime_api::{Outcome, RuntimeApi, Work};
use super::{Answer, FunctionOptions};
use crate::child::{self, Process, Signal};
use crate::folder::append_privately;
use crate::http::Server;
use crate::{clock, random};

/// The longest time from an instance's start to its first request for work (Lambda's init phase).
const INIT_SECONDS_MAX: u64 = 10;

/// The most bytes of an answer that are read. A longer answer is refused as too large without being
/// read to its end.
const BODY_BYTES_MAX: usize = 4 * super::PAYLOAD_BYTES_MAX;

/// A running instance; dropped, it is killed.
#[derive(Debug)]
pub(super) struct Instance {
    // Dropped in this order: the process before the server that it asks.
    process: Process,
    api: Arc<RuntimeApi>,
    _server: Server,
    is_broken: AtomicBool,
}

impl Instance {
    /// Starts the process; it may still be initialising when this returns.
    pub(super) async fn start(
        name: &str,
        binary: &Path,
        options: &FunctionOptions,
        own_environment: Vec<(String, String)>,
        log: &Path,
    ) -> Result<Self> {
        let api = Arc::new(RuntimeApi::default());
        let shared = Arc::clone(&api);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let api = Arc::clone(&shared);
            async move { api.answer(request).await }
        })
        .await?;
        let mut command = command(name, binary, options, log, server.port())?;
        command.envs(own_environment);
        // Lambda ends an instance without asking it.
        let process = Process::start(name, command, Signal::KILL)?;
        Ok(Self { process, api, _server: server, is_broken: AtomicBool::new(false) })
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Whether it can take another invocation.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && self.process.exit_status().is_none()
    }

    /// Whether a signal has stopped it, as the kernel says.
    pub(super) fn is_frozen(&self) -> bool {
        // "PID (NAME) STATE …": a name may hold spaces, so the state is found from behind.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    pub(super) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    pub(super) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    pub(super) fn kill(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.process.kill();
    }

    /// Runs one invocation. The clock of `limit` runs from when the instance takes it, as on
    /// Lambda.
    pub(super) async fn run(&self, payload: Bytes, trace: String, limit: Duration) -> Answer {
        let id = random::uuid();
        let init = Duration::from_secs(INIT_SECONDS_MAX);
        let mut init_failed = None;
        tokio::select! {
            biased;
            asked = timeout(init, self.api.await_asking()) => match asked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => init_failed = Some(Answer { payload: error, is_error: true }),
                Err(_) => init_failed = Some(timed_out(&id, "Sandbox.Timedout", "Initialisation", init)),
            },
            status = self.process.wait() => init_failed = Some(exited(&id, &status.to_string())),
        }
        if let Some(answer) = init_failed {
            self.is_broken.store(true, Ordering::Relaxed);
            return answer;
        }
        let deadline_ms = clock::now_ms() + i64::try_from(limit.as_millis()).unwrap_or(i64::MAX / 2);
        let function = self.function_arn();
        let reply = self.api.give(Work { id: id.clone(), payload, deadline_ms, function, trace });
        tokio::select! {
            biased;
            outcome = timeout(limit, reply) => match outcome {
                Ok(Ok(Outcome::Response(payload))) => Answer { payload, is_error: false },
                Ok(Ok(Outcome::Error(payload))) => Answer { payload, is_error: true },
                Ok(Err(_)) => self.broken(exited(&id, "the runtime dropped the invocation")),
                Err(_) => {
                    self.kill();
                    timed_out(&id, "Sandbox.Timedout", "Task", limit)
                }
            },
            status = self.process.wait() => self.broken(exited(&id, &status.to_string())),
        }
    }

    fn broken(&self, answer: Answer) -> Answer {
        self.is_broken.store(true, Ordering::Relaxed);
        answer
    }

    fn function_arn(&self) -> String {
        let name = self.process.name();
        format!("arn:aws:lambda:{}:000000000000:function:{name}", crate::stack::REGION)
    }
}

fn exited(id: &str, how: &str) -> Answer {
    let message = format!("RequestId: {id} Error: Runtime exited with error: {how}");
    Answer::failed("Runtime.ExitError", &message)
}

fn timed_out(id: &str, error_type: &str, what: &str, limit: Duration) -> Answer {
    let message = format!("RequestId: {id} Error: {what} timed out after {:.2} seconds", limit.as_secs_f64());
    Answer::failed(error_type, &message)
}

/// The environment is Lambda's: nothing of ours leaks in, least of all credentials or a proxy.
fn command(name: &str, binary: &Path, options: &FunctionOptions, log: &Path, port: u16) -> Result<Command> {
    let log = append_privately(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = child::command(binary);
    command.env_clear().current_dir("/").stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
    for kept in ["PATH", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    let region = crate::stack::REGION;
    let memory = options.memory_megabytes.to_string();
    let api = format!("127.0.0.1:{port}");
    let stream = format!("local/[$LATEST]{}", random::hex(16));
    let group = format!("/aws/lambda/{name}");
    command.envs([
        ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &stream),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("_HANDLER", "bootstrap"),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
    ]);
    command.envs(&options.environment);
    Ok(command)
}
