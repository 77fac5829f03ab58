//! One transaction over a batch of wakes: lock, claim, load, plan, write, commit; then send.

use std::collections::HashMap;
use std::sync::Arc;

use domain::limits::CLAIM_ITEMS_MAX;
use domain::message::Message;
use queue::Outgoing;
use store::builder::{
    AncestorRequest, ClaimedItem, Claims, LoadRequest, LockMode, LockedNodes, NodeKey, StoredDefinition,
    SuspectItem, Wakes, WokenNode, claim_items, claim_one, claim_with_keys, load_batch, lock_woken_nodes,
    write_batch,
};
use store::{StoreError, Tx};
use uuid::Uuid;

use crate::Deps;
use crate::definitions::Workflow;
use crate::keys::build_unseen;
use crate::plan::{Fallback, PlanInput, Slots, plan};
use crate::reach::{Reach, reach};
use crate::suspects::find_all;

/// Why a batch was not built.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The database; its messages are delivered again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a transaction committed.
#[derive(Default)]
pub struct Built {
    /// Messages to send.
    pub messages: Vec<Outgoing>,
    /// Items that were left out, to be built alone.
    pub suspects: Vec<SuspectItem>,
    /// What is to be looked at again a moment later.
    pub again: Wakes,
    /// Whether rows were written.
    pub(crate) has_written: bool,
    /// Items that became executions.
    pub(crate) items: u64,
    /// Limited nodes that another transaction held.
    skipped: Vec<(Uuid, NodeKey)>,
    /// Nodes with a concurrency key where items wait whose key is not known yet.
    unseen: Vec<(Uuid, NodeKey)>,
}

impl Built {
    pub(crate) fn take_skipped(&mut self) -> Vec<(Uuid, NodeKey)> {
        std::mem::take(&mut self.skipped)
    }

    pub(crate) fn take_unseen(&mut self) -> Vec<(Uuid, NodeKey)> {
        std::mem::take(&mut self.unseen)
    }
}

/// What a transaction takes.
#[derive(Clone, Copy)]
pub enum Take<'a> {
    /// All that the wakes name, suspects left out.
    Batch(&'a Wakes, LockMode),
    /// One item, alone.
    One(&'a SuspectItem, Fallback),
}

/// Times that a batch is planned anew because a workflow was applied meanwhile.
pub(crate) const PLANS_MAX: u32 = 3;
/// Seconds after which what could not be locked is looked at again.
pub(crate) const LOCKED_WAKE_SECONDS: u16 = 1;

/// Builds a batch and sends what came of it.
///
/// # Errors
/// [`BatchError`] when nothing was committed.
pub async fn build(wakes: &Wakes, deps: &Deps) -> Result<Built, BatchError> {
    if wakes.event_ids.is_empty() && wakes.nodes.is_empty() {
        return Ok(Built::default());
    }
    let mut built = match build_once(Take::Batch(wakes, LockMode::SkipLocked), deps).await {
        // One record's data was refused: each is built alone, so that only it fails.
        Err(StoreError::Rejected { .. }) => {
            tracing::warn!("the database refused a batch; its items are built one by one");
            let (suspects, again) = find_all(wakes, deps).await?;
            return Ok(Built { suspects, again, ..Built::default() });
        }
        // An item that another holds: a builder that stopped over a suspect, say.
        Err(error) if error.is_lock_timeout() => {
            return Ok(Built { again: wakes.clone(), ..Built::default() });
        }
        result => result?,
    };
    built.send(deps).await;
    let skipped = built.take_skipped();
    if !skipped.is_empty() {
        retry_skipped(skipped, &mut built, deps).await?;
    }
    let unseen = built.take_unseen();
    if !unseen.is_empty() {
        build_unseen(unseen, &mut built, deps).await?;
    }
    Ok(built)
}

/// Nodes that were skipped get one more try; what is still locked gets a fresh wake, for contention is no failure.
async fn retry_skipped(
    skipped: Vec<(Uuid, NodeKey)>,
    built: &mut Built,
    deps: &Deps,
) -> Result<(), BatchError> {
    let nodes = Wakes { event_ids: Vec::new(), nodes: skipped.iter().map(|(_, key)| key.clone()).collect() };
    match build_once(Take::Batch(&nodes, LockMode::Wait), deps).await {
        Ok(mut again) => {
            again.send(deps).await;
            built.suspects.append(&mut again.suspects);
            built.unseen.append(&mut again.unseen);
            Ok(())
        }
        Err(error) if error.is_lock_timeout() => {
            let wakes = skipped.into_iter().map(|(organization_id, key)| Outgoing {
                delay_seconds: LOCKED_WAKE_SECONDS,
                ..Outgoing::now(organization_id, node_message(&key))
            });
            let mut late = Built { messages: wakes.collect(), ..Built::default() };
            late.send(deps).await;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Runs one transaction, planning anew when a workflow was applied meanwhile.
///
/// # Errors
/// See [`StoreError`]; nothing was committed.
pub async fn build_once(take: Take<'_>, deps: &Deps) -> Result<Built, StoreError> {
    let mut plans = 1;
    loop {
        let result = deps.store.run_tx("build", |tx| build_in(tx, take, deps)).await;
        match result {
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            result => return result,
        }
    }
}

async fn build_in(tx: Tx, take: Take<'_>, deps: &Deps) -> Result<Built, StoreError> {
    let one;
    let (wakes, mode) = match take {
        Take::Batch(wakes, mode) => (wakes, mode),
        Take::One(item, _) => {
            one = Wakes { event_ids: Vec::new(), nodes: vec![item.node.clone()] };
            (&one, LockMode::Wait)
        }
    };
    let nodes = lock_woken_nodes(&tx, wakes, mode).await?;
    let (mut workflows, unknown) = known_workflows(&nodes, deps);
    let keyed = nodes.locked_keyed();
    let mut claims = match take {
        Take::Batch(..) if keyed.is_empty() => {
            claim_items(&tx, &nodes, wakes, CLAIM_ITEMS_MAX, &unknown).await?
        }
        Take::Batch(..) => claim_with_keys(&tx, &nodes, &keyed, wakes, CLAIM_ITEMS_MAX, &unknown).await?,
        Take::One(item, _) => claim_one(&tx, item, &unknown).await?,
    };
    know(&mut workflows, std::mem::take(&mut claims.definitions), deps);
    let named = |node: &WokenNode| (node.organization_id, node.key.clone());
    let has_unseen =
        |node: &&WokenNode| claims.slots.iter().any(|slots| slots.has_unseen && slots.key == node.key);
    let mut built = Built {
        skipped: nodes.skipped().map(named).collect(),
        unseen: nodes.woken.iter().filter(has_unseen).map(named).collect(),
        suspects: std::mem::take(&mut claims.suspects),
        ..Built::default()
    };
    if !claims.items.is_empty() {
        let fallback = if let Take::One(_, fallback) = take { fallback } else { Fallback::None };
        plan_and_write(&tx, &mut built, &nodes, &claims, workflows, fallback, deps).await?;
        built.has_written = true;
        built.items = claims.items.len() as u64;
    }
    Ok(built)
}

async fn plan_and_write(
    tx: &Tx,
    built: &mut Built,
    nodes: &LockedNodes,
    claims: &Claims,
    workflows: HashMap<Uuid, Arc<Workflow>>,
    fallback: Fallback,
    deps: &Deps,
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
        fallback,
        parts: deps.parts,
    };
    let plan = plan(&input, slots, &mut || deps.ids.next(now));
    write_batch(tx, &plan.rows, now).await?;
    built.messages = plan.messages;
    built.messages.extend(leftover_wakes(nodes, claims));
    Ok(())
}

/// Nodes of which one claim could not take all are looked at again: unlimited ones, those whose limit is a key's, and those that were
/// removed; of the others the plan knows.
fn leftover_wakes(nodes: &LockedNodes, claims: &Claims) -> Vec<Outgoing> {
    if i64::try_from(claims.items.len()).unwrap_or(i64::MAX) < CLAIM_ITEMS_MAX {
        return Vec::new();
    }
    let is_removed =
        |node: &WokenNode| claims.items.iter().any(|item| item.is_node_removed && item.node == node.key);
    let open = nodes.woken.iter().filter(|node| !node.is_limited || node.is_keyed || is_removed(node));
    open.map(|node| Outgoing::now(node.organization_id, node_message(&node.key))).collect()
}

pub(crate) fn node_message((workflow_id, node_id): &NodeKey) -> Message {
    Message::Node { workflow_id: *workflow_id, node_id: node_id.clone() }
}

/// Keeps definitions that were loaded.
pub(crate) fn know(
    workflows: &mut HashMap<Uuid, Arc<Workflow>>,
    definitions: Vec<StoredDefinition>,
    deps: &Deps,
) {
    let known = definitions.into_iter().filter_map(|stored| deps.definitions.insert(stored));
    workflows.extend(known.map(|workflow| (workflow.id, workflow)));
}

pub(crate) fn known_workflows(nodes: &LockedNodes, deps: &Deps) -> (HashMap<Uuid, Arc<Workflow>>, Vec<Uuid>) {
    let (mut known, mut unknown) = (HashMap::new(), Vec::new());
    for node in &nodes.woken {
        let id = node.key.0;
        match deps.definitions.get(id, node.workflow_version) {
            Some(workflow) => {
                known.insert(id, workflow);
            }
            None if !unknown.contains(&id) => unknown.push(id),
            None => {}
        }
    }
    (known, unknown)
}

/// Of a record that only ends nothing is evaluated; what it would have looked at may be what took the process along.
pub(crate) fn without_data(request: LoadRequest, fallback: Fallback) -> LoadRequest {
    match fallback {
        Fallback::None => request,
        Fallback::Crashed | Fallback::Refused => {
            LoadRequest { ancestors: Vec::new(), roots_with_data: Vec::new(), ..request }
        }
    }
}

pub(crate) fn load_request(
    items: &[ClaimedItem],
    workflows: &HashMap<Uuid, Arc<Workflow>>,
    locked: &[NodeKey],
) -> LoadRequest {
    let mut request = LoadRequest::default();
    let mut reaches: HashMap<&NodeKey, Reach> = HashMap::new();
    for item in items {
        request.event_ids.push(item.event_id);
        if !request.root_event_ids.contains(&item.root_event_id) {
            request.root_event_ids.push(item.root_event_id);
        }
        let Some(workflow) = workflows.get(&item.node.0).filter(|_| !item.is_node_removed) else { continue };
        if !request.workflow_ids.contains(&item.node.0) {
            request.workflow_ids.push(item.node.0);
        }
        let reach = reaches.entry(&item.node).or_insert_with(|| reach(&workflow.compiled, &item.node.1));
        if reach.mentions.root {
            request.roots_with_data.push(item.root_event_id);
        }
        request.ancestors.extend(ancestor_request(item.event_id, reach));
        for node_id in &reach.limited {
            let key = (item.node.0, node_id.clone());
            if !locked.contains(&key) && !request.downstream.contains(&key) {
                request.downstream.push(key);
            }
        }
    }
    request
}

/// Nothing is asked where the claimed event itself, which is loaded anyway, is all that is mentioned.
fn ancestor_request(event_id: Uuid, reach: &Reach) -> Option<AncestorRequest> {
    let mentions = &reach.mentions;
    if mentions.node_ids.is_empty() && !mentions.all_nodes && mentions.previous_max < 2 {
        return None;
    }
    let distance_max = if mentions.all_nodes {
        domain::limits::RUN_DEPTH_MAX
    } else {
        i32::try_from(mentions.previous_max).unwrap_or(i32::MAX).min(domain::limits::RUN_DEPTH_MAX)
    };
    Some(AncestorRequest { event_id, node_ids: mentions.node_ids.clone(), distance_max })
}
