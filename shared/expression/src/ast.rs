//! The typed, flat tree of an expression: children come before their parents, which name them by
//! index.
//!
//! The nodes of a subtree are contiguous.

use std::sync::Arc;

use secret_text::Encoding;

use crate::{
    builtins::{Builtin, Loop},
    error::Span,
    value::Value,
};

/// The index of a node.
pub(crate) type Id = u32;

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The place of the node in the source, in bytes.
    pub span: [u32; 2],
    /// The first node of the subtree.
    pub first: Id,
    /// The kind of the node.
    pub kind: Kind,
}

impl Node {
    /// The place of the node in the source.
    pub fn span(&self) -> Span {
        Span::new(self.span[0] as usize, self.span[1] as usize)
    }
}

/// The kind of a node.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A constant.
    Literal(Value<'static>),
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A `let` variable, by its slot.
    Local(u32),
    /// `#`, with the number of its closure.
    Item(u32),
    /// `#index`
    Index,
    /// `#acc`
    Acc,
    /// A secret, by its place in the table of references.
    Secret(u32),
    /// A prefix operator.
    Unary(UnaryOp, Id),
    /// An operator that always evaluates both sides.
    Binary(BinaryOp, Id, Id),
    /// `&&`
    And(Id, Id),
    /// `||`, and `a ?: b`
    Or(Id, Id),
    /// `??`
    Coalesce(Id, Id),
    /// `condition ? a : b`, and `if`
    Choose(Id, Id, Id),
    /// `let slot = value; body`
    Let(u32, Id, Id),
    /// `a; b; c`, whose value is the last.
    Sequence(Vec<Id>),
    /// `object.key`, `object[key]`; `?.` where the flag is set.
    Member(Id, Id, bool),
    /// The end of an optional chain: where a `?.` in the chain meets nil, the whole chain is nil.
    Chain(Id),
    /// `object[from:to]`
    Slice(Id, Option<Id>, Option<Id>),
    /// `[a, b]`
    List(Vec<Id>),
    /// `{a: b}`
    Map(Vec<(Id, Id)>),
    /// A builtin function.
    Builtin(Builtin, Vec<Id>),
    /// A builtin with a closure.
    Loop(LoopNode),
    /// A function of the environment.
    Host(Arc<str>, Vec<Id>),
    /// `object.name(arguments)`; `?.` where the flag is set.
    Method(Id, Arc<str>, Vec<Id>, bool),
    /// Percent-encodes a template's value for its place in a URL.
    Encode(Encoding, Id),
}

/// A builtin with a closure: `list | which(body, extra)`.
#[derive(Clone, Debug)]
pub(crate) struct LoopNode {
    /// The builtin.
    pub which: Loop,
    /// The number of the closure, which `#` names.
    pub scope: u32,
    /// The list of the loop.
    pub list: Id,
    /// The closure; it is optional for `count` and `sum`.
    pub body: Option<Id>,
    /// The order of `sortBy`, the start of `reduce`.
    pub extra: Option<Id>,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    /// `!`, `not`
    Not,
    /// `-`
    Minus,
    /// `+`
    Plus,
}

/// Operators that always evaluate both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Range,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
}

impl UnaryOp {
    /// As the author writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Not => "not",
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
        }
    }
}

impl BinaryOp {
    /// As the author writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Power => "**",
            BinaryOp::Range => "..",
            BinaryOp::In => "in",
            BinaryOp::Contains => "contains",
            BinaryOp::StartsWith => "startsWith",
            BinaryOp::EndsWith => "endsWith",
            BinaryOp::Matches => "matches",
        }
    }
}

impl Kind {
    /// The child through which a chain of operators or accesses goes on. Such chains are walked
    /// without recursion.
    pub fn spine(&self) -> Option<Id> {
        match self {
            Kind::Binary(_, left, _) | Kind::And(left, _) | Kind::Or(left, _) | Kind::Coalesce(left, _) => {
                Some(*left)
            }
            Kind::Member(object, _, _) | Kind::Slice(object, _, _) | Kind::Method(object, _, _, _) => {
                Some(*object)
            }
            Kind::Chain(inner) => Some(*inner),
            _ => None,
        }
    }

    /// Calls `each` with every child, in the order of evaluation.
    pub fn each_child(&self, mut each: impl FnMut(Id)) {
        match self {
            Kind::Literal(_) | Kind::Variable(_) | Kind::Local(_) | Kind::Item(_) | Kind::Index => {}
            Kind::Acc | Kind::Secret(_) => {}
            Kind::Unary(_, child) | Kind::Chain(child) | Kind::Encode(_, child) => each(*child),
            Kind::Binary(_, a, b) | Kind::And(a, b) | Kind::Or(a, b) | Kind::Coalesce(a, b) => {
                each(*a);
                each(*b);
            }
            Kind::Member(a, b, _) | Kind::Let(_, a, b) => {
                each(*a);
                each(*b);
            }
            Kind::Choose(condition, yes, no) => [condition, yes, no].into_iter().copied().for_each(each),
            Kind::Slice(object, from, to) => {
                each(*object);
                from.iter().chain(to).copied().for_each(each);
            }
            Kind::Sequence(ids) | Kind::List(ids) | Kind::Builtin(_, ids) | Kind::Host(_, ids) => {
                ids.iter().copied().for_each(each);
            }
            Kind::Map(pairs) => pairs.iter().flat_map(|(key, value)| [*key, *value]).for_each(each),
            Kind::Loop(node) => {
                each(node.list);
                node.body.iter().chain(&node.extra).copied().for_each(each);
            }
            Kind::Method(object, _, arguments, _) => {
                each(*object);
                arguments.iter().copied().for_each(each);
            }
        }
    }
}
