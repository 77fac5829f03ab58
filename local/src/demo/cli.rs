//! Runs the CLI as a user would, and shows it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tell::Teller;
use crate::sealflow::Sealflow;

/// The longest time of one command; watching a run takes the longest.
const COMMAND_SECONDS_MAX: u64 = 60;

/// The CLI of one organization.
pub(super) struct Cli<'a> {
    program: PathBuf,
    api_url: String,
    token: String,
    tell: &'a Teller,
    printed: Mutex<Vec<u8>>,
}

impl<'a> Cli<'a> {
    /// The binary beside the running program.
    pub(super) fn new(sealflow: &Sealflow, tell: &'a Teller) -> Result<Self> {
        let program = crate::sealflow::find_binaries(None)?.join("sealflow");
        if !program.is_file() {
            bail!("no CLI binary: cargo build --workspace --bins");
        }
        let (api_url, token) = (sealflow.gateway_url(), sealflow.token().to_owned());
        Ok(Self { program, api_url, token, tell, printed: Mutex::default() })
    }

    /// Shows the command and, as it comes, what it prints; gives that too.
    pub(super) async fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        self.run_with(arguments, input, |line| println!("   {line}")).await
    }

    /// Shows the command only.
    pub(super) async fn run_quietly(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        self.run_with(arguments, input, |_| {}).await
    }

    /// All that any command printed.
    pub(super) fn printed(&self) -> Vec<u8> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run_with(&self, arguments: &[&str], input: Option<&str>, show: fn(&str)) -> Result<String> {
        let words = arguments.join(" ");
        self.tell.command(&format!("sealflow {words}"));
        let mut command = crate::child::command(&self.program);
        command.args(arguments).env("SEALFLOW_API_URL", &self.api_url).env("SEALFLOW_TOKEN", &self.token);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.map(str::to_owned);
        let limit = Duration::from_secs(COMMAND_SECONDS_MAX);
        let work = tokio::task::spawn_blocking(move || run_to_end(command, input, show));
        let Ok(ended) = tokio::time::timeout(limit, work).await else {
            bail!("sealflow {words}: not ended after {COMMAND_SECONDS_MAX} s")
        };
        let (printed, errors, is_success) = ended?.with_context(|| format!("sealflow {words}"))?;
        let mut all = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend([printed.as_bytes(), errors.as_bytes()].concat());
        if !is_success {
            bail!("sealflow {words} failed: {}", errors.trim());
        }
        Ok(printed)
    }
}

fn run_to_end(mut command: Command, input: Option<String>, show: fn(&str)) -> Result<(String, String, bool)> {
    let mut child = command.spawn().context("cannot start it")?;
    if let (Some(input), Some(pipe)) = (input, child.stdin.as_mut()) {
        pipe.write_all(input.as_bytes())?;
    }
    // Closing it is the end of the input.
    drop(child.stdin.take());
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().context("it has an output")?).lines() {
        let line = line?;
        show(&line);
        printed.push_str(&line);
        printed.push('\n');
    }
    let mut errors = String::new();
    child.stderr.take().context("it has an error output")?.read_to_string(&mut errors)?;
    errors.lines().for_each(show);
    Ok((printed, errors, child.wait()?.success()))
}
