//! Concurrency keys: each is resolved (`plan/record.rs`) and stored before its item is claimed, in the
//! transaction that then claims.

use domain::ids::{ItemId, WorkflowId};
use domain::limits::CLAIM_ITEMS_MAX;
use store::builder::{
    ErrorEvent, LimitKey, LockedNodes, QuarantinedItem, find_unresolved_items, load_batch, write_resolved,
};
use store::{EndedWork, NodeKey, StoreError, Tx};

use crate::PlanDeps;
use crate::definitions::{Workflows, cache_definitions};
use crate::load_request::{load_request, without_data};
use crate::plan::{Fallback, PlanInput, plan_keys};

/// The items that are resolved.
#[derive(Clone, Copy)]
pub(crate) enum Resolve {
    /// The first of each node.
    First,
    /// One item alone, and the result with which it ends if it can't be built as planned.
    One(ItemId, Fallback),
}

/// The result of resolving.
#[derive(Default)]
pub(crate) struct Resolved {
    /// The concurrency keys that items have now.
    pub(crate) keys: Vec<LimitKey>,
    /// Items that were left out, to be resolved alone.
    pub(crate) quarantined: Vec<QuarantinedItem>,
    /// The work of items that ended.
    pub(crate) ended: EndedWork,
    /// Items that have a key now, or that ended.
    pub(crate) items: usize,
    /// Events on the channel `error` of items that failed and have such an edge.
    pub(crate) errors: Vec<ErrorEvent>,
}

impl Resolved {
    /// Whether items may be left over: one transaction resolves a limited number.
    pub(crate) fn is_cut(&self) -> bool {
        i64::try_from(self.items).unwrap_or(i64::MAX) >= CLAIM_ITEMS_MAX
    }
}

/// Resolves the concurrency keys of items that wait at locked nodes, and stores them.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn resolve_items(
    tx: &Tx,
    nodes: &LockedNodes,
    resolve: Resolve,
    workflows: &mut Workflows,
    uncached: &mut Vec<WorkflowId>,
    deps: &PlanDeps,
) -> Result<Resolved, StoreError> {
    let locked: Vec<NodeKey> = nodes.unresolved();
    if locked.is_empty() {
        return Ok(Resolved::default());
    }
    let (only, fallback) = match resolve {
        Resolve::First => (None, Fallback::None),
        Resolve::One(id, fallback) => (Some(id), fallback),
    };
    let found = find_unresolved_items(tx, &locked, only, CLAIM_ITEMS_MAX, uncached).await?;
    cache_definitions(workflows, found.definitions, deps);
    uncached.clear();
    let mut resolved = Resolved {
        items: found.items.len() + found.plain_items,
        keys: found.plain,
        quarantined: found.quarantined,
        ..Resolved::default()
    };
    if found.items.is_empty() {
        return Ok(resolved);
    }
    let request = without_data(load_request(&found.items, workflows, &nodes.locked), fallback);
    let loaded = load_batch(tx, &request).await?;
    let now = deps.clock.now();
    let input = PlanInput {
        items: &found.items,
        loaded: &loaded,
        workflows,
        now,
        public_url: &deps.public_url,
        token: &|| deps.ids.random(),
        fallback,
        components: deps.components,
    };
    let plan = plan_keys(&input, &mut || deps.ids.next(now));
    resolved.errors = write_resolved(tx, &plan.keys, &plan.ended, &plan.rows, now).await?;
    resolved.ended = plan.ended_work;
    for (id, concurrency_key) in plan.keys {
        if let Some(item) = found.items.iter().find(|item| item.id == id) {
            resolved.keys.push(LimitKey { node: item.node.clone(), concurrency_key });
        }
    }
    Ok(resolved)
}
