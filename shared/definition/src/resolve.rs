//! From a node's templates to what an execution keeps.

use components::webhook::DEDUPLICATION_KEY;
use expression::{Environment, Folded, Residual, Template};
use model::{
    json::{check_output, compact_bytes, storable_text},
    limits::{
        CONCURRENCY_KEY_BYTES_MAX, CONFIGURATION_BYTES_MAX, CUSTOM_NAME_CHARS_MAX,
        DEDUPLICATION_KEY_BYTES_MAX, KEY_BYTES_MAX,
    },
    outcome::ResultReason,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    compile::CompiledNode,
    pointer::{field_path, key_path},
};

/// A field that the executor evaluates with secrets: `{"path": "/headers/0/value", "expr": […], "refs": […]}`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ResidualAt {
    /// JSON pointer into the configuration.
    pub path: String,
    /// What is left to evaluate.
    #[serde(flatten)]
    pub residual: Residual,
}

/// What an execution keeps of its node's configuration.
pub struct Resolved {
    /// The configuration as people see it: everything resolved, and the author's reference where a secret goes.
    pub display: Value,
    /// The fields that need a secret; empty for none.
    pub residuals: Vec<ResidualAt>,
    /// Keys by which the execution is found, and their values.
    pub keys: Vec<(String, String)>,
    /// The secrets that the residuals need, as (name, key), each once and in order.
    pub refs: Vec<(String, String)>,
}

/// Why a configuration could not be resolved: the execution fails. It shows the author's text and no data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ResolveError {
    /// [`ResultReason::TemplateError`] or [`ResultReason::Limit`].
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
        Self { reason: ResultReason::TemplateError, field, message: error.message, rendered }
    }
}

/// The stored configuration has no such place: it is not the one that the residuals were made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has no place for a residual")]
pub struct MissingPath;

/// Resolves a node's configuration and keys; everything but secrets.
///
/// # Errors
/// [`ResolveError`]: the execution is recorded as failed, and its neighbours go on.
pub fn resolve(node: &CompiledNode, env: &dyn Environment) -> Result<Resolved, ResolveError> {
    let mut display = node.node.configuration.clone();
    let mut residuals: Vec<ResidualAt> = Vec::new();
    for field in &node.templates {
        let path = || field_path("configuration", &node.node.configuration, &field.pointer);
        let shown = match fold(&field.template, env, path)? {
            Folded::Value(value) => value,
            Folded::Residual { display, residual } => {
                residuals.push(ResidualAt { path: field.pointer.clone(), residual });
                Value::String(display)
            }
        };
        if let Some(place) = display.pointer_mut(&field.pointer) {
            *place = shown;
        }
    }
    check_sizes(&display, &residuals)?;
    let display = check_output(display).map_err(|error| {
        ResolveError::limit("configuration", format!("the resolved configuration can't be stored: {error}"))
    })?;
    let mut refs: Vec<_> = residuals.iter().flat_map(|at| at.residual.refs().iter().cloned()).collect();
    refs.sort();
    refs.dedup();
    Ok(Resolved { display, residuals, keys: resolve_keys(node, env)?, refs })
}

/// Resolves the name of a run, cut to its limit; None where the trigger has none.
///
/// # Errors
/// [`ResolveError`]; it never refuses the event, whose run then has no name.
pub fn resolve_run_name(node: &CompiledNode, env: &dyn Environment) -> Option<Result<String, ResolveError>> {
    let template = node.run_name.as_ref()?;
    Some(fold_text(template, env, || "run_name".to_owned()).map(|text| {
        let text = storable_text(text);
        match text.char_indices().nth(CUSTOM_NAME_CHARS_MAX) {
            Some((end, _)) => text[..end].to_owned(),
            None => text,
        }
    }))
}

/// Resolves a node's concurrency key; None where it has none.
///
/// # Errors
/// [`ResolveError`]: the execution is recorded as failed, and takes no slot.
pub fn resolve_concurrency_key(
    node: &CompiledNode,
    env: &dyn Environment,
) -> Result<Option<String>, ResolveError> {
    let Some(template) = node.concurrency_key.as_ref() else { return Ok(None) };
    let field = || "concurrency.key".to_owned();
    let key = storable_text(fold_text(template, env, field)?);
    if key.len() > CONCURRENCY_KEY_BYTES_MAX {
        let message = format!("a concurrency key can have at most {CONCURRENCY_KEY_BYTES_MAX} bytes");
        return Err(ResolveError::limit(field(), message));
    }
    Ok(Some(key))
}

/// Resolves the key by which a webhook knows a request again; None where the trigger has no such template, or it comes to nil or to
/// empty text.
///
/// # Errors
/// [`ResolveError`]; it never refuses the event, which then is known by no key.
pub fn resolve_deduplication_key(
    node: &CompiledNode,
    env: &dyn Environment,
) -> Result<Option<String>, ResolveError> {
    let Some(field) = node.templates.iter().find(|field| field.pointer == DEDUPLICATION_KEY) else {
        return Ok(None);
    };
    let path = || "configuration.deduplication_key".to_owned();
    let key = match fold(&field.template, env, path)? {
        Folded::Value(Value::Null) => return Ok(None),
        Folded::Value(Value::String(text)) => storable_text(text),
        Folded::Value(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Folded::Value(_) | Folded::Residual { .. } => {
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

/// Puts evaluated residuals in their places: `values` are (JSON pointer, value).
///
/// # Errors
/// [`MissingPath`] where the configuration has no such place.
pub fn apply_residuals(display: Value, values: Vec<(String, Value)>) -> Result<Value, MissingPath> {
    let mut configuration = display;
    for (path, value) in values {
        *configuration.pointer_mut(&path).ok_or(MissingPath)? = value;
    }
    Ok(configuration)
}

fn resolve_keys(node: &CompiledNode, env: &dyn Environment) -> Result<Vec<(String, String)>, ResolveError> {
    let mut keys = Vec::with_capacity(node.keys.len());
    for (key, template) in &node.keys {
        let field = || format!("keys{}", key_path(key));
        let value = storable_text(fold_text(template, env, field)?);
        if value.len() > KEY_BYTES_MAX {
            let message = format!("the value of a key can have at most {KEY_BYTES_MAX} bytes");
            return Err(ResolveError::limit(field(), message));
        }
        keys.push((key.clone(), value));
    }
    Ok(keys)
}

fn fold(
    template: &Template,
    env: &dyn Environment,
    field: impl Fn() -> String,
) -> Result<Folded, ResolveError> {
    template.fold(env).map_err(|error| ResolveError::template(field(), template.source(), error))
}

/// Folds a template that was checked to hold no secret and to be text.
fn fold_text(
    template: &Template,
    env: &dyn Environment,
    field: impl Fn() -> String,
) -> Result<String, ResolveError> {
    match fold(template, env, &field)? {
        Folded::Value(Value::String(text)) => Ok(text),
        Folded::Value(other) => Ok(other.to_string()),
        Folded::Residual { .. } => {
            let message = "a secret can't stand here".to_owned();
            let rendered = message.clone();
            Err(ResolveError { reason: ResultReason::TemplateError, field: field(), message, rendered })
        }
    }
}

fn check_sizes(display: &Value, residuals: &[ResidualAt]) -> Result<(), ResolveError> {
    let too_large = || {
        let message = format!("the resolved configuration is larger than {CONFIGURATION_BYTES_MAX} bytes");
        ResolveError::limit("configuration", message)
    };
    if compact_bytes(display) > CONFIGURATION_BYTES_MAX {
        return Err(too_large());
    }
    if residuals.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(residuals).map_err(|_| {
        ResolveError::limit("configuration", "the resolved configuration can't be stored".to_owned())
    })?;
    if text.len() > CONFIGURATION_BYTES_MAX {
        return Err(too_large());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
