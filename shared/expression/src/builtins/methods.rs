//! Go's methods of times, durations and zones.

use jiff::{Span as Interval, civil::DateTime, tz::TimeZone};

use super::{Outcome, go_format};
use crate::{
    error::ErrorKind,
    eval::{Budget, Fault},
    time::{Time, out_of_range, zone_name},
    value::{Calendar, Value},
};

/// All methods, for suggestions.
pub(crate) const NAMES: &[&str] = &[
    "Abs",
    "Add",
    "AddDate",
    "After",
    "Before",
    "Compare",
    "Day",
    "Equal",
    "Format",
    "Hour",
    "Hours",
    "In",
    "IsZero",
    "Local",
    "Location",
    "Microseconds",
    "Milliseconds",
    "Minute",
    "Minutes",
    "Month",
    "Nanosecond",
    "Nanoseconds",
    "Round",
    "Second",
    "Seconds",
    "String",
    "Sub",
    "Truncate",
    "UTC",
    "Unix",
    "UnixMicro",
    "UnixMilli",
    "UnixNano",
    "Weekday",
    "Year",
    "YearDay",
];

/// Calls the method `name` of `object`.
pub(crate) fn call<'a>(
    object: &Value<'a>,
    name: &str,
    arguments: &[Value<'a>],
    budget: &mut Budget,
) -> Outcome<'a> {
    let result = match object {
        Value::Time(time) => of_time(time, name, arguments, budget),
        Value::Duration(nanoseconds) => of_duration(*nanoseconds, name, arguments),
        Value::Zone(zone) if name == "String" && arguments.is_empty() => {
            Some(Ok(Value::string(zone_name(zone))))
        }
        Value::Calendar(_) if name == "String" && arguments.is_empty() => {
            let mut text = String::new();
            Some(super::print::verbatim(object, &mut text, budget).map(|()| Value::string(text)))
        }
        _ => None,
    };
    result.unwrap_or_else(|| Err(no_method(object, name, arguments.len())))
}

fn no_method(object: &Value<'_>, name: &str, count: usize) -> Fault {
    let known = NAMES.contains(&name) && matches!(object, Value::Time(_) | Value::Duration(_));
    let object = object.type_name();
    if known {
        return Fault::of_type(format!(
            "`{name}` of {object} does not take {count} arguments of these types"
        ));
    }
    let meant = match crate::suggest::among(name, NAMES.iter().copied()) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    Fault::new(ErrorKind::Name, format!("{object} has no method `{name}`{meant}"))
}

fn of_time<'a>(time: &Time, name: &str, arguments: &[Value<'a>], budget: &mut Budget) -> Option<Outcome<'a>> {
    Some(match arguments {
        [] => Ok(time_part(time, name)?),
        [Value::Text(layout)] if name == "Format" => {
            // A piece of a layout becomes at most four times as long.
            budget.grow(4 * layout.len()).map(|()| Value::string(go_format::format(time, layout)))
        }
        [Value::Duration(d)] => match name {
            "Add" => time.add_nanoseconds(i128::from(*d)).map(Value::Time),
            "Truncate" => time.add_nanoseconds(-i128::from(since_step(time, *d))).map(Value::Time),
            "Round" => {
                let past = since_step(time, *d);
                let up = past != 0 && past >= *d - past;
                time.add_nanoseconds(if up { i128::from(*d - past) } else { -i128::from(past) })
                    .map(Value::Time)
            }
            _ => return None,
        },
        [Value::Time(other)] => Ok(match name {
            "Sub" => Value::Duration(time.since(other)),
            "After" => Value::Bool(time.instant() > other.instant()),
            "Before" => Value::Bool(time.instant() < other.instant()),
            "Equal" => Value::Bool(time.instant() == other.instant()),
            "Compare" => Value::Int(time.instant().cmp(&other.instant()) as i64),
            _ => return None,
        }),
        [Value::Zone(zone)] if name == "In" => Ok(Value::Time(time.within(zone.clone()))),
        [years, months, days] if name == "AddDate" => {
            let (years, months, days) = (years.as_i64()?, months.as_i64()?, days.as_i64()?);
            add_date(time, years, months, days).map(Value::Time)
        }
        _ => return None,
    })
}

/// The result of a method of a time that takes no arguments.
fn time_part<'a>(time: &Time, name: &str) -> Option<Value<'a>> {
    let (at, instant) = (time.zoned().datetime(), time.instant());
    Some(match name {
        "Year" => Value::Int(at.year().into()),
        "Month" => Value::Calendar(Calendar::Month(at.month())),
        "Day" => Value::Int(at.day().into()),
        "Hour" => Value::Int(at.hour().into()),
        "Minute" => Value::Int(at.minute().into()),
        "Second" => Value::Int(at.second().into()),
        "Nanosecond" => Value::Int(at.subsec_nanosecond().into()),
        "YearDay" => Value::Int(at.day_of_year().into()),
        "Weekday" => Value::Calendar(Calendar::Weekday(go_format::weekday_of(at))),
        "Unix" => Value::Int(instant.as_nanosecond().div_euclid(1_000_000_000) as i64),
        "UnixMilli" => Value::Int(instant.as_nanosecond().div_euclid(1_000_000) as i64),
        "UnixMicro" => Value::Int(instant.as_nanosecond().div_euclid(1_000) as i64),
        "UnixNano" => Value::Int(instant.as_nanosecond() as i64),
        "UTC" | "Local" => Value::Time(time.within(TimeZone::UTC)),
        "Location" => Value::Zone(time.zoned().time_zone().clone()),
        "IsZero" => Value::Bool(instant.as_nanosecond() == -YEAR_ONE_NANOSECONDS),
        "String" => Value::string(go_format::time_text(time)),
        _ => return None,
    })
}

/// Nanoseconds from Go's zero time, the beginning of the year 1, to the Unix epoch.
const YEAR_ONE_NANOSECONDS: i128 = 62_135_596_800_000_000_000;

/// Nanoseconds since the last multiple of `step`, counted from Go's zero time.
fn since_step(time: &Time, step: i64) -> i64 {
    if step <= 0 {
        return 0;
    }
    (time.instant().as_nanosecond() + YEAR_ONE_NANOSECONDS).rem_euclid(i128::from(step)) as i64
}

/// Go's `AddDate`: October 31 and a month is December 1.
fn add_date(time: &Time, years: i64, months: i64, days: i64) -> Result<Time, Fault> {
    let at = time.zoned().datetime();
    let month = i64::from(at.month()) - 1 + i64::from(at.year()) * 12;
    let month = years.checked_mul(12).and_then(|y| y.checked_add(months)).and_then(|m| m.checked_add(month));
    let month = month.ok_or_else(out_of_range)?;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let year = i16::try_from(year).map_err(|_| out_of_range())?;
    let first =
        DateTime::new(year, month as i8, 1, at.hour(), at.minute(), at.second(), at.subsec_nanosecond());
    let first = first.map_err(|_| out_of_range())?;
    let days = days.checked_add(i64::from(at.day()) - 1).ok_or_else(out_of_range)?;
    let interval = Interval::new().try_days(days).map_err(|_| out_of_range())?;
    let moved = first.checked_add(interval).map_err(|_| out_of_range())?;
    let zoned = moved.to_zoned(time.zoned().time_zone().clone()).map_err(|_| out_of_range())?;
    Ok(Time::new(zoned))
}

fn of_duration<'a>(nanoseconds: i64, name: &str, arguments: &[Value<'a>]) -> Option<Outcome<'a>> {
    let fraction =
        |unit: i64| Value::Float((nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64);
    Some(Ok(match (name, arguments) {
        ("Hours", []) => fraction(3_600_000_000_000),
        ("Minutes", []) => fraction(60_000_000_000),
        ("Seconds", []) => fraction(1_000_000_000),
        ("Milliseconds", []) => Value::Int(nanoseconds / 1_000_000),
        ("Microseconds", []) => Value::Int(nanoseconds / 1_000),
        ("Nanoseconds", []) => Value::Int(nanoseconds),
        ("Abs", []) => Value::Duration(nanoseconds.saturating_abs()),
        ("String", []) => Value::string(go_format::duration_text(nanoseconds)),
        ("Truncate", [Value::Duration(step)]) if *step > 0 => {
            Value::Duration(nanoseconds - nanoseconds % step)
        }
        ("Round", [Value::Duration(step)]) if *step > 0 => Value::Duration(rounded(nanoseconds, *step)),
        ("Truncate" | "Round", [Value::Duration(_)]) => Value::Duration(nanoseconds),
        _ => return None,
    }))
}

/// To the nearest multiple of `step`, halves away from zero.
fn rounded(nanoseconds: i64, step: i64) -> i64 {
    let (n, step) = (i128::from(nanoseconds), i128::from(step));
    let past = n.abs() % step;
    let size = if past + past < step { n.abs() - past } else { n.abs() - past + step };
    (size * n.signum()).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
