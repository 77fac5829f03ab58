//! Nodes with a concurrency key: items are seen before any is taken, in a transaction of its own that stores
//! what their keys came to. Then they wait in the order of their key.

use domain::limits::CLAIM_ITEMS_MAX;
use store::builder::{
    LockMode, NodeKey, SuspectItem, Wakes, find_unseen_items, load_batch, lock_woken_nodes, write_keys,
};
use store::{StoreError, Tx};
use uuid::Uuid;

use crate::Deps;
use crate::batch::{
    BatchError, Built, LOCKED_WAKE_SECONDS, PLANS_MAX, Take, build_once, know, known_workflows, load_request,
    node_message, without_data,
};
use crate::plan::{Fallback, PlanInput, plan_keys};
use crate::suspects::find_all;

/// What is seen.
#[derive(Clone, Copy)]
pub(crate) enum See<'a> {
    /// The first items of these nodes.
    Nodes(&'a [NodeKey]),
    /// One item, alone.
    One(&'a SuspectItem, Fallback),
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Items that were left out, to be seen alone.
    suspects: Vec<SuspectItem>,
    /// Items whose key is known now, or that have ended.
    items: usize,
}

/// Sees items and stores their keys.
///
/// # Errors
/// See [`StoreError`]; nothing was committed.
pub(crate) async fn see_items(see: See<'_>, deps: &Deps) -> Result<Seen, StoreError> {
    let mut plans = 1;
    loop {
        match deps.store.run_tx("see_items", |tx| see_in(tx, see, deps)).await {
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            result => return result,
        }
    }
}

async fn see_in(tx: Tx, see: See<'_>, deps: &Deps) -> Result<Seen, StoreError> {
    let (nodes, mode, only, fallback) = match see {
        See::Nodes(nodes) => (nodes.to_vec(), LockMode::SkipLocked, None, Fallback::None),
        See::One(item, fallback) => (vec![item.node.clone()], LockMode::Wait, Some(item.id), fallback),
    };
    let nodes = lock_woken_nodes(&tx, &Wakes { event_ids: Vec::new(), nodes }, mode).await?;
    let (mut workflows, unknown) = known_workflows(&nodes, deps);
    let unseen = find_unseen_items(&tx, &nodes.locked_keyed(), only, CLAIM_ITEMS_MAX, &unknown).await?;
    know(&mut workflows, unseen.definitions, deps);
    let seen = Seen { suspects: unseen.suspects, items: unseen.items.len() };
    if unseen.items.is_empty() {
        return Ok(seen);
    }
    let request = without_data(load_request(&unseen.items, &workflows, &nodes.locked), fallback);
    let loaded = load_batch(&tx, &request).await?;
    let now = deps.clock.now();
    let input = PlanInput {
        items: &unseen.items,
        loaded: &loaded,
        workflows: &workflows,
        now,
        public_url: &deps.public_url,
        fallback,
        parts: deps.parts,
    };
    let plan = plan_keys(&input, &mut || deps.ids.next(now));
    write_keys(&tx, &plan.keys, &plan.ended, &plan.rows, now).await?;
    Ok(seen)
}

/// Sees what waits unseen at nodes of a batch, and builds what has a slot then.
///
/// # Errors
/// [`BatchError`] when the database failed; what was committed stays.
pub(crate) async fn build_unseen(
    nodes: Vec<(Uuid, NodeKey)>,
    built: &mut Built,
    deps: &Deps,
) -> Result<(), BatchError> {
    let wakes = Wakes { event_ids: Vec::new(), nodes: nodes.iter().map(|(_, key)| key.clone()).collect() };
    let result = match see_items(See::Nodes(&wakes.nodes), deps).await {
        Ok(seen) => {
            build_once(Take::Batch(&wakes, LockMode::SkipLocked), deps).await.map(|again| (seen, again))
        }
        Err(error) => Err(error),
    };
    let (seen, mut again) = match result {
        // As with a batch: each is seen and built alone, so that only the bad one fails.
        Err(StoreError::Rejected { .. }) => {
            let (suspects, again) = find_all(&wakes, deps).await?;
            built.suspects.extend(suspects);
            built.again.nodes.extend(again.nodes);
            return Ok(());
        }
        Err(error) if error.is_lock_timeout() => {
            built.again.nodes.extend(wakes.nodes);
            return Ok(());
        }
        result => result?,
    };
    // Suspects come after the others, and then their nodes are woken; what another transaction holds is looked at again.
    let delay_seconds = if seen.items > 0 { 0 } else { LOCKED_WAKE_SECONDS };
    let is_suspect = |key: &NodeKey| seen.suspects.iter().any(|item| item.node == *key);
    let unseen = again.take_unseen().into_iter().filter(|(_, key)| !is_suspect(key));
    let unseen: Vec<_> = unseen.map(|(organization_id, key)| (organization_id, key, delay_seconds)).collect();
    let skipped = again.take_skipped().into_iter().map(|(id, key)| (id, key, LOCKED_WAKE_SECONDS));
    again.messages.extend(unseen.into_iter().chain(skipped).map(|(organization_id, key, delay_seconds)| {
        queue::Outgoing { delay_seconds, ..queue::Outgoing::now(organization_id, node_message(&key)) }
    }));
    again.send(deps).await;
    built.suspects.extend(seen.suspects);
    built.suspects.append(&mut again.suspects);
    Ok(())
}
