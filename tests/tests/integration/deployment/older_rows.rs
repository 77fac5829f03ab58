//! Rows as the release before wrote them: residuals of the older form, entries without places,
//! references without fields, a waiting retry. This release goes on with them: no execution fails
//! because of its form, and no request gets a second idempotency key (I5, I9).

use local::target::Target;
use serde_json::{Value, json};
use tests::World;
use tests::kms::FakeKms;
use tests::world::{build, event, execute, messages};
use vault_format::{Purpose, Scope};

const SECRET: &str = "a-value-of-the-release-before";

/// The residuals of `Bearer {{ secrets("vault").key }}` in the older form.
fn residuals() -> Value {
    let node = |op: &str, content: Value| json!({ "op": op, "v": content, "at": [0, 1] });
    json!([{
        "path": "/headers/0/value",
        "expr": [node("literal", json!("Bearer ")), node("secret", json!(0)), node("text", json!([0, 1]))],
        "refs": [["vault", "key"]],
    }])
}

/// Residuals of the older form whose operation depends on the secret's value.
fn unreadable() -> Value {
    let node = |op: &str, content: Value| json!({ "op": op, "v": content, "at": [0, 1] });
    json!([{ "path": "/headers/0/value", "expr": [node("secret", json!(0)), node("slice", json!([0, null, null]))], "refs": [["vault", "key"]] }])
}

struct Stage {
    world: World,
    target: Target,
    executor: executor::Deps,
}

impl Stage {
    async fn create() -> Self {
        let (world, kms, target) =
            (World::create().await, FakeKms::start().await, Target::start().await.unwrap());
        let (id, organization_id) = (world.id(), world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let hosts = target.host_port();
        let data = kms.sealed(&scope, &[("key", SECRET, &[&hosts])]).await;
        assert_eq!(data[0], 1, "an entry without places has the older version of the format");
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'vault', 'org', '{organization_id}', '\\x{}', 'test', now(), now())",
            hex::encode(data)
        );
        world.database.sql(&sql).await;
        let executor = world.executor_at(world.database.url("executor"), &hosts, &kms.url());
        // The KMS has to live as long as the test.
        std::mem::forget(kms);
        Self { world, target, executor }
    }

    /// A pending call, as the release before stored it. `key_attempt` is below `attempt` if the
    /// last attempt got no answer.
    async fn pending(&self, residuals: &Value, attempt: i32, key_attempt: i32) -> String {
        let nodes = json!([
            { "id": "start", "name": "start", "trigger": "start" },
            { "id": "call", "name": "call", "component": "http", "retry": { "max_attempts": 5, "initial_interval": 1 }, "configuration": {
                "url": format!("{}/x", self.target.url()), "headers": [{ "name": "Authorization", "value": "Bearer {{ secrets(\"vault\").key }}" }] } },
        ]);
        let workflow = self.world.workflow(nodes, json!([{ "from": "start", "to": "call" }])).await;
        let run = self.world.start(&workflow, "start", json!({})).await;
        build(&self.world.builder(), &[event(run)]).await;
        // The owner writes these columns: no function's role may change them.
        let sql = format!(
            "UPDATE workflow_node_executions SET residuals = '{residuals}', attempt = {attempt}, key_attempt = {key_attempt},
                 run_at = CASE WHEN {attempt} > 1 THEN now() END,
                 metadata = CASE WHEN {attempt} > 1 THEN '{{\"attempts\": [{{\"attempt\": 1}}]}}' ELSE metadata END
             WHERE root_event_id = '{run}';
             UPDATE workflow_node_secret_refs SET field = '';
             SELECT id FROM workflow_node_executions WHERE root_event_id = '{run}'"
        );
        self.world.database.sql(&sql).await
    }

    async fn execute(&self) {
        execute(&self.executor, &messages(&self.world.queues.take())).await;
    }

    async fn ended(&self, id: &str) -> String {
        let sql = format!(
            "SELECT state, result, result_reason, attempt, key_attempt FROM workflow_node_executions WHERE id = '{id}'"
        );
        self.world.database.sql(&sql).await
    }
}

#[tokio::test]
async fn executions_of_the_release_before_go_on_with_one_idempotency_key_i5() {
    let stage = Stage::create().await;
    for (attempt, key_attempt, key_ends) in [(1, 1, ""), (2, 1, ""), (3, 3, "-3")] {
        stage.target.clear();
        let id = stage.pending(&residuals(), attempt, key_attempt).await;
        stage.execute().await;
        assert_eq!(stage.ended(&id).await, format!("finished|passed||{attempt}|{key_attempt}"));
        let requests = stage.target.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
        assert_eq!(requests[0].header("idempotency-key"), Some(format!("{id}{key_ends}").as_str()));
    }
}

#[tokio::test]
async fn what_a_release_can_not_read_is_given_back_and_keeps_its_key_i9() {
    let stage = Stage::create().await;
    let id = stage.pending(&unreadable(), 2, 1).await;
    stage.execute().await;
    assert_eq!(stage.ended(&id).await, "pending|||2|1", "no attempt is counted, and the key stays");
    assert!(stage.target.requests().is_empty());
    // A release that can read the residuals goes on with the execution.
    let due = format!(
        "UPDATE workflow_node_executions SET residuals = '{}', run_at = now() WHERE id = '{id}'",
        residuals()
    );
    stage.world.database.sql(&due).await;
    let wake = domain::message::Message::Execution { execution_id: id.parse().unwrap() };
    execute(&stage.executor, &[wake]).await;
    assert_eq!(stage.ended(&id).await, "finished|passed||2|1");
    assert_eq!(stage.target.requests()[0].header("idempotency-key"), Some(id.as_str()));
}
