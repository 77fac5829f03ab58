//! JSON from outside: from a webhook, the API or a component's output.
//!
//! Postgres stores neither NUL nor lone surrogates in jsonb, and serde_json refuses to read back
//! more than 128 levels. One bad record must not fail a batch, so such JSON is refused or mended
//! here, before it is stored.

use serde_json::Value;

use crate::limits::{
    EVENT_DATA_BYTES_MAX, EVENT_DATA_DEPTH_MAX, EVENT_DATA_VALUES_MAX, EVENT_DATA_WEIGHT_MAX,
    NUMBER_CHARS_MAX, NUMBER_EXPONENT_MAX,
};

/// The reason for which JSON was refused. No text repeats the sent data.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON, or not UTF-8.
    #[error("not valid JSON (line {line}, column {column})")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Nested too deep.
    #[error("nested deeper than {EVENT_DATA_DEPTH_MAX} levels")]
    Depth,
    /// Too many values.
    #[error("more than {EVENT_DATA_VALUES_MAX} values")]
    Values,
    /// Too much memory, mostly because of many small maps.
    #[error("heavier than {EVENT_DATA_WEIGHT_MAX} bytes in memory: it has too many maps")]
    Weight,
    /// A number that is too long or too large.
    #[error(
        "a number has more than {NUMBER_CHARS_MAX} characters or an exponent beyond {NUMBER_EXPONENT_MAX}"
    )]
    Number,
    /// A character that Postgres can't keep.
    #[error("a string holds the character U+0000 or half of a surrogate pair")]
    Character,
    /// Too large once written as compact JSON.
    #[error("larger than {EVENT_DATA_BYTES_MAX} bytes")]
    Bytes,
}

/// Reads JSON from outside, strictly.
///
/// Integers stay integers where they fit i64; others become f64.
///
/// # Errors
/// [`JsonError`] for JSON that could not be stored or read back.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonError> {
    check_shape(bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        if has_lone_surrogate(bytes) {
            JsonError::Character
        } else {
            JsonError::Syntax { line: error.line(), column: error.column() }
        }
    })?;
    let value = integers_to_i64(value);
    check_value(&value, 1, &mut 0)?;
    check_weight(&value)?;
    if has_nul(&value) { Err(JsonError::Character) } else { Ok(value) }
}

/// Reads JSON from a target's answer. Characters that Postgres can't store become U+FFFD. None when
/// the text is no JSON or exceeds a limit.
#[must_use]
pub fn parse_lenient(text: &str) -> Option<Value> {
    check_shape(text.as_bytes()).ok()?;
    let value = serde_json::from_str(&replace_lone_surrogates(text)).ok()?;
    Some(replace_nul(integers_to_i64(value)))
}

/// The text with each half of a surrogate pair as U+FFFD, which serde_json would refuse.
#[must_use]
pub fn parsable(text: &str) -> std::borrow::Cow<'_, str> {
    replace_lone_surrogates(text)
}

/// Makes a component's output fit to be stored: NUL becomes U+FFFD.
///
/// # Errors
/// [`JsonError::Depth`], [`JsonError::Values`], [`JsonError::Weight`] or [`JsonError::Bytes`] when
/// the output exceeds a limit.
pub fn check_output(value: Value) -> Result<Value, JsonError> {
    let value = replace_nul(integers_to_i64(value));
    let mut values = 0;
    check_value(&value, 1, &mut values)?;
    check_weight(&value)?;
    if compact_bytes(&value) > EVENT_DATA_BYTES_MAX { Err(JsonError::Bytes) } else { Ok(value) }
}

/// Bytes of memory that every value takes at least.
const VALUE_WEIGHT: usize = 32;
/// Bytes of memory that a map takes beside its entries, however few they are.
const MAP_WEIGHT: usize = 640;

/// Bytes of memory that a value takes: 32 for each value, 640 for each map, and its texts. A limit
/// on the bytes of the text does not bound this memory: 256 KiB of `{"a":1},` take 21 MiB.
#[must_use]
pub fn weight(value: &Value) -> usize {
    VALUE_WEIGHT
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => {
                MAP_WEIGHT + map.iter().map(|(key, item)| key.len() + weight(item)).sum::<usize>()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// Bytes of the value as compact JSON, counted without building the text.
#[must_use]
pub fn compact_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value)
        .expect("a JSON value always serialises and a counter takes every byte");
    counter.0
}

/// Text that Postgres can keep: NUL becomes U+FFFD.
#[must_use]
pub fn storable_text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn check_weight(value: &Value) -> Result<(), JsonError> {
    if weight(value) > EVENT_DATA_WEIGHT_MAX { Err(JsonError::Weight) } else { Ok(()) }
}

fn check_value(value: &Value, depth: usize, values: &mut usize) -> Result<(), JsonError> {
    *values += 1;
    if *values > EVENT_DATA_VALUES_MAX {
        return Err(JsonError::Values);
    }
    if depth > EVENT_DATA_DEPTH_MAX && (value.is_array() || value.is_object()) {
        return Err(JsonError::Depth);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_value(item, depth + 1, values)),
        Value::Object(map) => map.values().try_for_each(|item| check_value(item, depth + 1, values)),
        _ => Ok(()),
    }
}

/// Checks the depth, the numbers of values and maps, and the length of numbers. It reads the bytes
/// alone, before a value is built from them.
///
/// # Errors
/// [`JsonError::Depth`], [`JsonError::Values`], [`JsonError::Weight`] or [`JsonError::Number`].
pub fn check_shape(bytes: &[u8]) -> Result<(), JsonError> {
    let (mut depth, mut values, mut maps, mut at) = (0_usize, 0_usize, 0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                values += 1;
                at = string_end(bytes, at);
                continue;
            }
            open @ (b'[' | b'{') => {
                depth += 1;
                values += 1;
                maps += usize::from(open == b'{');
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                values += 1;
                let end = at + bytes[at..].iter().take_while(|byte| is_number_byte(**byte)).count();
                check_number(&bytes[at..end])?;
                at = end;
                continue;
            }
            b't' | b'f' | b'n' => values += 1,
            _ => {}
        }
        if depth > EVENT_DATA_DEPTH_MAX {
            return Err(JsonError::Depth);
        }
        // Keys count here too, so this bound is rough; `check_value` has the exact one.
        if values > 4 * EVENT_DATA_VALUES_MAX {
            return Err(JsonError::Values);
        }
        // This bound is rough too; `check_weight` has the exact one.
        if maps * MAP_WEIGHT > EVENT_DATA_WEIGHT_MAX {
            return Err(JsonError::Weight);
        }
        at += 1;
    }
    Ok(())
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

fn check_number(number: &[u8]) -> Result<(), JsonError> {
    if number.len() > NUMBER_CHARS_MAX {
        return Err(JsonError::Number);
    }
    let exponent = number.iter().position(|byte| matches!(byte, b'e' | b'E')).map(|at| &number[at + 1..]);
    let Some(digits) =
        exponent.map(|digits| digits.strip_prefix(b"-").or(digits.strip_prefix(b"+")).unwrap_or(digits))
    else {
        return Ok(());
    };
    let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    // Digits that are no number pass here: serde_json refuses them with their position.
    if size.is_some_and(|size| size > NUMBER_EXPONENT_MAX) || (size.is_none() && digits.len() > 9) {
        return Err(JsonError::Number);
    }
    Ok(())
}

/// The index after the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn integers_to_i64(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => {
            number.as_f64().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(integers_to_i64).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, item)| (key, integers_to_i64(item))).collect())
        }
        other => other,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || has_nul(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn replace_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(storable_text(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(replace_nul).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, item)| (storable_text(key), replace_nul(item))).collect(),
        ),
        other => other,
    }
}

/// The places (index of the backslash) of `\uXXXX` escapes that are half of a surrogate pair.
fn lone_surrogates(bytes: &[u8]) -> Vec<usize> {
    let unit_at = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit_at(at) {
            Some(0xD800..=0xDBFF) if matches!(unit_at(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                found.push(at);
                at += 6;
            }
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    found
}

fn has_lone_surrogate(bytes: &[u8]) -> bool {
    !lone_surrogates(bytes).is_empty()
}

fn replace_lone_surrogates(text: &str) -> std::borrow::Cow<'_, str> {
    let places = lone_surrogates(text.as_bytes());
    if places.is_empty() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        out.push_str(&text[from..place]);
        out.push_str("\\ufffd");
        from = place + 6;
    }
    out.push_str(&text[from..]);
    out.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_weight_of_data_has_a_limit_on_both_sides_i10() {
        assert_eq!(weight(&serde_json::json!([1, "abc", { "k": null }])), 32 + 32 + 35 + (32 + 640 + 1 + 32));
        // A list of small maps, filled up with text.
        let maps = (EVENT_DATA_WEIGHT_MAX - VALUE_WEIGHT) / (VALUE_WEIGHT + MAP_WEIGHT) - 1;
        let heavy = |weight: usize| {
            let filling = weight - VALUE_WEIGHT - maps * (VALUE_WEIGHT + MAP_WEIGHT) - VALUE_WEIGHT;
            format!("[{}\"{}\"]", "{},".repeat(maps), "x".repeat(filling))
        };
        assert!(parse_strict(heavy(EVENT_DATA_WEIGHT_MAX).as_bytes()).is_ok());
        assert_eq!(parse_strict(heavy(EVENT_DATA_WEIGHT_MAX + 1).as_bytes()), Err(JsonError::Weight));
        let value: Value = serde_json::from_str(&heavy(EVENT_DATA_WEIGHT_MAX + 1)).unwrap();
        assert_eq!(check_output(value), Err(JsonError::Weight));
        let many = format!("[{}0]", "{\"a\":1},".repeat(28_000));
        assert_eq!(parse_strict(many.as_bytes()), Err(JsonError::Weight), "before it is built");
        assert_eq!(parse_lenient(&many), None, "an answer of a target stays text");
    }

    #[test]
    fn integers_stay_integers_and_larger_ones_become_floats() {
        let check = |text: &str, expected: Value| assert_eq!(parse_strict(text.as_bytes()), Ok(expected));
        check("9223372036854775807", json!(i64::MAX));
        check("9223372036854775808", json!(9_223_372_036_854_775_808.0));
        check("[1, 1.0, -0]", json!([1, 1.0, -0.0]));
    }

    #[test]
    fn poison_is_refused_with_its_reason() {
        let check =
            |text: &str, expected| assert_eq!(parse_strict(text.as_bytes()), Err(expected), "{text:.60}");
        check(r#"{"a":"\u0000"}"#, JsonError::Character);
        check(r#"{"\u0000":1}"#, JsonError::Character);
        check(r#""\ud800""#, JsonError::Character);
        check(r#""\udc00\ud800""#, JsonError::Character);
        check("1e131072", JsonError::Number);
        check("[1e131071]", JsonError::Number);
        check("{\"a\": }", JsonError::Syntax { line: 1, column: 7 });
        check(&"[".repeat(20_000), JsonError::Depth);
    }

    #[test]
    fn numbers_have_limits_on_both_sides() {
        let digits = |count: usize| parse_strict("1".repeat(count).as_bytes());
        assert!(digits(NUMBER_CHARS_MAX).is_ok());
        assert_eq!(digits(NUMBER_CHARS_MAX + 1), Err(JsonError::Number));
        assert!(parse_strict(b"1e308").is_ok());
        assert!(parse_strict(b"1e-308").is_ok());
        assert_eq!(parse_strict(b"1e309"), Err(JsonError::Number));
        assert_eq!(parse_strict(b"1e-309"), Err(JsonError::Number));
    }

    #[test]
    fn nesting_has_a_limit_on_both_sides() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_strict(nested(EVENT_DATA_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse_strict(nested(EVENT_DATA_DEPTH_MAX + 1).as_bytes()), Err(JsonError::Depth));
        let value = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(check_output(value(EVENT_DATA_DEPTH_MAX)).is_ok());
        assert_eq!(check_output(value(EVENT_DATA_DEPTH_MAX + 1)), Err(JsonError::Depth));
    }

    #[test]
    fn an_output_has_limits_of_size_on_both_sides() {
        assert!(check_output(json!("x".repeat(EVENT_DATA_BYTES_MAX - 2))).is_ok());
        assert_eq!(check_output(json!("x".repeat(EVENT_DATA_BYTES_MAX - 1))), Err(JsonError::Bytes));
        assert!(check_output(json!(vec![1; EVENT_DATA_VALUES_MAX - 1])).is_ok());
        assert_eq!(check_output(json!(vec![1; EVENT_DATA_VALUES_MAX])), Err(JsonError::Values));
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = format!("[\"{}\\\"{}\"]", "[".repeat(500), "{".repeat(500));
        assert!(parse_strict(text.as_bytes()).is_ok());
    }

    #[test]
    fn an_answer_keeps_what_can_be_kept() {
        assert_eq!(parse_lenient(r#"{"a":"\ud800x\u0000"}"#), Some(json!({ "a": "\u{fffd}x\u{fffd}" })));
        assert_eq!(parse_lenient(r#""\ud83d\ude00\\ud800""#), Some(json!("😀\\ud800")));
        assert_eq!(parse_lenient("not json"), None);
    }

    #[test]
    fn bytes_are_counted_as_they_are_written() {
        for value in [json!(null), json!({ "a": [1, "ü\n"] })] {
            assert_eq!(compact_bytes(&value), value.to_string().len());
        }
    }
}
