//! Builds the tree from the values that a reader meets, one after another.

use std::collections::HashMap;

use domain::limits::{DEFINITION_DEPTH_MAX, DEFINITION_MAPS_MAX};

use super::{Content, Entry, Position, Tree};
use definition::pointer::key_path;

use crate::problem::Problem;

/// A list or map that is not closed yet.
enum Frame {
    List {
        position: Position,
        items: Vec<Tree>,
    },
    Map {
        position: Position,
        entries: Vec<Entry>,
        key: Option<(String, Position)>,
        /// The keys so far and their lines, for a quick check of duplicates: a search through the
        /// entries would be quadratic.
        lines: HashMap<String, usize>,
    },
}

/// A limit is exceeded: reading stops.
pub(super) struct TooMuch;

/// Collects the values in their order, and the problems in them.
#[derive(Default)]
pub(super) struct Builder {
    stack: Vec<Frame>,
    root: Option<Tree>,
    problems: Vec<Problem>,
    maps: usize,
}

impl Builder {
    pub(super) fn finish(self) -> (Option<Tree>, Vec<Problem>) {
        (self.root, self.problems)
    }

    pub(super) fn problem(&mut self, position: Position, message: impl Into<String>) {
        let field = self.path();
        self.problems.push(position.problem(field, message));
    }

    pub(super) fn start_list(&mut self, position: Position) -> Result<(), TooMuch> {
        self.start(position, Frame::List { position, items: Vec::new() })
    }

    pub(super) fn start_map(&mut self, position: Position) -> Result<(), TooMuch> {
        self.maps += 1;
        if self.maps > DEFINITION_MAPS_MAX {
            let message = format!("a definition can have at most {DEFINITION_MAPS_MAX} maps");
            self.problems.push(position.problem("", message));
            return Err(TooMuch);
        }
        let frame = Frame::Map { position, entries: Vec::new(), key: None, lines: HashMap::new() };
        self.start(position, frame)
    }

    fn start(&mut self, position: Position, frame: Frame) -> Result<(), TooMuch> {
        if self.stack.len() >= DEFINITION_DEPTH_MAX {
            let message = format!("nested deeper than {DEFINITION_DEPTH_MAX} levels");
            self.problems.push(position.problem("", message));
            return Err(TooMuch);
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Closes the innermost list or map.
    pub(super) fn end(&mut self) {
        match self.stack.pop() {
            Some(Frame::List { position, items }) => {
                self.add(Tree::new(Content::List(items), position));
            }
            Some(Frame::Map { position, entries, .. }) => {
                self.add(Tree::new(Content::Map(entries), position));
            }
            None => {}
        }
    }

    /// Whether the next value is a key.
    pub(super) fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: None, .. }))
    }

    /// Adds a key to the innermost map.
    pub(super) fn key(&mut self, text: String, position: Position) {
        if text.contains('\0') {
            self.problem(position, "a key holds the character U+0000");
        }
        if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
            *key = Some((text, position));
        }
    }

    /// Adds a value: to the pending key, to the list, or as the whole tree.
    pub(super) fn add(&mut self, mut value: Tree) {
        if matches!(&value.content, Content::Text(text) if text.contains('\0')) {
            self.problem(value.position, "the text holds the character U+0000");
            value.content = Content::Refused;
        }
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List { items, .. }) => items.push(value),
            Some(Frame::Map { entries, key, lines, .. }) => match key.take() {
                Some((key, position)) => {
                    if let Some(first) = lines.get(&key) {
                        let message = format!("`{key}` is given twice, first on line {first}");
                        self.problem(position, message);
                    } else {
                        lines.insert(key.clone(), position.line);
                        entries.push(Entry { key, position, value });
                    }
                }
                // The value is a list or map in the place of a key.
                None => {
                    let position = value.position;
                    self.key(String::new(), position);
                    self.problem(
                        position,
                        "a key must be text; a value that is a template must be quoted: \"{{ … }}\"",
                    );
                }
            },
        }
    }

    /// The place of the reader, such as `nodes[1].configuration`.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match frame {
                Frame::List { items, .. } => path.push_str(&format!("[{}]", items.len())),
                Frame::Map { key: Some((key, _)), .. } => path.push_str(&key_path(key)),
                Frame::Map { key: None, .. } => {}
            }
        }
        path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
    }
}
