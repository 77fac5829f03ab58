use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::Args;
use domain::execution::ExecutionResult;
use domain::run::RunState;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::segment;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Format, duration, outcome, printable, run_outcome, say, shortened, text, time_of_day};
use crate::waits::waits_for;

/// The time for which a run is watched unless the caller names another, seconds.
pub(crate) const TIMEOUT_SECONDS: u64 = 3_600;
/// The pause between two looks.
const INTERVAL: Duration = Duration::from_millis(300);
/// The watch fails after so many failed looks in a row.
const FAILURES_MAX: u32 = 5;
/// The most executions of a run: the engine's limit, and those by which a batch may exceed it.
const EXECUTIONS_MAX: u32 = 20_000;
/// The time before the newest change seen so far that each look reads again: clocks differ, and
/// commits don't come in the order of their times.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// Characters of a message on a line.
const MESSAGE_CHARS_MAX: usize = 160;

/// Show a run as it goes; exit status 3 if it fails, 9 if it is cancelled.
#[derive(Args)]
pub(crate) struct Watch {
    /// Its id.
    run: String,
    /// Stop watching after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT_SECONDS)]
    timeout: u64,
}

impl Watch {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        watch(context, &self.run, self.timeout)
    }
}

/// Shows a run until it ends: a line for each change of an execution.
pub(crate) fn watch(context: &Context, run_id: &str, timeout_seconds: u64) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(timeout_seconds);
    let mut progress = Progress::default();
    let mut failures = 0;
    loop {
        match look(context, run_id, &mut progress) {
            Ok(run) if run["state"] != RunState::Running.as_str() => return finish(context, &run),
            Ok(_) => failures = 0,
            Err(failure) => {
                failures += 1;
                if failures >= FAILURES_MAX || !may_pass(&failure) {
                    return Err(failure);
                }
            }
        }
        if Instant::now() >= end {
            return Err(Failure::TimedOut(format!("the run still runs after {timeout_seconds} seconds")));
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Whether the next look may succeed.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(refusal) => matches!(refusal.problem.status, 429 | 500..),
        Failure::Failed(_) | Failure::Unreachable(_) | Failure::TimedOut(_) => true,
        Failure::Usage(_) | Failure::NoToken(_) | Failure::Silent(_) => false,
    }
}

/// Prints the changed executions of a run and gives the run. The run is read first: once its state
/// says that it has ended, no execution changes after that read.
fn look(context: &Context, run_id: &str, progress: &mut Progress) -> Result<Value, Failure> {
    let mut answer =
        context.api.get(&format!("/v1/runs/{}", segment(run_id)), &[("limit", "1".to_owned())])?;
    let run = answer["run"].take();
    let mut query = vec![("run", run_id.to_owned()), ("workflow", text(&run, "workflow_id"))];
    query.extend(progress.since().map(|since| ("updated_since", since.to_string())));
    let (executions, _) = context.api.list("/v1/executions", "executions", &query, EXECUTIONS_MAX)?;
    for execution in progress.changes(executions) {
        match context.format {
            Format::Json => say!("{}", json!({ "execution": execution })),
            Format::Human => say!("{}", line(&execution)),
        }
    }
    Ok(run)
}

fn finish(context: &Context, run: &Value) -> Result<(), Failure> {
    let outcome = run_outcome(run);
    match context.format {
        Format::Json => say!("{}", json!({ "run": run })),
        Format::Human => {
            let executions = run["executions"].as_i64().unwrap_or_default();
            let plural = if executions == 1 { "" } else { "s" };
            let sub_runs = match run["sub_runs"].as_i64().unwrap_or_default() {
                0 => String::new(),
                1 => " and 1 sub-run".to_owned(),
                sub_runs => format!(" and {sub_runs} sub-runs"),
            };
            say!("run {} after {executions} execution{plural}{sub_runs}", printable(&outcome));
        }
    }
    match run["result"].as_str() {
        Some(result) if result == ExecutionResult::Passed.as_str() => Ok(()),
        Some(result) if result == ExecutionResult::Cancelled.as_str() => {
            Err(Failure::Silent(Exit::RunCancelled))
        }
        _ => Err(Failure::Silent(Exit::RunFailed)),
    }
}

/// The part of a run that was shown already.
#[derive(Default)]
struct Progress {
    /// State and attempt of each execution, as last shown.
    shown: HashMap<String, (String, String)>,
    newest: Option<Timestamp>,
}

impl Progress {
    fn since(&self) -> Option<Timestamp> {
        self.newest.and_then(|newest| newest.checked_sub(OVERLAP).ok())
    }

    /// The executions that changed since they were last shown, in the order of their changes.
    fn changes(&mut self, executions: Vec<Value>) -> Vec<Value> {
        let mut changed = Vec::new();
        for execution in executions {
            let updated = text(&execution, "updated_at").parse().ok();
            self.newest = self.newest.max(updated);
            let now = (text(&execution, "state"), text(&execution, "attempt"));
            if self.shown.get(&text(&execution, "id")) != Some(&now) {
                self.shown.insert(text(&execution, "id"), now);
                changed.push((updated, text(&execution, "id"), execution));
            }
        }
        changed.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        changed.into_iter().map(|(_, _, execution)| execution).collect()
    }
}

/// Time, node, state, result, duration and message.
fn line(execution: &Value) -> String {
    let (state, outcome) = (text(execution, "state"), outcome(execution));
    let attempt = match execution["attempt"].as_i64() {
        Some(attempt) if attempt > 1 => format!(" attempt {attempt}"),
        _ => String::new(),
    };
    let message = match waits_for(execution) {
        waits if waits.is_empty() => text(execution, "result_message"),
        waits => format!("waits {waits}"),
    };
    let message = shortened(&message, MESSAGE_CHARS_MAX);
    let line = format!(
        "{}  {:<20} {:<10} {:<10} {:>9}{}  {}",
        time_of_day(execution, "updated_at"),
        text(execution, "node_name"),
        state,
        outcome,
        duration(execution, "duration_ms"),
        attempt,
        message
    );
    printable(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(id: &str, state: &str, updated_at: &str) -> Value {
        json!({ "id": id, "state": state, "attempt": 1, "updated_at": updated_at, "node_name": "Call" })
    }

    #[test]
    fn each_change_is_shown_once_in_the_order_of_the_changes() {
        let mut progress = Progress::default();
        let mut ids = |executions: Vec<Value>| -> Vec<String> {
            progress
                .changes(executions)
                .iter()
                .map(|found| format!("{} {}", text(found, "id"), text(found, "state")))
                .collect()
        };
        let first = vec![
            execution("b", "started", "2025-01-01T00:00:02Z"),
            execution("a", "finished", "2025-01-01T00:00:01Z"),
        ];
        assert_eq!(ids(first.clone()), ["a finished", "b started"]);
        assert!(ids(first).is_empty());
        assert_eq!(ids(vec![execution("b", "finished", "2025-01-01T00:00:03Z")]), ["b finished"]);
        assert_eq!(progress.since(), Some("2024-12-31T23:59:33Z".parse().unwrap()));
    }

    #[test]
    fn a_retry_is_a_change() {
        let mut progress = Progress::default();
        let mut pending = execution("a", "pending", "2025-01-01T00:00:01Z");
        assert_eq!(progress.changes(vec![pending.clone()]).len(), 1);
        pending["attempt"] = json!(2);
        assert_eq!(progress.changes(vec![pending]).len(), 1);
    }

    #[test]
    fn a_line_has_what_a_person_wants_to_know() {
        let mut execution = execution("a", "finished", "2025-01-01T00:00:01Z");
        execution["result"] = json!("failed");
        execution["result_reason"] = json!("component_error");
        execution["result_message"] = json!("the target answered 500\n\u{1b}[2J");
        execution["duration_ms"] = json!(1234);
        execution["attempt"] = json!(3);
        let line = line(&execution);
        for part in
            ["Call", "finished", "failed (component_error)", "1.23 s", "attempt 3", "the target answered 500"]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains('\u{1b}') && !line.contains('\n'));
    }

    #[test]
    fn only_trouble_that_may_pass_is_tried_again() {
        let problem = |status| {
            Failure::refused(crate::failure::Problem { status, ..crate::failure::Problem::default() })
        };
        assert!(may_pass(&problem(503)));
        assert!(!may_pass(&problem(404)));
        assert!(!may_pass(&problem(401)));
        assert!(may_pass(&Failure::Failed("network".into())));
    }
}
