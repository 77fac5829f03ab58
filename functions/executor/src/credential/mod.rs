//! Short-lived credentials: what a request is signed with, or the token that an issuer gives for a
//! secret. They are made here, for one attempt, and stored nowhere; a token is kept in memory for
//! minutes ([`cache`]).
//!
//! The keys are the author's. Nothing here reads the function's own AWS credentials.

mod cache;
mod issuer;
mod jwt;
mod signature;
mod sigv4;

pub use cache::{TokenCache, TokenKey};
pub use issuer::{Issued, Issuer, too_late};
pub use signature::{LateField, SentRequest};
pub use sigv4::{body_sha256, sign as sign_aws};

use components::credential::{AuthMethod, Credential, Exchange, Jwt, JwtAlgorithm};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The issuer whose token a credential asks for; None where none is asked.
pub fn issuer_url(credential: &Credential) -> Option<&str> {
    match credential {
        Credential::ClientCredentials(client) => Some(&client.token_url),
        Credential::Jwt(Jwt { exchange: Exchange::Grant(url) | Exchange::Installation(url), .. }) => {
            Some(url)
        }
        Credential::Jwt(_) | Credential::AwsSigV4(_) | Credential::Signature { .. } => None,
    }
}

/// A JSON Web Token that is sent itself. None where the key is not one of its algorithm.
pub fn sign_jwt(jwt: &Jwt, now: Timestamp) -> Option<Zeroizing<String>> {
    jwt::sign(jwt, now)
}

/// Everything that tells one token of an issuer from another, in a fixed order.
pub fn parameters(credential: &Credential) -> Vec<Option<&str>> {
    match credential {
        Credential::ClientCredentials(client) => vec![
            Some("client_credentials"),
            Some(&client.token_url),
            Some(&client.client_id),
            Some(&client.client_secret),
            Some(match client.auth_method {
                AuthMethod::Basic => "basic",
                AuthMethod::Post => "post",
            }),
            client.scope.as_deref(),
            client.audience.as_deref(),
        ],
        Credential::Jwt(jwt) => vec![
            Some("jwt"),
            Some(match jwt.algorithm {
                JwtAlgorithm::Rs256 => "RS256",
                JwtAlgorithm::Es256 => "ES256",
            }),
            Some(&jwt.key),
            Some(&jwt.issuer),
            jwt.key_id.as_deref(),
            jwt.subject.as_deref(),
            jwt.audience.as_deref(),
            jwt.scope.as_deref(),
            issuer_url(credential),
        ],
        Credential::AwsSigV4(_) | Credential::Signature { .. } => Vec::new(),
    }
}
