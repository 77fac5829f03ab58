//! `cargo xtask crash`: the crash suite, as long as one likes.

use tests::crash::{Faults, Guard, Options, run};

const USAGE: &str = "crash [--seed N] [--executions N] [--calm | --frozen] [--without lease-token|node-lock|sweeper|send-after-commit]";

#[tokio::main]
async fn main() {
    let (mut seed, mut executions, mut is_calm, mut is_frozen, mut without) =
        (None, 10_000, false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value: {USAGE}"));
        match argument.as_str() {
            "--seed" => seed = Some(value().parse().expect("--seed takes a number")),
            "--executions" => executions = value().parse().expect("--executions takes a number"),
            "--help" => return println!("{USAGE}"),
            "--calm" => is_calm = true,
            "--frozen" => is_frozen = true,
            "--without" => {
                without = Some(match value().as_str() {
                    "lease-token" => Guard::LeaseToken,
                    "node-lock" => Guard::NodeLock,
                    "sweeper" => Guard::Sweeper,
                    "send-after-commit" => Guard::SendAfterCommit,
                    other => panic!("there is no guard {other}: {USAGE}"),
                });
            }
            other => panic!("{other} is not known: {USAGE}"),
        }
    }
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}: --seed {seed} meets the same faults again");
    let options = match (is_calm, is_frozen) {
        (true, _) => Options::calm(seed, executions),
        (_, true) => Options { faults: Faults::FrozenExecutors, ..Options::calm(seed, executions) },
        _ => Options::faulty(seed, executions),
    };
    let report = run(Options { without, ..options }).await;
    println!("{report}");
    if !report.violations.is_empty() {
        std::process::exit(1);
    }
}
