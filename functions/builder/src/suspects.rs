//! What was at work before and is not known to be harmless: one item at a time, alone in the process (transactions.md 16).

use std::time::Duration;

use model::limits::{CLAIM_ITEMS_MAX, CRASHES_MAX};
use process::Deadline;
use store::StoreError;
use store::builder::{SuspectItem, Wakes, begin_suspect, find_all_suspects, forgive_suspect};

use crate::Deps;
use crate::batch::{BatchError, Built, Take, build_once};
use crate::keys::{See, see_items};
use crate::plan::Fallback;

/// What one item may take; what there is no time for waits for the sweeper or a fresh wake.
const TIME_OF_ONE: Duration = Duration::from_secs(3);

/// Builds, one by one, the items that a batch left out and those of messages that were received before.
///
/// # Errors
/// [`BatchError`] when the database failed; what was committed stays.
pub async fn build_alone(
    redelivered: &Wakes,
    left_out: Vec<SuspectItem>,
    deadline: Deadline,
    deps: &Deps,
) -> Result<(), BatchError> {
    let mut items = left_out;
    if !redelivered.event_ids.is_empty() || !redelivered.nodes.is_empty() {
        items.extend(find_all(redelivered, deps).await?);
    }
    let mut unseen: Vec<SuspectItem> = Vec::new();
    for item in items {
        if item.is_unseen && !unseen.iter().any(|known| known.node == item.node) {
            unseen.push(item.clone());
        }
        if deadline.left() < TIME_OF_ONE {
            tracing::warn!(item_id = %item.id, "no time left for a suspect; its message is sent again");
            wake_again(&item, deps).await;
            continue;
        }
        build_one(&item, deps).await?;
    }
    // What waited behind them unseen was left out with them.
    for item in unseen {
        wake_again(&item, deps).await;
    }
    Ok(())
}

/// All items that the wakes may take, each to be built alone.
pub(crate) async fn find_all(wakes: &Wakes, deps: &Deps) -> Result<Vec<SuspectItem>, StoreError> {
    let work = |tx| async move { find_all_suspects(&tx, wakes, CLAIM_ITEMS_MAX).await };
    deps.store.run_tx("find_all_suspects", work).await
}

async fn build_one(item: &SuspectItem, deps: &Deps) -> Result<(), BatchError> {
    if item.crashes >= CRASHES_MAX {
        return commit_and_send(item, Fallback::Crashed, deps).await;
    }
    // Committed before the work: if it takes the process along, the count stays.
    let is_there =
        deps.store.run_tx("begin_suspect", |tx| async move { begin_suspect(&tx, item.id).await }).await?;
    if !is_there {
        return Ok(());
    }
    let result = commit_and_send(item, Fallback::None, deps).await;
    deps.store.run_tx("forgive_suspect", |tx| async move { forgive_suspect(&tx, item.id).await }).await?;
    result
}

async fn commit_and_send(item: &SuspectItem, fallback: Fallback, deps: &Deps) -> Result<(), BatchError> {
    let mut built = match see_and_build(item, fallback, deps).await {
        Err(StoreError::Rejected { .. }) => see_and_build(item, Fallback::Refused, deps).await?,
        Err(error) if error.is_lock_timeout() => {
            wake_again(item, deps).await;
            return Ok(());
        }
        result => result?,
    };
    built.send(deps).await;
    Ok(())
}

async fn see_and_build(item: &SuspectItem, fallback: Fallback, deps: &Deps) -> Result<Built, StoreError> {
    if item.is_unseen {
        see_items(See::One(item, fallback), deps).await?;
    }
    build_once(Take::One(item, fallback), deps).await
}

/// The organization is not known here, so the wake goes to the group of the workflow's own id: it is only a hint.
async fn wake_again(item: &SuspectItem, deps: &Deps) {
    let message = crate::batch::node_message(&item.node);
    let wake = queue::Outgoing { delay_seconds: 1, ..queue::Outgoing::now(item.node.0, message) };
    deps.queue.send(vec![wake]).await;
}
