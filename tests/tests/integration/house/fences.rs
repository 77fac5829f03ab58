//! The allowed dependencies, checked in the graph of dependencies.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use domain::execution::{ExecutionResult, ExecutionState};
use domain::run::RunState;

use super::rust_files;

/// Crates that are not delivered: the test crate, which uses everything, and those for development.
const NOT_DELIVERED: [&str; 3] = ["tests", "local", "xtask"];

struct Graph {
    metadata: Metadata,
    /// Normal and build dependencies.
    edges: HashMap<PackageId, Vec<PackageId>>,
}

impl Graph {
    fn load() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            // For this machine alone: packages that only other platforms link were never fetched.
            .other_options(["--locked", "--offline", "--filter-platform", &host()].map(str::to_owned))
            .exec()
            .unwrap();
        let nodes = &metadata.resolve.as_ref().unwrap().nodes;
        let edges = nodes.iter().map(|node| {
            let delivered = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            (node.id.clone(), delivered.map(|dependency| dependency.pkg.clone()).collect())
        });
        let edges = edges.collect();
        Self { metadata, edges }
    }

    fn name(&self, id: &PackageId) -> &str {
        self.metadata[id].name.as_str()
    }

    /// Our crates that depend on `dependency` directly.
    fn direct_users(&self, dependency: &str) -> BTreeSet<&str> {
        let members = self.metadata.workspace_members.iter();
        members
            .filter(|member| self.edges[*member].iter().any(|id| self.name(id) == dependency))
            .map(|member| self.name(member))
            .filter(|name| !NOT_DELIVERED.contains(name))
            .collect()
    }

    /// Our crates that `dependency` is linked into.
    fn users(&self, dependency: &str) -> BTreeSet<&str> {
        let members = self.metadata.workspace_members.iter().map(|member| self.name(member));
        members
            .filter(|name| {
                !NOT_DELIVERED.contains(name) && *name != dependency && self.tree(name).contains(dependency)
            })
            .collect()
    }

    /// The names of all packages that a crate of ours links, itself included.
    fn tree(&self, member: &str) -> BTreeSet<&str> {
        let is_member = |id: &&PackageId| self.name(id) == member;
        let mut open: Vec<&PackageId> = self.metadata.workspace_members.iter().filter(is_member).collect();
        assert_eq!(open.len(), 1, "there is one crate {member}");
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&self.edges[id]);
            }
        }
        seen.into_iter().map(|id| self.name(id)).collect()
    }
}

/// The machine's target triple.
pub(super) fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn set<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    names.into()
}

#[test]
fn one_crate_alone_depends_on_each_heavy_client() {
    let graph = Graph::load();
    assert_eq!(graph.direct_users("tokio-postgres"), set(["store"]));
    assert_eq!(graph.direct_users("refinery"), set(["store"]));
    assert_eq!(graph.direct_users("aws-sdk-sqs"), set(["queue"]));
    assert_eq!(graph.direct_users("aws-sdk-kms"), set(["vault_open", "vault_rewrap", "vault_seal"]));
}

#[test]
fn who_can_open_seal_and_reach_the_outside_i7() {
    let graph = Graph::load();
    assert_eq!(graph.users("vault_open"), set(["executor", "webhook"]), "I7");
    assert_eq!(graph.users("vault_seal"), set(["api"]), "I7");
    assert_eq!(graph.users("vault_rewrap"), set(["rewrap"]), "I7");
    assert_eq!(
        graph.users("aws-sdk-kms"),
        set(["api", "executor", "rewrap", "vault_open", "vault_rewrap", "vault_seal", "webhook"]),
        "I7"
    );
    assert_eq!(graph.users("http_guard"), set(["executor"]), "I7");
    assert_eq!(graph.users("scrub"), set(["executor"]));
}

#[test]
fn the_executor_links_no_evaluator_no_parser_and_no_reader_of_yaml_i1() {
    let graph = Graph::load();
    let tree = graph.tree("executor");
    for name in ["expression", "definition", "definition_check", "saphyr-parser"] {
        assert!(!tree.contains(name), "I1: the executor links {name}");
    }
    assert!(tree.contains("secret_text") && tree.contains("components"));
    assert_eq!(graph.users("saphyr-parser"), set(["api", "definition_check", "sealflow"]));
    assert_eq!(graph.users("definition"), set(["api", "builder", "definition_check", "sealflow", "webhook"]));
}

#[test]
fn what_is_pure_does_no_io_reads_no_clock_and_makes_no_ids() {
    let graph = Graph::load();
    for name in [
        "domain",
        "api_types",
        "apply_plan",
        "body_schema",
        "bounded_cache",
        "expression",
        "components",
        "definition",
        "definition_check",
        "secret_text",
        "vault_format",
        "scrub",
    ] {
        let tree = graph.tree(name);
        for heavy in ["tokio", "tokio-postgres", "hyper", "aws-types", "rustls", "mio", "socket2", "process"]
        {
            assert!(!tree.contains(heavy), "{name} links {heavy}");
        }
        let aws: Vec<_> = tree.iter().filter(|dependency| dependency.starts_with("aws-")).collect();
        assert!(aws.is_empty(), "{name} links {aws:?}");
    }
}

#[test]
fn there_is_exactly_one_provider_of_tls_and_cryptography() {
    let graph = Graph::load();
    let packages: BTreeSet<&str> =
        graph.metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert!(packages.contains("ring"));
    let linked: BTreeSet<&str> =
        graph.metadata.workspace_members.iter().flat_map(|id| graph.tree(graph.name(id))).collect();
    for other in
        ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring", "rustls-openssl"]
    {
        assert!(!linked.contains(other), "{other} is linked beside ring");
    }
}

#[test]
fn the_functions_read_no_chain_of_credentials_and_no_other_http_client() {
    let graph = Graph::load();
    for function in local::sealflow::FUNCTIONS {
        let tree = graph.tree(function);
        for unwanted in ["aws-config", "reqwest", "ureq"] {
            assert!(!tree.contains(unwanted), "{function} links {unwanted}");
        }
    }
}

#[test]
fn every_crate_that_functions_link_may_log_as_our_own() {
    let graph = Graph::load();
    let linked: BTreeSet<&str> =
        local::sealflow::FUNCTIONS.into_iter().flat_map(|function| graph.tree(function)).collect();
    let ours: BTreeSet<&str> = graph
        .metadata
        .workspace_members
        .iter()
        .map(|member| graph.name(member))
        .filter(|name| linked.contains(name) && graph.tree(name).contains("tracing"))
        .collect();
    let missing: Vec<_> = ours.iter().filter(|name| !process::OWN_CRATES.contains(name)).collect();
    assert!(missing.is_empty(), "logs of these crates below WARN are dropped: {missing:?}");
}

/// The Rust files below a folder, without tests and without `domain`, which defines the words.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| {
        let mut parts = path.strip_prefix(folder).expect("below it").components();
        !parts.any(|part| ["tests", "domain", "tests.rs"].iter().any(|other| part.as_os_str() == *other))
    };
    rust_files(folder).into_iter().filter(is_source).collect()
}

#[test]
fn no_string_stands_for_a_state() {
    let words = ExecutionState::ALL.iter().map(|word| word.as_str());
    let words = words.chain(ExecutionResult::ALL.iter().map(|word| word.as_str()));
    let words = words.chain(RunState::ALL.iter().map(|word| word.as_str()));
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let files: Vec<PathBuf> =
        ["functions", "shared"].iter().flat_map(|folder| sources(&root.join(folder))).collect();
    assert!(files.len() > 100, "the sources were found");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in &words {
            assert!(!code.contains(word.as_str()), "{} has {word}: use the type", file.display());
        }
    }
}
