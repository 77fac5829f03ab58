//! Checks of the deployment template, offline.
//!
//! `sam validate --lint` sees little inside SAM resources, so the template is also transformed as CloudFormation would,
//! and the result linted: that finds wrong runtimes, timeouts, properties and references.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::environments::Environment;
use crate::succeed;
use crate::workspace::Workspace;

/// Expands SAM's resources; argument 1 is the template, 2 the result.
const TRANSFORM: &str = include_str!("transform.py");

/// W3037 doesn't know the newest IAM actions.
const IGNORED: &str = "W3037";

/// The region whose rules are asked; any would do.
const REGION: &str = "us-east-1";

/// Checks `template.yaml`.
///
/// # Errors
///
/// When a tool finds something.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let template = workspace.root().join("template.yaml");
    ensure!(template.is_file(), "there is no template.yaml");
    let mut validate = tool(workspace, "sam");
    validate.args(["validate", "--lint", "--template-file"]).arg(&template);
    succeed(validate)?;
    let expanded = workspace.target().join("template-expanded.json");
    transform(workspace, &template, &expanded)?;
    let mut lint = tool(workspace, "cfn-lint");
    lint.args(["--ignore-checks", IGNORED, "--template"]).arg(&expanded);
    succeed(lint)
}

fn transform(workspace: &Workspace, template: &Path, expanded: &Path) -> Result<()> {
    let mut python = tool(workspace, "python");
    python.args(["-c", TRANSFORM]).arg(template).arg(expanded);
    succeed(python)
}

fn tool(workspace: &Workspace, name: &str) -> Command {
    let mut command = Command::new(Environment::Template.program(workspace, name));
    command.current_dir(workspace.root()).env("SAM_CLI_TELEMETRY", "0").env("AWS_DEFAULT_REGION", REGION);
    command
}
