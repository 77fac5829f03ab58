//! The search for all items that wakes name, quarantined ones and others.

use domain::limits::CLAIM_ITEMS_MAX;
use store::StoreError;
use store::builder::{QuarantinedItem, Wakes, find_all_quarantined};

use crate::Deps;

/// All items that the wakes may take, each to be built alone; a part of them where there are more.
pub(crate) async fn find_all(wakes: &Wakes, deps: &Deps) -> Result<Vec<QuarantinedItem>, StoreError> {
    let work = |tx| async move { find_all_quarantined(&tx, wakes, CLAIM_ITEMS_MAX).await };
    deps.store.run_tx("find_all_quarantined", work).await
}

/// Whether a search found as many as it may.
pub(crate) fn is_full(items: &[QuarantinedItem]) -> bool {
    i64::try_from(items.len()).unwrap_or(i64::MAX) >= CLAIM_ITEMS_MAX
}
