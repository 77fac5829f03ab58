//! A token of IAM in a password's place.

use std::time::Duration;

use aws_client::Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use process::Clock;
use store::{AskPassword, NoPassword};
use zeroize::Zeroizing;

use crate::system_time;

/// How long a token may be used to log in; a connection outlasts it.
const LIFETIME: Duration = Duration::from_secs(900);
const SERVICE: &str = "rds-db";
const ADVICE: &str = "does the role have rds_iam, may the function's IAM role do rds-db:connect as it, and is the clock right?";

/// Makes a token for each connection; it costs no network.
pub struct IamToken {
    identity: Identity,
    clock: Clock,
}

impl IamToken {
    /// Tokens of `identity`, by `clock`.
    #[must_use]
    pub fn new(identity: Identity, clock: Clock) -> Self {
        Self { identity, clock }
    }

    /// A presigned request, whose URL without its scheme is the password.
    ///
    /// Source: Amazon RDS User Guide, "Connecting to your DB instance using IAM authentication".
    fn token(&self, role: &str, host: &str, port: u16, now: Timestamp) -> Option<Zeroizing<String>> {
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(LIFETIME);
        settings.signature_location = SignatureLocation::QueryParams;
        let credentials = self.identity.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(&self.identity.region)
            .name(SERVICE)
            .time(system_time(now))
            .settings(settings)
            .build()
            .ok()?;
        // A role has no character that a query would have to encode (migrations/V2__roles.sql; MigrateDatabaseUser in template.yaml).
        let url = Zeroizing::new(format!("https://{host}:{port}/?Action=connect&DBUser={role}"));
        let request =
            SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[])).ok()?;
        let (instructions, _) = sign(request, &parameters.into()).ok()?.into_parts();
        let mut token = Zeroizing::new(url.strip_prefix("https://")?.to_owned());
        for (name, value) in instructions.params() {
            token.push('&');
            token.push_str(name);
            token.push('=');
            encode(value, &mut token);
        }
        Some(token)
    }
}

impl AskPassword for IamToken {
    fn password<'a>(
        &'a self,
        role: &'a str,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Zeroizing<String>, NoPassword>> {
        let token = self.token(role, host, port, self.clock.now());
        async move { token.ok_or_else(|| NoPassword("the token can't be signed".into())) }.boxed()
    }

    /// Each connection has a token of its own.
    fn refused(&self) {}

    fn advice(&self) -> &'static str {
        ADVICE
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters, as the signature expects.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(char::from(byte))
            }
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}
