//! The options of a run of the suite.

use std::path::Path;
use std::time::Duration;

use super::aws_proxy::QueueFaults;
use super::faults::Faults;

/// A guard that is taken out, to see that the suite notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The lease token in the statement that records outcomes, and what would hold without it: the
    /// state there, and the trigger behind it.
    LeaseToken,
    /// The lock of limited nodes.
    NodeLock,
    /// The lock of runs.
    RunLock,
    /// The sweeper.
    Sweeper,
    /// Sending after the commit, and not before.
    SendAfterCommit,
}

/// Functions of another commit: every second instance is one of them.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// The folder with their programs.
    pub folder: &'static Path,
    /// Their names.
    pub functions: &'static [&'static str],
}

/// The options of a run of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Chooses the faults.
    pub seed: u64,
    /// Node executions at least.
    pub executions_min: usize,
    /// Workflows of each shape, each copy of a tenant of its own.
    pub copies: usize,
    /// Runs of each workflow that are started at one time.
    pub burst: usize,
    /// The faults of processes.
    pub faults: Faults,
    /// The faults of messages.
    pub queue: QueueFaults,
    /// The number of COMMITs in a hundred that get lost, before or after the server has seen them.
    pub commits_lost_percent: u32,
    /// The time for which each of Postgres, SQS and KMS is down, one after the other in the middle
    /// of the load.
    pub outages: Option<Duration>,
    /// Whether the sweeper comes by itself.
    pub is_swept: bool,
    /// The guard that is taken out.
    pub without: Option<Guard>,
    /// Whether runs are tended: released, cancelled and redriven.
    pub is_tended: bool,
    /// Functions of another commit that run beside today's.
    pub beside: Option<Beside>,
    /// The time for which each COMMIT is held back, so that a missing lock shows more often.
    pub commit_pause: Duration,
    /// The longest time without progress while there is work.
    pub stall_max: Duration,
    /// The longest time from the end of the faults to the end of all work.
    pub heal_max: Duration,
}

impl Options {
    /// Everything goes wrong, `executions_min` executions long.
    #[must_use]
    pub fn faulty(seed: u64, executions_min: usize) -> Self {
        Self {
            seed,
            executions_min,
            copies: (executions_min / 700).clamp(2, 8),
            burst: 1,
            faults: Faults::Everywhere,
            queue: QueueFaults::USUAL,
            commits_lost_percent: 2,
            outages: None,
            is_swept: true,
            without: None,
            is_tended: true,
            beside: None,
            commit_pause: Duration::ZERO,
            // Longer than a lease and the first backoff of the sweeper.
            stall_max: Duration::from_secs(80),
            heal_max: Duration::from_secs(180),
        }
    }

    /// Nothing goes wrong: then a send of the sweeper is a violation.
    #[must_use]
    pub fn calm(seed: u64, executions_min: usize) -> Self {
        Self {
            faults: Faults::None,
            queue: QueueFaults::default(),
            commits_lost_percent: 0,
            is_tended: false,
            // Longer than the grace of the sweeper: a wake that is missing is found as its send.
            heal_max: Duration::from_secs(100),
            ..Self::faulty(seed, executions_min)
        }
    }

    /// Nothing goes wrong but that Postgres, SQS and KMS are down for so long each.
    #[must_use]
    pub fn outages(seed: u64, executions_min: usize, length: Duration) -> Self {
        let heal_max = Duration::from_secs(180);
        Self { outages: Some(length), heal_max, ..Self::calm(seed, executions_min) }
    }

    /// The same with a sweeper that comes when it is called.
    #[must_use]
    pub fn swept_by_hand(self) -> Self {
        Self { is_swept: false, ..self }
    }

    /// The same with a guard taken out; it is not waited long for what will not come.
    #[must_use]
    pub fn without(self, guard: Guard) -> Self {
        let (stall_max, heal_max) = (Duration::from_secs(15), Duration::from_secs(25));
        let is_swept = guard != Guard::Sweeper;
        Self { without: Some(guard), stall_max, heal_max, is_swept, ..self }
    }

    /// Whether nothing goes wrong at all.
    pub(super) fn is_calm(&self) -> bool {
        let is_quiet = self.queue == QueueFaults::default() && self.outages.is_none();
        is_quiet && self.faults == Faults::None && self.commits_lost_percent == 0
    }
}
