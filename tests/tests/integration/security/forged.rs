//! Rows that an attacker could write with the builder's SQL role. They open no secret that apply
//! had not allowed, and send no secret to a place that it may not go to.

use domain::ids::{EventId, ExecutionId, OrganizationId, WorkflowId};
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use store::BootstrapIds;
use tests::kms::FakeKms;
use tests::world::{build, event, execute};
use tests::{Workflow, World};
use uuid::Uuid;
use vault_format::{Bounds, Purpose, Scope};

const TOKEN: &str = "value-of-the-token-0123456789";
const OTHER: &str = "value-of-the-other-0123456789";

/// A world with the secret `github`, which has the keys `token` (for the target only) and `other`.
struct Forge {
    world: World,
    kms: FakeKms,
    target: Target,
    elsewhere: Target,
    workflow: Workflow,
    /// A pending execution of the node that may use `github.token`.
    genuine: ExecutionId,
}

impl Forge {
    async fn create() -> Self {
        let (world, kms) = (World::create().await, FakeKms::start().await);
        let (target, elsewhere) = (Target::start().await.unwrap(), Target::start().await.unwrap());
        let http = |id: &str, value: &str| {
            json!({ "id": id, "name": id, "component": "http",
                "configuration": { "url": target.url(), "headers": [{ "name": "X-Value", "value": value }] } })
        };
        let nodes = json!([
            { "id": "start", "name": "start", "trigger": "start" },
            http("token", r#"{{ secrets("github").token }}"#),
            http("other", r#"{{ secrets("github").other }}"#),
            http("plain", "no secret"),
        ]);
        let edges = ["token", "other", "plain"].map(|to| json!({ "from": "start", "to": to }));
        let workflow = world.workflow(nodes, json!(edges)).await;
        let event_id = world.start(&workflow, "start", json!({})).await;
        build(&world.builder(), &[event(event_id)]).await;
        let _ = world.queues.take();
        let forge = Self { genuine: ExecutionId::from_u128(0), world, kms, target, elsewhere, workflow };
        let genuine = forge.execution_of("token").await;
        let allowed = [forge.target.host_port()];
        let hosts: Vec<&str> = allowed.iter().map(String::as_str).collect();
        forge
            .set_secret(
                forge.world.organization_id,
                "github",
                &[("token", TOKEN, &hosts), ("other", OTHER, &[])],
            )
            .await;
        Self { genuine, ..forge }
    }

    async fn execution_of(&self, node_id: &str) -> ExecutionId {
        let sql = format!("SELECT id FROM workflow_node_executions WHERE node_id = '{node_id}'");
        self.world.database.sql(&sql).await.parse().unwrap()
    }

    async fn set_secret(
        &self,
        organization_id: OrganizationId,
        name: &str,
        values: &[(&str, &str, &[&str])],
    ) {
        let id = self.world.id();
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let data = hex::encode(self.kms.sealed(&scope, values).await);
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', '{name}', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        self.world.database.sql(&sql).await;
    }

    /// Makes a secret with one key. The key's value may stand in these places.
    async fn set_placed_secret(
        &self,
        name: &str,
        (key, value, hosts): (&str, &str, &[String]),
        places: &[&str],
    ) {
        let (id, organization_id) = (self.world.id(), self.world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let bounds = Bounds::new(
            hosts.iter().map(|host| host.parse().unwrap()).collect(),
            places.iter().map(|place| place.parse().unwrap()).collect(),
        );
        let data = hex::encode(self.kms.sealed_within(&scope, key, value, bounds).await);
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', '{name}', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        self.world.database.sql(&sql).await;
    }

    /// Writes, as the builder's role, an execution of a node: a copy of the genuine one, with the
    /// columns of `changes` set to SQL.
    async fn forge(&self, node: (WorkflowId, &str), changes: &[(&str, String)]) -> ExecutionId {
        let builder = self.world.database.connect("builder").await;
        let (id, event_id): (ExecutionId, EventId) = (self.world.id(), self.world.id());
        let (workflow_id, node_id) = node;
        let change = |column: &str| {
            let found = changes.iter().find(|(changed, _)| *changed == column).map(|(_, sql)| sql.clone());
            found.unwrap_or_else(|| format!("e.{column}"))
        };
        let sql = format!(
            "INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             VALUES ('{event_id}', '{workflow_id}', 'start', '{event_id}', 'default', 'start', '{{}}', '{{}}', 1, now());
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component,
                 configuration, residuals, policy, workflow_version, node_version, last_sent_at, created_at, updated_at)
             SELECT '{id}', '{workflow_id}', '{node_id}', '{event_id}', '{event_id}', 'pending', e.component,
                 {}, {}, e.policy, e.workflow_version, {}, now(), now(), now()
             FROM workflow_node_executions e WHERE e.id = '{}'",
            change("configuration"),
            change("residuals"),
            change("node_version"),
            self.genuine,
        );
        builder.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        id
    }

    /// Runs an execution to its end; gives result and reason.
    async fn run(&self, id: ExecutionId) -> String {
        let allow = format!("{},{}", self.target.host_port(), self.elsewhere.host_port());
        let executor = self.world.executor_at(self.world.database.url("executor"), &allow, &self.kms.url());
        execute(&executor, &[Message::Execution { execution_id: id }]).await;
        let sql =
            format!("SELECT state, result, result_reason FROM workflow_node_executions WHERE id = '{id}'");
        self.world.database.sql(&sql).await
    }

    /// Makes the same workflow in another organization; gives the organization's id and the
    /// workflow.
    async fn their_workflow(&self) -> (OrganizationId, Workflow) {
        let theirs = OrganizationId(Uuid::new_v4());
        let ids =
            BootstrapIds { organization_id: theirs, token_id: self.world.id(), line_id: self.world.id() };
        let hash = theirs.0.as_bytes().repeat(2);
        store::bootstrap(&self.world.database.admin_store(), ids, "Theirs", &hash, self.world.now())
            .await
            .unwrap();
        let definition = &self.workflow.definition;
        let workflow = self.world.workflow(json!(definition.nodes), json!(definition.edges)).await;
        let sql = format!("UPDATE workflows SET organization_id = '{theirs}' WHERE id = '{}'", workflow.id);
        self.world.database.sql(&sql).await;
        (theirs, workflow)
    }

    fn assert_nothing_opened_nor_sent(&self, what: &str) {
        assert_eq!(self.kms.take_decrypts(), Vec::<Value>::new(), "I7: {what}");
        assert!(self.target.requests().is_empty() && self.elsewhere.requests().is_empty(), "{what}");
    }

    fn node<'a>(&self, node_id: &'a str) -> (WorkflowId, &'a str) {
        (self.workflow.id, node_id)
    }
}

/// SQL of the residuals of another execution.
fn residuals_of(execution: ExecutionId) -> (&'static str, String) {
    ("residuals", format!("(SELECT residuals FROM workflow_node_executions WHERE id = '{execution}')"))
}

/// SQL of the version of a workflow's node.
fn version_of(workflow: &Workflow, node_id: &str) -> (&'static str, String) {
    let sql = format!(
        "(SELECT version FROM workflow_nodes WHERE workflow_id = '{}' AND node_id = '{node_id}')",
        workflow.id
    );
    ("node_version", sql)
}

#[tokio::test]
async fn the_genuine_execution_opens_its_secret_with_one_call() {
    let forge = Forge::create().await;
    let ended = forge.run(forge.genuine).await;
    assert_eq!(ended, "finished|passed|");
    let opened = forge.kms.take_decrypts();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0]["organization_id"], forge.world.organization_id.to_string());
    assert_eq!(forge.target.requests()[0].header("x-value"), Some(TOKEN));
}

#[tokio::test]
async fn a_forged_residual_opens_nothing_on_a_node_that_refers_to_no_secret_i7() {
    let forge = Forge::create().await;
    let id = forge.forge(forge.node("plain"), &[]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    forge.assert_nothing_opened_nor_sent("a node without references");
}

#[tokio::test]
async fn a_forged_ref_to_another_key_of_the_same_secret_opens_nothing_i7() {
    let forge = Forge::create().await;
    let other = forge.execution_of("other").await;
    let id = forge.forge(forge.node("token"), &[residuals_of(other)]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    forge.assert_nothing_opened_nor_sent("another key");
}

/// SQL of a list of residuals: one field with these parts.
fn field(path: &str, parts: &Value) -> (&'static str, String) {
    ("residuals", format!("'{}'::jsonb", json!([{ "path": path, "parts": parts }])))
}

#[tokio::test]
async fn parts_that_ask_about_a_value_are_not_rendered_i7() {
    let forge = Forge::create().await;
    let token = json!({ "secret": ["github", "token"] });
    for parts in [
        json!([{ "op": "slice", "from": 0, "to": 1, "parts": [token] }]),
        json!([{ "op": "equal", "parts": [token, "v"] }]),
        json!([{ "op": "upper", "parts": [token] }]),
        json!([{ "secret": ["github", "token"], "if": "v" }]),
        json!("v"),
    ] {
        let id = forge.forge(forge.node("token"), &[field("/headers/0/value", &parts)]).await;
        assert_eq!(forge.run(id).await, "pending||", "the execution is given back: {parts}");
    }
    let twice = json!([{ "path": "/headers/0/value", "parts": [token] }, { "path": "/headers/0/value", "parts": ["x"] }]);
    let id = forge.forge(forge.node("token"), &[("residuals", format!("'{twice}'::jsonb"))]).await;
    assert_eq!(forge.run(id).await, "pending||", "two fields for one place are not rendered");
    forge.assert_nothing_opened_nor_sent("unknown parts");
}

#[tokio::test]
async fn a_secret_is_not_moved_to_another_field_of_its_node_i7() {
    let forge = Forge::create().await;
    let token = json!([{ "secret": ["github", "token"] }]);
    for (path, configuration) in [
        (
            "/headers/1/value",
            "jsonb_set(e.configuration, '{headers,1}', '{\"name\": \"X-Other\", \"value\": \"x\"}')",
        ),
        ("/body/text", "jsonb_set(e.configuration, '{body}', '{\"text\": \"x\"}')"),
        ("/query/q", "jsonb_set(e.configuration, '{query}', '{\"q\": \"x\"}')"),
    ] {
        let changes = [field(path, &token), ("configuration", configuration.to_owned())];
        let id = forge.forge(forge.node("token"), &changes).await;
        assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "{path}");
    }
    forge.assert_nothing_opened_nor_sent("another field");
}

#[tokio::test]
async fn a_url_that_is_made_of_a_secret_and_something_else_is_not_called_i7() {
    let forge = Forge::create().await;
    // The reference names no field, as in versions that were applied before fields were stored: the
    // secret may stand in any field.
    forge.world.database.sql("UPDATE workflow_node_secret_refs SET field = ''").await;
    let token = json!({ "secret": ["github", "token"] });
    for parts in [
        json!(["http://", token]),
        json!([token, ".evil.test/"]),
        json!([format!("{}/", forge.elsewhere.url()), token]),
        json!([token, token]),
        json!([{ "op": "base64", "parts": [token] }]),
        // An operation for the path stands in the query, and one for the query in the path.
        json!([format!("{}/?q=", forge.target.url()), { "op": "segment", "parts": [token] }]),
        json!([format!("{}/", forge.target.url()), { "op": "query", "parts": [token] }]),
    ] {
        let id = forge.forge(forge.node("token"), &[field("/url", &parts)]).await;
        assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "{parts}");
    }
    forge.assert_nothing_opened_nor_sent("a URL of several parts");
}

#[tokio::test]
async fn a_secret_stands_only_in_the_places_that_its_entry_names_i1() {
    let forge = Forge::create().await;
    let hosts = [forge.target.host_port()];
    let set = async |places: &[&str]| {
        forge.world.database.sql("DELETE FROM secrets").await;
        forge.set_placed_secret("github", ("token", TOKEN, &hosts), places).await;
    };
    set(&["authorization", "body"]).await;
    let id = forge.forge(forge.node("token"), &[]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    let said = format!("SELECT result_message FROM workflow_node_executions WHERE id = '{id}'");
    let said = forge.world.database.sql(&said).await;
    assert!(said.contains("may stand in authorization, body only, and stands in header:x-value"), "{said}");
    assert!(forge.target.requests().is_empty());
    // The place is that of the header's final name, in any spelling.
    let renamed = "jsonb_set(e.configuration, '{headers,0,name}', '\"AUTHORIZATION\"')";
    let id = forge.forge(forge.node("token"), &[("configuration", renamed.to_owned())]).await;
    assert_eq!(forge.run(id).await, "finished|passed|");
    assert_eq!(forge.target.requests()[0].header("authorization"), Some(TOKEN));
    // A code may stand in any place. The key of the code needs the place `signing`.
    let code = |data: Value| {
        let key = json!([{ "secret": ["github", "token"] }]);
        json!([{ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": key, "parts": data }])
    };
    let id = forge.forge(forge.node("token"), &[field("/headers/0/value", &code(json!(["x"])))]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    set(&["signing"]).await;
    let id = forge.forge(forge.node("token"), &[field("/headers/0/value", &code(json!(["x"])))]).await;
    assert_eq!(forge.run(id).await, "finished|passed|");
    let data = code(json!([{ "secret": ["github", "token"] }]));
    let id = forge.forge(forge.node("token"), &[field("/headers/0/value", &data)]).await;
    assert_eq!(
        forge.run(id).await,
        "finished|failed|secret_denied",
        "the signed value has the place of the code"
    );
}

#[tokio::test]
async fn a_forged_credential_shows_a_secret_to_no_other_issuer_and_signs_with_no_other_key_i7() {
    let forge = Forge::create().await;
    // The reference names no field, as in versions that were applied before fields were stored: the
    // secret may stand in any field.
    forge.world.database.sql("UPDATE workflow_node_secret_refs SET field = ''").await;
    let hosts = [forge.target.host_port()];
    let set = async |places: &[&str]| {
        forge.world.database.sql("DELETE FROM secrets").await;
        forge.set_placed_secret("github", ("token", TOKEN, &hosts), places).await;
    };
    let token = json!({ "secret": ["github", "token"] });
    let with = |authorization: Value| {
        (
            "configuration",
            format!("jsonb_set(e.configuration, '{{authorization}}', '{authorization}') - 'headers'"),
        )
    };
    let client = |token_url: &str| json!({ "type": "oauth2_client_credentials", "token_url": token_url, "client_id": "a", "client_secret": "x" });
    let jwt = json!({ "type": "jwt_bearer", "issuer": "a", "key": "x" });
    let hmac = json!({ "type": "hmac", "name": "X-Sign", "template": "x" });
    let bearer = json!({ "type": "bearer", "token": "x" });
    let code = |data: Value| json!({ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": [token], "parts": data });
    let elsewhere = format!("{}/token", forge.elsewhere.url());
    for (what, places, authorization, path, parts) in [
        (
            "another issuer",
            "authorization",
            client(&elsewhere),
            "/authorization/client_secret",
            json!([token]),
        ),
        (
            "a key with text beside it",
            "signing",
            jwt.clone(),
            "/authorization/key",
            json!(["-----BEGIN", token]),
        ),
        ("a key that may sign nothing", "authorization", jwt, "/authorization/key", json!([token])),
        (
            "a code whose key may sign nothing",
            "authorization",
            hmac.clone(),
            "/authorization/template",
            json!([code(json!(["x"]))]),
        ),
        (
            "the request beside a code",
            "signing",
            hmac.clone(),
            "/authorization/template",
            json!([{ "request": "body" }, code(json!(["x"]))]),
        ),
        (
            "the request in a token",
            "authorization",
            bearer,
            "/authorization/token",
            json!([code(json!([{ "request": "body" }]))]),
        ),
        (
            "what is signed, in another header than it may",
            "signing",
            hmac,
            "/authorization/template",
            json!([code(json!([token]))]),
        ),
    ] {
        set(&[places]).await;
        let id = forge.forge(forge.node("token"), &[field(path, &parts), with(authorization)]).await;
        assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "{what}");
        assert!(forge.target.requests().is_empty() && forge.elsewhere.requests().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_code_of_a_secret_under_a_known_key_is_not_made_i1() {
    let forge = Forge::create().await;
    for key in [json!(["known"]), json!([])] {
        let token = json!({ "secret": ["github", "token"] });
        let code =
            json!({ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": key, "parts": [token] });
        for parts in [json!([code]), json!(["x", { "op": "base64", "parts": [code] }])] {
            let id = forge.forge(forge.node("token"), &[field("/headers/0/value", &parts)]).await;
            assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "{parts}");
        }
    }
    forge.assert_nothing_opened_nor_sent("a code under a known key");
}

#[tokio::test]
async fn a_residual_in_a_place_that_may_hold_no_secret_opens_nothing_i7() {
    let forge = Forge::create().await;
    for path in ["", "/", "/method", "/headers", "/headers/0", "/headers/0/name", "/body", "/timeout_seconds"]
    {
        let moved = format!("jsonb_set(e.residuals, '{{0,path}}', '\"{path}\"')");
        let id = forge.forge(forge.node("token"), &[("residuals", moved)]).await;
        assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "{path:?}");
    }
    // The misplaced residual stands beside one in its right place.
    let beside = "e.residuals || jsonb_set(e.residuals, '{0,path}', '\"/method\"')";
    let id = forge.forge(forge.node("token"), &[("residuals", beside.to_owned())]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    forge.assert_nothing_opened_nor_sent("a place that may hold none");
}

#[tokio::test]
async fn a_version_of_the_node_that_apply_never_made_allows_nothing_i7() {
    let forge = Forge::create().await;
    for version in [forge.workflow.version + 1, forge.workflow.version + 1_000] {
        let id = forge.forge(forge.node("token"), &[("node_version", version.to_string())]).await;
        assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    }
    forge.assert_nothing_opened_nor_sent("a version that isn't there");
}

#[tokio::test]
async fn another_organizations_secret_is_not_reached_by_its_name_i6() {
    let forge = Forge::create().await;
    // The other organization has no secrets, but its node refers to a secret of the same name.
    let (_, workflow) = forge.their_workflow().await;
    let id = forge.forge((workflow.id, "token"), &[version_of(&workflow, "token")]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_missing", "I6");
    forge.assert_nothing_opened_nor_sent("another organization's");
}

#[tokio::test]
async fn an_execution_in_another_organizations_workflow_opens_what_that_workflow_may_and_nothing_else_i6() {
    const THEIR_OTHER: &str = "value-of-their-other-0123456789";
    let forge = Forge::create().await;
    let (theirs, workflow) = forge.their_workflow().await;
    forge
        .set_secret(
            theirs,
            "github",
            &[("token", "value-of-their-token-0123456789", &[]), ("other", THEIR_OTHER, &[])],
        )
        .await;
    let (version, other) = (version_of(&workflow, "other"), forge.execution_of("other").await);
    // Their node may use `other`; the genuine execution's residuals ask for `token`.
    let id = forge.forge((workflow.id, "other"), std::slice::from_ref(&version)).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied", "I6");
    forge.assert_nothing_opened_nor_sent("what their node may not use");
    let id = forge.forge((workflow.id, "other"), &[version, residuals_of(other)]).await;
    assert_eq!(forge.run(id).await, "finished|passed|");
    let opened = forge.kms.take_decrypts();
    assert_eq!(opened.len(), 1);
    assert_eq!(
        opened[0]["organization_id"],
        theirs.to_string(),
        "I6: the organization is the workflow's, not the row's maker's"
    );
    assert_eq!(forge.target.requests()[0].header("x-value"), Some(THEIR_OTHER));
}

#[tokio::test]
async fn what_the_sweeper_can_write_opens_nothing_i7() {
    let forge = Forge::create().await;
    let sweeper = forge.world.database.connect("sweeper").await;
    let (id, genuine) = (forge.world.id(), forge.genuine);
    // SQL that copies the genuine execution for another node, with further columns if they are
    // named.
    let insert = |columns: &str| {
        format!(
            "INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
                 workflow_version, node_version, last_sent_at, created_at, updated_at{columns})
             SELECT '{id}', e.workflow_id, 'plain', e.root_event_id, e.event_id, 'pending', e.component, e.configuration,
                 e.workflow_version, e.node_version, now(), now(), now(){columns}
             FROM workflow_node_executions e WHERE e.id = '{genuine}'"
        )
    };
    forge.world.database.sql("DELETE FROM workflow_node_executions WHERE node_id = 'plain'").await;
    for sql in [
        insert(", residuals"),
        insert(", policy"),
        "UPDATE workflow_node_executions SET residuals = '[]'".to_owned(),
        "UPDATE workflow_node_executions SET configuration = '{}'".to_owned(),
        "UPDATE workflow_node_executions SET component = 'http'".to_owned(),
        "UPDATE workflow_node_executions SET node_id = 'token'".to_owned(),
        "UPDATE workflow_node_executions SET node_version = 1".to_owned(),
    ] {
        let refused = sweeper.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "I7: {sql}");
    }
    sweeper.batch_execute(&insert("")).await.unwrap();
    forge.run(id).await;
    assert_eq!(forge.kms.take_decrypts(), Vec::<Value>::new(), "I7");
    let sent = forge.target.requests();
    assert!(sent.iter().all(|request| !format!("{request:?}").contains(TOKEN)), "I7: {sent:?}");
}

#[tokio::test]
async fn a_row_that_was_moved_to_another_organization_does_not_open_i6() {
    let forge = Forge::create().await;
    let theirs = OrganizationId(Uuid::new_v4());
    let ids = BootstrapIds { organization_id: theirs, token_id: forge.world.id(), line_id: forge.world.id() };
    let hash = theirs.0.as_bytes().repeat(2);
    store::bootstrap(&forge.world.database.admin_store(), ids, "Theirs", &hash, forge.world.now())
        .await
        .unwrap();
    // A superuser moves all that can be moved: the workflow with its runs, and the secret's row.
    let moved = format!(
        "SET session_replication_role = replica;
         UPDATE workflows SET organization_id = '{theirs}'; UPDATE workflow_runs SET organization_id = '{theirs}';
         SET session_replication_role = DEFAULT"
    );
    forge.world.database.sql(&moved).await;
    forge.world.database.sql(&format!("UPDATE secrets SET domain_id = '{theirs}'")).await;
    assert_eq!(forge.run(forge.genuine).await, "finished|failed|secret_denied", "I6");
    assert!(forge.target.requests().is_empty());
}

#[tokio::test]
async fn a_forged_url_does_not_send_a_secret_to_a_host_that_it_does_not_name() {
    let forge = Forge::create().await;
    let url = format!("jsonb_set(e.configuration, '{{url}}', '\"{}/x\"')", forge.elsewhere.url());
    let id = forge.forge(forge.node("token"), &[("configuration", url)]).await;
    assert_eq!(forge.run(id).await, "finished|failed|secret_denied");
    assert!(forge.elsewhere.requests().is_empty(), "the other host gets no request");
    assert!(forge.target.requests().is_empty());
}

#[tokio::test]
async fn the_builder_can_not_write_what_decides_over_secrets_i7() {
    let forge = Forge::create().await;
    let builder = forge.world.database.connect("builder").await;
    let workflow_id = forge.workflow.id;
    let insert_ref = format!(
        "INSERT INTO workflow_node_secret_refs (workflow_id, node_id, node_version, secret_name, secret_key)
         VALUES ('{workflow_id}', 'plain', 1, 'github', 'token')"
    );
    for sql in [
        insert_ref.as_str(),
        "UPDATE workflow_node_secret_refs SET node_id = 'plain'",
        "UPDATE workflow_nodes SET version = version + 1",
        "UPDATE workflow_nodes SET configuration = '{}'",
        "UPDATE workflows SET organization_id = organization_id",
        "UPDATE workflow_node_executions SET residuals = '[]'",
        "UPDATE workflow_node_executions SET node_version = 1",
        "UPDATE secrets SET data = data",
        "SELECT data FROM secrets",
        "SELECT signing_keys FROM webhooks",
        "SELECT * FROM workflow_node_secret_refs",
    ] {
        let refused = builder.batch_execute(sql).await.expect_err(sql);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "I7: {sql}");
    }
}
