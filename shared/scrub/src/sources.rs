//! What is searched for: values, their lines, their leaves.

use serde_json::Value;
use zeroize::Zeroize;

use crate::needles::{BYTES_MIN, Needles};

/// Bytes from which a value that is too short to be searched for still makes a derived string worth searching.
const SHORT_BYTES_MIN: usize = 4;

/// The needles of all values.
pub(crate) fn collect(values: &[(&str, &str)]) -> Needles {
    let mut needles = Needles::new();
    for (label, value) in values {
        add_with_lines(&mut needles, label, value);
        if let Ok(json) = serde_json::from_str(value) {
            add_leaves(&mut needles, label, json);
        }
    }
    needles
}

/// The derived strings that the values' own needles don't find.
pub(crate) fn derived_to_search<'a>(values: &[(&str, &str)], derived: &[&'a str]) -> Vec<&'a str> {
    let holds_any = |text: &str, lengths: std::ops::Range<usize>| {
        values.iter().any(|(_, value)| lengths.contains(&value.len()) && text.contains(value))
    };
    let covered =
        |text: &str| holds_any(text, BYTES_MIN..usize::MAX) && !holds_any(text, SHORT_BYTES_MIN..BYTES_MIN);
    derived.iter().copied().filter(|text| text.len() >= BYTES_MIN && !covered(text)).collect()
}

fn add_with_lines(needles: &mut Needles, label: &str, text: &str) {
    needles.add_in_chunks(text, label);
    // Whitespace around a line is the first thing that a target changes.
    text.lines().for_each(|line| needles.add_in_chunks(line.trim(), label));
}

/// Adds the leaves of a JSON value, and wipes it: it is a copy of the secret.
fn add_leaves(needles: &mut Needles, label: &str, value: Value) {
    match value {
        Value::String(mut text) => {
            add_with_lines(needles, label, &text);
            text.zeroize();
        }
        Value::Number(number) => {
            needles.add_in_chunks(&number.to_string(), label);
            if let Some(float) = number.as_f64() {
                needles.add_in_chunks(&float.to_string(), label);
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| add_leaves(needles, label, item)),
        Value::Object(map) => map.into_iter().for_each(|(mut key, item)| {
            key.zeroize();
            add_leaves(needles, label, item);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}
