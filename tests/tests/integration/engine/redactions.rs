//! Places that were blanked before an event was stored: the real executor writes them beside the
//! event, and the real builder lets no template use a blanked place as if it were data (I1). The
//! next node fails, and nothing is sent.

use domain::ids::EventId;
use local::http::{Request, Server, json as json_answer};
use serde_json::{Value, json};
use tests::World;
use tests::kms::FakeKms;
use vault_format::{Purpose, Scope};

/// A world with a target that gives a token and repeats what it was sent; `vault.key` is a secret.
struct Stage {
    world: World,
    kms: FakeKms,
    target: Server,
}

impl Stage {
    async fn create() -> Self {
        let target = Server::start(1024 * 1024, |request: Request| async move {
            let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            json_answer(
                200,
                &json!({ "token": "a-token-of-the-target", "sent": sent, "path": request.uri().path(), "n": 1 }),
            )
        });
        let stage =
            Self { world: World::create().await, kms: FakeKms::start().await, target: target.await.unwrap() };
        let (id, organization_id) = (stage.world.id(), stage.world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let data = hex::encode(stage.kms.sealed(&scope, &[("key", "a-secret-of-the-vault", &[])]).await);
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'vault', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        stage.world.database.sql(&sql).await;
        stage
    }

    /// `start → login → pass → next`, where `next` is an `http` node with this header; how each
    /// ended.
    async fn run(&self, login: &Value, header: &str) -> (Vec<Value>, EventId) {
        let allow = self.target.host_port();
        let url = format!("http://{allow}/login");
        let mut call = json!({ "url": url, "authorization": { "type": "bearer", "token": "{{ secrets(\"vault\").key }}" } });
        call.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
        let next = json!({ "url": format!("http://{allow}/next"), "headers": [{ "name": "X-Got", "value": header }] });
        let nodes = json!([
            { "id": "start", "name": "Start", "trigger": "start" },
            { "id": "login", "name": "Login", "component": "http", "redact": ["/body/token"], "configuration": call },
            { "id": "pass", "name": "Pass", "component": "noop" },
            { "id": "next", "name": "Next", "component": "http", "configuration": next },
        ]);
        let edges = json!([
            { "from": "start", "to": "login" },
            { "from": "login", "channel": "success", "to": "pass" },
            { "from": "login", "channel": "failure", "to": "pass" },
            { "from": "pass", "to": "next" },
        ]);
        let workflow = self.world.workflow(nodes, edges).await;
        let run = self.world.start(&workflow, "start", json!({})).await;
        let executor = self.world.executor_at(self.world.database.url("executor"), &allow, &self.kms.url());
        drop(self.world.queues.take());
        let wake = tests::world::event(run);
        tests::world::build(&self.world.builder(), &[wake]).await;
        self.world.run_to_end(&self.world.builder(), &executor).await;
        let sql = format!(
            "SELECT jsonb_agg(jsonb_build_object('id', id, 'node', node_id, 'result', result, 'reason', result_reason, 'message', result_message)
                 ORDER BY id) FROM workflow_node_executions WHERE root_event_id = '{run}'"
        );
        (serde_json::from_str(&self.world.database.sql(&sql).await).unwrap(), run)
    }

    async fn redactions(&self, run: EventId) -> Vec<String> {
        let sql = format!(
            "SELECT coalesce(redactions::text, '-') FROM workflow_events WHERE root_event_id = '{run}' ORDER BY id"
        );
        self.world.database.sql(&sql).await.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_was_blanked_is_noted_passed_on_and_sent_nowhere_i1() {
    let stage = Stage::create().await;
    for (header, place) in [
        ("Bearer {{ $[\"Login\"].data.body.token }}", "the data of `Login` at /body/token"),
        ("{{ $[\"Pass\"].data.body.sent }}", "the data of `Pass` at /body/sent"),
    ] {
        let (executions, run) = stage.run(&json!({}), header).await;
        let next = executions.last().unwrap();
        assert_eq!(
            (next["node"].as_str(), next["reason"].as_str()),
            (Some("next"), Some("redacted")),
            "{executions:#?}"
        );
        assert!(next["message"].as_str().unwrap().contains(place), "{next:#}");
        let noted = "{\"redacted\": [\"/body/token\"], \"scrubbed\": [\"/body/sent\"]}";
        assert_eq!(stage.redactions(run).await, ["-", noted, noted]);
    }
    let (executions, _) = stage.run(&json!({}), "{{ $[\"Login\"].data.body.n }}").await;
    assert!(executions.iter().all(|execution| execution["result"] == "passed"), "{executions:#?}");
}

/// A sender's text that looks like a scrubbed place makes no execution fail.
#[tokio::test]
async fn a_text_that_looks_scrubbed_is_data_i2() {
    let stage = Stage::create().await;
    let url = "http://TARGET/[secret:vault.key]".replace("TARGET", &stage.target.host_port());
    let (executions, run) = stage.run(&json!({ "url": url }), "{{ $[\"Login\"].data.body.path }}").await;
    assert!(executions.iter().all(|execution| execution["result"] == "passed"), "{executions:#?}");
    assert_eq!(stage.redactions(run).await[1], "{\"redacted\": [\"/body/token\"]}");
}

#[tokio::test]
async fn a_failure_and_a_redrive_keep_their_marks() {
    let stage = Stage::create().await;
    let failing = json!({ "success_codes": [418] });
    let (executions, run) =
        stage.run(&failing, "{{ $[\"Login\"].data.body.sent }}{{ $[\"Login\"].data.error.code }}").await;
    let next = executions.last().unwrap();
    assert_eq!(next["reason"], "redacted", "{executions:#?}");
    stage.world.redrive(next["id"].as_str().unwrap().parse().unwrap()).await;
    let noted = stage.redactions(run).await;
    assert_eq!(noted.len(), 4, "{noted:?}");
    assert_eq!(noted[3], noted[2], "the copy has the marks of the event");
    assert!(noted[3].contains("/body/sent"), "{noted:?}");
}
