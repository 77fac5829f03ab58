//! The sweeper runs on a schedule. It sends wakes again for committed work that was not delivered,
//! and ends work that can't be delivered.
//!
//! It decides nothing about the work itself: builder and executor look again under their own locks.
//! Two sweepers at the same time do no harm.

pub mod places;
pub mod retention;
pub mod runs;
mod schedules;

use std::time::Duration;

use domain::ids::{ExecutionId, ItemId, OrganizationId, WorkflowId};
use domain::limits::{SWEEP_GRACE_SECONDS, SWEEP_ROWS_MAX};
use domain::message::Message;
use jiff::Timestamp;
use process::{Clock, Deadline, Ids, Metric, Metrics};
use queue::{Outgoing, Queue};
use serde::Serialize;
use store::sweeper::{
    DueExecution, DueNode, cause_removed_lately, end_audit_lines, end_undeliverable_executions,
    end_undeliverable_items, find_due_executions, find_due_held, find_due_nodes, forget_deduplications,
    forget_previous_keys, forget_secret_refs, mark_full_nodes, mark_full_workflows, mark_late_causes,
    oldest_transaction_seconds, take_back_sends,
};
use store::{NodeKey, Store, StoreError};

use crate::places::{FIRST, Places, first_node};

/// The dependencies of the sweeper, made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// Seconds that a committed row may wait for its wake; [`SWEEP_GRACE_SECONDS`] unless a test
    /// says otherwise.
    pub grace_seconds: u32,
    /// The position of the search for runs that were not ended.
    pub net: runs::Net,
    /// The places of searches that look at some rows in each tick.
    pub places: Places,
    /// The operator's maximum of days for which a run is kept; None: what its organization says.
    pub retention_days_max: Option<i32>,
    /// Days for which lines of the audit log are kept.
    pub audit_days: i32,
    /// The position of the search for runs that are older than their organization's retention.
    pub retention_place: retention::Place,
    /// Counters for the operator.
    pub metrics: Metrics,
}

/// The work of one tick.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Wakes of nodes.
    pub nodes: usize,
    /// Wakes of executions: pending ones, due timers, expired leases.
    pub executions: usize,
    /// Wakes of held executions: due timers, causes and calls.
    pub held: usize,
    /// Messages of schedules.
    pub schedules: usize,
    /// Items and executions that ended as undeliverable.
    pub undeliverable: usize,
    /// Deduplication keys that were forgotten.
    pub deduplications: usize,
    /// Previous keys and tokens of webhooks that were forgotten: they are accepted no more.
    pub previous_keys: i64,
    /// Lines of the audit log that ended.
    pub audit_lines: i64,
    /// References to secrets that were forgotten: their node versions were superseded.
    pub secret_refs: i64,
    /// Runs that were stopped: their time-out was over, or their organization was deleted.
    pub runs_stopped: usize,
    /// Runs that had nothing open and were ended here.
    pub runs_settled: usize,
    /// Runs past their organization's retention, newly marked as expired.
    pub runs_expired: i64,
    /// Expired runs that were deleted.
    pub runs_deleted: usize,
    /// Messages that could not be sent; the next tick finds their rows again.
    pub unsent: usize,
}

/// The highest count of waiting items in the metrics.
const COUNTED_ITEMS_MAX: i64 = 100_000;

/// The grace of a deployment that sets no other.
pub const GRACE_SECONDS: u32 = SWEEP_GRACE_SECONDS;

/// The time at the end of a tick in which no search is repeated.
const TIME_FOR_THE_REST: Duration = Duration::from_secs(5);

/// Runs one tick. A search that fails does not keep the others from running. Each search is
/// bounded, and repeated until it finds nothing more or the tick's time is used up; those with a
/// place are repeated a few times, and go on in the next tick.
///
/// # Errors
/// The first [`StoreError`] of a search, after all searches have run; the next tick goes on.
pub async fn sweep(deps: &Deps, deadline: Deadline) -> Result<Swept, StoreError> {
    let (store, now) = (&deps.store, deps.clock.now());
    // Without a connection each search would wait for one, and all together for longer than the
    // function may run.
    store.connect_if_needed().await?;
    let mut failure = None;
    let mut swept = Swept::default();
    let is_time = || deadline.left() > TIME_FOR_THE_REST;
    or_none(runs::send_due_soon(&mut swept, deps).await, &mut failure);
    // The searches take turns, so that none takes all of the time.
    let mut place = Place::random(deps);
    let (mut has_nodes, mut has_executions, mut has_held, mut has_due, mut has_stopped) =
        (true, true, true, true, true);
    let (mut has_schedules, mut has_failed) = (true, true);
    while has_schedules || has_failed || has_nodes || has_executions || has_held || has_due || has_stopped {
        if has_schedules {
            has_schedules = or_none(schedules::send_due(&mut swept, deps).await, &mut failure) && is_time();
        }
        if has_failed {
            has_failed = or_none(runs::send_failed(&mut swept, deps).await, &mut failure) && is_time();
        }
        if has_nodes {
            has_nodes = or_none(wake_nodes(&mut place, &mut swept, deps).await, &mut failure) && is_time();
        }
        if has_executions {
            has_executions = or_none(wake_executions(&mut swept, deps).await, &mut failure) && is_time();
        }
        if has_held {
            has_held = or_none(wake_held(&mut swept, deps).await, &mut failure) && is_time();
        }
        if has_due {
            has_due = or_none(runs::stop_due(&mut swept, &is_time, deps).await, &mut failure) && is_time();
        }
        if has_stopped {
            has_stopped =
                or_none(runs::end_stopped(&mut swept, &is_time, deps).await, &mut failure) && is_time();
        }
    }
    or_none(runs::settle_left(&mut swept, &is_time, deps).await, &mut failure);
    while or_none(forget(&mut swept, now, deps).await, &mut failure) && is_time() {}
    for _ in 0..PASSES {
        if !or_none(forget_refs(&mut swept, now, deps).await, &mut failure) || !is_time() {
            break;
        }
    }
    for _ in 0..PASSES {
        if !or_none(mark_nodes(deps).await, &mut failure) || !is_time() {
            break;
        }
    }
    for _ in 0..PASSES {
        if !or_none(mark_workflows(deps).await, &mut failure) || !is_time() {
            break;
        }
    }
    or_none(report_old_transaction(store).await, &mut failure);
    while is_full(or_none(cause_removed_lately(store, SWEEP_ROWS_MAX).await, &mut failure)) && is_time() {}
    while is_full(or_none(mark_late_causes(store, SWEEP_ROWS_MAX).await, &mut failure)) && is_time() {}
    // This comes after all searches: work that a search of this tick found gets one more wake
    // before it can end as undeliverable.
    while or_none(end_undeliverable(&mut swept, deps).await, &mut failure) && is_time() {}
    or_none(retention::delete(&mut swept, deadline, deps).await, &mut failure);
    or_none(retention::expire(&mut swept, &is_time, deps).await, &mut failure);
    deps.metrics.count(Metric::Undeliverable, swept.undeliverable as u64);
    deps.metrics.count(Metric::WakesResent, (swept.nodes + swept.executions + swept.held) as u64);
    if deps.metrics.is_on() {
        let waiting =
            or_none(store::sweeper::count_waiting_items(store, now, COUNTED_ITEMS_MAX).await, &mut failure);
        deps.metrics.add(Metric::ItemsWaiting, waiting.items as f64);
        deps.metrics.add(Metric::OldestItemSeconds, waiting.oldest_seconds);
    }
    tracing::info!(
        nodes = swept.nodes,
        executions = swept.executions,
        held = swept.held,
        schedules = swept.schedules,
        undeliverable = swept.undeliverable,
        previous_keys = swept.previous_keys,
        secret_refs = swept.secret_refs,
        runs_stopped = swept.runs_stopped,
        runs_settled = swept.runs_settled,
        runs_expired = swept.runs_expired,
        runs_deleted = swept.runs_deleted,
        unsent = swept.unsent,
        "swept"
    );
    failure.map_or(Ok(swept), Err)
}

/// The position of the search among nodes. Each tick begins at a random node, continues at the
/// first node when it reaches the last one, and ends where it began. So no node is always the last
/// when the time is too short for all.
struct Place {
    start: NodeKey,
    after: NodeKey,
    has_wrapped: bool,
}

impl Place {
    fn random(deps: &Deps) -> Self {
        let start = (deps.ids.random(), String::new());
        Self { after: start.clone(), start, has_wrapped: false }
    }

    /// Goes on after `last`, the last node of a search; None: the search came to the end of the
    /// nodes. Returns false when all nodes were searched.
    fn go_on(&mut self, last: Option<NodeKey>) -> bool {
        match last {
            Some(last) => self.after = last,
            None if self.has_wrapped => return false,
            None => (self.after, self.has_wrapped) = ((WorkflowId::from_u128(0), String::new()), true),
        }
        !self.has_wrapped || self.after < self.start
    }
}

/// Wakes the nodes of one search. Returns whether there may be more.
async fn wake_nodes(place: &mut Place, swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let search = find_due_nodes(&deps.store, deps.grace_seconds, &place.after, SWEEP_ROWS_MAX).await?;
    let wakes = search.due.iter().map(|node| node_wake(node.organization_id, node.key.clone()));
    let unsent = deps.queue.send(wakes.collect()).await.unsent;
    let is_unsent = |node: &&DueNode| {
        unsent.iter().any(|wake| wake.message == node_wake(node.organization_id, node.key.clone()).message)
    };
    let item_ids: Vec<ItemId> =
        search.due.iter().filter(is_unsent).flat_map(|node| &node.item_ids).copied().collect();
    swept.nodes += search.due.len();
    swept.unsent += unsent.len();
    if !unsent.is_empty() {
        take_back_sends(&deps.store, &item_ids, &[]).await?;
        return Ok(false);
    }
    Ok(place.go_on(search.last))
}

/// Wakes the executions of one search. Returns whether there may be more.
async fn wake_executions(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let due = find_due_executions(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    swept.executions += due.len();
    send_due(&due, |execution_id| Message::Execution { execution_id }, swept, deps).await
}

/// Wakes the held executions of one search. Returns whether there may be more.
async fn wake_held(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let due = find_due_held(&deps.store, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    swept.held += due.len();
    send_due(&due, |execution_id| Message::Wake { execution_id }, swept, deps).await
}

async fn send_due(
    due: &[DueExecution],
    message: fn(ExecutionId) -> Message,
    swept: &mut Swept,
    deps: &Deps,
) -> Result<bool, StoreError> {
    let wakes = due.iter().map(|execution| Outgoing {
        delay_seconds: u16::try_from(execution.delay_seconds).unwrap_or(u16::MAX),
        ..Outgoing::now(execution.organization_id, message(execution.id))
    });
    let unsent = deps.queue.send(wakes.collect()).await.unsent;
    swept.unsent += unsent.len();
    if !unsent.is_empty() {
        let is_unsent = |id: &ExecutionId| unsent.iter().any(|wake| wake.message == message(*id));
        let ids: Vec<ExecutionId> = due.iter().map(|execution| execution.id).filter(is_unsent).collect();
        take_back_sends(&deps.store, &[], &ids).await?;
        return Ok(false);
    }
    Ok(is_full(due.len()))
}

/// Forgets expired rows. Returns whether there may be more.
async fn forget(swept: &mut Swept, now: Timestamp, deps: &Deps) -> Result<bool, StoreError> {
    let deduplications = forget_deduplications(&deps.store, now, SWEEP_ROWS_MAX).await?;
    let previous_keys = forget_previous_keys(&deps.store, now, SWEEP_ROWS_MAX).await?;
    let audit_lines = end_audit_lines(&deps.store, deps.audit_days, SWEEP_ROWS_MAX).await?;
    swept.deduplications += deduplications;
    swept.audit_lines += audit_lines;
    swept.previous_keys += previous_keys;
    Ok(is_full(deduplications) || previous_keys >= SWEEP_ROWS_MAX || audit_lines >= SWEEP_ROWS_MAX)
}

/// Forgets references of node versions that are over. Returns whether there may be more.
async fn forget_refs(swept: &mut Swept, now: Timestamp, deps: &Deps) -> Result<bool, StoreError> {
    let place = &deps.places.secret_refs;
    let (forgotten, last) =
        forget_secret_refs(&deps.store, now, &place.after(first_node()), SWEEP_ROWS_MAX).await?;
    swept.secret_refs += forgotten;
    Ok(place.keep(last))
}

/// Seconds after which an open transaction is reported. None of ours is open for a minute, but a
/// migration that validates a large table.
const OLD_TRANSACTION_SECONDS: f64 = 900.0;

/// Writes an error where a transaction has been open for long: what was deleted meanwhile is walked
/// over by each claim.
async fn report_old_transaction(store: &Store) -> Result<(), StoreError> {
    let seconds = oldest_transaction_seconds(store).await?;
    if seconds >= OLD_TRANSACTION_SECONDS {
        tracing::error!(seconds, "a transaction of the database is open for long, and slows all work down");
    }
    Ok(())
}

/// Searches of one kind in a tick that go on where the one before ended, not from the beginning.
const PASSES: usize = 10;

/// Marks some of the nodes that are full, and all that are full no more. Returns whether there may
/// be more.
async fn mark_nodes(deps: &Deps) -> Result<bool, StoreError> {
    let place = &deps.places.full_nodes;
    let last = mark_full_nodes(&deps.store, &place.after(first_node()), SWEEP_ROWS_MAX).await?;
    Ok(place.keep(last))
}

/// As [`mark_nodes`], for workflows with held executions.
async fn mark_workflows(deps: &Deps) -> Result<bool, StoreError> {
    let place = &deps.places.full_workflows;
    let last = mark_full_workflows(&deps.store, place.after(FIRST), SWEEP_ROWS_MAX).await?;
    Ok(place.keep(last))
}

/// Whether a search found as much as it may.
fn is_full(rows: usize) -> bool {
    i64::try_from(rows).unwrap_or(i64::MAX) >= SWEEP_ROWS_MAX
}

/// The result of a search, or the default value if it failed. The first failure is returned after
/// all searches.
fn or_none<T: Default>(found: Result<T, StoreError>, failure: &mut Option<StoreError>) -> T {
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "a search of the sweeper failed");
        failure.get_or_insert(error);
        T::default()
    })
}

fn node_wake(organization_id: OrganizationId, (workflow_id, node_id): NodeKey) -> Outgoing {
    Outgoing::now(organization_id, Message::Node { workflow_id, node_id })
}

/// Ends work that can't be delivered. Returns whether there may be more.
async fn end_undeliverable(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let now = deps.clock.now();
    let ids: Vec<_> = (0..SWEEP_ROWS_MAX).map(|_| deps.ids.next(now)).collect();
    let ids = &ids;
    let (items, settled) = deps
        .store
        .run_tx("end_undeliverable_items", |tx| async move { end_undeliverable_items(&tx, ids, now).await })
        .await?;
    let (executions, freed, settled_too) = deps
        .store
        .run_tx("end_undeliverable_executions", |tx| async move {
            end_undeliverable_executions(&tx, SWEEP_ROWS_MAX, now).await
        })
        .await?;
    for execution_id in items.iter().chain(&executions) {
        tracing::error!(%execution_id, "undeliverable: its wakes were used up");
    }
    let freed = freed.into_iter().map(|slot| Outgoing::now(slot.organization_id, slot.wake()));
    let ended = settled.wakes().chain(settled_too.wakes());
    let ended = ended.map(|(organization_id, message)| Outgoing::now(organization_id, message));
    swept.unsent += deps.queue.send(freed.chain(ended).collect()).await.unsent.len();
    swept.undeliverable += items.len() + executions.len();
    Ok(is_full(items.len()) || is_full(executions.len()))
}
