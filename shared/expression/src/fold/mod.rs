//! Partial evaluation: everything that does not depend on a secret is folded, the rest becomes a residual.
//!
//! The law: evaluating the whole expression with everything at hand gives what evaluating the residual with the
//! secrets alone gives. So the folder decides in the evaluator's order and leaves every operation itself to the
//! evaluator. An error while folding what may never run becomes a `raise` node; elsewhere it fails the build.

mod chain;
mod output;

pub(crate) use output::Output;

use crate::{
    ast::{Id, Kind, LoopNode},
    error::{Error, ErrorKind},
    eval::{Budget, Fault, Items, Machine, Vault},
    parser::Tree,
    template::Environment,
    value::Value,
};

/// A folded node.
pub(crate) enum Partial<'a> {
    /// Known now.
    Known(Value<'a>),
    /// Known when the secrets are; a node of the residual.
    Rest(Id),
}

/// What folding a node gives.
type Step<'a> = Result<Partial<'a>, Box<Error>>;

/// Folds the expressions of one template.
pub(crate) struct Folder<'a> {
    tree: &'a Tree,
    /// Evaluates what is known.
    pub machine: Machine<'a>,
    /// Where the residual grows.
    pub output: Output,
    /// `let` slots whose value is not known now.
    open_slots: Vec<bool>,
    /// Closures that stay in the residual, so that their `#` is not known now.
    open_scopes: Vec<bool>,
    /// The nodes that may depend on something unknown, in order.
    marks: Vec<Id>,
    /// The chain that is being walked, shared by all levels.
    spine: Vec<Id>,
    /// Whether what is folded may never run.
    speculates: bool,
    /// What is left for all that may never run together.
    aside: Budget,
}

impl<'a> Folder<'a> {
    /// A folder for `tree` in the environment `host`.
    pub fn new(tree: &'a Tree, host: &'a dyn Environment) -> Folder<'a> {
        let vault = Vault { refs: &tree.refs, secrets: None };
        let depends = |kind: &Kind| {
            matches!(kind, Kind::Secret(_) | Kind::Local(_) | Kind::Item(_) | Kind::Index(_) | Kind::Acc(_))
        };
        let marks = if tree.refs.is_empty() {
            Vec::new()
        } else {
            (0..tree.nodes.len() as Id).filter(|id| depends(&tree.nodes[*id as usize].kind)).collect()
        };
        Folder {
            tree,
            machine: Machine::new(&tree.nodes, tree.slots.len(), Some(host), vault),
            output: Output::default(),
            open_slots: vec![false; tree.slots.len()],
            open_scopes: vec![false; tree.scopes as usize],
            marks,
            spine: Vec::new(),
            speculates: false,
            aside: Budget::default(),
        }
    }

    /// Folds the expression with the root `id`.
    pub fn fold(&mut self, id: Id) -> Step<'a> {
        if self.is_known(id) {
            return self.machine.eval(id).map(Partial::Known);
        }
        if self.kind(id).spine().is_some() { self.fold_chain(id) } else { self.fold_node(id) }
    }

    fn kind(&self, id: Id) -> &'a Kind {
        &self.tree.nodes[id as usize].kind
    }

    /// Whether nothing in the subtree of `id` waits for a secret.
    fn is_known(&self, id: Id) -> bool {
        let first = self.tree.nodes[id as usize].first;
        let from = self.marks.partition_point(|mark| *mark < first);
        self.marks[from..].iter().take_while(|mark| **mark <= id).all(|mark| match self.kind(*mark) {
            Kind::Secret(_) => false,
            Kind::Local(slot) => !self.open_slots[*slot as usize],
            Kind::Item(scope) | Kind::Index(scope) | Kind::Acc(scope) => !self.open_scopes[*scope as usize],
            _ => true,
        })
    }

    /// Folds what may never run: an error becomes a node that raises it.
    fn speculate(&mut self, id: Id) -> Result<Id, Box<Error>> {
        let before = self.output.len();
        let spine = self.spine.len();
        // On a budget of its own, so that it takes nothing away from what surely runs.
        let is_outermost = !std::mem::replace(&mut self.speculates, true);
        if is_outermost {
            std::mem::swap(&mut self.machine.budget, &mut self.aside);
        }
        let folded = self.fold(id).and_then(|partial| self.lift(id, partial));
        if is_outermost {
            std::mem::swap(&mut self.machine.budget, &mut self.aside);
            self.speculates = false;
        }
        match folded {
            Ok(node) => Ok(node),
            Err(error) => {
                self.output.truncate(before);
                self.spine.truncate(spine);
                let span = [error.span.start as u32, error.span.end as u32];
                let raise = Kind::Raise(error.kind, error.message);
                self.output.push(span, raise).map_err(|fault| self.machine.fault(id, fault))
            }
        }
    }

    /// A folded node as a node of the residual.
    pub fn lift(&mut self, id: Id, partial: Partial<'a>) -> Result<Id, Box<Error>> {
        match partial {
            Partial::Rest(node) => Ok(node),
            Partial::Known(value) => {
                let span = self.tree.nodes[id as usize].span;
                let node = self.output.literal(span, &value, &mut self.machine.budget);
                node.map_err(|fault| self.machine.fault(id, fault))
            }
        }
    }

    /// Adds a node for `id` to the residual.
    fn emit(&mut self, id: Id, kind: Kind) -> Step<'a> {
        let node = self.output.push(self.tree.nodes[id as usize].span, kind);
        node.map(Partial::Rest).map_err(|fault| self.machine.fault(id, fault))
    }

    fn fold_all(&mut self, ids: &[Id]) -> Result<Vec<Partial<'a>>, Box<Error>> {
        ids.iter().map(|id| self.fold(*id)).collect()
    }

    /// The values, if all are known; else nodes for all of them.
    fn settle(
        &mut self,
        ids: &[Id],
        partials: Vec<Partial<'a>>,
    ) -> Result<Result<Vec<Value<'a>>, Vec<Id>>, Box<Error>> {
        if partials.iter().all(|partial| matches!(partial, Partial::Known(_))) {
            let value = |partial| match partial {
                Partial::Known(value) => value,
                Partial::Rest(_) => Value::Nil,
            };
            return Ok(Ok(partials.into_iter().map(value).collect()));
        }
        let nodes: Result<Vec<Id>, _> =
            ids.iter().zip(partials).map(|(id, partial)| self.lift(*id, partial)).collect();
        nodes.map(Err)
    }

    /// A node that is no chain and depends on something unknown.
    fn fold_node(&mut self, id: Id) -> Step<'a> {
        match self.kind(id) {
            Kind::Secret(index) => {
                let index = self.output.reference(&self.tree.refs[*index as usize]);
                self.emit(id, Kind::Secret(index))
            }
            kind @ (Kind::Local(_) | Kind::Item(_) | Kind::Index(_) | Kind::Acc(_)) => {
                self.emit(id, kind.clone())
            }
            Kind::Unary(op, child) => match self.fold(*child)? {
                Partial::Known(value) => self.machine.unary(id, *op, &value).map(Partial::Known),
                Partial::Rest(node) => self.emit(id, Kind::Unary(*op, node)),
            },
            Kind::Choose(condition, yes, no) => self.fold_choice(id, *condition, *yes, *no),
            Kind::Let(slot, value, body) => self.fold_let(id, *slot, *value, *body),
            Kind::Sequence(ids) => self.fold_sequence(id, ids),
            Kind::List(ids) => {
                let items = self.fold_all(ids)?;
                match self.settle(ids, items)? {
                    Ok(items) => self.machine.list(id, items).map(Partial::Known),
                    Err(nodes) => self.emit(id, Kind::List(nodes)),
                }
            }
            Kind::Map(pairs) => self.fold_map(id, pairs),
            Kind::Builtin(builtin, ids) => {
                let arguments = self.fold_all(ids)?;
                match self.settle(ids, arguments)? {
                    Ok(arguments) => self.machine.builtin(id, *builtin, &arguments).map(Partial::Known),
                    Err(nodes) => self.emit(id, Kind::Builtin(*builtin, nodes)),
                }
            }
            Kind::Loop(node) => self.fold_loop(id, node),
            Kind::Host(name, ids) => {
                let arguments = self.fold_all(ids)?;
                match self.settle(ids, arguments)? {
                    Ok(arguments) => self.machine.host(id, name, &arguments).map(Partial::Known),
                    Err(_) => Err(self.machine.fault(id, host_argument(name))),
                }
            }
            Kind::Encode(place, child) => match self.fold(*child)? {
                Partial::Known(value) => self.machine.encode(id, *place, &value).map(Partial::Known),
                Partial::Rest(node) => self.emit(id, Kind::Encode(*place, node)),
            },
            _ => Err(self.machine.fault(id, Fault::other("this node cannot be folded"))),
        }
    }

    fn fold_choice(&mut self, id: Id, condition: Id, yes: Id, no: Id) -> Step<'a> {
        match self.fold(condition)? {
            Partial::Known(value) => {
                let chosen = if self.machine.truth(id, "a condition", &value)? { yes } else { no };
                self.fold(chosen)
            }
            Partial::Rest(condition) => {
                let (yes, no) = (self.speculate(yes)?, self.speculate(no)?);
                self.emit(id, Kind::Choose(condition, yes, no))
            }
        }
    }

    /// A known value is substituted.
    fn fold_let(&mut self, id: Id, slot: u32, value: Id, body: Id) -> Step<'a> {
        match self.fold(value)? {
            Partial::Known(value) => {
                self.open_slots[slot as usize] = false;
                self.machine.bind(slot, value);
                self.fold(body)
            }
            Partial::Rest(value) => {
                self.open_slots[slot as usize] = true;
                let folded = self.fold(body)?;
                let body = self.lift(body, folded)?;
                self.emit(id, Kind::Let(slot, value, body))
            }
        }
    }

    /// What is known before the last is dropped; what is not may still raise.
    fn fold_sequence(&mut self, id: Id, ids: &[Id]) -> Step<'a> {
        let Some((last, before)) = ids.split_last() else { return Ok(Partial::Known(Value::Nil)) };
        let mut nodes = Vec::new();
        for id in before {
            if let Partial::Rest(node) = self.fold(*id)? {
                nodes.push(node);
            }
        }
        let folded = self.fold(*last)?;
        if nodes.is_empty() {
            return Ok(folded);
        }
        nodes.push(self.lift(*last, folded)?);
        self.emit(id, Kind::Sequence(nodes))
    }

    fn fold_map(&mut self, id: Id, pairs: &[(Id, Id)]) -> Step<'a> {
        let ids: Vec<Id> = pairs.iter().flat_map(|(key, value)| [*key, *value]).collect();
        let partials = self.fold_all(&ids)?;
        match self.settle(&ids, partials)? {
            Ok(values) => {
                let mut values = values.into_iter();
                let mut known = Vec::with_capacity(pairs.len());
                while let (Some(key), Some(value)) = (values.next(), values.next()) {
                    known.push((key, value));
                }
                self.machine.map(id, known).map(Partial::Known)
            }
            Err(nodes) => {
                self.emit(id, Kind::Map(nodes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
            }
        }
    }

    fn fold_loop(&mut self, id: Id, node: &'a LoopNode) -> Step<'a> {
        let list = self.fold(node.list)?;
        let extra = node.extra.map(|extra| self.fold(extra)).transpose()?;
        let scope = node.scope as usize;
        self.open_scopes[scope] = false;
        let body_known = node.body.is_none_or(|body| self.is_known(body));
        let (list, extra) = match (list, extra) {
            (Partial::Known(list), None) if body_known || is_empty(&list) => {
                return self.machine.run_loop(id, node, list, None).map(Partial::Known);
            }
            (Partial::Known(list), Some(Partial::Known(extra))) if body_known || is_empty(&list) => {
                return self.machine.run_loop(id, node, list, Some(extra)).map(Partial::Known);
            }
            (Partial::Known(list), _) if Items::of(list.clone()).is_err() => {
                // The evaluator says it in the same words.
                return self.machine.run_loop(id, node, list, None).map(Partial::Known);
            }
            other => other,
        };
        self.open_scopes[scope] = true;
        let list = self.lift(node.list, list)?;
        let extra = match (node.extra, extra) {
            (Some(id), Some(extra)) => Some(self.lift(id, extra)?),
            _ => None,
        };
        let body = node.body.map(|body| self.speculate(body)).transpose()?;
        let folded = LoopNode { which: node.which, scope: node.scope, list, body, extra };
        self.emit(id, Kind::Loop(folded))
    }
}

fn is_empty(list: &Value<'_>) -> bool {
    Items::of(list.clone()).is_ok_and(|items| items.len() == 0)
}

fn host_argument(name: &str) -> Fault {
    Fault::new(ErrorKind::Secret, format!("the arguments of `{name}()` must not depend on a secret"))
}
