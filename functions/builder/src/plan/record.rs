//! One claimed item: its execution, and the executions that going on adds in the same transaction.

use domain::ids::ExecutionId;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use definition::{CompiledNode, resolve_concurrency_key};
use domain::execution::ResultReason;
use domain::json::weight;
use domain::limits::{LOOKED_AT_WEIGHT_MAX, RUN_DEPTH_MAX};
use expression::Budget;
use queue::Outgoing;
use serde_json::Value;
use store::builder::{ClaimedItem, InputEvent, NewExecution, RunFacts, WriteBatch};
use store::{JsonText, StoreError};
use uuid::Uuid;

use super::environment::{Ancestors, Entry, EntryMarks, MarkScope, PlanEnvironment};
use super::message::{cut_message, standing_message};
use super::step::{Out, Step, StepSlot};
use super::{PlanInput, Slots, UNREADABLE};
use crate::definitions::Workflow;

/// The stored value of a concurrency key that resolves to empty text. The value `""` is reserved
/// for nodes without a key.
const EMPTY_KEY: &str = "(empty)";

/// The message for an event whose data this version can't read.
const UNREADABLE_EVENT: &str = "an event that this node works on or looks at can't be read";

/// The additions of one record, merged only as a whole.
pub(super) struct Scratch {
    pub rows: WriteBatch,
    pub messages: Vec<Outgoing>,
    pub slots: Slots,
    /// Visits of the run's nodes with a limit of visits.
    pub visits: BTreeMap<String, i32>,
    /// Work and memory that are left for the templates of the record.
    pub budget: Budget,
}

/// A claimed item with the data that was loaded for it.
pub(super) struct Record<'a> {
    pub input: &'a PlanInput<'a>,
    pub item: &'a ClaimedItem,
    pub run: &'a RunFacts,
    event: Option<&'a InputEvent>,
    workflow: Option<&'a Workflow>,
}

/// The data that a record's templates may read. It is parsed from the loaded rows, and dropped with
/// the record.
struct Seen {
    event: Arc<Value>,
    ancestors: Ancestors,
    root: Option<Arc<Value>>,
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

    /// The item as a finished execution whose component did not run.
    pub fn end(
        &self,
        slots: Slots,
        id: ExecutionId,
        reason: ResultReason,
        message: Option<String>,
    ) -> Scratch {
        let ids = (self.item.run_id, self.item.root_event_id);
        let execution = NewExecution {
            previous_execution_id: self.event.and_then(|event| event.execution_id),
            result: Some(reason.result()),
            result_reason: Some(reason),
            result_message: message.or_else(|| standing_message(reason)).map(cut_message),
            component: self.item.component.clone(),
            workflow_version: self.workflow.map_or(1, |workflow| workflow.version),
            concurrency_key: self.item.concurrency_key.clone(),
            ..NewExecution::passed(id, self.item.node.clone(), ids, self.item.event_id)
        };
        Scratch {
            rows: WriteBatch { executions: vec![execution], ..WriteBatch::default() },
            messages: Vec::new(),
            slots,
            visits: BTreeMap::new(),
            budget: Budget::default(),
        }
    }

    /// Plans the item's execution and goes on through pure nodes, up to a limit.
    pub fn plan(
        &self,
        slots: Slots,
        visits: BTreeMap<String, i32>,
        ids: &mut dyn FnMut() -> Uuid,
    ) -> Scratch {
        let (Some(event), Some(workflow)) = (self.event, self.workflow) else {
            return self.end(slots, ids().into(), ResultReason::TemplateError, Some(UNREADABLE.to_owned()));
        };
        let seen = match self.see(event) {
            Ok(seen) => seen,
            Err((reason, message)) => return self.end(slots, ids().into(), reason, Some(message)),
        };
        let mut scratch = Scratch {
            rows: WriteBatch::default(),
            messages: Vec::new(),
            slots,
            visits,
            budget: Budget::default(),
        };
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
            slot: StepSlot::Claimed,
        }]);
        while let Some(step) = steps.pop_front() {
            self.take_step(step, workflow, &mut Out { scratch: &mut scratch, steps: &mut steps, ids });
        }
        scratch
    }

    /// The value of the concurrency key for the item; Err: the reason and message with which the
    /// item ends.
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
            self.environment(workflow, node, &seen.ancestors, seen.root.as_deref(), MarkScope::Redacted);
        // A definition without the template has another version than the node's row: then nothing
        // of this plan is written.
        resolve_concurrency_key(node, &environment)
            .map(|key| key.filter(|key| !key.is_empty()).unwrap_or_else(|| EMPTY_KEY.to_owned()))
            .map_err(|error| (error.reason, Some(format!("{}: {}", error.field, error.rendered))))
    }

    pub fn environment<'e>(
        &'e self,
        workflow: &'e Workflow,
        node: &'e CompiledNode,
        ancestors: &'e Ancestors,
        root: Option<&'e Value>,
        scope: MarkScope,
    ) -> PlanEnvironment<'e> {
        PlanEnvironment {
            compiled: &workflow.compiled,
            parent: node.node.parent.as_deref(),
            repeated: &node.repeated,
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

    /// The name of a node for messages; its id where the definition has no such node.
    fn name_of<'n>(&'n self, node_id: &'n str) -> &'n str {
        let node = self.workflow.and_then(|workflow| workflow.compiled.stored_node(node_id));
        node.map_or(node_id, |node| &node.name)
    }

    /// Reads the data that the templates of the record may use.
    ///
    /// # Errors
    /// The result reason and a sentence for the author, when the data is too heavy or can't be
    /// read.
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
            node_name: self.name_of(&event.node_id).to_owned(),
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
        let mut loaded = vec![(Some(1), own)];
        for ancestor in &self.input.loaded.ancestors {
            if ancestor.of_event_id != event.id || ancestor.distance <= 1 {
                continue;
            }
            let entry = Entry {
                node_id: ancestor.node_id.clone(),
                node_name: self.name_of(&ancestor.node_id).to_owned(),
                event_type: ancestor.event_type.clone(),
                data: read(&ancestor.data)?,
                configuration: ancestor.configuration.as_ref().map(&read).transpose()?,
                created_at: ancestor.created_at,
                marks: marks(ancestor.redactions.as_ref(), &ancestor.node_id)?,
            };
            let distance = usize::try_from(ancestor.distance).ok().filter(|_| ancestor.is_on_the_way);
            loaded.push((distance, entry));
        }
        Ok(Seen { event: data, ancestors: Ancestors { made: Vec::new(), loaded: Arc::new(loaded) }, root })
    }
}
