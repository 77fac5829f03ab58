//! The answers of the intake: RFC 9457 problem details, except for 202.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use components::webhook::{BodyError, HandshakeAnswer, WebhookResponse};
use domain::ids::EventId;
use domain::request_headers::TooManyHops;
use process::TooFast;
use serde_json::json;

/// Seconds after which a delivery to a suspended organization is to be sent again.
const SUSPENDED_RETRY_SECONDS: u32 = 3_600;
/// Seconds after which a full node may have room.
const FULL_RETRY_SECONDS: u32 = 30;

/// The answer to a sender. None of the texts says more about a webhook than its sender knows.
#[derive(Debug)]
pub enum Answer {
    /// Accepted, with the id of the event, which is the run's id too.
    Accepted(EventId),
    /// A repeated delivery, with the id of the first event.
    Repeated(EventId),
    /// Accepted and no run was wanted.
    NotWanted,
    /// The author's own answer to what was accepted.
    Said(WebhookResponse),
    /// A sender asked whether somebody is there; this is what it wants to hear.
    Handshake(HandshakeAnswer),
    /// The request to the address of a `wait_for_callback` is taken.
    CallbackTaken,
    /// Nothing waits at the address.
    CallbackGone,
    /// The address of a `wait_for_callback` takes another method.
    CallbackMethod,
    /// The body is not as the author of a `wait_for_callback` demands; the address stays open.
    CallbackInvalid(Vec<String>),
    /// No webhook has the address.
    NotFound,
    /// The method is not POST, and the webhook answers no handshake by it.
    WrongMethod,
    /// The credential is missing or wrong.
    Unauthorized,
    /// The signature is right, and its time is too long ago or in the future.
    TooOld,
    /// The body is larger than the limit.
    TooLarge,
    /// The body can't be read.
    BadBody(BodyError),
    /// The deduplication key is too long.
    BadKey,
    /// Sealflow has called sealflow too often on the way here.
    TooManyHops,
    /// A target node has too many waiting items.
    Full,
    /// The webhook's deliveries come faster than its rate limit.
    TooFast(TooFast),
    /// The operator has suspended the organization.
    Suspended,
    /// The database or the vault can't be reached, or the webhook changes faster than it can be
    /// read.
    Unavailable,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let retry_after_seconds = self.retry_after_seconds();
        let (status, detail) = match self {
            Self::Accepted(event_id) => {
                let body = Json(json!({ "event_id": event_id, "run_id": event_id }));
                return (StatusCode::ACCEPTED, body).into_response();
            }
            Self::Repeated(event_id) => {
                let body = Json(json!({ "event_id": event_id, "run_id": event_id, "duplicate": true }));
                return (StatusCode::ACCEPTED, body).into_response();
            }
            Self::NotWanted => {
                return (StatusCode::ACCEPTED, Json(json!({ "filtered": true }))).into_response();
            }
            Self::Said(said) => {
                let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::OK);
                let mut response = (status, said.body).into_response();
                let headers = response.headers_mut();
                headers.remove(header::CONTENT_TYPE);
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                for (name, value) in said.headers {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                        headers.insert(name, value);
                    }
                }
                return response;
            }
            Self::Handshake(HandshakeAnswer { text, is_json }) => {
                let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
                let headers = [
                    (header::CONTENT_TYPE, kind),
                    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                ];
                return (StatusCode::OK, headers, text).into_response();
            }
            Self::CallbackTaken => {
                return (StatusCode::ACCEPTED, Json(json!({ "received": true }))).into_response();
            }
            Self::CallbackGone => (
                StatusCode::GONE,
                "nothing waits at this address: it was used, its time is over, or it was never given".to_owned(),
            ),
            Self::CallbackMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "this address takes another method".to_owned())
            }
            Self::CallbackInvalid(problems) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{}; the address still waits", problems.join("; ")),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no webhook at this address".to_owned()),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST".to_owned()),
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "the signature or token is missing or wrong".to_owned())
            }
            Self::TooOld => (
                StatusCode::UNAUTHORIZED,
                "the signature is right, but its time is too long ago or in the future; check the sender's clock"
                    .to_owned(),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {} bytes", domain::limits::WEBHOOK_BODY_BYTES_MAX),
            ),
            Self::BadBody(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::BadKey => (
                StatusCode::BAD_REQUEST,
                format!(
                    "the deduplication key is longer than {} bytes",
                    domain::limits::DEDUPLICATION_KEY_BYTES_MAX
                ),
            ),
            Self::TooManyHops => (StatusCode::LOOP_DETECTED, TooManyHops.to_string()),
            Self::Full => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many events wait at the first node; send it later".to_owned(),
            ),
            Self::TooFast(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "this webhook gets deliveries too fast; send this one again later".to_owned(),
            ),
            Self::Suspended => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the organization of this webhook is suspended".to_owned(),
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
        let mut response = (status, headers, problem.to_string()).into_response();
        if let Some(seconds) = retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl Answer {
    /// The word for a refusal; None for what was taken.
    pub fn refusal(&self) -> Option<&'static str> {
        Some(match self {
            Self::Accepted(_)
            | Self::Repeated(_)
            | Self::NotWanted
            | Self::Said(_)
            | Self::Handshake(_)
            | Self::CallbackTaken => return None,
            Self::CallbackGone => "callback_gone",
            Self::CallbackMethod => "callback_method",
            Self::CallbackInvalid(_) => "callback_invalid",
            Self::NotFound => "not_found",
            Self::WrongMethod => "wrong_method",
            Self::Unauthorized => "unauthorized",
            Self::TooOld => "too_old",
            Self::TooLarge => "too_large",
            Self::BadBody(_) => "bad_body",
            Self::BadKey => "bad_key",
            Self::TooManyHops => "too_many_hops",
            Self::Full => "queue_full",
            Self::TooFast(_) => "too_fast",
            Self::Suspended => "suspended",
            Self::Unavailable => "unavailable",
        })
    }

    /// Seconds after which the same delivery may be accepted; None: never.
    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::TooFast(TooFast { retry_after_seconds }) => Some(*retry_after_seconds),
            Self::Full => Some(FULL_RETRY_SECONDS),
            Self::Suspended => Some(SUSPENDED_RETRY_SECONDS),
            Self::Unavailable => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_try_again_is_told_when() {
        let check = |answer: Answer, status: u16, expected: Option<&str>| {
            let response = answer.into_response();
            let after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!((response.status().as_u16(), after), (status, expected));
        };
        check(Answer::TooFast(TooFast { retry_after_seconds: 3 }), 429, Some("3"));
        check(Answer::Full, 429, Some("30"));
        check(Answer::Suspended, 503, Some("3600"));
        check(Answer::Unavailable, 503, Some("1"));
        check(Answer::Unauthorized, 401, None);
        check(Answer::Accepted(EventId::from_u128(0)), 202, None);
    }
}
