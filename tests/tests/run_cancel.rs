//! Cancelling a run beside those who are at work on it, and beside other runs.

use domain::function::Actor;
use domain::ids::EventId;
use serde_json::{Value, json};
use store::api::{CancelOutcome, RunCancel, WOKEN_EVENTS_MAX, cancel_run};
use tests::world::{build, event};
use tests::{PostgresWire, Workflow, World};

async fn one_node(world: &World) -> Workflow {
    let nodes: Value = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test" } },
    ]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

async fn cancel(world: &World, run_id: EventId) -> CancelOutcome {
    let cancel = RunCancel {
        organization_id: world.organization_id,
        run_id: run_id.into(),
        cancelled_by: Actor::Token("test".into()),
        now: world.now(),
    };
    cancel_run(world.api(), &cancel).await.unwrap()
}

#[tokio::test]
async fn a_run_that_ends_while_its_cancel_waits_stays_as_it_ended() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let check = async |what: &str, run_id: EventId, last_step: String| {
        let holder = world.database.connect_admin().await;
        holder.batch_execute(&format!("BEGIN; {last_step}")).await.unwrap();
        tokio::join!(cancel(&world, run_id), async {
            world.database.wait_for_blocked(1).await;
            holder.batch_execute("COMMIT").await.unwrap();
        });
        assert_eq!(world.database.sql("SELECT root_event_id FROM workflow_run_marks").await, "", "{what}");
    };
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let started = "UPDATE workflow_node_executions SET state = 'started', started_at = now(), crashes = 1, lease_token = gen_random_uuid(), lease_until = now() + interval '1 minute'";
    world.database.sql(started).await;
    let finish = "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now(), lease_token = NULL, lease_until = NULL";
    check("its last execution ends", run_id, finish.to_owned()).await;
    assert_eq!(world.executions().await, "work|finished|passed|");
}

#[tokio::test]
async fn a_cancel_waits_for_no_lock_of_an_item() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let holder = world.database.connect_admin().await;
    holder.batch_execute("BEGIN; SELECT FROM workflow_node_queue_items FOR UPDATE").await.unwrap();
    cancel(&world, run_id).await;
    holder.batch_execute("COMMIT").await.unwrap();
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(world.executions().await, "work|finished|cancelled|cancelled");
}

#[tokio::test]
async fn a_cancel_has_so_many_items_ended_at_once_i10() {
    for items in [WOKEN_EVENTS_MAX, WOKEN_EVENTS_MAX + 1] {
        let world = World::create().await;
        let workflow = one_node(&world).await;
        let run_id = world.start(&workflow, "start", json!({})).await;
        // Foreign keys are left out: only the items matter here.
        let sql = format!(
            "SET session_replication_role = replica;
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
             SELECT id, '{}', 'work', '{run_id}', id, 1, now(), now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(2, {items})) ids;
             SET session_replication_role = DEFAULT",
            workflow.id
        );
        world.database.sql(&sql).await;
        let woken = cancel(&world, run_id).await.waiting_event_ids.len();
        assert_eq!(i64::try_from(woken).unwrap(), WOKEN_EVENTS_MAX, "I10: of {items}");
    }
}

#[tokio::test]
async fn a_cancel_wakes_what_waits_of_other_runs_i4() {
    let world = World::create().await;
    let workflow = one_node(&world).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let next = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(next)]).await;
    let outcome = cancel(&world, run_id).await;
    let freed: Vec<&str> = outcome.freed.iter().map(|slot| slot.node.1.as_str()).collect();
    assert_eq!((freed, outcome.waiting_event_ids), (vec!["work"], vec![]), "I4: the next one is woken");
    let outcome = cancel(&world, next).await;
    assert_eq!(
        (outcome.freed, outcome.waiting_event_ids),
        (vec![], vec![next]),
        "its item ends, and frees nothing"
    );
}

#[tokio::test]
async fn a_cancel_waits_for_a_builder_that_has_read_the_mark_and_not_written_yet_i8() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "30 days" } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "wait" }])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    // What was read is answered; the write is on its way.
    let (gate, wakes) = (wire.hold("insert_executions"), [event(run_id)]);
    let cancel_meanwhile = async {
        gate.wait_for_arrival().await;
        cancel(&world, run_id).await;
    };
    tokio::join!(build(&builder, &wakes), cancel_meanwhile, async {
        world.database.wait_for_blocked(1).await;
        gate.let_through();
    });
    assert_eq!(world.executions().await, "wait|finished|cancelled|cancelled", "I8: no wait lives on");
}
