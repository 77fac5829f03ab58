//! One execution: evaluate the residuals with the secrets, run the component, scrub what came of it.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use components::{Call, Component};
use definition::{ResidualAt, apply_residuals};
use futures_util::FutureExt;
use model::outcome::{Failure, ResultReason, idempotency_key};
use model::times::Times;
use serde_json::Value;
use store::executor::ClaimedExecution;
use zeroize::Zeroizing;

use crate::Deps;
use crate::host::{GuardedHost, Secrets};
use crate::outcome::{Ended, Scrubbed};
use crate::secrets::{ExecutionSecrets, OpenedSecrets, SecretProblem, read_residuals};

/// Runs one claimed execution to its end; never longer than the component limit, and never with a panic. Where so much time went by
/// since the claim that its lease could end before the component does, it is given back: somebody else would run it at the same time.
pub async fn run_execution(
    execution: ClaimedExecution,
    since: Instant,
    opened: &OpenedSecrets,
    deps: &Deps,
) -> Ended {
    let started_at = deps.clock.now();
    if !has_lease(since.elapsed(), &deps.times) {
        tracing::warn!(execution_id = %execution.id, "too much of the lease went by before the start; it is given back");
        return Ended { execution, scrubbed: Scrubbed::given_back(), started_at, finished_at: started_at };
    }
    let limit = Duration::from_secs(u64::from(deps.times.component_seconds_max));
    // A panic fails this record alone; the hook has printed where it was.
    let ran =
        AssertUnwindSafe(tokio::time::timeout(limit, run(&execution, opened, deps))).catch_unwind().await;
    let scrubbed = match ran {
        Ok(Ok(scrubbed)) => scrubbed,
        Ok(Err(_)) => {
            let seconds = deps.times.component_seconds_max;
            Scrubbed::failed(Failure {
                retryable: true,
                ..Failure::new(
                    ResultReason::Timeout,
                    "timeout",
                    format!("the component took longer than {seconds} seconds"),
                )
            })
            .with_secrets(labels(&execution, opened, deps))
        }
        Err(_) => Scrubbed::failed(Failure::new(
            ResultReason::Crashed,
            "panic",
            "the component failed inside sealflow; please report it",
        ))
        .with_secrets(labels(&execution, opened, deps)),
    };
    Ended { execution, scrubbed, started_at, finished_at: deps.clock.now() }
}

/// Whether the lease holds until a component that starts now has ended and was recorded.
fn has_lease(elapsed: Duration, times: &Times) -> bool {
    let needed = times.component_seconds_max + times.finish_margin_seconds;
    elapsed + Duration::from_secs(u64::from(needed)) <= Duration::from_secs(u64::from(times.lease_seconds))
}

/// What was opened for an execution that was cut off.
fn labels(execution: &ClaimedExecution, opened: &OpenedSecrets, deps: &Deps) -> Vec<String> {
    let component = (deps.parts.component)(&execution.component);
    let residuals = component.and_then(|component| read_residuals(execution, component).ok());
    let residuals = residuals.unwrap_or_default();
    opened.of(execution, &residuals).map(|secrets| secrets.labels()).unwrap_or_default()
}

async fn run(execution: &ClaimedExecution, opened: &OpenedSecrets, deps: &Deps) -> Scrubbed {
    match prepare(execution, opened, deps) {
        Ok(prepared) => prepared.execute(execution, deps).await,
        Err(scrubbed) => scrubbed,
    }
}

/// An execution whose configuration is whole: it holds secrets from here on.
struct Prepared {
    component: &'static dyn Component,
    configuration: Value,
    secret_paths: Vec<String>,
    labels: Vec<String>,
    host: GuardedHost,
}

fn prepare(execution: &ClaimedExecution, opened: &OpenedSecrets, deps: &Deps) -> Result<Prepared, Scrubbed> {
    let component = (deps.parts.component)(&execution.component).ok_or_else(|| {
        let message = format!("this version of sealflow has no component named {}", execution.component);
        SecretProblem::Fails { reason: ResultReason::ComponentError, message }
    })?;
    let residuals = read_residuals(execution, component)?;
    let secrets = opened.of(execution, &residuals)?;
    let (configuration, derived) = evaluate(execution, &residuals, &secrets, deps)
        .ok_or_else(|| not_evaluated(&residuals).with_secrets(secrets.labels()))?;
    let scrubbed =
        Secrets { values: secrets.values(), derived: derived.into_iter().map(Zeroizing::new).collect() };
    let host = GuardedHost::new(
        deps.client.clone(),
        !secrets.is_empty(),
        secrets.hosts(),
        u32::try_from(execution.hops).unwrap_or(0) + 1,
        scrubbed,
    );
    let secret_paths = residuals.iter().map(|at| at.path.clone()).collect();
    Ok(Prepared { component, configuration, secret_paths, labels: secrets.labels(), host })
}

/// The whole configuration, and what was made of secrets on the way. None where a residual has no value, or no place.
fn evaluate(
    execution: &ClaimedExecution,
    residuals: &[ResidualAt],
    secrets: &ExecutionSecrets<'_>,
    deps: &Deps,
) -> Option<(Value, Vec<String>)> {
    let (mut values, mut derived) = (Vec::new(), Vec::new());
    for ResidualAt { path, residual } in residuals {
        let evaluated = (deps.parts.evaluate)(residual, secrets).ok()?;
        derived.extend(evaluated.derived);
        values.push((path.clone(), evaluated.value));
    }
    Some((apply_residuals(execution.configuration.clone(), values).ok()?, derived))
}

/// The failure of an evaluation. Which field failed, and why, may depend on a secret's value: `s[3] == "x" ? int("x") : 1` in a field
/// for each letter would spell it (I1). So all that use a secret are named, whichever it was.
fn not_evaluated(residuals: &[ResidualAt]) -> Scrubbed {
    let paths: Vec<&str> = residuals.iter().map(|at| at.path.as_str()).collect();
    let message = format!(
        "a field that uses a secret can't be evaluated; which one, and why, is not told, as that may tell of the secret: {}",
        named(&paths)
    );
    let reason = ResultReason::TemplateError;
    Scrubbed::failed(Failure::new(reason, reason.as_str(), message))
}

/// Fields that one failure names.
const FIELDS_SHOWN_MAX: usize = 5;

fn named(paths: &[&str]) -> String {
    let (shown, more) = paths.split_at(paths.len().min(FIELDS_SHOWN_MAX));
    let mut names: Vec<_> =
        shown.iter().map(|path| format!("configuration{}", path.replace('/', "."))).collect();
    if !more.is_empty() {
        names.push(format!("{} more", more.len()));
    }
    names.join(", ")
}

impl Prepared {
    async fn execute(self, execution: &ClaimedExecution, deps: &Deps) -> Scrubbed {
        let key = idempotency_key(execution.id, execution.key_attempt);
        let secret_paths: Vec<&str> = self.secret_paths.iter().map(String::as_str).collect();
        let call = Call {
            execution_id: execution.id,
            idempotency_key: &key,
            seconds_max: deps.times.component_seconds_max,
            secret_paths: &secret_paths,
        };
        failpoint::step("component", "before");
        let outcome = self.component.execute(&self.host, &self.configuration, &call).await;
        failpoint::step("component", "after");
        let (scrubber, places) = self.host.into_scrubber();
        Scrubbed::new(outcome, &scrubber, places, &execution.policy, self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_starts_whose_lease_could_end_before_it_is_recorded_i5() {
        let times = Times::derive(30).unwrap();
        let slack = times.lease_seconds - times.component_seconds_max - times.finish_margin_seconds;
        let check = |millis, expected| {
            assert_eq!(has_lease(Duration::from_millis(millis), &times), expected, "{millis}")
        };
        check(0, true);
        check(u64::from(slack) * 1000, true);
        check(u64::from(slack) * 1000 + 1, false);
    }

    #[test]
    fn a_failure_names_so_many_fields_and_counts_the_others_i10() {
        let fields = |count: usize| named(&vec!["/headers/0/value"; count]);
        assert_eq!(
            fields(FIELDS_SHOWN_MAX).matches("configuration.headers.0.value").count(),
            FIELDS_SHOWN_MAX
        );
        assert!(!fields(FIELDS_SHOWN_MAX).contains("more"));
        assert!(fields(FIELDS_SHOWN_MAX + 1).ends_with("configuration.headers.0.value, 1 more"));
    }
}
