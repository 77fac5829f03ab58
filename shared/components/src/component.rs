//! The base of all components: a name, channels, fields, and a check of the author's configuration.

use secret_text::{Context, FieldKind};
use serde_json::Value;

/// A component of any kind. Each kind has a trait of its own for its work: [`crate::Pure`],
/// [`crate::Effect`], [`crate::Held`]. A component gets its configuration resolved: no string in it
/// is a template any more.
pub trait Component: Send + Sync {
    /// The name of the component in a definition.
    fn name(&self) -> &'static str;

    /// The channels on which the component may emit.
    fn channels(&self) -> &'static [&'static str];

    /// The channels of a node with this configuration, the author's. They are those of all nodes,
    /// unless the author names them.
    fn channels_of(&self, _configuration: &Value) -> Vec<String> {
        self.channels().iter().map(|channel| (*channel).to_owned()).collect()
    }

    /// Whether an edge on the channel `error` may leave it.
    fn has_error_channel(&self) -> bool {
        true
    }

    /// The rules of its fields; a field without a rule is [`FieldKind::Typed`].
    fn fields(&self) -> &'static [FieldSpec] {
        &[]
    }

    /// Checks the author's configuration: its shape and its literals. A string that holds a
    /// template is left to run time.
    fn check(&self, configuration: &Value) -> Vec<Problem>;
}

/// The rules for one field of a component's configuration. Fields without rules are
/// [`FieldKind::Typed`] and hold no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// JSON pointer pattern: `*` is any one index or key; a final `**` is the place itself and
    /// everything below it.
    pub path: &'static str,
    /// The kind of the field's strings.
    pub kind: FieldKind,
    /// The kind of text that a secret would stand in; None where no secret may stand.
    pub secret: Option<Context>,
    /// Whether the field is meant for a credential, so that a literal in it deserves a warning.
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

    /// A field that is meant for a secret.
    #[must_use]
    pub const fn sensitive(path: &'static str, kind: FieldKind) -> Self {
        Self { path, kind, secret: Some(Context::Line), sensitive: true }
    }

    /// A field that is meant for a secret of any characters, which is never sent unchanged.
    #[must_use]
    pub const fn credential(path: &'static str) -> Self {
        Self { path, kind: FieldKind::Text, secret: Some(Context::Free), sensitive: true }
    }

    /// A field that is meant for a key that signs: one whole secret.
    #[must_use]
    pub const fn key(path: &'static str) -> Self {
        Self { path, kind: FieldKind::Text, secret: Some(Context::Key), sensitive: true }
    }

    pub(crate) fn matches(&self, pointer: &str) -> bool {
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

/// The rules for one place of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// The kind of a string at that place.
    pub kind: FieldKind,
    /// The kind of text that a secret would stand in; None where no secret may stand.
    pub secret: Option<Context>,
    /// Whether the place is meant for a credential.
    pub sensitive: bool,
}

/// The rules for the place that `pointer` (a JSON pointer into the configuration) names: the rules
/// of the first spec that matches.
#[must_use]
pub fn field_rule(component: &dyn Component, pointer: &str) -> FieldRule {
    component.fields().iter().find(|spec| spec.matches(pointer)).map_or(
        FieldRule { kind: FieldKind::Typed, secret: None, sensitive: false },
        |spec| FieldRule { kind: spec.kind, secret: spec.secret, sensitive: spec.sensitive },
    )
}

/// A fault of a configuration, and its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON pointer into the configuration; that of the parent where a field is missing.
    pub pointer: String,
    /// A sentence for the author. It never repeats a value.
    pub message: String,
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
