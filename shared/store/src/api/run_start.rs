use domain::ids::{EventId, ItemId, OrganizationId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{Store, StoreError};

/// A root event and the items of its targets, as planned with one version of the definition.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version` that the targets are of.
    pub version_planned: i64,
    /// The trigger node.
    pub node_id: String,
    /// The id of the root event, which is the run's.
    pub event_id: EventId,
    /// The channel that the event leaves on.
    pub channel: &'static str,
    /// What kind of event.
    pub event_type: &'static str,
    /// What happened.
    pub data: Value,
    /// The run's name.
    pub custom_name: Option<String>,
    /// How often sealflow has called sealflow on the way here.
    pub hops: i32,
    /// The nodes that it is routed to, each with the id of its item.
    pub targets: Vec<(String, ItemId)>,
    /// Now.
    pub now: Timestamp,
}

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// The event is committed with its items.
    Started,
    /// The workflow no longer has that version, or was deleted: load it and plan again, once.
    Outdated,
    /// A target has as many waiting items as are allowed.
    Full,
}

/// Inserts a root event and its items in one statement, where the planned version still holds.
///
/// # Errors
/// [`StoreError::Rejected`] when the data can't be stored.
pub async fn start_run(store: &Store, start: &RunStart) -> Result<StartOutcome, StoreError> {
    let (targets, item_ids): (Vec<&str>, Vec<ItemId>) =
        start.targets.iter().map(|(node_id, item_id)| (node_id.as_str(), *item_id)).unzip();
    let rows = store
        .query_once(
            "/* start_run */
             WITH live AS (
                 SELECT w.id, w.timeout_seconds,
                        EXISTS (SELECT FROM workflow_nodes n
                                WHERE n.workflow_id = w.id AND n.node_id = ANY($9) AND n.items_full) AS is_full
                 FROM workflows w JOIN organizations o ON o.id = w.organization_id
                 WHERE w.id = $1 AND w.organization_id = $2 AND w.version = $3 AND w.deleted_at IS NULL AND o.deleted_at IS NULL),
             event AS (
                 INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, custom_name,
                     targets, depth, hops, created_at)
                 SELECT $5, live.id, $4, $5, $5, $6, $7, $8, $11, $9, 1, $13, $12 FROM live WHERE NOT live.is_full
                 RETURNING workflow_id),
             run AS (
                 INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name,
                     state, result, due_at, created_at, updated_at, finished_at)
                 SELECT $5, $2, live.id, $3, $4, $5, ARRAY[$5], $11, begun.state, begun.result,
                     now() + make_interval(secs => live.timeout_seconds), $12, $12, CASE WHEN begun.state = 'finished' THEN $12 END
                 FROM event CROSS JOIN live CROSS JOIN (
                     SELECT CASE WHEN cardinality($9) = 0 THEN 'finished' ELSE 'running' END AS state,
                         CASE WHEN cardinality($9) = 0 THEN 'passed' END AS result) begun),
             items AS (
                 INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
                     concurrency_key, created_at, last_sent_at)
                 SELECT item.id, n.workflow_id, n.node_id, $5, $5, $5, n.generation,
                     CASE WHEN n.concurrency_key IS NULL THEN '' END, $12, $12
                 FROM event
                 CROSS JOIN unnest($9::text[], $10::uuid[]) AS item (node_id, id)
                 JOIN workflow_nodes n ON n.workflow_id = event.workflow_id AND n.node_id = item.node_id
                 RETURNING id)
             SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM items) AS items,
                    coalesce((SELECT is_full FROM live), false) AS is_full",
            &[
                (&start.workflow_id, Type::UUID),
                (&start.organization_id, Type::UUID),
                (&start.version_planned, Type::INT8),
                (&start.node_id, Type::TEXT),
                (&start.event_id, Type::UUID),
                (&start.channel, Type::TEXT),
                (&start.event_type, Type::TEXT),
                (&start.data, Type::JSONB),
                (&targets, Type::TEXT_ARRAY),
                (&item_ids, Type::UUID_ARRAY),
                (&start.custom_name, Type::TEXT),
                (&start.now, Type::TIMESTAMPTZ),
                (&start.hops, Type::INT4),
            ],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("start_run"))?;
    let (events, items): (i64, i64) = (column(row, "events")?, column(row, "items")?);
    if column(row, "is_full")? {
        return Ok(StartOutcome::Full);
    }
    match events {
        0 => Ok(StartOutcome::Outdated),
        _ if items == i64::try_from(targets.len()).unwrap_or(i64::MAX) => Ok(StartOutcome::Started),
        // The definition's own nodes have rows: apply writes both in one transaction.
        _ => Err(StoreError::Corrupt("workflow_nodes")),
    }
}
