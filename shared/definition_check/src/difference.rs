//! The changes that a further apply of a definition makes.

use std::{collections::BTreeSet, fmt};

use domain::definition::{Definition, Edge, Node};
use serde::{Deserialize, Serialize};

/// A node that is in both definitions and differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// The node's id.
    pub id: String,
    /// The differences: names of the node's fields, such as `configuration` or `concurrency`.
    pub fields: Vec<String>,
}

/// The differences between two definitions of one workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The fields of the workflow itself that differ: `name`, `description`, `timeout`.
    pub workflow: Vec<String>,
    /// Ids of the nodes that are new.
    pub added: Vec<String>,
    /// Ids of the nodes that are gone.
    pub removed: Vec<String>,
    /// The nodes that differ.
    pub changed: Vec<NodeChange>,
    /// Edges that are new.
    pub edges_added: Vec<Edge>,
    /// Edges that are gone.
    pub edges_removed: Vec<Edge>,
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A line for each change, such as `+ node call` or `~ node call (configuration)`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        let mut lines = Vec::new();
        lines.extend(self.workflow.iter().map(|field| format!("~ {field}")));
        lines.extend(self.added.iter().map(|id| format!("+ node {id}")));
        lines.extend(self.removed.iter().map(|id| format!("- node {id}")));
        lines.extend(
            self.changed.iter().map(|change| format!("~ node {} ({})", change.id, change.fields.join(", "))),
        );
        lines.extend(self.edges_added.iter().map(|edge| format!("+ edge {}", edge_text(edge))));
        lines.extend(self.edges_removed.iter().map(|edge| format!("- edge {}", edge_text(edge))));
        f.write_str(&lines.join("\n"))
    }
}

/// Compares two definitions; without an old one everything is new. The order of nodes and edges
/// does not count.
#[must_use]
pub fn difference(old: Option<&Definition>, new: &Definition) -> Changes {
    let empty = Definition {
        name: new.name.clone(),
        description: new.description.clone(),
        timeout_seconds: new.timeout_seconds,
        outputs: new.outputs.clone(),
        nodes: Vec::new(),
        edges: Vec::new(),
        applied_edges: None,
    };
    let old = old.unwrap_or(&empty);
    let mut changes = Changes::default();
    for (field, differs) in [
        ("name", old.name != new.name),
        ("description", old.description != new.description),
        ("timeout", old.timeout_seconds != new.timeout_seconds),
        ("outputs", old.outputs != new.outputs),
    ] {
        if differs {
            changes.workflow.push(field.to_owned());
        }
    }
    for node in &new.nodes {
        match old.nodes.iter().find(|other| other.id == node.id) {
            None => changes.added.push(node.id.clone()),
            Some(other) => {
                let fields = changed_fields(other, node);
                if !fields.is_empty() {
                    changes.changed.push(NodeChange { id: node.id.clone(), fields });
                }
            }
        }
    }
    let stays = |id: &str| new.nodes.iter().any(|node| node.id == id);
    changes.removed = old.nodes.iter().map(|node| node.id.clone()).filter(|id| !stays(id)).collect();
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (old.edges.iter().collect(), new.edges.iter().collect());
    changes.edges_added = after.difference(&before).map(|edge| (*edge).clone()).collect();
    changes.edges_removed = before.difference(&after).map(|edge| (*edge).clone()).collect();
    changes
}

fn changed_fields(old: &Node, new: &Node) -> Vec<String> {
    [
        ("name", old.name != new.name),
        (new.uses.node_type().as_str(), old.uses != new.uses),
        ("configuration", old.configuration != new.configuration),
        ("run_name", old.run_name != new.run_name),
        ("keys", old.keys != new.keys),
        ("concurrency", old.concurrency != new.concurrency),
        ("rate", old.rate != new.rate),
        ("max_visits", old.max_visits != new.max_visits),
        ("retry", old.retry != new.retry),
        ("redact", old.redact != new.redact),
        ("position", old.position != new.position),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(field, _)| field.to_owned())
    .collect()
}

fn edge_text(edge: &Edge) -> String {
    format!("{} -[{}]-> {}", edge.from, edge.channel, edge.to)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn definition(nodes: &Value, edges: &Value) -> Definition {
        serde_json::from_value(json!({ "name": "w", "nodes": nodes, "edges": edges })).unwrap()
    }

    #[test]
    fn a_first_definition_is_all_new() {
        let new = definition(
            &json!([{ "id": "a", "name": "A", "trigger": "start" }, { "id": "b", "name": "B", "component": "noop" }]),
            &json!([{ "from": "a", "to": "b" }]),
        );
        let changes = difference(None, &new);
        assert_eq!(changes.to_string(), "+ node a\n+ node b\n+ edge a -[default]-> b");
        assert!(difference(Some(&new), &new).is_empty());
        assert_eq!(difference(Some(&new), &new).to_string(), "nothing changes");
    }

    #[test]
    fn only_what_differs_is_named() {
        let old = definition(
            &json!([
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "b", "name": "B", "component": "http", "configuration": { "url": "x" }, "keys": { "k": "v" } },
                { "id": "c", "name": "C", "component": "http", "concurrency": 2 },
            ]),
            &json!([{ "from": "a", "to": "b" }, { "from": "b", "channel": "success", "to": "c" }]),
        );
        let new = definition(
            &json!([
                { "id": "b", "name": "B2", "component": "http", "configuration": { "url": "y" }, "keys": { "k": "v" } },
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "d", "name": "D", "component": "if", "configuration": { "expression": "true" } },
            ]),
            &json!([{ "from": "a", "to": "b" }, { "from": "b", "channel": "failure", "to": "d" }]),
        );
        assert_eq!(
            difference(Some(&old), &new).to_string(),
            "+ node d\n- node c\n~ node b (name, configuration)\n+ edge b -[failure]-> d\n- edge b -[success]-> c"
        );
    }

    #[test]
    fn a_node_that_becomes_another_component_says_so() {
        let old = definition(&json!([{ "id": "a", "name": "A", "component": "noop" }]), &json!([]));
        let mut new = definition(&json!([{ "id": "a", "name": "A", "component": "filter" }]), &json!([]));
        new.description = "text".into();
        new.timeout_seconds = Some(60);
        let changes = difference(Some(&old), &new);
        assert_eq!(changes.workflow, ["description", "timeout"]);
        assert_eq!(changes.changed, [NodeChange { id: "a".into(), fields: vec!["component".into()] }]);
    }
}
