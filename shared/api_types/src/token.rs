//! Tokens of the API.

use domain::access::{Grant, Role};
use domain::ids::TokenId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Actor, ShownOnce};

/// A token, without itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its purpose, in words; of a member the e-mail address.
    pub name: String,
    /// Its role: it may never do more than its maker.
    pub role: Role,
    /// The rights that its role does not settle alone.
    pub grants: Vec<Grant>,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// Its maker; null for an organization's first one.
    pub created_by: Option<Actor>,
    /// The time of its last use, to the minute.
    pub used_at: Option<Timestamp>,
    /// Requests that were refused because they came too fast.
    pub throttled: i64,
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
