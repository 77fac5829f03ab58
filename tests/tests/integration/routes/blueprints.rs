//! Blueprints over the API: versions, what uses them, upgrades, and other tenants.

use domain::access::Role;
use domain::limits::BLUEPRINT_VERSIONS_MAX;
use serde_json::{Value, json};
use tests::api_world::{Answer, ApiWorld};

fn blueprint(output: &str, inputs: Value) -> Value {
    json!({
        "name": "greet", "description": "says something", "inputs": inputs,
        "nodes": [{ "id": "say", "name": "Say", "component": "transform", "configuration": { "output": output } }],
        "outputs": [{ "channel": "done", "node": "say" }],
    })
}

fn workflow(name: &str, uses: &str, inputs: Value) -> Value {
    json!({
        "name": name,
        "nodes": [
            { "id": "start", "name": "Start", "trigger": "start" },
            { "id": "g", "name": "Greet", "blueprint": uses, "configuration": { "inputs": inputs } },
            { "id": "end", "name": "End", "component": "noop" },
        ],
        "edges": [{ "from": "start", "to": "g" }, { "from": "g", "channel": "done", "to": "end" }],
    })
}

async fn put(api: &ApiWorld, token: &str, path: &str, body: &Value) -> Answer {
    api.call(token, "PUT", path, body).await
}

async fn passed(api: &ApiWorld, token: &str, path: &str, body: &Value) -> Value {
    let answer = put(api, token, path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn what_differs_becomes_the_next_version_and_no_version_changes() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let first = blueprint("{{ inputs.who }}", json!({ "who": {} }));
    let checked = passed(&api, &token, "/v1/blueprints?check=true", &first).await;
    assert_eq!((&checked["applied"], &checked["blueprint"]), (&json!(false), &Value::Null));
    let applied = passed(&api, &token, "/v1/blueprints", &first).await;
    assert_eq!((&applied["applied"], &applied["blueprint"]["version"]), (&json!(true), &json!(1)));
    let again = passed(&api, &token, "/v1/blueprints", &first).await;
    assert_eq!((&again["applied"], &again["blueprint"]["version"]), (&json!(false), &json!(1)));
    let second = blueprint("hello {{ inputs.who }}", json!({ "who": { "default": "you" } }));
    assert_eq!(passed(&api, &token, "/v1/blueprints", &second).await["blueprint"]["version"], 2);
    let shown = api.call(&token, "GET", "/v1/blueprints/greet@1", &Value::Null).await.body;
    assert_eq!(shown["nodes"][0]["configuration"]["output"], "{{ inputs.who }}");
    assert_eq!((&shown["versions"], &shown["version"]), (&json!([2, 1]), &json!(1)));
    let newest = api.call(&token, "GET", "/v1/blueprints/greet", &Value::Null).await.body;
    assert_eq!((&newest["version"], &newest["inputs"]["who"]["default"]), (&json!(2), &json!("you")));
    let list = api.call(&token, "GET", "/v1/blueprints", &Value::Null).await.body;
    assert_eq!(
        (list["blueprints"].as_array().unwrap().len(), &list["blueprints"][0]["version"]),
        (1, &json!(2))
    );
    let refused = put(&api, &token, "/v1/blueprints", &json!({ "name": "greet", "nodes": [] })).await;
    assert_eq!(
        (refused.status, refused.body["errors"].as_array().map(Vec::len)),
        (422, Some(2)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_version_that_is_used_is_not_deleted_and_its_number_comes_once() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let first = blueprint("{{ inputs.who }}", json!({ "who": {} }));
    passed(&api, &token, "/v1/blueprints", &first).await;
    passed(&api, &token, "/v1/blueprints", &blueprint("hello", json!({}))).await;
    passed(&api, &token, "/v1/workflows", &workflow("w", "greet@1", json!({ "who": "a" }))).await;
    let around = json!({
        "name": "around", "outputs": [{ "node": "g", "channel": "out", "from_channel": "done" }],
        "nodes": [{ "id": "g", "name": "G", "blueprint": "greet@2" }],
    });
    passed(&api, &token, "/v1/blueprints", &around).await;
    let delete = async |name: &str| {
        let answer = api.call(&token, "DELETE", &format!("/v1/blueprints/{name}"), &Value::Null).await;
        (answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(delete("greet@1").await, (409, "it is used by `w`".into()));
    assert_eq!(delete("greet@2").await, (409, "it is used by `around@1`".into()));
    assert_eq!(delete("greet").await, (409, "it is used by `w`, `around@1`".into()));
    assert_eq!(delete("around").await.0, 200);
    assert_eq!(delete("greet@2").await.0, 200);
    assert_eq!(delete("greet@2").await.0, 404);
    let used = put(&api, &token, "/v1/workflows", &workflow("x", "greet@2", json!({}))).await;
    assert_eq!(used.status, 422);
    assert!(
        used.text.contains("there is no version 2 of the blueprint `greet`; the newest is 1"),
        "{used:?}"
    );
    let third = passed(&api, &token, "/v1/blueprints", &blueprint("third", json!({}))).await;
    assert_eq!(third["blueprint"]["version"], 3);
    // Deleted with its workflow, a user is none any more.
    assert_eq!(api.call(&token, "DELETE", "/v1/workflows/w", &Value::Null).await.status, 204);
    assert_eq!(delete("greet").await.0, 200);
}

#[tokio::test]
async fn an_upgrade_applies_what_uses_another_version_and_says_what_it_can_not() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    passed(&api, &token, "/v1/blueprints", &blueprint("{{ inputs.who }}", json!({ "who": {} }))).await;
    for name in ["a", "b"] {
        passed(&api, &token, "/v1/workflows", &workflow(name, "greet@1", json!({ "who": name }))).await;
    }
    let second =
        blueprint("{{ inputs.who }} {{ inputs.how }}", json!({ "who": {}, "how": { "default": "!" } }));
    passed(&api, &token, "/v1/blueprints", &second).await;
    let upgrade = async |path: &str| {
        let answer = api.call(&token, "POST", &format!("/v1/blueprints/{path}"), &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let workflows = answer.body["workflows"].as_array().cloned().unwrap_or_default();
        let line = |workflow: &Value| {
            format!("{} {} {}", workflow["name"].as_str().unwrap(), workflow["applied"], workflow["refused"])
        };
        workflows.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(upgrade("greet/upgrade?check=true").await, ["a false null", "b false null"]);
    assert_eq!(upgrade("greet/upgrade?workflow=a").await, ["a true null"]);
    let uses = async |name: &str| {
        let shown = api.call(&token, "GET", &format!("/v1/workflows/{name}"), &Value::Null).await.body;
        assert_eq!(shown["nodes"].as_array().unwrap().len(), 3, "as its author wrote it");
        assert_eq!(
            shown["edges"],
            workflow("", "", json!({}))["edges"].as_array().map_or(json!([]), |edges| {
                let with_channel = |edge: &Value| {
                    let mut edge = edge.clone();
                    edge["channel"] = edge.get("channel").cloned().unwrap_or(json!("default"));
                    edge
                };
                edges.iter().map(with_channel).collect()
            })
        );
        shown["nodes"][1]["blueprint"].as_str().unwrap().to_owned()
    };
    assert_eq!((uses("a").await, uses("b").await), ("greet@2".into(), "greet@1".into()));
    let inner = "SELECT string_agg(w.name || ' ' || (n.configuration ->> 'output'), ', ' ORDER BY w.name)
        FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id WHERE n.node_id = 'g/say'";
    assert_eq!(
        api.world.database.sql(inner).await,
        "a {{ inputs.who }} {{ inputs.how }}, b {{ inputs.who }}"
    );
    // A third one wants an input that nobody gives.
    passed(&api, &token, "/v1/blueprints", &blueprint("{{ inputs.new }}", json!({ "who": {}, "new": {} })))
        .await;
    let refused = upgrade("greet/upgrade").await;
    assert_eq!(
        refused,
        ["a false \"the definition has an error\"", "b false \"the definition has an error\""]
    );
    assert_eq!(
        (uses("a").await, upgrade("greet@2/upgrade").await),
        ("greet@2".into(), vec!["b true null".to_owned()])
    );
}

#[tokio::test]
async fn what_was_applied_anew_or_goes_itself_uses_nothing() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    passed(&api, &token, "/v1/blueprints", &blueprint("first", json!({}))).await;
    let within = |name: &str, uses: &str| {
        json!({ "name": name, "nodes": [{ "id": "g", "name": "G", "blueprint": uses }],
            "outputs": [{ "node": "g", "channel": "done", "from_channel": "done" }] })
    };
    // Its second version has the first one inside.
    passed(&api, &token, "/v1/blueprints", &within("greet", "greet@1")).await;
    passed(&api, &token, "/v1/blueprints", &within("around", "greet@1")).await;
    let upgrade = async || {
        let answer = api.call(&token, "POST", "/v1/blueprints/greet/upgrade", &Value::Null).await;
        answer.body["blueprints"].clone()
    };
    assert_eq!(upgrade().await, json!(["around@1", "greet@2"]));
    passed(&api, &token, "/v1/blueprints", &within("around", "greet@2")).await;
    assert_eq!(upgrade().await, json!(["greet@2"]), "around@1 was applied anew");
    assert_eq!(api.call(&token, "DELETE", "/v1/blueprints/around", &Value::Null).await.status, 200);
    let deleted = api.call(&token, "DELETE", "/v1/blueprints/greet", &Value::Null).await;
    assert_eq!((deleted.status, &deleted.body["versions"]), (200, &json!([1, 2])));
}

#[tokio::test]
async fn an_upgrade_of_many_goes_on_with_its_cursor_i10() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    passed(&api, &token, "/v1/blueprints", &blueprint("first", json!({}))).await;
    // UPGRADED_AT_ONCE and one more.
    for index in 0..21 {
        passed(&api, &token, "/v1/workflows", &workflow(&format!("w{index}"), "greet@1", json!({}))).await;
    }
    passed(&api, &token, "/v1/blueprints", &blueprint("second", json!({}))).await;
    let upgrade = async |query: String| {
        let answer =
            api.call(&token, "POST", &format!("/v1/blueprints/greet/upgrade?{query}"), &Value::Null).await;
        (
            answer.body["workflows"].as_array().unwrap().len(),
            answer.body["next_cursor"].as_str().map(str::to_owned),
        )
    };
    for check in ["true", "false"] {
        let (first, cursor) = upgrade(format!("check={check}")).await;
        let (second, end) = upgrade(format!("check={check}&cursor={}", cursor.unwrap())).await;
        assert_eq!((first, second, end), (20, 1, None), "check={check}");
    }
    assert_eq!(upgrade(String::new()).await, (0, None));
}

#[tokio::test]
async fn nobody_sees_or_uses_another_tenants_blueprint_i6() {
    let (one, other) = (ApiWorld::create().await, ApiWorld::create().await);
    let (token, theirs) = (one.token(Role::Owner).await, other.token(Role::Owner).await);
    let canary = blueprint("canary-blueprint", json!({ "x": { "default": "canary-default" } }));
    passed(&one, &token, "/v1/blueprints", &canary).await;
    for (method, path) in
        [("GET", "greet"), ("GET", "greet@1"), ("DELETE", "greet"), ("POST", "greet/upgrade")]
    {
        let answer = other.call(&theirs, method, &format!("/v1/blueprints/{path}"), &Value::Null).await;
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    let list = other.call(&theirs, "GET", "/v1/blueprints", &Value::Null).await;
    assert_eq!(list.body["blueprints"], json!([]));
    let used = put(&other, &theirs, "/v1/workflows", &workflow("w", "greet@1", json!({}))).await;
    assert!(used.status == 422 && !used.text.contains("canary"), "{used:?}");
    // Who reads no payloads sees no configuration.
    let viewer = one.token(Role::Viewer).await;
    let shown = one.call(&viewer, "GET", "/v1/blueprints/greet", &Value::Null).await;
    assert_eq!(
        (shown.status, shown.text.contains("canary")),
        (200, shown.body["nodes"][0]["configuration"].is_object())
    );
    assert_eq!(put(&one, &viewer, "/v1/blueprints", &blueprint("x", json!({}))).await.status, 403);
}

#[tokio::test]
async fn a_blueprint_has_so_many_versions_and_no_more_i10() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    passed(&api, &token, "/v1/blueprints", &blueprint("first", json!({}))).await;
    let number = async |version: i64| {
        api.world.database.sql(&format!("UPDATE blueprints SET version = {version}")).await;
    };
    number(BLUEPRINT_VERSIONS_MAX - 1).await;
    let last = passed(&api, &token, "/v1/blueprints", &blueprint("last", json!({}))).await;
    assert_eq!(last["blueprint"]["version"], BLUEPRINT_VERSIONS_MAX);
    // BLUEPRINT_VERSIONS_MAX + 1
    let refused = put(&api, &token, "/v1/blueprints", &blueprint("more", json!({}))).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text.contains("may have no more: apply it by another name"), "{refused:?}");
}

#[tokio::test]
async fn names_come_page_by_page() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    for name in ["c", "a", "b"] {
        let mut named = blueprint("x", json!({}));
        named["name"] = json!(name);
        passed(&api, &token, "/v1/blueprints", &named).await;
    }
    let page = async |query: String| {
        api.call(&token, "GET", &format!("/v1/blueprints?{query}"), &Value::Null).await.body
    };
    let first = page("limit=2".into()).await;
    let names = |page: &Value| {
        page["blueprints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    let second = page(format!("limit=2&cursor={cursor}")).await;
    assert_eq!((names(&first), names(&second)), (vec!["a".into(), "b".into()], vec!["c".to_owned()]));
    assert!(second["next_cursor"].is_null());
}
