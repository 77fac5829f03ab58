//! The request for an issuer's token, and the reading of its answer.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use components::HttpFailure;
use components::credential::{AuthMethod, ClientCredentials, Credential, Exchange, Jwt, TOKEN_BYTES_MAX};
use domain::allowed_host::AllowedHost;
use domain::execution::ResultReason;
use domain::limits::SECRET_VALUE_BYTES_MIN;
use domain::retry::RetryAfter;
use form_urlencoded::{Serializer, byte_serialize};
use http_guard::{GuardedClient, HttpError, Redirects, Request, RequestTls, Response};
use jiff::{SignedDuration, Timestamp};
use process::Clock;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::cache::KEPT_SECONDS_MAX;
use super::{issuer_url, jwt};

/// Time that an issuer has for its answer.
const ISSUER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an issuer's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The grant of RFC 7523, section 2.1.
const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token that an issuer gave. It has no `Debug`, and is wiped when it is dropped.
pub struct Issued {
    /// The token.
    pub token: Zeroizing<String>,
    /// Other tokens that came with it.
    pub others: Vec<Zeroizing<String>>,
    /// The time of the request for it.
    pub asked_at: Timestamp,
    /// The time at which it ends here, which may be before its end at the issuer.
    pub ends_at: Timestamp,
}

/// An issuer, and the inputs of a request to it.
pub struct Issuer {
    /// The guarded client.
    pub client: Arc<GuardedClient>,
    /// The credential.
    pub credential: Arc<Credential>,
    /// For each secret of the credential that is limited to hosts: these hosts.
    pub allowed_hosts: Vec<Vec<AllowedHost>>,
    /// The value of `Sealflow-Hops`.
    pub hop_count: u32,
    /// Labels of the secrets, for messages.
    pub labels: Vec<String>,
    /// The clock.
    pub clock: Clock,
}

impl Issuer {
    /// Asks for a token.
    ///
    /// # Errors
    /// [`HttpFailure`] with the code `credential_refused`, or `credential_unavailable`, which is
    /// tried again. The message repeats nothing of the issuer's answer but its status and error
    /// words of RFC 6749.
    pub async fn fetch(self) -> Result<Arc<Issued>, HttpFailure> {
        let refused = || HttpFailure::refused_secret(&self.labels);
        let asked_at = self.clock.now();
        let asked = Asked::new(&self.credential, asked_at).ok_or_else(refused)?;
        let host = asked.url.host_str().unwrap_or_default().to_owned();
        let request = Request {
            tls: RequestTls::default(),
            method: "POST".to_owned(),
            url: asked.url.into(),
            headers: asked.headers,
            body: asked.body,
            timeout: ISSUER_TIMEOUT,
            used_secret: true,
            allowed_hosts: self.allowed_hosts.clone(),
            redirects: Redirects::Follow(0),
            hop_count: self.hop_count,
        };
        let response = self.client.send(request).await.map_err(|failed| match failed.error {
            HttpError::InvalidUrl(_) | HttpError::InvalidHeader { .. } | HttpError::RequestTooLarge => {
                refused()
            }
            error => unreachable_issuer(&host, error),
        })?;
        let issued = read(&host, asked.token_field, response, self.clock.now())?;
        Ok(Arc::new(Issued { asked_at, ..issued }))
    }
}

struct Asked {
    url: Url,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// The field of the answer that holds the token.
    token_field: &'static str,
}

impl Asked {
    /// The request for a token with a credential. None where the credential has no usable issuer or
    /// key.
    fn new(credential: &Credential, now: Timestamp) -> Option<Self> {
        let url = Url::parse(issuer_url(credential)?).ok()?;
        let accept = ("Accept".to_owned(), "application/json".to_owned());
        let form = |headers: Vec<(String, String)>, body: String| Self {
            url: url.clone(),
            headers: [
                vec![
                    accept.clone(),
                    ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ],
                headers,
            ]
            .concat(),
            body: body.into(),
            token_field: "access_token",
        };
        match credential {
            Credential::ClientCredentials(client) => {
                let (headers, body) = client_credentials(client);
                Some(form(headers, body))
            }
            Credential::Jwt(jwt @ Jwt { exchange: Exchange::Grant(_), .. }) => {
                let assertion = jwt::sign(jwt, now)?;
                let mut body = Serializer::new(String::new());
                body.append_pair("grant_type", JWT_GRANT).append_pair("assertion", &assertion);
                add(&mut body, "scope", jwt.scope.as_deref());
                Some(form(Vec::new(), body.finish()))
            }
            Credential::Jwt(jwt) => {
                let token = jwt::sign(jwt, now)?;
                let authorization = ("Authorization".to_owned(), format!("Bearer {}", token.as_str()));
                Some(Self {
                    url,
                    headers: vec![accept, authorization],
                    body: Bytes::new(),
                    token_field: "token",
                })
            }
            Credential::AwsSigV4(_) | Credential::Signature { .. } => None,
        }
    }
}

/// The request of RFC 6749, section 4.4.2; the client is authenticated as section 2.3.1 says.
fn client_credentials(client: &ClientCredentials) -> (Vec<(String, String)>, String) {
    let mut body = Serializer::new(String::new());
    body.append_pair("grant_type", "client_credentials");
    add(&mut body, "scope", client.scope.as_deref());
    add(&mut body, "audience", client.audience.as_deref());
    match client.auth_method {
        AuthMethod::Post => {
            body.append_pair("client_id", &client.client_id)
                .append_pair("client_secret", &client.client_secret);
            (Vec::new(), body.finish())
        }
        AuthMethod::Basic => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair =
                Zeroizing::new(format!("{}:{}", encoded(&client.client_id), encoded(&client.client_secret)));
            let header = format!("Basic {}", STANDARD.encode(pair.as_bytes()));
            (vec![("Authorization".to_owned(), header)], body.finish())
        }
    }
}

fn add(body: &mut Serializer<'_, String>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.append_pair(name, value);
    }
}

/// The words of an issuer's error that are repeated: those of RFC 6749, sections 5.2 and 4.1.2.1.
const ERROR_WORDS: [&str; 10] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "unsupported_response_type",
    "server_error",
    "temporarily_unavailable",
];

fn read(host: &str, token_field: &str, response: Response, now: Timestamp) -> Result<Issued, HttpFailure> {
    let status = response.head.status;
    let retry_after = RetryAfter::of(&response.head.headers);
    let body = Zeroizing::new(response.body);
    let answer: Value = Some(&body)
        .filter(|body| body.len() <= ANSWER_BYTES_MAX)
        .and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    if !(200..=299).contains(&status) {
        let word = text("error").and_then(|error| ERROR_WORDS.into_iter().find(|word| *word == error));
        let said = word.map_or_else(|| format!("status {status}"), |word| format!("{word}, status {status}"));
        let is_passing = matches!(status, 408 | 425 | 429 | 500..=599)
            || matches!(word, Some("server_error" | "temporarily_unavailable"));
        return Err(if is_passing {
            HttpFailure { retry_after, ..unavailable(format!("the issuer {host} gave no token ({said})")) }
        } else {
            refused(format!(
                "the issuer {host} refused the credential ({said}); check its id and its secret or key, and what it is allowed there"
            ))
        });
    }
    let unusable = |what: &str| refused(format!("the issuer {host} gave no token that can be used: {what}"));
    let token = text(token_field).ok_or_else(|| unusable("its answer is no JSON with one"))?;
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(unusable("it has another type than Bearer"));
    }
    if !(SECRET_VALUE_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
        || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(unusable("it can't be sent in a header"));
    }
    let ends_at = ends_at(&answer, now);
    if ends_at <= now {
        return Err(unusable("it has expired already"));
    }
    let kept = |name: &&str| *name != token_field;
    let others = ["access_token", "refresh_token", "id_token"].into_iter().filter(kept).filter_map(text);
    Ok(Issued {
        others: others.map(|text| Zeroizing::new(text.to_owned())).collect(),
        token: Zeroizing::new(token.to_owned()),
        asked_at: now,
        ends_at,
    })
}

/// The end of a token: `expires_in`, also as text, or GitHub's `expires_at`. A token without
/// either, or with a later end, is kept for `KEPT_SECONDS_MAX`.
fn ends_at(answer: &Value, now: Timestamp) -> Timestamp {
    let seconds = answer.get("expires_in").and_then(|seconds| match seconds {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        other => other.as_f64(),
    });
    let at = answer.get("expires_at").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
    let most = now.saturating_add(SignedDuration::from_secs(KEPT_SECONDS_MAX)).unwrap_or(now);
    match (seconds, at) {
        (Some(seconds), _) if seconds < KEPT_SECONDS_MAX as f64 => {
            now.saturating_add(SignedDuration::from_secs(seconds as i64)).unwrap_or(now)
        }
        (None, Some(at)) => at.min(most),
        _ => most,
    }
}

/// The failure of a request for which the issuer gave no usable answer.
fn unreachable_issuer(host: &str, error: HttpError) -> HttpFailure {
    match error {
        HttpError::HostNotAllowed => HttpFailure::new(
            ResultReason::SecretDenied,
            error.code(),
            format!(
                "a secret of this credential may not be sent to the issuer {host}: set it with `--host {host}` beside its other hosts"
            ),
        ),
        HttpError::PlainHttpWithSecret => HttpFailure::new(
            ResultReason::SecretDenied,
            error.code(),
            format!("the issuer {host} is not asked over plain http"),
        ),
        HttpError::RedirectBlocked | HttpError::RedirectInvalid(_) | HttpError::RedirectLimit => {
            refused(format!("the issuer {host} answered with a redirect, which is not followed"))
        }
        HttpError::ResponseInvalid | HttpError::ResponseTooLarge | HttpError::AddressRefused => {
            refused(format!("the issuer {host} gave no token: {error}"))
        }
        error => unavailable(format!("the issuer {host} gave no token: {}", why_unreachable(error))),
    }
}

/// The cause of a missing answer, in words that fit an issuer and not the target.
fn why_unreachable(error: HttpError) -> String {
    match error {
        HttpError::Timeout => "it did not answer in time".to_owned(),
        HttpError::Dns => "its name could not be resolved".to_owned(),
        HttpError::Connect => "it could not be connected to".to_owned(),
        HttpError::Tls(fault) => fault.replace("the target's", "its").replace("the target", "it"),
        _ => "the connection was lost before its answer was whole".to_owned(),
    }
}

/// The failure of an execution whose time was over before the issuer's answer.
pub fn too_late(credential: &Credential) -> HttpFailure {
    let url = issuer_url(credential).and_then(|url| Url::parse(url).ok());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    unreachable_issuer(host, HttpError::Timeout)
}

fn refused(message: String) -> HttpFailure {
    failure("credential_refused", message)
}

fn unavailable(message: String) -> HttpFailure {
    HttpFailure { retryable: true, ..failure("credential_unavailable", message) }
}

/// A failure before the target got the request: the idempotency key stays.
fn failure(code: &'static str, message: String) -> HttpFailure {
    HttpFailure::new(ResultReason::ComponentError, code, message)
}

#[cfg(test)]
mod tests {
    use http_guard::Head;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn answer(status: u16, body: &Value, token_field: &str) -> Result<Issued, HttpFailure> {
        answer_of(status, body.to_string().into_bytes(), token_field)
    }

    fn answer_of(status: u16, body: Vec<u8>, token_field: &str) -> Result<Issued, HttpFailure> {
        let head = Head { status, headers: vec![("retry-after".to_owned(), "7".to_owned())] };
        let response = Response { head, body, url: String::new(), redirects: 0 };
        read("idp.example", token_field, response, Timestamp::from_second(NOW).unwrap())
    }

    fn lifetime(answer: Result<Issued, HttpFailure>) -> i64 {
        answer.unwrap().ends_at.as_second() - NOW
    }

    #[test]
    fn a_token_is_read_with_its_end_and_its_companions() {
        let token = |more: Value| {
            let mut body = json!({ "access_token": "tok-12345" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            answer(200, &body, "access_token")
        };
        assert_eq!(lifetime(token(json!({ "expires_in": 60 }))), 60);
        assert_eq!(lifetime(token(json!({ "expires_in": "60" }))), 60);
        assert_eq!(lifetime(token(json!({ "expires_in": KEPT_SECONDS_MAX - 1 }))), KEPT_SECONDS_MAX - 1);
        for more in [json!({ "expires_in": KEPT_SECONDS_MAX + 1 }), json!({}), json!({ "expires_in": 1e300 })]
        {
            assert_eq!(lifetime(token(more)), KEPT_SECONDS_MAX);
        }
        let all = token(json!({ "token_type": "bearer", "refresh_token": "r", "id_token": "i" })).unwrap();
        let others: Vec<&str> = all.others.iter().map(|text| text.as_str()).collect();
        assert_eq!((all.token.as_str(), others), ("tok-12345", vec!["r", "i"]));
        let at = |seconds| Timestamp::from_second(NOW + seconds).unwrap().to_string();
        let github =
            |seconds| answer(201, &json!({ "token": "ghs_12345", "expires_at": at(seconds) }), "token");
        assert_eq!(lifetime(github(30)), 30);
        assert_eq!(lifetime(github(3600)), KEPT_SECONDS_MAX);
        assert_eq!(github(0).err().unwrap().code, "credential_refused");
    }

    #[test]
    fn an_answer_that_gives_no_token_says_why_in_words_of_the_specification_i1() {
        let check = |status, body: Value, code: &str, said: &str| {
            let failure = answer(status, &body, "access_token").err().unwrap();
            assert_eq!(failure.code, code, "{body}");
            assert_eq!(failure.retryable, code == "credential_unavailable");
            assert_eq!(failure.retry_after.is_some(), failure.retryable, "the issuer says when");
            assert!(
                failure.message.contains(said) && failure.message.contains("idp.example"),
                "{}",
                failure.message
            );
            assert!(!failure.message.contains("canary"), "{}", failure.message);
        };
        let (refused, unavailable) = ("credential_refused", "credential_unavailable");
        check(
            401,
            json!({ "error": "invalid_client", "error_description": "canary" }),
            refused,
            "(invalid_client, status 401)",
        );
        check(400, json!({ "error": "canary" }), refused, "(status 400)");
        check(403, json!({ "message": "canary" }), refused, "(status 403)");
        check(400, json!({ "error": "temporarily_unavailable" }), unavailable, "temporarily_unavailable");
        for status in [408, 425, 429, 500, 503] {
            check(status, json!("canary"), unavailable, &format!("(status {status})"));
        }
        let token = |body: Value, said: &str| check(200, body, refused, said);
        token(json!({ "error": "invalid_client" }), "no JSON with one");
        token(json!({ "access_token": "canary-12345", "token_type": "mac" }), "another type than Bearer");
        token(json!({ "access_token": "canary-12345", "expires_in": 0 }), "expired already");
        token(json!({ "access_token": "canary-12345", "expires_in": -1 }), "expired already");
        token(json!({ "access_token": "canary\nx: 12345" }), "can't be sent in a header");
        token(json!({ "access_token": "1234567" }), "can't be sent in a header");
    }

    #[test]
    fn answers_and_tokens_have_limits_on_both_sides_i10() {
        let token =
            |bytes: usize| answer(200, &json!({ "access_token": "t".repeat(bytes) }), "access_token").is_ok();
        assert!(token(TOKEN_BYTES_MAX) && !token(TOKEN_BYTES_MAX + 1));
        let whole = |bytes: usize| {
            let body = json!({ "access_token": "tok-12345" }).to_string();
            answer_of(200, format!("{body}{}", " ".repeat(bytes - body.len())).into_bytes(), "access_token")
                .is_ok()
        };
        assert!(whole(ANSWER_BYTES_MAX) && !whole(ANSWER_BYTES_MAX + 1));
    }

    #[test]
    fn a_client_is_authenticated_as_the_specification_says() {
        let client = |auth_method| ClientCredentials {
            token_url: "https://idp.example/token".into(),
            client_id: "id:1".into(),
            client_secret: "s e%".into(),
            auth_method,
            scope: Some("a b".into()),
            audience: None,
        };
        let (headers, body) = client_credentials(&client(AuthMethod::Basic));
        let expected = format!("Basic {}", STANDARD.encode("id%3A1:s+e%25"));
        assert_eq!(headers, [("Authorization".to_owned(), expected)]);
        assert_eq!(body, "grant_type=client_credentials&scope=a+b");
        let (headers, body) = client_credentials(&client(AuthMethod::Post));
        assert!(headers.is_empty());
        assert_eq!(body, "grant_type=client_credentials&scope=a+b&client_id=id%3A1&client_secret=s+e%25");
    }
}
