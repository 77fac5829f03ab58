//! A stored definition with its templates parsed.

use std::collections::HashMap;

use components::{
    AnyComponent, Component, FieldRule, Levels, Trigger, blueprint_entry, component, field_rule, merges_of,
    trigger_template_kind,
};
use domain::{
    definition::{Definition, Edge, Node, Uses},
    limits::RUN_DEPTH_MAX,
};
use expression::{FieldKind, Template};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::Names;
use crate::pointer::{field_path, key_path, strings};

/// The kind of a node, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Makes root events.
    Trigger,
    /// Finished by the builder in its own transaction.
    Pure,
    /// Run by the executor.
    Effect,
    /// Open across transactions of the builder.
    Held,
    /// Open until branches of the run have arrived.
    Join,
    /// Open over sub-runs.
    Owner,
}

/// The references of a node's templates to other data, which one bounded query loads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMentions {
    /// The ids of the nodes that `$["…"]` names, each once and in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_ids: Vec<String>,
    /// `$` is used with a computed name or as a whole: any node may be meant.
    #[serde(default)]
    pub all_nodes: bool,
    /// `root()` is called.
    #[serde(default)]
    pub root: bool,
    /// The largest `n` of `previous(n)`; 0 for none, the limit of a run's depth where `n` is
    /// computed.
    #[serde(default)]
    pub previous_max: u32,
    /// `run()` is called.
    #[serde(default)]
    pub run: bool,
    /// `workflow()` or `app()` is called.
    #[serde(default)]
    pub workflow: bool,
    /// `inputs` is used, inside of a blueprint: the ids have the node of the blueprint too.
    #[serde(default)]
    pub inputs: bool,
    /// `now()` is called.
    #[serde(default)]
    pub now: bool,
}

/// A string of a configuration that holds templates.
#[derive(Clone, Debug)]
pub struct FieldTemplate {
    /// JSON pointer into the configuration.
    pub pointer: String,
    /// The string, parsed.
    pub template: Template,
    /// Whether a secret may stand there.
    pub takes_secret: bool,
}

/// A secret that a field refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretUse {
    /// The secret's name.
    pub name: String,
    /// The key in the secret.
    pub key: String,
    /// JSON pointer of the field.
    pub pointer: String,
}

/// The owners around a node, by whose sub-runs it is repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// The innermost one: `iteration()` counts its sub-runs.
    pub owner: Option<String>,
    /// The innermost one with an item: `item()` is that of its sub-run.
    pub item_owner: Option<String>,
}

/// A node with its templates parsed.
#[derive(Clone)]
pub struct CompiledNode {
    /// The node as it is stored.
    pub node: Node,
    /// Its kind, as the engine sees it.
    pub kind: NodeKind,
    /// The strings of its configuration that are not literal.
    pub templates: Vec<FieldTemplate>,
    /// The condition that an owner asks of each event that returns: the configuration keeps its text.
    pub condition: Option<FieldTemplate>,
    /// The owners around the node.
    pub repeated: Repeated,
    /// The template of the run's name; triggers only.
    pub run_name: Option<Template>,
    /// Keys of its executions and their templates.
    pub keys: Vec<(String, Template)>,
    /// The number of its executions that may be active at once; None: no limit.
    pub concurrency_max: Option<u32>,
    /// The template of its concurrency key.
    pub concurrency_key: Option<Template>,
    /// The references of configuration and keys to other data.
    pub mentions: NodeMentions,
    /// The secrets that the configuration refers to, each once for each field and in order.
    pub secret_refs: Vec<SecretUse>,
}

impl CompiledNode {
    /// The name of the component that it uses; None for a trigger.
    #[must_use]
    pub fn component_name(&self) -> Option<&str> {
        match &self.node.uses {
            Uses::Component(name) => Some(name),
            Uses::Blueprint(_) => Some(blueprint_entry().base().name()),
            Uses::Trigger(_) => None,
        }
    }
}

/// The error of a node that can't be used: this version of sealflow has no such component, or no
/// longer accepts one of the node's templates. Executions of the node fail with `template_error`;
/// other nodes go on (I9).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct NodeError {
    /// Such as `configuration.url`.
    pub field: String,
    /// A sentence for the author.
    pub message: String,
    /// The message with the expression and a caret, where there is one; else the message.
    pub rendered: String,
}

/// A definition with its templates parsed.
pub struct Compiled {
    /// The definition as it is stored.
    pub definition: Definition,
    nodes: Vec<Result<CompiledNode, NodeError>>,
    by_id: HashMap<String, usize>,
    names: Names,
    merges: HashMap<String, Vec<String>>,
    outputs: Result<CompiledOutputs, NodeError>,
}

/// The outputs of a workflow with their templates parsed.
#[derive(Clone, Debug, Default)]
pub struct CompiledOutputs {
    /// The strings that are not literal; their pointers lead into the map of all outputs.
    pub templates: Vec<FieldTemplate>,
    /// The nodes whose last events they name.
    pub node_ids: Vec<String>,
}

impl Compiled {
    /// The node of that id, or the error for which it can't be used. None where there is no such
    /// node.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<Result<&CompiledNode, &NodeError>> {
        self.by_id.get(id).map(|index| self.nodes[*index].as_ref())
    }

    /// The node of that id as it is stored.
    #[must_use]
    pub fn stored_node(&self, id: &str) -> Option<&Node> {
        self.by_id.get(id).map(|index| &self.definition.nodes[*index])
    }

    /// The names that the templates of nodes see.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// All nodes with their ids, in the author's order.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, Result<&CompiledNode, &NodeError>)> {
        self.definition
            .nodes
            .iter()
            .zip(&self.nodes)
            .map(|(node, compiled)| (node.id.as_str(), compiled.as_ref()))
    }

    /// The outputs, or the error for which they can't be used.
    ///
    /// # Errors
    /// [`NodeError`] as for a node.
    pub fn outputs(&self) -> Result<&CompiledOutputs, &NodeError> {
        self.outputs.as_ref()
    }

    /// The edges, in the author's order.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.definition.edges
    }

    /// The ids of the joins that are reached from the node, itself among them.
    #[must_use]
    pub fn merges(&self, id: &str) -> &[String] {
        self.merges.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The ids of the nodes with an edge to `id`, each once and in the order of the edges. For an edge
    /// out of a blueprint it is the blueprint's node.
    #[must_use]
    pub fn sources(&self, id: &str) -> Vec<&str> {
        let mut ids = Vec::new();
        for edge in self.definition.edges.iter().filter(|edge| edge.to == id) {
            let source = self.names.seen_from(id, &edge.from);
            if !ids.contains(&source) {
                ids.push(source);
            }
        }
        ids
    }

    /// The ids of the nodes that an event of `node_id` on `channel` is routed to, in the order of
    /// the edges.
    pub fn targets<'a, 'c>(
        &'a self,
        node_id: &'c str,
        channel: &'c str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'c> {
        domain::routing::targets(&self.definition.edges, node_id, channel)
    }
}

/// Parses the templates of a definition; an error in one node leaves the others usable.
#[must_use]
pub fn compile(definition: &Definition) -> Compiled {
    let by_id = definition.nodes.iter().enumerate().map(|(index, node)| (node.id.clone(), index)).collect();
    let names = Names::of(definition);
    let levels = Levels::of(definition);
    let repeated = |id: &str| Repeated {
        owner: levels.owner_of(id).map(str::to_owned),
        item_owner: levels.item_owner_of(id).map(str::to_owned),
    };
    let nodes = definition.nodes.iter().map(|node| compile_node(node, &names, repeated(&node.id))).collect();
    let owned =
        |(id, merges): (&str, Vec<&str>)| (id.to_owned(), merges.into_iter().map(str::to_owned).collect());
    let merges = merges_of(definition).into_iter().map(owned).collect();
    let outputs = compile_outputs(definition, &names);
    Compiled { definition: definition.clone(), nodes, by_id, names, merges, outputs }
}

fn compile_outputs(definition: &Definition, names: &Names) -> Result<CompiledOutputs, NodeError> {
    let (mut compiled, mut failed) = (CompiledOutputs::default(), None);
    let outputs = Value::Object(definition.outputs.clone());
    strings(&outputs, &mut |pointer, source| {
        if failed.is_some() || is_plain(source, FieldKind::Typed) {
            return;
        }
        match parse(&field_path("outputs", &outputs, pointer), source, FieldKind::Typed) {
            Ok(template) => {
                let mentions = template.mentions();
                let named = mentions.nodes.iter().flat_map(|(name, _)| names.ids(None, name));
                compiled.node_ids.extend(named.cloned());
                if mentions.dynamic_nodes {
                    compiled.node_ids.extend(definition.nodes.iter().map(|node| node.id.clone()));
                }
                let pointer = pointer.to_owned();
                compiled.templates.push(FieldTemplate { pointer, template, takes_secret: false });
            }
            Err(error) => failed = Some(error),
        }
    });
    compiled.node_ids.sort();
    compiled.node_ids.dedup();
    failed.map_or(Ok(compiled), Err)
}

pub(crate) fn compile_node(
    node: &Node,
    names: &Names,
    repeated: Repeated,
) -> Result<CompiledNode, NodeError> {
    let mut compiled = CompiledNode {
        node: with_defaults(node),
        kind: NodeKind::Trigger,
        templates: Vec::new(),
        condition: None,
        repeated,
        run_name: None,
        keys: Vec::new(),
        concurrency_max: None,
        concurrency_key: None,
        mentions: NodeMentions::default(),
        secret_refs: Vec::new(),
    };
    if let Some(source) = &node.run_name {
        compiled.run_name = Some(parse("run_name", source, FieldKind::Text)?);
    }
    let component = match &node.uses {
        Uses::Trigger(name) => {
            let trigger = components::trigger(name).ok_or_else(|| unknown("trigger", name))?;
            compiled.templates = trigger_templates(node, trigger)?;
            return Ok(compiled);
        }
        Uses::Component(name) => component(name).ok_or_else(|| unknown("component", name))?,
        Uses::Blueprint(_) => blueprint_entry(),
    };
    compiled.kind = match component {
        AnyComponent::Pure(_) => NodeKind::Pure,
        AnyComponent::Effect(_) => NodeKind::Effect,
        AnyComponent::Held(_) => NodeKind::Held,
        AnyComponent::Join(_) => NodeKind::Join,
        AnyComponent::Owner(_) => NodeKind::Owner,
    };
    compiled.concurrency_max = component.concurrency_max(node);
    compiled.templates = configuration_templates(&compiled.node, component.base())?;
    if let Some(pointer) = component.owner().and_then(components::Owner::condition) {
        compiled.condition = compiled.templates.extract_if(.., |field| field.pointer == pointer).next();
    }
    for (key, source) in &node.keys {
        let template = parse(&format!("keys{}", key_path(key)), source, FieldKind::Text)?;
        compiled.keys.push((key.clone(), template));
    }
    if let Some(source) = node.concurrency_key() {
        compiled.concurrency_key = Some(parse("concurrency.key", source, FieldKind::Text)?);
    }
    collect_mentions(&mut compiled, names);
    Ok(compiled)
}

/// The node with the inputs that its author did not give.
fn with_defaults(node: &Node) -> Node {
    let mut node = node.clone();
    for (name, default) in std::mem::take(&mut node.defaults) {
        if let Some(fields) = node.configuration.as_object_mut()
            && let Some(inputs) = fields.entry("inputs").or_insert_with(|| json!({})).as_object_mut()
        {
            inputs.entry(name).or_insert(default);
        }
    }
    node
}

fn configuration_templates(node: &Node, component: &dyn Component) -> Result<Vec<FieldTemplate>, NodeError> {
    let (mut templates, mut failed) = (Vec::new(), None);
    strings(&node.configuration, &mut |pointer, source| {
        let FieldRule { kind, secret, .. } = field_rule(component, pointer);
        if failed.is_some() || is_plain(source, kind) {
            return;
        }
        let field = field_path("configuration", &node.configuration, pointer);
        match parse(&field, source, kind) {
            Ok(template) if kind != FieldKind::Expression && template.is_literal() => {}
            Ok(template) => templates.push(FieldTemplate {
                pointer: pointer.to_owned(),
                template,
                takes_secret: secret.is_some(),
            }),
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(templates), Err)
}

fn trigger_templates(node: &Node, trigger: &dyn Trigger) -> Result<Vec<FieldTemplate>, NodeError> {
    let (mut templates, mut failed) = (Vec::new(), None);
    strings(&node.configuration, &mut |pointer, source| {
        let Some(kind) = trigger_template_kind(trigger, pointer) else { return };
        if failed.is_some() || is_plain(source, kind) {
            return;
        }
        let field = field_path("configuration", &node.configuration, pointer);
        match parse(&field, source, kind) {
            Ok(template) => {
                templates.push(FieldTemplate { pointer: pointer.to_owned(), template, takes_secret: false })
            }
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(templates), Err)
}

/// Whether a string of that kind is surely no template.
#[must_use]
pub fn is_plain(source: &str, kind: FieldKind) -> bool {
    kind != FieldKind::Expression && !source.contains("{{")
}

fn parse(field: &str, source: &str, kind: FieldKind) -> Result<Template, NodeError> {
    Template::parse(source, kind).map_err(|error| NodeError {
        field: field.to_owned(),
        rendered: error.render(source),
        message: error.message,
    })
}

fn unknown(what: &str, name: &str) -> NodeError {
    let message = format!("there is no {what} named `{name}`");
    NodeError { field: what.to_owned(), rendered: message.clone(), message }
}

fn collect_mentions(compiled: &mut CompiledNode, names: &Names) {
    let parent = compiled.node.parent.clone();
    let parent = parent.as_deref();
    let CompiledNode {
        node,
        templates,
        condition,
        repeated,
        keys,
        concurrency_key,
        mentions,
        secret_refs,
        ..
    } = compiled;
    let all = templates.iter().map(|field| &field.template);
    let all = all.chain(keys.iter().map(|(_, template)| template));
    let all = all.chain(&*concurrency_key).map(|template| (template, &*repeated));
    let returned = Repeated { owner: Some(node.id.clone()), ..repeated.clone() };
    for (template, repeated) in all.chain(condition.iter().map(|field| (&field.template, &returned))) {
        let found = template.mentions();
        mentions.node_ids.extend(repeated.owner.clone().filter(|_| found.iteration));
        mentions.node_ids.extend(repeated.item_owner.clone().filter(|_| found.item));
        let named = found.nodes.iter().flat_map(|(name, _)| names.ids(parent, name));
        mentions.node_ids.extend(named.cloned());
        if !found.inputs.is_empty() || found.dynamic_inputs {
            mentions.inputs = true;
            mentions.node_ids.extend(parent.map(str::to_owned));
        }
        mentions.all_nodes |= found.dynamic_nodes;
        mentions.root |= found.root;
        // A computed number counts as the largest possible one, the depth of a run.
        mentions.previous_max =
            mentions.previous_max.max(found.previous_max.min(RUN_DEPTH_MAX.unsigned_abs()));
        mentions.run |= found.run;
        mentions.workflow |= found.workflow;
        mentions.now |= found.now;
    }
    for field in &*templates {
        let uses = field.template.secret_refs().into_iter();
        let pointer = &field.pointer;
        secret_refs.extend(uses.map(|used| SecretUse {
            name: used.name,
            key: used.key,
            pointer: pointer.clone(),
        }));
    }
    mentions.node_ids.sort();
    mentions.node_ids.dedup();
    secret_refs.sort();
    secret_refs.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(nodes: &Value) -> Definition {
        serde_json::from_value(json!({ "name": "w", "nodes": nodes, "edges": [
            { "from": "s", "to": "a" }, { "from": "a", "channel": "success", "to": "b" },
            { "from": "a", "channel": "success", "to": "s2" }] }))
        .unwrap()
    }

    fn example() -> Compiled {
        compile(&definition(&json!([
            { "id": "s", "name": "Start", "trigger": "start", "run_name": "{{ root().data.x }}" },
            { "id": "a", "name": "A", "component": "http", "keys": { "k": "{{ previous(2).data.x }}" }, "configuration": {
                "url": "https://a.example/{{ $[\"Start\"].data.x }}",
                "query": { "plain": "text", "q": "{{ secrets(\"z\").y }}" },
                "headers": [{ "name": "X", "value": "{{ secrets(\"a\").b }}{{ secrets(\"z\").y }}{{ now() }}" }] } },
            { "id": "b", "name": "B", "component": "if", "configuration": { "expression": "run().id == \"x\"" } },
        ])))
    }

    #[test]
    fn only_strings_with_templates_are_kept() {
        let compiled = example();
        let node = compiled.node("a").unwrap().unwrap();
        let pointers: Vec<_> = node.templates.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/headers/0/value", "/query/q", "/url"]);
        assert_eq!(node.kind, NodeKind::Effect);
        assert_eq!(node.component_name(), Some("http"));
        assert_eq!(node.keys[0].0, "k");
        assert!(node.run_name.is_none());
        let start = compiled.node("s").unwrap().unwrap();
        assert_eq!(
            (start.kind, start.templates.len(), start.run_name.is_some()),
            (NodeKind::Trigger, 0, true)
        );
        let condition = compiled.node("b").unwrap().unwrap();
        assert_eq!((condition.kind, condition.templates.len()), (NodeKind::Pure, 1));
    }

    #[test]
    fn mentions_and_references_are_gathered_once() {
        let compiled = example();
        let node = compiled.node("a").unwrap().unwrap();
        let expected = NodeMentions {
            node_ids: vec!["s".into()],
            previous_max: 2,
            now: true,
            ..NodeMentions::default()
        };
        assert_eq!(node.mentions, expected);
        let uses: Vec<_> =
            node.secret_refs.iter().map(|used| (&*used.name, &*used.key, &*used.pointer)).collect();
        assert_eq!(
            uses,
            [("a", "b", "/headers/0/value"), ("z", "y", "/headers/0/value"), ("z", "y", "/query/q")]
        );
        assert!(compiled.node("b").unwrap().unwrap().mentions.run);
        let stored = serde_json::to_value(&node.mentions).unwrap();
        assert_eq!(serde_json::from_value::<NodeMentions>(stored).unwrap(), node.mentions);
    }

    #[test]
    fn a_computed_number_of_steps_is_bounded_by_the_depth_of_a_run_i10() {
        let configuration =
            json!({ "url": "https://a.example/", "body": { "json": "{{ previous(root().data.n) }}" } });
        let compiled = compile(&definition(
            &json!([{ "id": "a", "name": "A", "component": "http", "configuration": configuration }]),
        ));
        let mentions = &compiled.node("a").unwrap().unwrap().mentions;
        assert_eq!((mentions.previous_max, mentions.root), (RUN_DEPTH_MAX.unsigned_abs(), true));
    }

    #[test]
    fn nodes_are_found_by_id_and_name_and_their_targets_by_channel() {
        let compiled = example();
        assert_eq!(compiled.names().ids(None, "Start"), ["s"]);
        assert_eq!(compiled.names().ids(None, "s"), [""; 0]);
        assert_eq!(compiled.stored_node("b").map(|node| node.name.as_str()), Some("B"));
        assert!(compiled.node("none").is_none());
        assert_eq!(compiled.targets("a", "success").collect::<Vec<_>>(), ["b", "s2"]);
        assert_eq!(compiled.targets("a", "failure").count(), 0);
        assert_eq!(compiled.nodes().map(|(id, _)| id).collect::<Vec<_>>(), ["s", "a", "b"]);
        assert_eq!(compiled.edges().len(), 3);
    }

    #[test]
    fn what_is_wrong_with_one_node_leaves_the_others_i9() {
        let compiled = compile(&definition(&json!([
            { "id": "s", "name": "S", "trigger": "gone" },
            { "id": "a", "name": "A", "component": "gone" },
            { "id": "b", "name": "B", "component": "http", "configuration": { "url": "x", "body": { "json": ["{{ 1 + }}"] } } },
            { "id": "s2", "name": "S2", "component": "noop" },
        ])));
        let error = |id: &str| compiled.node(id).unwrap().err().map(ToString::to_string);
        assert_eq!(error("s").as_deref(), Some("trigger: there is no trigger named `gone`"));
        assert_eq!(error("a").as_deref(), Some("component: there is no component named `gone`"));
        let broken = compiled.node("b").unwrap().err().unwrap();
        assert_eq!(broken.field, "configuration.body.json[0]");
        assert!(broken.rendered.contains("{{ 1 + }}"), "{}", broken.rendered);
        assert_eq!(error("s2"), None);
        assert!(compiled.stored_node("b").is_some());
    }
}
