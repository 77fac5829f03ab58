//! Who did what: a line for each write and for each read of data, which nobody can change.

use domain::access::Role;
use serde_json::{Value, json};
use tests::World;
use tests::api_world::ApiWorld;
use tests::world::{build, event};

/// The lines as `action object_kind`, the oldest first, without those of the tests' own writes.
async fn lines(world: &World) -> Vec<String> {
    let sql = "SELECT action || ' ' || object_kind FROM audit_log
               WHERE object_kind <> 'test' AND object_name IS DISTINCT FROM 'bootstrap' ORDER BY id";
    world.database.sql(sql).await.lines().map(str::to_owned).collect()
}

const DEFINITION: &str = "name: w\nnodes:\n  - { id: start, name: S, trigger: start }\n  - { id: hook, name: H, trigger: webhook, configuration: { authentication: signature } }\n  \
                          - { id: hold, name: W, component: wait, configuration: { for: 1 day } }\n  \
                          - { id: ask, name: A, component: approval, configuration: { approvers: [{ anyone: true }], self: allow } }\n  \
                          - { id: bad, name: B, component: if, configuration: { expression: 'int(root().data.x) == 1' } }\nedges:\n  \
                          - { from: start, to: hold }\n  - { from: start, to: bad }\n  - { from: start, to: ask }\n";

#[tokio::test]
async fn each_write_has_its_line_with_who_what_and_when() {
    let api = ApiWorld::create().await;
    let owner = api.token(Role::Owner).await;
    let call = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = api.call(&owner, method, path, &body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.body
    };
    let mut expected: Vec<&str> = Vec::new();
    call("PUT", "/v1/workflows", serde_json::from_str::<Value>(&yaml(DEFINITION)).unwrap(), 200).await;
    expected.push("workflows:write workflow");
    // Nothing changes, and a check writes nothing.
    call("PUT", "/v1/workflows", serde_json::from_str::<Value>(&yaml(DEFINITION)).unwrap(), 200).await;
    let blueprint = json!({ "name": "b", "nodes": [{ "id": "n", "name": "N", "component": "noop" }], "outputs": [{ "node": "n" }] });
    for _ in 0..2 {
        call("PUT", "/v1/blueprints", blueprint.clone(), 200).await;
    }
    let uses = |version: i64| {
        let node = json!({ "id": "b", "name": "B", "blueprint": format!("b@{version}") });
        json!({ "name": "user", "nodes": [{ "id": "s", "name": "S", "trigger": "start" }, node], "edges": [{ "from": "s", "to": "b" }] })
    };
    call("PUT", "/v1/workflows", uses(1), 200).await;
    let mut second = blueprint.clone();
    second["description"] = json!("another");
    call("PUT", "/v1/blueprints", second, 200).await;
    expected.extend(["workflows:write blueprint", "workflows:write workflow", "workflows:write blueprint"]);
    call("DELETE", "/v1/blueprints/b", Value::Null, 409).await;
    call("POST", "/v1/blueprints/b/upgrade", Value::Null, 200).await;
    call("DELETE", "/v1/blueprints/b@1", Value::Null, 200).await;
    expected.extend(["workflows:write workflow", "workflows:write blueprint"]);
    let secret = json!({ "value": "a-value-of-a-secret", "hosts": ["a.example"], "in": ["body"] });
    call("PUT", "/v1/secrets/s/k", secret.clone(), 200).await;
    call("PUT", "/v1/secrets/s", json!({ "values": { "k": { "value": "another-value-of-it" } } }), 200).await;
    expected.extend(["secrets:write secret"; 2]);
    call("POST", "/v1/webhooks/w/hook/rotate", json!({}), 200).await;
    call("PUT", "/v1/webhooks/w/hook/key", json!({ "key": "0123456789abcdef" }), 200).await;
    expected.extend(["webhooks:write webhook"; 2]);
    let run = call("POST", "/v1/workflows/w/runs", json!({ "data": {} }), 202).await;
    expected.push("runs:start workflow");
    let run_id = run["run_id"].as_str().unwrap();
    build(&api.world.builder(), &[event(run["event_id"].as_str().unwrap().parse().unwrap())]).await;
    let executions = call("GET", &format!("/v1/executions?run={run_id}"), Value::Null, 200).await;
    expected.push("data:read run");
    let of = |node: &str| {
        let rows = executions["executions"].as_array().unwrap();
        rows.iter().find(|row| row["node_id"] == node).unwrap()["id"].as_str().unwrap().to_owned()
    };
    // The same vote again is none.
    for _ in 0..2 {
        call("POST", &format!("/v1/approvals/{}", of("ask")), json!({ "decision": "approve" }), 200).await;
    }
    call("POST", &format!("/v1/executions/{}/redrive", of("bad")), Value::Null, 202).await;
    call("POST", &format!("/v1/executions/{}/release", of("hold")), Value::Null, 202).await;
    call("POST", &format!("/v1/executions/{}/cancel", of("hold")), Value::Null, 202).await;
    // The second finds it stopped, and has no line.
    for _ in 0..2 {
        call("POST", &format!("/v1/runs/{run_id}/cancel"), Value::Null, 202).await;
    }
    expected.extend([
        "approvals:decide execution",
        "data:read execution",
        "runs:redrive execution",
        "runs:release execution",
        // Its answer shows the execution.
        "data:read execution",
        "runs:cancel execution",
        "runs:cancel run",
    ]);
    // What is refused, or is so already, writes nothing and has no line.
    call("POST", &format!("/v1/executions/{}/redrive", of("bad")), Value::Null, 409).await;
    call("PATCH", "/v1/organization", json!({ "retention_days": 30 }), 200).await;
    expected.push("organization:write organization");
    call("POST", "/v1/tokens", json!({ "name": "ci", "role": "editor" }), 201).await;
    let ci =
        call("GET", "/v1/tokens", Value::Null, 200).await["tokens"][0]["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        call("POST", &format!("/v1/tokens/{ci}/revoke"), Value::Null, 200).await;
    }
    expected.extend(["tokens:write token"; 2]);
    call("POST", "/v1/members", json!({ "email": "ann@example.com", "role": "viewer" }), 201).await;
    call("PATCH", "/v1/members/ann@example.com", json!({ "role": "editor" }), 200).await;
    call("DELETE", "/v1/members/ann@example.com", Value::Null, 204).await;
    expected.extend(["members:write member"; 3]);
    call("DELETE", "/v1/secrets/s/k", Value::Null, 204).await;
    call("DELETE", "/v1/secrets/s", Value::Null, 204).await;
    expected.extend(["secrets:write secret"; 2]);
    call("GET", "/v1/workflows/w", Value::Null, 200).await;
    expected.push("data:read workflow");
    call("DELETE", "/v1/workflows/w", Value::Null, 204).await;
    expected.push("workflows:write workflow");
    // What is refused has changed nothing, and leaves no line.
    call("DELETE", "/v1/secrets/s", Value::Null, 404).await;
    call("DELETE", "/v1/workflows/w", Value::Null, 404).await;
    assert_eq!(lines(&api.world).await, expected);
    let list = call("GET", "/v1/audit?action=secrets:write&limit=1", Value::Null, 200).await;
    let line = &list["audit"][0];
    assert_eq!((&line["actor"]["kind"], &line["actor"]["name"]), (&json!("token"), &json!("owner")));
    assert_eq!((&line["object_kind"], &line["object_id"]), (&json!("secret"), &json!("s")));
    assert!(!list["next_cursor"].is_null() && line["created_at"].is_string(), "{list}");
    let one = call("GET", "/v1/audit?object=ann@example.com&actor=owner", Value::Null, 200).await;
    assert_eq!(one["audit"].as_array().unwrap().len(), 3);
    assert_eq!(call("GET", "/v1/audit?actor=ann@example.com", Value::Null, 200).await["audit"], json!([]));
    let all = call("GET", "/v1/audit?limit=200", Value::Null, 200).await;
    assert!(!all.to_string().contains("value-of"), "no value is in a line");
    // Every route that writes was called.
    let writes = api::actions().into_iter().filter(|(method, ..)| *method != "GET").count();
    assert_eq!(writes, 26, "a new route that writes belongs into this test");
    call("DELETE", "/v1/organization?name=Test", Value::Null, 204).await;
    assert_eq!(lines(&api.world).await.last().unwrap(), "organization:delete organization");
}

/// A definition as JSON.
fn yaml(text: &str) -> String {
    let checked = definition_check::check(text).unwrap_or_else(|refused| panic!("{:?}", refused.problems));
    serde_json::to_string(&checked.definition).unwrap()
}

#[tokio::test]
async fn reads_of_data_have_one_line_for_each_actor_object_and_hour() {
    let api = ApiWorld::create().await;
    let (owner, operator, viewer) =
        (api.token(Role::Owner).await, api.token(Role::Operator).await, api.token(Role::Viewer).await);
    let read = async |times: usize| {
        for _ in 0..times {
            for token in [&owner, &operator, &viewer] {
                for list in ["events", "executions", "runs", "queue-items", "dead-letters"] {
                    let path = format!("/v1/{list}");
                    assert_eq!(api.call(token, "GET", &path, &Value::Null).await.status, 200);
                    // Nor has a run that is not there a line, however often it is asked for.
                    let path = format!("/v1/{list}?run={}", api.world.id::<uuid::Uuid>());
                    api.call(token, "GET", &path, &Value::Null).await;
                }
            }
        }
    };
    read(1).await;
    assert_eq!(lines(&api.world).await, Vec::<String>::new(), "nothing was there to be read");
    let node = |id: &str, component: &str, configuration: Value| json!({ "id": id, "name": id, "component": component, "configuration": configuration });
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        node("call", "http", json!({ "url": "https://target.test" })),
        node("bad", "if", json!({ "expression": "1" })),
    ]);
    let edges = json!([{ "from": "start", "to": "call" }, { "from": "start", "to": "bad" }]);
    let workflow = api.world.workflow(nodes, edges).await;
    for _ in 0..2 {
        let started = api.world.start(&workflow, "start", json!({})).await;
        build(&api.world.builder(), &[event(started)]).await;
    }
    read(3).await;
    assert_eq!(lines(&api.world).await.len(), 2 * 5, "who sees no data reads none");
    // Another instance writes no second line; an hour later there is one.
    let store = api.world.database.store("api");
    let again = ApiWorld::over(api.world, store, domain::rate::Rate { per_second: 100, burst: 100 }).await;
    again.call(&owner, "GET", "/v1/events", &Value::Null).await;
    assert_eq!(lines(&again.world).await.len(), 2 * 5);
    let sql = "UPDATE audit_log SET read_key = regexp_replace(read_key, '[0-9]+$', '1')";
    again.world.database.sql(sql).await;
    let store = again.world.database.store("api");
    let later = ApiWorld::over(again.world, store, domain::rate::Rate { per_second: 100, burst: 100 }).await;
    later.call(&owner, "GET", "/v1/events", &Value::Null).await;
    assert_eq!(lines(&later.world).await.len(), 2 * 5 + 1);
}

#[tokio::test]
async fn a_line_is_changed_by_nobody_and_ends_by_age_alone() {
    let api = ApiWorld::create().await;
    let owner = api.token(Role::Owner).await;
    api.call(&owner, "PATCH", "/v1/organization", &json!({ "retention_days": 30 })).await;
    api.call(&owner, "PATCH", "/v1/organization", &json!({ "retention_days": 31 })).await;
    let database = &api.world.database;
    for role in ["api", "webhook", "builder", "executor", "sweeper", "rewrap"] {
        for sql in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
            let (client, connection) =
                tokio_postgres::connect(&database.url(role), tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let error = client.batch_execute(sql).await.unwrap_err();
            let code = error.code().cloned();
            assert_eq!(code, Some(tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {sql}");
        }
    }
    let store = database.store("sweeper");
    assert!(store::sweeper::end_audit_lines(&store, 29, 100).await.is_err(), "younger lines can't be ended");
    assert_eq!(store::sweeper::end_audit_lines(&store, 30, 100).await.unwrap(), 0);
    // Time goes by.
    let sql = "UPDATE audit_log SET created_at = created_at - interval '401 days'
               WHERE id = (SELECT id FROM audit_log WHERE object_kind = 'organization' ORDER BY id LIMIT 1)";
    database.sql(sql).await;
    let before = database.count("SELECT count(*) FROM audit_log").await;
    let swept = sweeper::sweep(&api.world.sweeper(3_600), tests::tick()).await.unwrap();
    assert_eq!(swept.audit_lines, 1);
    assert_eq!(database.count("SELECT count(*) FROM audit_log").await, before - 1);
}
