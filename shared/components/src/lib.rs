//! The components and triggers: one file each, found through one registry.
//!
//! This crate does no I/O. A pure component is a plain function from its resolved configuration and its input to an
//! outcome; one with an effect asks a [`Host`] for it, which the executor implements over the guarded HTTP client. What
//! must not be here: a client, a clock, a secret store.
//!
//! Adding a component touches its own file and one line of `registry.rs`.

mod component;
pub mod credential;
mod credential_names;
mod filter;
mod headers;
mod host;
mod http;
#[path = "if.rs"]
mod if_;
mod noop;
mod registry;
mod shape;
mod start;
pub mod suggest;
mod trigger;
mod wait;
pub mod webhook;

pub use component::{Call, Component, FieldRule, FieldSpec, Kind, Problem, SecretPlace, field_rule};
pub use host::{BoxFuture, Host, HttpBody, HttpFailure, HttpRequest, HttpResponse};
pub use registry::{component, component_names, trigger, trigger_names};
pub use trigger::Trigger;
