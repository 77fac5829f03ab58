//! The secrets of a batch. Each is opened once, kept until the batch ends, and given only to the
//! executions that may use it.

use std::collections::HashMap;

use domain::execution::ResultReason;
use domain::ids::OrganizationId;
use secret_text::{SecretField, references};
use store::executor::{ClaimedExecution, ExecutionClaims};
use vault_format::{Bounds, Entries, EntryError, Purpose, Scope, SecretValue};
use vault_open::{OpenError, OpenRequest};
use zeroize::Zeroizing;

use crate::RunDeps;
use crate::fields::Fields;
use crate::host::SecretUse;
use crate::secret_problem::{SecretProblem, fails};

/// A value with its bounds.
pub struct OpenedSecret {
    /// The value.
    pub value: SecretValue,
    /// The hosts and placements that it may have.
    pub bounds: Bounds,
}

/// The secrets that were opened for a batch, by organization, secret and key.
#[derive(Default)]
pub struct OpenedSecrets {
    secrets: HashMap<(OrganizationId, String, String), Opened>,
}

/// The result of opening one key.
enum Opened {
    Value(OpenedSecret),
    Failed(OpenError),
    /// The entry has a format that this version does not know.
    Unreadable,
}

/// Opens the secrets that the batch refers to, with one call of KMS for each distinct sealed data
/// key.
///
/// Only references that apply allowed for the node's version are opened. Only secrets of the
/// execution's own organization are opened.
pub async fn open_secrets(claims: &ExecutionClaims, deps: &RunDeps) -> OpenedSecrets {
    let mut opened = OpenedSecrets::default();
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
            let Some(stored) = stored else { continue };
            match Entries::parse(&stored.data) {
                Ok(entries) => {
                    let Some(entry) = entries.get(&place.2) else { continue };
                    let scope =
                        Scope { organization_id: place.0, secret_id: stored.id, purpose: Purpose::Secret };
                    wanted.push((place, entry.bounds().clone()));
                    requests.push(OpenRequest { scope, entry: entry.clone() });
                }
                Err(EntryError::UnknownVersion) => {
                    opened.secrets.insert(place, Opened::Unreadable);
                }
                Err(_) => {
                    opened.secrets.insert(place, Opened::Failed(OpenError::Corrupt));
                }
            }
        }
    }
    if requests.is_empty() {
        return opened;
    }
    let values = deps.opener.open(&requests).await;
    for ((place, bounds), result) in wanted.into_iter().zip(values) {
        if let Err(error) = &result
            && error.needs_alarm()
        {
            tracing::error!(organization_id = %place.0, "KMS refuses to decrypt: look at the key and its policy");
        }
        let secret = match result {
            Ok(value) => Opened::Value(OpenedSecret { value, bounds }),
            Err(error) => Opened::Failed(error),
        };
        opened.secrets.insert(place, secret);
    }
    opened
}

/// The references of an execution that its node's version may open, each once.
fn allowed_refs(execution: &ClaimedExecution, deps: &RunDeps) -> Vec<(String, String)> {
    let component = (deps.components.effect)(&execution.component);
    let fields = component.and_then(|component| Fields::read(execution, component).ok());
    let Some(fields) = fields else { return Vec::new() };
    let allowed = fields.references().into_iter().filter(|reference| is_allowed(execution, reference));
    let mut refs: Vec<(String, String)> = allowed.map(|(name, key, _)| (name, key)).collect();
    refs.dedup();
    refs
}

/// Whether apply found this reference in this field of the node's version. A field that holds a
/// structure allows all places in it.
fn is_allowed(execution: &ClaimedExecution, (name, key, path): &(String, String, String)) -> bool {
    let is_within = |field: &str| {
        // An empty field belongs to a version that was applied before fields were noted.
        field.is_empty()
            || path.strip_prefix(field).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    };
    execution
        .allowed
        .iter()
        .any(|allowed| allowed.name == *name && allowed.key == *key && is_within(&allowed.field))
}

/// The secrets of one execution.
pub struct ExecutionSecrets<'a> {
    secrets: Vec<(String, String, &'a OpenedSecret)>,
}

impl OpenedSecrets {
    /// Gathers the secrets that an execution's fields refer to.
    ///
    /// # Errors
    /// The first problem.
    pub fn of<'a>(
        &'a self,
        execution: &ClaimedExecution,
        fields: &Fields,
    ) -> Result<ExecutionSecrets<'a>, SecretProblem> {
        let mut secrets: Vec<(String, String, &OpenedSecret)> = Vec::new();
        for reference in fields.references() {
            if !is_allowed(execution, &reference) {
                let (name, key, _) = reference;
                return Err(fails(
                    ResultReason::SecretDenied,
                    format!("this version of the node may not use the secret {name}.{key} in this field"),
                ));
            }
            let (name, key, _) = reference;
            if secrets.iter().any(|(known, known_key, _)| *known == name && *known_key == key) {
                continue;
            }
            match self.secrets.get(&(execution.organization_id, name.clone(), key.clone())) {
                None => {
                    let message = format!(
                        "there is no key {key} in a secret {name}: `sealflow secret set {name} {key} --host HOST --in PLACE -`"
                    );
                    return Err(fails(ResultReason::SecretMissing, message));
                }
                Some(Opened::Unreadable) => return Err(SecretProblem::Unreadable),
                Some(Opened::Failed(error)) if error.is_retryable() => {
                    return Err(SecretProblem::TriedAgain);
                }
                Some(Opened::Failed(_)) => {
                    let message = format!("the secret {name}.{key} can't be opened here; set it again");
                    return Err(fails(ResultReason::SecretDenied, message));
                }
                Some(Opened::Value(secret)) => secrets.push((name, key, secret)),
            }
        }
        Ok(ExecutionSecrets { secrets })
    }
}

impl ExecutionSecrets<'_> {
    /// Labels such as `github.token`, for people.
    pub fn labels(&self) -> Vec<String> {
        self.secrets.iter().map(|(name, key, _)| format!("{name}.{key}")).collect()
    }

    /// Values with their labels, for the scrubber.
    pub fn values(&self) -> Vec<(String, Zeroizing<String>)> {
        let value = |secret: &OpenedSecret| Zeroizing::new(secret.value.expose().to_owned());
        self.secrets.iter().map(|(name, key, secret)| (format!("{name}.{key}"), value(secret))).collect()
    }

    /// Each secret in each field, with the hosts to which it may be sent.
    pub fn uses(&self, fields: &Fields) -> Vec<SecretUse> {
        let hosts = |name: &str, key: &str| {
            self.bounds(name, key).map_or(Vec::new(), |bounds| bounds.allowed_hosts().to_vec())
        };
        let references = fields.references().into_iter();
        references
            .map(|(name, key, pointer)| SecretUse {
                pointer,
                label: format!("{name}.{key}"),
                allowed_hosts: hosts(&name, &key),
            })
            .collect()
    }

    /// The values that a field refers to, by name and key.
    pub fn values_of(&self, field: &SecretField) -> Vec<(String, String, Zeroizing<String>)> {
        let found = references(std::slice::from_ref(field)).into_iter();
        found
            .filter_map(|(name, key)| {
                let value = Zeroizing::new(self.find(&name, &key)?.value.expose().to_owned());
                Some((name, key, value))
            })
            .collect()
    }

    /// The bounds of the value of a key.
    pub fn bounds(&self, name: &str, key: &str) -> Option<&Bounds> {
        self.find(name, key).map(|secret| &secret.bounds)
    }

    /// Bytes of all values together.
    pub fn bytes(&self) -> usize {
        self.secrets.iter().map(|(_, _, secret)| secret.value.len()).sum()
    }

    fn find(&self, name: &str, key: &str) -> Option<&OpenedSecret> {
        let found = self.secrets.iter().find(|(known, known_key, _)| *known == name && *known_key == key);
        found.map(|(_, _, secret)| *secret)
    }
}

impl secret_text::Secrets for ExecutionSecrets<'_> {
    fn value_bytes(&self, name: &str, key: &str) -> usize {
        self.find(name, key).map_or(0, |secret| secret.value.len())
    }
}

impl secret_text::Values for ExecutionSecrets<'_> {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        self.find(name, key).map(|secret| secret.value.expose())
    }
}
