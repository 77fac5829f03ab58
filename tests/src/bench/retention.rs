//! `w5`: the deletion of old runs beside a load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local::sealflow::Sealflow;
use local::stack::Stack;
use serde_json::json;
use tokio_postgres::Client;

use super::drive::{apply, ended, post};
use super::options::Options;
use super::workloads::{COPIES, Workload};
use crate::database::connect;

/// Executions of each old run.
const RUN_EXECUTIONS: usize = 10;
/// Executions that are deleted where `--history` names no number.
const HISTORY_DEFAULT: usize = 1_000_000;
/// The pause between two deliveries.
const PACE: Duration = Duration::from_millis(50);
/// The time for which the load is measured alone.
const ALONE: Duration = Duration::from_secs(20);
/// The pause between two looks at the sessions that wait for a lock.
const SAMPLE_PAUSE: Duration = Duration::from_millis(10);
/// The most time that the deletion may take.
const DELETION_MAX: Duration = Duration::from_secs(3_600);
/// The pause between two looks at what is left.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Executions that were deleted.
    pub executions: usize,
    /// Seconds from the first deletion to the last.
    pub seconds: f64,
    /// Median and 99th percentile of the seconds from an event to the end of its run, without the
    /// deletion.
    pub alone: (f64, f64),
    /// The same beside the deletion.
    pub beside: (f64, f64),
    /// The number of times that the sessions were looked at.
    pub samples: usize,
    /// Sessions that waited for a lock in a look, by their roles.
    pub lock_waits: BTreeMap<String, usize>,
    /// Rows that a foreign key has no partner for.
    pub dangling: i64,
}

/// Measures the load alone, and beside the deletion.
///
/// # Panics
/// When something does not start, or the old runs do not end.
pub async fn measure(stack: &Arc<Stack>, options: &Options) -> Retention {
    let builder = Sealflow::builder().stack(Arc::clone(stack)).bin_dir(&options.bin_dir).rust_log("warn");
    let sealflow = builder.sweep_every(Duration::from_secs(1)).start().await.expect("the product starts");
    let client = connect(&sealflow.superuser_url()).await;
    let (workload, mut hooks) = (Workload::named("w1").expect("there is one"), Vec::new());
    for copy in 0..COPIES {
        hooks.push(apply(&sealflow, sealflow.token(), workload.definition(copy, "http://127.0.0.1:9")).await);
    }
    let history = if options.history > 0 { options.history } else { HISTORY_DEFAULT };
    println!("w5: {history} old executions in runs of {RUN_EXECUTIONS}");
    fill(&client, history / RUN_EXECUTIONS).await;
    let alone = {
        let is_over = AtomicBool::new(false);
        let load = latency(&client, &sealflow, load(&hooks, &is_over));
        let timer = async {
            tokio::time::sleep(ALONE).await;
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(load, timer).0
    };
    let kept = json!({ "retention_days": 30 });
    let (status, answer) =
        sealflow.request("PATCH", "/v1/organization", Some(&kept)).await.expect("the API answers");
    assert_eq!(status, 200, "{answer}");
    let is_over = AtomicBool::new(false);
    let beside = latency(&client, &sealflow, load(&hooks, &is_over));
    let (beside, seconds, (samples, lock_waits)) = tokio::join!(
        beside,
        async {
            let seconds = until_gone(&sealflow, history / RUN_EXECUTIONS).await;
            is_over.store(true, Ordering::Relaxed);
            seconds
        },
        sample(&sealflow, &is_over),
    );
    let dangling = count_dangling(&client).await;
    sealflow.stop().await.expect("it stops");
    Retention { executions: history, seconds, alone, beside, samples, lock_waits, dangling }
}

/// Writes runs that ended a hundred days ago: a chain of executions each, with their events.
async fn fill(client: &Client, runs: usize) {
    let sql = format!(
        "SET session_replication_role = replica;
         CREATE FUNCTION pg_temp.old_id(n bigint, part int) RETURNS uuid LANGUAGE sql AS $$
             SELECT (lpad(to_hex((extract(epoch FROM now() - interval '101 days') * 1000)::bigint + n), 12, '0')
                 || '7' || lpad(to_hex(part), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid $$;
         CREATE TEMP TABLE made AS SELECT pg_temp.old_id(n, 0) AS id, n, w.id AS workflow_id, w.organization_id
             FROM generate_series(1, {runs}) n
             JOIN (SELECT id, organization_id, row_number() OVER () AS at FROM workflows) w ON w.at = n % {COPIES} + 1;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, state, result,
             created_at, updated_at, finished_at)
         SELECT id, organization_id, workflow_id, 1, 'hook', id, ARRAY[id], 'finished', 'passed',
             now() - interval '101 days', now() - interval '100 days', now() - interval '100 days' FROM made;
         INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at, execution_id)
         SELECT CASE k WHEN 0 THEN made.id ELSE pg_temp.old_id(n, 2 * k) END, workflow_id, CASE k WHEN 0 THEN 'hook' ELSE 'n' || k END, made.id, made.id,
             'default', 'noop', '{{\"body\": {{}}}}', '{{}}', k + 1, now() - interval '101 days', CASE WHEN k > 0 THEN pg_temp.old_id(n, 2 * k - 1) END
         FROM made CROSS JOIN generate_series(0, {RUN_EXECUTIONS}) k;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, previous_execution_id, state, result,
             component, configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
         SELECT pg_temp.old_id(n, 2 * k - 1), workflow_id, 'n' || k, made.id, made.id, CASE k WHEN 1 THEN made.id ELSE pg_temp.old_id(n, 2 * k - 2) END,
             CASE WHEN k > 1 THEN pg_temp.old_id(n, 2 * k - 3) END, 'finished', 'passed', 'noop', '{{}}', 1, 1, now(), now(), now(), now(), now()
         FROM made CROSS JOIN generate_series(1, {RUN_EXECUTIONS}) k;
         DROP TABLE made;
         SET session_replication_role = DEFAULT;
         ANALYZE"
    );
    client.batch_execute(&sql).await.expect("the history is written");
    assert_eq!(count_dangling(client).await, 0, "the history is one that could have been");
}

/// Delivers until `is_over` is set.
async fn load(hooks: &[String], is_over: &AtomicBool) {
    let mut ticks = tokio::time::interval(PACE);
    let mut posts = tokio::task::JoinSet::new();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let hook = hooks[number % hooks.len()].clone();
        posts.spawn(async move { post(&hook, number, &[429, 503], Duration::from_millis(100)).await });
    }
    posts.join_all().await;
}

async fn latency(client: &Client, sealflow: &Sealflow, load: impl Future<Output = ()>) -> (f64, f64) {
    let since: String = client.query_one("SELECT now()::text", &[]).await.expect("Postgres answers").get(0);
    load.await;
    ended(client, sealflow).await;
    let sql = format!(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took)::float8, percentile_cont(0.99) WITHIN GROUP (ORDER BY took)::float8
         FROM (SELECT extract(epoch FROM finished_at - created_at)::float8 AS took FROM workflow_runs WHERE created_at >= '{since}') runs"
    );
    let row = client.query_one(&sql, &[]).await.expect("the runs are counted");
    (row.get(0), row.get(1))
}

/// Waits until no old run is left; the seconds since the first one went.
async fn until_gone(sealflow: &Sealflow, runs: usize) -> f64 {
    let client = connect(&sealflow.superuser_url()).await;
    let old = "SELECT count(*) FROM workflow_runs WHERE finished_at < now() - interval '30 days'";
    let runs = i64::try_from(runs).expect("a number of runs");
    let mut began = None;
    let until = Instant::now() + DELETION_MAX;
    loop {
        assert!(Instant::now() < until, "old runs are left: {}", sealflow.end_of_log("sweeper"));
        let left: i64 = client.query_one(old, &[]).await.expect("Postgres answers").get(0);
        if left < runs && began.is_none() {
            began = Some(Instant::now());
        }
        match began {
            Some(began) if left == 0 => return began.elapsed().as_secs_f64(),
            _ => tokio::time::sleep(PROGRESS_PAUSE).await,
        }
    }
}

/// Looks at the sessions that wait for a lock, until `is_over` is set.
async fn sample(sealflow: &Sealflow, is_over: &AtomicBool) -> (usize, BTreeMap<String, usize>) {
    let client = connect(&sealflow.superuser_url()).await;
    let sql = "SELECT usename::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename LIKE 'sealflow%'";
    let statement = client.prepare(sql).await.expect("it is prepared");
    let (mut samples, mut waits) = (0, BTreeMap::new());
    while !is_over.load(Ordering::Relaxed) {
        for row in client.query(&statement, &[]).await.expect("Postgres answers") {
            *waits.entry(row.get(0)).or_default() += 1;
        }
        samples += 1;
        tokio::time::sleep(SAMPLE_PAUSE).await;
    }
    (samples, waits)
}

/// Rows whose foreign key leads nowhere, over all foreign keys: the checks of the deletion itself
/// are not trusted.
async fn count_dangling(client: &Client) -> i64 {
    let keys = "
        SELECT format('SELECT count(*) FROM %s a WHERE %s AND NOT EXISTS (SELECT FROM %s b WHERE %s)',
            c.conrelid::regclass, string_agg(format('a.%I IS NOT NULL', x.attname), ' AND '),
            c.confrelid::regclass, string_agg(format('a.%I = b.%I', x.attname, y.attname), ' AND '))
        FROM pg_constraint c
        CROSS JOIN unnest(c.conkey, c.confkey) AS k (own, other)
        JOIN pg_attribute x ON x.attrelid = c.conrelid AND x.attnum = k.own
        JOIN pg_attribute y ON y.attrelid = c.confrelid AND y.attnum = k.other
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
        GROUP BY c.oid, c.conrelid, c.confrelid";
    let mut dangling = 0;
    for key in client.query(keys, &[]).await.expect("the keys are listed") {
        let sql: String = key.get(0);
        dangling += client.query_one(&sql, &[]).await.expect("it is counted").get::<_, i64>(0);
    }
    dangling
}
