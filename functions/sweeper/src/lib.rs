//! The sweeper, on a schedule: sends again what was committed and not delivered, and ends what can't be (transactions.md 23 to 25).
//!
//! It decides nothing about the work itself: builder and executor look again under their own locks. Two at once do no harm.

use model::limits::{SWEEP_GRACE_SECONDS, SWEEP_ROWS_MAX};
use model::message::Message;
use process::{Clock, Ids};
use queue::{Outgoing, Queue};
use serde::Serialize;
use store::executor::FreedNode;
use store::sweeper::{
    end_undeliverable_executions, end_undeliverable_items, find_due_executions, find_due_nodes,
    forget_deduplications, forget_previous_keys, mark_full_nodes,
};
use store::{Store, StoreError};

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
    /// Messages that could not be sent; the next tick finds them again.
    pub unsent: usize,
}

/// The grace that operators run with.
pub const GRACE_SECONDS: u32 = SWEEP_GRACE_SECONDS;

/// Runs one tick.
///
/// # Errors
/// [`StoreError`] when the database can't be used; the next tick goes on.
pub async fn sweep(deps: &Deps) -> Result<Swept, StoreError> {
    let (undeliverable, freed) = end_undeliverable(deps).await?;
    let nodes = find_due_nodes(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    let executions = find_due_executions(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    let mut swept =
        Swept { nodes: nodes.len(), executions: executions.len(), undeliverable, ..Swept::default() };
    let node_wakes = nodes.into_iter().map(|node| (node.organization_id, node.key));
    let freed_wakes = freed.into_iter().map(|node| (node.organization_id, node.key));
    let node_wakes = node_wakes.chain(freed_wakes).map(|(organization_id, (workflow_id, node_id))| {
        Outgoing::now(organization_id, Message::Node { workflow_id, node_id })
    });
    let execution_wakes = executions.into_iter().map(|execution| Outgoing {
        delay_seconds: u16::try_from(execution.delay_seconds).unwrap_or(u16::MAX),
        ..Outgoing::now(execution.organization_id, Message::Execution { execution_id: execution.id })
    });
    let report = deps.queue.send(node_wakes.chain(execution_wakes).collect()).await;
    swept.unsent = report.unsent.len();
    swept.deduplications = forget_deduplications(&deps.store, deps.clock.now(), SWEEP_ROWS_MAX).await?;
    swept.previous_keys = forget_previous_keys(&deps.store, deps.clock.now(), SWEEP_ROWS_MAX).await?;
    mark_full_nodes(&deps.store).await?;
    tracing::info!(
        nodes = swept.nodes,
        executions = swept.executions,
        undeliverable = swept.undeliverable,
        previous_keys = swept.previous_keys,
        unsent = swept.unsent,
        "swept"
    );
    Ok(swept)
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
