//! Problems: the answers that are no success.

use serde::{Deserialize, Serialize};

/// A problem of RFC 9457 (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProblemDetails {
    /// `urn:sealflow:problem:` and a word.
    pub r#type: String,
    /// A heading, the same for each problem of a type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence: what happened, where, what to do.
    pub detail: String,
    /// Of a definition: all of its errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<DefinitionProblem>,
}

/// An error or a warning about a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DefinitionProblem {
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
