//! `time_gate`: lets the run go on within the given hours only.

use domain::{
    definition::DEFAULT_CHANNEL,
    execution::ResultReason,
    held::{Call, WakeTime},
    limits::{EXCEPT_DATES_MAX, WAIT_SECONDS_MAX},
    outcome::Failure,
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde_json::{Map, Value, json};

use crate::{
    civil::{DAYS, read_days, read_except, read_time_of_day, read_zone},
    component::{Component, Problem},
    held::{Emission, EmissionData, Held, Opening, Step, Then, Woken},
    shape::{Reader, Stage, child, texts},
};

/// The component. It passes its input on at once while the gate is open, and otherwise when the
/// gate opens, or when somebody releases the execution.
pub(crate) struct TimeGate;

impl Component for TimeGate {
    fn name(&self) -> &'static str {
        "time_gate"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Held for TimeGate {
    fn open(&self, configuration: &Value, Opening { now, .. }: Opening<'_>) -> Result<Step, Failure> {
        step(configuration, now, now)
    }

    fn calls(&self) -> &'static [Call] {
        &[Call::Release]
    }

    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step {
        let since = held["since"].as_str().and_then(|since| since.parse().ok()).unwrap_or(woken.now);
        let released = woken.calls.iter().find(|call| call.call == Call::Release);
        if let Some(call) = released {
            return over(since, woken.now, Some(&call.called_by));
        }
        // A wake that comes late may find the gate closed again.
        step(&held["gate"], since, woken.now).unwrap_or_else(|failure| Step {
            emissions: Vec::new(),
            facts: json!({}),
            then: Then::Ended(Err(failure)),
        })
    }
}

/// Passes on, or holds until the gate opens.
fn step(configuration: &Value, since: Timestamp, now: Timestamp) -> Result<Step, Failure> {
    let gate = read(configuration, Stage::Resolved).map_err(|problems| invalid(&texts(&problems)))?;
    let opens = gate.and_then(|gate| gate.opens(now)).ok_or_else(|| invalid(NEVER_OPEN))?;
    if opens <= now {
        return Ok(over(since, now, None));
    }
    Ok(Step {
        emissions: Vec::new(),
        facts: json!({ "time_gate": { "since": since.to_string(), "until": opens.to_string() } }),
        then: Then::Held {
            held: json!({ "since": since.to_string(), "gate": configuration }),
            wake: Some(WakeTime::At(opens)),
        },
    })
}

/// The step that lets the run go on.
fn over(since: Timestamp, now: Timestamp, released_by: Option<&str>) -> Step {
    let mut facts = json!({ "since": since.to_string(), "ended_at": now.to_string() });
    if let Some(released_by) = released_by {
        facts["released_by"] = json!(released_by);
    }
    Step {
        emissions: vec![Emission { channel: DEFAULT_CHANNEL, data: EmissionData::Input }],
        facts: json!({ "time_gate": facts }),
        then: Then::Ended(Ok(())),
    }
}

const NEVER_OPEN: &str = "the gate does not open within 366 days";

fn invalid(what: &str) -> Failure {
    let message = format!("the configuration came to no gate: {what}");
    Failure::new(ResultReason::ComponentError, "invalid_configuration", message)
}

/// The hours at which the gate is open.
#[derive(Debug)]
struct Gate {
    days: Vec<Weekday>,
    from: Time,
    /// The end; it is on the next day unless it is later than `from`.
    to: Time,
    zone: TimeZone,
    except: Vec<Date>,
}

impl Gate {
    /// The time at which the gate opens: not later than `now` while it is open. None: not within
    /// the longest wait.
    fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        let latest = now.checked_add(jiff::SignedDuration::from_secs(WAIT_SECONDS_MAX.cast_signed())).ok()?;
        // The hours of yesterday may last until today.
        let mut day = today.yesterday().ok()?;
        loop {
            let (opens, closes) = self.hours(day)?;
            if opens > latest {
                return None;
            }
            if self.is_open_on(day) && closes > now && closes > opens {
                return Some(opens);
            }
            day = day.tomorrow().ok()?;
        }
    }

    fn is_open_on(&self, day: Date) -> bool {
        self.days.contains(&day.weekday()) && !self.except.contains(&day)
    }

    /// The hours that begin on a day. A time that the clocks skip counts as the one an hour later.
    fn hours(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to > self.from { day } else { day.checked_add(1.day()).ok()? };
        let at =
            |day: Date, time: Time| Some(day.to_datetime(time).to_zoned(self.zone.clone()).ok()?.timestamp());
        Some((at(day, self.from)?, at(last, self.to)?))
    }
}

/// The end of a day, which is the next one's midnight.
const END_OF_DAY: &str = "24:00";
const FIELDS: [&str; 5] = ["days", "from", "to", "zone", "except"];

/// Reads the hours; None while a template leaves them open.
fn read(configuration: &Value, stage: Stage) -> Result<Option<Gate>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let mut gate = None;
    if let Some(map) = reader.object("", configuration, &FIELDS) {
        if map.is_empty() {
            reader.problem("", "needs at least one of `days`, `from`, `to` and `except`");
        }
        let days = if map.contains_key("days") {
            read_days(&mut reader, map, "days")
        } else {
            Some(DAYS.map(|(_, day)| day).to_vec())
        };
        let from = read_time(&mut reader, map, "from");
        let to = read_time(&mut reader, map, "to");
        let zone = read_zone(&mut reader, map);
        let except = read_except(&mut reader, map, EXCEPT_DATES_MAX);
        let ends_with_the_day = map.get("to").is_none_or(|to| to == END_OF_DAY);
        if from.is_some() && from == to && !ends_with_the_day {
            reader.problem("/to", "is the same time as `from`: leave both out for the whole day");
        }
        gate = (|| Some(Gate { days: days?, from: from?, to: to?, zone: zone?, except: except? }))();
    }
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(gate) } else { Err(problems) }
}

/// A time of day in whole minutes; midnight if not given, or if the day ends at `24:00`.
fn read_time(reader: &mut Reader, map: &Map<String, Value>, name: &str) -> Option<Time> {
    let Some(value) = map.get(name) else { return Some(Time::midnight()) };
    if name == "to" && value == END_OF_DAY {
        return Some(Time::midnight());
    }
    read_time_of_day(reader, &child("", name), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::HeldCall;
    use domain::ids::ExecutionId;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn opening(now: &str) -> Opening<'static> {
        Opening { execution_id: ExecutionId::from_u128(1), now: at(now), address: "", public_url: "" }
    }

    /// The time at which the gate lets an execution go on that comes at this time.
    fn opens(configuration: &Value, now: &str) -> Result<String, String> {
        assert_eq!(TimeGate.check(configuration), [], "{configuration}");
        let step = TimeGate.open(configuration, opening(now)).map_err(|failure| failure.message)?;
        Ok(match step.then {
            Then::Held { wake: Some(WakeTime::At(time)), .. } => {
                assert!(step.emissions.is_empty() && time > at(now));
                time.to_string()
            }
            Then::Ended(Ok(())) => {
                assert_eq!(step.emissions.len(), 1, "its input goes on");
                "now".to_owned()
            }
            other => panic!("{other:?}"),
        })
    }

    fn check(configuration: &Value, cases: &[(&str, &str)]) {
        for (now, expected) in cases {
            assert_eq!(opens(configuration, now).as_deref(), Ok(*expected), "{configuration} at {now}");
        }
    }

    #[test]
    fn a_gate_is_open_on_its_days_between_its_times() {
        // The 25th of November 2026 is a Wednesday.
        let office = json!({ "days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00" });
        check(
            &office,
            &[
                ("2026-11-25T08:59:59Z", "2026-11-25T09:00:00Z"),
                ("2026-11-25T09:00:00Z", "now"),
                ("2026-11-25T16:59:59Z", "now"),
                ("2026-11-25T17:00:00Z", "2026-11-26T09:00:00Z"),
                ("2026-11-27T17:00:00Z", "2026-11-30T09:00:00Z"),
            ],
        );
        check(
            &json!({ "days": ["sat", "sun"] }),
            &[
                ("2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z"),
                ("2026-11-29T23:59:59Z", "now"),
                ("2026-11-30T00:00:00Z", "2026-12-05T00:00:00Z"),
            ],
        );
        check(
            &json!({ "from": "22:00" }),
            &[
                ("2026-11-25T21:00:00Z", "2026-11-25T22:00:00Z"),
                ("2026-11-25T23:59:59Z", "now"),
                ("2026-11-26T00:00:00Z", "2026-11-26T22:00:00Z"),
            ],
        );
        check(&json!({ "to": "24:00", "from": "12:00" }), &[("2026-11-25T23:59:59Z", "now")]);
        for whole in
            [json!({ "to": "24:00" }), json!({ "from": "00:00" }), json!({ "from": "00:00", "to": "24:00" })]
        {
            check(&whole, &[("2026-11-25T00:00:00Z", "now"), ("2026-11-25T23:59:59Z", "now")]);
        }
    }

    #[test]
    fn hours_over_midnight_are_those_of_the_day_on_which_they_begin() {
        let night = json!({ "days": ["fri"], "from": "22:00", "to": "06:00", "except": ["2026-12-04"] });
        check(
            &night,
            &[
                ("2026-11-27T05:00:00Z", "2026-11-27T22:00:00Z"),
                ("2026-11-28T05:59:59Z", "now"),
                ("2026-11-28T06:00:00Z", "2026-12-11T22:00:00Z"),
                ("2026-12-05T01:00:00Z", "2026-12-11T22:00:00Z"),
            ],
        );
    }

    #[test]
    fn times_are_those_of_the_zone_and_its_clock_changes_are_kept() {
        let berlin = |from: &str, to: &str| json!({ "from": from, "to": to, "zone": "Europe/Berlin" });
        check(
            &berlin("09:00", "17:00"),
            &[
                ("2026-11-25T07:59:59Z", "2026-11-25T08:00:00Z"),
                ("2026-07-01T06:59:59Z", "2026-07-01T07:00:00Z"),
            ],
        );
        // On 2027-03-28 the clocks skip 02:00 to 03:00; on 2026-10-25 they repeat it.
        check(&berlin("02:30", "04:00"), &[("2027-03-28T00:59:59Z", "2027-03-28T01:30:00Z")]);
        check(&berlin("02:10", "02:50"), &[("2026-10-25T00:00:00Z", "2026-10-25T00:10:00Z")]);
        check(
            &json!({ "zone": "Pacific/Auckland", "days": ["mon"] }),
            &[("2026-11-29T10:59:59Z", "2026-11-29T11:00:00Z"), ("2026-11-30T10:59:59Z", "now")],
        );
    }

    #[test]
    fn a_wake_that_comes_late_finds_the_gate_closed_again_and_a_release_goes_through() {
        let gate = json!({ "from": "09:00", "to": "17:00" });
        let Then::Held { held, .. } = TimeGate.open(&gate, opening("2026-11-25T18:00:00Z")).unwrap().then
        else {
            panic!("it is held")
        };
        let woken = |now: &str, calls: &[HeldCall]| {
            TimeGate.wake(&held, &Woken { now: at(now), is_time: calls.is_empty(), calls })
        };
        let in_time = woken("2026-11-26T09:00:00.5Z", &[]);
        assert_eq!(in_time.then, Then::Ended(Ok(())));
        assert_eq!(
            in_time.facts,
            json!({ "time_gate": { "since": "2026-11-25T18:00:00Z", "ended_at": "2026-11-26T09:00:00.5Z" } })
        );
        let late = woken("2026-11-26T17:30:00Z", &[]);
        let Then::Held { wake, .. } = &late.then else { panic!("{late:?}") };
        assert_eq!(*wake, Some(WakeTime::At(at("2026-11-27T09:00:00Z"))));
        assert_eq!(late.facts["time_gate"]["since"], "2026-11-25T18:00:00Z", "since it came");
        let call = HeldCall {
            call: Call::Release,
            called_by: "token:ann".to_owned(),
            called_at: at("2026-11-25T19:00:00Z"),
            data: Value::Null,
        };
        let released = woken("2026-11-25T19:00:00Z", &[call]);
        assert_eq!(released.then, Then::Ended(Ok(())));
        assert_eq!(released.facts["time_gate"]["released_by"], "token:ann");
    }

    #[test]
    fn what_is_no_gate_is_told_with_its_place() {
        let check = |configuration: Value, pointer: &str, message: &str| {
            let problems = TimeGate.check(&configuration);
            let found: Vec<_> =
                problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
            assert_eq!(found, [(pointer, message)], "{configuration}");
        };
        check(json!({}), "", "needs at least one of `days`, `from`, `to` and `except`");
        check(json!({ "days": [] }), "/days", "names no day: leave it out for all of them");
        check(
            json!({ "days": ["wedn"] }),
            "/days/0",
            "must be one of mon, tue, wed, thu, fri, sat, sun; did you mean `wed`?",
        );
        check(json!({ "from": "9" }), "/from", "must be a time of day such as `09:00`, not another text");
        check(json!({ "to": 540 }), "/to", "must be a time of day such as `09:00`, not a number");
        check(json!({ "from": "25:00" }), "/from", "must be a time of day such as `09:00`, not another text");
        check(
            json!({ "from": "09:00", "to": "09:00" }),
            "/to",
            "is the same time as `from`: leave both out for the whole day",
        );
        check(
            json!({ "from": "09:00", "zone": "Berlin" }),
            "/zone",
            "must be the IANA name of a time zone, such as `Europe/Berlin` or `UTC`",
        );
        check(
            json!({ "except": ["2026-02-30"] }),
            "/except/0",
            "must be a date such as `2026-12-25`, not another text",
        );
        assert_eq!(TimeGate.check(&json!({ "from": "{{ root().data.from }}" })), [], "it is left open");
        let failure = TimeGate.open(&json!({ "from": "soon" }), opening("2026-11-25T12:00:00Z")).unwrap_err();
        assert_eq!(
            failure.message,
            "the configuration came to no gate: from: must be a time of day such as `09:00`, not another text"
        );
    }

    #[test]
    fn dates_have_a_limit_on_both_sides_and_a_gate_that_never_opens_fails_i10() {
        let first: Date = "2026-11-25".parse().unwrap();
        let gate = |days: usize| {
            let dates: Vec<String> = (0..i32::try_from(days).unwrap())
                .map(|day| first.checked_add(day.days()).unwrap().to_string())
                .collect();
            json!({ "except": dates })
        };
        assert_eq!(TimeGate.check(&gate(EXCEPT_DATES_MAX)), []);
        assert_eq!(TimeGate.check(&gate(EXCEPT_DATES_MAX + 1))[0].message, "has 401 dates: at most 400");
        let now = "2026-11-25T00:00:00Z";
        assert_eq!(opens(&gate(366), now), Ok("2027-11-26T00:00:00Z".to_owned()));
        assert_eq!(
            opens(&gate(367), now),
            Err("the configuration came to no gate: the gate does not open within 366 days".to_owned())
        );
    }
}
