//! The events of woken executions, and the items that they become.

use components::{Emission, EmissionData};
use domain::execution::{ExecutionResult, ResultReason};
use domain::ids::{EventId, ExecutionId, RunId};
use domain::message::Message;
use domain::outcome::NODE_FULL;
use queue::Outgoing;
use serde_json::json;
use store::builder::{NewEvent, NewExecution, NewItem, WokenExecution, WriteBatch};
use store::{JsonText, NodeKey};
use uuid::Uuid;

use super::wake::{WakeInput, WakePlan};
use crate::definitions::Workflow;

/// Adds the event of an emission, its items, and the message that wakes the builder for them.
pub(super) fn emit(
    input: &WakeInput<'_>,
    execution: &WokenExecution,
    workflow: &Workflow,
    emission: &Emission,
    plan: &mut WakePlan,
    ids: &mut dyn FnMut() -> Uuid,
) {
    let event_id = ids().into();
    let (data, redactions) = match &emission.data {
        EmissionData::Input => (execution.data.clone(), execution.redactions.clone()),
        EmissionData::Made(data) => (JsonText::of(data), None),
        EmissionData::Marked(data, redactions) => {
            (JsonText::of(data), Some(JsonText::of(&json!(redactions))))
        }
    };
    let targets: Vec<String> =
        workflow.compiled.targets(&execution.node.1, emission.channel).map(str::to_owned).collect();
    let emitter = Emitter {
        execution_id: execution.id,
        run_id: execution.run_id,
        root_event_id: execution.root_event_id,
        workflow,
        full_nodes: input.full_nodes,
    };
    let waits = add_items(&emitter, &targets, event_id, &mut plan.rows, ids);
    plan.rows.events.push(NewEvent {
        id: event_id,
        node: execution.node.clone(),
        run_id: execution.run_id,
        root_event_id: execution.root_event_id,
        channel: emission.channel.to_owned(),
        event_type: format!("{}.{}", execution.component, emission.channel),
        data,
        redactions,
        targets,
        depth: execution.depth + 1,
        execution_id: execution.id,
    });
    if waits {
        plan.messages.push(Outgoing::now(execution.organization_id, Message::Event { event_id }));
    }
}

/// The execution that emits an event, and the run that the event is of.
pub(super) struct Emitter<'a> {
    pub execution_id: ExecutionId,
    pub run_id: RunId,
    pub root_event_id: EventId,
    pub workflow: &'a Workflow,
    /// Nodes with as many waiting items as are allowed.
    pub full_nodes: &'a [NodeKey],
}

/// Adds the items of an event; at a full node, a failed execution in place of its item. Says whether
/// an item waits.
pub(super) fn add_items(
    emitter: &Emitter<'_>,
    targets: &[String],
    event_id: EventId,
    rows: &mut WriteBatch,
    ids: &mut dyn FnMut() -> Uuid,
) -> bool {
    let Emitter { execution_id, run_id, root_event_id, workflow, full_nodes } = *emitter;
    let mut waits = false;
    for target in targets {
        let (id, node): (Uuid, NodeKey) = (ids(), (workflow.id, target.clone()));
        if !full_nodes.contains(&node) {
            waits = true;
            rows.items.push(NewItem { id: id.into(), node, run_id, root_event_id, event_id });
            continue;
        }
        let component = workflow.compiled.stored_node(target).map(|node| node.uses.name().to_owned());
        rows.executions.push(NewExecution {
            previous_execution_id: Some(execution_id),
            result: Some(ExecutionResult::Failed),
            result_reason: Some(ResultReason::Limit),
            result_message: Some(NODE_FULL.to_owned()),
            component: component.unwrap_or_default(),
            workflow_version: workflow.version,
            ..NewExecution::passed(id.into(), node, (run_id, root_event_id), event_id)
        });
    }
    waits
}
