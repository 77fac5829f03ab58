//! Builtins that ask for types and change them.

use base64::{Engine as _, alphabet, engine};

use super::{Outcome, json, print, text};
use crate::{
    eval::{self, Budget, Fault},
    opaque::Pieces,
    text::from_bytes,
    value::{Calendar, Value},
};

/// Base64 as Go's `StdEncoding`: padded, with any value in the unused bits.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

pub(super) fn int<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    match &arguments[0] {
        Value::Int(n) => Ok(Value::Int(*n)),
        Value::Float(x) => Ok(Value::Int(*x as i64)),
        Value::Duration(nanoseconds) => Ok(Value::Int(*nanoseconds)),
        Value::Calendar(Calendar::Month(n) | Calendar::Weekday(n)) => Ok(Value::Int(i64::from(*n))),
        Value::Text(text) => {
            let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
            let digits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| text.parse().ok()).flatten();
            number.map(Value::Int).ok_or_else(|| Fault::other("the text is no integer"))
        }
        other => Err(Fault::of_type(format!("cannot make an integer of {}", other.type_name()))),
    }
}

pub(super) fn float<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    match &arguments[0] {
        Value::Int(n) => Ok(Value::Float(*n as f64)),
        Value::Float(x) => Ok(Value::Float(*x)),
        Value::Text(text) => {
            let number: Option<f64> = text.parse().ok();
            // Digits that give infinity are out of range; the word `Inf` has no digits.
            let fits = |x: &f64| x.is_finite() || !text.contains(|c: char| c.is_ascii_digit());
            number.filter(fits).map(Value::Float).ok_or_else(|| Fault::other("the text is no number"))
        }
        other => Err(Fault::of_type(format!("cannot make a float of {}", other.type_name()))),
    }
}

pub(super) fn string<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    if let Value::Text(text) = &arguments[0] {
        return Ok(Value::Text(text.clone()));
    }
    let mut out = String::new();
    print::verbatim(&arguments[0], &mut out, budget)?;
    Ok(Value::string(out))
}

pub(super) fn type_of<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    Ok(Value::str(arguments[0].type_name()))
}

pub(super) fn to_json<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let mut pieces = Pieces::default();
    json::write(&arguments[0], 0, &mut pieces, budget)?;
    Ok(pieces.into_value())
}

pub(super) fn from_json<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    json::parse(text(arguments, 0)?, budget)
}

pub(super) fn to_base64<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let plain = text(arguments, 0)?;
    budget.grow(plain.len() * 4 / 3 + 4)?;
    Ok(Value::string(BASE64.encode(plain.as_bytes())))
}

pub(super) fn from_base64<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let encoded = text(arguments, 0)?;
    budget.grow(encoded.len())?;
    let encoded = encoded.replace(['\r', '\n'], "");
    // The error of the decoder is not passed on: it quotes the text.
    let bytes = BASE64.decode(encoded).map_err(|_| Fault::other("the text is no Base64"))?;
    Ok(Value::string(from_bytes(&bytes)))
}

pub(super) fn len<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let length = match &arguments[0] {
        Value::Text(text) => {
            budget.read(text.len())?;
            text.chars().count()
        }
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(Fault::of_type(format!("{} has no length", other.type_name()))),
    };
    Ok(Value::Int(length as i64))
}

/// `object[key]`; nil where the access is an error.
pub(super) fn get<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    Ok(eval::member(&arguments[0], &arguments[1]).unwrap_or(Value::Nil))
}
