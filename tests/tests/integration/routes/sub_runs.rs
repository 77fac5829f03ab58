//! What the API shows of the parts of a run: the sub-runs of an owner, and the work within one.

use domain::access::Role;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use serde_json::{Value, json};
use store::api::{PageRequest, RunFilter, find_top_run, list_runs};
use tests::api_world::{Answer, ApiWorld};
use tests::graph::{edge, node};
use tests::world::{build, event};

/// One row a line, of the fields.
fn rows(answer: &Answer, list: &str, fields: [&str; 2]) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rows = answer.body[list].as_array().unwrap().iter();
    rows.map(|row| fields.map(|field| row[field].to_string().replace('"', "")).join(" ")).collect()
}

fn counts(run: &Value) -> [i64; 4] {
    ["executions", "sub_runs", "sub_runs_running", "sub_runs_failed"]
        .map(|field| run[field].as_i64().expect("a count"))
}

#[tokio::test]
async fn the_parts_of_a_run_are_listed_by_their_owner_and_shown_with_what_is_within_i6() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let get = async |path: String| api.call(&token, "GET", &path, &Value::Null).await;
    let world = &api.world;
    let workflow = world
        .workflow(
            json!([
                { "id": "start", "name": "START", "trigger": "start" },
                node("f", "for_each", json!({ "items": "{{ root().data.list }}", "tolerate": 1 })),
                node("g", "for_each", json!({ "items": "{{ $[\"F\"].data.item }}" })),
                node("b", "transform", json!({ "output": "{{ 12 / $[\"G\"].data.item }}" })),
                node("w", "wait", json!({ "for": "1h" })),
            ]),
            json!([
                { "from": "start", "to": "f" },
                { "from": "f", "channel": "item", "to": "g" },
                { "from": "g", "channel": "item", "to": "b" },
                { "from": "b", "to": "g" },
                { "from": "g", "channel": "done", "to": "f" },
                { "from": "f", "channel": "done", "to": "w" },
            ]),
        )
        .await;
    // The first part has two parts of its own, the second has one, which fails.
    let top = world.start(&workflow, "start", json!({ "list": [[1, 2], [0]] })).await;
    build(&world.builder(), &[event(top)]).await;
    world.run_to_rest("").await;

    // A list of runs has top runs; that of an owner has its sub-runs, newest first.
    let all = get("/v1/runs".to_owned()).await;
    assert_eq!(rows(&all, "runs", ["id", "iteration"]), [format!("{top} null")]);
    let owner = world.database.sql("SELECT id FROM workflow_node_executions WHERE node_id = 'f'").await;
    let parts = get(format!("/v1/runs?parent={owner}")).await;
    assert_eq!(rows(&parts, "runs", ["iteration", "result"]), ["1 failed", "0 passed"]);
    let failed = get(format!("/v1/runs?parent={owner}&result=failed")).await;
    assert_eq!(rows(&failed, "runs", ["iteration", "node_id"]), ["1 f"]);
    let part = &parts.body["runs"][1];
    assert_eq!(
        (&part["parent_run_id"], &part["parent_execution_id"]),
        (&json!(top.to_string()), &json!(owner))
    );
    let first = get(format!("/v1/runs?parent={owner}&limit=1")).await;
    let cursor = first.body["next_cursor"].as_str().expect("there is another");
    let second = get(format!("/v1/runs?parent={owner}&limit=1&cursor={cursor}")).await;
    assert_eq!(rows(&second, "runs", ["iteration", "result"]), ["0 passed"]);

    // A run shows the work of its parts and counts its own; a part shows what is within it alone.
    let shown = get(format!("/v1/runs/{top}")).await;
    assert_eq!(counts(&shown.body["run"]), [2, 5, 0, 2]);
    assert_eq!(shown.body["executions"].as_array().unwrap().len(), 2 + 2 + 3);
    let part_id = part["id"].as_str().unwrap();
    let within = ["b passed", "b passed", "g passed"].map(str::to_owned).to_vec();
    let sorted = |answer: &Answer| {
        let mut found = rows(answer, "executions", ["node_id", "result"]);
        found.sort();
        found
    };
    let shown = get(format!("/v1/runs/{part_id}")).await;
    assert_eq!(counts(&shown.body["run"]), [1, 2, 0, 0]);
    assert_eq!(sorted(&shown), within);
    assert_eq!(sorted(&get(format!("/v1/executions?run={part_id}")).await), within);
    // Each part begins with an event of its owner.
    let events = get(format!("/v1/events?run={part_id}&node=f")).await;
    assert_eq!(events.body["events"].as_array().unwrap().len(), 1, "{}", events.text);
    assert_eq!(events.body["events"][0]["data"]["item"], json!([1, 2]));
    let elsewhere = get(format!("/v1/executions?run={part_id}&node=w")).await;
    assert_eq!(rows(&elsewhere, "executions", ["node_id", "result"]), Vec::<String>::new());

    // A part is not cancelled by itself.
    let refused = api.call(&token, "POST", &format!("/v1/runs/{part_id}/cancel"), &Value::Null).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains(&format!("a part of the run {top}")), "{}", refused.text);
    assert_eq!(world.run_state(top).await, "running");

    // Another organization sees nothing of it.
    let other = OrganizationId::from_u128(7);
    let filter = RunFilter {
        parent_execution_id: Some(owner.parse::<ExecutionId>().unwrap()),
        ..RunFilter::default()
    };
    let page = PageRequest { before: None, rows: 10 };
    assert!(list_runs(world.api(), other, &filter, page).await.unwrap().rows.is_empty());
    let part_id: RunId = part_id.parse().unwrap();
    assert_eq!(find_top_run(world.api(), other, part_id).await.unwrap(), None);
    assert_eq!(find_top_run(world.api(), world.organization_id, part_id).await.unwrap(), Some(RunId(top.0)));
}

#[tokio::test]
async fn what_waits_and_what_failed_is_found_by_a_run_and_by_a_part_of_it() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let nodes = json!([
        { "id": "start", "name": "START", "trigger": "start" },
        node("f", "for_each", json!({ "items": [1, 2] })),
        node("b", "transform", json!({ "output": "{{ 1 / item().none }}" })),
        node("w", "wait", json!({ "for": "1h" })),
    ]);
    let edges = json!([
        edge("start", "default", "f"),
        edge("f", "item", "b"),
        edge("f", "item", "w"),
        edge("w", "default", "f"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let top = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(top)]).await;
    let part = "SELECT id FROM workflow_runs WHERE parent_run_id IS NOT NULL ORDER BY id LIMIT 1";
    let part = world.database.sql(part).await;
    let found = async |list: &str, path: &str, run: &str| {
        let answer = api.call(&token, "GET", &format!("/v1/{path}?run={run}"), &Value::Null).await;
        rows(&answer, list, ["node_id", "run_id"]).len()
    };
    let top = top.to_string();
    assert_eq!(found("queue_items", "queue-items", &top).await, 4);
    assert_eq!(found("queue_items", "queue-items", &part).await, 2);
    world.run_to_rest("").await;
    assert_eq!(found("dead_letters", "dead-letters", &top).await, 2, "the parts still run");
    assert_eq!(found("dead_letters", "dead-letters", &part).await, 1);
}
