//! The outside world as a component sees it: the guarded client, with everything that comes back scrubbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use components::{BoxFuture, Host, HttpBody, HttpFailure, HttpRequest, HttpResponse};
use http_guard::{GuardedClient, HttpError, Request};
use model::outcome::ResultReason;
use scrub::Scrubber;
use secret_text::Made;
use vault_format::AllowedHost;
use zeroize::Zeroizing;

/// What one execution may do outside.
pub struct GuardedHost {
    client: Arc<GuardedClient>,
    used_secret: bool,
    allowed_hosts: Vec<Vec<AllowedHost>>,
    hop_count: u32,
    secrets: Secrets,
    /// Places that were scrubbed so far.
    places: AtomicUsize,
}

/// Values that are scrubbed, with their labels. Wiped when they are dropped.
pub struct Secrets {
    /// Label and value.
    pub values: Vec<(String, Zeroizing<String>)>,
    /// Texts that were made of them and are searched for whole.
    pub made: Vec<Made>,
}

impl Secrets {
    fn scrubber(&self) -> Scrubber {
        let values: Vec<(&str, &str)> =
            self.values.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        let made: Vec<(&str, &str)> =
            self.made.iter().map(|made| (made.label.as_str(), made.text.as_str())).collect();
        Scrubber::new(&values, &made)
    }
}

impl GuardedHost {
    /// A host for an execution that used a secret or not, which secrets go to which hosts, and what is to be scrubbed.
    pub fn new(
        client: Arc<GuardedClient>,
        used_secret: bool,
        allowed_hosts: Vec<Vec<AllowedHost>>,
        hop_count: u32,
        secrets: Secrets,
    ) -> Self {
        Self { client, used_secret, allowed_hosts, hop_count, secrets, places: AtomicUsize::new(0) }
    }

    /// A scrubber for what the component hands back, and how many places were scrubbed before.
    pub fn into_scrubber(self) -> (Scrubber, usize) {
        (self.secrets.scrubber(), self.places.into_inner())
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let response = self
            .client
            .send(Request {
                method: request.method.to_owned(),
                url: request.url,
                headers: request.headers,
                body: request.body,
                timeout: request.timeout,
                used_secret: self.used_secret,
                allowed_hosts: self.allowed_hosts.clone(),
                hop_count: self.hop_count,
            })
            .await
            .map_err(|error| self.failure(error))?;
        // Made when the answer is whole, and dropped with it: the automaton holds the values.
        let scrubber = self.secrets.scrubber();
        let scrub = |text: String| {
            let (text, places) = scrubber.scrub_text(&text);
            self.places.fetch_add(places, Ordering::Relaxed);
            text
        };
        let headers =
            response.headers.into_iter().filter(|(name, _)| !(self.used_secret && tells_of_body(name)));
        Ok(HttpResponse {
            status: response.status,
            headers: headers.map(|(name, value)| (scrub(name), scrub(value))).collect(),
            body: self.scrub_body(response.body, &scrub),
        })
    }

    fn failure(&self, error: HttpError) -> HttpFailure {
        if self.used_secret && is_of_request(error) {
            let mut labels: Vec<String> =
                self.secrets.values.iter().map(|(label, _)| label.clone()).collect();
            labels.sort_unstable();
            labels.dedup();
            return HttpFailure::refused_secret(&labels);
        }
        failure(error)
    }

    fn scrub_body(&self, body: Vec<u8>, scrub: &dyn Fn(String) -> String) -> HttpBody {
        match String::from_utf8(body) {
            // What has NUL in it may be UTF-16, where no value would be found.
            Ok(text) if !text.contains('\0') => HttpBody::Text(scrub(text)),
            // What is not text can't be scrubbed: its length is kept, and its hash where no secret was used.
            Ok(text) => self.binary(text.as_bytes()),
            Err(error) => self.binary(error.as_bytes()),
        }
    }

    fn binary(&self, body: &[u8]) -> HttpBody {
        let hash = || hex::encode(ring::digest::digest(&ring::digest::SHA256, body));
        HttpBody::Binary { sha256: (!self.used_secret).then(hash), bytes: body.len() }
    }
}

/// Whether a header tells of a body what the scrubber can't take out: a hash of it, with which a guess of a secret in it could be confirmed,
/// or its length, which compressed tells how much of a guess is right.
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

impl Host for GuardedHost {
    fn http(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(self.exchange(request))
    }
}

/// What is wrong with a request itself, rather than with the way or the answer.
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
