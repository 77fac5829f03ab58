//! Definitions by workflow and version, kept by a warm instance.

use std::collections::HashMap;
use std::sync::Arc;

use bounded_cache::Cache;
use definition::Compiled;
use domain::definition::Definition;
use domain::ids::{OrganizationId, WorkflowId};
use domain::json::weight;
use serde_json::json;
use store::builder::{LockedNodes, StoredDefinition};

use crate::PlanDeps;

/// A workflow as of one version, with its templates parsed.
pub struct Workflow {
    /// `workflows.id`
    pub id: WorkflowId,
    /// `workflows.organization_id`
    pub organization_id: OrganizationId,
    /// `workflows.version`
    pub version: i64,
    /// Its definition.
    pub compiled: Compiled,
}

/// Weight ([`weight`]) of the definitions that an instance keeps.
const DEFINITIONS_WEIGHT_MAX: usize = 64 * 1024 * 1024;
/// Weight of a workflow, not counting its nodes and edges.
const WORKFLOW_WEIGHT: usize = 4 * 1024;

/// A cache of workflows; an entry serves only the version that it was made from.
pub struct Definitions(Cache<WorkflowId, Arc<Workflow>>);

impl Default for Definitions {
    fn default() -> Self {
        Self(Cache::new(DEFINITIONS_WEIGHT_MAX))
    }
}

impl Definitions {
    /// The workflow, when it is known in that version.
    #[must_use]
    pub fn get(&self, workflow_id: WorkflowId, version: i64) -> Option<Arc<Workflow>> {
        self.0.get(&workflow_id).filter(|workflow| workflow.version == version)
    }

    /// Compiles what was loaded and keeps it.
    ///
    /// None for a definition that can't be read: a newer version of sealflow wrote it.
    pub fn insert(&self, stored: StoredDefinition) -> Option<Arc<Workflow>> {
        let outputs = stored.outputs.as_ref().map_or(0, weight);
        let weight = WORKFLOW_WEIGHT + weight(&stored.nodes) + weight(&stored.edges) + outputs;
        let definition: Definition = serde_json::from_value(json!({
            "name": stored.name,
            "description": stored.description,
            "nodes": stored.nodes,
            "edges": stored.edges,
            "outputs": stored.outputs.unwrap_or_else(|| json!({})),
        }))
        .inspect_err(
            |_| tracing::error!(workflow_id = %stored.workflow_id, "the stored definition can't be read"),
        )
        .ok()?;
        let workflow = Arc::new(Workflow {
            id: stored.workflow_id,
            organization_id: stored.organization_id,
            version: stored.version,
            compiled: definition::compile(&definition),
        });
        self.0.insert(workflow.id, weight, Arc::clone(&workflow));
        Some(workflow)
    }
}

/// Workflows by their ids.
pub(crate) type Workflows = HashMap<WorkflowId, Arc<Workflow>>;

/// Keeps definitions that were loaded.
pub(crate) fn cache_definitions(
    workflows: &mut Workflows,
    definitions: Vec<StoredDefinition>,
    deps: &PlanDeps,
) {
    let known = definitions.into_iter().filter_map(|stored| deps.definitions.insert(stored));
    workflows.extend(known.map(|workflow| (workflow.id, workflow)));
}

/// The nodes' workflows: those in the cache, and the ids of the others.
pub(crate) fn cached_workflows(nodes: &LockedNodes, deps: &PlanDeps) -> (Workflows, Vec<WorkflowId>) {
    let (mut cached, mut uncached) = (HashMap::new(), Vec::new());
    for node in &nodes.woken {
        let id = node.key.0;
        match deps.definitions.get(id, node.workflow_version) {
            Some(workflow) => {
                cached.insert(id, workflow);
            }
            None if !uncached.contains(&id) => uncached.push(id),
            None => {}
        }
    }
    (cached, uncached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_kept_up_to_a_weight_i10() {
        let kept = |most: usize| {
            let definitions = Definitions::default();
            let frame = WORKFLOW_WEIGHT
                + weight(&json!([{ "id": "a", "name": "", "component": "noop" }]))
                + weight(&json!([]));
            let stored = StoredDefinition {
                workflow_id: WorkflowId::from_u128(0),
                organization_id: OrganizationId::from_u128(0),
                version: 1,
                name: "w".into(),
                description: String::new(),
                nodes: json!([{ "id": "a", "name": "x".repeat(most - frame), "component": "noop" }]),
                edges: json!([]),
                outputs: None,
            };
            definitions.insert(stored).unwrap();
            definitions.get(WorkflowId::from_u128(0), 1).is_some()
        };
        assert!(kept(DEFINITIONS_WEIGHT_MAX));
        assert!(!kept(DEFINITIONS_WEIGHT_MAX + 1));
    }
}
