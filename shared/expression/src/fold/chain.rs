//! Folding of chains of operators and accesses, without recursion along the chain.

use super::{Folder, Partial, Step};
use crate::{
    ast::{Id, Kind},
    error::Error,
    eval::Fault,
    value::Value,
};

/// What a step of a chain gives.
enum Link<'a> {
    /// Goes on with this.
    Goes(Partial<'a>),
    /// A `?.` met nil: on to the end of the optional chain.
    Ends,
}

impl<'a> Folder<'a> {
    /// A chain that depends on something unknown somewhere.
    pub(super) fn fold_chain(&mut self, id: Id) -> Step<'a> {
        let base = self.spine.len();
        let result = self.walk(id, base);
        self.spine.truncate(base);
        result
    }

    fn walk(&mut self, id: Id, base: usize) -> Step<'a> {
        let mut current = id;
        let mut link = loop {
            if self.is_known(current) {
                break match self.machine.eval_open(current)? {
                    Some(value) => Link::Goes(Partial::Known(value)),
                    None => Link::Ends,
                };
            }
            match self.kind(current).spine() {
                Some(next) => {
                    self.spine.push(current);
                    current = next;
                }
                None => break Link::Goes(self.fold_node(current)?),
            }
        };
        // Whether an unknown `?.` stands before, so that the rest of its chain may never run.
        let mut uncertain = false;
        while self.spine.len() > base {
            let Some(id) = self.spine.pop() else { break };
            let at_end = matches!(self.kind(id), Kind::Chain(_));
            link = match link {
                Link::Goes(value) => self.link(id, value, &mut uncertain)?,
                Link::Ends if at_end => Link::Goes(Partial::Known(Value::Nil)),
                Link::Ends => Link::Ends,
            };
        }
        match link {
            Link::Goes(partial) => Ok(partial),
            Link::Ends => Ok(Partial::Known(Value::Nil)),
        }
    }

    /// One node of a chain, whose first child is folded.
    fn link(&mut self, id: Id, left: Partial<'a>, uncertain: &mut bool) -> Result<Link<'a>, Box<Error>> {
        let folded = match self.kind(id) {
            Kind::Binary(op, left_id, right) => match (left, self.fold(*right)?) {
                (Partial::Known(left), Partial::Known(right)) => {
                    Partial::Known(self.machine.binary(id, *op, &left, &right)?)
                }
                (left, folded) => {
                    let (left, right) = (self.lift(*left_id, left)?, self.lift(*right, folded)?);
                    self.emit(id, Kind::Binary(*op, left, right))?
                }
            },
            Kind::And(..) | Kind::Or(..) | Kind::Coalesce(..) => self.either(id, left)?,
            Kind::Chain(_) => {
                *uncertain = false;
                match left {
                    Partial::Rest(inner) => self.emit(id, Kind::Chain(inner))?,
                    known => known,
                }
            }
            Kind::Member(object, key, optional) => {
                if let Some(link) = ends(&left, *optional) {
                    return Ok(link);
                }
                *uncertain |= *optional && matches!(left, Partial::Rest(_));
                self.member(id, (*object, left), *key, *optional, *uncertain)?
            }
            Kind::Method(object, _, arguments, optional) => {
                if let Some(link) = ends(&left, *optional) {
                    return Ok(link);
                }
                *uncertain |= *optional && matches!(left, Partial::Rest(_));
                self.method(id, (*object, left), arguments, *uncertain)?
            }
            Kind::Slice(object, from, to) => self.slice(id, (*object, left), *from, *to, *uncertain)?,
            _ => return Err(self.machine.fault(id, Fault::other("this node cannot be folded"))),
        };
        Ok(Link::Goes(folded))
    }

    /// `&&`, `||` and `??`: the right side may never run.
    fn either(&mut self, id: Id, left: Partial<'a>) -> Step<'a> {
        let kind = self.kind(id);
        let (Kind::And(_, right) | Kind::Or(_, right) | Kind::Coalesce(_, right)) = kind else {
            return Ok(left);
        };
        match (left, kind) {
            (Partial::Known(left), Kind::And(..)) => {
                if self.machine.truth(id, "&&", &left)? {
                    self.fold(*right)
                } else {
                    Ok(Partial::Known(left))
                }
            }
            (Partial::Known(left), Kind::Or(..)) => {
                if self.machine.truth(id, "||", &left)? {
                    Ok(Partial::Known(left))
                } else {
                    self.fold(*right)
                }
            }
            (Partial::Known(Value::Nil), _) => self.fold(*right),
            (Partial::Known(left), _) => Ok(Partial::Known(left)),
            (Partial::Rest(left), kind) => {
                let right = self.speculate(*right)?;
                let kind = match kind {
                    Kind::And(..) => Kind::And(left, right),
                    Kind::Or(..) => Kind::Or(left, right),
                    _ => Kind::Coalesce(left, right),
                };
                self.emit(id, kind)
            }
        }
    }

    /// Folds a part of a chain; one that may never run as such.
    fn part(&mut self, id: Id, uncertain: bool) -> Step<'a> {
        if uncertain { self.speculate(id).map(Partial::Rest) } else { self.fold(id) }
    }

    fn member(
        &mut self,
        id: Id,
        (at, object): (Id, Partial<'a>),
        key: Id,
        optional: bool,
        uncertain: bool,
    ) -> Step<'a> {
        let folded = self.part(key, uncertain)?;
        match (object, folded) {
            (Partial::Known(object), Partial::Known(key)) => {
                self.machine.member(id, &object, &key).map(Partial::Known)
            }
            (object, folded) => {
                let (object, key) = (self.lift(at, object)?, self.lift(key, folded)?);
                self.emit(id, Kind::Member(object, key, optional))
            }
        }
    }

    fn method(
        &mut self,
        id: Id,
        (at, object): (Id, Partial<'a>),
        arguments: &'a [Id],
        uncertain: bool,
    ) -> Step<'a> {
        let Kind::Method(_, name, _, optional) = self.kind(id) else { return Ok(object) };
        let folded = arguments.iter().map(|id| self.part(*id, uncertain)).collect::<Result<Vec<_>, _>>()?;
        let settled = self.settle(arguments, folded)?;
        match (object, settled) {
            (Partial::Known(object), Ok(values)) => {
                self.machine.method(id, at, object, name, &values).map(Partial::Known)
            }
            (Partial::Known(_), Err(_)) if matches!(self.kind(at), Kind::Variable(_)) => {
                Err(self.machine.fault(id, super::host_argument(name)))
            }
            (object, settled) => {
                let object = self.lift(at, object)?;
                let arguments = match settled {
                    Err(nodes) => nodes,
                    Ok(values) => {
                        let known =
                            arguments.iter().zip(values).map(|(id, value)| (*id, Partial::Known(value)));
                        known.map(|(id, value)| self.lift(id, value)).collect::<Result<_, _>>()?
                    }
                };
                self.emit(id, Kind::Method(object, name.clone(), arguments, *optional))
            }
        }
    }

    fn slice(
        &mut self,
        id: Id,
        (at, object): (Id, Partial<'a>),
        from: Option<Id>,
        to: Option<Id>,
        uncertain: bool,
    ) -> Step<'a> {
        let from = from.map(|id| self.part(id, uncertain).map(|folded| (id, folded))).transpose()?;
        let to = to.map(|id| self.part(id, uncertain).map(|folded| (id, folded))).transpose()?;
        let rest = |bound: &Option<(Id, Partial<'a>)>| matches!(bound, Some((_, Partial::Rest(_))));
        if let (Partial::Known(object), false, false) = (&object, rest(&from), rest(&to)) {
            let value = |bound: Option<(Id, Partial<'a>)>| match bound {
                Some((_, Partial::Known(value))) => Some(value),
                _ => None,
            };
            let (from, to) = (value(from), value(to));
            return self.machine.slice(id, object, from.as_ref(), to.as_ref()).map(Partial::Known);
        }
        let object = self.lift(at, object)?;
        let from = from.map(|(id, folded)| self.lift(id, folded)).transpose()?;
        let to = to.map(|(id, folded)| self.lift(id, folded)).transpose()?;
        self.emit(id, Kind::Slice(object, from, to))
    }
}

/// Whether a `?.` ends its chain here.
fn ends<'a>(object: &Partial<'a>, optional: bool) -> Option<Link<'a>> {
    (optional && matches!(object, Partial::Known(Value::Nil))).then_some(Link::Ends)
}
