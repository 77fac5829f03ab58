//! What the builder and the executor hold at their limits: ten records of one author, each as heavy as it may be, leave room for the
//! others of a batch and for the function (I9, I10).

use local::sealflow::Builder;
use model::json::weight;
use model::limits::{CONFIGURATION_WEIGHT_MAX, EVENT_DATA_WEIGHT_MAX};
use serde_json::{Value, json};
use tests::e2e::{Product, Story, placed};

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

#[tokio::test]
async fn ten_records_at_every_limit_leave_room_i10() {
    let product = Product::start(one_by_one).await;
    let story = product.story("heavy").await;
    let mut definition =
        String::from("name: heavy\nnodes:\n  - { id: start, name: Start, trigger: start }\n");
    for n in 0..5 {
        definition.push_str(&format!(
            "  - {{ id: call{n}, name: Call{n}, component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/heavy/{n}', method: POST, body: {{ json: '{{{{ root().data.list }}}}' }} }} }}\n"
        ));
    }
    definition.push_str("edges:\n");
    for n in 0..5 {
        definition.push_str(&format!("  - {{ from: start, to: call{n} }}\n"));
    }
    story.apply(&placed(&product, &definition)).await;
    println!("idle: builder {} MiB", peak_mib(&product, "api"));
    for (name, data) in [
        ("configurations", json!({ "list": maps(CONFIGURATION_WEIGHT_MAX) })),
        ("events", json!({ "list": [1], "rest": maps(EVENT_DATA_WEIGHT_MAX) })),
    ] {
        let runs = heavy(&story, "heavy", &data, 10).await;
        for run in &runs {
            assert_eq!(story.ended(run).await["state"], "passed");
        }
        println!(
            "{name}: builder {} MiB, executor {} MiB",
            peak_mib(&product, "builder"),
            peak_mib(&product, "executor")
        );
    }
    story.end(&[]).await;
}
