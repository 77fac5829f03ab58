//! Definitions: read with positions, checked with every error in one answer, compiled, resolved and compared.
//!
//! - [`check`] takes the author's YAML or JSON to a [`Checked`] definition, or to all of its [`Problem`]s;
//! - [`compile`] parses the templates of a stored definition once, node by node;
//! - [`resolve`] folds a node's templates into what an execution keeps: what people see, and residuals for the executor;
//! - [`difference`] says what applying a definition again changes.
//!
//! This crate does no I/O, reads no clock and makes no ids. What must not be here: a secret's value.

mod check;
mod compile;
mod difference;
mod pointer;
mod problem;
mod resolve;
mod root_environment;
mod source;

pub use check::{Checked, NodeSecretRef, PROBLEMS_MAX, Refused, UrlTarget, check};
pub use compile::{
    Compiled, CompiledNode, FieldTemplate, NodeError, NodeKind, NodeMentions, SecretUse, compile,
};
pub use difference::{Changes, NodeChange, difference};
pub use problem::Problem;
pub use resolve::{
    MissingPath, ResidualAt, ResolveError, Resolved, apply_residuals, resolve, resolve_concurrency_key,
    resolve_deduplication_key, resolve_run_name,
};
pub use root_environment::RootEnvironment;
