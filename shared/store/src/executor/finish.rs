use std::collections::{HashMap, HashSet};

use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId, ItemId, LeaseToken};
use domain::redactions::Redactions;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use crate::locks::{LOCK_FREE_EXECUTIONS, LOCK_FREE_NODES, LOCK_NODES, LockMode};
use crate::nodes::{NodeKey, node_key};
use crate::runs::{Settled, settle_runs_of};
use crate::slots::{FIND_FREED, FreedSlot, freed_slot};
use crate::types::collect;
use crate::types::column;
use crate::{StoreError, Tx};

/// The channel of failures.
pub(crate) const FAILURE: &str = "failure";

/// The fate of a claimed execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FinishKind {
    /// It ends.
    End {
        /// Passed or failed.
        result: ExecutionResult,
        /// The reason where it did not pass.
        reason: Option<ResultReason>,
    },
    /// Its outcome is recorded, and the next attempt waits so many seconds.
    Retry {
        /// Seconds from now, by the database's clock.
        wait_seconds: f64,
        /// Whether the author's policy counts the claim as an attempt; a claim that is given back
        /// is not counted.
        is_counted: bool,
        /// Whether the other side answered: then the next attempt gets the next idempotency key.
        is_answered: bool,
    },
}

/// The output of an execution.
#[derive(Clone, Debug)]
pub struct NewOutput {
    /// `workflow_events.id`
    pub event_id: EventId,
    /// The channel.
    pub channel: String,
    /// The event's type.
    pub event_type: String,
    /// The event's data, scrubbed.
    pub data: Value,
    /// Places of the data that were blanked.
    pub redactions: Option<Redactions>,
    /// The nodes that it goes to, with the ids of the items that it becomes there.
    pub targets: Vec<(String, ItemId)>,
}

/// A claimed execution and its outcome.
#[derive(Clone, Debug)]
pub struct FinishRow {
    /// `workflow_node_executions.id`
    pub execution_id: ExecutionId,
    /// The token of the claim that may finish it.
    pub token: LeaseToken,
    /// `workflows.version` that the output was routed with.
    pub workflow_version: i64,
    /// The fate of the execution.
    pub kind: FinishKind,
    /// A sentence for the author.
    pub message: Option<String>,
    /// The addition to `metadata.attempts`; none when the claim is given back.
    pub attempt_record: Option<Value>,
    /// Facts that are put beside the attempts in `metadata`; a map.
    pub facts: Option<Value>,
    /// The output that it emits; none on a retry.
    pub output: Option<NewOutput>,
    /// Whether its node may have a limit: then its end may free a slot, and is recorded under the
    /// node's lock.
    pub may_have_limit: bool,
}

impl FinishRow {
    /// Whether it ends and hands nothing on: then its run may end with it.
    fn is_leaf(&self) -> bool {
        matches!(self.kind, FinishKind::End { .. })
            && self.output.as_ref().is_none_or(|output| output.targets.is_empty())
    }

    fn is_failure_routed(&self) -> bool {
        matches!(self.kind, FinishKind::End { result: ExecutionResult::Failed, .. })
            && self
                .output
                .as_ref()
                .is_some_and(|output| output.channel == FAILURE && !output.targets.is_empty())
    }
}

/// The effect of a finish on one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishedExecution {
    /// Recorded.
    Recorded {
        /// The execution.
        id: ExecutionId,
        /// Whether its output became queue items.
        is_routed: bool,
        /// Events on the channel `error` that became queue items: its own, and those of targets
        /// that were full.
        error_event_ids: Vec<EventId>,
    },
    /// The lease was lost: another claim finishes it, and this outcome is dropped.
    LeaseLost(ExecutionId),
    /// The workflow was applied meanwhile: route again with the new version and finish again.
    VersionMoved(ExecutionId),
    /// Another transaction holds its row or its node: record the outcome a moment later.
    Locked(ExecutionId),
}

/// Milliseconds for which [`finish_executions`] waits for a node with [`LockMode::Wait`]: longer
/// than a builder's transaction takes, and short enough for the outcomes that wait behind it.
pub const FINISH_WAIT_MILLIS: u32 = 50;

/// The result of [`finish_executions`].
#[derive(Clone, Debug)]
pub struct FinishedBatch {
    /// The result of each row, in their order.
    pub outcomes: Vec<FinishedExecution>,
    /// Freed slots that items wait for.
    pub freed: Vec<FreedSlot>,
    /// The runs that ended, and the joins that may decide.
    pub settled: Settled,
}

/// Records outcomes, their outputs and the next queue items in one round trip, where the lease
/// still holds. Returns also the freed slots that items wait for.
///
/// With [`LockMode::SkipLocked`] the outcomes whose node or execution another transaction holds are
/// left out ([`FinishedExecution::Locked`]). [`LockMode::Wait`] waits for the nodes,
/// [`FINISH_WAIT_MILLIS`] at most.
///
/// # Errors
/// [`StoreError::Rejected`] when a row is bad: replay record by record. With [`LockMode::Wait`] see
/// [`StoreError::is_lock_timeout`].
pub async fn finish_executions(
    tx: &Tx,
    rows: &[FinishRow],
    mode: LockMode,
    now: Timestamp,
) -> Result<FinishedBatch, StoreError> {
    let ids = collect(rows, |row| row.execution_id);
    let limited: Vec<ExecutionId> =
        rows.iter().filter(|row| row.may_have_limit).map(|row| row.execution_id).collect();
    // A transaction that waits has all nodes, or fails.
    let (lock_nodes, may_be_locked): (_, &[ExecutionId]) = match mode {
        LockMode::SkipLocked => (LOCK_FREE_NODES, &limited),
        LockMode::Wait => (LOCK_NODES, &[]),
    };
    // An outcome that may end a run is mostly known beforehand: then the run's end is written in
    // the same round trip.
    let leaves: Vec<ExecutionId> = if rows.iter().any(FinishRow::is_leaf) { ids.clone() } else { Vec::new() };
    let ((), _, _, recorded, freed, mut settled) = futures_util::try_join!(
        mode.limit_wait(tx, FINISH_WAIT_MILLIS),
        tx.query_unless_empty(&limited, lock_nodes, [(&limited, Type::UUID_ARRAY)]),
        tx.query_with(LOCK_FREE_EXECUTIONS, [(&ids, Type::UUID_ARRAY), (&may_be_locked, Type::UUID_ARRAY)]),
        record(tx, rows, now),
        tx.query_unless_empty(&limited, FIND_FREED, [(&limited, Type::UUID_ARRAY)]),
        settle_runs_of(tx, &leaves, now),
    )?;
    if leaves.is_empty() {
        // An output with targets may have gone nowhere all the same: its run was stopped, its node
        // was removed, or its targets are full. Or it went elsewhere than towards a join.
        settled = settle_runs_of(tx, &ended(&recorded)?, now).await?;
    }
    let outcomes: HashMap<ExecutionId, FinishedExecution> =
        recorded.iter().map(finished_execution).collect::<Result<_, _>>()?;
    let outcome = |id: &ExecutionId| outcomes.get(id).cloned().unwrap_or(FinishedExecution::LeaseLost(*id));
    // A freed slot counts only where an outcome at its node was recorded: another node's slots may
    // have been counted without its lock.
    let decided: HashSet<NodeKey> = recorded
        .iter()
        .filter(|row| row.try_get("is_recorded").unwrap_or(false))
        .map(node_key)
        .collect::<Result<_, _>>()?;
    let mut freed: Vec<FreedSlot> = freed.iter().map(freed_slot).collect::<Result<_, _>>()?;
    freed.retain(|slot| decided.contains(&slot.node));
    Ok(FinishedBatch { outcomes: ids.iter().map(outcome).collect(), freed, settled })
}

/// The executions that ended and handed nothing on, or are before a join.
fn ended(recorded: &[Row]) -> Result<Vec<ExecutionId>, StoreError> {
    let mut ids = Vec::new();
    for row in recorded {
        if column(row, "is_recorded")?
            && column(row, "is_finished")?
            && (!column::<bool>(row, "is_routed")? || column(row, "has_merges")?)
        {
            ids.push(column(row, "id")?);
        }
    }
    Ok(ids)
}

fn finished_execution(row: &Row) -> Result<(ExecutionId, FinishedExecution), StoreError> {
    let id = column(row, "id")?;
    let (is_held, is_locked): (bool, bool) = (column(row, "is_held")?, column(row, "is_locked")?);
    let finished = if column(row, "is_recorded")? {
        FinishedExecution::Recorded {
            id,
            is_routed: column(row, "is_routed")?,
            error_event_ids: column(row, "error_event_ids")?,
        }
    } else if !is_held {
        FinishedExecution::LeaseLost(id)
    } else if !is_locked {
        FinishedExecution::Locked(id)
    } else {
        // Only the workflow's version differs.
        FinishedExecution::VersionMoved(id)
    };
    Ok((id, finished))
}

async fn record(tx: &Tx, rows: &[FinishRow], now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let parts: Vec<Parts<'_>> = rows.iter().map(Parts::of).collect();
    let outputs: Vec<(&FinishRow, &NewOutput)> =
        rows.iter().filter_map(|row| row.output.as_ref().map(|output| (row, output))).collect();
    let items: Vec<(&NewOutput, &(String, ItemId))> = outputs
        .iter()
        .flat_map(|(_, output)| output.targets.iter().map(move |target| (*output, target)))
        .collect();
    let targets: Vec<Json<Vec<&str>>> = outputs
        .iter()
        .map(|(_, output)| Json(output.targets.iter().map(|(node_id, _)| node_id.as_str()).collect()))
        .collect();
    tx.query(
        RECORD,
        &[
            (&now, Type::TIMESTAMPTZ),
            (&collect(rows, |row| row.execution_id), Type::UUID_ARRAY),
            (&collect(rows, |row| row.token), Type::UUID_ARRAY),
            (&collect(rows, |row| row.workflow_version), Type::INT8_ARRAY),
            (&collect(&parts, |part| part.state.as_str()), Type::TEXT_ARRAY),
            (&collect(&parts, |part| part.result.map(ExecutionResult::as_str)), Type::TEXT_ARRAY),
            (&collect(&parts, |part| part.reason.map(ResultReason::as_str)), Type::TEXT_ARRAY),
            (&collect(rows, |row| row.message.as_deref()), Type::TEXT_ARRAY),
            (&collect(&parts, |part| part.wait_seconds), Type::FLOAT8_ARRAY),
            (&collect(&parts, |part| part.attempts), Type::INT4_ARRAY),
            (&collect(&parts, |part| part.record.as_ref()), Type::JSONB_ARRAY),
            (&collect(&parts, |part| part.keys), Type::INT4_ARRAY),
            (&collect(&outputs, |(row, _)| row.execution_id), Type::UUID_ARRAY),
            (&collect(&outputs, |(_, output)| output.event_id), Type::UUID_ARRAY),
            (&collect(&outputs, |(_, output)| output.channel.as_str()), Type::TEXT_ARRAY),
            (&collect(&outputs, |(_, output)| output.event_type.as_str()), Type::TEXT_ARRAY),
            (&collect(&outputs, |(_, output)| Json(&output.data)), Type::JSONB_ARRAY),
            (&targets, Type::JSONB_ARRAY),
            (&collect(&items, |(output, _)| output.event_id), Type::UUID_ARRAY),
            (&collect(&items, |(_, (node_id, _))| node_id.as_str()), Type::TEXT_ARRAY),
            (&collect(&items, |(_, (_, item_id))| *item_id), Type::UUID_ARRAY),
            (&domain::outcome::NODE_FULL, Type::TEXT),
            (&collect(rows, |row| row.facts.as_ref().map(Json)), Type::JSONB_ARRAY),
            (&collect(&outputs, |(_, output)| output.redactions.as_ref().map(Json)), Type::JSONB_ARRAY),
            (&collect(rows, FinishRow::is_failure_routed), Type::BOOL_ARRAY),
        ],
    )
    .await
}

struct Parts<'a> {
    state: ExecutionState,
    result: Option<ExecutionResult>,
    reason: Option<ResultReason>,
    wait_seconds: Option<f64>,
    attempts: i32,
    keys: i32,
    record: Option<Json<&'a Value>>,
}

impl<'a> Parts<'a> {
    fn of(row: &'a FinishRow) -> Self {
        let record = row.attempt_record.as_ref().map(Json);
        match row.kind {
            FinishKind::End { result, reason } => Self {
                state: ExecutionState::Finished,
                result: Some(result),
                reason,
                wait_seconds: None,
                attempts: 0,
                keys: 0,
                record,
            },
            FinishKind::Retry { wait_seconds, is_counted, is_answered } => Self {
                state: ExecutionState::Pending,
                result: None,
                reason: None,
                wait_seconds: Some(wait_seconds),
                attempts: i32::from(is_counted),
                keys: i32::from(is_answered),
                record,
            },
        }
    }
}

/// Outputs, their routes and the next items come only from the rows that the update returned. The
/// output of a stopped run, a cancelled execution, a removed node or an earlier generation of its
/// node is recorded and goes nowhere. Where a target has as many waiting items as are allowed, a
/// failed execution takes the place of the item. A failure that an edge on `error` takes is routed
/// by the database.
///
/// A setting of the transaction holds the ids of the locked executions. `is_held` is read before
/// the update clears the lease. The condition on the state has a form that no partial index has:
/// the index of leases would be walked over, with all executions that were at work a moment ago.
const RECORD: &str = "/* record_outcomes */
    WITH outcome AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $23, $25)
            AS t (id, token, version, state, result, reason, message, wait_seconds, attempts,
                  record, keys, facts, failure_routed)),
    current AS (
        SELECT outcome.*, ex.workflow_id, ex.node_id, w.version = outcome.version AS is_current,
            coalesce(ex.lease_token = outcome.token, false) AS is_held,
            ex.id = ANY(string_to_array(current_setting('sealflow.locked'), ',')::uuid[])
                AS is_locked,
            ex.state = 'cancelling' OR run.stop IS NOT NULL AS is_cancelled,
            ex.state = 'cancelling' OR run.stop IS NOT NULL OR n.deleted_at IS NOT NULL
                OR coalesce(ex.node_generation, n.generation) <> n.generation AS routes_nothing,
            cardinality(n.merges) > 0 AS has_merges
        FROM outcome
        JOIN workflow_node_executions ex ON ex.id = outcome.id
        JOIN workflows w ON w.id = ex.workflow_id
        CROSS JOIN LATERAL (
            SELECT n.deleted_at, n.generation, n.merges FROM workflow_nodes n
            WHERE n.workflow_id = ex.workflow_id AND n.node_id = ex.node_id OFFSET 0) n
        JOIN workflow_runs run ON run.id = ex.run_id),
    recorded AS (
        UPDATE workflow_node_executions ex
        SET state = CASE WHEN current.is_cancelled THEN 'finished' ELSE current.state END,
            result = CASE WHEN current.is_cancelled THEN 'cancelled' ELSE current.result END,
            result_reason = CASE WHEN current.is_cancelled THEN 'cancelled' ELSE current.reason END,
            result_message = current.message,
            metadata = ex.metadata || coalesce(current.facts, '{}')
                || CASE WHEN current.record IS NULL THEN '{}'
                        ELSE jsonb_build_object('attempts',
                            coalesce(ex.metadata -> 'attempts', '[]') || current.record) END,
            attempt = least(ex.attempt + current.attempts, 30),
            key_attempt = least(ex.key_attempt + current.keys, 30), crashes = 0,
            run_at = CASE WHEN NOT current.is_cancelled
                          THEN now() + make_interval(secs => current.wait_seconds) END,
            lease_token = NULL, lease_until = NULL, updated_at = $1,
            failure_routed = current.failure_routed AND NOT current.routes_nothing,
            finished_at = CASE WHEN current.is_cancelled OR current.state = 'finished' THEN $1 END
        FROM current
        WHERE ex.id = current.id AND current.is_current AND current.is_locked
          AND coalesce(ex.state, '') IN ('started', 'cancelling') AND ex.lease_token = current.token
        RETURNING ex.id, ex.workflow_id, ex.node_id, ex.root_event_id, ex.run_id, ex.event_id,
            ex.state, current.routes_nothing,
            ex.failure_routed AND NOT current.failure_routed AS is_error_routed),
    output AS (
        SELECT recorded.*,
            t.event_id AS output_id, t.channel, t.type, t.data, t.targets, t.redactions
        FROM unnest($13, $14, $15, $16, $17, $18, $24)
            AS t (execution_id, event_id, channel, type, data, targets, redactions)
        JOIN recorded ON recorded.id = t.execution_id),
    event AS (
        INSERT INTO workflow_events
            (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth,
             execution_id, redactions, created_at)
        SELECT output.output_id, output.workflow_id, output.node_id, output.root_event_id,
            output.run_id, output.channel, output.type, output.data,
            CASE WHEN output.routes_nothing THEN '{}'
                 ELSE ARRAY(SELECT jsonb_array_elements_text(output.targets)) END,
            parent.depth + 1, output.id, output.redactions, $1
        FROM output JOIN workflow_events parent ON parent.id = output.event_id
        RETURNING id),
    target AS (
        SELECT t.id, output.id AS execution_id, output.workflow_id, t.node_id,
            output.root_event_id, output.run_id, t.event_id, n.generation, n.concurrency_key,
            n.items_full, n.version,
            coalesce(n.ref ->> 'component', n.ref ->> 'blueprint', '') AS component
        FROM unnest($19, $20, $21) AS t (event_id, node_id, id)
        JOIN output ON output.output_id = t.event_id AND NOT output.routes_nothing
        CROSS JOIN LATERAL (
            SELECT n.generation, n.concurrency_key, n.items_full, n.version, n.ref
            FROM workflow_nodes n
            WHERE n.workflow_id = output.workflow_id AND n.node_id = t.node_id OFFSET 0) n),
    item AS (
        INSERT INTO workflow_node_queue_items
            (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
             concurrency_key, created_at, last_sent_at)
        SELECT id, workflow_id, node_id, root_event_id, run_id, event_id, generation,
            CASE WHEN concurrency_key IS NULL THEN '' END, $1, $1
        FROM target WHERE NOT items_full
        RETURNING event_id),
    refused AS (
        INSERT INTO workflow_node_executions
            (id, workflow_id, node_id, root_event_id, run_id, event_id, previous_execution_id,
             state, result, result_reason, result_message, component, configuration,
             workflow_version, node_version, last_sent_at,
             created_at, updated_at, started_at, finished_at)
        SELECT target.id, target.workflow_id, target.node_id, target.root_event_id, target.run_id,
            target.event_id, target.execution_id, 'finished', 'failed', 'limit', $22,
            target.component, '{}', outcome.version, target.version, $1, $1, $1, $1, $1
        FROM target JOIN outcome ON outcome.id = target.execution_id
        -- The event is inserted first: the trigger that routes errors reads it.
        JOIN event ON event.id = target.event_id
        WHERE target.items_full
        RETURNING id, previous_execution_id, failure_routed),
    error AS (
        SELECT id AS execution_id, id AS of FROM recorded WHERE is_error_routed
        UNION ALL
        SELECT previous_execution_id, id FROM refused WHERE failure_routed)
    SELECT current.id, current.workflow_id, current.node_id, current.is_held, current.is_locked,
        recorded.id IS NOT NULL AS is_recorded, recorded.state = 'finished' AS is_finished,
        current.has_merges, EXISTS (
            SELECT FROM output JOIN item ON item.event_id = output.output_id
            WHERE output.id = recorded.id) AS is_routed,
        ARRAY(SELECT derived_id(error.of, 'error') FROM error
              WHERE error.execution_id = current.id) AS error_event_ids
    FROM current LEFT JOIN recorded ON recorded.id = current.id";
