//! The levels of a graph: what an owner repeats is a level of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::definition::{Definition, Uses};

use crate::owner::Results;
use crate::registry::owner;

/// The bodies of the owners in a graph: the nodes that are reached on an owner's inner channel, up to
/// the owner itself.
#[derive(Clone, Debug, Default)]
pub struct Levels<'d> {
    /// The inner channel of each owner.
    inner_channels: BTreeMap<&'d str, &'static str>,
    /// Owners whose last result is looked back along.
    seen_through: BTreeSet<&'d str>,
    bodies: BTreeMap<&'d str, BTreeSet<&'d str>>,
}

impl<'d> Levels<'d> {
    /// The levels of a stored definition.
    #[must_use]
    pub fn of(definition: &'d Definition) -> Self {
        let nodes = definition.nodes.iter().map(|node| (node.id.as_str(), &node.uses));
        let edges =
            definition.edges.iter().map(|edge| (edge.from.as_str(), edge.channel.as_str(), edge.to.as_str()));
        Self::of_graph(nodes, edges)
    }

    /// The levels of nodes and edges `(from, channel, to)`.
    #[must_use]
    pub fn of_graph(
        nodes: impl IntoIterator<Item = (&'d str, &'d Uses)>,
        edges: impl IntoIterator<Item = (&'d str, &'d str, &'d str)>,
    ) -> Self {
        let owner_of = |uses: &Uses| match uses {
            Uses::Component(name) => owner(name),
            Uses::Trigger(_) | Uses::Blueprint(_) => None,
        };
        let (mut inner_channels, mut seen_through) = (BTreeMap::new(), BTreeSet::new());
        for (id, uses) in nodes {
            let Some(owner) = owner_of(uses) else { continue };
            let Some(inner_channel) = owner.inner_channel() else { continue };
            inner_channels.insert(id, inner_channel);
            if owner.results() == Results::Last {
                seen_through.insert(id);
            }
        }
        if inner_channels.is_empty() {
            return Self::default();
        }
        let mut after: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        for (from, channel, to) in edges {
            after.entry(from).or_default().push((channel, to));
        }
        let next = |id: &str| after.get(id).map(Vec::as_slice).unwrap_or_default().to_vec();
        let body = |(id, inner): (&&'d str, &&'static str)| {
            let (mut body, mut open) = (BTreeSet::new(), Vec::new());
            open.extend(next(id).into_iter().filter(|(channel, _)| channel == inner).map(|(_, to)| to));
            while let Some(other) = open.pop() {
                if other != *id && body.insert(other) {
                    open.extend(next(other).into_iter().map(|(_, to)| to));
                }
            }
            (*id, body)
        };
        let bodies = inner_channels.iter().map(body).collect();
        Self { inner_channels, seen_through, bodies }
    }

    /// Whether an edge leads from an owner into its body.
    #[must_use]
    pub fn is_inner(&self, from: &str, channel: &str) -> bool {
        self.inner_channels.get(from).is_some_and(|inner| *inner == channel)
    }

    /// Whether an edge leads from the body of an owner back to it.
    #[must_use]
    pub fn is_return(&self, from: &str, to: &str) -> bool {
        self.bodies.get(to).is_some_and(|body| body.contains(from))
    }

    /// Whether what comes after an owner looks back along what returned to it.
    #[must_use]
    pub fn is_seen_through(&self, id: &str) -> bool {
        self.seen_through.contains(id)
    }

    /// The inner channel of an owner.
    #[must_use]
    pub fn inner_channel(&self, id: &str) -> Option<&'static str> {
        self.inner_channels.get(id).copied()
    }

    /// The owners with their bodies.
    pub fn bodies(&self) -> impl Iterator<Item = (&'d str, &BTreeSet<&'d str>)> {
        self.bodies.iter().map(|(id, body)| (*id, body))
    }

    /// The owner whose body a node is in; of several, the innermost. None: it is at the top.
    #[must_use]
    pub fn owner_of(&self, id: &str) -> Option<&'d str> {
        self.owners_of(id).first().copied()
    }

    /// The innermost owner around a node whose sub-runs have an item.
    #[must_use]
    pub fn item_owner_of(&self, id: &str) -> Option<&'d str> {
        let has_item = |owner: &&str| !self.is_seen_through(owner);
        self.owners_of(id).into_iter().find(has_item)
    }

    /// The owners around a node, the innermost first.
    fn owners_of(&self, id: &str) -> Vec<&'d str> {
        let around = self.bodies.iter().filter(|(_, body)| body.contains(id));
        let mut around: Vec<_> = around.map(|(owner, body)| (body.len(), *owner)).collect();
        around.sort_unstable();
        around.into_iter().map(|(_, owner)| owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_all_that_is_reached_on_the_inner_channel() {
        let definition: Definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "t", "name": "T", "trigger": "start" },
                { "id": "o", "name": "O", "component": "for_each" },
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "p", "name": "P", "component": "for_each" },
                { "id": "b", "name": "B", "component": "noop" },
                { "id": "c", "name": "C", "component": "noop" },
                { "id": "d", "name": "D", "component": "noop" },
            ],
            "edges": [
                { "from": "t", "to": "o" }, { "from": "o", "channel": "item", "to": "a" }, { "from": "a", "to": "p" },
                { "from": "p", "channel": "item", "to": "b" }, { "from": "b", "to": "p" },
                { "from": "p", "channel": "done", "to": "c" }, { "from": "c", "to": "o" }, { "from": "o", "channel": "done", "to": "d" },
            ],
        }))
        .unwrap();
        let levels = Levels::of(&definition);
        let bodies: Vec<_> =
            levels.bodies().map(|(id, body)| (id, body.iter().copied().collect::<Vec<_>>())).collect();
        assert_eq!(bodies, [("o", vec!["a", "b", "c", "p"]), ("p", vec!["b"])]);
        let owners: Vec<_> = ["t", "a", "b", "c", "p", "d"].map(|id| levels.owner_of(id)).into();
        assert_eq!(owners, [None, Some("o"), Some("p"), Some("o"), Some("o"), None]);
        assert_eq!((levels.item_owner_of("b"), levels.item_owner_of("d")), (Some("p"), None));
        assert!(levels.is_return("c", "o") && levels.is_return("b", "p") && !levels.is_return("t", "o"));
        assert!(
            levels.is_inner("o", "item") && !levels.is_inner("o", "done") && !levels.is_inner("a", "item")
        );
    }
}
