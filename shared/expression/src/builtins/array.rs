//! Builtins on lists.

use super::{Outcome, integer, list};
use crate::{
    eval::{self, Budget, Fault, operators},
    limits::VALUE_NESTING_MAX,
    value::{Key, List, Value},
};

pub(super) fn first<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    Ok(eval::member(&arguments[0], &Value::Int(0)).unwrap_or(Value::Nil))
}

pub(super) fn last<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    Ok(eval::member(&arguments[0], &Value::Int(-1)).unwrap_or(Value::Nil))
}

pub(super) fn take<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (items, count) = (list(arguments, 0)?, integer(arguments, 1)?);
    let count = usize::try_from(count).map_err(|_| Fault::range("the count must not be negative"))?;
    let count = count.min(items.len());
    match items {
        List::Shared(items) => {
            budget.grow_list(count)?;
            Ok(Value::list(items[..count].to_vec()))
        }
        items => Ok(items.json_slice(0, count).map_or(Value::Nil, Value::List)),
    }
}

pub(super) fn reverse<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let items = list(arguments, 0)?;
    budget.grow_list(items.len())?;
    let mut reversed: Vec<Value<'a>> = items.iter().collect();
    reversed.reverse();
    Ok(Value::list(reversed))
}

pub(super) fn sort<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let items = list(arguments, 0)?;
    let descending = operators::is_descending(arguments.get(1))?;
    budget.grow_list(items.len())?;
    let keyed = items.iter().map(|item| (item.clone(), item)).collect();
    Ok(Value::list(operators::sort_by_key(keyed, descending, budget)?))
}

pub(super) fn concat<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let mut all = Vec::new();
    for index in 0..arguments.len() {
        let items = list(arguments, index)?;
        budget.grow_list(items.len())?;
        all.extend(items.iter());
    }
    Ok(Value::list(all))
}

pub(super) fn flatten<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let mut flat = Vec::new();
    flatten_into(list(arguments, 0)?, &mut flat, 0, budget)?;
    Ok(Value::list(flat))
}

fn flatten_into<'a>(
    items: &List<'a>,
    flat: &mut Vec<Value<'a>>,
    level: usize,
    budget: &mut Budget,
) -> Result<(), Fault> {
    if level > 3 * VALUE_NESTING_MAX {
        return Err(Fault::limit("the list is nested too deeply"));
    }
    for item in items.iter() {
        budget.grow_list(1)?;
        match item {
            Value::List(items) => flatten_into(&items, flat, level + 1, budget)?,
            item => flat.push(item),
        }
    }
    Ok(())
}

pub(super) fn uniq<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let items = list(arguments, 0)?;
    budget.grow_list(items.len())?;
    Ok(Value::list(operators::distinct(items.iter(), budget)?))
}

/// A key under which equal values are equal; `None` for values that must be compared one by one.
pub(crate) fn uniq_key<'a>(value: &Value<'a>) -> Option<Key<'a>> {
    match value {
        // Numbers are equal by value whatever their type.
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Some(Key::Int(*x as i64)),
        // NaN equals nothing, itself included.
        Value::Float(x) if x.is_nan() => None,
        Value::Time(_) | Value::List(_) | Value::Map(_) | Value::Zone(_) => None,
        value => Key::of(value),
    }
}
