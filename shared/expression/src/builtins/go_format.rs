//! Go's layouts for times, its texts for durations and its texts for floats.

use std::fmt::Write as _;

use jiff::civil::DateTime;

use crate::{eval::Fault, time::Time};

/// Go's `RFC3339Nano`, the layout of a time in JSON.
pub(crate) const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";
/// The layout in which Go prints a time.
const TIME_STRING: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The pieces of a layout that stand for a part of a time. A piece comes before the shorter ones
/// that it begins with.
const PIECES: &[&str] = &[
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "Z070000",
    "Z07:00:00",
    "Z0700",
    "Z07:00",
    "Z07",
    "-070000",
    "-07:00:00",
    "-0700",
    "-07:00",
    "-07",
    "__2",
    "_2",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// The time in a layout.
pub(crate) fn format(time: &Time, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 16);
    for piece in layout_pieces(layout) {
        match piece {
            // A fraction such as `.000` includes its separator.
            Ok(fraction) if fraction.starts_with(['.', ',']) => write_fraction(&mut out, time, fraction),
            Ok(piece) => write_piece(&mut out, time, piece),
            Err(between) => out.push(between),
        }
    }
    out
}

/// The pieces of a layout that stand for a part of a time (a fraction with its separator), and the
/// characters between them.
pub(super) fn layout_pieces(layout: &str) -> impl Iterator<Item = Result<&str, char>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = layout.get(at..).filter(|rest| !rest.is_empty())?;
        let found = fraction(rest).or_else(|| piece(rest));
        let next = found.map_or_else(|| Err(rest.chars().next().unwrap_or_default()), Ok);
        at += next.map_or_else(char::len_utf8, str::len);
        Some(next)
    })
}

/// The English name of a month from 1.
pub(crate) fn month(number: i8) -> &'static str {
    let index = usize::try_from(i16::from(number) - 1).unwrap_or(usize::MAX);
    MONTHS.get(index).copied().unwrap_or("?")
}

/// The English name of a day of the week from 0, Sunday.
pub(crate) fn weekday(number: i8) -> &'static str {
    usize::try_from(number).ok().and_then(|index| WEEKDAYS.get(index).copied()).unwrap_or("?")
}

/// A time as Go prints it.
pub(crate) fn time_text(time: &Time) -> String {
    format(time, TIME_STRING)
}

/// The piece of a layout that `rest` begins with.
fn piece(rest: &str) -> Option<&'static str> {
    let piece = PIECES.iter().copied().find(|piece| rest.starts_with(piece))?;
    let after = &rest[piece.len()..];
    match piece {
        // "Jan" and "Mon" inside of words are words.
        "Jan" | "Mon" if after.starts_with(|c: char| c.is_ascii_lowercase()) => None,
        // `_2006` is an underscore and a year.
        "_2" if after.starts_with("006") => None,
        piece => Some(piece),
    }
}

/// The fraction that `rest` begins with: `.000`, `,999` and the like, with no digit after it.
fn fraction(rest: &str) -> Option<&str> {
    let bytes = rest.as_bytes();
    let (separator, digit) = (*bytes.first()?, *bytes.get(1)?);
    if !matches!(separator, b'.' | b',') || !matches!(digit, b'0' | b'9') {
        return None;
    }
    let length = bytes[1..].iter().take_while(|byte| **byte == digit).count();
    let after = bytes.get(1 + length);
    (!after.is_some_and(u8::is_ascii_digit)).then(|| &rest[..1 + length])
}

fn write_fraction(out: &mut String, time: &Time, piece: &str) {
    let digits = format!("{:09}", time.zoned().subsec_nanosecond());
    let shown = &digits[..(piece.len() - 1).min(9)];
    let padding = (piece.len() - 1).saturating_sub(9);
    let (separator, trims) = (&piece[..1], piece.ends_with('9'));
    let shown = if trims { shown.trim_end_matches('0') } else { shown };
    if !trims || !shown.is_empty() {
        out.push_str(separator);
        out.push_str(shown);
        if !trims {
            out.extend(std::iter::repeat_n('0', padding));
        }
    }
}

fn write_piece(out: &mut String, time: &Time, piece: &str) {
    let at = time.zoned().datetime();
    let number = |out: &mut String, value: i64, width: usize| {
        let sign = if value < 0 { "-" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(out, "{sign}{:0width$}", value.unsigned_abs());
    };
    let spaced = |out: &mut String, value: i64, width: usize| {
        let _ = write!(out, "{value:width$}");
    };
    let hour_12 = i64::from((at.hour() + 11) % 12 + 1);
    match piece {
        "2006" => number(out, at.year().into(), 4),
        "06" => number(out, i64::from(at.year()).rem_euclid(100), 2),
        "January" => out.push_str(month(at.month())),
        "Jan" => out.push_str(&month(at.month())[..3]),
        "01" => number(out, at.month().into(), 2),
        "1" => number(out, at.month().into(), 1),
        "Monday" => out.push_str(weekday(weekday_of(at))),
        "Mon" => out.push_str(&weekday(weekday_of(at))[..3]),
        "02" => number(out, at.day().into(), 2),
        "_2" => spaced(out, at.day().into(), 2),
        "2" => number(out, at.day().into(), 1),
        "002" => number(out, at.day_of_year().into(), 3),
        "__2" => spaced(out, at.day_of_year().into(), 3),
        "15" => number(out, at.hour().into(), 2),
        "03" => number(out, hour_12, 2),
        "3" => number(out, hour_12, 1),
        "04" => number(out, at.minute().into(), 2),
        "4" => number(out, at.minute().into(), 1),
        "05" => number(out, at.second().into(), 2),
        "5" => number(out, at.second().into(), 1),
        "PM" => out.push_str(if at.hour() >= 12 { "PM" } else { "AM" }),
        "pm" => out.push_str(if at.hour() >= 12 { "pm" } else { "am" }),
        "MST" => out.push_str(&abbreviation(time)),
        _ => write_offset(out, time, piece),
    }
}

/// The day of the week from 0, Sunday.
pub(crate) fn weekday_of(at: DateTime) -> i8 {
    at.date().weekday().to_sunday_zero_offset()
}

fn abbreviation(time: &Time) -> String {
    time.offset().1
}

fn write_offset(out: &mut String, time: &Time, piece: &str) {
    let seconds = time.offset().0.as_secs();
    if piece.starts_with('Z') && seconds == 0 {
        out.push('Z');
        return;
    }
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let colon = if piece.contains(':') { ":" } else { "" };
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if piece.len() > 3 {
        let _ = write!(out, "{colon}{:02}", seconds / 60 % 60);
    }
    if piece.len() > 6 {
        let _ = write!(out, "{colon}{:02}", seconds % 60);
    }
}

/// A duration as Go prints it: `1h30m0s`, `1.5s`, `100µs`.
pub(crate) fn duration_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let small = |unit: u64, name: &str| format!("{sign}{}{name}", decimal(total, unit));
    match total {
        0 => "0s".to_owned(),
        1..1_000 => small(1, "ns"),
        1_000..1_000_000 => small(1_000, "µs"),
        1_000_000..1_000_000_000 => small(1_000_000, "ms"),
        _ => {
            let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
            let minutes = total / 60_000_000_000;
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` with as many decimal digits as are needed.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Go's `time.ParseDuration`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, Fault> {
    let malformed = || Fault::other("the text is no duration such as `1h30m`");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let (number, after) = rest.split_at(length);
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(malformed()),
        };
        total += amount(number, scale).ok_or_else(malformed)?;
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(Fault::range("the duration is too long"));
        }
        rest = after;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed).map_err(|_| Fault::range("the duration is too long"))
}

/// `number` units of `scale` nanoseconds; digits below a nanosecond are cut.
fn amount(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(18)];
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some(whole * scale + part * scale / 10_i128.pow(fraction.len() as u32))
}

/// A float in the form of `%v`, for `string()` and lists: it has an exponent below `1e-04` and from
/// `1e+06` on.
pub(crate) fn float_verbatim(x: f64) -> String {
    if let Some(text) = special(x) {
        return text.to_owned();
    }
    let (_, exponent) = digits(x);
    if (-4..EXPONENT_FROM).contains(&exponent) { plain(x) } else { scientific(x, 2) }
}

/// From this exponent on, `%v` writes a float with an exponent.
const EXPONENT_FROM: i32 = 6;

/// A float in the form of `strconv.FormatFloat(x, 'f', -1, 64)`, for templates.
pub(crate) fn float_decimal(x: f64) -> String {
    special(x).map_or_else(|| plain(x), str::to_owned)
}

/// A float in the form of Go's JSON; `None` where JSON has no number for it.
pub(crate) fn float_json(x: f64) -> Option<String> {
    if !x.is_finite() {
        return None;
    }
    let size = x.abs();
    Some(if size != 0.0 && !(1e-6..1e21).contains(&size) { scientific(x, 1) } else { plain(x) })
}

fn special(x: f64) -> Option<&'static str> {
    if x.is_nan() {
        Some("NaN")
    } else if x.is_infinite() {
        Some(if x > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

/// Rust's shortest decimal form is Go's.
fn plain(x: f64) -> String {
    x.to_string()
}

/// The shortest digits of a number and its decimal exponent.
fn digits(x: f64) -> (String, i32) {
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

/// A number such as `1e+06`: the exponent has a sign and at least `width` digits.
fn scientific(x: f64, width: usize) -> String {
    let (digits, exponent) = digits(x);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:0width$}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str, zone: &str) -> Time {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Time::new(instant.to_zoned(crate::time::zone(zone).unwrap()))
    }

    #[test]
    fn layouts_are_those_of_go() {
        let at = time("2026-03-07T15:04:05.012Z", "UTC");
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2026-03-07T15:04:05Z"),
            ("2006-01-02 15:04:05", "2026-03-07 15:04:05"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Sat, 07 Mar 2026 15:04:05 UTC"),
            ("Monday January _2 3:04pm 06", "Saturday March  7 3:04pm 26"),
            ("03:04:05.000 PM", "03:04:05.012 PM"),
            ("15:04:05.999999999", "15:04:05.012"),
            ("15:04:05.00", "15:04:05.01"),
            ("1/2/2006 002 __2", "3/7/2026 066  66"),
            ("-0700 -07:00 -07 Z0700", "+0000 +00:00 +00 Z"),
            ("2006_01_02", "2026_03_07"),
            ("Month", "Month"),
            ("é 2006 ü", "é 2026 ü"),
        ] {
            assert_eq!(format(&at, layout), expected, "{layout}");
        }
    }

    #[test]
    fn zones_show_their_offset_and_abbreviation() {
        let at = time("2026-07-01T12:00:00Z", "America/New_York");
        assert_eq!(format(&at, "15:04 MST -07:00 Z07:00 -0700"), "08:00 EDT -04:00 -04:00 -0400");
        assert_eq!(time_text(&at), "2026-07-01 08:00:00 -0400 EDT");
    }

    #[test]
    fn durations_are_printed_and_read_as_in_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (5_400_000_000_000, "1h30m0s"),
            (-3_600_000_000_000, "-1h0m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration_text(nanoseconds), text);
            assert_eq!(parse_duration(text).unwrap(), nanoseconds, "{text}");
        }
        for (text, nanoseconds) in
            [("1.5h", 5_400_000_000_000), (".5s", 500_000_000), ("+1us", 1_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text).unwrap(), nanoseconds, "{text}");
        }
        for text in ["", "-", "1", "h", "1x", "1.2.3s", "1h 2m", ".s", "9999999999999999999999h", "é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn floats_are_printed_as_in_go() {
        for (x, verbatim, decimal, json) in [
            (0.5, "0.5", "0.5", Some("0.5")),
            (3.0, "3", "3", Some("3")),
            (1e20, "1e+20", "100000000000000000000", Some("100000000000000000000")),
            (1_000_000.0, "1e+06", "1000000", Some("1000000")),
            (123_456_789.0, "1.23456789e+08", "123456789", Some("123456789")),
            (1e-7, "1e-07", "0.0000001", Some("1e-7")),
            (0.0001, "0.0001", "0.0001", Some("0.0001")),
            (1e21, "1e+21", "1000000000000000000000", Some("1e+21")),
            (f64::INFINITY, "+Inf", "+Inf", None),
            (f64::NAN, "NaN", "NaN", None),
            (-0.0, "-0", "-0", Some("-0")),
        ] {
            assert_eq!(float_verbatim(x), verbatim);
            assert_eq!(float_decimal(x), decimal);
            assert_eq!(float_json(x).as_deref(), json);
        }
    }
}
