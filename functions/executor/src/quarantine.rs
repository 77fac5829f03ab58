//! Executions that crashed a worker before run one at a time, alone in the process.

use domain::limits::OUTAGE_WAKE_SECONDS;
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::executor::{ClaimScope, RefusedExecution};

use crate::claims::{claim, has_time, settle_refused};
use crate::{Deps, finisher, send};

/// Executes quarantined executions one by one; what there is no time for gets a fresh wake.
pub async fn execute_alone(quarantined: Vec<RefusedExecution>, deadline: Deadline, deps: &Deps) {
    for execution in quarantined {
        if !has_time(deadline, deps) {
            let message = Message::Execution { execution_id: execution.id };
            send(vec![Outgoing::now(execution.organization_id, message)], deps).await;
            continue;
        }
        match claim(&[execution.id], ClaimScope::Alone, deps.ids.random(), deps).await {
            Ok(claimed) => {
                settle_refused(claimed.claims.refused.clone(), deps).await;
                finisher::run_and_finish(claimed, deadline, deps).await;
            }
            // Nothing was claimed: it is looked at again.
            Err(error) => {
                tracing::warn!(execution_id = %execution.id, %error, "a quarantined execution could not be claimed");
                let message = Message::Execution { execution_id: execution.id };
                let later = Outgoing {
                    delay_seconds: OUTAGE_WAKE_SECONDS,
                    ..Outgoing::now(execution.organization_id, message)
                };
                send(vec![later], deps).await;
            }
        }
    }
}
