//! The outside world of a component: the guarded client, whose answers are scrubbed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use components::credential::Credential;
use components::{BoxFuture, HttpBody, HttpClient, HttpFailure, HttpHead, HttpRequest, HttpResponse};
use domain::allowed_host::AllowedHost;
use domain::execution::ResultReason;
use domain::ids::OrganizationId;
use domain::limits::HTTP_REDIRECTS_MAX;
use domain::retry::{RetryAfter, is_from_between};
use http_content::text;
use http_guard::{
    ClientCertificate, Failed, GuardedClient, Head, HttpError, Redirects, Request, RequestTls, Response,
};
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
    /// The organization of the execution.
    pub organization_id: OrganizationId,
    /// The number of calls from sealflow to sealflow, with the next call.
    pub hop_count: u32,
    /// The secrets that the execution's fields refer to.
    pub uses: Vec<SecretUse>,
    /// The field that is rendered when the request is made: a signature over it.
    pub late: Option<LateField>,
    /// The values that are scrubbed.
    pub secrets: Secrets,
    /// The lengths of the values, and of the texts in values, that were placed, each with the JSON
    /// pointer of its field.
    pub placed: Vec<(String, usize)>,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// Whether the whole URL is one secret: then every failure to reach it has the same message.
    pub is_whole_url: bool,
}

/// A secret in a field.
pub struct SecretUse {
    /// JSON pointer of the field.
    pub pointer: String,
    /// The name and key, such as `github.token`.
    pub label: String,
    /// The hosts to which the secret may be sent; empty: any host.
    pub allowed_hosts: Vec<AllowedHost>,
}

/// Values that are scrubbed, with their labels. Wiped when they are dropped.
#[derive(Default)]
pub struct Secrets {
    /// Label and value.
    pub values: Vec<(String, Zeroizing<String>)>,
    /// Texts that were made of the values; the scrubber searches for each as a whole.
    pub made: Vec<Made>,
    /// Texts that were made while the component ran: codes over the request, tokens of an issuer.
    pub late: Mutex<Vec<Made>>,
    /// The number of places that were scrubbed so far.
    pub places: AtomicUsize,
    /// Whether a text came in that looks like a scrubbed one: then the two can't be told apart.
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

/// The scrubbing that happened while a component ran.
#[derive(Clone, Copy, Default)]
pub struct ScrubbedBefore {
    /// The number of scrubbed places.
    pub places: usize,
    /// Whether a text came in that looks like a scrubbed one.
    pub is_imitated: bool,
}

/// The label of a text that was made of a credential without a secret.
const CREDENTIAL_LABEL: &str = "authorization";

/// The beginning of the JSON pointers of a credential's fields.
const CREDENTIAL: &str = "/authorization/";

/// The status by which a target refuses a token (RFC 9110, section 15.5.2).
const UNAUTHORIZED: u16 = 401;

/// The parts of a request that both of its tries have in common.
struct Sending {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    until: Instant,
    redirects: Redirects,
    tls: RequestTls,
    /// Whether the request uses a secret, or a credential, which counts as one.
    used_secret: bool,
}

impl Sending {
    fn sent(&self) -> Sent {
        if self.used_secret { Sent::WithSecret } else { Sent::Plain }
    }
}

impl GuardedHost {
    /// The scrubber for the component's outcome, and the scrubbing so far.
    pub fn into_scrubber(self) -> (Scrubber, ScrubbedBefore) {
        let places = self.secrets.places.load(Ordering::Relaxed);
        let is_imitated = self.secrets.is_imitated.load(Ordering::Relaxed);
        (self.secrets.scrubber(), ScrubbedBefore { places, is_imitated })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let HttpRequest {
            method,
            url,
            headers,
            body,
            timeout,
            credential,
            follows_redirects,
            keeps_binary,
            tls,
        } = request;
        let redirects =
            if follows_redirects { Redirects::Follow(HTTP_REDIRECTS_MAX) } else { Redirects::Stop };
        let used_secret = !self.uses.is_empty() || credential.is_some() || tls.client.is_some();
        let until = Instant::now() + timeout;
        let client = tls.client.map(|client| ClientCertificate { chain: client.chain, key: client.key });
        let tls = RequestTls { authorities: tls.authorities, client };
        let sending = Sending { method, url, headers, body: body.into(), until, redirects, tls, used_secret };
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
        Ok(self.scrubbed(response, sending.sent(), keeps_binary))
    }

    /// Sends a request with the token of an issuer. If the target refuses a cached token, the token
    /// is forgotten, and the request is sent once more with a new one and the same idempotency key.
    async fn send_with_token(
        &self,
        sending: &Sending,
        credential: Arc<Credential>,
    ) -> Result<Response, HttpFailure> {
        let key = self.token_key(&credential);
        let issued = self.token(sending, key, &credential).await?;
        let response = self.send(sending, vec![bearer(&issued.token)]).await?;
        if response.head.status != UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.forget(key, &issued);
        // A token that was fetched during this attempt is not stale, so a new one would not help. A
        // target that redirected has acted on the request already.
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
        // The scrubber searches for a signed token. A token in which this could confirm guesses of
        // a short value is refused.
        if matches!(&**credential, Credential::Jwt(_)) && !hides_no_value(&self.placed_in_credential()) {
            return Err(self.refused());
        }
        let getting = self.tokens.get(key, self.clock.now(), || issuer().fetch());
        // The fetch is shared: only the wait of this execution ends with its time.
        let issued = tokio::time::timeout_at(sending.until, getting).await;
        let issued = issued.unwrap_or_else(|_| Err(too_late(credential)))?;
        let label = self.label_of(&["/authorization/client_secret", "/authorization/key"]);
        for text in issued.others.iter().chain([&issued.token]) {
            self.secrets.add(label, text);
        }
        Ok(issued)
    }

    /// The cache key of a credential's token: a hash of the organization, the secrets with their
    /// hosts, and the parameters with their values.
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
            // Changed hosts make another cache key: the next fetch checks the issuer against the
            // new hosts.
            add(&used.allowed_hosts.len().to_string());
            used.allowed_hosts.iter().for_each(|host| add(&host.to_string()));
        }
        // A missing parameter differs from an empty one.
        for parameter in parameters(credential) {
            add(if parameter.is_some() { "1" } else { "0" });
            add(parameter.unwrap_or_default());
        }
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The headers that sign a request. None where it can't be signed. The cause is not told: it
    /// may reveal something about a key.
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
                // A request to S3 has this hash in a header. With the hash a guess of a secret in
                // the body could be confirmed.
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
            redirects: sending.redirects,
            tls: sending.tls.clone(),
            hop_count: self.hop_count,
        };
        self.client.send(request).await.map_err(|Failed { error, head }| match error {
            error if sending.used_secret && is_of_request(error) => self.refused(),
            error if self.is_whole_url && tells_of_target(error) => unreachable_url(),
            error => {
                let scrubber = self.secrets.scrubber();
                let head = head.map(|head| self.scrubbed_head(&scrubber, head, sending.sent()));
                failure(error, head)
            }
        })
    }

    fn scrub(&self, scrubber: &Scrubber, text: &str) -> String {
        self.secrets.is_imitated.fetch_or(text.contains(SCRUBBED), Ordering::Relaxed);
        let (text, places) = scrubber.scrub_text(text);
        self.secrets.places.fetch_add(places, Ordering::Relaxed);
        text
    }

    fn scrubbed_head(&self, scrubber: &Scrubber, head: Head, sent: Sent) -> HttpHead {
        let headers = head.headers.iter().filter(|(name, _)| sent == Sent::Plain || !tells_of_body(name));
        let scrub = |text| self.scrub(scrubber, text);
        HttpHead {
            status: head.status,
            headers: headers.map(|(name, value)| (scrub(name), scrub(value))).collect(),
        }
    }

    fn scrubbed(&self, response: Response, sent: Sent, keeps_binary: bool) -> HttpResponse {
        // The scrubber's automaton holds the values: it is made after the whole answer, and dropped
        // with it.
        let scrubber = self.secrets.scrubber();
        let content_type = response.head.headers.iter().find(|(name, _)| name == "content-type");
        // A text is read in its charset before it is scrubbed: in the bytes of another one the
        // scrubber would find no value.
        let body = match text(content_type.map(|(_, value)| value.as_str()), response.body) {
            Ok(text) => HttpBody::Text(self.scrub(&scrubber, &text)),
            // A body that is no text can't be scrubbed. Its length is kept, and its hash only where
            // no secret was used.
            Err(bytes) => binary(&bytes, sent, keeps_binary),
        };
        HttpResponse { head: self.scrubbed_head(&scrubber, response.head, sent), body }
    }

    /// The lengths of the values that were placed into the credential.
    fn placed_in_credential(&self) -> Vec<usize> {
        let of_credential = self.placed.iter().filter(|(pointer, _)| pointer.starts_with(CREDENTIAL));
        of_credential.map(|(_, bytes)| *bytes).collect()
    }

    /// The label of the secret in the first of these fields that has one, else of any secret in the
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

/// Whether a secret is part of the credential. Its value goes to the issuer, and the issuer's token
/// goes only to the secret's hosts.
fn is_of_credential(used: &SecretUse) -> bool {
    used.pointer.starts_with(CREDENTIAL)
}

fn hosts<'u>(uses: impl Iterator<Item = &'u SecretUse>) -> Vec<Vec<AllowedHost>> {
    uses.map(|used| used.allowed_hosts.clone()).filter(|hosts| !hosts.is_empty()).collect()
}

fn bearer(token: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {token}"))
}

/// Whether a request was sent with a secret. If it was, the component gets no part of the answer
/// that could confirm a guess of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    WithSecret,
    Plain,
}

/// Bytes of an answer that is no text and is kept.
const BINARY_BYTES_MAX: usize = 64 * 1024;

fn binary(body: &[u8], sent: Sent, is_kept: bool) -> HttpBody {
    let hash = || hex::encode(ring::digest::digest(&SHA256, body));
    let is_plain = sent == Sent::Plain;
    let is_kept = is_kept && is_plain && body.len() <= BINARY_BYTES_MAX;
    HttpBody::Binary {
        sha256: is_plain.then(hash),
        base64: is_kept.then(|| STANDARD.encode(body)),
        bytes: body.len(),
    }
}

/// Whether a header reveals something about the body that the scrubber can't remove. A hash could
/// confirm a guess of a secret in the body. The length of a compressed body shows how much of a
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

/// Whether an error before the answer depends on the URL's target: its name, address, port,
/// certificate, time or connection.
fn tells_of_target(error: HttpError) -> bool {
    matches!(
        error,
        HttpError::Dns
            | HttpError::AddressRefused
            | HttpError::Connect
            | HttpError::Tls(_)
            | HttpError::Timeout
            | HttpError::ConnectionLost
    )
}

/// The failure to reach a URL that is one secret. It names no cause: the cause would reveal
/// something about the URL.
pub fn unreachable_url() -> HttpFailure {
    let message = "the target of a URL that is one secret could not be reached, or did not answer in time";
    let failure = HttpFailure::new(ResultReason::ComponentError, "unreachable", message.to_owned());
    HttpFailure { retryable: true, ..failure }
}

/// Whether an error lies in the request itself, and not in the connection or the answer.
fn is_of_request(error: HttpError) -> bool {
    matches!(
        error,
        HttpError::InvalidUrl(_)
            | HttpError::InvalidMethod
            | HttpError::InvalidHeader { .. }
            | HttpError::RequestTooLarge
            | HttpError::InvalidTls(_)
    )
}

fn failure(error: HttpError, head: Option<HttpHead>) -> HttpFailure {
    let reason = match error {
        HttpError::Timeout => ResultReason::Timeout,
        HttpError::HostNotAllowed | HttpError::PlainHttpWithSecret => ResultReason::SecretDenied,
        _ => ResultReason::ComponentError,
    };
    let answered = matches!(
        error,
        HttpError::RedirectBlocked
            | HttpError::RedirectInvalid(_)
            | HttpError::RedirectLimit
            | HttpError::ResponseInvalid
            | HttpError::ResponseTooLarge
    );
    // A status from a server between is no answer of the target's, whatever came behind it.
    let answered = answered && head.as_ref().is_none_or(|head| !is_from_between(head.status));
    HttpFailure {
        retryable: error.is_retryable(),
        answered,
        retry_after: head.as_ref().and_then(|head| RetryAfter::of(&head.headers)),
        head,
        ..HttpFailure::new(reason, error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_keeps_what_its_head_says_i5() {
        let of = |error, status, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            failure(error, Some(HttpHead { status, headers: headers.collect() }))
        };
        let late = of(HttpError::ConnectionLost, 503, &[("retry-after", "6")]);
        assert_eq!((late.retry_after, late.retryable), (Some(RetryAfter::Seconds(6)), true));
        for status in [502, 504, 524, 599] {
            assert!(!of(HttpError::ResponseInvalid, status, &[]).answered, "{status}");
            assert!(!of(HttpError::ResponseTooLarge, status, &[]).answered, "{status}");
        }
        assert!(of(HttpError::ResponseInvalid, 200, &[]).answered);
        assert!(!of(HttpError::Timeout, 200, &[]).answered);
    }

    #[test]
    fn bytes_are_kept_where_asked_for_without_a_secret_and_within_the_limit_i1_i10() {
        let kept = |bytes: usize, sent, asked| match binary(&vec![0xff; bytes], sent, asked) {
            HttpBody::Binary { base64, sha256, bytes: told } => {
                assert_eq!((told, sha256.is_some()), (bytes, sent == Sent::Plain));
                base64.is_some()
            }
            HttpBody::Text(text) => panic!("{text}"),
        };
        assert!(kept(BINARY_BYTES_MAX, Sent::Plain, true));
        assert!(!kept(BINARY_BYTES_MAX + 1, Sent::Plain, true));
        assert!(!kept(1, Sent::WithSecret, true), "I1: the scrubber finds nothing in bytes");
        assert!(!kept(1, Sent::Plain, false));
    }
}
