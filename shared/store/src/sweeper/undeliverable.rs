use jiff::Timestamp;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{StoreError, Tx};

/// Ends items whose sends are used up, as failed executions; only where the builder has committed something since the last send, for
/// while it is down nothing is the item's fault. `ids` are those of the executions, as many as rows may be ended.
///
/// # Errors
/// See [`StoreError`].
pub async fn end_undeliverable_items(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<Vec<Uuid>, StoreError> {
    let rows = tx
        .query(
            "/* end_undeliverable_items */
             WITH lost AS (
                 SELECT i.id, row_number() OVER (ORDER BY i.id) AS nth FROM (
                     SELECT i.id FROM workflow_node_queue_items i
                     WHERE i.sent_count >= $3 AND i.last_sent_at < (SELECT committed_at FROM function_heartbeats WHERE function = 'builder')
                     ORDER BY i.id LIMIT cardinality($1) FOR UPDATE SKIP LOCKED) i),
             taken AS (
                 DELETE FROM workflow_node_queue_items i USING lost WHERE i.id = lost.id
                 RETURNING lost.nth, i.workflow_id, i.node_id, i.root_event_id, i.event_id)
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, previous_execution_id, state,
                 result, result_reason, result_message, component, configuration, workflow_version, node_version, last_sent_at,
                 created_at, updated_at, started_at, finished_at)
             SELECT ($1::uuid[])[taken.nth], taken.workflow_id, taken.node_id, taken.root_event_id, taken.event_id, ev.execution_id,
                 'finished', 'failed', 'undeliverable', 'this item was sent to the builder many times and never taken',
                 coalesce(n.ref ->> 'component', ''), '{}', w.version, n.version, $2, $2, $2, $2, $2
             FROM taken
             JOIN workflow_nodes n ON n.workflow_id = taken.workflow_id AND n.node_id = taken.node_id
             JOIN workflows w ON w.id = taken.workflow_id
             JOIN workflow_events ev ON ev.id = taken.event_id
             RETURNING id",
            &[(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&model::limits::SENDS_MAX, Type::INT4)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// Ends pending executions whose sends are used up; only where the executor has committed something since the last send.
///
/// # Errors
/// See [`StoreError`].
pub async fn end_undeliverable_executions(
    tx: &Tx,
    rows_max: i64,
    now: Timestamp,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = tx
        .query(
            "/* end_undeliverable_executions */
             WITH lost AS (
                 SELECT id FROM workflow_node_executions
                 WHERE state = 'pending' AND sent_count >= $3 AND coalesce(run_at, last_sent_at) <= now()
                   AND last_sent_at < (SELECT committed_at FROM function_heartbeats WHERE function = 'executor')
                 ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
             UPDATE workflow_node_executions ex
             SET state = 'finished', result = 'failed', result_reason = 'undeliverable',
                 result_message = 'this execution was sent to the executor many times and never taken', finished_at = $2, updated_at = $2
             FROM lost WHERE ex.id = lost.id
             RETURNING ex.id",
            &[(&rows_max, Type::INT8), (&now, Type::TIMESTAMPTZ), (&model::limits::SENDS_MAX, Type::INT4)],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}
