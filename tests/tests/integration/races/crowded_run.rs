//! A thousand parts of a run that end at once: runs beside it wait for no lock of theirs.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::ids::ExecutionId;
use domain::limits::SUB_RUNS_MAX;
use domain::message::Message;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use store::{Store, StoreSettings};
use tests::World;
use tests::graph::{edge, node};
use tests::world::{build, event};

/// Wakes of one delivery.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_parts_that_end_at_once_keep_no_other_run_waiting() {
    let world = World::create().await;
    let start = || json!({ "id": "start", "name": "START", "trigger": "start" });
    let items = format!("{{{{ 1..{SUB_RUNS_MAX} }}}}");
    let list = json!({ "items": items, "max_parallel": SUB_RUNS_MAX });
    let nodes = json!([start(), node("f", "for_each", list), node("b", "wait", json!({ "for": "1h" }))]);
    let edges = json!([edge("start", "default", "f"), edge("f", "item", "b"), edge("b", "default", "f")]);
    let crowded = world.workflow(nodes, edges).await;
    let run_id = world.start(&crowded, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_rest("").await;
    world.pass(3_601).await;
    let held = "SELECT id FROM workflow_node_executions WHERE node_id = 'b' AND state = 'held'";
    let held = world.database.sql(held).await;
    let wakes: Vec<Message> =
        held.lines().map(|id| Message::Wake { execution_id: id.parse::<ExecutionId>().unwrap() }).collect();
    assert_eq!(wakes.len(), SUB_RUNS_MAX);

    let settings = StoreSettings::local(world.database.url("builder"), "beside");
    let beside =
        builder::Deps { store: Store::new(settings).expect("the address is one"), ..world.builder() };
    let other = world
        .workflow(json!([start(), node("n", "noop", json!({}))]), json!([edge("start", "default", "n")]))
        .await;
    let is_over = AtomicBool::new(false);
    let end_all = async {
        let builders = [world.builder(), world.builder(), world.builder(), world.builder()];
        let deliveries = wakes.chunks(AT_ONCE).enumerate();
        stream::iter(deliveries)
            .for_each_concurrent(builders.len(), |(at, wakes)| build(&builders[at % builders.len()], wakes))
            .await;
        is_over.store(true, Ordering::Relaxed);
    };
    let run_beside = async {
        let mut runs = 0;
        while !is_over.load(Ordering::Relaxed) {
            let run_id = world.start(&other, "start", json!({})).await;
            build(&beside, &[event(run_id)]).await;
            assert_eq!(world.run_state(run_id).await, "passed");
            runs += 1;
        }
        runs
    };
    let count_waits = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'beside' AND wait_event_type = 'Lock'";
        let (mut looks, mut waits) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            waits += world.database.count(waiting).await;
            looks += 1;
        }
        (looks, waits)
    };
    let ((), runs, (looks, waits)) = tokio::join!(end_all, run_beside, count_waits);
    assert!(runs >= 10 && looks >= 10, "{runs} runs and {looks} looks beside");
    assert_eq!(waits, 0, "of {looks} looks at {runs} runs beside");
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let taken = "SELECT count(*) FROM workflow_runs WHERE parent_run_id IS NOT NULL AND taken_at IS NOT NULL";
    assert_eq!(world.database.count(taken).await, i64::try_from(SUB_RUNS_MAX).unwrap());
}
