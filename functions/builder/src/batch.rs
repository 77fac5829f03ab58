//! A batch of wakes: one transaction over all of it, and one more over nodes that others held.

use store::builder::{Wakes, WokenNode};
use store::{LockMode, StoreError};

use crate::Deps;
use crate::search::{find_all, is_full};
use crate::transaction::{BatchError, BatchOutcome, ClaimTarget, build_once};
use crate::wakes::wakes_again;

/// Builds a batch and sends what came of it.
///
/// # Errors
/// [`BatchError`] when nothing was committed.
pub async fn build(wakes: &Wakes, deps: &Deps) -> Result<BatchOutcome, BatchError> {
    if wakes.event_ids.is_empty() && wakes.nodes.is_empty() {
        return Ok(BatchOutcome::default());
    }
    let mut built = match build_once(ClaimTarget::Batch(wakes, LockMode::SkipLocked), deps).await {
        // One record's data was refused, or another transaction holds one run for long: each is
        // built alone, so that only it fails or waits.
        Err(error) if matches!(error, StoreError::Rejected { .. }) || error.is_lock_timeout() => {
            let why =
                if error.is_lock_timeout() { "a run is locked" } else { "the database refused a batch" };
            tracing::warn!("{why}; its items are built one by one");
            let quarantined = find_all(wakes, deps).await?;
            return Ok(BatchOutcome {
                is_cut: is_full(&quarantined),
                quarantined,
                ..BatchOutcome::default()
            });
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

/// Nodes that were skipped get one more try; what is still locked gets a fresh wake, for contention
/// is no failure.
async fn retry_skipped(
    skipped: Vec<WokenNode>,
    built: &mut BatchOutcome,
    deps: &Deps,
) -> Result<(), BatchError> {
    let mode = if built.has_written { LockMode::SkipLocked } else { LockMode::Wait };
    match build_once(ClaimTarget::Batch(&wakes_of(&skipped), mode), deps).await {
        Ok(mut again) => {
            again.send(deps).await;
            built.quarantined.append(&mut again.quarantined);
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
