//! Checks of the deployment templates, offline.
//!
//! `sam validate --lint` sees little inside SAM resources, so the template is also transformed as
//! CloudFormation would, and the result is linted. That finds wrong runtimes, timeouts, properties
//! and references. checkov looks for resources that are open, not encrypted or not kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::environments::Environment;
use crate::succeed;
use crate::workspace::Workspace;

/// Expands SAM's resources; argument 1 is the template, 2 the result.
const TRANSFORM: &str = include_str!("transform.py");

/// W3037 doesn't know the newest IAM actions.
const IGNORED: &str = "W3037";

/// The region whose rules apply; any region would do.
const REGION: &str = "us-east-1";

/// Checks of checkov that don't fit, each with its reason.
const NOT_CHECKED: [(&str, &str); 7] = [
    ("CKV_AWS_27", "the queues are encrypted by SqsManagedSseEnabled, which this check doesn't know"),
    ("CKV_AWS_111", "EC2 knows no narrower resource for a function's network interfaces"),
    (
        "CKV_AWS_116",
        "dead letters stand behind the queues; the other functions answer their caller or run again",
    ),
    ("CKV_AWS_118", "RDS's own metrics carry the alarms; enhanced monitoring is billed by the log line"),
    ("CKV_AWS_157", "a second zone doubles the price, so the parameter Standby decides"),
    ("CKV_AWS_158", "logs hold ids and no payloads, and CloudWatch encrypts every group"),
    ("CKV_AWS_173", "no variable holds a secret, and Lambda encrypts variables at rest"),
];

/// Parameters of the database's template, each with its default and another value. With the other
/// values every resource is made: checkov decides conditions by the defaults.
const LARGE_DATABASE: [(&str, &str, &str); 3] =
    [("Engine", "rds", "aurora"), ("Nat", "one", "two"), ("Standby", "'false'", "'true'")];

/// Checks `template.yaml` and `deploy/database.yaml`.
///
/// # Errors
///
/// When a tool finds something.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let template = workspace.root().join("template.yaml");
    ensure!(template.is_file(), "there is no template.yaml");
    let mut validate = tool(workspace, Environment::Template, "sam");
    validate.args(["validate", "--lint", "--template-file"]).arg(&template);
    succeed(validate)?;
    let expanded = workspace.target().join("template-expanded.json");
    transform(workspace, &template, &expanded)?;
    let database = workspace.root().join("deploy/database.yaml");
    let large = large_database(workspace, &database)?;
    let all = [expanded, database, large];
    let mut lint = tool(workspace, Environment::Template, "cfn-lint");
    lint.args(["--ignore-checks", IGNORED, "--template"]).args(&all);
    succeed(lint)?;
    let skipped: Vec<&str> = NOT_CHECKED.iter().map(|(id, _)| *id).collect();
    let mut checkov = tool(workspace, Environment::Checkov, "checkov");
    checkov.args(["--framework", "cloudformation", "--skip-download", "--quiet", "--compact"]);
    checkov.args(["--skip-check", &skipped.join(",")]);
    all.iter().for_each(|file| {
        checkov.arg("--file").arg(file);
    });
    succeed(checkov)
}

/// The template as plain CloudFormation, in JSON.
///
/// # Errors
///
/// When SAM's translator refuses it.
pub(crate) fn transform(workspace: &Workspace, template: &Path, expanded: &Path) -> Result<()> {
    let mut python = tool(workspace, Environment::Template, "python");
    python.args(["-c", TRANSFORM]).arg(template).arg(expanded);
    succeed(python)
}

fn large_database(workspace: &Workspace, database: &Path) -> Result<PathBuf> {
    let mut text = fs::read_to_string(database)?;
    for (parameter, default, other) in LARGE_DATABASE {
        let start =
            text.find(&format!("\n  {parameter}:\n")).with_context(|| format!("no parameter {parameter}"))?;
        let (before, after) = text.split_at(start);
        let line = format!("Default: {default}\n");
        ensure!(after.contains(&line), "the default of {parameter} is not {default}");
        text = format!("{before}{}", after.replacen(&line, &format!("Default: {other}\n"), 1));
    }
    let large = workspace.target().join("database-large.yaml");
    fs::write(&large, text)?;
    Ok(large)
}

fn tool(workspace: &Workspace, environment: Environment, name: &str) -> Command {
    let mut command = Command::new(environment.program(workspace, name));
    command.current_dir(workspace.root()).env("SAM_CLI_TELEMETRY", "0").env("AWS_DEFAULT_REGION", REGION);
    command
}
