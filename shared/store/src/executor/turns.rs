//! Turns: at a node with a rate each attempt gets the time at which it may begin, before it is
//! claimed. Nodes without a rate cost nothing here.

use domain::ids::{ExecutionId, OrganizationId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::locks::wait_briefly;
use crate::types::column;
use crate::{StoreError, Tx};

/// An execution whose attempt has got its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Milliseconds until the attempt may begin; 0: now.
    pub due_in_millis: i64,
}

/// Gives a turn to each pending attempt that is due, needs one and is free. The times of a node's
/// turns keep its rate, whichever instances ask.
///
/// # Errors
/// The wait for another claim's turns is short. If it runs out, [`StoreError::is_lock_timeout`] is
/// true.
pub async fn take_turns(tx: &Tx, ids: &[ExecutionId], now: Timestamp) -> Result<Vec<Turn>, StoreError> {
    let ((), rows) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(TAKE_TURNS, [(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]),
    )?;
    rows.iter()
        .map(|row| {
            Ok(Turn {
                id: column(row, "id")?,
                organization_id: column(row, "organization_id")?,
                due_in_millis: column(row, "due_in_millis")?,
            })
        })
        .collect()
}

/// The generic cell rate algorithm: a node's `next_at` moves on by one interval for each attempt,
/// and an attempt may begin by `burst - 1` intervals before its place.
const TAKE_TURNS: &str = "/* take_turns */
    WITH wanting AS MATERIALIZED (
        SELECT ex.id, ex.workflow_id, ex.node_id, ex.created_at FROM workflow_node_executions ex
        WHERE ex.id = ANY($1) AND coalesce(ex.state, '') = 'pending'
          AND ex.turn_attempt < ex.attempt AND coalesce(ex.run_at <= now(), true)
        ORDER BY ex.id FOR NO KEY UPDATE OF ex SKIP LOCKED),
    placed AS MATERIALIZED (
        SELECT wanting.id, wanting.workflow_id, wanting.node_id, w.organization_id,
            n.rate_per_second, n.rate_burst,
            row_number() OVER (whole_node ORDER BY wanting.created_at, wanting.id) - 1 AS place,
            count(*) OVER whole_node AS attempts
        FROM wanting
        JOIN workflows w ON w.id = wanting.workflow_id
        JOIN workflow_nodes n
          ON n.workflow_id = wanting.workflow_id AND n.node_id = wanting.node_id
        WHERE n.rate_per_second IS NOT NULL
        WINDOW whole_node AS (PARTITION BY wanting.workflow_id, wanting.node_id)),
    moved AS (
        INSERT INTO workflow_node_turns AS turns (workflow_id, node_id, next_at)
        SELECT DISTINCT workflow_id, node_id,
            now() + make_interval(secs => attempts / rate_per_second)
        FROM placed
        ORDER BY workflow_id, node_id
        ON CONFLICT (workflow_id, node_id) DO UPDATE
            SET next_at = greatest(turns.next_at, now()) + (excluded.next_at - now())
        RETURNING workflow_id, node_id, next_at)
    UPDATE workflow_node_executions ex
    SET turn_attempt = ex.attempt, updated_at = $2::timestamptz,
        run_at = greatest(now(), moved.next_at - make_interval(secs =>
            (placed.attempts - placed.place + placed.rate_burst - 1) / placed.rate_per_second))
    FROM placed
    JOIN moved ON moved.workflow_id = placed.workflow_id AND moved.node_id = placed.node_id
    WHERE ex.id = placed.id AND coalesce(ex.state, '') = 'pending'
    RETURNING ex.id, placed.organization_id,
        ceil(extract(epoch FROM ex.run_at - now()) * 1000)::bigint AS due_in_millis";
