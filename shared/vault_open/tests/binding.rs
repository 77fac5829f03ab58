//! I6: what is sealed opens in its own place and in no other. Against moto, which binds the
//! encryption context.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Wire, config, open, scope, value};
use domain::ids::OrganizationId;
use domain::limits::SECRET_VALUE_BYTES_MAX;
use local::stack::Stack;
use uuid::Uuid;
use vault_format::{Bounds, Entries, Entry, EntryError, Purpose, Scope};
use vault_open::{OpenError, OpenRequest, Opener};
use vault_seal::SealRequest;
use vault_seal::{SealError, Sealer};

struct Vault {
    sealer: Sealer,
    opener: Opener,
    wire: Wire,
}

async fn vault() -> Vault {
    let moto = Stack::of_this_process_with_moto().await.unwrap().moto();
    let key_id = moto.create_key().await.unwrap();
    let wire = Wire::to(moto.url()).await;
    let config = config(&wire.url);
    Vault { sealer: Sealer::new(&config, key_id), opener: Opener::new(&config), wire }
}

const HERE: (u128, u128) = (1, 2);

fn here() -> Scope {
    scope(HERE.0, HERE.1)
}

/// The entry with one part replaced.
fn with(
    entry: &Entry,
    key_name: Option<&str>,
    bounds: Option<Bounds>,
    wrapped: Option<Vec<u8>>,
    nonce: Option<[u8; 12]>,
    ciphertext: Option<Vec<u8>>,
) -> Entry {
    Entry::new(
        key_name.unwrap_or(entry.key_name()).to_owned(),
        bounds.unwrap_or_else(|| entry.bounds().clone()),
        wrapped.unwrap_or_else(|| entry.wrapped_data_key().to_vec()),
        nonce.unwrap_or(entry.nonce()),
        ciphertext.unwrap_or_else(|| entry.ciphertext().to_vec()),
    )
    .unwrap()
}

async fn seal_one(vault: &Vault, hosts: &[&str]) -> Entry {
    vault.sealer.seal(&here(), vec![value("token", "hunter2-hunter2", hosts)]).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_is_sealed_opens_in_its_place_with_one_call_each_way() {
    let vault = vault().await;
    let values = vec![
        value("token", "hunter2-hunter2", &[]),
        value("user", "bob", &["a.example:443"]),
        value("empty", "", &[]),
    ];
    let sealed = vault.sealer.seal(&here(), values).await.unwrap();
    let mut entries = Entries::new();
    sealed.into_iter().for_each(|entry| entries.put(entry).unwrap());
    let stored = entries.to_bytes();
    assert!(!stored.windows(7).any(|window| window == b"hunter2"));
    let requests: Vec<_> = Entries::parse(&stored)
        .unwrap()
        .iter()
        .map(|entry| OpenRequest { scope: here(), entry: entry.clone() })
        .collect();
    let opened: Vec<_> = vault
        .opener
        .open(&requests)
        .await
        .into_iter()
        .map(|one| one.map(|v| v.expose().to_owned()))
        .collect();
    assert_eq!(opened, [Ok("".to_owned()), Ok("hunter2-hunter2".to_owned()), Ok("bob".to_owned())]);
    assert_eq!((vault.wire.calls("GenerateDataKey"), vault.wire.calls("Decrypt")), (1, 1));
}

#[tokio::test]
async fn the_calls_count_distinct_data_keys_and_not_entries() {
    let vault = vault().await;
    let mut requests = Vec::new();
    for secret in 0..3 {
        let scope = scope(1, secret);
        let sealed = vault
            .sealer
            .seal(&scope, vec![value("a", "value-a", &[]), value("b", "value-b", &[])])
            .await
            .unwrap();
        requests.extend(sealed.into_iter().map(|entry| OpenRequest { scope, entry }));
    }
    let opened = vault.opener.open(&requests).await;
    assert!(opened.len() == 6 && opened.iter().all(Result::is_ok));
    assert_eq!((vault.wire.calls("GenerateDataKey"), vault.wire.calls("Decrypt")), (3, 3));
    assert!(vault.opener.open(&[]).await.is_empty());
    assert_eq!(vault.wire.calls("Decrypt"), 3);
}

#[tokio::test]
async fn another_organization_secret_or_purpose_does_not_open_i6() {
    let vault = vault().await;
    let entry = seal_one(&vault, &[]).await;
    let elsewhere = [
        Scope { organization_id: OrganizationId::from_u128(9), ..here() },
        Scope { secret_id: Uuid::from_u128(9), ..here() },
        Scope { purpose: Purpose::Webhook, ..here() },
        scope(HERE.1, HERE.0),
    ];
    for scope in elsewhere {
        assert_eq!(open(&vault.opener, scope, entry.clone()).await, Err(OpenError::Corrupt), "{scope:?}");
    }
    assert!(open(&vault.opener, here(), entry).await.is_ok());
}

/// KMS refuses the context by itself: with a data key of its own, an entry that was re-encrypted
/// for another place fails too.
#[tokio::test]
async fn the_data_key_alone_is_bound_to_its_place_i6() {
    let vault = vault().await;
    let ours = seal_one(&vault, &[]).await;
    let theirs =
        vault.sealer.seal(&scope(7, 7), vec![value("token", "their-value", &[])]).await.unwrap().remove(0);
    let mixed = with(&ours, None, None, Some(theirs.wrapped_data_key().to_vec()), None, None);
    assert_eq!(open(&vault.opener, here(), mixed).await, Err(OpenError::Corrupt));
    assert_eq!(open(&vault.opener, here(), theirs).await, Err(OpenError::Corrupt));
}

#[tokio::test]
async fn swapped_or_renamed_entries_do_not_open_i6() {
    let vault = vault().await;
    let values = vec![value("a", "value-of-a", &[]), value("b", "value-of-b", &[])];
    let sealed = vault.sealer.seal(&here(), values).await.unwrap();
    let [a, b] = sealed.as_slice() else { panic!("two entries") };
    assert_eq!(
        a.wrapped_data_key(),
        b.wrapped_data_key(),
        "so that only the associated data tells them apart"
    );
    let attempts = [
        with(a, Some("b"), None, None, None, None),
        with(a, None, None, None, Some(b.nonce()), Some(b.ciphertext().to_vec())),
        with(b, Some("a"), None, None, None, None),
        with(a, None, None, None, None, Some(b.ciphertext().to_vec())),
    ];
    for entry in attempts {
        assert_eq!(open(&vault.opener, here(), entry).await, Err(OpenError::Corrupt));
    }
}

#[tokio::test]
async fn changed_hosts_do_not_open_i6() {
    let vault = vault().await;
    let hosts = |list: &[&str]| {
        Some(Bounds::new(list.iter().map(|host| host.parse().unwrap()).collect(), Vec::new()))
    };
    let bound = seal_one(&vault, &["a.example", "b.example:8443"]).await;
    for list in [
        &[][..],
        &["a.example"],
        &["b.example:8443", "a.example"],
        &["a.example", "b.example"],
        &["a.example", "b.example:8444"],
        &["evil.test", "b.example:8443"],
        &["a.example", "b.example:8443", "evil.test"],
    ] {
        let entry = with(&bound, None, hosts(list), None, None, None);
        assert_eq!(open(&vault.opener, here(), entry).await, Err(OpenError::Corrupt), "{list:?}");
    }
    let free = seal_one(&vault, &[]).await;
    let entry = with(&free, None, hosts(&["a.example"]), None, None, None);
    assert_eq!(open(&vault.opener, here(), entry).await, Err(OpenError::Corrupt));
}

#[tokio::test]
async fn changed_places_do_not_open_i6() {
    let vault = vault().await;
    let bounds =
        |list: &[&str]| Bounds::new(Vec::new(), list.iter().map(|place| place.parse().unwrap()).collect());
    let request = SealRequest {
        bounds: bounds(&["header:x-key", "authorization"]),
        ..value("token", "hunter2-hunter2", &[])
    };
    let bound = vault.sealer.seal(&here(), vec![request]).await.unwrap().remove(0);
    assert_eq!(bound.bounds().placements().len(), 2);
    let same = with(&bound, None, Some(bounds(&["authorization", "header:X-Key"])), None, None, None);
    assert_eq!(open(&vault.opener, here(), same).await.as_deref(), Ok("hunter2-hunter2"));
    for list in [
        &[][..],
        &["authorization"],
        &["authorization", "body", "header:x-key"],
        &["authorization", "header:x-other"],
    ] {
        let entry = with(&bound, None, Some(bounds(list)), None, None, None);
        assert_eq!(open(&vault.opener, here(), entry).await, Err(OpenError::Corrupt), "{list:?}");
    }
    let free = seal_one(&vault, &[]).await;
    let entry = with(&free, None, Some(bounds(&["body"])), None, None, None);
    assert_eq!(
        open(&vault.opener, here(), entry).await,
        Err(OpenError::Corrupt),
        "nor does one without places"
    );
}

#[tokio::test]
async fn no_tampered_byte_opens_i6() {
    let vault = vault().await;
    let entry = seal_one(&vault, &["a.example"]).await;
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let mut tampered = Vec::new();
    for at in 0..entry.ciphertext().len() {
        tampered.push(with(&entry, None, None, None, None, Some(flip(entry.ciphertext(), at))));
    }
    for at in 0..12 {
        let nonce = flip(&entry.nonce(), at).try_into().unwrap();
        tampered.push(with(&entry, None, None, None, Some(nonce), None));
    }
    let cut = entry.ciphertext()[..entry.ciphertext().len() - 1].to_vec();
    tampered.push(with(&entry, None, None, None, None, Some(cut)));
    let count = tampered.len();
    let requests: Vec<_> = tampered.into_iter().map(|entry| OpenRequest { scope: here(), entry }).collect();
    let opened = vault.opener.open(&requests).await;
    assert_eq!(opened.iter().filter(|one| matches!(one, Err(OpenError::Corrupt))).count(), count);

    // The key's id stands at the front of moto's blob: a changed one is another key, which is not
    // there.
    let wrapped = entry.wrapped_data_key();
    for at in [0, 35, 36, wrapped.len() / 2, wrapped.len() - 1] {
        let entry = with(&entry, None, None, Some(flip(wrapped, at)), None, None);
        let error = open(&vault.opener, here(), entry).await.err().unwrap();
        assert_eq!(error == OpenError::Corrupt, at >= 36, "{at}: {error:?}");
    }
}

#[tokio::test]
async fn one_that_does_not_open_leaves_the_others_alone_i9() {
    let vault = vault().await;
    let entry = seal_one(&vault, &[]).await;
    let request = |scope: Scope| OpenRequest { scope, entry: entry.clone() };
    let opened = vault.opener.open(&[request(here()), request(scope(9, 9)), request(here())]).await;
    let worked: Vec<_> = opened.iter().map(Result::is_ok).collect();
    assert_eq!(worked, [true, false, true]);
    // The same wrapped key in two places is asked for twice.
    assert_eq!(vault.wire.calls("Decrypt"), 2);
}

#[tokio::test]
async fn nothing_is_kept_unless_the_operator_says_for_how_long() {
    let vault = vault().await;
    let entry = seal_one(&vault, &[]).await;
    for calls in 1..=2 {
        assert!(open(&vault.opener, here(), entry.clone()).await.is_ok());
        assert_eq!(vault.wire.calls("Decrypt"), calls);
    }
    let keeping = Opener::new(&config(&vault.wire.url)).keep_data_keys_for(Duration::from_secs(60));
    for _ in 0..3 {
        assert!(open(&keeping, here(), entry.clone()).await.is_ok());
        assert_eq!(vault.wire.calls("Decrypt"), 3);
    }
    // A kept key opens its own place alone.
    assert_eq!(open(&keeping, scope(9, 9), entry.clone()).await, Err(OpenError::Corrupt));
    assert_eq!(vault.wire.calls("Decrypt"), 4);
    let brief = Opener::new(&config(&vault.wire.url)).keep_data_keys_for(Duration::from_nanos(1));
    for calls in 5..=6 {
        assert!(open(&brief, here(), entry.clone()).await.is_ok());
        assert_eq!(vault.wire.calls("Decrypt"), calls);
    }
}

#[tokio::test]
async fn limits_are_checked_before_kms_is_called_i10() {
    let vault = vault().await;
    let sealed =
        vault.sealer.seal(&here(), vec![value("k", &"x".repeat(SECRET_VALUE_BYTES_MAX), &[])]).await.unwrap();
    assert_eq!(open(&vault.opener, here(), sealed[0].clone()).await.unwrap().len(), SECRET_VALUE_BYTES_MAX);
    let calls = vault.wire.calls("GenerateDataKey");
    let too_long = vec![value("k", &"x".repeat(SECRET_VALUE_BYTES_MAX + 1), &[])];
    let error = vault.sealer.seal(&here(), too_long).await.err();
    assert_eq!(error, Some(SealError::Invalid(EntryError::ValueTooLong)));
    let error = vault.sealer.seal(&here(), vec![value("a b", "value", &[])]).await.err();
    assert_eq!(error, Some(SealError::Invalid(EntryError::KeyName)));
    assert!(vault.sealer.seal(&here(), vec![]).await.unwrap().is_empty());
    assert_eq!(vault.wire.calls("GenerateDataKey"), calls);
}

#[tokio::test]
async fn each_entry_has_a_nonce_of_its_own() {
    let vault = vault().await;
    let values = (0..50).map(|i| value(&format!("k{i}"), "the same value", &[])).collect();
    let sealed = vault.sealer.seal(&here(), values).await.unwrap();
    let nonces: std::collections::HashSet<_> = sealed.iter().map(Entry::nonce).collect();
    assert_eq!(nonces.len(), 50);
}

#[tokio::test]
async fn sealing_and_opening_may_move_between_threads() {
    fn check<T: Send>(future: T) -> T {
        future
    }
    let vault = vault().await;
    let sealed = check(vault.sealer.seal(&here(), vec![value("token", "value", &[])])).await.unwrap();
    let requests: Vec<_> = sealed.into_iter().map(|entry| OpenRequest { scope: here(), entry }).collect();
    assert!(check(vault.opener.open(&requests)).await[0].is_ok());
}
