//! Values to and from JSON: as results, and as Go's `toJSON` writes them.

use std::{fmt::Write as _, sync::Arc};

use secret_text::json_text;
use serde_json::Value as Json;

use super::{
    go_format::{self, RFC3339_NANO},
    print,
};
use crate::{
    eval::{Budget, Fault},
    limits::VALUE_NESTING_MAX,
    opaque::{self, Pieces},
    template::Placed,
    time::zone_name,
    value::{Calendar, Text, Value},
};

/// Bytes of memory that one byte of JSON text may take, without maps.
const PARSED_BYTES_PER_BYTE: usize = 16;

/// A value as JSON. Infinite numbers and keys that are no texts have no form in JSON and become
/// texts.
pub(crate) fn encode(value: &Value<'_>, budget: &mut Budget) -> Result<Json, Fault> {
    budget.grow(size_of::<Json>())?;
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(n) => Json::from(*n),
        Value::Float(x) => match serde_json::Number::from_f64(*x) {
            Some(number) => Json::Number(number),
            None => Json::String(go_format::float_decimal(*x)),
        },
        Value::Text(text) => {
            budget.grow(text.len())?;
            Json::String((**text).to_owned())
        }
        Value::Time(time) => Json::String(go_format::format(time, RFC3339_NANO)),
        Value::Duration(nanoseconds) => Json::from(*nanoseconds),
        Value::Zone(zone) => Json::String(zone_name(zone)),
        Value::Calendar(Calendar::Month(number) | Calendar::Weekday(number)) => Json::from(*number),
        Value::Opaque(_) => return Err(opaque::refused("a value")),
        Value::List(list) => {
            Json::Array(list.iter().map(|item| encode(&item, budget)).collect::<Result<_, Fault>>()?)
        }
        Value::Map(map) => {
            budget.grow_map(0)?;
            let mut entries = serde_json::Map::new();
            for (key, item) in map.entries() {
                let mut text = String::new();
                print::key_text(&key, &mut text, budget)?;
                entries.insert(text, encode(&item, budget)?);
            }
            Json::Object(entries)
        }
    })
}

/// A value as JSON in which each opaque text is shown as people see it, and the places and parts of
/// these texts.
pub(crate) fn encode_placed(
    value: &Value<'_>,
    pointer: &mut String,
    placed: &mut Vec<Placed>,
    budget: &mut Budget,
) -> Result<Json, Fault> {
    if !value.holds_opaque() {
        return encode(value, budget);
    }
    budget.grow(size_of::<Json>())?;
    let length = pointer.len();
    match value {
        Value::Opaque(opaque) => {
            let parts = opaque.text_parts()?.to_vec();
            let shown = secret_text::show(&parts);
            budget.grow(shown.len())?;
            placed.push(Placed { pointer: pointer.clone(), parts });
            Ok(Json::String(shown))
        }
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                items.push(encode_placed(&item, pointer, placed, budget)?);
                pointer.truncate(length);
            }
            Ok(Json::Array(items))
        }
        Value::Map(map) => {
            let mut entries = serde_json::Map::new();
            for (key, item) in map.entries() {
                let mut text = String::new();
                print::key_text(&key, &mut text, budget)?;
                pointer.push('/');
                pointer.push_str(&text.replace('~', "~0").replace('/', "~1"));
                let encoded = encode_placed(&item, pointer, placed, budget)?;
                pointer.truncate(length);
                entries.insert(text, encoded);
            }
            Ok(Json::Object(entries))
        }
        other => encode(other, budget),
    }
}

/// A value that is no longer needed, as JSON.
pub(crate) fn encode_result(value: Value<'_>, budget: &mut Budget) -> Result<Json, Fault> {
    match value {
        Value::Text(Text::Shared(text)) => {
            budget.grow(size_of::<Json>())?;
            budget.grow(text.len())?;
            Ok(Json::String(Arc::unwrap_or_clone(text)))
        }
        other => encode(&other, budget),
    }
}

/// JSON as a value that borrows nothing.
pub(crate) fn decode(json: &Json) -> Value<'static> {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(_) => match Value::json(json) {
            Value::Int(n) => Value::Int(n),
            Value::Float(x) => Value::Float(x),
            _ => Value::Nil,
        },
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(decode).collect()),
        Json::Object(entries) => Value::map(entries.iter().map(|(key, item)| (key.clone(), decode(item)))),
    }
}

/// Reads a JSON text.
pub(crate) fn parse(text: &str, budget: &mut Budget) -> Result<Value<'static>, Fault> {
    budget.grow(text.len().saturating_mul(PARSED_BYTES_PER_BYTE))?;
    // Charged before the text is read: a map with one small entry takes a hundred times its text.
    for _ in text.bytes().filter(|byte| *byte == b'{') {
        budget.grow_map(0)?;
    }
    // The error of the parser is not passed on: it quotes the text.
    let json: Json = serde_json::from_str(text).map_err(|_| Fault::other("the text is no JSON"))?;
    if nesting(&json) > VALUE_NESTING_MAX {
        return Err(Fault::limit("the JSON is nested too deeply"));
    }
    Ok(decode(&json))
}

/// Levels of lists and maps. The parser has bounded them, so the recursion is safe.
pub(crate) fn nesting(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Json::Object(entries) => 1 + entries.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

/// Writes a value as Go's `json.MarshalIndent` does: with two spaces, sorted keys, and `<`, `>`,
/// `&` escaped.
pub(crate) fn write(
    value: &Value<'_>,
    level: usize,
    pieces: &mut Pieces,
    budget: &mut Budget,
) -> Result<(), Fault> {
    let before = pieces.text.len();
    let out = &mut pieces.text;
    match value {
        Value::Opaque(opaque) => return pieces.place_json(opaque, budget),
        Value::Nil => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Float(x) => match go_format::float_json(*x) {
            Some(text) => out.push_str(&text),
            None => return Err(Fault::other("JSON has no number for infinity and for what is no number")),
        },
        Value::Text(text) => {
            budget.grow(text.len())?;
            json_text(text, out);
        }
        Value::Time(time) => json_text(&go_format::format(time, RFC3339_NANO), out),
        Value::Zone(zone) => json_text(&zone_name(zone), out),
        Value::Int(n) | Value::Duration(n) => write_number(*n, out),
        Value::Calendar(Calendar::Month(n) | Calendar::Weekday(n)) => write_number(i64::from(*n), out),
        Value::List(list) => {
            let items = list.iter().map(|item| (None, item));
            return write_all(('[', ']'), items, level, pieces, budget);
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, item) in map.entries() {
                let mut text = String::new();
                print::key_text(&key, &mut text, budget)?;
                entries.push((Some(text), item));
            }
            return write_all(('{', '}'), entries.into_iter(), level, pieces, budget);
        }
    }
    budget.grow(pieces.text.len() - before)
}

/// The elements of a list, or of a map with their keys.
fn write_all<'v>(
    brackets: (char, char),
    elements: impl Iterator<Item = (Option<String>, Value<'v>)>,
    level: usize,
    pieces: &mut Pieces,
    budget: &mut Budget,
) -> Result<(), Fault> {
    pieces.text.push(brackets.0);
    let mut empty = true;
    for (key, item) in elements {
        pieces.text.push_str(if empty { "\n" } else { ",\n" });
        empty = false;
        budget.grow(2 * level + 6)?;
        pieces.text.extend(std::iter::repeat_n("  ", level + 1));
        if let Some(key) = key {
            json_text(&key, &mut pieces.text);
            pieces.text.push_str(": ");
        }
        write(&item, level + 1, pieces, budget)?;
    }
    if !empty {
        pieces.text.push('\n');
        pieces.text.extend(std::iter::repeat_n("  ", level));
    }
    pieces.text.push(brackets.1);
    budget.grow(2 * level + 2)
}

fn write_number(n: i64, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{n}");
}
