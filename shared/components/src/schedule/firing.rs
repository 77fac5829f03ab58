//! Firings: what a schedule begins at a moment, and its event.

use domain::ids::{EventId, WorkflowId};
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{CatchUp, Overlap, Schedule};

/// How late a time may be looked at and still counts as not missed: the sweeper looks each minute.
const IN_TIME: SignedDuration = SignedDuration::from_mins(2);

/// A time for which a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The time.
    pub scheduled_at: Timestamp,
    /// The times before it, within the window, for which no run begins.
    pub missed: u32,
}

/// The result of a look at a schedule whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The run that begins; None: none does.
    pub firing: Option<Firing>,
    /// The time after; None: there is none.
    pub next_at: Option<Timestamp>,
}

/// Times that are counted one by one as missed. Behind them the last one is looked for from now.
const MISSED_COUNTED: u32 = 1_000;

/// How far back the last time is looked for, in this order.
const LOOKED_BACK: [SignedDuration; 4] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(8 * 24),
];

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

impl Schedule {
    /// Looks at the schedule of a node at `now`, when its time `next_at` is to be looked at.
    /// `is_running`: its last run still goes on. A time counts by the moment at which it is looked at,
    /// with its jitter: until then it has not come, and from then on it may be late.
    #[must_use]
    pub fn look(
        &self,
        workflow_id: WorkflowId,
        node_id: &str,
        next_at: Timestamp,
        now: Timestamp,
        is_running: bool,
    ) -> Look {
        let due_at = |time: Timestamp| self.due_at(workflow_id, node_id, time);
        let has_come = |time: &Timestamp| due_at(*time) <= now;
        let oldest = now.checked_sub(self.window.max(IN_TIME)).unwrap_or(Timestamp::MIN);
        // The jitter of a time that is old enough is over too.
        let first = if due_at(next_at) < oldest {
            let from = oldest.checked_sub(self.jitter).unwrap_or(Timestamp::MIN).max(next_at);
            let times = std::iter::successors(self.next(from), |time| self.next(*time));
            times.into_iter().find(|time| due_at(*time) >= oldest)
        } else {
            Some(next_at)
        };
        let Some(first) = first.filter(has_come) else {
            return Look { firing: None, next_at: first };
        };
        let (mut last, mut missed, mut next) = (first, 0, self.next(first));
        while self.catch_up != CatchUp::All
            && let Some(time) = next.filter(has_come)
        {
            missed += 1;
            if missed == MISSED_COUNTED {
                last = self.last_before(now, &has_come).unwrap_or(time);
                next = self.next(last);
                break;
            }
            (last, next) = (time, self.next(time));
        }
        let is_late = now.duration_since(due_at(last)) > IN_TIME;
        let is_left_out =
            self.catch_up == CatchUp::None && is_late || self.overlap == Overlap::Skip && is_running;
        Look { firing: (!is_left_out).then_some(Firing { scheduled_at: last, missed }), next_at: next }
    }

    /// The last time that has come.
    fn last_before(&self, now: Timestamp, has_come: &dyn Fn(&Timestamp) -> bool) -> Option<Timestamp> {
        LOOKED_BACK.into_iter().find_map(|back| {
            let from = now.checked_sub(back + self.jitter).ok()?.checked_sub(NANOSECOND).ok()?;
            std::iter::successors(self.next(from), |time| self.next(*time)).take_while(has_come).last()
        })
    }

    /// The moment at which a time of this node is looked at: as much later as its share of the
    /// jitter says, which is always the same.
    #[must_use]
    pub fn due_at(&self, workflow_id: WorkflowId, node_id: &str, time: Timestamp) -> Timestamp {
        if self.jitter.is_zero() {
            return time;
        }
        let most = self.jitter.as_millis();
        let share = i128::from(number_of(workflow_id, node_id, time)) % (most + 1);
        let share = i64::try_from(share).map_or(SignedDuration::ZERO, SignedDuration::from_millis);
        time.checked_add(share).unwrap_or(time)
    }

    /// The data of a firing's event.
    #[must_use]
    pub fn event_data(&self, firing: Firing, now: Timestamp) -> Value {
        let civil = firing.scheduled_at.to_zoned(self.zone.clone());
        json!({
            "scheduled_at": firing.scheduled_at.to_string(),
            "fired_at": now.to_string(),
            "late_ms": i64::try_from(now.duration_since(firing.scheduled_at).as_millis()).unwrap_or(i64::MAX),
            "zone": self.zone.iana_name().unwrap_or("UTC"),
            "missed": firing.missed,
            "calendar": {
                "date": civil.date().to_string(),
                "time": civil.strftime("%H:%M").to_string(),
                "year": civil.year(),
                "month": civil.month(),
                "day": civil.day(),
                "weekday": civil.strftime("%a").to_string().to_lowercase(),
                "week": civil.date().iso_week_date().week(),
                "day_of_year": civil.day_of_year(),
                "is_last_of_month": civil.day() == civil.days_in_month(),
            },
        })
    }
}

/// The id of a firing's event. It is the same for the same time of the same node, so that no time has
/// two runs, and begins with the time, as other ids do.
#[must_use]
pub fn event_id(workflow_id: WorkflowId, node_id: &str, scheduled_at: Timestamp) -> EventId {
    let millis = u128::try_from(scheduled_at.as_millisecond()).unwrap_or(0) & 0xffff_ffff_ffff;
    let bits = hash_of(workflow_id, node_id, scheduled_at);
    let (high, low) = (bits >> 116, bits & 0x3fff_ffff_ffff_ffff);
    EventId::from_u128(millis << 80 | 7 << 76 | high << 64 | 2 << 62 | low)
}

fn number_of(workflow_id: WorkflowId, node_id: &str, time: Timestamp) -> u64 {
    u64::try_from(hash_of(workflow_id, node_id, time) >> 64).unwrap_or(0)
}

fn hash_of(workflow_id: WorkflowId, node_id: &str, time: Timestamp) -> u128 {
    let text = format!("{workflow_id}/{node_id}/{}", time.as_nanosecond());
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}
