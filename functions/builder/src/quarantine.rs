//! Quarantined items. Items of redelivered messages are built first, in one transaction, with a
//! crash counted on each beforehand. Items that crashed a worker before, and items that a batch
//! left out, are built after them, one at a time and alone in the process.

use std::collections::HashSet;
use std::time::Duration;

use domain::ids::ItemId;
use domain::limits::CRASHES_MAX;
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::builder::{Begin, QuarantinedItem, Wakes, begin_quarantined, release_quarantined};

use crate::Deps;
use crate::plan::Fallback;
use crate::search::{find_all, is_full};
use crate::transaction::{BatchError, ClaimTarget, build_once};
use crate::wakes::{again, node_message, wakes_again};

/// The time that one transaction over quarantined items may take. An item gets a fresh wake when
/// less time is left.
pub(crate) const TIME_OF_ONE: Duration = Duration::from_secs(3);

/// Builds the items of redelivered messages, and then, one by one, the items that a batch left out.
/// `again` has the batch's wakes for a later look; the wakes of items that have to wait here are
/// added. Equal wakes are sent once. With one wake for each item, their number would grow with
/// every look. Returns whether the redelivered wakes may have more items than were found: then the
/// caller sends these wakes once more.
///
/// # Errors
/// [`BatchError`] when the database failed; committed work stays.
pub async fn build_quarantined(
    redelivered: &Wakes,
    left_out: Vec<QuarantinedItem>,
    mut again: Vec<Outgoing>,
    deadline: Deadline,
    deps: &Deps,
) -> Result<bool, BatchError> {
    let result = build_each(redelivered, left_out, &mut again, deadline, deps).await;
    deps.queue.send(again).await;
    result
}

async fn build_each(
    redelivered: &Wakes,
    left_out: Vec<QuarantinedItem>,
    again: &mut Vec<Outgoing>,
    deadline: Deadline,
    deps: &Deps,
) -> Result<bool, BatchError> {
    let mut items = left_out;
    let mut is_cut = false;
    if !redelivered.event_ids.is_empty() || !redelivered.nodes.is_empty() {
        let found = find_all(redelivered, deps).await?;
        is_cut = is_full(&found);
        // An item without a crash is harmless, or crashes the worker now for the first time.
        let (first, before): (Vec<_>, Vec<_>) = found.into_iter().partition(|item| item.crashes == 0);
        if first.len() > 1 && deadline.left() >= TIME_OF_ONE {
            match build_together(&first, &mut items, again, deps).await {
                Ok(may_be_more) => is_cut |= may_be_more,
                Err(error) => {
                    again.extend(items.iter().chain(&first).chain(&before).map(wake_of));
                    return Err(error);
                }
            }
        } else {
            items.extend(first);
        }
        items.extend(before);
    }
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.id));
    let mut failure = None;
    for item in items {
        let wake = wake_of(&item);
        if failure.is_some() || deadline.left() < TIME_OF_ONE {
            tracing::warn!(item_id = %item.id, "a quarantined item has to wait; its node is woken again");
            again.push(wake);
            continue;
        }
        // Items behind an unresolved item were left out with it, so their node is woken again.
        match build_one(&item, deps).await {
            Ok(Alone::Done) if item.concurrency_key.is_some() => {}
            Ok(Alone::Done | Alone::Waits) => again.push(wake),
            Err(error) => {
                again.push(wake);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(is_cut), Err)
}

/// The wake of an item that has to wait.
fn wake_of(item: &QuarantinedItem) -> Outgoing {
    again(item.organization_id, node_message(&item.node))
}

/// Builds the items of redelivered wakes in one transaction. A crash is committed on each item
/// before, and the transaction itself takes the count back. If the transaction crashes the worker,
/// the counts stay, and each item is built alone the next time. Items that the transaction leaves
/// out are added to `alone`. Returns whether there may be more items.
async fn build_together(
    items: &[QuarantinedItem],
    alone: &mut Vec<QuarantinedItem>,
    again: &mut Vec<Outgoing>,
    deps: &Deps,
) -> Result<bool, BatchError> {
    let ids: Vec<ItemId> = items.iter().map(|item| item.id).collect();
    let mut begun = Vec::new();
    // These wakes name events only. A wake of the node would also take newer items, on which no
    // crash is counted.
    let mut wakes = Wakes::default();
    for (item, begin) in items.iter().zip(begin(&ids, deps).await?) {
        match begin {
            Begin::Begun(_) => {
                begun.push(item.id);
                wakes.event_ids.push(item.event_id);
            }
            Begin::Busy => again.push(wake_of(item)),
            Begin::Gone => {}
        }
    }
    wakes.event_ids.sort_unstable();
    wakes.event_ids.dedup();
    match build_once(ClaimTarget::Begun(&wakes, &begun), deps).await {
        Ok(mut built) => {
            built.send(deps).await;
            alone.append(&mut built.quarantined);
            again.append(&mut built.again);
            again.extend(built.skipped.iter().flat_map(wakes_again));
            Ok(built.is_cut)
        }
        // A statement's time-out counts like a crash: the committed count stays.
        Err(error) if error.is_statement_timeout() => Err(error.into()),
        Err(error) => {
            forgive(&begun, deps).await?;
            if !matches!(error, StoreError::Rejected { .. }) {
                return Err(error.into());
            }
            tracing::warn!("the database refused a batch; its items are built one by one");
            alone.extend(items.iter().filter(|item| begun.contains(&item.id)).cloned());
            Ok(false)
        }
    }
}

/// Counts a crash on items before the work, and commits. If the work crashes the worker, the count
/// stays.
async fn begin(ids: &[ItemId], deps: &Deps) -> Result<Vec<Begin>, StoreError> {
    deps.store.run_tx("begin_quarantined", |tx| async move { begin_quarantined(&tx, ids).await }).await
}

async fn forgive(ids: &[ItemId], deps: &Deps) -> Result<(), StoreError> {
    deps.store.run_tx("release_quarantined", |tx| async move { release_quarantined(&tx, ids).await }).await
}

/// The outcome of one item.
enum Alone {
    /// The transaction ran, or the item was gone.
    Done,
    /// Another builder works on the item, or another transaction holds its node or run.
    Waits,
}

async fn build_one(item: &QuarantinedItem, deps: &Deps) -> Result<Alone, BatchError> {
    let crashes = match begin(&[item.id], deps).await?.first() {
        Some(Begin::Begun(crashes)) => *crashes,
        Some(Begin::Busy) => return Ok(Alone::Waits),
        Some(Begin::Gone) | None => return Ok(Alone::Done),
    };
    let fallback = if crashes >= CRASHES_MAX { Fallback::Crashed } else { Fallback::None };
    let result = commit_and_send(item, fallback, deps).await;
    // A statement's time-out counts like a crash: at `CRASHES_MAX` the item is given up.
    if matches!(&result, Err(BatchError::Store(error)) if error.is_statement_timeout()) {
        return result;
    }
    forgive(&[item.id], deps).await?;
    result
}

async fn commit_and_send(
    item: &QuarantinedItem,
    fallback: Fallback,
    deps: &Deps,
) -> Result<Alone, BatchError> {
    let mut built = match build_once(ClaimTarget::One(item, fallback), deps).await {
        Err(StoreError::Rejected { .. }) => {
            build_once(ClaimTarget::One(item, Fallback::Refused), deps).await?
        }
        Err(error) if error.is_lock_timeout() => return Ok(Alone::Waits),
        result => result?,
    };
    built.send(deps).await;
    Ok(Alone::Done)
}
