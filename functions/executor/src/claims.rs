//! From messages to claims: claimed executions run, and refused ones are ended, sent again or
//! returned as quarantined.

use std::time::{Duration, Instant};

use domain::ids::{ExecutionId, LeaseToken, OrganizationId};
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::executor::{
    ClaimScope, ClaimTerms, ExecutionClaims, Refusal, RefusedExecution, claim_executions, end_unstartable,
    take_turns,
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
        // The invocation has only begun, so its time-out is too short. Each redelivery raises the
        // receive count of these messages, although nothing is wrong with them.
        tracing::error!(
            left_seconds = deadline.left().as_secs(),
            component_seconds_max = deps.run.times.component_seconds_max,
            "the function's time-out has no room for a component: SEALFLOW_COMPONENT_SECONDS_MAX says another time than the deployment"
        );
        return Err(StoreError::Conflict("no time left in this invocation"));
    }
    let claimed = claim(ids, ClaimScope::Batch, deps).await?;
    let refused = claimed.claims.refused.clone();
    // Both at the same time: the end of unstartable executions waits for locks, while the leases of
    // the claimed ones run.
    let (quarantined, ()) =
        tokio::join!(settle_refused(refused, deps), finisher::run_and_finish(claimed, deadline, deps));
    Ok(quarantined)
}

/// A claim with its lease token.
pub struct Claimed {
    /// The executions that were claimed and those that were not.
    pub claims: ExecutionClaims,
    /// An instant before the leases began.
    pub since: Instant,
    /// `lease_token`
    pub token: LeaseToken,
}

/// Claims executions in one transaction; those of nodes with a rate take their turns first.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim(ids: &[ExecutionId], scope: ClaimScope, deps: &Deps) -> Result<Claimed, StoreError> {
    let (token, since) = (deps.ids.random(), Instant::now());
    let terms = ClaimTerms { scope, token, lease_seconds: deps.run.times.lease_seconds, share: deps.share };
    let mut claims = claim_once(ids, terms, deps).await?;
    let wanting = claims.refused.extract_if(.., |refused| refused.refusal == Refusal::NeedsTurn);
    let wanting: Vec<RefusedExecution> = wanting.collect();
    if !wanting.is_empty() {
        claim_with_turns(&mut claims, wanting, terms, deps).await;
    }
    for execution in &claims.executions {
        tracing::info!(execution_id = %execution.id, run_id = %execution.run_id, attempt = execution.attempt, "claimed");
    }
    Ok(Claimed { claims, since, token })
}

async fn claim_once(
    ids: &[ExecutionId],
    terms: ClaimTerms,
    deps: &Deps,
) -> Result<ExecutionClaims, StoreError> {
    let now = deps.run.clock.now();
    deps.store
        .run_tx("claim_executions", |tx| async move { claim_executions(&tx, ids, terms, now).await })
        .await
}

/// Takes turns, and claims the executions whose turn has come. Claims that are held already must
/// not be lost by an error here: the others are looked at again.
async fn claim_with_turns(
    claims: &mut ExecutionClaims,
    wanting: Vec<RefusedExecution>,
    terms: ClaimTerms,
    deps: &Deps,
) {
    let (ids, now): (Vec<ExecutionId>, _) =
        (wanting.iter().map(|refused| refused.id).collect(), deps.run.clock.now());
    let ids = &ids;
    let turns = deps.store.run_tx("take_turns", |tx| async move { take_turns(&tx, ids, now).await }).await;
    let turns = turns.unwrap_or_else(|error| {
        tracing::warn!(%error, "turns could not be taken");
        Vec::new()
    });
    let due: Vec<ExecutionId> =
        turns.iter().filter(|turn| turn.due_in_millis <= 0).map(|turn| turn.id).collect();
    let with_turn = if due.is_empty() {
        ExecutionClaims::default()
    } else {
        claim_once(&due, terms, deps).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "executions that have their turn could not be claimed");
            ExecutionClaims::default()
        })
    };
    for refused in wanting {
        let is_settled = with_turn.executions.iter().any(|claimed| claimed.id == refused.id)
            || with_turn.refused.iter().any(|again| again.id == refused.id);
        let later = turns.iter().find(|turn| turn.id == refused.id && turn.due_in_millis > 0);
        let refusal = later.map_or(Refusal::Busy, |turn| Refusal::NotDue(turn.due_in_millis));
        claims.refused.extend((!is_settled).then_some(RefusedExecution { refusal, ..refused }));
    }
    let ExecutionClaims { executions, secrets, refused } = with_turn;
    claims.executions.extend(executions);
    claims.refused.extend(refused);
    let new: Vec<_> =
        secrets.into_iter().filter(|secret| claims.secrets.iter().all(|had| had.id != secret.id)).collect();
    claims.secrets.extend(new);
}

/// Seconds after which an execution that another transaction holds is tried again.
pub const LOCKED_WAKE_SECONDS: u16 = 1;

/// Whether a component and the recording of its outcome still fit into the invocation.
#[must_use]
pub fn has_time(deadline: Deadline, deps: &Deps) -> bool {
    let needed = deps.run.times.component_seconds_max + deps.run.times.finish_margin_seconds;
    deadline.left() >= Duration::from_secs(u64::from(needed))
}

/// Handles the executions that were not claimed. Ends those that may not start. Sends a delayed
/// message for those that are not due or that another transaction holds. Returns the quarantined
/// ones.
pub async fn settle_refused(refused: Vec<RefusedExecution>, deps: &Deps) -> Vec<RefusedExecution> {
    let mut late = Vec::new();
    let (mut quarantined, mut unstartable) = (Vec::new(), Vec::new());
    for execution in refused {
        match execution.refusal {
            Refusal::Settled => {}
            Refusal::Quarantined => quarantined.push(execution),
            Refusal::Unstartable => unstartable.push(execution),
            Refusal::Busy | Refusal::NeedsTurn => late.push(looked_at_again(&execution)),
            Refusal::NotDue(millis) => late.extend(delayed(execution.id, execution.organization_id, millis)),
        }
    }
    send(late, deps).await;
    if !unstartable.is_empty() {
        end(&unstartable, deps).await;
    }
    quarantined
}

/// The message for an execution that is due in `millis` milliseconds. None for a time beyond the
/// queue's longest delay: then the sweeper sends it.
#[must_use]
pub fn delayed(execution_id: ExecutionId, organization_id: OrganizationId, millis: i64) -> Option<Outgoing> {
    let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    Outgoing::after(organization_id, Message::Execution { execution_id }, wait)
}

/// The fresh message for a locked execution. Contention is no failure: the received message is
/// acked.
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
        // The rows are unchanged: the sweeper sends for them again.
        Err(error) => tracing::warn!(%error, "executions that may not start could not be ended"),
    }
}
