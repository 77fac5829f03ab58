//! Stored definitions: compiled, and resolved into the configuration of an execution.
//!
//! - [`compile()`] parses the templates of a stored definition once, node by node;
//! - [`resolve()`] evaluates a node's templates into the configuration that people see, and the
//!   parts of the fields that hold secrets;
//! - [`plan_root`] makes the root event of any trigger;
//! - [`mod@pointer`] names places in a configuration.
//!
//! This crate does no I/O, reads no clock and makes no ids, and reads no YAML. No value of a secret
//! is ever in it.

mod compile;
mod names;
pub mod pointer;
mod resolve;
mod root;
mod root_environment;

pub use compile::{
    Compiled, CompiledNode, CompiledOutputs, FieldTemplate, NodeError, NodeKind, NodeMentions, Repeated,
    SecretUse, compile, is_plain,
};
pub use names::Names;
pub use resolve::{
    ResolveError, Resolved, resolve, resolve_concurrency_key, resolve_outputs, resolve_returned,
};
pub use root::{RootPlan, compile_trigger, plan_root};
