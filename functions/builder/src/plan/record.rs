//! One claimed item: its execution, and what it leads to within the same transaction.

use domain::ids::{EventId, ExecutionId};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use definition::{CompiledNode, NodeKind, ResolveError, resolve_concurrency_key};
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::json::{check_output, weight};
use domain::limits::{GO_ON_EXECUTIONS_MAX, LOOKED_AT_WEIGHT_MAX, RUN_DEPTH_MAX};
use domain::message::Message;
use domain::outcome::{Failure, NODE_FULL, Outcome, Output};
use expression::Budget;
use queue::Outgoing;
use serde_json::{Value, json};
use store::builder::{
    ClaimedItem, InputEvent, NewEvent, NewExecution, NewItem, NewKey, NodeKey, RunFacts, WriteBatch,
};
use store::{JsonText, StoreError};
use uuid::Uuid;

use super::environment::{Ancestors, Entry, EntryMarks, MarkScope, PlanEnvironment};
use super::message::{cut_message, standing_message};
use super::{PlanInput, Slots};
use crate::definitions::Workflow;

/// The stored form of a concurrency key that comes to empty text: `""` is that of a node without a key.
const EMPTY_KEY: &str = "(empty)";

/// Said of a definition that this version can't read.
const UNREADABLE: &str = "the workflow's definition was written by a newer version of sealflow";

/// Said of an event whose data this version can't read.
const UNREADABLE_EVENT: &str = "an event that this node works on or looks at can't be read";

/// What one record adds; merged only as a whole.
pub(super) struct Scratch {
    pub rows: WriteBatch,
    pub messages: Vec<Outgoing>,
    pub slots: Slots,
    /// Work and memory that are left for the templates of the record.
    budget: Budget,
}

/// A claimed item with what was loaded for it.
pub(super) struct Record<'a> {
    input: &'a PlanInput<'a>,
    item: &'a ClaimedItem,
    run: &'a RunFacts,
    event: Option<&'a InputEvent>,
    workflow: Option<&'a Workflow>,
}

/// What a record's templates may look at: read from its rows, and let go with the record.
struct Seen {
    event: Arc<Value>,
    ancestors: Ancestors,
    root: Option<Arc<Value>>,
}

/// A node that is about to work on an event.
struct Step<'a> {
    node_id: &'a str,
    event_id: EventId,
    previous_execution_id: Option<ExecutionId>,
    depth: i32,
    data: Arc<Value>,
    /// The same as it is stored.
    text: JsonText,
    /// Places of it that were blanked, as they are stored.
    redactions: Option<JsonText>,
    ancestors: Ancestors,
    root: Option<Arc<Value>>,
    /// Whether the step took its slot as a claimed item does.
    is_claimed: bool,
}

impl<'a> Record<'a> {
    pub fn new(input: &'a PlanInput<'a>, item: &'a ClaimedItem, run: &'a RunFacts) -> Self {
        let event = input.loaded.events.iter().find(|event| event.id == item.event_id);
        let workflow = input.workflows.get(&item.node.0).map(AsRef::as_ref);
        Self { input, item, run, event, workflow }
    }

    pub fn is_too_deep(&self) -> bool {
        self.event.is_some_and(|event| event.depth >= RUN_DEPTH_MAX)
    }

    /// The item as a finished execution that did nothing.
    pub fn end(
        &self,
        slots: Slots,
        id: ExecutionId,
        reason: ResultReason,
        message: Option<String>,
    ) -> Scratch {
        let execution = NewExecution {
            id,
            node: self.item.node.clone(),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            event_id: self.item.event_id,
            previous_execution_id: self.event.and_then(|event| event.execution_id),
            state: ExecutionState::Finished,
            result: Some(reason.result()),
            result_reason: Some(reason),
            result_message: message.or_else(|| standing_message(reason)).map(cut_message),
            component: self.item.component.clone(),
            configuration: JsonText::of(&json!({})),
            residuals: JsonText::of(&json!([])),
            policy: JsonText::of(&json!({})),
            workflow_version: self.workflow.map_or(1, |workflow| workflow.version),
            concurrency_key: self.item.concurrency_key.clone(),
            starts_after: Duration::ZERO,
        };
        Scratch {
            rows: WriteBatch { executions: vec![execution], ..WriteBatch::default() },
            messages: Vec::new(),
            slots,
            budget: Budget::default(),
        }
    }

    /// Plans the item's execution and goes on through pure nodes, up to a limit.
    pub fn plan(&self, slots: Slots, ids: &mut dyn FnMut() -> Uuid) -> Scratch {
        let (Some(event), Some(workflow)) = (self.event, self.workflow) else {
            return self.end(slots, ids().into(), ResultReason::TemplateError, Some(UNREADABLE.to_owned()));
        };
        let seen = match self.see(event) {
            Ok(seen) => seen,
            Err((reason, message)) => return self.end(slots, ids().into(), reason, Some(message)),
        };
        let mut scratch =
            Scratch { rows: WriteBatch::default(), messages: Vec::new(), slots, budget: Budget::default() };
        let mut steps = VecDeque::from([Step {
            node_id: &self.item.node.1,
            event_id: event.id,
            previous_execution_id: event.execution_id,
            depth: event.depth,
            data: seen.event,
            text: event.data.clone(),
            redactions: event.redactions.clone(),
            ancestors: seen.ancestors,
            root: seen.root,
            is_claimed: true,
        }]);
        while let Some(step) = steps.pop_front() {
            self.take_step(step, workflow, &mut scratch, &mut steps, ids);
        }
        scratch
    }

    /// What the concurrency key of the item's node comes to; else how the item ends.
    pub fn concurrency_key(&self) -> Result<String, (ResultReason, Option<String>)> {
        let (Some(event), Some(workflow)) = (self.event, self.workflow) else {
            return Err((ResultReason::TemplateError, Some(UNREADABLE.to_owned())));
        };
        let node = match workflow.compiled.node(&self.item.node.1) {
            Some(Ok(node)) => node,
            Some(Err(error)) => {
                let message = format!("{}: {}", error.field, error.rendered);
                return Err((ResultReason::TemplateError, Some(message)));
            }
            None => return Err((ResultReason::NodeRemoved, None)),
        };
        let seen = self.see(event).map_err(|(reason, message)| (reason, Some(message)))?;
        let environment =
            self.environment(workflow, &seen.ancestors, seen.root.as_deref(), MarkScope::Redacted);
        // Without a template the definition is of another version than the node's row: then nothing of this is written.
        resolve_concurrency_key(node, &environment)
            .map(|key| key.filter(|key| !key.is_empty()).unwrap_or_else(|| EMPTY_KEY.to_owned()))
            .map_err(|error| (error.reason, Some(format!("{}: {}", error.field, error.rendered))))
    }

    fn environment<'e>(
        &'e self,
        workflow: &'e Workflow,
        ancestors: &'e Ancestors,
        root: Option<&'e Value>,
        scope: MarkScope,
    ) -> PlanEnvironment<'e> {
        PlanEnvironment {
            compiled: &workflow.compiled,
            workflow_id: workflow.id,
            public_url: self.input.public_url,
            ancestors,
            run: self.run,
            root,
            now: self.input.now,
            scope,
            for_secret_field: None,
        }
    }

    /// The name of a node, by which messages call it.
    fn name_of<'n>(&'n self, node_id: &'n str) -> &'n str {
        let node = self.workflow.and_then(|workflow| workflow.compiled.stored_node(node_id));
        node.map_or(node_id, |node| &node.name)
    }

    /// Reads what the templates of the record may look at.
    ///
    /// # Errors
    /// The reason and a sentence for the author, where it is too heavy or can't be read.
    fn see(&self, event: &InputEvent) -> Result<Seen, (ResultReason, String)> {
        let unreadable = |_: StoreError| (ResultReason::TemplateError, UNREADABLE_EVENT.to_owned());
        let left = Cell::new(LOOKED_AT_WEIGHT_MAX);
        let weigh = |weight: usize| {
            left.set(left.get().checked_sub(weight).ok_or_else(|| {
                let mib = LOOKED_AT_WEIGHT_MAX / (1024 * 1024);
                let message = format!(
                    "the templates of this node look at more than {mib} MiB of events in memory: they have too many maps"
                );
                (ResultReason::Limit, message)
            })?);
            Ok::<_, (ResultReason, String)>(())
        };
        let read = |text: &JsonText| {
            let value = text.read().map_err(unreadable)?;
            weigh(weight(&value)).map(|()| Arc::new(value))
        };
        let marks = |redactions: Option<&JsonText>, node_id: &str| {
            let marks = EntryMarks::read(redactions, self.name_of(node_id)).map_err(unreadable)?;
            weigh(marks.as_ref().map_or(0, |marks| marks.weight())).map(|()| marks)
        };
        let own = Entry {
            node_id: event.node_id.clone(),
            event_type: event.event_type.clone(),
            data: read(&event.data)?,
            configuration: event.configuration.as_ref().map(&read).transpose()?,
            created_at: event.created_at,
            marks: marks(event.redactions.as_ref(), &event.node_id)?,
        };
        let data = Arc::clone(&own.data);
        let root = match &self.run.data {
            Some(_) if event.id == self.run.root_event_id => Some(Arc::clone(&data)),
            text => text.as_ref().map(&read).transpose()?,
        };
        let mut loaded = vec![(1, own)];
        for ancestor in &self.input.loaded.ancestors {
            if ancestor.of_event_id != event.id || ancestor.distance <= 1 {
                continue;
            }
            let entry = Entry {
                node_id: ancestor.node_id.clone(),
                event_type: ancestor.event_type.clone(),
                data: read(&ancestor.data)?,
                configuration: ancestor.configuration.as_ref().map(&read).transpose()?,
                created_at: ancestor.created_at,
                marks: marks(ancestor.redactions.as_ref(), &ancestor.node_id)?,
            };
            loaded.push((usize::try_from(ancestor.distance).unwrap_or(usize::MAX), entry));
        }
        Ok(Seen { event: data, ancestors: Ancestors { made: Vec::new(), loaded: Arc::new(loaded) }, root })
    }

    fn take_step<'s>(
        &self,
        step: Step<'s>,
        workflow: &'s Workflow,
        scratch: &mut Scratch,
        steps: &mut VecDeque<Step<'s>>,
        ids: &mut dyn FnMut() -> Uuid,
    ) {
        let mut execution = self.new_execution(&step, workflow, ids().into());
        let node = match workflow.compiled.node(step.node_id) {
            Some(Ok(node)) => node,
            Some(Err(error)) => {
                return finish_failed(
                    scratch,
                    execution,
                    &error.field,
                    &error.rendered,
                    ResultReason::TemplateError,
                );
            }
            None => {
                execution.result = Some(ExecutionResult::Cancelled);
                execution.result_reason = Some(ResultReason::NodeRemoved);
                execution.result_message = standing_message(ResultReason::NodeRemoved);
                return scratch.rows.executions.push(execution);
            }
        };
        let (ancestors, root) = (&step.ancestors, step.root.as_deref());
        let for_secret_field = self.environment(workflow, ancestors, root, MarkScope::All);
        let environment = PlanEnvironment {
            for_secret_field: Some(&for_secret_field),
            ..self.environment(workflow, ancestors, root, MarkScope::Redacted)
        };
        let resolved = match (self.input.parts.resolve)(node, &environment, &mut scratch.budget) {
            Ok(resolved) => resolved,
            // The steps before it took what there was: it gets a budget of its own, by a message.
            Err(_) if scratch.budget.is_used_up() && !step.is_claimed => {
                return self.leave_to_a_message(&step, workflow, scratch, ids);
            }
            Err(ResolveError { field, rendered, reason, .. }) => {
                return finish_failed(scratch, execution, &field, &rendered, reason);
            }
        };
        execution.configuration = JsonText::of(&resolved.display);
        if !step.is_claimed && !scratch.slots.take_bytes(execution.configuration.bytes()) {
            return self.leave_to_a_message(&step, workflow, scratch, ids);
        }
        let keys = resolved.keys.into_iter().map(|(key, value)| NewKey {
            id: ids(),
            execution_id: execution.id,
            node: execution.node.clone(),
            key,
            value,
        });
        scratch.rows.keys.extend(keys);
        if node.kind == NodeKind::Effect {
            execution.residuals = JsonText::of(&resolved.fields);
            match self.starts_after(&execution.component, &resolved.display) {
                Ok(wait) => execution.starts_after = wait,
                Err(failure) => {
                    return finish_unresolved(scratch, execution, failure.message, failure.reason);
                }
            }
            self.start_pending(step, node, workflow, execution, scratch);
        } else {
            self.finish_pure(step, node, workflow, execution, resolved.display, scratch, steps, ids);
        }
    }

    /// Commits an item for a step that was gone on to, and a wake for it.
    fn leave_to_a_message(
        &self,
        step: &Step<'_>,
        workflow: &Workflow,
        scratch: &mut Scratch,
        ids: &mut dyn FnMut() -> Uuid,
    ) {
        scratch.rows.items.push(NewItem {
            id: ids().into(),
            node: (workflow.id, step.node_id.to_owned()),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            event_id: step.event_id,
        });
        let message = Message::Event { event_id: step.event_id };
        scratch.messages.push(Outgoing::now(workflow.organization_id, message));
    }

    fn new_execution(&self, step: &Step<'_>, workflow: &Workflow, id: ExecutionId) -> NewExecution {
        let component = workflow.compiled.stored_node(step.node_id).map(|node| node.uses.name().to_owned());
        NewExecution {
            id,
            node: (workflow.id, step.node_id.to_owned()),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            event_id: step.event_id,
            previous_execution_id: step.previous_execution_id,
            state: ExecutionState::Finished,
            result: Some(ExecutionResult::Passed),
            result_reason: None,
            result_message: None,
            component: component.unwrap_or_else(|| self.item.component.clone()),
            configuration: JsonText::of(&json!({})),
            residuals: JsonText::of(&json!([])),
            policy: JsonText::of(&json!({})),
            workflow_version: workflow.version,
            concurrency_key: self.item.concurrency_key.clone().filter(|_| step.is_claimed),
            starts_after: Duration::ZERO,
        }
    }

    fn start_pending(
        &self,
        step: Step<'_>,
        node: &CompiledNode,
        workflow: &Workflow,
        mut execution: NewExecution,
        scratch: &mut Scratch,
    ) {
        execution.state = ExecutionState::Pending;
        execution.result = None;
        execution.policy = JsonText::of(&policy(node));
        if step.is_claimed {
            scratch.slots.take_claimed(self.item);
        }
        let message = Message::Execution { execution_id: execution.id };
        scratch.messages.extend(Outgoing::after(workflow.organization_id, message, execution.starts_after));
        scratch.rows.executions.push(execution);
    }

    /// How long the component has it wait before it starts.
    fn starts_after(&self, component: &str, configuration: &Value) -> Result<Duration, Failure> {
        let component = (self.input.parts.component)(component);
        component
            .map_or(Ok(Duration::ZERO), |component| component.starts_after(configuration, self.input.now))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one step, each used once")]
    fn finish_pure<'s>(
        &self,
        step: Step<'s>,
        node: &'s CompiledNode,
        workflow: &'s Workflow,
        mut execution: NewExecution,
        configuration: Value,
        scratch: &mut Scratch,
        steps: &mut VecDeque<Step<'s>>,
        ids: &mut dyn FnMut() -> Uuid,
    ) {
        let output = match self.run_pure(node, &configuration, &step.data) {
            Ok(output) => output,
            Err(failure) => {
                execution.result = Some(ExecutionResult::Failed);
                execution.result_reason = Some(failure.reason);
                execution.result_message = Some(cut_message(failure.message));
                return scratch.rows.executions.push(execution);
            }
        };
        let execution_id = execution.id;
        scratch.rows.executions.push(execution);
        let Some(output) = output else { return };
        let event_id = ids().into();
        let event_type = format!("{}.{}", node.node.uses.name(), output.channel);
        let targets: Vec<&str> = workflow.compiled.targets(&node.node.id, output.channel).collect();
        // Data that is passed on keeps its marks.
        let (data, text, redactions) = if output.data == *step.data {
            (Arc::clone(&step.data), step.text, step.redactions)
        } else {
            let text = JsonText::of(&output.data);
            (Arc::new(output.data), text, None)
        };
        scratch.rows.events.push(NewEvent {
            id: event_id,
            node: (workflow.id, node.node.id.clone()),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            channel: output.channel.to_owned(),
            event_type: event_type.clone(),
            data: text.clone(),
            redactions: redactions.clone(),
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            depth: step.depth + 1,
            execution_id,
        });
        let mut ancestors = step.ancestors;
        ancestors.made.push(Arc::new(Entry {
            node_id: node.node.id.clone(),
            event_type,
            data: Arc::clone(&data),
            configuration: Some(Arc::new(configuration)),
            created_at: self.input.now,
            // They were read once already, with the event that came in.
            marks: EntryMarks::read(redactions.as_ref(), &node.node.name).unwrap_or_default(),
        }));
        let mut wakes = false;
        for target in targets {
            let next = Step {
                node_id: target,
                event_id,
                previous_execution_id: Some(execution_id),
                depth: step.depth + 1,
                data: Arc::clone(&data),
                text: text.clone(),
                redactions: redactions.clone(),
                ancestors: ancestors.clone(),
                root: step.root.clone(),
                is_claimed: false,
            };
            wakes |= self.route(next, workflow, scratch, steps, ids);
        }
        if wakes {
            scratch.messages.push(Outgoing::now(workflow.organization_id, Message::Event { event_id }));
        }
    }

    /// Goes on with a target, or commits an item for it; true when that item needs a wake.
    fn route<'s>(
        &self,
        next: Step<'s>,
        workflow: &'s Workflow,
        scratch: &mut Scratch,
        steps: &mut VecDeque<Step<'s>>,
        ids: &mut dyn FnMut() -> Uuid,
    ) -> bool {
        let key: NodeKey = (workflow.id, next.node_id.to_owned());
        if self.input.loaded.full_nodes.contains(&key) {
            let execution = self.new_execution(&next, workflow, ids().into());
            finish_unresolved(scratch, execution, NODE_FULL.to_owned(), ResultReason::Limit);
            return false;
        }
        let is_room =
            scratch.rows.executions.len() + steps.len() < GO_ON_EXECUTIONS_MAX && next.depth < RUN_DEPTH_MAX;
        let node = workflow.compiled.node(next.node_id);
        let limit = match node {
            Some(Ok(node)) if node.kind == NodeKind::Effect => node.node.concurrency_max(),
            // It is finished at once, or becomes a failed execution: neither needs a slot.
            Some(Ok(_) | Err(_)) | None => None,
        };
        // Where the limit is a key's, what comes is seen first, and so waits.
        let is_keyed = limit.is_some() && matches!(node, Some(Ok(node)) if node.concurrency_key.is_some());
        let is_room = is_room && !is_keyed && scratch.slots.take_bytes(next.text.bytes());
        if is_room && (limit.is_none() || scratch.slots.take_new(&key)) {
            steps.push_back(next);
            return false;
        }
        scratch.rows.items.push(NewItem {
            id: ids().into(),
            node: key.clone(),
            run_id: self.item.run_id,
            root_event_id: self.item.root_event_id,
            event_id: next.event_id,
        });
        // Behind a limit whose lock is held, whoever frees the slot sends the wake.
        let needs_wake = limit.is_none() || is_keyed || !scratch.slots.is_locked(&key);
        scratch.slots.wait(&key);
        needs_wake
    }

    /// Runs a pure component and settles whether its output can be kept.
    fn run_pure(
        &self,
        node: &CompiledNode,
        configuration: &Value,
        input: &Value,
    ) -> Result<Option<Output>, Failure> {
        let Some(component) = node.component_name().and_then(self.input.parts.component) else {
            return Err(Failure::new(
                ResultReason::ComponentError,
                "not_a_component",
                "a trigger can't be run as a step",
            ));
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

fn finish_failed(
    scratch: &mut Scratch,
    execution: NewExecution,
    field: &str,
    message: &str,
    reason: ResultReason,
) {
    finish_unresolved(scratch, execution, format!("{field}: {message}"), reason);
}

fn finish_unresolved(
    scratch: &mut Scratch,
    mut execution: NewExecution,
    message: String,
    reason: ResultReason,
) {
    execution.state = ExecutionState::Finished;
    execution.result = Some(ExecutionResult::Failed);
    execution.result_reason = Some(reason);
    execution.result_message = Some(cut_message(message));
    scratch.rows.executions.push(execution);
}

/// What else of the node the executor needs.
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
