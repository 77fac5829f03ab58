//! Times with a zone, and the arithmetic on them.

use std::{cmp::Ordering, fmt, sync::Arc};

use jiff::{
    SignedDuration, Timestamp, Zoned,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::eval::Fault;

/// A time with its zone. Shared, because zones are large.
#[derive(Clone)]
pub struct Time(Arc<Zoned>);

impl Time {
    /// A time, shown in its own zone.
    pub fn new(time: Zoned) -> Time {
        Time(Arc::new(time))
    }

    /// The time with its zone.
    pub fn zoned(&self) -> &Zoned {
        &self.0
    }

    /// The point in time.
    pub(crate) fn instant(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// The same point in time in another zone.
    pub(crate) fn within(&self, zone: TimeZone) -> Time {
        Time::new(self.instant().to_zoned(zone))
    }

    /// The time so many nanoseconds later.
    pub(crate) fn add_nanoseconds(&self, nanoseconds: i128) -> Result<Time, Fault> {
        let sum = self.instant().as_nanosecond().checked_add(nanoseconds);
        let instant = sum.and_then(|sum| Timestamp::from_nanosecond(sum).ok());
        let instant = instant.ok_or_else(out_of_range)?;
        Ok(Time::new(instant.to_zoned(self.0.time_zone().clone())))
    }

    /// Nanoseconds from `earlier` to this time, clamped to 64 bits as in Go.
    pub(crate) fn since(&self, earlier: &Time) -> i64 {
        let difference = self.instant().as_nanosecond() - earlier.instant().as_nanosecond();
        difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// The distance to UTC and the zone's abbreviation at this time, such as `-4h` and `EDT`.
    pub(crate) fn offset(&self) -> (SignedDuration, String) {
        let info = self.0.time_zone().to_offset_info(self.instant());
        let seconds = i64::from(info.offset().seconds());
        (SignedDuration::from_secs(seconds), info.abbreviation().to_owned())
    }

    /// The parts that tell two times apart as keys: the instant, then the zone's name.
    fn order(&self) -> (Timestamp, &str, i32) {
        (self.instant(), self.0.time_zone().iana_name().unwrap_or(""), self.0.offset().seconds())
    }
}

/// The zone with an IANA name, from the zones that come with the crate. `""` and `Local` are UTC.
pub(crate) fn zone(name: &str) -> Result<TimeZone, Fault> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    let found = TimeZoneDatabase::bundled().get(name);
    found.map_err(|_| Fault::new(crate::error::ErrorKind::Name, "there is no time zone with this name"))
}

/// The name of a zone as Go prints it.
pub(crate) fn zone_name(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_fixed_offset().map_or_else(|_| "Local".to_owned(), |offset| offset.to_string()),
    }
}

/// The fault of a time outside of the calendar.
pub(crate) fn out_of_range() -> Fault {
    Fault::range("the time is out of range")
}

impl PartialEq for Time {
    fn eq(&self, other: &Time) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Time) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Time) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl fmt::Debug for Time {
    /// The type only: values may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time")
    }
}
