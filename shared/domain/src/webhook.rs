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
