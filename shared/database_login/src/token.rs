//! Login with a token of IAM instead of a password.

use std::time::Duration;

use aws_client::Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use store::{AskPassword, NoPassword};
use zeroize::Zeroizing;

use crate::system_time;

/// The time for which a token can be used to log in; a connection may outlast it.
const LIFETIME: Duration = Duration::from_secs(900);
const SERVICE: &str = "rds-db";
const ADVICE: &str = "is the role there (run migrate), does it have rds_iam, may the function's IAM role do rds-db:connect as it, and is the clock right?";

/// Makes a token for each connection, without a network call.
pub struct IamToken {
    identity: Identity,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl IamToken {
    /// Tokens of `identity`, by the clock `now`.
    #[must_use]
    pub fn new(identity: Identity, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { identity, now: Box::new(now) }
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
        // A role has no character that a query would have to encode (migrations/V2__roles.sql;
        // MigrateDatabaseUser in template.yaml).
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
        let token = self.token(role, host, port, (self.now)());
        async move { token.ok_or_else(|| NoPassword("the token can't be signed".into())) }.boxed()
    }

    /// Does nothing: each connection has a token of its own, so none is kept.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The token of botocore 1.43.106 (`generate_db_auth_token`) for the same identity, role and
    /// time.
    const OF_BOTOCORE: &str = "db.example.eu-central-1.rds.amazonaws.com:5432/?Action=connect&DBUser=sealflow_builder\
        &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261128%2Feu-central-1%2Frds-db%2Faws4_request\
        &X-Amz-Date=20261128T040000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
        &X-Amz-Security-Token=session%2Ftoken%2Bwith%3Dsigns\
        &X-Amz-Signature=de6d1b2cf3500c8d60459639d15a15159b1734ccbe754e26c959a13e15d6cc59";

    fn token_at(now: &str) -> String {
        let credentials = aws_credential_types::Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("session/token+with=signs".into()),
            None,
            "test",
        );
        let identity = Identity { region: "eu-central-1".into(), credentials };
        let now: Timestamp = now.parse().unwrap();
        let token = IamToken::new(identity, move || now);
        let host = "db.example.eu-central-1.rds.amazonaws.com";
        token.token("sealflow_builder", host, 5432, now).unwrap().to_string()
    }

    #[test]
    fn a_token_is_the_one_that_botocore_makes() {
        let parts = |token: &str| -> BTreeSet<String> {
            let (place, query) = token.split_once('?').unwrap();
            query.split('&').map(str::to_owned).chain([place.to_owned()]).collect()
        };
        let token = token_at("2026-11-28T04:00:00Z");
        assert_eq!(parts(&token), parts(OF_BOTOCORE));
        assert_ne!(token_at("2026-11-28T04:16:00Z"), token);
    }
}
