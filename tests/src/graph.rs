//! Nodes and edges of the workflows that tests apply.

use serde_json::{Value, json};

/// A node with a component; its name is its id in capitals.
#[must_use]
pub fn node(id: &str, component: &str, configuration: Value) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": component, "configuration": configuration })
}

/// An edge.
#[must_use]
pub fn edge(from: &str, channel: &str, to: &str) -> Value {
    json!({ "from": from, "channel": channel, "to": to })
}
