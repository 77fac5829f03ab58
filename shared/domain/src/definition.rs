//! A workflow as its author wrote it and as `workflows.nodes` and `workflows.edges` keep it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::retry::RetryPolicy;

/// The channel of an edge that names none.
pub const DEFAULT_CHANNEL: &str = "default";

/// The channel of a failure that the channel `failure` does not take. Every component has it. An
/// event is emitted on it only if an edge follows it.
pub const ERROR_CHANNEL: &str = "error";

/// A workflow's definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Unique in the organization among live workflows.
    pub name: String,
    /// The purpose of the workflow, in its author's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The longest time of a run, seconds. None: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// The outputs of a run that another calls: any structure of templates by its name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    /// The nodes, in the author's order.
    pub nodes: Vec<Node>,
    /// The edges, in the author's order. Those of a blueprint's channels lead from its inner nodes.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// The edges as the author wrote them, where a blueprint made others of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_edges: Option<Vec<Edge>>,
}

impl Definition {
    /// The definition as its author wrote it: without the nodes and edges of blueprints.
    #[must_use]
    pub fn authored(&self) -> Self {
        let outer = self.nodes.iter().filter(|node| node.parent.is_none());
        let nodes: Vec<Node> = outer.map(|node| Node { defaults: Map::new(), ..node.clone() }).collect();
        // An API of before leaves the edges of a blueprint that is gone.
        let applied_edges = self.applied_edges.as_ref().filter(|_| nodes.len() < self.nodes.len());
        let edges = applied_edges.unwrap_or(&self.edges).clone();
        Self { nodes, edges, applied_edges: None, ..self.clone() }
    }
}

/// The type of a node: `workflow_nodes.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeType {
    /// Turns the outside world into root events.
    Trigger,
    /// Does a step of work.
    Component,
    /// Stands for a sub-graph.
    Blueprint,
}

impl NodeType {
    /// The word in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Component => "component",
            Self::Blueprint => "blueprint",
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable; the tables call it `node_id`.
    pub id: String,
    /// The name that people see and expressions use.
    pub name: String,
    /// The node's trigger, component or blueprint.
    #[serde(flatten)]
    pub uses: Uses,
    /// The template as the author wrote it, `{{ }}` unresolved.
    #[serde(default = "empty_object")]
    pub configuration: Value,
    /// Template of the run's name; triggers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// Templates of the keys by which executions are found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// The limit of executions that are active at once. None: the default of the component's kind
    /// (1 for an effect, no limit for a pure or held one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The calls that it may make in a second. None: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<CallRate>,
    /// The visits of a run: the executions that the node may have in one. None: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_visits: Option<u32>,
    /// The policy for further attempts. None: one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// JSON pointers of the output that are blanked before it is stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<String>,
    /// The place at which the console draws the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The id of the blueprint's node that this one was expanded from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The inputs that a blueprint's node has where its author gives none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub defaults: Map<String, Value>,
}

impl Node {
    /// The template of the concurrency key: the limit holds for each of its values by itself. None:
    /// the limit holds for the node as a whole.
    #[must_use]
    pub fn concurrency_key(&self) -> Option<&str> {
        match &self.concurrency {
            Some(Concurrency::Keyed(keyed)) => Some(&keyed.key),
            _ => None,
        }
    }
}

/// A node's trigger, component or blueprint; in YAML `trigger: webhook` or `component: http`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// The name of a trigger.
    Trigger(String),
    /// The name of a component.
    Component(String),
    /// The name and version of a blueprint: `deploy@2`.
    Blueprint(String),
}

impl Uses {
    /// The type of the node.
    #[must_use]
    pub fn node_type(&self) -> NodeType {
        match self {
            Self::Trigger(_) => NodeType::Trigger,
            Self::Component(_) => NodeType::Component,
            Self::Blueprint(_) => NodeType::Blueprint,
        }
    }

    /// The name of the trigger, component or blueprint.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Trigger(name) | Self::Component(name) | Self::Blueprint(name) => name,
        }
    }
}

/// The limit of a node's executions that are active at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Concurrency {
    /// At most so many, at least 1.
    Limited(u32),
    /// The word `unlimited`.
    Unlimited(Unlimited),
    /// A limit for each value of a key.
    Keyed(KeyedConcurrency),
}

/// A limit for each value of a key: `{ max: 2, key: '{{ root().data.repo }}' }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedConcurrency {
    /// At most so many, at least 1.
    pub max: u32,
    /// The key's template.
    pub key: String,
}

/// The word `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unlimited {
    /// `unlimited`
    #[serde(rename = "unlimited")]
    Unlimited,
}

/// The attempts of a node that may begin in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRate {
    /// Attempts a second, above 0; 0.5 is one in two seconds.
    pub per_second: f64,
    /// Attempts at once after a pause, at least 1.
    #[serde(default = "one")]
    pub burst: u32,
}

fn one() -> u32 {
    1
}

/// The place at which the console draws a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The id of the node that the edge leaves.
    pub from: String,
    /// The channel on which the edge leaves that node.
    #[serde(default = "default_channel")]
    pub channel: String,
    /// The id of the node that the edge enters.
    pub to: String,
}

fn default_channel() -> String {
    DEFAULT_CHANNEL.to_owned()
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_a_blueprint_that_is_gone_are_no_authors() {
        let edge =
            |from: &str| Edge { from: from.to_owned(), channel: default_channel(), to: "b".to_owned() };
        let definition = |nodes: &str| -> Definition {
            let mut definition: Definition =
                serde_json::from_str(&format!(r#"{{"name":"n","nodes":[{nodes}]}}"#)).unwrap();
            definition.edges = vec![edge("p/x")];
            definition.applied_edges = Some(vec![edge("p")]);
            definition
        };
        let outer = r#"{"id":"p","name":"P","blueprint":"x@1","defaults":{"i":1}}"#;
        let inner = r#"{"id":"p/x","name":"P / X","component":"noop","parent":"p"}"#;
        let authored = definition(&format!("{outer},{inner}")).authored();
        assert_eq!((authored.edges, authored.nodes.len()), (vec![edge("p")], 1));
        assert!(authored.nodes[0].defaults.is_empty());
        assert_eq!(definition(outer).authored().edges, [edge("p/x")]);
    }

    #[test]
    fn a_definition_reads_back_from_what_is_stored() {
        let text = r#"{"name":"n","nodes":[{"id":"a","name":"A","trigger":"start","configuration":{}},
            {"id":"b","name":"B","component":"http","configuration":{"url":"x"},"keys":{"k":"v"},"concurrency":"unlimited"},
            {"id":"c","name":"C","component":"http","concurrency":3},
            {"id":"d","name":"D","component":"http","concurrency":{"max":2,"key":"{{ root().data.x }}"}}],
            "edges":[{"from":"a","to":"b"},{"from":"b","channel":"success","to":"c"}]}"#;
        let definition: Definition = serde_json::from_str(text).unwrap();
        assert_eq!(definition.edges[0].channel, DEFAULT_CHANNEL);
        assert_eq!(definition.nodes[0].uses, Uses::Trigger("start".into()));
        assert_eq!(definition.nodes[1].concurrency, Some(Concurrency::Unlimited(Unlimited::Unlimited)));
        assert_eq!(definition.nodes[2].concurrency, Some(Concurrency::Limited(3)));
        assert_eq!(definition.nodes[3].concurrency_key(), Some("{{ root().data.x }}"));
        let again: Definition = serde_json::from_value(serde_json::to_value(&definition).unwrap()).unwrap();
        assert_eq!(again, definition);
    }
}
