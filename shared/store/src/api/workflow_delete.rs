use domain::actor::Actor;
use domain::ids::{OrganizationId, WorkflowId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::Audited;
use super::removed::end_pending_of_nodes;
use super::trigger_writes::remove_error_handlers;
use super::workflow_apply::{lock_workflow, share_organization};
use crate::held_causes::HeldWake;
use crate::runs::settle_runs_of;
use crate::types::column;
use crate::{StoreError, Tx};

/// The nodes and held executions that a deletion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedWorkflow {
    /// The nodes that were live. The caller wakes the builder for them after the commit, and the
    /// builder ends their waiting items.
    pub node_ids: Vec<String>,
    /// Held executions that are to end: the caller sends their wakes.
    pub held: Vec<HeldWake>,
}

/// Deletes a workflow: its nodes are removed and its webhooks end. History stays.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such live workflow in the organization.
pub async fn delete_workflow(
    store: Audited<'_>,
    organization_id: OrganizationId,
    workflow_id: WorkflowId,
    deleted_by: &Actor,
    now: Timestamp,
) -> Result<DeletedWorkflow, StoreError> {
    store.run_tx("delete_workflow", |tx| delete_in(tx, organization_id, workflow_id, deleted_by, now)).await
}

async fn delete_in(
    tx: Tx,
    organization_id: OrganizationId,
    workflow_id: WorkflowId,
    deleted_by: &Actor,
    now: Timestamp,
) -> Result<DeletedWorkflow, StoreError> {
    share_organization(&tx, organization_id).await?;
    let version = lock_workflow(&tx, organization_id, workflow_id, None).await?;
    let nodes = tx
        .query(
            "/* delete_workflow: lock nodes */
             SELECT node_id FROM workflow_nodes WHERE workflow_id = $1 AND deleted_at IS NULL
             ORDER BY node_id FOR NO KEY UPDATE",
            &[(&workflow_id, Type::UUID)],
        )
        .await?;
    let node_ids = nodes.iter().map(|row| column(row, "node_id")).collect::<Result<Vec<String>, _>>()?;
    tx.query(
        "/* delete_workflow: nodes */
         UPDATE workflow_nodes SET deleted_at = $3, updated_at = $3
         WHERE workflow_id = $1 AND node_id = ANY($2)",
        &[(&workflow_id, Type::UUID), (&node_ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let removed = end_pending_of_nodes(&tx, workflow_id, &node_ids, now).await?;
    tx.query(
        "/* delete_workflow: webhooks */
         UPDATE webhooks SET deleted_at = $2, updated_at = $2, version = version + 1
         WHERE workflow_id = $1 AND deleted_at IS NULL",
        &[(&workflow_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    tx.query(
        "/* delete_workflow: schedules */ DELETE FROM schedules WHERE workflow_id = $1::uuid",
        &[(&workflow_id, Type::UUID)],
    )
    .await?;
    remove_error_handlers(&tx, workflow_id).await?;
    // The version is raised too, so plans with the definition from before are made anew.
    tx.query(
        "/* delete_workflow: workflow */
         WITH deleted AS (
             UPDATE workflows SET deleted_at = $2, updated_at = $2, version = $3 + 1
             WHERE id = $1
             RETURNING id, version, nodes, edges, applied_edges)
         INSERT INTO workflow_versions
             (workflow_id, version, nodes, edges, applied_edges, created_by, created_at)
         SELECT id, version, nodes, edges, applied_edges, $4, $2 FROM deleted",
        &[
            (&workflow_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&version, Type::INT8),
            (&deleted_by.to_string(), Type::TEXT),
        ],
    )
    .await?;
    let settled = settle_runs_of(&tx, &removed.ended, now).await?;
    let held = removed.held.into_iter().chain(settled.held()).collect();
    Ok(DeletedWorkflow { node_ids, held })
}
