//! Sub-runs: the rows with which they begin, the events that return from them, and the steps of their
//! owners.

use components::{EndedSubRun, Owned, OwnerOpening, OwnerStep, Results, Step as HeldStep, SubRunStart, Then};
use definition::{CompiledNode, Repeated, ResolveError, resolve_returned};
use domain::execution::ResultReason;
use domain::ids::{EventId, ExecutionId, RunId};
use domain::limits::SUB_RUN_NESTING_MAX;
use domain::message::Message;
use domain::outcome::{Failure, HELD_FULL};
use queue::Outgoing;
use serde_json::{Value, json};
use store::builder::{NewEvent, NewReturn, NewSubRun, StoredSubRun, WokenExecution, WokenOwner, WriteBatch};
use store::{JsonText, NodeKey};
use uuid::Uuid;

use super::UNREADABLE;
use super::emit::{Emitter, add_items};
use super::environment::{MarkScope, PlanEnvironment};
use super::held_step::check_step;
use super::record::Record;
use super::step::{Out, Step, StepSlot, Work, finish_failed, not_a_component};
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
            redactions: start.redactions.as_ref().map(|marks| JsonText::of(&json!(marks))),
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

impl Record<'_> {
    /// Consumes an event by which a sub-run returns to its owner.
    pub(super) fn give_back<'s>(
        &self,
        step: &Step<'s>,
        owner_id: ExecutionId,
        workflow: &'s Workflow,
        out: &mut Out<'_, 's>,
    ) {
        let node = workflow.compiled.node(step.node_id).and_then(Result::ok);
        let (mut is_condition_met, mut is_first) = (false, false);
        if let Some(node) = node {
            let owner = node.component_name().and_then(self.input.components.owner);
            is_first = owner.is_some_and(|owner| owner.results() == Results::Last);
            match self.ask(step, node, workflow, out) {
                Ok(answer) => is_condition_met = answer,
                Err(_) if out.scratch.budget.is_used_up() && step.slot != StepSlot::Claimed => {
                    return self.leave_to_a_message(step, workflow, out);
                }
                Err(ResolveError { field, rendered, reason, .. }) => {
                    let execution = self.new_execution(step, workflow, (out.ids)().into());
                    return finish_failed(out.scratch, execution, format!("{field}: {rendered}"), reason);
                }
            }
        }
        let source = step.ancestors.source().unwrap_or_default();
        out.scratch.rows.returns.push(NewReturn {
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            owner_id,
            node: (workflow.id, step.node_id.to_owned()),
            event_id: step.event_id,
            source_node_id: workflow.compiled.names().seen_from(step.node_id, source).to_owned(),
            is_first,
            is_condition_met,
        });
    }

    /// Answers the condition of an owner for an event; false where it asks nothing.
    fn ask(
        &self,
        step: &Step<'_>,
        node: &CompiledNode,
        workflow: &Workflow,
        out: &mut Out<'_, '_>,
    ) -> Result<bool, ResolveError> {
        let (ancestors, root) = (&step.ancestors, step.root.as_deref());
        // It is asked within a sub-run of the owner itself.
        let repeated = Repeated { owner: Some(node.node.id.clone()), ..node.repeated.clone() };
        let environment = self.environment(workflow, node, ancestors, root, MarkScope::Redacted);
        let environment = PlanEnvironment { repeated: &repeated, ..environment };
        resolve_returned(node, &environment, &mut out.scratch.budget).unwrap_or(Ok(false))
    }

    /// Opens an execution that owns sub-runs, and starts the first of them.
    pub(super) fn open_owner<'s>(&self, mut work: Work<'s>, out: &mut Out<'_, 's>) {
        let Some(component) = work.node.component_name().and_then(self.input.components.owner) else {
            let failure = not_a_component();
            return finish_failed(out.scratch, work.execution, failure.message, failure.reason);
        };
        let channel = component.inner_channel();
        if channel.is_some() && self.run.nesting >= SUB_RUN_NESTING_MAX {
            let message =
                format!("at most {SUB_RUN_NESTING_MAX} nodes that repeat others may be within each other");
            return finish_failed(out.scratch, work.execution, message, ResultReason::Limit);
        }
        let mut condition = || {
            self.ask(&work.step, work.node, work.workflow, out).map_err(|error| {
                Failure::new(error.reason, "condition", format!("{}: {}", error.field, error.rendered))
            })
        };
        let opening = OwnerOpening { now: self.input.now, condition: &mut condition };
        let opened = component.open(&work.configuration, opening);
        let opened = opened.and_then(|owned| {
            let OwnerStep { starts, stops, step } = owned;
            check_step(component, step, self.input.now).map(|step| OwnerStep { starts, stops, step })
        });
        let OwnerStep { starts, step: HeldStep { emissions, facts, then }, .. } = match opened {
            Ok(opened) => opened,
            // As for templates: a message gives this step a new budget.
            Err(_) if out.scratch.budget.is_used_up() && work.step.slot != StepSlot::Claimed => {
                out.scratch.rows.keys.retain(|key| key.execution_id != work.execution.id);
                return self.leave_to_a_message(&work.step, work.workflow, out);
            }
            Err(failure) => {
                return finish_failed(out.scratch, work.execution, failure.message, failure.reason);
            }
        };
        if matches!(then, Then::Held { .. }) && self.run.is_held_full {
            return finish_failed(out.scratch, work.execution, HELD_FULL.to_owned(), ResultReason::Limit);
        }
        let owner = StartingOwner {
            execution_id: work.execution.id,
            node_id: work.step.node_id,
            channel: channel.unwrap_or_default(),
            component: component.name(),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            full_nodes: &self.input.loaded.full_nodes,
        };
        start_sub_runs(
            &owner,
            work.workflow,
            starts,
            &mut out.scratch.rows,
            &mut out.scratch.messages,
            out.ids,
        );
        self.open_step(&mut work, facts, then, out);
        self.record_emissions(work, emissions, out);
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
            is_condition_met: sub_run.is_condition_met,
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
        results: if owner.has_results { &all } else { &[] },
    };
    let OwnerStep { starts, stops, step } = component.wake(&execution.held, &owned);
    let step = check_step(component, step, input.now)?;
    Ok(OwnerStep { starts, stops, step })
}
