//! The rules of the sources and the schema: dependencies, limits, words.

mod checksums;
mod dependencies;
mod fences;
mod layers;
mod limits;
mod openapi;
mod references;
mod schema;
mod state_machine;
mod words;

use std::path::{Path, PathBuf};

/// The Rust files below a folder, in order, without those in `target`.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
