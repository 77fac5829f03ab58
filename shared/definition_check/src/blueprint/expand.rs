//! From the author's definition to the one that is stored: a plain function.

use std::collections::HashSet;

use domain::definition::{Definition, ERROR_CHANNEL, Edge, Node, Uses};

use super::{Blueprint, Library, Output, entry_edge, inner_id};

/// Expands the nodes of blueprints. A node whose blueprint the library does not have stays as it is.
pub(crate) fn expand(definition: Definition, library: &Library) -> Definition {
    let found = |node: &Node| match &node.uses {
        Uses::Blueprint(text) => library.find(text).ok(),
        Uses::Trigger(_) | Uses::Component(_) => None,
    };
    if !definition.nodes.iter().any(|node| found(node).is_some()) {
        return definition;
    }
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for edge in &definition.edges {
        let from = definition.nodes.iter().find(|node| node.id == edge.from);
        match from.and_then(found) {
            Some(blueprint) if edge.channel != ERROR_CHANNEL => edges.extend(outer_edges(edge, blueprint)),
            _ => edges.push(edge.clone()),
        }
    }
    for node in &definition.nodes {
        let Some(blueprint) = found(node) else {
            nodes.push(node.clone());
            continue;
        };
        let mut entry = node.clone();
        for (name, input) in &blueprint.inputs {
            entry.defaults.extend(input.default.clone().map(|default| (name.clone(), default)));
        }
        nodes.push(entry);
        nodes.extend(blueprint.nodes.iter().map(|inner| inner_node(node, inner)));
        edges.extend(blueprint.entries().iter().map(|entry| entry_edge(&node.id, entry)));
        let inner = |edge: &Edge| Edge {
            from: inner_id(&node.id, &edge.from),
            channel: edge.channel.clone(),
            to: inner_id(&node.id, &edge.to),
        };
        edges.extend(blueprint.edges.iter().map(inner));
    }
    // Two outputs may say the same.
    let mut seen = HashSet::new();
    edges.retain(|edge| seen.insert(edge.clone()));
    Definition { nodes, edges, applied_edges: Some(definition.edges), ..definition }
}

/// The edges of an edge from a channel of a blueprint: one from each inner node that emits there.
fn outer_edges<'e>(edge: &'e Edge, blueprint: &'e Blueprint) -> impl Iterator<Item = Edge> + 'e {
    blueprint.exits.iter().filter(|exit| exit.channel == edge.channel).map(|exit| Edge {
        from: inner_id(&edge.from, &exit.node),
        channel: exit.from_channel.clone(),
        to: edge.to.clone(),
    })
}

fn inner_node(parent: &Node, inner: &Node) -> Node {
    let around = inner.parent.as_ref().map_or(parent.id.clone(), |id| inner_id(&parent.id, id));
    Node {
        id: inner_id(&parent.id, &inner.id),
        name: format!("{} / {}", parent.name, inner.name),
        parent: Some(around),
        ..inner.clone()
    }
}

/// The outputs of a blueprint's author, each at the node that emits and once.
pub(crate) fn exits(outputs: &[Output], nodes: &[Node], library: &Library) -> Vec<Output> {
    let (mut exits, mut seen) = (Vec::new(), HashSet::new());
    for output in outputs {
        let node = nodes.iter().find(|node| node.id == output.node);
        let blueprint = match node.map(|node| &node.uses) {
            Some(Uses::Blueprint(text)) if output.from_channel != ERROR_CHANNEL => library.find(text).ok(),
            _ => None,
        };
        let Some(blueprint) = blueprint else {
            if seen.insert(output.clone()) {
                exits.push(output.clone());
            }
            continue;
        };
        for exit in blueprint.exits.iter().filter(|exit| exit.channel == output.from_channel) {
            let exit = Output {
                channel: output.channel.clone(),
                node: inner_id(&output.node, &exit.node),
                from_channel: exit.from_channel.clone(),
            };
            if seen.insert(exit.clone()) {
                exits.push(exit);
            }
        }
    }
    exits
}
