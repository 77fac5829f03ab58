//! `w6`: all messages are lost, and the sweeper finds the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local::sealflow::Sealflow;
use local::sqs;
use local::stack::Stack;
use local::target::Target;
use serde_json::json;
use tokio_postgres::Client;

use super::drive::{apply, post};
use super::options::Options;
use super::workloads::{COPIES, Workload};
use crate::database::connect;

/// Messages that are lost of each kind.
const LOST: usize = 20_000;
/// The time without progress after which another sweep begins, as the next minute would.
const QUIET: Duration = Duration::from_secs(5);
/// The pause between two looks at what is open.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Sweeps after which the measurement is given up.
const SWEEPS_MAX: usize = 10;

/// Nodes of every kind of limit.
const LIMITS: &str = r"
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: none } }
  - { id: free, name: Free, component: http, concurrency: unlimited, configuration: { url: 'TARGET/free' } }
  - { id: limited, name: Limited, component: http, concurrency: 5, configuration: { url: 'TARGET/limited' } }
  - id: keyed
    name: Keyed
    component: http
    concurrency: { max: 1, key: '{{ root().data.body.n }}' }
    configuration: { url: 'TARGET/keyed' }
edges:
  - { from: hook, to: free }
  - { from: hook, to: limited }
  - { from: hook, to: keyed }
";
/// Items of one delivery to [`LIMITS`].
const LIMITS_ITEMS: usize = 3;

/// The result: sweeps until all work had ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// Items whose messages were lost.
    pub items: usize,
    /// Sweeps until their work had ended.
    pub items_sweeps: usize,
    /// Executions whose messages were lost.
    pub executions: usize,
    /// Sweeps until they had ended.
    pub executions_sweeps: usize,
}

/// Loses the messages of items, and then those of executions.
///
/// # Panics
/// When something does not start, or the work does not end.
pub async fn measure(stack: &Arc<Stack>, options: &Options) -> Lost {
    let target = Target::start().await.expect("the target starts");
    let builder = Sealflow::builder()
        .stack(Arc::clone(stack))
        .bin_dir(&options.bin_dir)
        .http_allow(target.host_port())
        .rust_log("warn")
        .no_sweeps()
        .environment("sweeper", "SEALFLOW_SWEEP_GRACE_SECONDS", "1");
    let sealflow = builder.start().await.expect("the product starts");
    let client = connect(&sealflow.superuser_url()).await;
    let (mut limits, mut branches) = (Vec::new(), Vec::new());
    let fan_out = Workload::named("w3").expect("there is one");
    for copy in 0..COPIES {
        let definition = format!("name: limits-{copy}{}", LIMITS.replace("TARGET", &target.url()));
        limits.push(apply(&sealflow, sealflow.token(), definition).await);
        branches.push(apply(&sealflow, sealflow.token(), fan_out.definition(copy, &target.url())).await);
    }
    let (nodes, executions) = (&sealflow.queues().nodes.url, &sealflow.queues().executions.url);

    sealflow.nodes_mapping().pause();
    deliver(&limits, LOST.div_ceil(LIMITS_ITEMS)).await;
    let items = open(&client).await;
    lose(&sealflow, nodes).await;
    sealflow.nodes_mapping().resume();
    let items_sweeps = sweep_to_the_end(&sealflow, &client).await;

    sealflow.executions_mapping().pause();
    deliver(&branches, LOST.div_ceil(fan_out.nodes)).await;
    let pending = "SELECT NOT EXISTS (SELECT FROM workflow_node_queue_items)";
    sealflow.await_sql(pending, "t", Duration::from_secs(300)).await.expect("all is built");
    // The builder sends after its commit.
    tokio::time::sleep(QUIET).await;
    let lost_executions = open(&client).await;
    lose(&sealflow, executions).await;
    sealflow.executions_mapping().resume();
    let executions_sweeps = sweep_to_the_end(&sealflow, &client).await;
    sealflow.stop().await.expect("it stops");
    Lost { items, items_sweeps, executions: lost_executions, executions_sweeps }
}

async fn deliver(hooks: &[String], count: usize) {
    let next = AtomicUsize::new(0);
    let sender = async || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            break;
        }
        post(&hooks[number % hooks.len()], number, &[429, 503], Duration::from_millis(100)).await;
    };
    join_all((0..32).map(|_| sender())).await;
}

async fn lose(sealflow: &Sealflow, queue: &str) {
    sqs::purge(sealflow.stack().ministack().url(), queue).await.expect("the queue is purged");
}

/// Items that wait and executions that have not finished.
async fn open(client: &Client) -> usize {
    let sql = "SELECT (SELECT count(*) FROM workflow_node_queue_items)
        + (SELECT count(*) FROM workflow_node_executions WHERE state <> 'finished')";
    let open: i64 = client.query_one(sql, &[]).await.expect("Postgres answers").get(0);
    usize::try_from(open).expect("a count")
}

/// Sweeps until nothing is open; the number of sweeps.
async fn sweep_to_the_end(sealflow: &Sealflow, client: &Client) -> usize {
    // The grace of a row.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for sweeps in 1..=SWEEPS_MAX {
        let swept = sealflow.invoke("sweeper", &json!({})).await.expect("the sweeper answers");
        let (mut left, mut since) = (usize::MAX, Instant::now());
        while since.elapsed() < QUIET {
            let now = open(client).await;
            if now == 0 {
                return sweeps;
            }
            if now < left {
                (left, since) = (now, Instant::now());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        println!("w6: {left} open after sweep {sweeps}, which sent {swept}");
    }
    panic!("work is left after {SWEEPS_MAX} sweeps: {}", sealflow.end_of_log("sweeper"));
}
