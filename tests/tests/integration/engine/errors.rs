//! Failures that an edge on the channel `error` takes, for every function that may end the
//! execution.

use std::time::Duration;

use domain::ids::EventId;
use domain::limits::{CRASHES_MAX, SENDS_MAX};
use local::target::Target;
use serde_json::{Value, json};
use store::api::{DeadLetterFilter, PageRequest, list_dead_letters};
use tests::graph::node;
use tests::world::{build, event, execute};
use tests::{Workflow, World};

/// `start` → `work`, whose failures `told` takes from the channels: it passes where its input is
/// what an error is.
async fn workflow(world: &World, work: Value, channels: &[&str]) -> Workflow {
    let is_error = r#"type(previous().data.message) == "string" && previous().node == "WORK" && previous().type endsWith ".error""#;
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        work,
        node("told", "filter", json!({ "expression": is_error })),
    ]);
    let mut edges = vec![json!({ "from": "start", "to": "work" })];
    edges.extend(channels.iter().map(|channel| json!({ "from": "work", "channel": channel, "to": "told" })));
    world.workflow(nodes, json!(edges)).await
}

/// The result of the run, and the reasons of the events on `error`.
async fn outcome(world: &World, run_id: EventId) -> (&'static str, String) {
    let sql = "SELECT string_agg(format('%s of %s', data ->> 'reason', data ->> 'node'), ',') FROM workflow_events WHERE channel = 'error'";
    (world.run_state(run_id).await, world.database.sql(sql).await)
}

/// Runs it to its end by its own messages alone.
async fn run(world: &World, target: &Target, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(run_id)]).await;
    world.run_to_end(&builder, &executor).await;
    run_id
}

fn http(url: &str) -> Value {
    node("work", "http", json!({ "url": url }))
}

#[tokio::test]
async fn each_failure_that_no_failure_edge_takes_is_routed_on_error_i3() {
    let target = Target::start().await.unwrap();
    let url = target.url();
    let broken = http(&format!("{url}/{{{{ root().data.no.such.place }}}}"));
    let lacking = http(&format!("{url}/?x={{{{ secrets(\"none\").key }}}}"));
    let failing = http(&format!("{url}/status/500"));
    let condition = node("work", "if", json!({ "expression": "root().data.n" }));
    let check = async |work: &Value, channels: &[&str], expected: (&str, &str)| {
        let world = World::create().await;
        let workflow = workflow(&world, work.clone(), channels).await;
        let run_id = run(&world, &target, &workflow, json!({ "n": 1 })).await;
        assert_eq!(outcome(&world, run_id).await, (expected.0, expected.1.to_owned()), "{work} {channels:?}");
        let told =
            "SELECT count(*) FROM workflow_node_executions WHERE node_id = 'told' AND result = 'passed'";
        let page = PageRequest { before: None, rows: 10 };
        let letters =
            list_dead_letters(world.api(), world.organization_id, &DeadLetterFilter::default(), page).await;
        let dead = i64::try_from(letters.unwrap().rows.len()).unwrap();
        let told = world.database.count(told).await;
        let is_told = i64::from(expected.0 == "passed");
        assert_eq!((told, dead), (is_told, 1 - is_told), "{work} {channels:?}");
        assert_eq!(world.items().await, 0);
    };
    check(&broken, &["error"], ("passed", "template_error of WORK")).await;
    check(&broken, &["failure"], ("failed", "")).await;
    check(&lacking, &["error"], ("passed", "secret_missing of WORK")).await;
    check(&condition, &["error"], ("passed", "component_error of WORK")).await;
    check(&failing, &["error"], ("passed", "component_error of WORK")).await;
    check(&failing, &[], ("failed", "")).await;
}

#[tokio::test]
async fn what_failure_takes_does_not_leave_on_error() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let work = http(&format!("{}/status/500", target.url()));
    let workflow = workflow(&world, work, &["failure", "error"]).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    assert_eq!(outcome(&world, run_id).await, ("passed", String::new()));
    let sql = "SELECT count(*) FROM workflow_node_executions WHERE node_id = 'told'";
    assert_eq!(world.database.count(sql).await, 1);
}

#[tokio::test]
async fn a_crash_is_routed_and_a_cancel_a_stop_and_a_removal_are_not_i9() {
    let target = Target::start().await.unwrap();
    let pending = async |world: &World| {
        let workflow = workflow(world, http(&target.url()), &["error"]).await;
        let run_id = world.start(&workflow, "start", json!({})).await;
        build(&world.builder(), &[event(run_id)]).await;
        let messages = tests::world::messages(&world.queues.take());
        (workflow, run_id, messages)
    };
    let world = World::create().await;
    let (_, run_id, messages) = pending(&world).await;
    world.database.sql(&format!("UPDATE workflow_node_executions SET crashes = {CRASHES_MAX}")).await;
    execute(&world.executor(&target.host_port()), &messages).await;
    world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
    assert_eq!(outcome(&world, run_id).await, ("passed", "crashed of WORK".to_owned()));

    let world = World::create().await;
    let (_, run_id, _) = pending(&world).await;
    world.cancel(run_id).await;
    assert_eq!(outcome(&world, run_id).await, ("cancelled", String::new()));

    let world = World::create().await;
    let (workflow, run_id, messages) = pending(&world).await;
    // The node is removed, and there again with the same edges: another life of it takes no error
    // of this one.
    let definition = json!(workflow.definition);
    let start = json!([{ "id": "start", "name": "START", "trigger": "start" }]);
    world.database.sql("UPDATE workflow_node_executions SET state = 'started', lease_token = gen_random_uuid(), lease_until = now() - interval '1 hour', crashes = 99").await;
    let workflow = world.apply_again(&workflow, start, json!([])).await;
    world.apply_again(&workflow, definition["nodes"].clone(), definition["edges"].clone()).await;
    execute(&world.executor(&target.host_port()), &messages).await;
    assert_eq!(outcome(&world, run_id).await, ("cancelled", String::new()));
}

#[tokio::test]
async fn what_fails_at_work_after_its_run_was_stopped_tells_no_handler_i3() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let work = http(&format!("{}/status/500/delay/1500", target.url()));
    let workflow = workflow(&world, work, &["error"]).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let messages = tests::world::messages(&world.queues.take());
    let executor = world.executor(&target.host_port());
    tokio::join!(execute(&executor, &messages), async {
        target.await_requests(1, Duration::from_secs(30)).await.unwrap();
        world.cancel(run_id).await;
    });
    let reason = "SELECT result_reason FROM workflow_node_executions WHERE node_id = 'work'";
    assert_eq!(world.database.sql(reason).await, "cancelled");
    world.run_to_end(&world.builder(), &executor).await;
    assert_eq!(outcome(&world, run_id).await, ("cancelled", String::new()));
}

#[tokio::test]
async fn a_run_past_its_limit_tells_no_handler_i10() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        node("work", "noop", json!({})),
        node("told", "noop", json!({})),
    ]);
    let edges = json!([
        { "from": "start", "to": "work" }, { "from": "work", "to": "work" },
        { "from": "work", "channel": "error", "to": "told" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    assert_eq!(outcome(&world, run_id).await, ("failed", String::new()));
}

#[tokio::test]
async fn an_event_that_a_full_node_refuses_is_told_on_its_error_channel_i10() {
    let target = Target::start().await.unwrap();
    for first in ["noop", "http"] {
        let world = World::create().await;
        let nodes = json!([
            { "id": "start", "name": "START", "trigger": "start" },
            node("first", first, if first == "http" { json!({ "url": target.url() }) } else { json!({}) }),
            http(&target.url()),
            node("told", "noop", json!({})),
        ]);
        let channel = if first == "http" { "success" } else { "default" };
        let edges = json!([
            { "from": "start", "to": "first" }, { "from": "first", "channel": channel, "to": "work" },
            { "from": "work", "channel": "error", "to": "told" },
        ]);
        let workflow = world.workflow(nodes, edges).await;
        world.database.sql("UPDATE workflow_nodes SET items_full = true WHERE node_id = 'work'").await;
        let run_id = run(&world, &target, &workflow, json!({})).await;
        assert_eq!(outcome(&world, run_id).await, ("passed", "limit of WORK".to_owned()), "{first}");
    }
}

#[tokio::test]
async fn an_error_whose_handler_is_full_goes_nowhere_i10() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, http(&format!("{}/status/500", target.url())), &["error"]).await;
    world.database.sql("UPDATE workflow_nodes SET items_full = true WHERE node_id = 'told'").await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    assert_eq!(outcome(&world, run_id).await, ("failed", String::new()));
}

#[tokio::test]
async fn the_sweeper_routes_what_it_gives_up_i8() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, http(&target.url()), &["error"]).await;
    let lost = world.start(&workflow, "start", json!({})).await;
    let sql = format!("UPDATE workflow_node_queue_items SET sent_count = {SENDS_MAX}, last_sent_at = now()");
    world.database.sql(&sql).await;
    // The builder has worked on something newer since.
    let other = self::workflow(&world, http(&target.url()), &[]).await;
    run(&world, &target, &other, json!({})).await;
    sweeper::sweep(&world.sweeper(30), tests::tick()).await.unwrap();
    assert_eq!(outcome(&world, lost).await, ("running", "undeliverable of WORK".to_owned()));
    sweeper::sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
    assert_eq!(world.run_state(lost).await, "passed");
}
