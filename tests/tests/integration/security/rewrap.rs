//! Moving sealed values to another KMS key. No value is opened or lost, only values under the old
//! key move, and all work goes on meanwhile.

use domain::ids::WebhookId;
use std::time::Duration;

use process::Deadline;
use rewrap::{Deps, Error, Part, Position, RESERVE, Request, Response, handle};
use store::StoreError;
use store::api::{WebhookCredential, WebhookReference, WebhookRotation, load_webhook_keys, rotate_webhook};
use store::rewrap::{REWRAP_BYTES_MAX, REWRAP_ROWS_MAX, SealedColumn, next_sealed_rows};
use tests::World;
use tests::kms::{FakeKms, KEY, REFUSED};
use uuid::Uuid;
use vault_format::{Entries, Purpose, Scope};
use vault_open::{DECRYPTS_AT_ONCE, OpenError, OpenRequest};
use vault_rewrap::{REENCRYPTS_AT_ONCE, RewrapError};

const NEW: &str = "alias/new";
const THIRD: &str = "alias/third";
const VALUE: &str = "hunter2-hunter2";

struct Vault {
    world: World,
    kms: FakeKms,
    deps: Deps,
}

impl Vault {
    async fn create() -> Self {
        let (world, kms) = (World::create().await, FakeKms::start().await);
        let deps = Deps { store: world.database.store("rewrap"), rewrapper: kms.rewrapper(KEY, NEW) };
        Self { world, kms, deps }
    }

    /// Makes a secret of the world's organization, with its keys sealed under `key`; gives its id.
    async fn secret(&self, key: &str, values: &[(&str, &str, &[&str])]) -> Uuid {
        let id = self.world.id();
        self.put_secret(id, &self.kms.sealed_under(key, &self.scope(id), values).await).await;
        id
    }

    async fn put_secret(&self, id: Uuid, data: &[u8]) {
        let (organization, data) = (self.world.organization_id, hex::encode(data));
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'secret-{id}', 'org', '{organization}', '\\x{data}', 'test', '2026-01-01', '2026-01-02')"
        );
        self.world.database.sql(&sql).await;
    }

    fn scope(&self, secret_id: Uuid) -> Scope {
        Scope { organization_id: self.world.organization_id, secret_id, purpose: Purpose::Secret }
    }

    /// Makes a workflow with a webhook that has a current and a previous signing key.
    async fn webhook(&self) -> WebhookId {
        let node =
            serde_json::json!({ "id": "hook", "name": "Hook", "trigger": "webhook", "configuration": {} });
        let workflow = self.world.workflow(serde_json::json!([node]), serde_json::json!([])).await;
        let id: WebhookId = self.world.id();
        let scope = Scope { purpose: Purpose::Webhook, ..self.scope(id.0) };
        let current = hex::encode(self.kms.sealed(&scope, &[("current", VALUE, &[])]).await);
        let previous = hex::encode(self.kms.sealed(&scope, &[("previous", VALUE, &[])]).await);
        let sql = format!(
            "INSERT INTO webhooks (id, workflow_id, node_id, address, authentication, header_name, signing_keys, current_key_name,
                 previous_signing_keys, previous_until, created_at, updated_at)
             VALUES ('{id}', '{}', 'hook', '{}', 'signature', 'x-hub-signature-256', '\\x{current}', 'current', '\\x{previous}',
                 '2126-01-01', '2026-01-01', '2026-01-02')",
            workflow.id,
            id.0.simple()
        );
        self.world.database.sql(&sql).await;
        id
    }

    async fn run(&self) -> Response {
        handle(Request::default(), &self.deps, Deadline::after(Duration::from_secs(300))).await.unwrap()
    }

    async fn data(&self, column: &str, table: &str, id: Uuid) -> Entries {
        let sql = format!("SELECT encode({column}, 'hex') FROM {table} WHERE id = '{id}'");
        Entries::parse(&hex::decode(self.world.database.sql(&sql).await).unwrap()).unwrap()
    }

    /// The result of opening each entry, by key name.
    async fn open(&self, scope: Scope, entries: &Entries) -> Vec<(String, Result<String, OpenError>)> {
        let requests: Vec<_> =
            entries.iter().map(|entry| OpenRequest { scope, entry: entry.clone() }).collect();
        let opened = self.kms.opener().open(&requests).await;
        let opened = opened.into_iter().map(|one| one.map(|value| value.expose().to_owned()));
        entries.iter().map(|entry| entry.key_name().to_owned()).zip(opened).collect()
    }

    async fn open_secret(&self, id: Uuid) -> Vec<(String, Result<String, OpenError>)> {
        self.open(self.scope(id), &self.data("data", "secrets", id).await).await
    }
}

fn opened(values: &[(&str, &str)]) -> Vec<(String, Result<String, OpenError>)> {
    values.iter().map(|(key, value)| ((*key).to_owned(), Ok((*value).to_owned()))).collect()
}

#[tokio::test]
async fn everything_moves_and_nothing_needs_the_old_key_any_more() {
    let vault = Vault::create().await;
    let secret = vault.secret(KEY, &[("token", VALUE, &["api.example.com"]), ("user", "bob", &[])]).await;
    let webhook = vault.webhook().await;
    let before = vault.data("data", "secrets", secret).await;
    let response = vault.run().await;
    assert_eq!(response, Response { moved: 4, ..Response::default() });

    vault.kms.disable(KEY);
    assert_eq!(vault.open_secret(secret).await, opened(&[("token", VALUE), ("user", "bob")]));
    let scope = Scope { purpose: Purpose::Webhook, ..vault.scope(webhook.0) };
    for (column, key) in [("signing_keys", "current"), ("previous_signing_keys", "previous")] {
        let entries = vault.data(column, "webhooks", webhook.0).await;
        assert_eq!(vault.open(scope, &entries).await, opened(&[(key, VALUE)]), "{column}");
    }
    // Only the wrapping has changed. Times and versions are the same, because the values are.
    let after = vault.data("data", "secrets", secret).await;
    for (old, new) in before.iter().zip(after.iter()) {
        assert_eq!(
            (old.key_name(), old.bounds(), old.nonce(), old.ciphertext()),
            (new.key_name(), new.bounds(), new.nonce(), new.ciphertext())
        );
        assert_ne!(old.wrapped_data_key(), new.wrapped_data_key());
    }
    let sql = "SELECT count(*) FROM secrets WHERE updated_at = '2026-01-02' UNION ALL
               SELECT count(*) FROM webhooks WHERE updated_at = '2026-01-02' AND version = 1";
    assert_eq!(vault.world.database.sql(sql).await, "1\n1");
    // Both values of the secret are under one data key, so they need one call.
    let asked = vault.kms.take_reencrypts();
    assert_eq!(asked.len(), 3);
    for call in &asked {
        assert_eq!((call["SourceKeyId"].as_str(), call["DestinationKeyId"].as_str()), (Some(KEY), Some(NEW)));
        assert_eq!(call["SourceEncryptionContext"], call["DestinationEncryptionContext"], "I6");
    }
    assert_eq!(asked[0]["SourceEncryptionContext"]["secret_id"], secret.to_string());

    vault.kms.enable(KEY);
    assert_eq!(vault.run().await, Response { elsewhere: 4, ..Response::default() });
    assert_eq!(vault.data("data", "secrets", secret).await, after, "a second run changes nothing");
}

#[tokio::test]
async fn what_is_under_a_third_key_stays_there() {
    let vault = Vault::create().await;
    let (third, old) = (
        vault.secret(THIRD, &[("token", VALUE, &[])]).await,
        vault.secret(KEY, &[("token", VALUE, &[])]).await,
    );
    assert_eq!(vault.run().await, Response { moved: 1, elsewhere: 1, ..Response::default() });
    vault.kms.disable(NEW);
    vault.kms.disable(KEY);
    assert_eq!(vault.open_secret(third).await, opened(&[("token", VALUE)]));
    assert_eq!(vault.open_secret(old).await, [("token".to_owned(), Err(OpenError::Denied))]);
}

#[tokio::test]
async fn one_secret_may_lie_under_both_keys() {
    let vault = Vault::create().await;
    let id = vault.world.id();
    let under = async |key, name| {
        let sealed = vault.kms.sealed_under(key, &vault.scope(id), &[(name, VALUE, &[])]).await;
        Entries::parse(&sealed).unwrap().get(name).unwrap().clone()
    };
    let mut entries = Entries::new();
    entries.put(under(KEY, "old").await).unwrap();
    entries.put(under(NEW, "new").await).unwrap();
    vault.put_secret(id, &entries.to_bytes()).await;
    assert_eq!(vault.run().await, Response { moved: 1, elsewhere: 1, ..Response::default() });
    vault.kms.disable(KEY);
    assert_eq!(vault.open_secret(id).await, opened(&[("new", VALUE), ("old", VALUE)]));
    assert_eq!(
        vault.data("data", "secrets", id).await.get("new"),
        entries.get("new"),
        "the entry under the new key is left as it was"
    );
}

#[tokio::test]
async fn what_does_not_open_in_its_place_is_named_and_stops_nothing_i6_i9() {
    let vault = Vault::create().await;
    let first = vault.secret(KEY, &[("token", VALUE, &[])]).await;
    // A row is copied from another secret, one is damaged, one is of a later version. The last one
    // is good.
    let copied = vault.world.id();
    vault.put_secret(copied, &vault.data("data", "secrets", first).await.to_bytes()).await;
    let damaged = vault.world.id();
    vault.put_secret(damaged, b"no entries").await;
    // The format's first byte is that of a later version, which this version must leave alone.
    let (later, mut sealed) = (vault.world.id(), vault.data("data", "secrets", first).await.to_bytes());
    sealed[0] = u8::MAX;
    vault.put_secret(later, &sealed).await;
    let last = vault.secret(KEY, &[("token", VALUE, &[])]).await;

    let response = vault.run().await;
    assert_eq!((response.moved, response.unreadable_count), (2, 3));
    let mut named: Vec<_> = response.unreadable.iter().map(|one| (one.id, one.key.as_deref())).collect();
    named.sort();
    assert_eq!(named, [(copied, Some("token")), (damaged, None), (later, None)]);
    assert!(response.unreadable.iter().all(|one| one.organization_id == vault.world.organization_id));
    for id in [first, last] {
        assert_eq!(vault.open_secret(id).await, opened(&[("token", VALUE)]));
    }
    let sql = format!("SELECT encode(data, 'escape') FROM secrets WHERE id = '{damaged}'");
    assert_eq!(vault.world.database.sql(&sql).await, "no entries", "the damaged row is left as it was");
    let sql = format!("SELECT encode(data, 'hex') FROM secrets WHERE id = '{later}'");
    assert_eq!(
        vault.world.database.sql(&sql).await,
        hex::encode(sealed),
        "the later version's row is left as it was"
    );
}

#[tokio::test]
async fn what_is_set_meanwhile_is_not_overwritten_i3() {
    for (column, table) in
        [("data", "secrets"), ("signing_keys", "webhooks"), ("previous_signing_keys", "webhooks")]
    {
        let vault = Vault::create().await;
        let id = if table == "secrets" {
            vault.secret(KEY, &[("token", VALUE, &[])]).await
        } else {
            vault.webhook().await.0
        };
        let scope = if table == "secrets" {
            vault.scope(id)
        } else {
            Scope { purpose: Purpose::Webhook, ..vault.scope(id) }
        };
        let sealed = vault.kms.sealed(&scope, &[("newer", "correct-horse", &[])]).await;
        let newer = hex::encode(&sealed);
        let calls_before = usize::from(column == "previous_signing_keys");
        let gate = vault.kms.hold();
        let (response, ()) = tokio::join!(vault.run(), async {
            for _ in 0..calls_before {
                gate.wait_for_arrival().await;
                gate.let_through();
            }
            gate.wait_for_arrival().await;
            let sql = format!("UPDATE {table} SET {column} = '\\x{newer}' WHERE id = '{id}'");
            vault.world.database.sql(&sql).await;
            vault.kms.release();
            gate.let_through();
        });
        let others = usize::from(table == "webhooks");
        assert_eq!(response, Response { moved: others, changed: 1, ..Response::default() }, "{column}");
        assert_eq!(
            vault.data(column, table, id).await.to_bytes(),
            sealed,
            "{column}: the newer value is not overwritten"
        );
        let next = vault.run().await;
        assert_eq!((next.moved, next.changed), (1, 0), "{column}: the next run moves the newer value");
        vault.kms.disable(KEY);
        let entries = vault.data(column, table, id).await;
        assert_eq!(vault.open(scope, &entries).await, opened(&[("newer", "correct-horse")]), "{column}");
    }
}

#[tokio::test]
async fn a_rotation_that_was_begun_before_brings_no_old_bytes_back_i3() {
    let vault = Vault::create().await;
    let id = vault.webhook().await;
    let (api, organization) = (vault.world.database.store("api"), vault.world.organization_id);
    let rotation = async || {
        let keys = load_webhook_keys(&api, organization, WebhookReference::Id(id)).await.unwrap();
        let scope = Scope { purpose: Purpose::Webhook, ..vault.scope(id.0) };
        let credential = WebhookCredential {
            signing_keys: Some(vault.kms.sealed_under(NEW, &scope, &[("newest", VALUE, &[])]).await),
            current_key_name: Some("newest".to_owned()),
            token_sha256: None,
        };
        WebhookRotation {
            id,
            version_planned: keys.row.version,
            signing_keys_planned: keys.credential.signing_keys.clone(),
            credential,
            previous_signing_keys: keys.credential.signing_keys,
            previous_token_sha256: None,
            previous_until: Some(vault.world.now() + jiff::SignedDuration::from_hours(1)),
            now: vault.world.now(),
        }
    };
    let before = rotation().await;
    assert_eq!(vault.run().await.moved, 2);
    assert_eq!(vault.run().await.moved, 0, "no value is left to move");
    let late = rotate_webhook(vault.world.audited_at(&api), organization, &before).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    rotate_webhook(vault.world.audited_at(&api), organization, &rotation().await).await.unwrap();
    assert_eq!(vault.run().await.moved, 0);
}

#[tokio::test]
async fn so_many_calls_of_kms_are_under_way_at_once_and_no_more_i10() {
    let vault = Vault::create().await;
    let count = 2 * REENCRYPTS_AT_ONCE + 1;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(vault.secret(KEY, &[("token", VALUE, &[])]).await);
    }
    // Holds the calls until `at_once` of them have arrived. Then each call that goes on makes room
    // for the next one.
    let let_through = async |at_once: usize| {
        let gate = vault.kms.hold();
        for _ in 0..at_once {
            gate.wait_for_arrival().await;
        }
        for gone in 1..=count {
            gate.let_through();
            if gone + at_once <= count {
                gate.wait_for_arrival().await;
            }
        }
        vault.kms.release();
    };
    let (response, ()) = tokio::join!(vault.run(), let_through(REENCRYPTS_AT_ONCE));
    assert_eq!((response.moved, vault.kms.at_once_max()), (count, REENCRYPTS_AT_ONCE));
    let mut requests = Vec::new();
    for id in ids {
        let entry = vault.data("data", "secrets", id).await.get("token").unwrap().clone();
        requests.push(OpenRequest { scope: vault.scope(id), entry });
    }
    let opener = vault.kms.opener();
    let (opened, ()) = tokio::join!(opener.open(&requests), let_through(DECRYPTS_AT_ONCE));
    assert_eq!((opened.len(), vault.kms.at_once_max()), (count, DECRYPTS_AT_ONCE));
}

#[tokio::test]
async fn a_refusal_moves_nothing_and_repeats_nothing_of_what_kms_said_i1() {
    let vault = Vault::create().await;
    let id = vault.secret(KEY, &[("token", VALUE, &[])]).await;
    let before = vault.data("data", "secrets", id).await;
    for key in [KEY, NEW] {
        vault.kms.disable(key);
        let error = handle(Request::default(), &vault.deps, Deadline::after(Duration::from_secs(300)))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Vault(RewrapError::Denied)), "{key}: {error:?}");
        assert!(!format!("{error} {error:?}").contains(REFUSED), "{error:?}");
        vault.kms.enable(key);
    }
    assert_eq!(vault.data("data", "secrets", id).await, before);
}

#[tokio::test]
async fn a_run_that_has_no_time_left_says_where_to_go_on_and_gets_to_the_end() {
    let vault = Vault::create().await;
    let count = usize::try_from(REWRAP_ROWS_MAX).unwrap() + 1;
    for _ in 0..count {
        vault.secret(KEY, &[("token", VALUE, &[])]).await;
    }
    vault.webhook().await;
    let (mut moved, mut after, mut turns) = (0, None, Vec::new());
    loop {
        let response = handle(Request { after }, &vault.deps, Deadline::after(RESERVE)).await.unwrap();
        moved += response.moved;
        after = response.next;
        let Some(next) = after else { break };
        turns.push((next.part, next.id.is_some()));
    }
    assert_eq!(moved, count + 2, "each value is moved once");
    let expected = [
        (Part::Secrets, true),
        (Part::Secrets, true),
        (Part::SigningKeys, false),
        (Part::SigningKeys, true),
        (Part::PreviousSigningKeys, false),
        (Part::PreviousSigningKeys, true),
    ];
    assert_eq!(turns, expected);
    assert_eq!(vault.kms.take_reencrypts().len(), count + 2, "no value is moved twice");
    let done = Position { part: Part::PreviousSigningKeys, id: Some(Uuid::max()) };
    let response =
        handle(Request { after: Some(done) }, &vault.deps, Deadline::after(RESERVE)).await.unwrap();
    assert_eq!(response, Response::default());
}

#[tokio::test]
async fn what_was_done_before_the_key_service_went_away_is_told_and_the_rest_comes_next() {
    let vault = Vault::create().await;
    let page = usize::try_from(REWRAP_ROWS_MAX).unwrap();
    for _ in 0..page {
        vault.secret(KEY, &[("token", VALUE, &[])]).await;
    }
    let last = vault.secret(KEY, &[("token", VALUE, &[])]).await;
    let gate = vault.kms.hold();
    let (response, ()) = tokio::join!(vault.run(), async {
        for _ in 0..page {
            gate.wait_for_arrival().await;
            gate.let_through();
        }
        gate.wait_for_arrival().await;
        vault.kms.disable(NEW);
        vault.kms.release();
        gate.let_through();
    });
    assert_eq!((response.moved, response.next.map(|next| next.part)), (page, Some(Part::Secrets)));
    let on = || Request { after: response.next };
    let error = handle(on(), &vault.deps, Deadline::after(RESERVE)).await.unwrap_err();
    assert!(matches!(error, Error::Vault(RewrapError::Denied)), "without progress it is an error: {error:?}");
    vault.kms.enable(NEW);
    let response = handle(on(), &vault.deps, Deadline::after(Duration::from_secs(300))).await.unwrap();
    assert_eq!(response, Response { moved: 1, ..Response::default() });
    vault.kms.disable(KEY);
    assert_eq!(vault.open_secret(last).await, opened(&[("token", VALUE)]));
}

#[tokio::test]
async fn a_page_has_a_limit_of_rows_and_of_bytes_i10() {
    let vault = Vault::create().await;
    let rows = async || next_sealed_rows(&vault.deps.store, SealedColumn::Secrets, None).await.unwrap().len();
    let put = async |count: i64, bytes: i64| {
        let organization = vault.world.organization_id;
        let sql = format!(
            "DELETE FROM secrets;
             INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             SELECT gen_random_uuid(), 'secret-' || n, 'org', '{organization}', decode(repeat('00', {bytes}), 'hex'), 'test', now(), now()
             FROM generate_series(1, {count}) n"
        );
        vault.world.database.sql(&sql).await;
    };
    put(REWRAP_ROWS_MAX, 1).await;
    assert_eq!(rows().await, usize::try_from(REWRAP_ROWS_MAX).unwrap());
    put(REWRAP_ROWS_MAX + 1, 1).await;
    assert_eq!(rows().await, usize::try_from(REWRAP_ROWS_MAX).unwrap());
    put(2, REWRAP_BYTES_MAX / 2).await;
    assert_eq!(rows().await, 2);
    put(2, REWRAP_BYTES_MAX / 2 + 1).await;
    assert_eq!(rows().await, 1);
    put(1, REWRAP_BYTES_MAX + 1).await;
    assert_eq!(rows().await, 1, "a row that is larger than a page is a page of its own");
}
