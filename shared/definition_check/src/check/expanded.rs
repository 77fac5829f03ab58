//! The rules of a definition together with all that its blueprints stand for.

use std::collections::{BTreeMap, HashMap, HashSet};

use components::{Levels, join};
use domain::definition::{Definition, ERROR_CHANNEL, Uses};
use domain::limits::{
    BLUEPRINT_NESTING_MAX, EDGES_MAX, EXPANDED_BYTES_MAX, EXPANDED_NAME_BYTES_MAX, NODES_MAX,
    WORKFLOW_TEMPLATES_MAX,
};

use super::{
    collect::Collector,
    draft::{Draft, DraftNode},
};
use crate::blueprint::Library;
use crate::source::Position;

/// The places of an author's nodes.
pub(super) type Places = BTreeMap<String, (Position, String)>;

/// The place of each node, for problems of what it stands for.
pub(super) fn places_of(draft: &Draft<'_>) -> Places {
    let place =
        |node: &DraftNode<'_>| Some((node.id.as_ref()?.value.clone(), (node.position, node.field.clone())));
    draft.nodes.iter().filter_map(place).collect()
}

/// Whether all that the blueprints stand for is within the limits. It is counted before anything of
/// it is copied.
pub(super) fn fits(draft: &Draft<'_>, library: &Library, out: &mut Collector<'_>) -> bool {
    let named = |node: &DraftNode<'_>| match node.uses.as_ref().map(|uses| &uses.value) {
        Some(Uses::Blueprint(name)) => Some(name.clone()),
        _ => None,
    };
    let blueprints: HashMap<&str, String> = draft
        .nodes
        .iter()
        .filter_map(|node| Some((node.id.as_ref()?.value.as_str(), named(node)?)))
        .collect();
    if blueprints.is_empty() {
        return true;
    }
    let (mut nodes, mut edges, mut bytes, mut templates) = (draft.nodes.len(), 0, 0, 0);
    for node in &draft.nodes {
        let size = named(node).map(|name| library.size(&name)).unwrap_or_default();
        nodes += size.nodes;
        edges += size.edges;
        bytes += size.bytes;
        templates += size.templates;
    }
    for edge in &draft.edges {
        let from = edge.from.as_ref().and_then(|from| blueprints.get(from.value.as_str()));
        let blueprint = from.and_then(|name| library.find(name).ok());
        edges += match blueprint.filter(|_| edge.channel.value != ERROR_CHANNEL) {
            Some(blueprint) => {
                blueprint.exits.iter().filter(|exit| exit.channel == edge.channel.value).count()
            }
            None => 1,
        };
    }
    let limits = [
        (nodes, NODES_MAX, "nodes", "nodes"),
        (edges, EDGES_MAX, "edges", "edges"),
        (templates, WORKFLOW_TEMPLATES_MAX, "templates", "nodes"),
        (bytes, EXPANDED_BYTES_MAX, "bytes", "nodes"),
    ];
    let mut is_within = true;
    for (count, most, what, field) in limits.into_iter().filter(|(count, most, ..)| count > most) {
        is_within = false;
        let message = format!(
            "with what its blueprints stand for it has {count} {what}, and at most {most} are allowed"
        );
        out.error(Position::default(), field, message);
    }
    is_within
}

/// Checks a definition whose blueprints are expanded.
pub(super) fn check(definition: &Definition, places: &Places, out: &mut Collector<'_>) {
    if definition.applied_edges.is_none() {
        return;
    }
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for node in &definition.nodes {
        let outermost = node.id.split('/').next().unwrap_or_default();
        let (position, field) = places.get(outermost).cloned().unwrap_or_default();
        if let Some(other) = names.insert(&node.name, &node.id)
            && (node.parent.is_some() || other.contains('/'))
        {
            let message = format!("the name `{}` is that of `{other}` and of `{}`", node.name, node.id);
            out.error(position, &field, message);
        }
        if node.name.len() > EXPANDED_NAME_BYTES_MAX {
            let message = format!(
                "the names of its blueprints and nodes have more than {EXPANDED_NAME_BYTES_MAX} bytes together"
            );
            out.error(position, &field, message);
        }
        if let Uses::Blueprint(name) = &node.uses
            && node.id.matches('/').count() >= BLUEPRINT_NESTING_MAX
        {
            let message = format!(
                "`{name}` would be inside of {BLUEPRINT_NESTING_MAX} other blueprints; at most {BLUEPRINT_NESTING_MAX} may be within each other"
            );
            out.error(position, &field, message);
        }
        let is_join = matches!(&node.uses, Uses::Component(name) if join(name).is_some());
        if is_join && node.parent.is_some() && is_on_cycle(definition, &node.id) {
            let message = format!("its `{}` is on a cycle: it would wait for what comes after it", node.id);
            out.error(position, &field, message);
        }
    }
}

fn is_on_cycle(definition: &Definition, id: &str) -> bool {
    let mut after: HashMap<&str, Vec<&str>> = HashMap::new();
    let levels = Levels::of(definition);
    for edge in definition.edges.iter().filter(|edge| !levels.is_return(&edge.from, &edge.to)) {
        after.entry(&edge.from).or_default().push(&edge.to);
    }
    let (mut open, mut seen) = (after.get(id).cloned().unwrap_or_default(), HashSet::new());
    while let Some(next) = open.pop() {
        if next == id {
            return true;
        }
        if seen.insert(next) {
            open.extend(after.get(next).into_iter().flatten());
        }
    }
    false
}
