//! The use of secrets by a tree, found without an evaluation: the nodes that would have to look at
//! a secret, and the use of each reference.

use std::collections::BTreeMap;

use crate::{
    ast::{BinaryOp, Id, Kind, LoopNode},
    builtins::{Builtin, Loop},
    error::{Error, ErrorKind},
    eval::Fault,
    opaque::{self, HMAC_KEY, refused},
    parser::Tree,
    template::{SecretRef, SecretRole},
    value::Value,
};

/// The shape of a node's value, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// No secret in it.
    Known,
    /// A secret, or a text that holds one.
    Text,
    /// The JSON in a secret, or a place in it.
    Json,
    /// Bytes.
    Bytes,
    /// A list of such values, and whether one of them surely holds a secret.
    List(Box<Shape>, bool),
    /// A map of such values.
    Map(BTreeMap<String, Shape>),
    /// Perhaps a secret in it; the evaluator decides.
    Unknown,
}

impl Shape {
    /// Whether the value itself is opaque.
    fn is_opaque(&self) -> bool {
        matches!(self, Shape::Text | Shape::Json | Shape::Bytes)
    }

    /// Whether the value is opaque or surely holds an opaque value.
    fn holds_opaque(&self) -> bool {
        match self {
            Shape::Known | Shape::Unknown => false,
            Shape::Text | Shape::Json | Shape::Bytes => true,
            Shape::List(_, holds_opaque) => *holds_opaque,
            Shape::Map(entries) => entries.values().any(Shape::holds_opaque),
        }
    }

    /// The shape of one of several values, any of which it may be.
    fn any(shapes: impl IntoIterator<Item = Shape>) -> Shape {
        let mut shapes = shapes.into_iter();
        let Some(first) = shapes.next() else { return Shape::Known };
        if shapes.all(|shape| shape == first) { first } else { Shape::Unknown }
    }

    /// The value of one of two branches: opaque where one branch is.
    fn branch(self, other: Shape) -> Shape {
        match (self, other) {
            (one, other) if one == other => one,
            (opaque, _) | (_, opaque) if opaque.is_opaque() => opaque,
            _ => Shape::Unknown,
        }
    }

    /// A part of a list, which may be empty.
    fn maybe_empty(&self) -> Shape {
        match self {
            Shape::List(items, _) => Shape::List(items.clone(), false),
            other => other.clone(),
        }
    }

    /// An element of a list.
    fn element(&self) -> Shape {
        match self {
            Shape::List(items, _) => (**items).clone(),
            Shape::Known => Shape::Known,
            _ => Shape::Unknown,
        }
    }
}

/// The use of the values of a template's expressions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// The values are printed into a text.
    Printed,
    /// The one value is the field's value.
    Whole,
}

/// Refuses a tree that would have to look at a secret, as far as its shapes show.
pub(crate) fn check(tree: &Tree, roots: impl Iterator<Item = Id>, values: Values) -> Result<(), Error> {
    let is_printed = values == Values::Printed;
    let makes_opaque = |node: &crate::ast::Node| {
        matches!(
            node.kind,
            Kind::Secret(_) | Kind::Builtin(Builtin::SentAt | Builtin::Request | Builtin::Hmac, _)
        )
    };
    if !tree.nodes.iter().any(makes_opaque) {
        return Ok(());
    }
    check_requests(tree)?;
    let mut checker = Checker { tree, shapes: Vec::with_capacity(tree.nodes.len()), lists: BTreeMap::new() };
    for node in &tree.nodes {
        if let Kind::Loop(node) = &node.kind {
            checker.lists.insert(node.scope, node.list);
        }
    }
    for node in &tree.nodes {
        let shape = checker.shape(&node.kind).map_err(|fault| *fault.at(node.span()))?;
        checker.shapes.push(shape);
    }
    for root in roots {
        let what = match checker.of(root) {
            Shape::List(_, true) if is_printed => "a printed list",
            shape @ Shape::Map(_) if is_printed && shape.holds_opaque() => "a printed map",
            _ => continue,
        };
        return Err(*refused(what).at(tree.nodes[root as usize].span()));
    }
    Ok(())
}

/// Refuses `request` outside of the data of `hmac`: a part of the request, placed as text, would
/// carry secrets of one field into another.
fn check_requests(tree: &Tree) -> Result<(), Error> {
    let mut is_data = vec![false; tree.nodes.len()];
    for node in &tree.nodes {
        if let Kind::Builtin(Builtin::Hmac, arguments) = &node.kind {
            let first = tree.nodes[arguments[2] as usize].first as usize;
            is_data[first..=arguments[2] as usize].fill(true);
        }
    }
    for (node, is_data) in tree.nodes.iter().zip(is_data) {
        if matches!(node.kind, Kind::Builtin(Builtin::Request, _)) && !is_data {
            let message = "`request` can stand in the data of `hmac` only, as in `hmac(\"sha256\", secrets(\"a\").b, request(\"body\"), \"hex\")`";
            return Err(*Fault::new(ErrorKind::Secret, message).at(node.span()));
        }
    }
    Ok(())
}

struct Checker<'t> {
    tree: &'t Tree,
    /// The shapes of the nodes before this one; children come first.
    shapes: Vec<Shape>,
    /// The lists that closures go over, by the number of the closure.
    lists: BTreeMap<u32, Id>,
}

impl Checker<'_> {
    fn of(&self, id: Id) -> &Shape {
        self.shapes.get(id as usize).unwrap_or(&Shape::Unknown)
    }

    /// Refuses a child that is opaque or surely holds an opaque value.
    fn look(&self, what: &str, ids: &[Id]) -> Result<(), Fault> {
        if ids.iter().any(|id| self.of(*id).holds_opaque()) { Err(refused(what)) } else { Ok(()) }
    }

    /// Refuses a child that is opaque itself.
    fn enter(&self, what: &str, ids: &[Id]) -> Result<(), Fault> {
        if ids.iter().any(|id| self.of(*id).is_opaque()) { Err(refused(what)) } else { Ok(()) }
    }

    fn shape(&self, kind: &Kind) -> Result<Shape, Fault> {
        match kind {
            Kind::Literal(_) | Kind::Variable(_) | Kind::Index => Ok(Shape::Known),
            Kind::Secret(_) => Ok(Shape::Text),
            Kind::Local(slot) => Ok(self.of(self.tree.slots[*slot as usize]).clone()),
            Kind::Item(scope) => {
                Ok(self.lists.get(scope).map_or(Shape::Unknown, |list| self.of(*list).element()))
            }
            Kind::Acc => Ok(Shape::Unknown),
            Kind::Unary(op, child) => self.look(op.symbol(), &[*child]).map(|()| Shape::Known),
            Kind::Binary(BinaryOp::Add, left, right) => self.sum(*left, *right),
            Kind::Binary(op, left, right) => self.look(op.symbol(), &[*left, *right]).map(|()| Shape::Known),
            Kind::And(left, right) => self.either("&&", *left, *right),
            Kind::Or(left, right) => self.either("||", *left, *right),
            Kind::Coalesce(left, right) => {
                self.enter("??", &[*left])?;
                Ok(self.of(*left).clone().branch(self.of(*right).clone()))
            }
            Kind::Choose(condition, yes, no) => {
                self.look("a condition", &[*condition])?;
                Ok(self.of(*yes).clone().branch(self.of(*no).clone()))
            }
            Kind::Let(_, _, body) | Kind::Chain(body) => Ok(self.of(*body).clone()),
            Kind::Sequence(ids) => Ok(ids.last().map_or(Shape::Known, |id| self.of(*id).clone())),
            Kind::Member(object, key, _) => self.member(*object, *key),
            Kind::Slice(object, from, to) => {
                let bounds: Vec<Id> = from.iter().chain(to).copied().chain([*object]).collect();
                self.enter("[…:…]", &bounds).map(|()| self.of(*object).maybe_empty())
            }
            Kind::List(ids) => {
                let holds_opaque = ids.iter().any(|id| self.of(*id).holds_opaque());
                let items = Shape::any(ids.iter().map(|id| self.of(*id).clone()));
                Ok(if items == Shape::Known { items } else { Shape::List(Box::new(items), holds_opaque) })
            }
            Kind::Map(pairs) => self.map(pairs),
            Kind::Builtin(builtin, arguments) => self.builtin(*builtin, arguments),
            Kind::Loop(node) => self.closure(node),
            Kind::Host(name, arguments) => self.look(name, arguments).map(|()| Shape::Known),
            Kind::Method(object, name, arguments, _) => {
                self.look(name, &[*object])?;
                self.look(name, arguments).map(|()| Shape::Known)
            }
            Kind::Encode(_, child) => {
                if matches!(self.of(*child), Shape::List(..) | Shape::Map(_)) {
                    self.look("a printed list or map", &[*child])?;
                }
                Ok(if self.of(*child).is_opaque() { Shape::Text } else { Shape::Known })
            }
        }
    }

    fn sum(&self, left: Id, right: Id) -> Result<Shape, Fault> {
        let (left, right) = (self.of(left), self.of(right));
        let is_container =
            |shape: &Shape| matches!(shape, Shape::List(..) | Shape::Map(_)) && shape.holds_opaque();
        if is_container(left) || is_container(right) {
            return Err(refused("+"));
        }
        Ok(match (left, right) {
            _ if left.is_opaque() || right.is_opaque() => Shape::Text,
            (Shape::Known, Shape::Known) => Shape::Known,
            _ => Shape::Unknown,
        })
    }

    fn either(&self, what: &str, left: Id, right: Id) -> Result<Shape, Fault> {
        self.look(what, &[left])?;
        Ok(Shape::Known.branch(self.of(right).clone()))
    }

    fn literal(&self, id: Id) -> Option<&str> {
        match &self.tree.nodes[id as usize].kind {
            Kind::Literal(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Refuses a literal word that `builtin` does not know.
    fn check_word(&self, builtin: Builtin, id: Id, argument: usize) -> Result<(), Fault> {
        match self.literal(id).map(|word| opaque::check_word(builtin, argument, word)) {
            Some(Err(fault)) => Err(fault),
            _ => Ok(()),
        }
    }

    fn member(&self, object: Id, key: Id) -> Result<Shape, Fault> {
        self.look("[…]", &[key])?;
        match self.of(object) {
            Shape::Text | Shape::Bytes => Err(refused("[…]")),
            Shape::Json => match &self.tree.nodes[key as usize].kind {
                Kind::Literal(_) | Kind::Unary(..) => Ok(Shape::Json),
                _ => Err(refused("[…]")),
            },
            Shape::List(items, _) => Ok((**items).clone()),
            Shape::Map(entries) => Ok(match self.literal(key) {
                Some(key) => entries.get(key).cloned().unwrap_or(Shape::Known),
                None => Shape::any(entries.values().cloned()),
            }),
            Shape::Known => Ok(Shape::Known),
            Shape::Unknown => Ok(Shape::Unknown),
        }
    }

    fn map(&self, pairs: &[(Id, Id)]) -> Result<Shape, Fault> {
        let keys: Vec<Id> = pairs.iter().map(|(key, _)| *key).collect();
        self.look("a map's key", &keys)?;
        if pairs.iter().all(|(_, value)| *self.of(*value) == Shape::Known) {
            return Ok(Shape::Known);
        }
        let mut entries = BTreeMap::new();
        for (key, value) in pairs {
            let Some(key) = self.literal(*key) else { return Ok(Shape::Unknown) };
            entries.entry(key.to_owned()).or_insert_with(|| self.of(*value).clone());
        }
        Ok(Shape::Map(entries))
    }

    fn builtin(&self, builtin: Builtin, arguments: &[Id]) -> Result<Shape, Fault> {
        let first = arguments.first().map_or(&Shape::Known, |id| self.of(*id));
        let name = builtin.name();
        let others = arguments.get(1..).unwrap_or_default();
        match builtin {
            Builtin::SentAt | Builtin::Request => {
                self.look(name, arguments)?;
                self.check_word(builtin, arguments[0], 0)?;
                Ok(Shape::Text)
            }
            Builtin::Hmac => {
                self.look(name, &[arguments[0], arguments[3]])?;
                self.check_word(builtin, arguments[0], 0)?;
                self.check_word(builtin, arguments[3], 3)?;
                if *self.of(arguments[1]) == Shape::Known {
                    return Err(Fault::new(ErrorKind::Secret, HMAC_KEY));
                }
                Ok(match self.literal(arguments[3]) {
                    Some("bytes") => Shape::Bytes,
                    Some(_) => Shape::Text,
                    None => Shape::Unknown,
                })
            }
            Builtin::ToBase64 | Builtin::EscapeUrl | Builtin::UrlPath | Builtin::EscapeXml => {
                if matches!(first, Shape::List(..) | Shape::Map(_)) {
                    self.look("a printed list or map", arguments)?;
                }
                Ok(if first.is_opaque() { Shape::Text } else { first.clone() })
            }
            Builtin::ToJson => Ok(match first {
                Shape::Known | Shape::Unknown => first.clone(),
                _ => Shape::Text,
            }),
            Builtin::Join => {
                self.enter(name, &arguments[..1])?;
                let opaque_glue = others.iter().any(|id| self.of(*id).is_opaque());
                Ok(match first {
                    Shape::Known if !opaque_glue => Shape::Known,
                    Shape::List(_, true) => Shape::Text,
                    _ => Shape::Unknown,
                })
            }
            Builtin::FromJson => Ok(match first {
                Shape::Text | Shape::Bytes => Shape::Json,
                Shape::Json => return Err(refused(name)),
                other => other.clone(),
            }),
            Builtin::FromBase64 => Ok(match first {
                Shape::Text => Shape::Bytes,
                Shape::Json | Shape::Bytes => return Err(refused(name)),
                other => other.clone(),
            }),
            Builtin::First | Builtin::Last => self.enter(name, arguments).map(|()| first.element()),
            Builtin::Get => {
                self.enter(name, arguments)?;
                self.member(arguments[0], arguments[1])
            }
            Builtin::Reverse => self.enter(name, arguments).map(|()| first.clone()),
            Builtin::Take => {
                self.enter(name, arguments)?;
                self.look(name, others).map(|()| first.maybe_empty())
            }
            Builtin::Concat | Builtin::Flatten | Builtin::Values | Builtin::ToPairs => {
                self.enter(name, arguments)?;
                let known = arguments.iter().all(|id| *self.of(*id) == Shape::Known);
                Ok(if known { Shape::Known } else { Shape::Unknown })
            }
            Builtin::Keys => self.enter(name, arguments).map(|()| Shape::Known),
            _ => self.look(name, arguments).map(|()| Shape::Known),
        }
    }

    fn closure(&self, node: &LoopNode) -> Result<Shape, Fault> {
        self.enter("a closure over it", &[node.list])?;
        let (name, list) = (node.which.name(), self.of(node.list));
        let body = node.body.map_or_else(|| list.element(), |body| self.of(body).clone());
        match node.which {
            // The list may be empty.
            Loop::Map if body == Shape::Known => return Ok(body),
            Loop::Map => return Ok(Shape::List(Box::new(body), false)),
            Loop::Reduce => return Ok(Shape::Unknown),
            _ if body.holds_opaque() => return Err(refused(name)),
            _ => {}
        }
        Ok(match node.which {
            Loop::SortBy => list.clone(),
            Loop::Filter => list.maybe_empty(),
            Loop::Find | Loop::FindLast => list.element(),
            Loop::GroupBy if *list != Shape::Known => Shape::Unknown,
            _ => Shape::Known,
        })
    }
}

/// Whether a node surely joins texts or encodes one. A choice by data is not known before the
/// evaluation.
pub(crate) fn is_composed(tree: &Tree, id: Id) -> bool {
    match &tree.nodes[id as usize].kind {
        Kind::Choose(_, one, other) => is_composed(tree, *one) || is_composed(tree, *other),
        Kind::Let(_, _, body) | Kind::Chain(body) => is_composed(tree, *body),
        Kind::Sequence(ids) => ids.last().is_some_and(|last| is_composed(tree, *last)),
        Kind::Binary(..) | Kind::Encode(..) => true,
        Kind::Builtin(builtin, _) => matches!(
            builtin,
            Builtin::ToBase64
                | Builtin::EscapeUrl
                | Builtin::UrlPath
                | Builtin::EscapeXml
                | Builtin::ToJson
                | Builtin::FromBase64
                | Builtin::Join
                | Builtin::Hmac
                | Builtin::SentAt
                | Builtin::Request
        ),
        Kind::Literal(_)
        | Kind::Variable(_)
        | Kind::Local(_)
        | Kind::Item(_)
        | Kind::Index
        | Kind::Acc
        | Kind::Secret(_)
        | Kind::Unary(..)
        | Kind::And(..)
        | Kind::Or(..)
        | Kind::Coalesce(..)
        | Kind::Member(..)
        | Kind::Slice(..)
        | Kind::List(_)
        | Kind::Map(_)
        | Kind::Loop(_)
        | Kind::Host(..)
        | Kind::Method(..) => false,
    }
}

/// The references of a tree with their uses, each place once.
pub(crate) fn secret_refs(tree: &Tree) -> Vec<SecretRef> {
    let mut roles: Vec<SecretRole> = vec![SecretRole::Placed; tree.nodes.len()];
    let mut mark = |root: Id, role: SecretRole| {
        let first = tree.nodes[root as usize].first as usize;
        roles[first..=root as usize].fill(role);
    };
    // Encodings first: a MAC's key inside of an encoding stays a signing key.
    for node in &tree.nodes {
        if let Kind::Encode(place, child) = &node.kind {
            mark(*child, SecretRole::InUrl(*place));
        }
    }
    for node in &tree.nodes {
        if let Kind::Builtin(Builtin::Hmac, arguments) = &node.kind {
            mark(arguments[1], SecretRole::Signing);
        }
    }
    let mut found: Vec<SecretRef> = Vec::new();
    for (node, role) in tree.nodes.iter().zip(roles) {
        let Kind::Secret(index) = &node.kind else { continue };
        let (name, key) = tree.refs[*index as usize].clone();
        let reference = SecretRef { name, key, span: node.span(), role };
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
    found
}
