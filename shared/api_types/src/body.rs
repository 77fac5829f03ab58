//! Bodies of requests. A field of a closed set is read as text: the API's own sentence says which
//! words there are.

#[cfg(feature = "openapi")]
use domain::access::{Grant, Role};
use domain::limits::WEBHOOK_KEY_KEPT_SECONDS_DEFAULT;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use serde_json::Value;

/// The body that makes a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its purpose; no other live token of the organization has the name.
    pub name: String,
    /// Its role; no more than its maker's.
    #[cfg_attr(feature = "openapi", schemars(with = "Role"))]
    pub role: String,
    /// The rights that its role does not settle alone. Not given: what is usual for the role, as far as its
    /// maker has it.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Grant>>"))]
    pub grants: Option<Vec<String>>,
    /// Seconds for which it is accepted; not given: until it is revoked.
    pub expires_in_seconds: Option<u64>,
}

/// The body that invites a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// The e-mail address by which the person is known.
    pub email: String,
    /// Its role; no more than that of who invites.
    #[cfg_attr(feature = "openapi", schemars(with = "Role"))]
    pub role: String,
    /// As of a token.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Grant>>"))]
    pub grants: Option<Vec<String>>,
    /// Seconds for which its token is accepted; not given: until it is removed.
    pub expires_in_seconds: Option<u64>,
}

/// The body that changes a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// Its role.
    #[cfg_attr(feature = "openapi", schemars(with = "Role"))]
    pub role: String,
    /// As of a token.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Grant>>"))]
    pub grants: Option<Vec<String>>,
}

/// The body of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateWebhook {
    /// Seconds for which the present key or token is accepted too; 0: it fails from now on. A day
    /// if not given.
    #[serde(default = "kept_by_default")]
    pub keep_previous_seconds: u32,
}

/// Seconds for which a key or token is accepted beside the next one, where the caller says nothing.
#[must_use]
pub fn kept_by_default() -> u32 {
    WEBHOOK_KEY_KEPT_SECONDS_DEFAULT
}

/// The body that starts a run.
// The API reads it with the care that a webhook's body gets.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(crate) struct StartRun {
    /// The `start` trigger; needed where there are several.
    node_id: Option<String>,
    /// The data of the root event.
    #[serde(default)]
    data: Value,
}

/// The body that sets a webhook's key.
// The API reads it into a type that wipes itself.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(crate) struct SetWebhookKey {
    /// The signing key or token, 16 to 1,024 bytes.
    key: String,
    /// As in a rotation.
    #[serde(default = "kept_by_default")]
    keep_previous_seconds: u32,
}

/// The body that sets one key of a secret.
// The API reads it into a type that wipes itself.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(crate) struct SecretValue {
    /// The value.
    value: String,
    /// The hosts that it may be sent to; `[]`: any. Not given: the present ones stay.
    hosts: Option<Vec<String>>,
    /// The places in a request where it may stand; `[]`: anywhere. Not given: the present ones
    /// stay.
    r#in: Option<Vec<String>>,
    /// Whether a value that is too short to be scrubbed is accepted all the same.
    #[serde(default)]
    allow_short: bool,
}

/// The body that replaces all keys of a secret.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(crate) struct SecretValues {
    /// Values by their keys.
    values: std::collections::BTreeMap<String, SecretValue>,
}
