//! The cause of a waiting item's wait, as the API says it.

use domain::ids::ItemId;
use serde_json::{Value, json};
use store::api::{QueueItemFilter, list_queue_items};
use tests::world::{build, event, node};
use tests::{Workflow, World};

async fn one_node(world: &World, concurrency: Value) -> Workflow {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test/" }, "concurrency": concurrency },
    ]);
    world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await
}

/// The cause of each item's wait, oldest first.
async fn waiting_for(world: &World, workflow: &Workflow) -> Vec<Value> {
    let filter = QueueItemFilter { workflow_id: Some(workflow.id), ..QueueItemFilter::default() };
    let page = list_queue_items(world.api(), world.organization_id, &filter, None, 200).await.unwrap();
    page.rows.into_iter().rev().map(|row| row.waiting_for).collect()
}

async fn active(world: &World, workflow: &Workflow) -> Vec<String> {
    let sql = format!(
        "SELECT id FROM workflow_node_executions WHERE workflow_id = '{}' AND state <> 'finished' ORDER BY id",
        workflow.id
    );
    world.database.sql(&sql).await.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn behind_a_limit_it_says_who_holds_the_slots_and_how_many_are_before_it() {
    let world = World::create().await;
    let (workflow, other) = (one_node(&world, json!(2)).await, one_node(&world, json!(1)).await);
    for workflow in [&workflow, &other] {
        for _ in 0..5 {
            world.start(workflow, "start", json!({})).await;
        }
    }
    assert_eq!(
        waiting_for(&world, &workflow).await,
        vec![json!({ "reason": "delivery" }); 5],
        "slots are free"
    );
    build(&world.builder(), &[node(&workflow, "work"), node(&other, "work")]).await;
    let holders = active(&world, &workflow).await;
    let expected =
        |ahead| json!({ "reason": "concurrency", "limit": 2, "executions": holders, "ahead": ahead });
    assert_eq!(waiting_for(&world, &workflow).await, [expected(0), expected(1), expected(2)]);
    let one = active(&world, &other).await;
    let ahead: Vec<_> = waiting_for(&world, &other).await.iter().map(|it| it["ahead"].clone()).collect();
    assert_eq!((one.len(), ahead), (1, vec![json!(0), json!(1), json!(2), json!(3)]));
    // A slot is free: only the wake is missing.
    let sql = format!(
        "UPDATE workflow_node_executions SET state = 'finished', result = 'passed', finished_at = now() WHERE id = '{}'",
        holders[0]
    );
    world.database.sql(&sql).await;
    assert_eq!(waiting_for(&world, &workflow).await, vec![json!({ "reason": "delivery" }); 3]);
}

#[tokio::test]
async fn without_a_limit_or_a_node_it_waits_for_its_delivery() {
    let world = World::create().await;
    let workflow = one_node(&world, json!("unlimited")).await;
    world.start(&workflow, "start", json!({})).await;
    assert_eq!(waiting_for(&world, &workflow).await, [json!({ "reason": "delivery" })]);
    let limited = one_node(&world, json!(1)).await;
    for _ in 0..2 {
        world.start(&limited, "start", json!({})).await;
    }
    build(&world.builder(), &[node(&limited, "work")]).await;
    assert_eq!(waiting_for(&world, &limited).await[0]["reason"], "concurrency");
    let start = json!([{ "id": "start", "name": "start", "trigger": "start" }]);
    world.apply_again(&limited, start, json!([])).await;
    assert_eq!(
        waiting_for(&world, &limited).await,
        [json!({ "reason": "delivery" })],
        "a removed node's items end"
    );
}

#[tokio::test]
async fn holders_and_items_before_it_are_named_and_counted_up_to_a_limit_i10() {
    let world = World::create().await;
    for (limit, named) in [(10, 10), (11, 10)] {
        let workflow = one_node(&world, json!(limit)).await;
        let mut wakes = Vec::new();
        for _ in 0..=limit {
            wakes.push(event(world.start(&workflow, "start", json!({})).await));
        }
        build(&world.builder(), &wakes).await;
        let found = waiting_for(&world, &workflow).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["executions"].as_array().unwrap().len(), named, "I10");
        assert_eq!(found[0]["ahead"], 0);
        for (items, ahead) in [(1_000, 1_000), (1, 1_000)] {
            // Foreign keys are left out: only the count matters here.
            let sql = format!(
                "SET session_replication_role = replica;
                 INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
                 SELECT id, '{}', 'work', id, id, id, 1, '2000-01-01', now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {items})) ids;
                 SET session_replication_role = DEFAULT",
                workflow.id
            );
            world.database.sql(&sql).await;
            let sql = format!(
                "SELECT id FROM workflow_node_queue_items WHERE workflow_id = '{}' ORDER BY created_at DESC LIMIT 1",
                workflow.id
            );
            let last: ItemId = world.database.sql(&sql).await.parse().unwrap();
            let filter = QueueItemFilter { workflow_id: Some(workflow.id), ..QueueItemFilter::default() };
            let page = list_queue_items(world.api(), world.organization_id, &filter, None, 1).await.unwrap();
            assert_eq!((page.rows[0].id, &page.rows[0].waiting_for["ahead"]), (last, &json!(ahead)), "I10");
        }
    }
}

/// Items of two workflows with two nodes each, several of one moment, and one of another
/// organization.
#[tokio::test]
async fn pages_of_items_leave_none_out_and_repeat_none_whatever_they_filter() {
    let world = World::create().await;
    let workflows = [one_node(&world, json!(1)).await, one_node(&world, json!(1)).await];
    for (number, workflow) in workflows.iter().enumerate() {
        for (node, items) in [("work", 7), ("gone", 5)] {
            let run = uuid::Uuid::from_u128(number as u128 + 1);
            let sql = format!(
                "SET session_replication_role = replica;
                 INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, created_at, last_sent_at)
                 SELECT id, '{}', '{node}', id, '{run}', id, 1, '2000-01-01'::timestamptz + n / 3 * interval '1 microsecond', now()
                 FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, {items}) n) ids;
                 SET session_replication_role = DEFAULT",
                workflow.id
            );
            world.database.sql(&sql).await;
        }
    }
    let all = QueueItemFilter::default();
    let first = QueueItemFilter { workflow_id: Some(workflows[0].id), ..all.clone() };
    let node = QueueItemFilter { node_id: Some("gone".to_owned()), ..all.clone() };
    let run = QueueItemFilter { run_id: Some(uuid::Uuid::from_u128(2).into()), ..all.clone() };
    let run_and_node = QueueItemFilter { node_id: node.node_id.clone(), ..run.clone() };
    let run_elsewhere = QueueItemFilter { workflow_id: first.workflow_id, ..run.clone() };
    for (filter, expected) in
        [(all, 24), (first, 12), (node, 10), (run, 12), (run_and_node, 5), (run_elsewhere, 0)]
    {
        for rows_max in [1, 2, 5, expected.max(1), 200] {
            let mut found = Vec::new();
            let mut before = None;
            loop {
                let page = list_queue_items(world.api(), world.organization_id, &filter, before, rows_max);
                let page = page.await.unwrap();
                assert!(page.rows.len() <= usize::try_from(rows_max).unwrap());
                found.extend(page.rows.iter().map(|row| (row.created_at, row.id)));
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            assert!(found.is_sorted_by(|a, b| a > b), "newest first: {filter:?} by {rows_max}");
            assert_eq!(found.len(), usize::try_from(expected).unwrap(), "{filter:?} by {rows_max}");
        }
        let others = domain::ids::OrganizationId(uuid::Uuid::from_u128(9));
        let page = list_queue_items(world.api(), others, &filter, None, 200).await.unwrap();
        assert_eq!(page.rows, [], "I6: another organization sees none");
    }
}
