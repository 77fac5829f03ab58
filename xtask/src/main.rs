//! `cargo xtask`: the commands of developers and of CI. Without a command it lists them.
//!
//! It is thin (std and anyhow), so that it compiles in a moment: the work is done by
//! `sealflow-local`, Cargo and pip.

mod bench;
mod deploy_check;
mod environments;
mod fuzz;
mod package;
mod rds_roots;
mod rolling;
mod steps;
mod template;
mod test;
mod workspace;

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use environments::Environment;
use steps::{Steps, say};
use workspace::{Workspace, without_own_package};

/// A command: its name, its description and its function.
type Task = (&'static str, &'static str, fn(&Workspace, &[String]) -> Result<()>);

const TASKS: [Task; 16] = [
    ("demo", "build everything, then show the main job from end to end", demo),
    ("dev", "stay up with the functions under cargo lambda watch; Ctrl-C stops everything", dev),
    ("check", "format, clippy and unit tests: quick", check),
    ("test", "what CI runs: check, all tests on real parts, the template", test::run),
    (
        "test-beside",
        "the part of test that runs beside the crash suite: template, deployment, documentation, fuzz",
        test::run_beside,
    ),
    (
        "loaded",
        "the integration tests beside programs that keep every core busy: none depends on the machine's speed; takes their filters",
        test::run_loaded,
    ),
    (
        "crash",
        "kill, freeze and lose everything for some minutes, then look whether it held; see --help",
        crash,
    ),
    (
        "rolling",
        "the crash suite with the functions of another commit beside today's: rolling REV [--functions builder,executor] [--executions N]",
        rolling::run,
    ),
    (
        "bench",
        "what one node execution costs, in the units of this machine's Postgres; see --help",
        bench::run,
    ),
    (
        "leaks",
        "search a database, logs and messages for secrets that are read from standard input; see --help",
        leaks,
    ),
    (
        "deploy-check",
        "deploy the template into an emulator of AWS, run a workflow there, update, delete",
        deploy_check::run,
    ),
    (
        "package",
        "zips and a plain template in dist/, for deploying without Rust; --arm64 or --x86_64",
        package::run,
    ),
    ("rds-roots", "the authorities of RDS and Aurora, anew from their package", rds_roots::run),
    ("fuzz", "fuzz the expression crate, SECONDS for each target (60 if not given)", fuzz::run),
    ("setup", "make the Python environments that tests need, so that `cargo test -p CRATE` works", setup),
    ("clean", "remove the Python environments", clean),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", usage());
        return Ok(());
    };
    match TASKS.iter().find(|(known, ..)| known == name) {
        Some((_, _, task)) => task(&Workspace::find()?, rest),
        None => bail!("there is no command {name}\n\n{}", usage()),
    }
}

fn usage() -> String {
    let mut text = "cargo xtask COMMAND\n\n".to_owned();
    for (name, what, _) in TASKS {
        text += &format!("  {name:<12} {what}\n");
    }
    text
}

fn demo(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack])?;
    build_binaries(workspace)?;
    become_local(workspace, "demo", rest)
}

fn dev(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack, Environment::Dev])?;
    // All binaries are built now, so that cargo lambda watch has only changes to build.
    build_binaries(workspace)?;
    become_local(workspace, "dev", rest)
}

fn crash(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack])?;
    build_binaries(workspace)?;
    run_crash(workspace, rest)
}

/// The crash suite on binaries that are built.
fn run_crash(workspace: &Workspace, rest: &[String]) -> Result<()> {
    let mut run =
        workspace.cargo_on_parts(&["run", "--quiet", "--package", "tests", "--example", "crash", "--"]);
    run.args(rest);
    succeed(run)
}

fn leaks(workspace: &Workspace, rest: &[String]) -> Result<()> {
    succeed(workspace.cargo(&["build", "--quiet", "--package", "local", "--bin", "sealflow-local"]))?;
    become_local(workspace, "leaks", rest)
}

fn check(workspace: &Workspace, _: &[String]) -> Result<()> {
    let mut steps = Steps::default();
    lint(workspace, &mut steps);
    document(workspace, &mut steps);
    steps.run("unit tests", || succeed(workspace.cargo(&["test", "--workspace", "--lib", "--bins"])));
    steps.end()
}

fn setup(workspace: &Workspace, _: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack, Environment::Moto])
}

fn clean(workspace: &Workspace, _: &[String]) -> Result<()> {
    environments::remove(workspace)
}

/// Format and clippy, with warnings denied.
fn lint(workspace: &Workspace, steps: &mut Steps) {
    steps.run("format", || succeed(workspace.cargo(&["fmt", "--all", "--check"])));
    steps.run("clippy", || {
        succeed(workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
}

/// The documentation of all crates, with warnings denied.
fn document(workspace: &Workspace, steps: &mut Steps) {
    steps.run("documentation", || {
        let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        doc.env("RUSTDOCFLAGS", "--deny warnings");
        succeed(doc)
    });
}

/// One build of one feature set: function binaries, CLI and local runner.
fn build_binaries(workspace: &Workspace) -> Result<()> {
    let program = workspace.binary("sealflow-local");
    if !program.exists() {
        say("building everything, the first time for some minutes");
    }
    let mut build = workspace.cargo(&["build", "--workspace", "--bins"]);
    // Cargo's bar shows the progress; without a terminal, Cargo's lines do.
    if program.exists() && std::io::stderr().is_terminal() {
        build.arg("--quiet");
    }
    succeed(build)
}

/// Replaces this process by `sealflow-local`, so that signals reach that program directly.
fn become_local(workspace: &Workspace, command: &str, rest: &[String]) -> Result<()> {
    let program = workspace.binary("sealflow-local");
    let mut local = Command::new(&program);
    local.arg(command).args(rest).env("SEALFLOW_VENV_DIR", workspace.target()).current_dir(workspace.root());
    without_own_package(&mut local);
    // `exec` returns only when it fails.
    let error = local.exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Runs a command with our terminal.
fn succeed(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("{name} {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}
