use domain::ids::ExecutionId;
use domain::limits::SENDS_MAX;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::locks::{LOCK_EXECUTIONS, LOCK_NODES};
use crate::runs::{Settled, settle_runs_of};
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::column;
use crate::{StoreError, Tx};

/// Ends items whose sends are used up, as failed executions. An item ends only where the builder
/// has since worked on an event of the organization that is newer than the item's last send: a
/// builder that is down or has a backlog is no fault of the item. `ids` are those of the
/// executions, one for each item that may end.
///
/// # Errors
/// See [`StoreError`].
pub async fn end_undeliverable_items(
    tx: &Tx,
    ids: &[ExecutionId],
    now: Timestamp,
) -> Result<(Vec<ExecutionId>, Settled), StoreError> {
    let rows = tx
        .query(
            &format!(
                "/* end_undeliverable_items */
                 WITH tried AS (
                     SELECT i.id, i.last_sent_at, w.organization_id
                     FROM workflow_node_queue_items i JOIN workflows w ON w.id = i.workflow_id
                     WHERE i.sent_count >= {SENDS_MAX}
                       AND i.last_sent_at < (
                           SELECT committed_at FROM function_heartbeats
                           WHERE function = 'builder')),
                 reached AS MATERIALIZED ({}),
                 lost AS (
                     SELECT i.id, row_number() OVER (ORDER BY i.id) AS nth FROM (
                       SELECT i.id FROM workflow_node_queue_items i
                       WHERE i.id IN (
                           SELECT tried.id FROM tried
                           JOIN reached ON reached.organization_id = tried.organization_id
                           WHERE tried.last_sent_at < reached.at)
                       -- Not by the index of the ids: it would be walked over with all items.
                       ORDER BY uuid_send(i.id)
                       LIMIT cardinality($1) FOR UPDATE SKIP LOCKED) i),
                 taken AS (
                     DELETE FROM workflow_node_queue_items i USING lost
                     WHERE i.id = lost.id
                     RETURNING lost.nth, i.workflow_id, i.node_id, i.root_event_id,
                         i.run_id, i.event_id)
                 INSERT INTO workflow_node_executions
                     (id, workflow_id, node_id, root_event_id, run_id, event_id,
                      previous_execution_id, state, result, result_reason, result_message,
                      component, configuration, workflow_version, node_version, last_sent_at,
                      created_at, updated_at, started_at, finished_at)
                 SELECT ($1::uuid[])[taken.nth], taken.workflow_id, taken.node_id,
                     taken.root_event_id, taken.run_id, taken.event_id, ev.execution_id, 'finished',
                     'failed', 'undeliverable',
                     'this item was sent to the builder many times and never taken',
                     coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', ''), '{{}}', w.version,
                     coalesce(n.version, w.version), $2, $2, $2, $2, $2
                 FROM taken
                 LEFT JOIN workflow_nodes n
                   ON n.workflow_id = taken.workflow_id AND n.node_id = taken.node_id
                 JOIN workflows w ON w.id = taken.workflow_id
                 JOIN workflow_events ev ON ev.id = taken.event_id
                 RETURNING id",
                reached(BUILT)
            ),
            &[(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)],
        )
        .await?;
    let ids: Vec<ExecutionId> = rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    let settled = settle_runs_of(tx, &ids, now).await?;
    Ok((ids, settled))
}

/// Ends pending executions whose sends are used up. One ends only where the executor has since
/// started an execution of the organization that is newer than the last send. Returns also the
/// freed slots that items wait for.
///
/// # Errors
/// See [`StoreError`].
pub async fn end_undeliverable_executions(
    tx: &Tx,
    rows_max: i64,
    now: Timestamp,
) -> Result<(Vec<ExecutionId>, Vec<FreedSlot>, Settled), StoreError> {
    let undeliverable = undeliverable();
    let found = tx
        .query(
            &format!(
                "/* find_undeliverable_executions */
                 WITH tried AS (
                     SELECT ex.id, ex.last_sent_at, w.organization_id
                     FROM workflow_node_executions ex JOIN workflows w ON w.id = ex.workflow_id
                     WHERE {undeliverable}),
                 reached AS MATERIALIZED ({})
                 SELECT tried.id FROM tried
                 JOIN reached ON reached.organization_id = tried.organization_id
                 WHERE tried.last_sent_at < reached.at
                 ORDER BY tried.id LIMIT $1",
                reached(STARTED)
            ),
            &[(&rows_max, Type::INT8)],
        )
        .await?;
    let ids: Vec<ExecutionId> = found.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new(), Settled::default()));
    }
    let end = format!(
        "/* end_undeliverable_executions */
         UPDATE workflow_node_executions ex
         SET state = 'finished', result = 'failed', result_reason = 'undeliverable',
             result_message = 'this execution was sent to the executor many times and never taken',
             finished_at = $2, updated_at = $2
         WHERE ex.id = ANY($1) AND {undeliverable}
         RETURNING ex.id"
    );
    let (_, _, ended, freed, settled) = futures_util::try_join!(
        tx.query_with(LOCK_NODES, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_EXECUTIONS, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(&end, [(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)],),
        tx.query_with(FIND_FREED, [(&ids, Type::UUID_ARRAY)]),
        settle_runs_of(tx, &ids, now),
    )?;
    let ended = ended.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    Ok((ended, freed.iter().map(freed_slot).collect::<Result<_, _>>()?, settled))
}

/// SQL of the condition of an execution that was sent in vain since its state last changed, while
/// the executor was at work. The number of sends is no parameter: by it the planner knows that a
/// partial index holds all of them.
fn undeliverable() -> String {
    format!(
        "ex.state = 'pending' AND ex.sent_count >= {SENDS_MAX} AND ex.last_sent_at >= ex.updated_at
         AND coalesce(ex.run_at, ex.last_sent_at) <= now()
         AND ex.last_sent_at < (
             SELECT committed_at FROM function_heartbeats WHERE function = 'executor')"
    )
}

/// The time of the newest event of each node that the builder has worked on.
const BUILT: &str = "SELECT ev.created_at FROM workflow_node_executions x
    JOIN workflow_events ev ON ev.id = x.event_id
    WHERE x.workflow_id = n.workflow_id AND x.node_id = n.node_id
    ORDER BY x.id DESC LIMIT 1";

/// The creation time of the newest execution of each node that the executor has started. An
/// execution that the builder finished itself has the same time for creation and start. The search
/// ends after the newest hundred of a node, for the builder may have finished all of them. Where
/// the newest hundred are pending or were refused, nothing ends as undeliverable yet.
const STARTED: &str = "SELECT x.created_at FROM (
        SELECT x.id, x.created_at, x.started_at FROM workflow_node_executions x
        WHERE x.workflow_id = n.workflow_id AND x.node_id = n.node_id
        ORDER BY x.id DESC LIMIT 100) x
    WHERE x.started_at <> x.created_at
    ORDER BY x.id DESC LIMIT 1";

/// SQL of the newest work that a function has reached, for each organization of `tried`; `newest`
/// gives it for one node.
fn reached(newest: &str) -> String {
    format!(
        "SELECT own.organization_id, max(newest.created_at) AS at
         FROM (SELECT DISTINCT organization_id FROM tried) own
         JOIN workflows w ON w.organization_id = own.organization_id
         JOIN workflow_nodes n ON n.workflow_id = w.id
         CROSS JOIN LATERAL ({newest}) newest
         GROUP BY own.organization_id"
    )
}
