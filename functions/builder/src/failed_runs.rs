//! Failed runs: the events of the triggers of the type `on_error` that watch their workflows.

use components::on_error::{ErrorHandler, OncePer};
use domain::definition::Node;
use domain::execution::ResultReason;
use domain::ids::{EventId, RunId};
use domain::message::Message;
use domain::run::RunStop;
use process::Deadline;
use queue::Outgoing;
use serde_json::{Value, json};
use store::builder::{
    FailedRun, FoundFailure, RunFailure, find_handlers, forget_failed_run, lock_failed_run,
    put_off_failed_run,
};
use store::intake::{BeginOutcome, NewRun, begin_error_run};
use store::{NodeKey, StoreError, Tx};

use crate::quarantine::TIME_OF_ONE;
use crate::transaction::PLANS_MAX;
use crate::trigger::plan_trigger;
use crate::{Deps, PlanDeps};

/// Tells the triggers that watch the run's workflow, each in a transaction of its own: one that can't
/// be told now is put off, and keeps no other from being told. A message that comes twice finds that
/// they were told. What there is no time for is left to the sweeper.
///
/// # Errors
/// [`StoreError`] where the infrastructure failed.
pub(crate) async fn tell_of(run_id: RunId, deadline: Deadline, deps: &Deps) -> Result<(), StoreError> {
    for handler in find_handlers(&deps.store, run_id).await? {
        if deadline.left() < TIME_OF_ONE {
            break;
        }
        match tell_one(run_id, &handler, deps).await {
            Ok(messages) => {
                deps.queue.send(messages).await;
            }
            Err(error) if error.is_infrastructure() && !error.is_lock_timeout() => return Err(error),
            // Its target is full, it is applied again and again, or a newer version wrote it.
            Err(error) => {
                tracing::warn!(%run_id, workflow_id = %handler.0, node_id = handler.1, %error, "a trigger is told of a failed run later");
                put_off_failed_run(&deps.store, run_id, &handler).await?;
            }
        }
    }
    Ok(())
}

async fn tell_one(run_id: RunId, handler: &NodeKey, deps: &Deps) -> Result<Vec<Outgoing>, StoreError> {
    let mut plans = 1;
    loop {
        match deps.store.run_tx("tell_of_failed_run", |tx| tell_in(tx, run_id, handler, &deps.plan)).await {
            // The workflow was applied meanwhile.
            Err(StoreError::Conflict(OUTDATED)) if plans < PLANS_MAX => plans += 1,
            messages => return messages,
        }
    }
}

const OUTDATED: &str = "the workflow was applied meanwhile";

async fn tell_in(tx: Tx, run_id: RunId, key: &NodeKey, deps: &PlanDeps) -> Result<Vec<Outgoing>, StoreError> {
    let failed = match lock_failed_run(&tx, run_id, key).await? {
        FoundFailure::None => return Ok(Vec::new()),
        FoundFailure::Over => {
            forget_failed_run(&tx, run_id, key).await?;
            return Ok(Vec::new());
        }
        FoundFailure::Due(failed) => failed,
    };
    if failed.is_suspended {
        return Err(StoreError::Conflict("the organization is suspended"));
    }
    let node: Node =
        serde_json::from_value(failed.handler.clone()).map_err(|_| StoreError::Corrupt("workflows.nodes"))?;
    let handler = ErrorHandler::read(&node.configuration).ok_or(StoreError::Corrupt("workflows.nodes"))?;
    let mut messages = Vec::new();
    for data in events_of(&failed, run_id, &handler) {
        let event_id: EventId = deps.ids.next(failed.now);
        match begin(&tx, run_id, &Told { failed: &failed, node: &node, data, event_id }, deps).await? {
            BeginOutcome::Begun(due) => {
                let run = Message::Run { run_id: event_id.into() };
                messages.push(Outgoing::now(failed.organization_id, Message::Event { event_id }));
                messages.extend(due.and_then(|due| Outgoing::after(failed.organization_id, run, due)));
                tracing::info!(run_id = %event_id, failed_run_id = %run_id, "run started for a failed run");
            }
            BeginOutcome::Full => return Err(StoreError::Conflict("a target of the trigger is full")),
            BeginOutcome::Outdated => return Err(StoreError::Conflict(OUTDATED)),
            BeginOutcome::Duplicate(_) => {}
        }
    }
    forget_failed_run(&tx, run_id, key).await?;
    Ok(messages)
}

/// The sentence in the place of a message that names a secret.
const NAMES_A_SECRET: &str = "the message names a secret: it is shown with the execution";

/// The data of the events for one trigger.
fn events_of(failed: &FailedRun, run_id: RunId, handler: &ErrorHandler) -> Vec<Value> {
    let run = json!({
        "id": run_id.to_string(),
        "workflow": failed.workflow_name,
        "name": failed.name,
        "node_id": failed.node_id,
        "started_at": failed.started_at.to_string(),
        "finished_at": failed.finished_at.to_string(),
    });
    let of_failure = |failure: &RunFailure| {
        json!({
            "run": run,
            "node": { "id": failure.node_id, "name": failure.node_name },
            "error": {
                "reason": failure.reason.as_str(),
                "message": failure.message.as_deref().unwrap_or(NAMES_A_SECRET),
                "execution_id": failure.execution_id.to_string(),
            },
            "data": failure.data,
        })
    };
    let taken = failed.failures.iter().filter(|failure| handler.takes(failure.reason));
    // The end of the run as a whole comes before the failures within it.
    let of_run =
        of_stop(failed.stop).filter(|(reason, _)| handler.takes(*reason)).map(|(reason, message)| {
            let error = json!({ "reason": reason.as_str(), "message": message, "execution_id": null });
            json!({ "run": run, "node": null, "error": error, "data": null })
        });
    let events = of_run.into_iter().chain(taken.map(of_failure));
    match handler.once_per {
        OncePer::Run => events.take(1).collect(),
        OncePer::Execution => events.collect(),
    }
}

fn of_stop(stop: Option<RunStop>) -> Option<(ResultReason, &'static str)> {
    match stop? {
        RunStop::Timeout => Some((ResultReason::Timeout, "the run took longer than its time-out")),
        RunStop::RunLimit => {
            Some((ResultReason::RunLimit, "the run is past its limit of events or executions"))
        }
        RunStop::Cancelled | RunStop::Owner => None,
    }
}

/// An event for a trigger.
struct Told<'a> {
    failed: &'a FailedRun,
    node: &'a Node,
    data: Value,
    event_id: EventId,
}

async fn begin(tx: &Tx, of_run: RunId, told: &Told<'_>, deps: &PlanDeps) -> Result<BeginOutcome, StoreError> {
    let Told { failed, node, data, event_id } = told;
    let (planned, item_ids) = plan_trigger(node, &failed.edges, data, failed.now, deps)?;
    let run = NewRun {
        event_id: *event_id,
        organization_id: failed.organization_id,
        workflow_id: failed.handler_workflow_id,
        version_planned: failed.handler_version,
        node_id: &node.id,
        planned: &planned,
        data,
        item_ids: &item_ids,
        hops: 0,
        delivery: None,
        now: failed.now,
    };
    begin_error_run(tx, of_run, &run).await
}
