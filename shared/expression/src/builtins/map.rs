//! Builtins on maps. Go's order of a map is random; ours is that of the keys.

use std::collections::BTreeMap;

use super::{Outcome, list};
use crate::{
    eval::{Budget, Fault},
    value::{Key, Map, Value},
};

pub(super) fn keys<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let map = map(arguments)?;
    budget.grow_list(map.len())?;
    Ok(Value::list(map.entries().into_iter().map(|(key, _)| key.to_value()).collect()))
}

pub(super) fn values<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let map = map(arguments)?;
    budget.grow_list(map.len())?;
    Ok(Value::list(map.entries().into_iter().map(|(_, value)| value).collect()))
}

pub(super) fn to_pairs<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let map = map(arguments)?;
    budget.grow_list(map.len().saturating_mul(4))?;
    let pair = |(key, value): (Key<'a>, Value<'a>)| Value::list(vec![key.to_value(), value]);
    Ok(Value::list(map.entries().into_iter().map(pair).collect()))
}

pub(super) fn from_pairs<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let pairs = list(arguments, 0)?;
    budget.grow_list(pairs.len().saturating_mul(2))?;
    let mut entries = BTreeMap::new();
    for pair in pairs.iter() {
        let Value::List(pair) = &pair else {
            return Err(Fault::of_type(format!("every item must be a pair, not {}", pair.type_name())));
        };
        let (Some(key), Some(value), 2) = (pair.get(0), pair.get(1), pair.len()) else {
            return Err(Fault::of_type("every pair must have two items"));
        };
        let Some(key) = Key::of(&key) else {
            return Err(Fault::of_type(format!("{} cannot be a key of a map", key.type_name())));
        };
        entries.insert(key, value);
    }
    Ok(Value::keyed(entries))
}

fn map<'v, 'a>(arguments: &'v [Value<'a>]) -> Result<&'v Map<'a>, Fault> {
    match &arguments[0] {
        Value::Map(map) => Ok(map),
        other => Err(Fault::of_type(format!("argument 1 must be a map, not {}", other.type_name()))),
    }
}
