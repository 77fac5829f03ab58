//! The treatment of functions by a real Lambda alone: it puts their sandboxes to sleep, and it
//! counts how long a chain of invocations is.

use std::sync::Arc;
use std::time::Duration;

use local::lambda::RecursiveLoop;
use local::sealflow::Sealflow;
use local::stack::{Stack, StackOptions};
use local::target::Target;
use serde_json::json;
use tests::crash::AwsProxy;
use tests::{Asleep, PostgresWire, WAIT_MAX};

/// Longer than a connection may be idle without a probe (`PROBED_AFTER` of the store).
const IDLE: Duration = Duration::from_millis(5_200);
/// Runs that wait for one slot.
const WAITING: usize = 20;

async fn stack() -> Arc<Stack> {
    Arc::new(StackOptions::new().postgres().ministack().start().await.unwrap())
}

fn definition(target: &Target) -> serde_json::Value {
    json!({ "name": "sleepy",
        "nodes": [
            { "id": "hook", "name": "Hook", "trigger": "webhook", "configuration": { "authentication": "none" } },
            { "id": "call", "name": "Call", "component": "http",
              "configuration": { "method": "POST", "url": format!("http://{}/called", target.host_port()) } },
        ],
        "edges": [{ "from": "hook", "to": "call" }] })
}

async fn apply(sealflow: &Sealflow, target: &Target) -> String {
    let (status, answer) = sealflow.request("PUT", "/v1/workflows", Some(&definition(target))).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["webhooks"][0]["url"].as_str().unwrap().to_owned()
}

async fn deliver(hook: &str) -> u16 {
    let request = http::Request::post(hook).body(bytes::Bytes::new()).unwrap();
    local::http::send(request, Duration::from_secs(30)).await.unwrap().status().as_u16()
}

async fn await_passed(sealflow: &Sealflow, count: usize) {
    let ended = "SELECT count(*) FILTER (WHERE result = 'passed'), count(*) FROM workflow_node_executions";
    sealflow.await_sql(ended, &format!("{count}|{count}"), WAIT_MAX).await.unwrap();
    sealflow.await_empty_queues(WAIT_MAX).await.unwrap();
}

/// Puts every instance to sleep. The next invocation finds its connections as after a minute of
/// sleep.
async fn sleep(sealflow: &Sealflow, wire: &PostgresWire, how: Asleep, long: bool) {
    for function in ["api", "webhook", "builder", "executor", "sweeper"] {
        assert!(
            sealflow.lambda().put_to_sleep(function).unwrap() > 0,
            "{function} has an instance that sleeps"
        );
    }
    wire.put_to_sleep(how);
    if long {
        // The one thing that is waited for here is time itself: that a connection was idle is
        // measured by the clock.
        tokio::time::sleep(IDLE).await;
    }
}

/// After the sleep: a request, a delivery, both batches and a tick of the sweeper, each once and
/// without a failure.
async fn everything_passes(sealflow: &Sealflow, target: &Target, hook: &str, count: usize) {
    let failures = || sealflow.nodes_mapping().failures() + sealflow.executions_mapping().failures();
    let before = failures();
    assert_eq!(sealflow.get("/v1/workflows").await.unwrap().0, 200);
    assert_eq!(deliver(hook).await, 202, "the delivery is accepted");
    await_passed(sealflow, count).await;
    sealflow.invoke("sweeper", &json!({})).await.expect("the tick passes");
    assert_eq!(failures(), before, "no batch came again");
    assert_eq!(target.requests().len(), count, "one effect each");
    let events = "SELECT count(*) FROM workflow_events WHERE type = 'webhook'";
    assert_eq!(sealflow.sql(events).await.unwrap(), count.to_string(), "one event each");
}

#[tokio::test]
async fn instances_that_slept_lose_nothing_and_do_nothing_twice_i3_i5() {
    let stack = stack().await;
    let wire = PostgresWire::to(stack.postgres().host_port()).await;
    let target = Target::start().await.unwrap();
    let sealflow = Sealflow::builder()
        .stack(stack)
        .database_endpoint(wire.host_port())
        .http_allow(target.host_port())
        .no_sweeps()
        .start()
        .await
        .unwrap();
    let hook = apply(&sealflow, &target).await;
    // Every instance has a connection before its sleep.
    everything_passes(&sealflow, &target, &hook, 1).await;

    sleep(&sealflow, &wire, Asleep::Reset, true).await;
    everything_passes(&sealflow, &target, &hook, 2).await;
    sleep(&sealflow, &wire, Asleep::Silent, true).await;
    everything_passes(&sealflow, &target, &hook, 3).await;
    // Work went into no connection that was dead: what was sent there were probes.
    assert!(
        wire.sent_asleep().len() >= 10 && wire.sent_asleep().iter().all(|name| name == "probe"),
        "{:?}",
        wire.sent_asleep()
    );

    // A short sleep: no probe comes first, and the first statement is sent once more.
    sleep(&sealflow, &wire, Asleep::Reset, false).await;
    everything_passes(&sealflow, &target, &hook, 4).await;
    assert!(wire.sent_asleep().iter().any(|name| name == "begin_run"), "{:?}", wire.sent_asleep());

    // The server has carried out what the connection was lost over: the second try finds its own
    // event, and makes no other.
    wire.lose_answer("/* begin_run */");
    everything_passes(&sealflow, &target, &hook, 5).await;
    assert!(wire.has_lost_answer());
    sealflow.stop().await.unwrap();
}

/// Runs that wait for one slot wake each other: a chain of invocations as long as the queue.
async fn wait_for_one_slot(recursive_loop: RecursiveLoop) -> (Sealflow, Target) {
    let stack = stack().await;
    let queue = AwsProxy::to(stack.ministack().url(), 1).await;
    let target = Target::start().await.unwrap();
    let sealflow = Sealflow::builder()
        .stack(stack)
        .sqs_endpoint(queue.url())
        .http_allow(target.host_port())
        .no_sweeps()
        .pause_nodes()
        .function("builder", move |options| options.recursive_loop = recursive_loop)
        .function("executor", move |options| options.recursive_loop = recursive_loop)
        .start()
        .await
        .unwrap();
    // The proxy lives as long as the process.
    Box::leak(Box::new(queue));
    let hook = apply(&sealflow, &target).await;
    for _ in 0..WAITING {
        assert_eq!(deliver(&hook).await, 202);
    }
    sealflow.nodes_mapping().resume();
    (sealflow, target)
}

#[tokio::test]
async fn a_busy_node_makes_chains_that_are_longer_than_lambda_allows_by_default() {
    let (sealflow, target) = wait_for_one_slot(RecursiveLoop::Allow).await;
    await_passed(&sealflow, WAITING).await;
    assert_eq!(target.requests().len(), WAITING);
    let hops = sealflow.lambda().hops_max("executor").unwrap();
    assert!(hops > local::lineage::HOPS_MAX, "{hops} hops: template.yaml has to say RecursiveLoop: Allow");
    sealflow.stop().await.unwrap();
}

#[tokio::test]
async fn with_lambdas_default_a_busy_node_stops_until_the_sweeper_comes_i8() {
    let (sealflow, _target) = wait_for_one_slot(RecursiveLoop::Terminate).await;
    sealflow.await_empty_queues(WAIT_MAX).await.unwrap();
    let left = "SELECT count(*) > 0 FROM workflow_node_queue_items";
    assert_eq!(sealflow.sql(left).await.unwrap(), "t", "the chain was stopped with work left");
    sealflow.stop().await.unwrap();
}
