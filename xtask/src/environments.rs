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
    /// checkov; its packages fit with those of no other tool.
    Checkov,
}

/// The file that is written last: an environment without it was cut short and is made anew.
const STAMP: &str = ".sealflow-stamp";

/// The folder of the lists of packages.
const REQUIREMENTS: &str = "xtask/requirements";

/// The bytes of pip's log that are shown when pip fails.
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

    /// Lists of packages, each with its dependencies, versions and hashes
    /// (`requirements/README.md`).
    fn requirements(self) -> Vec<&'static str> {
        match self {
            // ministack expands SAM's templates itself, with SAM's translator.
            Self::Stack if has_postgres() => vec!["stack.txt"],
            Self::Stack => vec!["stack.txt", "postgres.txt"],
            Self::Moto => vec!["moto.txt"],
            Self::Template => vec!["template.txt"],
            Self::Dev => vec!["dev.txt"],
            Self::Checkov => vec!["checkov.txt"],
            Self::Fuzz => vec!["fuzz.txt"],
        }
    }

    /// A program in the environment.
    pub(crate) fn program(self, workspace: &Workspace, name: &str) -> PathBuf {
        workspace.target().join(self.name()).join("bin").join(name)
    }
}

/// Makes the environments that are missing or were made of other packages.
///
/// # Errors
///
/// When Python or a package can't be had: says what to install.
pub(crate) fn ensure(workspace: &Workspace, environments: &[Environment]) -> Result<()> {
    for environment in environments {
        let folder = workspace.target().join(environment.name());
        let lists = environment.requirements();
        let files: Vec<PathBuf> =
            lists.iter().map(|list| workspace.root().join(REQUIREMENTS).join(list)).collect();
        let mut stamp = String::new();
        for file in &files {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            stamp.push_str(&text);
        }
        if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) {
            continue;
        }
        let what = format!("installing the Python packages of {} (once)", lists.join(", "));
        with_progress(&what, || make(&folder, &files))?;
        fs::write(folder.join(STAMP), stamp)?;
    }
    Ok(())
}

/// Removes all environments.
///
/// # Errors
///
/// When an environment can't be removed.
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

fn make(folder: &Path, requirements: &[PathBuf]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let log = folder.with_extension("log");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(venv, &log).context("cannot make a Python environment: apt install python3 python3-venv")?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        // Python compiles what it imports.
        "--no-compile",
        "--require-hashes",
        // The lists name every dependency. Pip itself would look for newer versions, which the
        // lists don't name.
        "--no-deps",
    ]);
    for list in requirements {
        pip.arg("-r").arg(list);
    }
    run(pip, &log).context("pip can't install the packages with the hashes that xtask/requirements has")
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

/// Whether `sealflow-local` will find a Postgres on this machine. The places are the same, looked
/// at more simply.
fn has_postgres() -> bool {
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("postgres").is_file()));
    let of_debian = fs::read_dir("/usr/lib/postgresql").is_ok_and(|versions| {
        versions.filter_map(Result::ok).any(|version| version.path().join("bin/postgres").is_file())
    });
    on_path || of_debian || std::env::var_os("SEALFLOW_POSTGRES_BIN").is_some()
}
