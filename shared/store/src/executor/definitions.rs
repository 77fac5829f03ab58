use domain::ids::WorkflowId;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::types::column;
use crate::{Store, StoreError};

/// The edges of a workflow in one version.
#[derive(Clone, Debug)]
pub struct StoredEdges {
    /// `workflows.id`
    pub workflow_id: WorkflowId,
    /// `workflows.version`
    pub version: i64,
    /// `workflows.edges`
    pub edges: Value,
}

/// Loads the edges of workflows.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_edges(store: &Store, workflow_ids: &[WorkflowId]) -> Result<Vec<StoredEdges>, StoreError> {
    let rows = store
        .query(
            "/* load_edges */ SELECT id, version, edges FROM workflows WHERE id = ANY($1)",
            &[(&workflow_ids, Type::UUID_ARRAY)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredEdges {
                workflow_id: column(row, "id")?,
                version: column(row, "version")?,
                edges: column(row, "edges")?,
            })
        })
        .collect()
}
