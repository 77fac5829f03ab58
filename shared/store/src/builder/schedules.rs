//! Schedules whose time has come.

use domain::ids::{OrganizationId, RunId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::locks::wait_briefly;
use crate::nodes::NodeKey;
use crate::types::column;
use crate::{StoreError, Tx};

/// A schedule, with the definition of its workflow.
#[derive(Clone, Debug)]
pub struct LockedSchedule {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Whether the operator has suspended the organization.
    pub is_suspended: bool,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version`
    pub workflow_version: i64,
    /// `workflows.nodes`
    pub nodes: Value,
    /// `workflows.edges`
    pub edges: Value,
    /// The next time, and the moment at which it is looked at.
    pub next: Option<(Timestamp, Timestamp)>,
    /// Whether the run that it began last goes on.
    pub is_running: bool,
    /// Now, by the database's clock.
    pub now: Timestamp,
}

/// The result of [`lock_schedule`].
#[derive(Clone, Debug)]
pub enum FoundSchedule {
    /// There is no such schedule.
    None,
    /// Its workflow or organization was deleted; now, by the database's clock.
    Dead(Timestamp),
    /// A schedule of a live workflow.
    Live(LockedSchedule),
}

/// Locks a schedule, and reads it in a later statement: a firing that came before has ended then.
///
/// # Errors
/// See [`StoreError`]. The wait for another transaction is short: then see
/// [`StoreError::is_lock_timeout`].
pub async fn lock_schedule(tx: &Tx, key: &NodeKey) -> Result<FoundSchedule, StoreError> {
    let (workflow_id, node_id) = (&key.0, &key.1);
    let (_, locked, rows) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(LOCK, [(workflow_id, Type::UUID), (node_id, Type::TEXT)]),
        tx.query_with(READ, [(workflow_id, Type::UUID), (node_id, Type::TEXT)]),
    )?;
    let Some(locked) = locked.first() else { return Ok(FoundSchedule::None) };
    let Some(row) = rows.first() else { return Ok(FoundSchedule::Dead(column(locked, "now")?)) };
    let (next_at, due_at): (Option<Timestamp>, Option<Timestamp>) =
        (column(row, "next_at")?, column(row, "due_at")?);
    Ok(FoundSchedule::Live(LockedSchedule {
        organization_id: column(row, "organization_id")?,
        is_suspended: column(row, "is_suspended")?,
        workflow_id: *workflow_id,
        workflow_version: column(row, "version")?,
        nodes: column(row, "nodes")?,
        edges: column(row, "edges")?,
        next: next_at.zip(due_at),
        is_running: column(row, "is_running")?,
        now: column(row, "now")?,
    }))
}

const LOCK: &str = "/* lock_schedule */
    SELECT statement_timestamp() AS now FROM schedules
    WHERE workflow_id = $1::uuid AND node_id = $2::text
    FOR NO KEY UPDATE";

const READ: &str = "/* read_schedule */
    SELECT w.organization_id, o.suspended_at IS NOT NULL AS is_suspended, w.version, w.nodes,
        w.edges, s.next_at, s.due_at, statement_timestamp() AS now,
        coalesce(r.state = 'running', false) AS is_running
    FROM schedules s
    JOIN workflows w
      ON w.id = s.workflow_id AND coalesce(w.deleted_at, 'infinity') = 'infinity'
    JOIN organizations o ON o.id = w.organization_id AND o.deleted_at IS NULL
    LEFT JOIN workflow_runs r ON r.id = s.last_run_id
    WHERE s.workflow_id = $1::uuid AND s.node_id = $2::text";

/// The next time of a schedule, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTime {
    /// The time, and the moment at which it is looked at. None: there is none any more.
    pub next: Option<(Timestamp, Timestamp)>,
    /// Whether its message is sent after the commit, so that the sweeper need not send it.
    pub is_sent: bool,
}

/// Writes the next time of a locked schedule, and the run that it began, if it began one.
///
/// # Errors
/// See [`StoreError`].
pub async fn write_schedule(
    tx: &Tx,
    key: &NodeKey,
    next: NextTime,
    run_id: Option<RunId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (next_at, due_at) = next.next.unzip();
    tx.query(
        "/* write_schedule */
         UPDATE schedules
         SET next_at = $3::timestamptz, due_at = $4::timestamptz,
             sent_at = CASE WHEN $5::bool THEN $7::timestamptz END,
             last_run_id = coalesce($6::uuid, last_run_id), updated_at = $7
         WHERE workflow_id = $1::uuid AND node_id = $2::text",
        &[
            (&key.0, Type::UUID),
            (&key.1, Type::TEXT),
            (&next_at, Type::TIMESTAMPTZ),
            (&due_at, Type::TIMESTAMPTZ),
            (&next.is_sent, Type::BOOL),
            (&run_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map(drop)
}
