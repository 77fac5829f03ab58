//! The limit of an organization's secrets.

use domain::actor::Actor;
use domain::limits::SECRETS_MAX;
use store::StoreError;
use store::api::{SecretIdentity, SecretWrite, change_secret};
use tests::World;

#[tokio::test]
async fn an_organization_has_so_many_secrets_and_no_more_i10() {
    let world = World::create().await;
    let organization_id = world.organization_id;
    let sql = format!(
        "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
         SELECT gen_random_uuid(), 'secret' || n, 'org', '{organization_id}', '\\x010000', 'test', now(), now()
         FROM generate_series(1, {SECRETS_MAX} - 1) n"
    );
    world.database.sql(&sql).await;
    let set = async |name: &str| {
        let secret = SecretIdentity { organization_id, name, id: world.id() };
        change_secret(world.audited(), secret, &Actor::token_named("test"), world.now(), |_| {
            Ok(SecretWrite::Data(vec![1, 0, 0]))
        })
        .await
    };
    set("last").await.expect("it is the last that fits");
    let refused = set("one-more").await.expect_err("there are as many as may be");
    assert!(
        matches!(refused, StoreError::Rejected { constraint: Some(name), .. } if name == "secrets_max"),
        "I10"
    );
    let count = "SELECT count(*) FROM secrets";
    assert_eq!(world.database.count(count).await, SECRETS_MAX, "SECRETS_MAX + 1 is never reached");
}
