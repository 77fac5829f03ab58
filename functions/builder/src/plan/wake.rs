//! The plan of wakes: a pure function from locked held executions to new rows and messages.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use components::{HeldCall, Joined, JoinedEvent, OwnerStep, Step, Then, Woken};
use domain::execution::{ExecutionResult, ResultReason};
use domain::held::{WakeCause, WakeTime};
use domain::ids::{ExecutionId, WorkflowId};
use domain::message::Message;
use domain::outcome::Failure;
use jiff::Timestamp;
use queue::Outgoing;
use store::builder::{RecordedWake, WokenExecution, WokenJoin, WokenOwner, WriteBatch};
use store::{JsonText, NodeKey};
use uuid::Uuid;

use super::due::{Due, begun_ending, ended, ending_of};
use super::emit::emit;
use super::held_step::check_step;
use super::message::{cut_message, standing_message};
use super::owned::{StartingOwner, owner_step, start_sub_runs};
use super::{Fallback, UNREADABLE, joins_without};
use crate::ComponentSet;
use crate::definitions::Workflow;

/// The input of a plan of wakes.
pub struct WakeInput<'a> {
    /// The executions, all of them locked.
    pub executions: &'a [WokenExecution],
    /// The workflows of these executions.
    pub workflows: &'a HashMap<WorkflowId, Arc<Workflow>>,
    /// Nodes with as many waiting items as are allowed.
    pub full_nodes: &'a [NodeKey],
    /// Now.
    pub now: Timestamp,
    /// The treatment of executions whose earlier wakes failed.
    pub fallback: Fallback,
    /// Components.
    pub components: ComponentSet,
}

/// The plan for woken executions.
#[derive(Default)]
pub struct WakePlan {
    /// The executions that changed.
    pub wakes: Vec<RecordedWake>,
    /// The rows of their emissions.
    pub rows: WriteBatch,
    /// Messages to send after the commit.
    pub messages: Vec<Outgoing>,
    /// Owners whose running sub-runs are to be stopped after the commit.
    pub stopping: Vec<ExecutionId>,
    /// Executions that are to call a run after the commit, and are not woken before that.
    pub calling: Vec<ExecutionId>,
}

/// Plans wakes. `ids` makes the ids of new rows. An execution with nothing due does not change. If
/// its wake time is near, the plan has a delayed message for it.
#[must_use]
pub fn plan_wakes(input: &WakeInput<'_>, ids: &mut dyn FnMut() -> Uuid) -> WakePlan {
    let mut plan = WakePlan::default();
    for execution in input.executions {
        if is_to_call(input, execution) {
            // One that was put off calls at its time.
            if execution.is_time {
                plan.calling.push(execution.id);
            } else {
                plan.messages.extend(later(execution, execution.millis_left));
            }
            continue;
        }
        match step_of(input, execution) {
            Some(due) => take(input, execution, due, &mut plan, ids),
            None if execution.join.is_some() || execution.owner.is_some() => {}
            None => plan.messages.extend(later(execution, execution.millis_left)),
        }
    }
    let mut versions: Vec<_> =
        input.workflows.values().map(|workflow| (workflow.id, workflow.version)).collect();
    versions.sort_unstable();
    plan.rows.versions = versions;
    plan
}

/// The wake of an execution in `millis` milliseconds. None without a time. None also for a time
/// beyond the queue's longest delay: then the sweeper sends the wake.
fn later(execution: &WokenExecution, millis: Option<i64>) -> Option<Outgoing> {
    let wait = Duration::from_millis(u64::try_from(millis?).unwrap_or(0));
    Outgoing::after(execution.organization_id, Message::Wake { execution_id: execution.id }, wait)
}

/// Whether an execution is to call a run: unless it is to end before.
fn is_to_call(input: &WakeInput<'_>, execution: &WokenExecution) -> bool {
    let calls = (input.components.owner)(&execution.component)
        .is_some_and(|owner| execution.owner.is_some() && owner.is_to_call(&execution.held));
    calls && begun_ending(execution).is_none() && ending_of(input.fallback, execution).is_none()
}

/// The due step of an execution; None: nothing is due.
fn step_of(input: &WakeInput<'_>, execution: &WokenExecution) -> Option<Due> {
    if let Some((failure, cancelled_by)) =
        begun_ending(execution).or_else(|| ending_of(input.fallback, execution))
    {
        return Some(Due::end(execution, failure, cancelled_by));
    }
    if let Some(owner) = &execution.owner {
        return owner_due(input, execution, owner);
    }
    let is_asked = execution.causes.iter().any(|cause| cause.cause == WakeCause::Upstream);
    if !execution.is_time && execution.calls.is_empty() && !is_asked {
        return None;
    }
    // A join whose definition this version can't read waits for newer code.
    if execution.join.is_some() && !input.workflows.contains_key(&execution.node.0) {
        return None;
    }
    // A panic ends this execution alone; the others are still woken.
    let step = catch_unwind(AssertUnwindSafe(|| component_step(input, execution))).unwrap_or_else(|_| {
        let message = "waking this execution failed inside sealflow; please report it";
        ended(Failure::new(ResultReason::Crashed, "panic", message))
    });
    Some(Due::of(step, None))
}

/// The due step of an owner.
fn owner_due(input: &WakeInput<'_>, execution: &WokenExecution, owner: &WokenOwner) -> Option<Due> {
    let is_new = owner.ended.iter().any(|sub_run| !sub_run.is_taken);
    // One whose definition this version can't read waits for newer code.
    let workflow = input.workflows.get(&execution.node.0)?;
    if !execution.is_time && !is_new && owner.running > 0 {
        return None;
    }
    let node = workflow.compiled.stored_node(&execution.node.1);
    if node.is_none_or(|node| node.uses.name() != execution.component) {
        let message = standing_message(ResultReason::NodeRemoved).unwrap_or_default();
        let failure = Failure::new(ResultReason::NodeRemoved, "node_removed", message);
        return Some(Due::end(execution, failure, None));
    }
    let step = catch_unwind(AssertUnwindSafe(|| owner_step(input, execution, owner))).unwrap_or_else(|_| {
        let message = "waking this execution failed inside sealflow; please report it";
        Err(Failure::new(ResultReason::Crashed, "panic", message))
    });
    Some(match step {
        // An owner ends after its sub-runs, whatever its component says.
        Ok(OwnerStep { step: Step { then: Then::Ended(Err(failure)), .. }, .. }) if owner.running > 0 => {
            Due::end(execution, failure, None)
        }
        Ok(OwnerStep { starts, stops, step }) => Due { starts, stops, ..Due::of(step, None) },
        Err(failure) => Due::end(execution, failure, None),
    })
}

fn component_step(input: &WakeInput<'_>, execution: &WokenExecution) -> Step {
    if let Some(join) = &execution.join {
        return join_step(input, execution, join).unwrap_or_else(ended);
    }
    let Some(component) = (input.components.held)(&execution.component) else {
        let message = format!("this version of sealflow has no held component named {}", execution.component);
        return ended(Failure::new(ResultReason::ComponentError, "not_a_component", message));
    };
    let calls: Vec<HeldCall> = execution
        .calls
        .iter()
        .map(|call| HeldCall {
            call: call.call,
            called_by: call.called_by.clone(),
            called_at: call.called_at,
            data: call.data.clone(),
        })
        .collect();
    let woken = Woken { now: input.now, is_time: execution.is_time, calls: &calls };
    check_step(component, component.wake(&execution.held, &woken), input.now).unwrap_or_else(ended)
}

/// The step of a join, by the definition that is in force now.
fn join_step(input: &WakeInput<'_>, execution: &WokenExecution, join: &WokenJoin) -> Result<Step, Failure> {
    let unreadable = || Failure::new(ResultReason::TemplateError, "unreadable", UNREADABLE);
    let component = (input.components.join)(&execution.component).ok_or_else(unreadable)?;
    let workflow = input.workflows.get(&execution.node.0).ok_or_else(unreadable)?;
    let node = workflow.compiled.stored_node(&execution.node.1);
    let node = node.filter(|node| node.uses.name() == execution.component).ok_or_else(|| {
        let message = standing_message(ResultReason::NodeRemoved).unwrap_or_default();
        Failure::new(ResultReason::NodeRemoved, "node_removed", message)
    })?;
    let name = |id: &'_ str| workflow.compiled.names().own(id).to_owned();
    let sources: Vec<String> = workflow.compiled.sources(&execution.node.1).into_iter().map(name).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let mut events = Vec::new();
    for arrived in &join.arrived {
        let read = |text: &JsonText| text.read().map_err(|_| unreadable());
        let redactions = arrived.redactions.as_ref().map(read).transpose()?;
        events.push(JoinedEvent {
            source: name(&arrived.source_node_id),
            data: arrived.data.as_ref().map(read).transpose()?,
            redactions: redactions
                .map(|redactions| serde_json::from_value(redactions).map_err(|_| unreadable()))
                .transpose()?,
        });
    }
    let joined = Joined {
        now: input.now,
        is_time: execution.is_time,
        configuration: &node.configuration,
        sources: &sources,
        events: &events,
        is_stopped: join.arrived.iter().any(|arrived| arrived.stops),
        is_open: join.is_open,
    };
    check_step(component, component.wake(&execution.held, &joined), input.now)
}

fn take(
    input: &WakeInput<'_>,
    execution: &WokenExecution,
    due: Due,
    plan: &mut WakePlan,
    ids: &mut dyn FnMut() -> Uuid,
) {
    let workflow = input.workflows.get(&execution.node.0);
    let Due { step: due_step, cancelled_by, starts, stops } = due;
    let (step, workflow) = match workflow {
        // A step without emissions is not routed, so it needs no definition.
        None if !due_step.emissions.is_empty() => {
            (ended(Failure::new(ResultReason::TemplateError, "unreadable", UNREADABLE)), None)
        }
        workflow => (due_step, workflow),
    };
    if stops {
        plan.stopping.push(execution.id);
    }
    if let Some((workflow, component)) = workflow.zip((input.components.owner)(&execution.component)) {
        let owner = StartingOwner {
            execution_id: execution.id,
            node_id: &execution.node.1,
            channel: component.inner_channel().unwrap_or_default(),
            component: component.name(),
            run_id: execution.run_id,
            root_event_id: execution.root_event_id,
            full_nodes: input.full_nodes,
        };
        start_sub_runs(&owner, workflow, starts, &mut plan.rows, &mut plan.messages, ids);
    }
    let items = plan.rows.items.len();
    let is_failed = matches!(step.then, Then::Ended(Err(_)));
    if let Some(workflow) = workflow {
        for emission in &step.emissions {
            emit(input, execution, workflow, emission, plan, ids);
        }
    }
    let (result, reason, message, held, wake) = match step.then {
        Then::Held { held, wake } => (None, None, None, Some(held), wake),
        Then::Ended(Ok(())) => (Some(ExecutionResult::Passed), None, None, None, None),
        Then::Ended(Err(failure)) => {
            let reason = failure.reason;
            (Some(reason.result()), Some(reason), Some(cut_message(failure.message)), None, None)
        }
    };
    let routed = &plan.rows.items[items..];
    let is_failure_routed = is_failed && !routed.is_empty();
    if result.is_some() {
        if routed.is_empty() {
            plan.rows.ended.runs.push(execution.run_id);
        }
        let open: Vec<&str> = routed.iter().map(|item| item.node.1.as_str()).collect();
        let asked =
            workflow.map(|workflow| joins_without(workflow, &execution.node.1, execution.run_id, &open));
        plan.rows.ended.joins.extend(asked.unwrap_or_default());
    }
    // A join's looks are a net, so the sweeper sends for them; its time-out has a time of its own.
    // So does it where an owner's stop may have been lost.
    let is_soon = |wake: &WakeTime| wake.wait_from(input.now) < Duration::from_secs(1);
    let is_look = matches!(wake, Some(WakeTime::After(_)))
        && (execution.join.is_some()
            || execution.owner.is_some() && wake.as_ref().is_some_and(|wake| !is_soon(wake)));
    if let Some(wake) = wake.filter(|_| !is_look) {
        let millis = i64::try_from(wake.wait_from(input.now).as_millis()).ok();
        plan.messages.extend(later(execution, millis));
    }
    plan.wakes.push(RecordedWake {
        execution_id: execution.id,
        result,
        reason,
        message,
        facts: step.facts,
        held,
        wake,
        cancelled_by,
        frees_slot: result.is_some() && execution.is_limited,
        is_failure_routed,
        cause_ids: execution.causes.iter().map(|cause| cause.id).collect(),
        call_ids: execution.calls.iter().map(|call| call.id).collect(),
        taken: execution
            .owner
            .iter()
            .flat_map(|owner| &owner.ended)
            .filter(|sub_run| !sub_run.is_taken)
            .map(|sub_run| sub_run.id)
            .collect(),
    });
}

#[cfg(test)]
mod tests {
    use components::{Emission, EmissionData, held};
    use domain::held::Call;
    use domain::ids::{CallId, CauseId, EventId, OrganizationId, RunId};
    use domain::run::RunStop;
    use serde_json::json;
    use store::builder::{StoredCall, StoredCause};

    use super::*;
    use crate::definitions::Definitions;

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn execution() -> WokenExecution {
        WokenExecution {
            id: ExecutionId::from_u128(1),
            node: (WorkflowId::from_u128(2), "wait".to_owned()),
            run_id: RunId::from_u128(3),
            root_event_id: EventId::from_u128(3),
            component: "wait".to_owned(),
            held: json!({ "since": NOW, "until": NOW }),
            crashes: 0,
            is_limited: false,
            is_time: true,
            millis_left: None,
            stop: None,
            stopped_by: None,
            organization_id: OrganizationId::from_u128(4),
            is_organization_deleted: false,
            is_node_removed: false,
            workflow_version: 1,
            depth: 1,
            data: JsonText::of(&json!({ "a": 1 })),
            redactions: None,
            causes: Vec::new(),
            calls: Vec::new(),
            join: None,
            owner: None,
        }
    }

    fn cancelled() -> StoredCause {
        StoredCause {
            id: CauseId::from_u128(5),
            cause: WakeCause::Cancelled,
            caused_by: Some("token:anna".into()),
        }
    }

    fn workflow() -> Arc<Workflow> {
        let stored = store::builder::StoredDefinition {
            workflow_id: WorkflowId::from_u128(2),
            organization_id: OrganizationId::from_u128(4),
            version: 1,
            name: "w".into(),
            description: String::new(),
            nodes: json!([
                { "id": "wait", "name": "Wait", "component": "wait", "configuration": { "for": 1 } },
                { "id": "end", "name": "End", "component": "noop" },
            ]),
            edges: json!([{ "from": "wait", "to": "end" }]),
            outputs: None,
        };
        Definitions::default().insert(stored).unwrap()
    }

    fn planned(
        execution: &WokenExecution,
        fallback: Fallback,
        components: ComponentSet,
        full: &[NodeKey],
    ) -> WakePlan {
        let workflows = HashMap::from([(WorkflowId::from_u128(2), workflow())]);
        let input = WakeInput {
            executions: std::slice::from_ref(execution),
            workflows: &workflows,
            full_nodes: full,
            now: NOW.parse().unwrap(),
            fallback,
            components,
        };
        let mut next = 100;
        plan_wakes(&input, &mut || {
            next += 1;
            Uuid::from_u128(next)
        })
    }

    /// The result, the reason, and the actor that ended the execution.
    fn end(
        execution: &WokenExecution,
        fallback: Fallback,
    ) -> (Option<ExecutionResult>, Option<ResultReason>, Option<String>) {
        let mut plan = planned(execution, fallback, ComponentSet::default(), &[]);
        let wake = plan.wakes.pop().expect("something is due");
        (wake.result, wake.reason, wake.cancelled_by)
    }

    #[test]
    fn what_ends_an_execution_comes_before_its_component_and_in_this_order() {
        let failed = |reason| (Some(ExecutionResult::Failed), Some(reason), None);
        let by = |reason, by: Option<&str>| {
            (Some(ExecutionResult::Cancelled), Some(reason), by.map(str::to_owned))
        };
        let mut all = WokenExecution {
            stop: Some(RunStop::RunLimit),
            stopped_by: Some("function:builder".into()),
            is_organization_deleted: true,
            is_node_removed: true,
            causes: vec![cancelled()],
            ..execution()
        };
        let (result, reason, _) = end(&all, Fallback::Crashed);
        assert_eq!((result, reason), (Some(ExecutionResult::Failed), Some(ResultReason::RunLimit)));
        for stop in [RunStop::Timeout, RunStop::Cancelled, RunStop::Owner] {
            all.stop = Some(stop);
            assert_eq!(
                end(&all, Fallback::Crashed),
                by(ResultReason::Cancelled, Some("function:builder")),
                "{stop}"
            );
        }
        all.stop = None;
        assert_eq!(end(&all, Fallback::Crashed), by(ResultReason::Cancelled, None), "its organization");
        all.is_organization_deleted = false;
        assert_eq!(end(&all, Fallback::Crashed), by(ResultReason::NodeRemoved, None));
        all.is_node_removed = false;
        assert_eq!(end(&all, Fallback::Crashed), by(ResultReason::Cancelled, Some("token:anna")));
        all.causes.clear();
        assert_eq!(end(&all, Fallback::Crashed), failed(ResultReason::Crashed));
        assert_eq!(end(&all, Fallback::Refused), failed(ResultReason::Limit));
        assert_eq!(end(&all, Fallback::None), (Some(ExecutionResult::Passed), None, None));
        all.component = "nothing".to_owned();
        assert_eq!(end(&all, Fallback::None), failed(ResultReason::ComponentError), "no such component");
    }

    #[test]
    fn where_nothing_is_due_a_near_time_is_sent_for_and_a_far_one_is_the_sweepers_i8() {
        let check = |millis_left: Option<i64>, expected: Option<u16>| {
            let waiting = WokenExecution { is_time: false, millis_left, ..execution() };
            let plan = planned(&waiting, Fallback::None, ComponentSet::default(), &[]);
            assert_eq!(plan.wakes.len(), 0);
            let delays: Vec<u16> = plan.messages.iter().map(|message| message.delay_seconds).collect();
            assert_eq!(delays, expected.into_iter().collect::<Vec<_>>(), "{millis_left:?}");
        };
        check(Some(1_500), Some(2));
        check(Some(900_000), Some(900));
        check(Some(900_001), None);
        check(None, None);
    }

    #[test]
    fn an_output_goes_to_its_targets_with_its_data_and_ends_no_run_i3() {
        let marked =
            WokenExecution { redactions: Some(JsonText::of(&json!({ "redacted": ["/a"] }))), ..execution() };
        let plan = planned(&marked, Fallback::None, ComponentSet::default(), &[]);
        let [event] = plan.rows.events.as_slice() else { panic!("one event") };
        assert_eq!((event.targets.as_slice(), event.depth), (["end".to_owned()].as_slice(), 2));
        assert_eq!(event.redactions.as_ref().unwrap().read().unwrap(), json!({ "redacted": ["/a"] }));
        assert_eq!((plan.rows.items.len(), plan.rows.ended.runs.len(), plan.messages.len()), (1, 0, 1));
        let full = [(WorkflowId::from_u128(2), "end".to_owned())];
        let plan = planned(&marked, Fallback::None, ComponentSet::default(), &full);
        let [refused] = plan.rows.executions.as_slice() else { panic!("one execution") };
        assert_eq!((refused.node.1.as_str(), refused.result_reason), ("end", Some(ResultReason::Limit)));
        assert_eq!(
            (plan.rows.items.len(), plan.rows.ended.runs.len(), plan.messages.len()),
            (0, 1, 0),
            "I10"
        );
    }

    /// A component that stays open until a call.
    struct Patient;

    impl components::Component for Patient {
        fn name(&self) -> &'static str {
            "patient"
        }

        fn channels(&self) -> &'static [&'static str] {
            &["default"]
        }

        fn check(&self, _configuration: &serde_json::Value) -> Vec<components::Problem> {
            Vec::new()
        }
    }

    impl components::Held for Patient {
        fn open(
            &self,
            _configuration: &serde_json::Value,
            _opening: components::Opening,
        ) -> Result<Step, Failure> {
            unreachable!("it is open")
        }

        fn wake(&self, held: &serde_json::Value, woken: &Woken<'_>) -> Step {
            let wake = woken.calls.is_empty().then_some(WakeTime::After(Duration::from_secs(60)));
            let looks = held["looks"].as_i64().unwrap_or(0) + 1;
            let then = Then::Held { held: json!({ "looks": looks }), wake };
            Step {
                emissions: vec![Emission { channel: "default", data: EmissionData::Input }],
                facts: json!({}),
                then,
            }
        }
    }

    #[test]
    fn one_that_stays_open_emits_is_woken_again_and_ends_no_run() {
        fn patient(_name: &str) -> Option<&'static dyn components::Held> {
            Some(&Patient)
        }
        let components = ComponentSet { held: patient, ..ComponentSet::default() };
        let plan = planned(&execution(), Fallback::None, components, &[]);
        let [wake] = plan.wakes.as_slice() else { panic!("one wake") };
        assert_eq!((wake.result, wake.held.as_ref()), (None, Some(&json!({ "looks": 1 }))));
        assert_eq!((plan.rows.events.len(), plan.rows.items.len(), plan.rows.ended.runs.len()), (1, 1, 0));
        let mut delays: Vec<u16> = plan.messages.iter().map(|message| message.delay_seconds).collect();
        delays.sort_unstable();
        assert_eq!(delays, [0, 60], "the event's and its own");
        let call = StoredCall {
            id: CallId::from_u128(6),
            call: Call::Release,
            called_by: "token:anna".into(),
            called_at: NOW.parse().unwrap(),
            data: serde_json::Value::Null,
        };
        let called = WokenExecution { calls: vec![call], is_time: false, ..execution() };
        let plan = planned(&called, Fallback::None, components, &[]);
        assert_eq!(
            (plan.wakes[0].wake, plan.wakes[0].call_ids.as_slice()),
            (None, [CallId::from_u128(6)].as_slice())
        );
        assert!(held("patient").is_none(), "a component of the test alone");
    }
}
