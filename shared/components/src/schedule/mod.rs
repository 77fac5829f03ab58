//! `schedule`: runs that begin by themselves, at times that the author describes.
//!
//! The times are civil ones in a zone, and [`Schedule::next`] is a plain function of the description
//! and the time before. So the coming times can be told, and a firing that comes twice is found to be
//! done.

mod firing;
mod read;
mod times;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use crate::{
    component::Problem,
    trigger::{Resource, Trigger},
};

pub use firing::{Firing, Look, event_id};
use times::Times;

/// A description of times, read from the configuration of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    times: Times,
    zone: TimeZone,
    dst: Dst,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    except: Vec<Date>,
    jitter: SignedDuration,
    overlap: Overlap,
    catch_up: CatchUp,
    window: SignedDuration,
}

/// The treatment of civil times that the clocks skip or repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dst {
    /// Each civil time has one moment: a skipped one comes as much later as the clocks skip, a
    /// repeated one the first time.
    Once,
    /// As the clocks show: no moment for a skipped time, two for a repeated one.
    Each,
    /// No moment for a skipped time, the first for a repeated one.
    Skip,
}

/// The treatment of a time at which the last run still goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlap {
    /// Another run begins.
    Allow,
    /// No run begins.
    Skip,
}

/// The treatment of times that passed without a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CatchUp {
    /// The last of them is made up for.
    Last,
    /// Each of them is made up for, in order.
    All,
    /// None of them is made up for.
    None,
}

impl Schedule {
    /// Reads a configuration; None where it is not valid.
    #[must_use]
    pub fn read(configuration: &Value) -> Option<Self> {
        read::read(configuration).ok()
    }

    /// The first time after a moment; None: there is none.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let before_start = self.start.and_then(|start| start.checked_sub(SignedDuration::from_nanos(1)).ok());
        let mut after = before_start.map_or(after, |start| start.max(after));
        // Each turn goes on behind a date that is left out.
        for _ in 0..=2 * self.except.len() {
            let time = self.times.next(after, &self.zone, self.dst)?;
            if self.end.is_some_and(|end| time > end) {
                return None;
            }
            let date = time.to_zoned(self.zone.clone()).date();
            if !self.except.contains(&date) {
                return Some(time);
            }
            let next_day = date.tomorrow().ok()?.to_zoned(self.zone.clone()).ok()?.timestamp();
            after = next_day.checked_sub(SignedDuration::from_nanos(1)).ok()?.max(time);
        }
        None
    }

    /// The zone of the times.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The trigger.
pub(crate) struct ScheduleTrigger;

impl Trigger for ScheduleTrigger {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn resource(&self, configuration: &Value) -> Option<Resource> {
        Schedule::read(configuration).map(|schedule| Resource::Schedule(Box::new(schedule)))
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read::read(configuration).err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
