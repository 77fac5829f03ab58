//! The beginning of runs that nobody starts.

use definition::{compile_trigger, plan_root};
use domain::definition::{Edge, Node};
use domain::ids::ItemId;
use domain::root::PlannedRoot;
use jiff::Timestamp;
use serde_json::Value;
use store::StoreError;

use crate::PlanDeps;

/// Plans the root event of a trigger, with the ids of its items. `edges` are as they are stored.
///
/// # Errors
/// [`StoreError::Corrupt`] where this version can't read the edges.
pub(crate) fn plan_trigger(
    node: &Node,
    edges: &Value,
    data: &Value,
    now: Timestamp,
    deps: &PlanDeps,
) -> Result<(PlannedRoot, Vec<ItemId>), StoreError> {
    let edges: Vec<Edge> =
        serde_json::from_value(edges.clone()).map_err(|_| StoreError::Corrupt("workflows.edges"))?;
    let plan = plan_root(node, compile_trigger(node).as_ref(), &edges, data, now);
    for field in &plan.failed {
        tracing::info!(node_id = node.id, field, "a template of the trigger can't be resolved");
    }
    let item_ids = plan.root.targets.iter().map(|_| deps.ids.next(now)).collect();
    Ok((plan.root, item_ids))
}
