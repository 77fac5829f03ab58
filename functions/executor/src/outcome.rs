//! The decision about an execution after its component has ended.

use domain::execution::{ExecutionResult, ResultReason};
use domain::json::check_output;
use domain::outcome::{Failure, Outcome};
use domain::redactions::Redactions;
use domain::retry::RetryPolicy;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::executor::{ClaimedExecution, FinishKind};

use crate::scrub_outcome::{ERROR_MESSAGE, Scrubbed, State};

/// Seconds after which a claim that was given back is tried again.
const GIVE_BACK_SECONDS: f64 = 15.0;

/// Seconds between two tries to read an execution that this version can't read.
const UNREADABLE_WAIT_SECONDS: f64 = 60.0;
/// Seconds for which an unreadable execution is given back. A deployment that takes longer is
/// stuck.
const UNREADABLE_SECONDS_MAX: i64 = 3600;

/// An execution that has run.
pub struct Ended {
    /// The claim.
    pub execution: ClaimedExecution,
    /// Its scrubbed outcome.
    pub scrubbed: Scrubbed,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// The pure decision about the record of an ended execution.
pub struct Decision {
    /// The new state.
    pub kind: FinishKind,
    /// A sentence for the author.
    pub message: Option<String>,
    /// The record that is added to `metadata.attempts`.
    pub record: Option<Value>,
    /// Facts that are put beside the attempts in `metadata`.
    pub facts: Option<Value>,
    /// Its output: channel and data.
    pub output: Option<(String, Value)>,
    /// The blanked places of that data.
    pub redactions: Option<Redactions>,
}

/// Decides how an ended execution is recorded. `jitter` is a random number in 0..=1.
pub fn decide(ended: Ended, jitter: f64) -> Decision {
    let Ended { execution, scrubbed, started_at, finished_at } = ended;
    let scrubbed = scrubbed.into_parts();
    let outcome = match scrubbed.state {
        State::Ran(outcome) => outcome,
        State::GivenBack => return give_back(GIVE_BACK_SECONDS * (1.0 + jitter), None),
        State::Unreadable => return decide_unreadable(&execution, finished_at, jitter),
    };
    let mut record = json!({
        "attempt": execution.attempt,
        "started_at": started_at.to_string(),
        "finished_at": finished_at.to_string(),
        "secrets": scrubbed.secrets,
        "scrubbed": scrubbed.places,
    });
    match outcome {
        Outcome::Passed(output) => Decision {
            kind: FinishKind::End { result: ExecutionResult::Passed, reason: None },
            message: None,
            record: Some(record),
            facts: None,
            output: output.map(|output| (output.channel.into_owned(), output.data)),
            redactions: scrubbed.redactions,
        },
        Outcome::Failed(failure) => {
            record["error"] = json!({ "code": failure.code, "message": failure.message });
            let wait = wait_before_retry(&execution, &failure, finished_at, jitter);
            let kind = match wait {
                Some(wait_seconds) => {
                    FinishKind::Retry { wait_seconds, is_counted: true, is_answered: failure.answered }
                }
                None => FinishKind::End { result: ExecutionResult::Failed, reason: Some(failure.reason) },
            };
            // Only a component's own failure emits an event, and only after the last attempt.
            let output = (wait.is_none() && failure.reason.emits())
                .then(|| ("failure".to_owned(), storable_failure(&failure)));
            let redactions = scrubbed.redactions;
            let is_scrubbed = redactions
                .as_ref()
                .is_some_and(|all| all.scrubbed.iter().any(|place| place == ERROR_MESSAGE));
            Decision {
                kind,
                message: Some(failure.message),
                record: Some(record),
                // An event on the channel `error` repeats the message, and needs this mark.
                facts: is_scrubbed.then(|| json!({ "message_scrubbed": true })),
                output,
                redactions,
            }
        }
    }
}

fn give_back(wait_seconds: f64, facts: Option<Value>) -> Decision {
    let kind = FinishKind::Retry { wait_seconds, is_counted: false, is_answered: false };
    Decision { kind, message: None, record: None, facts, output: None, redactions: None }
}

/// The decision about an execution whose fields or secrets this version can't read. It waits for a
/// version that can, and ends as failed after an hour.
fn decide_unreadable(execution: &ClaimedExecution, now: Timestamp, jitter: f64) -> Decision {
    let since = execution.unreadable_since.as_deref().and_then(|since| since.parse().ok()).unwrap_or(now);
    tracing::error!(execution_id = %execution.id, %since, "what is stored of this execution can't be read by this version of sealflow: deploy the version that wrote it");
    if now.duration_since(since).as_secs() < UNREADABLE_SECONDS_MAX {
        let facts = json!({ "unreadable_since": since.to_string() });
        return give_back(UNREADABLE_WAIT_SECONDS * (1.0 + jitter), Some(facts));
    }
    let what_to_do = if execution.attempt > 1 || execution.key_attempt > 1 {
        "its request may have been made; look before you redrive"
    } else {
        "redrive it, and it is built anew"
    };
    Decision {
        kind: FinishKind::End { result: ExecutionResult::Failed, reason: Some(ResultReason::Crashed) },
        message: Some(format!("this version of sealflow can't read the stored execution; {what_to_do}")),
        record: None,
        facts: None,
        output: None,
        redactions: None,
    }
}

/// The policy's wait, or the one that the target asks for, where that is longer.
fn wait_before_retry(
    execution: &ClaimedExecution,
    failure: &Failure,
    now: Timestamp,
    jitter: f64,
) -> Option<f64> {
    let policy: RetryPolicy = serde_json::from_value(execution.policy.get("retry")?.clone()).ok()?;
    let attempt = u32::try_from(execution.attempt).ok()?;
    let status = failure.data.get("status").and_then(Value::as_u64);
    let is_meant = match &policy.on {
        // Another failure than the component's own is for the author to mend.
        Some(on) => failure.reason.emits() && on.iter().any(|on| on.means(&failure.code, status)),
        None => failure.retryable,
    };
    let wait = policy.wait_seconds_after(attempt, jitter).filter(|_| is_meant)?;
    let wait = failure.retry_after.map_or(wait, |after| wait.max(after.wait_seconds(now)));
    let elapsed = now.duration_since(execution.created_at).as_secs_f64();
    policy.has_time(elapsed, wait).then_some(wait)
}

/// The data of a failure's event. What can't be stored of the target's answer is left out: the
/// failure itself is never lost.
fn storable_failure(failure: &Failure) -> Value {
    if let Ok(data) = check_output(failure.event_data()) {
        return data;
    }
    let status = failure.data.get("status").filter(|status| status.is_number());
    let data = json!({ "status": status, "body": { "left_out": "it can't be stored" } });
    Failure { data, ..failure.clone() }.event_data()
}

/// A claimed execution of a test.
#[cfg(test)]
pub(crate) fn claimed(attempt: i32, policy: Value) -> ClaimedExecution {
    use domain::ids::{ExecutionId, OrganizationId, RunId, WorkflowId};
    ClaimedExecution {
        id: ExecutionId::from_u128(0),
        workflow_id: WorkflowId::from_u128(0),
        organization_id: OrganizationId::from_u128(0),
        node_id: "n".into(),
        run_id: RunId::from_u128(0),
        hops: 0,
        component: "http".into(),
        configuration: store::JsonText::of(&json!({})),
        residuals: store::JsonText::of(&json!([])),
        policy,
        created_at: Timestamp::from_second(1_000).unwrap_or_default(),
        attempt,
        key_attempt: 1,
        is_limited: false,
        workflow_version: 1,
        unreadable_since: None,
        allowed: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use domain::retry::RetryAfter;

    use super::*;

    fn ended(outcome: Option<Outcome>, attempt: i32, policy: Value) -> Ended {
        let time = Timestamp::from_second(1_000).unwrap();
        Ended {
            execution: claimed(attempt, policy),
            scrubbed: Scrubbed::of_state(outcome.map_or(State::GivenBack, State::Ran)),
            started_at: time,
            finished_at: time,
        }
    }

    fn failure(retryable: bool, answered: bool) -> Option<Outcome> {
        Some(Outcome::Failed(Failure {
            retryable,
            answered,
            ..Failure::new(ResultReason::ComponentError, "http_status", "status 500")
        }))
    }

    #[test]
    fn a_retry_is_decided_by_policy_attempt_and_failure() {
        let policy = json!({ "retry": { "max_attempts": 3, "initial_interval": 4, "backoff": "fixed" } });
        let check = |outcome, attempt, policy: &Value, expected| {
            assert_eq!(decide(ended(outcome, attempt, policy.clone()), 0.0).kind, expected);
        };
        let retry = |is_answered| FinishKind::Retry { wait_seconds: 4.0, is_counted: true, is_answered };
        let end =
            FinishKind::End { result: ExecutionResult::Failed, reason: Some(ResultReason::ComponentError) };
        check(failure(true, true), 1, &policy, retry(true));
        check(failure(true, false), 2, &policy, retry(false));
        check(failure(true, true), 3, &policy, end);
        check(failure(false, true), 1, &policy, end);
        check(failure(true, true), 1, &json!({}), end);
    }

    #[test]
    fn the_server_says_when_and_a_day_at_most() {
        let policy = json!({ "retry": { "max_attempts": 3, "initial_interval": 4, "backoff": "fixed" } });
        let check = |after: Option<RetryAfter>, expected: f64| {
            let Some(Outcome::Failed(failed)) = failure(true, true) else { unreachable!("it failed") };
            let outcome = Outcome::Failed(Failure { retry_after: after, ..failed });
            let kind = decide(ended(Some(outcome), 1, policy.clone()), 0.0).kind;
            let FinishKind::Retry { wait_seconds, .. } = kind else { panic!("{kind:?}") };
            assert!((wait_seconds - expected).abs() < f64::EPSILON, "{after:?}: {wait_seconds}");
        };
        check(None, 4.0);
        check(Some(RetryAfter::Seconds(3)), 4.0);
        check(Some(RetryAfter::Seconds(6)), 6.0);
        check(Some(RetryAfter::Seconds(86_401)), 86_400.0);
        check(Some(RetryAfter::At(Timestamp::from_second(1_060).unwrap())), 60.0);
        check(Some(RetryAfter::At(Timestamp::from_second(900).unwrap())), 4.0);
    }

    #[test]
    fn the_author_says_which_failures_are_tried_again_and_for_how_long() {
        let policy = |on: Value, max_elapsed: u32| json!({ "retry": { "max_attempts": 3, "initial_interval": 4, "backoff": "fixed", "on": on, "max_elapsed": max_elapsed } });
        let check = |reason, code: &str, status: u64, policy: Value, expected: bool| {
            let data = json!({ "status": status });
            let outcome = Outcome::Failed(Failure { data, ..Failure::new(reason, code, "m") });
            let kind = decide(ended(Some(outcome), 1, policy.clone()), 0.0).kind;
            assert_eq!(matches!(kind, FinishKind::Retry { .. }), expected, "{code} {status}: {policy}");
        };
        let own = ResultReason::ComponentError;
        check(own, "http_status", 409, policy(json!([[409, 409]]), 60), true);
        check(own, "http_status", 503, policy(json!([[409, 409]]), 60), false);
        check(ResultReason::Timeout, "timeout", 0, policy(json!(["timeout"]), 60), true);
        check(own, "http_status", 409, policy(json!([[409, 409]]), 4), true);
        check(own, "http_status", 409, policy(json!([[409, 409]]), 3), false);
        check(
            ResultReason::SecretDenied,
            "host_not_allowed",
            0,
            policy(json!(["host_not_allowed"]), 60),
            false,
        );
    }

    #[test]
    fn a_failure_whose_answer_can_not_be_stored_still_emits() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let large = json!("x".repeat(domain::limits::EVENT_DATA_BYTES_MAX));
        for body in [deep, large] {
            let Some(Outcome::Failed(failed)) = failure(false, true) else { unreachable!("it failed") };
            let data = json!({ "status": 500, "headers": {}, "body": body });
            let outcome = Outcome::Failed(Failure { data, ..failed });
            let (channel, data) = decide(ended(Some(outcome), 1, json!({})), 0.0).output.unwrap();
            assert_eq!((channel.as_str(), &data["status"]), ("failure", &json!(500)));
            assert_eq!(data["error"]["code"], "http_status");
            assert_eq!(data["body"]["left_out"], "it can't be stored");
        }
    }

    #[test]
    fn a_failure_emits_once_no_attempt_is_left() {
        let policy = json!({ "retry": { "max_attempts": 2 } });
        assert!(decide(ended(failure(true, true), 1, policy.clone()), 0.0).output.is_none());
        let (channel, data) = decide(ended(failure(true, true), 2, policy), 0.0).output.unwrap();
        assert_eq!(channel, "failure");
        assert_eq!(data["error"]["code"], "http_status");
        let missing = Outcome::Failed(Failure::new(ResultReason::SecretMissing, "secret_missing", "none"));
        assert!(decide(ended(Some(missing), 1, json!({})), 0.0).output.is_none());
    }

    #[test]
    fn a_claim_that_is_given_back_counts_as_no_attempt() {
        let decision = decide(ended(None, 1, json!({})), 0.0);
        assert!(matches!(decision.kind, FinishKind::Retry { is_counted: false, is_answered: false, .. }));
        assert!(decision.record.is_none());
    }

    #[test]
    fn an_execution_that_can_not_be_read_waits_an_hour_for_a_version_that_can_i9() {
        let start = Timestamp::from_second(1_000).unwrap();
        let at = |since: Option<Timestamp>, seconds: i64, attempt: i32| {
            let mut ended = ended(None, attempt, json!({}));
            ended.scrubbed = Scrubbed::of_state(State::Unreadable);
            ended.execution.unreadable_since = since.map(|since| since.to_string());
            ended.finished_at = Timestamp::from_second(1_000 + seconds).unwrap();
            decide(ended, 0.0)
        };
        let waits = FinishKind::Retry { wait_seconds: 60.0, is_counted: false, is_answered: false };
        for (since, seconds) in [(None, 0), (Some(start), UNREADABLE_SECONDS_MAX - 1)] {
            let decision = at(since, seconds, 1);
            assert_eq!((decision.kind, decision.message), (waits, None));
            assert_eq!(decision.facts, Some(json!({ "unreadable_since": start.to_string() })));
        }
        let ends = FinishKind::End { result: ExecutionResult::Failed, reason: Some(ResultReason::Crashed) };
        for (attempt, said) in [(1, "redrive it"), (2, "look before you redrive")] {
            let decision = at(Some(start), UNREADABLE_SECONDS_MAX, attempt);
            assert_eq!(decision.kind, ends);
            assert!(decision.message.unwrap().contains(said));
        }
    }
}
