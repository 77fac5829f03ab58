use std::collections::BTreeMap;

use domain::ids::{EventId, ExecutionId, ItemId, KeyId, RunId, WorkflowId};

use domain::actor::Actor;
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::function::Function;
use domain::held::WakeTime;
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use super::joins::{NewArrival, find_joins, record_arrivals};
use super::sub_runs::{NewReturn, NewSubRun, insert_sub_runs, record_returns};
use crate::nodes::NodeKey;
use crate::runs::{EndedWork, LOCK_ENDED_RUNS, Settled, settle_runs, stop_and_settle_runs};
use crate::types::{collect, column};
use crate::{JsonText, StoreError, Tx};

/// A row of `workflow_events`.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `id`
    pub id: EventId,
    /// The node that it comes from.
    pub node: NodeKey,
    /// The run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The channel that it left on.
    pub channel: String,
    /// Its type.
    pub event_type: String,
    /// The data of the event.
    pub data: JsonText,
    /// Places of the data that were blanked (`domain::redactions::Redactions`).
    pub redactions: Option<JsonText>,
    /// The nodes that it was routed to.
    pub targets: Vec<String>,
    /// Events from the root down to it.
    pub depth: i32,
    /// The execution that emitted it.
    pub execution_id: ExecutionId,
}

/// A row of `workflow_node_executions`: pending, held or finished.
#[derive(Clone, Debug)]
pub struct NewExecution {
    /// `id`
    pub id: ExecutionId,
    /// The node.
    pub node: NodeKey,
    /// The run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The event that it works on.
    pub event_id: EventId,
    /// The execution that emitted that event.
    pub previous_execution_id: Option<ExecutionId>,
    /// Pending, held or finished.
    pub state: ExecutionState,
    /// Its result.
    pub result: Option<ExecutionResult>,
    /// The reason where it did not pass.
    pub result_reason: Option<ResultReason>,
    /// A sentence for the author.
    pub result_message: Option<String>,
    /// The component that it was built with.
    pub component: String,
    /// The configuration that people see.
    pub configuration: JsonText,
    /// The residuals that the executor evaluates.
    pub residuals: JsonText,
    /// `{retry, redact}`
    pub policy: JsonText,
    /// `workflows.version`
    pub workflow_version: i64,
    /// The value of its node's concurrency key.
    pub concurrency_key: Option<String>,
    /// Facts for people.
    pub metadata: JsonText,
    /// The columns that a held execution has beside these.
    pub held: Option<NewHeld>,
}

/// The columns of an execution that is held.
#[derive(Clone, Debug)]
pub struct NewHeld {
    /// `held`
    pub held: JsonText,
    /// The time of its wake.
    pub wake: Option<WakeTime>,
}

impl NewExecution {
    /// A finished execution that passed, with empty values in all other fields. The pair is its run
    /// and the root event of its top run.
    #[must_use]
    pub fn passed(
        id: ExecutionId,
        node: NodeKey,
        (run_id, root_event_id): (RunId, EventId),
        event_id: EventId,
    ) -> Self {
        let (map, list) = (JsonText::of(&serde_json::json!({})), JsonText::of(&serde_json::json!([])));
        Self {
            id,
            node,
            run_id,
            root_event_id,
            event_id,
            previous_execution_id: None,
            state: ExecutionState::Finished,
            result: Some(ExecutionResult::Passed),
            result_reason: None,
            result_message: None,
            component: String::new(),
            configuration: map.clone(),
            residuals: list,
            policy: map.clone(),
            workflow_version: 1,
            concurrency_key: None,
            metadata: map,
            held: None,
        }
    }

    fn wake(&self) -> Option<WakeTime> {
        self.held.as_ref().and_then(|held| held.wake)
    }
}

/// A row of `workflow_node_queue_items`.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// `id`
    pub id: ItemId,
    /// The node that it waits at.
    pub node: NodeKey,
    /// The run.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// The event that waits.
    pub event_id: EventId,
}

/// A row of `workflow_node_execution_kvs`.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// `id`
    pub id: KeyId,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The node.
    pub node: NodeKey,
    /// The key's name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// All rows of a batch.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Events.
    pub events: Vec<NewEvent>,
    /// Executions.
    pub executions: Vec<NewExecution>,
    /// Keys.
    pub keys: Vec<NewKey>,
    /// Queue items.
    pub items: Vec<NewItem>,
    /// Visits of nodes with a limit of visits, by run, with those of this batch.
    pub visits: BTreeMap<(RunId, String), i32>,
    /// Runs past their limit, which are stopped.
    pub run_limits: Vec<RunId>,
    /// Events that arrive at joins.
    pub arrivals: Vec<NewArrival>,
    /// Sub-runs that begin.
    pub sub_runs: Vec<NewSubRun>,
    /// Events by which sub-runs return to their owners.
    pub returns: Vec<NewReturn>,
    /// The work that the batch ends.
    pub ended: EndedWork,
    /// The version of each workflow with which the batch was planned.
    pub versions: Vec<(WorkflowId, i64)>,
}

/// An event on the channel `error` of a failed execution. Queue items wait for work on this event,
/// so its wake is sent after the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEvent {
    /// `workflow_events.id`
    pub id: EventId,
    /// The workflow.
    pub workflow_id: WorkflowId,
}

/// The rest of a written batch, for after the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenBatch {
    /// The events on the channel `error`.
    pub errors: Vec<ErrorEvent>,
    /// The runs that ended, and the joins that may decide.
    pub settled: Settled,
}

/// Writes a batch in one round trip. A failure that an edge on `error` takes is routed by the
/// database.
///
/// # Errors
/// [`StoreError::Conflict`] when a workflow has another version than the plan: reload and plan once
/// more. [`StoreError::Rejected`] when a row is bad: replay record by record.
pub async fn write_batch(tx: &Tx, batch: &WriteBatch, now: Timestamp) -> Result<WrittenBatch, StoreError> {
    let (changed, written) =
        futures_util::try_join!(check_versions(tx, &batch.versions), write_rows(tx, batch, now))?;
    if changed { Err(StoreError::Conflict("the workflow was applied meanwhile")) } else { Ok(written) }
}

async fn write_rows(tx: &Tx, batch: &WriteBatch, now: Timestamp) -> Result<WrittenBatch, StoreError> {
    // The statements are sent in this order, in which their futures are polled. Rows point at rows
    // that are inserted before them; only the pointer from an event to its execution is checked at
    // the end of the transaction.
    let of_arrivals = batch.arrivals.iter().map(|arrival| arrival.execution.run_id);
    let of_returns = batch.returns.iter().map(|item| item.run_id);
    let run_ids: Vec<RunId> = of_arrivals
        .chain(of_returns)
        .chain(batch.ended.run_ids())
        .chain(batch.run_limits.iter().copied())
        .collect();
    let executions: Vec<&NewExecution> = batch.executions.iter().collect();
    let rows = async {
        futures_util::try_join!(
            insert_sub_runs(tx, &batch.sub_runs, now),
            insert_events(tx, &batch.events, now),
            insert_executions(tx, &executions, now),
            insert_keys(tx, &batch.keys),
            insert_items(tx, &batch.items, now),
            write_visits(tx, &batch.visits),
        )
    };
    let (written, settled) = if batch.arrivals.is_empty() {
        let mut ended = batch.ended.clone();
        ended.runs.extend(batch.returns.iter().map(|item| item.run_id));
        let (written, settled, ()) = futures_util::try_join!(
            rows,
            end_runs(tx, batch, &ended, now),
            record_returns(tx, &batch.returns, now),
        )?;
        (written, settled)
    } else {
        // All runs are locked in one statement, and the joins are read after it.
        let (written, _, arrivals) = futures_util::try_join!(
            rows,
            tx.query_with(LOCK_ENDED_RUNS, [(&run_ids, Type::UUID_ARRAY)]),
            find_joins(tx, &batch.arrivals),
        )?;
        let mut ended = batch.ended.with_arrivals(&arrivals);
        ended.runs.extend(batch.returns.iter().map(|item| item.run_id));
        let (opened, (), settled, ()) = futures_util::try_join!(
            insert_executions(tx, &arrivals.opened, now),
            record_arrivals(tx, &arrivals, now),
            end_runs(tx, batch, &ended, now),
            record_returns(tx, &batch.returns, now),
        )?;
        if opened.len() != arrivals.opened.len() {
            return Err(StoreError::Conflict("not every join was opened"));
        }
        (written, settled)
    };
    let expected = (batch.events.len(), batch.executions.len(), batch.keys.len(), batch.items.len());
    let ((), events, executions, keys, items, ()) = written;
    if (events, executions.len(), keys, items) == expected {
        let errors = executions.iter().filter_map(|row| error_event(row).transpose());
        Ok(WrittenBatch { errors: errors.collect::<Result<_, _>>()?, settled })
    } else {
        Err(StoreError::Conflict("not every row of the batch was written"))
    }
}

async fn check_versions(tx: &Tx, versions: &[(WorkflowId, i64)]) -> Result<bool, StoreError> {
    let (ids, expected): (Vec<WorkflowId>, Vec<i64>) = versions.iter().copied().unzip();
    let rows = tx
        .query(
            "/* check_versions */
             SELECT w.id FROM unnest($1, $2) AS t (id, version) JOIN workflows w ON w.id = t.id
             WHERE w.version <> t.version",
            &[(&ids, Type::UUID_ARRAY), (&expected, Type::INT8_ARRAY)],
        )
        .await?;
    Ok(!rows.is_empty())
}

async fn insert_events(tx: &Tx, events: &[NewEvent], now: Timestamp) -> Result<usize, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let targets: Vec<Json<&Vec<String>>> = events.iter().map(|event| Json(&event.targets)).collect();
    let data = collect(events, |event| event.data.as_parameter());
    let rows = tx
        .query(
            "/* insert_events */
             INSERT INTO workflow_events
                 (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets,
                  depth, execution_id, redactions, created_at)
             SELECT t.id, t.workflow_id, t.node_id, t.root_event_id, t.run_id, t.channel, t.type,
                 t.data, ARRAY(SELECT jsonb_array_elements_text(t.targets)), t.depth,
                 t.execution_id, t.redactions, $12
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
                 AS t (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth,
                       execution_id, redactions, run_id)
             RETURNING id",
            &[
                (&collect(events, |event| event.id), Type::UUID_ARRAY),
                (&collect(events, |event| event.node.0), Type::UUID_ARRAY),
                (&collect(events, |event| event.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(events, |event| event.root_event_id), Type::UUID_ARRAY),
                (&collect(events, |event| event.channel.as_str()), Type::TEXT_ARRAY),
                (&collect(events, |event| event.event_type.as_str()), Type::TEXT_ARRAY),
                (&data, Type::JSONB_ARRAY),
                (&targets, Type::JSONB_ARRAY),
                (&collect(events, |event| event.depth), Type::INT4_ARRAY),
                (&collect(events, |event| event.execution_id), Type::UUID_ARRAY),
                (
                    &collect(events, |event| event.redactions.as_ref().map(JsonText::as_parameter)),
                    Type::JSONB_ARRAY,
                ),
                (&now, Type::TIMESTAMPTZ),
                (&collect(events, |event| event.run_id), Type::UUID_ARRAY),
            ],
        )
        .await?;
    Ok(rows.len())
}

/// Inserts an unfinished execution only where the workflow still has the planned version, in the
/// statement that reads the node's version. With two statements, an apply between them could pair a
/// configuration of the old version with the secrets that the new version may open.
async fn insert_executions(
    tx: &Tx,
    executions: &[&NewExecution],
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    if executions.is_empty() {
        return Ok(Vec::new());
    }
    let held = collect(executions, |execution| execution.held.as_ref().map(|held| held.held.as_parameter()));
    let rows = tx
        .query(
            "/* insert_executions */
             INSERT INTO workflow_node_executions
                 (id, workflow_id, node_id, root_event_id, run_id, event_id, previous_execution_id,
                  state, result, result_reason, result_message, component, configuration, residuals,
                  policy, workflow_version, node_version, node_generation, concurrency_key,
                  metadata, held, wake_at, last_sent_at,
                  created_at, updated_at, started_at, finished_at)
             SELECT t.id, t.workflow_id, t.node_id, t.root_event_id, t.run_id, t.event_id,
                 t.previous_execution_id, t.state, t.result, t.result_reason, t.result_message,
                 t.component, t.configuration, t.residuals, t.policy, t.workflow_version, n.version,
                 n.generation, nullif(t.concurrency_key, ''), t.metadata, t.held,
                 coalesce(t.wake_at, statement_timestamp() + make_interval(secs => t.wake_seconds)),
                 $16, $16, $16, CASE WHEN t.state IN ('held', 'finished') THEN $16 END,
                 CASE WHEN t.state = 'finished' THEN $16 END
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $17, $18,
                         $19, $20, $21, $22)
                 AS t (id, workflow_id, node_id, root_event_id, event_id, previous_execution_id,
                       state, result, result_reason, result_message, component, configuration,
                       residuals, policy, workflow_version, concurrency_key, run_id, metadata, held,
                       wake_at, wake_seconds)
             JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
             JOIN workflows w
               ON w.id = t.workflow_id AND (t.state = 'finished' OR w.version = t.workflow_version)
             RETURNING workflow_node_executions.workflow_id,
                 CASE WHEN failure_routed
                      THEN derived_id(workflow_node_executions.id, 'error') END AS error_event_id",
            &[
                (&collect(executions, |execution| execution.id), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.node.0), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(executions, |execution| execution.root_event_id), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.event_id), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.previous_execution_id), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.state.as_str()), Type::TEXT_ARRAY),
                (
                    &collect(executions, |execution| execution.result.map(ExecutionResult::as_str)),
                    Type::TEXT_ARRAY,
                ),
                (
                    &collect(executions, |execution| execution.result_reason.map(ResultReason::as_str)),
                    Type::TEXT_ARRAY,
                ),
                (&collect(executions, |execution| execution.result_message.as_deref()), Type::TEXT_ARRAY),
                (&collect(executions, |execution| execution.component.as_str()), Type::TEXT_ARRAY),
                (&collect(executions, |execution| execution.configuration.as_parameter()), Type::JSONB_ARRAY),
                (&collect(executions, |execution| execution.residuals.as_parameter()), Type::JSONB_ARRAY),
                (&collect(executions, |execution| execution.policy.as_parameter()), Type::JSONB_ARRAY),
                (&collect(executions, |execution| execution.workflow_version), Type::INT8_ARRAY),
                (&now, Type::TIMESTAMPTZ),
                (&collect(executions, |execution| execution.concurrency_key.as_deref()), Type::TEXT_ARRAY),
                (&collect(executions, |execution| execution.run_id), Type::UUID_ARRAY),
                (&collect(executions, |execution| execution.metadata.as_parameter()), Type::JSONB_ARRAY),
                (&held, Type::JSONB_ARRAY),
                (
                    &collect(executions, |execution| execution.wake().and_then(WakeTime::at)),
                    Type::TIMESTAMPTZ_ARRAY,
                ),
                (
                    &collect(executions, |execution| execution.wake().and_then(WakeTime::after_seconds)),
                    Type::FLOAT8_ARRAY,
                ),
            ],
        )
        .await?;
    Ok(rows)
}

pub(super) fn error_event(row: &Row) -> Result<Option<ErrorEvent>, StoreError> {
    let id: Option<EventId> = column(row, "error_event_id")?;
    let workflow_id = column(row, "workflow_id")?;
    Ok(id.map(|id| ErrorEvent { id, workflow_id }))
}

async fn insert_keys(tx: &Tx, keys: &[NewKey]) -> Result<usize, StoreError> {
    if keys.is_empty() {
        return Ok(0);
    }
    let rows = tx
        .query(
            "/* insert_keys */
             INSERT INTO workflow_node_execution_kvs
                 (id, execution_id, workflow_id, node_id, key, value)
             SELECT *
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
             RETURNING id",
            &[
                (&collect(keys, |key| key.id), Type::UUID_ARRAY),
                (&collect(keys, |key| key.execution_id), Type::UUID_ARRAY),
                (&collect(keys, |key| key.node.0), Type::UUID_ARRAY),
                (&collect(keys, |key| key.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(keys, |key| key.key.as_str()), Type::TEXT_ARRAY),
                (&collect(keys, |key| key.value.as_str()), Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(rows.len())
}

async fn insert_items(tx: &Tx, items: &[NewItem], now: Timestamp) -> Result<usize, StoreError> {
    if items.is_empty() {
        return Ok(0);
    }
    let rows = tx
        .query(
            "/* insert_items */
             INSERT INTO workflow_node_queue_items
                 (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
                  concurrency_key, created_at, last_sent_at)
             SELECT t.id, t.workflow_id, t.node_id, t.root_event_id, t.run_id, t.event_id,
                 n.generation, CASE WHEN n.concurrency_key IS NULL THEN '' END, $6, $6
             FROM unnest($1, $2, $3, $4, $5, $7)
                 AS t (id, workflow_id, node_id, root_event_id, event_id, run_id)
             JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
             RETURNING workflow_node_queue_items.id",
            &[
                (&collect(items, |item| item.id), Type::UUID_ARRAY),
                (&collect(items, |item| item.node.0), Type::UUID_ARRAY),
                (&collect(items, |item| item.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(items, |item| item.root_event_id), Type::UUID_ARRAY),
                (&collect(items, |item| item.event_id), Type::UUID_ARRAY),
                (&now, Type::TIMESTAMPTZ),
                (&collect(items, |item| item.run_id), Type::UUID_ARRAY),
            ],
        )
        .await?;
    Ok(rows.len())
}

/// Each run is locked since its visits were read.
async fn write_visits(tx: &Tx, visits: &BTreeMap<(RunId, String), i32>) -> Result<(), StoreError> {
    if visits.is_empty() {
        return Ok(());
    }
    let run_ids: Vec<RunId> = visits.keys().map(|(run_id, _)| *run_id).collect();
    let node_ids: Vec<&str> = visits.keys().map(|(_, node_id)| node_id.as_str()).collect();
    let counts: Vec<i32> = visits.values().copied().collect();
    tx.query(
        "/* write_visits */
         INSERT INTO workflow_run_visits (workflow_id, run_id, root_event_id, node_id, visits)
         SELECT r.workflow_id, r.id, r.root_event_id, t.node_id, t.visits
         FROM unnest($1::uuid[], $2::text[], $3::int[]) AS t (run_id, node_id, visits)
         JOIN workflow_runs r ON r.id = t.run_id
         ON CONFLICT (run_id, node_id) DO UPDATE SET visits = excluded.visits",
        &[(&run_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY), (&counts, Type::INT4_ARRAY)],
    )
    .await
    .map(drop)
}

async fn end_runs(
    tx: &Tx,
    batch: &WriteBatch,
    ended: &EndedWork,
    now: Timestamp,
) -> Result<Settled, StoreError> {
    if batch.run_limits.is_empty() {
        return settle_runs(tx, ended, now).await;
    }
    let by = Actor::function(Function::Builder);
    let (stopped, settled) =
        stop_and_settle_runs(tx, &batch.run_limits, RunStop::RunLimit, &by, ended, now).await?;
    for run_id in stopped {
        tracing::warn!(%run_id, "the run is past its limit");
    }
    Ok(settled)
}
