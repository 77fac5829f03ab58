//! Suspects: items whose message was received before, together, with a crash counted on each beforehand; then items that were at work
//! before and is not known to be harmless, one item at a time, alone in the process.

use std::collections::HashSet;
use std::time::Duration;

use domain::ids::ItemId;
use domain::limits::{CLAIM_ITEMS_MAX, CRASHES_MAX};
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::builder::{Begin, SuspectItem, Wakes, begin_suspects, find_all_suspects, forgive_suspects};

use crate::Deps;
use crate::batch::{self, BatchError, Take, build_once, node_message};
use crate::plan::Fallback;

/// The time that one transaction over suspects may take; an item for which there is none gets a fresh wake.
const TIME_OF_ONE: Duration = Duration::from_secs(3);

/// Builds the items of messages that were received before, and then, one by one, those that a batch left out. `again` is what the batch wants
/// to be looked at again; what has to wait here is added to it, and equal ones are sent once: were it one for each item, wakes would
/// grow from look to look. Tells whether there may be more for the redelivered wakes than was found: they are sent once more.
///
/// # Errors
/// [`BatchError`] when the database failed; what was committed stays.
pub async fn build_suspects(
    redelivered: &Wakes,
    left_out: Vec<SuspectItem>,
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
    left_out: Vec<SuspectItem>,
    again: &mut Vec<Outgoing>,
    deadline: Deadline,
    deps: &Deps,
) -> Result<bool, BatchError> {
    let mut items = left_out;
    let mut is_cut = false;
    if !redelivered.event_ids.is_empty() || !redelivered.nodes.is_empty() {
        let found = find_all(redelivered, deps).await?;
        is_cut = is_full(&found);
        // An item that never took a process along is harmless, or does it now for the first time.
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
            tracing::warn!(item_id = %item.id, "a suspect has to wait; its node is woken again");
            again.push(wake);
            continue;
        }
        // Items behind one that was not resolved were left out with it.
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
fn wake_of(item: &SuspectItem) -> Outgoing {
    batch::again(item.organization_id, node_message(&item.node))
}

/// Whether a search found as many as it may.
pub(crate) fn is_full(items: &[SuspectItem]) -> bool {
    i64::try_from(items.len()).unwrap_or(i64::MAX) >= CLAIM_ITEMS_MAX
}

/// All items that the wakes may take, each to be built alone; a part of them where there are more.
pub(crate) async fn find_all(wakes: &Wakes, deps: &Deps) -> Result<Vec<SuspectItem>, StoreError> {
    let work = |tx| async move { find_all_suspects(&tx, wakes, CLAIM_ITEMS_MAX).await };
    deps.store.run_tx("find_all_suspects", work).await
}

/// Builds the items of redelivered wakes in one transaction, with a crash committed on each before: if it takes the process along, each goes
/// alone the next time. The transaction itself takes the count back. What it leaves out goes to `alone`; tells whether there may be more.
async fn build_together(
    items: &[SuspectItem],
    alone: &mut Vec<SuspectItem>,
    again: &mut Vec<Outgoing>,
    deps: &Deps,
) -> Result<bool, BatchError> {
    let ids: Vec<ItemId> = items.iter().map(|item| item.id).collect();
    let mut begun = Vec::new();
    // By their events alone: of an item that came since, no crash is counted.
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
    match build_once(Take::Begun(&wakes, &begun), deps).await {
        Ok(mut built) => {
            built.send(deps).await;
            alone.append(&mut built.suspects);
            again.append(&mut built.again);
            again.extend(built.skipped.iter().flat_map(batch::wakes_again));
            Ok(built.is_cut)
        }
        // A statement that takes too long is as bad as a process that ends: what was counted stays.
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

/// Counts a crash on items before the work, and commits: if it takes the process along, the count stays.
async fn begin(ids: &[ItemId], deps: &Deps) -> Result<Vec<Begin>, StoreError> {
    deps.store.run_tx("begin_suspects", |tx| async move { begin_suspects(&tx, ids).await }).await
}

async fn forgive(ids: &[ItemId], deps: &Deps) -> Result<(), StoreError> {
    deps.store.run_tx("forgive_suspects", |tx| async move { forgive_suspects(&tx, ids).await }).await
}

/// What became of one item.
enum Alone {
    /// It was looked at.
    Done,
    /// Somebody else is at work on it, or holds its node.
    Waits,
}

async fn build_one(item: &SuspectItem, deps: &Deps) -> Result<Alone, BatchError> {
    let crashes = match begin(&[item.id], deps).await?.first() {
        Some(Begin::Begun(crashes)) => *crashes,
        Some(Begin::Busy) => return Ok(Alone::Waits),
        Some(Begin::Gone) | None => return Ok(Alone::Done),
    };
    let fallback = if crashes >= CRASHES_MAX { Fallback::Crashed } else { Fallback::None };
    let result = commit_and_send(item, fallback, deps).await;
    // As in a batch of them: after so many of those the item is given up.
    if matches!(&result, Err(BatchError::Store(error)) if error.is_statement_timeout()) {
        return result;
    }
    forgive(&[item.id], deps).await?;
    result
}

async fn commit_and_send(item: &SuspectItem, fallback: Fallback, deps: &Deps) -> Result<Alone, BatchError> {
    let mut built = match build_once(Take::One(item, fallback), deps).await {
        Err(StoreError::Rejected { .. }) => build_once(Take::One(item, Fallback::Refused), deps).await?,
        Err(error) if error.is_lock_timeout() => return Ok(Alone::Waits),
        result => result?,
    };
    built.send(deps).await;
    Ok(Alone::Done)
}
