//! Dependencies: each is used, has a licence that `deny.toml` allows, comes from the registry, and
//! is not banned by `deny.toml`.
//!
//! `cargo deny check` checks the same and more, where it is installed. It takes minutes to build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand, Package};
use toml::Table;

use super::fences::host;
use super::rust_files;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        // For this machine alone: packages that only other platforms link were never fetched.
        .other_options(["--locked", "--offline", "--filter-platform", &host()].map(str::to_owned))
        .exec()
        .expect("cargo metadata")
}

fn deny() -> Table {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml"));
    text.expect("deny.toml is there").parse().expect("it is TOML")
}

fn texts<'a>(table: &'a Table, section: &str, list: &str, field: Option<&str>) -> BTreeSet<&'a str> {
    let values = table[section][list].as_array().expect("a list").iter();
    let text = |value: &'a toml::Value| field.map_or(value, |field| &value[field]).as_str();
    values.map(|value| text(value).expect("a text")).collect()
}

/// The packages in this machine's build that are not ours.
fn foreign(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.packages.iter().filter(|package| package.source.is_some())
}

#[test]
fn each_licence_is_allowed() {
    let (metadata, deny) = (metadata(), deny());
    let allowed = texts(&deny, "licenses", "allow", None);
    let exceptions = deny["licenses"]["exceptions"].as_array().expect("a list");
    let is_excepted = |package: &Package, licence: &str| {
        exceptions.iter().any(|exception| {
            exception["crate"].as_str() == Some(package.name.as_str())
                && exception["allow"]
                    .as_array()
                    .is_some_and(|allow| allow.iter().any(|allowed| allowed.as_str() == Some(licence)))
        })
    };
    let is_allowed = |package: &Package| {
        let Some(text) = package.license.as_deref() else { return false };
        // Some packages write `MIT/Apache-2.0`.
        let expression = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX);
        expression.is_ok_and(|expression| {
            expression.evaluate(|requirement| {
                let licence = requirement.license.to_string();
                allowed.contains(licence.as_str()) || is_excepted(package, &licence)
            })
        })
    };
    let refused: Vec<String> = foreign(&metadata)
        .filter(|package| !is_allowed(package))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(refused.is_empty(), "deny.toml allows none of these licences:\n{}", refused.join("\n"));
}

#[test]
fn nothing_that_is_banned_or_from_elsewhere_is_there() {
    let (metadata, deny) = (metadata(), deny());
    let banned = texts(&deny, "bans", "deny", Some("crate"));
    let sources = texts(&deny, "sources", "allow-registry", None);
    for package in foreign(&metadata) {
        assert!(!banned.contains(package.name.as_str()), "deny.toml bans {}", package.name);
        let source = package.source.as_ref().expect("it has one").to_string();
        let source = source.strip_prefix("registry+").unwrap_or(&source);
        assert!(sources.contains(source), "{} comes from {source}", package.name);
    }
}

/// Dependencies that no source names, each with its reason.
const NOT_NAMED: [(&str, &str, &str); 3] = [
    ("vault_rewrap", "aws_client", "the fixtures of vault_open's tests, which its own share"),
    ("vault_rewrap", "domain", "the same"),
    ("vault_rewrap", "uuid", "the same"),
];

#[test]
fn each_dependency_is_used() {
    let metadata = metadata();
    let mut unused = Vec::new();
    for member in metadata.workspace_packages() {
        let folder = member.manifest_path.parent().expect("it has a folder").as_std_path();
        let sources: String =
            rust_files(folder).iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        for dependency in &member.dependencies {
            let name = dependency.rename.as_deref().unwrap_or(&dependency.name).replace('-', "_");
            let is_named = sources.match_indices(&name).any(|(at, _)| {
                let before = sources[..at].chars().next_back();
                let after = &sources[at + name.len()..];
                !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
                    && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
            });
            let is_known =
                NOT_NAMED.iter().any(|(user, used, _)| *user == member.name.as_str() && *used == name);
            if is_named == is_known {
                unused.push(format!("{} of {}", dependency.name, member.name));
            }
        }
    }
    assert!(unused.is_empty(), "no source names these dependencies:\n{}", unused.join("\n"));
}
