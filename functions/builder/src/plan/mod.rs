//! The plan: a pure function from loaded rows to new rows and messages, with tests of its own.
//!
//! Each record is planned into a scratch of its own, which is merged as a whole. A record that
//! fails (template, limit, panic) becomes a failed execution, and the other records are still
//! planned (I9).

mod due;
mod emit;
mod environment;
mod held_step;
mod message;
mod outputs;
mod owned;
mod record;
mod resolve;
mod slots;
mod step;
#[cfg(test)]
mod tests;
mod wake;

use domain::ids::{RunId, WorkflowId};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domain::execution::{ExecutionState, ResultReason};
use domain::limits::RUN_EXECUTIONS_MAX;
use domain::run::RunStop;
use jiff::Timestamp;
use queue::Outgoing;
use store::AskedJoin;
use store::builder::{ClaimedItem, Loaded, RunFacts, WriteBatch};
use uuid::Uuid;

pub(crate) use self::outputs::outputs_of;
use self::record::{Record, Scratch};
pub use self::resolve::{KeyPlan, plan_keys};
pub use self::slots::Slots;
pub use self::wake::{WakeInput, WakePlan, plan_wakes};
use crate::ComponentSet;
use crate::definitions::Workflow;

/// The treatment of a record whose earlier tries failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// No try failed: the record is planned.
    None,
    /// The record crashed the worker too often: it becomes a failed execution with the reason
    /// `crashed`.
    Crashed,
    /// The database refused the record's rows: it becomes a failed execution with the reason
    /// `limit`.
    Refused,
}

/// The message for a definition that this version can't read.
const UNREADABLE: &str = "the workflow's definition was written by a newer version of sealflow";

/// The input of a plan.
pub struct PlanInput<'a> {
    /// The claimed items, in the order in which they are planned.
    pub items: &'a [ClaimedItem],
    /// The data that was loaded for them.
    pub loaded: &'a Loaded,
    /// The workflows of the items.
    pub workflows: &'a HashMap<WorkflowId, Arc<Workflow>>,
    /// Now.
    pub now: Timestamp,
    /// The base URL of links.
    pub public_url: &'a str,
    /// Makes tokens that nobody can guess.
    pub token: &'a (dyn Fn() -> Uuid + Sync),
    /// The treatment of records whose earlier tries failed.
    pub fallback: Fallback,
    /// Components and evaluator.
    pub components: ComponentSet,
}

impl PlanInput<'_> {
    /// The version of each workflow in this plan.
    fn versions(&self) -> Vec<(WorkflowId, i64)> {
        let mut versions: Vec<_> =
            self.workflows.values().map(|workflow| (workflow.id, workflow.version)).collect();
        versions.sort_unstable();
        versions
    }
}

/// Rows to write, and messages to send after the commit.
#[derive(Default)]
pub struct Plan {
    /// The rows.
    pub rows: WriteBatch,
    /// The messages.
    pub messages: Vec<Outgoing>,
}

/// Plans a batch. `ids` makes the ids of new rows.
#[must_use]
pub fn plan(input: &PlanInput<'_>, mut slots: Slots, ids: &mut dyn FnMut() -> Uuid) -> Plan {
    let mut plan = Plan::default();
    let mut runs: BTreeMap<RunId, RunProgress> = BTreeMap::new();
    for item in input.items {
        let Some(run) = input.loaded.runs.iter().find(|run| run.id == item.run_id) else {
            continue;
        };
        let progress = runs.entry(run.id).or_insert_with(|| RunProgress::of(run, input.loaded));
        let scratch = plan_item(input, item, run, progress, &slots, ids);
        progress.executions += i64::try_from(scratch.rows.executions.len()).unwrap_or(i64::MAX);
        progress.goes_on |= has_open_work(&scratch.rows, run.id);
        plan.rows.ended.joins.extend(asked_joins(input, item, &scratch.rows));
        slots = scratch.slots;
        progress.visits.extend(scratch.visits);
        merge(&mut plan.rows, scratch.rows);
        plan.messages.extend(scratch.messages);
    }
    plan.rows.versions = input.versions();
    for (run_id, progress) in &mut runs {
        let visits = std::mem::take(&mut progress.visits).into_iter();
        let visits = visits.map(|(node_id, visits)| ((*run_id, node_id), visits));
        plan.rows
            .visits
            .extend(visits.filter(|(visit, visits)| input.loaded.visits.get(visit) != Some(visits)));
    }
    plan.rows.ended.runs.extend(runs.into_iter().filter(|(_, progress)| !progress.goes_on).map(|(id, _)| id));
    plan.messages.extend(freed_wakes(input, &slots));
    plan
}

/// The effects of a batch on a run so far.
struct RunProgress {
    executions: i64,
    /// Visits of its nodes with a limit of visits.
    visits: BTreeMap<String, i32>,
    ending: Option<ResultReason>,
    is_timed_out: bool,
    goes_on: bool,
}

impl RunProgress {
    fn of(run: &RunFacts, loaded: &Loaded) -> Self {
        let ending = match run.stop {
            Some(RunStop::RunLimit) => Some(ResultReason::RunLimit),
            Some(RunStop::Cancelled | RunStop::Timeout | RunStop::Owner) => Some(ResultReason::Cancelled),
            None if run.is_organization_deleted => Some(ResultReason::Cancelled),
            None => None,
        };
        let is_timed_out = run.stop == Some(RunStop::Timeout);
        let of_run = loaded.visits.iter().filter(|((run_id, _), _)| *run_id == run.id);
        let visits = of_run.map(|((_, node_id), visits)| (node_id.clone(), *visits)).collect();
        Self { executions: run.executions, visits, ending, is_timed_out, goes_on: false }
    }
}

/// The joins behind an item's node towards which nothing of its record goes on: this end of work may
/// decide them.
fn asked_joins(input: &PlanInput<'_>, item: &ClaimedItem, rows: &WriteBatch) -> Vec<AskedJoin> {
    let Some(workflow) = input.workflows.get(&item.node.0) else { return Vec::new() };
    let open = rows.executions.iter().filter(|execution| execution.state != ExecutionState::Finished);
    let open = open.chain(rows.arrivals.iter().map(|arrival| &arrival.execution));
    let open: Vec<&str> = open
        .map(|execution| execution.node.1.as_str())
        .chain(rows.items.iter().map(|item| item.node.1.as_str()))
        .collect();
    joins_without(workflow, &item.node.1, item.run_id, &open)
}

/// The joins behind a node, but those that are reached from one of the nodes in `open`.
fn joins_without(workflow: &Workflow, node_id: &str, run_id: RunId, open: &[&str]) -> Vec<AskedJoin> {
    let compiled = &workflow.compiled;
    let goes_on = |join: &String| open.iter().any(|id| compiled.merges(id).contains(join));
    let merges = compiled.merges(node_id).iter().filter(|join| !goes_on(join));
    merges.map(|join| AskedJoin { run_id, node_id: join.clone() }).collect()
}

/// Whether the rows contain unfinished work of the run.
fn has_open_work(rows: &WriteBatch, run_id: RunId) -> bool {
    rows.items.iter().any(|item| item.run_id == run_id)
        || !rows.arrivals.is_empty()
        || rows
            .executions
            .iter()
            .any(|execution| execution.run_id == run_id && execution.state != ExecutionState::Finished)
}

fn plan_item(
    input: &PlanInput<'_>,
    item: &ClaimedItem,
    run: &RunFacts,
    progress: &mut RunProgress,
    slots: &Slots,
    ids: &mut dyn FnMut() -> Uuid,
) -> Scratch {
    let record = Record::new(input, item, run);
    let is_over = progress.executions >= RUN_EXECUTIONS_MAX || record.is_too_deep();
    if progress.ending.is_none() && is_over {
        progress.ending = Some(ResultReason::RunLimit);
        let mut scratch = record.end(slots.clone(), ids().into(), ResultReason::RunLimit, None);
        // The limit is the top run's.
        scratch.rows.run_limits.push(RunId(item.root_event_id.0));
        return scratch;
    }
    if let Some((reason, message)) = ending_of(input, item, progress) {
        return record.end(slots.clone(), ids().into(), reason, message);
    }
    // A panic fails this record alone; the others are still planned.
    catch_unwind(AssertUnwindSafe(|| record.plan(slots.clone(), progress.visits.clone(), ids)))
        .unwrap_or_else(|_| {
            let message = "planning this execution failed inside sealflow; please report it";
            record.end(slots.clone(), ids().into(), ResultReason::Crashed, Some(message.to_owned()))
        })
}

const TIMED_OUT: &str = "the run took longer than its time-out, while this event waited";

/// The end of an item that is not planned: its run or its node is over, or its earlier tries
/// failed.
fn ending_of(
    input: &PlanInput<'_>,
    item: &ClaimedItem,
    progress: &RunProgress,
) -> Option<(ResultReason, Option<String>)> {
    if let Some(reason) = progress.ending {
        let message = progress.is_timed_out.then(|| TIMED_OUT.to_owned());
        return Some((reason, message));
    }
    if item.is_node_removed {
        return Some((ResultReason::NodeRemoved, None));
    }
    match input.fallback {
        Fallback::Crashed => {
            let message = "building this execution ended the process several times, so it was ended";
            Some((ResultReason::Crashed, Some(message.to_owned())))
        }
        Fallback::Refused => {
            let message = "this execution is more than can be built or stored: its templates look at more than 16 MiB of events, or the database \
                           refused its rows; look for unusual characters or sizes in its keys and configuration";
            Some((ResultReason::Limit, Some(message.to_owned())))
        }
        Fallback::None => None,
    }
}

fn merge(into: &mut WriteBatch, from: WriteBatch) {
    into.events.extend(from.events);
    into.executions.extend(from.executions);
    into.keys.extend(from.keys);
    into.items.extend(from.items);
    into.arrivals.extend(from.arrivals);
    into.run_limits.extend(from.run_limits);
    into.sub_runs.extend(from.sub_runs);
    into.returns.extend(from.returns);
    into.ended.runs.extend(from.ended.runs);
}

/// The wakes of concurrency keys that have both a free slot and waiting items: executions that
/// ended at once took no slot.
fn freed_wakes(input: &PlanInput<'_>, slots: &Slots) -> Vec<Outgoing> {
    slots
        .with_room_and_waiting()
        .filter_map(|((workflow_id, _), wake)| {
            Some(Outgoing::now(input.workflows.get(workflow_id)?.organization_id, wake))
        })
        .collect()
}
