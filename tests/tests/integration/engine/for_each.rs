//! `for_each`: each item has a run of its own within the run, so many at once, and the results come
//! together once (I3, I4, I8).

use std::time::Duration;

use domain::access::Role;
use domain::ids::{EventId, ExecutionId};
use domain::limits::{CRASHES_MAX, SUB_RUN_NESTING_MAX};
use domain::message::Message;
use local::target::Target;
use process::Deadline;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::api_world::ApiWorld;
use tests::crash::Guard;
use tests::graph::{edge, node};
use tests::world::{batch, build, event, messages};
use tests::{PostgresWire, Workflow, World};

/// `start` → `f` over `root().data.list`; the body is `nodes` and `edges`; `after` takes what is done,
/// and `told` what failed.
async fn workflow(world: &World, settings: Value, body: &[Value], body_edges: &[Value]) -> Workflow {
    let mut configuration = json!({ "items": "{{ root().data.list }}" });
    configuration.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let mut nodes = vec![
        json!({ "id": "start", "name": "START", "trigger": "start" }),
        node("f", "for_each", configuration),
        node("after", "transform", json!({ "output": "{{ previous().data }}" })),
        node("told", "transform", json!({ "output": "{{ previous().data }}" })),
    ];
    nodes.extend(body.iter().cloned());
    let mut edges =
        vec![edge("start", "default", "f"), edge("f", "done", "after"), edge("f", "failure", "told")];
    edges.extend(body_edges.iter().cloned());
    world.workflow(json!(nodes), json!(edges)).await
}

/// Doubles each item.
fn double() -> ([Value; 1], [Value; 2]) {
    let output = json!({ "twice": "{{ $[\"F\"].data.item * 2 }}", "of": "{{ previous().data.index }}" });
    (
        [node("b", "transform", json!({ "output": output }))],
        [edge("f", "item", "b"), edge("b", "default", "f")],
    )
}

/// Waits at each item.
fn waiting() -> ([Value; 1], [Value; 2]) {
    ([node("b", "wait", json!({ "for": "1h" }))], [edge("f", "item", "b"), edge("b", "default", "f")])
}

async fn start(world: &World, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

async fn owner_id(world: &World) -> ExecutionId {
    let held = "SELECT id FROM workflow_node_executions WHERE node_id = 'f' ORDER BY id LIMIT 1";
    world.database.sql(held).await.parse().unwrap()
}

/// The number of sub-runs in each state, and of those whose result was taken.
async fn sub_runs(world: &World) -> String {
    let sql = "SELECT concat_ws(' ', count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'finished'),
            count(*) FILTER (WHERE taken_at IS NOT NULL))
        FROM workflow_runs WHERE parent_run_id IS NOT NULL";
    world.database.sql(sql).await
}

async fn owner(world: &World) -> String {
    let sql = "SELECT concat_ws(' ', state, result, result_reason) FROM workflow_node_executions WHERE node_id = 'f' ORDER BY id LIMIT 1";
    world.database.sql(sql).await
}

#[tokio::test]
async fn each_item_is_worked_on_in_a_run_of_its_own_and_the_results_come_in_order_i3() {
    let world = World::create().await;
    let (body, edges) = double();
    let workflow = workflow(&world, json!({ "max_parallel": 2 }), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2, 3, 4, 5] })).await;
    assert_eq!((sub_runs(&world).await, owner(&world).await), ("2 0 0".into(), "held".into()));
    world.run_to_rest("").await;
    assert_eq!((sub_runs(&world).await, owner(&world).await), ("0 5 5".into(), "finished passed".into()));
    let [after] = world.outputs("after").await.try_into().expect("one way on");
    assert_eq!((&after["count"], &after["failed"]), (&json!(5), &json!(0)));
    let results: Vec<Value> =
        after["results"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    let expected: Vec<Value> = (0..5).map(|index| json!({ "twice": 2 * (index + 1), "of": index })).collect();
    assert_eq!(results, expected);
    assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0));
    // The nodes after `done` look back past the body.
    let returned = "SELECT count(*) FROM execution_joins WHERE node_id = 'f'";
    assert_eq!(world.database.sql(returned).await, "5");
}

#[tokio::test]
async fn an_empty_list_and_a_body_that_leads_nowhere_end() {
    let world = World::create().await;
    let (body, edges) = double();
    let doubled = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &doubled, json!({ "list": [] })).await;
    world.run_to_rest("").await;
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 0 0".into()));
    let nothing = workflow(&world, json!({}), &[], &[]).await;
    let run_id = start(&world, &nothing, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 2 2".into()));
    let results = world.outputs("after").await;
    assert_eq!(results[1]["results"][0]["status"], "ended");
}

#[tokio::test]
async fn failures_are_tolerated_up_to_a_number_and_stop_the_rest_past_it() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let target = Target::start().await.unwrap();
    let url = format!("{}/status/{{{{ $[\"F\"].data.item }}}}", target.url());
    let mut http = node("b", "http", json!({ "url": url }));
    http["concurrency"] = json!("unlimited");
    let edges = [edge("f", "item", "b"), edge("b", "success", "f")];
    let body = [http];
    let tolerant = workflow(world, json!({ "tolerate": "50%" }), &body, &edges).await;
    let run_id = start(world, &tolerant, json!({ "list": [200, 400, 200, 400] })).await;
    world.run_to_rest(&target.host_port()).await;
    assert_eq!((world.run_state(run_id).await, owner(world).await), ("passed", "finished passed".into()));
    let [after] = world.outputs("after").await.try_into().expect("one");
    assert_eq!(after["failed"], 2);
    let statuses: Vec<&str> =
        after["results"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["passed", "failed", "passed", "failed"]);
    assert_eq!(after["results"][1]["error"]["node"], "B");
    let letters = api.call(&token, "GET", "/v1/dead-letters", &Value::Null).await;
    assert_eq!(letters.body["dead_letters"], json!([]), "what is tolerated is none");
    // The next one has none to tolerate, and one item at a time.
    let strict = workflow(world, json!({ "max_parallel": 1 }), &body, &edges).await;
    target.clear();
    let run_id = start(world, &strict, json!({ "list": [200, 400, 200] })).await;
    world.run_to_rest(&target.host_port()).await;
    assert_eq!(world.run_state(run_id).await, "passed", "an edge took the failure");
    let [told] = world.outputs("told").await.try_into().expect("one");
    assert_eq!((told["failed"].clone(), told["results"].as_array().unwrap().len()), (json!(1), 2));
    assert_eq!(target.requests().len(), 2, "the third was not begun");
}

#[tokio::test]
async fn a_merge_in_the_body_joins_the_branches_of_one_item_i3() {
    let world = World::create().await;
    let body = [
        node("b", "transform", json!({ "output": { "b": "{{ $[\"F\"].data.item }}" } })),
        node("c", "transform", json!({ "output": { "c": "{{ $[\"F\"].data.item }}" } })),
        node("m", "merge", json!({})),
    ];
    let edges = [
        edge("f", "item", "b"),
        edge("f", "item", "c"),
        edge("b", "default", "m"),
        edge("c", "default", "m"),
        edge("m", "success", "f"),
    ];
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2, 3] })).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let [after] = world.outputs("after").await.try_into().expect("one");
    for (index, result) in after["results"].as_array().unwrap().iter().enumerate() {
        let sources = &result["data"]["sources"];
        assert_eq!((&sources["B"]["b"], &sources["C"]["c"]), (&json!(index + 1), &json!(index + 1)));
    }
}

/// ✗✗ If edges out of the owner and back into it were followed, each of them would wait for the other.
#[tokio::test]
async fn two_merges_in_a_body_do_not_wait_for_each_other_i8() {
    let world = World::create().await;
    let body = [
        node("b", "noop", json!({})),
        node("c", "noop", json!({})),
        node("one", "merge", json!({})),
        node("two", "merge", json!({})),
    ];
    let mut edges = vec![edge("f", "item", "b"), edge("f", "item", "c")];
    for merge in ["one", "two"] {
        edges.extend([edge("b", "default", merge), edge("c", "default", merge), edge(merge, "success", "f")]);
    }
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 2 2".into()));
}

#[tokio::test]
async fn one_within_another_works_through_lists_of_lists_i3() {
    let world = World::create().await;
    let body = [
        node("g", "for_each", json!({ "items": "{{ $[\"F\"].data.item }}" })),
        node("b", "transform", json!({ "output": "{{ $[\"G\"].data.item + 10 * $[\"F\"].data.index }}" })),
        node("sum", "transform", json!({ "output": "{{ map($[\"G\"].data.results, #.data) }}" })),
    ];
    let edges = [
        edge("f", "item", "g"),
        edge("g", "item", "b"),
        edge("b", "default", "g"),
        edge("g", "done", "sum"),
        edge("sum", "default", "f"),
    ];
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [[1, 2], [], [3]] })).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let [after] = world.outputs("after").await.try_into().expect("one");
    let results: Vec<Value> =
        after["results"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!(results, [json!([1, 2]), json!([]), json!([23])]);
}

/// ✗✗ A cancelled owner let the parent finish while its body still called out.
#[tokio::test]
async fn a_cancel_ends_all_that_is_within_and_the_owner_last_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let (body, edges) = waiting();
    let workflow = workflow(world, json!({}), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1, 2, 3] })).await;
    world.run_to_rest("").await;
    assert_eq!((sub_runs(world).await, owner(world).await), ("3 0 0".into(), "held".into()));
    let answer = api.call(&token, "POST", &format!("/v1/runs/{run_id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202);
    let stops = "SELECT string_agg(DISTINCT stop, ',') FROM workflow_runs";
    assert_eq!(world.database.sql(stops).await, "cancelled,owner", "all are stopped by one commit");
    // The owner's wake comes first, and finds them running.
    let owner_id = owner_id(world).await;
    build(&world.builder(), &[Message::Wake { execution_id: owner_id }]).await;
    assert_eq!(owner(world).await, "held", "it ends after them");
    // The API's messages are lost.
    for _ in 0..3 {
        world.pass(60).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        world.run_to_rest("").await;
    }
    assert_eq!(
        (sub_runs(world).await, owner(world).await),
        ("0 3 3".into(), "finished cancelled cancelled".into())
    );
    assert_eq!((world.run_state(run_id).await, world.items().await), ("cancelled", 0));
}

/// ✗✗ An owner that asks for no sub-run that runs is over while its body still works.
#[tokio::test]
async fn without_a_look_at_its_parts_a_cancelled_owner_ends_before_them() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2, 3] })).await;
    world.run_to_rest("").await;
    world.cancel(run_id).await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    Guard::OwnersLast.take_out_of(&wire);
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    build(&builder, &[Message::Wake { execution_id: owner_id(&world).await }]).await;
    assert!(wire.removals() > 0, "the guard has another text now");
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("3 0 0".into(), "finished cancelled cancelled".into())
    );
}

#[tokio::test]
async fn an_owner_whose_wake_takes_processes_along_ends_after_its_parts_i9() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2, 3] })).await;
    world.run_to_rest("").await;
    let id = owner_id(&world).await;
    let crashed = format!("UPDATE workflow_node_executions SET crashes = {CRASHES_MAX} WHERE id = '{id}';
        INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause) SELECT workflow_id, id, 'upstream' FROM workflow_node_executions WHERE id = '{id}'");
    world.database.connect_admin().await.batch_execute(&crashed).await.unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    builder::handle(batch(&[Message::Wake { execution_id: id }], 2), deadline, &world.builder()).await;
    assert_eq!(owner(&world).await, "held", "it ends after them");
    for _ in 0..3 {
        world.pass(60).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        world.run_to_rest("").await;
    }
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("0 3 3".into(), "finished failed crashed".into())
    );
    assert_eq!((world.run_state(run_id).await, world.items().await), ("failed", 0));
}

#[tokio::test]
async fn an_owner_that_is_cancelled_by_itself_stops_its_parts_and_its_run_goes_on_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let (body, edges) = waiting();
    let workflow = workflow(world, json!({}), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    let held = "SELECT id FROM workflow_node_executions WHERE node_id = 'f'";
    let id = world.database.sql(held).await;
    let answer = api.call(&token, "POST", &format!("/v1/executions/{id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    build(&world.builder(), &[Message::Wake { execution_id: id.parse().unwrap() }]).await;
    assert_eq!(owner(world).await, "held", "it ends after them");
    world.run_to_rest("").await;
    assert_eq!(
        (sub_runs(world).await, owner(world).await),
        ("0 2 2".into(), "finished cancelled cancelled".into())
    );
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

/// All messages are lost: the sweeper finds what has ended and was not taken (I8).
#[tokio::test]
async fn lost_messages_are_made_good_i8() {
    let world = World::create().await;
    let (body, edges) = double();
    let workflow = workflow(&world, json!({ "max_parallel": 2 }), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2, 3] })).await;
    let mut rounds = 0;
    while world.run_state(run_id).await == "running" {
        let _lost = world.queues.take();
        world.pass(120).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        let sent = world.queues.take();
        build(&world.builder(), &messages(&sent)).await;
        rounds += 1;
        assert!(rounds < 30, "{}", sub_runs(&world).await);
    }
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 3 3".into()));
}

#[tokio::test]
async fn so_many_are_within_each_other_and_no_more_i10() {
    let world = World::create().await;
    // One list of one list … of SUB_RUN_NESTING_MAX, and of SUB_RUN_NESTING_MAX + 1.
    let nested = async |levels: usize| {
        let mut nodes = vec![json!({ "id": "start", "name": "START", "trigger": "start" })];
        let mut edges = vec![edge("start", "default", "f0")];
        for level in 0..levels {
            nodes.push(node(&format!("f{level}"), "for_each", json!({ "items": [1] })));
            let inside = if level + 1 == levels { "b".to_owned() } else { format!("f{}", level + 1) };
            edges.push(edge(&format!("f{level}"), "item", &inside));
            let channel = if level + 1 == levels { "default" } else { "done" };
            edges.push(edge(&inside, channel, &format!("f{level}")));
        }
        nodes.push(node("b", "noop", json!({})));
        let workflow = world.workflow(json!(nodes), json!(edges)).await;
        let run_id = start(&world, &workflow, json!({})).await;
        world.run_to_rest("").await;
        world.run_state(run_id).await
    };
    assert_eq!(nested(SUB_RUN_NESTING_MAX).await, "passed");
    assert_eq!(nested(SUB_RUN_NESTING_MAX + 1).await, "failed");
    let reason = "SELECT string_agg(result_reason, ',') FROM workflow_node_executions WHERE node_id = 'f5'";
    assert_eq!(world.database.sql(reason).await, "limit");
}

/// What failed within a part is redriven while the part runs, and not once its owner has its result.
#[tokio::test]
async fn a_redrive_within_a_part_that_runs_counts_for_it_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let target = Target::start().await.unwrap();
    let url = format!("{}/status/{{{{ root().data.status }}}}", target.url());
    let body = [node("b", "http", json!({ "url": url })), node("w", "wait", json!({ "for": "1h" }))];
    let edges = [
        edge("f", "item", "b"),
        edge("f", "item", "w"),
        edge("b", "success", "f"),
        edge("w", "default", "f"),
    ];
    let workflow = workflow(world, json!({ "tolerate": 1 }), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1], "status": 404 })).await;
    world.run_to_rest(&target.host_port()).await;
    let failed = "SELECT id FROM workflow_node_executions WHERE node_id = 'b' AND redriven_event_id IS NULL ORDER BY id DESC LIMIT 1";
    let redrive = async || {
        let id = world.database.sql(failed).await;
        let answer = api.call(&token, "POST", &format!("/v1/executions/{id}/redrive"), &Value::Null).await;
        (answer.status, answer.body)
    };
    let letters = async || {
        let letters = api.call(&token, "GET", "/v1/dead-letters", &Value::Null).await;
        letters.body["dead_letters"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(letters().await, 1, "the part still runs");
    let (status, redriven) = redrive().await;
    assert_eq!(status, 202, "{redriven}");
    build(&world.builder(), &[event(redriven["event_id"].as_str().unwrap().parse().unwrap())]).await;
    world.run_to_rest(&target.host_port()).await;
    let held = world.database.sql("SELECT id FROM workflow_node_executions WHERE node_id = 'w'").await;
    let answer = api.call(&token, "POST", &format!("/v1/executions/{held}/release"), &Value::Null).await;
    assert_eq!(answer.status, 202);
    build(&world.builder(), &[Message::Wake { execution_id: held.parse().unwrap() }]).await;
    world.run_to_rest(&target.host_port()).await;
    assert_eq!((world.run_state(run_id).await, sub_runs(world).await), ("passed", "0 1 1".into()));
    let [after] = world.outputs("after").await.try_into().expect("one");
    assert_eq!((&after["failed"], &after["results"][0]["status"]), (&json!(1), &json!("failed")));
    let (status, refused) = redrive().await;
    assert_eq!((status, letters().await), (409, 0), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("its part of the run has ended"), "{refused}");
}

#[tokio::test]
async fn an_owner_whose_node_is_removed_ends_after_its_parts_i3() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    let nodes = json!([{ "id": "start", "name": "START", "trigger": "start" }, node("b", "wait", json!({ "for": "1h" }))]);
    world.apply_again(&workflow, nodes, json!([edge("start", "default", "b")])).await;
    for _ in 0..4 {
        world.pass(120).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        world.run_to_rest("").await;
    }
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("0 2 2".into(), "finished cancelled node_removed".into())
    );
    assert_eq!(world.run_state(run_id).await, "cancelled");
}

/// The sub-runs of a run are deleted with it, and are no runs of their own in lists.
#[tokio::test]
async fn parts_are_no_runs_of_their_own() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let (body, edges) = double();
    let workflow = workflow(world, json!({}), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1, 2, 3] })).await;
    world.run_to_rest("").await;
    let runs = api.call(&token, "GET", "/v1/runs", &Value::Null).await;
    assert_eq!(runs.body["runs"].as_array().map(Vec::len), Some(1));
    let executions = api.call(&token, "GET", &format!("/v1/executions?run={run_id}"), &Value::Null).await;
    assert_eq!(executions.body["executions"].as_array().map(Vec::len), Some(5), "those of its parts too");
    let expire = format!(
        "UPDATE workflow_runs SET created_at = now() - interval '1000 days', finished_at = now() - interval '1000 days', expired_at = now() WHERE id = '{run_id}'"
    );
    world.database.sql(&expire).await;
    assert_eq!(world.database.sql(&format!("SELECT delete_expired_run('{run_id}', 1)")).await, "deleted");
    let left = "SELECT (SELECT count(*) FROM workflow_runs) + (SELECT count(*) FROM workflow_events)
        + (SELECT count(*) FROM workflow_node_executions) + (SELECT count(*) FROM execution_joins)";
    assert_eq!(world.database.sql(left).await, "0");
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_its_parts_i3_i8() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    world.database.sql(&format!("UPDATE workflow_runs SET due_at = now() WHERE id = '{run_id}'")).await;
    build(&world.builder(), &[Message::Run { run_id: run_id.into() }]).await;
    world.run_to_rest("").await;
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("0 2 2".into(), "finished cancelled cancelled".into())
    );
    assert_eq!(world.run_state(run_id).await, "failed");
}

/// ✗ What follows an empty list saw neither the run nor its own visits.
#[tokio::test]
async fn what_follows_an_empty_list_sees_the_run_and_counts_its_visits_i10() {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        node("f", "for_each", json!({ "items": [] })),
        { "id": "again", "name": "AGAIN", "component": "transform", "max_visits": 3,
          "configuration": { "output": "{{ root().data.n }}" } },
    ]);
    let edges =
        json!([edge("start", "default", "f"), edge("f", "done", "again"), edge("again", "default", "f")]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = start(&world, &workflow, json!({ "n": 7 })).await;
    world.run_to_rest("").await;
    assert_eq!(world.outputs("again").await, [json!(7), json!(7), json!(7)]);
    assert_eq!(world.run_state(run_id).await, "failed", "the fourth visit is refused");
}

/// ✗ A list whose node became another component went on with nothing to do, and passed.
#[tokio::test]
async fn an_owner_whose_node_is_another_component_now_ends_after_its_parts_i3() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({ "max_parallel": 1 }), &body, &edges).await;
    start(&world, &workflow, json!({ "list": [1, 2] })).await;
    world.run_to_rest("").await;
    let nodes = json!([{ "id": "start", "name": "START", "trigger": "start" }, node("f", "noop", json!({})),
        node("b", "wait", json!({ "for": "1h" }))]);
    world
        .apply_again(&workflow, nodes, json!([edge("start", "default", "f"), edge("f", "default", "b")]))
        .await;
    let held = world.database.sql("SELECT id FROM workflow_node_executions WHERE node_id = 'f'").await;
    world.pass(7_200).await;
    for _ in 0..4 {
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        build(&world.builder(), &[Message::Wake { execution_id: held.parse().unwrap() }]).await;
        world.run_to_rest("").await;
        world.pass(120).await;
    }
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("0 1 1".into(), "finished cancelled node_removed".into())
    );
}

/// ✗ What was scrubbed would be sent beside a secret, by the way of an item.
#[tokio::test]
async fn what_was_scrubbed_goes_into_no_item_i1() {
    let world = World::create().await;
    let (body, edges) = double();
    let workflow =
        workflow(&world, json!({ "items": "{{ [$[\"START\"].data.token] }}" }), &body, &edges).await;
    let run_id = world.start(&workflow, "start", json!({ "token": "[secret:a.b]" })).await;
    let mark = format!(
        "UPDATE workflow_events SET redactions = '{{\"redacted\": [], \"scrubbed\": [\"/token\"]}}' WHERE id = '{run_id}'"
    );
    world.database.sql(&mark).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_rest("").await;
    assert_eq!(
        (sub_runs(&world).await, owner(&world).await),
        ("0 0 0".into(), "finished failed redacted".into())
    );
}
