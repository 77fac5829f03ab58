//! Calls: an open execution starts a run of another workflow. It has a transaction of its own, which
//! locks no node: an apply of the called workflow may wait for those.

use std::panic::{AssertUnwindSafe, catch_unwind};

use components::run_workflow::{Call, CalledRun, called, is_over, put_off};
use components::{Step, Then};
use domain::definition::{Node, Uses};
use domain::ids::{EventId, ExecutionId};
use domain::limits::CALL_DEPTH_MAX;
use domain::message::Message;
use domain::outcome::Failure;
use queue::Outgoing;
use store::builder::{CallTarget, FoundCall, LockedCall, RecordedWake, WriteBatch, lock_call, record_wakes};
use store::intake::{BeginOutcome, NewRun, begin_called_run};
use store::{StoreError, Tx};

use crate::transaction::PLANS_MAX;
use crate::trigger::plan_trigger;
use crate::wakes::again;
use crate::{Deps, PlanDeps};

/// The execution was opened by a newer version.
const UNREADABLE: StoreError = StoreError::Corrupt("workflow_node_executions.held");
const OUTDATED: &str = "the workflow was applied meanwhile";

/// Starts the run that an open execution calls, if it has not yet, and returns the messages to send.
///
/// # Errors
/// See [`StoreError`]; nothing was committed.
pub(crate) async fn call(id: ExecutionId, deps: &Deps) -> Result<Vec<Outgoing>, StoreError> {
    let mut plans = 1;
    loop {
        match deps.store.run_tx("call_workflow", |tx| call_in(tx, id, &deps.plan)).await {
            Err(StoreError::Conflict(OUTDATED)) if plans < PLANS_MAX => plans += 1,
            messages => return messages,
        }
    }
}

async fn call_in(tx: Tx, id: ExecutionId, deps: &PlanDeps) -> Result<Vec<Outgoing>, StoreError> {
    let found = match lock_call(&tx, id).await? {
        FoundCall::None => return Ok(Vec::new()),
        FoundCall::Busy(organization_id) => {
            return Ok(vec![again(organization_id, Message::Wake { execution_id: id })]);
        }
        FoundCall::Due(found) => found,
    };
    let configuration = found.configuration.read()?;
    // It was read when the execution was opened.
    let call = Call::read(&configuration).map_err(|_| UNREADABLE)?;
    if is_over(&found.held, found.now) {
        let refusal = format!("the run of `{}` timed out before it could begin", call.workflow);
        let step = called(&found.held, &call, Err(refusal), found.now);
        return record(&tx, id, &found, step).await;
    }
    if found.is_suspended {
        return record(&tx, id, &found, put_off(&found.held, &call, found.now)).await;
    }
    let (node, target) = match trigger_of(&call, &found) {
        Ok(found) => found,
        Err(refusal) => {
            let step = called(&found.held, &call, Err(refusal), found.now);
            return record(&tx, id, &found, step).await;
        }
    };
    // A panic in a template of the trigger is that of this call alone.
    let planned =
        catch_unwind(AssertUnwindSafe(|| plan_trigger(&node, &target.edges, &call.data, found.now, deps)));
    let Ok(planned) = planned else {
        let refusal = "planning the run failed inside sealflow; please report it".to_owned();
        let step = called(&found.held, &call, Err(refusal), found.now);
        return record(&tx, id, &found, step).await;
    };
    let (planned, item_ids) = planned?;
    let event_id: EventId = deps.ids.next(found.now);
    let run = NewRun {
        event_id,
        organization_id: found.organization_id,
        workflow_id: target.workflow_id,
        version_planned: target.workflow_version,
        node_id: &node.id,
        planned: &planned,
        data: &call.data,
        item_ids: &item_ids,
        hops: 0,
        delivery: None,
        now: found.now,
    };
    let due = match begin_called_run(&tx, id, call.waits, &run).await? {
        BeginOutcome::Begun(due) => due,
        BeginOutcome::Full => return record(&tx, id, &found, put_off(&found.held, &call, found.now)).await,
        BeginOutcome::Outdated | BeginOutcome::Duplicate(_) => return Err(StoreError::Conflict(OUTDATED)),
    };
    tracing::info!(run_id = %event_id, execution_id = %id, "run started by an execution of another");
    let called_run = CalledRun { id: event_id.into(), has_ended: planned.targets.is_empty() };
    let step = called(&found.held, &call, Ok(called_run), found.now);
    let mut messages = record(&tx, id, &found, step).await?;
    messages.push(Outgoing::now(found.organization_id, Message::Event { event_id }));
    let run = Message::Run { run_id: event_id.into() };
    messages.extend(due.and_then(|due| Outgoing::after(found.organization_id, run, due)));
    Ok(messages)
}

/// The trigger that a call names, and its workflow.
///
/// # Errors
/// A sentence for the author.
fn trigger_of<'f>(call: &Call, found: &'f LockedCall) -> Result<(Node, &'f CallTarget), String> {
    let name = &call.workflow;
    if found.call_depth >= CALL_DEPTH_MAX {
        return Err(format!("at most {CALL_DEPTH_MAX} runs may call each other, one below the other"));
    }
    let Some(target) = &found.target else { return Err(format!("there is no workflow named `{name}`")) };
    let nodes = target.nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let nodes = nodes.iter().filter_map(|node| serde_json::from_value::<Node>(node.clone()).ok());
    let mut starts: Vec<Node> =
        nodes.filter(|node| matches!(&node.uses, Uses::Trigger(name) if name == "start")).collect();
    let names: Vec<String> = starts.iter().map(|node| format!("`{}`", node.name)).collect();
    if let Some(wanted) = &call.node {
        starts.retain(|node| node.id == *wanted || node.name == *wanted);
    }
    match (starts.len(), &call.node) {
        (1, _) => Ok((starts.remove(0), target)),
        (_, Some(wanted)) => {
            Err(format!("the workflow `{name}` has no trigger of the type `start` named `{wanted}`"))
        }
        (0, None) => Err(format!("the workflow `{name}` has no trigger of the type `start`")),
        (_, None) => Err(format!(
            "the workflow `{name}` has several triggers: name one of {} as `node`",
            names.join(", ")
        )),
    }
}

/// Records the step of the execution, and returns its wake.
async fn record(
    tx: &Tx,
    id: ExecutionId,
    found: &LockedCall,
    step: Result<Step, Failure>,
) -> Result<Vec<Outgoing>, StoreError> {
    let now = found.now;
    let Ok(Step { facts, then: Then::Held { held, wake }, .. }) = step else { return Err(UNREADABLE) };
    let recorded = RecordedWake {
        execution_id: id,
        result: None,
        reason: None,
        message: None,
        facts,
        held: Some(held),
        wake,
        cancelled_by: None,
        frees_slot: false,
        is_failure_routed: false,
        cause_ids: Vec::new(),
        call_ids: Vec::new(),
        taken: Vec::new(),
    };
    record_wakes(tx, &[recorded], &WriteBatch::default(), now).await?;
    let message = Message::Wake { execution_id: id };
    let wake = wake.and_then(|wake| Outgoing::after(found.organization_id, message, wake.wait_from(now)));
    Ok(wake.into_iter().collect())
}
