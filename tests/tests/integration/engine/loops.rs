//! `loop`: turns follow each other until a condition holds, each in a run of its own within the run
//! (I3, I8, I10).

use domain::ids::EventId;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::graph::{edge, node};
use tests::world::{build, event, messages};
use tests::{Workflow, World};

/// `start` → `l`; the body is `nodes` and `edges`; `after` takes what is done, and `told` what is not.
async fn workflow(world: &World, settings: Value, body: &[Value], body_edges: &[Value]) -> Workflow {
    let after = json!({ "output": { "ended": "{{ previous().data }}", "seen": "{{ $[\"B\"]?.data.n }}" } });
    let mut nodes = vec![
        json!({ "id": "start", "name": "START", "trigger": "start" }),
        node("l", "loop", settings),
        node("after", "transform", after),
        node("told", "transform", json!({ "output": "{{ previous().data }}" })),
    ];
    nodes.extend(body.iter().cloned());
    let mut edges = ["exhausted", "failure"].map(|channel| edge("l", channel, "told")).to_vec();
    edges.extend([edge("start", "default", "l"), edge("l", "done", "after")]);
    edges.extend(body_edges.iter().cloned());
    world.workflow(json!(nodes), json!(edges)).await
}

/// Counts the turns, and says whether it saw the turn before.
fn counting() -> ([Value; 1], [Value; 2]) {
    let output = json!({
        "n": "{{ $[\"L\"].data.iteration }}", "last": "{{ $[\"L\"].data.last?.n }}", "saw": "{{ $[\"B\"] != nil }}",
    });
    (
        [node("b", "transform", json!({ "output": output }))],
        [edge("l", "next", "b"), edge("b", "default", "l")],
    )
}

/// Waits in each turn.
fn waiting() -> ([Value; 1], [Value; 2]) {
    ([node("b", "wait", json!({ "for": "1h" }))], [edge("l", "next", "b"), edge("b", "default", "l")])
}

async fn start(world: &World, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    build(&world.builder(), &[event(run_id)]).await;
    run_id
}

async fn run(world: &World, workflow: &Workflow, data: Value) -> &'static str {
    let run_id = start(world, workflow, data).await;
    world.run_to_rest("").await;
    world.run_state(run_id).await
}

/// The numbers of the turns.
async fn turns(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(iteration::text, ',' ORDER BY id), '') FROM workflow_runs WHERE parent_run_id IS NOT NULL AND taken_at IS NOT NULL";
    world.database.sql(sql).await
}

async fn reason(world: &World, node_id: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', result, result_reason, result_message) FROM workflow_node_executions WHERE node_id = '{node_id}'"
    );
    world.database.sql(&sql).await
}

#[tokio::test]
async fn turns_follow_each_other_until_the_condition_holds_i3() {
    let world = World::create().await;
    let (body, edges) = counting();
    let workflow = workflow(&world, json!({ "until": "previous().data.n >= 3" }), &body, &edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    assert_eq!(turns(&world).await, "1,2,3");
    let bodies = world.outputs("b").await;
    let expected = |n: i32| json!({ "n": n, "last": (n > 1).then(|| n - 1), "saw": false });
    assert_eq!(bodies, [expected(1), expected(2), expected(3)], "no turn sees an earlier one, but its data");
    let [after] = world.outputs("after").await.try_into().expect("one way on");
    let ended = json!({ "iterations": 3, "reason": "until", "last": expected(3) });
    assert_eq!(after, json!({ "ended": ended, "seen": 3 }), "what comes after it sees its last turn");
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn a_loop_that_gives_up_fails_and_says_why_i10() {
    let world = World::create().await;
    let (body, edges) = counting();
    let settings = json!({ "until": "previous().data.n > 9", "max_iterations": "{{ root().data.most }}" });
    let routed = workflow(&world, settings.clone(), &body, &edges).await;
    assert_eq!(run(&world, &routed, json!({ "most": 2 })).await, "passed", "an edge takes it");
    let [told] = world.outputs("told").await.try_into().expect("one");
    assert_eq!(
        (&told["reason"], &told["iterations"], &told["last"]["n"]),
        (&json!("max_iterations"), &json!(2), &json!(2))
    );
    let until = "`until` did not hold after 2 turns (`max_iterations`)";
    assert_eq!(reason(&world, "l").await, format!("failed component_error {until}"));
    // Without an edge the run fails.
    let nodes =
        json!([{ "id": "start", "name": "START", "trigger": "start" }, node("l", "loop", settings), body[0]]);
    let edges = json!([edge("start", "default", "l"), edges[0], edges[1]]);
    let alone = world.workflow(nodes, edges).await;
    assert_eq!(run(&world, &alone, json!({ "most": 1 })).await, "failed");
}

#[tokio::test]
async fn a_condition_that_holds_before_needs_no_turn() {
    let world = World::create().await;
    let (body, edges) = counting();
    let settings = json!({ "until": "previous().data.n >= 2", "check": "before" });
    let workflow = workflow(&world, settings, &body, &edges).await;
    assert_eq!(run(&world, &workflow, json!({ "n": 2 })).await, "passed");
    assert_eq!(turns(&world).await, "");
    let [after] = world.outputs("after").await.try_into().expect("one");
    assert_eq!(after["ended"], json!({ "iterations": 0, "reason": "until", "last": null }));
    assert_eq!(run(&world, &workflow, json!({ "n": 1 })).await, "passed");
    assert_eq!(turns(&world).await, "1,2");
    assert_eq!(run(&world, &workflow, json!({ "n": "many" })).await, "failed", "it can't be compared");
    let refused =
        "SELECT result_reason FROM workflow_node_executions WHERE node_id = 'l' AND result = 'failed'";
    assert_eq!(world.database.sql(refused).await, "template_error");
}

/// The condition is asked where its data is: the turn fails, and the loop ends at once.
#[tokio::test]
async fn a_condition_that_has_no_answer_fails_its_turn_i3_i9() {
    for until in ["previous().data.none.of", "previous().data.n"] {
        let world = World::create().await;
        let (body, edges) = counting();
        let workflow = workflow(&world, json!({ "until": until }), &body, &edges).await;
        assert_eq!(run(&world, &workflow, json!({})).await, "passed");
        let [told] = world.outputs("told").await.try_into().expect("one");
        assert_eq!((&told["reason"], &told["iterations"]), (&json!("body_ended"), &json!(1)), "{until}");
        let failed = "SELECT result_message FROM workflow_node_executions WHERE node_id = 'l' AND result_reason = 'template_error'";
        assert!(world.database.sql(failed).await.starts_with("configuration.until: "), "{until}");
        assert_eq!(world.items().await, 0);
    }
}

/// ✗ The edge on `error` leaves the loop, and was taken within the turn.
#[tokio::test]
async fn a_condition_that_has_no_answer_takes_no_edge_out_of_its_turn_i3() {
    let world = World::create().await;
    let (body, edges) = counting();
    let mut edges = edges.to_vec();
    edges.push(edge("l", "error", "handler"));
    let handler = node("handler", "transform", json!({ "output": "{{ previous().data.message }}" }));
    let body = [body[0].clone(), handler];
    let workflow = workflow(&world, json!({ "until": "previous().data.none.of" }), &body, &edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    let [told] = world.outputs("told").await.try_into().expect("one");
    assert_eq!(told["reason"], "body_ended");
    assert_eq!(world.outputs("handler").await.len(), 0, "`exhausted` took it");
    let turn = "SELECT result FROM workflow_runs WHERE parent_run_id IS NOT NULL";
    assert_eq!(world.database.sql(turn).await, "failed");
    assert!(reason(&world, "l").await.contains("turn 1 failed: configuration.until: "));
}

#[tokio::test]
async fn a_turn_that_does_not_come_back_ends_the_loop_i3() {
    let world = World::create().await;
    let body = [node("b", "filter", json!({ "expression": "$[\"L\"].data.iteration < 2" }))];
    let edges = [edge("l", "next", "b"), edge("b", "default", "l")];
    let workflow = workflow(&world, json!({ "until": "false" }), &body, &edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    let [told] = world.outputs("told").await.try_into().expect("one");
    assert_eq!((&told["reason"], &told["iterations"]), (&json!("body_ended"), &json!(2)));
    assert_eq!(told["last"], json!({ "iteration": 1, "last": null }), "what the turn before returned");
}

/// A turn ends when nothing of it is open, and the first event that returned counts.
#[tokio::test]
async fn of_several_events_that_return_the_first_one_counts_i3() {
    let world = World::create().await;
    let (mut body, mut edges) = (counting().0.to_vec(), counting().1.to_vec());
    body.push(node("c", "transform", json!({ "output": { "n": -1 } })));
    edges.extend([edge("b", "default", "c"), edge("c", "default", "l")]);
    let workflow = workflow(&world, json!({ "until": "previous().data.n == 2" }), &body, &edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    let [after] = world.outputs("after").await.try_into().expect("one");
    assert_eq!((&after["ended"]["iterations"], &after["ended"]["last"]["n"]), (&json!(2), &json!(2)));
    let returned = "SELECT count(*) FROM execution_joins WHERE node_id = 'l'";
    assert_eq!(world.database.sql(returned).await, "4");
}

/// The wait between turns is a time of the execution: a lost message delays it, and nothing more.
#[tokio::test]
async fn the_next_turn_comes_after_its_delay_i8() {
    let world = World::create().await;
    let (body, edges) = counting();
    let settings =
        json!({ "until": "previous().data.n >= 3", "delay": { "interval": "2m", "strategy": "linear" } });
    let workflow = workflow(&world, settings, &body, &edges).await;
    let run_id = start(&world, &workflow, json!({})).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        world.run_to_rest("").await;
        if world.run_state(run_id).await != "running" {
            break;
        }
        let wait = "SELECT round(extract(epoch FROM wake_at - now()) / 60) FROM workflow_node_executions WHERE node_id = 'l'";
        waits.push(world.database.sql(wait).await);
        let _lost = world.queues.take();
        world.pass(130).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        let sent = world.queues.take();
        build(&world.builder(), &messages(&sent)).await;
    }
    assert_eq!((world.run_state(run_id).await, turns(&world).await), ("passed", "1,2,3".into()));
    assert_eq!(waits, ["2", "4", "2"]);
}

#[tokio::test]
async fn the_time_out_ends_the_turn_first_and_then_the_loop_i3_i8() {
    let world = World::create().await;
    let (body, edges) = waiting();
    let workflow = workflow(&world, json!({ "until": "true", "timeout": "5m" }), &body, &edges).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    for _ in 0..4 {
        world.pass(310).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        world.run_to_rest("").await;
    }
    let [told] = world.outputs("told").await.try_into().expect("one");
    assert_eq!(told, json!({ "iterations": 1, "reason": "timeout", "last": null }));
    assert_eq!(reason(&world, "l").await, "failed component_error the loop timed out in turn 1");
    let turn = "SELECT concat_ws(' ', result, stop) FROM workflow_runs WHERE parent_run_id IS NOT NULL";
    assert_eq!(world.database.sql(turn).await, "cancelled owner");
    assert_eq!((world.run_state(run_id).await, world.items().await), ("passed", 0));
}

#[tokio::test]
async fn lists_and_loops_stand_within_each_other_i3() {
    let world = World::create().await;
    let merge =
        json!({ "until": "$[\"M\"].data.sources.B.n + $[\"M\"].data.sources.C.n >= $[\"F\"].data.item" });
    let add = |n: i32| json!({ "output": { "n": format!("{{{{ {n} * $[\"L\"].data.iteration }}}}") } });
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        node("f", "for_each", json!({ "items": [3, 5] })),
        node("l", "loop", merge),
        node("b", "transform", add(1)),
        node("c", "transform", add(2)),
        node("m", "merge", json!({})),
        node("sum", "transform", json!({ "output": "{{ $[\"L\"].data.iterations * 100 + $[\"B\"].data.n * 10 + $[\"F\"].data.index }}" })),
        node("after", "transform", json!({ "output": "{{ map($[\"F\"].data.results, #.data) }}" })),
    ]);
    let edges = json!([
        edge("start", "default", "f"),
        edge("f", "item", "l"),
        edge("l", "next", "b"),
        edge("l", "next", "c"),
        edge("b", "default", "m"),
        edge("c", "default", "m"),
        edge("m", "success", "l"),
        edge("l", "done", "sum"),
        edge("sum", "default", "f"),
        edge("f", "done", "after"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    assert_eq!(world.outputs("after").await, [json!([110, 221])]);
}

#[tokio::test]
async fn item_and_iteration_are_those_of_the_nearest_owner() {
    let world = World::create().await;
    let seen = json!({ "output": { "item": "{{ item() }}", "iteration": "{{ iteration() }}" } });
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        node("f", "for_each", json!({ "items": ["x", "y"] })),
        node("l", "loop", json!({ "until": "iteration() >= 2 && item() in [\"x\", \"y\"]" })),
        node("b", "transform", seen.clone()),
        node("c", "transform", seen),
    ]);
    let edges = json!([
        edge("start", "default", "f"),
        edge("f", "item", "l"),
        edge("l", "next", "b"),
        edge("b", "default", "l"),
        edge("l", "done", "c"),
        edge("c", "default", "f"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    assert_eq!(run(&world, &workflow, json!({})).await, "passed");
    let pairs = async |node_id: &str| {
        let outputs = world.outputs(node_id).await;
        let mut pairs: Vec<String> =
            outputs.iter().map(|output| format!("{} {}", output["item"], output["iteration"])).collect();
        pairs.sort_unstable();
        pairs
    };
    assert_eq!(pairs("b").await, ["\"x\" 1", "\"x\" 2", "\"y\" 1", "\"y\" 2"]);
    assert_eq!(pairs("c").await, ["\"x\" 0", "\"y\" 1"], "outside of the loop it is the list's");
}

/// ✗ What was redacted in one turn would be read by the next.
#[tokio::test]
async fn what_was_redacted_in_a_turn_stays_so_in_the_next_i1() {
    let world = World::create().await;
    let body = [
        node("b", "noop", json!({})),
        node("second", "filter", json!({ "expression": "$[\"L\"].data.iteration == 2" })),
        node("read", "transform", json!({ "output": "{{ $[\"L\"].data.last }}" })),
    ];
    let edges = [
        edge("l", "next", "b"),
        edge("b", "default", "l"),
        edge("l", "next", "second"),
        edge("second", "default", "read"),
    ];
    let settings = json!({ "until": "$[\"L\"].data.iteration >= 2" });
    let workflow = workflow(&world, settings, &body, &edges).await;
    start(&world, &workflow, json!({})).await;
    let mark = "UPDATE workflow_events SET redactions = '{\"redacted\": [\"/last\"], \"scrubbed\": []}' WHERE node_id = 'l' AND channel = 'next'";
    world.database.sql(mark).await;
    world.run_to_rest("").await;
    let marks = "SELECT redactions FROM workflow_events WHERE node_id = 'l' AND channel = 'next' AND data ->> 'iteration' = '2'";
    assert_eq!(world.database.sql(marks).await, "{\"redacted\": [\"/last/last\"]}");
    let read = "SELECT string_agg(coalesce(result_reason, result), ',' ORDER BY id) FROM workflow_node_executions WHERE node_id = 'read'";
    assert_eq!(world.database.sql(read).await, "redacted");
}
