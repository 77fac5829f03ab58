//! The runner, seen from a function's side and from its callers': with a small function in Python
//! that does as told.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use local::folder::Folder;
use local::gateway::Gateway;
use local::invoke::Invoker;
use local::lambda::{Answer, FunctionOptions, Lambda, PAYLOAD_BYTES_MAX};
use local::mapping::{Mapping, MappingOptions, MessageRecord};
use local::schedule::Schedule;
use local::sqs::{self, QueueOptions, QueuePair};
use local::stack::Stack;
use serde_json::{Value, json};

/// The most that any wait in these tests may take.
const WAIT: Duration = Duration::from_secs(20);

struct Runner {
    lambda: Arc<Lambda>,
    folder: Folder,
}

fn runner(change: impl FnOnce(&mut FunctionOptions)) -> Runner {
    let folder = Folder::create("lambda").unwrap();
    let lambda = Arc::new(Lambda::new(folder.path()));
    let mut options =
        FunctionOptions::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/function.py"));
    options.timeout = Duration::from_secs(10);
    change(&mut options);
    lambda.add("echo", options).unwrap();
    Runner { lambda, folder }
}

impl Runner {
    async fn invoke(&self, event: &Value) -> Answer {
        self.lambda.invoke("echo", event.to_string().into()).await.unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("echo.log")).unwrap()
    }
}

#[tokio::test]
async fn an_instance_answers_one_invocation_after_another_with_a_real_deadline() {
    let runner = runner(|_| {});
    let first = runner.invoke(&json!({ "a": 1 })).await.json().unwrap();
    let second = runner.invoke(&json!({ "a": 2 })).await.json().unwrap();
    assert_eq!(first["event"], json!({ "a": 1 }));
    assert_eq!((&second["invocations"], &second["pid"]), (&json!(2), &first["pid"]));
    let left_ms = first["left_ms"].as_f64().unwrap();
    assert!((5_000.0..=10_000.0).contains(&left_ms), "{left_ms}");
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:000000000000:function:echo");
    assert!(runner.log().contains("started"), "the function's output is in its log");
}

#[tokio::test]
async fn invocations_above_the_concurrency_wait() {
    let runner = Arc::new(runner(|options| options.instances_max = 2));
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let runner = Arc::clone(&runner);
            tokio::spawn(async move {
                runner.invoke(&json!({ "do": "sleep", "seconds": 0.1 })).await.json().unwrap()
            })
        })
        .collect();
    let mut pids = Vec::new();
    for task in tasks {
        pids.push(task.await.unwrap()["pid"].as_i64().unwrap());
    }
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2);
    assert_eq!(runner.lambda.instances("echo").unwrap().len(), 2);
}

#[tokio::test]
async fn a_process_that_dies_fails_its_invocation_and_is_replaced() {
    let runner = runner(|_| {});
    let answer = runner.invoke(&json!({ "do": "exit" })).await;
    assert!(answer.is_error);
    assert!(answer.json().unwrap_err().to_string().contains("Runtime.ExitError"), "{answer:?}");
    assert_eq!(runner.invoke(&json!({})).await.json().unwrap()["invocations"], 1);
}

#[tokio::test]
async fn a_killed_instance_fails_at_once_what_it_was_doing() {
    let runner = Arc::new(runner(|_| {}));
    runner.invoke(&json!({})).await.json().unwrap();
    let busy = Arc::clone(&runner);
    let started = Instant::now();
    let task = tokio::spawn(async move { busy.invoke(&json!({ "do": "sleep", "seconds": 9 })).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(runner.lambda.kill("echo").unwrap(), 1);
    assert!(task.await.unwrap().is_error);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(runner.lambda.instances("echo").unwrap().is_empty());
}

#[tokio::test]
async fn an_invocation_past_its_time_is_killed() {
    let runner = runner(|options| options.timeout = Duration::from_millis(300));
    let pid = runner.invoke(&json!({})).await.json().unwrap()["pid"].clone();
    let answer = runner.invoke(&json!({ "do": "sleep", "seconds": 9 })).await;
    assert!(
        answer.json().unwrap_err().to_string().contains("Task timed out after 0.30 seconds"),
        "{answer:?}"
    );
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the process is gone");
    assert!(runner.invoke(&json!({})).await.json().is_ok());
}

#[tokio::test]
async fn a_handlers_error_is_an_answer_and_the_instance_lives_on() {
    let runner = runner(|_| {});
    let error = runner.invoke(&json!({ "do": "fail" })).await.json().unwrap_err().to_string();
    assert!(error.contains("ValueError as asked"), "{error}");
    assert_eq!(runner.invoke(&json!({})).await.json().unwrap()["invocations"], 2);
}

#[tokio::test]
async fn a_failed_initialisation_fails_the_invocation() {
    for (how, expected) in [("report", "Init.Failed"), ("exit", "Runtime.ExitError")] {
        let runner = runner(|options| {
            options.environment.insert("FAIL_INIT".to_owned(), how.to_owned());
        });
        let error = runner.invoke(&json!({})).await.json().unwrap_err().to_string();
        assert!(error.contains(expected), "{how}: {error}");
    }
}

#[tokio::test]
async fn payloads_have_lambdas_limit_in_both_directions() {
    let runner = runner(|_| {});
    let quoted = PAYLOAD_BYTES_MAX - 2;
    assert!(!runner.invoke(&json!({ "do": "big", "bytes": quoted })).await.is_error);
    let answer = runner.invoke(&json!({ "do": "big", "bytes": quoted + 1 })).await;
    assert!(answer.json().unwrap_err().to_string().contains("Function.ResponseSizeTooLarge"));
    let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    assert!(runner.lambda.invoke("echo", padded(PAYLOAD_BYTES_MAX).into()).await.is_ok());
    assert!(runner.lambda.invoke("echo", padded(PAYLOAD_BYTES_MAX + 1).into()).await.is_err());
}

#[tokio::test]
async fn the_environment_is_lambdas_and_the_functions_own() {
    let runner = runner(|options| {
        options.environment.insert("MINE".to_owned(), "yes".to_owned());
    });
    let environment = runner.invoke(&json!({ "do": "environment" })).await.json().unwrap();
    assert_eq!((&environment["MINE"], &environment["AWS_REGION"]), (&json!("yes"), &json!("us-east-1")));
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "echo");
    assert!(environment.get("HOME").is_none() && environment.get("CARGO_MANIFEST_DIR").is_none());
}

#[tokio::test]
async fn new_options_hold_from_the_next_invocation_on() {
    let runner = runner(|_| {});
    let before = runner.invoke(&json!({ "do": "environment" })).await.json().unwrap();
    assert!(before.get("LATER").is_none());
    let later = |options: &mut FunctionOptions| {
        options.environment.insert("LATER".to_owned(), "yes".to_owned());
    };
    runner.lambda.reconfigure("echo", later).unwrap();
    let after = runner.invoke(&json!({ "do": "environment" })).await.json().unwrap();
    assert_eq!(after["LATER"], "yes");
    assert_eq!(runner.lambda.instances("echo").unwrap().len(), 1);
}

#[tokio::test]
async fn the_gateway_routes_by_path_and_invokes_by_name() {
    let runner = runner(|_| {});
    for name in ["api", "webhook"] {
        runner.lambda.add(name, runner.lambda.options("echo").unwrap()).unwrap();
    }
    let answers = runner.folder.path().join("answers");
    let invoker = Invoker::Runner(Arc::clone(&runner.lambda));
    let gateway = Gateway::start(local::http::listen(0).unwrap(), invoker, &answers).unwrap();
    for (path, function) in [("/v1/workflows?a=b", "api"), ("/hooks/abc", "webhook"), ("/hooks", "api")] {
        let answer = local::http::get(&format!("{}{path}", gateway.url())).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-function"]),
            (200, &function.parse().unwrap())
        );
        let event: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(event["rawPath"], path.split('?').next().unwrap());
    }
    let url = |name: &str| format!("{}/2015-03-31/functions/{name}/invocations", gateway.url());
    let answer = local::http::post_json(&url("echo"), &json!({ "a": 1 })).await.unwrap();
    assert!(answer.status() == 200 && !answer.headers().contains_key("x-amz-function-error"));
    let answer = local::http::post_json(&url("echo"), &json!({ "do": "fail" })).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-amz-function-error"]),
        (200, &"Unhandled".parse().unwrap())
    );
    assert_eq!(local::http::post_json(&url("nobody"), &json!({})).await.unwrap().status(), 404);
    let answer = local::http::get(&format!("{}/v1/fail", gateway.url())).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_ref()),
        (500, br#"{"message":"Internal Server Error"}"#.as_ref())
    );
    let recorded = std::fs::read_to_string(answers).unwrap();
    assert!(recorded.contains("/hooks/abc 200") && recorded.contains("Internal Server Error"), "{recorded}");
    let remote = Invoker::Remote(gateway.url());
    assert_eq!(remote.invoke("echo", r#"{"a":2}"#).await.unwrap().json().unwrap()["event"]["a"], 2);
    assert!(remote.invoke("echo", r#"{"do":"fail"}"#).await.unwrap().is_error);
    assert!(remote.invoke("nobody", "{}").await.is_err());
}

async fn mapped(runner: &Runner, stack: &Stack, visibility_seconds: u32) -> (Mapping, QueuePair) {
    let endpoint = stack.ministack().url();
    let name = format!("mapped-{}", std::process::id() ^ visibility_seconds);
    let name = format!("{name}-{}", runner.folder.path().file_name().unwrap().to_string_lossy());
    let options = QueueOptions { visibility_timeout_seconds: visibility_seconds, receives_max: 2 };
    let queues = sqs::create_queue_pair(endpoint, &name, options).await.unwrap();
    let options = MappingOptions {
        endpoint: endpoint.to_owned(),
        queue_url: queues.url.clone(),
        function: "echo".to_owned(),
        batch_size: 10,
        concurrency: None,
    };
    let record = Arc::new(MessageRecord::open(&runner.folder.path().join("messages.jsonl")).unwrap());
    (Mapping::start(options, Invoker::Runner(Arc::clone(&runner.lambda)), record), queues)
}

async fn await_count(stack: &Stack, queue_url: &str, expected: u64) {
    let until = Instant::now() + WAIT;
    loop {
        let count: u64 = sqs::count(stack.ministack().url(), queue_url).await.unwrap().iter().sum();
        if count == expected {
            return;
        }
        assert!(Instant::now() < until, "{count} messages, not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_mapping_deletes_what_did_not_fail_and_the_rest_becomes_a_dead_letter() {
    let stack = Stack::ministack_only().await.unwrap();
    let runner = runner(|_| {});
    let (mapping, queues) = mapped(&runner, &stack, 1).await;
    for body in ["one", "fail", "two"] {
        sqs::send(stack.ministack().url(), &queues.url, body, Some("group")).await.unwrap();
    }
    await_count(&stack, &queues.dead_letter_url, 1).await;
    await_count(&stack, &queues.url, 0).await;
    assert_eq!((mapping.messages(), mapping.failures()), (4, 2), "the failed one was received twice");
    let record = std::fs::read_to_string(runner.folder.path().join("messages.jsonl")).unwrap();
    let mut bodies: Vec<_> = record
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].as_str().unwrap().to_owned())
        .collect();
    bodies.sort();
    assert_eq!(bodies, ["fail", "fail", "one", "two"], "each receipt is recorded");
}

#[tokio::test]
async fn a_paused_mapping_leaves_messages_where_they_are() {
    let stack = Stack::ministack_only().await.unwrap();
    let runner = runner(|_| {});
    let (mapping, queues) = mapped(&runner, &stack, 30).await;
    mapping.pause();
    tokio::time::sleep(Duration::from_millis(200)).await;
    sqs::send(stack.ministack().url(), &queues.url, "one", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(mapping.messages(), 0);
    mapping.resume();
    await_count(&stack, &queues.url, 0).await;
}

#[tokio::test]
async fn a_schedule_invokes_again_and_again() {
    let runner = runner(|_| {});
    let schedule =
        Schedule::start(Invoker::Runner(Arc::clone(&runner.lambda)), "echo", Duration::from_millis(50));
    let until = Instant::now() + WAIT;
    loop {
        let invocations = runner.invoke(&json!({})).await.json().unwrap()["invocations"].as_u64().unwrap();
        if invocations > 5 {
            break;
        }
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(schedule);
}
