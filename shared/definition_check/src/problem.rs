//! The problems of a definition, with their places.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error or a warning about a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line, from 1; 0 where there is no place.
    pub line: usize,
    /// The column in characters, from 1; 0 where there is no place.
    pub column: usize,
    /// Such as `nodes[1].configuration.url`; empty for the whole.
    pub field: String,
    /// A sentence for the author.
    pub message: String,
    /// The line of the expression with a caret line under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// The place in the field's text, in bytes: start and end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<(usize, usize)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match &self.expression {
            Some(expression) => write!(f, "\n{expression}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_place_if_it_has_one() {
        let mut problem = Problem {
            line: 3,
            column: 5,
            field: "nodes[0].id".into(),
            message: "is missing".into(),
            expression: None,
            span: None,
        };
        assert_eq!(problem.to_string(), "line 3, column 5: nodes[0].id: is missing");
        problem.expression = Some(" | a + b\n | ^".into());
        assert_eq!(problem.to_string(), "line 3, column 5: nodes[0].id: is missing\n | a + b\n | ^");
        problem = Problem { line: 0, column: 0, field: String::new(), expression: None, ..problem };
        assert_eq!(problem.to_string(), "is missing");
    }
}
