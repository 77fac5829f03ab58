//! Actors, and the lines of what they did.

use domain::access::{Action, Grant, Role};
use domain::actor::ActorKind;
use domain::ids::{AuditLineId, OrganizationId, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The person, program or function that did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Actor {
    /// Its kind.
    pub kind: ActorKind,
    /// The id of the token or member; null for functions, for the operator, and in what was
    /// recorded before tokens had their id there.
    pub id: Option<TokenId>,
    /// Its name.
    pub name: String,
}

impl From<domain::actor::Actor> for Actor {
    fn from(actor: domain::actor::Actor) -> Self {
        Self { kind: actor.kind, id: actor.id, name: actor.name }
    }
}

/// The caller, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Me {
    /// The actor that it is.
    pub actor: Actor,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The organization's name.
    pub organization_name: String,
    /// Its role.
    pub role: Role,
    /// The rights that its role does not settle alone.
    pub grants: Vec<Grant>,
    /// All that it may do.
    pub actions: Vec<Action>,
    /// The time from which its token is refused; null: never.
    pub expires_at: Option<Timestamp>,
}

/// A line of the audit log: a write, or the reads of one actor and object in an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditLine {
    /// Its id.
    pub id: AuditLineId,
    /// The time.
    pub created_at: Timestamp,
    /// The actor that did it.
    pub actor: Actor,
    /// The action, such as `workflows:write`; `data:read` for reads.
    pub action: String,
    /// The kind of what it was done to, such as `workflow`.
    pub object_kind: String,
    /// Its id, or its name where it has none.
    pub object_id: String,
    /// Its name at that time.
    pub object_name: Option<String>,
    /// The address that the request came from.
    pub source_ip: Option<String>,
}
