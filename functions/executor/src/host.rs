//! The outside world as a component sees it: the guarded client, with everything that comes back scrubbed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use components::{BoxFuture, Host, HttpBody, HttpFailure, HttpRequest, HttpResponse};
use http_guard::{GuardedClient, HttpError, Request};
use model::outcome::ResultReason;
use scrub::Scrubber;
use vault_format::AllowedHost;
use zeroize::Zeroizing;

/// What one execution may do outside.
pub struct GuardedHost {
    client: Arc<GuardedClient>,
    used_secret: bool,
    allowed_hosts: Vec<Vec<AllowedHost>>,
    hop_count: u32,
    labels: Vec<String>,
    scrubbing: Mutex<Scrubbing>,
}

/// Values that are scrubbed, with their labels. Wiped when they are dropped.
pub struct Secrets {
    /// Label and value.
    pub values: Vec<(String, Zeroizing<String>)>,
    /// Texts that were made of them and are searched for whole.
    pub made: Vec<Zeroizing<String>>,
}

impl Secrets {
    fn scrubber(&self) -> Scrubber {
        let values: Vec<(&str, &str)> =
            self.values.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        Scrubber::new(&values, &self.made.iter().map(|made| made.as_str()).collect::<Vec<_>>())
    }
}

struct Scrubbing {
    scrubber: Scrubber,
    places: usize,
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
        let scrubbing = Mutex::new(Scrubbing { scrubber: secrets.scrubber(), places: 0 });
        let labels = secrets.values.into_iter().map(|(label, _)| label).collect();
        Self { client, used_secret, allowed_hosts, hop_count, labels, scrubbing }
    }

    /// The scrubber, and how many places it has scrubbed so far.
    pub fn into_scrubber(self) -> (Scrubber, usize) {
        let Scrubbing { scrubber, places } =
            self.scrubbing.into_inner().unwrap_or_else(PoisonError::into_inner);
        (scrubber, places)
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
        let headers = response.headers.into_iter().map(|(name, value)| (self.scrub(name), self.scrub(value)));
        Ok(HttpResponse {
            status: response.status,
            headers: headers.collect(),
            body: self.scrub_body(response.body),
        })
    }

    fn failure(&self, error: HttpError) -> HttpFailure {
        if self.used_secret && is_of_request(error) {
            return HttpFailure::refused_secret(&self.labels);
        }
        failure(error)
    }

    fn scrub_body(&self, body: Vec<u8>) -> HttpBody {
        match String::from_utf8(body) {
            // What has NUL in it may be UTF-16, where no value would be found.
            Ok(text) if !text.contains('\0') => HttpBody::Text(self.scrub(text)),
            // What is not text can't be scrubbed: its hash and length are all that is kept.
            Ok(text) => binary(text.as_bytes()),
            Err(error) => binary(error.as_bytes()),
        }
    }

    fn scrub(&self, text: String) -> String {
        let mut scrubbing = self.scrubbing();
        let (text, places) = scrubbing.scrubber.scrub_text(&text);
        scrubbing.places += places;
        text
    }

    fn scrubbing(&self) -> MutexGuard<'_, Scrubbing> {
        self.scrubbing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for GuardedHost {
    fn http(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(self.exchange(request))
    }
}

fn binary(body: &[u8]) -> HttpBody {
    HttpBody::Binary {
        sha256: hex::encode(ring::digest::digest(&ring::digest::SHA256, body)),
        bytes: body.len(),
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
