//! Each named limit has a test on both sides (I10): held for all of them here, by reading the sources.
//!
//! A limit is a constant whose name says so, in `model::limits` or beside the code that keeps it. Its name must stand in a test, at
//! the limit and one step past it (`NAME` with `NAME + 1`, `NAME - 1`, or a range that ends at it). Where a test reaches the other
//! side in another way, [`HELD_OTHERWISE`] names the test; where none is worth its while, [`WITHOUT_TEST`] says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Limits whose tests reach the other side without arithmetic on the name: the limit and the test, which must be there.
const HELD_OTHERWISE: &[(&str, &str)] = &[];

/// Limits without a test of their own, and why.
const WITHOUT_TEST: &[(&str, &str)] = &[];

/// Where limits are: everything that is delivered.
const SOURCES: [&str; 2] = ["shared", "functions"];
/// Where tests are, beside the sources' own.
const TESTS: [&str; 3] = ["shared", "functions", "tests"];

struct Sources {
    /// Names of limits with the files that they are in.
    limits: BTreeMap<String, BTreeSet<String>>,
    /// All text of tests.
    tests: String,
}

#[test]
fn i10_every_limit_has_a_test_on_both_sides() {
    let sources = read_sources();
    assert!(sources.limits.len() > 60, "the limits are not found: {}", sources.limits.len());
    let missing: Vec<String> = sources
        .limits
        .iter()
        .filter(|(name, _)| !is_held(name, &sources.tests))
        .map(|(name, files)| format!("{name} ({})", files.iter().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    assert!(missing.is_empty(), "without a test on both sides:\n  {}", missing.join("\n  "));
}

#[test]
fn i10_the_exceptions_are_limits_and_tests_that_are_there() {
    let sources = read_sources();
    for (name, test) in HELD_OTHERWISE {
        assert!(sources.limits.contains_key(*name), "no limit {name}");
        assert!(sources.tests.contains(&format!("fn {test}(")), "{name}: no test {test}");
    }
    for (name, why) in WITHOUT_TEST {
        assert!(sources.limits.contains_key(*name), "no limit {name}");
        assert!(why.len() > 20, "{name}: a reason is a sentence");
        assert!(!is_on_both_sides(name, &sources.tests), "{name} has a test by now");
    }
}

#[test]
fn i10_a_limit_without_a_second_side_is_noticed() {
    let check = |tests: &str, expected: bool| assert_eq!(is_on_both_sides("A_MAX", tests), expected, "{tests}");
    check("", false);
    check("read(A_MAX)", false);
    check("read(BA_MAX + 1)", false);
    check("read(A_MAX); read(A_MAX + 1)", true);
    check("read(limits::A_MAX - 1); read(limits::A_MAX)", true);
    check("for _ in 0..=A_MAX {}", true);
    check("usize::try_from(A_MAX).unwrap() + 1; A_MAX", true);
    check("A_MAX as usize + 1; A_MAX", true);
}

fn is_held(name: &str, tests: &str) -> bool {
    let is_excepted = |list: &[(&str, &str)]| list.iter().any(|(known, _)| *known == name);
    is_on_both_sides(name, tests) || is_excepted(HELD_OTHERWISE) || is_excepted(WITHOUT_TEST)
}

/// Whether a text has the name with a step past it, or as the end of a range that includes it.
fn is_on_both_sides(name: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        if before.ends_with(is_word) || after.starts_with(is_word) {
            return false;
        }
        // Casts and conversions stand between the name and its step.
        let mut rest = after.trim_start_matches(')');
        for cast in [" as usize", " as u64", " as u32", " as i64", ".unwrap()", ".expect(\"small\")"] {
            rest = rest.strip_prefix(cast).unwrap_or(rest).trim_start_matches(')');
        }
        let path = before.trim_end_matches(|c: char| is_word(c) || c == ':');
        let is_range = path.ends_with("..=") || path.ends_with("..=usize::from(");
        [" + 1", " - 1", " * 2", " + TAG_BYTES + 1"].iter().any(|step| rest.starts_with(step)) || is_range
    })
}

fn read_sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a folder of the workspace");
    let mut sources = Sources { limits: BTreeMap::new(), tests: String::new() };
    for folder in SOURCES {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("it is below the root").display().to_string();
            if is_test_file(&name) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a source is text");
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            for limit in production.lines().filter_map(limit_of) {
                sources.limits.entry(limit).or_default().insert(name.clone());
            }
        }
    }
    for folder in TESTS {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("it is below the root").display().to_string();
            if name.ends_with("tests/tests/limits.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a source is text");
            let tests = if is_test_file(&name) { Some(text.as_str()) } else { text.split_once("#[cfg(test)]").map(|(_, tests)| tests) };
            sources.tests.push_str(tests.unwrap_or_default());
        }
    }
    sources
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/") || name.starts_with("tests/")
}

/// The name of the limit that a line declares.
fn limit_of(line: &str) -> Option<String> {
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let (name, _) = line.strip_prefix("const ")?.split_once(':')?;
    let is_limit = name.split('_').any(|word| matches!(word, "MAX" | "MIN"));
    is_limit.then(|| name.to_owned())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
