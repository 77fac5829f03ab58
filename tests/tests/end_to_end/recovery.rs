//! Failures around the functions, end to end: killed processes, lost and repeated messages, records
//! that poison their batch. No work is lost or doubled (I3), effects are identifiable (I5),
//! Postgres is the truth (I8), and one bad item stops no other (I9).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use local::sealflow::Builder;
use local::sqs;
use serde_json::{Value, json};
use tests::e2e::{Product, Reply, Shared, Story, placed, until, word};

/// Times of seconds: a lease of 12, a function timeout of 24, a grace of 1.
fn hurried(builder: Builder) -> Builder {
    builder
        .component_seconds_max(2)
        .visibility_timeout_seconds(24)
        .sweep_every(Duration::from_millis(500))
        .environment("sweeper", "SEALFLOW_SWEEP_GRACE_SECONDS", "1")
}

/// As [`hurried`], but the sweeper runs only when a test invokes it.
fn swept_by_hand(builder: Builder) -> Builder {
    hurried(builder).no_sweeps()
}

/// The workflow `start → call → after`, with the call to `TARGET/NAME/n`.
fn chain(product: &Product, name: &str, concurrency: &str) -> String {
    let definition = r"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: call, name: Call, component: http, concurrency: LIMIT, configuration: { url: 'TARGET/NAME/{{ root().data.n }}' } }
  - { id: after, name: After, component: http, concurrency: LIMIT, configuration: { url: 'TARGET/NAME-after/{{ root().data.n }}' } }
edges:
  - { from: start, to: call }
  - { from: call, channel: success, to: after }
";
    placed(product, &definition.replace("NAME", name).replace("LIMIT", concurrency))
}

async fn queue_up(story: &Story<'_>, workflow: &str, count: usize) -> Vec<String> {
    let mut runs = Vec::new();
    for n in 0..count {
        runs.push(story.start(workflow, json!({ "n": n })).await);
    }
    runs
}

async fn all_pass(story: &Story<'_>, runs: &[String]) {
    for run in runs {
        let ended = story.ended(run).await;
        assert_eq!(ended["result"], "passed", "{:#?}", story.executions(run).await);
    }
}

#[tokio::test]
async fn an_execution_whose_process_is_killed_runs_again_after_its_lease_with_the_same_key_i3_i5() {
    let product = Product::start(hurried).await;
    let story = product.story("killed").await;
    story.apply(&chain(&product, "killed", "1")).await;
    product.target.script("/killed/0", [Reply::Late(Duration::from_millis(1_900))]);
    let run = story.start("killed", json!({ "n": 0 })).await;
    product.target.heard("/killed/0", 1).await;
    assert!(product.sealflow.lambda().kill("executor").unwrap() > 0);
    let claim = format!(
        "SELECT lease_until::text, lease_until - started_at > interval '9 seconds'
         FROM workflow_node_executions WHERE root_event_id = '{run}' AND state = 'started'"
    );
    let claim = product.sealflow.sql(&claim).await.unwrap();
    let lease_until = claim.strip_suffix("|t").expect("a claim that lasts");
    let waiting = story.start("killed", json!({ "n": 1 })).await;
    product.target.heard("/killed/0", 2).await;
    let is_over = format!("SELECT clock_timestamp() > '{lease_until}'");
    assert_eq!(product.sealflow.sql(&is_over).await.unwrap(), "t", "it ran again within its lease");
    all_pass(&story, &[run.clone(), waiting]).await;
    let call = story.execution(&run, "call").await;
    let heard = product.target.requests("/killed/0");
    let keys: Vec<_> = heard.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys, [call["id"].as_str().unwrap(); 2]);
    assert_eq!(
        (&call["attempt"], &call["crashes"]),
        (&json!(1), &json!(0)),
        "no attempt is used up, and the crash is no longer counted"
    );
    assert_eq!(product.target.requests("/killed-after/0").len(), 1);
    story.end(&[]).await;
}

#[tokio::test]
async fn what_kills_its_process_each_time_ends_as_crashed_and_its_neighbours_go_on_i9() {
    let product = Product::start(hurried).await;
    let story = product.story("poison").await;
    story.apply(&chain(&product, "poison", "unlimited")).await;
    product.target.script("/poison/0", [1_900; 9].map(Duration::from_millis).map(Reply::Late));
    let poison = story.start("poison", json!({ "n": 0 })).await;
    for crash in 1..=3 {
        product.target.heard("/poison/0", crash).await;
        assert!(product.sealflow.lambda().kill("executor").unwrap() > 0);
        // Leases and the backoff of wakes go by times in the database: the test moves these back
        // instead of waiting.
        let expire = format!(
            "UPDATE workflow_node_executions SET lease_until = now() - interval '1 second', last_sent_at = now() - interval '1 hour'
             WHERE root_event_id = '{poison}' AND state = 'started'"
        );
        let crashes =
            format!("SELECT crashes FROM workflow_node_executions WHERE root_event_id = '{poison}'");
        product.sealflow.await_sql(&crashes, &crash.to_string(), tests::WAIT_MAX).await.unwrap();
        product.sealflow.sql(&expire).await.unwrap();
        let neighbour = story.start("poison", json!({ "n": crash })).await;
        assert_eq!(story.ended(&neighbour).await["result"], "passed", "after crash {crash}");
    }
    let run = story.ended(&poison).await;
    let call = story.execution(&poison, "call").await;
    assert_eq!((&run["result"], &call["result_reason"]), (&json!("failed"), &json!("crashed")));
    assert!(!word(&call["result_message"]).is_empty());
    assert_eq!(product.target.requests("/poison/0").len(), 3);
    story.end(&[]).await;
}

#[tokio::test]
async fn runs_end_once_although_builders_and_executors_are_killed_at_work_i3() {
    const RUNS: usize = 12;
    let product = Product::start(hurried).await;
    let story = product.story("chaos").await;
    story.apply(&chain(&product, "chaos", "3")).await;
    product.target.script("/chaos/", [150; 8].map(Duration::from_millis).map(Reply::Late));
    let runs = queue_up(&story, "chaos", RUNS).await;
    for heard in [3, 9] {
        product.target.heard("/chaos", heard).await;
        product.sealflow.lambda().kill("builder").unwrap();
        product.sealflow.lambda().kill("executor").unwrap();
    }
    all_pass(&story, &runs).await;
    let workflows = story.workflows();
    let sql = format!(
        "SELECT count(*), count(DISTINCT (event_id, node_id)),
            (SELECT count(*) FROM workflow_events WHERE execution_id IS NOT NULL AND workflow_id IN ({workflows})),
            (SELECT count(DISTINCT execution_id) FROM workflow_events WHERE workflow_id IN ({workflows}))
         FROM workflow_node_executions WHERE workflow_id IN ({workflows})"
    );
    let all = 2 * RUNS;
    assert_eq!(product.sealflow.sql(&sql).await.unwrap(), format!("{all}|{all}|{all}|{all}"));
    let heard = product.target.requests("/chaos");
    let keys: BTreeSet<_> =
        heard.iter().map(|request| (&request.path, request.header("idempotency-key"))).collect();
    assert_eq!(keys.len(), all, "a target can tell repeated calls by their keys");
    story.end(&[]).await;
}

#[tokio::test]
async fn when_every_message_is_lost_the_sweeper_ends_all_work_i8() {
    let product = Product::start(swept_by_hand).await;
    let story = product.story("lost").await;
    story.apply(&chain(&product, "lost", "1")).await;
    let sealflow = &product.sealflow;
    let lose = async |url: &str| sqs::purge(sealflow.stack().ministack().url(), url).await.unwrap();
    let swept = async |what: &str| {
        until("the sweeper finds what was lost", || async {
            let swept = sealflow.invoke("sweeper", &json!({})).await.unwrap();
            swept[what].as_u64() > Some(0)
        })
        .await;
    };

    sealflow.nodes_mapping().pause();
    let runs = queue_up(&story, "lost", 5).await;
    lose(&sealflow.queues().nodes.url).await;
    sealflow.executions_mapping().pause();
    sealflow.nodes_mapping().resume();
    assert_eq!(product.target.requests("/lost").len(), 0);
    swept("nodes").await;
    // Five items wait behind one limit: one wake makes the first of them pending.
    let pending =
        format!("SELECT count(*) FROM workflow_node_executions WHERE workflow_id IN ({})", story.workflows());
    sealflow.await_sql(&pending, "1", tests::WAIT_MAX).await.unwrap();
    let sent = format!(
        "SELECT sum(sent_count) FROM workflow_node_queue_items WHERE workflow_id IN ({})",
        story.workflows()
    );
    assert_eq!(sealflow.sql(&sent).await.unwrap(), "0", "items behind the limit cost no message");

    // The message for the executor is lost too.
    until("the execution's message", || async {
        sqs::count(sealflow.stack().ministack().url(), &sealflow.queues().executions.url).await.unwrap()[0]
            > 0
    })
    .await;
    lose(&sealflow.queues().executions.url).await;
    sealflow.executions_mapping().resume();
    swept("executions").await;
    all_pass(&story, &runs).await;
    let paths: Vec<_> = product.target.requests("/lost/").into_iter().map(|request| request.path).collect();
    assert_eq!(
        paths,
        (0..5).map(|n| format!("/lost/{n}")).collect::<Vec<_>>(),
        "each call once, in order (I4)"
    );
    story.end(&[]).await;
}

async fn by_hand() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(swept_by_hand).await
}

#[tokio::test]
async fn messages_that_come_many_times_or_name_nothing_do_no_harm_i3_i6() {
    let product = &by_hand().await;
    let story = product.story("many").await;
    let workflow = word(&story.apply(&chain(product, "many", "1")).await["workflow"]["id"]);
    let sealflow = &product.sealflow;
    let send = async |url: &str, body: Value| {
        let body = body.to_string();
        sqs::send(sealflow.stack().ministack().url(), url, &body, Some(&story.organization.id))
            .await
            .unwrap();
    };
    let (nodes, executions) = (&sealflow.queues().nodes.url, &sealflow.queues().executions.url);
    product.target.script("/many/0", [Reply::Late(Duration::from_millis(800))]);
    let run = story.start("many", json!({ "n": 0 })).await;
    let nobody = "01890000-0000-7000-8000-000000000001";
    for _ in 0..12 {
        send(nodes, json!({ "v": 1, "kind": "event", "event_id": run })).await;
        send(nodes, json!({ "v": 1, "kind": "node", "workflow_id": workflow, "node_id": "call" })).await;
        send(nodes, json!({ "v": 1, "kind": "node", "workflow_id": workflow, "node_id": "none" })).await;
        send(nodes, json!({ "v": 1, "kind": "event", "event_id": nobody })).await;
        send(nodes, json!({ "v": 1, "kind": "execution", "execution_id": nobody })).await;
    }
    product.target.heard("/many/0", 1).await;
    let call = word(&story.execution(&run, "call").await["id"]);
    for _ in 0..12 {
        send(executions, json!({ "v": 1, "kind": "execution", "execution_id": call })).await;
        send(executions, json!({ "v": 1, "kind": "execution", "execution_id": nobody })).await;
        send(executions, json!({ "v": 1, "kind": "event", "event_id": run })).await;
    }
    all_pass(&story, std::slice::from_ref(&run)).await;
    for id in [&call, &word(&story.execution(&run, "after").await["id"])] {
        send(executions, json!({ "v": 1, "kind": "execution", "execution_id": id })).await;
        send(nodes, json!({ "v": 1, "kind": "event", "event_id": run })).await;
    }
    sealflow.await_empty_queues(tests::WAIT_MAX).await.unwrap();
    assert_eq!(story.executions(&run).await.len(), 2);
    assert_eq!(
        (product.target.requests("/many/").len(), product.target.requests("/many-after/").len()),
        (1, 1)
    );
    story.end(&[]).await;
}

/// Answers of a target that can't be stored as they are, each with its result: the stored body, or
/// the code and the message of the failure.
#[expect(clippy::type_complexity, reason = "a table")]
fn poisonous_answers() -> Vec<(&'static str, Vec<u8>, Result<Value, (&'static str, &'static str)>)> {
    let as_text = |text: String| (text.clone().into_bytes(), Ok(json!(text)));
    let row = |kind, (body, expected)| (kind, body, expected);
    let binary = |sha256: &str| Ok(json!({ "bytes": 3, "type": "application/json", "sha256": sha256 }));
    vec![
        ("nul", br#"{"a": "\u0000"}"#.to_vec(), Ok(json!({ "a": "\u{fffd}" }))),
        ("nul-key", br#"{"\u0000": 1}"#.to_vec(), Ok(json!({ "\u{fffd}": 1 }))),
        ("nul-text", br#""\u0000""#.to_vec(), Ok(json!("\u{fffd}"))),
        (
            "raw-nul",
            b"a\0b".to_vec(),
            binary("59b271ae1bbcb1d31d41929817f4b16fb439eb4f31520b5ad1d5ce98920a7138"),
        ),
        ("surrogate", br#"{"a": "\ud800"}"#.to_vec(), Ok(json!({ "a": "\u{fffd}" }))),
        row("number", as_text("1e131072".to_owned())),
        row("numbers", as_text("[1e131071, 1e400]".to_owned())),
        row("digits", as_text("9".repeat(200_000))),
        row("brackets", as_text("[".repeat(20_000))),
        row("nested", as_text("[".repeat(20_000) + &"]".repeat(20_000))),
        (
            "bytes",
            vec![0xff, 0xfe, 0x00],
            binary("ba778c0261008c8f71ae4061ad0162ffcbe63b52c91f89f236738131d1217ec7"),
        ),
        (
            "large",
            vec![b'x'; 300 * 1024],
            Err((
                "response_too_large_to_store",
                "the server answered with status 200 and a body of 307200 bytes; at most 262144 can be stored",
            )),
        ),
        (
            "huge",
            vec![b'x'; 5 * 1024 * 1024],
            Err(("response_too_large", "the response is larger than 4194304 bytes")),
        ),
        (
            "values",
            format!("[{}0]", "0,".repeat(120_000)).into_bytes(),
            Err(("output_can_not_be_stored", "the output can't be stored: more than 100000 values")),
        ),
    ]
}

#[tokio::test]
async fn a_poisonous_answer_in_a_batch_of_ten_leaves_the_other_nine_alone_i9() {
    let product =
        Product::start(|builder| hurried(builder).function("executor", |options| options.instances_max = 1))
            .await;
    let story = product.story("answers").await;
    let definition = r"
name: answers
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: call, name: Call, component: http, concurrency: unlimited, configuration: { url: 'TARGET/answers/{{ root().data.kind }}/{{ root().data.n }}' } }
  - { id: after, name: After, component: noop }
edges:
  - { from: start, to: call }
  - { from: call, channel: success, to: after }
  - { from: call, channel: failure, to: after }
";
    story.apply(&placed(&product, definition)).await;
    for (kind, body, expected) in poisonous_answers() {
        product.target.script(&format!("/answers/{kind}/4"), [Reply::Body("application/json", body)]);
        product.sealflow.executions_mapping().pause();
        let mut runs = Vec::new();
        for n in 0..10 {
            runs.push(story.start("answers", json!({ "kind": kind, "n": n })).await);
        }
        let pending = "SELECT count(*) FROM workflow_node_executions WHERE state = 'pending'";
        product.sealflow.await_sql(pending, "10", tests::WAIT_MAX).await.unwrap();
        product.sealflow.executions_mapping().resume();
        for (n, run) in runs.iter().enumerate() {
            let ended = story.ended(run).await;
            let call = story.execution(run, "call").await;
            let result = if n == 4 && expected.is_err() { "failed" } else { "passed" };
            assert_eq!(call["result"], result, "{kind} {n}: {call:#}");
            assert!(n == 4 || ended["result"] == "passed", "{kind} {n}: {ended:#}");
            assert_eq!(
                product.target.requests(&format!("/answers/{kind}/{n}")).len(),
                1,
                "{kind} {n}: the call is sent once"
            );
        }
        let call = story.execution(&runs[4], "call").await;
        match expected {
            Ok(body) => {
                let sql = format!(
                    "SELECT data->'body' FROM workflow_events WHERE execution_id = '{}'",
                    word(&call["id"])
                );
                let stored: Value = serde_json::from_str(&product.sealflow.sql(&sql).await.unwrap()).unwrap();
                assert!(stored == body, "{kind}: {stored:.80}");
            }
            Err((code, message)) => {
                assert_eq!(call["metadata"]["attempts"][0]["error"]["code"], code, "{kind}: {call:#}");
                assert_eq!(call["result_message"], message, "{kind}");
            }
        }
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn a_poisonous_item_in_a_batch_of_ten_leaves_the_other_nine_alone_i9() {
    let product =
        Product::start(|builder| hurried(builder).function("builder", |options| options.instances_max = 1))
            .await;
    let story = product.story("items").await;
    let definition = r#"
name: items
nodes:
  - { id: start, name: Start, trigger: start }
  - id: call
    name: Call
    component: http
    concurrency: unlimited
    configuration: { method: POST, url: 'TARGET/items', body: { json: { big: '{{ repeat("x", root().data.times) }}', word: '{{ root().data.word.text }}', read: '{{ fromJSON(root().data.json) }}' } } }
    keys: { key: '{{ root().data.key }}' }
edges:
  - { from: start, to: call }
"#;
    story.apply(&placed(&product, definition)).await;
    let good = json!({ "times": 1, "word": { "text": "a" }, "key": "k", "json": "1" });
    let with = |field: &str, value: Value| {
        let mut data = good.clone();
        data[field] = value;
        data
    };
    let no_json = "configuration.body.json.read: fromJSON(): the text is no JSON";
    let poisons = [
        (
            with("key", json!("k".repeat(2_048))),
            "limit",
            "keys.key: the value of a key can have at most 1024 bytes",
        ),
        (
            with("times", json!(300 * 1024)),
            "limit",
            "configuration: the resolved configuration is larger than 262144 bytes",
        ),
        (
            with("times", json!(-1)),
            "template_error",
            "configuration.body.json.big: repeat(): the count must not be negative",
        ),
        (
            with("times", json!("many")),
            "template_error",
            "configuration.body.json.big: repeat(): argument 2 must be an integer, not string",
        ),
        (
            with("times", json!(1e15)),
            "template_error",
            "configuration.body.json.big: repeat() makes no more than 1048576 bytes",
        ),
        (
            with("word", json!("text")),
            "template_error",
            "configuration.body.json.word: an index must be an integer, not string",
        ),
        (json!(null), "template_error", "configuration.body.json.big: nil has no fields and no elements"),
        (with("json", json!(r#""\ud800""#)), "template_error", no_json),
        (with("json", json!("1e131072")), "template_error", no_json),
        (with("json", json!("[1e131071, 1e131071]")), "template_error", no_json),
        (with("json", json!("[".repeat(20_000))), "template_error", no_json),
        (with("json", json!("[".repeat(20_000) + &"]".repeat(20_000))), "template_error", no_json),
        // Postgres can't store NUL, so U+FFFD is stored in its place.
        (with("json", json!(r#""\u0000""#)), "", ""),
    ];
    let failing = poisons.iter().filter(|(_, reason, _)| !reason.is_empty()).count();
    let sent = poisons.len() * 10 - failing;
    for (poison, reason, message) in poisons {
        product.sealflow.nodes_mapping().pause();
        let mut runs = Vec::new();
        for n in 0..10 {
            runs.push(story.start("items", if n == 4 { poison.clone() } else { good.clone() }).await);
        }
        product.sealflow.nodes_mapping().resume();
        for (n, run) in runs.iter().enumerate() {
            let ended = story.ended(run).await;
            let is_failing = n == 4 && !reason.is_empty();
            assert_eq!(ended["result"], if is_failing { "failed" } else { "passed" }, "{n} {poison:.80}");
        }
        // The message of a template has further lines with the expression. No message repeats data.
        let ended = story.execution(&runs[4], "call").await;
        let said = ended["result_message"].as_str().unwrap_or_default();
        assert_eq!(ended["result_reason"].as_str().unwrap_or_default(), reason, "{poison:.80}: {said}");
        assert_eq!(said.lines().next().unwrap_or_default(), message, "{poison:.80}");
        assert!(said.len() < 2_000, "a message repeats no data: {said:.200}");
        if reason.is_empty() {
            assert_eq!(ended["configuration"]["body"]["json"]["read"], "\u{fffd}");
        }
    }
    assert_eq!(product.target.requests("/items").len(), sent);
    story.end(&[]).await;
}
