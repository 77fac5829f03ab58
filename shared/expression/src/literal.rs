//! Literals of a residual as JSON, with tags where JSON has no type, so that every value comes back as it was.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};
use serde_json::{Value as Json, json};

use crate::{
    time::{Time, zone},
    value::{Calendar, FloatKey, Key, Value},
};

/// For serde's `with`.
pub(crate) fn serialize<S: Serializer>(value: &Value<'static>, serializer: S) -> Result<S::Ok, S::Error> {
    to_json(value).serialize(serializer)
}

/// For serde's `with`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value<'static>, D::Error> {
    let json = Json::deserialize(deserializer)?;
    from_json(&json).ok_or_else(|| D::Error::custom("malformed literal"))
}

/// Nil, bools, integers, texts and lists as they are; everything else as an object with one key, its type.
fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(n) => json!(n),
        // Postgres keeps no NUL in a text and makes 1e16 an integer.
        Value::Text(text) if text.contains('\0') => json!({ "bytes": text.as_bytes() }),
        Value::Text(text) => json!(**text),
        Value::Float(x) => json!({ "float": x.to_string() }),
        Value::List(list) => Json::Array(list.iter().map(|item| to_json(&item)).collect()),
        Value::Time(time) => {
            json!({ "time": [time.instant().to_string(), crate::time::zone_name(time.zoned().time_zone())] })
        }
        Value::Duration(nanoseconds) => json!({ "duration": nanoseconds }),
        Value::Zone(zone) => json!({ "zone": crate::time::zone_name(zone) }),
        Value::Calendar(Calendar::Month(n)) => json!({ "month": n }),
        Value::Calendar(Calendar::Weekday(n)) => json!({ "weekday": n }),
        Value::Map(map) => {
            let entries = map.entries();
            let plain = |key: &Key<'_>| matches!(key, Key::Text(text) if !text.contains('\0'));
            if entries.iter().all(|(key, _)| plain(key)) {
                let text = |key: Key<'_>| match key {
                    Key::Text(text) => (*text).to_owned(),
                    _ => String::new(),
                };
                let object = entries.into_iter().map(|(key, item)| (text(key), to_json(&item)));
                return json!({ "map": Json::Object(object.collect()) });
            }
            let pairs =
                entries.into_iter().map(|(key, item)| json!([to_json(&key.to_value()), to_json(&item)]));
            json!({ "pairs": pairs.collect::<Vec<Json>>() })
        }
    }
}

fn from_json(json: &Json) -> Option<Value<'static>> {
    Some(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Int(number.as_i64()?),
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(from_json).collect::<Option<_>>()?),
        Json::Object(tagged) => {
            let (tag, inner) = tagged.iter().next().filter(|_| tagged.len() == 1)?;
            tagged_value(tag, inner)?
        }
    })
}

fn tagged_value(tag: &str, inner: &Json) -> Option<Value<'static>> {
    Some(match tag {
        "float" => Value::Float(inner.as_str()?.parse().ok()?),
        "bytes" => {
            let byte = |byte: &Json| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes: Vec<u8> = inner.as_array()?.iter().map(byte).collect::<Option<_>>()?;
            Value::string(String::from_utf8(bytes).ok()?)
        }
        "time" => {
            let [instant, name] = inner.as_array()?.as_slice() else { return None };
            let instant: jiff::Timestamp = instant.as_str()?.parse().ok()?;
            Value::Time(Time::new(instant.to_zoned(named_zone(name.as_str()?)?)))
        }
        "duration" => Value::Duration(inner.as_i64()?),
        "zone" => Value::Zone(named_zone(inner.as_str()?)?),
        "month" => Value::Calendar(Calendar::Month(inner.as_i64()?.try_into().ok()?)),
        "weekday" => Value::Calendar(Calendar::Weekday(inner.as_i64()?.try_into().ok()?)),
        "map" => {
            let entry = |(key, item): (&String, &Json)| Some((key.clone(), from_json(item)?));
            Value::map(inner.as_object()?.iter().map(entry).collect::<Option<Vec<_>>>()?)
        }
        "pairs" => {
            let pair = |pair: &Json| {
                let [key, item] = pair.as_array()?.as_slice() else { return None };
                Some((Key::of(&from_json(key)?)?, from_json(item)?))
            };
            Value::keyed(inner.as_array()?.iter().map(pair).collect::<Option<BTreeMap<_, _>>>()?)
        }
        _ => return None,
    })
}

/// A zone by its name, or a fixed distance to UTC.
fn named_zone(name: &str) -> Option<jiff::tz::TimeZone> {
    if let Ok(zone) = zone(name) {
        return Some(zone);
    }
    let offset = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(name).ok()?;
    Some(offset)
}

/// A value that borrows nothing.
pub(crate) fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Nil => Value::Nil,
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Int(n) => Value::Int(*n),
        Value::Float(x) => Value::Float(*x),
        Value::Text(text) => Value::string(&**text),
        Value::List(list) => Value::list(list.iter().map(|item| owned(&item)).collect()),
        Value::Map(map) => {
            let entries = map.entries().into_iter();
            Value::keyed(entries.map(|(key, item)| (owned_key(&key), owned(&item))).collect())
        }
        Value::Time(time) => Value::Time(time.clone()),
        Value::Duration(nanoseconds) => Value::Duration(*nanoseconds),
        Value::Zone(zone) => Value::Zone(zone.clone()),
        Value::Calendar(day) => Value::Calendar(*day),
    }
}

fn owned_key(key: &Key<'_>) -> Key<'static> {
    match key {
        Key::Nil => Key::Nil,
        Key::Bool(truth) => Key::Bool(*truth),
        Key::Int(n) => Key::Int(*n),
        Key::Float(x) => Key::Float(FloatKey(x.0)),
        Key::Text(text) => Key::Text(crate::value::Text::string(&**text)),
        Key::Duration(nanoseconds) => Key::Duration(*nanoseconds),
        Key::Time(time) => Key::Time(time.clone()),
        Key::Calendar(day) => Key::Calendar(*day),
    }
}
