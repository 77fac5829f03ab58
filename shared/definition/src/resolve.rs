//! Resolution: from a node's templates to the configuration and keys of an execution.

use components::webhook::{DEDUPLICATION_KEY, RESPONSE, WHEN};
use domain::{
    execution::ResultReason,
    json::{check_output, compact_bytes, storable_text, weight},
    limits::{
        CONCURRENCY_KEY_BYTES_MAX, CONFIGURATION_BYTES_MAX, CONFIGURATION_WEIGHT_MAX, CUSTOM_NAME_CHARS_MAX,
        DEDUPLICATION_KEY_BYTES_MAX, KEY_BYTES_MAX,
    },
};
use expression::{Budget, Environment, ErrorKind, Placed, Resolution, Template};
use secret_text::{Part, SecretField, references};
use serde_json::Value;

use crate::{
    compile::{Compiled, CompiledNode},
    pointer::{field_path, key_path},
};

/// The node's configuration, as an execution keeps it.
pub struct Resolved {
    /// The configuration as people see it: everything is resolved, and each secret is shown as the
    /// author's reference.
    pub display: Value,
    /// The fields that hold a secret; empty for none. Stored in
    /// `workflow_node_executions.residuals`.
    pub fields: Vec<SecretField>,
    /// Keys by which the execution is found, and their values.
    pub keys: Vec<(String, String)>,
    /// The secrets that the fields refer to, as (name, key), each once and in order.
    pub refs: Vec<(String, String)>,
}

/// The error of a configuration that could not be resolved: the execution fails. It quotes the
/// author's text and no data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ResolveError {
    /// [`ResultReason::TemplateError`], [`ResultReason::Redacted`] or [`ResultReason::Limit`].
    pub reason: ResultReason,
    /// Such as `configuration.headers[0].value` or `keys.commit`.
    pub field: String,
    /// A sentence for the author.
    pub message: String,
    /// The message with the expression and a caret, where there is one; else the message.
    pub rendered: String,
}

impl ResolveError {
    fn limit(field: impl Into<String>, message: String) -> Self {
        Self { reason: ResultReason::Limit, field: field.into(), rendered: message.clone(), message }
    }

    fn template(field: String, source: &str, error: expression::Error) -> Self {
        let rendered = error.render(source);
        let reason = match error.kind {
            ErrorKind::Redacted => ResultReason::Redacted,
            _ => ResultReason::TemplateError,
        };
        Self { reason, field, message: error.message, rendered }
    }
}

/// Resolves a node's configuration and keys; everything but secrets. `budget` is the record's.
///
/// # Errors
/// [`ResolveError`]: the execution is recorded as failed, and other executions go on.
pub fn resolve(
    node: &CompiledNode,
    env: &dyn Environment,
    budget: &mut Budget,
) -> Result<Resolved, ResolveError> {
    let mut display = node.node.configuration.clone();
    let mut fields: Vec<SecretField> = Vec::new();
    for field in &node.templates {
        let path = || field_path("configuration", &node.node.configuration, &field.pointer);
        let env = env.for_secret_field().filter(|_| field.takes_secret).unwrap_or(env);
        let Resolution { display: shown, placed } = resolve_template(&field.template, env, budget, path)?;
        let placed = placed.into_iter();
        fields.extend(placed.map(|Placed { pointer, parts }| SecretField {
            path: format!("{}{pointer}", field.pointer),
            parts: storable(parts),
        }));
        if let Some(place) = display.pointer_mut(&field.pointer) {
            *place = shown;
        }
    }
    check_sizes(&display, &fields)?;
    let display = check_output(display).map_err(|error| {
        ResolveError::limit("configuration", format!("the resolved configuration can't be stored: {error}"))
    })?;
    let refs = references(&fields);
    Ok(Resolved { display, fields, keys: resolve_keys(node, env, budget)?, refs })
}

/// Resolves the name of a run, cut to its limit; None where the trigger has none.
///
/// # Errors
/// [`ResolveError`]: the caller takes the event all the same, and the run has no name.
pub fn resolve_run_name(node: &CompiledNode, env: &dyn Environment) -> Option<Result<String, ResolveError>> {
    let template = node.run_name.as_ref()?;
    Some(resolve_text(template, env, &mut Budget::default(), || "run_name".to_owned()).map(|text| {
        let text = storable_text(text);
        match text.char_indices().nth(CUSTOM_NAME_CHARS_MAX) {
            Some((end, _)) => text[..end].to_owned(),
            None => text,
        }
    }))
}

/// Resolves a node's concurrency key; None where the node has none.
///
/// # Errors
/// [`ResolveError`]: the execution is recorded as failed, and takes no slot.
pub fn resolve_concurrency_key(
    node: &CompiledNode,
    env: &dyn Environment,
) -> Result<Option<String>, ResolveError> {
    let Some(template) = node.concurrency_key.as_ref() else { return Ok(None) };
    let field = || "concurrency.key".to_owned();
    let key = storable_text(resolve_text(template, env, &mut Budget::default(), field)?);
    if key.len() > CONCURRENCY_KEY_BYTES_MAX {
        let message = format!("a concurrency key can have at most {CONCURRENCY_KEY_BYTES_MAX} bytes");
        return Err(ResolveError::limit(field(), message));
    }
    Ok(Some(key))
}

/// Resolves the deduplication key of a webhook's request. None where the trigger has no such
/// template, or its value is nil or an empty text.
///
/// # Errors
/// [`ResolveError`]: the caller takes the event all the same, without a deduplication key.
pub fn resolve_deduplication_key(
    node: &CompiledNode,
    env: &dyn Environment,
) -> Result<Option<String>, ResolveError> {
    let Some(field) = node.templates.iter().find(|field| field.pointer == DEDUPLICATION_KEY) else {
        return Ok(None);
    };
    let path = || "configuration.deduplication_key".to_owned();
    let key = match resolve_known(&field.template, env, &mut Budget::default(), path)? {
        Value::Null => return Ok(None),
        Value::String(text) => storable_text(text),
        value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
        Value::Array(_) | Value::Object(_) => {
            let message = "a deduplication key is text or a number".to_owned();
            let (reason, rendered) = (ResultReason::TemplateError, message.clone());
            return Err(ResolveError { reason, field: path(), message, rendered });
        }
    };
    if key.len() > DEDUPLICATION_KEY_BYTES_MAX {
        let message = format!("a deduplication key can have at most {DEDUPLICATION_KEY_BYTES_MAX} bytes");
        return Err(ResolveError::limit(path(), message));
    }
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Whether a delivery makes a run: the value of the trigger's `when`, true where it has none.
///
/// # Errors
/// [`ResolveError`], also where the value is neither true nor false: the caller takes the event all
/// the same.
pub fn resolve_when(node: &CompiledNode, env: &dyn Environment) -> Result<bool, ResolveError> {
    let Some(field) = node.templates.iter().find(|field| field.pointer == WHEN) else { return Ok(true) };
    resolve_condition(&field.template, env, &mut Budget::default(), "when")
}

/// Answers the condition that an owner asks of an event that returns; None where it asks nothing.
///
/// # Errors
/// [`ResolveError`], also where the value is neither true nor false: an execution at the node is
/// recorded as failed, in the part of the run that would have returned.
pub fn resolve_returned(
    node: &CompiledNode,
    env: &dyn Environment,
    budget: &mut Budget,
) -> Option<Result<bool, ResolveError>> {
    let field = node.condition.as_ref()?;
    Some(resolve_condition(&field.template, env, budget, field.pointer.trim_start_matches('/')))
}

/// Resolves the outputs of a workflow's run; None where it has none.
///
/// # Errors
/// [`ResolveError`]: who called the run fails with it.
pub fn resolve_outputs(compiled: &Compiled, env: &dyn Environment) -> Result<Option<Value>, ResolveError> {
    if compiled.definition.outputs.is_empty() {
        return Ok(None);
    }
    let outputs = compiled.outputs().map_err(|error| ResolveError {
        reason: ResultReason::TemplateError,
        field: error.field.clone(),
        message: error.message.clone(),
        rendered: error.rendered.clone(),
    })?;
    let mut values = Value::Object(compiled.definition.outputs.clone());
    let mut budget = Budget::default();
    for field in &outputs.templates {
        let path = || field_path("outputs", &values, &field.pointer);
        let value = resolve_known(&field.template, env, &mut budget, path)?;
        if let Some(place) = values.pointer_mut(&field.pointer) {
            *place = value;
        }
    }
    check_output(values)
        .map(Some)
        .map_err(|error| ResolveError::limit("outputs", format!("the outputs can't be stored: {error}")))
}

fn resolve_condition(
    template: &Template,
    env: &dyn Environment,
    budget: &mut Budget,
    name: &str,
) -> Result<bool, ResolveError> {
    let path = || format!("configuration.{name}");
    match resolve_known(template, env, budget, path)? {
        Value::Bool(holds) => Ok(holds),
        _ => {
            let message = format!("`{name}` must be true or false");
            let (reason, rendered) = (ResultReason::TemplateError, message.clone());
            Err(ResolveError { reason, field: path(), message, rendered })
        }
    }
}

/// Resolves the answer that a delivery gets at once. None where the trigger has none.
///
/// # Errors
/// [`ResolveError`]: the caller gives the usual answer.
pub fn resolve_response(node: &CompiledNode, env: &dyn Environment) -> Result<Option<Value>, ResolveError> {
    let Some(response) = node.node.configuration.pointer(RESPONSE) else { return Ok(None) };
    let (mut response, mut budget) = (response.clone(), Budget::default());
    for field in &node.templates {
        let Some(pointer) = field.pointer.strip_prefix(RESPONSE) else { continue };
        let path = || field_path("configuration", &node.node.configuration, &field.pointer);
        let value = resolve_known(&field.template, env, &mut budget, path)?;
        if let Some(place) = response.pointer_mut(pointer) {
            *place = value;
        }
    }
    Ok(Some(response))
}

fn resolve_keys(
    node: &CompiledNode,
    env: &dyn Environment,
    budget: &mut Budget,
) -> Result<Vec<(String, String)>, ResolveError> {
    let mut keys = Vec::with_capacity(node.keys.len());
    for (key, template) in &node.keys {
        let field = || format!("keys{}", key_path(key));
        let value = storable_text(resolve_text(template, env, budget, field)?);
        if value.len() > KEY_BYTES_MAX {
            let message = format!("the value of a key can have at most {KEY_BYTES_MAX} bytes");
            return Err(ResolveError::limit(field(), message));
        }
        keys.push((key.clone(), value));
    }
    Ok(keys)
}

/// The parts without NUL, which Postgres can't store in a text.
fn storable(parts: Vec<Part>) -> Vec<Part> {
    let store = |part| match part {
        Part::Text(text) => Part::Text(storable_text(text)),
        Part::Encoded(encoding, parts) => Part::Encoded(encoding, storable(parts)),
        Part::Mac { algorithm, format, key, data } => {
            Part::Mac { algorithm, format, key: storable(key), data: storable(data) }
        }
        part @ (Part::Secret(_) | Part::SentAt(_) | Part::Request(_)) => part,
    };
    parts.into_iter().map(store).collect()
}

fn resolve_template(
    template: &Template,
    env: &dyn Environment,
    budget: &mut Budget,
    field: impl Fn() -> String,
) -> Result<Resolution, ResolveError> {
    template
        .resolve_within(env, budget)
        .map_err(|error| ResolveError::template(field(), template.source(), error))
}

/// Resolves a template that was checked to hold no secret.
fn resolve_known(
    template: &Template,
    env: &dyn Environment,
    budget: &mut Budget,
    field: impl Fn() -> String,
) -> Result<Value, ResolveError> {
    let Resolution { display, placed } = resolve_template(template, env, budget, &field)?;
    if placed.is_empty() {
        return Ok(display);
    }
    let message = "a secret can't stand here".to_owned();
    let rendered = message.clone();
    Err(ResolveError { reason: ResultReason::TemplateError, field: field(), message, rendered })
}

/// Resolves a template that was checked to hold no secret and to be text.
fn resolve_text(
    template: &Template,
    env: &dyn Environment,
    budget: &mut Budget,
    field: impl Fn() -> String,
) -> Result<String, ResolveError> {
    Ok(match resolve_known(template, env, budget, field)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

fn check_sizes(display: &Value, fields: &[SecretField]) -> Result<(), ResolveError> {
    let too_large = || {
        let message = format!("the resolved configuration is larger than {CONFIGURATION_BYTES_MAX} bytes");
        ResolveError::limit("configuration", message)
    };
    if compact_bytes(display) > CONFIGURATION_BYTES_MAX {
        return Err(too_large());
    }
    if weight(display) > CONFIGURATION_WEIGHT_MAX {
        let message = format!(
            "the resolved configuration is heavier than {CONFIGURATION_WEIGHT_MAX} bytes in memory: it has too many maps"
        );
        return Err(ResolveError::limit("configuration", message));
    }
    if fields.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(fields).map_err(|_| {
        ResolveError::limit("configuration", "the resolved configuration can't be stored".to_owned())
    })?;
    if text.len() > CONFIGURATION_BYTES_MAX {
        return Err(too_large());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
