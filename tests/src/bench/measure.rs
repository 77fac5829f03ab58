//! CPU time of processes, and the server's own counters.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tokio_postgres::Client;

/// Ticks of a second in `/proc` (`sysconf(_SC_CLK_TCK)`, which is 100 on every Linux of today).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process, with those of its ended children if `children` is `Counted`. 0 where
/// the process is gone.
fn cpu_seconds(pid: i32, children: Children) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The second field is a name in brackets, which may hold anything.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field =
        |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let own = field(14) + field(15);
    let ended = match children {
        Children::Counted => field(16) + field(17),
        Children::Apart => 0.0,
    };
    (own + ended) / TICKS_PER_SECOND
}

/// Whether the CPU time of ended children is added to that of their parent.
#[derive(Clone, Copy)]
enum Children {
    Counted,
    Apart,
}

/// CPU seconds of a Postgres server: its first process, those that it has now, and those that have
/// ended.
#[must_use]
pub fn postgres_cpu_seconds(postmaster: i32) -> f64 {
    let living: f64 = children_of(postmaster).into_iter().map(|pid| cpu_seconds(pid, Children::Apart)).sum();
    cpu_seconds(postmaster, Children::Counted) + living
}

/// CPU seconds of the processes that this one has started and that have ended.
#[must_use]
pub fn ended_children_cpu_seconds() -> f64 {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    cpu_seconds(own, Children::Counted) - cpu_seconds(own, Children::Apart)
}

/// The living child processes of `parent`.
pub(super) fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
            parent_of.and_then(|text| text.parse().ok()) == Some(parent)
        })
        .collect()
}

/// CPU seconds of a function's instances by their process ids, and the most memory that one of them
/// had, in MiB.
#[must_use]
pub fn instances(pids: &[i32]) -> (BTreeMap<i32, f64>, f64) {
    let cpu = pids.iter().map(|pid| (*pid, cpu_seconds(*pid, Children::Counted))).collect();
    let peak = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    (cpu, pids.iter().map(peak).fold(0.0, f64::max))
}

/// The server's counters of one run.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Statements that were run.
    pub statements: f64,
    /// Rows that they gave or touched.
    pub rows: f64,
    /// Seconds of planning.
    pub planning_seconds: f64,
    /// Seconds of running.
    pub execution_seconds: f64,
    /// Transactions that were committed.
    pub commits: f64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: f64,
    /// By statement: calls, seconds of planning, seconds of running.
    pub by_statement: Vec<(String, f64, f64, f64)>,
}

/// Forgets what was counted.
///
/// # Panics
/// When the server has no `pg_stat_statements`.
pub async fn reset(client: &Client) -> Start {
    client.batch_execute("SELECT pg_stat_statements_reset()").await.expect("pg_stat_statements is there");
    let row = client.query_one(NOW, &[]).await.expect("the counters are there");
    Start { commits: row.get(0), wal: row.get(1) }
}

/// The counters that can't be reset, as they stood.
pub struct Start {
    commits: f64,
    wal: f64,
}

const NOW: &str =
    "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8,
    (pg_current_wal_insert_lsn() - '0/0')::float8";

const STATEMENTS: &str = "SELECT coalesce(jsonb_agg(jsonb_build_object('name', coalesce(substring(query FROM '/\\* ([^*]+) \\*/'), left(query, 40)),
        'calls', calls, 'rows', rows, 'plan', total_plan_time, 'exec', total_exec_time)), '[]')::text
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat_statements%'";

/// The counts since `start`.
///
/// # Panics
/// When the server has no `pg_stat_statements`.
pub async fn read(client: &Client, start: &Start) -> Counters {
    // Backends report their counters when they become idle, at most a second later.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let text: String = client.query_one(STATEMENTS, &[]).await.expect("the statements are counted").get(0);
    let statements: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let row = client.query_one(NOW, &[]).await.expect("the counters are there");
    let (commits, wal): (f64, f64) = (row.get(0), row.get(1));
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut counters =
        Counters { commits: commits - start.commits, wal_bytes: wal - start.wal, ..Counters::default() };
    for statement in &statements {
        let (plan, exec) = (number(&statement["plan"]) / 1e3, number(&statement["exec"]) / 1e3);
        counters.statements += number(&statement["calls"]);
        counters.rows += number(&statement["rows"]);
        counters.planning_seconds += plan;
        counters.execution_seconds += exec;
        let name = statement["name"].as_str().unwrap_or_default().to_owned();
        counters.by_statement.push((name, number(&statement["calls"]), plan, exec));
    }
    counters.by_statement.sort_by(|a, b| (b.2 + b.3).total_cmp(&(a.2 + a.3)));
    counters
}

/// The middle one of several.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
