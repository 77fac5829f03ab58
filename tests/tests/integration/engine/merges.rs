//! `merge`: branches come together once, whatever comes first, dies or is late (I3, I8).

mod redrives;

use domain::ids::EventId;
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::crash::Guard;
use tests::graph::{edge, node};
use tests::world::{build, event, execute, messages};
use tests::{PostgresWire, Workflow, World};

/// `start` goes to these nodes at once, each of which comes to the merge on the channel `default`, or
/// `success` if it is an `http`. `after` takes what the merge passes, and `told` what fails.
async fn workflow(world: &World, branches: &[Value], configuration: Value) -> Workflow {
    let mut nodes = vec![json!({ "id": "start", "name": "START", "trigger": "start" })];
    nodes.extend(branches.iter().cloned());
    nodes.push(node("m", "merge", configuration));
    nodes.push(node("after", "transform", json!({ "output": "{{ previous().data }}" })));
    nodes.push(node("told", "transform", json!({ "output": "{{ previous().data }}" })));
    let mut edges = Vec::new();
    for branch in branches {
        let id = branch["id"].as_str().unwrap();
        let channel = if branch["component"] == "http" { "success" } else { "default" };
        edges.extend([edge("start", "default", id), edge(id, channel, "m")]);
    }
    edges.extend([edge("m", "success", "after"), edge("m", "fail", "told"), edge("m", "timeout", "told")]);
    world.workflow(json!(nodes), json!(edges)).await
}

fn pass(id: &str) -> Value {
    node(id, "transform", json!({ "output": { "from": id } }))
}

fn filter(id: &str, field: &str) -> Value {
    node(id, "filter", json!({ "expression": format!("root().data.{field}") }))
}

async fn start(world: &World, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

/// State, result and reason of each join of the merge, in their order.
async fn joins(world: &World) -> String {
    let sql =
        "SELECT coalesce(string_agg(concat_ws(' ', state, result, result_reason), ', ' ORDER BY id), 'none')
        FROM workflow_node_executions WHERE node_id = 'm'";
    world.database.sql(sql).await
}

/// Sources of the arrivals in their order, with a mark for late ones.
async fn arrived(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(source_node_id || CASE WHEN is_late THEN ' late' ELSE '' END, ', ' ORDER BY arrived), 'none')
        FROM execution_joins";
    world.database.sql(sql).await
}

#[tokio::test]
async fn branches_come_together_once_with_all_their_data_i3() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let http = |id: &str| {
        node(
            id,
            "http",
            json!({ "url": format!("{}/echo", target.url()), "method": "POST", "body": { "json": { "of": id } } }),
        )
    };
    let workflow = workflow(&world, &[http("a"), pass("b"), http("c")], json!({})).await;
    let run_id = start(&world, &workflow, json!({})).await;
    assert_eq!((joins(&world).await, arrived(&world).await), ("held".into(), "b".into()));
    world.run_to_rest(&target.host_port()).await;
    assert_eq!(joins(&world).await, "finished passed");
    let outputs = world.outputs("after").await;
    assert_eq!(outputs.len(), 1, "one way on");
    let sources = outputs[0]["sources"].as_object().unwrap();
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["A", "B", "C"]);
    assert_eq!(sources["B"], json!({ "from": "b" }));
    assert_eq!((&outputs[0]["reason"], &outputs[0]["missing"]), (&json!("arrived"), &json!([])));
    assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0));
    let facts = "SELECT metadata #>> '{merge,arrived}' FROM workflow_node_executions WHERE node_id = 'm'";
    assert_eq!(world.database.sql(facts).await, r#"["A", "B", "C"]"#);
}

/// ✗✗ A filter that says no before the other branch comes: the commonest case of all. And a run that
/// ended `passed` and told nobody.
#[tokio::test]
async fn a_branch_that_dies_is_asked_about_whenever_it_dies() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let slow = || node("a", "http", json!({ "url": format!("{}/echo", target.url()) }));
    // The filter says no at once, long before the http comes.
    let skipping = workflow(&world, &[slow(), filter("b", "yes")], json!({})).await;
    let run_id = start(&world, &skipping, json!({ "yes": false })).await;
    assert_eq!(joins(&world).await, "none");
    world.run_to_rest(&target.host_port()).await;
    assert_eq!((joins(&world).await, world.run_state(run_id).await), ("finished passed".into(), "passed"));
    assert_eq!(world.outputs("after").await[0]["missing"], json!(["B"]));
    // The http fails after the filter has come: its end is what the merge waits for.
    let world = World::create().await;
    let failing = node("a", "http", json!({ "url": format!("{}/status/500", target.url()) }));
    let workflow = workflow(&world, &[failing, filter("b", "yes")], json!({ "dead_sources": "fail" })).await;
    let run_id = start(&world, &workflow, json!({ "yes": true })).await;
    assert_eq!(joins(&world).await, "held");
    world.run_to_rest(&target.host_port()).await;
    assert_eq!(joins(&world).await, "finished failed component_error");
    let told = world.outputs("told").await;
    assert_eq!((&told[0]["reason"], &told[0]["missing"]), (&json!("dead_sources"), &json!(["A"])));
    assert_eq!(world.run_state(run_id).await, "failed", "the http's failure went nowhere");
}

#[tokio::test]
async fn a_failure_of_the_merge_that_an_edge_takes_does_not_fail_the_run() {
    let result = async |takes: bool| {
        let world = World::create().await;
        let nodes = json!([
            { "id": "start", "name": "START", "trigger": "start" },
            filter("a", "a"), filter("b", "b"),
            node("m", "merge", json!({ "dead_sources": "fail" })),
            node("told", "noop", json!({})),
        ]);
        let mut edges = vec![
            edge("start", "default", "a"),
            edge("start", "default", "b"),
            edge("a", "default", "m"),
            edge("b", "default", "m"),
        ];
        if takes {
            edges.push(edge("m", "fail", "told"));
        }
        let workflow = world.workflow(nodes, json!(edges)).await;
        let run_id = start(&world, &workflow, json!({ "a": true, "b": false })).await;
        world.run_to_rest("").await;
        assert_eq!(joins(&world).await, "finished failed component_error");
        world.run_state(run_id).await
    };
    assert_eq!((result(true).await, result(false).await), ("passed", "failed"));
}

#[tokio::test]
async fn any_and_a_quorum_go_on_early_and_what_comes_after_is_late_i3() {
    let target = Target::start().await.unwrap();
    let check = async |configuration: Value, before: &str, after: &str| {
        let world = World::create().await;
        let slow = node("c", "http", json!({ "url": format!("{}/echo", target.url()) }));
        let workflow = workflow(&world, &[pass("a"), pass("b"), slow], configuration.clone()).await;
        let run_id = start(&world, &workflow, json!({})).await;
        // The builder's own messages; the executor is slower.
        let sent = world.queues.take();
        let (wakes, rest): (Vec<_>, Vec<_>) =
            messages(&sent).into_iter().partition(|message| matches!(message, Message::Wake { .. }));
        build(&world.builder(), &wakes).await;
        assert_eq!(joins(&world).await, before, "{configuration}");
        execute(&world.executor(&target.host_port()), &rest).await;
        world.run_to_rest(&target.host_port()).await;
        assert_eq!(
            (arrived(&world).await, joins(&world).await.as_str()),
            (after.to_owned(), "finished passed")
        );
        assert_eq!(world.outputs("after").await.len(), 1, "{configuration}");
        assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0), "{configuration}");
    };
    check(json!({ "mode": "any" }), "finished passed", "a, b, c late").await;
    check(json!({ "mode": "quorum", "quorum": 2 }), "finished passed", "a, b, c late").await;
    check(json!({ "mode": "quorum", "quorum": 3 }), "held", "a, b, c").await;
    check(json!({ "sources": ["A", "C"] }), "held", "a, b, c").await;
}

#[tokio::test]
async fn an_event_that_meets_stop_if_ends_the_merge() {
    let world = World::create().await;
    let wait = node("c", "wait", json!({ "for": "1h" }));
    let stop_if = r#"previous().data.from == "b""#;
    let workflow = workflow(&world, &[pass("a"), pass("b"), wait], json!({ "stop_if": stop_if })).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "finished failed component_error");
    assert_eq!(world.outputs("told").await[0]["reason"], "stop_if");
    assert_eq!(world.run_state(run_id).await, "running", "the other branch goes on");
    world.pass(3_600).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!((arrived(&world).await, world.run_state(run_id).await), ("a, b, c late".into(), "passed"));
}

#[tokio::test]
async fn a_merge_times_out_while_a_branch_is_open_i8() {
    let world = World::create().await;
    let wait = node("b", "wait", json!({ "for": "2 days" }));
    let workflow = workflow(&world, &[pass("a"), wait], json!({ "timeout": "30s" })).await;
    start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "held");
    world.pass(30).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "finished failed timeout");
    let told = world.outputs("told").await;
    assert_eq!((&told[0]["reason"], &told[0]["missing"]), (&json!("timeout"), &json!(["B"])));
}

/// The names of a node behind a merge: all that its branches have seen.
#[tokio::test]
async fn a_node_behind_merges_sees_all_that_came_before_them() {
    let world = World::create().await;
    let read = node(
        "read",
        "transform",
        json!({ "output": {
            "a": "{{ $[\"A\"].data.from }}",
            "deep": "{{ $[\"DEEP\"].data.from }}",
            "c": "{{ $[\"C\"].data.from }}",
            "m": "{{ $[\"M\"].data.missing }}",
            "previous": "{{ previous().node }}",
            "before": "{{ previous(2).node }}",
            "names": "{{ keys($) }}",
        } }),
    );
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        pass("deep"), pass("a"), pass("b"), pass("c"),
        node("m", "merge", json!({})), node("n", "merge", json!({})), read,
    ]);
    let edges = json!([
        edge("start", "default", "deep"),
        edge("deep", "default", "a"),
        edge("start", "default", "b"),
        edge("start", "default", "c"),
        edge("a", "default", "m"),
        edge("b", "default", "m"),
        edge("m", "success", "n"),
        edge("c", "default", "n"),
        edge("n", "success", "read"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let read = world.outputs("read").await.remove(0);
    assert_eq!(
        read,
        json!({
            "a": "a", "deep": "deep", "c": "c", "m": [], "previous": "N", "before": "M",
            "names": ["A", "B", "C", "DEEP", "M", "N", "START"],
        })
    );
}

fn workflow_nodes(a: Value, b: Value) -> (Value, Value) {
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        a, b,
        node("m", "merge", json!({ "mode": "all" })),
        node("after", "transform", json!({ "output": "{{ previous().data }}" })),
    ]);
    let edges = json!([
        edge("start", "default", "a"),
        edge("a", "success", "m"),
        edge("start", "default", "b"),
        edge("b", "default", "m"),
        edge("m", "success", "after"),
    ]);
    (nodes, edges)
}

#[tokio::test]
async fn an_apply_that_takes_a_branch_away_lets_a_merge_decide_i8() {
    let world = World::create().await;
    let wait = node("b", "wait", json!({ "for": "2 days" }));
    let (nodes, edges) = workflow_nodes(node("a", "noop", json!({})), wait);
    let edges = json!(
        edges
            .as_array()
            .unwrap()
            .iter()
            .map(|edge| {
                let mut edge = edge.clone();
                if edge["from"] == "a" {
                    edge["channel"] = json!("default");
                }
                edge
            })
            .collect::<Vec<_>>()
    );
    let workflow = world.workflow(nodes.clone(), edges.clone()).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "held");
    let edges =
        json!(edges.as_array().unwrap().iter().filter(|edge| edge["from"] != "b").collect::<Vec<_>>());
    let world_workflow = world.apply_again(&workflow, nodes, edges).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!((joins(&world).await.as_str(), world.run_state(run_id).await), ("finished passed", "running"));
    let _ = world_workflow;
}

#[tokio::test]
async fn a_cancelled_run_ends_its_merge_and_what_arrives_later_goes_nowhere() {
    let world = World::create().await;
    let wait = node("b", "wait", json!({ "for": "1h" }));
    let workflow = workflow(&world, &[pass("a"), wait], json!({})).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    world.cancel(run_id).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!(
        (joins(&world).await.as_str(), world.run_state(run_id).await),
        ("finished cancelled cancelled", "cancelled")
    );
    assert_eq!(world.outputs("m").await, Vec::<Value>::new());
}

/// A run has no open join whose cause nobody knows: all messages are lost, and the sweeper's are enough.
#[tokio::test]
async fn a_merge_whose_messages_are_all_lost_decides_within_two_minutes_i8() {
    let world = World::create().await;
    let workflow = workflow(&world, &[pass("a"), filter("b", "yes"), pass("c")], json!({})).await;
    let run_id = start(&world, &workflow, json!({ "yes": false })).await;
    let _ = world.queues.take();
    assert_eq!(joins(&world).await, "held");
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!((joins(&world).await.as_str(), world.run_state(run_id).await), ("finished passed", "passed"));
}

/// ✗✗ With a lock of the node, a dead branch and the first arrival look past each other. The builder
/// of the arrival is stopped before its commit, and the branch dies meanwhile.
#[tokio::test]
async fn a_dead_branch_and_the_first_arrival_do_not_look_past_each_other() {
    for first in ["arrival", "end"] {
        let world = World::create().await;
        let target = Target::start().await.unwrap();
        let failing = node("a", "http", json!({ "url": format!("{}/status/500", target.url()) }));
        let slow = node("b", "wait", json!({ "for": "60s" }));
        let workflow = workflow(&world, &[failing, slow], json!({ "dead_sources": "fail" })).await;
        let run_id = start(&world, &workflow, json!({})).await;
        let sent = messages(&world.queues.take());
        let (wakes, work): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|message| matches!(message, Message::Wake { .. }));
        world.pass(60).await;
        // The wait ends, and its event waits at the merge.
        build(&world.builder(), &wakes).await;
        let arrival = messages(&world.queues.take());
        let wire = PostgresWire::to(world.database.host_port()).await;
        let builder = world.builder_at(wire.url(&world.database.url("builder")));
        let executor = world.executor(&target.host_port());
        if first == "arrival" {
            let held = wire.hold("/* record_arrivals */");
            let building = build(&builder, &arrival);
            let ending = async {
                held.wait_for_arrival().await;
                let end = execute(&executor, &work);
                let release = async {
                    world.database.wait_for_blocked(1).await;
                    held.let_through();
                };
                futures_util::future::join(end, release).await
            };
            futures_util::future::join(building, ending).await;
        } else {
            execute(&executor, &work).await;
            build(&builder, &arrival).await;
        }
        world.run_to_rest(&target.host_port()).await;
        assert_eq!(joins(&world).await, "finished failed component_error", "{first} first");
        assert_eq!(world.run_state(run_id).await, "failed");
    }
}

/// ✗✗ A merge that asks about the nodes before it alone decides while an event waits in its own queue.
#[tokio::test]
async fn a_merge_does_not_decide_while_an_event_waits_at_it() {
    assert_eq!(decided_beside_an_event(true).await, ("finished passed".to_owned(), "a, b late".to_owned()));
    assert_eq!(decided_beside_an_event(false).await, ("held".to_owned(), "a, b".to_owned()));
}

/// The state of a merge that is woken while an event waits at it, and what has arrived in the end.
async fn decided_beside_an_event(is_naive: bool) -> (String, String) {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let http = |id: &str| node(id, "http", json!({ "url": format!("{}/echo", target.url()) }));
    let workflow = workflow(&world, &[http("a"), http("b")], json!({})).await;
    let run_id = start(&world, &workflow, json!({})).await;
    let work = messages(&world.queues.take());
    execute(&world.executor(&target.host_port()), &work[..1]).await;
    let first = messages(&world.queues.take());
    build(&world.builder(), &first).await;
    let wake = messages(&world.queues.take());
    execute(&world.executor(&target.host_port()), &work[1..]).await;
    assert_eq!((joins(&world).await.as_str(), world.items().await), ("held", 1));
    let wire = PostgresWire::to(world.database.host_port()).await;
    if is_naive {
        Guard::OwnQueue.take_out_of(&wire);
    }
    build(&world.builder_at(wire.url(&world.database.url("builder"))), &wake).await;
    assert_eq!(wire.removals() > 0, is_naive, "the guard has another text now");
    let decided = joins(&world).await;
    world.run_to_rest("").await;
    assert_eq!(world.run_state(run_id).await, "passed");
    (decided, arrived(&world).await)
}

/// Twenty branches arrive in the hands of four builders at once: one join, and each event is in it.
#[tokio::test]
async fn arrivals_of_builders_at_the_same_time_make_one_join_i3() {
    let world = World::create().await;
    let ids: Vec<String> = (0..20).map(|n| format!("b{n}")).collect();
    let branches: Vec<Value> = ids.iter().map(|id| pass(id)).collect();
    let workflow = workflow(&world, &branches, json!({})).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builders: Vec<_> = (0..4).map(|_| world.builder()).collect();
    let messages: Vec<Message> =
        ids.iter().map(|id| Message::Node { workflow_id: workflow.id, node_id: id.clone() }).collect();
    futures_util::future::join_all(
        builders.iter().zip(messages.chunks(5)).map(|(builder, messages)| build(builder, messages)),
    )
    .await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    world.run_to_rest("").await;
    assert_eq!((joins(&world).await.as_str(), world.run_state(run_id).await), ("finished passed", "passed"));
    assert_eq!(world.database.count("SELECT count(*) FROM execution_joins").await, 20);
    assert_eq!(world.outputs("after").await.len(), 1);
}

#[tokio::test]
async fn an_open_merge_decides_by_what_was_applied_last() {
    let world = World::create().await;
    let wait = node("b", "wait", json!({ "for": "1h" }));
    let first = workflow_nodes(node("a", "http", json!({ "url": "https://x.test" })), wait.clone());
    let with = |mode: Value, name: &str| {
        let mut nodes = first.0.clone();
        nodes[1] = json!({ "id": "a", "name": name, "component": "noop" });
        nodes[3]["configuration"] = mode;
        let mut edges = first.1.clone();
        edges[1]["channel"] = json!("default");
        (nodes, edges)
    };
    let (nodes, edges) = with(json!({ "sources": ["A", "B"] }), "A");
    let workflow = world.workflow(nodes, edges).await;
    start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "held");
    let (nodes, edges) = with(json!({ "sources": ["EU"] }), "EU");
    world.apply_again(&workflow, nodes, edges).await;
    let wake = Message::Wake {
        execution_id: world
            .database
            .sql("SELECT id FROM workflow_node_executions WHERE node_id = 'm'")
            .await
            .parse()
            .unwrap(),
    };
    world.pass(60).await;
    build(&world.builder(), &[wake]).await;
    assert_eq!(joins(&world).await, "finished passed");
    assert_eq!(world.outputs("m").await[0]["sources"], json!({ "EU": {} }));
}
