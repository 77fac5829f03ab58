//! The authentication of a webhook's senders.

use crate::words::words;

words! {
    /// The proof that a sender must give: `webhooks.authentication`.
    pub enum Authentication {
        /// HMAC-SHA256 of the raw body in a header, in hex after `sha256=`.
        Signature = "signature",
        /// `Authorization: Bearer …`.
        Bearer = "bearer",
        /// The token alone in a header.
        HeaderToken = "header_token",
        /// No proof: anybody who knows the address may send.
        None = "none",
    }
}

/// The kinds of credential that authentications have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A key that signs bodies. A check needs the key in the clear.
    SigningKey,
    /// A token that the sender sends. Its hash is enough for a check.
    Token,
}

impl Authentication {
    /// The kind of credential; None: no credential.
    #[must_use]
    pub fn credential_kind(self) -> Option<CredentialKind> {
        match self {
            Self::Signature => Some(CredentialKind::SigningKey),
            Self::Bearer | Self::HeaderToken => Some(CredentialKind::Token),
            Self::None => None,
        }
    }
}
