//! Builtins that make times, durations and zones. The present comes from the environment: `now()`.

use jiff::{Timestamp, tz::TimeZone};

use super::date_text::{read, read_in_layout};
use super::{Outcome, go_format, text};
use crate::{
    eval::{Budget, Fault},
    time::{Time, out_of_range, zone},
    value::Value,
};

/// `date(x)`, `date(x, zone)` and `date(x, layout, zone)`: `x` is a text, a Unix time in s, ms, µs
/// or ns, or a time. Nil stays nil.
pub(super) fn date<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let said = match arguments.last().filter(|_| arguments.len() > 1) {
        None | Some(Value::Nil) => None,
        Some(Value::Zone(zone)) => Some(zone.clone()),
        Some(Value::Text(name)) => Some(zone(name.trim())?),
        Some(other) => {
            return Err(Fault::of_type(format!(
                "the zone must be a string or a zone, not {}",
                other.type_name()
            )));
        }
    };
    let zone = said.clone().unwrap_or(TimeZone::UTC);
    match &arguments[0] {
        Value::Nil => Ok(Value::Nil),
        Value::Time(time) => Ok(Value::Time(time.within(zone))),
        Value::Int(n) => unix(*n, zone),
        Value::Float(x) => unix(*x as i64, zone),
        Value::Text(text) => {
            budget.read(text.len())?;
            if arguments.len() < 3 {
                return read(text.trim(), said).map(Value::Time);
            }
            let layout = self::text(arguments, 1)?;
            budget.read(layout.len())?;
            read_in_layout(text.trim(), layout, zone).map(Value::Time)
        }
        other => Err(Fault::of_type(format!(
            "argument 1 must be a string, a number or a time, not {}",
            other.type_name()
        ))),
    }
}

/// A Unix time. Its size decides its unit, as in Go's `expr`.
fn unix<'a>(n: i64, zone: TimeZone) -> Outcome<'a> {
    let scale: i128 = match n.unsigned_abs() {
        1_000_000_000_000_000_000.. => 1,
        1_000_000_000_000_000.. => 1_000,
        1_000_000_000_000.. => 1_000_000,
        _ => 1_000_000_000,
    };
    let instant = Timestamp::from_nanosecond(i128::from(n) * scale).map_err(|_| out_of_range())?;
    Ok(Value::Time(Time::new(instant.to_zoned(zone))))
}

pub(super) fn duration<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = text(arguments, 0)?;
    budget.read(text.len())?;
    go_format::parse_duration(text).map(Value::Duration)
}

pub(super) fn timezone<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    zone(text(arguments, 0)?).map(Value::Zone)
}
