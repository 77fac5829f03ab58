//! Reading what a limit leaves free costs as much as it takes, whatever waits at other nodes and
//! for other concurrency keys: else one organization's backlog would be paid for by all, under the
//! locks of their nodes.

use local::target::Target;
use serde_json::{Value, json};
use tests::world::{build, event, execute, messages};
use tests::{PostgresWire, Workflow, World};
use tokio_postgres::Client;

/// Items that wait at another organization's node.
const OTHERS: usize = 100_000;
/// Concurrency keys of which items wait at one node.
const KEYS: usize = 10_000;
/// Buffers of a statement that looks at one concurrency key: a few pages of each index on the way
/// to each of its rows.
const BUFFERS_MAX: i64 = 60;

fn nodes(url: &str, concurrency: &Value) -> Value {
    json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": url }, "concurrency": concurrency },
    ])
}

/// The statements of builder and executor, as they were prepared.
struct Statements {
    wire: PostgresWire,
    builder: Client,
    executor: Client,
}

impl Statements {
    /// Prepares all that a run of one item prepares, and the connections to explain them with.
    async fn of(world: &World, target: &Target, workflow: &Workflow) -> Self {
        let wire = PostgresWire::to(world.database.host_port()).await;
        let builder = world.builder_at(wire.url(&world.database.url("builder")));
        let executor = world.executor_at(
            wire.url(&world.database.url("executor")),
            &target.host_port(),
            "http://127.0.0.1:9",
        );
        build(&builder, &[event(world.start(workflow, "start", json!({ "key": "first" })).await)]).await;
        execute(&executor, &messages(&world.queues.take())).await;
        let connect = async |role: &str| {
            let client = world.database.connect(role).await;
            // As `store/src/connect/check.rs` has it for its connections.
            let own = "SET join_collapse_limit = 1; SET from_collapse_limit = 1; SET enable_material = off";
            client.batch_execute(own).await.unwrap();
            client
        };
        Self { wire, builder: connect("builder").await, executor: connect("executor").await }
    }

    /// The buffers that a statement of that name reads with these values; what it writes is taken
    /// back. It is prepared as `psql` would.
    async fn buffers(&self, name: &str, values: &str) -> i64 {
        let statements = self.wire.statements();
        let comment = format!("/* {name} */");
        let found = statements.iter().find(|statement| statement.text.contains(&comment));
        let found = found.unwrap_or_else(|| panic!("{name} was not prepared"));
        let client = if found.role == "sealflow_builder" { &self.builder } else { &self.executor };
        let sql = format!(
            "BEGIN; PREPARE one AS {}; EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE one ({values}); ROLLBACK; DEALLOCATE one",
            found.text
        );
        let answers = client.simple_query(&sql).await.unwrap();
        let text = answers.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(text.expect("a plan")).unwrap();
        let number = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
        number("Shared Hit Blocks") + number("Shared Read Blocks")
    }

    /// Of each statement of the path of limits, for one concurrency key.
    async fn all(&self, workflow: &Workflow, key: &str, execution_id: &str) -> Vec<(&'static str, i64)> {
        let keys = format!("'{{{}}}', '{{work}}', '{{\"{key}\"}}'", workflow.id);
        let mut all = Vec::new();
        for (name, values) in [
            ("claim_limited", format!("{keys}, 50")),
            ("read_slots", keys),
            ("find_freed_slots", format!("'{{{execution_id}}}'")),
        ] {
            all.push((name, self.buffers(name, &values).await));
        }
        all
    }
}

/// Puts items at `work`, the keys by an expression over `n`. Foreign keys are left out: only the
/// items matter here.
async fn fill(world: &World, workflow: &Workflow, items: usize, key: &str) {
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at, concurrency_key)
         SELECT gen_random_uuid(), '{}', 'work', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, now(), now(), {key} FROM generate_series(1, {items}) n;
         SET session_replication_role = DEFAULT; ANALYZE",
        workflow.id
    );
    world.database.sql(&sql).await;
}

async fn last_execution(world: &World) -> String {
    world.database.sql("SELECT id FROM workflow_node_executions ORDER BY id DESC LIMIT 1").await
}

#[tokio::test]
async fn others_items_cost_a_limited_node_nothing_i6() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let edges = json!([{ "from": "start", "to": "work" }]);
    let workflow = world.workflow(nodes(&target.url(), &json!(2)), edges.clone()).await;
    let other = world.workflow(nodes(&target.url(), &json!(1)), edges).await;
    let statements = Statements::of(&world, &target, &workflow).await;
    fill(&world, &workflow, 3, "''").await;
    let execution_id = last_execution(&world).await;
    let before = statements.all(&workflow, "", &execution_id).await;
    fill(&world, &other, OTHERS, "''").await;
    let after = statements.all(&workflow, "", &execution_id).await;
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        println!("{name}: {before} buffers alone, {after} beside others");
        assert!(after <= BUFFERS_MAX, "{name}: {after} buffers");
        // An index of many items is two levels deeper, and is gone down several times.
        assert!(
            after <= 2 * before,
            "{name}: {before} buffers alone, {after} beside {OTHERS} items of others"
        );
    }
}

#[tokio::test]
async fn other_keys_items_cost_a_freed_key_nothing_i4() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let keyed = json!({ "max": 1, "key": "{{ root().data.key }}" });
    let edges = json!([{ "from": "start", "to": "work" }]);
    let workflow = world.workflow(nodes(&target.url(), &keyed), edges).await;
    let statements = Statements::of(&world, &target, &workflow).await;
    fill(&world, &workflow, 3, "'first'").await;
    let execution_id = last_execution(&world).await;
    let before = statements.all(&workflow, "first", &execution_id).await;
    fill(&world, &workflow, KEYS, "n::text").await;
    let after = statements.all(&workflow, "first", &execution_id).await;
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        println!("{name}: {before} buffers alone, {after} beside others");
        assert!(after <= BUFFERS_MAX, "{name}: {after} buffers");
        assert!(after <= 2 * before, "{name}: {before} buffers alone, {after} beside {KEYS} other keys");
    }
}
