//! One transaction over a batch of wakes: lock, claim, load, plan, write, commit; then send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{EventId, ItemId, OrganizationId, RunId, WorkflowId};
use domain::limits::CLAIM_ITEMS_MAX;
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::builder::{
    AncestorRequest, ClaimedItem, Claims, LimitKey, LoadRequest, LockMode, LockedNodes, NodeKey,
    StoredDefinition, SuspectItem, Wakes, WokenNode, WriteBatch, claim_items, claim_one, forgive_suspects,
    load_batch, lock_woken_nodes, write_batch,
};
use store::{StoreError, Tx};

use crate::Deps;
use crate::definitions::Workflow;
use crate::plan::{Fallback, PlanInput, Slots, plan};
use crate::reach::{Reach, reach};
use crate::resolve::{Resolve, resolve_items};
use crate::suspects::{find_all, is_full};

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
    /// Messages that make somebody look again a moment later.
    pub again: Vec<Outgoing>,
    /// Whether there may be more for the wakes than was found: they are sent once more.
    pub(crate) is_cut: bool,
    /// Whether rows were written.
    pub(crate) has_written: bool,
    /// Items that became executions.
    pub(crate) items: u64,
    /// Runs of items that ended while their keys were resolved.
    ended_runs: Vec<RunId>,
    /// Limited nodes that another transaction held.
    pub(crate) skipped: Vec<WokenNode>,
}

/// Workflows by their ids.
pub(crate) type Workflows = HashMap<WorkflowId, Arc<Workflow>>;

/// What a transaction takes.
#[derive(Clone, Copy)]
pub enum Take<'a> {
    /// All that the wakes name, suspects left out.
    Batch(&'a Wakes, LockMode),
    /// All that the wakes name, with items that were begun as suspects; other suspects are left out.
    Begun(&'a Wakes, &'a [ItemId]),
    /// One item, alone.
    One(&'a SuspectItem, Fallback),
}

/// How long a batch may be planned: the server ends a session that leaves its transaction alone for five seconds, which would look like an
/// outage. One that takes longer is built one by one.
pub const PLAN_TIME_MAX: Duration = Duration::from_secs(3);
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
            let suspects = find_all(wakes, deps).await?;
            return Ok(Built { is_cut: is_full(&suspects), suspects, ..Built::default() });
        }
        result => result?,
    };
    built.send(deps).await;
    let skipped = std::mem::take(&mut built.skipped);
    if !skipped.is_empty() {
        retry_skipped(skipped, &mut built, deps).await?;
    }
    Ok(built)
}

/// Nodes that were skipped get one more try; what is still locked gets a fresh wake, for contention is no failure.
async fn retry_skipped(skipped: Vec<WokenNode>, built: &mut Built, deps: &Deps) -> Result<(), BatchError> {
    let mode = if built.has_written { LockMode::SkipLocked } else { LockMode::Wait };
    match build_once(Take::Batch(&wakes_of(&skipped), mode), deps).await {
        Ok(mut again) => {
            again.send(deps).await;
            built.suspects.append(&mut again.suspects);
            built.again.append(&mut again.again);
            built.again.extend(again.skipped.iter().flat_map(wakes_again));
            Ok(())
        }
        Err(error) if error.is_lock_timeout() => {
            built.again.extend(skipped.iter().flat_map(wakes_again));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The wakes of the nodes.
fn wakes_of(nodes: &[WokenNode]) -> Wakes {
    let named = nodes.iter().filter(|node| node.is_named).map(|node| node.key.clone());
    let event_ids = nodes.iter().flat_map(|node| &node.event_ids).copied();
    Wakes { event_ids: event_ids.collect(), nodes: named.collect() }
}

/// The messages that make somebody look at the node again a moment later: where it has a concurrency key, at the same items.
pub(crate) fn wakes_again(node: &WokenNode) -> impl Iterator<Item = Outgoing> {
    let is_whole = node.is_named || node.has_no_key();
    let named = is_whole.then(|| node_message(&node.key));
    let events = node.event_ids.iter().filter(move |_| !is_whole);
    let events = events.map(|event_id| Message::Event { event_id: *event_id });
    named.into_iter().chain(events).map(|message| again(node.organization_id, message))
}

/// A message that makes somebody look again a moment later.
pub(crate) fn again(organization_id: OrganizationId, message: Message) -> Outgoing {
    Outgoing { delay_seconds: LOCKED_WAKE_SECONDS, ..Outgoing::now(organization_id, message) }
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
        Take::Begun(wakes, _) => (wakes, LockMode::SkipLocked),
        Take::One(item, _) => {
            one = Wakes { event_ids: Vec::new(), nodes: vec![item.node.clone()] };
            (&one, LockMode::Wait)
        }
    };
    let nodes = lock_woken_nodes(&tx, wakes, mode).await?;
    if let Take::Begun(_, item_ids) = take {
        forgive_suspects(&tx, item_ids).await?;
    }
    let (mut workflows, mut unknown) = known_workflows(&nodes, deps);
    let (resolve, fallback) = match take {
        Take::Batch(..) | Take::Begun(..) => (Resolve::First, Fallback::None),
        Take::One(item, fallback) => (Resolve::One(item.id, fallback), fallback),
    };
    let resolved = resolve_items(&tx, &nodes, resolve, &mut workflows, &mut unknown, deps).await?;
    let is_cut = resolved.is_cut();
    let has_resolved = resolved.items > 0;
    let mut claims = match take {
        Take::Batch(..) | Take::Begun(..) => {
            let keys = nodes.limit_keys(resolved.keys);
            claim_items(&tx, &nodes, &keys, wakes, CLAIM_ITEMS_MAX, &unknown).await?
        }
        Take::One(item, _) => claim_one(&tx, item, &unknown).await?,
    };
    know(&mut workflows, std::mem::take(&mut claims.definitions), deps);
    let mut built = Built {
        skipped: nodes.skipped().map(|node| named_if_taken(node, &claims)).collect(),
        suspects: resolved.suspects,
        ended_runs: resolved.ended_runs,
        has_written: has_resolved,
        ..Built::default()
    };
    built.suspects.append(&mut claims.suspects);
    if claims.items.is_empty() {
        built.again = held_by_others(&nodes, &claims.slots, &built.suspects);
        let rows = WriteBatch { ended_runs: std::mem::take(&mut built.ended_runs), ..WriteBatch::default() };
        write_batch(&tx, &rows, deps.clock.now()).await?;
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

/// A node that is looked at again. Where an item that woke it was taken, for it only ends, the node itself is named: the item may have been
/// the one that a wake for a free slot named.
fn named_if_taken(node: &WokenNode, claims: &Claims) -> WokenNode {
    let is_taken = claims.items.iter().any(|item| item.node == node.key);
    WokenNode { is_named: node.is_named || is_taken, ..node.clone() }
}

/// A slot is free and an item waits that was not taken, though none of its key is a suspect: somebody holds the item, for no transaction
/// waits for an item's lock.
fn held_by_others(
    nodes: &LockedNodes,
    slots: &[store::builder::Slots],
    suspects: &[SuspectItem],
) -> Vec<Outgoing> {
    let is_suspect = |key: &LimitKey| {
        let is_of_key = |of: &String| *of == key.concurrency_key;
        suspects
            .iter()
            .any(|item| item.node == key.node && item.concurrency_key.as_ref().is_none_or(is_of_key))
    };
    let is_held = |slots: &&store::builder::Slots| {
        slots.free > 0 && slots.next_event_id.is_some() && !is_suspect(&slots.key)
    };
    let node = |slots: &store::builder::Slots| nodes.woken.iter().find(|node| node.key == slots.key.node);
    let held = slots.iter().filter(is_held).filter_map(node);
    held.map(|node| again(node.organization_id, node_message(&node.key))).collect()
}

async fn plan_and_write(
    tx: &Tx,
    built: &mut Built,
    nodes: &LockedNodes,
    claims: &Claims,
    workflows: Workflows,
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
    let time = Deadline::after(deps.plan_time_max);
    let mut plan = plan(&input, slots, &mut || deps.ids.next(now));
    plan.rows.ended_runs.append(&mut built.ended_runs);
    if time.left().is_zero() && claims.items.len() > 1 {
        return Err(StoreError::Rejected { sqlstate: None, constraint: Some("plan_time_max".to_owned()) });
    }
    write_batch(tx, &plan.rows, now).await?;
    built.messages = plan.messages;
    built.messages.extend(leftover_wakes(nodes, claims));
    Ok(())
}

/// Nodes of which one claim could not take all are looked at again: those that need no slot, and those with a concurrency key, of which
/// there may be more than were looked at; of the others the plan knows.
fn leftover_wakes(nodes: &LockedNodes, claims: &Claims) -> Vec<Outgoing> {
    if i64::try_from(claims.items.len()).unwrap_or(i64::MAX) < CLAIM_ITEMS_MAX {
        return Vec::new();
    }
    let is_open =
        |node: &&WokenNode| !node.is_limited || node.concurrency_keys.iter().any(|key| !key.is_empty());
    let open = nodes.woken.iter().filter(is_open);
    open.map(|node| Outgoing::now(node.organization_id, node_message(&node.key))).collect()
}

pub(crate) fn node_message((workflow_id, node_id): &NodeKey) -> Message {
    Message::Node { workflow_id: *workflow_id, node_id: node_id.clone() }
}

/// Keeps definitions that were loaded.
pub(crate) fn know(workflows: &mut Workflows, definitions: Vec<StoredDefinition>, deps: &Deps) {
    let known = definitions.into_iter().filter_map(|stored| deps.definitions.insert(stored));
    workflows.extend(known.map(|workflow| (workflow.id, workflow)));
}

fn known_workflows(nodes: &LockedNodes, deps: &Deps) -> (Workflows, Vec<WorkflowId>) {
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
            LoadRequest { ancestors: Vec::new(), runs_with_data: Vec::new(), ..request }
        }
    }
}

pub(crate) fn load_request(items: &[ClaimedItem], workflows: &Workflows, locked: &[NodeKey]) -> LoadRequest {
    let mut request = LoadRequest::default();
    let mut reaches: HashMap<&NodeKey, Reach> = HashMap::new();
    for item in items {
        request.event_ids.push(item.event_id);
        if !request.run_ids.contains(&item.run_id) {
            request.run_ids.push(item.run_id);
        }
        let Some(workflow) = workflows.get(&item.node.0).filter(|_| !item.is_node_removed) else { continue };
        if !request.workflow_ids.contains(&item.node.0) {
            request.workflow_ids.push(item.node.0);
        }
        let reach = reaches.entry(&item.node).or_insert_with(|| reach(&workflow.compiled, &item.node.1));
        if reach.mentions.root {
            request.runs_with_data.push(item.run_id);
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
fn ancestor_request(event_id: EventId, reach: &Reach) -> Option<AncestorRequest> {
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
