//! What was at work before and is not known to be harmless: one item at a time, alone in the process (transactions.md 16).

use std::time::Duration;

use model::limits::{CLAIM_ITEMS_MAX, CRASHES_MAX};
use model::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::builder::{Begin, SuspectItem, Wakes, begin_suspect, find_all_suspects, forgive_suspect};

use crate::Deps;
use crate::batch::{BatchError, Built, LOCKED_WAKE_SECONDS, Take, build_once, node_message};
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
    let mut failure = None;
    for item in items {
        if item.is_unseen && !unseen.iter().any(|known| known.node == item.node) {
            unseen.push(item.clone());
        }
        if failure.is_some() || deadline.left() < TIME_OF_ONE {
            tracing::warn!(item_id = %item.id, "a suspect has to wait; its message is sent again");
            wake_again(&item, deps).await;
        } else if let Err(error) = build_one(&item, deps).await {
            wake_again(&item, deps).await;
            failure = Some(error);
        }
    }
    // What waited behind them unseen was left out with them.
    for item in unseen {
        wake_again(&item, deps).await;
    }
    failure.map_or(Ok(()), Err)
}

/// All items that the wakes may take, each to be built alone; a part of them where there are more, and then the wakes come again.
pub(crate) async fn find_all(wakes: &Wakes, deps: &Deps) -> Result<Vec<SuspectItem>, StoreError> {
    let work = |tx| async move { find_all_suspects(&tx, wakes, CLAIM_ITEMS_MAX).await };
    let items = deps.store.run_tx("find_all_suspects", work).await?;
    if i64::try_from(items.len()).unwrap_or(i64::MAX) >= CLAIM_ITEMS_MAX {
        all_again(wakes, deps).await;
    }
    Ok(items)
}

async fn build_one(item: &SuspectItem, deps: &Deps) -> Result<(), BatchError> {
    // Committed before the work: if it takes the process along, the count stays.
    let begun =
        deps.store.run_tx("begin_suspect", |tx| async move { begin_suspect(&tx, item.id).await }).await?;
    let crashes = match begun {
        Begin::Begun(crashes) => crashes,
        Begin::Busy => {
            wake_again(item, deps).await;
            return Ok(());
        }
        Begin::Gone => return Ok(()),
    };
    let fallback = if crashes >= CRASHES_MAX { Fallback::Crashed } else { Fallback::None };
    let result = commit_and_send(item, fallback, deps).await;
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

/// The organization is not known here, so a wake goes to the group of the workflow's or event's own id: it is only a hint.
async fn wake_again(item: &SuspectItem, deps: &Deps) {
    let wakes = Wakes { event_ids: Vec::new(), nodes: vec![item.node.clone()] };
    all_again(&wakes, deps).await;
}

/// Fresh wakes, a moment later: contention is no failure, and a message that is delivered again counts as received (transactions.md 8).
pub(crate) async fn all_again(wakes: &Wakes, deps: &Deps) {
    let later =
        |group, message| Outgoing { delay_seconds: LOCKED_WAKE_SECONDS, ..Outgoing::now(group, message) };
    let events =
        wakes.event_ids.iter().map(|event_id| later(*event_id, Message::Event { event_id: *event_id }));
    let nodes = wakes.nodes.iter().map(|key| later(key.0, node_message(key)));
    deps.queue.send(events.chain(nodes).collect()).await;
}
