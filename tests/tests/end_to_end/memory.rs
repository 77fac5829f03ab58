//! The memory of the builder and the executor at their limits: ten records of one author, each as
//! heavy as it may be, leave room for the others of a batch and for the function (I9, I10).

use std::collections::BTreeMap;

use domain::json::weight;
use domain::limits::{
    CONFIGURATION_WEIGHT_MAX, EVENT_DATA_WEIGHT_MAX, HTTP_RESPONSE_BYTES_MAX, SECRET_VALUE_BYTES_MAX,
};
use local::sealflow::Builder;
use secret_text::RENDERED_BYTES_MAX;
use serde_json::{Value, json};
use tests::e2e::{Product, Reply, Story, make_secret, placed};

/// Of 1,024 MB that the functions have.
const BUILDER_MIB_MAX: u64 = 350;
const EXECUTOR_MIB_MAX: u64 = 400;

/// One instance of each function, so that ten messages are one batch.
fn one_by_one(builder: Builder) -> Builder {
    let one = |options: &mut local::lambda::FunctionOptions| options.instances_max = 1;
    builder.component_seconds_max(30).function("builder", one).function("executor", one)
}

/// The most memory in MiB that an instance of a function had.
fn peak_mib(product: &Product, function: &str) -> u64 {
    let peaks = product.sealflow.lambda().instances(function).unwrap().into_iter().map(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    });
    peaks.max().expect("an instance is there")
}

/// Maps of one small entry, as many as fit into this weight.
fn maps(weight_max: usize) -> Value {
    let map = json!({ "a": 1 });
    let count = (weight_max - 4 * 1024) / weight(&map);
    Value::Array(vec![map; count])
}

async fn heavy(story: &Story<'_>, workflow: &str, data: &Value, runs: usize) -> Vec<String> {
    let sealflow = &story.product.sealflow;
    sealflow.nodes_mapping().pause();
    let mut ids = Vec::new();
    for _ in 0..runs {
        ids.push(story.start(workflow, data.clone()).await);
    }
    sealflow.nodes_mapping().resume();
    ids
}

const START: &str = "  - { id: start, name: Start, trigger: start }\n";
/// Runs of a batch.
const RUNS: usize = 10;
/// Nodes that work on one event.
const CALLS: usize = 5;
/// Events, each as heavy as may be, that lie behind the last node of a chain: more than one record
/// may look at.
const CHAIN: usize = 12;

/// Five nodes, each of which sends what it is given, and a secret.
fn calls() -> String {
    let call = |n| {
        format!(
            "  - {{ id: call{n}, name: Call{n}, component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/heavy/{n}', \
             authorization: {{ type: bearer, token: '{{{{ secrets(\"heavy\").token }}}}' }}, method: POST, \
             body: {{ json: '{{{{ root().data.list }}}}' }} }} }}\n"
        )
    };
    let edge = |n| format!("  - {{ from: start, to: call{n} }}\n");
    let (nodes, edges): (String, String) = ((0..CALLS).map(call).collect(), (0..CALLS).map(edge).collect());
    format!("name: heavy\nnodes:\n{START}{nodes}edges:\n{edges}")
}

/// A chain whose last node looks at all before it.
fn chain() -> String {
    let mut nodes = String::from(START);
    let mut edges = String::new();
    let mut before = "start".to_owned();
    for n in 0..CHAIN {
        nodes.push_str(&format!("  - {{ id: n{n}, name: N{n}, component: noop }}\n"));
        edges.push_str(&format!("  - {{ from: {before}, to: n{n} }}\n"));
        before = format!("n{n}");
    }
    format!(
        "name: chain\nnodes:\n{nodes}  - {{ id: wait, name: Wait, component: wait, concurrency: unlimited, configuration: {{ for: 1 }} }}\n  \
         - {{ id: last, name: Last, component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/last?n={{{{ len(keys($)) }}}}' }} }}\n\
         edges:\n{edges}  - {{ from: {before}, to: wait }}\n  - {{ from: wait, to: last }}\n"
    )
}

/// Five nodes, each of which sends as much of secrets as it may.
fn secrets() -> String {
    let body = r#"{{ secrets("heavy").large }}"#.repeat(RENDERED_BYTES_MAX / SECRET_VALUE_BYTES_MAX);
    let call = |n| {
        format!(
            "  - {{ id: call{n}, name: Call{n}, component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/secrets/{n}', \
             method: POST, body: {{ text: '{body}' }} }} }}\n"
        )
    };
    let edge = |n| format!("  - {{ from: start, to: call{n} }}\n");
    let (nodes, edges): (String, String) = ((0..CALLS).map(call).collect(), (0..CALLS).map(edge).collect());
    format!("name: secrets\nnodes:\n{START}{nodes}edges:\n{edges}")
}

/// Holds the peaks.
fn check_peaks(product: &Product, name: &str) {
    let (builder, executor) = (peak_mib(product, "builder"), peak_mib(product, "executor"));
    println!("{name}: builder {builder} MiB, executor {executor} MiB");
    assert!(builder <= BUILDER_MIB_MAX && executor <= EXECUTOR_MIB_MAX, "{name}: {builder}, {executor} MiB");
}

#[tokio::test]
async fn ten_records_at_every_limit_leave_room_i10() {
    let product = Product::start(one_by_one).await;
    let story = product.story("heavy").await;
    let secret = make_secret("heavy");
    story.set_secret("heavy", "token", &secret).await;
    story.apply(&placed(&product, &calls())).await;
    story.apply(&placed(&product, &chain())).await;

    let answer = serde_json::to_vec(&maps(EVENT_DATA_WEIGHT_MAX)).unwrap();
    // The first batch of the executor; a small answer to the others.
    let small = || Reply::Body("text/plain", b"taken".to_vec());
    let mut answers = vec![Reply::Body("application/json", answer); RUNS];
    answers.resize_with(2 * RUNS * CALLS, small);
    product.target.script("/heavy/", answers);
    let data = json!({ "list": maps(CONFIGURATION_WEIGHT_MAX) });
    for run in heavy(&story, "heavy", &data, RUNS).await {
        assert_eq!(story.ended(&run).await["result"], "passed");
    }
    check_peaks(&product, "configurations and answers");

    let data = json!({ "list": [1], "rest": maps(EVENT_DATA_WEIGHT_MAX) });
    for run in heavy(&story, "heavy", &data, RUNS).await {
        assert_eq!(story.ended(&run).await["result"], "passed");
    }
    check_peaks(&product, "events");

    for run in heavy(&story, "chain", &data, 3).await {
        assert_eq!(story.ended(&run).await["result"], "failed");
        let last = story.execution(&run, "last").await;
        assert_eq!(last["result_reason"], "limit", "{last:#}");
    }
    check_peaks(&product, "events behind");
    // A secret of the largest size in as many places as may be, and ten answers of the largest size
    // with it.
    let large: String = (0..)
        .map(|n| format!("{n:x}-of-a-secret "))
        .flat_map(|text| text.chars().collect::<Vec<_>>())
        .take(SECRET_VALUE_BYTES_MAX)
        .collect();
    story.set_secret("heavy", "large", &large).await;
    story.apply(&placed(&product, &secrets())).await;
    let echo =
        format!("{}{large}", "an answer of the target ".repeat((HTTP_RESPONSE_BYTES_MAX - large.len()) / 24));
    let mut answers = vec![Reply::Body("text/plain", echo.into_bytes()); RUNS];
    answers.resize_with(2 * RUNS * CALLS, small);
    product.target.script("/secrets/", answers);
    let mut ended = BTreeMap::new();
    for run in heavy(&story, "secrets", &json!({}), 2 * RUNS / CALLS).await {
        story.ended(&run).await;
        for n in 0..CALLS {
            let execution = story.execution(&run, &format!("call{n}")).await;
            *ended.entry(execution["result"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    check_peaks(&product, "secrets");
    assert_eq!(
        ended,
        BTreeMap::from([("failed".to_owned(), RUNS), ("passed".to_owned(), RUNS)]),
        "those with small answers end well"
    );
    story.end(&[&secret, &large[large.len() / 2..large.len() / 2 + 64]]).await;
}
