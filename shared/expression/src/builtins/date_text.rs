//! Texts that senders write for a time, and texts in a layout that the author says.

use jiff::{Timestamp, civil, fmt::strtime, tz::TimeZone};

use super::go_format::layout_pieces;
use crate::{
    eval::Fault,
    time::{Time, out_of_range},
};

/// Reads a day, or a time with its zone in one of the forms that senders use: RFC 3339 and what
/// resembles it (`+0100`, a space for the `T`, no seconds, ` UTC`, `[Europe/Berlin]`), ISO 8601's
/// basic form, RFC 2822, HTTP's and JavaScript's dates, Unix seconds and milliseconds. `zone` is
/// the author's: a day begins in it, and a time without a zone is read in it. Without it such a
/// time is refused: nobody knows when it was.
pub(super) fn read(text: &str, zone: Option<TimeZone>) -> Result<Time, Fault> {
    let shown = zone.clone().unwrap_or(TimeZone::UTC);
    if let Some(day) = day(text) {
        return at_zone(day.to_datetime(civil::Time::midnight()), shown);
    }
    match iso(text) {
        Some(Read::Instant(instant)) => return Ok(Time::new(instant.to_zoned(shown))),
        Some(Read::Local(local)) => {
            let zone = zone.ok_or_else(|| {
                Fault::other("the text has no zone, so nobody knows when it was: say it, as in date(text, \"Europe/Berlin\")")
            })?;
            return at_zone(local, zone);
        }
        None => {}
    }
    let instant = unix_text(text).or_else(|| named(text));
    instant.map(|instant| Time::new(instant.to_zoned(shown))).ok_or_else(|| malformed(text))
}

/// Reads a text in one of Go's layouts, in a zone where the layout has no offset.
pub(super) fn read_in_layout(text: &str, layout: &str, zone: TimeZone) -> Result<Time, Fault> {
    let mut format = String::with_capacity(2 * layout.len());
    let mut has_offset = false;
    for piece in layout_pieces(layout) {
        let directive = match piece {
            Ok("2006") => "%Y",
            Ok("06") => "%y",
            Ok("January") => "%B",
            Ok("Jan") => "%b",
            Ok("01" | "1") => "%m",
            Ok("02" | "2" | "_2") => "%d",
            Ok("002" | "__2") => "%j",
            Ok("Monday") => "%A",
            Ok("Mon") => "%a",
            Ok("15") => "%H",
            Ok("03" | "3") => "%I",
            Ok("04" | "4") => "%M",
            Ok("05" | "5") => "%S",
            Ok("PM" | "pm") => "%p",
            Ok("-0700" | "-07" | "-07:00" | "Z0700" | "Z07" | "Z07:00") => {
                has_offset = true;
                "%z"
            }
            Ok("MST") => {
                return Err(Fault::other(
                    "a zone's abbreviation can mean several zones: leave MST out of the layout, and say the zone as third argument",
                ));
            }
            Ok(fraction) if fraction.starts_with(['.', ',']) => "%.f",
            Ok(_) => return Err(Fault::other("the layout has a piece that can be written and not be read")),
            Err('%') => "%%",
            Err(other) => {
                format.push(other);
                continue;
            }
        };
        format.push_str(directive);
    }
    let mismatch = || {
        Fault::other("the text is not in this layout; a layout shows how 2 January 2006, 15:04:05 would look")
    };
    let text = if has_offset { with_plain_offset(text) } else { text.to_owned() };
    let read = strtime::parse(&format, &text).map_err(|_| mismatch())?;
    if has_offset {
        let instant = read.to_timestamp().map_err(|_| mismatch())?;
        return Ok(Time::new(instant.to_zoned(zone)));
    }
    let local =
        read.to_datetime().or_else(|_| read.to_date().map(|day| day.to_datetime(civil::Time::midnight())));
    at_zone(local.map_err(|_| mismatch())?, zone)
}

fn at_zone(local: civil::DateTime, zone: TimeZone) -> Result<Time, Fault> {
    Ok(Time::new(local.to_zoned(zone).map_err(|_| out_of_range())?))
}

enum Read {
    Instant(Timestamp),
    Local(civil::DateTime),
}

/// `2006-01-02`
fn day(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    date_of(bytes.get(..4)?, bytes.get(5..7)?, bytes.get(8..10)?)
}

fn date_of(year: &[u8], month: &[u8], day: &[u8]) -> Option<civil::Date> {
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    civil::Date::new(year as i16, month as i8, day as i8).ok()
}

/// A day and a time, in ISO 8601's extended or basic form, with or without an offset.
fn iso(text: &str) -> Option<Read> {
    let (text, is_annotated) = match text.split_once('[') {
        Some((before, zone)) if zone.ends_with(']') => (before, true),
        Some(_) => return None,
        None => (text, false),
    };
    let (date, rest) = match day(text.get(..10).unwrap_or_default()) {
        Some(date) => (date, &text[10..]),
        None => {
            let bytes = text.get(..8)?.as_bytes();
            (date_of(&bytes[..4], &bytes[4..6], &bytes[6..])?, &text[8..])
        }
    };
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = clock(rest)?;
    let local = date.to_datetime(time);
    // Go prints `+0000 UTC`, and Ruby `UTC`.
    let rest = rest.trim_start_matches(' ');
    let rest = rest.strip_suffix(" UTC").or(rest.strip_suffix(" GMT")).unwrap_or(rest);
    let offset_seconds = match rest {
        "" if is_annotated => return None,
        "" => return Some(Read::Local(local)),
        "Z" | "z" | "UTC" | "GMT" => 0,
        offset => offset_seconds(offset)?,
    };
    let utc = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let nanosecond = utc.as_nanosecond() - i128::from(offset_seconds) * 1_000_000_000;
    Timestamp::from_nanosecond(nanosecond).ok().map(Read::Instant)
}

/// `15:04`, `15:04:05`, `150405` and a fraction of the second; gives the rest of the text too.
fn clock(text: &str) -> Option<(civil::Time, &str)> {
    let bytes = text.as_bytes();
    let hour = digits(bytes.get(..2)?)?;
    let (minute, second, mut rest) = if bytes.get(2) == Some(&b':') {
        let minute = digits(bytes.get(3..5)?)?;
        match bytes.get(5) {
            Some(b':') => (minute, digits(bytes.get(6..8)?)?, &text[8..]),
            _ => (minute, 0, &text[5..]),
        }
    } else {
        (digits(bytes.get(2..4)?)?, digits(bytes.get(4..6)?)?, &text[6..])
    };
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let shown = &fraction.as_bytes()[..length.min(9)];
        nanosecond = digits(shown)? * 10_i64.pow(9 - shown.len() as u32);
        rest = &fraction[length..];
    }
    // Second 60 is refused here; the calendar refuses hour 24.
    if second > 59 {
        return None;
    }
    let time = civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond as i32).ok()?;
    Some((time, rest))
}

/// `+01:00`, `+0100`, `+01`
fn offset_seconds(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (hours, minutes) = match bytes {
        [_, h1, h2] => ([*h1, *h2], *b"00"),
        [_, h1, h2, b':', m1, m2] | [_, h1, h2, m1, m2] => ([*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The text with `Z` and `+01:00` as `+0000` and `+0100`, which is what is read.
fn with_plain_offset(text: &str) -> String {
    if let Some(before) = text.strip_suffix(['Z', 'z']) {
        return format!("{before}+0000");
    }
    let at = text.rfind(['+', '-']).unwrap_or(text.len());
    match offset_seconds(&text[at..]) {
        Some(seconds) => {
            let minutes = seconds.abs() / 60;
            format!("{}{}{:02}{:02}", &text[..at], &text[at..=at], minutes / 60, minutes % 60)
        }
        None => text.to_owned(),
    }
}

/// Unix seconds with a fraction or without (Slack's `ts`), or milliseconds.
fn unix_text(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let scale = match (whole.len(), fraction.len()) {
        (10, ..=9) => 1_000_000_000_i128,
        (13, 0) => 1_000_000,
        _ => return None,
    };
    let part = format!("{fraction:0<9}").parse::<i128>().ok()?;
    Timestamp::from_nanosecond(whole.parse::<i128>().ok()? * scale + part).ok()
}

/// Forms with the names of days and months: RFC 2822, HTTP's and JavaScript's dates, `ctime` with
/// an offset.
fn named(text: &str) -> Option<Timestamp> {
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    // `Tue Jan 16 2024 18:56:16 GMT+0100 (Central European Standard Time)`
    let text = text.split_once(" (").map_or(text, |(before, _)| before);
    let forms = ["%a %b %d %Y %H:%M:%S GMT%z", "%a %b %d %H:%M:%S %z %Y"];
    forms.iter().find_map(|form| strtime::parse(form, text).ok()?.to_timestamp().ok())
}

fn malformed(text: &str) -> Fault {
    if text.contains('/') || text.matches('.').count() == 2 {
        return Fault::other(
            "which number is the month is not known here: say it, as in date(text, \"02/01/2006 15:04\", \"Europe/Berlin\")",
        );
    }
    Fault::other(
        "the text is no date such as `2006-01-02` and no time with a zone; a layout can be said: date(text, \"2 Jan 2006 15:04\", \"UTC\")",
    )
}

/// A few digits as a number.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 9 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Option<TimeZone> {
        (!name.is_empty()).then(|| crate::time::zone(name).ok().unwrap())
    }

    fn utc(time: Result<Time, Fault>) -> Option<String> {
        time.ok().map(|time| time.instant().to_string())
    }

    #[test]
    fn what_senders_write_is_read_with_its_zone() {
        for (text, expected) in [
            ("2024-01-16T18:56:16.000+0100", "2024-01-16T17:56:16Z"),
            ("2024-01-16T18:56:16+01", "2024-01-16T17:56:16Z"),
            ("2024-01-16T18:56:16,5-05:30", "2024-01-17T00:26:16.5Z"),
            ("2024-01-16t18:56:16z", "2024-01-16T18:56:16Z"),
            ("2024-01-16 18:56:16 +0100", "2024-01-16T17:56:16Z"),
            ("2024-01-16 18:56:16 UTC", "2024-01-16T18:56:16Z"),
            ("2024-01-16 18:56:16  UTC", "2024-01-16T18:56:16Z"),
            ("2024-01-16 18:56:16.25 +0000 UTC", "2024-01-16T18:56:16.25Z"),
            ("2024-01-16T18:56Z", "2024-01-16T18:56:00Z"),
            ("2024-01-16T18:56:16+01:00[Europe/Berlin]", "2024-01-16T17:56:16Z"),
            ("20240116T185616Z", "2024-01-16T18:56:16Z"),
            ("20240116T185616+0100", "2024-01-16T17:56:16Z"),
            ("Tue, 16 Jan 2024 18:56:16 +0100", "2024-01-16T17:56:16Z"),
            ("Tue, 16 Jan 2024 18:56:16 GMT", "2024-01-16T18:56:16Z"),
            ("16 Jan 2024 18:56:16 -0800", "2024-01-17T02:56:16Z"),
            ("Tue Jan 16 2024 18:56:16 GMT+0100 (Central European Standard Time)", "2024-01-16T17:56:16Z"),
            ("Tue Jan 16 18:56:16 +0000 2024", "2024-01-16T18:56:16Z"),
            ("1705427776", "2024-01-16T17:56:16Z"),
            ("1705427776.000200", "2024-01-16T17:56:16.0002Z"),
            ("1705427776123", "2024-01-16T17:56:16.123Z"),
            ("2024-01-16", "2024-01-16T00:00:00Z"),
        ] {
            assert_eq!(utc(read(text, None)).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_read_in_the_authors_and_refused_without_one() {
        for text in ["2024-01-16T18:56:16", "2024-01-16 18:56:16", "2024-01-16 18:56", "20240116T185616"] {
            let fault = read(text, None).err().unwrap().message;
            assert!(fault.contains("say it, as in date(text, \"Europe/Berlin\")"), "{text}: {fault}");
            let berlin = utc(read(text, zone("Europe/Berlin"))).unwrap();
            assert!(berlin.starts_with("2024-01-16T17:56"), "{text}: {berlin}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_with_a_hint() {
        for text in ["01/02/2024", "1/2/24 3:04 PM", "02.01.2024 15:04"] {
            let fault = read(text, None).err().unwrap().message;
            assert!(fault.contains("date(text, \"02/01/2006 15:04\""), "{text}: {fault}");
        }
        for text in [
            "",
            "soon",
            "2024-13-01",
            "2024-01-16T25:00:00Z",
            "2024-01-16T18:56:60Z",
            "2024-01-16T18:56:16 CET",
            "2024-01-16X18:56:16Z",
            "12345",
            "170542777",
            "2024-01-16T18:56:16[Europe/Berlin]",
            "2024-01-16T1:2:3Z",
        ] {
            assert_eq!(utc(read(text, None)), None, "{text}");
        }
    }

    #[test]
    fn a_layout_says_what_stands_where() {
        let check = |text: &str, layout: &str, zone_name: &str, expected: &str| {
            let time = read_in_layout(text, layout, zone(zone_name).unwrap());
            assert_eq!(utc(time).as_deref(), Some(expected), "{text} in {layout}");
        };
        check("02/01/2024 15:04", "02/01/2006 15:04", "UTC", "2024-01-02T15:04:00Z");
        check("01/02/2024 3:04 PM", "01/02/2006 3:04 PM", "America/New_York", "2024-01-02T20:04:00Z");
        check("2 Jan 2024", "2 Jan 2006", "Europe/Berlin", "2024-01-01T23:00:00Z");
        check(
            "Monday, January 1, 2024 at 15:04:05",
            "Monday, January 2, 2006 at 15:04:05",
            "UTC",
            "2024-01-01T15:04:05Z",
        );
        check("240116 185616.25", "060102 150405.00", "UTC", "2024-01-16T18:56:16.25Z");
        check("16.01.2024 18:56 +0100", "02.01.2006 15:04 -0700", "UTC", "2024-01-16T17:56:00Z");
        check("16.01.2024 18:56+01:00", "02.01.2006 15:04Z07:00", "UTC", "2024-01-16T17:56:00Z");
        check("16.01.2024 18:56Z", "02.01.2006 15:04Z07:00", "UTC", "2024-01-16T18:56:00Z");
        check("% 2024-01-16", "% 2006-01-02", "UTC", "2024-01-16T00:00:00Z");
        for (text, layout) in [
            ("16.01.2024", "2006-01-02"),
            ("2024-13-01", "2006-01-02"),
            ("2024-01-16 CET", "2006-01-02 MST"),
            ("18:56", "15:04"),
            ("2024-01-16 more", "2006-01-02"),
        ] {
            assert!(read_in_layout(text, layout, TimeZone::UTC).is_err(), "{text} in {layout}");
        }
    }
}
