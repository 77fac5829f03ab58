//! How a webhook's sender proves itself.

use crate::words::words;

words! {
    /// How a sender proves itself: `webhooks.authentication`.
    pub enum Authentication {
        /// HMAC-SHA256 of the raw body in a header, in hex after `sha256=`.
        Signature = "signature",
        /// `Authorization: Bearer …`.
        Bearer = "bearer",
        /// The token alone in a header.
        HeaderToken = "header_token",
        /// Anybody who knows the address.
        None = "none",
    }
}

/// The kinds of credential that authentications have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A key that signs bodies; it must be had in the clear to check one.
    SigningKey,
    /// A token that is sent along; its hash is enough.
    Token,
}

impl Authentication {
    /// The kind of its credential; None: it has none.
    #[must_use]
    pub fn credential_kind(self) -> Option<CredentialKind> {
        match self {
            Self::Signature => Some(CredentialKind::SigningKey),
            Self::Bearer | Self::HeaderToken => Some(CredentialKind::Token),
            Self::None => None,
        }
    }
}
