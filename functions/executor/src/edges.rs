//! Edges by workflow and version, kept by a warm instance: outputs are routed with those of the
//! transaction that finishes.

use domain::ids::WorkflowId;
use std::collections::HashMap;
use std::sync::Arc;

use bounded_cache::Cache;
use domain::definition::Edge;
use store::StoreError;
use store::executor::load_edges;

use crate::Deps;

/// Edges that an instance keeps; a workflow counts for some beside its own.
const EDGES_KEPT_MAX: usize = 100_000;
const EDGES_OF_A_WORKFLOW: usize = 50;

/// Edges with the version of their workflow.
pub type VersionedEdges = (i64, Arc<Vec<Edge>>);

/// A cache of edges: the newest version that is known of each workflow.
pub struct EdgesCache(Cache<WorkflowId, VersionedEdges>);

impl Default for EdgesCache {
    fn default() -> Self {
        Self(Cache::new(EDGES_KEPT_MAX))
    }
}

impl EdgesCache {
    fn insert(&self, workflow_id: WorkflowId, version: i64, edges: Vec<Edge>) -> VersionedEdges {
        let versioned = (version, Arc::new(edges));
        self.0.insert(workflow_id, EDGES_OF_A_WORKFLOW + versioned.1.len(), versioned.clone());
        versioned
    }
}

/// The edges of workflows, loaded where they are not known in at least the version that was asked
/// for.
///
/// # Errors
/// See [`StoreError`].
pub async fn edges_of(
    wanted: &[(WorkflowId, i64)],
    deps: &Deps,
) -> Result<HashMap<WorkflowId, VersionedEdges>, StoreError> {
    let (mut found, mut unknown) = (HashMap::new(), Vec::new());
    for (workflow_id, version) in wanted {
        match deps.edges.0.get(workflow_id).filter(|(known, _)| known >= version) {
            Some(edges) => {
                found.insert(*workflow_id, edges);
            }
            None => unknown.push(*workflow_id),
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    if !unknown.is_empty() {
        for stored in load_edges(&deps.store, &unknown).await? {
            let edges = serde_json::from_value(stored.edges).map_err(|_| StoreError::Corrupt("edges"))?;
            let edges = deps.edges.insert(stored.workflow_id, stored.version, edges);
            found.insert(stored.workflow_id, edges);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_edges_are_kept_and_no_more_i10() {
        let kept = |edges: usize| {
            let cache = EdgesCache::default();
            let edge = Edge { from: "a".into(), channel: "default".into(), to: "b".into() };
            cache.insert(WorkflowId::from_u128(0), 1, vec![edge; edges - EDGES_OF_A_WORKFLOW]);
            cache.0.get(&WorkflowId::from_u128(0)).is_some()
        };
        assert!(kept(EDGES_KEPT_MAX));
        assert!(!kept(EDGES_KEPT_MAX + 1));
    }
}
