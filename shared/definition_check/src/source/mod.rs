//! The author's text as a tree in which each value has its line and column.
//!
//! YAML (1.2, core schema) is read from the events of saphyr-parser. JSON has a small reader of its
//! own, for YAML has no surrogate pairs. These are refused, with their places: aliases and anchors,
//! tags, duplicate keys, keys that are no text, several documents, NUL, and more depth or bytes
//! than the limits allow.

mod build;
mod json;
mod scalar;
mod yaml;

use domain::limits::DEFINITION_BYTES_MAX;
use serde_json::{Map, Number, Value};

use definition::pointer::{escape, segments};

use crate::problem::Problem;

/// A place in the author's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Position {
    /// A problem at this place.
    pub(crate) fn problem(self, field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            column: self.column,
            field: field.into(),
            message: message.into(),
            expression: None,
            span: None,
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub content: Content,
    pub position: Position,
    /// How the author wrote a scalar that is not text.
    pub spelling: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Entry>),
    /// A value that was refused and already reported.
    Refused,
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub position: Position,
    pub value: Tree,
}

impl Tree {
    /// A value without a spelling of its own.
    pub(crate) fn new(content: Content, position: Position) -> Self {
        Self { content, position, spelling: None }
    }

    /// A scalar, with its spelling where it is not text.
    pub(crate) fn scalar(content: Content, spelling: &str, position: Position) -> Self {
        let spelling = (!matches!(content, Content::Text(_))).then(|| spelling.to_owned());
        Self { content, position, spelling }
    }

    /// The value of that key, if this is a map with such a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// [`Tree::get`], to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        match &mut self.content {
            Content::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
            }
            _ => None,
        }
    }

    /// The author's place for a JSON pointer: the key where the value is a list or map, else the
    /// value itself. Where the pointer names nothing, the nearest place around it.
    pub(crate) fn locate(&self, pointer: &str) -> Position {
        let (mut here, mut position) = (self, self.position);
        for segment in segments(pointer) {
            match &here.content {
                Content::List(items) => {
                    let Some(item) = segment.parse::<usize>().ok().and_then(|index| items.get(index)) else {
                        return position;
                    };
                    (here, position) = (item, item.position);
                }
                Content::Map(entries) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == segment) else {
                        return position;
                    };
                    let inner = matches!(entry.value.content, Content::List(_) | Content::Map(_));
                    (here, position) =
                        (&entry.value, if inner { entry.position } else { entry.value.position });
                }
                _ => return position,
            }
        }
        position
    }

    /// Calls `visit` with the JSON pointer, the text and the place of every string value, in the
    /// author's order.
    pub(crate) fn strings<'t>(&'t self, visit: &mut dyn FnMut(&str, &'t str, Position)) {
        self.walk(&mut String::new(), visit);
    }

    // The recursion is bounded: a tree is at most DEFINITION_DEPTH_MAX deep.
    fn walk<'t>(&'t self, pointer: &mut String, visit: &mut dyn FnMut(&str, &'t str, Position)) {
        let length = pointer.len();
        match &self.content {
            Content::Text(text) => visit(pointer, text, self.position),
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    pointer.push_str(&format!("/{index}"));
                    item.walk(pointer, visit);
                    pointer.truncate(length);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    pointer.push('/');
                    pointer.push_str(&escape(&entry.key));
                    entry.value.walk(pointer, visit);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// The value without its places. A refused value is null.
    pub(crate) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null | Content::Refused => Value::Null,
            Content::Bool(flag) => Value::Bool(*flag),
            Content::Integer(number) => Value::from(*number),
            Content::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Tree::to_value).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// Whether the tree has a refused value.
    pub(crate) fn has_refused(&self) -> bool {
        match &self.content {
            Content::Refused => true,
            Content::List(items) => items.iter().any(Tree::has_refused),
            Content::Map(entries) => entries.iter().any(|entry| entry.value.has_refused()),
            Content::Null | Content::Bool(_) | Content::Integer(_) | Content::Float(_) | Content::Text(_) => {
                false
            }
        }
    }

    /// The type of the value, in the author's words.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.content {
            Content::Null | Content::Refused => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Integer(_) | Content::Float(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// Reads YAML or JSON into a tree and the problems in it. None where no tree could be made.
pub(crate) fn read(text: &str) -> (Option<Tree>, Vec<Problem>) {
    if text.len() > DEFINITION_BYTES_MAX {
        let message = format!("the definition is larger than {DEFINITION_BYTES_MAX} bytes");
        return (None, vec![Position::default().problem("", message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if json::is_json(text) { json::read(text) } else { yaml::read(text) }
}

#[cfg(test)]
mod tests;
