//! Counts of deliveries that several instances add.

use std::collections::BTreeMap;

use domain::ids::WebhookId;
use futures_util::future::join_all;
use jiff::Timestamp;
use store::deliveries::{DeliveryCounts, add_deliveries};
use tests::World;

#[tokio::test]
async fn instances_add_to_each_other_in_any_order_and_the_last_refusal_is_the_latest() {
    let world = World::create().await;
    let workflow = world
        .workflow(
            serde_json::json!([{ "id": "start", "name": "Start", "trigger": "start" }]),
            serde_json::json!([]),
        )
        .await;
    let id = WebhookId::from_u128(0x77);
    let sql = format!(
        "INSERT INTO webhooks (id, workflow_id, node_id, address, authentication, version, created_at, updated_at)
         VALUES ('{id}', '{}', 'start', repeat('0', 32), 'none', 1, now(), now())",
        workflow.id
    );
    world.database.sql(&sql).await;
    let stores: Vec<_> = (0..4).map(|_| world.database.store("webhook")).collect();
    let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
    let writes = (0..40_i64).map(|n| {
        let (store, reason) =
            (&stores[usize::try_from(n % 4).unwrap()], if n % 2 == 0 { "too_large" } else { "unauthorized" });
        let refused = BTreeMap::from([(reason, n + 1)]);
        let counts = DeliveryCounts { accepted: 1, refused, refused_last: Some((at(n), reason)) };
        async move { add_deliveries(store, id, &counts, at(n)).await.unwrap() }
    });
    join_all(writes).await;
    let only_accepted = DeliveryCounts { accepted: 5, ..DeliveryCounts::default() };
    add_deliveries(&stores[0], id, &only_accepted, at(100)).await.unwrap();
    let found = world.database.sql("SELECT accepted, refused->>'too_large', refused->>'unauthorized', refused_last_reason, extract(epoch FROM refused_last_at)::int8 FROM webhook_deliveries").await;
    let (even, odd): (i64, i64) =
        ((0..40).step_by(2).map(|n| n + 1).sum(), (1..40).step_by(2).map(|n| n + 1).sum());
    assert_eq!(found.trim(), format!("45|{even}|{odd}|unauthorized|{}", 1_000_039));
}
