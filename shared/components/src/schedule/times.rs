//! The times of a schedule: civil ones, and their moments in a zone.

use croner::parser::{CronParser, Seconds, Year};
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime, Time, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

use super::Dst;

/// A cron expression of five fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    pattern: croner::Cron,
    /// Whether minute or hour count on through the whole day: such an expression follows the clocks.
    is_stepped: bool,
}

impl Cron {
    /// Parses an expression.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(text).ok()?;
        let is_stepped = match text.strip_prefix('@') {
            Some(word) => word.eq_ignore_ascii_case("hourly"),
            None => text.split_whitespace().take(2).any(|field| field.contains('*')),
        };
        Some(Self { pattern, is_stepped })
    }
}

/// A description of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// Civil times that a cron expression matches.
    Cron(Box<Cron>),
    /// Moments at a fixed distance, one of which is the anchor.
    Interval { every: SignedDuration, anchor: Timestamp },
    /// Times of day of every so many days, one of which is the anchor.
    Days { every: i32, anchor: Date, at: Vec<Time> },
    /// Times of day of these weekdays, in every so many weeks (from Monday); one is that of the
    /// anchor.
    Weeks { every: i32, anchor: Date, on: Vec<Weekday>, at: Vec<Time> },
    /// These moments, in their order.
    Listed(Vec<Timestamp>),
}

impl Times {
    /// Whether they count on through the day, and so follow the clocks where these jump.
    pub(super) fn follows_the_clocks(&self) -> bool {
        matches!(self, Self::Cron(cron) if cron.is_stepped)
    }

    /// The first time after a moment.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone, dst: Dst) -> Option<Timestamp> {
        match self {
            Self::Listed(times) => times.iter().find(|time| **time > after).copied(),
            Self::Interval { every, anchor } => {
                let (passed, every) = (after.duration_since(*anchor).as_nanos(), every.as_nanos());
                let next = (passed.div_euclid(every) + 1) * every;
                anchor.checked_add(SignedDuration::try_from_nanos_i128(next)?).ok()
            }
            Self::Cron(_) | Self::Days { .. } | Self::Weeks { .. } => self.next_civil(after, zone, dst),
        }
    }

    /// Where the clocks jump, civil times and their moments have not the same order: a skipped time
    /// comes after later ones, and a repeated one twice. So the search begins before the moment by
    /// the width of the jump, and goes on as far after the first moment that it finds.
    fn next_civil(&self, after: Timestamp, zone: &TimeZone, dst: Dst) -> Option<Timestamp> {
        let near = widest_jump(after, zone);
        let from = after.to_zoned(zone.clone()).datetime().checked_sub(near).ok()?;
        let mut civil = self.civil_from(from.with().subsec_nanosecond(0).build().ok()?)?;
        let (mut first, mut until): (Option<Timestamp>, Option<DateTime>) = (None, None);
        loop {
            let (moments, width) = moments(civil, zone, dst);
            for moment in moments.into_iter().flatten().filter(|moment| *moment > after) {
                first = Some(first.map_or(moment, |first| first.min(moment)));
            }
            if first.is_some() && until.is_none() {
                until = civil.checked_add(near.max(width)).ok();
            }
            match civil.checked_add(1.second()).ok().and_then(|from| self.civil_from(from)) {
                Some(next) if until.is_none_or(|until| next <= until) => civil = next,
                _ => return first,
            }
        }
    }

    /// The first civil time that is not before `from`.
    fn civil_from(&self, from: DateTime) -> Option<DateTime> {
        match self {
            Self::Cron(cron) => cron.pattern.find_next_occurrence(&from, true).ok(),
            Self::Days { every, anchor, at } => {
                let days = days_between(*anchor, from.date());
                let first = from.date().checked_add((-days).rem_euclid(*every).days()).ok()?;
                time_from(first, at, from)
                    .or_else(|| time_from(first.checked_add(every.days()).ok()?, at, from))
            }
            Self::Weeks { every, anchor, on, at } => {
                let monday =
                    anchor.checked_sub(i32::from(anchor.weekday().to_monday_zero_offset()).days()).ok()?;
                let is_of_week = |day: Date| days_between(monday, day).div_euclid(7).rem_euclid(*every) == 0;
                let mut day = from.date();
                // The days of one whole turn, and the first one again: its earlier times come last.
                for _ in 0..=7 * *every {
                    if is_of_week(day)
                        && on.contains(&day.weekday())
                        && let Some(time) = time_from(day, at, from)
                    {
                        return Some(time);
                    }
                    day = day.tomorrow().ok()?;
                }
                None
            }
            Self::Interval { .. } | Self::Listed(_) => None,
        }
    }
}

/// The first of these times of a day that is not before `from`.
fn time_from(day: Date, at: &[Time], from: DateTime) -> Option<DateTime> {
    at.iter().map(|time| day.to_datetime(*time)).find(|time| *time >= from)
}

fn days_between(one: Date, other: Date) -> i32 {
    one.until(other).map_or(0, |span| span.get_days())
}

/// How far from a moment a jump of the clocks matters: further than any jump is wide.
const NEAR: SignedDuration = SignedDuration::from_hours(26);

/// The width of the widest jump of the clocks near a moment; zero: none is near.
fn widest_jump(moment: Timestamp, zone: &TimeZone) -> SignedDuration {
    let (from, to) = (moment.checked_sub(NEAR), moment.checked_add(NEAR));
    let (Ok(from), Ok(to)) = (from, to) else { return SignedDuration::ZERO };
    let width = |at: Timestamp, offset: jiff::tz::Offset| {
        let before = at.checked_sub(SignedDuration::from_nanos(1)).map(|before| zone.to_offset(before));
        before.map_or(SignedDuration::ZERO, |before| offset.duration_since(before).abs())
    };
    zone.following(from)
        .take_while(|jump| jump.timestamp() <= to)
        .map(|jump| width(jump.timestamp(), jump.offset()))
        .max()
        .unwrap_or_default()
}

/// The moments of a civil time, and the width of the jump in which it stands.
fn moments(civil: DateTime, zone: &TimeZone, dst: Dst) -> ([Option<Timestamp>; 2], SignedDuration) {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            ([offset.to_timestamp(civil).ok(), None], SignedDuration::ZERO)
        }
        AmbiguousOffset::Gap { before, after } => {
            let moment = before.to_timestamp(civil).ok().filter(|_| dst == Dst::Once);
            ([moment, None], after.duration_since(before).abs())
        }
        AmbiguousOffset::Fold { before, after } => {
            let again = after.to_timestamp(civil).ok().filter(|_| dst == Dst::Each);
            ([before.to_timestamp(civil).ok(), again], after.duration_since(before).abs())
        }
    }
}
