//! The expression language of sealflow: Go's `expr` as workflow authors write it.

mod analysis;
mod ast;
mod builtins;
mod error;
mod eval;
mod fold;
mod lexer;
pub mod limits;
mod literal;
mod parser;
mod residual;
mod suggest;
mod template;
mod text;
mod time;
mod url;
mod value;

pub use error::{Error, ErrorKind, Span};
pub use residual::{Evaluated, Residual, Secrets};
pub use template::{Environment, FieldKind, Folded, Mentions, SecretRef, Template, UrlOrigin};
pub use time::Time;
pub use value::{Calendar, FloatKey, Key, List, Lookup, Map, Nested, Text, Value};

/// Names (functions, variables) that sealflow registers. For suggestions.
pub const SEALFLOW_NAMES: &[&str] = &["$", "root", "previous", "run", "workflow", "app", "now", "secrets"];

/// The name that was perhaps meant by `name`: a registered name or a builtin, if one is near.
pub fn suggest_name(name: &str) -> Option<&'static str> {
    suggest::name(name)
}
