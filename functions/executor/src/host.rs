//! The outside world as a component sees it: the guarded client, with everything that comes back
//! scrubbed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use components::credential::Credential;
use components::{BoxFuture, HttpBody, HttpClient, HttpFailure, HttpRequest, HttpResponse};
use domain::allowed_host::AllowedHost;
use domain::execution::ResultReason;
use domain::ids::OrganizationId;
use domain::limits::HTTP_REDIRECTS_MAX;
use http_guard::{GuardedClient, HttpError, Request, Response};
use jiff::Timestamp;
use process::Clock;
use ring::digest::{Context, SHA256};
use scrub::Scrubber;
use secret_text::{Made, hides_no_value};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use crate::credential::{
    Issued, Issuer, LateField, SentRequest, TokenCache, TokenKey, body_sha256, issuer_url, parameters,
    sign_aws, sign_jwt, too_late,
};
use crate::redact::SCRUBBED;

/// The access of one execution to the outside.
pub struct GuardedHost {
    /// The guarded client.
    pub client: Arc<GuardedClient>,
    /// Tokens of issuers.
    pub tokens: Arc<TokenCache>,
    /// The clock.
    pub clock: Clock,
    /// Whose execution it is.
    pub organization_id: OrganizationId,
    /// Number of times that sealflow has called sealflow, with the next call.
    pub hop_count: u32,
    /// The secrets that its fields refer to.
    pub uses: Vec<SecretUse>,
    /// The field that is rendered over the request.
    pub late: Option<LateField>,
    /// The values that are scrubbed.
    pub secrets: Secrets,
    /// Lengths of the values, and of texts in them, that were placed: each with the JSON pointer of
    /// its field.
    pub placed: Vec<(String, usize)>,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// Whether the whole URL is one secret: then what stands in the way is told in one way.
    pub is_whole_url: bool,
}

/// A secret in a field.
pub struct SecretUse {
    /// JSON pointer of the field.
    pub pointer: String,
    /// Such as `github.token`.
    pub label: String,
    /// The hosts that it may go to; empty for any.
    pub allowed_hosts: Vec<AllowedHost>,
}

/// Values that are scrubbed, with their labels. Wiped when they are dropped.
#[derive(Default)]
pub struct Secrets {
    /// Label and value.
    pub values: Vec<(String, Zeroizing<String>)>,
    /// Texts that were made of them and are searched for whole.
    pub made: Vec<Made>,
    /// Those that came while the component ran: codes over the request, tokens of an issuer.
    pub late: Mutex<Vec<Made>>,
    /// Places that were scrubbed so far.
    pub places: AtomicUsize,
    /// Whether something came in that looks as if it had been scrubbed: then what was can't be told
    /// from it.
    pub is_imitated: AtomicBool,
}

impl Secrets {
    fn scrubber(&self) -> Scrubber {
        let values: Vec<(&str, &str)> =
            self.values.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let made: Vec<(&str, &str)> =
            self.made.iter().chain(&*late).map(|made| (made.label.as_str(), made.text.as_str())).collect();
        Scrubber::new(&values, &made)
    }

    fn add(&self, label: &str, text: &str) {
        let made = Made { label: label.to_owned(), text: Zeroizing::new(text.to_owned()) };
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }
}

/// The scrubbing that was done while a component ran.
#[derive(Clone, Copy, Default)]
pub struct ScrubbedBefore {
    /// Places.
    pub places: usize,
    /// Whether texts came in that look as if they had been scrubbed.
    pub is_imitated: bool,
}

/// The label of what was made of a credential without a secret.
const CREDENTIAL_LABEL: &str = "authorization";

/// The beginning of the JSON pointers of a credential's fields.
const CREDENTIAL: &str = "/authorization/";

/// The status by which a target refuses a token (RFC 9110, section 15.5.2).
const UNAUTHORIZED: u16 = 401;

/// A request on its way: what both tries of it have in common.
struct Sending {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    until: Instant,
    /// Whether a secret is used, or a credential, which is one.
    used_secret: bool,
}

impl GuardedHost {
    /// A scrubber for what the component hands back, and what was scrubbed before.
    pub fn into_scrubber(self) -> (Scrubber, ScrubbedBefore) {
        let places = self.secrets.places.load(Ordering::Relaxed);
        let is_imitated = self.secrets.is_imitated.load(Ordering::Relaxed);
        (self.secrets.scrubber(), ScrubbedBefore { places, is_imitated })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let HttpRequest { method, url, headers, body, timeout, credential } = request;
        let used_secret = !self.uses.is_empty() || credential.is_some();
        let until = Instant::now() + timeout;
        let sending = Sending { method, url, headers, body: body.into(), until, used_secret };
        let response = match credential {
            None => self.send(&sending, Vec::new()).await?,
            Some(credential) if issuer_url(&credential).is_some() => {
                self.send_with_token(&sending, Arc::new(credential)).await?
            }
            Some(credential) => {
                let headers = self.sign(&sending, &credential).ok_or_else(|| self.refused())?;
                self.send(&sending, headers).await?
            }
        };
        let sent = if used_secret { Sent::WithSecret } else { Sent::Plain };
        Ok(self.scrubbed(response, sent))
    }

    /// Sends a request with the token of an issuer. Where the target refuses a token that was kept,
    /// it is forgotten, and the request sent once more with another; it has the same idempotency
    /// key.
    async fn send_with_token(
        &self,
        sending: &Sending,
        credential: Arc<Credential>,
    ) -> Result<Response, HttpFailure> {
        let key = self.token_key(&credential);
        let issued = self.token(sending, key, &credential).await?;
        let response = self.send(sending, vec![bearer(&issued.token)]).await?;
        if response.status != UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.forget(key, &issued);
        // A token that was asked for just now is no old one, and a target that redirected has acted
        // on the request already.
        if issued.asked_at >= self.started_at || response.redirects > 0 {
            return Ok(response);
        }
        let issued = self.token(sending, key, &credential).await?;
        self.send(sending, vec![bearer(&issued.token)]).await
    }

    async fn token(
        &self,
        sending: &Sending,
        key: TokenKey,
        credential: &Arc<Credential>,
    ) -> Result<Arc<Issued>, HttpFailure> {
        let credential_uses = || self.uses.iter().filter(|used| is_of_credential(used));
        let issuer = || Issuer {
            client: self.client.clone(),
            credential: credential.clone(),
            allowed_hosts: hosts(credential_uses()),
            hop_count: self.hop_count,
            labels: labels(credential_uses()),
            clock: self.clock,
        };
        // A signed token is searched for, and so must hide nothing.
        if matches!(&**credential, Credential::Jwt(_)) && !hides_no_value(&self.placed_in_credential()) {
            return Err(self.refused());
        }
        let getting = self.tokens.get(key, self.clock.now(), || issuer().fetch());
        // Others may wait for the same answer longer than this execution does.
        let issued = tokio::time::timeout_at(sending.until, getting).await;
        let issued = issued.unwrap_or_else(|_| Err(too_late(credential)))?;
        let label = self.label_of(&["/authorization/client_secret", "/authorization/key"]);
        for text in issued.others.iter().chain([&issued.token]) {
            self.secrets.add(label, text);
        }
        Ok(issued)
    }

    /// Names the token of a credential: whose it is, of which secrets, with which values and
    /// parameters.
    fn token_key(&self, credential: &Credential) -> TokenKey {
        let mut hash = Context::new(&SHA256);
        let mut add = |text: &str| {
            hash.update(&text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.organization_id.to_string());
        for used in self.uses.iter().filter(|used| is_of_credential(used)) {
            add(&used.pointer);
            add(&used.label);
            // A secret that may go to other hosts now is another one: its issuer is held against
            // them.
            add(&used.allowed_hosts.len().to_string());
            used.allowed_hosts.iter().for_each(|host| add(&host.to_string()));
        }
        // A missing parameter is told from an empty one.
        for parameter in parameters(credential) {
            add(if parameter.is_some() { "1" } else { "0" });
            add(parameter.unwrap_or_default());
        }
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The headers that sign a request. None where it can't be signed: why is not told, that may
    /// tell of a key.
    fn sign(&self, sending: &Sending, credential: &Credential) -> Option<Vec<(String, String)>> {
        let label = self.label_of(&["/authorization/secret_access_key", "/authorization/key"]);
        let placed: Vec<usize> = self.placed.iter().map(|(_, bytes)| *bytes).collect();
        let url = Url::parse(&sending.url).ok()?;
        let request =
            SentRequest { method: sending.method, url: &url, headers: &sending.headers, body: &sending.body };
        match credential {
            Credential::Jwt(jwt) => {
                let token = sign_jwt(jwt, self.clock.now())
                    .filter(|_| hides_no_value(&self.placed_in_credential()))?;
                self.secrets.add(label, &token);
                Some(vec![bearer(&token)])
            }
            Credential::AwsSigV4(keys) => {
                if !hides_no_value(&placed) {
                    return None;
                }
                let (headers, signature) = sign_aws(keys, &request, self.clock.now())?;
                self.secrets.add(label, &signature);
                // S3 has it in a header: with it a guess of what stands in the body could be
                // confirmed.
                self.secrets.add(label, &body_sha256(&request));
                Some(headers)
            }
            Credential::Signature { name, value, pointer } => {
                let Some(late) = self.late.as_ref().filter(|late| late.field.path == *pointer) else {
                    return Some(vec![(name.clone(), value.clone())]);
                };
                let rendered = late.render(&request, &placed).ok()?;
                rendered
                    .made
                    .iter()
                    .chain(&rendered.leaves)
                    .for_each(|made| self.secrets.add(&made.label, &made.text));
                Some(vec![(name.clone(), rendered.text.to_string())])
            }
            Credential::ClientCredentials(_) => None,
        }
    }

    async fn send(&self, sending: &Sending, added: Vec<(String, String)>) -> Result<Response, HttpFailure> {
        let request = Request {
            method: sending.method.to_owned(),
            url: sending.url.clone(),
            headers: [sending.headers.clone(), added].concat(),
            body: sending.body.clone(),
            timeout: sending.until.saturating_duration_since(Instant::now()),
            used_secret: sending.used_secret,
            allowed_hosts: hosts(self.uses.iter()),
            redirects_max: HTTP_REDIRECTS_MAX,
            hop_count: self.hop_count,
        };
        self.client.send(request).await.map_err(|error| match error {
            error if sending.used_secret && is_of_request(error) => self.refused(),
            error if self.is_whole_url && tells_of_target(error) => unreachable_url(),
            error => failure(error),
        })
    }

    fn scrubbed(&self, response: Response, sent: Sent) -> HttpResponse {
        // Made when the answer is whole, and dropped with it: the automaton holds the values.
        let scrubber = self.secrets.scrubber();
        let scrub = |text: String| {
            self.secrets.is_imitated.fetch_or(text.contains(SCRUBBED), Ordering::Relaxed);
            let (text, places) = scrubber.scrub_text(&text);
            self.secrets.places.fetch_add(places, Ordering::Relaxed);
            text
        };
        let headers =
            response.headers.into_iter().filter(|(name, _)| sent == Sent::Plain || !tells_of_body(name));
        HttpResponse {
            status: response.status,
            headers: headers.map(|(name, value)| (scrub(name), scrub(value))).collect(),
            body: match String::from_utf8(response.body) {
                // A body with NUL in it may be UTF-16, where no value would be found.
                Ok(text) if !text.contains('\0') => HttpBody::Text(scrub(text)),
                // A body that is no text can't be scrubbed: its length is kept, and its hash where
                // no secret was used.
                Ok(text) => binary(text.as_bytes(), sent),
                Err(error) => binary(error.as_bytes(), sent),
            },
        }
    }

    /// The lengths of what was placed into the credential.
    fn placed_in_credential(&self) -> Vec<usize> {
        let of_credential = self.placed.iter().filter(|(pointer, _)| pointer.starts_with(CREDENTIAL));
        of_credential.map(|(_, bytes)| *bytes).collect()
    }

    /// The label of the secret in the first of these fields that has one, else of any in the
    /// credential.
    fn label_of(&self, pointers: &[&str]) -> &str {
        let at = |pointer: &&str| self.uses.iter().find(|used| used.pointer == *pointer);
        let found =
            pointers.iter().find_map(at).or_else(|| self.uses.iter().find(|used| is_of_credential(used)));
        found.map_or(CREDENTIAL_LABEL, |used| used.label.as_str())
    }

    fn refused(&self) -> HttpFailure {
        HttpFailure::refused_secret(&self.labels())
    }

    fn labels(&self) -> Vec<String> {
        labels(self.uses.iter())
    }
}

fn labels<'u>(uses: impl Iterator<Item = &'u SecretUse>) -> Vec<String> {
    let mut labels: Vec<String> = uses.map(|used| used.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Whether a secret is part of the credential: its values go to the issuer, and what the issuer
/// gives goes to its hosts only.
fn is_of_credential(used: &SecretUse) -> bool {
    used.pointer.starts_with(CREDENTIAL)
}

fn hosts<'u>(uses: impl Iterator<Item = &'u SecretUse>) -> Vec<Vec<AllowedHost>> {
    uses.map(|used| used.allowed_hosts.clone()).filter(|hosts| !hosts.is_empty()).collect()
}

fn bearer(token: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {token}"))
}

/// Whether a request went out with a secret: then the answer is not told what could confirm a guess
/// of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    WithSecret,
    Plain,
}

fn binary(body: &[u8], sent: Sent) -> HttpBody {
    let hash = || hex::encode(ring::digest::digest(&SHA256, body));
    HttpBody::Binary { sha256: (sent == Sent::Plain).then(hash), bytes: body.len() }
}

/// Whether a header tells of a body what the scrubber can't take out: a hash of it, with which a
/// guess of a secret in it could be confirmed, or its length, which compressed tells how much of a
/// guess is right.
fn tells_of_body(name: &str) -> bool {
    matches!(
        name,
        "content-encoding"
            | "content-length"
            | "content-digest"
            | "content-md5"
            | "digest"
            | "etag"
            | "repr-digest"
    ) || name.starts_with("x-amz-checksum-")
        || name.starts_with("x-goog-hash")
}

impl HttpClient for GuardedHost {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(self.exchange(request))
    }
}

/// Whether an error before the answer depends on the place to which a URL leads: its name, address,
/// port, certificate, time or connection.
fn tells_of_target(error: HttpError) -> bool {
    matches!(
        error,
        HttpError::Dns
            | HttpError::AddressRefused
            | HttpError::Connect
            | HttpError::Tls
            | HttpError::Timeout
            | HttpError::ConnectionLost
    )
}

/// The failure of a URL that is one secret and could not be reached. The cause would tell of it.
pub fn unreachable_url() -> HttpFailure {
    HttpFailure {
        reason: ResultReason::ComponentError,
        code: "unreachable",
        message: "the target of a URL that is one secret could not be reached, or did not answer in time"
            .to_owned(),
        retryable: true,
        answered: false,
    }
}

/// A fault of a request itself, rather than of the way or the answer.
fn is_of_request(error: HttpError) -> bool {
    matches!(
        error,
        HttpError::InvalidUrl(_)
            | HttpError::InvalidMethod
            | HttpError::InvalidHeader { .. }
            | HttpError::RequestTooLarge
    )
}

fn failure(error: HttpError) -> HttpFailure {
    let reason = match error {
        HttpError::Timeout => ResultReason::Timeout,
        HttpError::HostNotAllowed | HttpError::PlainHttpWithSecret => ResultReason::SecretDenied,
        _ => ResultReason::ComponentError,
    };
    let answered = matches!(
        error,
        HttpError::RedirectBlocked
            | HttpError::RedirectLimit
            | HttpError::ResponseInvalid
            | HttpError::ResponseTooLarge
    );
    HttpFailure {
        reason,
        code: error.code(),
        message: error.to_string(),
        retryable: error.is_retryable(),
        answered,
    }
}
