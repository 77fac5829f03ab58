//! Workflows that call each other in a circle.

use std::net::TcpListener;
use std::time::Duration;

use local::sealflow::Sealflow;
use serde_json::{Value, json};

fn edge(from: &str, to: &str) -> Value {
    json!({ "from": from, "to": to })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_calls_itself_stops_after_ten_hops_i10() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let sealflow = Sealflow::builder()
        .gateway_port(port)
        .http_allow(format!("127.0.0.1:{port}"))
        .start()
        .await
        .expect("the product starts");
    let definition = |url: &str| {
        json!({ "name": "circle",
            "nodes": [
                { "id": "hook", "name": "Hook", "trigger": "webhook", "configuration": { "authentication": "none" } },
                { "id": "call", "name": "Call", "component": "http", "configuration": { "method": "POST", "url": url } },
            ],
            "edges": [edge("hook", "call")] })
    };
    let (status, answer) = sealflow
        .request("PUT", "/v1/workflows", Some(&definition("https://target.test/")))
        .await
        .expect("an answer");
    assert_eq!(status, 200, "{answer}");
    let url = answer["webhooks"][0]["url"].as_str().expect("an address").to_owned();
    let (status, answer) =
        sealflow.request("PUT", "/v1/workflows", Some(&definition(&url))).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");

    let request = http::Request::post(&url).body(bytes::Bytes::new()).expect("a request");
    let first = local::http::send(request, Duration::from_secs(20)).await.expect("an answer");
    assert_eq!(first.status(), 202);
    // The first delivery came from outside; each of the ten after it from the one before; the
    // eleventh call is refused.
    let ended = "SELECT result, count(*) FROM workflow_node_executions WHERE state = 'finished' GROUP BY result ORDER BY result";
    sealflow.await_sql(ended, "failed|1\npassed|10", Duration::from_secs(60)).await.expect("the circle ends");
    let said = "SELECT metadata #>> '{attempts,0,error,message}' FROM workflow_node_executions WHERE result = 'failed'";
    let said = sealflow.sql(said).await.expect("a message");
    assert!(said.contains("508"), "{said}");
    sealflow.await_empty_queues(Duration::from_secs(30)).await.expect("nothing is left");
    let events = "SELECT count(*) FROM workflow_events WHERE type = 'webhook'";
    assert_eq!(sealflow.sql(events).await.expect("a count"), "11");
    sealflow.stop().await.expect("it stops");
}
