//! The number of retries when others are quicker or the database refuses: each has a limit (I10).
//!
//! The database itself plays the others: a trigger spoils the first writes of a table. A spoilt
//! write fails, or it writes no row, as after another transaction took its version.

use domain::ids::ExecutionId;
use std::sync::Arc;

use aws_client::Service;
use axum::Router;
use axum::body::Body;
use domain::message::Message;
use http::Request;
use local::target::Target;
use process::{BatchResponse, Clock, Deadline};
use serde_json::{Value, json};
use store::BootstrapIds;
use tests::kms::FakeKms;
use tests::queues::aws_config;
use tests::world::{batch, build, event, execute};
use tests::{PostgresWire, Workflow, World};
use tower::ServiceExt;

const TOKEN: &str = "sf_test-token-of-the-tries";

/// The outcome of the first writes of a table.
#[derive(Clone, Copy)]
enum First {
    /// Nothing: no row is written.
    Nothing,
    /// This SQLSTATE.
    Error(&'static str),
}

/// Makes the first `count` writes (`INSERT`, `UPDATE`) of a table write no row or fail, for every
/// role.
async fn spoil(world: &World, table: &str, write: &str, count: u32, first: First) {
    let spoilt = match first {
        First::Nothing => "RETURN NULL".to_owned(),
        First::Error(sqlstate) => format!("RAISE EXCEPTION 'spoilt' USING ERRCODE = '{sqlstate}'"),
    };
    // A sequence keeps its count when the transaction is rolled back.
    let sql = format!(
        "DROP TRIGGER IF EXISTS spoil ON {table};
         DROP SEQUENCE IF EXISTS spoilt; CREATE SEQUENCE spoilt;
         CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.spoilt') <= {count} THEN {spoilt}; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER spoil BEFORE {write} ON {table} FOR EACH ROW EXECUTE FUNCTION spoil()"
    );
    world.database.sql(&sql).await;
}

/// Answers the first `count` starts of runs that they were planned with an outdated version.
async fn outdate(world: &World, count: u32) {
    let sql = format!(
        "DROP SEQUENCE IF EXISTS spoilt; CREATE SEQUENCE spoilt;
         DO $$ BEGIN
             IF to_regproc('begin_run_in_time') IS NULL THEN ALTER FUNCTION begin_run RENAME TO begin_run_in_time; END IF;
         END $$;
         CREATE OR REPLACE FUNCTION begin_run(uuid, uuid, bigint, text, uuid, text, text, jsonb, text, int, text[], uuid[], timestamptz, uuid,
             bigint, text, float8)
         RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8) LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.spoilt') <= {count} THEN
                 RETURN QUERY SELECT 'outdated', NULL::uuid, NULL::float8;
             ELSE
                 RETURN QUERY SELECT * FROM public.begin_run_in_time($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                     $17);
             END IF;
         END $$;"
    );
    world.database.sql(&sql).await;
}

/// The number of writes that were tried since the last [`spoil`] or [`outdate`].
async fn tried(world: &World) -> i64 {
    world.database.count("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM spoilt").await
}

/// The API of a world with one organization.
struct Api {
    world: World,
    router: Router,
    /// The KMS: it answers until it is dropped.
    _kms: FakeKms,
}

impl Api {
    async fn create() -> Self {
        let (world, kms) = (World::create().await, FakeKms::start().await);
        let sqs = aws_config(Service::Sqs, "http://127.0.0.1:9");
        let router = api::router(Arc::new(api::Deps {
            store: world.database.store("api"),
            queue: queue::Queue::new(&sqs, "http://queues.test/nodes", "http://queues.test/executions"),
            sealer: kms.sealer(),
            clock: Clock::system(),
            ids: world.ids.clone(),
            public_url: "https://sealflow.test".to_owned(),
            deployment: definition_check::Deployment::default(),
            limits: api::RequestLimits::new(domain::rate::Rate { per_second: 1_000, burst: 1_000 }),
            retention_days_max: None,
            metrics: process::Metrics::off(),
        }));
        let ids = BootstrapIds {
            organization_id: domain::ids::OrganizationId(world.id()),
            token_id: world.id(),
            line_id: world.id(),
        };
        let hash = ring::digest::digest(&ring::digest::SHA256, TOKEN.as_bytes());
        store::bootstrap(&world.database.admin_store(), ids, "Tries", hash.as_ref(), world.now())
            .await
            .unwrap();
        Self { world, router, _kms: kms }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        tests::openapi::check_response(method, path, &http::Response::from_parts(parts.clone(), body));
        (parts.status.as_u16(), answer)
    }

    /// Checks that a call writes at most `max` times. With one spoilt write fewer the call passes;
    /// with more it is a conflict.
    async fn check(&self, max: u32, spoilt: (&str, &str), call: (&str, &str, Value)) {
        let ((table, write), (method, path, body)) = (spoilt, call);
        spoil(&self.world, table, write, max - 1, First::Nothing).await;
        let (status, answer) = self.call(method, path, body.clone()).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        assert_eq!(tried(&self.world).await, i64::from(max), "{method} {path}");
        spoil(&self.world, table, write, 1_000, First::Nothing).await;
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, 409, "{method} {path}: {answer}");
        assert_eq!(tried(&self.world).await, i64::from(max), "{method} {path}");
        self.world.database.sql(&format!("DROP TRIGGER spoil ON {table}")).await;
    }
}

fn definition(header: &str) -> Value {
    let configuration = json!({ "authentication": "signature", "deduplication_header": header });
    json!({ "name": "w", "nodes": [
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "hook", "name": "Hook", "trigger": "webhook", "configuration": configuration },
    ] })
}

#[tokio::test]
async fn the_api_tries_again_so_often_and_then_says_conflict_i10() {
    let api = Api::create().await;
    let (status, answer) = api.call("PUT", "/v1/workflows", definition("x-one")).await;
    assert_eq!(status, 200, "{answer}");
    let value = json!({ "value": "value-of-sixteen", "hosts": [] });
    let (status, answer) = api.call("PUT", "/v1/secrets/github/token", value.clone()).await;
    assert_eq!(status, 200, "{answer}");
    // A rotation and a secret seal their value once more if the first write was in vain.
    api.check(2, ("webhooks", "UPDATE"), ("POST", "/v1/webhooks/w/hook/rotate", json!({}))).await;
    api.check(2, ("secrets", "UPDATE"), ("PUT", "/v1/secrets/github/token", value)).await;
    // A start reads the workflow again.
    let start = async || {
        let (status, _) = api.call("POST", "/v1/workflows/w/runs", json!({ "data": {} })).await;
        (status, tried(&api.world).await)
    };
    outdate(&api.world, 1).await;
    assert_eq!(start().await, (202, 2));
    outdate(&api.world, 1_000).await;
    assert_eq!(start().await, (409, 2));
    // An apply plans anew. Each apply here has a change, or it would write nothing.
    spoil(&api.world, "webhooks", "UPDATE", 4, First::Nothing).await;
    let (status, answer) = api.call("PUT", "/v1/workflows", definition("x-two")).await;
    assert_eq!((status, tried(&api.world).await), (200, 5), "{answer}");
    spoil(&api.world, "webhooks", "UPDATE", 5, First::Nothing).await;
    let (status, answer) = api.call("PUT", "/v1/workflows", definition("x-three")).await;
    assert_eq!((status, tried(&api.world).await), (409, 5), "{answer}");
}

/// A world with the workflow `start → work`, in which `work` calls the target.
async fn working(target: &Target) -> (World, Workflow) {
    let world = World::create().await;
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": target.url() }, "concurrency": "unlimited" },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    (world, workflow)
}

#[tokio::test]
async fn the_builder_plans_anew_so_often_and_then_the_batch_comes_again_i10() {
    const PLANS_MAX: u32 = 3;
    let target = Target::start().await.unwrap();
    let (world, workflow) = working(&target).await;
    let run = world.start(&workflow, "start", json!({})).await;
    // The builder's rows are not written, as after an apply between plan and write.
    spoil(&world, "workflow_node_executions", "INSERT", PLANS_MAX, First::Nothing).await;
    let builder = world.builder();
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    let response = builder::handle(batch(&[event(run)], 1), deadline, &builder).await;
    assert_ne!(response, BatchResponse::default(), "the message is delivered again");
    assert_eq!(
        (tried(&world).await, world.items().await),
        (i64::from(PLANS_MAX), 1),
        "nothing was committed"
    );
    spoil(&world, "workflow_node_executions", "INSERT", PLANS_MAX - 1, First::Nothing).await;
    build(&world.builder(), &[event(run)]).await;
    assert_eq!((tried(&world).await, world.items().await), (i64::from(PLANS_MAX), 0));
}

/// Makes one pending execution; gives its id.
async fn pending(world: &World, workflow: &Workflow) -> ExecutionId {
    let run = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run)]).await;
    let sql = format!("SELECT id FROM workflow_node_executions WHERE root_event_id = '{run}'");
    world.database.sql(&sql).await.parse().unwrap()
}

/// Executes while the first `count` writes of a table are spoilt; gives the execution's state and
/// the number of tried writes.
async fn executed(count: u32, table: &str, write: &str, first: First) -> (String, i64) {
    let target = Target::start().await.unwrap();
    let (world, workflow) = working(&target).await;
    let id = pending(&world, &workflow).await;
    let executor = world.executor(&target.host_port());
    spoil(&world, table, write, count, first).await;
    execute(&executor, &[Message::Execution { execution_id: id }]).await;
    assert_eq!(target.requests().len(), 1, "the recording is tried again, and not the call");
    let sql = format!("SELECT state FROM workflow_node_executions WHERE id = '{id}'");
    (world.database.sql(&sql).await, tried(&world).await)
}

#[tokio::test]
async fn an_outcome_that_can_not_be_recorded_is_tried_so_often_and_then_the_lease_lapses_i10() {
    const RECORD_TRIES_MAX: u32 = 4;
    // SQLSTATE 58000 is an error of the server, not of the data.
    let tried = async |count: u32| executed(count, "workflow_events", "INSERT", First::Error("58000")).await;
    assert_eq!(tried(RECORD_TRIES_MAX - 1).await, ("finished".to_owned(), i64::from(RECORD_TRIES_MAX)));
    assert_eq!(tried(RECORD_TRIES_MAX).await, ("started".to_owned(), i64::from(RECORD_TRIES_MAX)));
}

#[tokio::test]
async fn an_outcome_is_routed_anew_so_often_and_then_the_lease_lapses_i10() {
    const ROUTES_MAX: u32 = 3;
    // The row is not written although its lease is live, as after an apply meanwhile.
    let routed = async |count: u32| {
        executed(count, "workflow_node_executions", "UPDATE OF result", First::Nothing).await
    };
    assert_eq!(routed(ROUTES_MAX - 1).await, ("finished".to_owned(), i64::from(ROUTES_MAX)));
    assert_eq!(routed(ROUTES_MAX).await, ("started".to_owned(), i64::from(ROUTES_MAX)));
}

#[tokio::test]
async fn a_transaction_that_loses_against_others_runs_so_often_and_then_gives_up_i10() {
    const RUNS_MAX: u32 = 5;
    // SQLSTATE 40001 is a serialization failure. After the last try of a transaction, its caller
    // tries again: here the recording of an outcome.
    let (state, runs) = executed(RUNS_MAX - 1, "workflow_events", "INSERT", First::Error("40001")).await;
    assert_eq!((state.as_str(), runs), ("finished", i64::from(RUNS_MAX)));
    let target = Target::start().await.unwrap();
    let (world, workflow) = working(&target).await;
    let run = world.start(&workflow, "start", json!({})).await;
    spoil(&world, "workflow_node_executions", "INSERT", 1_000, First::Error("40001")).await;
    let builder = world.builder();
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    let _ = world.queues.take();
    let response = builder::handle(batch(&[event(run)], 1), deadline, &builder).await;
    assert_eq!(response, BatchResponse::default());
    let sent = tests::world::messages(&world.queues.take());
    assert_eq!(sent, [event(run)], "the wake is sent anew, because no record is at fault");
    assert_eq!(tried(&world).await, i64::from(RUNS_MAX));
}

#[tokio::test]
async fn a_statement_that_the_server_forgot_or_planned_for_other_types_runs_once_more_i3() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let store = tests::database::store_at(wire.url(&world.database.url("api")));
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" }, { "id": "a", "name": "A", "component": "noop" },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "a" }])).await;
    // The first statement is alone in its transaction, the second one is one of several.
    let both = async || {
        let found = store::api::find_workflow(&store, world.organization_id, &workflow.id.to_string()).await;
        let begun = world.begin(&store, &workflow, "start", world.id(), json!({})).await;
        (found.is_ok(), begun.ok())
    };
    let started = store::intake::BeginOutcome::Begun(None);
    assert_eq!(both().await, (true, Some(started)));
    for forget in 0..2 {
        if forget == 0 {
            wire.forget_statements();
        } else {
            let sql = "ALTER TABLE workflows ALTER COLUMN description TYPE varchar(4000);
                 ALTER TABLE workflow_nodes ALTER COLUMN name TYPE varchar(4000)";
            world.database.sql(sql).await;
        }
        assert_eq!(both().await, (true, Some(started)), "{forget}");
    }
    assert_eq!(world.items().await, 3, "each run was started once");
}
