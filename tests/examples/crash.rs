//! `cargo xtask crash`: the crash suite, as long as one likes.

use std::path::PathBuf;
use std::time::Duration;

use tests::crash::{Backlog, Beside, Faults, Guard, Options, backlog, run};

const USAGE: &str = "crash [--seed N] [--executions N] [--calm | --contended | --frozen | --outages | --backlog] [--beside FOLDER [--functions builder,executor]]";

/// Node executions of a full run, and the faults that it must have met.
const EXECUTIONS_FULL: usize = 10_000;
const FAULTS_MIN: usize = 500;
/// How long Postgres, SQS and KMS are down each.
const OUTAGE: Duration = Duration::from_secs(20);
/// The most time that the last tenth of a backlog may take, as a multiple of the first one's.
const TENTHS_MAX: f64 = 1.5;

fn usage() -> String {
    let guards: Vec<&str> = Guard::ALL.iter().map(|(name, _)| *name).collect();
    format!("{USAGE} [--without {}]", guards.join("|"))
}

#[tokio::main]
async fn main() {
    let (mut seed, mut executions, mut scenario, mut without) = (None, None, None, None);
    let (mut folder, mut functions) = (None, "api,webhook,builder,executor,sweeper".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value =
            || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value: {}", usage()));
        match argument.as_str() {
            "--seed" => seed = Some(value().parse().expect("--seed takes a number")),
            "--executions" => executions = Some(value().parse().expect("--executions takes a number")),
            "--beside" => folder = Some(PathBuf::from(value())),
            "--functions" => functions = value(),
            "--help" => return println!("{}", usage()),
            "--calm" | "--contended" | "--frozen" | "--outages" | "--backlog" => {
                scenario = Some(argument.clone())
            }
            "--without" => {
                let name = value();
                let known = Guard::ALL.iter().find(|(known, _)| *known == name);
                without = Some(known.unwrap_or_else(|| panic!("there is no guard {name}: {}", usage())).1);
            }
            other => panic!("{other} is not known: {}", usage()),
        }
    }
    let functions: Vec<&'static str> =
        functions.split(',').map(|name| &*Box::leak(name.to_owned().into_boxed_str())).collect();
    let beside = folder.map(|folder| Beside {
        folder: Box::leak(folder.into_boxed_path()),
        functions: Box::leak(functions.into_boxed_slice()),
    });
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}: --seed {seed} meets the same faults again");
    let executions =
        executions.unwrap_or(if scenario.as_deref() == Some("--backlog") { 20_000 } else { EXECUTIONS_FULL });
    let options = match scenario.as_deref() {
        Some("--backlog") => return tell_backlog(&backlog(seed, executions).await),
        Some("--calm") => Options::calm(seed, executions),
        Some("--contended") => Options::contended(seed, executions),
        Some("--frozen") => Options { faults: Faults::FrozenExecutors, ..Options::calm(seed, executions) },
        Some("--outages") => Options::outages(seed, executions, OUTAGE),
        _ => Options::faulty(seed, executions),
    };
    let options = without.map_or(options, |guard| options.without(guard));
    let report = run(Options { beside, ..options }).await;
    println!("{report}");
    let is_full = options.faults == Faults::Everywhere && executions >= EXECUTIONS_FULL;
    if is_full && report.faults() < FAULTS_MIN {
        println!("only {} faults: the run shows less than it should", report.faults());
    }
    if !report.violations.is_empty() || is_full && report.faults() < FAULTS_MIN {
        std::process::exit(1);
    }
}

/// Tells it, and fails where more time or messages were needed than is promised.
fn tell_backlog(backlog: &Backlog) {
    println!("{backlog}");
    let (first, last) = backlog.tenths_seconds;
    let is_steady = last <= first * TENTHS_MAX && backlog.messages_while_waiting == 0;
    let is_short = backlog.queue_length <= 4 * backlog.items_while_stopped;
    if !is_steady || !is_short || !backlog.violations.is_empty() {
        std::process::exit(1);
    }
}
