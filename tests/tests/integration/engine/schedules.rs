//! Schedules: each time begins one run, however often its message comes, and whatever is lost.

use std::time::Duration;

use domain::message::Message;
use process::Deadline;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::world::{Workflow, build, node};
use tests::{World, queues::Sent};

fn nodes(configuration: &Value) -> Value {
    json!([
        { "id": "nightly", "name": "Nightly", "trigger": "schedule", "configuration": configuration, "run_name": "of {{ root().data.calendar.date }}" },
        { "id": "end", "name": "End", "component": "noop" },
        { "id": "start", "name": "Start", "trigger": "start" },
    ])
}

async fn workflow(world: &World, configuration: Value) -> Workflow {
    world.workflow(nodes(&configuration), json!([{ "from": "nightly", "to": "end" }])).await
}

fn message(workflow: &Workflow) -> Message {
    let Message::Node { workflow_id, node_id } = node(workflow, "nightly") else { unreachable!() };
    Message::Schedule { workflow_id, node_id }
}

/// Sets the next time, an SQL expression, as if the schedule had come to it.
async fn set_next(world: &World, time: &str) {
    world.database.sql(&format!("UPDATE schedules SET next_at = {time}, due_at = {time}")).await;
}

/// The runs by their times: how long ago in minutes each was scheduled, from this hour on.
async fn fired(world: &World) -> String {
    let sql = "SELECT string_agg(extract(epoch FROM date_trunc('hour', now()) - (ev.data->>'scheduled_at')::timestamptz)::int / 60 || ' missed '
            || (ev.data->>'missed'), ', ' ORDER BY ev.id) FROM workflow_runs r JOIN workflow_events ev ON ev.id = r.root_event_id";
    world.database.sql(sql).await
}

/// Minutes from this hour to the next time, and whether a message for it was sent.
async fn next(world: &World) -> String {
    let sql = "SELECT extract(epoch FROM next_at - date_trunc('hour', now()))::int / 60, sent_at IS NOT NULL FROM schedules";
    world.database.sql(sql).await
}

/// The messages of schedules that were sent, by their delays.
fn delays(sent: &[Sent]) -> Vec<u64> {
    let of_schedules = sent.iter().filter(|sent| matches!(sent.message, Message::Schedule { .. }));
    of_schedules.map(|sent| sent.delay_seconds).collect()
}

const THIS_HOUR: &str = "date_trunc('hour', now())";

#[tokio::test]
async fn a_time_begins_one_run_however_often_its_message_comes_i3() {
    let world = World::create().await;
    let workflow = workflow(&world, json!({ "every": "1h" })).await;
    assert_eq!(next(&world).await, "60|f");
    set_next(&world, THIS_HOUR).await;
    let (one, other) = (world.builder(), world.builder());
    let messages = [message(&workflow)];
    futures_util::join!(build(&one, &messages), build(&other, &messages));
    build(&one, &messages).await;
    assert_eq!(
        (fired(&world).await.as_str(), next(&world).await.split('|').next()),
        ("0 missed 0", Some("60"))
    );
    let sent = world.queues.take();
    assert_eq!(sent.iter().filter(|sent| matches!(sent.message, Message::Event { .. })).count(), 1);
    let sql = "SELECT r.name = 'of ' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), r.state, ev.type, ev.data->>'zone', ev.targets,
            (SELECT count(*) FROM workflow_node_queue_items WHERE node_id = 'end') FROM workflow_runs r JOIN workflow_events ev ON ev.id = r.id";
    assert_eq!(world.database.sql(sql).await, "t|running|schedule|UTC|{end}|1");
    // The next time again: the same time of the same node has one run.
    set_next(&world, THIS_HOUR).await;
    build(&one, &messages).await;
    assert_eq!(fired(&world).await, "0 missed 0", "its id is that of the time");
}

#[tokio::test]
async fn the_next_message_goes_with_the_look_where_a_queue_carries_it_so_long_i8() {
    let world = World::create().await;
    let workflow = workflow(&world, json!({ "every": "10m" })).await;
    // Ten minutes ago at the most.
    set_next(&world, "to_timestamp(floor(extract(epoch FROM now()) / 600) * 600)").await;
    build(&world.builder(), &[message(&workflow)]).await;
    let sent = delays(&world.queues.take());
    assert!(matches!(sent[..], [seconds] if (1..=600).contains(&seconds)), "{sent:?}");
    assert_eq!(world.database.sql("SELECT sent_at IS NOT NULL FROM schedules").await, "t");
    // One that comes again is of a time that is over. It is not sent again: each such message would
    // live for ever.
    build(&world.builder(), &[message(&workflow)]).await;
    assert_eq!(delays(&world.queues.take()), Vec::<u64>::new());
    // The clocks of two machines may differ by a little.
    world.database.sql("UPDATE schedules SET due_at = now() + interval '3 seconds'").await;
    build(&world.builder(), &[message(&workflow)]).await;
    assert_eq!(delays(&world.queues.take()), [3]);
    assert_eq!(world.database.sql("SELECT count(*) FROM workflow_runs").await, "1");
}

#[tokio::test]
async fn the_sweeper_sends_what_is_due_soon_once_and_again_where_it_was_lost_i8() {
    let world = World::create().await;
    let workflow = workflow(&world, json!({ "every": "1h" })).await;
    let sweeper = world.sweeper(30);
    let deadline = || Deadline::after(Duration::from_secs(60));
    set_next(&world, "now() + interval '2 minutes'").await;
    sweep(&sweeper, deadline()).await.unwrap();
    assert_eq!(delays(&world.queues.take()), Vec::<u64>::new());
    set_next(&world, "now() + interval '80 seconds'").await;
    for expected in [1, 0] {
        sweep(&sweeper, deadline()).await.unwrap();
        let sent = delays(&world.queues.take());
        assert_eq!(sent.len(), expected);
        assert!(sent.iter().all(|seconds| (70..=80).contains(seconds)), "{sent:?}");
    }
    // The message was lost. After the grace there is another one, and then none until the grace is over.
    world.database.sql("UPDATE schedules SET next_at = date_trunc('hour', now()), due_at = now() - interval '31 seconds',
        sent_at = now() - interval '60 seconds'").await;
    for expected in [vec![0], vec![]] {
        sweep(&sweeper, deadline()).await.unwrap();
        assert_eq!(delays(&world.queues.take()), expected);
    }
    build(&world.builder(), &[message(&workflow)]).await;
    assert_eq!(fired(&world).await, "0 missed 0");
}

#[tokio::test]
async fn times_that_passed_in_an_outage_are_made_up_for_as_the_author_says_i8() {
    let expected =
        [("last", 1, "0 missed 3"), ("all", 4, "180 missed 0, 120 missed 0, 60 missed 0, 0 missed 0")];
    for (catch_up, looks, runs) in expected {
        let world = World::create().await;
        let workflow = workflow(&world, json!({ "every": "1h", "catch_up": catch_up })).await;
        set_next(&world, "date_trunc('hour', now()) - interval '3 hours'").await;
        for _ in 0..looks {
            build(&world.builder(), &[message(&workflow)]).await;
        }
        assert_eq!(
            (fired(&world).await.as_str(), next(&world).await.split('|').next()),
            (runs, Some("60")),
            "{catch_up}"
        );
    }
}

#[tokio::test]
async fn while_the_last_run_goes_on_no_other_begins_if_the_author_says_so() {
    let world = World::create().await;
    let workflow = workflow(&world, json!({ "every": "1h", "overlap": "skip" })).await;
    let last = world.start(&workflow, "start", json!({})).await;
    for (state, runs) in [("running", "1"), ("finished", "2")] {
        let sql = format!(
            "UPDATE schedules SET last_run_id = '{last}'; UPDATE workflow_runs SET state = '{state}', result = r.result, finished_at = r.finished_at
                FROM (SELECT CASE WHEN '{state}' = 'finished' THEN 'passed' END AS result, CASE WHEN '{state}' = 'finished' THEN now() END AS finished_at) r"
        );
        world.database.sql(&sql).await;
        set_next(&world, THIS_HOUR).await;
        build(&world.builder(), &[message(&workflow)]).await;
        assert_eq!(world.database.sql("SELECT count(*) FROM workflow_runs").await, runs, "{state}");
        assert_eq!(next(&world).await.split('|').next(), Some("60"), "{state}");
    }
}

#[tokio::test]
async fn a_time_is_put_off_while_its_target_is_full_or_its_organization_is_suspended_i10() {
    let hindrances = [
        (
            "UPDATE workflow_nodes SET items_full = true WHERE node_id = 'end'",
            "UPDATE workflow_nodes SET items_full = false",
        ),
        ("UPDATE organizations SET suspended_at = now()", "UPDATE organizations SET suspended_at = NULL"),
    ];
    for (hinder, free) in hindrances {
        let world = World::create().await;
        let workflow = workflow(&world, json!({ "every": "1h" })).await;
        set_next(&world, THIS_HOUR).await;
        world.database.sql(hinder).await;
        build(&world.builder(), &[message(&workflow)]).await;
        let put_off = "SELECT next_at = date_trunc('hour', now()), due_at > now() + interval '50 seconds', sent_at IS NULL, (SELECT count(*) FROM workflow_runs) FROM schedules";
        assert_eq!(world.database.sql(put_off).await, "t|t|t|0", "{hinder}");
        world.database.sql(free).await;
        world.database.sql("UPDATE schedules SET due_at = now()").await;
        build(&world.builder(), &[message(&workflow)]).await;
        assert_eq!(fired(&world).await, "0 missed 0", "{hinder}");
    }
}

#[tokio::test]
async fn an_apply_keeps_the_next_time_of_a_schedule_that_did_not_change_and_begins_others_anew() {
    let world = World::create().await;
    let edges = || json!([{ "from": "nightly", "to": "end" }]);
    let first = workflow(&world, json!({ "every": "1h" })).await;
    set_next(&world, "now() + interval '3 minutes'").await;
    let minutes = "SELECT round(extract(epoch FROM next_at - now()) / 60) FROM schedules";
    let mut same = nodes(&json!({ "every": "1h" }));
    same[1]["name"] = json!("Ended");
    let second = world.apply_again(&first, same, edges()).await;
    assert_eq!(world.database.sql(minutes).await, "3");
    let third = world.apply_again(&second, nodes(&json!({ "at": ["2999-01-01T00:00:00Z"] })), edges()).await;
    assert_eq!(world.database.sql("SELECT next_at = '2999-01-01T00:00:00Z' FROM schedules").await, "t");
    let mut other = nodes(&json!({}));
    other[0] = json!({ "id": "nightly", "name": "Nightly", "trigger": "start" });
    let fourth = world.apply_again(&third, other, edges()).await;
    assert_eq!(world.database.sql("SELECT count(*) FROM schedules").await, "0", "it is another trigger");
    let fifth = world.apply_again(&fourth, nodes(&json!({ "every": "1h" })), edges()).await;
    assert_eq!(next(&world).await, "60|f");
    let without = json!([{ "id": "start", "name": "Start", "trigger": "start" }]);
    world.apply_again(&fifth, without, json!([])).await;
    assert_eq!(world.database.sql("SELECT count(*) FROM schedules").await, "0", "it is removed");
    // A message of a schedule that is gone says nothing.
    build(&world.builder(), &[message(&fifth)]).await;
    assert_eq!(world.database.sql("SELECT count(*) FROM workflow_runs").await, "0");
}

/// The builder's own right to begin runs is that of schedules whose time has come.
#[tokio::test]
async fn a_builder_begins_no_run_but_that_of_a_schedule_whose_time_has_come_i7() {
    let world = World::create().await;
    let workflow = workflow(&world, json!({ "every": "1h" })).await;
    let outcome = async |node_id: &str| {
        let (id, version) = (workflow.id, workflow.version);
        let sql = format!(
            "SET ROLE sealflow_builder; SELECT outcome FROM begin_scheduled_run('{id}', '{node_id}', {version}, gen_random_uuid(), 'schedule',
                '{{}}', NULL, ARRAY['end'], ARRAY[gen_random_uuid()], now()); RESET ROLE"
        );
        world.database.sql(&sql).await
    };
    assert_eq!(outcome("nightly").await, "outdated", "its time has not come");
    set_next(&world, THIS_HOUR).await;
    assert_eq!(outcome("start").await, "outdated", "it is no schedule");
    assert_eq!(world.database.sql("SELECT count(*) FROM workflow_runs").await, "0");
    assert_eq!(outcome("nightly").await, "begun");
}

#[tokio::test]
async fn a_schedule_whose_workflow_or_organization_is_gone_is_over() {
    for gone in [
        "UPDATE workflows SET deleted_at = now()",
        "UPDATE organizations SET deleted_at = now()",
        "UPDATE workflows SET nodes = '[]'",
    ] {
        let world = World::create().await;
        let workflow = workflow(&world, json!({ "every": "1h" })).await;
        set_next(&world, THIS_HOUR).await;
        // Code of the release before knows no schedules.
        world.database.sql(gone).await;
        build(&world.builder(), &[message(&workflow)]).await;
        let left = "SELECT count(*) FROM schedules WHERE due_at IS NOT NULL OR next_at IS NOT NULL";
        assert_eq!(world.database.sql(left).await, "0", "{gone}");
        assert_eq!(world.database.sql("SELECT count(*) FROM workflow_runs").await, "0", "{gone}");
    }
    let world = World::create().await;
    workflow(&world, json!({ "every": "1h" })).await;
    store::api::delete_organization(world.audited(), world.organization_id, world.now()).await.unwrap();
    assert_eq!(world.database.sql("SELECT count(*) FROM schedules").await, "0", "I6");
}
