//! The layers of the store, and the width of its statements.

use std::fs;
use std::path::{Path, PathBuf};

use super::rust_files;

/// The folders of the store that each hold the transactions of one function.
const FUNCTIONS: [&str; 4] = ["api", "builder", "executor", "sweeper"];
/// The most columns of a line of a statement.
const SQL_COLUMNS_MAX: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn store() -> PathBuf {
    root().join("shared/store/src")
}

/// The function in whose folder a file stands.
fn owner<'a>(folder: &Path, file: &'a Path) -> Option<&'a str> {
    let first = file.strip_prefix(folder).ok()?.components().next()?.as_os_str().to_str()?;
    FUNCTIONS.contains(&first).then_some(first)
}

#[test]
fn a_functions_transactions_are_its_own() {
    let mut found = Vec::new();
    let mut look = |folder: &Path, file: &Path, owner: Option<&str>, path: &str| {
        let text = fs::read_to_string(file).expect("a source");
        for function in FUNCTIONS.into_iter().filter(|function| Some(*function) != owner) {
            let is_used = [
                format!("{path}::{function}::"),
                format!("{path}::{{{function}::"),
                format!("super::super::{function}::"),
            ];
            if is_used.iter().any(|used| text.contains(used.as_str())) {
                let file = file.strip_prefix(folder).expect("below it").display().to_string();
                found.push(format!("{file} uses {path}::{function}"));
            }
        }
    };
    assert!(rust_files(&store()).len() > 50, "the sources were found");
    for file in rust_files(&store()) {
        look(&store(), &file, owner(&store(), &file), "crate");
    }
    let functions = root().join("functions");
    for file in rust_files(&functions) {
        look(&functions, &file, owner(&functions, &file), "store");
    }
    assert!(
        found.is_empty(),
        "code that several functions use has a module of its own in the store:\n{}",
        found.join("\n")
    );
}

#[test]
fn statements_are_within_100_columns() {
    let words =
        [" FROM ", " WHERE ", " AND ", "SELECT ", " JOIN ", " SET ", " ON ", "VALUES ", "ORDER BY ", "-- "];
    let mut files = rust_files(&store());
    let scripts = fs::read_dir(store().join("migrate")).expect("the folder is there").filter_map(Result::ok);
    files.extend(
        scripts.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "sql")),
    );
    assert!(files.len() > 50, "the sources were found");
    let mut wide = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let lines = text.lines().enumerate().filter(|(_, line)| {
            line.chars().count() > SQL_COLUMNS_MAX && words.iter().any(|word| line.contains(word))
        });
        wide.extend(lines.map(|(at, line)| format!("{}:{}: {line}", file.display(), at + 1)));
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}
