//! The errors of a request without a response.

/// The end of a request without a whole response. The head may echo secret values, so it can't be
/// printed before it is scrubbed.
pub struct Failed {
    /// What ended it.
    pub error: HttpError,
    /// The last head that arrived, of the answer that broke off or of a redirect before it.
    pub head: Option<Head>,
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Self { error, head: None }
    }
}

/// The head of a response.
#[derive(Clone)]
pub struct Head {
    /// 200 to 999.
    pub status: u16,
    /// Names in lower case, in the order of the response; headers whose value is not UTF-8 are left
    /// out.
    pub headers: Vec<(String, String)>,
}

/// The error of a request without a response. The texts are for the author of the workflow and hold
/// no value of the request.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HttpError {
    /// The URL is not one that this client accepts.
    #[error("the URL is not a plain http or https URL: {0}")]
    InvalidUrl(&'static str),
    /// The method is not one that this client sends.
    #[error("the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS")]
    InvalidMethod,
    /// A header may not be sent.
    #[error("header {} can't be sent: {reason}", index + 1)]
    InvalidHeader {
        /// Its position in [`crate::Request::headers`], from 0.
        index: usize,
        /// The fault of the header.
        reason: &'static str,
    },
    /// The authorities, or the client's certificate or key, can't be used.
    #[error("`tls` can't be used: {0}")]
    InvalidTls(&'static str),
    /// The request's body is too large.
    #[error("the request's body is larger than {} bytes", crate::REQUEST_BYTES_MAX)]
    RequestTooLarge,
    /// The URL, a DNS answer or a redirect leads to a refused address. All such refusals have the
    /// same text.
    #[error("the target's address may not be called from here")]
    AddressRefused,
    /// A secret of the request names hosts, and the target is none of them.
    #[error("a secret of this request may not be sent to this host")]
    HostNotAllowed,
    /// A request with a secret over plain http.
    #[error("a request that uses a secret needs https")]
    PlainHttpWithSecret,
    /// A request with a secret was redirected to another origin.
    #[error("the target redirected a request that uses a secret to another origin")]
    RedirectBlocked,
    /// The target redirected to something that can't be requested.
    #[error("the target redirected to something that can't be requested: {0}")]
    RedirectInvalid(&'static str),
    /// The target redirected too often.
    #[error("the target redirected more than {} times", domain::limits::HTTP_REDIRECTS_MAX)]
    RedirectLimit,
    /// A time limit was exceeded: to connect, to the head of the response, or of the whole request.
    #[error("the target did not answer in time")]
    Timeout,
    /// The host's name has no address.
    #[error("the host's name could not be resolved")]
    Dns,
    /// No connection to any address of the host.
    #[error("the target could not be connected to")]
    Connect,
    /// No secure connection, mostly because of the target's certificate.
    #[error("no secure connection: {0}")]
    Tls(&'static str),
    /// The connection broke before the response was whole.
    #[error("the connection was lost before the response was whole")]
    ConnectionLost,
    /// The response is no HTTP, or is not in the content encoding that it names.
    #[error("the target's response is malformed")]
    ResponseInvalid,
    /// The response is larger than a response may be, on the wire or after decompression.
    #[error("the response is larger than {} bytes", domain::limits::HTTP_RESPONSE_BYTES_MAX)]
    ResponseTooLarge,
}

impl HttpError {
    /// The stable code, for `error.code` of a component's output.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => "invalid_url",
            Self::InvalidMethod => "invalid_method",
            Self::InvalidHeader { .. } => "invalid_header",
            Self::InvalidTls(_) => "invalid_tls",
            Self::RequestTooLarge => "request_too_large",
            Self::AddressRefused => "address_refused",
            Self::HostNotAllowed => "host_not_allowed",
            Self::PlainHttpWithSecret => "plain_http_with_secret",
            Self::RedirectBlocked => "redirect_blocked",
            Self::RedirectInvalid(_) => "redirect_invalid",
            Self::RedirectLimit => "redirect_limit",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls(_) => "tls",
            Self::ConnectionLost => "connection_lost",
            Self::ResponseInvalid => "response_invalid",
            Self::ResponseTooLarge => "response_too_large",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::Dns | Self::Connect | Self::ConnectionLost)
    }
}
