//! The end of history: a run goes with all that belongs to it once it is older than its
//! organization keeps runs, and nothing else goes.

use domain::function::Actor;
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId};
use jiff::SignedDuration;
use local::target::Target;
use serde_json::{Value, json};
use store::api::{ExecutionCall, Redrive, RedriveOutcome, call_execution, redrive_execution, set_retention};
use store::sweeper::delete_expired_run;
use sweeper::{Swept, sweep};
use tests::world::{build, event};
use tests::{Workflow, World};
use uuid::Uuid;

/// Days for which the organization of a test keeps its runs.
const KEPT_DAYS: i32 = 30;
/// Days since the old runs of a test ended.
const OLD_DAYS: i64 = 31;

/// `start` → `work`, which has a search key and fails for `{ "status": 500 }`, → `wait`.
async fn workflow(world: &World, target: &Target) -> Workflow {
    let url = format!("{}/status/{{{{ root().data.status }}}}", target.url());
    let nodes = json!([
        { "id": "start", "name": "Start", "trigger": "start" },
        { "id": "work", "name": "Work", "component": "http", "configuration": { "url": url }, "keys": { "who": "Ada" } },
        { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": "{{ root().data.for }}" } },
    ]);
    let edges =
        json!([{ "from": "start", "to": "work" }, { "from": "work", "channel": "success", "to": "wait" }]);
    world.workflow(nodes, edges).await
}

/// A run that began so many days ago, as far as it goes by itself.
async fn run(world: &World, target: &Target, workflow: &Workflow, days: i64, data: Value) -> EventId {
    let id = id_of(world, days);
    world.begin(world.api(), workflow, "start", id, data).await.unwrap();
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    build(&builder, &[event(id)]).await;
    world.run_to_end(&builder, &executor).await;
    id
}

/// An id that was made so many days ago: its first 48 bits are milliseconds.
fn id_of(world: &World, days: i64) -> EventId {
    let then = (world.now() - SignedDuration::from_hours(24 * days)).as_millisecond();
    let rest = world.id::<Uuid>().as_u128() & ((1 << 80) - 1);
    Uuid::from_u128(u128::from(then.unsigned_abs()) << 80 | rest).into()
}

/// Moves the end of a run back by so many days.
async fn ended(world: &World, run_id: EventId, days: i64) {
    let sql = format!(
        "UPDATE workflow_runs SET finished_at = finished_at - interval '{days} days' WHERE id = '{run_id}'"
    );
    world.database.sql(&sql).await;
}

/// A run that ended [`OLD_DAYS`] ago.
async fn old(world: &World, target: &Target, workflow: &Workflow) -> EventId {
    let run_id = run(world, target, workflow, OLD_DAYS, json!({ "status": 200, "for": "0s" })).await;
    let messages = "SELECT node_id, result_message FROM workflow_node_executions";
    assert_eq!(world.run_state(run_id).await, "passed", "{}", world.database.sql(messages).await);
    ended(world, run_id, OLD_DAYS).await;
    run_id
}

async fn keep_days(world: &World, days: Option<i32>) {
    set_retention(world.api(), world.organization_id, days, world.now()).await.unwrap();
}

/// The rows of a run in each table that has some.
async fn rows(world: &World, run_id: EventId) -> Vec<i64> {
    let mut all = Vec::new();
    for (table, condition) in [
        ("workflow_runs", "id = 'RUN'"),
        ("workflow_events", "root_event_id = 'RUN'"),
        ("workflow_node_executions", "root_event_id = 'RUN'"),
        ("workflow_node_queue_items", "root_event_id = 'RUN'"),
        ("workflow_run_marks", "root_event_id = 'RUN'"),
        ("workflow_node_execution_kvs", OF_EXECUTIONS),
        ("workflow_execution_calls", OF_EXECUTIONS),
        ("workflow_execution_wakes", OF_EXECUTIONS),
    ] {
        let condition = condition.replace("RUN", &run_id.to_string());
        all.push(world.database.count(&format!("SELECT count(*) FROM {table} WHERE {condition}")).await);
    }
    all
}

const OF_EXECUTIONS: &str =
    "execution_id IN (SELECT id FROM workflow_node_executions WHERE root_event_id = 'RUN')";
const NO_ROWS: [i64; 8] = [0; 8];

/// The two ticks that a run needs, with the minute between them.
async fn sweep_twice(world: &World) -> (i64, usize) {
    let expired = tick(world, None).await.runs_expired;
    world.database.sql("UPDATE workflow_runs SET expired_at = expired_at - interval '61 seconds'").await;
    (expired, tick(world, None).await.runs_deleted)
}

async fn tick(world: &World, operators_days: Option<i32>) -> Swept {
    let sweeper = sweeper::Deps { retention_days_max: operators_days, ..world.sweeper(3_600) };
    sweep(&sweeper, tests::tick()).await.unwrap()
}

async fn one(world: &World, run_id: EventId, node_id: &str) -> ExecutionId {
    let sql = format!(
        "SELECT id FROM workflow_node_executions WHERE root_event_id = '{run_id}' AND node_id = '{node_id}' LIMIT 1"
    );
    world.database.sql(&sql).await.parse().expect("an execution")
}

async fn redrive(world: &World, execution_id: ExecutionId) -> RedriveOutcome {
    let redrive = Redrive {
        organization_id: world.organization_id,
        execution_id,
        event_id: world.id(),
        item_id: world.id(),
        now: world.now(),
    };
    redrive_execution(world.api(), &redrive).await.unwrap()
}

#[tokio::test]
async fn an_old_run_goes_with_all_that_belongs_to_it_and_nothing_else_does_i6() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    // One failed and was redriven; one was released from its wait; one was cancelled in it.
    let failed = run(&world, &target, &workflow, OLD_DAYS, json!({ "status": 500 })).await;
    let redriven = redrive(&world, one(&world, failed, "work").await).await;
    assert!(matches!(redriven, RedriveOutcome::Redriven { .. }), "{redriven:?}");
    build(&builder, &[domain::message::Message::Node { workflow_id: workflow.id, node_id: "work".into() }])
        .await;
    world.run_to_end(&builder, &executor).await;
    let held = json!({ "status": 200, "for": "40 days" });
    let released = run(&world, &target, &workflow, OLD_DAYS, held.clone()).await;
    let call = ExecutionCall {
        id: world.id(),
        organization_id: world.organization_id,
        execution_id: one(&world, released, "wait").await,
        call: domain::held::Call::Release,
        called_by: Actor::Token("test".to_owned()),
    };
    call_execution(world.api(), &call).await.unwrap();
    let cancelled = run(&world, &target, &workflow, OLD_DAYS, held.clone()).await;
    world.cancel(cancelled).await;
    let mut wakes = Vec::new();
    for run_id in [released, cancelled] {
        wakes.push(domain::message::Message::Wake { execution_id: one(&world, run_id, "wait").await });
    }
    build(&builder, &wakes).await;
    world.run_to_end(&builder, &executor).await;
    let gone = [failed, released, cancelled, old(&world, &target, &workflow).await];
    for run_id in &gone[..3] {
        assert_ne!(world.run_state(*run_id).await, "running");
        ended(&world, *run_id, OLD_DAYS).await;
    }
    // These stay: still at its wait after so many days, and ended a day too late.
    let waiting = run(&world, &target, &workflow, OLD_DAYS, held).await;
    let young = run(&world, &target, &workflow, OLD_DAYS, json!({ "status": 200, "for": "0s" })).await;
    ended(&world, young, OLD_DAYS - 2).await;
    let mut before = Vec::new();
    for run_id in [waiting, young] {
        before.push(rows(&world, run_id).await);
    }
    let total = rows(&world, failed).await;
    assert!(total[1] > 1 && total[2] == 2 && total[5] == 2, "{total:?}");
    assert_eq!((rows(&world, released).await[6], rows(&world, cancelled).await[7]), (1, 1));

    keep_days(&world, Some(KEPT_DAYS)).await;
    assert_eq!(sweep_twice(&world).await, (4, 4));
    for run_id in gone {
        assert_eq!(rows(&world, run_id).await, NO_ROWS);
    }
    for (run_id, before) in [waiting, young].into_iter().zip(before) {
        assert_eq!(rows(&world, run_id).await, before, "I6");
    }
}

#[tokio::test]
async fn runs_are_kept_as_long_as_the_organization_says_and_no_longer_than_the_operator() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let first = world.database.count("SELECT retention_days FROM organizations").await;
    assert_eq!(first, 90, "a new organization's");
    old(&world, &target, &workflow).await;
    let expired = async |days: Option<i32>, operators_days: Option<i32>| {
        keep_days(&world, days).await;
        let expired = tick(&world, operators_days).await.runs_expired;
        world.database.sql("UPDATE workflow_runs SET expired_at = NULL").await;
        expired
    };
    assert_eq!(expired(None, None).await, 0, "for ever");
    assert_eq!(expired(Some(32), None).await, 0);
    assert_eq!(expired(Some(30), None).await, 1);
    assert_eq!(expired(Some(30), Some(365)).await, 1);
    assert_eq!(expired(Some(90), Some(30)).await, 1, "the operator keeps no run for longer");
    assert_eq!(expired(None, Some(30)).await, 1);
    assert_eq!(expired(None, Some(32)).await, 0);
}

#[tokio::test]
async fn nothing_is_redriven_in_a_run_that_expired() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let run_id = run(&world, &target, &workflow, OLD_DAYS, json!({ "status": 500 })).await;
    ended(&world, run_id, OLD_DAYS).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    assert_eq!(tick(&world, None).await.runs_expired, 1);
    let work = one(&world, run_id, "work").await;
    let refused = redrive(&world, work).await;
    assert!(matches!(refused, RedriveOutcome::Refused(why) if why.contains("being deleted")), "{refused:?}");
    assert_eq!(tick(&world, None).await.runs_deleted, 0, "not within the minute");
}

#[tokio::test]
async fn a_run_that_runs_again_or_may_stay_after_all_is_not_deleted_i3() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let store = world.database.store("sweeper");
    let is_expired = async |run_id: EventId| {
        let sql = format!("SELECT expired_at IS NOT NULL FROM workflow_runs WHERE id = '{run_id}'");
        world.database.sql(&sql).await == "t"
    };
    let delete = async |run_id: EventId| delete_expired_run(&store, run_id.into(), None).await.unwrap();
    keep_days(&world, Some(KEPT_DAYS)).await;
    let run_id = old(&world, &target, &workflow).await;
    let before = rows(&world, run_id).await;
    for change in [
        // A redrive of the release before, which does not know that a run can expire.
        "UPDATE workflow_runs SET state = 'running', result = NULL, finished_at = NULL",
        "UPDATE workflow_runs SET state = 'finished', result = 'passed', finished_at = now()",
        "UPDATE organizations SET retention_days = 32; UPDATE workflow_runs SET finished_at = now() - interval '31 days'",
        "UPDATE organizations SET retention_days = NULL",
    ] {
        world.database.sql(&format!("UPDATE workflow_runs SET expired_at = now(); {change}")).await;
        assert_eq!((delete(run_id).await, is_expired(run_id).await), (None, false), "{change}");
        assert_eq!(rows(&world, run_id).await, before, "{change}");
    }
    world.database.sql("UPDATE organizations SET retention_days = 30").await;
    assert_eq!((delete(run_id).await, is_expired(run_id).await), (None, false), "it did not expire");
    world.database.sql("UPDATE workflow_runs SET expired_at = now()").await;
    assert_eq!(delete(run_id).await, Some(2));
    assert_eq!(rows(&world, run_id).await, NO_ROWS);
}

#[tokio::test]
async fn the_sweepers_role_deletes_no_run_otherwise_i6() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let run_id = run(&world, &target, &workflow, 0, json!({ "status": 200, "for": "0s" })).await;
    world.database.sql("UPDATE organizations SET retention_days = NULL").await;
    let before = rows(&world, run_id).await;
    let role = world.database.connect("sweeper").await;
    // The worst that it can say: it expired, and nothing is kept.
    role.batch_execute(&format!("UPDATE workflow_runs SET expired_at = now() WHERE id = '{run_id}'"))
        .await
        .unwrap();
    for days in ["0", "-1", "1", "NULL"] {
        let sql = format!("SELECT delete_expired_run('{run_id}', {days})");
        role.batch_execute(&sql).await.unwrap();
    }
    for table in
        ["workflow_runs", "workflow_events", "workflow_node_executions", "workflow_node_execution_kvs"]
    {
        let refused = role.batch_execute(&format!("DELETE FROM {table}")).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{table}");
    }
    assert_eq!(rows(&world, run_id).await, before);
}

#[tokio::test]
async fn a_run_that_somebody_holds_waits_and_holds_up_no_other() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    let (held, other) = (old(&world, &target, &workflow).await, old(&world, &target, &workflow).await);
    assert_eq!(tick(&world, None).await.runs_expired, 2);
    world.database.sql("UPDATE workflow_runs SET expired_at = now() - interval '61 seconds'").await;
    let holder = world.database.connect_admin().await;
    // As a redrive: an execution first, then its run.
    let work = one(&world, held, "work").await;
    let lock = format!("BEGIN; SELECT FROM workflow_node_executions WHERE id = '{work}' FOR NO KEY UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    let swept = sweep(&world.sweeper(3_600), tests::tick()).await;
    assert!(swept.unwrap_err().is_lock_timeout());
    assert_eq!(rows(&world, other).await, NO_ROWS);
    holder.batch_execute("COMMIT").await.unwrap();
    let lock = format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{held}' FOR NO KEY UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    assert_eq!(tick(&world, None).await.runs_deleted, 0, "skipped");
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(tick(&world, None).await.runs_deleted, 1);
    assert_eq!(rows(&world, held).await, NO_ROWS);
}

#[tokio::test]
async fn old_runs_of_many_organizations_expire_and_the_next_tick_goes_on_where_one_was_cut_off() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    for _ in 0..3 {
        old(&world, &target, &workflow).await;
    }
    // More organizations than one search finds, before and after ours.
    world
        .database
        .sql(
            "INSERT INTO organizations (id, name, created_at, updated_at)
             SELECT gen_random_uuid(), 'other-' || n, now(), now() FROM generate_series(1, 250) AS n",
        )
        .await;
    let sweeper = world.sweeper(3_600);
    // A tick without time looks at nothing, and one with time at all.
    let none = process::Deadline::after(std::time::Duration::ZERO);
    assert_eq!(sweep(&sweeper, none).await.unwrap().runs_expired, 0);
    assert_eq!(sweep(&sweeper, tests::tick()).await.unwrap().runs_expired, 3);
    assert_eq!(sweep(&sweeper, tests::tick()).await.unwrap().runs_expired, 0, "once");
}

/// Runs beside the one that is deleted.
const OTHERS: usize = 20_000;

#[tokio::test]
async fn deleting_a_run_costs_what_it_has_whatever_else_there_is() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    let buffers = async |run_id: EventId| {
        let role = world.database.connect("sweeper").await;
        let sql = format!(
            "BEGIN; UPDATE workflow_runs SET expired_at = now() WHERE id = '{run_id}';
             SELECT delete_expired_run('{run_id}', NULL); ROLLBACK;
             BEGIN; UPDATE workflow_runs SET expired_at = now() WHERE id = '{run_id}';
             EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT delete_expired_run('{run_id}', NULL);
             ROLLBACK"
        );
        let answers = role.simple_query(&sql).await.unwrap();
        let plan = answers.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(plan.last().expect("a plan")).unwrap();
        let number = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
        number("Shared Hit Blocks") + number("Shared Read Blocks")
    };
    let alone = buffers(old(&world, &target, &workflow).await).await;
    let copies = format!(
        "SET session_replication_role = replica;
         CREATE TEMP TABLE copy AS SELECT n, gen_random_uuid() AS run, gen_random_uuid() AS event, gen_random_uuid() AS execution
             FROM generate_series(1, {OTHERS}) AS n;
         INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, state, result, created_at, updated_at, finished_at)
             SELECT run, '{}', '{1}', 1, 'start', run, ARRAY[run], 'finished', 'passed', now(), now(), now() FROM copy;
         INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, created_at)
             SELECT run, '{1}', 'start', run, run, 'default', 'start', '{{}}', ARRAY['work'], 1, now() FROM copy;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, run_id, event_id, state, result, component, configuration, workflow_version, node_version, created_at, updated_at, last_sent_at, finished_at)
             SELECT execution, '{1}', 'work', run, run, run, 'finished', 'passed', 'http', '{{}}', 1, 1, now(), now(), now(), now() FROM copy;
         SET session_replication_role = origin; ANALYZE;",
        world.organization_id, workflow.id
    );
    world.database.sql(&copies).await;
    let beside = buffers(old(&world, &target, &workflow).await).await;
    println!("buffers of a deletion: {alone} alone, {beside} beside {OTHERS} runs");
    assert!(beside <= 2 * alone, "{alone} alone, {beside} beside others");
}

/// Another organization's runs are its own affair.
#[tokio::test]
async fn one_organizations_retention_touches_no_other_i6() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let run_id = old(&world, &target, &workflow).await;
    keep_days(&world, None).await;
    let other: OrganizationId = world.id();
    let sql = format!(
        "INSERT INTO organizations (id, name, retention_days, created_at, updated_at) VALUES ('{other}', 'other', 1, now(), now())"
    );
    world.database.sql(&sql).await;
    assert_eq!(sweep_twice(&world).await, (0, 0));
    let store = world.database.store("sweeper");
    assert_eq!(delete_expired_run(&store, RunId::from(run_id), None).await.unwrap(), None);
}
