//! What a tree depends on, found without evaluating it.

use std::collections::BTreeSet;

use crate::{
    SEALFLOW_NAMES,
    ast::{Id, Kind, Node, UnaryOp},
    builtins::Loop,
    error::{Error, ErrorKind, Span},
    eval::Fault,
    parser::Tree,
    suggest,
    template::Mentions,
    value::Value,
};

/// The only variable that sealflow registers: the nodes by name.
const NODES: &str = "$";

/// Refuses functions of the environment whose arguments cannot be known before the secrets are.
pub(crate) fn check_host_arguments(tree: &Tree) -> Result<(), Error> {
    if tree.refs.is_empty() {
        return Ok(());
    }
    let waiting = waiting(tree);
    for node in &tree.nodes {
        let (name, arguments) = match &node.kind {
            Kind::Host(name, arguments) => (name, arguments),
            Kind::Method(object, name, arguments, _)
                if matches!(tree.nodes[*object as usize].kind, Kind::Variable(_)) =>
            {
                (name, arguments)
            }
            _ => continue,
        };
        if let Some(argument) = arguments.iter().find(|argument| waiting[**argument as usize]) {
            let message =
                format!("what is given to `{name}()` must not depend on a secret, nor on a list beside one");
            return Err(Error::new(ErrorKind::Secret, message, tree.nodes[*argument as usize].span()));
        }
    }
    Ok(())
}

/// For each node, whether it may wait for a secret while folding: it holds one, or the `#` of a closure that does.
fn waiting(tree: &Tree) -> Vec<bool> {
    let mut waits = vec![false; tree.nodes.len()];
    let mut open_scopes = vec![false; tree.scopes as usize];
    // A closure that turns out to wait makes its `#` wait, inside of what was looked at before: until nothing changes.
    loop {
        for (id, node) in tree.nodes.iter().enumerate() {
            let mut open = match &node.kind {
                Kind::Secret(_) => true,
                Kind::Local(slot) => waits[tree.slots[*slot as usize] as usize],
                Kind::Item(scope) | Kind::Index(scope) | Kind::Acc(scope) => open_scopes[*scope as usize],
                _ => false,
            };
            node.kind.each_child(|child| open |= waits[child as usize]);
            waits[id] = open;
        }
        let mut changed = false;
        for (id, node) in tree.nodes.iter().enumerate() {
            if let Kind::Loop(node) = &node.kind
                && waits[id]
                && !open_scopes[node.scope as usize]
            {
                open_scopes[node.scope as usize] = true;
                changed = true;
            }
        }
        if !changed {
            return waits;
        }
    }
}

/// For each node of a residual, whether its value may hold something of a secret, not only be chosen by one.
pub(crate) fn holds_secret(nodes: &[Node], slots: usize) -> Vec<bool> {
    let mut taint =
        Taint { holds: vec![false; nodes.len()], locals: vec![false; slots], scopes: BTreeSet::new() };
    // What a closure's `#` and a `let` variable hold is seen after their uses: until nothing changes.
    loop {
        let before = (taint.holds.clone(), taint.scopes.len(), taint.locals.clone());
        for (id, node) in nodes.iter().enumerate() {
            taint.holds[id] |= taint.visit(&node.kind);
        }
        if before == (taint.holds.clone(), taint.scopes.len(), taint.locals.clone()) {
            return taint.holds;
        }
    }
}

/// What is known so far of what holds a secret. Things are added and never taken away.
struct Taint {
    holds: Vec<bool>,
    locals: Vec<bool>,
    /// The closures whose `#` or `#acc` holds one.
    scopes: BTreeSet<u32>,
}

impl Taint {
    fn visit(&mut self, kind: &Kind) -> bool {
        let of = |id: &Id| self.holds[*id as usize];
        match kind {
            Kind::Secret(_) => true,
            Kind::Local(slot) => self.locals.get(*slot as usize).copied().unwrap_or(true),
            Kind::Item(scope) | Kind::Acc(scope) => self.scopes.contains(scope),
            Kind::Choose(_, yes, no) => of(yes) || of(no),
            Kind::Sequence(ids) => ids.last().is_some_and(of),
            Kind::Unary(UnaryOp::Not, _) => false,
            Kind::Binary(op, left, right) => !op.gives_bool() && (of(left) || of(right)),
            Kind::Let(slot, value, body) => {
                let (value, body) = (of(value), of(body));
                if let Some(local) = self.locals.get_mut(*slot as usize) {
                    *local |= value;
                }
                body
            }
            Kind::Loop(node) => {
                let list = of(&node.list);
                let made = node.body.as_ref().is_some_and(of) || node.extra.as_ref().is_some_and(of);
                if list || (node.which == Loop::Reduce && made) {
                    self.scopes.insert(node.scope);
                }
                match node.which {
                    Loop::Map => made,
                    Loop::Filter | Loop::Find | Loop::FindLast | Loop::SortBy => list,
                    _ => list || made,
                }
            }
            // Also what is looked up by a secret: a table of letters would spell it in others.
            kind => {
                let mut any = false;
                kind.each_child(|child| any |= self.holds[child as usize]);
                any
            }
        }
    }
}

/// What the tree refers to outside of itself.
pub(crate) fn mentions(tree: &Tree) -> Mentions {
    let mut found = Mentions::default();
    let mut named = vec![false; tree.nodes.len()];
    for node in &tree.nodes {
        if let Kind::Member(object, key, _) = &node.kind
            && is_nodes(&tree.nodes[*object as usize])
            && let Kind::Literal(Value::Text(name)) = &tree.nodes[*key as usize].kind
        {
            named[*object as usize] = true;
            let mention = (name.to_string(), node.span());
            if !found.nodes.contains(&mention) {
                found.nodes.push(mention);
            }
        }
    }
    for (id, node) in tree.nodes.iter().enumerate() {
        found.dynamic_nodes |= is_nodes(node) && !named[id];
        if let Kind::Host(name, arguments) = &node.kind {
            match &**name {
                "root" => found.root = true,
                "run" => found.run = true,
                "workflow" | "app" => found.workflow = true,
                "now" => found.now = true,
                "previous" => found.previous_max = found.previous_max.max(depth_of(tree, arguments)),
                _ => {}
            }
        }
    }
    found
}

fn is_nodes(node: &Node) -> bool {
    matches!(&node.kind, Kind::Variable(name) if &**name == NODES)
}

/// How far back `previous` with these arguments looks; as far as can be where that is computed.
fn depth_of(tree: &Tree, arguments: &[Id]) -> u32 {
    match arguments.first().map(|id| &tree.nodes[*id as usize].kind) {
        None => 1,
        Some(Kind::Literal(value)) => value.as_i64().map_or(1, |n| n.clamp(1, i64::from(u32::MAX)) as u32),
        Some(_) => u32::MAX,
    }
}

/// Unknown names that are told of one template: nobody reads more, and finding what was meant takes time.
const UNKNOWN_NAMES_MAX: usize = 20;

/// The first free variables and called functions that sealflow does not register.
pub(crate) fn unknown_names(tree: &Tree) -> Vec<Error> {
    let fault = |node: &Node| match &node.kind {
        Kind::Variable(name) if &**name == NODES => None,
        Kind::Variable(name) if SEALFLOW_NAMES.contains(&&**name) => {
            Some(Fault::new(ErrorKind::Name, format!("`{name}` is a function: write `{name}()`")))
        }
        Kind::Variable(name) => Some(suggest::unknown("name", name)),
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
