//! `object.key`, `object[key]`, `object[from:to]`.

use super::{Budget, Eval, Fault, Machine};
use crate::{
    ast::Id,
    opaque, text,
    value::{List, Map, Text, Value},
};

impl<'a> Machine<'a> {
    /// `object[key]`
    pub fn member(&mut self, id: Id, object: &Value<'a>, key: &Value<'a>) -> Eval<'a> {
        member(object, key).map_err(|fault| self.fault(id, fault))
    }

    /// `object[from:to]`
    pub fn slice(
        &mut self,
        id: Id,
        object: &Value<'a>,
        from: Option<&Value<'a>>,
        to: Option<&Value<'a>>,
    ) -> Eval<'a> {
        slice(object, from, to, &mut self.budget).map_err(|fault| self.fault(id, fault))
    }
}

/// `object[key]`: a missing key of a map is nil, an index outside of a list or text is an error.
pub(crate) fn member<'a>(object: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, Fault> {
    if key.holds_opaque() {
        return Err(opaque::refused("[…]"));
    }
    match object {
        Value::Opaque(_) => Err(opaque::refused("[…]")),
        Value::Map(map) => map_member(map, key),
        Value::List(list) => {
            let index = position(key, list.len())?;
            list.get(index).ok_or_else(out_of_range)
        }
        Value::Text(text) => {
            let index = position(key, text.len())?;
            text.as_bytes().get(index).map(|byte| Value::Int(i64::from(*byte))).ok_or_else(out_of_range)
        }
        other => Err(Fault::of_type(format!("{} has no fields and no elements", other.type_name()))),
    }
}

fn map_member<'a>(map: &Map<'a>, key: &Value<'a>) -> Result<Value<'a>, Fault> {
    match map.look_up(key) {
        Ok(found) => Ok(found.unwrap_or(Value::Nil)),
        Err(()) => Err(Fault::of_type(format!("{} cannot be a key of this map", key.type_name()))),
    }
}

fn out_of_range() -> Fault {
    Fault::range("the index is out of range")
}

/// An index from the front or, negative, from the back.
fn position(key: &Value<'_>, length: usize) -> Result<usize, Fault> {
    let index = integer(key)?;
    let index = if index < 0 { index.saturating_add(length as i64) } else { index };
    usize::try_from(index).ok().filter(|index| *index < length).ok_or_else(out_of_range)
}

fn integer(key: &Value<'_>) -> Result<i64, Fault> {
    match key {
        Value::Int(n) => Ok(*n),
        Value::Float(x) => Ok(*x as i64),
        other => Err(Fault::of_type(format!("an index must be an integer, not {}", other.type_name()))),
    }
}

/// `object[from:to]`. The range is cut to the object. Texts are sliced by bytes.
fn slice<'a>(
    object: &Value<'a>,
    from: Option<&Value<'a>>,
    to: Option<&Value<'a>>,
    budget: &mut Budget,
) -> Result<Value<'a>, Fault> {
    if [Some(object), from, to].into_iter().flatten().any(|value| matches!(value, Value::Opaque(_))) {
        return Err(opaque::refused("[…:…]"));
    }
    let length = match object {
        Value::List(list) => list.len(),
        Value::Text(text) => text.len(),
        other => return Err(Fault::of_type(format!("{} cannot be sliced", other.type_name()))),
    };
    let bound = |index: Option<&Value<'a>>, default: usize| -> Result<usize, Fault> {
        let Some(index) = index else { return Ok(default) };
        let index = integer(index)?;
        let index = if index < 0 { index.saturating_add(length as i64) } else { index };
        Ok(usize::try_from(index).unwrap_or(0).min(length))
    };
    let to = bound(to, length)?;
    let from = bound(from, 0)?.min(to);
    match object {
        Value::List(List::Shared(items)) => {
            budget.grow_list(to - from)?;
            Ok(Value::list(items[from..to].to_vec()))
        }
        Value::List(items) => Ok(items.json_slice(from, to).map_or(Value::Nil, Value::List)),
        Value::Text(Text::Borrowed(whole)) if whole.is_char_boundary(from) && whole.is_char_boundary(to) => {
            Ok(Value::str(&whole[from..to]))
        }
        Value::Text(whole) => {
            budget.grow(to - from)?;
            Ok(Value::string(text::from_bytes(&whole.as_bytes()[from..to])))
        }
        _ => Err(Fault::of_type("only lists and strings can be sliced")),
    }
}
