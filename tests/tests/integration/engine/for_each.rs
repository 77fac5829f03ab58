//! `for_each`: each item has a run of its own within the run, so many at once, and the results come
//! together once (I3, I4, I8).

use domain::access::Role;
use domain::ids::{EventId, ExecutionId};
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::api_world::ApiWorld;
use tests::world::{build, event, execute, messages};
use tests::{Workflow, World};

fn node(id: &str, component: &str, configuration: Value) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": component, "configuration": configuration })
}

fn edge(from: &str, channel: &str, to: &str) -> Value {
    json!({ "from": from, "channel": channel, "to": to })
}

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

async fn start(world: &World, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

/// Delivers the sent messages, until no message is sent any more but those for later.
async fn deliver(world: &World, allow: &str) {
    let (builder, executor) = (world.builder(), world.executor(allow));
    for _ in 0..200 {
        let sent: Vec<_> = world.queues.take().into_iter().filter(|sent| sent.delay_seconds <= 1).collect();
        if sent.is_empty() {
            return;
        }
        let is_execution = |message: &Message| matches!(message, Message::Execution { .. });
        let (work, wakes): (Vec<_>, Vec<_>) = messages(&sent).into_iter().partition(is_execution);
        build(&builder, &wakes).await;
        execute(&executor, &work).await;
    }
    panic!("the run does not come to rest");
}

/// The data of the events that a node has emitted, in their order.
async fn outputs(world: &World, node_id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT coalesce(jsonb_agg(data ORDER BY created_at, id), '[]')::text FROM workflow_events WHERE node_id = '{node_id}'"
    );
    serde_json::from_str(&world.database.sql(&sql).await).unwrap()
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
    deliver(&world, "").await;
    assert_eq!((sub_runs(&world).await, owner(&world).await), ("0 5 5".into(), "finished passed".into()));
    let [after] = outputs(&world, "after").await.try_into().expect("one way on");
    assert_eq!((&after["count"], &after["failed"]), (&json!(5), &json!(0)));
    let results: Vec<Value> =
        after["results"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    let expected: Vec<Value> = (0..5).map(|index| json!({ "twice": 2 * (index + 1), "of": index })).collect();
    assert_eq!(results, expected);
    assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0));
    // What is done looks back past the body.
    let returned = "SELECT count(*) FROM execution_joins WHERE node_id = 'f'";
    assert_eq!(world.database.sql(returned).await, "5");
}

#[tokio::test]
async fn an_empty_list_and_a_body_that_leads_nowhere_end() {
    let world = World::create().await;
    let (body, edges) = double();
    let doubled = workflow(&world, json!({}), &body, &edges).await;
    let run_id = start(&world, &doubled, json!({ "list": [] })).await;
    deliver(&world, "").await;
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 0 0".into()));
    let nothing = workflow(&world, json!({}), &[], &[]).await;
    let run_id = start(&world, &nothing, json!({ "list": [1, 2] })).await;
    deliver(&world, "").await;
    assert_eq!((world.run_state(run_id).await, sub_runs(&world).await), ("passed", "0 2 2".into()));
    let results = outputs(&world, "after").await;
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
    deliver(world, &target.host_port()).await;
    assert_eq!((world.run_state(run_id).await, owner(world).await), ("passed", "finished passed".into()));
    let [after] = outputs(world, "after").await.try_into().expect("one");
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
    deliver(world, &target.host_port()).await;
    assert_eq!(world.run_state(run_id).await, "passed", "an edge took the failure");
    let [told] = outputs(world, "told").await.try_into().expect("one");
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
    deliver(&world, "").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let [after] = outputs(&world, "after").await.try_into().expect("one");
    for (index, result) in after["results"].as_array().unwrap().iter().enumerate() {
        let sources = &result["data"]["sources"];
        assert_eq!((&sources["B"]["b"], &sources["C"]["c"]), (&json!(index + 1), &json!(index + 1)));
    }
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
    deliver(&world, "").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let [after] = outputs(&world, "after").await.try_into().expect("one");
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
    let body = [node("b", "wait", json!({ "for": "1h" }))];
    let edges = [edge("f", "item", "b"), edge("b", "default", "f")];
    let workflow = workflow(world, json!({}), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1, 2, 3] })).await;
    deliver(world, "").await;
    assert_eq!((sub_runs(world).await, owner(world).await), ("3 0 0".into(), "held".into()));
    let answer = api.call(&token, "POST", &format!("/v1/runs/{run_id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202);
    let stops = "SELECT string_agg(DISTINCT stop, ',') FROM workflow_runs";
    assert_eq!(world.database.sql(stops).await, "cancelled,owner", "all are stopped by one commit");
    // The owner's wake comes first, and finds them running.
    let held = "SELECT id FROM workflow_node_executions WHERE node_id = 'f'";
    let owner_id: ExecutionId = world.database.sql(held).await.parse().unwrap();
    build(&world.builder(), &[Message::Wake { execution_id: owner_id }]).await;
    assert_eq!(owner(world).await, "held", "it ends after them");
    // The API's messages are lost.
    for _ in 0..3 {
        world.pass(60).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        deliver(world, "").await;
    }
    assert_eq!(
        (sub_runs(world).await, owner(world).await),
        ("0 3 3".into(), "finished cancelled cancelled".into())
    );
    assert_eq!((world.run_state(run_id).await, world.items().await), ("cancelled", 0));
}

#[tokio::test]
async fn an_owner_that_is_cancelled_by_itself_stops_its_parts_and_its_run_goes_on_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let body = [node("b", "wait", json!({ "for": "1h" }))];
    let edges = [edge("f", "item", "b"), edge("b", "default", "f")];
    let workflow = workflow(world, json!({}), &body, &edges).await;
    let run_id = start(world, &workflow, json!({ "list": [1, 2] })).await;
    deliver(world, "").await;
    let held = "SELECT id FROM workflow_node_executions WHERE node_id = 'f'";
    let id = world.database.sql(held).await;
    let answer = api.call(&token, "POST", &format!("/v1/executions/{id}/cancel"), &Value::Null).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    build(&world.builder(), &[Message::Wake { execution_id: id.parse().unwrap() }]).await;
    assert_eq!(owner(world).await, "held", "it ends after them");
    deliver(world, "").await;
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
