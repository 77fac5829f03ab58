//! The causes for which held executions are woken. A cause is an inserted row: a held execution is
//! changed by its own wake alone.

use domain::actor::Actor;
use domain::held::WakeCause;
use domain::ids::{ExecutionId, OrganizationId, RunId, WorkflowId};
use domain::limits::REMOVED_EXECUTIONS_MAX;
use domain::message::Message;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{Store, StoreError, Tx};

/// A held execution with something due: send its wake after the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldWake {
    /// `workflow_node_executions.id`
    pub execution_id: ExecutionId,
    /// Its organization.
    pub organization_id: OrganizationId,
}

impl HeldWake {
    /// The wake.
    #[must_use]
    pub fn wake(&self) -> Message {
        Message::Wake { execution_id: self.execution_id }
    }
}

fn held_wake(row: &Row) -> Result<HeldWake, StoreError> {
    Ok(HeldWake {
        execution_id: column(row, "execution_id")?,
        organization_id: column(row, "organization_id")?,
    })
}

/// Inserts a cause for held executions whose node was removed, or removed and added again: at most
/// [`REMOVED_EXECUTIONS_MAX`], and only where no unhandled one is there.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn cause_removed(
    tx: &Tx,
    workflow_id: WorkflowId,
    node_ids: &[String],
) -> Result<Vec<HeldWake>, StoreError> {
    let cause = WakeCause::NodeRemoved.as_str();
    let rows = tx
        .query(
            "/* cause_removed */
             WITH held AS MATERIALIZED (
                 SELECT x.workflow_id, x.id FROM workflow_node_executions x
                 JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
                     AND (n.deleted_at IS NOT NULL OR x.node_generation <> n.generation)
                 WHERE x.workflow_id = $1::uuid AND x.node_id = ANY($2::text[]) AND x.state = 'held'
                   AND (SELECT true FROM workflow_execution_wakes c
                        WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                          AND c.cause = $3 AND coalesce(c.handled_at, 'infinity') = 'infinity'
                        LIMIT 1) IS NULL
                 ORDER BY uuid_send(x.id) LIMIT $4::int8),
             caused AS (
                 INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause)
                 SELECT workflow_id, id, $3::text FROM held
                 RETURNING execution_id)
             SELECT caused.execution_id, w.organization_id
             FROM caused JOIN workflows w ON w.id = $1",
            &[
                (&workflow_id, Type::UUID),
                (&node_ids, Type::TEXT_ARRAY),
                (&cause, Type::TEXT),
                (&REMOVED_EXECUTIONS_MAX, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(held_wake).collect()
}

/// Inserts a cause for open joins that an apply changes, at most [`REMOVED_EXECUTIONS_MAX`]; the others
/// look by themselves a little later. An unhandled cause that is there may be read by a wake that does
/// not see the apply, so it is no reason to insert none.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn cause_joins_changed(
    tx: &Tx,
    workflow_id: WorkflowId,
    node_ids: &[String],
) -> Result<Vec<HeldWake>, StoreError> {
    if node_ids.is_empty() {
        return Ok(Vec::new());
    }
    let cause = WakeCause::Upstream.as_str();
    let rows = tx
        .query(
            "/* cause_joins_changed */
             WITH held AS MATERIALIZED (
                 SELECT x.workflow_id, x.id FROM workflow_node_executions x
                 WHERE x.workflow_id = $1::uuid AND x.node_id = ANY($2::text[]) AND x.state = 'held'
                 ORDER BY uuid_send(x.id) LIMIT $4::int8),
             caused AS (
                 INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause)
                 SELECT workflow_id, id, $3::text FROM held
                 RETURNING execution_id)
             SELECT caused.execution_id, w.organization_id
             FROM caused JOIN workflows w ON w.id = $1",
            &[
                (&workflow_id, Type::UUID),
                (&node_ids, Type::TEXT_ARRAY),
                (&cause, Type::TEXT),
                (&REMOVED_EXECUTIONS_MAX, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(held_wake).collect()
}

/// Inserts a cause for held executions of a stopped run: at most `rows_max`, and only where no
/// unhandled one is there.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn cause_stopped(
    tx: &Tx,
    run_id: RunId,
    rows_max: i64,
) -> Result<Vec<HeldWake>, StoreError> {
    let cause = WakeCause::Stopped.as_str();
    let rows = tx
        .query_with(
            "/* cause_stopped */
             WITH held AS MATERIALIZED (
                 SELECT x.workflow_id, x.id, run.organization_id FROM workflow_node_executions x
                 JOIN workflow_runs run ON run.id = x.run_id AND run.stop IS NOT NULL
                 WHERE x.run_id = $1::uuid AND x.state <> 'finished'
                   AND coalesce(x.state, '') = 'held'
                   AND (SELECT true FROM workflow_execution_wakes c
                        WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                          AND c.cause = $2 AND coalesce(c.handled_at, 'infinity') = 'infinity'
                        LIMIT 1) IS NULL
                 ORDER BY uuid_send(x.id) LIMIT $3::int8),
             caused AS (
                 INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause)
                 SELECT workflow_id, id, $2::text FROM held
                 RETURNING execution_id)
             SELECT caused.execution_id, held.organization_id
             FROM caused JOIN held ON held.id = caused.execution_id",
            [(&run_id, Type::UUID), (&cause, Type::TEXT), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter().map(held_wake).collect()
}

/// Inserts the cause of a cancel for a held execution, unless an unhandled one is there. None: the
/// execution is not held. The caller holds the lock of its row.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn cause_cancelled(
    tx: &Tx,
    execution_id: ExecutionId,
    cancelled_by: &Actor,
) -> Result<Option<HeldWake>, StoreError> {
    let (cause, cancelled_by) = (WakeCause::Cancelled.as_str(), cancelled_by.to_string());
    let rows = tx
        .query_with(
            "/* cause_cancelled */
             WITH held AS MATERIALIZED (
                 SELECT x.workflow_id, x.id, w.organization_id
                 FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id
                 WHERE x.id = $1::uuid AND coalesce(x.state, '') = 'held'),
             caused AS (
                 INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause, caused_by)
                 SELECT workflow_id, id, $2::text, $3::text FROM held
                 WHERE (SELECT true FROM workflow_execution_wakes c
                        WHERE c.workflow_id = held.workflow_id AND c.execution_id = held.id
                          AND c.cause = $2 AND coalesce(c.handled_at, 'infinity') = 'infinity'
                        LIMIT 1) IS NULL)
             SELECT id AS execution_id, organization_id FROM held",
            [(&execution_id, Type::UUID), (&cause, Type::TEXT), (&cancelled_by, Type::TEXT)],
        )
        .await?;
    rows.first().map(held_wake).transpose()
}

/// Inserts a cause for held executions whose node was removed or got another generation within the
/// last day: at most `rows_max`, and only where no unhandled one is there. An apply had no room for
/// them, or they were opened while it was committed. Returns their number.
///
/// # Errors
/// See [`StoreError`].
pub async fn cause_removed_lately(store: &Store, rows_max: i64) -> Result<usize, StoreError> {
    let cause = WakeCause::NodeRemoved.as_str();
    let rows = store
        .query(
            "/* cause_removed_lately */
             INSERT INTO workflow_execution_wakes (workflow_id, execution_id, cause)
             SELECT held.workflow_id, held.id, $1::text
             FROM (
                 SELECT n.workflow_id, n.node_id, n.deleted_at, n.generation FROM workflow_nodes n
                 WHERE (n.deleted_at IS NOT NULL OR n.generation > 1)
                   AND n.updated_at > now() - interval '1 day'
                 OFFSET 0) n
             CROSS JOIN LATERAL (
                 SELECT x.workflow_id, x.id FROM workflow_node_executions x
                 WHERE x.workflow_id = n.workflow_id AND x.node_id = n.node_id
                   AND x.state = 'held'
                   AND (n.deleted_at IS NOT NULL OR x.node_generation <> n.generation)
                   AND (SELECT true FROM workflow_execution_wakes c
                        WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                          AND c.cause = $1 AND coalesce(c.handled_at, 'infinity') = 'infinity'
                        LIMIT 1) IS NULL
                 LIMIT $2::int8) held
             LIMIT $2
             RETURNING execution_id",
            &[(&cause, Type::TEXT), (&rows_max, Type::INT8)],
        )
        .await?;
    Ok(rows.len())
}

/// Marks the unhandled causes of finished executions, at most `rows_max`: they were inserted while
/// the end was written, and no wake reads them any more. Returns their number.
///
/// # Errors
/// See [`StoreError`].
pub async fn mark_late_causes(store: &Store, rows_max: i64) -> Result<usize, StoreError> {
    let rows = store
        .query(
            "/* mark_late_causes */
             WITH late AS MATERIALIZED (
                 SELECT c.id FROM workflow_execution_wakes c
                 JOIN workflow_node_executions x
                   ON x.workflow_id = c.workflow_id AND x.id = c.execution_id
                 WHERE c.handled_at IS NULL AND coalesce(x.state, '') = 'finished'
                 ORDER BY c.created_at LIMIT $1::int8)
             UPDATE workflow_execution_wakes c SET handled_at = now()
             FROM late
             WHERE c.id = late.id
             RETURNING c.id",
            &[(&rows_max, Type::INT8)],
        )
        .await?;
    Ok(rows.len())
}
