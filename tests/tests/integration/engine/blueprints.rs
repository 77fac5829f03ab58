//! Runs through blueprints: what is inside sees its inputs and its own names, and joins, errors and
//! redrives know nothing of it (I3).

use domain::access::Role;
use domain::ids::EventId;
use domain::message::Message;
use serde_json::{Value, json};
use tests::api_world::ApiWorld;
use tests::world::{build, event};

async fn put(api: &ApiWorld, token: &str, path: &str, body: &Value) -> Value {
    let answer = api.call(token, "PUT", path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Starts a run and delivers all that is sent, until nothing more is but for later.
async fn run(api: &ApiWorld, token: &str, data: Value, allow: &str) -> EventId {
    let started = api.call(token, "POST", "/v1/workflows/w/runs", &json!({ "data": data })).await;
    assert_eq!(started.status, 202, "{started:?}");
    let run_id: EventId = started.body["run_id"].as_str().unwrap().parse().unwrap();
    build(&api.world.builder(), &[event(run_id)]).await;
    api.world.run_to_rest(allow).await;
    run_id
}

/// The data of the events that a node has emitted in a run, in their order.
async fn outputs(api: &ApiWorld, run_id: EventId, node_id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT coalesce(jsonb_agg(data ORDER BY created_at, id), '[]')::text FROM workflow_events
         WHERE run_id = '{run_id}' AND node_id = '{node_id}'"
    );
    serde_json::from_str(&api.world.database.sql(&sql).await).unwrap()
}

/// Says what it was given, and leaves on `large` or `small`.
fn measure() -> Value {
    json!({
        "name": "measure", "inputs": { "name": {}, "least": { "default": 10 } },
        "nodes": [
            { "id": "say", "name": "Say", "component": "transform",
              "configuration": { "output": { "name": "{{ inputs.name }}", "n": "{{ previous().data.n }}", "least": "{{ inputs.least }}" } } },
            { "id": "look", "name": "Look", "component": "if",
              "configuration": { "expression": "$[\"Say\"].data.n >= inputs.least" } },
        ],
        "edges": [{ "from": "say", "to": "look" }],
        "outputs": [{ "channel": "large", "node": "look", "from_channel": "true" }, { "channel": "small", "node": "look", "from_channel": "false" }],
    })
}

#[tokio::test]
async fn branches_through_blueprints_come_together_by_the_names_that_the_author_gave_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    put(&api, &token, "/v1/blueprints", &measure()).await;
    let node = |id: &str, inputs: Value| json!({ "id": id, "name": id.to_uppercase(), "blueprint": "measure@1", "configuration": { "inputs": inputs } });
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        node("one", json!({ "name": "first" })), node("two", json!({ "name": "second", "least": "{{ root().data.least }}" })),
        { "id": "m", "name": "M", "component": "merge", "configuration": { "sources": ["ONE", "TWO"] } },
        { "id": "after", "name": "After", "component": "transform", "configuration": { "output": {
            "one": "{{ $[\"ONE\"].data.name }}", "of": "{{ $[\"ONE\"].type }}", "sources": "{{ keys($[\"M\"].data.sources) }}", "seen": "{{ keys($) }}",
            "two": "{{ $[\"M\"].data.sources[\"TWO\"] }}" } } },
        { "id": "other", "name": "Other", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "one" }, { "from": "start", "to": "two" },
        { "from": "one", "channel": "large", "to": "m" }, { "from": "two", "channel": "large", "to": "m" },
        { "from": "one", "channel": "small", "to": "m" }, { "from": "two", "channel": "small", "to": "other" },
        { "from": "m", "channel": "success", "to": "after" },
    ]);
    put(&api, &token, "/v1/workflows", &json!({ "name": "w", "nodes": nodes, "edges": edges })).await;
    let run_id = run(&api, &token, json!({ "n": 7, "least": 3 }), "").await;
    let after = outputs(&api, run_id, "after").await;
    let expected = json!({
        "one": "first", "of": "if.false", "sources": ["ONE", "TWO"], "seen": ["M", "ONE", "Start", "TWO"],
        "two": { "name": "second", "n": 7, "least": 3 },
    });
    assert_eq!(after, [expected]);
    assert_eq!(outputs(&api, run_id, "one/say").await, [json!({ "name": "first", "n": 7, "least": 10 })]);
    assert_eq!(api.world.run_state(run_id).await, "passed");
    let arrived = "SELECT string_agg(source_node_id, ',' ORDER BY source_order) FROM execution_joins";
    assert_eq!(api.world.database.sql(arrived).await, "one,two");
    // The second one's branch ends elsewhere, and the merge goes on without it.
    let run_id = run(&api, &token, json!({ "n": 7, "least": 30 }), "").await;
    assert_eq!(outputs(&api, run_id, "after").await[0]["sources"], json!(["ONE"]));
    assert_eq!(
        (outputs(&api, run_id, "other").await.len(), api.world.run_state(run_id).await),
        (1, "passed")
    );
}

#[tokio::test]
async fn each_pass_sees_the_inputs_that_it_began_with_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let blueprint = json!({
        "name": "turn", "inputs": { "round": {} },
        "nodes": [
            { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": 0 } },
            { "id": "next", "name": "Next", "component": "transform", "configuration": { "output": { "round": "{{ inputs.round + 1 }}" } } },
        ],
        "edges": [{ "from": "wait", "to": "next" }],
        "outputs": [{ "channel": "done", "node": "next" }],
    });
    put(&api, &token, "/v1/blueprints", &blueprint).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "t", "name": "T", "blueprint": "turn@1", "max_visits": 4, "configuration": { "inputs": { "round": "{{ previous().data.round ?? 0 }}" } } },
        { "id": "more", "name": "More", "component": "if", "configuration": { "expression": "$[\"T\"].data.round < 3" } },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "t" }, { "from": "t", "channel": "done", "to": "more" },
        { "from": "more", "channel": "true", "to": "t" }, { "from": "more", "channel": "false", "to": "end" },
    ]);
    put(&api, &token, "/v1/workflows", &json!({ "name": "w", "nodes": nodes, "edges": edges })).await;
    let run_id = run(&api, &token, json!({}), "").await;
    let rounds: Vec<Value> =
        outputs(&api, run_id, "t/next").await.iter().map(|data| data["round"].clone()).collect();
    assert_eq!(rounds, [1, 2, 3]);
    assert_eq!((outputs(&api, run_id, "end").await.len(), api.world.run_state(run_id).await), (1, "passed"));
}

#[tokio::test]
async fn inputs_that_fail_leave_on_error_and_what_fails_inside_is_redriven_with_them_i3() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let target = local::target::Target::start().await.unwrap();
    let blueprint = json!({
        "name": "call", "inputs": { "path": {} },
        "nodes": [{ "id": "http", "name": "Http", "component": "http",
            "configuration": { "url": format!("{}/{{{{ inputs.path }}}}/status/400", target.url()) } }],
        "outputs": [{ "channel": "done", "node": "http", "from_channel": "success" }],
    });
    put(&api, &token, "/v1/blueprints", &blueprint).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "c", "name": "C", "blueprint": "call@1", "configuration": { "inputs": { "path": "{{ root().data.path + \"\" }}" } } },
        { "id": "end", "name": "End", "component": "noop" },
        { "id": "told", "name": "Told", "component": "transform", "configuration": { "output": "{{ $[\"C\"].data.reason }}" } },
    ]);
    let edges = json!([
        { "from": "start", "to": "c" }, { "from": "c", "channel": "done", "to": "end" }, { "from": "c", "channel": "error", "to": "told" },
    ]);
    put(&api, &token, "/v1/workflows", &json!({ "name": "w", "nodes": nodes, "edges": edges })).await;
    let allow = target.host_port();
    let run_id = run(&api, &token, json!({ "path": [1] }), &allow).await;
    assert_eq!(outputs(&api, run_id, "told").await, [json!("template_error")]);
    assert_eq!(api.world.run_state(run_id).await, "passed", "an edge took it");
    let run_id = run(&api, &token, json!({ "path": "one" }), &allow).await;
    assert_eq!(api.world.run_state(run_id).await, "failed");
    let failed =
        format!("SELECT id FROM workflow_node_executions WHERE run_id = '{run_id}' AND node_id = 'c/http'");
    let id = api.world.database.sql(&failed).await;
    let redriven = api.call(&token, "POST", &format!("/v1/executions/{id}/redrive"), &Value::Null).await;
    assert_eq!(redriven.status, 202, "{redriven:?}");
    let event_id: EventId = redriven.body["event_id"].as_str().unwrap().parse().unwrap();
    build(&api.world.builder(), &[event(event_id)]).await;
    api.world.run_to_rest(&allow).await;
    let paths: Vec<String> = target.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/one/status/400", "/one/status/400"]);
    assert_eq!(api.world.run_state(run_id).await, "failed");
}

#[tokio::test]
async fn an_apply_with_another_version_changes_what_is_inside_and_removes_what_is_gone() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    put(&api, &token, "/v1/blueprints", &measure()).await;
    let mut second = measure();
    second["nodes"][0]["configuration"]["output"] = json!({ "n": 1 });
    second["nodes"].as_array_mut().unwrap().pop();
    second["edges"] = json!([]);
    second["outputs"] = json!([{ "channel": "large", "node": "say" }]);
    put(&api, &token, "/v1/blueprints", &second).await;
    let workflow = |uses: &str| {
        json!({ "name": "w",
            "nodes": [{ "id": "start", "name": "Start", "trigger": "start" },
                { "id": "p", "name": "P", "blueprint": uses, "configuration": { "inputs": { "name": "x" } } },
                { "id": "end", "name": "End", "component": "noop" }],
            "edges": [{ "from": "start", "to": "p" }, { "from": "p", "channel": "large", "to": "end" }] })
    };
    put(&api, &token, "/v1/workflows", &workflow("measure@1")).await;
    let changed = put(&api, &token, "/v1/workflows", &workflow("measure@2")).await["changes"].clone();
    assert_eq!(changed["changed"], json!([{ "id": "p", "fields": ["blueprint"] }]));
    assert_eq!((&changed["added"], &changed["edges_added"]), (&json!([]), &json!([])));
    let nodes = "SELECT string_agg(node_id || coalesce(' in ' || parent_node_id, '') || CASE WHEN deleted_at IS NULL THEN '' ELSE ' gone' END, ', '
        ORDER BY node_id) FROM workflow_nodes";
    assert_eq!(api.world.database.sql(nodes).await, "end, p, p/look in p gone, p/say in p, start");
    let run_id = run(&api, &token, json!({ "n": 7 }), "").await;
    assert_eq!(outputs(&api, run_id, "end").await, [json!({ "n": 1 })]);
}

/// ✗ What was scrubbed would be sent beside a secret, by the way of an input.
#[tokio::test]
async fn what_was_scrubbed_goes_into_no_input_i1() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    put(&api, &token, "/v1/blueprints", &measure()).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "from", "name": "From", "component": "noop" },
        { "id": "p", "name": "P", "blueprint": "measure@1", "configuration": { "inputs": { "name": "{{ $[\"From\"].data.token }}" } } },
        { "id": "end", "name": "End", "component": "noop" },
    ]);
    let edges = json!([{ "from": "start", "to": "from" }, { "from": "from", "to": "p" }, { "from": "p", "channel": "small", "to": "end" }]);
    put(&api, &token, "/v1/workflows", &json!({ "name": "w", "nodes": nodes, "edges": edges })).await;
    let started = api
        .call(&token, "POST", "/v1/workflows/w/runs", &json!({ "data": { "token": "[secret:a.b]", "n": 1 } }))
        .await;
    let run_id: EventId = started.body["run_id"].as_str().unwrap().parse().unwrap();
    let mark = format!(
        "UPDATE workflow_events SET redactions = '{{\"redacted\": [], \"scrubbed\": [\"/token\"]}}' WHERE id = '{run_id}'"
    );
    api.world.database.sql(&mark).await;
    build(&api.world.builder(), &[event(run_id)]).await;
    api.world.run_to_rest("").await;
    let reason = format!(
        "SELECT concat_ws(' ', result, result_reason) FROM workflow_node_executions WHERE run_id = '{run_id}' AND node_id = 'p'"
    );
    assert_eq!(api.world.database.sql(&reason).await, "failed redacted");
    assert_eq!(outputs(&api, run_id, "p/say").await.len(), 0);
}

#[tokio::test]
async fn a_run_that_began_with_the_version_before_has_the_new_defaults() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let blueprint = |inputs: Value, output: &str| {
        json!({ "name": "late", "inputs": inputs,
            "nodes": [{ "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "1h" } },
                { "id": "say", "name": "Say", "component": "transform", "configuration": { "output": output } }],
            "edges": [{ "from": "wait", "to": "say" }], "outputs": [{ "node": "say" }] })
    };
    let workflow = |uses: &str| {
        json!({ "name": "w",
            "nodes": [{ "id": "start", "name": "Start", "trigger": "start" },
                { "id": "p", "name": "P", "blueprint": uses, "configuration": { "inputs": { "who": "Ada" } } }],
            "edges": [{ "from": "start", "to": "p" }] })
    };
    put(&api, &token, "/v1/blueprints", &blueprint(json!({ "who": {} }), "{{ inputs.who }}")).await;
    put(&api, &token, "/v1/workflows", &workflow("late@1")).await;
    let run_id = run(&api, &token, json!({}), "").await;
    let second = json!({ "who": {}, "how": { "default": "hello" } });
    put(&api, &token, "/v1/blueprints", &blueprint(second, "{{ inputs.how }} {{ inputs.who }}")).await;
    put(&api, &token, "/v1/workflows", &workflow("late@2")).await;
    let held =
        format!("SELECT id FROM workflow_node_executions WHERE run_id = '{run_id}' AND state = 'held'");
    let held = api.world.database.sql(&held).await;
    assert_eq!(
        api.call(&token, "POST", &format!("/v1/executions/{held}/release"), &Value::Null).await.status,
        202
    );
    build(&api.world.builder(), &[Message::Wake { execution_id: held.parse().unwrap() }]).await;
    api.world.run_to_rest("").await;
    assert_eq!(outputs(&api, run_id, "p/say").await, [json!("hello Ada")]);
}

/// ✗ As a container with a life of its own, a part that passes without an output would hold up what is behind it.
#[tokio::test]
async fn a_blueprint_that_leads_nowhere_holds_nothing_up_i8() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let blueprint = json!({
        "name": "sieve", "inputs": {},
        "nodes": [{ "id": "no", "name": "No", "component": "filter", "configuration": { "expression": "false" } }],
        "edges": [], "outputs": [{ "channel": "default", "node": "no" }],
    });
    put(&api, &token, "/v1/blueprints", &blueprint).await;
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "sieve", "name": "Sieve", "blueprint": "sieve@1", "configuration": { "inputs": {} } },
        { "id": "pass", "name": "Pass", "component": "noop" },
        { "id": "both", "name": "Both", "component": "merge" },
        { "id": "after", "name": "After", "component": "transform", "configuration": { "output": "{{ $[\"Both\"].data.missing }}" } },
    ]);
    let edges = json!([
        { "from": "start", "to": "sieve" }, { "from": "start", "to": "pass" }, { "from": "sieve", "to": "both" },
        { "from": "pass", "to": "both" }, { "from": "both", "channel": "success", "to": "after" },
    ]);
    put(&api, &token, "/v1/workflows", &json!({ "name": "w", "nodes": nodes, "edges": edges })).await;
    let run_id = run(&api, &token, json!({}), "").await;
    assert_eq!(outputs(&api, run_id, "after").await, [json!(["Sieve"])]);
    assert_eq!((api.world.run_state(run_id).await, api.world.items().await), ("passed", 0));
}
