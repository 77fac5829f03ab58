//! `sealflow-local`: the local stack as a program, for `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use local::http::runtime;
use local::leaks::command as leaks;
use local::leaks::command::Search;
use local::signals::stop_signal;

/// The exit status of a program that was ended by Ctrl-C, as shells give it.
const EXIT_INTERRUPTED: u8 = 130;

/// sealflow on one machine: stand-ins for AWS, and the real functions.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job from end to end, then search everything for the secret that was used.
    Demo {
        /// The workflow to apply.
        #[arg(long, default_value = "examples/notify-on-push.yaml")]
        workflow: PathBuf,
    },
    /// Stay up with the functions under `cargo lambda watch`, which reloads them on change.
    Dev {
        /// The port of API and webhooks.
        #[arg(long, default_value_t = 4747)]
        port: u16,
        /// The port at which `cargo lambda invoke` finds the functions.
        #[arg(long, default_value_t = local::dev::INVOKE_PORT)]
        invoke_port: u16,
    },
    /// Start Postgres, ministack and moto, print where they are as NAME=VALUE lines, and stay up
    /// until standard input closes or Ctrl-C.
    Stack,
    /// Search a database, logs and messages for secrets, which are read from standard input, one a
    /// line: raw, JSON, URL, HTML, hex and base64. Exit status 1 when one is found.
    Leaks {
        /// The database: postgres://ROLE@HOST:PORT/NAME, of a role that may read everything.
        #[arg(long, value_name = "URL")]
        database: Option<String>,
        /// A folder of logs; may be given more than once.
        #[arg(long, value_name = "DIR")]
        logs: Vec<PathBuf>,
        /// A file of messages, answers or the like; may be given more than once.
        #[arg(long, value_name = "FILE")]
        messages: Vec<PathBuf>,
    },
    /// Run a function's binary with its own environment: the Cargo runner of `dev`.
    #[command(hide = true)]
    RunFunction {
        /// The binary and its arguments.
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = runtime().block_on(async {
        tokio::select! {
            // Dropping the work stops all that it started.
            result = run(arguments.command) => result,
            () = stop_signal() => {
                eprintln!("\nstopping");
                Ok(ExitCode::from(EXIT_INTERRUPTED))
            }
        }
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Leaks { database, logs, messages } => {
            return search(Search { database, logs, files: messages }).await;
        }
        Command::Demo { workflow } => local::demo::run(&workflow).await,
        Command::Dev { port, invoke_port } => local::dev::run(port, invoke_port).await,
        Command::Stack => local::dev::stay_up_with_stack().await,
        Command::RunFunction { command } => local::dev::run_function(&command),
    }
    .map(|()| ExitCode::SUCCESS)
}

async fn search(search: Search) -> Result<ExitCode> {
    let report = leaks::run(search, std::io::stdin().lock()).await?;
    println!("searched: {}\n{report}", report.places.join(", "));
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
