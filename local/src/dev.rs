//! The commands that stay up: the development loop with `cargo lambda watch`, and the bare stack
//! for tests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncReadExt;

use crate::child::{Process, Signal};
use crate::folder::append_privately;
use crate::net;
use crate::sealflow::{Environments, Sealflow};
use crate::stack::{StackOptions, find_in_environment};

/// Names the file with the functions' environments, which only `dev` writes and `run-function`
/// reads.
const ENVIRONMENTS_FILE: &str = "SEALFLOW_DEV_ENVIRONMENTS";

/// The default port at which `cargo lambda invoke` looks for functions.
pub const INVOKE_PORT: u16 = 9000;

/// The longest time from the start of `cargo lambda watch` to its first accepted invocation.
const WATCH_START_SECONDS_MAX: u64 = 30;

/// Serves API and webhooks on `port` until it is dropped, with the functions under `cargo lambda
/// watch`, which is invoked on `invoke_port`. A port that is taken is replaced by a free one.
///
/// # Errors
///
/// When something is missing (says how to get it) or ends.
pub async fn run(port: u16, invoke_port: u16) -> Result<()> {
    let cargo_lambda = find_in_environment("venv-dev", "cargo-lambda")?;
    println!("starting Postgres, ministack and cargo lambda watch");
    let mut builder = Sealflow::builder().gateway_port(free_or_any(port)?);
    // The hosts that the `http` component may reach on this machine, as the operator names them on
    // AWS too.
    if let Ok(allow) = std::env::var("SEALFLOW_HTTP_ALLOW") {
        builder = builder.http_allow(allow);
    }
    let prepared = builder.prepare().await?;
    let invoke_port = free_or_any(invoke_port)?;
    let watch = start_watch(&cargo_lambda, prepared.environments(), prepared.folder(), invoke_port)?;
    net::await_listening(&watch, invoke_port, Duration::from_secs(WATCH_START_SECONDS_MAX)).await?;
    println!("migrating");
    let invoke_url = format!("http://127.0.0.1:{invoke_port}");
    let sealflow = tokio::select! {
        started = prepared.start_remote(&invoke_url) => started?,
        status = watch.wait() => bail!("cargo lambda watch ended ({status})"),
    };
    println!("{}", instructions(&sealflow, &cargo_lambda, invoke_port));
    let status = watch.wait().await;
    bail!("cargo lambda watch ended ({status})")
}

/// Prints `NAME=VALUE` lines and an empty one, then stays until standard input closes.
///
/// # Errors
///
/// When a stand-in is missing (says how to get it) or doesn't come up.
pub async fn stay_up_with_stack() -> Result<()> {
    let stack = StackOptions::new().postgres().ministack().moto().own().start().await?;
    for (name, value) in stack.environment() {
        println!("{name}={value}");
    }
    println!();
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    while input.read(&mut ignored).await.unwrap_or(0) > 0 {}
    Ok(())
}

/// Becomes a function's binary, with the environment that `dev` wrote for the function that Lambda
/// names.
///
/// # Errors
///
/// When it was not started by `dev`, or the binary can't be run.
pub fn run_function(command: &[PathBuf]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no binary given") };
    let name = std::env::var("AWS_LAMBDA_FUNCTION_NAME").context("not started by cargo lambda watch")?;
    let file = std::env::var_os(ENVIRONMENTS_FILE).context("not started by sealflow-local dev")?;
    let environments: Environments = serde_json::from_slice(&std::fs::read(file)?)?;
    let environment: BTreeMap<String, String> = environments.get(&name).cloned().unwrap_or_default();
    // Only returns when it fails.
    let error = Command::new(program).args(arguments).envs(environment).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// `cargo lambda watch` starts a function with `cargo run` on its first invocation. Each function
/// has an environment of its own (another database role), which it has no way to say; Cargo's
/// runner setting has.
fn start_watch(
    cargo_lambda: &Path,
    environments: &Environments,
    folder: &Path,
    port: u16,
) -> Result<Process> {
    let file = folder.join("environments.json");
    // It has the database's passwords.
    append_privately(&file)?.write_all(&serde_json::to_vec(environments)?)?;
    let ourselves = std::env::current_exe()?;
    let mut command = crate::child::command(cargo_lambda);
    // Without CORS no page of a browser reads an answer.
    command.args(["lambda", "watch", "--disable-cors"]);
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
    command.env(runner_variable()?, format!("{} run-function", ourselves.display()));
    command.env(ENVIRONMENTS_FILE, file).stdin(Stdio::null());
    Process::start("cargo lambda watch", command, Signal::INT)
}

/// `CARGO_TARGET_<TRIPLE>_RUNNER` for this machine.
fn runner_variable() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host =
        text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace(['-', '.'], "_")))
}

fn free_or_any(port: u16) -> Result<u16> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_free) => Ok(port),
        Err(_) => net::free_port(),
    }
}

fn instructions(sealflow: &Sealflow, cargo_lambda: &Path, invoke_port: u16) -> String {
    let url = sealflow.gateway_url();
    let token = sealflow.token();
    let port =
        if invoke_port == INVOKE_PORT { String::new() } else { format!(" --invoke-port {invoke_port}") };
    format!(
        "\nsealflow is up; a change of the code reloads the functions; Ctrl-C stops everything.\n\n  \
           export SEALFLOW_API_URL={url}\n  \
           export SEALFLOW_TOKEN={token}\n  \
           export SEALFLOW_INVOKE_URL={url}   # for sealflow admin\n  \
           cargo run -q -p sealflow -- workflow list\n\n  \
           export PATH={}:$PATH   # cargo-lambda\n  \
           cargo lambda invoke builder -A 127.0.0.1 --data-file examples/sqs-event.json{port}\n  \
           (or: curl -d @examples/sqs-event.json http://127.0.0.1:{invoke_port}/2015-03-31/functions/builder/invocations)\n\n  \
           database: psql {}\n  \
           logs, messages, answers: {}\n",
        cargo_lambda.parent().unwrap_or(cargo_lambda).display(),
        sealflow.superuser_url(),
        sealflow.folder().display()
    )
}
