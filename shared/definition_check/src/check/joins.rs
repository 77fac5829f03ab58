//! The rules of joins, and the places that lack one.

use std::collections::{BTreeSet, HashSet};

use components::{join, suggest::did_you_mean};
use definition::pointer::field_path;
use domain::definition::Uses;
use domain::limits::MERGE_SOURCES_MAX;

use super::{
    collect::Collector,
    configuration::Names,
    draft::{Draft, DraftNode},
    graph::Ancestry,
};

/// A join of the definition, with the nodes that come before it.
pub(super) struct Join<'d> {
    pub(super) id: &'d str,
    before: HashSet<&'d str>,
}

impl Join<'_> {
    /// Whether an event of that node may arrive at the join, by whatever way.
    pub(super) fn takes_in(&self, id: &str) -> bool {
        self.id == id || self.before.contains(id)
    }
}

/// Checks the joins, and returns them.
pub(super) fn check<'d>(
    draft: &'d Draft<'_>,
    ancestry: &Ancestry<'d>,
    out: &mut Collector<'_>,
) -> Vec<Join<'d>> {
    let mut joins = Vec::new();
    for node in &draft.nodes {
        let is_join = node
            .uses
            .as_ref()
            .is_some_and(|uses| matches!(&uses.value, Uses::Component(name) if join(name).is_some()));
        if let Some(id) = node.id.as_ref().filter(|_| is_join) {
            let before = ancestry.of(&id.value);
            check_join(draft, node, &id.value, &before, out);
            joins.push(Join { id: &id.value, before });
        }
    }
    joins
}

fn check_join(
    draft: &Draft<'_>,
    node: &DraftNode<'_>,
    id: &str,
    before: &HashSet<&str>,
    out: &mut Collector<'_>,
) {
    let entering: BTreeSet<&str> = draft
        .edges
        .iter()
        .filter(|edge| edge.to.as_ref().is_some_and(|to| to.value == id))
        .filter_map(|edge| Some(edge.from.as_ref()?.value.as_str()))
        .collect();
    if entering.len() > MERGE_SOURCES_MAX {
        let message = format!(
            "edges from {} nodes enter `{id}`: a join has at most {MERGE_SOURCES_MAX}",
            entering.len()
        );
        out.error(node.position, &node.field, message);
    } else if entering.len() < 2 {
        let message = format!("`{id}` has nothing to join: edges of two nodes or more are to enter it");
        out.warning(node.position, &node.field, message);
    }
    if before.contains(id) {
        let message = format!("`{id}` is on a cycle: it would wait for what comes after it");
        out.error(node.position, &node.field, message);
    }
    check_quorum(node, &entering, out);
    check_sources(draft, node, id, &entering, out);
}

fn check_quorum(node: &DraftNode<'_>, entering: &BTreeSet<&str>, out: &mut Collector<'_>) {
    let Some(tree) = node.configuration else { return };
    let value = tree.to_value();
    let most = u64::try_from(entering.len()).unwrap_or(u64::MAX);
    if value["sources"].is_null() && value["quorum"].as_u64().is_some_and(|quorum| quorum > most) {
        let field = field_path(&format!("{}.configuration", node.field), &value, "/quorum");
        let message = format!("is more than the {most} nodes with an edge to this one");
        out.error(tree.locate("/quorum"), &field, message);
    }
}

/// The nodes that `sources` names: each has an edge to the join.
fn check_sources(
    draft: &Draft<'_>,
    node: &DraftNode<'_>,
    id: &str,
    entering: &BTreeSet<&str>,
    out: &mut Collector<'_>,
) {
    let Some(tree) = node.configuration else { return };
    let value = tree.to_value();
    let named = value["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = draft
        .nodes
        .iter()
        .filter(|source| source.id.as_ref().is_some_and(|id| entering.contains(id.value.as_str())))
        .filter_map(|source| source.name.as_ref().map(|name| name.value.as_str()))
        .collect();
    for (index, name) in named.iter().enumerate() {
        let Some(name) = name.as_str().filter(|name| !names.contains(name)) else { continue };
        let pointer = format!("/sources/{index}");
        let field = field_path(&format!("{}.configuration", node.field), &value, &pointer);
        let hint = did_you_mean(name, names.iter().copied());
        let message = format!("no edge leads from a node named `{name}` to `{id}`{hint}");
        out.error(tree.locate(&pointer), &field, message);
    }
}

/// Warns of a node with several edges into it whose templates demand two nodes of which no event has
/// seen both.
pub(super) fn check_siblings(
    node: &DraftNode<'_>,
    names: &Names<'_>,
    joins: &[Join<'_>],
    out: &mut Collector<'_>,
) {
    if let Some((one, other)) = names.siblings(joins) {
        let message = format!(
            "this node reads `{one}` and `{other}`, but each event comes along one of them: one is always nil; add a `merge` before it"
        );
        out.warning(node.position, &node.field, message);
    }
}
