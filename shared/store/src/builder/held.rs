use std::collections::HashSet;

use domain::execution::{ExecutionResult, ResultReason};
use domain::held::{Call, WakeCause, WakeTime};
use domain::ids::{CallId, CauseId, EventId, ExecutionId, OrganizationId, RunId, WorkflowId};
use domain::run::RunStop;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use super::calls::read_called;
use super::claim::{StoredDefinition, load_definitions};
use super::joins::{WokenJoin, read_arrived, read_joins};
use super::quarantine::QUARANTINE_SECONDS;
use super::sub_runs::{OwnerNames, WokenOwner, read_owned, take_sub_runs};
use super::write::{WriteBatch, WrittenBatch, error_event, write_batch};
use crate::locks::{LOCK_FREE_EXECUTIONS, LOCK_FREE_NODES};
use crate::nodes::{NodeKey, node_key};
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::collect;
use crate::types::{column, word, word_if_any};
use crate::{JsonText, StoreError, Tx};

/// A held execution under the lock of a wake, with everything that may be due of it.
#[derive(Clone, Debug)]
pub struct WokenExecution {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The node.
    pub node: NodeKey,
    /// The run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The component that it was opened with.
    pub component: String,
    /// The facts that it keeps.
    pub held: Value,
    /// Wakes in a row that crashed their worker.
    pub crashes: i32,
    /// Whether its node has a limit.
    pub is_limited: bool,
    /// Whether the time of its wake has come.
    pub is_time: bool,
    /// Milliseconds until the time of its wake; None: it has none.
    pub millis_left: Option<i64>,
    /// `workflow_runs.stop`
    pub stop: Option<RunStop>,
    /// The actor that stopped the run.
    pub stopped_by: Option<String>,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Whether the organization was deleted.
    pub is_organization_deleted: bool,
    /// Whether the node that it was opened at is gone: removed, deleted with its workflow, or in a
    /// later generation.
    pub is_node_removed: bool,
    /// `workflows.version`, now.
    pub workflow_version: i64,
    /// Events from the root down to the event that it works on.
    pub depth: i32,
    /// The data of that event.
    pub data: JsonText,
    /// Places of the data that were blanked.
    pub redactions: Option<JsonText>,
    /// Causes that no wake has handled.
    pub causes: Vec<StoredCause>,
    /// Calls that no wake has handled, in the order in which they were made.
    pub calls: Vec<StoredCall>,
    /// What has arrived, of a join.
    pub join: Option<WokenJoin>,
    /// The sub-runs, of an owner.
    pub owner: Option<WokenOwner>,
}

/// A row of `workflow_execution_wakes`.
#[derive(Clone, Debug)]
pub struct StoredCause {
    /// `id`
    pub id: CauseId,
    /// The cause.
    pub cause: WakeCause,
    /// The actor behind it.
    pub caused_by: Option<String>,
}

/// A row of `workflow_execution_calls`.
#[derive(Clone, Debug)]
pub struct StoredCall {
    /// `id`
    pub id: CallId,
    /// The call.
    pub call: Call,
    /// The actor that made it.
    pub called_by: String,
    /// The time at which it was made.
    pub called_at: Timestamp,
    /// The caller's words with it; null: none.
    pub data: Value,
}

/// The result of a look at held executions.
#[derive(Clone, Debug, Default)]
pub struct FoundWoken {
    /// Held executions whose lock this transaction has.
    pub executions: Vec<WokenExecution>,
    /// Held executions that another transaction holds, or whose node or run it holds.
    pub locked: Vec<(ExecutionId, OrganizationId)>,
}

/// Locks the nodes, rows and runs of held executions, in this order, and then reads what is due of
/// them. It waits for no lock: executions that another transaction holds are returned in `locked`.
/// Sub-runs are read of executions of the components in `owners`.
///
/// # Errors
/// See [`StoreError`].
pub async fn lock_woken(tx: &Tx, ids: &[ExecutionId], owners: &OwnerNames) -> Result<FoundWoken, StoreError> {
    let (_, _, runs, rows, causes, calls, joins, arrived, owned, called) = futures_util::try_join!(
        tx.query_with(LOCK_FREE_NODES, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_FREE_EXECUTIONS, [(&ids, Type::UUID_ARRAY), (&ids, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_RUNS_OF_WOKEN, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(READ, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(READ_CAUSES, [(&ids, Type::UUID_ARRAY)]),
        tx.query_with(READ_CALLS, [(&ids, Type::UUID_ARRAY)]),
        read_joins(tx, ids),
        read_arrived(tx, ids),
        read_owned(tx, ids, owners),
        read_called(tx, ids, &owners.called),
    )?;
    // A join that is woken decides by what its run has open, so all runs of its batch are locked as
    // for their end.
    let is_locked = |row: &Row| Ok(joins.is_empty() || column(row, "is_locked_whole")?);
    let runs: HashSet<RunId> = runs
        .iter()
        .filter_map(|row| match is_locked(row) {
            Ok(true) => Some(column(row, "id")),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()?;
    let mut found = FoundWoken::default();
    for row in &rows {
        if column(row, "is_locked")? && runs.contains(&column(row, "run_id")?) {
            found.executions.push(woken_execution(row)?);
        } else {
            found.locked.push((column(row, "id")?, column(row, "organization_id")?));
        }
    }
    for row in &causes {
        if let Some(execution) = of_row(&mut found.executions, row)? {
            let cause = StoredCause {
                id: column(row, "id")?,
                cause: word(row, "cause")?,
                caused_by: column(row, "caused_by")?,
            };
            execution.causes.push(cause);
        }
    }
    for (id, is_open) in joins {
        if let Some(execution) = found.executions.iter_mut().find(|execution| execution.id == id) {
            execution.join = Some(WokenJoin { is_open, ..WokenJoin::default() });
        }
    }
    for (id, owner) in owned.into_iter().chain(called) {
        if let Some(execution) = found.executions.iter_mut().find(|execution| execution.id == id) {
            execution.owner = Some(owner);
        }
    }
    for (id, arrived) in arrived {
        let execution = found.executions.iter_mut().find(|execution| execution.id == id);
        if let Some(join) = execution.and_then(|execution| execution.join.as_mut()) {
            join.arrived.push(arrived);
        }
    }
    for row in &calls {
        if let Some(execution) = of_row(&mut found.executions, row)? {
            let call = StoredCall {
                id: column(row, "id")?,
                call: word(row, "call")?,
                called_by: column(row, "called_by")?,
                called_at: column(row, "created_at")?,
                data: column(row, "data")?,
            };
            execution.calls.push(call);
        }
    }
    Ok(found)
}

fn of_row<'e>(
    executions: &'e mut [WokenExecution],
    row: &Row,
) -> Result<Option<&'e mut WokenExecution>, StoreError> {
    let id: ExecutionId = column(row, "execution_id")?;
    Ok(executions.iter_mut().find(|execution| execution.id == id))
}

/// Locks the runs as a batch of the builder does. A stop waits for this lock and then finds the
/// rows that are written here, or this transaction reads the stop. A run that is being stopped is
/// left out. If a join is among the executions, the runs are locked as for their end too, before
/// anything is read: whoever ends work before a join does it under this lock.
const LOCK_RUNS_OF_WOKEN: &str = "/* lock_runs_of_woken */
    WITH own AS MATERIALIZED (
        SELECT DISTINCT run_id FROM workflow_node_executions WHERE id = ANY($1::uuid[])),
    whole AS MATERIALIZED (
        SELECT r.id FROM own JOIN workflow_runs r ON r.id = own.run_id
        WHERE (SELECT true FROM workflow_node_executions
               WHERE id = ANY($1::uuid[]) AND component = 'merge' LIMIT 1) IS NOT NULL
        ORDER BY uuid_send(r.id) FOR NO KEY UPDATE OF r SKIP LOCKED),
    shared AS MATERIALIZED (
        SELECT r.id FROM own JOIN workflow_runs r ON r.id = own.run_id
        ORDER BY uuid_send(r.id) FOR KEY SHARE OF r SKIP LOCKED)
    SELECT shared.id, shared.id IN (SELECT whole.id FROM whole) AS is_locked_whole FROM shared";

/// This statement comes after the locks. A timer is due by the statement's own time, for it may
/// have come since the transaction began.
const READ: &str = "/* read_woken */
    SELECT x.id, x.workflow_id, x.node_id, x.run_id, x.root_event_id, x.component,
        x.held AS kept, x.crashes,
        x.id = ANY(string_to_array(current_setting('sealflow.locked'), ',')::uuid[]) AS is_locked,
        n.concurrency_max IS NOT NULL AS is_limited,
        coalesce(x.wake_at <= statement_timestamp(), false) AS is_time,
        ceil(extract(epoch FROM x.wake_at - statement_timestamp()) * 1000)::int8 AS millis_left,
        run.stop, run.stopped_by, o.id AS organization_id,
        o.deleted_at IS NOT NULL AS is_organization_deleted,
        n.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL
            OR coalesce(x.node_generation, n.generation) <> n.generation AS is_node_removed,
        w.version AS workflow_version, ev.depth, ev.data, ev.redactions
    FROM workflow_node_executions x
    JOIN workflow_runs run ON run.id = x.run_id
    JOIN workflows w ON w.id = x.workflow_id
    JOIN organizations o ON o.id = w.organization_id
    CROSS JOIN LATERAL (
        SELECT n.concurrency_max, n.deleted_at, n.generation FROM workflow_nodes n
        WHERE n.workflow_id = x.workflow_id AND n.node_id = x.node_id OFFSET 0) n
    JOIN workflow_events ev ON ev.id = x.event_id
    WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'held'
    ORDER BY uuid_send(x.id)";

const READ_CAUSES: &str = "/* read_causes */
    SELECT c.id, c.execution_id, c.cause, c.caused_by
    FROM workflow_node_executions x
    CROSS JOIN LATERAL (
        SELECT c.* FROM workflow_execution_wakes c
        WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id OFFSET 0) c
    WHERE x.id = ANY($1::uuid[]) AND coalesce(c.handled_at, 'infinity') = 'infinity'
    ORDER BY c.created_at, uuid_send(c.id)";

const READ_CALLS: &str = "/* read_calls */
    SELECT c.id, c.execution_id, c.call, c.called_by, c.created_at, coalesce(c.data, 'null') AS data
    FROM workflow_node_executions x
    CROSS JOIN LATERAL (
        SELECT c.* FROM workflow_execution_calls c
        WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id OFFSET 0) c
    WHERE x.id = ANY($1::uuid[]) AND coalesce(c.handled_at, 'infinity') = 'infinity'
    ORDER BY c.created_at, uuid_send(c.id)";

fn woken_execution(row: &Row) -> Result<WokenExecution, StoreError> {
    Ok(WokenExecution {
        id: column(row, "id")?,
        node: node_key(row)?,
        run_id: column(row, "run_id")?,
        root_event_id: column(row, "root_event_id")?,
        component: column(row, "component")?,
        held: column(row, "kept")?,
        crashes: column(row, "crashes")?,
        is_limited: column(row, "is_limited")?,
        is_time: column(row, "is_time")?,
        millis_left: column(row, "millis_left")?,
        stop: word_if_any(row, "stop")?,
        stopped_by: column(row, "stopped_by")?,
        organization_id: column(row, "organization_id")?,
        is_organization_deleted: column(row, "is_organization_deleted")?,
        is_node_removed: column(row, "is_node_removed")?,
        workflow_version: column(row, "workflow_version")?,
        depth: column(row, "depth")?,
        data: column(row, "data")?,
        redactions: column(row, "redactions")?,
        causes: Vec::new(),
        calls: Vec::new(),
        join: None,
        owner: None,
    })
}

/// Loads the definitions of `definitions_of` and the full nodes of `workflow_ids`, by which the
/// outputs of woken executions are routed.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_routes(
    tx: &Tx,
    workflow_ids: &[WorkflowId],
    definitions_of: &[WorkflowId],
) -> Result<(Vec<StoredDefinition>, Vec<NodeKey>), StoreError> {
    let (definitions, full) = futures_util::try_join!(
        load_definitions(tx, definitions_of),
        tx.query_with(super::load::FIND_FULL, [(&workflow_ids, Type::UUID_ARRAY)]),
    )?;
    Ok((definitions, full.iter().map(node_key).collect::<Result<_, _>>()?))
}

/// The result of a wake for one execution.
#[derive(Clone, Debug)]
pub struct RecordedWake {
    /// `workflow_node_executions.id`
    pub execution_id: ExecutionId,
    /// Its result; None: it is still open.
    pub result: Option<ExecutionResult>,
    /// The reason where it did not pass.
    pub reason: Option<ResultReason>,
    /// A sentence for the author.
    pub message: Option<String>,
    /// Facts that are put into `metadata`.
    pub facts: Value,
    /// The facts that it keeps, if it is still open.
    pub held: Option<Value>,
    /// The time of its next wake.
    pub wake: Option<WakeTime>,
    /// The actor that ended it.
    pub cancelled_by: Option<String>,
    /// Whether its end frees a slot of its node.
    pub frees_slot: bool,
    /// Whether it failed, and an edge took the event by which it says so.
    pub is_failure_routed: bool,
    /// The causes that were read.
    pub cause_ids: Vec<CauseId>,
    /// The calls that were read.
    pub call_ids: Vec<CallId>,
    /// The sub-runs whose results were taken.
    pub taken: Vec<RunId>,
}

/// Records wakes and the rows that follow from them, in one round trip. Returns the events of
/// errors that edges take, and the slots that are free now.
///
/// # Errors
/// As [`write_batch`].
pub async fn record_wakes(
    tx: &Tx,
    wakes: &[RecordedWake],
    rows: &WriteBatch,
    now: Timestamp,
) -> Result<(WrittenBatch, Vec<FreedSlot>), StoreError> {
    let freeing: Vec<ExecutionId> =
        wakes.iter().filter(|wake| wake.frees_slot).map(|wake| wake.execution_id).collect();
    let taken: Vec<RunId> = wakes.iter().flat_map(|wake| wake.taken.iter().copied()).collect();
    let (recorded, (), mut written, freed) = futures_util::try_join!(
        record(tx, wakes, now),
        take_sub_runs(tx, &taken, now),
        write_batch(tx, rows, now),
        tx.query_unless_empty(&freeing, FIND_FREED, [(&freeing, Type::UUID_ARRAY)]),
    )?;
    if recorded.len() != wakes.len() {
        return Err(StoreError::Conflict("not every wake was recorded"));
    }
    for row in &recorded {
        written.errors.extend(error_event(row)?);
    }
    Ok((written, freed.iter().map(freed_slot).collect::<Result<_, _>>()?))
}

async fn record(tx: &Tx, wakes: &[RecordedWake], now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let cause_ids: Vec<CauseId> = wakes.iter().flat_map(|wake| wake.cause_ids.iter().copied()).collect();
    let call_ids: Vec<CallId> = wakes.iter().flat_map(|wake| wake.call_ids.iter().copied()).collect();
    tx.query(
        RECORD,
        &[
            (&collect(wakes, |wake| wake.execution_id), Type::UUID_ARRAY),
            (&collect(wakes, |wake| wake.result.map(ExecutionResult::as_str)), Type::TEXT_ARRAY),
            (&collect(wakes, |wake| wake.reason.map(ResultReason::as_str)), Type::TEXT_ARRAY),
            (&collect(wakes, |wake| wake.message.as_deref()), Type::TEXT_ARRAY),
            (&collect(wakes, |wake| Json(&wake.facts)), Type::JSONB_ARRAY),
            (&collect(wakes, |wake| wake.held.as_ref().map(Json)), Type::JSONB_ARRAY),
            (&collect(wakes, |wake| wake.wake.and_then(WakeTime::at)), Type::TIMESTAMPTZ_ARRAY),
            (&collect(wakes, |wake| wake.wake.and_then(WakeTime::after_seconds)), Type::FLOAT8_ARRAY),
            (&collect(wakes, |wake| wake.cancelled_by.as_deref()), Type::TEXT_ARRAY),
            (&now, Type::TIMESTAMPTZ),
            (&cause_ids, Type::UUID_ARRAY),
            (&call_ids, Type::UUID_ARRAY),
            (&collect(wakes, |wake| wake.is_failure_routed), Type::BOOL_ARRAY),
        ],
    )
    .await
}

/// Marks exactly the causes and calls that were read, by their ids: a later one is left to the next
/// wake.
const RECORD: &str = "/* record_wakes */
    WITH outcome AS (
        SELECT *
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[],
                    $7::timestamptz[], $8::float8[], $9::text[], $13::bool[])
            AS t (id, result, reason, message, facts, held, wake_at, wake_seconds, cancelled_by,
                  failure_routed)),
    handled AS (
        UPDATE workflow_execution_wakes SET handled_at = $10::timestamptz
        WHERE id = ANY($11::uuid[])),
    answered AS (
        UPDATE workflow_execution_calls SET handled_at = $10
        WHERE id = ANY($12::uuid[]))
    UPDATE workflow_node_executions x SET
        state = CASE WHEN o.result IS NULL THEN 'held' ELSE 'finished' END,
        result = o.result, result_reason = o.reason, result_message = o.message,
        metadata = x.metadata || o.facts, held = o.held, failure_routed = o.failure_routed,
        wake_at = coalesce(o.wake_at,
            statement_timestamp() + make_interval(secs => o.wake_seconds)),
        crashes = 0, woken_until = NULL, sent_count = 0, last_sent_at = $10,
        cancelled_by = coalesce(o.cancelled_by, x.cancelled_by), updated_at = $10,
        finished_at = CASE WHEN o.result IS NOT NULL THEN $10 END
    FROM outcome o
    WHERE x.id = o.id AND coalesce(x.state, '') = 'held'
    RETURNING x.id, x.workflow_id,
        CASE WHEN x.failure_routed AND NOT o.failure_routed
             THEN derived_id(x.id, 'error') END AS error_event_id";

/// The result of [`begin_wake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BegunWake {
    /// The crash is counted; the number is that of the crashes before it.
    Begun(i32),
    /// Another wake is at work on it, or another transaction holds its row.
    Busy,
    /// It is no longer held.
    Gone,
}

/// Counts a crash on a held execution before it is woken alone, and keeps other such wakes from it
/// for [`QUARANTINE_SECONDS`].
///
/// # Errors
/// See [`StoreError`].
pub async fn begin_wake(tx: &Tx, id: ExecutionId) -> Result<BegunWake, StoreError> {
    let seconds = f64::from(QUARANTINE_SECONDS);
    let (begun, held) = futures_util::try_join!(
        tx.query_with(
            "/* begin_wake */
             WITH free AS MATERIALIZED (
                 SELECT id FROM workflow_node_executions
                 WHERE id = $1::uuid AND coalesce(state, '') = 'held'
                   AND coalesce(woken_until, '-infinity') <= now()
                 FOR NO KEY UPDATE SKIP LOCKED)
             UPDATE workflow_node_executions x
             SET crashes = x.crashes + 1, woken_until = now() + make_interval(secs => $2::float8)
             FROM free
             WHERE x.id = free.id AND coalesce(x.state, '') = 'held'
             RETURNING x.crashes",
            [(&id, Type::UUID), (&seconds, Type::FLOAT8)],
        ),
        tx.query_with(
            "/* begin_wake: is it held */
             SELECT id FROM workflow_node_executions
             WHERE id = $1::uuid AND coalesce(state, '') = 'held'",
            [(&id, Type::UUID)],
        ),
    )?;
    match (begun.first(), held.is_empty()) {
        (Some(row), _) => Ok(BegunWake::Begun(column::<i32>(row, "crashes")? - 1)),
        (None, false) => Ok(BegunWake::Busy),
        (None, true) => Ok(BegunWake::Gone),
    }
}

/// Takes back the crash that was counted before a wake: the process lived, and no outcome was
/// recorded.
///
/// # Errors
/// See [`StoreError`].
pub async fn forgive_wake(tx: &Tx, id: ExecutionId) -> Result<(), StoreError> {
    tx.query(
        "/* forgive_wake */
         UPDATE workflow_node_executions SET crashes = greatest(crashes - 1, 0), woken_until = NULL
         WHERE id = $1::uuid AND coalesce(state, '') = 'held' AND crashes > 0",
        &[(&id, Type::UUID)],
    )
    .await
    .map(drop)
}
