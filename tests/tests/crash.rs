//! A short run of the crash suite (`cargo xtask crash` is the long one), and runs with a guard
//! taken out each, which must fail: the suite can see what it claims to see.
//!
//! A binary of its own, and one test at a time: each has a stack of its own and wants the machine
//! to itself.

use std::time::Duration;

use tests::crash::{Faults, Guard, Options, QueueFaults, Report, backlog, run};
use tokio::sync::Mutex;

/// Chosen once; `cargo xtask crash` rolls a new one each time.
const SEED: u64 = 20_261_125;
/// The most runs without a guard if its absence shows only by chance.
const RUNS_MAX: u64 = 6;
/// `cargo xtask crash --outages` has 20 s.
const OUTAGE: Duration = Duration::from_secs(4);

static TURN: Mutex<()> = Mutex::const_new(());

async fn alone(options: Options) -> Report {
    let _turn = TURN.lock().await;
    let report = run(options).await;
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_nothing_doubled_while_everything_goes_wrong_i3_i4_i5_i8() {
    let report = alone(Options::faulty(SEED, 500)).await;
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.executions >= 500 && report.runs_watched > 0, "{report}");
    let kinds: Vec<&str> = report.tended.keys().map(String::as_str).collect();
    assert!(kinds.contains(&"executions release") && kinds.len() >= 3, "{report}");
    let processes: usize = report.processes_struck.values().sum();
    assert!(processes >= 30 && report.messages_struck >= 60 && report.commits_lost >= 5, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_goes_wrong_the_sweeper_sends_nothing_i4_i8() {
    let report = alone(contended(SEED)).await;
    assert!(report.violations.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_up_after_its_lease_records_nothing_i3_i5() {
    let report = alone(Options { faults: Faults::FrozenExecutors, ..Options::calm(SEED, 250) }).await;
    assert!(report.violations.is_empty(), "{report}");
    assert!(!report.processes_struck.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_outages_of_postgres_sqs_and_kms_everything_ends_once_i3_i5_i8() {
    let report = alone(Options::outages(SEED, 1_200, OUTAGE)).await;
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.sweeper_sends > 0, "nothing was in flight when they were down: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_costs_no_message_and_a_stopped_builder_gets_few_i4_i8() {
    let _turn = TURN.lock().await;
    let backlog = backlog(SEED, 300).await;
    assert!(backlog.violations.is_empty(), "{backlog}");
    assert_eq!(backlog.messages_while_waiting, 0, "{backlog}");
    assert!(backlog.queue_length >= backlog.items_while_stopped, "the builder was not stopped: {backlog}");
    assert!(backlog.queue_length <= 4 * backlog.items_while_stopped, "{backlog}");
}

fn contended(seed: u64) -> Options {
    Options::contended(seed, 250)
}

/// The suite notices, by one of these rules.
fn assert_noticed(report: &Report, rules: &[&str]) {
    assert!(is_noticed(report, rules), "nothing of {rules:?} was noticed: {report}");
}

fn is_noticed(report: &Report, rules: &[&str]) -> bool {
    report.violations.iter().any(|violation| rules.iter().any(|rule| violation.rule.starts_with(rule)))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_token_the_suite_fails() {
    let frozen = Options { faults: Faults::FrozenExecutors, ..Options::calm(SEED, 250) };
    let report = alone(frozen.without(Guard::LeaseToken)).await;
    assert!(report.guard_removals > 0, "the guard has another text now: {report}");
    assert_noticed(
        &report,
        &["I3: every execution ended once", "I3: what has ended", "I3: every execution emitted once"],
    );
}

/// Runs without the guard until one is noticed: two functions must meet within the pause, which is likely in a
/// run, and all but sure in some.
async fn assert_missed(guard: Guard, options: impl Fn(u64) -> Options, rules: &[&str]) {
    for seed in SEED..SEED + RUNS_MAX {
        let report = alone(options(seed).without(guard)).await;
        assert!(report.guard_removals > 0, "the guard has another text now: {report}");
        if is_noticed(&report, rules) {
            return;
        }
    }
    panic!("nothing of {rules:?} was noticed in {RUNS_MAX} runs");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn without_the_lock_of_nodes_the_suite_fails() {
    let rules = ["I4: no more", "I4: the item taken", "I8: where nothing goes wrong"];
    assert_missed(Guard::NodeLock, contended, &rules).await;
}

/// The ends of two branches look past each other: a run that never ends, or a merge that is never asked.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn without_the_lock_of_runs_the_suite_fails() {
    let rules = ["I3: nothing is left", "I8: every run has ended", "I8: where nothing goes wrong"];
    assert_missed(Guard::RunLock, contended, &rules).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn where_items_are_not_counted_with_the_executions_the_suite_fails() {
    assert_missed(Guard::OneCount, contended, &["I8: every run has the result"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn where_a_merge_does_not_ask_about_its_own_queue_the_suite_fails() {
    assert_missed(Guard::OwnQueue, contended, &["I3: no merge of all decides"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn where_owners_do_not_end_last_the_suite_fails() {
    let rules = ["I3: every sub-run was taken, after its end and before its owner ended"];
    assert_missed(Guard::OwnersLast, |seed| Options::faulty(seed, 500), &rules).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_sweeper_the_suite_fails() {
    let losing = Options { queue: QueueFaults::USUAL, ..Options::calm(SEED, 250) };
    let report = alone(losing.without(Guard::Sweeper)).await;
    assert_noticed(&report, &["I8: work goes on", "I3: nothing is left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_before_the_commit_makes_the_suite_fail() {
    let report = alone(Options::calm(SEED, 150).without(Guard::SendAfterCommit)).await;
    assert_noticed(&report, &["I8: where nothing goes wrong"]);
}

/// The steps of failpoints name statements. If a statement got another name, its step would never
/// be reached, and no test would notice.
#[test]
fn steps_within_transactions_are_named_after_statements_that_there_are() {
    let mut sql = String::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/store/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => sql.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap())),
            }
        }
    }
    let statements = tests::crash::STEPS
        .iter()
        .flat_map(|(_, steps)| *steps)
        .filter_map(|step| step.strip_suffix(".answered"))
        .collect::<Vec<_>>();
    assert!(!statements.is_empty());
    let is_there = |name: &&str| {
        [format!("/* {name} */"), format!("\"{name}\"")].iter().any(|named| sql.contains(named))
    };
    let gone: Vec<_> = statements.into_iter().filter(|name| !is_there(name)).collect();
    assert!(gone.is_empty(), "no statement has the name of these steps: {gone:?}");
}
