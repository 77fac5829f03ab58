//! Each named limit has a test on both sides (I10). These tests check that by reading the sources.
//!
//! A limit is a constant with such a name (`…_MAX`, `…_MIN`, `…_AT_ONCE`, `…_PER_SECOND`,
//! `KEPT_FOR`), in `domain::limits` or beside the code that keeps it. Its name must stand in a
//! test, at the limit and one step past it (`NAME` with `NAME + 1`, `NAME - 1`, or a range that
//! ends at it). If several files have a limit of one name, each of them needs this in a test of its
//! own crate. [`HELD_OTHERWISE`] names the tests that reach the other side in another way, one
//! entry for each file. [`WITHOUT_TEST`] gives the reasons for limits that no test can reach.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::rust_files;

/// Limits with tests that reach the other side without arithmetic on the name: the limit and the
/// test. Both must exist.
const HELD_OTHERWISE: &[(&str, &str)] = &[
    ("AHEAD_MAX", "holders_and_items_before_it_are_named_and_counted_up_to_a_limit_i10"),
    ("ADDRESSES_MAX", "so_many_addresses_of_a_name_are_tried_and_no_more_i10"),
    ("ATTEMPTS_MAX", "every_wait_has_a_limit"),
    ("ATTEMPTS_MAX", "what_fails_every_time_is_reported_and_left_to_the_sweeper"),
    ("BASE64_RUN_MIN", "the_shortest_run_of_digits_is_that_of_the_shortest_value_i10"),
    ("BATCH_MAX", "ten_messages_are_one_call_and_each_kind_finds_its_queue"),
    ("BYTES_MIN", "strings_under_eight_bytes_are_not_searched_for_i10"),
    ("CALL_RATE_MIN", "a_rate_is_a_number_of_calls_and_a_burst"),
    ("CLAIM_ITEMS_MAX", "a_burst_larger_than_one_claim_is_taken_in_several"),
    ("CONFIGURATION_BYTES_MAX", "a_resolved_configuration_has_a_limit_on_both_sides_i10"),
    ("DECRYPTS_AT_ONCE", "so_many_calls_of_kms_are_under_way_at_once_and_no_more_i10"),
    ("DETAIL_CHARS_MAX", "what_is_said_about_a_query_has_a_limit_on_both_sides_i10"),
    ("FAILURE_KEPT_FOR", "opened_keys_are_kept_for_a_minute_and_a_failure_for_a_second_i1"),
    ("FUEL_MAX", "work_of_an_evaluation"),
    ("GO_ON_BYTES_MAX", "bytes_have_a_limit_on_both_sides"),
    ("GO_ON_EXECUTIONS_MAX", "going_on_stops_at_its_limit_and_goes_on_by_message_i10"),
    ("HEAD_BYTES_MAX", "the_head_of_a_response_has_a_limit_i10"),
    ("HELD_EXECUTIONS_MAX", "a_workflow_holds_so_many_and_no_more_i10"),
    ("HEX_RUN_MIN", "the_shortest_run_of_digits_is_that_of_the_shortest_value_i10"),
    ("HOLDERS_MAX", "holders_and_items_before_it_are_named_and_counted_up_to_a_limit_i10"),
    ("HTTP_HOPS_MAX", "what_can_not_be_taken_is_refused_and_leaves_nothing_i10"),
    ("HTTP_REDIRECTS_MAX", "five_redirects_are_followed_and_not_six_i10"),
    ("ITEMS_MAX", "limits_hold_on_both_sides"),
    ("KEPT_FOR", "an_address_is_asked_for_once_a_minute_with_a_webhook_or_without"),
    ("KEYS_KEPT_FOR", "opened_keys_are_kept_for_a_minute_and_a_failure_for_a_second_i1"),
    ("LAYERS_MAX", "what_cannot_be_read_is_an_error"),
    ("MEMORY_BYTES_MAX", "memory_of_an_evaluation"),
    ("MESSAGE_BYTES_MAX", "what_is_no_message_says_why"),
    ("NAME_BYTES_MAX", "names_have_a_longest_length"),
    ("NUMBER_EXPONENT_MAX", "numbers_have_limits_on_both_sides"),
    ("PAGE_BYTES_MAX", "a_page_has_a_limit_of_bytes_on_both_sides_in_each_list_i10"),
    ("PAGE_COLUMN_BYTES_MAX", "a_page_has_a_limit_of_bytes_on_both_sides_in_each_list_i10"),
    ("PLANS_MAX", "the_api_tries_again_so_often_and_then_says_conflict_i10"),
    ("PLANS_MAX", "the_api_tries_again_so_often_and_then_says_conflict_i10"),
    ("PLANS_MAX", "the_builder_plans_anew_so_often_and_then_the_batch_comes_again_i10"),
    ("UPGRADED_AT_ONCE", "an_upgrade_of_many_goes_on_with_its_cursor_i10"),
    ("PLAN_TIME_MAX", "a_batch_that_is_planned_for_too_long_is_built_one_by_one_i9_i10"),
    ("QUEUE_DELAY_SECONDS_MAX", "a_delay_ends_where_sqs_does_i10"),
    ("RANGE_ELEMENTS_MAX", "elements_of_a_range"),
    (
        "RECORD_TRIES_MAX",
        "an_outcome_that_can_not_be_recorded_is_tried_so_often_and_then_the_lease_lapses_i10",
    ),
    ("PATTERN_BYTES_MAX", "compiled_patterns_are_small_i10"),
    ("REDACT_PATHS_MAX", "limits_of_a_definition_hold_on_both_sides_i10"),
    ("REDACT_PATH_BYTES_MAX", "limits_of_a_definition_hold_on_both_sides_i10"),
    ("REGEX_PROGRAM_BYTES_MAX", "size_of_compiled_patterns"),
    ("REPEAT_BYTES_MAX", "length_of_a_repetition"),
    ("RESPONSE_HEADERS_MAX", "the_head_of_a_response_has_a_limit_i10"),
    ("ROTATIONS_MAX", "the_api_tries_again_so_often_and_then_says_conflict_i10"),
    ("ROUTES_MAX", "an_outcome_is_routed_anew_so_often_and_then_the_lease_lapses_i10"),
    ("COUNTED_ITEMS_MAX", "waiting_items_are_counted_no_further_than_asked_i10"),
    ("RUNS_MAX", "a_transaction_that_loses_against_others_runs_so_often_and_then_gives_up_i10"),
    ("SCHEMA_BYTES_MAX", "a_schema_is_small_and_flat_i10"),
    ("SCHEMA_DEPTH_MAX", "a_schema_is_small_and_flat_i10"),
    ("SEALS_MAX", "the_api_tries_again_so_often_and_then_says_conflict_i10"),
    ("SECRET_KEYS_MAX", "a_secret_has_so_many_keys_and_no_more_i10"),
    ("SECRET_VALUE_BYTES_MIN", "a_short_value_has_a_limit_on_both_sides"),
    ("SWEEP_ROWS_MAX", "a_search_is_bounded_and_repeated_until_the_time_of_the_tick_is_used_i10"),
    ("TIMEOUT_MAX", "no_request_asks_for_more_time_than_a_component_has_i10"),
    ("TOKENS_MAX", "an_organization_has_so_many_tokens_and_no_more_i10"),
    ("TOKEN_CHARS_MAX", "only_what_can_be_our_token_is_looked_up"),
    ("WEBHOOK_BODY_BYTES_MAX", "what_can_not_be_taken_is_refused_and_leaves_nothing_i10"),
];

/// Limits without a test of their own, each with its reason.
const WITHOUT_TEST: &[(&str, &str)] = &[
    ("LOST_COMMIT_LOOKS_MAX", "a bound of a wait of five seconds; the loop's end reads as a lost connection"),
    ("TRIES_MAX", "a bound of a wait of minutes for a lock; the loop's end reads as a failed migration"),
    ("RECURSION_MAX", "a fence behind NESTING_MAX, which is reached first whatever the text"),
];

/// The folders of limits: all code that is delivered.
const SOURCES: [&str; 2] = ["shared", "functions"];
/// The folders of tests.
const TESTS: [&str; 3] = ["shared", "functions", "tests"];

struct Sources {
    /// The names of limits, with the files that declare them.
    limits: BTreeMap<String, BTreeSet<String>>,
    /// The text of tests, by the crate's folder, such as `shared/domain`.
    tests: BTreeMap<String, String>,
}

impl Sources {
    fn all_tests(&self) -> String {
        self.tests.values().map(String::as_str).collect()
    }

    /// The files that declare the limit `name` and have no test for it; none if there are as many
    /// exceptions.
    fn without_test(&self, name: &str, files: &BTreeSet<String>) -> Vec<String> {
        // A limit in `domain` is applied, and so tested, in another crate.
        let is_held = |file: &String| {
            let own = crate_of(file);
            let is_others = |crate_name: &String| files.iter().any(|file| crate_of(file) == *crate_name);
            self.tests.iter().any(|(crate_name, tests)| {
                let is_looked_at =
                    *crate_name == own || files.len() == 1 || own == MODEL && !is_others(crate_name);
                is_looked_at && is_on_both_sides(name, tests)
            })
        };
        let excepted = HELD_OTHERWISE.iter().chain(WITHOUT_TEST).filter(|(known, _)| *known == name).count();
        let missing: Vec<String> = files.iter().filter(|file| !is_held(file)).cloned().collect();
        if missing.len() > excepted { missing } else { Vec::new() }
    }
}

/// The crate of the limits that several crates apply.
const MODEL: &str = "shared/domain";

/// The folder of the crate that a file belongs to.
fn crate_of(file: &str) -> String {
    file.split('/').take(2).collect::<Vec<_>>().join("/")
}

#[test]
fn every_limit_has_a_test_on_both_sides_i10() {
    let sources = read_sources();
    assert!(sources.limits.len() > 60, "the limits are not found: {}", sources.limits.len());
    let missing: Vec<String> = sources
        .limits
        .iter()
        .map(|(name, files)| (name, sources.without_test(name, files)))
        .filter(|(_, missing)| !missing.is_empty())
        .map(|(name, missing)| format!("{name} ({})", missing.join(", ")))
        .collect();
    assert!(missing.is_empty(), "limits without a test on both sides:\n  {}", missing.join("\n  "));
}

#[test]
fn the_exceptions_are_limits_and_tests_that_are_there_i10() {
    let sources = read_sources();
    let tests = sources.all_tests();
    for (name, test) in HELD_OTHERWISE {
        assert!(sources.limits.contains_key(*name), "no limit {name}");
        assert!(tests.contains(&format!("fn {test}(")), "{name}: no test {test}");
    }
    for (name, why) in WITHOUT_TEST {
        assert!(sources.limits.contains_key(*name), "no limit {name}");
        assert!(why.len() > 20, "{name}: a reason is a sentence");
        assert!(!is_on_both_sides(name, &tests), "{name} has a test by now");
    }
}

/// Each promise of the security page names its tests.
#[test]
fn the_tests_that_the_security_page_names_are_there_i1() {
    let page = include_str!("../../../../docs/security.md");
    let table = page.split_once("### Which test holds what").expect("the table is there").1;
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let names: Vec<&str> = rows.clone().flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "{names:?}");
    let tests = read_sources().all_tests();
    for name in names {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
    let promises = page.split_once("## What is protected").expect("the promises are there").1;
    let promises = promises.split("###").next().unwrap_or_default();
    let promised = promises.lines().filter(|line| line.starts_with("- **")).count();
    assert_eq!(promised, rows.count(), "each promise has a row");
}

#[test]
fn a_limit_without_a_second_side_is_noticed_i10() {
    let check =
        |tests: &str, expected: bool| assert_eq!(is_on_both_sides("A_MAX", tests), expected, "{tests}");
    check("", false);
    check("read(A_MAX)", false);
    check("read(BA_MAX + 1)", false);
    check("read(A_MAX); read(A_MAX + 1)", true);
    check("read(limits::A_MAX - 1); read(limits::A_MAX)", true);
    check("for _ in 0..=A_MAX {}", true);
    check("usize::try_from(A_MAX).unwrap() + 1; A_MAX", true);
    check("A_MAX as usize + 1; A_MAX", true);
}

/// Whether a text has the name with one step past it, or as the end of an inclusive range.
fn is_on_both_sides(name: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        if before.ends_with(is_word) || after.starts_with(is_word) {
            return false;
        }
        // Casts and conversions stand between the name and its step.
        let mut rest = after.trim_start_matches(')');
        for cast in [" as usize", " as u64", " as u32", " as i64", ".unwrap()", ".expect(\"small\")"] {
            rest = rest.strip_prefix(cast).unwrap_or(rest).trim_start_matches(')');
        }
        let path = before.trim_end_matches(|c: char| is_word(c) || c == ':');
        let is_range = path.ends_with("..=") || path.ends_with("..=usize::from(");
        [" + 1", " - 1", " * 2", " + TAG_BYTES + 1"].iter().any(|step| rest.starts_with(step)) || is_range
    })
}

fn read_sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a folder of the workspace");
    let mut sources = Sources { limits: BTreeMap::new(), tests: BTreeMap::new() };
    for folder in SOURCES {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("it is below the root").display().to_string();
            if is_test_file(&name) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a source is text");
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            for limit in production.lines().filter_map(limit_of) {
                sources.limits.entry(limit).or_default().insert(name.clone());
            }
        }
    }
    for folder in TESTS {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("it is below the root").display().to_string();
            if name.ends_with("tests/tests/integration/house/limits.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a source is text");
            let tests = if is_test_file(&name) {
                Some(text.as_str())
            } else {
                text.split_once("#[cfg(test)]").map(|(_, tests)| tests)
            };
            sources.tests.entry(crate_of(&name)).or_default().push_str(tests.unwrap_or_default());
        }
    }
    sources
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/") || name.starts_with("tests/")
}

/// The name of the limit that a line declares.
fn limit_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let (name, _) = line.strip_prefix("const ")?.split_once(':')?;
    let is_limit = name.split('_').any(|word| matches!(word, "MAX" | "MIN"))
        || ["_AT_ONCE", "_PER_SECOND", "KEPT_FOR"].iter().any(|end| name.ends_with(end));
    is_limit.then(|| name.to_owned())
}
