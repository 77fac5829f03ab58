//! Builtins on texts.

use super::{Outcome, integer, list, text};
use crate::{
    eval::{Budget, Fault},
    limits::REPEAT_BYTES_MAX,
    value::{Text, Value},
};

/// A part of a text, without a copy where the text is borrowed.
fn part<'a>(whole: &Text<'a>, part: &str, budget: &mut Budget) -> Outcome<'a> {
    if part.len() == whole.len() {
        return Ok(Value::Text(whole.clone()));
    }
    if let Text::Borrowed(whole) = whole {
        // `part` lies within `whole`, so its address gives its place in the text.
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        if let Some(borrowed) = whole.get(start..).and_then(|rest| rest.get(..part.len())) {
            return Ok(Value::str(borrowed));
        }
    }
    budget.grow(part.len())?;
    Ok(Value::string(part))
}

pub(super) fn trim<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let whole = text(arguments, 0)?;
    budget.read(whole.len())?;
    if arguments.len() == 1 {
        return part(whole, whole.trim(), budget);
    }
    let cut = text(arguments, 1)?;
    budget.work((whole.len() as u64).saturating_mul(1 + cut.len() as u64 / 16))?;
    part(whole, whole.trim_matches(|c| cut.contains(c)), budget)
}

pub(super) fn trim_prefix<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, prefix) = (text(arguments, 0)?, affix(arguments)?);
    part(whole, whole.strip_prefix(prefix).unwrap_or(whole), budget)
}

pub(super) fn trim_suffix<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, suffix) = (text(arguments, 0)?, affix(arguments)?);
    part(whole, whole.strip_suffix(suffix).unwrap_or(whole), budget)
}

/// The text that `trimPrefix` and `trimSuffix` remove; the default is a space.
fn affix<'v>(arguments: &'v [Value<'_>]) -> Result<&'v str, Fault> {
    if arguments.len() > 1 { text(arguments, 1).map(|text| &**text) } else { Ok(" ") }
}

pub(super) fn upper<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let whole = text(arguments, 0)?;
    budget.grow(whole.len())?;
    Ok(Value::string(whole.chars().map(upper_char).collect::<String>()))
}

pub(super) fn lower<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let whole = text(arguments, 0)?;
    budget.grow(whole.len())?;
    Ok(Value::string(whole.chars().map(lower_char).collect::<String>()))
}

/// The capital of a character. Go maps each character to one: where the full mapping has several,
/// the simple one counts (`ß` stays).
fn upper_char(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => match c as u32 {
            // Greek with iota subscript has capitals of its own.
            code @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7) => {
                char::from_u32(code + 8).unwrap_or(c)
            }
            code @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char::from_u32(code + 9).unwrap_or(c),
            _ => c,
        },
    }
}

/// The small form of a character. Only that of `İ` has several characters; Go takes the first.
fn lower_char(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

pub(super) fn split<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    split_with(arguments, budget, Separator::Dropped)
}

pub(super) fn split_after<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    split_with(arguments, budget, Separator::Kept)
}

#[derive(Clone, Copy, PartialEq)]
enum Separator {
    Dropped,
    Kept,
}

/// Go's `SplitN` and `SplitAfterN`: at most `count` parts, all if it is negative, none if it is 0.
fn split_with<'a>(arguments: &[Value<'a>], budget: &mut Budget, separator: Separator) -> Outcome<'a> {
    let (whole, at) = (text(arguments, 0)?, text(arguments, 1)?);
    let count = if arguments.len() > 2 { integer(arguments, 2)? } else { -1 };
    budget.read(whole.len())?;
    let most = match count {
        0 => return Ok(Value::list(Vec::new())),
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut rest: &str = whole;
    loop {
        let found = if at.is_empty() { rest.chars().next().map(char::len_utf8) } else { rest.find(&**at) };
        let Some(end) = found.filter(|end| parts.len() + 1 < most && (!at.is_empty() || *end < rest.len()))
        else {
            break;
        };
        let shown = if separator == Separator::Kept { end + at.len() } else { end };
        parts.push(&rest[..shown]);
        rest = &rest[end + at.len()..];
        budget.work(2)?;
    }
    if !at.is_empty() || !rest.is_empty() {
        parts.push(rest);
    }
    budget.grow_list(parts.len())?;
    Ok(Value::list(parts.into_iter().map(|found| part(whole, found, budget)).collect::<Result<_, Fault>>()?))
}

pub(super) fn replace<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, old, new) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
    let count = if arguments.len() > 3 { integer(arguments, 3)? } else { -1 };
    budget.read(whole.len())?;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let found = if old.is_empty() { whole.chars().count() + 1 } else { whole.matches(&**old).count() };
    budget.grow(whole.len().saturating_add(found.min(most).saturating_mul(new.len())))?;
    Ok(Value::string(whole.replacen(&**old, new, most)))
}

pub(super) fn repeat<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, count) = (text(arguments, 0)?, integer(arguments, 1)?);
    let count = usize::try_from(count).map_err(|_| Fault::range("the count must not be negative"))?;
    let length = whole.len().saturating_mul(count);
    if length > REPEAT_BYTES_MAX || count > REPEAT_BYTES_MAX {
        return Err(Fault::limit(format!("repeat() makes no more than {REPEAT_BYTES_MAX} bytes")));
    }
    budget.grow(length)?;
    Ok(Value::string(whole.repeat(count)))
}

pub(super) fn index_of<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
    budget.read(whole.len())?;
    Ok(Value::Int(whole.find(&**part).map_or(-1, |at| at as i64)))
}

pub(super) fn last_index_of<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
    budget.read(whole.len())?;
    Ok(Value::Int(whole.rfind(&**part).map_or(-1, |at| at as i64)))
}

pub(super) fn has_prefix<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
    budget.read(part.len())?;
    Ok(Value::Bool(whole.starts_with(&**part)))
}

pub(super) fn has_suffix<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
    budget.read(part.len())?;
    Ok(Value::Bool(whole.ends_with(&**part)))
}

pub(super) fn join<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let items = list(arguments, 0)?;
    let glue = if arguments.len() > 1 { text(arguments, 1)? } else { &Text::Borrowed("") };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        let Value::Text(item) = &item else {
            return Err(Fault::of_type(format!("every item must be a string, not {}", item.type_name())));
        };
        budget.grow(item.len() + glue.len())?;
        if index > 0 {
            joined.push_str(glue);
        }
        joined.push_str(item);
    }
    Ok(Value::string(joined))
}
