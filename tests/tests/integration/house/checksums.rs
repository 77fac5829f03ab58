//! Released migrations never change: their checksums stand in `migrations/checksums.txt`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations")
}

/// A line for each migration, in order, in the format of `sha256sum`: the SHA-256 of its bytes, two
/// spaces, its name.
fn checksums() -> String {
    let files = std::fs::read_dir(folder()).expect("there are migrations");
    let names = files.map(|file| file.expect("it is readable").file_name().into_string().expect("a name"));
    let number = |name: &str| name[1..].split("__").next().and_then(|number| number.parse::<u32>().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".sql")).collect();
    names.sort_by_key(|name| number(name).expect("V<number>__<name>.sql"));
    names.iter().fold(String::new(), |mut lines, name| {
        let bytes = std::fs::read(folder().join(name)).expect("it is readable");
        writeln!(lines, "{}  {name}", hex::encode(digest(&SHA256, &bytes))).expect("a string takes all");
        lines
    })
}

#[test]
fn a_migration_that_is_there_does_not_change() {
    let known = std::fs::read_to_string(folder().join("checksums.txt")).expect("checksums.txt");
    let found = checksums();
    assert!(
        found == known,
        "a migration changed, or a new one has no line yet.\nA released migration stays as it is: write a new one. \
         For a new one, `(cd migrations && sha256sum $(ls V*.sql | sort -V)) > migrations/checksums.txt`.\n{known}\nnow:\n{found}"
    );
}
