//! `cargo xtask deploy-check`: the template, unchanged, deployed into an emulator of AWS with the
//! real functions.

use std::process::Command;

use anyhow::Result;

use crate::environments::{self, Environment};
use crate::workspace::{Workspace, without_own_package};
use crate::{build_binaries, succeed};

/// Builds everything, then runs `deploy/check` with the arguments.
///
/// # Errors
///
/// When a check fails.
pub(crate) fn run(workspace: &Workspace, rest: &[String]) -> Result<()> {
    environments::ensure(workspace, &[Environment::Stack, Environment::Template])?;
    build_binaries(workspace)?;
    check(workspace, rest)
}

/// Runs `deploy/check` with the binaries that are built.
///
/// # Errors
///
/// When a check fails.
pub(crate) fn check(workspace: &Workspace, rest: &[String]) -> Result<()> {
    let mut python = Command::new(Environment::Template.program(workspace, "python"));
    python.arg(workspace.root().join("deploy/check/deploy_check.py"));
    python.arg("--emulator-python").arg(Environment::Stack.program(workspace, "python"));
    python.arg("--template").arg(workspace.root().join("template.yaml"));
    python.arg("--binaries").arg(workspace.target().join("debug"));
    python.args(rest).current_dir(workspace.root()).env("PYTHONDONTWRITEBYTECODE", "1");
    without_own_package(&mut python);
    succeed(python)
}
