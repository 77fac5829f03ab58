//! Temporary folders: fresh, reachable for other users (Postgres runs as one), removed at the end.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::janitor;

/// Set it to any value to keep the folders of a run for a look at its logs.
pub const KEEP_VARIABLE: &str = "SEALFLOW_KEEP";

/// A folder below the temp directory that goes away with this value, unless `SEALFLOW_KEEP` is set.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_kept: bool,
}

/// Opens a file to append to, made with mode 0600: what functions say and answer may hold
/// credentials that are shown once.
///
/// # Errors
///
/// The system's own.
pub fn append_privately(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Folder {
    /// Makes `sealflow-NAME-RANDOM` below the temp directory, mode 0711: others may pass through,
    /// not list.
    ///
    /// # Errors
    ///
    /// When the temp directory can't be written.
    pub fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("sealflow-{name}-{}", crate::random::hex(6)));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
        let is_kept = std::env::var_os(KEEP_VARIABLE).is_some();
        if !is_kept {
            janitor::add_folder(&path);
        }
        Ok(Self { path, is_kept })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it, mode 0755.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_kept {
            eprintln!("kept {}", self.path.display());
            return;
        }
        if fs::remove_dir_all(&self.path).is_ok() {
            janitor::remove_folder(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_folder_is_gone_with_all_that_is_in_it() {
        let folder = Folder::create("unit").unwrap();
        let path = folder.path().to_owned();
        fs::write(folder.subfolder("logs").unwrap().join("a.log"), "text").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn two_folders_of_one_name_are_apart() {
        let one = Folder::create("unit").unwrap();
        let two = Folder::create("unit").unwrap();
        assert_ne!(one.path(), two.path());
    }
}
