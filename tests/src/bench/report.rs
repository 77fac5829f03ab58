//! The measurements, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::lost::Lost;
use super::measure::{Counters, median};
use super::neighbours::Neighbours;
use super::retention::Retention;

/// The measurements.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each workload.
    pub workloads: Vec<Measured>,
    /// The effect of one organization's slow and failing nodes on the others.
    pub neighbours: Option<Neighbours>,
    /// The deletion of old runs, and its effect on others.
    pub retention: Option<Retention>,
    /// Sweeps until lost work ended (`w6`).
    pub lost: Option<Lost>,
}

/// One workload.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name and a description.
    pub name: String,
    /// Its traffic.
    pub wires: Wires,
    /// Its runs at full load.
    pub runs: Vec<Run>,
    /// The run at low load.
    pub low: Option<Run>,
}

/// The traffic of one node execution.
#[derive(Clone, Debug, Default)]
pub struct Wires {
    /// Round trips to Postgres.
    pub round_trips: f64,
    /// Statements, `BEGIN` and `COMMIT` among them.
    pub statements: f64,
    /// Commits of transactions that wrote.
    pub writing_commits: f64,
    /// Statements that were prepared.
    pub prepared: f64,
    /// Calls of SQS and KMS by the functions; receiving and deleting are Lambda's.
    pub calls: Vec<(String, f64)>,
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// CPU milliseconds of Postgres and pgbench for one transaction of `pgbench -N` at 8 clients:
    /// the mean of before and after.
    pub p_millis: f64,
    /// Node executions.
    pub nodes: f64,
    /// Seconds until all had ended.
    pub seconds: f64,
    /// CPU seconds of each function.
    pub functions: Vec<(String, f64)>,
    /// CPU seconds of Postgres.
    pub postgres: f64,
    /// CPU seconds of the stand-ins for SQS and KMS, which count for nothing.
    pub stand_ins: f64,
    /// The most memory of an instance of each function, in MiB.
    pub peaks: Vec<(String, f64)>,
    /// The counters of Postgres.
    pub counters: Counters,
    /// Seconds from the event to the end of its run: the median and the 99th percentile.
    pub latency: (f64, f64),
}

impl Run {
    /// CPU seconds of the functions and Postgres together.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        self.postgres + self.functions.iter().map(|(_, seconds)| seconds).sum::<f64>()
    }

    /// CPU of one node execution, in P.
    #[must_use]
    pub fn cpu_p(&self) -> f64 {
        self.cpu() * 1e3 / self.nodes / self.p_millis
    }

    /// The part of the database's time that planning takes.
    #[must_use]
    pub fn planning(&self) -> f64 {
        let Counters { planning_seconds, execution_seconds, .. } = self.counters;
        planning_seconds / (planning_seconds + execution_seconds).max(f64::MIN_POSITIVE)
    }

    /// Calls of a statement.
    fn calls(&self, name: &str) -> f64 {
        self.counters
            .by_statement
            .iter()
            .filter(|(known, ..)| known == name)
            .map(|(_, calls, ..)| calls)
            .sum()
    }
}

impl Measured {
    fn median_of(&self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(number).collect())
    }

    /// CPU of one node execution, in milliseconds: the median of the runs.
    #[must_use]
    pub fn cpu_millis(&self) -> f64 {
        self.median_of(|run| run.cpu() * 1e3 / run.nodes)
    }
}

/// The most statements that the table names.
const STATEMENTS_SHOWN: usize = 12;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for measured in &self.workloads {
            let runs = measured.runs.len();
            writeln!(f, "\n{}, medians of {runs} runs, for one node execution", measured.name)?;
            let line = |f: &mut fmt::Formatter<'_>, what: &str, number: f64, unit: &str| {
                writeln!(f, "  {what:<42} {number:>10.3} {unit}")
            };
            line(f, "CPU of functions and Postgres", measured.cpu_millis(), "ms")?;
            line(f, "the same in P", measured.median_of(Run::cpu_p), "P")?;
            line(f, "P: CPU of one transaction of pgbench -N", measured.median_of(|run| run.p_millis), "ms")?;
            line(f, "CPU of Postgres", measured.median_of(|run| run.postgres * 1e3 / run.nodes), "ms")?;
            for (at, (function, _)) in
                measured.runs.first().map(|run| run.functions.clone()).unwrap_or_default().iter().enumerate()
            {
                let cpu = measured.median_of(|run| run.functions[at].1 * 1e3 / run.nodes);
                line(f, &format!("CPU of {function}"), cpu, "ms")?;
            }
            line(f, "node executions a second", measured.median_of(|run| run.nodes / run.seconds), "")?;
            line(
                f,
                "planning, of the database's time",
                measured.median_of(|run| run.planning() * 100.0),
                "%",
            )?;
            line(f, "round trips to Postgres", measured.wires.round_trips, "")?;
            line(f, "commits that wrote", measured.wires.writing_commits, "")?;
            line(f, "statements that were prepared", measured.wires.prepared, "")?;
            for (operation, calls) in &measured.wires.calls {
                line(f, &format!("calls of {operation}"), *calls, "")?;
            }
            line(f, "statements", measured.median_of(|run| run.counters.statements / run.nodes), "")?;
            line(f, "commits", measured.median_of(|run| run.counters.commits / run.nodes), "")?;
            line(f, "rows", measured.median_of(|run| run.counters.rows / run.nodes), "")?;
            line(
                f,
                "write-ahead log",
                measured.median_of(|run| run.counters.wal_bytes / run.nodes),
                "bytes",
            )?;
            for (what, claim) in [("builder", "load_events"), ("executor", "claim_executions")] {
                let size = measured.median_of(|run| run.nodes / run.calls(claim));
                if size.is_finite() {
                    line(f, &format!("node executions for one batch of the {what}"), size, "")?;
                }
            }
            for (at, (function, _)) in
                measured.runs.first().map(|run| run.peaks.clone()).unwrap_or_default().iter().enumerate()
            {
                line(
                    f,
                    &format!("most memory of the {function}"),
                    measured.median_of(|run| run.peaks[at].1),
                    "MiB",
                )?;
            }
            line(
                f,
                "from event to end of its run, median",
                measured.median_of(|run| run.latency.0 * 1e3),
                "ms",
            )?;
            line(
                f,
                "from event to end of its run, 99 of 100",
                measured.median_of(|run| run.latency.1 * 1e3),
                "ms",
            )?;
            if let Some(low) = &measured.low {
                line(f, "at low load: CPU", low.cpu() * 1e3 / low.nodes, "ms")?;
                line(f, "at low load: median", low.latency.0 * 1e3, "ms")?;
                line(f, "at low load: 99 of 100", low.latency.1 * 1e3, "ms")?;
            }
            if let Some(run) = measured.runs.last() {
                writeln!(
                    f,
                    "  {:<38} {:>8} {:>12} {:>12}",
                    "statement (last run)", "calls", "planning ms", "running ms"
                )?;
                for (name, calls, plan, exec) in run.counters.by_statement.iter().take(STATEMENTS_SHOWN) {
                    writeln!(f, "  {name:<38} {calls:>8} {:>12.1} {:>12.1}", plan * 1e3, exec * 1e3)?;
                }
            }
        }
        if let Some(Neighbours { alone, beside }) = self.neighbours {
            writeln!(
                f,
                "\nw4: 99 organizations beside one with locked, slow and failing nodes; from event to end of their runs"
            )?;
            write_ratio(f, alone, beside)?;
        }
        if let Some(retention) = &self.retention {
            let Retention { executions, seconds, samples, lock_waits, dangling, .. } = retention;
            writeln!(f, "\nw5: {executions} executions of old runs were deleted in {seconds:.0} s")?;
            writeln!(f, "  from event to end of the runs of a load of 20 a second")?;
            write_ratio(f, retention.alone, retention.beside)?;
            writeln!(f, "  sessions that waited for a lock, in {samples} looks: {lock_waits:?}")?;
            writeln!(f, "  rows whose foreign key leads nowhere: {dangling}")?;
        }
        if let Some(Lost { items, items_sweeps, executions, executions_sweeps }) = self.lost {
            writeln!(f, "\nw6: sweeps until all work had ended whose messages were lost")?;
            writeln!(f, "  {items} items: {items_sweeps}")?;
            writeln!(f, "  {executions} executions: {executions_sweeps}")?;
        }
        Ok(())
    }
}

/// A load's median and 99 of 100, alone and beside something, seconds.
fn write_ratio(f: &mut fmt::Formatter<'_>, alone: (f64, f64), beside: (f64, f64)) -> fmt::Result {
    writeln!(f, "  alone:  median {:.0} ms, 99 of 100 {:.0} ms", alone.0 * 1e3, alone.1 * 1e3)?;
    writeln!(f, "  beside: median {:.0} ms, 99 of 100 {:.0} ms", beside.0 * 1e3, beside.1 * 1e3)?;
    writeln!(f, "  ratio:  median {:.2}, 99 of 100 {:.2}", beside.0 / alone.0, beside.1 / alone.1)
}

impl Report {
    /// The whole report as JSON, with each run by itself.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let run = |run: &Run| {
            let statements = run.counters.by_statement.iter().map(|(name, calls, plan, exec)| {
                json!({ "statement": name, "calls": calls, "planning_seconds": plan, "execution_seconds": exec })
            });
            json!({
                "p_millis": run.p_millis,
                "node_executions": run.nodes,
                "seconds": run.seconds,
                "cpu_seconds": { "postgres": run.postgres, "functions": run.functions, "stand_ins": run.stand_ins },
                "peak_mib": run.peaks,
                "statements": run.counters.statements,
                "rows": run.counters.rows,
                "commits": run.counters.commits,
                "wal_bytes": run.counters.wal_bytes,
                "planning_seconds": run.counters.planning_seconds,
                "execution_seconds": run.counters.execution_seconds,
                "by_statement": statements.collect::<Vec<_>>(),
                "latency_seconds": { "median": run.latency.0, "p99": run.latency.1 },
            })
        };
        let workloads = self.workloads.iter().map(|measured| {
            json!({
                "name": measured.name,
                "wires": {
                    "round_trips": measured.wires.round_trips,
                    "statements": measured.wires.statements,
                    "writing_commits": measured.wires.writing_commits,
                    "prepared": measured.wires.prepared,
                    "calls": measured.wires.calls,
                },
                "cpu_millis": measured.cpu_millis(),
                "cpu_p": measured.median_of(Run::cpu_p),
                "runs": measured.runs.iter().map(run).collect::<Vec<_>>(),
                "low_load": measured.low.as_ref().map(run),
            })
        });
        let neighbours = self.neighbours.map(|Neighbours { alone, beside }| {
            json!({ "alone": { "median": alone.0, "p99": alone.1 }, "beside": { "median": beside.0, "p99": beside.1 } })
        });
        let retention = self.retention.as_ref().map(|retention| {
            json!({
                "executions": retention.executions,
                "seconds": retention.seconds,
                "alone_seconds": { "median": retention.alone.0, "p99": retention.alone.1 },
                "beside_seconds": { "median": retention.beside.0, "p99": retention.beside.1 },
                "looks": retention.samples,
                "lock_waits": retention.lock_waits,
                "dangling": retention.dangling,
            })
        });
        let lost = self.lost.map(|lost| {
            json!({
                "items": { "lost": lost.items, "sweeps": lost.items_sweeps },
                "executions": { "lost": lost.executions, "sweeps": lost.executions_sweeps },
            })
        });
        json!({
            "workloads": workloads.collect::<Vec<_>>(),
            "neighbours_seconds": neighbours,
            "retention": retention,
            "lost": lost,
        })
    }
}
