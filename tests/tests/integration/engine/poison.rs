//! Records and workflows that would take a system down: each gets an outcome, and its neighbours go
//! on (I9, I10).

use domain::ids::{EventId, ExecutionId};

use domain::limits::{ANCESTORS_BYTES_MAX, RUN_DEPTH_MAX, RUN_EXECUTIONS_MAX};
use domain::message::Message;
use local::target::Target;
use serde_json::{Value, json};
use tests::world::{build, event, execute};
use tests::{Workflow, World};

fn start() -> Value {
    json!({ "id": "start", "name": "start", "trigger": "start" })
}

fn noop(id: &str) -> Value {
    json!({ "id": id, "name": id, "component": "noop" })
}

fn http(id: &str, url: &str) -> Value {
    json!({ "id": id, "name": id, "component": "http", "concurrency": "unlimited", "configuration": { "url": url } })
}

fn edge(from: &str, to: &str) -> Value {
    json!({ "from": from, "to": to })
}

#[tokio::test]
async fn forty_two_way_diamonds_end_at_the_runs_limit_and_another_run_goes_on_i10() {
    const DIAMONDS: usize = 40;
    let world = World::create().await;
    let (mut nodes, mut edges) = (vec![start(), noop("d0")], vec![edge("start", "d0")]);
    for n in 0..DIAMONDS {
        let (left, right, end) = (format!("l{n}"), format!("r{n}"), format!("d{}", n + 1));
        nodes.extend([noop(&left), noop(&right), noop(&end)]);
        let top = format!("d{n}");
        edges.extend([edge(&top, &left), edge(&top, &right), edge(&left, &end), edge(&right, &end)]);
    }
    let workflow = world.workflow(json!(nodes), json!(edges)).await;
    let other = world.workflow(json!([start(), noop("alone")]), json!([edge("start", "alone")])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    let (builder, executor) = (world.builder(), world.executor(""));
    build(&builder, &[event(run_id)]).await;
    let beside = world.start(&other, "start", json!({})).await;
    build(&builder, &[event(beside)]).await;
    let of = |run: EventId| {
        format!(
            "SELECT count(*) FROM workflow_node_executions WHERE root_event_id = '{run}' AND result = 'passed'"
        )
    };
    assert_eq!(
        world.database.count(&of(beside)).await,
        1,
        "another run passes in the midst of the large one"
    );
    world.run_to_end(&builder, &executor).await;

    let passed = world.database.count(&of(run_id)).await;
    // One builder was at work, so at most one batch is over the limit.
    let batch =
        i64::try_from(domain::limits::GO_ON_EXECUTIONS_MAX).unwrap() * domain::limits::CLAIM_ITEMS_MAX;
    assert!((RUN_EXECUTIONS_MAX - batch..=RUN_EXECUTIONS_MAX + batch).contains(&passed), "{passed}");
    let ends = "SELECT DISTINCT result, result_reason FROM workflow_node_executions WHERE result <> 'passed'";
    assert_eq!(world.database.sql(ends).await, "failed|run_limit");
    assert_eq!(world.items().await, 0, "no item waits any more");
}

/// A workflow with one node that calls `url`, and a run of it whose execution is built.
async fn one_call(world: &World, url: &str) -> (Workflow, EventId, ExecutionId) {
    let workflow = world.workflow(json!([start(), http("work", url)]), json!([edge("start", "work")])).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    build(&world.builder(), &[event(run_id)]).await;
    let sql = format!("SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}'");
    (workflow, run_id, world.database.sql(&sql).await.parse().expect("an execution"))
}

#[tokio::test]
async fn a_loop_through_calls_ends_at_the_runs_depth_i10() {
    let world = World::create().await;
    let target = Target::start().await.expect("a port is free");
    let edges = json!([edge("start", "work"), { "from": "work", "channel": "success", "to": "work" }]);
    let workflow = world.workflow(json!([start(), http("work", &target.url())]), edges).await;
    let run_id = world.start(&workflow, "start", json!({})).await;
    // The run's depth is set close to the limit, as if the loop had gone round almost that often.
    world.database.sql(&format!("UPDATE workflow_events SET depth = {}", RUN_DEPTH_MAX - 4)).await;
    build(&world.builder(), &[event(run_id)]).await;
    world.run_to_end(&world.builder(), &world.executor(&target.host_port())).await;
    assert_eq!(target.requests().len(), 4);
    let ends = "SELECT result, result_reason, count(*) FROM workflow_node_executions WHERE result <> 'passed' GROUP BY 1, 2";
    assert_eq!(world.database.sql(ends).await, "failed|run_limit|1");
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn an_execution_of_a_component_that_this_version_lacks_fails_and_says_so_i9() {
    let world = World::create().await;
    let target = Target::start().await.expect("a port is free");
    let ((_, _, foreign), (_, _, good)) =
        (one_call(&world, &target.url()).await, one_call(&world, &target.url()).await);
    world
        .database
        .sql(&format!("UPDATE workflow_node_executions SET component = 'teleport' WHERE id = '{foreign}'"))
        .await;
    let messages = [foreign, good].map(|execution_id| Message::Execution { execution_id });
    execute(&world.executor(&target.host_port()), &messages).await;
    let sql = |id: ExecutionId| {
        format!(
            "SELECT result, result_reason, result_message FROM workflow_node_executions WHERE id = '{id}'"
        )
    };
    let said = "failed|component_error|this version of sealflow has no component named teleport";
    assert_eq!(world.database.sql(&sql(foreign)).await, said);
    assert_eq!(world.database.sql(&sql(good)).await, "passed||");
}

#[tokio::test]
async fn an_item_of_a_component_that_this_version_lacks_fails_and_its_neighbours_go_on_i9() {
    let world = World::create().await;
    let nodes = json!([start(), http("work", "https://target.test/")]);
    let foreign = world.workflow(nodes.clone(), json!([edge("start", "work")])).await;
    let good = world.workflow(nodes, json!([edge("start", "work")])).await;
    let rename = format!(
        "UPDATE workflows SET nodes = replace(nodes::text, '\"http\"', '\"teleport\"')::jsonb WHERE id = '{}'",
        foreign.id
    );
    world.database.sql(&rename).await;
    let wakes = [
        event(world.start(&foreign, "start", json!({})).await),
        event(world.start(&good, "start", json!({})).await),
    ];
    build(&world.builder(), &wakes).await;
    let sql = |workflow: &Workflow| {
        format!(
            "SELECT state, result, result_reason FROM workflow_node_executions WHERE workflow_id = '{}'",
            workflow.id
        )
    };
    assert_eq!(world.database.sql(&sql(&foreign)).await, "finished|failed|template_error");
    assert_eq!(world.database.sql(&sql(&good)).await, "pending||");
    assert_eq!(world.items().await, 0);
}

#[tokio::test]
async fn a_node_that_looks_at_more_events_than_fit_fails_alone_i9_i10() {
    /// The number of events. With far fewer ancestors, the builder would not count their bytes.
    const EVENTS: i64 = 70;
    /// The length of each event's text. All together stay below the limit; each case lengthens the
    /// last one as it needs.
    const TEXT_CHARS: i64 = ANCESTORS_BYTES_MAX / (EVENTS + 1);
    let world = World::create().await;
    let looks = json!({ "id": "work", "name": "work", "component": "http", "concurrency": "unlimited",
        "configuration": { "url": "https://target.test/{{ $[root().data.which].data.which }}" } });
    let nodes = json!([start(), noop("step"), looks]);
    let workflow = world.workflow(nodes, json!([edge("start", "step"), edge("step", "work")])).await;
    let run_id = world.start(&workflow, "start", json!({ "which": "start" })).await;
    world.database.sql("DELETE FROM workflow_node_queue_items").await;
    // A long chain of events, each with a part of the limit's bytes. It begins with the run's root.
    let long_way = format!(
        "DO $$
         DECLARE
             before uuid := '{run_id}'; execution uuid; next uuid;
         BEGIN
             FOR n IN 1..{EVENTS} LOOP
                 execution := gen_random_uuid(); next := gen_random_uuid();
                 INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, result, component,
                     configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
                 VALUES (execution, '{0}', 'step', '{run_id}', before, 'finished', 'passed', 'noop', '{{}}', 1, 1, now(), now(), now(),
                     now(), now());
                 INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth,
                     execution_id, created_at)
                 VALUES (next, '{0}', 'step', '{run_id}', 'default', 'noop.default', '{{\"x\": \"\"}}', '{{}}', n + 1, execution, now());
                 before := next;
             END LOOP;
             UPDATE workflow_events SET data = jsonb_build_object('x', repeat('x', {TEXT_CHARS})) WHERE node_id = 'step';
         END $$",
        workflow.id
    );
    world.database.sql(&long_way).await;
    let bytes = "SELECT sum(octet_length(e.data::text) + coalesce(octet_length(x.configuration::text), 0))
        FROM workflow_events e LEFT JOIN workflow_node_executions x ON x.id = e.execution_id WHERE e.root_event_id = e.root_event_id";
    let last = format!("(SELECT id FROM workflow_events WHERE depth = {EVENTS} + 1)");
    let other = world.start(&workflow, "start", json!({ "which": "start" })).await;
    let build_with = async |total: i64| {
        // The sum includes the second run's own event, which is read too.
        let missing = total - world.database.count(bytes).await;
        let grow = format!(
            "UPDATE workflow_events SET data = jsonb_build_object('x', repeat('x', length(data ->> 'x') + {missing})) WHERE id = {last}"
        );
        world.database.sql(&grow).await;
        let items = format!(
            "DELETE FROM workflow_node_executions WHERE node_id = 'work'; DELETE FROM workflow_node_queue_items;
             INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, event_id, node_generation, created_at, last_sent_at)
             SELECT gen_random_uuid(), '{0}', 'work', e.root_event_id, e.id, 1, now(), now() FROM workflow_events e
             WHERE e.id = {last} OR e.id = '{other}'",
            workflow.id
        );
        world.database.sql(&items).await;
        build(&world.builder(), &[Message::Node { workflow_id: workflow.id, node_id: "work".into() }]).await;
        let ended = "SELECT root_event_id = '{run}', state, result_reason FROM workflow_node_executions WHERE node_id = 'work' ORDER BY 1";
        world.database.sql(&ended.replace("{run}", &run_id.to_string())).await
    };
    assert_eq!(build_with(ANCESTORS_BYTES_MAX).await, "f|pending|\nt|pending|", "I10");
    assert_eq!(
        build_with(ANCESTORS_BYTES_MAX + 1).await,
        "f|pending|\nt|pending|",
        "I9: both executions fit when each is built alone"
    );
    let alone = world.database.count(bytes).await - ANCESTORS_BYTES_MAX;
    assert_eq!(
        build_with(ANCESTORS_BYTES_MAX + alone + 1_000).await,
        "f|pending|\nt|finished|limit",
        "I9, I10"
    );
    assert_eq!(world.items().await, 0);
}
