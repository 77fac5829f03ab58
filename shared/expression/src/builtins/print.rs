//! Values as text: in a template's form, and in the form of Go's `%v`.

use super::go_format;
use crate::{
    eval::{Budget, Fault},
    opaque,
    time::zone_name,
    value::{Calendar, Key, List, Map, Value},
};

/// Prints a value in a template's form: nil is `null`, floats are decimal, and other values are as
/// in `%v`. What nobody can have meant is a fault: a map, and a number that is none.
pub(crate) fn template(value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), Fault> {
    check_is_sendable(value, budget)?;
    match value {
        Value::Nil => push(out, "null", budget),
        Value::Float(x) => push(out, &go_format::float_decimal(*x), budget),
        Value::Map(_) => Err(Fault::of_type("a map can't stand in a text: write it as JSON with toJSON(…)")),
        Value::List(list) if list.iter().any(|item| matches!(item, Value::Map(_) | Value::List(_))) => Err(
            Fault::of_type("a list of maps or lists can't stand in a text: write it as JSON with toJSON(…)"),
        ),
        other => verbatim(other, out, budget),
    }
}

/// Prints a value that becomes a part of a URL: in it nil and a list have no form that anybody
/// means.
pub(crate) fn in_url(value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), Fault> {
    match value {
        Value::Nil => Err(Fault::of_type(
            "this is nil, which a URL can't hold: say what stands there then, as in `x ?? \"\"`",
        )),
        Value::List(_) => {
            Err(Fault::of_type("a list can't stand in a URL: join it, as in join(list, \",\")"))
        }
        other => template(other, out, budget),
    }
}

/// Refuses infinity and NaN, wherever they stand: JSON has neither. A list can stand in itself many
/// times over, so each visit counts.
pub(crate) fn check_is_sendable(value: &Value<'_>, budget: &mut Budget) -> Result<(), Fault> {
    budget.work(1)?;
    match value {
        Value::Float(x) if !x.is_finite() => {
            Err(Fault::range("this comes to infinity or to no number, perhaps by a division by zero"))
        }
        // Data has no such number, and can be large.
        Value::List(List::Shared(items)) => items.iter().try_for_each(|item| check_is_sendable(item, budget)),
        Value::Map(Map::Shared(entries)) => {
            entries.values().try_for_each(|item| check_is_sendable(item, budget))
        }
        _ => Ok(()),
    }
}

/// Prints a value in the form of Go's `%v`, for `string()`.
pub(crate) fn verbatim(value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), Fault> {
    match value {
        Value::Opaque(_) => Err(opaque::refused("a printed list")),
        Value::Nil => push(out, "<nil>", budget),
        Value::Bool(truth) => push(out, if *truth { "true" } else { "false" }, budget),
        Value::Int(n) => push(out, &n.to_string(), budget),
        Value::Float(x) => push(out, &go_format::float_verbatim(*x), budget),
        Value::Text(text) => push(out, text, budget),
        Value::Time(time) => push(out, &go_format::time_text(time), budget),
        Value::Duration(nanoseconds) => push(out, &go_format::duration_text(*nanoseconds), budget),
        Value::Zone(zone) => push(out, &zone_name(zone), budget),
        Value::Calendar(day) => push(out, calendar(*day), budget),
        Value::List(list) => {
            push(out, "[", budget)?;
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    push(out, " ", budget)?;
                }
                verbatim(&item, out, budget)?;
            }
            push(out, "]", budget)
        }
        Value::Map(map) => {
            push(out, "map[", budget)?;
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if index > 0 {
                    push(out, " ", budget)?;
                }
                key_text(key, out, budget)?;
                push(out, ":", budget)?;
                verbatim(item, out, budget)?;
            }
            push(out, "]", budget)
        }
    }
}

/// A key as text.
pub(crate) fn key_text(key: &Key<'_>, out: &mut String, budget: &mut Budget) -> Result<(), Fault> {
    match key {
        Key::Text(text) => push(out, text, budget),
        other => verbatim(&other.to_value(), out, budget),
    }
}

fn calendar(day: Calendar) -> &'static str {
    match day {
        Calendar::Month(number) => go_format::month(number),
        Calendar::Weekday(number) => go_format::weekday(number),
    }
}

fn push(out: &mut String, text: &str, budget: &mut Budget) -> Result<(), Fault> {
    budget.grow(text.len())?;
    out.push_str(text);
    Ok(())
}
