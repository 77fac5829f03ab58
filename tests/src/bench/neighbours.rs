//! W4: whether one organization's trouble reaches the others. A hundred organizations are in every
//! batch; one of them has nodes that are locked, slow and failing. It compares how long the other
//! organizations' runs take with and without the noisy one. The load stays below saturation: at
//! saturation all would merely share the machine's cores, which this test doesn't judge.

use std::sync::Arc;
use std::time::Duration;

use local::sealflow::Sealflow;
use local::stack::Stack;
use local::target::Target;
use tokio_postgres::Client;

use super::drive::{apply, ended, post};
use super::measure::median;
use super::options::Options;
use crate::database::connect;

/// Organizations, the noisy one among them.
const ORGANIZATIONS: usize = 100;
/// Deliveries of each quiet organization.
const DELIVERIES: usize = 6;
/// Deliveries to each workflow of the noisy one.
const NOISE: usize = 60;
/// Executors and builders. It is 8, because with two instances half of them would be only one.
const INSTANCES: usize = 8;
/// From one delivery to the next: 50 a second to the quiet ones, and 15 to the noisy one in the
/// same time.
const QUIET_PACE: Duration = Duration::from_millis(20);
const NOISY_PACE: Duration = Duration::from_millis(66);
/// The pause before a delivery that was not taken is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// The time for which the noisy one's node is locked.
const LOCKED: Duration = Duration::from_secs(6);

/// Seconds from the event to the end of its run, for the runs of the quiet organizations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neighbours {
    /// Median and 99th percentile without the noisy organization. Each is the median over all runs
    /// of the benchmark.
    pub alone: (f64, f64),
    /// The same beside the noisy one.
    pub beside: (f64, f64),
}

const QUIET: &str = "name: quiet
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: none } }
  - { id: call, name: Call, component: http, concurrency: unlimited, configuration: { url: TARGET/quiet } }
  - { id: after, name: After, component: noop }
edges:
  - { from: hook, to: call }
  - { from: call, channel: success, to: after }
";

/// The nodes of the noisy organization, a workflow each.
const NOISY: [(&str, &str); 3] = [
    ("slow", "configuration: { url: TARGET/delay/1500 }, concurrency: unlimited"),
    (
        "failing",
        "configuration: { url: TARGET/status/500 }, concurrency: unlimited, retry: { max_attempts: 5, initial_interval: 1, backoff: fixed }",
    ),
    ("locked", "configuration: { url: TARGET/locked }, concurrency: 3"),
];

/// Measures the quiet organizations alone and beside the noisy one.
///
/// # Panics
/// When something does not start, or a run does not end.
pub async fn measure(stack: &Arc<Stack>, options: &Options) -> Neighbours {
    let target = Box::leak(Box::new(Target::start().await.expect("the target starts")));
    let mut builder = Sealflow::builder()
        .stack(Arc::clone(stack))
        .bin_dir(&options.bin_dir)
        .http_allow(target.host_port())
        .rust_log("warn");
    for function in ["builder", "executor"] {
        builder = builder.function(function, |options| options.instances_max = INSTANCES);
    }
    let sealflow = builder.start().await.expect("the product starts");
    let client = connect(&sealflow.superuser_url()).await;
    let mut quiet = Vec::new();
    for number in 1..ORGANIZATIONS {
        let organization = sealflow.bootstrap(&format!("quiet-{number}")).await.expect("it is made");
        quiet.push(apply(&sealflow, &organization.token, QUIET.replace("TARGET", &target.url())).await);
    }
    let noisy = sealflow.bootstrap("noisy").await.expect("it is made");
    let mut noise = Vec::new();
    for (name, node) in NOISY {
        let definition = format!(
            "name: {name}\nnodes:\n  - {{ id: hook, name: Hook, trigger: webhook, configuration: {{ authentication: none }} }}\n  - {{ id: call, name: Call, component: http, {} }}\nedges:\n  - {{ from: hook, to: call }}\n",
            node.replace("TARGET", &target.url())
        );
        noise.push(apply(&sealflow, &noisy.token, definition).await);
    }
    // A warm-up fills caches and prepares statements.
    load(&quiet, 2, QUIET_PACE / 4).await;
    ended(&client, &sealflow).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        alone.push(latency(&client, &sealflow, load(&quiet, DELIVERIES, QUIET_PACE)).await);
        let both = async {
            let noise = load(&noise, NOISE, NOISY_PACE);
            futures_util::join!(load(&quiet, DELIVERIES, QUIET_PACE), noise, lock(&sealflow));
        };
        beside.push(latency(&client, &sealflow, both).await);
    }
    sealflow.stop().await.expect("it stops");
    Neighbours { alone: medians(alone), beside: medians(beside) }
}

/// The median of each.
fn medians(runs: Vec<(f64, f64)>) -> (f64, f64) {
    let (halves, most): (Vec<f64>, Vec<f64>) = runs.into_iter().unzip();
    (median(halves), median(most))
}

/// Holds the row of the noisy organization's node for a while.
async fn lock(sealflow: &Sealflow) {
    let client = connect(&sealflow.superuser_url()).await;
    let sql = "BEGIN; SELECT FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id WHERE w.name = 'locked' FOR NO KEY UPDATE OF n";
    client.batch_execute(sql).await.expect("the row is locked");
    tokio::time::sleep(LOCKED).await;
    client.batch_execute("COMMIT").await.expect("the lock is given back");
}

/// Delivers so many to each address, in turn and at a pace; what is not taken is sent again, as
/// senders do.
async fn load(hooks: &[String], deliveries: usize, pace: Duration) {
    let start = tokio::time::Instant::now();
    let posts = (0..deliveries).flat_map(|number| hooks.iter().map(move |hook| (hook, number)));
    let posts = posts.zip(0_u32..).map(|((hook, number), place)| async move {
        tokio::time::sleep_until(start + pace * place).await;
        post(hook, number, &[429, 503], AGAIN).await;
    });
    futures_util::future::join_all(posts).await;
}

async fn latency(client: &Client, sealflow: &Sealflow, load: impl Future<Output = ()>) -> (f64, f64) {
    let since: String = client.query_one("SELECT now()::text", &[]).await.expect("Postgres answers").get(0);
    load.await;
    ended(client, sealflow).await;
    let sql = format!(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took)::float8, percentile_cont(0.99) WITHIN GROUP (ORDER BY took)::float8
         FROM (SELECT extract(epoch FROM max(x.finished_at) - e.created_at)::float8 AS took
               FROM workflow_events e JOIN workflows w ON w.id = e.workflow_id JOIN workflow_node_executions x ON x.root_event_id = e.id
               WHERE e.execution_id IS NULL AND w.name = 'quiet' AND e.created_at >= '{since}' GROUP BY e.id, e.created_at) runs"
    );
    let row = client.query_one(&sql, &[]).await.expect("the runs are counted");
    (row.get(0), row.get(1))
}
