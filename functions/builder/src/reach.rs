//! How far the builder may go on from a node within one transaction, found on the definition before
//! anything is loaded.

use std::collections::BTreeSet;

use definition::{Compiled, NodeKind, NodeMentions};

/// The needs of planning from a node on.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The mentions in the templates of the node, and of all nodes that are reached through pure
    /// nodes.
    pub mentions: NodeMentions,
    /// Limited nodes that are reached and may be gone on with: those with a concurrency key are
    /// not.
    pub limited: BTreeSet<String>,
    /// Nodes that are reached and have a limit of visits, the first one too.
    pub visited: BTreeSet<String>,
}

/// Follows the edges from `node_id` through pure nodes.
#[must_use]
pub fn reach(compiled: &Compiled, node_id: &str) -> Reach {
    let (mut reach, mut seen, mut open) = (Reach::default(), BTreeSet::new(), vec![node_id]);
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(Ok(node)) = compiled.node(id) else { continue };
        add_mentions(&mut reach.mentions, &node.mentions);
        if node.node.max_visits.is_some() {
            reach.visited.insert(id.to_owned());
        }
        // A held one may have nothing to wait for, and an owner nothing to repeat: then it goes on
        // like a pure one.
        if matches!(node.kind, NodeKind::Pure | NodeKind::Held | NodeKind::Owner) {
            open.extend(compiled.edges().iter().filter(|edge| edge.from == id).map(|edge| edge.to.as_str()));
        }
        if id != node_id && node.concurrency_max.is_some() && node.node.concurrency_key().is_none() {
            reach.limited.insert(id.to_owned());
        }
    }
    reach
}

fn add_mentions(all: &mut NodeMentions, one: &NodeMentions) {
    for id in &one.node_ids {
        if !all.node_ids.contains(id) {
            all.node_ids.push(id.clone());
        }
    }
    all.all_nodes |= one.all_nodes;
    all.root |= one.root;
    all.previous_max = all.previous_max.max(one.previous_max);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_that_may_be_over_is_passed_too() {
        let definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "a", "name": "A", "component": "wait", "configuration": { "for": 0 } },
                { "id": "b", "name": "B", "component": "wait", "configuration": { "for": 0 }, "concurrency": 1 },
                { "id": "c", "name": "C", "component": "if", "configuration": { "expression": "root().data.n > 1" } },
            ],
            "edges": [{ "from": "a", "to": "b" }, { "from": "b", "to": "c" }],
        }))
        .unwrap();
        let from_a = reach(&definition::compile(&definition), "a");
        assert!(from_a.mentions.root);
        assert_eq!(from_a.limited, BTreeSet::from(["b".to_owned()]));
    }

    #[test]
    fn pure_nodes_are_passed_and_others_end_the_way() {
        let definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "b", "name": "B", "component": "if", "configuration": { "expression": "$[\"A\"].data.x == root().data.y" } },
                { "id": "c", "name": "C", "component": "http", "configuration": { "url": "https://x.test/{{ previous(3).data }}" } },
                { "id": "d", "name": "D", "component": "http", "configuration": { "url": "https://x.test" }, "concurrency": "unlimited" },
                { "id": "e", "name": "E", "component": "http", "configuration": { "url": "https://x.test/{{ previous(9).data }}" } },
            ],
            "edges": [
                { "from": "a", "to": "b" }, { "from": "b", "channel": "true", "to": "a" },
                { "from": "b", "channel": "true", "to": "c" }, { "from": "b", "channel": "false", "to": "d" },
                { "from": "c", "channel": "success", "to": "e" },
            ],
        }))
        .unwrap();
        let compiled = definition::compile(&definition);
        let from_a = reach(&compiled, "a");
        assert_eq!(from_a.limited, BTreeSet::from(["c".to_owned()]));
        assert_eq!(from_a.mentions.previous_max, 3);
        assert!(from_a.mentions.root);
        assert_eq!(from_a.mentions.node_ids, ["a"]);
        let from_c = reach(&compiled, "c");
        assert!(from_c.limited.is_empty());
        assert_eq!(from_c.mentions.previous_max, 3);
    }
}
