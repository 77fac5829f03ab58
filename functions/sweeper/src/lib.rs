//! The sweeper, on a schedule: sends again what was committed and not delivered, and ends what can't be.
//!
//! It decides nothing about the work itself: builder and executor look again under their own locks. Two at once do no harm.

use domain::limits::{SWEEP_GRACE_SECONDS, SWEEP_ROWS_MAX};
use domain::message::Message;
use process::{Clock, Ids, Metric, Metrics};
use queue::{Outgoing, Queue};
use serde::Serialize;
use store::builder::NodeKey;
use store::executor::FreedNode;
use store::sweeper::{
    DueExecution, DueNode, end_undeliverable_executions, end_undeliverable_items, find_due_executions,
    find_due_nodes, forget_deduplications, forget_previous_keys, forget_secret_refs, mark_full_nodes,
    take_back_sends,
};
use store::{Store, StoreError};
use uuid::Uuid;

/// What the sweeper works with; made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// Seconds that a committed row may wait for its wake; [`SWEEP_GRACE_SECONDS`] unless a test says otherwise.
    pub grace_seconds: u32,
    /// Counters for the operator.
    pub metrics: Metrics,
}

/// What one tick did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Wakes of nodes.
    pub nodes: usize,
    /// Wakes of executions: pending ones, due timers, expired leases.
    pub executions: usize,
    /// Items and executions that ended as undeliverable.
    pub undeliverable: usize,
    /// Deduplication keys that were forgotten.
    pub deduplications: usize,
    /// Previous keys and tokens of webhooks that were forgotten: their time was over.
    pub previous_keys: i64,
    /// References to secrets of node versions that are over.
    pub secret_refs: i64,
    /// Messages that could not be sent; the next tick finds them again.
    pub unsent: usize,
}

/// Waiting items up to which they are counted for the metrics.
const COUNTED_ITEMS_MAX: i64 = 100_000;

/// The grace that operators run with.
pub const GRACE_SECONDS: u32 = SWEEP_GRACE_SECONDS;

/// Runs one tick. Each search is by itself: one that fails keeps none of the others from running.
///
/// # Errors
/// The first [`StoreError`] of a search, when all are through; the next tick goes on.
pub async fn sweep(deps: &Deps) -> Result<Swept, StoreError> {
    let (store, now) = (&deps.store, deps.clock.now());
    // Each search would wait for the connection by itself, for longer than the function may run.
    store.connect_if_needed().await?;
    let mut failure = None;
    let nodes = or_none(find_due_nodes(store, deps.grace_seconds, SWEEP_ROWS_MAX).await, &mut failure);
    let executions =
        or_none(find_due_executions(store, deps.grace_seconds, SWEEP_ROWS_MAX).await, &mut failure);
    let mut swept = Swept { nodes: nodes.len(), executions: executions.len(), ..Swept::default() };
    swept.unsent = send(&nodes, &executions, deps, &mut failure).await;
    swept.deduplications = or_none(forget_deduplications(store, now, SWEEP_ROWS_MAX).await, &mut failure);
    swept.previous_keys = or_none(forget_previous_keys(store, now, SWEEP_ROWS_MAX).await, &mut failure);
    swept.secret_refs = or_none(forget_secret_refs(store, now, SWEEP_ROWS_MAX).await, &mut failure);
    or_none(mark_full_nodes(store).await, &mut failure);
    // Last: what was found above has one more wake on its way.
    let (undeliverable, freed) = or_none(end_undeliverable(deps).await, &mut failure);
    swept.undeliverable = undeliverable;
    let freed = freed.into_iter().map(|node| node_wake(node.organization_id, node.key));
    swept.unsent += deps.queue.send(freed.collect()).await.unsent.len();
    deps.metrics.count(Metric::Undeliverable, swept.undeliverable as u64);
    deps.metrics.count(Metric::WakesResent, (swept.nodes + swept.executions) as u64);
    if deps.metrics.is_on() {
        let waiting =
            or_none(store::sweeper::count_waiting_items(store, now, COUNTED_ITEMS_MAX).await, &mut failure);
        deps.metrics.add(Metric::ItemsWaiting, waiting.items as f64);
        deps.metrics.add(Metric::OldestItemSeconds, waiting.oldest_seconds);
    }
    tracing::info!(
        nodes = swept.nodes,
        executions = swept.executions,
        undeliverable = swept.undeliverable,
        previous_keys = swept.previous_keys,
        secret_refs = swept.secret_refs,
        unsent = swept.unsent,
        "swept"
    );
    failure.map_or(Ok(swept), Err)
}

/// What a search found; nothing where it failed, which is told once all are through.
fn or_none<T: Default>(found: Result<T, StoreError>, failure: &mut Option<StoreError>) -> T {
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "a search of the sweeper failed");
        failure.get_or_insert(error);
        T::default()
    })
}

fn node_wake(organization_id: Uuid, (workflow_id, node_id): NodeKey) -> Outgoing {
    Outgoing::now(organization_id, Message::Node { workflow_id, node_id })
}

/// Sends wakes; returns how many SQS did not take. Those are not counted.
async fn send(
    nodes: &[DueNode],
    executions: &[DueExecution],
    deps: &Deps,
    failure: &mut Option<StoreError>,
) -> usize {
    let node_wakes = nodes.iter().map(|node| node_wake(node.organization_id, node.key.clone()));
    let execution_wakes = executions.iter().map(|execution| Outgoing {
        delay_seconds: u16::try_from(execution.delay_seconds).unwrap_or(u16::MAX),
        ..Outgoing::now(execution.organization_id, Message::Execution { execution_id: execution.id })
    });
    let unsent = deps.queue.send(node_wakes.chain(execution_wakes).collect()).await.unsent;
    if unsent.is_empty() {
        return 0;
    }
    let (mut item_ids, mut execution_ids) = (Vec::new(), Vec::new());
    for outgoing in &unsent {
        match &outgoing.message {
            Message::Execution { execution_id } => execution_ids.push(*execution_id),
            Message::Node { workflow_id, node_id } => {
                let of_node =
                    nodes.iter().filter(|node| (&node.key.0, &node.key.1) == (workflow_id, node_id));
                item_ids.extend(of_node.flat_map(|node| &node.item_ids));
            }
            Message::Event { .. } => {}
        }
    }
    or_none(take_back_sends(&deps.store, &item_ids, &execution_ids).await, failure);
    unsent.len()
}

/// Ends what can't be delivered; returns how much, and the nodes whose slots that freed.
async fn end_undeliverable(deps: &Deps) -> Result<(usize, Vec<FreedNode>), StoreError> {
    let now = deps.clock.now();
    let ids: Vec<_> = (0..SWEEP_ROWS_MAX).map(|_| deps.ids.next(now)).collect();
    let ids = &ids;
    let items = deps
        .store
        .run_tx("end_undeliverable_items", |tx| async move { end_undeliverable_items(&tx, ids, now).await })
        .await?;
    let (executions, freed) = deps
        .store
        .run_tx("end_undeliverable_executions", |tx| async move {
            end_undeliverable_executions(&tx, SWEEP_ROWS_MAX, now).await
        })
        .await?;
    for execution_id in items.iter().chain(&executions) {
        tracing::error!(%execution_id, "undeliverable: its wakes were used up");
    }
    Ok((items.len() + executions.len(), freed))
}
