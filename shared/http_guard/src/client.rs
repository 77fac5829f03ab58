//! The client: checks, hops and the response.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};

use crate::allowed_hosts::Rules;
use crate::connect::Connector;
use crate::decode::decode;
use crate::exchange::{Answer, exchange};
use crate::request::Outgoing;
use crate::settings::{GuardSettings, TIMEOUT_MAX};
use crate::target::Target;
use crate::{HttpError, Network, Request, Response, SystemNetwork};

/// The guarded client. Made once, in `main`; it keeps no connection.
pub struct GuardedClient {
    settings: GuardSettings,
    connector: Connector,
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
    /// [`HttpError`] when there is no whole response; [`HttpError::is_retryable`] says whether
    /// another attempt may help. After [`HttpError::Timeout`], [`HttpError::ConnectionLost`] or an
    /// error about a response, the target may have acted on the request all the same.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let limit = request.timeout.min(TIMEOUT_MAX);
        tokio::time::timeout(limit, self.follow(request)).await.unwrap_or(Err(HttpError::Timeout))
    }

    /// One request to one target, behind all checks.
    pub(crate) async fn hop(
        &self,
        rules: &Rules,
        target: &Target,
        outgoing: &Outgoing,
    ) -> Result<Answer, HttpError> {
        rules.check(target, &self.settings)?;
        let stream = self.connector.connect(&self.settings, target).await?;
        exchange(&self.settings, stream, target, outgoing).await
    }
}

/// The response of the last hop.
pub(crate) fn finish(answer: Answer, target: Target, redirects: usize) -> Result<Response, HttpError> {
    let mut headers = answer.headers;
    let body = decode(&mut headers, answer.body)?;
    // A value that is not UTF-8 is left out: with replacement characters in it, an echoed secret
    // could no longer be scrubbed (I1).
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    Ok(Response {
        status: answer.status.as_u16(),
        headers: headers.iter().filter_map(text).collect(),
        body,
        url: target.into_text(),
        redirects,
    })
}
