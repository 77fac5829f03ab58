//! Calls: runs of other workflows that an open execution starts, and whose end it waits for.

use domain::execution::ExecutionResult;
use domain::ids::{ExecutionId, OrganizationId, RunId, WorkflowId};
use domain::limits::ANCESTORS_BYTES_MAX;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Type;

use super::load::{RunFacts, run_facts};
use super::sub_runs::{StoredSubRun, WokenOwner};
use crate::types::{column, word_if_any};
use crate::{JsonText, StoreError, Tx};

/// An open execution that is to call a run, under its lock.
#[derive(Clone, Debug)]
pub struct LockedCall {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Whether the operator has suspended the organization.
    pub is_suspended: bool,
    /// The resolved configuration.
    pub configuration: JsonText,
    /// The facts that it keeps.
    pub held: Value,
    /// The number of runs that called each other down to its own.
    pub call_depth: i32,
    /// The workflow that the configuration names, if there is one.
    pub target: Option<CallTarget>,
    /// Now, by the database's clock.
    pub now: Timestamp,
}

/// A workflow that is called.
#[derive(Clone, Debug)]
pub struct CallTarget {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version`
    pub workflow_version: i64,
    /// `workflows.nodes`
    pub nodes: Value,
    /// `workflows.edges`
    pub edges: Value,
}

/// The result of [`lock_call`].
#[derive(Clone, Debug)]
pub enum FoundCall {
    /// It is held no more, its run is stopped, or it has called.
    None,
    /// Another transaction holds its row.
    Busy(OrganizationId),
    /// It is to call.
    Due(Box<LockedCall>),
}

/// Locks an execution, and reads in a later statement whether it is to call, and whom.
///
/// # Errors
/// See [`StoreError`].
pub async fn lock_call(tx: &Tx, id: ExecutionId) -> Result<FoundCall, StoreError> {
    let (locked, rows) = futures_util::try_join!(
        tx.query_with(LOCK, [(&id, Type::UUID)]),
        tx.query_with(READ, [(&id, Type::UUID)]),
    )?;
    let Some(row) = rows.first() else { return Ok(FoundCall::None) };
    let organization_id = column(row, "organization_id")?;
    if locked.is_empty() {
        return Ok(FoundCall::Busy(organization_id));
    }
    let target = match column::<Option<WorkflowId>>(row, "target_id")? {
        None => None,
        Some(workflow_id) => Some(CallTarget {
            workflow_id,
            workflow_version: column(row, "version")?,
            nodes: column(row, "nodes")?,
            edges: column(row, "edges")?,
        }),
    };
    Ok(FoundCall::Due(Box::new(LockedCall {
        organization_id,
        is_suspended: column(row, "is_suspended")?,
        configuration: column(row, "configuration")?,
        held: column(row, "kept")?,
        call_depth: column(row, "call_depth")?,
        target,
        now: column(row, "now")?,
    })))
}

const LOCK: &str = "/* lock_call */
    SELECT id FROM workflow_node_executions
    WHERE id = $1::uuid AND coalesce(state, '') = 'held' FOR NO KEY UPDATE SKIP LOCKED";

const READ: &str = "/* read_call */
    SELECT run.organization_id, o.suspended_at IS NOT NULL AS is_suspended, x.configuration,
        x.held AS kept, top.call_depth, w.id AS target_id, w.version, w.nodes, w.edges,
        statement_timestamp() AS now
    FROM workflow_node_executions x
    JOIN workflow_runs run ON run.id = x.run_id
    JOIN workflow_runs top ON top.id = run.root_event_id
    JOIN organizations o ON o.id = run.organization_id AND o.deleted_at IS NULL
    LEFT JOIN LATERAL (
        SELECT w.id, w.version, w.nodes, w.edges FROM workflows w
        WHERE w.organization_id = run.organization_id
          AND w.name = x.configuration ->> 'workflow' AND w.deleted_at IS NULL
        LIMIT 1) w ON true
    WHERE x.id = $1::uuid AND coalesce(x.state, '') = 'held'
      AND coalesce(run.state, '') = 'running' AND run.stop IS NULL
      AND (SELECT true FROM workflow_runs WHERE caller_execution_id = x.id LIMIT 1) IS NULL";

/// The called runs of the callers among `ids`, which are executions of the components `callers`.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn read_called(
    tx: &Tx,
    ids: &[ExecutionId],
    callers: &[&'static str],
) -> Result<Vec<(ExecutionId, WokenOwner)>, StoreError> {
    let rows = tx.query_with(READ_CALLED, [(&ids, Type::UUID_ARRAY), (&callers, Type::TEXT_ARRAY)]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let result: Option<ExecutionResult> = word_if_any(row, "result")?;
        let id: Option<RunId> = column(row, "id")?;
        let mut ended = Vec::new();
        if let (Some(id), Some(result)) = (id, result) {
            ended.push(StoredSubRun {
                id,
                iteration: 0,
                result,
                is_taken: column(row, "is_taken")?,
                has_returned: false,
                is_condition_met: false,
                data: None,
                redactions: None,
                error: column(row, "error")?,
            });
        }
        let owner = WokenOwner {
            configuration: column(row, "configuration")?,
            // One that it does not wait for was taken as it began.
            running: usize::from(id.is_some() && ended.is_empty() && !column::<bool>(row, "is_taken")?),
            has_results: true,
            ended,
        };
        found.push((column(row, "owner_id")?, owner));
    }
    Ok(found)
}

const READ_CALLED: &str = "/* read_called */
    SELECT x.id AS owner_id, x.configuration, r.id, r.result, r.taken_at IS NOT NULL AS is_taken,
        CASE WHEN r.result <> 'passed' THEN (
            SELECT jsonb_build_object('reason', f.result_reason, 'node', n.name, 'message',
                CASE WHEN NOT f.metadata @> '{\"message_scrubbed\": true}' THEN f.result_message END)
            FROM workflow_node_executions f
            JOIN workflow_nodes n ON n.workflow_id = f.workflow_id AND n.node_id = f.node_id
            WHERE f.run_id = r.id AND f.result IN ('failed', 'cancelled')
              AND NOT f.failure_routed AND f.redriven_event_id IS NULL
            ORDER BY f.result DESC, f.id LIMIT 1) END AS error
    FROM workflow_node_executions x
    LEFT JOIN LATERAL (
        SELECT r.* FROM workflow_runs r WHERE r.caller_execution_id = x.id OFFSET 0) r ON true
    WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'held'
      AND x.component = ANY($2::text[])";

/// A called run that has passed, of a workflow with outputs.
#[derive(Clone, Debug)]
pub struct CalledRun {
    /// The run, with its root event's data.
    pub facts: RunFacts,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version`, now.
    pub workflow_version: i64,
}

/// Those of the runs whose workflows have outputs.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_called_runs(tx: &Tx, ids: &[RunId]) -> Result<Vec<CalledRun>, StoreError> {
    let rows = tx.query_with(LOAD_CALLED, [(&ids, Type::UUID_ARRAY)]).await?;
    rows.iter()
        .map(|row| {
            Ok(CalledRun {
                facts: run_facts(row)?,
                workflow_id: column(row, "workflow_id")?,
                workflow_version: column(row, "version")?,
            })
        })
        .collect()
}

/// A finished run has no limit that counts any more.
const LOAD_CALLED: &str = "/* load_called_runs */
    SELECT run.id, run.root_event_id, ev.node_id, ev.type, ev.created_at, ev.data, run.stop,
        false AS is_organization_deleted, false AS is_held_full, NULL::uuid AS owner_id,
        run.node_id AS owner_node_id, cardinality(run.path) AS path_runs, 0::int8 AS executions,
        w.id AS workflow_id, w.version
    FROM workflow_runs run
    JOIN workflow_events ev ON ev.id = run.root_event_id
    JOIN workflows w ON w.id = run.workflow_id AND w.outputs IS NOT NULL
    WHERE run.id = ANY($1::uuid[])";

/// The last event of a node in a run.
#[derive(Clone, Debug)]
pub struct LastEvent {
    /// The node.
    pub node_id: String,
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: JsonText,
    /// The display configuration of the execution that emitted it.
    pub configuration: Option<JsonText>,
    /// Places of its data that were blanked.
    pub redactions: Option<JsonText>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// The last event of each of these nodes in a run, without its sub-runs. None: they have more than
/// [`ANCESTORS_BYTES_MAX`] together.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_last_events(
    tx: &Tx,
    run_id: RunId,
    node_ids: &[String],
) -> Result<Option<Vec<LastEvent>>, StoreError> {
    let rows = tx
        .query_unless_empty(
            node_ids,
            LOAD_LAST,
            [(&run_id, Type::UUID), (&node_ids, Type::TEXT_ARRAY), (&ANCESTORS_BYTES_MAX, Type::INT8)],
        )
        .await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        if column(row, "is_too_much")? {
            return Ok(None);
        }
        events.push(LastEvent {
            node_id: column(row, "node_id")?,
            event_type: column(row, "type")?,
            data: column(row, "data")?,
            configuration: column(row, "configuration")?,
            redactions: column(row, "redactions")?,
            created_at: column(row, "created_at")?,
        });
    }
    Ok(Some(events))
}

const LOAD_LAST: &str = "/* load_last_events */
    WITH own AS MATERIALIZED (
        SELECT DISTINCT ON (ev.node_id) ev.id, ev.node_id, ev.execution_id
        FROM workflow_events ev
        WHERE ev.root_event_id = $1::uuid AND ev.run_id = $1 AND ev.node_id = ANY($2::text[])
        ORDER BY ev.node_id, ev.created_at DESC, uuid_send(ev.id) DESC),
    counted AS MATERIALIZED (
        SELECT own.id, own.execution_id,
            sum(octet_length(ev.data::text) + coalesce(octet_length(ex.configuration::text), 0))
                OVER (ORDER BY own.node_id) > $3::int8 AS is_too_much
        FROM own
        JOIN workflow_events ev ON ev.id = own.id
        LEFT JOIN workflow_node_executions ex ON ex.id = own.execution_id)
    SELECT ev.node_id, ev.type, ev.redactions, ev.created_at, counted.is_too_much,
        CASE WHEN NOT counted.is_too_much THEN ev.data END AS data,
        CASE WHEN NOT counted.is_too_much THEN ex.configuration END AS configuration
    FROM counted
    JOIN workflow_events ev ON ev.id = counted.id
    LEFT JOIN workflow_node_executions ex ON ex.id = counted.execution_id
    ORDER BY counted.is_too_much DESC, ev.node_id";
