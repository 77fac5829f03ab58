//! `cargo xtask rolling REV`: the functions of another commit beside today's, as during a
//! deployment.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::environments::{self, Environment};
use crate::steps::say;
use crate::workspace::Workspace;
use crate::{build_binaries, run_crash, succeed};

/// The functions that run in both releases.
const FUNCTIONS: [&str; 5] = ["api", "webhook", "builder", "executor", "sweeper"];

/// `cargo xtask rolling REV [further arguments of the crash suite]`
///
/// # Errors
///
/// When there is no such commit, it does not build, or the suite finds something.
pub(crate) fn run(workspace: &Workspace, rest: &[String]) -> Result<()> {
    let [revision, further @ ..] = rest else {
        bail!("cargo xtask rolling REV [--functions builder,executor] [--executions N] [--seed N]")
    };
    environments::ensure(workspace, &[Environment::Stack])?;
    build_binaries(workspace)?;
    let folder = workspace.target().join("rolling");
    let source = folder.join("source");
    check_out(workspace.root(), revision, &source)?;
    say(&format!("building the functions of {revision}; this takes a while the first time"));
    let mut build = workspace.cargo(&["build", "--bins"]);
    build.current_dir(&source).env("CARGO_TARGET_DIR", folder.join("target"));
    build.args(FUNCTIONS.iter().flat_map(|function| ["--package", function]));
    succeed(build)?;
    let binaries = folder.join("target/debug");
    let beside = binaries.to_str().context("the path of the target folder is no UTF-8")?;
    run_crash(workspace, &[&["--beside".to_owned(), beside.to_owned()], further].concat())
}

/// Writes the files of a commit into a folder, in place of those of an earlier commit.
fn check_out(root: &Path, revision: &str, source: &Path) -> Result<()> {
    if source.exists() {
        std::fs::remove_dir_all(source).with_context(|| format!("cannot remove {}", source.display()))?;
    }
    std::fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
    let index = source.with_file_name("index");
    for arguments in [
        vec!["read-tree".to_owned(), revision.to_owned()],
        vec!["checkout-index".to_owned(), "--all".to_owned(), format!("--prefix={}/", source.display())],
    ] {
        // Git uses an index of its own, so that the index of the working tree stays as it is.
        let mut git = Command::new("git");
        git.args(arguments).current_dir(root).env("GIT_INDEX_FILE", &index);
        succeed(git).with_context(|| format!("is {revision} a commit of this repository?"))?;
    }
    Ok(())
}
