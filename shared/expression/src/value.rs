//! Values: borrowed from the caller's data where possible, shared where made.

use std::{cmp::Ordering, collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use jiff::tz::TimeZone;

use crate::{marks::Marks, opaque::Opaque, time::Time};

/// A value while an expression is evaluated. Cheap to clone: borrowed or reference-counted.
#[derive(Clone)]
pub enum Value<'a> {
    /// `nil`, JSON's `null`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An integer. Integers stay integers until an operator makes floats of them.
    Int(i64),
    /// A floating-point number; may be infinite or not a number.
    Float(f64),
    /// Text.
    Text(Text<'a>),
    /// A list.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
    /// A time with its zone.
    Time(Time),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A time zone.
    Zone(TimeZone),
    /// A month or a day of the week.
    Calendar(Calendar),
    /// A value that holds a secret: it can be placed into a text, but not looked at.
    Opaque(Opaque),
}

/// A month or a day of the week, which Go keeps apart from integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Calendar {
    /// 1 is January.
    Month(i8),
    /// 0 is Sunday.
    Weekday(i8),
}

/// Text, borrowed or shared.
#[derive(Clone)]
pub enum Text<'a> {
    /// Part of the caller's data or of the template.
    Borrowed(&'a str),
    /// Made by an evaluation. The text stays in the `String` in which it grew, to save a copy.
    Shared(Arc<String>),
}

/// A list, borrowed from JSON or shared.
#[derive(Clone)]
pub enum List<'a> {
    /// A JSON array of the caller's data.
    Json(&'a [serde_json::Value]),
    /// Items of such an array, some of them marked.
    Marked(Arc<MarkedItems<'a>>),
    /// Made by an evaluation.
    Shared(Arc<Nested<Vec<Value<'a>>>>),
}

/// Items of a JSON array of which some are marked. Behind a pointer, so that a value stays small.
pub struct MarkedItems<'a> {
    items: &'a [serde_json::Value],
    /// The index of the first item in the array.
    from: usize,
    marks: &'a Marks,
}

impl<'a> MarkedItems<'a> {
    fn of(items: &'a [serde_json::Value], from: usize, marks: &'a Marks) -> List<'a> {
        List::Marked(Arc::new(Self { items, from, marks }))
    }
}

/// A map, borrowed from JSON, looked up lazily, or shared.
#[derive(Clone)]
pub enum Map<'a> {
    /// A JSON object of the caller's data.
    Json(&'a serde_json::Map<String, serde_json::Value>),
    /// Such an object in which something is marked.
    Marked(&'a serde_json::Map<String, serde_json::Value>, &'a Marks),
    /// A map of the caller whose entries are looked up on demand.
    Lookup(&'a (dyn Lookup + 'a)),
    /// Made by an evaluation.
    Shared(Arc<Nested<BTreeMap<Key<'a>, Value<'a>>>>),
}

/// A collection made by an evaluation. It keeps its depth of nesting, so that every recursion is
/// bounded.
pub struct Nested<T> {
    depth: u32,
    holds_opaque: bool,
    inner: T,
}

impl<T> Nested<T> {
    /// Levels of made collections from here down, itself included. Borrowed JSON below counts as 0.
    pub fn depth(&self) -> u32 {
        self.depth
    }
}

impl<T> Deref for Nested<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

/// A map whose entries are looked up on demand, so that it need not exist as a whole (`$`).
pub trait Lookup: Sync {
    /// The value for `key`; `None` where there is no such key.
    fn get(&self, key: &str) -> Option<Value<'_>>;

    /// All keys, in any order. Called only where an expression takes the map as a whole.
    fn keys(&self) -> Vec<String>;

    /// Whether a place in the map is marked.
    fn holds_marks(&self) -> bool {
        false
    }
}

/// A key of a map. Keys of one kind are ordered; group keys keep their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// `nil`
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, by the bits of its order-preserving form.
    Float(FloatKey),
    /// Text, the usual kind of key.
    Text(Text<'a>),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A time.
    Time(Time),
    /// A month or a day of the week.
    Calendar(Calendar),
}

/// A float that can be compared and ordered as a key (`f64::total_cmp`).
#[derive(Clone, Copy, Debug)]
pub struct FloatKey(pub f64);

impl PartialEq for FloatKey {
    fn eq(&self, other: &FloatKey) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for FloatKey {}

impl PartialOrd for FloatKey {
    fn partial_cmp(&self, other: &FloatKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FloatKey {
    fn cmp(&self, other: &FloatKey) -> Ordering {
        // Zero and negative zero are one key.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

impl<'a> Value<'a> {
    /// A value that borrows JSON data. Numbers without a fraction that fit are integers.
    pub fn json(value: &'a serde_json::Value) -> Value<'a> {
        match value {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => number(n),
            serde_json::Value::String(s) => Value::Text(Text::Borrowed(s)),
            serde_json::Value::Array(items) => Value::List(List::Json(items)),
            serde_json::Value::Object(map) => Value::Map(Map::Json(map)),
        }
    }

    /// JSON data of which some places are marked.
    pub fn marked(value: &'a serde_json::Value, marks: &'a Marks) -> Value<'a> {
        match value {
            _ if marks.is_empty() => Value::json(value),
            _ if marks.label().is_some() => {
                marks.label().map_or(Value::Nil, |label| Value::Opaque(Opaque::redacted(label)))
            }
            serde_json::Value::Array(items) => Value::List(MarkedItems::of(items, 0, marks)),
            serde_json::Value::Object(map) => Value::Map(Map::Marked(map, marks)),
            other => Value::json(other),
        }
    }

    /// A map whose entries are looked up on demand.
    pub fn lookup(map: &'a (dyn Lookup + 'a)) -> Value<'a> {
        Value::Map(Map::Lookup(map))
    }

    /// Borrowed text.
    pub fn str(text: &'a str) -> Value<'a> {
        Value::Text(Text::Borrowed(text))
    }

    /// Text that the value keeps.
    pub fn string(text: impl Into<String>) -> Value<'static> {
        Value::Text(Text::string(text))
    }

    /// A list of values.
    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        let holds_opaque = items.iter().any(Value::holds_opaque);
        Value::List(List::Shared(Arc::new(Nested { depth, holds_opaque, inner: items })))
    }

    /// A map of values with text keys.
    pub fn map(entries: impl IntoIterator<Item = (String, Value<'a>)>) -> Value<'a> {
        let entries = entries.into_iter().map(|(key, value)| (Key::Text(Text::string(key)), value));
        Value::keyed(entries.collect())
    }

    /// A map of values with keys of any kind.
    pub fn keyed(entries: BTreeMap<Key<'a>, Value<'a>>) -> Value<'a> {
        let depth = 1 + entries.values().map(Value::depth).max().unwrap_or(0);
        let holds_opaque = entries.values().any(Value::holds_opaque);
        Value::Map(Map::Shared(Arc::new(Nested { depth, holds_opaque, inner: entries })))
    }

    /// A time, shown in its own zone.
    pub fn time(time: jiff::Zoned) -> Value<'static> {
        Value::Time(Time::new(time))
    }

    /// A point in time, shown in UTC.
    pub fn timestamp(time: jiff::Timestamp) -> Value<'static> {
        Value::Time(Time::new(time.to_zoned(TimeZone::UTC)))
    }

    /// Levels of made collections, itself included; 0 for everything else.
    pub fn depth(&self) -> u32 {
        match self {
            Value::List(List::Shared(items)) => items.depth(),
            Value::Map(Map::Shared(entries)) => entries.depth(),
            _ => 0,
        }
    }

    /// Whether the value is opaque or holds an opaque value. Unmarked data of the caller never
    /// does.
    pub fn holds_opaque(&self) -> bool {
        match self {
            Value::Opaque(_) => true,
            Value::List(List::Shared(items)) => items.holds_opaque,
            Value::List(List::Marked(..)) | Value::Map(Map::Marked(..)) => true,
            Value::Map(Map::Shared(entries)) => entries.holds_opaque,
            Value::Map(Map::Lookup(lookup)) => lookup.holds_marks(),
            Value::List(List::Json(_)) | Value::Map(Map::Json(_)) => false,
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Zone(_)
            | Value::Calendar(_) => false,
        }
    }

    /// The word that `type()` gives: `nil`, `bool`, `int`, `float`, `string`, `array`, `map`,
    /// `time.Time`, …
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "map",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Zone(_) => "time.Location",
            Value::Calendar(Calendar::Month(_)) => "time.Month",
            Value::Calendar(Calendar::Weekday(_)) => "time.Weekday",
            Value::Opaque(_) => "a secret",
        }
    }

    /// The value as JSON. A value that JSON has no form for becomes text. A value beyond the limits
    /// of one evaluation becomes null.
    pub fn to_json(&self) -> serde_json::Value {
        crate::template::to_json(self)
    }

    /// The text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if the value is one (or a float without a fraction that fits).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Some(*x as i64),
            _ => None,
        }
    }
}

/// The value at a place below `marks`; `None`: nothing there is marked.
fn below<'a>(value: &'a serde_json::Value, marks: Option<&'a Marks>) -> Value<'a> {
    marks.map_or_else(|| Value::json(value), |marks| Value::marked(value, marks))
}

impl<'a> List<'a> {
    /// Items `from..to` of borrowed JSON, which must exist. `None` for a list of an evaluation.
    pub(crate) fn json_slice(&self, from: usize, to: usize) -> Option<List<'a>> {
        match self {
            List::Json(items) => Some(List::Json(&items[from..to])),
            List::Marked(marked) => {
                Some(MarkedItems::of(&marked.items[from..to], marked.from + from, marked.marks))
            }
            List::Shared(_) => None,
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Marked(marked) => marked.items.len(),
            List::Shared(items) => items.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::json),
            List::Marked(marked) => {
                let marks = marked.marks.below(&(marked.from + index).to_string());
                marked.items.get(index).map(|item| below(item, marks))
            }
            List::Shared(items) => items.get(index).cloned(),
        }
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        match self {
            Map::Json(entries) | Map::Marked(entries, _) => entries.len(),
            Map::Lookup(lookup) => lookup.keys().len(),
            Map::Shared(entries) => entries.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under a key of any kind; `None` where there is none.
    ///
    /// # Errors
    /// A key that the map can't have: a list, or any other key than text in a map of text
    /// keys.
    pub(crate) fn look_up(&self, key: &Value<'a>) -> Result<Option<Value<'a>>, ()> {
        match (self, key) {
            (map, Value::Text(key)) => Ok(map.get(key)),
            // As in Go, where nil is the zero key of a map of texts.
            (map, Value::Nil) if map.has_text_keys() => Ok(map.get("")),
            (map, _) if map.has_text_keys() => Err(()),
            (Map::Shared(entries), key) => Key::of(key).map(|key| entries.get(&key).cloned()).ok_or(()),
            (_, key) => Key::of(key).map(|_| None).ok_or(()),
        }
    }

    /// Whether there are keys and all of them are texts. The answer depends on the entries, not on
    /// their storage.
    fn has_text_keys(&self) -> bool {
        let is_text = |key: Option<(&Key<'a>, &Value<'a>)>| matches!(key, Some((Key::Text(_), _)));
        match self {
            // Keys are in order, those of one kind together.
            Map::Shared(entries) => is_text(entries.first_key_value()) && is_text(entries.last_key_value()),
            map => !map.is_empty(),
        }
    }

    /// The value under the first text key that differs from this one in the case of ASCII letters
    /// alone. Only data has headers, so only its maps are looked through.
    pub(crate) fn get_in_any_case(&self, key: &str) -> Option<Value<'a>> {
        let entries = match self {
            Map::Json(entries) | Map::Marked(entries, _) => entries,
            Map::Lookup(_) | Map::Shared(_) => return None,
        };
        let found = entries.keys().find(|found| found.eq_ignore_ascii_case(key))?;
        self.get(found)
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Map::Json(entries) => entries.get(key).map(Value::json),
            Map::Marked(entries, marks) => entries.get(key).map(|value| below(value, marks.below(key))),
            Map::Lookup(lookup) => lookup.get(key),
            Map::Shared(entries) => entries.get(&Key::Text(Text::Borrowed(key)) as &Key<'_>).cloned(),
        }
    }

    /// The entries in the order of their keys.
    pub fn entries(&self) -> Vec<(Key<'a>, Value<'a>)> {
        let mut entries: Vec<(Key<'a>, Value<'a>)> = match self {
            Map::Json(map) => {
                map.iter().map(|(key, value)| (Key::Text(Text::Borrowed(key)), Value::json(value))).collect()
            }
            Map::Marked(map, marks) => {
                let entry = |(key, value): (&'a String, &'a serde_json::Value)| {
                    (Key::Text(Text::Borrowed(key)), below(value, marks.below(key)))
                };
                map.iter().map(entry).collect()
            }
            Map::Lookup(lookup) => {
                let present =
                    |key: String| lookup.get(&key).map(|value| (Key::Text(Text::string(key)), value));
                lookup.keys().into_iter().filter_map(present).collect()
            }
            Map::Shared(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        };
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries
    }
}

impl<'a> Key<'a> {
    /// The value that this key was made from.
    pub fn to_value(&self) -> Value<'a> {
        match self {
            Key::Nil => Value::Nil,
            Key::Bool(b) => Value::Bool(*b),
            Key::Int(n) => Value::Int(*n),
            Key::Float(x) => Value::Float(x.0),
            Key::Text(text) => Value::Text(text.clone()),
            Key::Duration(nanoseconds) => Value::Duration(*nanoseconds),
            Key::Time(time) => Value::Time(time.clone()),
            Key::Calendar(day) => Value::Calendar(*day),
        }
    }

    /// The key for a value; `None` where Go calls the value unhashable (lists, maps, zones).
    pub fn of(value: &Value<'a>) -> Option<Key<'a>> {
        Some(match value {
            Value::Nil => Key::Nil,
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(n) => Key::Int(*n),
            Value::Float(x) => Key::Float(FloatKey(*x)),
            Value::Text(text) => Key::Text(text.clone()),
            Value::Duration(nanoseconds) => Key::Duration(*nanoseconds),
            Value::Time(time) => Key::Time(time.clone()),
            Value::Calendar(day) => Key::Calendar(*day),
            Value::List(_) | Value::Map(_) | Value::Zone(_) | Value::Opaque(_) => return None,
        })
    }
}

impl fmt::Debug for Value<'_> {
    /// The type only: values may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl fmt::Debug for Text<'_> {
    /// Nothing of the text: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("string")
    }
}

impl Text<'_> {
    /// Text that the value keeps.
    pub(crate) fn string(text: impl Into<String>) -> Text<'static> {
        Text::Shared(Arc::new(text.into()))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Text<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Text<'_>) -> Ordering {
        (**self).cmp(&**other)
    }
}

/// The value of a JSON number.
fn number(n: &serde_json::Number) -> Value<'static> {
    match n.as_i64() {
        Some(int) => Value::Int(int),
        None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
    }
}
