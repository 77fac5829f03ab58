//! The parts of a blueprint that a workflow does not have: its inputs and its outputs.

use std::collections::{BTreeMap, HashSet};

use components::suggest::did_you_mean;
use domain::definition::{DEFAULT_CHANNEL, ERROR_CHANNEL, Uses};
use domain::limits::{BLUEPRINT_INPUTS_MAX, BLUEPRINT_OUTPUTS_MAX, NODE_ID_CHARS_MAX};

use super::{
    collect::{Collector, Spot},
    draft::{Draft, DraftNode},
    graph,
    read::{list, map, map_of_any, text},
    tokens,
};
use crate::blueprint::{Input, Library, Output};
use crate::source::{Content, Tree};

/// The inputs and outputs as far as they could be read.
#[derive(Default)]
pub(super) struct Interface {
    pub inputs: BTreeMap<String, Input>,
    outputs: Vec<DraftOutput>,
}

struct DraftOutput {
    channel: Spot<String>,
    node: Spot<String>,
    from_channel: Spot<String>,
}

impl Interface {
    /// The outputs as the author wrote them.
    pub(super) fn outputs(&self) -> Vec<Output> {
        let output = |output: &DraftOutput| Output {
            channel: output.channel.value.clone(),
            node: output.node.value.clone(),
            from_channel: output.from_channel.value.clone(),
        };
        self.outputs.iter().map(output).collect()
    }
}

/// Reads the inputs and outputs.
pub(super) fn read(tree: &Tree, out: &mut Collector<'_>) -> Interface {
    let inputs = tree.get("inputs").map(|tree| read_inputs(tree, out)).unwrap_or_default();
    let outputs = tree.get("outputs").map(|tree| (tree, list(tree, "outputs", BLUEPRINT_OUTPUTS_MAX, out)));
    if let Some((tree, [])) = outputs
        && matches!(tree.content, Content::List(_))
    {
        out.error(
            tree.position,
            "outputs",
            "must have at least one output: nothing would leave the blueprint",
        );
    }
    let outputs = outputs.map(|(_, outputs)| outputs).unwrap_or_default().iter().enumerate();
    Interface { inputs, outputs: outputs.filter_map(|(index, tree)| read_output(index, tree, out)).collect() }
}

fn read_inputs(tree: &Tree, out: &mut Collector<'_>) -> BTreeMap<String, Input> {
    let entries = map_of_any(tree, "inputs", out).unwrap_or_default();
    if entries.len() > BLUEPRINT_INPUTS_MAX {
        let message = format!("at most {BLUEPRINT_INPUTS_MAX}, there are {}", entries.len());
        out.error(tree.position, "inputs", message);
    }
    let mut inputs = BTreeMap::new();
    for entry in entries.iter().take(BLUEPRINT_INPUTS_MAX) {
        let field = format!("inputs.{}", entry.key);
        if !is_word(&entry.key) {
            let message = format!(
                "the name of an input must be 1 to {NODE_ID_CHARS_MAX} letters, digits or `_`, and begin with no digit"
            );
            out.error(entry.position, "inputs", message);
            continue;
        }
        let mut input = Input::default();
        if !matches!(entry.value.content, Content::Null)
            && map(&entry.value, &field, &["description", "default"], out).is_some()
        {
            let description = entry.value.get("description");
            let description = description.and_then(|tree| text(tree, &format!("{field}.description"), out));
            input.description = description.map(|spot| spot.value.to_owned()).unwrap_or_default();
            input.default = entry.value.get("default").map(|tree| read_default(tree, &field, out));
        }
        inputs.insert(entry.key.clone(), input);
    }
    inputs
}

/// A default is a literal: nobody's event could fill it.
fn read_default(tree: &Tree, field: &str, out: &mut Collector<'_>) -> serde_json::Value {
    let field = format!("{field}.default");
    tree.strings(&mut |_, text, position| {
        if text.contains("{{") {
            out.error(position, &field, "a default can't hold a template");
        } else if let Some(kind) = tokens::known_shape(text) {
            let message =
                format!("this looks like {kind}; it will be stored in plain text, keep it in a secret");
            out.warning(position, &field, message);
        }
    });
    tree.to_value()
}

pub(super) fn is_word(text: &str) -> bool {
    (1..=NODE_ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

fn read_output(index: usize, tree: &Tree, out: &mut Collector<'_>) -> Option<DraftOutput> {
    let field = format!("outputs[{index}]");
    map(tree, &field, &["channel", "node", "from_channel"], out)?;
    if tree.get("node").is_none() {
        out.error(tree.position, &field, "`node` is missing");
    }
    let mut channel = |name: &str| {
        let at = format!("{field}.{name}");
        match tree.get(name).map(|tree| (&tree.content, tree.position)) {
            // `true` and `false` are channels of `if`; an author need not quote them.
            Some((Content::Bool(flag), position)) => Some(Spot::new(flag.to_string(), position, at)),
            Some(_) => {
                let spot = text(tree.get(name)?, &at, out)?;
                Some(Spot::new(spot.value.to_owned(), spot.position, spot.field))
            }
            None => Some(Spot::new(DEFAULT_CHANNEL.to_owned(), tree.position, field.clone())),
        }
    };
    let (outer, from_channel) = (channel("channel")?, channel("from_channel")?);
    let node = text(tree.get("node")?, &format!("{field}.node"), out)?;
    let node = Spot::new(node.value.to_owned(), node.position, node.field);
    Some(DraftOutput { channel: outer, node, from_channel })
}

/// The rules of a blueprint as a whole.
pub(super) fn check(draft: &Draft<'_>, interface: &Interface, library: &Library, out: &mut Collector<'_>) {
    if let Some(name) = draft.name.as_ref().filter(|name| !is_name(&name.value)) {
        let message = format!("must be 1 to {NODE_ID_CHARS_MAX} letters, digits, `_` or `-`");
        out.error(name.position, &name.field, message);
    }
    for node in &draft.nodes {
        if let Some(uses) = node.uses.as_ref().filter(|uses| matches!(uses.value, Uses::Trigger(_))) {
            let message =
                "a blueprint has no trigger: its first nodes get the event of the node that uses it";
            out.error(uses.position, &uses.field, message);
        }
    }
    check_entries(draft, out);
    let mut seen = HashSet::new();
    let levels = graph::levels(draft);
    for (output, written) in interface.outputs.iter().zip(interface.outputs()) {
        check_output(draft, output, library, out);
        let (node, channel) = (output.node.value.as_str(), output.from_channel.value.as_str());
        if levels.owner_of(node).is_some() || levels.is_inner(node, channel) {
            let message =
                format!("`{node}` emits within what is repeated: nothing leaves the blueprint from there");
            out.error(output.node.position, &output.node.field, message);
        }
        if !seen.insert(written) {
            out.error(output.node.position, &output.node.field, "the same output stands there already");
        }
    }
}

fn check_entries(draft: &Draft<'_>, out: &mut Collector<'_>) {
    let edges = graph::ends_within(draft);
    let entered = |id: &str| edges.iter().any(|(_, to)| *to == id);
    let is_entry = |node: &DraftNode<'_>| node.id.as_ref().is_none_or(|id| !entered(&id.value));
    if !draft.nodes.is_empty() && !draft.nodes.iter().any(is_entry) {
        let message =
            "an edge enters each node, so the blueprint begins nowhere: put a `noop` before the first node";
        out.error(draft.position, "nodes", message);
    }
}

fn check_output(draft: &Draft<'_>, output: &DraftOutput, library: &Library, out: &mut Collector<'_>) {
    let channel = &output.channel;
    if !is_name(&channel.value) {
        let message = format!("must be 1 to {NODE_ID_CHARS_MAX} letters, digits, `_` or `-`");
        out.error(channel.position, &channel.field, message);
    } else if channel.value == ERROR_CHANNEL {
        let message = "`error` is the channel of a blueprint whose inputs fail; give the output another name";
        out.error(channel.position, &channel.field, message);
    }
    let ids = draft.nodes.iter().filter_map(|node| Some((node, node.id.as_ref()?.value.as_str())));
    let Some((node, _)) = ids.clone().find(|(_, id)| *id == output.node.value) else {
        let hint = did_you_mean(&output.node.value, ids.map(|(_, id)| id));
        let message = format!("there is no node with the id `{}`{hint}", output.node.value);
        return out.error(output.node.position, &output.node.field, message);
    };
    let Some(uses) = &node.uses else { return };
    if let Some(channels) = graph::channels(&uses.value, node.configuration, library) {
        let from = (&output.from_channel, output.from_channel.position);
        graph::check_channel(from, &output.node.field, &uses.value, &channels, out);
    }
}

fn is_name(text: &str) -> bool {
    (1..=NODE_ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
