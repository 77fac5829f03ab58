//! One bad record of a batch, end to end through the function binaries. The database refuses the
//! record, or a component or the evaluator panics over it: that one execution fails, and the other
//! nine pass. The message of a panic is stored and logged nowhere (I1, I9).

use std::path::PathBuf;
use std::time::Duration;

use local::sealflow::Builder;
use serde_json::{Value, json};
use tests::e2e::{Product, Reply, Story, make_secret, placed, word};
use tests::panicking::{COMPONENT_PANICS, EVALUATOR_PANICS};

/// The number of records of a batch, and the index of the bad one.
const BATCH: usize = 10;
const POISON: usize = 4;

/// SQLSTATEs of the classes 22, 23 and 54: the data is at fault.
const REFUSALS: [&str; 6] = ["22003", "22021", "22P05", "23514", "54000", "54001"];

/// One instance of each function, so that ten messages are one batch. All functions log everything.
fn one_by_one(builder: Builder) -> Builder {
    let one = |options: &mut local::lambda::FunctionOptions| options.instances_max = 1;
    builder.rust_log("trace").component_seconds_max(5).function("builder", one).function("executor", one)
}

/// The workflow `start → call → after`, with this configuration of the call.
fn calling(product: &Product, name: &str, configuration: &str) -> String {
    let definition = format!(
        "name: {name}\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n  - {{ id: call, name: Call, component: http, concurrency: \
         unlimited, configuration: {{ {configuration} }} }}\n  - {{ id: after, name: After, component: noop }}\nedges:\n  - {{ from: start, \
         to: call }}\n  - {{ from: call, channel: success, to: after }}\n"
    );
    placed(product, &definition)
}

/// Makes Postgres refuse rows of a table that contain `refuse-SQLSTATE`, with an error that quotes
/// the row.
async fn refuse(product: &Product, table: &str, column: &str, only: &str) {
    let sql = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION 'refused: %', NEW.{column}::text USING
                 ERRCODE = substring(NEW.{column}::text FROM 'refuse-([0-9A-Z]{{5}})');
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW WHEN ({only} AND NEW.{column}::text ~ 'refuse-[0-9A-Z]{{5}}')
             EXECUTE FUNCTION refuse()"
    );
    product.sealflow.sql(&sql).await.unwrap();
}

/// Starts ten runs, the fifth with the word `poison`, and delivers them in one batch to the
/// function behind `what`; gives their ids.
async fn batch(story: &Story<'_>, workflow: &str, what: Queue, poison: &str) -> Vec<String> {
    let sealflow = &story.product.sealflow;
    let mapping = match what {
        Queue::Nodes => sealflow.nodes_mapping(),
        Queue::Executions => sealflow.executions_mapping(),
    };
    mapping.pause();
    let mut runs = Vec::new();
    for n in 0..BATCH {
        let word = if n == POISON { poison } else { "good" };
        runs.push(story.start(workflow, json!({ "n": n, "word": word })).await);
    }
    if let Queue::Executions = what {
        let pending = "SELECT count(*) FROM workflow_node_executions WHERE state = 'pending'";
        sealflow.await_sql(pending, &BATCH.to_string(), tests::WAIT_MAX).await.unwrap();
    }
    mapping.resume();
    runs
}

/// A random word that every encoding writes in the same way.
fn canary() -> String {
    process::Ids::new().random::<uuid::Uuid>().simple().to_string()
}

/// The queue of a batch, and so its function.
enum Queue {
    Nodes,
    Executions,
}

/// Checks that nine runs pass as a whole, and that the bad one has one execution, failed for this
/// reason; gives that execution.
async fn nine_pass(story: &Story<'_>, runs: &[String], node_id: &str, reason: &str) -> Value {
    for (n, run) in runs.iter().enumerate().filter(|(n, _)| *n != POISON) {
        let (ended, executions) = (story.ended(run).await, story.executions(run).await);
        assert_eq!(ended["result"], "passed", "{n}: {executions:#?}");
        assert!(executions.iter().all(|execution| execution["result"] == "passed"), "{n}: {executions:#?}");
    }
    let run = &runs[POISON];
    assert_eq!(story.ended(run).await["result"], "failed");
    let failed = story.execution(run, node_id).await;
    assert_eq!(
        (&failed["result"], &failed["result_reason"]),
        (&json!("failed"), &json!(reason)),
        "{failed:#}"
    );
    assert!(!word(&failed["result_message"]).is_empty(), "{failed:#}");
    failed
}

fn log(product: &Product, function: &str) -> String {
    let path: PathBuf = product.sealflow.logs_dir().join(format!("{function}.log"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_row_that_the_database_refuses_the_builder_fails_alone_i9() {
    let product = Product::start(one_by_one).await;
    let story = product.story("refused-items").await;
    let canary = canary();
    let configuration = "url: 'TARGET/items/{{ root().data.n }}', headers: [ { name: X-Word, value: '{{ root().data.word }}' } ]";
    story.apply(&calling(&product, "items", configuration)).await;
    refuse(&product, "workflow_node_executions", "configuration", "true").await;
    for (round, sqlstate) in REFUSALS.into_iter().enumerate() {
        let poison = format!("refuse-{sqlstate} {canary}");
        let runs = batch(&story, "items", Queue::Nodes, &poison).await;
        let failed = nine_pass(&story, &runs, "call", "limit").await;
        assert!(!failed["result_message"].to_string().contains("refuse-"), "our own text: {failed:#}");
        assert_eq!(story.executions(&runs[POISON]).await.len(), 1, "{sqlstate}");
        let replays = log(&product, "builder").matches("the database refused a batch").count();
        assert!(replays > round, "{sqlstate} was not refused within a batch");
        assert_eq!(product.target.requests("/items/").len(), (round + 1) * (BATCH - 1), "{sqlstate}");
    }
    assert_eq!(product.target.requests(&format!("/items/{POISON}")).len(), 0);
    assert!(
        !log(&product, "builder").contains(&canary),
        "an error of Postgres quotes the row; a log of ours never does"
    );
    story.end(&[]).await;
}

#[tokio::test]
async fn an_output_that_the_database_refuses_the_executor_fails_alone_i9() {
    let product = Product::start(one_by_one).await;
    let story = product.story("refused-outputs").await;
    let canary = canary();
    let configuration = "url: 'TARGET/outputs/{{ root().data.n }}', headers: [ { name: X-Word, value: '{{ root().data.word }}' } ]";
    story.apply(&calling(&product, "outputs", configuration)).await;
    refuse(&product, "workflow_events", "data", "NEW.execution_id IS NOT NULL").await;
    for (round, sqlstate) in REFUSALS.into_iter().enumerate() {
        // All calls are answered at the same moment, so that their outcomes are recorded together.
        product.target.script("/outputs/", vec![Reply::Late(Duration::from_millis(300)); BATCH]);
        let runs = batch(&story, "outputs", Queue::Executions, &format!("refuse-{sqlstate} {canary}")).await;
        let failed = nine_pass(&story, &runs, "call", "limit").await;
        assert!(!failed["result_message"].to_string().contains("refuse-"), "our own text: {failed:#}");
        let sent = product.target.requests("/outputs/").len();
        assert_eq!(sent, (round + 1) * BATCH, "{sqlstate}: a replay records again and sends no call again");
        let replays = log(&product, "executor").matches("the database refused outcomes").count();
        assert!(replays > round, "{sqlstate} was not refused");
    }
    assert!(
        !log(&product, "executor").contains(&canary),
        "an error of Postgres quotes the row; a log of ours never does"
    );
    story.end(&[]).await;
}

#[tokio::test]
async fn a_panic_over_a_secret_fails_one_execution_and_tells_nothing_i1_i9() {
    let product = Product::start(|builder| {
        one_by_one(builder)
            .function("executor", |options| options.binary = env!("CARGO_BIN_EXE_panicking-executor").into())
    })
    .await;
    let story = product.story("panics").await;
    let secret = make_secret("panic");
    story.set_secret("github", "token", &secret).await;
    let configuration = "url: 'TARGET/panics/{{ root().data.n }}', headers: [ { name: X-Word, value: '{{ secrets(\"github\").token }} \
                         {{ root().data.word }}' } ]";
    story.apply(&calling(&product, "panics", configuration)).await;
    for (round, poison) in [COMPONENT_PANICS, EVALUATOR_PANICS].into_iter().enumerate() {
        let runs = batch(&story, "panics", Queue::Executions, poison).await;
        nine_pass(&story, &runs, "call", "crashed").await;
        assert_eq!(product.target.requests("/panics/").len(), (round + 1) * (BATCH - 1), "{poison}");
        let executor = log(&product, "executor");
        assert_eq!(
            executor.matches("\"message\":\"panic\"").count(),
            round + 1,
            "each panic is logged with its place: {executor}"
        );
        assert!(executor.contains("tests/src/panicking.rs:"), "{executor}");
        assert!(!executor.contains("holds"), "the log has nothing of the panic's message: {executor}");
    }
    story.end(&[&secret]).await;
}

#[tokio::test]
async fn a_panic_in_the_builder_fails_one_record_and_tells_nothing_i9() {
    let product = Product::start(|builder| {
        one_by_one(builder)
            .function("builder", |options| options.binary = env!("CARGO_BIN_EXE_panicking-builder").into())
    })
    .await;
    let story = product.story("builder-panics").await;
    let canary = canary();
    let definition = r"
name: pure
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: pass, name: Pass, component: noop }
  - { id: call, name: Call, component: http, concurrency: unlimited, configuration: { url: 'TARGET/pure/{{ root().data.n }}/{{ root().data.word }}' } }
edges:
  - { from: start, to: pass }
  - { from: pass, to: call }
";
    story.apply(&placed(&product, definition)).await;
    for (round, poison) in [COMPONENT_PANICS, EVALUATOR_PANICS].into_iter().enumerate() {
        let runs = batch(&story, "pure", Queue::Nodes, &format!("{poison} {canary}")).await;
        let failed = nine_pass(&story, &runs, "pass", "crashed").await;
        assert!(!failed["result_message"].to_string().contains(&canary), "{failed:#}");
        assert_eq!(story.executions(&runs[POISON]).await.len(), 1, "the record as a whole fails");
        assert_eq!(product.target.requests("/pure/").len(), (round + 1) * (BATCH - 1), "{poison}");
        let builder = log(&product, "builder");
        assert_eq!(builder.matches("\"message\":\"panic\"").count(), round + 1, "{builder}");
        assert!(!builder.contains(&canary), "the log has nothing of the panic's message: {builder}");
    }
    story.end(&[]).await;
}
