//! The way of an event through the builder: several pure nodes in one transaction, fan-out,
//! ancestors.

use domain::execution::ExecutionState;
use domain::limits::GO_ON_EXECUTIONS_MAX;
use domain::message::Message;
use serde_json::{Value, json};
use tests::rows::{open, passed};
use tests::world::{build, event, messages, node};
use tests::{PostgresWire, World};

fn start() -> Value {
    json!({ "id": "start", "name": "Start", "trigger": "start" })
}

fn noop(id: &str) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": "noop" })
}

fn http(id: &str, url: &str, concurrency: Value) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": "http", "configuration": { "url": url }, "concurrency": concurrency })
}

fn edges(pairs: &[(&str, &str)]) -> Value {
    let edges = pairs.iter().map(|(from, to)| match from.split_once('.') {
        Some((from, channel)) => json!({ "from": from, "channel": channel, "to": to }),
        None => json!({ "from": from, "to": to }),
    });
    edges.collect()
}

#[tokio::test]
async fn a_chain_of_five_pure_nodes_is_one_invocation_and_one_commit_with_all_rows() {
    let world = World::create().await;
    let wire = PostgresWire::to(world.database.host_port()).await;
    let nodes = json!([start(), noop("a"), noop("b"), noop("c"), noop("d"), noop("e")]);
    let workflow =
        world.workflow(nodes, edges(&[("start", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")])).await;
    let run_id = world.start(&workflow, "start", json!({ "n": 1 })).await;
    let builder = world.builder_at(wire.url(&world.database.url("builder")));
    build(&builder, &[event(run_id)]).await;
    assert_eq!(world.executions().await, ["a", "b", "c", "d", "e"].map(passed));
    let sql = "SELECT count(*), count(DISTINCT xmin::text), max(depth), bool_and(data = '{\"n\": 1}') FROM workflow_events WHERE execution_id IS NOT NULL";
    assert_eq!(
        world.database.sql(sql).await,
        "5|1|6|t",
        "one commit leaves all rows that single steps would have left"
    );
    let chain = "SELECT count(*) FROM workflow_node_executions x JOIN workflow_node_executions p ON p.id = x.previous_execution_id
        JOIN workflow_events e ON e.id = x.event_id AND e.execution_id = p.id";
    assert_eq!(world.database.count(chain).await, 4, "each execution works on the event of the one before");
    assert_eq!((world.items().await, world.queues.take()), (0, vec![]));
    let commits = wire.take().without_heartbeat().commits;
    assert_eq!(commits, 1, "one commit");
}

#[tokio::test]
async fn an_if_follows_its_channel_and_a_filter_may_end_the_way() {
    let world = World::create().await;
    let condition = |id: &str, component: &str, expression: &str| json!({ "id": id, "name": id, "component": component, "configuration": { "expression": expression } });
    let nodes = json!([
        start(),
        condition("big", "if", "previous().data.n > 10"),
        condition("even", "filter", "previous().data.n % 2 == 0"),
        noop("yes"),
        noop("no")
    ]);
    let workflow = world
        .workflow(
            nodes,
            edges(&[("start", "big"), ("big.true", "even"), ("big.false", "no"), ("even", "yes")]),
        )
        .await;
    let builder = world.builder();
    let mut ran = Vec::new();
    for n in [1, 11, 12] {
        let run_id = world.start(&workflow, "start", json!({ "n": n })).await;
        build(&builder, &[event(run_id)]).await;
        let sql = format!(
            "SELECT string_agg(node_id, ',' ORDER BY id) FROM workflow_node_executions WHERE root_event_id = '{run_id}'"
        );
        ran.push(world.database.sql(&sql).await);
    }
    assert_eq!(ran, ["big,no", "big,even", "big,even,yes"]);
    assert_eq!(world.database.sql("SELECT DISTINCT result FROM workflow_node_executions").await, "passed");
}

#[tokio::test]
async fn going_on_never_jumps_a_queue_i4() {
    let world = World::create().await;
    let nodes = json!([start(), noop("a"), http("work", "https://target.test/", json!(1))]);
    let workflow = world.workflow(nodes, edges(&[("start", "a"), ("a", "work")])).await;
    let builder = world.builder();
    // A slot is free and no item waits: the slot is taken in the same transaction.
    let first = world.start(&workflow, "start", json!({})).await;
    build(&builder, &[event(first)]).await;
    assert_eq!(world.executions().await, [passed("a"), open("work", ExecutionState::Pending)]);
    assert_eq!(
        world.database.count("SELECT count(DISTINCT xmin::text) FROM workflow_node_executions").await,
        1
    );
    let _ = world.queues.take();
    // The slot is taken: an item waits, and costs no message.
    let second = world.start(&workflow, "start", json!({})).await;
    build(&builder, &[event(second)]).await;
    assert_eq!((world.items().await, world.queues.take()), (1, vec![]));
    // A slot is free but an item waits: the new item goes behind it, and the node is woken.
    world.database.sql("UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now() WHERE state <> 'finished'").await;
    let third = world.start(&workflow, "start", json!({})).await;
    build(&builder, &[event(third)]).await;
    assert_eq!(world.items().await, 2, "I4");
    let sent = world.queues.take();
    assert_eq!(messages(&sent), [node(&workflow, "work")]);
    build(&builder, &messages(&sent)).await;
    let sql = "SELECT root_event_id FROM workflow_node_executions WHERE state = 'pending'";
    assert_eq!(
        world.database.sql(sql).await,
        second.to_string(),
        "I4: the item that waited longer gets the slot"
    );
}

#[tokio::test]
async fn a_downstream_node_that_another_holds_is_not_gone_on_with_i4() {
    let world = World::create().await;
    let nodes = json!([start(), noop("a"), http("work", "https://target.test/", json!(1))]);
    let workflow = world.workflow(nodes, edges(&[("start", "a"), ("a", "work")])).await;
    let holder = world.database.connect_admin().await;
    holder
        .batch_execute("BEGIN; SELECT FROM workflow_nodes WHERE node_id = 'work' FOR NO KEY UPDATE")
        .await
        .unwrap();
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder();
    build(&builder, &[event(run_id)]).await;
    assert_eq!((world.executions().await, world.items().await), (vec![passed("a")], 1));
    let sent = world.queues.take();
    assert!(
        matches!(sent.as_slice(), [one] if matches!(one.message, Message::Event { .. })),
        "a wake is sent: {sent:?}"
    );
    holder.batch_execute("COMMIT").await.unwrap();
    build(&builder, &messages(&sent)).await;
    assert_eq!(
        (world.executions().await, world.items().await),
        (vec![passed("a"), open("work", ExecutionState::Pending)], 0)
    );
}

#[tokio::test]
async fn a_fan_out_reaches_each_target_once_i3() {
    let world = World::create().await;
    let unlimited = || json!("unlimited");
    let nodes = json!([
        start(),
        noop("a"),
        noop("b"),
        http("c", "https://target.test/", unlimited()),
        http("d", "https://target.test/", json!(1)),
        http("e", "https://target.test/", json!(1))
    ]);
    let pairs =
        [("start", "a"), ("start", "c"), ("start", "d"), ("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")];
    let workflow = world.workflow(nodes, edges(&pairs)).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder();
    build(&builder, &[event(run_id)]).await;
    let sql = "SELECT node_id, count(*) FROM workflow_node_executions GROUP BY 1 ORDER BY 1";
    assert_eq!(world.database.sql(sql).await, "a|1\nb|1\nc|2\nd|1\ne|1", "I3");
    assert_eq!(
        world.database.sql("SELECT node_id FROM workflow_node_queue_items").await,
        "d",
        "I4: `d` has one slot"
    );
    let sql = "SELECT targets FROM workflow_events WHERE node_id = 'a'";
    assert_eq!(world.database.sql(sql).await, "{b,c,d,e}", "the event names the nodes that it was routed to");
}

#[tokio::test]
async fn a_diamond_of_pure_nodes_runs_its_end_once_for_each_way_i3() {
    let world = World::create().await;
    let nodes = json!([start(), noop("a"), noop("b"), noop("c"), noop("d")]);
    let workflow =
        world.workflow(nodes, edges(&[("start", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = "SELECT x.node_id, p.node_id FROM workflow_node_executions x JOIN workflow_events e ON e.id = x.event_id
        JOIN workflow_node_executions p ON p.id = e.execution_id ORDER BY 1, 2";
    assert_eq!(world.database.sql(sql).await, "b|a\nc|a\nd|b\nd|c", "I3");
}

#[tokio::test]
async fn going_on_stops_at_its_limit_and_goes_on_by_message_i10() {
    let world = World::create().await;
    let nodes = json!([start(), noop("a"), noop("b")]);
    let workflow = world.workflow(nodes, edges(&[("start", "a"), ("a", "b"), ("b", "a")])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let builder = world.builder();
    let mut wakes = vec![event(run_id)];
    for round in 1..=3_usize {
        build(&builder, &wakes).await;
        let executions = world.database.count("SELECT count(*) FROM workflow_node_executions").await;
        assert_eq!(usize::try_from(executions).unwrap(), round * GO_ON_EXECUTIONS_MAX, "I10");
        wakes = messages(&world.queues.take());
        assert_eq!((wakes.len(), world.items().await), (1, 1));
    }
}

#[tokio::test]
async fn a_loop_ends_at_the_runs_depth_i10() {
    let world = World::create().await;
    let nodes = json!([start(), noop("a")]);
    let workflow = world.workflow(nodes, edges(&[("start", "a"), ("a", "a")])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let (builder, executor) = (world.builder(), world.executor("127.0.0.1:9"));
    build(&builder, &[event(run_id)]).await;
    world.run_to_end(&builder, &executor).await;
    let depth = world.database.count("SELECT max(depth) FROM workflow_events").await;
    assert_eq!(depth, i64::from(domain::limits::RUN_DEPTH_MAX), "I10");
    let sql = "SELECT result, result_reason, count(*) FROM workflow_node_executions WHERE result <> 'passed' GROUP BY 1, 2";
    assert_eq!(world.database.sql(sql).await, "failed|run_limit|1");
    assert_eq!(world.database.sql("SELECT reason FROM workflow_run_marks").await, "run_limit");
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn names_and_distances_look_along_the_events_own_ancestors() {
    let world = World::create().await;
    let url = |path: &str| format!("https://target.test/{path}");
    // Two ways lead to `last`, one through `left`, one through `right`. Each event sees only the
    // nodes of its own way.
    let left =
        json!({ "id": "left", "name": "Left", "component": "if", "configuration": { "expression": "true" } });
    let last = http(
        "last",
        &url(
            "{{ $[\"Start\"].data.n }}/{{ previous(1).type }}/{{ previous(2).type }}/{{ $[\"Right\"] == nil }}/{{ root().type }}/{{ root().data.n }}",
        ),
        json!("unlimited"),
    );
    let right = json!({ "id": "right", "name": "Right", "component": "noop" });
    let nodes = json!([start(), left, right, last]);
    let pairs = [("start", "left"), ("start", "right"), ("left.true", "last"), ("right", "last")];
    let workflow = world.workflow(nodes, edges(&pairs)).await;
    let run_id = world.start(&workflow, "start", json!({ "n": 7 })).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql =
        "SELECT configuration ->> 'url' FROM workflow_node_executions WHERE node_id = 'last' ORDER BY 1";
    let expected = [url("7/if.true/start/true/start/7"), url("7/noop.default/start/false/start/7")];
    assert_eq!(world.database.sql(sql).await, expected.join("\n"));
}

#[tokio::test]
async fn ancestors_that_other_transactions_committed_are_loaded_with_their_configuration() {
    let world = World::create().await;
    let target = local::target::Target::start().await.unwrap();
    let first = http("first", &format!("{}/one?n={{{{ root().data.n }}}}", target.url()), json!(1));
    let url = "https://target.test/{{ $[\"FIRST\"].config.url == $[\"FIRST\"].config.url }}/{{ $[\"FIRST\"].data.status }}/{{ previous(2).type }}/{{ previous(3) == nil }}/{{ $[\"Start\"].data.n }}";
    let second = http("second", url, json!(1));
    let nodes = json!([start(), first, noop("between"), second]);
    let workflow = world
        .workflow(nodes, edges(&[("start", "first"), ("first.success", "between"), ("between", "second")]))
        .await;
    let run_id = world.start(&workflow, "start", json!({ "n": 7 })).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(run_id)]).await;
    let sent = world.queues.take();
    tests::world::execute(&executor, &messages(&sent)).await;
    let sent = world.queues.take();
    // A fresh instance of the builder loads all ancestors from Postgres.
    build(&world.builder(), &messages(&sent)).await;
    let sql = "SELECT configuration ->> 'url' FROM workflow_node_executions WHERE node_id = 'second'";
    assert_eq!(world.database.sql(sql).await, "https://target.test/true/200/http.success/false/7");
    let sql = "SELECT string_agg(node_id, ',' ORDER BY id) FROM workflow_node_executions";
    assert_eq!(world.database.sql(sql).await, "first,between,second");
}

#[tokio::test]
async fn keys_are_stored_with_the_execution() {
    let world = World::create().await;
    let mut work = http("work", "https://target.test/", json!(1));
    work["keys"] = json!({ "commit": "{{ root().data.after }}" });
    let workflow = world.workflow(json!([start(), work]), edges(&[("start", "work")])).await;
    let run_id = world.start(&workflow, "start", json!({ "after": "abc" })).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = "SELECT k.key, k.value, k.node_id, k.execution_id = x.id FROM workflow_node_execution_kvs k, workflow_node_executions x";
    assert_eq!(world.database.sql(sql).await, "commit|abc|work|t");
}

#[tokio::test]
async fn data_that_looks_like_a_template_stays_text_i2() {
    let world = World::create().await;
    let text = "{{ secrets(\\\"github\\\").token }}";
    let mut work = http("work", "https://target.test/", json!(1));
    work["configuration"]["method"] = json!("POST");
    work["configuration"]["body"] = json!({ "json": "{{ previous().data }}" });
    let workflow =
        world.workflow(json!([start(), noop("a"), work]), edges(&[("start", "a"), ("a", "work")])).await;
    let data: Value =
        serde_json::from_str(&format!("{{ \"x\": \"{text}\", \"{text}\": {{ \"$expr\": \"{text}\" }} }}"))
            .unwrap();
    let run_id = world.start(&workflow, "start", data.clone()).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = "SELECT configuration -> 'body' -> 'json', residuals FROM workflow_node_executions WHERE node_id = 'work'";
    let row = world.database.sql(sql).await;
    let (json_text, residuals) = row.rsplit_once('|').unwrap();
    assert_eq!((serde_json::from_str::<Value>(json_text).unwrap(), residuals), (data, "[]"), "I2");
}

#[tokio::test]
async fn messages_that_could_not_be_sent_fail_nothing_i8() {
    let world = World::create().await;
    let workflow = world
        .workflow(
            json!([start(), http("work", "https://target.test/", json!(1))]),
            edges(&[("start", "work")]),
        )
        .await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    world.queues.go_down();
    build(&world.builder(), &[event(run_id)]).await;
    assert_eq!(
        world.executions().await,
        [open("work", ExecutionState::Pending)],
        "I8: the committed execution stays"
    );
}

#[tokio::test]
async fn a_burst_larger_than_one_claim_is_taken_in_several() {
    let world = World::create().await;
    let workflow = world.workflow(json!([start(), noop("a")]), edges(&[("start", "a")])).await;
    let claim = domain::limits::CLAIM_ITEMS_MAX;
    for _ in 0..claim + 10 {
        world.start(&workflow, "start", json!({})).await;
    }
    let (builder, executor) = (world.builder(), world.executor("127.0.0.1:9"));
    build(&builder, &[node(&workflow, "a")]).await;
    assert_eq!(world.items().await, 10, "I10");
    world.run_to_end(&builder, &executor).await;
    assert_eq!(world.items().await, 0, "I3: the rest is claimed later");
}

#[tokio::test]
async fn a_switch_routes_a_transform_shapes_and_a_stop_ends_its_branch_as_it_is_told() {
    let world = World::create().await;
    let nodes = json!([
        start(),
        { "id": "switch", "name": "Switch", "component": "switch", "configuration": {
            "cases": [
                { "when": "root().data.kind == 'order'", "channel": "order" },
                { "when": "root().data.kind == 'refund' && root().data.total > 100", "channel": "large-refund" },
            ],
            "otherwise": "unknown",
        } },
        { "id": "shape", "name": "Shape", "component": "transform", "configuration": {
            "output": { "id": "{{ root().data.id }}", "lines": ["{{ root().data.total * 2 }}", "n{{ root().data.id }}"], "fixed": true },
        } },
        { "id": "after", "name": "After", "component": "transform", "configuration": { "output": "{{ $[\"Shape\"].data.lines[0] }}" } },
        { "id": "refuse", "name": "Refuse", "component": "stop", "configuration": { "result": "failed", "message": "refund {{ root().data.id }} needs a person" } },
        { "id": "done", "name": "Done", "component": "stop", "configuration": { "result": "passed" } },
    ]);
    let edges = edges(&[
        ("start", "switch"),
        ("switch.order", "shape"),
        ("shape", "after"),
        ("switch.large-refund", "refuse"),
        ("switch.unknown", "done"),
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let builder = world.builder();
    for (data, expected) in [
        (json!({ "kind": "order", "id": 7, "total": 3 }), "passed||switch,shape,after"),
        (json!({ "kind": "refund", "id": 8, "total": 200 }), "failed|refund 8 needs a person|switch,refuse"),
        (json!({ "kind": "refund", "id": 9, "total": 5 }), "passed||switch,done"),
        (json!({ "kind": "spam", "id": 10, "total": 0 }), "passed||switch,done"),
    ] {
        let run_id = world.start(&workflow, "start", data.clone()).await;
        build(&builder, &[event(run_id)]).await;
        let sql = format!(
            "SELECT max(r.result), coalesce(max(x.result_message), ''), string_agg(x.node_id, ',' ORDER BY x.id)
             FROM workflow_runs r JOIN workflow_node_executions x ON x.run_id = r.id WHERE r.id = '{run_id}'"
        );
        assert_eq!(world.database.sql(&sql).await, expected, "{data}");
    }
    let made = "SELECT data FROM workflow_events WHERE type IN ('transform.default', 'switch.large-refund') ORDER BY id";
    let made = world.database.sql(made).await;
    let data: Vec<Value> = made.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(data[0], json!({ "id": 7, "lines": [6, "n7"], "fixed": true }));
    assert_eq!(data[1], json!(6));
    assert_eq!(data[2]["kind"], "refund", "a switch passes its input on");
    let reasons = "SELECT DISTINCT result_reason, failure_routed FROM workflow_node_executions WHERE node_id = 'refuse'";
    assert_eq!(world.database.sql(reasons).await, "component_error|f");
}
