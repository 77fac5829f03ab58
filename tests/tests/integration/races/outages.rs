//! An outage of ours puts no item in quarantine (I9). The messages of the outage are sent anew, and
//! their items and executions are handled as without an outage.

use std::time::Duration;

use domain::limits::OUTAGE_WAKE_SECONDS;
use domain::message::Message;
use local::target::Target;
use process::{BatchResponse, Deadline};
use serde_json::{Value, json};
use tests::queues::Sent;
use tests::world::{GROUP, batch, build, event, execute, messages};
use tests::{PostgresWire, Workflow, World};

/// The items of a test. They come in batches of ten.
const ITEMS: usize = 30;

fn nodes(url: &str) -> Value {
    json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": url }, "concurrency": "unlimited" },
    ])
}

async fn start_all(world: &World, workflow: &Workflow) -> Vec<Message> {
    let mut wakes = Vec::new();
    for _ in 0..ITEMS {
        wakes.push(event(world.start(workflow, "start", json!({})).await));
    }
    wakes
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Asserts that the received messages were sent anew: each once, later, and for the same
/// organization.
fn assert_sent_anew(mut sent: Vec<Sent>, mut expected: Vec<Message>) {
    for sent in &sent {
        assert_eq!((sent.delay_seconds, &sent.group), (u64::from(OUTAGE_WAKE_SECONDS), &GROUP.to_string()));
    }
    sent.sort_by(|one, other| one.message.cmp(&other.message));
    expected.sort();
    assert_eq!(messages(&sent), expected, "I3: each message is sent once");
}

#[tokio::test]
async fn items_that_met_an_outage_are_built_in_batches_and_none_alone_i9() {
    let world = World::create().await;
    let workflow =
        world.workflow(nodes("https://target.test/"), json!([{ "from": "start", "to": "work" }])).await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let wakes = start_all(&world, &workflow).await;
    wire.go_down();
    for some in wakes.chunks(10) {
        let response = builder::handle(batch(some, 1), deadline(), &builder).await;
        assert_eq!(response, BatchResponse::default(), "I9: no message is delivered again");
    }
    let sent = world.queues.take();
    assert_sent_anew(sent.clone(), wakes.clone());
    wire.come_up();
    let _ = wire.take();
    for some in messages(&sent).chunks(10) {
        build(&builder, some).await;
    }
    let traffic = wire.take().without_heartbeat();
    assert_eq!(
        (traffic.commits, world.items().await),
        (ITEMS / 10, 0),
        "I9: as many commits as without an outage"
    );
    // Messages that are delivered again may have crashed a worker, so crashes are counted before
    // the work.
    let wakes = start_all(&world, &workflow).await;
    for some in wakes.chunks(10) {
        builder::handle(batch(some, 2), deadline(), &builder).await;
    }
    let commits = wire.take().without_heartbeat().commits;
    assert_eq!(
        (commits, world.items().await),
        (2 * ITEMS / 10, 0),
        "I9: one commit counts the crashes, one builds"
    );
}

#[tokio::test]
async fn executions_that_met_an_outage_wait_for_no_visibility_i9() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = world.workflow(nodes(&target.url()), json!([{ "from": "start", "to": "work" }])).await;
    let wakes = start_all(&world, &workflow).await;
    build(&world.builder(), &wakes).await;
    let wakes = messages(&world.queues.take());
    let wire = PostgresWire::to(world.database.host_port()).await;
    let executor = world.executor_at(
        wire.url(&world.database.url("executor")),
        &target.host_port(),
        "http://127.0.0.1:9",
    );
    wire.go_down();
    let some: Vec<Message> = wakes.iter().take(10).cloned().collect();
    let response = executor::handle(batch(&some, 1), deadline(), &executor).await;
    assert_eq!(response, BatchResponse::default());
    let sent = world.queues.take();
    assert_sent_anew(sent.clone(), some);
    wire.come_up();
    execute(&executor, &messages(&sent)).await;
    assert_eq!(target.requests().len(), 10);
    assert_eq!(world.database.count("SELECT max(crashes) FROM workflow_node_executions").await, 0, "I9");
}

#[tokio::test]
async fn a_message_that_sqs_does_not_take_anew_is_delivered_again_i9() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    wire.go_down();
    world.queues.go_down();
    let response = builder::handle(batch(&[event(world.id())], 1), deadline(), &builder).await;
    assert_eq!(response.failures().collect::<Vec<_>>(), ["0"], "I3: SQS still has the message");
}
