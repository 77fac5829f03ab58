//! Sub-runs: runs that an execution owns. Its wake starts them and takes their results.

use domain::execution::ExecutionResult;
use domain::ids::{EventId, ExecutionId, RunId};
use domain::limits::EVENT_DATA_BYTES_MAX;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::types::{collect, column, word};
use crate::{JsonText, NodeKey, StoreError, Tx};

/// A sub-run that begins.
#[derive(Clone, Debug)]
pub struct NewSubRun {
    /// `workflow_runs.id`
    pub id: RunId,
    /// The run of its owner.
    pub parent_run_id: RunId,
    /// Its owner.
    pub owner_id: ExecutionId,
    /// The node of its owner.
    pub node_id: String,
    /// Its number among those of its owner.
    pub iteration: i32,
    /// `workflows.version`
    pub workflow_version: i64,
}

/// An event by which a sub-run returns to its owner: its item is consumed.
#[derive(Clone, Debug)]
pub struct NewReturn {
    /// The sub-run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The owner.
    pub owner_id: ExecutionId,
    /// The owner's node.
    pub node: NodeKey,
    /// The event.
    pub event_id: EventId,
    /// The node that the event comes from.
    pub source_node_id: String,
    /// Whether the first event that returns is the sub-run's result; else the last one is.
    pub is_first: bool,
    /// Whether the owner's condition holds for the event.
    pub is_condition_met: bool,
}

/// The components that own sub-runs.
#[derive(Clone, Debug, Default)]
pub struct OwnerNames {
    /// Those that look at all results when no sub-run runs.
    pub all: Vec<&'static str>,
    /// Those that look at the last result as soon as it is there.
    pub last: Vec<&'static str>,
    /// Those that call a run of another workflow.
    pub called: Vec<&'static str>,
}

/// The owner of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOwner {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its node.
    pub node_id: String,
}

/// The sub-runs of an owner under the lock of its wake.
#[derive(Clone, Debug)]
pub struct WokenOwner {
    /// The configuration that it was opened with, resolved.
    pub configuration: JsonText,
    /// Its sub-runs that still run.
    pub running: usize,
    /// Whether `ended` has the results that the owner looks at, with their data.
    pub has_results: bool,
    /// Sub-runs that have ended, in their order: all of an owner that looks at all and may end (none
    /// runs, and no more is to be started); the last two of one that looks at the last; else those not
    /// taken.
    pub ended: Vec<StoredSubRun>,
}

/// A sub-run that has ended.
#[derive(Clone, Debug)]
pub struct StoredSubRun {
    /// `workflow_runs.id`
    pub id: RunId,
    /// Its number among those of its owner.
    pub iteration: i32,
    /// Its result.
    pub result: ExecutionResult,
    /// Whether its owner has taken it.
    pub is_taken: bool,
    /// Whether an event has returned.
    pub has_returned: bool,
    /// Whether the owner's condition holds for that event.
    pub is_condition_met: bool,
    /// The data of that event; None: all of them have more data than one event may.
    pub data: Option<JsonText>,
    /// Places of the data that were blanked.
    pub redactions: Option<JsonText>,
    /// The first failure in it.
    pub error: Option<JsonText>,
}

/// Inserts sub-runs.
///
/// # Errors
/// [`StoreError::Conflict`] when a parent was stopped meanwhile.
pub(super) async fn insert_sub_runs(tx: &Tx, runs: &[NewSubRun], now: Timestamp) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let inserted = tx
        .query(
            "/* begin_sub_runs */
             SELECT begin_sub_runs($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[],
                 $6::int8[], $7::timestamptz) AS id",
            &[
                (&collect(runs, |run| run.id), Type::UUID_ARRAY),
                (&collect(runs, |run| run.parent_run_id), Type::UUID_ARRAY),
                (&collect(runs, |run| run.owner_id), Type::UUID_ARRAY),
                (&collect(runs, |run| run.node_id.as_str()), Type::TEXT_ARRAY),
                (&collect(runs, |run| run.iteration), Type::INT4_ARRAY),
                (&collect(runs, |run| run.workflow_version), Type::INT8_ARRAY),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    if inserted.len() == runs.len() {
        Ok(())
    } else {
        Err(StoreError::Conflict("a run was stopped meanwhile"))
    }
}

/// Records returns. Their runs are locked as for their end.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn record_returns(tx: &Tx, returns: &[NewReturn], now: Timestamp) -> Result<(), StoreError> {
    if returns.is_empty() {
        return Ok(());
    }
    let recorded = tx
        .query(
            RECORD_RETURNS,
            &[
                (&collect(returns, |item| item.owner_id), Type::UUID_ARRAY),
                (&collect(returns, |item| item.event_id), Type::UUID_ARRAY),
                (&collect(returns, |item| item.node.0), Type::UUID_ARRAY),
                (&collect(returns, |item| item.run_id), Type::UUID_ARRAY),
                (&collect(returns, |item| item.root_event_id), Type::UUID_ARRAY),
                (&collect(returns, |item| item.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(returns, |item| item.source_node_id.as_str()), Type::TEXT_ARRAY),
                (&now, Type::TIMESTAMPTZ),
                (&collect(returns, |item| item.is_first), Type::BOOL_ARRAY),
                (&collect(returns, |item| item.is_condition_met), Type::BOOL_ARRAY),
            ],
        )
        .await?;
    if recorded.len() == returns.len() {
        Ok(())
    } else {
        Err(StoreError::Conflict("not every return was recorded"))
    }
}

/// Each event that returns is a row, as with joins; the first or the last one is the sub-run's result.
const RECORD_RETURNS: &str = "/* record_returns */
    WITH returned AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[],
                $6::text[], $7::text[], $9::bool[], $10::bool[]) WITH ORDINALITY
            AS t (owner_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id,
                  is_first, stops, nth)),
    counting AS (
        UPDATE workflow_runs r
        SET returned_event_id =
            CASE WHEN t.is_first THEN coalesce(r.returned_event_id, t.event_id) ELSE t.event_id END
        FROM (SELECT DISTINCT ON (run_id) run_id, event_id, is_first FROM returned
              ORDER BY run_id, CASE WHEN is_first THEN nth ELSE -nth END) t
        WHERE r.id = t.run_id AND coalesce(r.state, '') <> '')
    INSERT INTO execution_joins
        (execution_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id,
         source_order, stops, is_late, created_at)
    SELECT owner_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id, 0,
        stops, false, $8::timestamptz
    FROM returned ORDER BY nth
    RETURNING event_id";

/// The sub-runs of the owners among `ids`.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn read_owned(
    tx: &Tx,
    ids: &[ExecutionId],
    owners: &OwnerNames,
) -> Result<Vec<(ExecutionId, WokenOwner)>, StoreError> {
    let most = i64::try_from(EVENT_DATA_BYTES_MAX).unwrap_or(i64::MAX);
    let rows = tx
        .query_with(
            READ_OWNED,
            [
                (&ids, Type::UUID_ARRAY),
                (&most, Type::INT8),
                (&owners.all, Type::TEXT_ARRAY),
                (&owners.last, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    let mut found: Vec<(ExecutionId, WokenOwner)> = Vec::new();
    for row in &rows {
        let owner_id: ExecutionId = column(row, "owner_id")?;
        if found.last().is_none_or(|(id, _)| *id != owner_id) {
            let running: i64 = column(row, "open_runs")?;
            let owner = WokenOwner {
                configuration: column(row, "configuration")?,
                running: usize::try_from(running).unwrap_or(usize::MAX),
                has_results: column(row, "has_results")?,
                ended: Vec::new(),
            };
            found.push((owner_id, owner));
        }
        let id: Option<RunId> = column(row, "id")?;
        if let (Some(id), Some((_, owner))) = (id, found.last_mut()) {
            owner.ended.push(StoredSubRun {
                id,
                iteration: column(row, "iteration")?,
                result: word(row, "result")?,
                is_taken: column(row, "is_taken")?,
                has_returned: column(row, "has_returned")?,
                is_condition_met: column(row, "is_condition_met")?,
                data: column(row, "data")?,
                redactions: column(row, "redactions")?,
                error: column(row, "error")?,
            });
        }
    }
    Ok(found)
}

/// One statement reads the sub-runs that run and those that have ended: with two, a sub-run could end
/// between them, be taken, and still count as running. A finished sub-run never changes but by its
/// owner. All data is read where the owner may end, by what it holds: until then no wake looks at all
/// of them. Of one that looks at the last result, the two last sub-runs are read: the one before has
/// returned where the last one did not.
const READ_OWNED: &str = "/* read_owned */
    WITH counted AS MATERIALIZED (
        SELECT x.id, x.held, x.component = ANY($4::text[]) AS is_last, (
            SELECT count(*) FROM workflow_runs r
            WHERE r.parent_execution_id = x.id AND coalesce(r.state, '') = 'running') AS open_runs
        FROM workflow_node_executions x
        WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'held'
          AND x.component = ANY($3::text[] || $4::text[])),
    owners AS MATERIALIZED (
        SELECT id, open_runs, is_last, (held ->> 'begun')::int - 1 AS last_but_one,
            is_last OR open_runs = 0 AND (
                held -> 'begun' = held -> 'count'
                OR coalesce((held -> 'is_stopping')::bool, false)) AS has_results
        FROM counted),
    ended AS MATERIALIZED (
        SELECT owners.id AS owner_id, owners.has_results, owners.is_last, r.id, r.iteration,
            r.result, r.taken_at IS NOT NULL AS is_taken, r.returned_event_id
        FROM owners JOIN workflow_runs r
          ON r.parent_execution_id = owners.id AND coalesce(r.state, '') = 'finished'
        WHERE CASE WHEN owners.is_last THEN r.iteration >= owners.last_but_one
                   ELSE owners.has_results OR r.taken_at IS NULL END),
    sized AS MATERIALIZED (
        SELECT ended.owner_id, ended.is_last
            OR coalesce(sum(octet_length(ev.data::text)), 0) <= 2 * $2::int8 AS fits
        FROM ended LEFT JOIN workflow_events ev ON ev.id = ended.returned_event_id
        WHERE ended.has_results
        GROUP BY ended.owner_id, ended.is_last)
    SELECT owners.id AS owner_id, owners.open_runs, owners.has_results, ended.id, ended.iteration,
        CASE WHEN row_number() OVER (PARTITION BY owners.id ORDER BY ended.iteration) = 1
             THEN x.configuration ELSE '{}' END AS configuration,
        ended.result, ended.is_taken, ended.returned_event_id IS NOT NULL AS has_returned, ev.data,
        ev.redactions, coalesce((
            SELECT j.stops FROM execution_joins j
            WHERE j.execution_id = owners.id AND j.event_id = ended.returned_event_id), false)
            AS is_condition_met,
        CASE WHEN ended.has_results AND ended.result <> 'passed' THEN (
            SELECT jsonb_build_object('reason', f.result_reason, 'node', n.name, 'message',
                CASE WHEN NOT f.metadata @> '{\"message_scrubbed\": true}' THEN f.result_message END)
            FROM workflow_node_executions f
            JOIN workflow_nodes n ON n.workflow_id = f.workflow_id AND n.node_id = f.node_id
            WHERE f.run_id = ended.id AND f.result IN ('failed', 'cancelled')
              AND NOT f.failure_routed AND f.redriven_event_id IS NULL
            ORDER BY f.result DESC, f.id LIMIT 1) END AS error
    FROM owners
    JOIN workflow_node_executions x ON x.id = owners.id
    LEFT JOIN ended ON ended.owner_id = owners.id
    LEFT JOIN sized ON sized.owner_id = owners.id
    LEFT JOIN LATERAL (
        SELECT ev.data, ev.redactions FROM workflow_events ev
        WHERE ev.id = ended.returned_event_id AND sized.fits) ev ON true
    ORDER BY owners.id, ended.iteration";

/// Notes that owners have taken the results of sub-runs.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn take_sub_runs(tx: &Tx, ids: &[RunId], now: Timestamp) -> Result<(), StoreError> {
    let take = "/* take_sub_runs */
        UPDATE workflow_runs SET taken_at = $2::timestamptz
        WHERE id = ANY($1::uuid[]) AND coalesce(state, '') = 'finished' AND taken_at IS NULL
        RETURNING id";
    let taken =
        tx.query_unless_empty(ids, take, [(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]).await?;
    if taken.len() == ids.len() { Ok(()) } else { Err(StoreError::Conflict("a sub-run was taken meanwhile")) }
}
