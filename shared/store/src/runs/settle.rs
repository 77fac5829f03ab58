//! The end of runs: a transaction that ends work of a run, and adds none to it, settles the run.

use domain::actor::Actor;
use domain::execution::ExecutionResult;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use domain::message::Message;
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::types::{column, word};
use crate::{StoreError, Tx};

/// A run that ended in this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledRun {
    /// `workflow_runs.id`
    pub id: RunId,
    /// `workflow_runs.result`
    pub result: ExecutionResult,
    /// The organization, where triggers of the type `on_error` are to be told that it failed.
    pub told: Option<OrganizationId>,
}

impl SettledRun {
    /// The message by which a builder tells of the failed run.
    #[must_use]
    pub fn wake(&self) -> Option<(OrganizationId, Message)> {
        self.told.map(|organization_id| (organization_id, Message::Run { run_id: self.id }))
    }
}

/// Ends the runs without open work: without a queue item and an unfinished execution.
///
/// It comes last in a transaction: the runs are locked in one ordered statement, after nodes,
/// executions and items. Two transactions that end the last two pieces of work of a run follow each
/// other, and the second finds nothing open. So a run never stays `running` without open work, nor
/// ends with open work.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn settle_runs(
    tx: &Tx,
    run_ids: &[RunId],
    now: Timestamp,
) -> Result<Vec<SettledRun>, StoreError> {
    if run_ids.is_empty() {
        return Ok(Vec::new());
    }
    let (_, rows) = futures_util::try_join!(
        tx.query_with(LOCK_ENDED_RUNS, [(&run_ids, Type::UUID_ARRAY)]),
        tx.query_with(SETTLE, [(&run_ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]),
    )?;
    rows.iter().map(settled_run).collect()
}

fn settled_run(row: &Row) -> Result<SettledRun, StoreError> {
    Ok(SettledRun { id: column(row, "id")?, result: word(row, "result")?, told: column(row, "told")? })
}

/// As [`settle_runs`], for the runs of executions that ended and handed nothing on. A run that goes
/// on is not locked.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn settle_runs_of(
    tx: &Tx,
    execution_ids: &[ExecutionId],
    now: Timestamp,
) -> Result<Vec<SettledRun>, StoreError> {
    if execution_ids.is_empty() {
        return Ok(Vec::new());
    }
    let none: Option<&[RunId]> = None;
    let (_, rows) = futures_util::try_join!(
        tx.query_with(LOCK_RUNS_OF, [(&execution_ids, Type::UUID_ARRAY)]),
        tx.query_with(SETTLE, [(&none, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]),
    )?;
    rows.iter().map(settled_run).collect()
}

/// Stops the running ones of `stopped`, which are returned first, and settles `stopped` and `ended`, all locked in one
/// statement.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn stop_and_settle_runs(
    tx: &Tx,
    stopped: &[RunId],
    stop: RunStop,
    stopped_by: &Actor,
    ended: &[RunId],
    now: Timestamp,
) -> Result<(Vec<RunId>, Vec<SettledRun>), StoreError> {
    let run_ids: Vec<RunId> = stopped.iter().chain(ended).copied().collect();
    let stopped_by = stopped_by.to_string();
    let stop = stop.as_str();
    let (_, newly_stopped, settled) = futures_util::try_join!(
        tx.query_with(LOCK_ENDED_RUNS, [(&run_ids, Type::UUID_ARRAY)]),
        tx.query_with(
            STOP,
            [
                (&stopped, Type::UUID_ARRAY),
                (&stop, Type::TEXT),
                (&stopped_by, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        ),
        tx.query_with(SETTLE, [(&run_ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]),
    )?;
    let newly_stopped = newly_stopped.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    Ok((newly_stopped, settled.iter().map(settled_run).collect::<Result<_, _>>()?))
}

/// The wait for a run's row is short: the transaction holds nodes that others wait for.
pub(crate) const LOCK_ENDED_RUNS: &str = "/* lock_ended_runs */
    WITH ended AS MATERIALIZED (
        SELECT id, set_config('lock_timeout', '300ms', true) FROM workflow_runs
        WHERE id = ANY($1::uuid[]))
    SELECT r.id FROM ended JOIN workflow_runs r ON r.id = ended.id
    ORDER BY r.id FOR NO KEY UPDATE OF r";

/// Puts the runs' ids into a setting of the transaction, where [`SETTLE`] finds them. An execution
/// that handed something on has an item of its own event, which no other transaction sees before
/// the commit.
const LOCK_RUNS_OF: &str = "/* lock_runs_of_ended */
    WITH ended AS MATERIALIZED (
        SELECT DISTINCT x.run_id, set_config('lock_timeout', '300ms', true)
        FROM workflow_node_executions x
        WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'finished'
          AND NOT EXISTS (
              SELECT FROM workflow_events v
              JOIN workflow_node_queue_items i ON i.event_id = v.id
              WHERE v.execution_id = x.id)),
    locked AS (
        SELECT r.id FROM ended JOIN workflow_runs r ON r.id = ended.run_id
        ORDER BY r.id FOR NO KEY UPDATE OF r)
    SELECT set_config('sealflow.ended_runs', coalesce(string_agg(id::text, ','), ''), true)
    FROM locked";

const STOP: &str = "/* stop_runs */
    UPDATE workflow_runs SET stop = $2::text, stopped_by = $3::text, updated_at = $4::timestamptz
    WHERE id = ANY($1::uuid[]) AND stop IS NULL AND coalesce(state, '') = 'running'
    RETURNING id";

/// One statement counts items and executions, after the lock. A failure counts if no edge took it
/// and it was not redriven. This condition has a form that the index of dead letters does not have,
/// and each failure is looked up by itself: otherwise index and events would be walked over. Code
/// before V14 routes a failure without a mark in the execution.
const SETTLE: &str = "/* settle_runs */
    UPDATE workflow_runs r
    SET state = 'finished', finished_at = $2::timestamptz, updated_at = $2,
        result = CASE
            WHEN r.stop IN ('run_limit', 'timeout') THEN 'failed'
            WHEN r.stop IS NOT NULL THEN 'cancelled'
            WHEN (SELECT true FROM workflow_node_executions x
                  WHERE x.run_id = r.id AND x.result = 'failed'
                    AND coalesce(x.redriven_event_id, x.id) = x.id AND NOT x.failure_routed
                    AND (
                        SELECT true FROM workflow_events o
                        WHERE o.execution_id = x.id AND o.channel = 'failure'
                          AND cardinality(o.targets) > 0
                        LIMIT 1) IS NULL
                  LIMIT 1) IS NOT NULL THEN 'failed'
            WHEN (SELECT true FROM workflow_node_executions x
                  WHERE x.run_id = r.id AND x.result = 'cancelled'
                  LIMIT 1) IS NOT NULL THEN 'cancelled'
            ELSE 'passed' END
    WHERE r.id = ANY(coalesce($1::uuid[],
        string_to_array(current_setting('sealflow.ended_runs', true), ',')::uuid[]))
      AND coalesce(r.state, '') = 'running'
      AND (SELECT true FROM workflow_node_queue_items i WHERE i.run_id = r.id LIMIT 1) IS NULL
      AND (SELECT true FROM workflow_node_executions x
           WHERE x.run_id = r.id AND x.state <> 'finished'
           LIMIT 1) IS NULL
    RETURNING r.id, r.result,
        CASE WHEN r.result = 'failed' AND r.parent_run_id IS NULL
               AND has_error_handler(r.workflow_id, r.root_event_id)
             THEN r.organization_id END AS told";
