//! Builtins with closures.

use std::collections::BTreeMap;

use super::{Eval, Fault, Machine, Scope, operators};
use crate::{
    ast::{Id, LoopNode},
    builtins::Loop,
    error::Error,
    opaque,
    value::{Key, List, Text, Value},
};

/// The items of a loop: those of a list, or the bytes of a text as in Go.
pub(crate) enum Items<'a> {
    List(List<'a>),
    Bytes(Text<'a>),
}

/// The end from which a list is searched.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// The answer of a closure that a search looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
}

impl<'a> Items<'a> {
    /// The items of a value.
    pub fn of(value: Value<'a>) -> Result<Items<'a>, Fault> {
        match value {
            Value::List(list) => Ok(Items::List(list)),
            Value::Text(text) => Ok(Items::Bytes(text)),
            Value::Opaque(_) => Err(opaque::refused("a closure over it")),
            other => Err(Fault::of_type(format!("a closure goes over a list, not {}", other.type_name()))),
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            Items::List(list) => list.len(),
            Items::Bytes(text) => text.len(),
        }
    }

    fn get(&self, index: usize) -> Value<'a> {
        let item = match self {
            Items::List(list) => list.get(index),
            Items::Bytes(text) => text.as_bytes().get(index).map(|byte| Value::Int(i64::from(*byte))),
        };
        item.unwrap_or(Value::Nil)
    }
}

/// One run of a closure over its items.
struct Run<'a> {
    id: Id,
    name: &'static str,
    items: Items<'a>,
    body: Option<Id>,
}

impl<'a> Machine<'a> {
    /// A builtin with a closure.
    pub(super) fn eval_loop(&mut self, id: Id, node: &LoopNode) -> Eval<'a> {
        let list = self.eval(node.list)?;
        let extra = node.extra.map(|extra| self.eval(extra)).transpose()?;
        self.run_loop(id, node, list, extra)
    }

    /// A builtin with a closure over an evaluated list.
    pub fn run_loop(
        &mut self,
        id: Id,
        node: &LoopNode,
        list: Value<'a>,
        extra: Option<Value<'a>>,
    ) -> Eval<'a> {
        let name = node.which.name();
        let items = Items::of(list).map_err(|fault| fault.within(name, self.node(id).span()))?;
        let run = Run { id, name, items, body: node.body };
        self.scopes.push(Scope { item: Value::Nil, index: 0, acc: Value::Nil });
        let result = self.run(node.which, &run, extra);
        self.scopes.pop();
        result
    }

    fn run(&mut self, which: Loop, run: &Run<'a>, extra: Option<Value<'a>>) -> Eval<'a> {
        match which {
            Loop::All => Ok(Value::Bool(self.search(run, End::First, Truth::False)?.is_none())),
            Loop::None => Ok(Value::Bool(self.search(run, End::First, Truth::True)?.is_none())),
            Loop::Any => Ok(Value::Bool(self.search(run, End::First, Truth::True)?.is_some())),
            Loop::Find => {
                Ok(self.search(run, End::First, Truth::True)?.map_or(Value::Nil, |at| run.items.get(at)))
            }
            Loop::FindLast => {
                Ok(self.search(run, End::Last, Truth::True)?.map_or(Value::Nil, |at| run.items.get(at)))
            }
            Loop::FindIndex => {
                Ok(self.search(run, End::First, Truth::True)?.map_or(Value::Nil, |at| Value::Int(at as i64)))
            }
            Loop::FindLastIndex => {
                Ok(self.search(run, End::Last, Truth::True)?.map_or(Value::Nil, |at| Value::Int(at as i64)))
            }
            Loop::One => Ok(Value::Bool(self.matching(run)?.len() == 1)),
            Loop::Count => Ok(Value::Int(self.matching(run)?.len() as i64)),
            Loop::Filter => {
                let items = self.matching(run)?.into_iter().map(|at| run.items.get(at)).collect();
                self.list(run.id, items)
            }
            Loop::Map => {
                let mut made = Vec::new();
                for at in 0..run.items.len() {
                    made.push(self.apply(run, at)?);
                }
                self.list(run.id, made)
            }
            Loop::Sum => self.sum(run),
            Loop::GroupBy => self.group_by(run),
            Loop::SortBy => self.sort_by(run, extra),
            Loop::Reduce => self.reduce(run, extra),
        }
    }

    /// The closure's value for the item at `at`; without a closure the item itself.
    fn apply(&mut self, run: &Run<'a>, at: usize) -> Eval<'a> {
        let item = run.items.get(at);
        self.budget.work(1).map_err(|fault| self.fault(run.id, fault))?;
        let Some(body) = run.body else { return Ok(item) };
        if let Some(scope) = self.scopes.last_mut() {
            scope.item = item;
            scope.index = at as i64;
        }
        self.eval(body)
    }

    fn test(&mut self, run: &Run<'a>, at: usize) -> Result<bool, Box<Error>> {
        let value = self.apply(run, at)?;
        self.truth(run.id, run.name, &value)
    }

    /// The first item, or the last, for which the closure gives `wanted`.
    fn search(&mut self, run: &Run<'a>, end: End, wanted: Truth) -> Result<Option<usize>, Box<Error>> {
        let length = run.items.len();
        for step in 0..length {
            let at = match end {
                End::First => step,
                End::Last => length - 1 - step,
            };
            if self.test(run, at)? == (wanted == Truth::True) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// The items for which the closure is true.
    fn matching(&mut self, run: &Run<'a>) -> Result<Vec<usize>, Box<Error>> {
        let mut found = Vec::new();
        for at in 0..run.items.len() {
            if self.test(run, at)? {
                found.push(at);
            }
        }
        Ok(found)
    }

    fn sum(&mut self, run: &Run<'a>) -> Eval<'a> {
        let mut total = Value::Int(0);
        for at in 0..run.items.len() {
            let value = self.apply(run, at)?;
            if value.holds_opaque() {
                return Err(self.fault(run.id, opaque::refused("sum")));
            }
            total = operators::add(&total, &value, &mut self.budget)
                .map_err(|fault| self.fault(run.id, fault))?;
        }
        Ok(total)
    }

    fn group_by(&mut self, run: &Run<'a>) -> Eval<'a> {
        let mut groups: BTreeMap<Key<'a>, Vec<Value<'a>>> = BTreeMap::new();
        for at in 0..run.items.len() {
            let value = self.apply(run, at)?;
            if value.holds_opaque() {
                return Err(self.fault(run.id, opaque::refused("groupBy")));
            }
            let Some(key) = Key::of(&value) else {
                let message = format!("groupBy(): {} cannot be a key of a map", value.type_name());
                return Err(self.fault(run.id, Fault::of_type(message)));
            };
            groups.entry(key).or_default().push(run.items.get(at));
        }
        self.budget
            .grow_list(run.items.len() + 2 * groups.len())
            .map_err(|fault| self.fault(run.id, fault))?;
        let groups = groups.into_iter().map(|(key, items)| (key, Value::list(items))).collect();
        self.budget.check_depth(Value::keyed(groups)).map_err(|fault| self.fault(run.id, fault))
    }

    fn sort_by(&mut self, run: &Run<'a>, order: Option<Value<'a>>) -> Eval<'a> {
        let descending =
            operators::is_descending(order.as_ref()).map_err(|fault| self.fault(run.id, fault))?;
        let mut keyed = Vec::new();
        for at in 0..run.items.len() {
            let key = self.apply(run, at)?;
            if key.holds_opaque() {
                return Err(self.fault(run.id, opaque::refused("sortBy")));
            }
            keyed.push((key, run.items.get(at)));
        }
        let sorted = operators::sort_by_key(keyed, descending, &mut self.budget);
        let sorted = sorted.map_err(|fault| fault.within("sortBy", self.node(run.id).span()))?;
        self.list(run.id, sorted)
    }

    fn reduce(&mut self, run: &Run<'a>, start: Option<Value<'a>>) -> Eval<'a> {
        let (first, start) = match start {
            Some(start) => (0, start),
            None if run.items.len() > 0 => (1, run.items.get(0)),
            None => {
                return Err(self.fault(run.id, Fault::other("reduce() of an empty list needs a start value")));
            }
        };
        let mut acc = start;
        for at in first..run.items.len() {
            if let Some(scope) = self.scopes.last_mut() {
                scope.acc = acc;
            }
            acc = self.apply(run, at)?;
        }
        Ok(acc)
    }
}
