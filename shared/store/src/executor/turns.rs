//! Turns: at a node with a rate an attempt may begin only within it, before it is claimed. An attempt
//! that may not yet is told when to ask again. Nodes without a rate cost nothing here.

use domain::ids::{ExecutionId, OrganizationId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::locks::wait_briefly;
use crate::types::column;
use crate::{StoreError, Tx};

/// An execution that has asked for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Whether the attempt has its turn; otherwise it asks again.
    pub has_turn: bool,
    /// Milliseconds until it may begin, at most [`SOON_MILLIS`], or until it asks again.
    pub due_in_millis: i64,
}

/// An attempt that may begin so soon has its turn, and its executor waits for it: a message waits
/// whole seconds, in which most turns of a fast node would pass unused.
pub const SOON_MILLIS: i64 = 1_000;

/// Lets pending attempts begin now or soon that are due, need a turn and are free, as far as their
/// node's rate allows, whichever instances ask. The others are put off, each to a time of its own. Nodes that
/// another transaction asks about are left out, and so are their executions.
///
/// # Errors
/// See [`StoreError`].
pub async fn take_turns(tx: &Tx, ids: &[ExecutionId], now: Timestamp) -> Result<Vec<Turn>, StoreError> {
    let ((), _, rows) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(MAKE_TURNS, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(
            TAKE_TURNS,
            [(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&SOON_MILLIS, Type::INT8)]
        ),
    )?;
    rows.iter()
        .map(|row| {
            Ok(Turn {
                id: column(row, "id")?,
                organization_id: column(row, "organization_id")?,
                has_turn: column(row, "has_turn")?,
                due_in_millis: column(row, "due_in_millis")?,
            })
        })
        .collect()
}

/// Makes the rows of nodes that have a rate for the first time.
const MAKE_TURNS: &str = "/* make_turns */
    INSERT INTO workflow_node_turns
        (workflow_id, node_id, rate_per_second, generation, starts_at, next_at)
    SELECT n.workflow_id, n.node_id, n.rate_per_second, n.generation, now(), now()
    FROM workflow_nodes n
    WHERE n.rate_per_second IS NOT NULL
      AND (n.workflow_id, n.node_id) IN (
          SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex WHERE ex.id = ANY($1))
      AND (SELECT turns.node_id FROM workflow_node_turns turns
           WHERE turns.workflow_id = n.workflow_id AND turns.node_id = n.node_id) IS NULL
    ORDER BY n.workflow_id, n.node_id
    ON CONFLICT DO NOTHING";

/// The generic cell rate algorithm: a node's arrival time moves on by one interval for each attempt
/// that begins, and an attempt may begin by `burst - 1` intervals before it, so that the attempt of
/// row number k begins at the arrival time and `k - burst` intervals. Times at which to ask
/// again go by a second arrival time, with the attempts that were put off: each has one of its own,
/// and no message is sent in vain. Attempts that come late all together are held to the first.
const TAKE_TURNS: &str = "/* take_turns */
    WITH node AS MATERIALIZED (
        SELECT turns.workflow_id, turns.node_id, n.generation, n.rate_per_second, n.rate_burst,
            turns.rate_per_second = n.rate_per_second AND turns.generation = n.generation AS holds,
            turns.starts_at, turns.next_at
        FROM workflow_node_turns turns
        JOIN workflow_nodes n
          ON n.workflow_id = turns.workflow_id AND n.node_id = turns.node_id
        WHERE n.rate_per_second IS NOT NULL
          AND (turns.workflow_id, turns.node_id) IN (
              SELECT ex.workflow_id, ex.node_id
              FROM workflow_node_executions ex WHERE ex.id = ANY($1))
        ORDER BY turns.workflow_id, turns.node_id
        FOR NO KEY UPDATE OF turns SKIP LOCKED),
    wanting AS MATERIALIZED (
        SELECT ex.id, ex.workflow_id, ex.node_id, ex.created_at FROM workflow_node_executions ex
        WHERE ex.id = ANY($1) AND coalesce(ex.state, '') = 'pending'
          AND ex.turn_attempt < ex.attempt AND coalesce(ex.run_at <= now(), true)
          AND (ex.workflow_id, ex.node_id) IN (SELECT workflow_id, node_id FROM node)
        ORDER BY ex.id FOR NO KEY UPDATE OF ex SKIP LOCKED),
    counted AS MATERIALIZED (
        SELECT node.*, asked.attempts,
            -- A thousandth is the roundings'.
            least(asked.attempts, greatest(0, floor(node.rate_burst + 0.001
                + node.rate_per_second
                * ($3::bigint / 1000.0 - extract(epoch FROM used.starts_at - now())))))::bigint
                AS go,
            used.starts_at AS used_starts_at, used.next_at AS used_next_at
        FROM node
        JOIN (SELECT workflow_id, node_id, count(*) AS attempts FROM wanting
              GROUP BY workflow_id, node_id) asked
          ON asked.workflow_id = node.workflow_id AND asked.node_id = node.node_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN node.holds THEN greatest(node.starts_at, now()) ELSE now() END
                       AS starts_at,
                CASE WHEN node.holds THEN greatest(node.next_at, now()) ELSE now() END
                       AS next_at) used),
    moved AS (
        UPDATE workflow_node_turns turns
        SET rate_per_second = counted.rate_per_second, generation = counted.generation,
            starts_at = counted.used_starts_at
                + make_interval(secs => counted.go / counted.rate_per_second),
            next_at = greatest(counted.used_next_at, counted.used_starts_at
                    + make_interval(secs => counted.go / counted.rate_per_second))
                + make_interval(secs => (counted.attempts - counted.go) / counted.rate_per_second)
        FROM counted
        WHERE turns.workflow_id = counted.workflow_id AND turns.node_id = counted.node_id
        RETURNING turns.workflow_id, turns.node_id, turns.next_at),
    placed AS MATERIALIZED (
        SELECT wanting.id, counted.go, w.organization_id,
            row_number() OVER whole_node <= counted.go AS goes,
            greatest(now(), counted.used_starts_at + make_interval(secs =>
                (row_number() OVER whole_node - counted.rate_burst) / counted.rate_per_second))
                AS begin_at,
            -- The last of those that are put off has the last interval before the arrival time.
            greatest(now(), moved.next_at - make_interval(secs =>
                (counted.attempts - row_number() OVER whole_node + counted.rate_burst)
                / counted.rate_per_second)) AS ask_at
        FROM wanting
        JOIN counted
          ON counted.workflow_id = wanting.workflow_id AND counted.node_id = wanting.node_id
        JOIN moved ON moved.workflow_id = wanting.workflow_id AND moved.node_id = wanting.node_id
        JOIN workflows w ON w.id = wanting.workflow_id
        WINDOW whole_node AS (
            PARTITION BY wanting.workflow_id, wanting.node_id
            ORDER BY wanting.created_at, wanting.id))
    UPDATE workflow_node_executions ex
    SET turn_attempt = CASE WHEN placed.goes THEN ex.attempt ELSE ex.turn_attempt END,
        run_at = CASE WHEN placed.goes THEN placed.begin_at ELSE placed.ask_at END,
        updated_at = $2::timestamptz
    FROM placed
    WHERE ex.id = placed.id AND coalesce(ex.state, '') = 'pending'
    RETURNING ex.id, placed.organization_id, placed.goes AS has_turn,
        greatest(CASE WHEN placed.goes THEN 0 ELSE 1 END,
            ceil(extract(epoch FROM ex.run_at - now()) * 1000))::bigint AS due_in_millis";
