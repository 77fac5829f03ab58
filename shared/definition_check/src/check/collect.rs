//! Collects errors and warnings, and finds the place of an expression in the author's text.

use domain::limits::WORKFLOW_TEMPLATES_MAX;
use expression::Span;

use super::PROBLEMS_MAX;
use crate::{problem::Problem, source::Position};

/// A value that was read, its place and its field path.
#[derive(Clone, Debug)]
pub(super) struct Spot<T> {
    pub value: T,
    pub position: Position,
    pub field: String,
}

impl<T> Spot<T> {
    pub(super) fn new(value: T, position: Position, field: impl Into<String>) -> Self {
        Self { value, position, field: field.into() }
    }
}

/// The findings so far.
pub(super) struct Collector<'s> {
    lines: Vec<&'s str>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    templates: usize,
}

impl<'s> Collector<'s> {
    pub(super) fn new(text: &'s str, errors: Vec<Problem>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { lines: text.lines().collect(), errors, warnings: Vec::new(), templates: 0 }
    }

    pub(super) fn error(&mut self, position: Position, field: &str, message: impl Into<String>) {
        self.errors.push(position.problem(field, message));
    }

    pub(super) fn warning(&mut self, position: Position, field: &str, message: impl Into<String>) {
        self.warnings.push(position.problem(field, message));
    }

    /// Adds templates of a node to the count of the workflow.
    pub(super) fn count_templates(&mut self, count: usize) {
        let before = self.templates;
        self.templates += count;
        if before <= WORKFLOW_TEMPLATES_MAX && self.templates > WORKFLOW_TEMPLATES_MAX {
            let message = format!("a workflow can have at most {WORKFLOW_TEMPLATES_MAX} templates");
            self.error(Position::default(), "nodes", message);
        }
    }

    /// An error at a place of an expression.
    pub(super) fn error_in(&mut self, spot: &Spot<&str>, span: Span, message: impl Into<String>) {
        let problem = self.problem_in(spot, span, message.into());
        self.errors.push(problem);
    }

    /// A warning about a place of an expression.
    pub(super) fn warning_in(&mut self, spot: &Spot<&str>, span: Span, message: impl Into<String>) {
        let problem = self.problem_in(spot, span, message.into());
        self.warnings.push(problem);
    }

    /// The place of a byte of a text. It is exact where the text stands unchanged on one line; else
    /// it is the place of the whole text.
    pub(super) fn place_in(&self, spot: &Spot<&str>, byte: usize) -> Position {
        let Some(before) = spot.value.get(..byte) else {
            return spot.position;
        };
        let line = self.lines.get(spot.position.line.wrapping_sub(1)).copied().unwrap_or_default();
        let rest =
            line.char_indices().nth(spot.position.column.saturating_sub(1)).map_or("", |(at, _)| &line[at..]);
        let quote = usize::from(rest.starts_with(['\'', '"']));
        if !before.contains('\n') && rest.get(quote..).is_some_and(|rest| rest.starts_with(before)) {
            let column = spot.position.column + quote + before.chars().count();
            return Position { column, ..spot.position };
        }
        spot.position
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<Problem> {
        limited(self.errors)
    }

    pub(super) fn into_warnings(self) -> Vec<Problem> {
        limited(self.warnings)
    }

    fn problem_in(&self, spot: &Spot<&str>, span: Span, message: String) -> Problem {
        let shown =
            expression::Error::new(expression::ErrorKind::Other, String::new(), span).render(spot.value);
        Problem {
            expression: Some(shown.trim_start_matches('\n').to_owned()),
            span: Some((span.start, span.end)),
            ..self.place_in(spot, span.start).problem(spot.field.clone(), message)
        }
    }
}

pub(super) fn limited(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        problems.push(Position::default().problem("", format!("and {more} more")));
    }
    problems
}
