//! The API and a warm instance of the webhook function, for tests of keys.

use aws_client::Service;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use jiff::SignedDuration;
use process::{Clock, Deadline};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::BootstrapIds;
use tests::World;
use tests::kms::{FakeKms, KEY};
use tests::queues::aws_config;
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "sf_test-token-of-the-first";
pub(crate) const OTHER_TOKEN: &str = "sf_test-token-of-the-other";
/// The KMS key that values move to.
pub(crate) const NEW_KEY: &str = "alias/new";
pub(crate) const BODY: &str = r#"{"n":1}"#;

/// The API and one warm instance of the webhook function, with two organizations.
pub(crate) struct Intake {
    pub(crate) world: World,
    pub(crate) kms: FakeKms,
    pub(crate) api: Router,
    pub(crate) webhook: Router,
    pub(crate) deps: &'static webhook::Deps,
}

/// The API, sealing under a KMS key.
pub(crate) fn api_under(key: &str, world: &World, kms: &FakeKms) -> Router {
    let sqs = aws_config(Service::Sqs, "http://127.0.0.1:9");
    api::router(Arc::new(api::Deps {
        store: world.database.store("api"),
        queue: queue::Queue::new(&sqs, "http://queues.test/nodes", "http://queues.test/executions"),
        sealer: kms.sealer_under(key),
        clock: Clock::system(),
        ids: world.ids.clone(),
        public_url: "https://sealflow.test".to_owned(),
        deployment: definition_check::Deployment::default(),
        limits: api::RequestLimits::new(domain::rate::Rate { per_second: 1_000, burst: 1_000 }),
        retention_days_max: None,
        metrics: process::Metrics::off(),
    }))
}

pub(crate) fn warm_instance(
    world: &World,
    kms: &FakeKms,
    clock: Clock,
    cache: webhook::WebhookCache,
) -> &'static webhook::Deps {
    Box::leak(Box::new(webhook::Deps {
        store: world.database.store("webhook"),
        queue: world.queues.queue(),
        opener: kms.opener(),
        clock,
        ids: world.ids.clone(),
        cache,
        rates: process::RateLimits::default(),
        rate_max: components::webhook::FASTEST,
        deliveries: webhook::Deliveries::default(),
        metrics: process::Metrics::off(),
    }))
}

impl Intake {
    pub(crate) async fn create() -> Self {
        let (world, kms) = (World::create().await, FakeKms::start().await);
        let api = api_under(KEY, &world, &kms);
        let deps = warm_instance(&world, &kms, Clock::system(), webhook::WebhookCache::default());
        let intake = Self { api, webhook: webhook::router(deps), deps, kms, world };
        for token in [TOKEN, OTHER_TOKEN] {
            intake.bootstrap(token).await;
        }
        intake
    }

    pub(crate) async fn bootstrap(&self, token: &str) {
        let ids = BootstrapIds {
            organization_id: domain::ids::OrganizationId(self.world.id()),
            token_id: self.world.id(),
            line_id: self.world.id(),
        };
        let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let store = self.world.database.admin_store();
        store::bootstrap(&store, ids, token, hash.as_ref(), self.world.now()).await.unwrap();
    }

    pub(crate) async fn call_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.api.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        tests::openapi::check_response(method, path, &http::Response::from_parts(parts.clone(), body));
        (parts.status.as_u16(), answer)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.call_as(TOKEN, method, path, body).await
    }

    /// Applies a workflow with one webhook; gives the webhook as the answer shows it.
    pub(crate) async fn hook(&self, name: &str, authentication: &str) -> Value {
        self.hook_as(name, json!({ "authentication": authentication })).await
    }

    pub(crate) async fn hook_as(&self, name: &str, configuration: Value) -> Value {
        let definition = json!({ "name": name, "nodes": [
            { "id": "push", "name": "Push", "trigger": "webhook", "configuration": configuration },
        ] });
        let (status, answer) = self.call("PUT", "/v1/workflows", &definition).await;
        assert_eq!(status, 200, "{answer}");
        answer["webhooks"][0].clone()
    }

    pub(crate) async fn rotate(&self, hook: &Value, keep: u32) -> Value {
        let path = format!("/v1/webhooks/{}/rotate", word(&hook["id"]));
        let (status, answer) = self.call("POST", &path, &json!({ "keep_previous_seconds": keep })).await;
        assert_eq!(status, 200, "{answer}");
        answer["webhook"].clone()
    }

    /// Posts a delivery with a header; gives status and `Retry-After`.
    pub(crate) async fn post(&self, hook: &Value, header: (&str, String)) -> (StatusCode, Option<String>) {
        self.post_with(hook, "", &[header]).await
    }

    pub(crate) async fn post_with(
        &self,
        hook: &Value,
        query: &str,
        headers: &[(&str, String)],
    ) -> (StatusCode, Option<String>) {
        let url = word(&hook["url"]);
        let mut request =
            Request::post(format!("{}{query}", url.strip_prefix("https://sealflow.test").unwrap()))
                .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(BODY)).unwrap();
        let response = self.webhook.clone().oneshot(request).await.unwrap();
        let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (response.status(), after)
    }

    pub(crate) async fn post_signed(&self, hook: &Value, key: &str) -> StatusCode {
        self.post(hook, signed(key)).await.0
    }

    /// Shifts the clock of the warm instance.
    pub(crate) fn later(&mut self, by: SignedDuration) {
        let clock = Clock::shifted(by);
        self.deps = warm_instance(&self.world, &self.kms, clock, self.deps.cache.clone());
        self.webhook = webhook::router(self.deps);
    }

    /// Moves all sealed values to another KMS key.
    pub(crate) async fn move_keys(&self) {
        let deps = rewrap::Deps {
            store: self.world.database.store("rewrap"),
            rewrapper: self.kms.rewrapper(KEY, NEW_KEY),
        };
        let run = async || {
            let deadline = Deadline::after(Duration::from_secs(300));
            rewrap::handle(rewrap::Request::default(), &deps, deadline).await.unwrap()
        };
        assert!(run().await.moved > 0 && run().await.moved == 0);
    }

    pub(crate) async fn events(&self) -> i64 {
        self.world.database.count("SELECT count(*) FROM workflow_events").await
    }
}

pub(crate) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub(crate) fn signed(key: &str) -> (&'static str, String) {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), BODY.as_bytes());
    ("x-hub-signature-256", format!("sha256={}", hex::encode(tag)))
}

pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}
