//! A node that is removed and added again lives anew: nothing of its earlier life comes back (I3).

use domain::ids::ExecutionId;
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::rows::passed;
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World, tick};

fn nodes(url: &str, concurrency: &Value) -> Value {
    json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": url }, "concurrency": concurrency },
        { "id": "after", "name": "after", "component": "noop" },
    ])
}

fn edges() -> Value {
    json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "after" }])
}

/// Removes `work` and adds it again.
async fn live_anew(world: &World, workflow: &Workflow, url: &str, concurrency: &Value) -> Workflow {
    let without = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "after", "name": "after", "component": "noop" },
    ]);
    let removed = world.apply_again(workflow, without, json!([])).await;
    world.apply_again(&removed, nodes(url, concurrency), edges()).await
}

/// Executions of `work` that are pending, each of a run of its own.
async fn make_pending(world: &World, workflow: &Workflow, count: u32) {
    let insert = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {count})) ids RETURNING id)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
             workflow_version, node_version, node_generation, last_sent_at, created_at, updated_at)
         SELECT gen_random_uuid(), '{0}', 'work', id, id, 'pending', 'http', '{{}}', 1, 1, 1, now(), now(), now() FROM event",
        workflow.id
    );
    world.database.sql(&insert).await;
}

#[tokio::test]
async fn a_node_that_is_back_revives_no_pending_execution_i3() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let unlimited = json!("unlimited");
    let workflow = world.workflow(nodes(&target.url(), &unlimited), edges()).await;
    make_pending(&world, &workflow, 1_200).await;
    live_anew(&world, &workflow, &target.url(), &unlimited).await;
    let pending = "SELECT count(*) FROM workflow_node_executions WHERE state = 'pending'";
    assert_eq!(world.database.count(pending).await, 200, "a removal ends a thousand itself");
    world.database.sql("UPDATE workflow_node_executions SET last_sent_at = now() - interval '1 hour', updated_at = now() - interval '1 hour' WHERE state = 'pending'").await;
    let executor = world.executor(&target.host_port());
    sweep(&world.sweeper(30), tick()).await.unwrap();
    for some in messages(&world.queues.take()).chunks(10) {
        execute(&executor, some).await;
    }
    let ended = "SELECT count(*) FROM workflow_node_executions WHERE result_reason = 'node_removed'";
    assert_eq!(world.database.count(ended).await, 1_200, "I3");
    assert_eq!(target.requests().len(), 0, "I3: none was started");
}

#[tokio::test]
async fn what_is_left_of_an_earlier_life_holds_no_slot_i4() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let one = json!(1);
    let workflow = world.workflow(nodes(&target.url(), &one), edges()).await;
    make_pending(&world, &workflow, 1_001).await;
    let workflow = live_anew(&world, &workflow, &target.url(), &one).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(world.items().await, 0, "I4: the slot is free");
}

#[tokio::test]
async fn what_ran_when_its_node_was_removed_routes_nothing_though_the_node_is_back_i3() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let (unlimited, url) = (json!("unlimited"), format!("{}/delay/500", target.url()));
    let workflow = world.workflow(nodes(&url, &unlimited), edges()).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let id: ExecutionId =
        world.database.sql("SELECT id FROM workflow_node_executions").await.parse().unwrap();
    let (executor, wakes) = (world.executor(&target.host_port()), [Message::Execution { execution_id: id }]);
    tokio::join!(execute(&executor, &wakes), async {
        target.await_requests(1, tests::WAIT_MAX).await.unwrap();
        live_anew(&world, &workflow, &url, &unlimited).await;
    });
    assert_eq!(world.executions().await, [passed("work")], "recorded");
    let outputs = "SELECT channel, targets FROM workflow_events WHERE execution_id IS NOT NULL";
    assert_eq!(world.database.sql(outputs).await, "success|{}", "I3: routed to nobody");
    assert_eq!(world.items().await, 0);
}
