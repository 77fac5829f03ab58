//! The adapter between API Gateway's HTTP API and a router: from the gateway's event to a request,
//! and from the response to the gateway's answer.
//!
//! `lambda_http` has two faults. It reads the path as a URL, so that a decoded `..` or `#` gets its
//! special meaning back. It also links tables of every text encoding, a tenth of the function.
//!
//! Source: API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs",
//! payload format 2.0.

mod answer;
mod event;
mod path;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use lambda_runtime::{LambdaEvent, run, service_fn};
use tower::ServiceExt as _;

pub use answer::HttpAnswer;
pub use event::{BadEvent, HttpEvent, SourceIp};

/// Serves invocations until the process is ended.
///
/// # Errors
/// When the runtime can't be reached.
pub async fn serve(router: Router) -> Result<(), lambda_runtime::Error> {
    run(service_fn(move |event: LambdaEvent<HttpEvent>| {
        let router = router.clone();
        async move {
            let work = Box::pin(handle(event.payload, router));
            Ok::<_, lambda_runtime::Error>(process::in_invocation(&event.context.request_id, work).await)
        }
    }))
    .await
}

/// Answers one request. An event that is no request gets 400, for the fault is its sender's and not
/// the function's.
pub async fn handle(event: HttpEvent, router: Router) -> HttpAnswer {
    let request = match event.into_request() {
        Ok(request) => request,
        Err(error) => {
            return HttpAnswer::of((StatusCode::BAD_REQUEST, error.to_string()).into_response()).await;
        }
    };
    // A router's error is Infallible.
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    HttpAnswer::of(response).await
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::extract::{Path, RawQuery};
    use axum::http::{HeaderMap, header};
    use axum::routing::{get, post};
    use serde_json::{Value, json};

    use super::*;

    async fn answer(event: Value) -> Value {
        let router = Router::new()
            .route(
                "/v1/names/{name}",
                get(async |Path(name): Path<String>, RawQuery(query): RawQuery| {
                    format!("{name} {}", query.unwrap_or_default())
                }),
            )
            .route(
                "/echo",
                post(async |headers: HeaderMap, body: Bytes| {
                    let cookie =
                        headers.get(header::COOKIE).cloned().unwrap_or(header::HeaderValue::from_static(""));
                    (StatusCode::CREATED, [("x-cookie", cookie)], body)
                }),
            );
        let event = serde_json::from_value(event).unwrap();
        serde_json::to_value(handle(event, router).await).unwrap()
    }

    fn event(method: &str, path: &str, more: Value) -> Value {
        let mut event = json!({ "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": { "host": "h" },
            "requestContext": { "http": { "method": method } }, "isBase64Encoded": false });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[tokio::test]
    async fn a_request_comes_through_whole() {
        let more = json!({ "body": "/wA=", "isBase64Encoded": true, "cookies": ["a=b", "c=d"] });
        let answer = answer(event("POST", "/echo", more)).await;
        assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&json!(201), &json!(true)));
        assert_eq!((&answer["body"], &answer["headers"]["x-cookie"]), (&json!("/wA="), &json!("a=b; c=d")));
    }

    #[tokio::test]
    async fn a_query_stays_as_it_was_sent() {
        let plain = answer(event("GET", "/v1/names/x", json!({ "rawQueryString": "a=%2F&b" }))).await;
        assert_eq!((&plain["body"], &plain["isBase64Encoded"]), (&json!("x a=%2F&b"), &json!(false)));
        let odd = answer(event("GET", "/v1/names/x", json!({ "rawQueryString": "a=<b> \"c\"|ü" }))).await;
        assert_eq!(odd["body"], "x a=%3Cb%3E%20%22c%22%7C%C3%BC");
        assert_eq!(answer(event("GET", "", json!({}))).await["statusCode"], 404);
    }

    #[tokio::test]
    async fn a_name_is_one_segment() {
        for (path, status, name) in [
            ("/v1/names/bug#2", 200, "bug#2 "),
            ("/v1/names/50%", 200, "50% "),
            ("/v1/names/a%2Fb", 200, "a%2Fb "),
            ("/v1/names/..", 200, ".. "),
            ("/v1/names/~dGVhbS9kZXBsb3k", 200, "team/deploy "),
            ("/v1/names/team/deploy", 404, ""),
            ("/v1/names/../../echo", 404, ""),
        ] {
            let answer = answer(event("GET", path, json!({}))).await;
            assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(status), &json!(name)), "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_a_bad_one_and_nothing_of_it_is_repeated() {
        for bad in [
            event("GET\n", "/canary", json!({})),
            event("POST", "/echo", json!({ "body": "canary", "isBase64Encoded": true })),
            event("GET", "/", json!({ "headers": { "canary\n": "x" } })),
        ] {
            let answer = answer(bad).await;
            assert_eq!(answer["statusCode"], 400);
            assert!(!answer.to_string().contains("canary"), "{answer}");
        }
    }
}
