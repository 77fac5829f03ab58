//! The access to AWS: region, credentials, endpoint, HTTP client, time-outs and retries of an SDK
//! client.
//!
//! `aws-config` would bring a chain of credential sources that a Lambda function never uses; here
//! the environment is the only one. This crate is also the one place that chooses the TLS provider
//! of the SDK's client, ring.

mod https;
mod parameter;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider as TlsProvider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

pub use https::{HttpsError, send};
pub use parameter::{ParameterError, read_parameter};

/// Time to connect to AWS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time of one attempt, from sending to the last byte of the answer.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time of one operation with all its attempts and the waits between them.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts of one operation, the first included.
pub const ATTEMPTS_MAX: u32 = 3;
/// The time for which an idle connection is kept. A sandbox may be frozen for longer. A connection
/// that the peer closed meanwhile fails at once, and the operation is attempted again.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The AWS services that sealflow uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The vault: `vault_seal` and `vault_open`.
    Kms,
    /// The queues: `queue`.
    Sqs,
}

impl Service {
    /// The variable that overrides this service's endpoint alone.
    fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Kms => "AWS_ENDPOINT_URL_KMS",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
        }
    }
}

/// The error of an incomplete environment: the function can't start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A variable is unset or empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
}

/// The function's identity towards AWS, and its region.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// The credentials of the function's role; they outlast the instance.
    pub credentials: Credentials,
}

/// The identity that the environment names: `AWS_REGION` (else `AWS_DEFAULT_REGION`),
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
///
/// # Errors
/// [`Error::Missing`] when region or credentials are not set.
pub fn identity() -> Result<Identity, Error> {
    identity_from(&|name| std::env::var(name).ok())
}

/// [`identity`] with the environment passed in.
///
/// # Errors
/// As [`identity`].
pub fn identity_from(variable: &impl Fn(&'static str) -> Option<String>) -> Result<Identity, Error> {
    let find = |name: &'static str| variable(name).filter(|value| !value.is_empty());
    let require = |name: &'static str| find(name).ok_or(Error::Missing(name));
    let region =
        find("AWS_REGION").or_else(|| find("AWS_DEFAULT_REGION")).ok_or(Error::Missing("AWS_REGION"))?;
    let credentials = Credentials::new(
        require("AWS_ACCESS_KEY_ID")?,
        require("AWS_SECRET_ACCESS_KEY")?,
        find("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    Ok(Identity { region, credentials })
}

/// The configuration of one service's client, from the environment.
///
/// Reads `AWS_REGION` (else `AWS_DEFAULT_REGION`), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`, and for stand-ins `AWS_ENDPOINT_URL_KMS` or `AWS_ENDPOINT_URL_SQS`, else
/// `AWS_ENDPOINT_URL`. No proxy variable is read.
///
/// # Errors
/// [`Error::Missing`] when region or credentials are not set. No other error is possible before the
/// first call.
pub fn config(service: Service) -> Result<SdkConfig, Error> {
    config_from(service, |name| std::env::var(name).ok())
}

/// [`config`] with the environment passed in: `variable` returns the value of the named variable.
///
/// # Errors
/// As [`config`].
pub fn config_from(
    service: Service,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<SdkConfig, Error> {
    let find = |name: &'static str| variable(name).filter(|value| !value.is_empty());
    let Identity { region, credentials } = identity_from(&variable)?;
    let endpoint = find(service.endpoint_variable()).or_else(|| find("AWS_ENDPOINT_URL"));
    let http_client = HttpClientBuilder::new()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tls_provider(TlsProvider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut builder = SdkConfig::builder()
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
    builder.set_endpoint_url(endpoint);
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: [(&str, &str); 3] =
        [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];

    fn configure(service: Service, more: &[(&str, &str)]) -> Result<SdkConfig, Error> {
        let all: Vec<_> = more.iter().chain(&BARE).copied().collect();
        config_from(service, |name| {
            all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_own_endpoint_comes_before_the_general_one() {
        let check = |service, more: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(configure(service, more).unwrap().endpoint_url(), expected, "{service:?} {more:?}");
        };
        let general = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let sqs = ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:2");
        check(Service::Kms, &[], None);
        check(Service::Kms, &[general, sqs], Some(general.1));
        check(Service::Sqs, &[general, sqs], Some(sqs.1));
        check(Service::Sqs, &[("AWS_ENDPOINT_URL_SQS", ""), general], Some(general.1));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let check = |name: &'static str| {
            let result = configure(Service::Kms, &[(name, "")]);
            assert_eq!(result.err(), Some(Error::Missing(name)));
        };
        check("AWS_REGION");
        check("AWS_ACCESS_KEY_ID");
        check("AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn every_wait_has_a_limit() {
        let config = configure(Service::Kms, &[]).unwrap();
        let timeouts = config.timeout_config().unwrap();
        assert_eq!(timeouts.connect_timeout(), Some(CONNECT_TIMEOUT));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(ATTEMPT_TIMEOUT));
        assert_eq!(timeouts.operation_timeout(), Some(OPERATION_TIMEOUT));
        assert_eq!(config.retry_config().unwrap().max_attempts(), ATTEMPTS_MAX);
        assert!(config.sleep_impl().is_some() && config.http_client().is_some());
    }
}
