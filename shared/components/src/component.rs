//! What a component is to the rest of the system.

use domain::ids::ExecutionId;
use std::time::Duration;

use domain::outcome::{Failure, Outcome};
use domain::placement::Placement;
use jiff::Timestamp;
use secret_text::{Context, FieldKind, Part};
use serde_json::Value;

use crate::host::{BoxFuture, Host};

/// Whether a component touches the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain function; the builder finishes it in its own transaction.
    Pure,
    /// Calls the outside world or takes time; the executor runs it.
    Effect,
}

/// How one field of a component's configuration is read. Fields without one are [`FieldKind::Typed`] and hold no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// JSON pointer pattern: `*` is any one index or key, a last `**` is the place itself and all below it.
    pub path: &'static str,
    /// How its strings are read.
    pub kind: FieldKind,
    /// The kind of text that a secret would stand in; None where no secret may stand.
    pub secret: Option<Context>,
    /// Whether what stands in it is a credential by nature, so that a literal there deserves a warning.
    pub sensitive: bool,
}

impl FieldSpec {
    /// A field that holds no secret.
    #[must_use]
    pub const fn plain(path: &'static str, kind: FieldKind) -> Self {
        Self { path, kind, secret: None, sensitive: false }
    }

    /// A field in which a secret may stand.
    #[must_use]
    pub const fn secret(path: &'static str, kind: FieldKind, context: Context) -> Self {
        Self { path, kind, secret: Some(context), sensitive: false }
    }

    /// A field that is made for a secret.
    #[must_use]
    pub const fn sensitive(path: &'static str, kind: FieldKind) -> Self {
        Self { path, kind, secret: Some(Context::Line), sensitive: true }
    }

    /// A field that is made for a secret of any characters, which is never sent as it is.
    #[must_use]
    pub const fn credential(path: &'static str) -> Self {
        Self { path, kind: FieldKind::Text, secret: Some(Context::Free), sensitive: true }
    }

    /// A field that is made for a key: one secret as it is.
    #[must_use]
    pub const fn key(path: &'static str) -> Self {
        Self { path, kind: FieldKind::Text, secret: Some(Context::Key), sensitive: true }
    }

    fn matches(&self, pointer: &str) -> bool {
        let mut pattern = self.path.split('/');
        let mut segments = pointer.split('/');
        loop {
            match (pattern.next(), segments.next()) {
                (Some("**"), _) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(expected), Some(segment)) if expected == segment => {}
                _ => return false,
            }
        }
    }
}

/// What holds for one place of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// How a string there is read.
    pub kind: FieldKind,
    /// The kind of text that a secret would stand in; None where no secret may stand.
    pub secret: Option<Context>,
    /// Whether what stands there is a credential by nature.
    pub sensitive: bool,
}

/// What holds for the place that `pointer` (a JSON pointer into the configuration) names; the first spec that fits.
#[must_use]
pub fn field_rule(component: &dyn Component, pointer: &str) -> FieldRule {
    component.fields().iter().find(|spec| spec.matches(pointer)).map_or(
        FieldRule { kind: FieldKind::Typed, secret: None, sensitive: false },
        |spec| FieldRule { kind: spec.kind, secret: spec.secret, sensitive: spec.sensitive },
    )
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON pointer into the configuration; that of the parent where a field is missing.
    pub pointer: String,
    /// A sentence for the author. It never repeats a value.
    pub message: String,
}

/// What a component is told of the call, beside its configuration.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The execution that this is.
    pub execution_id: ExecutionId,
    /// The same for every run of one attempt (`domain::outcome::idempotency_key`).
    pub idempotency_key: &'a str,
    /// Seconds that the component may take.
    pub seconds_max: u32,
    /// The fields of the configuration that hold a secret.
    pub secret_fields: &'a [SecretPlace<'a>],
    /// Labels of the secrets, such as `github.token`; for messages.
    pub secret_labels: &'a [String],
}

/// A field that holds a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretPlace<'a> {
    /// JSON pointer into the configuration.
    pub pointer: &'a str,
    /// The most bytes that its text could have, whatever the characters of the secrets are. Limits are held by it and never by the
    /// length of the text, which would tell of them.
    pub bytes_max: usize,
}

impl Call<'_> {
    /// Whether `pointer` names a place that holds a secret, or one below it.
    #[must_use]
    pub fn is_within_secret(&self, pointer: &str) -> bool {
        self.secret_fields.iter().any(|field| {
            pointer
                .strip_prefix(field.pointer)
                .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }

    /// Whether a place below `pointer` holds a secret.
    #[must_use]
    pub fn has_secret_below(&self, pointer: &str) -> bool {
        self.secret_fields
            .iter()
            .any(|field| field.pointer.strip_prefix(pointer).is_some_and(|below| below.starts_with('/')))
    }

    /// The most bytes of the text at `pointer`, which has `bytes` now.
    #[must_use]
    pub fn bytes_max(&self, pointer: &str, bytes: usize) -> usize {
        self.secret_fields
            .iter()
            .find(|field| field.pointer == pointer)
            .map_or(bytes, |field| field.bytes_max)
    }
}

/// A component. Its configuration arrives resolved: no string in it is a template any more.
pub trait Component: Send + Sync {
    /// The name by which a definition uses it.
    fn name(&self) -> &'static str;

    /// Whether it touches the outside world.
    fn kind(&self) -> Kind;

    /// The channels on which it may emit.
    fn channels(&self) -> &'static [&'static str];

    /// The fields that are not plain typed ones.
    fn fields(&self) -> &'static [FieldSpec] {
        &[]
    }

    /// Where in a request `part` stands that is a part of the field at `pointer`, by the names that the configuration came to. Asked only
    /// of fields in which a secret may stand.
    fn placement(&self, _configuration: &Value, _pointer: &str, _part: &Part) -> Placement {
        Placement::Body
    }

    /// The URL, beside that of the field of kind [`FieldKind::Url`], to which a secret in the field at `pointer` is sent: the author's
    /// literal text, and the JSON pointer of the field where it stands, or would.
    fn other_url(&self, _configuration: &Value, _pointer: &str) -> Option<(&'static str, String)> {
        None
    }

    /// Checks the author's configuration: its shape and its literals. A string that holds a template is left to run time.
    fn check(&self, configuration: &Value) -> Vec<Problem>;

    /// How long after it was built, at `now`, an execution of a component with an effect starts.
    ///
    /// # Errors
    /// [`Failure`] where the configuration came to something that says no time.
    fn starts_after(&self, _configuration: &Value, _now: Timestamp) -> Result<Duration, Failure> {
        Ok(Duration::ZERO)
    }

    /// Runs a pure component. `input` is the data of the event that arrived.
    ///
    /// # Panics
    /// For a component with an effect: calling this is a bug.
    fn run(&self, _configuration: &Value, _input: &Value) -> Outcome {
        unreachable!("{} has an effect: it is executed, not run", self.name())
    }

    /// Executes a component with an effect.
    ///
    /// # Panics
    /// For a pure component: calling this is a bug.
    fn execute<'a>(
        &'a self,
        _host: &'a dyn Host,
        _configuration: &'a Value,
        _call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        unreachable!("{} is pure: it is run, not executed", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_places_and_not_their_neighbours() {
        let check = |path: &'static str, pointer: &str, expected| {
            let matches = FieldSpec::plain(path, FieldKind::Text).matches(pointer);
            assert_eq!(matches, expected, "{path} against {pointer}");
        };
        check("/url", "/url", true);
        check("/url", "/url/0", false);
        check("/url", "/urls", false);
        check("/url", "", false);
        check("/headers/*/value", "/headers/12/value", true);
        check("/headers/*/value", "/headers/12/name", false);
        check("/headers/*/value", "/headers/value", false);
        check("/headers/*/value", "/headers/1/value/x", false);
        check("/body/json/**", "/body/json", true);
        check("/body/json/**", "/body/json/a/0/b", true);
        check("/body/json/**", "/body/jsonp", false);
        check("/body/json/**", "/body", false);
    }
}
