//! What is left of a template when everything that does not depend on a secret is folded.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    analysis,
    ast::{Id, Kind, Node},
    builtins::json,
    error::{Error, ErrorKind, Span},
    eval::{Machine, Tracker, Vault},
    limits::{DEPTH_MAX, NODES_MAX},
};

/// What the executor evaluates: a flat list of typed nodes, in which folded data appears only as literals.
///
/// As JSON: `{"expr": [node, …], "refs": [["name", "key"], …]}`. A node is `{"op": …, "v": …, "at": [start, end]}`;
/// children are indexes of earlier nodes, the last node is the root.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct Residual {
    nodes: Arc<[Node]>,
    refs: Vec<(String, String)>,
    slots: usize,
}

/// The result of a residual. It holds secrets and has no `Debug`.
pub struct Evaluated {
    /// The value.
    pub value: serde_json::Value,
    /// Every text of 8 bytes or more that evaluation made from a secret, for scrubbing.
    pub derived: Vec<String>,
}

/// The opened secrets of one execution.
pub trait Secrets {
    /// The value of `key` in the secret `name`.
    fn get(&self, name: &str, key: &str) -> Option<&str>;
}

impl Residual {
    /// A residual of folded nodes.
    pub(crate) fn new(nodes: Vec<Node>, refs: Vec<(String, String)>) -> Result<Residual, Error> {
        Residual::try_from(Wire { expr: nodes.into_iter().map(WireNode::from).collect(), refs })
            .map_err(|reason| Error::new(ErrorKind::Limit, reason, Span::default()))
    }

    /// The secrets that it refers to, as (name, key), each once.
    pub fn refs(&self) -> &[(String, String)] {
        &self.refs
    }

    /// Evaluates with the secrets and nothing else.
    ///
    /// # Errors
    /// A missing secret ([`ErrorKind::Secret`], naming it), or what the expression itself raises. No error holds a
    /// value or source text; the span is one of the field's source.
    pub fn eval(&self, secrets: &dyn Secrets) -> Result<Evaluated, Error> {
        let vault = Vault { refs: &self.refs, secrets: Some(secrets) };
        let mut machine = Machine::new(&self.nodes, self.slots, None, vault);
        machine.tracker = Some(Tracker::new(analysis::holds_secret(&self.nodes, self.slots)));
        let root = self.nodes.len() as Id - 1;
        let value = machine.eval(root).map_err(|error| *error)?;
        let value = json::encode_result(value, &mut machine.budget);
        let value = value.map_err(|fault| *machine.fault(root, fault))?;
        let derived = machine.tracker.take().map(Tracker::finish).unwrap_or_default();
        Ok(Evaluated { value, derived })
    }
}

/// The form in which a residual is stored.
#[derive(Serialize, Deserialize)]
struct Wire {
    expr: Vec<WireNode>,
    refs: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct WireNode {
    #[serde(flatten)]
    kind: Kind,
    at: [u32; 2],
}

impl From<Node> for WireNode {
    fn from(node: Node) -> WireNode {
        WireNode { kind: node.kind, at: node.span }
    }
}

impl From<Residual> for Wire {
    fn from(residual: Residual) -> Wire {
        Wire { expr: residual.nodes.iter().cloned().map(WireNode::from).collect(), refs: residual.refs }
    }
}

impl TryFrom<Wire> for Residual {
    type Error = &'static str;

    /// Reading trusts nothing: sizes, indexes, depth, and what has no place in a residual.
    fn try_from(wire: Wire) -> Result<Residual, &'static str> {
        if wire.expr.is_empty() || wire.expr.len() > NODES_MAX {
            return Err("a residual has at least one node and not too many");
        }
        let mut depths: Vec<usize> = Vec::with_capacity(wire.expr.len());
        let (mut slots, mut secrets) = (0, 0);
        for (id, node) in wire.expr.iter().enumerate() {
            let spine = node.kind.spine();
            let (mut depth, mut ordered) = (1, true);
            node.kind.each_child(|child| match depths.get(child as usize) {
                Some(below) => depth = depth.max(below + usize::from(Some(child) != spine)),
                None => ordered = false,
            });
            if !ordered {
                return Err("a node of a residual comes after its children");
            }
            if depth > 2 * DEPTH_MAX {
                return Err("a residual is nested too deeply");
            }
            depths.push(depth);
            match &node.kind {
                Kind::Variable(_) | Kind::Host(..) => return Err("a residual refers to nothing but secrets"),
                Kind::Secret(index) => secrets = secrets.max(*index as usize + 1),
                Kind::Let(slot, ..) | Kind::Local(slot) => slots = slots.max(*slot as usize + 1),
                Kind::Builtin(builtin, arguments) if builtin.check_count(arguments.len()).is_err() => {
                    return Err("a builtin of a residual has the wrong number of arguments");
                }
                Kind::Loop(node) if node.body.is_none() && !node.which.body_is_optional() => {
                    return Err("a builtin of a residual has no closure");
                }
                _ => {}
            }
            debug_assert_eq!(depths.len(), id + 1, "one depth for each node");
        }
        if secrets > wire.refs.len() || slots > NODES_MAX {
            return Err("a residual refers to what it does not list");
        }
        let nodes = wire.expr.into_iter().enumerate();
        let nodes =
            nodes.map(|(id, node)| Node { span: node.at, first: id as Id, kind: node.kind }).collect();
        Ok(Residual { nodes, refs: wire.refs, slots })
    }
}
