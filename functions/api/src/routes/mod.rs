//! The routes, one file for each resource.

mod dead_letters;
mod events;
mod executions;
mod organization;
mod queue_items;
mod runs;
mod secrets;
mod tokens;
mod webhooks;
mod workflows;

use domain::ids::WorkflowId;
use jiff::Timestamp;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use api_types::Health;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use futures_util::FutureExt as _;
use process::Metric;

use crate::Deps;
use crate::error::ApiError;

/// The whole API as a service.
pub fn router(deps: Arc<Deps>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route(
            "/v1/organization",
            get(organization::show).patch(organization::change).delete(organization::delete),
        )
        .route("/v1/workflows", get(workflows::list).put(workflows::apply))
        .route("/v1/workflows/{workflow}", get(workflows::show).delete(workflows::delete))
        .route("/v1/workflows/{workflow}/runs", post(runs::start))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/secrets/{name}", put(secrets::put_all).delete(secrets::delete))
        .route("/v1/secrets/{name}/{key}", put(secrets::put_key).delete(secrets::delete_key))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{token}/revoke", post(tokens::revoke))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}", get(runs::show))
        .route("/v1/runs/{run}/cancel", post(runs::cancel))
        .route("/v1/executions", get(executions::list))
        .route("/v1/executions/{execution}", get(executions::show))
        .route("/v1/executions/{execution}/cancel", post(executions::cancel))
        .route("/v1/executions/{execution}/redrive", post(dead_letters::redrive))
        .route("/v1/executions/{execution}/release", post(executions::release))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/events", get(events::list))
        .route("/v1/queue-items", get(queue_items::list))
        .route("/v1/webhooks", get(webhooks::list))
        .route("/v1/webhooks/{webhook}/rotate", post(webhooks::rotate))
        .route("/v1/webhooks/{webhook}/key", put(webhooks::set))
        .route("/v1/webhooks/{webhook}/{node}/rotate", post(webhooks::rotate_of_node))
        .route("/v1/webhooks/{webhook}/{node}/key", put(webhooks::set_of_node))
        .fallback(async || ApiError::NotFound("path"))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&deps), around))
        .with_state(deps)
}

/// Reports only that the function runs. It does not use the database, because anybody may call it.
async fn health() -> axum::Json<Health> {
    axum::Json(Health { status: "ok".to_owned() })
}

/// The layer around every request. It writes a log line without query and body, forbids caching,
/// and turns a panic into a problem.
async fn around(State(deps): State<Arc<Deps>>, request: Request, next: Next) -> Response {
    let begun = deps.clock.now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    // The panic hook has logged the place. The panic's message may quote data, and is dropped.
    let mut response = answered.unwrap_or_else(|_| ApiError::Internal.into_response());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let duration_ms = deps.clock.now().as_millisecond() - begun.as_millisecond();
    tracing::info!(%method, path, status = response.status().as_u16(), duration_ms, "request");
    deps.metrics.count(Metric::DatabaseConnects, deps.store.take_connects());
    deps.metrics.write(deps.clock.now());
    response
}

/// An id in a path.
fn parse_id<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound(what))
}

/// A word of a closed set in a query.
fn query_word<T>(text: Option<&str>, name: &str) -> Result<Option<T>, ApiError>
where
    T: std::str::FromStr<Err = domain::words::UnknownWord>,
{
    text.map(|text| text.parse().map_err(|error| ApiError::Invalid(format!("`{name}` {error}")))).transpose()
}

/// An id in a query.
fn query_id<T: std::str::FromStr>(text: Option<&str>, name: &str) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|_| ApiError::Invalid(format!("`{name}` is no id")))).transpose()
}

/// A time in a query.
fn query_time(text: Option<&str>, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| ApiError::Invalid(format!("`{name}` is no time such as 2025-01-31T12:00:00Z")))
    };
    text.map(read).transpose()
}

/// The id of the workflow that a query names, by id or by name.
async fn query_workflow(
    deps: &Deps,
    caller: &crate::auth::Caller,
    reference: Option<&str>,
) -> Result<Option<WorkflowId>, ApiError> {
    use crate::error::NotFoundAs as _;
    match reference {
        Some(reference) => {
            let found = store::api::find_workflow(&deps.store, caller.organization_id, reference).await;
            Ok(Some(found.not_found_as("workflow")?.id))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use process::{Clock, Ids, Metrics};
    use store::{Store, StoreSettings};
    use tower::ServiceExt as _;

    use super::*;

    /// Dependencies that reach nothing: the database's port is closed, and no test calls AWS.
    fn deps() -> Arc<Deps> {
        let url = "postgres://sealflow_api@127.0.0.1:1/none".to_owned();
        let aws = |service| aws_client::config_from(service, |_| Some("x".to_owned())).unwrap();
        Arc::new(Deps {
            store: Store::new(StoreSettings::local(url, "test")).unwrap(),
            queue: queue::Queue::new(&aws(aws_client::Service::Sqs), "http://n", "http://e"),
            sealer: vault_seal::Sealer::new(&aws(aws_client::Service::Kms), "key"),
            clock: Clock::system(),
            ids: Ids::new(),
            public_url: "http://127.0.0.1".to_owned(),
            component_seconds_max: 300,
            retention_days_max: None,
            metrics: Metrics::off(),
        })
    }

    async fn status(method: &str, path: &str, token: Option<&str>) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = router(deps()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store", "{path}");
        response.status()
    }

    #[tokio::test]
    async fn nothing_but_health_is_answered_without_a_token_i6() {
        assert_eq!(status("GET", "/health", None).await, StatusCode::OK);
        let guarded = [
            ("GET", "/v1/organization"),
            ("PATCH", "/v1/organization"),
            ("DELETE", "/v1/organization"),
            ("GET", "/v1/workflows"),
            ("PUT", "/v1/workflows"),
            ("GET", "/v1/workflows/w"),
            ("DELETE", "/v1/workflows/w"),
            ("POST", "/v1/workflows/w/runs"),
            ("GET", "/v1/secrets"),
            ("PUT", "/v1/secrets/s"),
            ("DELETE", "/v1/secrets/s"),
            ("PUT", "/v1/secrets/s/k"),
            ("DELETE", "/v1/secrets/s/k"),
            ("GET", "/v1/tokens"),
            ("POST", "/v1/tokens"),
            ("POST", "/v1/tokens/t/revoke"),
            ("GET", "/v1/runs"),
            ("GET", "/v1/runs/r"),
            ("POST", "/v1/runs/r/cancel"),
            ("GET", "/v1/executions"),
            ("GET", "/v1/executions/e"),
            ("POST", "/v1/executions/e/cancel"),
            ("POST", "/v1/executions/e/redrive"),
            ("POST", "/v1/executions/e/release"),
            ("GET", "/v1/dead-letters"),
            ("GET", "/v1/events"),
            ("GET", "/v1/queue-items"),
            ("GET", "/v1/webhooks"),
            ("POST", "/v1/webhooks/h/rotate"),
            ("PUT", "/v1/webhooks/h/key"),
            ("POST", "/v1/webhooks/w/n/rotate"),
            ("PUT", "/v1/webhooks/w/n/key"),
        ];
        for (method, path) in guarded {
            assert_eq!(status(method, path, None).await, StatusCode::UNAUTHORIZED, "{method} {path}");
            // A token without the prefix of sealflow is not looked up; one with the prefix is.
            assert_eq!(
                status(method, path, Some("other")).await,
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
            assert_eq!(
                status(method, path, Some("sf_x")).await,
                StatusCode::SERVICE_UNAVAILABLE,
                "{method} {path}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_problem() {
        assert_eq!(status("GET", "/v2", None).await, StatusCode::NOT_FOUND);
        assert_eq!(status("PATCH", "/v1/workflows", None).await, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status("GET", "/v1/secrets/s/k", Some("sf_x")).await, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_panic_ends_as_a_problem_that_repeats_nothing() {
        async fn burst() {
            panic!("hunter2");
        }
        let deps = deps();
        let app = Router::new().route("/", get(burst)).layer(from_fn_with_state(deps, around));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
    }
}
