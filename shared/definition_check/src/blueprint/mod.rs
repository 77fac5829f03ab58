//! Blueprints: definitions that stand for a sub-graph in other definitions.
//!
//! An apply expands the node of a blueprint into ordinary nodes and edges, so nothing that routes or
//! runs knows blueprints. The node itself stays as the entry: it resolves the inputs and passes its
//! event to the first nodes inside.

mod expand;
mod library;

use std::collections::{BTreeMap, HashSet};

use components::Levels;
use domain::definition::{DEFAULT_CHANNEL, Definition, Edge, Node};
use domain::json::compact_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::check::NodeSecretRef;

pub(crate) use expand::{exits, expand};
pub use library::{Library, Missing};

/// A blueprint's name and version, as a node names them: `deploy@2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlueprintRef {
    /// The name.
    pub name: String,
    /// The version, from 1.
    pub version: i64,
}

impl BlueprintRef {
    /// Reads `deploy@2`; None where the text has no version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.split_once('@')?;
        let is_number = !version.starts_with(['0', '+', '-']);
        let version = version.parse().ok().filter(|version| *version > 0 && is_number)?;
        Some(Self { name: name.to_owned(), version })
    }
}

impl std::fmt::Display for BlueprintRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A blueprint's definition, as it is stored: the blueprints inside it are expanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// The name.
    pub name: String,
    /// The purpose of the blueprint, in its author's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The inputs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Input>,
    /// The nodes, in the author's order.
    pub nodes: Vec<Node>,
    /// The edges.
    pub edges: Vec<Edge>,
    /// The edges as the author wrote them, where a blueprint made others of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_edges: Option<Vec<Edge>>,
    /// The outputs as the author wrote them.
    pub outputs: Vec<Output>,
    /// The outputs, each at the node that emits: never the node of a blueprint, but for `error`.
    pub exits: Vec<Output>,
    /// The references of its nodes to secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_refs: Vec<NodeSecretRef>,
}

/// An input of a blueprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its purpose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its value where a node gives none; None: each node must give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// An output: what an inner node emits on one of its channels leaves the blueprint on `channel`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// The channel of the blueprint.
    pub channel: String,
    /// The id of the inner node.
    pub node: String,
    /// The channel of that node.
    pub from_channel: String,
}

impl Blueprint {
    /// The blueprint as its author wrote it, as a definition and its outputs.
    #[must_use]
    pub fn authored(&self) -> Self {
        let Definition { nodes, edges, .. } = self.as_definition().authored();
        let (exits, secret_refs) = (Vec::new(), Vec::new());
        Self { nodes, edges, applied_edges: None, exits, secret_refs, ..self.clone() }
    }

    /// The size of what it stands for.
    fn size(&self) -> Size {
        let bytes = |value: &Value| compact_bytes(value);
        let nodes: usize = self.nodes.iter().map(|node| bytes(&json!(node))).sum();
        let compiled = definition::compile(&self.as_definition());
        let templates = compiled.nodes().filter_map(|(_, node)| Some(node.ok()?.templates.len())).sum();
        Size {
            templates,
            nodes: self.nodes.len(),
            edges: self.edges.len() + self.entries().len(),
            bytes: nodes + self.edges.iter().map(|edge| bytes(&json!(edge))).sum::<usize>(),
        }
    }

    /// Its nodes and edges as a definition.
    #[must_use]
    pub fn as_definition(&self) -> Definition {
        Definition {
            name: self.name.clone(),
            description: self.description.clone(),
            timeout_seconds: None,
            outputs: serde_json::Map::new(),
            nodes: self.nodes.clone(),
            edges: self.edges.clone(),
            applied_edges: self.applied_edges.clone(),
        }
    }

    /// The channels on which edges may leave its node, in the order of the outputs.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        let mut channels: Vec<String> = Vec::new();
        for output in &self.outputs {
            if !channels.contains(&output.channel) {
                channels.push(output.channel.clone());
            }
        }
        channels
    }

    /// The ids of the nodes at which it begins: those that no edge enters but what returns to them.
    pub(crate) fn entries(&self) -> Vec<String> {
        let authored = self.as_definition().authored();
        let levels = Levels::of(&authored);
        let entered: HashSet<&str> = authored
            .edges
            .iter()
            .filter(|edge| !levels.is_return(&edge.from, &edge.to))
            .map(|edge| edge.to.as_str())
            .collect();
        let ids = authored.nodes.iter().map(|node| node.id.as_str());
        ids.filter(|id| !entered.contains(id)).map(str::to_owned).collect()
    }
}

/// A size of definitions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub nodes: usize,
    pub edges: usize,
    pub bytes: usize,
    pub templates: usize,
}

/// The edge by which the node of a blueprint passes its event on.
fn entry_edge(node_id: &str, entry: &str) -> Edge {
    Edge { from: node_id.to_owned(), channel: DEFAULT_CHANNEL.to_owned(), to: inner_id(node_id, entry) }
}

fn inner_id(node_id: &str, inner: &str) -> String {
    format!("{node_id}/{inner}")
}

#[cfg(test)]
mod tests;
