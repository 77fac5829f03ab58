//! The end of runs: a transaction that ends work of a run, and adds none to it, settles the run. It
//! tells the open joins behind the work too.

use domain::actor::Actor;
use domain::execution::ExecutionResult;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use domain::message::Message;
use domain::run::RunStop;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::held_causes::HeldWake;
use crate::types::{column, word};
use crate::{StoreError, Tx};

/// What follows from the end of work, for after the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The runs that ended.
    pub runs: Vec<SettledRun>,
    /// The joins that may decide now.
    pub joins: Vec<HeldWake>,
}

impl Settled {
    /// The held executions that may go on: joins, the owners of sub-runs and the callers of runs that
    /// ended.
    #[must_use]
    pub fn held(&self) -> Vec<HeldWake> {
        self.runs.iter().filter_map(|run| run.owner).chain(self.joins.iter().copied()).collect()
    }

    /// The messages, each with its organization.
    pub fn wakes(&self) -> impl Iterator<Item = (OrganizationId, Message)> + '_ {
        let joins = self.joins.iter().map(|join| (join.organization_id, join.wake()));
        self.runs.iter().flat_map(SettledRun::wakes).chain(joins)
    }

    fn of_rows(rows: &[Row]) -> Result<Self, StoreError> {
        let mut settled = Self::default();
        for row in rows {
            let execution_id: Option<ExecutionId> = column(row, "execution_id")?;
            match execution_id {
                Some(execution_id) => {
                    let organization_id = column(row, "organization_id")?;
                    settled.joins.push(HeldWake { execution_id, organization_id });
                }
                None => settled.runs.push(settled_run(row)?),
            }
        }
        Ok(settled)
    }
}

/// A join of a run that may decide, if it is open: work before it has ended, or an event has arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskedJoin {
    /// The run.
    pub run_id: RunId,
    /// The join's node.
    pub node_id: String,
}

/// The work that a transaction ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedWork {
    /// Runs in which it ended work and added none.
    pub runs: Vec<RunId>,
    /// Joins that may decide now.
    pub joins: Vec<AskedJoin>,
}

impl EndedWork {
    /// Adds what another part of the transaction ended.
    pub fn append(&mut self, other: &mut Self) {
        self.runs.append(&mut other.runs);
        self.joins.append(&mut other.joins);
    }

    /// The runs to lock.
    pub(crate) fn run_ids(&self) -> Vec<RunId> {
        self.runs.iter().copied().chain(self.joins.iter().map(|join| join.run_id)).collect()
    }

    /// The places of the joins, as the database reads them; empty without any.
    fn asked(&self) -> String {
        let places: Vec<Value> = self
            .joins
            .iter()
            .map(|join| json!({ "run_id": join.run_id.to_string(), "node_id": join.node_id }))
            .collect();
        if places.is_empty() { String::new() } else { Value::Array(places).to_string() }
    }
}

impl From<Vec<RunId>> for EndedWork {
    fn from(runs: Vec<RunId>) -> Self {
        Self { runs, joins: Vec::new() }
    }
}

/// A run that ended in this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledRun {
    /// `workflow_runs.id`
    pub id: RunId,
    /// `workflow_runs.result`
    pub result: ExecutionResult,
    /// The organization, where triggers of the type `on_error` are to be told that it failed.
    pub told: Option<OrganizationId>,
    /// The owner of a sub-run, or the caller of a called run: it takes the result.
    pub owner: Option<HeldWake>,
}

impl SettledRun {
    /// The messages by which a builder tells of the failed run, and by which its owner or caller goes
    /// on.
    pub fn wakes(&self) -> impl Iterator<Item = (OrganizationId, Message)> + use<> {
        let owner = self.owner.map(|owner| (owner.organization_id, owner.wake()));
        let run_id = self.id;
        let told = self.told.map(|organization_id| (organization_id, Message::Run { run_id }));
        owner.into_iter().chain(told)
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
pub(crate) async fn settle_runs(tx: &Tx, ended: &EndedWork, now: Timestamp) -> Result<Settled, StoreError> {
    let run_ids = ended.run_ids();
    if run_ids.is_empty() {
        return Ok(Settled::default());
    }
    let asked = ended.asked();
    let (_, rows) = futures_util::try_join!(
        tx.query_with(LOCK_ENDED_RUNS, [(&run_ids, Type::UUID_ARRAY)]),
        tx.query_with(
            SETTLE,
            [(&run_ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&asked, Type::TEXT)]
        ),
    )?;
    Settled::of_rows(&rows)
}

fn settled_run(row: &Row) -> Result<SettledRun, StoreError> {
    let owner: Option<ExecutionId> = column(row, "owner_id")?;
    let organization_id: Option<OrganizationId> = column(row, "owner_organization_id")?;
    let owner = owner.zip(organization_id);
    Ok(SettledRun {
        id: column(row, "id")?,
        result: word(row, "result")?,
        told: column(row, "told")?,
        owner: owner.map(|(execution_id, organization_id)| HeldWake { execution_id, organization_id }),
    })
}

/// As [`settle_runs`], for the runs of executions that ended and handed nothing on, or nothing
/// towards a join. A run that goes on is not locked.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn settle_runs_of(
    tx: &Tx,
    execution_ids: &[ExecutionId],
    now: Timestamp,
) -> Result<Settled, StoreError> {
    if execution_ids.is_empty() {
        return Ok(Settled::default());
    }
    let (no_runs, nothing_asked): (Option<&[RunId]>, Option<&str>) = (None, None);
    let (_, rows) = futures_util::try_join!(
        tx.query_with(LOCK_RUNS_OF, [(&execution_ids, Type::UUID_ARRAY)]),
        tx.query_with(
            SETTLE,
            [(&no_runs, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&nothing_asked, Type::TEXT)]
        ),
    )?;
    Settled::of_rows(&rows)
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
    ended: &EndedWork,
    now: Timestamp,
) -> Result<(Vec<RunId>, Settled), StoreError> {
    let run_ids: Vec<RunId> = stopped.iter().copied().chain(ended.run_ids()).collect();
    let (stopped_by, asked) = (stopped_by.to_string(), ended.asked());
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
        tx.query_with(
            SETTLE,
            [(&run_ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&asked, Type::TEXT)]
        ),
    )?;
    let newly_stopped = newly_stopped.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    Ok((newly_stopped, Settled::of_rows(&settled)?))
}

/// The wait for a run's row is short: the transaction holds nodes that others wait for.
pub(crate) const LOCK_ENDED_RUNS: &str = "/* lock_ended_runs */
    WITH ended AS MATERIALIZED (
        SELECT id, set_config('lock_timeout', '300ms', true) FROM workflow_runs
        WHERE id = ANY($1::uuid[]))
    SELECT r.id FROM ended JOIN workflow_runs r ON r.id = ended.id
    ORDER BY r.id FOR NO KEY UPDATE OF r";

/// Puts the runs' ids, and the places of joins that may decide, into settings of the transaction,
/// where [`SETTLE`] finds them. An execution that handed something on has an item of its own event,
/// which no other transaction sees before the commit. A join is told unless one of these items waits
/// at it, or at a node from which it is reached.
const LOCK_RUNS_OF: &str = "/* lock_runs_of_ended */
    WITH own AS MATERIALIZED (
        SELECT x.id, x.run_id, coalesce(n.merges, '{}') AS merges,
            NOT EXISTS (
                SELECT FROM workflow_events v
                JOIN workflow_node_queue_items i ON i.event_id = v.id
                WHERE v.execution_id = x.id) AS is_leaf
        FROM workflow_node_executions x
        LEFT JOIN LATERAL (
            SELECT n.merges FROM workflow_nodes n
            WHERE n.workflow_id = x.workflow_id AND n.node_id = x.node_id OFFSET 0) n ON true
        WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'finished'),
    asked AS MATERIALIZED (
        SELECT DISTINCT own.run_id, m.node_id
        FROM own CROSS JOIN LATERAL unnest(own.merges) AS m (node_id)
        WHERE own.is_leaf OR NOT EXISTS (
            SELECT FROM workflow_events v
            JOIN workflow_node_queue_items i ON i.event_id = v.id
            CROSS JOIN LATERAL (
                SELECT n.merges FROM workflow_nodes n
                WHERE n.workflow_id = i.workflow_id AND n.node_id = i.node_id OFFSET 0) n
            WHERE v.execution_id = own.id AND m.node_id = ANY(n.merges))),
    ended AS MATERIALIZED (
        SELECT run_id, set_config('lock_timeout', '300ms', true) FROM (
            SELECT run_id FROM own WHERE is_leaf UNION SELECT run_id FROM asked) runs),
    locked AS (
        SELECT r.id FROM ended JOIN workflow_runs r ON r.id = ended.run_id
        ORDER BY r.id FOR NO KEY UPDATE OF r)
    SELECT set_config('sealflow.ended_runs', coalesce(string_agg(id::text, ','), ''), true),
        set_config('sealflow.asked_joins', coalesce((
            SELECT jsonb_agg(jsonb_build_object('run_id', run_id, 'node_id', node_id))::text
            FROM asked), ''), true)
    FROM locked";

const STOP: &str = "/* stop_runs */
    UPDATE workflow_runs SET stop = $2::text, stopped_by = $3::text, updated_at = $4::timestamptz
    WHERE id = ANY($1::uuid[]) AND stop IS NULL AND coalesce(state, '') = 'running'
    RETURNING id";

/// One statement counts items and executions, after the lock. A failure counts if no edge took it
/// and it was not redriven, nor followed by another join of its node. This condition has a form that the index of dead letters does not have,
/// and each failure is looked up by itself: otherwise index and events would be walked over. Code
/// before V14 routes a failure without a mark in the execution.
const SETTLE: &str = "/* settle_runs */
    WITH place AS MATERIALIZED (
        SELECT coalesce($3::text, current_setting('sealflow.asked_joins', true), '') AS asked),
    joins AS MATERIALIZED (
        SELECT asked.execution_id, asked.organization_id
        FROM place CROSS JOIN LATERAL cause_joins(place.asked) asked
        WHERE place.asked <> ''),
    ended AS (
        UPDATE workflow_runs r
        SET state = 'finished', finished_at = $2::timestamptz, updated_at = $2,
            result = CASE
                WHEN r.stop IN ('run_limit', 'timeout') THEN 'failed'
                WHEN r.stop IS NOT NULL THEN 'cancelled'
                WHEN (SELECT true FROM workflow_node_executions x
                      WHERE x.run_id = r.id AND x.result = 'failed'
                        AND coalesce(x.redriven_event_id, x.id) = x.id AND NOT x.failure_routed
                        AND NOT (x.component = 'merge' AND EXISTS (
                            SELECT FROM execution_joins own
                            JOIN execution_joins j
                              ON j.run_id = own.run_id AND j.node_id = own.node_id
                                AND j.execution_id > own.execution_id
                            WHERE own.execution_id = x.id))
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
                 THEN r.organization_id END AS told,
            CASE WHEN r.taken_at IS NULL
                 THEN coalesce(r.parent_execution_id, r.caller_execution_id) END AS owner_id,
            CASE WHEN r.parent_run_id IS NOT NULL OR r.caller_execution_id IS NOT NULL
                 THEN r.organization_id END AS owner_organization_id)
    SELECT id, result, told, owner_id, owner_organization_id, NULL::uuid AS execution_id,
        NULL::uuid AS organization_id
    FROM ended
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, execution_id, organization_id FROM joins";
