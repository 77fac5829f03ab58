//! Secrets that a definition refers to: a warning where one is not there yet, or may not go where the node sends it.

use std::collections::{BTreeSet, HashMap};

use definition::{Checked, NodeSecretRef, Problem};
use store::api::load_secrets_named;
use vault_format::Entries;

use crate::Deps;
use crate::auth::Caller;
use crate::error::ApiError;

/// A warning for each reference that an execution could not use as things are.
pub(super) async fn missing_secrets(
    deps: &Deps,
    caller: &Caller,
    checked: &Checked,
) -> Result<Vec<Problem>, ApiError> {
    let names: BTreeSet<&str> = checked.secret_refs.iter().map(|secret| secret.name.as_str()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = names.into_iter().collect();
    let rows = load_secrets_named(&deps.store, caller.organization_id, &names).await?;
    let secrets: HashMap<String, Entries> =
        rows.into_iter().map(|row| (row.name, Entries::parse(&row.data).unwrap_or_default())).collect();
    Ok(checked.secret_refs.iter().filter_map(|secret| warning(secret, secrets.get(&secret.name))).collect())
}

fn warning(secret: &NodeSecretRef, entries: Option<&Entries>) -> Option<Problem> {
    let (name, key) = (&secret.name, &secret.key);
    let Some(entries) = entries else {
        return Some(
            secret.problem(format!("the secret `{name}` is not there yet; executions fail until it is")),
        );
    };
    let Some(entry) = entries.get(key) else {
        return Some(
            secret
                .problem(format!("the secret `{name}` has no key `{key}` yet; executions fail until it has")),
        );
    };
    let target = secret.target.as_ref().filter(|_| !entry.allowed_hosts().is_empty())?;
    let is_allowed = entry.allowed_hosts().iter().any(|host| host.matches(&target.host, target.port));
    (!is_allowed).then(|| {
        secret.problem(format!(
            "the secret `{name}.{key}` may not be sent to {}:{}; executions fail until its hosts allow that",
            target.host, target.port
        ))
    })
}

#[cfg(test)]
mod tests {
    use definition::UrlTarget;
    use vault_format::{Entry, NONCE_BYTES, TAG_BYTES};

    use super::*;

    fn entries(hosts: &[&str]) -> Entries {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let entry =
            Entry::new("token".into(), hosts, vec![1], [0; NONCE_BYTES], vec![0; TAG_BYTES + 20]).unwrap();
        let mut entries = Entries::new();
        entries.put(entry).unwrap();
        entries
    }

    #[test]
    fn a_reference_that_could_not_be_used_is_a_warning() {
        let secret = |key: &str| NodeSecretRef {
            node_id: "call".into(),
            name: "github".into(),
            key: key.into(),
            field: "nodes[0].configuration.url".into(),
            line: 3,
            column: 7,
            target: Some(UrlTarget { scheme: "https".into(), host: "api.example.com".into(), port: 443 }),
        };
        let check = |key: &str, entries: Option<&Entries>, expected: Option<&str>| {
            let found = warning(&secret(key), entries);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!(found.message.contains(expected) && found.line == 3, "{found}");
            }
        };
        check("token", None, Some("`github` is not there yet"));
        check("other", Some(&entries(&[])), Some("no key `other`"));
        check("token", Some(&entries(&[])), None);
        check("token", Some(&entries(&["api.example.com"])), None);
        check(
            "token",
            Some(&entries(&["other.example.com"])),
            Some("may not be sent to api.example.com:443"),
        );
    }
}
