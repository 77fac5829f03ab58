//! Pages of lists: a page with large rows ends before it is larger than Lambda's longest answer.

use domain::ids::OrganizationId;
use domain::limits::PAGE_BYTES_MAX;
use serde_json::json;
use store::Store;
use store::api::{
    EventFilter, ExecutionFilter, PageRequest, list_events, list_executions, list_secrets, list_webhooks,
};
use tests::World;

/// The most bytes of large columns on a page. The other columns take the rest.
const COLUMN_BYTES_MAX: usize = PAGE_BYTES_MAX - 512 * 1024;
/// The number of rows that fill a page to the byte.
const ROWS: usize = 7;
const ROW_BYTES: usize = COLUMN_BYTES_MAX / ROWS;

/// The number of rows of the first page, and whether there is another page.
async fn first_page(what: &str, store: &Store, organization_id: OrganizationId) -> (usize, bool) {
    let page = PageRequest { before: None, rows: 200 };
    match what {
        "events" => {
            let page = list_events(store, organization_id, &EventFilter::default(), page).await.unwrap();
            (page.rows.len(), page.next.is_some())
        }
        "executions" => {
            let page =
                list_executions(store, organization_id, &ExecutionFilter::default(), page).await.unwrap();
            (page.rows.len(), page.next.is_some())
        }
        _ => {
            let page = list_secrets(store, organization_id, page).await.unwrap();
            (page.rows.len(), page.next.is_some())
        }
    }
}

#[tokio::test]
async fn a_page_has_a_limit_of_bytes_on_both_sides_in_each_list_i10() {
    assert_eq!(ROWS * ROW_BYTES, COLUMN_BYTES_MAX, "the rows fill a page to the byte");
    let world = World::create().await;
    let nodes = json!([{ "id": "start", "name": "start", "trigger": "start" }, { "id": "work", "name": "work", "component": "noop" }]);
    let workflow = world.workflow(nodes, json!([])).await;
    let (workflow_id, organization_id) = (workflow.id, world.organization_id);
    // The quotes of a string and the empty metadata of an execution count too.
    let filler = |beside: usize| format!("repeat('x', {})", ROW_BYTES - beside);
    let insert = format!(
        "INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
         SELECT id, '{workflow_id}', 'start', id, 'default', 'start', to_jsonb({}), '{{}}', 1, now()
         FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {ROWS})) made;
         INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, result, finished_at, component,
             configuration, workflow_version, node_version, last_sent_at, created_at, updated_at)
         SELECT gen_random_uuid(), '{workflow_id}', 'work', e.id, e.id, 'finished', 'passed', now(), 'noop', to_jsonb({}), 1, 1, now(),
             now(), now() FROM workflow_events e;
         INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
         SELECT gen_random_uuid(), 's' || n, 'org', '{organization_id}', convert_to({}, 'UTF8'), 'test', now(), now()
         FROM generate_series(1, {ROWS}) n",
        filler(2),
        filler(4),
        filler(0),
    );
    world.database.sql(&insert).await;
    for what in ["events", "executions", "secrets"] {
        assert_eq!(
            first_page(what, world.api(), organization_id).await,
            (ROWS, false),
            "{what} at the limit"
        );
    }
    // One row of each list gets one byte more.
    let longer = "UPDATE workflow_events SET data = to_jsonb((data #>> '{}') || 'x') WHERE id = (SELECT max(id::text)::uuid FROM workflow_events);
         UPDATE workflow_node_executions SET configuration = to_jsonb((configuration #>> '{}') || 'x')
         WHERE id = (SELECT max(id::text)::uuid FROM workflow_node_executions);
         UPDATE secrets SET data = data || '\\x00' WHERE name = 's1'";
    world.database.sql(longer).await;
    for what in ["events", "executions", "secrets"] {
        assert_eq!(
            first_page(what, world.api(), organization_id).await,
            (ROWS - 1, true),
            "{what} past the limit"
        );
    }
    // A row that is larger than a page has a page of its own, or the list would end there.
    world
        .database
        .sql(&format!("UPDATE workflow_events SET data = to_jsonb(repeat('x', {PAGE_BYTES_MAX} + 1))"))
        .await;
    assert_eq!(first_page("events", world.api(), organization_id).await, (1, true));
}

#[tokio::test]
async fn webhooks_of_all_workflows_come_in_pages_and_only_ones_own_i6() {
    let world = World::create().await;
    let store = world.database.store("api");
    let organization_id = world.organization_id;
    let hook = |id: &str| json!({ "id": id, "name": id, "trigger": "webhook", "configuration": { "authentication": "none" } });
    for _ in 0..3 {
        world.workflow(json!([hook("b"), hook("a"), hook("c")]), json!([])).await;
    }
    let all = list_webhooks(&store, organization_id, None, None, 200).await.unwrap();
    assert_eq!((all.0.len(), all.1), (9, None));
    let key = |hook: &store::api::ListedWebhook| (hook.row.workflow_id, hook.row.node_id.clone());
    let expected: Vec<_> = all.0.iter().map(key).collect();
    let nodes: String = all.0.iter().map(|hook| hook.row.node_id.as_str()).collect();
    assert_eq!(nodes, "abcabcabc");
    let newest_first = expected.iter().map(|(id, _)| *id).rev().is_sorted();
    assert!(newest_first, "the newest workflow first: {expected:?}");
    for size in [1, 2, 4, 9] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = list_webhooks(&store, organization_id, None, after.as_ref(), size).await.unwrap();
            assert!(!page.0.is_empty() && page.0.len() <= size as usize);
            found.extend(page.0.iter().map(key));
            after = page.1;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {size}");
    }
    let others = list_webhooks(&store, OrganizationId::from_u128(9), None, None, 200).await.unwrap();
    assert_eq!(others.0.len(), 0, "I6");
}
