//! The caller's organization, and the function's health.

use domain::ids::OrganizationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Days for which a finished run is kept; null: for ever.
    pub retention_days: Option<i32>,
    /// The operator's maximum of these days, which counts where it is less; null: there is none.
    pub retention_days_max: Option<i32>,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
}

/// The body that changes an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeOrganization {
    /// Days for which a finished run is kept, 1 to 3,650; null: for ever, where the operator has no
    /// maximum. It must be given.
    #[serde(deserialize_with = "Option::deserialize")]
    pub retention_days: Option<i32>,
}

/// The answer of a function that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Health {
    /// `ok`.
    pub status: String,
}
