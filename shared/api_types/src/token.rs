//! Tokens of the API.

use domain::ids::TokenId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ShownOnce;

/// A token, without itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its purpose, in words.
    pub name: String,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The token that made it; null for an organization's first one.
    pub created_by: Option<String>,
    /// The time from which it is refused; null: never.
    pub expires_at: Option<Timestamp>,
    /// The time at which it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The answer that makes a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewTokenAnswer {
    /// Its row.
    #[serde(flatten)]
    pub row: Token,
    /// The token itself: shown here and never again.
    pub token: ShownOnce,
}
