//! The API as a service over a world, and callers with tokens of any role.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use domain::access::{Access, Grants, Role};
use domain::actor::{Actor, ActorKind};
use domain::ids::TokenId;
use domain::rate::Rate;
use process::Clock;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use store::Store;
use store::api::{NewToken, create_token};
use tower::ServiceExt as _;

use crate::World;
use crate::kms::FakeKms;
use crate::queues::aws_config;

/// The API of a world.
pub struct ApiWorld {
    /// The world.
    pub world: World,
    router: Router,
    /// The KMS: it answers until it is dropped.
    _kms: FakeKms,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as text.
    pub text: String,
    /// Its body as JSON; nil where it is none.
    pub body: Value,
}

impl ApiWorld {
    /// The API of a new world.
    pub async fn create() -> Self {
        let world = World::create().await;
        let store = world.database.store("api");
        Self::over(world, store, Rate { per_second: 10_000, burst: 10_000 }).await
    }

    /// The API of a world over this store, in which each token has this rate.
    pub async fn over(world: World, store: Store, rate: Rate) -> Self {
        let kms = FakeKms::start().await;
        let sqs = aws_config(aws_client::Service::Sqs, "http://127.0.0.1:9");
        let router = api::router(Arc::new(api::Deps {
            store,
            queue: queue::Queue::new(&sqs, "http://queues.test/nodes", "http://queues.test/executions"),
            sealer: kms.sealer(),
            clock: Clock::system(),
            ids: world.ids.clone(),
            public_url: "https://sealflow.test".to_owned(),
            deployment: definition_check::Deployment::default(),
            retention_days_max: None,
            limits: api::RequestLimits::new(rate),
            metrics: process::Metrics::off(),
        }));
        Self { world, router, _kms: kms }
    }

    /// Makes a token of the world's organization, as `maker`; gives its id and itself.
    pub async fn token_of(
        &self,
        maker: &Actor,
        kind: ActorKind,
        name: &str,
        (role, grants): (Role, Grants),
    ) -> (TokenId, String) {
        let token = format!("sf_{name}-{}", self.world.id::<uuid::Uuid>());
        let hash = digest(&SHA256, token.as_bytes());
        let new = NewToken {
            id: self.world.id(),
            kind,
            name,
            access: Access::new(role, grants),
            token_sha256: hash.as_ref(),
            expires_at: None,
            created_by: maker,
        };
        let store = self.world.database.store("api");
        let made =
            create_token(self.world.audited_at(&store), self.world.organization_id, &new, self.world.now());
        (made.await.expect("a token is made").id, token)
    }

    /// A token of the role with what is usual for it, made by nobody.
    pub async fn token(&self, role: Role) -> String {
        let nobody = Actor::token_named("nobody");
        self.token_of(&nobody, ActorKind::Token, role.as_str(), (role, role.usual_grants())).await.1
    }

    /// Calls the API; the answer is compared with the API's document.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 4 * 1024 * 1024).await.expect("a body");
        crate::openapi::check_response(method, path, &Response::from_parts(parts.clone(), bytes.clone()));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, body }
    }
}
