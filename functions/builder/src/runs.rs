//! Messages of kind `run`: a run's time-out, and the rest of a stop.

use std::time::Duration;

use domain::actor::Actor;
use domain::function::Function;
use domain::ids::RunId;
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::{RunLook, StoreError, look_at_run};

use crate::{Deps, failed_runs};

/// Time until a run is looked at again that had more open than one look finds. By then the sweeper
/// has mostly ended it whole: sooner, the same rows would get wakes again and again behind a
/// backlog.
const NEXT_LOOK: Duration = Duration::from_secs(60);

/// Looks at a run, and wakes what is to end of it.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn look_at(run_id: RunId, deadline: Deadline, deps: &Deps) -> Result<(), StoreError> {
    let by = Actor::function(Function::Builder);
    let message = Message::Run { run_id };
    let messages: Vec<Outgoing> = match look_at_run(&deps.store, run_id, &by, deps.plan.clock.now()).await? {
        RunLook::Over => return Ok(()),
        RunLook::Failed => return failed_runs::tell_of(run_id, deadline, deps).await,
        RunLook::NotDue(organization_id, millis) => {
            let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            Outgoing::after(organization_id, message, wait).into_iter().collect()
        }
        RunLook::Stopped { organization_id, wakes, is_full } => {
            tracing::info!(%run_id, open = wakes.len(), "the run is stopped");
            let next = is_full.then(|| Outgoing::after(organization_id, message, NEXT_LOOK)).flatten();
            wakes.into_iter().map(|wake| Outgoing::now(organization_id, wake)).chain(next).collect()
        }
    };
    deps.queue.send(messages).await;
    Ok(())
}
