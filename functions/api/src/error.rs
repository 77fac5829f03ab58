//! The errors of the API. Every answer that is no success is a problem of RFC 9457
//! (`application/problem+json`).
//!
//! | status | type                | when |
//! |--------|---------------------|------|
//! | 400    | `invalid_request`   | a body, query or path can't be read, or a value in it is not allowed |
//! | 401    | `unauthorized`      | no token, or one that may not be used |
//! | 403    | `forbidden`         | the caller's role or grants do not allow it, or the operator has suspended the organization |
//! | 404    | `not_found`         | not there, or of another organization: the answer is the same |
//! | 405    | `method_not_allowed`| the path is there and has no such method |
//! | 409    | `conflict`          | the caller's knowledge is out of date: read again, then decide |
//! | 410    | `gone`              | the target of the call has ended: the call comes too late |
//! | 413    | `too_large`         | the body is larger than the limit |
//! | 415    | `media_type`        | the body is neither JSON nor, for definitions, YAML |
//! | 422    | `invalid_definition`| a definition has errors; `errors` has all of them with their places |
//! | 429    | `queue_full`        | a node has as many waiting items as are allowed |
//! | 429    | `too_many_requests` | the token, or its organization, makes requests faster than it may |
//! | 500    | `internal`          | a bug or a wrong set-up; the log says more |
//! | 503    | `unavailable`       | database or key service can't be reached: try again |
//!
//! No answer has the text of another crate's error, which may quote the request. No answer repeats
//! a body, which may hold a secret.

use api_types::ProblemDetails;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use definition_check::Problem;
use domain::access::Action;
use domain::request_headers::TooManyHops;
use process::TooFast;
use store::StoreError;
use vault_seal::SealError;

use crate::views;

/// The failure of a request. Each variant is named for the caller's reaction to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    Invalid(String),
    #[error("a token is needed: `Authorization: Bearer sf_…`")]
    Unauthorized,
    #[error(
        "this token is none of this installation: it is mistyped, has expired or was revoked, its maker was removed, or its organization was deleted"
    )]
    UnknownToken,
    #[error("this token may not do that: it needs `{0}`")]
    Forbidden(Action),
    #[error("{0}")]
    Escalation(&'static str),
    #[error("this organization is suspended: ask whoever operates this installation")]
    Suspended,
    #[error("too many requests: try again in {} s", .0.retry_after_seconds)]
    TooFast(TooFast),
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("this path has no such method")]
    MethodNotAllowed,
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Gone(String),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body must be {0}")]
    MediaType(&'static str),
    #[error("the definition has {}", count_errors(.0.len()))]
    Definition(Vec<Problem>),
    #[error("a node that this event would go to has as many waiting items as are allowed: try again later")]
    QueueFull,
    #[error(transparent)]
    TooManyHops(#[from] TooManyHops),
    #[error("something is wrong with this installation; its log says more")]
    Internal,
    #[error("the service can't be reached at the moment: try again")]
    Unavailable,
}

fn count_errors(count: usize) -> String {
    if count == 1 { "an error".to_owned() } else { format!("{count} errors") }
}

impl ApiError {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::TooManyHops(_) => (StatusCode::LOOP_DETECTED, "loop_detected", "Workflows call each other"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_request", "The request can't be taken"),
            Self::Unauthorized | Self::UnknownToken => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized")
            }
            Self::Forbidden(_) | Self::Escalation(_) | Self::Suspended => {
                (StatusCode::FORBIDDEN, "forbidden", "Not allowed")
            }
            Self::TooFast(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Out of date"),
            Self::Gone(_) => (StatusCode::GONE, "gone", "Too late"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "Another kind of body"),
            Self::Definition(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_definition", "The definition has errors")
            }
            Self::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "queue_full", "The queue is full"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, title) = self.parts();
        let detail = self.to_string();
        let errors = match &self {
            Self::Definition(problems) => problems.iter().cloned().map(views::definition_problem).collect(),
            _ => Vec::new(),
        };
        let body = ProblemDetails {
            r#type: format!("urn:sealflow:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            errors,
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers always serialise");
        let content_type = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [content_type], body).into_response();
        let extra = match self {
            Self::Unauthorized | Self::UnknownToken => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::Unavailable | Self::QueueFull => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::TooFast(TooFast { retry_after_seconds }) => {
                Some((header::RETRY_AFTER, HeaderValue::from(retry_after_seconds)))
            }
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound("thing"),
            StoreError::Conflict(text) => Self::Conflict(text.to_owned()),
            StoreError::Escalation(text) => Self::Escalation(text),
            StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "the database is unavailable");
                Self::Unavailable
            }
            StoreError::Rejected { ref constraint, .. } => {
                tracing::warn!(%error, constraint, "the database refused what a request brought");
                Self::Invalid("the database refuses a value of the request".to_owned())
            }
            StoreError::Corrupt(_) | StoreError::Refused { .. } | StoreError::Setup(_) => {
                tracing::error!(%error, "the database can't be used as it is");
                Self::Internal
            }
        }
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Invalid(why) => Self::Invalid(why.to_string()),
            SealError::Unavailable => {
                tracing::warn!(%error, "sealing failed");
                Self::Unavailable
            }
            SealError::Denied | SealError::Corrupt => {
                tracing::error!(%error, "sealing failed");
                Self::Internal
            }
        }
    }
}

/// Names the kind of thing that was not found.
pub(crate) trait NotFoundAs<T> {
    fn not_found_as(self, what: &'static str) -> Result<T, ApiError>;
}

impl<T> NotFoundAs<T> for Result<T, StoreError> {
    fn not_found_as(self, what: &'static str) -> Result<T, ApiError> {
        self.map_err(|error| match error {
            StoreError::NotFound => ApiError::NotFound(what),
            error => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    async fn answer(error: ApiError) -> (StatusCode, String, Value) {
        let response = error.into_response();
        let status = response.status();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn an_error_is_problem_details() {
        let (status, kind, body) = answer(ApiError::NotFound("workflow")).await;
        assert_eq!((status, kind.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"));
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:sealflow:problem:not_found", "title": "Not found", "status": 404,
                "detail": "there is no such workflow",
            })
        );
    }

    #[tokio::test]
    async fn every_error_of_a_definition_is_in_the_answer() {
        let problem = |line| Problem {
            line,
            column: 2,
            field: "nodes[0].id".into(),
            message: "is missing".into(),
            expression: None,
            span: None,
        };
        let (status, _, body) = answer(ApiError::Definition(vec![problem(1), problem(9)])).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["detail"], "the definition has 2 errors");
        assert_eq!(body["errors"][1]["line"], 9);
    }

    #[tokio::test]
    async fn what_the_database_says_stays_inside() {
        let refused = StoreError::Setup("role sealflow_api has no lock_timeout".into());
        let (status, _, body) = answer(refused.into()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("sealflow_api"), "{body}");
    }
}
