//! The locks of claims, wakes and ends of executions, in the order of locks: nodes, then
//! executions.

use tokio_postgres::types::Type;

use crate::{StoreError, Tx};

/// The treatment of a node that another transaction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Leave it out.
    SkipLocked,
    /// Wait a moment, as long as the caller says; then the transaction fails, see
    /// [`StoreError::is_lock_timeout`].
    Wait,
}

impl LockMode {
    /// Limits the transaction's waits for locks to `millis` from here on, in the mode that waits.
    pub(crate) async fn limit_wait(self, tx: &Tx, millis: u32) -> Result<(), StoreError> {
        match self {
            Self::SkipLocked => Ok(()),
            Self::Wait => wait_no_longer(tx, millis).await,
        }
    }
}

/// Milliseconds for which a builder waits for a node, and an end of executions for its locks.
pub const LOCK_WAIT_MILLIS: u32 = 300;

/// Limits the transaction's waits for locks to [`LOCK_WAIT_MILLIS`] from here on.
pub(crate) async fn wait_briefly(tx: &Tx) -> Result<(), StoreError> {
    wait_no_longer(tx, LOCK_WAIT_MILLIS).await
}

async fn wait_no_longer(tx: &Tx, millis: u32) -> Result<(), StoreError> {
    let wait = format!("{millis}ms");
    tx.query(
        "/* set_lock_wait */
         SELECT set_config('lock_timeout', $1, true)",
        &[(&wait, Type::TEXT)],
    )
    .await?;
    Ok(())
}

/// Locks the limited nodes of executions. They come before executions in the order of locks, and a
/// slot is freed under the node's lock.
pub(crate) const LOCK_NODES: &str = "/* lock_nodes_of_executions */
    SELECT n.workflow_id, n.node_id FROM workflow_nodes n
    WHERE n.concurrency_max IS NOT NULL AND (n.workflow_id, n.node_id) IN (
        SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex WHERE ex.id = ANY($1))
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n";

/// As [`LOCK_NODES`], without the nodes that another transaction holds. Puts the executions whose
/// node it locked, or whose node no longer has a limit, into a setting of the transaction for
/// [`LOCK_FREE_EXECUTIONS`].
pub(crate) const LOCK_FREE_NODES: &str = "/* lock_free_nodes */
    WITH ending AS MATERIALIZED (
        SELECT id, workflow_id, node_id FROM workflow_node_executions WHERE id = ANY($1)),
    node AS MATERIALIZED (
        SELECT n.workflow_id, n.node_id FROM workflow_nodes n
        WHERE n.concurrency_max IS NOT NULL
          AND (n.workflow_id, n.node_id) IN (SELECT workflow_id, node_id FROM ending)
        ORDER BY n.workflow_id, n.node_id
        FOR NO KEY UPDATE OF n SKIP LOCKED)
    SELECT set_config('sealflow.node_locked', coalesce(string_agg(ending.id::text, ','), ''), true)
    FROM ending
    JOIN workflow_nodes n ON n.workflow_id = ending.workflow_id AND n.node_id = ending.node_id
    WHERE n.concurrency_max IS NULL
      OR (n.workflow_id, n.node_id) IN (SELECT workflow_id, node_id FROM node)";

/// Locks free executions, those of $2 only where [`LOCK_FREE_NODES`] has their node. Puts their ids
/// into a setting of the transaction, where the statements that are sent along with it find them.
pub(crate) const LOCK_FREE_EXECUTIONS: &str = "/* lock_free_executions */
    WITH locked AS (
        SELECT id FROM workflow_node_executions
        WHERE id = ANY($1)
          AND (id <> ALL($2)
            OR id = ANY(
                string_to_array(current_setting('sealflow.node_locked', true), ',')::uuid[]))
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
    SELECT set_config('sealflow.locked', coalesce(string_agg(id::text, ','), ''), true)
    FROM locked";

pub(crate) const LOCK_EXECUTIONS: &str = "/* lock_executions */
    SELECT id FROM workflow_node_executions WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
