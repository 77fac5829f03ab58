//! The failures of a command, for a person and for a script.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::output::{Format, json_line, printable, printable_lines};

/// The reason why a command fails.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something impossible.
    Usage(String),
    /// Something that the command needs is missing or broken.
    Failed(String),
    /// The API refused.
    Refused(Box<Refusal>),
    /// The command has printed everything, such as the end of a watched run that did not pass.
    Silent,
}

/// The API's answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// The text that was sent, if the errors point into its lines.
    pub(crate) source: Option<Source>,
}

/// Problem details of RFC 9457.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) r#type: String,
    pub(crate) title: String,
    pub(crate) status: u16,
    pub(crate) detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Place>,
}

/// An error or warning with its place in a definition.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) field: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span: Option<(usize, usize)>,
}

/// A file that errors point into, by its lines.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Failure {
    /// An answer of the API that is no success.
    pub(crate) fn refused(problem: Problem) -> Self {
        Self::Refused(Box::new(Refusal { problem, source: None }))
    }

    /// 2 for wrong usage, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// Prints the failure on standard error.
    pub(crate) fn print(&self, format: Format) {
        match format {
            Format::Human => eprint!("{}", self.render()),
            Format::Json => {
                if let Some(problem) = self.to_json() {
                    eprintln!("{}", json_line(&problem));
                }
            }
        }
    }

    fn to_json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Usage(text) => Some(json!({ "title": "Wrong usage", "detail": text })),
            Self::Failed(text) => Some(json!({ "title": "Failed", "detail": text })),
            Self::Refused(refusal) => Some(json!(refusal.problem)),
            Self::Silent => None,
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Usage(text) | Self::Failed(text) => format!("error: {}\n", printable_lines(text)),
            Self::Refused(refusal) => {
                let Refusal { problem, source } = refusal.as_ref();
                let mut text = format!("error: {}\n", printable_lines(&problem.detail));
                for place in &problem.errors {
                    text.push_str(&render_place("error", place, source.as_ref()));
                }
                text
            }
            Self::Silent => String::new(),
        }
    }
}

/// `FILE:LINE:COLUMN: LEVEL: FIELD: MESSAGE`. Below it stands the expression, or else the line of
/// the file, with a caret.
pub(crate) fn render_place(level: &str, place: &Place, source: Option<&Source>) -> String {
    let mut text = String::new();
    if let (Some(source), true) = (source, place.line > 0) {
        let _ = write!(text, "{}:{}:{}: ", printable(&source.name), place.line, place.column);
    }
    let _ = write!(text, "{level}: ");
    if !place.field.is_empty() {
        let _ = write!(text, "{}: ", printable(&place.field));
    }
    let _ = writeln!(text, "{}", printable(&place.message));
    match &place.expression {
        Some(expression) => {
            let _ = writeln!(text, "{}", printable_lines(expression));
        }
        None => text.push_str(&source.and_then(|source| excerpt(place, &source.text)).unwrap_or_default()),
    }
    text
}

/// Characters of a line that are shown before and after its column.
const EXCERPT_CHARS: usize = 60;

fn excerpt(place: &Place, text: &str) -> Option<String> {
    let line = text.lines().nth(place.line.checked_sub(1)?)?;
    let column = place.column.checked_sub(1)?;
    let chars: Vec<char> = line.chars().collect();
    if column > chars.len() {
        return None;
    }
    let start = column.saturating_sub(EXCERPT_CHARS);
    let end = (column + EXCERPT_CHARS).min(chars.len());
    // One sign for each character, so that the caret stands in the right column.
    let shown: String = chars[start..end].iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
    Some(format!(" | {shown}\n | {}^\n", " ".repeat(column - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize, column: usize, expression: Option<&str>) -> Place {
        let (field, message) = ("nodes[1].component".to_owned(), "there is no component `htpp`".to_owned());
        Place { line, column, field, message, expression: expression.map(str::to_owned), span: None }
    }

    fn source(text: &str) -> Source {
        Source { name: "w.yaml".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_error_shows_its_line_with_a_caret() {
        let text = render_place("error", &place(2, 14, None), Some(&source("nodes:\n  component: htpp\n")));
        assert_eq!(
            text,
            "w.yaml:2:14: error: nodes[1].component: there is no component `htpp`\n |   component: htpp\n |              ^\n"
        );
    }

    #[test]
    fn an_expression_is_shown_in_place_of_the_line() {
        let text =
            render_place("warning", &place(1, 1, Some(" | previuos()\n | ^^^^^^^^")), Some(&source("x")));
        assert!(text.ends_with("`htpp`\n | previuos()\n | ^^^^^^^^\n"), "{text}");
    }

    #[test]
    fn a_place_outside_of_the_file_does_no_harm() {
        for (line, column) in [(0, 0), (9, 1), (1, 99), (1, 0), (usize::MAX, usize::MAX)] {
            assert!(!render_place("error", &place(line, column, None), Some(&source("a\nb"))).contains('^'));
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let problem = Problem { detail: "a\u{1b}[31mb\u{7}".to_owned(), ..Problem::default() };
        let text = Failure::refused(problem).render();
        assert_eq!(text, "error: a\\u{1b}[31mb\\u{7}\n");
    }

    #[test]
    fn what_is_no_problem_of_ours_is_read_all_the_same() {
        let problem: Problem = serde_json::from_str(r#"{"message": "Internal Server Error"}"#).unwrap();
        assert_eq!(problem.status, 0);
    }
}
