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
use crate::secrets::{OpenedSecrets, SecretProblem, read_residuals};

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
        }
        Err(_) => Scrubbed::failed(Failure::new(
            ResultReason::Crashed,
            "panic",
            "the component failed inside sealflow; please report it",
        )),
    };
    Ended { execution, scrubbed, started_at, finished_at: deps.clock.now() }
}

/// Whether the lease holds until a component that starts now has ended and was recorded.
fn has_lease(elapsed: Duration, times: &Times) -> bool {
    let needed = times.component_seconds_max + times.finish_margin_seconds;
    elapsed + Duration::from_secs(u64::from(needed)) <= Duration::from_secs(u64::from(times.lease_seconds))
}

async fn run(execution: &ClaimedExecution, opened: &OpenedSecrets, deps: &Deps) -> Scrubbed {
    match prepare(execution, opened, deps) {
        Ok(prepared) => prepared.execute(execution, deps).await,
        Err(SecretProblem::TriedAgain) => Scrubbed::given_back(),
        Err(SecretProblem::Fails { reason, message }) => {
            Scrubbed::failed(Failure::new(reason, reason.as_str(), message))
        }
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

fn prepare(
    execution: &ClaimedExecution,
    opened: &OpenedSecrets,
    deps: &Deps,
) -> Result<Prepared, SecretProblem> {
    let component = (deps.parts.component)(&execution.component).ok_or_else(|| {
        let message = format!("this version of sealflow has no component named {}", execution.component);
        SecretProblem::Fails { reason: ResultReason::ComponentError, message }
    })?;
    let residuals = read_residuals(execution)?;
    let secrets = opened.of(execution, &residuals)?;
    let (mut values, mut derived) = (Vec::new(), Vec::new());
    for ResidualAt { path, residual } in &residuals {
        let evaluated = (deps.parts.evaluate)(residual, &secrets).map_err(|error| {
            let message = format!("configuration{}: {}", path.replace('/', "."), error.message);
            SecretProblem::Fails { reason: ResultReason::TemplateError, message }
        })?;
        derived.extend(evaluated.derived);
        values.push((path.clone(), evaluated.value));
    }
    let configuration = apply_residuals(execution.configuration.clone(), values).map_err(|_| {
        let message = "the stored configuration has lost a field".to_owned();
        SecretProblem::Fails { reason: ResultReason::TemplateError, message }
    })?;
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
}
