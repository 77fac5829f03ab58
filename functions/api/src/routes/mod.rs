//! The routes, one file a resource.

mod events;
mod executions;
mod organization;
mod queue_items;
mod runs;
mod secrets;
mod webhooks;
mod workflows;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::Deps;
use crate::error::ApiError;

/// The whole API as a service.
pub fn router(deps: Arc<Deps>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/v1/organization", get(organization::show).delete(organization::delete))
        .route("/v1/workflows", get(workflows::list).put(workflows::apply))
        .route("/v1/workflows/{workflow}", get(workflows::show).delete(workflows::delete))
        .route("/v1/workflows/{workflow}/runs", post(runs::start))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/secrets/{name}", put(secrets::put_all).delete(secrets::delete))
        .route("/v1/secrets/{name}/{key}", put(secrets::put_key).delete(secrets::delete_key))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}", get(runs::show))
        .route("/v1/runs/{run}/cancel", post(runs::cancel))
        .route("/v1/executions", get(executions::list))
        .route("/v1/executions/{execution}", get(executions::show))
        .route("/v1/events", get(events::list))
        .route("/v1/queue-items", get(queue_items::list))
        .route("/v1/webhooks", get(webhooks::list))
        .fallback(async || ApiError::NotFound("path"))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&deps), around))
        .with_state(deps)
}

/// Says only that the function runs: it asks nothing of the database, for anybody may call it.
async fn health() -> axum::Json<Value> {
    axum::Json(json!({ "status": "ok" }))
}

/// What every request has around it: a log line without query and body, no caching, and a panic that ends as a problem.
async fn around(State(deps): State<Arc<Deps>>, request: Request, next: Next) -> Response {
    let begun = deps.clock.now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    // The panic hook has logged where; its message may quote data and goes nowhere.
    let mut response = answered.unwrap_or_else(|_| ApiError::Internal.into_response());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let duration_ms = deps.clock.now().as_millisecond() - begun.as_millisecond();
    tracing::info!(%method, path, status = response.status().as_u16(), duration_ms, "request");
    response
}

/// An id in a path.
fn parse_id(text: &str, what: &'static str) -> Result<uuid::Uuid, ApiError> {
    uuid::Uuid::parse_str(text).map_err(|_| ApiError::NotFound(what))
}

/// An id in a query.
fn query_id(text: Option<&str>, name: &str) -> Result<Option<uuid::Uuid>, ApiError> {
    text.map(|text| uuid::Uuid::parse_str(text).map_err(|_| ApiError::Invalid(format!("`{name}` is no id"))))
        .transpose()
}

/// The id of the workflow that a query names, by id or by name.
async fn query_workflow(
    deps: &Deps,
    caller: &crate::auth::Caller,
    reference: Option<&str>,
) -> Result<Option<uuid::Uuid>, ApiError> {
    use crate::error::NotFoundAs as _;
    match reference {
        Some(reference) => {
            let found = store::api::find_workflow(&deps.store, caller.organization_id, reference).await;
            Ok(Some(found.not_found_as("workflow")?.id))
        }
        None => Ok(None),
    }
}
