//! The client: checks, hops and the response.

use std::sync::Arc;

use domain::limits::HTTP_RESPONSE_BYTES_MAX;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_content::{CodingError, decode};
use tokio_rustls::TlsConnector;

use crate::allowed_hosts::Rules;
use crate::connect::Connector;
use crate::exchange::{Answer, exchange};
use crate::request::Outgoing;
use crate::settings::{GuardSettings, TIMEOUT_MAX};
use crate::target::Target;
use crate::{Failed, Head, HttpError, Network, Request, Response, SystemNetwork};

/// The guarded client. Made once, in `main`; it keeps no connection.
pub struct GuardedClient {
    settings: GuardSettings,
    pub(crate) connector: Connector,
}

impl GuardedClient {
    /// A client on the system's network.
    #[must_use]
    pub fn new(settings: GuardSettings) -> Self {
        Self::with_network(settings, Arc::new(SystemNetwork))
    }

    /// A client on the caller's network, for tests.
    #[must_use]
    pub fn with_network(settings: GuardSettings, network: Arc<dyn Network>) -> Self {
        let connector = Connector::new(&settings, network);
        Self { settings, connector }
    }

    /// Sends a request, follows its redirects and returns the whole response, whatever its status.
    /// Every hop passes all checks.
    ///
    /// # Errors
    /// [`Failed`] when there is no whole response; [`HttpError::is_retryable`] says whether
    /// another attempt may help. After [`HttpError::Timeout`], [`HttpError::ConnectionLost`] or an
    /// error about a response, the target may have acted on the request all the same.
    pub async fn send(&self, request: Request) -> Result<Response, Failed> {
        let limit = request.timeout.min(TIMEOUT_MAX);
        let mut seen = None;
        let sent = tokio::time::timeout(limit, self.follow(request, &mut seen)).await;
        sent.unwrap_or(Err(HttpError::Timeout)).map_err(|error| Failed { error, head: seen })
    }

    /// One request to one target, behind all checks.
    pub(crate) async fn hop(
        &self,
        rules: &Rules,
        target: &Target,
        outgoing: &Outgoing,
        tls: &TlsConnector,
        seen: &mut Option<Head>,
    ) -> Result<Answer, HttpError> {
        rules.check(target, &self.settings)?;
        let stream = self.connector.connect(&self.settings, target, tls).await?;
        exchange(stream, target, outgoing, seen).await
    }
}

impl Head {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        // A value that is not UTF-8 is left out: with replacement characters in it, an echoed
        // secret could no longer be scrubbed (I1).
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        Self { status: status.as_u16(), headers: headers.iter().filter_map(text).collect() }
    }
}

/// The response of the last hop.
pub(crate) fn finish(answer: Answer, target: Target, redirects: usize) -> Result<Response, HttpError> {
    let mut headers = answer.headers;
    let codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let body = match decode(codings, &answer.body, HTTP_RESPONSE_BYTES_MAX) {
        Ok(None) => answer.body,
        Ok(Some(decoded)) => {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
            decoded
        }
        Err(CodingError::Invalid) => return Err(HttpError::ResponseInvalid),
        Err(CodingError::TooLarge) => return Err(HttpError::ResponseTooLarge),
    };
    Ok(Response { head: Head::of(answer.status, &headers), body, url: target.into_text(), redirects })
}
