//! The secrets of a batch: opened once each, kept until the batch ends, known only to the executions that may use them.

use std::collections::HashMap;

use components::{Component, field_rule};
use definition::ResidualAt;
use model::outcome::ResultReason;
use store::executor::{AllowedRef, ClaimedExecution, ExecutionClaims};
use uuid::Uuid;
use vault_format::{AllowedHost, Entries, Purpose, Scope, SecretValue};
use vault_open::{OpenError, OpenRequest};
use zeroize::Zeroizing;

use crate::Deps;

/// A value with the hosts that it may go to.
pub struct OpenedSecret {
    /// The value.
    pub value: SecretValue,
    /// Its allowed hosts; empty: any.
    pub hosts: Vec<AllowedHost>,
}

/// What was opened for a batch, by organization, secret and key.
#[derive(Default)]
pub struct OpenedSecrets {
    secrets: HashMap<(Uuid, String, String), Result<OpenedSecret, OpenError>>,
}

/// Why an execution does not get a secret. Names secret and key, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProblem {
    /// The execution fails.
    Fails {
        /// Why.
        reason: ResultReason,
        /// For the author.
        message: String,
    },
    /// The claim is given back and tried again.
    TriedAgain,
}

/// Reads an execution's residuals.
///
/// The row is not trusted for where a secret goes, only the component: a value that became the method, or the whole configuration, would
/// be told in a message or sent where nobody looked (I7).
///
/// # Errors
/// [`SecretProblem::Fails`] when they are not what a builder writes.
pub fn read_residuals(
    execution: &ClaimedExecution,
    component: &dyn Component,
) -> Result<Vec<ResidualAt>, SecretProblem> {
    let residuals: Vec<ResidualAt> = serde_json::from_value(execution.residuals.clone()).map_err(|_| {
        let message = "the stored configuration can't be evaluated by this version of sealflow".to_owned();
        fails(ResultReason::TemplateError, message)
    })?;
    let may_hold_secret = |path: &str| !path.is_empty() && field_rule(component, path).secret;
    if residuals.iter().any(|at| !may_hold_secret(&at.path)) {
        let message = "the stored configuration has a secret in a field that may hold none".to_owned();
        return Err(fails(ResultReason::SecretDenied, message));
    }
    Ok(residuals)
}

/// Opens what the batch refers to: each distinct sealed data key with one call of KMS.
///
/// Only references that apply allowed for the node's version are opened; the owner is the execution's organization.
pub async fn open_secrets(claims: &ExecutionClaims, deps: &Deps) -> OpenedSecrets {
    let (mut wanted, mut requests) = (Vec::new(), Vec::new());
    for execution in &claims.executions {
        for (name, key) in allowed_refs(execution, deps) {
            let place = (execution.organization_id, name, key);
            if wanted.iter().any(|(known, _)| *known == place) {
                continue;
            }
            let stored = claims
                .secrets
                .iter()
                .find(|secret| secret.organization_id == place.0 && secret.name == place.1);
            let Some((scope, entry)) = stored.and_then(|secret| {
                let entry = Entries::parse(&secret.data).ok()?.get(&place.2)?.clone();
                let scope =
                    Scope { organization_id: place.0, secret_id: secret.id, purpose: Purpose::Secret };
                Some((scope, entry))
            }) else {
                continue;
            };
            wanted.push((place, entry.allowed_hosts().to_vec()));
            requests.push(OpenRequest { scope, entry });
        }
    }
    if requests.is_empty() {
        return OpenedSecrets::default();
    }
    let opened = deps.opener.open(&requests).await;
    let secrets = wanted.into_iter().zip(opened).map(|((place, hosts), result)| {
        if let Err(error) = &result
            && error.needs_alarm()
        {
            tracing::error!(organization_id = %place.0, "KMS refuses to decrypt: look at the key and its policy");
        }
        (place, result.map(|value| OpenedSecret { value, hosts }))
    });
    OpenedSecrets { secrets: secrets.collect() }
}

/// The references of an execution's residuals that its node's version may open, each once.
fn allowed_refs(execution: &ClaimedExecution, deps: &Deps) -> Vec<(String, String)> {
    let component = (deps.parts.component)(&execution.component);
    let residuals = component.and_then(|component| read_residuals(execution, component).ok());
    let Some(residuals) = residuals else { return Vec::new() };
    let mut refs: Vec<(String, String)> = residuals
        .iter()
        .flat_map(|at| at.residual.refs().iter().cloned())
        .filter(|(name, key)| is_allowed(execution, name, key))
        .collect();
    refs.sort();
    refs.dedup();
    refs
}

fn is_allowed(execution: &ClaimedExecution, name: &str, key: &str) -> bool {
    execution.allowed.contains(&AllowedRef { name: name.to_owned(), key: key.to_owned() })
}

/// The secrets of one execution.
pub struct ExecutionSecrets<'a> {
    secrets: Vec<(&'a str, &'a str, &'a OpenedSecret)>,
}

impl OpenedSecrets {
    /// Gathers what an execution's residuals refer to.
    ///
    /// # Errors
    /// The first problem.
    pub fn of<'a>(
        &'a self,
        execution: &ClaimedExecution,
        residuals: &'a [ResidualAt],
    ) -> Result<ExecutionSecrets<'a>, SecretProblem> {
        let mut secrets: Vec<(&str, &str, &OpenedSecret)> = Vec::new();
        for (name, key) in residuals.iter().flat_map(|at| at.residual.refs()) {
            if secrets.iter().any(|(known, known_key, _)| known == name && known_key == key) {
                continue;
            }
            if !is_allowed(execution, name, key) {
                return Err(fails(
                    ResultReason::SecretDenied,
                    format!("this version of the node may not use the secret {name}.{key}"),
                ));
            }
            match self.secrets.get(&(execution.organization_id, name.clone(), key.clone())) {
                None => {
                    let message = format!(
                        "there is no key {key} in a secret {name}: `sealflow secret set {name} {key} -`"
                    );
                    return Err(fails(ResultReason::SecretMissing, message));
                }
                Some(Err(error)) if error.is_retryable() => return Err(SecretProblem::TriedAgain),
                Some(Err(_)) => {
                    let message = format!("the secret {name}.{key} can't be opened here; set it again");
                    return Err(fails(ResultReason::SecretDenied, message));
                }
                Some(Ok(secret)) => secrets.push((name, key, secret)),
            }
        }
        Ok(ExecutionSecrets { secrets })
    }
}

fn fails(reason: ResultReason, message: String) -> SecretProblem {
    SecretProblem::Fails { reason, message }
}

impl ExecutionSecrets<'_> {
    /// Whether the execution uses any.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Labels such as `github.token`, for people.
    pub fn labels(&self) -> Vec<String> {
        self.secrets.iter().map(|(name, key, _)| format!("{name}.{key}")).collect()
    }

    /// Values with their labels, for the scrubber.
    pub fn values(&self) -> Vec<(String, Zeroizing<String>)> {
        let value = |secret: &OpenedSecret| Zeroizing::new(secret.value.expose().to_owned());
        self.secrets.iter().map(|(name, key, secret)| (format!("{name}.{key}"), value(secret))).collect()
    }

    /// For each secret that names hosts, its hosts.
    pub fn hosts(&self) -> Vec<Vec<AllowedHost>> {
        self.secrets
            .iter()
            .map(|(_, _, secret)| secret.hosts.clone())
            .filter(|hosts| !hosts.is_empty())
            .collect()
    }
}

impl expression::Secrets for ExecutionSecrets<'_> {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        let found = self.secrets.iter().find(|(known, known_key, _)| *known == name && *known_key == key);
        found.map(|(_, _, secret)| secret.value.expose())
    }
}
