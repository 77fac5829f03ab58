//! Evaluation of the tree.
//!
//! Chains of operators and accesses are walked with a stack of their own; everything else recurses
//! at most [`crate::limits::DEPTH_MAX`] deep.

mod access;
mod budget;
mod loops;
pub(crate) mod operators;
mod regex;
mod spine;

pub(crate) use access::member;
pub use budget::Budget;
pub(crate) use budget::Fault;
use spine::Spine;

use secret_text::{Encoding, Step};

use crate::{
    ast::{Id, Kind, Node, UnaryOp},
    builtins,
    error::{Error, ErrorKind},
    opaque::{self, Opaque},
    suggest,
    template::{Environment, Secrets},
    url,
    value::{Key, Value},
};

/// The result of evaluating a node; errors are boxed to keep it small.
pub(crate) type Eval<'a> = Result<Value<'a>, Box<Error>>;

/// The secrets of a machine.
#[derive(Clone, Copy)]
pub(crate) struct Vault<'a> {
    /// The references, by index.
    pub refs: &'a [(String, String)],
    /// The values, in a trial. `None`: references are opaque.
    pub secrets: Option<&'a dyn Secrets>,
}

/// One evaluation.
pub(crate) struct Machine<'a> {
    nodes: &'a [Node],
    host: Option<&'a dyn Environment>,
    vault: Vault<'a>,
    /// The values of `let` variables, by slot.
    locals: Vec<Option<Value<'a>>>,
    scopes: Vec<Scope<'a>>,
    /// The chain that is being walked, shared by all levels.
    spine: Spine,
    regexes: regex::Cache,
    /// The budget that is left.
    pub budget: Budget,
}

/// A closure that is running.
struct Scope<'a> {
    item: Value<'a>,
    index: i64,
    acc: Value<'a>,
}

impl<'a> Machine<'a> {
    /// A machine for `nodes`, with as many `let` slots as the tree has.
    pub fn new(
        nodes: &'a [Node],
        slots: usize,
        host: Option<&'a dyn Environment>,
        vault: Vault<'a>,
    ) -> Machine<'a> {
        Machine {
            nodes,
            host,
            vault,
            locals: if slots == 0 { Vec::new() } else { vec![None; slots] },
            scopes: Vec::new(),
            spine: Spine::default(),
            regexes: regex::Cache::default(),
            budget: Budget::default(),
        }
    }

    /// The node `id`. Indexes are checked when a tree is made or read.
    pub fn node(&self, id: Id) -> &'a Node {
        &self.nodes[id as usize]
    }

    /// Sets a `let` variable.
    pub fn bind(&mut self, slot: u32, value: Value<'a>) {
        if let Some(local) = self.locals.get_mut(slot as usize) {
            *local = Some(value);
        }
    }

    /// Adds the place of node `id` to a fault.
    pub fn fault(&self, id: Id, fault: Fault) -> Box<Error> {
        fault.at(self.node(id).span())
    }

    /// The value of a node.
    pub fn eval(&mut self, id: Id) -> Eval<'a> {
        if self.node(id).kind.spine().is_none() {
            let value = self.eval_leaf(id)?;
            return self.read(id, value);
        }
        // Only a `?.` outside of a chain gives `None`, and the parser makes no such node.
        Ok(self.eval_open(id)?.unwrap_or(Value::Nil))
    }

    /// The value of a node; `None` where a `?.` met nil and the end of its chain is further up.
    pub fn eval_open(&mut self, id: Id) -> Result<Option<Value<'a>>, Box<Error>> {
        let base = self.spine.len();
        let result = self.walk(id, base);
        self.spine.truncate(base);
        match result {
            Ok(Some(value)) => self.read(id, value).map(Some),
            other => other,
        }
    }

    /// The value that an expression reads. A blanked place is an error.
    #[inline]
    fn read(&self, id: Id, value: Value<'a>) -> Eval<'a> {
        match &value {
            Value::Opaque(opaque) => match opaque.redaction() {
                Some(fault) => Err(self.fault(id, fault)),
                None => Ok(value),
            },
            _ => Ok(value),
        }
    }

    /// Goes down a chain to its first operand, and up again.
    fn walk(&mut self, id: Id, base: usize) -> Result<Option<Value<'a>>, Box<Error>> {
        let mut current = id;
        while let Some(next) = self.node(current).kind.spine() {
            self.spine.push(current);
            current = next;
        }
        let mut value = self.eval_leaf(current)?;
        while let Some(id) = self.spine.pop_above(base) {
            if let Some(found) = self.name_in_data(id, &value) {
                self.tick(id)?;
                value = found;
            } else {
                match self.step(id, value)? {
                    Some(next) => value = next,
                    None => {
                        // On to the end of the optional chain.
                        let nodes = self.nodes;
                        let is_end = |id: Id| matches!(nodes[id as usize].kind, Kind::Chain(_));
                        if !self.spine.pop_until(base, is_end) {
                            return Ok(None);
                        }
                        value = Value::Nil;
                    }
                }
            }
        }
        Ok(Some(value))
    }

    /// The value of the most frequent access by far, `object.name` in a map; `None` for every other
    /// access.
    #[inline]
    fn name_in_data(&self, id: Id, object: &Value<'a>) -> Option<Value<'a>> {
        let Kind::Member(of, key, _) = &self.node(id).kind else { return None };
        match (object, &self.node(*key).kind) {
            (Value::Map(map), Kind::Literal(Value::Text(name))) => {
                // A header may be meant in another spelling: that search counts as work.
                let found = map.get(name);
                if found.is_some() || !self.is_headers(*of) {
                    Some(found.unwrap_or(Value::Nil))
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// Whether a node is the access to `headers`.
    fn is_headers(&self, of: Id) -> bool {
        let of = match &self.node(of).kind {
            Kind::Chain(inner) => *inner,
            _ => of,
        };
        let Kind::Member(_, key, _) = &self.node(of).kind else { return false };
        matches!(&self.node(*key).kind, Kind::Literal(Value::Text(key)) if &**key == "headers")
    }

    /// Takes one unit of work.
    #[inline]
    fn tick(&mut self, id: Id) -> Result<(), Box<Error>> {
        match self.budget.work(1) {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.fault(id, fault)),
        }
    }

    /// The value of one node of a chain, whose first child has the value `left`.
    fn step(&mut self, id: Id, left: Value<'a>) -> Result<Option<Value<'a>>, Box<Error>> {
        self.tick(id)?;
        let left = self.read(id, left)?;
        match &self.node(id).kind {
            Kind::Binary(op, _, right) => {
                if let Kind::Literal(literal) = &self.node(*right).kind {
                    self.tick(*right)?;
                    return self.binary(id, *op, &left, literal).map(Some);
                }
                let right = self.eval(*right)?;
                self.binary(id, *op, &left, &right).map(Some)
            }
            Kind::And(_, right) => {
                if self.truth(id, "&&", &left)? {
                    self.eval_open(*right)
                } else {
                    Ok(Some(left))
                }
            }
            Kind::Or(_, right) => {
                if self.truth(id, "||", &left)? {
                    Ok(Some(left))
                } else {
                    self.eval_open(*right)
                }
            }
            Kind::Coalesce(_, right) => match left {
                Value::Nil => self.eval_open(*right),
                Value::Opaque(_) => Err(self.fault(id, opaque::refused("??"))),
                left => Ok(Some(left)),
            },
            Kind::Member(_, _, true) if matches!(left, Value::Nil) => Ok(None),
            Kind::Member(of, key, _) => self.member_step(id, *of, left, *key),
            Kind::Slice(_, from, to) => {
                let from = from.map(|from| self.eval(from)).transpose()?;
                let to = to.map(|to| self.eval(to)).transpose()?;
                self.slice(id, &left, from.as_ref(), to.as_ref()).map(Some)
            }
            Kind::Method(object, name, arguments, optional) => {
                if *optional && matches!(left, Value::Nil) {
                    return Ok(None);
                }
                let arguments = self.eval_all(arguments)?;
                self.method(id, *object, left, name, &arguments).map(Some)
            }
            _ => Ok(Some(left)),
        }
    }

    fn member_step(
        &mut self,
        id: Id,
        of: Id,
        object: Value<'a>,
        key: Id,
    ) -> Result<Option<Value<'a>>, Box<Error>> {
        if let Value::Opaque(json) = &object {
            let step = self.literal_step(key).ok_or_else(|| self.fault(id, opaque::refused("[…]")))?;
            let found = json.step(step).map_err(|fault| self.fault(id, fault))?;
            return Ok(Some(Value::Opaque(found)));
        }
        let key = match &self.node(key).kind {
            Kind::Literal(key) => key.clone(),
            _ => self.eval(key)?,
        };
        let found = self.member(id, &object, &key)?;
        if let (Value::Nil, Value::Map(map), Value::Text(name)) = (&found, &object, &key)
            && self.is_headers(of)
        {
            self.budget.work(map.len() as u64).map_err(|fault| self.fault(id, fault))?;
            return Ok(Some(map.get_in_any_case(name).unwrap_or(Value::Nil)));
        }
        Ok(Some(found))
    }

    /// A literal step into the JSON of a secret.
    fn literal_step(&self, key: Id) -> Option<Step> {
        let index = |id: Id| match &self.node(id).kind {
            Kind::Literal(Value::Int(n)) => Some(*n),
            _ => None,
        };
        match &self.node(key).kind {
            Kind::Literal(Value::Text(key)) => Some(Step::Key((**key).to_owned())),
            Kind::Unary(UnaryOp::Minus, child) => index(*child).map(|n| Step::Index(-n)),
            _ => index(key).map(Step::Index),
        }
    }

    /// The value of a node that is no chain.
    fn eval_leaf(&mut self, id: Id) -> Eval<'a> {
        self.tick(id)?;
        match &self.node(id).kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Variable(name) => self.variable(id, name),
            Kind::Local(slot) => self.local(id, *slot),
            Kind::Item(_) => self.scope(id).map(|scope| scope.item.clone()),
            Kind::Index => self.scope(id).map(|scope| Value::Int(scope.index)),
            Kind::Acc => self.scope(id).map(|scope| scope.acc.clone()),
            Kind::Secret(index) => self.secret(id, *index),
            Kind::Unary(op, child) => {
                let value = self.eval(*child)?;
                self.unary(id, *op, &value)
            }
            Kind::Choose(condition, yes, no) => {
                let condition = self.eval(*condition)?;
                let chosen = if self.truth(id, "a condition", &condition)? { yes } else { no };
                self.eval(*chosen)
            }
            Kind::Let(slot, value, body) => {
                let value = self.eval(*value)?;
                self.bind(*slot, value);
                self.eval(*body)
            }
            Kind::Sequence(ids) => self.sequence(ids),
            Kind::List(ids) => {
                let items = self.eval_all(ids)?;
                self.list(id, items)
            }
            Kind::Map(pairs) => self.eval_map(id, pairs),
            Kind::Builtin(builtin, arguments) => {
                let arguments = self.eval_all(arguments)?;
                self.builtin(id, *builtin, &arguments)
            }
            Kind::Loop(node) => self.eval_loop(id, node),
            Kind::Host(name, arguments) => {
                let arguments = self.eval_all(arguments)?;
                self.host(id, name, &arguments)
            }
            Kind::Encode(place, child) => {
                let value = self.eval(*child)?;
                self.encode(id, *place, &value)
            }
            _ => Err(self.fault(id, Fault::other("this node has no place here"))),
        }
    }

    fn eval_all(&mut self, ids: &[Id]) -> Result<Vec<Value<'a>>, Box<Error>> {
        ids.iter().map(|id| self.eval(*id)).collect()
    }

    fn sequence(&mut self, ids: &[Id]) -> Eval<'a> {
        let mut last = Value::Nil;
        for id in ids {
            last = self.eval(*id)?;
        }
        Ok(last)
    }

    fn eval_map(&mut self, id: Id, pairs: &[(Id, Id)]) -> Eval<'a> {
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            entries.push((self.eval(*key)?, self.eval(*value)?));
        }
        self.map(id, entries)
    }

    /// Appends a value as a template prints it.
    pub fn print(&mut self, id: Id, value: &Value<'a>, text: &mut String) -> Result<(), Box<Error>> {
        builtins::print::template(value, text, &mut self.budget).map_err(|fault| self.fault(id, fault))
    }

    /// Encodes a value for its place in a URL.
    fn encode(&mut self, id: Id, place: Encoding, value: &Value<'a>) -> Eval<'a> {
        if let Value::Opaque(opaque) = value {
            let encoded = opaque::encode_text(place, opaque, &mut self.budget);
            return encoded.map(Value::Opaque).map_err(|fault| self.fault(id, fault));
        }
        let mut text = String::new();
        builtins::print::in_url(value, &mut text, &mut self.budget).map_err(|fault| self.fault(id, fault))?;
        let encoded = url::encode(place, &text, &mut self.budget).map_err(|fault| self.fault(id, fault))?;
        Ok(Value::string(encoded))
    }

    /// A list of values.
    pub fn list(&mut self, id: Id, items: Vec<Value<'a>>) -> Eval<'a> {
        let made =
            self.budget.grow_list(items.len()).and_then(|()| self.budget.check_depth(Value::list(items)));
        made.map_err(|fault| self.fault(id, fault))
    }

    /// A map of pairs; of two equal keys the first wins.
    pub fn map(&mut self, id: Id, pairs: Vec<(Value<'a>, Value<'a>)>) -> Eval<'a> {
        let mut entries = std::collections::BTreeMap::new();
        self.budget.grow_map(pairs.len()).map_err(|fault| self.fault(id, fault))?;
        for (key, value) in pairs {
            let Value::Text(key) = key else {
                if key.holds_opaque() {
                    return Err(self.fault(id, opaque::refused("a map's key")));
                }
                let message = format!("a map key must be a string, not {}", key.type_name());
                return Err(self.fault(id, Fault::of_type(message)));
            };
            entries.entry(Key::Text(key)).or_insert(value);
        }
        self.budget.check_depth(Value::keyed(entries)).map_err(|fault| self.fault(id, fault))
    }

    /// Calls a builtin.
    pub fn builtin(&mut self, id: Id, builtin: builtins::Builtin, arguments: &[Value<'a>]) -> Eval<'a> {
        let result = if builtin.is_placed() || arguments.iter().any(Value::holds_opaque) {
            opaque::call(builtin, arguments, self.vault.secrets, &mut self.budget)
        } else {
            builtin.call(arguments, &mut self.budget)
        };
        let result = result.and_then(|value| self.budget.check_depth(value));
        result.map_err(|fault| fault.within(builtin.name(), self.node(id).span()))
    }

    /// The truth of a condition, which must be a bool.
    pub fn truth(&self, id: Id, what: &str, value: &Value<'a>) -> Result<bool, Box<Error>> {
        match value {
            Value::Bool(truth) => Ok(*truth),
            other if other.holds_opaque() => Err(self.fault(id, opaque::refused(what))),
            other => {
                let message = format!("{what} needs a bool, not {}", other.type_name());
                Err(self.fault(id, Fault::of_type(message)))
            }
        }
    }

    /// A prefix operator.
    pub fn unary(&self, id: Id, op: UnaryOp, value: &Value<'a>) -> Eval<'a> {
        if value.holds_opaque() {
            return Err(self.fault(id, opaque::refused(op.symbol())));
        }
        operators::unary(op, value).map_err(|fault| self.fault(id, fault))
    }

    fn local(&self, id: Id, slot: u32) -> Eval<'a> {
        let value = self.locals.get(slot as usize).cloned().flatten();
        value.ok_or_else(|| self.fault(id, Fault::other("this variable has no value here")))
    }

    fn scope(&self, id: Id) -> Result<&Scope<'a>, Box<Error>> {
        self.scopes
            .last()
            .ok_or_else(|| self.fault(id, Fault::other("`#` means something in a closure only")))
    }

    fn variable(&self, id: Id, name: &str) -> Eval<'a> {
        let value = self.host.and_then(|host| host.variable(name));
        value.ok_or_else(|| self.fault(id, suggest::unknown("name", name)))
    }

    fn secret(&self, id: Id, index: u32) -> Eval<'a> {
        let Some((name, key)) = self.vault.refs.get(index as usize) else {
            return Err(self.fault(id, Fault::other("this reference does not exist")));
        };
        let Some(secrets) = self.vault.secrets else {
            return Ok(Value::Opaque(Opaque::reference(name, key)));
        };
        let missing = || Fault::new(ErrorKind::Secret, format!("the secret `{name}` has no key `{key}`"));
        secrets.get(name, key).map(Value::str).ok_or_else(|| self.fault(id, missing()))
    }

    /// Calls a function of the environment.
    pub fn host(&mut self, id: Id, name: &str, arguments: &[Value<'a>]) -> Eval<'a> {
        if arguments.iter().any(Value::holds_opaque) {
            return Err(self.fault(id, opaque::refused(name)));
        }
        match self.host.and_then(|host| host.call(name, arguments)) {
            Some(result) => {
                result.map_err(|message| self.fault(id, Fault::other(format!("{name}(): {message}"))))
            }
            None => Err(self.fault(id, suggest::unknown("function", name))),
        }
    }

    /// Calls a method: one of the environment if the object is its variable, else one of a time or
    /// duration.
    pub fn method(
        &mut self,
        id: Id,
        object: Id,
        value: Value<'a>,
        name: &str,
        arguments: &[Value<'a>],
    ) -> Eval<'a> {
        if value.holds_opaque() || arguments.iter().any(Value::holds_opaque) {
            return Err(self.fault(id, opaque::refused(name)));
        }
        if let (Kind::Variable(variable), Some(host)) = (&self.node(object).kind, self.host)
            && let Some(result) = host.call(&format!("{variable}.{name}"), arguments)
        {
            return result
                .map_err(|message| self.fault(id, Fault::other(format!("{variable}.{name}(): {message}"))));
        }
        let result = builtins::methods::call(&value, name, arguments, &mut self.budget);
        result.map_err(|fault| self.fault(id, fault))
    }
}
