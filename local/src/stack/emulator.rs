//! Stand-ins for SQS and KMS: ministack for running things, moto for what a correct KMS refuses.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::postgres::{end_of, log_to};
use super::tools;
use crate::child::{self, Process, Signal};
use crate::net;

/// The longest time from the start of a stand-in to its first accepted connection: moto imports for
/// some seconds on a busy machine.
const START_SECONDS_MAX: u64 = 60;

/// The most attempts to start on a free port: another process may take the port first.
const PORT_ATTEMPTS_MAX: u32 = 3;

/// The region that everything local is in.
pub const REGION: &str = "us-east-1";

/// The kinds of stand-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SQS and KMS, quick; its cipher is not authenticated.
    Ministack,
    /// KMS that binds the encryption context and re-encrypts.
    Moto,
}

/// A running stand-in: our own, or one that this process was told of.
#[derive(Debug)]
pub struct Emulator {
    process: Option<Process>,
    url: String,
}

impl Emulator {
    /// Starts one on a free loopback port, with its files in `folder` and its output in `log`.
    ///
    /// # Errors
    ///
    /// When it isn't installed (says how to get it), or doesn't come up (the end of its log).
    pub async fn start(kind: Kind, folder: &Path, log: &Path) -> Result<Self> {
        let mut attempts_left = PORT_ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            match Self::start_once(kind, folder, log).await {
                Err(error) if attempts_left == 0 => return Err(error),
                Err(_) => {}
                started => return started,
            }
        }
    }

    /// One that runs already at `http://HOST:PORT`.
    pub fn existing(url: &str) -> Self {
        Self { process: None, url: url.trim_end_matches('/').to_owned() }
    }

    /// `http://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a symmetric KMS key; gives its id.
    ///
    /// # Errors
    ///
    /// When the stand-in refuses.
    pub async fn create_key(&self) -> Result<String> {
        let body = serde_json::json!({ "Description": "sealflow" });
        let answer = crate::sqs::call_json(&self.url, "TrentService.CreateKey", "1.1", &body).await?;
        match answer["KeyMetadata"]["KeyId"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => bail!("CreateKey gave no id: {answer}"),
        }
    }

    async fn start_once(kind: Kind, folder: &Path, log: &Path) -> Result<Self> {
        let port = net::free_port()?;
        let mut command = match kind {
            Kind::Ministack => ministack(folder, port)?,
            Kind::Moto => moto(port)?,
        };
        log_to(&mut command, log)?;
        let process = Process::start(kind.name(), command, Signal::TERM)?;
        net::await_listening(&process, port, Duration::from_secs(START_SECONDS_MAX))
            .await
            .with_context(|| format!("{}: {}", kind.name(), end_of(log)))?;
        Ok(Self { process: Some(process), url: format!("http://127.0.0.1:{port}") })
    }

    /// The process id of our own.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Process::pid)
    }
}

impl Kind {
    /// As its log and its messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Moto => "moto",
        }
    }
}

fn ministack(folder: &Path, port: u16) -> Result<Command> {
    let mut command = python(&tools::find_in_environment("venv", "ministack")?);
    command.env("BIND_HOST", "127.0.0.1").env("MINISTACK_HOST", "127.0.0.1");
    // ministack asks no client for credentials, not even a browser's page. So Lambda and all other
    // services that could run code are off.
    command.env("SERVICES", "sqs,kms,ssm");
    command.env("GATEWAY_PORT", port.to_string()).env("SFTP_ENABLED", "0").env("IOT_MTLS_ENABLED", "0");
    // It would write its state below the shared temp directory; WARNING, for it logs a line a
    // request otherwise.
    command.env("TMPDIR", folder).env("S3_DATA_DIR", folder.join("s3")).env("LOG_LEVEL", "WARNING");
    command.env("MINISTACK_REGION", REGION).current_dir(folder);
    Ok(command)
}

fn moto(port: u16) -> Result<Command> {
    let mut command = python(&tools::find_in_environment("venv-moto", "moto_server")?);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).current_dir("/");
    Ok(command)
}

/// A Python program with nothing of our environment but the path, so that no proxy, profile or
/// credential reaches it.
fn python(program: &Path) -> Command {
    let mut command = child::command(program);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PYTHONUNBUFFERED", "1").stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}
