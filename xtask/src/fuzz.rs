//! Fuzzing of the expression crate (`fuzz/`), for a bounded time.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::environments::{self, Environment};
use crate::succeed;
use crate::workspace::Workspace;

const TARGETS: [&str; 4] = ["parser", "template", "evaluator", "parts"];
/// Seconds for each target, unless they are given.
const SECONDS: u32 = 60;
/// Inputs for each target within `cargo xtask test`: less than a minute together.
const INPUTS_IN_TEST: u32 = 100_000;
/// The options of libFuzzer: the most bytes of an input, and the seconds and megabytes above which
/// an input is a finding.
const LIMITS: [&str; 3] = ["-max_len=512", "-timeout=10", "-rss_limit_mb=2048"];

/// `cargo xtask fuzz [SECONDS]`
///
/// # Errors
///
/// When something is found, or when fuzzing isn't possible here: says what to install.
pub(crate) fn run(workspace: &Workspace, rest: &[String]) -> Result<()> {
    let seconds = match rest {
        [] => SECONDS,
        [seconds] => seconds.parse().context("cargo xtask fuzz [SECONDS for each target]")?,
        _ => bail!("cargo xtask fuzz [SECONDS for each target]"),
    };
    fuzz(workspace, &[format!("-max_total_time={seconds}")])
}

/// The step of `cargo xtask test`: always the same seed, so that chance fails few changes.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn briefly(workspace: &Workspace) -> Result<()> {
    fuzz(workspace, &["-seed=1".to_owned(), format!("-runs={INPUTS_IN_TEST}")])
}

fn fuzz(workspace: &Workspace, extent: &[String]) -> Result<()> {
    check_compiler()?;
    environments::ensure(workspace, &[Environment::Fuzz])?;
    let dictionary = format!("-dict={}", workspace.root().join("fuzz/expression.dict").display());
    for target in TARGETS {
        let mut command = Command::new(Environment::Fuzz.program(workspace, "cargo-fuzz"));
        // There is no unsafe code to sanitize. Coverage flags are unstable, so stable Rust has to
        // be told to take them.
        command.args(["run", "--sanitizer", "none", target, "--", "-verbosity=0", "-print_final_stats=1"]);
        command.args(LIMITS).args(extent).arg(&dictionary).current_dir(workspace.root());
        command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", workspace.target().join("fuzz"));
        succeed(command).with_context(|| {
            format!(
                "fuzzing {target}: the input of a finding is in fuzz/artifacts/{target}; make a test of it"
            )
        })?;
    }
    Ok(())
}

/// Checks that there is a C++ compiler: libFuzzer is compiled from C++.
fn check_compiler() -> Result<()> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut command = Command::new(&compiler);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "fuzzing needs a C++ compiler for libFuzzer, and {} can't be run: apt install g++ (or set CXX)",
            compiler.display()
        ),
    }
}
