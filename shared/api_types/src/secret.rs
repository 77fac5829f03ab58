//! Secrets, without their values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Actor;

/// A secret: names, hosts, places and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Secret {
    /// Its id, a UUID.
    pub id: String,
    /// The name that expressions use.
    pub name: String,
    /// The keeper of its values: `local`, which is sealflow.
    pub provider: String,
    /// Its keys.
    pub keys: Vec<SecretKey>,
    /// The actor that made it.
    pub created_by: Actor,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time at which a value last changed.
    pub updated_at: Timestamp,
}

/// One key of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecretKey {
    /// Its name.
    pub key: String,
    /// The hosts that it may be sent to; empty: any.
    pub hosts: Vec<String>,
    /// The places in a request where it may stand; empty: anywhere.
    pub r#in: Vec<String>,
    /// Whether its value is too short to be scrubbed from outputs.
    pub short: bool,
}

/// The answer that sets values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecretAnswer {
    /// The secret as it is now.
    pub secret: Secret,
    /// Pieces of the values that could be guessed.
    pub warnings: Vec<String>,
}
