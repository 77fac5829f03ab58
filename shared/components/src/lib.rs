//! The components and triggers: one file each, found through one registry.
//!
//! This crate does no I/O. Each kind of component has a trait: a [`Pure`] one is a plain function
//! from its resolved configuration and its input to an outcome; an [`Effect`] asks a [`Host`] for
//! what it declares, which the executor implements over the guarded HTTP client; a [`Held`] one
//! stays open, two plain functions by which it is opened and woken. What must not be here: a
//! client, a clock, a secret store.
//!
//! Adding a component touches its own file, a line here, and the list of `registry.rs`.

mod component;
pub mod credential;
mod credential_names;
mod effect;
mod filter;
mod headers;
mod held;
mod host;
mod http;
#[path = "if.rs"]
mod if_;
mod noop;
mod pure;
mod registry;
mod shape;
mod start;
pub mod suggest;
mod trigger;
mod wait;
pub mod webhook;

pub use component::{Component, FieldRule, FieldSpec, Problem, field_rule};
pub use effect::{Call, Effect, SecretPlace};
pub use held::{Emission, EmissionData, Held, HeldCall, Step, Then, Woken};
pub use host::{BoxFuture, Capability, Host, HttpBody, HttpClient, HttpFailure, HttpRequest, HttpResponse};
pub use pure::Pure;
pub use registry::{
    AnyComponent, component, component_names, concurrency_max, effect, held, pure, trigger, trigger_names,
};
pub use trigger::{Resource, Trigger};
