//! The kinds of strings in a configuration.

use serde::{Deserialize, Serialize};

/// The kind of a string in a configuration. It decides how the string is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// `{{ }}` templates; a string that is one whole `{{ }}` keeps the value's type; mixed text is
    /// stringified.
    Typed,
    /// `{{ }}` templates; always a string.
    Text,
    /// `{{ }}` templates, each percent-encoded for its place in a URL.
    ///
    /// The literal text fixes scheme, host and port. `{{ urlPath(x) }}` lets slashes through and
    /// refuses the segments `.` and `..`. A URL that is one whole `{{ }}` is taken as it is.
    Url,
    /// The whole string is a bare expression.
    Expression,
}
