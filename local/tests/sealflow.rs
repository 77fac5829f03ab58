//! The whole product starts, is wired and stops: with a small function in Python in the place of
//! each real one.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use local::folder::Folder;
use local::sealflow::{Builder, FUNCTIONS, Sealflow};
use local::sqs;
use local::stack::StackOptions;
use serde_json::{Value, json};

/// The most that any wait in these tests may take.
const WAIT: Duration = Duration::from_secs(20);

fn builder(binaries: &Folder) -> Builder {
    let function = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/function.py");
    for name in FUNCTIONS {
        symlink(&function, binaries.path().join(name)).unwrap();
    }
    Sealflow::builder().bin_dir(binaries.path())
}

async fn environment(sealflow: &Sealflow, function: &str) -> Value {
    sealflow.invoke(function, &json!({ "do": "environment" })).await.unwrap()
}

#[tokio::test]
async fn each_function_is_told_where_things_are_under_its_own_role() {
    let binaries = Folder::create("binaries").unwrap();
    let builder = builder(&binaries).http_allow("a:1").http_allow("b:2").no_sweeps().component_seconds_max(7);
    let builder = builder
        .sqs_endpoint("http://proxy:1")
        .database_endpoint("proxy:2")
        .environment("api", "RUST_LOG", "warn");
    let sealflow = builder.function("executor", |options| options.instances_max = 3).start().await.unwrap();
    assert_eq!((sealflow.organization_id(), sealflow.token()), ("id of demo", "token"));
    let api = environment(&sealflow, "api").await;
    let database = sealflow.database();
    let url = api["SEALFLOW_DATABASE_URL"].as_str().unwrap();
    let (user, place) = url.split_once('@').unwrap();
    assert!(user.starts_with("postgres://sealflow_api:"), "{url}");
    assert_eq!(place, format!("proxy:2/{database}"));
    assert_eq!(api["SEALFLOW_PUBLIC_URL"], sealflow.gateway_url());
    assert_eq!(api["SEALFLOW_HTTP_ALLOW"], "a:1,b:2");
    assert_eq!(api["SEALFLOW_COMPONENT_SECONDS_MAX"], "7");
    assert_eq!(api["SEALFLOW_KMS_KEY_ID"], sealflow.kms_key_id());
    assert_eq!(api["SEALFLOW_NODE_QUEUE_URL"], sealflow.queues().nodes.url);
    assert_eq!((&api["AWS_ENDPOINT_URL_SQS"], &api["RUST_LOG"]), (&json!("http://proxy:1"), &json!("warn")));
    let migrate = environment(&sealflow, "migrate").await;
    assert_eq!(migrate["SEALFLOW_DATABASE_URL"], sealflow.superuser_url());
    assert_eq!(migrate["RUST_LOG"], "info");
    let executor = sealflow.lambda().options("executor").unwrap();
    assert_eq!((executor.instances_max, executor.timeout), (3, Duration::from_secs(7 + 5 + 5 + 7 + 5 + 5)));
    sealflow.stop().await.unwrap();
}

#[tokio::test]
async fn messages_reach_their_function_and_the_front_reaches_the_api() {
    let binaries = Folder::create("binaries").unwrap();
    let sealflow = builder(&binaries).sweep_every(Duration::from_millis(50)).start().await.unwrap();
    let endpoint = sealflow.stack().ministack().url().to_owned();
    sqs::send(&endpoint, &sealflow.queues().nodes.url, "one", None).await.unwrap();
    sqs::send(&endpoint, &sealflow.queues().executions.url, "two", None).await.unwrap();
    let until = Instant::now() + WAIT;
    while sealflow.nodes_mapping().messages() + sealflow.executions_mapping().messages() < 2 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sealflow.await_empty_queues(WAIT).await.unwrap();
    let messages = std::fs::read_to_string(sealflow.messages_file()).unwrap();
    assert!(messages.contains("\"one\"") && messages.contains("\"two\""), "{messages}");
    let (status, event) = sealflow.post("/v1/things", &json!({ "a": 1 })).await.unwrap();
    assert_eq!((status, &event["headers"]["authorization"]), (200, &json!("Bearer token")));
    while !sealflow.logs_dir().join("sweeper.log").exists() {
        assert!(Instant::now() < until, "no sweep");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report =
        local::leaks::check_everything(&sealflow, &["Bearer token", "not there"], vec![]).await.unwrap();
    assert_eq!(report.places_found(), 1, "the API echoed it into the answers: {report}");
    assert!(report.findings.iter().all(|finding| finding.place == "answers.txt"), "{report}");
    for place in
        ["database dump", "messages.jsonl", "postgres.log", "builder.log", "messages still in the queues"]
    {
        assert!(report.places.iter().any(|known| known == place), "{place} isn't among {:?}", report.places);
    }
    sealflow.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_product_leaves_nothing_on_a_shared_stack() {
    let binaries = Folder::create("binaries").unwrap();
    let stack = Arc::new(StackOptions::new().postgres().ministack().own().start().await.unwrap());
    let sealflow = builder(&binaries).stack(Arc::clone(&stack)).pause_nodes().start().await.unwrap();
    let (database, queue) = (sealflow.database().to_owned(), sealflow.queues().nodes.url.clone());
    sqs::send(stack.ministack().url(), &queue, "one", None).await.unwrap();
    assert_eq!(sealflow.sql("SELECT 1").await.unwrap(), "1");
    let folder = sealflow.folder().to_owned();
    sealflow.stop().await.unwrap();
    assert!(!folder.exists());
    assert!(stack.postgres().sql(&database, "SELECT 1").await.is_err());
    assert!(sqs::count(stack.ministack().url(), &queue).await.is_err());
}

#[tokio::test]
async fn missing_binaries_are_named_before_anything_starts() {
    let empty = Folder::create("binaries").unwrap();
    let error = Sealflow::builder().bin_dir(empty.path()).start().await.unwrap_err().to_string();
    assert!(
        error.contains("api, webhook, builder") && error.contains("cargo build --workspace --bins"),
        "{error}"
    );
}
