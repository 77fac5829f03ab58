//! Edges by workflow and version, kept by a warm instance: outputs are routed with those of the transaction that finishes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::definition::Edge;
use store::StoreError;
use store::executor::load_edges;
use uuid::Uuid;

use crate::Deps;

/// Workflows that an instance keeps; above it the cache starts anew.
const WORKFLOWS_MAX: usize = 1_000;

/// Edges with the version of their workflow.
pub type VersionedEdges = (i64, Arc<Vec<Edge>>);

/// A cache of edges.
#[derive(Default)]
pub struct EdgesCache {
    workflows: Mutex<HashMap<Uuid, VersionedEdges>>,
}

impl EdgesCache {
    /// The edges of the newest version that is known, with that version.
    fn get(&self, workflow_id: Uuid) -> Option<VersionedEdges> {
        self.workflows.lock().unwrap_or_else(PoisonError::into_inner).get(&workflow_id).cloned()
    }

    fn insert(&self, workflow_id: Uuid, version: i64, edges: Vec<Edge>) {
        let mut workflows = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        if workflows.len() >= WORKFLOWS_MAX {
            workflows.clear();
        }
        workflows.insert(workflow_id, (version, Arc::new(edges)));
    }
}

/// The edges of workflows, loaded where they are not known in at least the version that was asked for.
///
/// # Errors
/// See [`StoreError`].
pub async fn edges_of(
    wanted: &[(Uuid, i64)],
    deps: &Deps,
) -> Result<HashMap<Uuid, VersionedEdges>, StoreError> {
    let is_known = |(workflow_id, version): &(Uuid, i64)| {
        deps.edges.get(*workflow_id).is_some_and(|(known, _)| known >= *version)
    };
    let mut unknown: Vec<Uuid> =
        wanted.iter().filter(|wanted| !is_known(wanted)).map(|(id, _)| *id).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if !unknown.is_empty() {
        for stored in load_edges(&deps.store, &unknown).await? {
            let edges = serde_json::from_value(stored.edges).map_err(|_| StoreError::Corrupt("edges"))?;
            deps.edges.insert(stored.workflow_id, stored.version, edges);
        }
    }
    Ok(wanted.iter().filter_map(|(id, _)| deps.edges.get(*id).map(|edges| (*id, edges))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_workflows_are_kept_and_then_it_starts_anew_i10() {
        let cache = EdgesCache::default();
        let keep = |workflow: usize| {
            cache.insert(Uuid::from_u128(u128::try_from(workflow).unwrap()), 1, Vec::new());
            cache.workflows.lock().unwrap().len()
        };
        assert_eq!((1..=WORKFLOWS_MAX).map(keep).last(), Some(WORKFLOWS_MAX));
        assert_eq!(keep(WORKFLOWS_MAX + 1), 1);
    }
}
