//! From messages to claims: what was claimed runs, and everything else is answered for.

use std::time::{Duration, Instant};

use domain::ids::{ExecutionId, LeaseToken, OrganizationId};
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::executor::{
    ClaimScope, ClaimTerms, ExecutionClaims, Refusal, RefusedExecution, claim_executions, end_unstartable,
};

use crate::{Deps, finisher, freed_wakes, send};

/// Executes a batch; returns the quarantined executions that it left out.
///
/// # Errors
/// [`StoreError`] when nothing was claimed.
pub async fn execute_batch(
    ids: &[ExecutionId],
    deadline: Deadline,
    deps: &Deps,
) -> Result<Vec<RefusedExecution>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    if !has_time(deadline, deps) {
        // A message that is delivered again counts as received; there is nothing wrong with this
        // one. The invocation has only begun.
        tracing::error!(
            left_seconds = deadline.left().as_secs(),
            component_seconds_max = deps.run.times.component_seconds_max,
            "the function's time-out has no room for a component: SEALFLOW_COMPONENT_SECONDS_MAX says another time than the deployment"
        );
        return Err(StoreError::Conflict("no time left in this invocation"));
    }
    let claimed = claim(ids, ClaimScope::Batch, deps).await?;
    let refused = claimed.claims.refused.clone();
    // Side by side: ending what may not start waits for locks, and the leases of the others run.
    let (quarantined, ()) =
        tokio::join!(settle_refused(refused, deps), finisher::run_and_finish(claimed, deadline, deps));
    Ok(quarantined)
}

/// A claim with the token that names it.
pub struct Claimed {
    /// The executions that were claimed and those that were not.
    pub claims: ExecutionClaims,
    /// Before the leases began.
    pub since: Instant,
    /// `lease_token`
    pub token: LeaseToken,
}

/// Claims executions in one transaction.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim(ids: &[ExecutionId], scope: ClaimScope, deps: &Deps) -> Result<Claimed, StoreError> {
    let (token, now, since) = (deps.ids.random(), deps.run.clock.now(), Instant::now());
    let terms = ClaimTerms { scope, token, lease_seconds: deps.run.times.lease_seconds, share: deps.share };
    let claims = deps
        .store
        .run_tx("claim_executions", |tx| async move { claim_executions(&tx, ids, terms, now).await })
        .await?;
    for execution in &claims.executions {
        tracing::info!(execution_id = %execution.id, run_id = %execution.run_id, attempt = execution.attempt, "claimed");
    }
    Ok(Claimed { claims, since, token })
}

/// Seconds after which what another transaction holds is looked at again.
pub const LOCKED_WAKE_SECONDS: u16 = 1;

/// Whether a component and the recording of its outcome still fit into the invocation.
#[must_use]
pub fn has_time(deadline: Deadline, deps: &Deps) -> bool {
    let needed = deps.run.times.component_seconds_max + deps.run.times.finish_margin_seconds;
    deadline.left() >= Duration::from_secs(u64::from(needed))
}

/// Answers for what was not claimed: ends what may not start, sends what is not due or held by
/// another once more. Returns the quarantined executions.
pub async fn settle_refused(refused: Vec<RefusedExecution>, deps: &Deps) -> Vec<RefusedExecution> {
    let mut late = Vec::new();
    let (mut quarantined, mut unstartable) = (Vec::new(), Vec::new());
    for execution in refused {
        match execution.refusal {
            Refusal::Settled => {}
            Refusal::Quarantined => quarantined.push(execution),
            Refusal::Unstartable => unstartable.push(execution),
            Refusal::Busy => late.push(looked_at_again(&execution)),
            Refusal::NotDue(millis) => late.extend(delayed(execution.id, execution.organization_id, millis)),
        }
    }
    send(late, deps).await;
    if !unstartable.is_empty() {
        end(&unstartable, deps).await;
    }
    quarantined
}

/// A message for an execution that is to run in so many milliseconds; None where the sweeper will
/// send it.
#[must_use]
pub fn delayed(execution_id: ExecutionId, organization_id: OrganizationId, millis: i64) -> Option<Outgoing> {
    let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    Outgoing::after(organization_id, Message::Execution { execution_id }, wait)
}

/// Contention is no failure: a fresh wake, and the message is acked.
fn looked_at_again(execution: &RefusedExecution) -> Outgoing {
    Outgoing {
        delay_seconds: LOCKED_WAKE_SECONDS,
        ..Outgoing::now(execution.organization_id, Message::Execution { execution_id: execution.id })
    }
}

async fn end(unstartable: &[RefusedExecution], deps: &Deps) {
    let now = deps.run.clock.now();
    let ids: Vec<ExecutionId> = unstartable.iter().map(|execution| execution.id).collect();
    let ids = &ids;
    let ended =
        deps.store.run_tx("end_unstartable", |tx| async move { end_unstartable(&tx, ids, now).await }).await;
    match ended {
        Ok((ended, freed)) => {
            let mut messages: Vec<Outgoing> = freed_wakes(freed).collect();
            for execution in ended {
                tracing::info!(execution_id = %execution.id, reason = %execution.reason, "ended without a start");
                let wake = |event_id| Outgoing::now(execution.organization_id, Message::Event { event_id });
                messages.extend(execution.error_event_id.map(wake));
            }
            send(messages, deps).await;
        }
        Err(error) if error.is_lock_timeout() => {
            let again = unstartable.iter().map(looked_at_again);
            send(again.collect(), deps).await;
        }
        // The rows are as they were: the sweeper brings them back.
        Err(error) => tracing::warn!(%error, "executions that may not start could not be ended"),
    }
}
