//! Blueprints, and applying them.

use std::collections::BTreeMap;

use domain::ids::WorkflowId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Actor, DefinitionProblem};

/// A version of a blueprint, without its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Blueprint {
    /// Its name, unique in the organization.
    pub name: String,
    /// Its version, from 1. What a version stands for never changes.
    pub version: i64,
    /// Its purpose, in words.
    pub description: String,
    /// The actor that applied it.
    pub created_by: Actor,
    /// The time at which it was applied.
    pub created_at: Timestamp,
}

/// A version of a blueprint with its definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlueprintDetail {
    /// The blueprint.
    #[serde(flatten)]
    pub blueprint: Blueprint,
    /// Its inputs by name; one without a default must be given.
    pub inputs: BTreeMap<String, BlueprintInput>,
    /// Its nodes, as applied.
    pub nodes: Vec<Value>,
    /// Its edges, as applied.
    pub edges: Vec<Value>,
    /// The channels on which events leave it.
    pub outputs: Vec<BlueprintOutput>,
    /// All versions that are there, the newest first.
    pub versions: Vec<i64>,
    /// The live workflows and blueprints that use one of its versions.
    pub used_by: Vec<BlueprintUser>,
}

/// An input of a blueprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlueprintInput {
    /// Its purpose, in words.
    pub description: String,
    /// Whether a node must give it.
    pub required: bool,
    /// Its value where a node gives none; left out where it must be given, and for callers that may
    /// not see what runs carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// An output of a blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlueprintOutput {
    /// The channel of the blueprint.
    pub channel: String,
    /// The node inside that emits.
    pub node: String,
    /// The channel of that node.
    pub from_channel: String,
}

/// A workflow or blueprint that uses a blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlueprintUser {
    /// The workflow; null: it is a blueprint.
    pub workflow_id: Option<WorkflowId>,
    /// The workflow's name, or the blueprint's name and version.
    pub name: String,
    /// The version that it uses.
    pub version: i64,
}

/// The answer of an apply of a blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AppliedBlueprint {
    /// The newest version; null when a check finds that there is none yet.
    pub blueprint: Option<Blueprint>,
    /// Whether a version was made.
    pub applied: bool,
    /// Warnings about the definition.
    pub warnings: Vec<DefinitionProblem>,
}

/// The versions that a deletion ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeletedBlueprint {
    /// The versions.
    pub versions: Vec<i64>,
}

/// The answer of an upgrade: workflows that used another version, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlueprintUpgrade {
    /// The version that they are to use.
    pub version: i64,
    /// The workflows.
    pub workflows: Vec<UpgradedWorkflow>,
    /// The blueprints that use another version: apply them anew, and upgrade their users.
    pub blueprints: Vec<String>,
    /// The cursor with which the upgrade goes on; null: there are no more workflows.
    pub next_cursor: Option<String>,
}

/// A workflow of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpgradedWorkflow {
    /// Its id.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Whether it was applied with the version.
    pub applied: bool,
    /// The reason for which it was not; null: it was, or this was a check only.
    pub refused: Option<String>,
    /// Errors of its definition with the version.
    pub errors: Vec<DefinitionProblem>,
}
