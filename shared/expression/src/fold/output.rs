//! The residual while it grows.

use crate::{
    ast::{Id, Kind, Node},
    eval::{Budget, Fault},
    limits::{NODES_MAX, RESIDUAL_LITERAL_BYTES_MAX, VALUE_NESTING_MAX},
    literal,
    value::{Key, Map, Value},
};

/// The nodes and references of a residual.
#[derive(Default)]
pub(crate) struct Output {
    nodes: Vec<Node>,
    refs: Vec<(String, String)>,
    literal_bytes: usize,
}

impl Output {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets the nodes from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.nodes.truncate(length);
    }

    /// Adds a node.
    pub fn push(&mut self, span: [u32; 2], kind: Kind) -> Result<Id, Fault> {
        if self.nodes.len() >= NODES_MAX {
            return Err(Fault::limit(format!("more than {NODES_MAX} parts depend on secrets")));
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(Node { span, first: id, kind });
        Ok(id)
    }

    /// Adds a known value.
    pub fn literal(&mut self, span: [u32; 2], value: &Value<'_>, budget: &mut Budget) -> Result<Id, Fault> {
        measure(value, 0, &mut self.literal_bytes, budget)?;
        self.push(span, Kind::Literal(literal::owned(value)))
    }

    /// The index of a reference.
    pub fn reference(&mut self, reference: &(String, String)) -> u32 {
        let known = self.refs.iter().position(|known| known == reference);
        known.unwrap_or_else(|| {
            self.refs.push(reference.clone());
            self.refs.len() - 1
        }) as u32
    }

    /// What has grown: the nodes that `root` needs, in order, and their references.
    pub fn finish(self, root: Id) -> (Vec<Node>, Vec<(String, String)>) {
        let mut needed = vec![false; root as usize + 1];
        needed[root as usize] = true;
        for id in (0..=root as usize).rev() {
            if needed[id] {
                self.nodes[id].kind.each_child(|child| needed[child as usize] = true);
            }
        }
        let (mut nodes, mut refs) = (Vec::new(), Vec::new());
        let mut moved = vec![0; needed.len()];
        for (id, mut node) in
            self.nodes.into_iter().take(needed.len()).enumerate().filter(|(id, _)| needed[*id])
        {
            moved[id] = nodes.len() as Id;
            node.kind.map_children(|child| moved[child as usize]);
            if let Kind::Secret(index) = &mut node.kind {
                let reference = &self.refs[*index as usize];
                let known = refs.iter().position(|known| known == reference);
                *index = known.unwrap_or(refs.len()) as u32;
                if known.is_none() {
                    refs.push(reference.clone());
                }
            }
            nodes.push(node);
        }
        (nodes, refs)
    }
}

/// Refuses a value that is too large or too deep for a literal.
fn measure(value: &Value<'_>, level: usize, bytes: &mut usize, budget: &mut Budget) -> Result<(), Fault> {
    if level > VALUE_NESTING_MAX {
        return Err(Fault::limit("data that is combined with a secret is nested too deeply"));
    }
    let mut add = |more: usize| {
        *bytes = bytes.saturating_add(more);
        if *bytes > RESIDUAL_LITERAL_BYTES_MAX {
            return Err(Fault::limit("too much data is combined with a secret"));
        }
        budget.grow(more)
    };
    add(size_of::<Value<'_>>())?;
    match value {
        Value::Text(text) => add(text.len()),
        Value::List(list) => list.iter().try_for_each(|item| measure(&item, level + 1, bytes, budget)),
        Value::Map(map) => measure_map(map, level, bytes, budget),
        _ => Ok(()),
    }
}

fn measure_map(map: &Map<'_>, level: usize, bytes: &mut usize, budget: &mut Budget) -> Result<(), Fault> {
    for (key, item) in map.entries() {
        if let Key::Text(key) = &key {
            *bytes = bytes.saturating_add(key.len());
        }
        measure(&item, level + 1, bytes, budget)?;
    }
    Ok(())
}
