//! Reads configurations without serde: serde's messages repeat values, and secrets are among them.

use serde_json::{Map, Value};

use crate::{component::Problem, suggest::did_you_mean};

/// The stage of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The author's configuration: a string with `{{` in it is open.
    Template,
    /// The resolved configuration: every string is final, even one with `{{` in it (I2).
    Resolved,
}

/// Reads values and collects the problems in them.
pub(crate) struct Reader {
    stage: Stage,
    problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(stage: Stage) -> Self {
        Self { stage, problems: Vec::new() }
    }

    /// Whether the author's configuration is read.
    pub(crate) fn is_template_stage(&self) -> bool {
        self.stage == Stage::Template
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(crate) fn problem(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem { pointer: at.to_owned(), message: message.into() });
    }

    /// Whether the value is a template whose result is not known yet.
    pub(crate) fn is_open(&self, value: &Value) -> bool {
        self.stage == Stage::Template && value.as_str().is_some_and(holds_template)
    }

    /// A map with these fields and no others. None where the value is no map, or is open.
    pub(crate) fn object<'v>(
        &mut self,
        at: &str,
        value: &'v Value,
        fields: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let map = self.map(at, value)?;
        for key in map.keys().filter(|key| !fields.contains(&key.as_str())) {
            let hint = did_you_mean(key, fields.iter().copied());
            self.problem(&child(at, key), format!("unknown field `{}`{hint}", shortened(key)));
        }
        Some(map)
    }

    /// A map with any fields.
    pub(crate) fn map<'v>(&mut self, at: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        if self.is_open(value) {
            return None;
        }
        let map = value.as_object();
        if map.is_none() {
            self.problem(at, format!("must be a map, not {}", type_name(value)));
        }
        map
    }

    /// A list.
    pub(crate) fn list<'v>(&mut self, at: &str, value: &'v Value) -> Option<&'v [Value]> {
        if self.is_open(value) {
            return None;
        }
        let list = value.as_array().map(Vec::as_slice);
        if list.is_none() {
            self.problem(at, format!("must be a list, not {}", type_name(value)));
        }
        list
    }

    /// A required field.
    pub(crate) fn required<'v>(
        &mut self,
        at: &str,
        map: &'v Map<String, Value>,
        name: &str,
    ) -> Option<&'v Value> {
        let value = map.get(name);
        if value.is_none() {
            self.problem(at, format!("`{name}` is missing"));
        }
        value
    }

    /// A text; a number or a boolean counts as its written form.
    pub(crate) fn text(&mut self, at: &str, value: &Value) -> Option<String> {
        match value {
            _ if self.is_open(value) => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.problem(at, format!("must be text, not {}", type_name(value)));
                None
            }
        }
    }

    /// A whole number from 1 to `most` in a field of the outermost map. The outer None: it is open or
    /// wrong; the inner one: it is missing.
    pub(crate) fn count(
        &mut self,
        map: &Map<String, Value>,
        name: &str,
        most: usize,
    ) -> Option<Option<usize>> {
        let Some(value) = map.get(name) else { return Some(None) };
        if self.is_open(value) {
            return None;
        }
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.problem(&child("", name), format!("must be a whole number from 1 to {most}"));
        }
        number.map(Some)
    }

    /// One of a few words.
    pub(crate) fn word(&mut self, at: &str, value: &Value, words: &[&'static str]) -> Option<&'static str> {
        if self.is_open(value) {
            return None;
        }
        let given = value.as_str().unwrap_or_default();
        let found = words.iter().copied().find(|word| *word == given);
        if found.is_none() {
            let hint = did_you_mean(given, words.iter().copied());
            self.problem(at, format!("must be one of {}{hint}", words.join(", ")));
        }
        found
    }
}

/// The problems of a resolved configuration as one text, each with its place.
pub(crate) fn texts(problems: &[Problem]) -> String {
    let text =
        |problem: &Problem| format!("{}: {}", problem.pointer.trim_start_matches('/'), problem.message);
    problems.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// The JSON pointer of a field of the map at `at`.
pub(crate) fn child(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The JSON pointer of an item of the list at `at`.
pub(crate) fn item(at: &str, index: usize) -> String {
    format!("{at}/{index}")
}

/// Whether an author's string holds a template.
pub(crate) fn holds_template(text: &str) -> bool {
    text.contains("{{")
}

/// The type of a value, in the author's words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Characters of an unknown field's name that a message repeats.
const KEY_CHARS_MAX: usize = 64;

fn shortened(key: &str) -> String {
    if key.chars().count() <= KEY_CHARS_MAX {
        key.to_owned()
    } else {
        format!("{}…", key.chars().take(KEY_CHARS_MAX).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_left_open_while_applying_and_is_plain_text_afterwards() {
        let value = json!("{{ root().data }}");
        assert_eq!(Reader::new(Stage::Template).text("/x", &value), None);
        assert_eq!(Reader::new(Stage::Resolved).text("/x", &value), Some("{{ root().data }}".to_owned()));
        let mut reader = Reader::new(Stage::Resolved);
        assert!(reader.map("/x", &value).is_none());
        assert_eq!(reader.into_problems()[0].message, "must be a map, not text");
    }

    #[test]
    fn pointers_escape_what_they_must() {
        assert_eq!(child("/a", "b/c~d"), "/a/b~1c~0d");
        assert_eq!(item("/a", 3), "/a/3");
    }

    #[test]
    fn the_name_of_a_field_is_repeated_within_a_limit_on_both_sides_i10() {
        let said = |chars: usize| shortened(&"n".repeat(chars)).chars().count();
        assert_eq!((said(KEY_CHARS_MAX), said(KEY_CHARS_MAX + 1)), (KEY_CHARS_MAX, KEY_CHARS_MAX + 1));
        assert!(shortened(&"n".repeat(KEY_CHARS_MAX + 1)).ends_with("n…"), "cut, and a sign of it");
    }
}
