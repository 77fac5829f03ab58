use domain::ids::ExecutionId;
use std::{
    pin::pin,
    sync::Mutex,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use domain::{
    limits::{
        COMPONENT_SECONDS_MAX, HTTP_REQUEST_HEADERS_BYTES_MAX, HTTP_STORED_BYTES_MAX, HTTP_URL_BYTES_MAX,
    },
    outcome::Output,
};
use serde_json::json;

use super::*;
use crate::{
    component::field_rule,
    credential::TOKEN_BYTES_MAX,
    effect::SecretPlace,
    host::{HttpBody, HttpClient, HttpFailure, HttpHead, HttpRequest, HttpResponse},
};

mod parts;

/// Answers once, and keeps what it was asked.
struct OneAnswer {
    answer: Mutex<Option<Result<HttpResponse, HttpFailure>>>,
    request: Mutex<Option<HttpRequest>>,
}

impl HttpClient for OneAnswer {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        *self.request.lock().unwrap() = Some(request);
        let answer = self.answer.lock().unwrap().take().expect("one request");
        Box::pin(async move { answer })
    }
}

fn text(status: u16, body: &str) -> HttpResponse {
    answer(status, &[], HttpBody::Text(body.to_owned()))
}

fn answer(status: u16, headers: &[(&str, &str)], body: HttpBody) -> HttpResponse {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpResponse { head: HttpHead { status, headers }, body }
}

fn call<'a>(secret_fields: &'a [SecretPlace<'a>], secret_labels: &'a [String]) -> Call<'a> {
    Call {
        execution_id: ExecutionId::from_u128(0),
        idempotency_key: "the-key",
        seconds_max: 60,
        secret_fields,
        secret_labels,
    }
}

fn execute(
    configuration: &Value,
    secret_paths: &[&str],
    answer: Result<HttpResponse, HttpFailure>,
) -> (Outcome, Option<HttpRequest>) {
    let client = OneAnswer { answer: Mutex::new(Some(answer)), request: Mutex::new(None) };
    let places: Vec<_> = secret_paths.iter().map(|pointer| SecretPlace { pointer, bytes_max: 40 }).collect();
    let labels = ["github.token".to_owned()];
    let call = call(&places, &labels);
    let outcome = {
        let host = Host::of(Http.needs(), &client);
        let mut future = pin!(Http.execute(&host, configuration.clone(), &call));
        match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the fake host answers at once"),
        }
    };
    (outcome, client.request.into_inner().unwrap())
}

fn sent(configuration: &Value, secret_paths: &[&str]) -> HttpRequest {
    execute(configuration, secret_paths, Ok(text(200, ""))).1.expect("a request was sent")
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn problems(configuration: &Value) -> Vec<(String, String)> {
    Http.check(configuration).into_iter().map(|problem| (problem.pointer, problem.message)).collect()
}

#[test]
fn a_plain_request_has_the_defaults() {
    let request = sent(&json!({ "url": "https://api.example.com/a?b=c#d" }), &[]);
    assert_eq!(request.method, "GET");
    assert_eq!(request.url, "https://api.example.com/a?b=c");
    assert_eq!(request.headers, [("Idempotency-Key".to_owned(), "the-key".to_owned())]);
    assert!(request.body.is_empty());
    assert_eq!(request.timeout, Duration::from_secs(30));
}

#[test]
fn the_authors_idempotency_key_wins_i5() {
    let headers = json!([{ "name": "idempotency-key", "value": "mine" }]);
    let request = sent(&json!({ "url": "https://a.example", "headers": headers }), &[]);
    assert_eq!(request.headers, [("idempotency-key".to_owned(), "mine".to_owned())]);
}

#[test]
fn the_timeout_is_never_longer_than_the_component_may_take() {
    let timeout = |seconds: u32| {
        sent(&json!({ "url": "https://a.example", "timeout_seconds": seconds }), &[]).timeout.as_secs()
    };
    assert_eq!(timeout(7), 7);
    assert_eq!(timeout(COMPONENT_SECONDS_MAX), 60);
}

#[test]
fn a_query_is_encoded_and_added_to_what_the_url_has() {
    let check = |url: &str, query: Value, expected: &str| {
        assert_eq!(sent(&json!({ "url": url, "query": query }), &[]).url, expected);
    };
    check(
        "https://a.example",
        json!({ "a b": "c&d=e#f", "n": 5 }),
        "https://a.example/?a+b=c%26d%3De%23f&n=5",
    );
    check(
        "https://a.example/x?y=%41",
        json!([{ "name": "t", "value": "1" }, { "name": "t", "value": true }]),
        "https://a.example/x?y=%41&t=1&t=true",
    );
    check("https://a.example/x?", json!({}), "https://a.example/x?");
}

#[test]
fn bodies_are_written_in_their_type() {
    let check = |body: Value, content_type: &str, expected: &str| {
        let request = sent(&json!({ "method": "POST", "url": "https://a.example", "body": body }), &[]);
        assert_eq!(header(&request, "content-type"), Some(content_type));
        assert_eq!(request.body, expected.as_bytes());
    };
    check(json!({ "json": { "a": [1, null] } }), "application/json", r#"{"a":[1,null]}"#);
    check(json!({ "json": null }), "application/json", "null");
    check(json!({ "form": { "a": "x y", "b": "&" } }), "application/x-www-form-urlencoded", "a=x+y&b=%26");
    check(json!({ "text": "hello" }), "text/plain; charset=utf-8", "hello");
    check(json!({ "xml": "<a/>" }), "application/xml", "<a/>");
    let headers = json!([{ "name": "content-type", "value": "application/graphql" }]);
    let request =
        sent(&json!({ "url": "https://a.example", "headers": headers, "body": { "text": "q" } }), &[]);
    assert_eq!(header(&request, "content-type"), Some("application/graphql"));
    assert_eq!(request.headers.len(), 2);
}

#[test]
fn authorizations_make_their_header() {
    let check = |authorization: Value, name: &str, expected: &str| {
        let request = sent(&json!({ "url": "https://a.example", "authorization": authorization }), &[]);
        assert_eq!(header(&request, name), Some(expected));
    };
    check(json!({ "type": "bearer", "token": "t" }), "authorization", "Bearer t");
    check(
        json!({ "type": "basic", "username": "Aladdin", "password": "open sesame" }),
        "authorization",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    );
    check(json!({ "type": "header", "name": "X-Key", "value": "k" }), "x-key", "k");
}

#[test]
fn a_request_that_would_be_too_large_for_other_values_is_not_sent_i1() {
    let sends = |configuration: &Value, pointer: &str, bytes_max: usize| {
        let client = OneAnswer { answer: Mutex::new(Some(Ok(text(200, "")))), request: Mutex::new(None) };
        let (places, labels) = ([SecretPlace { pointer, bytes_max }], ["a.b".to_owned()]);
        let call = call(&places, &labels);
        let host = Host::of(Http.needs(), &client);
        let mut future = pin!(Http.execute(&host, configuration.clone(), &call));
        let Poll::Ready(outcome) = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) else {
            panic!("the fake host answers at once")
        };
        let is_sent = client.request.lock().unwrap().is_some();
        match outcome {
            Outcome::Failed(failure) => {
                assert_eq!((failure.code.as_str(), failure.retryable), ("invalid_configuration", false));
                assert!(failure.message.contains("the secret a.b was to be placed"), "{}", failure.message);
                assert!(!is_sent, "{pointer}");
            }
            Outcome::Passed(_) => assert!(is_sent, "{pointer}"),
        }
        is_sent
    };
    let query = json!({ "url": "https://a.example/", "query": { "q": "x" } });
    let free = (HTTP_URL_BYTES_MAX - 18 - 2 - 3) / 3;
    assert!(sends(&query, "/query/q", free) && !sends(&query, "/query/q", free + 1));
    let url = json!({ "url": "https://a.example/" });
    assert!(sends(&url, "/url", HTTP_URL_BYTES_MAX) && !sends(&url, "/url", HTTP_URL_BYTES_MAX + 1));
    let header = json!({ "url": "https://a.example/", "headers": [{ "name": "X", "value": "x" }] });
    let free = HTTP_REQUEST_HEADERS_BYTES_MAX - 512 - 1;
    assert!(sends(&header, "/headers/0/value", free) && !sends(&header, "/headers/0/value", free + 1));
    for (kind, field) in
        [("bearer", "token"), ("basic", "username"), ("basic", "password"), ("header", "value")]
    {
        let mut authorization = json!({ "type": kind, "token": "t", "username": "u", "password": "p", "name": "X", "value": "v" });
        let fields: &[&str] = match kind {
            "bearer" => &["type", "token"],
            "basic" => &["type", "username", "password"],
            _ => &["type", "name", "value"],
        };
        authorization.as_object_mut().unwrap().retain(|name, _| fields.contains(&name.as_str()));
        let configuration = json!({ "url": "https://a.example/", "authorization": authorization });
        let pointer = format!("/authorization/{field}");
        assert!(sends(&configuration, &pointer, 1_000));
        assert!(!sends(&configuration, &pointer, HTTP_REQUEST_HEADERS_BYTES_MAX));
    }
    let max = HTTP_REQUEST_HEADERS_BYTES_MAX;
    for (authorization, field, free) in [
        // The client secret is percent-encoded, joined to the id with a colon, and base64-encoded.
        // So it may grow to four times its length.
        (
            json!({ "type": "oauth2_client_credentials", "token_url": "https://i.example", "client_id": "i", "client_secret": "s" }),
            "client_secret",
            32_000,
        ),
        (json!({ "type": "jwt_bearer", "key": "k", "issuer": "i" }), "issuer", 16_000),
        (
            json!({ "type": "aws_sigv4", "access_key_id": "i", "secret_access_key": "k", "session_token": "t", "region": "r", "service": "s" }),
            "session_token",
            max - 2_000,
        ),
        (json!({ "type": "hmac", "name": "X", "template": "t" }), "template", max - 1_000),
    ] {
        let configuration = json!({ "url": "https://a.example/", "authorization": authorization });
        let pointer = format!("/authorization/{field}");
        assert!(sends(&configuration, &pointer, free), "{pointer}");
        assert!(!sends(&configuration, &pointer, max), "{pointer}");
    }
    // Room is left for a token.
    let with_header = |bytes: usize| {
        let client = json!({ "type": "oauth2_client_credentials", "token_url": "https://i.example", "client_id": "i", "client_secret": "s" });
        let headers = json!([{ "name": "A", "value": "x" }]);
        sends(
            &json!({ "url": "https://a.example/", "headers": headers, "authorization": client }),
            "/headers/0/value",
            bytes,
        )
    };
    let left = free - TOKEN_BYTES_MAX;
    assert!(with_header(left) && !with_header(left + 1));
    // A body has no limit that a secret could reach.
    assert!(sends(
        &json!({ "url": "https://a.example/", "body": { "text": "x" } }),
        "/body/text",
        512 * 1024
    ));
}

#[test]
fn an_answer_becomes_status_headers_and_body() {
    let answer = answer(
        201,
        &[
            ("Content-Type", "application/json"),
            ("X-A", "1"),
            ("X-A", "2"),
            ("Set-Cookie", "s"),
            ("WWW-Authenticate", "s"),
            ("Authorization", "s"),
            ("Proxy-Authenticate", "s"),
            ("Authentication-Info", "s"),
            ("X-Refresh-Token", "s"),
            ("Api-Key", "s"),
            ("X-Jwt-Assertion", "s"),
            ("Ocp-Apim-Subscription-Key", "s"),
            ("Set-Cookie2", "s"),
        ],
        HttpBody::Text(r#"{"id": 7}"#.to_owned()),
    );
    let (outcome, _) = execute(&json!({ "url": "https://a.example" }), &[], Ok(answer));
    let data = json!({ "status": 201, "headers": { "Content-Type": ["application/json"], "X-A": ["1", "2"] }, "body": { "id": 7 } });
    assert_eq!(outcome, Outcome::Passed(Some(Output { channel: "success".into(), data })));
}

#[test]
fn a_body_that_is_no_json_is_text_and_one_that_is_no_text_is_a_hash() {
    let body = |body: HttpBody| {
        let answer = answer(200, &[], body);
        match execute(&json!({ "url": "https://a.example" }), &[], Ok(answer)).0 {
            Outcome::Passed(Some(output)) => output.data["body"].clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(body(HttpBody::Text("{oops".into())), json!("{oops"));
    assert_eq!(body(HttpBody::Text("a\0b".into())), json!("a\u{fffd}b"));
    assert_eq!(body(HttpBody::Text(String::new())), json!(""));
    assert_eq!(
        body(HttpBody::Binary { sha256: Some("ab".into()), base64: None, bytes: 3 }),
        json!({ "sha256": "ab", "bytes": 3 })
    );
    assert_eq!(body(HttpBody::Binary { sha256: None, base64: None, bytes: 3 }), json!({ "bytes": 3 }));
}

fn failure(configuration: &Value, answer: Result<HttpResponse, HttpFailure>) -> Failure {
    match execute(configuration, &[], answer).0 {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_status_that_is_no_success_fails_with_the_answer_beside_it() {
    let configuration = json!({ "url": "https://a.example", "success_codes": [404, "200-204"] });
    // A status that may come from a server between keeps the idempotency key (I5).
    for (status, retryable, answered) in [
        (205, false, true),
        (400, false, true),
        (408, true, false),
        (425, true, false),
        (429, true, false),
        (500, true, true),
        (501, true, true),
        (502, true, false),
        (503, true, false),
        (504, true, false),
        (505, true, true),
    ] {
        let failure = failure(&configuration, Ok(text(status, "[1]")));
        assert_eq!(
            (failure.code.as_str(), failure.retryable, failure.answered),
            ("http_status", retryable, answered)
        );
        assert_eq!(failure.reason, ResultReason::ComponentError);
        let expected = json!({ "status": status, "headers": {}, "body": [1],
            "error": { "code": "http_status", "message": format!("the server answered with status {status}") } });
        assert_eq!(failure.event_data(), expected);
    }
    for status in [200, 204, 404] {
        assert!(matches!(execute(&configuration, &[], Ok(text(status, ""))).0, Outcome::Passed(Some(_))));
    }
}

#[test]
fn a_body_can_be_stored_up_to_its_limit() {
    let configuration = json!({ "url": "https://a.example" });
    let body = "x".repeat(HTTP_STORED_BYTES_MAX);
    assert!(matches!(execute(&configuration, &[], Ok(text(200, &body))).0, Outcome::Passed(Some(_))));
    let too_large = failure(&configuration, Ok(text(200, &format!("{body}x"))));
    assert_eq!(too_large.code, "response_too_large_to_store");
    assert!(!too_large.retryable);
    assert_eq!(too_large.data["body"], json!({ "bytes": HTTP_STORED_BYTES_MAX + 1 }));
    let unavailable = failure(&configuration, Ok(text(503, &format!("{body}x"))));
    assert_eq!((unavailable.code.as_str(), unavailable.retryable), ("http_status", true));
}

#[test]
fn what_the_host_says_of_a_failure_is_kept() {
    let late = HttpFailure::new(ResultReason::Timeout, "timeout", "no answer within 5 seconds".into());
    let head = text(202, "").head;
    let late = HttpFailure { retryable: true, head: Some(head), ..late };
    let failure = failure(&json!({ "url": "https://a.example" }), Err(late));
    assert_eq!((failure.reason, failure.code.as_str()), (ResultReason::Timeout, "timeout"));
    assert!(failure.retryable && !failure.answered);
    assert_eq!(failure.data, json!({ "status": 202, "headers": {} }), "the status is known");
}

#[test]
fn a_resolved_configuration_that_does_not_fit_fails_without_repeating_it_i1() {
    let secret = "s3cr3t-value";
    for configuration in [
        json!({ "url": secret }),
        json!({ "url": format!("ftp://{secret}/") }),
        json!({ "url": format!("https://user:{secret}@a.example/") }),
        json!({ "url": "https://a.example", "headers": [{ "name": "X", "value": format!("{secret}\r\nY: z") }] }),
        json!({ "url": "https://a.example", "authorization": { "type": "bearer", "token": format!("{secret}\n") } }),
        json!({ "url": "https://a.example", "authorization": { "type": "bearer", "token": [secret] } }),
        json!({ "url": "https://a.example", "query": secret }),
        json!({ "url": "https://a.example", "method": secret }),
        json!({ "url": "https://a.example", "success_codes": [secret] }),
    ] {
        let (outcome, request) = execute(&configuration, &[], Ok(text(200, "")));
        let Outcome::Failed(failure) = outcome else { panic!("sent: {configuration}") };
        assert!(request.is_none());
        assert_eq!(failure.code, "invalid_configuration");
        assert!(!failure.message.contains(secret), "{}", failure.message);
    }
}

#[test]
fn a_resolved_string_that_looks_like_a_template_is_sent_as_it_is_i2() {
    let like = "{{ secrets(\"x\").y }}";
    let request = sent(&json!({ "url": "https://a.example", "body": { "text": like } }), &[]);
    assert_eq!(request.body, like.as_bytes());
}

#[test]
fn every_problem_of_a_configuration_is_said() {
    let found = problems(&json!({
        "metod": "POST", "method": "FETCH", "url": "example.com", "headers": [{ "name": "Host", "value": "x" }, { "nam": "a" }],
        "authorization": { "type": "bearer", "tokn": "x" }, "body": { "json": 1, "text": "" },
        "success_codes": [99, "300-200", "200-299"], "timeout_seconds": 0,
    }));
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/metod",
            "/method",
            "/url",
            "/headers/1/nam",
            "/headers/1",
            "/headers/1",
            "/headers/0/name",
            "/authorization/tokn",
            "/authorization",
            "/body",
            "/success_codes/0",
            "/success_codes/1",
            "/timeout_seconds"
        ]
    );
    assert_eq!(found[0].1, "unknown field `metod`; did you mean `method`?");
}

#[test]
fn a_header_that_would_not_be_sent_is_refused_at_apply() {
    for name in
        ["Accept-Encoding", "proxy-authorization", "Proxy-Authenticate", "Host", "TE", "sealflow-hops"]
    {
        let header = json!({ "name": name, "value": "x", "type": "header" });
        let said = format!("the header `{name}` is set by sealflow or for proxies, and can't be chosen");
        let headers =
            problems(&json!({ "url": "https://a.example", "headers": [{ "name": name, "value": "x" }] }));
        assert_eq!(headers, [("/headers/0/name".to_owned(), said.clone())]);
        let authorization = problems(&json!({ "url": "https://a.example", "authorization": header }));
        assert_eq!(authorization, [("/authorization/name".to_owned(), said)]);
    }
}

#[test]
fn templates_are_left_to_run_time() {
    let open = "{{ root().data.x }}";
    let found = problems(&json!({
        "method": open, "url": format!("https://a.example/{open}"), "query": { "a": open }, "headers": open,
        "authorization": { "type": "header", "name": open, "value": format!("a\n{open}") },
        "body": { "json": { "a": [open] } }, "success_codes": [open, 200], "timeout_seconds": open,
    }));
    assert_eq!(found, []);
}

#[test]
fn limits_hold_on_both_sides() {
    let query = |count: usize| {
        let pairs: Vec<_> = (0..count).map(|_| json!({ "name": "a", "value": "b" })).collect();
        problems(&json!({ "url": "https://a.example", "query": pairs })).len()
    };
    assert_eq!((query(200), query(201)), (0, 1));
    let timeout =
        |seconds: u32| problems(&json!({ "url": "https://a.example", "timeout_seconds": seconds })).len();
    assert_eq!((timeout(COMPONENT_SECONDS_MAX), timeout(COMPONENT_SECONDS_MAX + 1)), (0, 1));
}

#[test]
fn secrets_may_stand_where_they_are_sent_and_nowhere_else_i1() {
    let check = |pointer: &str, secret: bool, kind: FieldKind| {
        let rule = field_rule(&Http, pointer);
        assert_eq!((rule.secret.is_some(), rule.kind), (secret, kind), "{pointer}");
    };
    check("/url", true, FieldKind::Url);
    check("/query/a", true, FieldKind::Text);
    check("/query/0/value", true, FieldKind::Text);
    check("/headers/0/value", true, FieldKind::Text);
    check("/authorization/token", true, FieldKind::Text);
    check("/body/json/a/0", true, FieldKind::Typed);
    check("/body/form/a", true, FieldKind::Text);
    check("/method", false, FieldKind::Text);
    check("/query/0/name", false, FieldKind::Text);
    check("/headers/0/name", false, FieldKind::Text);
    check("/headers", false, FieldKind::Typed);
    check("/body", false, FieldKind::Typed);
    check("/success_codes/0", false, FieldKind::Typed);
    check("/timeout_seconds", false, FieldKind::Typed);
}

#[test]
fn each_part_of_a_field_has_its_place_in_the_request_i1() {
    let configuration = json!({
        "query": [{ "name": "a b", "value": "" }], "headers": [{ "name": "AUTHorization" }, { "name": "X-Key" }],
        "authorization": { "type": "header", "name": "X-Auth" },
    });
    let part = Part::Secret(secret_text::Reference::to("a", "b"));
    let encoded = |encoding| Part::Encoded(encoding, vec![part.clone()]);
    let check = |configuration: &Value, pointer: &str, part: &Part, expected: &str| {
        assert_eq!(Http.placement(configuration, pointer, part).to_string(), expected, "{pointer}");
    };
    for (pointer, expected) in [
        ("/url", "url"),
        ("/query/0/value", "query:a b"),
        ("/query/a~1b", "query:a/b"),
        ("/headers/0/value", "authorization"),
        ("/headers/1/value", "header:x-key"),
        ("/authorization/value", "header:x-auth"),
        ("/body/json/url/0", "body"),
        ("/body/form/query", "body"),
        ("/body/text", "body"),
    ] {
        check(&configuration, pointer, &part, expected);
    }
    check(&configuration, "/url", &encoded(Encoding::Segment), "path");
    check(&configuration, "/url", &encoded(Encoding::UrlPath), "path");
    check(&configuration, "/url", &encoded(Encoding::Query), "query");
    for word in ["basic", "bearer"] {
        let basic = json!({ "authorization": { "type": word } });
        check(&basic, "/authorization/username", &part, "authorization");
    }
    let named = json!({ "authorization": { "type": "header", "name": "Authorization" } });
    check(&named, "/authorization/value", &part, "authorization");
}

#[test]
fn a_failure_names_so_many_problems_and_no_more_i10() {
    let shown = |count: usize| {
        let problem = Problem { pointer: "/url".into(), message: "is no URL".into() };
        let Outcome::Failed(failure) = invalid(&vec![problem; count], &call(&[], &[])) else {
            panic!("it fails")
        };
        failure.message.matches("is no URL").count()
    };
    assert_eq!(shown(PROBLEMS_SHOWN_MAX), PROBLEMS_SHOWN_MAX);
    assert_eq!(shown(PROBLEMS_SHOWN_MAX + 1), PROBLEMS_SHOWN_MAX);
    assert_eq!(shown(1), 1);
}

#[test]
fn a_field_that_uses_a_secret_is_not_named_where_it_can_not_be_sent_i1() {
    let failure = |configuration: &Value, secret_paths: &[&str]| {
        let (outcome, request) = execute(configuration, secret_paths, Ok(text(200, "")));
        assert!(request.is_none(), "nothing is sent");
        let Outcome::Failed(failure) = outcome else { panic!("it fails") };
        (failure.code, failure.message)
    };
    let header = |at: usize| {
        let mut headers = vec![json!({ "name": "X-A", "value": "a" }); 3];
        headers[at]["value"] = json!("a\nb");
        json!({ "url": "https://a.example", "headers": headers })
    };
    let paths = ["/headers/0/value", "/headers/1/value", "/url", "/query/a~1b"];
    let expected = failure(&header(0), &paths);
    assert!(!expected.1.contains("headers") && expected.1.contains("github.token"), "{expected:?}");
    assert_eq!(failure(&header(1), &paths), expected);
    assert_eq!(failure(&json!({ "url": "nowhere" }), &paths), expected);
    let made = json!({ "url": "https://a.example", "query": { "a/b": { "made-of-a-secret": 1 } } });
    assert_eq!(failure(&made, &paths), expected);
    assert_eq!(failure(&made, &["/query/a"]).1.matches("query.a~1b").count(), 1, "another field");
    assert!(failure(&header(2), &paths).1.contains("headers.2.value"), "a field without a secret is named");
    let mut both = header(0);
    both["headers"][2]["value"] = json!("a\nb");
    let first = failure(&both, &paths).1;
    assert!(first.contains("headers.2.value") && !first.contains("headers.0"), "{first}");
    assert!(failure(&header(0), &[]).1.contains("headers.0.value"));
}
