//! The end of history: a run goes with all that belongs to it once it is older than its
//! organization keeps runs, and nothing else goes.

use domain::actor::Actor;
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId};
use jiff::SignedDuration;
use local::target::Target;
use serde_json::{Value, json};
use store::api::{ExecutionCall, RedriveOutcome, call_execution, set_retention};
use store::sweeper::{Deletion, delete_expired_run};
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
        "UPDATE workflow_runs SET finished_at = finished_at - interval '{days} days', created_at = created_at - interval '{days} days'
         WHERE id = '{run_id}'"
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
    set_retention(world.audited(), world.organization_id, days, world.now()).await.unwrap();
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
    world.redrive(execution_id).await.1
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
        called_by: Actor::token_named("test"),
        data: None,
        voter: None,
    };
    call_execution(world.audited(), &call).await.unwrap();
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
    let kept = (Deletion::Kept, false);
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
        assert_eq!((delete(run_id).await, is_expired(run_id).await), kept, "{change}");
        assert_eq!(rows(&world, run_id).await, before, "{change}");
    }
    world.database.sql("UPDATE organizations SET retention_days = 30").await;
    assert_eq!(delete(run_id).await, Deletion::Locked, "it did not expire");
    world.database.sql("UPDATE workflow_runs SET expired_at = now()").await;
    assert_eq!(delete(run_id).await, Deletion::Deleted);
    assert_eq!(rows(&world, run_id).await, NO_ROWS);
}

#[tokio::test]
async fn the_sweepers_role_deletes_no_run_that_is_young_or_at_work_i6() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    let young = run(&world, &target, &workflow, 0, json!({ "status": 200, "for": "0s" })).await;
    let waiting = json!({ "status": 200, "for": "40 days" });
    let at_work = run(&world, &target, &workflow, OLD_DAYS, waiting).await;
    let sql = format!(
        "UPDATE workflow_runs SET created_at = now() - interval '31 days' WHERE id = '{at_work}';
         UPDATE organizations SET retention_days = NULL"
    );
    world.database.sql(&sql).await;
    let role = world.database.connect("sweeper").await;
    for run_id in [young, at_work] {
        let before = rows(&world, run_id).await;
        for days in ["0", "-1", "1", "NULL"] {
            // The worst that it can say: the run ended long ago and expired, and the operator keeps
            // runs for a day.
            let sql = format!(
                "UPDATE workflow_runs SET state = 'finished', result = 'passed', finished_at = '2000-01-01', expired_at = now()
                 WHERE id = '{run_id}'; SELECT delete_expired_run('{run_id}', {days})"
            );
            role.batch_execute(&sql).await.unwrap();
        }
        assert_eq!(rows(&world, run_id).await, before);
    }
    let moved = format!("UPDATE workflow_runs SET created_at = '2000-01-01' WHERE id = '{young}'");
    let tables =
        ["workflow_runs", "workflow_events", "workflow_node_executions", "workflow_node_execution_kvs"];
    for sql in tables.map(|table| format!("DELETE FROM {table}")).into_iter().chain([moved]) {
        let refused = role.batch_execute(&sql).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{sql}");
    }
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
    assert_eq!(tick(&world, None).await.runs_deleted, 1);
    assert_eq!(rows(&world, other).await, NO_ROWS);
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(tick(&world, None).await.runs_deleted, 0, "it was put off");
    world.database.sql("UPDATE workflow_runs SET expired_at = now() - interval '61 seconds'").await;
    let lock = format!("BEGIN; SELECT FROM workflow_runs WHERE id = '{held}' FOR NO KEY UPDATE");
    holder.batch_execute(&lock).await.unwrap();
    assert_eq!(tick(&world, None).await.runs_deleted, 0, "skipped");
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(tick(&world, None).await.runs_deleted, 1);
    assert_eq!(rows(&world, held).await, NO_ROWS);
}

/// SQL that makes runs of the workflow without anything in them, which began and ended [`OLD_DAYS`]
/// ago, or run since then. `n` tells their ids apart.
fn empty_runs(world: &World, workflow: &Workflow, ids: std::ops::Range<usize>, state: &str) -> String {
    let (result, end) = if state == "running" { ("NULL", "NULL") } else { ("'passed'", "past.at") };
    format!(
        "INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, state, result, created_at, updated_at, finished_at)
         SELECT made.id, '{0}', '{1}', 1, 'start', made.id, ARRAY[made.id], '{state}', {result}, past.at, past.at, {end}
         FROM generate_series({2}, {3}) n
         CROSS JOIN (SELECT now() - interval '{OLD_DAYS} days' AS at) past
         CROSS JOIN LATERAL (SELECT (lpad(to_hex((extract(epoch FROM past.at) * 1000)::bigint), 12, '0') || '70008000' || lpad(n::text, 12, '0'))::uuid AS id) made",
        world.organization_id,
        workflow.id,
        ids.start,
        ids.end - 1
    )
}

async fn count(world: &World, condition: &str) -> i64 {
    world.database.count(&format!("SELECT count(*) FROM workflow_runs WHERE {condition}")).await
}

#[tokio::test]
async fn more_old_runs_than_a_page_expire_in_one_tick_and_are_deleted_in_the_next() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    world.database.sql(&empty_runs(&world, &workflow, 0..1_200, "finished")).await;
    assert_eq!(sweep_twice(&world).await, (1_200, 1_200));
    assert_eq!(count(&world, "true").await, 0);
}

#[tokio::test]
async fn the_next_tick_goes_on_behind_runs_that_began_long_ago_and_did_not_end() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    world.database.sql(&empty_runs(&world, &workflow, 0..11_000, "running")).await;
    world.database.sql(&empty_runs(&world, &workflow, 11_000..11_001, "finished")).await;
    // The sweeper ends those that have nothing open: now, and not before the days.
    let sweeper = world.sweeper(3_600);
    assert_eq!(sweep(&sweeper, tests::tick()).await.unwrap().runs_expired, 0, "two turns, and no more");
    assert_eq!(sweep(&sweeper, tests::tick()).await.unwrap().runs_expired, 1);
}

#[tokio::test]
async fn runs_that_may_stay_or_cannot_go_hold_up_no_other() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, Some(KEPT_DAYS)).await;
    let (stuck, last) = (old(&world, &target, &workflow).await, old(&world, &target, &workflow).await);
    // More than one search finds: they expired, and then were begun again by older code.
    world.database.sql(&empty_runs(&world, &workflow, 0..250, "finished")).await;
    assert_eq!(tick(&world, None).await.runs_expired, 252);
    let sql = format!(
        "UPDATE workflow_runs SET expired_at = now() - interval '2 minutes', finished_at = now() WHERE id NOT IN ('{stuck}', '{last}');
         UPDATE workflow_runs SET expired_at = now() - interval '3 minutes' WHERE id = '{stuck}';
         UPDATE workflow_runs SET expired_at = now() - interval '1 minutes' WHERE id = '{last}';
         CREATE TABLE blocker (id uuid REFERENCES workflow_runs (id)); INSERT INTO blocker VALUES ('{stuck}')"
    );
    world.database.sql(&sql).await;
    let swept = sweep(&world.sweeper(3_600), tests::tick()).await;
    assert!(swept.is_err(), "the operator is told: {swept:?}");
    assert_eq!(rows(&world, last).await, NO_ROWS);
    assert_eq!(count(&world, "expired_at IS NULL").await, 250);
    let put_off = format!("id = '{stuck}' AND expired_at > now() + interval '50 minutes'");
    assert_eq!(count(&world, &put_off).await, 1);
}

#[tokio::test]
async fn runs_of_a_deleted_organization_go_after_ninety_days() {
    let (world, target) = (World::create().await, Target::start().await.unwrap());
    let workflow = workflow(&world, &target).await;
    keep_days(&world, None).await;
    let run_id = run(&world, &target, &workflow, 91, json!({ "status": 200, "for": "0s" })).await;
    ended(&world, run_id, 91).await;
    assert_eq!(tick(&world, None).await.runs_expired, 0, "for ever");
    store::api::delete_organization(world.audited(), world.organization_id, world.now()).await.unwrap();
    assert_eq!(sweep_twice(&world).await, (1, 1));
    assert_eq!(rows(&world, run_id).await, NO_ROWS);
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
             SELECT delete_expired_run('{run_id}', NULL); SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK;
             BEGIN; UPDATE workflow_runs SET expired_at = now() WHERE id = '{run_id}';
             EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT delete_expired_run('{run_id}', NULL);
             ROLLBACK"
        );
        let answers = role.simple_query(&sql).await.unwrap();
        let texts: Vec<&str> = answers
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        assert_eq!(texts[0], "deleted");
        let plan: Value = serde_json::from_str(texts[1]).unwrap();
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
         INSERT INTO workflow_node_execution_kvs (id, workflow_id, execution_id, node_id, key, value)
             SELECT gen_random_uuid(), '{1}', execution, 'work', 'who', 'Ada' FROM copy;
         INSERT INTO workflow_execution_calls (id, workflow_id, execution_id, call, called_by, created_at)
             SELECT gen_random_uuid(), '{1}', execution, 'release', 'token:test', now() FROM copy;
         INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause, created_at)
             SELECT '{1}', execution, 'cancelled', now() FROM copy;
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
    let deletion = delete_expired_run(&store, RunId::from(run_id), None).await.unwrap();
    assert_eq!(deletion, Deletion::Locked, "it has not expired");
}
