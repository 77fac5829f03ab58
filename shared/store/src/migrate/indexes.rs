//! Indexes over large tables, built between two migrations while functions go on.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{LockTries, run_script};
use crate::StoreError;

/// The migration after which the indexes over held executions are built.
pub(super) const HELD_BEGIN: i32 = 22;

/// Builds the indexes over held executions.
///
/// # Errors
/// [`StoreError::Setup`] when another session holds a lock for long, [`StoreError::Unavailable`]
/// when the database can't be reached.
pub(super) async fn build_indexes_of_held(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_wakes
        ON workflow_node_executions (coalesce(wake_at, 'infinity'))
        WHERE state = 'held'";
    build_index(client, "workflow_node_executions_wakes", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_held
        ON workflow_node_executions (workflow_id, node_id)
        WHERE state = 'held'";
    build_index(client, "workflow_node_executions_held", create).await
}

/// The migration after which the indexes that the end of runs needs are built.
pub(super) const RUNS_EXPIRE: i32 = 37;

/// Builds the index of expired runs, and the one by which a foreign key looks for redriven
/// executions of an event that is deleted.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_indexes_of_expired(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_runs_expired
        ON workflow_runs (expired_at)
        WHERE expired_at IS NOT NULL";
    build_index(client, "workflow_runs_expired", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_redriven
        ON workflow_node_executions (redriven_event_id)
        WHERE redriven_event_id IS NOT NULL";
    build_index(client, "workflow_node_executions_redriven", create).await
}

/// The migration after which the indexes of rows with their run are built.
pub(super) const ROWS_WITH_RUN: i32 = 40;

/// Builds the index by which rows name an event together with its run, the one over executions that
/// take a slot, and two by which the sweeper finds what it looks for.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_indexes_of_rows_with_run(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS workflow_events_with_run
        ON workflow_events (workflow_id, id, run_id, root_event_id)";
    build_index(client, "workflow_events_with_run", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_unfinished
        ON workflow_node_executions (workflow_id, node_id, concurrency_key)
        WHERE state <> 'finished'";
    build_index(client, "workflow_node_executions_unfinished", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_tried
        ON workflow_node_executions (last_sent_at)
        WHERE state = 'pending' AND sent_count >= 8";
    build_index(client, "workflow_node_executions_tried", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_nodes_renewed
        ON workflow_nodes (updated_at)
        WHERE deleted_at IS NOT NULL OR generation > 1";
    build_index(client, "workflow_nodes_renewed", create).await
}

/// The migration after which the index over approvals is built.
pub(super) const APPROVALS: i32 = 59;

/// Builds the index over approvals that wait.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_index_of_approvals(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_approvals
        ON workflow_node_executions (workflow_id, id)
        WHERE component = 'approval' AND state = 'held'";
    build_index(client, "workflow_node_executions_approvals", create).await
}

/// The migration after which the index over open joins is built.
pub(super) const JOINS: i32 = 60;

/// Builds the index by which a run has one open join of a node.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_index_of_joins(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS workflow_node_executions_joins
        ON workflow_node_executions (run_id, node_id, node_generation)
        WHERE state = 'held' AND component = 'merge'";
    build_index(client, "workflow_node_executions_joins", create).await
}

/// The migration after which the indexes over sub-runs are built.
pub(super) const SUB_RUNS: i32 = 64;

/// Builds the indexes by which the sub-runs of a top run are found, and those that have ended and were
/// not taken.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_indexes_of_sub_runs(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_runs_of_root
        ON workflow_runs (root_event_id)
        WHERE parent_run_id IS NOT NULL";
    build_index(client, "workflow_runs_of_root", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_runs_untaken
        ON workflow_runs (finished_at)
        WHERE parent_run_id IS NOT NULL AND taken_at IS NULL AND state = 'finished'";
    build_index(client, "workflow_runs_untaken", create).await
}

/// The migration after which the indexes over called runs are built.
pub(super) const CALLED_RUNS: i32 = 66;

/// Builds the indexes by which the run that an execution called is found, and those that have ended and
/// whose caller was not told.
///
/// # Errors
/// As [`build_indexes_of_held`].
pub(super) async fn build_indexes_of_called_runs(client: &Client) -> Result<(), StoreError> {
    let create = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS workflow_runs_caller
        ON workflow_runs (caller_execution_id)
        WHERE caller_execution_id IS NOT NULL";
    build_index(client, "workflow_runs_caller", create).await?;
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS workflow_runs_untold
        ON workflow_runs (finished_at)
        WHERE caller_execution_id IS NOT NULL AND taken_at IS NULL AND state = 'finished'";
    build_index(client, "workflow_runs_untold", create).await
}

/// Builds an index while others write. A build that another session's lock breaks off leaves an
/// invalid index, which is dropped before the next try: `IF NOT EXISTS` would take it for done.
pub(super) async fn build_index(client: &Client, name: &str, create: &str) -> Result<(), StoreError> {
    let mut tries = LockTries::default();
    loop {
        drop_invalid(client, name).await?;
        match client.batch_execute(create).await {
            Ok(()) => return Ok(()),
            Err(error) => tries.wait_or_fail(name, error.code().map(|code| code.code().to_owned())).await?,
        }
    }
}

async fn drop_invalid(client: &Client, name: &str) -> Result<(), StoreError> {
    let is_invalid = "/* migrate */ SELECT EXISTS (
        SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)";
    let rows = client.query_typed(is_invalid, &[(&name, Type::TEXT)]).await?;
    if rows.first().is_some_and(|row| row.get(0)) {
        run_script(client, name, &format!("DROP INDEX CONCURRENTLY {name}")).await?;
    }
    Ok(())
}
