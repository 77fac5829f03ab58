//! Locks of those who claim and end executions, in the order of locks: nodes, then executions; and what is freed afterwards.

use tokio_postgres::Row;

use super::FreedNode;
use crate::StoreError;
use crate::types::column;

/// Nodes come before executions in the order of locks; a slot is freed under the node's lock.
pub(crate) const LOCK_NODES: &str = "/* lock_nodes_of_executions */
    SELECT n.workflow_id, n.node_id FROM workflow_nodes n
    WHERE n.concurrency_max IS NOT NULL AND (n.workflow_id, n.node_id) IN (
        SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex WHERE ex.id = ANY($1))
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n";

/// The same, leaving out what others hold. Leaves the executions whose node it got, or that has no limit any more, in a setting of the
/// transaction for [`LOCK_FREE_EXECUTIONS`].
pub(super) const LOCK_FREE_NODES: &str = "/* lock_free_nodes */
    WITH ending AS MATERIALIZED (
        SELECT id, workflow_id, node_id FROM workflow_node_executions WHERE id = ANY($1)),
    node AS MATERIALIZED (
        SELECT n.workflow_id, n.node_id FROM workflow_nodes n
        WHERE n.concurrency_max IS NOT NULL AND (n.workflow_id, n.node_id) IN (SELECT workflow_id, node_id FROM ending)
        ORDER BY n.workflow_id, n.node_id
        FOR NO KEY UPDATE OF n SKIP LOCKED)
    SELECT set_config('sealflow.node_locked', coalesce(string_agg(ending.id::text, ','), ''), true)
    FROM ending
    JOIN workflow_nodes n ON n.workflow_id = ending.workflow_id AND n.node_id = ending.node_id
    WHERE n.concurrency_max IS NULL OR (n.workflow_id, n.node_id) IN (SELECT workflow_id, node_id FROM node)";

/// Locks executions that nobody holds and that need no lock of their node ($2) or have it. Leaves their ids in a setting of the
/// transaction, where the statements that are sent along with it find them.
pub(super) const LOCK_FREE_EXECUTIONS: &str = "/* lock_free_executions */
    WITH locked AS (
        SELECT id FROM workflow_node_executions
        WHERE id = ANY($1)
          AND (id <> ALL($2) OR id = ANY(string_to_array(current_setting('sealflow.node_locked', true), ',')::uuid[]))
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
    SELECT set_config('sealflow.locked', coalesce(string_agg(id::text, ','), ''), true) FROM locked";

pub(crate) const LOCK_EXECUTIONS: &str = "/* lock_executions */
    SELECT id FROM workflow_node_executions WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// A later statement than the lock and the update: it sees who waits now. Where slots are those of a key, somebody
/// of that key must wait, or somebody whose key is not known yet.
pub(crate) const FIND_FREED: &str = "/* find_freed_nodes */
    WITH ended AS MATERIALIZED (
        SELECT workflow_id, node_id, concurrency_key FROM workflow_node_executions WHERE id = ANY($1)),
    node AS MATERIALIZED (
        SELECT n.workflow_id, n.node_id, n.concurrency_max, n.concurrency_key, w.organization_id
        FROM (SELECT DISTINCT workflow_id, node_id FROM ended) freed
        JOIN workflow_nodes n ON n.workflow_id = freed.workflow_id AND n.node_id = freed.node_id
        JOIN workflows w ON w.id = n.workflow_id
        WHERE n.concurrency_max IS NOT NULL)
    SELECT workflow_id, node_id, organization_id FROM node
    WHERE CASE WHEN concurrency_key IS NULL THEN
          (SELECT true FROM workflow_node_queue_items i
           WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id LIMIT 1) IS NOT NULL
          AND concurrency_max > (
              SELECT count(*) FROM workflow_node_executions e
              WHERE e.workflow_id = node.workflow_id AND e.node_id = node.node_id AND e.state <> 'finished')
      ELSE
          (SELECT true FROM workflow_node_queue_items i
           WHERE i.workflow_id = node.workflow_id AND i.node_id = node.node_id AND i.concurrency_key IS NULL LIMIT 1) IS NOT NULL
          OR (SELECT true FROM ended
              WHERE ended.workflow_id = node.workflow_id AND ended.node_id = node.node_id
                AND (SELECT true FROM workflow_node_queue_items i
                     WHERE i.workflow_id = ended.workflow_id AND i.node_id = ended.node_id
                       AND i.concurrency_key = ended.concurrency_key LIMIT 1) IS NOT NULL
                AND node.concurrency_max > (
                    SELECT count(*) FROM workflow_node_executions e
                    WHERE e.workflow_id = ended.workflow_id AND e.node_id = ended.node_id
                      AND e.concurrency_key = ended.concurrency_key AND e.state <> 'finished')
              LIMIT 1) IS NOT NULL
      END
    ORDER BY workflow_id, node_id";

pub(crate) fn freed_node(row: &Row) -> Result<FreedNode, StoreError> {
    Ok(FreedNode {
        key: (column(row, "workflow_id")?, column(row, "node_id")?),
        organization_id: column(row, "organization_id")?,
    })
}
