//! Wakes of held executions: one transaction for a batch, and one for each execution that crashed a
//! worker before.

use std::collections::BTreeMap;

use components::Results;
use domain::actor::Actor;
use domain::execution::ExecutionResult;
use domain::function::Function;
use domain::ids::{ExecutionId, OrganizationId};
use domain::limits::CRASHES_MAX;
use domain::message::Message;
use process::Deadline;
use queue::Outgoing;
use store::builder::{
    BegunWake, FoundWoken, OwnerNames, WokenExecution, begin_wake, forgive_wake, load_routes, lock_woken,
    record_wakes,
};
use store::{StoreError, Tx, stop_sub_runs};

use crate::calls::call;
use crate::definitions::{Workflows, cache_definitions};
use crate::outputs::add_outputs;
use crate::plan::{Fallback, WakeInput, plan_wakes};
use crate::quarantine::TIME_OF_ONE;
use crate::transaction::{BatchOutcome, PLANS_MAX};
use crate::wakes::{again, error_wakes, settled_wakes};
use crate::{Deps, PlanDeps};

/// The executions of a transaction.
#[derive(Clone, Copy)]
enum WakeTarget<'a> {
    /// Executions that never crashed a worker, together.
    Batch(&'a [ExecutionId]),
    /// One execution, alone.
    One(ExecutionId, Fallback),
}

/// Wakes executions whose messages arrive for the first time. Returns the executions to wake alone.
///
/// # Errors
/// See [`StoreError`]; nothing was committed.
pub(crate) async fn wake(ids: &[ExecutionId], deps: &Deps) -> Result<Vec<ExecutionId>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    match wake_once(WakeTarget::Batch(ids), deps).await {
        Ok(mut woken) => {
            woken.send(deps).await;
            Ok(woken.quarantined)
        }
        Err(error) if error.is_infrastructure() && !error.is_lock_timeout() => Err(error),
        // One row was refused, this version can't read one row, or another transaction holds one
        // run for long. Each execution is woken alone, so that only the affected one fails or
        // waits.
        Err(error) => {
            tracing::warn!(%error, "a batch of wakes could not be recorded; each execution is woken alone");
            Ok(ids.to_vec())
        }
    }
}

/// Wakes executions one by one. Before each wake, a crash is counted on the execution and
/// committed; a wake that succeeds takes it back. If the database fails or the time is over, the
/// remaining executions get fresh wakes. Returns the executions whose fresh wake could not be sent:
/// their messages must be delivered again.
pub(crate) async fn wake_each(
    quarantined: &BTreeMap<ExecutionId, Option<OrganizationId>>,
    deadline: Deadline,
    deps: &Deps,
) -> Vec<ExecutionId> {
    let (mut fresh, mut left) = (Vec::new(), Vec::new());
    let mut is_failing = false;
    for (id, organization_id) in quarantined {
        let is_done = !is_failing
            && deadline.left() >= TIME_OF_ONE
            && match wake_alone(*id, deps).await {
                Ok(woken) => woken == Alone::Done,
                // Another version may have written a form that this one can't read. Fresh wakes
                // would fail each second; the sweeper's wakes come at growing intervals.
                Err(error @ (StoreError::Corrupt(_) | StoreError::Refused { .. })) => {
                    tracing::error!(execution_id = %id, %error, "a held execution can't be woken by this version of sealflow");
                    true
                }
                Err(error) => {
                    tracing::warn!(execution_id = %id, %error, "a held execution could not be woken; it gets a fresh wake");
                    is_failing = error.is_infrastructure() && !error.is_lock_timeout();
                    false
                }
            };
        match organization_id {
            _ if is_done => {}
            Some(organization_id) => fresh.push(again(*organization_id, Message::Wake { execution_id: *id })),
            None => left.push(*id),
        }
    }
    let unsent = deps.queue.send(fresh).await.unsent;
    left.extend(unsent.iter().filter_map(|outgoing| match outgoing.message {
        Message::Wake { execution_id } => Some(execution_id),
        _ => None,
    }));
    left
}

/// The result for one execution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// The wake was handled, or the execution is held no more.
    Done,
    /// Another builder wakes the execution, or holds its row.
    Waits,
}

async fn wake_alone(id: ExecutionId, deps: &Deps) -> Result<Alone, StoreError> {
    let begun = deps.store.run_tx("begin_wake", |tx| async move { begin_wake(&tx, id).await }).await?;
    let crashes = match begun {
        BegunWake::Begun(crashes) => crashes,
        // The other wake may have read the causes before this wake's cause was committed.
        BegunWake::Busy => return Ok(Alone::Waits),
        BegunWake::Gone => return Ok(Alone::Done),
    };
    let fallback = if crashes >= CRASHES_MAX { Fallback::Crashed } else { Fallback::None };
    let woken = match wake_once(WakeTarget::One(id, fallback), deps).await {
        Err(StoreError::Rejected { .. }) => wake_once(WakeTarget::One(id, Fallback::Refused), deps).await,
        woken => woken,
    };
    match woken {
        Ok(mut woken) => {
            let (has_written, calls) = (woken.built.has_written, !woken.calling.is_empty());
            // A call may crash the worker too: then the count stays.
            if !has_written && !calls {
                deps.store.run_tx("forgive_wake", |tx| async move { forgive_wake(&tx, id).await }).await?;
            }
            woken.send(deps).await;
            if calls {
                deps.store.run_tx("forgive_wake", |tx| async move { forgive_wake(&tx, id).await }).await?;
            }
            Ok(Alone::Done)
        }
        // A statement's time-out counts like a crash: the committed count stays.
        Err(error) if error.is_statement_timeout() => Err(error),
        Err(error) => {
            deps.store.run_tx("forgive_wake", |tx| async move { forgive_wake(&tx, id).await }).await?;
            Err(error)
        }
    }
}

/// The result of a transaction over wakes.
#[derive(Default)]
struct WokenBatch {
    built: BatchOutcome,
    /// Executions that were left out, to be woken alone.
    quarantined: Vec<ExecutionId>,
    /// Executions that ended.
    ended: Vec<(ExecutionId, ExecutionResult)>,
    /// Owners whose running sub-runs are to be stopped.
    stopping: Vec<ExecutionId>,
    /// Executions that are to call a run.
    calling: Vec<ExecutionId>,
}

impl WokenBatch {
    /// Logs the executions that ended, and sends the messages of the transaction.
    async fn send(&mut self, deps: &Deps) {
        for (execution_id, result) in self.ended.drain(..) {
            tracing::info!(%execution_id, %result, "a held execution ended");
        }
        for owner_id in self.stopping.drain(..) {
            let by = Actor::function(Function::Builder);
            // The owner wakes a minute later, and tries again.
            match stop_sub_runs(&deps.store, owner_id, &by, deps.plan.clock.now()).await {
                Ok(runs) => self.built.messages.extend(runs.into_iter().map(|(organization_id, run_id)| {
                    Outgoing::now(organization_id, Message::Run { run_id })
                })),
                Err(error) => {
                    tracing::warn!(execution_id = %owner_id, %error, "sub-runs could not be stopped");
                }
            }
        }
        for execution_id in self.calling.drain(..) {
            // Its time has come all along: the sweeper wakes it again.
            match call(execution_id, deps).await {
                Ok(messages) => self.built.messages.extend(messages),
                Err(error) => {
                    tracing::warn!(%execution_id, %error, "a workflow could not be called; it is called later")
                }
            }
        }
        self.built.send(deps).await;
    }
}

async fn wake_once(target: WakeTarget<'_>, deps: &Deps) -> Result<WokenBatch, StoreError> {
    let mut plans = 1;
    loop {
        let result = deps.store.run_tx("wake", |tx| wake_in(tx, target, &deps.plan)).await;
        match result {
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            result => return result,
        }
    }
}

async fn wake_in(tx: Tx, target: WakeTarget<'_>, deps: &PlanDeps) -> Result<WokenBatch, StoreError> {
    let one;
    let (ids, fallback) = match target {
        WakeTarget::Batch(ids) => (ids, Fallback::None),
        WakeTarget::One(id, fallback) => {
            one = [id];
            (one.as_slice(), fallback)
        }
    };
    let owners = OwnerNames {
        all: components::owner_names(Results::All),
        last: components::owner_names(Results::Last),
        called: components::owner_names(Results::Called),
    };
    let FoundWoken { mut executions, locked } = lock_woken(&tx, ids, &owners).await?;
    let mut woken = WokenBatch::default();
    // Contention is no failure: a locked execution gets a wake a second later.
    woken.built.messages.extend(
        locked
            .into_iter()
            .map(|(id, organization_id)| again(organization_id, Message::Wake { execution_id: id })),
    );
    if matches!(target, WakeTarget::Batch(_)) {
        let (quarantined, clean): (Vec<_>, Vec<_>) =
            executions.into_iter().partition(|execution| execution.crashes > 0);
        woken.quarantined = quarantined.into_iter().map(|execution| execution.id).collect();
        executions = clean;
    }
    if executions.is_empty() {
        return Ok(woken);
    }
    add_outputs(&tx, &mut executions, deps).await?;
    let (workflows, full_nodes) = routes(&tx, &executions, deps).await?;
    let now = deps.clock.now();
    let input = WakeInput {
        executions: &executions,
        workflows: &workflows,
        full_nodes: &full_nodes,
        now,
        fallback,
        components: deps.components,
    };
    let plan = plan_wakes(&input, &mut || deps.ids.next(now));
    woken.built.messages.extend(plan.messages);
    woken.stopping = plan.stopping;
    woken.calling = plan.calling;
    if plan.wakes.is_empty() {
        return Ok(woken);
    }
    let (written, freed) = record_wakes(&tx, &plan.wakes, &plan.rows, now).await?;
    woken.built.has_written = true;
    woken.ended = plan.wakes.iter().filter_map(|wake| Some((wake.execution_id, wake.result?))).collect();
    woken.built.messages.extend(error_wakes(&written.errors, &workflows));
    woken.built.messages.extend(settled_wakes(&written.settled));
    woken.built.messages.extend(freed.iter().map(|slot| Outgoing::now(slot.organization_id, slot.wake())));
    Ok(woken)
}

/// The workflows that route the outputs, in their current versions, and their full nodes.
async fn routes(
    tx: &Tx,
    executions: &[WokenExecution],
    deps: &PlanDeps,
) -> Result<(Workflows, Vec<store::NodeKey>), StoreError> {
    let (mut workflows, mut all, mut uncached) = (Workflows::new(), Vec::new(), Vec::new());
    for execution in executions {
        let id = execution.node.0;
        if all.contains(&id) {
            continue;
        }
        all.push(id);
        match deps.definitions.get(id, execution.workflow_version) {
            Some(workflow) => {
                workflows.insert(id, workflow);
            }
            None => uncached.push(id),
        }
    }
    let (definitions, full_nodes) = load_routes(tx, &all, &uncached).await?;
    cache_definitions(&mut workflows, definitions, deps);
    Ok((workflows, full_nodes))
}
