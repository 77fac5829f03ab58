//! The routes, one file for each resource.

mod approvals;
mod audit;
mod blueprints;
mod dead_letters;
mod events;
mod executions;
mod me;
mod members;
mod organization;
mod queue_items;
mod runs;
mod secrets;
mod tokens;
mod webhooks;
mod workflows;

use domain::ids::{RunId, WorkflowId};
use jiff::Timestamp;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use api_types::Health;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Extension, Router};
use domain::access::Action;
use futures_util::FutureExt as _;
use process::Metric;
use store::api::AuditObject;

use crate::Deps;
use crate::error::ApiError;

/// The routes with their actions. Each route names its own: a caller that may not do it ends before
/// the handler, and a route without one answers nobody.
pub(crate) struct Routes {
    router: Router<Arc<Deps>>,
    /// Method, path and action of each.
    actions: Vec<(&'static str, &'static str, Action)>,
}

impl Routes {
    fn at(
        mut self,
        method: &'static str,
        path: &'static str,
        action: Action,
        handler: MethodRouter<Arc<Deps>>,
    ) -> Self {
        self.actions.push((method, path, action));
        Self { router: self.router.route(path, handler.layer(Extension(action))), ..self }
    }

    /// All of them.
    pub(crate) fn all() -> Self {
        use Action as A;
        let routes = Self { router: Router::new(), actions: Vec::new() };
        routes
            .at("GET", "/v1/me", A::OrganizationRead, get(me::show))
            .at("GET", "/v1/organization", A::OrganizationRead, get(organization::show))
            .at("PATCH", "/v1/organization", A::OrganizationWrite, patch(organization::change))
            .at("DELETE", "/v1/organization", A::OrganizationDelete, delete(organization::delete))
            .at("GET", "/v1/workflows", A::WorkflowsRead, get(workflows::list))
            .at("PUT", "/v1/workflows", A::WorkflowsWrite, put(workflows::apply))
            .at("GET", "/v1/workflows/{workflow}", A::WorkflowsRead, get(workflows::show))
            .at("DELETE", "/v1/workflows/{workflow}", A::WorkflowsWrite, delete(workflows::delete))
            .at("POST", "/v1/workflows/{workflow}/runs", A::RunsStart, post(runs::start))
            .at("GET", "/v1/blueprints", A::WorkflowsRead, get(blueprints::list))
            .at("PUT", "/v1/blueprints", A::WorkflowsWrite, put(blueprints::apply))
            .at("GET", "/v1/blueprints/{blueprint}", A::WorkflowsRead, get(blueprints::show))
            .at("DELETE", "/v1/blueprints/{blueprint}", A::WorkflowsWrite, delete(blueprints::delete))
            .at("POST", "/v1/blueprints/{blueprint}/upgrade", A::WorkflowsWrite, post(blueprints::upgrade))
            .at("GET", "/v1/secrets", A::SecretsRead, get(secrets::list))
            .at("PUT", "/v1/secrets/{name}", A::SecretsWrite, put(secrets::put_all))
            .at("DELETE", "/v1/secrets/{name}", A::SecretsWrite, delete(secrets::delete))
            .at("PUT", "/v1/secrets/{name}/{key}", A::SecretsWrite, put(secrets::put_key))
            .at("DELETE", "/v1/secrets/{name}/{key}", A::SecretsWrite, delete(secrets::delete_key))
            .at("GET", "/v1/tokens", A::TokensRead, get(tokens::list))
            .at("POST", "/v1/tokens", A::TokensWrite, post(tokens::create))
            .at("POST", "/v1/tokens/{token}/revoke", A::TokensWrite, post(tokens::revoke))
            .at("GET", "/v1/members", A::MembersRead, get(members::list))
            .at("POST", "/v1/members", A::MembersWrite, post(members::invite))
            .at("PATCH", "/v1/members/{member}", A::MembersWrite, patch(members::change))
            .at("DELETE", "/v1/members/{member}", A::MembersWrite, delete(members::remove))
            .at("GET", "/v1/audit", A::AuditRead, get(audit::list))
            .at("GET", "/v1/runs", A::RunsRead, get(runs::list))
            .at("GET", "/v1/runs/{run}", A::RunsRead, get(runs::show))
            .at("POST", "/v1/runs/{run}/cancel", A::RunsCancel, post(runs::cancel))
            .at("GET", "/v1/executions", A::RunsRead, get(executions::list))
            .at("GET", "/v1/executions/{execution}", A::RunsRead, get(executions::show))
            .at("POST", "/v1/executions/{execution}/cancel", A::RunsCancel, post(executions::cancel))
            .at("POST", "/v1/executions/{execution}/redrive", A::RunsRedrive, post(dead_letters::redrive))
            .at("POST", "/v1/executions/{execution}/release", A::RunsRelease, post(executions::release))
            .at("GET", "/v1/approvals", A::RunsRead, get(approvals::list))
            .at("GET", "/v1/approvals/{approval}", A::RunsRead, get(approvals::show))
            .at("POST", "/v1/approvals/{approval}", A::ApprovalsDecide, post(approvals::decide))
            .at("GET", "/v1/dead-letters", A::RunsRead, get(dead_letters::list))
            .at("GET", "/v1/events", A::RunsRead, get(events::list))
            .at("GET", "/v1/queue-items", A::RunsRead, get(queue_items::list))
            .at("GET", "/v1/webhooks", A::WebhooksRead, get(webhooks::list))
            .at("POST", "/v1/webhooks/{webhook}/rotate", A::WebhooksWrite, post(webhooks::rotate))
            .at("PUT", "/v1/webhooks/{webhook}/key", A::WebhooksWrite, put(webhooks::set))
            .at(
                "POST",
                "/v1/webhooks/{webhook}/{node}/rotate",
                A::WebhooksWrite,
                post(webhooks::rotate_of_node),
            )
            .at("PUT", "/v1/webhooks/{webhook}/{node}/key", A::WebhooksWrite, put(webhooks::set_of_node))
    }
}

/// Method, path and action of each route that needs a token.
#[must_use]
pub fn actions() -> Vec<(&'static str, &'static str, Action)> {
    Routes::all().actions
}

/// The whole API as a service.
pub fn router(deps: Arc<Deps>) -> Router {
    Routes::all()
        .router
        .route("/health", get(health))
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

/// The object of a read of runs' contents: one run, one workflow, or all.
fn read_of_list(kind: &'static str, run_id: Option<RunId>, workflow_id: Option<WorkflowId>) -> AuditObject {
    match (run_id, workflow_id) {
        (Some(run_id), _) => AuditObject::new("run", run_id),
        (None, Some(workflow_id)) => AuditObject::new(kind, format!("workflow {workflow_id}")),
        (None, None) => AuditObject::new(kind, "all"),
    }
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

/// The run that a query names, as its top run and, where it is one, the sub-run.
async fn query_run(
    deps: &Deps,
    caller: &crate::auth::Caller,
    text: Option<&str>,
) -> Result<(Option<RunId>, Option<RunId>), ApiError> {
    let Some(run_id) = query_id(text, "run")? else { return Ok((None, None)) };
    let top_run = store::api::find_top_run(&deps.store, caller.organization_id, run_id).await?;
    Ok((top_run.or(Some(run_id)), top_run.map(|_| run_id)))
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
            deployment: definition_check::Deployment::default(),
            retention_days_max: None,
            limits: crate::RequestLimits::new(domain::rate::Rate { per_second: 1_000, burst: 1_000 }),
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
        let guarded = actions();
        assert!(guarded.len() > 30);
        for (method, path, _) in guarded {
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
    async fn a_route_without_an_action_answers_nobody_i6() {
        let deps = deps();
        let open = async |caller: crate::auth::Caller| caller.organization_id.to_string();
        let app = Router::new().route("/v1/open", get(open)).with_state(deps);
        let request = Request::get("/v1/open").header(header::AUTHORIZATION, "Bearer sf_x");
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
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
