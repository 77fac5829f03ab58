//! Triggers of the type `on_error`: each failed run is told of once, whoever ended it and whatever is
//! lost.

use std::time::Duration;

use domain::ids::{EventId, RunId};
use domain::limits::{FAILURE_DATA_BYTES_MAX, FAILURES_TOLD_MAX};
use domain::message::Message;
use local::target::Target;
use process::Deadline;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::world::{Workflow, build, event, messages};
use tests::{World, queues::Sent};

fn node(id: &str, component: &str, configuration: Value) -> Value {
    json!({ "id": id, "name": format!("The {id}"), "component": component, "configuration": configuration })
}

fn start() -> Value {
    json!({ "id": "start", "name": "Start", "trigger": "start" })
}

/// A workflow that fails at two nodes, `stop` and `bad`, with a handler of its own or without.
async fn failing(world: &World, handler: Option<Value>) -> Workflow {
    let mut nodes = vec![
        start(),
        node("stop", "stop", json!({ "message": "it is Monday" })),
        node("bad", "if", json!({ "expression": "root().data.none.at.all" })),
        node("fine", "noop", json!({})),
    ];
    let mut edges = vec![
        json!({ "from": "start", "to": "stop" }),
        json!({ "from": "start", "to": "bad" }),
        json!({ "from": "start", "to": "fine" }),
    ];
    if let Some(handler) = handler {
        nodes.push(
            json!({ "id": "failed", "name": "Failed", "trigger": "on_error", "configuration": handler }),
        );
        nodes.push(node("tell", "noop", json!({})));
        edges.push(json!({ "from": "failed", "to": "tell" }));
    }
    world.workflow(json!(nodes), json!(edges)).await
}

/// A workflow that does nothing but handle.
async fn handling(world: &World, configuration: Value) -> Workflow {
    let nodes = json!([
        { "id": "failed", "name": "Failed", "trigger": "on_error", "configuration": configuration },
        node("tell", "noop", json!({})),
    ]);
    world.workflow(nodes, json!([{ "from": "failed", "to": "tell" }])).await
}

async fn fail(world: &World, workflow: &Workflow) -> EventId {
    let run_id = world.start(workflow, "start", json!({ "n": 1 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

fn of_runs(sent: &[Sent]) -> Vec<RunId> {
    let ids = sent.iter().filter_map(|sent| match sent.message {
        Message::Run { run_id } => Some(run_id),
        _ => None,
    });
    ids.collect()
}

/// The events of on_error triggers: node, reason and message.
async fn told(world: &World) -> Vec<String> {
    let sql = "SELECT ev.data->'run'->>'id' = failed.id::text, ev.data->'node'->>'id', ev.data->'error'->>'reason', split_part(ev.data->'error'->>'message', E'\\n', 1)
        FROM workflow_events ev JOIN workflow_runs failed ON failed.id::text = ev.data->'run'->>'id' WHERE ev.type = 'on_error' ORDER BY ev.id";
    world.database.sql(sql).await.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_failed_run_is_told_of_once_with_its_first_failure_however_often_its_message_comes_i3() {
    let world = World::create().await;
    let workflow = failing(&world, Some(json!({}))).await;
    let run_id = fail(&world, &workflow).await;
    assert_eq!(world.run_state(run_id).await, "failed");
    let sent = world.queues.take();
    assert_eq!(of_runs(&sent), [RunId::from(run_id)], "the message goes with the commit");
    let (one, other) = (world.builder(), world.builder());
    let message = [Message::Run { run_id: run_id.into() }];
    futures_util::join!(build(&one, &message), build(&other, &message));
    build(&one, &message).await;
    assert_eq!(told(&world).await, ["t|stop|component_error|it is Monday"]);
    assert_eq!(world.database.sql("SELECT count(*) FROM failed_runs").await, "0");
    let sql = "SELECT data->>'data', data->'run'->>'workflow' = (SELECT name FROM workflows), data->'run'->>'node_id', data->'node'->>'name',
        (SELECT count(*) FROM workflow_node_executions x WHERE x.id::text = data->'error'->>'execution_id' AND x.node_id = 'stop'),
        targets FROM workflow_events WHERE type = 'on_error'";
    assert_eq!(world.database.sql(sql).await, "{\"n\": 1}|t|start|The stop|1|{tell}");
    // The run that was told goes on as any other.
    build(&one, &messages(&world.queues.take())).await;
    let sql = "SELECT r.state, r.result FROM workflow_runs r WHERE r.node_id = 'failed'";
    assert_eq!(world.database.sql(sql).await, "finished|passed");
}

#[tokio::test]
async fn each_failure_is_told_of_if_the_author_says_so_and_those_of_other_reasons_are_not() {
    for (configuration, expected) in [
        (
            json!({ "once_per": "execution" }),
            vec!["t|stop|component_error|it is Monday", "t|bad|template_error"],
        ),
        (json!({ "reasons": ["template_error"] }), vec!["t|bad|template_error"]),
        (json!({ "reasons": ["timeout"] }), vec![]),
    ] {
        let world = World::create().await;
        let workflow = failing(&world, Some(configuration.clone())).await;
        let run_id = fail(&world, &workflow).await;
        build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
        let told = told(&world).await;
        assert_eq!(told.len(), expected.len(), "{configuration}: {told:?}");
        assert!(told.iter().zip(expected).all(|(told, expected)| told.starts_with(expected)), "{told:?}");
        assert_eq!(world.database.sql("SELECT count(*) FROM failed_runs").await, "0");
    }
}

#[tokio::test]
async fn others_watch_by_name_or_all_and_nobody_watches_the_run_of_a_handler() {
    let world = World::create().await;
    let workflow = failing(&world, None).await;
    let run_id = fail(&world, &workflow).await;
    let noted = "SELECT count(*) FROM failed_runs";
    assert_eq!(world.database.sql(noted).await, "0", "nobody watches");
    assert!(of_runs(&world.queues.take()).is_empty(), "and nothing is sent");
    let named = handling(&world, json!({ "workflows": [workflow.definition.name] })).await;
    handling(&world, json!({ "workflows": "all" })).await;
    handling(&world, json!({ "workflows": ["another"] })).await;
    let again = fail(&world, &workflow).await;
    build(&world.builder(), &[Message::Run { run_id: again.into() }, Message::Run { run_id: run_id.into() }])
        .await;
    assert_eq!(told(&world).await.len(), 2, "by name, and by all");
    // A handler that fails itself tells nobody, not even who watches all.
    let _ = world.queues.take();
    let nodes = json!([
        { "id": "failed", "name": "Failed", "trigger": "on_error", "configuration": { "workflows": [workflow.definition.name] } },
        node("tell", "stop", json!({ "message": "the handler fails" })),
    ]);
    world.apply_again(&named, nodes, json!([{ "from": "failed", "to": "tell" }])).await;
    let third = fail(&world, &workflow).await;
    let _ = world.queues.take();
    build(&world.builder(), &[Message::Run { run_id: third.into() }]).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    let sql = "SELECT count(*) FROM workflow_runs WHERE node_id = 'failed' AND result = 'failed'";
    assert_eq!(world.database.sql(sql).await, "1", "it failed");
    assert_eq!((told(&world).await.len(), world.database.sql(noted).await.as_str()), (4, "0"));
}

#[tokio::test]
async fn the_sweeper_sends_for_failed_runs_whose_message_was_lost_i8() {
    let world = World::create().await;
    let workflow = failing(&world, Some(json!({}))).await;
    let run_id = fail(&world, &workflow).await;
    let _ = world.queues.take();
    let sweeper = world.sweeper(30);
    let swept = async || {
        sweep(&sweeper, Deadline::after(Duration::from_secs(60))).await.unwrap();
        of_runs(&world.queues.take())
    };
    assert_eq!(swept().await, [], "within the grace");
    world.database.sql("UPDATE failed_runs SET created_at = now() - interval '31 seconds'").await;
    assert_eq!(swept().await, [RunId::from(run_id)]);
    assert_eq!(swept().await, [], "once in the grace");
    world.database.sql("UPDATE failed_runs SET sent_at = now() - interval '31 seconds'").await;
    assert_eq!(swept().await, [RunId::from(run_id)]);
    build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn a_run_past_its_time_out_is_told_of_as_a_whole() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let nodes = json!([
        start(),
        node("wait", "wait", json!({ "for": "30 days" })),
        { "id": "failed", "name": "Failed", "trigger": "on_error" },
        node("call", "http", json!({ "url": target.url() })),
    ]);
    let edges = json!([{ "from": "start", "to": "wait" }, { "from": "failed", "to": "call" }]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.database.sql("UPDATE workflow_runs SET due_at = now()").await;
    let message = Message::Run { run_id: run_id.into() };
    build(&world.builder(), std::slice::from_ref(&message)).await;
    world.run_to_end(&world.builder(), &world.executor("")).await;
    assert_eq!(told(&world).await, ["t||timeout|the run took longer than its time-out"]);
}

#[tokio::test]
async fn a_trigger_whose_target_is_full_is_told_later_and_keeps_no_other_from_being_told_i9_i10() {
    let world = World::create().await;
    let workflow = failing(&world, Some(json!({}))).await;
    handling(&world, json!({ "workflows": "all" })).await;
    let set_full = |is_full: bool| {
        format!(
            "UPDATE workflow_nodes SET items_full = {is_full} WHERE node_id = 'tell' AND workflow_id = '{}'",
            workflow.id
        )
    };
    world.database.sql(&set_full(true)).await;
    let run_id = fail(&world, &workflow).await;
    let message = [Message::Run { run_id: run_id.into() }];
    world.database.sql("UPDATE failed_runs SET created_at = now() - interval '10 minutes'").await;
    build(&world.builder(), &message).await;
    assert_eq!(told(&world).await.len(), 1, "the other one is told");
    let put_off = "SELECT handler_node_id, sent_at > now() + interval '9 minutes' FROM failed_runs";
    assert_eq!(world.database.sql(put_off).await, "failed|t", "the longer the older it is");
    world.database.sql(&set_full(false)).await;
    build(&world.builder(), &message).await;
    assert_eq!(
        (told(&world).await.len(), world.database.sql("SELECT count(*) FROM failed_runs").await.as_str()),
        (2, "0")
    );
    // After a day nobody waits for it.
    world.database.sql(&set_full(true)).await;
    let run_id = fail(&world, &workflow).await;
    world.database.sql("UPDATE failed_runs SET created_at = now() - interval '25 hours'").await;
    build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
    assert_eq!(
        (told(&world).await.len(), world.database.sql("SELECT count(*) FROM failed_runs").await.as_str()),
        (2, "0")
    );
}

#[tokio::test]
async fn a_handler_has_one_hop_more_and_no_message_that_names_a_secret_i1_i10() {
    let world = World::create().await;
    let workflow = failing(&world, Some(json!({}))).await;
    for (hops, expected) in [(0, "1"), (9, "10"), (10, "10")] {
        let run_id = fail(&world, &workflow).await;
        let sql = format!(
            "SET session_replication_role = replica; UPDATE workflow_events SET hops = {hops} WHERE id = '{run_id}';
             UPDATE workflow_node_executions SET metadata = '{{\"message_scrubbed\": true}}' WHERE run_id = '{run_id}'; SET session_replication_role = DEFAULT"
        );
        world.database.sql(&sql).await;
        build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
        let sql = format!(
            "SELECT hops, data->'error'->>'message' FROM workflow_events WHERE type = 'on_error' AND data->'run'->>'id' = '{run_id}'"
        );
        let message = "the message names a secret: it is shown with the execution";
        assert_eq!(world.database.sql(&sql).await, format!("{expected}|{message}"));
    }
}

#[tokio::test]
async fn so_many_triggers_are_told_of_a_run_and_no_more_i10() {
    let world = World::create().await;
    let workflow = failing(&world, None).await;
    let handler = handling(&world, json!({ "workflows": "all" })).await;
    world.database.sql(&format!(
        "INSERT INTO workflow_nodes (workflow_id, node_id, name, type, ref, configuration, version, created_at, updated_at)
             SELECT '{0}', 'n' || n, 'n' || n, 'trigger', '{{}}', '{{}}', 1, now(), now() FROM generate_series(1, 100) n;
         INSERT INTO error_handlers SELECT organization_id, '', '{0}', 'n' || n FROM organizations o, workflows w, generate_series(1, 100) n
             WHERE false OR w.id = '{0}' AND o.id = w.organization_id", handler.id
    ).replace("SELECT organization_id, ''", "SELECT w.organization_id, ''")).await;
    fail(&world, &workflow).await;
    assert_eq!(world.database.sql("SELECT count(*) FROM failed_runs").await, "100", "of 101");
}

#[tokio::test]
async fn a_run_that_is_redriven_and_fails_again_is_told_of_again_and_its_workflow_may_be_gone() {
    let world = World::create().await;
    let workflow = failing(&world, None).await;
    handling(&world, json!({ "workflows": "all" })).await;
    let run_id = fail(&world, &workflow).await;
    let message = [Message::Run { run_id: run_id.into() }];
    // Redriven before anybody was told: it has not failed.
    world.database.sql("UPDATE workflow_runs SET state = 'running', result = NULL, finished_at = NULL WHERE node_id = 'start'").await;
    build(&world.builder(), &message).await;
    assert_eq!(
        (told(&world).await.len(), world.database.sql("SELECT count(*) FROM failed_runs").await.as_str()),
        (0, "1")
    );
    let fails = "UPDATE workflow_runs SET state = 'finished', result = 'failed', finished_at = now() WHERE node_id = 'start'";
    world.database.sql(fails).await;
    build(&world.builder(), &message).await;
    assert_eq!(told(&world).await.len(), 1);
    world.database.sql("UPDATE workflow_runs SET state = 'running', result = NULL, finished_at = NULL WHERE node_id = 'start'").await;
    world.database.sql(fails).await;
    world
        .database
        .sql(&format!("UPDATE workflows SET deleted_at = now() WHERE id = '{}'", workflow.id))
        .await;
    build(&world.builder(), &message).await;
    assert_eq!(told(&world).await.len(), 2);
}

#[tokio::test]
async fn so_many_failures_and_so_much_of_their_data_are_told_and_no_more_i10() {
    let world = World::create().await;
    let (most, at_once) = (usize::try_from(FAILURES_TOLD_MAX).unwrap(), json!({ "once_per": "execution" }));
    let told_of = async |failures: usize, data: Value| {
        let ids: Vec<String> = (0..failures).map(|n| format!("stop{n}")).collect();
        let mut nodes: Vec<Value> =
            ids.iter().map(|id| node(id, "stop", json!({ "message": "it is Monday" }))).collect();
        nodes.extend([
            start(),
            json!({ "id": "failed", "name": "Failed", "trigger": "on_error", "configuration": at_once }),
        ]);
        let edges: Vec<Value> = ids.iter().map(|id| json!({ "from": "start", "to": id })).collect();
        let workflow = world.workflow(json!(nodes), json!(edges)).await;
        let run_id = world.start(&workflow, "start", data).await;
        build(&world.builder(), &[event(run_id)]).await;
        build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
        let sql = format!(
            "SELECT count(*), count(nullif(data->>'data', NULL)) FROM workflow_events WHERE type = 'on_error' AND data->'run'->>'id' = '{run_id}'"
        );
        world.database.sql(&sql).await
    };
    assert_eq!(told_of(most, json!({ "n": 1 })).await, format!("{most}|{most}"));
    assert_eq!(told_of(FAILURES_TOLD_MAX as usize + 1, json!({ "n": 1 })).await, format!("{most}|{most}"));
    // The text of the stored data has quotes around it.
    let letters = |bytes: i64| json!("x".repeat(usize::try_from(bytes - 2).unwrap()));
    assert_eq!(told_of(1, letters(FAILURE_DATA_BYTES_MAX)).await, "1|1");
    assert_eq!(told_of(1, letters(FAILURE_DATA_BYTES_MAX + 1)).await, "1|0", "its data is left out");
}

/// The builder's own right to begin runs is that of triggers that are to be told.
#[tokio::test]
async fn a_builder_begins_no_run_of_a_trigger_that_is_not_to_be_told_i7() {
    let world = World::create().await;
    let workflow = failing(&world, None).await;
    let handler = handling(&world, json!({ "workflows": [workflow.definition.name] })).await;
    let other = handling(&world, json!({ "workflows": ["another"] })).await;
    let run_id = fail(&world, &workflow).await;
    let outcome = async |of: &Workflow, run_id: EventId, node_id: &str| {
        let (id, version) = (of.id, of.version);
        let sql = format!(
            "SET ROLE sealflow_builder; SELECT outcome FROM begin_error_run('{run_id}', '{id}', '{node_id}', {version}, gen_random_uuid(), 'on_error',
                '{{}}', NULL, ARRAY['tell'], ARRAY[gen_random_uuid()], now()); RESET ROLE"
        );
        world.database.sql(&sql).await
    };
    assert_eq!(outcome(&other, run_id, "failed").await, "outdated", "it watches another");
    assert_eq!(outcome(&handler, run_id, "tell").await, "outdated", "it is no trigger");
    assert_eq!(outcome(&handler, world.id(), "failed").await, "outdated", "there is no such failed run");
    assert_eq!(outcome(&handler, run_id, "failed").await, "begun");
}
