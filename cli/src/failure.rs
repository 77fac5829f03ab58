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
    /// The caller has no token.
    NoToken(String),
    /// Nothing answers.
    Unreachable(String),
    /// The time of the command was over first.
    TimedOut(String),
    /// The command has printed everything, such as the end of a watched run that did not pass.
    Silent(Exit),
}

/// The exit statuses of the command line, which scripts rely on: none is ever given another
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Any other failure.
    Failed = 1,
    /// The command line asks for something impossible.
    Usage = 2,
    /// The run that was watched failed.
    RunFailed = 3,
    /// The token is missing or wrong, or may not do this.
    NotAllowed = 4,
    /// The named thing is not there.
    NotFound = 5,
    /// The state of things forbids it.
    Conflict = 6,
    /// The time was over first.
    TimedOut = 7,
    /// The API, or what it needs, can't be reached.
    Unavailable = 8,
    /// The run that was watched was cancelled.
    RunCancelled = 9,
}

/// The exit statuses in words, for `--help`.
pub(crate) const EXIT_STATUSES: &str = "\
Exit status:
  0  done
  1  another failure
  2  wrong usage
  3  the run that was watched failed
  4  the token is missing or wrong, or may not do this
  5  not found
  6  the state of things forbids it (a conflict)
  7  timed out
  8  the API, or what it needs, can't be reached
  9  the run that was watched was cancelled";

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

    /// The exit status of the command.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit() as u8)
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
            Self::NoToken(_) => Exit::NotAllowed,
            Self::Unreachable(_) => Exit::Unavailable,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Silent(exit) => *exit,
            Self::Refused(refusal) => match refusal.problem.status {
                401 | 403 => Exit::NotAllowed,
                404 => Exit::NotFound,
                409 | 410 | 412 => Exit::Conflict,
                429 | 500.. => Exit::Unavailable,
                _ => Exit::Failed,
            },
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
            Self::NoToken(text) => Some(json!({ "title": "Not authorized", "detail": text })),
            Self::Unreachable(text) => Some(json!({ "title": "Not reached", "detail": text })),
            Self::TimedOut(text) => Some(json!({ "title": "Timed out", "detail": text })),
            Self::Refused(refusal) => Some(json!(refusal.problem)),
            Self::Silent(_) => None,
        }
    }

    pub(crate) fn render(&self) -> String {
        match self {
            Self::Usage(text)
            | Self::Failed(text)
            | Self::NoToken(text)
            | Self::Unreachable(text)
            | Self::TimedOut(text) => format!("error: {}\n", printable_lines(text)),
            Self::Refused(refusal) => {
                let Refusal { problem, source } = refusal.as_ref();
                let mut text = format!("error: {}\n", printable_lines(&problem.detail));
                for place in &problem.errors {
                    text.push_str(&render_place("error", place, source.as_ref()));
                }
                text
            }
            Self::Silent(_) => String::new(),
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

    /// The numbers are a promise to scripts.
    #[test]
    fn each_failure_has_its_exit_status() {
        let refused = |status| Failure::refused(Problem { status, ..Problem::default() }).exit() as u8;
        let text = String::new;
        assert_eq!(Failure::Failed(text()).exit() as u8, 1);
        assert_eq!(Failure::Usage(text()).exit() as u8, 2);
        assert_eq!(Failure::Silent(Exit::RunFailed).exit() as u8, 3);
        assert_eq!((Failure::NoToken(text()).exit() as u8, refused(401), refused(403)), (4, 4, 4));
        assert_eq!(refused(404), 5);
        assert_eq!((refused(409), refused(410), refused(412)), (6, 6, 6));
        assert_eq!(Failure::TimedOut(text()).exit() as u8, 7);
        assert_eq!((Failure::Unreachable(text()).exit() as u8, refused(429), refused(503)), (8, 8, 8));
        assert_eq!(Failure::Silent(Exit::RunCancelled).exit() as u8, 9);
        assert_eq!((refused(400), refused(413), refused(422)), (1, 1, 1));
        for line in EXIT_STATUSES.lines().skip(1) {
            assert!(
                line.trim().split_once("  ").is_some_and(|(number, _)| number.parse::<u8>().is_ok()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_problem_of_ours_is_read_all_the_same() {
        let problem: Problem = serde_json::from_str(r#"{"message": "Internal Server Error"}"#).unwrap();
        assert_eq!(problem.status, 0);
    }
}
