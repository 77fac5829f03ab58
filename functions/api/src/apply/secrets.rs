//! The secrets that a definition refers to. A missing secret gives a warning. A secret that may not
//! be sent to the node's host, or may not stand in the node's field, gives an error.

use std::collections::{BTreeSet, HashMap};

use definition_check::{NodeSecretRef, Problem, UrlTarget};
use domain::allowed_host::AllowedHost;
use domain::placement::Placement;
use store::api::load_secrets_named;
use vault_format::Entries;

use crate::Deps;
use crate::auth::Caller;
use crate::error::ApiError;

/// The findings on references to secrets.
#[derive(Default)]
pub(super) struct Findings {
    /// References to a secret that is not there yet, or that a later version of sealflow refuses.
    pub(super) warnings: Vec<Problem>,
    /// References to a secret that may not be sent to the node's literal host, or may not stand in
    /// its field. The executor checks again at each connection, because the secret's hosts and
    /// places may change afterwards.
    pub(super) errors: Vec<Problem>,
}

/// Checks a definition's references against the secrets as they are now.
///
/// # Errors
/// [`ApiError`] when the database can't be reached.
pub(super) async fn find_problems(
    deps: &Deps,
    caller: &Caller,
    refs: &[NodeSecretRef],
) -> Result<Findings, ApiError> {
    let mut findings = Findings::default();
    let names: BTreeSet<&str> = refs.iter().map(|secret| secret.name.as_str()).collect();
    if names.is_empty() {
        return Ok(findings);
    }
    let names: Vec<&str> = names.into_iter().collect();
    let rows = load_secrets_named(&deps.store, caller.organization_id, &names).await?;
    let secrets: HashMap<String, Entries> =
        rows.into_iter().map(|row| (row.name, Entries::parse(&row.data).unwrap_or_default())).collect();
    for secret in refs {
        match check(secret, secrets.get(&secret.name)) {
            Usability::Usable => {}
            Usability::NotThereYet(message) => findings.warnings.push(secret.problem(message)),
            Usability::Unbounded(message) => findings.warnings.push(secret.problem(message)),
            Usability::OtherHost(message) | Usability::OtherPlace(message) => {
                findings.errors.push(secret.problem(message));
            }
        }
    }
    Ok(findings)
}

/// The usability of a reference at present.
#[derive(Debug, PartialEq, Eq)]
enum Usability {
    Usable,
    NotThereYet(String),
    Unbounded(String),
    OtherHost(String),
    OtherPlace(String),
}

fn check(secret: &NodeSecretRef, entries: Option<&Entries>) -> Usability {
    let (name, key) = (&secret.name, &secret.key);
    let Some(entries) = entries else {
        return Usability::NotThereYet(format!(
            "the secret `{name}` is not there yet; executions fail until it is"
        ));
    };
    let Some(entry) = entries.get(key) else {
        return Usability::NotThereYet(format!(
            "the secret `{name}` has no key `{key}` yet; executions fail until it has"
        ));
    };
    let bounds = entry.bounds();
    if let Some(place) = secret.place.as_ref().filter(|place| !bounds.admit(place)) {
        let places: Vec<String> = bounds.placements().iter().map(Placement::to_string).collect();
        return Usability::OtherPlace(format!(
            "the secret `{name}.{key}` may stand in {} only, and stands in {place}; change the node, or set the secret with \
             `--in {place}` beside its other places",
            places.join(", ")
        ));
    }
    let hosts = bounds.allowed_hosts();
    if hosts.is_empty() && secret.place == Some(Placement::Url) {
        return Usability::Unbounded(format!(
            "the secret `{name}.{key}` is the whole URL and names no hosts; set it with `--host`: a later version of sealflow refuses it"
        ));
    }
    // Without a target the host is part of a secret, and known only when the secret is opened.
    let is_reached = |target: &&UrlTarget| hosts.iter().any(|host| host.matches(&target.host, target.port));
    let Some(target) = secret.targets.iter().find(|target| !hosts.is_empty() && !is_reached(target)) else {
        return Usability::Usable;
    };
    let hosts: Vec<String> = hosts.iter().map(AllowedHost::to_string).collect();
    let wanted = match (target.scheme.as_str(), target.port) {
        ("http", 80) | ("https", 443) => target.host.clone(),
        (_, port) => format!("{}:{port}", target.host),
    };
    Usability::OtherHost(format!(
        "the secret `{name}.{key}` may be sent to {} only, not to {}:{}; change the URL, or set the secret with `--host {wanted}` \
         beside its other hosts",
        hosts.join(", "),
        target.host,
        target.port,
    ))
}

#[cfg(test)]
mod tests {
    use vault_format::{Bounds, Entry, NONCE_BYTES, TAG_BYTES};

    use super::*;

    fn entries(hosts: &[&str]) -> Entries {
        placed(hosts, &[])
    }

    fn placed(hosts: &[&str], placements: &[&str]) -> Entries {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let placements = placements.iter().map(|placement| placement.parse().unwrap()).collect();
        let entry = Entry::new(
            "token".into(),
            Bounds::new(hosts, placements),
            vec![1],
            [0; NONCE_BYTES],
            vec![0; TAG_BYTES + 20],
        )
        .unwrap();
        let mut entries = Entries::new();
        entries.put(entry).unwrap();
        entries
    }

    #[test]
    fn a_reference_that_could_not_be_used_is_found() {
        let secret = |key: &str| NodeSecretRef {
            node_id: "call".into(),
            name: "github".into(),
            key: key.into(),
            field: "nodes[0].configuration.url".into(),
            pointer: "/url".into(),
            line: 3,
            column: 7,
            targets: vec![UrlTarget { scheme: "https".into(), host: "api.example.com".into(), port: 443 }],
            place: Some(Placement::Path),
        };
        let missing = |key: &str, entries: Option<&Entries>, expected: &str| {
            let found = check(&secret(key), entries);
            assert!(
                matches!(&found, Usability::NotThereYet(message) if message.contains(expected)),
                "{found:?}"
            );
        };
        missing("token", None, "`github` is not there yet");
        missing("other", Some(&entries(&[])), "no key `other`");
        for hosts in [&[][..], &["api.example.com"], &["other.example.com", "api.example.com:443"]] {
            assert_eq!(check(&secret("token"), Some(&entries(hosts))), Usability::Usable, "{hosts:?}");
        }
        for hosts in [&["other.example.com"][..], &["api.example.com:8443", "example.com"]] {
            let found = check(&secret("token"), Some(&entries(hosts)));
            let said = format!(
                "`github.token` may be sent to {} only, not to api.example.com:443",
                hosts.join(", ")
            );
            assert!(matches!(&found, Usability::OtherHost(message) if message.contains(&said)), "{found:?}");
        }
    }

    #[test]
    fn a_reference_in_another_place_than_the_secret_names_is_found() {
        let found = |place: Option<&str>, hosts: &[&str], placements: &[&str]| {
            let secret = NodeSecretRef {
                node_id: "call".into(),
                name: "github".into(),
                key: "token".into(),
                field: String::new(),
                pointer: String::new(),
                line: 1,
                column: 1,
                targets: Vec::new(),
                place: place.map(|place| place.parse().unwrap()),
            };
            check(&secret, Some(&placed(hosts, placements)))
        };
        assert_eq!(found(Some("query:a"), &[], &["body", "query"]), Usability::Usable);
        assert_eq!(found(None, &[], &["body"]), Usability::Usable, "a template chooses it");
        let said = "`github.token` may stand in authorization, body only, and stands in header:x-key";
        let refused = found(Some("header:X-Key"), &[], &["body", "authorization"]);
        assert!(matches!(&refused, Usability::OtherPlace(message) if message.contains(said)), "{refused:?}");
        let unbounded = found(Some("url"), &[], &["url"]);
        assert!(
            matches!(&unbounded, Usability::Unbounded(message) if message.contains("--host")),
            "{unbounded:?}"
        );
        assert_eq!(found(Some("url"), &["a.example"], &["url"]), Usability::Usable);
    }
}
