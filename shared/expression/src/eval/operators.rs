//! Operators on values, with Go's types.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{Budget, Eval, Fault, Machine, regex};
use crate::{
    ast::{BinaryOp, Id, UnaryOp},
    limits::RANGE_ELEMENTS_MAX,
    opaque,
    time::Time,
    value::{Key, Value},
};

impl<'a> Machine<'a> {
    /// The value of an operator that always evaluates both sides.
    pub fn binary(&mut self, id: Id, op: BinaryOp, left: &Value<'a>, right: &Value<'a>) -> Eval<'a> {
        let result = match op {
            _ if left.holds_opaque() || right.holds_opaque() => {
                opaque::binary(op, left, right, &mut self.budget)
            }
            BinaryOp::Matches => {
                regex::matches(left, right, &mut self.regexes, &mut self.budget).map(Value::Bool)
            }
            _ => binary(op, left, right, &mut self.budget),
        };
        result.map_err(|fault| self.fault(id, fault))
    }
}

/// `-a`, `+a`, `not a`
pub(crate) fn unary<'a>(op: UnaryOp, value: &Value<'a>) -> Result<Value<'a>, Fault> {
    match (op, value) {
        (UnaryOp::Not, Value::Bool(truth)) => Ok(Value::Bool(!truth)),
        (UnaryOp::Minus, Value::Int(n)) => Ok(Value::Int(n.wrapping_neg())),
        (UnaryOp::Minus, Value::Float(x)) => Ok(Value::Float(-x)),
        (UnaryOp::Minus, Value::Duration(d)) => Ok(Value::Duration(d.wrapping_neg())),
        (UnaryOp::Plus, Value::Int(_) | Value::Float(_) | Value::Duration(_)) => Ok(value.clone()),
        _ => Err(Fault::of_type(format!("`{}` does not go with {}", op.symbol(), value.type_name()))),
    }
}

fn binary<'a>(
    op: BinaryOp,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, Fault> {
    match op {
        BinaryOp::Equal => equal(left, right, budget).map(Value::Bool),
        BinaryOp::NotEqual => equal(left, right, budget).map(|same| Value::Bool(!same)),
        BinaryOp::Less => order(op, left, right, budget).map(|o| Value::Bool(o == Some(Ordering::Less))),
        BinaryOp::Greater => {
            order(op, left, right, budget).map(|o| Value::Bool(o == Some(Ordering::Greater)))
        }
        BinaryOp::LessOrEqual => {
            order(op, left, right, budget).map(|o| Value::Bool(o.is_some_and(Ordering::is_le)))
        }
        BinaryOp::GreaterOrEqual => {
            order(op, left, right, budget).map(|o| Value::Bool(o.is_some_and(Ordering::is_ge)))
        }
        BinaryOp::Add => add(left, right, budget),
        BinaryOp::Subtract => subtract(left, right),
        BinaryOp::Multiply => multiply(left, right),
        BinaryOp::Divide => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(a / b)),
            _ => Err(mismatch(op, left, right)),
        },
        BinaryOp::Modulo => match (left, right) {
            (Value::Int(_), Value::Int(0)) => Err(Fault::range("`%` by zero")),
            (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))),
            _ => Err(mismatch(op, left, right)),
        },
        BinaryOp::Power => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(power(a, b))),
            _ => Err(mismatch(op, left, right)),
        },
        BinaryOp::Range => range(left, right, budget),
        BinaryOp::In => contains(left, right, budget).map(Value::Bool),
        BinaryOp::Contains | BinaryOp::StartsWith | BinaryOp::EndsWith => texts(op, left, right, budget),
        BinaryOp::Matches => Err(mismatch(op, left, right)),
    }
}

/// Go's `math.Pow`, from which Rust's `powf` differs in nothing that matters.
fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

fn mismatch(op: BinaryOp, left: &Value<'_>, right: &Value<'_>) -> Fault {
    let (left, right) = (left.type_name(), right.type_name());
    Fault::of_type(format!("`{}` does not go with {left} and {right}", op.symbol()))
}

fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

/// `a + b`: numbers, texts, times and durations.
pub(crate) fn add<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_add(*b))),
        (Value::Text(a), Value::Text(b)) => {
            budget.grow(a.len() + b.len())?;
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(a);
            text.push_str(b);
            Ok(Value::string(text))
        }
        (Value::Duration(a), Value::Duration(b)) => Ok(Value::Duration(a.wrapping_add(*b))),
        (Value::Time(time), Value::Duration(d)) | (Value::Duration(d), Value::Time(time)) => {
            time.add_nanoseconds(i128::from(*d)).map(Value::Time)
        }
        _ => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(a + b)),
            _ => Err(mismatch(BinaryOp::Add, left, right)),
        },
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_sub(*b))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Value::Duration(a.wrapping_sub(*b))),
        (Value::Time(a), Value::Time(b)) => Ok(Value::Duration(a.since(b))),
        (Value::Time(time), Value::Duration(d)) => time.add_nanoseconds(-i128::from(*d)).map(Value::Time),
        _ => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(a - b)),
            _ => Err(mismatch(BinaryOp::Subtract, left, right)),
        },
    }
}

fn multiply<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_mul(*b))),
        (Value::Duration(a), Value::Int(b)) | (Value::Int(b), Value::Duration(a)) => {
            Ok(Value::Duration(a.wrapping_mul(*b)))
        }
        (Value::Duration(a), Value::Duration(b)) => Ok(Value::Duration(a.wrapping_mul(*b))),
        // As in Go's expr: a duration times a float is a float.
        (Value::Duration(a), Value::Float(b)) | (Value::Float(b), Value::Duration(a)) => {
            Ok(Value::Float(*a as f64 * b))
        }
        _ => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(a * b)),
            _ => Err(mismatch(BinaryOp::Multiply, left, right)),
        },
    }
}

fn range<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Fault> {
    let bound = |value: &Value<'a>| match value {
        Value::Int(n) => Ok(*n),
        Value::Float(x) => Ok(*x as i64),
        _ => Err(mismatch(BinaryOp::Range, left, right)),
    };
    let (from, to) = (bound(left)?, bound(right)?);
    if from > to {
        return Ok(Value::list(Vec::new()));
    }
    let count = i128::from(to) - i128::from(from) + 1;
    if count > i128::from(RANGE_ELEMENTS_MAX) {
        return Err(Fault::limit(format!("a range of more than {RANGE_ELEMENTS_MAX} elements")));
    }
    budget.grow_list(count as usize)?;
    Ok(Value::list((from..=to).map(Value::Int).collect()))
}

/// `a in b`: an element of a list, or a key of a map.
fn contains<'a>(needle: &Value<'a>, hay: &Value<'a>, budget: &mut Budget) -> Result<bool, Fault> {
    match hay {
        Value::Nil => Ok(false),
        Value::List(list) => {
            for item in list.iter() {
                if equal(&item, needle, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => {
            budget.work(1)?;
            map.look_up(needle).map(|found| found.is_some()).map_err(|()| mismatch(BinaryOp::In, needle, hay))
        }
        _ => Err(mismatch(BinaryOp::In, needle, hay)),
    }
}

/// `contains`, `startsWith`, `endsWith`: false where a side is nil.
fn texts<'a>(
    op: BinaryOp,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, Fault> {
    let (a, b) = match (left, right) {
        (Value::Nil, _) | (_, Value::Nil) => return Ok(Value::Bool(false)),
        (Value::Text(a), Value::Text(b)) => (a, b),
        _ => return Err(mismatch(op, left, right)),
    };
    budget.read(a.len() + b.len())?;
    Ok(Value::Bool(match op {
        BinaryOp::Contains => a.contains(&**b),
        BinaryOp::StartsWith => a.starts_with(&**b),
        _ => a.ends_with(&**b),
    }))
}

/// `a == b`: numbers by value, lists and maps by their elements, times by their instant.
pub(crate) fn equal<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Result<bool, Fault> {
    budget.work(1)?;
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            budget.read(a.len())?;
            Ok(a == b)
        }
        (Value::Duration(a), Value::Duration(b)) => Ok(a == b),
        (Value::Calendar(a), Value::Calendar(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a.instant() == b.instant()),
        (Value::Zone(a), Value::Zone(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (x, y) in a.iter().zip(b.iter()) {
                if !equal(&x, &y, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            budget.work(2 * a.len() as u64)?;
            for ((key_a, x), (key_b, y)) in a.entries().iter().zip(b.entries().iter()) {
                if key_a != key_b || !equal(x, y, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(a == b),
            _ => Ok(false),
        },
    }
}

/// The order of two values. `None` where one is NaN; an error where their types have no order.
pub(crate) fn order<'a>(
    op: BinaryOp,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Text(a), Value::Text(b)) => {
            budget.read(a.len().min(b.len()))?;
            Ok(Some(a.cmp(b)))
        }
        (Value::Time(a), Value::Time(b)) => Ok(Some(Time::instant(a).cmp(&Time::instant(b)))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        _ => match (float(left), float(right)) {
            (Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => Err(mismatch(op, left, right)),
        },
    }
}

/// Whether the order of `sort` and `sortBy` is `desc`.
pub(crate) fn is_descending(order: Option<&Value<'_>>) -> Result<bool, Fault> {
    match order {
        None => Ok(false),
        Some(Value::Text(text)) if &**text == "asc" => Ok(false),
        Some(Value::Text(text)) if &**text == "desc" => Ok(true),
        Some(_) => Err(Fault::other("the order is `asc` or `desc`")),
    }
}

/// Sorts items by their keys; items with equal keys keep their order.
pub(crate) fn sort_by_key<'a>(
    mut keyed: Vec<(Value<'a>, Value<'a>)>,
    descending: bool,
    budget: &mut Budget,
) -> Result<Vec<Value<'a>>, Fault> {
    let levels = u64::from(keyed.len().max(1).ilog2()) + 1;
    budget.work(keyed.len() as u64 * levels)?;
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        if failed.is_some() {
            return Ordering::Equal;
        }
        match order(BinaryOp::Less, a, b, budget) {
            Ok(order) if descending => order.unwrap_or(Ordering::Equal).reverse(),
            Ok(order) => order.unwrap_or(Ordering::Equal),
            Err(fault) => {
                failed = Some(fault);
                Ordering::Equal
            }
        }
    });
    match failed {
        Some(fault) => Err(fault),
        None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
    }
}

/// The values that differ from all before them. Simple values are looked up in a set, others are
/// compared.
pub(crate) fn distinct<'a>(
    items: impl Iterator<Item = Value<'a>>,
    budget: &mut Budget,
) -> Result<Vec<Value<'a>>, Fault> {
    let mut simple = BTreeSet::new();
    let mut kept: Vec<Value<'a>> = Vec::new();
    let mut compound: Vec<Value<'a>> = Vec::new();
    'items: for item in items {
        match crate::builtins::uniq_key(&item) {
            Some(key) => {
                budget.work(1)?;
                if let Key::Text(text) = &key {
                    budget.read(text.len())?;
                }
                if !simple.insert(key) {
                    continue;
                }
            }
            None => {
                for other in &compound {
                    if equal(other, &item, budget)? {
                        continue 'items;
                    }
                }
                compound.push(item.clone());
            }
        }
        kept.push(item);
    }
    Ok(kept)
}
