//! JSON values: strings, keys and numbers.

use serde_json::{Map, Number, Value};

use crate::Scrubber;

/// Scrubs a value. Its reader limited its depth, so the recursion is safe.
pub(crate) fn scrub(scrubber: &Scrubber, value: Value) -> (Value, usize) {
    match value {
        Value::String(text) => {
            let (text, places) = scrubber.scrub_text(&text);
            (Value::String(text), places)
        }
        Value::Number(number) => scrub_number(scrubber, number),
        Value::Array(items) => {
            let mut places = 0;
            let items = items.into_iter().map(|item| {
                let (item, more) = scrub(scrubber, item);
                places += more;
                item
            });
            (Value::Array(items.collect()), places)
        }
        Value::Object(map) => scrub_map(scrubber, map),
        Value::Null | Value::Bool(_) => (value, 0),
    }
}

/// A number is searched as it is written, and without an exponent.
fn scrub_number(scrubber: &Scrubber, number: Number) -> (Value, usize) {
    let written = number.to_string();
    let plain = number.as_f64().map(|float| float.to_string());
    for text in std::iter::once(written).chain(plain) {
        let (scrubbed, places) = scrubber.scrub_text(&text);
        if places > 0 {
            return (Value::String(scrubbed), places);
        }
    }
    (Value::Number(number), 0)
}

fn scrub_map(scrubber: &Scrubber, map: Map<String, Value>) -> (Value, usize) {
    let mut scrubbed = Map::with_capacity(map.len());
    let mut places = 0;
    for (key, item) in map {
        let (key, in_key) = scrubber.scrub_text(&key);
        let (item, in_item) = scrub(scrubber, item);
        places += in_key + in_item;
        // Two keys that held secrets may now be equal. A number makes them unique, so that no value
        // is lost.
        let mut unique = key.clone();
        let mut copy = 2;
        while scrubbed.contains_key(&unique) {
            unique = format!("{key} ({copy})");
            copy += 1;
        }
        scrubbed.insert(unique, item);
    }
    (Value::Object(scrubbed), places)
}
