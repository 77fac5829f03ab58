//! Steps that are due, and the ends of woken executions that come before a component's step.

use std::time::Duration;

use components::{Step, SubRunStart, Then};
use domain::execution::ResultReason;
use domain::held::{WakeCause, WakeTime};
use domain::outcome::Failure;
use domain::run::RunStop;
use serde_json::json;
use store::builder::WokenExecution;

use super::Fallback;
use super::message::standing_message;

/// A step that is due.
pub(super) struct Due {
    pub step: Step,
    /// The actor that ended the execution, if one did.
    pub cancelled_by: Option<String>,
    /// The sub-runs to start.
    pub starts: Vec<SubRunStart>,
    /// Whether the running sub-runs are to be stopped.
    pub stops: bool,
}

impl Due {
    pub fn of(step: Step, cancelled_by: Option<String>) -> Self {
        Self { step, cancelled_by, starts: Vec::new(), stops: false }
    }

    /// The end of an execution; of an owner once no sub-run runs. Until then it keeps why it ends.
    pub fn end(execution: &WokenExecution, failure: Failure, cancelled_by: Option<String>) -> Self {
        let is_running = execution.owner.as_ref().is_some_and(|owner| owner.running > 0);
        if !is_running {
            return Self::of(ended(failure), cancelled_by);
        }
        let mut held = execution.held.clone();
        if let Some(fields) = held.as_object_mut() {
            let ending = json!({
                "reason": failure.reason.as_str(), "message": failure.message, "by": cancelled_by,
            });
            fields.insert(ENDING.to_owned(), ending);
        }
        // One stop is enough, unless it was lost.
        let stops = execution.is_time || execution.held.get(ENDING).is_none();
        let left = execution.millis_left.and_then(|millis| u64::try_from(millis).ok()).filter(|_| !stops);
        let wait = left.filter(|left| *left > 0).map_or(STOP_AGAIN, Duration::from_millis);
        let then = Then::Held { held, wake: Some(WakeTime::After(wait)) };
        let step = Step { emissions: Vec::new(), facts: json!({}), then };
        Self { stops, ..Self::of(step, None) }
    }
}

/// The field of what an owner holds that says why it ends.
const ENDING: &str = "ending";
/// The time after which the stop of an owner's sub-runs is tried again.
const STOP_AGAIN: Duration = Duration::from_secs(60);

/// The end of an owner that an earlier wake has begun.
pub(super) fn begun_ending(execution: &WokenExecution) -> Option<(Failure, Option<String>)> {
    execution.owner.as_ref()?;
    let ending = execution.held.get(ENDING)?;
    let text = |name: &str| ending[name].as_str().map(str::to_owned);
    let reason: ResultReason = text("reason")?.parse().ok()?;
    Some((Failure::new(reason, reason.as_str(), text("message").unwrap_or_default()), text("by")))
}

/// The end of an execution with a failure.
pub(super) fn ended(failure: Failure) -> Step {
    Step { emissions: Vec::new(), facts: json!({}), then: Then::Ended(Err(failure)) }
}

/// The end that takes precedence over the component's step, and the actor that caused it.
pub(super) fn ending_of(fallback: Fallback, execution: &WokenExecution) -> Option<(Failure, Option<String>)> {
    let end = |reason: ResultReason, message: &str| Failure::new(reason, reason.as_str(), message);
    if let Some(stop) = execution.stop {
        let failure = match stop {
            RunStop::RunLimit => end(ResultReason::RunLimit, "the run is past its limit"),
            RunStop::Timeout => end(
                ResultReason::Cancelled,
                "the run took longer than its time-out, while this execution was held",
            ),
            RunStop::Cancelled | RunStop::Owner => {
                end(ResultReason::Cancelled, "the run was cancelled while this execution was held")
            }
        };
        return Some((failure, execution.stopped_by.clone()));
    }
    if execution.is_organization_deleted {
        return Some((end(ResultReason::Cancelled, "the organization was deleted"), None));
    }
    if execution.is_node_removed {
        let message = standing_message(ResultReason::NodeRemoved).unwrap_or_default();
        return Some((end(ResultReason::NodeRemoved, &message), None));
    }
    let cancelled = execution.causes.iter().find(|cause| cause.cause == WakeCause::Cancelled);
    if let Some(cause) = cancelled {
        let failure = end(ResultReason::Cancelled, "the execution was cancelled while it was held");
        return Some((failure, cause.caused_by.clone()));
    }
    match fallback {
        Fallback::None => None,
        Fallback::Crashed => {
            let message = "waking this execution ended the process several times, so it was ended";
            Some((end(ResultReason::Crashed, message), None))
        }
        Fallback::Refused => {
            let message = "the database refused the outcome of this wake";
            Some((end(ResultReason::Limit, message), None))
        }
    }
}
