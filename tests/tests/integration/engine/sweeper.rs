//! The sweeper: committed work whose message was lost is sent again, and no message is sent in
//! vain.

use domain::execution::ExecutionState;
use domain::ids::ExecutionId;
use std::collections::BTreeSet;
use std::time::Duration;

use domain::limits::{NODE_ITEMS_MAX, SENDS_MAX, SWEEP_ROWS_MAX};
use domain::message::Message;
use local::target::Target;
use process::Deadline;
use serde_json::{Value, json};
use sweeper::{Swept, sweep};
use tests::queues::Sent;
use tests::rows::open;
use tests::world::{build, event, execute, messages, node};
use tests::{Workflow, World};

/// The grace that these tests run with, seconds.
pub(super) const GRACE: u32 = 30;

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

fn http(id: &str, url: &str, concurrency: Value) -> Value {
    json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url }, "concurrency": concurrency })
}

pub(super) async fn one_node(world: &World, concurrency: Value) -> Workflow {
    let nodes = json!([start(), http("work", "https://target.test/", concurrency)]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

async fn tick(world: &World) -> Vec<Sent> {
    sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap();
    world.queues.take()
}

/// Lets so many seconds pass: moves back all times that the sweeper reads.
async fn pass(world: &World, seconds: u32) {
    for (table, columns) in [
        ("workflow_node_queue_items", vec!["last_sent_at", "created_at"]),
        (
            "workflow_node_executions",
            vec!["last_sent_at", "updated_at", "run_at", "lease_until", "created_at"],
        ),
    ] {
        let columns =
            columns.iter().map(|column| format!("{column} = {column} - interval '{seconds} seconds'"));
        world.database.sql(&format!("UPDATE {table} SET {}", columns.collect::<Vec<_>>().join(", "))).await;
    }
}

async fn pending(world: &World, workflow: &Workflow) -> ExecutionId {
    let run_id = world.start(workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let _ = world.queues.take();
    let sql = format!("SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}'");
    world.database.sql(&sql).await.parse().unwrap()
}

fn is_execution(sent: &Sent, id: ExecutionId) -> bool {
    sent.message == Message::Execution { execution_id: id }
}

#[tokio::test]
async fn waiting_items_are_counted_no_further_than_asked_i10() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let store = world.database.store("sweeper");
    let count = async |items_max: i64| {
        store::sweeper::count_waiting_items(&store, world.now(), items_max).await.unwrap()
    };
    assert_eq!((count(10).await.items, count(10).await.oldest_seconds), (0, 0.0));
    for _ in 0..3 {
        world.start(&workflow, "start", json!({})).await;
    }
    world.database.sql("UPDATE workflow_node_queue_items SET created_at = now() - interval '90 s'").await;
    assert_eq!((count(2).await.items, count(3).await.items, count(4).await.items), (2, 3, 3));
    assert!((90.0..600.0).contains(&count(4).await.oldest_seconds));
}

#[tokio::test]
async fn with_every_message_lost_all_work_still_ends_i8() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([
        start(),
        { "id": "first", "name": "first", "component": "noop" },
        http("one", &target.url(), json!(1)),
        http("two", &target.url(), json!("unlimited")),
        { "id": "last", "name": "last", "component": "noop" },
    ]);
    let edges = json!([
        { "from": "start", "to": "first" }, { "from": "first", "to": "one" },
        { "from": "one", "channel": "success", "to": "two" }, { "from": "two", "channel": "success", "to": "last" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    for _ in 0..3 {
        world.start(&workflow, "start", json!({})).await;
    }
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    for _ in 0..40 {
        pass(&world, GRACE).await;
        let sent = tick(&world).await;
        let (executions, nodes): (Vec<Message>, Vec<Message>) =
            messages(&sent).into_iter().partition(|message| matches!(message, Message::Execution { .. }));
        build(&builder, &nodes).await;
        execute(&executor, &executions).await;
        // All messages of the functions are lost.
        let _ = world.queues.take();
    }
    let sql =
        "SELECT node_id, state, result, count(*) FROM workflow_node_executions GROUP BY 1, 2, 3 ORDER BY 1";
    let expected = ["first", "last", "one", "two"].map(|id| format!("{id}|finished|passed|3"));
    assert_eq!(world.database.sql(sql).await, expected.join("\n"), "I8");
    assert_eq!((world.items().await, target.requests().len()), (0, 6), "I3");
}

#[tokio::test]
async fn items_behind_a_limit_cost_no_message_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    let running = pending(&world, &workflow).await;
    for _ in 0..20 {
        world.start(&workflow, "start", json!({})).await;
    }
    pass(&world, 100_000).await;
    let sent = tick(&world).await;
    assert!(
        sent.len() == 1 && is_execution(&sent[0], running),
        "I4: only the execution that holds the slot is sent: {sent:?}"
    );
    assert_eq!(world.database.count("SELECT sum(sent_count) FROM workflow_node_queue_items").await, 0);
    world
        .database
        .sql("UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()")
        .await;
    let sent = tick(&world).await;
    assert_eq!(messages(&sent), [node(&workflow, "work")], "one wake for a node with a free slot");
    let sql = "SELECT sent_count FROM workflow_node_queue_items ORDER BY created_at, id LIMIT 2";
    assert_eq!(world.database.sql(sql).await, "1\n0", "the send is counted on the smallest waiting item");
    assert_eq!(sent[0].group, world.organization_id.to_string());
}

#[tokio::test]
async fn what_is_fresh_has_its_grace() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    world.start(&workflow, "start", json!({})).await;
    let execution = pending(&world, &workflow).await;
    pass(&world, GRACE - 10).await;
    assert_eq!(tick(&world).await, []);
    pass(&world, 10).await;
    let sent = tick(&world).await;
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.contains(&sent[0]) && sent.iter().any(|sent| is_execution(sent, execution)));
}

#[tokio::test]
async fn wakes_are_repeated_after_1_2_4_8_and_15_minutes() {
    let world = World::create().await;
    for concurrency in [json!("unlimited"), json!(1)] {
        let workflow = one_node(&world, concurrency).await;
        world.start(&workflow, "start", json!({})).await;
        let mut waits = vec![0];
        waits.extend([60, 120, 240, 480, 900, 900]);
        for wait in waits {
            pass(&world, GRACE + wait - 5).await;
            assert_eq!(tick(&world).await, [], "too early after {wait} s");
            pass(&world, 5).await;
            assert_eq!(messages(&tick(&world).await), [node(&workflow, "work")], "after {wait} s");
        }
        world.database.sql("DELETE FROM workflow_node_queue_items").await;
        let execution = pending(&world, &workflow).await;
        for wait in [0, 60, 120, 240, 480, 900, 900] {
            pass(&world, GRACE + wait - 5).await;
            assert_eq!(tick(&world).await, [], "too early after {wait} s");
            pass(&world, 5).await;
            let sent = tick(&world).await;
            assert!(sent.len() == 1 && is_execution(&sent[0], execution), "after {wait} s: {sent:?}");
        }
        world.database.sql("UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now() WHERE state <> 'finished'").await;
    }
}

#[tokio::test]
async fn an_expired_lease_is_sent_and_a_live_one_is_not_i5() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let (live, expired) = (pending(&world, &workflow).await, pending(&world, &workflow).await);
    let lease = |id: ExecutionId, until: &str| {
        format!(
            "UPDATE workflow_node_executions SET state = 'started', lease_token = gen_random_uuid(), lease_until = now() + interval '{until}' WHERE id = '{id}'"
        )
    };
    world.database.sql(&lease(live, "10 seconds")).await;
    world.database.sql(&lease(expired, "-1 second")).await;
    let sent = tick(&world).await;
    assert!(sent.len() == 1 && is_execution(&sent[0], expired), "{sent:?}");
    assert_eq!(tick(&world).await, [], "no second message at once");
    pass(&world, 60).await;
    let sent = tick(&world).await;
    assert_eq!(sent.len(), 2, "both leases have expired now: {sent:?}");
}

/// Makes an execution wait for a retry. The executor recorded the retry `recorded_ago` seconds ago.
async fn retry(world: &World, id: ExecutionId, recorded_ago: i32, due_in: i32) {
    let sql = format!(
        "UPDATE workflow_node_executions SET updated_at = now() - interval '{recorded_ago} seconds', run_at = now() + interval '{due_in} seconds'
         WHERE id = '{id}'"
    );
    world.database.sql(&sql).await;
}

#[tokio::test]
async fn a_timer_is_sent_with_its_delay_once_it_comes_within_fifteen_minutes() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let id = pending(&world, &workflow).await;
    pass(&world, 10_000).await;
    retry(&world, id, 60, 1_800).await;
    assert_eq!(tick(&world).await, [], "the retry is too far away for a delay in the queue");
    pass(&world, 1_000).await;
    let sent = tick(&world).await;
    assert!(sent.len() == 1 && is_execution(&sent[0], id), "{sent:?}");
    assert!((795..=800).contains(&sent[0].delay_seconds), "never early, at most 2 s late: {sent:?}");
    for _ in 0..8 {
        pass(&world, 100).await;
        assert_eq!(tick(&world).await, [], "the retry's message is on its way");
    }
    pass(&world, GRACE + 60).await;
    let sent = tick(&world).await;
    assert!(sent.len() == 1 && is_execution(&sent[0], id) && sent[0].delay_seconds == 0, "overdue: {sent:?}");
}

#[tokio::test]
async fn a_timer_that_was_sent_by_who_made_it_is_left_alone_until_it_is_overdue() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let id = pending(&world, &workflow).await;
    pass(&world, 10_000).await;
    retry(&world, id, 0, 300).await;
    assert_eq!(tick(&world).await, []);
    pass(&world, 300 + GRACE - 5).await;
    assert_eq!(tick(&world).await, []);
    pass(&world, 5).await;
    assert_eq!(tick(&world).await.len(), 1);
}

#[tokio::test]
async fn long_waits_between_attempts_use_up_no_sends() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let id = pending(&world, &workflow).await;
    heartbeat(&world, "executor", 100_000).await;
    for attempt in 1..=SENDS_MAX + 2 {
        pass(&world, 10_000).await;
        retry(&world, id, 3_600, 800).await;
        let sent = tick(&world).await;
        assert_eq!(sent.len(), 1, "attempt {attempt}");
        pass(&world, 810).await;
        assert_eq!(
            sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable,
            0,
            "attempt {attempt}"
        );
        // The message arrives, and the executor records the next retry.
        retry(&world, id, 0, 3_600).await;
        let _ = world.queues.take();
    }
    assert_eq!(world.executions().await, [open("work", ExecutionState::Pending)]);
}

pub(super) async fn heartbeat(world: &World, function: &str, seconds_from_now: i32) {
    let sql = format!(
        "INSERT INTO function_heartbeats (function, committed_at) VALUES ('{function}', now() + interval '{seconds_from_now} seconds')
         ON CONFLICT (function) DO UPDATE SET committed_at = excluded.committed_at"
    );
    world.database.sql(&sql).await;
}

/// Adds an execution to another workflow of the organization. The execution and its event were
/// created at `at`, and the execution has started.
pub(super) async fn reached(world: &World, like: &Workflow, at: &str) {
    let other = one_node(world, json!("unlimited")).await;
    let sql = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT e.id, '{other}', 'start', e.id, 'default', 'start', '{{}}', '{{}}', 1, {at}
             FROM (SELECT gen_random_uuid() AS id) e, workflow_events ev WHERE ev.workflow_id = '{like}' ORDER BY ev.created_at LIMIT 1
             RETURNING id, created_at)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, lease_token, lease_until,
             component, configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, started_at)
         SELECT gen_random_uuid(), '{other}', 'work', id, id, 'started', gen_random_uuid(), now() + interval '1 hour', 'http', '{{}}',
             1, 1, created_at, created_at, created_at, created_at + interval '1 second' FROM event",
        other = other.id,
        like = like.id,
    );
    world.database.sql(&sql).await;
    let items = format!("DELETE FROM workflow_node_queue_items WHERE workflow_id = '{}'", other.id);
    world.database.sql(&items).await;
}

#[tokio::test]
async fn an_item_ends_as_undeliverable_only_where_the_builder_was_at_work_since() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    for _ in 0..2 {
        world.start(&workflow, "start", json!({})).await;
    }
    let used_up = format!(
        "UPDATE workflow_node_queue_items SET sent_count = {SENDS_MAX}, last_sent_at = now()
        WHERE id = (SELECT id FROM workflow_node_queue_items ORDER BY created_at, id LIMIT 1)"
    );
    world.database.sql(&used_up).await;
    let undeliverable = async || sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable;
    assert_eq!(undeliverable().await, 0, "the builder never worked, so the item is not at fault");
    heartbeat(&world, "builder", -60).await;
    assert_eq!(undeliverable().await, 0, "the builder is down, so the item is not at fault");
    heartbeat(&world, "executor", 60).await;
    assert_eq!(undeliverable().await, 0, "the executor's work says nothing about the builder");
    heartbeat(&world, "builder", 60).await;
    reached(&world, &workflow, "ev.created_at - interval '1 minute'").await;
    assert_eq!(
        undeliverable().await,
        0,
        "the builder works on older events: the item's message still waits in the queue"
    );
    reached(&world, &workflow, "ev.created_at + interval '1 minute'").await;
    assert_eq!(undeliverable().await, 1);
    let ended = "SELECT count(*) FROM workflow_node_executions WHERE result_reason = 'undeliverable'";
    assert_eq!(world.database.count(ended).await, 1);
    assert_eq!(world.items().await, 1, "the item below the limit of sends stays");
    assert_eq!(undeliverable().await, 0);
}

#[tokio::test]
async fn a_pending_execution_ends_as_undeliverable_and_its_slot_wakes_the_next() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    pending(&world, &workflow).await;
    world.start(&workflow, "start", json!({})).await;
    let sends = |count: i32| {
        format!("UPDATE workflow_node_executions SET sent_count = {count}, last_sent_at = now()")
    };
    heartbeat(&world, "executor", 60).await;
    world.database.sql(&sends(SENDS_MAX - 1)).await;
    assert_eq!(sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable, 0, "I10");
    world.database.sql(&sends(SENDS_MAX)).await;
    heartbeat(&world, "executor", -60).await;
    assert_eq!(
        sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable,
        0,
        "the executor is down"
    );
    let _ = world.queues.take();
    heartbeat(&world, "executor", 60).await;
    reached(&world, &workflow, "ev.created_at - interval '1 minute'").await;
    assert_eq!(
        sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable,
        0,
        "the execution's message waits behind older ones"
    );
    reached(&world, &workflow, "ev.created_at + interval '1 minute'").await;
    let _ = world.queues.take();
    assert_eq!(sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap().undeliverable, 1, "I10");
    let ended = "SELECT node_id, result FROM workflow_node_executions WHERE result_reason = 'undeliverable'";
    assert_eq!(world.database.sql(ended).await, "work|failed");
    assert_eq!(
        messages(&world.queues.take()),
        [node(&workflow, "work")],
        "I4: the freed slot wakes the node at once, even within the item's grace"
    );
}

#[tokio::test]
async fn builder_and_executor_note_that_they_work_at_most_once_in_ten_seconds() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let nodes = json!([start(), http("work", &target.url(), json!("unlimited"))]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[node(&workflow, "work")]).await;
    let noted = "SELECT string_agg(function, ',' ORDER BY function) FROM function_heartbeats";
    assert_eq!(world.database.sql(noted).await, "", "no work was done");
    let mut first = String::new();
    for _ in 0..2 {
        let run_id = world.start(&workflow, "start", json!({})).await;
        build(&builder, &[event(run_id)]).await;
        world.run_to_end(&builder, &executor).await;
        let now = world
            .database
            .sql("SELECT string_agg(committed_at::text, ',' ORDER BY function) FROM function_heartbeats")
            .await;
        assert!(first.is_empty() || first == now, "no second note within ten seconds");
        first = now;
    }
    assert_eq!(world.database.sql(noted).await, "builder,executor");
}

#[tokio::test]
async fn two_sweepers_at_once_send_and_count_once() {
    let world = World::create().await;
    let (limited, unlimited) = (one_node(&world, json!(1)).await, one_node(&world, json!("unlimited")).await);
    for workflow in [&limited, &unlimited] {
        world.start(workflow, "start", json!({})).await;
    }
    pending(&world, &unlimited).await;
    pass(&world, GRACE).await;
    // Another transaction holds the rows: the sweeper skips them and does not wait.
    let holder = world.database.connect_admin().await;
    holder
        .batch_execute("BEGIN; SELECT FROM workflow_node_queue_items FOR UPDATE; SELECT FROM workflow_node_executions FOR UPDATE")
        .await
        .unwrap();
    let (one, other) = (world.sweeper(GRACE), world.sweeper(GRACE));
    let swept = sweep(&one, tests::tick()).await.unwrap();
    assert_eq!((swept.nodes, swept.executions), (0, 0));
    holder.batch_execute("COMMIT").await.unwrap();
    let (one, other) = tokio::join!(sweep(&one, tests::tick()), sweep(&other, tests::tick()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.nodes + other.nodes, one.executions + other.executions), (2, 1));
    let sql = "SELECT max(sent_count) FROM (SELECT sent_count FROM workflow_node_queue_items UNION ALL SELECT sent_count FROM workflow_node_executions) s";
    assert_eq!(world.database.count(sql).await, 1);
    assert_eq!(world.queues.take().len(), 3);
}

#[tokio::test]
async fn what_could_not_be_sent_is_told_and_found_again_i8() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    world.start(&workflow, "start", json!({})).await;
    pass(&world, GRACE).await;
    world.queues.go_down();
    let swept = sweep(&world.sweeper(GRACE), tests::tick()).await.unwrap();
    assert_eq!(swept, Swept { nodes: 1, unsent: 1, ..Swept::default() });
    let counts = "SELECT (SELECT sum(sent_count) FROM workflow_node_queue_items) + coalesce((SELECT sum(sent_count) FROM workflow_node_executions), 0)";
    assert_eq!(world.database.count(counts).await, 0, "a message that SQS did not accept is not counted");
    world.queues.come_up();
    pass(&world, GRACE + 60).await;
    assert_eq!(messages(&tick(&world).await), [node(&workflow, "work")]);
    assert_eq!(world.database.count(counts).await, 1);
}

#[tokio::test]
async fn many_of_one_kind_keep_no_other_from_being_found_i8() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    let id = pending(&world, &workflow).await;
    pass(&world, 1_000).await;
    // There are as many pending executions as a tick takes, all older than the retry that is due.
    let sql = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {SWEEP_ROWS_MAX})) ids RETURNING id)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at)
         SELECT gen_random_uuid(), '{0}', 'work', id, id, 'pending', 'http', '{{}}', 1, 1, now() - interval '1 day',
             now() - interval '1 day', now() - interval '1 day' FROM event",
        workflow.id
    );
    world.database.sql(&sql).await;
    retry(&world, id, 200, -100).await;
    let sent = tick(&world).await;
    assert!(sent.iter().any(|sent| is_execution(sent, id)), "the retry is among {} messages", sent.len());
}

#[tokio::test]
async fn one_node_with_many_items_keeps_no_other_from_being_found_i8() {
    let world = World::create().await;
    let many: Vec<Workflow> = {
        let mut many = Vec::new();
        for _ in 0..2 {
            many.push(one_node(&world, json!("unlimited")).await);
        }
        many
    };
    for workflow in &many {
        let insert = format!(
            "SET session_replication_role = replica;
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
             SELECT id, '{}', 'work', id, id, id, 1, now(), now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {SWEEP_ROWS_MAX})) ids;
             SET session_replication_role = DEFAULT",
            workflow.id
        );
        world.database.sql(&insert).await;
    }
    pass(&world, GRACE).await;
    let woken = messages(&tick(&world).await);
    for workflow in &many {
        assert!(woken.contains(&node(workflow, "work")), "{woken:?}");
    }
}

#[tokio::test]
async fn a_search_is_bounded_and_repeated_until_the_time_of_the_tick_is_used_i10() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1_000)).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let most = SWEEP_ROWS_MAX;
    let sql = format!(
        "WITH event AS (
             INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {most} + 100)) ids RETURNING id)
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
             workflow_version, node_version, last_sent_at, created_at, updated_at)
         SELECT gen_random_uuid(), '{0}', 'work', id, id, 'pending', 'http', '{{}}', 1, 1, now(), now(), now() FROM event",
        workflow.id
    );
    world.database.sql(&sql).await;
    world.database.sql("DELETE FROM workflow_node_queue_items").await;
    pass(&world, GRACE).await;
    // Time-outs and stops go on behind a backlog of resends.
    let (late, stopped) =
        (world.start(&workflow, "start", json!({})).await, world.start(&workflow, "start", json!({})).await);
    world.database.sql(&format!("DELETE FROM workflow_node_queue_items; UPDATE workflow_runs SET due_at = now() WHERE id = '{late}'")).await;
    let stop = format!(
        "UPDATE workflow_runs SET stop = 'cancelled', stopped_by = 'token:test', created_at = now() - interval '1 hour', updated_at = now() - interval '1 hour' WHERE id = '{stopped}'"
    );
    world.database.sql(&stop).await;
    drop(world.queues.take());
    let used = Deadline::after(Duration::ZERO);
    sweep(&world.sweeper(GRACE), used).await.unwrap();
    assert_eq!((world.run_state(late).await, world.run_state(stopped).await), ("failed", "cancelled"));
    assert_eq!(
        world.queues.take().len(),
        usize::try_from(most).unwrap(),
        "I10: a tick without time left sends one page"
    );
    pass(&world, 3_600).await;
    assert_eq!(
        tick(&world).await.len(),
        usize::try_from(most).unwrap() + 100,
        "I8: the tick searches until all are found"
    );
    let _ = run_id;
}

#[tokio::test]
async fn a_node_is_full_with_as_many_waiting_items_as_are_allowed_i10() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    // Foreign keys are not checked: only the count matters here.
    let insert = |count: i64| {
        format!(
            "SET session_replication_role = replica;
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
             SELECT id, '{}', 'work', id, id, id, 1, now(), now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {count})) ids;
             SET session_replication_role = DEFAULT",
            workflow.id
        )
    };
    let is_full = "SELECT items_full FROM workflow_nodes WHERE node_id = 'work'";
    world.database.sql(&insert(NODE_ITEMS_MAX - 1)).await;
    tick(&world).await;
    assert_eq!(world.database.sql(is_full).await, "f", "I10");
    world.database.sql(&insert(1)).await;
    tick(&world).await;
    assert_eq!(world.database.sql(is_full).await, "t", "I10");
    world.database.sql("DELETE FROM workflow_node_queue_items").await;
    tick(&world).await;
    assert_eq!(world.database.sql(is_full).await, "f", "I10");
}

#[tokio::test]
async fn a_tick_wakes_a_thousand_nodes_whose_messages_were_lost_i8() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    // Foreign keys are not checked: only the items matter here.
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO workflow_nodes (workflow_id, node_id, name, type, ref, configuration, version, created_at, updated_at)
         SELECT workflow_id, 'n' || n, 'n' || n, type, ref, configuration, version, now(), now()
         FROM workflow_nodes, generate_series(1, 1000) n WHERE node_id = 'work';
         INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
         SELECT gen_random_uuid(), '{}', 'n' || n, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, now(), now()
         FROM generate_series(1, 1000) n, generate_series(1, 10);
         SET session_replication_role = DEFAULT",
        workflow.id
    );
    world.database.sql(&sql).await;
    pass(&world, GRACE).await;
    let woken: BTreeSet<_> = messages(&tick(&world).await).into_iter().collect();
    assert_eq!(woken.len(), 1_000, "I8");
    let sent = "SELECT count(*) FROM workflow_node_queue_items WHERE sent_count = 1";
    assert_eq!(world.database.count(sent).await, 10_000, "each item is sent once");
}
