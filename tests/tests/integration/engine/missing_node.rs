//! A row for a node that is not there, which only a bug or a role that was taken over writes: it is
//! seen, and ends.

use domain::limits::SENDS_MAX;
use serde_json::json;
use store::api::{QueueItemFilter, list_queue_items};
use sweeper::sweep;
use tests::World;

use super::sweeper::{GRACE, heartbeat, one_node, reached};

#[tokio::test]
async fn an_item_of_a_node_that_is_not_there_is_listed_sent_and_given_up() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let moved =
        "UPDATE workflow_node_queue_items SET node_id = 'gone', last_sent_at = now() - interval '1 hour'";
    world.database.sql(moved).await;
    let filter = QueueItemFilter::default();
    let listed = list_queue_items(world.api(), world.organization_id, &filter, None, 10).await.unwrap();
    assert_eq!(listed.rows[0].node_id, "gone");

    sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap();
    let sent = "SELECT sent_count FROM workflow_node_queue_items";
    assert_eq!(world.database.sql(sent).await, "1");

    let used_up =
        format!("UPDATE workflow_node_queue_items SET sent_count = {SENDS_MAX}, last_sent_at = now()");
    world.database.sql(&used_up).await;
    heartbeat(&world, "builder", 60).await;
    reached(&world, &workflow, "ev.created_at + interval '1 minute'").await;
    assert_eq!(sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable, 1);
    assert_eq!(world.run_state(run_id).await, "failed");
}
