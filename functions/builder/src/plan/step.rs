//! The steps of a record. One step runs one node on one event; going on adds steps for the next
//! nodes in the same transaction.

use std::collections::VecDeque;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use components::{Arrival, Emission, EmissionData, Opening, Step as HeldStep, Then};
use definition::{CompiledNode, NodeKind, ResolveError};
use domain::definition::Uses;
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::ids::{EventId, ExecutionId};
use domain::json::check_output;
use domain::limits::{GO_ON_EXECUTIONS_MAX, RUN_DEPTH_MAX};
use domain::message::Message;
use domain::outcome::{Failure, HELD_FULL, NODE_FULL, Outcome, Output};
use queue::Outgoing;
use serde_json::{Value, json};
use store::builder::{NewArrival, NewEvent, NewExecution, NewHeld, NewItem, NewKey};
use store::{JsonText, NodeKey};
use uuid::Uuid;

use super::environment::{Ancestors, Entry, EntryMarks, MarkScope, PlanEnvironment};
use super::held_step::check_step;
use super::message::{cut_message, standing_message};
use super::record::{Record, Scratch};
use crate::definitions::Workflow;

/// A node that is about to work on an event.
pub(super) struct Step<'a> {
    pub node_id: &'a str,
    pub event_id: EventId,
    pub previous_execution_id: Option<ExecutionId>,
    pub depth: i32,
    pub data: Arc<Value>,
    /// The data in its stored form.
    pub text: JsonText,
    /// The blanked places of the data, in their stored form.
    pub redactions: Option<JsonText>,
    pub ancestors: Ancestors,
    pub root: Option<Arc<Value>>,
    /// The slot that the step may take.
    pub slot: StepSlot,
}

/// The slot that a step may take, if its execution stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepSlot {
    /// A slot of the claimed item's concurrency key.
    Claimed,
    /// A slot that was kept when going on added the step.
    Kept,
    /// No slot: the node has no limit.
    None,
}

/// The result of a record so far, and the steps that are still to be taken.
pub(super) struct Out<'o, 's> {
    pub scratch: &'o mut Scratch,
    pub steps: &'o mut VecDeque<Step<'s>>,
    pub ids: &'o mut dyn FnMut() -> Uuid,
}

/// A step whose configuration is resolved.
pub(super) struct Work<'s> {
    pub step: Step<'s>,
    pub node: &'s CompiledNode,
    pub workflow: &'s Workflow,
    pub execution: NewExecution,
    pub configuration: Value,
}

/// An execution that emits.
struct Source<'s> {
    step: Step<'s>,
    node: &'s CompiledNode,
    workflow: &'s Workflow,
    execution_id: ExecutionId,
    configuration: Arc<Value>,
}

impl Record<'_> {
    pub(super) fn take_step<'s>(&self, step: Step<'s>, workflow: &'s Workflow, out: &mut Out<'_, 's>) {
        if let Some(owner) = self.run.owner.as_ref().filter(|owner| owner.node_id == step.node_id) {
            return self.give_back(&step, owner.execution_id, workflow, out);
        }
        if step.slot == StepSlot::Kept {
            // An execution that stays open takes the kept slot again. One that fails or ends at
            // once leaves the slot to waiting items.
            out.scratch.slots.give_back(&(workflow.id, step.node_id.to_owned()));
        }
        let mut execution = self.new_execution(&step, workflow, (out.ids)().into());
        let node = match workflow.compiled.node(step.node_id) {
            Some(Ok(node)) => node,
            Some(Err(error)) => {
                let message = format!("{}: {}", error.field, error.rendered);
                return finish_failed(out.scratch, execution, message, ResultReason::TemplateError);
            }
            None => {
                execution.result = Some(ExecutionResult::Cancelled);
                execution.result_reason = Some(ResultReason::NodeRemoved);
                execution.result_message = standing_message(ResultReason::NodeRemoved);
                return out.scratch.rows.executions.push(execution);
            }
        };
        if let Some(max) = node.node.max_visits
            && out.scratch.visits.get(step.node_id).is_some_and(|visits| i64::from(*visits) >= i64::from(max))
        {
            return finish_failed(out.scratch, execution, too_many_visits(max), ResultReason::Limit);
        }
        if node.node.max_visits.is_some() {
            *out.scratch.visits.entry(step.node_id.to_owned()).or_insert(0) += 1;
        }
        let (ancestors, root) = (&step.ancestors, step.root.as_deref());
        let for_secret_field = self.environment(workflow, node, ancestors, root, MarkScope::All);
        // The inside of a blueprint and the body of an owner may write their input beside a secret.
        let scope = match (&node.node.uses, node.kind) {
            (Uses::Blueprint(_), _) | (_, NodeKind::Owner) => MarkScope::All,
            (Uses::Component(_) | Uses::Trigger(_), _) => MarkScope::Redacted,
        };
        let environment = PlanEnvironment {
            for_secret_field: Some(&for_secret_field),
            ..self.environment(workflow, node, ancestors, root, scope)
        };
        let resolved = match (self.input.components.resolve)(node, &environment, &mut out.scratch.budget) {
            Ok(resolved) => resolved,
            // Earlier steps used up the record's budget. A message gives this step a new budget.
            Err(_) if out.scratch.budget.is_used_up() && step.slot != StepSlot::Claimed => {
                return self.leave_to_a_message(&step, workflow, out);
            }
            Err(ResolveError { field, rendered, reason, .. }) => {
                return finish_failed(out.scratch, execution, format!("{field}: {rendered}"), reason);
            }
        };
        execution.configuration = JsonText::of(&resolved.display);
        if step.slot != StepSlot::Claimed && !out.scratch.slots.take_bytes(execution.configuration.bytes()) {
            return self.leave_to_a_message(&step, workflow, out);
        }
        // An arrival opens an execution only where none is open, so it has no keys.
        let keys = if node.kind == NodeKind::Join { Vec::new() } else { resolved.keys };
        for (key, value) in keys {
            let (id, node) = ((out.ids)().into(), execution.node.clone());
            out.scratch.rows.keys.push(NewKey { id, execution_id: execution.id, node, key, value });
        }
        if node.kind == NodeKind::Effect {
            execution.residuals = JsonText::of(&resolved.fields);
        }
        let work = Work { step, node, workflow, execution, configuration: resolved.display };
        match node.kind {
            NodeKind::Effect => self.start_pending(work, out),
            NodeKind::Held => self.open(work, out),
            NodeKind::Join => self.arrive(work, out),
            NodeKind::Owner => self.open_owner(work, out),
            NodeKind::Pure | NodeKind::Trigger => self.finish_pure(work, out),
        }
    }

    /// Replaces a step of going on by a queue item and its wake.
    pub(super) fn leave_to_a_message(&self, step: &Step<'_>, workflow: &Workflow, out: &mut Out<'_, '_>) {
        let key = (workflow.id, step.node_id.to_owned());
        // The visit is the later step's.
        if let Slot::Occupied(mut visits) = out.scratch.visits.entry(step.node_id.to_owned()) {
            *visits.get_mut() -= 1;
            if *visits.get() == 0 {
                visits.remove();
            }
        }
        out.scratch.slots.wait(&key);
        out.scratch.rows.items.push(self.new_item(step, key, out.ids));
        let message = Message::Event { event_id: step.event_id };
        out.scratch.messages.push(Outgoing::now(workflow.organization_id, message));
    }

    fn new_item(&self, step: &Step<'_>, node: NodeKey, ids: &mut dyn FnMut() -> Uuid) -> NewItem {
        NewItem {
            id: ids().into(),
            node,
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            event_id: step.event_id,
        }
    }

    pub(super) fn new_execution(
        &self,
        step: &Step<'_>,
        workflow: &Workflow,
        id: ExecutionId,
    ) -> NewExecution {
        let component = workflow.compiled.stored_node(step.node_id).map(|node| node.uses.name().to_owned());
        let execution = NewExecution::passed(
            id,
            (workflow.id, step.node_id.to_owned()),
            (self.item.run_id, self.item.root_event_id),
            step.event_id,
        );
        NewExecution {
            previous_execution_id: step.previous_execution_id,
            component: component.unwrap_or_else(|| self.item.component.clone()),
            workflow_version: workflow.version,
            concurrency_key: self.item.concurrency_key.clone().filter(|_| step.slot == StepSlot::Claimed),
            ..execution
        }
    }

    fn start_pending(&self, work: Work<'_>, out: &mut Out<'_, '_>) {
        let Work { step, node, workflow, mut execution, .. } = work;
        execution.state = ExecutionState::Pending;
        execution.result = None;
        execution.policy = JsonText::of(&policy(node));
        self.take_slot(&step, workflow, out);
        let message = Message::Execution { execution_id: execution.id };
        out.scratch.messages.push(Outgoing::now(workflow.organization_id, message));
        out.scratch.rows.executions.push(execution);
    }

    /// Takes the slot of a step whose execution stays open.
    fn take_slot(&self, step: &Step<'_>, workflow: &Workflow, out: &mut Out<'_, '_>) {
        match step.slot {
            StepSlot::Claimed => out.scratch.slots.take_claimed(self.item),
            StepSlot::Kept => out.scratch.slots.take_kept(&(workflow.id, step.node_id.to_owned())),
            StepSlot::None => {}
        }
    }

    /// Opens a held execution. One that ends at once is recorded like a pure one.
    fn open<'s>(&self, mut work: Work<'s>, out: &mut Out<'_, 's>) {
        let Some(component) = work.node.component_name().and_then(self.input.components.held) else {
            let failure = not_a_component();
            return finish_failed(out.scratch, work.execution, failure.message, failure.reason);
        };
        let (execution_id, token) = (work.execution.id, (self.input.token)());
        // The id finds the execution, and the token proves that the address was told.
        let address = format!("{}{}", execution_id.0.simple(), token.simple());
        let public_url = self.input.public_url;
        let opening = Opening { execution_id, now: self.input.now, address: &address, public_url };
        let opened = component.open(&work.configuration, opening);
        let opened = opened.and_then(|step| check_step(component, step, self.input.now));
        let HeldStep { emissions, facts, then } = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                return finish_failed(out.scratch, work.execution, failure.message, failure.reason);
            }
        };
        if matches!(then, Then::Held { .. }) && self.run.is_held_full {
            return finish_failed(out.scratch, work.execution, HELD_FULL.to_owned(), ResultReason::Limit);
        }
        self.open_step(&mut work, facts, then, out);
        self.record_emissions(work, emissions, out);
    }

    /// The state of an execution after its opening.
    pub(super) fn open_step(&self, work: &mut Work<'_>, facts: Value, then: Then, out: &mut Out<'_, '_>) {
        work.execution.metadata = JsonText::of(&facts);
        match then {
            Then::Held { held, wake } => {
                work.execution.state = ExecutionState::Held;
                work.execution.result = None;
                self.take_slot(&work.step, work.workflow, out);
                let message = Message::Wake { execution_id: work.execution.id };
                let wait = wake.map(|wake| wake.wait_from(self.input.now));
                let organization_id = work.workflow.organization_id;
                let later = wait.and_then(|wait| Outgoing::after(organization_id, message, wait));
                out.scratch.messages.extend(later);
                work.execution.held = Some(NewHeld { held: JsonText::of(&held), wake });
            }
            Then::Ended(Ok(())) => {}
            Then::Ended(Err(failure)) => fail(&mut work.execution, failure.message, failure.reason),
        }
    }

    pub(super) fn record_emissions<'s>(
        &self,
        work: Work<'s>,
        emissions: Vec<Emission>,
        out: &mut Out<'_, 's>,
    ) {
        let output = |emission: Emission| Output {
            channel: emission.channel.into(),
            data: match emission.data {
                EmissionData::Input => (*work.step.data).clone(),
                EmissionData::Made(data) | EmissionData::Marked(data, _) => data,
            },
        };
        let outputs = emissions.into_iter().map(output).collect();
        self.record(work, outputs, out);
    }

    /// Hands the event over to the join of its run.
    fn arrive(&self, work: Work<'_>, out: &mut Out<'_, '_>) {
        let Work { step, node, workflow, mut execution, configuration } = work;
        let Some(component) = node.component_name().and_then(self.input.components.join) else {
            let failure = not_a_component();
            return finish_failed(out.scratch, execution, failure.message, failure.reason);
        };
        let Arrival { held, wake, stops } = match component.arrive(&configuration, self.input.now) {
            Ok(arrival) => arrival,
            Err(failure) => return finish_failed(out.scratch, execution, failure.message, failure.reason),
        };
        // A workflow with as many held executions as are allowed takes arrivals all the same: most go
        // into a join that is open, and let it end.
        execution.state = ExecutionState::Held;
        execution.result = None;
        execution.held = Some(NewHeld { held: JsonText::of(&held), wake: Some(wake) });
        let source = step.ancestors.source().unwrap_or_default();
        let source = workflow.compiled.names().seen_from(step.node_id, source);
        let order = workflow.compiled.sources(step.node_id).iter().position(|id| *id == source);
        out.scratch.rows.arrivals.push(NewArrival {
            execution,
            source_node_id: source.to_owned(),
            source_order: order.and_then(|order| i32::try_from(order).ok()).unwrap_or(i32::MAX),
            stops,
            merges: workflow.compiled.merges(step.node_id).to_vec(),
        });
    }

    fn finish_pure<'s>(&self, work: Work<'s>, out: &mut Out<'_, 's>) {
        match self.run_pure(work.node, &work.configuration, &work.step.data) {
            Ok(output) => self.record(work, output.into_iter().collect(), out),
            Err(failure) => finish_failed(out.scratch, work.execution, failure.message, failure.reason),
        }
    }

    /// Records an execution, and goes on with its outputs.
    fn record<'s>(&self, work: Work<'s>, outputs: Vec<Output>, out: &mut Out<'_, 's>) {
        let Work { step, node, workflow, execution, configuration } = work;
        let source =
            Source { step, node, workflow, execution_id: execution.id, configuration: configuration.into() };
        out.scratch.rows.executions.push(execution);
        for output in outputs {
            self.emit(&source, output, out);
        }
    }

    fn emit<'s>(&self, source: &Source<'s>, output: Output, out: &mut Out<'_, 's>) {
        let Source { step, node, workflow, execution_id, configuration } = source;
        let event_id = (out.ids)().into();
        let event_type = format!("{}.{}", node.node.uses.name(), output.channel);
        let targets: Vec<&'s str> = workflow.compiled.targets(&node.node.id, &output.channel).collect();
        // An output that equals the input keeps the input's marks.
        let (data, text, redactions) = if output.data == *step.data {
            (Arc::clone(&step.data), step.text.clone(), step.redactions.clone())
        } else {
            let text = JsonText::of(&output.data);
            (Arc::new(output.data), text, None)
        };
        out.scratch.rows.events.push(NewEvent {
            id: event_id,
            node: (workflow.id, node.node.id.clone()),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            channel: output.channel.clone().into_owned(),
            event_type: event_type.clone(),
            data: text.clone(),
            redactions: redactions.clone(),
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            depth: step.depth + 1,
            execution_id: *execution_id,
        });
        let mut ancestors = step.ancestors.clone();
        ancestors.made.push(Arc::new(Entry {
            node_id: node.node.id.clone(),
            node_name: node.node.name.clone(),
            event_type,
            data: Arc::clone(&data),
            configuration: Some(Arc::clone(configuration)),
            created_at: self.input.now,
            // These marks came with the incoming event and could be read there, so reading them
            // can't fail here.
            marks: EntryMarks::read(redactions.as_ref(), &node.node.name).unwrap_or_default(),
        }));
        let mut wakes = false;
        for target in targets {
            let next = Step {
                node_id: target,
                event_id,
                previous_execution_id: Some(*execution_id),
                depth: step.depth + 1,
                data: Arc::clone(&data),
                text: text.clone(),
                redactions: redactions.clone(),
                ancestors: ancestors.clone(),
                root: step.root.clone(),
                slot: StepSlot::None,
            };
            wakes |= self.route(next, workflow, out);
        }
        if wakes {
            let message = Message::Event { event_id };
            out.scratch.messages.push(Outgoing::now(workflow.organization_id, message));
        }
    }

    /// Goes on with a target, or commits an item for it; true when that item needs a wake.
    fn route<'s>(&self, mut next: Step<'s>, workflow: &'s Workflow, out: &mut Out<'_, 's>) -> bool {
        let key: NodeKey = (workflow.id, next.node_id.to_owned());
        // An event that returns to the owner makes no execution.
        if self.run.owner.as_ref().is_some_and(|owner| owner.node_id == next.node_id) {
            next.slot = StepSlot::None;
            out.steps.push_back(next);
            return false;
        }
        if self.input.loaded.full_nodes.contains(&key) {
            let execution = self.new_execution(&next, workflow, (out.ids)().into());
            finish_failed(out.scratch, execution, NODE_FULL.to_owned(), ResultReason::Limit);
            return false;
        }
        let is_room = out.scratch.rows.executions.len() + out.steps.len() < GO_ON_EXECUTIONS_MAX
            && next.depth < RUN_DEPTH_MAX;
        let node = workflow.compiled.node(next.node_id);
        // A node that can't be compiled becomes a failed execution, which needs no slot.
        let limit = node.and_then(Result::ok).and_then(|node| node.concurrency_max);
        // A concurrency key depends on the event, so a keyed node gets an item whose key is
        // resolved first.
        let is_keyed = limit.is_some() && matches!(node, Some(Ok(node)) if node.concurrency_key.is_some());
        let is_room = is_room && !is_keyed && out.scratch.slots.take_bytes(next.text.bytes());
        if is_room && (limit.is_none() || out.scratch.slots.keep(&key)) {
            next.slot = if limit.is_some() { StepSlot::Kept } else { StepSlot::None };
            out.steps.push_back(next);
            return false;
        }
        out.scratch.rows.items.push(self.new_item(&next, key.clone(), out.ids));
        // A limited node whose lock this transaction holds needs no wake: the next freed slot sends
        // it.
        let needs_wake = limit.is_none() || is_keyed || !out.scratch.slots.is_locked(&key);
        out.scratch.slots.wait(&key);
        needs_wake
    }

    /// Runs a pure component, and refuses an output that can't be stored.
    fn run_pure(
        &self,
        node: &CompiledNode,
        configuration: &Value,
        input: &Value,
    ) -> Result<Option<Output>, Failure> {
        let Some(component) = node.component_name().and_then(self.input.components.pure) else {
            return Err(not_a_component());
        };
        match component.run(configuration, input) {
            Outcome::Passed(None) => Ok(None),
            Outcome::Passed(Some(output)) => match check_output(output.data) {
                Ok(data) => Ok(Some(Output { channel: output.channel, data })),
                Err(error) => Err(Failure::new(
                    ResultReason::Limit,
                    "output",
                    format!("the output can't be stored: {error}"),
                )),
            },
            Outcome::Failed(failure) => Err(failure),
        }
    }
}

fn too_many_visits(max: u32) -> String {
    let times = if max == 1 { "once".to_owned() } else { format!("{max} times") };
    format!("the run has visited this node {times}, as often as its `max_visits` allows")
}

pub(super) fn not_a_component() -> Failure {
    Failure::new(ResultReason::ComponentError, "not_a_component", "a trigger can't be run as a step")
}

fn fail(execution: &mut NewExecution, message: String, reason: ResultReason) {
    execution.state = ExecutionState::Finished;
    execution.result = Some(ExecutionResult::Failed);
    execution.result_reason = Some(reason);
    execution.result_message = Some(cut_message(message));
}

pub(super) fn finish_failed(
    scratch: &mut Scratch,
    mut execution: NewExecution,
    message: String,
    reason: ResultReason,
) {
    fail(&mut execution, message, reason);
    scratch.rows.executions.push(execution);
}

/// The parts of the node that the executor needs besides its configuration.
fn policy(node: &CompiledNode) -> Value {
    let mut policy = serde_json::Map::new();
    if let Some(retry) = &node.node.retry {
        policy.insert("retry".to_owned(), json!(retry));
    }
    if !node.node.redact.is_empty() {
        policy.insert("redact".to_owned(), json!(node.node.redact));
    }
    Value::Object(policy)
}
