//! The dependencies of a tree, found without an evaluation.

use std::collections::BTreeSet;

use crate::{
    SEALFLOW_NAMES,
    ast::{Id, Kind, Node},
    builtins::Builtin,
    error::{Error, ErrorKind, Span},
    eval::Fault,
    parser::Tree,
    suggest,
    template::Mentions,
    value::Value,
};

/// The nodes by name.
const NODES: &str = "$";
/// The inputs of a blueprint by name.
const INPUTS: &str = "inputs";

/// The tree's references to things outside of itself.
pub(crate) fn mentions(tree: &Tree) -> Mentions {
    let mut found = Mentions::default();
    let mut named = vec![false; tree.nodes.len()];
    for node in &tree.nodes {
        if let Kind::Member(object, key, _) = &node.kind
            && let Kind::Literal(Value::Text(name)) = &tree.nodes[*key as usize].kind
        {
            let mentions = match &tree.nodes[*object as usize].kind {
                Kind::Variable(variable) if &**variable == NODES => &mut found.nodes,
                Kind::Variable(variable) if &**variable == INPUTS => &mut found.inputs,
                _ => continue,
            };
            named[*object as usize] = true;
            let mention = (name.to_string(), node.span());
            if !mentions.contains(&mention) {
                mentions.push(mention);
            }
        }
    }
    found.places = places(tree);
    for (id, node) in tree.nodes.iter().enumerate() {
        found.dynamic_nodes |= is_nodes(node) && !named[id];
        found.dynamic_inputs |= matches!(&node.kind, Kind::Variable(name) if &**name == INPUTS) && !named[id];
        if matches!(node.kind, Kind::Builtin(Builtin::Request, _)) {
            found.requests.push(node.span());
        }
        if let Kind::Host(name, arguments) = &node.kind {
            match &**name {
                "root" => found.root = true,
                "run" => found.run = true,
                "workflow" | "app" => found.workflow = true,
                "now" => found.now = true,
                "item" => found.item = true,
                "iteration" => found.iteration = true,
                "previous" => found.previous_max = found.previous_max.max(depth_of(tree, arguments)),
                _ => {}
            }
        }
    }
    found
}

/// The places of data that literal steps lead to, each as far as the literal steps go.
fn places(tree: &Tree) -> Vec<(String, String, Span)> {
    /// A node's name and the steps from its entry on.
    type Path = (String, Vec<String>);
    let step = |key: Id| match &tree.nodes[key as usize].kind {
        Kind::Literal(Value::Text(text)) => Some(text.to_string()),
        Kind::Literal(Value::Int(index)) if *index >= 0 => Some(index.to_string()),
        _ => None,
    };
    let mut paths: Vec<Option<Path>> = vec![None; tree.nodes.len()];
    let mut is_passed = vec![false; tree.nodes.len()];
    for (id, node) in tree.nodes.iter().enumerate() {
        let Kind::Member(object, key, _) = &node.kind else { continue };
        let Some(step) = step(*key) else { continue };
        paths[id] = match &paths[*object as usize] {
            Some((name, steps)) => Some((name.clone(), [steps.clone(), vec![step]].concat())),
            None if is_nodes(&tree.nodes[*object as usize]) => Some((step, Vec::new())),
            None => None,
        };
        is_passed[*object as usize] = paths[id].is_some();
    }
    let ends = paths.into_iter().zip(is_passed).zip(&tree.nodes).filter(|((_, is_passed), _)| !is_passed);
    ends.filter_map(|((path, _), node)| {
        let (name, steps) = path?;
        let (first, below) = steps.split_first()?;
        let pointer = below.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
        (first == "data").then(|| (name, pointer.collect(), node.span()))
    })
    .collect()
}

fn is_nodes(node: &Node) -> bool {
    matches!(&node.kind, Kind::Variable(name) if &**name == NODES)
}

/// The steps that `previous` goes back with these arguments; the largest number where it is
/// computed.
fn depth_of(tree: &Tree, arguments: &[Id]) -> u32 {
    match arguments.first().map(|id| &tree.nodes[*id as usize].kind) {
        None => 1,
        Some(Kind::Literal(value)) => value.as_i64().map_or(1, |n| n.clamp(1, i64::from(u32::MAX)) as u32),
        Some(_) => u32::MAX,
    }
}

/// The most unknown names that are reported of one template: nobody reads more, and the search for
/// suggestions takes time.
const UNKNOWN_NAMES_MAX: usize = 20;

/// The first free variables and called functions that sealflow does not register.
pub(crate) fn unknown_names(tree: &Tree) -> Vec<Error> {
    let fault = |node: &Node| match &node.kind {
        Kind::Variable(name) if &**name == NODES || &**name == INPUTS => None,
        Kind::Variable(name) if SEALFLOW_NAMES.contains(&&**name) => {
            Some(Fault::new(ErrorKind::Name, format!("`{name}` is a function: write `{name}()`")))
        }
        Kind::Variable(name) => Some(suggest::unknown("name", name)),
        Kind::Host(name, _) if &**name == INPUTS => {
            let message = "`inputs` is no function: write `inputs.name`".to_owned();
            Some(Fault::new(ErrorKind::Name, message))
        }
        Kind::Host(name, _) if &**name == NODES || !SEALFLOW_NAMES.contains(&&**name) => {
            Some(suggest::unknown("function", name))
        }
        _ => None,
    };
    let found = tree.nodes.iter().filter_map(|node| Some(*fault(node)?.at(node.span())));
    found.take(UNKNOWN_NAMES_MAX).collect()
}

/// Free variables and called functions that are no builtins, each place once.
pub(crate) fn names(tree: &Tree) -> Vec<(String, Span)> {
    let mut places = BTreeSet::new();
    let mut found = Vec::new();
    for node in &tree.nodes {
        if let Kind::Variable(name) | Kind::Host(name, _) = &node.kind
            && places.insert(node.span)
        {
            found.push((name.to_string(), node.span()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::UNKNOWN_NAMES_MAX;
    use crate::{FieldKind, Template};

    #[test]
    fn unknown_names_are_told_up_to_a_limit() {
        let told = |names: usize| {
            let source: Vec<String> = (0..names).map(|name| format!("unknown{name}")).collect();
            Template::parse(&source.join(" + "), FieldKind::Expression).unwrap().unknown_names().len()
        };
        assert_eq!(told(UNKNOWN_NAMES_MAX), UNKNOWN_NAMES_MAX);
        assert_eq!(told(UNKNOWN_NAMES_MAX + 1), UNKNOWN_NAMES_MAX);
    }
}
