//! An error and its place: a kind, a sentence, a span, and the line with a caret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A range of bytes in the source string of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The range `start..end`, in bytes.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

/// The kind of a mistake. The words are stable; the command line prints them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The text is no expression or no template.
    Syntax,
    /// A name, function, method or time zone that does not exist.
    Name,
    /// An operation that the types of its operands do not allow.
    Type,
    /// An index, slice or number outside of the operation's range.
    Range,
    /// A limit of [`crate::limits`] is reached.
    Limit,
    /// A secret reference that is not allowed, or a secret that is missing.
    Secret,
    /// A place of the data that was blanked before it was stored.
    Redacted,
    /// Everything else, for example text that is no JSON or no date.
    Other,
}

impl ErrorKind {
    /// The stable word for the kind: `syntax`, `name`, `type`, `range`, `limit`, `secret`,
    /// `redacted`, `other`.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::Syntax => "syntax",
            ErrorKind::Name => "name",
            ErrorKind::Type => "type",
            ErrorKind::Range => "range",
            ErrorKind::Limit => "limit",
            ErrorKind::Secret => "secret",
            ErrorKind::Redacted => "redacted",
            ErrorKind::Other => "other",
        }
    }
}

/// A mistake in an expression or template, with its place.
///
/// No error holds a value: neither event data nor, in the executor, a secret. Errors of parsing and
/// folding show the author's own expression.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The kind of the mistake.
    pub kind: ErrorKind,
    /// One sentence for the author of the workflow.
    pub message: String,
    /// The place of the mistake, in bytes of the field's source.
    pub span: Span,
    /// The expression's line and a caret line, where the source is known.
    excerpt: Option<Box<str>>,
}

impl Error {
    /// An error without an excerpt.
    pub fn new(kind: ErrorKind, message: impl Into<String>, span: Span) -> Error {
        Error { kind, message: message.into(), span, excerpt: None }
    }

    /// The message, the line of `source` that holds the span, and a caret under it.
    pub fn render(&self, source: &str) -> String {
        format!("{}\n{}", self.message, excerpt(source, self.span))
    }

    /// The same error, showing its place in `source` when displayed.
    pub(crate) fn in_source(mut self, source: &str) -> Error {
        self.excerpt = Some(excerpt(source, self.span).into_boxed_str());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}..{}: {}", self.kind, self.span.start, self.span.end, self.message)
    }
}

/// Characters of the line that are shown on either side of the span.
const EXCERPT_CONTEXT_CHARS: usize = 60;

/// The line that holds `span`, cut to a readable width, and below it carets under the span.
fn excerpt(source: &str, span: Span) -> String {
    let start = floor_boundary(source, span.start);
    let end = floor_boundary(source, span.end).max(start);
    let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
    let before: Vec<char> = source[line_start..start].chars().collect();
    let (lead, before) = match before.len().checked_sub(EXCERPT_CONTEXT_CHARS) {
        Some(cut) if cut > 0 => ("…", &before[cut..]),
        _ => ("", &before[..]),
    };
    let marked = source[start..end.min(line_end)].chars().count();
    let after: Vec<char> = source[start..line_end].chars().collect();
    let shown = after.len().min(marked.min(EXCERPT_CONTEXT_CHARS) + EXCERPT_CONTEXT_CHARS);
    let tail = if shown < after.len() { "…" } else { "" };
    let visible = |c: &char| if c.is_control() { ' ' } else { *c };
    let line: String = before.iter().chain(&after[..shown]).map(visible).collect();
    let indent = " ".repeat(lead.chars().count() + before.len());
    let carets = "^".repeat(marked.clamp(1, EXCERPT_CONTEXT_CHARS));
    format!(" | {lead}{line}{tail}\n | {indent}{carets}")
}

/// The nearest character boundary at or before `at`.
fn floor_boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_span() {
        let error = Error::new(ErrorKind::Name, "unknown name", Span::new(4, 7));
        assert_eq!(error.render("a + foo * b"), "unknown name\n | a + foo * b\n |     ^^^");
    }

    #[test]
    fn only_the_line_of_the_span_is_shown() {
        let error = Error::new(ErrorKind::Name, "m", Span::new(5, 6));
        assert_eq!(error.render("héo\n+ x\n+ y"), "m\n | + x\n | ^");
    }

    #[test]
    fn a_span_outside_of_the_source_or_inside_a_character_does_not_panic() {
        for span in [Span::new(1, 2), Span::new(9, 12), Span::new(2, 1), Span::new(usize::MAX, usize::MAX)] {
            Error::new(ErrorKind::Other, "m", span).render("é");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_span() {
        let source = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let text = Error::new(ErrorKind::Name, "m", Span::new(500, 501)).render(&source);
        assert!(text.lines().nth(1).is_some_and(|line| line.chars().count() < 140), "{text}");
    }
}
