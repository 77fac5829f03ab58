//! `http`: sends a request and passes the response on.

mod authorization;
mod configuration;
mod header;
mod multipart;
mod request;
mod response;
mod select;
mod tls;

use domain::execution::ResultReason;
use domain::outcome::{Failure, Outcome};
use domain::placement::Placement;
use secret_text::{Context, Encoding, FieldKind, Part};
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    effect::{Call, Effect},
    host::{BoxFuture, Capability, Host, HttpFailure},
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

    fn channels(&self) -> &'static [&'static str] {
        &[SUCCESS, FAILURE]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const {
            &[
                FieldSpec::plain("/method", FieldKind::Text),
                FieldSpec::secret("/url", FieldKind::Url, Context::Line),
                FieldSpec::secret("/query/*", FieldKind::Text, Context::Free),
                FieldSpec::plain("/query/*/name", FieldKind::Text),
                FieldSpec::secret("/query/*/value", FieldKind::Text, Context::Free),
                FieldSpec::secret("/headers/*", FieldKind::Text, Context::Line),
                FieldSpec::plain("/headers/*/name", FieldKind::Text),
                FieldSpec::secret("/headers/*/value", FieldKind::Text, Context::Line),
                FieldSpec::plain("/authorization/type", FieldKind::Text),
                FieldSpec::plain("/authorization/name", FieldKind::Text),
                FieldSpec::secret("/authorization/username", FieldKind::Text, Context::UserName),
                FieldSpec::sensitive("/authorization/token", FieldKind::Text),
                FieldSpec::sensitive("/authorization/password", FieldKind::Text),
                FieldSpec::sensitive("/authorization/value", FieldKind::Text),
                FieldSpec::plain("/authorization/auth_method", FieldKind::Text),
                FieldSpec::plain("/authorization/token_url", FieldKind::Text),
                FieldSpec::plain("/authorization/api_url", FieldKind::Text),
                FieldSpec::secret("/authorization/client_id", FieldKind::Text, Context::Free),
                FieldSpec::credential("/authorization/client_secret"),
                FieldSpec::plain("/authorization/scope", FieldKind::Text),
                FieldSpec::plain("/authorization/audience", FieldKind::Text),
                FieldSpec::key("/authorization/key"),
                FieldSpec::plain("/authorization/algorithm", FieldKind::Text),
                FieldSpec::secret("/authorization/key_id", FieldKind::Text, Context::Free),
                FieldSpec::secret("/authorization/issuer", FieldKind::Text, Context::Free),
                FieldSpec::secret("/authorization/subject", FieldKind::Text, Context::Free),
                FieldSpec::secret("/authorization/app_id", FieldKind::Text, Context::Free),
                FieldSpec::plain("/authorization/installation_id", FieldKind::Text),
                FieldSpec::secret("/authorization/access_key_id", FieldKind::Text, Context::Line),
                FieldSpec::key("/authorization/secret_access_key"),
                FieldSpec::sensitive("/authorization/session_token", FieldKind::Text),
                FieldSpec::plain("/authorization/region", FieldKind::Text),
                FieldSpec::plain("/authorization/service", FieldKind::Text),
                FieldSpec::secret("/authorization/template", FieldKind::Text, Context::Signature),
                FieldSpec::secret("/body/json/**", FieldKind::Typed, Context::Free),
                FieldSpec::secret("/body/form/*", FieldKind::Text, Context::Free),
                FieldSpec::secret("/body/text", FieldKind::Text, Context::Free),
                FieldSpec::secret("/body/xml", FieldKind::Text, Context::Free),
                FieldSpec::plain("/body/multipart/*/name", FieldKind::Text),
                FieldSpec::plain("/body/multipart/*/filename", FieldKind::Text),
                FieldSpec::plain("/body/multipart/*/type", FieldKind::Text),
                FieldSpec::plain("/body/multipart/*/base64", FieldKind::Text),
                FieldSpec::secret("/body/multipart/*/value", FieldKind::Text, Context::Free),
                FieldSpec::plain("/tls/authorities", FieldKind::Text),
                FieldSpec::secret("/tls/certificate", FieldKind::Text, Context::Key),
                FieldSpec::key("/tls/key"),
            ]
        }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        configuration::read(configuration, Stage::Template).err().unwrap_or_default()
    }
}

impl Effect for Http {
    fn needs(&self) -> &'static [Capability] {
        &[Capability::Http]
    }

    fn placement(&self, configuration: &Value, pointer: &str, part: &Part) -> Placement {
        placement(configuration, pointer, part)
    }

    fn seconds_asked(&self, configuration: &Value) -> Option<(&'static str, u32)> {
        let seconds = configuration.get("timeout_seconds").and_then(Value::as_u64)?;
        Some(("/timeout_seconds", u32::try_from(seconds).ok()?))
    }

    fn without_secrets(&self, configuration: &Value) -> Option<(&'static str, &'static str)> {
        let keeps = configuration.get("binary_body").and_then(Value::as_str) == Some("base64");
        let message = "`base64` needs a node without secrets: bytes that are no text can't be searched for what a target echoes";
        keeps.then_some(("/binary_body", message))
    }

    fn other_url(&self, configuration: &Value, pointer: &str) -> Option<(&'static str, String)> {
        pointer.starts_with(authorization::AT).then(|| authorization::issuer_url(configuration)).flatten()
    }

    fn execute<'a>(
        &'a self,
        host: &'a Host<'a>,
        configuration: Value,
        call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let read = configuration::read(&configuration, Stage::Resolved);
            // Ten executions wait for their targets at the same time. Each keeps the bytes of its
            // request in memory, but not the larger tree of values.
            drop(configuration);
            let configuration = match read {
                Ok(Some(configuration)) => configuration,
                Ok(None) => return invalid(&[], call),
                Err(problems) => return invalid(&problems, call),
            };
            if !request::fits(&configuration, call) {
                return failed(HttpFailure::refused_secret(call.secret_labels));
            }
            let cut = Some(configuration.timeout_seconds).filter(|seconds| *seconds > call.seconds_max);
            let (success, selection) = (configuration.success.clone(), configuration.select.clone());
            let request = match request::build(configuration, call) {
                Ok(request) => request,
                Err(problem) => return invalid(&[problem], call),
            };
            match host.http(request).await {
                Ok(answer) => response::outcome(answer, &success, selection.as_ref()),
                Err(mut failure) => {
                    if let (Some(asked), "timeout") = (cut, failure.code) {
                        let most = call.seconds_max;
                        failure.message += &format!(
                            ": a component may take {most} seconds in this deployment, and `timeout_seconds` asks for {asked}"
                        );
                    }
                    failed(failure)
                }
            }
        })
    }
}

/// The place in the request at which a part of a field stands.
fn placement(configuration: &Value, pointer: &str, part: &Part) -> Placement {
    let text = |pointer: &str| configuration.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut segments = pointer.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some("url"), ..) => match part {
            Part::Encoded(Encoding::Segment | Encoding::UrlPath, _) => Placement::Path,
            Part::Encoded(Encoding::Query, _) => Placement::Query,
            _ => Placement::Url,
        },
        (Some("query"), Some(index), Some(_)) => {
            Placement::QueryParameter(text(&format!("/query/{index}/name")).to_owned())
        }
        (Some("query"), Some(name), None) => {
            Placement::QueryParameter(name.replace("~1", "/").replace("~0", "~"))
        }
        (Some("headers"), Some(name), None) => Placement::header(&name.replace("~1", "/").replace("~0", "~")),
        (Some("headers"), Some(index), _) => Placement::header(text(&format!("/headers/{index}/name"))),
        (Some("authorization"), field, _) => {
            authorization::placement(configuration, field.unwrap_or_default())
        }
        // The key signs the handshake, and is never sent.
        (Some("tls"), ..) => Placement::Signing,
        _ => Placement::Body,
    }
}

/// Problems that one failure names.
const PROBLEMS_SHOWN_MAX: usize = 5;

fn failed(mut failure: HttpFailure) -> Outcome {
    let head = failure.head.take().map(response::head_data);
    let failure: Failure = failure.into();
    Outcome::Failed(match head {
        Some(data) => Failure { data, ..failure },
        None => failure,
    })
}

/// The failure of a resolved configuration with problems. It names fields, never values. Fields
/// without a secret come first, for their problems do not depend on a secret.
fn invalid(problems: &[Problem], call: &Call<'_>) -> Outcome {
    let texts: Vec<_> = problems
        .iter()
        .filter(|problem| !call.is_within_secret(&problem.pointer))
        .take(PROBLEMS_SHOWN_MAX)
        .map(|problem| {
            format!("{}: {}", problem.pointer.trim_start_matches('/').replace('/', "."), problem.message)
        })
        .collect();
    if texts.is_empty() && !problems.is_empty() {
        return failed(HttpFailure::refused_secret(call.secret_labels));
    }
    let message = format!("the configuration came to something that can't be sent: {}", texts.join("; "));
    Outcome::Failed(Failure::new(ResultReason::ComponentError, "invalid_configuration", message))
}

#[cfg(test)]
mod tests;
