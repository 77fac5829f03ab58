//! JSON with positions. serde_json has already accepted the text as JSON, so this reader only
//! splits it.

use serde::de::IgnoredAny;

use super::{
    Content, Position, Tree,
    build::{Builder, TooMuch},
    scalar,
};
use crate::problem::Problem;

/// Whether the text is a JSON map. The YAML reader reads YAML in flow style, and JSON with a
/// mistake in it.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Reads JSON.
pub(super) fn read(text: &str) -> (Option<Tree>, Vec<Problem>) {
    let mut reader =
        Reader { text, at: 0, position: Position { line: 1, column: 1 }, builder: Builder::default() };
    match reader.run() {
        Ok(()) => reader.builder.finish(),
        Err(TooMuch) => (None, reader.builder.finish().1),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    position: Position,
    builder: Builder,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), TooMuch> {
        while let Some(next) = self.text.as_bytes().get(self.at) {
            let position = self.position;
            match next {
                b'{' => self.builder.start_map(position)?,
                b'[' => self.builder.start_list(position)?,
                b'}' | b']' => self.builder.end(),
                b'"' => {
                    self.string(position);
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' => {}
                _ => {
                    self.word(position);
                    continue;
                }
            }
            self.advance(1);
        }
        Ok(())
    }

    fn string(&mut self, position: Position) {
        let length = string_length(&self.text[self.at..]);
        let literal = &self.text[self.at..self.at + length];
        let is_key = self.builder.expects_key();
        match serde_json::from_str::<String>(literal) {
            Ok(text) if is_key => self.builder.key(text, position),
            Ok(text) => self.builder.add(Tree::new(Content::Text(text), position)),
            Err(_) => {
                self.builder.problem(position, "the text holds half of a surrogate pair");
                if is_key {
                    self.builder.key(String::new(), position);
                } else {
                    self.builder.add(Tree::new(Content::Refused, position));
                }
            }
        }
        self.advance(length);
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self, position: Position) {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|letter: char| matches!(letter, ',' | ':' | ']' | '}') || letter.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let content = match scalar::resolve(&rest[..length]) {
            Ok(content) => content,
            Err(message) => {
                self.builder.problem(position, message);
                Content::Refused
            }
        };
        self.builder.add(Tree::scalar(content, &self.text[self.at..self.at + length], position));
        self.advance(length);
    }

    fn advance(&mut self, bytes: usize) {
        for letter in self.text[self.at..self.at + bytes].chars() {
            if letter == '\n' {
                self.position = Position { line: self.position.line + 1, column: 1 };
            } else {
                self.position.column += 1;
            }
        }
        self.at += bytes;
    }
}

/// Bytes of the string literal that the text begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
