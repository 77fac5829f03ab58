//! The messages of schedules that are due before the next tick.

use std::time::Duration;

use domain::limits::SWEEP_ROWS_MAX;
use domain::message::Message;
use queue::Outgoing;
use store::StoreError;
use store::sweeper::find_due_schedules;

use crate::runs::DUE_SOON_SECONDS;
use crate::{Deps, Swept};

/// Sends messages for schedules that are due before the next tick. Returns whether there may be
/// more. One that could not be sent is found again after the grace.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn send_due(swept: &mut Swept, deps: &Deps) -> Result<bool, StoreError> {
    let due = find_due_schedules(&deps.store, DUE_SOON_SECONDS, deps.grace_seconds, SWEEP_ROWS_MAX).await?;
    let is_full = crate::is_full(due.len());
    let messages = due.into_iter().filter_map(|due| {
        let (workflow_id, node_id) = due.key;
        let wait = Duration::try_from_secs_f64(due.seconds_left).ok()?;
        Outgoing::after(due.organization_id, Message::Schedule { workflow_id, node_id }, wait)
    });
    let report = deps.queue.send(messages.collect()).await;
    swept.schedules += report.sent;
    swept.unsent += report.unsent.len();
    Ok(is_full && report.unsent.is_empty())
}
