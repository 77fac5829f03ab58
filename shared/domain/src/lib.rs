//! The vocabulary of sealflow: definitions, messages, outcomes, limits and the plain decisions over
//! them.
//!
//! This crate does no I/O, reads no clock and makes no ids; callers pass times and ids in. Its
//! words are the same as in SQL, in the API, in the CLI and in the logs.

pub mod access;
pub mod actor;
pub mod allowed_host;
pub mod definition;
pub mod execution;
pub mod function;
pub mod held;
pub mod ids;
pub mod json;
pub mod limits;
pub mod message;
pub mod node_write;
pub mod outcome;
pub mod placement;
pub mod rate;
pub mod redactions;
pub mod request_headers;
pub mod retry;
pub mod root;
pub mod routing;
pub mod run;
pub mod share;
pub mod times;
pub mod webhook;
pub mod words;
