//! The stop of a run: nothing new of it starts, and its items and pending executions end, in
//! rounds.

use domain::actor::Actor;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use domain::limits::{RUN_EXECUTIONS_MAX, STOP_ROUND_ROWS_MAX, SUB_RUNS_AT_ONCE};
use domain::message::Message;
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::settle::settle_runs;
use crate::held_causes::{HeldWake, cause_stopped};
use crate::nodes::node_key;
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::column;
use crate::{Store, StoreError, Tx};

/// Writes the stop into a run's row, if the run is not finished. It has a transaction of its own,
/// which locks nothing else.
///
/// It waits for builders at work on the run: each locks the row before it reads whether the run was
/// stopped. [`end_stopped_run`] finds the rows that these builders write, and every later
/// transaction reads the stop.
///
/// # Errors
/// See [`StoreError`].
pub async fn stop_run(
    store: &Store,
    run_id: RunId,
    stop: RunStop,
    stopped_by: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    store.run_tx("stop_run", |tx| stop_in(tx, run_id, stop, stopped_by, now)).await.map(drop)
}

/// Stops the run within a transaction; says whether it is stopped by this.
pub(crate) async fn stop_in(
    tx: Tx,
    run_id: RunId,
    stop: RunStop,
    stopped_by: &Actor,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (stop, stopped_by) = (stop.as_str(), stopped_by.to_string());
    let (_, stopped) = futures_util::try_join!(
        tx.query_with(LOCK, [(&run_id, Type::UUID)]),
        tx.query_with(
            STOP,
            [
                (&run_id, Type::UUID),
                (&stop, Type::TEXT),
                (&stopped_by, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        ),
    )?;
    if !stopped.is_empty() {
        stop_below(&tx, &[run_id], now).await?;
    }
    Ok(!stopped.is_empty())
}

/// Stops the running sub-runs within these runs, which are stopped and locked, and returns them.
/// The builder that starts a sub-run holds the row of the run around it: once all rows are locked and
/// no other is found, no more begin.
pub(crate) async fn stop_below(
    tx: &Tx,
    run_ids: &[RunId],
    now: Timestamp,
) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let mut known: Vec<RunId> = Vec::new();
    loop {
        let locked = tx.query_with(LOCK_BELOW, [(&run_ids, Type::UUID_ARRAY)]).await?;
        let locked: Vec<RunId> = locked.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
        if locked.iter().all(|id| known.contains(id)) {
            break;
        }
        known = locked;
    }
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let stopped = tx
        .query_with(
            STOP_BELOW,
            [(&run_ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ), (&known, Type::UUID_ARRAY)],
        )
        .await?;
    stopped.iter().map(|row| Ok((column(row, "organization_id")?, column(row, "id")?))).collect()
}

/// Stops the sub-runs of an execution that ends before them, or the run that it called, and all that is
/// within them.
///
/// # Errors
/// See [`StoreError`].
pub async fn stop_sub_runs(
    store: &Store,
    owner_id: ExecutionId,
    stopped_by: &Actor,
    now: Timestamp,
) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let stopped_by = &stopped_by.to_string();
    store
        .run_tx("stop_sub_runs", |tx| async move {
            let owned: Vec<RunId> = tx
                .query_with(LOCK_OWNED, [(&owner_id, Type::UUID)])
                .await?
                .iter()
                .map(|row| column(row, "id"))
                .collect::<Result<_, _>>()?;
            let stopped = tx
                .query_with(
                    STOP_OWNED,
                    [(&owned, Type::UUID_ARRAY), (stopped_by, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
                )
                .await?;
            let mut all: Vec<(OrganizationId, RunId)> = stopped
                .iter()
                .map(|row| Ok((column(row, "organization_id")?, column(row, "id")?)))
                .collect::<Result<_, StoreError>>()?;
            all.extend(stop_below(&tx, &owned, now).await?);
            Ok(all)
        })
        .await
}

const LOCK_OWNED: &str = "/* stop_sub_runs: lock */
    SELECT r.id FROM workflow_runs r
    WHERE (r.parent_execution_id = $1::uuid OR r.caller_execution_id = $1::uuid)
      AND coalesce(r.state, '') = 'running' AND r.taken_at IS NULL
    ORDER BY r.id FOR UPDATE OF r";

const STOP_OWNED: &str = "/* stop_sub_runs */
    UPDATE workflow_runs r
    SET stop = 'owner', stopped_by = $2::text, updated_at = $3::timestamptz
    WHERE r.id = ANY($1::uuid[]) AND coalesce(r.state, '') = 'running' AND r.stop IS NULL
    RETURNING r.id, r.organization_id";

const LOCK_BELOW: &str = "/* stop_below: lock */
    WITH stopped AS MATERIALIZED (
        SELECT DISTINCT root_event_id FROM workflow_runs WHERE id = ANY($1::uuid[])),
    below AS MATERIALIZED (
        SELECT r.id FROM stopped CROSS JOIN LATERAL (
            SELECT r.id, r.path, r.state FROM workflow_runs r
            WHERE r.root_event_id = stopped.root_event_id AND r.parent_run_id IS NOT NULL
            OFFSET 0) r
        WHERE r.path && $1 AND r.id <> ALL($1) AND coalesce(r.state, '') = 'running')
    SELECT r.id FROM below JOIN workflow_runs r ON r.id = below.id
    ORDER BY r.id FOR UPDATE OF r";

/// A sub-run is stopped by whoever stopped the run around it.
const STOP_BELOW: &str = "/* stop_below */
    WITH stopped AS MATERIALIZED (
        SELECT min(stopped_by) AS stopped_by FROM workflow_runs WHERE id = ANY($1::uuid[]))
    UPDATE workflow_runs r
    SET stop = 'owner', stopped_by = coalesce(stopped.stopped_by, 'function:builder'),
        updated_at = $2::timestamptz
    FROM stopped
    WHERE r.id = ANY($3::uuid[]) AND coalesce(r.state, '') = 'running' AND r.stop IS NULL
    RETURNING r.id, r.organization_id";

/// The stopped runs within a run that still run.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn find_stopped_below(
    store: &Store,
    run_id: RunId,
) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let rows = store
        .query(
            "/* find_stopped_below */
             SELECT organization_id, id FROM workflow_runs
             WHERE root_event_id = $1::uuid AND parent_run_id IS NOT NULL
               AND coalesce(state, '') = 'running' AND stop IS NOT NULL
             ORDER BY id LIMIT $2::int8",
            &[(&run_id, Type::UUID), (&STOP_ROUND_ROWS_MAX, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "organization_id")?, column(row, "id")?))).collect()
}

pub(crate) const LOCK: &str =
    "/* stop_run: lock */ SELECT id FROM workflow_runs WHERE id = $1::uuid FOR UPDATE";

/// The time-out is compared with the statement's own time: a redrive may have moved it meanwhile,
/// and it may have come during the wait for the lock.
pub(crate) const STOP: &str = "/* stop_run */
    UPDATE workflow_runs SET stop = $2::text, stopped_by = $3::text, updated_at = $4::timestamptz
    WHERE id = $1::uuid AND coalesce(state, '') = 'running' AND stop IS NULL
      AND ($2 <> 'timeout' OR due_at <= statement_timestamp())
    RETURNING id";

/// Ends the open work of a stopped run, round by round, until a round finds no more. Waiting items
/// and pending executions end at once. Started executions become `cancelling`, and end by
/// themselves. Held executions get a cause, and end by their wakes. `next_id` makes the ids of the
/// executions that waiting items become.
///
/// # Errors
/// See [`StoreError`]. The rounds before it stay, and the sweeper goes on.
pub async fn end_stopped_run(
    store: &Store,
    run_id: RunId,
    next_id: &(dyn Fn() -> ExecutionId + Sync),
    now: Timestamp,
) -> Result<StoppedRun, StoreError> {
    let mut stopped = end_rounds(store, run_id, next_id, now).await?;
    stopped.runs = find_stopped_below(store, run_id).await?;
    let inside: Vec<RunId> = stopped.runs.iter().take(SUB_RUNS_AT_ONCE).map(|(_, id)| *id).collect();
    for below in inside {
        let mut ended = end_rounds(store, below, next_id, now).await?;
        stopped.freed.append(&mut ended.freed);
        stopped.held.append(&mut ended.held);
    }
    Ok(stopped)
}

async fn end_rounds(
    store: &Store,
    run_id: RunId,
    next_id: &(dyn Fn() -> ExecutionId + Sync),
    now: Timestamp,
) -> Result<StoppedRun, StoreError> {
    let mut stopped = StoppedRun::default();
    for _ in 0..STOP_ROUNDS {
        let ids: Vec<ExecutionId> = (0..STOP_ROUND_ROWS_MAX).map(|_| next_id()).collect();
        let ids = &ids;
        let work = |tx| async move { end_round(&tx, run_id, ids, now).await };
        let mut round = match store.run_tx("end_stopped_run", work).await {
            Ok(round) => round,
            // The caller must still send the wakes of the rounds before.
            Err(error) if !stopped.is_empty() => {
                tracing::warn!(%error, %run_id, "a stop broke off; the sweeper goes on");
                return Ok(stopped);
            }
            Err(error) => return Err(error),
        };
        stopped.freed.append(&mut round.freed);
        stopped.held.append(&mut round.held);
        if !round.is_full {
            return Ok(stopped);
        }
    }
    tracing::warn!(%run_id, "a stopped run has more open than its rounds end; the sweeper goes on");
    Ok(stopped)
}

/// The wakes that the rounds of a stop leave to their caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoppedRun {
    /// Slots that are free now and that items wait for.
    pub freed: Vec<FreedSlot>,
    /// Held executions that are to end.
    pub held: Vec<HeldWake>,
    /// Stopped sub-runs that are to end.
    pub runs: Vec<(OrganizationId, RunId)>,
}

impl StoppedRun {
    fn is_empty(&self) -> bool {
        self.freed.is_empty() && self.held.is_empty()
    }

    /// The wakes, each with its organization.
    pub fn wakes(&self) -> impl Iterator<Item = (OrganizationId, Message)> {
        let run = |(organization_id, run_id): &(OrganizationId, RunId)| {
            (*organization_id, Message::Run { run_id: *run_id })
        };
        wakes_of(&self.freed, &self.held).chain(self.runs.iter().map(run))
    }
}

/// The wakes for slots that are free now and for held executions that are to end, each with its
/// organization.
pub(crate) fn wakes_of<'a>(
    freed: &'a [FreedSlot],
    held: &'a [HeldWake],
) -> impl Iterator<Item = (OrganizationId, Message)> + use<'a> {
    let freed = freed.iter().map(|slot| (slot.organization_id, slot.wake()));
    freed.chain(held.iter().map(|held| (held.organization_id, held.wake())))
}

/// Rounds of one call: enough for the open work of a run at its limit.
const STOP_ROUNDS: i64 = RUN_EXECUTIONS_MAX / STOP_ROUND_ROWS_MAX + 1;

/// The outcome of one round.
struct Round {
    /// Whether more work may be open.
    is_full: bool,
    freed: Vec<FreedSlot>,
    held: Vec<HeldWake>,
}

async fn end_round(tx: &Tx, run_id: RunId, ids: &[ExecutionId], now: Timestamp) -> Result<Round, StoreError> {
    let (_, locked, _, items, held) = futures_util::try_join!(
        tx.query_with(LOCK_NODES, [(&run_id, Type::UUID), (&STOP_ROUND_ROWS_MAX, Type::INT8)]),
        tx.query_with(LOCK_EXECUTIONS, [(&run_id, Type::UUID), (&STOP_ROUND_ROWS_MAX, Type::INT8)]),
        tx.query_with(END_EXECUTIONS, [(&now, Type::TIMESTAMPTZ)]),
        tx.query_with(
            END_ITEMS,
            [(&run_id, Type::UUID), (&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)]
        ),
        cause_stopped(tx, run_id, STOP_ROUND_ROWS_MAX),
    )?;
    let ended: Vec<ExecutionId> = locked.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    let stopped = vec![run_id].into();
    let (freed, settled) = futures_util::try_join!(
        tx.query_unless_empty(&ended, FIND_FREED, [(&ended, Type::UUID_ARRAY)]),
        settle_runs(tx, &stopped, now),
    )?;
    let mut freed: Vec<FreedSlot> = freed.iter().map(freed_slot).collect::<Result<_, _>>()?;
    for row in &items {
        // The wake for a free slot of a concurrency key names the event of the first item, which
        // may have ended here. So the node of such an item gets a wake as a whole.
        if column(row, "is_keyed")? {
            let slot = FreedSlot {
                node: node_key(row)?,
                organization_id: column(row, "organization_id")?,
                event_id: None,
            };
            if !freed.contains(&slot) {
                freed.push(slot);
            }
        }
    }
    let is_full = ended.len().max(items.len()).max(held.len()) >= ids.len();
    let held = held.into_iter().chain(settled.held()).collect();
    Ok(Round { is_full, freed, held })
}

const LOCK_NODES: &str = "/* end_stopped_run: lock nodes */
    WITH node AS MATERIALIZED (
        SELECT n.workflow_id, n.node_id FROM workflow_nodes n
        WHERE n.concurrency_max IS NOT NULL AND (n.workflow_id, n.node_id) IN (
            SELECT x.workflow_id, x.node_id FROM (
                SELECT x.workflow_id, x.node_id FROM workflow_node_executions x
                JOIN workflow_runs run ON run.id = x.run_id AND run.stop IS NOT NULL
                WHERE x.run_id = $1::uuid AND x.state <> 'finished'
                  AND coalesce(x.state, '') IN ('pending', 'started')
                ORDER BY x.id LIMIT $2::int8) x)
        ORDER BY n.workflow_id, n.node_id FOR NO KEY UPDATE OF n)
    SELECT set_config('sealflow.stopping_nodes', coalesce(string_agg(node_id, ','), ''), true)
    FROM node";

/// Locks open executions, and leaves their ids in a setting of the transaction. A pending execution
/// frees a slot when it ends, so it is locked only where its node is locked or has no limit.
const LOCK_EXECUTIONS: &str = "/* end_stopped_run: lock executions */
    WITH open AS MATERIALIZED (
        SELECT x.id FROM workflow_node_executions x
        JOIN workflow_runs run ON run.id = x.run_id AND run.stop IS NOT NULL
        JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
        WHERE x.run_id = $1::uuid AND x.state <> 'finished'
          AND (coalesce(x.state, '') = 'started'
            OR coalesce(x.state, '') = 'pending'
              AND (n.concurrency_max IS NULL
                OR n.node_id = ANY(string_to_array(
                    current_setting('sealflow.stopping_nodes', true), ','))))
        ORDER BY x.id LIMIT $2::int8),
    locked AS MATERIALIZED (
        SELECT x.id FROM open JOIN workflow_node_executions x ON x.id = open.id
        ORDER BY x.id FOR NO KEY UPDATE OF x)
    SELECT id,
        set_config('sealflow.stopping',
            (SELECT coalesce(string_agg(id::text, ','), '') FROM locked), true)
    FROM locked";

const END_EXECUTIONS: &str = "/* end_stopped_run: executions */
    UPDATE workflow_node_executions x SET
        state = CASE x.state WHEN 'pending' THEN 'finished' ELSE 'cancelling' END,
        result = CASE x.state WHEN 'pending' THEN
            CASE run.stop WHEN 'run_limit' THEN 'failed' ELSE 'cancelled' END END,
        result_reason = CASE x.state WHEN 'pending' THEN
            CASE run.stop WHEN 'run_limit' THEN 'run_limit' ELSE 'cancelled' END END,
        result_message = CASE x.state WHEN 'pending' THEN
            CASE run.stop
                WHEN 'run_limit' THEN 'the run is past its limit'
                WHEN 'timeout' THEN
                    'the run took longer than its time-out, before this execution started'
                ELSE 'the run was cancelled before this execution started' END END,
        finished_at = CASE x.state WHEN 'pending' THEN $1::timestamptz END,
        cancelled_by = coalesce(x.cancelled_by, run.stopped_by), updated_at = $1
    FROM workflow_runs run
    WHERE x.id = ANY(string_to_array(
        nullif(current_setting('sealflow.stopping', true), ''), ',')::uuid[])
      AND run.id = x.run_id AND x.state IN ('pending', 'started')
    RETURNING x.id";

/// An item that another transaction holds is left to that transaction, which reads the stop.
const END_ITEMS: &str = "/* end_stopped_run: items */
    WITH waiting AS MATERIALIZED (
        SELECT i.id FROM workflow_node_queue_items i
        WHERE i.run_id = $1::uuid
        ORDER BY uuid_send(i.id) LIMIT cardinality($2::uuid[]) FOR UPDATE SKIP LOCKED),
    numbered AS (
        SELECT waiting.id, row_number() OVER (ORDER BY waiting.id) AS nth FROM waiting
        JOIN workflow_runs run ON run.id = $1 AND run.stop IS NOT NULL),
    taken AS (
        DELETE FROM workflow_node_queue_items i USING numbered
        WHERE i.id = numbered.id
        RETURNING numbered.nth, i.workflow_id, i.node_id, i.root_event_id, i.run_id, i.event_id),
    ended AS (
        INSERT INTO workflow_node_executions
            (id, workflow_id, node_id, root_event_id, run_id, event_id, previous_execution_id,
             state, result, result_reason, result_message, component, configuration, cancelled_by,
             workflow_version, node_version, last_sent_at,
             created_at, updated_at, started_at, finished_at)
        SELECT ($2::uuid[])[taken.nth], taken.workflow_id, taken.node_id, taken.root_event_id,
            taken.run_id, taken.event_id, event.execution_id, 'finished',
            CASE run.stop WHEN 'run_limit' THEN 'failed' ELSE 'cancelled' END,
            CASE run.stop WHEN 'run_limit' THEN 'run_limit' ELSE 'cancelled' END,
            CASE run.stop
                WHEN 'run_limit' THEN 'the run is past its limit'
                WHEN 'timeout' THEN 'the run took longer than its time-out, while this event waited'
                ELSE 'the run was cancelled while this event waited' END,
            coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', ''), '{}', run.stopped_by,
            w.version, n.version,
            $3::timestamptz, $3, $3, $3, $3
        FROM taken
        JOIN workflow_runs run ON run.id = taken.run_id
        JOIN workflow_nodes n ON n.workflow_id = taken.workflow_id AND n.node_id = taken.node_id
        JOIN workflows w ON w.id = taken.workflow_id
        JOIN workflow_events event ON event.id = taken.event_id
        RETURNING workflow_id, node_id, run_id)
    SELECT ended.workflow_id, ended.node_id,
        n.concurrency_key IS NOT NULL AS is_keyed, run.organization_id
    FROM ended
    JOIN workflow_runs run ON run.id = ended.run_id
    JOIN workflow_nodes n ON n.workflow_id = ended.workflow_id AND n.node_id = ended.node_id";
