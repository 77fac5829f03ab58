use domain::ids::WorkflowId;
use tokio_postgres::types::Type;

use super::due::{BACKOFF_IN_A_ROW, CLOCKS_SECONDS, DueExecution, SENT_IN_A_ROW, due_execution};
use crate::types::column;
use crate::{Store, StoreError};

/// Finds held executions whose time, cause, call or sub-run is overdue by more than the grace, and held
/// executions whose time comes within the queue's longest delay. Records the send.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_due_held(
    store: &Store,
    grace_seconds: u32,
    rows_max: i64,
) -> Result<Vec<DueExecution>, StoreError> {
    let sql = format!(
        "/* find_due_held */
         WITH due AS MATERIALIZED (
             (SELECT id, wake_at, last_sent_at AS seen_at FROM workflow_node_executions
              WHERE state = 'held'
                AND coalesce(wake_at, 'infinity') <= now() - make_interval(secs => $1::float8)
                AND greatest(last_sent_at, wake_at)
                    <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY coalesce(wake_at, 'infinity') LIMIT $2::int8)
             UNION
             (SELECT id, wake_at, last_sent_at FROM workflow_node_executions
              WHERE state = 'held' AND wake_at > now()
                AND coalesce(wake_at, 'infinity') <= now() + make_interval(secs => $3::float8)
                AND wake_at - updated_at > make_interval(secs => $3 - {CLOCKS_SECONDS})
                AND {SENT_IN_A_ROW} = 0
              ORDER BY coalesce(wake_at, 'infinity') LIMIT $2)
             UNION
             (SELECT x.id, NULL, x.last_sent_at
              FROM workflow_execution_wakes c
              JOIN workflow_node_executions x
                ON x.workflow_id = c.workflow_id AND x.id = c.execution_id
              WHERE c.handled_at IS NULL AND c.created_at <= now() - make_interval(secs => $1)
                AND coalesce(x.state, '') = 'held'
                AND x.last_sent_at <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY c.created_at LIMIT $2)
             UNION
             (SELECT x.id, NULL, x.last_sent_at
              FROM workflow_execution_calls c
              JOIN workflow_node_executions x
                ON x.workflow_id = c.workflow_id AND x.id = c.execution_id
              WHERE c.handled_at IS NULL AND c.created_at <= now() - make_interval(secs => $1)
                AND coalesce(x.state, '') = 'held'
                AND x.last_sent_at <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY c.created_at LIMIT $2)
             UNION
             (SELECT x.id, NULL, x.last_sent_at
              FROM (
                  SELECT workflow_id, parent_execution_id, finished_at AS ended_at
                  FROM workflow_runs
                  WHERE parent_run_id IS NOT NULL AND taken_at IS NULL AND state = 'finished'
                    AND finished_at <= now() - make_interval(secs => $1)) r
              JOIN workflow_node_executions x
                ON x.workflow_id = r.workflow_id AND x.id = r.parent_execution_id
              WHERE coalesce(x.state, '') = 'held'
                AND x.last_sent_at <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY r.ended_at LIMIT $2)
             UNION
             (SELECT x.id, NULL, x.last_sent_at
              FROM (
                  SELECT caller_execution_id, finished_at AS ended_at
                  FROM workflow_runs
                  WHERE caller_execution_id IS NOT NULL AND taken_at IS NULL AND state = 'finished'
                    AND finished_at <= now() - make_interval(secs => $1)) r
              JOIN workflow_node_executions x ON x.id = r.caller_execution_id
              WHERE coalesce(x.state, '') = 'held'
                AND x.last_sent_at <= now() - make_interval(secs => {BACKOFF_IN_A_ROW})
              ORDER BY r.ended_at LIMIT $2)),
         locked AS MATERIALIZED (
             SELECT x.id FROM (SELECT DISTINCT id, seen_at FROM due) due
             JOIN workflow_node_executions x ON x.id = due.id AND x.last_sent_at = due.seen_at
             ORDER BY uuid_send(x.id) FOR NO KEY UPDATE OF x SKIP LOCKED),
         sent AS (
             UPDATE workflow_node_executions x
             SET last_sent_at = now(), sent_count = {SENT_IN_A_ROW} + 1
             FROM locked
             WHERE x.id = locked.id AND coalesce(x.state, '') = 'held'
             RETURNING x.id, x.workflow_id)
         SELECT sent.id, w.organization_id, (
             SELECT greatest(0,
                 ceil(extract(epoch FROM min(coalesce(due.wake_at, now())) - now())))::int
             FROM due
             WHERE due.id = sent.id) AS delay_seconds
         FROM sent JOIN workflows w ON w.id = sent.workflow_id"
    );
    let longest = f64::from(domain::limits::QUEUE_DELAY_SECONDS_MAX);
    let rows = store
        .query(
            &sql,
            &[(&f64::from(grace_seconds), Type::FLOAT8), (&rows_max, Type::INT8), (&longest, Type::FLOAT8)],
        )
        .await?;
    rows.iter().map(due_execution).collect()
}

/// Sets or clears the mark `held_full`, which says that a workflow has as many held executions as
/// are allowed. Looks at the marked workflows, and at most `workflows_max` of those with held
/// executions after `after`. Returns the last of them; None: there are no more.
///
/// # Errors
/// See [`StoreError`].
pub async fn mark_full_workflows(
    store: &Store,
    after: WorkflowId,
    workflows_max: i64,
) -> Result<Option<WorkflowId>, StoreError> {
    let rows = store
        .query(
            "/* mark_full_workflows */
             WITH RECURSIVE at AS (
                 (SELECT workflow_id FROM workflow_node_executions
                  WHERE state = 'held' AND workflow_id > $2::uuid
                  ORDER BY workflow_id, node_id LIMIT 1)
                 UNION ALL
                 SELECT next.workflow_id FROM at CROSS JOIN LATERAL (
                     SELECT x.workflow_id FROM workflow_node_executions x
                     WHERE x.state = 'held' AND x.workflow_id > at.workflow_id
                     ORDER BY x.workflow_id, x.node_id LIMIT 1) next),
             seen AS MATERIALIZED (SELECT workflow_id FROM at LIMIT $3::int8),
             known AS MATERIALIZED (
                 SELECT workflow_id FROM seen UNION SELECT id FROM workflows WHERE held_full),
             counted AS MATERIALIZED (
                 SELECT known.workflow_id, EXISTS (
                     SELECT FROM workflow_node_executions x
                     WHERE x.workflow_id = known.workflow_id AND x.state = 'held'
                     OFFSET $1::int8 - 1 LIMIT 1) AS is_full
                 FROM known),
             -- A workflow that another transaction holds is marked by the next tick.
             changed AS MATERIALIZED (
                 SELECT w.id FROM counted JOIN workflows w ON w.id = counted.workflow_id
                 WHERE w.held_full <> counted.is_full
                 ORDER BY w.id FOR NO KEY UPDATE OF w SKIP LOCKED),
             marked AS (
                 UPDATE workflows w SET held_full = NOT w.held_full
                 FROM changed
                 WHERE w.id = changed.id)
             SELECT workflow_id FROM seen
             WHERE (SELECT count(*) FROM seen) >= $3
             ORDER BY workflow_id DESC LIMIT 1",
            &[
                (&domain::limits::HELD_EXECUTIONS_MAX, Type::INT8),
                (&after, Type::UUID),
                (&workflows_max, Type::INT8),
            ],
        )
        .await?;
    rows.first().map(|row| column(row, "workflow_id")).transpose()
}
