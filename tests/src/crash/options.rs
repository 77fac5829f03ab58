//! The options of a run of the suite.

use std::path::Path;
use std::time::Duration;

use super::aws_proxy::QueueFaults;
use super::faults::Faults;
use crate::wire::PostgresWire;

/// The time for which a COMMIT is held back, so that another function can act before it.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);
/// The length of a list of each copy.
pub(super) const ITEMS: usize = 10;
/// That of the first copy in a long run: its executions would be most of a short one.
const ITEMS_LONG: usize = 50;
/// A run of so many executions is long.
const EXECUTIONS_LONG: usize = 5_000;

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
    /// The items among the open work of a run, which is counted in one statement with the executions.
    OneCount,
    /// The merge's own queue, among what may still arrive at it.
    OwnQueue,
    /// The sub-runs of an owner that run, before its end.
    OwnersLast,
}

impl Guard {
    /// All guards with their names.
    pub const ALL: [(&str, Self); 8] = [
        ("lease-token", Self::LeaseToken),
        ("node-lock", Self::NodeLock),
        ("run-lock", Self::RunLock),
        ("sweeper", Self::Sweeper),
        ("send-after-commit", Self::SendAfterCommit),
        ("one-count", Self::OneCount),
        ("own-queue", Self::OwnQueue),
        ("owners-last", Self::OwnersLast),
    ];

    /// Texts of statements, each with the one that stands in its place without the guard.
    fn texts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::LeaseToken => &[(
                " AND coalesce(ex.state, '') IN ('started', 'cancelling') AND ex.lease_token = current.token",
                "",
            )],
            Self::NodeLock => &[("FOR NO KEY UPDATE OF n SKIP LOCKED", ""), ("FOR NO KEY UPDATE OF n", "")],
            Self::RunLock => &[("FOR NO KEY UPDATE OF r SKIP LOCKED", ""), ("FOR NO KEY UPDATE OF r", "")],
            Self::OneCount => &[(
                "AND (SELECT true FROM workflow_node_queue_items i WHERE i.run_id = r.id LIMIT 1) IS NULL",
                "",
            )],
            Self::OwnQueue => &[(
                "SELECT x.id, EXISTS (
            SELECT FROM workflow_node_queue_items i
            CROSS JOIN LATERAL (
                SELECT n.merges FROM workflow_nodes n
                WHERE n.workflow_id = i.workflow_id AND n.node_id = i.node_id OFFSET 0) n
            WHERE ",
                "SELECT x.id, EXISTS (
            SELECT FROM workflow_node_queue_items i JOIN workflow_nodes n
              ON n.workflow_id = i.workflow_id AND n.node_id = i.node_id
            WHERE i.node_id <> x.node_id AND ",
            )],
            Self::OwnersLast => &[("coalesce(r.state, '') = 'running') AS open_runs", "false) AS open_runs")],
            Self::Sweeper | Self::SendAfterCommit => &[],
        }
    }

    /// Takes the guard out of all statements that come over the wire from now on.
    pub fn take_out_of(self, wire: &PostgresWire) {
        for (text, other) in self.texts() {
            wire.replace_in_statements(text, other);
        }
    }

    /// The trigger that would hold without the guard.
    pub(super) fn trigger(self) -> Option<&'static str> {
        matches!(self, Self::LeaseToken).then_some("workflow_node_executions_finished")
    }
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

    /// Nothing goes wrong, and many work at the same nodes and runs at the same time.
    #[must_use]
    pub fn contended(seed: u64, executions_min: usize) -> Self {
        Self { commit_pause: COMMIT_PAUSE, burst: 5, ..Self::calm(seed, executions_min) }
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
        let (stall_max, is_swept) = (Duration::from_secs(15), guard != Guard::Sweeper);
        Self { without: Some(guard), stall_max, is_swept, ..self }
    }

    /// The length of a list of the first copy.
    pub(super) fn items(&self) -> usize {
        if self.executions_min < EXECUTIONS_LONG { ITEMS } else { ITEMS_LONG }
    }

    /// Whether nothing goes wrong at all.
    pub(super) fn is_calm(&self) -> bool {
        let is_quiet = self.queue == QueueFaults::default() && self.outages.is_none();
        is_quiet && self.faults == Faults::None && self.commits_lost_percent == 0
    }
}
