//! The outputs of a run: pure, from its last events.

use std::cell::Cell;
use std::sync::Arc;

use definition::{Repeated, resolve_outputs};
use domain::json::weight;
use domain::limits::LOOKED_AT_WEIGHT_MAX;
use jiff::Timestamp;
use serde_json::Value;
use store::builder::{CalledRun, LastEvent};
use store::{JsonText, StoreError};

use super::UNREADABLE;
use super::environment::{Ancestors, Entry, EntryMarks, MarkScope, PlanEnvironment};
use crate::definitions::Workflow;

fn too_much() -> String {
    "they look at more data of events than templates may".to_owned()
}

/// The outputs of a run; None where its workflow has none.
///
/// # Errors
/// A sentence for the author.
pub(crate) fn outputs_of(
    workflow: &Workflow,
    run: &CalledRun,
    events: &Option<Vec<LastEvent>>,
    public_url: &str,
    now: Timestamp,
) -> Result<Option<Value>, String> {
    let unreadable = |_: StoreError| UNREADABLE.to_owned();
    let events = events.as_ref().ok_or_else(too_much)?;
    let left = Cell::new(LOOKED_AT_WEIGHT_MAX);
    let read = |text: &JsonText| -> Result<Arc<Value>, String> {
        let value = text.read().map_err(unreadable)?;
        left.set(left.get().checked_sub(weight(&value)).ok_or_else(too_much)?);
        Ok(Arc::new(value))
    };
    let entry = |event: &LastEvent| -> Result<(Option<usize>, Entry), String> {
        let node = workflow.compiled.stored_node(&event.node_id);
        let node_name = node.map_or(event.node_id.as_str(), |node| node.name.as_str());
        let entry = Entry {
            node_id: event.node_id.clone(),
            node_name: node_name.to_owned(),
            event_type: event.event_type.clone(),
            data: read(&event.data)?,
            configuration: event.configuration.as_ref().map(read).transpose()?,
            created_at: event.created_at,
            marks: EntryMarks::read(event.redactions.as_ref(), node_name).map_err(unreadable)?,
        };
        Ok((None, entry))
    };
    let loaded = events.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let ancestors = Ancestors { made: Vec::new(), loaded: Arc::new(loaded) };
    let root = run.facts.data.as_ref().map(read).transpose()?;
    let environment = PlanEnvironment {
        compiled: &workflow.compiled,
        parent: None,
        repeated: &Repeated::default(),
        workflow_id: workflow.id,
        public_url,
        ancestors: &ancestors,
        run: &run.facts,
        root: root.as_deref(),
        now,
        // The caller may write them beside a secret.
        scope: MarkScope::All,
        for_secret_field: None,
    };
    resolve_outputs(&workflow.compiled, &environment)
        .map_err(|error| format!("{}: {}", error.field, error.rendered))
}
