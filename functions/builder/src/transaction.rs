//! One transaction over wakes: lock, resolve keys, claim, load, plan, write, commit.

use std::time::Duration;

use domain::ids::ItemId;
use domain::limits::CLAIM_ITEMS_MAX;
use process::Deadline;
use queue::Outgoing;
use store::builder::{
    Claims, LockedNodes, QuarantinedItem, Wakes, WokenNode, WriteBatch, claim_items, claim_one, load_batch,
    lock_woken_nodes, release_quarantined, write_batch,
};
use store::{EndedWork, LockMode, StoreError, Tx};

use crate::concurrency_keys::{Resolve, resolve_items};
use crate::definitions::{Workflows, cache_definitions, cached_workflows};
use crate::load_request::{load_request, without_data};
use crate::plan::{Fallback, PlanInput, Slots, plan};
use crate::wakes::{error_wakes, held_by_others, leftover_wakes, node_message, settled_wakes, stopped_wakes};
use crate::{Deps, PlanDeps};

/// The reason why a batch was not built.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The database failed; the messages are delivered again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of a transaction.
#[derive(Default)]
pub struct BatchOutcome {
    /// Messages to send.
    pub messages: Vec<Outgoing>,
    /// Items that were left out, to be built alone.
    pub quarantined: Vec<QuarantinedItem>,
    /// Delayed wakes for items and nodes that other transactions hold.
    pub again: Vec<Outgoing>,
    /// Whether there may be more items for the wakes than were found: then the wakes are sent
    /// again.
    pub(crate) is_cut: bool,
    /// Whether rows were written.
    pub(crate) has_written: bool,
    /// The number of items that became executions.
    pub(crate) items: u64,
    /// The work that ended while keys were resolved.
    pub(crate) ended: EndedWork,
    /// Limited nodes that another transaction held.
    pub(crate) skipped: Vec<WokenNode>,
}

/// The items that a transaction claims.
#[derive(Clone, Copy)]
pub enum ClaimTarget<'a> {
    /// All items that the wakes name, without quarantined ones.
    Batch(&'a Wakes, LockMode),
    /// All items that the wakes name, among them the listed ones, on which a crash was counted.
    /// Other quarantined items are left out.
    Begun(&'a Wakes, &'a [ItemId]),
    /// One item, alone.
    One(&'a QuarantinedItem, Fallback),
}

/// The longest time for planning a batch. The server ends a session whose transaction is idle for
/// five seconds, which would look like an outage. The items of a batch that takes longer are built
/// one by one.
pub const PLAN_TIME_MAX: Duration = Duration::from_secs(3);
/// The most plans of one batch: an apply during the transaction makes another plan necessary.
pub(crate) const PLANS_MAX: u32 = 3;

/// Runs one transaction, planning anew when a workflow was applied meanwhile.
///
/// # Errors
/// See [`StoreError`]; nothing was committed.
pub async fn build_once(target: ClaimTarget<'_>, deps: &Deps) -> Result<BatchOutcome, StoreError> {
    let mut plans = 1;
    loop {
        let result = deps.store.run_tx("build", |tx| build_in(tx, target, &deps.plan)).await;
        match result {
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            result => return result,
        }
    }
}

async fn build_in(tx: Tx, target: ClaimTarget<'_>, deps: &PlanDeps) -> Result<BatchOutcome, StoreError> {
    let one;
    let (wakes, mode) = match target {
        ClaimTarget::Batch(wakes, mode) => (wakes, mode),
        ClaimTarget::Begun(wakes, _) => (wakes, LockMode::SkipLocked),
        ClaimTarget::One(item, _) => {
            one = Wakes { event_ids: Vec::new(), nodes: vec![item.node.clone()] };
            (&one, LockMode::Wait)
        }
    };
    let nodes = lock_woken_nodes(&tx, wakes, mode).await?;
    if let ClaimTarget::Begun(_, item_ids) = target {
        release_quarantined(&tx, item_ids).await?;
    }
    let (mut workflows, mut uncached) = cached_workflows(&nodes, deps);
    let (resolve, fallback) = match target {
        ClaimTarget::Batch(..) | ClaimTarget::Begun(..) => (Resolve::First, Fallback::None),
        ClaimTarget::One(item, fallback) => (Resolve::One(item.id, fallback), fallback),
    };
    let resolved = resolve_items(&tx, &nodes, resolve, &mut workflows, &mut uncached, deps).await?;
    let is_cut = resolved.is_cut();
    let has_resolved = resolved.items > 0;
    let messages = error_wakes(&resolved.errors, &workflows).collect();
    let mut claims = match target {
        ClaimTarget::Batch(..) | ClaimTarget::Begun(..) => {
            let keys = nodes.limit_keys(resolved.keys);
            claim_items(&tx, &nodes, &keys, wakes, CLAIM_ITEMS_MAX, &uncached).await?
        }
        ClaimTarget::One(item, _) => claim_one(&tx, item, &uncached).await?,
    };
    cache_definitions(&mut workflows, std::mem::take(&mut claims.definitions), deps);
    let mut built = BatchOutcome {
        skipped: nodes.skipped().map(|node| named_if_taken(node, &claims)).collect(),
        quarantined: resolved.quarantined,
        ended: resolved.ended,
        has_written: has_resolved,
        messages,
        ..BatchOutcome::default()
    };
    built.quarantined.append(&mut claims.quarantined);
    if claims.items.is_empty() {
        built.again = held_by_others(&nodes, &claims.slots, &built.quarantined);
        let rows = WriteBatch { ended: std::mem::take(&mut built.ended), ..WriteBatch::default() };
        let written = write_batch(&tx, &rows, deps.clock.now()).await?;
        built.messages.extend(settled_wakes(&written.settled));
    } else {
        plan_and_write(&tx, &mut built, &nodes, &claims, workflows, fallback, deps).await?;
        built.has_written = true;
        built.items = claims.items.len() as u64;
    }
    if is_cut {
        let unresolved = nodes.woken.iter().filter(|node| node.has_unresolved);
        let wake = |node: &WokenNode| Outgoing::now(node.organization_id, node_message(&node.key));
        built.messages.extend(unresolved.map(wake));
    }
    Ok(built)
}

/// A skipped node for the next try. The claim may have taken an item of the node that only ends and
/// needs no slot. A wake for a free slot may have named that item's event, so the next try names
/// the node itself.
fn named_if_taken(node: &WokenNode, claims: &Claims) -> WokenNode {
    let is_taken = claims.items.iter().any(|item| item.node == node.key);
    WokenNode { is_named: node.is_named || is_taken, ..node.clone() }
}

async fn plan_and_write(
    tx: &Tx,
    built: &mut BatchOutcome,
    nodes: &LockedNodes,
    claims: &Claims,
    workflows: Workflows,
    fallback: Fallback,
    deps: &PlanDeps,
) -> Result<(), StoreError> {
    let request = without_data(load_request(&claims.items, &workflows, &nodes.locked), fallback);
    let loaded = load_batch(tx, &request).await?;
    let now = deps.clock.now();
    let slots = Slots::new(&claims.slots, &loaded.downstream_slots);
    let input = PlanInput {
        items: &claims.items,
        loaded: &loaded,
        workflows: &workflows,
        now,
        public_url: &deps.public_url,
        token: &|| deps.ids.random(),
        fallback,
        components: deps.components,
    };
    let time = Deadline::after(deps.time_max);
    let mut plan = plan(&input, slots, &mut || deps.ids.next(now));
    plan.rows.ended.append(&mut built.ended);
    if time.left().is_zero() && claims.items.len() > 1 {
        return Err(StoreError::Rejected { sqlstate: None, constraint: Some("plan_time_max".to_owned()) });
    }
    let written = write_batch(tx, &plan.rows, now).await?;
    built.messages.extend(plan.messages);
    built.messages.extend(error_wakes(&written.errors, &workflows));
    built.messages.extend(settled_wakes(&written.settled));
    built.messages.extend(stopped_wakes(&plan.rows.run_limits, claims, &workflows));
    built.messages.extend(leftover_wakes(nodes, claims));
    Ok(())
}
