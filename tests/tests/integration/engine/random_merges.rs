//! Random workflows with merges and chains of merges, whose messages are lost, doubled and shuffled:
//! each node emits as often as a plain model of the graph says, and every run ends (I3, I8).

use std::collections::BTreeMap;

use domain::ids::EventId;
use domain::message::Message;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::World;
use tests::world::{build, event, messages};

/// Workflows of one run of the test.
const WORKFLOWS: usize = 40;
/// Rounds after which all runs must have ended.
const ROUNDS_MAX: usize = 300;

/// A random workflow, with the number of events that the model expects of each node and channel.
struct Drawn {
    nodes: Vec<Value>,
    edges: Vec<Value>,
    expected: BTreeMap<(String, &'static str), usize>,
}

/// Draws a graph layer by layer. A node has up to three nodes before it; a merge has two or three.
fn draw(dice: &mut fastrand::Rng) -> Drawn {
    let mut drawn = Drawn {
        nodes: vec![json!({ "id": "n0", "name": "N0", "trigger": "start" })],
        edges: Vec::new(),
        expected: BTreeMap::from([(("n0".to_owned(), "default"), 1)]),
    };
    // The channels on which each node emits, with the number of events.
    let mut ways: Vec<(String, &'static str, usize)> = vec![("n0".into(), "default", 1)];
    for index in 1..=dice.usize(5..12) {
        let id = format!("n{index}");
        let is_merge = ways.len() > 2 && dice.u8(..100) < 40;
        let most = if is_merge { 3 } else { 2 };
        let mut before: Vec<(String, &'static str, usize)> = Vec::new();
        for _ in 0..dice.usize(if is_merge { 2..=most } else { 1..=most }) {
            let way = ways[dice.usize(..ways.len())].clone();
            if !before.iter().any(|known| known.0 == way.0 && known.1 == way.1) {
                before.push(way);
            }
        }
        for (from, channel, _) in &before {
            drawn.edges.push(json!({ "from": from, "channel": channel, "to": id }));
        }
        let node = |component: &str, configuration: Value| json!({ "id": id, "name": id.to_uppercase(), "component": component, "configuration": configuration });
        let events: usize = before.iter().map(|(_, _, count)| count).sum();
        let mut emit = |channel: &'static str, count: usize| {
            drawn.expected.insert((id.clone(), channel), count);
            ways.push((id.clone(), channel, count));
        };
        if is_merge {
            let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
            for (from, _, count) in &before {
                *sources.entry(from).or_default() += count;
            }
            let alive = sources.values().filter(|count| **count > 0).count();
            let (configuration, passes) = match dice.u8(..4) {
                0 => (json!({}), alive > 0),
                1 => (json!({ "dead_sources": "fail" }), alive == sources.len()),
                2 => (json!({ "mode": "any" }), alive > 0),
                _ => {
                    let quorum = dice.usize(1..=sources.len());
                    (json!({ "mode": "quorum", "quorum": quorum }), alive >= quorum)
                }
            };
            emit("success", usize::from(passes));
            emit("fail", usize::from(alive > 0 && !passes));
            drawn.nodes.push(node("merge", configuration));
        } else {
            let (component, configuration, count) = match dice.u8(..5) {
                0 => ("filter", json!({ "expression": "false" }), 0),
                1 => ("filter", json!({ "expression": "true" }), events),
                2 => ("wait", json!({ "for": 1 }), events),
                _ => ("noop", json!({}), events),
            };
            emit("default", count);
            drawn.nodes.push(node(component, configuration));
        }
    }
    drawn
}

/// What the run's nodes have emitted.
async fn emitted(world: &World, run_id: EventId) -> BTreeMap<(String, String), usize> {
    let sql = format!(
        "SELECT node_id, channel, count(*) FROM workflow_events WHERE run_id = '{run_id}' GROUP BY 1, 2"
    );
    let rows = world.database.sql(&sql).await;
    let row = |line: &str| match line.split('|').collect::<Vec<_>>()[..] {
        [node, channel, count] => ((node.to_owned(), channel.to_owned()), count.parse().expect("a number")),
        _ => panic!("{line}"),
    };
    rows.lines().map(row).collect()
}

#[tokio::test]
async fn random_graphs_with_merges_emit_as_their_model_says_i3_i8() {
    let world = World::create().await;
    let mut dice = fastrand::Rng::with_seed(20_261_130);
    let mut runs = Vec::new();
    let mut open: Vec<Message> = Vec::new();
    for _ in 0..WORKFLOWS {
        let drawn = draw(&mut dice);
        let workflow = world.workflow(json!(drawn.nodes), json!(drawn.edges)).await;
        let run_id = world.start(&workflow, "n0", json!({})).await;
        open.push(event(run_id));
        runs.push((run_id, drawn));
    }
    let builders = [world.builder(), world.builder(), world.builder()];
    let running = "SELECT count(*) FROM workflow_runs WHERE state = 'running'";
    let mut rounds = 0;
    while world.database.count(running).await > 0 {
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "{} runs do not end", world.database.count(running).await);
        // One message in five is lost, and one in five is delivered twice.
        let mut delivered: Vec<Message> = Vec::new();
        for message in open.drain(..) {
            match dice.u8(..5) {
                0 => {}
                1 => delivered.extend([message.clone(), message]),
                _ => delivered.push(message),
            }
        }
        dice.shuffle(&mut delivered);
        let share = delivered.len().div_ceil(builders.len()).clamp(1, 10);
        let batches: Vec<&[Message]> = delivered.chunks(share).collect();
        for at_once in batches.chunks(builders.len()) {
            let building = at_once.iter().zip(&builders).map(|(batch, builder)| build(builder, batch));
            futures_util::future::join_all(building).await;
        }
        // Waits end and the sweeper's pauses pass, but no merge looks by itself: causes must do.
        let passed =
            "UPDATE workflow_node_queue_items SET last_sent_at = last_sent_at - interval '120 seconds';
             UPDATE workflow_node_executions SET last_sent_at = last_sent_at - interval '120 seconds',
                 wake_at = CASE component WHEN 'wait' THEN wake_at - interval '120 seconds' ELSE wake_at END
             WHERE state = 'held'";
        world.database.connect_admin().await.batch_execute(passed).await.unwrap();
        if rounds % 3 == 0 {
            sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        }
        open = messages(&world.queues.take());
    }
    for (run_id, drawn) in &runs {
        let found = emitted(&world, *run_id).await;
        for ((node, channel), expected) in &drawn.expected {
            let count = found.get(&(node.clone(), (*channel).to_owned())).copied().unwrap_or(0);
            assert_eq!(
                count,
                *expected,
                "{node} on {channel} in {run_id}: nodes {} edges {}",
                json!(drawn.nodes),
                json!(drawn.edges)
            );
        }
        let joins = format!(
            "SELECT count(*) FROM (SELECT node_id FROM workflow_node_executions x WHERE run_id = '{run_id}' AND component = 'merge' GROUP BY node_id HAVING count(*) > 1) twice"
        );
        assert_eq!(world.database.count(&joins).await, 0, "a merge has one execution in a run");
    }
    assert_eq!(world.items().await, 0);
    let merges = "SELECT count(*) FROM workflow_node_executions WHERE component = 'merge'";
    assert!(world.database.count(merges).await > 60, "too few merges were drawn");
}
