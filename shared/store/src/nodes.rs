//! Keys of nodes.

use domain::ids::WorkflowId;
use tokio_postgres::Row;

use crate::StoreError;
use crate::types::column;

/// A node's key: the ids of workflow and node.
pub type NodeKey = (WorkflowId, String);

pub(crate) fn node_key(row: &Row) -> Result<NodeKey, StoreError> {
    Ok((column(row, "workflow_id")?, column(row, "node_id")?))
}

/// Node keys as the two arrays that `unnest` takes.
pub(crate) fn key_arrays(keys: &[NodeKey]) -> (Vec<WorkflowId>, Vec<&str>) {
    keys.iter().map(|(workflow_id, node_id)| (*workflow_id, node_id.as_str())).unzip()
}
