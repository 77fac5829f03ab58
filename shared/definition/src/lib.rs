//! Definitions as they are stored: compiled, and resolved into what an execution keeps.
//!
//! - [`compile()`] parses the templates of a stored definition once, node by node;
//! - [`resolve()`] evaluates a node's templates into what an execution keeps: what people see, and
//!   the fields that hold secrets, in parts;
//! - [`plan_root`] makes the root event of any trigger;
//! - [`mod@pointer`] names places in a configuration.
//!
//! This crate does no I/O, reads no clock and makes no ids, and reads no YAML. What must not be
//! here: a secret's value.

mod compile;
pub mod pointer;
mod resolve;
mod root;
mod root_environment;

pub use compile::{
    Compiled, CompiledNode, FieldTemplate, NodeError, NodeKind, NodeMentions, SecretUse, compile, is_plain,
};
pub use resolve::{ResolveError, Resolved, resolve, resolve_concurrency_key};
pub use root::{RootPlan, compile_trigger, plan_root};
