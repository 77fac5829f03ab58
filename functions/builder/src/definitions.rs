//! Definitions by workflow and version, kept by a warm instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use definition::Compiled;
use model::definition::Definition;
use serde_json::json;
use store::builder::StoredDefinition;
use uuid::Uuid;

/// A workflow as of one version, with its templates parsed.
pub struct Workflow {
    /// `workflows.id`
    pub id: Uuid,
    /// `workflows.organization_id`
    pub organization_id: Uuid,
    /// `workflows.version`
    pub version: i64,
    /// Its definition.
    pub compiled: Compiled,
}

/// Workflows that an instance keeps; above it the cache starts anew.
const WORKFLOWS_MAX: usize = 200;

/// A cache of workflows; an entry serves only the version that it was made from.
#[derive(Default)]
pub struct Definitions {
    workflows: Mutex<HashMap<Uuid, Arc<Workflow>>>,
}

impl Definitions {
    /// The workflow, when it is known in that version.
    #[must_use]
    pub fn get(&self, workflow_id: Uuid, version: i64) -> Option<Arc<Workflow>> {
        let workflows = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        workflows.get(&workflow_id).filter(|workflow| workflow.version == version).cloned()
    }

    /// Compiles what was loaded and keeps it.
    ///
    /// None for a definition that can't be read: a newer version of sealflow wrote it.
    pub fn insert(&self, stored: StoredDefinition) -> Option<Arc<Workflow>> {
        let definition: Definition = serde_json::from_value(json!({
            "name": stored.name,
            "description": stored.description,
            "nodes": stored.nodes,
            "edges": stored.edges,
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
        let mut workflows = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        if workflows.len() >= WORKFLOWS_MAX {
            workflows.clear();
        }
        workflows.insert(workflow.id, Arc::clone(&workflow));
        Some(workflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_workflows_are_kept_and_then_it_starts_anew_i10() {
        let definitions = Definitions::default();
        let keep = |workflow: usize| {
            let stored = StoredDefinition {
                workflow_id: Uuid::from_u128(u128::try_from(workflow).unwrap()),
                organization_id: Uuid::nil(),
                version: 1,
                name: "w".into(),
                description: String::new(),
                nodes: json!([]),
                edges: json!([]),
            };
            definitions.insert(stored).unwrap();
            definitions.workflows.lock().unwrap().len()
        };
        assert_eq!((1..=WORKFLOWS_MAX).map(keep).last(), Some(WORKFLOWS_MAX));
        assert_eq!(keep(WORKFLOWS_MAX + 1), 1);
    }
}
