//! `http`: sends a request and hands on what came back.

mod configuration;
mod request;
mod response;

use expression::FieldKind;
use model::outcome::{Failure, Outcome, ResultReason};
use serde_json::Value;

use crate::{
    component::{Call, Component, FieldSpec, Kind, Problem},
    host::{BoxFuture, Host, HttpFailure},
    shape::Stage,
};

const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

/// The component; see `configuration.rs` for its fields.
pub(crate) struct Http;

impl Component for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn kind(&self) -> Kind {
        Kind::Effect
    }

    fn channels(&self) -> &'static [&'static str] {
        &[SUCCESS, FAILURE]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const {
            &[
                FieldSpec::plain("/method", FieldKind::Text),
                FieldSpec::secret("/url", FieldKind::Url),
                FieldSpec::secret("/query/*", FieldKind::Text),
                FieldSpec::plain("/query/*/name", FieldKind::Text),
                FieldSpec::secret("/query/*/value", FieldKind::Text),
                FieldSpec::plain("/headers/*/name", FieldKind::Text),
                FieldSpec::secret("/headers/*/value", FieldKind::Text),
                FieldSpec::plain("/authorization/type", FieldKind::Text),
                FieldSpec::plain("/authorization/name", FieldKind::Text),
                FieldSpec::secret("/authorization/username", FieldKind::Text),
                FieldSpec::sensitive("/authorization/token", FieldKind::Text),
                FieldSpec::sensitive("/authorization/password", FieldKind::Text),
                FieldSpec::sensitive("/authorization/value", FieldKind::Text),
                FieldSpec::secret("/body/json/**", FieldKind::Typed),
                FieldSpec::secret("/body/form/*", FieldKind::Text),
                FieldSpec::secret("/body/text", FieldKind::Text),
                FieldSpec::secret("/body/xml", FieldKind::Text),
            ]
        }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        configuration::read(configuration, Stage::Template).err().unwrap_or_default()
    }

    fn execute<'a>(
        &'a self,
        host: &'a dyn Host,
        configuration: &'a Value,
        call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let configuration = match configuration::read(configuration, Stage::Resolved) {
                Ok(Some(configuration)) => configuration,
                Ok(None) => return invalid(&[], call),
                Err(problems) => return invalid(&problems, call),
            };
            let request = match request::build(&configuration, call) {
                Ok(request) => request,
                Err(problem) => return invalid(&[problem], call),
            };
            match host.http(request).await {
                Ok(answer) => response::outcome(answer, &configuration.success),
                Err(failure) => failed(failure),
            }
        })
    }
}

/// Problems that one failure names.
const PROBLEMS_SHOWN_MAX: usize = 5;

fn failed(failure: HttpFailure) -> Outcome {
    Outcome::Failed(Failure {
        retryable: failure.retryable,
        answered: failure.answered,
        ..Failure::new(failure.reason, failure.code, failure.message)
    })
}

/// The failure of a configuration that came to something else than it must. It names fields, never values; where one that uses a secret
/// is among them, none: a map's key may be made of the secret too.
fn invalid(problems: &[Problem], call: &Call<'_>) -> Outcome {
    if problems.iter().any(|problem| is_within_secret(&problem.pointer, call)) {
        return failed(HttpFailure::unsendable_secret());
    }
    let texts: Vec<_> = problems
        .iter()
        .take(PROBLEMS_SHOWN_MAX)
        .map(|problem| {
            format!("{}: {}", problem.pointer.trim_start_matches('/').replace('/', "."), problem.message)
        })
        .collect();
    let message = format!("the configuration came to something that can't be sent: {}", texts.join("; "));
    Outcome::Failed(Failure::new(ResultReason::ComponentError, "invalid_configuration", message))
}

/// Whether a pointer names a place that a secret was put into, or one below it.
fn is_within_secret(pointer: &str, call: &Call<'_>) -> bool {
    call.secret_paths.iter().any(|path| {
        pointer.strip_prefix(path).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    })
}

#[cfg(test)]
mod tests;
