//! The management API, end to end: tokens, the border between organizations (I6), secrets that
//! never come out (I1), and the text of errors.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::e2e::{Product, Reply, Shared, Story, make_secret, placed, until, word};

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

const CALLING: &str = r#"
name: calling
nodes:
  - { id: start, name: Start, trigger: start, run_name: 'for {{ root().data.who }}' }
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: bearer } }
  - id: call
    name: Call
    component: http
    configuration:
      url: TARGET/calling/{{ $["Start"].data.who }}
      headers: [ { name: Authorization, value: 'Bearer {{ secrets("github").token }}' } ]
    keys: { who: '{{ $["Start"].data.who }}' }
    concurrency: unlimited
edges:
  - { from: start, to: call }
"#;

/// Applies a workflow, sets its secret and runs it once; gives the run's id.
async fn called(story: &Story<'_>, secret: &str, who: &str) -> String {
    story.set_secret("github", "token", secret).await;
    story.apply(&placed(story.product, CALLING)).await;
    let run = story.run("calling", json!({ "who": who })).await;
    assert_eq!(run["result"], "passed");
    word(&run["id"])
}

/// All routes, each with the names and ids of the organization `of`: its workflow, run, execution
/// and secret.
async fn routes(of: &Story<'_>, run: &str) -> Vec<(&'static str, String)> {
    let workflow = word(&of.get("/v1/workflows/calling").await["id"]);
    let call = word(&of.execution(run, "call").await["id"]);
    let hook = word(&of.get("/v1/webhooks?workflow=calling").await["webhooks"][0]["id"]);
    vec![
        ("GET", format!("/v1/workflows/{workflow}")),
        ("GET", "/v1/workflows/calling".to_owned()),
        ("GET", format!("/v1/runs/{run}")),
        ("GET", format!("/v1/runs?workflow={workflow}")),
        ("GET", "/v1/runs?workflow=calling".to_owned()),
        ("GET", format!("/v1/executions/{call}")),
        ("GET", format!("/v1/executions?workflow={workflow}")),
        ("GET", format!("/v1/executions?run={run}")),
        ("GET", format!("/v1/executions?previous={call}")),
        ("GET", format!("/v1/executions?parent={call}")),
        ("GET", "/v1/executions?key=who&value=Ada".to_owned()),
        ("GET", format!("/v1/events?workflow={workflow}")),
        ("GET", format!("/v1/events?run={run}")),
        ("GET", format!("/v1/queue-items?workflow={workflow}")),
        ("GET", format!("/v1/queue-items?run={run}")),
        ("GET", format!("/v1/webhooks?workflow={workflow}")),
        ("GET", "/v1/workflows".to_owned()),
        ("GET", "/v1/secrets".to_owned()),
        ("GET", "/v1/runs".to_owned()),
        ("GET", "/v1/executions".to_owned()),
        ("GET", "/v1/events".to_owned()),
        ("GET", "/v1/queue-items".to_owned()),
        ("GET", format!("/v1/dead-letters?workflow={workflow}")),
        ("GET", format!("/v1/dead-letters?run={run}")),
        ("GET", "/v1/dead-letters".to_owned()),
        ("POST", format!("/v1/runs/{run}/cancel")),
        ("POST", format!("/v1/executions/{call}/cancel")),
        ("POST", format!("/v1/executions/{call}/redrive")),
        ("POST", format!("/v1/executions/{call}/release")),
        ("POST", format!("/v1/webhooks/{hook}/rotate")),
        ("POST", "/v1/webhooks/calling/hook/rotate".to_owned()),
        ("PUT", format!("/v1/webhooks/{hook}/key")),
        ("PUT", "/v1/webhooks/calling/hook/key".to_owned()),
        ("POST", format!("/v1/workflows/{workflow}/runs")),
        ("POST", "/v1/workflows/calling/runs".to_owned()),
        ("DELETE", "/v1/secrets/github/token".to_owned()),
        ("DELETE", "/v1/secrets/github".to_owned()),
        ("DELETE", format!("/v1/workflows/{workflow}")),
        ("DELETE", "/v1/workflows/calling".to_owned()),
    ]
}

#[tokio::test]
async fn without_a_good_token_nobody_gets_in() {
    let product = &product().await;
    let story = product.story("tokens").await;
    let good = story.organization.token.clone();
    let run = called(&story, &make_secret("tokens"), "Ada").await;
    let wrong = format!("Bearer {}x", good);
    let other = format!("Bearer sf_{}", "0".repeat(64));
    for (method, path) in routes(&story, &run).await {
        for header in
            [None, Some(""), Some("Bearer"), Some("Basic abc"), Some(wrong.as_str()), Some(other.as_str())]
        {
            let mut request =
                Request::builder().method(method).uri(format!("{}{path}", product.sealflow.gateway_url()));
            request = request.header("content-type", "application/json");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let answer = product.send(request.body(Bytes::from("{}")).unwrap()).await;
            assert_eq!(answer.status(), 401, "{method} {path} {header:?}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            let problem: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(
                (&problem["type"], &problem["status"]),
                (&json!("urn:sealflow:problem:unauthorized"), &json!(401))
            );
        }
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn one_organization_sees_and_changes_nothing_of_another_i6() {
    let product = &product().await;
    let (mine, theirs) = (product.story("mine").await, product.story("theirs").await);
    let secret = make_secret("theirs");
    let run = called(&theirs, &secret, "Ada").await;
    let before = (theirs.stored().await, theirs.get("/v1/secrets").await, theirs.get("/v1/workflows").await);
    let mut checked = 0;
    for (method, path) in routes(&theirs, &run).await {
        let body = match (method, path.ends_with("/rotate")) {
            ("PUT", _) => Some(json!({ "key": "a key of eight or more" })),
            ("POST", true) => Some(json!({})),
            ("POST", false) => Some(json!({ "data": {} })),
            _ => None,
        };
        let (status, answer) = mine.call(method, &path, body.as_ref()).await;
        match status {
            404 => assert_eq!(answer["type"], "urn:sealflow:problem:not_found", "{method} {path}"),
            200 => {
                let lists = answer.as_object().unwrap().iter().filter(|(name, _)| *name != "next_cursor");
                for (name, rows) in lists {
                    assert_eq!(rows, &json!([]), "{method} {path} {name}");
                }
            }
            status => panic!("{method} {path}: {status} {answer}"),
        }
        assert!(!answer.to_string().contains("Ada"), "{answer}");
        checked += 1;
    }
    assert_eq!(checked, 39);
    // Each organization has its own names: `mine` uses the same names, and this changes nothing of
    // `theirs`.
    mine.set_secret("github", "token", "another value of mine").await;
    mine.apply(&placed(product, CALLING)).await;
    mine.run("calling", json!({ "who": "Eve" })).await;
    let eves = product.target.requests("/calling/Eve");
    assert_eq!(
        eves[0].header("authorization"),
        Some("Bearer another value of mine"),
        "the secret is that of the run's own organization"
    );
    assert_eq!(mine.call("DELETE", "/v1/secrets/github", None).await.0, 204);
    assert_eq!(mine.call("DELETE", "/v1/organization?name=mine", None).await.0, 204);
    assert_eq!(
        mine.call("GET", "/v1/workflows", None).await.0,
        401,
        "tokens of a deleted organization are refused"
    );
    let after = (theirs.stored().await, theirs.get("/v1/secrets").await, theirs.get("/v1/workflows").await);
    assert_eq!(after, before);
    assert_eq!(theirs.run("calling", json!({ "who": "Ada" })).await["result"], "passed");
    mine.end(&[]).await;
    theirs.end(&[&secret]).await;
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out_i1() {
    let product = &product().await;
    let story = product.story("secrets").await;
    let (first, second, third) = (make_secret("first"), make_secret("second"), make_secret("third"));
    let path = "/v1/secrets/github";
    let put = async |path: &str, body: Value| story.call("PUT", path, Some(&body)).await;
    let (status, answer) = put(
        &format!("{path}/token"),
        json!({ "value": first, "hosts": ["API.example.com"], "in": ["header:X-Key"] }),
    )
    .await;
    assert_eq!(
        (status, &answer["secret"]["keys"][0]["hosts"]),
        (200, &json!(["api.example.com"])),
        "{answer}"
    );
    assert_eq!(answer["secret"]["keys"][0]["in"], json!(["header:x-key"]), "{answer}");
    // A new value of a key keeps its hosts and places. A change of another key leaves it alone. A
    // new key must name its hosts and places.
    put(&format!("{path}/token"), json!({ "value": second })).await;
    let (status, answer) = put(&format!("{path}/other"), json!({ "value": third })).await;
    assert_eq!((status, word(&answer["detail"]).contains("the key `other` is new")), (400, true), "{answer}");
    let (status, answer) =
        put(&format!("{path}/other"), json!({ "value": third, "hosts": ["a.example"] })).await;
    assert_eq!((status, word(&answer["detail"]).contains("`in`")), (400, true), "{answer}");
    put(&format!("{path}/other"), json!({ "value": third, "hosts": [] })).await;
    let listed = story.get("/v1/secrets").await;
    let keys = &listed["secrets"][0]["keys"];
    assert_eq!((&keys[0]["key"], &keys[1]["key"]), (&json!("other"), &json!("token")), "{keys}");
    assert_eq!((&keys[0]["hosts"], &keys[1]["hosts"]), (&json!([]), &json!(["api.example.com"])));
    assert_eq!((&keys[0]["in"], &keys[1]["in"]), (&json!([]), &json!(["header:x-key"])));
    assert_eq!(
        listed["secrets"][0].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(),
        ["created_at", "created_by", "id", "keys", "name", "provider", "updated_at"]
    );
    for get in [path.to_owned(), format!("{path}/token")] {
        assert_eq!(story.call("GET", &get, None).await.0, 405, "{get}");
    }
    // A map of values replaces all keys of the secret.
    let (_, answer) = put(path, json!({ "values": { "only": { "value": third, "hosts": [] } } })).await;
    assert_eq!(answer["secret"]["keys"].as_array().unwrap().len(), 1);

    let short = "1234567";
    let (status, answer) = put(&format!("{path}/pin"), json!({ "value": short })).await;
    assert_eq!((status, answer.to_string().contains(short)), (400, false), "{answer}");
    let (status, answer) =
        put(&format!("{path}/pin"), json!({ "value": short, "hosts": [], "allow_short": true })).await;
    assert_eq!((status, &answer["secret"]["keys"][1]["short"]), (200, &json!(true)), "{answer}");

    // The answer to a malformed body never repeats the body.
    let canary = make_secret("malformed");
    let quoted = json!(canary).to_string();
    for body in [
        quoted.clone(),
        format!("{{\"value\": {quoted}"),
        format!("{{{quoted}: 1}}"),
        format!("{{\"value\": [{quoted}]}}"),
        format!("{{\"value\": {{\"a\": {quoted}}}}}"),
        format!("{{\"value\": \"x\", \"hosts\": [{quoted}]}}"),
        format!("{{\"value\": {quoted}, \"hosts\": [\"not a host\"]}}"),
        format!("{{\"value\": {quoted}, \"extra\": {quoted}}}"),
        format!("{{\"value\": {quoted}, \"allow_short\": {quoted}}}"),
        format!("value={canary}"),
        canary.clone(),
        format!("{{\"value\": \"{}{canary}\"}}", "x".repeat(65 * 1024)),
    ] {
        for path in [format!("{path}/token"), path.to_owned()] {
            let (status, answer) =
                story.call_with("PUT", &path, "application/json", body.clone().into()).await;
            assert!((400..500).contains(&status) && answer["detail"].is_string(), "{status} {answer}");
        }
    }
    let (status, _) =
        story.call_with("PUT", &format!("{path}/token"), "text/plain", canary.clone().into()).await;
    assert_eq!(status, 415);
    for name in ["a b", "ä", &"n".repeat(129)] {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(
            put(&format!("/v1/secrets/{encoded}/k"), json!({ "value": canary })).await.0,
            400,
            "{name}"
        );
    }
    let (status, _) =
        put(&format!("{path}/big"), json!({ "value": "x".repeat(64 * 1024), "hosts": [] })).await;
    assert_eq!(status, 200, "a value of the most bytes is accepted");
    assert_eq!(story.call("DELETE", &format!("{path}/none"), None).await.0, 404);
    assert_eq!(story.call("DELETE", &format!("{path}/only"), None).await.0, 204);
    assert_eq!(story.call("DELETE", path, None).await.0, 204);
    assert_eq!(story.get("/v1/secrets").await["secrets"], json!([]));
    story.end(&[&first, &second, &third, &canary]).await;
}

#[tokio::test]
async fn pages_follow_each_other_and_have_each_row_once() {
    let product = &product().await;
    let story = product.story("pages").await;
    story
        .apply("{ name: pages, nodes: [ { id: start, name: Start, trigger: start }, { id: pass, name: Pass, component: noop } ], edges: [ { from: start, to: pass } ] }")
        .await;
    let mut started = Vec::new();
    for n in 0..7 {
        started.push(story.start("pages", json!({ "n": n })).await);
    }
    for run in &started {
        story.ended(run).await;
    }
    started.reverse();
    for (path, name, rows) in
        [("/v1/runs", "runs", 7), ("/v1/executions", "executions", 7), ("/v1/events", "events", 14)]
    {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        for _ in 0..rows {
            let page = story.get(&format!("{path}?limit=3{cursor}")).await;
            let found = page[name].as_array().unwrap();
            assert!(found.len() <= 3, "{page}");
            ids.extend(found.iter().map(|row| word(&row["id"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        sorted.reverse();
        assert_eq!((ids.len(), &ids), (rows, &sorted), "{path}: each row once, the newest first");
        if name == "runs" {
            assert_eq!(ids, started);
        }
    }
    for query in ["limit=0", "limit=201", "limit=x", "cursor=x", "nonsense=1", "run=x"] {
        let (status, answer) = story.call("GET", &format!("/v1/executions?{query}"), None).await;
        assert_eq!(
            (status, &answer["type"]),
            (400, &json!("urn:sealflow:problem:invalid_request")),
            "{query}: {answer}"
        );
    }
    assert_eq!(story.call("GET", "/v1/executions?limit=200", None).await.0, 200);
    let (status, answer) = story.call("GET", "/v1/nonsense", None).await;
    assert_eq!((status, &answer["title"]), (404, &json!("Not found")));
    story.end(&[]).await;
}

#[tokio::test]
async fn every_error_of_a_definition_is_in_one_answer_with_its_place() {
    let product = &product().await;
    let story = product.story("errors").await;
    let definition = r#"name: wrong
nodes:
  - { id: start, name: Start, trigger: start }
  - id: call
    name: Call
    component: htpp
    configuration: { url: 'https://a.example' }
  - id: ok
    name: OK
    component: if
    configuration:
      expression: previuos().data.status == 200
  - id: leak
    name: Leak
    component: if
    configuration:
      expression: secrets("github").token == "x"
edges:
  - { from: start, to: call }
  - { from: start, to: nowhere }
  - { from: start, to: call }
"#;
    let (status, answer) = story.try_apply(definition).await;
    assert_eq!(
        (status, &answer["type"]),
        (422, &json!("urn:sealflow:problem:invalid_definition")),
        "{answer}"
    );
    let errors = answer["errors"].as_array().unwrap();
    let found = |line: i64, field: &str, message: &str| {
        errors.iter().any(|error| {
            error["line"] == line
                && error["column"].as_i64() > Some(0)
                && error["field"] == field
                && error["message"].as_str().unwrap().contains(message)
        })
    };
    assert!(found(6, "nodes[1].component", "did you mean `http`?"), "{answer:#}");
    assert!(found(12, "nodes[2].configuration.expression", "previous"), "{answer:#}");
    assert!(found(17, "nodes[3].configuration.expression", "secret"), "{answer:#}");
    assert!(errors.iter().any(|error| error["line"] == 20), "an edge to nowhere: {answer:#}");
    assert!(errors.iter().any(|error| error["line"] == 21), "an edge twice: {answer:#}");
    let expression = errors.iter().find(|error| error["line"] == 12).unwrap();
    assert!(expression["expression"].as_str().unwrap().contains("^^^"), "{expression:#}");
    assert_eq!(story.get("/v1/workflows").await["workflows"], json!([]), "no workflow was applied");
    for (text, word) in
        [("a: &x 1\nb: *x\n", "alias"), ("a: 1\na: 2\n", "twice"), ("a: !x 1\n", "tag"), ("[", "")]
    {
        let (status, answer) = story.try_apply(text).await;
        assert_eq!(status, 422, "{text}: {answer}");
        assert!(answer["errors"].to_string().contains(word), "{text}: {answer}");
    }
    let (status, answer) = story.try_apply(&format!("name: {}", "x".repeat(1024 * 1024))).await;
    assert!([413, 422].contains(&status), "{status} {answer}");
    assert_eq!(story.try_apply(&"x".repeat(1200 * 1024)).await.0, 413);
    story.end(&[]).await;
}

#[tokio::test]
async fn an_apply_says_what_changes_and_knows_when_it_is_out_of_date() {
    let product = &product().await;
    let story = product.story("versions").await;
    let definition = placed(product, CALLING);
    let apply = async |definition: &str, query: &str| {
        let body = Bytes::from(definition.to_owned());
        story.call_with("PUT", &format!("/v1/workflows{query}"), "application/yaml", body).await
    };
    let (_, checked) = apply(&definition, "?check=true").await;
    assert_eq!((&checked["applied"], &checked["workflow"]), (&json!(false), &Value::Null));
    assert_eq!(checked["changes"]["added"], json!(["start", "hook", "call"]));
    let warned = checked["warnings"].to_string();
    assert!(warned.contains("`github` is not there yet"), "{warned}");
    assert_eq!(apply(&definition, "?expected_version=3").await.0, 409);
    let (status, first) = apply(&definition, "?expected_version=0").await;
    assert_eq!((status, &first["workflow"]["version"], &first["applied"]), (200, &json!(1), &json!(true)));
    let hook = first["webhooks"][0].clone();
    assert!(hook["token"].is_string());
    let (status, conflict) = apply(&definition, "?expected_version=0").await;
    assert_eq!((status, &conflict["type"]), (409, &json!("urn:sealflow:problem:conflict")));
    assert!(word(&conflict["detail"]).contains("version 1"), "{conflict}");
    let (_, same) = apply(&definition, "?expected_version=1").await;
    assert_eq!((&same["applied"], &same["workflow"]["version"]), (&json!(false), &json!(1)));
    assert_eq!(
        (&same["webhooks"][0]["url"], same["webhooks"][0].get("token")),
        (&hook["url"], None),
        "the token is shown only once"
    );
    let changed = definition.replace("/calling/", "/changed/").replace("name: Hook", "name: Renamed");
    let (_, second) = apply(&changed, "?expected_version=1").await;
    assert_eq!(second["workflow"]["version"], 2);
    let ids: Vec<_> =
        second["changes"]["changed"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    assert_eq!(ids, ["hook", "call"], "{second:#}");
    assert_eq!(second["webhooks"][0]["url"], hook["url"]);
    assert_eq!(apply(&definition, "?expected_version=1").await.0, 409);
    // Of two applies at once with the same expected version, one succeeds.
    let third = definition.replace("/calling/", "/third/");
    let both = [apply(&definition, "?expected_version=2"), apply(&third, "?expected_version=2")];
    let both = futures_util::future::join_all(both).await;
    let mut statuses: Vec<u16> = both.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let shown = story.get("/v1/workflows/calling").await;
    assert_eq!((&shown["version"], shown["nodes"].as_array().unwrap().len()), (&json!(3), 3));
    story.end(&[]).await;
}

#[tokio::test]
async fn what_waits_for_a_deleted_workflow_or_organization_ends_and_starts_nothing() {
    let product = &product().await;
    for what in ["/v1/workflows/deleted", "/v1/organization?name=deleted"] {
        let story = product.story("deleted").await;
        let secret = make_secret("deleted");
        story.set_secret("github", "token", &secret).await;
        let definition =
            CALLING.replace("calling", "deleted").replace("concurrency: unlimited", "concurrency: 1");
        let answer = story.apply(&placed(product, &definition)).await;
        let hook = word(&answer["webhooks"][0]["url"]);
        product.target.script("/deleted/slow", [Reply::Late(std::time::Duration::from_millis(1_500))]);
        let before = product.target.requests("/deleted/").len();
        let slow = story.start("deleted", json!({ "who": "slow" })).await;
        product.target.heard("/deleted/", before + 1).await;
        for _ in 0..5 {
            story.start("deleted", json!({ "who": "waiting" })).await;
        }
        assert_eq!(story.call("DELETE", what, None).await.0, 204);
        let sql = format!(
            "SELECT count(*) FILTER (WHERE result IS NULL), count(*) FILTER (WHERE result = 'cancelled')
             FROM workflow_node_executions WHERE workflow_id IN ({}) AND root_event_id <> '{slow}'",
            story.workflows()
        );
        product.sealflow.await_sql(&sql, "0|5", tests::WAIT_MAX).await.unwrap();
        assert_eq!(product.target.requests("/deleted/").len(), before + 1, "{what}: no other call is made");
        assert_eq!(story.post(&hook, &[("content-type", "application/json")], "{}").await.0, 404, "{what}");
        let secrets = format!("SELECT count(*) FROM secrets WHERE domain_id = '{}'", story.organization.id);
        let left = if what.starts_with("/v1/organization") { "0" } else { "1" };
        assert_eq!(product.sealflow.sql(&secrets).await.unwrap(), left, "{what}");
        story.end(&[&secret]).await;
    }
}

#[tokio::test]
async fn the_list_of_executions_shows_references_and_no_values_i1() {
    let product = &product().await;
    let story = product.story("references").await;
    let secret = make_secret("references");
    let run = called(&story, &secret, "Ada").await;
    for query in [
        format!("?run={run}"),
        "?workflow=calling&node=call&state=finished&result=passed".to_owned(),
        String::new(),
    ] {
        let answer = story.get(&format!("/v1/executions{query}")).await;
        let call = &answer["executions"][0];
        assert_eq!(call["configuration"]["headers"][0]["value"], r#"Bearer {{ secrets("github").token }}"#);
        assert_eq!(
            call["configuration"]["url"],
            format!("{}/calling/Ada", product.target.url()),
            "all other templates are resolved"
        );
        assert_eq!(call["keys"], json!({ "who": "Ada" }));
        assert!(call.get("residuals").is_none() && call.get("lease_token").is_none(), "{call:#}");
    }
    assert_eq!(story.get("/v1/executions?result=failed").await["executions"], json!([]));
    let shown = story.get(&format!("/v1/runs/{run}")).await;
    assert_eq!(
        (&shown["run"]["name"], &shown["run"]["workflow_name"]),
        (&json!("for Ada"), &json!("calling"))
    );
    // A shown reference never becomes a template again: in the data of a start it stays text.
    let text = r#"{{ secrets("github").token }}"#;
    let again = story.run("calling", json!({ "who": text })).await;
    assert_eq!((&again["result"], &again["name"]), (&json!("passed"), &json!(format!("for {text}"))));
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn a_run_is_started_with_data_and_cancelled() {
    let product = &product().await;
    let story = product.story("starts").await;
    story
        .apply(&placed(
            product,
            &CALLING.replace("calling", "starts").replace("concurrency: unlimited", "concurrency: 1"),
        ))
        .await;
    story.set_secret("github", "token", "a value of eight or more").await;
    let start = async |body: &str| {
        story
            .call_with("POST", "/v1/workflows/starts/runs", "application/json", Bytes::from(body.to_owned()))
            .await
    };
    for (body, status) in [
        (r#"{"data": {"who": "Ada"}}"#, 202),
        (r#"{"data": {"who": "Ada"}, "node_id": "start"}"#, 202),
        (r#"{"data": {}, "node_id": "hook"}"#, 400),
        (r#"{"data": {}, "node_id": "none"}"#, 400),
        (r#"{"data": "\u0000"}"#, 400),
        (r#"{"data": 1e131072}"#, 400),
        (r#"{"date": {}}"#, 400),
        ("[]", 400),
        ("", 400),
    ] {
        let (found, answer) = start(body).await;
        assert_eq!(found, status, "{body}: {answer}");
    }
    assert_eq!(story.call("POST", "/v1/workflows/none/runs", Some(&json!({}))).await.0, 404);
    product.target.script("/starts/slow", [Reply::Late(std::time::Duration::from_millis(1_500))]);
    let slow = story.start("starts", json!({ "who": "slow" })).await;
    product.target.heard("/starts/slow", 1).await;
    let waiting = story.start("starts", json!({ "who": "waiting" })).await;
    for run in [&waiting, &slow] {
        let (status, answer) = story.call("POST", &format!("/v1/runs/{run}/cancel"), None).await;
        assert_eq!((status, answer["run"]["stop"].as_str()), (202, Some("cancelled")), "{answer}");
    }
    for run in [&waiting, &slow] {
        assert_eq!(story.ended(run).await["result"], "cancelled");
    }
    assert_eq!(product.target.requests("/starts/waiting").len(), 0);
    until("the waiting item has ended", || async {
        let items = story.get("/v1/queue-items").await;
        items["queue_items"] == json!([])
    })
    .await;
    story.end(&[]).await;
}
