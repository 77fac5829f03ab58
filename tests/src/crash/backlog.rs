//! Many items behind one node's limit for ten minutes, then all of them at once; and a builder that
//! is stopped for ten minutes. The minutes are passed by shifting the rows' times, one sweep a
//! minute as on AWS.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use local::sqs;
use serde_json::{Value, json};

use super::checker::{Asked, Violation, check};
use super::options::Options;
use super::suite::Suite;

/// The outcome of the backlog.
#[derive(Debug)]
pub struct Backlog {
    /// Items behind the limit of ten.
    pub items: usize,
    /// Messages that were sent while they waited for ten minutes.
    pub messages_while_waiting: usize,
    /// The times that the first and the last tenth took to end, seconds, by the database's clock.
    pub tenths_seconds: (f64, f64),
    /// Items that came while the builder was stopped for ten minutes.
    pub items_while_stopped: usize,
    /// The queue's length at the end of it.
    pub queue_length: usize,
    /// The things that must not be and are.
    pub violations: Vec<Violation>,
}

/// `slow` has ten slots; what `path` says decides how the target answers.
const WORKFLOWS: [&str; 2] = [
    r#"
name: slow
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: node, name: Node, component: http, concurrency: 10, retry: { max_attempts: 2, initial_interval: 86400, backoff: fixed, max_interval: 86400 }, configuration: { url: 'TARGET/slow/node/{{ urlPath(root().data.path) }}' } }
edges:
  - { from: start, to: node }
"#,
    r#"
name: free
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: node, name: Node, component: http, concurrency: unlimited, configuration: { url: 'TARGET/free/node' } }
edges:
  - { from: start, to: node }
"#,
];
const SLOTS: usize = 10;
const MINUTES: usize = 10;
/// Starts in flight at one time.
const STARTS_AT_ONCE: usize = 16;
const SETTLE_MAX: Duration = Duration::from_secs(300);
const LOOK_PAUSE: Duration = Duration::from_millis(200);

const MINUTE_PASSES: &str = "UPDATE workflow_node_queue_items SET last_sent_at = last_sent_at - interval '1 minute';
    UPDATE workflow_node_executions SET last_sent_at = last_sent_at - interval '1 minute', run_at = run_at - interval '1 minute'
    WHERE state <> 'finished'";
const LET_GO: &str = "UPDATE workflow_node_executions SET run_at = now() - interval '1 hour', updated_at = now() - interval '1 hour',
        last_sent_at = now() - interval '1 hour'
    WHERE state = 'pending' AND run_at > clock_timestamp()";
const TENTHS: &str =
    "SELECT extract(epoch FROM max(at) FILTER (WHERE tenth = 1) - min(at) FILTER (WHERE tenth = 1)),
           extract(epoch FROM max(at) FILTER (WHERE tenth = 10) - min(at) FILTER (WHERE tenth = 10))
    FROM (SELECT c.began_at AS at, ntile(10) OVER (ORDER BY c.place) AS tenth
          FROM audit.execution_changes c JOIN workflows w ON w.id = c.workflow_id AND w.name = 'slow'
          WHERE c.state = 'finished') ended";

/// Lets `items` items wait and drain, and a tenth as many come while the builder is stopped.
///
/// # Panics
/// When the product does not start, or a look at it fails.
pub async fn backlog(seed: u64, items: usize) -> Backlog {
    // No sweep but those of the minutes that pass here.
    let suite = Suite::start(Options { copies: 0, ..Options::calm(seed, 0) }.swept_by_hand()).await;
    let mut asked = Asked::default();
    for workflow in WORKFLOWS {
        apply(&suite, workflow).await;
    }

    asked.run_ids.extend(start(&suite, "slow", "status/503", SLOTS).await);
    let taken = "SELECT count(*) FROM workflow_node_executions WHERE state = 'pending' AND attempt = 2";
    suite.sealflow.await_sql(taken, &SLOTS.to_string(), SETTLE_MAX).await.expect("the slots are taken");
    asked.run_ids.extend(start(&suite, "slow", "quick", items).await);
    let messages_while_waiting = wait_ten_minutes(&suite, items).await;

    suite.sealflow.sql(LET_GO).await.expect("the slots are let go");
    sweep(&suite).await;
    settle(&suite).await;
    let tenths = suite.sealflow.sql(TENTHS).await.expect("the times are read");
    let (first, last) = tenths.split_once('|').expect("two columns");
    let tenths_seconds = (first.parse().expect("seconds"), last.parse().expect("seconds"));

    let items_while_stopped = items / 10;
    suite.sealflow.nodes_mapping().pause();
    asked.run_ids.extend(start(&suite, "free", "", items_while_stopped).await);
    for _ in 0..MINUTES {
        suite.sealflow.sql(MINUTE_PASSES).await.expect("a minute passes");
        sweep(&suite).await;
    }
    let endpoint = suite.sealflow.stack().ministack().url();
    let counts =
        sqs::count(endpoint, &suite.sealflow.queues().nodes.url).await.expect("the queue is counted");
    let queue_length = usize::try_from(counts.iter().sum::<u64>()).expect("a length");
    suite.sealflow.nodes_mapping().resume();
    settle(&suite).await;

    let violations = check(&suite.sealflow, &suite.target.requests(), &asked).await;
    Backlog { items, messages_while_waiting, tenths_seconds, items_while_stopped, queue_length, violations }
}

/// Messages that were sent meanwhile.
async fn wait_ten_minutes(suite: &Suite, items: usize) -> usize {
    suite.sealflow.await_empty_queues(SETTLE_MAX).await.expect("the starts are heard out");
    let waiting = suite.sealflow.sql("SELECT count(*) FROM workflow_node_queue_items").await;
    assert_eq!(waiting.expect("the items are counted"), items.to_string(), "all of them wait");
    let before = suite.queue.sent();
    for _ in 0..MINUTES {
        suite.sealflow.sql(MINUTE_PASSES).await.expect("a minute passes");
        sweep(suite).await;
    }
    suite.queue.sent() - before
}

async fn sweep(suite: &Suite) {
    suite.sealflow.invoke("sweeper", &json!({})).await.expect("the sweeper sweeps");
}

async fn settle(suite: &Suite) {
    let until = Instant::now() + SETTLE_MAX;
    while suite.work().await.0 > 0 {
        assert!(Instant::now() < until, "the work does not end");
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    suite.sealflow.await_empty_queues(SETTLE_MAX).await.expect("the queues are empty");
}

async fn apply(suite: &Suite, workflow: &str) {
    let definition = workflow.replace("TARGET", &suite.target.url());
    let request = Request::put(format!("{}/v1/workflows", suite.sealflow.gateway_url()))
        .header("authorization", format!("Bearer {}", suite.sealflow.token()))
        .header("content-type", "application/yaml")
        .body(Bytes::from(definition))
        .expect("a request");
    let answer = local::http::send(request, Duration::from_secs(20)).await.expect("the API answers");
    assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(answer.body()));
}

/// Starts runs: their ids.
async fn start(suite: &Suite, workflow: &str, path: &str, count: usize) -> Vec<String> {
    let start_one = async |_| {
        let body = json!({ "data": { "path": path } });
        let answer = suite.sealflow.post(&format!("/v1/workflows/{workflow}/runs"), &body).await;
        let (status, answer): (u16, Value) = answer.expect("the API answers");
        assert_eq!(status, 202, "{answer}");
        answer["run_id"].as_str().expect("a run").to_owned()
    };
    stream::iter(0..count).map(start_one).buffer_unordered(STARTS_AT_ONCE).collect().await
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.tenths_seconds;
        writeln!(
            f,
            "{} items waited ten minutes: {} messages were sent",
            self.items, self.messages_while_waiting
        )?;
        writeln!(f, "time per item in the last tenth: {:.2} of that in the first", last / first)?;
        writeln!(
            f,
            "builder stopped for ten minutes: {} messages in the queue, {:.2} for each of {} items",
            self.queue_length,
            self.queue_length as f64 / self.items_while_stopped as f64,
            self.items_while_stopped
        )?;
        for violation in &self.violations {
            writeln!(f, "VIOLATION {}: {}", violation.rule, violation.place)?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}
