//! `/v1/secrets`: secrets are written and listed, and their values are never read back.
//!
//! Sealing calls KMS, so it comes before the transaction. It needs the secret's id, and for each
//! key the hosts and places that the request does not change. These are loaded first, and checked
//! again under the row's lock. If another change came first, the value is sealed once more.

use std::sync::Arc;

use api_types::{PageQuery, Secret, SecretAnswer, SecretKey, SecretList};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::Action;
use domain::allowed_host::AllowedHost;
use domain::limits::SECRET_KEYS_MAX;
use domain::placement::Placement;
use store::StoreError;
use store::api::{
    AuditObject, Audited, SecretIdentity, SecretRow, SecretWrite, change_secret, delete_secret, list_secrets,
    load_secret,
};
use vault_format::{Bounds, Entries, Entry, Purpose, Scope, SecretValue};
use vault_seal::SealRequest;

use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::cursor::{page_request, read_list_answer};
use crate::error::{ApiError, NotFoundAs as _};
use crate::guessable::guessable;
use crate::query::ApiQuery;
use crate::secret_body::{SecretMapBody, SecretValueBody};

/// The most times that one change is sealed.
const SEALS_MAX: u32 = 2;
/// Bytes of a secret's name.
const NAME_BYTES_MAX: usize = 128;

/// `GET`: names, keys, hosts, places and times.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<SecretList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let page = list_secrets(&deps.store, caller.organization_id, page).await?;
    read_list_answer(page, secret_view)
}

/// `PUT /v1/secrets/{name}`: the given keys replace all keys of the secret.
pub(super) async fn put_all(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(name): Path<String>,
    body: JsonBody,
) -> Result<Json<SecretAnswer>, ApiError> {
    check_name(&name)?;
    let body: SecretMapBody = body.read()?;
    if body.values.len() > SECRET_KEYS_MAX {
        return Err(ApiError::Invalid(format!("a secret has at most {SECRET_KEYS_MAX} keys")));
    }
    let values =
        body.values.into_iter().map(|(key, value)| read_value(key, value)).collect::<Result<_, _>>()?;
    put(&deps, &caller, &name, Values { values, replaces_all: true }).await
}

/// `PUT /v1/secrets/{name}/{key}`: sets one key and leaves the others as they are.
pub(super) async fn put_key(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path((name, key)): Path<(String, String)>,
    body: JsonBody,
) -> Result<Json<SecretAnswer>, ApiError> {
    check_name(&name)?;
    let values = vec![read_value(key, body.read()?)?];
    put(&deps, &caller, &name, Values { values, replaces_all: false }).await
}

/// `DELETE /v1/secrets/{name}`: all keys.
pub(super) async fn delete(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let line = caller.line(&deps, AuditObject::new("secret", &name));
    delete_secret(Audited::new(&deps.store, &line), caller.organization_id, &name)
        .await
        .not_found_as("secret")?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/secrets/{name}/{key}`: one key.
pub(super) async fn delete_key(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path((name, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let organization_id = caller.organization_id;
    let line = caller.line(&deps, AuditObject::new("secret", &name).named(&key));
    for _ in 0..SEALS_MAX {
        let row =
            load_secret(&deps.store, organization_id, &name).await?.ok_or(ApiError::NotFound("secret"))?;
        parse(&row.data)?.get(&key).ok_or(ApiError::NotFound("key"))?;
        let secret = SecretIdentity { organization_id, name: &name, id: row.id };
        let changed = change_secret(
            Audited::new(&deps.store, &line),
            secret,
            &caller.actor,
            deps.clock.now(),
            |data| {
                let mut entries = data.map_or_else(|| Ok(Entries::new()), parse)?;
                let removed = entries.remove(&key);
                Ok(removed.map_or(SecretWrite::Stale, |_| SecretWrite::Data(entries.to_bytes())))
            },
        );
        match changed.await {
            Err(StoreError::Conflict(_)) => {}
            changed => return Ok(changed.map(|()| StatusCode::NO_CONTENT)?),
        }
    }
    Err(changed_meanwhile())
}

/// Values that are to be sealed.
struct Values {
    values: Vec<NewValue>,
    replaces_all: bool,
}

struct NewValue {
    key: String,
    value: SecretValue,
    /// The new hosts; None keeps the hosts of the present entry.
    hosts: Option<Vec<AllowedHost>>,
    /// The new places; None keeps the places of the present entry.
    placements: Option<Vec<Placement>>,
}

impl NewValue {
    /// The bounds of the value: the given hosts and places, or else those of the present entry.
    fn bounds(&self, present: Option<&Entry>) -> Bounds {
        let present = present.map(Entry::bounds).cloned().unwrap_or_default();
        let hosts = self.hosts.clone().unwrap_or_else(|| present.allowed_hosts().to_vec());
        Bounds::new(hosts, self.placements.clone().unwrap_or_else(|| present.placements().to_vec()))
    }

    /// Refuses a new key without the hosts and places of its value.
    fn check_is_bounded(&self) -> Result<(), ApiError> {
        let key = &self.key;
        let missing = match (&self.hosts, &self.placements) {
            (None, _) => {
                "`hosts` (`--host api.example.com`), or an empty list (`--any-host`) for one that may be sent anywhere"
            }
            (Some(hosts), None) if !hosts.is_empty() => {
                "`in` beside `hosts` (`--in authorization`), or an empty list (`--anywhere`) for one that may stand anywhere in a request"
            }
            _ => return Ok(()),
        };
        Err(ApiError::Invalid(format!("the key `{key}` is new: say where its value may go, with {missing}")))
    }
}

fn read_value(key: String, body: SecretValueBody) -> Result<NewValue, ApiError> {
    Entry::check_key_name(&key).map_err(|error| ApiError::Invalid(error.to_string()))?;
    body.check_length(&key)?;
    let (hosts, placements) = (body.hosts(&key)?, body.placements(&key)?);
    Ok(NewValue { key, hosts, placements, value: body.value })
}

async fn put(deps: &Deps, caller: &Caller, name: &str, new: Values) -> Result<Json<SecretAnswer>, ApiError> {
    let organization_id = caller.organization_id;
    let keys: Vec<&str> = new.values.iter().map(|new| new.key.as_str()).collect();
    let line = caller.line(deps, AuditObject::new("secret", name).named(audited_keys(&keys)));
    for _ in 0..SEALS_MAX {
        let now = deps.clock.now();
        let row = load_secret(&deps.store, organization_id, name).await?;
        let present = row.as_ref().map_or_else(|| Ok(Entries::new()), |row| parse(&row.data))?;
        check_count(&present, &new)?;
        if changes_bounds(&new, &present) {
            caller.require(Action::SecretsBounds)?;
        }
        for new in new.values.iter().filter(|new| present.get(&new.key).is_none()) {
            new.check_is_bounded()?;
        }
        let id = row.map_or_else(|| deps.ids.next(now), |row| row.id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let sealed = deps.sealer.seal(&scope, seal_requests(&new, &present)).await?;
        let secret = SecretIdentity { organization_id, name, id };
        let changed = change_secret(Audited::new(&deps.store, &line), secret, &caller.actor, now, |data| {
            let current = data.map_or_else(|| Ok(Entries::new()), parse)?;
            Ok(merge(&new, &present, current, &sealed).map_or(SecretWrite::Stale, SecretWrite::Data))
        });
        match changed.await {
            Err(StoreError::Conflict(_)) => {}
            Err(StoreError::Rejected { constraint: Some(name), .. }) if name == "secrets_max" => {
                let max = domain::limits::SECRETS_MAX;
                return Err(ApiError::Invalid(format!("an organization has at most {max} secrets")));
            }
            changed => {
                changed.not_found_as("organization")?;
                let row =
                    load_secret(&deps.store, organization_id, name).await?.ok_or_else(changed_meanwhile)?;
                let warnings = guessable(new.values.iter().map(|new| (new.key.as_str(), &new.value)));
                return Ok(Json(SecretAnswer { secret: secret_view(row)?, warnings }));
            }
        }
    }
    Err(changed_meanwhile())
}

/// Whether a key that is there would have other hosts or places. A new key has none yet.
fn changes_bounds(new: &Values, present: &Entries) -> bool {
    new.values.iter().any(|new| {
        let entry = present.get(&new.key);
        entry.is_some_and(|entry| new.bounds(Some(entry)) != *entry.bounds())
    })
}

/// Keys that an audit line names.
const KEYS_NAMED_MAX: usize = 20;

fn audited_keys(keys: &[&str]) -> String {
    let more = if keys.len() > KEYS_NAMED_MAX { ",…" } else { "" };
    format!("{}{more}", keys.iter().take(KEYS_NAMED_MAX).copied().collect::<Vec<_>>().join(","))
}

fn changed_meanwhile() -> ApiError {
    ApiError::Conflict("another request is changing the secret: try again".to_owned())
}

fn check_count(present: &Entries, new: &Values) -> Result<(), ApiError> {
    let added = new.values.iter().filter(|new| present.get(&new.key).is_none()).count();
    if new.replaces_all || present.len() + added <= SECRET_KEYS_MAX {
        return Ok(());
    }
    Err(ApiError::Invalid(format!("a secret has at most {SECRET_KEYS_MAX} keys")))
}

fn seal_requests(new: &Values, present: &Entries) -> Vec<SealRequest> {
    new.values
        .iter()
        .map(|new| SealRequest {
            key_name: new.key.clone(),
            // A copy for this try. Both copies are wiped.
            value: SecretValue::new(new.value.expose().to_owned()),
            bounds: new.bounds(present.get(&new.key)),
        })
        .collect()
}

/// The bytes of the secret with the sealed entries. None if another change meanwhile made or deleted
/// one of the keys, or gave it other hosts or places than those that were sealed.
fn merge(new: &Values, present: &Entries, current: Entries, sealed: &[Entry]) -> Option<Vec<u8>> {
    let is_stale = |new: &NewValue| {
        let (before, now) = (present.get(&new.key), current.get(&new.key));
        before.is_some() != now.is_some() || new.bounds(before) != new.bounds(now)
    };
    // If the key was deleted meanwhile, this change creates it, so the request must give hosts and
    // places.
    let is_new_again = |new: &NewValue| current.get(&new.key).is_none() && new.check_is_bounded().is_err();
    if new.values.iter().any(|new| is_stale(new) || is_new_again(new)) {
        return None;
    }
    let mut entries = if new.replaces_all { Entries::new() } else { current };
    for entry in sealed {
        entries.put(entry.clone()).ok()?;
    }
    Some(entries.to_bytes())
}

fn parse(data: &[u8]) -> Result<Entries, StoreError> {
    Entries::parse(data).map_err(|_| StoreError::Corrupt("secrets.data"))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_legal) {
        return Ok(());
    }
    Err(ApiError::Invalid(format!(
        "a secret's name has 1 to {NAME_BYTES_MAX} letters, digits, `_`, `-` or `.`"
    )))
}

fn secret_view(row: SecretRow) -> Result<Secret, ApiError> {
    let entries = parse(&row.data)?;
    let keys = entries.iter().map(|entry| SecretKey {
        key: entry.key_name().to_owned(),
        hosts: entry.bounds().allowed_hosts().iter().map(ToString::to_string).collect(),
        r#in: entry.bounds().placements().iter().map(ToString::to_string).collect(),
        short: entry.value_bytes() < domain::limits::SECRET_VALUE_BYTES_MIN,
    });
    Ok(Secret {
        id: row.id.to_string(),
        keys: keys.collect(),
        name: row.name,
        provider: row.provider,
        created_by: row.created_by.into(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

#[cfg(test)]
mod tests {
    use vault_format::{NONCE_BYTES, TAG_BYTES};

    use super::*;

    fn entry(key: &str, mark: u8, hosts: &[&str]) -> Entry {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Entry::new(
            key.into(),
            Bounds::new(hosts, vec![]),
            vec![mark],
            [mark; NONCE_BYTES],
            vec![mark; TAG_BYTES + 20],
        )
        .unwrap()
    }

    fn entries(all: &[Entry]) -> Entries {
        let mut entries = Entries::new();
        all.iter().for_each(|entry| entries.put(entry.clone()).unwrap());
        entries
    }

    fn value(key: &str, hosts: Option<&[&str]>) -> NewValue {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| host.parse().unwrap()).collect());
        NewValue { key: key.into(), value: SecretValue::new("0123456789".into()), hosts, placements: None }
    }

    #[test]
    fn an_audit_line_names_so_many_keys_and_no_more_i10() {
        let named = |count: usize| {
            let keys: Vec<String> = (0..count).map(|key| format!("k{key}")).collect();
            audited_keys(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(named(2), "k0,k1");
        assert!(named(KEYS_NAMED_MAX).ends_with(",k19") && named(KEYS_NAMED_MAX + 1).ends_with(",k19,…"));
    }

    #[test]
    fn one_key_leaves_the_others_as_they_were() {
        let new = Values { values: vec![value("b", None)], replaces_all: false };
        let current = entries(&[entry("a", 1, &[]), entry("b", 2, &[])]);
        let bytes = merge(&new, &current.clone(), current, &[entry("b", 9, &[])]).unwrap();
        assert_eq!(bytes, entries(&[entry("a", 1, &[]), entry("b", 9, &[])]).to_bytes());
    }

    #[test]
    fn a_map_replaces_all() {
        let new = Values { values: vec![value("b", None)], replaces_all: true };
        let current = entries(&[entry("a", 1, &[]), entry("b", 2, &[])]);
        let bytes = merge(&new, &current.clone(), current, &[entry("b", 9, &[])]).unwrap();
        assert_eq!(bytes, entries(&[entry("b", 9, &[])]).to_bytes());
    }

    #[test]
    fn hosts_that_are_not_given_stay_and_a_change_of_them_meanwhile_is_noticed() {
        let present = entries(&[entry("a", 1, &["api.example.com"])]);
        let new = Values { values: vec![value("a", None)], replaces_all: false };
        assert_eq!(seal_requests(&new, &present)[0].bounds, *present.get("a").unwrap().bounds());
        let changed = entries(&[entry("a", 2, &["other.example.com"])]);
        let sealed = [entry("a", 9, &["api.example.com"])];
        assert!(merge(&new, &present, changed.clone(), &sealed).is_none());
        assert!(merge(&new, &present, present.clone(), &sealed).is_some());
        assert!(
            merge(&new, &present, Entries::new(), &sealed).is_none(),
            "it would be a new key without hosts"
        );
        let given = Values { values: vec![value("a", Some(&["new.example.com"]))], replaces_all: false };
        assert!(merge(&given, &present, changed, &sealed).is_some());
        let sealed = &seal_requests(&given, &present)[0].bounds;
        assert_eq!(sealed.allowed_hosts()[0].to_string(), "new.example.com");
    }

    #[test]
    fn places_that_are_not_given_stay_also_beside_other_hosts() {
        let bounds = Bounds::new(vec!["a.example".parse().unwrap()], vec![Placement::Body]);
        let placed =
            Entry::new("a".into(), bounds, vec![1], [1; NONCE_BYTES], vec![1; TAG_BYTES + 20]).unwrap();
        let other_host = value("a", Some(&["b.example"])).bounds(Some(&placed));
        assert_eq!(other_host.placements(), [Placement::Body]);
        let elsewhere = NewValue { placements: Some(vec![Placement::Path]), ..value("a", None) };
        let elsewhere = elsewhere.bounds(Some(&placed));
        assert_eq!((elsewhere.allowed_hosts().len(), elsewhere.placements()), (1, &[Placement::Path][..]));
    }

    #[test]
    fn a_new_key_says_where_its_value_may_go() {
        let said = |hosts: Option<&[&str]>, placements: Option<Vec<Placement>>| {
            let new = NewValue { placements, ..value("a", hosts) };
            new.check_is_bounded().err().map(|error| match error {
                ApiError::Invalid(said) => said,
                _ => panic!("another error"),
            })
        };
        let unbounded = said(None, Some(vec![])).unwrap();
        assert!(unbounded.contains("`--any-host`") && !unbounded.contains("--anywhere"), "{unbounded}");
        assert!(said(Some(&["a.example"]), None).unwrap().contains("`--anywhere`"));
        assert_eq!(said(Some(&[]), None), None);
        assert_eq!(said(Some(&["a.example"]), Some(vec![])), None);
        assert_eq!(said(Some(&[]), Some(vec![Placement::Body])), None);
    }

    #[test]
    fn keys_have_a_limit_on_both_sides() {
        let many: Vec<_> = (0..SECRET_KEYS_MAX).map(|n| entry(&format!("k{n}"), 1, &[])).collect();
        let one = |key: &str| Values { values: vec![value(key, None)], replaces_all: false };
        assert!(check_count(&entries(&many), &one("k0")).is_ok());
        assert!(check_count(&entries(&many), &one("new")).is_err());
        assert!(check_count(&entries(&many[1..]), &one("new")).is_ok());
    }

    #[test]
    fn names_have_a_limit_on_both_sides() {
        assert!(check_name(&"a".repeat(NAME_BYTES_MAX)).is_ok());
        for name in ["", "a b", "ä", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
