//! One organization's slow work leaves executors for the others: above its share its executions
//! wait while another has work to do.

use domain::execution::ExecutionState;
use domain::ids::{ExecutionId, LeaseToken};
use domain::share::Share;
use serde_json::json;
use store::executor::{ClaimScope, ClaimTerms, ExecutionClaims, Refusal, claim_executions};
use tests::World;
use uuid::Uuid;

/// Executions of `organizations`, so many of each, that wait for their first claim; by
/// organization.
async fn make_pending(world: &World, organizations: usize, each: usize) -> Vec<Vec<ExecutionId>> {
    let mut made = Vec::new();
    for number in 0..organizations {
        let nodes = json!([
            { "id": "start", "name": "start", "trigger": "start" },
            { "id": "work", "name": "work", "component": "http", "configuration": { "url": "https://target.test" }, "concurrency": "unlimited" },
        ]);
        let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "work" }])).await;
        let sql = format!(
            "WITH organization AS (
                 INSERT INTO organizations (id, name, created_at, updated_at)
                 VALUES (gen_random_uuid(), 'o{number}', now(), now()) RETURNING id)
             UPDATE workflows SET organization_id = (SELECT id FROM organization) WHERE id = '{0}'",
            workflow.id
        );
        world.database.sql(&sql).await;
        let sql = format!(
            "WITH event AS (
                 INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
                 SELECT id, '{0}', 'start', id, 'default', 'start', '{{}}', '{{}}', 1, now()
                 FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {each})) ids RETURNING id)
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
                 workflow_version, node_version, last_sent_at, created_at, updated_at)
             SELECT gen_random_uuid(), '{0}', 'work', id, id, 'pending', 'http', '{{}}', 1, 1, now(), now(), now() FROM event
             RETURNING id",
            workflow.id
        );
        made.push(world.database.sql(&sql).await.lines().filter_map(|line| line.parse().ok()).collect());
    }
    made
}

/// Two claims while others have work, and three at most.
const TWO_OF_THREE: Option<Share> = Some(Share { beside_others: 2, alone: 3 });

/// One claim, with or without work of others.
const ONE: Option<Share> = Some(Share { beside_others: 1, alone: 1 });

/// One invocation claims these.
async fn claim(world: &World, ids: &[ExecutionId], share: Option<Share>) -> ExecutionClaims {
    let terms =
        ClaimTerms { scope: ClaimScope::Batch, token: LeaseToken(Uuid::new_v4()), lease_seconds: 60, share };
    let now = world.now();
    let store = world.database.store("executor");
    store.run_tx("claim", |tx| async move { claim_executions(&tx, ids, terms, now).await }).await.unwrap()
}

/// The number of executions that are to run later.
fn put_off(claims: &ExecutionClaims) -> usize {
    let is_later = |refusal| matches!(refusal, Refusal::NotDue(millis) if (1..=30_000).contains(&millis));
    claims.refused.iter().filter(|refused| is_later(refused.refusal)).count()
}

#[tokio::test]
async fn above_its_share_an_organization_waits_while_another_has_work() {
    let world = World::create().await;
    let made = make_pending(&world, 2, 8).await;
    let (noisy, quiet) = (&made[0], &made[1]);
    assert_eq!(claim(&world, &noisy[0..2], TWO_OF_THREE).await.executions.len(), 2, "its first");
    assert_eq!(claim(&world, &noisy[2..4], TWO_OF_THREE).await.executions.len(), 2, "its second");
    let mixed = [noisy[4], noisy[5], quiet[0]];
    world.database.sql("UPDATE workflow_node_executions SET turn_attempt = attempt").await;
    let third = claim(&world, &mixed, TWO_OF_THREE).await;
    let claimed: Vec<ExecutionId> = third.executions.iter().map(|execution| execution.id).collect();
    assert_eq!(claimed, [quiet[0]], "I6: the other one's is not held up");
    assert_eq!(put_off(&third), 2, "they are to run later");
    let over = "SELECT DISTINCT state, crashes, sent_count FROM workflow_node_executions WHERE id IN";
    let over = world.database.sql(&format!("{over} ('{}', '{}')", noisy[4], noisy[5])).await;
    assert_eq!(over, format!("{}|0|0", ExecutionState::Pending), "nothing has happened to them");
    let with_turn =
        "SELECT count(*) FROM workflow_node_executions WHERE run_at > now() AND turn_attempt >= attempt";
    assert_eq!(world.database.count(with_turn).await, 0, "those that come back together take turns anew");
    assert_eq!(put_off(&claim(&world, &mixed[0..2], None).await), 2, "a second message changes nothing");
}

#[tokio::test]
async fn alone_an_organization_has_all_executors_but_one() {
    let world = World::create().await;
    let made = make_pending(&world, 2, 8).await;
    let (noisy, quiet) = (&made[0], &made[1]);
    // The executions of the other organization are at work.
    claim(&world, quiet, TWO_OF_THREE).await;
    for some in noisy[0..6].chunks(2) {
        assert_eq!(claim(&world, some, TWO_OF_THREE).await.executions.len(), 2);
    }
    assert_eq!(put_off(&claim(&world, &noisy[6..7], TWO_OF_THREE).await), 1);
}

#[tokio::test]
async fn executors_that_claim_at_one_moment_keep_to_the_share() {
    let world = World::create().await;
    let made = make_pending(&world, 2, 8).await;
    let claims = made[0].iter().map(|id| claim(&world, std::slice::from_ref(id), TWO_OF_THREE));
    let claims = futures_util::future::join_all(claims).await;
    let claimed = claims.iter().filter(|claims| !claims.executions.is_empty()).count();
    assert_eq!(claimed, 2, "the share, though each has looked while none was taken");
}

#[tokio::test]
async fn a_share_is_free_again_when_a_lease_is_over() {
    let world = World::create().await;
    let made = make_pending(&world, 2, 2).await;
    claim(&world, &made[0][0..1], ONE).await;
    assert_eq!(put_off(&claim(&world, &made[0][1..2], ONE).await), 1);
    let over = "UPDATE workflow_node_executions SET lease_until = now() - interval '1 second' WHERE state = 'started'";
    world.database.sql(over).await;
    world.database.sql("UPDATE workflow_node_executions SET run_at = now()").await;
    assert_eq!(claim(&world, &made[0][1..2], ONE).await.executions.len(), 1);
}

#[tokio::test]
async fn what_waits_for_its_share_costs_the_sweeper_nothing_i4() {
    let world = World::create().await;
    let made = make_pending(&world, 2, 2).await;
    claim(&world, &made[0][0..1], ONE).await;
    let age = "UPDATE workflow_node_executions SET created_at = now() - interval '1 hour', updated_at = now() - interval '1 hour', last_sent_at = now() - interval '1 hour'";
    world.database.sql(age).await;
    claim(&world, &made[0][1..2], ONE).await;
    sweeper::sweep(&world.sweeper(1), tests::tick()).await.unwrap();
    let sent = format!("SELECT sent_count FROM workflow_node_executions WHERE id = '{}'", made[0][1]);
    assert_eq!(
        world.database.sql(&sent).await,
        "0",
        "it has a message on its way, and is not taken for lost"
    );
}
