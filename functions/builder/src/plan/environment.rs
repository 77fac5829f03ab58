//! The data that a node's templates may read. It holds no secret's value.

use domain::ids::WorkflowId;
use std::sync::Arc;

use definition::{Compiled, Repeated};
use domain::redactions::Redactions;
use expression::{Environment, Lookup, Marks, Value};
use jiff::Timestamp;
use serde_json::Value as Json;
use store::builder::RunFacts;
use store::{JsonText, StoreError};

/// An event in expressions: `{data, type, timestamp, config}`. `previous()` adds `node`. The
/// timestamp is text, as in recorded events.
#[derive(Clone)]
pub(super) struct Entry {
    pub node_id: String,
    pub node_name: String,
    pub event_type: String,
    pub data: Arc<Json>,
    pub configuration: Option<Arc<Json>>,
    pub created_at: Timestamp,
    pub marks: Option<Arc<EntryMarks>>,
}

/// The marks of an event's data: places that were redacted or scrubbed.
pub(super) struct EntryMarks {
    /// Places that were redacted.
    pub redacted: Marks,
    /// Redacted places, and texts in which a secret was scrubbed.
    pub all: Marks,
}

impl EntryMarks {
    /// Reads the marks of an event of the node `node_name`; None without marks.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the stored marks do not have this version's form.
    pub fn read(redactions: Option<&JsonText>, node_name: &str) -> Result<Option<Arc<Self>>, StoreError> {
        let Some(redactions) = redactions else { return Ok(None) };
        let stored = serde_json::from_value(redactions.read()?);
        let redactions: Redactions = stored.map_err(|_| StoreError::Corrupt("redactions"))?;
        let what = format!("the data of `{node_name}` at ");
        let redacted = || redactions.redacted.iter().map(String::as_str);
        let all = redacted().chain(redactions.scrubbed.iter().map(String::as_str));
        let marks = Self { redacted: Marks::of(&what, redacted()), all: Marks::of(&what, all) };
        Ok((!marks.all.is_empty()).then(|| Arc::new(marks)))
    }

    /// Bytes that the marks count for in memory.
    pub fn weight(&self) -> usize {
        self.redacted.weight() + self.all.weight()
    }
}

/// The places that count as marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkScope {
    /// Places that were redacted.
    Redacted,
    /// Redacted places, and texts in which a secret was scrubbed.
    All,
}

impl Entry {
    fn value(&self, scope: MarkScope) -> Value<'_> {
        Value::map(self.fields(scope))
    }

    /// The event with its node's name.
    fn named_value(&self, scope: MarkScope) -> Value<'_> {
        let mut fields = self.fields(scope);
        fields.push(("node".to_owned(), Value::str(&self.node_name)));
        Value::map(fields)
    }

    fn data(&self, scope: MarkScope) -> Value<'_> {
        match (&self.marks, scope) {
            (None, _) => Value::json(&self.data),
            (Some(marks), MarkScope::Redacted) => Value::marked(&self.data, &marks.redacted),
            (Some(marks), MarkScope::All) => Value::marked(&self.data, &marks.all),
        }
    }

    fn fields(&self, scope: MarkScope) -> Vec<(String, Value<'_>)> {
        let mut fields = vec![
            ("data".to_owned(), self.data(scope)),
            ("type".to_owned(), Value::str(&self.event_type)),
            ("timestamp".to_owned(), Value::string(self.created_at.to_string())),
        ];
        if let Some(configuration) = &self.configuration {
            fields.push(("config".to_owned(), Value::json(configuration)));
        }
        fields
    }
}

/// The ancestors of the event that a node works on, nearest first.
///
/// The events that this transaction made come first, all of them. Of the older events only the
/// requested ones were loaded.
#[derive(Clone, Default)]
pub(super) struct Ancestors {
    /// Events that the transaction made, nearest last.
    pub made: Vec<Arc<Entry>>,
    /// Loaded events, each with its distance; the claimed event has the distance 1. One without a
    /// distance came to a join beside the last event.
    pub loaded: Arc<Vec<(Option<usize>, Entry)>>,
}

impl Ancestors {
    /// The nearest event of one of these nodes.
    fn nearest(&self, node_ids: &[String]) -> Option<&Entry> {
        let is_of_them = |entry: &&Entry| node_ids.contains(&entry.node_id);
        let made = self.made.iter().rev().map(AsRef::as_ref).find(is_of_them);
        made.or_else(|| self.loaded.iter().map(|(_, entry)| entry).find(is_of_them))
    }

    /// The id of the node that the present event comes from.
    pub fn source(&self) -> Option<&str> {
        self.at(1).map(|entry| entry.node_id.as_str())
    }

    fn holds_marks(&self) -> bool {
        let loaded = self.loaded.iter().map(|(_, entry)| entry);
        self.made.iter().map(AsRef::as_ref).chain(loaded).any(|entry| entry.marks.is_some())
    }

    fn at(&self, distance: usize) -> Option<&Entry> {
        match self.made.len().checked_sub(distance) {
            Some(index) => self.made.get(index).map(AsRef::as_ref),
            None => {
                let behind = distance - self.made.len();
                self.loaded.iter().find(|(loaded, _)| *loaded == Some(behind)).map(|(_, entry)| entry)
            }
        }
    }
}

pub(super) struct PlanEnvironment<'a> {
    pub compiled: &'a Compiled,
    /// The id of the blueprint's node around the node whose templates are resolved.
    pub parent: Option<&'a str>,
    /// The owners around that node.
    pub repeated: &'a Repeated,
    pub workflow_id: WorkflowId,
    pub public_url: &'a str,
    pub ancestors: &'a Ancestors,
    pub run: &'a RunFacts,
    /// The data of the run's root event; None unless a template mentions it.
    pub root: Option<&'a Json>,
    pub now: Timestamp,
    /// The places that count as marked here.
    pub scope: MarkScope,
    /// The environment for fields that may hold a secret.
    pub for_secret_field: Option<&'a PlanEnvironment<'a>>,
}

impl Lookup for PlanEnvironment<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.ancestors
            .nearest(self.compiled.names().ids(self.parent, key))
            .map(|entry| entry.value(self.scope))
    }

    fn keys(&self) -> Vec<String> {
        let names = self.compiled.names().of_level(self.parent);
        let seen = names.filter(|(_, ids)| self.ancestors.nearest(ids).is_some());
        seen.map(|(name, _)| name.to_owned()).collect()
    }

    fn holds_marks(&self) -> bool {
        self.ancestors.holds_marks()
    }
}

impl Environment for PlanEnvironment<'_> {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "$" => Some(Value::lookup(self)),
            "inputs" => Some(self.inputs()),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        match name {
            "root" => Some(no_arguments(args).map(|()| self.root())),
            "previous" => Some(self.previous(args)),
            "run" => Some(no_arguments(args).map(|()| self.run())),
            "workflow" | "app" => Some(no_arguments(args).map(|()| self.workflow())),
            "now" => Some(no_arguments(args).map(|()| Value::timestamp(self.now))),
            "item" => {
                Some(no_arguments(args).map(|()| self.first(self.repeated.item_owner.as_ref(), &["item"])))
            }
            "iteration" => {
                let owner = self.repeated.owner.as_ref();
                Some(no_arguments(args).map(|()| self.first(owner, &["index", "iteration"])))
            }
            _ => None,
        }
    }

    fn holds_marks(&self) -> bool {
        self.ancestors.holds_marks()
    }

    fn for_secret_field(&self) -> Option<&dyn Environment> {
        self.for_secret_field.map(|environment| environment as &dyn Environment)
    }
}

fn no_arguments(args: &[Value<'_>]) -> Result<(), String> {
    if args.is_empty() { Ok(()) } else { Err("takes no arguments".to_owned()) }
}

impl PlanEnvironment<'_> {
    /// The inputs that the blueprint around the node was entered with; those that it did not have
    /// then have their defaults. Nil outside of blueprints.
    fn inputs(&self) -> Value<'_> {
        let Some(parent) = self.parent else { return Value::Nil };
        let entry = self.ancestors.nearest(&[parent.to_owned()]);
        let given = entry.and_then(|entry| entry.configuration.as_deref()?.get("inputs")?.as_object());
        let defaults = self.compiled.stored_node(parent).map(|node| &node.defaults);
        let missing = defaults
            .into_iter()
            .flatten()
            .filter(|(name, _)| given.is_none_or(|given| !given.contains_key(*name)));
        let all = given.into_iter().flatten().chain(missing);
        Value::map(all.map(|(name, value)| (name.clone(), Value::json(value))))
    }

    /// A field of the event with which the sub-run of an owner began: the first of these names that it
    /// has. Nil outside of owners.
    fn first(&self, owner: Option<&String>, names: &[&str]) -> Value<'_> {
        let entry = owner.and_then(|owner| self.ancestors.nearest(std::slice::from_ref(owner)));
        let Some(Value::Map(fields)) = entry.map(|entry| entry.data(self.scope)) else { return Value::Nil };
        names.iter().find_map(|name| fields.get(name)).unwrap_or(Value::Nil)
    }

    fn root(&self) -> Value<'_> {
        let data = self.root.map_or(Value::Nil, Value::json);
        Value::map([
            ("data".to_owned(), data),
            ("type".to_owned(), Value::str(&self.run.event_type)),
            ("timestamp".to_owned(), Value::string(self.run.started_at.to_string())),
        ])
    }

    fn previous(&self, args: &[Value<'_>]) -> Result<Value<'_>, String> {
        let distance = match args {
            [] => 1,
            [distance] => {
                distance.as_i64().filter(|distance| *distance >= 1).ok_or("takes a number from 1")?
            }
            _ => return Err("takes at most one argument".to_owned()),
        };
        let distance = usize::try_from(distance).map_err(|_| "takes a smaller number")?;
        Ok(self.ancestors.at(distance).map_or(Value::Nil, |entry| entry.named_value(self.scope)))
    }

    fn run(&self) -> Value<'_> {
        let id = self.run.root_event_id;
        Value::map([
            ("id".to_owned(), Value::string(id.to_string())),
            ("url".to_owned(), Value::string(format!("{}/v1/runs/{id}", self.public_url))),
            ("started_at".to_owned(), Value::timestamp(self.run.started_at)),
        ])
    }

    fn workflow(&self) -> Value<'_> {
        let id = self.workflow_id;
        let definition = &self.compiled.definition;
        Value::map([
            ("id".to_owned(), Value::string(id.to_string())),
            ("name".to_owned(), Value::str(&definition.name)),
            ("description".to_owned(), Value::str(&definition.description)),
            ("url".to_owned(), Value::string(format!("{}/v1/workflows/{id}", self.public_url))),
        ])
    }
}
