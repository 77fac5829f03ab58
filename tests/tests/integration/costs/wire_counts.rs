//! Round trips, commits and calls of SQS and KMS, counted at the wire: the same for a batch of 1
//! and of 10.
//!
//! The aims stand here as constants. A change of one needs a reason in the commit that makes it.

use std::collections::BTreeMap;

use aws_client::Service;
use axum::body::Body;
use domain::message::Message;
use local::sqs::{QueueOptions, QueuePair, create_queue_pair};
use local::target::Target;
use process::Clock;
use queue::Queue;
use serde_json::{Value, json};
use tests::aws_wire::AwsWire;
use tests::queues::aws_config;
use tests::wire::Traffic;
use tests::world::{build, event, execute};
use tests::{PostgresWire, Workflow, World};
use tower::ServiceExt;
use uuid::Uuid;
use vault_format::{Entries, Purpose, Scope, SecretValue};
use vault_seal::{SealRequest, Sealer};

/// Lock, claim, load, write, commit.
const BUILDER_ROUND_TRIPS: usize = 5;
const BUILDER_COMMITS: usize = 1;
/// Claim and commit, finish and commit.
const EXECUTOR_ROUND_TRIPS: usize = 2 + 2;
const EXECUTOR_COMMITS: usize = 1 + 1;
/// One statement that commits itself.
const INTAKE_ROUND_TRIPS: usize = 1;
const INTAKE_COMMITS: usize = 1;
/// Of each queue, for up to ten messages.
const SENDS: usize = 1;
/// For each distinct sealed data key.
const DECRYPTS: usize = 1;

/// A world on the wire, with real queues and a real vault behind it.
struct Wired {
    world: World,
    postgres: PostgresWire,
    sqs: AwsWire,
    kms: AwsWire,
    nodes: QueuePair,
    executions: QueuePair,
    target: Target,
}

impl Wired {
    async fn create() -> Self {
        let world = World::create().await;
        let ministack = tests::database::stack().await.ministack().url();
        let options = QueueOptions { visibility_timeout_seconds: 60, receives_max: 3 };
        let queue = async |what: &str| {
            create_queue_pair(ministack, &format!("{what}-{}", Uuid::new_v4()), options).await.unwrap()
        };
        Self {
            postgres: PostgresWire::to(world.database.host_port()).await,
            sqs: AwsWire::to(ministack).await,
            kms: AwsWire::to(ministack).await,
            nodes: queue("nodes").await,
            executions: queue("executions").await,
            target: Target::start().await.unwrap(),
            world,
        }
    }

    fn url(&self, role: &str) -> String {
        self.postgres.url(&self.world.database.url(role))
    }

    fn queue(&self) -> Queue {
        let config = aws_config(Service::Sqs, &self.sqs.url());
        Queue::new(&config, self.nodes.url.clone(), self.executions.url.clone())
    }

    fn builder(&self) -> builder::Deps {
        builder::Deps { queue: self.queue(), ..self.world.builder_at(self.url("builder")) }
    }

    fn executor(&self) -> executor::Deps {
        let kms = self.kms.url();
        executor::Deps {
            queue: self.queue(),
            ..self.world.executor_at(self.url("executor"), &self.target.host_port(), &kms)
        }
    }

    /// Seals keys of a secret, all under one data key.
    async fn seal(&self, secret_id: Uuid, purpose: Purpose, keys: &[&str]) -> Vec<u8> {
        let ministack = tests::database::stack().await.ministack();
        let sealer =
            Sealer::new(&aws_config(Service::Kms, ministack.url()), ministack.create_key().await.unwrap());
        let scope = Scope { organization_id: self.world.organization_id, secret_id, purpose };
        let requests = keys.iter().map(|key| SealRequest {
            key_name: (*key).to_owned(),
            value: SecretValue::new(format!("value of {key} that is long enough")),
            bounds: vault_format::Bounds::default(),
        });
        let mut entries = Entries::new();
        for entry in sealer.seal(&scope, requests.collect()).await.unwrap() {
            entries.put(entry).unwrap();
        }
        entries.to_bytes()
    }

    async fn set_secret(&self, name: &str, keys: &[&str]) {
        let id = self.world.id();
        let data = hex::encode(self.seal(id, Purpose::Secret, keys).await);
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', '{name}', 'org', '{}', '\\x{data}', 'test', now(), now())",
            self.world.organization_id
        );
        self.world.database.sql(&sql).await;
    }

    /// The ids of pending executions.
    async fn pending(&self) -> Vec<Message> {
        let ids =
            self.world.database.sql("SELECT id FROM workflow_node_executions WHERE state = 'pending'").await;
        ids.lines().map(|id| Message::Execution { execution_id: id.parse().unwrap() }).collect()
    }
}

fn start() -> Value {
    json!({ "id": "start", "name": "Start", "trigger": "start" })
}

/// `start` → `if` → http with a secret, whose templates look at an ancestor, the root and the run.
async fn example(wired: &Wired, concurrency: Value) -> Workflow {
    let url = format!("{}/{{{{ $[\"Start\"].data.n }}}}", wired.target.url());
    let headers = json!([
        { "name": "Authorization", "value": "Bearer {{ secrets(\"github\").token }}" },
        { "name": "X-Other", "value": "{{ secrets(\"github\").other }}{{ previous(2).type }}" },
    ]);
    let nodes = json!([
        start(),
        { "id": "check", "name": "Check", "component": "if", "configuration": { "expression": "root().data.n >= 0" } },
        { "id": "call", "name": "Call", "component": "http", "concurrency": concurrency, "keys": { "n": "{{ root().data.n }}" },
          "configuration": { "url": url, "headers": headers } },
        { "id": "after", "name": "After", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "check" },
        { "from": "check", "channel": "true", "to": "call" },
        { "from": "call", "channel": "success", "to": "after" },
    ]);
    wired.world.workflow(nodes, edges).await
}

fn assert_traffic(what: &str, batch: usize, traffic: &Traffic, round_trips: usize, commits: usize) {
    let is_as_aimed = (traffic.round_trips.len(), traffic.commits) == (round_trips, commits);
    assert!(
        is_as_aimed,
        "{what}, batch of {batch}: aim {round_trips} round trips and {commits} commits, got {traffic:#?}"
    );
}

#[tokio::test]
async fn the_builder_takes_as_many_round_trips_for_ten_items_as_for_one() {
    let wired = Wired::create().await;
    for concurrency in [json!("unlimited"), json!(100)] {
        let workflow = example(&wired, concurrency).await;
        let builder = wired.builder();
        let start = async || event(wired.world.start(&workflow, "start", json!({ "n": 1 })).await);
        build(&builder, &[start().await]).await;
        for count in [1, 10] {
            let mut wakes = Vec::new();
            for _ in 0..count {
                wakes.push(start().await);
            }
            let _ = (wired.postgres.take(), wired.sqs.take());
            build(&builder, &wakes).await;
            assert_traffic(
                "builder",
                count,
                &wired.postgres.take().without_heartbeat(),
                BUILDER_ROUND_TRIPS,
                BUILDER_COMMITS,
            );
            assert_eq!(wired.sqs.take(), BTreeMap::from([("SendMessageBatch".to_owned(), SENDS)]));
        }
    }
    assert_eq!(wired.world.database.count("SELECT count(*) FROM workflow_node_executions").await, 2 * 2 * 12);
}

#[tokio::test]
async fn the_executor_takes_as_many_round_trips_and_decrypts_for_ten_executions_as_for_one() {
    let wired = Wired::create().await;
    wired.set_secret("github", &["token", "other"]).await;
    for concurrency in [json!("unlimited"), json!(100)] {
        let workflow = example(&wired, concurrency).await;
        let (builder, executor) = (wired.builder(), wired.executor());
        for (count, is_warm) in [(1, false), (1, true), (10, true)] {
            for _ in 0..count {
                let run_id = wired.world.start(&workflow, "start", json!({ "n": 1 })).await;
                build(&builder, &[event(run_id)]).await;
            }
            let messages = wired.pending().await;
            assert_eq!(messages.len(), count);
            let _ = (wired.postgres.take(), wired.sqs.take(), wired.kms.take());
            execute(&executor, &messages).await;
            if is_warm {
                assert_finished(&wired, count).await;
            }
        }
    }
    let sql = "SELECT DISTINCT state, result FROM workflow_node_executions WHERE node_id = 'call'";
    assert_eq!(wired.world.database.sql(sql).await, "finished|passed");
    let request = wired.target.requests().pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer value of token that is long enough"));
}

/// Executions that end at the same moment are recorded together; those that end while the finisher
/// is at work, in a further round.
async fn assert_finished(wired: &Wired, count: usize) {
    let traffic = wired.postgres.take().without_heartbeat();
    let claims =
        traffic.round_trips.iter().filter(|trip| trip.contains(&"claim_executions".to_owned())).count();
    let finishes =
        traffic.round_trips.iter().filter(|trip| trip.contains(&"record_outcomes".to_owned())).count();
    assert_eq!(claims, 1, "{traffic:#?}");
    assert!((1..=count).contains(&finishes), "{traffic:#?}");
    let per_finish = EXECUTOR_ROUND_TRIPS - 2;
    let round_trips = EXECUTOR_ROUND_TRIPS + (finishes - 1) * per_finish;
    assert_traffic("executor", count, &traffic, round_trips, EXECUTOR_COMMITS + finishes - 1);
    assert_eq!(wired.sqs.take(), BTreeMap::from([("SendMessageBatch".to_owned(), SENDS * finishes)]));
    assert_eq!(
        wired.kms.take(),
        BTreeMap::from([("Decrypt".to_owned(), DECRYPTS)]),
        "one call for each distinct data key"
    );
}

#[tokio::test]
async fn outcomes_that_are_there_together_are_recorded_in_two_round_trips_and_one_commit() {
    let wired = Wired::create().await;
    let nodes = json!([
        start(),
        // It fails before any network: all ten end in the same moment.
        { "id": "call", "name": "Call", "component": "http", "concurrency": "unlimited",
          "configuration": { "url": "https://target.test/{{ secrets(\"missing\").key }}" } },
    ]);
    let workflow = wired.world.workflow(nodes, json!([{ "from": "start", "to": "call" }])).await;
    let (builder, executor) = (wired.builder(), wired.executor());
    for (count, is_warm) in [(1, false), (1, true), (10, true)] {
        for _ in 0..count {
            let run_id = wired.world.start(&workflow, "start", json!({})).await;
            build(&builder, &[event(run_id)]).await;
        }
        let messages = wired.pending().await;
        let _ = (wired.postgres.take(), wired.kms.take());
        execute(&executor, &messages).await;
        let traffic = wired.postgres.take().without_heartbeat();
        if is_warm {
            assert_traffic("executor", count, &traffic, EXECUTOR_ROUND_TRIPS, EXECUTOR_COMMITS);
            assert_eq!(wired.kms.take(), BTreeMap::new());
        }
    }
    let sql = "SELECT DISTINCT result, result_reason FROM workflow_node_executions";
    assert_eq!(wired.world.database.sql(sql).await, "failed|secret_missing");
}

#[tokio::test]
async fn each_distinct_data_key_is_one_call_of_kms() {
    let wired = Wired::create().await;
    wired.set_secret("one", &["a", "b"]).await;
    wired.set_secret("two", &["c"]).await;
    let value = "{{ secrets(\"one\").a }} {{ secrets(\"one\").b }} {{ secrets(\"two\").c }}";
    let nodes = json!([
        start(),
        { "id": "call", "name": "Call", "component": "http", "concurrency": "unlimited",
          "configuration": { "url": wired.target.url(), "headers": [{ "name": "X-Three", "value": value }] } },
    ]);
    let workflow = wired.world.workflow(nodes, json!([{ "from": "start", "to": "call" }])).await;
    let builder = wired.builder();
    for _ in 0..5 {
        let run_id = wired.world.start(&workflow, "start", json!({})).await;
        build(&builder, &[event(run_id)]).await;
    }
    execute(&wired.executor(), &wired.pending().await).await;
    assert_eq!(wired.kms.take(), BTreeMap::from([("Decrypt".to_owned(), 2 * DECRYPTS)]));
}

#[tokio::test]
async fn a_known_webhook_is_one_round_trip_one_commit_and_one_send() {
    let wired = Wired::create().await;
    let nodes = json!([
        { "id": "push", "name": "Push", "trigger": "webhook", "configuration": { "authentication": "signature", "deduplication_header": "x-delivery" },
          "run_name": "{{ root().data.body.name }}" },
        { "id": "a", "name": "A", "component": "noop" },
    ]);
    let workflow = wired.world.workflow(nodes, json!([{ "from": "push", "to": "a" }])).await;
    let webhook_id = workflow.webhooks[0].id;
    let address = webhook_id.0.simple();
    let keys = hex::encode(wired.seal(webhook_id.0, Purpose::Webhook, &["current"]).await);
    let sql = format!(
        "UPDATE webhooks SET signing_keys = '\\x{keys}', current_key_name = 'current' WHERE id = '{webhook_id}'"
    );
    wired.world.database.sql(&sql).await;
    let deps: &'static webhook::Deps = Box::leak(Box::new(webhook::Deps {
        store: tests::database::store_at(wired.url("webhook")),
        queue: wired.queue(),
        opener: vault_open::Opener::new(&aws_config(Service::Kms, &wired.kms.url())),
        clock: Clock::system(),
        ids: wired.world.ids.clone(),
        cache: webhook::WebhookCache::default(),
        rates: process::RateLimits::default(),
        rate_max: components::webhook::FASTEST,
        deliveries: webhook::Deliveries::default(),
        metrics: process::Metrics::off(),
    }));
    let post = async |delivery: &str| {
        let body = r#"{"name":"first"}"#;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"value of current that is long enough");
        let signature = format!("sha256={}", hex::encode(ring::hmac::sign(&key, body.as_bytes())));
        let request = http::Request::post(format!("/hooks/{address}"))
            .header("content-type", "application/json")
            .header("x-hub-signature-256", signature)
            .header("x-delivery", delivery)
            .body(Body::from(body))
            .unwrap();
        webhook::router(deps).oneshot(request).await.unwrap().status().as_u16()
    };
    let unknown = async || {
        let request =
            http::Request::post("/hooks/fedcba9876543210fedcba9876543210").body(Body::empty()).unwrap();
        webhook::router(deps).oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(unknown().await, 404);
    assert!(!wired.postgres.take().round_trips.is_empty(), "it is asked for");
    assert_eq!(unknown().await, 404);
    assert_eq!(wired.postgres.take().round_trips.len(), 0, "an unknown address is asked for once");
    assert_eq!(post("one").await, 202);
    let _ = (wired.postgres.take(), wired.sqs.take(), wired.kms.take());
    assert_eq!(post("two").await, 202);
    assert_traffic("webhook", 1, &wired.postgres.take(), INTAKE_ROUND_TRIPS, INTAKE_COMMITS);
    assert_eq!(wired.sqs.take(), BTreeMap::from([("SendMessageBatch".to_owned(), SENDS)]));
    assert_eq!(wired.kms.take(), BTreeMap::new(), "opened keys are kept for a minute");
    assert_eq!(post("two").await, 202);
    assert_eq!(wired.sqs.take(), BTreeMap::new(), "a repeated delivery sends nothing");
    let sql = "SELECT custom_name, count(*) FROM workflow_events GROUP BY 1";
    assert_eq!(wired.world.database.sql(sql).await, "first|2", "I3: and stores nothing");
}
