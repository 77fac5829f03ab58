//! The report on a run of the suite.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::checker::Violation;
use super::faults::STEPS;
use super::options::Guard;

/// The outcome of a run of the suite.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The guard that was taken out.
    pub without: Option<Guard>,
    /// The time for which Postgres, SQS and KMS were down each.
    pub outages: Option<Duration>,
    /// Whether processes were to be struck at every step.
    pub is_struck_everywhere: bool,
    /// Node executions.
    pub executions: usize,
    /// Runs.
    pub runs: usize,
    /// Executions that ended as crashed, for their process was struck each time.
    pub crashed: usize,
    /// Runs that the API showed as ended while other runs still went on.
    pub runs_watched: usize,
    /// Requests that the target got.
    pub effects: usize,
    /// Messages that functions sent.
    pub messages: usize,
    /// Wakes that the sweeper sent.
    pub sweeper_sends: usize,
    /// Processes that were killed or frozen, by function, step and action.
    pub processes_struck: BTreeMap<String, usize>,
    /// Messages and calls that something was done to.
    pub messages_struck: usize,
    /// COMMITs that got lost.
    pub commits_lost: usize,
    /// Statements from which a guard was taken out.
    pub guard_removals: usize,
    /// Times that all idle instances were put to sleep.
    pub sleeps: usize,
    /// Releases, cancels and redrives that were answered with success, by what they did.
    pub tended: BTreeMap<String, usize>,
    /// The longest chain of invocations that led to the executor.
    pub hops_max: u32,
    /// The time that the run of the suite took.
    pub took: Duration,
    /// The rules that were broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Faults of all kinds.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.processes_struck.values().sum::<usize>() + self.messages_struck + self.commits_lost
    }

    /// Steps, as `FUNCTION STEP`, that no process was struck at.
    #[must_use]
    pub fn steps_missed(&self) -> Vec<String> {
        let all = STEPS
            .iter()
            .flat_map(|(function, steps)| steps.iter().map(move |step| format!("{function} {step}")));
        all.filter(|step| !self.processes_struck.keys().any(|struck| struck.starts_with(&format!("{step} "))))
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, without {:?}, {:.0} s", self.seed, self.without, self.took.as_secs_f64())?;
        writeln!(
            f,
            "{} runs, {} executions ({} ended as crashed), {} requests at the target, {} messages, {} wakes by the sweeper",
            self.runs, self.executions, self.crashed, self.effects, self.messages, self.sweeper_sends
        )?;
        let processes: usize = self.processes_struck.values().sum();
        writeln!(
            f,
            "{} faults: {processes} processes, {} messages, {} commits",
            self.faults(),
            self.messages_struck,
            self.commits_lost
        )?;
        writeln!(
            f,
            "all instances slept {} times; the longest chain of invocations had {} hops",
            self.sleeps, self.hops_max
        )?;
        for (what, count) in &self.tended {
            writeln!(f, "  {count:>4}  {what}")?;
        }
        for (step, count) in &self.processes_struck {
            writeln!(f, "  {count:>4}  {step}")?;
        }
        if self.without.is_some() {
            writeln!(f, "a guard was taken out of {} statements", self.guard_removals)?;
        }
        if let Some(length) = self.outages {
            writeln!(f, "Postgres, SQS and KMS were down for {} s each", length.as_secs())?;
        }
        let missed = self.steps_missed();
        if self.is_struck_everywhere && !missed.is_empty() {
            writeln!(f, "not struck: {}", missed.join(", "))?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION {}: {}", violation.rule, violation.place)?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}
