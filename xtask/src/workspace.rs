//! The folders of the workspace, and Cargo in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The workspace's folders.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace of this package.
    pub(crate) fn find() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
        let root = Path::new(&package).parent().context("xtask is a folder of the workspace")?.to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target"),
        };
        std::fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
        Ok(Self { root, target })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of everything that is built.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A binary of the dev profile.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// The Cargo that runs us, in the root folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.root);
        without_own_package(&mut command);
        command
    }

    /// The same for tests that start the binaries and Python environments of the target folder.
    pub(crate) fn cargo_on_parts(&self, arguments: &[&str]) -> Command {
        let mut command = self.cargo(arguments);
        command.env("SEALFLOW_VENV_DIR", self.target()).env("SEALFLOW_BIN_DIR", self.target().join("debug"));
        command
    }
}

/// Removes the variables in which `cargo run` describes xtask's own package. A build script that
/// reads them (ring's) would run again whenever the same build is started by hand.
pub(crate) fn without_own_package(command: &mut Command) {
    let own = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(own) {
            command.env_remove(&name);
        }
    }
}
