//! What was at work before and is not known to be harmless: one item at a time, alone in the process.

use std::time::Duration;

use domain::limits::{CLAIM_ITEMS_MAX, CRASHES_MAX};
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::builder::{Begin, SuspectItem, Wakes, begin_suspect, find_all_suspects, forgive_suspect};

use crate::Deps;
use crate::batch::{self, BatchError, Take, build_once, node_message};
use crate::plan::Fallback;

/// What one item may take; what there is no time for waits for the sweeper or a fresh wake.
const TIME_OF_ONE: Duration = Duration::from_secs(3);

/// Builds, one by one, the items that a batch left out and those of messages that were received before. `again` is what the batch wants
/// to be looked at again; what has to wait here is added to it, and equal ones are sent once: were it one for each item, wakes would
/// grow from look to look. Tells whether there may be more for the redelivered wakes than was found: they are sent once more.
///
/// # Errors
/// [`BatchError`] when the database failed; what was committed stays.
pub async fn build_alone(
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
        items.extend(found);
    }
    let mut failure = None;
    for item in items {
        let wake = batch::again(item.organization_id, node_message(&item.node));
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

/// Whether a search found as many as it may.
pub(crate) fn is_full(items: &[SuspectItem]) -> bool {
    i64::try_from(items.len()).unwrap_or(i64::MAX) >= CLAIM_ITEMS_MAX
}

/// All items that the wakes may take, each to be built alone; a part of them where there are more.
pub(crate) async fn find_all(wakes: &Wakes, deps: &Deps) -> Result<Vec<SuspectItem>, StoreError> {
    let work = |tx| async move { find_all_suspects(&tx, wakes, CLAIM_ITEMS_MAX).await };
    deps.store.run_tx("find_all_suspects", work).await
}

/// What became of one item.
enum Alone {
    /// It was looked at.
    Done,
    /// Somebody else is at work on it, or holds its node.
    Waits,
}

async fn build_one(item: &SuspectItem, deps: &Deps) -> Result<Alone, BatchError> {
    // Committed before the work: if it takes the process along, the count stays.
    let begun =
        deps.store.run_tx("begin_suspect", |tx| async move { begin_suspect(&tx, item.id).await }).await?;
    let crashes = match begun {
        Begin::Begun(crashes) => crashes,
        Begin::Busy => return Ok(Alone::Waits),
        Begin::Gone => return Ok(Alone::Done),
    };
    let fallback = if crashes >= CRASHES_MAX { Fallback::Crashed } else { Fallback::None };
    let result = commit_and_send(item, fallback, deps).await;
    // A statement that takes too long is as bad as a process that ends: after so many of them the item is given up.
    if matches!(&result, Err(BatchError::Store(error)) if error.is_statement_timeout()) {
        return result;
    }
    deps.store.run_tx("forgive_suspect", |tx| async move { forgive_suspect(&tx, item.id).await }).await?;
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
