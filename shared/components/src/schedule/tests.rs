use std::collections::{BTreeMap, BTreeSet};

use domain::ids::WorkflowId;
use domain::limits::{
    EXCEPT_DATES_MAX, SCHEDULE_DAY_TIMES_MAX, SCHEDULE_EVERY_SECONDS_MIN, SCHEDULE_JITTER_SECONDS_MAX,
    SCHEDULE_TIMES_MAX, SCHEDULE_WINDOW_SECONDS_MAX,
};
use jiff::{
    Timestamp, ToSpan,
    civil::{DateTime, Weekday},
};
use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn schedule(configuration: &Value) -> Schedule {
    assert_eq!(ScheduleTrigger.check(configuration), [], "{configuration}");
    Schedule::read(configuration).expect("it is valid")
}

/// The first times after a moment, in the zone of the schedule, without their dates' year.
fn times(configuration: &Value, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(configuration);
    let (mut found, mut after) = (Vec::new(), at(after));
    while found.len() < count
        && let Some(time) = schedule.next(after)
    {
        assert!(time > after);
        found.push(time.to_zoned(schedule.zone().clone()).strftime("%m-%d %H:%M%:z").to_string());
        after = time;
    }
    found
}

fn check(configuration: &Value, after: &str, expected: &[&str]) {
    assert_eq!(times(configuration, after, expected.len()), expected, "{configuration} after {after}");
}

// The 25th of November 2026 is a Wednesday.

#[test]
fn cron_names_minutes_to_weekdays() {
    check(
        &json!({ "cron": "0 2 * * *" }),
        "2026-11-25T02:00:00Z",
        &["11-26 02:00+00:00", "11-27 02:00+00:00"],
    );
    check(
        &json!({ "cron": "*/20 9 * * mon-fri" }),
        "2026-11-27T09:30:00Z",
        &["11-27 09:40+00:00", "11-30 09:00+00:00"],
    );
    check(
        &json!({ "cron": "0 9 1,15 * *" }),
        "2026-11-25T00:00:00Z",
        &["12-01 09:00+00:00", "12-15 09:00+00:00"],
    );
    check(
        &json!({ "cron": "30 18 L * *" }),
        "2026-11-25T00:00:00Z",
        &["11-30 18:30+00:00", "12-31 18:30+00:00"],
    );
    check(
        &json!({ "cron": "0 9 * * tue#2" }),
        "2026-11-25T00:00:00Z",
        &["12-08 09:00+00:00", "01-12 09:00+00:00"],
    );
    check(
        &json!({ "cron": "0 9 * * friL" }),
        "2026-11-25T00:00:00Z",
        &["11-27 09:00+00:00", "12-25 09:00+00:00"],
    );
    check(&json!({ "cron": "@daily" }), "2026-11-25T00:00:00Z", &["11-26 00:00+00:00"]);
    check(&json!({ "cron": "@hourly" }), "2026-11-25T00:00:00Z", &["11-25 01:00+00:00"]);
    // Either of the days counts where both are given, as everywhere.
    check(
        &json!({ "cron": "0 0 13 * fri" }),
        "2026-11-25T00:00:00Z",
        &["11-27 00:00+00:00", "12-04 00:00+00:00"],
    );
    check(&json!({ "cron": "0 0 29 2 *" }), "2026-11-25T00:00:00Z", &["02-29 00:00+00:00"]);
    let berlin = json!({ "cron": "0 2 * * *", "zone": "Europe/Berlin" });
    check(&berlin, "2026-11-25T00:59:59Z", &["11-25 02:00+01:00"]);
}

#[test]
fn an_interval_is_counted_from_an_anchor() {
    check(&json!({ "every": "6h" }), "2026-11-25T06:00:00Z", &["11-25 12:00+00:00", "11-25 18:00+00:00"]);
    let berlin = json!({ "every": "6h", "zone": "Europe/Berlin" });
    check(&berlin, "2026-11-25T06:00:00Z", &["11-25 12:00+01:00"]);
    let anchored = json!({ "every": "45m", "anchor": "2026-11-25T09:10" });
    check(&anchored, "2026-11-25T09:00:00Z", &["11-25 09:10+00:00", "11-25 09:55+00:00"]);
    check(&anchored, "2026-11-25T08:00:00Z", &["11-25 08:25+00:00"]);
    check(&json!({ "every": "90m" }), "2026-11-25T00:00:00.5Z", &["11-25 01:30+00:00", "11-25 03:00+00:00"]);
}

#[test]
fn days_and_weeks_are_civil_ones() {
    let daily = json!({ "every": "1d", "at": ["17:30", "08:00"], "zone": "Europe/Berlin" });
    check(&daily, "2026-11-25T07:00:00Z", &["11-25 17:30+01:00", "11-26 08:00+01:00", "11-26 17:30+01:00"]);
    let third = json!({ "every": "3d", "at": "08:00", "anchor": "2026-11-24" });
    check(&third, "2026-11-24T08:00:00Z", &["11-27 08:00+00:00", "11-30 08:00+00:00"]);
    check(&third, "2026-11-20T08:00:00Z", &["11-21 08:00+00:00", "11-24 08:00+00:00"]);
    let weekly = json!({ "every": "2w", "on": ["mon", "thu"], "at": "09:00", "anchor": "2026-11-25" });
    check(&weekly, "2026-11-25T00:00:00Z", &["11-26 09:00+00:00", "12-07 09:00+00:00", "12-10 09:00+00:00"]);
    check(
        &json!({ "every": "1 week", "anchor": "2026-11-25" }),
        "2026-11-25T00:00:00Z",
        &["12-02 00:00+00:00"],
    );
    check(&json!({ "every": "1w" }), "2026-11-25T00:00:00Z", &["11-30 00:00+00:00"]);
}

#[test]
fn listed_times_come_once_each() {
    let listed = json!({ "at": ["2026-12-24T18:00", "2026-12-01T09:00:00+01:00", "2026-12-24T18:00"], "zone": "Europe/Berlin" });
    check(&listed, "2026-11-25T00:00:00Z", &["12-01 09:00+01:00", "12-24 18:00+01:00"]);
    assert_eq!(schedule(&listed).next(at("2026-12-24T17:00:00Z")), None);
}

#[test]
fn a_beginning_an_end_and_dates_that_are_left_out() {
    let bounded = json!({ "cron": "0 9 * * *", "start": "2026-12-01T09:00", "end": "2026-12-04T09:00", "except": ["2026-12-02"] });
    assert_eq!(
        times(&bounded, "2026-11-25T00:00:00Z", 9),
        ["12-01 09:00+00:00", "12-03 09:00+00:00", "12-04 09:00+00:00"]
    );
    let quarters = json!({ "every": "6h", "except": ["2026-11-26", "2026-11-27"], "zone": "Asia/Tokyo" });
    check(&quarters, "2026-11-25T13:00:00Z", &["11-28 00:00+09:00", "11-28 06:00+09:00"]);
}

/// Berlin skips 02:00 to 03:00 on the 28th of March 2027, and repeats it on the 31st of October.
#[test]
fn where_the_clocks_jump_each_rule_has_its_times() {
    let berlin = |times: &Value, dst: &str| {
        let mut configuration = times.clone();
        configuration["zone"] = json!("Europe/Berlin");
        if !dst.is_empty() {
            configuration["dst"] = json!(dst);
        }
        configuration
    };
    let (spring, autumn) = ("2027-03-27T12:00:00Z", "2027-10-30T12:00:00Z");
    let nightly = json!({ "cron": "30 2 * * *" });
    for once in ["", "once"] {
        check(&berlin(&nightly, once), spring, &["03-28 03:30+02:00", "03-29 02:30+02:00"]);
        check(&berlin(&nightly, once), autumn, &["10-31 02:30+02:00", "11-01 02:30+01:00"]);
    }
    check(&berlin(&nightly, "skip"), spring, &["03-29 02:30+02:00"]);
    check(&berlin(&nightly, "skip"), autumn, &["10-31 02:30+02:00", "11-01 02:30+01:00"]);
    check(&berlin(&nightly, "each"), spring, &["03-29 02:30+02:00"]);
    check(
        &berlin(&nightly, "each"),
        autumn,
        &["10-31 02:30+02:00", "10-31 02:30+01:00", "11-01 02:30+01:00"],
    );
    // A skipped time comes after a later one that is not skipped.
    let two = json!({ "every": "1d", "at": ["02:30", "03:15"] });
    check(&berlin(&two, ""), spring, &["03-28 03:15+02:00", "03-28 03:30+02:00", "03-29 02:30+02:00"]);
    // What counts on through the day follows the clocks.
    let stepped = berlin(&json!({ "cron": "*/30 * * * *" }), "");
    check(&stepped, "2027-03-28T00:15:00Z", &["03-28 01:30+01:00", "03-28 03:00+02:00", "03-28 03:30+02:00"]);
    check(
        &stepped,
        "2027-10-31T00:15:00Z",
        &["10-31 02:30+02:00", "10-31 02:00+01:00", "10-31 02:30+01:00", "10-31 03:00+01:00"],
    );
    check(&berlin(&json!({ "every": "12h" }), ""), spring, &["03-28 00:00+01:00", "03-28 13:00+02:00"]);
    // Samoa had no 30th of December 2011.
    let samoa = json!({ "every": "1d", "at": "10:00", "zone": "Pacific/Apia" });
    check(&samoa, "2011-12-29T00:00:00Z", &["12-29 10:00-10:00", "12-31 10:00+14:00", "01-01 10:00+14:00"]);
}

/// The moments with such a civil time, by a walk over all minutes from one to the other.
fn walked(
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
    is_meant: &dyn Fn(DateTime) -> bool,
) -> Vec<(DateTime, Timestamp)> {
    let (mut found, mut minute) = (Vec::new(), from);
    while minute <= to {
        let civil = zone.to_datetime(minute);
        if civil.second() == 0 && is_meant(civil) {
            found.push((civil, minute));
        }
        minute = minute.checked_add(60.seconds()).unwrap();
    }
    found
}

/// The times by the three rules, from the moments that the clocks show.
fn expected(dst: Dst, shown: &[(DateTime, Timestamp)], skipped: &[Timestamp]) -> BTreeSet<Timestamp> {
    let mut first = BTreeMap::new();
    for (civil, moment) in shown {
        first.entry(*civil).or_insert(*moment);
    }
    match dst {
        Dst::Each => shown.iter().map(|(_, moment)| *moment).collect(),
        Dst::Skip => first.into_values().collect(),
        Dst::Once => first.into_values().chain(skipped.iter().copied()).collect(),
    }
}

/// For each jump of the clocks from 2020 to 2040, in each zone: the times around it are those that a
/// walk over all minutes finds.
#[test]
fn in_each_zone_from_2020_to_2040_the_times_are_those_that_its_clocks_show() {
    let (begin, end) = (at("2020-01-01T00:00:00Z"), at("2041-01-01T00:00:00Z"));
    let (mut zones, mut jumps) = (0, BTreeSet::new());
    for name in jiff::tz::db().available() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        zones += 1;
        for jump in zone.following(begin).take_while(|jump| jump.timestamp() < end) {
            let moment = jump.timestamp();
            let before = zone.to_offset(moment.checked_sub(1.nanosecond()).unwrap());
            let width = jump.offset().duration_since(before);
            // Zones with the same jump between the same offsets have the same times around it.
            if width.is_zero() || !jumps.insert((moment, before.seconds(), jump.offset().seconds())) {
                continue;
            }
            // A time of day amid what is skipped or repeated, and one a little behind the jump.
            let later = jump.offset().to_datetime(moment);
            let amid = before.max(jump.offset()).to_datetime(moment).checked_sub(width.abs() / 2).unwrap();
            let times: BTreeSet<String> = [amid, later.checked_add(10.minutes()).unwrap()]
                .map(|time| time.strftime("%H:%M").to_string())
                .into();
            let hours = width.abs().as_hours() + 2;
            let (from, to) =
                (moment.checked_sub(hours.hours()).unwrap(), moment.checked_add(hours.hours()).unwrap());
            let is_meant = |civil: DateTime| times.contains(&civil.strftime("%H:%M").to_string());
            let shown = walked(&zone, from, to, &is_meant);
            let mut skipped = Vec::new();
            let (mut civil, last) = (before.to_datetime(moment), jump.offset().to_datetime(moment));
            while civil < last {
                if civil.second() == 0 && is_meant(civil) {
                    skipped.push(before.to_timestamp(civil).unwrap());
                }
                civil = civil.checked_add(1.minute()).unwrap();
            }
            for (dst, word) in [(Dst::Each, "each"), (Dst::Skip, "skip"), (Dst::Once, "once")] {
                let expected: Vec<Timestamp> = expected(dst, &shown, &skipped)
                    .into_iter()
                    .filter(|time| (from..=to).contains(time))
                    .collect();
                let schedule =
                    schedule(&json!({ "every": "1d", "at": times, "zone": name.as_str(), "dst": word }));
                let mut found = Vec::new();
                let mut after = from.checked_sub(1.nanosecond()).unwrap();
                while let Some(time) = schedule.next(after).filter(|time| *time <= to) {
                    found.push(time);
                    after = time;
                }
                assert_eq!(found, expected, "{name} {moment} {word} {times:?}");
            }
        }
    }
    assert!(zones > 400 && jumps.len() > 1_000, "{zones} zones, {} jumps", jumps.len());
}

/// Whether a schedule means a civil time.
type Meant = fn(DateTime) -> bool;

/// From any moment, in each zone, the next time is one that the clocks show and the schedule means, and
/// the first of them.
#[test]
fn from_any_moment_in_each_zone_the_next_time_is_the_first_that_is_meant() {
    fn is_at(civil: DateTime, hour: i8, minute: i8) -> bool {
        (civil.hour(), civil.minute()) == (hour, minute)
    }
    let kinds: [(Value, Meant); 6] = [
        (json!({ "cron": "*/20 * * * *" }), |civil| civil.minute() % 20 == 0),
        (json!({ "cron": "30 2 * * sun" }), |civil| {
            is_at(civil, 2, 30) && civil.weekday() == Weekday::Sunday
        }),
        (json!({ "cron": "0 0 L * *" }), |civil| {
            is_at(civil, 0, 0) && civil.date() == civil.date().last_of_month()
        }),
        (json!({ "cron": "15 8 * * tue#2" }), |civil| {
            is_at(civil, 8, 15) && civil.weekday() == Weekday::Tuesday && (8..=14).contains(&civil.day())
        }),
        (json!({ "every": "1w", "on": ["mon", "fri"], "at": "23:45" }), |civil| {
            is_at(civil, 23, 45) && matches!(civil.weekday(), Weekday::Monday | Weekday::Friday)
        }),
        (json!({ "every": "1d", "at": ["00:10", "12:00"] }), |civil| {
            is_at(civil, 0, 10) || is_at(civil, 12, 0)
        }),
    ];
    let begin = at("2020-01-01T00:00:00Z");
    let seconds = at("2041-01-01T00:00:00Z").duration_since(begin).as_secs();
    let mut looked = 0;
    for (nth, name) in jiff::tz::db().available().enumerate() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        for turn in 0..3 {
            let (mut configuration, is_meant) = kinds[(nth + turn) % kinds.len()].clone();
            configuration["zone"] = json!(name.as_str());
            configuration["dst"] = json!("each");
            let schedule = schedule(&configuration);
            // Moments that are spread over all years: multiples of a large prime.
            let number = i64::try_from(nth * 3 + turn).unwrap();
            let last = begin.checked_add((number * 982_451_653 % seconds).seconds()).unwrap();
            let next = schedule.next(last).expect("there is always another");
            let case = format!("{configuration} after {last}: {next}");
            let civil = zone.to_datetime(next);
            assert!(next > last && civil.second() == 0 && is_meant(civil), "{case}");
            for between in [
                next.checked_sub(1.nanosecond()).unwrap(),
                last.checked_add(next.duration_since(last) / 2).unwrap(),
            ] {
                assert_eq!(schedule.next(between), Some(next), "{case}, from {between}");
            }
            // The last hours before it, minute by minute.
            let from = last.max(next.checked_sub(26.hours()).unwrap());
            let from = Timestamp::from_second(from.as_second() / 60 * 60 + 60).unwrap();
            let to = next.checked_sub(1.nanosecond()).unwrap();
            assert_eq!(walked(&zone, from, to, &is_meant), [], "{case}");
            looked += 1;
        }
    }
    assert!(looked > 1_200, "{looked}");
}

/// The node whose jitter counts.
const NODE: (WorkflowId, &str) = (WorkflowId::from_u128(1), "nightly");

fn look(
    configuration: &Value,
    next_at: &str,
    now: &str,
    is_running: bool,
) -> (Option<(String, u32)>, Option<String>) {
    let (workflow, node) = NODE;
    let look = schedule(configuration).look(workflow, node, at(next_at), at(now), is_running);
    let firing = look.firing.map(|firing| (firing.scheduled_at.to_string(), firing.missed));
    (firing, look.next_at.map(|next| next.to_string()))
}

#[test]
fn times_that_passed_are_made_up_for_as_the_author_says_and_within_the_window() {
    let (due, next) = ("2026-11-25T02:00:00Z", Some("2026-11-26T02:00:00Z".to_owned()));
    let fired = |time: &str, missed: u32| Some((time.to_owned(), missed));
    let nightly = |more: &str| {
        let mut configuration = json!({ "cron": "0 2 * * *" });
        if !more.is_empty() {
            configuration["catch_up"] = json!(more);
        }
        configuration
    };
    for catch_up in ["", "last", "all", "none"] {
        let seen = look(&nightly(catch_up), due, "2026-11-25T02:00:01Z", false);
        assert_eq!(seen, (fired(due, 0), next.clone()), "{catch_up}: in time");
        let seen = look(&nightly(catch_up), due, "2026-11-25T09:00:00Z", false);
        assert_eq!(
            seen,
            (fired(due, 0).filter(|_| catch_up != "none"), next.clone()),
            "{catch_up}: hours late"
        );
        let seen = look(&nightly(catch_up), due, "2026-11-26T01:59:00Z", false);
        assert_eq!(seen.1, next, "{catch_up}: nearly a day");
        let seen = look(&nightly(catch_up), due, "2026-11-29T01:00:00Z", false);
        let newest = fired("2026-11-28T02:00:00Z", 0).filter(|_| catch_up != "none");
        assert_eq!(
            seen,
            (newest, Some("2026-11-29T02:00:00Z".to_owned())),
            "{catch_up}: the window is a day"
        );
    }
    let hourly = |catch_up: &str| json!({ "every": "1h", "catch_up": catch_up, "window": "3h" });
    let now = "2026-11-25T12:30:00Z";
    assert_eq!(
        look(&hourly("last"), due, now, false),
        (fired("2026-11-25T12:00:00Z", 2), Some("2026-11-25T13:00:00Z".into()))
    );
    assert_eq!(
        look(&hourly("all"), due, now, false),
        (fired("2026-11-25T10:00:00Z", 0), Some("2026-11-25T11:00:00Z".into()))
    );
    assert_eq!(look(&hourly("none"), due, now, false), (None, Some("2026-11-25T13:00:00Z".into())));
    let just = "2026-11-25T12:02:00Z";
    assert_eq!(
        look(&hourly("none"), due, just, false).0,
        fired("2026-11-25T12:00:00Z", 2),
        "the last is not late"
    );
    assert_eq!(
        look(&json!({ "at": ["2026-11-25T02:00:00Z"] }), due, now, false),
        (fired(due, 0), None),
        "the only one"
    );
}

#[test]
fn while_the_last_run_goes_on_another_begins_or_not() {
    let due = "2026-11-25T02:00:00Z";
    let nightly = |overlap: &str| json!({ "cron": "0 2 * * *", "overlap": overlap });
    let next = Some("2026-11-26T02:00:00Z".to_owned());
    assert_eq!(look(&nightly("skip"), due, due, true), (None, next.clone()));
    assert_eq!(look(&nightly("skip"), due, due, false), (Some((due.to_owned(), 0)), next.clone()));
    assert_eq!(look(&nightly("allow"), due, due, true), (Some((due.to_owned(), 0)), next));
}

#[test]
fn a_firing_has_an_id_of_its_own_and_a_place_within_the_jitter() {
    let schedule = schedule(&json!({ "every": "1h", "jitter": "10m" }));
    let (workflow, other) = (WorkflowId::from_u128(1), WorkflowId::from_u128(2));
    let time = at("2026-11-25T02:00:00Z");
    let delays: BTreeSet<i64> = (0..200)
        .map(|hour| {
            let time = time.checked_add(SignedDuration::from_hours(hour)).unwrap();
            let due = schedule.due_at(workflow, "nightly", time);
            assert_eq!(due, schedule.due_at(workflow, "nightly", time));
            due.duration_since(time).as_secs()
        })
        .collect();
    assert!(delays.first() >= Some(&0) && delays.last() <= Some(&600) && delays.len() > 100, "{delays:?}");
    let ids: BTreeSet<_> = [
        event_id(workflow, "a", time),
        event_id(workflow, "b", time),
        event_id(other, "a", time),
        event_id(workflow, "a", at("2026-11-25T02:00:01Z")),
    ]
    .into();
    assert_eq!(ids.len(), 4);
    let id = event_id(workflow, "a", time).to_string();
    assert_eq!(id, event_id(workflow, "a", time).to_string());
    assert_eq!((&id[14..15], "89ab".contains(&id[19..20])), ("7", true), "{id} is a UUID of version 7");
    let earlier = event_id(workflow, "a", at("2026-11-25T01:59:59Z"));
    assert!(earlier < event_id(workflow, "a", time), "ids have the order of their times");
}

#[test]
fn the_event_tells_the_time_with_its_calendar() {
    let schedule = schedule(&json!({ "cron": "0 2 * * *", "zone": "Europe/Berlin" }));
    let firing = Firing { scheduled_at: at("2026-11-30T01:00:00Z"), missed: 2 };
    assert_eq!(
        schedule.event_data(firing, at("2026-11-30T01:00:02.5Z")),
        json!({
            "scheduled_at": "2026-11-30T01:00:00Z", "fired_at": "2026-11-30T01:00:02.5Z", "late_ms": 2500,
            "zone": "Europe/Berlin", "missed": 2,
            "calendar": {
                "date": "2026-11-30", "time": "02:00", "year": 2026, "month": 11, "day": 30, "weekday": "mon",
                "week": 49, "day_of_year": 334, "is_last_of_month": true,
            },
        })
    );
}

#[test]
fn what_is_no_schedule_is_told_with_its_place() {
    let check = |configuration: Value, pointer: &str, message: &str| {
        let problems = ScheduleTrigger.check(&configuration);
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
        let [(at, said)] = found[..] else { panic!("{configuration}: {found:?}") };
        assert_eq!(at, pointer, "{configuration}");
        assert!(said.starts_with(message), "{configuration}: {said}");
        assert_eq!(Schedule::read(&configuration), None);
    };
    let kinds = "needs exactly one of `cron`, `every` and `at`";
    check(json!({}), "", kinds);
    check(json!({ "cron": "@daily", "every": "1d" }), "", kinds);
    check(json!({ "cron": "@daily", "at": ["2026-01-01T00:00"] }), "", kinds);
    let cron = "must be a cron expression of five fields";
    for wrong in ["0 0 2 * * *", "0 2 * *", "61 2 * * *", "0 2 * * someday", "", "@reboot", "0 2 * * * 2027"]
    {
        check(json!({ "cron": wrong }), "/cron", cron);
    }
    check(json!({ "cron": 5 }), "/cron", cron);
    check(json!({ "cron": "0 0 30 2 *" }), "", "names no time that ever comes");
    check(json!({ "cron": "@daily", "end": "1999-01-01T00:00" }), "", "names no time that ever comes");
    let every = "must be a duration of one kind";
    for wrong in [
        json!("soon"),
        json!("30s"),
        json!("1d12h"),
        json!("367d"),
        json!("1 month"),
        json!(60),
        json!("-1h"),
    ] {
        check(json!({ "every": wrong }), "/every", every);
    }
    check(json!({ "cron": "@daily", "anchor": "2026-01-01" }), "/anchor", "belongs to `every`");
    check(json!({ "every": "1h", "at": "09:00" }), "/at", "belongs to an `every` of days or weeks");
    check(json!({ "every": "1d", "on": ["mon"] }), "/on", "belongs to an `every` of weeks");
    check(json!({ "every": "1w", "on": ["monday"] }), "/on/0", "must be one of mon");
    check(json!({ "every": "1d", "at": "9" }), "/at", "must be a time of day");
    check(json!({ "at": ["tomorrow"] }), "/at/0", "must be a time such as");
    check(json!({ "at": "2026-12-24T18:00" }), "/at", "must be a list");
    check(json!({ "cron": "@daily", "zone": "Berlin" }), "/zone", "must be the IANA name");
    check(json!({ "cron": "@daily", "dst": "both" }), "/dst", "must be one of once, each, skip");
    check(json!({ "cron": "@daily", "catch_up": true }), "/catch_up", "must be");
    check(json!({ "cron": "@daily", "crn": "x" }), "/crn", "unknown field `crn`");
}

#[test]
fn each_part_of_a_schedule_has_its_limit_i10() {
    let is_valid = |configuration: Value| ScheduleTrigger.check(&configuration).is_empty();
    let every = |seconds: i64| json!({ "every": format!("{seconds}s") });
    assert!(is_valid(every(SCHEDULE_EVERY_SECONDS_MIN)) && !is_valid(every(SCHEDULE_EVERY_SECONDS_MIN - 1)));
    let begin: DateTime = "2026-01-01T00:00".parse().unwrap();
    let moments = |count: usize| -> Vec<String> {
        (0..i64::try_from(count).unwrap())
            .map(|n| begin.checked_add(n.hours()).unwrap().to_string())
            .collect()
    };
    let listed = |count: usize| json!({ "at": moments(count) });
    assert!(
        is_valid(listed(SCHEDULE_TIMES_MAX))
            && !is_valid(listed(SCHEDULE_TIMES_MAX + 1))
            && !is_valid(listed(0))
    );
    let daily = |count: usize| {
        let at: Vec<String> = (0..count).map(|n| format!("{:02}:{:02}", n % 24, n / 24)).collect();
        json!({ "every": "1d", "at": at })
    };
    assert!(is_valid(daily(SCHEDULE_DAY_TIMES_MAX)) && !is_valid(daily(SCHEDULE_DAY_TIMES_MAX + 1)));
    let except = |count: usize| {
        let days: Vec<String> = (0..i64::try_from(count).unwrap())
            .map(|n| begin.date().checked_add(n.days()).unwrap().to_string())
            .collect();
        json!({ "every": "1d", "except": days })
    };
    assert!(is_valid(except(EXCEPT_DATES_MAX)) && !is_valid(except(EXCEPT_DATES_MAX + 1)));
    let more = |field: &str, seconds: i64| json!({ "cron": "@daily", field: seconds });
    assert!(is_valid(more("jitter", SCHEDULE_JITTER_SECONDS_MAX)) && is_valid(more("jitter", 0)));
    assert!(!is_valid(more("jitter", SCHEDULE_JITTER_SECONDS_MAX + 1)) && !is_valid(more("jitter", -1)));
    assert!(is_valid(more("window", SCHEDULE_WINDOW_SECONDS_MAX)) && is_valid(more("window", 0)));
    assert!(!is_valid(more("window", SCHEDULE_WINDOW_SECONDS_MAX + 1)) && !is_valid(more("window", -1)));
}

#[test]
fn a_time_with_jitter_is_late_only_behind_its_own_moment() {
    for (more, window) in [("none", "1d"), ("last", "5m"), ("last", "0s"), ("all", "0s")] {
        let configuration = json!({ "every": "3h", "jitter": "1h", "catch_up": more, "window": window });
        let schedule = schedule(&configuration);
        let mut shares = 0;
        for hour in 0..100 {
            let time = at("2026-11-25T00:00:00Z").checked_add(SignedDuration::from_hours(3 * hour)).unwrap();
            let due = schedule.due_at(NODE.0, NODE.1, time);
            let now = due.checked_add(SignedDuration::from_secs(90)).unwrap();
            let look = schedule.look(NODE.0, NODE.1, time, now, false);
            assert_eq!(
                look.firing,
                Some(Firing { scheduled_at: time, missed: 0 }),
                "{configuration} {time} {due}"
            );
            assert_eq!(look.next_at, schedule.next(time));
            shares += due.duration_since(time).as_secs();
        }
        assert!(shares > 100 * 600, "they come later by half an hour on the average");
    }
    // A time whose own moment has not come is not missed.
    let hourly = schedule(&json!({ "every": "1h", "jitter": "59m" }));
    let (mut time, mut fired) = (at("2026-11-25T00:00:00Z"), 0);
    for _ in 0..200 {
        let look = hourly.look(NODE.0, NODE.1, time, hourly.due_at(NODE.0, NODE.1, time), false);
        fired += usize::from(look.firing == Some(Firing { scheduled_at: time, missed: 0 }));
        time = look.next_at.unwrap();
    }
    assert_eq!(fired, 200);
    let pointer = |configuration: Value| ScheduleTrigger.check(&configuration)[0].pointer.clone();
    assert_eq!(pointer(json!({ "every": "1h", "jitter": "1h" })), "/jitter");
    assert_eq!(pointer(json!({ "cron": "0,10 9 * * *", "jitter": "10m" })), "/jitter");
}

#[test]
fn a_long_outage_of_a_short_schedule_is_looked_at_in_bounded_work() {
    let minutely = json!({ "cron": "* * * * *", "window": "7d", "zone": "Europe/Berlin" });
    // Over the jump of the clocks in October 2027.
    let (due, now) = ("2027-10-28T00:00:00Z", "2027-11-02T00:00:30Z");
    let seen = look(&minutely, due, now, false);
    assert_eq!(
        seen,
        (Some(("2027-11-02T00:00:00Z".to_owned(), 1_000)), Some("2027-11-02T00:01:00Z".to_owned()))
    );
    let daily = json!({ "every": "10m", "window": "7d" });
    let seen = look(&daily, "2027-10-27T00:00:00Z", "2027-11-02T00:00:30Z", false);
    assert_eq!(seen.0, Some(("2027-11-02T00:00:00Z".to_owned(), 864)));
}
