//! Failed runs: the events of the triggers of the type `on_error` that watch their workflows.

use components::on_error::{ErrorHandler, OncePer};
use definition::{compile_trigger, plan_root};
use domain::definition::{Edge, Node};
use domain::execution::ResultReason;
use domain::ids::{EventId, ItemId, RunId};
use domain::message::Message;
use domain::run::RunStop;
use queue::Outgoing;
use serde_json::{Value, json};
use store::builder::{
    FailedRun, RunFailure, StoredHandler, forget_failed_run, lock_failed_run, put_off_failed_run,
};
use store::intake::{BeginOutcome, NewRun, begin_error_run};
use store::{StoreError, Tx};

use crate::transaction::PLANS_MAX;
use crate::{Deps, PlanDeps};

/// Tells the triggers that watch the run's workflow. A message that comes twice finds that everybody
/// was told.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn tell_of(run_id: RunId, deps: &Deps) -> Result<(), StoreError> {
    let mut plans = 1;
    let messages = loop {
        match deps.store.run_tx("tell_of_failed_run", |tx| tell_in(tx, run_id, &deps.plan)).await {
            // A workflow was applied meanwhile.
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            // A target is full. All or none of the triggers are told.
            Err(StoreError::Conflict(why)) => {
                tracing::warn!(%run_id, why, "a failed run is told of later");
                let put_off = |tx| async move { put_off_failed_run(&tx, run_id).await };
                return deps.store.run_tx("put_off_failed_run", put_off).await;
            }
            messages => break messages?,
        }
    };
    deps.queue.send(messages).await;
    Ok(())
}

async fn tell_in(tx: Tx, run_id: RunId, deps: &PlanDeps) -> Result<Vec<Outgoing>, StoreError> {
    let Some(failed) = lock_failed_run(&tx, run_id).await? else {
        forget_failed_run(&tx, run_id).await?;
        return Ok(Vec::new());
    };
    if failed.is_suspended {
        put_off_failed_run(&tx, run_id).await?;
        return Ok(Vec::new());
    }
    let mut messages = Vec::new();
    for handler in &failed.handlers {
        let Some((node, wanted)) = read(&handler.nodes, &handler.node_id) else {
            // A newer version wrote it, and tells it.
            return Err(StoreError::Corrupt("workflows.nodes"));
        };
        for data in events_of(&failed, run_id, &wanted) {
            let event_id: EventId = deps.ids.next(failed.now);
            match begin(&tx, run_id, &Told { failed: &failed, handler, node: &node, data, event_id }, deps)
                .await?
            {
                BeginOutcome::Begun(due) => {
                    let run = Message::Run { run_id: event_id.into() };
                    messages.push(Outgoing::now(failed.organization_id, Message::Event { event_id }));
                    messages.extend(due.and_then(|due| Outgoing::after(failed.organization_id, run, due)));
                    tracing::info!(run_id = %event_id, failed_run_id = %run_id, "run started for a failed run");
                }
                BeginOutcome::Full => {
                    return Err(StoreError::Conflict("a target of an on_error trigger is full"));
                }
                BeginOutcome::Outdated => {
                    return Err(StoreError::Conflict("the workflow was applied meanwhile"));
                }
                BeginOutcome::Duplicate(_) => {}
            }
        }
    }
    forget_failed_run(&tx, run_id).await?;
    Ok(messages)
}

/// The trigger of that id, and what it takes.
fn read(nodes: &Value, node_id: &str) -> Option<(Node, ErrorHandler)> {
    let node = nodes.as_array()?.iter().find(|node| node["id"] == node_id)?;
    let node: Node = serde_json::from_value(node.clone()).ok()?;
    let handler = ErrorHandler::read(&node.configuration)?;
    Some((node, handler))
}

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
                "message": failure.message,
                "execution_id": failure.execution_id.to_string(),
            },
            "data": failure.data,
        })
    };
    let taken = failed.failures.iter().filter(|failure| handler.takes(failure.reason));
    // What ended the run as a whole comes before the failures within it.
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

/// A failed run and one trigger that is told of it.
struct Told<'a> {
    failed: &'a FailedRun,
    handler: &'a StoredHandler,
    node: &'a Node,
    data: Value,
    event_id: EventId,
}

async fn begin(tx: &Tx, of_run: RunId, told: &Told<'_>, deps: &PlanDeps) -> Result<BeginOutcome, StoreError> {
    let Told { failed, handler, node, data, event_id } = told;
    let edges: Vec<Edge> =
        serde_json::from_value(handler.edges.clone()).map_err(|_| StoreError::Corrupt("workflows.edges"))?;
    let plan = plan_root(node, compile_trigger(node).as_ref(), &edges, data, failed.now);
    for field in &plan.failed {
        tracing::info!(node_id = node.id, field, "a template of the trigger can't be resolved");
    }
    let item_ids: Vec<ItemId> = plan.root.targets.iter().map(|_| deps.ids.next(failed.now)).collect();
    let run = NewRun {
        event_id: *event_id,
        organization_id: failed.organization_id,
        workflow_id: handler.workflow_id,
        version_planned: handler.workflow_version,
        node_id: &node.id,
        planned: &plan.root,
        data,
        item_ids: &item_ids,
        hops: 0,
        delivery: None,
        now: failed.now,
    };
    begin_error_run(tx, of_run, &run).await
}
