//! The run of the benchmark: start, load and measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local::sealflow::{Builder, Sealflow};
use local::stack::{PostgresOptions, Stack, StackOptions};
use local::target::Target;
use serde_json::json;
use tokio_postgres::Client;

use super::drive::{LOOK_PAUSE, apply, ended, post};
use super::lost;
use super::measure::{self, Counters};
use super::neighbours;
use super::options::Options;
use super::pgbench::Pgbench;
use super::profile::Sampling;
use super::report::{Measured, Report, Run, Wires};
use super::retention;
use super::workloads::{COPIES, Workload};
use crate::PostgresWire;
use crate::aws_wire::AwsWire;
use crate::database::connect;

/// The functions whose CPU time counts.
const FUNCTIONS: [&str; 4] = ["webhook", "builder", "executor", "sweeper"];
/// The name of the server, which may stand in place of a function's name.
const POSTGRES: &str = "postgres";
/// The time of the run at low load, seconds.
const LOW_SECONDS: u32 = 10;
/// The deliveries before the measurement. They make connections, fill caches and prepare
/// statements.
const WARM_UP: usize = 200;

/// Measures every workload.
///
/// # Panics
/// When something does not start, or a run does not end.
pub async fn run(options: &Options) -> Report {
    if let Some(profile) = &options.profile {
        let known: Vec<&str> = FUNCTIONS.into_iter().chain([POSTGRES]).collect();
        profile.check(&known).unwrap_or_else(|problem| panic!("{problem}"));
    }
    let settings = [
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track_planning", "on"),
        ("pg_stat_statements.max", "5000"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let postgres = PostgresOptions { settings, is_durable: true, ..PostgresOptions::default() };
    let stack = StackOptions::new().postgres_with(postgres).ministack().own().start().await;
    let stack = Arc::new(stack.expect("the stack starts, with pg_stat_statements"));
    let pgbench = Pgbench::prepare(&stack).await;
    let mut workloads = Vec::new();
    for workload in &options.workloads {
        println!("{}: {}", workload.name, workload.title);
        workloads.push(measure_workload(&stack, &pgbench, *workload, options).await);
    }
    let neighbours = match options.has_neighbours {
        true => Some(neighbours::measure(&stack, options).await),
        false => None,
    };
    let retention = match options.has_retention {
        true => Some(retention::measure(&stack, options).await),
        false => None,
    };
    let lost = match options.has_lost {
        true => Some(lost::measure(&stack, options).await),
        false => None,
    };
    Report { workloads, neighbours, retention, lost }
}

/// A running product with one workload's workflows.
struct Product {
    sealflow: Sealflow,
    client: Client,
    postmaster: i32,
    stand_ins: Option<i32>,
    hooks: Vec<String>,
    workload: Workload,
    sent: AtomicUsize,
}

/// Counts the traffic with proxies. Proxies take CPU time, so nothing else is measured meanwhile.
async fn count_wires(stack: &Arc<Stack>, workload: Workload, options: &Options) -> Wires {
    let wire = PostgresWire::to(stack.postgres().host_port()).await;
    let aws = AwsWire::to(stack.ministack().url()).await;
    let (endpoint, url) = (wire.host_port(), aws.url());
    let through = move |builder: Builder| {
        builder.database_endpoint(endpoint).sqs_endpoint(url.clone()).kms_endpoint(url)
    };
    let product = Product::start(stack, workload, options, through).await;
    product.deliver(WARM_UP, options.at_once).await;
    ended(&product.client, &product.sealflow).await;
    let _ = (wire.take(), aws.take());
    let before = product.count("SELECT count(*) FROM workflow_node_executions").await;
    product.deliver(options.deliveries, options.at_once).await;
    ended(&product.client, &product.sealflow).await;
    let (traffic, calls) = (wire.take().without_heartbeat(), aws.take());
    let nodes = product.count("SELECT count(*) FROM workflow_node_executions").await - before;
    product.sealflow.stop().await.expect("it stops");
    let per_node = |count: usize| count as f64 / nodes;
    Wires {
        round_trips: per_node(traffic.round_trips.len()),
        statements: per_node(traffic.round_trips.iter().map(Vec::len).sum()),
        writing_commits: per_node(traffic.commits),
        prepared: per_node(traffic.prepared),
        calls: calls.into_iter().map(|(operation, count)| (operation, per_node(count))).collect(),
    }
}

async fn measure_workload(
    stack: &Arc<Stack>,
    pgbench: &Pgbench,
    workload: Workload,
    options: &Options,
) -> Measured {
    let wires = count_wires(stack, workload, options).await;
    let product = Product::start(stack, workload, options, |builder| builder).await;
    if options.history > 0 {
        product.fill(options.history).await;
    }
    product.deliver(WARM_UP, options.at_once).await;
    ended(&product.client, &product.sealflow).await;
    let mut runs = Vec::new();
    // A machine is not equally fast all the time: a run counts by the machine's speed just before
    // and just after it.
    let mut before = pgbench.measure(stack).await;
    for number in 1..=options.runs {
        let run = product.measure(product.deliver(options.deliveries, options.at_once)).await;
        let after = pgbench.measure(stack).await;
        let run = Run { p_millis: f64::midpoint(before, after), ..run };
        before = after;
        println!(
            "  run {number}: {:.3} ms of CPU a node execution, {:.2} P, {:.0} a second",
            run.cpu() * 1e3 / run.nodes,
            run.cpu_p(),
            run.nodes / run.seconds
        );
        runs.push(run);
    }
    let low = match options.low_rate {
        0 => None,
        rate => Some(product.measure(product.trickle(rate)).await),
    };
    if let Some(profile) = &options.profile {
        let sampling = profile.start(&product.pids(&profile.of), workload.name);
        product.deliver(options.deliveries, options.at_once).await;
        ended(&product.client, &product.sealflow).await;
        match sampling.and_then(Sampling::draw) {
            Some(picture) => println!("  flame graph: {}", picture.display()),
            None => println!("  {} has no part in it: no flame graph", profile.of),
        }
    }
    product.sealflow.stop().await.expect("it stops");
    Measured { name: format!("{}: {}", workload.name, workload.title), wires, runs, low }
}

impl Product {
    async fn start(
        stack: &Arc<Stack>,
        workload: Workload,
        options: &Options,
        choose: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let target = Box::leak(Box::new(Target::start().await.expect("the target starts")));
        let mut builder = Sealflow::builder()
            .stack(Arc::clone(stack))
            .bin_dir(&options.bin_dir)
            .http_allow(target.host_port())
            .rust_log("warn");
        let instances = options.instances;
        for function in ["builder", "executor"] {
            builder = builder.function(function, move |options| options.instances_max = instances);
        }
        let sealflow = choose(builder).start().await.expect("the product starts");
        let client = connect(&sealflow.superuser_url()).await;
        // The load tool's own queries use indexes: their scans would be measured too.
        client
            .batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SET enable_seqscan = off")
            .await
            .expect("pg_stat_statements is installed with Postgres");
        let body = json!({ "value": "a-secret-of-the-benchmark", "hosts": [target.host_port()], "in": ["authorization"] });
        let (status, answer) =
            sealflow.request("PUT", "/v1/secrets/bench/token", Some(&body)).await.expect("the API answers");
        assert_eq!(status, 200, "{answer}");
        let mut hooks = Vec::new();
        for copy in 0..COPIES {
            hooks.push(apply(&sealflow, sealflow.token(), workload.definition(copy, &target.url())).await);
        }
        let postmaster = stack.postgres().pid().expect("the server is ours");
        Self {
            sealflow,
            client,
            postmaster,
            stand_ins: stack.ministack().pid(),
            hooks,
            workload,
            sent: AtomicUsize::new(0),
        }
    }

    /// Writes finished executions of a day ago, with their events and runs.
    async fn fill(&self, executions: usize) {
        let sql = format!(
            "SET session_replication_role = replica;
             CREATE TEMPORARY TABLE made AS SELECT gen_random_uuid() AS event_id, gen_random_uuid() AS id, w.id AS workflow_id
                 FROM generate_series(1, {executions}) n JOIN (SELECT id, row_number() OVER () AS at FROM workflows) w ON w.at = n % {COPIES} + 1;
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
                 SELECT event_id, workflow_id, 'hook', event_id, event_id, 'default', 'webhook', '{{\"body\": {{}}}}', '{{}}', 1, now() - interval '1 day' FROM made;
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component, configuration,
                 workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
                 SELECT id, workflow_id, 'n1', event_id, event_id, event_id, 'finished', 'passed', 'noop', '{{}}', 1, 1, now(), now(), now(), now(), now() FROM made;
             INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, state, result,
                 created_at, updated_at, finished_at)
                 SELECT event_id, w.organization_id, w.id, 1, 'hook', event_id, ARRAY[event_id], 'finished', 'passed', now(), now(), now()
                 FROM made JOIN workflows w ON w.id = made.workflow_id;
             DROP TABLE made;
             SET session_replication_role = DEFAULT"
        );
        self.client.batch_execute(&sql).await.expect("the history is written");
    }

    /// Sends `count` deliveries, `at_once` at one time.
    async fn deliver(&self, count: usize, at_once: usize) {
        let next = AtomicUsize::new(0);
        let sender = async || {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                self.post().await
            }
        };
        join_all((0..at_once).map(|_| sender())).await;
    }

    /// Sends `per_second` deliveries a second for [`LOW_SECONDS`].
    async fn trickle(&self, per_second: u32) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        for _ in 0..per_second * LOW_SECONDS {
            ticks.tick().await;
            self.post().await;
        }
    }

    async fn post(&self) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        // A 429 (the bucket of this webhook is empty) is tried again.
        post(&self.hooks[number % self.hooks.len()], number, &[429], LOOK_PAUSE).await;
    }

    async fn measure(&self, load: impl Future<Output = ()>) -> Run {
        let cpu = || {
            FUNCTIONS.map(|function| {
                measure::instances(&self.sealflow.lambda().instances(function).unwrap_or_default())
            })
        };
        let stand_ins = || self.stand_ins.map_or(0.0, |pid| measure::instances(&[pid]).0.values().sum());
        let since: String =
            self.client.query_one("SELECT now()::text", &[]).await.expect("Postgres answers").get(0);
        let executions = self.count("SELECT count(*) FROM workflow_node_executions").await;
        let start = measure::reset(&self.client).await;
        let (cpu_before, postgres_before, stand_ins_before): (_, _, f64) =
            (cpu(), measure::postgres_cpu_seconds(self.postmaster), stand_ins());
        let began = Instant::now();
        load.await;
        ended(&self.client, &self.sealflow).await;
        let seconds = began.elapsed().as_secs_f64();
        let (cpu_after, postgres_after, stand_ins_after): (_, _, f64) =
            (cpu(), measure::postgres_cpu_seconds(self.postmaster), stand_ins());
        let counters: Counters = measure::read(&self.client, &start).await;
        let nodes = self.count("SELECT count(*) FROM workflow_node_executions").await - executions;
        assert!(nodes > 0.0, "{} made nothing", self.workload.name);
        let functions = FUNCTIONS.iter().zip(cpu_before.iter().zip(&cpu_after)).map(
            |(function, ((before, _), (after, _)))| {
                let used =
                    after.iter().map(|(pid, seconds)| seconds - before.get(pid).copied().unwrap_or(0.0));
                ((*function).to_owned(), used.sum())
            },
        );
        let peaks =
            FUNCTIONS.iter().zip(&cpu_after).map(|(function, (_, peak))| ((*function).to_owned(), *peak));
        let latency = format!(
            "SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY took), 0)::float8, coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY took), 0)::float8
             FROM (SELECT extract(epoch FROM max(x.finished_at) - e.created_at) AS took FROM workflow_events e
                   JOIN workflow_node_executions x ON x.root_event_id = e.id WHERE e.execution_id IS NULL AND e.created_at >= '{since}' GROUP BY e.id, e.created_at) runs"
        );
        let row = self.client.query_one(&latency, &[]).await.expect("the runs are counted");
        Run {
            p_millis: f64::NAN,
            nodes,
            seconds,
            functions: functions.collect(),
            postgres: postgres_after - postgres_before,
            stand_ins: stand_ins_after - stand_ins_before,
            peaks: peaks.collect(),
            counters,
            latency: (row.get(0), row.get(1)),
        }
    }

    /// The processes of a function, or of the server.
    fn pids(&self, of: &str) -> Vec<i32> {
        match of {
            POSTGRES => measure::children_of(self.postmaster),
            function => self.sealflow.lambda().instances(function).unwrap_or_default(),
        }
    }

    async fn count(&self, sql: &str) -> f64 {
        let row =
            self.client.query_one(&format!("SELECT ({sql})::float8"), &[]).await.expect("Postgres answers");
        row.get(0)
    }
}
