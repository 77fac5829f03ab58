//! The apply of a workflow: its differences, in one transaction.

use domain::actor::Actor;
use domain::definition::{Definition, Edge};
use domain::ids::{OrganizationId, WebhookId, WorkflowId};
use domain::node_write::{ErrorHandlerWrite, MergesWrite, NodeWrite, ScheduleWrite, SecretRefWrite};
use domain::webhook::Authentication;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use super::Audited;
use super::blueprints::share_blueprints;
use super::removed::{RemovedWork, end_pending_of_nodes};
use super::trigger_writes::{write_error_handlers, write_schedules};
use super::webhook_writes::{change_webhook, insert_webhooks, remove_webhooks};
use crate::held_causes::{HeldWake, cause_joins_changed};
use crate::runs::settle_runs_of;
use crate::types::column;
use crate::{StoreError, Tx};

/// The result of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedWorkflow {
    /// The workflow's new version.
    pub version: i64,
    /// Held executions of removed nodes, which are to end, and joins that may decide now: the caller
    /// sends their wakes.
    pub held: Vec<HeldWake>,
}

/// The writes of an apply: only the differences. Ids, addresses and sealed keys were made before,
/// outside of the transaction.
#[derive(Clone, Debug)]
pub struct WorkflowWrite {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workflow; for a new one an id that was made for it.
    pub workflow_id: WorkflowId,
    /// The version with which the apply was planned; None: the workflow is new.
    pub version_planned: Option<i64>,
    /// The whole definition.
    pub definition: Definition,
    /// The blueprints that were expanded in it, as name and version.
    pub blueprints: Vec<(String, i64)>,
    /// The nodes that are new or differ.
    pub nodes: Vec<NodeWrite>,
    /// Ids of the nodes that are no longer in the definition.
    pub nodes_removed: Vec<String>,
    /// Schedules that are new or differ.
    pub schedules: Vec<ScheduleWrite>,
    /// Ids of the nodes that are no longer a schedule.
    pub schedules_removed: Vec<String>,
    /// All workflows that its triggers of the type `on_error` watch, where they differ.
    pub error_handlers: Option<Vec<ErrorHandlerWrite>>,
    /// The joins that are reached from nodes, where they differ.
    pub merges: Vec<MergesWrite>,
    /// Ids of the joins whose edges, or what comes before them, differ.
    pub joins_changed: Vec<String>,
    /// The secrets that the nodes in `nodes` may open.
    pub secret_refs: Vec<SecretRefWrite>,
    /// Webhooks that are new.
    pub webhooks: Vec<WebhookWrite>,
    /// Live webhooks whose authentication or headers differ.
    pub webhooks_changed: Vec<WebhookChange>,
    /// Live webhooks whose node is no longer a webhook trigger.
    pub webhooks_removed: Vec<WebhookId>,
    /// The token or user that applies.
    pub applied_by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// A row of `webhooks`. Its `Debug` shows no key: keys are sealed, tokens hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookWrite {
    /// `webhooks.id`
    pub id: WebhookId,
    /// The trigger node.
    pub node_id: String,
    /// The last part of its URL: 128 random bits.
    pub address: String,
    /// `signature`, `bearer`, `header_token` or `none`.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value identifies a delivery, lower case.
    pub deduplication_header: Option<String>,
    /// The credential that its callers are checked with.
    pub credential: WebhookCredential,
}

/// A live webhook that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookChange {
    /// `webhooks.id`
    pub id: WebhookId,
    /// `signature`, `bearer`, `header_token` or `none`.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value identifies a delivery, lower case.
    pub deduplication_header: Option<String>,
    /// The new credential that its callers are checked with; None: the present one stays.
    pub credential: Option<WebhookCredential>,
}

/// The credential that a webhook's callers are checked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookCredential {
    /// The sealed entry of the key; only for `signature`.
    pub signing_keys: Option<Vec<u8>>,
    /// The name of that entry.
    pub current_key_name: Option<String>,
    /// SHA-256 of the token; only for `bearer` and `header_token`.
    pub token_sha256: Option<Vec<u8>>,
}

/// Writes an apply in one transaction.
///
/// The lock of the workflow's row makes two applies of one workflow follow each other. Then the
/// nodes that change are locked in their order: a builder that starts executions there has ended,
/// or reads the new limits.
///
/// # Errors
/// [`StoreError::Conflict`] when the workflow no longer has the planned version, or another
/// workflow of that name was made meanwhile: load and plan again. [`StoreError::NotFound`] when the
/// organization was deleted.
pub async fn apply_workflow(
    store: Audited<'_>,
    write: &WorkflowWrite,
) -> Result<AppliedWorkflow, StoreError> {
    let applied = store.run_tx("apply_workflow", |tx| apply_in(tx, write)).await;
    match applied {
        Err(StoreError::Rejected { constraint: Some(name), .. }) if name == "workflows_name_live" => {
            Err(StoreError::Conflict("a workflow of that name was made meanwhile"))
        }
        applied => applied,
    }
}

async fn apply_in(tx: Tx, write: &WorkflowWrite) -> Result<AppliedWorkflow, StoreError> {
    share_organization(&tx, write.organization_id).await?;
    share_blueprints(&tx, write.organization_id, &write.blueprints).await?;
    let version = match write.version_planned {
        None => insert_workflow(&tx, write).await?,
        Some(planned) => {
            lock_workflow(&tx, write.organization_id, write.workflow_id, Some(planned)).await?;
            lock_nodes(&tx, write).await?;
            update_workflow(&tx, write, planned + 1).await?;
            planned + 1
        }
    };
    insert_version(&tx, write, version).await?;
    let removed = remove_nodes(&tx, write).await?;
    free_names(&tx, write).await?;
    change_concurrency_keys(&tx, write).await?;
    write_nodes(&tx, write, version).await?;
    write_schedules(&tx, write).await?;
    if let Some(handlers) = &write.error_handlers {
        write_error_handlers(&tx, write, handlers).await?;
    }
    insert_secret_refs(&tx, write, version).await?;
    remove_webhooks(&tx, write).await?;
    insert_webhooks(&tx, write).await?;
    for change in &write.webhooks_changed {
        change_webhook(&tx, write, change).await?;
    }
    write_merges(&tx, write).await?;
    let mut held = removed.held;
    held.extend(cause_joins_changed(&tx, write.workflow_id, &write.joins_changed).await?);
    let settled = settle_runs_of(&tx, &removed.ended, write.now).await?;
    held.extend(settled.held());
    Ok(AppliedWorkflow { version, held })
}

/// Keeps the organization from being deleted during a transaction whose rows the deletion would
/// miss.
pub(super) async fn share_organization(tx: &Tx, organization_id: OrganizationId) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* share_organization */ SELECT id FROM organizations
             WHERE id = $1 AND deleted_at IS NULL
             FOR SHARE",
            &[(&organization_id, Type::UUID)],
        )
        .await?;
    if rows.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
}

/// Locks the live workflow and checks that it still has the version; returns its version.
pub(super) async fn lock_workflow(
    tx: &Tx,
    organization_id: OrganizationId,
    workflow_id: WorkflowId,
    version_expected: Option<i64>,
) -> Result<i64, StoreError> {
    let rows = tx
        .query(
            "/* lock_workflow */
             SELECT version FROM workflows
             WHERE id = $1 AND organization_id = $2 AND deleted_at IS NULL
             FOR NO KEY UPDATE",
            &[(&workflow_id, Type::UUID), (&organization_id, Type::UUID)],
        )
        .await?;
    let version: i64 = match rows.first() {
        Some(row) => column(row, "version")?,
        None if version_expected.is_some() => {
            return Err(StoreError::Conflict("the workflow was deleted meanwhile"));
        }
        None => return Err(StoreError::NotFound),
    };
    match version_expected {
        Some(expected) if expected != version => {
            Err(StoreError::Conflict("the workflow was applied meanwhile"))
        }
        _ => Ok(version),
    }
}

async fn lock_nodes(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    let ids: Vec<&str> = write
        .nodes
        .iter()
        .map(|node| &node.node_id)
        .chain(&write.nodes_removed)
        .chain(write.merges.iter().map(|merges| &merges.node_id))
        .map(String::as_str)
        .collect();
    tx.query(
        "/* apply_workflow: lock nodes */
         SELECT node_id FROM workflow_nodes
         WHERE workflow_id = $1 AND node_id = ANY($2)
         ORDER BY node_id FOR NO KEY UPDATE",
        &[(&write.workflow_id, Type::UUID), (&ids, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(())
}

/// `outputs` as they are stored.
fn outputs(definition: &Definition) -> Option<Value> {
    (!definition.outputs.is_empty()).then(|| Value::Object(definition.outputs.clone()))
}

/// `nodes`, `edges` and `applied_edges` as they are stored.
fn stored(definition: &Definition) -> Result<(Value, Value, Option<Value>), StoreError> {
    let nodes =
        serde_json::to_value(&definition.nodes).map_err(|_| StoreError::Corrupt("workflows.nodes"))?;
    let edges =
        |edges: &Vec<Edge>| serde_json::to_value(edges).map_err(|_| StoreError::Corrupt("workflows.edges"));
    let applied_edges = definition.applied_edges.as_ref().map(edges).transpose()?;
    Ok((nodes, edges(&definition.edges)?, applied_edges))
}

async fn insert_workflow(tx: &Tx, write: &WorkflowWrite) -> Result<i64, StoreError> {
    let (nodes, edges, applied_edges) = stored(&write.definition)?;
    tx.query(
        "/* apply_workflow: insert */
         INSERT INTO workflows
             (id, organization_id, name, description, nodes, edges, version, created_by, created_at,
              updated_at, timeout_seconds, applied_edges, outputs)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $8, $9, $10, $11)",
        &[
            (&write.workflow_id, Type::UUID),
            (&write.organization_id, Type::UUID),
            (&write.definition.name, Type::TEXT),
            (&write.definition.description, Type::TEXT),
            (&nodes, Type::JSONB),
            (&edges, Type::JSONB),
            (&write.applied_by.to_string(), Type::TEXT),
            (&write.now, Type::TIMESTAMPTZ),
            (&timeout_seconds(&write.definition), Type::INT4),
            (&applied_edges, Type::JSONB),
            (&outputs(&write.definition), Type::JSONB),
        ],
    )
    .await?;
    Ok(1)
}

async fn update_workflow(tx: &Tx, write: &WorkflowWrite, version: i64) -> Result<(), StoreError> {
    let (nodes, edges, applied_edges) = stored(&write.definition)?;
    tx.query(
        "/* apply_workflow: update */
         UPDATE workflows
         SET description = $2, nodes = $3, edges = $4, version = $5, updated_at = $6,
             timeout_seconds = $7, applied_edges = $8, outputs = $9
         WHERE id = $1",
        &[
            (&write.workflow_id, Type::UUID),
            (&write.definition.description, Type::TEXT),
            (&nodes, Type::JSONB),
            (&edges, Type::JSONB),
            (&version, Type::INT8),
            (&write.now, Type::TIMESTAMPTZ),
            (&timeout_seconds(&write.definition), Type::INT4),
            (&applied_edges, Type::JSONB),
            (&outputs(&write.definition), Type::JSONB),
        ],
    )
    .await?;
    Ok(())
}

/// `timeout_seconds` as it is stored.
fn timeout_seconds(definition: &Definition) -> Option<i32> {
    definition.timeout_seconds.and_then(|seconds| i32::try_from(seconds).ok())
}

async fn insert_version(tx: &Tx, write: &WorkflowWrite, version: i64) -> Result<(), StoreError> {
    tx.query(
        "/* apply_workflow: version */
         INSERT INTO workflow_versions
             (workflow_id, version, nodes, edges, applied_edges, created_by, created_at)
         SELECT w.id, w.version, w.nodes, w.edges, w.applied_edges, $3, $4
         FROM workflows w
         WHERE w.id = $1 AND w.version = $2",
        &[
            (&write.workflow_id, Type::UUID),
            (&version, Type::INT8),
            (&write.applied_by.to_string(), Type::TEXT),
            (&write.now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

async fn remove_nodes(tx: &Tx, write: &WorkflowWrite) -> Result<RemovedWork, StoreError> {
    if write.nodes_removed.is_empty() {
        return Ok(RemovedWork::default());
    }
    tx.query(
        "/* apply_workflow: remove nodes */
         UPDATE workflow_nodes SET deleted_at = $3, updated_at = $3
         WHERE workflow_id = $1 AND node_id = ANY($2) AND deleted_at IS NULL",
        &[
            (&write.workflow_id, Type::UUID),
            (&write.nodes_removed, Type::TEXT_ARRAY),
            (&write.now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    end_pending_of_nodes(tx, write.workflow_id, &write.nodes_removed, write.now).await
}

/// Moves names that change out of the way: the unique index is checked row by row, so nodes could
/// not swap their names.
async fn free_names(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if write.version_planned.is_none() || write.nodes.is_empty() {
        return Ok(());
    }
    let (ids, names): (Vec<&str>, Vec<&str>) =
        write.nodes.iter().map(|node| (node.node_id.as_str(), node.name.as_str())).unzip();
    tx.query(
        "/* apply_workflow: free names */
         UPDATE workflow_nodes n SET name = gen_random_uuid()::text
         FROM unnest($2::text[], $3::text[]) AS new (node_id, name)
         WHERE n.workflow_id = $1 AND n.node_id = new.node_id AND n.name <> new.name
           AND n.deleted_at IS NULL",
        &[(&write.workflow_id, Type::UUID), (&ids, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(())
}

/// Makes waiting items unresolved where their node's key is replaced by another; active executions
/// keep their value. Where a node gets its first key or loses its key, the builder recognises
/// unresolved items by their value. An item that another transaction holds keeps its value, for no
/// transaction waits for an item's lock.
async fn change_concurrency_keys(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if write.version_planned.is_none() || write.nodes.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = write.nodes.iter().map(|node| node.node_id.as_str()).collect();
    let keys: Vec<Option<&str>> = write.nodes.iter().map(|node| node.concurrency_key.as_deref()).collect();
    tx.query(
        "/* apply_workflow: concurrency keys */
         UPDATE workflow_node_queue_items i SET concurrency_key = NULL
         FROM (SELECT i.id
               FROM unnest($2::text[], $3::text[]) AS new (node_id, concurrency_key)
               JOIN workflow_nodes n
                 ON n.workflow_id = $1::uuid AND n.node_id = new.node_id
                   AND n.concurrency_key <> new.concurrency_key
               JOIN workflow_node_queue_items i
                 ON i.workflow_id = n.workflow_id AND i.node_id = n.node_id
               ORDER BY i.id FOR UPDATE OF i SKIP LOCKED) waiting
         WHERE i.id = waiting.id",
        &[(&write.workflow_id, Type::UUID), (&ids, Type::TEXT_ARRAY), (&keys, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(())
}

/// A removed node that is added again, or a node that gets another type, starts a new generation:
/// items of the generation before do not revive.
async fn write_nodes(tx: &Tx, write: &WorkflowWrite, version: i64) -> Result<(), StoreError> {
    if write.nodes.is_empty() {
        return Ok(());
    }
    let nodes = &write.nodes;
    let rates: Vec<_> = nodes.iter().map(|node| node.rate).collect();
    let bursts: Vec<_> =
        rates.iter().map(|rate| rate.and_then(|rate| i32::try_from(rate.burst).ok())).collect();
    let rows = tx
        .query(
            "/* apply_workflow: nodes */
             INSERT INTO workflow_nodes AS n
                 (workflow_id, node_id, name, type, ref, configuration, concurrency_max, position,
                  webhook_id, concurrency_key, rate_per_second, rate_burst, parent_node_id, version,
                  created_at, updated_at)
             SELECT $1, new.node_id, new.name, new.type, new.ref, new.configuration,
                 new.concurrency_max, new.position, new.webhook_id, new.concurrency_key,
                 new.rate_per_second, new.rate_burst, new.parent_node_id, $10, $11, $11
             FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[],
                         $7::integer[], $8::jsonb[], $9::uuid[], $12::text[],
                         $13::float8[], $14::integer[], $15::text[])
                 AS new (node_id, name, type, ref, configuration, concurrency_max, position,
                         webhook_id, concurrency_key, rate_per_second, rate_burst, parent_node_id)
             ORDER BY new.node_id
             ON CONFLICT (workflow_id, node_id) DO UPDATE SET
                 name = excluded.name, type = excluded.type, ref = excluded.ref,
                 configuration = excluded.configuration, concurrency_max = excluded.concurrency_max,
                 position = excluded.position, webhook_id = excluded.webhook_id,
                 concurrency_key = excluded.concurrency_key,
                 rate_per_second = excluded.rate_per_second, rate_burst = excluded.rate_burst,
                 parent_node_id = excluded.parent_node_id, version = excluded.version,
                 updated_at = excluded.updated_at, deleted_at = NULL,
                 generation = n.generation + CASE
                     WHEN n.deleted_at IS NOT NULL OR n.type <> excluded.type THEN 1 ELSE 0 END
             RETURNING n.node_id",
            &[
                (&write.workflow_id, Type::UUID),
                (&nodes.iter().map(|node| node.node_id.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
                (&nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
                (&nodes.iter().map(|node| node.node_type.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
                (&nodes.iter().map(|node| &node.reference).collect::<Vec<_>>(), Type::JSONB_ARRAY),
                (&nodes.iter().map(|node| &node.configuration).collect::<Vec<_>>(), Type::JSONB_ARRAY),
                (&nodes.iter().map(|node| node.concurrency_max).collect::<Vec<_>>(), Type::INT4_ARRAY),
                (&nodes.iter().map(|node| node.position.as_ref()).collect::<Vec<_>>(), Type::JSONB_ARRAY),
                (&nodes.iter().map(|node| node.webhook_id).collect::<Vec<_>>(), Type::UUID_ARRAY),
                (&version, Type::INT8),
                (&write.now, Type::TIMESTAMPTZ),
                (
                    &nodes.iter().map(|node| node.concurrency_key.as_deref()).collect::<Vec<_>>(),
                    Type::TEXT_ARRAY,
                ),
                (
                    &rates.iter().map(|rate| rate.map(|rate| rate.per_second)).collect::<Vec<_>>(),
                    Type::FLOAT8_ARRAY,
                ),
                (&bursts, Type::INT4_ARRAY),
                (
                    &nodes.iter().map(|node| node.parent_node_id.as_deref()).collect::<Vec<_>>(),
                    Type::TEXT_ARRAY,
                ),
            ],
        )
        .await?;
    if rows.len() == nodes.len() { Ok(()) } else { Err(StoreError::Corrupt("workflow_nodes")) }
}

async fn write_merges(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if write.merges.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = write.merges.iter().map(|merges| merges.node_id.as_str()).collect();
    let merges: Vec<Json<&Vec<String>>> = write.merges.iter().map(|merges| Json(&merges.merges)).collect();
    tx.query(
        "/* apply_workflow: merges */
         UPDATE workflow_nodes n SET merges = ARRAY(SELECT jsonb_array_elements_text(new.merges))
         FROM unnest($2::text[], $3::jsonb[]) AS new (node_id, merges)
         WHERE n.workflow_id = $1 AND n.node_id = new.node_id",
        &[(&write.workflow_id, Type::UUID), (&ids, Type::TEXT_ARRAY), (&merges, Type::JSONB_ARRAY)],
    )
    .await?;
    Ok(())
}

async fn insert_secret_refs(tx: &Tx, write: &WorkflowWrite, version: i64) -> Result<(), StoreError> {
    if write.secret_refs.is_empty() {
        return Ok(());
    }
    let refs = &write.secret_refs;
    tx.query(
        "/* apply_workflow: secret refs */
         INSERT INTO workflow_node_secret_refs
             (workflow_id, node_id, node_version, secret_name, secret_key, field)
         SELECT $1, new.node_id, $2, new.secret_name, new.secret_key, new.field
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[])
             AS new (node_id, secret_name, secret_key, field)",
        &[
            (&write.workflow_id, Type::UUID),
            (&version, Type::INT8),
            (&refs.iter().map(|secret| secret.node_id.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&refs.iter().map(|secret| secret.secret_name.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&refs.iter().map(|secret| secret.secret_key.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&refs.iter().map(|secret| secret.field.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ],
    )
    .await?;
    Ok(())
}
