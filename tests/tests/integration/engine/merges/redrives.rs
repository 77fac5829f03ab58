//! Redrives before a merge, at one and of one: another join follows.

use domain::ids::ExecutionId;
use store::api::RedriveOutcome;

use super::*;

async fn redrive(world: &World, execution_id: ExecutionId) {
    let (event_id, outcome) = world.redrive(execution_id).await;
    assert!(matches!(outcome, RedriveOutcome::Redriven { .. }), "{outcome:?}");
    build(&world.builder(), &[event(event_id)]).await;
}

#[tokio::test]
async fn a_redrive_joins_anew_with_what_came_before() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let flaky = node("a", "http", json!({ "url": format!("{}/{{{{ root().data.path }}}}", target.url()) }));
    let broken =
        node("b", "transform", json!({ "output": "{{ root().data.fails ? root().data.no.such : 1 }}" }));
    let workflow_of = workflow(&world, &[flaky, broken], json!({ "mode": "all" })).await;
    let run_id = start(&world, &workflow_of, json!({ "path": "echo", "fails": true })).await;
    world.run_to_rest(&target.host_port()).await;
    assert_eq!((joins(&world).await.as_str(), world.run_state(run_id).await), ("finished passed", "failed"));
    assert_eq!(world.outputs("after").await[0]["missing"], json!(["B"]));
    // The node is mended, and its dead letter redriven.
    let flaky = node("a", "http", json!({ "url": target.url() }));
    let mended = workflow_nodes(flaky, pass("b"));
    let workflow_of = world.apply_again(&workflow_of, mended.0, mended.1).await;
    let failed = "SELECT id FROM workflow_node_executions WHERE node_id = 'b' AND result = 'failed'";
    redrive(&world, world.database.sql(failed).await.parse().unwrap()).await;
    world.run_to_rest(&target.host_port()).await;
    assert_eq!(joins(&world).await, "finished passed, finished passed");
    let outputs = world.outputs("after").await;
    assert_eq!((outputs.len(), &outputs[1]["missing"]), (2, &json!([])));
    assert_eq!(outputs[1]["sources"]["B"], json!({ "from": "b" }));
    assert_eq!(arrived(&world).await, "a, a, b", "the second is a copy");
    assert_eq!(world.run_state(run_id).await, "passed");
    let _ = workflow_of;
}

/// A merge that has timed out, and whose missing branch has come too late, passes when it is redriven.
#[tokio::test]
async fn a_redriven_merge_takes_late_arrivals_in() {
    let world = World::create().await;
    let wait = node("b", "wait", json!({ "for": "2h" }));
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" }, pass("a"), wait,
        node("m", "merge", json!({ "timeout": "50s" })),
        node("after", "transform", json!({ "output": "{{ previous().data }}" })),
    ]);
    let edges = json!([
        edge("start", "default", "a"),
        edge("a", "default", "m"),
        edge("start", "default", "b"),
        edge("b", "default", "m"),
        edge("m", "success", "after"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = start(&world, &workflow, json!({})).await;
    for seconds in [50, 7_200] {
        world.pass(seconds).await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        world.run_to_rest("").await;
    }
    assert_eq!(
        (joins(&world).await.as_str(), world.run_state(run_id).await),
        ("finished failed timeout", "failed")
    );
    assert_eq!(arrived(&world).await, "a, b late");
    let failed = "SELECT id FROM workflow_node_executions WHERE node_id = 'm'";
    redrive(&world, world.database.sql(failed).await.parse().unwrap()).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "finished failed timeout, finished passed");
    let outputs = world.outputs("after").await;
    assert_eq!((outputs.len(), &outputs[0]["missing"]), (1, &json!([])));
    assert_eq!(world.run_state(run_id).await, "passed");
}

/// A merge that failed for a dead branch is followed by another one once that branch is redriven: then the
/// first one fails its run no more, and can't be redriven too.
#[tokio::test]
async fn a_merge_that_is_followed_by_another_fails_its_run_no_more() {
    let world = World::create().await;
    let broken = node("b", "transform", json!({ "output": "{{ root().data.no.such }}" }));
    let nodes = |b: Value| {
        json!([
            { "id": "start", "name": "START", "trigger": "start" }, pass("a"), b,
            node("m", "merge", json!({ "dead_sources": "fail" })),
            node("after", "transform", json!({ "output": "{{ previous().data }}" })),
        ])
    };
    let edges = json!([
        edge("start", "default", "a"),
        edge("a", "default", "m"),
        edge("start", "default", "b"),
        edge("b", "default", "m"),
        edge("m", "success", "after"),
    ]);
    let workflow = world.workflow(nodes(broken), edges.clone()).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(
        (joins(&world).await.as_str(), world.run_state(run_id).await),
        ("finished failed component_error", "failed")
    );
    world.apply_again(&workflow, nodes(pass("b")), edges).await;
    let failed = |node: &str| {
        format!("SELECT id FROM workflow_node_executions WHERE node_id = '{node}' AND result = 'failed'")
    };
    redrive(&world, world.database.sql(&failed("b")).await.parse().unwrap()).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "finished failed component_error, finished passed");
    assert_eq!((world.outputs("after").await.len(), world.run_state(run_id).await), (1, "passed"));
    let first = world.database.sql(&failed("m")).await.parse().unwrap();
    let (_, refused) = world.redrive(first).await;
    assert_eq!(refused, RedriveOutcome::Refused("another join of this node has followed it in its run"));
}

/// An event that fails at the merge, before it arrives, is a failure like any other, whatever the merge
/// comes to later: it fails the run, and its redrive arrives as the event that it is.
#[tokio::test]
async fn an_event_that_fails_at_a_merge_fails_its_run_until_it_is_redriven() {
    let world = World::create().await;
    let merge = |stop_if: &str| {
        let (mut nodes, mut edges) = workflow_nodes(pass("a"), pass("b"));
        nodes[3]["configuration"] = json!({ "stop_if": stop_if });
        edges[1]["channel"] = json!("default");
        (nodes, edges)
    };
    let (nodes, edges) = merge(r#"previous().data.from == "a" ? "neither" : false"#);
    let workflow = world.workflow(nodes, edges).await;
    let run_id = start(&world, &workflow, json!({})).await;
    world.run_to_rest("").await;
    assert_eq!(joins(&world).await, "finished failed component_error, finished passed");
    assert_eq!((arrived(&world).await.as_str(), world.run_state(run_id).await), ("b", "failed"));
    let (nodes, edges) = merge("false");
    world.apply_again(&workflow, nodes, edges).await;
    let failed = "SELECT id FROM workflow_node_executions WHERE node_id = 'm' AND result = 'failed'";
    redrive(&world, world.database.sql(failed).await.parse().unwrap()).await;
    world.run_to_rest("").await;
    assert_eq!((arrived(&world).await.as_str(), world.run_state(run_id).await), ("b, b, a", "passed"));
    let outputs = world.outputs("after").await;
    assert_eq!((outputs.len(), &outputs[1]["missing"]), (2, &json!([])));
}

#[tokio::test]
async fn a_merge_that_an_event_has_stopped_goes_on_when_it_is_redriven() {
    for stopping in ["a", "b"] {
        let world = World::create().await;
        let (mut nodes, mut edges) = workflow_nodes(pass("a"), pass("b"));
        nodes[3]["configuration"] = json!({ "stop_if": format!("previous().data.from == \"{stopping}\"") });
        edges[1]["channel"] = json!("default");
        let workflow = world.workflow(nodes, edges).await;
        let run_id = start(&world, &workflow, json!({})).await;
        world.run_to_rest("").await;
        assert_eq!(
            (joins(&world).await.as_str(), world.run_state(run_id).await),
            ("finished failed component_error", "failed")
        );
        let failed = "SELECT id FROM workflow_node_executions WHERE node_id = 'm'";
        redrive(&world, world.database.sql(failed).await.parse().unwrap()).await;
        world.run_to_rest("").await;
        assert_eq!(joins(&world).await, "finished failed component_error, finished passed", "{stopping}");
        assert_eq!(world.run_state(run_id).await, "passed");
    }
}
