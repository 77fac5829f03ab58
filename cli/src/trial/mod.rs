//! Trying expressions: the steps of apply, builder and executor, without any of the three.
//!
//! Everything here is a plain function of its inputs.

pub(crate) mod batch;
mod environment;

pub(crate) use environment::{EnvironmentError, Recorded};

use expression::{ErrorKind, FieldKind, Span, Template, UrlOrigin};
use secret_text::{Context, SecretField, Values, references, render};
use serde_json::{Value, json};

/// The source that is tried.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// A string of a configuration, read as that kind of field.
    Text(String, FieldKind),
    /// A JSON value in which every string is read as a typed field. Keys are never templates.
    Object(Value),
}

/// The part of sealflow that meets a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The workflow is not accepted.
    Apply,
    /// The builder fails the execution.
    Build,
    /// The executor fails the execution.
    Run,
}

/// A mistake and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mistake {
    pub(crate) phase: Phase,
    pub(crate) kind: ErrorKind,
    /// A sentence for the author; it names the place in an object.
    pub(crate) message: String,
    /// The bytes of the mistake within `source`.
    pub(crate) span: Span,
    /// The string that holds the mistake.
    source: String,
}

/// The result that the builder stores.
pub(crate) struct Stored {
    /// The value that people see: resolved, but with the author's reference in the place of a
    /// secret.
    pub(crate) display: Value,
    /// The fields that the executor renders, each with its place in `display`.
    fields: Vec<SecretField>,
    /// The secrets that the value needs, as (name, key), each once and in order.
    pub(crate) refs: Vec<(String, String)>,
}

/// Something at a place of the configuration.
struct Field<T> {
    /// JSON pointer; empty for the whole.
    pointer: String,
    source: String,
    content: T,
}

impl Phase {
    /// The stable word for the phase: `apply`, `build`, `run`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Build => "build",
            Self::Run => "run",
        }
    }
}

impl Mistake {
    /// A mistake in the whole of `source`.
    fn in_whole(kind: ErrorKind, message: impl Into<String>, source: &str) -> Self {
        let span = Span::new(0, source.len());
        Self { phase: Phase::Apply, kind, message: message.into(), span, source: source.to_owned() }
    }

    /// A mistake that shows when a field is rendered.
    fn in_run(message: String, pointer: &str, source: &str) -> Self {
        let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
        let span = Span::new(0, source.len());
        let source = source.to_owned();
        Self {
            phase: Phase::Run,
            kind: ErrorKind::Secret,
            message: format!("{place}{message}"),
            span,
            source,
        }
    }

    fn of(phase: Phase, pointer: &str, source: &str, error: expression::Error) -> Self {
        let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
        Self {
            phase,
            kind: error.kind,
            message: format!("{place}{}", error.message),
            span: error.span,
            source: source.to_owned(),
        }
    }

    /// The message, the author's line, and a caret under the place.
    pub(crate) fn render(&self) -> String {
        expression::Error::new(self.kind, self.message.as_str(), self.span).render(&self.source)
    }

    /// `{"ok": false, "phase", "kind", "message", "span"}`
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "ok": false,
            "phase": self.phase.word(),
            "kind": self.kind.word(),
            "message": self.message,
            "span": [self.span.start, self.span.end],
        })
    }
}

impl Stored {
    /// Whether the value depends on no secret and on no instant of an attempt.
    pub(crate) fn is_known(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields as they are stored: `[{"path", "parts"}]`.
    pub(crate) fn residuals(&self) -> Value {
        json!(self.fields)
    }

    /// The value that the executor renders from this result.
    ///
    /// # Errors
    /// A secret that is missing, or can't be placed.
    pub(crate) fn run(&self, secrets: &dyn Values, recorded: &Recorded) -> Result<Value, Mistake> {
        let mut value = self.display.clone();
        for field in &self.fields {
            let source = secret_text::show(&field.parts);
            let mistake = |message: String| Mistake::in_run(message, &field.path, &source);
            for (name, key) in references(std::slice::from_ref(field)) {
                if secrets.get(&name, &key).is_none() {
                    return Err(mistake(format!("the secret `{name}` has no key `{key}`")));
                }
            }
            let rendered = render(&field.parts, Context::Free, recorded.now(), secrets)
                .map_err(|refused| mistake(refused.to_string()))?;
            if let Some(place) = value.pointer_mut(&field.path) {
                *place = Value::String(rendered.text.to_string());
            }
        }
        Ok(value)
    }
}

/// The result that apply and the builder make of a source.
///
/// # Errors
/// The first mistake: the mistakes that apply finds in all strings come before those of the
/// builder.
pub(crate) fn store(source: &Source, recorded: &Recorded) -> Result<Stored, Mistake> {
    let (mut display, templates) = apply(source)?;
    let mut fields = Vec::new();
    for Field { pointer, source, content } in templates {
        let resolution =
            content.resolve(recorded).map_err(|error| Mistake::of(Phase::Build, &pointer, &source, error))?;
        let placed = resolution.placed.into_iter();
        fields.extend(
            placed.map(|placed| SecretField {
                path: format!("{pointer}{}", placed.pointer),
                parts: placed.parts,
            }),
        );
        put(&mut display, &pointer, resolution.display);
    }
    let refs = references(&fields);
    Ok(Stored { display, fields, refs })
}

/// Parses and checks all strings; gives the configuration as it was written, and the templates in
/// it.
fn apply(source: &Source) -> Result<(Value, Vec<Field<Template>>), Mistake> {
    match source {
        Source::Text(text, kind) => Ok((Value::Null, vec![parse(String::new(), text, *kind)?])),
        Source::Object(object) => {
            let mut templates = Vec::new();
            parse_strings(object, String::new(), &mut templates)?;
            Ok((object.clone(), templates))
        }
    }
}

fn parse_strings(value: &Value, pointer: String, into: &mut Vec<Field<Template>>) -> Result<(), Mistake> {
    match value {
        Value::String(text) if text.contains("{{") => into.push(parse(pointer, text, FieldKind::Typed)?),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                parse_strings(item, format!("{pointer}/{index}"), into)?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                parse_strings(item, format!("{pointer}/{key}"), into)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn parse(pointer: String, source: &str, kind: FieldKind) -> Result<Field<Template>, Mistake> {
    let mistake = |error| Mistake::of(Phase::Apply, &pointer, source, error);
    let template = Template::parse(source, kind).map_err(mistake)?;
    if let Some(error) = template.unknown_names().into_iter().next() {
        return Err(mistake(error));
    }
    let refs = template.secret_refs();
    if kind == FieldKind::Url && !refs.is_empty() && template.url_origin() == UrlOrigin::Data {
        let message =
            "a URL with a secret begins with a literal scheme and host, or is one secret as a whole";
        return Err(Mistake::in_whole(ErrorKind::Secret, message, source));
    }
    Ok(Field { pointer, source: source.to_owned(), content: template })
}

/// Puts a value in its place. The place exists, because the template was found in it.
fn put(document: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = document.pointer_mut(pointer) {
        *place = value;
    }
}

#[cfg(test)]
mod tests;
