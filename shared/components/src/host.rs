//! The outside world, as far as a component may use it.

use std::{future::Future, pin::Pin, time::Duration};

use domain::execution::ResultReason;
use domain::limits::SECRET_VALUE_BYTES_MIN;
use domain::outcome::Failure;
use domain::retry::RetryAfter;

use crate::credential::Credential;

/// A future that the executor can hold.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One kind of access to the outside world that an effect may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Requests over HTTP ([`HttpClient`]).
    Http,
}

/// Sends requests over HTTP.
pub trait HttpClient: Send + Sync {
    /// Sends a request through the guarded client and hands back an answer that is already
    /// scrubbed.
    ///
    /// The implementation adds the facts that the component doesn't have: the use of a secret, the
    /// secret's allowed hosts, and the hop count.
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>>;
}

/// The outside world as one effect sees it: its declared capabilities and no others.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    http: Option<&'a dyn HttpClient>,
}

impl<'a> Host<'a> {
    /// The host of an effect that declares `needs`.
    #[must_use]
    pub fn of(needs: &[Capability], http: &'a dyn HttpClient) -> Self {
        Self { http: needs.contains(&Capability::Http).then_some(http) }
    }

    /// Sends a request over HTTP.
    ///
    /// # Errors
    /// [`HttpFailure`]: the failure of the request, or `undeclared` where the effect does not
    /// declare [`Capability::Http`].
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        match self.http {
            Some(client) => client.send(request).await,
            None => Err(HttpFailure::undeclared()),
        }
    }
}

/// A request. It may hold secrets, so it has no `Debug`.
pub struct HttpRequest {
    /// The method, in capitals.
    pub method: &'static str,
    /// The whole URL, with its query.
    pub url: String,
    /// Names and values, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// The longest time of the whole exchange.
    pub timeout: Duration,
    /// The credential that signs the request, or with which a token is requested.
    pub credential: Option<Credential>,
    /// Whether the bytes of an answer that is no text are kept, up to 64 KiB of them.
    pub keeps_binary: bool,
    /// TLS, where the target is inside a company.
    pub tls: HttpTls,
    /// Whether redirects are followed. If not, the redirect is the answer.
    pub follows_redirects: bool,
}

/// TLS of one request. It may hold a secret, so it has no `Debug`.
#[derive(Default)]
pub struct HttpTls {
    /// PEM of the authorities that are trusted in place of the public ones.
    pub authorities: Option<String>,
    /// The certificate that is shown to the target.
    pub client: Option<HttpClientCertificate>,
}

/// A certificate with its key. It holds a secret, so it has no `Debug`.
pub struct HttpClientCertificate {
    /// PEM of the certificate and of those that lead to its authority.
    pub chain: String,
    /// PEM of the private key.
    pub key: String,
}

/// An answer, scrubbed.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpResponse {
    /// Status and headers.
    pub head: HttpHead,
    /// The body, decompressed.
    pub body: HttpBody,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// Text without NUL, read in the charset that the answer names, else as UTF-8; without a byte
    /// order mark.
    Text(String),
    /// Any other body. It can't be scrubbed, so only its length is kept, and its hash where no
    /// secret was used.
    Binary {
        /// SHA-256 in lower-case hex.
        sha256: Option<String>,
        /// The bytes, where they were asked for, are few, and no secret was used.
        base64: Option<String>,
        /// The length of the body.
        bytes: usize,
    },
}

/// The failure of a request without an answer. The texts are our own and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFailure {
    /// [`ResultReason::ComponentError`], [`ResultReason::Timeout`], or
    /// [`ResultReason::SecretDenied`].
    pub reason: ResultReason,
    /// A stable code such as `redirect_blocked`.
    pub code: &'static str,
    /// A sentence for the author of the workflow.
    pub message: String,
    /// Whether another attempt might pass.
    pub retryable: bool,
    /// Whether the target answered.
    pub answered: bool,
    /// The time before which the server asks not to be asked again.
    pub retry_after: Option<RetryAfter>,
    /// The last head that arrived, scrubbed: of an answer that broke off, or of a redirect.
    pub head: Option<HttpHead>,
}

/// The head of an answer, scrubbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpHead {
    /// The status code.
    pub status: u16,
    /// Names and values, as they arrived.
    pub headers: Vec<(String, String)>,
}

impl From<HttpFailure> for Failure {
    fn from(failure: HttpFailure) -> Self {
        let HttpFailure { reason, code, message, retryable, answered, retry_after, head: _ } = failure;
        Self { retryable, answered, retry_after, ..Self::new(reason, code, message) }
    }
}

impl HttpFailure {
    /// A failure before the target answered, that another attempt would not mend.
    #[must_use]
    pub fn new(reason: ResultReason, code: &'static str, message: String) -> Self {
        Self { reason, code, message, retryable: false, answered: false, retry_after: None, head: None }
    }

    /// The failure of an effect that uses a capability without declaring it.
    fn undeclared() -> Self {
        let message = "the component sends requests and does not declare it; please report it";
        Self::new(ResultReason::ComponentError, "undeclared", message.to_owned())
    }

    /// The one failure of a request with secrets that was refused before a connection was tried. It
    /// names the secrets but neither field nor reason, for both may depend on a secret's value
    /// (I1).
    #[must_use]
    pub fn refused_secret(labels: &[String]) -> Self {
        let (noun, verb) = if labels.len() == 1 { ("the secret", "was") } else { ("the secrets", "were") };
        let message = format!(
            "the request was not sent: {noun} {} {verb} to be placed into something that can't be sent. Which field it is, and why, is not \
             told, as that may tell of a value. Look for: control characters in a header or a whole URL, `.` or `..` as a segment of a \
             path, a colon in a user name, a value without the JSON or base64 that is read from it, a key that \
             is no PEM of the kind that its algorithm needs, or does not belong to its certificate, a value of fewer than {SECRET_VALUE_BYTES_MIN} bytes that is signed or encoded \
             twice together with a longer one, too many bytes",
            labels.join(", ")
        );
        Self::new(ResultReason::ComponentError, "invalid_configuration", message)
    }
}
