//! `select`: the parts of a JSON answer that are kept. The answer is walked over and never made a
//! tree of, so that one of several megabytes can be used where only a few values are wanted.

use std::collections::BTreeMap;

use domain::json::{parsable, parse_lenient};
use domain::limits::HTTP_STORED_BYTES_MAX;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::shape::{Reader, child};

/// Entries of `select`.
const ENTRIES_MAX: usize = 50;
/// Bytes of one path.
const PATH_BYTES_MAX: usize = 512;

/// Names, and the JSON pointers of their values.
pub(super) type Selection = BTreeMap<String, String>;

/// Reads the field.
pub(super) fn read(reader: &mut Reader, value: &Value) -> Option<Selection> {
    const AT: &str = "/select";
    let map = reader.map(AT, value)?;
    if map.is_empty() || map.len() > ENTRIES_MAX {
        reader.problem(AT, format!("must have 1 to {ENTRIES_MAX} entries"));
        return None;
    }
    let mut selection = Selection::new();
    for (name, path) in map {
        match path.as_str() {
            Some(path) if path.starts_with('/') && path.len() <= PATH_BYTES_MAX && !path.contains("{{") => {
                selection.insert(name.clone(), path.to_owned());
            }
            _ => reader.problem(
                &child(AT, name),
                "must be a literal JSON pointer into the body, such as /items/0/id",
            ),
        }
    }
    Some(selection)
}

/// The reason why nothing can be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unselectable {
    /// The text is no JSON.
    NoJson,
    /// The values are larger together than an answer may be that is stored.
    TooLarge,
}

/// The selected values; nil where the answer has none at a path. A value becomes a tree only where
/// it is small enough to be stored.
pub(super) fn select(text: &str, selection: &Selection) -> Result<Value, Unselectable> {
    let mut root = Wanted::default();
    for (name, path) in selection {
        let steps = path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let place = steps.fold(&mut root, |place, step| place.below.entry(step).or_default());
        place.names.push(name.clone());
    }
    let values = selection.keys().map(|name| (name.clone(), Value::Null)).collect();
    let mut found = Found { values, bytes: 0, is_too_large: false };
    let text = parsable(text);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let walked = Walk { wanted: &root, found: &mut found }.deserialize(&mut deserializer);
    if walked.and_then(|()| deserializer.end()).is_err() {
        return Err(Unselectable::NoJson);
    }
    if found.is_too_large { Err(Unselectable::TooLarge) } else { Ok(Value::Object(found.values)) }
}

/// The findings so far.
struct Found {
    values: Map<String, Value>,
    /// Bytes of the values' JSON, each as often as it is kept.
    bytes: usize,
    is_too_large: bool,
}

/// The places below which something is selected.
#[derive(Default)]
struct Wanted {
    names: Vec<String>,
    below: BTreeMap<String, Wanted>,
}

struct Walk<'w, 'f> {
    wanted: &'w Wanted,
    found: &'f mut Found,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.names.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        self.found.bytes += raw.get().len().saturating_mul(self.wanted.copies());
        let value = if self.found.bytes > HTTP_STORED_BYTES_MAX { None } else { parse_lenient(raw.get()) };
        match value {
            Some(value) => self.wanted.keep(&value, &mut self.found.values),
            None => self.found.is_too_large = true,
        }
        Ok(())
    }
}

impl Wanted {
    /// How often a value here, or a part of it, is kept at most.
    fn copies(&self) -> usize {
        self.names.len() + self.below.values().map(Self::copies).sum::<usize>()
    }

    /// Keeps a value, and what is selected within it.
    fn keep(&self, value: &Value, found: &mut Map<String, Value>) {
        for name in &self.names {
            found.insert(name.clone(), value.clone());
        }
        for (step, wanted) in &self.below {
            let inner = match value {
                Value::Object(map) => map.get(step),
                Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            if let Some(inner) = inner {
                wanted.keep(inner, found);
            }
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.wanted.below.get(&key) {
                Some(wanted) => map.next_value_seed(Walk { wanted, found: &mut *self.found })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let is_end = match self.wanted.below.get(&index.to_string()) {
                Some(wanted) => items.next_element_seed(Walk { wanted, found: &mut *self.found })?.is_none(),
                None => items.next_element::<IgnoredAny>()?.is_none(),
            };
            if is_end {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shape::Stage;

    fn found(text: &str, selection: Value) -> Option<Value> {
        let mut reader = Reader::new(Stage::Resolved);
        let selection = read(&mut reader, &selection).unwrap();
        select(text, &selection).ok()
    }

    #[test]
    fn a_value_is_no_larger_than_what_can_be_stored_i10() {
        let of = |bytes: usize, names: usize| {
            let text = format!("{{\"a\": \"{}\"}}", "x".repeat(bytes - 2));
            let selection = (0..names).map(|n| (format!("n{n}"), "/a".to_owned())).collect();
            select(&text, &selection).map(|_| ())
        };
        assert_eq!(of(HTTP_STORED_BYTES_MAX, 1), Ok(()));
        assert_eq!(of(HTTP_STORED_BYTES_MAX + 1, 1), Err(Unselectable::TooLarge));
        assert_eq!(of(HTTP_STORED_BYTES_MAX / 2 + 1, 2), Err(Unselectable::TooLarge));
        let maps = format!("{{\"a\": [{}]}}", vec!["{\"\":0}"; 500_000].join(","));
        let selection = Selection::from([("a".to_owned(), "/a".to_owned())]);
        assert_eq!(select(&maps, &selection), Err(Unselectable::TooLarge));
    }

    #[test]
    fn values_are_taken_out_at_their_paths() {
        let text =
            r#"{"items": [{"id": 1, "tags": ["a"]}, {"id": 2}], "a/b": {"~": true}, "n": 1.5, "total": 2}"#;
        let selection = json!({ "first": "/items/0/id", "tag": "/items/0/tags/0", "item": "/items/1", "odd": "/a~1b/~0",
            "items": "/items", "none": "/items/9/id", "deep": "/n/x", "total": "/total" });
        let expected = json!({ "first": 1, "tag": "a", "item": { "id": 2 }, "odd": true, "items": [{ "id": 1, "tags": ["a"] }, { "id": 2 }],
            "none": null, "deep": null, "total": 2 });
        assert_eq!(found(text, selection), Some(expected));
        assert_eq!(found("[10, 20]", json!({ "second": "/1" })), Some(json!({ "second": 20 })));
        assert_eq!(found("7", json!({ "a": "/a" })), Some(json!({ "a": null })));
        assert_eq!(
            found("{\"a\": 1, \"a\": 2}", json!({ "a": "/a" })),
            Some(json!({ "a": 2 })),
            "the last one counts"
        );
        assert_eq!(found(r#"{"a": "\ud800"}"#, json!({ "a": "/a" })), Some(json!({ "a": "\u{fffd}" })));
        for no_json in ["", "{", "{} {}", "<p>"] {
            assert_eq!(found(no_json, json!({ "a": "/a" })), None);
        }
    }

    #[test]
    fn a_large_answer_is_walked_over_and_a_deep_one_is_none_i10() {
        let many = format!("{{\"rows\": [{}], \"next\": \"t\"}}", vec!["{\"a\":1}"; 500_000].join(","));
        assert_eq!(
            found(&many, json!({ "next": "/next", "last": "/rows/499999/a" })),
            Some(json!({ "next": "t", "last": 1 }))
        );
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            found(&deep, json!({ "b": "/b" })),
            Some(json!({ "b": null })),
            "what is not wanted does no harm"
        );
        assert_eq!(found(&deep, json!({ "a": "/a" })), None, "it can't be stored");
    }

    #[test]
    fn a_selection_is_literal_and_has_limits_on_both_sides() {
        let problems = |value: Value| {
            let mut reader = Reader::new(Stage::Template);
            read(&mut reader, &value);
            reader.into_problems().into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()
        };
        let many = |count: usize| Value::Object((0..count).map(|n| (format!("n{n}"), json!("/a"))).collect());
        assert_eq!(problems(many(ENTRIES_MAX)), [""; 0]);
        assert_eq!(problems(many(ENTRIES_MAX + 1)), ["/select"]);
        assert_eq!(problems(json!({})), ["/select"]);
        let path = |bytes: usize| problems(json!({ "a": format!("/{}", "p".repeat(bytes - 1)) }));
        assert_eq!((path(PATH_BYTES_MAX).len(), path(PATH_BYTES_MAX + 1).len()), (0, 1));
        for wrong in [json!("a"), json!(1), json!("/{{ root().data.x }}")] {
            assert_eq!(problems(json!({ "a": wrong })), ["/select/a"]);
        }
    }
}
