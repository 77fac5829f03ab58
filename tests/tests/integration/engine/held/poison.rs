//! Wakes that take their process along, panic, or are refused: each ends or fails alone (I9).

use super::*;

#[tokio::test]
async fn a_wake_that_takes_processes_along_is_given_up_and_its_neighbours_go_on_i9() {
    let world = World::create().await;
    let (_, _, good) = held(&world).await;
    let (_, poison_run, poison) = held(&world).await;
    for id in [good, poison] {
        make_due(&world, id).await;
    }
    let crashes = async |count: i32| {
        let sql = format!("UPDATE workflow_node_executions SET crashes = {count} WHERE id = '{poison}'");
        world.database.sql(&sql).await;
    };
    let count = format!("SELECT crashes FROM workflow_node_executions WHERE id = '{poison}'");
    // The execution is not due: the crash that was counted before the look is taken back.
    let later = format!(
        "UPDATE workflow_node_executions SET wake_at = now() + interval '1 hour' WHERE id = '{poison}'"
    );
    world.database.sql(&later).await;
    let again = async |ids: &[ExecutionId]| {
        let messages: Vec<Message> = ids.iter().copied().map(wake).collect();
        let deadline = Deadline::after(Duration::from_secs(60));
        let response = builder::handle(batch(&messages, 2), deadline, &world.builder()).await;
        assert_eq!(response, BatchResponse::default());
    };
    again(&[poison]).await;
    assert_eq!(world.database.count(&count).await, 0);
    make_due(&world, poison).await;
    // A wake that crashed a worker is left out of the batch and handled alone. After `CRASHES_MAX`
    // crashes its execution is given up, and the component isn't called.
    crashes(CRASHES_MAX).await;
    again(&[good, poison]).await;
    assert_eq!(state(&world, good).await, "finished|passed|", "I9");
    assert_eq!(state(&world, poison).await, "finished|failed|crashed");
    assert_eq!(world.run_state(poison_run).await, "failed");

    let (_, _, twice) = held(&world).await;
    make_due(&world, twice).await;
    let sql =
        format!("UPDATE workflow_node_executions SET crashes = {} WHERE id = '{twice}'", CRASHES_MAX - 1);
    world.database.sql(&sql).await;
    build(&world.builder(), &[wake(twice)]).await;
    assert_eq!(state(&world, twice).await, "finished|passed|", "one crash fewer: the wake is handled alone");
}

#[tokio::test]
async fn a_component_that_panics_ends_its_own_execution_alone_i9() {
    let world = World::create().await;
    let (_, _, first) = held(&world).await;
    let (_, _, second) = held(&world).await;
    let sql = format!(
        "UPDATE workflow_node_executions SET held = jsonb_build_object('panic', true) WHERE id = '{second}'"
    );
    world.database.sql(&sql).await;
    for id in [first, second] {
        make_due(&world, id).await;
    }
    let mut builder = world.builder();
    builder.plan.components.held = tests::panicking::held;
    build(&builder, &[wake(first), wake(second)]).await;
    assert_eq!(state(&world, first).await, "finished|passed|");
    assert_eq!(state(&world, second).await, "finished|failed|crashed");
}

#[tokio::test]
async fn a_wake_that_the_database_refuses_fails_alone_i9() {
    let world = World::create().await;
    let (_, _, first) = held(&world).await;
    let (_, _, second) = held(&world).await;
    for id in [first, second] {
        make_due(&world, id).await;
    }
    world.refuse("workflow_events", &format!("execution_id = '{second}'")).await;
    build(&world.builder(), &[wake(first), wake(second)]).await;
    assert_eq!(state(&world, first).await, "finished|passed|", "I9");
    assert_eq!(state(&world, second).await, "finished|failed|limit");
}
