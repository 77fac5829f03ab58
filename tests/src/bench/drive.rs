//! The steps of a run: apply, deliver, wait for the end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use local::sealflow::Sealflow;
use serde_json::Value;
use tokio_postgres::Client;

/// The time that one request may take, and one run.
const REQUEST_MAX: Duration = Duration::from_secs(30);
const RUN_MAX: Duration = Duration::from_secs(300);
/// The pause between two looks at the work.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Delivers to a webhook; one that answers with a status of `busy` gets it again after a pause, as
/// senders do.
pub(super) async fn post(hook: &str, number: usize, busy: &[u16], pause: Duration) {
    loop {
        let request = Request::post(hook)
            .header("content-type", "application/json")
            .body(Bytes::from(format!("{{\"n\":{number}}}")))
            .expect("a request");
        let answer = local::http::send(request, REQUEST_MAX).await.expect("the front answers");
        match answer.status().as_u16() {
            202 => return,
            status if busy.contains(&status) => tokio::time::sleep(pause).await,
            status => panic!("a delivery was answered with {status}"),
        }
    }
}

/// Waits until nothing is open any more.
pub(super) async fn ended(client: &Client, sealflow: &Sealflow) {
    let open = "SELECT EXISTS (SELECT FROM workflow_node_queue_items) OR EXISTS (SELECT FROM workflow_node_executions WHERE state <> 'finished')";
    let until = Instant::now() + RUN_MAX;
    let statement = client.prepare(open).await.expect("it is prepared");
    loop {
        let is_open: bool = client.query_one(&statement, &[]).await.expect("Postgres answers").get(0);
        if !is_open {
            return;
        }
        assert!(Instant::now() < until, "the run does not end: {}", sealflow.end_of_log("builder"));
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Applies a definition; the address of its webhook.
pub(super) async fn apply(sealflow: &Sealflow, token: &str, definition: String) -> String {
    let request = Request::put(format!("{}/v1/workflows", sealflow.gateway_url()))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/yaml")
        .body(Bytes::from(definition))
        .expect("a request");
    let answer = local::http::send(request, REQUEST_MAX).await.expect("the API answers");
    let applied: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(answer.status(), 200, "{applied:#}");
    applied["webhooks"][0]["url"].as_str().expect("a webhook").to_owned()
}
