//! Rows of triggers that begin runs by themselves, as an apply writes them.

use domain::ids::WorkflowId;
use domain::node_write::ErrorHandlerWrite;
use tokio_postgres::types::Type;

use super::WorkflowWrite;
use crate::types::collect;
use crate::{StoreError, Tx};

/// Writes the schedules that are new or differ, and deletes those of nodes that are none any more.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn write_schedules(tx: &Tx, write: &WorkflowWrite) -> Result<(), StoreError> {
    if !write.schedules_removed.is_empty() {
        tx.query(
            "/* apply_workflow: remove schedules */
             DELETE FROM schedules WHERE workflow_id = $1::uuid AND node_id = ANY($2::text[])",
            &[(&write.workflow_id, Type::UUID), (&write.schedules_removed, Type::TEXT_ARRAY)],
        )
        .await?;
    }
    if write.schedules.is_empty() {
        return Ok(());
    }
    let schedules = &write.schedules;
    let next: Vec<_> = schedules.iter().map(|schedule| schedule.next).collect();
    tx.query(
        "/* apply_workflow: schedules */
         INSERT INTO schedules (workflow_id, node_id, next_at, due_at, sent_at, updated_at)
         SELECT $1::uuid, new.node_id, new.next_at, new.due_at,
             CASE WHEN new.is_sent THEN $6::timestamptz END, $6
         FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bool[])
             AS new (node_id, next_at, due_at, is_sent)
         ORDER BY new.node_id
         ON CONFLICT (workflow_id, node_id) DO UPDATE SET
             next_at = excluded.next_at, due_at = excluded.due_at, sent_at = excluded.sent_at,
             updated_at = excluded.updated_at",
        &[
            (&write.workflow_id, Type::UUID),
            (&collect(schedules, |schedule| schedule.node_id.as_str()), Type::TEXT_ARRAY),
            (&collect(&next, |next| next.map(|(next_at, _)| next_at)), Type::TIMESTAMPTZ_ARRAY),
            (&collect(&next, |next| next.map(|(_, due_at)| due_at)), Type::TIMESTAMPTZ_ARRAY),
            (&collect(schedules, |schedule| schedule.is_sent), Type::BOOL_ARRAY),
            (&write.now, Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map(drop)
}

/// Writes the workflows that the triggers of the type `on_error` watch.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn write_error_handlers(
    tx: &Tx,
    write: &WorkflowWrite,
    handlers: &[ErrorHandlerWrite],
) -> Result<(), StoreError> {
    remove_error_handlers(tx, write.workflow_id).await?;
    tx.query_unless_empty(
        handlers,
        "/* apply_workflow: error handlers */
         INSERT INTO error_handlers (organization_id, workflow_name, workflow_id, node_id)
         SELECT $1::uuid, new.workflow_name, $2::uuid, new.node_id
         FROM unnest($3::text[], $4::text[]) AS new (node_id, workflow_name)",
        [
            (&write.organization_id, Type::UUID),
            (&write.workflow_id, Type::UUID),
            (&collect(handlers, |handler| handler.node_id.as_str()), Type::TEXT_ARRAY),
            (&collect(handlers, |handler| handler.workflow_name.as_str()), Type::TEXT_ARRAY),
        ],
    )
    .await
    .map(drop)
}

/// Ends the watching of a workflow's triggers.
pub(super) async fn remove_error_handlers(tx: &Tx, workflow_id: WorkflowId) -> Result<(), StoreError> {
    let remove = "/* remove_error_handlers */
        DELETE FROM error_handlers WHERE workflow_id = $1::uuid";
    tx.query(remove, &[(&workflow_id, Type::UUID)]).await.map(drop)
}
