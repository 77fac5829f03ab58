//! Concurrency keys: a limit for each value of a key, keys that are resolved once, and order within
//! a key (I4).

use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{ExecutionId, LeaseToken};
use domain::limits::{CONCURRENCY_KEY_BYTES_MAX, CRASHES_MAX};
use domain::message::Message;
use process::{BatchResponse, Deadline};
use serde_json::{Value, json};
use store::api::{QueueItemFilter, list_queue_items};
use store::executor::{ClaimScope, FinishKind, FinishRow, claim_executions, finish_executions};
use store::{FreedSlot, LockMode};
use sweeper::sweep;
use tests::rows::{cancelled, open, passed};
use tests::world::{batch, build, event, messages, node};
use tests::{PostgresWire, Workflow, World};
use uuid::Uuid;

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

fn http(concurrency: Value) -> Value {
    json!({ "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test/" }, "concurrency": concurrency })
}

fn keyed(max: u32) -> Value {
    json!({ "max": max, "key": "{{ root().data.repo }}" })
}

fn edges() -> Value {
    json!([{ "from": "start", "to": "work" }])
}

async fn one_node(world: &World, concurrency: Value) -> Workflow {
    world.workflow(json!([start(), http(concurrency)]), edges()).await
}

/// Starts a run for each word. The letter of a word is its repo: `a` for `a1`.
async fn start_all(world: &World, workflow: &Workflow, words: &[&str]) -> Vec<Message> {
    let mut wakes = Vec::new();
    for word in words {
        let data = json!({ "word": word, "repo": &word[..1] });
        wakes.push(event(world.start(workflow, "start", data).await));
    }
    wakes
}

/// The words of the executions that are active, in order of their ids.
async fn active(world: &World) -> String {
    let sql = "SELECT string_agg(e.data ->> 'word', ' ' ORDER BY x.id) FROM workflow_node_executions x
        JOIN workflow_events e ON e.id = x.event_id WHERE x.state <> 'finished'";
    world.database.sql(sql).await
}

/// The words of the items that wait, in their order.
async fn waiting(world: &World) -> String {
    let sql = "SELECT string_agg(e.data ->> 'word', ' ' ORDER BY i.created_at, i.id) FROM workflow_node_queue_items i
        JOIN workflow_events e ON e.id = i.event_id";
    world.database.sql(sql).await
}

/// Ends the active executions of the words.
async fn end(world: &World, words: &[&str]) {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let sql = format!(
        "UPDATE workflow_node_executions x SET state = 'finished', result = 'passed', finished_at = now()
         FROM workflow_events e WHERE e.id = x.event_id AND x.state <> 'finished' AND e.data ->> 'word' IN ({})",
        words.join(", ")
    );
    world.database.sql(&sql).await;
}

fn is_node(message: &Message) -> bool {
    matches!(message, Message::Node { .. })
}

#[tokio::test]
async fn each_key_has_its_own_slots_and_its_own_order_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(2)).await;
    let wakes = start_all(&world, &workflow, &["a1", "a2", "a3", "b1", "a4", "c1", "b2", "b3"]).await;
    let builder = world.builder();
    build(&builder, &wakes).await;
    assert_eq!(
        (active(&world).await.as_str(), waiting(&world).await.as_str()),
        ("a1 a2 b1 c1 b2", "a3 a4 b3"),
        "I4"
    );
    let sent = messages(&world.queues.take());
    assert!(!sent.iter().any(is_node), "a waiting item costs no message: {sent:?}");
    let keys = "SELECT string_agg(concurrency_key, ',' ORDER BY id) FROM workflow_node_executions";
    assert_eq!(world.database.sql(keys).await, "a,a,b,c,b", "each execution keeps the key of its slot");
    build(&builder, &wakes).await;
    assert_eq!((waiting(&world).await.as_str(), world.queues.take()), ("a3 a4 b3", vec![]), "I4");
    // A slot of `c` is free, but items of other keys can't use it.
    end(&world, &["c1"]).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!(active(&world).await, "a1 a2 b1 b2", "I4");
    end(&world, &["a2"]).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!(active(&world).await, "a1 b1 b2 a3", "I4: the smallest item of key `a` gets the slot");
}

#[tokio::test]
async fn items_of_one_key_never_hold_back_those_of_another_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let mut words = vec!["a"; 120];
    words.push("b");
    start_all(&world, &workflow, &words).await;
    let (builder, mut wakes) = (world.builder(), vec![node(&workflow, "work")]);
    let mut rounds = 0;
    while !wakes.is_empty() {
        build(&builder, &wakes).await;
        wakes = messages(&world.queues.take()).into_iter().filter(is_node).collect();
        rounds += 1;
        assert!(rounds < 10, "a waiting item costs no message");
    }
    assert_eq!(active(&world).await, "a b", "I4");
    assert_eq!(world.items().await, 119);
}

#[tokio::test]
async fn an_item_that_was_not_seen_yet_is_seen_before_later_ones_are_taken_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2", "b1"]).await).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1 b1", "a2"));
    // `a0` is older than the waiting item, is committed later, and has the same key.
    start_all(&world, &workflow, &["a0"]).await;
    world
        .database
        .sql(
            "UPDATE workflow_node_queue_items i SET created_at = now() - interval '1 hour'
        FROM workflow_events e WHERE e.id = i.event_id AND e.data ->> 'word' = 'a0'",
        )
        .await;
    end(&world, &["a1"]).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("b1 a0", "a2"), "I4");
}

#[tokio::test]
async fn a_key_that_can_not_be_resolved_fails_its_item_at_once_and_takes_no_slot_i9() {
    let world = World::create().await;
    let key = "{{ 1 + root().data.n }}{{ root().data.long }}";
    let workflow = one_node(&world, json!({ "max": 1, "key": key })).await;
    let long = |bytes: usize| "x".repeat(bytes);
    let mut wakes = Vec::new();
    for data in [
        json!({ "n": 1, "long": "", "word": "first" }),
        json!({ "n": [], "long": "", "word": "bad" }),
        json!({ "n": 1, "long": long(CONCURRENCY_KEY_BYTES_MAX - 1), "word": "longest" }),
        json!({ "n": 1, "long": long(CONCURRENCY_KEY_BYTES_MAX), "word": "longer" }),
        json!({ "n": 2, "long": "", "word": "other" }),
    ] {
        wakes.push(event(world.start(&workflow, "start", data).await));
    }
    build(&world.builder(), &wakes).await;
    assert_eq!(active(&world).await, "first longest other", "I9, I10: the neighbours go on");
    let sql = "SELECT e.data ->> 'word', x.state, x.result, x.result_reason, x.result_message FROM workflow_node_executions x
        JOIN workflow_events e ON e.id = x.event_id WHERE x.state = 'finished' ORDER BY x.id";
    let found = world.database.sql(sql).await;
    let (bad, longer) = found.split_once("longer|").unwrap();
    assert!(
        bad.starts_with("bad|finished|failed|template_error|concurrency.key: ") && bad.contains('^'),
        "{found}"
    );
    assert_eq!(
        longer, "finished|failed|limit|concurrency.key: a concurrency key can have at most 1024 bytes",
        "I10"
    );
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn another_key_is_that_of_what_waits_and_active_executions_keep_theirs_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2"]).await).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1", "a2"));
    let other = json!({ "max": 1, "key": "{{ root().data.word }}" });
    let workflow = world.apply_again(&workflow, json!([start(), http(other)]), edges()).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!(active(&world).await, "a1 a2", "I4: `a2` has another key now, with a free slot");
    let keys = "SELECT string_agg(concurrency_key, ' ' ORDER BY id) FROM workflow_node_executions";
    assert_eq!(world.database.sql(keys).await, "a a2", "an active execution keeps its key");
}

#[tokio::test]
async fn a_node_gets_a_key_and_loses_it_while_items_wait_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2", "b1", "b2"]).await).await;
    assert_eq!(active(&world).await, "a1");
    let workflow = world.apply_again(&workflow, json!([start(), http(keyed(1))]), edges()).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1 a2 b1", "b2"));
    let workflow = world.apply_again(&workflow, json!([start(), http(json!(4))]), edges()).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!(active(&world).await, "a1 a2 b1 b2", "I4: without a key the node takes four at once");
    let unlimited = world.apply_again(&workflow, json!([start(), http(json!("unlimited"))]), edges()).await;
    build(&builder, &start_all(&world, &unlimited, &["a3", "a4"]).await).await;
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn an_item_whose_key_is_not_of_its_node_is_resolved_and_not_forgotten_i4() {
    let world = World::create().await;
    let builder = world.builder();
    // The transaction of these items read the node before the apply gave it a key.
    let workflow = one_node(&world, keyed(1)).await;
    let wakes = start_all(&world, &workflow, &["a1", "a2", "b1"]).await;
    world.database.sql("UPDATE workflow_node_queue_items SET concurrency_key = ''").await;
    build(&builder, &wakes).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1 b1", "a2"), "I4");
    // `a2` was resolved while the node had a key, and still waits when the key is dropped.
    let workflow = world.apply_again(&workflow, json!([start(), http(json!(2))]), edges()).await;
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!((active(&world).await.as_str(), world.items().await), ("a1 b1 a2", 0), "I4");
}

#[tokio::test]
async fn a_key_that_comes_to_empty_text_is_a_key_like_others_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, json!({ "max": 1, "key": "{{ root().data.none ?? '' }}" })).await;
    build(&world.builder(), &start_all(&world, &workflow, &["a1", "a2"]).await).await;
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1", "a2"), "I4");
    let keys = "SELECT concurrency_key FROM workflow_node_executions";
    assert_eq!(world.database.sql(keys).await, "(empty)");
}

#[tokio::test]
async fn a_wake_for_a_freed_slot_outlives_the_item_that_it_names_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2", "a3"]).await).await;
    let freed = finish(&world, "a1").await;
    let wake = freed[0].wake();
    // The wake names the item `a2`, and its run is cancelled. Another transaction holds the node:
    // the item ends without the node's lock.
    let mark = "INSERT INTO workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
        SELECT id, workflow_id, 'cancelled', 'test', now() FROM workflow_events WHERE data ->> 'word' = 'a2'";
    world.database.sql(mark).await;
    let holder = world.database.connect_admin().await;
    let lock = "BEGIN; SELECT FROM workflow_nodes WHERE node_id = 'work' FOR NO KEY UPDATE";
    holder.batch_execute(lock).await.unwrap();
    let _ = world.queues.take();
    build(&builder, &[wake]).await;
    assert_eq!(waiting(&world).await, "a3", "the item of the cancelled run has ended");
    holder.batch_execute("COMMIT").await.unwrap();
    build(&builder, &messages(&world.queues.take())).await;
    assert_eq!(
        (active(&world).await.as_str(), world.items().await),
        ("a3", 0),
        "I4: the next item has the slot"
    );
}

#[tokio::test]
async fn items_of_a_removed_node_end_seen_or_not() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    build(&world.builder(), &start_all(&world, &workflow, &["a1", "a2"]).await).await;
    start_all(&world, &workflow, &["b1"]).await;
    let workflow = world.apply_again(&workflow, json!([start()]), json!([])).await;
    build(&world.builder(), &[node(&workflow, "work")]).await;
    let removed = cancelled("work", ResultReason::NodeRemoved);
    assert_eq!(
        world.executions().await,
        [removed.clone(), removed.clone(), removed],
        "the pending execution ends too"
    );
    // `c1` is a late item of the removed node's generation. It comes after the id is back.
    let workflow = world.apply_again(&workflow, json!([start(), http(keyed(1))]), edges()).await;
    let wakes = start_all(&world, &workflow, &["c1", "d1"]).await;
    let sql = "UPDATE workflow_node_queue_items i SET node_generation = 1 FROM workflow_events e WHERE e.id = i.event_id AND e.data ->> 'word' = 'c1'";
    world.database.sql(sql).await;
    build(&world.builder(), &wakes).await;
    assert_eq!((active(&world).await.as_str(), world.items().await), ("d1", 0));
}

#[tokio::test]
async fn going_on_stops_before_a_node_with_a_key_and_its_item_is_woken() {
    let world = World::create().await;
    let first = json!({ "id": "first", "name": "first", "component": "noop" });
    let edges = json!([{ "from": "start", "to": "first" }, { "from": "first", "to": "work" }]);
    let workflow = world.workflow(json!([start(), first, http(keyed(1))]), edges).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1"]).await).await;
    assert_eq!((world.executions().await, world.items().await), (vec![passed("first")], 1));
    let sent = messages(&world.queues.take());
    assert!(matches!(sent.as_slice(), [Message::Event { .. }]), "{sent:?}");
    build(&builder, &sent).await;
    assert_eq!((active(&world).await.as_str(), world.items().await), ("a1", 0));
}

#[tokio::test]
async fn many_builders_at_once_keep_each_keys_limit_and_order_i3() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(2)).await;
    let words: Vec<String> = (0..24).map(|n| format!("{}{n:02}", ["a", "b", "c"][n % 3])).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let wakes = start_all(&world, &workflow, &words).await;
    let builders: Vec<_> = (0..4).map(|_| world.builder()).collect();
    for _ in 0..40 {
        let (wakes, workflow) = (&wakes, &workflow);
        futures_util::future::join_all(builders.iter().map(|deps| async move {
            for some in wakes.chunks(6) {
                build(deps, some).await;
            }
            build(deps, &[node(workflow, "work")]).await;
        }))
        .await;
        let sql = "SELECT count(*) FROM workflow_node_executions WHERE state <> 'finished' GROUP BY concurrency_key ORDER BY 1 DESC LIMIT 1";
        let most = world.database.sql(sql).await;
        assert!(most.is_empty() || most == "1" || most == "2", "I4: {most} at once");
        if world.items().await == 0 && most.is_empty() {
            break;
        }
        let sql = "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now() WHERE id IN (
            SELECT DISTINCT ON (concurrency_key) id FROM workflow_node_executions WHERE state <> 'finished' ORDER BY concurrency_key, id)";
        world.database.sql(sql).await;
    }
    let sql = "SELECT string_agg(e.data ->> 'word', ' ' ORDER BY x.id) FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.event_id
        WHERE x.concurrency_key = 'a'";
    let expected: Vec<&str> = words.iter().copied().filter(|word| word.starts_with('a')).collect();
    assert_eq!(world.database.sql(sql).await, expected.join(" "), "I4");
    assert_eq!(world.database.count("SELECT count(*) FROM workflow_node_executions").await, 24, "I3");
}

/// Ends an active execution as the executor does; gives the nodes that it would wake.
async fn finish(world: &World, word: &str) -> Vec<FreedSlot> {
    let sql = format!(
        "SELECT x.id FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.event_id WHERE e.data ->> 'word' = '{word}'"
    );
    let id: ExecutionId = world.database.sql(&sql).await.parse().unwrap();
    let (store, now, token) = (world.database.store("executor"), world.now(), LeaseToken(Uuid::new_v4()));
    let claim = store.run_tx("claim", |tx| async move {
        claim_executions(&tx, &[id], tests::world::terms(ClaimScope::Batch, token, 60), now).await
    });
    let claimed = claim.await.unwrap();
    let row = FinishRow {
        may_have_limit: true,
        execution_id: id,
        token,
        workflow_version: claimed.executions[0].workflow_version,
        kind: FinishKind::End { result: ExecutionResult::Passed, reason: None },
        message: None,
        attempt_record: None,
        facts: None,
        output: None,
    };
    let rows = &[row];
    let finished = store
        .run_tx("finish", |tx| async move { finish_executions(&tx, rows, LockMode::SkipLocked, now).await });
    finished.await.unwrap().freed
}

#[tokio::test]
async fn whoever_frees_a_slot_wakes_only_where_its_key_waits_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2", "b1", "c1"]).await).await;
    let next = "SELECT event_id FROM workflow_node_queue_items";
    let freed = FreedSlot {
        node: (workflow.id, "work".into()),
        organization_id: world.organization_id,
        event_id: Some(world.database.sql(next).await.parse().unwrap()),
    };
    assert_eq!(finish(&world, "b1").await, [], "no item of key `b` waits");
    assert_eq!(finish(&world, "a1").await, [freed], "I4: the wake is for the item that waits for this key");
    start_all(&world, &workflow, &["d1"]).await;
    assert_eq!(finish(&world, "c1").await, [], "an unresolved item has a wake of its own");
}

/// Lets an hour go by for the sweeper.
async fn pass(world: &World) {
    for table in ["workflow_node_queue_items", "workflow_node_executions"] {
        let sql = format!("UPDATE {table} SET last_sent_at = last_sent_at - interval '1 hour'");
        world.database.sql(&sql).await;
    }
}

#[tokio::test]
async fn many_items_behind_one_key_cost_no_message_and_a_lost_wake_is_made_good_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1", "a2", "b1", "c1"]).await).await;
    // Foreign keys are not checked: only the items matter here.
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at, concurrency_key)
         SELECT id, '{}', 'work', id, id, id, 1, now(), now(), 'a' FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 20000)) ids;
         SET session_replication_role = DEFAULT; ANALYZE",
        workflow.id
    );
    world.database.sql(&sql).await;
    let _ = world.queues.take();
    let node_wakes = async || {
        pass(&world).await;
        sweep(&world.sweeper(30), tests::tick()).await.unwrap();
        messages(&world.queues.take()).into_iter().filter(is_node).count()
    };
    assert_eq!(node_wakes().await, 0, "I4: 20,000 items behind one key cost no message");
    end(&world, &["b1", "c1"]).await;
    assert_eq!(node_wakes().await, 0, "free slots of other keys cost no message");
    end(&world, &["a1"]).await;
    assert_eq!(node_wakes().await, 1, "I8: one wake for the freed slot");
    assert_eq!(world.database.count("SELECT sum(sent_count) FROM workflow_node_queue_items").await, 1);
    build(&builder, &[node(&workflow, "work")]).await;
    assert_eq!(node_wakes().await, 0);
    start_all(&world, &workflow, &["d1"]).await;
    assert_eq!(node_wakes().await, 1, "I8: one wake for the unresolved item");
    build(&builder, &[node(&workflow, "work")]).await;
    assert!(active(&world).await.contains("d1"));
}

#[tokio::test]
async fn an_unresolved_quarantined_item_is_resolved_alone_and_given_up_after_its_crashes_i9() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    let crashed = async |word: &str, crashes: i32| {
        let sql = format!(
            "UPDATE workflow_node_queue_items i SET crashes = {crashes} FROM workflow_events e WHERE e.id = i.event_id AND e.data ->> 'word' = '{word}'"
        );
        world.database.sql(&sql).await;
    };
    let wakes = start_all(&world, &workflow, &["a1", "b1", "c1"]).await;
    crashed("b1", 1).await;
    build(&builder, &wakes).await;
    assert_eq!(active(&world).await, "a1 b1 c1", "I4: in order, each alone");
    let names: Vec<String> = wire.take().round_trips.into_iter().flatten().collect();
    let at = |name: &str| {
        names.iter().position(|known| known == name).unwrap_or_else(|| panic!("{name} in {names:?}"))
    };
    assert!(
        at("begin_quarantined") < at("store_keys"),
        "crashes + 1 is committed before the key is resolved"
    );
    let wakes = start_all(&world, &workflow, &["d1", "e1"]).await;
    crashed("d1", CRASHES_MAX).await;
    build(&builder, &wakes).await;
    let sql = "SELECT e.data ->> 'word', x.result, x.result_reason FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.event_id WHERE x.state = 'finished'";
    assert_eq!(world.database.sql(sql).await, "d1|failed|crashed", "I9");
    assert_eq!(
        (active(&world).await.as_str(), world.items().await),
        ("a1 b1 c1 e1", 0),
        "I9: the item with too many crashes holds no other back"
    );
}

#[tokio::test]
async fn what_was_received_before_is_seen_and_built_alone_i9() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let wakes = start_all(&world, &workflow, &["a1", "a2", "b1"]).await;
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    let response = builder::handle(batch(&wakes, 2), deadline, &world.builder()).await;
    assert_eq!(response, BatchResponse::default());
    assert_eq!((active(&world).await.as_str(), waiting(&world).await.as_str()), ("a1 b1", "a2"));
    let crashes = "SELECT sum(crashes) FROM workflow_node_queue_items";
    assert_eq!(world.database.count(crashes).await, 0, "no crash is counted while the process lives");
}

#[tokio::test]
async fn a_key_that_the_database_refuses_fails_its_item_alone_i9() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(5)).await;
    world.refuse("workflow_node_queue_items", "concurrency_key = 'p'").await;
    let wakes = start_all(&world, &workflow, &["a1", "b1", "p1", "a2"]).await;
    build(&world.builder(), &wakes).await;
    assert_eq!((active(&world).await.as_str(), world.items().await), ("a1 b1 a2", 0), "I9");
    let sql = "SELECT result, result_reason FROM workflow_node_executions WHERE state = 'finished'";
    assert_eq!(world.database.sql(sql).await, "failed|limit", "I9");
}

#[tokio::test]
async fn an_item_that_comes_while_a_slot_of_its_key_is_being_freed_does_not_sleep_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["a1"]).await).await;
    let _ = world.queues.take();
    // The transaction that frees the slot holds the node.
    let finisher = world.database.connect_admin().await;
    let lock = "BEGIN; SELECT FROM workflow_nodes WHERE node_id = 'work' FOR NO KEY UPDATE;
        UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now()";
    finisher.batch_execute(lock).await.unwrap();
    build(&builder, &start_all(&world, &workflow, &["a2"]).await).await;
    let sent = world.queues.take();
    let wakes: Vec<_> = sent.iter().map(|sent| (sent.message.clone(), sent.delay_seconds)).collect();
    let next = "SELECT event_id FROM workflow_node_queue_items";
    let next = event(world.database.sql(next).await.parse().unwrap());
    assert_eq!(wakes, [(next, 1)], "I4: after contention a fresh wake comes a second later");
    finisher.batch_execute("COMMIT").await.unwrap();
    build(&builder, &messages(&sent)).await;
    assert_eq!((active(&world).await.as_str(), world.items().await), ("a2", 0), "I4");
}

#[tokio::test]
async fn items_of_a_cancelled_run_end_when_they_are_seen() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let wakes = start_all(&world, &workflow, &["a1", "b1"]).await;
    let sql = "INSERT INTO workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
        SELECT id, workflow_id, 'cancelled', 'test', now() FROM workflow_events WHERE data ->> 'word' = 'a1'";
    world.database.sql(sql).await;
    build(&world.builder(), &wakes).await;
    assert_eq!(
        world.executions().await,
        [cancelled("work", ResultReason::Cancelled), open("work", ExecutionState::Pending)]
    );
    assert_eq!((active(&world).await.as_str(), world.items().await), ("b1", 0));
}

#[tokio::test]
async fn a_waiting_item_says_which_executions_hold_the_slots_of_its_key() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    build(&world.builder(), &start_all(&world, &workflow, &["a1", "b1", "a2", "a3"]).await).await;
    let holder =
        world.database.sql("SELECT id FROM workflow_node_executions WHERE concurrency_key = 'a'").await;
    start_all(&world, &workflow, &["a4"]).await;
    let filter = QueueItemFilter::default();
    let page = list_queue_items(world.api(), world.organization_id, &filter, None, 10).await.unwrap();
    let found: Vec<_> =
        page.rows.into_iter().rev().map(|row| (row.concurrency_key, row.waiting_for)).collect();
    let behind =
        |ahead: i64| json!({ "reason": "concurrency", "limit": 1, "executions": [holder], "ahead": ahead });
    let expected = [
        (Some("a".to_owned()), behind(0)),
        (Some("a".to_owned()), behind(1)),
        (None, json!({ "reason": "delivery" })),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_quarantined_item_that_ends_without_its_slot_wakes_the_next_of_its_key_i4() {
    let world = World::create().await;
    let workflow = one_node(&world, keyed(1)).await;
    let builder = world.builder();
    build(&builder, &start_all(&world, &workflow, &["b1", "a1"]).await).await;
    end(&world, &["a1"]).await;
    start_all(&world, &workflow, &["a2", "a3"]).await;
    let seen = "UPDATE workflow_node_queue_items SET concurrency_key = 'a'";
    world.database.sql(seen).await;
    let crashed = format!(
        "UPDATE workflow_node_queue_items i SET crashes = {CRASHES_MAX} FROM workflow_events e WHERE e.id = i.event_id AND e.data ->> 'word' = 'a2'"
    );
    world.database.sql(&crashed).await;
    let _ = world.queues.take();
    build(&builder, &[node(&workflow, "work")]).await;
    let ended = "SELECT count(*) FROM workflow_node_executions WHERE result_reason = 'crashed'";
    assert_eq!(world.database.count(ended).await, 1);
    let woken = messages(&world.queues.take());
    let next = "SELECT id FROM workflow_events WHERE data ->> 'word' = 'a3'";
    let next = event(world.database.sql(next).await.parse().unwrap());
    assert!(woken.contains(&next), "b1 holds a slot of its own key only: {woken:?}");
}
