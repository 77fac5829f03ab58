//! A local issuer of tokens and the API that accepts them. Both check requests as strictly as the
//! specifications of their originals. Both repeat the request in the answer, so that a missing
//! scrub shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use local::http::{Request, Response, Server, json as json_answer};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::make_secret;

/// The private key of the credentials, in the form that GitHub gives.
pub const KEY_PKCS1: &str = include_str!("../../keys/rsa_pkcs1.pem");
/// The same key in the form that Google gives.
pub const KEY_PKCS8: &str = include_str!("../../keys/rsa_pkcs8.pem");

/// The time that `/oauth/slow` takes for its answer.
const SLOW: Duration = Duration::from_secs(4);
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A running issuer with the API behind it; dropped, it stops.
pub struct IssuerWorld {
    server: Server,
    record: Arc<Record>,
}

/// The issuer's secrets and its memory.
pub struct Record {
    /// The id of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The secret key of the AWS account. Its access key id is `AKIDCANARY`.
    pub aws_key: String,
    /// The key of signed requests.
    pub signing_key: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tokens that the API accepts.
    valid: Vec<String>,
    /// All tokens that were ever given.
    given: Vec<String>,
    /// The received requests, by path.
    requests: BTreeMap<String, Vec<Value>>,
}

impl IssuerWorld {
    /// Starts an issuer on a free loopback port.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let record = Arc::new(Record {
            client_id: make_secret("client"),
            client_secret: make_secret("client-secret"),
            aws_key: make_secret("aws"),
            signing_key: make_secret("signing"),
            state: Mutex::default(),
        });
        let shared = Arc::clone(&record);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let record = Arc::clone(&shared);
            async move {
                if request.uri().path() == "/oauth/slow" {
                    tokio::time::sleep(SLOW).await;
                }
                record.answer(&request)
            }
        });
        Self { server: server.await.expect("a port is free"), record }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.server.host_port()
    }

    /// Its secrets and its memory.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// All tokens that were ever given.
    #[must_use]
    pub fn given(&self) -> Vec<String> {
        self.record.state().given.clone()
    }

    /// Makes the API refuse all tokens that were given so far.
    pub fn revoke_all(&self) {
        self.record.state().valid.clear();
    }

    /// The requests to a path so far.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Value> {
        self.record.state().requests.get(path).cloned().unwrap_or_default()
    }
}

/// A request, taken apart.
struct Parts {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Parts {
    fn of(request: &Request) -> Self {
        let header = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), header(value)))
                .collect(),
            body: request.body().to_vec(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    fn form(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    fn shown(&self) -> Value {
        json!({ "method": self.method, "path": self.path, "query": self.query, "headers": self.headers,
            "body": String::from_utf8_lossy(&self.body) })
    }
}

impl Record {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Response {
        let parts = Parts::of(request);
        self.state().requests.entry(parts.path.clone()).or_default().push(parts.shown());
        let (status, answer) = match parts.path.as_str() {
            "/oauth/token" | "/oauth/slow" => self.client_credentials(&parts, 3600),
            "/oauth/expired" => self.client_credentials(&parts, 0),
            "/oauth/down" => (503, json!({ "error": self.client_secret })),
            // The first request is answered that the issuer is busy.
            "/oauth/busy" if self.count(&parts.path) == 1 => (503, Value::Null),
            "/oauth/busy" => self.client_credentials(&parts, 3600),
            "/oauth/moved" => return moved("/oauth/token"),
            "/moved-api" => return moved("/api/behind"),
            "/jwt/token" => self.jwt_grant(&parts),
            "/salesforce/token" => self.salesforce(&parts),
            "/app/installations/77/access_tokens" => self.installation(&parts),
            path if path.starts_with("/api/") => self.api(&parts),
            path if path.starts_with("/jwt-api/") => {
                let token = parts.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
                self.shown_if(
                    claims(token).filter(|claims| claims["iss"] == "ACCOUNT.USER").is_some(),
                    &parts,
                )
            }
            path if path.starts_with("/aws/") => self.shown_if(self.is_signed_by_aws(&parts), &parts),
            "/signed/busy" if self.count(&parts.path) == 1 => (503, Value::Null),
            path if path.starts_with("/signed/") => self.shown_if(self.is_signed(&parts), &parts),
            _ => (404, Value::Null),
        };
        json_answer(status, &answer)
    }

    /// Requests to a path so far, this one among them.
    fn count(&self, path: &str) -> usize {
        self.state().requests.get(path).map_or(0, Vec::len)
    }

    fn shown_if(&self, is_right: bool, parts: &Parts) -> (u16, Value) {
        (if is_right { 200 } else { 401 }, parts.shown())
    }

    /// A new token. Tokens are random: they differ in more than a number at their end.
    fn give(&self) -> String {
        let token = format!("tok-{}", process::Ids::new().random::<uuid::Uuid>().simple());
        let mut state = self.state();
        state.valid.push(token.clone());
        state.given.push(token.clone());
        token
    }

    /// Answers a grant of client credentials (RFC 6749, sections 2.3.1 and 4.4).
    fn client_credentials(&self, parts: &Parts, expires_in: u32) -> (u16, Value) {
        let form = parts.form();
        let decoded = |text: &str| {
            form_urlencoded::parse(format!("x={text}").as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        let basic = parts.header("authorization").strip_prefix("Basic ").and_then(|text| {
            let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            Some((decoded(id)?, decoded(secret)?))
        });
        let posted = || Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone()));
        let client = basic.or_else(posted);
        if client != Some((self.client_id.clone(), self.client_secret.clone())) {
            // A bad issuer repeats the request, credentials included.
            return (401, json!({ "error": "invalid_client", "error_description": parts.shown() }));
        }
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return (400, json!({ "error": "unsupported_grant_type" }));
        }
        let (token, refresh) = (self.give(), self.give());
        (
            200,
            json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "refresh_token": refresh }),
        )
    }

    /// Answers a grant by a signed assertion (RFC 7523, section 2.1).
    fn jwt_grant(&self, parts: &Parts) -> (u16, Value) {
        let form = parts.form();
        let is_grant = form
            .get("grant_type")
            .is_some_and(|grant| grant == "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let claims = form.get("assertion").and_then(|token| claims(token));
        let is_for_us = |claims: &Value| {
            claims["aud"].as_str().is_some_and(|audience| audience.ends_with("/jwt/token"))
                && claims["iss"] == "robot@project.example"
                && claims["scope"] == "read write"
        };
        if !is_grant || !claims.is_some_and(|claims| is_for_us(&claims)) {
            return (400, json!({ "error": "invalid_grant" }));
        }
        (200, json!({ "access_token": self.give(), "token_type": "bearer", "expires_in": "3600" }))
    }

    /// Answers a grant by RFC 7523 as Salesforce has it. The subject is the user, the audience is
    /// Salesforce's login address, the assertion has no scope and lives for at most three minutes.
    /// The answer names no lifetime.
    fn salesforce(&self, parts: &Parts) -> (u16, Value) {
        let form = parts.form();
        let is_for_us = |claims: &Value| {
            let lifetime =
                claims["exp"].as_i64().unwrap_or(i64::MAX) - claims["iat"].as_i64().unwrap_or_default();
            claims["aud"] == "https://login.salesforce.example"
                && claims["sub"] == "ann@example.com"
                && claims["iss"] == "connected-app"
                && claims.get("scope").is_none()
                && lifetime <= 180
        };
        if !form.get("assertion").and_then(|token| claims(token)).is_some_and(|claims| is_for_us(&claims)) {
            return (400, json!({ "error": "invalid_grant" }));
        }
        let (token, id) = (self.give(), self.give());
        (
            200,
            json!({ "access_token": token, "id_token": id, "token_type": "Bearer", "instance_url": "https://x.example" }),
        )
    }

    /// Answers GitHub's `POST /app/installations/{id}/access_tokens`.
    fn installation(&self, parts: &Parts) -> (u16, Value) {
        let token = parts.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if parts.method != "POST" || claims(token).is_none_or(|claims| claims["iss"] != "4711") {
            return (401, json!({ "message": "A JSON web token could not be decoded" }));
        }
        let ends_at = process::Clock::system_now() + jiff::SignedDuration::from_hours(1);
        (201, json!({ "token": self.give(), "expires_at": ends_at.to_string() }))
    }

    fn api(&self, parts: &Parts) -> (u16, Value) {
        let token = parts.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        let is_valid = self.state().valid.iter().any(|valid| valid == token);
        let (status, mut shown) = self.shown_if(is_valid, parts);
        if parts.path == "/api/companions" {
            shown["given"] = json!(self.state().given);
        }
        (status, shown)
    }

    /// Checks AWS Signature Version 4, by code written from AWS's description.
    fn is_signed_by_aws(&self, parts: &Parts) -> bool {
        let authorization = parts.header("authorization");
        let field = |name: &str| {
            authorization.split([',', ' ']).find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let (Some(credential), Some(names), Some(signature)) =
            (field("Credential"), field("SignedHeaders"), field("Signature"))
        else {
            return false;
        };
        let date = parts.header("x-amz-date");
        let scope = format!("{}/eu-central-1/execute-api/aws4_request", date.get(..8).unwrap_or_default());
        if credential != format!("AKIDCANARY/{scope}") || !names.split(';').any(|name| name == "host") {
            return false;
        }
        let headers: String =
            names.split(';').map(|name| format!("{name}:{}\n", parts.header(name))).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{}",
            parts.method,
            parts.path,
            parts.query,
            sha256(&parts.body)
        );
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{}", self.aws_key).into_bytes();
        for step in scope.split('/') {
            key = mac(&key, step.as_bytes());
        }
        hex::encode(mac(&key, to_sign.as_bytes())) == signature
    }

    /// Checks a code over the time, the method, the path, the query and the body.
    fn is_signed(&self, parts: &Parts) -> bool {
        let Some((time, code)) =
            parts.header("x-signature").strip_prefix("t=").and_then(|value| value.split_once(",v1="))
        else {
            return false;
        };
        let head = format!("{time}.{}.{}.{}.", parts.method, parts.path, parts.query);
        hex::encode(mac(self.signing_key.as_bytes(), &[head.as_bytes(), &parts.body].concat())) == code
    }
}

fn moved(to: &str) -> Response {
    let mut response = json_answer(307, &Value::Null);
    response.headers_mut().insert("location", to.parse().expect("a path"));
    response
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

/// The claims of a token that the key has signed and that is valid now.
fn claims(token: &str) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(KEY_PKCS8.as_bytes()) else {
        panic!("the key has another form");
    };
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("an RSA key");
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    public.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).ok()?;
    let (header, claims) = message.split_once('.')?;
    let read = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let now = process::Clock::system_now().as_second();
    let claims = read(claims)?;
    let (begins, ends) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?);
    (read(header)?["alg"] == "RS256" && begins <= now && now < ends && ends - begins <= 600).then_some(claims)
}
