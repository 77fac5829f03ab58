//! `on_error`: a run for each run of other workflows, or of this one, that failed.

use domain::execution::{ExecutionResult, ResultReason};
use domain::limits::WATCHED_WORKFLOWS_MAX;
use serde_json::Value;

use crate::{
    component::Problem,
    shape::{Reader, Stage, item},
    trigger::{Resource, Trigger},
};

/// The trigger.
pub(crate) struct OnError;

/// The failed runs that a trigger takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorHandler {
    /// The workflows that it watches.
    pub workflows: Watched,
    /// The reasons that it takes; None: all.
    pub reasons: Option<Vec<ResultReason>>,
    /// The events that one run makes.
    pub once_per: OncePer,
}

/// The workflows that a trigger watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The one that the trigger belongs to.
    Own,
    /// Those of these names.
    Named(Vec<String>),
    /// All of the organization.
    All,
}

/// The events that one failed run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OncePer {
    /// One, for its first failure.
    Run,
    /// One for each failed execution.
    Execution,
}

/// The word for all workflows.
const ALL: &str = "all";
const FIELDS: [&str; 3] = ["workflows", "reasons", "once_per"];

impl ErrorHandler {
    /// Reads a configuration; None where it is not valid.
    #[must_use]
    pub fn read(configuration: &Value) -> Option<Self> {
        read(configuration).ok()
    }

    /// The names of the watched workflows, as they are stored: empty text stands for all. `own` is the
    /// name of the trigger's workflow.
    #[must_use]
    pub fn names(&self, own: &str) -> Vec<String> {
        match &self.workflows {
            Watched::Own => vec![own.to_owned()],
            Watched::Named(names) => names.clone(),
            Watched::All => vec![String::new()],
        }
    }

    /// Whether it takes a failure for this reason.
    #[must_use]
    pub fn takes(&self, reason: ResultReason) -> bool {
        self.reasons.as_ref().is_none_or(|reasons| reasons.contains(&reason))
    }
}

impl Trigger for OnError {
    fn name(&self) -> &'static str {
        "on_error"
    }

    fn resource(&self, configuration: &Value) -> Option<Resource> {
        ErrorHandler::read(configuration).map(Resource::ErrorHandler)
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        read(configuration).err().unwrap_or_default()
    }
}

fn read(configuration: &Value) -> Result<ErrorHandler, Vec<Problem>> {
    let mut reader = Reader::new(Stage::Resolved);
    let mut handler = ErrorHandler { workflows: Watched::Own, reasons: None, once_per: OncePer::Run };
    if let Some(map) = reader.object("", configuration, &FIELDS) {
        if let Some(value) = map.get("workflows") {
            handler.workflows = read_workflows(&mut reader, value).unwrap_or(Watched::Own);
        }
        if let Some(value) = map.get("reasons") {
            handler.reasons = read_reasons(&mut reader, value);
        }
        if let Some(value) = map.get("once_per")
            && reader.word("/once_per", value, &["run", "execution"]) == Some("execution")
        {
            handler.once_per = OncePer::Execution;
        }
    }
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(handler) } else { Err(problems) }
}

fn read_workflows(reader: &mut Reader, value: &Value) -> Option<Watched> {
    if value == ALL {
        return Some(Watched::All);
    }
    let Some(list) = value.as_array().filter(|list| (1..=WATCHED_WORKFLOWS_MAX).contains(&list.len())) else {
        let message =
            format!("must be a list of 1 to {WATCHED_WORKFLOWS_MAX} names of workflows, or `{ALL}`");
        reader.problem("/workflows", message);
        return None;
    };
    let mut names = Vec::new();
    for (index, value) in list.iter().enumerate() {
        match value.as_str().filter(|name| !name.is_empty()) {
            Some(name) if !names.iter().any(|known| known == name) => names.push(name.to_owned()),
            Some(_) => {}
            None => reader.problem(&item("/workflows", index), "must be the name of a workflow"),
        }
    }
    Some(Watched::Named(names))
}

fn read_reasons(reader: &mut Reader, value: &Value) -> Option<Vec<ResultReason>> {
    let words: Vec<&'static str> = ResultReason::ALL
        .iter()
        .filter(|reason| reason.result() == ExecutionResult::Failed)
        .map(|reason| reason.as_str())
        .collect();
    let list = reader.list("/reasons", value)?;
    if list.is_empty() {
        reader.problem("/reasons", "names no reason: leave it out for all of them");
    }
    let reasons: Vec<_> = list
        .iter()
        .enumerate()
        .filter_map(|(index, value)| reader.word(&item("/reasons", index), value, &words)?.parse().ok())
        .collect();
    Some(reasons)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn handler(configuration: &Value) -> ErrorHandler {
        assert_eq!(OnError.check(configuration), [], "{configuration}");
        ErrorHandler::read(configuration).expect("it is valid")
    }

    #[test]
    fn it_watches_its_own_workflow_or_those_that_are_named() {
        let names = |configuration: Value| handler(&configuration).names("own");
        assert_eq!(names(json!({})), ["own"]);
        assert_eq!(names(json!({ "workflows": ["a", "b", "a"] })), ["a", "b"]);
        assert_eq!(names(json!({ "workflows": "all" })), [""]);
    }

    #[test]
    fn it_takes_all_reasons_or_those_that_are_named() {
        let takes = |configuration: Value, reason| handler(&configuration).takes(reason);
        assert!(takes(json!({}), ResultReason::Crashed));
        let some = json!({ "reasons": ["timeout", "component_error"] });
        assert!(takes(some.clone(), ResultReason::Timeout) && !takes(some, ResultReason::Crashed));
        assert_eq!(handler(&json!({})).once_per, OncePer::Run);
        assert_eq!(handler(&json!({ "once_per": "execution" })).once_per, OncePer::Execution);
    }

    #[test]
    fn what_is_no_handler_is_told_with_its_place() {
        let check = |configuration: Value, pointer: &str, message: &str| {
            let problems = OnError.check(&configuration);
            let [problem] = problems.as_slice() else { panic!("{configuration}: {problems:?}") };
            assert_eq!(problem.pointer, pointer);
            assert!(problem.message.starts_with(message), "{}", problem.message);
        };
        check(json!({ "workflows": "a" }), "/workflows", "must be a list of 1 to 100 names");
        check(json!({ "workflows": [] }), "/workflows", "must be a list of 1 to 100 names");
        check(json!({ "workflows": ["a", ""] }), "/workflows/1", "must be the name of a workflow");
        check(json!({ "reasons": [] }), "/reasons", "names no reason");
        check(json!({ "reasons": ["cancelled"] }), "/reasons/0", "must be one of template_error");
        check(json!({ "once_per": "day" }), "/once_per", "must be one of run, execution");
        check(json!({ "workflow": "a" }), "/workflow", "unknown field `workflow`; did you mean `workflows`?");
    }

    #[test]
    fn it_watches_so_many_workflows_and_no_more_i10() {
        let named = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            OnError.check(&json!({ "workflows": names }))
        };
        assert_eq!(named(WATCHED_WORKFLOWS_MAX), []);
        assert_eq!(named(WATCHED_WORKFLOWS_MAX + 1).len(), 1);
    }
}
