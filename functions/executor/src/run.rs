//! The run of one execution: its secrets are put in their places, its component runs, and the
//! outcome is scrubbed.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use components::{Call, Component, Effect, FieldRule, Host, HttpFailure, SecretPlace, field_rule};
use domain::execution::ResultReason;
use domain::outcome::{Failure, idempotency_key};
use domain::times::Times;
use futures_util::FutureExt;
use secret_text::{
    Context, FieldKind, Made, OPENED_BYTES_MAX, RENDERED_BYTES_MAX, SecretField, put, rendered_bytes_max,
    url_bytes_max,
};
use serde_json::Value;
use store::executor::ClaimedExecution;

use crate::RunDeps;
use crate::credential::LateField;
use crate::fields::Fields;
use crate::host::{GuardedHost, Secrets, unreachable_url};
use crate::outcome::Ended;
use crate::place::check_places;
use crate::scrub_outcome::Scrubbed;
use crate::secret_problem::SecretProblem;
use crate::secrets::{ExecutionSecrets, OpenedSecrets};

/// Runs one claimed execution to its end, never longer than the component limit, and never with a
/// panic. If its lease could end before the component does, the claim is given back: another
/// executor could run the execution at the same time.
pub async fn run_execution(
    execution: ClaimedExecution,
    since: Instant,
    opened: &OpenedSecrets,
    deps: &RunDeps,
) -> Ended {
    let started_at = deps.clock.now();
    if !has_lease(since.elapsed(), &deps.times) {
        tracing::warn!(execution_id = %execution.id, "too much of the lease went by before the start; it is given back");
        return Ended { execution, scrubbed: Scrubbed::given_back(), started_at, finished_at: started_at };
    }
    let limit = Duration::from_secs(u64::from(deps.times.component_seconds_max));
    let begun = OnceLock::new();
    let running = run(&execution, opened, &begun, deps);
    // A panic fails this record alone; the panic hook has logged its place.
    let ran = AssertUnwindSafe(tokio::time::timeout(limit, running)).catch_unwind().await;
    let Begun { labels, is_whole_url } = begun.into_inner().unwrap_or_default();
    let scrubbed = match ran {
        Ok(Ok(scrubbed)) => scrubbed,
        Ok(Err(_)) if is_whole_url => Scrubbed::failed(unreachable_url().into()).with_secrets(labels),
        Ok(Err(_)) => {
            let seconds = deps.times.component_seconds_max;
            let message = format!("the component took longer than {seconds} seconds");
            let failure = Failure::new(ResultReason::Timeout, "timeout", message);
            Scrubbed::failed(Failure { retryable: true, ..failure }).with_secrets(labels)
        }
        Err(_) => {
            let message = "the component failed inside sealflow; please report it";
            let failure = Failure::new(ResultReason::Crashed, "panic", message);
            Scrubbed::failed(failure).with_secrets(labels)
        }
    };
    Ended { execution, scrubbed, started_at, finished_at: deps.clock.now() }
}

/// Facts that the record of the failure needs when a time-out or a panic ends an execution.
#[derive(Default)]
struct Begun {
    /// Labels of the secrets.
    labels: Vec<String>,
    /// True if the whole URL is one secret. Then a time-out gives the same message as any other
    /// failure to reach that URL.
    is_whole_url: bool,
}

/// Whether the lease lasts until a component that starts now has ended and was recorded.
fn has_lease(elapsed: Duration, times: &Times) -> bool {
    let needed = times.component_seconds_max + times.finish_margin_seconds;
    elapsed + Duration::from_secs(u64::from(needed)) <= Duration::from_secs(u64::from(times.lease_seconds))
}

async fn run(
    execution: &ClaimedExecution,
    opened: &OpenedSecrets,
    begun: &OnceLock<Begun>,
    deps: &RunDeps,
) -> Scrubbed {
    match prepare(execution, opened, begun, deps) {
        Ok(prepared) => prepared.execute(execution, deps).await,
        Err(scrubbed) => *scrubbed,
    }
}

/// An execution whose configuration is complete: it holds the secrets' values.
struct Prepared {
    component: &'static dyn Effect,
    configuration: Value,
    fields: Vec<(String, usize)>,
    labels: Vec<String>,
    host: GuardedHost,
}

fn prepare(
    execution: &ClaimedExecution,
    opened: &OpenedSecrets,
    begun: &OnceLock<Begun>,
    deps: &RunDeps,
) -> Result<Prepared, Box<Scrubbed>> {
    let component = (deps.components.effect)(&execution.component).ok_or_else(|| {
        let message = format!("this version of sealflow has no component named {}", execution.component);
        SecretProblem::Fails { reason: ResultReason::ComponentError, message }
    })?;
    let fields = Fields::read(execution, component)?;
    let secrets = opened.of(execution, &fields)?;
    let (labels, uses) = (secrets.labels(), secrets.uses(&fields));
    let is_whole_url = fields.has_whole_url(component);
    begun.get_or_init(|| Begun { labels: labels.clone(), is_whole_url });
    check_places(&fields, component, &secrets)?;
    let started_at = deps.clock.now();
    let Some(Whole { configuration, fields, made, leaves, late, placed }) =
        render_all(fields, component, &secrets, deps)
    else {
        let refused = HttpFailure::refused_secret(&labels);
        return Err(Box::new(Scrubbed::failed(refused.into()).with_secrets(labels)));
    };
    let values = secrets.values().into_iter().chain(leaves.into_iter().map(|leaf| (leaf.label, leaf.text)));
    let host = GuardedHost {
        client: deps.client.clone(),
        tokens: deps.tokens.clone(),
        clock: deps.clock,
        organization_id: execution.organization_id,
        hop_count: u32::try_from(execution.hops).unwrap_or(0) + 1,
        uses,
        late,
        placed,
        started_at,
        is_whole_url,
        secrets: Secrets { values: values.collect(), made, ..Secrets::default() },
    };
    Ok(Prepared { component, configuration, fields, labels, host })
}

/// A configuration with its secrets in their places.
struct Whole {
    configuration: Value,
    /// The fields that hold secrets, each with the most bytes that it could have.
    fields: Vec<(String, usize)>,
    /// Texts that were made of secrets; the scrubber searches for each as a whole.
    made: Vec<Made>,
    /// Texts that were taken out of values; the scrubber searches for them as for values.
    leaves: Vec<Made>,
    /// The field that is rendered once the request is made.
    late: Option<LateField>,
    /// The lengths of the placed values, each with its field.
    placed: Vec<(String, usize)>,
}

/// Puts the rendered texts in their places. None where a value can't be placed. Neither the value
/// nor the cause is told (I1).
fn render_all(
    fields: Fields,
    component: &dyn Component,
    secrets: &ExecutionSecrets<'_>,
    deps: &RunDeps,
) -> Option<Whole> {
    let Fields { fields, mut configuration } = fields;
    let rules: Vec<_> = fields.iter().map(|field| field_rule(component, &field.path)).collect();
    let bytes_max = |field: &SecretField, rule: &FieldRule| match rule.kind {
        FieldKind::Url => url_bytes_max(&field.parts, secrets),
        _ => rendered_bytes_max(&field.parts, secrets),
    };
    let sizes: Vec<usize> = fields.iter().zip(&rules).map(|(field, rule)| bytes_max(field, rule)).collect();
    // The sizes are checked before the rendering: a limit on rendered texts would reveal something
    // about the values in them.
    if !fits(secrets.bytes(), &sizes) {
        return None;
    }
    let (mut made, mut leaves, mut placed, mut late) = (Vec::new(), Vec::new(), Vec::new(), None);
    let sent_at = deps.clock.now();
    for (field, rule) in fields.iter().zip(&rules) {
        if rule.secret == Some(Context::Signature) {
            late = Some(LateField {
                field: field.clone(),
                sent_at,
                values: secrets.values_of(field),
                render: deps.components.render,
            });
            continue;
        }
        let rendered = (deps.components.render)(&field.parts, rule.secret?, sent_at, secrets).ok()?;
        made.extend(rendered.made);
        leaves.extend(rendered.leaves);
        placed.extend(rendered.value_bytes.into_iter().map(|bytes| (field.path.clone(), bytes)));
        if !put(&mut configuration, &field.path, rendered.text.to_string()) {
            return None;
        }
    }
    let fields = fields.into_iter().map(|field| field.path).zip(sizes).collect();
    Some(Whole { configuration, fields, made, leaves, late, placed })
}

/// Whether the opened values, and the texts at their largest possible sizes, keep to their limits.
fn fits(opened_bytes: usize, sizes: &[usize]) -> bool {
    let rendered_bytes = sizes.iter().fold(0, |sum: usize, size| sum.saturating_add(*size));
    opened_bytes <= OPENED_BYTES_MAX && rendered_bytes <= RENDERED_BYTES_MAX
}

impl Prepared {
    async fn execute(self, execution: &ClaimedExecution, deps: &RunDeps) -> Scrubbed {
        let Self { component, configuration, fields, labels, host: guarded } = self;
        let key = idempotency_key(execution.id, execution.key_attempt);
        let fields = fields.iter();
        let secret_fields: Vec<SecretPlace<'_>> =
            fields.map(|(pointer, bytes_max)| SecretPlace { pointer, bytes_max: *bytes_max }).collect();
        let call = Call {
            execution_id: execution.id,
            idempotency_key: &key,
            seconds_max: deps.times.component_seconds_max,
            secret_fields: &secret_fields,
            secret_labels: &labels,
        };
        let host = Host::of(component.needs(), &guarded);
        failpoint::step("component", "before");
        let outcome = component.execute(&host, configuration, &call).await;
        failpoint::step("component", "after");
        let (scrubber, before) = guarded.into_scrubber();
        Scrubbed::new(outcome, &scrubber, before, &execution.policy, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_values_and_rendered_texts_have_limits_on_both_sides_i10() {
        assert!(fits(OPENED_BYTES_MAX, &[RENDERED_BYTES_MAX - 1, 1]));
        assert!(!fits(OPENED_BYTES_MAX + 1, &[]));
        assert!(!fits(0, &[RENDERED_BYTES_MAX + 1]) && !fits(0, &[usize::MAX, 2]));
        assert!(!fits(0, &[RENDERED_BYTES_MAX, 1]));
    }

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
