//! Citations in documents and comments: the cited files, headings and tests exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The endings of files that a path may cite.
const ENDINGS: [&str; 9] = [".rs", ".sql", ".md", ".yaml", ".toml", ".txt", ".json", ".py", ".sh"];

/// The folders in which cited paths may begin.
const ROOTS: [&str; 4] = ["", "shared", "functions", "tests/tests/integration"];

/// The number of underscores from which on a word in backticks is taken for the name of a test.
const TEST_NAME_UNDERSCORES_MIN: usize = 4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a folder of the workspace").to_owned()
}

/// The files that git tracks, and the new ones that it does not ignore.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    text.lines().filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

/// The texts in backticks in a document, without blocks of code.
fn quoted(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The comments of a source.
fn comments(text: &str, sign: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_once(sign)).map(|(_, comment)| comment.to_owned()).collect()
}

/// The paths that a path with alternatives in braces stands for.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((among, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    among.split(',').flat_map(|one| expanded(&format!("{before}{one}{after}"))).collect()
}

/// Whether a path exists: below one of [`ROOTS`], below the folder of the citing file, or as the
/// end of a file's path.
fn is_there(path: &str, from: &str, all: &[String]) -> bool {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let is_file = |path: &Path| {
        let path = path.to_string_lossy();
        // A path with `..` in it is looked up on the disk.
        all.iter().any(|name| *name == path) || path.contains("..") && root().join(&*path).exists()
    };
    ROOTS.iter().any(|root| is_file(&Path::new(root).join(path)))
        || is_file(&folder.join(path))
        || all.iter().any(|name| name.strip_suffix(path).is_some_and(|before| before.ends_with('/')))
}

/// The paths in a text: words with a slash and a known ending.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-./{},*".contains(character);
    text.split(move |character| !is_part(character))
        .map(|word| word.trim_end_matches(['.', ',']))
        .filter(|word| word.contains('/') && !word.starts_with('/') && !word.contains('*'))
        // Files that a build writes are not files of the repository.
        .filter(|word| !word.starts_with("target/") && !word.starts_with("dist/"))
        .filter(|word| ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}

#[test]
fn each_link_of_a_document_leads_somewhere() {
    let mut dangling = Vec::new();
    for name in files().iter().filter(|name| name.ends_with(".md")) {
        for target in read(name).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(name).parent().expect("it has one");
            let file = if path.is_empty() { PathBuf::from(name) } else { folder.join(path) };
            if !root().join(&file).exists() {
                dangling.push(format!("{name}: {target}"));
            } else if !heading.is_empty() {
                let text = read(&file.display().to_string());
                if !text.lines().any(|line| line.starts_with('#') && anchor(line) == heading) {
                    dangling.push(format!("{name}: {target} (no such heading)"));
                }
            }
        }
    }
    assert!(dangling.is_empty(), "{}", dangling.join("\n"));
}

#[test]
fn each_path_that_a_document_or_comment_cites_is_there() {
    let all = files();
    let mut dangling = Vec::new();
    for name in &all {
        let text = read(name);
        // The changelog is left out: it may cite files of the past.
        let cited: Vec<String> = match name.rsplit('.').next() {
            Some("md") if name != "CHANGELOG.md" => quoted(&text),
            Some("rs") => comments(&text, "//"),
            Some("sql") => comments(&text, "--"),
            _ => Vec::new(),
        };
        for path in cited.iter().flat_map(|text| paths(text)).flat_map(expanded) {
            if !is_there(&path, name, &all) && !NOT_KEPT.contains(&path.as_str()) {
                dangling.push(format!("{name}: {path}"));
            }
        }
    }
    assert!(dangling.is_empty(), "{}", dangling.join("\n"));
}

/// Paths that the walkthroughs of CONTRIBUTING.md tell a reader to make.
const NOT_KEPT: [&str; 7] = [
    "shared/components/src/upper.rs",
    "shared/store/src/api/things.rs",
    "shared/api_types/src/thing.rs",
    "functions/api/src/views/thing.rs",
    "functions/api/src/routes/things.rs",
    "cli/src/commands/thing_show.rs",
    "migrations/V55__what_it_does.sql",
];

#[test]
fn each_test_that_a_document_names_is_there() {
    let all = files();
    let tests: BTreeSet<String> = all
        .iter()
        .filter(|name| name.ends_with(".rs"))
        .flat_map(|name| {
            let text = read(name);
            let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            functions.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<String> = all
        .iter()
        .filter(|name| !name.ends_with(".md"))
        .flat_map(|name| {
            let text = read(name);
            let words = text.split(move |c| !is_part(c)).filter(|word| word.contains('_'));
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut dangling = Vec::new();
    for name in all.iter().filter(|name| name.ends_with(".md") && *name != "CHANGELOG.md") {
        for word in quoted(&read(name)) {
            let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_name && word.matches('_').count() >= TEST_NAME_UNDERSCORES_MIN && !tests.contains(&word) {
                // Columns, fields and statements have names with many underscores too.
                if !words.contains(&word) {
                    dangling.push(format!("{name}: {word}"));
                }
            }
        }
    }
    assert!(dangling.is_empty(), "{}", dangling.join("\n"));
}

#[test]
fn each_component_is_in_the_guide() {
    let text = read("docs/workflows.md");
    let unsaid: Vec<&str> = components::component_names()
        .into_iter()
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    assert!(unsaid.is_empty(), "docs/workflows.md names none of {unsaid:?}");
}
