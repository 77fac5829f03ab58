//! Faults of processes: which step of which instance ends or freezes it, by the seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local::lambda::{EnvironmentOfInstance, Lambda};

/// The steps of each function at which an instance is killed or frozen: before and after every
/// commit, send, claim, decrypt and component call, and within transactions, where a frozen process
/// holds locks.
pub const STEPS: [(&str, &[&str]); 5] = [
    (
        "builder",
        &[
            "lock_woken_nodes.answered",
            "claim_limited.answered",
            "load_events.answered",
            "insert_executions.answered",
            "build.before_commit",
            "build.after_commit",
            "store_keys.answered",
            "claim_one.answered",
            "begin_quarantined.before_commit",
            "begin_quarantined.after_commit",
            "release_quarantined.before_commit",
            "record_heartbeat.after_statement",
            "read_woken.answered",
            "record_wakes.answered",
            "wake.before_commit",
            "wake.after_commit",
            "begin_wake.after_commit",
            "look_at_run.before_commit",
            "look_at_run.after_commit",
            "lock_schedule.answered",
            "begin_scheduled_run.answered",
            "fire_schedule.before_commit",
            "fire_schedule.after_commit",
            "lock_failed_run.answered",
            "begin_error_run.answered",
            "tell_of_failed_run.before_commit",
            "tell_of_failed_run.after_commit",
            "write_visits.answered",
            "send.before",
            "send.after",
        ],
    ),
    (
        "executor",
        &[
            "lock_free_executions.answered",
            "lock_executions.answered",
            "claim_executions.before_commit",
            "claim_executions.after_commit",
            "decrypt.before",
            "decrypt.after",
            "component.before",
            "component.after",
            "lock_free_nodes.answered",
            "lock_nodes_of_executions.answered",
            "record_outcomes.answered",
            "finish_executions.before_commit",
            "finish_executions.after_commit",
            "send.before",
            "send.after",
        ],
    ),
    (
        "sweeper",
        &[
            "find_due_nodes.before_statement",
            "find_due_nodes.after_statement",
            "find_due_executions.before_statement",
            "find_due_executions.after_statement",
            "find_due_held.before_statement",
            "find_due_held.after_statement",
            "find_due_schedules.before_statement",
            "find_due_schedules.after_statement",
            "find_failed_runs.before_statement",
            "find_failed_runs.after_statement",
            "send.before",
            "send.after",
        ],
    ),
    (
        "webhook",
        &[
            "begin_run.before_statement",
            "begin_run.after_statement",
            "decrypt.before",
            "decrypt.after",
            "send.before",
            "send.after",
        ],
    ),
    (
        "api",
        &[
            "begin_run.before_statement",
            "begin_run.after_statement",
            "call_execution.answered",
            "cause_stopped.answered",
            "stop_run.after_commit",
            "end_stopped_run.before_commit",
            "send.before",
            "send.after",
        ],
    ),
];

/// Whether a step lies inside of a transaction, or between the opening of a secret and the end of
/// its component: there a process may be frozen instead of killed.
fn may_freeze(step: &str) -> bool {
    step.ends_with(".answered")
        || step.ends_with(".before_commit")
        || step.starts_with("component.")
        || step == "decrypt.after"
}

/// A step that every instance reaches often. An instance ends there if no other armed step has
/// killed it before.
const LAST_STEPS: [(&str, &str); 5] = [
    ("builder", "build.after_commit"),
    ("executor", "component.after"),
    ("sweeper", "find_due_nodes.after_statement"),
    ("webhook", "begin_run.after_statement"),
    ("api", "begin_run.after_statement"),
];
/// The number of times, at least, that an instance passes its last step before it ends there.
const LAST_PASSES: u32 = 20;

/// Times that a step is passed before it strikes, at most.
const PASSES_MAX: u32 = 9;
/// Steps that are armed in one instance.
const STEPS_ARMED: usize = 2;
/// The times for which a process stays frozen. Some are longer than the server's limit for an idle
/// transaction (5 s), some are longer than a lease.
const FREEZE_SECONDS: [f64; 4] = [0.3, 2.0, 6.5, 14.5];

/// The faults that the processes get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// None.
    None,
    /// Every instance of every function is killed or frozen sooner or later.
    Everywhere,
    /// Every other instance of the executor is frozen after a component call, for longer than the
    /// lease.
    FrozenExecutors,
}

impl Faults {
    /// The environment of the instances of a function that start while `is_armed`.
    pub(super) fn environment(
        self,
        function: &'static str,
        seed: u64,
        is_armed: Arc<AtomicBool>,
    ) -> EnvironmentOfInstance {
        EnvironmentOfInstance::new(move |number| {
            let failpoints = match self {
                _ if !is_armed.load(Ordering::SeqCst) => None,
                Self::Everywhere => Some(strike(function, seed, number)),
                // Every other instance is frozen, so that another one can take over.
                Self::FrozenExecutors if function == "executor" && number % 2 == 0 => {
                    Some("component.after=1*off->1*return(stop)->off".to_owned())
                }
                Self::FrozenExecutors | Self::None => None,
            };
            failpoints.map(|failpoints| ("FAILPOINTS".to_owned(), failpoints)).into_iter().collect()
        })
    }

    /// The time for which the process with this id stays frozen.
    fn freeze(self, seed: u64, pid: i32) -> Duration {
        let mut dice = fastrand::Rng::with_seed(seed ^ u64::from(pid.unsigned_abs()));
        let seconds = match self {
            Self::FrozenExecutors => FREEZE_SECONDS[FREEZE_SECONDS.len() - 1],
            _ => FREEZE_SECONDS[dice.usize(..FREEZE_SECONDS.len())],
        };
        Duration::from_secs_f64(seconds)
    }
}

/// The faults of an instance: some steps, the time at which each strikes, and how. If the first one
/// to strike kills the instance, no other follows; freezes may follow each other. An instance that
/// reaches none of them ends at its last step.
fn strike(function: &str, seed: u64, number: u64) -> String {
    let steps = STEPS.iter().find(|(name, _)| *name == function).map_or(&[][..], |(_, steps)| steps);
    let own = function.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = fastrand::Rng::with_seed(own.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let chosen: Vec<&str> = dice.choose_multiple(steps.iter().copied(), STEPS_ARMED);
    let armed = chosen.iter().map(|step| {
        let action = if may_freeze(step) && dice.bool() { "stop" } else { "abort" };
        format!("{step}={}*off->1*return({action})->off", dice.u32(..=PASSES_MAX))
    });
    let mut armed: Vec<String> = armed.collect();
    let last = LAST_STEPS.iter().find(|(name, _)| *name == function).map(|(_, step)| step);
    armed.extend(last.filter(|last| !chosen.contains(last)).map(|last| {
        let passes = LAST_PASSES + dice.u32(..=PASSES_MAX);
        format!("{last}={passes}*off->1*return(abort)->off")
    }));
    armed.join(";")
}

/// Lets frozen instances go on, each after its time, until it is dropped.
pub(super) struct Thaw(tokio::task::AbortHandle);

impl Thaw {
    pub(super) fn start(lambda: Arc<Lambda>, faults: Faults, seed: u64) -> Self {
        let task = tokio::spawn(async move {
            let mut frozen: BTreeMap<i32, Instant> = BTreeMap::new();
            loop {
                for (function, _) in STEPS {
                    for pid in lambda.frozen(function).unwrap_or_default() {
                        let since = *frozen.entry(pid).or_insert_with(Instant::now);
                        if since.elapsed() >= faults.freeze(seed, pid) {
                            let _unknown_by_now = lambda.thaw(function, pid);
                            frozen.remove(&pid);
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Thaw {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The faults that struck, by function, step and action, as the functions' logs tell.
pub(super) fn struck(logs: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (function, _) in STEPS {
        let log = std::fs::read(logs.join(format!("{function}.log"))).unwrap_or_default();
        for line in String::from_utf8_lossy(&log).lines() {
            if let Some(what) = line.strip_prefix("failpoint: ") {
                *counts.entry(format!("{function} {what}")).or_default() += 1;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_another_gives_others() {
        let plan = |seed| (0..50).map(|number| strike("executor", seed, number)).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }
}
