//! Sub-runs: the rows with which they begin, and the steps of their owners.

use components::{EndedSubRun, Owned, OwnerStep, SubRunStart};
use domain::execution::ResultReason;
use domain::ids::{EventId, ExecutionId, RunId};
use domain::message::Message;
use domain::outcome::Failure;
use queue::Outgoing;
use serde_json::Value;
use store::builder::{NewEvent, NewSubRun, StoredSubRun, WokenExecution, WokenOwner, WriteBatch};
use store::{JsonText, NodeKey};
use uuid::Uuid;

use super::UNREADABLE;
use super::emit::{Emitter, add_items};
use super::held_step::check_step;
use super::wake::WakeInput;
use crate::definitions::Workflow;

/// An owner that starts sub-runs.
pub(super) struct StartingOwner<'a> {
    pub execution_id: ExecutionId,
    pub node_id: &'a str,
    /// The channel on which they begin.
    pub channel: &'a str,
    pub component: &'a str,
    /// The run of the owner.
    pub run_id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// Nodes with as many waiting items as are allowed.
    pub full_nodes: &'a [NodeKey],
}

/// Adds sub-runs with their first events. One without an edge to follow has nothing open, and ends.
pub(super) fn start_sub_runs(
    owner: &StartingOwner<'_>,
    workflow: &Workflow,
    starts: Vec<SubRunStart>,
    rows: &mut WriteBatch,
    messages: &mut Vec<Outgoing>,
    ids: &mut dyn FnMut() -> Uuid,
) {
    let targets: Vec<String> =
        workflow.compiled.targets(owner.node_id, owner.channel).map(str::to_owned).collect();
    for start in starts {
        let (run_id, event_id): (RunId, EventId) = (ids().into(), ids().into());
        let emitter = Emitter {
            execution_id: owner.execution_id,
            run_id,
            root_event_id: owner.root_event_id,
            workflow,
            full_nodes: owner.full_nodes,
        };
        let waits = add_items(&emitter, &targets, event_id, rows, ids);
        rows.sub_runs.push(NewSubRun {
            id: run_id,
            parent_run_id: owner.run_id,
            owner_id: owner.execution_id,
            node_id: owner.node_id.to_owned(),
            iteration: start.iteration,
            workflow_version: workflow.version,
        });
        rows.events.push(NewEvent {
            id: event_id,
            node: (workflow.id, owner.node_id.to_owned()),
            run_id,
            root_event_id: owner.root_event_id,
            channel: owner.channel.to_owned(),
            event_type: format!("{}.{}", owner.component, owner.channel),
            data: JsonText::of(&start.data),
            redactions: None,
            targets: targets.clone(),
            // A sub-run has a depth of its own.
            depth: 1,
            execution_id: owner.execution_id,
        });
        if waits {
            messages.push(Outgoing::now(workflow.organization_id, Message::Event { event_id }));
        } else {
            rows.ended.runs.push(run_id);
        }
    }
}

/// The step of an owner whose sub-runs have ended, or whose time has come.
///
/// # Errors
/// [`Failure`] with which it ends, once no sub-run runs.
pub(super) fn owner_step(
    input: &WakeInput<'_>,
    execution: &WokenExecution,
    owner: &WokenOwner,
) -> Result<OwnerStep, Failure> {
    let unreadable = || Failure::new(ResultReason::TemplateError, "unreadable", UNREADABLE);
    let component = (input.components.owner)(&execution.component).ok_or_else(unreadable)?;
    let configuration = owner.configuration.read().map_err(|_| unreadable())?;
    let read = |sub_run: &StoredSubRun| -> Result<EndedSubRun, Failure> {
        let value = |text: &Option<JsonText>| -> Result<Option<Value>, Failure> {
            text.as_ref().map(|text| text.read().map_err(|_| unreadable())).transpose()
        };
        Ok(EndedSubRun {
            iteration: sub_run.iteration,
            result: sub_run.result,
            has_returned: sub_run.has_returned,
            data: value(&sub_run.data)?,
            redactions: value(&sub_run.redactions)?
                .map(|marks| serde_json::from_value(marks).map_err(|_| unreadable()))
                .transpose()?,
            error: value(&sub_run.error)?,
        })
    };
    let all = owner.ended.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let fresh = owner.ended.iter().zip(&all).filter(|(stored, _)| !stored.is_taken);
    let ended: Vec<EndedSubRun> = fresh.map(|(_, ended)| ended.clone()).collect();
    let owned = Owned {
        now: input.now,
        is_time: execution.is_time,
        configuration: &configuration,
        ended: &ended,
        running: owner.running,
        all: if owner.may_end { &all } else { &[] },
    };
    let OwnerStep { starts, stops, step } = component.wake(&execution.held, &owned);
    let step = check_step(component, step, input.now)?;
    Ok(OwnerStep { starts, stops, step })
}
