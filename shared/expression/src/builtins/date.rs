//! Builtins that make times, durations and zones. The present comes from the environment: `now()`.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::{Outcome, go_format, text};
use crate::{
    eval::{Budget, Fault},
    time::{Time, out_of_range, zone},
    value::Value,
};

/// `date(x)` and `date(x, zone)`: `x` is RFC 3339 text, a day, a Unix time in s, ms, µs or ns, or a
/// time. Nil stays nil.
pub(super) fn date<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let zone = match arguments.get(1) {
        None | Some(Value::Nil) => TimeZone::UTC,
        Some(Value::Zone(zone)) => zone.clone(),
        Some(Value::Text(name)) => zone(name.trim())?,
        Some(other) => {
            return Err(Fault::of_type(format!(
                "the zone must be a string or a zone, not {}",
                other.type_name()
            )));
        }
    };
    match &arguments[0] {
        Value::Nil => Ok(Value::Nil),
        Value::Time(time) => Ok(Value::Time(time.within(zone))),
        Value::Int(n) => unix(*n, zone),
        Value::Float(x) => unix(*x as i64, zone),
        Value::Text(text) => {
            budget.read(text.len())?;
            read(text.trim(), zone).map(Value::Time)
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

/// Reads RFC 3339, or a day that begins in `zone`.
fn read(text: &str, zone: TimeZone) -> Result<Time, Fault> {
    let malformed = || Fault::other("the text is no date such as `2006-01-02` and no time with a zone");
    if let Some(day) = day(text) {
        let midnight = day.to_datetime(civil::Time::midnight());
        let zoned = midnight.to_zoned(zone).map_err(|_| out_of_range())?;
        return Ok(Time::new(zoned));
    }
    rfc3339(text).map(|instant| Time::new(instant.to_zoned(zone))).ok_or_else(malformed)
}

/// `2006-01-02`
fn day(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digits(bytes.get(..4)?)?;
    let (month, day) = (digits(bytes.get(5..7)?)?, digits(bytes.get(8..10)?)?);
    civil::Date::new(year as i16, month as i8, day as i8).ok()
}

/// `2006-01-02T15:04:05.999999999Z07:00`, strictly.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let date = day(text.get(..10)?)?;
    let bytes = text.as_bytes().get(10..)?;
    let separators = [bytes.first()?, bytes.get(3)?, bytes.get(6)?];
    if separators != [&b'T', &b':', &b':'] {
        return None;
    }
    let [hour, minute, second] =
        [digits(bytes.get(1..3)?)?, digits(bytes.get(4..6)?)?, digits(bytes.get(7..9)?)?];
    let mut rest = bytes.get(9..)?;
    let mut nanosecond = 0;
    if let [b'.' | b',', fraction @ ..] = rest {
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let shown = &fraction[..length.min(9)];
        nanosecond = digits(shown)? * 10_i64.pow(9 - shown.len() as u32);
        rest = &fraction[length..];
    }
    let offset_seconds = match rest {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 24 || minutes > 60 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    // Second 60 is refused here; the calendar refuses hour 24.
    if second > 59 {
        return None;
    }
    let time = civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond as i32).ok()?;
    let utc = date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp();
    Timestamp::from_nanosecond(utc.as_nanosecond() - i128::from(offset_seconds) * 1_000_000_000).ok()
}

/// A few digits as a number.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 9 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0')))
}

pub(super) fn duration<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = text(arguments, 0)?;
    budget.read(text.len())?;
    go_format::parse_duration(text).map(Value::Duration)
}

pub(super) fn timezone<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    zone(text(arguments, 0)?).map(Value::Zone)
}
