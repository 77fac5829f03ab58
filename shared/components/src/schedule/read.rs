//! Reads the configuration of a `schedule`.

use domain::limits::{
    EXCEPT_DATES_MAX, SCHEDULE_DAY_TIMES_MAX, SCHEDULE_EVERY_SECONDS_MIN, SCHEDULE_JITTER_SECONDS_MAX,
    SCHEDULE_TIMES_MAX, SCHEDULE_WINDOW_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use jiff::{
    SignedDuration, Span, SpanRelativeTo, Timestamp,
    civil::{Date, DateTime, Time, Weekday, date},
    tz::TimeZone,
};
use serde_json::{Map, Value};

use super::times::{Cron, Times};
use super::{CatchUp, Dst, Overlap, Schedule};
use crate::{
    civil::{duration, given, read_date, read_days, read_except, read_time_of_day, read_zone},
    component::Problem,
    shape::{Reader, Stage, item},
};

const FIELDS: [&str; 14] = [
    "cron", "every", "at", "on", "anchor", "zone", "dst", "start", "end", "except", "jitter", "overlap",
    "catch_up", "window",
];
const KINDS: &str = "needs exactly one of `cron`, `every` and `at` (with `every`, `at` is a time of day)";
const CRON: &str = "must be a cron expression of five fields (minute, hour, day of month, month, day of week), such as `0 2 * * mon-fri`, or \
    a word such as `@daily`";
const EVERY: &str =
    "must be a duration of one kind, such as `15m`, `6h`, `1d` or `2w`, from one minute to 366 days";
const MOMENT: &str = "must be a time such as `2026-12-24T18:00`, which is in `zone`, or one with its offset, such as \
    `2026-12-24T18:00:00+01:00`";
const NEVER: &str = "names no time that ever comes";
/// A schedule that has no time after this day has none.
const LOOKED_FROM: Date = date(2000, 1, 1);
/// The first times, whose distances are compared with the jitter.
const TIMES_COMPARED: usize = 60;
/// The day from which days and intervals are counted, if the author names none. It is a Monday.
const ANCHOR: Date = date(2001, 1, 1);

/// Reads a schedule. A trigger's configuration holds no template in its place.
pub(super) fn read(configuration: &Value) -> Result<Schedule, Vec<Problem>> {
    let mut reader = Reader::new(Stage::Resolved);
    let schedule = reader.object("", configuration, &FIELDS).and_then(|map| read_schedule(&mut reader, map));
    match (schedule, reader.into_problems()) {
        (Some(schedule), problems) if problems.is_empty() => Ok(schedule),
        (_, problems) => Err(problems),
    }
}

fn read_schedule(reader: &mut Reader, map: &Map<String, Value>) -> Option<Schedule> {
    let zone = read_zone(reader, map);
    let times = zone.as_ref().and_then(|zone| read_times(reader, map, zone));
    let dst = read_word(reader, map, "dst", &[("once", Dst::Once), ("each", Dst::Each), ("skip", Dst::Skip)]);
    let overlap = read_word(reader, map, "overlap", &[("allow", Overlap::Allow), ("skip", Overlap::Skip)]);
    let catch_up = read_word(
        reader,
        map,
        "catch_up",
        &[("last", CatchUp::Last), ("all", CatchUp::All), ("none", CatchUp::None)],
    );
    let except = read_except(reader, map, EXCEPT_DATES_MAX);
    let mut moment = |name: &str| {
        let value = map.get(name)?;
        read_moment(reader, &format!("/{name}"), value, zone.as_ref()?)
    };
    let (start, end) = (moment("start"), moment("end"));
    let jitter = read_seconds(reader, map, "jitter", SCHEDULE_JITTER_SECONDS_MAX, "an hour");
    let window = read_seconds(reader, map, "window", SCHEDULE_WINDOW_SECONDS_MAX, "7 days");
    let times = times?;
    let default_dst = if times.follows_the_clocks() { Dst::Each } else { Dst::Once };
    let schedule = Schedule {
        times,
        zone: zone?,
        dst: dst?.unwrap_or(default_dst),
        start,
        end,
        except: except?,
        jitter: jitter?.unwrap_or(SignedDuration::ZERO),
        overlap: overlap?.unwrap_or(Overlap::Allow),
        catch_up: catch_up?.unwrap_or(CatchUp::Last),
        window: window?.unwrap_or(SignedDuration::from_hours(24)),
    };
    let from = LOOKED_FROM.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let compared = if schedule.jitter.is_zero() { 1 } else { TIMES_COMPARED };
    let times = std::iter::successors(schedule.next(from), |time| schedule.next(*time));
    let times: Vec<Timestamp> = times.take(compared).collect();
    if times.is_empty() {
        reader.problem("", NEVER);
    }
    // With a longer jitter a time would come after the next one.
    if times.windows(2).any(|pair| pair[1].duration_since(pair[0]) <= schedule.jitter) {
        reader.problem("/jitter", "must be shorter than the time between two times");
    }
    Some(schedule)
}

fn read_times(reader: &mut Reader, map: &Map<String, Value>, zone: &TimeZone) -> Option<Times> {
    let is_every = map.contains_key("every");
    for field in ["on", "anchor"].into_iter().filter(|field| map.contains_key(*field) && !is_every) {
        reader.problem(&format!("/{field}"), "belongs to `every`");
    }
    match (map.get("cron"), map.get("every"), map.get("at")) {
        (Some(cron), None, None) => {
            let cron = cron.as_str().and_then(Cron::parse);
            if cron.is_none() {
                reader.problem("/cron", CRON);
            }
            cron.map(|cron| Times::Cron(Box::new(cron)))
        }
        (None, Some(every), _) => read_every(reader, map, every, zone),
        (None, None, Some(at)) => {
            let list = reader.list("/at", at)?;
            if list.is_empty() || list.len() > SCHEDULE_TIMES_MAX {
                reader.problem("/at", format!("must be a list of 1 to {SCHEDULE_TIMES_MAX} times"));
                return None;
            }
            let times: Vec<_> = list
                .iter()
                .enumerate()
                .map(|(index, value)| read_moment(reader, &item("/at", index), value, zone))
                .collect();
            let mut times: Vec<Timestamp> = times.into_iter().collect::<Option<_>>()?;
            times.sort_unstable();
            times.dedup();
            Some(Times::Listed(times))
        }
        _ => {
            reader.problem("", KINDS);
            None
        }
    }
}

/// The unit in which `every` counts.
enum Every {
    Seconds(SignedDuration),
    Days(i32),
    Weeks(i32),
}

fn read_unit(value: &Value) -> Option<Every> {
    let span: Span = value.as_str()?.trim().parse().ok()?;
    let whole = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let most = i64::try_from(WAIT_SECONDS_MAX).ok()?;
    if !(SCHEDULE_EVERY_SECONDS_MIN..=most).contains(&whole.as_secs()) || whole.subsec_nanos() != 0 {
        return None;
    }
    let has_time = span.get_hours() != 0 || span.get_minutes() != 0 || span.get_seconds() != 0;
    match (span.get_weeks(), span.get_days(), has_time) {
        (0, 0, true) => Some(Every::Seconds(whole)),
        (0, days, false) => Some(Every::Days(days)),
        (weeks, 0, false) => Some(Every::Weeks(weeks)),
        _ => None,
    }
}

fn read_every(
    reader: &mut Reader,
    map: &Map<String, Value>,
    value: &Value,
    zone: &TimeZone,
) -> Option<Times> {
    let Some(every) = read_unit(value) else {
        reader.problem("/every", EVERY);
        return None;
    };
    if let Every::Seconds(every) = every {
        for field in ["at", "on"].into_iter().filter(|field| map.contains_key(*field)) {
            reader.problem(&format!("/{field}"), "belongs to an `every` of days or weeks");
        }
        let anchor = match map.get("anchor") {
            Some(value) => read_moment(reader, "/anchor", value, zone)?,
            None => ANCHOR.to_zoned(zone.clone()).ok()?.timestamp(),
        };
        return Some(Times::Interval { every, anchor });
    }
    let at = match map.get("at") {
        None => Some(vec![Time::midnight()]),
        Some(value) => read_day_times(reader, value),
    };
    let anchor = match map.get("anchor") {
        None => Some(ANCHOR),
        Some(value) => read_date(reader, "/anchor", value),
    };
    let on = read_on(reader, map, &every, anchor);
    let (at, anchor) = (at?, anchor?);
    match every {
        Every::Seconds(_) => None,
        Every::Days(every) => Some(Times::Days { every, anchor, at }),
        Every::Weeks(every) => Some(Times::Weeks { every, anchor, on: on?, at }),
    }
}

fn read_on(
    reader: &mut Reader,
    map: &Map<String, Value>,
    every: &Every,
    anchor: Option<Date>,
) -> Option<Vec<Weekday>> {
    if !map.contains_key("on") {
        return Some(vec![anchor?.weekday()]);
    }
    if !matches!(every, Every::Weeks(_)) {
        reader.problem("/on", "belongs to an `every` of weeks");
        return None;
    }
    read_days(reader, map, "on")
}

/// One time of day, or a list of them.
fn read_day_times(reader: &mut Reader, value: &Value) -> Option<Vec<Time>> {
    if value.is_string() {
        return Some(vec![read_time_of_day(reader, "/at", value)?]);
    }
    let list = reader.list("/at", value)?;
    if list.is_empty() || list.len() > SCHEDULE_DAY_TIMES_MAX {
        reader.problem("/at", format!("must be a time of day, or a list of 1 to {SCHEDULE_DAY_TIMES_MAX}"));
        return None;
    }
    let times: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, value)| read_time_of_day(reader, &item("/at", index), value))
        .collect();
    let mut times: Vec<Time> = times.into_iter().collect::<Option<_>>()?;
    times.sort_unstable();
    times.dedup();
    Some(times)
}

/// A moment, by its offset or as a civil time of the zone.
fn read_moment(reader: &mut Reader, at: &str, value: &Value, zone: &TimeZone) -> Option<Timestamp> {
    let text = value.as_str().unwrap_or_default().trim();
    let civil = || Some(text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp());
    let moment = text.parse::<Timestamp>().ok().or_else(civil);
    if moment.is_none() {
        reader.problem(at, format!("{MOMENT}, not {}", given(value)));
    }
    moment
}

/// A word of a list; Some(None) where the field is missing.
fn read_word<T: Copy>(
    reader: &mut Reader,
    map: &Map<String, Value>,
    name: &str,
    words: &[(&'static str, T)],
) -> Option<Option<T>> {
    let Some(value) = map.get(name) else { return Some(None) };
    let known: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
    let word = reader.word(&format!("/{name}"), value, &known)?;
    Some(words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning))
}

/// A duration up to a limit; Some(None) where the field is missing.
fn read_seconds(
    reader: &mut Reader,
    map: &Map<String, Value>,
    name: &str,
    most: i64,
    words: &str,
) -> Option<Option<SignedDuration>> {
    let Some(value) = map.get(name) else { return Some(None) };
    let found = duration(value)
        .filter(|found| *found >= SignedDuration::ZERO && *found <= SignedDuration::from_secs(most));
    if found.is_none() {
        let message = format!("must be seconds, or a text such as `90s` or `10m`, and at most {words}");
        reader.problem(&format!("/{name}"), message);
    }
    found.map(Some)
}
