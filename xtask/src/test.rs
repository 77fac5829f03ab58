//! `cargo xtask test`: everything, on one stack that all test binaries share.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::environments::{self, Environment};
use crate::steps::{Steps, say};
use crate::workspace::Workspace;
use crate::{build_binaries, deploy_check, document, fuzz, lint, succeed, template};

/// Runs all steps even when one fails.
///
/// # Errors
///
/// When a step failed.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    check_room(workspace)?;
    let mut steps = Steps::default();
    let needed = [Environment::Stack, Environment::Moto, Environment::Template, Environment::Checkov];
    // Packages are fetched while Cargo compiles.
    let has_environments = thread::scope(|scope| {
        let making = scope.spawn(|| environments::ensure(workspace, &needed));
        lint(workspace, &mut steps);
        steps.run("Python environments", || match making.join() {
            Ok(made) => made,
            Err(panic) => resume_unwind(panic),
        })
    });
    let has_binaries = steps.run("build", || {
        build_binaries(workspace)?;
        succeed(workspace.cargo(&["test", "--workspace", "--no-run"]))?;
        succeed(workspace.cargo(&[&CRASH_SUITE[..], &["--no-run"]].concat()))
    });
    if has_environments && has_binaries {
        let beside = Beside::start(workspace);
        steps.run("crash suite", || crash_suite(workspace));
        steps.run(BESIDE, || beside?.end());
        steps.run("tests", || tests(workspace));
    } else {
        for step in ["crash suite", BESIDE, "tests"] {
            steps.skip(step, "an earlier step failed");
        }
    }
    steps.end()
}

/// The step that runs beside the crash suite, which waits for more than half of its time.
const BESIDE: &str = "beside the crash suite";
const CRASH_SUITE: [&str; 4] = ["test", "--workspace", "--test", "crash"];

fn crash_suite(workspace: &Workspace) -> Result<()> {
    succeed(workspace.cargo_on_parts(&CRASH_SUITE))
}

/// `cargo xtask test-beside`: what `cargo xtask test` runs beside the crash suite.
///
/// # Errors
///
/// When a step failed.
pub(crate) fn run_beside(workspace: &Workspace, _: &[String]) -> Result<()> {
    let needed = [Environment::Stack, Environment::Template, Environment::Checkov, Environment::Fuzz];
    environments::ensure(workspace, &needed)?;
    build_binaries(workspace)?;
    let mut steps = Steps::default();
    steps.run("template", || template::check(workspace));
    steps.run("deployment", || deploy_check::check(workspace, &[]));
    document(workspace, &mut steps);
    steps.run("fuzz", || fuzz::briefly(workspace));
    steps.end()
}

/// [`run_beside`] as a process, whose output waits in a file until it has ended.
struct Beside {
    child: Child,
    output: PathBuf,
}

impl Beside {
    fn start(workspace: &Workspace) -> Result<Self> {
        say("meanwhile: template, deployment, documentation, fuzz; what they print comes at their end");
        let output = workspace.target().join("tests_beside.log");
        let file = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("test-beside")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .current_dir(workspace.root())
            .spawn()
            .context("cannot run cargo xtask test-beside")?;
        Ok(Self { child, output })
    }

    /// Waits for it, and prints what it printed.
    fn end(mut self) -> Result<()> {
        let status = self.child.wait()?;
        io::copy(&mut File::open(&self.output)?, &mut io::stdout().lock())?;
        if !status.success() {
            bail!("cargo xtask test-beside failed ({status})");
        }
        Ok(())
    }
}

/// GiB that a first run needs: 7.3 GB in `target`, measured, and what the tests write beside it.
const ROOM_GIB: u64 = 10;
/// GiB that a run needs once all is built.
const ROOM_AGAIN_GIB: u64 = 3;

/// Refuses a disk that is too full at the start, and not after ten minutes.
fn check_room(workspace: &Workspace) -> Result<()> {
    let needed = if workspace.target().join("debug/deps").is_dir() { ROOM_AGAIN_GIB } else { ROOM_GIB } << 20;
    let output = Command::new("df").arg("-Pk").arg(workspace.target()).output().context("cannot run df")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Filesystem, blocks, used, available (POSIX, `df -P`).
    let free = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    match free {
        Some(free) if free < needed => bail!(
            "only {} MiB are free where {} is, and the tests need {} MiB: free some (`cargo clean`), or name another place with CARGO_TARGET_DIR",
            free >> 10,
            workspace.target().display(),
            needed >> 10
        ),
        _ => Ok(()),
    }
}

/// The integration tests beside one busy thread for each core, so that each test gets about half of
/// the machine.
///
/// # Errors
///
/// When a test fails.
pub(crate) fn run_loaded(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack, Environment::Moto])?;
    build_binaries(workspace)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    say(&format!("keeping {cores} cores busy meanwhile"));
    let busy: Vec<_> = (0..cores)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let mut arguments = vec![
        "test",
        "--package",
        "tests",
        "--test",
        "integration",
        "--test",
        "end_to_end",
        "--no-fail-fast",
        "--",
    ];
    arguments.extend(rest.iter().map(String::as_str));
    let result = on_a_stack(workspace, &arguments);
    is_over.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().expect("a loop does not panic");
    }
    result
}

fn tests(workspace: &Workspace) -> Result<()> {
    on_a_stack(workspace, &["test", "--workspace", "--no-fail-fast"])
}

/// Cargo with Postgres and the stand-ins, which all test binaries share.
fn on_a_stack(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let stack = Stack::start(workspace)?;
    let mut test = workspace.cargo_on_parts(arguments);
    test.envs(stack.environment.iter().map(|(name, value)| (name, value)));
    let result = succeed(test);
    stack.stop()?;
    result
}

/// `sealflow-local stack`. It ends when its standard input closes, so it ends with us even if we
/// are killed.
struct Stack {
    child: Child,
    environment: Vec<(String, String)>,
}

impl Stack {
    fn start(workspace: &Workspace) -> Result<Self> {
        let mut child = Command::new(workspace.binary("sealflow-local"))
            .arg("stack")
            .env("SEALFLOW_VENV_DIR", workspace.target())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run sealflow-local")?;
        let output = child.stdout.take().context("it has an output")?;
        let mut environment = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line.is_empty() {
                return Ok(Self { child, environment });
            }
            let (name, value) = line.split_once('=').with_context(|| format!("not NAME=VALUE: {line}"))?;
            environment.push((name.to_owned(), value.to_owned()));
        }
        let status = child.wait()?;
        bail!("the stack didn't start ({status})")
    }

    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the stack ended badly ({status})");
        }
        Ok(())
    }
}
