//! The relations between nodes: names, ids and edges.

use std::collections::{BTreeMap, HashMap, HashSet};

use components::{Levels, component, suggest::did_you_mean, trigger};
use domain::definition::{ERROR_CHANNEL, NodeType, Uses};

use crate::blueprint::Library;
use crate::source::{Position, Tree};

use super::{
    collect::{Collector, Spot},
    draft::{Draft, DraftEdge, DraftNode},
};

/// Checks the relations between the nodes.
pub(super) fn check(draft: &Draft<'_>, library: &Library, out: &mut Collector<'_>) {
    check_unique(draft, "id", |node| node.id.as_ref(), out);
    check_unique(draft, "name", |node| node.name.as_ref(), out);
    let mut nodes: BTreeMap<&str, &DraftNode<'_>> = BTreeMap::new();
    for node in &draft.nodes {
        if let Some(id) = &node.id {
            nodes.entry(&id.value).or_insert(node);
        }
    }
    let mut seen = HashMap::new();
    // Once for each node: many edges may leave one with a large configuration.
    let mut channels_of: HashMap<&str, Option<Vec<String>>> = HashMap::new();
    for edge in &draft.edges {
        let (from, to) = check_edge(edge, &nodes, out);
        if let Some((node, uses)) = from.and_then(|node| Some((node, node.uses.as_ref()?)))
            && let Some(id) = &node.id
        {
            let found = channels_of
                .entry(&id.value)
                .or_insert_with(|| channels(&uses.value, node.configuration, library));
            if let Some(channels) = found {
                check_channel((&edge.channel, edge.position), &edge.field, &uses.value, channels, out);
            }
        }
        check_entered(edge, to, out);
        if let (Some(from), Some(to)) = (&edge.from, &edge.to) {
            let key = (from.value.as_str(), edge.channel.value.as_str(), to.value.as_str());
            if let Some(first) = seen.insert(key, edge.position.line) {
                let message = format!("the same edge as on line {first}");
                out.error(edge.position, &edge.field, message);
            }
        }
    }
    check_reachable(draft, out);
    check_cycles(draft, out);
    check_levels(draft, out);
}

/// For each node, the nodes that can come before it, by the edges.
pub(super) struct Ancestry<'d> {
    before: HashMap<&'d str, Vec<&'d str>>,
    /// The nodes that return to each owner.
    returning: HashMap<&'d str, Vec<&'d str>>,
}

impl<'d> Ancestry<'d> {
    pub(super) fn new(draft: &'d Draft<'_>) -> Self {
        let mut before: HashMap<_, Vec<_>> = HashMap::new();
        for (from, to) in ends_within(draft) {
            before.entry(to).or_default().push(from);
        }
        // The nodes after a loop look back along its last turn.
        let (levels, mut returning) = (levels(draft), HashMap::<_, Vec<_>>::new());
        for (from, owner) in ends(draft).filter(|(from, to)| levels.is_return(from, to)) {
            returning.entry(owner).or_default().push(from);
            if levels.is_seen_through(owner) {
                for to in after(draft, &levels, owner) {
                    before.entry(to).or_default().push(from);
                }
            }
        }
        Self { before, returning }
    }

    /// The nodes along which an event returns to an owner, and those before them.
    pub(super) fn of_returned(&self, owner: &str) -> HashSet<&'d str> {
        reach(self.returning.get(owner).into_iter().flatten().copied().collect(), &self.before)
    }

    /// The nodes from which a chain of edges leads to `id`. The node itself is among them only in a
    /// circle.
    pub(super) fn of(&self, id: &str) -> HashSet<&'d str> {
        reach(self.before.get(id).into_iter().flatten().copied().collect(), &self.before)
    }
}

fn ends<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = (&'d str, &'d str)> {
    draft
        .edges
        .iter()
        .filter_map(|edge| Some((edge.from.as_ref()?.value.as_str(), edge.to.as_ref()?.value.as_str())))
}

/// The levels of a draft.
pub(super) fn levels<'d>(draft: &'d Draft<'_>) -> Levels<'d> {
    let nodes = draft
        .nodes
        .iter()
        .filter_map(|node| Some((node.id.as_ref()?.value.as_str(), &node.uses.as_ref()?.value)));
    let edges = draft.edges.iter().filter_map(|edge| {
        let (from, to) = (edge.from.as_ref()?.value.as_str(), edge.to.as_ref()?.value.as_str());
        Some((from, edge.channel.value.as_str(), to))
    });
    Levels::of_graph(nodes, edges)
}

/// The nodes with an edge from an owner, but those within what it repeats.
fn after<'d>(draft: &'d Draft<'_>, levels: &Levels<'_>, owner: &str) -> Vec<&'d str> {
    let is_outer = |edge: &&DraftEdge| {
        edge.from.as_ref().is_some_and(|from| from.value == owner)
            && !levels.is_inner(owner, &edge.channel.value)
    };
    let edges = draft.edges.iter().filter(is_outer);
    edges.filter_map(|edge| edge.to.as_ref().map(|to| to.value.as_str())).collect()
}

/// The edges but those by which a part that is repeated returns to its owner: what is inside comes
/// before nothing outside.
pub(super) fn ends_within<'d>(draft: &'d Draft<'_>) -> Vec<(&'d str, &'d str)> {
    let levels = levels(draft);
    ends(draft).filter(|(from, to)| !levels.is_return(from, to)).collect()
}

/// Each node has one level: the top, or the body of one owner. Edges lead from one into another at an
/// owner alone.
fn check_levels(draft: &Draft<'_>, out: &mut Collector<'_>) {
    let levels = levels(draft);
    let place = |id: &str| {
        let node = draft.nodes.iter().find(|node| node.id.as_ref().is_some_and(|own| own.value == id));
        node.map(|node| (node.position, node.field.clone())).unwrap_or_default()
    };
    let entered: HashSet<&str> = ends_within(draft).into_iter().map(|(_, to)| to).collect();
    for (owner, body) in levels.bodies() {
        if ends(draft).any(|(from, to)| from == owner && to == owner) {
            let (position, field) = place(owner);
            let message = format!("an edge leads from `{owner}` to itself: put a node between");
            out.error(position, &field, message);
        } else if !ends(draft).any(|(from, to)| to == owner && body.contains(from)) {
            let (position, field) = place(owner);
            let message = if body.is_empty() {
                let channel = levels.inner_channel(owner).unwrap_or_default();
                format!("no edge leaves `{owner}` on `{channel}`: it repeats nothing")
            } else {
                format!("no edge leads back to `{owner}`: it gets no result of what it repeats")
            };
            out.warning(position, &field, message);
        }
        // All that is reached without going into the body.
        let mut after: HashMap<&str, Vec<&str>> = HashMap::new();
        for edge in &draft.edges {
            let (Some(from), Some(to)) = (&edge.from, &edge.to) else { continue };
            if from.value != owner || !levels.is_inner(owner, &edge.channel.value) {
                after.entry(&from.value).or_default().push(&to.value);
            }
        }
        let starts = draft.nodes.iter().filter_map(|node| node.id.as_ref().map(|id| id.value.as_str()));
        let outside = reach(starts.filter(|id| !entered.contains(id)).collect(), &after);
        for id in body.iter().filter(|id| outside.contains(*id)) {
            let (position, field) = place(id);
            let message = format!(
                "`{id}` is reached both within what `{owner}` repeats and without it: lead the edge from inside back to `{owner}`"
            );
            out.error(position, &field, message);
        }
        for id in body.iter().filter(|id| levels.owner_of(id).is_some_and(|inner| inner != owner)) {
            if ends(draft).any(|(from, to)| from == *id && to == owner) {
                let (position, field) = place(id);
                let inner = levels.owner_of(id).unwrap_or_default();
                let message = format!(
                    "an edge leads from `{id}` past `{inner}` back to `{owner}`: lead it back to `{inner}`"
                );
                out.error(position, &field, message);
            }
        }
    }
}

fn reach<'d>(start: Vec<&'d str>, next: &HashMap<&'d str, Vec<&'d str>>) -> HashSet<&'d str> {
    let (mut found, mut open) = (HashSet::new(), start);
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(next.get(id).into_iter().flatten());
        }
    }
    found
}

/// Warns of each cycle of edges without a node that has a limit of visits.
fn check_cycles(draft: &Draft<'_>, out: &mut Collector<'_>) {
    let limited: HashSet<&str> = draft
        .nodes
        .iter()
        .filter(|node| node.max_visits.is_some())
        .filter_map(|node| node.id.as_ref().map(|id| id.value.as_str()))
        .collect();
    let mut after: HashMap<_, Vec<_>> = HashMap::new();
    for (from, to) in ends_within(draft).into_iter().filter(|(_, to)| !limited.contains(to)) {
        after.entry(from).or_default().push(to);
    }
    let behind = |id: &str| reach(after.get(id).into_iter().flatten().copied().collect(), &after);
    let mut known = HashSet::new();
    for node in &draft.nodes {
        let Some(id) = node.id.as_ref().map(|id| id.value.as_str()) else { continue };
        let reached = behind(id);
        if !reached.contains(id) || known.contains(id) {
            continue;
        }
        let members: Vec<&str> =
            draft.nodes.iter().filter_map(|node| node.id.as_ref().map(|id| id.value.as_str())).collect();
        let members: Vec<&str> = members
            .into_iter()
            .filter(|other| reached.contains(other) && behind(other).contains(id))
            .collect();
        let names: Vec<String> =
            members.iter().take(CYCLE_NODES_SHOWN).map(|member| format!("`{member}`")).collect();
        let more = if members.len() > CYCLE_NODES_SHOWN { ", …" } else { "" };
        let message = format!(
            "a cycle that only the limits of a run end: {}{more}; give one of its nodes `max_visits`, such as `max_visits: 333`",
            names.join(", ")
        );
        out.warning(node.position, &node.field, message);
        known.extend(members);
    }
}

/// The nodes of a cycle that a message names.
const CYCLE_NODES_SHOWN: usize = 5;

fn check_unique<'d>(
    draft: &'d Draft<'_>,
    what: &str,
    pick: impl Fn(&'d DraftNode<'_>) -> Option<&'d Spot<String>>,
    out: &mut Collector<'_>,
) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for spot in draft.nodes.iter().filter_map(pick) {
        if let Some(first) = seen.get(spot.value.as_str()) {
            let message = format!("the {what} `{}` is taken by the node on line {first}", spot.value);
            out.error(spot.position, &spot.field, message);
        } else {
            seen.insert(&spot.value, spot.position.line);
        }
    }
}

/// The nodes at the ends of an edge.
fn check_edge<'n, 't>(
    edge: &DraftEdge,
    nodes: &BTreeMap<&str, &'n DraftNode<'t>>,
    out: &mut Collector<'_>,
) -> (Option<&'n DraftNode<'t>>, Option<&'n DraftNode<'t>>) {
    let from = edge.from.as_ref().and_then(|spot| find_end(spot, nodes, out));
    let to = edge.to.as_ref().and_then(|spot| find_end(spot, nodes, out));
    (from, to)
}

fn check_entered(edge: &DraftEdge, to: Option<&DraftNode<'_>>, out: &mut Collector<'_>) {
    if let (Some(node), Some(spot)) = (to, &edge.to)
        && node.uses.as_ref().is_some_and(|uses| uses.value.node_type() == NodeType::Trigger)
    {
        out.error(spot.position, &spot.field, format!("`{}` is a trigger: no edge enters it", spot.value));
    }
}

fn find_end<'n, 't>(
    spot: &Spot<String>,
    nodes: &BTreeMap<&str, &'n DraftNode<'t>>,
    out: &mut Collector<'_>,
) -> Option<&'n DraftNode<'t>> {
    let found = nodes.get(spot.value.as_str()).copied();
    if found.is_none() {
        let named = nodes.iter().find(|(_, node)| {
            node.name.as_ref().is_some_and(|name| name.value.eq_ignore_ascii_case(&spot.value))
        });
        let hint = match named {
            Some((id, _)) => format!("; edges name nodes by their id, which is `{id}`"),
            None => did_you_mean(&spot.value, nodes.keys().copied()),
        };
        out.error(spot.position, &spot.field, format!("there is no node with the id `{}`{hint}", spot.value));
    }
    found
}

/// The channels of a node; None where they are not known.
pub(super) fn channels(uses: &Uses, configuration: Option<&Tree>, library: &Library) -> Option<Vec<String>> {
    match uses {
        Uses::Component(name) => component(name).map(|component| {
            let base = component.base();
            let own = base.channels_of(&configuration.map(Tree::to_value).unwrap_or_default());
            own.into_iter().chain(base.has_error_channel().then(|| ERROR_CHANNEL.to_owned())).collect()
        }),
        Uses::Trigger(name) => trigger(name)
            .map(|trigger| trigger.channels().iter().map(|channel| (*channel).to_owned()).collect()),
        Uses::Blueprint(name) => {
            let channels = library.find(name).ok()?.channels();
            Some(channels.into_iter().chain([ERROR_CHANNEL.to_owned()]).collect())
        }
    }
}

/// Checks that a node has the channel. `field` is that of what names it: of an edge or an output.
pub(super) fn check_channel(
    (channel, position): (&Spot<String>, Position),
    field: &str,
    uses: &Uses,
    channels: &[String],
    out: &mut Collector<'_>,
) {
    if channels.is_empty() {
        let message = format!("`{}` ends its branch: no edge leaves it", uses.name());
        return out.error(position, field, message);
    }
    if !channels.contains(&channel.value) {
        if channel.field == field {
            let message = format!("must name a channel: `{}` has {}", uses.name(), channels.join(", "));
            return out.error(position, field, message);
        }
        let hint = did_you_mean(&channel.value, channels.iter().map(String::as_str));
        let message = format!(
            "`{}` has no channel `{}`, it has {}{hint}",
            uses.name(),
            channel.value,
            channels.join(", ")
        );
        out.error(channel.position, &channel.field, message);
    }
}

/// A run begins at a trigger, and in a blueprint at the nodes that no edge enters.
fn check_reachable(draft: &Draft<'_>, out: &mut Collector<'_>) {
    let is_blueprint = draft.interface.is_some();
    let edges = ends_within(draft);
    let is_entered = |id: &str| edges.iter().any(|(_, to)| *to == id);
    let triggers: Vec<&str> = draft
        .nodes
        .iter()
        .filter_map(|node| Some((node, node.id.as_ref()?.value.as_str())))
        .filter(|(node, id)| match &node.uses {
            _ if is_blueprint => !is_entered(id),
            Some(uses) => uses.value.node_type() == NodeType::Trigger,
            None => false,
        })
        .map(|(_, id)| id)
        .collect();
    if triggers.is_empty() {
        if !draft.nodes.is_empty() && !is_blueprint {
            out.warning(draft.position, "nodes", "no node is a trigger: nothing can start this workflow");
        }
        return;
    }
    let mut after: HashMap<_, Vec<_>> = HashMap::new();
    for (from, to) in ends(draft) {
        after.entry(from).or_default().push(to);
    }
    let reached = reach(triggers, &after);
    for node in &draft.nodes {
        if let Some(id) = node.id.as_ref().filter(|id| !reached.contains(id.value.as_str())) {
            let what = if is_blueprint { "first node" } else { "trigger" };
            let message = format!("`{}` is reached from no {what}: it never runs", id.value);
            out.warning(node.position, &node.field, message);
        }
    }
}
