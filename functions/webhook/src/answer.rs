//! The answers of the intake: RFC 9457 problem details, except for 202.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use components::webhook::BodyError;
use serde_json::json;
use uuid::Uuid;

/// What a sender is told. None of the texts says more about a webhook than its sender knows.
#[derive(Debug)]
pub enum Answer {
    /// Taken: the id of the event, which names its run too; for a repeated delivery the first event's.
    Accepted(Uuid),
    /// No such address.
    NotFound,
    /// Only POST.
    WrongMethod,
    /// The credential is missing or wrong.
    Unauthorized,
    /// The body is larger than a webhook's may be.
    TooLarge,
    /// The body can't be taken.
    BadBody(BodyError),
    /// The deduplication key is too long.
    BadKey,
    /// Sealflow has called sealflow too often on the way here.
    TooManyHops,
    /// A target node has too many waiting items.
    Full,
    /// The database or the vault can't be reached, or the webhook changes faster than it can be read.
    Unavailable,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Accepted(event_id) => {
                let body = Json(json!({ "event_id": event_id, "run_id": event_id }));
                return (StatusCode::ACCEPTED, body).into_response();
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no webhook at this address".to_owned()),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST".to_owned()),
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "the signature or token is missing or wrong".to_owned())
            }
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {} bytes", model::limits::WEBHOOK_BODY_BYTES_MAX),
            ),
            Self::BadBody(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::BadKey => (
                StatusCode::BAD_REQUEST,
                format!(
                    "the deduplication key is longer than {} bytes",
                    model::limits::DEDUPLICATION_KEY_BYTES_MAX
                ),
            ),
            Self::TooManyHops => (
                StatusCode::LOOP_DETECTED,
                format!("workflows have called each other more than {} times", model::limits::HTTP_HOPS_MAX),
            ),
            Self::Full => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many events wait at the first node; send it later".to_owned(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "sealflow can't take events right now; send it again".to_owned(),
            ),
        };
        let title = status.canonical_reason().unwrap_or("error");
        let problem =
            json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, headers, problem.to_string()).into_response()
    }
}
