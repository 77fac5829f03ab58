//! Executions that took a process along before run one at a time, alone in the process.

use domain::limits::OUTAGE_WAKE_SECONDS;
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::executor::{ClaimScope, RefusedExecution};

use crate::claims::{claim, has_time, settle_refused};
use crate::{Deps, finisher, send};

/// Executes suspects one by one; what there is no time for gets a fresh wake.
pub async fn execute_alone(suspects: Vec<RefusedExecution>, deadline: Deadline, deps: &Deps) {
    for suspect in suspects {
        if !has_time(deadline, deps) {
            let message = Message::Execution { execution_id: suspect.id };
            send(vec![Outgoing::now(suspect.organization_id, message)], deps).await;
            continue;
        }
        match claim(&[suspect.id], ClaimScope::Alone, deps).await {
            Ok(claimed) => {
                settle_refused(claimed.claims.refused.clone(), deps).await;
                finisher::run_and_finish(claimed, deadline, deps).await;
            }
            // Nothing was claimed: it is looked at again.
            Err(error) => {
                tracing::warn!(execution_id = %suspect.id, %error, "a suspect could not be claimed");
                let message = Message::Execution { execution_id: suspect.id };
                let later = Outgoing {
                    delay_seconds: OUTAGE_WAKE_SECONDS,
                    ..Outgoing::now(suspect.organization_id, message)
                };
                send(vec![later], deps).await;
            }
        }
    }
}
