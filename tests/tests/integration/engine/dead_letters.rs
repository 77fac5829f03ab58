//! Dead letters, and redriving them.

use domain::execution::ResultReason;
use domain::ids::{EventId, ExecutionId, OrganizationId};
use local::target::Target;
use serde_json::{Value, json};
use store::StoreError;
use store::api::{
    DeadLetterFilter, PageRequest, Redrive, RedriveOutcome, RunFilter, list_dead_letters, list_runs,
};
use tests::rows::{failed, passed};
use tests::world::{build, event};
use tests::{Workflow, World};
use uuid::Uuid;

fn start() -> Value {
    json!({ "id": "start", "name": "Start", "trigger": "start" })
}

fn http(id: &str, url: &str) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": "http", "configuration": { "url": url } })
}

fn noop(id: &str) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "component": "noop" })
}

/// The workflow `start` → `first` → `work` → `last`, in which `work` calls `url`.
async fn chain(world: &World, url: &str) -> Workflow {
    world.workflow(chain_nodes(url), chain_edges()).await
}

fn chain_nodes(url: &str) -> Value {
    json!([start(), noop("first"), http("work", url), noop("last")])
}

fn chain_edges() -> Value {
    json!([
        { "from": "start", "to": "first" }, { "from": "first", "to": "work" },
        { "from": "work", "channel": "success", "to": "last" },
    ])
}

async fn run(world: &World, target: &Target, workflow: &Workflow, data: Value) -> EventId {
    let run_id = world.start(workflow, "start", data).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(run_id)]).await;
    world.run_to_end(&builder, &executor).await;
    run_id
}

async fn letters(world: &World, filter: DeadLetterFilter) -> Vec<ExecutionId> {
    let page = PageRequest { before: None, rows: 200 };
    let page = list_dead_letters(world.api(), world.organization_id, &filter, page).await.unwrap();
    page.rows.iter().map(|row| row.id).collect()
}

async fn only_letter(world: &World) -> ExecutionId {
    match letters(world, DeadLetterFilter::default()).await.as_slice() {
        [one] => *one,
        others => panic!("{others:?}"),
    }
}

async fn redrive_as(
    world: &World,
    organization_id: OrganizationId,
    execution_id: ExecutionId,
) -> Result<RedriveOutcome, StoreError> {
    let redrive = Redrive {
        organization_id,
        execution_id,
        event_id: world.id(),
        item_id: world.id(),
        now: world.now(),
    };
    store::api::redrive_execution(world.audited(), &redrive).await
}

async fn redrive(world: &World, execution_id: ExecutionId) -> RedriveOutcome {
    redrive_as(world, world.organization_id, execution_id).await.unwrap()
}

/// Delivers the wake of the redriven event, and all messages that follow from it.
async fn deliver(world: &World, target: &Target) {
    let sql = "SELECT event_id FROM workflow_node_queue_items";
    let event_id: EventId = world.database.sql(sql).await.parse().unwrap();
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(event_id)]).await;
    world.run_to_end(&builder, &executor).await;
}

#[tokio::test]
async fn a_redrive_routes_a_copy_to_the_node_alone_and_what_it_comes_to_counts_i3() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    let run_id = run(&world, &target, &workflow, json!({ "n": 1 })).await;
    assert_eq!(world.run_state(run_id).await, "failed");
    let letter = only_letter(&world).await;
    assert_eq!(redrive(&world, letter).await, RedriveOutcome::Redriven { run_id: run_id.into(), due: None });
    assert_eq!(
        (world.run_state(run_id).await, letters(&world, DeadLetterFilter::default()).await),
        ("running", vec![])
    );
    let copy = "SELECT c.type, c.targets, c.id <> o.id, c.node_id = o.node_id AND c.channel = o.channel AND c.data = o.data
            AND c.depth = o.depth AND c.root_event_id = o.root_event_id AND c.execution_id = o.execution_id
        FROM workflow_node_executions x JOIN workflow_events o ON o.id = x.event_id JOIN workflow_events c ON c.id = x.redriven_event_id";
    assert_eq!(world.database.sql(copy).await, "redrive|{work}|t|t");
    // The node is mended meanwhile: the redriven execution is built anew from today's definition.
    let url = format!("{}/{{{{ $[\"Start\"].data.n }}}}/{{{{ previous(2).data.n }}}}", target.url());
    world.apply_again(&workflow, chain_nodes(&url), chain_edges()).await;
    deliver(&world, &target).await;
    let expected =
        [passed("first"), failed("work", ResultReason::ComponentError), passed("work"), passed("last")];
    assert_eq!(
        world.executions().await,
        expected,
        "I3: the failed execution stays, and nothing else ran again"
    );
    assert_eq!(world.run_state(run_id).await, "passed");
    let sql = "SELECT DISTINCT a.previous_execution_id = b.previous_execution_id FROM workflow_node_executions a, workflow_node_executions b
        WHERE a.node_id = 'work' AND b.node_id = 'work'";
    assert_eq!(world.database.sql(sql).await, "t");
    assert_eq!(target.requests().last().unwrap().path, "/1/1", "the copy has the same ancestors");
}

#[tokio::test]
async fn redriven_twice_it_is_redriven_once_i3() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    run(&world, &target, &workflow, json!({ "n": 1 })).await;
    let failed = only_letter(&world).await;
    let other = world.database.store("api");
    let second = Redrive {
        organization_id: world.organization_id,
        execution_id: failed,
        event_id: world.id(),
        item_id: world.id(),
        now: world.now(),
    };
    let (one, two) = tokio::join!(
        redrive(&world, failed),
        store::api::redrive_execution(world.audited_at(&other), &second)
    );
    let outcomes = [one, two.unwrap()];
    let redriven = outcomes.iter().filter(|outcome| matches!(outcome, RedriveOutcome::Redriven { .. }));
    assert_eq!(redriven.count(), 1, "I3: {outcomes:?}");
    assert_eq!(redrive(&world, failed).await, RedriveOutcome::Refused("the execution was redriven already"));
    assert_eq!(world.items().await, 1, "I3");
}

#[tokio::test]
async fn what_fails_again_is_listed_again_and_can_be_redriven_again() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    // `work` stands right behind the trigger: the copy is one of the root event, but is no root
    // event itself.
    let nodes = |path: &str| json!([start(), http("work", &format!("{}{path}", target.url()))]);
    let edges = json!([{ "from": "start", "to": "work" }]);
    let workflow = world.workflow(nodes("/status/500"), edges.clone()).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    let first = only_letter(&world).await;
    redrive(&world, first).await;
    deliver(&world, &target).await;
    let second = only_letter(&world).await;
    assert!(second != first && world.run_state(run_id).await == "failed");
    world
        .apply_again(&workflow, nodes("/{{ root().type }}/{{ previous().data.n ?? \"none\" }}"), edges)
        .await;
    redrive(&world, second).await;
    deliver(&world, &target).await;
    assert_eq!(world.run_state(run_id).await, "passed");
    let (filter, page) = (RunFilter::default(), PageRequest { before: None, rows: 10 });
    let runs = list_runs(world.api(), world.organization_id, &filter, page).await.unwrap();
    assert_eq!(runs.rows.len(), 1, "a redrive is no run of its own");
    assert_eq!(runs.rows[0].result.map(|result| result.as_str()), Some("passed"));
}

#[tokio::test]
async fn what_fails_a_run_is_listed_and_nothing_else() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    let failed = only_letter(&world).await;
    // The second workflow routes its failure, and the third one passes.
    let nodes = json!([start(), http("work", &format!("{}/status/500", target.url())), noop("mend")]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "failure", "to": "mend" }]);
    let handled = world.workflow(nodes, edges).await;
    let handled_run = run(&world, &target, &handled, json!({})).await;
    let fine = chain(&world, &target.url()).await;
    let fine_run = run(&world, &target, &fine, json!({})).await;
    assert_eq!((world.run_state(handled_run).await, world.run_state(fine_run).await), ("passed", "passed"));
    assert_eq!(only_letter(&world).await, failed);
    let check = async |filter: DeadLetterFilter, is_found: bool| {
        let expected = if is_found { vec![failed] } else { vec![] };
        assert_eq!(letters(&world, filter.clone()).await, expected, "{filter:?}");
    };
    let none = DeadLetterFilter::default;
    check(DeadLetterFilter { workflow_id: Some(workflow.id), ..none() }, true).await;
    check(DeadLetterFilter { workflow_id: Some(handled.id), ..none() }, false).await;
    check(DeadLetterFilter { node_id: Some("work".into()), ..none() }, true).await;
    check(DeadLetterFilter { node_id: Some("first".into()), ..none() }, false).await;
    check(DeadLetterFilter { reason: Some(ResultReason::ComponentError), ..none() }, true).await;
    check(DeadLetterFilter { reason: Some(ResultReason::Timeout), ..none() }, false).await;
    check(DeadLetterFilter { run_id: Some(run_id.into()), ..none() }, true).await;
    check(DeadLetterFilter { run_id: Some(fine_run.into()), ..none() }, false).await;
    let page = PageRequest { before: None, rows: 10 };
    let theirs = list_dead_letters(world.api(), OrganizationId(Uuid::new_v4()), &none(), page).await.unwrap();
    assert!(theirs.rows.is_empty(), "I6");
}

#[tokio::test]
async fn pages_of_dead_letters_follow_each_other() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    for n in 0..3 {
        run(&world, &target, &workflow, json!({ "n": n })).await;
    }
    let all = letters(&world, DeadLetterFilter::default()).await;
    let (mut seen, mut before) = (Vec::new(), None);
    for _ in 0..3 {
        let page = PageRequest { before, rows: 1 };
        let filter = DeadLetterFilter::default();
        let page = list_dead_letters(world.api(), world.organization_id, &filter, page).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
        before = page.next;
    }
    assert_eq!((seen, before), (all, None));
}

#[tokio::test]
async fn what_can_not_be_redriven_is_refused_and_says_why() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    let failed = only_letter(&world).await;
    // Another transaction holds the row. A caller of a foreign organization is told that there is
    // no such execution, without waiting for the row's lock.
    let owner = world.database.connect_admin().await;
    let lock = format!("BEGIN; SELECT FROM workflow_node_executions WHERE id = '{failed}' FOR UPDATE");
    owner.batch_execute(&lock).await.unwrap();
    let foreign = redrive_as(&world, OrganizationId(Uuid::new_v4()), failed).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)), "I6: {foreign:?}");
    owner.batch_execute("ROLLBACK").await.unwrap();
    let first = "SELECT id FROM workflow_node_executions WHERE node_id = 'first'";
    let passed = world.database.sql(first).await.parse().unwrap();
    assert_eq!(redrive(&world, passed).await, RedriveOutcome::Refused("the execution didn't fail"));
    let cases = [
        ("workflow_nodes", "items_full", "true", "false", RedriveOutcome::Full),
        (
            "workflow_nodes",
            "deleted_at",
            "now()",
            "NULL",
            RedriveOutcome::Refused("the node was removed from the workflow"),
        ),
        ("workflows", "deleted_at", "now()", "NULL", RedriveOutcome::Refused("the workflow was deleted")),
    ];
    for (table, column, set, reset, expected) in cases {
        world.database.sql(&format!("UPDATE {table} SET {column} = {set}")).await;
        assert_eq!(redrive(&world, failed).await, expected);
        world.database.sql(&format!("UPDATE {table} SET {column} = {reset}")).await;
    }
    for (reason, why) in [
        ("cancelled", "the run was cancelled"),
        ("run_limit", "the run is at its limit"),
        ("timeout", "the run took longer than its time-out"),
    ] {
        world.database.sql(&format!("UPDATE workflow_runs SET stop = '{reason}', stopped_by = 'test'")).await;
        assert_eq!(redrive(&world, failed).await, RedriveOutcome::Refused(why));
        world.database.sql("UPDATE workflow_runs SET stop = NULL, stopped_by = NULL").await;
    }
    world.cancel(run_id).await;
    assert_eq!(
        redrive(&world, failed).await,
        RedriveOutcome::Redriven { run_id: run_id.into(), due: None },
        "a run that has ended can't be cancelled any more"
    );
    let routed = json!([start(), http("work", &format!("{}/status/500", target.url())), noop("mend")]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "failure", "to": "mend" }]);
    let workflow = world.workflow(routed, edges).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    let sql = format!(
        "SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}' AND node_id = 'work'"
    );
    let id = world.database.sql(&sql).await.parse().unwrap();
    let expected = "the failure was routed: what followed it has dealt with it";
    assert_eq!(redrive(&world, id).await, RedriveOutcome::Refused(expected));
}

#[tokio::test]
async fn a_run_with_as_many_executions_as_are_allowed_takes_no_redrive_i10() {
    let world = World::create().await;
    let target = Target::start().await.unwrap();
    let workflow = chain(&world, &format!("{}/status/500", target.url())).await;
    let run_id = run(&world, &target, &workflow, json!({})).await;
    let failed = only_letter(&world).await;
    // Two executions are there. Foreign keys are not checked: only the count matters here.
    let insert = |count: i64| {
        format!(
            "SET session_replication_role = replica;
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component,
                 configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, finished_at)
             SELECT id, '{}', 'last', '{run_id}', '{run_id}', id, 'finished', 'passed', 'noop', '{{}}', 1, 1, now(), now(), now(), now()
             FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {count})) ids;
             SET session_replication_role = DEFAULT",
            workflow.id
        )
    };
    world.database.sql(&insert(domain::limits::RUN_EXECUTIONS_MAX - 2)).await;
    assert_eq!(redrive(&world, failed).await, RedriveOutcome::Refused("the run is at its limit"), "I10");
    world.database.sql("DELETE FROM workflow_node_executions WHERE id = (SELECT id FROM workflow_node_executions WHERE node_id = 'last' LIMIT 1)").await;
    assert_eq!(
        redrive(&world, failed).await,
        RedriveOutcome::Redriven { run_id: run_id.into(), due: None },
        "I10"
    );
}
