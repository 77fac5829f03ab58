//! From messages to claims: claimed executions run, and refused ones are ended, sent again or
//! returned as quarantined.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use domain::ids::{ExecutionId, LeaseToken, OrganizationId};
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::StoreError;
use store::executor::{
    ClaimScope, ClaimTerms, ExecutionClaims, Refusal, RefusedExecution, claim_executions, end_unstartable,
    take_turns,
};

use crate::{Deps, finisher, freed_wakes, send, settled_wakes};

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
    let token = deps.ids.random();
    let claimed = claim(ids, ClaimScope::Batch, token, deps).await?;
    let mut refused = claimed.claims.refused.clone();
    let wanting: Vec<_> = refused.extract_if(.., |refused| refused.refusal == Refusal::NeedsTurn).collect();
    // All at the same time: the end of unstartable executions waits for locks, and turns take two
    // transactions, while the leases of the claimed ones run.
    let (mut quarantined, (), with_turns) = tokio::join!(
        settle_refused(refused, deps),
        finisher::run_and_finish(claimed, deadline, deps),
        execute_with_turns(wanting, token, deadline, deps),
    );
    quarantined.extend(with_turns);
    Ok(quarantined)
}

/// Takes turns, and executes what may begin. The others are looked at again at their time; returns
/// the quarantined ones.
async fn execute_with_turns(
    wanting: Vec<RefusedExecution>,
    token: LeaseToken,
    deadline: Deadline,
    deps: &Deps,
) -> Vec<RefusedExecution> {
    if wanting.is_empty() {
        return Vec::new();
    }
    let ids: Vec<ExecutionId> = wanting.iter().map(|refused| refused.id).collect();
    let (ids, now) = (&ids, deps.run.clock.now());
    let turns = deps.store.run_tx("take_turns", |tx| async move { take_turns(&tx, ids, now).await }).await;
    let turns = turns.unwrap_or_else(|error| {
        tracing::warn!(%error, "turns could not be taken");
        Vec::new()
    });
    let mut groups: BTreeMap<i64, Vec<RefusedExecution>> = BTreeMap::new();
    let mut refused = Vec::new();
    for wanted in wanting {
        match turns.iter().find(|turn| turn.id == wanted.id) {
            Some(turn) if turn.has_turn => groups.entry(turn.due_in_millis).or_default().push(wanted),
            Some(turn) => {
                refused.push(RefusedExecution { refusal: Refusal::NotDue(turn.due_in_millis), ..wanted });
            }
            // Its node is at work elsewhere, or something failed: it is looked at again.
            None => refused.push(RefusedExecution { refusal: Refusal::Busy, ..wanted }),
        }
    }
    let groups = groups.into_iter().map(|(millis, wanted)| begin(wanted, millis, token, deadline, deps));
    let (mut quarantined, begun) = tokio::join!(settle_refused(refused, deps), join_all(groups));
    quarantined.extend(begun.into_iter().flatten());
    quarantined
}

/// Executes what has its turn in so many milliseconds; returns the quarantined ones. Those that this
/// invocation has no time for keep their turn, and are looked at again.
async fn begin(
    wanted: Vec<RefusedExecution>,
    millis: i64,
    token: LeaseToken,
    deadline: Deadline,
    deps: &Deps,
) -> Vec<RefusedExecution> {
    tokio::time::sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
    let ids: Vec<ExecutionId> = wanted.iter().map(|wanted| wanted.id).collect();
    let claimed = if has_time(deadline, deps) {
        let claimed = claim(&ids, ClaimScope::Batch, token, deps).await;
        claimed
            .inspect_err(|error| tracing::warn!(%error, "executions with their turn could not be claimed"))
            .ok()
    } else {
        None
    };
    let Some(claimed) = claimed else {
        let busy = wanted.into_iter().map(|wanted| RefusedExecution { refusal: Refusal::Busy, ..wanted });
        return settle_refused(busy.collect(), deps).await;
    };
    let refused = claimed.claims.refused.clone();
    tokio::join!(settle_refused(refused, deps), finisher::run_and_finish(claimed, deadline, deps)).0
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

/// Claims executions in one transaction.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim(
    ids: &[ExecutionId],
    scope: ClaimScope,
    token: LeaseToken,
    deps: &Deps,
) -> Result<Claimed, StoreError> {
    let (now, since) = (deps.run.clock.now(), Instant::now());
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
        Ok((ended, freed, settled)) => {
            let mut messages: Vec<Outgoing> = freed_wakes(freed).collect();
            messages.extend(settled_wakes(&settled));
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
