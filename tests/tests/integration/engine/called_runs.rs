//! `run_workflow`: an execution starts a run of another workflow and goes on by its end (I3, I6, I8).

use domain::access::Role;
use domain::ids::{EventId, ExecutionId};
use domain::limits::CALL_DEPTH_MAX;
use domain::message::Message;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::api_world::ApiWorld;
use tests::graph::{edge, node};
use tests::world::{build, event, messages};
use tests::{Workflow, World};

fn start_node() -> Value {
    json!({ "id": "start", "name": "START", "trigger": "start" })
}

/// The workflow that is called: `start` → `b`.
async fn called(world: &World, component: &str, configuration: Value) -> Workflow {
    let nodes = json!([start_node(), node("b", component, configuration)]);
    world.workflow(nodes, json!([edge("start", "default", "b")])).await
}

/// `start` → `c`, which calls the workflow; `passed`, `failed` and `cancelled` take its ends.
async fn caller(world: &World, settings: Value) -> Workflow {
    let mut nodes = vec![start_node(), node("c", "run_workflow", settings)];
    let mut edges = vec![edge("start", "default", "c")];
    for channel in ["passed", "failed", "cancelled"] {
        nodes.push(node(channel, "transform", json!({ "output": "{{ previous().data }}" })));
        edges.push(edge("c", channel, channel));
    }
    world.workflow(json!(nodes), json!(edges)).await
}

async fn start(world: &World, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

/// The called runs: their states, results and stops.
async fn called_runs(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', state, result, stop, CASE WHEN taken_at IS NOT NULL THEN 'taken' END), ',' ORDER BY id), '')
        FROM workflow_runs WHERE caller_execution_id IS NOT NULL";
    world.database.sql(sql).await
}

async fn execution(world: &World) -> String {
    let sql = "SELECT concat_ws(' ', state, result, result_reason, result_message) FROM workflow_node_executions WHERE node_id = 'c' ORDER BY id LIMIT 1";
    world.database.sql(sql).await
}

async fn caller_id(world: &World) -> ExecutionId {
    let sql = "SELECT id FROM workflow_node_executions WHERE node_id = 'c' ORDER BY id LIMIT 1";
    world.database.sql(sql).await.parse().unwrap()
}

/// All messages but those of the sweeper are lost.
async fn sweep_on(world: &World, seconds: u32) {
    let _lost = world.queues.take();
    world.pass(seconds).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    let sent = world.queues.take();
    build(&world.builder(), &messages(&sent)).await;
}

#[tokio::test]
async fn an_execution_goes_on_when_the_run_that_it_called_has_passed_i3() {
    let world = World::create().await;
    let other = called(&world, "transform", json!({ "output": "{{ root().data.n * 2 }}" })).await;
    let settings = json!({ "workflow": other.definition.name, "data": { "n": "{{ root().data.n }}" } });
    let workflow = caller(&world, settings).await;
    let run_id = start(&world, &workflow, json!({ "n": 4 })).await;
    world.run_to_rest("").await;
    assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0));
    assert_eq!(world.outputs("b").await, [json!(8)]);
    assert_eq!(called_runs(&world).await, "finished passed taken");
    let id = "SELECT id FROM workflow_runs WHERE caller_execution_id IS NOT NULL AND call_depth = 1 AND parent_run_id IS NULL";
    let id = world.database.sql(id).await;
    assert_eq!(world.outputs("passed").await, [json!({ "run_id": id, "output": null })]);
}

/// Gives outputs to a workflow that nobody has run yet.
async fn set_outputs(world: &World, workflow: &Workflow, outputs: Value) {
    let sql = format!("UPDATE workflows SET outputs = $json${outputs}$json$ WHERE id = '{}'", workflow.id);
    world.database.sql(&sql).await;
}

#[tokio::test]
async fn the_outputs_of_the_called_run_are_its_callers_data_i3() {
    let world = World::create().await;
    let other =
        called(&world, "transform", json!({ "output": { "twice": "{{ root().data.n * 2 }}" } })).await;
    let outputs = json!({ "twice": "{{ $[\"B\"].data.twice }}", "of": ["{{ root().data.n }}", "lamps"], "none": "{{ $[\"START\"].data.x }}" });
    set_outputs(&world, &other, outputs).await;
    let name = &other.definition.name;
    let workflow = caller(&world, json!({ "workflow": name, "data": { "n": 4 } })).await;
    start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    let [passed] = world.outputs("passed").await.try_into().expect("one");
    assert_eq!(passed["output"], json!({ "twice": 8, "of": [4, "lamps"], "none": null }));
}

#[tokio::test]
async fn outputs_that_fail_fail_the_caller_and_show_nothing_blanked_i1() {
    let world = World::create().await;
    let other = called(&world, "wait", json!({ "for": "1h" })).await;
    let name = &other.definition.name;
    set_outputs(&world, &other, json!({ "a": ["{{ $[\"B\"].data.token }}"] })).await;
    let workflow = caller(&world, json!({ "workflow": name })).await;
    for (blank, said) in [(true, "redacted"), (false, "outputs.a[0]: ")] {
        start(&world, &workflow, json!({})).await;
        world.run_to_rest("").await;
        let output = if blank {
            "redactions = '{\"redacted\": [], \"scrubbed\": [\"/token\"]}', data = '{\"token\": \"[secret:a.b]\"}'"
        } else {
            "data = '7'"
        };
        // The wait passes on the data of its event, which stands there by now.
        let set = format!(
            "UPDATE workflow_events SET {output} WHERE id IN (SELECT id FROM workflow_runs WHERE caller_execution_id IS NOT NULL AND state = 'running')"
        );
        world.database.sql(&set).await;
        world.pass(3_601).await;
        for _ in 0..4 {
            sweep_on(&world, 120).await;
            world.run_to_rest("").await;
        }
        let failed = world.outputs("failed").await;
        let message = failed.last().unwrap()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with(&format!("the run of `{name}` passed, but its outputs fail: ")),
            "{message}"
        );
        assert!(message.contains(said) && !message.contains("[secret:a.b]"), "{message}");
    }
}

#[tokio::test]
async fn the_end_of_the_called_run_chooses_the_channel_i3() {
    let world = World::create().await;
    let other = called(&world, "stop", json!({ "result": "failed", "message": "no disk" })).await;
    let name = &other.definition.name;
    let workflow = caller(&world, json!({ "workflow": name })).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed", "an edge takes it");
    let message = format!("the run of `{name}` failed: no disk");
    assert_eq!(execution(&world).await, format!("finished failed component_error {message}"));
    let [failed] = world.outputs("failed").await.try_into().expect("one");
    assert_eq!(failed["error"], json!({ "reason": "component_error", "message": "no disk", "node": "B" }));
    // Without an edge the failure is the caller's own.
    let nodes = json!([start_node(), node("c", "run_workflow", json!({ "workflow": name }))]);
    let alone = world.workflow(nodes, json!([edge("start", "default", "c")])).await;
    let run_id = start(&world, &alone, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "failed");
}

#[tokio::test]
async fn a_call_that_can_not_be_made_says_why_i6() {
    let api = ApiWorld::create().await;
    let world = &api.world;
    let check = async |settings: Value, expected: &str| {
        let workflow = caller(world, settings.clone()).await;
        let run_id = start(world, &workflow, json!({})).await;
        world.run_to_rest("").await;
        assert_eq!(world.run_state(run_id).await, "passed");
        let failed = world.outputs("failed").await;
        assert_eq!(failed.last().unwrap()["error"]["message"], expected, "{settings}");
    };
    let other = called(world, "noop", json!({})).await;
    let name = &other.definition.name;
    check(json!({ "workflow": "no such one" }), "there is no workflow named `no such one`").await;
    let missing = format!("the workflow `{name}` has no trigger of the type `start` named `b`");
    check(json!({ "workflow": name, "node": "b" }), &missing).await;
    // The workflow of another organization is none.
    let moved = format!("INSERT INTO organizations (id, name, created_at, updated_at) SELECT gen_random_uuid(), 'other', now(), now();
        UPDATE workflows SET organization_id = (SELECT id FROM organizations WHERE name = 'other') WHERE id = '{}'", other.id);
    world.database.sql(&moved).await;
    check(json!({ "workflow": name }), &format!("there is no workflow named `{name}`")).await;
    assert_eq!(called_runs(world).await, "");
}

#[tokio::test]
async fn of_several_triggers_one_is_named() {
    let world = World::create().await;
    let second = json!({ "id": "second", "name": "SECOND", "trigger": "start" });
    let nodes = json!([start_node(), second, node("b", "noop", json!({}))]);
    let edges = json!([edge("start", "default", "b"), edge("second", "default", "b")]);
    let other = world.workflow(nodes, edges).await;
    let name = &other.definition.name;
    for (node, expected) in [(Some("SECOND"), "passed"), (Some("second"), "passed"), (None, "failed")] {
        let mut settings = json!({ "workflow": name });
        if let Some(node) = node {
            settings["node"] = json!(node);
        }
        let workflow = caller(&world, settings).await;
        start(&world, &workflow, json!({})).await;
        world.run_to_rest("").await;
        assert_eq!(world.outputs(expected).await.len(), if node == Some("second") { 2 } else { 1 });
    }
    let [failed] = world.outputs("failed").await.try_into().expect("one");
    let message =
        format!("the workflow `{name}` has several triggers: name one of `START`, `SECOND` as `node`");
    assert_eq!(failed["error"]["message"], message);
}

#[tokio::test]
async fn one_that_does_not_wait_goes_on_at_once() {
    let world = World::create().await;
    let other = called(&world, "wait", json!({ "for": "1h" })).await;
    let workflow = caller(&world, json!({ "workflow": other.definition.name, "wait": false })).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(
        (world.run_state(run_id).await, called_runs(&world).await),
        ("passed", "running taken".into())
    );
}

/// ✗ A run that nobody waits for was stopped with its caller, between its begin and the caller's end.
#[tokio::test]
async fn one_that_nobody_waits_for_is_not_stopped_with_its_caller() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let other = called(world, "wait", json!({ "for": "1h" })).await;
    let workflow = caller(world, json!({ "workflow": other.definition.name, "wait": false })).await;
    let run_id = start(world, &workflow, json!({})).await;
    let wake = Message::Wake { execution_id: caller_id(world).await };
    build(&world.builder(), &[wake]).await;
    assert_eq!((execution(world).await, called_runs(world).await), ("held".into(), "running taken".into()));
    let answer = api.call(&token, "POST", &format!("/v1/runs/{run_id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202);
    for _ in 0..4 {
        sweep_on(world, 120).await;
        world.run_to_rest("").await;
    }
    assert_eq!(
        (world.run_state(run_id).await, called_runs(world).await),
        ("cancelled", "running taken".into())
    );
}

/// ✗ One failure made two dead letters, and both could be redriven.
#[tokio::test]
async fn a_failure_that_the_caller_took_is_the_callers_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let other = called(world, "stop", json!({ "result": "failed", "message": "no" })).await;
    let nodes =
        json!([start_node(), node("c", "run_workflow", json!({ "workflow": other.definition.name }))]);
    let workflow = world.workflow(nodes, json!([edge("start", "default", "c")])).await;
    start(world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    let letters = api.call(&token, "GET", "/v1/dead-letters", &Value::Null).await;
    let nodes: Vec<&Value> =
        letters.body["dead_letters"].as_array().unwrap().iter().map(|letter| &letter["node_id"]).collect();
    assert_eq!(nodes, ["c"]);
    let redrive = async |node_id: &str| {
        let sql = format!("SELECT id FROM workflow_node_executions WHERE node_id = '{node_id}' LIMIT 1");
        let id = world.database.sql(&sql).await;
        api.call(&token, "POST", &format!("/v1/executions/{id}/redrive"), &Value::Null).await
    };
    let refused = redrive("b").await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body["detail"].as_str().unwrap().contains("redrive the execution that called it"),
        "{refused:?}"
    );
    let redriven = redrive("c").await;
    assert_eq!(redriven.status, 202);
    build(&world.builder(), &[event(redriven.body["event_id"].as_str().unwrap().parse().unwrap())]).await;
    world.run_to_rest("").await;
    assert_eq!(called_runs(world).await, "finished failed taken,finished failed taken");
}

/// ✗ A message in which a secret was scrubbed went on as a text like any other.
#[tokio::test]
async fn a_message_that_names_a_secret_stays_with_its_execution_i1() {
    let world = World::create().await;
    let other =
        called(&world, "stop", json!({ "result": "failed", "message": "[secret:a.b] is wrong" })).await;
    let workflow = caller(&world, json!({ "workflow": other.definition.name })).await;
    start(&world, &workflow, json!({})).await;
    while called_runs(&world).await != "finished failed" {
        build(&world.builder(), &messages(&world.queues.take())).await;
    }
    let mark = "UPDATE workflow_node_executions SET metadata = metadata || '{\"message_scrubbed\": true}' WHERE node_id = 'b'";
    world.database.sql(mark).await;
    world.run_to_rest("").await;
    let [failed] = world.outputs("failed").await.try_into().expect("one");
    assert!(!failed.to_string().contains("[secret") && failed["error"]["node"] == "B", "{failed}");
    assert!(!execution(&world).await.contains("[secret"), "{}", execution(&world).await);
}

/// ✗✗ A cancelled owner let the parent finish while its body still called out.
#[tokio::test]
async fn a_cancel_reaches_the_called_run_and_the_caller_ends_after_it_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let other = called(world, "wait", json!({ "for": "1h" })).await;
    let workflow = caller(world, json!({ "workflow": other.definition.name })).await;
    let run_id = start(world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(called_runs(world).await, "running");
    let answer = api.call(&token, "POST", &format!("/v1/runs/{run_id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202);
    // The messages are lost, but for the caller's own wake.
    let _lost = world.queues.take();
    build(&world.builder(), &[Message::Wake { execution_id: caller_id(world).await }]).await;
    assert_eq!((execution(world).await, called_runs(world).await), ("held".into(), "running owner".into()));
    for _ in 0..5 {
        sweep_on(world, 120).await;
    }
    assert_eq!(called_runs(world).await, "finished cancelled owner taken");
    assert!(execution(world).await.starts_with("finished cancelled cancelled"), "{}", execution(world).await);
    assert_eq!((world.run_state(run_id).await, world.items().await), ("cancelled", 0));
}

/// All messages are lost: the sweeper finds who is to call, and who was not told (I8).
#[tokio::test]
async fn lost_messages_are_made_good_i8() {
    let world = World::create().await;
    let other = called(&world, "noop", json!({})).await;
    let workflow = caller(&world, json!({ "workflow": other.definition.name })).await;
    let run_id = start(&world, &workflow, json!({})).await;
    for _ in 0..12 {
        sweep_on(&world, 120).await;
    }
    assert_eq!(
        (world.run_state(run_id).await, called_runs(&world).await),
        ("passed", "finished passed taken".into())
    );
}

/// A wake that comes twice, or late, calls nobody again.
#[tokio::test]
async fn a_run_is_called_once_i3() {
    let world = World::create().await;
    let other = called(&world, "wait", json!({ "for": "1h" })).await;
    let workflow = caller(&world, json!({ "workflow": other.definition.name })).await;
    start(&world, &workflow, json!({})).await;
    let wake = Message::Wake { execution_id: caller_id(&world).await };
    let builders = [world.builder(), world.builder(), world.builder()];
    futures_util::future::join_all(
        builders.iter().map(|builder| build(builder, std::slice::from_ref(&wake))),
    )
    .await;
    world.run_to_rest("").await;
    build(&world.builder(), &[wake]).await;
    world.run_to_rest("").await;
    assert_eq!(called_runs(&world).await, "running");
}

#[tokio::test]
async fn its_time_out_stops_the_called_run_first_i3_i8() {
    let world = World::create().await;
    let other = called(&world, "wait", json!({ "for": "1h" })).await;
    let name = &other.definition.name;
    let workflow = caller(&world, json!({ "workflow": name, "timeout": "5m" })).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    for _ in 0..5 {
        sweep_on(&world, 310).await;
    }
    assert_eq!(
        (world.run_state(run_id).await, called_runs(&world).await),
        ("passed", "finished cancelled owner taken".into())
    );
    let [failed] = world.outputs("failed").await.try_into().expect("one");
    assert_eq!(failed["error"]["message"], format!("the run of `{name}` timed out"));
}

#[tokio::test]
async fn so_many_runs_call_each_other_and_no_more_i10() {
    let world = World::create().await;
    let nodes = |name: &str| {
        json!([
            start_node(),
            node("c", "run_workflow", json!({ "workflow": name })),
            node("failed", "transform", json!({ "output": "{{ previous().data.error.message }}" }))
        ])
    };
    let edges = json!([edge("start", "default", "c"), edge("c", "failed", "failed")]);
    let itself = world.workflow(nodes("later"), edges.clone()).await;
    let itself = world.apply_again(&itself, nodes(&itself.definition.name), edges).await;
    let run_id = start(&world, &itself, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let depths = "SELECT concat_ws(' ', count(*), min(call_depth), max(call_depth)) FROM workflow_runs";
    assert_eq!(world.database.sql(depths).await, format!("{} 0 {CALL_DEPTH_MAX}", CALL_DEPTH_MAX + 1));
    let message = format!("at most {CALL_DEPTH_MAX} runs may call each other, one below the other");
    assert_eq!(world.outputs("failed").await, [json!(message)]);
}

/// ✗ A call that was put off began a run after its time-out, to stop it at once.
#[tokio::test]
async fn a_call_that_is_put_off_past_its_time_out_begins_nothing_i8() {
    let world = World::create().await;
    let other = called(&world, "noop", json!({})).await;
    let name = &other.definition.name;
    let workflow = caller(&world, json!({ "workflow": name, "timeout": "2s" })).await;
    let full = format!("UPDATE workflow_nodes SET items_full = true WHERE workflow_id = '{}'", other.id);
    world.database.sql(&full).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    // The time-out is a time that the execution keeps, by the clock of the builder and the database.
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    for _ in 0..4 {
        sweep_on(&world, 120).await;
    }
    assert_eq!((world.run_state(run_id).await, called_runs(&world).await), ("passed", String::new()));
    let [failed] = world.outputs("failed").await.try_into().expect("one");
    assert_eq!(failed["error"]["message"], format!("the run of `{name}` timed out before it could begin"));
}

/// A called run whose target is full is not lost: it begins when there is room.
#[tokio::test]
async fn a_call_of_a_full_workflow_is_put_off_i8_i10() {
    let world = World::create().await;
    let other = called(&world, "noop", json!({})).await;
    let workflow = caller(&world, json!({ "workflow": other.definition.name })).await;
    let full = |is_full: bool| {
        format!("UPDATE workflow_nodes SET items_full = {is_full} WHERE workflow_id = '{}'", other.id)
    };
    world.database.sql(&full(true)).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!((world.run_state(run_id).await, called_runs(&world).await), ("running", String::new()));
    world.database.sql(&full(false)).await;
    for _ in 0..6 {
        sweep_on(&world, 120).await;
    }
    assert_eq!(
        (world.run_state(run_id).await, called_runs(&world).await),
        ("passed", "finished passed taken".into())
    );
}
