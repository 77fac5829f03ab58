//! `cargo xtask bench`: the functions, optimised, and the benchmark on them.

use anyhow::Result;

use crate::environments::{self, Environment};
use crate::steps::say;
use crate::succeed;
use crate::workspace::Workspace;

/// The functions that the benchmark starts.
const FUNCTIONS: [&str; 7] = ["api", "webhook", "builder", "executor", "sweeper", "migrate", "rewrap"];

/// `cargo xtask bench [arguments; see --help]`
///
/// # Errors
///
/// When it does not build, or a run does not end.
pub(crate) fn run(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack])?;
    say("building the functions, optimised; the first time takes minutes");
    let mut build = workspace.cargo(&["build", "--profile", "bench", "--bins"]);
    build.args(FUNCTIONS.iter().flat_map(|function| ["--package", function]));
    succeed(build)?;
    let mut bench = workspace.cargo(&["run", "--quiet", "--package", "tests", "--example", "bench", "--"]);
    bench
        .args(rest)
        .env("SEALFLOW_VENV_DIR", workspace.target())
        .env("SEALFLOW_BIN_DIR", workspace.target().join("release"));
    succeed(bench)
}
