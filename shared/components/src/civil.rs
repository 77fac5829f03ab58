//! Days, times of day, dates and zones in configurations.

use domain::limits::WAIT_SECONDS_MAX;
use jiff::{
    SignedDuration, Span, SpanRelativeTo,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde_json::{Map, Value};

use crate::shape::{Reader, child, item, type_name};

/// The words for the days of the week.
pub(crate) const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads the days of the week in a field; None where it is missing, open or wrong.
pub(crate) fn read_days(reader: &mut Reader, map: &Map<String, Value>, name: &str) -> Option<Vec<Weekday>> {
    let at = child("", name);
    let list = reader.list(&at, map.get(name)?)?;
    if list.is_empty() {
        reader.problem(&at, "names no day: leave it out for all of them");
    }
    let words = DAYS.map(|(word, _)| word);
    let days: Vec<_> =
        list.iter().enumerate().map(|(index, value)| reader.word(&item(&at, index), value, &words)).collect();
    days.into_iter()
        .map(|word| DAYS.iter().find(|(name, _)| Some(*name) == word).map(|(_, day)| *day))
        .collect()
}

/// Reads a time of day in whole minutes; None where it is open or wrong.
pub(crate) fn read_time_of_day(reader: &mut Reader, at: &str, value: &Value) -> Option<Time> {
    if reader.is_open(value) {
        return None;
    }
    let time = Time::strptime("%H:%M", value.as_str().unwrap_or_default()).ok();
    if time.is_none() {
        reader.problem(at, format!("must be a time of day such as `09:00`, not {}", given(value)));
    }
    time
}

/// Reads a length of time from a second to 366 days. The outer None: it is open or wrong; the inner
/// one: it is missing.
pub(crate) fn read_length(
    reader: &mut Reader,
    map: &Map<String, Value>,
    name: &str,
) -> Option<Option<SignedDuration>> {
    match map.get(name) {
        None => Some(None),
        Some(value) => read_length_of(reader, &child("", name), value).map(Some),
    }
}

/// Reads a length of time from a second to 366 days; None where it is open or wrong.
pub(crate) fn read_length_of(reader: &mut Reader, at: &str, value: &Value) -> Option<SignedDuration> {
    if reader.is_open(value) {
        return None;
    }
    let most = SignedDuration::from_secs(i64::try_from(WAIT_SECONDS_MAX).ok()?);
    let found = duration(value).filter(|found| *found >= SignedDuration::from_secs(1) && *found <= most);
    if found.is_none() {
        let message = "must be seconds, or a text such as `4h` or `30 days`, from a second to 366 days";
        reader.problem(at, message);
    }
    found
}

/// Reads the name of a time zone in the field `zone`, UTC where it is missing; None where it is open
/// or wrong.
pub(crate) fn read_zone(reader: &mut Reader, map: &Map<String, Value>) -> Option<TimeZone> {
    let Some(value) = map.get("zone") else { return Some(TimeZone::UTC) };
    if reader.is_open(value) {
        return None;
    }
    let zone = value.as_str().and_then(|name| TimeZone::get(name).ok());
    if zone.is_none() {
        reader.problem("/zone", "must be the IANA name of a time zone, such as `Europe/Berlin` or `UTC`");
    }
    zone
}

/// Reads the dates in the field `except`, at most `max`; None where one is open or wrong.
pub(crate) fn read_except(reader: &mut Reader, map: &Map<String, Value>, max: usize) -> Option<Vec<Date>> {
    let Some(value) = map.get("except") else { return Some(Vec::new()) };
    let list = reader.list("/except", value)?;
    if list.len() > max {
        reader.problem("/except", format!("has {} dates: at most {max}", list.len()));
        return None;
    }
    let dates: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, value)| read_date(reader, &item("/except", index), value))
        .collect();
    dates.into_iter().collect()
}

/// Reads a date; None where it is open or wrong.
pub(crate) fn read_date(reader: &mut Reader, at: &str, value: &Value) -> Option<Date> {
    if reader.is_open(value) {
        return None;
    }
    let date = value.as_str().and_then(|text| Date::strptime("%Y-%m-%d", text).ok());
    if date.is_none() {
        reader.problem(at, format!("must be a date such as `2026-12-25`, not {}", given(value)));
    }
    date
}

/// A duration as authors write it: seconds, or a text such as `1h30m` or `2 days`.
pub(crate) fn duration(value: &Value) -> Option<SignedDuration> {
    match value {
        Value::Number(seconds) => {
            seconds.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        }
        Value::String(text) => text
            .trim()
            .parse::<Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()),
        _ => None,
    }
}

/// The type of the value that was given instead, without the value.
pub(crate) fn given(value: &Value) -> &'static str {
    if value.is_string() { "another text" } else { type_name(value) }
}
